"""Evidence by what it is about: sums, episodes and samples of any cut through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sima2.knowledge.evidence import PRESENT, Evidence
from sima2.knowledge.keys import distinct
from sima2.knowledge.support import SAMPLE, sample
from sima2.records.arrays import Int64s

Rows = Int64s
_CELL: Final = ("object", "action", "outcome", "reason", "correction")


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Rows of the evidence by (object, action), then by (outcome, reason, correction); all in sorted order."""

    evidence: Evidence
    rows: Mapping[tuple[str, str], Mapping[tuple[str, str, str], Rows]]

    @classmethod
    def of(cls, evidence: Evidence) -> Cells:
        """Of evidence as it is collected: sorted by episode within each cell."""
        found: dict[tuple[str, str], dict[tuple[str, str, str], Rows]] = {}
        if len(evidence):
            columns = [getattr(evidence, name) for name in _CELL]
            codes = [c.codes for c in columns]
            first, place = distinct(codes, [len(c.names) for c in columns])
            order = np.argsort(place, kind="stable")
            cuts = np.searchsorted(place[order], np.arange(len(first) + 1)).tolist()
            for k, cell in enumerate(zip(*(code[first].tolist() for code in codes), strict=True)):
                thing, action, *rest = (c.names[code] for c, code in zip(columns, cell, strict=True))
                found.setdefault((thing, action), {})[rest[0], rest[1], rest[2]] = order[cuts[k] : cuts[k + 1]]
        return cls(evidence, {pair: dict(sorted(found[pair].items())) for pair in sorted(found)})

    @property
    def episodes(self) -> int:
        """Episodes of all the evidence."""
        return len(np.unique(self.evidence.episode_id.codes))

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every (object, action) that was tried, in order."""
        return (pair for pair in self.rows if pair[1])

    def at(self, thing: str, action: str, *outcomes: str, reason: str | None = None, correction: str = "") -> Rows:
        """Rows of an (object, action) by outcome, and by reason and correction where they are given."""
        parts = [
            rows
            for (outcome, why, how), rows in self.rows.get((thing, action), {}).items()
            if outcome in outcomes and reason in (None, why) and correction in ("", how)
        ]
        return np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.int64)

    def tried(self, thing: str, action: str) -> Rows:
        """Attempts whose end is known."""
        return self.at(thing, action, "success", "failure")

    def present(self, thing: str) -> Rows:
        """Rows that say that an object took part, one an episode."""
        return self.at(thing, "", PRESENT)

    def reasons(self, thing: str, action: str) -> list[str]:
        """Reasons for which it failed, sorted."""
        return sorted({why for outcome, why, _ in self.rows.get((thing, action), {}) if outcome == "failure"})

    def count(self, rows: Rows) -> int:
        """Occurrences."""
        return int(self.evidence.count[rows].sum())

    def distinct(self, rows: Rows) -> int:
        """Episodes."""
        return len(np.unique(self.evidence.episode_id.codes[rows]))

    def sample(self, rows: Rows) -> str:
        """JSON list of the smallest ids."""
        names = self.evidence.episode_id.names
        return sample(names[code] for code in np.unique(self.evidence.episode_id.codes[rows]).tolist())

    def footing(self, rows: Rows) -> dict[str, Any]:
        """The episodes that rows rest on: how many, and of the smallest ids the frames of the first occurrence.

        ``[-1, -1]`` where only the goal named it.
        """
        table = self.evidence
        codes, first = np.unique(table.episode_id.codes[rows], return_index=True)
        spans = {
            table.episode_id.names[code]: [int(table.start_frame[row]), int(table.end_frame[row])]
            for code, row in zip(codes[:SAMPLE].tolist(), rows[first[:SAMPLE]].tolist(), strict=True)
        }
        return {"episodes": len(codes), "frames": spans}
