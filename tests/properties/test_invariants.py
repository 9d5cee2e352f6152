"""The six invariants of the semantics and the laws of its tags, on hand-made tables through the real functions."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from functools import cache, reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from scipy.stats import beta

import sima2
from sima2.analytics.counts import TrustCounts, count, merge
from sima2.analytics.econ_correlator import EconCorrelator
from sima2.analytics.econ_settings import COST_FIELDS
from sima2.knowledge import evidence as knowing
from sima2.knowledge import task_evidence as tasks
from sima2.knowledge.ontology import OntologyUpdateEngine
from sima2.knowledge.task_graph import TaskGraphRefiner
from sima2.records.episodes import EpisodeTable
from sima2.records.knowledge import ProposalTable
from sima2.records.primitives import PrimitiveTable
from sima2.records.segments import SegmentTable
from sima2.records.table import Table, Text
from sima2.records.tags import TagSpec, TagTable
from sima2.records.trust import TrustMatrix, TrustRow
from sima2.sampling.pool import Pool
from sima2.sampling.sampler import DataPackRLSampler
from sima2.sampling.weights import plan_weights
from sima2.semantic_orchestrator import SemanticOrchestrator
from sima2.tags.propagator import SemanticTagPropagator
from sima2.tags.references import References, fit_references
from sima2.tags.seen import TaggedEpisodes
from sima2.tags.specs import TAGS
from unit.tags.tag_worlds import observed, segments_of, story

QUICK = settings(max_examples=60, deadline=None)
NAN = float("nan")


def table(cls: type[Table], rows: Sequence[dict[str, Any]], **defaults: Any) -> Any:
    """A table of rows in which what is not named is empty, zero or NaN."""
    columns = {}
    for name, dtype in cls.columns().items():
        blank = "" if dtype is None else NAN if np.dtype(dtype).kind == "f" else 0
        values = [row.get(name, defaults.get(name, blank)) for row in rows]
        columns[name] = Text.of(values) if dtype is None else np.array(values, dtype)
    return cls(**columns)


def primitives_of(segments: SegmentTable, ambiguous: np.ndarray | None = None) -> PrimitiveTable:
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
        energy_wh=segments.energy_wh.astype(np.float64),
        confidence=segments.confidence,
        ambiguous=np.zeros(len(segments), np.bool_) if ambiguous is None else ambiguous,
    )


def named(proposals: ProposalTable, *kinds: str) -> set[str]:
    """Episodes that proposals of some kinds name (each names 20 at most)."""
    rows = proposals.take(proposals.kind.isin(*kinds))
    return {episode for text in rows.episodes for episode in json.loads(text)}


# ---- 1: recovery imperative; and the laws of the tags

STEPS = ("approach", "grasp", "pull", "recovery_maneuver", "idle", "slip", "retreat")
WORDS = st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from("+-~")), min_size=1, max_size=7)
EPISODE = st.tuples(
    WORDS | st.just([("approach", "+"), ("grasp", "~"), ("recovery_maneuver", "+"), ("grasp", "+")]),
    st.sampled_from([0.0, 1.0, 1.0, NAN]),
    st.sampled_from([0.3, 0.9]),
    st.booleans(),
    st.booleans(),
)
"""Segments, inferred success, confidence of the segments, whether they are ambiguous, debug mode."""


@cache
def world() -> tuple[Any, Any, References]:
    """Observations of 400 episodes whose failure follows one feature, and the references they teach."""
    seen, risk, failed, _ = observed(400, 0, slope=3.0)
    return seen, risk, fit_references(seen, risk, ~failed, failed)


@cache
def at_the_border() -> tuple[np.ndarray, np.ndarray]:
    """Episodes whose risk is above 0.8, the lowest first, and those below, the highest first."""
    tags = tagged([([("approach", "+")], 1.0, 0.9, False, False)] * 400, np.arange(400))[0]
    risk = tags.take(tags.tag.isin("RiskTag")).level
    order = np.argsort(risk, kind="stable")
    return order[risk[order] > 0.8], order[risk[order] <= 0.8][::-1]


def tagged(episodes: Sequence[tuple[Any, ...]], places: np.ndarray) -> tuple[TagTable, SegmentTable, list[str]]:
    """Tags of some episodes of the world, with the segments and outcomes given."""
    seen, risk, references = world()
    names = [risk.episode_id[int(k)] for k in places]
    rows, doubtful = [], []
    for name, (words, _, sure, ambiguous, _) in zip(names, episodes, strict=True):
        mine = story(name, " ".join(f"{label}{mark}" for label, mark in words))
        rows += [{**row, "confidence": sure} for row in mine]
        doubtful += [ambiguous] * len(mine)
    segments = segments_of(rows)
    whom = TaggedEpisodes(
        episode_index=places,
        episode_id=Text.of(names),
        frames=np.full(len(names), 200),
        family=risk.family[places],
        debug_mode=np.array([each[4] for each in episodes]),
        inferred_success=np.array([each[1] for each in episodes]),
    )
    primitives = primitives_of(segments, np.array(doubtful, np.bool_))
    return SemanticTagPropagator().propagate(segments, primitives, seen, risk, references, whom), segments, names


def strongest(tags: TagTable, name: str) -> dict[str, float]:
    """Highest level of a tag by episode, NaN where it was not assessed."""
    levels: dict[str, float] = {}
    for row in tags.take(tags.tag.isin(name)).rows():
        levels[row["episode_id"]] = float(np.fmax(levels.get(row["episode_id"], NAN), row["level"]))
    return levels


@QUICK
@given(risky=st.lists(EPISODE, min_size=1, max_size=8), others=st.lists(EPISODE, max_size=8))
def test_luck_and_its_verification_are_high_risk_with_success_and_no_recovery_and_nothing_else(
    risky: list[Any], others: list[Any]
) -> None:
    above, below = at_the_border()
    places = np.concatenate([above[: len(risky)], below[: len(others)]])
    tags, segments, names = tagged([*risky, *others], places)
    risk, recovery, luck = (strongest(tags, name) for name in ("RiskTag", "RecoveryTag", "LuckySuccessTag"))
    assert all(0.8 < risk[name] < 0.9 for name in names[: len(risky)])
    success = dict(zip(names, (each[1] for each in [*risky, *others]), strict=True))
    expected = {name for name in names if risk[name] > 0.8 and success[name] == 1 and not recovery[name] > 0.5}
    assert {name for name in names if luck[name] > 0} == expected
    facts = tasks.tag_evidence(tags, segments, dict.fromkeys(names, "pulling"), TAGS)
    proposals = TaskGraphRefiner(specs=TAGS).refine(facts)
    assert named(proposals, "verification_node") == expected
    assert set(proposals.take(proposals.kind.isin("verification_node")).status) <= {"pending_trust"}


@QUICK
@given(st.lists(EPISODE, min_size=1, max_size=12))
def test_a_recovery_tag_has_a_failure_before_it_and_a_success_of_the_same_step_after(episodes: list[Any]) -> None:
    tags, segments, _ = tagged(episodes, np.arange(len(episodes)))
    for row in tags.take(tags.tag.isin("RecoveryTag") & (np.nan_to_num(tags.level) > 0)).rows():
        mine = [s for s in segments if s.episode_id == row["episode_id"]]
        failed = [s for s in mine if s.end_frame == row["start_frame"]]
        mended = [s for s in mine if s.end_frame == row["end_frame"]]
        assert [s.outcome in ("failure", "retry") for s in failed] == [True]
        assert [s.outcome for s in mended] == ["success"]
        assert failed[0].label == mended[0].label
        again = [s for s in mine if s.label == failed[0].label and failed[0].end_frame <= s.start_frame]
        assert again[0] == mended[0], "the very next attempt is the one that succeeds"


@QUICK
@given(st.lists(EPISODE, min_size=1, max_size=12))
def test_every_tag_is_recorded_raw_for_every_episode(episodes: list[Any]) -> None:
    tags, _, names = tagged(episodes, np.arange(len(episodes)))
    for name in TAGS:
        assert set(tags.take(tags.tag.isin(name)).episode_id) == set(names)


def imported(folder: str) -> set[str]:
    """Modules of the project that a room imports anywhere in its code."""
    found: set[str] = set()
    for file in (Path(sima2.__file__).parent / folder).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
            elif isinstance(node, ast.Import):
                found |= {each.name for each in node.names}
    return {name for name in found if name.startswith("sima2")}


def test_no_trust_can_reach_the_function_that_writes_tags() -> None:
    assert imported("tags")
    assert not [name for name in imported("tags") if name.startswith(("sima2.records.trust", "sima2.analytics"))]


# ---- 2: containment of what is critically strange

SPAN = st.tuples(
    st.integers(0, 5), st.sampled_from([0.0, 0.5, 0.9, 0.91, 1.0]), st.sampled_from([0.0, 0.99, NAN]), st.booleans()
)
"""Segment that is strange, its severity, the tag's level, whether it is visual."""
FOLLOWED = st.tuples(
    st.lists(st.sampled_from(("approach", "grasp", "idle", "recovery_maneuver")), min_size=1, max_size=6),
    st.lists(SPAN, max_size=3),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(FOLLOWED, min_size=1, max_size=10))
def test_what_is_critically_strange_asks_for_a_stop_unless_a_recovery_follows_at_once(episodes: list[Any]) -> None:
    rows, tags, expected, looks = [], [], set(), set()
    for i, (labels, spans) in enumerate(episodes):
        name = f"e{i}"
        rows += story(name, " ".join(labels))
        for place, severity, level, visual in spans:
            k = min(place, len(labels) - 1)
            source = "visual" if visual else "kinematic"
            tags.append(
                {"episode_id": name, "level": level, "severity": severity, "source": source,
                 "start_frame": 20 * k, "end_frame": 20 * k + 20}
            )  # fmt: skip
            following = next((label for label in labels[k + 1 :] if label != "idle"), "")
            if level > 0:
                looks |= {name} if visual else set()
                expected |= {name} if severity > 0.9 and following != "recovery_maneuver" else set()
    strange = table(TagTable, tags, tag="OODTag", kind="diagnostic")
    family = {f"e{i}": "pulling" for i in range(len(episodes))}
    proposals = TaskGraphRefiner(specs=TAGS).refine(tasks.tag_evidence(strange, segments_of(rows), family, TAGS))
    assert named(proposals, "safety_stop") == expected
    assert named(proposals, "inspection_node") == looks
    assert set(proposals.source_tag) <= {"OODTag"}


# ---- 3: duality of fragility and recovery


def surely(times: int, trials: int) -> float:
    """One-sided 95 % lower bound of a rate."""
    return float(beta.ppf(0.05, times, trials - times + 1)) if times else 0.0


class MissingSkill(RuleBasedStateMachine):
    """Episodes arrive; the alert stands exactly while a fragility is older than 100 episodes and nothing mends it."""

    PATIENCE = 100

    def __init__(self) -> None:
        super().__init__()
        self.evidence = knowing.evidence(PrimitiveTable.empty())
        self.last = self.evidence
        self.history: list[str] = []

    def arrive(self, kind: str, words: str, number: int) -> None:
        names = [f"e{len(self.history) + k:06d}" for k in range(number)]
        self.history += [kind] * number
        self.last = knowing.evidence(primitives_of(segments_of([r for name in names for r in story(name, words)])))
        self.evidence = knowing.merge([self.evidence, self.last])

    @rule(number=st.integers(1, 70))
    def pulls_fail(self, number: int) -> None:
        self.arrive("failed", "approach+ grasp+ pull:locked-", number)

    @rule(number=st.integers(1, 70))
    def pulls_succeed(self, number: int) -> None:
        self.arrive("succeeded", "approach+ grasp+ pull+", number)

    @rule(number=st.integers(1, 70))
    def pulls_are_mended(self, number: int) -> None:
        self.arrive("mended", "approach+ grasp+ pull:locked~ recovery_maneuver+ pull+", number)

    @rule(number=st.integers(1, 150))
    def other_things_are_done(self, number: int) -> None:
        self.arrive("other", "approach+ grasp+ lift+", number)

    @rule()
    def the_same_episodes_come_again(self) -> None:
        self.evidence = knowing.merge([self.last, self.evidence])

    def expected(self) -> bool:
        failures = trials = mended = 0
        known_since: int | None = None
        tried = [kind for kind in self.history if kind != "other"]
        for place, kind in enumerate(tried):
            failures += kind != "succeeded"
            trials += 2 if kind == "mended" else 1
            mended += kind == "mended"
            if known_since is None and failures >= 3 and surely(failures, trials) > 0.05:
                known_since = place
        fragile = failures >= 3 and surely(failures, trials) > 0.05
        paired = mended >= 3 and surely(mended, failures) > 0.05
        stood = 0 if known_since is None else len(tried) - 1 - known_since
        return fragile and not paired and stood > self.PATIENCE

    @invariant()
    def the_alert_stands_exactly_as_long_as_the_skill_is_missing(self) -> None:
        proposals = OntologyUpdateEngine().propose(self.evidence)
        alerts = list(proposals.take(proposals.kind.isin("missing_skill")).rows())
        assert [(row["action"], row["reason"]) for row in alerts] == [("pull", "locked")] * self.expected()


TestMissingSkill = MissingSkill.TestCase
TestMissingSkill.settings = settings(max_examples=40, stateful_step_count=12, deadline=None)


def test_an_alert_of_a_missing_skill_is_raised_and_closed_again() -> None:
    machine = MissingSkill()
    # three failures make a fragility; a hundred episodes more are borne
    machine.pulls_fail(3 + machine.PATIENCE)
    assert not machine.expected()
    machine.the_alert_stands_exactly_as_long_as_the_skill_is_missing()
    machine.pulls_fail(1)
    assert machine.expected()
    machine.the_alert_stands_exactly_as_long_as_the_skill_is_missing()
    machine.pulls_are_mended(40)
    assert not machine.expected()
    machine.the_alert_stands_exactly_as_long_as_the_skill_is_missing()


# ---- 4: monotony of trust

SPECS = {name: TagSpec(name, "predictive", ("prefix",), "landmark", "damage", 1) for name in ("good", "weak", "noise")}


def counted(n: int, seed: int) -> list[TrustCounts]:
    """Counts of n episodes in four shards: one tag tells damage, one a little, one nothing."""
    rng = np.random.default_rng(seed)
    tags = {"good": rng.random(n) < 0.3, "weak": rng.random(n) < 0.3, "noise": rng.random(n) < 0.3}
    harm = np.where(rng.random(n) < 0.15 + 0.6 * tags["good"] + 0.15 * tags["weak"], rng.lognormal(0, 1, n), 0.0)
    strata = Text.of(rng.choice(["x", "y"], n).tolist())
    shards = np.array_split(rng.permutation(n), 4)
    return [count({k: v[s] for k, v in tags.items()}, harm[s], strata[s], COST_FIELDS["damage"]) for s in shards]


def levels(parts: Sequence[TrustCounts]) -> dict[str, tuple[float, float]]:
    """Trust of each tag, and the p-value it passed the gate with, which is drawn where few episodes have the tag."""
    matrix = EconCorrelator().correlate(reduce(merge, parts, TrustCounts()), specs=SPECS)
    return {tag: (row.trust_level, row.p_value) for tag, row in matrix.items()}


class SteadyTrust(RuleBasedStateMachine):
    """Calibrating anew is no new evidence: only new counts may change what is trusted."""

    @initialize(n=st.integers(40, 600), seed=st.integers(0, 50))
    def first_calibration(self, n: int, seed: int) -> None:
        self.parts = counted(n, seed)
        self.trust = levels(self.parts)
        self.seen = 1

    @rule(times=st.integers(1, 3))
    def recalibrate_on_the_same_data(self, times: int) -> None:
        for _ in range(times):
            assert levels(self.parts) == self.trust

    @rule(order=st.randoms(use_true_random=False))
    def recalibrate_in_another_order(self, order: Any) -> None:
        order.shuffle(self.parts)
        assert levels(self.parts) == self.trust

    @rule()
    def recalibrate_after_a_restart(self) -> None:
        self.parts = [TrustCounts.from_json(part.to_json()) for part in self.parts]
        assert levels(self.parts) == self.trust

    @rule()
    def recalibrate_with_merged_shards(self) -> None:
        self.parts = [reduce(merge, self.parts), TrustCounts()]
        assert levels(self.parts) == self.trust

    @precondition(lambda self: self.seen < 3)
    @rule(n=st.integers(80, 300), seed=st.integers(51, 99))
    def new_data_arrive(self, n: int, seed: int) -> None:
        self.parts += counted(n, seed)
        self.trust = levels(self.parts)
        self.seen += 1


TestSteadyTrust = SteadyTrust.TestCase
TestSteadyTrust.settings = settings(max_examples=15, stateful_step_count=8, deadline=None)


def test_the_tags_whose_trust_must_not_fall_have_some() -> None:
    trust = levels(counted(600, 0))
    assert trust["good"][0] > 0.5
    assert trust["noise"][0] == 0.0


# ---- 5: conservation of sampling weights

LEVEL = st.floats(0, 1) | st.just(NAN)


def trusted(tag: str, level: float, effect: float) -> TrustRow:
    return TrustRow(
        tag=tag, trust_level=level, tier="trusted" if level > 0.8 else "provisional" if level > 0.5 else "untrusted",
        correlation_strength="strong", economic_impact=NAN, cost_field="damage", note="", effect=effect,
        interval=(effect, effect), p_value=0.0, q_value=0.0, n_tagged=9, n=99, strata=1, reason="ok", digest="",
        needs_recalibration=False,
    )  # fmt: skip


def pool_of(
    success: Sequence[float], rows: Sequence[tuple[int, str, float]], trust: dict[str, tuple[float, float]]
) -> Pool:
    """A pool through the tables of a run: tags of episodes by place, trust and effect of each tag."""
    each = [
        {"episode_index": i, "episode_id": f"e{i}", "family": f"f{i % 3}", "success": s} for i, s in enumerate(success)
    ]
    tags = [{"episode_id": f"e{i}", "tag": tag, "level": level} for i, tag, level in rows if i < len(success)]
    matrix = {tag: trusted(tag, *what) for tag, what in trust.items()}
    return Pool.of(table(EpisodeTable, each), table(TagTable, tags), matrix, TAGS)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 39), st.sampled_from(sorted(TAGS)), LEVEL), max_size=80),
    success=st.lists(st.sampled_from([0.0, 1.0, NAN]), min_size=1, max_size=40),
    trust=st.fixed_dictionaries(
        {},
        optional={
            tag: st.tuples(st.floats(0, 1) | st.sampled_from([0.6, 0.9, 1.0]), st.floats(-1, 1) | st.just(0.5))
            for tag in sorted(TAGS)
        },
    ),
    goal=st.sampled_from(["bc", "rl"]),
)
@example(rows=[(0, "RiskTag", 1.0)], success=[1.0, 0.0, 1.0], trust={"RiskTag": (0.9, 0.5)}, goal="rl")
@example(
    rows=[(i, tag, 1.0) for i in range(2) for tag in sorted(TAGS)],
    success=[1.0] * 40,
    trust=dict.fromkeys(TAGS, (1.0, 1.0)),
    goal="rl",
)
def test_weights_over_the_pool_sum_to_one_whatever_the_tags_and_their_trust(
    rows: list[Any], success: list[float], trust: dict[str, tuple[float, float]], goal: str
) -> None:
    plan = plan_weights(pool_of(success, rows, trust), for_objective=goal)
    n = len(success)
    assert plan.episode_id.tolist() == [f"e{i}" for i in range(n)]
    assert abs(float(plan.p.sum()) - 1.0) < 1e-12
    assert (plan.p > 0).all(), "nothing becomes unreachable"
    assert len(DataPackRLSampler(plan, seed=0).sample(5 * n, epoch=1)) == 5 * n


def test_the_weights_that_must_sum_to_one_are_not_all_alike() -> None:
    plan = plan_weights(pool_of([1.0] * 20, [(0, "RiskTag", 1.0)], {"RiskTag": (0.9, 0.5)}))
    assert plan.p[0] > 2 * plan.p[1]


# ---- 6: the boundary of advice

FORBIDDEN = ("reward", "price", "cost", "weight", "value", "pay", "wage")
THING = st.sampled_from(["cup_a", "reward", "price_tag_1", "sampling_weight", "", "objet d'art"])
LEARNED = st.lists(
    st.tuples(
        THING,
        st.sampled_from(["grasp", "pull", "lift", "wipe"]),
        st.sampled_from(["+", "-", "~"]),
        st.sampled_from(["locked", "drop"]),
    ),
    max_size=40,
)


def carries(names: Any) -> list[str]:
    """Names of fields that decide on money or on training."""
    return [name for name in names if any(word in name.lower() for word in FORBIDDEN)]


@settings(max_examples=80, deadline=None)
@given(LEARNED, st.dictionaries(st.sampled_from(sorted(TAGS)), st.floats(0, 1)))
def test_no_proposal_carries_a_reward_a_price_or_a_weight(words: list[Any], trust: dict[str, float]) -> None:
    rows = []
    for k, (thing, action, mark, reason) in enumerate(words):
        rows += [{**row, "object": thing} for row in story(f"e{k % 5}", f"{action}:{reason}{mark}")]
    segments = segments_of(rows)
    strange = {"episode_id": "e0", "tag": "OODTag", "level": 1.0, "severity": 1.0, "source": "visual", "value": 9.0}
    lucky = {"episode_id": "e0", "tag": "LuckySuccessTag", "level": 0.9, "value": 9.0}
    family = {f"e{k}": "pulling" for k in range(5)}
    facts = tasks.merge(
        [
            tasks.task_evidence(segments, family),
            tasks.tag_evidence(table(TagTable, [lucky, strange]), segments, family, TAGS),
        ]
    )
    learned = knowing.evidence(primitives_of(segments))
    proposals = ProposalTable.concat(
        [OntologyUpdateEngine().propose(learned), TaskGraphRefiner(specs=TAGS).refine(facts)]
    )
    assert len(proposals) >= 3
    matrix = TrustMatrix({tag: trusted(tag, level, 0.5) for tag, level in trust.items()})
    decided = SemanticOrchestrator().decide(proposals, matrix)
    assert carries(proposals.columns()) == []
    assert carries(key for row in decided.rows() for key in row) == []
    for graph in (
        OntologyUpdateEngine().ontology(learned, decided),
        TaskGraphRefiner(specs=TAGS).graph(facts, decided),
    ):
        for attributes in [*graph.nodes.values(), *(each for _, _, each in graph.edges)]:
            assert carries(attributes) == []
    # to decide is to set a status: nothing else of the advice changes
    kept = {name: getattr(decided, name).tolist() for name in proposals.columns() if not name.startswith("status")}
    assert repr(kept) == repr({name: getattr(proposals, name).tolist() for name in kept})
    for row in decided.rows():
        if row["source_tag"]:
            level = matrix[row["source_tag"]].trust_level if row["source_tag"] in matrix else 0.0
            assert (row["status"] == "accepted") == (level > 0.6)


def test_the_room_that_proposes_knows_neither_costs_nor_weights() -> None:
    closed = ("sima2.analytics", "sima2.sampling", "sima2.records.econ", "sima2.records.trust", "sima2.records.plan",
              "sima2.records.outcome", "sima2.records.truth")  # fmt: skip
    assert imported("knowledge")
    assert [name for name in imported("knowledge") if name.startswith(closed)] == []


@pytest.mark.parametrize("name", ["reward", "unit_price", "sampling_weight"])
def test_a_field_that_decides_would_be_noticed(name: str) -> None:
    assert carries([*ProposalTable.columns(), name]) == [name]


def test_an_empty_world_proposes_nothing() -> None:
    nothing = TagTable.empty()
    assert len(TaskGraphRefiner(specs=TAGS).refine(tasks.tag_evidence(nothing, SegmentTable.empty(), {}, TAGS))) == 0
