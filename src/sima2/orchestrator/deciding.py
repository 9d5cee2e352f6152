"""What a run concludes: trust, the plan, what is applied of the proposals, and which episodes ask for an alarm."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from sima2.errors import Sima2Error
from sima2.orchestrator.finding import Found
from sima2.orchestrator.run_context import SECOND, RunContext
from sima2.pipeline import (
    Aggregates,
    AllEpisodes,
    DataFindings,
    Frozen,
    Results,
    TrustBasis,
    finalize,
    with_defects,
)
from sima2.records.intake import NoteTable
from sima2.records.knowledge import ActionTable, ProposalTable
from sima2.semantic_orchestrator import Decision, SemanticOrchestrator
from sima2.shard_tables import COSTS, NOTES, PAUSES, QUARANTINE, SKIPPED, TAG_ROWS

if TYPE_CHECKING:
    from sima2.io.store import Store


class Look(NamedTuple):
    """A calibration of trust on what was counted."""

    number: int
    """Counts the calibrations so far; the same counts again are the same look."""
    digest: str
    """Of the counts."""


class Arrived(NamedTuple):
    """What became of the episodes that came in."""

    came: int
    quarantined: int
    skipped: int
    """They were there already."""


@dataclass(frozen=True, slots=True, eq=False)
class Concluded:
    """All that a run concludes, before it is written."""

    results: Results
    found: Found
    every: AllEpisodes
    look: Look
    arrived: Arrived
    proposals: ProposalTable
    """With what was decided on each."""
    changes: Sequence[Decision]
    """What the history has to add for that."""
    actions: ActionTable
    """Alarms."""
    notes: NoteTable
    """What is odd about episodes."""


def conclude(run: RunContext, frozen: Frozen, found: Found) -> Concluded:
    """Judge what both passes left, and decide what follows.

    Args:
        run: after pass 2.
        frozen: what was fitted, with all episodes.
        found: what was found of their data.

    Raises:
        Sima2Error: if an episode was lost on the way.
    """
    store = run.store
    aggregates = merged_aggregates(store)
    every = AllEpisodes(TAG_ROWS.whole(store), COSTS.whole(store), QUARANTINE.whole(store))
    look = _look(store, aggregates)
    results = finalize(
        # the auditor looks at defects
        replace(frozen, episodes=with_defects(frozen.episodes, found.defects)),
        aggregates,
        every,
        DataFindings(
            defects=found.defects,
            verdicts=found.courses.verdicts,
            pauses=PAUSES.whole(store),
            consensus=found.courses.consensus,
            card=found.card,
        ),
        TrustBasis(
            look=look.number,
            sources={each.origin["source_id"]: each.origin["collection"] for each in store.runs},
            prior=run.prior,
        ),
    )
    orchestrator = SemanticOrchestrator()
    history = [Decision.from_json(text) for text in store.decisions]
    proposals = orchestrator.decide(results.proposals, results.trust, history)
    source_of = dict(zip(results.episodes.episode_id, results.episodes.source, strict=True))
    return Concluded(
        results=results,
        found=found,
        every=every,
        look=look,
        arrived=_arrived(store, results),
        proposals=proposals,
        changes=orchestrator.changes(proposals, history, look.number),
        actions=orchestrator.react_apart(every.tags, results.trust, source_of),
        notes=NOTES.whole(store),
    )


def merged_aggregates(store: Store) -> Aggregates:
    """What pass 2 counted in all shards."""
    parts = {name: list(store.aggregates(SECOND, name)) for name in ("trust", "evidence", "tasks", "tally")}
    begins = [run.first_shard for run in store.runs]
    collections = [str(run.origin["collection"]) for run in store.runs]
    of_shard = [collections[max(bisect_right(begins, shard) - 1, 0)] for shard, _ in parts["trust"]]
    return Aggregates.merged({name: [text for _, text in rows] for name, rows in parts.items()}, of_shard)


def _look(store: Store, aggregates: Aggregates) -> Look:
    from sima2.analytics.gate import next_look

    digest = aggregates.trust.digest()
    return Look(next_look([(before, number) for number, before, _ in store.calibrations], digest), digest)


def _arrived(store: Store, results: Results) -> Arrived:
    """Every episode that came in went through, is in quarantine, or was there already.

    Raises:
        Sima2Error: if one was lost.
    """
    through, quarantined = len(results.episodes), len(results.quarantine)
    skipped = sum(len(part) for part in SKIPPED.shards(store))
    came = sum(each.episodes for each in store.runs)
    if through + quarantined + skipped != came:
        raise Sima2Error(
            f"{came} episodes came in, {through} went through, {quarantined} are in quarantine and {skipped} were "
            "there already: some were lost; this is a defect"
        )
    return Arrived(came, quarantined, skipped)
