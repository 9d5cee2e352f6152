"""The generator's promises: every structure, valid truth, the same bytes alone and in any batch."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from sima2.errors import UsageError
from sima2.records.vocabulary import LABELS, OUTCOMES
from sima2.tasks.design import EpisodePlan, Injection
from sima2.tasks.families import ALL_FAMILIES, FAMILIES
from sima2.tasks.plan import mix_plan, rollouts_plan
from sima2.tasks.synthetic import Generated, generate
from sima2.tasks.world_settings import PhysicsSettings


def every_structure(family: str, attempts: tuple[int, ...] = (1, 2)) -> EpisodePlan:
    """One episode of every template, mode and strategy of a family, with unequal numbers of attempts."""
    kind, parts = ALL_FAMILIES[family], [rollouts_plan(family, template="success", count=6, seed=9)]
    for mode in kind.failure_modes:
        for strategy in kind.recovery_strategies:
            for template in ("failure", "recovery", "mixed"):
                count = 4 if template == "failure" else 2
                parts.append(
                    rollouts_plan(
                        family, template=template, failure_mode=mode, recovery_strategy=strategy, count=count, seed=9
                    )
                )
    parts.append(rollouts_plan(family, template="recovery", count=40, seed=9))
    plan = EpisodePlan.concat(parts)
    index = np.arange(len(plan))
    return dataclasses.replace(
        plan, episode_index=index, family_index=index, episode_id=[f"{family}-{i:06d}" for i in index]
    )


@pytest.fixture(scope="module", params=list(ALL_FAMILIES))
def made(request) -> tuple[EpisodePlan, Generated]:
    plan = every_structure(request.param)
    return plan, generate(plan)


def test_the_task_sensor_agrees_with_what_the_template_asked_for(made) -> None:
    plan, generated = made
    assert generated.truth.episodes.success.tolist() == (~plan.template.isin("failure")).tolist()
    assert generated.outcome.success.tolist() == generated.truth.episodes.success.astype(float).tolist()
    assert set(generated.outcome.source) == {"task_sensor"}


def test_true_segments_have_no_gaps_no_overlaps_and_last_long_enough(made) -> None:
    plan, generated = made
    segments, truth = generated.truth.segments, generated.truth
    start, stop = segments.start_frame, segments.end_frame
    episode = np.array([plan.episode_id.tolist().index(name) for name in segments.episode_id])
    first = np.append(True, episode[1:] != episode[:-1])
    last = np.append(first[1:], True)
    assert (np.diff(episode) >= 0).all()
    assert (start[first] == 0).all()
    assert (stop[last] == np.diff(truth.offset)).all()
    assert (start[1:][~first[1:]] == stop[:-1][~last[:-1]]).all()
    assert ((stop - start) * 0.05 >= 0.1 - 1e-9).all()
    idle = segments.label.isin("idle")
    assert ((stop - start)[idle] * 0.05 >= 0.5).all()
    failing = segments.outcome.isin("failure", "retry")
    assert (segments.failure_reason.isin("") == ~failing).all()
    assert (segments.object.isin("") == segments.label.isin("idle", "retreat", "recovery_maneuver")).all()


def test_frames_repeat_the_segments_they_lie_in(made) -> None:
    _, generated = made
    truth = generated.truth
    length = truth.segments.end_frame - truth.segments.start_frame
    assert (np.repeat(truth.segments.label.recode(LABELS), length) == truth.frames.label).all()
    assert (np.repeat(truth.segments.outcome.recode(OUTCOMES), length) == truth.frames.outcome).all()


def test_a_retry_is_followed_by_another_attempt_and_the_last_one_is_no_retry(made) -> None:
    _, generated = made
    rows = list(generated.truth.segments.rows())
    later: set[tuple[str, str, str]] = set()
    for row in reversed(rows):
        key = (row["episode_id"], row["label"], row["object"])
        assert (row["outcome"] != "retry") or key in later
        if row["outcome"] == "failure" and row["label"] not in ("collision", "slip"):
            assert key not in later
        later.add(key)


def test_a_failed_episode_has_its_event_and_a_successful_one_none(made) -> None:
    plan, generated = made
    truth, event = generated.truth, generated.truth.episodes.event_frame
    assert ((event >= 0) == ~plan.template.isin("success")).all()
    failures = truth.events.take(truth.events.kind.isin("failure"))
    by_id = dict(zip(truth.episodes.episode_id, event.tolist(), strict=True))
    assert {name: by_id[name] for name in failures.episode_id} == dict(
        zip(failures.episode_id, failures.frame.tolist(), strict=True)
    )
    assert len(failures) == (event >= 0).sum()
    risk_ends = np.array([np.isnan(truth.frames.risk[a:b]).sum() for a, b in zip(truth.offset, truth.offset[1:])])
    assert (risk_ends == np.where(event >= 0, np.diff(truth.offset) - event, 0)).all()


def test_corrections_are_marked_exactly_where_something_was_tried(made) -> None:
    plan, generated = made
    truth = generated.truth
    tried = np.array([truth.frames.recovery[a:b].any() for a, b in zip(truth.offset, truth.offset[1:])])
    assert (tried == (plan.attempts > 0)).all()
    maneuver = truth.frames.label == LABELS.index("recovery_maneuver")
    assert truth.frames.recovery[maneuver].all()


def test_channels_are_whole_and_in_range(made) -> None:
    plan, generated = made
    batch = generated.batch
    for name, values in batch.arm.channels().items():
        assert np.isfinite(values).all(), name
    for values in (batch.embedding, batch.action, batch.time):
        assert np.isfinite(values).all()
    assert np.allclose(np.linalg.norm(batch.arm.ee_orientation, axis=1), 1.0, atol=1e-3)
    seen = ~np.isnan(batch.object_position).any(axis=2)
    assert np.allclose(np.linalg.norm(batch.object_orientation[seen], axis=1), 1.0, atol=2e-3)
    assert (np.isnan(batch.object_position).all(axis=2) == ~seen).all()
    confidence = batch.object_confidence
    assert ((confidence >= 0) & (confidence <= 1) | np.isnan(confidence)).all()
    assert (batch.arm.gripper_width >= 0).all()
    assert np.abs(batch.arm.joint_position).max() < 2 * np.pi
    inside = np.ones(batch.frames, bool)
    inside[batch.offset[:-1]] = False
    assert (np.diff(batch.time)[inside[1:]] > 0).all()
    assert (batch.time[batch.offset[:-1]] == 0).all()
    rollout = batch[len(batch) - 1]
    assert rollout.family == plan.family[len(plan) - 1]
    assert rollout.goal is not None
    assert rollout.goal.object in rollout.object_position


def _bytes(generated: Generated) -> dict[str, list[object]]:
    """All there is of each episode."""
    batch, truth = generated.batch, generated.truth
    columns = {
        **batch.arm.channels(),
        "time": batch.time,
        "position": batch.object_position,
        "orientation": batch.object_orientation,
        "confidence": batch.object_confidence,
        "embedding": batch.embedding,
        "action": batch.action,
        **{name: getattr(truth.frames, name) for name in truth.frames.columns()},
    }
    found: dict[str, list[object]] = {}
    tables = [list(table.rows()) for table in (truth.episodes, truth.segments, truth.events)]
    for i, name in enumerate(batch.episodes.episode_id):
        where = slice(batch.offset[i], batch.offset[i + 1])
        found[name] = [np.ascontiguousarray(values[where]).tobytes() for values in columns.values()]
        found[name] += [repr([row for row in rows if row["episode_id"] == name]) for rows in tables]
        found[name] += [repr(list(generated.outcome.take(np.array([i])).rows())), batch.objects[i]]
        found[name] += [batch.episodes.goal[i], batch.episodes.robot[i], dict(batch.episodes.provenance[i])]
    return found


def test_an_episode_is_the_same_alone_and_in_any_batch() -> None:
    plan = EpisodePlan.concat(
        [
            mix_plan("hardening", episodes=4, seed=2),
            mix_plan("stress_mix_v1", episodes=12, seed=3),
        ]
    )
    plan = plan.take(np.unique(plan.episode_id.decode(), return_index=True)[1])
    whole = _bytes(generate(plan))
    order = np.random.default_rng(0).permutation(len(plan))
    for size in (1, 3, 17):
        again: dict[str, list[object]] = {}
        for start in range(0, len(plan), size):
            again |= _bytes(generate(plan.take(order[start : start + size])))
        assert again == whole


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    one, two, other = (_bytes(generate(rollouts_plan("dish_place", count=5, seed=seed))) for seed in (4, 4, 5))
    assert one == two
    assert all(one[name][0] != other[name][0] for name in one)


def test_another_process_with_another_hash_seed_makes_the_same_bytes() -> None:
    program = (
        "import hashlib\n"
        "from sima2.tasks.plan import mix_plan\n"
        "from sima2.tasks.synthetic import generate\n"
        "made = generate(mix_plan('hardening', episodes=2, seed=3))\n"
        "parts = [made.batch.arm.joint_torque, made.batch.object_position, made.truth.frames.risk]\n"
        "print(hashlib.sha256(b''.join(part.tobytes() for part in parts)).hexdigest())\n"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


@pytest.mark.parametrize("rate_hz", [10.0, 50.0, 100.0])
def test_other_control_rates_work(rate_hz) -> None:
    plan = mix_plan("hardening", families=list(FAMILIES), episodes=8, seed=6)
    generated = generate(plan, PhysicsSettings(rate_hz=rate_hz))
    segments = generated.truth.segments
    assert generated.truth.episodes.success.tolist() == (~plan.template.isin("failure")).tolist()
    assert ((segments.end_frame - segments.start_frame) / rate_hz >= 0.1 - 1e-9).all()
    seconds = generated.batch.length / rate_hz
    usual = generate(plan).batch.length / 20.0
    assert np.median(np.abs(seconds / usual - 1)) < 0.1


def test_truth_keeps_the_whole_plan_and_the_rollout_none_of_it() -> None:
    plan = rollouts_plan("sort_objects", template="failure", count=3, seed=8)
    generated = generate(plan)
    spec = json.loads(generated.truth.episodes.spec[0])
    assert spec["failure_mode"] == plan.failure_mode[0]
    episodes = generated.batch.episodes
    told = json.dumps([dict(each) for each in episodes.provenance])
    assert set(episodes.provenance[0]) == {"source", "version", "id"}
    assert not any(word in told for word in ("fail", plan.failure_mode[0], plan.geometry[0]))
    assert len({each["id"] for each in episodes.provenance}) == 3


def test_a_few_clean_successes_are_designated_reference_episodes() -> None:
    plan = mix_plan("hardening", families=["pick_and_place"], episodes=400, seed=1)
    nominal = generate(plan).outcome.nominal
    assert 0.08 < nominal.mean() < 0.17
    assert plan.template[np.flatnonzero(nominal)].isin("success").all()
    assert plan.ood_source[np.flatnonzero(nominal)].isin("").all()
    assert not plan.debug_mode[nominal].any()


def test_a_slip_can_be_forced_at_a_frame_and_is_recovered() -> None:
    for frame in (10, 200):
        generated = generate(rollouts_plan("pick_and_place", count=4, seed=2, inject=Injection("slip", frame=frame)))
        assert generated.truth.episodes.event_frame.tolist() == [frame] * 4
        assert generated.truth.episodes.success.all()
        first = [row for row in generated.truth.segments.rows() if row["episode_id"] == "pick_and_place-000000"]
        story = [(row["label"], row["outcome"]) for row in first if row["label"] in ("grasp", "recovery_maneuver")]
        assert story[:3] == [("grasp", "retry"), ("recovery_maneuver", "success"), ("grasp", "success")]


def test_an_event_cannot_be_forced_before_the_moves_that_lead_to_it() -> None:
    plan = rollouts_plan("dish_place", count=1, seed=0, inject=Injection("unstable_place", frame=3))
    with pytest.raises(UsageError, match="cannot strike at frame 3"):
        generate(plan)


def test_a_drawer_locked_for_good_is_pulled_again_and_again() -> None:
    generated = generate(rollouts_plan("drawer_open", count=3, seed=0, inject=Injection("locked_joint")))
    assert not generated.truth.episodes.success.any()
    for name in generated.batch.episodes.episode_id:
        pulls = [row for row in generated.truth.segments.rows() if row["episode_id"] == name and row["label"] == "pull"]
        assert len(pulls) == 5
        assert {row["failure_reason"] for row in pulls} == {"locked"}


def test_an_alien_object_looks_unlike_anything_nominal() -> None:
    usual = generate(rollouts_plan("wipe_surface", template="success", count=60, seed=0))
    alien = generate(rollouts_plan("wipe_surface", count=10, seed=0, inject=Injection("unknown_object")))
    assert all(names[0] == "unknown_mesh_v9" for names in alien.batch.objects)
    assert alien.truth.frames.ood.all()

    def mean(generated: Generated) -> np.ndarray:
        offset = generated.batch.offset
        return np.stack([generated.batch.embedding[a:b].mean(axis=0) for a, b in itertools.pairwise(offset)])

    nominal = mean(usual)[usual.truth.episodes.ood_source.isin("")]
    centre = nominal.mean(axis=0)

    def distance(rows: np.ndarray) -> np.ndarray:
        return 1 - rows @ centre / np.linalg.norm(rows, axis=1) / np.linalg.norm(centre)

    assert distance(mean(alien)).min() > np.quantile(distance(nominal), 0.95)
    assert np.median(distance(mean(alien))) > 0.7


def test_an_empty_plan_gives_an_empty_batch() -> None:
    generated = generate(rollouts_plan("drawer_open", count=0, seed=0))
    assert len(generated.batch) == len(generated.outcome) == len(generated.truth) == 0
