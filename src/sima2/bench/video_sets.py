"""Gives made recordings cameras: draws what they would see of the motion, encodes it, and plants faults into it (PyAV).

A camera stands beside the arm (``scene``), rides on it (``wrist``) or looks at nothing that moves (``away``). Every
picture has noise of its own; the codecs are those of recorded sets, and lossy.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sima2.bench.recorded_sets import join, lines
from sima2.records.arrays import Float32s, Float64s, Int64s

Picture = Float32s
HEIGHT, WIDTH = 144, 192
NOISE: Final = 2.0
"""Standard deviation of a pixel's noise, of 255."""
TOLD_AS: Final[Mapping[str, tuple[str, ...]]] = {
    "missing": ("video_missing",),
    "empty": ("video_unreadable",),
    "cut_off": ("video_unreadable", "video_length"),
    "damaged": ("video_unreadable",),
    "too_short": ("video_length",),
    "too_long": ("video_length",),
    "wrong_rate": ("video_rate",),
    "black": ("video_black",),
    "black_all": ("video_black",),
    "frozen": ("video_frozen",),
    "frozen_to_end": ("video_frozen",),
    "frozen_all": ("video_frozen",),
    "repeated": ("video_repeats",),
    "early": ("video_lag",),
    "late": ("video_lag",),
}
"""Findings by which each counts as found."""
KINDS: Final = tuple(TOLD_AS)
"""Faults that are planted."""


@dataclass(frozen=True, slots=True)
class Coder:
    """How pictures are packed."""

    name: str
    encoder: str
    options: Mapping[str, str]


CODERS: Final = (
    Coder("av1", "libsvtav1", {"g": "2", "crf": "30", "preset": "11"}),
    Coder("h264", "libx264", {"g": "2", "crf": "28", "preset": "veryfast"}),
    Coder("h264_long", "libx264", {"g": "250", "bf": "2", "crf": "23", "preset": "veryfast"}),
    Coder("mpeg4", "mpeg4", {"g": "12", "qmin": "4", "qmax": "4"}),
)
"""As LeRobot writes them, as others do, and as OpenCV does."""


class Planted(NamedTuple):
    """A fault of a camera in an episode."""

    episode: int
    camera: str
    kind: str


@dataclass(frozen=True, slots=True)
class Look:
    """What a set looks like."""

    coder: Coder
    light: float = 1.0
    """Share of the light of a bright room."""
    shared: bool = False
    """Version 3.0: all episodes of a camera in one file."""
    jitter: float = 0.0
    """Standard deviation of the time between pictures and frames, in periods."""


def add_cameras(root: Path, look: Look, cameras: Sequence[str], planted: Sequence[Planted], seed: int) -> None:
    """Draw and encode the videos of a made set of version 2.1.

    Args:
        root: of the set; its metadata are written anew.
        look: of its pictures.
        cameras: of ``scene``, ``wrist`` and ``away``.
        planted: faults.
        seed: of what is drawn.
    """
    info = json.loads((root / "meta/info.json").read_text(encoding="utf-8"))
    fps = float(info["fps"])
    listed = lines(root / "meta/episodes.jsonl")
    faults = {(each.episode, each.camera): each.kind for each in planted}
    for camera in cameras:
        info["features"][camera] = {"dtype": "video", "shape": [HEIGHT, WIDTH, 3], "names": None}
        drawn = _artist(camera, look, np.random.default_rng([seed, cameras.index(camera)]))
        for row in listed:
            number = row["episode_index"]
            kind = faults.get((number, camera), "")
            rng = np.random.default_rng([seed, 7, number, cameras.index(camera)])
            states, time = _signals(root, info, number)
            file = root / f"videos/chunk-000/{camera}/episode_{number:06d}.mp4"
            file.parent.mkdir(parents=True, exist_ok=True)
            source = _order(states[:, : SEEN[camera]], kind, fps, rng)
            black = source == BLACK
            pictures = ((_black() if dark else drawn(states[k], rng), k) for k, dark in zip(source.tolist(), black))
            rate = fps * 1.2 if kind == "wrong_rate" else fps
            write_video(file, _once(pictures), rate, look.coder, time if look.jitter else None)
            _break(file, kind, rng)
    info["video_path"] = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    (root / "meta/info.json").write_text(json.dumps(info), encoding="utf-8")


SEEN: Final[Mapping[str, int]] = {"scene": 3, "wrist": 2, "away": 2}
"""Joints whose motion a camera shows: the first so many."""
SMOOTH: Final = 2
"""Frames on each side over which readings are averaged to draw the arm."""
BLACK: Final = -1
"""In the place of a picture."""


def jittered(root: Path, share: float, seed: int) -> None:
    """Let the clock of a made set go unevenly, as that of a set recorded as fast as it would go.

    Args:
        root: of the set.
        share: standard deviation of a step, in periods.
        seed: of the steps.
    """
    for k, file in enumerate(sorted((root / "data").glob("*/*.parquet"))):
        table = pq.read_table(file, partitioning=None)
        rng = np.random.default_rng([seed, k])
        time = table.column("timestamp").to_numpy()
        steps = np.diff(time) * np.clip(1 + share * rng.standard_normal(len(time) - 1), 0.4, 1.6)
        steps *= (time[-1] - time[0]) / steps.sum()
        even = np.concatenate([[0.0], np.cumsum(steps)]).astype(np.float32)
        place = table.column_names.index("timestamp")
        pq.write_table(table.set_column(place, "timestamp", pa.array(even)), file)


def _signals(root: Path, info: Mapping[str, Any], number: int) -> tuple[Float64s, Float64s]:
    """Positions of an episode, each over its range, and the time of its frames."""
    name = info["data_path"].format(episode_chunk=number // info["chunks_size"], episode_index=number)
    table = pq.read_table(root / name, columns=["observation.state", "timestamp"], partitioning=None)
    states = np.array(table.column(0).to_pylist(), np.float64)
    # readings come in steps, arms do not
    padded = np.pad(states, ((SMOOTH, SMOOTH), (0, 0)), mode="edge")
    states = np.mean([padded[k : k + len(states)] for k in range(2 * SMOOTH + 1)], axis=0)
    return states, table.column(1).to_numpy().astype(np.float64)


def _moving(states: Float64s, frames: int) -> int:
    """Begin of the stretch of so many frames in which most of what is seen moves."""
    step = np.abs(np.diff(states, axis=0)).sum(axis=1)
    sums = np.convolve(step, np.ones(min(frames, len(step))), mode="valid")
    return int(np.argmax(sums))


def _order(states: Float64s, kind: str, fps: float, rng: np.random.Generator) -> Int64s:
    """Which frame each picture shows."""
    n = len(states)
    order = np.arange(n)
    long = min(max(round(fps * 1.6), 4), n // 2)
    begin = _moving(states, long)
    if kind == "frozen":
        order[begin : begin + long] = begin
    elif kind == "frozen_to_end":
        step = np.abs(np.diff(states, axis=0)).sum(axis=1)
        left = np.cumsum(step[::-1])[::-1]
        begin = int(np.flatnonzero(left >= 0.35 * left[0])[-1])
        order[begin:] = begin
    elif kind == "frozen_all":
        order[:] = 0
    elif kind == "repeated":
        order = order // 2 * 2
    elif kind == "black":
        start = int(rng.integers(0, n - long))
        order[start : start + long] = BLACK
    elif kind == "black_all":
        order[:] = BLACK
    elif kind in ("early", "late"):
        shift = round(fps * rng.uniform(0.4, 0.8))
        order = np.clip(order + (shift if kind == "early" else -shift), 0, n - 1)
    elif kind == "too_short":
        order = order[: n - int(rng.integers(2, 15))]
    elif kind == "too_long":
        order = np.concatenate([order, np.full(int(rng.integers(2, 15)), n - 1)])
    return order


def _break(file: Path, kind: str, rng: np.random.Generator) -> None:
    """Damage a file that was whole."""
    data = bytearray(file.read_bytes())
    if kind == "missing":
        file.unlink()
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "cut_off":
        file.write_bytes(bytes(data[: int(len(data) * rng.uniform(0.3, 0.8))]))
    elif kind == "damaged":
        # the part that holds the pictures, which in these files comes first
        start, stop = int(len(data) * 0.2), int(len(data) * 0.7)
        data[start:stop] = rng.integers(0, 256, stop - start, dtype=np.uint8).tobytes()
        file.write_bytes(bytes(data))


def _once(pictures: Any) -> Any:
    """Pictures of which those of the same frame are the same: what a camera repeats has the noise of the first."""
    last: tuple[int, Picture | None] = (-2, None)
    for picture, k in pictures:
        if k != last[0] or last[1] is None:
            last = (k, picture)
        yield last[1]


def write_video(file: Path, pictures: Any, fps: float, coder: Coder, time: Float64s | None = None) -> None:
    """Encode pictures of brightness, shape (height, width) each, 0 to 255.

    Args:
        file: new.
        pictures: in the order shown.
        fps: of the video.
        coder: how they are packed.
        time: when each is shown, s; evenly if not given.
    """
    import av

    with av.open(str(file), "w", format="mp4") as made:
        stream: Any = made.add_stream(
            coder.encoder, rate=Fraction(fps).limit_denominator(1000), options=dict(coder.options)
        )
        first = next(iter_ := iter(pictures))
        stream.height, stream.width = first.shape
        stream.pix_fmt = "yuv420p"
        if time is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 10_000)
        for k, picture in enumerate(chain([first], iter_)):
            bright = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.repeat(bright[..., None], 3, axis=2), format="rgb24")
            if time is not None and k < len(time):
                frame.pts, frame.time_base = round(float(time[k]) * 10_000), Fraction(1, 10_000)
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))


def _black() -> Picture:
    return np.zeros((HEIGHT, WIDTH), np.float32)


def _artist(camera: str, look: Look, rng: np.random.Generator) -> Callable[[Float64s, np.random.Generator], Picture]:
    """Draws what a camera sees of a posture."""
    wall = _texture(rng, 3)

    def seen(state: Float64s, own: np.random.Generator) -> Picture:
        if camera == "wrist":
            turn = np.deg2rad(state[:2]) if np.abs(state).max() > 2 * math.pi else state[:2]
            picture = _shifted(_shifted(wall, float(turn[1]) * 60, 0), float(turn[0]) * 60, 1)
        elif camera == "scene":
            picture = _with_arm(wall, state)
        else:
            picture = wall
        return np.asarray(look.light * picture + own.normal(0, NOISE, wall.shape) * math.sqrt(look.light), np.float32)

    return seen


def _shifted(picture: Picture, by: float, axis: int) -> Picture:
    """A picture moved by so many pixels, also by parts of one."""
    whole = math.floor(by)
    near, next_ = np.roll(picture, whole, axis=axis), np.roll(picture, whole + 1, axis=axis)
    return np.asarray(near + (by - whole) * (next_ - near), np.float32)


def _texture(rng: np.random.Generator, octaves: int) -> Picture:
    """Something to see: soft and sharp structure, 30 to 220."""
    picture = np.zeros((HEIGHT, WIDTH))
    for k in range(octaves):
        size = 2 ** (3 - k) * 4
        coarse = rng.uniform(-1, 1, (HEIGHT // size + 2, WIDTH // size + 2))
        picture += np.kron(coarse, np.ones((size, size)))[:HEIGHT, :WIDTH] / (k + 1)
    picture = (picture - picture.min()) / np.ptp(picture)
    return np.asarray(30 + 190 * picture, np.float32)


def _with_arm(wall: Picture, state: Float64s) -> Picture:
    """An arm of three links in front of a wall."""
    angle = np.deg2rad(state[:3]) if np.abs(state).max() > 2 * math.pi else state[:3]
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    picture = wall.copy()
    at = np.array([HEIGHT - 10.0, WIDTH / 2])
    heading = -math.pi / 2
    for k, length in enumerate((45.0, 40.0, 30.0)):
        heading += float(angle[k])
        along = np.array([math.sin(heading), math.cos(heading)])
        dy, dx = rows - at[0], columns - at[1]
        far = np.clip(dy * along[0] + dx * along[1], 0, length)
        near = np.hypot(dy - far * along[0], dx - far * along[1]) < 6
        picture[near] = (240, 20, 200)[k]
        at = at + length * along
    return picture


V3_VIDEO: Final = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"


def share_files(root: Path) -> None:
    """Write a set with videos of version 2.1 again, in place, as one of 3.0: all episodes of a camera in one file."""
    import av

    before = root.rename(root.with_name(f"{root.name}-v2.1"))
    info = json.loads((before / "meta/info.json").read_text(encoding="utf-8"))
    rows: list[dict[str, Any]] = lines(before / "meta/episodes.jsonl")
    for camera in (name for name, each in info["features"].items() if each["dtype"] == "video"):
        target = root / f"videos/{camera}/chunk-000/file-000.mp4"
        target.parent.mkdir(parents=True)
        begin = 0.0
        with av.open(str(target), "w", format="mp4") as made:
            stream: Any = None
            for row in rows:
                file = before / f"videos/chunk-000/{camera}/episode_{row['episode_index']:06d}.mp4"
                with av.open(str(file)) as held:
                    old: Any = held.streams.video[0]
                    stream = made.add_stream_from_template(old, opaque=True) if stream is None else stream
                    ticks = round(begin / float(old.time_base))
                    for packet in held.demux(old):
                        if packet.pts is not None and packet.size:
                            packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                            packet.stream = stream
                            made.mux(packet)
                end = begin + row["length"] / info["fps"]
                told = {"chunk_index": 0, "file_index": 0, "from_timestamp": begin, "to_timestamp": end}
                row.update({f"videos/{camera}/{name}": value for name, value in told.items()})
                begin = end
    join(before, root, len(rows), rows, video_path=V3_VIDEO)
    shutil.rmtree(before)
