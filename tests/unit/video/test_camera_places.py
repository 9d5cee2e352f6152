"""Where the cameras of a set have their pictures: found for every layout, and never outside of the set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recorded_sets import FPS, record
from sima2.cameras import cameras_of, frame_image, video_of
from sima2.errors import DatasetError, UnknownNameError
from sima2.records.video import IN_ROWS

KEY = "observation.images.top"
SEEDS = [1, 2, 3]


def with_camera(root: Path, version: str, dtype: str = "video", **more: Any) -> Path:
    record(root, SEEDS, version=version)
    info = json.loads((root / "meta/info.json").read_text())
    info["features"][KEY] = {"dtype": dtype, "shape": [48, 64, 3], "names": None}
    (root / "meta/info.json").write_text(json.dumps(info | more))
    return root


def shared(root: Path, begins: list[float], file: int = 0) -> Path:
    place = root / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(place)
    ends = [begin + n / FPS for begin, n in zip(begins, table.column("length").to_pylist(), strict=True)]
    columns = {"chunk_index": [0] * 3, "file_index": [file] * 3, "from_timestamp": begins, "to_timestamp": ends}
    for name, values in columns.items():
        table = table.append_column(f"videos/{KEY}/{name}", pa.array(values))
    pq.write_table(table, place)
    return root


def put(root: Path, name: str, data: bytes = b"video") -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(data)
    return (root / name).resolve()


def test_a_file_of_its_own_is_the_whole_episode(tmp_path: Path) -> None:
    root = with_camera(tmp_path / "set", "v2.1")
    file = put(root, f"videos/chunk-000/{KEY}/episode_000001.mp4")
    assert cameras_of(root) == (KEY,)
    clip = video_of(root, 1, KEY)
    assert (clip.path, clip.begin_s, clip.mime, clip.alone) == (file, 0.0, "video/mp4", True)
    assert clip.end_s == pytest.approx(len(pq.read_table(root / "data/chunk-000/episode_000001.parquet")) / FPS)


def test_an_episode_of_a_shared_file_lies_between_its_times(tmp_path: Path) -> None:
    root = shared(with_camera(tmp_path / "set", "v3.0"), [0.0, 4.0, 8.0])
    file = put(root, f"videos/{KEY}/chunk-000/file-000.mp4")
    clip = video_of(root, 1, KEY)
    assert (clip.path, clip.begin_s, clip.alone) == (file, 4.0, False)
    assert 6.0 < clip.end_s < 9.0


def test_a_folder_that_is_called_otherwise_than_declared_is_found(tmp_path: Path) -> None:
    root = with_camera(tmp_path / "set", "v2.1")
    file = put(root, f"video/chunk-000/{KEY}/episode_000000.mp4")
    assert video_of(root, 0, KEY).path == file


def test_pictures_in_rows_are_shown_as_they_are(tmp_path: Path) -> None:
    root = with_camera(tmp_path / "set", "v2.1", "image")
    png = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (64).to_bytes(4, "big") + (48).to_bytes(4, "big") + bytes(8)
    for k in range(3):
        place = root / f"data/chunk-000/episode_{k:06d}.parquet"
        table = pq.read_table(place, partitioning=None)
        rows = [{"bytes": png + bytes([k, j]), "path": f"f{j}.png"} for j in range(len(table))]
        pq.write_table(table.append_column(KEY, pa.array(rows)), place)
    assert video_of(root, 2, KEY).mime == IN_ROWS
    assert frame_image(root, 2, KEY, 5) == ("image/png", png + bytes([2, 5]))
    with pytest.raises(DatasetError, match="no frame 5000"):
        frame_image(root, 2, KEY, 5000)


def test_what_is_not_there_says_so(tmp_path: Path) -> None:
    root = with_camera(tmp_path / "set", "v2.1")
    put(root, f"videos/chunk-000/{KEY}/episode_000002.mp4", b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DatasetError, match="is missing"):
        video_of(root, 0, KEY)
    with pytest.raises(DatasetError, match="git lfs pull"):
        video_of(root, 2, KEY)
    with pytest.raises(UnknownNameError, match="unknown camera 'tip'"):
        video_of(root, 0, "tip")
    with pytest.raises(UnknownNameError, match="unknown episode"):
        video_of(root, 77, KEY)


@pytest.mark.parametrize(
    "template",
    [
        "../{video_key}/{episode_index}.mp4",
        "/etc/{video_key}.mp4",
        "~/{video_key}.mp4",
        "videos/{video_key}/{nobody}.mp4",
        "videos/{video_key}/\x1b{episode_index}.mp4",
        7,
    ],
)
def test_paths_out_of_the_set_are_refused(tmp_path: Path, template: Any) -> None:
    root = with_camera(tmp_path / "set", "v2.1", video_path=template)
    put(tmp_path, f"{KEY}/0.mp4")
    with pytest.raises(DatasetError, match="video_path"):
        video_of(root, 0, KEY)


def test_links_out_of_the_set_are_refused(tmp_path: Path) -> None:
    root = with_camera(tmp_path / "set", "v2.1")
    secret = put(tmp_path, "secret.mp4")
    link = root / f"videos/chunk-000/{KEY}/episode_000000.mp4"
    link.parent.mkdir(parents=True)
    link.symlink_to(secret)
    with pytest.raises(DatasetError, match="leads out of the data set"):
        video_of(root, 0, KEY)
    with pytest.raises(DatasetError, match="leads out of the data set"):
        frame_image(root, 0, KEY, 0)


def test_a_name_of_a_camera_that_leads_out_is_refused(tmp_path: Path) -> None:
    root = with_camera(tmp_path / "set", "v2.1")
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["../../../x"] = info["features"][KEY]
    (root / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(DatasetError, match="video_path"):
        video_of(root, 0, "../../../x")


def test_an_endless_pipe_is_no_video(tmp_path: Path) -> None:
    import os

    root = with_camera(tmp_path / "set", "v2.1")
    pipe = root / f"videos/chunk-000/{KEY}/episode_000000.mp4"
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    with pytest.raises(DatasetError, match="a pipe or a device"):
        video_of(root, 0, KEY)
