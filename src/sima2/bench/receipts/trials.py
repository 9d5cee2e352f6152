"""A policy in closed loop: the same starts for every policy, so that selections are compared start by start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from sima2.bench.receipts.demonstrations import Episode, worlds_of
from sima2.bench.receipts.operator import Scene
from sima2.bench.receipts.world import CUBE, OPEN, PLACED, RATE_HZ, hand
from sima2.imitation.policy import Policy
from sima2.records.arrays import Bools, Float64s

AHEAD: Final = 10
"""Commands that a policy gives at once: it is asked again after 0.5 s."""
LIMIT_S: Final = 14.0
"""A trial takes no longer: a quarter more than the slowest demonstration."""
SPEED: Final = 0.03
"""A cube that moves slower lies, m/s."""


def seen(state: Float64s, things: Float64s) -> Float64s:
    """What a policy sees: joints and opening, and where things are from the hand, shape (n, 17).

    Args:
        state: joints and opening, shape (n, 5).
        things: cube, pad and tray, shape (n, 9).
    """
    at = hand(state[:, :4])
    off = things - np.tile(at, 3)
    return np.concatenate([state, at, off[:, :3], off[:, 3:5], off[:, 6:8], things[:, 2:3], things[:, 0:2]], axis=1)


def done(episode: Episode) -> Float64s:
    """The commands of each frame and those after it: joints from where they are, and openings; shape (frames, 50)."""
    frames = len(episode)
    rows = np.minimum(np.arange(frames)[:, None] + np.arange(AHEAD), frames - 1)
    ahead = episode.action[rows].copy()
    ahead[:, :, :4] -= episode.state[:, None, :4]
    return np.asarray(ahead.reshape(frames, AHEAD * 5))


def try_out(policy: Policy, starts: Sequence[Scene]) -> Bools:
    """Whether the cube came to lie on the pad, let go, within the time; shape (n,)."""
    worlds = worlds_of(starts)
    n = len(starts)
    marks = np.stack([np.concatenate([each.pad, [0.0], each.tray, [0.0]]) for each in starts])
    placed = np.zeros(n, np.bool_)
    ahead = np.zeros((n, AHEAD, 5))
    for tick in range(int(LIMIT_S * RATE_HZ)):
        going = ~placed
        if not going.any():
            break
        if tick % AHEAD == 0:
            state = np.concatenate([worlds.joints, worlds.opening[:, None]], axis=1)
            things = np.concatenate([worlds.cube, marks], axis=1)
            ahead[going] = policy.act(seen(state[going], things[going])).reshape(-1, AHEAD, 5)
            ahead[going, :, :4] += state[going, None, :4]
        worlds.advance(ahead[:, tick % AHEAD], going)
        off = np.linalg.norm(worlds.cube[:, :2] - marks[:, :2], axis=1)
        lies = (worlds.cube[:, 2] < CUBE) & (worlds.cube_speed < SPEED)
        placed |= (off <= PLACED) & lies & (worlds.opening > 0.8 * OPEN)
    return placed
