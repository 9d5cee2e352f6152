"""The source of a run: its episodes under its own numbers, and its frames if the data are still there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sima2.errors import UsageError

if TYPE_CHECKING:
    from sima2.client import Source
    from sima2.io.store import Run
    from sima2.records.episodes import EpisodeTable
    from sima2.records.plan import PlannedFrames
    from sima2.records.table import Table

T = TypeVar("T", bound="Table")


@dataclass(frozen=True, slots=True, eq=False)
class SourceOfRun:
    """What a run of a folder read."""

    run: Run
    episodes: EpisodeTable
    """Those that went through, under the source's own numbers."""
    aside: Any
    """Own numbers of those that were put aside or skipped, shape (n,)."""
    path: Path | None
    """The recorded data set; None where there is none, or it is no longer there."""
    kept: PlannedFrames
    """Frames as the run numbered them, its episodes under the source's own numbers; none where the data are there."""

    def own(self, table: T) -> T:
        """The rows of a table that are of this source, under its own numbers."""
        return _of_run(table, self.run)

    def frames(self) -> tuple[Any, Any, str]:
        """Episode and index of each frame of the source, shape (n,) each, and how they are numbered, in words.

        Raises:
            UsageError: if frames cannot be numbered without the data set, or it is another one.
        """
        import numpy as np

        from sima2.sampling.frames import counted_frames

        stated: dict[int, int] = {}
        if len(self.kept) and (self.kept.index >= 0).all():
            return self.kept.episode_index, self.kept.index, "as the run read them; the data are not there any more"
        if self.path is not None:
            from sima2.io.frame_rows import frame_rows

            rows = frame_rows(self.path)
            held = dict(zip(*(each.tolist() for each in np.unique(rows.episode, return_counts=True)), strict=True))
            stated = {**rows.stated, **held}
            read = self.episodes
            for number, frames in zip(read.episode_index.tolist(), read.frames.tolist(), strict=True):
                if stated.get(number, frames) != frames:
                    problem = f"{self.path} states {stated[number]} frames for episode {number}, the run read {frames}"
                    raise UsageError(f"{problem}: is it another data set?")
            if len(rows.episode):
                lost = f"; {len(rows.unread)} episodes cannot be read and have none" if rows.unread else ""
                return rows.episode, rows.index, f"by {rows.numbered}{lost}"
        episode = counted_frames(self.episodes, self.aside, stated)
        return episode, np.arange(len(episode)), "by counting through all episodes"


def source_of(out: Path, run: int | None, path: Path | None) -> SourceOfRun:
    """The source of a run.

    Args:
        out: folder of finished runs.
        run: which, from 1; needed where the folder holds several.
        path: the data set; that of the run, if not given.

    Raises:
        StoreError: if the folder is not one of a finished run.
        UsageError: if the run is not named or not there, or the data are not those that it read.
    """
    import numpy as np

    from sima2.io.formats import is_dataset
    from sima2.io.same_source import refuse_other
    from sima2.io.store import Store
    from sima2.records.episodes import EpisodeTable
    from sima2.records.intake import QuarantineTable
    from sima2.records.plan import PlannedFrames
    from sima2.report.inputs import read_single
    from sima2.shard_tables import FRAME_WEIGHTS, SKIPPED

    with Store.read_only(out) as store:
        runs = store.runs
        skipped = SKIPPED.whole(store)
    if run is None and len(runs) > 1:
        sources = "; ".join(f"{each.number}: {each.origin.get('words', 'unknown')}" for each in runs)
        raise UsageError(
            f"{out} holds several runs, and frames are numbered within a source: say which --run ({sources})"
        )
    chosen = next((each for each in runs if each.number == (run or 1)), None)
    if chosen is None:
        raise UsageError(f"{out} holds no run {run}; there are {len(runs)}")
    episodes = _of_run(read_single(out, EpisodeTable, "episodes"), chosen)
    aside = [_of_run(each, chosen).episode_index for each in (read_single(out, QuarantineTable, "quarantine"), skipped)]
    if path is None:
        given = chosen.settings.get("path")
        path = Path(given) if given and is_dataset(Path(given)) else None
    if path is not None:
        refuse_other(path, set(episodes.source))
    kept = PlannedFrames.empty()
    if path is None and chosen.settings.get("path"):
        with Store.read_only(out) as store:
            kept = _of_run(FRAME_WEIGHTS.whole(store), chosen)
    return SourceOfRun(chosen, episodes, np.concatenate(aside), path, kept)


def rollouts_of(out: Path, read: SourceOfRun) -> Source:
    """The rollouts that a run read, to be read again.

    Raises:
        UsageError: if its data set is not there any more.
    """
    from sima2.client import Sima2Client, backend_of
    from sima2.io.store import MAPS

    given = read.run.settings
    backend = backend_of(str(given.get("source", "lerobot")))
    if backend != "dataset":
        client = Sima2Client(backend, seed=int(given["seed"]), rate_hz=float(given["rate_hz"]))
        families = tuple(given["families"])
        asked = tuple((str(family), str(template), int(count)) for family, template, count in given["request"])
        wanted = {name: given[name] for name in ("mix", "episodes", "total")}
        return client.source(families=families, request=asked, **wanted)
    from sima2.io.remote import url_of

    url = url_of(str(given.get("path") or ""))
    if read.path is None and url is None:
        raise UsageError(f"{out}: {given.get('path')} is no data set any more: name it with --path")
    names = [f"{MAPS}.toml", f"{MAPS}-{read.run.origin.get('source_id', '')}.toml"]
    used = next((out / name for name in names if (out / name).is_file()), None)
    source = Sima2Client("dataset", path=read.path or url, column_map=used).source()
    if read.path is None and source.source_id != read.run.origin.get("source_id"):
        raise UsageError(
            f"{url} holds the source {source.source_id} now, the run read another: run again, with --fresh"
        )
    return source


def _of_run(table: T, run: Run) -> T:
    """The rows of one run, its episodes under their source's own numbers."""
    index = vars(table)["episode_index"]
    own = replace(table, episode_index=index - run.first_episode)  # type: ignore[type-var]
    return own.take(run.holds(index).nonzero()[0])
