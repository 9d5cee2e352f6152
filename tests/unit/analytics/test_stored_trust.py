"""Costs, trust, drift, answers by example and what is needed of made runs, as they are stored beside this file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from carried_cups import carried
from sima2.analytics.by_example import ByExample
from sima2.analytics.counts import TrustCounts, as_indicator, count, merge
from sima2.analytics.econ import econ_vectors
from sima2.analytics.econ_correlator import EconCorrelator
from sima2.analytics.econ_settings import COST_FIELDS, EconSettings
from sima2.analytics.effects import stratified_effects
from sima2.analytics.example_geometry import View
from sima2.analytics.example_views import views_of
from sima2.analytics.impacts import contact_impacts, fall_impacts
from sima2.analytics.inferred_by_example import (
    changed_by,
    costs_by_example,
    episodes_by_example,
    infer_by_example,
    with_examples,
)
from sima2.analytics.power import outcomes_needed
from sima2.analytics.prior import Belief, Prior
from sima2.analytics.recovery import find_attempts, recovery_counts
from sima2.analytics.statistics import describe
from sima2.bench.postures import CONTROLS, DIFFER, HARD, make
from sima2.errors import RecordError, UsageError
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.outcome import Outcome
from sima2.records.rollout import RolloutBatch
from sima2.records.table import Text
from sima2.records.tags import TagSpec
from stored_answers import check_stored
from unit.analytics.test_answers_by_example import SPREAD, two_groups
from unit.analytics.test_econ_vectors import arm, falling_cup, rollout
from unit.analytics.test_trust_inputs import segment_rows


def specs(tags: dict[str, Any], field: str = "damage", kind: str = "predictive") -> dict[str, TagSpec]:
    inputs = ("prefix signals",) if kind == "predictive" else ("segment outcomes",)
    return {
        tag: TagSpec(tag, kind, inputs, "landmark", field, 1 - 2 * (k % 3 == 2)) for k, tag in enumerate(sorted(tags))
    }


def world(seed: int, n: int, effect: float, tags: int = 5, *, field: str = "damage") -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    x: dict[str, Any] = {f"t{k}": rng.random(n) < p for k, p in enumerate(rng.uniform(0.08, 0.5, tags))}
    x["never"], x["always"] = np.zeros(n, bool), np.ones(n, bool)
    x["partly"] = np.where(rng.random(n) < 0.3, -1, x["t0"].astype(int)).astype(np.int8)
    strata = rng.integers(0, 4, n)
    cost = rng.normal(size=n) + effect * x["t0"] + 0.5 * effect * x["t1"] + 0.3 * strata
    y = (cost > 1.0).astype(float) if field == "success" else np.exp(cost)
    y[rng.random(n) < 0.1] = np.nan
    return x, y, strata


def counted(seed: int, n: int, effect: float, field: str = "damage") -> tuple[TrustCounts, dict[str, TagSpec]]:
    x, y, strata = world(seed, n, effect, field=field)
    return count(x, y, strata, COST_FIELDS[field]), specs(x, field)


@pytest.mark.parametrize("field", sorted(COST_FIELDS))
@pytest.mark.parametrize(("n", "effect"), [(90, 2.0), (600, 0.5)])
def test_a_trust_matrix_is_the_one_that_is_stored(field: str, n: int, effect: float) -> None:
    counts, told = counted(n, n, effect, field)
    matrix = EconCorrelator(shadows=2).correlate(counts, specs=told)
    rows = {tag: matrix[tag] for tag in matrix}
    check_stored(__file__, f"matrix {field} {n} {effect}", {"rows": rows, "shadow": matrix.shadow})
    check_stored(__file__, f"needed {field} {n} {effect}", outcomes_needed(matrix))
    check_stored(__file__, f"described {field} {n} {effect}", describe(counts, told))


def test_a_later_look_and_a_prior_change_the_matrix_as_they_always_did() -> None:
    counts, told = counted(3, 400, 0.5)
    judge = EconCorrelator(shadows=0)
    belief = {tag: Belief("damage", 0.3, 0.08, "of another set") for tag in ("t0", "t1", "t2")}
    for name, given in {
        "prior": {"prior": Prior(belief)},
        "weak prior": {"prior": Prior({"t0": Belief("damage", 0.05, 0.3, "of another set")})},
        "third look": {"look": 3},
    }.items():
        matrix = judge.correlate(counts, specs=told, **given)
        check_stored(__file__, f"matrix by {name}", {tag: matrix[tag] for tag in matrix})


def test_a_tag_that_turns_over_is_told_to_drift_at_the_batch_that_is_stored() -> None:
    parts = []
    for k in range(12):
        x, y, strata = world(50 + k, 120, 1.2 if k < 6 else -1.2)
        parts.append(count(x, y, strata, COST_FIELDS["damage"]))
    whole = parts[0]
    for part in parts[1:]:
        whole = merge(whole, part)
    told = specs(world(50, 120, 1.0)[0])
    matrix = EconCorrelator(shadows=0).correlate(whole, specs=told, batches=parts)
    check_stored(__file__, "drift", {tag: matrix[tag] for tag in matrix})


def seen(track: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Out of sight before, or for a while."""
    out = track.copy()
    out[(0 if start == 99 else start) : (start if start == 99 else stop)] = np.nan
    return out


def costly() -> tuple[RolloutBatch, Outcome]:
    rng = np.random.default_rng(4)
    bumps = np.abs(rng.normal(0, 0.1, 100))
    bumps[30:34], bumps[60:75] = 60.0, 25.0
    lost = np.where((bumps > 20) & (np.arange(100) % 7 == 3), np.nan, bumps)
    told = [
        rollout("plain", 100, **arm(100)),
        rollout("bumped", 100, **arm(100, 2, force=bumps)),
        rollout("dropped", 100, **arm(100, 3), object_position={"cup": falling_cup()}),
        rollout("dropped low", 100, **arm(100, 3), object_position={"cup": falling_cup(from_m=0.12)}),
        rollout("bare", 60),
        *(carried(k) for k in range(2)),
        rollout("seen once", 100, **arm(100, 4), object_position={"cup": seen(falling_cup(), 99, 100)}),
        rollout("seen at times", 100, **arm(100, 5), object_position={"cup": seen(falling_cup(), 44, 47)}),
        rollout(
            "two things", 100, **arm(100, 6), object_position={"cup": falling_cup(), "plate": falling_cup(start=70)}
        ),
        rollout("unseen hand", 100, object_position={"cup": falling_cup(from_m=0.3)}),
        rollout("lost force", 100, **arm(100, 7, force=lost)),
    ]
    n = len(told)
    outcome = replace(
        Outcome.unknown(n),
        success=np.resize([1.0, 0.0, 0.0, np.nan, 1.0, 1.0, 0.0], n),
        failed_at_s=np.resize([np.nan, 1.7, np.nan, np.nan, np.nan, np.nan, 4.0], n),
    )
    return RolloutBatch.from_rollouts(told), outcome


def test_costs_of_episodes_are_those_that_are_stored() -> None:
    batch, outcome = costly()
    check_stored(__file__, "costs", econ_vectors(batch, outcome))
    check_stored(__file__, "costs beside clean", econ_vectors(batch, outcome, nominal_s={"dish_place": 3.0}).resilience)
    for _, part in batch.by_layout():
        name = part.episodes.episode_id[0]
        check_stored(__file__, f"contacts {name}", contact_impacts(part, EconSettings()))
        check_stored(__file__, f"falls {name}", fall_impacts(part, EconSettings()))


def costs_of(episodes: EpisodeTable) -> EconTable:
    n = len(episodes)
    rng = np.random.default_rng(n)
    return EconTable(
        episode_id=episodes.episode_id,
        success=episodes.success,
        duration_s=rng.uniform(10.0, 30.0, n),
        mpl=rng.uniform(100.0, 200.0, n),
        energy_wh=rng.uniform(0.5, 2.0, n),
        damage=rng.uniform(0.0, 1.0, n),
        wage_parity=rng.uniform(0.2, 0.9, n),
        resilience=np.full(n, np.nan),
        outcome_source=episodes.outcome_source,
    )


@pytest.mark.parametrize("name", [*DIFFER, *HARD, *CONTROLS])
def test_answers_by_example_and_what_follows_of_them_are_those_that_are_stored(name: str) -> None:
    for number in (0, 1):
        made = make(name, {**DIFFER, **HARD, **CONTROLS}[name], number)
        table = infer_by_example(made.episodes, made.points, made.looks, active=made.active)
        changed = with_examples(made.episodes, table)
        check_stored(
            __file__,
            f"by example {name} {number}",
            {
                "told": {key: value for key, value in vars(table).items() if key != "episode_id"},
                "success": changed.success,
                "changed": changed_by(made.episodes, changed).episode_id,
                "kept": episodes_by_example(made.episodes, changed).success,
                "costs": costs_by_example(costs_of(made.episodes), changed),
                "views": {view.name: view.place for view in views_of(made.episodes, made.points, made.looks)},
            },
        )


def test_attempts_that_are_counted_are_those_that_are_stored() -> None:
    rng = np.random.default_rng(8)
    rows = []
    for i in range(60):
        at = 0.0
        for _ in range(int(rng.integers(2, 9))):
            label = str(rng.choice(["approach", "grasp", "lift", "recovery_maneuver", "place"]))
            end = str(rng.choice(["success", "failure", "retry", "unknown"]))
            took = float(rng.uniform(0.3, 12.0))
            why = str(rng.choice(["", "gripper_slip"]))
            rows.append((f"e{i}", label, str(rng.choice(["cup", "lid"])), at, at + took, end, why))
            at += took
    found = find_attempts(segment_rows(*rows), Text.of(f"e{i}" for i in range(60)))
    success, strata = rng.choice([0.0, 1.0, np.nan], 60), Text.of(rng.choice(["a", "b"], 60).tolist())
    counted = recovery_counts("RecoveryTag", found, success, rng.uniform(20.0, 90.0, 60), strata)
    check_stored(__file__, "attempts", {"found": found, "counted": counted.panels})


def test_effects_of_thin_strata_are_those_that_are_stored() -> None:
    rng = np.random.default_rng(6)
    n = 90
    strata = np.where(np.arange(n) < 60, np.arange(n) // 4, 99)
    x = {f"t{k}": rng.random(n) < 0.4 for k in range(4)}
    panel = count(x, np.exp(rng.normal(size=n) + x["t0"]), strata, COST_FIELDS["damage"]).panels["damage"]
    check_stored(__file__, "thin strata", stratified_effects(panel.cells))


@pytest.mark.parametrize("apart", [0.0, 0.2, 0.4, 2.0])
def test_answers_of_two_views_are_those_that_are_stored(apart: float) -> None:
    place, won = two_groups(3, apart)
    other, _ = two_groups(4, apart / 2)
    told = np.full(60, np.nan)
    told[SPREAD] = won[SPREAD]
    for name, chance in {"all": None, "some": np.arange(60) % 5 != 0}.items():
        found = ByExample().answer([View("the end", place), View("the course", other)], told, random=chance)
        check_stored(__file__, f"answers {apart} {name}", found)


def test_prices_and_the_bins_of_costs_are_those_that_are_stored() -> None:
    check_stored(__file__, "prices", EconSettings())
    check_stored(__file__, "bins", {name: (each.edges, each.grain, each.high) for name, each in COST_FIELDS.items()})


def test_a_panel_of_another_shape_is_refused() -> None:
    panel = count({"t": np.array([True, False])}, np.ones(2), np.zeros(2), COST_FIELDS["damage"]).panels["damage"]
    for name in ("cells", "mass", "dropped"):
        with pytest.raises(RecordError, match="expected"):
            replace(panel, **{name: getattr(panel, name)[:0]})


@pytest.mark.parametrize("wrong_share", [0.0, 0.4, 0.9])
def test_examples_beside_what_segments_suggest_decide_as_is_stored(wrong_share: float) -> None:
    made = make("half", {**DIFFER, **HARD, **CONTROLS}["half"], 0)
    rng = np.random.default_rng(5)
    n = len(made.episodes)
    suggested = np.where(rng.random(n) < wrong_share, 1.0 - made.success, made.success)
    suggested[rng.random(n) < 0.2] = np.nan
    sure = rng.uniform(0.5, 1.0, n).astype(np.float32)
    episodes = replace(made.episodes, inferred_success=suggested, inferred_confidence=sure)
    table = infer_by_example(episodes, made.points, made.looks, active=made.active)
    now = with_examples(episodes, table)
    check_stored(
        __file__,
        f"beside suggestions {wrong_share}",
        {
            "success": now.success,
            "source": now.outcome_source,
            "inferred": now.inferred_success,
            "confidence": now.inferred_confidence,
            "changed": changed_by(episodes, now).episode_id,
        },
    )


@pytest.mark.parametrize(
    "column", [["yes", None], [True, False, True], np.array(["a", "b"]), [2, 0], [0.5, 1.0], [object(), True]]
)
def test_an_indicator_that_is_none_is_refused(column: Any) -> None:
    with pytest.raises(UsageError, match="tag A: indicator"):
        as_indicator("A", column, 2)


def test_an_indicator_says_tagged_untagged_or_nothing() -> None:
    masked = np.ma.MaskedArray([True, False, True], [False, False, True])
    for column in ([1, 0, None], [1.0, 0.0, np.nan], [True, False, None], masked, np.array([1, 0, -1])):
        assert as_indicator("A", column, 3).tolist() == [1, 0, -1]


def test_what_a_prior_lends_and_why_it_does_not_is_what_is_stored() -> None:
    many = {f"t{k}": Belief("damage", 0.1 * k - 0.4, 0.02 + 0.05 * k, f"d{k}") for k in range(9)}
    prior = Prior(many)
    lent = {
        f"{tag} {delta} {se}": prior.lent(tag, delta, se)
        for tag in (*many, "other")
        for delta, se in ((0.3, 0.1), (-0.2, 0.05), (np.nan, 0.1), (0.3, np.nan), (0.3, 0.0))
    }
    check_stored(__file__, "lent", lent)
    strangers = [prior.strangers(known) for known in ((), ("t0",), tuple(many)[:6], tuple(many)[:4], tuple(many))]
    why = [
        prior.why_not(*each)
        for each in (("t1", "damage", "x"), ("t1", "mpl", "x"), ("t1", "damage", "d1"), ("u", "", ""))
    ]
    check_stored(__file__, "strangers", {"strangers": strangers, "why": why})
