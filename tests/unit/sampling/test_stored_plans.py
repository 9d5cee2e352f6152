"""Plans, weights, draws, requests and who is asked, of made episodes, as they are stored beside this file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from finished_run import episodes_of
from sima2.errors import UsageError
from sima2.records.defects import DEFECTS, PauseTable
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import SegmentVerdicts
from sima2.records.table import Text
from sima2.sampling.auditor import DatapackAuditor
from sima2.sampling.effective import effective
from sima2.sampling.frames import frame_weights, planned_frames
from sima2.sampling.plan import Known
from sima2.sampling.plan_settings import ALSO, PRESETS, PlanSettings
from sima2.sampling.planned import planned
from sima2.sampling.request import request
from sima2.sampling.sampler import DataPackRLSampler
from sima2.sampling.to_label import asking_order, most_teaching, to_label, to_label_for_tag
from sima2.sampling.verdicts import segment_verdicts
from sima2.sampling.weight_settings import OBJECTIVES, STRATEGIES
from sima2.sampling.weights import plan_weights
from sima2.tags.specs import TAGS
from stored_answers import check_stored
from unit.analytics.test_trust_inputs import segment_rows
from unit.sampling.test_datapack_auditor import episodes, found, tags, trust
from unit.sampling.test_sampling_weights import pool
from unit.sampling.test_training_plan import agreed

N = 60
NAMES = ("FragilityTag", "LuckySuccessTag", "OODTag", "RecoveryTag", "RiskTag")
TRUST = ({}, {"RiskTag": 0.9, "OODTag": 0.65, "RecoveryTag": 0.3}, {"RecoveryTag": 0.97, "RiskTag": 0.4})


def table(seed: int = 0, n: int = N) -> EpisodeTable:
    rng = np.random.default_rng(seed)
    source = rng.choice(["recorded", "inferred", "person", "none"], n)
    inferred = rng.choice([0.0, 1.0, np.nan], n)
    recorded = rng.choice([0.0, 1.0], n)
    return episodes(
        n,
        frames=np.where(rng.random(n) < 0.05, 1, 100),
        duration_s=np.where(rng.random(n) < 0.05, 0.0, rng.uniform(3.0, 9.0, n)),
        segments=rng.integers(0, 8, n),
        success=np.where(source == "none", np.nan, np.where(source == "inferred", inferred, recorded)),
        outcome_source=Text.of(source.tolist()),
        inferred_success=inferred,
        inferred_confidence=rng.uniform(0.5, 1.0, n).astype(np.float32),
        failure_reason=Text.of(rng.choice(["", "gripper_slip"], n).tolist()),
        inferred_end=Text.of(rng.choice(["", "no_step"], n).tolist()),
        family=Text.of(rng.choice(["a", "b", "c"], n).tolist()),
        episode_index=np.arange(100, 100 + n),
    )


def known(seed: int = 0) -> Known:
    rng = np.random.default_rng(seed + 50)
    rows, verdicts, still = [], [], []
    for _ in range(90):
        start = int(rng.integers(0, 90))
        end = int(min(start + rng.integers(1, 60), 100))
        name = f"e{int(rng.integers(0, N + 5))}"
        rows.append((name, str(rng.choice(sorted(DEFECTS))), float(rng.random()), start, end))
        kind = str(rng.choice(["failed_attempt", "lost_grip", "failed_step", "drive_home"]))
        verdicts.append((name, kind, start, end, float(rng.random())))
        if rng.random() < 0.3:
            still.append((name, max(start - 10, 0), start + 5))
    who, what, begin, stop, sure = zip(*verdicts, strict=True)
    paused, from_, to = zip(*still, strict=True)
    return Known(
        table(seed),
        defects=found(*rows),
        verdicts=SegmentVerdicts(Text.of(who), Text.of(what), np.array(begin), np.array(stop), np.array(sure)),
        pauses=PauseTable(np.zeros(len(still), np.int64), Text.of(paused), np.array(from_), np.array(to)),
        consensus=agreed(N, e1=[8, 9, 31], e4=[0], e7=[15, 16, 17, 18, 19, 20]),
        precision={"failed_attempt": 0.95, "lost_grip": 0.91, "failed_step": 0.6},
    )


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_plan_of_all_that_is_known_is_the_one_that_is_stored(preset: str, objective: str) -> None:
    told = known()
    settings = PlanSettings(preset=preset, objective=objective, also=ALSO)
    for k, levels in enumerate(TRUST):
        episodes_drawn = replace(
            pool(N, 3, **levels), episode_index=told.episodes.episode_index, episode_id=told.episodes.episode_id
        )
        made = planned(told, episodes_drawn, settings)
        check_stored(
            __file__,
            f"plan {preset} {objective} {k}",
            {
                "episodes": made.plan.episodes if k == 0 else made.plan.episodes.weight,
                "kinds": made.plan.episodes.kind_of_knowledge,
                "spans": made.plan.spans if k == 0 else len(made.plan.spans),
                "p": made.draws.p,
                "reasons": made.draws.reasons,
            },
        )
        frames = planned_frames(made.plan, np.full(N, 100), np.arange(N * 100))
        check_stored(__file__, f"frames {preset} {objective} {k}", frames)


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_weights_draws_and_requests_are_those_that_are_stored(strategy: str, objective: str) -> None:
    for k, levels in enumerate(TRUST):
        held = replace(pool(80, k, **levels), templates={"RecoveryTag": "recovery", "OODTag": "odd"})
        plan = plan_weights(held, for_objective=objective, strategy=strategy)
        sampler = DataPackRLSampler(plan, seed=4, pool=held, objective=objective)
        index = np.arange(80 * 10)
        check_stored(
            __file__,
            f"weights {strategy} {objective} {k}",
            {
                "p": plan.p,
                "is_weight": plan.is_weight,
                "reasons": plan.reasons,
                "drawn": [sampler.sample(20, epoch, strategy, rank=1, world_size=2) for epoch in (0, 1)],
                "requested": request(plan, held, 57, families=("d",)),
                "effective": effective(held, plan.p),
                "frames": frame_weights(plan, np.repeat(held.episode_index, 10), index, per="frame").weight,
            },
        )


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_an_audit_is_the_one_that_is_stored(levels: int) -> None:
    rng = np.random.default_rng(levels)
    rows = [
        (f"e{int(rng.integers(0, N))}", str(rng.choice(NAMES)), float(rng.random()), float(rng.random()))
        for _ in range(50)
    ]
    audit = DatapackAuditor().audit(table(), tags(*rows), trust(**TRUST[levels]), TAGS, defects=known().defects)
    check_stored(__file__, f"audit {levels}", audit)


def asked_table(n: int) -> EpisodeTable:
    rng = np.random.default_rng(n)
    return replace(
        episodes_of([f"pick-{k:03d}" for k in range(n)]),
        outcome_source=Text.full(n, "inferred"),
        inferred_success=rng.choice([0.0, 1.0, 1.0, np.nan], n),
        inferred_confidence=rng.uniform(0.5, 0.99, n).astype(np.float32),
        duration_s=rng.uniform(5, 9, n),
    )


def test_who_is_asked_for_a_label_is_who_is_stored() -> None:
    of = asked_table(80)
    rng = np.random.default_rng(1)
    given = rng.choice([-1, 0, 0, 1], 80).astype(np.int8)
    strata = Text.of(rng.choice(["a", "a", "b", "c"], 80).tolist())
    may = rng.random(80) < 0.8
    central = rng.random(80)
    central[::7] = np.nan
    teaching = most_teaching(of, may, [(9, "recorded otherwise")], central)
    check_stored(__file__, "teaching", teaching)
    check_stored(__file__, "order", asking_order(of, may, teaching, 25, said=(2, 5), seed=3))
    check_stored(__file__, "to label", to_label(of, 15, seed=2))
    for wanted in ((6, 9), (30, 4), (3, 40)):
        check_stored(__file__, f"for a tag {wanted}", to_label_for_tag(of, given, strata, may, wanted, seed=1))


def test_verdicts_of_segments_are_those_that_are_stored() -> None:
    rng = np.random.default_rng(2)
    rows = []
    for i in range(40):
        at = 0.0
        for _ in range(int(rng.integers(2, 9))):
            label = str(rng.choice(["approach", "grasp", "lift", "transport", "place", "retreat", "idle"]))
            end = str(rng.choice(["success", "failure", "retry", "unknown"], p=[0.5, 0.1, 0.3, 0.1]))
            why = str(rng.choice(["", "gripper_slip", "drop", "missed_grasp"])) if end != "success" else ""
            rows.append((f"e{i}", label, "cup", at, at + 1.0, end, why))
            at += 1.0
    held = segment_rows(*rows)
    held = replace(
        held,
        start_frame=(held.start_t * 20).astype(np.int64),
        end_frame=(held.end_t * 20).astype(np.int64),
        confidence=rng.uniform(0.5, 1.0, len(held)).astype(held.confidence.dtype),
    )
    check_stored(__file__, "verdicts", segment_verdicts(held))


@pytest.mark.parametrize("wrong", [[0.5, 0.6], [1.5, -0.5], [np.nan, 1.0], [0.4, 0.5]])
def test_a_plan_that_is_no_probability_is_refused(wrong: list[float]) -> None:
    plan = replace(plan_weights(pool(2)), p=np.array(wrong))
    with pytest.raises(UsageError, match="sum to 1"):
        DataPackRLSampler(plan)


@pytest.mark.parametrize("given", [{"n": -1}, {"n": 1, "epoch": -1}, {"n": 1, "rank": 2, "world_size": 2}])
def test_draws_that_cannot_be_made_are_refused(given: dict[str, int]) -> None:
    sampler = DataPackRLSampler(plan_weights(pool(4)))
    with pytest.raises(UsageError):
        sampler.sample(**given)
    assert len(sampler.sample(1, 0, rank=1, world_size=2)) == 0
    assert len(sampler.sample(3, 0, rank=1, world_size=2)) == 1
