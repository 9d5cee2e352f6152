"""MCAP recordings: what is read of them, on which clock, and what is said where they are odd or damaged."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from sima2.errors import DatasetError, MissingExtraError
from sima2.io.formats import format_of, open_dataset
from sima2.io.formats.mcap import McapFrames
from sima2.io.formats.mcap_container import MAGIC, Channel, Schema, mcap_bytes, read_mcap
from sima2.io.formats.mcap_definition import layout_of, parse_definition
from sima2.io.formats.mcap_messages import TopicReader
from sima2.io.formats.mcap_write import JOINT_STATE, NUMBER, Stream, joint_states, vectors
from unit.io import mcap_recordings as made

POSITION = "observation.joint_states.position"
GRIPPER = "observation.joint_states.gripper"


def saved(folder: Path, *streams: Stream, name: str = "a.mcap", **options: object) -> McapFrames:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(made.file_of(streams, **options))  # type: ignore[arg-type]
    return McapFrames.open(folder)


def first(source: McapFrames) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    recorded = next(iter(source.read(source.entries, list(source.features))))
    assert recorded.trouble is None, recorded.trouble
    return dict(recorded.features), recorded.notes


# messages


def test_a_message_is_read_as_the_bytes_say() -> None:
    """By hand after the rules of CDR: a header, then names, then numbers aligned to their size."""
    data = b"\0\1\0\0" + struct.pack("<iI", 7, 9) + b"\5\0\0\0base\0" + b"\0\0\0" + struct.pack("<I", 1)
    data += (
        b"\3\0\0\0j1\0"
        + b"\0"
        + struct.pack("<I", 1)
        + b"\0\0\0\0"
        + struct.pack("<d", 0.25)
        + struct.pack("<II", 0, 0)
    )
    layout = layout_of(parse_definition(JOINT_STATE.name, JOINT_STATE.data.decode()), data)
    assert layout.texts == {"name": ["j1"]}
    assert layout.stamp == 4
    assert [(leaf.path, leaf.at, leaf.length) for leaf in layout.leaves][2] == ("position", 44, 1)


def test_a_message_of_the_other_order_of_bytes_is_read() -> None:
    channel = Channel("/x", "cdr", Schema("a/msg/X", "ros2msg", b"int16 a\nfloat64 b\nbool c"), {})
    reader = TopicReader(channel)
    reader.take(1, b"\0\0\0\0" + struct.pack(">h6xd?", -3, 1.5, True))
    reader.take(2, b"\0\1\0\0" + struct.pack("<h6xd?", 4, 2.5, False))
    assert reader.done().values.tolist() == [[-3.0, 1.5, 1.0], [4.0, 2.5, 0.0]]


def test_joints_may_come_in_another_order_in_each_message(tmp_path: Path) -> None:
    source = saved(tmp_path, made.alternating(made.states(30), made.states(30, order=(2, 3, 1, 0))))
    features, notes = first(source)
    assert source.features[POSITION].names == ("joint_a", "joint_b", "joint_c")
    assert source.features[GRIPPER].names == ("finger_joint",)
    np.testing.assert_array_equal(features[POSITION], made.joints(30)[:, :3])
    np.testing.assert_array_equal(features[GRIPPER], made.joints(30)[:, 3:])
    np.testing.assert_array_equal(features["observation.joint_states.velocity"], made.joints(30)[:, :3] * 0.5)
    np.testing.assert_array_equal(features["observation.joint_states.torque"], made.joints(30)[:, :3] * 2.0)
    assert not notes


def test_joints_of_one_topic_may_come_in_messages_of_their_own(tmp_path: Path) -> None:
    arm, finger = made.states(30, order=(0, 1, 2)), made.states(30, order=(3,), late_ms=1.0)
    source = saved(tmp_path, arm, finger)
    features, _ = first(source)
    assert len(features[POSITION]) == 30, "a frame is a message of the most joints"
    np.testing.assert_array_equal(features[GRIPPER], made.joints(30)[:, 3:])


def test_the_guess_finds_arm_gripper_pose_and_command(tmp_path: Path) -> None:
    """As ros2_control and a Cartesian controller name their topics."""
    command = joint_states("/joint_command", made.times(200), {"position": made.joints(200)[:, :3]}, made.JOINTS[:3])
    saved(tmp_path, made.states(200), made.pose(200), made.wrench(200), command)
    found = open_dataset(tmp_path)
    arm = found.column_map.arms["arm"]
    assert {
        "joint_position",
        "joint_velocity",
        "joint_torque",
        "gripper_opening",
        "ee_position",
        "ee_orientation",
    } <= set(arm)
    assert found.column_map.scene["action"].feature == "action.joint_command.position"
    assert found.source.features["observation.wrist.wrench.wrench"].names == ("fx", "fy", "fz", "tx", "ty", "tz")
    got = found.read(0, 1)
    assert not len(got.quarantine)
    np.testing.assert_allclose(got.batch.manipulators["arm"].joint_position, made.joints(200)[:, :3], atol=1e-6)


def test_two_arms_are_told_apart_by_their_topics(tmp_path: Path) -> None:
    sides = [made.states(200, topic=f"/{side}/joint_states") for side in ("left", "right")]
    saved(tmp_path, *sides)
    arms = open_dataset(tmp_path).column_map.arms
    assert {arm: "joint_position" in channels for arm, channels in arms.items()} == {"left": True, "right": True}


# clocks


def test_frames_are_the_messages_of_the_fastest_joints(tmp_path: Path) -> None:
    slow = made.states(30, topic="/slow/joint_states", step_ms=40.0)
    source = saved(tmp_path, slow, made.states(60), made.pose(200, step_ms=5.0))
    features, _ = first(source)
    assert source.clock.name == "/joint_states"
    np.testing.assert_array_equal(features["timestamp"][:, 0], np.arange(60) * 20_000_000 / 1e9)


def test_no_frame_knows_what_came_after_it(tmp_path: Path) -> None:
    values = np.arange(60.0)[:, None]
    late = vectors("/late", NUMBER, made.times(60, late_ms=8.0), values)
    soon = vectors("/soon", NUMBER, made.times(60, late_ms=4.0), values)
    features, _ = first(saved(tmp_path, made.states(60), late, soon))
    assert features["observation.soon.data"][:, 0].tolist() == values[:, 0].tolist(), "of the same cycle"
    assert features["observation.late.data"][1:, 0].tolist() == values[:-1, 0].tolist(), "of the cycle before"
    assert np.isnan(features["observation.late.data"][0, 0])


def test_a_gap_stays_missing_and_what_is_sent_on_occasion_is_kept(tmp_path: Path) -> None:
    whole = made.pose(200)
    gap = np.r_[0:50, 100:200]
    holed = Stream(whole.topic, whole.schema, whole.times[gap], [whole.messages[k] for k in gap.tolist()])
    command = vectors("/gripper_command", NUMBER, made.times(2, step_ms=1000.0), np.array([[0.5], [1.5]]))
    features, _ = first(saved(tmp_path, made.states(200), holed, command))
    missing = np.isnan(features["observation.ee_pose.pose"]).all(axis=1)
    assert np.flatnonzero(missing).tolist() == list(range(55, 100)), "held for five periods, then missing"
    assert features["action.gripper_command.data"][:, 0].tolist() == [0.5] * 50 + [1.5] * 150


def test_times_of_making_count_and_those_of_logging_do_not(tmp_path: Path) -> None:
    stream = made.states(60)
    rng = np.random.default_rng(0)
    log = {"/joint_states": np.sort(stream.times + rng.integers(5_000_000, 60_000_000, 60))}
    features, notes = first(saved(tmp_path, stream, log=log))
    np.testing.assert_array_equal(features["timestamp"][:, 0], np.arange(60) * 20_000_000 / 1e9)
    assert not notes


def test_another_clock_is_told_and_the_topics_are_brought_together(tmp_path: Path) -> None:
    """A camera computer an hour off, and a simulator's time from zero at half the speed."""
    off = made.pose(60, begin=made.BEGIN + 3_600 * 10**9)
    features, notes = first(saved(tmp_path / "off", made.states(60), off, log={"/ee_pose": made.times(60)}))
    assert any("/ee_pose: its own clock is +3.6e+03 s off" in note for note in notes)
    expected = 0.3 + np.arange(60) / 600
    np.testing.assert_allclose(features["observation.ee_pose.pose"][:, 0], expected)
    slow = made.states(60, begin=10**9)
    number = vectors("/number", NUMBER, made.times(60, step_ms=40.0), np.arange(60.0)[:, None])
    log = {"/joint_states": made.times(60, step_ms=40.0)}
    features, notes = first(saved(tmp_path / "sim", slow, number, log=log))
    assert features["observation.number.data"][:, 0].tolist() == list(range(60))
    assert features["timestamp"][-1, 0] == 59 * 20_000_000 / 1e9
    assert any("ahead of that of logging" in note for note in notes)


def test_a_clock_that_was_set_is_not_used(tmp_path: Path) -> None:
    stream = made.states(60)
    set_back = made.states(60, begin=made.BEGIN - 5 * 10**9)
    mixed = Stream(stream.topic, stream.schema, stream.times, [*stream.messages[:30], *set_back.messages[30:]])
    features, notes = first(saved(tmp_path, mixed))
    np.testing.assert_array_equal(features["timestamp"][:, 0], np.arange(60) * 20_000_000 / 1e9)
    assert any("times of logging are taken" in note for note in notes)


def test_repeated_and_disordered_messages_are_told(tmp_path: Path) -> None:
    stream = made.states(60)
    order = [*range(30), 29, *range(30, 60)]
    again = Stream(stream.topic, stream.schema, made.times(61), [stream.messages[k] for k in order])
    features, notes = first(saved(tmp_path, again))
    assert len(features[POSITION]) == 60
    assert any("1 messages are of the same time as another" in note for note in notes)


# recordings


def test_a_bag_of_several_files_is_one_episode(tmp_path: Path) -> None:
    made.bag(tmp_path / "bag_3", frames=30)
    (tmp_path / "bag_12.mcap").write_bytes(made.content(30))
    dataset = open_dataset(tmp_path)
    assert format_of(tmp_path) == "mcap"
    assert dataset.numbers.tolist() == [3, 12]
    got = dataset.read(0, 2)
    assert got.batch.length.tolist() == [60, 30]
    assert got.outcome.success.tolist() == [0.0, 1.0]
    assert got.batch.episodes.instruction == ("wipe the table", "lift the cup")
    assert dataset.describe().robot == "arm4"


def test_one_file_is_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_bytes(made.content(30))
    (tmp_path / "b.mcap").write_bytes(b"nothing")
    assert len(open_dataset(tmp_path / "a.mcap").read(0, 1).batch) == 1


def test_the_same_recordings_have_the_same_id_wherever_they_lie(tmp_path: Path) -> None:
    ids = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.mcap").write_bytes(made.content(30))
        ids.append(McapFrames.open(tmp_path / name).source_id)
    (tmp_path / "two" / "a.mcap").write_bytes(made.content(31))
    assert ids[0] == ids[1] != McapFrames.open(tmp_path / "two").source_id


def test_spans_and_subsets_of_features_are_read_alike(tmp_path: Path) -> None:
    for k in range(4):
        (tmp_path / f"e_{k}.mcap").write_bytes(made.content(30 + k))
    source = McapFrames.open(tmp_path)
    whole = list(source.read(source.entries, list(source.features)))
    for k in (2, 0):
        (alone,) = source.read([source.entries[k]], [POSITION])
        assert set(alone.features) == {POSITION, "timestamp"}
        np.testing.assert_array_equal(alone.features[POSITION], whole[k].features[POSITION])


# damage


def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = made.file_of([made.states(400)], chunk_bytes=4000)
    (tmp_path / "a.mcap").write_bytes(whole[: len(whole) * 2 // 5])
    dataset = open_dataset(tmp_path)
    got = dataset.read(0, 1)
    assert 100 < got.batch.frames < 400
    assert any("cut off" in note for note in got.warnings)


def test_a_chunk_with_a_wrong_checksum_is_left_out(tmp_path: Path) -> None:
    whole = bytearray(made.file_of([made.states(400)], chunk_bytes=4000))
    whole[len(whole) // 3] ^= 255
    (tmp_path / "a.mcap").write_bytes(whole)
    got = open_dataset(tmp_path).read(0, 1)
    assert any("its checksum is wrong" in note for note in got.warnings)
    assert 300 < got.batch.frames < 400


def test_an_encoding_that_is_not_read_is_named(tmp_path: Path) -> None:
    stream = made.states(5)
    channel = Channel("/joint_states", "wrong_format", JOINT_STATE, {})
    messages = [(1, at, data) for at, data in zip(stream.times.tolist(), stream.messages, strict=True)]
    (tmp_path / "a.mcap").write_bytes(mcap_bytes([channel], messages))
    with pytest.raises(
        DatasetError, match="/joint_states: its messages are encoded as 'wrong_format', which is not read"
    ):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"PK\3\4 a zip", "is no MCAP file"),
        (MAGIC, "no topic"),
    ],
)
def test_what_is_no_recording_is_refused_in_words(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path)
    assert told in str(caught.value)


def _packed(name: str, size: int, content: bytes) -> bytes:
    body = struct.pack("<QQQII", 0, 0, size, 0, len(name)) + name.encode() + struct.pack("<Q", len(content)) + content
    return MAGIC + struct.pack("<BQ", 6, len(body)) + body


@pytest.mark.parametrize(
    ("name", "size", "told"),
    [("", 1 << 40, "would grow"), ("", 5000, "5000 are stated"), ("zip", 100, "packed by 'zip'")],
)
def test_a_chunk_that_would_grow_without_end_is_left_out(name: str, size: int, told: str, tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_bytes(_packed(name, size, b"\0" * 100))
    assert told in read_mcap(tmp_path / "a.mcap", lambda channel: None).notes[0]


def test_without_the_extra_a_packed_file_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lz4.frame", None)
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    for name in ("lz4", "zstd"):
        (tmp_path / "a.mcap").write_bytes(_packed(name, 100, b"\0" * 100))
        with pytest.raises(MissingExtraError, match=r"sima2\[mcap\]"):
            open_dataset(tmp_path)


# the library


def library_file(file: Path, streams: Sequence[Stream], packing: str) -> None:
    from mcap.writer import CompressionType, Writer

    with file.open("wb") as sink:
        writer = Writer(sink, chunk_size=4000, compression=CompressionType[packing])
        writer.start(profile="ros2", library="test")
        rows = []
        for stream in streams:
            schema = writer.register_schema(stream.schema.name, stream.schema.encoding, stream.schema.data)
            channel = writer.register_channel(stream.topic, "json" if stream.schema is made.JSON else "cdr", schema)
            rows += [(at, channel, data) for at, data in zip(stream.times.tolist(), stream.messages, strict=True)]
        for at, channel, data in sorted(rows, key=lambda row: row[:2]):
            writer.add_message(channel, log_time=at, publish_time=at, data=data)
        writer.finish()


@pytest.mark.extras
@pytest.mark.parametrize("packing", ["NONE", "LZ4", "ZSTD"])
def test_files_of_the_mcap_library_are_read_packed_or_not(packing: str, tmp_path: Path) -> None:
    pytest.importorskip("mcap")
    streams = [made.states(60), made.pose(60), made.gripper(60)]
    library_file(tmp_path / "a.mcap", streams, packing)
    features, notes = first(McapFrames.open(tmp_path))
    expected, _ = first(saved(tmp_path / "ours", *streams))
    assert not notes
    assert features.keys() == expected.keys()
    for name, values in features.items():
        np.testing.assert_array_equal(values, expected[name])


@pytest.mark.extras
def test_the_mcap_library_reads_what_is_written(tmp_path: Path) -> None:
    pytest.importorskip("mcap")
    from mcap.reader import make_reader

    streams = [made.states(60), made.pose(60)]
    (tmp_path / "a.mcap").write_bytes(made.file_of(streams, [("about", {"task": "lift"})], chunk_bytes=4000))
    with (tmp_path / "a.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.channel_message_counts == {1: 60, 2: 60}
        rows = [(channel.topic, message.log_time, message.data) for _, channel, message in reader.iter_messages()]
        assert [record.metadata for record in reader.iter_metadata()] == [{"task": "lift"}]
    for stream in streams:
        mine = [(at, data) for topic, at, data in rows if topic == stream.topic]
        assert mine == list(zip(stream.times.tolist(), stream.messages, strict=True))


@pytest.mark.extras
@pytest.mark.parametrize("packing", ["lz4", "zstd"])
def test_a_packed_chunk_never_grows_beyond_what_it_states(packing: str, tmp_path: Path) -> None:
    pytest.importorskip("mcap")
    import lz4.frame
    import zstandard

    pack = {"lz4": lz4.frame.compress, "zstd": zstandard.ZstdCompressor().compress}[packing]
    content = np.random.default_rng(0).integers(0, 4, 900_000).astype(np.uint8).tobytes()
    for size, told in ((1000, "it holds more"), (10**6, "1000000 are stated"), (1 << 31, "would grow")):
        (tmp_path / "a.mcap").write_bytes(_packed(packing, size, pack(content)))
        assert told in read_mcap(tmp_path / "a.mcap", lambda channel: None).notes[0]
    (tmp_path / "a.mcap").write_bytes(_packed(packing, 1000, b"no packed data at all"))
    assert packing in read_mcap(tmp_path / "a.mcap", lambda channel: None).notes[0]
