"""Alike episodes are read together; what comes of each is what would come of it alone."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recordings import HZ, NAMES, laid, recordings, write_set
from sima2.bench.recordings_maker import RECIPES, make_set
from sima2.client import Sima2Client
from sima2.io.derived import CommandResidual, columns_of, commanded
from sima2.io.formats.alike import FEWEST_FRAMES, alike, end_to_end
from sima2.io.formats.frame_source import Entry, Recorded
from sima2.io.intake import Intake, RawBlock, admit
from sima2.io.timestamps import seconds, seconds_of_each, share_off, shares_off
from sima2.records.rollout import CLOCK_OFF, TURNED, Manipulator, Rollout, RolloutBatch

T = 20


def entry(number: int) -> Entry:
    return Entry(number, None, f"file {number}", "", -1)


def recorded(number: int, frames: int = T, width: int = 2) -> Recorded:
    return Recorded(entry(number), {"a": np.zeros((frames, width), np.float32)})


def channels(seed: int, frames: int = T) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "joint_position": rng.normal(0.0, 0.1, (frames, 3)).cumsum(axis=0),
        "gripper_opening": rng.uniform(0.0, 1.0, frames),
        "effort_proxy": np.where(np.arange(frames)[:, None] < 2, np.nan, rng.normal(0.0, 1.0, (frames, 4))),
    }


SPOILT = {
    "nothing": lambda arm, time: None,
    "infinite": lambda arm, time: arm["joint_position"].__setitem__((3, 1), np.inf),
    "infinite effort": lambda arm, time: arm["effort_proxy"].__setitem__((3, 1), -np.inf),
    "a gap": lambda arm, time: arm["joint_position"].__setitem__(slice(2, 6), np.nan),
    "mostly gaps": lambda arm, time: arm["joint_position"].__setitem__(slice(2, None), np.nan),
    "at rest": lambda arm, time: [arm[name].fill(0.0) for name in arm],
    "a wild sample": lambda arm, time: arm["joint_position"].__setitem__((7, 0), 900.0),
    "time repeats": lambda arm, time: time.__setitem__(5, time[4]),
    "time is lost": lambda arm, time: time.__setitem__(0, np.nan),
    "the clock jumps": lambda arm, time: time.__setitem__(slice(9, None), time[9:] + 30.0),
}


def block(kinds: list[str]) -> RawBlock:
    made = []
    for seed, kind in enumerate(kinds):
        arm, time = channels(seed), 100.0 * seed + np.arange(T) * 0.1
        SPOILT[kind](arm, time)
        made.append((arm, time))
    n = len(kinds)
    return RawBlock(
        episode_index=list(range(10, 10 + n)),
        episode_id=["same\n", *(f"e{k}" for k in range(n - 2)), "same\n"][:n],
        source=[f"file {k}" for k in range(n)],
        offset=np.arange(n + 1) * T,
        arms={"left": {name: np.concatenate([arm[name] for arm, _ in made]) for name in made[0][0]}},
        scene={"time": np.concatenate([time for _, time in made]), "action": np.zeros((n * T, 2))},
        words=[{"robot": "r", "family": None, "provenance": {"file": f"f{k}"}} for k in range(n)],
        notes=[(f"note {k}",) for k in range(n)],
    )


def told(taken: Intake) -> dict[str, object]:
    """All that an intake says, to the bit."""
    batch = taken.batch
    arrays = {f"{arm}.{name}": each for arm, m in batch.manipulators.items() for name, each in m.channels().items()}
    arrays |= {name: getattr(batch, name) for name in ("time", "offset", "action", "object_position", "layout")}
    plain = {name: None if each is None else (each.dtype, each.shape, each.tobytes()) for name, each in arrays.items()}
    episodes = {each.name: getattr(batch.episodes, each.name) for each in dataclasses.fields(batch.episodes)}
    words = {name: list(map(str, values)) for name, values in episodes.items()}
    tables = [
        list(map(str, getattr(t, f.name))) for t in (taken.quarantine, taken.notes) for f in dataclasses.fields(t)
    ]
    return {**plain, **words, "tables": tables, "layouts": batch.layouts, "objects": batch.objects}


@pytest.mark.parametrize("kind", SPOILT)
def test_what_comes_through_the_door_together_is_what_comes_through_alone(kind: str) -> None:
    raw = block(["nothing", "nothing", kind, "nothing"])
    assert told(admit([raw])) == told(admit([raw.one(place) for place in range(len(raw))]))


def test_a_channel_that_no_rollout_can_have_is_told_of_each_episode() -> None:
    raw = block(["nothing"] * 3)
    wrong = dataclasses.replace(raw, arms={"left": {**raw.arms["left"], "ee_position": np.zeros((3 * T, 2))}})
    taken = admit([wrong])
    assert taken.quarantine.reason.tolist() == ["mixed_dimensions"] * 3
    assert told(taken) == told(admit([wrong.one(place) for place in range(3)]))


def test_neighbours_are_alike_that_hold_the_same_features() -> None:
    other = Recorded(entry(5), {"b": np.zeros((T, 2), np.float32)})
    groups = alike([recorded(0), recorded(1, T + 3), recorded(2, width=3), other, recorded(6), recorded(7)])
    assert [[each.entry.episode for each in group] for group in groups] == [[0, 1], [2], [5], [6, 7]]


def test_what_could_not_be_read_or_has_no_step_stands_by_itself() -> None:
    few = FEWEST_FRAMES - 1
    groups = alike([recorded(0, few), recorded(1, few), Recorded(entry(2), {}), Recorded(entry(3), {})])
    assert [len(group) for group in groups] == [1, 1, 1, 1]


def test_frames_lie_end_to_end_in_order() -> None:
    parts = [Recorded(entry(k), {"a": np.full((k + 2, 1), k)}) for k in range(3)]
    features, offset = end_to_end(parts)
    assert offset.tolist() == [0, 2, 5, 9]
    assert features["a"][:, 0].tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 2]


@pytest.mark.parametrize("usual", [None, 0.1, 100.0])
def test_the_time_of_each_episode_is_its_own(usual: float | None) -> None:
    rng = np.random.default_rng(0)
    ticks = np.arange(T) / 10.0
    clocks = [
        ticks,
        ticks * 1000.0,
        ticks + rng.normal(0.0, 1e-6, T),
        ticks + rng.normal(0.0, 1e-2, T),
        np.floor(ticks * 5) / 5,
        np.where(np.arange(T) == 4, np.nan, ticks),
        ticks[::-1],
    ]
    for known in (np.tile(ticks, len(clocks)), None):
        alone = [seconds(each, None if known is None else ticks, 10.0, usual) for each in clocks]
        offset = np.arange(len(clocks) + 1) * T
        got, ticked = seconds_of_each(np.concatenate(clocks), known, 10.0, usual, offset)
        assert got.tobytes() == np.concatenate(alone).tobytes()
        assert ticked.tolist() == [known is not None and each is ticks for each in alone]
        whole = np.concatenate(clocks)
        for place, each in enumerate(clocks):
            assert shares_off(whole, 10.0, offset).get(place, 0.0) == share_off(each, 10.0)


def test_the_residual_of_each_episode_knows_no_command_of_the_one_before() -> None:
    rng = np.random.default_rng(1)
    lengths = [9, 2, 30]
    parts = [{"action": rng.normal(size=(t, 4)), "state": rng.normal(size=(t, 3))} for t in lengths]
    residual = CommandResidual("action", (2, -1, 0), "state", (0, 1, 2), (3, 0, 1), (0.1, 0.0, 0.2), (2.0, 1.0, -1.0))
    together = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    got = residual.read(together, np.concatenate([[0], np.cumsum(lengths)]))
    assert got.tobytes() == np.concatenate([residual.read(part) for part in parts]).tobytes()
    assert np.isnan(got[:3, 0]).all()
    assert got[3, 0] == np.float32((parts[0]["action"][0, 2] - parts[0]["state"][3, 0] - 0.1) / 2.0)


@pytest.mark.parametrize("width", [1, 3])
def test_commands_of_other_joints_than_the_arms_are_not_those_of_its_joints(width: int) -> None:
    features = {"action": np.ones((T, 3)), "state": np.zeros((T, 3))}
    places = tuple(range(width))
    part = CommandResidual("action", places, "state", places, (0,) * width, (0.0,) * width, (1.0,) * width)
    assert commanded({"joints": part}, features, np.zeros((T, 2)), 1.0) is None
    assert commanded({"joints": part}, features, np.zeros((T, width)), 1.0).tolist() == [[1.0] * width] * T


def test_columns_side_by_side_are_no_copy() -> None:
    values = np.arange(12).reshape(3, 4)
    assert np.shares_memory(columns_of(values, [1, 2]), values)
    assert columns_of(values, [2, 0]).tolist() == values[:, [2, 0]].tolist()


def test_batches_end_to_end_are_what_their_rollouts_make() -> None:
    def rollout(k: int, **more: object) -> Rollout:
        arms = {"left": Manipulator(joint_position=np.full((3, 2 + k % 2), k, np.float32))}
        return Rollout(episode_id=f"e{k}", time=np.arange(3) * 0.1, manipulators=arms, **more)

    rollouts = [
        rollout(0),
        rollout(1),
        rollout(2, action=np.zeros((3, 1))),
        rollout(3, object_position={"cup": np.ones((3, 3))}),
        Rollout(episode_id="e4", time=np.arange(4) * 0.1, gripper_width=np.zeros(4)),
    ]
    whole = RolloutBatch.from_rollouts(rollouts)
    for cut in range(len(rollouts) + 1):
        both = [RolloutBatch.from_rollouts(part) for part in (rollouts[:cut], rollouts[cut:])]
        joined = RolloutBatch.concat([part for part in both if len(part)])
        assert joined.layouts == whole.layouts
        assert list(map(len, joined)) == list(map(len, whole))
        for a, b in zip(joined, whole, strict=True):
            assert list(a.manipulators) == list(b.manipulators)
            for arm in a.manipulators:
                mine, theirs = a.manipulators[arm].channels(), b.manipulators[arm].channels()
                assert {k: v.tolist() for k, v in mine.items()} == {k: v.tolist() for k, v in theirs.items()}
            assert {k: v.tolist() for k, v in a.object_position.items()} == {
                k: v.tolist() for k, v in b.object_position.items()
            }
    assert len(RolloutBatch.concat([])) == 0


def test_an_angle_that_wraps_in_one_episode_changes_no_other(tmp_path) -> None:
    recipe = next(each for each in RECIPES if each.name == "so101_cube")
    make_set(tmp_path / "set", recipe, 6, 1)
    _turn(tmp_path / "set", 3)
    source = Sima2Client("dataset", path=tmp_path / "set").source()
    together = source.read(0, 6).batch
    alone = [source.read(place, place + 1).batch for place in range(6)]
    for name, values in together.arm.channels().items():
        assert values.tobytes() == np.concatenate([getattr(each.arm, name) for each in alone]).tobytes()
    cut = slice(int(together.offset[3]), int(together.offset[4]))
    assert np.abs(np.diff(together.arm.joint_position[cut, 0])).max() < 1.0


@pytest.mark.parametrize("name", ["so101_cube", "ur5_plugs"])
def test_what_is_told_of_an_episode_is_of_that_one(tmp_path, name: str) -> None:
    recipe = next(each for each in RECIPES if each.name == name)
    truth = make_set(tmp_path / "set", recipe, 24, 5, {"flipped_gripper": 3, "timestamp_jitter": 2})
    client = Sima2Client("dataset", path=tmp_path / "set", goals=("object=cup,target=plate,tolerance=0.03",))
    source = client.source()
    together = source.read(0, 24).batch
    alone = RolloutBatch.concat([source.read(place, place + 1).batch for place in range(24)])
    said = [[list(words.items()) for words in batch.episodes.provenance] for batch in (together, alone)]
    assert said[0] == said[1]
    assert together.episodes.goal == alone.episodes.goal
    assert {goal.object for goal in together.episodes.goal} == {"cup"}
    assert together.arm.joint_command.tobytes() == alone.arm.joint_command.tobytes()
    for key, kind in ((TURNED, "flipped_gripper"), (CLOCK_OFF, "timestamp_jitter")):
        told = {place for place, words in enumerate(together.episodes.provenance) if key in words}
        assert told
        assert told <= {each.episode_index for each in truth if any(mark.kind == kind for mark in each.planted)}


def _turn(folder, number: int) -> None:
    """Shift the first joint of an episode so that it wraps within its motion."""
    file = folder / f"data/chunk-000/episode_{number:06d}.parquet"
    table = pq.read_table(file)
    state = np.stack(table.column("observation.state").to_numpy()).copy()
    middle = 0.5 * (state[:, 0].min() + state[:, 0].max())
    state[:, 0] = (state[:, 0] - middle) % 360.0 - 180.0
    assert np.abs(np.diff(state[:, 0])).max() > 300.0
    column = pa.FixedSizeListArray.from_arrays(pa.array(state.ravel()), state.shape[1])
    place = table.schema.get_field_index("observation.state")
    pq.write_table(table.set_column(place, "observation.state", column), file)


def test_even_timestamps_in_ms_are_not_off(tmp_path: Path) -> None:
    made = recordings(6)
    root = write_set(tmp_path / "set", laid(made), [*NAMES, "gripper"], stamps=lambda n: np.arange(n) * 1000.0 / HZ)
    source = Sima2Client("dataset", path=root).source()
    assert not any(CLOCK_OFF in each for each in source.read(0, 6).batch.episodes.provenance)
