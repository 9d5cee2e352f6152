"""Rollouts and batches: validated at birth, frozen, lossless in both directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sima2.errors import RolloutError
from sima2.records.rollout import Manipulator, Rollout, RolloutBatch, fold_of


def rollout(eid: str, frames: int, **channels: Any) -> Rollout:
    return Rollout(episode_id=eid, time=np.arange(frames) * 0.05, **channels)


def full(eid: str, frames: int, joints: int, objects: list[str], seed: int) -> Rollout:
    rng = np.random.default_rng(seed)
    return rollout(
        eid,
        frames,
        joint_position=rng.normal(size=(frames, joints)),
        ee_position=rng.normal(size=(frames, 3)),
        grip_force=rng.normal(size=frames),
        object_position={name: rng.normal(size=(frames, 3)) for name in objects},
        object_confidence={name: rng.uniform(size=frames) for name in objects[:1]},
        action=rng.normal(size=(frames, 2)),
        family="f",
    )


def same(a: Rollout, b: Rollout) -> bool:
    def equal(x: Any, y: Any) -> bool:
        if x is None or y is None:
            return x is y
        return bool(np.array_equal(x, y, equal_nan=True))

    arms = a.manipulators.keys() == b.manipulators.keys() and all(
        equal(getattr(a.manipulators[arm], name), getattr(b.manipulators[arm], name))
        for arm in a.manipulators
        for name in a.manipulators[arm].channels() | b.manipulators[arm].channels()
    )
    objects = list(a.object_position) == list(b.object_position) and all(
        equal(a.object_position[name], b.object_position[name]) for name in a.object_position
    )
    return arms and objects and equal(a.time, b.time) and equal(a.action, b.action) and a.episode_id == b.episode_id


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=5))
def test_a_batch_gives_back_the_rollouts_it_was_made_of(shapes: list[tuple[int, int, int]]) -> None:
    rollouts = [full(f"e{i}", t, j, [f"o{k}" for k in range(n)], i) for i, (t, j, n) in enumerate(shapes)]
    rollouts.append(rollout("bare", 3))
    force = Manipulator(grip_force=np.ones(2, np.float32))
    rollouts.append(rollout("two", 2, manipulators={"left": force, "right": force}))
    batch = RolloutBatch.from_rollouts(rollouts)
    for i, original in enumerate(rollouts):
        assert same(batch[i], original)
    for where, part in batch.by_layout():
        for k, i in enumerate(where):
            assert same(part[k], batch[int(i)])


def test_a_channel_that_was_not_recorded_is_none_even_beside_one_that_has_it() -> None:
    batch = RolloutBatch.from_rollouts([rollout("a", 2, grip_force=np.zeros(2)), rollout("b", 2)])
    assert batch[0].grip_force is not None
    assert batch[1].grip_force is None


@pytest.mark.parametrize(
    ("channels", "reason"),
    [
        ({"grip_force": np.zeros(3)}, "mixed_dimensions"),
        ({"ee_position": np.zeros((2, 2))}, "mixed_dimensions"),
        ({"ee_position": np.full((2, 3), np.inf)}, "not_finite"),
        ({"time": [0.0, np.nan]}, "not_finite"),
        ({"time": [0.0, 0.0]}, "time_not_increasing"),
        ({"time": [1.0, 0.5]}, "time_not_increasing"),
        ({"object_confidence": {"ghost": np.zeros(2)}}, "mixed_dimensions"),
    ],
)
def test_a_malformed_rollout_is_refused_with_a_reason_code(channels: dict[str, Any], reason: str) -> None:
    with pytest.raises(RolloutError) as caught:
        Rollout(**{"episode_id": "e", "time": [0.0, 0.1], **channels})
    assert caught.value.reason == reason


def test_columns_cannot_be_written() -> None:
    batch = RolloutBatch.from_rollouts([full("a", 4, 2, ["x"], 0)])
    assert batch.object_position is not None
    for column in (batch.time, batch.offset, batch.arm.ee_position, batch.object_position, batch[0].time):
        assert column is not None
        assert not column.flags.writeable


def test_a_prefix_holds_the_first_frames_and_nothing_later() -> None:
    batch = RolloutBatch.from_rollouts([full("a", 6, 2, ["x"], 0), full("b", 4, 2, ["x"], 1)])
    cut = batch.prefix(np.array([2, 9]))
    assert cut.length.tolist() == [2, 4]
    np.testing.assert_array_equal(cut[0].ee_position, batch[0].ee_position[:2])  # type: ignore[index]


def test_channels_can_be_taken_away() -> None:
    batch = RolloutBatch.from_rollouts([full("a", 4, 2, ["x"], 0)]).without("grip_force", "objects")
    assert batch[0].grip_force is None
    assert not batch[0].object_position
    assert batch[0].ee_position is not None


def test_folds_come_from_the_id_alone_and_are_even() -> None:
    folds = np.bincount([fold_of(f"e{i}", 5) for i in range(5000)], minlength=5)
    assert folds.min() > 900


@pytest.mark.parametrize(
    "channels", [{"time": ["a", "b"]}, {"ee_position": [["x"] * 3] * 2}, {"ee_position": [[0.0], [0.0, 1.0]]}]
)
def test_what_is_no_number_is_refused_with_a_reason_code(channels: dict[str, Any]) -> None:
    with pytest.raises(RolloutError) as caught:
        Rollout(**{"episode_id": "e", "time": [0.0, 0.1], **channels})
    assert caught.value.reason == "not_numeric"
