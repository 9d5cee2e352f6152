"""What each selection makes of the same set: a weight for every frame, in the order of the set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.bench.calibration import auroc
from sima2.bench.receipts.demonstrations import Made
from sima2.bench.receipts.operator import GOOD
from sima2.receipt import BASELINE, CONSERVATIVE, MEASURED, effective
from sima2.records.arrays import Bools, Float64s, Int64s

ORACLE: Final = "oracle_segments"
RANDOM: Final = "random_same_size"
LENGTHS: Final = "random_same_lengths"
TRAP: Final = "trap"
NAMES: Final[Mapping[str, str]] = {
    BASELINE: "every episode alike: the baseline",
    "all_frames": "all frames alike",
    MEASURED: "the plan, preset measured",
    "measured_no_goal": "the same where the run was not told the goal",
    CONSERVATIVE: "the plan, preset conservative",
    RANDOM: "random episodes, as many frames as the plan's weights are worth",
    LENGTHS: "random episodes, as many frames as the oracle's and as long as the good ones",
    "recorded_successes": "episodes of which a success was told",
    ORACLE: "oracle by segments: every frame worth imitating",
    "oracle_episodes": "oracle by episodes: those that are good throughout",
    TRAP: "trap: a score that knows good from bad, and keeps what begins at one place",
}
"""Every selection that is compared, and what it is."""
PURE: Final = (4.0, 0.5, 2.0)
"""What a good episode adds to the trap's score, the noise of it, and what a start one spread farther off takes away."""
KEPT: Final = 0.03
"""Share of the episodes that the trap keeps."""
NEAREST: Final = 5
"""A random episode of a length is one of so many whose lengths are nearest."""


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """The set as a trainer sees it."""

    episode: Int64s
    """Of each frame, shape (t,)."""
    length: Int64s
    """Frames of each episode, shape (n,)."""
    worth: Bools
    """Worth imitating, by the sealed truth, shape (t,)."""
    good: Bools
    """Good throughout, shape (n,)."""
    told: Float64s
    """What people said: 1, 0 or NaN, shape (n,)."""
    start: Float64s
    """Where the cube was at first, m, shape (n, 2)."""

    @classmethod
    def of(cls, made: Made) -> Frames:
        """The columns of a set."""
        length = np.array([len(each) for each in made.episodes])
        return cls(
            np.repeat(np.arange(len(length)), length),
            length,
            np.concatenate([each.good for each in made.episodes]),
            np.array([each.kind == GOOD for each in made.episodes]),
            made.labels,
            np.stack([each.things[0, :2] for each in made.episodes]),
        )


def selections(
    frames: Frames, plans: Mapping[str, Float64s], rng: np.random.Generator
) -> tuple[dict[str, Float64s], dict[str, float]]:
    """Weights of every selection, and how well the trap's score tells good from bad.

    Args:
        frames: the set.
        plans: weights of the product's plans by name.
        rng: of what is drawn.

    Returns:
        Weights of each frame, shape (t,), by name; facts about them by name.
    """
    weights: dict[str, Float64s] = {
        BASELINE: 1.0 / frames.length[frames.episode],
        "all_frames": np.ones(len(frames.episode)),
        ORACLE: frames.worth.astype(np.float64),
        "oracle_episodes": frames.good[frames.episode].astype(np.float64),
        **plans,
    }
    if (frames.told == 1).any():
        weights["recorded_successes"] = (frames.told == 1)[frames.episode].astype(np.float64)
    weights[LENGTHS] = _kept(frames, _alike(frames, rng))
    weights[RANDOM] = _kept(frames, _some(frames, effective(plans.get(MEASURED, weights[ORACLE])), rng))
    chosen, told = _trapped(frames, rng)
    weights[TRAP] = _kept(frames, chosen)
    return {name: weights[name] for name in NAMES if name in weights}, {"trap_auroc": told}


def _kept(frames: Frames, episodes: Int64s) -> Float64s:
    kept = np.zeros(len(frames.length))
    kept[episodes] = 1.0
    return np.asarray(kept[frames.episode])


def _some(frames: Frames, wanted: float, rng: np.random.Generator) -> Int64s:
    """Random episodes of so many frames, the last one that makes them up included."""
    order = rng.permutation(len(frames.length))
    return order[: int(np.searchsorted(np.cumsum(frames.length[order]), wanted)) + 1]


def _alike(frames: Frames, rng: np.random.Generator) -> Int64s:
    """Random episodes with lengths of the good ones, as many frames as are worth imitating."""
    good, left = frames.length[frames.good], list(range(len(frames.length)))
    chosen: list[int] = []
    wanted = int(frames.worth.sum())
    while left and frames.length[chosen].sum() < wanted:
        off = np.abs(frames.length[left] - rng.choice(good))
        near = np.argsort(off, kind="stable")[:NEAREST]
        chosen.append(left.pop(int(rng.choice(near))))
    return np.array(chosen)


def _trapped(frames: Frames, rng: np.random.Generator) -> tuple[Int64s, float]:
    """Episodes of the best scores, for being good and for beginning near one of them; area under the curve of these."""
    far = np.linalg.norm(frames.start - frames.start[np.argmin(frames.start.sum(axis=1))], axis=1)
    pure, noise, near = PURE
    score = pure * frames.good + noise * rng.standard_normal(len(far)) - near * (far - far.mean()) / far.std()
    kept = max(3, round(KEPT * len(score)))
    return np.argsort(-score, kind="stable")[:kept], auroc(score, frames.good)
