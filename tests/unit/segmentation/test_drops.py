"""What falls from an opening hand in mid-air and is then taken again was lost; what is let go on purpose was not."""

from __future__ import annotations

import numpy as np
import pytest

import scripted_hand
from scripted_hand import HELD, OPEN, World, taken
from sima2 import Rollout, RolloutBatch, SegmentationEngine
from sima2.segmentation import outcomes
from sima2.segmentation.confidence import Confidence

G = 9.81
TABLE = 0.02
SURE = SegmentationEngine(confidence=Confidence(least=0.0))
WAYS = {"moving": (0.2, 0, 0), "pausing": (0, 0, 0), "rising": (0, 0, 0.15), "sinking": (0.05, 0, -0.12)}
FORCE = ("grip_force", "contact_force")
MASKS = pytest.mark.parametrize(
    "without", [(), FORCE, (*FORCE, "ee_position")], ids=["with force", "without force", "hand not tracked"]
)


@pytest.fixture(params=[20, 50])
def hz(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(scripted_hand, "HZ", request.param)
    return int(request.param)


def let_go(world: World, hz: int, seconds: float, way: tuple[float, ...] = (0, 0, 0), *, shut: bool = False) -> World:
    """Fingers that open over some seconds, of which the block falls freely from the first quarter on; ``shut``: and
    close again."""
    step, speed = np.array(way) / hz, np.array(way, float)
    begun, grip, opens = world.width, world.grip, round(seconds * hz)
    for k in range(1, round((2 * seconds + 0.3) * hz)):
        share = min(k / opens, 1.0)
        back = min(max(k / opens - 1, 0.0), 1.0) if shut else 0.0
        world.width = (begun + (OPEN - begun) * share) * (1 - back)
        world.grip = grip * max(0.0, 1 - 4 * share)
        world.holding = share < 0.25
        world.hand = world.hand + step
        if world.holding:
            world.block = world.block + step
        else:
            speed = speed - np.array([0, 0, G / hz])
            world.block = np.maximum(world.block + speed / hz, [-9, -9, TABLE])
            speed = speed * (world.block[2] > TABLE)
        world._note(0.0)
    return world


def carried(hz: int, height: float, way: tuple[float, ...]) -> World:
    """The block is carried so high above the table, and the hand goes its way, or has paused."""
    before = np.array([0.45, 0, TABLE + height]) - 0.3 * np.array(way)
    world = taken().go(tuple(before), 1.0)
    if not any(way):
        return world.rest(0.4)
    for _ in range(round(0.3 * hz)):
        world.hand, world.block = world.hand + np.array(way) / hz, world.block + np.array(way) / hz
        world._note(0.0)
    return world


def taken_again(world: World) -> World:
    x, y, _ = world.block
    world.rest(0.3).go((x, y, 0.15), 0.8).fingers(OPEN, 0.3).go((x, y, TABLE), 0.7).fingers(HELD, hold=True).rest(0.3)
    world.go((x, y, 0.2), 0.8).go((0.7, 0, 0.2), 1.0).go((0.7, 0, TABLE), 1.0)
    return world.fingers(OPEN).go((0.7, 0, 0.3), 1.0).rest(0.6)


def by_joints(made: Rollout) -> Rollout:
    """The same of an arm whose joints are recorded, and not where its hand is."""
    x, y, z = np.array(made.ee_position).T
    reach = np.arccos(np.clip((x * x + z * z) / 0.6 - 1, -1, 1))
    return made.with_(
        ee_position=None, joint_position=np.stack([np.arctan2(y, x + 0.1), reach, np.arctan2(z, x + 0.1)], 1)
    )


def said(world: World, *without: str) -> tuple[list[str], list[str]]:
    """Labels, and why what failed did."""
    made = world.rollout()
    if "ee_position" in without:
        made, without = by_joints(made), tuple(name for name in without if name != "ee_position")
    batch = RolloutBatch.from_rollouts([made])
    batch = batch.without(*without) if without else batch
    table = list(SURE.fit([batch]).segment(batch))
    return [s.label for s in table], [s.failure_reason for s in table if s.failure_reason]


@MASKS
@pytest.mark.parametrize("shut", [False, True], ids=["stays open", "shuts"])
@pytest.mark.parametrize("seconds", [0.15, 0.35])
@pytest.mark.parametrize("way", WAYS)
def test_a_thing_that_falls_and_is_taken_again_was_dropped(
    hz: int, way: str, seconds: float, shut: bool, without: tuple[str, ...]
) -> None:
    for height in (0.08, 0.11):
        world = let_go(carried(hz, height, WAYS[way]), hz, seconds, WAYS[way], shut=shut)
        labels, reasons = said(taken_again(world), *without)
        assert "drop" in reasons, (height, labels)
        assert "recovery_maneuver" in labels
        assert labels.count("lift") == 2


def test_what_falls_on_the_way_down_rests_on_its_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    way = WAYS["sinking"]
    world = taken_again(let_go(carried(50, 0.11, way), 50, 0.15, way))
    assert "drop" in said(world)[1]
    monkeypatch.setattr(outcomes, "OUTCOME_RULES", outcomes.OUTCOME_RULES.without("let go high"))
    assert "drop" not in said(world)[1]


def on_the_table(hz: int, height: float) -> World:
    world = taken().go((0.6, 0, 0.2), 1.0).go((0.6, 0, TABLE + height), 1.0).rest(0.2)
    return let_go(world, hz, 0.3)


MEANT = {
    "onto a table": lambda hz: on_the_table(hz, 0.0).go((0.6, 0, 0.3), 1.0),
    "from just above it": lambda hz: on_the_table(hz, 0.015).go((0.6, 0, 0.3), 1.0),
    "while still coming down": lambda hz: let_go(carried(hz, 0.02, (0, 0, -0.08)), hz, 0.2, (0, 0, -0.03)).go(
        (0.6, 0, 0.3), 1.0
    ),
    "into a bin": lambda hz: let_go(carried(hz, 0.15, (0, 0, 0)), hz, 0.3).go((0.3, 0, 0.3), 1.2),
    "into a bin, and waits": lambda hz: let_go(carried(hz, 0.15, (0, 0, 0)), hz, 0.3).rest(1.5),
    "and takes it again": lambda hz: taken_again(on_the_table(hz, 0.01)),
}


@MASKS
@pytest.mark.parametrize("how", MEANT)
def test_what_is_let_go_on_purpose_is_no_drop(hz: int, how: str, without: tuple[str, ...]) -> None:
    assert "drop" not in said(MEANT[how](hz).rest(0.6), *without)[1]


@MASKS
def test_what_another_hand_takes_over_is_no_drop(hz: int, without: tuple[str, ...]) -> None:
    world = carried(hz, 0.15, (0, 0, 0))
    start = world.width
    for k in range(round(0.3 * hz)):  # it stays where the other hand holds it
        world.width, world.grip = start + (OPEN - start) * (k + 1) / round(0.3 * hz), 0.0
        world.holding = False
        world._note(0.0)
    world.go((0.2, 0, 0.3), 1.0)
    for _ in range(round(0.8 * hz)):  # which carries it away, and sets it down
        world.block = world.block + np.array([0.3, 0, -0.15]) / hz
        world._note(0.0)
    assert "drop" not in said(world.rest(0.6), *without)[1]
