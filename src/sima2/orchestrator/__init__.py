"""Runs the whole: pump → pass 1 → freeze → pass 2 → trust → proposals → plan, and keeps it in a folder."""

from sima2.orchestrator.amending import rebuild_ledger, redecide
from sima2.orchestrator.run_context import FIRST, LOOKED, PLANNED, SECOND
from sima2.orchestrator.runs import run_pipeline, run_source, run_sources
from sima2.orchestrator.sources import Given, identity, named, open_source, prior_of

__all__ = [
    "FIRST",
    "LOOKED",
    "PLANNED",
    "SECOND",
    "Given",
    "identity",
    "named",
    "open_source",
    "prior_of",
    "rebuild_ledger",
    "redecide",
    "run_pipeline",
    "run_source",
    "run_sources",
]
