"""Measures of episodes as they are written down: every column of them is what a test says, the rest tells nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from sima2.defects.findings import Finding
from sima2.records.defects import LIMITS, POINTS, SKETCH, SLOTS, EpisodeMeasures
from sima2.records.table import Text

ARM, FRAMES, PERIOD = "arm", 100, 0.05
GRIPPER = SLOTS - 1
HAND = SLOTS - 4
_WIDE = {
    "span": SLOTS,
    "noise": SLOTS,
    "low": SLOTS,
    "offset": SLOTS,
    "offset_spread": SLOTS,
    "signature": SLOTS * POINTS,
    "whole": SLOTS * POINTS,
    "command_extent": 2 * SLOTS,
    "limits": 5 * LIMITS,
    "sketch": SKETCH,
}
_USUAL: dict[str, Any] = {
    "manipulator": ARM,
    "task": "put it in",
    "family": "put",
    "robot": "r",
    "frames": FRAMES,
    "duration_s": FRAMES * PERIOD,
    "period_s": PERIOD,
    "moving_end": FRAMES,
    "layout": "3 joints",
}


def measures(n: int, **columns: Any) -> EpisodeMeasures:
    """One row for each of ``n`` episodes e0, e1, …; a column is one value for all, or one for each."""
    made: dict[str, Any] = {}
    for each in EpisodeMeasures.declared():
        name, shape = each.name, (n, _WIDE[each.name]) if each.ndim == 2 else (n,)
        if name == "episode_id":
            index = np.broadcast_to(columns.get("episode_index", np.arange(n)), n)
            value: Any = [f"e{k}" for k in index.tolist()]
        elif name in columns:
            value = columns[name]
        elif each.dtype is not None and each.dtype.kind == "f":
            value = _USUAL.get(name, np.nan if each.ndim == 2 or name == "tracking" else 1.0)
        else:
            value = _USUAL.get(name, np.arange(n) if name == "episode_index" else 0)
        if each.dtype is None:
            made[name] = Text.full(n, value) if isinstance(value, str) else Text.of(value)
        else:
            made[name] = np.broadcast_to(np.asarray(value, each.dtype), shape)
    # moving episodes, none of them a copy
    made["content"] = made["content"] if "content" in columns else np.arange(1, n + 1)
    return EpisodeMeasures(**made)


def courses(values: Any, *, slot: int = 0) -> Any:
    """Columns of which some slots, the first of them ``slot``, take a course: shape (n, SLOTS × POINTS).

    Args:
        values: shape (n, slots, POINTS).
        slot: first of them.
    """
    given = np.asarray(values, np.float64)
    out = np.full((len(given), SLOTS, POINTS), np.nan)
    out[:, slot : slot + given.shape[1]] = given
    return out.reshape(len(given), -1)


def slots(values: Any, *, slot: int = 0) -> Any:
    """The same of one number a slot: shape (n, SLOTS)."""
    given = np.asarray(values, np.float64)
    out = np.full((len(given), SLOTS), np.nan)
    out[:, slot : slot + given.shape[1]] = given
    return out


def told(findings: Any, kind: str = "") -> list[int]:
    """Rows of findings of a kind."""
    found: list[Finding] = [each for each in findings if not kind or each.defect == kind]
    return [each.episode for each in found]
