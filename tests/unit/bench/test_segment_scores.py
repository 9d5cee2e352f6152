"""Measures of a segmentation on cases small enough to work out by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sima2.bench.annotations import Event, Piece, Pieces, Track, failures, recoveries, shuffled
from sima2.bench.segment_measures import Counts, boundary_hits, count, matches
from sima2.bench.segment_scores import (
    average_precision,
    outcomes,
    reasons,
    reliability,
    score,
    scores,
    segmental,
    summary,
)
from sima2.records.vocabulary import LABELS

SLIPPED: Pieces = (
    Piece("approach", 0, 20, "success"),
    Piece("lift", 20, 40, "retry", "gripper_slip"),
    Piece("slip", 40, 45, "failure", "gripper_slip"),
    Piece("recovery_maneuver", 45, 60, "success"),
    Piece("lift", 60, 80, "success"),
)
SMOOTH: Pieces = (Piece("approach", 0, 30, "success"), Piece("grasp", 30, 50, "success"))


def track(pieces: Pieces, name: str = "e") -> Track:
    return Track(name, "arm", "drawer_open", "", 20.0, pieces)


def sure(pieces: Pieces, confidence: float) -> Pieces:
    return tuple(piece._replace(confidence=confidence) for piece in pieces)


@st.composite
def timelines(draw: st.DrawFn) -> Pieces:
    lengths = draw(st.lists(st.integers(1, 30), min_size=1, max_size=8))
    stops = np.cumsum(lengths).tolist()
    out: list[Piece] = []
    for start, stop in zip([0, *stops], stops):
        choices = [name for name in LABELS if not out or name != out[-1].label]
        outcome = draw(st.sampled_from(["success", "failure", "retry"]))
        out.append(Piece(draw(st.sampled_from(choices)), start, stop, outcome, "drop", 0.5))
    return tuple(out)


@settings(deadline=None)  # the first call loads scipy
@given(timelines())
def test_a_perfect_prediction_scores_everything(pieces: Pieces) -> None:
    told = summary(scores([track(pieces)], {("e", "arm"): pieces}))
    assert (told["frame_accuracy"], told["edit"]) == (1.0, 100.0)
    assert (told["f1_10"], told["f1_25"], told["f1_50"]) == (100.0, 100.0, 100.0)
    for name in ("failure_precision", "failure_recall", "recovery_precision", "recovery_recall"):
        assert told[name] == 1.0 or math.isnan(told[name])


@settings(deadline=None)
@given(timelines(), timelines())
def test_scores_stay_in_their_ranges_and_wider_overlap_is_never_easier(true: Pieces, told: Pieces) -> None:
    found = segmental(scores([track(true)], {("e", "arm"): told}))
    assert 0 <= found["f1_50"] <= found["f1_25"] <= found["f1_10"] <= 100
    assert 0 <= found["edit"] <= 100
    assert 0 <= found["frame_accuracy"] <= 1
    assert 0 <= found["boundary_f1"] <= 1


@settings(deadline=None)
@given(st.lists(st.tuples(timelines(), timelines()), min_size=2, max_size=5))
def test_the_order_of_episodes_does_not_matter(pairs: list[tuple[Pieces, Pieces]]) -> None:
    truth = [track(true, f"e{i}") for i, (true, _) in enumerate(pairs)]
    told = {t.key: mine for t, (_, mine) in zip(truth, pairs)}
    one, other = segmental(scores(truth, told)), segmental(scores(truth[::-1], told))
    assert one == pytest.approx(other)


def test_counts_are_summed_before_the_ratio_is_taken() -> None:
    # three of four segments and none of one: 2·3 / (4+4 + 1+1) = 60, while the mean of the ratios would be 37.5
    many = tuple(Piece("lift" if k % 2 else "grasp", 10 * k, 10 * k + 10) for k in range(4))
    few = (Piece("idle", 0, 10),)
    told = {("a", "arm"): (*many[:3], many[3]._replace(label="wipe")), ("b", "arm"): (Piece("push", 0, 10),)}
    assert segmental(scores([track(many, "a"), track(few, "b")], told))["f1_50"] == pytest.approx(60.0)


def test_an_episode_without_a_prediction_costs_recall_and_frames() -> None:
    told = summary(scores([track(SLIPPED)], {}))
    assert told["frame_accuracy"] == told["f1_10"] == told["edit"] == 0
    assert told["failure_recall"] == told["recovery_recall"] == 0
    assert math.isnan(told["failure_precision"])


def test_a_prediction_shuffled_in_time_scores_low() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(LABELS[1:], size=(60, 12)).tolist()
    truth = []
    for i, row in enumerate(labels):
        stops = np.cumsum(rng.integers(5, 40, 12)).tolist()
        pieces = [Piece(name, a, b) for name, a, b in zip(row, [0, *stops], stops)]
        truth.append(track(tuple(pieces), f"e{i}"))
    right = {t.key: t.pieces for t in truth}
    wrong = {t.key: shuffled(t, right, rng) for t in truth}
    assert segmental(scores(truth, right))["f1_50"] == 100
    assert segmental(scores(truth, wrong))["f1_50"] < 20


@given(timelines(), st.integers(0, 99))
def test_shuffling_keeps_how_long_each_label_lasts(pieces: Pieces, seed: int) -> None:
    mixed = shuffled(track(pieces), {("e", "arm"): pieces}, np.random.default_rng(seed))

    def lasting(each: Pieces) -> dict[str, int]:
        return {name: sum(p.stop - p.start for p in each if p.label == name) for name in LABELS}

    assert lasting(mixed) == lasting(pieces)
    assert all(a.stop == b.start and a.label != b.label for a, b in pairwise(mixed))
    assert (mixed[0].start, mixed[-1].stop) == (0, pieces[-1].stop)


def test_an_anomaly_and_the_segment_it_ends_are_one_failure_at_its_onset() -> None:
    assert failures(SLIPPED) == [Event(40, "gripper_slip")]


def test_a_failure_without_an_anomaly_is_where_the_attempt_ends() -> None:
    missed = (Piece("grasp", 0, 9, "failure", "missed_grasp"), Piece("retreat", 9, 20, "success"))
    assert failures(missed) == [Event(9, "missed_grasp")]
    assert failures(SMOOTH) == []


def test_a_recovery_that_did_not_help_is_not_counted_beside_the_attempt_that_failed_after_it() -> None:
    again = (
        Piece("grasp", 0, 9, "retry", "missed_grasp"),
        Piece("recovery_maneuver", 9, 20, "failure", "missed_grasp"),
        Piece("grasp", 20, 30, "failure", "missed_grasp"),
    )
    assert [event.frame for event in failures(again)] == [9, 30]


def test_a_failure_counts_within_half_a_second_only() -> None:
    def moved(frames: int) -> Pieces:
        a, b, c = SLIPPED[1:4]
        cut = SLIPPED[1].stop + frames
        return (SLIPPED[0], a._replace(stop=cut), b._replace(start=cut, stop=cut + 5), c._replace(start=cut + 5))

    near, far = score(track(SLIPPED), moved(10)), score(track(SLIPPED), moved(11))
    assert (near.failures.hits, far.failures.hits) == (1, 0)
    assert near.failure_late_s == (0.5,)
    assert far.reasons == (("gripper_slip", "none"), ("none", "gripper_slip"))


def test_the_confusion_of_reasons_names_what_was_missed_and_what_was_made_up() -> None:
    told = (*SLIPPED[:2], SLIPPED[2]._replace(reason="drop"), *SLIPPED[3:])
    false = (SMOOTH[0], SMOOTH[1]._replace(outcome="failure", reason="missed_grasp"))
    truth = [track(SLIPPED, "a"), track(SMOOTH, "b"), track(SLIPPED, "c")]
    scored = scores(truth, {("a", "arm"): told, ("b", "arm"): false})
    assert reasons(scored) == {"gripper_slip": {"drop": 1, "none": 1}, "none": {"missed_grasp": 1}}


def test_adjoining_recoveries_are_one() -> None:
    first, second = Piece("recovery_maneuver", 3, 8), Piece("recovery_maneuver", 8, 12)
    assert recoveries((first, second, Piece("idle", 12, 30))) == [("recovery_maneuver", 3, 12)]


def test_an_anomaly_in_an_episode_in_which_nothing_failed_is_a_false_alarm() -> None:
    alarm = (SMOOTH[0], Piece("slip", 30, 50, "failure", "gripper_slip"))
    truth = [track(SMOOTH, "a"), track(SMOOTH, "b"), track(SLIPPED, "c")]
    told = summary(scores(truth, {("a", "arm"): alarm, ("b", "arm"): SMOOTH, ("c", "arm"): SLIPPED}))
    assert (told["nominal_episodes"], told["false_alarm_share"]) == (2, 0.5)


def test_confidence_is_judged_by_the_majority_of_frames_and_unknown_claims_nothing() -> None:
    told = (Piece("approach", 0, 61, confidence=0.9), Piece("unknown", 61, 80, confidence=0.2))
    half = score(track((Piece("approach", 0, 31), Piece("grasp", 31, 80))), told)
    less = score(track((Piece("approach", 0, 30), Piece("grasp", 30, 80))), told)
    assert [ok for _, _, ok in (*half.sure, *less.sure)] == [True, False]
    assert half.unknown == 19


def test_overconfidence_shows_as_calibration_error() -> None:
    wrong = tuple(piece._replace(label="wipe") for piece in SMOOTH)
    truth = [track(SMOOTH, "a"), track(SMOOTH, "b")]
    told = {("a", "arm"): sure(SMOOTH, 0.95), ("b", "arm"): sure(wrong, 0.95)}
    assert summary(scores(truth, told))["calibration_error"] == pytest.approx(0.45)
    by_label = reliability(scores(truth, told))
    assert (by_label["wipe"]["base_rate"], by_label["grasp"]["base_rate"]) == (0.0, 1.0)


def test_average_precision_rewards_ranking_and_counts_what_was_never_found() -> None:
    assert average_precision([(0.9, True), (0.1, False)], 1) == 1.0
    assert average_precision([(0.9, False), (0.1, True)], 1) == 0.5
    assert average_precision([(0.9, True)], 2) == 0.5
    assert average_precision([(0.5, True), (0.5, False)], 1) == 0.5
    assert math.isnan(average_precision([], 0))


def test_each_true_span_and_boundary_is_matched_once() -> None:
    assert matches([("a", 0, 5), ("a", 5, 10)], [("a", 0, 10)], 0.5) == [0]
    assert boundary_hits([10, 11], [10], 3) == 1
    assert boundary_hits([10, 14], [12], 1) == 0
    assert sum((count([("a", 0, 5)], [("a", 0, 5)], tolerance=0) for _ in range(3)), Counts()).f1(50) == 100


def test_outcomes_are_compared_where_the_segment_itself_was_found() -> None:
    told = (
        Piece("approach", 0, 20, "success"),
        Piece("lift", 20, 40, "failure", "drop"),
        Piece("slip", 40, 60, "failure", "drop"),
        Piece("lift", 60, 80, "success"),
    )
    table = outcomes(scores([track(SLIPPED)], {("e", "arm"): told}))
    assert table == {"retry": {"failure": 1}, "success": {"success": 2}}
