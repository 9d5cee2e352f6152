"""What a run is told and what it tells: its settings, how far it has come, what it found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MAIN_MIX: Final = "hardening"


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run's results depend on, and where they go."""

    source: str = "auto"
    """``auto`` is the format of the data set at ``path``, else the built-in task library."""
    path: Path | None = None
    column_map: Path | None = None
    outcomes: Path | None = None
    goals: tuple[str, ...] = ()
    """What was asked for of recorded episodes, as ``--goal`` names it."""
    prior: Path | None = None
    """Trust matrix of an earlier or pooled set, or the folder that holds it; it opens no gate."""
    mix: str = MAIN_MIX
    families: tuple[str, ...] = ()
    episodes: int | None = None
    """Of each family (``hardening``) or kind (``edge_cases_v1``), else in all."""
    total: int | None = None
    """In all, whatever the mix; in the place of ``episodes``."""
    seed: int = 0
    rate_hz: float = 20.0
    jobs: int = 1
    engine: str = "local"
    batch_size: int = 250
    """Rollouts in memory at once; changes no result."""
    out: Path = Path("results")
    resume: bool = False
    """Only go on with what is there; never add to it."""
    fresh: bool = False
    """Drop the results that are there instead of adding to them."""
    pool: bool = False
    """Add to results of another collection too: all are judged together."""
    video: bool = False
    """Look at videos too (extra ``video``)."""
    request: tuple[tuple[str, str, int], ...] = ()
    """Made rollouts by family, template and count, in place of ``mix``, ``families`` and ``episodes``."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run has come."""

    phase: str
    done: int
    total: int
    """Episodes."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run found: the content of ``summary.json``."""

    out: Path
    values: Mapping[str, Any]
