"""Distinct combinations of codes."""

from __future__ import annotations

import numpy as np
import pytest

from sima2.knowledge.keys import distinct


@pytest.mark.parametrize("sizes", [[3, 4, 5], [2**40, 2**40, 2**40]], ids=["small", "too large for one integer"])
def test_combinations_come_in_the_order_of_their_codes_however_many_codes_there_could_be(sizes: list[int]) -> None:
    rng = np.random.default_rng(0)
    codes = [rng.integers(0, min(size, 4), 200) for size in sizes]
    if sizes[0] > 4:
        codes = [code * (sizes[0] // 8) for code in codes]
    expected, rows, place = np.unique(np.stack(codes), axis=1, return_index=True, return_inverse=True)
    first, found = distinct(codes, sizes)
    assert first.tolist() == rows.tolist()
    assert found.tolist() == place.ravel().tolist()
    assert np.array_equal(np.stack(codes)[:, first], expected)
