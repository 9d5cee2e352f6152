"""The runs of a folder: what is known of one that comes, and what one has brought."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sima2.records.arrays import Bools, Int64s

FILES: Final = ("column_map", "outcomes")
"""Settings that name a file, its path with its state behind it."""


@dataclass(frozen=True, slots=True)
class Coming:
    """A run that a folder is opened for."""

    settings: Mapping[str, Any]
    """What its results depend on, as plain JSON values."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """What its source is, as plain JSON values."""
    episodes: int = 0
    """That it takes in."""
    numbers_end: int = 0
    """One past the largest number that its source gives one of them."""
    shards: int = 0
    """That it will have."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run brought to a folder."""

    number: int
    """From 1."""
    settings: Mapping[str, Any]
    """What its results depend on."""
    origin: Mapping[str, Any]
    """What its source is."""
    episodes: int
    """That came in, used or not."""
    first_shard: int
    first_episode: int
    """One past the largest number of the runs before it: what is added to its source's own numbers."""
    end_episode: int
    """One past the largest number of its own."""
    finished: bool

    def holds(self, episode_index: Int64s) -> Bools:
        """Which numbers are of its episodes, shape (n,)."""
        return (episode_index >= self.first_episode) & (episode_index < self.end_episode)


def told_apart(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What of the settings of a run tells it from others: what files hold, not where they lie.

    >>> told_apart({"seed": 1, "path": "/a/set", "data": "3f", "outcomes": "/a/ends.csv 9c"})
    {'seed': 1, 'data': '3f', 'outcomes': '9c'}
    """
    told: dict[str, Any] = json.loads(canonical(settings, sort=False))
    told.pop("path", None)
    for name in FILES:
        if isinstance(told.get(name), str):
            told[name] = told[name].rpartition(" ")[2]
    return told


def canonical(settings: Mapping[str, Any], *, sort: bool = True) -> str:
    """Settings as JSON text, the same for the same settings."""
    return json.dumps(dict(settings), sort_keys=sort)
