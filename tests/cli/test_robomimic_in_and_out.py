"""From rollouts to robomimic's file and back, and from a run to what a trainer of robomimic's reads."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from format_sets import make
from recorded_sets import record
from sima2.cli import app
from sima2.client import Sima2Client
from sima2.export import robomimic_copy
from sima2.io.formats import open_dataset
from sima2.io.formats.lerobot_write import write_lerobot
from sima2.io.formats.robomimic_write import write_robomimic
from sima2.records.rollout import RolloutBatch
from sima2.segmentation_engine import SegmentationEngine

h5py = pytest.importorskip("h5py")


def call(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(each) for each in words])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def digest(batch: RolloutBatch) -> str:
    """Of all segments but the names of their episodes."""
    found = SegmentationEngine().segment(batch)
    columns = (found.episode_index, found.start_frame, found.end_frame, found.confidence)
    hashed = hashlib.sha256(repr(found.label.tolist()).encode())
    for each in columns:
        hashed.update(np.ascontiguousarray(each).tobytes())
    return hashed.hexdigest()


def test_two_hundred_rollouts_are_segmented_alike_whatever_format_held_them(tmp_path: Path) -> None:
    made = Sima2Client(seed=3).rollouts(count=200)
    length = made.batch.length
    ticks = (np.arange(made.batch.frames) - np.repeat(made.batch.offset[:-1], length)) / 20.0
    batch = RolloutBatch(**{**{name: getattr(made.batch, name) for name in made.batch.__slots__}, "time": ticks})
    write_lerobot(tmp_path / "lerobot", [(batch, made.outcome)], fps=20, robot="r")
    write_robomimic(tmp_path / "robomimic.hdf5", [(batch, made.outcome)], fps=20, robot="r")
    with h5py.File(tmp_path / "robomimic.hdf5") as file:
        assert "timestamps" not in file["data/demo_0"]
    read = {name: open_dataset(tmp_path / name).read(0, 200) for name in ("lerobot", "robomimic.hdf5")}
    assert {digest(each.batch) for each in read.values()} == {digest(batch)}
    for each in read.values():
        assert np.array_equal(each.outcome.success, made.outcome.success, equal_nan=True)
    # numbers of 64 bits are rounded once, to those of 32 that were written from them
    with h5py.File(tmp_path / "robomimic.hdf5", "r+") as file:
        for demo in file["data"].values():
            for name in list(demo["obs"]):
                values = demo["obs"][name][()].astype("f8")
                del demo["obs"][name]
                demo["obs"][name] = values
    assert digest(open_dataset(tmp_path / "robomimic.hdf5").read(0, 200).batch) == digest(batch)


def test_the_same_rollouts_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        code, _, err = call("generate", "--episodes", 6, "--format", "robomimic", "--out", tmp_path / name)
        assert code == 0, err
    assert (tmp_path / "a/demo.hdf5").read_bytes() == (tmp_path / "b/demo.hdf5").read_bytes()
    assert (tmp_path / "a/truth").is_dir()
    report = open_dataset(tmp_path / "a").describe()
    assert (report.format, report.mapping, report.fps) == ("robomimic", "own", 20.0)
    code, _, err = call("generate", "--episodes", 6, "--format", "zarr", "--out", tmp_path / "c")
    assert code == 2
    assert "robomimic" in err


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("robomimic")
    source = make("robomimic", root / "set", (0, 1, 2, 5, 9))
    code, _, err = call("run", "--path", source, "--out", root / "out")
    assert code == 0, err
    return source, root / "out"


def test_a_run_of_a_robomimic_file_goes_back_as_filter_keys_in_a_copy(
    finished: tuple[Path, Path], tmp_path: Path
) -> None:
    source, out = finished
    before = (source / "low_dim.hdf5").read_bytes()
    code, told, err = call("export", out, "--robomimic", tmp_path / "better.hdf5", "--json")
    assert code == 0, err
    values = json.loads(told)
    assert (source / "low_dim.hdf5").read_bytes() == before
    with h5py.File(tmp_path / "better.hdf5") as copy, h5py.File(source / "low_dim.hdf5") as own:
        assert set(copy["mask"]) == {"train", "sima2_keep", "sima2_trim", "sima2_review", "sima2_drop"}
        kept = [each.decode() for each in copy["mask/sima2_keep"]]
        dropped = [each.decode() for each in copy["mask/sima2_drop"]]
        assert sorted(kept + dropped) == sorted(own["data"])
        assert len(kept) == values["episodes"] == values["keys"]["sima2_keep"]
        joints = "data/demo_9/obs/robot0_joint_pos"
        assert np.array_equal(copy[joints][()], own[joints][()])
    code, _, err = call("export", out, "--robomimic", tmp_path / "better.hdf5")
    assert code == 2
    assert "never overwritten" in err


def test_of_a_large_file_the_keys_alone_are_written(
    finished: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(robomimic_copy, "LARGEST_COPY", 1000)
    told = json.loads(call("export", finished[1], "--robomimic", tmp_path / "keys.hdf5", "--json")[1])
    assert not told["copied"]
    assert any("h5copy" in each for each in told["notes"])
    with h5py.File(tmp_path / "keys.hdf5") as file:
        assert list(file) == ["mask"]


def test_what_the_plan_keeps_of_a_lerobot_set_is_a_new_file_of_robomimics(tmp_path: Path) -> None:
    source = record(tmp_path / "set", range(4), numbers=(0, 3, 4, 8))
    code, _, err = call("run", "--path", source, "--out", tmp_path / "out")
    assert code == 0, err
    told = json.loads(call("export", tmp_path / "out", "--robomimic", tmp_path / "kept.hdf5", "--json")[1])
    with h5py.File(tmp_path / "kept.hdf5") as file:
        numbers = [int(file[f"data/demo_{k}"].attrs["sima2_source_episode"]) for k in range(told["episodes"])]
        assert set(numbers) <= {0, 3, 4, 8}
        assert len(file["mask/sima2_keep"]) == told["episodes"] == len(file["data"])
        assert json.loads(file["data"].attrs["env_args"])["env_kwargs"]["control_freq"] == 20.0
    again, own = open_dataset(tmp_path / "kept.hdf5"), open_dataset(source)
    place = own.numbers.tolist().index(numbers[0])
    wanted = own.read(place, place + 1).batch[0]
    got = again.read(0, 1).batch[0]
    first = int(np.searchsorted(wanted.time, wanted.time[-1] - got.time[-1] + 1e-6)) if len(got) < len(wanted) else 0
    assert np.array_equal(
        got.manipulators["arm"].joint_position, wanted.manipulators["arm"].joint_position[first : first + len(got)]
    )


def test_an_episode_is_cut_at_both_ends_and_its_time_begins_at_nought() -> None:
    made = Sima2Client(seed=1).rollouts(count=1).batch
    part = robomimic_copy._from(made.prefix(np.array([50])), 10)
    assert len(part[0]) == 40
    assert part.time[0] == 0.0
    assert np.array_equal(part[0].manipulators["arm"].joint_position, made[0].manipulators["arm"].joint_position[10:50])
