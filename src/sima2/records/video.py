"""Videos of recorded episodes: where they lie, what is kept of them, and what was measured in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from sima2.records.arrays import Bools, Float32s, Float64s, Int64s
from sima2.records.meanings import END_FRAME, EPISODE_ID, EPISODE_INDEX, START_FRAME, one_of
from sima2.records.table import Table, Text, column, matrix, text

MOMENTS: Final = ("start", "grasp", "failure", "recovery", "release", "end")
"""Moments of an episode of which a picture is kept."""
CELLS: Final = 8
"""Places along each side of the coarse last picture."""
_CAMERA: Final = "Name of the camera: the feature of the data set that holds its pictures."


class Clip(NamedTuple):
    """Where the pictures of one camera over one episode lie."""

    path: Path
    """File, links followed; inside the data set."""
    begin_s: float
    """When the episode begins in it; 0 in a file of its own."""
    end_s: float
    """When it ends; infinite where only the file itself tells."""
    mime: str
    """Media type of the file; ``IN_ROWS`` where the pictures are rows of a Parquet file."""
    camera: str
    episode: int
    """The data set's own number."""
    fps: float
    """Pictures a second, as the data set declares."""
    alone: bool
    """Whether the file holds no other episode: all its pictures are of this one."""

    @property
    def in_rows(self) -> bool:
        """Whether the pictures are rows of a Parquet file."""
        return self.mime == IN_ROWS


IN_ROWS: Final = "application/vnd.apache.parquet"


@dataclass(frozen=True, eq=False)
class ThumbnailTable(Table):
    """Small pictures of the moments that matter."""

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    camera: Text = text(_CAMERA)
    frame: Int64s = column(np.int64, "Frame of the picture, counted from the episode's start.", unit="frame")
    moment: Text = text(f"What happens there: {one_of(MOMENTS)}.")
    media_type: Text = text("Of the picture: `image/webp`, or `image/jpeg` where there is no encoder for that.")
    data: Text = text("The picture, as base64.")


@dataclass(frozen=True, eq=False)
class LastFrameTable(Table):
    """The last picture of each camera of an episode, very coarse: what can be compared without an eye."""

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    camera: Text = text(_CAMERA)
    values: Float32s = matrix(
        np.float32,
        f"Mean red, green and blue of {CELLS} by {CELLS} fields, row by row from the top left, 0 to 1.",
        unit="1",
    )


@dataclass(frozen=True, eq=False)
class CameraTable(Table):
    """What was measured in the pictures of a camera over an episode; what only other episodes can judge."""

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    camera: Text = text(_CAMERA)
    here: Bools = column(np.bool_, "Whether its file is there.")
    missing: Text = text("Why its file is not; empty where it is.")
    frames: Int64s = column(np.int64, "Frames of the episode in the table.", unit="frames")
    pictures: Int64s = column(np.int64, "Pictures that the video holds of it.", unit="frames")
    clock: Float64s = column(
        np.float64,
        "Time that the pictures take over that of as many frames in the table; NaN where one takes none.",
        unit="1",
    )
    decoded: Int64s = column(np.int64, "Pictures that were unpacked to judge it.", unit="frames")
    moving: Int64s = column(np.int64, "Spans between two looks in which the robot moves.")
    standing: Int64s = column(np.int64, "Those in which the picture stands.")
    stand_start: Int64s = column(
        np.int64,
        f"{START_FRAME} Of the longest stretch to the end in which the picture stands while the robot moves.",
        unit="frame",
    )
    stand_end: Int64s = column(np.int64, f"{END_FRAME} 0 where there is none.", unit="frame")
    stand_spans: Int64s = column(np.int64, "Moving spans that lie within it.")
    repeats: Float64s = column(
        np.float64, "Share of pictures that are the one before over again while the robot moves.", unit="1"
    )
    agreement: Float32s = matrix(
        np.float32,
        "Correlation of the picture's change with the robot's motion, if the picture came 1 s earlier, 0.95 s earlier, "
        "… 1 s later; NaN where nothing tells.",
        unit="1",
    )
    period_s: Float64s = column(np.float64, "Time between two pictures.", unit="s")
