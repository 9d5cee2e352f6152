"""A made set as a user has it: a LeRobot v2.1 folder, what people said of the outcomes, and which columns are what."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from sima2.bench.receipts.demonstrations import Episode, Made
from sima2.bench.receipts.world import JOINTS, PLACED, RATE_HZ, hand
from sima2.bench.recordings_maker.layout import Columns as Filled
from sima2.bench.recordings_maker.layout import write_folder
from sima2.io.column_map import ColumnMap, Columns

TASK: Final = "put the cube on the pad"
THINGS: Final = ("cube", "pad", "tray")
GOAL: Final = f"object=cube,target=pad,relation=placed_on,tolerance={PLACED}"
"""What was asked for, as ``--goal`` names it."""
_STATE, _HAND, _THINGS, _ACTION = (
    "observation.state", "observation.hand_position", "observation.environment_state", "action",
)  # fmt: skip
_NAMES: Final = [f"{name}.pos" for name in (*JOINTS, "gripper")]
_VECTORS: Final[dict[str, list[str]]] = {
    _STATE: _NAMES,
    _HAND: ["x", "y", "z"],
    _THINGS: [f"{thing}.{axis}" for thing in THINGS for axis in "xyz"],
    _ACTION: _NAMES,
}


class Filed(NamedTuple):
    """Where a set lies."""

    path: Path
    outcomes: Path
    column_map: Path


def write(folder: Path, made: Made) -> Filed:
    """Write a set into a folder that is not there yet; its truth stays out of it."""
    filed = Filed(folder / "set", folder / "outcomes.csv", folder / "map.toml")
    write_folder(filed.path, "made_arm", round(RATE_HZ), _VECTORS, [TASK], [_columns(each) for each in made.episodes])
    told = [f"{k},{int(label)}\n" for k, label in enumerate(made.labels.tolist()) if not math.isnan(label)]
    filed.outcomes.write_text("episode_index,success\n" + "".join(told), encoding="utf-8")
    filed.column_map.write_text(column_map().to_toml(), encoding="utf-8")
    return filed


def column_map() -> ColumnMap:
    """Which columns are what, as a user writes it down."""
    joints = tuple(range(len(JOINTS)))
    return ColumnMap(
        arms={
            "arm": {
                "joint_position": Columns(_STATE, joints, "rad"),
                "joint_command": Columns(_ACTION, joints, "rad"),
                "gripper_width": Columns(_STATE, (len(JOINTS),), "m"),
                "ee_position": Columns(_HAND, (0, 1, 2), "m"),
            }
        },
        objects={
            thing: {"object_position": Columns(_THINGS, (3 * k, 3 * k + 1, 3 * k + 2), "m")}
            for k, thing in enumerate(THINGS)
        },
        scene={"action": Columns(_ACTION)},
    )


def _columns(episode: Episode) -> Filled:
    values = (episode.state, hand(episode.state[:, :4]), episode.things, episode.action)
    vectors = {name: each.astype(np.float32) for name, each in zip(_VECTORS, values, strict=True)}
    index = np.arange(len(episode))
    return Filled(vectors, index / RATE_HZ, index)
