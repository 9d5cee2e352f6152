import json
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sima2.analytics.counts import TrustCounts, count, merge
from sima2.analytics.econ_correlator import EconCorrelator
from sima2.analytics.econ_settings import COST_FIELDS
from sima2.errors import RecordError, UnknownNameError, UsageError
from sima2.records.table import Text
from sima2.records.tags import TagSpec

DAMAGE = COST_FIELDS["damage"]
SPECS = {name: TagSpec(name, "predictive", ("prefix",), "landmark", "damage", 1) for name in ("A", "B")}


def columns(n, seed):
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.4, rng.lognormal(0, 3, n), 0.0)
    y[rng.random(n) < 0.1] = np.nan
    tags = {"A": rng.integers(-1, 2, n).astype(np.int8), "B": rng.random(n) < 0.3}
    return tags, y, Text.of(rng.choice(["x", "y", "z"], n).tolist())


def counted(tags, y, strata, rows):
    return count({tag: each[rows] for tag, each in tags.items()}, y[rows], strata[rows], DAMAGE)


def same(a, b):
    return json.loads(a.to_json()) == json.loads(b.to_json())


@settings(max_examples=40, deadline=None)
@given(n=st.integers(0, 80), cuts=st.lists(st.integers(0, 80), max_size=4), seed=st.integers(0, 999))
def test_counts_of_parts_merge_to_the_counts_of_the_whole_in_any_order(n, cuts, seed):
    tags, y, strata = columns(n, seed)
    parts = [counted(tags, y, strata, rows) for rows in np.split(np.arange(n), sorted(min(c, n) for c in cuts))]
    whole = counted(tags, y, strata, np.random.default_rng(seed).permutation(n))
    assert same(reduce(merge, parts, TrustCounts()), whole)
    assert same(reduce(merge, parts[::-1], TrustCounts()), whole)


@settings(max_examples=40, deadline=None)
@given(sizes=st.tuples(*[st.integers(0, 30)] * 3), seed=st.integers(0, 999))
def test_merging_is_associative_and_commutative(sizes, seed):
    a, b, c = (counted(*columns(n, seed + k), np.arange(n)) for k, n in enumerate(sizes))
    assert same(merge(merge(a, b), c), merge(a, merge(b, c)))
    assert same(merge(a, b), merge(b, a))


def test_counts_survive_their_json_text():
    tags, y, strata = columns(200, 1)
    counts = counted(tags, y, strata, np.arange(200))
    back = TrustCounts.from_json(counts.to_json())
    assert same(counts, back)
    assert counts.digest() == back.digest()
    assert EconCorrelator().correlate(counts, specs=SPECS) == EconCorrelator().correlate(back, specs=SPECS)


def test_the_verdict_does_not_depend_on_how_counts_were_merged():
    tags, y, strata = columns(600, 2)
    whole = counted(tags, y, strata, np.arange(600))
    parts = [counted(tags, y, strata, np.arange(k, 600, 7)) for k in range(7)]
    matrices = [
        EconCorrelator().correlate(c, specs=SPECS) for c in (whole, reduce(merge, parts), reduce(merge, parts[::-1]))
    ]
    assert matrices[0] == matrices[1] == matrices[2]


def test_every_episode_is_counted_once_or_dropped():
    tags, y, strata = columns(500, 3)
    panel = counted(tags, y, strata, np.arange(500)).panels["damage"]
    assert (panel.cells.sum(axis=(1, 2, 3)) + panel.dropped == 500).all()
    usable = np.isfinite(y) & (tags["A"] >= 0)
    assert panel.cells[0, :, :, 1].sum() == (usable & (tags["A"] == 1)).sum()
    assert panel.mass[0].sum() * panel.grain == pytest.approx(np.minimum(y, DAMAGE.high)[usable].sum(), rel=1e-6)


def test_infinite_costs_are_dropped():
    y = np.array([1.0, np.inf, -np.inf, np.nan])
    panel = count({"A": np.array([True] * 4)}, y, Text.full(4, "s"), DAMAGE).panels["damage"]
    assert panel.cells.sum() == 1
    assert panel.dropped.tolist() == [3]


def test_counts_of_other_bins_do_not_merge():
    tags, y, strata = columns(50, 4)
    a = count(tags, y, strata, DAMAGE, name="cost")
    b = count(tags, y, strata, COST_FIELDS["success"], name="cost")
    with pytest.raises(RecordError, match="other bins"):
        merge(a, b)


@pytest.mark.parametrize("column", [np.ones(3, bool), np.array([0, 1, 2, 1]), np.array(["a"] * 4)])
def test_an_indicator_that_is_none_is_refused(column):
    with pytest.raises(UsageError, match="tag A"):
        count({"A": column}, np.zeros(4), Text.full(4, "s"), DAMAGE)


def test_strata_of_another_length_are_refused():
    with pytest.raises(UsageError, match="strata of 3"):
        count({"A": np.ones(4, bool)}, np.zeros(4), Text.full(3, "s"), DAMAGE)


def test_text_that_holds_no_counts_is_refused():
    with pytest.raises(RecordError, match="not the JSON text"):
        TrustCounts.from_json('{"damage": {"edges": []}}')


def test_an_unknown_cost_is_named():
    from sima2.analytics.econ_settings import cost_field

    with pytest.raises(UnknownNameError, match="did you mean 'damage'"):
        cost_field("damages")


def test_bins_of_every_cost_ascend_and_cover_it():
    for cost in COST_FIELDS.values():
        edges = cost.edges
        assert (np.diff(edges) > 0).all()
        assert edges[0] == cost.low
        assert cost.high / cost.grain <= 2**31
