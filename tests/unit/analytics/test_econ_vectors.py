from dataclasses import replace

import numpy as np
import pytest

from sima2.analytics.econ import econ_vectors
from sima2.analytics.econ_settings import GRAVITY, EconSettings
from sima2.errors import RecordError
from sima2.records.outcome import Outcome
from sima2.records.rollout import Manipulator, Rollout, RolloutBatch

RATE = 20.0


def arm(frames, seed=0, *, force=None, speed=0.5, torque=4.0):
    rng = np.random.default_rng(seed)
    home = np.array([0.4, 0.0, 0.4])
    hand = home + np.cumsum(rng.normal(0, 0.005, (frames, 3)), axis=0)
    return {
        "ee_position": hand,
        "joint_velocity": np.full((frames, 3), speed) + rng.normal(0, 0.01, (frames, 3)),
        "joint_torque": np.full((frames, 3), torque) + rng.normal(0, 0.1, (frames, 3)),
        "contact_force": np.abs(rng.normal(0, 0.1, frames)) if force is None else force,
    }


def rollout(name, frames=100, **channels):
    time = np.arange(frames) / RATE
    return Rollout(episode_id=name, time=time, family="dish_place", **channels)


def one(episode, success=1.0, failed_at=np.nan, **given):
    outcome = replace(Outcome.unknown(1), success=np.array([success]), failed_at_s=np.array([failed_at]))
    return next(econ_vectors(RolloutBatch.from_rollouts([episode]), outcome, **given).rows())


def falling_cup(frames=100, from_m=0.8, start=40, noise=0.002):
    rng = np.random.default_rng(3)
    t = np.maximum(0.0, (np.arange(frames) - start) / RATE)
    z = np.maximum(0.0, from_m - 0.5 * GRAVITY * t**2)
    return np.stack([np.full(frames, 0.4), np.zeros(frames), z], axis=1) + rng.normal(0, noise, (frames, 3))


def test_an_hourly_product_is_units_over_hours():
    row = one(rollout("a", 101, **arm(101)))
    assert row["duration_s"] == pytest.approx(5.0)
    assert row["mpl"] == pytest.approx(3600 / 5.0)


def test_energy_is_mechanical_resistive_and_idle():
    settings = EconSettings()
    frames = 201
    flat = {"joint_torque": np.full((frames, 2), 6.0), "joint_velocity": np.full((frames, 2), -0.5)}
    watts = 2 * (3.0 + (6.0 / settings.motor_constant) ** 2) + settings.idle_watts
    assert one(rollout("a", frames, **flat))["energy_wh"] == pytest.approx(watts * 10 / 3600, rel=1e-6)


def test_braking_gives_nothing_back_and_a_stalled_arm_draws_current():
    frames = 50
    drive = {"joint_torque": np.full((frames, 1), 5.0), "joint_velocity": np.full((frames, 1), 1.0)}
    brake = {**drive, "joint_velocity": -drive["joint_velocity"]}
    stall = {**drive, "joint_velocity": 0 * drive["joint_velocity"]}
    rest = {name: 0 * value for name, value in drive.items()}
    wh = [one(rollout("a", frames, **each))["energy_wh"] for each in (drive, brake, stall, rest)]
    assert wh[0] == wh[1] > wh[2] > wh[3] > 0


def test_manipulators_are_summed():
    frames = 60
    sides = {name: arm(frames, k) for k, name in enumerate(("left", "right"))}
    both = Rollout(
        episode_id="two",
        time=np.arange(frames) / RATE,
        manipulators={name: Manipulator(**channels) for name, channels in sides.items()},
    )
    alone = [one(rollout(name, frames, **channels))["energy_wh"] for name, channels in sides.items()]
    assert one(both)["energy_wh"] == pytest.approx(sum(alone), rel=1e-9)


def test_missing_frames_take_the_mean_power_and_mostly_missing_ones_none():
    channels = arm(200)
    whole = one(rollout("a", 200, **channels))["energy_wh"]
    channels["joint_torque"][20:60] = np.nan
    assert one(rollout("a", 200, **channels))["energy_wh"] == pytest.approx(whole, rel=0.02)
    channels["joint_torque"][20:180] = np.nan
    assert np.isnan(one(rollout("a", 200, **channels))["energy_wh"])


def test_an_absent_channel_is_not_a_zero():
    row = one(rollout("a", 50, ee_position=np.zeros((50, 3))))
    assert np.isnan(row["energy_wh"])
    assert np.isnan(row["damage"])
    assert np.isnan(row["wage_parity"])


def test_an_unknown_outcome_leaves_its_costs_unknown():
    row = one(rollout("a", 50, **arm(50)), success=np.nan)
    assert np.isnan([row["success"], row["mpl"], row["wage_parity"], row["resilience"]]).all()
    assert row["energy_wh"] > 0


def test_work_against_a_lasting_force_does_no_damage_and_a_short_blow_does():
    quiet = np.abs(np.random.default_rng(0).normal(0, 0.2, 200))
    pull, blow = quiet.copy(), quiet.copy()
    pull[60:120] += 20.0
    blow[100:102] += 20.0
    harm = [one(rollout("a", 200, **arm(200, force=force)))["damage"] for force in (quiet, pull, blow)]
    assert harm[0] == harm[1] == 0.0
    assert harm[2] > 0


def test_setting_an_object_down_breaks_nothing():
    force = np.zeros(100)
    force[50:52] = 2.5
    assert one(rollout("a", 100, **arm(100, force=force)))["damage"] == 0.0


def test_a_harder_blow_does_more_damage_until_the_thing_is_lost():
    def harm(newtons):
        force = np.zeros(100)
        force[50:52] = newtons
        return one(rollout("a", 100, **arm(100, force=force)))["damage"]

    settings = EconSettings()
    values = [harm(newtons) for newtons in (4.0, 6.0, 8.0, 1e4, 1e5)]
    assert values[0] < values[1] < values[2] < values[3] == values[4] == settings.default_object.price


def test_a_blow_is_charged_to_the_object_in_reach():
    channels = arm(100)
    channels["contact_force"][50:52] = 8.0
    near = channels["ee_position"] + [0.0, 0.0, -0.05]
    dear = one(rollout("a", 100, **channels, object_position={"mug_b": near}))["damage"]
    soft = one(rollout("a", 100, **channels, object_position={"sponge_a": near}))["damage"]
    far = one(rollout("a", 100, **channels, object_position={"mug_b": near + 1.0}))["damage"]
    assert dear > far > soft == 0.0


def test_a_blow_between_two_objects_is_charged_to_both():
    channels = arm(100)
    channels["contact_force"][50:52] = 8.0
    held, other = channels["ee_position"] + [0.0, 0.0, -0.05], channels["ee_position"] + [0.15, 0.0, -0.05]
    alone = one(rollout("a", 100, **channels, object_position={"mug_b": held}))["damage"]
    both = one(rollout("a", 100, **channels, object_position={"mug_b": held, "vase": other}))["damage"]
    assert both > 2 * alone


def test_a_fall_costs_by_its_height_and_by_what_fell():
    def harm(name, height):
        channels = arm(100)
        return one(rollout("a", 100, **channels, object_position={name: falling_cup(from_m=height)}))["damage"]

    assert 0 < harm("cup_a", 0.2) < harm("cup_a", 0.8)
    assert harm("cloth_c", 0.8) == 0.0


def test_a_fall_that_only_the_poses_saw_is_found_and_measured():
    settings = EconSettings()
    row = one(rollout("a", 100, object_position={"cup_a": falling_cup(from_m=0.5)}))
    cup = settings.value_of("cup_a")
    full = cup.price * min(1.0, cup.fragility * cup.mass_kg * np.sqrt(2 * GRAVITY * 0.5))
    assert row["damage"] == pytest.approx(full, rel=0.15)


def test_an_object_that_a_hand_lets_down_has_not_fallen():
    channels = arm(100)
    z = np.concatenate([np.full(40, 0.9), np.linspace(0.9, 0.2, 18), np.full(42, 0.2)])
    channels["ee_position"][:, 2] = z + 0.05
    held = np.stack([np.zeros(100), np.zeros(100), z], axis=1)
    assert one(rollout("a", 100, **channels, object_position={"cup_a": held}))["damage"] == 0.0


def test_a_single_wild_pose_is_no_fall():
    pose = np.full((100, 3), 0.5)
    pose[50, 2] = 0.1
    assert one(rollout("a", 100, object_position={"cup_a": pose}))["damage"] == 0.0


def test_a_stated_damage_is_taken_as_stated():
    outcome = replace(Outcome.unknown(1), damage=np.array([42.0]))
    batch = RolloutBatch.from_rollouts([rollout("a", 50, **arm(50))])
    assert econ_vectors(batch, outcome).damage.tolist() == [42.0]


def test_resilience_is_asked_of_failed_episodes_only():
    episode = rollout("a", 101, **arm(101))
    assert np.isnan(one(episode)["resilience"])
    assert one(episode, success=0.0, failed_at=2.0)["resilience"] == 0.0
    assert one(episode, failed_at=2.0)["resilience"] == 1.0
    assert one(episode, failed_at=2.0, nominal_s={"dish_place": 2.5})["resilience"] == pytest.approx(0.5)


def test_damage_lowers_the_wage_that_a_robot_is_worth():
    channels = arm(101)
    clean = one(rollout("a", 101, **channels))["wage_parity"]
    channels["contact_force"][50:52] = 8.0
    assert one(rollout("a", 101, **channels))["wage_parity"] < clean


def test_empty_and_one_frame_episodes_have_defined_costs():
    episodes = [rollout("none", 0), rollout("single", 1, **arm(1)), rollout("normal", 30, **arm(30))]
    table = econ_vectors(RolloutBatch.from_rollouts(episodes), replace(Outcome.unknown(3), success=np.ones(3)))
    assert table.duration_s.tolist()[:2] == [0.0, 0.0]
    assert np.isnan(table.mpl[:2]).all()
    assert table.mpl[2] > 0
    assert len(econ_vectors(RolloutBatch.from_rollouts([]), Outcome.unknown(0))) == 0


def test_outcome_and_batch_must_agree():
    with pytest.raises(RecordError, match="2 episodes"):
        econ_vectors(RolloutBatch.from_rollouts([rollout("a", 5)]), Outcome.unknown(2))


def test_an_episode_costs_the_same_alone_as_in_any_batch():
    rng = np.random.default_rng(5)
    episodes = []
    for k in range(24):
        frames = int(rng.integers(1, 260))
        channels = arm(frames, k)
        if frames > 30:
            channels["contact_force"][20:22] += rng.uniform(2, 9)
        if k % 5 == 0:
            del channels["joint_torque"]
        if k % 7 == 0:
            channels["contact_force"][frames // 2 :] = np.nan
        poses = {f"cup_{k}": falling_cup(frames, start=10 + k)} if k % 3 else {}
        episodes.append(rollout(f"e{k}", frames, **channels, object_position=poses))
    outcome = replace(Outcome.unknown(24), success=np.arange(24) % 2.0, failed_at_s=np.full(24, 1.0))
    whole = econ_vectors(RolloutBatch.from_rollouts(episodes), outcome)
    assert (whole.damage > 0).sum() > 10
    order = rng.permutation(24)
    for index in [*([k] for k in range(24)), order[:9], order[9:]]:
        part = econ_vectors(RolloutBatch.from_rollouts([episodes[i] for i in index]), outcome.take(np.array(index)))
        for name in ("duration_s", "mpl", "energy_wh", "damage", "wage_parity", "resilience"):
            np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[index])
