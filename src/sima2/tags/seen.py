"""What a tag may look at, and how it says so: what was known at the landmark, or whole episodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sima2.errors import RecordError
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.tags import TagSpec, TagTable
from sima2.tags.observations import RiskObservations, SegmentObservations, episode_places
from sima2.tags.strangeness import prefix_novelty

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sima2.tags.references import Fold


@dataclass(frozen=True, slots=True, eq=False)
class TaggedEpisodes:
    """The episodes to be tagged, in the order of the tags to come (n of them)."""

    episode_index: Int64s
    """The source's own number of each, shape (n,)."""
    episode_id: Text
    frames: Int64s
    """shape (n,)."""
    family: Text
    debug_mode: Bools
    """shape (n,)."""
    inferred_success: Float64s
    """1, 0 or NaN, inferred from the segments, shape (n,)."""

    def __post_init__(self) -> None:
        n = len(self.episode_id)
        for name in ("episode_index", "frames", "family", "debug_mode", "inferred_success"):
            if len(getattr(self, name)) != n:
                raise RecordError(f"TaggedEpisodes.{name} has {len(getattr(self, name))} entries for {n} episodes")

    def __len__(self) -> int:
        return len(self.episode_id)

    def take(self, index: NDArray[np.int64]) -> TaggedEpisodes:
        """Episodes by index, in that order."""
        return TaggedEpisodes(
            episode_index=self.episode_index[index],
            episode_id=self.episode_id[index],
            frames=self.frames[index],
            family=self.family[index],
            debug_mode=self.debug_mode[index],
            inferred_success=self.inferred_success[index],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """What was known of n episodes at their landmarks; nothing later."""

    landmarks: RiskObservations
    """One row an episode."""
    observed: SegmentObservations
    """Segments of the episodes as cut at their landmarks, and of no others."""
    fold: Fold
    """References that were fitted without these episodes."""

    def novelty(self) -> Float64s:
        """Visual and kinematic score up to the landmark, NaN where unknown, shape (n, 2)."""
        return prefix_novelty(self.fold.strangeness, self.observed, self.landmarks.episode_id)


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """All that is known of n whole episodes."""

    episodes: TaggedEpisodes
    landmarks: RiskObservations
    """One row an episode, in the same order."""
    observed: SegmentObservations
    """Segments of the episodes, both whole and as cut at their landmarks."""
    segments: SegmentTable
    doubtful: Bools
    """Segments that are too uncertain for a tag to rest on, one of ``segments`` each."""
    fold: Fold
    """References that were fitted without these episodes."""
    assumed_watts: float
    """Power with which a cost is estimated where none was measured."""
    before: Mapping[str, TagTable]
    """Rows of the tags that stand before this one in ``specs.TAGS``."""

    def level(self, name: str) -> Float64s:
        """Highest level of an earlier tag in each episode, NaN where it was not assessed, shape (n,)."""
        tags, level = self.before[name], np.full(len(self.episodes), np.nan)
        if len(tags):
            np.fmax.at(level, episode_places(tags.episode_id, self.episodes.episode_id), tags.level)
        return level


@dataclass(frozen=True, slots=True)
class FromPrefix:
    """A tag that looks no further than the landmark: one row an episode or more, from what was known then."""

    spec: TagSpec
    rows: Callable[[Prefix], TagTable]


@dataclass(frozen=True, slots=True)
class FromWhole:
    """A tag that looks at whole episodes, of which each has one row or more."""

    spec: TagSpec
    rows: Callable[[Whole], TagTable]
