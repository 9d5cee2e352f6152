"""Which frames a recorded data set of any format holds, and how it numbers them."""

from __future__ import annotations

from pathlib import Path

from sima2.io.formats import open_frames
from sima2.io.formats.frame_source import FrameRows as FrameRows
from sima2.records.arrays import Int64s


def frame_numbers(path: Path) -> dict[int, Int64s]:
    """What the data set numbers the frames of each episode by, in their order.

    Raises:
        DatasetError: if its metadata cannot be read.
    """
    return frame_rows(path).by_episode()


def frame_rows(path: Path) -> FrameRows:
    """The frames of a data set.

    Raises:
        DatasetError: if its metadata cannot be read.
    """
    return open_frames(path).frame_rows()
