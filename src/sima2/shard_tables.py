"""The kinds of table that shards hold: the class of each and its folder, once for all who write or read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from sima2.records.courses import PointTable
from sima2.records.defects import DefectTable, EpisodeMeasures, PauseTable
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable, GoalTable
from sima2.records.intake import NoteTable, QuarantineTable, SkippedTable
from sima2.records.plan import PlannedFrames
from sima2.records.primitives import PrimitiveTable
from sima2.records.segments import SegmentTable
from sima2.records.signals import SignalTable
from sima2.records.table import Table
from sima2.records.tags import TagTable
from sima2.records.video import CameraTable, LastFrameTable, ThumbnailTable
from sima2.tags.observations import RiskObservations, SegmentObservations, pool, pool_risk

if TYPE_CHECKING:
    from sima2.io.store import Store

T = TypeVar("T", bound=Table)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of table that shards hold."""

    folder: str
    """Where its shards lie in the folder of a run: ``<folder>/shard-000000.parquet`` and so on."""
    table: type[T]
    join: Callable[[Sequence[T]], T] | None = None
    """Puts parts end to end, where it takes more than ``table.concat``."""

    def joined(self, parts: Sequence[T]) -> T:
        """Parts end to end."""
        return self.table.concat(parts) if self.join is None else self.join(parts)

    def shards(self, store: Store, *, below: int | None = None) -> Iterator[T]:
        """The tables of the committed shards, in shard order; only those ``below`` a shard if given."""
        return store.read(self.table, self.folder, below=below)

    def whole(self, store: Store) -> T:
        """The tables of all committed shards end to end."""
        return self.joined(list(self.shards(store)))


EPISODES: Final = Kind("episode_shards", EpisodeTable)
"""As pass 1 left them; ``episodes.parquet`` has what was decided on all of them besides."""
SEGMENTS: Final = Kind("segments", SegmentTable)
PRIMITIVES: Final = Kind("primitives", PrimitiveTable)
MEASURED_COSTS: Final = Kind("econ_shards", EconTable)
"""Before persons spoke of outcomes."""
OBSERVATIONS: Final = Kind("observations", SegmentObservations, pool)
LANDMARKS: Final = Kind("landmarks", RiskObservations, pool_risk)
GOALS: Final = Kind("goals", GoalTable)
QUARANTINE: Final = Kind("quarantine_shards", QuarantineTable)
NOTES: Final = Kind("note_shards", NoteTable)
DEFECTS: Final = Kind("defect_shards", DefectTable)
"""Of single episodes; ``defects.parquet`` has those besides that the others of a set show."""
MEASURES: Final = Kind("measures", EpisodeMeasures)
PAUSES: Final = Kind("pauses", PauseTable)
POINTS: Final = Kind("points", PointTable)
SIGNALS: Final = Kind("signals", SignalTable)
SKIPPED: Final = Kind("skipped", SkippedTable)
"""Episodes that were there already; a shard of a folder's first run has none."""

VIDEO_DEFECTS: Final = Kind("video_defects", DefectTable)
CAMERAS: Final = Kind("cameras", CameraTable)
THUMBNAILS: Final = Kind("thumbnails", ThumbnailTable)
LAST_FRAMES: Final = Kind("last_frames", LastFrameTable)

TAG_ROWS: Final = Kind("tags", TagTable)
COSTS: Final = Kind("econ", EconTable)
"""With the outcomes that persons say."""
FRAME_WEIGHTS: Final = Kind("frame_weights", PlannedFrames)


@dataclass(frozen=True, slots=True, eq=False)
class ShardTables:
    """The tables of a shard that its tags, costs and counts are made of."""

    episodes: EpisodeTable
    segments: SegmentTable
    primitives: PrimitiveTable
    econ: EconTable
    observations: SegmentObservations
    landmarks: RiskObservations
    goals: GoalTable

    KINDS: ClassVar[Mapping[str, Kind[Any]]] = MappingProxyType(
        {
            "episodes": EPISODES,
            "segments": SEGMENTS,
            "primitives": PRIMITIVES,
            "econ": MEASURED_COSTS,
            "observations": OBSERVATIONS,
            "landmarks": LANDMARKS,
            "goals": GOALS,
        }
    )
    """By the field that holds it, how each table is stored."""

    def tables(self) -> dict[str, Table]:
        """The tables by the folder they are stored in."""
        return {kind.folder: getattr(self, name) for name, kind in self.KINDS.items()}
