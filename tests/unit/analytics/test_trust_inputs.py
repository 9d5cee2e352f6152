from dataclasses import replace

import numpy as np
import pytest

from sima2.analytics.counts import INFERRED, WHOLE, merge
from sima2.analytics.econ_correlator import EconCorrelator
from sima2.analytics.nominal import DESIGNATED, NOTHING, RECORDED, nominal_episodes
from sima2.analytics.nominal import INFERRED as INFERRED_RULE
from sima2.analytics.recovery import find_attempts, recovery_counts
from sima2.analytics.statistics import describe
from sima2.analytics.trust_inputs import strata_of, tag_indicators, trust_counts
from sima2.errors import RecordError
from sima2.records.econ import AFTER_FAILURE, EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.tags import TagSpec, TagTable
from sima2.records.vocabulary import OUTCOME_SOURCES
from sima2.tags.specs import TAGS

RISK = TagSpec("RiskTag", "predictive", ("prefix signals",), "landmark", "damage", 1, threshold=0.8)
OOD = TagSpec("OODTag", "predictive", ("segment signals",), "segment end", "success", -1)
RECOVERY = TagSpec("RecoveryTag", "diagnostic", ("segment outcomes",), "end", "mpl", 1, threshold=0.5, by_attempt=True)
SPECS = {each.name: each for each in (RISK, OOD, RECOVERY)}


def filled(cls, n, **given):
    blank = {name: Text.full(n, "") if dtype is None else np.zeros(n, dtype) for name, dtype in cls.columns().items()}
    return cls(**{**blank, **given})


def tag_rows(*rows):
    episode, tag, kind, level = zip(*rows, strict=True)
    return filled(
        TagTable, len(rows), episode_id=Text.of(episode), tag=Text.of(tag), kind=Text.of(kind), level=np.array(level)
    )


def segment_rows(*rows):
    episode, label, thing, start, end, outcome, reason = zip(*rows, strict=True)
    return filled(
        SegmentTable,
        len(rows),
        episode_id=Text.of(episode),
        label=Text.of(label),
        object=Text.of(thing),
        start_t=np.array(start, float),
        end_t=np.array(end, float),
        outcome=Text.of(outcome),
        failure_reason=Text.of(reason),
    )


def ids(n):
    return Text.of(f"e{k}" for k in range(n))


def test_a_tag_is_given_above_its_threshold_and_unassessed_where_nothing_is_known():
    tags = tag_rows(
        ("e0", "RiskTag", "predictive", 0.9),
        ("e1", "RiskTag", "predictive", 0.8),
        ("e2", "RiskTag", "predictive", np.nan),
        ("other", "RiskTag", "predictive", 1.0),
    )
    given = tag_indicators(tags, ids(4), {"RiskTag": RISK})
    assert given["RiskTag"].tolist() == [1, 0, -1, -1]


def test_what_fired_too_late_to_predict_was_assessed_but_not_given():
    tags = tag_rows(("e0", "OODTag", "diagnostic", 0.99), ("e1", "OODTag", "predictive", 0.99))
    assert tag_indicators(tags, ids(2), {"OODTag": OOD})["OODTag"].tolist() == [0, 1]


def test_a_stratum_is_family_robot_policy_and_session():
    episodes = filled(EpisodeTable, 3, family=Text.of("aab"), robot=Text.of("xyx"), session=Text.of("sss"))
    assert strata_of(episodes).tolist() == ["a|x||s", "a|y||s", "b|x||s"]


def test_an_attempt_follows_the_first_failure_within_the_window():
    segments = segment_rows(
        # tried again
        ("e0", "grasp", "cup", 0, 1, "retry", "missed_grasp"),
        ("e0", "grasp", "cup", 2, 3, "success", ""),
        # gave up
        ("e1", "grasp", "cup", 0, 1, "failure", "missed_grasp"),
        ("e1", "retreat", "", 1, 3, "success", ""),
        # a maneuver after a slip
        ("e2", "slip", "cup", 1, 2, "unknown", ""),
        ("e2", "recovery_maneuver", "cup", 2, 3, "success", ""),
        # too late
        ("e3", "pull", "drawer", 0, 1, "failure", "locked"),
        ("e3", "pull", "drawer", 20, 21, "success", ""),
        # nothing failed
        ("e4", "pull", "drawer", 0, 1, "success", ""),
        # another object is no second attempt
        ("e5", "grasp", "cup", 0, 1, "failure", "missed_grasp"),
        ("e5", "grasp", "plate", 2, 3, "success", ""),
    )
    found = find_attempts(segments, ids(7))
    assert found.attempted.tolist() == [True, False, True, False, False, False, False]
    np.testing.assert_array_equal(found.failed_at_s, [1, 1, 2, 1, np.nan, 1, np.nan])
    assert found.reason.tolist() == ["missed_grasp", "missed_grasp", "slip", "locked", "", "missed_grasp", ""]


def test_recovery_is_judged_among_episodes_that_failed():
    segments = segment_rows(
        ("e0", "grasp", "cup", 0, 1, "retry", "missed_grasp"),
        ("e0", "grasp", "cup", 2, 3, "success", ""),
        ("e1", "grasp", "cup", 0, 1, "failure", "missed_grasp"),
        ("e2", "grasp", "cup", 0, 1, "success", ""),
    )
    attempts = find_attempts(segments, ids(3))
    counts = recovery_counts("RecoveryTag", attempts, np.array([1.0, 0.0, 1.0]), np.full(3, 5.0), Text.full(3, "s"))
    panel = counts.panels[AFTER_FAILURE]
    assert panel.cells.sum() == 2
    assert panel.strata == ("s|missed_grasp",)
    assert panel.mass[0, 0, :, 1].sum() * panel.grain == pytest.approx(900.0, rel=1e-6)


def shard(n, seed, source="recorded"):
    """Risk that is right, recoveries that work, strangeness that means nothing."""
    rng = np.random.default_rng(seed)
    name = [f"s{seed}-{k}" for k in range(n)]
    risk, strange, failed = rng.random(n), rng.random(n) < 0.2, rng.random(n) < 0.5
    tried = failed & (rng.random(n) < 0.5)
    success = np.where(failed, rng.random(n) < np.where(tried, 0.9, 0.1), 1.0)
    tags = TagTable.concat(
        [
            tag_rows(*((e, "RiskTag", "predictive", r) for e, r in zip(name, risk, strict=True))),
            tag_rows(*((e, "OODTag", "predictive", float(s)) for e, s in zip(name, strange, strict=True))),
            tag_rows(*((e, "RecoveryTag", "diagnostic", float(t)) for e, t in zip(name, tried, strict=True))),
        ]
    )
    rows = []
    for k in range(n):
        how = ("retry" if tried[k] else "failure") if failed[k] else "success"
        rows.append((name[k], "grasp", "cup", 0, 1, how, "missed_grasp" if failed[k] else ""))
        if tried[k]:
            rows.append((name[k], "grasp", "cup", 2, 3, "success" if success[k] else "failure", ""))
    econ = filled(
        EconTable,
        n,
        episode_id=Text.of(name),
        success=success,
        duration_s=np.full(n, 6.0),
        mpl=success * 600,
        damage=np.where(rng.random(n) < np.where(risk > 0.8, 0.6, 0.1), rng.lognormal(0, 1, n), 0.0),
        outcome_source=Text(np.full(n, OUTCOME_SOURCES.index(source)), OUTCOME_SOURCES),
    )
    episodes = filled(EpisodeTable, n, episode_id=Text.of(name), family=Text.of(rng.choice(["a", "b"], n).tolist()))
    return tags, econ, episodes, segment_rows(*rows)


def test_a_shard_of_tables_becomes_a_verdict_on_every_tag():
    counts = merge(*(trust_counts(*shard(800, seed), SPECS) for seed in (1, 2)))
    matrix = EconCorrelator().correlate(counts, specs=SPECS)
    assert matrix["RiskTag"].tier == "trusted"
    assert matrix["RecoveryTag"].tier == "trusted"
    assert matrix["RecoveryTag"].cost_field == AFTER_FAILURE
    assert matrix["OODTag"].trust_level == 0.0
    assert matrix["RiskTag"].n == 1600


def test_inferred_outcomes_are_counted_apart_but_damage_is_damage():
    counts = trust_counts(*shard(800, 3, "inferred"), SPECS)
    judged = ["damage", "mpl" + INFERRED, AFTER_FAILURE + INFERRED, "success" + INFERRED]
    assert [name for name in sorted(counts.panels) if not name.endswith(WHOLE)] == judged
    matrix = EconCorrelator().correlate(counts, specs=SPECS)
    assert (matrix["RecoveryTag"].reason, matrix["RecoveryTag"].trust_level) == ("self_referential", 0.5)
    assert matrix["RiskTag"].reason == "ok"


def test_without_outcomes_only_raw_costs_earn_trust():
    tags, econ, episodes, segments = shard(800, 4, "none")
    nothing = np.full(800, np.nan)
    econ = replace(econ, success=nothing, mpl=nothing)
    matrix = EconCorrelator().correlate(trust_counts(tags, econ, episodes, segments, SPECS), specs=SPECS)
    assert matrix["RecoveryTag"].reason == matrix["OODTag"].reason == "no_outcome"
    assert matrix["RiskTag"].reason == "ok"


def test_tables_of_other_episodes_are_refused():
    tags, econ, episodes, segments = shard(5, 5)
    with pytest.raises(RecordError, match="not of the same episodes"):
        trust_counts(tags, econ, episodes.take(np.arange(4, -1, -1)), segments, SPECS)


def test_an_empty_shard_counts_nothing():
    empty = [cls.empty() for cls in (TagTable, EconTable, EpisodeTable, SegmentTable)]
    counts = trust_counts(*empty, SPECS)
    assert all(row.reason == "no_outcome" for row in EconCorrelator().correlate(counts, specs=SPECS).values())


def test_statistics_are_told_raw_and_stratified_with_their_intervals():
    counts = trust_counts(*shard(2000, 6), SPECS)
    told = describe(counts, TAGS)
    assert sorted(told) == ["ood_difference", "ood_penalty", "recovery_value", "recovery_value_plain", "risk_premium"]
    for each in told.values():
        assert each.raw_interval[0] <= each.raw <= each.raw_interval[1]
        assert each.stratified_interval[0] <= each.stratified <= each.stratified_interval[1]
        assert each.n == 2000 or each.name == "recovery_value"
    assert told["risk_premium"].stratified_interval[0] > 2
    assert told["recovery_value"].stratified_interval[0] > 0
    # the plain comparison with clean successes has the bias that is named
    assert told["recovery_value_plain"].bias
    low, high = told["ood_difference"].stratified_interval
    assert low < 0 < high
    assert describe(counts, TAGS) == told


def test_statistics_of_nothing_are_none():
    assert not describe(
        trust_counts(*(cls.empty() for cls in (TagTable, EconTable, EpisodeTable, SegmentTable)), TAGS), TAGS
    )


@pytest.mark.parametrize(
    ("nominal", "source", "rule", "expected"),
    [
        ([True, False, False, False], "recorded", DESIGNATED, [0]),
        ([False] * 4, "recorded", RECORDED, [0, 1]),
        ([False] * 4, "inferred", INFERRED_RULE, [1]),
        ([False] * 4, "none", NOTHING, []),
    ],
)
def test_nominal_episodes_are_chosen_by_the_best_rule_there_is(nominal, source, rule, expected):
    success = np.array([1.0, 1.0, 0.0, np.nan]) if source != "none" else np.full(4, np.nan)
    where, words = nominal_episodes(
        success, Text.full(4, source), np.array(nominal), np.array([False, True, True, True])
    )
    assert (np.flatnonzero(where).tolist(), words) == (expected, rule)


def test_nominal_needs_to_know_of_every_episode_whether_it_is_clean():
    with pytest.raises(RecordError, match="clean"):
        nominal_episodes(np.ones(2), Text.full(2, "recorded"), np.zeros(2, bool), np.ones(3, bool))


def late_shard(n, early, seed=11):
    """Strangeness that means failure; it is known in time in a share of the episodes."""
    rng = np.random.default_rng(seed)
    strange = rng.random(n) < 0.3
    intime = rng.random(n) < early
    success = (rng.random(n) > np.where(strange, 0.9, 0.2)).astype(float)
    kinds = np.where(strange & ~intime, "diagnostic", "predictive")
    tags = tag_rows(*((f"e{k}", "OODTag", str(kinds[k]), float(strange[k])) for k in range(n)))
    econ = filled(EconTable, n, episode_id=ids(n), success=success, outcome_source=Text.full(n, "recorded"))
    episodes = filled(EpisodeTable, n, episode_id=ids(n), family=Text.full(n, "a"))
    return tags, econ, episodes, SegmentTable.empty()


def test_a_tag_that_mostly_comes_too_late_says_so_and_raises_an_alert():
    counts = trust_counts(*late_shard(3000, 0.1), {"OODTag": OOD})
    matrix = EconCorrelator().correlate(counts, specs={"OODTag": OOD})
    late = counts.panels["success" + WHOLE].cells[0, ..., 1].sum() - matrix["OODTag"].n_tagged
    assert late > 700
    assert f"{late:,} of them too late to predict" in matrix["OODTag"].note
    alert = next(alert for alert in matrix.alerts if alert.kind == "prefix_drop")
    assert 0.65 < float(alert.message.split("δ is ")[1].split(",")[0]) < 0.75


def test_a_tag_that_comes_in_time_raises_none_and_the_whole_is_never_judged_by():
    specs = {"OODTag": OOD}
    counts = trust_counts(*late_shard(3000, 1.0), specs)
    matrix = EconCorrelator().correlate(counts, specs=specs)
    assert not matrix.alerts
    assert "too late" not in matrix["OODTag"].note
    late = trust_counts(*late_shard(3000, 0.1), specs)
    bare = type(late)({name: panel for name, panel in late.panels.items() if not name.endswith(WHOLE)})
    level = [EconCorrelator().correlate(each, specs=specs)["OODTag"].trust_level for each in (late, bare)]
    assert level[0] == level[1]


def test_the_note_on_recovery_names_attempts_and_failures():
    counts = trust_counts(*shard(800, 12), SPECS)
    row = EconCorrelator().correlate(counts, specs=SPECS)["RecoveryTag"]
    assert f"attempted in {row.n_tagged} of {row.n} episodes that failed" in row.note


def test_an_interval_that_cannot_be_assessed_is_nan_with_a_word_why():
    tags, econ, episodes, segments = shard(200, 13)
    few = np.zeros(200, bool)
    few[:4] = True
    tags = tag_rows(*((e, "OODTag", "predictive", float(s)) for e, s in zip(episodes.episode_id, few, strict=True)))
    econ = replace(econ, success=np.where(few, 0.0, econ.success))
    told = describe(trust_counts(tags, econ, episodes, segments, {"OODTag": OOD}), TAGS)
    assert told["ood_penalty"].raw == 0.0
    assert np.isnan(told["ood_penalty"].raw_interval).all()
    assert "no interval: the costs of 4 tagged episodes do not differ" in told["ood_penalty"].bias
    assert not np.isnan(told["ood_difference"].raw_interval).any()
    assert "no interval" not in told["ood_difference"].bias
