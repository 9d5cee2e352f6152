"""The plan: facts act by rule, inferences by their probability, tags by trust; each says which it is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sima2.errors import UnknownNameError
from sima2.records.courses import MOMENTS, ConsensusTable
from sima2.records.defects import DEFECTS, DefectTable, PauseTable
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import CardTable, SegmentVerdicts
from sima2.records.table import Text
from sima2.sampling.frames import frame_weights, inside_weights, planned_frames
from sima2.sampling.plan import Asked, Known, TrainingPlanner, _flat, _Span, precision_of
from sima2.sampling.plan_settings import ALSO, PRESETS, RULES, PlanSettings
from sima2.sampling.planned import planned
from sima2.sampling.pool import Pool
from unit.sampling.test_datapack_auditor import episodes, filled, found

FRAMES = 100


def plan(table, *, preset="measured", objective="bc", without=(), also=ALSO, **known):
    settings = PlanSettings(preset=preset, objective=objective, without=without, also=also)
    return TrainingPlanner(settings).plan(Known(table, **known))


def row(table, **known):
    (each,) = plan(table, **known).episodes.rows()
    return each


def attempt(start, end, sure=1.0, verdict="failed_attempt"):
    return SegmentVerdicts(
        episode_id=Text.of(["e0"]),
        verdict=Text.of([verdict]),
        start_frame=np.array([start]),
        end_frame=np.array([end]),
        confidence=np.array([sure]),
    )


def paused(start, end):
    return PauseTable(np.zeros(1, np.int64), Text.of(["e0"]), np.array([start]), np.array([end]))


def agreed(n=1, **apart):
    """What others do is done at all moments but these, by name of the episode."""
    dissent = np.full((n, MOMENTS), 0.1, np.float32)
    for name, moments in apart.items():
        dissent[int(name[1:]), moments] = 0.9
    one, half = Text.full(n, "all"), np.full(n, 0.5)
    names = Text.of(f"e{i}" for i in range(n))
    whole = np.zeros(n, np.int64), np.full(n, FRAMES)
    return ConsensusTable(np.arange(n), names, one, one, np.full(n, n), half, half, dissent, *whole)


def inferred(p, n=1):
    return episodes(
        n,
        success=np.zeros(n),
        outcome_source=Text.full(n, "inferred"),
        inferred_success=np.zeros(n),
        inferred_confidence=np.full(n, p, np.float32),
    )


def test_where_nothing_is_known_all_is_kept_as_it_came():
    table, spans = plan(episodes(5))
    assert set(table.action) == {"keep"}
    assert table.weight.tolist() == [1.0] * 5
    assert table.keep_end_frame.tolist() == [FRAMES] * 5
    assert not len(spans)
    assert not any(table.codes)


def test_a_failure_that_was_said_is_dropped_for_imitation_and_stays_for_reinforcement():
    table = episodes(success=np.zeros(1))
    assert row(table)["action"] == "drop"
    assert row(table)["kind_of_knowledge"] == "fact"
    assert row(table, objective="rl")["action"] == "keep"


@pytest.mark.parametrize(
    ("preset", "weight"), [("measured", 0.25), ("conservative", 1.0), ("strict", 0.0), ("none", 1.0)]
)
def test_an_inferred_failure_drops_no_episode_by_itself(preset, weight):
    each = row(inferred(0.75), preset=preset)
    assert each["weight"] == pytest.approx(weight)
    assert each["action"] == ("keep" if preset == "none" else "review")
    assert each["kind_of_knowledge"] == ("" if preset == "none" else "inference")


def test_dead_time_at_the_ends_is_trimmed_to_the_frame():
    each = row(episodes(), defects=found(("e0", "idle", 0.3, 0, 30), ("e0", "idle", 0.1, 90, 100)))
    assert (each["action"], each["keep_start_frame"], each["keep_end_frame"]) == ("trim", 30, 90)
    assert each["weight"] == 1.0


def test_frames_that_are_wrong_weigh_nothing_with_the_frame_before_and_behind():
    table, spans = plan(episodes(), defects=found(("e0", "teleport", 0.02, 50, 52)))
    assert [(s["start_frame"], s["end_frame"], s["weight"], s["reason"]) for s in spans.rows()] == [
        (49, 53, 0.0, "teleport")
    ]
    assert (table.keep_start_frame[0], table.keep_end_frame[0]) == (0, FRAMES)


def test_a_short_stop_weighs_nothing_in_an_episode_that_is_kept_as_it_came():
    table, spans = plan(episodes(), pauses=paused(0, 20))
    assert (table.action[0], table.keep_start_frame[0], table.codes[0]) == ("keep", 0, "pause")
    assert (spans.start_frame[0], spans.end_frame[0], spans.weight[0]) == (0, 20, 0.0)


def test_a_copy_is_dropped_so_that_a_motion_has_one_weight():
    table = plan(episodes(3), defects=found(("e2", "near_duplicate", 1.0, 0, 100))).episodes
    assert table.action.tolist() == ["keep", "keep", "drop"]
    assert table.weight.tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("precision", [0.95, 0.89, None])
def test_a_failed_attempt_weighs_less_only_where_its_detector_was_measured_here(precision):
    known = {} if precision is None else {"failed_attempt": precision}
    table, spans = plan(episodes(), verdicts=attempt(20, 40, 0.8), precision=known)
    if precision == 0.95:
        assert spans.weight.tolist() == pytest.approx([1 - 0.95 * 0.8])
        assert table.action[0] == "trim"
    else:
        assert not len(spans)
        assert table.action[0] == "review"
    assert table.weight[0] == 1.0


def test_the_drive_home_is_left_out_by_the_strict_preset_alone():
    away = attempt(80, 100, verdict="drive_home")
    assert row(episodes(), verdicts=away, precision={"failed_attempt": 1.0})["action"] == "keep"
    each = row(episodes(), verdicts=away, preset="strict")
    assert (each["action"], each["keep_end_frame"]) == ("trim", 80)


def test_a_success_that_was_said_is_doubted_with_its_probability_and_a_failure_stays_one():
    conflict = found(("e0", "label_conflict", 0.9, 10, 20), ("e1", "label_conflict", 0.9, 10, 20))
    won, lost = plan(episodes(2, success=np.array([1.0, 0.0])), defects=conflict).episodes.rows()
    assert (won["action"], won["weight"]) == ("review", pytest.approx(0.1))
    assert (lost["action"], lost["codes"]) == ("drop", "failed")


def test_what_has_little_left_is_looked_at_but_dead_time_is_no_loss():
    lost = found(("e0", "frozen_channel", 0.6, 20, 80))
    assert "little_left" in row(episodes(), defects=lost)["codes"]
    assert row(episodes(), defects=found(("e0", "idle", 0.6, 0, 70)))["codes"] == "idle"


def test_an_episode_that_is_wrong_all_along_is_dropped():
    each = row(episodes(), defects=found(("e0", "missing_samples", 1.0, 0, 100)))
    assert (each["action"], each["weight"], each["keep_end_frame"]) == ("drop", 0.0, 0)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_consensus_moves_nothing_in_any_preset_unless_it_is_asked_for(preset):
    known = {"consensus": agreed(3, e1=[8, 9, 31]), "preset": preset}
    table, spans = plan(episodes(3), **known, also=())
    assert (table.weight.tolist(), len(spans)) == ([1.0] * 3, 0)
    table, spans = plan(episodes(3), **known)
    assert table.action.tolist() == ["keep", "trim", "keep"]
    assert table.codes.tolist() == ["", "consensus", ""]
    assert table.kind_of_knowledge.tolist() == ["", "inference", ""]
    assert [(s["start_frame"], s["end_frame"], s["weight"]) for s in spans.rows()] == [(24, 30, 0.0), (97, 100, 0.0)]


def test_consensus_is_no_matter_of_reinforcement():
    assert not len(plan(episodes(2), consensus=agreed(2, e1=[8]), objective="rl").spans)


def test_consensus_leaves_out_the_share_that_it_is_told():
    known = Known(episodes(2), consensus=agreed(2, e1=[8]))
    for share, cut in ((0.05, False), (0.15, True)):
        spans = TrainingPlanner(PlanSettings(also=ALSO, dissent=share)).plan(known).spans
        assert bool(len(spans)) == cut


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_rule_can_be_switched_off(name):
    known = {**everything(name), "preset": "strict" if name == "drive_home" else "measured"}
    assert name in said(known)
    assert name not in said({**known, "without": (name,)})


def said(known):
    return set(",".join(plan(**known).episodes.codes).split(","))


def everything(name):
    """An episode about which the rule has something to say, and as little else as may be."""
    if name in DEFECTS:
        return {"table": episodes(), "defects": found(("e0", name, 0.5, 10, 20))}
    special = {
        "no_id": episodes(episode_id=Text.of([""])),
        "too_short": episodes(frames=np.array([1])),
        "no_time": episodes(duration_s=np.zeros(1)),
        "no_segment": episodes(segments=np.zeros(1, np.int64)),
        "failed": episodes(success=np.zeros(1)),
        "inferred_failure": inferred(0.75),
    }
    if name in special:
        return {"table": special[name]}
    if name == "pause":
        return {"table": episodes(), "pauses": paused(40, 60)}
    if name == "consensus":
        return {"table": episodes(), "consensus": agreed(e0=[8])}
    if name == "id_not_unique":
        return {"table": episodes(2, episode_id=Text.of(["a", "a"]))}
    if name == "little_left":
        return {"table": episodes(), "defects": found(("e0", "frozen_channel", 0.6, 20, 80))}
    if name in ("failed_attempt", "lost_grip", "failed_step", "drive_home"):
        return {"table": episodes(), "verdicts": attempt(10, 30, verdict=name)}
    return {"table": episodes(), "asked": (Asked(name, np.ones(1, np.bool_), {}),)}


def test_every_kind_of_defect_is_spoken_for_or_is_known_to_cost_a_trainer_nothing():
    assert set(DEFECTS) - set(RULES) == {"constant_channel", "repeated_grasp"}


@pytest.mark.parametrize(
    "wrong", [{"preset": "measurd"}, {"objective": "il"}, {"without": ("idel",)}, {"also": ("failed",)}]
)
def test_a_wrong_name_says_which_are_right(wrong):
    with pytest.raises(UnknownNameError, match="valid"):
        PlanSettings(**wrong)


def test_what_was_not_measured_has_no_precision():
    card = filled(CardTable, 2, detector=Text.of(["failed_attempt", "drop"]), precision=np.array([np.nan, 0.9]))
    assert precision_of(card) == {"drop": 0.9}


def pool_of(table: EpisodeTable) -> Pool:
    return Pool(table.episode_index, table.episode_id, table.family, table.success)


def numbered(n, **given):
    return replace(episodes(n, **given), episode_index=np.arange(n))


KINDS = st.sampled_from(["idle", "teleport", "near_duplicate", "label_conflict", "truncated", "frozen_channel"])
FINDINGS = st.lists(
    st.tuples(st.integers(0, 3), KINDS, st.floats(0, 1), st.integers(0, 90), st.integers(1, 60)), max_size=12
)
OUTCOMES = st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=4, max_size=4)


@given(FINDINGS, OUTCOMES, st.sampled_from(sorted(PRESETS)), st.sampled_from(["bc", "rl"]))
def test_laws_of_every_plan(rows, success, preset, objective):
    table = numbered(4, success=np.array(success))
    rows = [(f"e{i}", kind, sure, start, min(start + length, FRAMES)) for i, kind, sure, start, length in rows]
    defects = found(*rows) if rows else DefectTable.empty()
    made = planned(Known(table, defects), pool_of(table), PlanSettings(preset=preset, objective=objective))
    each, spans = made.plan
    assert ((each.weight >= 0) & (each.weight <= 1)).all()
    assert ((each.weight == 0) >= each.action.isin("drop")).all()
    assert (each.keep_start_frame <= each.keep_end_frame).all()
    assert abs(made.draws.p.sum() - 1) < 1e-12
    if each.weight.any():
        assert np.allclose(made.draws.p, each.weight / each.weight.sum()), "nothing trusted: exactly the base weights"
    for number in range(4):
        mine = spans.take(spans.episode_index == number)
        assert (mine.start_frame[1:] >= mine.end_frame[:-1]).all(), "spans of an episode do not overlap"
        assert (mine.end_frame > mine.start_frame).all()
        assert ((mine.weight >= 0) & (mine.weight < 1)).all()
    if preset == "none":
        assert (each.weight == 1).all()
        assert not len(spans)
    index = np.arange(4 * FRAMES)
    frames = planned_frames(made.plan, table.frames, index)
    inside = inside_weights(spans, table.episode_index.repeat(FRAMES), index)
    assert np.allclose(frames.weight, each.weight.repeat(FRAMES) * inside)
    assert (np.array([bool(why) for why in frames.reason]) == (frames.weight != 1)).all(), "each weight says why"
    assert (np.array([bool(kind) for kind in frames.kind_of_knowledge]) == (frames.weight != 1)).all()


def test_frames_of_no_weight_give_theirs_to_the_others_of_their_episode():
    table = numbered(2)
    made = planned(Known(table, found(("e0", "idle", 0.5, 0, 50))), pool_of(table), PlanSettings())
    owner, index = np.arange(2).repeat(FRAMES), np.arange(2 * FRAMES)
    weights = frame_weights(made.draws, owner, index, inside=inside_weights(made.plan.spans, owner, index))
    assert weights.weight[:50].tolist() == [0.0] * 50
    assert weights.weight[50:100].tolist() == [2.0] * 50
    assert weights.weight[100:].tolist() == [1.0] * 100


some_spans = st.builds(
    lambda start, length, weight, code: _Span(start, start + length, weight, code, "fact"),
    st.integers(0, 20), st.integers(0, 9), st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from(["pause", "idle"]),
)  # fmt: skip


@given(st.lists(some_spans, max_size=9))
def test_where_spans_meet_weights_multiply_and_the_gravest_is_the_reason(spans):
    flat = _flat(spans)
    for frame in range(30):
        over = [span for span in spans if span.start <= frame < span.end]
        here = [span for span in flat if span.start <= frame < span.end]
        assert len(here) == bool(over)
        if over:
            assert here[0].weight == np.prod([span.weight for span in over])
            gravest = min(span.weight for span in over)
            assert here[0].code in [span.code for span in over if span.weight == gravest]


def test_ten_thousands_of_spans_of_one_recording_are_each_looked_at_where_they_are():
    looked = []

    class Told(_Span):
        @property
        def end(self):
            looked.append(self.start)
            return self[1]

    assert len(_flat([Told(2 * k, 2 * k + 1, 0.5, "pause", "fact") for k in range(5000)])) == 5000
    assert len(looked) < 10 * 5000
