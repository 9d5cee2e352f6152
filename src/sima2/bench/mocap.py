"""A human arm that picks and places, marked by people: what the engine makes of the hand's path alone.

Data: dfki-ric vMCI_segmentation (BSD-3-Clause): marker tracks in mm, and manual segments in frames of the recording.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from sima2.bench.segment_measures import boundary_hits
from sima2.records.arrays import Float64s
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.records.segments import SegmentTable
from sima2.segmentation_engine import SegmentationEngine

FOLDER: Final = Path("../shared/data/mocap_pick_place")
"""Where the data lie beside a checkout."""
TOLERANCE_S: Final = 0.1
MARKERS: Final = ("Hand top", "Hand right", "Hand left")
"""Their mean is the hand."""
FINGERS: Final = ("Thumb", "Index")
"""What is between them is the width of the grip."""
DRAWS: Final = 200
"""Of the random control."""


class Recording(NamedTuple):
    """One recording."""

    time: Float64s
    """s, shape (t,)."""
    hand: Float64s
    """m, shape (t, 3); NaN where it was not seen."""
    grip: Float64s
    """m between thumb and index finger, shape (t,); NaN where one was not seen."""
    first: int
    """Number of the first frame."""


def boundaries_of_people(folder: Path) -> dict[str, Any]:
    """Boundary F1 of the engine, of plain speed minima and of controls against manual segments.

    Starts and ends of whole manual segments count (not of their parts), those within the tolerance of each other
    once, those at the ends of a recording not at all. The engine sees the path of the hand alone, and once more the
    width between the fingers too. The controls put as many boundaries as the engine at even distances, and at random.
    """
    if not (folder / "markers.csv").is_file():
        return {"available": False, "why": f"no recordings in {folder}"}
    manual = _manual(folder / "segments.csv")
    runs = _hands(folder / "markers.csv")
    table = _segments(runs, fingers=False)
    cuts = {
        "engine": _starts(table, runs),
        "engine_with_fingers": _starts(_segments(runs, fingers=True), runs),
        "speed_minima": {name: speed_minima(run.time, run.hand) for name, run in runs.items()},
    }
    count = {name: len(each) for name, each in cuts["engine"].items()}
    cuts["evenly_spaced"] = {
        name: np.linspace(0, len(run.time), count[name] + 2)[1:-1].astype(int).tolist() for name, run in runs.items()
    }
    actual = {}
    for name, run in runs.items():
        # times are rounded to 10 µs
        near = int(TOLERANCE_S / float(np.median(np.diff(run.time))) + 0.01)
        actual[name] = (_apart([frame - run.first for frame in manual.get(name, ())], near, len(run.time)), near)
    random = [
        _f1({name: _anywhere(count[name], len(run.time), draw) for name, run in runs.items()}, actual)
        for draw in range(DRAWS)
    ]
    length = table.end_frame - table.start_frame
    return {
        "available": True,
        "runs": len(runs),
        "boundaries": sum(len(each) for each, _ in actual.values()),
        **{f"{name}_boundary_f1": _f1(mine, actual) for name, mine in cuts.items()},
        "random_boundary_f1": float(np.mean(random)),
        "unknown_share": float(length[table.label.isin("unknown")].sum() / max(length.sum(), 1)),
    }


def _segments(runs: Mapping[str, Recording], *, fingers: bool) -> SegmentTable:
    rollouts = [
        Rollout(
            episode_id=name,
            time=run.time - run.time[0],
            ee_position=run.hand.astype(np.float32),
            gripper_width=run.grip.astype(np.float32) if fingers else None,
        )
        for name, run in runs.items()
    ]
    return SegmentationEngine().segment(RolloutBatch.from_rollouts(rollouts))


def _starts(table: SegmentTable, runs: Mapping[str, Recording]) -> dict[str, list[int]]:
    return {name: [a for a in table.start_frame[table.episode_id.isin(name)].tolist() if a > 0] for name in runs}


def _anywhere(count: int, length: int, draw: int) -> list[int]:
    drawn = np.random.default_rng([draw, length]).integers(1, max(length, 2), count)
    out: list[int] = np.sort(drawn).tolist()
    return out


def speed_minima(time: Float64s, hand: Float64s) -> list[int]:
    """Frames where the smoothed speed of a path is least within 0.25 s either way."""
    step = float(np.median(np.diff(time)))
    filled = np.column_stack([np.interp(time, time[~np.isnan(x)], x[~np.isnan(x)]) for x in hand.T])
    speed = np.sqrt((np.gradient(filled, time, axis=0) ** 2).sum(axis=1))
    width, reach = max(1, round(0.15 / step)), max(1, round(0.25 / step))
    if len(speed) < 2 * reach + 1:
        return []
    speed = np.convolve(speed, np.ones(width) / width, "same")
    least = np.lib.stride_tricks.sliding_window_view(np.pad(speed, reach, mode="edge"), 2 * reach + 1).min(axis=1)
    return [i for i in np.flatnonzero(speed == least).tolist() if reach <= i < len(speed) - reach]


def _manual(path: Path) -> dict[str, list[int]]:
    out: dict[str, list[int]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["is_part"] != "True":
                out.setdefault(row["run"], []).extend((int(row["start"]), int(row["end"])))
    return out


def _hands(path: Path) -> dict[str, Recording]:
    rows: dict[str, list[list[float]]] = {}
    columns = [f"{marker} {axis}" for marker in (*MARKERS, *FINGERS) for axis in "XYZ"]
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            values = [row["Frame"], row["Time"], *(row[column] for column in columns)]
            rows.setdefault(row["run"], []).append([float(each or "nan") for each in values])
    out = {}
    for name, recorded in rows.items():
        table = np.array(recorded)
        place = table[:, 2:].reshape(len(table), -1, 3) / 1000
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a frame in which no marker was seen
            hand = np.nanmean(place[:, : len(MARKERS)], axis=1)
        grip = np.linalg.norm(place[:, -2] - place[:, -1], axis=1)
        out[name] = Recording(table[:, 1], hand, grip, int(table[0, 0]))
    return out


def _apart(frames: Sequence[int], near: int, length: int) -> list[int]:
    kept: list[int] = []
    for frame in sorted(set(frames)):
        if near < frame < length - near and (not kept or frame - kept[-1] > near):
            kept.append(frame)
    return kept


def _f1(cuts: Mapping[str, list[int]], actual: Mapping[str, tuple[list[int], int]]) -> float:
    hits = sum(boundary_hits(cuts[name], true, near) for name, (true, near) in actual.items())
    return 2 * hits / max(sum(len(cuts[name]) + len(true) for name, (true, _) in actual.items()), 1)
