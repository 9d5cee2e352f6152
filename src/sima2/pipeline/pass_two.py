"""Pass 2: tags, costs and counts of a shard, from its tables and what is frozen; and the counts of all shards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from sima2.pipeline.freezing import Frozen
from sima2.pipeline.summary_counts import tally
from sima2.records.econ import EconTable
from sima2.records.knowledge import ProposalTable
from sima2.records.tags import TagTable
from sima2.shard_tables import ShardTables

if TYPE_CHECKING:
    from sima2.analytics.counts import TrustCounts
    from sima2.knowledge.evidence import Evidence
    from sima2.knowledge.task_evidence import TaskEvidence


@dataclass(frozen=True, slots=True, eq=False)
class SecondPass:
    """What pass 2 makes of a shard: its tags and costs, and what it adds to each aggregate."""

    tags: TagTable
    econ: EconTable
    """With the outcomes that persons say."""
    trust: TrustCounts
    evidence: Evidence
    tasks: TaskEvidence
    tally: Mapping[str, Mapping[str, int]]
    """Labels and outcomes of segments, counted."""

    def aggregates(self) -> dict[str, str]:
        """As JSON, for the ledger."""
        return {
            "trust": self.trust.to_json(),
            "evidence": self.evidence.to_json(),
            "tasks": self.tasks.to_json(),
            "tally": json.dumps(self.tally, sort_keys=True),
        }


def second_pass(frozen: Frozen, shard: ShardTables) -> SecondPass:
    """Tags, costs and counts of a shard, from its tables and what is frozen alone.

    Counts that trust rests on take what persons say only of episodes that were drawn by lot (``analytics.said``).
    """
    from sima2.analytics.inferred_by_example import costs_by_example, episodes_by_example
    from sima2.analytics.said import costs_as_said, drawn_by_lot
    from sima2.analytics.trust_inputs import trust_counts
    from sima2.knowledge.evidence import evidence
    from sima2.knowledge.task_evidence import merge, tag_evidence, task_evidence
    from sima2.tags.propagator import SemanticTagPropagator
    from sima2.tags.seen import TaggedEpisodes
    from sima2.tags.specs import TAGS

    episodes = episodes_by_example(shard.episodes, frozen.by_example)
    econ = costs_by_example(shard.econ, frozen.by_example)
    segments, primitives = shard.segments, shard.primitives
    tagged = TaggedEpisodes(
        episode_index=episodes.episode_index,
        episode_id=episodes.episode_id,
        frames=episodes.frames,
        family=episodes.family,
        debug_mode=episodes.debug_mode,
        inferred_success=episodes.inferred_success,
    )
    tags = SemanticTagPropagator().propagate(
        segments, primitives, shard.observations, shard.landmarks, frozen.references, tagged
    )
    family = dict(zip(episodes.episode_id, episodes.family, strict=True))
    return SecondPass(
        tags=tags,
        econ=costs_as_said(econ, frozen.said),
        trust=trust_counts(tags, costs_as_said(econ, drawn_by_lot(frozen.said)), episodes, segments, TAGS),
        evidence=evidence(primitives, segments, shard.goals),
        tasks=merge([task_evidence(segments, family), tag_evidence(tags, segments, family, TAGS)]),
        tally={
            "labels": tally(segments.label),
            "segment_outcomes": tally(segments.outcome),
            "failure_reasons": tally(segments.failure_reason),
            "rows": {"segments": len(segments), "primitives": len(primitives), "tags": len(tags)},
        },
    )


@dataclass(frozen=True, slots=True, eq=False)
class Aggregates:
    """The second passes of all shards, merged; every merge is exact and in no need of an order."""

    trust: TrustCounts
    evidence: Evidence
    tasks: TaskEvidence
    tally: Mapping[str, Mapping[str, int]]
    batches: Sequence[TrustCounts] = ()
    """Trust counts of each shard, in the order in which they came."""
    apart: Mapping[str, Sequence[TrustCounts]] = field(default_factory=dict)
    """The same of each collection, where there are several."""

    @classmethod
    def merged(cls, parts: Mapping[str, Sequence[str]], collections: Sequence[str] = ()) -> Aggregates:
        """Of the JSON texts that :meth:`SecondPass.aggregates` wrote, by name, and the collection of each shard."""
        from sima2.analytics import counts
        from sima2.knowledge import evidence, task_evidence

        counted: dict[str, dict[str, int]] = {}
        for part in parts["tally"]:
            for name, column in json.loads(part).items():
                for key, count in column.items():
                    counted.setdefault(name, {})[key] = counted.get(name, {}).get(key, 0) + count
        batches = [counts.TrustCounts.from_json(part) for part in parts["trust"]]
        apart: dict[str, list[counts.TrustCounts]] = {}
        if len(set(collections)) > 1:
            for name, batch in zip(collections, batches, strict=True):
                apart.setdefault(name, []).append(batch)
            batches = [counts.of_collection(batch, name) for name, batch in zip(collections, batches, strict=True)]
        return cls(
            trust=reduce(counts.merge, batches, counts.TrustCounts()),
            evidence=evidence.merge([evidence.Evidence.from_json(part) for part in parts["evidence"]]),
            tasks=task_evidence.merge([task_evidence.TaskEvidence.from_json(part) for part in parts["tasks"]]),
            tally=counted,
            batches=batches,
            apart=apart,
        )

    def texts(self, proposals: ProposalTable) -> dict[str, str]:
        """The files that tell what is known with what is applied, by name."""
        return {"ontology.json": self.ontology(proposals), "task_graph.json": self.task_graph(proposals)}

    def proposals(self) -> ProposalTable:
        """All that is proposed, by priority; nothing is decided on those that rest on a tag."""
        from sima2.knowledge.ontology import OntologyUpdateEngine
        from sima2.knowledge.task_graph import TaskGraphRefiner
        from sima2.tags.specs import TAGS

        found = ProposalTable.concat(
            [OntologyUpdateEngine().propose(self.evidence), TaskGraphRefiner(specs=TAGS).refine(self.tasks)]
        )
        return found.take(np.argsort(-found.priority, kind="stable"))

    def ontology(self, proposals: ProposalTable) -> str:
        """``ontology.json``."""
        from sima2.knowledge.ontology import OntologyUpdateEngine
        from sima2.knowledge.ontology_graph import to_json

        return to_json(OntologyUpdateEngine().ontology(self.evidence, proposals))

    def ontology_turtle(self, proposals: ProposalTable) -> str | None:
        """``ontology.ttl``; None without the extra ``[rdf]``."""
        from importlib.util import find_spec

        if find_spec("rdflib") is None:
            return None
        from sima2.knowledge.ontology import OntologyUpdateEngine
        from sima2.knowledge.turtle import to_turtle

        return to_turtle(OntologyUpdateEngine().ontology(self.evidence, proposals))

    def task_graph(self, proposals: ProposalTable) -> str:
        """``task_graph.json``."""
        from sima2.knowledge.ontology_graph import to_json
        from sima2.knowledge.task_graph import TaskGraphRefiner
        from sima2.tags.specs import TAGS

        return to_json(TaskGraphRefiner(specs=TAGS).graph(self.tasks, proposals))
