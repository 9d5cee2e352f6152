"""Episodes as an MCAP file for Foxglove: JSON messages on the recording's own clock, the same bytes for the same input.

Schemas ``foxglove.SceneUpdate`` and ``foxglove.Log`` are as Foxglove documents them (Foxglove schemas, JSON encoding);
those that begin with ``sima2.`` are plain objects for plots and state transitions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from sima2.errors import MissingExtraError
from sima2.export.scene import SIGNALS, Scene, ViewerBudget, path_points, safe

LIBRARY: Final = "sima2"
"""Writer as the file names it: the library's own version would change the bytes."""
BETWEEN_S: Final = 1.0
"""Between one episode and the next on the clock."""
HAND_M: Final = 0.03
OBJECT_M: Final = 0.04
"""Sizes of the marks of hands and things."""
FRAME: Final = "base"
"""Coordinates of all poses: the robot's base."""
INFO, ERROR = 2, 4
"""Levels of ``foxglove.Log``."""
DELETE_ALL: Final = 1
"""Kind of a ``foxglove.SceneEntityDeletion``."""

_NUMBER: Final = {"type": ["number", "null"]}
_TIME: Final = {"type": "object", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}}
_TEXT: Final = {"type": "string"}
_LIST: Final = {"type": "array", "items": {"type": "object"}}
_ENTITY: Final = {
    "type": "object",
    "properties": {
        "timestamp": _TIME,
        "frame_id": _TEXT,
        "id": _TEXT,
        "lifetime": _TIME,
        "frame_locked": {"type": "boolean"},
        **dict.fromkeys(
            ("metadata", "arrows", "cubes", "spheres", "cylinders", "lines", "triangles", "texts", "models"), _LIST
        ),
    },
}
SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "foxglove.SceneUpdate": {"deletions": _LIST, "entities": {"type": "array", "items": _ENTITY}},
    "foxglove.Log": {
        "timestamp": _TIME,
        "level": {"type": "integer"},
        "message": _TEXT,
        "name": _TEXT,
        "file": _TEXT,
        "line": {"type": "integer"},
    },
    "sima2.Segment": {
        "timestamp": _TIME,
        "label": _TEXT,
        "outcome": _TEXT,
        "failure_reason": _TEXT,
        "object": _TEXT,
        "confidence": _NUMBER,
        "start_frame": {"type": "integer"},
        "end_frame": {"type": "integer"},
    },
    "sima2.JointStates": {
        "timestamp": _TIME,
        **{name: {"type": "array", "items": _NUMBER} for name in ("position", "velocity", "torque", "command")},
    },
    "sima2.Signals": {"timestamp": _TIME, **dict.fromkeys(SIGNALS, _NUMBER)},
    "sima2.Episode": {"timestamp": _TIME, "episode_id": _TEXT, "words": _TEXT},
    "sima2.Video": {"timestamp": _TIME, "camera": _TEXT, "file": _TEXT, "begins_s": _NUMBER},
}
"""Messages by schema: the properties of each."""

Message = tuple[int, str, str, Mapping[str, Any]]
"""Time in ns, topic, schema and value."""


def write_mcap(scenes: Iterable[Scene], file: Path, *, budget: ViewerBudget | None = None) -> dict[str, Any]:
    """Write a file; what it holds, as plain values.

    The first episode begins at time 0, each further one a second after the one before; within each, times are those of
    its frames. A metadata record an episode says where it begins.

    Args:
        scenes: the episodes; the first of ``budget.episodes`` are written.
        file: where to; there as a whole or not at all.
        budget: how much of them.

    Raises:
        MissingExtraError: if the MCAP library is not installed.
    """
    from sima2.io.durable import replace_file

    need_mcap()
    told: dict[str, Any] = {}
    replace_file(file, lambda path: told.update(_write(scenes, path, budget or ViewerBudget())))
    return told


def need_mcap() -> None:
    """Refuse what cannot be written, before anything is read.

    Raises:
        MissingExtraError: if the MCAP library is not installed.
    """
    try:
        import mcap  # noqa: F401
    except ImportError:
        raise MissingExtraError("mcap", "mcap") from None


def _write(scenes: Iterable[Scene], path: Path, budget: ViewerBudget) -> dict[str, Any]:
    from mcap.writer import Writer

    told = {"episodes": 0, "frames": 0, "thinned": 0, "videos": 0, "messages": 0}
    channels: dict[tuple[str, str], int] = {}
    begins = 0.0
    with path.open("wb") as sink:
        writer = Writer(sink)
        writer.start(profile="", library=LIBRARY)
        schemas = {name: writer.register_schema(name, "jsonschema", _json(_schema(name))) for name in SCHEMAS}
        for scene in scenes:
            if told["episodes"] == budget.episodes:
                break
            places = {"episode_id": safe(scene.rollout.episode_id), "begins_ns": str(_ns(begins))}
            writer.add_metadata("episode", places)
            for at, topic, schema, value in sorted(
                _messages(scene, budget, begins), key=lambda each: (each[0], each[1])
            ):
                if (topic, schema) not in channels:
                    channels[topic, schema] = writer.register_channel(topic, "json", schemas[schema])
                stamped = {"timestamp": _stamp(at), **value}
                writer.add_message(channels[topic, schema], log_time=at, publish_time=at, data=_json(stamped))
                told["messages"] += 1
            told["episodes"] += 1
            told["frames"] += len(scene.rollout)
            told["thinned"] += len(scene.rollout) > budget.frames
            told["videos"] += len(scene.videos)
            ends = [float(each.max()) for each in (scene.rollout.time, scene.segments.end_t) if len(each)]
            begins += max(ends, default=0.0) + BETWEEN_S
        writer.finish()
    return told


def _schema(name: str) -> Mapping[str, Any]:
    properties = {"timestamp": _TIME, **SCHEMAS[name]}
    return {"title": name, "type": "object", "properties": properties}


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":")).encode()


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)


def _stamp(ns: int) -> dict[str, int]:
    return {"sec": ns // 10**9, "nsec": ns % 10**9}


def _messages(scene: Scene, budget: ViewerBudget, begins: float) -> Iterator[Message]:
    start = _ns(begins)
    yield (
        start,
        "/episode",
        "sima2.Episode",
        {
            "episode_id": safe(scene.rollout.episode_id),
            "words": safe(scene.words),
        },
    )
    for video in scene.videos:
        value = {"camera": safe(video.camera), "file": safe(video.file), "begins_s": video.begins_s}
        yield start, f"/video/{_topic(video.camera)}", "sima2.Video", value
    yield from _segments(scene, begins)
    for at, words, failed in scene.marks():
        log = {"level": ERROR if failed else INFO, "message": words, "name": "sima2", "file": "", "line": 0}
        yield _ns(begins + at), "/log", "foxglove.Log", log
    yield from _signals(scene, scene.rows(budget), begins)
    yield from _scene(scene, scene.rows(budget), begins)


def _topic(name: str) -> str:
    """A name from data as a part of a topic."""
    return "".join(each if each.isalnum() or each in "_-." else "_" for each in name) or "_"


def _segments(scene: Scene, begins: float) -> Iterator[Message]:
    """A message where each begins, and one without a label where the last ends."""
    for arm, lane in scene.lanes():
        topic = f"/segments/{_topic(arm)}"
        for row in lane.rows():
            told = {name: safe(row[name]) for name in ("label", "outcome", "failure_reason", "object")}
            told |= {name: row[name] for name in ("start_frame", "end_frame")}
            sure = round(float(row["confidence"]), 4) if np.isfinite(row["confidence"]) else None
            yield _ns(begins + row["start_t"]), topic, "sima2.Segment", {**told, "confidence": sure}
        if len(lane):
            frame = int(lane.end_frame[-1])
            nothing = {"label": "", "outcome": "", "failure_reason": "", "object": "", "confidence": None}
            last = {**nothing, "start_frame": frame, "end_frame": frame}
            yield _ns(begins + float(lane.end_t[-1])), topic, "sima2.Segment", last


def _signals(scene: Scene, rows: Any, begins: float) -> Iterator[Message]:
    """Joints and signals of each arm, a message a frame."""
    times = [_ns(begins + each) for each in scene.rollout.time[rows].tolist()]
    joints = ("joint_position", "joint_velocity", "joint_torque", "joint_command")
    for arm, channels in scene.rollout.manipulators.items():
        held = channels.channels()
        vectors = {name.removeprefix("joint_"): _plain(held[name][rows]) for name in joints if name in held}
        scalars = {name: _plain(held[name][rows]) for name in SIGNALS if name in held}
        for kind, schema, values in (("joints", "JointStates", vectors), ("signals", "Signals", scalars)):
            topic = f"/{kind}/{_topic(arm)}"
            for k, at in enumerate(times if values else ()):
                yield at, topic, f"sima2.{schema}", {name: each[k] for name, each in values.items()}


def _plain(values: Any) -> list[Any]:
    """Numbers as JSON has them, to six digits behind the point; None where there is none."""
    known = np.isfinite(values)
    rounded = np.where(known, np.round(values.astype(np.float64), 6), 0.0).astype(object)
    rounded[~known] = None
    plain: list[Any] = rounded.tolist()
    return plain


def _scene(scene: Scene, rows: Any, begins: float) -> Iterator[Message]:
    """Hands, things, and the courses of the hands."""
    arms = scene.rollout.manipulators
    things = [(f"hand {arm}", each.ee_position, HAND_M, True) for arm, each in arms.items()]
    things += [(f"object {name}", each, OBJECT_M, False) for name, each in scene.rollout.object_position.items()]
    placed = [(safe(name), each[rows], size, hand) for name, each, size, hand in things if each is not None]
    times = [_ns(begins + each) for each in scene.rollout.time[rows].tolist()]
    for k, at in enumerate(times if placed else ()):
        entities = [
            _mark(name, at, position[k].tolist(), size, hand)
            for name, position, size, hand in placed
            if np.isfinite(position[k]).all()
        ]
        if k == 0:
            entities += [_course(name, at, path_points(each)) for name, each, _, hand in placed if hand]
        # what the episode before has left there goes
        gone = [{"timestamp": _stamp(at), "type": DELETE_ALL, "id": ""}] if k == 0 else []
        if entities or gone:
            yield at, "/scene", "foxglove.SceneUpdate", {"deletions": gone, "entities": entities}


def _entity(name: str, at: int, **parts: Any) -> dict[str, Any]:
    kinds = ("metadata", "arrows", "cubes", "spheres", "cylinders", "lines", "triangles", "texts", "models")
    empty: dict[str, Any] = {kind: [] for kind in kinds}
    head = {"timestamp": _stamp(at), "frame_id": FRAME, "id": name, "lifetime": _stamp(0), "frame_locked": False}
    return {**head, **empty, **parts}


def _mark(name: str, at: int, position: list[float], size: float, hand: bool) -> dict[str, Any]:
    where = dict(zip("xyz", (round(each, 6) for each in position), strict=True))
    shape = {
        "pose": {"position": where, "orientation": {"x": 0, "y": 0, "z": 0, "w": 1}},
        "size": {"x": size, "y": size, "z": size},
        "color": {"r": 0.1, "g": 0.5, "b": 0.8, "a": 1} if hand else {"r": 0.85, "g": 0.6, "b": 0.1, "a": 1},
    }
    return _entity(name, at, **{"spheres" if hand else "cubes": [shape]})


def _course(name: str, at: int, points: Any) -> dict[str, Any]:
    line = {
        "type": 0,
        "pose": {"position": {"x": 0, "y": 0, "z": 0}, "orientation": {"x": 0, "y": 0, "z": 0, "w": 1}},
        "thickness": 2,
        "scale_invariant": True,
        "points": [dict(zip("xyz", each, strict=True)) for each in np.round(points.astype(float), 6).tolist()],
        "color": {"r": 0.1, "g": 0.5, "b": 0.8, "a": 0.6},
        "colors": [],
        "indices": [],
    }
    return _entity(f"course {name}", at, lines=[line])
