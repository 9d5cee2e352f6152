"""Reductions over spans against the plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from sima2.tags.reductions import span_max, span_mean, span_sum


@pytest.mark.parametrize("shape", [(60,), (60, 3), (60, 2, 3)])
@pytest.mark.parametrize("gaps", [False, True])
def test_spans_that_overlap_or_are_empty_are_reduced_row_by_row(shape: tuple[int, ...], gaps: bool) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=shape).astype(np.float32)
    if gaps:
        values[rng.random(shape) < 0.3] = np.nan
        values[5:9] = np.nan
    start, stop = np.array([0, 5, 20, 40, 58]), np.array([30, 9, 20, 60, 60])
    for k, (a, b) in enumerate(zip(start.tolist(), stop.tolist(), strict=True)):
        part = values[a:b].astype(np.float64)
        known = (~np.isnan(part)).sum(axis=0)
        total = np.nansum(part, axis=0)
        np.testing.assert_allclose(span_sum(values, start, stop)[k], total, rtol=1e-12)
        mean = np.where(known > 0, total / np.maximum(known, 1), np.nan)
        np.testing.assert_allclose(span_mean(values, start, stop)[k], mean, rtol=1e-12)
        top = np.where(known > 0, np.where(np.isnan(part), -np.inf, part).max(axis=0, initial=-np.inf), np.nan)
        np.testing.assert_array_equal(span_max(values, start, stop)[k], top)
