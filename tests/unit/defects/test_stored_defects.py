"""What is planted, measured and told of made episodes, word for word, as it is stored beside this file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from carried_cups import carried
from damaged_rollouts import clean, joints_and_gripper
from sima2.defects.defect_settings import DefectSettings
from sima2.defects.inspector import DefectInspector, Inspection
from sima2.defects.judge import DefectJudge
from sima2.defects.planting import HARMLESS, KINDS, Host, Usual, plant
from sima2.defects.tracks import tracks
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.segmentation_engine import SegmentationEngine
from stored_answers import check_stored
from unit.defects.test_against_commands import followed
from unit.defects.test_against_commands import run as commanded
from unit.defects.test_against_others import made
from unit.defects.test_against_others import run as others


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
    sessions = [followed(k, offset=0.12 if k >= 12 else 0.0) for k in range(24)]
    stops = [
        each.with_(joint_position=np.minimum(each.joint_position, np.array([0.6, 9.0, 9.0], np.float32)))
        for each in three
    ]
    tasks = [made(k + a, goal, task) for a, goal, task in ((0, 1.0, "left"), (50, -1.0, "right")) for k in range(12)]
    tasks[4] = made(4, -1.0, "left")
    return {"others": one, "commanded": two, "sessions": sessions, "stops": stops, "two tasks": tasks}


@pytest.mark.parametrize("what", ["others", "commanded", "sessions", "stops", "two tasks"])
def test_what_episodes_tell_of_each_other_is_what_is_stored(what: str) -> None:
    seen = inspected(populations()[what])
    check_stored(__file__, f"population of {what}", rows(DefectJudge().judge(seen.defects, seen.measures)))
