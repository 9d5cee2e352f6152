"""Faults planted into a user's own episodes, and changes that mean nothing: by both a detector is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from sima2.defects.planting.behaviour import BEHAVIOUR, Plant, Planted
from sima2.defects.planting.hosts import Host, Usual
from sima2.defects.planting.signals import HARMLESS, SIGNALS
from sima2.errors import UnknownNameError

__all__ = ["BEHAVIOUR", "HARMLESS", "KINDS", "SIGNALS", "Host", "Plant", "Planted", "Usual", "plant"]

KINDS: Final[Mapping[str, Callable[[Host, np.random.Generator], Planted]]] = {**SIGNALS, **BEHAVIOUR}
"""Every kind of fault that can be planted into the signals."""


def plant(kind: str, host: Host, rng: np.random.Generator) -> Planted:
    """One fault in an episode: the new episode and where, or why none could be planted.

    Args:
        kind: one of :data:`KINDS`.
        host: the episode, which is not changed.
        rng: of where and how.

    Raises:
        UnknownNameError: for an unknown kind, naming the valid ones.
    """
    if kind not in KINDS:
        raise UnknownNameError("kind of fault", kind, KINDS)
    return KINDS[kind](host, rng)
