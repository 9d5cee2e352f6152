"""The ontology as a typed graph: every node on its counts, its interval and the episodes and frames behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sima2.knowledge.cells import Cells, Rows
from sima2.knowledge.evidence import PRESENT, RECOVERED, STEPS
from sima2.knowledge.support import interval, lower_bound
from sima2.records.knowledge import Graph, ProposalTable
from sima2.records.vocabulary import UNKNOWN

Triple = tuple[str, str, str]
_ALL = ("success", "failure", UNKNOWN)


@dataclass(slots=True)
class _Draught:
    """Nodes and edges while they are gathered; the rows of a node may come from several places."""

    cells: Cells
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: dict[str, list[Rows]] = field(default_factory=dict)
    edges: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)

    def node(self, kind: str, name: str, rows: Rows, **attributes: Any) -> str:
        key = f"{kind}:{name}"
        self.nodes.setdefault(key, {"type": kind, "name": name}).update(attributes)
        self.rows.setdefault(key, []).append(rows)
        return key

    def edge(self, a: str, b: str, kind: str, support: int, **attributes: Any) -> None:
        self.edges.append((a, b, {"type": kind, "support": support, **attributes}))

    def graph(self) -> Graph:
        """Every node with what it rests on; an occurrence is told as its share of all episodes."""
        total = self.cells.episodes
        for key, node in self.nodes.items():
            rows = np.unique(np.concatenate(self.rows[key]))
            footing = self.cells.footing(rows)
            if "trials" not in node:
                node |= rated(footing["episodes"], total, "episodes")
                node["occurrences"] = self.cells.count(rows)
            node |= footing
        return Graph(nodes=self.nodes, edges=tuple(self.edges))


def rated(support: int, trials: int, of: str) -> dict[str, Any]:
    """Counts of a rate with its interval (two-sided 95 %), and the lower bound as confidence."""
    low, high = interval(support, trials)
    return {
        "support": support,
        "trials": trials,
        "low": low,
        "high": high,
        "rate_of": of,
        "confidence": float(lower_bound(support, trials)),
    }


def build(cells: Cells, proposals: ProposalTable, affordances: Mapping[str, str]) -> Graph:
    """The graph of what was observed and of the accepted proposals about it."""
    draught = _Draught(cells)
    _observed(draught)
    accepted = [row for row in proposals.rows() if row["status"] == "accepted"]
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for row in accepted:
        by_kind.setdefault(row["kind"], []).append(row)
    for row in by_kind.get("affordance", ()):
        _affordance(draught, row, affordances[row["action"]])
    fragile = {_triple(row): _fragility(draught, row) for row in by_kind.get("fragility_node", ())}
    unpaired = dict(fragile)
    for row in by_kind.get("recovery_node", ()):
        if _triple(row) in fragile:
            _recovery(draught, row, fragile[_triple(row)])
            unpaired.pop(_triple(row), None)
    missing = {_triple(row) for row in by_kind.get("missing_skill", ())}
    for triple, key in unpaired.items():
        _alert(draught, key, "open" if triple in missing else "watching")
    return draught.graph()


def to_json(graph: Graph) -> str:
    """A graph as JSON text, nodes by id and edges in order."""
    edges = [{"from": a, "to": b, **attributes} for a, b, attributes in graph.edges]
    return json.dumps({"nodes": dict(graph.nodes), "edges": edges}, indent=1, sort_keys=True)


def graph_of(data: Mapping[str, Any]) -> Graph:
    """The graph that :func:`to_json` wrote, of what its text holds."""
    edges = []
    for each in data["edges"]:
        attributes = {key: value for key, value in each.items() if key not in ("from", "to")}
        edges.append((str(each["from"]), str(each["to"]), attributes))
    return Graph(nodes=data["nodes"], edges=tuple(edges))


def _observed(draught: _Draught) -> None:
    """Classes of objects and what they underwent."""
    cells = draught.cells
    for thing, action in cells.pairs():
        rows = cells.at(thing, action, *_ALL)
        if not len(rows):
            continue
        there = cells.at(thing, "", PRESENT)
        ends = draught.node("object", thing, there if len(there) else rows), draught.node("action", action, rows)
        done = cells.count(cells.at(thing, action, "success"))
        draught.edge(*ends, "undergoes", cells.count(rows), successes=done)


def _affordance(draught: _Draught, row: Mapping[str, Any], name: str) -> None:
    cells, thing, action, support = draught.cells, row["object"], row["action"], row["support"]
    done = cells.at(thing, action, "success")
    key = draught.node("affordance", name, done)
    bounds = rated(support, row["trials"], "attempts")
    del bounds["support"], bounds["confidence"]
    draught.edge(f"object:{thing}", key, "affords", support, confidence=row["confidence"], **bounds)
    draught.edge(key, f"action:{action}", "shown_by", support)
    if action in STEPS:
        rates = rated(cells.count(done), cells.count(cells.tried(thing, action)), "attempts")
        skill = draught.node("skill", f"{action} {thing}", done, object=thing, action=action, **rates)
        draught.edge(skill, f"object:{thing}", "on", support)
        draught.edge(skill, f"action:{action}", "does", support)
        draught.edge(skill, key, "needs", support)


def _fragility(draught: _Draught, row: Mapping[str, Any]) -> str:
    cells, thing, action, support = draught.cells, row["object"], row["action"], row["support"]
    rows = _failures(cells, row)
    key = draught.node("fragility", row["proposal_id"], rows, **_proposed(row))
    reason = draught.node("reason", row["reason"] or UNKNOWN, rows)
    for other, edge in ((f"object:{thing}", "fragility_of"), (f"action:{action}", "during"), (reason, "because")):
        draught.edge(key, other, edge, support)
    return key


def _recovery(draught: _Draught, row: Mapping[str, Any], fixes: str) -> None:
    cells = draught.cells
    reason = row["reason"] if len(cells.at(row["object"], row["action"], RECOVERED, reason=row["reason"])) else None
    rows = cells.at(row["object"], row["action"], RECOVERED, reason=reason)
    key = draught.node("recovery", row["proposal_id"], rows, **_proposed(row))
    draught.edge(key, fixes, "fixes", row["support"])


def _alert(draught: _Draught, fragility: str, status: str) -> None:
    node = draught.nodes[fragility]
    kept = ("object", "action", "reason", "support", "trials", "low", "high", "rate_of", "confidence")
    known = {name: node[name] for name in kept}
    key = draught.node("alert", node["name"], draught.rows[fragility][0], status=status, **known)
    draught.nodes[key]["type"] = "missing_skill"
    node["missing_skill"] = status
    draught.edge(key, fragility, "about", node["support"])


def _failures(cells: Cells, row: Mapping[str, Any]) -> Rows:
    """The failures of a fragility: of its reason, or of all reasons where it stands for them."""
    mine = cells.at(row["object"], row["action"], "failure", reason=row["reason"])
    return mine if cells.count(mine) == row["support"] else cells.at(row["object"], row["action"], "failure")


def _proposed(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a node tells of its proposal."""
    of = "failures" if row["kind"] == "recovery_node" else "attempts"
    rates = rated(row["support"], row["trials"], of) | {"confidence": row["confidence"]}
    return {name: row[name] for name in ("object", "action", "reason", "rationale")} | rates


def _triple(row: Mapping[str, Any]) -> Triple:
    return row["object"], row["action"], row["reason"]
