"""Rules with a name and a reason, the lists that they stand in, and a trace of which of them spoke.

A rule says something of the cases for which its function holds: of touches what they are, of closings what they came
to, of runs of states what they are called, of segments how they ended. The function's name is the rule's name, and the
first paragraph of its docstring the reason.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Final, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Bools, Float64s, Int64s

Case = TypeVar("Case")
FIRST: Final = "the first that holds counts"
LAST: Final = "the last that holds counts"
ANY: Final = "any that holds is enough"


@dataclass(frozen=True, slots=True)
class Rule(Generic[Case]):
    """What cases of which something holds are."""

    says: Any
    holds: Callable[[Case], Bools]
    """For each of the cases, shape (r,)."""

    @property
    def name(self) -> str:
        """That of its function, in words."""
        return name_of(self.holds)

    @property
    def reason(self) -> str:
        """Why it says so, in a sentence."""
        return reason_of(self.holds)

    @property
    def words(self) -> str:
        """What it says."""
        return self.says.name.lower() if isinstance(self.says, IntEnum) else str(self.says)


@dataclass(frozen=True, slots=True)
class RuleList(Generic[Case]):
    """Rules in their order."""

    about: str
    """What they decide."""
    title: str
    """What of, in words."""
    order: str
    """Which of those that hold counts."""
    rules: tuple[Rule[Case], ...]

    def without(self, name: str) -> RuleList[Case]:
        """All but the rule of that name."""
        return replace(self, rules=tuple(rule for rule in self.rules if rule.name != name))

    def asked(
        self, case: Case, left: Bools | bool = True, may: Callable[[Any], Bools | bool] = lambda _: True
    ) -> Iterator[tuple[Rule[Case], Bools]]:
        """Each rule and where it holds.

        Args:
            case: what the rules are asked of.
            left: cases that are asked about; where the first rule counts, ever fewer.
            may: cases of which what a rule says may be said.
        """
        for rule in self.rules:
            holds = rule.holds(case) & left & may(rule.says)
            if self.order == FIRST:
                left = left & ~holds
            if (trace := _listening.get()) is not None and holds.any():
                trace.heard(self.about, rule, case, holds)
            yield rule, holds


def name_of(function: Callable[..., Any]) -> str:
    """Name of a function, in words."""
    return function.__name__.strip("_").replace("_", " ")


def reason_of(function: Callable[..., Any]) -> str:
    """First paragraph of a docstring, in one line."""
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())


class Measure(NamedTuple):
    """What a rule measured, and what it was held against."""

    what: str
    measured: float
    limit: float

    def __str__(self) -> str:
        sign = ">" if self.measured > self.limit else "≤"
        return f"{self.what}: {self.measured:.3g} {sign} {self.limit:.3g}"


class Note(NamedTuple):
    """A rule that spoke of a stretch of frames."""

    about: str
    says: str
    name: str
    reason: str
    start: int
    stop: int
    measures: tuple[Measure, ...]


@dataclass(eq=False)
class Trace:
    """Which rules spoke, in their order, one list for each time that an arm was judged."""

    passes: list[tuple[str, list[Note]]] = field(default_factory=list)
    """Arm and notes."""
    _kept: int = -1
    """Notes of the pass that stand when segments are made again."""
    _measured: list[tuple[str, NDArray[Any], NDArray[Any]]] | None = None

    def heard(self, about: str, rule: Rule[Any], case: Any, holds: Bools) -> None:
        """Note a rule, and ask it once more, of a fresh case, for what it measures."""
        self._measured = []
        rule.holds(replace(case))
        measured, self._measured = self._measured, None
        rows = np.flatnonzero(holds)
        columns = [
            (what, *(np.broadcast_to(x, holds.shape)[rows].tolist() for x in pair))
            for what, *pair in measured
            if all(np.ndim(x) == 0 or np.shape(x) == holds.shape for x in pair)
        ]
        start = getattr(case, "start", None)
        if start is None or len(start) != len(holds):
            # it speaks of frames
            edges = np.flatnonzero(np.diff(holds.astype(np.int8), prepend=0, append=0))
            for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
                self.note(about, rule.words, rule.name, rule.reason, a, b, ())
            return
        for k, (a, b) in enumerate(zip(start[rows].tolist(), case.stop[rows].tolist(), strict=True)):
            found = dict.fromkeys(Measure(what, x[k], limit[k]) for what, x, limit in columns)
            self.note(about, rule.words, rule.name, rule.reason, a, b, tuple(found))

    def changed(
        self, about: str, step: Callable[..., Any], before: Int64s, after: Int64s, names: Sequence[str]
    ) -> None:
        """Note a step that is no rule, wherever it gave frames another code."""
        edges = np.flatnonzero(np.diff(np.where(before != after, after, -1), prepend=-1, append=-1))
        for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if before[start] != after[start]:
                says = names[int(after[start])]
                self.note(about, says, name_of(step), reason_of(step), start, stop, ())

    def began(self, arm: str) -> None:
        """All that follows is of an arm, judged anew."""
        self.passes.append((arm, []))
        self._kept = -1

    def began_segments(self) -> None:
        """Its frames are made into segments, perhaps for the second time: what was said the first time is void."""
        notes = self.passes[-1][1]
        self._kept = len(notes) if self._kept < 0 else self._kept
        del notes[self._kept :]

    def note(self, *each: Any) -> None:
        """Note a rule or step: the fields of :class:`Note`."""
        if self.passes:
            self.passes[-1][1].append(Note(*each))


_listening: ContextVar[Trace | None] = ContextVar("listening", default=None)


@contextmanager
def traced() -> Iterator[Trace]:
    """A trace of all rules that speak meanwhile; slower, and the results are the same."""
    token = _listening.set(trace := Trace())
    try:
        yield trace
    finally:
        _listening.reset(token)


def listening() -> Trace | None:
    """The trace that listens, if one does."""
    return _listening.get()


def note_change(about: str, step: Callable[..., Any], before: Int64s, after: Int64s, names: Sequence[str]) -> None:
    """Tell a trace that listens what a step has changed, frame by frame; codes stand for ``names``."""
    if (trace := _listening.get()) is not None:
        trace.changed(about, step, before, after, names)


def above(what: str, measured: NDArray[Any] | float, limit: NDArray[Any] | float) -> Bools:
    """Where something measured is above its limit; a trace that listens is told both numbers.

    >>> above("s at rest", np.array([0.2, 0.7]), 0.5).tolist()
    [False, True]
    """
    if (trace := _listening.get()) is not None and trace._measured is not None:
        trace._measured.append((what, np.asarray(measured, np.float64), np.asarray(limit, np.float64)))
    return np.asarray(np.greater(measured, limit))


def below(what: str, measured: Float64s, limit: Float64s | float) -> Bools:
    """Where it is below."""
    above(what, measured, limit)
    return np.asarray(np.less(measured, limit))


def within(what: str, measured: Float64s, limit: Float64s | float) -> Bools:
    """Where it is no larger."""
    above(what, measured, limit)
    return np.asarray(np.less_equal(measured, limit))
