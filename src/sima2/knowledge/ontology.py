"""OntologyUpdateEngine: from evidence to affordances, fragilities, recoveries and missing skills."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import UsageError
from sima2.knowledge.evidence import RECOVERED, Evidence
from sima2.knowledge.proposals import Draft, table_of
from sima2.knowledge.support import lower_bound, sample
from sima2.records.knowledge import Graph, ProposalTable
from sima2.records.vocabulary import UNKNOWN

AFFORDANCES: Final[Mapping[str, str]] = {
    "grasp": "graspable",
    "lift": "liftable",
    "transport": "transportable",
    "place": "placeable",
    "pull": "pullable",
    "push": "pushable",
    "wipe": "wipeable",
}
"""What an object affords to whom an action on it succeeds."""


@dataclass(frozen=True, slots=True)
class OntologyUpdateEngine:
    """Proposes; it changes nothing. What decides is a one-sided 95 % lower bound of a rate, never a bare ratio."""

    least_support: int = 3
    """Occurrences below which nothing is proposed at all: one or two may be a mislabelled segment each."""
    least_success: float = 0.05
    """An affordance holds when its action surely succeeds more often than a label is wrong by chance."""
    fragile: float = 0.05
    """A step is fragile when it surely fails for that reason more often than one time in twenty."""
    least_recovery: float = 0.05
    """A correction recovers when it surely makes good more than one failure in twenty."""
    patience: int = 100
    """Episodes that tried a fragile step, after it was known to be so, before its missing recovery is an alert."""

    def __post_init__(self) -> None:
        for name in ("least_success", "fragile", "least_recovery"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, it must be a rate in [0, 1)")
        if self.least_support < 1 or self.patience < 0:
            raise UsageError("least_support must be at least 1 and patience at least 0")

    def propose(self, evidence: Evidence) -> ProposalTable:
        """Proposals on the evidence so far, ordered by priority; the same evidence gives the same proposals."""
        fragile = self._fragilities(evidence)
        recovered = self._recoveries(evidence, fragile)
        missing = self._missing(evidence, fragile, recovered)
        return table_of([*self._affordances(evidence), *fragile, *recovered, *missing])

    def ontology(self, evidence: Evidence, proposals: ProposalTable) -> Graph:
        """Typed nodes with their support; every node has an edge.

        Nodes are ``object:…``, ``action:…``, ``affordance:…``, ``reason:…`` and the accepted fragilities and
        recoveries under their proposal's id.
        """
        nodes: dict[str, dict[str, Any]] = {}
        edges: list[tuple[str, str, Mapping[str, Any]]] = []

        def node(kind: str, name: str, support: int) -> str:
            key = f"{kind}:{name}"
            known = nodes.setdefault(key, {"type": kind, "name": name, "support": 0})
            known["support"] += support
            return key

        for (thing, action), cells in _tallies(evidence).items():
            total = sum(cells.values())
            ends = node("object", thing, total), node("action", action, total)
            edges.append((*ends, {"type": "undergoes", "support": total, "successes": cells.get("success", 0)}))
        fragilities: dict[tuple[str, str, str], str] = {}
        accepted = [row for row in proposals.rows() if row["status"] == "accepted"]
        for row in accepted:
            if row["kind"] == "affordance":
                kind = node("affordance", AFFORDANCES[row["action"]], row["support"])
                edges.append((f"object:{row['object']}", kind, {"type": "affords", "support": row["support"]}))
                edges.append((kind, f"action:{row['action']}", {"type": "shown_by", "support": row["support"]}))
            elif row["kind"] == "fragility_node":
                key = node("fragility", row["proposal_id"], row["support"])
                fragilities[row["object"], row["action"], row["reason"]] = key
                nodes[key] |= {name: row[name] for name in ("object", "action", "reason", "trials", "confidence")}
                reason = node("reason", row["reason"] or UNKNOWN, row["support"])
                for other, edge in (
                    (f"object:{row['object']}", "fragility_of"),
                    (f"action:{row['action']}", "during"),
                    (reason, "because"),
                ):
                    edges.append((key, other, {"type": edge, "support": row["support"]}))
        for row in accepted:
            if row["kind"] == "recovery_node":
                key = node("recovery", row["proposal_id"], row["support"])
                nodes[key] |= {name: row[name] for name in ("object", "action", "reason", "trials", "confidence")}
                fixes = fragilities[row["object"], row["action"], row["reason"]]
                edges.append((key, fixes, {"type": "fixes", "support": row["support"]}))
            elif row["kind"] == "missing_skill":
                nodes[fragilities[row["object"], row["action"], row["reason"]]]["missing_skill"] = True
        return Graph(nodes=nodes, edges=tuple(edges))

    def _affordances(self, evidence: Evidence) -> list[Draft]:
        found = []
        for (thing, action), cells in _tallies(evidence).items():
            support = cells.get("success", 0)
            if action not in AFFORDANCES or thing == UNKNOWN or support < self.least_support:
                continue
            trials = support + cells.get("failure", 0)
            bound = float(lower_bound(support, trials))
            found.append(
                Draft(
                    kind="affordance",
                    object=thing,
                    action=action,
                    priority=0.5 * bound,
                    confidence=bound,
                    support=support,
                    trials=trials,
                    needed=self.least_success,
                    rationale=f"{action} of {thing} succeeded {support} of {trials} times: {AFFORDANCES[action]}",
                    episodes=_sample(evidence, thing, action, "success"),
                )
            )
        return found

    def _fragilities(self, evidence: Evidence) -> list[Draft]:
        found = []
        tallies = _tallies(evidence)
        for (thing, action, reason), support in _by_reason(evidence, "failure").items():
            if support < self.least_support:
                continue
            trials = tallies[thing, action].get("success", 0) + tallies[thing, action].get("failure", 0)
            bound = float(lower_bound(support, trials))
            words = f"{action} of {thing} failed {support} of {trials} times: {reason or 'reason unknown'}"
            found.append(
                Draft(
                    kind="fragility_node",
                    object=thing,
                    action=action,
                    reason=reason,
                    priority=bound,
                    confidence=bound,
                    support=support,
                    trials=trials,
                    needed=self.fragile,
                    rationale=words,
                    episodes=_sample(evidence, thing, action, "failure", reason),
                )
            )
        return found

    def _recoveries(self, evidence: Evidence, fragile: list[Draft]) -> list[Draft]:
        known = {(each.object, each.action, each.reason): each for each in fragile if each.holds}
        rows = evidence.take(evidence.outcome.isin(RECOVERED))
        support: dict[tuple[str, str, str, str], int] = {}
        for row in rows.rows():
            key = (row["object"], row["action"], row["reason"], row["correction"])
            support[key] = support.get(key, 0) + row["count"]
        found = []
        for (thing, action, reason, correction), times in sorted(support.items()):
            node = known.get((thing, action, reason))
            if node is None or times < self.least_support:
                continue
            bound = float(lower_bound(times, node.support))
            found.append(
                Draft(
                    kind="recovery_node",
                    object=thing,
                    action=action,
                    reason=reason,
                    detail=correction,
                    priority=bound,
                    confidence=bound,
                    support=times,
                    trials=node.support,
                    needed=self.least_recovery,
                    rationale=f"{correction} made good {times} of {node.support} failures of fragility {node.id}",
                    episodes=_sample(evidence, thing, action, RECOVERED, reason),
                )
            )
        return found

    def _missing(self, evidence: Evidence, fragile: list[Draft], recovered: list[Draft]) -> list[Draft]:
        paired = {(each.object, each.action, each.reason) for each in recovered if each.holds}
        found = []
        for node in fragile:
            if not node.holds or (node.object, node.action, node.reason) in paired:
                continue
            stood = self._stood(evidence, node)
            if stood > self.patience:
                found.append(
                    Draft(
                        kind="missing_skill",
                        object=node.object,
                        action=node.action,
                        reason=node.reason,
                        priority=max(0.9, node.priority),
                        confidence=node.confidence,
                        support=node.support,
                        trials=node.trials,
                        needed=self.fragile,
                        rationale=f"fragility {node.id} has stood for {stood} episodes and no correction makes it good",
                        episodes=node.episodes,
                    )
                )
        return found

    def _stood(self, evidence: Evidence, node: Draft) -> int:
        """Episodes that tried the step after it was first surely fragile, in the order of their ids.

        The order of ids stands for that of time: no result may depend on the order of arrival.
        """
        tried = evidence.take(
            evidence.object.isin(node.object)
            & evidence.action.isin(node.action)
            & evidence.outcome.isin("success", "failure")
        )
        failed = tried.outcome.isin("failure") & tried.reason.isin(node.reason)
        ids, place = np.unique(tried.episode_id.decode().astype(str), return_inverse=True)
        trials = _integer_sums(place, tried.count, len(ids)).cumsum()
        failures = _integer_sums(place[failed], tried.count[failed], len(ids)).cumsum()
        sure = (lower_bound(failures, trials) > self.fragile) & (failures >= self.least_support)
        return len(ids) - 1 - int(np.argmax(sure)) if sure.any() else 0


def to_json(graph: Graph) -> str:
    """A graph as JSON text, nodes by id and edges in order."""
    edges = [{"from": a, "to": b, **attributes} for a, b, attributes in graph.edges]
    return json.dumps({"nodes": dict(graph.nodes), "edges": edges}, indent=1, sort_keys=True)


def _integer_sums(place: NDArray[np.intp], count: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    total = np.zeros(n, np.int64)
    np.add.at(total, place, count)
    return total


def _tallies(evidence: Evidence) -> dict[tuple[str, str], dict[str, int]]:
    """Attempts by (object, action), then by outcome, in sorted order; recoveries are no attempts of their own."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    rows = evidence.take(~evidence.outcome.isin(RECOVERED))
    for (thing, action, outcome), count in _sums(rows, "object", "action", "outcome").items():
        found.setdefault((thing, action), {})[outcome] = count
    return found


def _by_reason(evidence: Evidence, outcome: str) -> dict[tuple[str, ...], int]:
    return _sums(evidence.take(evidence.outcome.isin(outcome)), "object", "action", "reason")


def _sums(rows: Evidence, *names: str) -> dict[tuple[str, ...], int]:
    """Counts by the values of some columns, in sorted order."""
    if not len(rows):
        return {}
    columns = [getattr(rows, name) for name in names]
    cells, place = np.unique(np.stack([c.codes for c in columns]), axis=1, return_inverse=True)
    total = _integer_sums(place.ravel(), rows.count, cells.shape[1])
    keys = [tuple(c.names[code] for c, code in zip(columns, cell, strict=True)) for cell in cells.T.tolist()]
    return dict(sorted(zip(keys, total.tolist(), strict=True)))


def _sample(evidence: Evidence, thing: str, action: str, outcome: str, reason: str | None = None) -> str:
    mine = evidence.object.isin(thing) & evidence.action.isin(action) & evidence.outcome.isin(outcome)
    if reason is not None:
        mine &= evidence.reason.isin(reason)
    codes = np.unique(evidence.episode_id.codes[mine]).tolist()
    return sample(evidence.episode_id.names[code] for code in codes)
