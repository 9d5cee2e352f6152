"""A family's task as a behaviour tree: Python text for py_trees.

Names come from data. In the text they are string literals only; every identifier is made here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sima2.errors import UnknownNameError, UsageError
from sima2.knowledge.task_evidence import ARROW, FAILED
from sima2.records.knowledge import Graph

_HEAD = '''"""Behaviour tree mined from rollouts. Needs py_trees.

``create_tree`` takes a function that makes the behaviour of a step from its name.
"""

import py_trees


def create_tree(behaviour):
    """The root; ``behaviour(name)`` returns a py_trees behaviour that carries out the step of that name."""
'''


@dataclass(frozen=True, slots=True)
class Correction:
    """What is done after a step failed."""

    path: tuple[str, ...]
    """Steps up to and with the next attempt."""
    support: int
    trials: int


@dataclass(frozen=True, slots=True)
class TreeStep:
    """One step of the main path, what mends it, and after how many failures to give up (0: never proposed)."""

    name: str
    corrections: tuple[Correction, ...]
    repeats: int


def tree_steps(graph: Graph, family: str) -> tuple[TreeStep, ...]:
    """Steps of the way on which nothing failed, with the accepted corrections, the best supported first.

    Raises:
        UnknownNameError: for a family that the graph does not hold.
        UsageError: if none of its episodes went without failure.
    """
    families = {str(node["name"]) for node in graph.nodes.values() if node["type"] == "task" and "way" in node}
    node = graph.nodes.get(f"task:{family}")
    if node is None:
        raise UnknownNameError("family", family, families)
    if not node.get("way"):
        raise UsageError(f"{family}: no episode went without failure, so there is no main path to make a tree of")
    corrections: dict[str, dict[tuple[str, ...], list[int]]] = {}
    repeats: dict[str, int] = {}
    for refinement in _refinements(graph, family):
        step = str(refinement["action"])
        if refinement["type"] == "recovery_edge":
            sums = corrections.setdefault(step, {}).setdefault(_path(str(refinement["path"]), step), [0, 0])
            sums[0] += int(refinement["support"])
            sums[1] += int(refinement["trials"])
        elif refinement["type"] == "abort_node":
            repeats[step] = int(refinement["repeats"])
    return tuple(
        TreeStep(
            str(name),
            tuple(
                Correction(path, *counts)
                for path, counts in sorted(
                    corrections.get(str(name), {}).items(), key=lambda item: (-item[1][0], item[0])
                )
            ),
            repeats.get(str(name), 0),
        )
        for name in node["way"]
    )


def to_behaviour_tree(graph: Graph, family: str) -> str:
    """Python source of a module with ``create_tree(behaviour)``; the same graph gives the same text.

    The root is a sequence of the main path's steps. A step that has accepted corrections is a selector: the step,
    then each correction with the step tried again, and last the abort, which ends the task in failure. Where giving up
    was proposed after n failures, the corrections are tried so often that the step fails n times at most.

    Raises:
        UnknownNameError: for a family that the graph does not hold.
        UsageError: if none of its episodes went without failure.
    """
    lines = [f"    root = py_trees.composites.Sequence(name={family!a}, memory=True)"]
    for k, step in enumerate(tree_steps(graph, family)):
        lines += _step_lines(f"step_{k}", step)
    return _HEAD + "\n".join([*lines, "    return root"]) + "\n"


def _step_lines(place: str, step: TreeStep) -> Iterator[str]:
    if not step.corrections and not step.repeats:
        yield f"    root.add_child(behaviour({step.name!a}))"
        return
    yield f"    {place} = py_trees.composites.Selector(name={step.name!a}, memory=True)"
    yield f"    {place}.add_child(behaviour({step.name!a}))"
    if step.corrections:
        yield from _correction_lines(f"{place}_again", place, step)
    yield f"    {place}_abort = py_trees.composites.Sequence(name={'abort ' + step.name!a}, memory=True)"
    yield f"    {place}_abort.add_child(behaviour({'abort ' + step.name!a}))"
    yield f"    {place}_abort.add_child(py_trees.behaviours.Failure(name='given up'))"
    yield f"    {place}.add_child({place}_abort)"
    yield f"    root.add_child({place})"


def _correction_lines(again: str, place: str, step: TreeStep) -> Iterator[str]:
    """A selector over the corrections; retried as a whole where it is known when to give up."""
    yield f"    {again} = py_trees.composites.Selector(name={'correct ' + step.name!a}, memory=True)"
    for k, correction in enumerate(step.corrections):
        yield f"    # mended {correction.support} of {correction.trials} failures"
        yield f"    {again}_{k} = py_trees.composites.Sequence(name={ARROW.join(correction.path)!a}, memory=True)"
        for name in correction.path:
            yield f"    {again}_{k}.add_child(behaviour({name!a}))"
        yield f"    {again}.add_child({again}_{k})"
    rounds = max(1, (step.repeats - 1) // len(step.corrections)) if step.repeats else 1
    if rounds > 1:
        yield f"    {again} = py_trees.decorators.Retry("
        yield f"        name={'correct again ' + step.name!a}, child={again}, num_failures={rounds}"
        yield "    )"
    yield f"    {place}.add_child({again})"


def _refinements(graph: Graph, family: str) -> Iterator[Mapping[str, Any]]:
    for a, b, edge in graph.edges:
        if a == f"task:{family}" and edge["type"] == "has_refinement":
            yield graph.nodes[b]


def _path(detail: str, step: str) -> tuple[str, ...]:
    """``grasp(fail) → recovery_maneuver → grasp(success)`` as the steps to carry out; a bare retry is the step."""
    between = detail.removeprefix(step + FAILED + ARROW).removesuffix(f"{ARROW}{step}(success)")
    return (*(name for name in between.split(ARROW) if name != "retry"), step)
