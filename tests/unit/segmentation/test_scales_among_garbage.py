"""What is noise and no motion has no part in a robot's range."""

import numpy as np

from sima2 import RolloutBatch, SegmentationEngine, Sima2Client
from sima2.records.rollout import Rollout
from sima2.segmentation.scales import fit_scales


def rollout(k, position, width):
    frames = len(position)
    return Rollout(
        episode_id=f"e{k}", robot="r", time=np.arange(frames) * 0.05, ee_position=position, gripper_width=width
    )


def reaching(k, rng):
    t = np.linspace(0, 6, 120)[:, None]
    position = 0.2 * np.sin(t + rng.uniform(0, 3, 3)) + rng.normal(0, 1e-4, (120, 3))
    return rollout(k, position.astype(np.float32), (0.04 + 0.04 * np.sin(t[:, 0])).astype(np.float32))


def noise(k, rng):
    return rollout(k, rng.standard_normal((120, 3)).astype(np.float32), rng.standard_normal(120).astype(np.float32))


def test_white_noise_moves_no_scale() -> None:
    rng = np.random.default_rng(0)
    good = [reaching(k, rng) for k in range(20)]
    clean = fit_scales([RolloutBatch.from_rollouts(good)]).of("r", "arm")
    among = fit_scales([RolloutBatch.from_rollouts([*good, *(noise(k, rng) for k in range(20, 40))])]).of("r", "arm")
    assert among == clean
    assert 0.07 < clean.width_open < 0.09


def test_a_robot_of_which_only_noise_is_known_has_the_range_of_that() -> None:
    rng = np.random.default_rng(1)
    scale = fit_scales([RolloutBatch.from_rollouts([noise(0, rng)])]).of("r", "arm")
    assert scale.width_open > 1.0


def test_noise_in_the_calibration_leaves_the_segments_of_good_rollouts_as_they_were() -> None:
    rng = np.random.default_rng(2)
    batch, _, _ = Sima2Client(seed=5).rollouts(family="drawer_open", count=30)
    arms = [each.manipulators["arm"] for each in batch]
    spoilt = [
        Rollout(
            episode_id=f"noise{k}",
            robot=batch[k].robot,
            time=batch[k].time,
            ee_position=rng.standard_normal(arms[k].ee_position.shape).astype(np.float32),
            gripper_width=rng.standard_normal(arms[k].gripper_width.shape).astype(np.float32),
        )
        for k in range(8)
    ]
    clean = SegmentationEngine().fit([batch]).segment(batch)
    among = SegmentationEngine().fit([batch, RolloutBatch.from_rollouts(spoilt)]).segment(batch)
    assert among.label.tolist() == clean.label.tolist()
    assert among.outcome.tolist() == clean.outcome.tolist()
    np.testing.assert_array_equal(among.start_frame, clean.start_frame)
