"""Each defect is found where it was put, and not where it was not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from damaged_rollouts import alone, changed, clean, joints_and_gripper, kinds, resampled, taken, together, with_pause
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.duplicates import duplicate_findings
from sima2.defects.population import outlier_cut
from sima2.records.defects import DEFECTS, DefectTable
from sima2.records.rollout import Manipulator, Rollout

Spoil = Callable[[Rollout], Rollout]
SETTINGS = DefectSettings()


def clipped(r: Rollout) -> Rollout:
    limit = np.quantile(np.abs(r.joint_velocity[:, 1]), 0.7)
    return changed(r, "joint_velocity", 1, slice(None), np.clip(r.joint_velocity[:, 1], -limit, limit))


def jumped(r: Rollout, times: float, frames: int | None) -> Rollout:
    x = r.joint_position.copy()
    size = times * np.abs(np.diff(x[:, 2])).max()
    x[70 : None if frames is None else 70 + frames, 2] += size
    return r.with_(joint_position=x)


def frozen(r: Rollout, frames: int, name: str = "joint_torque") -> Rollout:
    return changed(r, name, 1, slice(60, 60 + frames), getattr(r, name)[60, 1])


def regular(r: Rollout, time: np.ndarray) -> Rollout:
    return taken(r, np.arange(len(r)), time)


def jittery(r: Rollout, share: float) -> Rollout:
    wander = np.random.default_rng(0).uniform(-0.5, 0.5, len(r))
    return regular(r, (np.arange(len(r)) + share * wander) * 0.05)


def slowed(r: Rollout, times: float) -> Rollout:
    took = np.where(np.arange(len(r)) < len(r) / 2, 0.05, 0.05 * times)
    return regular(r, np.cumsum(took))


@pytest.mark.parametrize(
    ("defect", "spoil", "start"),
    [
        ("idle", lambda r: with_pause(r, len(r) // 2, 4.0), None),
        ("idle", lambda r: with_pause(r, 1, 4.0), None),
        ("idle", lambda r: with_pause(r, len(r) - 1, 4.0), None),
        ("frozen_channel", lambda r: frozen(r, 12), 60),
        ("frozen_channel", lambda r: frozen(r, 40), 60),
        ("missing_samples", lambda r: changed(r, "joint_position", 1, slice(50, 51), np.nan), 50),
        ("missing_samples", lambda r: changed(r, "grip_force", None, slice(50, 80), np.nan), 50),
        ("clipped_channel", clipped, None),
        ("teleport", lambda r: jumped(r, 6.0, 1), 69),
        ("teleport", lambda r: jumped(r, 6.0, 5), 69),
        ("teleport", lambda r: jumped(r, 6.0, None), 69),
        ("dropped_frames", lambda r: taken(r, np.r_[0:60, 61 : len(r)]), 59),
        ("dropped_frames", lambda r: taken(r, np.r_[0:60, 65 : len(r)]), 59),
        ("irregular_clock", lambda r: jittery(r, 0.9), 0),
        ("rate_change", lambda r: slowed(r, 1.3), 0),
        ("repeated_frames", lambda r: taken(r, np.arange(len(r)) // 2 * 2, r.time), 0),
    ],
)
def test_what_was_put_in_is_found_where_it_was_put(defect: str, spoil: Spoil, start: int | None) -> None:
    episodes = clean()[:10]
    found = 0
    for r in episodes:
        rows = [row for row in alone(spoil(r)).rows() if row["defect"] == defect]
        found += any(start is None or row["start_frame"] == start for row in rows)
        assert all(0 <= row["start_frame"] < row["end_frame"] <= len(spoil(r)) for row in rows)
    assert found >= 8


@pytest.mark.parametrize(
    ("defect", "spoil"),
    [
        ("idle", lambda r: with_pause(r, len(r) // 2, 0.8)),
        ("frozen_channel", lambda r: frozen(r, 4)),
        ("teleport", lambda r: jumped(r, 0.8, None)),
        ("irregular_clock", lambda r: jittery(r, 0.2)),
        ("rate_change", lambda r: slowed(r, 1.04)),
        ("clipped_channel", lambda r: r),
        ("repeated_frames", lambda r: r),
        ("dropped_frames", lambda r: r),
        ("missing_samples", lambda r: r),
    ],
)
def test_what_is_too_small_to_matter_is_not_told(defect: str, spoil: Spoil) -> None:
    assert not [r.episode_id for r in clean()[:20] if defect in kinds(alone(spoil(r)))]


def test_a_leap_of_the_clock_is_told_from_lost_frames_by_the_motion_over_it() -> None:
    leapt, lost = 0, 0
    for r in clean()[:20]:
        speed = np.abs(np.diff(r.joint_position, axis=0)).max(axis=1)
        at = 20 + int(np.argmax(speed[20:-30]))
        later = r.time + 2.0 * (np.arange(len(r)) > at)
        leapt += "clock_jump" in kinds(alone(regular(r, later)))
        lost += "dropped_frames" in kinds(alone(taken(r, np.r_[0:at, at + 15 : len(r)])))
    assert leapt >= 16
    assert lost >= 16


def test_lost_frames_are_seen_in_the_motion_where_the_clock_was_made_regular() -> None:
    found = []
    for r in clean()[:20]:
        speed = np.abs(np.diff(r.joint_position, axis=0)).sum(axis=1)
        at = 20 + int(np.argmax(speed[20:-30]))
        rows = np.r_[0:at, at + 2 : len(r)]
        told = alone(taken(r, rows, r.time[: len(rows)]))
        found += [row["start_frame"] - at for row in told.rows() if row["defect"] == "dropped_frames"]
    assert len(found) >= 16
    assert set(found) <= {-2, -1, 0}


def moving(frames: int = 200, seed: int = 0) -> np.ndarray:
    """Three joints on their way, with noise."""
    t = np.arange(frames) * 0.05
    rng = np.random.default_rng(seed)
    return np.stack([np.sin(t), 0.7 * np.cos(0.8 * t), 0.5 * np.sin(1.3 * t)], axis=1) + rng.normal(
        0, 5e-4, (frames, 3)
    )


def standing(frames: int = 200) -> np.ndarray:
    """The same, that stands from frame 80 to 130."""
    rng = np.random.default_rng(1)
    return moving(frames)[np.r_[0:80, np.full(50, 80), 80 : frames - 50]] + rng.normal(0, 5e-4, (frames, 3))


def made(q: np.ndarray, **channels: object) -> Rollout:
    return Rollout(episode_id="made", time=np.arange(len(q)) * 0.05, joint_position=q, **channels)


def test_a_stall_is_claimed_only_where_command_or_load_tell_it() -> None:
    q = standing()
    load = 1.0 + np.abs(np.gradient(q, axis=0))
    proxy = np.random.default_rng(2).normal(0, 1, q.shape)
    pressed, behind = load.copy(), proxy.copy()
    pressed[90:120, 1] = 4.0
    behind[90:120, 1] = 25.0
    command = q.copy()
    command[95:105, 1] += 2.0
    assert "stalled" not in kinds(alone(made(q)))
    assert "stalled" not in kinds(alone(made(q, joint_torque=load, effort_proxy=proxy, action=q)))
    for channels in ({"joint_torque": pressed}, {"effort_proxy": behind}, {"action": command}):
        row = next(row for row in alone(made(q, **channels)).rows() if row["defect"] == "stalled")
        assert 78 <= row["start_frame"] <= 92
        assert 118 <= row["end_frame"] <= 132


@pytest.mark.parametrize("pause", range(1, 6))
def test_a_slow_recording_has_pauses_in_which_a_command_cannot_have_arrived(pause: int) -> None:
    q = np.concatenate([moving()[:40:4], np.repeat(moving()[40:41], pause, axis=0), moving()[44:90:4]])
    for ends in (len(q), 10 + pause):
        part = Rollout("made", time=np.arange(ends) * 1.0, joint_position=q[:ends], action=q[:ends])
        assert "stalled" not in kinds(alone(part))


def gripper(*closed: tuple[int, int]) -> np.ndarray:
    width = np.full(200, 0.08)
    for a, b in closed:
        width[a:b] = 0.01
    return np.convolve(np.pad(width, 2, "edge"), np.ones(5) / 5, "valid")


def test_a_grasp_is_repeated_where_the_first_carried_nothing() -> None:
    q = np.concatenate([moving()[:60], np.repeat(moving()[60:61], 70, axis=0), moving()[60:130]])
    again = alone(made(q, gripper_width=gripper((70, 80), (95, 105), (115, 200))))
    row = next(row for row in again.rows() if row["defect"] == "repeated_grasp")
    assert row["value"] == 2
    assert (row["start_frame"], row["end_frame"]) == pytest.approx((70, 116), abs=3)
    assert "repeated_grasp" not in kinds(alone(made(q, gripper_width=gripper((115, 200)))))
    carried = alone(made(moving(), gripper_width=gripper((20, 70), (100, 150))))
    assert "repeated_grasp" not in kinds(carried)


# ---- what the population tells


def of(table: DefectTable, defect: str) -> list[str]:
    return table.episode_id[table.defect.isin(defect)].tolist()


def test_a_far_longer_and_a_far_jerkier_episode_stand_out_alone() -> None:
    run = list(clean())
    run[3] = taken(run[3], np.arange(len(run[3])), run[3].time * 7)
    noise = np.random.default_rng(0).normal(0, 0.02, run[5].joint_position.shape)
    run[5] = run[5].with_(joint_position=run[5].joint_position + noise)
    found = together(run)
    assert of(found, "duration_outlier") == [run[3].episode_id]
    assert run[5].episode_id in of(found, "jerk_outlier")
    assert set(of(found, "jerk_outlier")) <= {run[3].episode_id, run[5].episode_id}
    assert of(found, "rate_change") == [run[3].episode_id]


@pytest.mark.parametrize("law", ["normal", "laplace", "exponential", "logistic"])
@pytest.mark.parametrize("n", [12, 40, 1000])
def test_outliers_by_chance_stay_below_the_stated_number_a_run(law: str, n: int) -> None:
    rng = np.random.default_rng(4)
    runs = 200
    flagged = 0
    for _ in range(runs):
        x = getattr(rng, law)(size=n)
        flagged += int((x > outlier_cut(x, n, SETTINGS)).sum())
    assert flagged / runs <= SETTINGS.false_flags


def test_a_channel_that_varies_everywhere_else_and_never_here_is_frozen() -> None:
    run = list(joints_and_gripper())
    run[4] = changed(run[4], "joint_position", 2, slice(None), 0.3)
    run[6] = changed(run[6], "joint_position", 2, slice(None), np.nan)
    found = together(run)
    assert of(found, "frozen_channel") == [run[4].episode_id]
    assert of(found, "missing_samples") == [run[6].episode_id]


def test_a_residual_is_a_fault_where_it_is_beyond_all_others() -> None:
    rng = np.random.default_rng(5)
    run = []
    for k in range(30):
        proxy = rng.normal(0, 1, (200, 3))
        if k == 7:
            proxy[50:80, 2] = 30.0
        run.append(made(moving(seed=k), effort_proxy=proxy).with_(episode_id=f"e{k}"))
    found = together(run)
    assert of(found, "tracking_fault") == ["e7"]
    row = next(row for row in found.rows() if row["defect"] == "tracking_fault")
    assert 50 <= row["start_frame"] < row["end_frame"] <= 80


def noisy(r: Rollout) -> Rollout:
    noise = np.random.default_rng(0).normal(0, 7e-4, r.joint_position.shape)
    return r.with_(joint_position=r.joint_position + noise)


def edited(r: Rollout) -> Rollout:
    return changed(r, "joint_position", 1, slice(40, 50), r.joint_position[40:50, 1] + 0.05)


@pytest.mark.parametrize(
    "copy",
    [lambda r: r, noisy, edited, lambda r: taken(r, np.arange(1, len(r))), lambda r: resampled(r, 0.5)],
    ids=["exact", "noisy", "edited", "cut by a frame", "resampled"],
)
@pytest.mark.parametrize("place", [0, 9, 23])
def test_a_copy_is_found_and_nothing_else(copy: Spoil, place: int) -> None:
    run = [resampled(r, 1) for r in joints_and_gripper()]
    found = together([*run, copy(run[place]).with_(episode_id="copy")])
    assert of(found, "near_duplicate") == ["copy"]
    assert run[place].episode_id in next(iter(found.rows()))["details"]


def test_all_of_several_exact_copies_are_found_and_the_first_is_none() -> None:
    run = list(joints_and_gripper()[:3])
    copies = [run[1].with_(episode_id=f"copy{k}") for k in range(5)]
    assert sorted(of(together([*run, *copies]), "near_duplicate")) == [f"copy{k}" for k in range(5)]


def test_a_standing_robot_is_no_copy_of_another() -> None:
    run = [made(np.zeros((50, 3))).with_(episode_id=f"e{k}") for k in range(20)]
    assert of(together(run), "near_duplicate") == []


def test_a_script_repeated_with_small_variations_gives_no_copies() -> None:
    rng = np.random.default_rng(8)
    run = []
    for k in range(60):
        q = moving(seed=k) * (1 + 0.05 * rng.normal(size=3)) + 0.02 * rng.normal(size=3)
        run.append(made(q).with_(episode_id=f"e{k}"))
    assert of(together(run), "near_duplicate") == []


def test_kinds_are_the_documented_ones_and_arms_are_named() -> None:
    q = moving()
    bad = q.copy()
    bad[70, 1] += 3.0
    arms = {"left": Manipulator(joint_position=q.astype(np.float32)),
            "right": Manipulator(joint_position=bad.astype(np.float32))}  # fmt: skip
    found = alone(Rollout(episode_id="two", time=np.arange(200) * 0.05, manipulators=arms))
    assert [(row["defect"], row["manipulator"]) for row in found.rows()][:1] == [("teleport", "right")]
    assert kinds(found) <= set(DEFECTS)


def test_no_episodes_have_no_copies() -> None:
    from sima2.records.defects import EpisodeMeasures

    assert duplicate_findings(EpisodeMeasures.empty(), SETTINGS) == []
