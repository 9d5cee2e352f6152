"""The synthetic generator: a plan in; rollouts, their outcomes and the sealed truth out.

The order of work: draw each episode's randomness; draw risk and conditions; build the scene; draw the parameters of its
tasks; lay out the moves of its script; render all channels; read the truth off the moves.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.rollout import SOLE_ARM, Episodes, Manipulator, RolloutBatch
from sima2.records.truth import Truth
from sima2.tasks import scene_embedding
from sima2.tasks.chain import chain
from sima2.tasks.columns import ARM_SHAPES
from sima2.tasks.design import MALFORMED, SPOILED, EpisodePlan
from sima2.tasks.draws import Draws, episode_generator
from sima2.tasks.failure_modes import FAILURE_MODES
from sima2.tasks.families import ALL_FAMILIES, SCENE_OBJECTS
from sima2.tasks.frames import render
from sima2.tasks.garbage import malformed, spoil
from sima2.tasks.layout import lay_out
from sima2.tasks.made import Generated, goal_of, outcome_of, provenance, truth_of_episodes
from sima2.tasks.parameters import NORMALS, STAGES, UNIFORMS, Tasks, draw_parameters
from sima2.tasks.risk import CONDITIONS, draw_conditions, draw_score, fragile_score, loadings, sigmoid
from sima2.tasks.scene import Scene
from sima2.tasks.steps import LEVELS, SCALARS, VECTORS
from sima2.tasks.task_sensor import reached
from sima2.tasks.truth_labels import event_frames, events_of, frames_of, say_nothing, segments_of
from sima2.tasks.world import Rows, World
from sima2.tasks.world_settings import ARMS, POLICIES, SESSIONS, PhysicsSettings

DEFAULT_PHYSICS: Final = PhysicsSettings()
GENERATOR_VERSION: Final = "1"
"""Changes whenever the same plan would give other bytes."""
_SCENE_UNIFORMS: Final = 64
_SCENE_NORMALS: Final = 48
_MOVE_NORMALS: Final = 160
"""Draws an episode has for its scene (the last uniform one for knocks by chance) and for the durations of its moves."""
_START_LEVELS: Final = (
    ("pitch", "rest_pitch", "pitch"),
    ("roll", "rest_roll", "roll"),
    ("width", "wide", "squeezed"),
    ("grip", "zero", "hold"),
)
"""Level to its scalar at the start with an empty hand, and with something in it."""


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
    broken = tuple(malformed(row, episode_generator(row)) for row in plan.take(bad).rows())
    plan = plan.take(~bad)
    world = _decide(plan, settings)
    time, channels = render(world)
    success, frame = reached(world), event_frames(world)
    spoil(channels, plan.garbage, world.rows.offset, world.generators)
    batch = RolloutBatch(
        episodes=_episodes(world),
        offset=world.rows.offset,
        time=time,
        manipulators={SOLE_ARM: Manipulator(**{name: channels[name] for name in ARM_SHAPES})},
        objects=world.scene.names,
        object_position=channels["object_position"],
        object_orientation=channels["object_orientation"],
        object_confidence=channels["object_confidence"],
        embedding=channels["embedding"],
        action=channels["action"],
    )
    failed = np.where(frame >= 0, time[world.rows.offset[:-1] + np.maximum(frame, 0)] if len(plan) else 0.0, np.nan)
    nominal = plan.template.isin("success") & plan.ood_source.isin("") & ~plan.debug_mode & plan.garbage.isin("")
    outcome = outcome_of(plan, success, failed, nominal & (world.nominal < settings.nominal_share))
    return Generated(batch, outcome, _truth(world, success, frame), broken)


def _decide(plan: EpisodePlan, settings: PhysicsSettings) -> World:
    """Everything but the frames."""
    n = len(plan)
    generators = [episode_generator(row) for row in plan.rows()]
    uniform = np.empty((n, _SCENE_UNIFORMS + STAGES * UNIFORMS))
    normal = np.empty((n, _SCENE_NORMALS + STAGES * NORMALS + _MOVE_NORMALS))
    for i, generator in enumerate(generators):
        generator.random(out=uniform[i])
        generator.standard_normal(out=normal[i])
    own = Draws(uniform[:, : _SCENE_UNIFORMS - 1], normal[:, :_SCENE_NORMALS])
    score, fragile, conditions = _risk(plan, own, settings)
    robot, policy, session = own.integers(len(ARMS)), own.integers(len(POLICIES)), own.integers(len(SESSIONS))
    scene = Scene(plan, own, conditions)
    tasks = Tasks(plan, scene, robot, policy, own)
    stage_u = uniform[:, _SCENE_UNIFORMS:].reshape(n, STAGES, UNIFORMS)
    stage_z = normal[:, _SCENE_NORMALS:-_MOVE_NORMALS].reshape(n, STAGES, NORMALS)
    draws = Draws(stage_u[tasks.episode, tasks.stage], stage_z[tasks.episode, tasks.stage])
    scalars, vectors = draw_parameters(scene, tasks, conditions, draws, settings)
    _fit_goals(tasks, vectors)
    world = World(
        plan, settings, generators, score, fragile, conditions, robot, policy, session, scene, tasks, scalars, vectors
    )
    start = _start(world)
    jitter, knock = normal[:, -_MOVE_NORMALS:], uniform[:, _SCENE_UNIFORMS - 1]
    world.moves = lay_out(world, own, jitter, knock)
    chain(world, start)
    say_nothing(world.moves, plan.garbage.isin(*SPOILED))
    world.rows = Rows(world.moves)
    _look(world, own)
    world.nominal = own.uniform(0.0, 1.0)
    return world


def _risk(plan: EpisodePlan, own: Draws, settings: PhysicsSettings) -> tuple[Float64s, Float64s, Float64s]:
    """Score of the initial risk, the same with less friction and grip, and the conditions."""
    b = loadings(settings.risk_sigma)[plan.hazard.recode((*FAILURE_MODES, ""))]
    event = ~plan.failure_mode.isin("")
    score, intercept = draw_score(plan.event_share, event, own.uniform(0.0, 1.0), sigma=settings.risk_sigma)
    conditions = draw_conditions(score, intercept, b, own.normals(len(CONDITIONS)))
    return score, fragile_score(score, b), conditions


def _fit_goals(tasks: Tasks, vectors: Float64s) -> None:
    """A drawer is to be opened by nine tenths of the way the policy pulls it."""
    pull = vectors[:, VECTORS.index("pull")]
    enough = np.round(0.9 * np.sqrt(np.square(pull).sum(axis=1)), 3)
    tasks.tolerance = np.where(tasks.is_a("drawer"), enough, tasks.tolerance)


def _start(world: World) -> Float64s:
    """Angles, width and force at the start, shape (n, levels); a tool change begins with a tool in the hand."""
    plan, scene, first = world.plan, world.scene, world.tasks.first
    own = world.scalars[first]
    level = np.zeros((len(plan), len(LEVELS)))
    holding = world.tasks.is_a("exchange")[first] & ~plan.template.isin("mixed")
    for name, free, held in _START_LEVELS:
        level[:, LEVELS.index(name)] = np.where(holding, own[:, SCALARS.index(held)], own[:, SCALARS.index(free)])
    rows = np.flatnonzero(holding)
    scene.position[rows, scene.roles[rows, 0, 2]] = scene.home[rows]
    return level


def _look(world: World, own: Draws) -> None:
    """What the camera makes of the scenes, when it loses an object, and how strong an unusual motion is."""
    plan = world.plan
    light = own.normal() + np.array([-0.4, 0.0, 0.4])[world.session]
    world.base = scene_embedding.base_of(
        [(names[0], names[1]) for names in world.scene.names],
        light,
        plan.ood_source.isin("visual"),
        np.where(plan.inject.isin("unknown_object"), 0.5 + 0.5 * own.uniform(0.0, 1.0), own.uniform(0.0, 1.0)),
        own.normals(scene_embedding.WIDTH),
    )
    lost = own.uniform(0.0, 1.0) < world.settings.dropouts
    slot = np.where(lost, own.integers(SCENE_OBJECTS - 1), -1)
    world.torque_factor = own.uniform(1.3, 2.2)
    world.burst = np.stack([slot, own.uniform(0.0, 1.0), own.uniform(0.1, 0.6)], axis=1)


def _truth(world: World, success: Bools, event_frame: Int64s) -> Truth:
    segments, segment = segments_of(world)
    episodes = truth_of_episodes(
        world.plan,
        success=success,
        initial_risk=sigmoid(world.score),
        event_frame=event_frame,
    )
    return Truth(frames_of(world, segments, segment), episodes, segments, events_of(world), world.rows.offset)


def _episodes(world: World) -> Episodes:
    plan, main = world.plan, np.flatnonzero(world.tasks.main)
    families = [ALL_FAMILIES[name] for name in plan.family]
    asked = zip(
        families, world.scene.names, world.tasks.roles[main].tolist(), world.tasks.tolerance[main].tolist(), strict=True
    )
    return Episodes(
        episode_id=tuple(plan.episode_id),
        episode_index=plan.episode_index,
        family=tuple(plan.family),
        robot=tuple(ARMS[i].name for i in world.robot.tolist()),
        policy=tuple(POLICIES[i] for i in world.policy.tolist()),
        session=tuple(SESSIONS[i] for i in world.session.tolist()),
        instruction=tuple(family.instruction for family in families),
        goal=tuple(
            goal_of(family, names[roles[0]], names[roles[1]], tolerance) for family, names, roles, tolerance in asked
        ),
        debug_mode=plan.debug_mode,
        # no seed in the key: it could be found by trying
        provenance=tuple(
            provenance("synthetic", GENERATOR_VERSION, f"{family}/{index}", b"rollout")
            for family, index in zip(plan.family, plan.family_index.tolist(), strict=True)
        ),
    )
