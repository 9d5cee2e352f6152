import json
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sima2.errors import UsageError
from sima2.knowledge.durations import quantile_s
from sima2.knowledge.nesting import nesting
from sima2.knowledge.ontology_graph import to_json
from sima2.knowledge.task_evidence import BINS, TaskEvidence, _bins, merge, tag_evidence, task_evidence
from sima2.knowledge.task_graph import TaskGraphRefiner
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.tags import TagTable
from sima2.tags.specs import TAGS

OUTCOME = {"+": "success", "-": "failure", "~": "retry"}


def segments(episodes: dict[str, str], thing: str = "drawer_a") -> SegmentTable:
    """Segments of 20 frames at 20 Hz from words: ``pull:locked-`` failed because it was locked."""
    rows = []
    for eid, text in episodes.items():
        for k, word in enumerate(text.split()):
            mark = OUTCOME.get(word[-1])
            label, _, reason = word.rstrip("+-~").partition(":")
            rows.append((eid, k, label, mark or "unknown", reason))
    if not rows:
        return SegmentTable.empty()
    eids, ids, labels, outcomes, reasons = (list(column) for column in zip(*rows, strict=True))
    n = len(rows)
    start = np.array(ids) * 20
    numbers = {
        name: np.zeros(n, dtype)
        for name, dtype in SegmentTable.columns().items()
        if dtype is not None and name not in ("segment_id", "start_frame", "end_frame", "start_t", "end_t")
    }
    return SegmentTable(
        episode_id=Text.of(eids),
        manipulator=Text.full(n, "arm"),
        segment_id=np.array(ids),
        label=Text.of(labels),
        object=Text.full(n, thing),
        start_frame=start,
        end_frame=start + 20,
        start_t=start / 20.0,
        end_t=(start + 20) / 20.0,
        outcome=Text.of(outcomes),
        failure_reason=Text.of(reasons),
        channels_used=Text.full(n, "pose"),
        **numbers,
    )


def many(n: int, text: str, prefix: str = "e") -> dict[str, str]:
    return {f"{prefix}{k:05d}": text for k in range(n)}


def learned(episodes: dict[str, str], family: str = "drawer_open") -> TaskEvidence:
    return task_evidence(segments(episodes), dict.fromkeys(episodes, family))


def tag(eid: str, name: str, **values) -> dict:
    return {
        "episode_index": 0,
        "episode_id": eid,
        "tag": name,
        "kind": "predictive",
        "value": np.nan,
        "level": 0.99,
        "severity": np.nan,
        "source": "",
        "start_frame": 0,
        "end_frame": 20,
        "details": "",
        "available_at_frame": 20,
        **values,
    }


def tags_of(rows: list[dict]) -> TagTable:
    columns = {}
    for name, dtype in TagTable.columns().items():
        values = [row[name] for row in rows]
        columns[name] = Text.of(values) if dtype is None else np.array(values, dtype)
    return TagTable(**columns)


def rows_of(table: TaskEvidence) -> list[dict]:
    return list(table.rows())


def of_kind(table, kind):
    return [row for row in table.rows() if row["kind"] == kind]


WORDS = st.lists(
    st.sampled_from(["approach+", "grasp+", "grasp:drop~", "pull+", "pull:locked-", "recovery_maneuver+", "idle"]),
    min_size=1,
    max_size=8,
).map(" ".join)
CORPUS = st.dictionaries(st.sampled_from([f"e{k}" for k in range(8)]), WORDS, min_size=1, max_size=8)


def test_a_mended_failure_becomes_a_recovery_edge():
    found = TaskGraphRefiner().refine(
        learned(many(20, "grasp:gripper_slip~ recovery_maneuver approach+ grasp+") | many(5, "grasp-", "f"))
    )
    (edge,) = of_kind(found, "recovery_edge")
    assert (edge["support"], edge["trials"], edge["status"]) == (20, 25, "accepted")
    assert "grasp(fail) → recovery_maneuver → approach → grasp(success)" in edge["rationale"]


@pytest.mark.parametrize(("times", "expected"), [(2, 0), (3, 1), (10, 1)])
def test_a_doom_loop_proposes_to_abort_after_three_failures_of_the_same_step(times, expected):
    found = TaskGraphRefiner().refine(learned({"loop": " ".join(["pull:locked~ recovery_maneuver"] * times)}))
    aborts = of_kind(found, "abort_node")
    assert len(aborts) == expected
    if aborts:
        assert (aborts[0]["reason"], aborts[0]["support"], aborts[0]["status"]) == ("locked", 1, "accepted")


def test_failures_with_a_success_between_are_no_doom_loop():
    text = " ".join(["pull:locked~ pull:locked~ pull+"] * 3)
    assert not of_kind(TaskGraphRefiner().refine(learned({"e": text})), "abort_node")


def test_a_failure_storm_proposes_each_thing_once():
    found = TaskGraphRefiner().refine(learned(many(1000, "pull:locked~ pull:locked~ pull:locked-")))
    assert len(found) == 1
    assert found.support.tolist() == [1000]
    assert len(json.loads(found.episodes[0])) == 20


def test_luck_proposes_a_verification_that_waits_for_trust():
    episodes = many(3, "grasp+")
    rows = [tag(e, "RiskTag") for e in episodes] + [tag("e00001", "LuckySuccessTag", level=0.9)]
    ev = tag_evidence(tags_of(rows), segments(episodes), dict.fromkeys(episodes, "f"), TAGS)
    refiner = TaskGraphRefiner(specs=TAGS)
    (node,) = of_kind(refiner.refine(ev), "verification_node")
    assert node["status"] == "pending_trust"
    assert (node["support"], node["trials"], json.loads(node["episodes"])) == (1, 3, ["e00001"])
    assert of_kind(refiner.refine(ev, {"RiskTag": 0.61}), "verification_node")[0]["status"] == "accepted"
    assert of_kind(refiner.refine(ev, {"RiskTag": 0.6}), "verification_node")[0]["status"] == "pending_trust"


@settings(max_examples=100, deadline=None)
@given(
    severity=st.sampled_from([0.3, 0.8, 0.9, 0.91, 1.0]),
    after=st.lists(st.sampled_from(["idle", "recovery_maneuver", "approach+", "retreat"]), max_size=4),
)
def test_critical_strangeness_asks_for_a_stop_unless_a_recovery_follows_at_once(severity, after):
    table = segments({"e": " ".join(["approach+", *after])})
    ev = tag_evidence(tags_of([tag("e", "OODTag", severity=severity, source="kinematic")]), table, {"e": "f"}, TAGS)
    active = [word for word in after if word != "idle"]
    contained = bool(active) and active[0] == "recovery_maneuver"
    stops = of_kind(TaskGraphRefiner(specs=TAGS).refine(ev), "safety_stop")
    assert bool(stops) == (severity > 0.9 and not contained)


def test_the_recovery_of_another_episode_contains_nothing():
    table = segments({"e": "approach+", "f": "idle recovery_maneuver"})
    ev = tag_evidence(tags_of([tag("e", "OODTag", severity=1.0)]), table, {}, TAGS)
    assert of_kind(TaskGraphRefiner(specs=TAGS).refine(ev), "safety_stop")


def test_visual_strangeness_asks_for_a_look_and_other_strangeness_does_not():
    table = segments({"e": "approach+"})
    for source, expected in (("visual", 1), ("temporal", 0)):
        ev = tag_evidence(tags_of([tag("e", "OODTag", severity=0.5, source=source)]), table, {"e": "f"}, TAGS)
        assert len(of_kind(TaskGraphRefiner(specs=TAGS).refine(ev), "inspection_node")) == expected


def test_tags_that_did_not_fire_or_were_not_assessed_propose_nothing():
    table = segments({"e": "approach+"})
    rows = [
        tag("e", "OODTag", level=0.0, severity=1.0, source="visual"),
        tag("e", "OODTag", level=np.nan, source="uncalibrated"),
        tag("e", "LuckySuccessTag", level=0.0),
        tag("e", "LuckySuccessTag", level=np.nan),
    ]
    assert len(TaskGraphRefiner(specs=TAGS).refine(tag_evidence(tags_of(rows), table, {}, TAGS))) == 0


@settings(max_examples=80, deadline=None)
@given(CORPUS, st.integers(0, 8), st.randoms(use_true_random=False))
def test_task_evidence_merges_exactly_in_any_order(corpus, cut, random):
    items = list(corpus.items())
    whole = rows_of(learned(corpus))
    random.shuffle(items)
    a, b = learned(dict(items[:cut])), learned(dict(items[cut:]))
    assert rows_of(merge([a, b])) == rows_of(merge([b, a])) == whole
    parts = [learned(dict([item])) for item in items]
    assert rows_of(merge([merge(parts[:2]), merge(parts[2:])])) == whole


@settings(max_examples=60, deadline=None)
@given(CORPUS)
def test_task_evidence_comes_back_from_json(corpus):
    ev = learned(corpus)
    assert list(TaskEvidence.from_json(ev.to_json()).rows()) == list(ev.rows())


@settings(max_examples=60, deadline=None)
@given(CORPUS)
def test_probabilities_of_leaving_a_step_sum_to_one_and_no_node_is_an_orphan(corpus):
    ev = learned(corpus)
    refiner = TaskGraphRefiner(least_support=1)
    graph = refiner.graph(ev, refiner.refine(ev))
    leaving: dict[str, float] = {}
    for a, _, kind in graph.edges:
        if kind["type"] == "then":
            leaving[a] = leaving.get(a, 0.0) + kind["probability"]
    assert all(total == pytest.approx(1.0) for total in leaving.values())
    assert {end for a, b, _ in graph.edges for end in (a, b)} == set(graph.nodes)
    assert json.loads(to_json(graph))["nodes"].keys() == graph.nodes.keys()


def test_durations_are_means_of_exact_sums():
    graph = TaskGraphRefiner().graph(learned(many(7, "grasp+ pull+")), TaskGraphRefiner().refine(learned({})))
    assert graph.nodes["step:drawer_open/grasp"]["mean_duration_s"] == 1.0


def test_the_depth_of_the_graph_is_that_of_the_tasks_however_many_episodes_come():
    refiner = TaskGraphRefiner()

    def depth(n):
        ev = learned(many(n, "grasp:drop~ recovery_maneuver approach+ grasp+ pull+"))
        graph = refiner.graph(ev, refiner.refine(ev), {"day": ["drawer_open"]})
        tree = nx.DiGraph([(a, b) for a, b, kind in graph.edges if kind["type"].startswith("has_")])
        return nx.dag_longest_path_length(tree)

    assert depth(5) == depth(500) == 2


def test_fifty_levels_and_ten_thousand_tasks_are_no_trouble():
    deep = {f"t{k}": [f"t{k + 1}"] for k in range(50)}
    assert nesting(deep)["t50"] == 50
    chain = {f"t{k}": [f"t{k + 1}"] for k in range(10_000)}
    assert nesting(chain)["t10000"] == 10_000
    graph = TaskGraphRefiner().graph(learned({}), TaskGraphRefiner().refine(learned({})), deep)
    assert graph.nodes["task:t50"]["depth"] == 50
    graph = TaskGraphRefiner().graph(learned({}), TaskGraphRefiner().refine(learned({})), chain)
    assert graph.nodes["task:t10000"]["depth"] == 10_000


@pytest.mark.parametrize(
    "parts", [{"a": ["a"]}, {"a": ["b"], "b": ["c"], "c": ["a"]}, {"x": ["a"], "a": ["b"], "b": ["a"]}]
)
def test_a_task_that_is_a_part_of_itself_is_refused(parts):
    with pytest.raises(UsageError, match="cycle among a"):
        nesting(parts)


def test_nothing_learned_gives_nothing():
    ev = learned({})
    assert len(merge([ev, TaskEvidence.from_json(ev.to_json())])) == 0
    assert len(TaskGraphRefiner().refine(ev)) == 0


MIXED = "approach+ grasp+ lift+ place+ retreat"


def nested(n: int, family: str = "tidy") -> TaskEvidence:
    """Episodes that handle a box, a cup and the box again, and episodes of another family with the box alone."""
    table = segments(many(n, " ".join([MIXED] * 3)))
    part = table.segment_id // 5
    table = replace(table, object=Text(part % 2, ("box_a", "cup_a")))
    alone = segments(many(5, MIXED, "b"), thing="box_b")
    return merge(
        [
            task_evidence(table, dict.fromkeys(table.episode_id, family)),
            task_evidence(alone, dict.fromkeys(alone.episode_id, "stack")),
        ]
    )


def test_episodes_that_handle_several_things_have_a_part_for_each():
    ev = nested(10)
    graph = TaskGraphRefiner().graph(ev, TaskGraphRefiner().refine(ev))
    edges = {(a, b, kind["type"]): kind for a, b, kind in graph.edges}
    assert edges["task:tidy", "part:tidy/box", "has_part"]["support"] == 10
    assert edges["task:tidy", "part:tidy/cup", "has_part"]["support"] == 10
    assert edges["part:tidy/box", "part:tidy/cup", "then"] == {"type": "then", "support": 10, "probability": 1.0}
    assert ("part:tidy/box", "task:stack", "is_like") in edges
    assert not [key for key in graph.nodes if key.startswith("part:stack/")]


def test_mined_nesting_is_as_deep_for_five_hundred_episodes_as_for_five():
    def depth(n):
        ev = nested(n)
        graph = TaskGraphRefiner().graph(ev, TaskGraphRefiner().refine(ev))
        tree = nx.DiGraph([(a, b) for a, b, kind in graph.edges if kind["type"].startswith("has_")])
        return nx.dag_longest_path_length(tree), len(tree)

    assert depth(5) == depth(500)
    assert depth(5)[0] == 1


def test_a_part_seen_less_than_the_least_support_is_left_out():
    ev = nested(2)
    assert "part:tidy/box" not in TaskGraphRefiner().graph(ev, TaskGraphRefiner().refine(ev)).nodes


def test_circles_are_allowed_where_they_are_marked_as_retries():
    assert nesting({"a": ["b"], "b": ["a"]}, retries={("b", "a")}) == {"a": 0, "b": 1}
    with pytest.raises(UsageError, match="cycle among a, b"):
        nesting({"a": ["b"], "b": ["a"]}, retries={("b", "c")})
    graph = TaskGraphRefiner().graph(
        learned({}), TaskGraphRefiner().refine(learned({})), {"a": ["b"], "b": ["a"]}, retries={("b", "a")}
    )
    assert [edge for edge in graph.edges if edge[2].get("retry")] == [
        ("task:b", "task:a", {"type": "has_part", "retry": True})
    ]


def test_retries_lead_back_to_the_step_with_the_way_between_and_how_many_were_mended():
    ev = learned(
        many(6, "grasp:drop~ recovery_maneuver approach+ grasp+") | many(4, "grasp:drop~ recovery_maneuver grasp-", "f")
    )
    graph = TaskGraphRefiner().graph(ev, TaskGraphRefiner().refine(ev))
    found = {kind["path"]: kind for _, _, kind in graph.edges if kind["type"] == "retry"}
    assert set(found) == {"recovery_maneuver → approach", "recovery_maneuver"}
    assert (found["recovery_maneuver → approach"]["support"], found["recovery_maneuver → approach"]["mended"]) == (6, 6)
    assert (found["recovery_maneuver"]["support"], found["recovery_maneuver"]["mended"]) == (4, 0)
    assert all(kind["retry"] for kind in found.values())
    assert all(kind["trials"] == 14 for kind in found.values())


def test_transitions_to_another_attempt_and_to_a_correction_are_marked():
    ev = learned(many(5, "grasp:drop~ grasp:drop~ recovery_maneuver grasp+ pull+"))
    graph = TaskGraphRefiner().graph(ev, TaskGraphRefiner().refine(ev))
    marks = {
        (a.rpartition("/")[2], b.rpartition("/")[2]): (kind.get("retry", False), kind.get("recovery", False))
        for a, b, kind in graph.edges
        if kind["type"] == "then"
    }
    assert marks["grasp(fail)", "grasp(fail)"] == (True, False)
    assert marks["grasp(fail)", "recovery_maneuver"] == marks["recovery_maneuver", "grasp"] == (False, True)
    assert marks["grasp", "pull"] == (False, False)


def test_the_way_is_that_of_most_episodes_in_which_nothing_failed():
    corpus = many(9, "approach+ idle grasp+ pull+") | many(4, "approach+ pull+", "b") | many(40, "approach+ pull-", "c")
    ev = learned(corpus)
    node = TaskGraphRefiner().graph(ev, TaskGraphRefiner().refine(ev)).nodes["task:drawer_open"]
    assert (node["way"], node["way_support"], node["way_trials"]) == (["approach", "grasp", "pull"], 9, 13)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.05, 100), min_size=1, max_size=60))
def test_quantiles_of_durations_are_right_to_half_an_octave(seconds):
    histogram = np.bincount(_bins(np.rint(np.array(seconds) * 1e6).astype(np.int64)), minlength=BINS)
    for q in (0.1, 0.5, 0.9):
        told = quantile_s(histogram, q)
        exact = np.quantile(seconds, q, method="inverted_cdf")
        assert exact / 2**0.51 <= told <= exact * 2**0.51


def test_refusals_are_for_corrections_that_surely_do_not_help():
    some = learned(many(3, "grasp:drop~ recovery_maneuver grasp+") | many(30, "grasp-", "f"))
    assert not of_kind(TaskGraphRefiner().refine(some), "recovery_edge")
    many_more = learned(many(3, "grasp:drop~ recovery_maneuver grasp+") | many(300, "grasp-", "f"))
    (edge,) = of_kind(TaskGraphRefiner().refine(many_more), "recovery_edge")
    assert edge["status"] == "refused"


def test_families_whose_names_look_like_paths_do_not_mix():
    ev = merge(
        [
            learned(many(3, "grasp+"), "a/b"),
            learned(many(4, "b/grasp+", "f"), "a"),
            learned(many(5, "b+", "g"), "a%2Fb"),
        ]
    )
    graph = TaskGraphRefiner().graph(ev, TaskGraphRefiner().refine(ev))
    owners: dict[str, set[str]] = {}
    for a, b, kind in graph.edges:
        if kind["type"] == "has_step":
            owners.setdefault(b, set()).add(a)
    assert all(len(each) == 1 for each in owners.values())
    assert len(owners) == 9


def test_a_thing_that_was_only_reached_for_in_vain_is_no_part():
    table = segments(many(10, "approach+ grasp+ lift+ place+ grasp:missed_grasp-"))
    table = replace(table, object=Text((table.segment_id == 4).astype(np.int32), ("box_a", "cup_a")))
    ev = task_evidence(table, dict.fromkeys(table.episode_id, "tidy"))
    graph = TaskGraphRefiner().graph(ev, TaskGraphRefiner().refine(ev))
    assert not [edge for edge in graph.edges if edge[2]["type"] == "has_part"]
