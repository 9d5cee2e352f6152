"""Damaged definitions, messages and names, each in a file that is whole: read, or refused in words."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from faults.readers import check_set
from sima2.errors import Sima2Error
from sima2.io.formats import open_dataset
from sima2.io.formats.mcap_container import Schema
from sima2.io.formats.mcap_definition import DefinitionError, layout_of, parse_definition
from sima2.io.formats.mcap_write import JOINT_STATE, Stream
from unit.io import mcap_recordings as made

TYPES = ["float64", "uint8[]", "string", "f32[3]", "int64[<=5]", "geometry_msgs/Pose", "std_msgs/Header", "wstring",
         "float64[99999999999]", "A", "A[]", "Empty[4000000000]", "Time", "string[]", "bool[0]", "["]  # fmt: skip
NAMES = ["header", "name", "position", "velocity", "x", "y", "\x00\x1b", "ё" * 300, "stamp", "data=1", ""]
JSONS = ['{"a":1e400}', "[1,2]", '{"a":{"b":{"c":[[1]]}}}', '{"name":["a","a"],"position":[1,null]}', "{", "nan", '"x"',
         '{"timestamp":{"sec":"1"}}', '{"a":' * 3000, '{"a":' + "9" * 5000 + "}", '{"position":[true,false]}',
         '{"header":{"stamp":{"sec":-1,"nanosec":99999999999}}}', "{}", '{"\\u001b[31m":1}']  # fmt: skip


def changed(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        kind = rng.random()
        at = rng.randrange(len(out) + 1)
        if kind < 0.4 and at < len(out):
            out[at] = rng.choice([0, 1, 255, 127, rng.randrange(256)])
        elif kind < 0.6:
            del out[at : at + rng.choice([1, 4, 8, 1000])]
        elif kind < 0.8:
            out[at:at] = rng.randbytes(rng.choice([1, 4, 8, 300]))
        elif at + 4 <= len(out):
            out[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\x80", b"\x01\0\0\0", b"\0\0\0\0"])
    return bytes(out)


def damaged(stream: Stream, rng: random.Random) -> Stream:
    schema, messages, times, topic = stream.schema, list(stream.messages), stream.times, stream.topic
    kind = rng.random()
    if kind < 0.35:
        lines = schema.data.decode().splitlines()
        for _ in range(rng.choice([1, 1, 3])):
            line = f"{rng.choice(TYPES)} {rng.choice(NAMES)}"
            lines.insert(rng.randrange(len(lines) + 1), rng.choice([line, "=" * 80, f"MSG: {rng.choice(TYPES)}", "x"]))
            if rng.random() < 0.5:
                del lines[rng.randrange(len(lines))]
        schema = Schema(schema.name, schema.encoding, "\n".join(lines).encode())
    elif kind < 0.75:
        for k in rng.sample(range(len(messages)), rng.randint(1, len(messages))):
            odd = schema is made.JSON and rng.random() < 0.6
            messages[k] = rng.choice(JSONS).encode() if odd else changed(messages[k], rng)
    elif kind < 0.85:
        far = [0, 1, 2**63 - 1, 2**63, 2**64 - 1, made.BEGIN]
        times = np.array([rng.choice(far) for _ in messages], np.uint64)
    else:
        topic = rng.choice(["", "/", "\x1b[31m/joint_states", "/a" * 500, "joint_states", "/joint_states", "é ' \""])
    return Stream(topic, schema, times, messages)


def recording(seed: int) -> bytes:
    rng = random.Random(f"mcap {seed}")
    streams = [made.states(6), made.alternating(made.states(6), made.states(6, order=(3, 2, 1, 0), topic="/more"))]
    streams += [made.pose(6), made.wrench(6), made.gripper(6)]
    for k in rng.sample(range(len(streams)), rng.choice([1, 1, 2])):
        streams[k] = damaged(streams[k], rng)
    return made.file_of(streams)


@pytest.mark.parametrize("begin", range(0, 600, 100))
def test_what_a_whole_file_holds_is_read_or_refused_in_words(begin: int, tmp_path: Path) -> None:
    ended = set()
    for seed in range(begin, begin + 100):
        (tmp_path / "a.mcap").write_bytes(recording(seed))
        try:
            check_set(open_dataset(tmp_path))
            ended.add("fine")
        except Sima2Error:
            ended.add("error")
    assert "fine" in ended


@pytest.mark.stress
def test_twenty_thousand_such_files(tmp_path: Path) -> None:
    for seed in range(600, 20_600):
        (tmp_path / "a.mcap").write_bytes(recording(seed))
        try:
            check_set(open_dataset(tmp_path))
        except Sima2Error:
            continue


@pytest.mark.parametrize(
    "text",
    [
        "A a\n" + "=" * 80 + "\nMSG: p/A\nB b\n" + "=" * 80 + "\nMSG: p/B\nA[] a\n",
        "p/Top[] again\n" + "=" * 80 + "\nMSG: p/Top\np/Top[] again\n",
        "\n".join(f"float64 x{k}" for k in range(5000)),
        "\n".join(["A0 a"] + ["=" * 80 + f"\nMSG: p/A{k}\nA{k + 1} a" for k in range(50)]),
        "Missing m",
        "float64[0] none",
    ],
)
def test_a_definition_without_end_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError):
        parse_definition("p/msg/Top", text)


def test_a_message_that_claims_to_be_long_is_refused_before_it_is_believed() -> None:
    definition = parse_definition("p/msg/Top", "Empty[] many\n" + "=" * 80 + "\nMSG: p/Empty\n")
    with pytest.raises(DefinitionError):
        layout_of(definition, b"\0\1\0\0" + b"\xff\xff\xff\xff")
    joints = parse_definition(JOINT_STATE.name, JOINT_STATE.data.decode())
    with pytest.raises(DefinitionError):
        layout_of(joints, b"\0\1\0\0" + b"\0" * 8 + b"\1\0\0\0\0\0\0\0" + b"\xff\xff\xff\x7f")


def test_json_that_is_deep_or_large_is_left_out_and_told(tmp_path: Path) -> None:
    at = made.times(3)
    odd = [b'{"a":' * 50_000, json.dumps({str(k): k for k in range(5000)}).encode(), b'{"a": 1}']
    (tmp_path / "a.mcap").write_bytes(made.file_of([made.states(6), Stream("/odd", made.JSON, at, odd)]))
    dataset = open_dataset(tmp_path)
    got = dataset.source.read(dataset.source.entries, list(dataset.source.features))
    assert any("/odd: 2 messages could not be read" in note for note in next(iter(got)).notes)
