"""What was learned: proposals, the ontology and the task graph. All of it advice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sima2.records.arrays import Float64s, Int64s
from sima2.records.meanings import EPISODE_ID, OBJECT_CLASS, one_of
from sima2.records.table import Table, Text, column, text

PROPOSAL_KINDS: Final = (
    "affordance",
    "fragility_node",
    "recovery_node",
    "missing_skill",
    "recovery_edge",
    "verification_node",
    "safety_stop",
    "inspection_node",
    "abort_node",
)
"""What may be proposed."""


@dataclass(frozen=True, eq=False)
class ProposalTable(Table):
    """Proposals ordered by priority; no field carries a reward, a price or a sampling weight."""

    proposal_id: Text = text("Digest of what is proposed, the same in every run.")
    kind: Text = text(f"What is proposed: {one_of(PROPOSAL_KINDS)}.")
    object: Text = text(OBJECT_CLASS)
    action: Text = text("Action concerned; empty where none is.")
    reason: Text = text("Failure reason concerned; empty where none is.")
    priority: Float64s = column(np.float64, "0 to 1; rows are ordered by it, the highest first.", unit="1")
    confidence: Float64s = column(
        np.float64,
        "One-sided lower bound of the rate `support` / `trials` (of their episodes' where that is less), 0 to 1.",
        unit="1",
    )
    support: Int64s = column(np.int64, "Occurrences it rests on.", unit="occurrences")
    trials: Int64s = column(np.int64, "Occasions on which it could have occurred.", unit="occasions")
    source_tag: Text = text("Tag it rests on; empty where it rests on evidence alone.")
    status: Text = text("`accepted` (and applied), `refused`, `pending_trust`, or `undone` by a person.")
    status_reason: Text = text("Why it has this status, in words and numbers.")
    rationale: Text = text("Why it is proposed, in words.")
    episodes: Text = text("Ids of episodes that triggered it, a JSON list of at most 20.")


@dataclass(frozen=True, eq=False)
class ActionTable(Table):
    """Alarms that a robot's guard may act on. One row an alarm, ordered as the tags."""

    episode_id: Text = text(EPISODE_ID)
    tag: Text = text("The tag that raises it.")
    action: Text = text("`safety_stop` where the tag is trusted, `warning` where it is provisional.")
    frame: Int64s = column(
        np.int64, "Frame at which it could first be raised, counted from the episode's start.", unit="frame"
    )
    urgency: Float64s = column(
        np.float64, "Severity of the tag, or its level where it has no severity, 0 to 1.", unit="1"
    )
    trust: Float64s = column(np.float64, "Trust in the tag, 0 to 1.", unit="1")


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph as plain data: nodes by id and edges, each with its attributes."""

    nodes: Mapping[str, Mapping[str, Any]]
    edges: tuple[tuple[str, str, Mapping[str, Any]], ...]
