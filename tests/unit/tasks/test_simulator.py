"""The simulator: physics, faults and the truth read off them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache

import numpy as np
import pytest

pytest.importorskip("mujoco")

from sima2.client import Sima2Client
from sima2.errors import MissingExtraError, UnknownNameError, UsageError
from sima2.records.rollout import RolloutBatch
from sima2.records.vocabulary import LABELS, OUTCOMES, REASONS
from sima2.tasks.design import MixSettings
from sima2.tasks.failure_modes import FAILURE_MODES
from sima2.tasks.families import ALL_FAMILIES
from sima2.tasks.plan import mix_plan, rollouts_plan
from sima2.tasks.simulator import LEFT_OUT, SIMULATED, UNSEEN, ArmRanges, SimulatorSettings, simulate
from sima2.tasks.simulator.settings import Spans, check_simulated, drawn
from sima2.tasks.synthetic import Generated
from sima2.tasks.world_settings import PhysicsSettings, SensorNoise

SEEN = PhysicsSettings(dropouts=0.0)
ODD_RATE_HZ = 25.0
EXACT = SimulatorSettings(
    noise=SensorNoise(scale=0.0), values=SEEN, rates_hz=(30.0,), pause=0.0, errand=0.0, outside_push=0.0
)


@cache
def made(family: str, template: str, mode: str | None = None, count: int = 2, seed: int = 0) -> Generated:
    return simulate(rollouts_plan(family, template=template, failure_mode=mode, count=count, seed=seed), EXACT)


@cache
def recoveries(family: str) -> Generated:
    """In the usual cell, at rates from 20 to 100 Hz."""
    return simulate(rollouts_plan(family, template="recovery", count=6, seed=3), SimulatorSettings())


@cache
def at_an_odd_rate(family: str) -> Generated:
    """Of every template, with pauses, errands and pushes from outside, at 25 Hz."""
    settings = replace(EXACT, rates_hz=(ODD_RATE_HZ,), pause=0.4, errand=0.3, outside_push=0.3)
    return simulate(rollouts_plan(family, count=6, seed=4), settings)


def frames(batch: RolloutBatch, episode: int) -> slice:
    return slice(int(batch.offset[episode]), int(batch.offset[episode + 1]))


def channels(batch: RolloutBatch) -> list[bytes]:
    arrays = [*batch.arm.channels().values(), batch.time, batch.object_position, batch.object_orientation]
    return [np.ascontiguousarray(array).tobytes() for array in arrays if array is not None]


def test_the_same_seed_gives_the_same_bytes() -> None:
    plan = rollouts_plan("drawer_open", template="success", count=2, seed=4)
    first, second = simulate(plan), simulate(plan)
    assert channels(first.batch) == channels(second.batch)
    assert first.truth.segments.label.tolist() == second.truth.segments.label.tolist()


def test_another_seed_gives_another_episode() -> None:
    one, other = (simulate(rollouts_plan("drawer_open", template="success", count=1, seed=s)) for s in (1, 2))
    assert channels(one.batch) != channels(other.batch)


def test_an_episode_is_the_same_alone_and_in_a_batch() -> None:
    plan = rollouts_plan("drawer_open", count=3, seed=5)
    whole, alone = simulate(plan), simulate(plan.take(np.array([2])))
    assert channels(whole.batch.take(np.array([2]))) == channels(alone.batch)


@pytest.mark.parametrize("family", SIMULATED)
def test_plain_episodes_succeed_without_a_failure_event(family: str) -> None:
    got = made(family, "success", count=4)
    assert got.outcome.success.tolist() == [1.0] * 4
    assert got.truth.episodes.event_frame.tolist() == [-1] * 4


@pytest.mark.parametrize(
    ("family", "mode"),
    [(family, mode) for family in SIMULATED for mode in ALL_FAMILIES[family].failure_modes],
)
def test_each_fault_yields_its_failure(family: str, mode: str) -> None:
    got = made(family, "failure", mode)
    assert got.outcome.success.tolist() == [0.0, 0.0]
    expected = FAILURE_MODES[mode].reason
    for row in got.truth.episodes.rows():
        found = [r for r in got.truth.segments.rows() if r["episode_id"] == row["episode_id"] and r["failure_reason"]]
        assert expected in {r["failure_reason"] for r in found}
        assert row["event_frame"] >= 0
        assert row["failure_mode"] == mode


@pytest.mark.parametrize("family", ["drawer_open", "pick_and_place", "wipe_surface"])
def test_a_recovery_fails_first_and_succeeds_in_the_end(family: str) -> None:
    got = made(family, "recovery", count=3)
    assert got.outcome.success.tolist() == [1.0] * 3
    assert (got.truth.episodes.event_frame >= 0).all()
    assert got.truth.frames.recovery.any()


def test_what_is_carried_moves_with_the_hand() -> None:
    got = made("pick_and_place", "success", count=4)
    carried = got.truth.frames.label == LABELS.index("transport")
    assert got.batch.object_position is not None
    assert got.batch.arm.ee_position is not None
    gap = got.batch.object_position[:, 0] - got.batch.arm.ee_position
    for episode in range(len(got.batch)):
        own = frames(got.batch, episode)
        assert np.nanstd(gap[own][carried[own]], axis=0).max() < 0.01
        travelled = np.ptp(got.batch.arm.ee_position[own][carried[own]], axis=0)
        assert travelled.max() > 0.1


def test_a_locked_drawer_does_not_move_however_hard_it_is_pulled() -> None:
    got = made("drawer_open", "failure", "locked_joint")
    names = got.batch.objects[0]
    assert got.batch.object_position is not None
    assert got.batch.arm.contact_force is not None
    drawer = got.batch.object_position[:, names.index("drawer")]
    pulled = got.truth.frames.label == LABELS.index("pull")
    for episode in range(len(got.batch)):
        own = frames(got.batch, episode)
        assert np.nanmax(np.ptp(drawer[own], axis=0)) < 0.004
        assert got.batch.arm.contact_force[own][pulled[own]].max() > 8.0


def test_forces_are_nil_in_free_motion_and_felt_where_fingers_hold() -> None:
    got = made("pick_and_place", "success", count=4)
    label, arm = got.truth.frames.label, got.batch.arm
    assert arm.contact_force is not None
    assert arm.grip_force is not None
    free = label == LABELS.index("retreat")
    assert np.median(arm.contact_force[free]) < 0.1
    assert np.median(arm.grip_force[label == LABELS.index("transport")]) > 2.0


@pytest.mark.parametrize("episodes", [recoveries, at_an_odd_rate])
@pytest.mark.parametrize("family", SIMULATED)
def test_truth_is_gap_free_and_of_the_vocabulary(family: str, episodes: Callable[[str], Generated]) -> None:
    got = episodes(family)
    segments = got.truth.segments
    assert set(segments.label) <= set(LABELS)
    assert set(segments.outcome) <= set(OUTCOMES)
    assert set(segments.failure_reason) <= set(REASONS)
    for episode, name in enumerate(got.batch.episodes.episode_id):
        mine = segments.take(segments.episode_id.isin(name))
        assert mine.start_frame[0] == 0
        assert mine.end_frame[-1] == got.batch.length[episode]
        assert (mine.start_frame[1:] == mine.end_frame[:-1]).all()
        least = round(0.1 / np.median(np.diff(got.batch.time[frames(got.batch, episode)])))
        assert (mine.end_frame - mine.start_frame >= least).all()
        assert set(mine.object) <= {"", *got.batch.objects[episode]}


@pytest.mark.parametrize("family", SIMULATED)
def test_segments_last_long_enough_at_an_odd_rate_and_show_what_they_say(family: str) -> None:
    rate, got = ODD_RATE_HZ, at_an_odd_rate(family)
    hand, width = got.batch.arm.ee_position, got.batch.arm.gripper_width
    assert hand is not None
    assert width is not None
    first = dict(zip(got.batch.episodes.episode_id, got.batch.offset.tolist()))
    for row in got.truth.segments.rows():
        own = slice(first[row["episode_id"]] + row["start_frame"], first[row["episode_id"]] + row["end_frame"])
        moved = np.sqrt(np.square(np.diff(hand[own], axis=0)).sum(axis=1)) * rate
        moved = np.maximum(moved, np.abs(np.diff(width[own])) * rate)
        assert len(moved) + 1 >= 0.1 * rate
        if row["label"] == "transport":
            assert np.ptp(hand[own], axis=0).max() > 0.01
        if row["label"] in ("approach", "retreat"):
            still = "".join("s" if each < 0.01 else "m" for each in moved.tolist())
            assert "s" * int(0.5 * rate + 1) not in still
        if row["label"] == "idle":
            assert len(moved) + 1 >= 0.5 * rate - 1


@pytest.mark.parametrize("family", SIMULATED)
def test_every_recovery_follows_a_failure(family: str) -> None:
    segments = recoveries(family).truth.segments
    failed: set[str] = set()
    recovered: set[str] = set()
    for row in segments.rows():
        if row["failure_reason"]:
            failed.add(row["episode_id"])
        if row["label"] == "recovery_maneuver":
            assert row["episode_id"] in failed
            recovered.add(row["episode_id"])
    assert len(recovered) >= 4


def test_a_wipe_lasts_until_the_tool_is_lifted_off() -> None:
    got = made("wipe_surface", "success", count=4)
    label, force = got.truth.frames.label, got.batch.arm.contact_force
    assert force is not None
    after = np.flatnonzero((label[:-1] == LABELS.index("wipe")) & (label[1:] == LABELS.index("lift"))) + 1
    assert len(after) == 4
    assert force[after].max() < 0.5


def test_a_load_lost_aloft_is_dropped_and_one_left_where_it_lies_has_slipped() -> None:
    for family, mode, reason in (
        ("pick_and_place", "drop_en_route", "drop"),
        ("wipe_surface", "tool_loss", "gripper_slip"),
    ):
        segments = made(family, "failure", mode).truth.segments
        slips = [row for row in segments.rows() if row["label"] == "slip"]
        assert slips
        assert {row["failure_reason"] for row in slips} == {reason}


def strange(family: str, template: str = "success", count: int = 6) -> Generated:
    mixes = MixSettings(hardening_ood=1.0)
    return simulate(rollouts_plan(family, template=template, count=count, seed=4, settings=mixes), EXACT)


@pytest.mark.parametrize("family", ["drawer_open", "pick_and_place", "tool_change"])
def test_what_is_out_of_distribution_shows_in_the_physics_where_truth_says_so(family: str) -> None:
    got, usual = strange(family), made(family, "success", count=6, seed=4)
    hand, calm = got.batch.arm.ee_position, usual.batch.arm.ee_position
    assert hand is not None
    assert calm is not None
    sources = got.truth.episodes.ood_source
    assert {"visual", "kinematic", "temporal"} >= set(sources) != {""}
    assert not got.outcome.nominal.any()
    for episode, source in enumerate(sources):
        own = frames(got.batch, episode)
        ood = got.truth.frames.ood[own]
        speed = np.sqrt(np.square(np.diff(hand[own], axis=0)).sum(axis=1)) * 30.0
        usual_speed = np.sqrt(np.square(np.diff(calm[frames(usual.batch, episode)], axis=0)).sum(axis=1)) * 30.0
        assert ood.all() == (source == "visual")
        assert ood.any() == bool(source)
        if source == "kinematic":
            assert speed[ood[1:]].max() > 1.5 * usual_speed.max()
        if source == "temporal":
            assert speed[ood[1:]].max() < usual_speed.max()
            assert ood.sum() > 30.0
        if source:
            assert got.truth.frames.novelty[own][ood].min() >= 5.0


def test_an_object_never_seen_is_of_another_shape_size_and_look() -> None:
    got = simulate(
        rollouts_plan("pick_and_place", template="success", count=3, seed=1, settings=MixSettings(hardening_ood=1.0)),
        EXACT,
    )
    alien = got.truth.episodes.ood_source.tolist().index("visual")
    ordinary = simulate(rollouts_plan("pick_and_place", template="success", count=3, seed=1), EXACT)
    label = [part.truth.frames.label[frames(part.batch, alien)] for part in (got, ordinary)]
    width, look = [], []
    for part, mine in zip((got, ordinary), label, strict=True):
        assert part.batch.arm.gripper_width is not None
        assert part.batch.embedding is not None
        own = frames(part.batch, alien)
        width.append(np.median(part.batch.arm.gripper_width[own][mine == LABELS.index("transport")]))
        look.append(np.median(part.batch.embedding[own], axis=0))
    assert width[0] > 1.15 * width[1]
    assert np.abs(look[0] - look[1]).max() > 0.2


def test_a_tool_change_starts_with_one_tool_in_the_hand_and_ends_with_the_other() -> None:
    got = made("tool_change", "success", count=4)
    position, hand = got.batch.object_position, got.batch.arm.ee_position
    assert position is not None
    assert hand is not None
    for episode, names in enumerate(got.batch.objects):
        own = frames(got.batch, episode)
        goal = got.batch.episodes.goal[episode]
        assert goal is not None
        assert (goal.relation, goal.target) == ("held", "")
        gap = np.sqrt(np.square(position[own] - hand[own][:, None]).sum(axis=2))
        assert gap[0, names.index("old_tool")] < 0.03 < gap[-1, names.index("old_tool")]
        assert gap[-1, names.index(goal.object)] < 0.03 < gap[0, names.index(goal.object)]


@pytest.mark.parametrize("mode", ["occlusion", "lost_object"])
def test_an_object_is_hidden_by_the_screen_or_out_of_sight_until_another_view_shows_it(mode: str) -> None:
    got = made("inspect_scene", "recovery", mode, count=3)
    confidence, position = got.batch.object_confidence, got.batch.object_position
    assert confidence is not None
    assert position is not None
    assert got.outcome.success.all()
    for episode in range(len(got.batch)):
        own = frames(got.batch, episode)
        failed = got.truth.episodes.event_frame[episode]
        sure = confidence[own][:, 0]
        assert sure[failed] < 0.5
        assert np.isnan(position[own][failed, 0]).all() == (mode == "lost_object")
        assert sure[-1] > 0.8


@pytest.mark.parametrize("family", SIMULATED)
def test_failed_segments_have_a_reason_and_others_none(family: str) -> None:
    segments = recoveries(family).truth.segments
    failed = segments.outcome.isin("failure", "retry")
    assert failed.any()
    assert (failed == ~segments.failure_reason.isin("")).all()


def test_control_rates_differ_and_time_keeps_them() -> None:
    settings = SimulatorSettings(rates_hz=(20.0, 100.0))
    batch = simulate(rollouts_plan("drawer_open", template="success", count=6, seed=1), settings).batch
    rates = {round(1 / np.median(np.diff(batch.time[frames(batch, i)]))) for i in range(len(batch))}
    assert rates == {20, 100}


def test_the_client_serves_simulated_rollouts_and_sources() -> None:
    client = Sima2Client(backend="mujoco", seed=1)
    got = client.rollouts(family="drawer_open", template="success", count=2)
    assert got.outcome.success.tolist() == [1.0, 1.0]
    source = client.source(families=("drawer_open",), episodes=4)
    assert source.episodes == 4
    part = source.read(1, 3)
    assert len(part.batch) == 2
    assert part.batch.episodes.episode_index.tolist() == [1, 2]


def test_provenance_gives_nothing_of_the_truth_away() -> None:
    batch = made("drawer_open", "success", count=4).batch
    assert {tuple(sorted(each)) for each in batch.episodes.provenance} == {("id", "source", "version")}


def test_an_unknown_family_is_named_with_the_simulated_ones() -> None:
    with pytest.raises(UnknownNameError, match="drawer_open"):
        check_simulated("fold_laundry")


def test_garbage_is_refused() -> None:
    with pytest.raises(UsageError, match="garbage"):
        simulate(mix_plan("edge_cases_v1", families=["drawer_open"], seed=0))


def test_an_impossible_rate_is_refused() -> None:
    with pytest.raises(UsageError, match="20 to 100"):
        SimulatorSettings(rates_hz=(5.0,))


@pytest.mark.parametrize(
    ("arm", "what"),
    [
        (ArmRanges(upper_m=((0.2, 0.3),)), "reach"),
        (ArmRanges(stroke_m=((0.05, 0.09),)), "stroke_m"),
        (ArmRanges(base_m=((0.4, 0.3),)), "base_m"),
        (ArmRanges(base_m=()), "base_m"),
    ],
)
def test_an_arm_that_cannot_work_is_refused(arm: ArmRanges, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        SimulatorSettings(arm=arm)


# ---- parameters left out


def apart(one: Spans, other: Spans) -> bool:
    return all(a[1] < b[0] or b[1] < a[0] for a in one for b in other)


def test_parameters_left_out_are_never_drawn_by_default() -> None:
    usual = SimulatorSettings()
    assert not set(usual.rates_hz) & set(LEFT_OUT.rates_hz)
    compared = 0
    for mine, theirs in ((usual, LEFT_OUT), (usual.arm, LEFT_OUT.arm), (usual.faults, LEFT_OUT.faults)):
        for each in fields(mine):
            if each.type == "Spans":
                assert apart(getattr(mine, each.name), getattr(theirs, each.name)), each.name
                compared += 1
    assert compared > 15


def test_the_unseen_arm_is_neither_the_usual_one_nor_the_one_left_out() -> None:
    for seen in (SimulatorSettings(), LEFT_OUT):
        assert not set(seen.rates_hz) & set(UNSEEN.rates_hz)
        for each in fields(UNSEEN.arm):
            assert apart(getattr(UNSEEN.arm, each.name), getattr(seen.arm, each.name)), each.name


def test_numbers_are_drawn_from_all_of_their_spans_and_nowhere_between() -> None:
    spans = ((0.0, 1.0), (5.0, 8.0))
    values = np.array([drawn(spans, share) for share in np.linspace(0, 1, 401)])
    assert (values.min(), values.max()) == (0.0, 8.0)
    assert not ((values > 1.0) & (values < 5.0)).any()
    assert np.mean(values <= 1.0) == pytest.approx(0.25, abs=0.01)


def test_the_client_serves_the_cell_it_is_given() -> None:
    client = Sima2Client(backend="mujoco", seed=1, simulator=LEFT_OUT)
    batch = client.rollouts(family="drawer_open", template="success", count=2).batch
    assert {round(1 / np.median(np.diff(batch.time[frames(batch, i)]))) for i in range(2)} <= {25, 40, 80}
    with pytest.raises(UsageError, match="synthetic"):
        Sima2Client(simulator=LEFT_OUT)


@pytest.mark.parametrize("family", SIMULATED)
def test_another_robot_does_every_task_and_fails_as_planned(family: str) -> None:
    assert simulate(rollouts_plan(family, template="success", count=3, seed=1), LEFT_OUT).outcome.success.all()
    failed = simulate(rollouts_plan(family, template="failure", count=3, seed=1), LEFT_OUT)
    assert (failed.truth.episodes.event_frame >= 0).all()
    # what a fast hand drops may fly to where it belongs
    assert failed.outcome.success.sum() <= 1


def test_poses_come_late_by_the_delay_asked_for() -> None:
    plan = rollouts_plan("pick_and_place", template="success", count=1, seed=1)
    now = simulate(plan, EXACT).batch.object_position
    late = simulate(plan, replace(EXACT, pose_delay_s=((0.1, 0.1),))).batch.object_position
    assert now is not None
    assert late is not None
    assert np.allclose(late[3:], now[:-3])
    assert not np.allclose(late, now)


def test_without_the_extra_the_client_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mujoco", None)
    assert importlib.util.find_spec("mujoco") is None
    with pytest.raises(MissingExtraError, match=r"sima2\[sim\]"):
        Sima2Client(backend="mujoco")
