"""What is done to the folder of a finished run: a proposal taken back or restored, a lost ledger made again."""

from __future__ import annotations

import json
from pathlib import Path

from sima2.orchestrator.deciding import merged_aggregates
from sima2.orchestrator.finish import write_turtle
from sima2.orchestrator.run_context import FIRST
from sima2.orchestrator.summary import to_json
from sima2.pipeline import FirstPass, proposal_counts
from sima2.records.knowledge import ProposalTable
from sima2.semantic_orchestrator import Decision, SemanticOrchestrator
from sima2.shard_tables import SKIPPED


def redecide(out: Path, *, undo: str = "", restore: str = "", because: str = "") -> ProposalTable:
    """Take back a proposal that is applied, or let one that was taken back be decided anew, and what follows from it.

    Args:
        out: folder of a finished run.
        undo: id of the proposal to take back.
        restore: id of the proposal to decide on anew.
        because: why, for the history.

    Raises:
        UsageError: if there is no such proposal, or it is not in that state.
    """
    from sima2.io.store import SUMMARY, Store
    from sima2.report.html import render
    from sima2.report.inputs import load_report, read_trust

    orchestrator = SemanticOrchestrator()
    with Store.amend(out) as store:
        values = json.loads(store.read_text(SUMMARY))
        proposals = store.read_table(ProposalTable, "proposals")
        made = (
            orchestrator.undo(proposals, undo, because) if undo else orchestrator.restore(proposals, restore, because)
        )
        merged = merged_aggregates(store)
        history = [Decision.from_json(text) for text in (*store.decisions, made.to_json())]
        decided = orchestrator.decide(merged.proposals(), read_trust(out), history)
        store.record_decisions([made.to_json()])
        store.write_table("proposals", decided)
        for name, text in merged.texts(decided).items():
            store.write_text(name, text)
        write_turtle(store, merged.ontology_turtle(decided))
        values |= {"proposals": proposal_counts(decided), "digest": store.digest()}
        store.write_text(SUMMARY, to_json(values))
        store.write_text("report.html", render(load_report(out)))
    return decided


def rebuild_ledger(out: Path) -> int:
    """Make the ledger of a folder again from its shards; how many were found whole. A run then finishes them.

    Raises:
        StoreError: if the folder holds no history to go by.
    """
    from sima2.io.store import rebuild

    kinds = [kind.folder for kind in FirstPass.KINDS.values()]
    return rebuild(out, FIRST, kinds, optional=(SKIPPED.folder,))
