"""Odd inputs have defined results with a reason: never a crash, never a silent half."""

import math

import numpy as np
import pytest

from sima2.analytics.counts import TrustCounts, count, merge
from sima2.analytics.econ_correlator import EconCorrelator, TrustMatrix
from sima2.analytics.econ_settings import COST_FIELDS
from sima2.errors import UsageError
from sima2.records.table import Text
from sima2.records.tags import TagSpec

JUDGE = EconCorrelator()
N = 200
EVERY_OTHER = np.arange(N) % 2 == 0
RISING = np.arange(float(N))
ONE = np.zeros(N, int)
SPEC = TagSpec("A", "predictive", ("prefix signals",), "landmark", "damage", 1)


def both_doors(x, y, g):
    """The verdict of the plain-array door and of the counted one."""
    counts = count({"A": x}, np.asarray(y, float), np.asarray(g), COST_FIELDS["damage"])
    judge = EconCorrelator(shadows=5)
    return judge.calibrate({"A": x}, y, g)["A"], judge.correlate(counts, specs={"A": SPEC})["A"]


def with_some(value):
    y = RISING.copy()
    y[::3] = value
    return y


UNTESTABLE = {
    "all costs NaN": (EVERY_OTHER, np.full(N, np.nan), ONE, "no_outcome"),
    "all costs infinite": (EVERY_OTHER, np.full(N, np.inf), ONE, "no_outcome"),
    "all costs minus infinite": (EVERY_OTHER, np.full(N, -np.inf), ONE, "no_outcome"),
    "no episodes": (np.zeros(0, bool), np.zeros(0), np.zeros(0, int), "no_outcome"),
    "one episode": (np.ones(1, bool), np.ones(1), np.zeros(1, int), "constant_tag"),
    "two episodes": (np.array([True, False]), np.array([2.0, 1.0]), np.zeros(2, int), "too_few"),
    "all tagged": (np.ones(N, bool), RISING, ONE, "constant_tag"),
    "none tagged": (np.zeros(N, bool), RISING, ONE, "constant_tag"),
    "never assessed": (np.full(N, np.nan), RISING, ONE, "not_assessed"),
    "never assessed where the cost is known": (
        np.where(EVERY_OTHER, np.nan, 1.0),
        np.where(EVERY_OTHER, 1.0, np.nan),
        ONE,
        "not_assessed",
    ),
    "a constant cost": (EVERY_OTHER, np.full(N, 7.0), ONE, "constant_outcome"),
    "a cost of zero": (EVERY_OTHER, np.zeros(N), ONE, "constant_outcome"),
    "a cost constant within strata": (EVERY_OTHER, np.arange(N) // 50 * 1.0, np.arange(N) // 50, "constant_outcome"),
    "every episode a stratum": (EVERY_OTHER, RISING, np.arange(N), "constant_within_strata"),
}


@pytest.mark.parametrize("case", UNTESTABLE)
def test_what_cannot_be_tested_has_a_reason_at_both_doors(case):
    x, y, g, reason = UNTESTABLE[case]
    for row in both_doors(x, y, g):
        assert (row.reason, row.trust_level, row.tier) == (reason, 0.0, "untrusted")
        assert row.note
        assert not math.isnan(row.trust_level)
        assert TrustMatrix.from_json(TrustMatrix({"A": row}).to_json())["A"].reason == reason


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_unknown_costs_are_left_out_as_if_they_had_not_been(value):
    rng = np.random.default_rng(0)
    y = with_some(value)
    x = (rng.random(N) < 0.3) | (np.nan_to_num(y, posinf=0, neginf=0) > 150)
    known = np.isfinite(y)
    for row, bare in zip(both_doors(x, y, ONE), both_doors(x[known], y[known], ONE[known]), strict=True):
        assert row.n == known.sum()
        assert (row.effect, row.trust_level, row.p_value) == (bare.effect, bare.trust_level, bare.p_value)
        assert f"{(~known).sum()} episodes left out" in row.note


class NAType:
    """As the missing value of data frames: it compares with nothing."""

    def __bool__(self):
        raise TypeError("the truth of a missing value is not known")


NA = NAType()
RIGHT = np.random.default_rng(1).random(N) < 0.4
COST = np.random.default_rng(2).normal(size=N) + 1.5 * RIGHT


@pytest.mark.parametrize(
    "column",
    [
        RIGHT,
        RIGHT.astype(int),
        RIGHT.astype(np.uint8),
        RIGHT.astype(np.int64),
        RIGHT.astype(float),
        RIGHT.astype(np.float32),
        RIGHT.astype(object),
        RIGHT.tolist(),
        np.ma.masked_array(RIGHT, mask=np.zeros(N, bool)),
    ],
    ids=["bool", "int", "uint8", "int64", "float", "float32", "object", "list", "masked"],
)
def test_every_kind_of_indicator_says_the_same(column):
    plain = JUDGE.calibrate({"A": RIGHT}, COST, ONE)
    assert plain["A"].trust_level > 0.5
    assert JUDGE.calibrate({"A": column}, COST, ONE).rows == plain.rows


@pytest.mark.parametrize("missing", [None, np.nan, NA], ids=["None", "NaN", "NA"])
def test_missing_indicators_are_not_assessed(missing):
    column = RIGHT.astype(object)
    column[:20] = missing
    row = JUDGE.calibrate({"A": column}, COST, ONE)["A"]
    assert row.n == N - 20
    assert "20 episodes left out" in row.note
    masked = np.ma.masked_array(RIGHT, mask=np.arange(N) < 20)
    assert JUDGE.calibrate({"A": masked}, COST, ONE)["A"] == row


@pytest.mark.parametrize("missing", [None, np.nan, NA], ids=["None", "NaN", "NA"])
def test_missing_costs_are_left_out(missing):
    column = COST.astype(object)
    column[:20] = missing
    assert JUDGE.calibrate({"A": RIGHT}, column, ONE)["A"].n == N - 20
    assert JUDGE.calibrate({"A": RIGHT}, np.ma.masked_array(COST, mask=np.arange(N) < 20), ONE)["A"].n == N - 20


@pytest.mark.parametrize(
    "column", [np.where(RIGHT, "yes", "no"), np.where(RIGHT, 0.7, 0.2), np.where(RIGHT, np.inf, 0)]
)
def test_an_indicator_of_text_or_levels_is_refused(column):
    with pytest.raises(UsageError, match="tag A"):
        JUDGE.calibrate({"A": column}, COST, ONE)
    with pytest.raises(UsageError, match="tag A"):
        JUDGE.calibrate({"A": np.asarray(column, object)}, COST, ONE)


@pytest.mark.parametrize("cost", [["a"] * N, np.full(N, 1j), np.full(N, "3"), np.full(N, {}, object)])
def test_costs_that_are_no_numbers_are_refused(cost):
    with pytest.raises(UsageError, match="must be numbers"):
        JUDGE.calibrate({"A": RIGHT}, cost, ONE)


def test_strata_may_be_text_numbers_objects_or_a_text_column():
    kind = np.arange(N) % 3
    forms = [kind, kind.astype(float), [f"k{each}" for each in kind], Text.of(f"k{each}" for each in kind)]
    forms.append(np.array([f"k{each}" for each in kind], object))
    rows = [JUDGE.calibrate({"A": RIGHT}, COST, form)["A"] for form in forms]
    assert len({(row.effect, row.interval, row.p_value, row.trust_level, row.strata) for row in rows}) == 1
    assert rows[0].strata == 3


def test_a_new_stratum_joins_later():
    parts = [count({"A": RIGHT}, np.exp(COST), np.full(N, name), COST_FIELDS["damage"]) for name in ("first", "second")]
    one = JUDGE.correlate(parts[0], specs={"A": SPEC})["A"]
    two = JUDGE.correlate(merge(*parts), specs={"A": SPEC})["A"]
    assert (one.strata, two.strata) == (1, 2)
    assert two.effect == pytest.approx(one.effect)
    assert two.trust_level > one.trust_level
    alone = count({"A": np.ones(9, bool)}, np.ones(9), np.full(9, "lone"), COST_FIELDS["damage"])
    assert JUDGE.correlate(merge(parts[0], alone), specs={"A": SPEC})["A"].effect == one.effect


def test_costs_of_any_size_are_taken():
    for factor in (1e-300, 1e300):
        row = JUDGE.calibrate({"A": RIGHT}, np.exp(COST) * factor, ONE)["A"]
        assert row.trust_level > 0.5
        assert math.isfinite(row.effect)


def test_a_hundred_thousand_tags_are_judged_and_none_of_noise_is_trusted():
    rng = np.random.default_rng(3)
    n, tags = 40, 100_000
    x = rng.random((tags, n)) < 0.03
    matrix = JUDGE.calibrate({f"t{k:06d}": row for k, row in enumerate(x)}, rng.normal(size=n), np.zeros(n, int))
    assert len(matrix) == tags
    assert max(row.trust_level for row in matrix.values()) == 0.0
    assert {row.reason for row in matrix.values()} >= {"too_few", "constant_tag"}


def test_a_hundred_thousand_strata_are_told_apart():
    rng = np.random.default_rng(4)
    kinds = 100_000
    g = np.repeat(np.arange(kinds), 2)
    x = rng.random(2 * kinds) < 0.3
    y = rng.normal(size=2 * kinds) + 3.0 * rng.normal(size=kinds)[g] + 0.8 * x
    matrix = EconCorrelator(shadows=1).calibrate({"A": x, "noise": rng.random(2 * kinds) < 0.3}, y, g)
    assert matrix["A"].trust_level > 0.5
    assert matrix["noise"].trust_level == 0.0
    assert len(matrix["A"].by_stratum) == 50
    text = np.char.add("kind ", g.astype(str))
    assert JUDGE.calibrate({"A": x[:2000]}, y[:2000], text[:2000])["A"].strata > 300
    assert JUDGE.correlate(TrustCounts(), specs={}).shadow is None
