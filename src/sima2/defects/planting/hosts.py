"""What is known of an episode that a fault is planted into, and of the set that it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.defects.planting.editing import follows, frames_of, noise_of, period_of
from sima2.records.arrays import Float32s, Float64s
from sima2.records.rollout import Manipulator, Rollout
from sima2.records.segments import Segment

FEW: Final = 0.005
"""Quantile of a set's fingers at which they are as far shut as they go: a reading or two may lie beyond."""
BLOCKED: Final = 0.04
"""Share of their range by which fingers stay behind their command where a thing keeps them from it."""
NEARLY: Final = 0.04
"""Share of their range by which fingers that are shut may stand apart from where they usually do."""
RESTS: Final = 5
"""Frames over which fingers rest."""
SETTLES_S: Final = 0.25
"""Time over which it is looked how wide fingers are that have closed."""
LEFT: Final = 0.3
"""Share of the way from held to open at which fingers have let go."""


def quantile(values: Float32s | Float64s, share: float) -> float:
    """Quantile of what is a number; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.quantile(known, share)) if len(known) else float("nan")


def fingers_of(arm: Manipulator) -> tuple[str, Float32s] | None:
    """The channel that tells how far the fingers are open; None without one."""
    for name in ("gripper_width", "gripper_opening"):
        value = getattr(arm, name)
        if value is not None:
            return name, value
    return None


@dataclass(frozen=True, slots=True)
class Hand:
    """The fingers of one arm, over the set."""

    shut: float
    """Width at which they come to rest with nothing between them."""
    told_shut: float
    """… and where they would be, were they free to follow the most closed of their commands; NaN without commands."""
    open: float
    rests: tuple[tuple[float, float], ...]
    """Where fingers of some episodes came to rest as far shut as they go, and where they were told to be (NaN where
    that is not known): people do not shut them alike each time."""
    unit: tuple[float, ...]
    """For each column of the fingers' residual its unit in their width; NaN where it could not be told."""

    @property
    def range(self) -> float:
        """From shut to open."""
        return max(self.open - self.shut, 1e-9)


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual of a set."""

    hands: Mapping[str, Hand]
    span: Mapping[str, Float64s]
    """Range of each joint of each arm, rad."""

    @classmethod
    def of(cls, rollouts: Sequence[Rollout]) -> Usual:
        """From some episodes of one robot."""
        hands, span = {}, {}
        for arm in dict.fromkeys(name for each in rollouts for name in each.manipulators):
            mine = [each for each in rollouts if arm in each.manipulators]
            hand = _hand(mine, arm)
            if hand is not None:
                hands[arm] = hand
            joints = [m.joint_position for m in (each.manipulators[arm] for each in mine)]
            known = [each for each in joints if each is not None]
            every = [each for each in known if each.shape[1] == known[0].shape[1]]
            if every:
                columns = np.concatenate(every).T
                span[arm] = np.array([quantile(each, 0.99) - quantile(each, 0.01) for each in columns])
        return cls(hands, span)


def _hand(rollouts: Sequence[Rollout], arm: str) -> Hand | None:
    arms = [(each, each.manipulators[arm]) for each in rollouts]
    found = [(each, m, fingers_of(m)) for each, m in arms]
    told = [(each, m, seen[1]) for each, m, seen in found if seen is not None and np.isfinite(seen[1]).any()]
    if not told:
        return None
    width = np.concatenate([w for _, _, w in told]).astype(np.float64)
    shut, wide = (float(x) for x in np.nanquantile(width, [FEW, 1 - FEW]))
    units = _units(told)
    free = [free_width(m, w, units) for _, m, w in told]
    known = [each for each in free if each is not None]
    told_shut = float("nan")
    if known:
        free_all = np.concatenate(known)
        told_shut = quantile(free_all, FEW)
        behind = np.concatenate([w for (_, _, w), f in zip(told, free, strict=True) if f is not None]) - free_all
        at_end = np.concatenate([w for (_, _, w), f in zip(told, free, strict=True) if f is not None]) <= shut + (
            0.02 * (wide - shut)
        )
        # if the least that was seen is a thing's width, fingers with nothing between them would go on
        if quantile(behind[at_end], 0.5) > BLOCKED * (wide - shut):
            shut = min(shut, told_shut)
    meets = [m.gripper_closed for _, m, _ in told if m.gripper_closed is not None]
    known_end = np.concatenate(meets) if meets else np.zeros(0)
    if np.isfinite(known_end).any():
        shut = float(np.nanmedian(known_end))
    rests = _rests([w for _, _, w in told], free, shut, NEARLY * (wide - shut))
    return Hand(shut, told_shut, wide, rests or ((shut, told_shut),), units)


def _rests(
    widths: Sequence[Float32s], free: Sequence[Float64s | None], shut: float, near: float
) -> tuple[tuple[float, float], ...]:
    """Where fingers rest that are as far shut as they go, one an episode that has such."""
    out = []
    for width, told in zip(widths, free, strict=True):
        if len(width) < RESTS or not np.isfinite(width).any():
            continue
        calm = np.median(np.lib.stride_tricks.sliding_window_view(width, RESTS), axis=1)
        if not np.isfinite(calm).any():
            continue
        at = int(np.nanargmin(calm))
        if abs(calm[at] - shut) <= near:
            seen = float("nan") if told is None else quantile(told[at : at + RESTS], 0.5)
            out.append((float(calm[at]), seen))
    return tuple(out)


def _units(told: Sequence[tuple[Rollout, Manipulator, Float32s]]) -> tuple[float, ...]:
    """Unit of each column of the fingers' residual."""
    columns = max((residual_columns(m) for _, m, _ in told), default=0)
    out = []
    for k in range(columns):
        found = []
        for rollout, m, width in told[:6]:
            if m.effort_proxy is None or rollout.action is None or residual_columns(m) <= k:
                continue
            made = follows(rollout.action, width, m.effort_proxy[:, joints_of(m) + k], period_of(rollout))
            if made is not None:
                found.append(made.unit)
        out.append(float(np.median(found)) if found else float("nan"))
    return tuple(out)


def joints_of(arm: Manipulator) -> int:
    """Columns of joints."""
    return 0 if arm.joint_position is None else int(arm.joint_position.shape[1])


def residual_columns(arm: Manipulator) -> int:
    """Columns of the residual that are the fingers'."""
    return 0 if arm.effort_proxy is None else max(0, int(arm.effort_proxy.shape[1]) - joints_of(arm))


def free_width(arm: Manipulator, width: Float32s, units: Sequence[float]) -> Float64s | None:
    """Where the fingers would be with nothing in their way, by their commands, shape (t,); None without any."""
    if arm.effort_proxy is None:
        return None
    first = joints_of(arm)
    made = [
        width + unit * arm.effort_proxy[:, first + k]
        for k, unit in enumerate(units[: residual_columns(arm)])
        if np.isfinite(unit)
    ]
    return np.asarray(np.mean(made, axis=0), np.float64) if made else None


@dataclass(frozen=True, slots=True)
class Carry:
    """A thing that is taken and let go by one arm, in frames."""

    arm: str
    start: int
    """The fingers begin to close."""
    held: int
    """They have closed."""
    opens: int
    """They begin to open again; the length of the episode where they never do."""
    free: int
    """They have opened."""
    width: float
    """At which the thing keeps them."""


@dataclass(frozen=True, slots=True)
class Host:
    """An episode that a fault is planted into."""

    rollout: Rollout
    segments: tuple[Segment, ...]
    usual: Usual
    other: Rollout | None = None
    """Another episode of the set that recorded the same channels."""

    def frames(self, seconds: float) -> int:
        """Frames that so many seconds last."""
        return frames_of(self.rollout, seconds)

    @property
    def good(self) -> bool:
        """Nothing in it was judged to have failed."""
        return not any(each.outcome in ("failure", "retry") for each in self.segments)

    def carries(self) -> list[Carry]:
        """What was taken and let go, by its segments and its fingers, in order of time."""
        out: list[Carry] = []
        for each in self.segments:
            if (
                each.label != "grasp"
                or each.outcome in ("failure", "retry")
                or each.manipulator not in self.usual.hands
            ):
                continue
            seen = fingers_of(self.rollout.manipulators[each.manipulator])
            made = None if seen is None else self._carry(each, seen[1])
            if made is not None and not (out and out[-1].arm == made.arm and made.start < out[-1].opens):
                out.append(made)
        return out

    def _carry(self, grasp: Segment, width: Float32s) -> Carry | None:
        hand, length = self.usual.hands[grasp.manipulator], len(width)
        after = width[grasp.end_frame : min(grasp.end_frame + self.frames(SETTLES_S), length)]
        if len(after) < 2 or not np.isfinite(after).all():
            return None
        held = float(np.median(after))
        before = quantile(width[max(grasp.start_frame - 2, 0) : grasp.end_frame], 1.0)
        wide = held + LEFT * max(before - held, 0.1 * hand.range)
        beyond = np.flatnonzero(width[grasp.end_frame :] > wide)
        opens = length if not len(beyond) else grasp.end_frame + int(beyond[0])
        near = held + 0.1 * (wide - held)
        while opens < length and opens > grasp.end_frame + 1 and width[opens - 1] > near + 0.02 * hand.range:
            opens -= 1
        top = np.flatnonzero(width[opens:] > held + 0.8 * max(before - held, 0.1 * hand.range))
        free = opens + int(top[0]) if len(top) else min(opens + self.frames(0.3), length)
        return Carry(grasp.manipulator, grasp.start_frame, grasp.end_frame, opens, free, held)


def tremble(values: Float32s) -> Float64s:
    """What a column's readings have on top of their running median of five, shape (t,)."""
    wide = np.pad(np.asarray(values, np.float64), 2, mode="edge")
    window = np.lib.stride_tricks.sliding_window_view(wide, 5)
    found = np.asarray(values - np.median(window, axis=1))
    limit = 4.0 * float(noise_of(values)[0])
    return np.clip(np.nan_to_num(found), -limit, limit)
