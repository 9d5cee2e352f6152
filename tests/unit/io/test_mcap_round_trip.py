"""Rollouts written as MCAP recordings come back as they were; on several clocks they are labelled alike."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from sima2 import RolloutBatch, SegmentationEngine
from sima2.client import Sima2Client
from sima2.errors import DatasetError
from sima2.io.formats import open_dataset
from sima2.io.formats.mcap_write import Stream, write_mcap
from sima2.records.outcome import Outcome
from sima2.records.segments import SegmentTable
from unit.io.test_lerobot_round_trip import assert_same, sets

EPISODES = 24


@pytest.fixture(scope="module")
def made() -> RolloutBatch:
    return Sima2Client(seed=7).source(mix="hardening", total=EPISODES).read(0, EPISODES).batch


def labelled(batch: RolloutBatch) -> tuple[SegmentTable, np.ndarray]:
    table = SegmentationEngine().fit([batch]).segment(batch)
    first = dict(zip(batch.episodes.episode_id, batch.offset.tolist(), strict=False))
    frames = np.full(batch.frames, "", object)
    for row in table.rows():
        begin = first[row["episode_id"]]
        frames[begin + row["start_frame"] : begin + row["end_frame"]] = row["label"]
    return table, frames


def test_rollouts_come_back_bit_for_bit(made: RolloutBatch, tmp_path: Path) -> None:
    source = Sima2Client(seed=7).source(mix="hardening", total=EPISODES).read(0, EPISODES)
    write_mcap(tmp_path / "set", [(source.batch, source.outcome)], robot="made")
    dataset = open_dataset(tmp_path / "set")
    got = dataset.read(0, EPISODES)
    assert dataset.describe().mapping == "own"
    assert not len(got.quarantine)
    assert not got.warnings
    for mine, theirs in zip(got.batch, source.batch, strict=True):
        assert_same(mine, theirs)
    np.testing.assert_array_equal(got.outcome.success, source.outcome.success)
    assert list(labelled(got.batch)[0].rows()) == list(labelled(made)[0].rows())


@settings(max_examples=30, deadline=None)
@given(made=sets())
def test_whatever_was_recorded_comes_back(tmp_path_factory: pytest.TempPathFactory, made: tuple[RolloutBatch, Outcome]):
    """Any channels, several arms of any name, objects that come and go, missing samples, times on no grid."""
    batch, outcome = made
    folder = tmp_path_factory.mktemp("made") / "set"
    write_mcap(folder, [(batch, outcome)], robot="r")
    got = open_dataset(folder).read(0, len(batch))
    assert set(got.quarantine.reason.tolist()) <= {"mostly_missing"}
    for place, index in enumerate(got.batch.episodes.episode_index.tolist()):
        assert_same(got.batch[place], batch[index])


def test_the_same_rollouts_give_the_same_bytes_however_they_came(made: RolloutBatch, tmp_path: Path) -> None:
    write_mcap(tmp_path / "one", [(made, None)], robot="r")
    halves = [(made.take(np.arange(0, 10)), None), (made.take(np.arange(10, EPISODES)), None)]
    write_mcap(tmp_path / "two", halves, robot="r")
    for file in sorted((tmp_path / "one").iterdir()):
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name
    with pytest.raises(DatasetError, match="is not empty"):
        write_mcap(tmp_path / "one", [(made, None)], robot="r")


def _trembling(stream: Stream, rng: np.random.Generator) -> Stream:
    if "joint" in stream.topic or "time" in stream.topic:
        return stream
    late = rng.integers(-3_000_000, 3_000_000, len(stream.times))
    return Stream(stream.topic, stream.schema, np.sort(stream.times + late), stream.messages)


def _slow_objects(stream: Stream, rng: np.random.Generator) -> Stream:
    """A camera sees things at half the rate of the joints."""
    if "objects" not in stream.topic:
        return stream
    return Stream(stream.topic, stream.schema, stream.times[::2], stream.messages[::2])


@pytest.mark.parametrize("change", [_trembling, _slow_objects])
def test_on_several_clocks_frames_are_labelled_alike(
    made: RolloutBatch,
    change: Callable[[Stream, np.random.Generator], Stream],
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    write_mcap(tmp_path / "set", [(made, None)], robot="made", clocks=lambda each: change(each, rng))
    got = open_dataset(tmp_path / "set").read(0, EPISODES)
    assert (labelled(got.batch)[1] == labelled(made)[1]).mean() >= 0.99


def test_by_its_names_alone_a_recording_is_read_as_well(made: RolloutBatch, tmp_path: Path) -> None:
    """Without the map that it brings along: as another program's recording of the same arm."""
    write_mcap(tmp_path / "set", [(made, None)], robot="made")
    (tmp_path / "set" / "sima2_columns.toml").unlink()
    dataset = open_dataset(tmp_path / "set")
    assert dataset.describe().mapping == "guessed"
    got = dataset.read(0, EPISODES).batch
    arm, known = got.manipulators["arm"], made.manipulators["arm"]
    np.testing.assert_array_equal(arm.joint_position, known.joint_position)
    np.testing.assert_array_equal(arm.joint_velocity, known.joint_velocity)
    np.testing.assert_array_equal(arm.joint_torque, known.joint_torque)
