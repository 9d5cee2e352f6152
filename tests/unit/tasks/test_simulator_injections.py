"""Faults forced upon the simulated robot: they happen by physics, on the frame asked for, and nowhere without."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

pytest.importorskip("mujoco")

from sima2.client import Pumped, Sima2Client
from sima2.errors import UnknownNameError, UsageError
from sima2.tasks.design import Injection
from sima2.tasks.failure_modes import FAILURE_MODES
from sima2.tasks.families import ALL_FAMILIES
from sima2.tasks.simulator import SIMULATED, SimulatorSettings

CLIENT = Sima2Client(backend="mujoco", seed=5)
HOLDING = tuple(name for name in SIMULATED if ALL_FAMILIES[name].skeleton != "inspect")
NEAR = 3
"""Control periods by which an event may miss its frame."""


@cache
def forced(family: str, kind: str, frame: int | None = None, count: int = 2) -> Pumped:
    return CLIENT.rollouts(family=family, count=count, inject=Injection(kind, frame=frame))


@cache
def usual(family: str) -> Pumped:
    return CLIENT.rollouts(family=family, template="success", count=4)


def own(pumped: Pumped, episode: int) -> slice:
    return slice(int(pumped.batch.offset[episode]), int(pumped.batch.offset[episode + 1]))


def reasons(pumped: Pumped, episode: int) -> list[tuple[str, str]]:
    assert pumped.truth is not None
    rows = pumped.truth.segments.rows()
    name = pumped.batch.episodes.episode_id[episode]
    return [(r["label"], r["failure_reason"]) for r in rows if r["episode_id"] == name and r["failure_reason"]]


@pytest.mark.parametrize("family", HOLDING)
def test_a_forced_slip_strikes_at_its_frame_and_is_made_good(family: str) -> None:
    got = forced(family, "slip", 260)
    assert got.truth is not None
    assert np.abs(got.truth.episodes.event_frame - 260).max() <= NEAR
    assert got.outcome.failed_at_s == pytest.approx([13.0, 13.0], abs=NEAR / 20)
    assert got.outcome.success.tolist() == [1.0, 1.0]
    for episode in range(2):
        assert reasons(got, episode)[0][1] == "gripper_slip"
    assert got.truth.frames.recovery.any()


def test_the_grip_is_felt_before_a_forced_slip_and_lost_after_it() -> None:
    got = forced("pick_and_place", "slip", 200, 4)
    for episode in range(4):
        assert got.batch.arm.grip_force is not None
        grip = got.batch.arm.grip_force[own(got, episode)]
        assert grip[196:200].min() > 2.0
        assert grip[203:206].max() < 1.0
        assert reasons(got, episode) == [("grasp", "gripper_slip")]


def test_a_slip_whose_frame_is_left_open_comes_when_the_fingers_have_closed() -> None:
    got = forced("pick_and_place", "slip")
    assert got.truth is not None
    assert (got.truth.episodes.event_frame > 20).all()
    assert [reasons(got, episode) for episode in range(2)] == [[("grasp", "gripper_slip")]] * 2


def test_nothing_slips_where_nothing_was_forced() -> None:
    assert [reasons(usual("pick_and_place"), episode) for episode in range(4)] == [[]] * 4


@pytest.mark.parametrize("rate", [20.0, 100.0])
def test_a_slip_is_forced_to_its_frame_at_any_rate(rate: float) -> None:
    client = Sima2Client(backend="mujoco", seed=6, simulator=SimulatorSettings(rates_hz=(rate,)))
    got = client.rollouts(count=2, inject=Injection("slip", frame=round(11 * rate)))
    assert got.truth is not None
    assert np.abs(got.truth.episodes.event_frame - round(11 * rate)).max() <= NEAR


def test_a_forced_event_cannot_come_before_the_hand_can_be_there() -> None:
    with pytest.raises(UsageError, match=r"pick_and_place-00000\d cannot strike at frame 8: .* not there before"):
        CLIENT.rollouts(count=1, inject=Injection("slip", frame=8))


@pytest.mark.parametrize(
    ("family", "mode"), [(family, mode) for family in SIMULATED for mode in ALL_FAMILIES[family].failure_modes]
)
def test_any_failure_mode_of_the_family_strikes_at_its_frame(family: str, mode: str) -> None:
    got = forced(family, mode, 320, 1)
    assert got.truth is not None
    assert abs(int(got.truth.episodes.event_frame[0]) - 320) <= NEAR
    assert FAILURE_MODES[mode].reason in {reason for _, reason in reasons(got, 0)}


def test_a_drawer_locked_for_good_is_pulled_in_vain_as_often_as_asked() -> None:
    for attempts in (2, 4):
        got = CLIENT.rollouts(family="drawer_open", count=2, inject=Injection("locked_joint", attempts=attempts))
        assert got.outcome.success.tolist() == [0.0, 0.0]
        for episode in range(2):
            assert reasons(got, episode) == [("pull", "locked")] * (1 + attempts)
        assert got.batch.object_position is not None
        drawer = got.batch.object_position[:, got.batch.objects[0].index("drawer")]
        assert all(np.nanmax(np.ptp(drawer[own(got, k)], axis=0)) < 0.01 for k in range(2))


@pytest.mark.parametrize("family", SIMULATED)
def test_an_unknown_object_is_named_so_and_looks_unlike_the_nominal_ones(family: str) -> None:
    alien, nominal = forced(family, "unknown_object", None, 3), usual(family)
    assert all(names[0] == "unknown_mesh_v9" for names in alien.batch.objects)
    assert not any("unknown_mesh_v9" in names for names in nominal.batch.objects)
    goals = [goal for goal in alien.batch.episodes.goal if goal is not None]
    assert all("unknown_mesh_v9" in (goal.object, goal.target) for goal in goals) or family == "drawer_open"
    assert alien.truth is not None
    assert alien.truth.episodes.ood_source.tolist() == ["visual"] * 3
    assert not alien.outcome.nominal.any()
    assert alien.batch.embedding is not None
    assert nominal.batch.embedding is not None
    centre = nominal.batch.embedding.mean(axis=0)

    def distance(x: np.ndarray) -> float:
        return 1 - float(np.median(x @ centre / np.linalg.norm(x, axis=1) / np.linalg.norm(centre)))

    most = max(distance(nominal.batch.embedding[own(nominal, k)]) for k in range(4))
    assert min(distance(alien.batch.embedding[own(alien, k)]) for k in range(3)) > most


def test_the_alien_is_wider_than_what_it_stands_for() -> None:
    # the same seed draws the same shapes: what is held differs only in that it is alien
    alien = forced("wipe_surface", "unknown_object", None, 3)
    plain = CLIENT.rollouts(family="wipe_surface", template="success", count=3)
    assert alien.truth is not None
    assert plain.truth is not None
    assert alien.truth.episodes.geometry.tolist() == plain.truth.episodes.geometry.tolist()

    def held(pumped: Pumped, episode: int) -> float:
        arm = pumped.batch.arm
        assert arm.grip_force is not None
        assert arm.gripper_width is not None
        return float(np.median(arm.gripper_width[own(pumped, episode)][arm.grip_force[own(pumped, episode)] > 2.0]))

    assert all(held(alien, k) > 1.2 * held(plain, k) for k in range(3))


def test_a_stand_in_may_be_named() -> None:
    got = CLIENT.rollouts(family="wipe_surface", count=1, inject=Injection("unknown_object", object="blob_1"))
    assert got.batch.objects[0][0] == "blob_1"


def test_the_same_injection_gives_the_same_bytes() -> None:
    first, second = (CLIENT.rollouts(count=1, inject=Injection("slip", frame=150)).batch for _ in range(2))
    assert first.embedding is not None
    assert second.embedding is not None
    assert first.embedding.tobytes() == second.embedding.tobytes()
    assert first.time.tobytes() == second.time.tobytes()


def test_a_fault_that_does_not_fit_the_family_names_those_that_do() -> None:
    with pytest.raises(UnknownNameError, match="unknown_object"):
        CLIENT.rollouts(family="wipe_surface", count=1, inject=Injection("locked_joint"))
    with pytest.raises(UsageError, match="holds nothing"):
        CLIENT.rollouts(family="inspect_scene", count=1, inject=Injection("slip"))
