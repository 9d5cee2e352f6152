"""What happened when: the segments of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from sima2.records.table import Table, Text, column, text
from sima2.records.vocabulary import TELLS_OF_THINGS


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: half-open frames, times in s since the rollout's start."""

    episode_id: str
    manipulator: str
    segment_id: int
    label: str
    object: str
    start_frame: int
    end_frame: int
    start_t: float
    end_t: float
    outcome: str
    failure_reason: str
    confidence: float
    channels_used: str

    @property
    def duration_s(self) -> float:
        """s."""
        return self.end_t - self.start_t


@dataclass(frozen=True, eq=False)
class SegmentTable(Table):
    """Segments ordered by episode, manipulator and start; per manipulator no gaps and no overlaps.

    Iterating yields :class:`Segment`.
    """

    episode_id: Text = text()
    manipulator: Text = text()
    segment_id: NDArray[np.int64] = column(np.int64)
    """Unique within the episode, from 0."""
    label: Text = text()
    """One of ``vocabulary.LABELS``."""
    object: Text = text()
    """The object concerned, empty where there is none or it is not known."""
    start_frame: NDArray[np.int64] = column(np.int64)
    end_frame: NDArray[np.int64] = column(np.int64)
    """One past the last frame."""
    start_t: NDArray[np.float64] = column(np.float64)
    end_t: NDArray[np.float64] = column(np.float64)
    """s; the time of ``end_frame``, or of the last frame plus one median period."""
    outcome: Text = text()
    """One of ``vocabulary.OUTCOMES``."""
    failure_reason: Text = text()
    """One of ``vocabulary.REASONS``."""
    confidence: NDArray[np.float32] = column(np.float32)
    """Calibrated probability that the label is right, in [0, 1]."""
    channels_used: Text = text()
    """The kinds of channel the label rests on, joined by ``+``."""
    max_speed: NDArray[np.float32] = column(np.float32)
    """m/s of the hand (rad/s of the fastest joint where no pose was recorded); NaN where neither was."""
    distance: NDArray[np.float32] = column(np.float32)
    """m, path length of the hand; NaN where no pose was recorded."""
    peak_force: NDArray[np.float32] = column(np.float32)
    """N, largest external force; NaN without it."""
    impulse: NDArray[np.float32] = column(np.float32)
    """N·s, external force over time; NaN without it."""
    grip_force: NDArray[np.float32] = column(np.float32)
    """N, mean grip force; NaN without it."""
    width_change: NDArray[np.float32] = column(np.float32)
    """m (or share of the opening), last minus first gripper width; NaN without it."""
    max_joint_speed: NDArray[np.float32] = column(np.float32)
    """rad/s; NaN without it."""
    max_joint_torque: NDArray[np.float32] = column(np.float32)
    """N·m; NaN without it."""
    energy_wh: NDArray[np.float32] = column(np.float32)
    """Wh, mechanical work of the joints; NaN where torque or velocity is absent."""

    @property
    def tells_of_things(self) -> NDArray[np.bool_]:
        """Whether a segment rests on any channel that tells of things, shape (n,)."""
        used = self.channels_used
        able = np.array([bool(TELLS_OF_THINGS & set(name.split("+"))) for name in used.names], np.bool_)
        return able[used.codes] if len(self) else np.zeros(0, np.bool_)

    def __iter__(self) -> Iterator[Segment]:
        lists = [getattr(self, each.name).tolist() for each in fields(Segment)]
        return (Segment(*row) for row in zip(*lists, strict=True))
