"""What ``sima2 generate`` keeps of an episode beyond the LeRobot format, so that it comes back as it was."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from sima2.errors import DatasetError, UnknownNameError
from sima2.io.arrow import plain_rows
from sima2.io.documents import parse_json
from sima2.io.formats.frame_source import Entry
from sima2.io.formats.lerobot_index import OWN
from sima2.io.intake import clean
from sima2.io.outcomes import Ending
from sima2.records.outcome import Outcome
from sima2.records.rollout import OBJECT_CHANNELS, SCENE_CHANNELS, Goal, Layout, RolloutBatch
from sima2.records.vocabulary import OUTCOME_SOURCES

OWN_MAP: Final = "meta/sima2_columns.toml"
"""Column map of a data set written by this program."""
SLOT: Final = "slot_{}"
"""Name of an object's place in the column map; its name in an episode is in the episodes file."""

SCHEMA: Final = pa.schema(
    [
        (f"{OWN}episode_id", pa.string()),
        (f"{OWN}family", pa.string()),
        (f"{OWN}robot", pa.string()),
        (f"{OWN}policy", pa.string()),
        (f"{OWN}session", pa.string()),
        (f"{OWN}instruction", pa.string()),
        (f"{OWN}goal", pa.string()),
        (f"{OWN}debug_mode", pa.bool_()),
        (f"{OWN}provenance", pa.string()),
        (f"{OWN}objects", pa.string()),
        (f"{OWN}channels", pa.string()),
        (f"{OWN}success", pa.float64()),
        (f"{OWN}failed_at_s", pa.float64()),
        (f"{OWN}damage", pa.float64()),
        (f"{OWN}nominal", pa.bool_()),
        (f"{OWN}outcome_source", pa.string()),
    ]
)
"""Columns of the episodes file; ``goal``, ``provenance``, ``objects`` and ``channels`` are JSON."""


def own_columns(batch: RolloutBatch, outcome: Outcome, layouts: Sequence[Layout]) -> dict[str, list[Any]]:
    """The columns of ``SCHEMA`` for the episodes of a batch; ``layouts`` is that of each episode."""
    each = batch.episodes
    plain = {name: list(getattr(each, name)) for name in ("family", "robot", "policy", "session", "instruction")}
    own: dict[str, list[Any]] = {
        "episode_id": list(each.episode_id),
        **plain,
        "goal": [json.dumps(_plain_goal(goal), sort_keys=True) for goal in each.goal],
        "debug_mode": each.debug_mode.tolist(),
        "provenance": [json.dumps(dict(words)) for words in each.provenance],
        "objects": [json.dumps(list(names)) for names in batch.objects],
        "channels": [json.dumps(dict(layout)) for layout in layouts],
        "success": outcome.success.tolist(),
        "failed_at_s": outcome.failed_at_s.tolist(),
        "damage": outcome.damage.tolist(),
        "nominal": outcome.nominal.tolist(),
        "outcome_source": outcome.source.tolist(),
    }
    return {f"{OWN}{name}": values for name, values in own.items()}


@dataclass(frozen=True, slots=True, eq=False)
class OwnEpisodes:
    """The columns of ``SCHEMA`` of a data set that is read."""

    rows: pa.Table
    names: dict[int, str]
    """Id of each episode by ``episode_index``, unique within the data set."""

    @classmethod
    def of(cls, extras: pa.Table, episodes: Sequence[Entry]) -> OwnEpisodes | None:
        """None where the columns are not those that this program writes."""
        if any(extras.schema.get_field_index(field.name) < 0 for field in SCHEMA):
            return None
        if any(not extras.schema.field(field.name).type.equals(field.type) for field in SCHEMA):
            return None
        ids = plain_rows(extras.column(f"{OWN}episode_id"))
        names: dict[int, str] = {}
        taken: set[str] = set()
        for entry in episodes:
            name = clean(ids[entry.row] or "") if entry.row >= 0 else ""
            name = name or f"episode_{entry.episode:06d}"
            name = f"{name}#{entry.episode}" if name in taken else name
            taken.add(name)
            names[entry.episode] = name
        return cls(extras, names)

    def name(self, entry: Entry) -> str:
        """Id of an episode."""
        return self.names[entry.episode]

    def restore(self, entry: Entry, values: dict[str, Any]) -> dict[str, Any]:
        """The values of an episode without the padding that a uniform file needed, and with what was said of it."""
        row = self._row(entry)
        width = _object(row.get("channels"))
        if not width:
            return values
        arms = {
            arm: {
                name: _cut(array, width[f"{arm}.{name}"])
                for name, array in channels.items()
                if f"{arm}.{name}" in width
            }
            for arm, channels in values["manipulators"].items()
        }
        kept = {arm: channels for arm, channels in arms.items() if channels}
        restored = {**values, "manipulators": kept}
        names = [name for name in _parsed(row.get("objects"), []) if isinstance(name, str)]
        for channel in OBJECT_CHANNELS:
            slots = values.get(channel, {}) if channel in width else {}
            restored[channel] = {name: slots[SLOT.format(k)] for k, name in enumerate(names) if SLOT.format(k) in slots}
        for channel in SCENE_CHANNELS:
            if channel in values:
                restored[channel] = _cut(values[channel], width[channel]) if channel in width else None
        restored |= {name: row.get(name) for name in ("family", "robot", "policy", "session", "instruction")}
        restored["goal"] = _goal(_object(row.get("goal")))
        restored["debug_mode"] = bool(row.get("debug_mode"))
        restored["provenance"] = _object(row.get("provenance"))
        return restored

    def ending(self, entry: Entry) -> Ending:
        """How an episode ended, as it was written."""
        row = self._row(entry)
        source = row.get("outcome_source")
        numbers = [row.get(name) for name in ("success", "failed_at_s", "damage")]
        success, failed_at, damage = (math.nan if each is None else float(each) for each in numbers)
        known = source if source in OUTCOME_SOURCES else "none"
        return Ending(success, failed_at, damage, bool(row.get("nominal")), known)

    def _row(self, entry: Entry) -> Mapping[str, Any]:
        if entry.row < 0:
            return {}
        row = self.rows.slice(entry.row, 1)
        return {name.removeprefix(OWN): plain_rows(row.column(name))[0] for name in row.column_names}


def _cut(array: Any, width: Any) -> Any:
    return array[:, :width] if isinstance(width, int) and width > 0 and array.ndim > 1 else np.asarray(array)


def _parsed(text: Any, otherwise: Any) -> Any:
    try:
        value = parse_json(text, "episodes") if isinstance(text, str) else otherwise
    except DatasetError:
        return otherwise
    return value if isinstance(value, type(otherwise)) else otherwise


def _object(text: Any) -> dict[str, Any]:
    return dict(_parsed(text, {}))


def _plain_goal(goal: Goal | None) -> dict[str, Any] | None:
    return None if goal is None else {key: each for key, each in asdict(goal).items() if each is not None}


def _goal(words: Mapping[str, Any]) -> Goal | None:
    tolerance = words.get("tolerance", 0.0)
    place = words.get("place")
    if not words or type(tolerance) not in (int, float):
        return None
    if not (isinstance(place, list) and len(place) == 3 and all(type(each) in (int, float) for each in place)):
        place = None
    try:
        return Goal(
            str(words.get("object", "")),
            str(words.get("target", "")),
            str(words.get("relation", "")),
            float(tolerance),
            None if place is None else (float(place[0]), float(place[1]), float(place[2])),
        )
    except UnknownNameError:
        return None
