"""What follows from both passes: trust, proposals, the plan, draws and the audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from sima2.pipeline.data_findings import DataFindings
from sima2.pipeline.freezing import Frozen
from sima2.pipeline.pass_two import Aggregates
from sima2.pipeline.summary_counts import plan_counts, proposal_counts, run_counts, tally
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.intake import QuarantineTable
from sima2.records.knowledge import ProposalTable
from sima2.records.plan import AuditTable, SamplePlan, TrainingPlan
from sima2.records.tags import TagTable
from sima2.records.trust import TrustMatrix

if TYPE_CHECKING:
    from sima2.analytics.counts import TrustCounts
    from sima2.analytics.prior import Prior
    from sima2.sampling.plan import Known, Plan


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What the whole run says, before anything is decided on proposals."""

    frozen: Frozen
    aggregates: Aggregates
    trust: TrustMatrix
    proposals: ProposalTable
    training: Plan
    """What to train on, and by which frames."""
    planned_by: Mapping[str, str]
    """Objective and preset of that."""
    draws: SamplePlan
    """How often each episode is drawn, for reinforcement."""
    audit: AuditTable
    quarantine: QuarantineTable
    drawn: Mapping[str, Any]
    """What a trainer will see: shares that the plan draws, and even ones."""
    values: Mapping[str, Any]
    """Counts, costs and statistics for the summary."""

    @property
    def episodes(self) -> EpisodeTable:
        """All episodes."""
        return self.frozen.episodes

    def summary(self, proposals: ProposalTable) -> dict[str, Any]:
        """What ``summary.json`` says of the results."""
        return {
            **self.values,
            "trust": _levels(self.trust),
            **({"trust_by_collection": each} if (each := self._by_collection()) else {}),
            "shadow": asdict(self.trust.shadow) if self.trust.shadow else None,
            "alerts": [{"tag": a.tag, "kind": a.kind, "message": a.message} for a in self.trust.alerts],
            "proposals": proposal_counts(proposals),
            "audit": tally(self.audit.status),
            "plan": {**self.planned_by, **plan_counts(self.training, self.episodes)},
            "weights": self.drawn,
        }

    def _by_collection(self) -> dict[str, dict[str, Any]]:
        return {name: _levels(rows) for name, rows in self.trust.by_collection.items()}


def _levels(trust: TrustMatrix) -> dict[str, Any]:
    return {tag: {"trust_level": row.trust_level, "tier": row.tier, "reason": row.reason} for tag, row in trust.items()}


@dataclass(frozen=True, slots=True, eq=False)
class AllEpisodes:
    """Tables of all episodes, which both passes left."""

    tags: TagTable
    econ: EconTable
    quarantine: QuarantineTable
    """What was put aside."""


@dataclass(frozen=True, slots=True, eq=False)
class TrustBasis:
    """What trust rests on besides counts."""

    look: int = 1
    """Counts the calibrations so far."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Collection of each source by its id; needed where there are several collections."""
    prior: Prior | None = None
    """What an earlier set says of the tags."""


def finalize(
    frozen: Frozen,
    aggregates: Aggregates,
    every: AllEpisodes,
    found: DataFindings | None = None,
    basis: TrustBasis | None = None,
) -> Results:
    """Trust, proposals, audit and weights from what both passes left.

    Args:
        frozen: what was fitted, with all episodes.
        aggregates: of all shards.
        every: tables of all episodes.
        found: what was found of their data; nothing, if not given.
        basis: what trust rests on besides; a first look at one collection, if not given.
    """
    from sima2.sampling.effective import effective
    from sima2.sampling.plan_settings import PlanSettings
    from sima2.sampling.planned import planned
    from sima2.sampling.pool import Pool
    from sima2.tags.specs import TAGS

    episodes, tags = frozen.episodes, every.tags
    trust = _tested(aggregates, basis or TrustBasis())
    pool = Pool.of(episodes, tags, trust, TAGS)
    known = _known(episodes, tags, trust, found or DataFindings())
    settings = PlanSettings()
    training = planned(known, pool, settings).plan
    draws = planned(known, pool, PlanSettings(objective="rl")).draws
    return Results(
        frozen=frozen,
        aggregates=aggregates,
        trust=trust,
        proposals=aggregates.proposals(),
        training=training,
        planned_by={"objective": settings.objective, "preset": settings.preset},
        draws=draws,
        audit=_audited(episodes, tags, trust, every.quarantine, training.episodes),
        quarantine=every.quarantine,
        drawn=effective(pool, draws.p),
        values=run_counts(episodes, frozen.nominal_rule, aggregates, tags, every.econ),
    )


def _known(episodes: EpisodeTable, tags: TagTable, trust: TrustMatrix, found: DataFindings) -> Known:
    """What the plan rests on."""
    from sima2.sampling.plan import Known, precision_of
    from sima2.sampling.tag_reviews import tag_reviews
    from sima2.tags.specs import TAGS

    return Known(
        episodes=episodes,
        defects=found.defects,
        verdicts=found.verdicts,
        pauses=found.pauses,
        consensus=found.consensus,
        precision=precision_of(found.card),
        asked=tag_reviews(episodes, tags, trust, TAGS),
    )


def _tested(aggregates: Aggregates, basis: TrustBasis) -> TrustMatrix:
    """The verdict on every tag: on all episodes, and on those of each collection by themselves if there are several."""
    from sima2.analytics import counts
    from sima2.analytics.econ_correlator import EconCorrelator
    from sima2.tags.specs import TAGS

    def matrix(whole: TrustCounts, batches: Sequence[TrustCounts]) -> TrustMatrix:
        return EconCorrelator().correlate(whole, specs=TAGS, look=basis.look, batches=batches, prior=basis.prior)

    apart = {
        name: matrix(reduce(counts.merge, batches, counts.TrustCounts()), batches)
        for name, batches in sorted(aggregates.apart.items())
    }
    found = matrix(aggregates.trust, aggregates.batches)
    return replace(found, by_collection=apart, sources=dict(sorted(basis.sources.items()))) if apart else found


def _audited(
    episodes: EpisodeTable,
    tags: TagTable,
    trust: TrustMatrix,
    quarantine: QuarantineTable,
    plan: TrainingPlan,
) -> AuditTable:
    """Every datapack audited by its plan and by what was tested on its own collection."""
    from sima2.sampling.auditor import DatapackAuditor
    from sima2.sampling.pool import tested_apart
    from sima2.tags.specs import TAGS

    auditor = DatapackAuditor()
    if not trust.by_collection:
        return auditor.audit(episodes, tags, trust, TAGS, quarantine, plan=plan)
    parts = [
        (np.flatnonzero(member), auditor.audit(episodes.take(member), tags, rows, TAGS, plan=plan.take(member)))
        for member, rows in tested_apart(episodes, trust)
    ]
    whole = AuditTable.concat([audit for _, audit in parts])
    order = np.argsort(np.concatenate([rows for rows, _ in parts]), kind="stable")
    aside = auditor.audit(EpisodeTable.empty(), TagTable.empty(), trust, TAGS, quarantine)
    return AuditTable.concat([whole.take(order), aside])
