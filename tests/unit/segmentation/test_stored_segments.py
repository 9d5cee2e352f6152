"""What is seen, decided and said of scripted hands, fingers and robots, as it is stored beside this file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

import other_robot
from carried_cups import carried
from scripted_fingers import Fingers
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.records.segments import SegmentTable
from sima2.records.vocabulary import OUTCOMES
from sima2.segmentation.confidence import Confidence
from sima2.segmentation.features import compute_features
from sima2.segmentation.states import compute_states
from sima2.segmentation.windows import WindowSettings
from sima2.segmentation_engine import SegmentationEngine
from stored_answers import check_stored
from unit.segmentation import test_closings as closings
from unit.segmentation import test_named_rules as rules

HANDS = (
    "placed", "waited", "let go", "slid", "pulled twice", "locked", "struggled", "wiped", "scrubbed", "pushed",
    "stroked", "rubbed", "tapped", "opened against", "slipped", "lost unseen", "bumped", "blocked", "hard grasp",
    "hard place", "missed", "gave up", "opened again", "kept",
)  # fmt: skip
"""Cases of ``test_named_rules``; one that is new has its own test, and moves nothing that is stored here."""
FINGERS = (
    "kept apart", "met", "may be thin", "after all", "at home", "in passing", "when all is done", "commanded to stop",
    "step", "holds already", "holds no more", "slips out",
)  # fmt: skip
"""The same of ``test_closings``."""
SURE = SegmentationEngine(confidence=Confidence(least=0.0))
SHORT = WindowSettings(past_s=4.0, block_s=2.0, ahead_s=2.0)
FORCES = ("grip_force", "contact_force")
OBJECTS = ("object_position", "object_confidence", "object_orientation")


@cache
def hands(*without: str) -> RolloutBatch:
    told = [rules.CASES[name][0]().rollout(name) for name in HANDS]
    names = [each for part in without for each in (("object_position",) if part == "objects" else (part,))]
    return RolloutBatch.from_rollouts(told).without(*names)


@cache
def fingers(commands: bool) -> RolloutBatch:
    steps = [closings.CASES[name][0]().rollout(name, commands=commands) for name in FINGERS]
    more = [Fingers().rest(0.4).go((0.4 + 0.1 * k, 0.2)).close(stop=0.2 + 0.1 * k).rest(0.2).open() for k in range(3)]
    return RolloutBatch.from_rollouts(
        [*steps, *(each.rollout(f"m{k}", commands=commands) for k, each in enumerate(more))]
    )


@cache
def robots() -> RolloutBatch:
    made: list[Rollout] = []
    for k, scenario in enumerate(other_robot.SCENARIOS):
        made.append(other_robot.make(1, 40 + k, 25.0, scenario)[0][0].with_(episode_id=scenario))
    return RolloutBatch.from_rollouts(made)


WORLDS: dict[str, Callable[[], RolloutBatch]] = {
    "hands": hands,
    "hands without things": lambda: hands("objects"),
    "hands without forces": lambda: hands(*FORCES),
    "hands alone": lambda: hands("objects", *FORCES),
    "hands without fingers": lambda: hands("gripper_width", "grip_force"),
    "fingers": lambda: fingers(True),
    "fingers without commands": lambda: fingers(False),
    "cups": lambda: RolloutBatch.from_rollouts([carried(k) for k in range(4)]),
    "cups without things": lambda: RolloutBatch.from_rollouts([carried(k, things=False) for k in range(4)]),
    "another robot": robots,
    "another robot without things": lambda: robots().without(*OBJECTS),
    "another robot without forces": lambda: robots().without(*FORCES, "joint_torque"),
    "joints of another robot": lambda: robots().without(
        *FORCES, "joint_torque", "ee_position", "ee_orientation", "object_position", "object_confidence",
        "object_orientation", "embedding",
    ),
}  # fmt: skip


def lines(table: SegmentTable) -> Iterator[str]:
    """Of each episode its segments: label, first frame, outcome where it is no success, and why."""
    told: dict[str, list[str]] = {}
    for each in table:
        end = {"success": "", "unknown": "?"}.get(each.outcome, f" {each.outcome} {each.failure_reason}".rstrip())
        told.setdefault(each.episode_id, []).append(f"{each.start_frame} {each.label}{end}")
    return (f"{name}: {', '.join(parts)}" for name, parts in told.items())


def columns(table: SegmentTable) -> dict[str, np.ndarray]:
    held = {name: getattr(table, name) for name in table.__dataclass_fields__}
    return {name: value for name, value in held.items() if isinstance(value, np.ndarray) and value.dtype.kind in "fiub"}


@pytest.mark.parametrize("world", WORLDS)
def test_segments_and_their_measures_are_those_that_are_stored(world: str) -> None:
    batch = WORLDS[world]()
    fitted = SURE.fit([batch])
    table = fitted.segment(batch)
    plain = replace(fitted, confidence=Confidence()).segment(batch)
    unfitted = SURE.segment(batch)
    check_stored(
        __file__,
        f"segments of {world}",
        {
            "told": lines(table),
            "sure": lines(plain),
            "unfitted": lines(unfitted),
            "measures": columns(table),
            "used": table.channels_used,
            "things": table.object,
        },
    )


@pytest.mark.parametrize("world", WORLDS)
def test_segments_in_short_windows_are_those_that_are_stored(world: str) -> None:
    batch = WORLDS[world]()
    table = replace(SURE.fit([batch]), windows=SHORT).segment(batch)
    check_stored(__file__, f"windows of {world}", {"told": lines(table), "measures": columns(table)})


def numbers(held: Any) -> dict[str, np.ndarray]:
    """What is seen of anything: a channel that is not there tells as much as one of which nothing is seen."""
    told = {each.name: getattr(held, each.name) for each in fields(held)}
    arrays = {
        name: value for name, value in told.items() if isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
    }
    return {name: value for name, value in arrays.items() if np.nan_to_num(value.astype(np.float64)).any()}


@pytest.mark.parametrize("world", WORLDS)
def test_scales_features_and_states_are_those_that_are_stored(world: str) -> None:
    batch = WORLDS[world]()
    fitted = SURE.fit([batch])
    seen = {"scales": fitted.scales}
    for arm in batch.manipulators:
        for place, (_, part) in enumerate(batch.by_layout()):
            features = compute_features(part, arm, fitted.scales, fitted.features)
            for name, held in {"features": features, "states": compute_states(features, fitted.states)}.items():
                seen[f"{arm} {place} {name}"] = numbers(held)
    check_stored(__file__, f"states of {world}", seen)


def test_outcomes_are_all_among_the_stored_cases() -> None:
    found = {name for world in ("hands", "another robot") for name in SURE.segment(WORLDS[world]()).outcome}
    assert found >= set(OUTCOMES) - {"unknown"}
