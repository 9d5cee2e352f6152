"""Episodes that are no rollouts: well-formed nonsense, and records that cannot even be loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sima2.records.arrays import Int64s
from sima2.records.table import Text
from sima2.tasks.columns import Channels
from sima2.tasks.design import WELL_FORMED

_LOST: Final = 0.6
"""Share of the samples that bursts take away."""
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Malformed:
    """An episode as its source would hand it over, before any check."""

    episode_index: int
    episode_id: str
    kind: str
    values: Mapping[str, Any]
    """Keyword arguments of ``Rollout``."""


def malformed(row: Mapping[str, Any], rng: np.random.Generator) -> Malformed:
    """One malformed episode, as a row of a plan asks for it."""
    kind = row["garbage"]
    frames = {"empty": 0, "one_frame": 1, "million_steps": _MILLION}.get(kind, int(rng.integers(60, 200)))
    time = np.arange(frames) * 0.05
    position = rng.standard_normal((frames, 3), dtype=np.float32).cumsum(axis=0) * np.float32(0.002)
    values: dict[str, Any] = {
        "episode_id": row["episode_id"],
        "family": row["family"],
        "time": time,
        "ee_position": position,
        "gripper_width": np.abs(rng.standard_normal(frames, dtype=np.float32)) * np.float32(0.02),
    }
    middle = frames // 2
    if kind == "invalid_utf8":
        values["instruction"] = b"open the dr\xffwer \xc3\x28".decode("utf-8", "surrogateescape")
        values["session"] = "s\x00\udc80"
    elif kind == "future_time":
        values["time"] = time + 4.1e9
    elif kind == "negative_time":
        values["time"] = time - 3.0
    elif kind == "duplicate_time":
        time[middle] = time[middle - 1]
    elif kind == "backward_time":
        time[middle:] -= 1.0
    elif kind == "nan_time":
        time[middle] = np.nan
    elif kind == "infinite_position":
        position[middle, 1] = np.inf
    elif kind == "mixed_dimensions":
        values["joint_position"] = np.zeros((frames - 7, 5), np.float32)
    elif kind == "no_signal":
        del values["ee_position"], values["gripper_width"]
    return Malformed(row["episode_index"], row["episode_id"], kind, values)


def spoil(channels: Channels, kinds: Text, offset: Int64s, generators: Sequence[np.random.Generator]) -> None:
    """Turn the episodes that are to be well-formed garbage into it, in place.

    A zero-width gripper is odd but no garbage: its rollout stays what it was.
    """
    for row in np.flatnonzero(kinds.isin(*WELL_FORMED)).tolist():
        where = slice(int(offset[row]), int(offset[row + 1]))
        kind, rng = kinds[row], generators[row]
        if kind == "zero_width_gripper":
            channels["gripper_width"][where] = 0.0
            continue
        for column in channels.values():
            values = column[where]
            if kind == "white_noise":
                values[:] = rng.standard_normal(values.shape, dtype=np.float32)
            elif kind == "frozen":
                values[:] = values[0]
            else:
                values[rng.random(len(values)) < _LOST] = np.nan
