"""What is guessed, read and refused of made recordings, as it is stored beside this file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from carried_cups import carried
from format_sets import NEEDS_H5PY, SETS, make, opened
from recordings import NAMES, Recording, laid, recordings, sample_of, write_set
from sima2.errors import DatasetError, RecordError
from sima2.io.angle_unwrapping import may_wrap, unwrap, unwrapped, unwrapped_columns
from sima2.io.column_behaviour import gripper_places, habit, rests, scaled, unit_quaternions
from sima2.io.column_guess import guess
from sima2.io.column_map import ColumnMap
from sima2.io.column_units import extent, joint_units, resolution, speed_unit
from sima2.io.column_words import kind_of, side_of, tokens, unit_of
from sima2.io.command_lag import Commands, fit_commands
from sima2.io.effort import with_effort
from sima2.io.formats import open_dataset
from sima2.io.formats.lerobot_write import write_lerobot
from sima2.io.formats.mcap_write import write_mcap
from sima2.io.formats.robomimic_write import write_robomimic
from sima2.io.intake import RawEpisode, admit
from sima2.io.merging import differences, reading_of
from sima2.io.outcomes import from_columns
from sima2.io.robots import ROBOTS
from sima2.io.sample import Sample, other_scale
from sima2.io.timestamps import clock_doubt, seconds, seconds_of_each, share_off, shares_off, time_unit
from sima2.records.outcome import Outcome
from sima2.records.rollout import Goal, RolloutBatch
from sima2.records.table import Text
from sima2.records.vocabulary import OUTCOME_SOURCES
from stored_answers import check_stored
from unit.io import test_effort as effort
from unit.io.test_intake import BAD, GOOD

STATE = "observation.state"
MADE = recordings(6)
GOAL = Goal("cup", "", "placed_on", 0.05, (0.5, 0.0, 0.0))


def turned(q: np.ndarray) -> np.ndarray:
    return (q + np.array([3.0, 0, 0, 0, 0, 0]) + math.pi) % math.tau - math.pi


STATES: dict[str, Callable[[], tuple[list[np.ndarray], list[str], str]]] = {
    "plain": lambda: (laid(MADE), [*NAMES, "gripper"], ""),
    "degrees": lambda: (laid(MADE, joints=np.degrees), [*NAMES, "gripper"], ""),
    "two in degrees": lambda: (laid(MADE, lambda q: q * [57.3, 57.3, 1, 1, 1, 1]), [*NAMES, "gripper"], ""),
    "percent": lambda: (
        laid(MADE, joints=lambda q: q * 40, gripper=lambda g: 100 * g),
        [*NAMES, "gripper.pos"],
        "so101",
    ),
    "turned gripper": lambda: (laid(MADE, gripper=lambda g: 1 - g), [*NAMES, "gripper"], ""),
    "metres": lambda: (laid(MADE, gripper=lambda g: 0.08 * g), [*NAMES, "gripper"], "panda"),
    "two fingers": lambda: (
        [np.column_stack([s, -s[:, -1]]) for s in laid(MADE, gripper=lambda g: 0.04 * g)],
        [*NAMES, "finger_left", "finger_right"],
        "",
    ),
    "bit": lambda: (laid(MADE, gripper=lambda g: (g > 0.5).astype(float)), [*NAMES, "gripper"], ""),
    "parked shut": lambda: (laid(recordings(6, parked=0.0)), [*NAMES, "gripper"], ""),
    "no names": lambda: (laid(MADE), [], ""),
    "motors": lambda: (laid(MADE), [f"motor_{k}" for k in range(7)], "ur5"),
    "two arms": lambda: (
        [np.hstack([s, s]) for s in laid(MADE)],
        [f"{side}_{name}" for side in ("left", "right") for name in [*NAMES, "gripper"]],
        "aloha",
    ),
    "halves": lambda: ([np.hstack([s, s]) for s in laid(MADE)], [], ""),
    "with speeds": lambda: (
        [np.hstack([s[:, :6], np.gradient(s[:, :6], axis=0) * 25, s[:, 6:]]) for s in laid(MADE)],
        [*(f"{n}.pos" for n in NAMES), *(f"{n}.vel" for n in NAMES), "gripper.pos"],
        "",
    ),
    "a pose": lambda: (laid(MADE), ["x", "y", "z", "roll", "pitch", "yaw", "gripper"], ""),
    "a quaternion": lambda: (
        [np.column_stack([s[:, :3], np.tile([0.0, 0.6, 0.0, 0.8], (len(s), 1)), s[:, 6]]) for s in laid(MADE)],
        ["x", "y", "z", "qx", "qy", "qz", "qw", "gripper"],
        "",
    ),
    "wrapped": lambda: (laid(MADE, joints=turned), [*NAMES, "gripper"], ""),
    "still": lambda: ([np.zeros((60, 7)) for _ in MADE], [*NAMES, "gripper"], ""),
    "hand of fingers": lambda: (
        [np.hstack([s, s[:, 6:], 1 - s[:, 6:]]) for s in laid(MADE)],
        [*NAMES, "hand_index", "hand_thumb", "hand_thumb_rotation"],
        "unitree_g1",
    ),
}


def commands_of(made: list[Recording]) -> list[np.ndarray]:
    return [each.command for each in made]


def described(made: ColumnMap) -> dict[str, Any]:
    return {"map": made.to_toml().splitlines(), "notes": made.notes, "warnings": made.warnings}


@pytest.mark.parametrize("commanded", [False, True])
@pytest.mark.parametrize("what", STATES)
def test_the_map_that_is_guessed_is_the_one_that_is_stored(what: str, commanded: bool) -> None:
    states, names, robot = STATES[what]()
    sample, told = sample_of(states), {STATE: names}
    commands = None
    if commanded:
        sent = [s[np.minimum(np.arange(len(s)) + 2, len(s) - 1)] for s in states]
        sample = Sample({**sample.values, "action": np.concatenate(sent)}, sample.starts, np.arange(len(states)))
        told = {STATE: names, "action": names}
        commands = fit_commands(sample, told, "action", [STATE], 25.0)
    made = guess(told, sample, robot=robot, commands=commands, fps=25.0)
    if commands is not None:
        made = with_effort(made, commands, told)
    check_stored(__file__, f"map {what} {commanded}", described(made))


@pytest.mark.parametrize("what", STATES)
def test_what_columns_are_by_their_numbers_is_what_is_stored(what: str) -> None:
    states, names, _ = STATES[what]()
    sample = sample_of(states)
    values = sample.values[STATE]
    places = list(range(values.shape[1]))
    columns = [values[:, k] for k in places]
    check_stored(
        __file__,
        f"columns {what}",
        {
            "units": joint_units(values, names or [""] * len(places)),
            "extents": [extent(each) for each in columns],
            "resolutions": [resolution(each) for each in columns],
            "rests": [rests(each, sample) for each in columns],
            "habits": [habit(each, sample) for each in columns],
            "scaled": [scaled(each) for each in columns],
            "gripper": gripper_places(values, places, sample),
            "quaternions": unit_quaternions(values, places),
        },
    )


def test_a_speed_has_the_unit_of_its_slope() -> None:
    assert callable(speed_unit)
    for factor in (1.0, math.degrees(1.0)):
        states = [np.hstack([s[:, :6], factor * np.gradient(s[:, :6], axis=0) * 25, s[:, 6:]]) for s in laid(MADE)]
        names = [*(f"{n}.pos" for n in NAMES), *(f"{n}.vel" for n in NAMES), "gripper.pos"]
        made = guess({STATE: names}, sample_of(states), fps=25.0)
        check_stored(__file__, f"speed {factor:.3g}", described(made))


WORDS = (
    "left_shoulder_pan.pos", "right_gripper", "kLeftHandIndex", "ee_x", "tcp_pose_qw", "joint_3_deg", "motor_7",
    "wrist_roll", "force_z",
    "gripper_width_mm", "thumb_rotation", "linear_x", "base_theta", "finger_joint1", "elbow.vel", "roll", "qx",
    "leftArm_3", "camera_pan", "waist_yaw", "R_knee", "hand_l_1", "observation.state.left.z", "slider_prismatic_m", "",
)  # fmt: skip


def test_words_of_columns_mean_what_is_stored() -> None:
    told = {each: (tokens(each), kind_of(tokens(each)), side_of(tokens(each)), unit_of(tokens(each))) for each in WORDS}
    check_stored(__file__, "words", told)


def test_lags_and_refusals_of_commands_are_those_that_are_stored() -> None:
    names = {STATE: effort.NAMES, "action": effort.NAMES}
    for what, order in {"own": None, "mixed": [1, 0, 3, 2, 4, 6, 5]}.items():
        fitted: Commands = fit_commands(effort.sample(order), names, "action", [STATE], effort.FPS)
        keys = list(fitted.fits)
        told = {
            "fits": {str(key): fit for key, fit in fitted.fits.items()},
            "held": [fitted.held(key).sum() for key in keys],
            "refused": {str(key): why for key, why in fitted.refusals(keys[:5], keys).items()},
            "of fingers": {str(key): why for key, why in fitted.refusals(keys[5:], keys).items()},
        }
        check_stored(__file__, f"commands {what}", told)


def test_units_of_time_and_clocks_are_those_that_are_stored() -> None:
    steps = [s * u for s in (1 / 1000, 1 / 240, 1 / 30, 1 / 10, 0.5, 2.0, 11.0) for u in (1.0, 1e3, 1e6, 1e9)]
    check_stored(__file__, "time units", [[time_unit(s, fps) for s in steps] for fps in (None, 30.0, 5.0)])
    n = np.arange(40)
    rng = np.random.default_rng(0)
    clocks = {
        "even": n / 20,
        "rounded": np.round(n / 20, 2),
        "single": (n / 20 + 40000.0).astype(np.float32).astype(float),
        "milliseconds": n * 50.0,
        "coarse": np.floor(n / 3) * 0.15,
        "jitter": n / 20 + rng.uniform(-0.01, 0.01, 40),
        "wild": np.where(n == 20, 9e9, n / 20),
        "lost": np.where(n > 20, n + 5, n) / 20,
        "unknown": np.where(n == 3, np.nan, n / 20),
        "slow": n / 15,
    }
    told = {}
    for name, stamps in clocks.items():
        for usual in (None, 0.05, 50.0):
            told[f"{name} {usual}"] = seconds(stamps, n / 20, 20.0, usual)
        told[f"{name} off"] = share_off(stamps, 20.0), share_off(stamps, 15.0), share_off(stamps, None)
        told[f"{name} doubt"] = clock_doubt(Sample({"timestamp": stamps[:, None]}, np.array([0])), 20.0)
    offset = np.arange(len(clocks) + 1) * 40
    whole = np.concatenate(list(clocks.values()))
    for usual in (None, 0.05):
        told[f"each {usual}"] = seconds_of_each(whole, np.tile(n / 20, len(clocks)), 20.0, usual, offset)
    told["shares"] = shares_off(whole, 20.0, offset)
    check_stored(__file__, "clocks", told)


def angles() -> dict[str, np.ndarray]:
    t = np.linspace(0, 1, 60)
    rng = np.random.default_rng(1)
    far = {
        "slow": 2.0 * t,
        "over": 3.0 + t,
        "round": 7.0 * t,
        "below": -3.0 - t,
        "noisy": 3.1 + rng.normal(0, 0.05, 60),
    }
    seen = {name: (x + math.pi) % math.tau - math.pi for name, x in far.items()}
    seen["glitch"] = np.where(np.arange(60) == 30, -3.0, t)
    seen["lost"] = np.where(np.arange(60) % 9 == 4, np.nan, seen["over"])
    seen["jumpy"] = rng.uniform(-math.pi, math.pi, 60)
    seen["edge"] = np.r_[np.full(30, math.pi - 0.001), np.full(30, -math.pi + 0.001)]
    seen["half"] = np.r_[np.full(30, 1.6), np.full(30, -1.6)]
    return seen


@pytest.mark.parametrize("turn", [math.tau, 360.0])
def test_angles_are_unwrapped_as_is_stored(turn: float) -> None:
    scale = turn / math.tau
    seen = {name: x * scale for name, x in angles().items()}
    check_stored(__file__, f"unwrapped {turn:.4g}", {name: unwrap(x, turn) for name, x in seen.items()})
    table = np.column_stack(list(seen.values()))
    parts = [slice(0, 30), slice(30, 60)]
    check_stored(__file__, f"unwrapped columns {turn:.4g}", unwrapped_columns(table, parts))
    states = [np.column_stack([x[:, None].repeat(6, 1), np.linspace(1, 0, 60)]) for x in seen.values()]
    made = guess({STATE: [*NAMES, "gripper"]}, sample_of(states), fps=25.0)
    whole = {STATE: np.concatenate(states)}
    offset = np.arange(len(states) + 1) * 60
    check_stored(__file__, f"may wrap {turn:.4g}", may_wrap(made, whole, offset))
    told = [unwrapped(made, {STATE: each})[STATE][:, 0] for each in states]
    check_stored(__file__, f"unwrapped features {turn:.4g}", told)


def test_what_the_door_says_is_what_is_stored() -> None:
    rng = np.random.default_rng(3)
    n = 40
    more: dict[str, dict[str, Any]] = {
        "a jump of the clock": {"time": np.where(np.arange(n) > 20, np.arange(n) + 30.0, np.arange(n)) / 10},
        "a small jump": {"time": np.where(np.arange(n) > 20, np.arange(n) + 4.0, np.arange(n)) / 10},
        "a wild sample": {"joint_position": np.where(np.arange(n)[:, None] == 9, 90.0, rng.normal(0, 0.1, (n, 3)))},
        "some missing": {"joint_position": np.where(rng.random((n, 3)) < 0.3, np.nan, 0.4)},
        "mostly missing": {"joint_position": np.where(rng.random((n, 3)) < 0.8, np.nan, 0.4)},
        "a force that stands": {"contact_force": np.full(n, 0.3), "joint_position": rng.normal(0, 0.1, (n, 3))},
        "no force": {"contact_force": np.zeros(n), "joint_position": rng.normal(0, 0.1, (n, 3))},
        "objects": {"object_position": {"cup": rng.normal(0, 1, (n, 3)), "lid": np.full((n, 3), np.nan)}},
    }
    raws = [RawEpisode(k, f"e{k}", "memory", {**GOOD, **values}) for k, values in enumerate(BAD.values())]
    whole = {"time": np.arange(n) * 0.1, "ee_position": rng.normal(0, 0.1, (n, 3))}
    raws += [RawEpisode(50 + k, name, "memory", {**whole, **values}) for k, (name, values) in enumerate(more.items())]
    raws += [RawEpisode(80, "a wild sample", "memory", whole), RawEpisode(81, "\x1b[31m", "memory", whole)]
    taken = admit(raws)
    check_stored(
        __file__,
        "door",
        {
            "bad": taken.quarantine,
            "notes": taken.notes,
            "kept": taken.batch.episodes.episode_id,
            "time": taken.batch.time,
        },
    )


@pytest.mark.parametrize("name", SETS)
def test_a_set_of_each_format_is_read_as_is_stored(name: str, tmp_path: Path) -> None:
    if name in NEEDS_H5PY:
        pytest.importorskip("h5py")
    data = opened(name, make(name, tmp_path / "set", (0, 1, 4)))
    got = data.read(0, 9)
    arms = {arm: m.channels() for arm, m in got.batch.manipulators.items()}
    check_stored(
        __file__,
        f"format {name}",
        {
            "arms": arms,
            "time": got.batch.time,
            "task": got.batch.episodes.instruction,
            "action": got.batch.action,
            "success": got.outcome.success,
            "source": got.outcome.source,
        },
    )


def test_what_differs_between_two_sets_is_told_as_is_stored(tmp_path: Path) -> None:
    def read(name: str, states: list[np.ndarray], **more: Any) -> Any:
        root = write_set(tmp_path / name, states, [*NAMES, "gripper"], **more)
        data = open_dataset(root)
        return reading_of(more.get("robot", "an_arm"), data.column_map.arms, {"arm": NAMES}, [data.read(0, 6).batch])

    plain = read("plain", laid(MADE))
    others = {
        "degrees": read("degrees", laid(MADE, joints=np.degrees)),
        "turned": read("turned", laid(MADE, gripper=lambda g: 1 - g)),
        "slow": read("slow", laid(MADE), stamps=lambda n: np.arange(n) / 10),
        "task": read("task", laid(MADE), tasks=["another thing"] * 6),
        "robot": read("robot", laid(MADE), robot="another"),
        "shifted": read("shifted", laid(MADE, joints=lambda q: q + np.array([1.5, 0, 0, 0, 0, 0]))),
    }
    told = {name: differences("plain", plain, name, other) for name, other in others.items()}
    check_stored(__file__, "differences", {"plain": plain.to_plain(), "told": told})
    assert not differences("plain", plain, "again", plain)


def test_endings_that_columns_tell_are_those_that_are_stored() -> None:
    columns = {
        "never": {"next.success": np.zeros((5, 1))},
        "once": {"next.success": np.array([[0.0], [1.0], [0.0]])},
        "unknown": {"next.success": np.full((3, 1), np.nan)},
        "reward": {"next.reward": np.array([0.0, 0.0, 1.0])},
        "no reward": {"next.reward": np.zeros(4)},
        "cost": {"next.reward": np.array([-1.0, -1.0, 0.0])},
        "all cost": {"next.reward": np.array([-1.0, -1.0])},
        "dense": {"next.reward": np.array([0.1, 0.2, 0.3])},
        "both": {"next.success": np.full((3, 1), np.nan), "next.reward": np.array([0.0, 1.0, np.nan])},
        "nothing": {},
    }
    check_stored(__file__, "endings", {name: from_columns(each)._asdict() for name, each in columns.items()})


def test_hands_of_known_robots_are_where_they_are_stored() -> None:
    angle = 0.3 * np.sin(np.arange(5)[:, None] + np.arange(8)[None, :])
    told = {}
    for robot in ROBOTS:
        for arm, row in robot.chains.items():
            chain = row.chain({joint.names[0]: k for k, joint in enumerate(row.joints)})
            position, turn = chain.pose(angle[:, : len(row.joints)])
            limits = [(joint.low, joint.high) for joint in row.joints]
            told[f"{row.title} {arm}"] = {"position": position, "turn": turn, "limits": limits}
    assert len(told) > 3
    check_stored(__file__, "hands", told)


def outcomes(n: int) -> Outcome:
    success = np.resize([1.0, 0.0, np.nan], n)
    failed = np.where(success == 0, 4.0, np.nan)
    source = Text.of(["none" if each != each else "recorded" for each in success], OUTCOME_SOURCES)
    return replace(Outcome.unknown(n), success=success, failed_at_s=failed, source=source)


WRITERS: dict[str, Callable[..., object]] = {
    "lerobot": partial(write_lerobot, fps=20),
    "robomimic.hdf5": partial(write_robomimic, fps=20),
    "mcap": write_mcap,
}


@pytest.mark.parametrize("format_", WRITERS)
def test_what_is_written_is_read_again_as_it_was(format_: str, tmp_path: Path) -> None:
    if format_.endswith("hdf5"):
        pytest.importorskip("h5py")
    first = RolloutBatch.from_rollouts([carried(k).with_(instruction=f"task {k % 2}", goal=GOAL) for k in range(3)])
    second = RolloutBatch.from_rollouts([carried(7).with_(time=carried(7).time * 1.5 + 0.01)])
    parts = [(first, outcomes(3)), (second, outcomes(1))]
    path = tmp_path / format_
    WRITERS[format_](path, parts, robot="a robot")
    data = open_dataset(path)
    got = data.read(0, 4)
    check_stored(
        __file__,
        f"written {format_}",
        {
            "described": described(data.column_map),
            "time": got.batch.time,
            "arms": {arm: m.channels() for arm, m in got.batch.manipulators.items()},
            "things": got.batch.object_position,
            "action": got.batch.action,
            "told": (got.batch.episodes.instruction, got.batch.episodes.robot, got.batch.objects),
            "outcome": vars_of(got.outcome),
            "notes": got.notes,
        },
    )
    whole = RolloutBatch.concat([first, second]).manipulators["arm"].joint_position
    np.testing.assert_allclose(got.batch.manipulators["arm"].joint_position, whole, atol=1e-6)
    np.testing.assert_array_equal(got.outcome.success, np.r_[outcomes(3).success, 1.0])


def vars_of(outcome: Outcome) -> dict[str, Any]:
    return {name: getattr(outcome, name) for name in outcome.__dataclass_fields__}


@pytest.mark.parametrize("format_", WRITERS)
def test_nothing_is_written_where_something_is_or_of_nothing(format_: str, tmp_path: Path) -> None:
    if format_.endswith("hdf5"):
        pytest.importorskip("h5py")
    batch = RolloutBatch.from_rollouts([carried(0)])
    WRITERS[format_](tmp_path / format_, [(batch, outcomes(1))], robot="a robot")
    with pytest.raises(DatasetError):
        WRITERS[format_](tmp_path / format_, [(batch, outcomes(1))], robot="a robot")
    with pytest.raises(DatasetError):
        WRITERS[format_](tmp_path / "none" / format_, [], robot="a robot")
    with pytest.raises(RecordError):
        WRITERS[format_](tmp_path / "other" / format_, [(batch, outcomes(2))], robot="a robot")


def test_columns_that_a_written_set_holds_are_those_that_are_stored(tmp_path: Path) -> None:
    batch = RolloutBatch.from_rollouts([carried(k).with_(instruction=f"task {k % 2}") for k in range(4)])
    write_lerobot(tmp_path / "set", [(batch, outcomes(4))], fps=20, robot="a robot")
    files = sorted((tmp_path / "set/data").rglob("*.parquet"))
    told = {}
    for number, file in enumerate(files):
        table = pq.read_table(file)
        flat = {name: table[name].to_pylist() for name in table.column_names}
        told[str(number)] = {name: np.array(rows, np.float64) for name, rows in flat.items() if rows[0] is not None}
    check_stored(__file__, "columns of a written set", told)


def test_features_without_names_are_taken_as_is_stored() -> None:
    both = np.concatenate([np.hstack([s[:, :6], s[:, :6]]) for s in laid(MADE)])
    grip = np.concatenate([np.column_stack([s[:, 6], 1 - s[:, 6]]) for s in laid(MADE)])
    starts = sample_of(laid(MADE)).starts
    told = {}
    for width in (10, 12):
        for fingers in (1, 2):
            values = {"observation.joint_position": both[:, :width], "observation.gripper": grip[:, :fingers]}
            sample = Sample(values, starts, np.arange(len(starts)))
            told[f"{width} {fingers}"] = described(guess(dict.fromkeys(values, ()), sample, fps=25.0))
    check_stored(__file__, "without names", told)


def test_episodes_on_another_scale_than_most_are_those_that_are_stored() -> None:
    states = [s * (40.0 if k in (2, 7) else 1.0) for k, s in enumerate(laid(recordings(12)))]
    states[4][5:9] = np.nan
    found = other_scale(sample_of(states), [STATE])
    assert found.tolist() == [2, 7]
    assert not len(other_scale(sample_of(laid(recordings(12))), [STATE]))
    assert not len(other_scale(sample_of(states[:3]), [STATE]))
