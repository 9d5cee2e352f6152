"""What became of each detector, counted, and the card that follows from it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sima2.card.rates import Interval, precision_at_least, wilson
from sima2.card.verdicts import SAME_AS
from sima2.records.plan import CardTable
from sima2.records.table import Text


@dataclass(slots=True)
class Count:
    """What became of one detector."""

    planted: int = 0
    found: int = 0
    clean: int = 0
    false: int = 0
    told: int = 0
    asked: int = 0
    how: Counter[str] | None = None
    """By kind of fault how often it was planted."""
    missed: Counter[str] | None = None
    why: Counter[str] | None = None
    """Why it could not be."""

    def add(self, kind: str, found: bool) -> None:
        """One more that was planted."""
        self.planted += 1
        self.found += found
        self.how = self.how if self.how is not None else Counter()
        self.missed = self.missed if self.missed is not None else Counter()
        self.how[kind] += 1
        self.missed[kind] += not found

    def refuse(self, why: str, times: int = 1) -> None:
        """What could not be planted."""
        self.why = self.why if self.why is not None else Counter()
        self.why[why] += times


def precision_of(count: Count) -> float:
    """How often what a detector tells of the set is so, at the least; NaN where it tells nothing or nothing tells."""
    if not (count.planted and count.clean):
        return math.nan
    recall, false = wilson(count.found, count.planted), wilson(count.false, count.clean)
    return precision_at_least(count.told, count.asked, recall.high, false.high)


def table_of(counts: Mapping[str, Count]) -> CardTable:
    """The card, the worst recall first, and what could not be measured last."""
    rows = []
    for name, count in counts.items():
        recall, false = wilson(count.found, count.planted), wilson(count.false, count.clean)
        precision = precision_of(count)
        rows.append((name, count, recall, precision, _note(name, count, false)))
    rows.sort(key=lambda row: (not row[1].planted, np.nan_to_num(row[2].share), row[0]))
    return CardTable(
        detector=Text.of(name for name, *_ in rows),
        planted=np.array([count.planted for _, count, *_ in rows], np.int64),
        found=np.array([count.found for _, count, *_ in rows], np.int64),
        recall=np.array([recall.share for _, _, recall, *_ in rows], np.float64),
        recall_low=np.array([recall.low for _, _, recall, *_ in rows], np.float64),
        recall_high=np.array([recall.high for _, _, recall, *_ in rows], np.float64),
        clean=np.array([count.clean for _, count, *_ in rows], np.int64),
        false_alarms=np.array([count.false for _, count, *_ in rows], np.int64),
        told=np.array([count.told for _, count, *_ in rows], np.int64),
        asked=np.array([count.asked for _, count, *_ in rows], np.int64),
        precision=np.array([precision for *_, precision, _ in rows], np.float64),
        note=Text.of(note for *_, note in rows),
    )


def _note(name: str, count: Count, false: Interval) -> str:
    """What was planted and of it missed, or why nothing was; then the false alarms."""
    if not count.planted:
        why = count.why.most_common(1)[0][0] if count.why else "nothing to plant it into"
        return f"none planted: {why}"
    how, missed = count.how or Counter(), count.missed or Counter()
    parts = [
        f"{kind.replace('_', ' ')} {n}" + (f" ({missed[kind]} missed)" if missed[kind] else "")
        for kind, n in sorted(how.items())
    ]
    alarms = "no clean place was looked at"
    if name in SAME_AS:
        alarms = f"how often it is told stands at {SAME_AS[name].replace('_', ' ')}"
    elif count.clean:
        alarms = (
            f"false alarms {100 * false.share:.2g} % (at most {100 * false.high:.2g} %) of {count.clean} clean places"
        )
    return f"planted: {', '.join(parts)}; {alarms}"
