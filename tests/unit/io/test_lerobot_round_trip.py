"""What is written as a LeRobot set comes back bit for bit."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sima2 import Sima2Client
from sima2.errors import DatasetError, RecordError
from sima2.io.formats import open_dataset
from sima2.io.formats.lerobot_write import write_lerobot
from sima2.records.outcome import Outcome
from sima2.records.rollout import ARM_CHANNELS, Goal, Manipulator, Rollout, RolloutBatch
from sima2.records.table import Text
from sima2.records.vocabulary import OUTCOME_SOURCES, RELATIONS

words = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp", "Cf"]), max_size=6)
names = words.filter(bool)


def some_array(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Floats with NaN rows, signed zeros and extremes."""
    values = rng.standard_normal(shape).astype(np.float32) * np.float32(10.0) ** rng.integers(-30, 30)
    values[rng.random(shape[0]) < 0.2] = np.nan
    values.reshape(-1)[:1] = -0.0
    return values


@st.composite
def rollouts(draw: st.DrawFn, number: int, arms: tuple[str, ...]) -> Rollout:
    t = draw(st.integers(2, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))

    def arm() -> Manipulator:
        chosen = draw(st.sets(st.sampled_from(sorted(ARM_CHANNELS)))) | {"joint_position"}
        joints = draw(st.integers(1, 3))
        width = {name: joints if kind == "j" else kind for name, (kind, _) in ARM_CHANNELS.items()}
        made = {name: some_array(rng, t, width[name]) if width[name] else some_array(rng, t) for name in chosen}
        made["joint_position"] = rng.standard_normal((t, joints)).astype(np.float32)
        return Manipulator(**made)

    objects = draw(st.lists(names, max_size=3, unique=True))
    full = draw(st.booleans())
    return Rollout(
        episode_id=f"e{number}-{draw(words)}",
        time=np.concatenate([[0.0], np.cumsum(rng.uniform(1e-4, 2.0, t - 1))]),
        manipulators={name: arm() for name in arms},
        object_position={name: some_array(rng, t, 3) for name in objects},
        object_orientation={name: some_array(rng, t, 4) for name in objects} if full else {},
        object_confidence={name: some_array(rng, t) for name in objects} if full else {},
        embedding=some_array(rng, t, 4) if draw(st.booleans()) else None,
        action=some_array(rng, t, draw(st.integers(1, 3))) if draw(st.booleans()) else None,
        family=draw(names),
        robot=draw(names),
        policy=draw(words),
        session=draw(words),
        instruction=draw(words),
        goal=draw(st.none() | st.builds(Goal, words, words, st.sampled_from(RELATIONS), st.floats(0, 1))),
        debug_mode=draw(st.booleans()),
        provenance=draw(st.dictionaries(words, words, max_size=2)),
    )


@st.composite
def sets(draw: st.DrawFn) -> tuple[RolloutBatch, Outcome]:
    arms = draw(st.sampled_from([("arm",), ("left", "right"), ("b", "a")]))
    n = draw(st.integers(1, 5))
    made = [draw(rollouts(k, arms)) for k in range(n)]
    known = st.sampled_from([0.0, 1.0, np.nan])
    outcome = Outcome(
        np.array([draw(known) for _ in range(n)]),
        np.array([draw(known) for _ in range(n)]),
        np.array([draw(known) for _ in range(n)]),
        np.array([draw(st.booleans()) for _ in range(n)]),
        Text.of([draw(st.sampled_from(OUTCOME_SOURCES)) for _ in range(n)], OUTCOME_SOURCES),
    )
    return RolloutBatch.from_rollouts(made), outcome


def assert_same(a: Rollout, b: Rollout) -> None:
    for name in ("episode_id", "family", "robot", "policy", "session", "instruction", "goal", "debug_mode"):
        assert getattr(a, name) == getattr(b, name)
    assert dict(a.provenance) == dict(b.provenance)
    assert a.time.tobytes() == b.time.tobytes()
    assert list(a.manipulators) == list(b.manipulators)
    pairs = [(a.manipulators[arm].channels(), b.manipulators[arm].channels()) for arm in a.manipulators]
    pairs += [(getattr(a, name), getattr(b, name)) for name in ("object_position", "object_orientation")]
    pairs += [(a.object_confidence, b.object_confidence)]
    pairs += [
        ({name: getattr(r, name) for name in ("embedding", "action") if getattr(r, name) is not None} for r in (a, b))
    ]
    for left, right in pairs:
        assert list(left) == list(right)
        for name in left:
            assert left[name].dtype == right[name].dtype == np.float32
            assert left[name].shape == right[name].shape
            assert left[name].tobytes() == right[name].tobytes(), name


quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(made=sets(), cut=st.integers(0, 5), size=st.sampled_from([100.0, 1e-3, 1e-9]))
def test_rollouts_come_back_as_they_were(tmp_path_factory, made, cut: int, size: float) -> None:
    batch, outcome = made
    root = tmp_path_factory.mktemp("set") / "data"
    where = np.arange(len(batch))
    parts = [(batch.take(each), outcome.take(each)) for each in (where[:cut], where[cut:])]
    write_lerobot(root, parts, fps=30, robot="r", data_file_mb=size)
    dataset = open_dataset(root)
    assert dataset.episodes == len(batch)
    got = dataset.read(0, len(batch))
    kept = got.batch.episodes.episode_index
    assert sorted([*kept.tolist(), *got.quarantine.episode_index.tolist()]) == where.tolist()
    assert set(got.quarantine.reason.tolist()) <= {"mostly_missing"}
    for place, index in enumerate(kept.tolist()):
        assert_same(got.batch[place], batch[index])
    expected = outcome.take(kept)
    for name in Outcome.columns():
        np.testing.assert_array_equal(
            getattr(got.outcome, name).tolist(), getattr(expected, name).tolist(), err_msg=name
        )


@quick
@given(made=sets(), cut=st.integers(0, 5), size=st.sampled_from([100.0, 1e-3]))
def test_the_bytes_do_not_depend_on_how_episodes_came_in(tmp_path_factory, made, cut: int, size: float) -> None:
    batch, outcome = made
    root = tmp_path_factory.mktemp("set")
    where = np.arange(len(batch))
    write_lerobot(root / "one", [(batch, outcome)], fps=30, robot="r", data_file_mb=size)
    parts = [(batch.take(each), outcome.take(each)) for each in (where[:cut], where[cut:])]
    write_lerobot(root / "two", iter(parts), fps=30, robot="r", data_file_mb=size)
    files = sorted(file.relative_to(root / "one") for file in (root / "one").rglob("*") if file.is_file())
    assert files == sorted(file.relative_to(root / "two") for file in (root / "two").rglob("*") if file.is_file())
    for file in files:
        assert (root / "one" / file).read_bytes() == (root / "two" / file).read_bytes(), file


def plain(n: int = 3, t: int = 5) -> RolloutBatch:
    rng = np.random.default_rng(0)
    return RolloutBatch.from_rollouts(
        [
            Rollout(
                episode_id=f"e{k}",
                time=np.arange(t) / 20,
                joint_position=rng.standard_normal((t, 2)),
                gripper_width=rng.random(t),
                ee_position=rng.standard_normal((t, 3)),
                object_position={"cup": rng.standard_normal((t, 3))},
                instruction="lift the cup" if k else "",
                family="pick_and_place",
            )
            for k in range(n)
        ]
    )


def ended(*success: float) -> Outcome:
    n = len(success)
    return Outcome(
        np.array(success), np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, bool), Text.full(n, "task_sensor")
    )


def test_the_layout_is_that_of_lerobot_v3(tmp_path: Path) -> None:
    write_lerobot(tmp_path / "set", [(plain(), ended(1.0, 0.0, np.nan))], fps=20, robot="arm6")
    info = json.loads((tmp_path / "set/meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_frames"]) == ("v3.0", 20, 15)
    assert info["features"]["observation.state"]["names"] == ["joint_position_0", "joint_position_1", "gripper_width"]
    assert info["features"]["next.success"] == {"dtype": "bool", "shape": [1], "names": None, "fps": 20}
    data = pq.read_table(tmp_path / "set/data/chunk-000/file-000.parquet")
    assert data.column_names == list(info["features"])
    assert data["index"].to_pylist() == list(range(15))
    assert data["frame_index"].to_pylist() == [0, 1, 2, 3, 4] * 3
    assert data["next.done"].to_pylist() == [False, False, False, False, True] * 3
    assert data["next.success"].to_pylist() == [False] * 4 + [True] + [False] * 5 + [None] * 5
    tasks = pq.read_table(tmp_path / "set/meta/tasks.parquet")
    assert tasks.to_pydict() == {"task_index": [0, 1], "__index_level_0__": ["pick_and_place", "lift the cup"]}
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["__index_level_0__"]
    episodes = pq.read_table(tmp_path / "set/meta/episodes/chunk-000/file-000.parquet")
    assert episodes["dataset_to_index"].to_pylist() == [5, 10, 15]
    stats = json.loads((tmp_path / "set/meta/stats.json").read_text())
    batch = plain()
    np.testing.assert_allclose(stats["observation.ee_position"]["mean"], batch.arm.ee_position.mean(0), rtol=1e-6)
    np.testing.assert_allclose(stats["observation.ee_position"]["std"], batch.arm.ee_position.std(0), rtol=1e-5)
    assert not list((tmp_path / "set").glob("spool"))


def test_other_readers_see_the_success_too(tmp_path: Path) -> None:
    """Without our own columns the set is an ordinary one: a guess reads joints and outcomes."""
    write_lerobot(tmp_path / "set", [(plain(), ended(1.0, 0.0, np.nan))], fps=20, robot="arm6")
    (tmp_path / "set/meta/sima2_columns.toml").unlink()
    dataset = open_dataset(tmp_path / "set")
    assert dataset.describe().mapping == "guessed"
    got = dataset.read(0, 3)
    assert got.outcome.success.tolist()[:2] == [1.0, 0.0]
    assert np.isnan(got.outcome.success[2])
    np.testing.assert_array_equal(got.batch.arm.joint_position, plain().arm.joint_position)


def test_many_row_groups_and_files_are_read_by_span(tmp_path: Path) -> None:
    batch = plain(60, 900)
    write_lerobot(tmp_path / "set", [(batch, None)], fps=20, robot="r", data_file_mb=2.5)
    files = sorted((tmp_path / "set/data").rglob("*.parquet"))
    assert len(files) >= 2
    assert max(pq.ParquetFile(file).num_row_groups for file in files) >= 1
    dataset = open_dataset(tmp_path / "set")
    for start, stop in ((0, 1), (35, 42), (59, 60), (0, 60)):
        got = dataset.read(start, stop)
        assert got.batch.episodes.episode_index.tolist() == list(range(start, stop))
        expected = batch.take(np.arange(start, stop))
        assert got.batch.arm.ee_position.tobytes() == expected.arm.ee_position.tobytes()


def test_a_folder_that_holds_anything_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match="is not empty"):
        write_lerobot(tmp_path / "set", [(plain(), None)], fps=20, robot="r")
    assert [each.name for each in tmp_path.rglob("*")] == ["set", "notes.txt"]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    def parts():
        yield plain(), None
        raise RecordError("the source broke")

    with pytest.raises(RecordError, match="broke"):
        write_lerobot(tmp_path / "set", parts(), fps=20, robot="r")
    with pytest.raises(DatasetError, match="no episodes"):
        write_lerobot(tmp_path / "set", [], fps=20, robot="r")
    with pytest.raises(RecordError, match="must be positive"):
        write_lerobot(tmp_path / "set", [(plain(), None)], fps=0, robot="r")
    with pytest.raises(RecordError, match="outcomes of 1 episodes for 3"):
        write_lerobot(tmp_path / "set", [(plain(), Outcome.unknown(1))], fps=20, robot="r")
    assert list(tmp_path.iterdir()) == []


def test_ids_that_occur_twice_stay_apart_however_they_are_read(tmp_path: Path) -> None:
    write_lerobot(tmp_path / "set", [(plain(2), None), (plain(2), None)], fps=20, robot="r")
    dataset = open_dataset(tmp_path / "set")
    whole = dataset.read(0, 4).batch.episodes.episode_id
    assert whole == ("e0", "e1", "e0#2", "e1#3")
    assert tuple(dataset.read(k, k + 1).batch.episodes.episode_id[0] for k in range(4)) == whole


def test_a_given_map_reads_a_set_of_our_own_as_any_other(tmp_path: Path) -> None:
    batch, outcome, _ = Sima2Client(seed=3).rollouts(family="drawer_open", count=2)
    write_lerobot(tmp_path / "set", [(batch, outcome)], fps=20, robot="r")
    file = tmp_path / "map.toml"
    file.write_text('[arms.right.joint_position]\nfeature = "observation.state"\nindex = [1, 0]\nunit = "rad"\n')
    read = open_dataset(tmp_path / "set", column_map=file).read(0, 2).batch
    assert list(read.manipulators) == ["right"]
    np.testing.assert_array_equal(
        read.manipulators["right"].joint_position, batch.manipulators["arm"].joint_position[:, [1, 0]]
    )
