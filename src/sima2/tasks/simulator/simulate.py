"""The simulator: a plan in; rollouts, their outcomes and the sealed truth out, like the synthetic generator's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import UsageError
from sima2.records.arrays import Bools
from sima2.records.outcome import Outcome
from sima2.records.rollout import SOLE_ARM, Rollout, RolloutBatch
from sima2.records.table import Text
from sima2.records.truth import Truth, TruthEpisodes, TruthEvents, TruthFrames, TruthSegments
from sima2.records.vocabulary import ANOMALIES, LABELS, OUTCOME_SOURCES, OUTCOMES, REASONS
from sima2.tasks.design import EpisodePlan
from sima2.tasks.draws import episode_generator
from sima2.tasks.families import FAILURE_MODES
from sima2.tasks.made import OOD_DISTANCE, Generated
from sima2.tasks.simulator.annotate import Piece, annotate, labels_of
from sima2.tasks.simulator.physics import World, engine
from sima2.tasks.simulator.recording import COLUMNS, Recording
from sima2.tasks.simulator.scenario import Scenario, draw_scenario
from sima2.tasks.simulator.scripts import play
from sima2.tasks.simulator.sensors import sensed
from sima2.tasks.simulator.settings import SimulatorSettings, check_simulated, drawn
from sima2.tasks.simulator.task_sensor import goal_of, reached
from sima2.tasks.world_settings import POLICIES, SESSIONS

SIMULATOR_VERSION: Final = "2"
"""Changes whenever the same plan would give other bytes on the same release of MuJoCo."""
DEFAULT_SIMULATOR: Final = SimulatorSettings()
_AIMS: Final = 2
"""Times that an episode is played anew until its forced event falls on its frame: the rest before it changes the arm's
posture, and with it the rest of the way, by a frame or two."""
_EVENT_KINDS: Final = ("failure", "impact", "recovery_start", "recovery_end")


@dataclass(slots=True)
class _Episode:
    """One episode that was played."""

    plan: Mapping[str, Any]
    made: Scenario
    rollout: Rollout
    pieces: list[Piece]
    recovery: Bools
    ood: Bools
    """Frames outside the nominal law."""
    outcomes: list[str]
    events: list[tuple[str, str, str, int, float]]
    """Kind, reason, object, frame, impulse in N·s."""
    success: bool
    nominal: float

    @property
    def failed_at(self) -> int:
        """Frame of the first failure event, -1 where none occurred."""
        return next((frame for kind, _, _, frame, _ in self.events if kind == "failure"), -1)


def simulate(plan: EpisodePlan, settings: SimulatorSettings = DEFAULT_SIMULATOR) -> Generated:
    """Rollouts, outcomes and truth of a plan, by physics.

    An episode is the same alone and in any batch. ``risk`` and ``fragility`` of the truth are NaN: physics has no
    closed law of them. A plan that asks for a success gets one as far as physics allows; outcome and truth tell what
    happened.

    Raises:
        MissingExtraError: if MuJoCo is not installed.
        UnknownNameError: for a family that is not simulated.
        UsageError: for a plan with garbage, or where a forced event cannot be had as early as asked.
    """
    engine()
    for family in dict.fromkeys(plan.family):
        check_simulated(family)
    if not plan.garbage.isin("").all():
        raise UsageError("the simulator makes no garbage: use the hardening mix")
    episodes = [_episode(row, settings) for row in plan.rows()]
    batch = RolloutBatch.from_rollouts([each.rollout for each in episodes])
    batch = replace(batch, episodes=replace(batch.episodes, episode_index=plan.episode_index))
    return Generated(batch, _outcome(episodes, batch, settings), _truth(plan, episodes, batch, settings), ())


def _episode(row: Mapping[str, Any], settings: SimulatorSettings) -> _Episode:
    rng, recording, world, pieces = _played(row, settings)
    made = world.scenario
    recovery = np.array([recording.stages[k].recovery for k in recording.stage])
    channels = sensed(recording, world, rng, settings)
    key = f"{row['seed']}/{row['family']}/{row['family_index']}".encode()
    rollout = Rollout(
        episode_id=row["episode_id"],
        family=row["family"],
        robot="arm7_sim",
        policy=POLICIES[int(made.speed > drawn(settings.speed, 0.5))],
        session=SESSIONS[int(rng.integers(len(SESSIONS)))],
        instruction=made.family.instruction,
        goal=goal_of(world),
        debug_mode=bool(row["debug_mode"]),
        provenance={
            "source": "mujoco",
            "version": SIMULATOR_VERSION,
            "id": hashlib.blake2b(key, digest_size=8, person=b"simulated").hexdigest(),
        },
        **channels,
    )
    outcomes = _outcomes(pieces)
    return _Episode(
        plan=row,
        made=made,
        rollout=rollout,
        pieces=pieces,
        recovery=recovery,
        ood=np.array(recording.strange) | made.alien,
        outcomes=outcomes,
        events=_events(pieces, recovery, recording, world),
        success=reached(recording, world),
        nominal=float(rng.random()),
    )


def _played(
    row: Mapping[str, Any], settings: SimulatorSettings
) -> tuple[np.random.Generator, Recording, World, list[Piece]]:
    """The episode as it went; where its event is forced to a frame, the hand rests first, for as long as it takes.

    How long that is, physics tells: the episode is played without the rest first. No pause or detour that nothing
    called for comes before a forced event. Where physics lets none happen, the episode is left as it went.
    """
    forced = row["inject_frame"] if row["failure_mode"] else -1
    if forced >= 0:
        settings = replace(settings, pause=0.0, errand=0.0, outside_push=0.0)
    delay = 0
    for _ in range(1 + _AIMS * (forced >= 0)):
        rng = episode_generator(row["seed"], row["family"], row["family_index"])
        made = draw_scenario(row, rng, settings)
        made.delay = delay
        recording, world = play(made, rng, settings)
        pieces = annotate(recording, world)
        event = _event_frame(pieces, recording)
        if forced < 0 or event in (-1, forced):
            break
        if not delay and event > forced:
            raise UsageError(
                f"the event of {row['episode_id']} cannot strike at frame {forced}: at {made.rate_hz:g} Hz the hand "
                f"is not there before frame {event}"
            )
        delay = max(0, delay + forced - event)
    return rng, recording, world, pieces


def _event_frame(pieces: Sequence[Piece], recording: Recording) -> int:
    """Frame of the first failure, -1 where nothing failed."""
    return next((frame for _, frame in _failures(pieces, recording)), -1)


def _failures(pieces: Sequence[Piece], recording: Recording) -> Iterator[tuple[Piece, int]]:
    """Pieces that failed by themselves, and when: an anomaly at its start, a grip at its fault, others at the end."""
    for k, piece in enumerate(pieces):
        interrupted = k + 1 < len(pieces) and pieces[k + 1].label in ANOMALIES
        if piece.reason and not interrupted:
            faulty = piece.start <= recording.fault < piece.stop
            yield piece, piece.start if piece.label in ANOMALIES else recording.fault if faulty else piece.stop - 1


def _outcomes(pieces: Sequence[Piece]) -> list[str]:
    """Failed where there is a reason; a retry where another attempt at the same action and object follows."""
    result = []
    for k, piece in enumerate(pieces):
        again = any((piece.label, piece.body) == (later.label, later.body) for later in pieces[k + 1 :])
        if not piece.reason:
            result.append("success")
        else:
            result.append("retry" if again and piece.label not in ANOMALIES else "failure")
    return result


def _names(made: Scenario) -> dict[str, str]:
    """Body to object name; the frame of a drawer goes by the drawer's."""
    return made.names | ({"cabinet": made.names["drawer"]} if "drawer" in made.names else {})


def _events(
    pieces: Sequence[Piece], recovery: Bools, recording: Recording, world: World
) -> list[tuple[str, str, str, int, float]]:
    """Failures where they happen, impacts with their impulse, beginnings and ends of corrections."""
    names, dt = _names(world.scenario), world.period
    contact = np.sqrt(np.square(np.stack(recording.rows)[:, COLUMNS["contact"]]).sum(axis=1))
    loads = np.array(recording.loads)
    events = [
        ("failure", piece.reason, names.get(piece.body, ""), at, 0.0) for piece, at in _failures(pieces, recording)
    ]
    for piece in pieces:
        if piece.label == "collision":
            impulse = float(contact[piece.start : piece.stop].sum() * dt)
            events.append(("impact", "collision", names.get(piece.body, ""), piece.start, impulse))
        if piece.label == "slip" and piece.body in world.movable:
            force = loads[piece.start : piece.stop, world.movable.index(piece.body)]
            at = piece.start + int(np.argmax(force))
            events.append(("impact", piece.reason, names[piece.body], at, float(force.max() * dt)))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], recovery, [False]]).astype(np.int8)))
    for place, at in enumerate(edges.tolist()):
        kind = "recovery_start" if place % 2 == 0 else "recovery_end"
        events.append((kind, "", "", min(at, len(recovery) - 1), 0.0))
    return sorted(events, key=lambda each: (each[3], _EVENT_KINDS.index(each[0])))


def _outcome(episodes: Sequence[_Episode], batch: RolloutBatch, settings: SimulatorSettings) -> Outcome:
    """What the task sensor tells."""
    n = len(episodes)
    failed = [each.rollout.time[each.failed_at] if each.failed_at >= 0 else np.nan for each in episodes]
    plain = [
        each.success
        and not each.ood.any()
        and each.failed_at < 0
        and not each.plan["debug_mode"]
        and each.nominal < settings.nominal_share
        for each in episodes
    ]
    return Outcome(
        success=np.array([float(each.success) for each in episodes]),
        failed_at_s=np.array(failed, np.float64),
        damage=np.full(n, np.nan),
        nominal=np.array(plain, np.bool_),
        source=Text(np.full(n, OUTCOME_SOURCES.index("task_sensor")), OUTCOME_SOURCES),
    )


def _truth(plan: EpisodePlan, episodes: Sequence[_Episode], batch: RolloutBatch, settings: SimulatorSettings) -> Truth:
    frames = batch.frames
    unknown = np.full(frames, np.nan, np.float32)
    label = [labels_of(each.pieces, len(each.rollout)) for each in episodes]
    outcome = [
        np.repeat([OUTCOMES.index(name) for name in each.outcomes], [p.stop - p.start for p in each.pieces])
        for each in episodes
    ]
    tries = np.array([sum(p.label == "recovery_maneuver" for p in each.pieces) for each in episodes], np.int32)
    tried = ["" if not n else each.plan["recovery_strategy"] for n, each in zip(tries.tolist(), episodes, strict=True)]
    return Truth(
        frames=TruthFrames(
            risk=unknown,
            fragility=unknown,
            recovery=_joined([each.recovery for each in episodes], np.bool_),
            novelty=_joined([np.hypot(each.made.novelty, OOD_DISTANCE * each.ood) for each in episodes], np.float32),
            ood=_joined([each.ood for each in episodes], np.bool_),
            label=_joined(label, np.int8),
            outcome=_joined(outcome, np.int8),
        ),
        episodes=TruthEpisodes(
            episode_id=plan.episode_id,
            template=plan.template,
            failure_mode=Text.of(_mode(each) for each in episodes),
            recovery_strategy=Text.of(tried),
            recovery_attempts=tries,
            success=np.array([each.success for each in episodes], np.bool_),
            geometry=plan.geometry,
            friction=plan.friction,
            mass=plan.mass,
            initial_risk=np.full(len(episodes), np.nan),
            event_frame=np.array([each.failed_at for each in episodes], np.int64),
            ood_source=Text.of(each.plan["ood_source"] if each.ood.any() else "" for each in episodes),
            debug_mode=plan.debug_mode,
            noise=np.zeros(len(episodes), np.bool_),
            seed=plan.seed,
            spec=Text.of(json.dumps(dict(each.plan), sort_keys=True) for each in episodes),
        ),
        segments=_segments(episodes),
        events=_event_table(episodes, settings),
        offset=batch.offset,
    )


def _joined(parts: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)


def _mode(each: _Episode) -> str:
    """The failure mode that occurred: the planned one, else the family's own of the first reason, else the reason."""
    reason = next((reason for kind, reason, *_ in each.events if kind == "failure"), "")
    if not reason:
        return ""
    own = [mode for mode in each.made.family.failure_modes if FAILURE_MODES[mode].reason == reason]
    return each.plan["failure_mode"] or (own[0] if own else reason)


def _segments(episodes: Sequence[_Episode]) -> TruthSegments:
    rows = [
        (each.plan["episode_id"], piece, outcome, _names(each.made).get(piece.body, ""))
        for each in episodes
        for piece, outcome in zip(each.pieces, each.outcomes, strict=True)
    ]
    return TruthSegments(
        episode_id=Text.of(row[0] for row in rows),
        manipulator=Text.full(len(rows), SOLE_ARM),
        label=Text.of((row[1].label for row in rows), LABELS),
        object=Text.of(row[3] for row in rows),
        start_frame=np.array([row[1].start for row in rows], np.int64),
        end_frame=np.array([row[1].stop for row in rows], np.int64),
        outcome=Text.of((row[2] for row in rows), OUTCOMES),
        failure_reason=Text.of((row[1].reason for row in rows), REASONS),
    )


def _event_table(episodes: Sequence[_Episode], settings: SimulatorSettings) -> TruthEvents:
    rows = [(each.plan["episode_id"], *event) for each in episodes for event in each.events]
    hurt = [settings.values.value_of(row[3]) * row[5] if row[1] == "impact" else 0.0 for row in rows]
    return TruthEvents(
        episode_id=Text.of(row[0] for row in rows),
        kind=Text.of((row[1] for row in rows), _EVENT_KINDS),
        reason=Text.of((row[2] for row in rows), REASONS),
        object=Text.of(row[3] for row in rows),
        frame=np.array([row[4] for row in rows], np.int64),
        impulse=np.array([row[5] for row in rows], np.float64),
        damage=np.array(hurt, np.float64),
    )
