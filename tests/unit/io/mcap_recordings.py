"""Small recordings of an arm as a robot with ROS 2 leaves them: topics on clocks of their own, joints in any order."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sima2.io.formats.mcap_container import Channel, Schema, mcap_bytes
from sima2.io.formats.mcap_write import NUMBER, POSE, Stream, joint_states, vectors

BEGIN = 1_700_000_000_000_000_000
JOINTS = ["joint_a", "joint_b", "joint_c", "finger_joint"]
WRENCH = Schema(
    "geometry_msgs/msg/WrenchStamped",
    "ros2msg",
    b"std_msgs/Header header # when\nWrench wrench\n" + b"=" * 80 + b"\nMSG: geometry_msgs/Wrench\n"
    b"Vector3 force\nVector3 torque\n"
    + b"=" * 80
    + b"\nMSG: geometry_msgs/Vector3\nfloat64 x\nfloat64 y\nfloat64 z\n"
    + b"=" * 80
    + b"\nMSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n",
)
JSON = Schema("example.Gripper", "jsonschema", b'{"type": "object"}')


def times(frames: int, *, step_ms: float = 20.0, late_ms: float = 0.0, begin: int = BEGIN) -> np.ndarray:
    """ns, shape (t,)."""
    return begin + np.rint((np.arange(frames) * step_ms + late_ms) * 1e6).astype(np.int64)


def joints(frames: int) -> np.ndarray:
    """Positions of ``JOINTS``, shape (t, 4)."""
    turn = np.arange(frames)[:, None] / max(frames, 1) * 3.0
    return np.sin(turn + np.arange(4)) * [1.0, 1.5, 0.5, 0.02] + [0.0, 0.0, 0.0, 0.02]


def states(frames: int, *, order: Sequence[int] = (0, 1, 2, 3), topic: str = "/joint_states", **clock: Any) -> Stream:
    """Joint states with velocities and efforts, their columns in some order."""
    columns = list(order)
    held = joints(frames)[:, columns]
    lists = {"position": held, "velocity": held * 0.5, "effort": held * 2.0}
    return joint_states(topic, times(frames, **clock), lists, [JOINTS[k] for k in columns])


def alternating(one: Stream, other: Stream) -> Stream:
    """Messages of one and of the other by turns."""
    pairs = zip(one.messages, other.messages, strict=True)
    return Stream(one.topic, one.schema, one.times, [pair[k % 2] for k, pair in enumerate(pairs)])


def pose(frames: int, **clock: Any) -> Stream:
    """Poses of the hand."""
    values = np.tile([0.3, 0.1, 0.2, 0.0, 0.0, 0.0, 1.0], (frames, 1))
    values[:, 0] += np.arange(frames) / max(frames, 1) / 10
    return vectors("/ee_pose", POSE, times(frames, **clock), values)


def wrench(frames: int, **clock: Any) -> Stream:
    """Forces at the wrist."""
    return vectors("/wrist/wrench", WRENCH, times(frames, **clock), np.arange(6.0) + np.arange(frames)[:, None])


def gripper(frames: int, **clock: Any) -> Stream:
    """In JSON."""
    at = times(frames, **clock)
    return Stream(
        "/gripper_state", JSON, at, [json.dumps({"open": k % 2 == 0, "width": k / 10}).encode() for k in range(frames)]
    )


def file_of(
    streams: Sequence[Stream],
    metadata: Sequence[tuple[str, Mapping[str, str]]] = (),
    *,
    log: Mapping[str, np.ndarray] | None = None,
    **options: Any,
) -> bytes:
    """A file; ``log`` gives times of logging by topic where they are not those of making."""
    channels = [Channel(each.topic, "json" if each.schema is JSON else "cdr", each.schema, {}) for each in streams]
    messages = [
        (number, at, data)
        for number, each in enumerate(streams, 1)
        for at, data in zip((log or {}).get(each.topic, each.times).tolist(), each.messages, strict=True)
    ]
    return mcap_bytes(channels, sorted(messages, key=lambda each: (each[1], each[0])), metadata, **options)


def content(frames: int = 60, **options: Any) -> bytes:
    """A whole recording."""
    streams = [
        alternating(states(frames), states(frames, order=(2, 0, 3, 1))),
        pose(frames, late_ms=2.0),
        wrench(frames // 2, step_ms=40.0),
        gripper(frames // 4, step_ms=80.0),
        vectors("/gripper_command", NUMBER, times(2, step_ms=300.0), np.array([[0.0], [1.0]])),
    ]
    return file_of(streams, [("session", {"task": "lift the cup", "success": "true", "robot": "arm4"})], **options)


def bag(folder: Path, frames: int = 60, **options: Any) -> None:
    """A folder as rosbag2 leaves it: one recording in two files."""
    folder.mkdir(parents=True)
    for name, begin in (("bag_0", 0), ("bag_1", frames)):
        start = BEGIN + begin * 20_000_000
        streams = [states(frames, begin=start), pose(frames, begin=start)]
        (folder / f"{name}.mcap").write_bytes(file_of(streams, **options))
    (folder / "metadata.yaml").write_text(
        "rosbag2_bagfile_information:\n  version: 9\n  relative_file_paths:\n  - bag_0.mcap\n  - bag_1.mcap\n"
        "  custom_data:\n    task: wipe the table\n    success: 'false'\n"
    )
