"""Whether a data set is still the one that a run read."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sima2.errors import UsageError
from sima2.io.formats.lerobot_index import INFO
from sima2.io.source_id import content_id


def refuse_other(path: Path, known: Collection[str]) -> None:
    """The data must be those that the run read: another set of the same shape would get what belongs to this one.

    Args:
        path: folder of the data set.
        known: ids of the sources that the run read.

    Raises:
        UsageError: if its content is another.
    """
    if not (path / INFO).is_file() or next(path.glob("data/**/*.parquet"), None) is None:
        return  # what is missing is said when it is read; metadata alone may still tell lengths
    found = content_id(path, INFO, "data/**/*.parquet")
    if known and found not in known:
        raise UsageError(
            f"{path} holds the source {found}, the run read {', '.join(sorted(known))}: the data have changed since, "
            "or are others; run again, with --fresh"
        )
