"""What docs/measured.md is made of: its words (``page.md.in``) and the tables that they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from measured import costs, made, recorded
from measured.cells import Values

TABLES: Final[Mapping[str, Callable[[Values], str]]] = {
    "foreign": recorded.foreign,
    "foreign fewer": recorded.foreign_fewer,
    "foreign_changed": recorded.foreign_changed,
    "recordings": recorded.recordings,
    "recordings_defects": recorded.recordings_defects,
    "recordings_plan": recorded.recordings_plan,
    "card": recorded.card,
    "receipts": recorded.receipts,
    "segmentation": made.segmentation,
    "semantics": made.semantics,
    "trust": made.trust,
    "trust carried": made.trust_carried,
    "trust_hardening": made.trust_hardening,
    "by_example": made.by_example,
    "videos": made.videos,
    "stress": costs.stress,
    "formats": costs.formats,
    "formats labels": costs.formats_labels,
    **{name: partial(costs.figures, name) for name in costs.FIGURES},
}
"""The tables that the template may name."""
