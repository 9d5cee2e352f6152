"""Videos encoded for it (PyAV): planted faults are found, hostile files harm nothing, thumbnails cost little."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sima2.bench import videos as bench
from sima2.bench.recordings_maker import RECIPES, make_set
from sima2.bench.video_sets import CODERS, TOLD_AS, Look, Planted, add_cameras, share_files, write_video
from sima2.cameras import (
    cameras_of,
    frame_image,
    last_frames_of,
    open_videos,
    thumbnails_of,
)
from sima2.errors import DatasetError
from sima2.orchestrator import run_pipeline
from sima2.pipeline import RunSettings
from sima2.records.video import MOMENTS

pytestmark = pytest.mark.extras
FAULTS = [Planted(0, "scene", "frozen"), Planted(1, "wrist", "black"), Planted(2, "scene", "missing"),
          Planted(3, "wrist", "damaged"), Planted(4, "scene", "repeated"), Planted(5, "wrist", "late"),
          Planted(6, "scene", "too_short"), Planted(7, "wrist", "wrong_rate"), Planted(8, "scene", "frozen_all"),
          Planted(9, "scene", "cut_off"), Planted(10, "wrist", "empty"),
          Planted(11, "wrist", "frozen_to_end")]  # fmt: skip
CAMERAS = ["scene", "wrist", "away"]


def made(root: Path, planted: list[Planted], episodes: int = 14, *, shared: bool = False, coder: int = 1) -> Path:
    recipe = next(each for each in RECIPES if each.name == "so101_cube")
    make_set(root, recipe, episodes, 5)
    add_cameras(root, Look(CODERS[coder]), CAMERAS, planted, 5)
    if shared:
        share_files(root)
    return root


def digest_of(root: Path) -> str:
    whole = hashlib.sha256()
    for file in sorted(root.rglob("*")):
        if file.is_file():
            whole.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("videos") / "faulty", FAULTS)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("videos") / "sound", [], 8, shared=True)


def run(path: Path, out: Path, **how: Any) -> dict[str, Any]:
    return dict(run_pipeline(RunSettings(path=path, out=out, video=True, **how)).values)


def findings(out: Path) -> Iterator[tuple[str, int, str]]:
    import pyarrow.parquet as pq

    for row in pq.read_table(out / "defects.parquet").to_pylist():
        if row["defect"].startswith("video_"):
            yield row["details"].split(" ")[1].rstrip(":"), row["episode_index"], row["defect"]


def test_planted_faults_are_found_and_nothing_else_and_the_source_is_not_touched(faulty: Path, tmp_path: Path) -> None:
    before = digest_of(faulty)
    values = run(faulty, tmp_path / "out")
    assert digest_of(faulty) == before
    found = set(findings(tmp_path / "out"))
    for fault in FAULTS:
        kinds = {kind for camera, episode, kind in found if (camera, episode) == (fault.camera, fault.episode)}
        assert kinds & set(TOLD_AS[fault.kind]), fault
    places = {(fault.camera, fault.episode) for fault in FAULTS}
    assert {(camera, episode) for camera, episode, _ in found} == places
    assert values["videos"]["looked"]
    assert values["videos"]["missing"] == 1


def test_a_sound_set_of_shared_files_has_no_finding(sound: Path, tmp_path: Path) -> None:
    values = run(sound, tmp_path / "out")
    assert list(findings(tmp_path / "out")) == []
    assert values["videos"]["cameras"] == sorted(CAMERAS)


def test_batches_and_processes_change_nothing(sound: Path, tmp_path: Path) -> None:
    one = run(sound, tmp_path / "one")
    other = run(sound, tmp_path / "other", batch_size=3, jobs=2)
    assert one["digest"] == other["digest"]
    assert digest_of(tmp_path / "one/thumbnails") == digest_of(tmp_path / "other/thumbnails")


def test_pictures_are_kept_of_both_ends_and_come_back(sound: Path, tmp_path: Path) -> None:
    import av
    import pyarrow.parquet as pq

    out = tmp_path / "out"
    run(sound, out)
    episodes = pq.read_table(out / "episodes.parquet").to_pylist()
    for row in episodes:
        found = thumbnails_of(out, row["episode_id"])
        assert {each.camera for each in found} == set(CAMERAS)
        for camera in CAMERAS:
            frames = [each.frame for each in found if each.camera == camera]
            assert frames[0] == 0
            assert frames[-1] == row["frames"] - 1
        for each in found:
            assert each.moment in MOMENTS
            assert each.media_type in ("image/webp", "image/jpeg")
            assert len(each.data) <= 4096
    assert thumbnails_of(out, "nobody") == []
    last = last_frames_of(out)
    assert len(last) == len(episodes) * len(CAMERAS)
    assert last.values.shape == (len(last), 192)
    assert 0 < last.values.min() < last.values.max() <= 1
    # the picture is the one of the frame
    episode = int(episodes[3]["source_index"])
    kind, data = frame_image(sound, episode, "scene", episodes[3]["frames"] - 1)
    assert kind == "image/jpeg"
    picture = av.CodecContext.create("mjpeg", "r").decode(av.Packet(data))[0].to_ndarray(format="rgb24")
    mine = [k for k in range(len(last)) if (last.episode_id[k], last.camera[k]) == (episodes[3]["episode_id"], "scene")]
    assert last.values[mine[0]].mean() == pytest.approx(picture.mean() / 255, abs=0.02)
    with pytest.raises(DatasetError, match="none for frame"):
        frame_image(sound, episode, "scene", 10_000)


def test_a_run_with_videos_is_another_than_one_without(sound: Path, tmp_path: Path) -> None:
    from sima2.errors import StoreError

    run_pipeline(RunSettings(path=sound, out=tmp_path / "out"))
    with pytest.raises(StoreError, match="same data with other video"):
        run(sound, tmp_path / "out")


def test_hostile_files_are_findings(tmp_path: Path) -> None:
    root = made(tmp_path / "set", [], 6)
    rng = np.random.default_rng(0)
    whole = (root / "videos/chunk-000/scene/episode_000000.mp4").read_bytes()
    hostile = [
        rng.integers(0, 256, 5000, dtype=np.uint8).tobytes(),
        whole[:40],
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"",
        whole.replace(b"moov", b"mo0v"),
        bytes([*whole[:200], *rng.integers(0, 256, len(whole) - 200, dtype=np.uint8)]),
    ]
    for k, data in enumerate(hostile):
        (root / f"videos/chunk-000/scene/episode_{k:06d}.mp4").write_bytes(data)
    run(root, tmp_path / "out")
    found = set(findings(tmp_path / "out"))
    assert found == {("scene", k, "video_unreadable") for k in range(6)}
    for k in range(6):
        with pytest.raises(DatasetError):
            frame_image(root, k, "scene", 3)


def test_pictures_larger_than_any_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    from dataclasses import replace

    from sima2.video.images import PNG, unpacked
    from sima2.video.reader import VideoError, pictures, read_packets
    from sima2.video.video_settings import VideoSettings

    endless = PNG + b"\0\0\0\rIHDR" + (65_535).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    with pytest.raises(VideoError, match="65535 × 65535 pixels"):
        unpacked(endless, VideoSettings())
    for coder in CODERS:
        file = tmp_path / f"{coder.name}.mp4"
        write_video(file, (np.full((144, 192), 9.0 * k, np.float32) for k in range(12)), 30.0, coder)
        few = replace(VideoSettings(), most_pixels=1000)
        trouble: list[str] = []
        try:
            listed = read_packets(file, few)
        except VideoError as error:
            trouble.append(str(error))
        else:  # some heads do not tell the size
            assert list(pictures(listed, range(12), few, trouble.append)) == []
        assert trouble


def test_any_byte_may_be_another(tmp_path: Path) -> None:
    root = made(tmp_path / "set", [], 4)
    videos = open_videos(root)
    rng = np.random.default_rng(1)
    file = root / "videos/chunk-000/wrist/episode_000000.mp4"
    whole = file.read_bytes()
    for _ in range(60):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 12):
            data[at] = int(rng.integers(0, 256))
        file.write_bytes(bytes(data[: int(rng.integers(1, len(data) + 1))]))
        try:
            frame_image(videos, 0, "wrist", int(rng.integers(0, 400)))
        except DatasetError:
            continue


def test_pictures_in_rows_are_looked_at(tmp_path: Path) -> None:
    import av
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = made(tmp_path / "set", [], 8, coder=1)
    info = json.loads((root / "meta/info.json").read_text())
    info["features"] = {k: v for k, v in info["features"].items() if k not in ("wrist", "away")}
    info["features"]["scene"]["dtype"] = "image"
    (root / "meta/info.json").write_text(json.dumps(info))
    from sima2.video.images import jpeg

    for k in range(8):
        file = root / f"data/chunk-000/episode_{k:06d}.parquet"
        with av.open(str(root / f"videos/chunk-000/scene/episode_{k:06d}.mp4")) as held:
            rows = [{"bytes": jpeg(frame), "path": None} for frame in held.decode(video=0)]
        if k == 5:
            rows = [rows[0] if 40 <= j < 120 else row for j, row in enumerate(rows)]
            rows[7] = {"bytes": b"\xff\xd8\xff no picture", "path": None}
        table = pq.read_table(file, partitioning=None)
        pq.write_table(table.append_column("scene", pa.array(rows)), file)
    shutil.rmtree(root / "videos")
    run(root, tmp_path / "out")
    assert cameras_of(root) == ("scene",)
    assert thumbnails_of(tmp_path / "out", thumbs_id(tmp_path / "out"))
    assert {episode for _, episode, _ in findings(tmp_path / "out")} <= {5}


def thumbs_id(out: Path) -> str:
    import pyarrow.parquet as pq

    return str(pq.read_table(out / "episodes.parquet").column("episode_id")[0])


def test_thumbnails_unpack_no_more_than_the_pictures_on_the_way(tmp_path: Path) -> None:
    from sima2.video.reader import cost_of, pictures, read_packets
    from sima2.video.video_settings import VideoSettings

    for coder in CODERS:
        rng = np.random.default_rng(0)
        file = tmp_path / f"{coder.name}.mp4"
        noise = [rng.uniform(0, 255, (144, 192)).astype(np.float32) for _ in range(10)]
        write_video(file, (noise[k % 10] for k in range(120)), 30.0, coder)
        packets = read_packets(file, VideoSettings())
        assert len(packets.pts) == 120
        wanted = [0, 31, 32, 33, 77, 119]
        trouble: list[str] = []
        got = [place for place, _ in pictures(packets, wanted, VideoSettings(), trouble.append)]
        assert (got, trouble) == (wanted, [])
        assert cost_of(packets.key, wanted) <= 120


def test_the_bench_is_held_to_its_targets() -> None:
    values = bench.run(episodes=15)
    names = [name for name, _, _ in bench.rows(values)]
    assert len(names) > 15
    assert values["false_alarms"] == []
    assert min(values["found"].values()) >= 0.75


def test_pictures_are_text_in_the_table(sound: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    run(sound, tmp_path / "out")
    files = sorted((tmp_path / "out/thumbnails").glob("*.parquet"))
    data = pq.read_table(files[0]).column("data").to_pylist()
    assert base64.b64decode(data[0])[:4] in (b"RIFF", b"\xff\xd8\xff\xdb", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xfe")
