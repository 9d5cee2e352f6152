"""What persons said of outcomes as the file that ``sima2 run --outcomes`` takes."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sima2.errors import UsageError
from sima2.io.documents import reason
from sima2.records.episodes import EpisodeTable
from sima2.records.labels import SaidTable

COLUMNS: Final = ("episode_index", "success", "failed_at_s", "nominal")
ENDINGS: Final = (".csv", ".jsonl")


def outcome_rows(episodes: EpisodeTable, said: SaidTable) -> dict[str, list[dict[str, Any]]]:
    """Rows of the file of each source, under the source's own numbers; what persons disagree on is left out.

    Args:
        episodes: of a run.
        said: of any episodes; those that are not here are left aside.
    """
    at = {name: i for i, name in enumerate(episodes.episode_id)}
    rows: dict[str, list[dict[str, Any]]] = {}
    for each in said.rows():
        i = at.get(each["episode_id"], -1)
        if i < 0 or (math.isnan(each["success"]) and not each["nominal"]):
            continue
        frames, frame = int(episodes.frames[i]), each["failed_at_frame"]
        known = 0 <= frame < frames
        rows.setdefault(episodes.source[i], []).append(
            {
                "episode_index": int(episodes.source_index[i]),
                "success": None if math.isnan(each["success"]) else int(each["success"]),
                "failed_at_s": round(frame * float(episodes.duration_s[i]) / max(frames - 1, 1), 6) if known else None,
                "nominal": 1 if each["nominal"] else None,
            }
        )
    return {source: sorted(mine, key=lambda row: row["episode_index"]) for source, mine in sorted(rows.items())}


def write_outcomes(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a file that is not there yet: csv, or an object a line.

    Raises:
        UsageError: if something is there, its ending is neither ``.csv`` nor ``.jsonl``, or it cannot be written.
    """
    if file.suffix.lower() not in ENDINGS:
        raise UsageError(f"{file}: end its name in {' or '.join(ENDINGS)}")
    try:
        with file.open("x", encoding="utf-8", newline="") as sink:
            if file.suffix.lower() == ".csv":
                writer = csv.DictWriter(sink, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
            else:
                sink.writelines(json.dumps(dict(row)) + "\n" for row in rows)
    except FileExistsError:
        raise UsageError(f"{file} is there already and is never overwritten: name another file") from None
    except OSError as error:
        raise UsageError(f"{file}: cannot be written: {reason(error)}") from None
