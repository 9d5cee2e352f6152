"""Planted behaviour: grasps that miss, things that slip or fall.

Fingers with nothing between them go on to where they meet; with them go grip force, external force, the residual of
their command, and the poses of the thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sima2.defects.planting.editing import Rows, at_rows, period_of, with_arm
from sima2.defects.planting.hosts import Carry, Host, Usual, fingers_of, free_width, joints_of, quantile, tremble
from sima2.records.arrays import Float32s, Float64s
from sima2.records.rollout import OBJECT_CHANNELS, Rollout

GRAVITY: Final = 9.81
"""m/s²."""
SHORTEST_CARRY_S: Final = 0.8
"""What is carried for less is not lost half way."""
LIFTS: Final = 0.6
"""Share of those who notice only after lifting the hand that nothing was taken."""
LOST_AT: Final = (0.05, 0.9)
"""Shares of a carry between which a thing is lost: just taken, not yet lifted, or on the way."""
FAR_FROM_GOAL: Final = 0.75
"""Share of a carry from which on what falls may lie where it should."""
QUICK: Final = 1.5
"""Strokes a second at which fingers close or open that do so fast."""


@dataclass(frozen=True, slots=True, eq=False)
class Plant:
    """An episode with a fault in it."""

    kind: str
    rollout: Rollout
    start: int
    """First frame of the fault in the new episode."""
    end: int
    """One past the last."""
    fails: bool = False
    """The episode cannot have succeeded with it."""
    of: str = ""
    """Episode that it is a copy of."""


Planted = Plant | str
"""A fault, or why none could be planted."""

NO_FINGERS: Final = "no gripper is recorded"
NO_GRASP: Final = "nothing is taken in it, as far as its segments tell"
NO_CARRY: Final = "nothing is carried for long enough in it"


def carried_on(host: Host, rng: np.random.Generator) -> Planted:
    """The last grasp closes on nothing, and nobody notices: the hand goes on as if it held something."""
    carry = _last(host)
    if isinstance(carry, str):
        return carry
    made = _empty(host, host.rollout, carry, carry.start, carry.opens, rng)
    made = _thing_stays(made, host.rollout, carry, carry.start, len(made))
    return Plant("missed_and_carried_on", made, carry.start, carry.held, fails=True)


def given_up(host: Host, rng: np.random.Generator) -> Planted:
    """The last grasp closes on nothing; the hand rises, perhaps opens, perhaps goes back as it came, that is all."""
    carries = host.carries()
    if not carries:
        return _why(host)
    carry = carries[-1]
    before = carries[-2].free if len(carries) > 1 else 0
    back = before if rng.random() < 0.7 else carry.start - host.frames(float(rng.uniform(0.3, 1.0)))
    away, opens = _away(host, carry, max(back, before), rng)
    rows = np.concatenate([away, np.full(host.frames(float(rng.uniform(0.3, 1.5))), away[-1])])
    return _missed("missed_grasp", host, rows, carry, (opens if rng.random() < 0.5 else len(rows), len(rows)), rng)


def missed_then_taken(host: Host, rng: np.random.Generator) -> Planted:
    """A grasp closes on nothing; the hand rises a little, opens, comes down again, and the true attempt follows."""
    carries = host.carries()
    if not carries:
        return _why(host)
    carry = carries[int(rng.integers(len(carries)))]
    back = max(0, carry.start - host.frames(float(rng.uniform(0.4, 1.5))))
    away, opens = _away(host, carry, back, rng)
    rows = np.concatenate([away, np.arange(back, len(host.rollout))])
    return _missed("missed_grasp_retried", host, rows, carry, (opens, len(away)), rng)


def _away(host: Host, carry: Carry, back: int, rng: np.random.Generator) -> tuple[Rows, int]:
    """Frames until a hand that missed has gone back as it came, to a frame; and where in them it has noticed.

    Some notice where they are, others when they have lifted it.
    """
    settle = min(carry.held + host.frames(float(rng.uniform(0.05, 0.25))), len(host.rollout))
    up = np.arange(settle - 1, back - 1, -1)
    stays = min(settle - carry.start, len(up))
    lifted = rng.random() < LIFTS
    top = stays + int(rng.uniform(0.2, 1.0) * (len(up) - stays)) if lifted else 0
    at = up[min(top, len(up) - 1)] if len(up) else settle - 1
    rest = np.full(host.frames(float(rng.uniform(0.1, 0.7))), at)
    rows = np.concatenate([np.arange(settle), up[:top], rest, up[top:]])
    return rows, settle + top + len(rest)


def _missed(
    kind: str, host: Host, rows: Rows, carry: Carry, opened: tuple[int, int], rng: np.random.Generator
) -> Plant:
    """Frames in another order in which the fingers meet with nothing between them.

    Args:
        kind: of the fault.
        host: the episode.
        rows: its frames in their new order.
        carry: what its fingers take, and now do not.
        opened: new frame at which they open, and that until which what was taken is still where it was.
        rng: of the noise.
    """
    opens, again = opened
    made = _renumbered(host.rollout, rows)
    wide = quantile(_width(host.rollout, carry.arm)[max(carry.start - 2, 0) : carry.held], 1.0)
    made = _empty(host, made, carry, carry.start, opens, rng, then_open=(again, wide) if opens < again else None)
    made = _thing_stays(made, host.rollout, carry, carry.start, again)
    return Plant(kind, made, carry.start, min(carry.held, again), fails=again == len(rows))


def slip(host: Host, rng: np.random.Generator) -> Planted:
    """A thing leaves the fingers on the way: they close to where they are told to be."""
    found = _on_the_way(host, rng)
    if isinstance(found, str):
        return found
    carry, at, last = found
    made = _empty(host, host.rollout, carry, at, carry.opens, rng, as_told=True)
    made = _thing_falls(made, carry, at)
    return Plant("slip", made, at, carry.opens, fails=last)


def drop(host: Host, rng: np.random.Generator) -> Planted:
    """The fingers open for a moment on the way, the thing falls, and they close on nothing."""
    found = _on_the_way(host, rng)
    if isinstance(found, str):
        return found
    carry, at, last = found
    hand = host.usual.hands[carry.arm]
    wide = carry.width + float(rng.uniform(0.3, 1.0)) * max(hand.open - carry.width, 0.1 * hand.range)
    brief = host.frames(float(rng.uniform(0.1, 0.3)))
    shut = min(at + brief, carry.opens - 1)
    made = _opened(host, host.rollout, carry, at, shut, wide, rng)
    made = _empty(host, made, carry, shut, carry.opens, rng)
    made = _thing_falls(made, carry, at)
    return Plant("drop", made, at, carry.opens, fails=last)


def early_release(host: Host, rng: np.random.Generator) -> Planted:
    """The fingers open on the way instead of at the goal, and stay open."""
    found = _on_the_way(host, rng)
    if isinstance(found, str):
        return found
    carry, at, last = found
    hand = host.usual.hands[carry.arm]
    width = _width(host.rollout, carry.arm)
    wide = quantile(width[carry.free : carry.free + 3], 1.0) if carry.free + 3 < len(width) else hand.open
    made = _opened(host, host.rollout, carry, at, carry.free, max(wide, carry.width + 0.2 * hand.range), rng)
    made = _thing_falls(made, carry, at)
    return Plant("early_release", made, at, carry.opens, fails=last)


def _why(host: Host) -> str:
    return NO_GRASP if host.usual.hands else NO_FINGERS


def _last(host: Host) -> Carry | str:
    carries = host.carries()
    return carries[-1] if carries else _why(host)


def _on_the_way(host: Host, rng: np.random.Generator) -> tuple[Carry, int, bool] | str:
    """A carry, a frame of it, and whether the episode has failed with it: it is the last, and the goal is still far."""
    carries = host.carries()
    if not carries:
        return _why(host)
    long = [each for each in carries if each.opens - each.held >= host.frames(SHORTEST_CARRY_S)]
    if not long:
        return NO_CARRY
    carry = long[int(rng.integers(len(long)))]
    share = float(rng.uniform(*LOST_AT))
    at = carry.held + 1 + int(share * (carry.opens - carry.held - 2))
    return carry, at, carry is carries[-1] and share < FAR_FROM_GOAL


def _width(rollout: Rollout, arm: str) -> Float32s:
    seen = fingers_of(rollout.manipulators[arm])
    assert seen is not None  # a host's hands are those that have one
    return seen[1]


def _renumbered(rollout: Rollout, rows: Rows) -> Rollout:
    """Frames in another order; what goes backwards has its velocity turned round."""
    made = at_rows(rollout, rows)
    back = np.append(np.diff(rows), 1) < 0
    for arm, m in made.manipulators.items():
        if m.joint_velocity is not None:
            turned = np.where(back[:, None], -m.joint_velocity, m.joint_velocity)
            made = with_arm(made, arm, {"joint_velocity": turned.astype(np.float32)})
    return made


def _empty(
    host: Host,
    rollout: Rollout,
    carry: Carry,
    start: int,
    stop: int,
    rng: np.random.Generator,
    *,
    as_told: bool = False,
    then_open: tuple[int, float] | None = None,
) -> Rollout:
    """Fingers that from ``start`` to ``stop`` have nothing between them.

    Args:
        host: of the episode.
        rollout: the episode, perhaps changed already.
        carry: what they held.
        start: frame from which on nothing is there; they may still be closing.
        stop: frame at which they open.
        rng: of the noise.
        as_told: they go where their command is; else whoever steers shuts them all the way.
        then_open: frame until which they are open again, and how wide.
    """
    hand, arm = host.usual.hands[carry.arm], rollout.manipulators[carry.arm]
    name, width = fingers_of(arm) or ("", np.zeros(0, np.float32))
    new = width.astype(np.float64).copy()
    end, told = hand.rests[int(rng.integers(len(hand.rests)))]
    end = min(end, carry.width)
    lasts = slice(start, stop)
    free = _free(host.usual, rollout, carry.arm)
    goal = np.full(stop - start, told if np.isfinite(told) else end)
    if as_told and free is not None:
        goal = np.where(np.isfinite(free[lasts]), free[lasts], goal)
    elif as_told:
        # nothing tells how hard they squeezed: anywhere between where they were and shut
        goal[:] = carry.width - float(rng.uniform(0.1, 1.2)) * max(carry.width - end, 0.0)
    # the closing as it was, until the thing would have stopped it
    fastest = hand.range * QUICK * period_of(host.rollout)
    drops = -np.diff(width[max(start - 1, 0) : min(carry.held + 1, len(width))], prepend=width[max(start - 1, 0)])
    step = max(float(np.nanmax(drops, initial=0.0)), 0.4 * fastest)
    at = float(new[start])
    unhindered = np.empty(stop - start)
    near = carry.width + 0.05 * hand.range
    for k in range(stop - start):
        own = float(width[start + k])
        still_closing = start + k < carry.held and own > near
        at = min(at, own) if still_closing and np.isfinite(own) else max(min(at, at - step), float(goal[k]))
        unhindered[k] = at
    ends = np.maximum(unhindered, end)
    new[lasts] = ends + tremble(width)[lasts]
    residual = unhindered - ends
    if then_open is not None:
        new = _opening(new, stop, then_open, step, hand.range)
    changes: dict[str, Any] = {name: new.astype(np.float32)}
    if arm.effort_proxy is not None:
        changes["effort_proxy"] = _with_residual(arm.effort_proxy, joints_of(arm), hand.unit, lasts, residual, rng)
        if then_open is not None:
            rest = slice(stop, then_open[0])
            open_ = np.zeros(rest.stop - rest.start)
            changes["effort_proxy"] = _with_residual(
                changes["effort_proxy"], joints_of(arm), hand.unit, rest, open_, rng
            )
    changes |= _unloaded(arm.channels(), slice(start, then_open[0] if then_open else stop), carry.start)
    return with_arm(rollout, carry.arm, changes)


def _opening(width: Float64s, start: int, then_open: tuple[int, float], step: float, whole: float) -> Float64s:
    """Fingers that open from ``start`` on to a width and stay there until a frame."""
    until, wide = then_open
    out = width.copy()
    rises = out[start - 1] + np.maximum(step, 0.02 * whole) * np.arange(1, until - start + 1)
    out[start:until] = np.minimum(rises, wide)
    return out


def _opened(
    host: Host, rollout: Rollout, carry: Carry, start: int, stop: int, wide: float, rng: np.random.Generator
) -> Rollout:
    """Fingers that open from ``start`` on, wide, until ``stop``."""
    hand, arm = host.usual.hands[carry.arm], rollout.manipulators[carry.arm]
    name, width = fingers_of(arm) or ("", np.zeros(0, np.float32))
    step = hand.range * QUICK * period_of(host.rollout)
    own = width[start - 1]
    new = width.astype(np.float64).copy()
    new[start:stop] = np.minimum(own + step * np.arange(1, stop - start + 1), wide) + tremble(width)[start:stop]
    changes: dict[str, Any] = {name: new.astype(np.float32)}
    if arm.effort_proxy is not None:
        changes["effort_proxy"] = _with_residual(
            arm.effort_proxy, joints_of(arm), hand.unit, slice(start, stop), np.zeros(stop - start), rng
        )
    changes |= _unloaded(arm.channels(), slice(start, stop), carry.start)
    return with_arm(rollout, carry.arm, changes)


def _free(usual: Usual, rollout: Rollout, arm: str) -> Float64s | None:
    m = rollout.manipulators[arm]
    return free_width(m, _width(rollout, arm), usual.hands[arm].unit)


def _with_residual(
    proxy: Float32s, joints: int, units: tuple[float, ...], rows: slice, behind: Float64s, rng: np.random.Generator
) -> Float32s:
    """The residual with that of the fingers as far behind their command as told, in width, and the usual noise."""
    out = proxy.copy()
    for k in range(out.shape[1] - joints):
        unit = units[k] if k < len(units) else float("nan")
        shift = behind / unit if np.isfinite(unit) else np.zeros(len(behind))
        # a residual is counted in its usual spread, which that of free fingers has
        out[rows, joints + k] = shift + np.where(
            np.isnan(out[rows, joints + k]), np.nan, rng.normal(0, 0.7, len(behind))
        )
    return out


def _unloaded(channels: Mapping[str, Float32s], rows: slice, before: int) -> dict[str, Float32s]:
    """Forces as they are before anything is taken."""
    out = {}
    for name in ("grip_force", "contact_force"):
        if name in channels:
            value = channels[name].copy()
            calm = value[:before] if before > 4 else value
            base = quantile(calm, 0.5)
            value[rows] = np.where(np.isnan(value[rows]), np.nan, np.minimum(value[rows], base + tremble(value)[rows]))
            out[name] = value.astype(np.float32)
    return out


def _thing(rollout: Rollout, carry: Carry) -> str:
    """Name of what is carried: what goes farthest while it is held; empty where no pose tells."""
    best, name = 0.02, ""
    for key, value in rollout.object_position.items():
        part = value[carry.start : max(carry.opens, carry.start + 1)]
        seen = part[np.isfinite(part).all(axis=1)]
        far = float(np.linalg.norm(seen - seen[0], axis=1).max()) if len(seen) else 0.0
        if far > best:
            best, name = far, key
    return name


def _put(rollout: Rollout, name: str, rows: slice, position: Float32s, at: int) -> Rollout:
    """A thing at other places, turned as it was at a frame."""
    changes: dict[str, Any] = {}
    for kind in OBJECT_CHANNELS:
        held = dict(getattr(rollout, kind))
        if name not in held:
            continue
        value = held[name].copy()
        unseen = np.isnan(value[rows])
        value[rows] = position if kind == "object_position" else held[name][at]
        if kind == "object_position":
            value[rows] = np.where(unseen, np.nan, value[rows])
        held[name] = value.astype(np.float32)
        changes[kind] = held
    return rollout.with_(**changes)


def _thing_stays(rollout: Rollout, seen: Rollout, carry: Carry, start: int, stop: int) -> Rollout:
    """What was carried stays where it was when the fingers began to close."""
    name = _thing(seen, carry)
    if not name:
        return rollout
    value = rollout.object_position[name]
    noise = np.stack([tremble(value[:, k]) for k in range(3)], axis=1)
    return _put(rollout, name, slice(start, stop), (value[start] + noise[start:stop]).astype(np.float32), start)


def _thing_falls(rollout: Rollout, carry: Carry, at: int) -> Rollout:
    """What was carried falls from where it is to the height at which it was taken, and stays there."""
    name = _thing(rollout, carry)
    if not name:
        return rollout
    value = rollout.object_position[name]
    floor = float(value[carry.start, 2])
    time = rollout.time[at:] - rollout.time[at]
    place = np.repeat(value[at][None], len(time), axis=0).astype(np.float64)
    place[:, 2] = np.maximum(value[at, 2] - 0.5 * GRAVITY * time**2, min(floor, float(value[at, 2])))
    return _put(rollout, name, slice(at, len(rollout)), place.astype(np.float32), at)


BEHAVIOUR: Final[Mapping[str, Callable[[Host, np.random.Generator], Planted]]] = {
    "missed_grasp": given_up,
    "missed_and_carried_on": carried_on,
    "missed_grasp_retried": missed_then_taken,
    "slip": slip,
    "drop": drop,
    "early_release": early_release,
}
"""A planter for each kind of behaviour."""
