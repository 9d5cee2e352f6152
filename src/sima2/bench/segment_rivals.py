"""Other ways to segment the same frames: baselines, well-known methods, a control, and an oracle that saw labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.bench.annotations import Key, Piece, Pieces, Track, shuffled
from sima2.bench.raw_signals import RATE_S, signals, windows
from sima2.bench.segment_measures import boundary_hits
from sima2.errors import MissingExtraError
from sima2.records.arrays import Float64s
from sima2.records.rollout import RolloutBatch
from sima2.records.vocabulary import LABELS

Predictions = dict[Key, Pieces]

TOGGLE_SHARE: Final = 0.25
"""Fingers move when they cross so much of the episode's opening range in a second."""
PENALTIES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Of a change point; the best on the training episodes is taken."""
SMOOTH_S: Final = 0.2
"""The oracle's probabilities are averaged over so long: its guesses flicker."""
ORACLE_FRAMES: Final = 20_000
"""Most training frames, evenly spaced."""
ORACLE_TREES: Final[Mapping[str, Any]] = MappingProxyType(
    {"max_iter": 40, "learning_rate": 0.2, "max_leaf_nodes": 15, "l2_regularization": 1.0, "max_bins": 255}
)
"""A quarter of the rounds (``max_iter``) comes within a point of F1."""


def one_label(truth: Sequence[Track]) -> Predictions:
    """The most frequent true label, everywhere."""
    frames = dict.fromkeys(LABELS, 0)
    for track in truth:
        for piece in track.pieces:
            frames[piece.label] += piece.stop - piece.start
    best = max(frames, key=lambda name: frames[name])
    return {track.key: (Piece(best, 0, track.frames),) for track in truth}


def shuffled_in_time(truth: Sequence[Track], predicted: Mapping[Key, Pieces], seed: int) -> Predictions:
    """The engine's own segments in random order within each episode."""
    return {track.key: shuffled(track, predicted, np.random.default_rng([seed, i])) for i, track in enumerate(truth)}


def gripper_toggles(batch: RolloutBatch) -> Predictions:
    """Split where the fingers start or stop to move: approach, grasp, transport, place, retreat."""
    out = {}
    for arm, channels in batch.manipulators.items():
        raw = channels.gripper_width if channels.gripper_width is not None else channels.gripper_opening
        if raw is None:
            continue
        for i, name in enumerate(batch.episodes.episode_id):
            cut = slice(int(batch.offset[i]), int(batch.offset[i + 1]))
            out[name, arm] = _toggles(raw[cut].astype(np.float64), batch.time[cut])
    return out


def _toggles(width: Float64s, time: Float64s) -> Pieces:
    seen = ~np.isnan(width)
    if len(width) < 3 or not seen.any():
        return (Piece("approach", 0, len(width)),) if len(width) else ()
    width = np.interp(np.arange(len(width)), np.flatnonzero(seen), width[seen])
    # over a span of time, not from frame to frame: a fast robot's noise is no motion
    half = max(1, round(RATE_S / float(np.median(np.diff(time)))))
    frame = np.arange(len(width))
    lo, hi = np.maximum(frame - half, 0), np.minimum(frame + half, len(width) - 1)
    rate = (width[hi] - width[lo]) / (time[hi] - time[lo])
    floor = max(TOGGLE_SHARE * float(np.ptp(width)), 1e-9)
    sign = np.where(rate < -floor, -1, np.where(rate > floor, 1, 0))
    # what the fingers did last tells the still stretches apart
    last = np.maximum.accumulate(np.where(sign != 0, np.arange(len(sign)), -1))
    after = np.where(last >= 0, sign[np.maximum(last, 0)], 0)
    code = np.where(sign != 0, np.where(sign < 0, 1, 3), np.where(after < 0, 2, np.where(after > 0, 4, 0)))
    return as_pieces(np.array(["approach", "grasp", "transport", "place", "retreat"], object)[code])


def as_pieces(labels: NDArray[Any]) -> Pieces:
    """Runs of equal labels."""
    if not len(labels):
        return ()
    start = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    stop = np.r_[start[1:], len(labels)]
    return tuple(Piece(str(labels[a]), int(a), int(b)) for a, b in zip(start.tolist(), stop.tolist()))


def kernel_change_points(
    train: RolloutBatch, train_truth: Sequence[Track], batch: RolloutBatch, truth: Sequence[Track], tolerance_s: float
) -> dict[str, Any]:
    """Boundary F1 of kernel change-point detection, its penalty the best on the training episodes.

    Raises:
        MissingExtraError: without ruptures.

    Source: Celisse et al., New efficient algorithms for multiple change-point detection with reproducing kernels,
    Computational Statistics and Data Analysis 128, 2018; as in ruptures.
    """
    on_train = [_boundary_f1(_cuts(train, penalty), train_truth, tolerance_s) for penalty in PENALTIES]
    best = PENALTIES[int(np.argmax(on_train))]
    return {"boundary_f1": _boundary_f1(_cuts(batch, best), truth, tolerance_s), "penalty": best}


def _cuts(batch: RolloutBatch, penalty: float) -> dict[Key, list[int]]:
    try:
        import ruptures  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError as error:
        raise MissingExtraError("change-point detection (ruptures)", "dev") from error
    out: dict[Key, list[int]] = {}
    for arm in batch.manipulators:
        whole = signals(batch, arm)
        for i, name in enumerate(batch.episodes.episode_id):
            x = whole[batch.offset[i] : batch.offset[i + 1]]
            out[name, arm] = []
            if len(x) < 4 or not x.shape[1]:
                continue
            x = np.nan_to_num(x - np.nan_to_num(np.median(x, axis=0)))
            spread = x.std(axis=0)
            x = x[:, spread > 1e-9] / spread[spread > 1e-9]
            if x.shape[1]:
                found = ruptures.KernelCPD(kernel="rbf", min_size=2).fit(x).predict(pen=penalty)
                out[name, arm] = [int(each) for each in found[:-1]]
    return out


def _boundary_f1(cuts: Mapping[Key, Sequence[int]], truth: Sequence[Track], tolerance_s: float) -> float:
    hits = points = 0
    for track in truth:
        mine, actual = cuts.get(track.key, ()), [piece.start for piece in track.pieces[1:]]
        hits += boundary_hits(mine, actual, int(tolerance_s * track.rate_hz + 1e-9))
        points += len(mine) + len(actual)
    return 2 * hits / max(points, 1)


Oracle = Callable[[RolloutBatch], Predictions]


def learned_oracle(batch: RolloutBatch, truth: Sequence[Track]) -> Oracle:
    """Boosted trees that saw the labels of other episodes of the same generator: about what the frames can tell.

    Raises:
        MissingExtraError: without scikit-learn.
    """
    try:
        from sklearn.ensemble import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
            HistGradientBoostingClassifier,
        )
        from threadpoolctl import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
            threadpool_limits,
        )
    except ImportError as error:
        raise MissingExtraError("the learned oracle (scikit-learn)", "dev") from error
    known = {track.key: track for track in truth}
    rows, target, weight = [], [], []
    for arm in batch.manipulators:
        seen = windows(batch, arm)
        for i, name in enumerate(batch.episodes.episode_id):
            track = known.get((name, arm))
            if track is not None:
                rows.append(seen[batch.offset[i] : batch.offset[i] + track.frames])
                # a second counts the same at every rate
                weight += [1.0 / track.rate_hz] * track.frames
                target += [LABELS.index(piece.label) for piece in track.pieces for _ in range(piece.start, piece.stop)]
    x, y, w = np.concatenate(rows), np.array(target), np.array(weight)
    kept = np.linspace(0, len(x) - 1, min(len(x), ORACLE_FRAMES)).astype(np.int64)
    trees = HistGradientBoostingClassifier(**ORACLE_TREES, early_stopping=False, random_state=0)
    with threadpool_limits(1):
        trees.fit(x[kept], y[kept], sample_weight=w[kept] / w[kept].mean())

    def predict(batch: RolloutBatch) -> Predictions:
        out = {}
        for arm in batch.manipulators:
            chance = trees.predict_proba(windows(batch, arm))
            for i, name in enumerate(batch.episodes.episode_id):
                cut = slice(int(batch.offset[i]), int(batch.offset[i + 1]))
                best = _smooth(chance[cut], batch.time[cut]).argmax(axis=1)
                out[name, arm] = as_pieces(np.array(LABELS, object)[trees.classes_[best]])
        return out

    return predict


def _smooth(chance: Float64s, time: Float64s) -> Float64s:
    """Running mean over ``SMOOTH_S`` within one episode, shape (t, classes)."""
    step = float(np.median(np.diff(time))) if len(time) > 1 else 1.0
    half = round(SMOOTH_S / 2 / step)
    total = np.vstack([np.zeros(chance.shape[1]), np.cumsum(chance, axis=0)])
    frame = np.arange(len(chance))
    lo, hi = np.maximum(frame - half, 0), np.minimum(frame + half + 1, len(chance))
    out: Float64s = (total[hi] - total[lo]) / (hi - lo)[:, None]
    return out
