"""What the episodes of a task have in common, and how far each is from it: an observation, never a fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Bools, Float32s, Float64s, Int64s
from sima2.records.defects import POINTS, SLOTS
from sima2.records.meanings import END_FRAME, EPISODE_ID, EPISODE_INDEX, FAMILY, MANIPULATOR, ROBOT, START_FRAME, one_of
from sima2.records.table import Table, Text, column, matrix, text
from sima2.records.vocabulary import LABELS

WHOLE: Final = "episode"
"""Stands in the place of a phase for the row that tells of the episodes as a whole."""
COVERAGE: Final = ("", "alike", "rare")
"""How near the nearest other episode of the task is: as usual, nearly the same motion, or far from all."""
MOMENTS: Final = 32
"""Moments of an episode at which what is done is compared with what others do: every quarter of a second or so."""
THINGS: Final = 4
"""Things whose places those moments keep: those that a goal names first."""


@dataclass(frozen=True, eq=False)
class CourseTable(Table):
    """The usual course of each task: phases in their order, of every manipulator. Of tasks with 5 episodes or more."""

    family: Text = text(FAMILY)
    robot: Text = text(ROBOT)
    manipulator: Text = text(f"{MANIPULATOR} Empty in a row that tells of the episodes as a whole.")
    phase: Text = text(
        f"One of the labels of segments that at least half of the episodes have; `{WHOLE}` where the row tells of them "
        "as a whole."
    )
    place: Int64s = column(np.int64, "Place of the phase in the usual order, from 1; 0 for the whole.")
    episodes: Int64s = column(np.int64, "Episodes of the task.", unit="episodes")
    share: Float64s = column(np.float64, "Share of the episodes that have the phase.", unit="1")
    times: Float64s = column(
        np.float64,
        "Median number of such segments where there are any; of the whole, of grasps.",
        unit="segments",
    )
    start_s: Float64s = column(
        np.float64, "Median time at which the phase first begins; of the whole, of the first motion.", unit="s"
    )
    duration_s: Float64s = column(np.float64, "Median time that it takes in all.", unit="s")
    low_s: Float64s = column(np.float64, "10th percentile of that time.", unit="s")
    high_s: Float64s = column(np.float64, "90th percentile of that time.", unit="s")


@dataclass(frozen=True, eq=False)
class UnusualTable(Table):
    """Episodes of each task by their distance from its usual course, the furthest first: unusual, not bad.

    One row an episode of a task with 20 episodes or more. It is no tag and moves no weight.
    """

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    family: Text = text(FAMILY)
    robot: Text = text(ROBOT)
    episodes: Int64s = column(np.int64, "Episodes of the task.", unit="episodes")
    rank: Int64s = column(np.int64, "Place among them, 1 is the furthest from the others.")
    p: Float64s = column(
        np.float64, "Share of the task's episodes that are as far from their others, itself among them.", unit="1"
    )
    score: Float64s = column(
        np.float64, "Distance from the others in robust spreads beyond the ordinary; 0 where nothing stands out.",
        unit="1",
    )  # fmt: skip
    shown: Bools = column(
        np.bool_, "Among the first 5 % of its task (or 3, where that is more) and apart from the others."
    )
    start_frame: Int64s = column(np.int64, f"{START_FRAME} Of what differs most.", unit="frame")
    end_frame: Int64s = column(np.int64, END_FRAME, unit="frame")
    words: Text = text("What differs, in words, most of it first; empty where nothing stands out.")
    nearest: Text = text("Name of the episode of the task whose motion is nearest; empty where no positions were kept.")
    nearest_distance: Float64s = column(
        np.float64, "How far that one is, in usual distances of that kind; NaN where there is none.", unit="1"
    )
    coverage: Text = text(
        f"How the motion is covered by others: {one_of(COVERAGE)} (nearly that of another episode, or far from all); "
        "empty where it is as usual."
    )


@dataclass(frozen=True, eq=False)
class Strides(Table):
    """What courses are compared by: one row a manipulator of an episode. Kept in memory only."""

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    manipulator: Text = text(MANIPULATOR)
    family: Text = text(FAMILY)
    robot: Text = text(ROBOT)
    frames: Int64s = column(np.int64, "Length of the episode.", unit="frames")
    duration_s: Float64s = column(np.float64, "Time from the first frame to the last.", unit="s")
    before_s: Float64s = column(np.float64, "Time before anything moves.", unit="s")
    after_s: Float64s = column(np.float64, "Time at rest at the end.", unit="s")
    moving_start: Int64s = column(np.int64, "First frame in which the robot moves.", unit="frame")
    moving_end: Int64s = column(np.int64, "One past the last frame in which it moves.", unit="frame")
    jerk: Float64s = column(np.float64, "As in measures; NaN where not known.", unit="rad/s³ (hand: m/s³)")
    pause_s: Float64s = column(np.float64, "Longest idle segment between two others.", unit="s")
    pause_start: Int64s = column(np.int64, "Its first frame; 0 where there is none.", unit="frame")
    pause_end: Int64s = column(np.int64, "One past its last; 0 where there is none.", unit="frame")
    count: NDArray[np.int32] = matrix(np.int32, f"Segments of each of the {len(LABELS)} labels.", unit="segments")
    seconds: Float32s = matrix(np.float32, "Time in all of each label.", unit="s")
    start_s: Float32s = matrix(np.float32, "When each label first begins; NaN where never.", unit="s")
    first: NDArray[np.int32] = matrix(np.int32, "First frame of each label; 0 where there is none.", unit="frame")
    last: NDArray[np.int32] = matrix(np.int32, "One past the last frame of each label; 0 where none.", unit="frame")
    signature: Float32s = matrix(
        np.float32,
        f"Positions at {POINTS} places evenly over the motion, {SLOTS} slots; NaN where a slot is empty.",
        unit="rad; m of the hand; m or share of the gripper",
    )


@dataclass(frozen=True, eq=False)
class Endings(Table):
    """The segments by which an episode failed, ended and was tried again: one row an episode. Kept in memory only."""

    episode_id: Text = text(EPISODE_ID)
    failed: Text = text("Label of its last failed segment; empty where none failed.")
    failed_because: Text = text("Reason of that one; empty where none is known.")
    failed_start: Int64s = column(np.int64, START_FRAME, unit="frame")
    failed_end: Int64s = column(np.int64, END_FRAME, unit="frame")
    last: Text = text("Label of its last segment that acts on something; empty where none does.")
    last_start: Int64s = column(np.int64, START_FRAME, unit="frame")
    last_end: Int64s = column(np.int64, END_FRAME, unit="frame")
    retries: Int64s = column(np.int64, "Failed attempts that were followed by another.", unit="segments")
    retried: Text = text("Label of the first of them; empty where there is none.")
    retried_because: Text = text("Reason of the first of them; empty where none is known.")
    retry_start: Int64s = column(np.int64, START_FRAME, unit="frame")
    retry_end: Int64s = column(np.int64, f"{END_FRAME} Of the last of them.", unit="frame")


@dataclass(frozen=True, eq=False)
class PointTable(Table):
    """How each arm stands and what it is told to do at moments spread evenly over an episode: one row an arm."""

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    manipulator: Text = text(MANIPULATOR)
    family: Text = text(FAMILY)
    robot: Text = text(ROBOT)
    frames: Int64s = column(np.int64, "Length of the episode.", unit="frames")
    state: Float32s = matrix(
        np.float32,
        f"Where it is at each of {MOMENTS} moments, moment by moment: {SLOTS} slots of positions (of the hand, "
        f"else of joints; gripper), then {THINGS} things, x, y and z from the hand; NaN where a slot is empty.",
        unit="rad; m of hand and things; m or share of the gripper",
    )
    motion: Float32s = matrix(
        np.float32,
        f"What follows within 0.3 s, {SLOTS} slots a moment: of joints with a command, how far that is from where they "
        "are; of all others, how far they move.",
        unit="rad; m of the hand; m or share of the gripper",
    )


def moments_of(frames: Int64s) -> Int64s:
    """Frames of the moments of episodes of these lengths, shape (n, MOMENTS).

    >>> moments_of(np.array([100]))[0, [0, 1, -1]].tolist()
    [0, 3, 99]
    """
    return np.asarray(np.arange(MOMENTS) * np.maximum(frames - 1, 0)[:, None] // (MOMENTS - 1))


@dataclass(frozen=True, eq=False)
class ConsensusTable(Table):
    """How far each episode does otherwise than others of its task do in like states. It moves no weight by itself.

    One row an episode of a task with 20 episodes or more.
    """

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    family: Text = text(FAMILY)
    robot: Text = text(ROBOT)
    episodes: Int64s = column(np.int64, "Episodes of the task.", unit="episodes")
    disagreement: Float64s = column(
        np.float64,
        "How far what it does is from what others do in like states: the mean over its moments of their rank among all "
        "of the task, 0 to 1; NaN where nothing can be compared.",
        unit="1",
    )
    p: Float64s = column(
        np.float64, "Share of the task's episodes that disagree as much, itself among them; NaN as above.", unit="1"
    )
    dissent: Float32s = matrix(
        np.float32,
        f"The same at each of {MOMENTS} moments spread evenly over it, with those beside it: the share of all "
        "moments of the task that disagree less, 0 to 1; NaN where not known.",
        unit="1",
    )
    start_frame: Int64s = column(np.int64, f"{START_FRAME} Of what disagrees most.", unit="frame")
    end_frame: Int64s = column(np.int64, END_FRAME, unit="frame")
