"""Sets of made demonstrations: played by physics, each kind checked to be what it says, their truth kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.bench.calibration import auroc
from sima2.bench.receipts.operator import COPY, GOOD, KINDS, SHAKE, Scene, Steered, steer, tell
from sima2.bench.receipts.world import CUBE, OPEN, PLACED, Worlds, hand, joints_of
from sima2.errors import Sima2Error
from sima2.records.arrays import Bools, Float64s

SECONDS: Final = (6.0, 11.0)
"""Lengths of episodes, good and bad alike."""
OVERLAP: Final = (0.45, 0.55)
"""Length alone tells good from bad episodes no better than that, as an area under the curve."""
TRIES: Final = 40
"""An episode that is not what it was to be is made anew so often at most."""
MISSING: Final = 0.3
"""Share of episodes of which nobody told how they ended."""
FLIPPED: Final = 0.1
"""Of the rest, those that are told wrongly."""
RAISED: Final = 0.03
"""A cube whose middle rose by so much was lifted, m."""
REST: Final = 0.004
"""A cube that moves less within the last two frames lies, m."""
STOOD: Final = 0.25
"""Share of the time for which somebody who hesitates stands still at least, before the cube is let go; others stand
still for a tenth."""
HELD_STILL: Final = 0.0005
"""The hand stands still where it is asked to move less from frame to frame, m; the fingers, too."""
ROUGH: Final = 0.005
"""Usual second difference of where a shaky hand is asked to be, m; of steady ones it is a tenth of that."""


@dataclass(frozen=True, slots=True, eq=False)
class Episode:
    """One demonstration as recorded, and what is true of it."""

    kind: str
    """``good``, or one of ``KINDS``."""
    like: str
    """The kind of what was copied; else its own."""
    state: Float64s
    """Joints in rad and opening in m, shape (frames, 5)."""
    things: Float64s
    """Cube, pad and tray, m, shape (frames, 9)."""
    action: Float64s
    """Joints and opening asked for, shape (frames, 5)."""
    good: Bools
    """Worth imitating, shape (frames,)."""
    success: bool

    def __len__(self) -> int:
        return len(self.state)


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A set with its truth and what people said of it."""

    episodes: tuple[Episode, ...]
    labels: Float64s
    """1 success, 0 failure, NaN not told, shape (n,)."""
    length_auroc: float
    """How well length alone tells good episodes from others."""


def scenes(n: int, rng: np.random.Generator) -> list[Scene]:
    """Starts as both demonstrations and trials have them."""
    out = []
    for _ in range(n):
        cube = np.array([rng.uniform(0.27, 0.43), rng.uniform(-0.20, 0.0)])
        start = np.array([rng.uniform(0.19, 0.27), rng.uniform(-0.05, 0.05), rng.uniform(0.14, 0.20)])
        out.append(
            Scene(
                cube,
                np.array([rng.uniform(0.35, 0.42), rng.uniform(0.10, 0.17)]),
                np.array([rng.uniform(0.22, 0.25), rng.uniform(0.19, 0.23)]),
                start,
                float(np.arctan2(cube[1], cube[0]) + rng.normal(0, 0.12)),
            )
        )
    return out


def make(n: int, contamination: float, rng: np.random.Generator) -> Made:
    """A set of n demonstrations of which a share is not good.

    Raises:
        Sima2Error: if physics does not give what was asked for.
    """
    for _ in range(TRIES):
        kinds = _kinds(n, contamination, rng)
        episodes = _perform(kinds, _lengths(kinds, rng), rng)
        good = np.array([each.kind == GOOD for each in episodes])
        told = auroc(np.array([len(each) for each in episodes], np.float64), good)
        if OVERLAP[0] <= told <= OVERLAP[1]:
            order = rng.permutation(n)
            episodes = [episodes[k] for k in order]
            return Made(tuple(episodes), _labels([each.success for each in episodes], rng), told)
    raise Sima2Error(f"no set of {n} demonstrations whose lengths overlap within {TRIES} tries; this is a defect")


def _kinds(n: int, contamination: float, rng: np.random.Generator) -> list[str]:
    """Kinds by their shares, leftovers to the largest remainders."""
    bad = round(n * contamination)
    shares = np.array(list(KINDS.values())) / sum(KINDS.values()) * bad
    counts = np.floor(shares).astype(int)
    counts[np.argsort(counts - shares, kind="stable")[: bad - counts.sum()]] += 1
    return [GOOD] * (n - bad) + [kind for kind, count in zip(KINDS, counts) for _ in range(count)]


def _lengths(kinds: Sequence[str], rng: np.random.Generator) -> Float64s:
    """Seconds of each episode: good and bad ones alike spread over all lengths."""
    out = np.zeros(len(kinds))
    good = np.array([kind == GOOD for kind in kinds])
    for part in (np.flatnonzero(good), np.flatnonzero(~good)):
        even = (np.arange(len(part)) + rng.random(len(part))) / max(len(part), 1)
        out[rng.permutation(part)] = SECONDS[0] + (SECONDS[1] - SECONDS[0]) * even
    return out


def _perform(kinds: Sequence[str], seconds: Float64s, rng: np.random.Generator) -> list[Episode]:
    own = [k for k, kind in enumerate(kinds) if kind != COPY]
    done: dict[int, Episode] = {}
    for _ in range(TRIES):
        left = [k for k in own if k not in done]
        if not left:
            break
        made = play([kinds[k] for k in left], seconds[left], rng)
        done |= {k: each for k, each in zip(left, made) if is_so(each)}
    else:
        raise Sima2Error(f"episodes of {sorted({kinds[k] for k in left})} cannot be made; this is a defect")
    bad = [k for k in own if kinds[k] not in (GOOD, "lucky", "retried")]
    for k, kind in enumerate(kinds):
        if kind == COPY:
            done[k] = _copy(done[int(rng.choice(bad))], rng)
    return [done[k] for k in range(len(kinds))]


def play(kinds: Sequence[str], seconds: Float64s, rng: np.random.Generator) -> list[Episode]:
    """Episodes of these kinds, as far as physics agrees."""
    starts = scenes(len(kinds), rng)
    steered = [
        steer(tell(kind, scene, rng), float(time), shake=SHAKE if kind == "shaky" else 0.0)
        for kind, scene, time in zip(kinds, starts, seconds)
    ]
    states, cubes, actions = _run(starts, steered)
    out = []
    for k, (kind, scene, each) in enumerate(zip(kinds, starts, steered)):
        n = len(each.good)
        marks = np.concatenate([scene.pad, [0.0], scene.tray, [0.0]])
        things = np.concatenate([cubes[:n, k], np.broadcast_to(marks, (n, 6))], axis=1)
        things[:, :3] += rng.normal(0, 0.0005, (n, 3))
        state = states[:n, k] + rng.normal(0, [0.0008] * 4 + [0.0002], (n, 5))
        good = each.good & (kind != "shaky")
        out.append(Episode(kind, kind, state, things, actions[:n, k], good, _placed(state, things)))
    return out


def _run(starts: Sequence[Scene], steered: Sequence[Steered]) -> tuple[Float64s, Float64s, Float64s]:
    frames = max(len(each.good) for each in steered)
    long = np.array([len(each.good) for each in steered])
    place = np.stack([_held(each.place, frames) for each in steered], axis=1)
    opening = np.stack([_held(each.opening[:, None], frames) for each in steered], axis=1)
    worlds = worlds_of(starts)
    actions = np.concatenate([np.stack([joints_of(row) for row in place]), opening], axis=2)
    states, cubes = np.zeros((frames, len(starts), 5)), np.zeros((frames, len(starts), 3))
    for t in range(frames):
        states[t, :, :4], states[t, :, 4], cubes[t] = worlds.joints, worlds.opening, worlds.cube
        worlds.advance(actions[t], t < long)
    return states, cubes, actions


def worlds_of(starts: Sequence[Scene]) -> Worlds:
    """The worlds at their starts."""
    return Worlds(
        joints_of(np.stack([each.start for each in starts])),
        np.stack([each.cube for each in starts]),
        np.array([each.yaw for each in starts]),
    )


def _held(values: Float64s, frames: int) -> Float64s:
    return np.concatenate([values, np.repeat(values[-1:], frames - len(values), axis=0)])


def _placed(state: Float64s, things: Float64s) -> bool:
    off = np.linalg.norm(things[-1, :2] - things[-1, 3:5])
    return bool(off <= PLACED and things[-1, 2] < CUBE and state[-1, 4] > 0.8 * OPEN)


def is_so(episode: Episode) -> bool:
    """Whether physics made of an episode what its kind says."""
    cube, opening = episode.things[:, :3], episode.state[:, 4]
    high = cube[:, 2] - CUBE / 2
    still = np.linalg.norm(cube[-1] - cube[-3]) < REST
    off = float(np.linalg.norm(cube[-1, :2] - episode.things[-1, 3:5]))
    lifted = high > RAISED
    checks = {
        GOOD: episode.success,
        "hesitated": episode.success and _stood(episode) > STOOD,
        "shaky": _rough(episode) > ROUGH,
        "retried": episode.success and _first_miss(opening) and not lifted[: _first_miss(opening) + 6].any(),
        "missed": high.max() < RAISED / 2 and not episode.success,
        "dropped": lifted.any() and not episode.success and off > 2 * PLACED and _fell(high, opening),
        "elsewhere": lifted.any() and off > 0.075 and opening[-1] > 0.8 * OPEN and not _fell(high, opening),
        "lucky": episode.success and _fell(high, opening, least=0.015),
    }
    return bool(checks[episode.kind] and still)


def _rough(episode: Episode) -> float:
    """Middle size of the second difference of where the hand was asked to be, m."""
    path = np.diff(hand(episode.action[:, :4]), 2, axis=0)
    return float(np.median(np.linalg.norm(path, axis=1)))


def _stood(episode: Episode) -> float:
    """Share of frames in which neither hand nor fingers were asked to move."""
    moved = np.linalg.norm(np.diff(hand(episode.action[:, :4]), axis=0), axis=1)
    return float(np.mean((moved < HELD_STILL) & (np.abs(np.diff(episode.action[:, 4])) < HELD_STILL)))


def _first_miss(opening: Float64s) -> int:
    """Frame at which the fingers first met with nothing between them; 0 if they never did."""
    return int(np.argmax(opening < CUBE / 2))


def _fell(high: Float64s, opening: Float64s, least: float = RAISED) -> bool:
    """The cube was higher than that when the fingers opened after they had held it."""
    held = np.flatnonzero(high > RAISED)
    if not len(held):
        return False
    last = int(held[0]) + int(np.argmax(opening[held[0] :] > CUBE + 0.004))
    return bool(high[max(last - 2, 0)] > least)


def _copy(of: Episode, rng: np.random.Generator) -> Episode:
    """The same episode again, exactly or with a little noise."""
    size = 0.0 if rng.random() < 0.5 else 0.0005
    state = of.state + rng.normal(0, size, of.state.shape)
    action = of.action + rng.normal(0, size, of.action.shape)
    return Episode(COPY, of.kind, state, of.things, action, np.zeros(len(of), np.bool_), of.success)


def _labels(success: Sequence[bool], rng: np.random.Generator) -> Float64s:
    """What people say of how episodes ended."""
    n = len(success)
    told = np.array(success, np.float64)
    order = rng.permutation(n)
    missing = order[: round(MISSING * n)]
    rest = order[len(missing) :]
    flipped = rest[: round(FLIPPED * len(rest))]
    told[flipped] = 1 - told[flipped]
    told[missing] = np.nan
    return told
