"""Rollouts of several batches as one source, taken through the whole pipeline; what it left, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sima2.client import Intake, Pumped, Source
from sima2.io.store import Store
from sima2.orchestrator import run_source
from sima2.pipeline import RunSettings
from sima2.records.econ import EconTable
from sima2.records.intake import QuarantineTable
from sima2.records.knowledge import ProposalTable
from sima2.records.outcome import Outcome
from sima2.records.plan import SamplePlan
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.records.segments import SegmentTable
from sima2.records.tags import TagTable


@dataclass(frozen=True)
class Joined(Source):
    """Batches one after another as one source; an episode is called after its batch and its place in it."""

    parts: Mapping[str, Pumped]
    reference: tuple[str, ...]
    """Batches whose episodes, but for those made unusual on purpose, are designated as the reference."""

    @property
    def episodes(self) -> int:
        return sum(len(part.batch) for part in self.parts.values())

    @cached_property
    def _everything(self) -> tuple[list[Rollout], Outcome]:
        rollouts = [
            rollout.with_(episode_id=f"{name}-{i:04d}", provenance={})
            for name, part in self.parts.items()
            for i, rollout in enumerate(part.batch)
        ]
        outcome = Outcome.concat(
            [
                replace(part.outcome, nominal=part.truth.episodes.ood_source.isin("") & (name in self.reference))
                for name, part in self.parts.items()
            ]
        )
        return rollouts, outcome

    def read(self, start: int, stop: int) -> Intake:
        rollouts, outcome = self._everything
        batch = RolloutBatch.from_rollouts(rollouts[start:stop], first_index=start)
        return Intake(batch, outcome.take(np.arange(start, stop)), QuarantineTable.empty())

    def describe(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class Left:
    """What a run left in its folder."""

    segments: SegmentTable
    tags: TagTable
    econ: EconTable
    proposals: ProposalTable
    plan: SamplePlan
    summary: Mapping[str, Any]

    def episodes(self, part: str) -> list[str]:
        """Ids of a batch."""
        return [name for name in self.econ.episode_id if name.startswith(f"{part}-")]

    def story(self, episode: str) -> list[str]:
        """Segments of an episode as text: ``grasp(gripper_slip)`` failed for that reason, ``grasp`` did not."""
        rows = self.segments.take(self.segments.episode_id.isin(episode)).rows()
        return [
            f"{r['label']}({r['failure_reason']})" if r["outcome"] in ("failure", "retry") else r["label"] for r in rows
        ]

    def given(self, tag: str, part: str, above: float, *sources: str) -> set[str]:
        """Episodes of a batch that have a tag above a level, from one of the sources where any are named."""
        rows = self.tags.take(self.tags.tag.isin(tag) & (np.nan_to_num(self.tags.level) > above))
        rows = rows.take(rows.source.isin(*sources)) if sources else rows
        return set(rows.episode_id) & set(self.episodes(part))

    def proposed(self, kind: str, **columns: str) -> list[dict[str, Any]]:
        """Proposals of a kind."""
        rows = self.proposals.take(self.proposals.kind.isin(kind)).rows()
        return [row for row in rows if all(row[name] == value for name, value in columns.items())]


def run(source: Joined, out: Path) -> Left:
    """Through the real pipeline, and back from the folder."""
    run_source(source, RunSettings(out=out))
    with Store.read_only(out) as store:
        return Left(
            segments=SegmentTable.concat(list(store.read(SegmentTable, "segments"))),
            tags=TagTable.concat(list(store.read(TagTable, "tags"))),
            econ=EconTable.concat(list(store.read(EconTable, "econ"))),
            proposals=store.read_table(ProposalTable, "proposals"),
            plan=store.read_table(SamplePlan, "weights"),
            summary=json.loads((out / "summary.json").read_text()),
        )


def triggered(proposals: list[dict[str, Any]]) -> set[str]:
    """Episodes that proposals name."""
    return {name for row in proposals for name in json.loads(row["episodes"])}
