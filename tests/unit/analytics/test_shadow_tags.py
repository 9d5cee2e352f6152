"""The control that runs with every calibration, what a matrix tells of each stratum, and its text."""

import json

import numpy as np
import pytest

from sima2.analytics.counts import TrustCounts, count, merge
from sima2.analytics.econ_correlator import EconCorrelator, TrustMatrix
from sima2.analytics.econ_settings import COST_FIELDS
from sima2.analytics.gate import Urns, next_look
from sima2.analytics.shadow_tags import Shuffles
from sima2.errors import RecordError, UsageError
from sima2.records.table import Text
from sima2.records.tags import TagSpec

JUDGE = EconCorrelator()


def world(seed, n, tags=30, effect=1.0):
    rng = np.random.default_rng(seed)
    x = {f"t{k:03d}": rng.random(n) < p for k, p in enumerate(rng.uniform(0.1, 0.5, tags))}
    g = rng.integers(0, 4, n)
    return x, rng.normal(size=n) + effect * x["t000"] + g, g


def specs(tags):
    return {tag: TagSpec(tag, "predictive", ("prefix signals",), "landmark", "damage", 1) for tag in tags}


@pytest.mark.parametrize("n", [80, 800])
def test_shuffled_tags_earn_nothing_though_the_true_one_is_trusted(n):
    with_any = calibrations = 0
    for seed in range(10):
        matrix = JUDGE.calibrate(*world(seed, n))
        assert matrix.shadow is not None
        calibrations += matrix.shadow.calibrations
        with_any += matrix.shadow.with_any_trust
        assert matrix.shadow.highest_trust <= 0.5
    assert calibrations == 200
    # 3 % of 200 is 6; P(more than 14) is 0.2 %
    assert with_any <= 14


def test_the_control_can_fail():
    """Where half of all shuffles may pass, they do, and it is told."""
    loose = EconCorrelator(q=0.9, shadows=40)
    shadow = loose.calibrate(*world(0, 800)).shadow
    assert shadow is not None
    assert shadow.with_any_trust > 8
    assert shadow.highest_trust > 0


def test_shuffles_keep_the_margins_of_every_stratum_and_have_no_effect_on_average():
    x, y, g = world(1, 600, tags=1)
    counts = count(x, np.exp(y), g, COST_FIELDS["damage"])
    panel = counts.panels["damage"]
    urns = Urns.of(panel, 0, 1)
    shuffles = Shuffles(urns, 500)
    for k in range(5):
        cells = shuffles.cells(k, panel.cells[0])
        np.testing.assert_array_equal(cells.sum(axis=2), panel.cells[0].sum(axis=2))
        np.testing.assert_array_equal(cells.sum(axis=1), panel.cells[0].sum(axis=1))
    effect = shuffles.sums / urns.weight
    row = JUDGE.correlate(counts, specs=specs(x))["t000"]
    assert abs(effect.mean()) < 4 * effect.std() / np.sqrt(500)
    assert row.effect > 5 * effect.std()


def test_both_doors_shuffle_and_no_verdict_depends_on_it():
    x, y, g = world(2, 500)
    counts = count(x, np.exp(y), g, COST_FIELDS["damage"])
    plain = EconCorrelator(shadows=0).correlate(counts, specs=specs(x))
    matrix = JUDGE.correlate(counts, specs=specs(x))
    assert plain.shadow is None
    assert matrix.shadow is not None
    assert matrix.shadow.calibrations == 20
    assert (matrix.rows, matrix.alerts, matrix.digest) == (plain.rows, plain.alerts, plain.digest)
    assert matrix == JUDGE.correlate(counts, specs=specs(x)), "the same counts, the same shuffles"


def test_too_many_tags_are_not_shuffled():
    _, y, g = world(3, 60, tags=1)
    rng = np.random.default_rng(3)
    matrix = JUDGE.calibrate({f"t{k:06d}": rng.permutation(60) < 12 for k in range(4000)}, y, g)
    assert matrix.shadow is None
    assert EconCorrelator(shadows=20).calibrate({}, y, g).shadow is None
    with pytest.raises(UsageError, match="shadows"):
        EconCorrelator(shadows=-1)


def test_each_stratum_tells_its_own_effect_the_largest_first():
    rng = np.random.default_rng(4)
    g = np.repeat([0, 1, 2, 3], [300, 200, 40, 3])
    x = rng.random(543) < 0.4
    x[-3:] = [True, False, False]
    y = rng.normal(size=543) - np.where(g == 1, 2.0, 0.0) * x + np.where(g == 0, 1.0, 0.0) * x
    row = JUDGE.calibrate({"A": x}, y, g)["A"]
    assert [each.stratum for each in row.by_stratum] == ["0", "1", "2", "3"]
    assert [each.n for each in row.by_stratum] == [300, 200, 40, 3]
    first, second, third, lone = row.by_stratum
    a, b = y[(g == 0) & x], y[(g == 0) & ~x]
    assert first.effect == pytest.approx(np.sign(a[:, None] - b[None, :]).mean(), abs=0.002)
    assert first.n_tagged == len(a)
    assert first.interval[0] > 0 > second.interval[1]
    assert third.interval[0] < 0 < third.interval[1]
    assert np.isnan(lone.interval).all()


def test_a_stratum_effect_is_told_in_the_declared_direction():
    x, y, g = world(5, 400, tags=1)
    down = {"t000": TagSpec("t000", "predictive", (), "landmark", "damage", -1)}
    up = JUDGE.calibrate(x, y, g)["t000"].by_stratum
    turned = JUDGE.calibrate(x, -y, g, declarations=down)["t000"].by_stratum
    assert [each.effect for each in up] == [each.effect for each in turned]


def test_the_interval_of_a_perfect_small_stratum_is_not_of_zero_width():
    x = np.array([True] * 3 + [False] * 3 + [True, False] * 40)
    y = np.array([5.0] * 3 + [1.0] * 3 + [1.0, 2.0] * 40)
    g = np.array([1] * 6 + [0] * 80)
    small = JUDGE.calibrate({"A": x}, y, g)["A"].by_stratum[1]
    assert small.effect == 1.0
    assert small.interval[1] - small.interval[0] > 0.2


@pytest.mark.parametrize(("tags", "kinds"), [(2, 5000), (4000, 20)])
def test_a_matrix_of_many_strata_or_tags_stays_small(tags, kinds):
    rng = np.random.default_rng(6)
    n = 10 * kinds
    g = np.arange(n) % kinds
    x = rng.random(n) < 0.4
    matrix = EconCorrelator(shadows=0).calibrate({f"t{k:06d}": x for k in range(tags)}, rng.normal(size=n), g)
    told = sum(len(row.by_stratum) for row in matrix.values())
    assert max(len(row.by_stratum) for row in matrix.values()) <= 50
    assert told <= 20_000
    assert len(matrix.to_json()) < 1600 * tags + 250 * told


def test_a_matrix_comes_back_from_its_text():
    x, y, g = world(7, 300, tags=4)
    y[:5] = np.nan
    x["constant"] = np.ones(300, bool)
    matrix = JUDGE.calibrate(x, y, g)
    back = TrustMatrix.from_json(matrix.to_json())
    assert back.to_json() == matrix.to_json()
    assert back.digest == matrix.digest
    assert back["t000"] == matrix["t000"]
    assert back["t000"].by_stratum == matrix["t000"].by_stratum
    assert np.isnan(back["constant"].effect)
    assert TrustMatrix.from_json("{}").rows == {}


def broken(change):
    matrix = json.loads(JUDGE.calibrate(*world(8, 200, tags=1)).to_json())
    change(matrix["t000"])
    return json.dumps(matrix)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        '"text"',
        '{"A": 3}',
        '{"A": {}}',
        '{"A": null}',
        broken(lambda row: row.pop("tier")),
        broken(lambda row: row.update(trust_level="high")),
        broken(lambda row: row.update(n=True)),
        broken(lambda row: row.update(note=None)),
        broken(lambda row: row.update(interval=[0.1])),
        broken(lambda row: row.update(interval=5)),
        broken(lambda row: row.update(by_stratum=[{}])),
        broken(lambda row: row.update(by_stratum=7)),
        broken(lambda row: row.update(tag="other")),
        broken(lambda row: row.update(needs_recalibration=1)),
    ],
)
def test_text_that_holds_no_matrix_is_refused(text):
    with pytest.raises(RecordError, match="not the JSON text of a trust matrix"):
        TrustMatrix.from_json(text)


def test_the_same_data_is_the_same_look():
    rng = np.random.default_rng(9)
    history, counts, levels = [], TrustCounts(), []
    for grown in (True, False, True, False):
        if grown:
            x = rng.random(300) < 0.3
            part = count({"A": x}, np.exp(rng.normal(size=300) + x), np.zeros(300, int), COST_FIELDS["damage"])
            counts = merge(counts, part)
        look = next_look(history, counts.digest())
        levels.append(JUDGE.correlate(counts, specs=specs(["A"]), look=look)["A"].trust_level)
        history.append((counts.digest(), look))
    assert [look for _, look in history] == [1, 1, 2, 2]
    assert levels[0] == levels[1]
    assert levels[2] == levels[3]


def rows_of(counts, spec):
    return EconCorrelator(shadows=0).correlate(counts, specs={"A": spec})["A"]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("damage", "contact_force or object poses"),
        ("success", "next.success or next.reward"),
        ("mpl", "next.success or next.reward"),
        ("energy_wh", "joint_torque and joint_velocity"),
        ("resilience", "failed_at_s"),
        ("duration_s", "time"),
        ("wage_parity", "contact_force"),
    ],
)
def test_a_cost_that_is_known_of_no_episode_names_what_to_record(field, words):
    spec = TagSpec("A", "predictive", ("prefix signals",), "landmark", field, 1)
    counted = count({"A": np.ones(9, bool)}, np.full(9, np.nan), Text.full(9, "s"), COST_FIELDS[field])
    for counts in (TrustCounts(), counted):
        row = rows_of(counts, spec)
        assert row.reason == "no_outcome"
        assert f"{field} is known of no episode" in row.note
        assert words in row.note


def test_every_cost_says_what_it_needs():
    assert all(each.told_by for each in COST_FIELDS.values())
