from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tag_worlds import observed, segments_of, story

from sima2.errors import RecordError
from sima2.records.primitives import PrimitiveTable
from sima2.records.table import Text
from sima2.records.vocabulary import TAG_KINDS
from sima2.tags.fragility import FailureRates, fit_failure_rates, fragility_rows
from sima2.tags.luck import luck_rows
from sima2.tags.ood import KINEMATIC_BANDS, TEMPORAL_BANDS, VISUAL_BANDS, banded
from sima2.tags.propagator import SemanticTagPropagator
from sima2.tags.recovery import find_recoveries, recovery_rows
from sima2.tags.references import fit_references
from sima2.tags.seen import TaggedEpisodes
from sima2.tags.specs import TAGS, THRESHOLDS


def recovery(text, **changes):
    table = segments_of([{**row, **changes} for row in story("e", text)])
    return recovery_rows(table, np.zeros(len(table), bool), Text.of(["e"]), np.array([400]), 200.0)


def primitives_of(segments, ambiguous=False):
    n = len(segments)
    return PrimitiveTable(
        episode_index=segments.episode_index,
        primitive_id=segments.segment_id,
        episode_id=segments.episode_id,
        segment_id=segments.segment_id,
        action=segments.label,
        object=segments.object,
        outcome=segments.outcome,
        failure_reason=segments.failure_reason,
        duration_s=segments.end_t - segments.start_t,
        energy_wh=segments.energy_wh.astype(float),
        confidence=segments.confidence,
        ambiguous=np.full(n, ambiguous),
    )


def propagated(n=400, seed=0, *, words="approach+ grasp+ pull+ retreat", ambiguous=False, debug=None, success=1.0):
    observations, risk, failed, _ = observed(n, seed, slope=3.0)
    refs = fit_references(observations, risk, ~failed, failed)
    segments = segments_of([row for name in risk.episode_id for row in story(name, words)])
    episodes = TaggedEpisodes(
        episode_index=np.arange(n),
        episode_id=risk.episode_id,
        frames=np.full(n, 80),
        family=risk.family,
        debug_mode=np.zeros(n, bool) if debug is None else debug,
        inferred_success=np.full(n, success),
    )
    args = (segments, primitives_of(segments, ambiguous), observations, risk, refs)
    return SemanticTagPropagator().propagate(*args, episodes), args, episodes


def by_tag(tags, name):
    return tags.take(tags.tag.isin(name))


def level_of(rows):
    """Level of the first recovery before its primitives are asked whether they are ambiguous."""
    table = segments_of(rows)
    tags = recovery_rows(table, np.zeros(len(table), np.bool_), Text.of(["e"]), np.array([400]), 200.0)
    return float(tags.level[0])


def test_a_failure_corrected_and_retried_with_success_is_a_recovery():
    rows = recovery("approach+ grasp:gripper_slip~ recovery_maneuver+ approach+ grasp+ pull+")
    assert rows.source.tolist() == ["recovery_maneuver"]
    assert rows.level[0] > THRESHOLDS["RecoveryTag"]
    assert (rows.start_frame[0], rows.end_frame[0], rows.available_at_frame[0]) == (40, 100, 100)
    assert "value_add=high" in rows.details[0]
    assert "cost_wh=0.02000 (measured)" in rows.details[0]


@pytest.mark.parametrize(
    ("words", "source"),
    [
        ("approach+ grasp+ pull+", "no_failure"),
        ("approach+ grasp- retreat", "not_corrected"),
        ("approach+ grasp~ recovery_maneuver approach+ grasp-", "attempt_failed"),
        ("approach+ recovery_maneuver grasp+", "no_failure"),
        ("approach+ grasp- idle grasp+", "not_corrected"),
    ],
)
def test_no_recovery_without_a_failure_a_correction_and_a_success(words, source):
    rows = recovery(words)
    assert rows.source.tolist() == [source]
    assert rows.level.tolist() == [0.0]


def test_only_the_last_of_several_failures_was_mended():
    rows = recovery("grasp~ approach+ grasp~ approach+ grasp+")
    assert len(rows) == 1
    assert rows.start_frame[0] == 60


def test_an_object_put_straight_is_a_recovery():
    for reason in ("unstable", "misplaced", "drop"):
        assert recovery(f"place:{reason}- recovery_maneuver push+").source.tolist() == ["recovery_maneuver"]
    assert recovery("place:obstructed- recovery_maneuver push+").source.tolist() == ["attempt_failed"]
    assert recovery("place:drop- recovery_maneuver push-").source.tolist() == ["attempt_failed"]


def test_an_object_to_which_more_happens_was_not_put_straight():
    assert recovery("place:drop- recovery_maneuver push+ grasp:missed_grasp-").source.tolist() == ["attempt_failed"]


def test_what_is_put_down_was_carried():
    assert recovery("lift+ transport:collision- recovery_maneuver place+").source.tolist() == ["recovery_maneuver"]
    assert recovery("lift+ place:obstructed- recovery_maneuver transport+").source.tolist() == ["attempt_failed"]


def test_a_drawer_that_comes_mends_the_pull_at_its_handle():
    rows = story("e", "grasp+ pull:locked- recovery_maneuver grasp+ pull+")
    for held in ("handle", "other"):
        named = [{**row, "object": "handle"} for row in rows[:3]]
        named += [{**rows[3], "object": held}, {**rows[4], "object": "drawer"}]
        assert len(find_recoveries(segments_of(named)).failed) == (held == "handle")


def test_a_failure_too_short_to_name_counts_by_the_anomaly_it_ended_in():
    rows = story("e", "place:obstructed~ collision:obstructed- recovery_maneuver+ place+")
    for sure, level in ((0.7, 0.7), (0.2, 0.3)):
        told = [{**rows[0], "confidence": 0.3}, {**rows[1], "confidence": sure}, *rows[2:]]
        assert level_of(told) == pytest.approx(level)


def test_success_with_another_object_mends_nothing():
    rows = [*story("e", "approach+ grasp- recovery_maneuver"), *story("e", "approach+ grasp+")]
    rows = [{**row, "object": "a" if k < 3 else "b"} for k, row in enumerate(rows)]
    assert len(find_recoveries(segments_of(rows)).failed) == 0


def test_the_cost_of_a_correction_is_estimated_and_marked_where_power_is_unknown():
    rows = recovery("grasp~ recovery_maneuver+ grasp+", energy_wh=np.nan)
    assert "estimated at 200 W" in rows.details[0]
    assert f"cost_wh={200 / 3600:.5f}" in rows.details[0]


LABELS = ("approach", "grasp", "pull", "recovery_maneuver", "slip", "idle", "retreat")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from("+-~")), min_size=1, max_size=12))
def test_every_recovery_has_a_prior_failure_and_a_later_success_of_the_step(words):
    table = segments_of(story("e", " ".join(label + mark for label, mark in words)))
    found = find_recoveries(table)
    for f, m in zip(found.failed.tolist(), found.mended.tolist(), strict=True):
        assert f < m
        assert table.outcome[f] in ("failure", "retry")
        assert table.outcome[m] == "success"
        assert table.label[f] == table.label[m]


@settings(max_examples=150, deadline=None)
@given(
    risk=st.floats(0, 1) | st.just(float("nan")),
    success=st.sampled_from([0.0, 1.0, float("nan")]),
    recovered=st.booleans(),
)
def test_luck_is_high_risk_and_success_and_no_recovery_and_nothing_else(risk, success, recovered):
    row = luck_rows(
        Text.of(["e"]), np.array([9]), np.array([risk]), np.array([success]), np.array([recovered])
    ).frozen()
    given_tag = bool(row.level[0] > THRESHOLDS["LuckySuccessTag"])
    assert given_tag == (risk > 0.8 and success == 1 and not recovered)


def test_every_episode_has_a_row_of_every_tag_in_order():
    tags, _, episodes = propagated()
    for name in TAGS:
        assert set(by_tag(tags, name).episode_id) == set(episodes.episode_id)
    assert set(tags.kind) <= set(TAG_KINDS)
    place = {name: k for k, name in enumerate(episodes.episode_id)}
    order = [place[name] for name in tags.episode_id]
    assert order == sorted(order)
    level = tags.level[~np.isnan(tags.level)]
    assert ((level >= 0) & (level <= 1)).all()


def test_high_risk_and_success_without_recovery_is_lucky():
    tags, _, _ = propagated()
    risk, luck = by_tag(tags, "RiskTag"), by_tag(tags, "LuckySuccessTag")
    assert (risk.level > 0.8).sum() > 10
    np.testing.assert_array_equal(luck.level > 0, risk.level > 0.8)


def test_a_recovered_episode_is_not_lucky_but_one_with_an_ambiguous_recovery_is():
    words = "approach+ grasp~ recovery_maneuver grasp+ pull+"
    sure, _, _ = propagated(words=words)
    unsure, _, _ = propagated(words=words, ambiguous=True)
    assert (by_tag(sure, "RecoveryTag").level > 0.5).all()
    assert not (by_tag(sure, "LuckySuccessTag").level > 0).any()
    assert (by_tag(unsure, "RecoveryTag").source.isin("ambiguous")).all()
    assert (by_tag(unsure, "LuckySuccessTag").level > 0).any()


def test_debug_episodes_get_no_ood_tag():
    debug = np.arange(400) % 2 == 0
    tags, _, episodes = propagated(debug=debug)
    ood = by_tag(tags, "OODTag")
    assert (ood.level > 0).any()
    spared = {name for name, d in zip(episodes.episode_id, debug, strict=True) if d}
    assert not any(name in spared for name in ood.take(np.nan_to_num(ood.level) > 0).episode_id)


def test_a_recovery_segment_is_never_strange():
    observations, risk, failed, _ = observed(400, 3)
    refs = fit_references(observations, risk, np.ones(400, bool), failed)
    wild = replace(
        observations, label=Text.full(len(observations), "recovery_maneuver"), max_speed=observations.max_speed * 1e3
    )
    assert np.isnan(refs.folds[0].strangeness.nominal.scores(wild)).all()


def test_an_alien_look_is_named_visual_and_severe_and_known_before_the_landmark():
    observations, risk, failed, _ = observed(600, 4, strange=frozenset(range(20)))
    nominal = np.arange(600) >= 20
    refs = fit_references(observations, risk, nominal, failed)
    from sima2.tags.ood import ood_rows

    fold = refs.fold(risk.episode_id)
    mine = np.flatnonzero((fold == 0) & ~nominal)
    rows = ood_rows(
        observations, risk.take(mine), np.zeros(len(mine), bool), np.full(len(mine), 80), refs.folds[0].strangeness
    )
    hit = rows.take(rows.level > 0)
    assert hit.source.isin("visual").mean() > 0.9
    assert (hit.severity[hit.source.isin("visual")] == 1.0).all()
    early = hit.take(hit.end_frame <= 20)
    assert set(early.kind) == {"predictive"}
    assert set(early.episode_id) == set(risk.take(mine).episode_id)
    assert set(hit.take(hit.end_frame > 20).kind) == {"diagnostic"}


def test_what_was_strange_before_the_landmark_stays_so_whatever_comes_later():
    observations, risk, failed, _ = observed(600, 5, strange=frozenset(range(20)))
    refs = fit_references(observations, risk, np.arange(600) >= 20, failed)
    from sima2.tags.ood import ood_rows

    def early(rows):
        out = ood_rows(rows, risk, np.zeros(600, bool), np.full(600, 80), refs.folds[0].strangeness)
        kept = out.take(out.kind.isin("predictive") & (np.nan_to_num(out.level) > 0))
        return sorted(zip(kept.episode_id, kept.level.tolist(), kept.source, strict=True))

    later = ~observations.cut
    changed = replace(observations, max_speed=np.where(later, 1e4, observations.max_speed))
    assert early(observations) == early(changed)
    assert early(observations)


def test_what_is_strange_because_something_has_failed_predicts_nothing():
    observations, risk, failed, _ = observed(600, 4, strange=frozenset(range(20)))
    refs = fit_references(observations, risk, np.arange(600) >= 20, failed)
    from sima2.tags.ood import ood_rows

    def early(rows):
        out = ood_rows(rows, risk, np.zeros(600, bool), np.full(600, 80), refs.folds[0].strangeness)
        kept = out.take((np.nan_to_num(out.level) > 0) & (out.end_frame <= 20))
        return len(kept), set(kept.kind)

    fired, kinds = early(observations)
    assert fired >= 20
    assert kinds == {"predictive"}
    first = observations.cut & (observations.end_frame <= 20)
    ended = np.where(first, 0.0, observations.log_duration)
    failing = replace(observations, failed=observations.failed | first, log_duration=ended)
    assert early(failing)[1] == {"diagnostic"}
    # what is under way at the landmark has no outcome yet, and a later look at the same frames tells nothing early
    assert early(replace(failing, log_duration=np.where(first, np.nan, ended)))[1] == {"predictive"}
    assert early(replace(observations, failed=~observations.cut))[1] == {"predictive"}


def test_severity_follows_the_bands_of_the_specification():
    assert banded(np.array([0.69, 0.70, 0.85, 0.95]), VISUAL_BANDS).tolist() == [0.3, 0.5, 0.8, 1.0]
    assert banded(np.array([1.0, 1.10, 1.25, 1.5]), KINEMATIC_BANDS).tolist() == [0.3, 0.6, 0.8, 1.0]
    assert banded(np.array([2.9, 3.0, 4.0, 6.0]), TEMPORAL_BANDS).tolist() == [0.3, 0.5, 0.7, 1.0]


def test_fragility_names_the_step_that_fails_often_and_spares_the_one_that_does_not():
    observations, risk, _, _ = observed(200, 6)
    handle = observations.episode_id.codes % 2 == 0
    rows = replace(
        observations,
        object=Text(handle.astype(int), ("cup_1", "knob_2")),
        failed=handle & observations.label.isin("grasp") & (observations.episode_id.codes % 4 == 0),
    )
    rates = fit_failure_rates(rows)
    risk = replace(risk, object=Text(np.arange(200) % 3, ("knob_7", "cup_1", "never_seen")))
    tags = fragility_rows(risk, rates).frozen()
    assert (tags.level[0::3] > 0.4).all()
    assert (tags.level[1::3] == 0).all()
    assert np.isnan(tags.level[2::3]).all()
    assert tags.source[0] == "grasp"
    assert "of knob failed 50 of 100 times" in tags.details[0]


def test_no_rates_assess_no_fragility():
    _, risk, _, _ = observed(3, 7)
    tags = fragility_rows(risk, FailureRates((), 0, 0)).frozen()
    assert np.isnan(tags.level).all()
    assert set(tags.source) == {"not_assessed"}


def test_an_episode_that_had_failed_at_its_landmark_has_left_the_risk_set():
    observations, risk, failed, _ = observed(300, 8, slope=2.0)
    risk = replace(risk, failed_before=np.arange(300) % 10 == 0, landmark=np.where(np.arange(300) % 10 == 1, 0, 20))
    refs = fit_references(observations, risk, ~failed, failed)
    segments = segments_of([row for name in risk.episode_id for row in story(name, "approach+ grasp+")])
    episodes = TaggedEpisodes(
        np.arange(300), risk.episode_id, np.full(300, 80), risk.family, np.zeros(300, bool), np.ones(300)
    )
    tags = SemanticTagPropagator().propagate(segments, primitives_of(segments), observations, risk, refs, episodes)
    rows = by_tag(tags, "RiskTag")
    assert (rows.source.isin("failed_before_landmark") == (np.arange(300) % 10 == 0)).all()
    assert (rows.source.isin("not_assessed") == (np.arange(300) % 10 == 1)).all()
    np.testing.assert_array_equal(np.isnan(rows.level), np.arange(300) % 10 < 2)


def test_tags_do_not_depend_on_how_episodes_fell_into_shards():
    tags, (segments, primitives, observations, risk, refs), episodes = propagated(n=300, seed=9)
    whole = list(tags.rows())
    pieces = []
    for part in (np.arange(0, 1), np.arange(1, 120), np.arange(120, 300)):
        names = set(episodes.episode_id[part])

        def of(table, names=names):
            return table.take(np.array([name in names for name in table.episode_id]))

        few = TaggedEpisodes(
            episodes.episode_index[part],
            episodes.episode_id[part],
            episodes.frames[part],
            episodes.family[part],
            episodes.debug_mode[part],
            episodes.inferred_success[part],
        )
        shard = SemanticTagPropagator().propagate(of(segments), of(primitives), of(observations), of(risk), refs, few)
        pieces += list(shard.rows())
    assert repr(pieces) == repr(whole)


def test_every_tag_bears_the_number_of_its_episode():
    _, args, episodes = propagated(n=40, seed=3, words="approach+ grasp- recovery_maneuver grasp+")
    numbers = 7 + 3 * np.random.default_rng(0).permutation(40)
    tags = SemanticTagPropagator().propagate(*args, replace(episodes, episode_index=numbers))
    whose = dict(zip(episodes.episode_id, numbers.tolist(), strict=True))
    assert {*tags.tag} == {*TAGS}
    assert tags.episode_index.tolist() == [whose[name] for name in tags.episode_id]


def test_an_episode_that_was_not_observed_is_an_error_that_names_it():
    _, (segments, primitives, observations, risk, refs), episodes = propagated(n=50, seed=10)
    with pytest.raises(RecordError, match="e000000"):
        SemanticTagPropagator().propagate(
            segments, primitives, observations, risk.take(np.arange(1, 50)), refs, episodes
        )


def test_no_episodes_give_no_tags():
    _, (segments, primitives, observations, risk, refs), _ = propagated(n=30, seed=11)
    nobody = TaggedEpisodes(
        np.zeros(0, int), Text.of([]), np.zeros(0, int), Text.of([]), np.zeros(0, bool), np.zeros(0)
    )
    assert len(SemanticTagPropagator().propagate(segments, primitives, observations, risk, refs, nobody)) == 0


@pytest.mark.parametrize("name", list(TAGS))
def test_a_tag_declares_what_it_is(name):
    spec = TAGS[name]
    assert spec.kind in TAG_KINDS
    assert spec.inputs
    assert spec.direction in (-1, 1)
    assert name in THRESHOLDS


def test_where_no_channel_could_show_a_failure_its_absence_is_not_claimed():
    blind = recovery("approach+ grasp+ pull+", channels_used="joints+gripper")
    assert np.isnan(blind.level).all()
    assert blind.source.tolist() == ["not_assessed"]
    assert "no force" in blind.details[0]
    # a failure that the fingers alone showed is still told
    assert recovery("grasp~ recovery_maneuver grasp+", channels_used="joints+gripper").level[0] > 0.5
    assert recovery("grasp:missed_grasp-", channels_used="joints+gripper").source.tolist() == ["not_corrected"]


def test_what_was_stopped_and_then_gets_there_went_another_way():
    assert recovery("lift+ transport:collision~ collision:collision- transport+").source.tolist() == ["retry"]
    assert recovery("lift+ transport:drop~ slip:drop- transport+").level.tolist() == [0.0]


def test_a_look_counts_from_the_next_view_on():
    words = "approach:timeout~ idle approach+ recovery_maneuver idle approach"
    assert recovery(words + "+").source.tolist() == ["recovery_maneuver"]
    assert recovery(words + ":timeout-").level.tolist() == [0.0]
    assert recovery("approach:timeout~ idle approach+ retreat").level.tolist() == [0.0]


def test_a_load_lost_before_anything_was_told_is_mended_by_carrying_it():
    assert recovery("slip:drop- recovery_maneuver approach+ grasp+ lift+").source.tolist() == ["recovery_maneuver"]
    assert recovery("slip:drop- recovery_maneuver approach+ grasp+").level.tolist() == [0.0]


def test_of_two_vain_attempts_in_a_row_the_surer_tells():
    rows = story("e", "pull:locked~ grasp+ pull:locked- recovery_maneuver pull+")
    told = [{**rows[0], "confidence": 0.8}, rows[1], {**rows[2], "confidence": 0.3}, *rows[3:]]
    assert level_of(told) == pytest.approx(0.8)
