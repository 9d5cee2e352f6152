"""Does a given column map make sense on the data it is given for?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from sima2.errors import DatasetError
from sima2.io.column_map import ColumnMap, Columns
from sima2.io.column_units import extent
from sima2.records.arrays import Float64s

FULL_TURN_DEG: Final = 2.0 * math.pi * 1.05
"""Joints said to be in degrees whose largest value is no more than a turn in radians are most likely in radians."""
TURNS_RAD: Final = 4.0 * math.pi
"""Joints said to be in radians that go beyond two turns are most likely in degrees."""
STANDS_STILL: Final = 0.02
"""An opening that never changes by that share tells nothing."""


def check_indices(file: Path, columns: ColumnMap, widths: Mapping[str, int]) -> None:
    """Every index must be a column of its feature.

    Raises:
        DatasetError: naming the file, the section, the index and how many columns there are.
    """
    for name, each in columns.entries().items():
        worst = max(each.index or (0,))
        if worst >= widths[each.feature]:
            raise DatasetError(
                file,
                f"[{name}] asks for column {worst} of {each.feature!r}",
                f"it has {widths[each.feature]}, counted from 0",
            )
    for arm, parts in columns.residuals.items():
        for part, residual in parts.items():
            for feature, index in ((residual.feature, residual.index), (residual.state, residual.state_index)):
                if max(index) >= widths[feature]:
                    raise DatasetError(
                        file,
                        f"[arms.{arm}.effort_proxy.{part}] asks for column {max(index)} of {feature!r}",
                        f"it has {widths[feature]}, counted from 0",
                    )


def doubts(columns: ColumnMap, sample: Mapping[str, Float64s]) -> list[str]:
    """What looks wrong, in sentences; values of the features in a sample of frames, shape (t, w) each."""
    found = []
    for name, each in columns.entries().items():
        values = sample.get(each.feature)
        if values is None or not len(values):
            continue
        values = values if each.index is None else values[:, list(each.index)]
        channel = name.rpartition(".")[2]
        if channel == "joint_position":
            found += _angles(name, each, values)
        if channel.startswith("gripper") and each.kind != "share":
            found.append(f"{name} is mapped with kind {each.kind!r}: whether grasps hold is left open")
        if channel == "gripper_opening":
            with np.errstate(invalid="ignore", divide="ignore"):
                opening = each.read(channel, sample)
            if float(np.nanmax(opening, initial=-1.0) - np.nanmin(opening, initial=2.0)) < STANDS_STILL:
                found.append(f"{name} never changes as it is mapped: are its ends, closed and open, right?")
    return found


def _angles(name: str, columns: Columns, values: Float64s) -> list[str]:
    """What the sizes of joints, shape (t, j), say against their units; a wild sample or a wheel says nothing."""
    units = np.array(columns.units or (columns.unit,) * values.shape[1])
    spans, sizes = np.array([extent(column) for column in values.T]).reshape(-1, 2).T
    degrees, radians = units == "deg", units == "rad"
    found = []
    if degrees.any() and sizes[degrees].max() < FULL_TURN_DEG:
        found.append(f"{name} is said to be in deg, but never leaves ±{sizes[degrees].max():.3g}: is it in rad?")
    if 2 * np.count_nonzero(spans[radians] > TURNS_RAD) > np.count_nonzero(radians):
        found.append(f"{name} is said to be in rad, but reaches {sizes[radians].max():.3g}: is it in deg?")
    return found
