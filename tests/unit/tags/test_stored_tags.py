"""Landmarks, observations, references and tags of made episodes, as they are stored beside this file."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from tag_worlds import batch_of, observed, reach, segments_of, story

import other_robot
from carried_cups import carried
from sima2.errors import RecordError, UsageError
from sima2.records.rollout import RolloutBatch
from sima2.records.table import Text
from sima2.segmentation_engine import SegmentationEngine
from sima2.tags.landmark import landmarks
from sima2.tags.observations import observe
from sima2.tags.ood import ood_rows
from sima2.tags.propagator import SemanticTagPropagator
from sima2.tags.recovery import find_recoveries
from sima2.tags.references import References, fit_references
from sima2.tags.risk_model import fit_risk
from sima2.tags.strangeness import fit_strangeness, prefix_novelty
from stored_answers import check_stored
from unit.tags.test_propagator import primitives_of, propagated


@cache
def world(name: str) -> RolloutBatch:
    if name == "reaches":
        late = [reach(50 + k, contact=30 + 7 * k, frames=90 + 5 * k) for k in range(4)]
        never = reach(60, grip_force=np.zeros(90), contact_force=np.zeros(90))
        return RolloutBatch.from_rollouts([*batch_of(5), *late, never])
    if name == "cups":
        return RolloutBatch.from_rollouts([carried(k) for k in range(5)])
    if name == "cups without things":
        return RolloutBatch.from_rollouts([carried(k, things=False) for k in range(3)])
    made = [other_robot.make(1, 70 + k, 25.0, scenario)[0][0] for k, scenario in enumerate(other_robot.SCENARIOS[::2])]
    return RolloutBatch.from_rollouts([each.with_(episode_id=f"o{k}") for k, each in enumerate(made)])


@pytest.mark.parametrize("name", ["reaches", "cups", "cups without things", "another robot"])
def test_what_is_observed_before_and_behind_the_landmark_is_what_is_stored(name: str) -> None:
    batch = world(name)
    engine = SegmentationEngine().fit([batch])
    segments = engine.segment(batch)
    usual = dict.fromkeys(batch.episodes.family, 5.0)
    told = {
        "marks": landmarks(batch, usual),
        "late marks": landmarks(batch, {}),
        "seen": observe(batch, segments, engine.segment, usual),
        "recoveries": find_recoveries(segments),
    }
    check_stored(__file__, f"observed of {name}", told)


@pytest.mark.parametrize(("n", "slope"), [(40, 3.0), (150, 2.0), (400, 3.0), (400, 0.0)])
def test_references_and_all_they_judge_are_those_that_are_stored(n: int, slope: float) -> None:
    strange = frozenset(range(0, n, 17))
    observations, risk, failed, _ = observed(n, n + int(slope), slope=slope, strange=strange)
    references = fit_references(observations, risk, ~failed, failed)
    check_stored(__file__, f"references of {n} {slope}", references)
    assert References.from_json(references.to_json()).to_json() == references.to_json()


STORIES = (
    "approach+ grasp+ pull+ retreat",
    "approach+ grasp:gripper_slip~ recovery_maneuver+ approach+ grasp+ pull+",
    "approach+ grasp- pull- retreat",
    "approach+ grasp:missed_grasp~ grasp~ grasp+ lift+ slip+ grasp+",
    "grasp~ idle idle recovery_maneuver- grasp- retreat",
    "approach+ grasp+ lift+ transport:dropped- approach+ grasp+ lift+ transport+ place+",
)


@pytest.mark.parametrize("ambiguous", [False, True])
@pytest.mark.parametrize("words", STORIES)
def test_tags_of_a_story_are_those_that_are_stored(words: str, ambiguous: bool) -> None:
    success = np.resize([1.0, 0.0, np.nan], 60)
    table, _, _ = propagated(60, 2, words=words, ambiguous=ambiguous, success=success)
    check_stored(__file__, f"tags of {words} {ambiguous}", plainly(table))


def plainly(table: Any) -> dict[str, Any]:
    held = {name: getattr(table, name) for name in table.__dataclass_fields__}
    words = {name: sorted({*map(str, held[name])}) for name in ("details", "source") if name in held}
    return {**{name: value for name, value in held.items() if isinstance(value, np.ndarray)}, "words": words}


def test_tags_of_many_episodes_whose_segments_vary_are_those_that_are_stored() -> None:
    _, (_, _, observations, risk, references), episodes = propagated(400, 5)
    rng = np.random.default_rng(9)
    told = segments_of([row for name in risk.episode_id for row in story(name, STORIES[int(rng.integers(0, 6))])])
    varied = replace(
        told,
        confidence=rng.uniform(0.3, 1.0, len(told)).astype(told.confidence.dtype),
        energy_wh=rng.lognormal(-4, 1, len(told)).astype(told.energy_wh.dtype),
    )
    args = (varied, primitives_of(varied), observations, risk, references)
    check_stored(__file__, "tags of many", plainly(SemanticTagPropagator().propagate(*args, episodes)))


def test_an_episode_that_occurs_twice_has_no_references() -> None:
    observations, risk, failed, _ = observed(40, 1)
    twice = risk.take(np.r_[np.arange(39), 0])
    with pytest.raises(RecordError, match="twice"):
        fit_references(observations, twice, ~failed, failed)
    with pytest.raises(RecordError, match="39 nominal"):
        fit_references(observations, risk, ~failed[1:], failed)
    with pytest.raises(UsageError, match="at least 2"):
        fit_references(observations, risk, ~failed, failed, folds=1)
    assert len(fit_references(observations, risk, ~failed, failed, folds=2).folds) == 2


@pytest.mark.parametrize("name", ["plain", "few", "one family", "unseen"])
def test_a_risk_model_and_all_it_says_are_those_that_are_stored(name: str) -> None:
    _, risk, failed, _ = observed(300 if name != "few" else 45, 7, slope=2.5)
    rng = np.random.default_rng(0)
    n = len(risk)
    # one family fails by another law, so that its own weights are worth having
    other = risk.family.isin("lifting")
    failed = np.where(other, risk.feature[:, 5] > 3.6, failed)
    feature = risk.feature.copy()
    if name == "unseen":
        feature[rng.random(feature.shape) < 0.2] = np.nan
    family = Text.full(n, "pulling") if name == "one family" else risk.family
    risk = replace(risk, feature=feature, family=family, failed_before=rng.random(n) < 0.1)
    novelty = np.where(rng.random((n, 2)) < 0.1, np.nan, rng.random((n, 2)))
    model = fit_risk(risk, novelty, failed)
    told = None if model is None else {"model": model, "risk": model.risk(risk, novelty)}
    check_stored(__file__, f"risk model {name}", told)


def test_strangeness_of_segments_is_what_is_stored() -> None:
    observations, risk, _, _ = observed(300, 3, strange=frozenset(range(0, 300, 11)))
    rng = np.random.default_rng(1)
    unknown = rng.random(len(observations)) < 0.15
    odd = replace(observations, grip_force=np.where(unknown, np.nan, np.exp(0.1 * rng.standard_normal(len(unknown)))))
    for name, nominal in {
        "most": np.arange(300) % 11 != 0,
        "few": np.arange(300) < 70,
        "none": np.zeros(300, bool),
    }.items():
        test = fit_strangeness(odd, risk, nominal)
        novelty = prefix_novelty(test, odd, risk.episode_id)
        check_stored(__file__, f"strangeness {name}", {"test": test, "novelty": novelty})
        if test is not None:
            fired = np.zeros(300, bool)
            rows = ood_rows(odd, risk, fired, np.full(300, 80), test)
            check_stored(__file__, f"strange rows {name}", plainly(rows))
