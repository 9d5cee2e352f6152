"""What persons say of episodes: a log that is only ever added to, what of it stands, and what follows for outcomes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, Self

import numpy as np

from sima2.errors import UnknownNameError, UsageError
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.meanings import EPISODE_ID, one_of
from sima2.records.table import Table, Text, column, text
from sima2.records.vocabulary import LABELS

SAYINGS: Final = ("success", "failure", "nominal", "label", "boundary", "note")
"""What may be said of an episode."""
CHOSEN: Final = ("random", "active")
"""By what an episode came to be looked at: by lot, or because a label of it seemed to teach much."""
WITHDRAWN: Final = "withdrawn"
"""The value that takes back what the same person said in the same place."""
NO_FRAME: Final = -1
MOST_FRAME: Final = 2**53
"""One past the largest frame: whole numbers up to here are the same in every reader of JSON."""
LONGEST_ID: Final = 4_000
"""Characters of an episode's name."""
LONGEST_VALUE: Final = 4_000
"""Characters of a value: a page of note."""
LONGEST_NAME: Final = 200
"""Characters of a person's name, and of a time."""
_OUTCOME: Final = ("success", "failure")
_IN_PLACES: Final = ("label", "boundary", "note")
"""Of which an episode may have several: one a frame."""


@dataclass(frozen=True, slots=True)
class Label:
    """One thing that a person says of one episode.

    * ``success``, ``failure``: how it ended; with ``frame``, that it had failed by then.
    * ``nominal``: it is a reference episode.
    * ``label``: the segment about ``frame`` is rightly called ``value``; empty where only the wrong is known.
    * ``boundary``: the boundary at ``frame`` belongs to frame ``value``; empty where only the wrong is known.
    * ``note``: ``value`` in words.

    Raises:
        UsageError: if it makes no sense, saying what does.

    >>> Label("pick-7", "failure", frame=120, by="ann").plain()["frame"]
    120
    >>> Label("pick-7", "sucess")
    Traceback (most recent call last):
    sima2.errors.UnknownNameError: unknown thing to say 'sucess': did you mean 'success'? valid: boundary, failure, \
label, nominal, note, success
    """

    episode_id: str
    what: str
    value: str = ""
    frame: int | None = None
    chosen: str = "active"
    by: str = ""
    at: str = ""
    """When it was said, ISO 8601; decides nothing."""

    def __post_init__(self) -> None:
        _text("episode_id", self.episode_id, LONGEST_ID)
        _text("value", self.value, LONGEST_VALUE)
        _text("by", self.by, LONGEST_NAME)
        _text("at", self.at, LONGEST_NAME)
        if not self.episode_id:
            raise UsageError("a label names no episode")
        for kind, name, valid in (("thing to say", self.what, SAYINGS), ("way of choosing", self.chosen, CHOSEN)):
            if not isinstance(name, str) or name not in valid:
                raise UnknownNameError(kind, str(name)[:LONGEST_NAME], valid)
        if self.frame is not None and (type(self.frame) is not int or not 0 <= self.frame < MOST_FRAME):
            raise UsageError(f"frame {str(self.frame)[:40]} is no whole number from 0")
        if self.value == WITHDRAWN:
            return
        if self.what == "label" and self.value and self.value not in LABELS:
            raise UnknownNameError("label of a segment", self.value[:LONGEST_NAME], LABELS)
        if self.what == "boundary" and self.value and not _is_frame(self.value):
            raise UsageError(f"boundary: value {self.value[:40]!r} is no frame to which it belongs")
        if self.what in ("label", "boundary") and self.frame is None:
            raise UsageError(f"{self.what}: say at which frame")
        if self.what == "note" and not self.value.strip():
            raise UsageError("note: say something as its value")
        if self.what in (*_OUTCOME, "nominal") and self.value:
            raise UsageError(f"{self.what}: its value is empty, or {WITHDRAWN!r} to take it back")

    def plain(self) -> dict[str, Any]:
        """As it stands in a line of the log."""
        names = ("episode_id", "frame", "what", "value", "chosen", "by", "at")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Of a line of the log; keys that it has besides are left aside, those that it lacks are as if not given.

        Raises:
            UsageError: if it is none.
        """
        known = {each.name: told[each.name] for each in fields(cls) if told.get(each.name) is not None}
        missing = [name for name in ("episode_id", "what") if name not in known]
        if missing:
            raise UsageError(f"has no {missing[0]}")
        return cls(**known)


def _text(name: str, value: object, longest: int) -> None:
    if not isinstance(value, str):
        raise UsageError(f"{name} is {type(value).__name__}, expected text")
    if len(value) > longest:
        raise UsageError(f"{name} has {len(value)} characters, at most {longest} are kept")
    if not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
        raise UsageError(f"{name} holds half a character")


def _is_frame(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= 16 and int(value) < MOST_FRAME


@dataclass(frozen=True, eq=False)
class LabelTable(Table):
    """What persons said, in the order in which they said it: the lines of ``labels.jsonl``."""

    episode_id: Text = text(EPISODE_ID)
    frame: Int64s = column(
        np.int64, "Frame that it is about, counted from the episode's start; -1 where it is about none.", unit="frame"
    )
    what: Text = text(f"What is said: {one_of(SAYINGS)}.")
    value: Text = text(f"More of it: the right label, the right frame, a note; `{WITHDRAWN}` takes it back.")
    chosen: Text = text(f"By what the episode came to be looked at: {one_of(CHOSEN)}.")
    by: Text = text("Who says it; empty where that is not told.")
    at: Text = text("When it was said, ISO 8601; decides nothing.")

    @classmethod
    def of(cls, labels: Iterable[Label]) -> LabelTable:
        """Of labels in their order."""
        rows = list(labels)
        return cls(
            frame=np.array([NO_FRAME if each.frame is None else each.frame for each in rows], np.int64),
            **{
                name: Text.of(getattr(each, name) for each in rows)
                for name in ("episode_id", "what", "value", "chosen", "by", "at")
            },
        )


def standing(labels: LabelTable) -> LabelTable:
    """What holds: of each person the last word in each place, without what was taken back; in the order of the log.

    A place is an episode's outcome (success or failure), whether it is nominal, or, of labels, boundaries and notes, a
    frame of it.

    >>> said = [Label("a", "success", by="ann"), Label("a", "failure", by="ann"), Label("a", "note", "hm", by="bob")]
    >>> standing(LabelTable.of(said)).what
    Text(['failure', 'note'])
    >>> taken_back = Label("a", "failure", WITHDRAWN, by="ann")
    >>> standing(LabelTable.of([*said, taken_back])).what
    Text(['note'])
    """
    last: dict[tuple[str, str, str, int], int] = {}
    columns = zip(labels.episode_id, labels.what, labels.by, labels.frame.tolist(), strict=True)
    for row, (name, what, by, frame) in enumerate(columns):
        place = (name, _group(what), by, frame if what in _IN_PLACES else NO_FRAME)
        last[place] = row
    kept = [row for row in last.values() if labels.value[row] != WITHDRAWN]
    return labels.take(np.array(sorted(kept), np.int64))


def takes_back(labels: LabelTable, label: Label) -> bool:
    """Whether what a label takes back was said by the same person, and stands.

    >>> said = LabelTable.of([Label("a", "success", by="ann")])
    >>> [takes_back(said, Label("a", what, WITHDRAWN, by="ann")) for what in ("success", "failure")]
    [True, False]
    """
    kept = standing(labels)
    here = kept.episode_id.isin(label.episode_id) & kept.by.isin(label.by) & kept.what.isin(label.what)
    if label.what in _IN_PLACES:
        here &= kept.frame == (NO_FRAME if label.frame is None else label.frame)
    return bool(here.any())


def _group(what: str) -> str:
    return "outcome" if what in _OUTCOME else what


@dataclass(frozen=True, eq=False)
class SaidTable(Table):
    """What persons say of outcomes and references, as far as it stands: one row an episode, ordered by name."""

    schema_version: ClassVar[int] = 1

    episode_id: Text = text(EPISODE_ID)
    success: Float64s = column(
        np.float64, "1 success, 0 failure, NaN where persons disagree or only `nominal` was said.", unit="1"
    )
    disputed: Bools = column(np.bool_, "Persons disagree on how it ended: not known until that is settled.")
    failed_at_frame: Int64s = column(
        np.int64, "Frame by which it had failed, as was said last; -1 where that was not said.", unit="frame"
    )
    nominal: Bools = column(np.bool_, "Called a reference episode by a person, and not a failure.")
    chosen: Text = text(
        f"By what the episode first came to be looked at: {one_of(CHOSEN)}. Only outcomes of episodes that were drawn "
        "by lot count in tests of tags."
    )

    @property
    def outcome(self) -> Bools:
        """Rows in which something is said of the outcome, shape (n,)."""
        return np.isfinite(self.success) | self.disputed

    def digest(self) -> str:
        """What was said, by whomever and whenever; empty where nothing is.

        >>> said_of(LabelTable.of([Label("a", "success", by="ann")])).digest() == said_of(
        ...     LabelTable.of([Label("a", "success", by="bob", at="2024-01-01")])
        ... ).digest()
        True
        """
        if not len(self):
            return ""
        rows = [[str(value) for value in row.values()] for row in self.rows()]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def said_of(labels: LabelTable) -> SaidTable:
    """What stands of outcomes and references, an episode a row.

    An episode that was once drawn by lot stays so, whatever makes somebody look again: a correction makes no sample
    less random.

    >>> both = [Label("a", "success", by="ann"), Label("a", "failure", by="bob"), Label("b", "failure", frame=9)]
    >>> said = said_of(LabelTable.of(both))
    >>> said.disputed.tolist(), said.success.tolist(), said.failed_at_frame.tolist()
    ([True, False], [nan, 0.0], [-1, 9])
    """
    drawn = {
        name
        for name, what, value, chosen in zip(labels.episode_id, labels.what, labels.value, labels.chosen, strict=True)
        if what in _OUTCOME and value != WITHDRAWN and chosen == "random"
    }
    ended: dict[str, set[str]] = {}
    failed_at: dict[str, int] = {}
    nominal: set[str] = set()
    kept = standing(labels)
    for name, what, frame in zip(kept.episode_id, kept.what, kept.frame.tolist(), strict=True):
        if what in _OUTCOME:
            ended.setdefault(name, set()).add(what)
            if what == "failure" and frame >= 0:
                failed_at[name] = frame
        elif what == "nominal":
            nominal.add(name)
    names = sorted({*ended, *nominal})
    disputed = [len(ended.get(name, ())) > 1 for name in names]
    success = [_success(ended.get(name, set())) for name in names]
    lost = [ended.get(name) == {"failure"} for name in names]
    return SaidTable(
        episode_id=Text.of(names),
        success=np.array(success, np.float64),
        disputed=np.array(disputed, np.bool_),
        failed_at_frame=np.array(
            [failed_at.get(name, NO_FRAME) if bad else NO_FRAME for name, bad in zip(names, lost, strict=True)],
            np.int64,
        ),
        nominal=np.array([name in nominal and not bad for name, bad in zip(names, lost, strict=True)], np.bool_),
        chosen=Text.of((CHOSEN[0] if name in drawn else CHOSEN[1] for name in names), CHOSEN),
    )


def _success(ended: set[str]) -> float:
    return float("nan") if len(ended) != 1 else float("success" in ended)
