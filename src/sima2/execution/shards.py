"""Calibration and the passes as work for an executor: what is split, joined and given up is whole episodes."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sima2.client import Source
from sima2.execution.containment import Losses, contained
from sima2.execution.executor import CRASHED, FAILED, Executor, Fault
from sima2.pipeline import (
    Aggregates,
    Calibration,
    Courses,
    FirstPass,
    Frozen,
    ShardTask,
    calibrate,
    calibration_spans,
    first_pass,
    judged,
    second_pass,
)
from sima2.records.defects import DefectTable, EpisodeMeasures
from sima2.records.econ import EconTable
from sima2.records.intake import NoteTable, QuarantineTable
from sima2.records.knowledge import ProposalTable
from sima2.records.table import Table, Text
from sima2.records.tags import TagTable
from sima2.shard_tables import ShardTables

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
LOST = (CRASHED, FAILED)
"""Reasons in the quarantine for what brought its worker down."""


@dataclass(frozen=True, slots=True)
class FirstPassWork:
    """Pass 1 of a shard."""

    origin: str
    """What the quarantine tells as the source of an episode that could not be looked at."""
    clock: Callable[[], float] | None = None

    def __call__(self, task: ShardTask) -> FirstPass:
        """All that later phases need of the shard."""
        return first_pass(task, self.clock)

    def parts(self, task: ShardTask) -> Sequence[ShardTask]:
        """Two halves of the span."""
        return [replace(task, start=start, stop=stop) for start, stop in _halves(task.start, task.stop)]

    def joined(self, task: ShardTask, results: Sequence[FirstPass]) -> FirstPass:
        """Halves end to end; the episodes of one do not depend on those of the other."""
        return FirstPass.concat(task.shard, results)

    def lost(self, task: ShardTask, fault: Fault) -> FirstPass:
        """The one episode in quarantine, under its own number."""
        return replace(
            FirstPass.empty(task.shard),
            quarantine=QuarantineTable(
                episode_index=task.source.numbers[[task.start]],
                episode_id=Text.of([task.source.name(task.start)]),
                reason=Text.of([fault.reason]),
                source=Text.of([self.origin]),
                start_frame=np.zeros(1, np.int64),
                end_frame=np.zeros(1, np.int64),
                message=Text.of([fault.message]),
            ),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """Finds the episodes of a span that cannot be read."""

    source: Source

    def __call__(self, span: tuple[int, int]) -> frozenset[int]:
        self.source.read(*span)
        return frozenset()

    def parts(self, span: tuple[int, int]) -> Sequence[tuple[int, int]]:
        return _halves(*span)

    def joined(self, span: tuple[int, int], results: Sequence[frozenset[int]]) -> frozenset[int]:
        return frozenset().union(*results)

    def lost(self, span: tuple[int, int], fault: Fault) -> frozenset[int]:
        return frozenset({span[0]})


def calibrated(executor: Executor, source: Source, clock: Callable[[], float]) -> tuple[Calibration, float]:
    """Calibrate in a worker, without the episodes that bring one down; and the CPU seconds it took.

    Raises:
        WorkerError: if it cannot be done, or they are too many.
    """
    work = partial(_timed, calibrate, clock)
    outcome = next(executor.run(work, [source]))
    if isinstance(outcome, Fault):
        spans = calibration_spans(source.episodes)
        losses = Losses(source.episodes)
        lost = frozenset().union(*contained(executor, _Reading(source), spans, losses))
        outcome = next(executor.run(partial(_timed, partial(calibrate, without=lost), clock), [source]))
        if isinstance(outcome, Fault):
            losses.fail(outcome, "the calibration")
    return outcome


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """A table for a worker: where it lies, or itself where the worker cannot see it."""

    cls: type[Table]
    files: tuple[Path, ...]
    table: Table | None = None

    @classmethod
    def of(cls, executor: Executor, kind: type[Table], files: Sequence[Path]) -> Stored:
        """The table in some files, for the workers of an executor."""
        stored = cls(kind, tuple(files))
        return stored if executor.one_machine else replace(stored, files=(), table=stored.read())

    def read(self) -> Any:
        """The table."""
        from sima2.io.arrow import read_table

        if self.table is not None:
            return self.table
        return self.cls.concat([read_table(self.cls, file) for file in self.files])


@dataclass(frozen=True, slots=True, eq=False)
class TagTask:
    """A shard to take through pass 2."""

    frozen: Frozen
    shard: int
    tables: Mapping[str, Stored]
    """By field of ``ShardTables``."""


@dataclass(frozen=True, slots=True, eq=False)
class Tagged:
    """What pass 2 made of a shard, ready to be committed."""

    shard: int
    episodes: int
    tags: TagTable
    econ: EconTable
    aggregates: Mapping[str, str]
    seconds: float
    """Of CPU."""


def tagged(executor: Executor, tasks: Iterable[TagTask], clock: Callable[[], float]) -> Iterator[Tagged]:
    """Pass 2 of each shard, in order.

    Raises:
        WorkerError: if one cannot be done: it rests on tables alone, so that no episode can be at fault.
    """
    given: deque[TagTask] = deque()
    work = partial(_tagged, clock)

    def noted() -> Iterator[TagTask]:
        for task in tasks:
            given.append(task)
            yield task

    for outcome in executor.run(work, noted()):
        task = given.popleft()
        if isinstance(outcome, Fault) and outcome.reason == CRASHED:
            outcome = next(executor.run(work, [task], fresh=True))
        if isinstance(outcome, Fault):
            Losses(0).fail(outcome, f"pass 2 of shard {task.shard}")
        yield outcome


def _tagged(clock: Callable[[], float], task: TagTask) -> Tagged:
    begin = clock()
    tables = ShardTables(**{name: each.read() for name, each in task.tables.items()})
    made = second_pass(task.frozen, tables)
    return Tagged(task.shard, len(tables.episodes), made.tags, made.econ, made.aggregates(), clock() - begin)


@dataclass(frozen=True, slots=True, eq=False)
class JudgeTask:
    """What is known of all episodes after pass 1, to be judged beside what else is done."""

    defects: Stored
    points: Stored
    cameras: tuple[Stored, ...]
    """What was measured in pictures, each source by itself."""
    episodes: tuple[Stored, ...]
    measures: tuple[Stored, ...]
    segments: tuple[Stored, ...]
    """Shard by shard, as no more than one shard of segments is held at a time."""


class Judged(NamedTuple):
    """What all episodes together tell of each."""

    defects: DefectTable
    courses: Courses
    seconds: Mapping[str, float]
    """Of CPU."""


def judged_together(task: JudgeTask, clock: Callable[[], float]) -> Judged:
    """Defects, and the courses of all episodes, judged together."""
    begin = clock()
    measures = EpisodeMeasures.concat([each.read() for each in task.measures])
    defects = judged(task.defects.read(), measures, [each.read() for each in task.cameras])
    middle = clock()
    shards = zip(task.episodes, task.measures, task.segments, strict=True)
    courses = Courses.of((tuple(each.read() for each in some) for some in shards), task.points.read(), defects)
    return Judged(defects, courses, {"defects": middle - begin, "courses": clock() - middle})


def turtle(known: tuple[Aggregates, ProposalTable]) -> str | None:
    """The ontology with what is applied, as Turtle; None without the extra ``[rdf]``."""
    return known[0].ontology_turtle(known[1])


def _timed(work: Callable[[Any], Any], clock: Callable[[], float], task: Any) -> tuple[Any, float]:
    begin = clock()
    return work(task), clock() - begin


def _halves(start: int, stop: int) -> list[tuple[int, int]]:
    middle = (start + stop) // 2
    return [(start, middle), (middle, stop)] if stop - start > 1 else []


MOST_GROUPS = 8
"""Kinds of notes of which a summary tells; the others are in the table."""


def in_groups(notes: NoteTable) -> list[str]:
    """Notes that differ in numbers alone in one line each, the most frequent first.

    >>> in_groups(NoteTable.of([(3, "a-3", "jumps by 2 s"), (5, "a-5", "jumps by 7 s"), (6, "a-6", "is upside down")]))
    ['2 episodes: jumps by 2 s (a-3; the others are in notes.parquet)', 'is upside down (a-6)']
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, message in zip(notes.episode_id, notes.message, strict=True):
        groups.setdefault(_NUMBER.sub("#", message), []).append((name, message))
    told = []
    for group in sorted(groups.values(), key=len, reverse=True)[:MOST_GROUPS]:
        name, message = group[0]
        episodes = len({each for each, _ in group})
        many = f"{episodes} episodes: {message} ({name}; the others are in notes.parquet)"
        told.append(many if episodes > 1 else f"{message} ({name})")
    left = len(groups) - len(told)
    return told if left <= 0 else [*told, f"{left} other kinds of notes are in notes.parquet"]


def warnings_of(quarantine: QuarantineTable, losses: Losses) -> list[str]:
    """What the summary must say of workers that died or failed."""
    told = []
    for reason, words in ((CRASHED, "killed their worker process"), (FAILED, "raised an unforeseen error")):
        mine = quarantine.message[np.flatnonzero(quarantine.reason.isin(reason))].tolist()
        if mine:
            more = ", …" if len(set(mine)) > 1 else ""
            told.append(f"{len(mine)} episodes {words}; they are in quarantine as {reason}: {mine[0]}{more}")
    if losses.mended:
        fault = losses.mended[0]
        told.append(
            f"{len(losses.mended)} shards had to be taken again and then lost nothing ({fault.reason}: {fault.message})"
        )
    return told
