"""Which columns are the gripper, how far they go, and which end is open: every decision with what it rests on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from sima2.io.column_guess import guess
from sima2.io.column_map import ColumnMap
from sima2.io.command_lag import fit_commands
from sima2.io.gripper_ends import Blocked, moves
from sima2.io.sample import Sample

G1 = Path(__file__).parents[4] / "shared/data/lerobot_v21_g1"
LENGTH, EPISODES = 200, 5
STARTS = np.arange(EPISODES) * LENGTH


def trip(begin: float, end: float) -> np.ndarray:
    """A gripper that goes from ``begin`` to ``end`` and back in every episode, shape (LENGTH * EPISODES,)."""
    once = np.interp(np.arange(LENGTH), [0, 60, 80, 140, 160, LENGTH], [begin, begin, end, end, begin, begin])
    return np.tile(once, EPISODES)


def guessed(state: np.ndarray, names: list[str], action: np.ndarray | None = None, robot: str = "") -> ColumnMap:
    values = {"observation.state": state} | ({} if action is None else {"action": action})
    made = Sample(values, STARTS)
    commands = None
    if action is not None:
        commands = fit_commands(
            made, {"observation.state": names, "action": names}, "action", ["observation.state"], 30
        )
    return guess(dict.fromkeys(values, names), made, robot=robot, commands=commands)


def larger_is_open(made: ColumnMap, arm: str = "arm") -> bool:
    columns = made.arms[arm]["gripper_opening"]
    return columns.open[0] > columns.closed[0]


def told(made: ColumnMap) -> str:
    return " ".join(note for note in made.notes if "gripper_opening" in note)


@pytest.mark.parametrize(
    ("name", "robot", "upper", "why"),
    [
        ("gripper_open", "", True, "as the column's name says (open)"),
        ("gripper_closed", "", False, "as the column's name says (closed)"),
        ("gripper_width", "robotiq", True, "as the column's name says (width)"),
        ("gripper", "Franka Robotiq 2F-85", False, "Robotiq"),
        ("gripper", "aloha", True, "ALOHA"),
        ("gripper.pos", "so101_follower", True, "SO-101"),
        ("gripper", "droid", False, "DROID"),
    ],
)
@pytest.mark.parametrize("begin", [3.0, 80.0])
def test_names_and_known_interfaces_come_before_where_episodes_start(
    name: str, robot: str, upper: bool, why: str, begin: float
) -> None:
    made = guessed(trip(begin, 83.0 - begin)[:, None], [name], robot=robot)
    assert larger_is_open(made) is upper
    assert why in told(made)


@pytest.mark.parametrize("inverted", [False, True])
def test_what_blocks_the_fingers_tells_the_closing_end_even_where_episodes_start_closed(inverted: bool) -> None:
    command = trip(0.1, 0.9)  # open only in between: an episode begins with closed fingers
    state = np.roll(command, 4)
    closing = np.tile((np.arange(LENGTH) > 170) | (np.arange(LENGTH) < 50), EPISODES)
    state = np.where(closing, np.maximum(state, 0.4), state)
    state[:LENGTH] = np.roll(command, 4)[:LENGTH]  # in the first episode it closes on nothing
    if inverted:
        command, state = 1 - command, 1 - state
    made = guessed(state[:, None], ["gripper"], command[:, None])
    assert larger_is_open(made) is not inverted
    assert "close towards what they hold; but 5 of 5 episodes start nearer to the" in told(made)
    unaware = guessed(state[:, None], ["gripper"])
    assert larger_is_open(unaware) is inverted  # without commands the start is all there is
    assert "5 of 5 episodes start nearer to the" in told(unaware)


def test_a_known_interface_that_the_fingers_speak_against_is_doubted() -> None:
    command = trip(0.9, 0.1)
    state = np.maximum(np.roll(command, 4), 0.4)
    state[:LENGTH] = np.roll(command, 4)[:LENGTH]
    made = guessed(state[:, None], ["gripper"], command[:, None], robot="droid")
    assert not larger_is_open(made)
    assert "but fingers are blocked" in told(made)
    assert "check it" in told(made)


def test_a_servo_s_own_error_is_no_obstacle() -> None:
    command = trip(0.9, 0.1)
    state = np.roll(command, 4) * 0.97 + 0.02  # misses by gain and offset wherever it is
    made = guessed(state[:, None], ["gripper"], command[:, None])
    assert "blocked" not in told(made)
    assert larger_is_open(made)


def test_few_or_mixed_blocked_frames_decide_nothing() -> None:
    assert Blocked(9, 0, 3).closing_upwards is None
    assert Blocked(100, 40, 3).closing_upwards is None
    assert Blocked(100, 10, 3).closing_upwards is True
    assert Blocked(2, 60, 3).closing_upwards is False


def test_episodes_that_start_at_both_ends_leave_an_assumption_that_is_said() -> None:
    mixed = np.concatenate([trip(3.0, 80.0)[: 2 * LENGTH], trip(80.0, 3.0)[: 3 * LENGTH]])
    made = guessed(mixed[:, None], ["gripper"])
    assert larger_is_open(made)
    assert "3 of 5 episodes start at the upper end, so larger is assumed to be open" in told(made)


def still() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    n = LENGTH * EPISODES
    return {
        "constant": np.full(n, 41.0),
        "noise": 0.02 + rng.normal(0, 0.001, n),
        "one count of the encoder": 2047.0 + (rng.random(n) < 0.3),
        "rare counts": 2047.0 + np.repeat(rng.random(n // 50) < 0.5, 50),
        "noise about a slow drift": np.linspace(0, 0.001, n) + rng.normal(0, 0.001, n),
    }


@pytest.mark.parametrize("what", list(still()))
def test_a_gripper_that_only_trembles_is_not_stretched_to_open_and_closed(what: str) -> None:
    made = guessed(still()[what][:, None], ["gripper"])
    assert made.arms == {}
    assert "not used, it never moves by more than it trembles" in told(made)


@pytest.mark.parametrize("scale", [0.04, 1.0, 100.0, 255.0, 4095.0])
def test_a_gripper_that_moves_is_used_in_any_unit_with_noise_on_it(scale: float) -> None:
    noise = np.random.default_rng(1).normal(0, 0.005, LENGTH * EPISODES)
    values = scale * (trip(0.9, 0.05) + noise)[:, None]
    columns = guessed(values, ["gripper"]).arms["arm"]["gripper_opening"]
    opening = columns.read("gripper_opening", {"observation.state": values})
    np.testing.assert_allclose([opening[30], opening[110]], [1.0, 0.0], atol=0.12)


def test_a_switch_moves() -> None:
    values = (trip(1.0, 0.0) > 0.5).astype(float)
    assert moves(values, STARTS, 1.0)


def test_one_wild_sample_does_not_stretch_the_range() -> None:
    values = trip(40.0, 5.0)
    values[777] = 4000.0
    columns = guessed(values[:, None], ["gripper"]).arms["arm"]["gripper_opening"]
    assert (columns.closed, columns.open) == ((5.0,), (40.0,))


def test_hands_mounted_mirrored_keep_a_range_each() -> None:
    left, right = trip(0.1, 1.6), trip(-0.1, -1.6)
    made = guessed(np.stack([left, right], axis=1), ["left_hand_index", "right_hand_index"])
    np.testing.assert_allclose(made.arms["left"]["gripper_opening"].closed, 1.6, atol=0.01)
    np.testing.assert_allclose(made.arms["right"]["gripper_opening"].closed, -1.6, atol=0.01)
    np.testing.assert_allclose(made.arms["right"]["gripper_opening"].open, -0.1, atol=0.01)


def test_older_so100_names_are_known_as_percent() -> None:
    names = [f"main_{j}" for j in ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll")]
    state = np.hstack([np.tile(np.linspace(-90, 90, LENGTH * EPISODES)[:, None], (1, 5)), trip(4.0, 60.0)[:, None]])
    columns = guessed(state, [*names, "main_gripper"], robot="so100").arms["arm"]["gripper_opening"]
    assert (columns.unit, columns.open, columns.kind) == ("percent", (100.0,), "closed_unknown")
    np.testing.assert_allclose(columns.closed, 4.0, atol=0.5)  # the most closed that was seen


@pytest.mark.skipif(not G1.exists(), reason=f"no recorded set at {G1}")
@pytest.mark.parametrize("inverted", [False, True])
def test_the_humanoid_s_hands_tell_their_open_end_without_their_name(inverted: bool) -> None:
    tables = [pq.read_table(file, columns=["observation.state", "action"]) for file in sorted(G1.rglob("*.parquet"))]
    values = {name: np.concatenate([np.stack(t[name].to_numpy()) for t in tables]) for name in tables[0].column_names}
    if inverted:
        values = {name: np.hstack([v[:, :14], 1 - v[:, 14:]]) for name, v in values.items()}
    made = Sample(values, np.cumsum([0, *map(len, tables[:-1])]))
    names = json.loads((G1 / "meta/info.json").read_text())["features"]["action"]["names"][0]
    named = dict.fromkeys(values, names)
    commands = fit_commands(made, named, "action", ["observation.state"], 30)
    columns = guess(named, made, commands=commands)
    assert [larger_is_open(columns, arm) for arm in ("left", "right")] == [not inverted] * 2
    assert told(columns).count("they close towards what they hold") == 2
