"""Which episodes are unlike the others of their task, by how much, and in what: unusual, not bad."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.defects.courses import GRASP, NO_PHASES, tasks_of
from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.records.courses import COVERAGE, ConsensusTable, Strides, UnusualTable
from sima2.records.defects import POINTS, SLOTS
from sima2.records.robust import MAD_TO_SIGMA
from sima2.records.table import Text
from sima2.records.vocabulary import LABELS

Frames = Int64s
UP: Final = (1.0,)
BOTH: Final = (1.0, -1.0)
JOINTS: Final = slice(0, SLOTS - 4)
HAND: Final = slice(SLOTS - 4, SLOTS - 1)
CHUNK: Final = 1024
"""Episodes whose distances are in memory at once."""


@dataclass(frozen=True, slots=True)
class UnusualSettings:
    """What counts as unlike the others, and how much of it is shown."""

    least: int = 20
    """Fewer episodes of a task are ranked against nothing."""
    limit: float = 3.5
    """Robust spreads from which on a measure stands out; Iglewicz and Hoaglin 1993."""
    most: float = 10.0
    """Spreads by which one measure counts at most: it says that it differs, not how absurdly."""
    shown_share: float = 0.05
    shown_least: int = 3
    """The first so many of a task are shown at most: this share, or this number where that is more."""
    least_score: float = 1.0
    """… with no less than this beyond the ordinary: a hair's breadth is not worth a look."""
    phrases: int = 3
    """Differences that are told in words."""
    least_spread: float = 0.1
    """Of a duration or a roughness, as a difference of logarithms (about 10 %): below it episodes are alike."""
    wait_s: float = 0.5
    """Spread of waits before and after the motion below which they are the same."""
    pause_s: float = 1.0
    """The same of a pause on the way: hands pause to look."""
    phase_s: float = 0.5
    """Times of a phase differ by so much before their ratio counts."""
    least_phase: float = 0.25
    """Spread of the time of a phase, as a difference of logarithms: people take a quarter more or less."""
    metres: float = 0.02
    radians: float = 0.05
    """Spread of a place and of a joint below which they are the same."""
    agreement: float = 0.2
    """Least spread of how far episodes disagree, as a difference of log odds: of a mean of 32 ranks, by chance."""
    hand: float = 0.1
    """The same of the gripper, as a share of its range over all episodes of the task."""
    references: int = 1000
    """Episodes of a task among which the nearest is sought: enough to tell what is covered."""
    alike: float = 0.25
    """Nearest distance, in the usual one, below which two motions are nearly the same: in 14 sets without copies, of as
    many robots, none came below 0.4."""


class Measure(NamedTuple):
    """One measure of every episode of a task, on the scale on which it is compared."""

    x: Float64s
    """NaN where not known, shape (n,)."""
    spread: float
    """Least spread of the others."""
    sides: tuple[float, ...]
    words: Callable[[int, float], str]
    """Of an episode and the median ``x`` of its others."""
    start: Frames
    end: Frames


def unusual_episodes(
    table: Strides, settings: UnusualSettings | None = None, consensus: ConsensusTable | None = None
) -> UnusualTable:
    """Every task's episodes, those furthest from their others first.

    An episode is compared with all others of its task (leave-one-out): on each measure by the distance from their
    median in their robust spread, the larger of the one by the median absolute deviation and the one by the 15th or
    85th percentile on its side. What exceeds ``limit`` spreads adds up, as the root of the sum of squares.

    Source: the p-value is the rank of that distance among those of the task (Vovk, Gammerman and Shafer 2005): never
    below one over the number of episodes, whatever the distance.

    Args:
        table: what courses are compared by.
        settings: what counts.
        consensus: how far each episode disagrees with its others in like states, as one more measure.
    """
    settings = settings or UnusualSettings()
    consensus = ConsensusTable.empty() if consensus is None else consensus
    parts = [_of_task(table.take(rows), consensus, settings) for rows in tasks_of(table)]
    return UnusualTable.concat([part for part in parts if part is not None])


def _of_task(task: Strides, consensus: ConsensusTable, settings: UnusualSettings) -> UnusualTable | None:
    view = _Task(task)
    n = len(view.one)
    if n < settings.least:
        return None
    measures = [*_measures(view, settings), _disagreement(view, consensus, settings)]
    beyond = np.stack([_beyond(each, settings) for each in measures])
    score = np.round(np.sqrt((beyond**2).sum(axis=0)), 3)
    order = np.lexsort((task.episode_index[view.one], -score))
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(1, n + 1)
    # how many are as far, itself among them
    p = (n - np.searchsorted(np.sort(score), score)) / n
    most = max(settings.shown_least, int(settings.shown_share * n))
    words, start, end = _in_words(measures, beyond, settings)
    nearest, distance, coverage = _neighbours(view, settings)
    whole = view.frames
    table = UnusualTable(
        episode_index=task.episode_index[view.one],
        episode_id=task.episode_id[view.one],
        family=task.family[view.one],
        robot=task.robot[view.one],
        episodes=np.full(n, n),
        rank=rank,
        p=p,
        score=score,
        shown=(rank <= most) & (score >= settings.least_score),
        start_frame=np.clip(start, 0, np.maximum(whole - 1, 0)),
        end_frame=np.where(end > 0, np.minimum(end, whole), whole),
        words=Text.of(words),
        nearest=Text.of("" if k < 0 else task.episode_id[int(view.one[k])] for k in nearest.tolist()),
        nearest_distance=distance,
        coverage=Text(coverage, COVERAGE),
    )
    return table.take(order)


class _Task:
    """The rows of a task by episode and by arm."""

    def __init__(self, table: Strides) -> None:
        self.table = table
        _, self.one, of = np.unique(table.episode_index, return_index=True, return_inverse=True)
        self.frames = table.frames[self.one]
        self.arms = sorted(set(table.manipulator))
        self.rows = np.full((len(self.arms), len(self.one)), -1)
        """Row of each arm in each episode; -1 where it has none."""
        self.rows[table.manipulator.recode(self.arms), of] = np.arange(len(table))

    def of_arm(self, arm: int, column: NDArray[np.generic]) -> Float64s:
        """A column of one arm, NaN in episodes without it, shape (n, …)."""
        rows = self.rows[arm]
        values: Float64s = column[np.maximum(rows, 0)].astype(np.float64)
        values[rows < 0] = np.nan
        return values

    def slots(self, arm: int, point: int) -> Float64s:
        """Where an arm's slots are at a point of the motion, NaN where not known, shape (n, SLOTS)."""
        rows = self.rows[arm]
        places = self.table.signature[np.maximum(rows, 0), point::POINTS].astype(np.float64)
        places[(rows < 0)] = np.nan
        return places

    def frames_of(self, arm: int, column: Frames) -> Frames:
        """Frames of one arm, 0 in episodes without it."""
        return np.where(self.rows[arm] < 0, 0, column[np.maximum(self.rows[arm], 0)])

    def name(self, arm: int) -> str:
        """What words about an arm begin with; nothing where there is one."""
        return f"{self.arms[arm]}: " if len(self.arms) > 1 else ""


def _measures(view: _Task, settings: UnusualSettings) -> Iterator[Measure]:
    """All that episodes of a task are compared on."""
    table, one, none = view.table, view.one, np.zeros(len(view.one), np.int64)
    lasts = table.duration_s[one]
    yield Measure(_log(lasts), settings.least_spread, BOTH,
                  lambda i, m: f"lasts {_s(lasts[i])}, others {_s(math.exp(m))}", none, view.frames)  # fmt: skip
    before, after = table.before_s[one], table.after_s[one]
    # waits have no scale of their own, and often are none: they are compared by their seconds
    yield Measure(before, settings.wait_s, UP,
                  lambda i, m: f"{_s(before[i])} before the first motion, others {_s(m)}",
                  none, table.moving_start[one])  # fmt: skip
    yield Measure(after, settings.wait_s, UP,
                  lambda i, m: f"{_s(after[i])} at rest at the end, others {_s(m)}",
                  table.moving_end[one], view.frames)  # fmt: skip
    for arm in range(len(view.arms)):
        yield from _of_arm(view, arm, settings)
        yield from _places(view, arm, settings)


def _disagreement(view: _Task, consensus: ConsensusTable, settings: UnusualSettings) -> Measure:
    """How far what is done is from what others do in like states."""
    index = view.table.episode_index[view.one]
    share, span = np.full(len(index), np.nan), np.zeros((2, len(index)), np.int64)
    at = np.searchsorted(index, consensus.episode_index)
    mine = np.flatnonzero((at < len(index)) & (index[np.minimum(at, len(index) - 1)] == consensus.episode_index))
    share[at[mine]] = consensus.disagreement[mine]
    span[0, at[mine]], span[1, at[mine]] = consensus.start_frame[mine], consensus.end_frame[mine]

    def words(i: int, _: float) -> str:
        return f"moves otherwise than others in like states, most in frames {span[0, i]}–{span[1, i]}"

    # a mean rank is cramped at its ends
    share = np.clip(share, 1e-3, 1 - 1e-3)
    return Measure(np.log(share / (1 - share)), settings.agreement, UP, words, span[0], span[1])


def _of_arm(view: _Task, arm: int, settings: UnusualSettings) -> Iterator[Measure]:
    table, name, none = view.table, view.name(arm), np.zeros(len(view.one), np.int64)
    count, first, last = (view.of_arm(arm, each) for each in (table.count, table.first, table.last))
    spans = [(np.nan_to_num(a).astype(np.int64), np.nan_to_num(b).astype(np.int64)) for a, b in zip(first.T, last.T)]
    grasps = count[:, GRASP]
    # one more counts where all others agree, and one fewer too
    yield Measure(np.log1p(grasps), settings.least_spread, BOTH,
                  lambda i, m: name + _attempts(int(grasps[i]), math.expm1(m)), *spans[GRASP])  # fmt: skip
    pause = view.of_arm(arm, table.pause_s)
    yield Measure(pause, settings.pause_s, UP,
                  lambda i, m: f"{name}rests {_s(pause[i])} on the way, others {_s(m)}",
                  view.frames_of(arm, table.pause_start), view.frames_of(arm, table.pause_end))  # fmt: skip
    jerk = view.of_arm(arm, table.jerk)
    yield Measure(_log(jerk), settings.least_spread, BOTH,
                  lambda i, m: name + _rough(jerk[i] / math.exp(m)), none, view.frames)  # fmt: skip
    seconds = view.of_arm(arm, table.seconds)
    for code, label in enumerate(LABELS):
        if label not in NO_PHASES and np.nansum(count[:, code]):
            yield _phase(seconds[:, code], name, label, spans[code], settings)


def _phase(took: Float64s, name: str, label: str, span: tuple[Frames, Frames], settings: UnusualSettings) -> Measure:
    phase, floor = label.replace("_", " "), settings.phase_s

    def words(i: int, m: float) -> str:
        usual = math.exp(m) - floor
        if took[i] == 0:
            return f"{name}no {phase}, others {_s(usual)} of it"
        return f"{name}{_s(took[i])} of {phase}, others {_s(usual) if usual > 0.05 else 'none'}"

    return Measure(np.log(took + floor), settings.least_phase, BOTH, words, *span)


def _places(view: _Task, arm: int, settings: UnusualSettings) -> Iterator[Measure]:
    """Where the hand, or the joints, begin, go and end."""
    name, n = view.name(arm), len(view.one)
    start, end = view.table.moving_start[view.one], view.table.moving_end[view.one]
    none, part = np.zeros_like(start), np.maximum((end - start) // POINTS, 1)
    # the hand says it in metres; the joints would say it again
    by_hand = bool(np.isfinite(view.slots(arm, 0)[:, HAND]).all(axis=1).mean() > 0.5)
    off, fingers = np.full((POINTS, n), np.nan), np.full((POINTS, n), np.nan)
    for point in range(POINTS):
        places = view.slots(arm, point)
        off[point] = _off(places[:, HAND if by_hand else JOINTS], by_hand=by_hand)
        fingers[point] = places[:, SLOTS - 1]
    floor = settings.metres if by_hand else settings.radians
    unit = _cm if by_hand else _rad

    def measure(x: Float64s, verb: str, a: Frames, b: Frames) -> Measure:
        return Measure(x, floor, UP, lambda i, m: f"{name}{verb} {unit(x[i])} from the others", a, b)

    if np.isfinite(off).any():
        yield measure(off[0], "starts", none, start + part)
        yield measure(np.sqrt((off[1:-1] ** 2).mean(axis=0)), "goes another way, on average", start, end)
        yield measure(off[-1], "ends", np.maximum(end - part, start), view.frames)
    if np.isfinite(fingers).any() and (reach := float(np.nanmax(fingers) - np.nanmin(fingers))) > 0:
        closed = fingers[-1] / reach
        yield Measure(closed, settings.hand, BOTH,
                      lambda i, m: f"{name}ends with the hand further {'open' if closed[i] > m else 'closed'}",
                      np.maximum(end - part, start), view.frames)  # fmt: skip


def _off(places: Float64s, *, by_hand: bool) -> Float64s:
    """Distance of each episode's place from the median of its others, m or rad of the joint furthest off, shape (n,).

    NaN where a slot is missing that most have, or where nothing is known.
    """
    used = np.isfinite(places).mean(axis=0) > 0.5
    out = np.full(len(places), np.nan)
    known = np.flatnonzero(np.isfinite(places[:, used]).all(axis=1))
    if used.any() and len(known) > 2:
        x = places[np.ix_(known, used)]
        away = x - _middle(x, 0.5)
        out[known] = np.sqrt((away**2).sum(axis=1)) if by_hand else np.abs(away).max(axis=1)
    return out


def _middle(x: Float64s, q: float) -> Float64s:
    """Quantile of the others of each row, column by column, of finite values, shape (n, k)."""
    n = len(x)
    order = np.argsort(x, axis=0, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(n)[:, None], x.shape), axis=0)
    sorted_ = np.take_along_axis(x, order, axis=0)
    place = q * (n - 2)
    low = math.floor(place)
    high, share = min(low + 1, n - 2), place - low
    a, b = (np.where(rank > k, sorted_[k], sorted_[k + 1]) for k in (low, high))
    return np.asarray(a + share * (b - a))


def _deviation(x: Float64s, middle: Float64s) -> Float64s:
    """Median absolute deviation of the others of each value from their median, shape (n,)."""
    out = np.empty_like(x)
    # leaving one out moves a median to one of three places at most
    for centre in np.unique(middle):
        mine = middle == centre
        out[mine] = _middle(np.abs(x - centre)[:, None], 0.5)[mine, 0]
    return out


def _beyond(measure: Measure, settings: UnusualSettings) -> Float64s:
    """By how many spreads of its others each episode is further off than ordinary ones, shape (n,)."""
    out = np.zeros(len(measure.x))
    known = np.flatnonzero(np.isfinite(measure.x))
    if len(known) < settings.least:
        return out
    x = measure.x[known]
    low, middle, high = (_middle(x[:, None], q)[:, 0] for q in (0.15, 0.5, 0.85))
    deviation = MAD_TO_SIGMA * _deviation(x, middle)
    for side, quantile in ((1.0, high), (-1.0, low)):
        if side in measure.sides:
            # a normal sample's 85th percentile is 1.036 deviations above its median
            spread = np.maximum(np.maximum(deviation, side * (quantile - middle) / 1.036), measure.spread)
            away = side * (x - middle) / spread - settings.limit
            out[known] = np.maximum(out[known], np.clip(away, 0.0, settings.most))
    return out


def _in_words(
    measures: Sequence[Measure], beyond: Float64s, settings: UnusualSettings
) -> tuple[list[str], Frames, Frames]:
    """What differs most in words, and the frames of the first of it."""
    n = beyond.shape[1]
    words, start, end = [""] * n, np.zeros(n, np.int64), np.zeros(n, np.int64)
    usual = [float(np.nanmedian(each.x)) if np.isfinite(each.x).any() else math.nan for each in measures]
    for i in np.flatnonzero(beyond.max(axis=0) > 0).tolist():
        order = np.argsort(-beyond[:, i], kind="stable")[: settings.phrases].tolist()
        told = [k for k in order if beyond[k, i] > 0]
        words[i] = "; ".join(measures[k].words(i, usual[k]) for k in told)
        start[i], end[i] = measures[told[0]].start[i], measures[told[0]].end[i]
    return words, start, end


def _neighbours(view: _Task, settings: UnusualSettings) -> tuple[Int64s, Float64s, NDArray[np.int32]]:
    """The episode of nearest motion, how far it is in usual such distances, and whether that is near or far."""
    n = len(view.one)
    paths = _scaled_paths(view, settings)
    blank = np.full(n, -1), np.full(n, np.nan), np.zeros(n, np.int32)
    if not paths.shape[1]:
        return blank
    some = np.unique(np.linspace(0, n - 1, min(n, settings.references)).astype(np.int64))
    others = paths[some].astype(np.float64)
    square = (others**2).sum(axis=1)
    place = np.full(n, -1)
    place[some] = np.arange(len(some))
    nearest, distance = np.zeros(n, np.int64), np.zeros(n)
    for begin in range(0, n, CHUNK):
        mine = paths[begin : begin + CHUNK].astype(np.float64)
        far = (mine**2).sum(axis=1)[:, None] + square - 2.0 * mine @ others.T
        self_ = place[begin : begin + CHUNK]
        far[np.flatnonzero(self_ >= 0), self_[self_ >= 0]] = np.inf
        nearest[begin : begin + CHUNK] = far.argmin(axis=1)
        distance[begin : begin + CHUNK] = np.sqrt(np.maximum(far.min(axis=1), 0.0))
    usual = float(np.median(distance))
    if not usual > 0:
        return blank
    times = np.round(distance / usual, 3)
    x = np.log(np.maximum(times, 1e-3))
    rare = _beyond(Measure(x, settings.least_spread, UP, lambda i, m: "", some, some), settings) > 0
    return some[nearest], times, np.where(rare, 2, np.where(times < settings.alike, 1, 0)).astype(np.int32)


def _scaled_paths(view: _Task, settings: UnusualSettings) -> Float32s:
    """All places of all arms along the motion, each slot in its own spread over the episodes, shape (n, k).

    What moves little weighs little, yet a joint counts as a joint whatever its range.
    """
    columns = []
    for arm in range(len(view.arms)):
        for point in range(POINTS):
            x = view.slots(arm, point)
            x = np.nan_to_num(x[:, np.isfinite(x).any(axis=0)])
            spread = MAD_TO_SIGMA * np.median(np.abs(x - np.median(x, axis=0)), axis=0)
            columns.append((x / np.maximum(spread, settings.radians)).astype(np.float32))
    return np.concatenate(columns, axis=1)


def _log(x: Float64s) -> Float64s:
    """Logarithm, NaN where there is none."""
    return np.log(np.where(x > 0, x, np.nan))


def _attempts(own: int, usual: float) -> str:
    """Attempts as people count them.

    >>> _attempts(3, 1.0), _attempts(0, 1.0)
    ('3 grasps where others need 1', 'no grasp where others need 1')
    """
    need = f"{usual:.3g}" if usual > 0.05 else "none"
    return f"{own or 'no'} grasp{'s' if own > 1 else ''} where others need {need}"


def _rough(times: float) -> str:
    return f"{max(times, 1 / times):.2g} times as {'jerky' if times > 1 else 'smooth'} as the others"


def _s(seconds: float) -> str:
    """Seconds as people say them.

    >>> _s(9.04), _s(0.42), _s(63.2), _s(0.0)
    ('9 s', '0.4 s', '63 s', '0 s')
    """
    return f"{max(seconds, 0.0):.0f} s" if seconds >= 9.95 else f"{max(seconds, 0.0):.1f}".removesuffix(".0") + " s"


def _cm(metres: float) -> str:
    return f"{100 * metres:.2g} cm"


def _rad(radians: float) -> str:
    return f"{radians:.2g} rad"
