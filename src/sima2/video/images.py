"""Single pictures: packed ones unpacked within bounds, small ones packed."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import Any, Final

from sima2.video.reader import VideoError
from sima2.video.video_settings import VideoSettings

PNG: Final = b"\x89PNG\r\n\x1a\n"
JPEG: Final = b"\xff\xd8\xff"
QUALITIES: Final = (60, 35, 15, 1)
"""Of WebP, from what looks well to what is small."""
SCALES: Final = (4, 8, 16, 31)
"""Of JPEG, the same."""


def media_type(data: bytes) -> str:
    """``image/png``, ``image/jpeg``, or nothing.

    >>> media_type(PNG), media_type(b"GIF89a")
    ('image/png', '')
    """
    if data.startswith(PNG):
        return "image/png"
    return "image/jpeg" if data.startswith(JPEG) else ""


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height as the head of a PNG or JPEG tells them.

    Raises:
        VideoError: if it is neither, or tells none.
    """
    if data.startswith(PNG) and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return int(width), int(height)
    at = 2
    while data.startswith(JPEG) and at + 9 < len(data):
        if data[at] != 0xFF:
            break
        kind = data[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return int(width), int(height)
        at += 1 if kind == 0xFF else 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    raise VideoError("is no PNG or JPEG picture")


def unpacked(data: bytes, settings: VideoSettings) -> Any:
    """A PNG or JPEG picture as ``av.VideoFrame``.

    Raises:
        VideoError: if it is neither, damaged, or larger than any.
    """
    import av
    import av.error

    width, height = size_of(data)
    if not 0 < width * height <= settings.most_pixels:
        raise VideoError(f"a picture of {width} × {height} pixels is not unpacked")
    try:
        context: Any = av.CodecContext.create("png" if data.startswith(PNG) else "mjpeg", "r")
        context.options = {"max_pixels": str(settings.most_pixels), "threads": "1"}
        found = [*context.decode(av.Packet(data)), *context.decode(None)]
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoError(f"a picture is damaged: {error}") from None
    if not found or found[0].is_corrupt:
        raise VideoError("a picture is damaged")
    return found[0]


def small(frame: Any, settings: VideoSettings) -> tuple[str, bytes]:
    """A thumbnail, as media type and bytes: WebP, or JPEG where there is no encoder for it; of ``thumb_bytes`` at most.

    Raises:
        VideoError: if it cannot be made.
    """
    import av

    width = min(settings.thumb_width, frame.width)
    height = max(2, round(frame.height * width / frame.width))
    webp = "libwebp" in av.codecs_available
    for level in QUALITIES if webp else SCALES:
        scaled = frame.reformat(width=width, height=min(height, 4 * width), format="yuv420p" if webp else "yuvj420p")
        data = _packed(scaled, "libwebp", {"quality": str(level)}) if webp else _packed(scaled, "mjpeg", _scale(level))
        if len(data) <= settings.thumb_bytes:
            return ("image/webp" if webp else "image/jpeg"), data
    raise VideoError(f"a picture cannot be packed into {settings.thumb_bytes} bytes")


def jpeg(frame: Any) -> bytes:
    """A whole picture as JPEG of high quality.

    Raises:
        VideoError: if it cannot be made.
    """
    return _packed(frame.reformat(format="yuvj420p"), "mjpeg", _scale(3))


def _scale(level: int) -> dict[str, str]:
    return {"qmin": str(level), "qmax": str(level), "flags": "+bitexact"}


def _packed(frame: Any, codec: str, options: dict[str, str]) -> bytes:
    import av
    import av.error

    try:
        context: Any = av.CodecContext.create(codec, "w")
        context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
        context.time_base = Fraction(1, 25)
        context.options = options
        frame.pts = 0
        frame.pict_type = 0
        return b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)])
    except (av.error.FFmpegError, ValueError) as error:
        raise VideoError(f"a picture cannot be packed: {error}") from None
