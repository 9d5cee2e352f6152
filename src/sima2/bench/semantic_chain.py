"""The chain over a source in memory, with the truth beside it for judging; no stage sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sima2 import pipeline
from sima2.bench.sources import Changed, Watched
from sima2.client import Intake, Source
from sima2.pipeline import Aggregates, AllEpisodes, FirstPass, Frozen, Results, ShardTask, second_pass
from sima2.records.arrays import Bools, Float64s
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.intake import QuarantineTable
from sima2.records.rollout import Manipulator
from sima2.records.segments import SegmentTable
from sima2.records.tags import TagTable
from sima2.records.truth import TruthEpisodes, TruthSegments
from sima2.tags import observations as seen
from sima2.tags.observations import episode_places, pool, pool_risk
from sima2.tags.references import fit_references


@dataclass(frozen=True, slots=True, eq=False)
class Chained:
    """What the chain said of n episodes, and what was meant."""

    parts: tuple[FirstPass, ...]
    frozen: Frozen
    tags: TagTable
    results: Results
    truth: TruthEpisodes
    """One row an episode, in the order of ``episodes``."""
    true_segments: TruthSegments

    @property
    def episodes(self) -> EpisodeTable:
        """The episodes that were taken in."""
        return self.frozen.episodes

    @property
    def segments(self) -> SegmentTable:
        """As the engine found them."""
        return SegmentTable.concat([part.segments for part in self.parts])

    @property
    def landmarks(self) -> seen.RiskObservations:
        """What was known of each episode at its landmark."""
        return pool_risk([part.landmarks for part in self.parts])

    @property
    def observations(self) -> seen.SegmentObservations:
        """What was measured of each segment."""
        return pool([part.observations for part in self.parts])

    def highest(self, tag: str, column: str = "level") -> Float64s:
        """Largest value of a column of a tag in each episode, NaN where there is none, shape (n,)."""
        rows = self.tags.take(self.tags.tag.isin(tag))
        out = np.full(len(self.episodes), np.nan)
        np.fmax.at(out, episode_places(rows.episode_id, self.episodes.episode_id), getattr(rows, column))
        return out

    def source_of(self, tag: str) -> list[str]:
        """Source of the most surprising row of a tag in each episode, empty where it did not fire."""
        rows = self.tags.take(self.tags.tag.isin(tag) & (np.nan_to_num(self.tags.level) > 0))
        best: dict[str, tuple[float, str]] = {}
        for name, surprise, source in zip(rows.episode_id, rows.value.tolist(), rows.source, strict=True):
            best[name] = max(best.get(name, (-np.inf, "")), (surprise, source))
        return [best.get(name, (0.0, ""))[1] for name in self.episodes.episode_id]


def chained(source: Source) -> Chained:
    """Run both passes and what follows, without a store."""
    calibration = pipeline.calibrate(source)
    watched = Watched(source)
    parts = tuple(
        pipeline.first_pass(ShardTask(watched, calibration, k, start, stop, batch_size=pipeline.SHARD_EPISODES))
        for k, (start, stop) in enumerate(pipeline.shard_spans(source.episodes))
    )
    episodes = EpisodeTable.concat([part.episodes for part in parts])
    frozen = pipeline.freeze(
        episodes, pool([part.observations for part in parts]), pool_risk([part.landmarks for part in parts])
    )
    seconds = [second_pass(frozen, part) for part in parts]
    aggregates = [each.aggregates() for each in seconds]
    tags = TagTable.concat([each.tags for each in seconds])
    results = pipeline.finalize(
        frozen,
        Aggregates.merged({name: [each[name] for each in aggregates] for name in aggregates[0]}),
        AllEpisodes(
            tags,
            EconTable.concat([each.econ for each in seconds]),
            QuarantineTable.concat([part.quarantine for part in parts]),
        ),
    )
    kept = [watched.kept[span] for span in sorted(watched.kept)]
    truth = TruthEpisodes.concat([each.episodes for each in kept])
    truth = truth.take(episode_places(episodes.episode_id, truth.episode_id))
    segments = TruthSegments.concat([each.segments for each in kept])
    return Chained(parts=parts, frozen=frozen, tags=tags, results=results, truth=truth, true_segments=segments)


@dataclass(frozen=True, slots=True, eq=False)
class Altered(Changed):
    """A source in which every ``every``-th ordinary success has forces several times as large, which is unusual."""

    every: int = 25
    factor: float = 4.0

    def read(self, start: int, stop: int) -> Intake:
        """A span, some of it altered; truth says ``force`` of those, and they are no reference any more."""
        got = self.inner.read(start, stop)
        assert got.truth is not None
        told = got.truth.episodes
        chosen = told.template.isin("success") & told.ood_source.isin("") & ~told.debug_mode & ~told.noise
        chosen &= got.batch.episodes.episode_index % self.every == 0
        frames = np.repeat(chosen, got.batch.length)
        arms = {name: _pressed(arm, frames, self.factor) for name, arm in got.batch.manipulators.items()}
        batch = replace(got.batch, manipulators=arms)
        names = [*told.ood_source.names, "force"]
        source = type(told.ood_source)(np.where(chosen, len(names) - 1, told.ood_source.codes), names)
        return replace(
            got,
            batch=batch,
            outcome=replace(got.outcome, nominal=got.outcome.nominal & ~chosen),
            truth=replace(got.truth, episodes=replace(told, ood_source=source)),
        )


def _pressed(arm: Manipulator, frames: Bools, factor: float) -> Manipulator:
    scale = np.where(frames, np.float32(factor), np.float32(1.0))
    forces = {name: getattr(arm, name) for name in ("contact_force", "grip_force")}
    return replace(arm, **{name: scale * force for name, force in forces.items() if force is not None})


@dataclass(frozen=True, slots=True, eq=False)
class Renamed(Changed):
    """A source in which families and objects have other names; with ``alien_every``, every so many-th episode's object
    acted on is only *called* something never seen, and nothing else is changed."""

    alien_every: int = 0

    def read(self, start: int, stop: int) -> Intake:
        """A span under other names."""
        got = self.inner.read(start, stop)
        each = got.batch.episodes
        objects, goals = [], []
        for index, names, goal in zip(each.episode_index.tolist(), got.batch.objects, each.goal, strict=True):
            to = {name: self._name(index, name, place) for place, name in enumerate(names)}
            objects.append(tuple(to[name] for name in names))
            goals.append(
                goal and replace(goal, object=to.get(goal.object, goal.object), target=to.get(goal.target, goal.target))
            )
        family = each.family if self.alien_every else tuple(_disguised(name) for name in each.family)
        episodes = replace(each, goal=tuple(goals), family=family)
        return replace(got, batch=replace(got.batch, episodes=episodes, objects=tuple(objects)))

    def _name(self, index: int, name: str, place: int) -> str:
        if not self.alien_every:
            return _disguised(name)
        return "unknown_mesh_v9" if place == 0 and index % self.alien_every == 0 else name


def _disguised(name: str) -> str:
    """Letters moved on by one: the same form, another word."""
    return "".join(chr((ord(c) - 96) % 26 + 97) if c.islower() else c for c in name)


def retagged(run: Chained, rng: np.random.Generator) -> Float64s:
    """Level of RiskTag in each episode where the references were taught with shuffled failures, shape (n,)."""
    observations, landmarks = run.observations, run.landmarks
    failed = rng.permutation(seen.failed_later(observations, landmarks))
    nominal = run.episodes.nominal
    references = fit_references(observations, landmarks, nominal, failed)
    frozen = replace(run.frozen, references=references)
    tags = TagTable.concat([second_pass(frozen, part).tags for part in run.parts])
    return replace(run, tags=tags).highest("RiskTag")
