"""LeRobot data sets of version 2.0, 2.1 and 3.0, read with pyarrow alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from sima2.errors import DatasetError, RolloutError
from sima2.io.column_map import ColumnMap, load_column_map
from sima2.io.documents import inside, insider, is_file
from sima2.io.formats.frame_source import Declared, Entry, Feature, Features, FrameRows, Recorded
from sima2.io.formats.lerobot_files import Frames, SharedFrames, read_frames, rows_of_episodes
from sima2.io.formats.lerobot_index import DEFAULTS, Index, load_index
from sima2.io.formats.lerobot_index import INFO as INFO
from sima2.io.formats.lerobot_own import OWN_MAP, OwnEpisodes
from sima2.io.formats.lerobot_rows import files_to_read, rows_by_file
from sima2.io.formats.mapped import MappedDataset
from sima2.io.outcomes import OUTCOME_FEATURES, Ending, from_columns
from sima2.io.sample import FRAME, TIMESTAMP
from sima2.io.source_id import content_id
from sima2.records.arrays import Int64s

DATA: Final = "data/**/*.parquet"
"""Pattern of the data files."""


def lerobot_id(root: Path) -> str | None:
    """The source id of a LeRobot data set; None where a part of it is missing, which is said when it is read."""
    if not (root / INFO).is_file() or next(root.glob(DATA), None) is None:
        return None  # metadata alone may still tell lengths
    return content_id(root, INFO, DATA)


@dataclass(frozen=True, eq=False)
class LeRobotFrames:
    """A LeRobot data set as a source of frames."""

    index: Index
    own: OwnEpisodes | None
    """What ``sima2 generate`` wrote of each episode beyond the format."""
    shared: SharedFrames = field(default_factory=SharedFrames)

    @classmethod
    def open(cls, path: Path) -> LeRobotFrames:
        """Read the metadata.

        Raises:
            DatasetError: if the data set is malformed as a whole.
        """
        index = load_index(path)
        written = is_file(path / OWN_MAP) and index.extras is not None
        return cls(index, OwnEpisodes.of(index.extras, index.episodes) if written and index.extras else None)

    @property
    def format(self) -> str:
        """``lerobot``."""
        return "lerobot"

    @property
    def version(self) -> str:
        """``v2.0``, ``v2.1`` or ``v3.0``."""
        return self.index.version

    @property
    def root(self) -> Path:
        """Folder of the data set."""
        return self.index.root

    @property
    def robot(self) -> str:
        """``robot_type``."""
        return self.index.robot

    @property
    def fps(self) -> float | None:
        """Hz."""
        return self.index.fps

    @property
    def features(self) -> Mapping[str, Feature]:
        """As ``info.json`` declares them."""
        return self.index.features

    @property
    def entries(self) -> Sequence[Entry]:
        """Episodes by ``episode_index``."""
        return self.index.episodes

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the metadata contradict."""
        return self.index.warnings

    @cached_property
    def source_id(self) -> str:
        """Of ``info.json`` and every data file's name, size and end (where Parquet keeps its statistics)."""
        return content_id(self.root, INFO, DATA)

    @property
    def own_map(self) -> ColumnMap | None:
        """Of a data set that ``sima2 generate`` wrote."""
        file = inside(self.root, OWN_MAP)
        return load_column_map(file) if is_file(file) and self.index.extras is not None else None

    def plain(self) -> LeRobotFrames:
        """As a data set of another program."""
        return LeRobotFrames(self.index, None)

    @property
    def bookkeeping(self) -> Collection[str]:
        """Columns that the format itself adds."""
        return DEFAULTS

    @property
    def outcome_features(self) -> Sequence[str]:
        """``next.success`` and ``next.reward``, unless the data set tells outcomes by itself."""
        return OUTCOME_FEATURES if self.own is None else ()

    @property
    def declared(self) -> Declared | None:
        """Nothing: names and values tell."""
        return None

    @property
    def tells_outcomes(self) -> bool:
        """Whether it has a column of outcomes or rewards."""
        return bool(set(OUTCOME_FEATURES) & set(self.features)) or self.own is not None

    def at_rate(self, fps: float) -> LeRobotFrames:
        """As if ``info.json`` said so."""
        return replace(self, index=replace(self.index, fps=fps))

    def frame_rows(self) -> FrameRows:
        """By column ``index``, else the place of each row."""
        from sima2.io.formats.lerobot_frame_rows import lerobot_rows

        return lerobot_rows(self.root)

    def name(self, entry: Entry) -> str:
        """The id given when it was written, else the source's id and its number."""
        own = self.own if entry.row >= 0 else None
        return f"{self.source_id}-{entry.episode:06d}" if own is None else own.name(entry)

    @property
    def restores(self) -> bool:
        """Whether ``sima2 generate`` wrote it."""
        return self.own is not None

    def restore(self, entry: Entry, values: dict[str, Any]) -> dict[str, Any]:
        """What ``sima2 generate`` wrote, as it was."""
        return values if self.own is None else self.own.restore(entry, values)

    def ending(self, entry: Entry, features: Features) -> Ending:
        """Of the data set's own columns."""
        return from_columns(features) if self.own is None else self.own.ending(entry)

    def read(self, entries: Sequence[Entry], features: Sequence[str]) -> Iterator[Recorded]:
        """Frames file by file, each opened once for neighbours that share it."""
        names = [*features, TIMESTAMP, FRAME]
        find = insider(self.root)
        for file, group in groupby(entries, key=lambda entry: entry.file):
            together = list(group)
            problem, frames = "", None
            rows: Mapping[int, slice | Int64s] | None = None
            try:
                wanted = {entry.episode for entry in together} if self.index.shared_files else None
                path = find(file)
                frames = read_frames(path, names, None) if wanted is None else self.shared.read(path, names, wanted)
                rows = self._rows(frames)
            except DatasetError as error:
                # the same words however the path was spelled
                problem = str(error).removeprefix(f"{self.root}/").removeprefix(f"{self.root.resolve()}/")
            for entry in together:
                yield self._elsewhere(entry, names, self._recorded(entry, frames, rows, problem))

    def _rows(self, frames: Frames) -> Mapping[int, slice | Int64s] | None:
        """Rows of each episode; None where all are of one."""
        shared = self.index.shared_files and frames.episode is not None
        return rows_of_episodes(frames.episode) if shared and frames.episode is not None else None

    def _recorded(
        self,
        entry: Entry,
        frames: Frames | None,
        rows: Mapping[int, slice | Int64s] | None,
        problem: str,
    ) -> Recorded:
        if frames is None:
            return Recorded(entry, {}, RolloutError(self.name(entry), "data", problem, reason="unreadable"))
        try:
            features, notes = self._cut(entry, frames, rows)
        except RolloutError as error:
            return Recorded(entry, {}, error.with_traceback(None))
        return Recorded(entry, features, None, notes)

    def _elsewhere(self, entry: Entry, names: Sequence[str], found: Recorded) -> Recorded:
        """Where the file that the index names does not hold the episode: what the others hold of it."""
        lost = entry.length is None
        lost |= found.trouble is not None and found.trouble.reason in ("unreadable", "length_mismatch")
        if not lost or not self.index.shared_files:
            return found
        files = files_to_read(entry, rows_by_file(self.root).get(entry.episode, {}))
        if files == (entry.file,):
            return found
        try:
            parts = [read_frames(inside(self.root, name), names, {entry.episode}) for name in files]
        except DatasetError:
            return found
        joined = Frames.concat(parts)
        again = self._recorded(entry, joined, self._rows(joined), "")
        if again.trouble is not None:
            return found
        told = f"its rows are in {', '.join(files)}, not in {entry.file} as the index says"
        return Recorded(entry, again.features, None, (told, *again.notes))

    def _cut(
        self, entry: Entry, frames: Frames, by_episode: Mapping[int, slice | Int64s] | None
    ) -> tuple[dict[str, NDArray[Any]], tuple[str, ...]]:
        """The features over the frames of one episode, once they fit each other."""
        name = self.name(entry)
        rows: Int64s | slice = slice(None)
        found = frames.rows
        if by_episode is not None:
            rows = by_episode.get(entry.episode, slice(0, 0))
            found = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        elif frames.episode is not None and found and (frames.episode != entry.episode).any():
            stray = frames.episode[frames.episode != entry.episode][0]
            problem = f"holds episode {stray} where {entry.episode} was expected"
            raise RolloutError(name, "data", problem, reason="wrong_episode", end_frame=found)
        if entry.length is not None and found < entry.length:
            problem = f"holds {found} frames, the index says {entry.length}: the rest is missing"
            raise RolloutError(
                name, "data", problem, reason="length_mismatch", start_frame=found, end_frame=entry.length
            )
        notes: tuple[str, ...] = ()
        if entry.length is not None and found > entry.length:
            notes = (f"holds {found} frames, the index says {entry.length}; all are read",)
        cut = {feature: values[rows] for feature, values in frames.features.items()}
        for feature, widths in frames.widths.items():
            known = widths[rows][widths[rows] >= 0]
            if known.size and (known != known[0]).any():
                raise RolloutError(name, feature, "rows differ in length", reason="mixed_dimensions", end_frame=found)
            cut[feature] = cut[feature][:, : known[0] if known.size else 0]
        return {feature: values for feature, values in cut.items() if values.shape[1]}, notes


def open_lerobot(path: Path, column_map: Path | None = None, outcomes: Path | None = None) -> MappedDataset:
    """Open a LeRobot data set.

    Raises:
        DatasetError: if it is malformed as a whole.
    """
    return MappedDataset.open(LeRobotFrames.open(path), column_map, outcomes)
