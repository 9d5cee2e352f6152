"""`sima2 export --rerun` and `--mcap`: each file is opened again by its own reader, and says what the run says."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from recorded_sets import record
from sima2.cli import app
from sima2.export.scene import Scene, ViewerBudget, safe
from sima2.io.store import Store
from sima2.records.rollout import Rollout
from sima2.records.segments import SegmentTable
from sima2.records.tags import TagTable

HOSTILE = "cup\x1b[31m‮/../\n<script>alert(1)</script>"


def call(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(each) for each in words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "out"
    assert call("run", "--families", "pick_and_place", "--episodes", 6, "--out", out)[0] == 0
    return out


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("read")
    source = record(folder / "set", range(3), numbers=[2, 5, 9])
    info = json.loads((source / "meta/info.json").read_text())
    info["features"]["observation.images.top"] = {"dtype": "video", "shape": [2, 2, 3], "names": None}
    info["video_path"] = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    (source / "meta/info.json").write_text(json.dumps(info))
    for number in (2, 9):
        file = source / f"videos/chunk-000/observation.images.top/episode_{number:06d}.mp4"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0isomiso2")
    assert call("run", "--path", source, "--out", folder / "out")[0] == 0
    return folder / "out"


def segments(out: Path) -> SegmentTable:
    with Store.read_only(out) as store:
        return SegmentTable.concat(list(store.read(SegmentTable, "segments")))


def hostile_scene() -> Scene:
    rollout = Rollout(
        episode_id=HOSTILE,
        time=np.arange(5) * 0.1,
        ee_position=[[0, 0, 0], [0, 0, 1], [np.nan] * 3, [0, 0, 2], [0, 0, 3]],
        object_position={HOSTILE: np.full((5, 3), np.nan)},
        gripper_width=[0.1, np.nan, 0.1, 0.1, 0.1],
    )
    return Scene(rollout, SegmentTable.empty(), TagTable.empty(), HOSTILE)


# ---- without the extras


@pytest.mark.parametrize(("option", "module", "extra"), [("--rerun", "rerun", "rerun"), ("--mcap", "mcap", "mcap")])
def test_a_missing_extra_is_named(
    option: str, module: str, extra: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    code, out, err = call("export", made, option, tmp_path / "file")
    assert (code, out) == (2, "")
    assert f"pip install 'sima2[{extra}]'" in err
    assert not list(tmp_path.iterdir())


def test_long_episodes_are_thinned_to_the_budget_with_both_ends() -> None:
    rollout = Rollout(episode_id="e", time=np.arange(1000) * 0.1)
    scene = Scene(rollout, SegmentTable.empty(), TagTable.empty(), "")
    rows = scene.rows(ViewerBudget(frames=100))
    assert (len(rows), rows[0], rows[-1]) == (100, 0, 999)
    assert len(scene.rows(ViewerBudget(frames=1000))) == 1000


def test_text_from_data_shows_its_control_characters() -> None:
    assert "\x1b" not in safe(HOSTILE)
    assert "\u202e" not in safe(HOSTILE)
    assert "\n" not in safe(HOSTILE)


# ---- Rerun


def chunks(file: Path) -> list[Any]:
    from rerun.chunk import RrdReader

    return list(RrdReader(str(file)).stream())


def rows(file: Path) -> Counter[str]:
    found: Counter[str] = Counter()
    for each in chunks(file):
        found[each.entity_path] += each.num_rows
    return found


@pytest.mark.extras
def test_a_rerun_recording_holds_states_signals_and_poses(made: Path, tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    from rerun.chunk import RrdReader

    file = tmp_path / "look.rrd"
    told = json.loads(call("export", made, "--rerun", file, "--json")[1])
    assert told["episodes"] == 6
    table = segments(made)
    found = rows(file)
    for name in sorted(set(table.episode_id)):
        mine = table.take(table.episode_id.isin(name))
        assert found[f"/{name}/labels/arm"] == len(mine) + 1 + 1  # states, their end, and how they look
        assert found[f"/{name}/world/hands/arm"] == mine.end_frame.max()
        states = [
            state[0]
            for each in chunks(file)
            if each.entity_path == f"/{name}/labels/arm" and "StateChange:state" in each.to_record_batch().schema.names
            for state in each.to_record_batch().column("StateChange:state").to_pylist()
        ]
        assert states == [*mine.take(np.argsort(mine.start_frame)).label.tolist(), ""]
    assert not any("warnings" in name for name in found)
    assert len(RrdReader(str(file)).blueprints()) == 1


def plain(column: pa.Array) -> list[Any]:
    """Values; of durations nanoseconds, which Python's own cannot hold."""
    return (column.cast(pa.int64()) if pa.types.is_duration(column.type) else column).to_pylist()


@pytest.mark.extras
def test_a_rerun_recording_says_the_same_every_time(made: Path, tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    told = []
    for name in ("a.rrd", "b.rrd"):
        assert call("export", made, "--rerun", tmp_path / name, "--most", 2)[0] == 0
        values = []
        for each in chunks(tmp_path / name):
            batch = each.to_record_batch()
            columns = sorted(set(batch.schema.names) - {"rerun.controls.RowId"})
            values.append((each.entity_path, [(column, plain(batch.column(column))) for column in columns]))
        told.append(sorted(values, key=repr))
    assert repr(told[0]) == repr(told[1])


@pytest.mark.extras
def test_videos_are_named_where_they_are_and_put_in_only_when_asked(read: Path, tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    told = json.loads(call("export", read, "--rerun", tmp_path / "a.rrd", "--json")[1])
    assert told["videos"] == 2
    assert not any(name.startswith("/video_files") for name in rows(tmp_path / "a.rrd"))
    shown = [
        text
        for each in chunks(tmp_path / "a.rrd")
        if "/video/" in each.entity_path
        for text in each.to_record_batch().column("TextDocument:text").to_pylist()
    ]
    assert sorted(text[0].rpartition("/")[2] for text in shown) == [
        "episode_000002.mp4, from 0.000 s",
        "episode_000009.mp4, from 0.000 s",
    ]
    told = json.loads(call("export", read, "--rerun", tmp_path / "b.rrd", "--embed-videos", "--json")[1])
    found = rows(tmp_path / "b.rrd")
    assert found["/video_files/observation.images.top/episode_000002.mp4"] == 1
    lengths = {row["source_index"]: row["frames"] for row in episodes(read)}
    referred = sorted(n for name, n in found.items() if "/video/" in name)
    assert referred == sorted(lengths[number] for number in (2, 9))


def episodes(out: Path) -> list[dict[str, Any]]:
    from sima2.io.arrow import read_table
    from sima2.records.episodes import EpisodeTable

    return list(read_table(EpisodeTable, out / "episodes.parquet").rows())


@pytest.mark.extras
def test_hostile_names_are_plain_parts_of_a_rerun_recording(tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    from sima2.export.rerun_file import write_rerun

    told = write_rerun([hostile_scene()], tmp_path / "a.rrd", colours={})
    assert told["episodes"] == 1
    for name in rows(tmp_path / "a.rrd"):
        assert name.isprintable()


# ---- MCAP


def messages(file: Path) -> list[tuple[str, str, int, dict[str, Any]]]:
    from mcap.reader import make_reader

    with file.open("rb") as source:
        found = make_reader(source, validate_crcs=True).iter_messages()
        return [(channel.topic, schema.name, each.log_time, json.loads(each.data)) for schema, channel, each in found]


@pytest.mark.extras
def test_an_mcap_file_holds_states_log_joints_and_scene_on_the_clock_of_the_recording(
    made: Path, tmp_path: Path
) -> None:
    pytest.importorskip("mcap")
    file = tmp_path / "look.mcap"
    told = json.loads(call("export", made, "--mcap", file, "--json")[1])
    found = messages(file)
    assert (told["episodes"], told["messages"]) == (6, len(found))
    table = segments(made)
    begins = 0.0
    states = [each for each in found if each[0] == "/segments/arm"]
    for row in episodes(made):
        mine = table.take(table.episode_id.isin(row["episode_id"]))
        mine = mine.take(np.argsort(mine.start_frame))
        here, states = states[: len(mine) + 1], states[len(mine) + 1 :]
        assert [each[3]["label"] for each in here] == [*mine.label.tolist(), ""]
        assert [each[2] for each in here[:-1]] == [round((begins + t) * 1e9) for t in mine.start_t.tolist()]
        begins += max(mine.end_t.max(), row["duration_s"]) + 1.0
    assert not states
    topics = Counter((topic, schema) for topic, schema, *_ in found)
    assert topics["/scene", "foxglove.SceneUpdate"] == sum(row["frames"] for row in episodes(made))
    assert topics["/log", "foxglove.Log"] >= len(table)
    assert [at for *_, at, _ in found] == sorted(at for *_, at, _ in found)


@pytest.mark.extras
def test_the_same_run_gives_the_same_bytes_of_mcap(made: Path, tmp_path: Path) -> None:
    pytest.importorskip("mcap")
    for name in ("a.mcap", "b.mcap"):
        assert call("export", made, "--mcap", tmp_path / name, "--most", 3)[0] == 0
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()


@pytest.mark.extras
def test_hostile_names_and_missing_samples_are_plain_json_in_mcap(tmp_path: Path) -> None:
    pytest.importorskip("mcap")
    from sima2.export.mcap_file import write_mcap

    write_mcap([hostile_scene(), hostile_scene()], tmp_path / "a.mcap")
    found = messages(tmp_path / "a.mcap")
    assert all(topic.isprintable() for topic, *_ in found)
    assert "\x1b" not in json.dumps([each[3] for each in found], ensure_ascii=False)
    widths = [each[3]["gripper_width"] for each in found if each[1] == "sima2.Signals"]
    assert widths[:5] == [0.1, None, 0.1, 0.1, 0.1]
    assert len([each for each in found if each[0] == "/scene"]) == 8  # four of five frames tell a place


@pytest.mark.extras
@pytest.mark.parametrize("option", ["--rerun", "--mcap"])
def test_chosen_episodes_are_written_and_nothing_is_overwritten(option: str, read: Path, tmp_path: Path) -> None:
    pytest.importorskip(option[2:])
    names, file = tmp_path / "mine.txt", tmp_path / "look"
    names.write_text("9\n2\n")
    told = json.loads(call("export", read, option, file, "--episodes", names, "--json")[1])
    assert (told["episodes"], told["of_episodes"]) == (2, 3)
    before = file.read_bytes()
    assert call("export", read, option, file)[0] == 2
    assert call("export", read, option, read / "look")[0] == 2
    assert call("export", read, option, tmp_path / "no" / "look")[0] == 2
    names.write_text("7\n")
    assert call("export", read, option, tmp_path / "other", "--episodes", names)[0] == 2
    assert file.read_bytes() == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["look", "mine.txt"]
