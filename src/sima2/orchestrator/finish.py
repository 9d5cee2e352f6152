"""The end of a run: conclude, write the tables, tell the summary, make the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sima2.execution.executor import begun
from sima2.execution.shards import turtle
from sima2.orchestrator.deciding import Concluded, conclude
from sima2.orchestrator.finding import Found
from sima2.orchestrator.frame_numbers import write_frame_weights
from sima2.orchestrator.run_context import RunContext
from sima2.orchestrator.summary import calibration_told, map_name, summary_of, to_json
from sima2.pipeline import Frozen, with_cuts

if TYPE_CHECKING:
    from sima2.io.store import Store


def finish(run: RunContext, frozen: Frozen, found: Found) -> dict[str, Any]:
    """Conclude, and leave all of it in the folder; what ``summary.json`` tells.

    Args:
        run: after pass 2.
        frozen: what was fitted, with all episodes.
        found: what was found of their data.
    """
    from sima2.io.store import SUMMARY

    concluded = conclude(run, frozen, found)
    ontology = begun(run.executor, turtle, (concluded.results.aggregates, concluded.proposals))
    write_tables(run.store, concluded)
    write_frame_weights(run, concluded.results)
    write_texts(run, concluded)
    values = summary_of(run, concluded)
    run.store.write_text(SUMMARY, to_json(values))
    write_report(run.store, ontology)
    run.store.finish()
    return values


def write_tables(store: Store, concluded: Concluded) -> None:
    """The tables of all episodes, and the decisions that ``proposals`` shows."""
    results, found = concluded.results, concluded.found
    store.record_decisions([each.to_json() for each in concluded.changes])
    tables = {
        "episodes": results.episodes,
        "defects": with_cuts(found.defects, results.episodes),
        "unusual": found.courses.unusual,
        "courses": found.courses.usual,
        "consensus": found.courses.consensus,
        "proposals": concluded.proposals,
        "actions": concluded.actions,
        "quarantine": results.quarantine,
        "said": results.frozen.said,
        "notes": concluded.notes,
        "weights": results.draws,
        "plan": results.training.episodes,
        "by_example": results.frozen.examples,
        "audit": results.audit,
        **({"verdict_card": found.card} if len(found.card) else {}),
    }
    for name, table in tables.items():
        store.write_table(name, table)


def write_texts(run: RunContext, concluded: Concluded) -> None:
    """Trust, references, what is known, and the column maps that were used."""
    store, results = run.store, concluded.results
    store.write_text("trust_matrix.json", results.trust.to_json())
    if results.trust.by_collection:
        store.write_text("trust_by_collection.json", results.trust.collections_json())
    newest = max(each.run.number for each in run.taken)
    told = to_json(calibration_told(newest, results))
    store.record_calibration(concluded.look.number, concluded.look.digest, told)
    store.write_text("references.json", results.frozen.references.to_json())
    for name, text in results.aggregates.texts(concluded.proposals).items():
        store.write_text(name, text)
    for each in run.taken:
        columns = each.source.describe().get("column_map")
        if columns:
            store.write_text(map_name(each.source, alone=run.alone), str(columns))


def write_report(store: Store, ontology: Callable[[], str | None]) -> None:
    """The page, the signals that it shows of the first episodes, and the ontology that was made meanwhile."""
    from sima2.report.html import render
    from sima2.report.inputs import load_report

    report = load_report(store.path)
    store.write_text("report.html", render(report))
    store.write_text("signals.json", to_json(list(report.signals)))
    write_turtle(store, ontology())


def write_turtle(store: Store, text: str | None) -> None:
    """``ontology.ttl``, where it could be made."""
    if text is not None:
        store.write_text("ontology.ttl", text)
