"""Garbage on purpose."""

from __future__ import annotations

import numpy as np
import pytest

from sima2.errors import RolloutError
from sima2.records.rollout import Rollout
from sima2.tasks.design import MALFORMED
from sima2.tasks.plan import mix_plan
from sima2.tasks.synthetic import generate

UNUSABLE = ("duplicate_time", "backward_time", "nan_time", "infinite_position", "mixed_dimensions")


@pytest.fixture(scope="module")
def made():
    plan = mix_plan("edge_cases_v1", seed=4)
    return plan, generate(plan)


def test_every_malformed_kind_is_handed_over_apart_from_the_batch(made) -> None:
    plan, generated = made
    assert sorted(each.kind for each in generated.malformed) == sorted(MALFORMED)
    assert len(generated.batch) + len(generated.malformed) == len(plan)
    index = [*generated.batch.episodes.episode_index.tolist(), *(each.episode_index for each in generated.malformed)]
    assert sorted(index) == list(range(len(plan)))


def test_malformed_episodes_are_refused_or_odd_but_usable(made) -> None:
    _, generated = made
    for each in generated.malformed:
        if each.kind in UNUSABLE:
            with pytest.raises(RolloutError):
                Rollout(**each.values)
        else:
            rollout = Rollout(**each.values)
            assert len(rollout) == {"empty": 0, "one_frame": 1, "million_steps": 1_000_000}.get(each.kind, len(rollout))


def test_well_formed_garbage_is_in_the_batch_and_known_to_truth_alone(made) -> None:
    plan, generated = made
    place = {name: i for i, name in enumerate(generated.batch.episodes.episode_id)}
    for kind in ("white_noise", "frozen", "nan_bursts"):
        i = place[plan.episode_id[int(np.flatnonzero(plan.garbage.isin(kind))[0])]]
        assert generated.truth.episodes.noise[i]
        assert np.isnan(generated.outcome.success[i])
        assert generated.outcome.source[i] == "none"
        frames = slice(generated.batch.offset[i], generated.batch.offset[i + 1])
        hand = generated.batch.arm.ee_position[frames]
        if kind == "frozen":
            assert (hand == hand[0]).all()
        elif kind == "nan_bursts":
            assert np.isnan(hand).any(axis=1).mean() > 0.5
        else:
            assert hand.std() == pytest.approx(1.0, abs=0.1)
        assert set(generated.truth.frames.label[frames]) == {0}


def test_a_gripper_that_reads_zero_is_odd_but_no_garbage(made) -> None:
    plan, generated = made
    name = plan.episode_id[int(np.flatnonzero(plan.garbage.isin("zero_width_gripper"))[0])]
    i = generated.batch.episodes.episode_id.index(name)
    frames = slice(generated.batch.offset[i], generated.batch.offset[i + 1])
    assert not generated.batch.arm.gripper_width[frames].any()
    assert not generated.truth.episodes.noise[i]
    assert generated.outcome.success[i] == 1.0


def test_half_of_the_noise_of_a_stress_mix_has_the_form_of_a_rollout() -> None:
    plan = mix_plan("stress_mix_v1", episodes=400, seed=1)
    generated = generate(plan)
    assert len(generated.malformed) == 40
    assert generated.truth.episodes.noise.sum() == 40
    assert max(len(each.values["time"]) for each in generated.malformed) < 1000
