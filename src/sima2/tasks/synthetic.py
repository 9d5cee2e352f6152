"""The synthetic generator: a plan in; rollouts, their outcomes and the sealed truth out.

The order of work: draw each episode's randomness; draw risk and conditions; build the scene; draw the parameters of its
tasks; lay out the moves of its script; render all channels; read the truth off the moves.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.outcome import Outcome
from sima2.records.rollout import SOLE_ARM, Episodes, Goal, Manipulator, RolloutBatch
from sima2.records.table import Text
from sima2.records.truth import Truth, TruthEpisodes
from sima2.records.vocabulary import OUTCOME_SOURCES
from sima2.tasks import scene_embedding
from sima2.tasks.chain import Moves
from sima2.tasks.design import MALFORMED, OOD_SOURCES, SPOILED, EpisodePlan
from sima2.tasks.draws import Draws, episode_generator
from sima2.tasks.families import ALL_FAMILIES, FAILURE_MODES, SCENE_OBJECTS
from sima2.tasks.frames import render
from sima2.tasks.garbage import Malformed, malformed, spoil
from sima2.tasks.layout import lay_out
from sima2.tasks.parameters import FAMILY_NAMES, NORMALS, UNIFORMS, Tasks, draw_parameters
from sima2.tasks.risk import CONDITIONS, draw_conditions, draw_score, fragile_score, loadings, sigmoid
from sima2.tasks.rows import Bodies, Rows
from sima2.tasks.scene import Scene, build_scene
from sima2.tasks.scripts import Structure, program
from sima2.tasks.steps import LEVELS, SCALARS, VECTORS, Program
from sima2.tasks.task_sensor import reached
from sima2.tasks.truth_labels import event_frames, events_of, frames_of, say_nothing, segments_of
from sima2.tasks.world_settings import ARMS, POLICIES, SESSIONS, PhysicsSettings

DEFAULT_PHYSICS: Final = PhysicsSettings()
GENERATOR_VERSION: Final = "1"
"""Changes whenever the same plan would give other bytes."""
_STAGES: Final = 3
_SCENE_UNIFORMS: Final = 64
_SCENE_NORMALS: Final = 48
_MOVE_NORMALS: Final = 160
"""Draws an episode has for its scene (the last uniform one for knocks by chance) and for the durations of its moves."""


@dataclass(frozen=True, slots=True)
class Generated:
    """What a plan became."""

    batch: RolloutBatch
    outcome: Outcome
    truth: Truth
    malformed: tuple[Malformed, ...]
    """Episodes that are no rollouts; they are in neither batch, outcome nor truth."""


@dataclass(slots=True)
class _World:
    """All that was decided before a frame is rendered."""

    plan: EpisodePlan
    generators: list[np.random.Generator]
    scene: Scene
    tasks: Tasks
    scalars: Float64s
    vectors: Float64s
    moves: Moves
    rows: Rows
    bodies: Bodies
    policy: Int64s
    session: Int64s
    score: Float64s
    fragile: Float64s
    conditions: Float64s
    nominal: Float64s
    """Uniform draw that designates reference episodes."""


def generate(plan: EpisodePlan, settings: PhysicsSettings = DEFAULT_PHYSICS) -> Generated:
    """Rollouts, outcomes and truth of a plan.

    An episode is the same alone and in any batch.

    Raises:
        UsageError: if a forced event cannot be had as early as asked.

    >>> from sima2.tasks.plan import rollouts_plan
    >>> made = generate(rollouts_plan("drawer_open", template="success", count=2, seed=0))
    >>> made.outcome.success.tolist(), made.batch.episodes.family
    ([1.0, 1.0], ('drawer_open', 'drawer_open'))
    """
    bad = plan.garbage.isin(*MALFORMED)
    broken = tuple(_malformed(row) for row in plan.take(bad).rows())
    plan = plan.take(~bad)
    world = _decide(plan, settings)
    channels = render(
        world.moves, world.rows, world.scene, world.scalars, world.vectors, world.bodies, world.generators, settings
    )
    success = reached(world.moves, world.rows, world.scene, world.tasks, world.scalars)
    truth = _truth(world, success, settings)
    spoiled = spoil(channels, plan.garbage, world.rows.offset, world.generators)
    batch = RolloutBatch(
        episodes=_episodes(world),
        offset=world.rows.offset,
        time=channels.time,
        manipulators={
            SOLE_ARM: Manipulator(
                joint_position=channels.joint_position,
                joint_velocity=channels.joint_velocity,
                joint_torque=channels.joint_torque,
                ee_position=channels.ee_position,
                ee_orientation=channels.ee_orientation,
                gripper_width=channels.gripper_width,
                grip_force=channels.grip_force,
                contact_force=channels.contact_force,
            )
        },
        objects=world.scene.names,
        object_position=channels.object_position,
        object_orientation=channels.object_orientation,
        object_confidence=channels.object_confidence,
        embedding=channels.embedding,
        action=channels.action,
    )
    return Generated(batch, _outcome(world, success, spoiled, batch.time, settings), truth, broken)


def _malformed(row: dict[str, Any]) -> Malformed:
    rng = episode_generator(row["seed"], row["family"], row["family_index"])
    return malformed(row["garbage"], row["episode_index"], row["episode_id"], row["family"], rng)


def _decide(plan: EpisodePlan, settings: PhysicsSettings) -> _World:
    """Everything but the frames."""
    n = len(plan)
    generators = [
        episode_generator(seed, family, index)
        for seed, family, index in zip(plan.seed.tolist(), plan.family, plan.family_index.tolist(), strict=True)
    ]
    uniform = np.empty((n, _SCENE_UNIFORMS + _STAGES * UNIFORMS))
    normal = np.empty((n, _SCENE_NORMALS + _STAGES * NORMALS + _MOVE_NORMALS))
    for i, generator in enumerate(generators):
        generator.random(out=uniform[i])
        generator.standard_normal(out=normal[i])
    own = Draws(uniform[:, : _SCENE_UNIFORMS - 1], normal[:, :_SCENE_NORMALS])
    score, fragile, conditions = _risk(plan, own, settings)
    robot, policy, session = own.integers(len(ARMS)), own.integers(len(POLICIES)), own.integers(len(SESSIONS))
    scene = build_scene(plan, own, conditions)
    tasks, first_task = _tasks(plan, scene, robot, policy, own)
    stage_u = uniform[:, _SCENE_UNIFORMS:].reshape(n, _STAGES, UNIFORMS)
    stage_z = normal[:, _SCENE_NORMALS:-_MOVE_NORMALS].reshape(n, _STAGES, NORMALS)
    draws = Draws(stage_u[tasks.episode, tasks.stage], stage_z[tasks.episode, tasks.stage])
    scalars, vectors = draw_parameters(scene, tasks, conditions, draws, settings)
    tasks = _fit_goals(tasks, vectors)
    start = _start(plan, scene, scalars, first_task)
    programs = _programs(plan)
    moves = lay_out(
        programs, scene, scalars, vectors, tasks.roles, first_task,
        event=~plan.failure_mode.isin(""),
        strike_u=own.uniform(0.0, 1.0),
        jitter=normal[:, -_MOVE_NORMALS:],
        ood=plan.ood_source.recode(("", *OOD_SOURCES)).astype(np.int64),
        ood_u=own.uniforms(2),
        inject_frame=plan.inject_frame,
        start_level=start,
        knock_u=uniform[:, _SCENE_UNIFORMS - 1],
        settings=settings,
    )  # fmt: skip
    say_nothing(moves, plan.garbage.isin(*SPOILED))
    bodies = _bodies(plan, scene, own, robot, session, settings)
    return _World(
        plan, generators, scene, tasks, scalars, vectors, moves, Rows.of(moves), bodies, policy, session,
        score, fragile, conditions, own.uniform(0.0, 1.0),
    )  # fmt: skip


def _risk(plan: EpisodePlan, own: Draws, settings: PhysicsSettings) -> tuple[Float64s, Float64s, Float64s]:
    """Score of the initial risk, the same with less friction and grip, and the conditions."""
    names = (*FAILURE_MODES, "")
    b = loadings(settings.risk_sigma)[plan.hazard.recode(names)]
    event = ~plan.failure_mode.isin("")
    score, intercept = draw_score(plan.event_share, event, own.uniform(0.0, 1.0), sigma=settings.risk_sigma)
    conditions = draw_conditions(score, intercept, b, own.normals(len(CONDITIONS)))
    return score, fragile_score(score, b), conditions


def _tasks(plan: EpisodePlan, scene: Scene, robot: Int64s, policy: Int64s, own: Draws) -> tuple[Tasks, Int64s]:
    """One task an episode, three where it is mixed: another family's, its own, the other's again."""
    mixed = plan.template.isin("mixed")
    count = np.where(mixed, _STAGES, 1)
    episode = np.repeat(np.arange(len(plan)), count)
    first = np.cumsum(count) - count
    stage = np.arange(len(episode)) - first[episode]
    main = ~mixed[episode] | (stage == 1)
    home = plan.family.recode(FAMILY_NAMES)[episode]
    other = plan.other.recode(FAMILY_NAMES)[episode]
    family = np.where(main, home, other).astype(np.int64)
    tolerance = np.array([ALL_FAMILIES[name].tolerance for name in FAMILY_NAMES])[family]
    narrow = np.array([ALL_FAMILIES[name].relation in ("placed_on", "placed_in") for name in FAMILY_NAMES])[family]
    tolerance = tolerance * np.where(main & narrow, plan.tolerance[episode], 1.0)
    pace = np.array([1.0, 1.12])[policy] * np.exp(0.08 * own.normal())
    tasks = Tasks(
        episode=episode,
        stage=stage,
        family=family,
        main=main,
        roles=scene.roles[episode, np.where(main, 0, 1)],
        tolerance=tolerance,
        fast=pace[episode],
        hesitant=np.array([0.8, 1.2])[policy][episode],
        stroke=np.array([model.stroke_m for model in ARMS])[robot][episode],
    )
    return tasks, first


def _fit_goals(tasks: Tasks, vectors: Float64s) -> Tasks:
    """A drawer is to be opened by nine tenths of the way the policy pulls it."""
    pull = vectors[:, VECTORS.index("pull")]
    enough = np.round(0.9 * np.sqrt(np.square(pull).sum(axis=1)), 3)
    return replace(tasks, tolerance=np.where(tasks.is_a("drawer"), enough, tasks.tolerance))


def _start(plan: EpisodePlan, scene: Scene, scalars: Float64s, first_task: Int64s) -> Float64s:
    """Angles, width and force at the start, shape (n, levels); a tool change begins with a tool in the hand."""
    level = np.zeros((len(plan), len(LEVELS)))
    own = scalars[first_task]
    holding = plan.family.isin("tool_change") & ~plan.template.isin("mixed")
    for name, free, held in (
        ("pitch", "rest_pitch", "pitch"),
        ("roll", "rest_roll", "roll"),
        ("width", "wide", "squeezed"),
        ("grip", "zero", "hold"),
    ):
        place = LEVELS.index(name)
        level[:, place] = np.where(holding, own[:, SCALARS.index(held)], own[:, SCALARS.index(free)])
    rows = np.flatnonzero(holding)
    scene.position[rows, scene.roles[rows, 0, 2]] = scene.home[rows]
    return level


def _programs(plan: EpisodePlan) -> list[Program]:
    columns = (plan.family, plan.template, plan.hazard, plan.recovery_strategy, plan.attempts.tolist(), plan.other)
    return [
        program(Structure(family, template, mode, strategy, attempts, other if template == "mixed" else ""))
        for family, template, mode, strategy, attempts, other in zip(*columns, strict=True)
    ]


def _bodies(
    plan: EpisodePlan, scene: Scene, own: Draws, robot: Int64s, session: Int64s, settings: PhysicsSettings
) -> Bodies:
    n = len(plan)
    light = own.normal() + np.array([-0.4, 0.0, 0.4])[session]
    base = scene_embedding.base_of(
        [(names[0], names[1]) for names in scene.names],
        light,
        plan.ood_source.isin("visual"),
        np.where(plan.inject.isin("unknown_object"), 0.5 + 0.5 * own.uniform(0.0, 1.0), own.uniform(0.0, 1.0)),
        own.normals(scene_embedding.WIDTH),
    )
    lost = own.uniform(0.0, 1.0) < settings.dropouts
    slot = np.where(lost, own.integers(SCENE_OBJECTS - 1), -1)
    return Bodies(
        robot=robot,
        noise=np.array([1.0, 1.6, 1.0])[session],
        lag=np.array([0, 0, 1])[session],
        base=base,
        torque_factor=own.uniform(1.3, 2.2),
        burst=np.stack([slot, own.uniform(0.0, 1.0), own.uniform(0.1, 0.6)], axis=1).reshape(n, 3),
    )


def _truth(world: _World, success: Bools, settings: PhysicsSettings) -> Truth:
    plan, moves, rows = world.plan, world.moves, world.rows
    segments, segment = segments_of(plan, moves, rows, world.scene)
    frames = frames_of(plan, moves, rows, segments, segment, world.score, world.fragile, world.conditions)
    episodes = TruthEpisodes(
        episode_id=plan.episode_id,
        template=plan.template,
        failure_mode=plan.failure_mode,
        recovery_strategy=plan.recovery_strategy,
        recovery_attempts=plan.attempts,
        success=success,
        geometry=plan.geometry,
        friction=plan.friction,
        mass=plan.mass,
        initial_risk=sigmoid(world.score),
        event_frame=event_frames(moves, rows),
        ood_source=plan.ood_source,
        debug_mode=plan.debug_mode,
        noise=plan.garbage.isin(*SPOILED),
        seed=plan.seed,
        spec=Text.of(json.dumps(row, sort_keys=True) for row in plan.rows()),
    )
    events = events_of(plan, moves, rows, world.scene, world.scalars, settings)
    return Truth(frames, episodes, segments, events, rows.offset)


def _episodes(world: _World) -> Episodes:
    plan = world.plan
    families = tuple(plan.family)
    main = np.flatnonzero(world.tasks.main)
    goals = []
    for family, names, roles, tolerance in zip(
        families, world.scene.names, world.tasks.roles[main].tolist(), world.tasks.tolerance[main].tolist(), strict=True
    ):
        kind = ALL_FAMILIES[family]
        moved = names[roles[1 if kind.relation == "opened" else 0]]
        target = "" if kind.relation in ("opened", "visible", "held") else names[roles[1]]
        goals.append(Goal(moved, target, kind.relation, round(tolerance, 6)))
    return Episodes(
        episode_id=tuple(plan.episode_id),
        episode_index=plan.episode_index,
        family=families,
        robot=tuple(ARMS[i].name for i in world.bodies.robot.tolist()),
        policy=tuple(POLICIES[i] for i in world.policy.tolist()),
        session=tuple(SESSIONS[i] for i in world.session.tolist()),
        instruction=tuple(ALL_FAMILIES[family].instruction for family in families),
        goal=tuple(goals),
        debug_mode=plan.debug_mode,
        provenance=tuple(
            {"source": "synthetic", "version": GENERATOR_VERSION, "id": _opaque(*each)}
            for each in zip(families, plan.family_index.tolist(), strict=True)
        ),
    )  # fmt: skip


def _opaque(family: str, index: int) -> str:
    """Says which episode it is, and nothing of the seed: that could be found by trying."""
    return hashlib.blake2b(f"{family}/{index}".encode(), digest_size=8, person=b"rollout").hexdigest()


def _outcome(world: _World, success: Bools, spoiled: Bools, time: Float64s, settings: PhysicsSettings) -> Outcome:
    """What the task sensor tells; of garbage nothing."""
    plan, rows = world.plan, world.rows
    frame = event_frames(world.moves, rows)
    failed = np.where(frame >= 0, time[rows.offset[:-1] + np.maximum(frame, 0)] if len(plan) else 0.0, np.nan)
    nominal = plan.template.isin("success") & plan.ood_source.isin("") & ~plan.debug_mode & plan.garbage.isin("")
    source = np.where(spoiled, OUTCOME_SOURCES.index("none"), OUTCOME_SOURCES.index("task_sensor"))
    return Outcome(
        success=np.where(spoiled, np.nan, success.astype(np.float64)),
        failed_at_s=np.where(spoiled, np.nan, failed),
        damage=np.full(len(plan), np.nan),
        nominal=nominal & (world.nominal < settings.nominal_share),
        source=Text(source, OUTCOME_SOURCES),
    )
