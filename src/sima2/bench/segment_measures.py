"""The field's measures of a segmentation: frame accuracy, edit score, F1@k, boundary F1, outcome confusion.

Counts are integers per episode and are summed over the corpus before any ratio is taken.

Source: Lea et al., Temporal Convolutional Networks for Action Segmentation and Detection, CVPR 2017 (edit score and
segmental F1@k with overlap threshold k %).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

Span = tuple[str, int, int]
"""Label and half-open frames."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Summable counts over episodes."""

    frames: int = 0
    frames_right: int = 0
    edit: float = 0.0
    episodes: int = 0
    true_positive: dict[int, int] = field(default_factory=dict)
    predicted: int = 0
    actual: int = 0
    boundary_hits: int = 0
    boundaries_predicted: int = 0
    boundaries_actual: int = 0

    def __add__(self, other: Counts) -> Counts:
        both: dict[str, Any] = {}
        for each in fields(self):
            a, b = getattr(self, each.name), getattr(other, each.name)
            both[each.name] = {k: a.get(k, 0) + b.get(k, 0) for k in sorted({*a, *b})} if isinstance(a, dict) else a + b
        return Counts(**both)

    @property
    def accuracy(self) -> float:
        """Share of frames with the right label."""
        return self.frames_right / max(self.frames, 1)

    @property
    def edit_score(self) -> float:
        """0–100, mean over episodes."""
        return 100.0 * self.edit / max(self.episodes, 1)

    def f1(self, overlap: int) -> float:
        """0–100, segments that overlap a true one of the same label by at least ``overlap`` %."""
        return 100.0 * 2 * self.true_positive.get(overlap, 0) / max(self.predicted + self.actual, 1)

    @property
    def boundary_f1(self) -> float:
        """0–1, boundaries within the tolerance, each matched once."""
        return 2 * self.boundary_hits / max(self.boundaries_predicted + self.boundaries_actual, 1)


def count(
    predicted: Sequence[Span], actual: Sequence[Span], *, tolerance: int, overlaps: Sequence[int] = (10, 25, 50)
) -> Counts:
    """Counts of one episode; ``tolerance`` of boundaries in frames.

    >>> c = count([("a", 0, 5), ("b", 5, 10)], [("a", 0, 4), ("b", 4, 10)], tolerance=1)
    >>> c.accuracy, c.edit_score, c.f1(50), c.boundary_f1
    (0.9, 100.0, 100.0, 1.0)
    """
    end = max([stop for _, _, stop in actual], default=0)
    names = sorted({label for label, _, _ in (*predicted, *actual)})
    code = {name: i for i, name in enumerate(names)}
    frames = []
    for spans in (predicted, actual):
        column = np.full(end, -1)
        for label, start, stop in spans:
            column[start:stop] = code[label]
        frames.append(column)
    hits = {overlap: len(matches(predicted, actual, overlap / 100)) for overlap in overlaps}
    cut = [[start for _, start, _ in spans if 0 < start < end] for spans in (predicted, actual)]
    return Counts(
        frames=end,
        frames_right=int((frames[0] == frames[1]).sum()),
        edit=_edit([label for label, _, _ in predicted], [label for label, _, _ in actual]),
        episodes=1,
        true_positive=hits,
        predicted=len(predicted),
        actual=len(actual),
        boundary_hits=boundary_hits(cut[0], cut[1], tolerance),
        boundaries_predicted=len(cut[0]),
        boundaries_actual=len(cut[1]),
    )


def matches(predicted: Sequence[Span], actual: Sequence[Span], least: float) -> list[int]:
    """Which predicted spans overlap a true one of their label, each matched once, by at least a share of the union."""
    return [k for k, _ in pairs(predicted, actual, least)]


def pairs(predicted: Sequence[Span], actual: Sequence[Span], least: float) -> list[tuple[int, int]]:
    """Indices of predicted spans and of the true ones they match."""
    used = [False] * len(actual)
    found = []
    for k, (label, start, stop) in enumerate(predicted):
        best, where = 0.0, -1
        for i, (name, a, b) in enumerate(actual):
            if name != label:
                continue
            union = max(stop, b) - min(start, a)
            share = (min(stop, b) - max(start, a)) / union if union > 0 else 0.0
            if share > best:
                best, where = share, i
        if where >= 0 and best >= least and not used[where]:
            used[where] = True
            found.append((k, where))
    return found


def _edit(predicted: Sequence[str], actual: Sequence[str]) -> float:
    m, n = len(predicted), len(actual)
    if not m and not n:
        return 1.0
    row = list(range(n + 1))
    for i in range(1, m + 1):
        diagonal, row[0] = row[0], i
        for j in range(1, n + 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (predicted[i - 1] != actual[j - 1]))
    return 1.0 - row[n] / max(m, n)


def boundary_hits(predicted: Sequence[int], actual: Sequence[int], tolerance: int) -> int:
    """Points within a tolerance of a true one, matched one to one."""
    return sum(None not in both for both in paired(sorted(predicted), sorted(actual), tolerance))


def paired(
    predicted: Sequence[int], actual: Sequence[int], tolerance: float
) -> Iterator[tuple[int, int] | tuple[int, None] | tuple[None, int]]:
    """Places of points that match, and of those that match none, in order of time; both sides are sorted.

    Greedy one-to-one matching in time order, which is optimal for points on a line.
    """
    i = j = 0
    while i < len(predicted) or j < len(actual):
        if i < len(predicted) and j < len(actual) and abs(predicted[i] - actual[j]) <= tolerance:
            yield i, j
            i, j = i + 1, j + 1
        elif j == len(actual) or (i < len(predicted) and predicted[i] < actual[j]):
            yield i, None
            i += 1
        else:
            yield None, j
            j += 1
