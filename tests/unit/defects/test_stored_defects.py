"""What is planted, measured and told of made episodes, word for word, as it is stored beside this file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from carried_cups import carried
from damaged_rollouts import clean, joints_and_gripper, taken, with_pause
from sima2.defects.calibration import sessions
from sima2.defects.consensus import consensus
from sima2.defects.courses import endings, strides, usual_courses
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.inspector import DefectInspector, Inspection
from sima2.defects.judge import DefectJudge
from sima2.defects.planting import HARMLESS, KINDS, Host, Usual, plant
from sima2.defects.tracks import tracks
from sima2.defects.unusual import unusual_episodes
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.records.table import Text
from sima2.segmentation_engine import SegmentationEngine
from stored_answers import check_stored
from unit.defects import test_unusual as unusual
from unit.defects.test_against_commands import followed
from unit.defects.test_against_commands import run as commanded
from unit.defects.test_against_others import made
from unit.defects.test_against_others import run as others
from unit.defects.test_consensus import points as consensus_points


@pytest.fixture(scope="module")
def hosts() -> list[Host]:
    rollouts = [carried(k) for k in range(6)]
    batch = RolloutBatch.from_rollouts(rollouts)
    table = SegmentationEngine().fit([batch]).segment(batch)
    usual = Usual.of(rollouts)
    return [
        Host(each, tuple(s for s in table if s.episode_id == each.episode_id), usual, rollouts[k - 1])
        for k, each in enumerate(rollouts)
    ]


def inspected(rollouts: list[Rollout]) -> Inspection:
    return DefectInspector().inspect(RolloutBatch.from_rollouts(rollouts))


def rows(table: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in table.rows()]


def channels(rollout: Rollout) -> dict[str, Any]:
    named = {arm: m.channels() for arm, m in rollout.manipulators.items()}
    return {"time": rollout.time, "arms": named, "things": rollout.object_position, "action": rollout.action}


@pytest.mark.parametrize("kind", [*KINDS, *HARMLESS])
def test_a_planted_fault_is_made_and_found_as_it_always_was(hosts: list[Host], kind: str) -> None:
    told = []
    for seed, host in ((5, hosts[0]), (6, hosts[3])):
        rng = np.random.default_rng(seed)
        one = plant(kind, host, rng) if kind in KINDS else HARMLESS[kind](host.rollout, rng)
        if isinstance(one, str):
            told.append({"not planted": one})
            continue
        new = getattr(one, "rollout", one)
        span = (getattr(one, "start", 0), getattr(one, "end", 0))
        told.append({"at": span, "made": channels(new), "found": rows(inspected([new]).defects)})
    check_stored(__file__, f"planted {kind}", told)


def frozen(r: Rollout, name: str, column: int, start: int, frames: int) -> Rollout:
    x = getattr(r, name).copy()
    x[start : start + frames, column] = x[start, column]
    return r.with_(**{name: x})


def trembling(r: Rollout, size: float) -> Rollout:
    x = r.joint_position.copy()
    x[90:125, 1] += np.random.default_rng(3).normal(0, size, 35)
    return r.with_(joint_position=x)


def stuck(r: Rollout, start: int, frames: int, column: int = 2) -> Rollout:
    x = r.joint_position.copy()
    x[start : start + frames, column] = x[start, column] + np.random.default_rng(5).normal(0, 4e-4, frames)
    return r.with_(joint_position=x)


def of_clock(r: Rollout, time: np.ndarray) -> Rollout:
    return r.with_(time=time)


def jittered(r: Rollout, share: float) -> Rollout:
    wander = np.random.default_rng(2).uniform(-0.5, 0.5, len(r))
    return of_clock(r, (np.arange(len(r)) + share * wander) / 30)


def with_gap(r: Rollout, at: int, seconds: float) -> Rollout:
    return of_clock(r, r.time + seconds * (np.arange(len(r)) > at))


def late(r: Rollout, at: int, share: float) -> Rollout:
    """Some frames come late, and the clock is right again behind them."""
    time = r.time.copy()
    time[at : at + 3] += share / 30 * np.array([1.0, 0.6, 0.3])
    return of_clock(r, np.maximum.accumulate(time + 1e-9 * np.arange(len(r))))


def missing(k: int) -> Rollout:
    """Samples of joints and fingers that are lost together, apart, or one after the other."""
    r = made(k)
    q, grip = r.joint_position.copy(), r.gripper_opening.copy()
    q[40 : 50 + k, :2] = np.nan
    q[70:80, 2] = np.nan
    q[72:80, 3] = np.nan
    grip[40 : 50 + k] = np.nan
    grip[200 : 200 + 10 * k] = np.nan
    return r.with_(joint_position=q, gripper_opening=grip)


def frozen_force(k: int, value: float) -> Rollout:
    force = np.abs(np.random.default_rng(k).normal(1.0, 0.3, len(made(k))))
    force[50:110] = value
    return made(k).with_(contact_force=force)


def jumped(r: Rollout, at: int, size: float, back: int) -> Rollout:
    x = r.joint_position.copy()
    x[at : at + back if back else None, 1] += size
    return r.with_(joint_position=x)


def skipped(r: Rollout, at: int, frames: int) -> Rollout:
    """Frames are lost, and the clock was made regular."""
    kept = np.r_[0:at, at + frames : len(r)]
    return taken(r, kept, r.time[: len(kept)])


SPOILT: dict[str, list[Rollout]] = {
    "stalls of a commanded joint": [stuck(followed(k), 100, n) for k, n in ((3, 45), (4, 30), (5, 16), (6, 12))],
    "freezes": [frozen(followed(k), "joint_position", 1, 100, n) for k, n in ((2, 50), (3, 25), (4, 9), (5, 5))],
    "freezes of joints alone": [frozen(made(k), "joint_position", 2, 60, n) for k, n in ((2, 60), (3, 20), (4, 11))],
    "tremble": [trembling(made(k), size) for k, size in ((1, 0.05), (2, 0.02), (3, 0.01), (4, 0.004))],
    "jitter": [jittered(made(k), share) for k, share in ((1, 0.2), (2, 0.5), (3, 0.7), (4, 0.9))],
    "gaps": [with_gap(made(k), 80 + k, s) for k, s in ((1, 0.02), (2, 0.04), (3, 0.1), (4, 0.5), (5, 3.0))],
    "gaps of commanded": [with_gap(followed(k), 80 + k, s) for k, s in ((1, 0.02), (2, 0.04), (3, 0.1), (4, 0.5))],
    "lags": [followed(k, lag=lag) for k, lag in ((1, 1), (2, 3), (3, 7), (4, 12))],
    "offsets": [followed(k, offset=offset) for k, offset in ((1, 0.02), (2, 0.1), (3, -0.3))],
    "gaps at rest": [
        with_gap(with_pause(made(k), 90, 2.0), at, s)
        for k, (at, s) in enumerate([(100, 0.035), (110, 0.05), (120, 0.1), (130, 0.4), (140, 0.05), (97, 0.2)])
    ],
    "late frames": [late(made(k), at, share) for k, (at, share) in enumerate([(100, 0.9), (60, 0.8), (120, 1.5)])],
    "missing in many": [missing(k) for k in range(4)],
    "forces that stand": [frozen_force(k, value) for k, value in enumerate((0.0, 0.4, 3.0))],
    "clipped": [
        made(k).with_(joint_position=np.clip(made(k).joint_position, low, high))
        for k, (low, high) in enumerate([(-9.0, 1.2), (-9.0, 1.5), (-0.8, 9.0), (-0.7, 1.3)])
    ],
    "jumps": [
        jumped(made(k), at, size, back)
        for k, (at, size, back) in enumerate(
            [(80, 0.5, 1), (80, 0.3, 3), (90, 0.4, 0), (2, 0.9, 1), (235, 0.9, 1), (100, 0.1, 5)]
        )
    ],
    "skips": [skipped(followed(k), at, n) for k, (at, n) in enumerate([(90, 1), (120, 2), (200, 3), (60, 6)])],
    "skips of joints": [skipped(made(k), at, n) for k, (at, n) in enumerate([(60, 2), (70, 3), (180, 5), (190, 9)])],
    "all channels": list(clean()[:6]),
    "joints and gripper": list(joints_and_gripper()[:4]),
    "cups": [carried(k) for k in range(3)],
}


@pytest.mark.parametrize("what", SPOILT)
def test_tracks_measures_points_and_findings_of_episodes_alone_are_those_that_are_stored(what: str) -> None:
    seen = inspected(SPOILT[what])
    batch = RolloutBatch.from_rollouts(SPOILT[what])
    told = {"found": rows(seen.defects), "measured": seen.measures, "pauses": seen.pauses, "points": seen.points}
    check_stored(__file__, what, {**told, "tracks": tracks(batch, DefectSettings())})


def populations() -> dict[str, list[Rollout]]:
    one, two, three = others(), commanded(), commanded()
    one[3] = made(3, goal=1.9)
    one[5] = one[5].with_(joint_position=one[5].joint_position * np.float32(np.degrees(1.0)))
    one[7] = one[7].with_(gripper_opening=1.0 - one[7].gripper_opening)
    one[9] = one[9].with_(time=one[9].time * 1.3)
    one[11] = trembling(one[11], 0.03)
    one[13] = one[2].with_(episode_id="copy")
    one[15] = one[15].with_(joint_position=np.r_[one[15].joint_position[:1]].repeat(len(one[15]), axis=0))
    two[4] = followed(4, offset=0.15)
    two[6] = followed(6, lag=9)
    q = two[8].joint_position.copy()
    q[:, 0] = np.minimum(q[:, 0], np.quantile(q[:, 0], 0.8))
    two[8] = two[8].with_(joint_position=q)
    two[12] = two[12].with_(
        time=two[12].time[:150], joint_position=two[12].joint_position[:150], joint_command=two[12].joint_command[:150]
    )
    parted = [followed(k, offset=0.12 if k >= 12 else 0.0) for k in range(24)]
    stops = [
        each.with_(joint_position=np.minimum(each.joint_position, np.array([0.6, 9.0, 9.0], np.float32)))
        for each in three
    ]
    tasks = [made(k + a, goal, task) for a, goal, task in ((0, 1.0, "left"), (50, -1.0, "right")) for k in range(12)]
    tasks[4] = made(4, -1.0, "left")
    hosts_ = [carried(k) for k in range(24)]
    usual = Usual.of(hosts_)
    planted = []
    for k, each in enumerate(hosts_):
        kind = [*KINDS][k % len(KINDS)]
        faulty = plant(kind, Host(each, (), usual, hosts_[k - 1]), np.random.default_rng(k))
        planted.append(each if isinstance(faulty, str) or k % 2 else faulty.rollout.with_(episode_id=each.episode_id))
    mirrored = others()
    for k in (2, 9):
        q, grip = mirrored[k].joint_position[::-1], mirrored[k].gripper_opening
        mirrored[k] = mirrored[k].with_(joint_position=q.copy(), gripper_opening=1.0 - grip if k == 9 else grip)
    copies = others(14)
    copies += [copies[3].with_(episode_id="whole"), skipped(copies[5], 0, 30).with_(episode_id="cut")]
    noise = np.random.default_rng(8).normal(0, 3e-4, copies[6].joint_position.shape)
    copies.append(copies[6].with_(episode_id="noisy", joint_position=copies[6].joint_position + noise))
    copies.append(skipped(copies[7], 200, 40).with_(episode_id="shorter"))
    shifts = [followed(k, offset=[0.0, 0.06, -0.2][k // 9] + (0.4 if k == 13 else 0.0)) for k in range(27)]
    return {
        "planted": planted,
        "mirrored": mirrored,
        "copies": copies,
        "three sessions": shifts,
        "others": one,
        "commanded": two,
        "sessions": parted,
        "stops": stops,
        "two tasks": tasks,
    }


@pytest.mark.parametrize(
    "what", ["others", "commanded", "sessions", "stops", "two tasks", "planted", "mirrored", "copies", "three sessions"]
)
def test_what_episodes_tell_of_each_other_is_what_is_stored(what: str) -> None:
    seen = inspected(populations()[what])
    check_stored(__file__, f"population of {what}", rows(DefectJudge().judge(seen.defects, seen.measures)))


def course_of_many(n: int = 34) -> unusual.Recording:
    made = unusual.usual(n)
    made.add(before=9.0).add(after=7.0).add(ends=0.9).add(unusual.AGAIN)
    made.add((*unusual.USUAL[:2], ("transport", 14.0), *unusual.USUAL[3:]))
    return made.add((("approach", 2.0), ("grasp", 0.6), ("idle", 2.5), ("transport", 3.0), ("release", 0.5, "failure")))


@pytest.mark.parametrize("arms", [("arm",), ("left", "right")])
def test_what_is_usual_and_unusual_of_courses_is_what_is_stored(arms: tuple[str, ...]) -> None:
    measures, segments = course_of_many().tables(arms=arms)
    course = strides(measures, segments)
    points = consensus_points(40, 8)
    told = {
        "strides": course,
        "unusual": unusual_episodes(course),
        "beside consensus": unusual_episodes(course, consensus=consensus(points)),
        "courses": usual_courses(course),
        "endings": endings(measures.episode_id, segments),
    }
    check_stored(__file__, f"courses of {len(arms)}", told)


def test_who_does_otherwise_in_like_states_is_who_is_stored() -> None:
    for name, points in {"many": consensus_points(60, 12), "few": consensus_points(21, 2, seed=3)}.items():
        lacking = points.state.copy()
        lacking[::9] = np.nan
        check_stored(__file__, f"consensus of {name}", consensus(points))
        check_stored(__file__, f"consensus of {name}, some unseen", consensus(replace(points, state=lacking)))
        check_stored(__file__, f"consensus of {name} without copies", consensus(points, frozenset({"e3", "e7"})))


def test_grasps_that_segments_tell_stand_for_those_of_the_gripper_as_is_stored() -> None:
    rollouts = [carried(k) for k in range(3)]
    again = rollouts[0].gripper_width.copy()
    again[20:28], again[34:40] = 0.01, 0.012
    rollouts[0] = rollouts[0].with_(gripper_width=again)
    batch = RolloutBatch.from_rollouts(rollouts)
    table = SegmentationEngine().fit([batch]).segment(batch)
    retried = ["retry" if k % 2 == 0 and each.label == "grasp" else each.outcome for k, each in enumerate(table)]
    reasons = ["missed_grasp" if each == "retry" else "" for each in retried]
    marked = replace(table, outcome=Text.of(retried), failure_reason=Text.of(reasons))
    for name, segments in {"none": None, "as they are": table, "retried": marked}.items():
        check_stored(__file__, f"grasps {name}", rows(DefectInspector().inspect(batch, segments).defects))


def test_where_nothing_can_be_planted_it_is_said_why(hosts: list[Host]) -> None:
    bare = Rollout("bare", time=np.arange(60) / 20, gripper_width=np.linspace(0.08, 0.0, 60))
    short = carried(1).with_(episode_id="short")
    short = taken(short, np.arange(12))
    told = {}
    for rollout in (bare, short):
        host = Host(rollout, (), hosts[0].usual, hosts[0].rollout)
        for kind in KINDS:
            one = plant(kind, host, np.random.default_rng(1))
            told[f"{kind} {rollout.episode_id}"] = one if isinstance(one, str) else (one.start, one.end)
    check_stored(__file__, "nothing planted", told)


def test_sessions_of_offsets_are_parted_where_it_is_stored() -> None:
    told = {}
    for seed in range(12):
        rng = np.random.default_rng(seed)
        level = np.repeat(rng.normal(0, 0.2, 4), rng.integers(2, 9, 4))
        values = level + rng.normal(0, [0.004, 0.02, 0.1][seed % 3], len(level))
        for floor in (0.01, 0.1, 0.4):
            told[f"{seed} {floor}"] = sessions(values, floor, DefectSettings())
    check_stored(__file__, "sessions", told)
