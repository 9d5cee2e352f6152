"""Which frames a recorded data set of any format holds, and how it numbers them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sima2.io.formats import open_frames
from sima2.io.formats.frame_source import FrameRows as FrameRows


def frame_numbers(path: Path) -> dict[int, NDArray[np.int64]]:
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
