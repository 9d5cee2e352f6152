"""A short form for what happened in which order: ``lift > slip{<1s} > … success``.

::

    pattern = [gap] item {gap item} [gap end]  |  end
    gap     = ">"  |  "…" or "..."  |  both
    item    = ["!"] (label {"|" label} | "*") {suffix}        no label: any, where a suffix follows
    suffix  = ":" result {"|" result}  |  "@" arm  |  "(" object ")"  |  "[" n "]"  |  "{" limit {"," limit} "}"
    limit   = ("<" | "<=" | ">" | ">=") number ("s" | "ms" | "f")
    end     = "success" | "failure" | "unknown"

``docs/query.md`` tells what each means.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import Final

from sima2.errors import QueryError
from sima2.records.vocabulary import LABELS, OUTCOMES, REASONS

ENDS: Final = ("success", "failure", "unknown")
"""How an episode ended, as the last word of a pattern."""
RESULTS: Final = (*OUTCOMES, *(reason for reason in REASONS if reason))
"""What may stand behind a colon: how a segment ended, or why it failed."""
LONGEST: Final = 1000
"""Characters of a pattern."""
MOST: Final = 32
"""Steps of a pattern."""
LARGEST: Final = 10**12
"""Of a limit, in microseconds or frames: eleven days, and well within whole numbers of 64 bits."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a segment must be; what is empty asks for nothing."""

    labels: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    """Outcomes and reasons of failure, one of which it must have."""
    arm: str = ""
    object: str = ""
    """Name of its object, or the class of it."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Bounds of the gap from the end of the step before to the start of this one, both included."""

    unit: str
    """``us`` (microseconds, so that bounds are exact) or ``frames``."""
    least: int = 0
    most: int = LARGEST


@dataclass(frozen=True, slots=True)
class Step:
    """A segment of a sequence."""

    what: Condition
    nth: int = 0
    """The n-th of its labels, arm and object in the episode, from 1, or from the end below 0; 0 is any."""
    limits: tuple[Limit, ...] = ()
    later: bool = False
    """Whether anything may lie between the step before and this one; else it is the next."""
    absent: tuple[Condition, ...] = ()
    """What does not lie between the step before, or the episode's start, and this one."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A sequence that is looked for."""

    steps: tuple[Step, ...] = ()
    absent: tuple[Condition, ...] = ()
    """What does not come after the last step; in the whole episode where there is no step."""
    end: str = ""
    """How the episode ended, one of ``ENDS``; empty is any way."""


def parsed(text: str) -> Pattern:
    """The sequence that a pattern asks for, by the grammar of this module.

    Raises:
        QueryError: saying what is wrong, its lines marking the place.

    >>> [step.what.labels for step in parsed("lift > slip{<1s} > … success").steps], parsed("lift … success").end
    ([('lift',), ('slip',)], 'success')
    >>> parsed("lift > slpi")
    Traceback (most recent call last):
        ...
    sima2.errors.QueryError: unknown label 'slpi': did you mean 'slip'?
    """
    return _Reader(text).pattern()


@dataclass(slots=True)
class _Reader:
    """Reads a pattern from left to right."""

    text: str
    at: int = 0
    steps: list[Step] = field(default_factory=list)
    absent: list[Condition] = field(default_factory=list)

    def pattern(self) -> Pattern:
        if len(self.text) > LONGEST:
            raise self.wrong(f"a pattern has at most {LONGEST} characters", LONGEST)
        later, _ = self._gap()
        end = ""
        while True:
            end = self._end()
            if end:
                break
            self._item(later)
            began = self.at
            later, found = self._gap()
            if self.done:
                if found and not later:
                    raise self.wrong("nothing comes after >", began)
                break
            if not found:
                raise self.wrong("> or … belongs between two steps", self.at)
        return Pattern(tuple(self.steps), tuple(self.absent), end)

    @property
    def done(self) -> bool:
        return self.at >= len(self.text)

    def wrong(self, problem: str, at: int) -> QueryError:
        """The problem, and a piece of the pattern with a mark below the place."""
        first = max(0, min(at - 30, len(self.text) - 54))
        piece = "".join(each if each.isprintable() else "?" for each in self.text[first : first + 54])
        return QueryError(problem, piece, " " * (at - first) + "^")

    def _space(self) -> None:
        while not self.done and self.text[self.at].isspace():
            self.at += 1

    def _took(self, *signs: str) -> str:
        """The sign that stands here, passed by; empty where none does."""
        self._space()
        for sign in signs:
            if self.text.startswith(sign, self.at):
                self.at += len(sign)
                return sign
        return ""

    def _gap(self) -> tuple[bool, bool]:
        """What stands between two steps: whether anything may lie between, and whether there is a sign at all."""
        later, began = False, self.at
        signs = 0
        while sign := self._took(">", "…", "..."):
            signs += 1
            if sign == ">" and signs > 1 and not later:
                raise self.wrong("two > with nothing between them", self.at - 1)
            later |= sign != ">"
        if not self.steps and not self.absent and signs and not later:
            raise self.wrong("nothing comes before >", began)
        return later, signs > 0

    def _word(self) -> str:
        found = re.compile(r"[A-Za-z_][A-Za-z0-9_]*").match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return found[0]

    def _end(self) -> str:
        """How the episode ended, where that is what the rest says."""
        self._space()
        rest = self.text[self.at :].strip()
        if rest in ENDS:
            self.at = len(self.text)
            return rest
        if not rest and not self.steps and not self.absent:
            raise self.wrong("the pattern names no step: try 'lift … slip'", self.at)
        return ""

    def _item(self, later: bool) -> None:
        """A step, or what must be absent."""
        began = self.at
        negated = bool(self._took("!"))
        self._space()
        what, nth, limits = self._step(began)
        if negated:
            if nth or limits:
                raise self.wrong("what is absent has no number and no limit", began)
            self.absent.append(what)
            return
        if limits and not self.steps:
            raise self.wrong("a limit is on the gap from the step before, and there is none", began)
        if len(self.steps) == MOST:
            raise self.wrong(f"a pattern has at most {MOST} steps", began)
        self.steps.append(Step(what, nth, limits, later or bool(limits or self.absent), tuple(self.absent)))
        self.absent.clear()

    def _step(self, began: int) -> tuple[Condition, int, tuple[Limit, ...]]:
        labels = self._labels()
        nth, limits, given = 0, (), {}  # type: int, tuple[Limit, ...], dict[str, object]
        while sign := self._took(":", "@", "(", "[", "{"):
            if sign in given:
                raise self.wrong(f"a second {sign} of one step", self.at - 1)
            given[sign] = True
            if sign == ":":
                given[sign] = self._results()
            elif sign == "@":
                given[sign] = self._name(r"[^\s@(\[{:>…!)]+", "an arm belongs behind @, as in @left")
            elif sign == "(":
                given[sign] = self._name(r"[^)]+(?=\))", "an object belongs between ( and ), as in (cup)").strip()
                self.at += 1
            elif sign == "[":
                nth = self._number()
            else:
                limits = self._limits()
        if labels is None and not given:
            raise self.wrong("a label belongs here", min(began, len(self.text)) if self.done else self.at)
        results = given.get(":", ())
        assert isinstance(results, tuple)
        what = Condition(labels or (), results, str(given.get("@", "")), str(given.get("(", "")))
        return what, nth, limits

    def _labels(self) -> tuple[str, ...] | None:
        """Labels that are named, none for any; None where nothing is."""
        if self._took("*"):
            return ()
        found: list[str] = []
        while True:
            self._space()
            began = self.at
            word = self._word()
            if not word and not found:
                return None
            self._known("label", word, LABELS, began)
            found.append(word)
            if not self._took("|"):
                return tuple(found)

    def _results(self) -> tuple[str, ...]:
        if self._took("*"):
            return ()
        found: list[str] = []
        while True:
            self._space()
            began = self.at
            word = self._word()
            self._known("outcome", word, RESULTS, began)
            found.append(word)
            if not self._took("|"):
                return tuple(found)

    def _known(self, kind: str, word: str, valid: tuple[str, ...], began: int) -> None:
        if word in valid:
            return
        if not word:
            raise self.wrong(f"an {kind} belongs here" if kind == "outcome" else f"a {kind} belongs here", began)
        if kind == "label" and word in ENDS:
            raise self.wrong(f"{word} is how the episode ended and comes last; of a segment it is :{word}", began)
        near = difflib.get_close_matches(word, valid, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"valid: {', '.join(sorted(valid))}"
        raise self.wrong(f"unknown {kind} {word!r}: {hint}", began)

    def _name(self, form: str, problem: str) -> str:
        found = re.compile(form).match(self.text, self.at)
        if found is None or not found[0].strip():
            raise self.wrong(problem, self.at)
        self.at = found.end()
        return found[0]

    def _number(self) -> int:
        began = self.at
        found = re.compile(r"\s*(-?[0-9]{1,9})\s*\]").match(self.text, self.at)
        if found is None or int(found[1]) == 0:
            raise self.wrong("a whole number belongs between [ and ], from 1, or from the end: [2], [-1]", began)
        self.at = found.end()
        return int(found[1])

    def _limits(self) -> tuple[Limit, ...]:
        found: list[Limit] = []
        while True:
            began = self.at
            sign = self._took("<=", ">=", "<", ">")
            number = re.compile(r"\s*([0-9]{1,9})(?:\.([0-9]{1,6}))?\s*(ms|s|f)(?![A-Za-z])").match(self.text, self.at)
            if not sign or number is None or (number[3] == "f" and number[2]):
                raise self.wrong("a limit belongs between { and }, as in {<1s}, {<=500ms}, {>2s} or {<20f}", began)
            self.at = number.end()
            found.append(_limit(sign, number[1], number[2] or "", number[3]))
            if self._took("}"):
                return tuple(found)
            if not self._took(","):
                raise self.wrong("} belongs here", self.at)


def _limit(sign: str, whole: str, part: str, unit: str) -> Limit:
    """Bounds in whole microseconds or frames."""
    digits = {"s": 6, "ms": 3, "f": 0}[unit]
    # digits beyond a microsecond are below what times are told apart by
    value = min(int(whole + part.ljust(digits, "0")[:digits]), LARGEST - 1)
    name = "frames" if unit == "f" else "us"
    if sign.startswith("<"):
        return Limit(name, most=value if sign == "<=" else value - 1)
    return Limit(name, least=value if sign == ">=" else value + 1)
