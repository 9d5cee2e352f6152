"""Which episodes the page shows without a script, and the signals of all, thinned for the eye."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Float32s, Float64s, Int64s
from sima2.records.episodes import EpisodeTable
from sima2.records.rollout import Manipulator, RolloutBatch
from sima2.records.signals import NOTHING, STEPS, STRETCHES, SignalTable
from sima2.records.table import Text
from sima2.records.tags import TagSpec
from sima2.report.inputs import of_episodes
from sima2.tags.specs import TAGS

MOST: Final = 12
"""Episodes shown without a script."""
JOINTS: Final = 8
"""Joints of a manipulator that are drawn, where nothing tells of its hand."""
POINTS: Final = 320
"""Points of a line without a script: more than its width on paper can show."""
SCALARS: Final = (
    ("gripper_width", "gripper width", "m"),
    ("gripper_opening", "gripper opening", ""),
    ("grip_force", "grip force", "N"),
    ("contact_force", "contact force", "N"),
)
HAND: Final = ("hand x", "hand y", "hand z")
"""Signals of where the hand is, in the robot's base frame."""


def chosen_episodes(
    episodes: EpisodeTable, fired: Mapping[str, set[str]], specs: Mapping[str, TagSpec] = TAGS
) -> Int64s:
    """Rows of the episodes to show: of each interesting kind the first ones, of different families if possible.

    Args:
        episodes: of the run.
        fired: ids of the episodes in which each tag fired.
        specs: what the tags declare: which of them are interesting, and in what order (``TagSpec.shown``).
    """
    ids = episodes.episode_id.tolist()

    def tagged(name: str) -> list[int]:
        return [i for i, eid in enumerate(ids) if eid in fired.get(name, ())]

    failed = np.flatnonzero(episodes.success == 0).tolist()
    plain = np.flatnonzero(episodes.success == 1).tolist()
    marked = [tagged(spec.name) for spec in sorted(specs.values(), key=lambda spec: spec.shown) if spec.shown]
    kinds = [*marked[:1], failed, *marked[1:], plain, list(range(len(ids)))]
    chosen: list[int] = []
    families: set[str] = set()
    while len(chosen) < min(MOST, len(ids)):
        before = len(chosen)
        for kind in kinds:
            left = [i for i in kind if i not in chosen]
            fresh = [i for i in left if episodes.family[i] not in families]
            if left and len(chosen) < MOST:
                pick = (fresh or left)[0]
                chosen.append(pick)
                families.add(episodes.family[pick])
        if len(families) == len(set(episodes.family)):
            families.clear()
        if len(chosen) == before:
            break
    return np.array(chosen, np.int64)


def thinned_signals(batch: RolloutBatch, stretches: int = STRETCHES) -> SignalTable:
    """Signals of the episodes of a batch as pictures draw them; the same for an episode in any batch.

    Args:
        batch: whole episodes.
        stretches: into how many an episode is cut; more where one looks closer.
    """
    parts = [_of_layout(part, stretches) for _, part in batch.by_layout() if len(part)]
    table = SignalTable.concat(parts)
    return table.take(np.argsort(table.episode_index, kind="stable")) if len(parts) > 1 else table


def _of_layout(batch: RolloutBatch, stretches: int) -> SignalTable:
    """Of episodes that have all channels of the batch: their rows by episode, each with its signals in order."""
    n = len(batch)
    edges = (batch.offset[:-1, None] + (np.arange(stretches) * batch.length[:, None]) // stretches).reshape(-1)
    drawn = [
        (arm, name, unit, *_stretched(values, edges, n))
        for arm, channels in batch.manipulators.items()
        for name, unit, values in _signals(channels, batch)
    ]
    if not drawn:
        return SignalTable.empty()
    arms, names, units, lows, highs, leasts, mosts = zip(*drawn, strict=True)
    k = len(drawn)

    def by_episode(columns: tuple[NDArray[Any], ...]) -> NDArray[Any]:
        stacked = np.stack(columns, axis=1)
        return stacked.reshape(n * k, *stacked.shape[2:])

    return SignalTable(
        episode_index=np.repeat(batch.episodes.episode_index, k),
        episode_id=Text(np.repeat(np.arange(n), k), batch.episodes.episode_id),
        manipulator=Text.of(arms * n),
        signal=Text.of(names * n),
        unit=Text.of(units * n),
        low=by_episode(lows),
        high=by_episode(highs),
        least=by_episode(leasts),
        most=by_episode(mosts),
    )


def _signals(channels: Manipulator, batch: RolloutBatch) -> Iterator[tuple[str, str, Float32s]]:
    """Name, unit and values over all frames of each signal that is drawn, the telling ones first."""
    hand, joints = channels.ee_position, channels.joint_position
    if hand is not None:
        yield "hand speed", "m/s", _speed(hand, batch)
    elif joints is not None:
        yield "joint speed", "rad/s", _speed(joints, batch)
    for channel, name, unit in SCALARS:
        values = getattr(channels, channel)
        if values is not None:
            yield name, unit, values
    if hand is not None:
        yield from ((name, "m", hand[:, axis]) for axis, name in enumerate(HAND))
    elif joints is not None:
        yield from ((f"joint {j}", "rad", joints[:, j]) for j in range(min(joints.shape[1], JOINTS)))


def _speed(position: Float32s, batch: RolloutBatch) -> Float32s:
    """Speed from the frame before to the frame after, within the episode, shape (T,)."""
    frames = np.arange(batch.frames)
    before = np.maximum(frames - 1, np.repeat(batch.offset[:-1], batch.length))
    after = np.minimum(frames + 1, np.repeat(batch.offset[1:] - 1, batch.length))
    seconds = batch.time[after] - batch.time[before]
    way = np.zeros(batch.frames)
    for axis in range(position.shape[1]):
        way += (position[after, axis].astype(np.float64) - position[before, axis]) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(seconds > 0, np.sqrt(way) / seconds, 0.0).astype(np.float32)


def _stretched(values: Float32s, edges: Int64s, n: int) -> tuple[NDArray[Any], ...]:
    """Low and high of each episode, shape (n,), and least and most of its stretches, shape (n, stretches)."""
    values = np.where(np.isfinite(values), values, np.float32(np.nan))
    # an episode shorter than the stretches has some without a frame, which get the nearest one
    least = np.fmin.reduceat(values, edges).reshape(n, -1)
    most = np.fmax.reduceat(values, edges).reshape(n, -1)
    low, high = np.fmin.reduce(least, axis=1), np.fmax.reduce(most, axis=1)
    span = (high.astype(np.float64) - low)[:, None]

    def steps(some: Float32s) -> NDArray[np.uint8]:
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(
                span > 0, (some - low[:, None].astype(np.float64)) / span, np.where(np.isnan(some), np.nan, 0.5)
            )
        return np.where(np.isnan(share), NOTHING, np.rint(np.nan_to_num(share) * STEPS)).astype(np.uint8)

    return low, high, steps(least), steps(most)


def shown_signals(signals: SignalTable, episodes: EpisodeTable, name: str) -> dict[str, Any]:
    """One episode as pictures without a script draw it, as plain values.

    Args:
        signals: of that episode, and perhaps of others.
        episodes: of the run.
        name: id of the episode.
    """
    own = of_episodes(signals, (name,))
    row = episodes.episode_id.tolist().index(name)
    frames = int(episodes.frames[row])
    drawn = np.arange(0, frames, max(1, -(-frames // POINTS)))
    time = drawn * (float(episodes.duration_s[row]) / max(frames - 1, 1))
    stretch = np.minimum(-(-drawn * STRETCHES // max(frames, 1)), STRETCHES - 1)
    alone = len(set(own.manipulator)) < 2
    tracks = [
        {
            "name": ("" if alone else f"{own.manipulator[k]} ") + own.signal[k],
            "unit": own.unit[k],
            "values": [line[place] for place in stretch.tolist()],
        }
        for k, line in enumerate(_line(*own.values(k)) for k in range(len(own)))
    ]
    return {
        "episode_id": name,
        "family": episodes.family[row],
        "time": [round(t, 5) for t in time.tolist()],
        "tracks": tracks,
        "success": None if np.isnan(episodes.success[row]) else float(episodes.success[row]),
        "outcome_source": episodes.outcome_source[row],
    }


def _line(least: Float64s, most: Float64s) -> list[float | None]:
    """A line through stretches that passes their peaks: of each, the end that is further from the point before."""
    line: list[float | None] = []
    last = float(least[0])
    for low, high in zip(least.tolist(), most.tolist(), strict=True):
        value = high if not abs(low - last) > abs(high - last) else low
        line.append(round(value, 5) if np.isfinite(value) else None)
        last = value
    return line
