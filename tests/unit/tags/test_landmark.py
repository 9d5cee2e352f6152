import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tag_worlds import CONTACT, batch_of, halves, reach

from sima2.records.rollout import RolloutBatch
from sima2.tags.landmark import landmarks
from sima2.tags.observations import observe, observe_risk

NOMINAL = {"pulling": 9.0}


def test_the_landmark_is_the_confirmed_first_contact():
    marks = landmarks(batch_of(20), NOMINAL)
    assert marks.contact.all()
    assert np.abs(marks.frames - (CONTACT + 2)).max() <= 1


def test_without_force_a_gripper_that_closes_and_stops_is_a_contact():
    batch = batch_of(10).without("grip_force", "contact_force")
    marks = landmarks(batch, NOMINAL)
    assert marks.contact.all()
    assert ((marks.frames >= CONTACT - 4) & (marks.frames <= CONTACT + 4)).all()


def test_without_contact_the_landmark_is_a_share_of_the_nominal_duration():
    marks = landmarks(batch_of(3).without("grip_force", "contact_force", "gripper_width"), {"pulling": 2.0})
    assert not marks.contact.any()
    assert marks.frames.tolist() == [21, 21, 21]  # the first frame at or after 1 s


def test_without_contact_and_without_nominal_duration_there_is_no_landmark():
    marks = landmarks(batch_of(2).without("grip_force", "contact_force", "gripper_width"), {})
    assert marks.frames.tolist() == [0, 0]


def test_noise_alone_is_no_contact():
    noise = np.random.default_rng(1).standard_normal((50, 400)).astype(np.float32)
    rollouts = [
        reach(i, frames=400, contact=399, grip_force=row, contact_force=np.abs(row), gripper_width=np.full(400, 0.08))
        for i, row in enumerate(noise)
    ]
    marks = landmarks(RolloutBatch.from_rollouts(rollouts), {"pulling": 40.0})
    assert marks.contact.mean() <= 0.06


def test_empty_and_one_frame_episodes_have_no_landmark_by_contact():
    batch = RolloutBatch.from_rollouts([reach(0, frames=1), reach(1).with_(episode_id="x")]).prefix(np.array([0, 90]))
    marks = landmarks(batch, NOMINAL)
    assert marks.contact.tolist() == [False, True]
    assert len(landmarks(RolloutBatch.from_rollouts([]), NOMINAL).frames) == 0


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    contact=st.integers(12, 70),
    cut=st.integers(0, 90),
    silent=st.sampled_from([(), ("grip_force", "contact_force"), ("grip_force", "contact_force", "gripper_width")]),
    nominal=st.floats(0.5, 12.0),
)
def test_frames_after_the_landmark_do_not_move_it(seed, contact, cut, silent, nominal):
    batch = RolloutBatch.from_rollouts([reach(seed, contact=contact)]).without(*silent)
    whole = landmarks(batch, {"pulling": nominal})
    kept = max(int(whole.frames[0]), cut)
    again = landmarks(batch.prefix(np.array([kept])), {"pulling": nominal})
    assert again.frames[0] == whole.frames[0]
    assert again.contact[0] == whole.contact[0]


def test_what_is_known_at_the_landmark_does_not_read_what_comes_after():
    batch = batch_of(6)
    marks = landmarks(batch, NOMINAL)
    length = np.minimum(marks.frames + 3, batch.length)
    cut = observe(batch.prefix(length), halves(batch.prefix(length)), halves, NOMINAL).risk
    whole = observe(batch, halves(batch), halves, NOMINAL).risk
    np.testing.assert_array_equal(whole.feature, cut.feature)
    np.testing.assert_array_equal(whole.embedding, cut.embedding)
    assert whole.object.tolist() == cut.object.tolist()


def test_an_observation_does_not_depend_on_its_batch():
    batch = batch_of(7)
    together = observe(batch, halves(batch), halves, NOMINAL)
    for i in (0, 3, 6):
        one = batch.take([i])
        alone = observe(one, halves(one), halves, NOMINAL)
        np.testing.assert_array_equal(together.risk.feature[i], alone.risk.feature[0])
        mine = np.flatnonzero(together.segments.episode_id.isin(batch.episodes.episode_id[i]))
        for name in ("embedding", "log_duration", "max_speed", "cut"):
            np.testing.assert_array_equal(getattr(together.segments, name)[mine], getattr(alone.segments, name))


def test_a_cut_segment_has_no_duration_and_no_outcome_yet():
    batch = batch_of(2)
    rows = observe(batch, halves(batch), halves, NOMINAL).segments
    last = rows.take(rows.cut & (rows.label.isin("pull")))
    assert len(last) == 2
    assert np.isnan(last.log_duration).all()
    assert not np.isnan(rows.take(~rows.cut).log_duration).any()


def test_features_measure_what_they_say():
    batch = batch_of(1)
    seen = observe(batch, halves(batch), halves, NOMINAL).risk
    from sima2.tags.prefix import FEATURES

    value = dict(zip(FEATURES, seen.feature[0].tolist(), strict=True))
    assert value["elapsed_s"] == pytest.approx((CONTACT + 1) / 20, abs=0.06)
    assert value["clearance"] == pytest.approx(0.3, abs=0.02)
    assert value["object_distance"] < 0.01
    assert value["grip_force"] == pytest.approx(8.0, abs=0.5)
    assert value["objects"] == 2
    assert value["object_confidence"] == pytest.approx(0.9)
    assert seen.object.tolist() == ["block_a"]


def test_a_channel_that_is_absent_is_missing_not_zero():
    batch = batch_of(2).without("ee_position", "embedding", "objects")
    seen = observe_risk(batch, halves(batch), landmarks(batch, NOMINAL))
    from sima2.tags.prefix import FEATURES

    assert np.isnan(seen.feature[:, FEATURES.index("speed_max")]).all()
    assert np.isnan(seen.feature[:, FEATURES.index("clearance")]).all()
    assert seen.embedding.shape == (2, 0)
    assert seen.object.tolist() == ["block_a", "block_a"]


def test_renaming_objects_only_renames_outputs():
    batch = batch_of(3)
    renamed = RolloutBatch.from_rollouts(
        [
            r.with_(
                object_position={"x" + k: v for k, v in r.object_position.items()},
                object_confidence={"x" + k: v for k, v in r.object_confidence.items()},
            )
            for r in batch
        ]
    )
    a = observe(batch, halves(batch), halves, NOMINAL).risk
    b = observe(renamed, halves(renamed), halves, NOMINAL).risk
    np.testing.assert_array_equal(a.feature, b.feature)


def test_joint_speed_comes_from_positions_where_no_velocity_was_recorded():
    from sima2.tags.prefix import FEATURES

    angle = np.outer(np.arange(90) / 20.0, [0.5, -1.5]).astype(np.float32)
    batch = RolloutBatch.from_rollouts([reach(0, joint_position=angle, joint_velocity=None, joint_torque=None)])
    seen = observe(batch, halves(batch), halves, NOMINAL).risk
    assert seen.feature[0, FEATURES.index("joint_speed_max")] == pytest.approx(1.5, rel=1e-3)
