"""What each planted defect of the data changes, by how much, where and nothing else; and where it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from carried_cups import LAG, RATE, carried
from sima2.defects.planting import Host, Plant, Usual, plant
from sima2.defects.planting.editing import Follows, follows, noise_of
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.segmentation_engine import SegmentationEngine

SEEDS = range(16)


def with_opening(rollout: Rollout) -> Rollout:
    width = rollout.manipulators["arm"].gripper_width
    assert width is not None
    return rollout.with_(gripper_width=None, gripper_opening=np.clip(width / 0.08, 0, 1))


def hosts_of(rollouts: list[Rollout]) -> list[Host]:
    batch = RolloutBatch.from_rollouts(rollouts)
    table = SegmentationEngine().fit([batch]).segment(batch)
    usual = Usual.of(rollouts)
    return [
        Host(each, tuple(s for s in table if s.episode_id == each.episode_id), usual, rollouts[k - 1])
        for k, each in enumerate(rollouts)
    ]


@pytest.fixture(scope="module")
def hosts() -> list[Host]:
    return hosts_of([carried(k) for k in range(3)])


def planted(hosts: list[Host], kind: str) -> Iterator[tuple[Host, Plant]]:
    """The fault in every host with every seed; none refuses, but where no joint happens to go far enough."""
    count = 0
    for host in hosts:
        for seed in SEEDS:
            made = plant(kind, host, np.random.default_rng(seed))
            assert isinstance(made, Plant) or kind == "clipped_channel", made
            if isinstance(made, Plant):
                count += 1
                yield host, made
    assert count > len(hosts) * len(SEEDS) / 2


def channels(rollout: Rollout) -> dict[str, np.ndarray]:
    return {"action": rollout.action, **rollout.manipulators["arm"].channels(), **rollout.object_position}


def differing(made: Plant, host: Host) -> set[str]:
    before = channels(host.rollout)
    return {name for name, value in channels(made.rollout).items() if not np.array_equal(value, before[name], True)}


def joints(rollout: Rollout) -> np.ndarray:
    return np.asarray(rollout.manipulators["arm"].joint_position, np.float64)


def changed_columns(made: Plant, host: Host) -> list[int]:
    return np.flatnonzero((joints(made.rollout) != joints(host.rollout)).any(axis=0)).tolist()


def seconds(made: Plant) -> float:
    return (made.end - made.start) / RATE


def test_a_teleport_moves_one_joint_far_off_for_one_to_three_frames(hosts: list[Host]) -> None:
    lengths, sides = set(), set()
    for host, made in planted(hosts, "teleport"):
        (joint,) = changed_columns(made, host)
        off = (joints(made.rollout) - joints(host.rollout))[made.start : made.end, joint]
        assert 0.25 - 1e-6 <= abs(off[0]) <= 1.2 + 1e-6
        np.testing.assert_allclose(off, off[0], atol=1e-6)
        assert 3 <= made.start < made.end <= len(host.rollout) - 3
        lengths.add(made.end - made.start)
        sides.add(np.sign(off[0]))
        assert differing(made, host) <= {"joint_position", "effort_proxy"}
    assert lengths == {1, 2, 3}
    assert sides == {-1, 1}


def test_a_frozen_joint_keeps_its_value_where_it_would_have_gone_far(hosts: list[Host]) -> None:
    for host, made in planted(hosts, "frozen_channel"):
        (joint,) = changed_columns(made, host)
        now, before = joints(made.rollout)[:, joint], joints(host.rollout)[:, joint]
        assert (now[made.start : made.end] == before[made.start]).all()
        assert np.ptp(before[made.start : made.end + 3]) >= 0.2 * np.ptp(before)
        assert 0.8 <= seconds(made) <= 4.0
        assert 1 <= made.start < made.end <= len(before) - 3


def test_lost_samples_are_no_numbers_in_one_channel(hosts: list[Host]) -> None:
    names = set()
    for host, made in planted(hosts, "missing_samples"):
        (name,) = differing(made, host)
        names.add(name)
        value = channels(made.rollout)[name].reshape(len(host.rollout), -1)
        lost = np.isnan(value)
        assert (lost.all(axis=1) == lost.any(axis=1)).all()
        assert np.flatnonzero(lost.all(axis=1)).tolist() == list(range(made.start, made.end))
        assert 2 <= made.end - made.start <= 24
    assert names == {"joint_position", "ee_position", "gripper_width"}


def test_a_burst_of_noise_is_of_one_joint_or_all(hosts: list[Host]) -> None:
    widths = set()
    for host, made in planted(hosts, "noise_burst"):
        columns = changed_columns(made, host)
        widths.add(len(columns))
        off = (joints(made.rollout) - joints(host.rollout))[:, columns]
        assert not off[np.r_[0 : made.start, made.end : len(off)]].any()
        assert 0.01 < off[made.start : made.end].std() < 0.12
        assert abs(off[made.start : made.end].mean()) < 0.06
        assert 0.5 - 1 / RATE <= seconds(made) <= 2.0 + 1 / RATE
    assert widths == {1, 3}


def test_repeated_frames_are_every_second_or_third(hosts: list[Host]) -> None:
    steps = set()
    for host, made in planted(hosts, "repeated_frames"):
        same = np.flatnonzero((np.diff(joints(made.rollout), axis=0) == 0).all(axis=1)) + 1
        every = int(same[1] - same[0])
        steps.add(every)
        assert same.tolist() == list(range(every - 1, len(host.rollout), every))
        np.testing.assert_array_equal(made.rollout.time, host.rollout.time)
    assert steps == {2, 3}


def test_a_stalled_arm_stands_with_its_noise_while_commands_go_on_and_catches_up(hosts: list[Host]) -> None:
    for host, made in planted(hosts, "stalled"):
        now, before = joints(made.rollout), joints(host.rollout)
        noise = noise_of(before)
        stands = now[made.start : made.end] - before[made.start]
        assert (np.abs(stands) < 6 * noise + 1e-6).all()
        assert stands.std() > 0.3 * noise.min()
        np.testing.assert_array_equal(now[: made.start], before[: made.start])
        assert np.abs(now[made.end] - before[made.end]).max() > np.abs(now[-1] - before[-1]).max()
        assert 0.6 <= seconds(made) <= 3.0
        assert made.end <= len(now) - 0.3 * RATE
        assert differing(made, host) <= {"joint_position", "effort_proxy"}


def test_after_a_stall_the_arm_is_back_within_its_time(hosts: list[Host]) -> None:
    for host, made in planted(hosts, "stalled"):
        off = np.abs(joints(made.rollout) - joints(host.rollout))[made.end :].max(axis=1)
        later = off[min(round(0.26 * RATE), len(off) - 1) :]
        assert (later <= np.exp(-1) * off[0] + 1e-6).all()


def places(made: Plant, host: Host) -> np.ndarray:
    """Which frame of its host each frame was."""
    own = joints(host.rollout)
    return np.array([int(np.abs(own - row).sum(axis=1).argmin()) for row in joints(made.rollout)])


def test_frames_are_lost_at_once_or_here_and_there_and_the_clock_tells_or_not(hosts: list[Host]) -> None:
    ways = set()
    for host, made in planted(hosts, "dropped_frames"):
        kept = places(made, host)
        assert (np.diff(kept) > 0).all()
        gone = np.setdiff1d(np.arange(len(host.rollout)), kept)
        assert gone.min() >= made.start
        at_once = len(gone) == np.ptp(gone) + 1
        assert 0.25 - 0.05 <= len(gone) / RATE <= 1.05 if at_once else 0.1 <= len(gone) / np.ptp(gone) <= 0.45
        tells = np.array_equal(made.rollout.time, host.rollout.time[kept])
        if not tells:
            np.testing.assert_allclose(np.diff(made.rollout.time), 1 / RATE)
        ways.add((at_once, tells))
    assert len(ways) == 4


def test_an_idle_stretch_is_put_in_at_either_end_or_in_the_middle(hosts: list[Host]) -> None:
    where = set()
    for host, made in planted(hosts, "idle"):
        own, now, rest = joints(host.rollout), joints(made.rollout), made.end - made.start
        assert len(now) == len(own) + rest
        assert 5.0 <= rest / RATE <= 15.0
        np.testing.assert_array_equal(now[: made.start], own[: made.start])
        np.testing.assert_array_equal(now[made.end :], own[made.start :])
        still = now[made.start : made.end] - own[made.start - 1]
        assert (np.abs(still) < 7 * noise_of(own) + 1e-6).all()
        assert still.std() == pytest.approx(noise_of(own).mean(), rel=0.4)
        where.add("start" if made.start == 1 else "end" if made.start == len(own) else "middle")
    assert where == {"start", "middle", "end"}


def test_actions_lie_beside_other_states_by_a_part_of_a_second(hosts: list[Host]) -> None:
    shifts = set()
    for host, made in planted(hosts, "action_lag"):
        states = places(made, host)
        assert (np.diff(states) == 1).all()
        sent = np.array(
            [int(np.abs(host.rollout.action - row).sum(axis=1).argmin()) for row in made.rollout.action[5:60]]
        )
        (shift,) = set((states[5:60] - sent).tolist())
        assert 0.15 - 0.05 <= abs(shift) / RATE <= 0.4 + 0.05
        assert len(made.rollout) == len(host.rollout) - abs(shift)
        command = made.rollout.manipulators["arm"].joint_command
        np.testing.assert_array_equal(command, made.rollout.action[:, :3])
        shifts.add(np.sign(shift))
    assert shifts == {-1, 1}


def test_a_near_duplicate_is_the_other_episode_under_its_own_name(hosts: list[Host]) -> None:
    cuts = set()
    for host, made in planted(hosts, "near_duplicate"):
        assert host.other is not None
        assert (made.of, made.rollout.episode_id) == (host.other.episode_id, host.rollout.episode_id)
        source = joints(host.other)
        off = min(
            (joints(made.rollout) - source[head : head + len(made.rollout)] for head in range(6)
             if head + len(made.rollout) <= len(source)),
            key=lambda each: each.std(),
        )  # fmt: skip
        assert off.std() == pytest.approx(noise_of(source).mean(), rel=0.3)
        cuts.add(len(source) - len(made.rollout))
    assert 0 in cuts
    assert max(cuts) > 0


def test_a_clipped_joint_stays_on_a_limit_well_short_of_where_it_would_go(hosts: list[Host]) -> None:
    tops = set()
    for host, made in planted(hosts, "clipped_channel"):
        (joint,) = changed_columns(made, host)
        now, before = joints(made.rollout)[:, joint], joints(host.rollout)[:, joint]
        beyond = np.flatnonzero(now != before)
        assert (made.start, made.end) == (beyond[0], beyond[-1] + 1)
        top = now[beyond[0]] == now.max()
        assert len(np.unique(now[beyond])) == 1
        assert now[beyond[0]] == (now.max() if top else now.min())
        assert 0.05 < len(beyond) / len(now) < 0.26
        span = host.usual.span["arm"][joint]
        assert np.abs(before - now).max() >= 0.12 * span - 1e-5
        tops.add(bool(top))
    assert tops == {False, True}


def test_a_truncated_recording_breaks_off_in_motion_before_the_thing_is_let_go(hosts: list[Host]) -> None:
    for host, made in planted(hosts, "truncated"):
        n = len(made.rollout)
        np.testing.assert_array_equal(joints(made.rollout), joints(host.rollout)[:n])
        np.testing.assert_array_equal(made.rollout.time, host.rollout.time[:n])
        assert 0.25 * len(host.rollout) < n < min(host.carries()[-1].opens, len(host.rollout) - RATE)
        speed = np.abs(np.diff(joints(host.rollout), axis=0)).sum(axis=1)
        assert speed[n - 2 : n + 2].mean() > 0.5 * np.quantile(speed, 0.75)
        assert (made.start, made.end) == (n - 1, n)


def test_other_units_are_degrees_of_joints_and_commands_alone(hosts: list[Host]) -> None:
    for host, made in planted(hosts[:1], "mixed_units"):
        assert differing(made, host) == {"joint_position", "joint_command"}
        np.testing.assert_allclose(joints(made.rollout), np.degrees(joints(host.rollout)), rtol=1e-5)


def test_a_gripper_is_turned_round_between_its_own_ends() -> None:
    for host, made in planted(hosts_of([with_opening(carried(k)) for k in range(3)]), "mixed_polarity"):
        hand = host.usual.hands["arm"]
        before, now = (x.manipulators["arm"].gripper_opening for x in (host.rollout, made.rollout))
        np.testing.assert_allclose(now, hand.shut + hand.open - before, atol=1e-6)
        assert differing(made, host) == {"gripper_opening"}


def test_a_gripper_that_hardly_moves_or_is_read_in_metres_is_not_turned_round(hosts: list[Host]) -> None:
    opening = hosts_of([with_opening(carried(k)) for k in range(3)])[0]
    still = Host(opening.rollout.with_(gripper_opening=np.full(200, 0.5)), (), opening.usual)
    assert plant("mixed_polarity", still, np.random.default_rng(0)) == "the gripper hardly moves in it"
    assert "in metres" in str(plant("mixed_polarity", hosts[0], np.random.default_rng(0)))


@pytest.mark.parametrize("kind", ["teleport", "frozen_channel", "noise_burst", "repeated_frames", "dropped_frames"])
def test_an_arm_that_rests_is_refused(hosts: list[Host], kind: str) -> None:
    rests = hosts[0].rollout.with_(joint_position=np.tile([0.0, 0.05, 0.0], (200, 1)) * np.linspace(0, 1, 200)[:, None])
    assert "no joint moves" in str(plant(kind, Host(rests, (), hosts[0].usual), np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("kind", "frames", "takes"),
    [("teleport", 8, False), ("teleport", 30, True), ("missing_samples", 11, False), ("missing_samples", 12, True),
     ("noise_burst", 10, False), ("action_lag", 20, False), ("near_duplicate", 7, False), ("truncated", 20, False)],
)  # fmt: skip
def test_what_is_too_short_is_refused(hosts: list[Host], kind: str, frames: int, takes: bool) -> None:
    """Frames are those of the carrying, in which every joint moves."""
    from sima2.defects.planting.editing import at_rows

    rows = np.arange(95, 95 + frames)
    short = at_rows(hosts[0].rollout, rows)
    other = at_rows(hosts[1].rollout, rows)
    for seed in SEEDS:
        made = plant(kind, Host(short, (), hosts[0].usual, other), np.random.default_rng(seed))
        assert isinstance(made, Plant) if takes else made == "it is too short"


def test_without_commands_or_another_episode_it_is_said_so(hosts: list[Host]) -> None:
    bare = Host(carried(0, commands=False), (), hosts[0].usual)
    for kind in ("stalled", "action_lag"):
        assert plant(kind, bare, np.random.default_rng(0)) == "no commands are recorded"
    assert "no other episode" in str(plant("near_duplicate", bare, np.random.default_rng(0)))
    blind = Host(Rollout("e", time=np.arange(50) / RATE, action=np.zeros((50, 2))), (), hosts[0].usual)
    assert plant("missing_samples", blind, np.random.default_rng(0)) == "no positions are recorded"


def made_residual(lag: int = 4, unit: float = 0.002, n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Commands of which the second is followed, a position that something keeps from it, and the residual."""
    t = np.arange(n) / RATE
    sent = np.stack([np.cos(3 * t), 0.5 + 0.3 * np.sin(2 * t)], axis=1)
    late = np.r_[np.full(lag, np.nan), sent[: n - lag, 1]]
    position = np.where(np.isnan(late), sent[0, 1], np.maximum(np.nan_to_num(late), 0.4))
    return sent, position, (late - position) / unit


@pytest.mark.parametrize("lag", [0, 1, 4, 12])
def test_a_residual_tells_its_command_its_lag_and_its_unit(lag: int) -> None:
    sent, position, residual = made_residual(lag)
    found = follows(sent, position, residual, 1 / RATE)
    assert found is not None
    assert (found.lag, found.column) == (lag, 1)
    assert found.unit == pytest.approx(0.002, rel=1e-3)
    np.testing.assert_allclose(found.residual(sent[:, 1], position), residual, atol=1e-6)


def test_no_residual_is_explained_by_what_it_was_not_made_of() -> None:
    sent, position, residual = made_residual()
    noise = np.random.default_rng(0).normal(size=len(position))
    assert follows(noise[:, None], position, residual, 1 / RATE) is None
    assert follows(sent, np.full_like(position, 0.4), residual, 1 / RATE) is None
    assert follows(sent, position, np.full_like(residual, 1.0), 1 / RATE) is None
    few = np.where(np.arange(len(residual)) % 6 == 0, residual, np.nan)
    assert np.isfinite(few).sum() == 20 - 1
    assert follows(sent, position, few, 1 / RATE) is None
    assert follows(*made_residual(13), 1 / RATE) is None or follows(*made_residual(13), 1 / RATE).lag != 13  # type: ignore[union-attr]


def test_half_explained_commands_are_not_those_followed() -> None:
    sent, position, residual = made_residual()
    loud = sent + np.random.default_rng(0).normal(0, 0.1, sent.shape)
    assert follows(loud, position, residual, 1 / RATE) is None


def test_a_residual_is_unknown_in_the_first_frames() -> None:
    made = Follows(2, 1.0, 0, (1.0, 0.5, 2.0)).residual(np.array([3.0, 5.0, 7.0, 9.0]), np.array([0.0, 0.0, 2.0, 4.0]))
    np.testing.assert_allclose(made, [np.nan, np.nan, (3 - 1 - 1) / 2, (5 - 1 - 2) / 2])


def test_lag_of_the_made_episodes(hosts: list[Host]) -> None:
    arm = hosts[0].rollout.manipulators["arm"]
    found = follows(hosts[0].rollout.action, arm.gripper_width, arm.effort_proxy[:, 3], 1 / RATE)  # type: ignore[arg-type,index]
    assert found is not None
    assert found.lag == LAG
