"""Episodes of a set with faults planted into them, looked at as a run looks at any other, in the place of their own."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sima2.card.counts import Count
from sima2.client import Source
from sima2.pipeline import Calibration, seen_in
from sima2.records.arrays import Bools, Indices, Int64s
from sima2.records.defects import DefectTable, EpisodeMeasures
from sima2.records.episodes import EpisodeTable
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.records.segments import Segment, SegmentTable

if TYPE_CHECKING:
    from sima2.defects.planting import Host, Plant


@dataclass(frozen=True, slots=True)
class CardSettings:
    """How much is planted, and how it is compared."""

    each: int = 24
    """Episodes into which each kind is planted at most: recall of .9 is then known to about ± .13."""
    fewest: int = 8
    """… and at least, where episodes are long:"""
    frames: int = 15_000
    """… in so many frames of each kind, …"""
    twin_frames: int = 80_000
    """… and of each turn of harmless twins; it bounds the cost."""
    tries: int = 48
    """Episodes that are tried for each kind."""
    hosts: int = 160
    """Episodes of which harmless twins are made, and among which those of each kind are chosen,"""
    spans: int = 8
    """… in so many spans, evenly over the source."""
    twins: int = 2
    """Harmless twins of each."""
    replaced: float = 0.05
    """Share of the set's episodes that are replaced at once: what is wrong with more is usual of the set."""
    around_s: float = 0.3
    """A finding so far from where a fault was planted is still about it."""
    seed: int = 0
    only: tuple[str, ...] = ()
    """Verdicts on segments that alone are measured, which costs a tenth; none: everything is."""


@dataclass(frozen=True, slots=True, eq=False)
class KnownSet:
    """A set, and what a run found in it."""

    source: Source
    """That the episodes are of."""
    calibration: Calibration
    """Of that source."""
    episodes: EpisodeTable
    """Those of the source that went through, named and numbered as in the tables."""
    segments: SegmentTable
    """Of the same."""
    defects: DefectTable
    """All findings, judged."""
    measures: EpisodeMeasures
    """Of all episodes that are judged together."""


@dataclass(frozen=True, slots=True, eq=False)
class HostEpisode:
    """An episode of the set that faults may be planted into."""

    row: int
    """In the table of episodes."""
    host: Host
    success: float
    """As inferred."""


class Looked(NamedTuple):
    """A changed episode, and what the first pass makes of it."""

    own: HostEpisode
    plant: Plant | None
    segments: tuple[Segment, ...]
    success: float
    confidence: float
    defects: DefectTable
    measures: EpisodeMeasures


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A set under trial, and how its episodes are looked at again."""

    known: KnownSet
    settings: CardSettings

    @property
    def episodes(self) -> EpisodeTable:
        """Those of the set."""
        return self.known.episodes

    @property
    def each(self) -> int:
        """Episodes into which each kind is planted."""
        usual = float(np.median(self.episodes.frames)) if len(self.episodes) else 1.0
        return int(np.clip(self.settings.frames / max(usual, 1.0), self.settings.fewest, self.settings.each))

    def rng(self, *keys: str) -> np.random.Generator:
        """A generator for each episode and kind, whatever else is drawn."""
        return np.random.default_rng(hash_of(str(self.settings.seed), *keys))

    def hosts(self) -> list[HostEpisode]:
        """Episodes that faults are planted into, as they are."""
        from sima2.defects.planting import Host, Usual

        found = self._read()
        looked = self.look(found, data=False)
        by_robot: dict[str, list[Rollout]] = defaultdict(list)
        kinds: dict[tuple[object, ...], list[Rollout]] = defaultdict(list)
        for _, rollout in found:
            by_robot[rollout.robot].append(rollout)
            kinds[_recorded(rollout)].append(rollout)
        usual = {robot: Usual.of(some) for robot, some in by_robot.items()}
        out = []
        for (row, rollout), (seen, success, *_) in zip(found, looked, strict=True):
            others = kinds[_recorded(rollout)]
            other = others[(others.index(rollout) + 1) % len(others)] if len(others) > 1 else None
            out.append(HostEpisode(row, Host(rollout, seen, usual[rollout.robot], other), success))
        return out

    def _read(self) -> list[tuple[int, Rollout]]:
        """Episodes of spans that lie evenly over the source, named as in the tables, with the row of each."""
        source = self.known.source
        place = {int(number): row for row, number in enumerate(self.episodes.source_index)}
        there = np.array([int(number) in place for number in source.numbers.tolist()], np.bool_)
        found: list[tuple[int, Rollout]] = []
        for start, stop in _usable(_spans(source.episodes, self.settings.hosts, self.settings.spans), there):
            batch = source.read(start, stop).batch
            for number, rollout in zip(batch.episodes.episode_index.tolist(), batch, strict=True):
                if number in place:
                    row = place[number]
                    found.append((row, rollout.with_(episode_id=self.episodes.episode_id[row])))
        return found

    def look(
        self, rollouts: Sequence[tuple[int, Rollout]], *, acts: bool = True, data: bool = True
    ) -> list[tuple[tuple[Segment, ...], float, float, DefectTable, EpisodeMeasures]]:
        """The first pass over some episodes, each once: segments, inferred outcome and confidence, defects, measures.

        Args:
            rollouts: with the row of each.
            acts: look for what happens; else there are no segments and no outcome.
            data: look for what is wrong with the data; else there are no defects and no measures.
        """
        if not rollouts:
            return []
        rows = np.array([row for row, _ in rollouts])
        batch = RolloutBatch.from_rollouts([rollout for _, rollout in rollouts])
        index = self.episodes.episode_index[rows]
        batch = replace(batch, episodes=replace(batch.episodes, episode_index=index))
        seen = seen_in(self.known.calibration, batch) if acts else None
        by_episode: dict[int, list[Segment]] = defaultdict(list)
        for each in seen.segments if seen is not None else ():
            by_episode[each.episode_index].append(each)
        success, sure = (
            (seen.inferred.success.tolist(), seen.inferred.confidence.tolist())
            if seen is not None
            else ([math.nan] * len(rows), [0.0] * len(rows))
        )
        defects, measures = self._inspected(batch) if data else (DefectTable.empty(), EpisodeMeasures.empty())
        found, own = _by_number(defects.episode_index), _by_number(measures.episode_index)
        nothing = np.zeros(0, np.intp)
        return [
            (
                tuple(by_episode[number]),
                success[k],
                sure[k],
                defects.take(found.get(number, nothing)),
                measures.take(own.get(number, nothing)),
            )
            for k, number in enumerate(index.tolist())
        ]

    def _inspected(self, batch: RolloutBatch) -> tuple[DefectTable, EpisodeMeasures]:
        """What each episode tells by itself; of segments only repeated grasps are told, which no card asks for."""
        from sima2.defects.inspector import DefectInspector

        inspected = DefectInspector().inspect(batch)
        return inspected.defects, inspected.measures

    def planted(self, kind: str, hosts: Sequence[HostEpisode], count: Count) -> list[Looked]:
        """A kind planted into some of the hosts, looked at."""
        from sima2.defects.planting import SIGNALS, plant

        made: list[tuple[HostEpisode, Plant]] = []
        for own in self.chosen(kind, hosts)[: self.settings.tries]:
            if len(made) == self.each:
                break
            got = plant(kind, own.host, self.rng(kind, own.host.rollout.episode_id))
            if isinstance(got, str):
                count.refuse(got)
            else:
                made.append((own, got))
        data = kind in SIGNALS
        looked = self.look([(own.row, got.rollout) for own, got in made], acts=not data, data=data)
        return [Looked(own, got, *seen) for (own, got), seen in zip(made, looked, strict=True)]

    def told_before(self, number: int) -> set[str]:
        """Kinds of defect that an episode has as it is."""
        return set(self.known.defects.defect[np.flatnonzero(self.known.defects.episode_index == number)])

    def chosen(self, kind: str, hosts: Sequence[HostEpisode]) -> list[HostEpisode]:
        """Hosts in an order of chance that is the same for every run."""
        return sorted(hosts, key=lambda own: hash_of(str(self.settings.seed), kind, own.host.rollout.episode_id))

    def judged(self, some: Sequence[Looked], share: float) -> Iterator[tuple[Looked, DefectTable]]:
        """What is told of changed episodes in the place of their originals, few at a time."""
        from sima2.defects.judge import DefectJudge

        most = max(1, int(share * len(self.episodes)))
        for round_ in _rounds(some, most):
            measures = _with(self.known.measures, [each.measures for each in round_])
            table = DefectJudge().judge(DefectTable.concat([each.defects for each in round_]), measures)
            for each in round_:
                about = [each.own.host.rollout.episode_id, *([each.plant.of] if each.plant and each.plant.of else [])]
                yield each, table.take(np.flatnonzero(table.episode_id.isin(*about)))


def hash_of(*keys: str) -> int:
    """A number for some words, the same for the same ones."""
    return int.from_bytes(hashlib.blake2b("\0".join(keys).encode(), digest_size=8).digest(), "big")


def _spans(total: int, most: int, parts: int) -> list[tuple[int, int]]:
    """Places of a source, all of them or so many in spans that lie evenly.

    >>> _spans(100, 160, 8), _spans(1000, 40, 2)
    ([(0, 100)], [(0, 20), (980, 1000)])
    """
    if total <= most:
        return [(0, total)] if total else []
    each = most // parts
    return [(int(start), int(start) + each) for start in np.linspace(0, total - each, parts)]


def _usable(spans: Iterable[tuple[int, int]], there: Bools) -> Iterator[tuple[int, int]]:
    """Parts of spans in which every place is there: what was put aside may bring down whoever reads it.

    >>> list(_usable([(0, 3), (4, 6)], np.array([True, False, True, True, True, True])))
    [(0, 1), (2, 3), (4, 6)]
    """
    for start, stop in spans:
        edges = [start - 1, *(start + np.flatnonzero(~there[start:stop])).tolist(), stop]
        yield from ((a + 1, b) for a, b in pairwise(edges) if a + 1 < b)


def _recorded(rollout: Rollout) -> tuple[object, ...]:
    """What episodes must have in common so that one can stand in another's place."""
    arms = tuple(
        (arm, name, value.shape[1:]) for arm, m in rollout.manipulators.items() for name, value in m.channels().items()
    )
    return (
        rollout.robot,
        arms,
        tuple(rollout.object_position),
        None if rollout.action is None else rollout.action.shape[1],
    )


def _by_number(index: Int64s) -> dict[int, Indices]:
    """Rows of each episode."""
    order = np.argsort(index, kind="stable")
    numbers, first = np.unique(index[order], return_index=True)
    return dict(zip(numbers.tolist(), np.split(order, first[1:]), strict=True)) if len(order) else {}


def _with(measures: EpisodeMeasures, others: Sequence[EpisodeMeasures]) -> EpisodeMeasures:
    """Measures with those of some episodes in the place of what they had."""
    rows = np.arange(len(measures))
    new = EpisodeMeasures.concat(list(others))
    for number, mine in _by_number(new.episode_index).items():
        old = np.flatnonzero(measures.episode_index == number)
        rows[old[: len(mine)]] = len(measures) + mine[: len(old)]
    return EpisodeMeasures.concat([measures, new]).take(rows)


def _rounds(some: Sequence[Looked], most: int) -> list[list[Looked]]:
    """Changed episodes that take the place of their originals together: none twice, no kind twice."""
    rank: Counter[str] = Counter()
    order = []
    for each in some:
        kind = each.plant.kind if each.plant is not None else ""
        order.append((rank[kind], kind))
        rank[kind] += 1
    rounds: list[list[Looked]] = []
    used: list[set[str]] = []
    kinds: list[set[str]] = []
    opened = 0
    for k in sorted(range(len(some)), key=lambda k: order[k]):
        each, kind = some[k], order[k][1]
        touched = {each.own.host.rollout.episode_id} | ({each.plant.of} if each.plant and each.plant.of else set())
        for place in range(opened, len(rounds)):
            if len(rounds[place]) < most and not touched & used[place] and not (kind and kind in kinds[place]):
                break
        else:
            place = len(rounds)
            rounds.append([])
            used.append(set())
            kinds.append(set())
        rounds[place].append(each)
        used[place] |= touched
        kinds[place].add(kind)
        while opened < len(rounds) and len(rounds[opened]) >= most:
            opened += 1
    return rounds


def period_s(rollout: Rollout) -> float:
    """Time between frames, s; 1 where there is one frame."""
    return float(np.median(np.diff(rollout.time))) if len(rollout) > 1 else 1.0
