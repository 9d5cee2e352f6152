"""How the findings of an episode are put together: what explains what, which of two tells it, and in which order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from damaged_rollouts import alone
from scripted_tables import table_of_columns
from sima2.defects.findings import Finding
from sima2.defects.inspector import DefectInspector, _with_retries, _within
from sima2.records.rollout import TURNED, Manipulator, Rollout, RolloutBatch
from sima2.records.segments import SegmentTable

FPS, N = 20, 200


def finding(kind: str, start: int, end: int, episode: int = 0, arm: str = "arm", value: float = 1.0) -> Finding:
    return Finding(episode, arm, kind, 0.5, start, end, value, "", "")


@pytest.mark.parametrize(
    ("start", "end", "within"),
    [(9, 9, False), (5, 10, True), (10, 20, True), (12, 14, True), (20, 30, True), (21, 30, False)],
)
def test_a_stall_is_a_freeze_where_the_two_meet(start: int, end: int, within: bool) -> None:
    frozen = finding("frozen_channel", 10, 20)
    assert _within(finding("stalled", start, end), [frozen]) == within
    for other in (frozen._replace(episode=1), frozen._replace(manipulator="other")):
        assert not _within(finding("stalled", start, end), [other])
    assert _within(finding("stalled", 12, 14), [frozen._replace(episode=1), frozen])
    assert not _within(finding("stalled", 12, 14), [])


# ---- grasps of segments and of fingers

SEEN = finding("repeated_grasp", 10, 20, value=7.0)
TWO = {(0, "arm"): [(8, 12), (15, 22)]}


@pytest.mark.parametrize(
    ("grasps", "kept"),
    [
        ([(8, 12), (15, 22)], True),
        ([(8, 11), (19, 22)], True),
        ([(8, 10), (15, 22)], False),
        ([(8, 12), (20, 22)], False),
        ([(8, 22)], False),
        ([], False),
    ],
)
def test_what_fingers_tell_is_kept_where_segments_tell_two_grasps(grasps: list[Any], kept: bool) -> None:
    assert _with_retries([SEEN], [], {(0, "arm"): grasps}) == [SEEN] * kept
    assert _with_retries([SEEN], [], {(0, "other"): TWO[0, "arm"], (1, "arm"): TWO[0, "arm"]}) == []


@pytest.mark.parametrize(
    ("start", "end", "kept"), [(0, 10, True), (0, 11, False), (12, 14, False), (19, 30, False), (20, 30, True)]
)
def test_what_segments_tell_takes_the_place_of_the_same(start: int, end: int, kept: bool) -> None:
    retry = finding("repeated_grasp", start, end)
    assert _with_retries([SEEN], [retry], TWO) == [SEEN] * kept + [retry]
    for other in (retry._replace(episode=1), retry._replace(manipulator="other")):
        assert _with_retries([SEEN], [other], TWO) == [SEEN, other]


def test_findings_of_another_kind_stay() -> None:
    idle = finding("idle", 10, 20)
    assert _with_retries([idle], [finding("repeated_grasp", 10, 20)], {}) == [idle, finding("repeated_grasp", 10, 20)]


# ---- whole batches


def swing(frames: int = N, seed: int = 0) -> Any:
    """Two joints that move all along, with a little noise."""
    t = np.arange(frames) / FPS
    noise = np.random.default_rng(seed).normal(0, 1e-4, (frames, 2))
    return np.stack([np.sin(t), 0.7 * np.cos(0.8 * t)], axis=1) + noise


def rollout(name: str, joints: Any = None, **more: Any) -> Rollout:
    x = swing() if joints is None else joints
    return Rollout(name, time=np.arange(len(x)) / FPS, joint_position=x, **more)


def resting(start: int, stop: int) -> Any:
    x = swing()
    x[start:stop] = x[start] + np.random.default_rng(1).normal(0, 1e-4, (stop - start, 2))
    x[stop:] += x[stop - 1] - x[min(stop, N - 1)]
    return x


def test_episodes_of_several_layouts_come_back_in_their_order() -> None:
    grip = np.linspace(0, 1, N)
    runs = [
        rollout("a", resting(0, 100)),
        rollout("b", gripper_width=grip),
        rollout("c", resting(100, 200)),
        rollout("d", resting(0, 100), gripper_width=np.r_[np.zeros(100), grip[:100]]),
    ]
    seen = DefectInspector().inspect(RolloutBatch.from_rollouts(runs, first_index=10))
    idle = seen.defects.take(np.flatnonzero(seen.defects.defect.isin("idle")))
    assert idle.episode_id.tolist() == ["a", "c", "d"]
    assert idle.episode_index.tolist() == [10, 12, 13]
    assert seen.measures.episode_id.tolist() == ["a", "b", "c", "d"]
    assert seen.measures.episode_index.tolist() == [10, 11, 12, 13]
    assert seen.pauses.episode_id.tolist() == ["a", "c", "d"]
    assert seen.pauses.episode_index.tolist() == [10, 12, 13]
    assert seen.pauses.start_frame.tolist() == [0, pytest.approx(106, abs=3), 0]
    assert seen.pauses.end_frame.tolist() == [pytest.approx(99, abs=3), 200, pytest.approx(99, abs=3)]
    assert (np.diff(seen.points.episode_index) >= 0).all()
    assert set(seen.points.episode_index.tolist()) <= {10, 11, 12, 13}


def test_arms_come_by_name_within_an_episode() -> None:
    arms = {"right": Manipulator(joint_position=swing()), "left": Manipulator(joint_position=swing(seed=1))}
    runs = [Rollout(name, time=np.arange(N) / FPS, manipulators=arms) for name in ("e", "f")]
    seen = DefectInspector().inspect(RolloutBatch.from_rollouts(runs)).measures
    assert list(zip(seen.episode_id, seen.manipulator, strict=True)) == [
        ("e", "left"), ("e", "right"), ("f", "left"), ("f", "right"),
    ]  # fmt: skip


def test_a_gripper_that_was_turned_round_as_it_was_read_is_told_of_its_arm() -> None:
    runs = [rollout("e"), rollout("f", provenance={TURNED: "arm"})]
    (row,) = DefectInspector().inspect(RolloutBatch.from_rollouts(runs)).defects.rows()
    assert (row["episode_id"], row["manipulator"], row["defect"], row["unit"]) == (
        "f", "arm", "mixed_polarity", "of the range",
    )  # fmt: skip
    assert (row["severity"], row["start_frame"], row["end_frame"], row["value"]) == (1.0, 0, N, 1.0)


def test_what_was_frozen_is_neither_a_jump_nor_a_stall() -> None:
    x = swing()
    x[100:130, 0] = x[100, 0]
    kinds = [(row["defect"], row["start_frame"], row["end_frame"]) for row in alone(rollout("e", x)).rows()]
    assert kinds == [("frozen_channel", 100, 130)]
    told = {row["defect"] for row in alone(rollout("e", x, joint_command=swing())).rows()}
    assert told == {"frozen_channel"}


def test_a_leap_where_frames_are_missing_is_told_once() -> None:
    fine = swing(400)
    x = np.concatenate([fine[:100], fine[106 : 106 + N - 100]])
    kinds = [row["defect"] for row in alone(rollout("e", x)).rows()]
    assert kinds == ["dropped_frames"]


def test_segments_tell_retries_in_place_of_the_fingers() -> None:
    grip = np.ones(N)
    for start, stop in ((40, 60), (80, 120)):
        grip[start:stop] = 0.0
    way = swing()
    way[:120] = np.random.default_rng(0).normal(0, 1e-4, (120, 2)) + way[120]
    batch = RolloutBatch.from_rollouts([rollout("e", way, gripper_width=0.08 * grip)])
    columns: dict[str, Any] = {"episode_id": "e", "manipulator": "arm", "label": "grasp"}

    def told(outcome: str, *spans: tuple[int, int]) -> list[tuple[int, int, str]]:
        start, end = zip(*spans, strict=True)
        table = table_of_columns(SegmentTable, len(spans), **columns, outcome=outcome, start_frame=start, end_frame=end)
        found = DefectInspector().inspect(batch, table).defects
        return [
            (row["start_frame"], row["end_frame"], row["details"][:6])
            for row in found.rows()
            if row["defect"] == "repeated_grasp"
        ]

    fingers = [(40, 81, "closes")]
    (row,) = (each for each in DefectInspector().inspect(batch).defects.rows() if each["defect"] == "repeated_grasp")
    assert (row["start_frame"], row["end_frame"]) == (40, 81)
    assert told("success", (35, 62), (75, 125)) == fingers
    assert told("success", (35, 62)) == []
    assert told("retry", (35, 62), (75, 125)) == [(35, 125, "2 of 2")]
