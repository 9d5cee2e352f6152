"""RLDS data sets: the bytes that TensorFlow Datasets wrote, and what is said where they are damaged.

``rlds_of_tfds`` was written by tensorflow-datasets 4.9.10 with TensorFlow 2.21: three episodes to train on and one to
validate, of 10 + e steps, whose numbers follow from the episode e and the step k.
"""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from sima2.errors import DatasetError
from sima2.io.formats import format_of, open_dataset
from sima2.io.formats.rlds import RldsFrames
from sima2.io.formats.tfrecord import ExampleError, Span, masked_crc, read_example, spans_of

WRITTEN = Path(__file__).with_name("rlds_of_tfds")
TRAIN = "made-train.tfrecord-00000-of-00001"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WRITTEN, tmp_path / "set"))


def test_what_tensorflow_wrote_is_read_number_by_number() -> None:
    source = RldsFrames.open(WRITTEN)
    assert format_of(WRITTEN) == "rlds"
    assert (source.version, source.robot, len(source.entries)) == ("1.0.0", "made", 4)
    seen = set()
    for recorded in source.read(source.entries, list(source.features)):
        e = int(recorded.entry.task.rpartition(" ")[2])
        seen.add(e)
        k = np.arange(10 + e)[:, None]
        features = recorded.features
        joints = np.sin(k / 10 + np.arange(3) + e).astype(np.float32)
        np.testing.assert_array_equal(features["observation.joint_position"], joints)
        np.testing.assert_array_equal(features["observation.gripper_position"], (k / (10 + e)).astype(np.float32))
        np.testing.assert_array_equal(features["observation.count"], -e * 10**12 + k)
        np.testing.assert_array_equal(features["action"], np.arange(4) + k + 100 * e)
        np.testing.assert_array_equal(features["next.reward"], (k == 9 + e) & bool(e % 2))
        assert (e == 3) == (recorded.entry.episode == 3), "the split to validate comes last"
    assert seen == {0, 1, 2, 3}


def test_rewards_tell_how_episodes_ended_and_the_missing_rate_is_said() -> None:
    dataset = open_dataset(WRITTEN)
    got = dataset.read(0, 4)
    ended = dict(zip(got.batch.episodes.instruction, got.outcome.success.tolist(), strict=True))
    assert ended == {f"lift cup {e}": float(e % 2) for e in range(4)}
    assert any("states no rate: 10 Hz are taken" in each for each in dataset.describe().warnings)
    assert {"joint_position", "gripper_opening"} <= set(dataset.column_map.arms["arm"])


def test_spans_are_read_as_the_whole_is() -> None:
    source = RldsFrames.open(WRITTEN)
    whole = list(source.read(source.entries, ["action"]))
    for k in (3, 1, 0, 2):
        (alone,) = source.read([source.entries[k]], ["action"])
        assert set(alone.features) == {"action"}
        np.testing.assert_array_equal(alone.features["action"], whole[k].features["action"])


def test_a_shard_that_is_cut_off_costs_the_episodes_behind_the_cut(copied: Path) -> None:
    shard = copied / TRAIN
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    dataset = open_dataset(copied)
    got = dataset.read(0, 4)
    assert dataset.episodes == 4, "dataset_info.json says how many there were"
    assert set(got.quarantine.reason.tolist()) == {"unreadable"}
    assert 0 < len(got.quarantine) < 3
    assert "cut off" in got.quarantine.message[0]


def test_a_shard_that_is_missing_moves_no_number(copied: Path) -> None:
    (copied / TRAIN).unlink()
    assert open_dataset(copied).numbers.tolist() == [0]
    (copied / "made-val.tfrecord-00000-of-00001").unlink()
    with pytest.raises(DatasetError, match="no shard"):
        open_dataset(copied)


def test_numbers_of_episodes_stay_where_one_of_several_shards_is_missing(copied: Path) -> None:
    shutil.copy(copied / TRAIN, copied / "made-train.tfrecord-00001-of-00002")
    (copied / TRAIN).unlink()
    info = json.loads((copied / "dataset_info.json").read_text())
    next(split for split in info["splits"] if split["name"] == "train")["shardLengths"] = ["5", "3"]
    (copied / "dataset_info.json").write_text(json.dumps(info))
    dataset = open_dataset(copied)
    assert dataset.numbers.tolist() == [5, 6, 7, 8]
    assert any("1 of 2 shards of train are not there" in each for each in dataset.describe().warnings)


def test_a_length_that_does_not_fit_its_checksum_is_not_believed(copied: Path) -> None:
    shard = copied / TRAIN
    data = bytearray(shard.read_bytes())
    data[3] ^= 255
    shard.write_bytes(data)
    got = open_dataset(copied).read(0, 4)
    assert len(got.batch) == 1
    assert "does not fit its checksum" in got.quarantine.message[0]


@pytest.mark.parametrize(
    "data",
    [b"\x0a\xff\xff\xff\xff\x0f", b"\x08\x01", b"\x0a", b"\xff" * 30, b"\x0a\x04\x0a\x02\x12\x05", b"{}"],
)
def test_what_is_no_example_is_refused(data: bytes, tmp_path: Path) -> None:
    head = struct.pack("<Q", len(data))
    file = tmp_path / "a"
    file.write_bytes(head + struct.pack("<I", masked_crc(head)) + data + b"\0\0\0\0")
    with file.open("rb") as opened:
        notes: list[str] = []
        assert spans_of(opened.fileno(), file.stat().st_size, notes.append) == [Span(12, len(data))]
        with pytest.raises(ExampleError):
            read_example(opened.fileno(), Span(12, len(data)), lambda name: True)


def test_numbers_that_are_not_packed_are_read_too(tmp_path: Path) -> None:
    """Protocol buffers allow both; a negative whole number has ten bytes."""
    floats = b"\x0d" + struct.pack("<f", 1.5) + b"\x0d" + struct.pack("<f", -2.0)
    whole = b"\x08\x05\x08" + b"\xff" * 9 + b"\x01"
    entries = b""
    for name, kind, data in ((b"f", 0x12, floats), (b"i", 0x1A, whole)):
        value = bytes([kind, len(data)]) + data
        entry = b"\x0a\x01" + name + bytes([0x12, len(value)]) + value
        entries += bytes([0x0A, len(entry)]) + entry
    example = bytes([0x0A, len(entries)]) + entries
    (tmp_path / "a").write_bytes(example)
    with (tmp_path / "a").open("rb") as opened:
        found = read_example(opened.fileno(), Span(0, len(example)), lambda name: True)
    assert np.asarray(found["f"]).tolist() == [1.5, -2.0]
    assert np.asarray(found["i"]).tolist() == [5, -1]
