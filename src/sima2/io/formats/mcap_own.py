"""What ``sima2 generate`` keeps of an episode in an MCAP file beyond its messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from sima2.errors import DatasetError
from sima2.io.documents import parse_json
from sima2.io.formats.frame_source import Entry
from sima2.io.formats.lerobot_index import OWN
from sima2.io.formats.lerobot_own import SCHEMA, OwnEpisodes

OWN_RECORD: Final = "sima2"
"""Name of the metadata record that holds it, under ``episode``, in JSON."""


def own_text(row: dict[str, Any]) -> str:
    """A row of ``SCHEMA`` as it is written."""
    return json.dumps(row, sort_keys=True)


def own_rows(texts: Sequence[str]) -> list[dict[str, Any]] | None:
    """What all episodes bring along, as rows of ``SCHEMA``; None where any does not."""
    rows = []
    for text in texts:
        try:
            row = parse_json(text, "episode") if text else None
        except DatasetError:
            return None
        if not isinstance(row, dict):
            return None
        rows.append({name: row.get(name) for name in SCHEMA.names})
    return rows


def first_of_each_kind(rows: Sequence[dict[str, Any]]) -> list[int]:
    """The place of the first episode of each set of channels and number of objects."""
    first: dict[str, int] = {}
    for place, row in enumerate(rows):
        objects = str(row.get(f"{OWN}objects")).count(",")
        first.setdefault(f"{row.get(f'{OWN}channels')} {objects}", place)
    return list(first.values())


def own_episodes(rows: Sequence[dict[str, Any]], entries: Sequence[Entry]) -> OwnEpisodes | None:
    """Rows as a table; None where they are not as this program writes them."""
    try:
        table = pa.Table.from_pylist(rows, schema=SCHEMA)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return None
    return OwnEpisodes.of(table, entries)
