"""Packets and pictures of a video (PyAV, extra ``video``): bounded, and only what is asked for is unpacked."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from sima2.errors import DataError, MissingExtraError
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.video import Clip
from sima2.video.video_settings import VideoSettings

DEMUXERS: Final[Mapping[str, str]] = {".mp4": "mov", ".webm": "matroska", ".mkv": "matroska"}
"""Format that a file of an ending is opened as: never guessed, for some formats name other files or addresses."""


class VideoError(DataError):
    """A video or a picture cannot be read; the message says why, without the path."""


def need_av(what: str) -> None:
    """Refuse to begin what could not be done.

    Raises:
        MissingExtraError: if PyAV is not installed.
    """
    try:
        import av.error  # noqa: F401
    except ImportError:
        raise MissingExtraError(what, "video") from None


@dataclass(frozen=True, slots=True, eq=False)
class Packets:
    """What a video says of its pictures without unpacking one, in the order shown."""

    path: Path
    time: Float64s
    """When each is shown, s, shape (n,)."""
    pts: Int64s
    """The same in the file's own unit, shape (n,)."""
    dts: Int64s
    """When each is unpacked, shape (n,)."""
    key: Bools
    """Whether it needs no other, shape (n,)."""
    told: int
    """Pictures that the head of the file tells of; 0 where it does not."""
    codec: str
    width: int
    height: int
    problem: str
    """What went wrong while it was read; empty where nothing did."""

    def within(self, clip: Clip) -> tuple[int, int]:
        """Places start .. stop of the pictures of an episode."""
        if clip.alone:
            return 0, len(self.time)
        half = 0.5 / clip.fps
        first, stop = np.searchsorted(self.time, [clip.begin_s - half, clip.end_s - half]).tolist()
        return first, stop


@contextmanager
def _opened(path: Path, settings: VideoSettings) -> Iterator[tuple[Any, Any]]:
    import av
    import av.error

    bounds = {"max_pixels": str(settings.most_pixels), "threads": "1"}
    try:
        with av.open(str(path), format=DEMUXERS.get(path.suffix.lower(), "mov"), stream_options=[bounds] * 8) as held:
            if not held.streams.video:
                raise VideoError("holds no pictures")
            stream = held.streams.video[0]
            context = stream.codec_context
            if context is None:
                raise VideoError("is of a codec that is not known here")
            context.options = bounds
            context.thread_count = 1
            if context.width * context.height > settings.most_pixels:
                raise VideoError(f"its pictures have {context.width} × {context.height} pixels: more than is unpacked")
            yield held, stream
    except (av.error.FFmpegError, ValueError, IndexError, OSError, UnicodeDecodeError) as error:
        raise VideoError(f"cannot be read as video: {_words(error)}") from None


def read_packets(path: Path, settings: VideoSettings) -> Packets:
    """Look at all packets of a video.

    Raises:
        VideoError: if nothing can be read.
    """
    import av.error

    rows: list[tuple[int, int, bool]] = []
    problem = ""
    with _opened(path, settings) as (held, stream):
        try:
            for each in held.demux(stream):
                if each.pts is not None and each.size:
                    rows.append((int(each.pts), int(each.pts if each.dts is None else each.dts), each.is_keyframe))
                    if len(rows) > settings.most_packets:
                        problem = f"holds more than {settings.most_packets} pictures"
                        break
        except av.error.FFmpegError as error:
            problem = _words(error)
        rows.sort()
        base = float(stream.time_base or 0)
        context = stream.codec_context
        table = np.array(rows, np.int64).reshape(-1, 3)
        time = np.asarray(table[:, 0] * base, np.float64)
        return Packets(
            path, time, table[:, 0], table[:, 1], table[:, 2].astype(np.bool_), int(stream.frames or 0),
            str(context.name), int(context.width), int(context.height), problem,
        )  # fmt: skip


def groups_of(key: Bools, wanted: Sequence[int]) -> list[tuple[int, list[int]]]:
    """The pictures that are wanted, by the key picture that unpacking has to begin at; what lies on the way is one.

    >>> groups_of(np.array([1, 0, 0, 1, 0, 1, 0, 1], np.bool_), [2, 3, 7])
    [(0, [2, 3]), (7, [7])]
    """
    keys = np.flatnonzero(key).tolist()
    groups: list[tuple[int, list[int]]] = []
    for place in sorted(set(wanted)):
        at = bisect.bisect_right(keys, place) - 1
        start = keys[at] if at >= 0 else 0
        if groups and start <= groups[-1][1][-1] + 1:
            groups[-1][1].append(place)
        else:
            groups.append((start, [place]))
    return groups


def cost_of(key: Bools, wanted: Sequence[int]) -> int:
    """Pictures that have to be unpacked for those that are wanted."""
    return sum(places[-1] - start + 1 for start, places in groups_of(key, wanted))


def pictures(
    packets: Packets, wanted: Sequence[int], settings: VideoSettings, trouble: Callable[[str], None]
) -> Iterator[tuple[int, Any]]:
    """Pictures by place, each group sought at its key picture; those that cannot be unpacked are left out.

    Args:
        packets: of the file.
        wanted: places among them.
        settings: bounds.
        trouble: told what went wrong.

    Returns:
        Place and ``av.VideoFrame``, in the order shown.
    """
    import av.error

    place_of = {int(pts): place for place, pts in enumerate(packets.pts.tolist())}
    try:
        with _opened(packets.path, settings) as (held, stream):
            at = -1
            for start, places in groups_of(packets.key, wanted):
                if start or at >= 0:
                    held.seek(int(packets.pts[start]), stream=stream, backward=True, any_frame=False)
                left = set(places)
                at = places[-1]
                try:
                    for frame in _decoded(held, stream, {int(packets.pts[each]) for each in places}):
                        place = place_of.get(-1 if frame.pts is None else int(frame.pts), -1)
                        if place not in left:
                            continue
                        left.discard(place)
                        if frame.is_corrupt or frame.width * frame.height > settings.most_pixels:
                            trouble("a picture is damaged")
                        else:
                            yield place, frame
                        if not left:
                            break
                except av.error.FFmpegError as error:
                    trouble(_words(error))
                    continue
                if left:
                    trouble(f"{len(left)} pictures cannot be unpacked")
    except VideoError as error:
        trouble(str(error))


def _decoded(held: Any, stream: Any, wanted: set[int]) -> Iterator[Any]:
    """Pictures from where the file stands on; once the packets of those wanted are fed, what is held back comes."""
    for packet in held.demux(stream):
        yield from packet.decode()
        wanted.discard(packet.pts)
        if not wanted:
            yield from stream.codec_context.decode(None)
            return


def _words(error: BaseException) -> str:
    return (str(getattr(error, "strerror", None) or error).strip().splitlines() or [type(error).__name__])[0][:200]
