"""What was learned: proposals, the ontology and the task graph. All of it advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sima2.records.table import Table, Text, column, text


@dataclass(frozen=True, eq=False)
class ProposalTable(Table):
    """Proposals ordered by priority; no field carries a reward, a price or a sampling weight."""

    proposal_id: Text = text()
    """Digest of what is proposed, the same in every run."""
    kind: Text = text()
    """``affordance``, ``fragility_node``, ``recovery_node``, ``missing_skill``, ``recovery_edge``,
    ``verification_node``, ``safety_stop``, ``inspection_node``, ``abort_node``."""
    object: Text = text()
    """Object class concerned."""
    action: Text = text()
    reason: Text = text()
    """Failure reason concerned, or empty."""
    priority: NDArray[np.float64] = column(np.float64)
    """0–1."""
    confidence: NDArray[np.float64] = column(np.float64)
    """0–1, the bound that decided."""
    support: NDArray[np.int64] = column(np.int64)
    """Occurrences it rests on."""
    trials: NDArray[np.int64] = column(np.int64)
    """Occasions on which it could have occurred."""
    source_tag: Text = text()
    """Tag it rests on, empty where evidence alone."""
    status: Text = text()
    """``accepted`` (and applied), ``refused``, ``pending_trust``, or ``undone`` by a person."""
    status_reason: Text = text()
    rationale: Text = text()
    """Why, in words."""
    episodes: Text = text()
    """Episodes that triggered it, JSON list, at most 20."""


@dataclass(frozen=True, eq=False)
class ActionTable(Table):
    """Alarms that a robot's guard may act on. One row an alarm, ordered as the tags."""

    episode_id: Text = text()
    tag: Text = text()
    action: Text = text()
    """``safety_stop`` where the tag is trusted, ``warning`` where it is provisional."""
    frame: NDArray[np.int64] = column(np.int64)
    """First frame at which it could have been raised."""
    urgency: NDArray[np.float64] = column(np.float64)
    """Severity of the tag, or its level where it has no severity, 0–1."""
    trust: NDArray[np.float64] = column(np.float64)
    """Trust in the tag, 0–1."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph as plain data: nodes by id and edges, each with its attributes."""

    nodes: Mapping[str, Mapping[str, Any]]
    edges: tuple[tuple[str, str, Mapping[str, Any]], ...]
