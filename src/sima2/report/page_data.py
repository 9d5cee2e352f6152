"""What the page's script works on, as plain values: a row of every episode, and all about some of them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from sima2.records.arrays import Int64s
from sima2.records.courses import UnusualTable
from sima2.records.defects import DefectTable
from sima2.records.episodes import EpisodeTable
from sima2.records.labels import LabelTable
from sima2.records.plan import TrainingPlan
from sima2.records.segments import SegmentTable
from sima2.records.signals import SignalTable
from sima2.records.table import Table, Text
from sima2.records.tags import TagTable
from sima2.records.video import ThumbnailTable
from sima2.records.vocabulary import LABELS, OUTCOMES
from sima2.report.markup import Markup
from sima2.report.text import visible
from sima2.tags.specs import THRESHOLDS

FIRST_STEP: Final = 0x4E00
"""A step of an episode is one character, so that a course is a word and a search for steps a pattern over words."""
LONGEST: Final = 20_000
"""Characters of a text; a course has one a step."""
ENDED: Final = ("failure", "success", "unknown")
MOST_DETAILS: Final = 500
"""Episodes that the file shows whole; of a larger set those that something was found in."""
FEW_DETAILS: Final = 120
"""The same where there are more episodes than that."""
MOST_BYTES: Final = 3_600_000
"""Of what is told of single episodes in the file."""
MOST_PICTURES: Final = 8_000_000
"""Of small pictures in the file, besides."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")


class Overview:
    """A row of every episode; made of the tables of one shard after another."""

    def __init__(self, episodes: EpisodeTable) -> None:
        self._episodes = episodes
        self._place = dict(zip(episodes.episode_id, range(len(episodes)), strict=True))
        self._steps = [""] * len(episodes)
        self._tags: list[list[int]] = [[] for _ in range(len(episodes))]
        self._arms: dict[str, int] = {}
        self._tag_names = list(THRESHOLDS)

    def add_segments(self, segments: SegmentTable) -> None:
        """The courses of the episodes of some segments."""
        if not len(segments):
            return
        for name in segments.manipulator.names:
            self._arms.setdefault(name, len(self._arms))
        arm = segments.manipulator.recode(tuple(self._arms))
        label = np.maximum(segments.label.recode(LABELS), 0)
        outcome = np.maximum(segments.outcome.recode(OUTCOMES), 0)
        code = ((arm * len(OUTCOMES) + outcome) * len(LABELS) + label).astype(np.uint32) + FIRST_STEP
        row = self._rows(segments.episode_id)
        order = np.lexsort((arm, segments.start_frame, row))
        word = code[order].astype("<u4").tobytes().decode("utf-32-le")
        begins, ends = _runs(row[order])
        for at, begin, end in zip(row[order][begins].tolist(), begins.tolist(), ends.tolist(), strict=True):
            self._steps[at] = word[begin:end]

    def add_tags(self, tags: TagTable) -> None:
        """Which tags were given to the episodes of some."""
        least = np.array([THRESHOLDS.get(name, 0.0) for name in tags.tag.names])
        given = np.flatnonzero(np.nan_to_num(tags.level) > least[tags.tag.codes]) if len(tags) else np.zeros(0, int)
        rows, which = self._rows(tags.episode_id)[given], tags.tag.recode(self._tag_names)[given]
        for row, tag in sorted(set(zip(rows.tolist(), which.tolist(), strict=True))):
            self._tags[row].append(tag)

    def given(self) -> dict[str, set[str]]:
        """Ids of the episodes that each tag was given to."""
        ids = self._episodes.episode_id.tolist()
        return {
            name: {ids[row] for row, tags in enumerate(self._tags) if which in tags}
            for which, name in enumerate(self._tag_names)
        }

    def plain(
        self, plan: TrainingPlan, defects: DefectTable, unusual: UnusualTable, said: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """All of it, by columns, hidden characters of names shown.

        Args:
            plan: what to train on.
            defects: all findings.
            unusual: how far each episode is from the others of its task.
            said: what a person said of episodes, by id.
        """
        each = self._episodes
        success = each.success
        action, weight = self._planned(plan)
        found, kinds = self._found(defects)
        return {
            "n": len(each),
            "id": [visible(name, longest=LONGEST) for name in each.episode_id],
            "number": each.source_index.tolist(),
            **_coded("source", each.source),
            **_coded("task", each.family),
            **_coded("robot", each.robot),
            **_coded("how", each.outcome_source),
            **_coded("why", each.failure_reason),
            "ended": np.where(np.isnan(success), 2, np.nan_to_num(success) > 0.5).astype(int).tolist(),
            "frames": each.frames.tolist(),
            "seconds": [_short(value, 2) for value in each.duration_s],
            "action": action,
            "weight": weight,
            "tags": self._tags,
            "tag_names": self._tag_names,
            "defects": found,
            "defect_names": [visible(kind) for kind in kinds],
            "unusual": self._unusual(unusual),
            "odd": sorted(set(self._rows(unusual.episode_id)[unusual.shown].tolist()) - {-1}),
            "steps": self._steps,
            "labels": list(LABELS),
            "outcomes": list(OUTCOMES),
            "arms": [visible(name, longest=LONGEST) for name in self._arms],
            "said": [(said or {}).get(name, "") for name in each.episode_id],
        }

    def _rows(self, names: Text) -> Int64s:
        place = np.array([self._place.get(name, -1) for name in names.names], np.int64)
        return place[names.codes] if len(names.names) else np.zeros(0, np.int64)

    def _planned(self, plan: TrainingPlan) -> tuple[list[str], list[float | None]]:
        action, weight = [""] * len(self._episodes), [None] * len(self._episodes)  # type: list[str], list[Any]
        told = zip(self._rows(plan.episode_id).tolist(), plan.action, plan.weight.tolist(), strict=True)
        for row, what, how in told:
            if row >= 0:
                action[row], weight[row] = what, _short(how, 2)
        return action, weight

    def _found(self, defects: DefectTable) -> tuple[list[list[int]], list[str]]:
        kinds = sorted(set(defects.defect))
        found: list[set[int]] = [set() for _ in range(len(self._episodes))]
        for row, kind in zip(
            self._rows(defects.episode_id).tolist(), defects.defect.recode(kinds).tolist(), strict=True
        ):
            if row >= 0:  # else it is of the set as a whole, or of an episode that was put aside
                found[row].add(kind)
        return [sorted(each) for each in found], kinds

    def _unusual(self, unusual: UnusualTable) -> list[float | None]:
        p: list[float | None] = [None] * len(self._episodes)
        for row, value in zip(self._rows(unusual.episode_id).tolist(), unusual.p.tolist(), strict=True):
            if row >= 0:
                p[row] = _short(value, 3)
        return p


def details(
    names: Sequence[str],
    episodes: EpisodeTable,
    segments: SegmentTable,
    tags: TagTable,
    defects: DefectTable,
    signals: SignalTable,
    plan: TrainingPlan,
    unusual: UnusualTable,
    labels: LabelTable,
) -> dict[str, dict[str, Any]]:
    """All about some episodes, by their ids, in the order of ``names``; tables may hold others too."""
    tables: tuple[Table, ...] = (episodes, segments, tags, defects, signals, plan, unusual, labels)
    rows = [_rows_by_name(table, names) for table in tables]
    told = {}
    for name in names:
        own, steps, marks, found, drawn, planned, odd, said = (each.get(name, []) for each in rows)
        told[name] = {
            **_ended(episodes, own),
            "segments": [_segment(segments, row) for row in steps],
            "tags": [_tag(tags, row) for row in marks if THRESHOLDS.get(tags.tag[row], 0.0) < tags.level[row]],
            "unassessed": sorted({tags.tag[row] for row in marks if np.isnan(tags.level[row])}),
            "defects": [_defect(defects, row) for row in found],
            "signals": [signal_plain(signals, row) for row in drawn],
            "plan": _plan(plan, planned),
            "unusual": [[_short(unusual.p[row], 3), unusual.words[row]] for row in odd],
            "labels": [said_plain(labels, row) for row in said],
        }
    return told


def said_words(labels: LabelTable) -> dict[str, str]:
    """What persons say of each episode of which they say anything, in a word or two, by id."""
    told: dict[str, set[str]] = {}
    for name, what in zip(labels.episode_id, labels.what, strict=True):
        told.setdefault(name, set()).add(what)
    both = {"success", "failure"}
    return {
        name: ", ".join([*sorted(what - both), "disputed"]) if both <= what else ", ".join(sorted(what))
        for name, what in told.items()
    }


def said_plain(labels: LabelTable, row: int) -> dict[str, Any]:
    """One thing that a person says, as plain values."""
    return {
        "what": labels.what[row],
        "value": labels.value[row],
        "frame": int(labels.frame[row]),
        "by": labels.by[row],
    }


def _ended(episodes: EpisodeTable, rows: Sequence[int]) -> dict[str, Any]:
    if not rows:
        return {}
    row = rows[0]
    inferred = episodes.inferred_success[row]
    return {
        "instruction": episodes.instruction[row],
        "nominal": bool(episodes.nominal[row]),
        "inferred": None if np.isnan(inferred) else int(inferred),
        "sure": _short(float(episodes.inferred_confidence[row]), 2),
        "end": episodes.inferred_end[row],
    }


def _segment(segments: SegmentTable, row: int) -> list[Any]:
    return [
        segments.manipulator[row],
        int(segments.start_frame[row]),
        int(segments.end_frame[row]),
        segments.label[row],
        segments.outcome[row],
        segments.failure_reason[row],
        segments.object[row],
        _short(float(segments.confidence[row]), 2),
        int(segments.segment_id[row]),
    ]


def _tag(tags: TagTable, row: int) -> list[Any]:
    level = _short(float(tags.level[row]), 2)
    return [tags.tag[row], int(tags.start_frame[row]), int(tags.end_frame[row]), level, tags.details[row]]


def _defect(defects: DefectTable, row: int) -> list[Any]:
    span = [int(defects.start_frame[row]), int(defects.end_frame[row])]
    return [defects.defect[row], *span, _short(float(defects.severity[row]), 2), defects.details[row]]


def signal_plain(signals: SignalTable, row: int) -> list[Any]:
    """One signal as the page draws it: arm, name, unit, ends of its range, and its stretches in base64."""
    ends = [_short(float(value), 5) for value in (signals.low[row], signals.high[row])]
    drawn = [base64.b64encode(each[row].tobytes()).decode() for each in (signals.least, signals.most)]
    alike = drawn[0] == drawn[1]  # as in an episode with fewer frames than stretches
    return [
        signals.manipulator[row],
        signals.signal[row],
        signals.unit[row],
        *ends,
        drawn[0],
        "" if alike else drawn[1],
    ]


def _plan(plan: TrainingPlan, rows: Sequence[int]) -> dict[str, Any]:
    if not rows:
        return {}
    row = rows[0]
    return {
        "action": plan.action[row],
        "weight": _short(float(plan.weight[row]), 3),
        "keep": [int(plan.keep_start_frame[row]), int(plan.keep_end_frame[row])],
        "words": plan.words[row],
        "knowledge": plan.kind_of_knowledge[row],
    }


def as_script(identity: str, values: Any, *, shown: bool = False) -> Markup:
    """Values as a block of data in a page, which no browser runs; what they hold cannot end the block.

    Args:
        identity: of the block.
        values: plain ones.
        shown: hidden characters are shown in them already.

    >>> as_script("data", {"name": "</script><b>"})
    '<script type="application/json" id="data">{"name":"\\\\u003c/script>\\\\u003cb>"}</script>'
    """
    return Markup(f'<script type="application/json" id="{identity}">{as_json(values, shown=shown)}</script>')


def as_json(values: Any, *, shown: bool = False) -> str:
    """JSON without blanks and without what could end or open an element; hidden characters of names are shown."""
    text = json.dumps(
        values if shown else _page_values(values), ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _page_values(values: Any) -> Any:
    if isinstance(values, str):
        return visible(values, longest=LONGEST)
    if isinstance(values, Mapping):
        return {visible(key, longest=4000): _page_values(value) for key, value in values.items()}
    return [_page_values(value) for value in values] if isinstance(values, list | tuple) else values


def with_pictures(
    told: Mapping[str, Mapping[str, Any]], thumbnails: ThumbnailTable, most: int = MOST_PICTURES
) -> dict[str, dict[str, Any]]:
    """What is told of episodes with their small pictures, of as many, the first first, as take so many bytes.

    Args:
        told: by ids.
        thumbnails: of them, and perhaps of others.
        most: bytes.
    """
    rows, full = _rows_by_name(thumbnails, list(told)), {}
    for name, values in told.items():
        mine = rows.get(name, [])
        most -= sum(len(thumbnails.data[row]) for row in mine)
        shown = [_thumbnail(thumbnails, row) for row in mine] if most >= 0 else []
        full[name] = {**values, "thumbnails": sorted(shown, key=lambda each: (each["frame"], each["camera"]))}
    return full


def _thumbnail(thumbnails: ThumbnailTable, row: int) -> dict[str, Any]:
    kind = thumbnails.media_type[row]
    data = thumbnails.data[row] if kind in ("image/webp", "image/jpeg", "image/png") else ""
    return {
        "camera": thumbnails.camera[row],
        "frame": int(thumbnails.frame[row]),
        "moment": thumbnails.moment[row],
        "source": f"data:{kind};base64,{data}" if _BASE64.fullmatch(data) else "",
    }


def within(told: Mapping[str, Any], most: int = MOST_BYTES) -> dict[str, Any]:
    """As many of the episodes, the first first, as take no more than so many bytes."""
    kept, left = {}, most
    for name, values in told.items():
        left -= len(as_json(values)) + len(name)
        if left < 0:
            break
        kept[name] = values
    return kept


def _coded(name: str, column: Text) -> dict[str, Any]:
    """A text column as codes over the names that occur."""
    used, codes = np.unique(column.codes, return_inverse=True)
    return {
        name: codes.tolist(),
        f"{name}_names": [visible(column.names[code], longest=LONGEST) for code in used.tolist()],
    }


def _rows_by_name(table: Table, names: Iterable[str]) -> dict[str, list[int]]:
    ids: Text = vars(table)["episode_id"]
    wanted = ids.isin(*names)
    found: dict[str, list[int]] = {}
    for row in np.flatnonzero(wanted).tolist():
        found.setdefault(ids[row], []).append(row)
    return found


def _runs(values: Int64s) -> tuple[Int64s, Int64s]:
    """Start and end of each run of equal values."""
    begins = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    return begins, np.r_[begins[1:], len(values)]


def _short(value: float, digits: int) -> float | None:
    """A number to so many places (or, where it is large or small, as many digits); None for nothing."""
    if not np.isfinite(value):
        return None
    short = round(float(value), digits)
    return float(f"{value:.4g}") if digits > 3 else int(short) if short == int(short) else short
