"""Episodes that recorded the same features, so that what is done to their frames is done once for all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import numpy as np

from sima2.io.formats.frame_source import Features, Recorded
from sima2.records.arrays import Int64s

FEWEST_FRAMES: Final = 2
"""With fewer there is no step from frame to frame."""


def alike(recorded: Iterable[Recorded]) -> Iterator[list[Recorded]]:
    """Episodes in order, neighbours together that hold the same features of the same type and width."""
    for kind, together in groupby(recorded, key=_kind):
        if kind is None:
            yield from ([each] for each in together)
        else:
            yield list(together)


def end_to_end(together: Sequence[Recorded]) -> tuple[Features, Int64s]:
    """The frames of alike episodes, and the first frame of each and one past the last, shape (n + 1,)."""
    names = list(together[0].features)
    length = [len(each.features[names[0]]) for each in together]
    features = {name: np.concatenate([each.features[name] for each in together]) for name in names}
    return features, np.concatenate([[0], np.cumsum(length)]).astype(np.int64)


def _kind(recorded: Recorded) -> tuple[Any, ...] | None:
    """What alike episodes have in common; None for one that stands by itself."""
    lengths = {len(values) for values in recorded.features.values()}
    if recorded.trouble is not None or len(lengths) != 1 or min(lengths) < FEWEST_FRAMES:
        return None
    return tuple((name, values.dtype, values.shape[1]) for name, values in recorded.features.items())
