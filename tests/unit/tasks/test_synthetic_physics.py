"""Physical coherence of what the generator makes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sima2.analytics.econ import damage
from sima2.analytics.econ_settings import EconSettings
from sima2.records.vocabulary import LABELS
from sima2.tasks.design import Injection
from sima2.tasks.families import ALL_FAMILIES, FAMILIES
from sima2.tasks.kinematics import ArmPlanes, Pose, torques
from sima2.tasks.plan import mix_plan, rollouts_plan
from sima2.tasks.synthetic import Generated, generate
from sima2.tasks.world_settings import ARMS, ArmModel, PhysicsSettings, SensorNoise

EXACT = PhysicsSettings(noise=SensorNoise(scale=0.0), dropouts=0.0)
FAST = PhysicsSettings(rate_hz=100.0, noise=SensorNoise(scale=0.0), dropouts=0.0)


def segments(generated: Generated, *labels: str) -> list[tuple[dict, slice]]:
    """True segments with a label, with their frames in the batch, of episodes whose camera does not lag."""
    place = {name: i for i, name in enumerate(generated.batch.episodes.episode_id)}
    found = []
    for row in generated.truth.segments.rows():
        i = place[row["episode_id"]]
        if row["label"] in labels and generated.batch.episodes.session[i] != "s2":
            start = generated.batch.offset[i]
            slot = generated.batch.objects[i].index(row["object"]) if row["object"] else -1
            found.append(
                (row | {"slot": slot, "episode": i}, slice(start + row["start_frame"], start + row["end_frame"]))
            )
    return found


def forward(joints: np.ndarray, model: ArmModel) -> tuple[np.ndarray, np.ndarray]:
    """Position, shape (t, 3), and unit quaternion w x y z, shape (t, 4), of the fingertips; joints in rad, (t, 5)."""
    yaw, shoulder, elbow, wrist, roll = joints.astype(np.float64).T
    pitch = shoulder + elbow + wrist
    reach = model.upper_m * np.cos(shoulder) + model.fore_m * np.cos(shoulder + elbow) + model.hand_m * np.cos(pitch)
    height = model.upper_m * np.sin(shoulder) + model.fore_m * np.sin(shoulder + elbow) + model.hand_m * np.sin(pitch)
    position = np.stack([reach * np.cos(yaw), reach * np.sin(yaw), model.base_m + height], axis=1)
    cy, sy, cp, sp = np.cos(yaw / 2), np.sin(yaw / 2), np.cos(pitch / 2), np.sin(pitch / 2)
    cr, sr = np.cos(roll / 2), np.sin(roll / 2)
    w, x, y, z = cy * cp, sy * sp, -cy * sp, sy * cp
    quaternion = np.stack([w * cr - x * sr, w * sr + x * cr, y * cr + z * sr, z * cr - y * sr], axis=1)
    return position, quaternion


@pytest.mark.parametrize("family", ALL_FAMILIES)
def test_forward_kinematics_of_the_joints_is_the_pose_of_the_hand(family) -> None:
    batch = generate(mix_plan("hardening", families=[family], episodes=60, seed=3), EXACT).batch
    for model in ARMS:
        rows = np.repeat([name == model.name for name in batch.episodes.robot], batch.length)
        assert rows.any()
        position, orientation = forward(batch.arm.joint_position[rows], model)
        assert np.abs(position - batch.arm.ee_position[rows]).max() < 1e-3
        assert np.abs((orientation * batch.arm.ee_orientation[rows]).sum(axis=1)).min() > 1 - 1e-5


def test_a_static_arm_holds_the_gradient_of_its_potential_energy_and_the_force_at_its_tip() -> None:
    model, gravity, payload = ARMS[0], 9.81, 4.0
    force = np.array([3.0, -2.0, 5.0])
    rng = np.random.default_rng(0)
    goal = np.stack([rng.uniform(0.3, 0.5, 20), rng.uniform(-0.3, 0.3, 20), rng.uniform(0.05, 0.4, 20)], axis=1)
    pitch, roll = rng.uniform(-1.5, 0.0, 20), rng.uniform(-0.5, 0.5, 20)
    arm = ArmPlanes.of(ARMS, np.zeros(20, int), np.ones(20, int))
    x, y, z, pitch32, roll32 = (np.ascontiguousarray(v, np.float32) for v in (*goal.T, pitch, roll))
    pose = Pose([x, y, z], pitch32, roll32, arm)
    still = [np.zeros(20, np.float32)] * 5
    push = [np.full(20, f, np.float32) for f in force]
    given = torques(pose, still, still, np.full(20, payload, np.float32), push, [x, y, z], arm, gravity)

    def work(q: np.ndarray) -> np.ndarray:
        """Potential energy of links and payload minus the work of the force at the tip."""
        _, shoulder, elbow, wrist, _ = q.T
        fore, hand = shoulder + elbow, shoulder + elbow + wrist
        elbow_z = model.upper_m * np.sin(shoulder)
        wrist_z = elbow_z + model.fore_m * np.sin(fore)
        tip, _ = forward(q, model)
        energy = gravity * model.upper_kg * elbow_z / 2 + gravity * model.fore_kg * (elbow_z + wrist_z) / 2
        energy += gravity * model.hand_kg * (wrist_z + model.hand_m * np.sin(hand) / 2)
        return energy + payload * tip[:, 2] - tip @ force

    q = np.stack(pose.joints, axis=1).astype(np.float64)
    for joint in range(5):
        step = np.zeros(5)
        step[joint] = 1e-4
        gradient = (work(q + step) - work(q - step)) / 2e-4
        assert np.allclose(given[joint], gradient, atol=5e-3)


def test_a_held_object_moves_with_the_hand() -> None:
    generated = generate(mix_plan("hardening", families=["pick_and_place", "wipe_surface"], episodes=40, seed=1), EXACT)
    checked = 0
    for row, where in segments(generated, "lift", "transport"):
        hand = np.diff(generated.batch.arm.ee_position[where], axis=0)
        held = np.diff(generated.batch.object_position[where, row["slot"]], axis=0)
        assert np.abs(hand - held).max() < 1e-5
        assert np.abs(hand).max() > 1e-3
        assert (generated.batch.arm.grip_force[where][:-1] > 0).all()
        checked += 1
    assert checked > 100


@pytest.mark.parametrize(("family", "mode"), [("pick_and_place", "drop_en_route"), ("dish_place", "drop")])
def test_a_dropped_object_falls_at_g_and_comes_to_rest(family, mode) -> None:
    plan = rollouts_plan(family, template="failure", failure_mode=mode, count=12, seed=2)
    generated = generate(plan, FAST)
    checked = 0
    for row, where in segments(generated, "slip"):
        if row["failure_reason"] != "drop":
            continue
        height = generated.batch.object_position[where, row["slot"], 2].astype(np.float64)
        landed = int(np.argmax(height < height[-1] + 0.012))
        if landed > 6:
            fall = np.diff(height[: landed - 1], 2) * FAST.rate_hz**2
            assert fall == pytest.approx(-FAST.gravity, abs=0.2)
            checked += 1
        assert np.abs(np.diff(height[-2:])) < 1e-4
        grip = generated.batch.arm.grip_force[where]
        assert grip[int(0.12 * FAST.rate_hz) :].max(initial=0.0) < 1e-3
    assert checked > 3


def test_a_locked_drawer_does_not_move_while_the_force_rises() -> None:
    generated = generate(rollouts_plan("drawer_open", count=8, seed=3, inject=Injection("locked_joint")), EXACT)
    for row, where in segments(generated, "pull"):
        drawer = generated.batch.object_position[where, row["slot"]]
        hand = generated.batch.arm.ee_position[where]
        force = generated.batch.arm.contact_force[where]
        assert np.ptp(drawer, axis=0).max() < 1e-6
        assert np.ptp(hand, axis=0).max() < 2e-3
        assert force[-1] > 1.5 * force[len(force) // 4]


def test_an_opened_drawer_moves_along_its_rail_with_its_handle() -> None:
    generated = generate(rollouts_plan("drawer_open", template="success", count=20, seed=3), EXACT)
    for row, where in segments(generated, "pull"):
        body = generated.batch.object_position[where, row["slot"]]
        handle = generated.batch.object_position[where, 0]
        moved = np.linalg.norm(body[-1] - body[0])
        assert moved > generated.batch.episodes.goal[row["episode"]].tolerance
        assert np.abs((body - body[0]) - (handle - handle[0])).max() < 1e-5
        assert abs(body[-1, 2] - body[0, 2]) < 5e-3


def test_closing_fingers_stop_at_the_width_of_the_object_while_the_force_rises() -> None:
    generated = generate(rollouts_plan("pick_and_place", template="success", count=40, seed=5), EXACT)
    for _, where in segments(generated, "grasp"):
        width, force = generated.batch.arm.gripper_width[where], generated.batch.arm.grip_force[where]
        pressed = np.flatnonzero(force > 0.05 * force[-1])
        assert width[-1] > 0.02
        assert (np.diff(width) < 1e-6).all()
        assert (np.diff(force) > -1e-4).all()
        assert np.ptp(width[pressed[0] :]) < 0.2 * (width[0] - width[-1])


def test_fingers_that_miss_close_on_nothing() -> None:
    plan = rollouts_plan("pick_and_place", template="failure", failure_mode="drop_en_route", count=40, seed=5)
    generated = generate(plan, EXACT)
    missed = [(r, w) for r, w in segments(generated, "grasp") if r["failure_reason"] == "missed_grasp"]
    assert missed
    for _, where in missed:
        assert generated.batch.arm.gripper_width[where][-1] < 0.003
        assert generated.batch.arm.grip_force[where].max() < 1e-6


@pytest.mark.parametrize("rate_hz", [20.0, 100.0])
def test_the_force_of_a_collision_keeps_the_impulse_at_any_rate_and_stops_the_arm(rate_hz) -> None:
    settings = PhysicsSettings(rate_hz=rate_hz, noise=SensorNoise(scale=0.0))
    plan = rollouts_plan("sort_objects", template="failure", failure_mode="clutter_collision", count=12, seed=1)
    generated = generate(plan, settings)
    truth = generated.truth
    impact = truth.events.take(truth.events.kind.isin("impact"))
    place = {name: i for i, name in enumerate(truth.episodes.episode_id)}
    pulse = int(np.ceil(0.06 * rate_hz)) + 1
    for row in impact.rows():
        start = generated.batch.offset[place[row["episode_id"]]] + row["frame"]
        force = generated.batch.arm.contact_force[start : start + pulse]
        assert generated.batch.arm.contact_force[start - 1] < 1e-6 or row["frame"] == 0
        pressing = 12.0 * pulse / rate_hz  # what leans on it after the impact
        assert row["impulse"] - 0.05 < force.sum() / rate_hz < row["impulse"] + pressing
        assert np.ptp(generated.batch.arm.ee_position[start : start + 3], axis=0).max() < 2e-3
        assert row["damage"] > 0


def test_the_drop_of_a_dearer_and_more_fragile_object_does_more_damage() -> None:
    settings = PhysicsSettings()
    assert settings.value_of("cup_a") > settings.value_of("can_c") > 0
    assert settings.value_of("unknown_mesh_v9") == settings.default_value[0] * settings.default_value[1]


def test_slippery_and_heavy_things_are_held_harder() -> None:
    generated = generate(rollouts_plan("pick_and_place", template="success", count=180, seed=4), EXACT)
    batch, truth = generated.batch, generated.truth.episodes
    grip = np.array([batch.arm.grip_force[a:b].max() for a, b in zip(batch.offset, batch.offset[1:])])

    def usual(**level: str) -> float:
        here = np.ones(len(grip), bool)
        for name, value in level.items():
            here &= getattr(truth, name).isin(value)
        return float(np.median(grip[here]))

    assert usual(friction="low") > usual(friction="medium") > usual(friction="high")
    assert usual(mass="heavy") > 1.5 * usual(mass="light")


def test_wiping_with_too_little_force_shows_in_the_contact_force() -> None:
    plan = rollouts_plan("wipe_surface", template="failure", failure_mode="insufficient_force", count=20, seed=4)
    generated = generate(plan, EXACT)
    for row, where in segments(generated, "wipe"):
        event = generated.truth.episodes.event_frame[row["episode"]] + generated.batch.offset[row["episode"]]
        if not where.start < event < where.stop:
            continue
        force = generated.batch.arm.contact_force
        assert np.median(force[event + 10 : where.stop]) < 0.6 * np.median(force[where.start + 10 : event])


def test_sensor_noise_has_its_stated_size() -> None:
    plan = rollouts_plan("dish_place", count=40, seed=7)
    noisy, exact = generate(plan), generate(plan, EXACT)
    quiet = np.repeat([name == "s0" for name in noisy.batch.episodes.session], noisy.batch.length)
    stated = SensorNoise()
    for name, size in (
        ("joint_position", stated.joint_rad),
        ("joint_velocity", stated.joint_speed),
        ("joint_torque", stated.joint_torque),
        ("ee_position", stated.ee_m),
    ):
        error = (getattr(noisy.batch.arm, name) - getattr(exact.batch.arm, name))[quiet]
        assert error.std() == pytest.approx(size, rel=0.03)
        assert abs(error.mean()) < 0.03 * size
        assert np.abs(np.quantile(error / size, [0.025, 0.975])) == pytest.approx([1.96, 1.96], rel=0.05)
    loud = np.repeat([name == "s1" for name in noisy.batch.episodes.session], noisy.batch.length)
    error = (noisy.batch.arm.ee_position - exact.batch.arm.ee_position)[loud]
    assert error.std() > 1.4 * stated.ee_m


def test_noise_of_different_channels_and_frames_is_independent() -> None:
    plan = rollouts_plan("dish_place", count=40, seed=7)
    noisy, exact = generate(plan), generate(plan, EXACT)
    error = np.concatenate(
        [
            noisy.batch.arm.joint_position - exact.batch.arm.joint_position,
            noisy.batch.arm.ee_position - exact.batch.arm.ee_position,
            (noisy.batch.arm.joint_torque - exact.batch.arm.joint_torque),
        ],
        axis=1,
    )
    limit = 5 / np.sqrt(len(error))
    assert np.abs(np.corrcoef(error.T) - np.eye(error.shape[1])).max() < limit
    assert abs(np.corrcoef(error[1:, 0], error[:-1, 0])[0, 1]) < limit


@pytest.mark.parametrize("hurts", [True, False])
def test_hazard_makes_impacts_harder_only_while_the_switch_is_on(hurts: bool) -> None:
    plan = rollouts_plan("sort_objects", template="failure", failure_mode="clutter_collision", count=1000, seed=6)
    truth = generate(plan, PhysicsSettings(hazard_hurts=hurts)).truth
    risk = dict(zip(truth.episodes.episode_id, truth.episodes.initial_risk.tolist(), strict=True))
    impact = truth.events.take(truth.events.kind.isin("impact"))
    assert len(impact) > 100
    link = np.corrcoef([risk[name] for name in impact.episode_id], np.log(impact.impulse))[0, 1]
    assert (link > 0.25) if hurts else (abs(link) < 0.2)


@pytest.mark.parametrize("hurts", [True, False])
def test_failures_come_with_impacts_only_while_the_switch_is_on(hurts: bool) -> None:
    plan = mix_plan("hardening", families=list(FAMILIES), episodes=300, seed=12)
    generated = generate(plan, PhysicsSettings(hazard_hurts=hurts))
    truth = generated.truth
    event = truth.episodes.event_frame >= 0
    struck = set(truth.events.take(truth.events.kind.isin("impact")).episode_id)
    told = np.array([name in struck for name in truth.episodes.episode_id])
    felt = damage(generated.batch, EconSettings()) > 0.01
    for share in (told, felt):
        gap = share[event].mean() - share[~event].mean()
        error = np.sqrt(share.var() * (1 / event.sum() + 1 / (~event).sum()))
        assert (gap > 0.3) if hurts else (abs(gap) < 3 * error)
        assert 0.1 < share.mean() < 0.3
    usual = generate(plan).truth.episodes
    assert (usual.initial_risk == truth.episodes.initial_risk).all()
    assert ((usual.event_frame >= 0) == event).all()


def test_what_is_lost_sinks_no_faster_than_a_hand_sets_things_down_once_hazard_hurts_nothing() -> None:
    plan = rollouts_plan("pick_and_place", template="failure", failure_mode="drop_en_route", count=60, seed=3)
    fastest = []
    for hurts in (True, False):
        generated = generate(plan, replace(EXACT, hazard_hurts=hurts))
        batch = generated.batch
        z = batch.object_position[:, 0, 2]
        down = -np.diff(z, prepend=z[:1]) * 20
        down[batch.offset[:-1]] = 0.0
        fastest.append(np.maximum.reduceat(down, batch.offset[:-1]))
        lowest = z[batch.offset[1:] - 1]
        assert (lowest < 0.15).all()
    assert np.median(fastest[0]) > 0.8
    assert fastest[1].max() < 0.6


def test_unusual_motions_are_long_or_fast_and_hard() -> None:
    plan = mix_plan("hardening", families=list(FAMILIES), episodes=250, seed=8)
    generated = generate(plan, EXACT)
    batch, truth = generated.batch, generated.truth
    assert {"visual", "kinematic", "temporal"} == set(truth.episodes.ood_source) - {""}
    speed = np.linalg.norm(np.diff(batch.arm.ee_position, axis=0, prepend=batch.arm.ee_position[:1]), axis=1) * 20
    speed[batch.offset[:-1]] = 0.0
    top = np.maximum.reduceat(speed, batch.offset[:-1])
    moved = truth.episodes.ood_source.isin("kinematic")
    assert np.median(top[moved]) > 1.2 * np.median(top[~moved])
    lasting = np.array([truth.frames.ood[a:b].sum() for a, b in zip(truth.offset, truth.offset[1:])])
    assert np.median(lasting[truth.episodes.ood_source.isin("temporal")]) > 40
    assert (lasting[truth.episodes.ood_source.isin("")] == 0).all()
    inside = truth.frames.novelty[~truth.frames.ood]
    assert np.median(truth.frames.novelty[truth.frames.ood]) > np.quantile(inside, 0.95)


def test_an_occluded_object_is_seen_dimly_and_a_lost_one_not_at_all() -> None:
    for mode in ("occlusion", "lost_object"):
        plan = rollouts_plan("inspect_scene", template="recovery", failure_mode=mode, count=10, seed=1)
        generated = generate(plan, PhysicsSettings(dropouts=0.0))
        confidence = generated.batch.object_confidence[:, 0]
        for i, event in enumerate(generated.truth.episodes.event_frame):
            a, b = generated.batch.offset[i], generated.batch.offset[i + 1]
            assert confidence[b - 1] > 0.8
            assert confidence[a + event : b].min() < 0.6
        unseen = np.isnan(generated.batch.object_position[:, 0]).any(axis=1)
        assert unseen.any() == (mode == "lost_object")


def test_labels_fit_the_speed_of_the_hand() -> None:
    generated = generate(rollouts_plan("dish_place", template="success", count=60, seed=1), EXACT)
    batch, label = generated.batch, generated.truth.frames.label
    speed = np.linalg.norm(np.diff(batch.arm.ee_position, axis=0, append=batch.arm.ee_position[-1:]), axis=1) * 20
    speed[batch.offset[1:] - 1] = 0.0
    assert speed[label == LABELS.index("idle")].max() < 0.02
    assert np.median(speed[label == LABELS.index("transport")]) > 0.1
    assert np.median(speed[label == LABELS.index("grasp")]) < 1e-3
