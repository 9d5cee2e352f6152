"""What a joint resists is told from its commands, after their lag; where the actions are none, nothing is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sima2.errors import DatasetError
from sima2.io.column_guess import guess
from sima2.io.column_map import ColumnMap, Columns, parse_column_map
from sima2.io.command_lag import Commands, fit_commands
from sima2.io.effort import with_effort
from sima2.io.formats import open_dataset
from sima2.io.sample import Sample

G1 = Path(__file__).parents[4] / "shared/data/lerobot_v21_g1"
FPS = 30
LENGTH, EPISODES = 300, 6
JOINTS = [f"joint_{k}" for k in range(5)]
NAMES = [*JOINTS, "thumb", "finger"]
LAGS = [0, 3, 5, 7, 12, 9, 2]
STALL = slice(150, 220)
"""Frames of each episode in which the thumb is told to close further than it gets."""


def smooth(rng: np.random.Generator, n: int) -> np.ndarray:
    """A joint's command: a sum of slow waves."""
    t = np.arange(n) / FPS
    return sum(rng.uniform(0.2, 0.6) * np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) for f in (0.2, 0.5, 0.9))


def hand(rng: np.random.Generator, n: int) -> np.ndarray:
    """A finger's command between 0 (closed) and 1 (open): open, closed over the stall and a while more, open."""
    corners = [0, 100, 130, 240, 270, n - 1]
    return np.interp(np.arange(n), corners, [0.95, 0.95, 0.1, 0.1, 0.95, 0.95]) + rng.uniform(-0.03, 0.03)


def episode(k: int) -> tuple[np.ndarray, np.ndarray]:
    """State and action of an episode, shape (LENGTH, 7) each: the lags are known, the thumb stalls."""
    rng = np.random.default_rng([7, k])
    n = LENGTH + 20
    sent = np.stack([*(smooth(rng, n) for _ in JOINTS), hand(rng, n), 0.1 + 0.8 * hand(rng, n)], axis=1)
    action = sent[20:]
    state = np.stack([sent[20 - lag : n - lag, j] for j, lag in enumerate(LAGS)], axis=1)
    state += 0.01 * np.arange(len(NAMES)) + rng.normal(0, 0.003, state.shape)  # calibration and noise
    state[STALL, 5] = np.maximum(state[STALL, 5], 0.5)
    return state, action


def sample(order: list[int] | None = None) -> Sample:
    states, actions = zip(*map(episode, range(EPISODES)), strict=True)
    action = np.concatenate(actions)
    return Sample(
        {"observation.state": np.concatenate(states), "action": action if order is None else action[:, order]},
        np.arange(EPISODES) * LENGTH,
    )


def fitted(made: Sample, names: list[str] | None = None, action: list[str] | None = None) -> Commands:
    named = {"observation.state": NAMES if names is None else names, "action": NAMES if action is None else action}
    return fit_commands(made, named, "action", ["observation.state"], FPS)


def mapped(made: Sample, **more: list[str]) -> ColumnMap:
    names = {"observation.state": NAMES, "action": NAMES}
    commands = fitted(made, **more)
    return with_effort(guess(names, made, commands=commands), commands, names)


def changed(**features: np.ndarray) -> Sample:
    made = sample()
    return replace(made, values={**made.values, **features})


def test_lags_are_recovered_exactly_in_spite_of_noise_offset_and_a_stall() -> None:
    fits = fitted(sample()).fits
    assert [fits["observation.state", j].lag for j in range(len(NAMES))] == LAGS
    parts = mapped(sample()).residuals["arm"]
    assert [*parts["joints"].lag, *parts["gripper"].lag] == LAGS
    np.testing.assert_allclose(parts["joints"].usual, [-0.01 * j for j in range(5)], atol=1e-3)
    np.testing.assert_allclose(parts["joints"].spread, 0.003, rtol=0.15)


def test_the_proxy_is_what_its_definition_says() -> None:
    part = mapped(sample()).residuals["arm"]["joints"]
    state, action = episode(0)
    proxy = part.read({"observation.state": state, "action": action})
    for j, lag in enumerate(LAGS[:5]):
        assert np.isnan(proxy[:lag, j]).all()
        expected = (action[: LENGTH - lag, j] - state[lag:, j] - part.usual[j]) / part.spread[j]
        np.testing.assert_allclose(proxy[lag:, j], expected)


@pytest.mark.parametrize("inverted", [False, True])
def test_a_stalled_finger_stands_out_below_zero_whichever_end_is_open(inverted: bool) -> None:
    made = sample()
    flip = np.array([1.0] * 5 + [-1.0] * 2)
    if inverted:
        made = replace(made, values={name: np.where(flip < 0, 1 - v, v) for name, v in made.values.items()})
    parts = mapped(made).residuals["arm"]
    features = {name: values[:LENGTH] for name, values in made.values.items()}
    thumb, finger = parts["gripper"].read(features).T
    stalled = np.zeros(LENGTH, bool)
    stalled[STALL] = True
    assert np.median(thumb[stalled]) < -30
    assert np.nanpercentile(np.abs(finger), 99) < 10
    assert np.nanmax(np.abs(parts["joints"].read(features))) < 8
    free = ~stalled & (np.arange(LENGTH) > 20)
    assert np.nanmedian(np.abs(thumb[free])) < 2


def test_the_map_says_the_lags_and_the_largest_residual() -> None:
    notes = [note for note in mapped(sample()).notes if "effort_proxy" in note]
    assert len(notes) == 1
    assert "joints by 0–12 frames, gripper by 2–9 frames" in notes[0]
    assert "of thumb" in notes[0]


SHUFFLED = [3, 0, 4, 1, 2, 6, 5]


def test_actions_of_other_joints_tell_nothing() -> None:
    made = mapped(sample(SHUFFLED))
    assert made.residuals == {}
    assert any("no absolute positions" in note for note in made.notes)


def test_actions_in_another_order_are_found_by_their_names() -> None:
    made = mapped(sample(SHUFFLED), action=[NAMES[k] for k in SHUFFLED])
    parts = made.residuals["arm"]
    assert [*parts["joints"].lag, *parts["gripper"].lag] == LAGS
    assert [SHUFFLED[k] for k in (*parts["joints"].index, *parts["gripper"].index)] == list(range(7))


def other_actions() -> dict[str, tuple[np.ndarray, str]]:
    made = sample()
    state, action = made.values["observation.state"], made.values["action"]
    rng = np.random.default_rng(0)
    following = np.concatenate([state[1:], state[-1:]])
    return {
        "changes of position": (np.diff(action, axis=0, append=action[-1:]), "no absolute positions"),
        "another unit": (np.degrees(action), "no absolute positions"),
        "frames in another order": (action[rng.permutation(len(action))], "no absolute positions"),
        "the state of the next frame": (following, "no command|state itself"),
        "noise": (rng.normal(size=action.shape), "no absolute positions"),
        "nothing but zeros": (np.zeros_like(action), "never moves"),
        "nothing known": (np.full_like(action, np.nan), "no action"),
    }


@pytest.mark.parametrize("what", list(other_actions()))
def test_what_is_no_absolute_command_gives_no_proxy(what: str) -> None:
    action, why = other_actions()[what]
    made = mapped(changed(action=action))
    assert made.residuals == {}
    told = " ".join(note for note in made.notes if "effort_proxy" in note)
    assert any(each in told for each in why.split("|"))


def test_a_gripper_commanded_in_another_unit_leaves_the_joints_theirs() -> None:
    action = sample().values["action"].copy()
    action[:, 5:] *= 100.0
    made = mapped(changed(action=action))
    parts = made.residuals["arm"]
    assert list(parts["joints"].lag) == LAGS[:5]
    assert parts["gripper"].index == (-1, -1)
    assert np.isnan(parts["gripper"].read({name: v[:LENGTH] for name, v in sample().values.items()})).all()
    assert any("not of thumb, finger" in note for note in made.notes)


def test_a_gripper_s_absolute_command_counts_beside_changes_of_position() -> None:
    action = sample().values["action"].copy()
    action[:, :5] = np.diff(action[:, :5], axis=0, append=action[-1:, :5])
    keep = [0, 1, 2, 3, 4, 5]
    made = sample()
    values = {"observation.state": made.values["observation.state"][:, keep], "action": action[:, keep]}
    names = [NAMES[k] for k in keep]
    commands = fitted(replace(made, values=values), names, names)
    parts = with_effort(guess({"observation.state": names}, made), commands, {"observation.state": names}).residuals
    assert parts["arm"]["joints"].index == (-1,) * 5
    assert parts["arm"]["gripper"].lag == (9,)


def test_a_joint_that_never_moves_has_no_proxy_and_the_others_have() -> None:
    state, action = sample().values["observation.state"].copy(), sample().values["action"].copy()
    state[:, 2], action[:, 2] = 0.3, 0.3
    made = mapped(changed(action=action, **{"observation.state": state}))
    assert made.residuals["arm"]["joints"].index == (0, 1, -1, 3, 4)
    assert any("not of joint_2: never moves" in note for note in made.notes)


def test_a_joint_that_hardly_moves_takes_the_lag_of_the_others() -> None:
    state, action = sample().values["observation.state"].copy(), sample().values["action"].copy()
    state[:, 4] = 0.02 * (state[:, 4] - 0.04) + 0.02 * np.random.default_rng(1).normal(0, 1, len(state))
    action[:, 4] *= 0.02
    made = mapped(changed(action=action, **{"observation.state": state}))
    part = made.residuals["arm"]["joints"]
    if part.index[4] >= 0:
        assert part.lag[4] == np.median(LAGS[:4])
        assert any("too little motion" in note and "joint_4" in note for note in made.notes)
    assert list(part.lag[:4]) == LAGS[:4]


def test_missing_samples_cost_only_themselves() -> None:
    state = sample().values["observation.state"].copy()
    state[::7, 1] = np.nan
    commands = fitted(changed(**{"observation.state": state}))
    assert [commands.fits["observation.state", j].lag for j in range(7)] == LAGS
    part = mapped(changed(**{"observation.state": state})).residuals["arm"]["joints"]
    proxy = part.read({"observation.state": state[:LENGTH], "action": episode(0)[1]})
    assert (np.isnan(proxy[12:, 1]) == np.isnan(state[12:LENGTH, 1])).all()


def test_a_proxy_that_the_map_gives_is_kept() -> None:
    made, names = sample(), {"observation.state": NAMES, "action": NAMES}
    given = ColumnMap(arms={"arm": {"effort_proxy": Columns("observation.state", (0,))}})
    assert with_effort(given, fitted(made), names).residuals == {}
    again = mapped(made)
    assert with_effort(again, fitted(made), names).residuals == again.residuals


# ---- through a data set


def written(root: Path, episodes: int = EPISODES) -> Path:
    """The same episodes as a LeRobot v2.1 set."""
    features = {
        name: {"dtype": "float64", "shape": [len(NAMES)], "names": NAMES} for name in ("observation.state", "action")
    }
    (root / "meta").mkdir(parents=True)
    (root / "data/chunk-000").mkdir(parents=True)
    info = {
        "codebase_version": "v2.1",
        "robot_type": "made",
        "fps": FPS,
        "chunks_size": 1000,
        "total_episodes": episodes,
        "total_frames": episodes * LENGTH,
        "features": features,
    }
    (root / "meta/info.json").write_text(json.dumps(info))
    lines = [json.dumps({"episode_index": k, "tasks": ["t"], "length": LENGTH}) for k in range(episodes)]
    (root / "meta/episodes.jsonl").write_text("\n".join(lines))
    (root / "meta/tasks.jsonl").write_text('{"task_index": 0, "task": "t"}')
    for k in range(episodes):
        state, action = episode(k)
        kind = pa.list_(pa.float64(), len(NAMES))
        columns = {
            "observation.state": pa.array(state.tolist(), kind),
            "action": pa.array(action.tolist(), kind),
            "timestamp": pa.array(np.arange(LENGTH) / FPS),
            "frame_index": pa.array(np.arange(LENGTH)),
            "episode_index": pa.array(np.full(LENGTH, k)),
        }
        pq.write_table(pa.table(columns), root / f"data/chunk-000/episode_{k:06d}.parquet")
    return root


def test_the_joints_come_before_the_gripper_and_no_batch_changes_a_byte(tmp_path: Path) -> None:
    data = open_dataset(written(tmp_path / "set"))
    batch = data.read(0, EPISODES).batch
    whole = batch.arm.effort_proxy
    assert whole.shape == (EPISODES * LENGTH, 7)
    assert whole.dtype == np.float32
    joints = batch.arm.joint_position.shape[1]
    assert np.nanmax(np.abs(whole[:, :joints])) < 8
    assert np.nanmin(whole[:, joints]) < -30
    for start, stop in ((0, 1), (3, 5), (5, 6)):
        alone = open_dataset(tmp_path / "set").read(start, stop).batch.arm.effort_proxy
        assert alone.tobytes() == whole[start * LENGTH : stop * LENGTH].tobytes()


def test_the_written_map_given_back_reads_the_same(tmp_path: Path) -> None:
    data = open_dataset(written(tmp_path / "set"))
    (tmp_path / "map.toml").write_text(data.describe().column_map)
    again = open_dataset(tmp_path / "set", column_map=tmp_path / "map.toml")
    assert again.column_map.residuals == data.column_map.residuals
    mine, theirs = (each.read(0, 2).batch.arm.effort_proxy for each in (data, again))
    assert mine.tobytes() == theirs.tobytes()


def test_a_map_with_an_action_but_no_proxy_has_it_found(tmp_path: Path) -> None:
    root = written(tmp_path / "set")
    lines = ["[arms.arm.joint_position]", 'feature = "observation.state"', "index = [1, 3]"]
    (tmp_path / "map.toml").write_text("\n".join(lines))
    assert open_dataset(root, column_map=tmp_path / "map.toml").read(0, 1).batch.arm.effort_proxy is None
    (tmp_path / "map.toml").write_text("\n".join([*lines, "[action]", 'feature = "action"']))
    data = open_dataset(root, column_map=tmp_path / "map.toml")
    assert data.column_map.residuals["arm"]["joints"].lag == (3, 7)
    assert data.read(0, 1).batch.arm.effort_proxy.shape == (LENGTH, 2)


PART = {
    "feature": '"action"',
    "index": "[0]",
    "state": '"observation.state"',
    "state_index": "[0]",
    "lag": "[3]",
    "usual": "[0.0]",
    "spread": "[0.1]",
}


def part(**changes: str | None) -> str:
    values = {key: value for key, value in {**PART, **changes}.items() if value is not None}
    return "[arms.arm.effort_proxy.joints]\n" + "\n".join(f"{key} = {value}" for key, value in values.items())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (part(lag="[-1]"), "lag is not a list"),
        (part(lag="[1, 2]"), "one number for each column"),
        (part(spread="[0.0]"), "a spread of 0"),
        (part(usual=None), "there is no 'usual'"),
        (part(more="1"), "unknown key 'more'"),
        (part(index="[-2]"), "index is not a list"),
        (part(feature='""'), "feature is not a text"),
        (part() + '\n[arms.arm.effort_proxy.feet]\nfeature = "action"', "'feet' besides joints and gripper"),
        ("[arms.arm.effort_proxy]\njoints = 3", "is int, expected a table"),
    ],
)
def test_a_wrong_part_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        parse_column_map(text, "map.toml")


def test_a_part_that_asks_for_a_column_beyond_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(part(state_index="[7]"))
    root = written(tmp_path / "set", 1)
    with pytest.raises(DatasetError, match=r"effort_proxy.joints\] asks for column 7 of 'observation.state'"):
        open_dataset(root, column_map=tmp_path / "map.toml")


def test_a_gripper_part_alone_leaves_room_for_the_joints(tmp_path: Path) -> None:
    text = '[arms.arm.joint_position]\nfeature = "observation.state"\nindex = [0, 1, 2]\n'
    (tmp_path / "map.toml").write_text(text + part(index="[6]", state_index="[6]").replace(".joints", ".gripper"))
    data = open_dataset(written(tmp_path / "set", 1), column_map=tmp_path / "map.toml")
    proxy = data.read(0, 1).batch.arm.effort_proxy
    assert proxy.shape == (LENGTH, 4)
    assert np.isnan(proxy[:, :3]).all()
    assert np.isfinite(proxy[3:, 3]).all()


@pytest.mark.skipif(not G1.exists(), reason=f"no recorded set at {G1}")
def test_the_humanoid_s_arm_lags_4_to_7_frames_and_one_thumb_stands_out() -> None:
    data = open_dataset(G1)
    parts = data.column_map.residuals["right"]
    assert {4, 5, 6, 7} >= set(parts["joints"].lag)
    proxy = data.read(0, data.episodes).batch.manipulators["right"].effort_proxy
    assert proxy.shape[1] == 7 + 5
    size = np.sqrt(np.nanmean(proxy.astype(float) ** 2, axis=0))
    assert int(np.argmax(size)) == 7 + 4  # the thumb's bend
    assert size[11] > 40 * np.median(size)
    thumb = proxy[:, 11]
    assert np.count_nonzero(thumb < -40) > 10 * np.count_nonzero(thumb > 40)  # closing on something
    assert any("of kRightHandThumbBend" in note for note in data.describe().assumptions)


@pytest.mark.parametrize(("beyond", "thing", "kept"), [(0.05, 0.4, True), (0.15, 0.2, False)])
def test_a_command_a_little_beyond_where_fingers_meet_leaves_what_holds_them_far_before_it_plain(
    beyond: float, thing: float, kept: bool
) -> None:
    """Half of the closings meet at the closed end, half are kept from it; the command goes beyond where they meet."""
    rng = np.random.default_rng(3)
    n, episodes = LENGTH, 12
    corners = [0, 100, 115, 240, 255, n - 1]
    arm, fingers, told = [], [], []
    for k in range(episodes):
        sent = np.interp(np.arange(n), corners, [1.0, 1.0, -beyond, -beyond, 1.0, 1.0])
        stop = thing if k % 2 else 0.0
        fingers.append(np.maximum(sent, stop) + rng.normal(0, 0.001, n))
        told.append(sent)
        arm.append(smooth(rng, n))
    joint, opening, command = (np.concatenate(each) for each in (arm, fingers, told))
    made = Sample(
        {
            "observation.state": np.stack([joint + rng.normal(0, 0.002, len(joint)), opening], axis=1),
            "action": np.stack([joint, command], axis=1),
        },
        np.arange(episodes) * n,
    )
    names = {"observation.state": ["joint_0", "gripper"], "action": ["joint_0", "gripper"]}
    commands = fit_commands(made, names, "action", ["observation.state"], FPS)
    columns = guess(names, made, commands=commands)
    residual = with_effort(columns, commands, names).residuals["arm"]["gripper"]
    assert (residual.index[0] >= 0) == kept
