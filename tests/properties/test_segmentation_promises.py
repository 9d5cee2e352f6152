"""What the segmentation engine promises on any robot, held on three sources that share nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import other_robot
from sima2 import Rollout, RolloutBatch, SegmentationEngine, Sima2Client
from sima2.records.segments import SegmentTable
from sima2.records.vocabulary import LABELS, OUTCOMES, REASONS


def library() -> RolloutBatch:
    batches = [
        Sima2Client(seed=3).rollouts(family=family, count=8).batch
        for family in ("drawer_open", "pick_and_place", "wipe_surface")
    ]
    return RolloutBatch.from_rollouts(
        [
            replace(rollout, episode_id=f"{k}-{rollout.episode_id}", manipulators={})
            for k, batch in enumerate(batches)
            for rollout in batch
        ]
    )


def other() -> RolloutBatch:
    return RolloutBatch.from_rollouts([rollout for rollout, _, _ in other_robot.make(12, seed=5)])


def simulator() -> RolloutBatch:
    pytest.importorskip("mujoco")
    return (
        Sima2Client(backend="mujoco", seed=3)
        .source(families=("drawer_open", "pick_and_place"), episodes=5)
        .read(0, 10)
        .batch
    )


SOURCES: dict[str, Callable[[], RolloutBatch]] = {"library": library, "other_robot": other, "simulator": simulator}


@pytest.fixture(scope="module", params=sorted(SOURCES))
def batch(request: pytest.FixtureRequest) -> RolloutBatch:
    return SOURCES[request.param]()


def plain(table: SegmentTable) -> list[dict[str, object]]:
    return [{k: (None if v != v else v) for k, v in row.items()} for row in table.rows()]


def test_segments_cover_every_frame_once_in_order(batch: RolloutBatch) -> None:
    table = SegmentationEngine().segment(batch)
    for i, eid in enumerate(batch.episodes.episode_id):
        for arm in batch.manipulators:
            rows = [s for s in table if s.episode_id == eid and s.manipulator == arm]
            assert rows[0].start_frame == 0
            assert rows[-1].end_frame == batch.length[i]
            assert all(a.end_frame == b.start_frame for a, b in itertools.pairwise(rows))


def test_every_label_outcome_and_reason_is_of_its_vocabulary_and_confidence_is_a_probability(
    batch: RolloutBatch,
) -> None:
    for s in SegmentationEngine().segment(batch):
        assert s.label in LABELS
        assert s.outcome in OUTCOMES
        assert s.failure_reason in REASONS
        assert 0.0 <= s.confidence <= 1.0
        assert (s.failure_reason != "") == (s.outcome in ("failure", "retry"))


def test_an_episode_has_the_same_segments_alone_in_any_batch_and_in_any_order(batch: RolloutBatch) -> None:
    engine = SegmentationEngine()
    whole = plain(engine.segment(batch))
    order = np.random.default_rng(0).permutation(len(batch))
    shuffled = plain(engine.segment(batch.take(order)))
    assert sorted(whole, key=str) == sorted(shuffled, key=str)
    for i in range(0, len(batch), 5):
        eid = batch.episodes.episode_id[i]
        assert plain(engine.segment(batch.take([i]))) == [row for row in whole if row["episode_id"] == eid]


def test_names_and_provenance_change_nothing_but_names(batch: RolloutBatch) -> None:
    engine = SegmentationEngine()
    renamed = RolloutBatch.from_rollouts(
        [
            rollout.with_(
                episode_id=f"x{i}",
                family="unknown",
                policy="p",
                session="s",
                instruction="",
                provenance={},
                goal=None
                if rollout.goal is None
                else replace(rollout.goal, object=f"zz_{rollout.goal.object}", target=f"zz_{rollout.goal.target}"),
                object_position={f"zz_{k}": v for k, v in rollout.object_position.items()},
                object_orientation={f"zz_{k}": v for k, v in rollout.object_orientation.items()},
                object_confidence={f"zz_{k}": v for k, v in rollout.object_confidence.items()},
            )
            for i, rollout in enumerate(batch)
        ]
    )
    before, after = engine.segment(batch), engine.segment(renamed)
    assert [f"zz_{name}" if name else "" for name in before.object] == after.object.tolist()
    for name in ("label", "outcome", "failure_reason"):
        assert getattr(before, name).tolist() == getattr(after, name).tolist()
    np.testing.assert_array_equal(before.start_frame, after.start_frame)
    np.testing.assert_array_equal(before.confidence, after.confidence)


def test_the_input_is_left_as_it_was_and_the_output_cannot_be_written(batch: RolloutBatch) -> None:
    before = [None if r.ee_position is None else r.ee_position.copy() for r in batch]
    table = SegmentationEngine().segment(batch)
    for a, r in zip(before, batch, strict=True):
        assert a is None or np.array_equal(a, r.ee_position, equal_nan=True)
    assert not table.start_frame.flags.writeable


@pytest.mark.parametrize(
    "absent",
    [
        ("grip_force", "contact_force"),
        ("objects",),
        ("grip_force", "contact_force", "objects"),
        ("grip_force", "contact_force", "objects", "ee_position", "ee_orientation"),
        ("gripper_width",),
        ("joint_position", "joint_velocity", "joint_torque"),
    ],
    ids="+".join,
)
def test_it_works_from_the_channels_that_are_there_and_says_which(batch: RolloutBatch, absent: tuple[str, ...]) -> None:
    fewer = batch.without(*absent)
    full = SegmentationEngine().segment(batch)
    table = SegmentationEngine().segment(fewer)
    used = set("+".join(table.channels_used.tolist()).split("+"))
    assert not used & set(absent)
    assert used <= set("+".join(full.channels_used.tolist()).split("+"))
    if {"grip_force", "objects"} <= set(absent):
        # what was lost shows only in fingers that then close
        assert (table.width_change[table.label.isin("slip")] < 0).all()
        assert not table.failure_reason.isin("drop").any()


def test_fitted_scales_do_not_depend_on_the_order_of_episodes(batch: RolloutBatch) -> None:
    order = np.random.default_rng(1).permutation(len(batch))
    assert SegmentationEngine().fit([batch]) == SegmentationEngine().fit([batch.take(order)])


def bare(frames: int, **channels: object) -> Rollout:
    return Rollout(episode_id="e", time=np.arange(frames) * 0.05, **channels)  # type: ignore[arg-type]


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 5])
def test_short_rollouts_have_a_sensible_segmentation(frames: int) -> None:
    channels = {
        "ee_position": np.zeros((frames, 3)),
        "gripper_width": np.full(frames, 0.05),
        "grip_force": np.zeros(frames),
        "object_position": {"cup": np.zeros((frames, 3))},
    }
    table = SegmentationEngine().segment(RolloutBatch.from_rollouts([bare(frames, **channels)]))
    assert sum(s.end_frame - s.start_frame for s in table) == frames


def test_a_rollout_with_no_motion_channel_is_unknown() -> None:
    table = SegmentationEngine().segment(RolloutBatch.from_rollouts([bare(30, action=np.zeros((30, 2)))]))
    assert table.label.tolist() == ["unknown"]


finite = st.floats(-1e3, 1e3, width=32)
numbers = st.one_of(finite, st.just(np.nan))


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_finite_or_missing_input_raises(data: st.DataObject) -> None:
    frames = data.draw(st.integers(0, 40))
    seed = data.draw(st.integers(0, 10**6))
    rng = np.random.default_rng(seed)

    def channel(*tail: int) -> np.ndarray | None:
        kind = data.draw(st.sampled_from(["absent", "noise", "constant", "steps", "gaps"]))
        if kind == "absent":
            return None
        x = rng.normal(0, data.draw(st.sampled_from([1e-6, 0.1, 50.0])), (frames, *tail))
        if kind == "constant":
            x[:] = data.draw(finite)
        if kind == "steps":
            x = np.cumsum(rng.integers(-1, 2, (frames, *tail)), axis=0).astype(float)
        if kind == "gaps":
            x[rng.random(frames) < 0.5] = np.nan
        return x

    objects = {name: channel(3) for name in ("a", "b")}
    rollout = bare(
        frames,
        joint_position=channel(3),
        ee_position=channel(3),
        gripper_width=channel(),
        grip_force=channel(),
        contact_force=channel(),
        object_position={k: v for k, v in objects.items() if v is not None},
    )
    table = SegmentationEngine().segment(RolloutBatch.from_rollouts([rollout]))
    assert sum(s.end_frame - s.start_frame for s in table) == frames
