"""TaskGraphRefiner: from task evidence to edges worth adding, stops, looks and checks, and to the task graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sima2.errors import UsageError
from sima2.knowledge.proposals import Draft, table_of
from sima2.knowledge.support import lower_bound
from sima2.knowledge.task_evidence import FAILED, TaskEvidence
from sima2.records.knowledge import Graph, ProposalTable

Edge = tuple[str, str, Mapping[str, Any]]

_BY_TAG: Final = (
    ("lucky", "assessed_risk", "verification_node", "RiskTag", 0.6, "high risk, yet success and nothing recovered"),
    ("critical_ood", "assessed_ood", "safety_stop", "OODTag", 1.0, "critically strange, no recovery at once"),
    ("visual_ood", "assessed_ood", "inspection_node", "OODTag", 0.7, "looks like nothing nominal"),
)
"""Fact, the fact that counts its occasions, kind proposed, tag it rests on, priority, words."""


@dataclass(frozen=True, slots=True)
class TaskGraphRefiner:
    """Proposes refinements of the task graph; it changes nothing."""

    least_support: int = 3
    """Occurrences below which no edge rests on evidence alone."""
    least_recovery: float = 0.05
    """A recovery edge holds when it surely mends more than one failure in twenty."""

    def __post_init__(self) -> None:
        if self.least_support < 1 or not 0 <= self.least_recovery < 1:
            raise UsageError("least_support must be at least 1 and least_recovery a rate in [0, 1)")

    def refine(self, evidence: TaskEvidence, trust: Mapping[str, float] | None = None) -> ProposalTable:
        """Proposals, ordered by priority.

        Args:
            evidence: of segments and of tags, merged.
            trust: trust by tag; what rests on a tag waits until it is calibrated and trusted.
        """
        return table_of(self._drafts(evidence), trust)

    def graph(
        self, evidence: TaskEvidence, proposals: ProposalTable, subtasks: Mapping[str, Sequence[str]] | None = None
    ) -> Graph:
        """The task graph: a node for each family and for each of its steps, transitions with their probability.

        The tree of tasks is as deep as ``subtasks`` nests them, and one level of steps more; the number of episodes
        adds counts, never depth.

        Args:
            evidence: of segments and of tags, merged.
            proposals: those that ``refine`` made of it; the accepted ones become nodes and edges of their family.
            subtasks: parts of each task, where tasks nest.

        Raises:
            UsageError: if a task is a part of itself.
        """
        nodes: dict[str, dict[str, Any]] = {}
        edges: list[Edge] = []

        def task(name: str) -> str:
            nodes.setdefault(f"task:{name}", {"type": "task", "name": name, "depth": 0})
            return f"task:{name}"

        for parent, parts in sorted((subtasks or {}).items()):
            edges += [(task(parent), task(part), {"type": "has_part"}) for part in parts]
        for name, depth in nesting(subtasks or {}).items():
            nodes[task(name)]["depth"] = depth
        for row in evidence.take(evidence.fact.isin("step")).rows():
            family, name, count = row["family"], row["target"], row["count"]
            seconds = row["duration_us"] / 1e6 / count
            key = _step(family, name)
            nodes[key] = {"type": "step", "name": name, "support": count, "mean_duration_s": seconds}
            edges.append((task(family), key, {"type": "has_step", "support": count}))
        edges += _transitions(evidence, nodes, task)
        family_of = {draft.id: draft.family for draft in self._drafts(evidence)}
        for row in proposals.rows():
            if row["status"] == "accepted" and row["proposal_id"] in family_of:
                edges += _applied(row, family_of[row["proposal_id"]], nodes, task)
        return Graph(nodes=nodes, edges=tuple(edges))

    def _drafts(self, evidence: TaskEvidence) -> list[Draft]:
        return [*self._recovery_edges(evidence), *self._aborts(evidence), *_tag_backed(evidence)]

    def _recovery_edges(self, evidence: TaskEvidence) -> list[Draft]:
        failed = {(r["family"], r["object"], r["target"]): r["count"] for r in _rows(evidence, "failed")}
        found = []
        for row in _rows(evidence, "recovered"):
            if row["count"] < self.least_support:
                continue
            family, thing, step = row["family"], row["object"], row["target"]
            trials = failed[family, thing, step]
            bound = float(lower_bound(row["count"], trials))
            path = f"{step}{FAILED} → {row['source']} → {step}(success)"
            found.append(
                Draft(
                    kind="recovery_edge",
                    object=thing,
                    action=step,
                    family=family,
                    detail=path,
                    priority=bound,
                    confidence=bound,
                    support=row["count"],
                    trials=trials,
                    needed=self.least_recovery,
                    rationale=f"{family}: {path} mended {row['count']} of {trials} failures",
                    episodes=row["episodes"],
                )
            )
        return found

    def _aborts(self, evidence: TaskEvidence) -> list[Draft]:
        """One episode in which a step failed again and again is enough: it is seen, not inferred."""
        failed = {(r["family"], r["object"], r["target"]): r["count"] for r in _rows(evidence, "failed")}
        found = []
        for row in _rows(evidence, "repeated"):
            family, thing, step = row["family"], row["object"], row["target"]
            trials = failed[family, thing, step]
            found.append(
                Draft(
                    kind="abort_node",
                    object=thing,
                    action=step,
                    reason=row["source"],
                    family=family,
                    priority=0.9,
                    confidence=float(lower_bound(row["count"], trials)),
                    support=row["count"],
                    trials=trials,
                    needed=0.0,
                    rationale=f"{family}: {step} of {thing} failed again and again in {row['count']} episodes",
                    episodes=row["episodes"],
                )
            )
        return found


def nesting(subtasks: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Depth of every task below the tasks that are part of no other, the longest way counting.

    Without recursion, so that no nesting is too deep.

    Raises:
        UsageError: if a task is a part of itself.

    >>> nesting({"tidy": ["pick", "place"], "day": ["tidy"]})
    {'day': 0, 'tidy': 1, 'pick': 2, 'place': 2}
    """
    names = sorted({*subtasks, *(part for parts in subtasks.values() for part in parts)})
    waiting = dict.fromkeys(names, 0)
    for parts in subtasks.values():
        for part in parts:
            waiting[part] += 1
    depth = {name: 0 for name in names if not waiting[name]}
    ready = list(depth)
    for name in ready:
        for part in subtasks.get(name, ()):
            depth[part] = max(depth.get(part, 0), depth[name] + 1)
            waiting[part] -= 1
            if not waiting[part]:
                ready.append(part)
    if len(ready) < len(names):
        caught = ", ".join(name for name in names if waiting[name])
        raise UsageError(f"the subtasks form a cycle among {caught}: a task cannot be a part of itself")
    return {name: depth[name] for name in ready}


def _tag_backed(evidence: TaskEvidence) -> list[Draft]:
    found = []
    for fact, occasions, kind, tag, priority, words in _BY_TAG:
        assessed = {row["family"]: row["count"] for row in _rows(evidence, occasions)}
        for row in _rows(evidence, fact):
            family = row["family"]
            trials = max(assessed.get(family, 0), row["count"])
            found.append(
                Draft(
                    kind=kind,
                    object="",
                    action="",
                    family=family,
                    priority=priority,
                    confidence=float(lower_bound(row["count"], trials)),
                    support=row["count"],
                    trials=trials,
                    needed=0.0,
                    rationale=f"{family}: {words} in {row['count']} of {trials} episodes",
                    episodes=row["episodes"],
                    source_tag=tag,
                )
            )
    return found


def _rows(evidence: TaskEvidence, fact: str) -> list[dict[str, Any]]:
    return list(evidence.take(evidence.fact.isin(fact)).rows())


def _step(family: str, name: str) -> str:
    return f"step:{family}/{name}"


def _transitions(evidence: TaskEvidence, nodes: dict[str, dict[str, Any]], task: Callable[[str], str]) -> list[Edge]:
    rows = _rows(evidence, "transition")
    leaving: dict[tuple[str, str], int] = {}
    for row in rows:
        left = row["family"], row["source"]
        leaving[left] = leaving.get(left, 0) + row["count"]
    edges: list[Edge] = []
    for row in rows:
        ends = _step(row["family"], row["source"]), _step(row["family"], row["target"])
        for key, name in zip(ends, (row["source"], row["target"]), strict=True):
            if key not in nodes:
                nodes[key] = {"type": "step", "name": name, "support": row["count"]}
                edges.append((task(row["family"]), key, {"type": "has_step", "support": row["count"]}))
        share = row["count"] / leaving[row["family"], row["source"]]
        edges.append((*ends, {"type": "then", "support": row["count"], "probability": share}))
    return edges


def _applied(
    row: Mapping[str, Any], family: str, nodes: dict[str, dict[str, Any]], task: Callable[[str], str]
) -> list[Edge]:
    """An accepted proposal as a node below its family."""
    key = f"{row['kind']}:{row['proposal_id']}"
    shown = ("object", "action", "reason", "support", "rationale")
    nodes[key] = {"type": row["kind"], **{name: row[name] for name in shown}}
    edges: list[Edge] = [(task(family), key, {"type": "has_refinement", "support": row["support"]})]
    step = _step(family, row["action"] + FAILED)
    if row["action"] and step in nodes:
        edges.append((step, key, {"type": "leads_to", "support": row["support"]}))
    return edges
