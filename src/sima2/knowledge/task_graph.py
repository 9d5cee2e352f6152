"""TaskGraphRefiner: from task evidence to edges worth adding, stops, looks and checks, and to the task graph."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from sima2.errors import UsageError
from sima2.knowledge.durations import quantile_s
from sima2.knowledge.nesting import nesting
from sima2.knowledge.proposals import Draft, table_of
from sima2.knowledge.support import interval, lower_bound, upper_bound
from sima2.knowledge.task_evidence import ARROW, FAILED, REPEATS, TaskEvidence, task_evidence
from sima2.records.knowledge import Graph, ProposalTable
from sima2.records.segments import SegmentTable
from sima2.records.tags import TagSpec

RECOVERY: Final = "recovery_maneuver"

Edge = tuple[str, str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class TaskGraphRefiner:
    """Proposes refinements of the task graph; it changes nothing."""

    least_support: int = 3
    """Occurrences below which no edge rests on evidence alone."""
    least_recovery: float = 0.05
    """A recovery edge holds when it surely mends more than one failure in twenty."""
    repeats: int = REPEATS
    """Failures of a step in a row, without a success between, after which to give up is proposed."""

    specs: Mapping[str, TagSpec] = field(default_factory=lambda: MappingProxyType({}))
    """What tags declare that they propose; without, no proposal rests on a tag."""

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise UsageError(f"repeats is {self.repeats}: to give up takes at least one failure")
        if self.least_support < 1 or not 0 <= self.least_recovery < 1:
            raise UsageError("least_support must be at least 1 and least_recovery a rate in [0, 1)")

    def observe(self, segments: SegmentTable, family: Mapping[str, str]) -> TaskEvidence:
        """Evidence of whole episodes, repeated failures counted by the refiner's own number."""
        return task_evidence(segments, family, repeats=self.repeats)

    def refine(self, evidence: TaskEvidence, trust: Mapping[str, float] | None = None) -> ProposalTable:
        """Proposals, ordered by priority.

        Args:
            evidence: of segments and of tags, merged.
            trust: trust by tag; what rests on a tag waits until it is calibrated and trusted.
        """
        return table_of(self._drafts(evidence), trust)

    def graph(
        self,
        evidence: TaskEvidence,
        proposals: ProposalTable,
        subtasks: Mapping[str, Sequence[str]] | None = None,
        retries: Collection[tuple[str, str]] = (),
    ) -> Graph:
        """The task graph: a node for each family, for the tasks it consists of, and for each of its steps.

        A family whose episodes handle several things one after another has a part for each class of thing; a part
        lies one level below its family, like a step. So the tree is as deep as ``subtasks`` nests it and one level
        more; the number of episodes adds counts, never depth.

        Edges ``then`` carry the probability of leaving their step that way; those of another attempt are marked
        ``retry``, those to and from a recovery maneuver ``recovery``. Edges ``retry`` lead from a failed step back to
        its next attempt, with the way between, and how many of the failures went it and were mended.

        Args:
            evidence: of segments and of tags, merged.
            proposals: those that ``refine`` made of it; the accepted ones become nodes and edges of their family.
            subtasks: parts of each task, where tasks nest.
            retries: (task, part) pairs that mean to do a task again, which are no nesting.

        Raises:
            UsageError: if a task is a part of itself otherwise.
        """
        nodes: dict[str, dict[str, Any]] = {}

        def task(name: str) -> str:
            nodes.setdefault(f"task:{name}", {"type": "task", "name": name, "depth": 0})
            return f"task:{name}"

        depths = nesting(subtasks or {}, retries)
        for name, depth in depths.items():
            nodes[task(name)]["depth"] = depth
        edges = _given_parts(subtasks or {}, frozenset(retries))
        edges += _mined_parts(evidence, nodes, task, depths, self.least_support)
        edges += _steps(evidence, nodes, task)
        edges += _transitions(evidence, nodes, task)
        edges += _retries(evidence, nodes, task)
        _ways(evidence, nodes, task)
        drafts = {draft.id: draft for draft in self._drafts(evidence)}
        for row in proposals.rows():
            if row["status"] == "accepted" and row["proposal_id"] in drafts:
                edges += _applied(row, drafts[row["proposal_id"]], nodes, task, self.repeats)
        return Graph(nodes=nodes, edges=tuple(edges))

    def _drafts(self, evidence: TaskEvidence) -> list[Draft]:
        return [*self._recovery_edges(evidence), *self._aborts(evidence), *self._tag_backed(evidence)]

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
                    ceiling=float(upper_bound(row["count"], trials)),
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

    def _tag_backed(self, evidence: TaskEvidence) -> list[Draft]:
        found = []
        for name, proposal in ((name, each) for name, spec in self.specs.items() for each in spec.proposals):
            basis = self.specs[proposal.rests_on or name]
            assessed = {row["family"]: row["count"] for row in _rows(evidence, basis.assessed)}
            for row in _rows(evidence, proposal.fact):
                family = row["family"]
                trials = max(assessed.get(family, 0), row["count"])
                found.append(
                    Draft(
                        kind=proposal.kind,
                        object="",
                        action="",
                        family=family,
                        priority=proposal.priority,
                        confidence=float(lower_bound(row["count"], trials)),
                        support=row["count"],
                        trials=trials,
                        needed=0.0,
                        rationale=f"{family}: {proposal.words} in {row['count']} of {trials} episodes",
                        episodes=row["episodes"],
                        source_tag=basis.name,
                    )
                )
        return found


def _rows(evidence: TaskEvidence, fact: str) -> list[dict[str, Any]]:
    return list(evidence.take(evidence.fact.isin(fact)).rows())


def _step(family: str, name: str) -> str:
    return f"step:{_escaped(family)}/{name}"


def _part(family: str, thing: str) -> str:
    return f"part:{_escaped(family)}/{thing}"


def _escaped(family: str) -> str:
    """So that no two pairs of names share an id, whatever the names hold."""
    return family.replace("%", "%25").replace("/", "%2F")


def _given_parts(subtasks: Mapping[str, Sequence[str]], retries: frozenset[tuple[str, str]]) -> list[Edge]:
    edges: list[Edge] = []
    for parent, parts in sorted(subtasks.items()):
        for part in parts:
            marked = {"retry": True} if (parent, part) in retries else {}
            edges.append((f"task:{parent}", f"task:{part}", {"type": "has_part", **marked}))
    return edges


def _steps(evidence: TaskEvidence, nodes: dict[str, dict[str, Any]], task: Callable[[str], str]) -> list[Edge]:
    edges: list[Edge] = []
    for row in _rows(evidence, "step"):
        key = _step(row["family"], row["target"])
        nodes[key] = {"type": "step", "name": row["target"], "support": row["count"], **_timed(row)}
        edges.append((task(row["family"]), key, {"type": "has_step", "support": row["count"]}))
    return edges


def _ways(evidence: TaskEvidence, nodes: Mapping[str, dict[str, Any]], task: Callable[[str], str]) -> None:
    """The way most episodes of a family went in which nothing went wrong."""
    best: dict[str, tuple[int, str]] = {}
    total: dict[str, int] = {}
    for row in _rows(evidence, "way"):
        family = row["family"]
        total[family] = total.get(family, 0) + row["count"]
        if family not in best or (-row["count"], row["source"]) < (-best[family][0], best[family][1]):
            best[family] = row["count"], row["source"]
    for family, (count, way) in best.items():
        nodes[task(family)].update({"way": way.split(ARROW), "way_support": count, "way_trials": total[family]})


def _timed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Mean of exact sums, and quantiles of a histogram of half octaves, s."""
    histogram = np.asarray(row["durations"], np.int64)
    return {
        "mean_duration_s": row["duration_us"] / 1e6 / row["count"],
        **{f"p{round(100 * q)}_duration_s": quantile_s(histogram, q) for q in (0.1, 0.5, 0.9)},
        "episodes": json.loads(row["episodes"]),
    }


def _mined_parts(
    evidence: TaskEvidence,
    nodes: dict[str, dict[str, Any]],
    task: Callable[[str], str],
    depths: Mapping[str, int],
    least_support: int,
) -> list[Edge]:
    """Parts of the families whose episodes handle several things, and the family that each part is like."""
    rows = _rows(evidence, "part")
    owner: dict[str, tuple[int, str]] = {}
    for row in rows:
        if row["source"] == "one":
            owner[row["target"]] = max(owner.get(row["target"], (0, "")), (row["count"], row["family"]))
    edges: list[Edge] = []
    for row in rows:
        if row["source"] != "several" or row["count"] < least_support:
            continue
        family, thing = row["family"], row["target"]
        parent, key = task(family), _part(family, thing)
        nodes[key] = {
            "type": "task",
            "name": f"{family}/{thing}",
            "depth": depths.get(family, 0) + 1,
            "support": row["count"],
            "episodes": json.loads(row["episodes"]),
        }
        edges.append((parent, key, {"type": "has_part", "support": row["count"]}))
        like = owner.get(thing, (0, ""))[1]
        if like and like != family:
            edges.append((key, task(like), {"type": "is_like", "support": row["count"]}))
    return edges + _part_order(evidence, nodes)


def _part_order(evidence: TaskEvidence, nodes: Mapping[str, Any]) -> list[Edge]:
    found = []
    for row in _rows(evidence, "part_transition"):
        ends = [_part(row["family"], row[name]) for name in ("source", "target")]
        if all(end in nodes for end in ends):
            found.append((ends[0], ends[1], row["count"]))
    leaving: dict[str, int] = {}
    for a, _, count in found:
        leaving[a] = leaving.get(a, 0) + count
    return [(a, b, {"type": "then", "support": n, "probability": n / leaving[a]}) for a, b, n in found]


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
        marks = _marks(row["source"], row["target"])
        edges.append((*ends, {"type": "then", "support": row["count"], "probability": share, **marks}))
    return edges


def _marks(source: str, target: str) -> dict[str, bool]:
    """What a transition is besides the way on."""
    if source.endswith(FAILED) and source.removesuffix(FAILED) == target.removesuffix(FAILED):
        return {"retry": True}
    return {"recovery": True} if RECOVERY in (source, target) else {}


def _retries(evidence: TaskEvidence, nodes: Mapping[str, Any], task: Callable[[str], str]) -> list[Edge]:
    """From a failed step back to its next attempt, one edge a way between, over all objects."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    failed: dict[tuple[str, str], int] = {}
    for row in _rows(evidence, "failed"):
        failed[row["family"], row["target"]] = failed.get((row["family"], row["target"]), 0) + row["count"]
    for k, fact in enumerate(("retried", "recovered")):
        for row in _rows(evidence, fact):
            sums.setdefault((row["family"], row["target"], row["source"]), [0, 0])[k] += row["count"]
    edges: list[Edge] = []
    for (family, step, path), (tries, mended) in sorted(sums.items()):
        a, b = _step(family, step + FAILED), _step(family, step)
        if a in nodes:
            low, high = interval(mended, tries)
            values = {"support": tries, "trials": failed[family, step], "mended": mended, "low": low, "high": high}
            edges.append((a, b if b in nodes else a, {"type": "retry", "retry": True, "path": path, **values}))
    return edges


def _applied(
    row: Mapping[str, Any],
    draft: Draft,
    nodes: dict[str, dict[str, Any]],
    task: Callable[[str], str],
    repeats: int,
) -> list[Edge]:
    """An accepted proposal as a node below its family."""
    key = f"{row['kind']}:{row['proposal_id']}"
    shown = ("object", "action", "reason", "support", "trials", "confidence", "rationale")
    nodes[key] = {
        "type": row["kind"],
        "status": row["status"],
        "episodes": json.loads(row["episodes"]),
        **{name: row[name] for name in shown},
    }
    if row["kind"] == "recovery_edge":
        nodes[key]["path"] = draft.detail
    if row["kind"] == "abort_node":
        nodes[key]["repeats"] = repeats
    edges: list[Edge] = [(task(draft.family), key, {"type": "has_refinement", "support": row["support"]})]
    step = _step(draft.family, row["action"] + FAILED)
    if row["action"] and step in nodes:
        edges.append((step, key, {"type": "leads_to", "support": row["support"]}))
    return edges
