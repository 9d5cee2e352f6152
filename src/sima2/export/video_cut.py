"""Videos cut at a frame: the packets as they are where a key frame allows it, else encoded anew (extra ``video``)."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from sima2.errors import DatasetError, MissingExtraError

COPIED, ENCODED = "copied", "encoded"
"""Ways in which a video is cut: its packets as they are, or its pictures encoded anew."""
ENCODERS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "av1": ("libsvtav1", {"crf": "30", "preset": "8"}),
    "h264": ("libx264", {"crf": "18"}),
    "hevc": ("libx265", {"crf": "20"}),
}
"""Codec of the source to encoder and its settings. AV1: constant quality 30 as LeRobot writes (v0.3.3,
``encode_video_frames``); others: close to what the eye cannot tell, for they were encoded once before."""
GROUP: Final = 2
"""Pictures from one key frame to the next, as LeRobot writes them so that any is found quickly (same place)."""


def need_av() -> None:
    """Refuse to begin what could not be ended.

    Raises:
        MissingExtraError: if PyAV is not installed.
    """
    try:
        import av.error  # noqa: F401
    except ImportError:
        raise MissingExtraError("PyAV, which cuts videos (--keep-whole needs it not),", "video") from None


def cut_video(source: Path, target: Path, start: int, stop: int) -> str:
    """The frames ``start`` to ``stop`` of a video as a video that begins at 0.

    Args:
        source: has one stream of pictures at an even rate.
        target: new file.
        start: first frame, counted from 0.
        stop: one past the last.

    Returns:
        ``COPIED`` where the first frame is a key frame and no picture is shown out of order; else ``ENCODED``.

    Raises:
        MissingExtraError: if PyAV is not installed.
        DatasetError: if the source is damaged or has fewer frames.
    """
    need_av()
    import av

    try:
        order = _packets(av, source)
    except (av.error.FFmpegError, IndexError) as error:
        raise DatasetError(source, f"cannot be read as video: {error}") from None
    if len(order) < stop:
        problem = f"has {len(order)} frames, {stop} were expected"
        raise DatasetError(source, problem, "keep episodes whole: --keep-whole")
    plain = all(shown == stored for shown, stored, _ in order)
    try:
        if plain and order[start][2]:
            _copy(av, source, target, order[start][0], stop - start)
            return COPIED
        _encode(av, source, target, start, stop)
    except av.error.FFmpegError as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise DatasetError(source, f"cannot be cut: {error}") from None
    return ENCODED


def _packets(av: Any, source: Path) -> list[tuple[int, int, bool]]:
    """Of each picture in the order shown: when it is shown, when it is stored for, and whether it is a key frame."""
    with av.open(str(source)) as held:
        found = [
            (int(each.pts), int(each.dts if each.dts is not None else each.pts), bool(each.is_keyframe))
            for each in held.demux(held.streams.video[0])
            if each.pts is not None and each.size
        ]
    return sorted(found)


def _copy(av: Any, source: Path, target: Path, begin: int, frames: int) -> None:
    with av.open(str(source)) as held, av.open(str(target), "w", format="mp4") as made:
        old = held.streams.video[0]
        new = made.add_stream_from_template(old, opaque=True)
        left = frames
        for packet in held.demux(old):
            if packet.pts is None or not packet.size or packet.pts < begin:
                continue
            if not left:
                break
            left -= 1
            packet.pts, packet.dts = packet.pts - begin, packet.dts - begin
            packet.stream = new
            made.mux(packet)


def _encode(av: Any, source: Path, target: Path, start: int, stop: int) -> None:
    with av.open(str(source)) as held, av.open(str(target), "w", format="mp4") as made:
        old = held.streams.video[0]
        old.thread_type = "AUTO"
        rate = old.average_rate or Fraction(30)
        name, options = ENCODERS.get(old.codec_context.name.removeprefix("lib").replace("dav1d", "av1"), ("", {}))
        if name not in av.codecs_available:
            name, options = ENCODERS["h264"]
        new = made.add_stream(name, rate=rate, options={**options, "g": str(GROUP)})
        new.width, new.height = old.codec_context.width, old.codec_context.height
        new.pix_fmt = "yuv420p"
        new.time_base = 1 / Fraction(rate)
        at = 0
        for frame in held.decode(old):
            if at >= stop:
                break
            if at >= start:
                frame.pts, frame.time_base = at - start, 1 / Fraction(rate)
                frame.pict_type = 0
                made.mux(new.encode(frame))
            at += 1
        made.mux(new.encode(None))
        if at < stop:
            raise DatasetError(source, f"holds {at} pictures that can be read, {stop} were expected")
