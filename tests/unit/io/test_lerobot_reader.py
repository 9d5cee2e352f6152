"""Reading LeRobot sets: each malformation seen in the wild is an error, a quarantine row or a warning."""

import json
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lerobot_sets import FPS, MAKERS, columns, episode_file, info, make_v21, make_v30, state, write_info

from sima2.errors import DatasetError
from sima2.io import parquet
from sima2.io.formats import open_dataset
from sima2.io.intake import QUARANTINE_REASONS, Intake

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
G1 = Path(__file__).parents[4] / "shared/data/lerobot_v21_g1"


@pytest.fixture(params=sorted(MAKERS))
def root(request, tmp_path: Path) -> Path:
    """A good set of each version."""
    return MAKERS[request.param](tmp_path / "set")


def read_all(root: Path, **options) -> Intake:
    dataset = open_dataset(root, **options)
    got = dataset.read(0, dataset.episodes)
    assert len(got.batch) + len(got.quarantine) == dataset.episodes
    assert set(got.quarantine.reason.tolist()) <= set(QUARANTINE_REASONS)
    return got


def change_info(root: Path, **changes) -> None:
    values = json.loads((root / "meta/info.json").read_text())
    write_info(root, {**values, **changes})


def change_data(root: Path, episode: int, **changes) -> None:
    table = {**columns(episode), **changes}
    pq.write_table(
        pa.table({name: value for name, value in table.items() if value is not None}), episode_file(root, episode)
    )


def assert_only_bad(root: Path, bad: int, reason: str) -> Intake:
    """One episode is put aside for the given reason, and all others are there."""
    got = read_all(root)
    assert got.quarantine.reason.tolist() == [reason]
    assert got.quarantine.episode_index.tolist() == [bad]
    assert [k for k in range(4) if k != bad] == got.batch.episodes.episode_index.tolist()
    return got


def test_a_good_set_is_read_whole(root: Path) -> None:
    got = read_all(root)
    assert len(got.batch) == 4
    assert got.batch.episodes.robot == ("arm3",) * 4
    assert got.batch.episodes.instruction[0] == "put it there"
    np.testing.assert_array_equal(got.batch[2].joint_position, state(2)[:, :2])
    np.testing.assert_allclose(got.batch[2].gripper_opening, state(2)[:, 2], atol=1e-7)
    np.testing.assert_array_equal(got.batch[2].time, np.arange(8) / FPS)
    np.testing.assert_array_equal(got.batch[2].action, state(2) + np.float32(0.01))
    assert np.isnan(got.outcome.success).all()


def test_any_span_gives_the_same(root: Path) -> None:
    dataset = open_dataset(root)
    whole = dataset.read(0, 4).batch
    for start, stop in ((0, 1), (1, 3), (3, 9)):
        part = dataset.read(start, stop).batch
        expected = whole.take(np.arange(start, min(stop, 4)))
        assert part.episodes.episode_id == expected.episodes.episode_id
        assert part.arm.joint_position.tobytes() == expected.arm.joint_position.tobytes()
    assert len(dataset.read(2, 2).batch) == len(dataset.read(7, 9).batch) == 0


def test_the_report_says_what_was_assumed_and_what_is_lacking(root: Path) -> None:
    report = open_dataset(root).describe()
    assert (report.format, report.episodes, report.fps, report.mapping) == ("lerobot", 4, 20.0, "guessed")
    assert "force" in report.absent
    assert any("collision" in each for each in report.not_assessed)
    assert any("taken as rad" in each for each in report.assumptions)
    assert any("videos are not here" in each for each in report.warnings)
    json.dumps(report.to_plain(), allow_nan=False)


def test_a_guessed_map_can_be_given_back(root: Path, tmp_path: Path) -> None:
    first = open_dataset(root)
    (tmp_path / "map.toml").write_text(first.describe().column_map)
    second = open_dataset(root, column_map=tmp_path / "map.toml")
    assert second.describe().mapping == "given"
    assert second.read(0, 4).batch.arm.gripper_opening.tobytes() == first.read(0, 4).batch.arm.gripper_opening.tobytes()


# the set as a whole


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (POINTER, "git lfs pull"),
        (b"{", "is not JSON"),
        (b"[]", "expected an object"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"codebase_version": "v1.6"}', "known: v2.0, v2.1, v3.0"),
        (b"{}", "codebase_version is missing"),
        (b'{"codebase_version": "v2.1"}', "no features"),
        (b'{"codebase_version": "v2.1", "features": {"a": 1' + b"0" * 5000 + b"}}", "is not JSON"),
    ],
)
def test_a_broken_info_is_one_clear_error(root: Path, content: bytes, message: str) -> None:
    (root / "meta/info.json").write_bytes(content)
    with pytest.raises(DatasetError, match=message):
        open_dataset(root)


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is missing"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"meta/info\.json \(lerobot\)"):
        open_dataset(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DatasetError, match="is no file of a known format"):
        open_dataset(tmp_path / "notes.txt")


def test_metadata_without_data_are_refused(tmp_path: Path) -> None:
    write_info(tmp_path, info("v2.1", 2, 8))
    with pytest.raises(DatasetError, match="no data folder"):
        open_dataset(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(DatasetError, match="no episodes"):
        open_dataset(tmp_path)


def test_data_that_were_never_fetched_are_one_error(root: Path) -> None:
    for file in (root / "data").rglob("*.parquet"):
        file.write_bytes(POINTER)
    with pytest.raises(DatasetError, match="git lfs pull"):
        open_dataset(root)


@pytest.mark.parametrize(
    "path",
    [
        "../elsewhere/{episode_index}.parquet",
        "/etc/{episode_index}",
        "data/../../x",
        "~/x",
        "data/{0.__class__}",
        "data/{episode_index:0999999999d}",
        "data/{episode_index!r}",
        "data/{secret:03d}",
        "data\x00",
        7,
    ],
)
def test_a_data_path_that_leads_elsewhere_is_refused(root: Path, path) -> None:
    change_info(root, data_path=path)
    with pytest.raises(DatasetError, match="data_path"):
        open_dataset(root)


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"splits": {"train": "0:3"}}, "splits cover 3 of 4"),
        ({"total_episodes": 10**15}, "total_episodes is 1000000000000000, found 4"),
        ({"total_episodes": "many"}, "total_episodes is 'many'"),
        ({"fps": -1}, "no frame rate"),
        ({"fps": "fast"}, "no frame rate"),
        ({"splits": 5, "robot_type": None, "chunks_size": 0, "tools": {}}, "videos are not here"),
    ],
)
def test_metadata_that_exaggerate_are_a_warning(root: Path, changes, warning: str) -> None:
    change_info(root, **changes)
    assert any(warning in each for each in open_dataset(root).describe().warnings)
    assert len(read_all(root).batch) == 4


def test_a_frame_rate_need_not_be_whole(root: Path) -> None:
    change_info(root, fps=19.97)
    assert open_dataset(root).describe().fps == 19.97
    assert len(read_all(root).batch) == 4


def test_videos_under_another_name_are_mentioned(root: Path) -> None:
    (root / "video").mkdir()
    assert any("video/ instead of videos/" in each for each in open_dataset(root).describe().warnings)


def test_names_that_do_not_fit_the_shape_are_mentioned(root: Path) -> None:
    values = json.loads((root / "meta/info.json").read_text())
    values["features"]["observation.state"]["names"] = ["shoulder_pan.pos", "elbow_flex.pos"]
    values["features"]["odd"] = {"dtype": "float32", "shape": "wide"}
    values["features"]["objects"] = {"dtype": "object", "shape": [1], "names": {"a": {"b": 1}}}
    write_info(root, values)
    dataset = open_dataset(root)
    warnings = "\n".join(dataset.describe().warnings)
    assert "declares 3 columns and 2 names" in warnings
    assert "feature odd: its shape or dtype is malformed" in warnings
    assert len(read_all(root).batch) == 4


def test_features_under_other_names_are_recognised(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    values = json.loads((root / "meta/info.json").read_text())
    features = values["features"]
    features["state"], features["actions"] = features.pop("observation.state"), features.pop("action")
    write_info(root, values)
    for k in range(4):
        table = columns(k)
        change_data(root, k, state=table["observation.state"], actions=table["action"], action=None)
    batch = read_all(root).batch
    assert batch.action is not None
    np.testing.assert_array_equal(batch[1].joint_position, state(1)[:, :2])


def test_plain_lists_of_doubles_are_read_like_fixed_ones(tmp_path: Path) -> None:
    batch = read_all(make_v21(tmp_path / "set", fixed=False)).batch
    np.testing.assert_array_equal(batch[1].joint_position, state(1)[:, :2])


# one episode


def test_a_missing_file_costs_its_episode(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    episode_file(root, 2).unlink()
    assert_only_bad(root, 2, "unreadable")


@pytest.mark.parametrize("content", [b"", b"PAR1", POINTER, b"PAR1" + b"\0" * 99 + b"PAR1"])
def test_a_damaged_file_costs_its_episode(tmp_path: Path, content: bytes) -> None:
    root = make_v21(tmp_path / "set")
    episode_file(root, 1).write_bytes(content)
    assert_only_bad(root, 1, "unreadable")


def test_a_truncated_file_costs_its_episodes(tmp_path: Path) -> None:
    root = make_v30(tmp_path / "set")
    file = root / "data/chunk-000/file-001.parquet"
    file.write_bytes(file.read_bytes()[:-40])
    got = read_all(root)
    assert got.batch.episodes.episode_index.tolist() == [0, 1]
    assert got.quarantine.reason.tolist() == ["unreadable"] * 2
    assert got.quarantine.source.tolist() == ["data/chunk-000/file-001.parquet"] * 2
    assert str(tmp_path) not in got.quarantine.message[0]


def test_a_link_out_of_the_set_costs_its_episode(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    outside = tmp_path / "secret.parquet"
    episode_file(root, 3).rename(outside)
    episode_file(root, 3).symlink_to(outside)
    got = assert_only_bad(root, 3, "unreadable")
    assert "leads out of the data set" in got.quarantine.message[0]


def test_a_link_within_the_set_is_followed(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    episode_file(root, 3).rename(root / "data/blob")
    episode_file(root, 3).symlink_to(root / "data/blob")
    assert len(read_all(root).batch) == 4


def test_a_folder_in_place_of_a_file_costs_its_episode(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    episode_file(root, 0).unlink()
    episode_file(root, 0).mkdir()
    assert_only_bad(root, 0, "unreadable")


def test_fewer_frames_than_announced_are_put_aside(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    pq.write_table(pa.table(columns(1)).slice(0, 5), episode_file(root, 1))
    got = assert_only_bad(root, 1, "length_mismatch")
    assert (got.quarantine.start_frame[0], got.quarantine.end_frame[0]) == (5, 8)


def test_more_frames_than_announced_are_read_with_a_warning(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    pq.write_table(pa.table(columns(1, 9)), episode_file(root, 1))
    got = read_all(root)
    assert got.batch.length.tolist() == [8, 9, 8, 8]
    assert "holds 9 frames, the index says 8" in got.warnings[0]


def vector(rows) -> pa.Array:
    return pa.array(rows, pa.list_(pa.float32()))


BROKEN = {
    "infinite": ({"observation.state": vector([[np.inf, 0.0, 0.0]] * 8)}, "not_finite"),
    "nothing but NaN": ({"observation.state": vector([[np.nan] * 3] * 8)}, "no_signal"),
    "nothing but nulls": ({"observation.state": vector([None] * 8)}, "no_signal"),
    "rows of different length": ({"observation.state": vector([[1.0, 2.0, 3.0]] * 7 + [[1.0]])}, "mixed_dimensions"),
    "too few columns": ({"observation.state": vector([[1.0]] * 8)}, "mixed_dimensions"),
    "time goes back": ({"timestamp": pa.array([0.0, 0.05, 0.1, 0.05, 0.2, 0.25, 0.3, 0.35])}, "time_not_increasing"),
    "time stands": ({"timestamp": pa.array([0.0] * 8)}, "time_not_increasing"),
    "time is not a number": ({"timestamp": pa.array([0.0, np.nan] + [1.0] * 6)}, "not_finite"),
    "the state is text": ({"observation.state": pa.array(["a"] * 8)}, "no_signal"),
    "the state is a structure": ({"observation.state": pa.array([{"a": 1.0}] * 8)}, "no_signal"),
    "there is no state": ({"observation.state": None}, "no_signal"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_frames_cost_their_episode(tmp_path: Path, case: str) -> None:
    root = make_v21(tmp_path / "set")
    changes, reason = BROKEN[case]
    change_data(root, 2, **changes)
    assert_only_bad(root, 2, reason)


def test_an_empty_file_and_a_single_frame_are_told_apart(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    lines = [{"episode_index": k, "tasks": [], "length": [8, 0, 1, 8][k]} for k in range(4)]
    (root / "meta/episodes.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for k, frames in ((1, 0), (2, 1)):
        pq.write_table(pa.table(columns(k)).slice(0, frames), episode_file(root, k))
    assert read_all(root).quarantine.reason.tolist() == ["empty", "one_frame"]


def test_missing_samples_are_nan_and_not_zero(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    rows = state(2).tolist()
    rows[3] = None
    change_data(root, 2, **{"observation.state": vector(rows)})
    joints = read_all(root).batch[2].joint_position
    assert np.isnan(joints[3]).all()
    np.testing.assert_array_equal(joints[4], state(2)[4, :2])


TIMES = {
    "in double precision": pa.array(np.arange(8) / FPS),
    "from another start": pa.array(np.arange(8) / FPS + 1.7e9),
    "in milliseconds": pa.array(np.arange(8) * 1000 // FPS),
    "in nanoseconds since 1970": pa.array(np.arange(8) * (10**9 // FPS) + 1_700_000_000 * 10**9),
    "not at all": None,
    "as lists of one": pa.array([[k / FPS] for k in range(8)]),
}


@pytest.mark.parametrize("case", TIMES)
def test_timestamps_may_be_given(tmp_path: Path, case: str) -> None:
    root = make_v21(tmp_path / "set")
    change_data(root, 1, timestamp=TIMES[case])
    np.testing.assert_allclose(read_all(root).batch[1].time, np.arange(8) / FPS, atol=1e-6)


def test_time_is_exact_where_timestamps_only_round_it(tmp_path: Path) -> None:
    frames = 40
    late = np.arange(frames) + 30 * 3600 * FPS
    root = make_v21(tmp_path / "set", frames=frames)
    stamps = pa.array((late / FPS).astype(np.float32))
    pq.write_table(
        pa.table({**columns(0, frames), "frame_index": pa.array(late), "timestamp": stamps}), episode_file(root, 0)
    )
    np.testing.assert_allclose(np.diff(read_all(root).batch[0].time), 1 / FPS, rtol=1e-9)


def test_jitter_of_the_clock_is_kept(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    jitter = np.arange(8) / FPS + np.array([0, 0.01, 0, -0.01, 0, 0.01, 0, 0.02])
    change_data(root, 1, timestamp=pa.array(jitter))
    np.testing.assert_allclose(read_all(root).batch[1].time, jitter, atol=1e-9)


def test_without_columns_of_time_the_rate_tells_it_and_without_a_rate_nothing_does(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    change_data(root, 1, timestamp=None, frame_index=None)
    np.testing.assert_array_equal(read_all(root).batch[1].time, np.arange(8) / FPS)
    change_info(root, fps=None)
    assert_only_bad(root, 1, "no_time")


# the index


def test_a_broken_line_of_the_index_costs_nothing(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    lines = (root / "meta/episodes.jsonl").read_text().splitlines()
    lines[1] = '{"episode_index": 1, '
    lines[2] = '{"episode_index": "two"}'
    (root / "meta/episodes.jsonl").write_text("\n".join([*lines, lines[0], "[]"]))
    warnings = "\n".join(open_dataset(root).describe().warnings)
    assert "episodes.jsonl line 2: is not JSON" in warnings
    assert "line 5: episode 0 occurs twice" in warnings
    assert "2 episodes have files but are not listed" in warnings
    assert len(read_all(root).batch) == 4


@pytest.mark.parametrize("how", ["missing", "empty", "pointer"])
def test_without_an_index_the_files_tell(root: Path, how: str) -> None:
    for file in [root / "meta/episodes.jsonl", root / "meta/episodes/chunk-000/file-000.parquet"]:
        if file.exists():
            file.unlink() if how == "missing" else file.write_bytes(b"" if how == "empty" else POINTER)
    assert len(read_all(root).batch) == 4


def test_an_index_of_other_columns_is_not_believed(tmp_path: Path) -> None:
    root = make_v30(tmp_path / "set")
    pq.write_table(pa.table({"episode_index": ["a"]}), root / "meta/episodes/chunk-000/file-000.parquet")
    assert len(read_all(root).batch) == 4
    assert any("looked for in the data" in each for each in open_dataset(root).describe().warnings)


@pytest.mark.parametrize("stale", [0, 9])
def test_rows_in_another_file_than_the_index_says_are_read_with_a_warning(tmp_path: Path, stale: int) -> None:
    root = make_v30(tmp_path / "set")
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    place = table.column_names.index("data/file_index")
    pq.write_table(table.set_column(place, "data/file_index", pa.array([0, 0, 1, stale])), path)
    got = read_all(root)
    assert got.batch.length.tolist() == [8, 8, 8, 8]
    told = f"its rows are in data/chunk-000/file-001.parquet, not in data/chunk-000/file-00{stale}.parquet"
    assert [told in warning for warning in got.warnings] == [True]


def test_numbers_of_episodes_may_have_gaps(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    lines = (root / "meta/episodes.jsonl").read_text().splitlines()
    (root / "meta/episodes.jsonl").write_text("\n".join(lines[::2]))
    for k in (1, 3):
        episode_file(root, k).unlink()
    got = read_all(root)
    assert got.batch.episodes.episode_index.tolist() == [0, 2]
    data_set = open_dataset(root)
    assert data_set.numbers.tolist() == [0, 2]
    assert got.batch.episodes.episode_id == (data_set.name(0), data_set.name(1))
    assert data_set.name(1) == f"{data_set.source_id}-000002"


def test_a_file_that_claims_too_much_is_not_unpacked(tmp_path: Path, monkeypatch) -> None:
    root = make_v21(tmp_path / "set")
    pq.write_table(pa.table(columns(0, 9)), episode_file(root, 0))
    monkeypatch.setattr(parquet, "MAX_ROWS", 8)
    got = assert_only_bad(root, 0, "unreadable")
    assert "holds more than 8 rows" in got.quarantine.message[0]


# outcomes


def test_success_is_read_from_the_frames(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    values = json.loads((root / "meta/info.json").read_text())
    for name in ("next.success", "next.reward"):
        values["features"][name] = {"dtype": "float32", "shape": [1], "names": None}
    write_info(root, values)
    change_data(root, 0, **{"next.success": pa.array([False] * 7 + [True])})
    change_data(root, 1, **{"next.reward": pa.array([0.0] * 8)})
    change_data(root, 2, **{"next.reward": pa.array([0.0] * 7 + [1.0])})
    change_data(root, 3, **{"next.reward": pa.array(np.linspace(-3, 1, 8))})
    outcome = read_all(root).outcome
    assert outcome.success.tolist()[:3] == [1.0, 0.0, 1.0]
    assert np.isnan(outcome.success[3])
    assert outcome.source.tolist() == ["recorded"] * 3 + ["none"]
    assert "outcome" not in open_dataset(root).describe().absent


def test_a_file_of_outcomes_goes_before_the_frames(root: Path, tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_text("episode_index,success,failed_at_s\n1,0,0.25\n3,1,\n9,1,\n")
    dataset = open_dataset(root, outcomes=tmp_path / "o.csv")
    got = dataset.read(0, 4)
    np.testing.assert_array_equal(got.outcome.success, [np.nan, 0.0, np.nan, 1.0])
    assert got.outcome.failed_at_s[1] == 0.25
    assert any("1 episodes that are not here" in each for each in dataset.describe().warnings)


# a real set


@pytest.mark.skipif(not G1.is_dir(), reason="the real recordings are not beside the project")
def test_a_real_humanoid_set_gives_two_arms_and_two_hands() -> None:
    dataset = open_dataset(G1)
    report = dataset.describe()
    assert dataset.episodes == 20
    assert report.robot == "Unitree_G1_Inspire"
    assert set(report.absent) == {"force", "joint torque", "object poses", "outcome"}
    got = dataset.read(0, 20)
    assert len(got.batch) == 20
    assert len(got.quarantine) == 0
    assert got.batch.frames == 7844
    assert sorted(got.batch.manipulators) == ["left", "right"]
    for arm in got.batch.manipulators.values():
        assert arm.joint_position.shape == (7844, 7)
        assert arm.contact_force is None
        assert arm.gripper_width is None
        assert ((arm.gripper_opening >= 0) & (arm.gripper_opening <= 1)).all()
    left, right = (got.batch.manipulators[side].gripper_opening for side in ("left", "right"))
    assert np.ptp(right) > 3 * np.ptp(left)  # the left hand holds nothing in this set
    assert got.batch.episodes.instruction[0] == "Pick up the yellow bottle on the table."
    assert all(not names for names in got.batch.objects)


def test_an_open_set_can_be_sent_to_another_process(root: Path) -> None:
    dataset = open_dataset(root)
    sent = ForkingPickler.loads(ForkingPickler.dumps(dataset))
    assert sent.describe() == dataset.describe()
    assert sent.read(0, 4).batch.arm.joint_position.tobytes() == dataset.read(0, 4).batch.arm.joint_position.tobytes()
