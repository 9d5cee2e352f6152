"""A file is opened once, and what is held of it changes no result."""

import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sima2.errors import DatasetError
from sima2.io.documents import inside, insider
from sima2.io.formats import lerobot_files
from sima2.io.formats.lerobot_files import SharedFrames, read_frames
from sima2.io.parquet import SMALL_FILE, footer, opened


def file_of(folder: Path, episodes: list[int], *, group: int = 1 << 20) -> Path:
    table = pa.table({"a": np.arange(len(episodes), dtype=np.float32), "episode_index": np.array(episodes, np.int64)})
    pq.write_table(table, folder / "file.parquet", row_group_size=group)
    return folder / "file.parquet"


def counted(monkeypatch) -> list[Path]:
    seen: list[Path] = []

    def read(path, features, wanted):
        seen.append(path)
        return read_frames(path, features, wanted)

    monkeypatch.setattr(lerobot_files, "read_frames", read)
    return seen


def test_a_row_group_of_many_episodes_is_unpacked_once(tmp_path, monkeypatch) -> None:
    file, seen, shared = file_of(tmp_path, [0, 0, 1, 2, 2, 3]), counted(monkeypatch), SharedFrames()
    for wanted in ({0}, {1, 2}, {3}):
        got, alone = shared.read(file, ["a"], wanted), read_frames(file, ["a"], wanted)
        mine = [frames.features["a"][np.isin(frames.episode, list(wanted))].tolist() for frames in (got, alone)]
        assert mine[0] == mine[1]
    assert len(seen) == 1
    shared.read(file, ["a"], {0})  # the end was reached: nothing was held
    assert len(seen) == 2


@pytest.mark.parametrize("change", ["other features", "another file", "too large", "parts of it"])
def test_what_is_held_is_used_for_nothing_else(tmp_path, monkeypatch, change: str) -> None:
    file = file_of(tmp_path, [0, 1, 2, 3], group=1 if change == "parts of it" else 100)
    seen, shared = counted(monkeypatch), SharedFrames()
    if change == "too large":
        monkeypatch.setattr(lerobot_files, "HELD_BYTES", 1)
    shared.read(file, ["a"], {0})
    if change == "another file":
        file_of(tmp_path, [0, 1, 2, 3, 4, 4])
    assert shared.read(file, ["a", "b"] if change == "other features" else ["a"], {1}).rows in (1, 4, 6)
    assert len(seen) == 2


def test_no_frames_go_to_another_process(tmp_path) -> None:
    shared = SharedFrames()
    shared.read(file_of(tmp_path, [0, 1, 2, 3]), ["a"], {0})
    assert len(pickle.dumps(shared)) < 100


def test_paths_are_followed_as_one_by_one(tmp_path) -> None:
    root, outside = tmp_path / "set", tmp_path / "outside"
    (root / "data").mkdir(parents=True)
    outside.mkdir()
    (outside / "far").write_text("")
    (root / "data/near").write_text("")
    (root / "data/link").symlink_to(root / "data/near")
    (root / "data/leads_out").symlink_to(outside / "far")
    (root / "folder").symlink_to(outside)
    (root / "loop").symlink_to(root / "loop")
    names = ["data/near", "data/link", "data/leads_out", "folder/far", "loop/x", "data/..", "../outside/far", "near"]
    find = insider(root)
    for name in [*names, "data/missing", "data/" + "x" * 300, "data/a\0b", "", "data/", "/etc/passwd"]:
        told = []
        for follow in (find, lambda each: inside(root, each), find):
            try:
                told.append(str(follow(name)))
            except DatasetError as error:
                told.append(f"error: {error}")
        assert told[0] == told[1] == told[2], name


def test_a_large_file_is_not_read_whole(tmp_path) -> None:
    values = np.random.default_rng(0).normal(size=SMALL_FILE // 4)
    pq.write_table(pa.table({"a": values, "b": values}), tmp_path / "large.parquet")
    before = pa.total_allocated_bytes()
    with opened(tmp_path / "large.parquet") as file:
        assert file.num_row_groups == 1
        assert pa.total_allocated_bytes() - before < SMALL_FILE


def test_the_footer_tells_what_pyarrow_does(tmp_path) -> None:
    table = pa.table({"a": [[1.0, 2.0], [3.0]], "b": [1, 2], "text": ["x", "yy"], "deep": [[{"k": 1}], []]})
    pq.write_table(table, tmp_path / "file.parquet", row_group_size=1)
    told = footer(tmp_path / "file.parquet")
    metadata = pq.read_metadata(tmp_path / "file.parquet")
    assert len(told) == metadata.num_row_groups == 2
    for group, chunks in enumerate(told):
        known = [metadata.row_group(group).column(k) for k in range(metadata.num_columns)]
        assert [chunk.name for chunk in chunks] == [each.path_in_schema for each in known]
        assert [chunk.values for chunk in chunks] == [each.num_values for each in known]
        assert [chunk.size for chunk in chunks] == [each.total_uncompressed_size for each in known]
