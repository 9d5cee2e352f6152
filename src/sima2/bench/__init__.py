"""Measured claims: every number in docs/measured.md comes from a command in this room."""

from __future__ import annotations

from typing import Final

BENCHES: Final = (
    "throughput",
    "segmentation",
    "foreign",
    "foreign_changed",
    "recordings",
    "recordings_defects",
    "recordings_plan",
    "card",
    "receipts",
    "semantics",
    "trust",
    "trust_hardening",
    "stress",
    "export",
    "view",
    "formats",
    "by_example",
    "videos",
)
"""Benches that exist, each a module or package with ``run`` and ``rows``."""
