"""What counts as large or small on a robot: from its own unlabelled rollouts, or from the episode's first second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.rollout import Manipulator, RolloutBatch
from sima2.segmentation.signals import Ragged, alike, hold_last, lengths, orderless


@dataclass(frozen=True, slots=True)
class HandScale:
    """What the closings of an arm tell of its fingers."""

    kept_back: float = np.nan
    """Usual spreads of a gripper's residual behind its command from which on something is between the fingers."""
    stop_back: float = np.nan
    """The same where the fingers stop at their own end."""
    most_back: float = np.nan
    """The most that they were behind it at rest: of a bit that is its own command, 0."""
    width_stop: float = np.nan
    """Where they stop, always alike, when they then take nothing anywhere."""


@dataclass(frozen=True, slots=True)
class RobotScale(HandScale):
    """Ranges that a robot's arm showed; NaN where the channel was absent or told nothing."""

    width_closed: float = np.nan
    """Least gripper width (or opening)."""
    width_open: float = np.nan
    """Largest gripper width (or opening)."""
    width_levels: float = np.nan
    """Spread of the widths at which closed fingers rest, as a share of the range; 0 where they always stop alike, and
    tell nothing of what is between them."""
    joint_speed: float = np.nan
    """rad/s, 95th percentile of the fastest joint."""
    hand_speed: float = np.nan
    """m/s, 95th percentile."""
    grip_force: float = np.nan
    """N, the median of what its fingers feel over their bias where they feel anything."""
    load_away: float = np.nan
    """m, the median distance between the tracked point of the hand and what moves with it: a flange is far from it."""
    press_force: float = np.nan
    """N, what it wipes with as a rule."""


@dataclass(frozen=True, slots=True)
class Scales:
    """Scales by robot and manipulator, frozen; an empty one means physical defaults and the episode's own start."""

    robots: tuple[tuple[str, str, RobotScale], ...] = ()
    """Robot, manipulator and what was seen of it; sorted."""

    def of(self, robot: str, arm: str) -> RobotScale:
        """Scale of one arm, all NaN where it was never seen."""
        return next((scale for r, a, scale in self.robots if (r, a) == (robot, arm)), RobotScale())

    def with_hands(self, hands: Mapping[tuple[str, str], HandScale]) -> Scales:
        """The same with what the closings of each arm told."""
        told = {key: asdict(each) for key, each in hands.items()}
        return Scales(tuple((r, a, replace(scale, **told.get((r, a), {}))) for r, a, scale in self.robots))

    def with_press_force(self, presses: Mapping[tuple[str, str], Sequence[float]]) -> Scales:
        """The same with the median force of each arm's wipes, where there are enough of them to tell."""
        known = {key: float(np.median(forces)) for key, forces in presses.items() if len(forces) >= FEWEST_WIPES}
        return Scales(
            tuple((r, a, replace(scale, press_force=known.get((r, a), np.nan))) for r, a, scale in self.robots)
        )


NEARLY_SHUT: Final = 0.1
"""Share of the widest opening up to which the least width seen may be that of fingers that meet; widths and openings
are 0 where they do (records.rollout), but for the thickness of the pads."""
MET: Final = 0.005
"""Share of the widest opening up to which a width is 0: resolution of common encoders."""
BETWEEN: Final = 8
"""Different widths between a tenth and nine tenths of the way that show that fingers move, and are no bit."""
ALONG_S: Final = 0.15
ALONG_M: Final = 0.02
ALONG_SHARE: Final = 0.2
"""A thing goes along with a hand that goes so far in that half window if it stays behind by less than that share."""
RESTS_S: Final = 0.2
FEWEST_RESTS: Final = 100
"""Frames of closed fingers at rest below which their widths tell nothing of the gripper."""
FELT: Final = 0.8
"""N; drift and resolution of common finger sensors."""
FEWEST_WIPES: Final = 5
"""Below that, a median is a single wipe's word."""


Store = dict[str, list[Float64s]]
"""Values of each column, part by part."""


def fit_scales(batches: Sequence[RolloutBatch]) -> Scales:
    """Scales from unlabelled rollouts; the order of batches and episodes does not matter.

    Quantiles over all frames of a robot, so a few strange episodes do not set its range; what is noise and no motion
    has no part in it.
    """
    parts: dict[tuple[str, str], Store] = {}
    rest: dict[tuple[str, str], Store] = {}
    for batch in batches:
        for _, sub in alike(batch):
            ragged, names = Ragged(sub.offset, sub.time), np.array(sub.episodes.robot, object)
            for arm, channels in sub.manipulators.items():
                every = np.arange(sub.frames)
                columns = {name: (every, values) for name, values in _columns(channels, ragged).items()}
                columns["load_away"] = _companions(sub, channels, ragged)
                moving = _moving(channels, sub.offset)
                for robot in dict.fromkeys(sub.episodes.robot):
                    for chosen, among in ((moving, parts), (~moving, rest)):
                        rows = (chosen & (names == robot)).take(ragged.episode)
                        store = among.setdefault((robot, arm), {})
                        for name, (frames, values) in columns.items():
                            kept = values[rows[frames]]
                            store.setdefault(name, []).append(kept[np.isfinite(kept)])
    # where nothing moves there is nothing better to go by
    told = {
        key: store if any(len(x) for xs in store.values() for x in xs) else rest[key] for key, store in parts.items()
    }
    return Scales(tuple((*key, _scale(store)) for key, store in sorted(told.items())))


def _closed_rests(width: Float64s, ragged: Ragged) -> Float64s:
    """Widths at which fingers rest that have closed from wider before in the episode; NaN elsewhere, shape (t,)."""
    filled, _ = hold_last(width.astype(np.float32), ragged)
    widest = ragged.running(filled, 0.0, largest=True)
    lo, hi = ragged.around(RESTS_S)
    rests = (np.abs(filled.take(hi) - filled) + np.abs(filled - filled.take(lo))) < 0.02 * np.maximum(widest, 1e-9)
    inside = (hi < ragged.last) & (lo > ragged.first)
    return np.where(rests & inside & (filled < 0.8 * widest), filled, np.nan)


def _seen_between(width: Float64s, closed: float, wide: float) -> bool:
    share = (width - closed) / max(wide - closed, 1e-9)
    return len(np.unique(share[(share > 0.1) & (share < 0.9)])) >= BETWEEN


def _usual_grip(force: Float64s) -> float:
    if not len(force):
        return np.nan
    over = force - np.quantile(force, 0.05)
    felt = over[over > FELT]
    return float(np.median(felt)) if len(felt) else np.nan


def _moving(channels: Manipulator, offset: Int64s) -> Bools:
    """Episodes in which the arm moves, or stands still, as a body does, shape (n,); one that only trembles tells
    nothing of its range."""
    track = channels.ee_position if channels.ee_position is not None else channels.joint_position
    if track is None:
        return np.ones(len(offset) - 1, np.bool_)
    ends = zip(offset[:-1].tolist(), offset[1:].tolist(), strict=True)
    return np.array([not orderless(track[a:b]) for a, b in ends], np.bool_)


def _columns(channels: Manipulator, ragged: Ragged) -> dict[str, np.ndarray]:
    columns = {}
    width = channels.gripper_width if channels.gripper_width is not None else channels.gripper_opening
    if width is not None:
        columns["width"] = width.astype(np.float64)
        columns["rest_width"] = _closed_rests(width.astype(np.float64), ragged)
    if channels.joint_position is not None:
        filled, _ = hold_last(channels.joint_position, ragged)
        columns["joint_speed"] = np.abs(ragged.slope(filled, 0.1)).max(axis=1)
    if channels.ee_position is not None:
        filled, _ = hold_last(channels.ee_position, ragged)
        columns["hand_speed"] = lengths(ragged.slope(filled, 0.1))
    if channels.grip_force is not None:
        columns["grip"] = channels.grip_force.astype(np.float64)
    return columns


def _companions(batch: RolloutBatch, channels: Manipulator, ragged: Ragged) -> tuple[Int64s, Float64s]:
    """Frames at which a thing goes along with a hand that goes some way, and how far from the hand it is, m."""
    nothing = np.zeros(0, np.int64), np.zeros(0)
    if channels.ee_position is None or batch.object_position is None or not batch.object_position.shape[1]:
        return nothing
    lo, hi = ragged.around(ALONG_S)
    hand = channels.ee_position.astype(np.float64)
    step = hand.take(hi, axis=0) - hand.take(lo, axis=0)
    way = lengths(step)
    far = np.flatnonzero(way > ALONG_M)
    frames, distance = [], []
    for slot in range(batch.object_position.shape[1]):
        thing = batch.object_position[:, slot].astype(np.float64)
        apart = thing[hi[far]] - thing[lo[far]] - step[far]
        along = far[lengths(apart) < ALONG_SHARE * way[far]]
        frames.append(along)
        distance.append(lengths(thing[along] - hand[along]))
    return np.concatenate(frames), np.concatenate(distance)


def _scale(store: Store) -> RobotScale:
    told = {name: np.concatenate(parts) for name, parts in store.items()}
    nothing = np.zeros(0)

    def quantile(name: str, q: float) -> float:
        values = told.get(name, nothing)
        return float(np.quantile(values, q)) if len(values) else np.nan

    closed, wide = quantile("width", 0.005), quantile("width", 0.995)
    # fingers seen on their way, and shut at 0, have met, as widths are defined; a bit jumps from end to end
    met = abs(closed) <= MET * wide and _seen_between(told.get("width", nothing), closed, wide)
    levels, span = np.nan, wide - closed
    if closed <= NEARLY_SHUT * wide and not met and len(told.get("rest_width", nothing)) >= FEWEST_RESTS and span > 0:
        levels = float(np.subtract(*np.quantile(told["rest_width"], [0.99, 0.01])) / span)
    return RobotScale(
        # fingers that were never seen near shut had something between them: their least width is its, not theirs
        width_closed=closed if closed <= NEARLY_SHUT * wide else np.nan,
        width_open=wide,
        width_levels=levels,
        joint_speed=quantile("joint_speed", 0.95),
        hand_speed=quantile("hand_speed", 0.95),
        load_away=quantile("load_away", 0.5),
        grip_force=_usual_grip(told.get("grip", nothing)),
    )
