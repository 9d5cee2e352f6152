"""Planted faults: each is what it says it is, leaves the episode itself alone, and is the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from carried_cups import LAG, RATE, carried
from sima2.defects.planting import BEHAVIOUR, HARMLESS, KINDS, SIGNALS, Host, Plant, Usual, plant
from sima2.defects.planting.editing import at_rows, follows, noise_of
from sima2.errors import UnknownNameError
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.segmentation_engine import SegmentationEngine


@pytest.fixture(scope="module")
def hosts() -> list[Host]:
    return hosts_of([carried(k) for k in range(6)])


def hosts_of(rollouts: list[Rollout]) -> list[Host]:
    batch = RolloutBatch.from_rollouts(rollouts)
    table = SegmentationEngine().fit([batch]).segment(batch)
    usual = Usual.of(rollouts)
    return [
        Host(each, tuple(s for s in table if s.episode_id == each.episode_id), usual, rollouts[k - 1])
        for k, each in enumerate(rollouts)
    ]


def channels(rollout: Rollout) -> dict[str, np.ndarray]:
    return {"time": rollout.time, **rollout.manipulators["arm"].channels(), **rollout.object_position}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_is_planted_where_it_says_and_the_same_every_time(hosts: list[Host], kind: str) -> None:
    before = {name: value.copy() for name, value in channels(hosts[0].rollout).items()}
    one, two = (plant(kind, hosts[0], np.random.default_rng(5)) for _ in range(2))
    if isinstance(one, str):
        assert kind in ("truncated", "clipped_channel", "mixed_polarity")
        return
    assert isinstance(two, Plant)
    assert 0 <= one.start < one.end <= len(one.rollout) + 1
    for name, value in channels(one.rollout).items():
        np.testing.assert_array_equal(value, channels(two.rollout)[name])
    changed = (
        len(one.rollout) != len(hosts[0].rollout)
        or any(not np.array_equal(value, before[name], equal_nan=True) for name, value in channels(one.rollout).items())
        or not np.array_equal(one.rollout.action, hosts[0].rollout.action)
    )
    assert changed
    for name, value in channels(hosts[0].rollout).items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("kind", ["teleport", "frozen_channel", "missing_samples", "noise_burst"])
def test_outside_of_its_frames_a_short_defect_changes_no_position(hosts: list[Host], kind: str) -> None:
    made = plant(kind, hosts[1], np.random.default_rng(2))
    assert isinstance(made, Plant)
    outside = np.r_[0 : made.start, made.end : len(made.rollout)]
    for name in ("joint_position", "ee_position", "gripper_width"):
        new, old = (x.manipulators["arm"].channels()[name] for x in (made.rollout, hosts[1].rollout))
        np.testing.assert_array_equal(new[outside], old[outside])


def test_a_grasp_made_empty_shuts_the_fingers_and_leaves_the_thing(hosts: list[Host]) -> None:
    made = plant("missed_and_carried_on", hosts[0], np.random.default_rng(0))
    assert isinstance(made, Plant)
    assert made.fails
    arm, cup = made.rollout.manipulators["arm"], made.rollout.object_position["cup"]
    assert arm.gripper_width is not None
    assert arm.grip_force is not None
    assert arm.effort_proxy is not None
    assert np.median(arm.gripper_width[80:150]) < 0.015
    assert np.nanmax(arm.grip_force[made.start : 150]) < 1.0
    assert np.abs(np.nanmedian(arm.effort_proxy[80:150, 3])) < 3.0
    assert np.abs(cup - cup[0]).max() < 1e-3
    assert len(made.rollout) == len(hosts[0].rollout)


def test_a_missed_grasp_that_is_tried_again_ends_as_the_episode_did(hosts: list[Host]) -> None:
    made = plant("missed_grasp_retried", hosts[0], np.random.default_rng(0))
    assert isinstance(made, Plant)
    assert not made.fails
    assert len(made.rollout) > len(hosts[0].rollout)
    np.testing.assert_array_equal(
        made.rollout.object_position["cup"][-40:], hosts[0].rollout.object_position["cup"][-40:]
    )
    steps = np.abs(np.diff(made.rollout.joint_position, axis=0)).max()  # type: ignore[arg-type]
    assert steps < 1.5 * np.abs(np.diff(hosts[0].rollout.joint_position, axis=0)).max()  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["slip", "drop", "early_release"])
def test_what_is_lost_on_the_way_falls_to_where_it_was_taken(hosts: list[Host], kind: str) -> None:
    made = plant(kind, hosts[0], np.random.default_rng(1))
    assert isinstance(made, Plant)
    cup = made.rollout.object_position["cup"]
    assert cup[made.start - 1, 2] > 0.05
    assert np.abs(cup[-1, 2]) < 0.005
    np.testing.assert_allclose(cup[-1, :2], cup[made.start, :2], atol=1e-3)
    width = made.rollout.manipulators["arm"].gripper_width
    assert width is not None
    inside = width[made.start + 6 : made.end - 2]
    assert (inside.max() > 0.06) if kind == "early_release" else (np.median(inside) < 0.015)


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_change_leaves_motion_as_it_is(hosts: list[Host], name: str) -> None:
    old = hosts[0].rollout
    made = HARMLESS[name](old, np.random.default_rng(0))
    assert abs(len(made) - len(old)) <= 4
    n = min(len(made), len(old)) - 8
    shift = np.abs(made.joint_position[4 : 4 + n] - old.joint_position[4 : 4 + n]).max()  # type: ignore[index]
    assert shift < 0.08
    assert abs(made.time[-1] - old.time[-1]) < 0.04 * old.time[-1]


def test_where_there_is_no_room_it_is_said_why(hosts: list[Host]) -> None:
    bare = Rollout("bare", time=np.arange(60) / RATE, ee_position=np.zeros((60, 3)))
    host = hosts_of([bare, bare.with_(episode_id="other")])[0]
    for kind in BEHAVIOUR:
        assert plant(kind, host, np.random.default_rng(0)) == "no gripper is recorded"
    assert plant("action_lag", host, np.random.default_rng(0)) == "no commands are recorded"
    assert "joint" in str(plant("teleport", host, np.random.default_rng(0)))
    with pytest.raises(UnknownNameError, match="kind of fault"):
        plant("gremlin", host, np.random.default_rng(0))
    assert set(KINDS) == {*SIGNALS, *BEHAVIOUR}


def test_how_a_residual_was_made_is_found_again() -> None:
    one = carried(3)
    arm = one.manipulators["arm"]
    assert arm.effort_proxy is not None
    assert one.action is not None
    assert arm.gripper_width is not None
    made = follows(one.action, arm.gripper_width, arm.effort_proxy[:, 3], 1 / RATE)
    assert made is not None
    assert made.lag == LAG
    assert made.column == 3
    assert made.unit == pytest.approx(0.001, rel=0.02)


def test_noise_is_told_from_motion() -> None:
    rng = np.random.default_rng(0)
    values = np.sin(np.linspace(0, 3, 400)) + rng.normal(0, 0.01, 400)
    assert noise_of(values.astype(np.float32))[0] == pytest.approx(0.01, rel=0.2)


def test_frames_can_be_taken_in_any_order_of_a_robot_with_two_arms() -> None:
    one = carried(0)
    arm = one.manipulators["arm"]
    two = Rollout("two", time=one.time, manipulators={"left": arm, "right": arm})
    made = at_rows(two, np.array([0, 0, 5]))
    assert made.time.tolist() == pytest.approx([0, 0.05, 0.1])
    np.testing.assert_array_equal(made.manipulators["left"].joint_position, one.joint_position[[0, 0, 5]])  # type: ignore[index]
