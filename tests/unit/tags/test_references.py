import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tag_worlds import observed

from sima2.errors import UsageError
from sima2.records.table import Text
from sima2.tags.conformal import certified_rank, conformal_p
from sima2.tags.covariance import shrunk_covariance
from sima2.tags.logistic import fit_ridge_logistic, probability
from sima2.tags.observations import failed_later
from sima2.tags.ood import ood_rows
from sima2.tags.references import References, fit_references
from sima2.tags.risk import risk_rows
from sima2.tags.strangeness import fit_strangeness, prefix_novelty


def levels(refs, segments, risk):
    """Risk of each episode, judged out of fold."""
    out = np.full(len(risk), np.nan)
    fold = refs.fold(risk.episode_id)
    for k, each in enumerate(refs.folds):
        mine = np.flatnonzero(fold == k)
        few = risk.take(mine)
        out[mine] = risk_rows(few, prefix_novelty(each.strangeness, segments, few.episode_id), each.risk).frozen().level
    return out


def fired(refs, segments, risk):
    """Episodes with an OODTag, judged out of fold."""
    out = np.zeros(len(risk), bool)
    fold = refs.fold(risk.episode_id)
    for k, each in enumerate(refs.folds):
        mine = np.flatnonzero(fold == k)
        few = risk.take(mine)
        rows = ood_rows(segments, few, np.zeros(len(few), bool), np.full(len(few), 80), each.strangeness)
        names = {n for n, level in zip(rows.episode_id.tolist(), rows.level.tolist(), strict=True) if level > 0}
        out[mine] = [name in names for name in few.episode_id.tolist()]
    return out


def auroc(score, label):
    order = np.argsort(score)
    rank = np.empty(len(score))
    rank[order] = np.arange(1, len(score) + 1)
    n1 = label.sum()
    return (rank[label].sum() - n1 * (n1 + 1) / 2) / (n1 * (len(label) - n1))


def test_the_certified_rank_is_that_of_the_specification():
    assert [certified_rank(n) for n in (0, 1, 58, 59)] == [0, 0, 0, 1]
    for n, alpha in ((59, 0.017), (300, 0.030), (1000, 0.039)):
        assert certified_rank(n) / (n + 1) == pytest.approx(alpha, abs=0.0006)


@settings(deadline=None)
@given(n=st.integers(59, 3000))
def test_the_certified_rank_holds_the_promise_and_is_the_largest_that_does(n):
    from scipy.stats import beta

    k = certified_rank(n)
    assert beta.cdf(0.05, k, n + 1 - k) >= 0.95
    assert beta.cdf(0.05, k + 1, n - k) < 0.95


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=40), st.integers(-1, 21))
def test_a_conformal_p_value_is_the_exact_rank_with_ties_counted_against_it(calibration, value):
    expected = (1 + sum(c <= value for c in calibration)) / (len(calibration) + 1)
    assert conformal_p(np.sort(np.array(calibration, float)), np.array([float(value)]))[0] == expected


def test_shrunk_covariance_is_that_of_the_reference_implementation():
    sklearn = pytest.importorskip("sklearn.covariance")
    x = np.random.default_rng(0).standard_normal((80, 4)) @ np.diag([0.6, 0.3, 0.6, 0.9])
    np.testing.assert_allclose(shrunk_covariance(x), sklearn.ledoit_wolf(x)[0], rtol=1e-9)


def test_ridge_logistic_finds_the_law_it_was_drawn_from():
    rng = np.random.default_rng(0)
    x = np.concatenate([np.ones((4000, 1)), rng.standard_normal((4000, 2))], axis=1)
    truth = np.array([-0.5, 1.0, -2.0])
    y = (rng.random(4000) < 1 / (1 + np.exp(-x @ truth))).astype(float)
    np.testing.assert_allclose(fit_ridge_logistic(x, y, np.array([0.0, 1.0, 1.0])), truth, atol=0.2)
    assert probability(x[:1], truth)[0] == probability(x, truth)[0]


def test_ridge_logistic_survives_classes_that_are_apart():
    x = np.concatenate([np.ones((40, 1)), np.repeat([-1.0, 1.0], 20)[:, None]], axis=1)
    weight = fit_ridge_logistic(x, (x[:, 1] > 0).astype(float), np.array([0.0, 1.0]))
    assert np.isfinite(weight).all()
    assert 1.0 < weight[1] < 10.0


def test_risk_is_a_calibrated_probability_that_ranks_failures():
    segments, risk, failed, _ = observed(1500, 3, slope=1.5)
    level = levels(fit_references(segments, risk, ~failed, failed), segments, risk)
    assert auroc(level, failed) > 0.75
    bins = np.minimum((level * 5).astype(int), 4)
    error = sum(
        abs(level[bins == b].mean() - failed[bins == b].mean()) * (bins == b).mean()
        for b in range(5)
        if (bins == b).any()
    )
    assert error < 0.05


def test_risk_learned_from_shuffled_failures_predicts_nothing():
    segments, risk, failed, _ = observed(1200, 4, slope=1.5)
    shuffled = np.random.default_rng(0).permutation(failed)
    level = levels(fit_references(segments, risk, ~shuffled, shuffled), segments, risk)
    assert abs(auroc(level, shuffled) - 0.5) < 0.06
    assert level.max() < 0.8


def test_no_episode_is_judged_by_its_own_outcome():
    segments, risk, failed, _ = observed(400, 5, slope=1.5)
    before = fit_references(segments, risk, ~failed, failed)
    k = 17
    flipped = failed.copy()
    flipped[k] = ~flipped[k]
    after = fit_references(segments, risk, ~flipped, flipped)
    assert levels(before, segments, risk)[k] == levels(after, segments, risk)[k]
    fold = before.fold(risk.episode_id)
    others = np.flatnonzero(fold != fold[k])
    assert (levels(before, segments, risk)[others] != levels(after, segments, risk)[others]).any()


def test_too_few_failures_assess_no_risk():
    segments, risk, failed, _ = observed(60, 6)
    failed = np.zeros_like(failed)
    refs = fit_references(segments, risk, ~failed, failed)
    assert np.isnan(levels(refs, segments, risk)).all()


def test_nominal_episodes_fire_at_most_at_the_promised_rate_and_alien_ones_nearly_always():
    strange = frozenset(range(0, 1200, 30))
    segments, risk, failed, _ = observed(1200, 7, strange=strange)
    nominal = np.array([i not in strange for i in range(1200)])
    hit = fired(fit_references(segments, risk, nominal, failed), segments, risk)
    assert hit[nominal].mean() <= 0.05
    assert hit[nominal].mean() > 0.01
    assert hit[~nominal].mean() > 0.95


def test_the_test_works_without_embeddings():
    segments, risk, failed, _ = observed(600, 8, d=0)
    fast = np.flatnonzero(segments.episode_id.codes % 40 == 0)
    wild = segments.max_speed.copy()
    wild[fast] *= 30
    from dataclasses import replace

    segments = replace(segments, max_speed=wild)
    odd = np.arange(600) % 40 == 0
    hit = fired(fit_references(segments, risk, ~odd, failed), segments, risk)
    assert hit[odd].all()
    assert hit[~odd].mean() <= 0.06


def test_fit_calibration_and_judged_episodes_are_disjoint():
    segments, risk, failed, _ = observed(500, 9)
    test = fit_strangeness(segments, risk, np.ones(500, bool))
    assert test.n_fit + len(test.calibration) == 500
    assert np.all(np.diff(test.calibration) >= 0)
    refs = fit_references(segments, risk, np.ones(500, bool), failed)
    fold = refs.fold(risk.episode_id)
    for k, each in enumerate(refs.folds):
        assert each.strangeness.n_fit + len(each.strangeness.calibration) == (fold != k).sum()


def test_below_59_calibration_rollouts_the_test_is_uncalibrated():
    segments, risk, failed, _ = observed(80, 10)
    refs = fit_references(segments, risk, np.ones(80, bool), failed)
    assert all(each.strangeness.rank == 0 for each in refs.folds)
    rows = ood_rows(segments, risk, np.zeros(80, bool), np.full(80, 80), refs.folds[0].strangeness)
    assert set(rows.source.tolist()) == {"uncalibrated"}
    assert np.isnan(rows.level).all()
    assert len(rows) == 80


def test_what_lies_beyond_all_that_was_fitted_is_still_ordered():
    segments, risk, _, _ = observed(500, 11)
    test = fit_strangeness(segments, risk, np.ones(500, bool))
    far = np.array([[5.0], [50.0], [500.0]]) * np.ones(4)
    assert (np.diff(test.statistics(far)) < 0).all()


def test_references_do_not_depend_on_the_order_of_episodes_or_rows():
    segments, risk, failed, _ = observed(150, 12, slope=1.0)
    base = fit_references(segments, risk, ~failed, failed).to_json()
    rng = np.random.default_rng(0)
    order = rng.permutation(150)
    blocks = rng.permutation(150)
    rows = np.concatenate([np.flatnonzero(segments.episode_id.codes == k) for k in blocks])
    shuffled = segments.take(rows)
    other = fit_references(shuffled, risk.take(order), ~failed[order], failed[order]).to_json()
    assert base == other


def test_references_come_back_from_json_bit_for_bit():
    segments, risk, failed, _ = observed(300, 13, slope=1.0)
    refs = fit_references(segments, risk, ~failed, failed)
    again = References.from_json(refs.to_json())
    assert again.to_json() == refs.to_json()
    np.testing.assert_array_equal(levels(refs, segments, risk), levels(again, segments, risk))
    np.testing.assert_array_equal(fired(refs, segments, risk), fired(again, segments, risk))


@settings(max_examples=10, deadline=None)
@given(size=st.integers(1, 60))
def test_a_level_does_not_depend_on_who_is_judged_beside(size):
    segments, risk, failed, _ = observed(300, 14, slope=1.0)
    refs = fit_references(segments, risk, ~failed, failed)
    together = levels(refs, segments, risk)
    few = np.arange(size)
    np.testing.assert_array_equal(levels(refs, segments, risk.take(few)), together[few])


def test_no_references_from_nothing_judge_nothing():
    segments, risk, failed, _ = observed(5, 15)
    none = np.zeros(0, int)
    refs = fit_references(segments.take(none), risk.take(none), failed[none], failed[none])
    assert all(each.strangeness is None and each.risk is None for each in refs.folds)
    assert References.from_json(refs.to_json()).folds[0].rates.trials == 0
    assert np.isnan(levels(refs, segments, risk)).all()


def test_one_fold_is_refused():
    segments, risk, failed, _ = observed(5, 16)
    with pytest.raises(UsageError, match="judges itself"):
        fit_references(segments, risk, failed, failed, folds=1)


def test_a_failure_that_outlasts_the_landmark_counts_as_later():
    segments, risk, _, _ = observed(3, 17)
    from dataclasses import replace

    bad = np.zeros(len(segments), bool)
    whole = ~segments.cut
    bad |= whole & (segments.episode_id.codes == 0) & (segments.end_frame == 20)  # over at the landmark
    bad |= whole & (segments.episode_id.codes == 1) & (segments.end_frame == 40)
    bad |= segments.cut & (segments.episode_id.codes == 2)
    assert failed_later(replace(segments, failed=bad), risk).tolist() == [False, True, False]


def test_an_unseen_family_and_object_are_judged_by_the_pooled_model():
    from dataclasses import replace

    segments, risk, failed, _ = observed(400, 18, slope=1.0)
    refs = fit_references(segments, risk, ~failed, failed)
    n = len(risk)
    other = replace(risk, family=Text.full(n, "never_seen"), object=Text.full(n, "unheard_of"))
    level = levels(refs, segments, other)
    assert np.isfinite(level).all()
    assert auroc(level, failed) > 0.6
