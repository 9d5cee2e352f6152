"""What a run's folder answers: the page, all about an episode, which episodes a sequence occurs in, and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from sima2.errors import StoreError, UsageError
from sima2.io.label_log import append_label, read_labels
from sima2.io.store import LABELS
from sima2.query.pattern import parsed
from sima2.query.sequences import matches, refuse_unknown
from sima2.records.episodes import EpisodeTable
from sima2.records.labels import WITHDRAWN, Label, said_of, takes_back
from sima2.records.rollout import RolloutBatch
from sima2.records.segments import SegmentTable
from sima2.records.video import Clip
from sima2.report.folder import ReportFolder
from sima2.report.html import policy, render
from sima2.report.inputs import ReportInput, load_folder
from sima2.report.page_data import LONGEST, as_json, said_plain, said_words, signal_plain
from sima2.report.sentences import tags_sentence
from sima2.report.signals import thinned_signals
from sima2.report.text import count, visible
from sima2.view.server import Answer, Refused, plain

if TYPE_CHECKING:
    from sima2.labelling import OpenQuestions


class Recordings(Protocol):
    """What was recorded of the episodes of a folder, by their row in its table; as far as it is still there."""

    def rollout(self, episodes: EpisodeTable, row: int) -> RolloutBatch | None:
        """The episode alone in a batch; None where its source is not there."""

    def clips(self, episodes: EpisodeTable, row: int) -> Sequence[Clip]:
        """Where its cameras have their pictures; those whose files are there."""

    def picture(self, episodes: EpisodeTable, row: int, clip: Clip, frame: int) -> tuple[str, bytes]:
        """One picture: media type and bytes."""


class Nothing:
    """No recordings: what the run kept is all there is."""

    def rollout(self, episodes: EpisodeTable, row: int) -> None:
        """None."""

    def clips(self, episodes: EpisodeTable, row: int) -> Sequence[Clip]:
        """None."""
        return ()

    def picture(self, episodes: EpisodeTable, row: int, clip: Clip, frame: int) -> tuple[str, bytes]:
        """Never asked for."""
        raise Refused(HTTPStatus.NOT_FOUND, "there is no picture")


FINEST: Final = 4096
"""Stretches of a signal at most: more than a screen is wide, four times over."""
READ: Final = "read"
LABEL: Final = "label"


class RunPages:
    """The pages of a folder of finished runs; read anew when a run has changed it.

    Args:
        out: the folder.
        label: whether labels are taken.
        recordings: what is still there of what was recorded.

    Raises:
        StoreError: if the folder is not one of a finished run.
    """

    def __init__(self, out: Path, *, label: bool = False, recordings: Recordings | None = None) -> None:
        self._out = out
        self._recordings: Recordings = recordings or Nothing()
        self._mode = LABEL if label else READ
        self._worker = ThreadPoolExecutor(1)
        self._seen: tuple[int, int] | None = None
        self._folder: ReportFolder
        self._report: ReportInput
        self._page = b""
        self._stale = True
        self._heard: tuple[int, int] | None = None
        self._questions: OpenQuestions | None = None
        self._segments: SegmentTable | None = None
        self._worker.submit(self._load).result()

    def get(self, name: str, query: Mapping[str, str]) -> Answer:
        """One of the pages below, made by one thread alone: one shard is in memory, and one thread keeps memory."""
        return self._worker.submit(self._got, name, query).result()

    def _got(self, name: str, query: Mapping[str, str]) -> Answer:
        self._load()
        if name == "":
            self._render()
            return Answer(self._page, "text/html; charset=utf-8", policy(self._mode))
        if name == "episode":
            return plain(as_json(self._episode(query)))
        if name == "video":
            clip = self._clip(query)
            if clip.in_rows:
                raise Refused(HTTPStatus.NOT_FOUND, "there is no such video")
            return Answer(clip.path, clip.mime)
        if name == "frame":
            return self._picture(query)
        if name == "signals":
            return plain(as_json(self._signals(query)))
        if name == "find":
            return plain(self._found(query.get("steps", "")))
        if name == "next" and self._mode == LABEL:
            return plain(self._asked())
        raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")

    def post(self, name: str, values: Mapping[str, Any]) -> Answer:
        """Takes labels, where they are asked for."""
        if self._mode != LABEL:
            raise Refused(HTTPStatus.FORBIDDEN, "labels are not taken: start sima2 view with --label")
        if name != "label":
            raise Refused(HTTPStatus.NOT_FOUND, "there is nothing here")
        return self._worker.submit(self._kept, values).result()

    def _kept(self, values: Mapping[str, Any]) -> Answer:
        self._load()
        return plain(as_json(self._said(values)))

    def _said(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Keep what is said of an episode, and tell what now stands of it and what comes next."""
        row = self._row(values)
        episode = self._folder.episodes.episode_id[row]
        if values.get("episode") != visible(episode, longest=LONGEST):  # a page that was opened before another run
            raise Refused(HTTPStatus.CONFLICT, "the results have changed since the page was opened: load it again")
        frame = values.get("frame")
        if frame is not None and not (type(frame) is int and frame < self._folder.episodes.frames[row]):
            raise UsageError(f"frame {str(frame)[:40]} is none of the episode's {self._folder.episodes.frames[row]}")
        by_lot = {each.episode_id for each in self._opened().order(read_labels(self._out)) if each.chosen == "random"}
        label = Label(
            episode,
            values.get("what", ""),
            value=values.get("value", ""),
            frame=frame,
            chosen="random" if episode in by_lot else "active",
            by=values.get("by", ""),
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        if label.value == WITHDRAWN and not takes_back(read_labels(self._out), label):
            raise UsageError(f"{label.by or 'nobody'} has said no {label.what} here that could be taken back")
        append_label(self._out, label)
        self._folder.listen()
        self._stale = True
        kept = self._folder.labels
        stands = np.flatnonzero(kept.episode_id.isin(episode)).tolist()
        return {
            "said": said_words(kept).get(episode, ""),
            "labels": [said_plain(kept, each) for each in stands],
            **self._asked(),
        }

    def _asked(self) -> dict[str, Any]:
        """Whom to look at next and why, and how far the labels go."""
        labels = read_labels(self._out)
        places = {name: row for row, name in enumerate(self._folder.episodes.episode_id)}
        queue = [
            {"row": places[each.episode_id], "chosen": each.chosen, "why": each.why}
            for each in self._opened().order(labels)
        ]
        told = tags_sentence([each._asdict() for each in self._opened().testable(labels)])
        waiting = said_of(labels).digest() != self._opened().said.digest()
        more = " The next sima2 run into this folder takes in what was said." if waiting else ""
        said = int(said_of(labels).outcome.sum())
        return {
            "next": queue[0]["row"] if queue else None,
            "queue": queue,
            "words": f"{count(said, 'outcome')} said. {told}{more}",
        }

    def _opened(self) -> OpenQuestions:
        from sima2.labelling import OpenQuestions

        if self._questions is None:
            self._questions = OpenQuestions.of(self._out)
        return self._questions

    def _load(self) -> None:
        """Read the folder, if it is not as it was."""
        try:
            seen = (self._out / "summary.json").stat()
        except OSError:
            if self._seen is None:
                raise StoreError(f"{self._out}: holds no finished run") from None
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "a run is under way: ask again when it is done") from None
        heard = self._labels_state()
        if (seen.st_mtime_ns, seen.st_size) == self._seen:
            if heard != self._heard:  # somebody else has said something
                self._folder.listen()
                self._heard, self._stale = heard, True
            return
        self._report, self._folder = load_folder(self._out, whole=False)
        self._segments, self._questions, self._stale, self._heard = None, None, True, heard
        self._seen = (seen.st_mtime_ns, seen.st_size)

    def _signals(self, query: Mapping[str, str]) -> dict[str, Any]:
        """The signals of an episode as finely as they were recorded; none where its source is not there."""
        row = self._row(query)
        batch = self._recordings.rollout(self._folder.episodes, row)
        if batch is None or not len(batch):
            return {"signals": []}
        table = thinned_signals(batch, int(np.clip(batch.frames, 1, FINEST)))
        return {"signals": [signal_plain(table, each) for each in range(len(table))]}

    def _found(self, steps: str) -> dict[str, Any]:
        """Rows of the episodes in which a sequence occurs, or what is wrong with it."""
        if self._segments is None:
            self._segments = self._folder.segments()
        try:
            pattern = parsed(steps)
            refuse_unknown(self._segments, pattern)
        except UsageError as error:
            return {"rows": [], "error": str(error)}
        found = matches(self._segments, self._folder.episodes, pattern)
        return {"rows": self._folder.rows(found.episode_id).tolist()}

    def _labels_state(self) -> tuple[int, int] | None:
        try:
            state = (self._out / LABELS).lstat()
        except OSError:
            return None
        return state.st_mtime_ns, state.st_size

    def _render(self) -> None:
        """Make the page anew, if something that it tells has changed."""
        if self._stale:
            self._page = render(replace(self._report, overview=self._folder.overview()), live=self._mode).encode()
            self._stale = False

    def _row(self, query: Mapping[str, Any]) -> int:
        return _number(query, "row", len(self._folder.episodes))

    def _episode(self, query: Mapping[str, str]) -> dict[str, Any]:
        row = self._row(query)
        name = self._folder.episodes.episode_id[row]
        clips = list(enumerate(self._recordings.clips(self._folder.episodes, row)))
        return {
            **self._folder.details([name])[name],
            "videos": [
                {"camera": clip.camera, "url": f"video?row={row}&camera={k}", "begin": clip.begin_s}
                for k, clip in clips
                if not clip.in_rows
            ],
            "pictures": [{"camera": clip.camera, "index": k} for k, clip in clips if clip.in_rows],
        }

    def _clip(self, query: Mapping[str, str]) -> Clip:
        """The clip that a camera's number asks for; only what an episode has can be asked for, never a path."""
        clips = self._recordings.clips(self._folder.episodes, self._row(query))
        return clips[_number(query, "camera", len(clips))]

    def _picture(self, query: Mapping[str, str]) -> Answer:
        row, clip = self._row(query), self._clip(query)
        frame = _number(query, "frame", int(self._folder.episodes.frames[row]))
        kind, data = self._recordings.picture(self._folder.episodes, row, clip, frame)
        return Answer(data, kind)


def _number(query: Mapping[str, Any], name: str, end: int) -> int:
    """A whole number of a query, from 0 and below ``end``."""
    text = str(query.get(name, ""))
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) >= end:
        raise Refused(HTTPStatus.NOT_FOUND, f"there is no such {name}")
    return int(text)
