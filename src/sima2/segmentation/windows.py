"""Episodes cut into overlapping windows on a fixed grid, so that look-ahead and memory are bounded.

A window is labelled as if it were an episode of its own that remembers its start and past; only its block is kept:

    past (context)      block (kept)      ahead (look-ahead)
    [kB - P ........... kB ............. kB + B ............ kB + B + L)

The last window of an episode keeps everything to the end, so an episode shorter than B + L is one window and is
labelled whole. Batch and online form cut alike, and so give the same segments.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np

from sima2.errors import UsageError
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.rollout import Episodes, Manipulator, RolloutBatch, spans
from sima2.segmentation.columns import Columns
from sima2.segmentation.features import Features, FeatureSettings
from sima2.segmentation.signals import PERIOD_FRAMES, Ragged, hold_last, per_run
from sima2.segmentation.window_context import Memory, Past, Start

UNREAD: Final = ("joint_command",)
"""Channels of an arm that no feature or measure reads; of objects it is all but the position and its confidence."""


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """Spans of the windows, each with its reason; a segment is out at most ``block_s + ahead_s`` after its end."""

    past_s: float = 20.0
    """Context before a block, rounded up to whole blocks: longer than a load is usually carried."""
    block_s: float = 20.0
    """Frames are labelled in blocks of so long. Shorter ones (from 2 s on) are as right and answer sooner, but are dear
    for whole episodes: those shorter than ``look_ahead_s`` are one window, longer ones are looked at several times."""
    ahead_s: float = 10.0
    """Look-ahead: what a motion leads to, and whether a failed attempt is made good, shows within it. With blocks of
    2 s on generated and simulated rollouts, 10 s are as right as the whole episode; 5 s lose 0.1 to 0.3 points of
    F1@50, 3 s up to 2 and a sixth of the recoveries."""
    least_frames: int = PERIOD_FRAMES
    """No span is shorter: so many frames tell the period, and a window of fewer shows nothing."""
    fastest_hz: float = 1000.0
    """Spans hold at most so many frames a second, which bounds memory whatever the clock claims."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not (np.isfinite(value) and value > 0):
                raise UsageError(f"WindowSettings.{each.name} is {value}: give a positive number")

    @property
    def look_ahead_s(self) -> float:
        """Longest time from a segment's last frame until it is known, s."""
        return self.block_s + self.ahead_s

    def grid(self, period: Float64s) -> Grid:
        """Spans in frames of episodes with these periods."""
        step = np.maximum(period, 1.0 / self.fastest_hz)

        def frames(seconds: float) -> Int64s:
            return np.maximum(self.least_frames, np.rint(seconds / step)).astype(np.int64)

        block = frames(self.block_s)
        return Grid(period, past=-(-frames(self.past_s) // block) * block, block=block, ahead=frames(self.ahead_s))


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Spans of the windows of each episode, frames, shape (n,)."""

    period: Float64s
    """Of the episode, s."""
    past: Int64s
    """A multiple of ``block``."""
    block: Int64s
    ahead: Int64s

    def windows(self, length: Int64s) -> Windows:
        """Windows of episodes of these lengths, in order."""
        count = 1 + np.maximum(0, length - self.ahead) // self.block
        episode = np.repeat(np.arange(len(length), dtype=np.int64), count)
        number = spans(np.zeros(len(length), np.int64), count)
        return self.window(episode, number, number == count[episode] - 1, length)

    def window(self, episode: Int64s, number: Int64s, last: Bools, length: Int64s) -> Windows:
        """The ``number``-th window of an episode each; ``length`` of the episodes counts for the last ones."""
        block = self.block[episode]
        border = np.where(last, length[episode], (number + 1) * block)
        return Windows(
            episode=episode,
            number=number,
            last=last,
            begin=np.maximum(0, number * block - self.past[episode]),
            block=number * block,
            border=border,
            end=np.where(last, border, border + self.ahead[episode]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Windows(Columns):
    """Windows by episode and number, shape (w,) each; frames count from the episode's start."""

    episode: Int64s
    number: Int64s
    """Which window of its episode, from 0."""
    last: Bools
    begin: Int64s
    """First frame of the context."""
    block: Int64s
    """First frame of the block."""
    border: Int64s
    """One past the last frame of the block."""
    end: Int64s
    """One past the last frame looked at."""

    def __len__(self) -> int:
        return len(self.episode)

    def parts(self, frames: int) -> list[Int64s]:
        """Consecutive windows in parts of about so many frames."""
        part = np.cumsum(self.end - self.begin) // frames
        return np.split(np.arange(len(self)), np.flatnonzero(np.diff(part)) + 1)


def gather(batch: RolloutBatch, windows: Windows) -> RolloutBatch:
    """The windows as episodes of a batch, with the channels on which labels and measures rest."""
    length = windows.end - windows.begin
    rows = spans(batch.offset[:-1][windows.episode] + windows.begin, length)
    return RolloutBatch(
        episodes=_episodes(batch.episodes, windows.episode),
        offset=np.concatenate([[0], np.cumsum(length)]),
        time=batch.time[rows],
        manipulators={
            arm: Manipulator(**{name: x.take(rows, axis=0) for name, x in m.channels().items() if name not in UNREAD})
            for arm, m in batch.manipulators.items()
        },
        objects=tuple(batch.objects[i] for i in windows.episode.tolist()),
        object_position=None if batch.object_position is None else batch.object_position.take(rows, axis=0),
        object_confidence=None if batch.object_confidence is None else batch.object_confidence.take(rows, axis=0),
    )


def _episodes(episodes: Episodes, index: Int64s) -> Episodes:
    """Their records, one a window, under ids of their own."""
    columns: dict[str, Any] = {"episode_id": tuple(map(str, range(len(index))))}
    for each in fields(episodes):
        value = getattr(episodes, each.name)
        repeated = value[index] if isinstance(value, np.ndarray) else tuple(value[i] for i in index.tolist())
        columns.setdefault(each.name, repeated)
    return Episodes(**columns)


def start_frames(grid: Grid, settings: FeatureSettings) -> Int64s:
    """Frames of each episode's start that its period and noise floors come from, shape (n,)."""
    third_differences = 3
    wanted = np.maximum(PERIOD_FRAMES, np.rint(settings.start_s / grid.period) + third_differences)
    return np.asarray(np.minimum(wanted, grid.block + grid.ahead), np.int64)


def start_of(features: Features) -> Start:
    """What the features of the episodes' first frames tell of their sensors."""
    at = features.ragged.offset[:-1]
    return Start(
        period=features.ragged.period,
        rate_noise=features.rate_noise[at],
        width_noise=features.width_noise[at],
        grip_noise=features.grip_noise[at],
        contact_noise=features.contact_noise[at],
        object_noise=features.object_noise,
    )


def blocks_of(offset: Int64s, time: Float64s, period: Float64s) -> Ragged:
    """Blocks of episodes whose period is known."""
    return Ragged(offset, time, Memory(Start.untold(period, 0), Past.none(len(period))))


def past_of(channels: Manipulator, blocks: Ragged, settings: FeatureSettings) -> Past:
    """Extremes that an arm showed in each block, shape (b,); every block holds at least one frame."""
    past = Past.none(len(blocks.offset) - 1)
    start = blocks.offset[:-1]
    width = channels.gripper_width if channels.gripper_width is not None else channels.gripper_opening
    if width is not None:
        shown = width.astype(np.float64)
        past = replace(past, widest=per_run(np.fmax, shown, start), narrowest=per_run(np.fmin, shown, start))
    if channels.grip_force is not None:
        force, seen = hold_last(channels.grip_force, blocks)
        average = blocks.mean(force, *blocks.around(settings.force_average_s / 2))
        told = per_run(np.logical_or, seen, start)
        past = replace(past, lightest=np.where(told, per_run(np.minimum, average, start), np.nan))
    return past


def pasts(batch: RolloutBatch, arm: str, grid: Grid, windows: Windows, settings: FeatureSettings) -> Past:
    """Extremes of what an arm showed before each window's first frame, shape (w,)."""
    count = -(-batch.length // grid.block)
    episode = np.repeat(np.arange(len(count), dtype=np.int64), count)
    number = spans(np.zeros(len(count), np.int64), count)
    first = batch.offset[:-1][episode] + number * grid.block[episode]
    blocks = blocks_of(np.append(first, batch.frames), batch.time, grid.period[episode])
    shown = past_of(batch.manipulators[arm], blocks, settings)
    # extremes of all blocks of the episode so far, doubled until no episode has more blocks
    reach = 1
    while reach < count.max(initial=0):
        shown = shown.joined(shown.take(np.where(number >= reach, np.arange(len(number)) - reach, -1)))
        reach *= 2
    left = windows.begin // grid.block[windows.episode]
    at = (np.cumsum(count) - count)[windows.episode] + left - 1
    return shown.take(np.where(left > 0, at, -1))
