"""Episodes as they were found, unchecked: one by one, or several that are alike end to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from sima2.errors import RolloutError
from sima2.records.arrays import Int64s


@dataclass(frozen=True, slots=True, eq=False)
class RawEpisode:
    """An episode as it was found, unchecked."""

    episode_index: int
    """The source's own number."""
    episode_id: str | bytes
    source: str
    """File or generator, relative to the data set."""
    values: Mapping[str, Any]
    """Keyword arguments of ``Rollout``; anything may be wrong with them. An ``episode_id`` here is passed over."""
    trouble: RolloutError | None = None
    """Why it could not even be read, where that is so."""
    notes: tuple[str, ...] = ()
    """What is odd about it, as it was read."""


@dataclass(frozen=True, slots=True, eq=False)
class RawBlock:
    """Neighbouring episodes whose arms and scene recorded the same channels, frames end to end, unchecked."""

    episode_index: Sequence[int]
    """The source's own number of each of n episodes."""
    episode_id: Sequence[str]
    source: Sequence[str]
    offset: Int64s
    """First frame of each episode and one past the last, shape (n + 1,)."""
    arms: Mapping[str, Mapping[str, NDArray[Any]]]
    """Channels over all frames by arm."""
    scene: Mapping[str, NDArray[Any]]
    """``time``, and what of ``SCENE_CHANNELS`` there is, over all frames."""
    words: Sequence[Mapping[str, Any]]
    """Keyword arguments of ``Rollout`` that are no channels, of each episode."""
    notes: Sequence[tuple[str, ...]]
    """What is odd about each, as it was read."""

    def __len__(self) -> int:
        return len(self.episode_index)

    def rows(self, place: int) -> slice:
        """Frames of an episode."""
        return slice(int(self.offset[place]), int(self.offset[place + 1]))

    def one(self, place: int) -> RawEpisode:
        """An episode by itself."""
        mine = self.rows(place)
        arms = {arm: {name: value[mine] for name, value in channels.items()} for arm, channels in self.arms.items()}
        scene = {name: value[mine] for name, value in self.scene.items()}
        return RawEpisode(
            self.episode_index[place],
            self.episode_id[place],
            self.source[place],
            {**scene, "manipulators": arms, **self.words[place]},
            None,
            self.notes[place],
        )
