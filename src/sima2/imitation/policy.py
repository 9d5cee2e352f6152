"""Behaviour cloning in numpy: a network of two hidden layers, frames drawn in proportion to their weight.

Small on purpose: the same policy is trained once for every selection that is compared, in seconds on one core.
Source: Adam of Kingma and Ba (2015), with a cosine decay and the mean of late parameters (Polyak and Juditsky, 1992).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import UsageError
from sima2.records.arrays import Float32s, Float64s

FLAT: Final = 1e-6
"""A column that varies less, beside its mean or 1, is none: what single precision leaves would be blown up."""
FIRST: Final = 0.9
SECOND: Final = 0.999
TINY: Final = 1e-8
"""Adam's memory of slopes and of their squares, and what keeps it from dividing by 0."""

_SCALES: Final = ("seen_mean", "seen_spread", "done_mean", "done_spread")
_PARTS: Final = ("weights", "offsets")


@dataclass(frozen=True, slots=True)
class FitSettings:
    """How a policy is trained."""

    hidden: int = 128
    """Units in each of the two hidden layers."""
    steps: int = 2000
    """Updates; the same for every selection that is compared."""
    batch: int = 256
    """Frames of an update."""
    rate: float = 2e-3
    """Of learning at first; it falls to 0 as a cosine does."""
    noise: float = 0.02
    """Standard deviation of what is added to inputs, in their own spread: a small set is not learned by heart."""
    decay: float = 1e-5
    """Share of every weight that is taken off in an update at the first rate."""

    def __post_init__(self) -> None:
        for name in ("hidden", "steps", "batch", "rate"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} of a fit is {getattr(self, name)}: it must be above 0")
        if self.noise < 0 or self.decay < 0:
            raise UsageError(f"noise ({self.noise}) and decay ({self.decay}) of a fit must be at least 0")


DEFAULT: Final = FitSettings()


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """What to do, given what is seen."""

    seen_mean: Float64s
    """Of each input, shape (d,)."""
    seen_spread: Float64s
    """Standard deviation, shape (d,); infinite where an input does not vary."""
    done_mean: Float64s
    """Of each action, shape (a,)."""
    done_spread: Float64s
    """Shape (a,)."""
    layers: tuple[tuple[Float32s, Float32s], ...]
    """Weights, shape (inputs, outputs), and offsets, shape (outputs,), of each layer."""

    def act(self, observations: NDArray[np.floating]) -> Float64s:
        """Actions in their own units, shape (m, a), for observations of shape (m, d)."""
        x = ((observations - self.seen_mean) / self.seen_spread).astype(np.float32)
        for weights, offsets in self.layers[:-1]:
            x = np.maximum(x @ weights + offsets, np.float32(0))
        weights, offsets = self.layers[-1]
        return np.asarray((x @ weights + offsets) * self.done_spread + self.done_mean, np.float64)

    def arrays(self) -> dict[str, NDArray[np.floating]]:
        """All of it as arrays by name, to be kept as ``.npz``."""
        scales = {name: getattr(self, name) for name in _SCALES}
        named = {f"layer_{k}_{part}": each[k2] for k, each in enumerate(self.layers) for k2, part in enumerate(_PARTS)}
        return {**scales, **named}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[np.floating]]) -> Policy:
        """The policy that :meth:`arrays` told of.

        Raises:
            UsageError: if an array is missing.

        >>> x = np.linspace(-1, 1, 50)[:, None]
        >>> policy = fit(x, 3 * x, np.ones(50), seed=0, settings=FitSettings(hidden=4, steps=10))
        >>> bool((Policy.of_arrays(policy.arrays()).act(x) == policy.act(x)).all())
        True
        """
        layers: list[tuple[Float32s, Float32s]] = []
        while f"layer_{len(layers)}_{_PARTS[0]}" in arrays:
            weights, offsets = (arrays[f"layer_{len(layers)}_{part}"] for part in _PARTS)
            layers.append((weights.astype(np.float32), offsets.astype(np.float32)))
        if not layers or any(name not in arrays for name in _SCALES):
            raise UsageError("these arrays are no policy: some are missing")
        seen_mean, seen_spread, done_mean, done_spread = (np.asarray(arrays[name], np.float64) for name in _SCALES)
        return cls(seen_mean, seen_spread, done_mean, done_spread, tuple(layers))


def fit(
    observations: NDArray[np.floating],
    actions: NDArray[np.floating],
    weights: NDArray[np.floating],
    *,
    seed: int,
    settings: FitSettings = DEFAULT,
) -> Policy:
    """Train a policy that does what was done.

    Args:
        observations: what was seen, shape (n, d).
        actions: what was done, shape (n, a).
        weights: of each frame, at least 0, shape (n,); frames are drawn in proportion, those of 0 are not looked at.
        seed: the same seed, data and settings give the same policy.
        settings: how.

    Raises:
        UsageError: if shapes do not fit, a weight is negative or not a number, none is above 0, or a frame that counts
            holds what is not a number.

    >>> x = np.linspace(-1, 1, 200)[:, None]
    >>> policy = fit(x, 3 * x, np.ones(200), seed=0, settings=FitSettings(hidden=16, steps=300))
    >>> bool(abs(policy.act(np.array([[0.5]])) - 1.5) < 0.1)
    True
    """
    seen, done, share = _counted(observations, actions, weights)
    rng = np.random.default_rng(seed)
    seen_mean, seen_spread = _scale(seen, share)
    done_mean, done_spread = _scale(done, share)
    x = ((seen - seen_mean) / seen_spread).astype(np.float32)
    y = ((done - done_mean) / done_spread).astype(np.float32)
    layers = _train(x, y, share, rng, settings)
    # an action that never varies is done as it always was
    return Policy(seen_mean, seen_spread, done_mean, np.where(np.isinf(done_spread), 0.0, done_spread), layers)


def _counted(
    observations: NDArray[np.floating], actions: NDArray[np.floating], weights: NDArray[np.floating]
) -> tuple[Float64s, Float64s, Float64s]:
    """Frames that count, and their weights of which the largest is 1."""
    n = len(weights)
    if observations.ndim != 2 or actions.ndim != 2 or weights.ndim != 1 or not n == len(observations) == len(actions):
        shapes = f"{observations.shape}, {actions.shape} and {weights.shape}"
        raise UsageError(f"observations, actions and weights have shapes {shapes}: (n, d), (n, a) and (n,) are wanted")
    if not np.isfinite(weights).all() or (weights < 0).any() or not (weights > 0).any():
        raise UsageError("weights must be numbers of at least 0, of which one is above 0")
    some = weights > 0
    seen, done = observations[some].astype(np.float64), actions[some].astype(np.float64)
    if not (np.isfinite(seen).all() and np.isfinite(done).all()):
        raise UsageError("a frame with a weight above 0 holds what is not a number: give it the weight 0")
    share = weights[some].astype(np.float64)
    return seen, done, share / share.max()


def _scale(values: Float64s, share: Float64s) -> tuple[Float64s, Float64s]:
    mean = (values * share[:, None]).sum(axis=0) / share.sum()
    spread = np.sqrt(((values - mean) ** 2 * share[:, None]).sum(axis=0) / share.sum())
    return mean, np.where(spread > FLAT * np.maximum(np.abs(mean), 1.0), spread, np.inf)


def _train(
    x: Float32s, y: Float32s, share: Float64s, rng: np.random.Generator, settings: FitSettings
) -> tuple[tuple[Float32s, Float32s], ...]:
    sizes = (x.shape[1], settings.hidden, settings.hidden, y.shape[1])
    flat, layers = _layers(sizes, rng)
    slopes = np.zeros_like(flat)
    gradient = _views(slopes, sizes)
    first, second, late = np.zeros_like(flat), np.zeros_like(flat), np.zeros_like(flat)
    upto, half = np.cumsum(share), settings.steps // 2
    for step in range(settings.steps):
        rows = np.searchsorted(upto, rng.random(settings.batch) * upto[-1], side="right")
        rows = np.minimum(rows, len(x) - 1)
        noise = rng.standard_normal((settings.batch, x.shape[1]), np.float32) * np.float32(settings.noise)
        _slopes(x[rows] + noise, y[rows], layers, gradient)
        first += (1 - FIRST) * (slopes - first)
        second += (1 - SECOND) * (slopes * slopes - second)
        rate = settings.rate * 0.5 * (1 + np.cos(np.pi * step / settings.steps))
        size = rate * np.sqrt(1 - SECOND ** (step + 1)) / (1 - FIRST ** (step + 1))
        flat *= np.float32(1 - settings.decay * rate / settings.rate)
        flat -= np.float32(size) * first / (np.sqrt(second) + np.float32(TINY))
        if step >= half:
            late += (flat - late) / np.float32(step - half + 1)
    return tuple((weights.copy(), offsets.copy()) for weights, offsets in _views(late, sizes))


def _views(flat: Float32s, sizes: tuple[int, ...]) -> list[tuple[Float32s, Float32s]]:
    """Weights and offsets of each layer as views of one vector."""
    out, at = [], 0
    for inputs, outputs in pairwise(sizes):
        weights = flat[at : at + inputs * outputs].reshape(inputs, outputs)
        at += inputs * outputs
        out.append((weights, flat[at : at + outputs]))
        at += outputs
    return out


def _layers(sizes: tuple[int, ...], rng: np.random.Generator) -> tuple[Float32s, list[tuple[Float32s, Float32s]]]:
    flat = np.zeros(sum((inputs + 1) * outputs for inputs, outputs in pairwise(sizes)), np.float32)
    layers = _views(flat, sizes)
    for weights, _ in layers:
        weights[:] = rng.normal(0, np.sqrt(2 / weights.shape[0]), weights.shape)
    layers[-1][0][:] *= np.float32(0.1)
    return flat, layers


def _slopes(
    x: Float32s, y: Float32s, layers: list[tuple[Float32s, Float32s]], out: list[tuple[Float32s, Float32s]]
) -> None:
    """Derivatives of the mean squared error, written into ``out``."""
    (w1, b1), (w2, b2), (w3, b3) = layers
    h1 = np.maximum(x @ w1 + b1, np.float32(0))
    h2 = np.maximum(h1 @ w2 + b2, np.float32(0))
    error = (h2 @ w3 + b3 - y) * np.float32(2 / y.size)
    back2 = (error @ w3.T) * (h2 > 0)
    back1 = (back2 @ w2.T) * (h1 > 0)
    for (weights, offsets), inputs, back in zip(out, (x, h1, h2), (back1, back2, error)):
        np.matmul(inputs.T, back, out=weights)
        back.sum(axis=0, out=offsets)
