"""Which end of a gripper's range is open, and whether it moves at all: from names, interfaces and evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from sima2.io.column_behaviour import Rests, rests
from sima2.io.column_map import Columns
from sima2.io.command_lag import Commands
from sima2.io.robots import robot_rows
from sima2.io.sample import Sample
from sima2.records.arrays import Bools, Float64s, Int64s

STILL_SHARE: Final = 0.01
"""A range below this share of the size of the numbers is one count of an encoder going back and forth."""
RESTLESS: Final = 0.1
"""Share of the range that noise covers from frame to frame on average (white noise 0.24); a finger that crosses its
range in a third of a second at 30 Hz, all the time, covers as much."""
CROSSINGS: Final = 3.0
"""… if it goes that many times through the range an episode."""
BLOCKED: Final = 0.05
"""Share of the range by which a finger that has settled must miss its command to be blocked; servos miss by 1–2 %."""
INNER: Final = (0.1, 0.9)
"""Shares of the range between which a blocked finger rests on something; outside it is at a stop of its own."""
BLOCKED_FRAMES: Final = 10
BLOCKED_RATIO: Final = 4.0
"""How many times more often fingers must be blocked one way than the other."""
AGREED: Final = 2.0 / 3.0
"""Share of the episodes that must start at the same end."""

MORE_OPEN: Final = frozenset({"open", "opening", "aperture", "width"})
MORE_CLOSED: Final = frozenset({"closed", "closing", "closure", "close", "closedness"})
SAME_END: Final = 0.01
"""Share of the range within which fingers come to rest again where they meet."""
BESIDE: Final = 0.05
"""Share of the range within which a rest is at the end of the range."""
ARM_RESTS: Final = 0.35
"""Share of its usual speed below which the arm rests while the fingers move."""
AWAY: Final = 0.1
"""Share of the way that an arm covers, by which it is away from where the episode starts or ends."""
CARRIED: Final = 0.1
"""Share of an episode's way of the arm that is covered with what was taken, before it is let go."""
FEWEST_HOLDS: Final = 3
"""Holds that tell which end is closed."""
CLOSED_SIDE: Final = 0.6
"""Share of the way from closed to open below which fingers at rest are closed on something or on nothing."""
NEAR_END: Final = 0.1
"""Share of a nominal range within which fingers that meet come to rest: pads are thick, and calibrations are rough."""
ROUGH_END: Final = 0.25
"""… within which they do where only the size of the numbers speaks for a nominal range: the finger joint of a Robotiq
85 is shut at 0.8 rad, and its register at 227 of 255."""
FEWEST_PARKED: Final = 2
"""Episodes that begin or end with shut fingers, one of which may be a mishap."""
BIT_FRAMES: Final = 0.995
"""Share of the frames that two values make up, where a column is a bit."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Frames in which fingers rest somewhere within their range short of a command that has stood still."""

    upwards: int
    """Frames whose command lies above the finger."""
    downwards: int
    episodes: int

    @property
    def closing_upwards(self) -> bool | None:
        """Whether the fingers close upwards: only closing meets something. None where the evidence does not tell."""
        more, less = max(self.upwards, self.downwards), min(self.upwards, self.downwards)
        if more < BLOCKED_FRAMES or more < BLOCKED_RATIO * less:
            return None
        return self.upwards > self.downwards


def moves(values: Float64s, starts: Int64s, span: float) -> bool:
    """Whether a column does more than tremble.

    Args:
        values: of the column, shape (n,).
        starts: rows at which an episode starts.
        span: of its values without the outermost.
    """
    known = np.abs(values[np.isfinite(values)])
    if span <= 0.0 or not known.size or span < STILL_SHARE * float(np.percentile(known, 99.0)):
        return False
    step = np.abs(np.diff(values))
    step[starts[(starts > 0) & (starts < len(values))] - 1] = np.nan
    step = np.minimum(step[np.isfinite(step)] / span, 1.0)  # one wild sample is no motion
    restless = step.size and float(step.mean()) > RESTLESS and float(step.sum()) > CROSSINGS * max(len(starts), 1)
    return not restless


def blocked(commands: Commands, feature: str, places: Sequence[int], flipped: Bools) -> Blocked:
    """Where fingers are blocked, in the direction of the first one.

    Args:
        commands: how the columns follow their commands.
        feature: of the fingers.
        places: its columns.
        flipped: fingers that go down where the first goes up, shape (f,).
    """
    keys = [(feature, place) for place in places]
    up = np.zeros(len(commands.rows), np.bool_)
    down = np.zeros(len(commands.rows), np.bool_)
    refused = commands.refusals(keys, [key for key in commands.fits if key[0] == feature])
    for key, against in zip(keys, flipped.tolist(), strict=True):
        if key in refused:
            continue
        fit = commands.fits[key]
        state = commands.state(key)
        miss = commands.command(key, fit.lag) - state
        low, high = np.nanpercentile(state, (1.0, 99.0))
        settled = commands.held(key)
        inner = (state > low + INNER[0] * (high - low)) & (state < low + INNER[1] * (high - low))
        # what it misses by where nothing can be held is its calibration; at one end its own stop may be in the way
        middle = 0.5 * (low + high)
        ends = [miss[settled & ~inner & side & np.isfinite(miss)] for side in (state < middle, state >= middle)]
        usual = [float(np.median(each)) for each in ends if len(each)]
        miss = miss - min(usual, key=abs, default=0.0)
        found = settled & inner & (np.abs(miss) > BLOCKED * fit.span)
        up |= found & ((miss > 0.0) != against)
        down |= found & ((miss < 0.0) != against)
    episodes = len(np.unique(commands.sample.episode(commands.sample.rows)[commands.rows[up | down]]))
    return Blocked(int(np.count_nonzero(up)), int(np.count_nonzero(down)), episodes)


@dataclass(frozen=True, slots=True, eq=False)
class Holds:
    """What lies between two opposite moves of the fingers, both made while the arm rests and is away from where it
    starts and ends, with a way of the arm in between: something taken, carried and let go. Shape (h,) each.

    Fingers that close on the way home, or open on the way to a thing, make none.
    """

    episode: Int64s
    """Place of the episode in the sample."""
    downwards: Bools
    """The first of the two moves goes to smaller numbers: fingers that close that way hold."""

    @property
    def closing_upwards(self) -> bool | None:
        """Whether the fingers close upwards; None where the holds do not agree, or are too few."""
        up = int(np.count_nonzero(~self.downwards))
        more = max(up, len(self.downwards) - up)
        if len(self.downwards) < FEWEST_HOLDS or more < AGREED * len(self.downwards):
            return None
        return 2 * up > len(self.downwards)

    def of_episode(self, place: int) -> bool | None:
        """Whether fingers close upwards in one episode; None where it does not tell."""
        mine = self.downwards[self.episode == place]
        up = int(np.count_nonzero(~mine))
        return None if 2 * up == len(mine) else 2 * up > len(mine)


def find_holds(found: Rests, arm: Float64s, sample: Sample) -> Holds:
    """The holds among the moves between the rests of a gripper.

    Args:
        found: its rests, levels as shares of its range.
        arm: the joints of its arm, shape (n, j); with none, nothing is known of the arm and there are no holds.
        sample: which rows belong to which episode.
    """
    episode: list[int] = []
    downwards: list[bool] = []
    spans = sample.spans()
    for place in np.unique(found.episode).tolist():
        mine = np.flatnonzero(found.episode == place)
        track = _track(arm[spans[place]])
        if track is None or len(mine) < 3:
            continue
        start, stop = found.start[mine] - spans[place].start, found.stop[mine] - spans[place].start
        moves = [_at_work(track, int(a), int(b)) for a, b in zip(stop[:-1], start[1:], strict=True)]
        change = np.diff(found.level[mine])
        way = np.concatenate([[0.0], np.cumsum(track.speed)])
        for k in range(len(moves) - 1):
            carried = way[start[k + 2] if k + 2 < len(start) else stop[k + 1]] - way[stop[k]]
            if moves[k] and moves[k + 1] and change[k] * change[k + 1] < 0.0 and carried > CARRIED * way[-1]:
                episode.append(place)
                downwards.append(bool(change[k] < 0.0))
    return Holds(np.array(episode, np.int64), np.array(downwards, np.bool_))


@dataclass(frozen=True, slots=True, eq=False)
class _Track:
    """The arm of one episode over its range."""

    place: Float64s
    """shape (t, j)."""
    speed: Float64s
    """Of the fastest joint, shape (t,)."""
    usual: float
    """Speed of which a quarter of the frames have more."""


def _track(joints: Float64s) -> _Track | None:
    """None where no joint moves."""
    if not joints.shape[1] or len(joints) < 3:
        return None
    low, high = np.nanmin(joints, axis=0, initial=np.inf), np.nanmax(joints, axis=0, initial=-np.inf)
    span = high - low
    used = np.isfinite(span) & (span > 0.0)
    if not used.any():
        return None
    weight = span[used] / span[used].max()
    place = np.nan_to_num((joints[:, used] - low[used]) / span[used]) * weight
    speed = np.abs(np.gradient(place, axis=0)).max(axis=1)
    return _Track(place, speed, float(np.percentile(speed, 75.0)))


def _at_work(track: _Track, start: int, stop: int) -> bool:
    """Whether the arm rests in a span of frames, away from where it starts and ends."""
    stop = max(stop, start + 1)
    if float(np.median(track.speed[start:stop])) > ARM_RESTS * track.usual:
        return False
    here = np.median(track.place[start:stop], axis=0)
    return all(float(np.abs(here - track.place[end]).max()) > AWAY for end in (0, -1))


@dataclass(frozen=True, slots=True)
class Opening:
    """Which end of a gripper's range is open, what the numbers say, and how sure that is."""

    upper: bool
    """The upper end is open."""
    why: str
    kind: str = "share"
    """One of ``column_map.KINDS``."""
    polarity: str = "set"
    """One of ``column_map.POLARITIES``."""
    closed: float = 0.0
    """Where fingers come to rest when nothing is between them, or the most closed that they do, as a share of the way
    from the closed to the open end of the range."""
    confidence: float = 1.0
    doubts: tuple[str, ...] = ()
    """What should be looked at, in sentences."""


def open_end(
    share: Float64s,
    sample: Sample,
    words: Sequence[Sequence[str]],
    robot: str,
    evidence: Blocked,
    *,
    nominal: bool,
    one_way: bool,
    natural: bool = False,
    arm: Float64s | None = None,
    bit: bool = False,
) -> Opening:
    """Which end is open, and what the closed end tells.

    By the first of these that tells: the names of the columns, a known interface, what blocks the fingers, what is
    held while the arm moves, where the episodes start. What is measured and disagrees is said.

    Args:
        share: where between the lower (0) and the upper end (1) the gripper is, shape (n,).
        sample: the frames' sample.
        words: of each column's name.
        robot: as the data set names it.
        evidence: blocked fingers.
        nominal: whether the columns hold a share from 0 to 1.
        one_way: whether all columns go the same way; if not, no name tells of all.
        natural: whether the lower end is 0 in the columns' own unit, as a width is where fingers meet.
        arm: the joints of the arm, shape (n, j).
        bit: whether the column takes two values only.
    """
    found = rests(share, sample)
    holds = find_holds(found, np.zeros((len(share), 0)) if arm is None else arm, sample)
    upper, why, confidence, doubts = _polarity(share, sample, words, robot, evidence, holds, nominal, one_way)
    polarity, shut = "set", _start_shut(share, sample, upper)
    inverted = _inverted(share, sample, holds, upper, shut)
    if inverted:
        polarity = "each_shut" if shut else "each"
        named = ", ".join(str(sample.number(place)) for place in inverted)
        doubts = (*doubts, f"goes the other way in {len(inverted)} of {len(sample.starts)} episodes looked at: {named}")
        confidence = min(confidence, 0.7)
    if bit:
        return Opening(upper, f"{why}; two values only", "bit", polarity, 0.0, confidence, doubts)
    kind, closed, end = _closed_end(found, upper=upper, nominal=nominal, natural=natural)
    return Opening(upper, "; ".join(part for part in (why, end) if part), kind, polarity, closed, confidence, doubts)


def _polarity(
    share: Float64s,
    sample: Sample,
    words: Sequence[Sequence[str]],
    robot: str,
    evidence: Blocked,
    holds: Holds,
    nominal: bool,
    one_way: bool,
) -> tuple[bool, str, float, tuple[str, ...]]:
    """Whether the upper end is open, why, how sure, and what speaks against it."""
    starts_open, start_why = _starts(share, sample)
    up = int(np.count_nonzero(~holds.downwards))
    measured = (
        (
            evidence.closing_upwards,
            f"fingers are blocked {evidence.upwards} frames on the way up and {evidence.downwards} on the way down, in "
            f"{evidence.episodes} episodes",
        ),
        (
            holds.closing_upwards,
            f"of {len(holds.downwards)} things carried between two rests of the arm {up} were taken on the way up",
        ),
    )
    told = _by_names(words, robot, nominal=nominal) if one_way else None
    if told is not None:
        upper, why, named = told
        against = [what for closing_up, what in measured if closing_up is not None and closing_up == upper]
        speaking = [what for closing_up, what in measured if closing_up is not None]
        if against and against == speaking and not named and not (nominal and len(against) < len(measured)):
            # a robot's usual calibration is not that of every recording of it
            overruled = f"{against[0]}: they close towards what they hold, though {why} elsewhere"
            return not upper, overruled, 0.7, (overruled,)
        doubts = tuple(f"{why}; but {what}" for what in against)
        return upper, why + "".join(f"; but {what}: check it" for what in against), 0.6 if against else 1.0, doubts
    for confidence, (closing_up, what) in zip((0.95, 0.9), measured, strict=True):
        if closing_up is not None:
            but = f"; but {start_why}" if starts_open is not None and starts_open == closing_up else ""
            return not closing_up, f"{what}: they close towards what they hold{but}", confidence, ()
    if starts_open is None:
        why = f"{start_why}, so larger is assumed to be open"
        return True, why, 0.5, (why,)
    why = f"the end nearer to the state at the episodes' start is assumed to be open ({start_why})"
    return starts_open, why, 0.7, (why,)


def _start_shut(share: Float64s, sample: Sample, upper: bool) -> bool:
    """Whether most episodes start at the closed end."""
    first = share[sample.starts[sample.starts < len(share)]]
    known = first[np.isfinite(first)]
    return bool(len(known) and 2 * np.count_nonzero((known > 0.5) != upper) > len(known))


def _inverted(share: Float64s, sample: Sample, holds: Holds, upper: bool, shut: bool) -> list[int]:
    """Episodes that start at the other end than most and close towards what is open there; none if it is one."""
    first = share[sample.starts[sample.starts < len(share)]]
    found = []
    for place in np.unique(holds.episode).tolist():
        closes_up = holds.of_episode(place)
        other_way = closes_up is not None and closes_up == upper
        start = place < len(first) and np.isfinite(first[place])
        if other_way and start and ((first[place] > 0.5) != upper) != shut:
            found.append(place)
    return found if len(found) > 1 else []


def _closed_end(found: Rests, *, upper: bool, nominal: bool, natural: bool) -> tuple[str, float, str]:
    """Whether it is known where fingers come to rest with nothing between them; where that is; and why.

    It is known where some rests lie before the most closed ones, so that a thing kept the fingers from those, and the
    most closed ones are near the end of a nominal range, or episodes begin or end with them (a hand that is shut while
    it is parked). Fingers that never came near the end of a nominal range always had something between them. Anything
    else may be either.
    """
    level = found.level if upper else 1.0 - found.level
    closed = np.flatnonzero(level < CLOSED_SIDE)
    if not len(closed):
        return "share", 0.0, ""
    least = float(np.percentile(level[closed], 5.0))
    at_end = closed[level[closed] <= least + BESIDE]
    # thin things keep fingers from the end by little
    least = max(float(np.median(level[closed][level[closed] <= least + SAME_END])), 0.0)
    if nominal and least > ROUGH_END:
        return "share", 0.0, "the closed end of the nominal range was never reached"
    before_it = bool((level[closed] > least + 2.0 * BESIDE).any())
    near = least <= NEAR_END and (nominal or (natural and upper))
    parked = np.count_nonzero(np.isin(at_end, _outer(found))) >= FEWEST_PARKED
    if before_it and (near or parked):
        return "share", least, "fingers rest at the closed end and, on things, before it"
    if not before_it and nominal and least > NEAR_END:
        return "share", 0.0, "the closed end of the nominal range was never reached"
    return "closed_unknown", least, "whether fingers at their most closed hold something is not known"


def _outer(found: Rests) -> Int64s:
    """Places of the first and the last rest of each episode."""
    episode = found.episode
    edge = np.flatnonzero(np.diff(episode)) if len(episode) else np.zeros(0, np.int64)
    return np.unique(np.concatenate([[0], edge, edge + 1, [len(episode) - 1]]))


def is_bit(values: Float64s) -> bool:
    """Whether a column takes two values only, but for a few frames on the way, shape (n,)."""
    known = values[np.isfinite(values)]
    if not len(known):
        return False
    seen, count = np.unique(known, return_counts=True)
    two = np.sort(count)[-2:].sum()
    return len(seen) > 1 and bool(two >= BIT_FRAMES * len(known))


def judged_alone(arm: str, columns: Mapping[str, Columns], channels: dict[str, Any], offset: Int64s) -> list[list[str]]:
    """Finish the gripper of some episodes: the polarity of each, and what is not known of its closed end.

    Args:
        arm: its name, for what is told.
        columns: of its channels.
        channels: as they were read; ``gripper_closed`` is added where the closed end is not known.
        offset: first frame of each episode and one past the last, shape (n + 1,).

    Returns:
        What should be said of each episode.
    """
    told: list[list[str]] = [[] for _ in offset[1:]]
    name = next((each for each in ("gripper_width", "gripper_opening") if each in channels), "")
    if not name:
        return told
    read, kind = columns[name], columns[name].kind
    if read.polarity != "set" and name == "gripper_opening" and "joint_position" in channels:
        opening = np.array(channels[name], np.float64)
        joints = np.asarray(channels["joint_position"], np.float64)
        inverted = [
            place
            for place, (first, stop) in enumerate(pairwise(offset.tolist()))
            if _goes_other_way(opening[first:stop], joints[first:stop], shut=read.polarity == "each_shut")
        ]
        if inverted:
            channels[name] = opening
        for place in inverted:
            mine = slice(int(offset[place]), int(offset[place + 1]))
            opening[mine] = 1.0 - opening[mine]
            how = "read the other way round than in most episodes, as it holds that way"
            told[place].append(f"{arm}.gripper_opening: {how}")
    if kind != "share":
        channels["gripper_closed"] = np.full(len(channels[name]), np.nan, np.float32)
    return told


def _goes_other_way(opening: Float64s, joints: Float64s, *, shut: bool) -> bool:
    """Whether a gripper of one episode holds things at the end that is open in most."""
    alone = Sample({"gripper_opening": opening[:, None]}, np.zeros(1, np.int64))
    return _inverted_alone(opening, find_holds(rests(opening, alone), joints, alone), shut=shut)


def _inverted_alone(opening: Float64s, holds: Holds, *, shut: bool) -> bool:
    closes_up = holds.of_episode(0)
    known = opening[np.isfinite(opening)]
    return bool(closes_up) and len(known) > 0 and (known[0] < 0.5) != shut


def _by_names(words: Sequence[Sequence[str]], robot: str, *, nominal: bool) -> tuple[bool, str, bool] | None:
    """Whether the upper end is open by what names say, why, and whether it is the column's own name."""
    said = {word for each in words for word in each}
    if bool(said & MORE_OPEN) != bool(said & MORE_CLOSED):
        upper = bool(said & MORE_OPEN)
        word = sorted(said & (MORE_OPEN | MORE_CLOSED))[0]
        return upper, f"larger is more {'open' if upper else 'closed'}, as the column's name says ({word})", True
    for row in robot_rows(robot, words):
        if row.larger_is_open is not None and (nominal or not row.share_only):
            way = "open" if row.larger_is_open else "closed"
            return row.larger_is_open, f"larger is more {way}: {row.source}", False
    return None


def _starts(share: Float64s, sample: Sample) -> tuple[bool | None, str]:
    """Whether episodes start at the upper end; None where they do not agree."""
    at = share[sample.starts[sample.starts < len(share)]]
    known = at[np.isfinite(at)]
    if not len(known):
        return None, "no episode's start is known"
    upper = int(np.count_nonzero(known > 0.5))
    more = max(upper, len(known) - upper)
    if more < AGREED * len(known):
        return None, f"{upper} of {len(known)} episodes start at the upper end"
    return 2 * upper > len(known), f"{more} of {len(known)} episodes start nearer to the {_name(upper, known)} end"


def _name(upper: int, known: Float64s) -> str:
    return "upper" if 2 * upper > len(known) else "lower"
