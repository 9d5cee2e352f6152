"""What a stream takes, what it refuses and how it says so, and that it stays usable."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sima2 import Rollout, RolloutBatch, SegmentationEngine, Sima2Client
from sima2.errors import RolloutError, UnknownNameError, UsageError
from sima2.records.rollout import Manipulator
from sima2.records.segments import SegmentTable
from sima2.segmentation.windows import WindowSettings

ENGINE = SegmentationEngine(windows=WindowSettings(past_s=4.0, block_s=2.0, ahead_s=2.0))


def frame(k: int, **channels: Any) -> dict[str, Any]:
    return {"time": k * 0.05, "ee_position": np.array([0.001 * k, 0.0, 0.2]), "gripper_width": 0.05, **channels}


def rows_of(*tables: SegmentTable) -> list[tuple[object, ...]]:
    rows = [tuple(None if v != v else v for v in row.values()) for table in tables for row in table.rows()]
    return sorted(rows, key=str)


def batch_of(rollout: Rollout) -> list[tuple[object, ...]]:
    return rows_of(ENGINE.segment(RolloutBatch.from_rollouts([rollout])))


def test_a_stream_without_frames_has_no_segments() -> None:
    assert len(ENGINE.stream("e").finish()) == 0


def test_one_frame_is_one_segment() -> None:
    stream = ENGINE.stream("e")
    stream.push(frame(0))
    (segment,) = stream.finish()
    assert (segment.start_frame, segment.end_frame, segment.episode_id) == (0, 1, "e")


def test_an_empty_chunk_changes_nothing() -> None:
    stream = ENGINE.stream("e")
    stream.push({"time": []})
    stream.push(frame(0))
    stream.push({"time": []})
    assert stream.frames == 1


@pytest.mark.parametrize(
    ("bad", "told", "reason"),
    [
        (frame(59), "time: does not increase at frame 60", "time_not_increasing"),
        (frame(60, time=np.nan), "time: is not finite at frame 60", "not_finite"),
        (frame(60, ee_position=[0.0, 0.0]), r"ee_position: has shape \(2,\) at frame 60", "mixed_dimensions"),
        (frame(60, ee_position=[0.0, 0.0, np.inf]), "ee_position: is infinite at frame 60", "not_finite"),
        (frame(60, ee_position=[0.0, 0.0, 1e300]), "ee_position: is infinite at frame 60", "not_finite"),
        (frame(60, ee_position=[[0.0], [0.0, 1.0]]), "ee_position: does not hold numbers", "not_numeric"),
        (frame(60, ee_position="here"), "ee_position: does not hold numbers", "not_numeric"),
        (frame(60, grip_force=1.0), "grip_force: first comes at frame 60: give NaN", "mixed_dimensions"),
        (
            frame(60, object_position={"cup": np.zeros(3)}),
            "first comes at frame 60: declare objects",
            "mixed_dimensions",
        ),
        (frame(60, object_position=np.zeros(3)), "object_position: is not a mapping by name", "mixed_dimensions"),
        (frame(60, object_confidence={"cup": 1.0}), "object_position: is missing for cup", "mixed_dimensions"),
        (frame(60, manipulators={"arm": {"gripper_width": 0.1}}), "given together with flat", "mixed_dimensions"),
        ({"gripper_width": 0.1}, "time: is missing", "mixed_dimensions"),
    ],
)
def test_a_frame_that_cannot_be_taken_is_told_and_the_stream_goes_on(
    bad: dict[str, Any], told: str, reason: str
) -> None:
    stream, clean = ENGINE.stream("e"), ENGINE.stream("e")
    given, expected = [], []
    for k in range(150):
        if k == 60:
            with pytest.raises(RolloutError, match=told) as error:
                stream.push(bad)
            assert error.value.reason == reason
            assert stream.frames == 60
        given.append(stream.push(frame(k)))
        expected.append(clean.push(frame(k)))
    assert rows_of(*given, stream.finish()) == rows_of(*expected, clean.finish())


def test_a_bad_frame_within_a_chunk_is_named_and_the_chunk_refused_whole() -> None:
    stream = ENGINE.stream("e")
    stream.push({"time": [0.0, 0.1], "gripper_width": [0.1, 0.1]})
    with pytest.raises(RolloutError, match="does not increase at frame 4") as error:
        stream.push({"time": [0.2, 0.3, 0.3], "gripper_width": [0.1, 0.1, 0.1]})
    assert (error.value.start_frame, error.value.end_frame) == (4, 5)
    with pytest.raises(RolloutError, match="is infinite at frame 3"):
        stream.push({"time": [0.2, 0.3], "gripper_width": [0.1, np.inf]})
    assert stream.frames == 2


def test_an_unknown_channel_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'gripper_width'"):
        ENGINE.stream("e").push({"time": 0.0, "griper_width": 0.1})


def test_what_is_no_mapping_is_refused() -> None:
    with pytest.raises(UsageError, match="push takes a Rollout or a mapping"):
        ENGINE.stream("e").push([1.0])  # type: ignore[arg-type]


def test_a_finished_stream_takes_nothing_more() -> None:
    stream = ENGINE.stream("e")
    stream.finish()
    with pytest.raises(UsageError, match="finished"):
        stream.push(frame(0))
    with pytest.raises(UsageError, match="finished"):
        stream.finish()


@pytest.mark.parametrize("setting", ["past_s", "block_s", "ahead_s", "least_frames", "fastest_hz"])
@pytest.mark.parametrize("value", [0, -1, np.nan])
def test_a_window_without_length_is_a_wrong_setting(setting: str, value: float) -> None:
    with pytest.raises(UsageError, match=setting):
        WindowSettings(**{setting: value})


def pick(count: int = 1) -> list[Rollout]:
    return list(Sima2Client(seed=3).rollouts(family="pick_and_place", count=count).batch)


def single(rollout: Rollout, k: int, names: tuple[str, ...]) -> dict[str, Any]:
    channels = {name: x[k] for name, x in rollout.manipulators["arm"].channels().items()}
    return {"time": rollout.time[k], **channels, "object_position": {n: rollout.object_position[n][k] for n in names}}


def late(rollout: Rollout, name: str, frames: int) -> Rollout:
    """The rollout with an object, the last of its slots, that is first seen at a frame."""
    hidden = rollout.object_position[name].copy()
    hidden[:frames] = np.nan
    others = {n: x for n, x in rollout.object_position.items() if n != name}
    return rollout.with_(object_position={**others, name: hidden}, object_orientation={}, object_confidence={})


def test_an_object_that_appears_late_gets_its_slot_at_first_sight() -> None:
    rollout = pick()[0]
    name = rollout.goal.object if rollout.goal else ""
    shown = late(rollout, name, 90)
    stream = ENGINE.stream(rollout.episode_id, robot=rollout.robot, goal=rollout.goal)
    others = tuple(n for n in shown.object_position if n != name)
    given = [stream.push(single(shown, k, others if k < 90 else (*others, name))) for k in range(len(shown))]
    found = rows_of(*given, stream.finish())
    assert found == batch_of(shown)
    assert any(name in row for row in found)


def test_a_declared_object_may_be_the_first_one_seen() -> None:
    rollout = pick()[0]
    name = rollout.goal.object if rollout.goal else ""
    only = rollout.with_(
        object_position={name: rollout.object_position[name]}, object_orientation={}, object_confidence={}
    )
    shown = late(only, name, 80)
    stream = ENGINE.stream(rollout.episode_id, robot=rollout.robot, goal=rollout.goal, objects=(name,))
    given = [stream.push(single(shown, k, () if k < 80 else (name,))) for k in range(len(shown))]
    assert rows_of(*given, stream.finish()) == batch_of(shown)


def test_objects_are_declared_once() -> None:
    with pytest.raises(UsageError, match="once"):
        ENGINE.stream("e", objects=("cup", "cup"))


def test_a_tracker_that_gives_ever_new_names_is_told() -> None:
    stream = ENGINE.stream("e")
    stream.push({"time": 0.0, "object_position": {f"o{i}": np.zeros(3) for i in range(1000)}})
    with pytest.raises(RolloutError, match="more than 1000 objects at frame 1"):
        stream.push({"time": 1.0, "object_position": {"another": np.zeros(3)}})


def test_a_channel_left_out_of_a_frame_is_missing_there() -> None:
    frames = [frame(k) for k in range(200)]
    gaps = [f if k % 7 else {"time": f["time"]} for k, f in enumerate(frames)]
    gaps[0] = frames[0]
    nan = [
        f if k % 7 or not k else {**f, "ee_position": np.full(3, np.nan), "gripper_width": np.nan}
        for k, f in enumerate(frames)
    ]
    found = []
    for some in (gaps, nan):
        stream = ENGINE.stream("e")
        found.append(rows_of(*[stream.push(f) for f in some], stream.finish()))
    assert found[0] == found[1]


def test_several_arms_are_labelled_each_on_its_own_with_numbers_unique_in_the_episode() -> None:
    left, right = pick(2)
    n = min(len(left), len(right))
    arms = {
        side: Manipulator(**{name: x[:n] for name, x in r.manipulators["arm"].channels().items()})
        for side, r in (("left", left), ("right", right))
    }
    both = Rollout(
        episode_id="two",
        time=left.time[:n],
        manipulators=arms,
        object_position={name: x[:n] for name, x in left.object_position.items()},
    )
    whole = ENGINE.segment(RolloutBatch.from_rollouts([both]))
    assert sorted(whole.segment_id.tolist()) == list(range(len(whole)))
    stream = ENGINE.stream("two")
    given = []
    for k in range(n):
        one = {side: {name: x[k] for name, x in m.channels().items()} for side, m in arms.items()}
        objects = {name: x[k] for name, x in both.object_position.items()}
        given.append(stream.push({"time": both.time[k], "manipulators": one, "object_position": objects}))
    given.append(stream.finish())
    assert SegmentTable.concat(given).segment_id.tolist() == list(range(len(whole)))
    assert rows_of(*given) == rows_of(whole)


def test_what_is_provisional_changes_nothing_and_covers_what_was_not_given() -> None:
    rollout = pick()[0]
    stream = ENGINE.stream(rollout.episode_id, robot=rollout.robot, goal=rollout.goal)
    given: list[SegmentTable] = []
    covered = 0
    for k in range(len(rollout)):
        given.append(stream.push(single(rollout, k, tuple(rollout.object_position))))
        covered = max([covered, *given[-1].end_frame.tolist()])
        if k % 20 == 0:
            now = list(stream.provisional())
            assert (now[0].start_frame, now[-1].end_frame) == (covered, k + 1)
    given.append(stream.finish())
    assert len(stream.provisional()) == 0
    poses = rollout.with_(object_orientation={}, object_confidence={})
    assert rows_of(*given) == batch_of(poses)


def test_segments_bear_the_number_of_their_episode_in_a_stream_as_in_a_batch() -> None:
    rollout = pick()[0]
    stream = ENGINE.stream(rollout.episode_id, episode_index=7, robot=rollout.robot, goal=rollout.goal)
    streamed = [stream.push(rollout), stream.finish()]
    whole = ENGINE.segment(RolloutBatch.from_rollouts([rollout], first_index=7))
    assert {segment.episode_index for segment in whole} == {7}
    assert rows_of(*streamed) == rows_of(whole)


def test_a_goal_is_judged_by_the_stream_as_by_the_batch() -> None:
    rollout = pick()[0]
    assert rollout.goal is not None
    strict = replace(rollout.goal, tolerance=1e-6)
    outcomes = []
    for goal in (rollout.goal, strict):
        stream = SegmentationEngine().stream("e", robot=rollout.robot, goal=goal)
        outcomes.append([s.failure_reason for s in SegmentTable.concat([stream.push(rollout), stream.finish()])])
    assert "misplaced" in outcomes[1]
    assert "misplaced" not in outcomes[0]


def test_fitted_scales_are_looked_up_by_the_robot_that_was_declared() -> None:
    rollouts = pick(3)
    engine = ENGINE.fit([RolloutBatch.from_rollouts(rollouts)])
    rollout = rollouts[0]
    stream = engine.stream(rollout.episode_id, robot=rollout.robot, goal=rollout.goal)
    found = rows_of(stream.push(rollout), stream.finish())
    assert found == rows_of(engine.segment(RolloutBatch.from_rollouts([rollout])))


def test_a_stream_tells_its_look_ahead() -> None:
    assert ENGINE.stream("e").look_ahead_s == pytest.approx(4.0)
