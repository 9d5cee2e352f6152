"""The pool that is sampled from: what weights may look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.errors import UsageError
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.episodes import EpisodeTable
from sima2.records.table import Text, read_only
from sima2.records.tags import TagSpec, TagTable
from sima2.records.trust import TrustMatrix, TrustRow


class Tested(NamedTuple):
    """Episodes on which tags act by one and the same trust: that of their collection."""

    member: Bools
    """Shape (n,)."""
    trust: Mapping[str, TrustRow]


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Episodes to draw from (n of them), with their tags and the trust in these."""

    episode_index: Int64s
    """As in ``EpisodeTable``, shape (n,)."""
    episode_id: Text
    family: Text
    success: Float64s
    """1, 0 or NaN, shape (n,)."""
    levels: Mapping[str, Float64s] = field(default_factory=lambda: MappingProxyType({}))
    """Tag to its level in each episode, 0 where it is not given, shape (n,)."""
    trust: Mapping[str, TrustRow] = field(default_factory=lambda: MappingProxyType({}))
    pulls: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: MappingProxyType({}))
    """How each tag pulls at weights, by objective and strategy, as ``TagSpec.pulls``."""
    templates: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Template by which a pump can be asked for more episodes of a tag, as ``TagSpec.template``; none of other tags."""
    apart: tuple[Tested, ...] = ()
    """Where there are several collections, the trust of each in the place of ``trust``."""

    def __post_init__(self) -> None:
        n = len(self.episode_id)
        lengths = {"episode_index": len(self.episode_index), "family": len(self.family), "success": len(self.success)}
        lengths |= {tag: len(level) for tag, level in self.levels.items()}
        for name, length in lengths.items():
            if length != n:
                raise UsageError(f"pool: {name} has {length} entries for {n} episodes")
        for tag, level in self.levels.items():
            if not ((level >= 0) & (level <= 1)).all():
                raise UsageError(f"pool: levels of {tag} leave 0 to 1")
        levels = {tag: read_only(np.asarray(level, np.float64)) for tag, level in sorted(self.levels.items())}
        object.__setattr__(self, "levels", MappingProxyType(levels))

    def __len__(self) -> int:
        return len(self.episode_id)

    @property
    def tested(self) -> tuple[Tested, ...]:
        """By what trust tags act on which episodes."""
        return self.apart or (Tested(np.ones(len(self), np.bool_), self.trust),)

    def take(self, index: NDArray[Any]) -> Pool:
        """Episodes by index or mask, in that order."""
        return Pool(
            episode_index=self.episode_index[index],
            episode_id=self.episode_id[index],
            family=self.family[index],
            success=self.success[index],
            levels={tag: level[index] for tag, level in self.levels.items()},
            trust=self.trust,
            pulls=self.pulls,
            templates=self.templates,
            apart=tuple(Tested(each.member[index], each.trust) for each in self.apart),
        )

    @classmethod
    def of(
        cls,
        episodes: EpisodeTable,
        tags: TagTable,
        trust: Mapping[str, TrustRow],
        specs: Mapping[str, TagSpec],
    ) -> Pool:
        """The pool of a folder's tables; a tag is given where its level is above the threshold that it declares."""
        return cls(
            episode_index=episodes.episode_index,
            episode_id=episodes.episode_id,
            family=episodes.family,
            success=episodes.success,
            levels=given_levels(tags, episodes.episode_id, specs),
            trust=trust,
            pulls={name: spec.pulls for name, spec in specs.items()},
            templates={name: spec.template for name, spec in specs.items() if spec.template},
            apart=tested_apart(episodes, trust) if isinstance(trust, TrustMatrix) else (),
        )


def tested_apart(episodes: EpisodeTable, trust: TrustMatrix) -> tuple[Tested, ...]:
    """Episodes of each collection, with what was tested on them."""
    return tuple(
        Tested(episodes.source.isin(*(each for each, of in trust.sources.items() if of == name)), rows)
        for name, rows in trust.by_collection.items()
    )


def given_levels(tags: TagTable, episode_id: Text, specs: Mapping[str, TagSpec]) -> dict[str, Float64s]:
    """Highest level of each tag above its threshold in each episode, 0 where there is none, shape (n,)."""
    place = {name: i for i, name in enumerate(episode_id)}
    known = np.array([place.get(name, -1) for name in tags.episode_id.names], np.int64)
    row = known[tags.episode_id.codes] if len(tags) else np.zeros(0, np.int64)
    level = np.nan_to_num(tags.level)
    out = {}
    for tag, spec in sorted(specs.items()):
        given = np.flatnonzero(tags.tag.isin(tag) & (row >= 0) & (level > spec.threshold))
        column = np.zeros(len(episode_id))
        np.maximum.at(column, row[given], np.minimum(level[given], 1.0))
        out[tag] = column
    return out
