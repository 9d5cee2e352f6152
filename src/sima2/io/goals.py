"""What episodes were asked for where a data set does not say: named by task, in the column map or by ``--goal``."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sima2.errors import DatasetError, UsageError
from sima2.io import toml_values as toml
from sima2.io.documents import shown
from sima2.records.rollout import Goal
from sima2.records.vocabulary import RELATIONS

ALL: Final = "*"
"""The task of a goal that is that of every episode for whose task no other is named."""
OPTION: Final = "--goal"
KEYS: Final = ("object", "target", "place", "relation", "tolerance")
LEAST: Final = 5
"""Tasks told in a message."""
_PART: Final = re.compile(r"(?:^|,)\s*(object|target|place|relation|tolerance|task)\s*=")


def parse_goals(source: object, value: Any) -> dict[str, Goal]:
    """The tables of ``[goals]`` by task."""
    return {task: _goal(source, f"goals.{toml.key(task)}", each) for task, each in _tables(source, value).items()}


def _tables(source: object, value: Any) -> Mapping[str, dict[str, Any]]:
    tables = toml.tables(source, "goals", value)
    seen: dict[str, str] = {}
    for task in tables:
        other = seen.setdefault(folded(task), task)
        if other != task:
            raise DatasetError(source, f"[goals]: {shown(task)} and {shown(other)} are one task")
    return tables


def parse_goal_options(texts: Sequence[str]) -> dict[str, Goal]:
    """Goals as the command line names them, by task.

    >>> parse_goal_options(["object=cup,place=[0.4,0,0.1],tolerance=0.03,task=cup, please"])["cup, please"].place
    (0.4, 0.0, 0.1)

    Raises:
        UsageError: saying what of a text is wrong.
    """
    goals: dict[str, Goal] = {}
    for text in texts:
        try:
            values, task = _option(text)
            if folded(task) in map(folded, goals):
                raise DatasetError(OPTION, f"two goals of the task {shown(task)}", "name another by task=…")
            goals[task] = _goal(OPTION, f"goals.{toml.key(task)}", values)
        except DatasetError as error:
            raise UsageError(str(error)) from None
    return goals


def _option(text: str) -> tuple[dict[str, Any], str]:
    """Keys and values of one goal, and its task."""
    example = "object=cup,target=plate,relation=placed_on,tolerance=0.03"
    found = list(_PART.finditer(text))
    # what the terminal could not decode cannot be written down either
    if not found or found[0].start() or not text.isprintable():
        raise DatasetError(OPTION, f"{shown(text)} names no goal", example)
    values: dict[str, Any] = {}
    for here, after in zip(found, [*found[1:], None], strict=True):
        key, value = here[1], text[here.end() : after.start() if after else None].strip()
        if key in values:
            raise DatasetError(OPTION, f"{key} is given twice", example)
        values[key] = value
    try:
        if "tolerance" in values:
            values["tolerance"] = float(values["tolerance"])
        if "place" in values:
            values["place"] = [float(each) for each in values["place"].strip("[]").replace(",", " ").split()]
    except ValueError:
        raise DatasetError(OPTION, f"{shown(text)}: tolerance and place are numbers, in m", example) from None
    return values, str(values.pop("task", ALL)) or ALL


def _goal(source: object, at: str, values: Mapping[str, Any]) -> Goal:
    """One goal, checked."""
    stray = sorted(set(values) - set(KEYS))
    if stray:
        raise DatasetError(source, f"[{at}]: unknown key {shown(stray[0])}", f"use {', '.join(KEYS)}")
    if "object" not in values:
        raise DatasetError(source, f"[{at}]: object is missing", 'object = "cup", say')
    thing = toml.text(source, at, "object", values["object"])
    target = toml.text(source, at, "target", values["target"]) if "target" in values else ""
    relation = values.get("relation", "placed_on")
    if not isinstance(relation, str) or relation not in RELATIONS:
        raise DatasetError(source, f"[{at}]: relation {shown(relation)} is not known", f"one of {', '.join(RELATIONS)}")
    tolerance = toml.numbers(source, at, "tolerance", [values.get("tolerance", 0.0)])[0]
    if tolerance < 0:
        raise DatasetError(source, f"[{at}]: tolerance {tolerance:g} is negative", "how far off still counts, in m")
    place = toml.numbers(source, at, "place", values["place"]) if "place" in values else ()
    if "place" in values and len(place) != 3:
        raise DatasetError(source, f"[{at}]: place has {len(place)} numbers", "x, y and z in m")
    if place and target:
        raise DatasetError(source, f"[{at}]: place besides target", "the goal is at one of them")
    if (place or target) and not tolerance:
        raise DatasetError(source, f"[{at}]: tolerance is missing", "how far off still counts, in m: 0.03, say")
    if thing == target:
        raise DatasetError(source, f"[{at}]: {shown(thing)} is its own target")
    return Goal(thing, target, relation, tolerance, (place[0], place[1], place[2]) if place else None)


def goal_lines(goal: Goal) -> list[str]:
    """A goal as TOML."""
    lines = [f"object = {toml.string(goal.object)}"]
    lines += [f"target = {toml.string(goal.target)}"] if goal.target else []
    lines += [f"place = {toml.array(goal.place)}"] if goal.place is not None else []
    return [*lines, f"relation = {toml.string(goal.relation)}", f"tolerance = {goal.tolerance!r}"]


def folded(task: str) -> str:
    """A task but for case and spaces, as kinds of episode are named."""
    return " ".join(task.casefold().split())


def merged(written: Mapping[str, Goal], given: Mapping[str, Goal]) -> dict[str, Goal]:
    """Goals of which those given later count."""
    again = {folded(task) for task in given}
    return {task: each for task, each in written.items() if folded(task) not in again} | dict(given)


def by_task(goals: Mapping[str, Goal], tasks: Collection[str]) -> dict[str, Goal]:
    """The goal of each task, where one is named for it or for all.

    >>> sorted(by_task({"wipe": Goal("cloth", relation="wiped")}, ["Wipe ", "rest"]))
    ['Wipe ']
    """
    named = {folded(task): goal for task, goal in goals.items()}
    found = {task: named.get(folded(task), named.get(ALL)) for task in tasks}
    return {task: goal for task, goal in found.items() if goal is not None}


def check_goals(
    source: object, goals: Mapping[str, Goal], things: Collection[str] | None, tasks: Collection[str]
) -> tuple[str, ...]:
    """What of the goals no episode can answer, as warnings.

    Args:
        source: of the goals, for messages.
        goals: by task.
        things: names of what poses are told of, empty where no poses are mapped; None where each episode has its own.
        tasks: of the episodes.

    Raises:
        DatasetError: if a goal names a thing that is not among those.
    """
    for task, goal in goals.items():
        for key, name in (("object", goal.object), ("target", goal.target)):
            if name and things and name not in things:
                problem = f"[goals.{toml.key(task)}]: {key} {shown(name)} is not in the data set"
                raise DatasetError(source, problem, f"there are {_some(things)}")
    warnings = []
    if goals and things is not None and not things:
        warnings.append(
            "goals are named, but no poses of things are mapped ([objects.NAME.object_position]): success is inferred "
            "from what the hand did alone"
        )
    there = set(map(folded, tasks))
    for task in goals:
        if task != ALL and folded(task) not in there:
            there_are = f"there are {_some(tasks)}"
            warnings.append(f"a goal is named for the task {shown(task)}, which no episode has; {there_are}")
    return tuple(warnings)


def _some(names: Collection[str]) -> str:
    listed = [shown(name) for name in sorted(set(names))]
    more = f" and {len(listed) - LEAST} more" if len(listed) > LEAST else ""
    return ", ".join(listed[:LEAST]) + more
