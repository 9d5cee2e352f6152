"""Files meant to do harm, or left by an accident: each is one clear error or one quarantined episode."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from faults.fuzzing import read_alone
from sima2.errors import DatasetError, StoreError
from sima2.io.column_map import load_column_map
from sima2.io.formats import open_dataset
from sima2.io.outcomes import load_outcomes
from sima2.io.store import LEDGER, Coming, Store
from sima2.io.urdf import parse_urdf
from unit.io.lerobot_sets import MAKERS, columns, episode_file, make_v21, make_v30, write_info

LIMIT_MB = 700
"""What reading a tiny file may take."""


# what unpacks to far more than it is


def write_repeated(path: Path, piece: pa.Table, times: int, **options: object) -> Path:
    """A file of one table many times over, in row groups that are tiny on the disk."""
    with pq.ParquetWriter(path, piece.schema, compression="zstd", **options) as writer:
        for _ in range(times):
            writer.write_table(piece)
    return path


def test_lists_that_repeat_themselves_are_not_unpacked(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set", episodes=2, frames=4)
    rows = np.arange(9, dtype=np.int32) * 20_000_000
    wide = pa.ListArray.from_arrays(rows, pa.array(np.zeros(int(rows[-1]))))  # 1.3 GB, and a few bytes on the disk
    pq.write_table(pa.table({**columns(0, 8), "observation.state": wide}), episode_file(root, 0))
    del wide
    assert episode_file(root, 0).stat().st_size < 1_000_000
    verdict, held = read_alone("lerobot v2.1", root)
    assert verdict == "fine", "only the one episode is put aside"
    assert held < LIMIT_MB
    got = open_dataset(root).read(0, 2)
    assert got.quarantine.reason.tolist() == ["unreadable"]
    assert "holds more than" in got.quarantine.message[0]


def test_a_text_that_repeats_itself_is_not_unpacked(tmp_path: Path) -> None:
    root = make_v30(tmp_path / "set")
    file = root / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(file)
    many = pa.concat_tables([table] * 1000).drop_columns(["tasks"])
    words = pa.ListArray.from_arrays(
        pa.array(range(len(many) + 1), pa.int32()), pa.DictionaryArray.from_arrays([0] * len(many), ["x" * 4_000_000])
    )
    pq.write_table(many.append_column("tasks", words), file)
    assert file.stat().st_size < 1_000_000
    verdict, held = read_alone("lerobot v3.0", root)
    assert verdict == "fine"
    assert held < LIMIT_MB
    dataset = open_dataset(root)
    assert any("holds more than" in each for each in dataset.describe().warnings)
    assert len(dataset.read(0, 4).batch) == 4, "the episodes are found in the data"


def test_rows_without_end_are_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    piece = pa.table({"episode_index": np.zeros(4_000_000, np.int64), "success": np.ones(4_000_000, np.bool_)})
    file = write_repeated(tmp_path / "o" / "o.parquet", piece, 8)
    assert file.stat().st_size < 1_000_000
    verdict, held = read_alone("outcomes parquet", tmp_path / "o")
    assert "holds more than" in verdict
    assert held < LIMIT_MB


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 5_000_000, "is not JSON"),
        ("[" + "[]," * 20_000_000 + "[]]", "values"),
        ('{"features": ' + '{"a":' * 2_000_000, "is not JSON"),
        ('{"x": "' + "y" * 50_000_000 + '"}', "codebase_version is missing"),
    ],
)
def test_json_of_great_depth_or_breadth_is_refused(tmp_path: Path, text: str, told: str) -> None:
    root = make_v21(tmp_path / "set")
    (root / "meta/info.json").write_text(text)
    verdict, held = read_alone("lerobot v2.1", root)
    assert told in verdict
    assert held < LIMIT_MB


def test_lines_of_great_depth_or_length_cost_themselves(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    with (root / "meta/episodes.jsonl").open("a") as file:
        file.write(
            "[" * 1_000_000 + "\n" + '{"episode_index": "' + "7" * 10_000_000 + '"}\n' + '{"a":' * 100_000 + "\n"
        )
    dataset = open_dataset(root)
    assert len(dataset.read(0, 9).batch) == 4
    assert max(map(len, dataset.describe().warnings)) < 5000


def test_a_robot_of_a_hundred_thousand_links_is_read_in_linear_time() -> None:
    links = "".join(f'<link name="l{k}"/>' for k in range(100_000))
    joints = "".join(
        f'<joint name="j{k}" type="fixed"><parent link="l{k}"/><child link="l{k + 1}"/></joint>' for k in range(90_000)
    )
    found = parse_urdf(f"<robot>{links}{joints}</robot>", "r")
    with pytest.raises(DatasetError, match="more than 256 joints"):
        found.path("", "l90000")


def test_a_column_map_of_megabytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text("a" + ".a" * 1_000_000 + " = 1")
    with pytest.raises(DatasetError, match="is larger than"):
        load_column_map(tmp_path / "map.toml")


# paths, links and what is no file


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x/{episode_index}", "data/../../x", "~/x", "C:\\x", "data\\..\\..\\x"]
)
def test_a_template_that_leads_out_is_refused(tmp_path: Path, kind: str, path: str) -> None:
    root = MAKERS[kind](tmp_path / "set")
    values = json.loads((root / "meta/info.json").read_text())
    write_info(root, {**values, "data_path": path})
    with pytest.raises(DatasetError, match="data_path"):
        open_dataset(root)


SPECIAL = ["outside", "loop", "dangling", "fifo", "folder", "device"]


def put(kind: str, path: Path, outside: Path) -> None:
    """Something that is no file of the data set, in place of one that is."""
    if path.exists():
        path.rename(outside)
    if kind == "outside":
        path.symlink_to(outside)
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "dangling":
        path.symlink_to(outside.with_name("nowhere"))
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()


@pytest.mark.parametrize("special", SPECIAL)
def test_a_data_file_that_is_none_costs_its_episode(tmp_path: Path, special: str) -> None:
    root = make_v21(tmp_path / "set")
    put(special, episode_file(root, 2), tmp_path / "elsewhere.parquet")
    got = open_dataset(root).read(0, 4)
    assert got.quarantine.episode_index.tolist() == [2]
    assert got.quarantine.reason.tolist() == ["unreadable"]
    assert got.batch.episodes.episode_index.tolist() == [0, 1, 3]


@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize("name", ["meta/info.json", "meta/episodes.jsonl"])
def test_metadata_that_are_no_file_are_refused_or_done_without(tmp_path: Path, name: str, special: str) -> None:
    root = make_v21(tmp_path / "set")
    put(special, root / name, tmp_path / "elsewhere")
    if name == "meta/info.json":
        with pytest.raises(DatasetError, match=r"info\.json"):
            open_dataset(root)
    else:
        dataset = open_dataset(root)
        assert any("episodes.jsonl" in each for each in dataset.describe().warnings)
        assert len(dataset.read(0, 4).batch) == 4


@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet", "toml"])
def test_a_given_file_that_is_none_is_refused(tmp_path: Path, kind: str, special: str) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / f"o.{kind}").write_text("x")
    put(special, folder / f"o.{kind}", tmp_path / "elsewhere")
    with pytest.raises(DatasetError, match=r"is a |is no path|leads out|is missing"):
        (load_column_map if kind == "toml" else load_outcomes)(folder / f"o.{kind}")


@pytest.mark.parametrize("name", ["data", "data/chunk-000", "meta"])
def test_a_folder_that_leads_out_is_not_followed(tmp_path: Path, name: str) -> None:
    root = make_v21(tmp_path / "set")
    (root / name).rename(tmp_path / "elsewhere")
    (root / name).symlink_to(tmp_path / "elsewhere")
    try:
        got = open_dataset(root).read(0, 4)
    except DatasetError as error:
        told = str(error)
    else:
        assert got.quarantine.reason.tolist() == ["unreadable"] * 4
        told = got.quarantine.message[0]
    assert "leads out" in told


@contextmanager
def anyone() -> Iterator[None]:
    """As a user to whom permissions apply."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_may_not_be_read_is_said(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    load_outcomes_of = tmp_path / "o.csv"
    load_outcomes_of.write_text("episode_index,success\n0,1\n")
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o005 != 0o005 and os.geteuid() == 0 and "pytest-" in str(folder):
            folder.chmod(0o755)
    open_dataset(root).read(0, 4)  # what is imported late is imported now
    for path in (episode_file(root, 1), load_outcomes_of):
        path.chmod(0)
    with anyone():
        got = open_dataset(root).read(0, 4)
        with pytest.raises(DatasetError, match="Permission denied"):
            load_outcomes(load_outcomes_of)
    assert got.quarantine.episode_index.tolist() == [1]
    assert got.quarantine.reason.tolist() == ["unreadable"]
    assert "ermission denied" in got.quarantine.message[0]
    (root / "meta").chmod(0)
    with anyone(), pytest.raises(DatasetError):
        open_dataset(root)
    (root / "meta").chmod(0o755)


# names and text


NAMES = [
    "\u202egpj.exe",
    "a\x1b[31mred",
    "<script>alert(1)</script>",
    "a\u2028b",
    "\ufeffbom",
    "x" * 10_000,
    "a\r\nb",
    "\udcff",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_steer_or_hide_come_out_clean(tmp_path: Path, name: str) -> None:
    root = make_v21(tmp_path / "set", robot_type=name)
    lines = [{"episode_index": k, "tasks": [name], "length": 8} for k in range(4)]
    (root / "meta/episodes.jsonl").write_text("\n".join(map(json.dumps, lines)))
    values = json.loads((root / "meta/info.json").read_text())
    values["features"][name] = {"dtype": "float32", "shape": "wide"}
    write_info(root, values)
    dataset = open_dataset(root)
    got = dataset.read(0, 4)
    assert len(got.batch) == 4
    report = dataset.describe()
    for text in (report.robot, *report.warnings, *got.batch.episodes.instruction, *got.batch.episodes.robot):
        text.encode()
        assert len(text) < 5000
        assert not set(text) & set("\x1b\u202e\u2028\r\n")


def test_file_names_that_are_not_text_are_met_with_calm(tmp_path: Path) -> None:
    root = make_v30(tmp_path / "set")
    for folder in ("data/chunk-000", "meta/episodes/chunk-000"):
        os.rename(root / folder / "file-000.parquet", os.fsencode(root / folder) + b"/file-\xff\x1b.parquet")  # noqa: PTH104
    dataset = open_dataset(root)
    json.dumps(dataset.describe().to_plain()).encode()
    got = dataset.read(0, dataset.episodes)
    for each in (*got.quarantine.message, *got.quarantine.source, *dataset.describe().warnings):
        each.encode()
    assert {2, 3} <= set(got.batch.episodes.episode_index.tolist())


def test_byte_order_marks_and_line_ends_of_other_systems_are_read(tmp_path: Path) -> None:
    root = make_v21(tmp_path / "set")
    for name in ("meta/info.json", "meta/episodes.jsonl"):
        text = (root / name).read_bytes().replace(b"\n", b"\r\n")
        (root / name).write_bytes(b"\xef\xbb\xbf" + text)
    (tmp_path / "o.csv").write_bytes(b"\xef\xbb\xbfepisode_index,success\r\n1,1\r\n")
    got = open_dataset(root, outcomes=tmp_path / "o.csv").read(0, 4)
    assert len(got.batch) == 4
    assert got.batch.episodes.instruction[0] == "put it there"
    assert got.outcome.success[1] == 1.0


# a bad row of the index


def test_a_bad_row_of_the_index_costs_nobody_their_words(tmp_path: Path) -> None:
    root = make_v30(tmp_path / "set")
    file = root / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(file)
    place = table.column_names.index("data/file_index")
    pq.write_table(table.set_column(place, "data/file_index", pa.array([0, None, 1, 1], pa.int64())), file)
    dataset = open_dataset(root)
    assert any("row 1" in each for each in dataset.describe().warnings)
    got = dataset.read(0, 4).batch
    assert got.episodes.episode_index.tolist() == [0, 1, 2, 3]
    assert got.episodes.instruction == ("put it there",) * 4


# an output folder


def test_a_ledger_that_names_files_elsewhere_touches_none(tmp_path: Path) -> None:
    import sqlite3

    victim = tmp_path / "precious.txt"
    victim.write_text("mine")
    with Store.open(tmp_path / "out", [Coming({})]) as store:
        store.write_text("summary.json", "{}")
    with sqlite3.connect(tmp_path / "out" / LEDGER) as ledger:
        ledger.execute("INSERT INTO singles VALUES ('../precious.txt', 'x', NULL)")
    ledger.close()
    with Store.read_only(tmp_path / "out") as store, pytest.raises(StoreError, match="plain file name"):
        store.verify()
    with pytest.raises(StoreError, match="plain file name"):
        Store.open(tmp_path / "out", [Coming({"other": 1})], fresh=True).close()
    assert victim.read_text() == "mine"


def test_a_changed_summary_is_not_shown_as_it_was(tmp_path: Path) -> None:
    from finished_run import write_folder
    from sima2.report.inputs import load_report

    write_folder(tmp_path / "out")
    load_report(tmp_path / "out")
    (tmp_path / "out" / "trust_matrix.json").write_text("[7]")
    with pytest.raises(StoreError, match=r"trust_matrix\.json: differs from what was committed"):
        load_report(tmp_path / "out")
