import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sima2.errors import UsageError
from sima2.knowledge.evidence import Evidence, evidence, merge, without
from sima2.knowledge.ontology import AFFORDANCES, OntologyUpdateEngine
from sima2.knowledge.ontology_graph import to_json
from sima2.knowledge.support import interval, lower_bound, selection_level, upper_bound
from sima2.records.episodes import GoalTable
from sima2.records.knowledge import ProposalTable
from sima2.records.primitives import PrimitiveTable
from sima2.records.segments import SegmentTable
from sima2.records.table import Text

OUTCOME = {"+": "success", "-": "failure", "~": "retry", "?": "unknown"}


def primitives(episodes: dict[str, str], *, thing: str = "drawer_a", ambiguous: bool = False) -> PrimitiveTable:
    """Primitives from words: ``pull:locked-`` is a pull that failed because it was locked."""
    rows = []
    for eid, text in episodes.items():
        for k, word in enumerate(text.split()):
            label, _, reason = word[:-1].partition(":")
            rows.append((k, eid, label, OUTCOME[word[-1]], reason if word[-1] in "-~" else ""))
    if not rows:
        return PrimitiveTable.empty()
    ids, eids, labels, outcomes, reasons = (list(column) for column in zip(*rows, strict=True))
    n = len(rows)
    return PrimitiveTable(
        episode_index=np.zeros(n, int),
        primitive_id=np.array(ids),
        episode_id=Text.of(eids),
        segment_id=np.array(ids),
        action=Text.of(labels),
        object=Text.full(n, thing),
        outcome=Text.of(outcomes),
        failure_reason=Text.of(reasons),
        duration_s=np.ones(n),
        energy_wh=np.full(n, np.nan),
        confidence=np.full(n, 0.9, np.float32),
        ambiguous=np.full(n, ambiguous),
    )


def many(n: int, text: str, prefix: str = "e") -> dict[str, str]:
    return {f"{prefix}{k:05d}": text for k in range(n)}


def rows_of(table: ProposalTable, kind: str) -> list[dict]:
    return [row for row in table.rows() if row["kind"] == kind]


def plain(table: Evidence) -> list[dict]:
    return list(table.rows())


WORDS = st.lists(
    st.sampled_from(
        ["approach+", "grasp+", "grasp:drop~", "grasp:drop-", "pull+", "pull:locked-", "recovery_maneuver+"]
    ),
    min_size=1,
    max_size=6,
).map(" ".join)
CORPUS = st.dictionaries(st.sampled_from([f"e{k}" for k in range(8)]), WORDS, min_size=1, max_size=8)


def acts(*rows: tuple[str, str, str, str, str]) -> PrimitiveTable:
    """Primitives from (episode, action, object, outcome, reason), ordered by episode."""
    n = len(rows)
    eids, labels, things, outcomes, reasons = (list(each) for each in zip(*rows, strict=True))
    return PrimitiveTable(
        episode_index=np.zeros(n, int),
        primitive_id=np.arange(n),
        episode_id=Text.of(eids),
        segment_id=np.arange(n),
        action=Text.of(labels),
        object=Text.of(things),
        outcome=Text.of(outcomes),
        failure_reason=Text.of(reasons),
        duration_s=np.ones(n),
        energy_wh=np.full(n, np.nan),
        confidence=np.full(n, 0.9, np.float32),
        ambiguous=np.zeros(n, bool),
    )


def goals(eids: list[str], thing: str, target: str, relation: str, instruction: str = "") -> GoalTable:
    n = len(eids)
    return GoalTable(eids, [thing] * n, [target] * n, [relation] * n, [instruction] * n)


def afforded(ev: Evidence) -> set[tuple[str, str]]:
    found = rows_of(OntologyUpdateEngine().propose(ev), "affordance")
    return {(row["object"], AFFORDANCES[row["action"]]) for row in found if row["status"] == "accepted"}


def fragile_pairs(ev: Evidence) -> set[tuple[str, str]]:
    found = rows_of(OntologyUpdateEngine().propose(ev), "fragility_node")
    return {(row["object"], row["action"]) for row in found if row["status"] == "accepted"}


def worlds(rates: dict[str, float], trials: int, seed: int, reasons: tuple[str, ...] = ("locked",)) -> Evidence:
    """One pull an episode of each object, failing at its rate."""
    rng = np.random.default_rng(seed)
    rows = []
    for name, rate in rates.items():
        for k in range(trials):
            lost = rng.random() < rate
            why = reasons[int(rng.integers(len(reasons)))] if lost else ""
            rows.append((f"{name}{k:05d}", "pull", name, "failure" if lost else "success", why))
    return evidence(acts(*rows))


def test_a_pull_that_succeeds_proposes_pullable():
    found = rows_of(OntologyUpdateEngine().propose(evidence(primitives(many(20, "grasp+ pull+")))), "affordance")
    assert {row["action"] for row in found} == {"grasp", "pull"}
    assert {row["object"] for row in found} == {"drawer"}
    assert {row["status"] for row in found} == {"accepted"}
    assert "pullable" in " ".join(row["rationale"] for row in found)


def test_rare_success_among_many_failures_is_refused():
    corpus = many(500, "pull:locked-") | many(4, "pull+", "s")
    found = rows_of(OntologyUpdateEngine().propose(evidence(primitives(corpus))), "affordance")
    assert [row["status"] for row in found] == ["refused"]
    assert "4/504" in found[0]["status_reason"]


def test_a_bare_ratio_does_not_make_a_fragility():
    few = OntologyUpdateEngine(least_support=1).propose(evidence(primitives({"a": "pull:locked-"} | many(9, "pull+"))))
    many_more = OntologyUpdateEngine().propose(evidence(primitives(many(30, "pull:locked-") | many(270, "pull+", "s"))))
    assert rows_of(few, "fragility_node") == []
    assert rows_of(many_more, "fragility_node")[0]["status"] == "accepted"


def test_a_flood_of_equal_failures_updates_one_node():
    engine = OntologyUpdateEngine()
    small = rows_of(engine.propose(evidence(primitives(many(10, "pull:locked-")))), "fragility_node")
    flood = rows_of(engine.propose(evidence(primitives(many(1000, "pull:locked-")))), "fragility_node")
    assert len(small) == len(flood) == 1
    assert small[0]["proposal_id"] == flood[0]["proposal_id"]
    assert (small[0]["support"], flood[0]["support"]) == (10, 1000)
    assert len(json.loads(flood[0]["episodes"])) == 20


def test_a_correction_that_mends_is_a_recovery_node_tied_to_its_fragility():
    corpus = many(30, "grasp:gripper_slip~ recovery_maneuver+ approach+ grasp+") | many(60, "grasp+", "s")
    ev = evidence(primitives(corpus))
    proposals = OntologyUpdateEngine().propose(ev)
    (fragility,) = rows_of(proposals, "fragility_node")
    (recovery,) = rows_of(proposals, "recovery_node")
    assert recovery["support"] == recovery["trials"] == 30
    graph = OntologyUpdateEngine().ontology(ev, proposals)
    fixes = [(a, b) for a, b, kind in graph.edges if kind["type"] == "fixes"]
    assert fixes == [(f"recovery:{recovery['proposal_id']}", f"fragility:{fragility['proposal_id']}")]


@settings(max_examples=60, deadline=None)
@given(after=st.integers(0, 220), mended=st.booleans())
def test_a_missing_skill_is_raised_iff_a_fragility_stood_too_long_without_a_recovery(after, mended):
    engine = OntologyUpdateEngine(patience=100)
    bad = "pull:locked~ recovery_maneuver+ pull+" if mended else "pull:locked-"
    table = evidence(primitives(many(30, bad, "a") | many(after, bad, "b")))
    proposals = engine.propose(table)
    # Sure at the third failure at the latest, and never before it: 30 + after - 3 episodes have passed since.
    assert bool(rows_of(proposals, "missing_skill")) == (not mended and 30 + after - 3 > 100)
    assert len(rows_of(proposals, "fragility_node")) == 1


def test_ambiguous_primitives_are_no_evidence():
    assert len(evidence(primitives(many(20, "pull+"), ambiguous=True))) == 0


@settings(max_examples=80, deadline=None)
@given(CORPUS)
def test_the_same_episodes_twice_change_nothing(corpus):
    once = evidence(primitives(corpus))
    assert plain(merge([once, once])) == plain(merge([once]))
    assert plain(merge([once, evidence(primitives(dict(list(corpus.items())[:3])))])) == plain(once)


@settings(max_examples=80, deadline=None)
@given(CORPUS, st.randoms(use_true_random=False), st.integers(0, 8))
def test_evidence_merges_in_any_order_and_grouping(corpus, random, cut):
    items = list(corpus.items())
    whole = evidence(primitives(corpus))
    random.shuffle(items)
    a, b = evidence(primitives(dict(items[:cut]))), evidence(primitives(dict(items[cut:])))
    assert plain(merge([a, b])) == plain(merge([b, a])) == plain(whole)
    parts = [evidence(primitives(dict([item]))) for item in items]
    assert plain(merge([merge(parts[:2]), merge(parts[2:])])) == plain(whole)


@settings(max_examples=80, deadline=None)
@given(CORPUS)
def test_evidence_comes_back_from_json(corpus):
    ev = evidence(primitives(corpus))
    assert plain(Evidence.from_json(ev.to_json())) == plain(ev)


@settings(max_examples=60, deadline=None)
@given(CORPUS, st.randoms(use_true_random=False))
def test_proposals_and_ontology_do_not_depend_on_order_and_leave_no_orphan(corpus, random):
    engine = OntologyUpdateEngine(least_support=1, fragile=0.0, least_recovery=0.0, least_success=0.0)
    items = list(corpus.items())
    random.shuffle(items)
    texts = []
    for order in (corpus, dict(items)):
        ev = evidence(primitives(order))
        proposals = engine.propose(ev)
        graph = engine.ontology(ev, proposals)
        texts.append((list(proposals.rows()), to_json(graph)))
        touched = {end for a, b, _ in graph.edges for end in (a, b)}
        assert touched == set(graph.nodes)
        assert all(node["support"] > 0 for node in graph.nodes.values())
    assert texts[0] == texts[1]


def test_proposals_carry_no_reward_price_or_weight():
    forbidden = ("reward", "price", "weight", "cost", "p")
    assert not set(ProposalTable.columns()) & set(forbidden)


def test_renaming_objects_only_renames_proposals():
    corpus = many(30, "grasp:drop~ recovery_maneuver+ grasp+ pull+")
    engine = OntologyUpdateEngine()
    a = list(engine.propose(evidence(primitives(corpus, thing="drawer_a"))).rows())
    b = list(engine.propose(evidence(primitives(corpus, thing="zebra_a"))).rows())

    def shape(rows):
        return sorted((r["kind"], r["action"], r["reason"], r["support"], r["confidence"], r["status"]) for r in rows)

    assert shape(a) == shape(b)


def test_an_unknown_object_affords_nothing():
    found = OntologyUpdateEngine().propose(evidence(primitives(many(20, "pull+"), thing="")))
    assert len(found) == 0


def test_no_evidence_gives_no_proposal_and_an_empty_graph():
    ev = evidence(primitives({}))
    engine = OntologyUpdateEngine()
    assert len(engine.propose(ev)) == 0
    assert engine.ontology(ev, engine.propose(ev)).nodes == {}
    assert len(merge([])) == 0
    assert len(merge([ev, Evidence.from_json(ev.to_json())])) == 0


def test_settings_out_of_range_are_refused():
    with pytest.raises(UsageError, match="fragile"):
        OntologyUpdateEngine(fragile=1.5)


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 50))
def test_the_bound_lies_below_the_rate(k, more):
    bound = float(lower_bound(k, k + more))
    assert 0 <= bound <= (k / (k + more) if k + more else 0)


def test_the_handle_is_pulled_with_its_drawer_while_the_hand_holds_it():
    rows = []
    for k in range(20):
        rows += [
            (f"e{k}", "grasp", "handle_a", "success", ""),
            (f"e{k}", "pull", "drawer_a", "success", ""),
            (f"e{k}", "release", "handle_a", "success", ""),
            (f"e{k}", "push", "drawer_a", "success", ""),
        ]
    assert afforded(evidence(acts(*rows))) == {
        ("handle", "graspable"), ("handle", "pullable"), ("drawer", "pullable"), ("drawer", "pushable"),
    }  # fmt: skip


def test_what_was_let_go_is_pulled_along_by_nobody():
    rows = []
    for k in range(20):
        rows += [
            (f"e{k}", "grasp", "handle_a", "success", ""),
            (f"e{k}", "release", "handle_a", "success", ""),
            (f"e{k}", "pull", "drawer_a", "success", ""),
        ]
    assert ("handle", "pullable") not in afforded(evidence(acts(*rows)))


@pytest.mark.parametrize(
    ("relation", "action", "words", "expected"),
    [
        ("placed_on", "place", "put it there", {("mat", "support_surface")}),
        ("home", "place", "clear up", {("mat", "support_surface")}),
        ("placed_in", "place", "put it there", {("mat", "container")}),
        ("placed_in", "place", "sort it", {("mat", "container"), ("cup", "sortable")}),
        ("wiped", "wipe", "wipe it", {("mat", "wipeable"), ("mat", "support_surface")}),
        ("held", "place", "hold it", set()),
    ],
)
def test_the_target_of_the_goal_earns_what_it_served_for(relation, action, words, expected):
    eids = [f"e{k}" for k in range(20)]
    done = acts(*((eid, action, "cup_a", "success", "") for eid in eids))
    lost = acts(*((eid, action, "cup_a", "failure", "misplaced") for eid in eids))
    wanted = goals(eids, "cup_a", "mat", relation, words)
    plain_ones = afforded(evidence(done))
    assert afforded(evidence(done, None, wanted)) - plain_ones == expected
    assert afforded(evidence(lost, None, wanted)) == set()


def test_another_thing_put_down_says_nothing_of_the_goals_target():
    eids = [f"e{k}" for k in range(20)]
    done = acts(*((eid, "place", "box_a", "success", "") for eid in eids))
    assert afforded(evidence(done, None, goals(eids, "cup_a", "mat", "placed_on"))) == {("box", "placeable")}


def test_fingers_that_close_beside_a_bin_do_not_make_it_graspable():
    rows = []
    for k in range(200):
        rows += [(f"e{k:03d}", "grasp", "cup_a", "success", ""), (f"e{k:03d}", "lift", "cup_a", "success", "")]
        if k < 7:
            rows.append((f"e{k:03d}", "grasp", "bin_left", "success", ""))
    assert afforded(evidence(acts(*rows))) == {("cup", "graspable"), ("cup", "liftable")}


def test_a_rare_misnaming_of_a_thing_that_often_takes_part_affords_nothing():
    eids = [f"e{k:03d}" for k in range(300)]
    rows = [(eid, "push", "mat" if k < 7 else "plate_a", "success", "") for k, eid in enumerate(eids)]
    ev = evidence(acts(*rows), None, goals(eids, "plate_a", "mat", "placed_on"))
    assert afforded(ev) == {("plate", "pushable")}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(100, 300))
def test_planted_weak_pairs_are_found_and_no_robust_one_is_named(seed, trials):
    rates = {"weak_one": 0.3, "weak_two": 0.3} | {f"good_{k}_x": 0.02 for k in "abcdefghijklmnopqrst"}
    rates = {name.replace("_", ""): rate for name, rate in rates.items()}
    named = fragile_pairs(worlds(rates, trials, seed))
    assert named == {("weakone", "pull"), ("weaktwo", "pull")}


def test_where_every_pair_is_weak_every_pair_is_fragile():
    rates = {f"thing{k}": 0.3 for k in "abcdefgh"}
    assert len(fragile_pairs(worlds(rates, 100, 0))) == 8


def test_a_step_that_fails_for_many_reasons_is_fragile_although_none_alone_is():
    many_reasons = ("locked", "drop", "collision", "obstructed", "misplaced", "unstable", "timeout")
    ev = worlds({"drawer": 0.22}, 120, 3, many_reasons)
    (node,) = rows_of(OntologyUpdateEngine().propose(ev), "fragility_node")
    assert (node["object"], node["reason"], node["status"]) == ("drawer", "", "accepted")
    assert "various reasons" in node["rationale"]
    graph = OntologyUpdateEngine().ontology(ev, OntologyUpdateEngine().propose(ev))
    assert graph.nodes[f"fragility:{node['proposal_id']}"]["episodes"] == node["support"]


def test_one_episode_that_fails_ten_times_in_a_row_makes_no_step_fragile():
    corpus = {"loop": " ".join(["pull:locked~"] * 10)} | many(60, "pull+")
    assert fragile_pairs(evidence(primitives(corpus))) == set()


def test_bounds_of_claims_that_were_selected_among_many_are_wider():
    assert selection_level([0.001] + [0.9] * 19) == pytest.approx(1 - 0.05 / 20)
    assert selection_level([0.001] * 20) == pytest.approx(0.95)
    assert selection_level([]) == 0.95


SOME = st.dictionaries(
    st.sampled_from([f"e{k}" for k in range(8)]),
    st.lists(
        st.tuples(
            st.sampled_from(["approach", "grasp", "pull", "place", "wipe", "slip", "recovery_maneuver"]),
            st.sampled_from(["cup_a", "cup_b", "mat", ""]),
            st.sampled_from(["success", "failure", "retry", "unknown"]),
        ),
        max_size=6,
    ),
    max_size=8,
)


def segments_of(table: PrimitiveTable) -> SegmentTable:
    """A segment of ten frames for each primitive, at a place that its episode and number alone decide."""
    n = len(table)
    columns = {k: Text.full(n, "") if d is None else np.zeros(n, d) for k, d in SegmentTable.columns().items()}
    first = np.array([1000 * sum(map(ord, eid)) for eid in table.episode_id], np.int64)
    start = first + 10 * table.segment_id
    return SegmentTable(
        **columns
        | {
            "episode_id": table.episode_id,
            "segment_id": table.segment_id,
            "start_frame": start,
            "end_frame": start + 10,
        }
    )


def seen(corpus: dict) -> Evidence:
    """Evidence of all three tables, of random episodes that share one goal."""
    rows = [
        (eid, action, thing, outcome, "drop" if outcome in ("failure", "retry") else "")
        for eid, steps in corpus.items()
        for action, thing, outcome in steps
    ]
    wanted = goals(list(corpus), "cup_a", "mat", "placed_on") if corpus else GoalTable.empty()
    if not rows:
        return evidence(PrimitiveTable.empty(), SegmentTable.empty(), wanted)
    table = acts(*rows)
    within = np.arange(len(rows)) - np.searchsorted(table.episode_id.codes, table.episode_id.codes)
    table = replace(table, segment_id=within, primitive_id=within)
    return evidence(table, segments_of(table), wanted)


@settings(max_examples=80, deadline=None)
@given(SOME, st.sets(st.sampled_from([f"e{k}" for k in range(8)])))
def test_evidence_without_episodes_is_the_evidence_of_the_others(corpus, gone):
    others = {eid: steps for eid, steps in corpus.items() if eid not in gone}
    assert plain(without(seen(corpus), gone)) == plain(seen(others))
    assert to_json(learned(without(seen(corpus), gone))) == to_json(learned(seen(others)))


@settings(max_examples=80, deadline=None)
@given(SOME, st.integers(0, 8))
def test_evidence_with_frames_and_goals_merges_exactly_and_twice_is_once(corpus, cut):
    items = list(corpus.items())
    a, b, whole = seen(dict(items[:cut])), seen(dict(items[cut:])), seen(corpus)
    assert plain(merge([a, b])) == plain(merge([b, a])) == plain(merge([whole, a, whole])) == plain(whole)
    assert plain(Evidence.from_json(whole.to_json())) == plain(whole)


def learned(ev: Evidence):
    engine = OntologyUpdateEngine(least_support=1, fragile=0.0, least_recovery=0.0, least_success=0.0, least_share=0.0)
    return engine.ontology(ev, engine.propose(ev))


@settings(max_examples=80, deadline=None)
@given(SOME)
def test_every_node_rests_on_counts_an_interval_episodes_and_frames_and_none_is_an_orphan(corpus):
    graph = learned(seen(corpus))
    touched = {end for a, b, _ in graph.edges for end in (a, b)}
    assert touched == set(graph.nodes)
    for node in graph.nodes.values():
        assert 1 <= node["support"] <= node["trials"]
        assert 0 <= node["low"] <= node["support"] / node["trials"] <= node["high"] <= 1
        assert 0 <= node["confidence"] <= 1
        assert 1 <= node["episodes"] <= len(corpus)
        assert set(node["frames"]) <= set(corpus)
        assert len(node["frames"]) == min(node["episodes"], 20)
        assert all(start == end == -1 or 0 <= start < end for start, end in node["frames"].values())


@settings(max_examples=80, deadline=None)
@given(SOME)
def test_every_fragility_has_a_recovery_or_an_alert(corpus):
    graph = learned(seen(corpus))
    answered = {b for a, b, edge in graph.edges if edge["type"] in ("fixes", "about")}
    assert {key for key, node in graph.nodes.items() if node["type"] == "fragility"} == answered


def test_a_young_fragility_is_watched_and_an_old_one_raises_an_alert():
    for n, status in ((30, "watching"), (200, "open")):
        ev = evidence(primitives(many(n, "pull:locked-")))
        graph = OntologyUpdateEngine().ontology(ev, OntologyUpdateEngine().propose(ev))
        (alert,) = [node for node in graph.nodes.values() if node["type"] == "missing_skill"]
        assert alert["status"] == status


def test_a_skill_is_tied_to_its_object_action_and_affordance():
    ev = evidence(primitives(many(20, "grasp+ pull+")))
    graph = OntologyUpdateEngine().ontology(ev, OntologyUpdateEngine().propose(ev))
    ends = {b for a, b, _ in graph.edges if a == "skill:pull drawer"}
    assert ends == {"object:drawer", "action:pull", "affordance:pullable"}
    assert graph.nodes["skill:pull drawer"]["low"] == pytest.approx(interval(20, 20)[0])


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 50))
def test_the_rate_lies_within_its_interval(k, more):
    low, high = interval(k, k + more)
    rate = k / (k + more) if k + more else 0.5
    assert 0 <= low <= rate + 1e-12
    assert rate - 1e-12 <= high <= 1
    assert low <= float(lower_bound(k, k + more))
    assert float(upper_bound(k, k + more)) <= high + 1e-12


def test_what_was_asked_too_seldom_to_tell_is_neither_accepted_nor_refused():
    corpus = many(40, "pull+") | many(3, "pull:locked-", "f")
    assert rows_of(OntologyUpdateEngine().propose(evidence(primitives(corpus))), "fragility_node") == []
    surely_not = many(400, "pull+") | many(3, "pull:locked-", "f")
    (row,) = rows_of(OntologyUpdateEngine().propose(evidence(primitives(surely_not))), "fragility_node")
    assert row["status"] == "refused"


def test_a_look_that_fails_is_about_what_the_goal_wants_seen():
    eids = [f"e{k:03d}" for k in range(60)]
    rows = []
    for k, eid in enumerate(eids):
        ended = ("failure", "timeout") if k % 2 else ("success", "")
        rows += [
            (eid, "approach", "vase", *ended),
            (eid, "approach", "cup_a", "success", ""),
            (eid, "grasp", "cup_a", "success", ""),
        ]
    table = acts(*rows)
    assert fragile_pairs(evidence(table, None, goals(eids, "gauge_a", "", "visible"))) == {("gauge", "approach")}
    assert fragile_pairs(evidence(table, None, goals(eids, "gauge_a", "", "held"))) == {("vase", "approach")}
