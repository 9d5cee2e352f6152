"""Whether a data set is still the one that a run read."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from sima2.errors import DatasetError, UsageError
from sima2.io.formats import source_id_of


def refuse_other(path: Path, known: Collection[str]) -> None:
    """The data must be those that the run read: another set of the same shape would get what belongs to this one.

    Args:
        path: the data set.
        known: ids of the sources that the run read.

    Raises:
        UsageError: if its content is another.
    """
    try:
        found = source_id_of(path)
    except DatasetError:
        return  # what is wrong with it is said when it is read
    if found is not None and known and found not in known:
        raise UsageError(
            f"{path} holds the source {found}, the run read {', '.join(sorted(known))}: the data have changed since, "
            "or are others; run again, with --fresh"
        )
