"""The detection card: what becomes of faults that are planted into a set's own episodes. No outcome is needed.

Each kind of fault is planted into some episodes, which then take the place of their originals in the set: what is told
of them gives the recall of each detector *on this set*. Changes that mean nothing (noise as there is, another tempo, a
frame earlier) give its false alarms. From both, and from how often it speaks up in the set itself, follows how often it
is right there, at the least (Rogan and Gladen 1978).

What this cannot show: a fault that looks like nothing that is planted here, and what a detector takes for a fault in
every copy of an episode alike: such places were never judged good, so that no harmless twin of them is looked at.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from sima2.client import Source
from sima2.pipeline import Calibration, seen_in
from sima2.records.arrays import Bools, Indices, Int64s
from sima2.records.defects import DefectTable, EpisodeMeasures
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import CardTable
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.records.segments import Segment, SegmentTable
from sima2.records.table import Text

if TYPE_CHECKING:
    from sima2.defects.planting import Host, Plant

Z95: Final = 1.959964
"""Standard normal deviate of a two-sided 95 % interval."""

FAILED_ATTEMPT, DROP, FAILED_EPISODE = "failed_attempt", "drop", "failed_episode"
UNNOTICED, OPENED, UNNOTICED_EPISODE = "failed_attempt_unnoticed", "drop_opened", "failed_episode_unnoticed"
LABEL_CONFLICT: Final = "label_conflict"
BEHAVIOUR_OF: Final[Mapping[str, tuple[str, ...]]] = {
    FAILED_ATTEMPT: ("missed_grasp", "missed_grasp_retried"),
    UNNOTICED: ("missed_and_carried_on",),
    DROP: ("slip",),
    OPENED: ("drop", "early_release"),
}
"""What each verdict on segments is measured by. Who carries on with empty fingers, or opens them on the way, leaves
little that tells: these are rows of their own, of which the verdict is the same."""
EPISODE_OF: Final[Mapping[str, str]] = {
    FAILED_ATTEMPT: FAILED_EPISODE,
    DROP: FAILED_EPISODE,
    UNNOTICED: UNNOTICED_EPISODE,
    OPENED: UNNOTICED_EPISODE,
}
"""The verdict on the episode that is measured by the same."""
WHOLE: Final = (
    "action_lag",
    "near_duplicate",
    "mixed_units",
    "mixed_polarity",
    "truncated",
    "clipped_channel",
    "repeated_frames",
)
"""Defects of an episode as a whole: of them no frames are asked for."""
NONE_GOOD: Final = "there is no episode of which nothing bad is told"
LOST: Final = ("drop", "gripper_slip")
"""Reasons of a segment from which a thing was lost."""


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


class Interval(NamedTuple):
    """A share and its 95 % interval."""

    share: float
    low: float
    high: float


def wilson(hits: int, n: int) -> Interval:
    """Share of hits with the interval of Wilson (1927); NaN and 0 to 1 where there is nothing to measure.

    >>> [round(x, 3) for x in wilson(24, 24)], wilson(0, 0).high
    ([1.0, 0.862, 1.0], 1.0)
    """
    if not n:
        return Interval(math.nan, 0.0, 1.0)
    share, z2 = hits / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    low = 0.0 if hits == 0 else max(middle - half, 0.0)
    return Interval(share, low, 1.0 if hits == n else min(middle + half, 1.0))


def precision_at_least(told: int, asked: int, recall: float, false_high: float) -> float:
    """Share of what was told that is so, at the least; NaN where nothing was told.

    With t the share told, f the share of false alarms and r the recall, the share of true ones is (t - f) / (r - f)
    (Rogan and Gladen 1978), and of those told f (1 - that) / t are false.

    Args:
        told: how often a detector spoke up.
        asked: out of how many.
        recall: of what is there, the share that it finds, at the most: to find more leaves less room for true ones.
        false_high: share of false alarms, at the most.

    >>> precision_at_least(0, 100, 0.9, 0.02), round(precision_at_least(20, 100, 0.9, 0.02), 3)
    (nan, 0.92)
    """
    if not told or not asked:
        return math.nan
    t = told / asked
    if not recall > false_high:
        return max(0.0, 1.0 - false_high / t)
    true = min(max((t - false_high) / (recall - false_high), 0.0), 1.0)
    return min(max(1.0 - false_high * (1.0 - true) / t, 0.0), 1.0)


def detection_card(
    source: Source,
    calibration: Calibration,
    episodes: EpisodeTable,
    segments: SegmentTable,
    defects: DefectTable,
    measures: EpisodeMeasures,
    settings: CardSettings | None = None,
    *,
    switched_off: Sequence[str] = (),
) -> CardTable:
    """How sure each detector is on this set; a pure function, the same for any batch size.

    Args:
        source: that the episodes are of.
        calibration: of that source.
        episodes: those of the source that went through, named and numbered as in the tables.
        segments: of the same.
        defects: all findings, judged.
        measures: of all episodes that are judged together.
        settings: how much is planted.
        switched_off: detectors of which nothing is heard, as a control.

    Returns:
        A row a detector, the worst recall first, those that could not be measured last.
    """
    return _table(measured(source, calibration, episodes, segments, defects, measures, settings, switched_off))


def least_sure(cards: Sequence[CardTable]) -> CardTable:
    """Of several cards the row of each detector that is least sure; one that was not measured counts only by itself."""
    every = CardTable.concat(list(cards))
    order = np.argsort(np.where(np.isnan(every.precision), 2.0, every.precision), kind="stable")
    _, first = np.unique(every.detector.codes[order], return_index=True)
    return every.take(np.sort(order[first]))


def measured(
    source: Source,
    calibration: Calibration,
    episodes: EpisodeTable,
    segments: SegmentTable,
    defects: DefectTable,
    measures: EpisodeMeasures,
    settings: CardSettings | None = None,
    switched_off: Sequence[str] = (),
) -> dict[str, Count]:
    """What the card tells, as counts of each detector; arguments as for :func:`detection_card`."""
    settings = settings or CardSettings()
    bench = _Bench(calibration, episodes, segments, defects, measures, settings)
    hosts = bench.hosts(source)
    counts: dict[str, Count] = defaultdict(Count)
    if not settings.only:
        _plant_signals(bench, hosts, counts)
        bench.flip_labels(hosts, counts)
    _plant_behaviour(bench, hosts, counts)
    bench.add_twins(hosts, counts)
    _count_told(bench, defects, counts)
    if settings.only:
        counts = {name: counts[name] for name in settings.only}
    for name in switched_off:
        off = counts[name]
        missed = Counter(off.how) if off.how is not None else None
        counts[name] = replace(off, found=0, false=0, told=0, missed=missed)
    return counts


@dataclass(slots=True)
class Count:
    """What became of one detector."""

    planted: int = 0
    found: int = 0
    clean: int = 0
    false: int = 0
    told: int = 0
    asked: int = 0
    how: Counter[str] | None = None
    """By kind of fault how often it was planted."""
    missed: Counter[str] | None = None
    why: Counter[str] | None = None
    """Why it could not be."""

    def add(self, kind: str, found: bool) -> None:
        """One more that was planted."""
        self.planted += 1
        self.found += found
        self.how = self.how if self.how is not None else Counter()
        self.missed = self.missed if self.missed is not None else Counter()
        self.how[kind] += 1
        self.missed[kind] += not found

    def refuse(self, why: str, times: int = 1) -> None:
        """What could not be planted."""
        self.why = self.why if self.why is not None else Counter()
        self.why[why] += times


@dataclass(frozen=True, slots=True, eq=False)
class _Own:
    """An episode of the set that faults may be planted into."""

    row: int
    """In the table of episodes."""
    host: Host
    success: float
    """As inferred."""


class _Looked(NamedTuple):
    """A changed episode, and what the first pass makes of it."""

    own: _Own
    plant: Plant | None
    segments: tuple[Segment, ...]
    success: float
    confidence: float
    defects: DefectTable
    measures: EpisodeMeasures


@dataclass(frozen=True, slots=True, eq=False)
class _Bench:
    """The set, and how its episodes are looked at again."""

    calibration: Calibration
    episodes: EpisodeTable
    segments: SegmentTable
    known: DefectTable
    """What is told of the set as it is."""
    measures: EpisodeMeasures
    settings: CardSettings

    @property
    def each(self) -> int:
        """Episodes into which each kind is planted."""
        usual = float(np.median(self.episodes.frames)) if len(self.episodes) else 1.0
        return int(np.clip(self.settings.frames / max(usual, 1.0), self.settings.fewest, self.settings.each))

    def rng(self, *keys: str) -> np.random.Generator:
        """A generator for each episode and kind, whatever else is drawn."""
        return np.random.default_rng(_hash(str(self.settings.seed), *keys))

    def hosts(self, source: Source) -> list[_Own]:
        """Episodes that faults are planted into, as they are."""
        from sima2.defects.planting import Host, Usual

        place = {int(number): row for row, number in enumerate(self.episodes.source_index)}
        found: list[tuple[int, Rollout]] = []
        there = np.array([int(number) in place for number in source.numbers.tolist()], np.bool_)
        for start, stop in _usable(_spans(source.episodes, self.settings.hosts, self.settings.spans), there):
            batch = source.read(start, stop).batch
            for number, rollout in zip(batch.episodes.episode_index.tolist(), batch, strict=True):
                if number in place:
                    row = place[number]
                    found.append((row, rollout.with_(episode_id=self.episodes.episode_id[row])))
        looked = self.look(found, data=False)
        by_robot: dict[str, list[Rollout]] = defaultdict(list)
        for _, rollout in found:
            by_robot[rollout.robot].append(rollout)
        usual = {robot: Usual.of(some) for robot, some in by_robot.items()}
        kinds: dict[tuple[object, ...], list[Rollout]] = defaultdict(list)
        for _, rollout in found:
            kinds[_recorded(rollout)].append(rollout)
        out = []
        for (row, rollout), (seen, success, *_) in zip(found, looked, strict=True):
            others = kinds[_recorded(rollout)]
            other = others[(others.index(rollout) + 1) % len(others)] if len(others) > 1 else None
            out.append(_Own(row, Host(rollout, seen, usual[rollout.robot], other), success))
        return out

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
        seen = seen_in(self.calibration, batch) if acts else None
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

    def planted(self, kind: str, hosts: Sequence[_Own], count: Count) -> list[_Looked]:
        """A kind planted into some of the hosts, looked at."""
        from sima2.defects.planting import SIGNALS, plant

        made: list[tuple[_Own, Plant]] = []
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
        return [_Looked(own, got, *seen) for (own, got), seen in zip(made, looked, strict=True)]

    def told_before(self, number: int) -> set[str]:
        """Kinds of defect that an episode has as it is."""
        return set(self.known.defect[np.flatnonzero(self.known.episode_index == number)])

    def chosen(self, kind: str, hosts: Sequence[_Own]) -> list[_Own]:
        """Hosts in an order of chance that is the same for every run."""
        return sorted(hosts, key=lambda own: _hash(str(self.settings.seed), kind, own.host.rollout.episode_id))

    def judged(self, some: Sequence[_Looked], share: float) -> Iterator[tuple[_Looked, DefectTable]]:
        """What is told of changed episodes in the place of their originals, few at a time."""
        from sima2.defects.judge import DefectJudge

        most = max(1, int(share * len(self.episodes)))
        for round_ in _rounds(some, most):
            measures = _with(self.measures, [each.measures for each in round_])
            table = DefectJudge().judge(DefectTable.concat([each.defects for each in round_]), measures)
            for each in round_:
                about = [each.own.host.rollout.episode_id, *([each.plant.of] if each.plant and each.plant.of else [])]
                yield each, table.take(np.flatnonzero(table.episode_id.isin(*about)))

    def flip_labels(self, hosts: Sequence[_Own], counts: dict[str, Count]) -> None:
        """Turn recorded outcomes round, few at a time."""
        from sima2.defects.conflicts import NO_LABEL, label_conflicts
        from sima2.defects.courses import endings

        count, episodes = counts[LABEL_CONFLICT], self.episodes
        recorded = ~episodes.outcome_source.isin(*NO_LABEL) & np.isfinite(episodes.success)
        if not recorded.any():
            count.refuse("no outcome is recorded that could be turned round")
            return
        ended = endings(episodes.episode_id, self.segments)
        before = set(label_conflicts(episodes, ended).found.episode_index.tolist())
        fit = [own for own in hosts if recorded[own.row] and int(episodes.episode_index[own.row]) not in before]
        rows = [own.row for own in self.chosen(LABEL_CONFLICT, fit)[: self.each]]
        most = max(1, int(self.settings.replaced * len(episodes)))
        for start in range(0, len(rows), most):
            some = np.array(rows[start : start + most])
            turned = episodes.success.copy()
            turned[some] = 1.0 - turned[some]
            found = label_conflicts(replace(episodes, success=turned), ended).found
            for row in some.tolist():
                count.add("turned round", int(episodes.episode_index[row]) in set(found.episode_index.tolist()))

    def add_twins(self, hosts: Sequence[_Own], counts: dict[str, Count]) -> None:
        """Changes that mean nothing, at places where nothing was told: what is told then is a false alarm."""
        from sima2.defects.planting import HARMLESS, SIGNALS

        names = list(HARMLESS)
        usual = max(float(np.median(self.episodes.frames)) if len(self.episodes) else 1.0, 1.0)
        most = max(int(self.settings.twin_frames / usual), 3 * self.settings.fewest)
        hosts = self.chosen("twin", hosts)[:most]
        for turn in range(self.settings.twins):
            made = []
            for k, own in enumerate(hosts):
                name = names[(k + turn * 2 + 1) % len(names)]
                rng = self.rng("twin", name, own.host.rollout.episode_id)
                made.append((own, HARMLESS[name](own.host.rollout, rng)))
            looked = self.look([(own.row, rollout) for own, rollout in made], data=not self.settings.only)
            twins = [_Looked(own, None, *seen) for (own, _), seen in zip(made, looked, strict=True)]
            for each in twins:
                _clean_verdicts(each, counts)
            if self.settings.only:
                continue
            self._clean_labels(twins, counts[LABEL_CONFLICT])
            for each, told in self.judged(twins, 2 * self.settings.replaced):
                kinds = set(told.defect)
                number = int(self.episodes.episode_index[each.own.row])
                before = self.told_before(number)
                for kind in SIGNALS:
                    if kind not in before:
                        counts[kind].clean += 1
                        counts[kind].false += kind in kinds

    def _clean_labels(self, twins: Sequence[_Looked], count: Count) -> None:
        """Outcomes as they were recorded, beside what is inferred of harmless twins."""
        from sima2.defects.conflicts import NO_LABEL, label_conflicts
        from sima2.defects.courses import endings

        episodes = self.episodes
        rows = np.array([each.own.row for each in twins], np.intp)
        success, sure = episodes.inferred_success.copy(), episodes.inferred_confidence.copy()
        success[rows], sure[rows] = [each.success for each in twins], [each.confidence for each in twins]
        ended = endings(episodes.episode_id, self.segments)
        before = label_conflicts(episodes, ended).found.episode_index
        twin = replace(episodes, inferred_success=success, inferred_confidence=sure)
        after = label_conflicts(twin, ended).found.episode_index
        recorded = ~episodes.outcome_source.isin(*NO_LABEL) & np.isfinite(episodes.success)
        numbers = episodes.episode_index[rows[recorded[rows]]]
        clean = numbers[~np.isin(numbers, before)]
        count.clean += len(clean)
        count.false += int(np.isin(clean, after).sum())


def _hash(*keys: str) -> int:
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


def _rounds(some: Sequence[_Looked], most: int) -> list[list[_Looked]]:
    """Changed episodes that take the place of their originals together: none twice, no kind twice."""
    rank: Counter[str] = Counter()
    order = []
    for each in some:
        kind = each.plant.kind if each.plant is not None else ""
        order.append((rank[kind], kind))
        rank[kind] += 1
    rounds: list[list[_Looked]] = []
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


def _plant_signals(bench: _Bench, hosts: Sequence[_Own], counts: dict[str, Count]) -> None:
    """Defects of the data: each judged with the others of the set beside it."""
    from sima2.defects.planting import SIGNALS

    made: list[_Looked] = []
    for kind in SIGNALS:
        fit = [own for own in hosts if kind not in bench.told_before(int(bench.episodes.episode_index[own.row]))]
        made += bench.planted(kind, fit, counts[kind])
    for each, told in bench.judged(made, bench.settings.replaced):
        assert each.plant is not None  # planted above
        counts[each.plant.kind].add(each.plant.kind, _is_told(each, told, bench.settings.around_s))


def _is_told(each: _Looked, told: DefectTable, around_s: float) -> bool:
    plant = each.plant
    if plant is None:
        return False
    mine = told.defect.isin(plant.kind)
    if plant.kind in WHOLE:
        return bool(mine.any())
    around = max(1, round(around_s / _period(plant.rollout)))
    return bool((mine & (told.start_frame < plant.end + around) & (told.end_frame > plant.start - around)).any())


def _period(rollout: Rollout) -> float:
    return float(np.median(np.diff(rollout.time))) if len(rollout) > 1 else 1.0


def _plant_behaviour(bench: _Bench, hosts: Sequence[_Own], counts: dict[str, Count]) -> None:
    """Grasps that miss and things that are lost, in episodes of which nothing bad is told."""
    good = [own for own in hosts if own.host.good and own.success != 0]
    for detector, kinds in BEHAVIOUR_OF.items():
        if bench.settings.only and detector not in bench.settings.only:
            continue
        episode = counts[EPISODE_OF[detector]]
        for kind in kinds:
            refused = Count()
            for each in bench.planted(kind, good, refused):
                assert each.plant is not None  # planted above
                counts[detector].add(kind, _is_seen(detector, each, bench.settings.around_s))
                if each.plant.fails:
                    episode.add(kind, each.success == 0)
            for why, n in (refused.why or {NONE_GOOD: not good}).items():
                for count in (counts[detector], episode):
                    count.refuse(why, int(n))


def _is_seen(detector: str, each: _Looked, around_s: float) -> bool:
    plant = each.plant
    if plant is None:
        return False
    around = max(1, round(around_s / _period(plant.rollout)))
    return any(
        start < plant.end + around and end > plant.start - around for start, end in EVENTS[detector](each.segments)
    )


def failed_attempts(segments: Iterable[Segment]) -> list[tuple[int, int]]:
    """Frames of the grasps of an episode that are told to have failed."""
    return [
        (each.start_frame, each.end_frame)
        for each in segments
        if each.label == "grasp" and each.outcome in ("failure", "retry") and each.failure_reason not in LOST
    ]


def losses(segments: Iterable[Segment]) -> list[tuple[int, int]]:
    """Frames in which a thing is told to have been lost; segments of one loss that touch are one."""
    out: list[tuple[str, int, int]] = []
    for each in sorted(segments, key=lambda each: (each.manipulator, each.start_frame)):
        bad = each.outcome in ("failure", "retry") and each.failure_reason in LOST
        if not (bad or each.label == "slip"):
            continue
        if out and out[-1][0] == each.manipulator and out[-1][2] >= each.start_frame:
            out[-1] = (each.manipulator, out[-1][1], each.end_frame)
        else:
            out.append((each.manipulator, each.start_frame, each.end_frame))
    return [(start, end) for _, start, end in out]


EVENTS: Final[Mapping[str, Callable[[Iterable[Segment]], list[tuple[int, int]]]]] = {
    FAILED_ATTEMPT: failed_attempts,
    UNNOTICED: failed_attempts,
    DROP: losses,
    OPENED: losses,
}
"""What each verdict on segments tells of an episode."""
TOLD_OF: Final = (FAILED_ATTEMPT, DROP)
"""Of those that are the same, the row that tells how often it is told in the set, and how sure it is there."""


def _asked(segments: Iterable[Segment]) -> int:
    """Places at which a grasp may have failed or a thing been lost."""
    return sum(each.label == "grasp" for each in segments)


def _clean_verdicts(each: _Looked, counts: dict[str, Count]) -> None:
    for detector in TOLD_OF:
        events = EVENTS[detector]
        if not events(each.own.host.segments):
            found = len(events(each.segments))
            counts[detector].clean += max(_asked(each.segments), found)
            counts[detector].false += found
    if each.own.success == 1:
        counts[FAILED_EPISODE].clean += 1
        counts[FAILED_EPISODE].false += each.success == 0


def _count_told(bench: _Bench, defects: DefectTable, counts: dict[str, Count]) -> None:
    """How often each detector speaks up in the set as it is."""
    from sima2.defects.planting import SIGNALS

    episodes = bench.episodes
    mine = np.isin(defects.episode_index, episodes.episode_index)
    for kind in (*SIGNALS, LABEL_CONFLICT):
        counts[kind].told = len(np.unique(defects.episode_index[mine & defects.defect.isin(kind)]))
        counts[kind].asked = len(episodes)
    by_episode: dict[str, list[Segment]] = defaultdict(list)
    for each in bench.segments:
        by_episode[each.episode_id].append(each)
    for detector in TOLD_OF:
        events = EVENTS[detector]
        counts[detector].told = sum(len(events(some)) for some in by_episode.values())
        counts[detector].asked = max(sum(_asked(some) for some in by_episode.values()), counts[detector].told)
    counts[FAILED_EPISODE].told = int((episodes.inferred_success == 0).sum())
    counts[FAILED_EPISODE].asked = int(np.isfinite(episodes.inferred_success).sum())


def precision_of(count: Count) -> float:
    """How often what a detector tells of the set is so, at the least; NaN where it tells nothing or nothing tells."""
    if not (count.planted and count.clean):
        return math.nan
    recall, false = wilson(count.found, count.planted), wilson(count.false, count.clean)
    return precision_at_least(count.told, count.asked, recall.high, false.high)


def _table(counts: Mapping[str, Count]) -> CardTable:
    rows = []
    for name, count in counts.items():
        recall, false = wilson(count.found, count.planted), wilson(count.false, count.clean)
        precision = precision_of(count)
        rows.append((name, count, recall, precision, _note(name, count, false)))
    rows.sort(key=lambda row: (not row[1].planted, np.nan_to_num(row[2].share), row[0]))
    return CardTable(
        detector=Text.of(name for name, *_ in rows),
        planted=np.array([count.planted for _, count, *_ in rows], np.int64),
        found=np.array([count.found for _, count, *_ in rows], np.int64),
        recall=np.array([recall.share for _, _, recall, *_ in rows], np.float64),
        recall_low=np.array([recall.low for _, _, recall, *_ in rows], np.float64),
        recall_high=np.array([recall.high for _, _, recall, *_ in rows], np.float64),
        clean=np.array([count.clean for _, count, *_ in rows], np.int64),
        false_alarms=np.array([count.false for _, count, *_ in rows], np.int64),
        told=np.array([count.told for _, count, *_ in rows], np.int64),
        asked=np.array([count.asked for _, count, *_ in rows], np.int64),
        precision=np.array([precision for *_, precision, _ in rows], np.float64),
        note=Text.of(note for *_, note in rows),
    )


SAME_AS: Final[Mapping[str, str]] = {
    UNNOTICED: FAILED_ATTEMPT,
    OPENED: DROP,
    UNNOTICED_EPISODE: FAILED_EPISODE,
}
"""Rows that measure a verdict by other faults: how often it is told, and falsely, stands in the other row."""


def _note(name: str, count: Count, false: Interval) -> str:
    """What was planted and of it missed, or why nothing was; then the false alarms."""
    if not count.planted:
        why = count.why.most_common(1)[0][0] if count.why else "nothing to plant it into"
        return f"none planted: {why}"
    how, missed = count.how or Counter(), count.missed or Counter()
    parts = [
        f"{kind.replace('_', ' ')} {n}" + (f" ({missed[kind]} missed)" if missed[kind] else "")
        for kind, n in sorted(how.items())
    ]
    alarms = "no clean place was looked at"
    if name in SAME_AS:
        alarms = f"how often it is told stands at {SAME_AS[name].replace('_', ' ')}"
    elif count.clean:
        alarms = (
            f"false alarms {100 * false.share:.2g} % (at most {100 * false.high:.2g} %) of {count.clean} clean places"
        )
    return f"planted: {', '.join(parts)}; {alarms}"
