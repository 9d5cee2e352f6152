"""Videos of a copy: shared ones whole with times that fit, single ones cut so that they begin with what is kept."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from made_lerobot import FPS, digest, plan_of, write_set
from sima2.errors import MissingExtraError
from sima2.export.lerobot_copy import copy_lerobot, episodes_of
from sima2.export.selection import select

LENGTHS = [30, 24, 20]
KEY = "observation.images.top"
TRIMS = {"action": ["trim", "drop", "trim"], "keep_start_frame": np.array([10, 0, 0]),
         "keep_end_frame": np.array([25, 24, 15])}  # fmt: skip


def with_videos(root: Path, version: str, files: dict[str, bytes]) -> Path:
    write_set(root, version, LENGTHS)
    info = json.loads((root / "meta/info.json").read_text())
    info["features"][KEY] = {"dtype": "video", "shape": [48, 64, 3], "names": ["height", "width", "channel"]}
    info["total_videos"] = 3
    (root / "meta/info.json").write_text(json.dumps(info))
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    if version == "v3.0":
        file = root / "meta/episodes/chunk-000/file-000.parquet"
        table = pq.read_table(file)
        begin = np.array([0, 30, 0]) / FPS
        columns = {"chunk_index": [0, 0, 0], "file_index": [0, 0, 1], "from_timestamp": begin.tolist()}
        columns["to_timestamp"] = (begin + np.array(LENGTHS) / FPS).tolist()
        for name, values in columns.items():
            table = table.append_column(f"videos/{KEY}/{name}", pa.array(values))
        pq.write_table(table, file)
    return root


def copied(source: Path, target: Path, **how: Any) -> dict[str, Any]:
    index, held = episodes_of(source)
    kept = select(plan_of(LENGTHS, **TRIMS), dict(enumerate(LENGTHS)), held, **how)
    return copy_lerobot(index, kept, target, {})


def shared(k: int) -> str:
    return f"videos/{KEY}/chunk-000/file-{k:03d}.mp4"


def single(k: int) -> str:
    return f"videos/chunk-000/{KEY}/episode_{k:06d}.mp4"


def test_shared_videos_stay_whole_and_times_point_into_them(tmp_path: Path) -> None:
    files = {shared(0): b"a", shared(1): b"b", shared(2): b"of no episode"}
    source = with_videos(tmp_path / "set", "v3.0", files)
    told = copied(source, tmp_path / "copy")
    assert told["videos"] == {"copied": 2, "cut": 0, "encoded": 0, "missing": 0}
    assert (tmp_path / "copy" / shared(0)).read_bytes() == b"a"
    assert not (tmp_path / "copy" / shared(2)).exists()
    rows = pq.read_table(tmp_path / "copy/meta/episodes/chunk-000/file-000.parquet").to_pylist()
    times = [(row[f"videos/{KEY}/from_timestamp"], row[f"videos/{KEY}/to_timestamp"]) for row in rows]
    assert np.allclose(times, [(10 / FPS, 25 / FPS), (0, 15 / FPS)])
    assert [row[f"videos/{KEY}/file_index"] for row in rows] == [0, 1]


def test_whole_videos_need_no_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    source = with_videos(tmp_path / "set", "v2.1", {single(k): bytes([k]) for k in range(3)})
    copied(source, tmp_path / "copy", cut=False)
    assert (tmp_path / "copy" / single(1)).read_bytes() == b"\2"


def test_a_cut_without_the_extra_names_it_and_another_way_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    source = with_videos(tmp_path / "set", "v2.1", {single(k): bytes([k]) for k in range(3)})
    with pytest.raises(MissingExtraError, match=r"--keep-whole.*pip install 'sima2\[video\]'"):
        copied(source, tmp_path / "copy")
    assert [each.name for each in tmp_path.iterdir()] == ["set"]


def test_missing_videos_are_told_and_hinder_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    for version in ("v2.1", "v3.0"):
        source = with_videos(tmp_path / version, version, {})
        told = copied(source, tmp_path / f"{version} copy")
        assert told["videos"]["missing"] == 2
        assert "missing in the source" in " ".join(told["notes"])


def test_a_key_that_leads_out_is_refused(tmp_path: Path) -> None:
    from sima2.errors import DatasetError

    source = with_videos(tmp_path / "set", "v2.1", {})
    info = json.loads((source / "meta/info.json").read_text())
    info["features"]["../../../x"] = info["features"][KEY]
    (source / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(DatasetError, match="video_path"):
        copied(source, tmp_path / "copy")


# ---- with PyAV


def made_video(path: Path, frames: int, *, group: int, b_frames: int = 0) -> bytes:
    """A video whose every picture is as bright as its number tells."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as made:
        stream = made.add_stream("libx264", rate=FPS, options={"g": str(group), "bf": str(b_frames), "crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for k in range(frames):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 + 7 * k, np.uint8), format="rgb24")
            made.mux(stream.encode(picture))
        made.mux(stream.encode(None))
    return path.read_bytes()


def brightness(path: Path) -> tuple[list[float], list[float]]:
    """Of each picture, and when it is shown."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as held:
        told = [(float(each.to_ndarray(format="gray").mean()), float(each.time)) for each in held.decode(video=0)]
    return [value for value, _ in told], [time for _, time in told]


@pytest.mark.extras
@pytest.mark.parametrize(("group", "b_frames", "way"), [(5, 0, "cut"), (12, 0, "encoded"), (5, 2, "encoded")])
def test_a_cut_video_begins_with_the_first_kept_frame(tmp_path: Path, group: int, b_frames: int, way: str) -> None:
    data = made_video(tmp_path / "v.mp4", 30, group=group, b_frames=b_frames)
    source = with_videos(tmp_path / "set", "v2.1", {single(k): data for k in range(3)})
    before = digest(source)
    told = copied(source, tmp_path / "copy")
    assert told["videos"] == {"copied": 1, "cut": 0, "encoded": 0, "missing": 0, way: 1}
    assert digest(source) == before
    whole, _ = brightness(source / single(0))
    part, times = brightness(tmp_path / "copy" / single(0))
    assert len(part) == 15
    assert np.abs(np.array(part) - whole[10:25]).max() < 3
    assert np.allclose(times, np.arange(15) / FPS, atol=1e-4)
    if way == "cut":
        assert part == whole[10:25]
    assert (tmp_path / "copy" / single(1)).read_bytes() == data  # its end alone was trimmed
    assert json.loads((tmp_path / "copy/meta/info.json").read_text())["total_videos"] == 2


@pytest.mark.extras
def test_a_video_shorter_than_its_rows_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    from sima2.errors import DatasetError

    data = made_video(tmp_path / "v.mp4", 18, group=5)
    (tmp_path / "v.mp4").unlink()
    source = with_videos(tmp_path / "set", "v2.1", {single(0): data})
    with pytest.raises(DatasetError, match=r"has 18 frames, 25 were expected \(keep episodes whole: --keep-whole\)"):
        copied(source, tmp_path / "copy")
    (source / single(0)).write_bytes(b"no video at all")
    with pytest.raises(DatasetError, match="video"):
        copied(source, tmp_path / "copy")
    assert [each.name for each in tmp_path.iterdir()] == ["set"]
