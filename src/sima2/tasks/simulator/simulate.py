"""The simulator: a plan in; rollouts, their outcomes and the sealed truth out, like the synthetic generator's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import UsageError
from sima2.records.arrays import Bools
from sima2.records.rollout import SOLE_ARM, Rollout, RolloutBatch
from sima2.records.table import Text
from sima2.records.truth import Truth, TruthEvents, TruthFrames, TruthSegments
from sima2.records.vocabulary import ANOMALIES, LABELS, OUTCOMES, REASONS
from sima2.tasks.design import EpisodePlan
from sima2.tasks.draws import episode_generator
from sima2.tasks.failure_modes import FAILURE_MODES
from sima2.tasks.made import EVENT_KINDS, OOD_DISTANCE, Generated, outcome_of, provenance, truth_of_episodes
from sima2.tasks.simulator.annotate import Piece, annotate
from sima2.tasks.simulator.physics import engine
from sima2.tasks.simulator.recording import Played
from sima2.tasks.simulator.scenario import Scenario
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


@dataclass(slots=True)
class _Event:
    """A point event."""

    kind: str
    reason: str
    object: str
    frame: int
    impulse: float = 0.0
    """N·s."""


class _Episode:
    """One episode that was played."""

    def __init__(self, row: Mapping[str, Any], settings: SimulatorSettings) -> None:
        rng, played, self.pieces = _played(row, settings)
        self.made = made = played.made
        channels = sensed(played, rng, settings)
        key = f"{row['seed']}/{row['family']}/{row['family_index']}"
        self.rollout = Rollout(
            episode_id=row["episode_id"],
            family=row["family"],
            robot="arm7_sim",
            policy=POLICIES[int(made.speed > drawn(settings.speed, 0.5))],
            session=SESSIONS[int(rng.integers(len(SESSIONS)))],
            instruction=made.family.instruction,
            goal=goal_of(made),
            debug_mode=bool(row["debug_mode"]),
            provenance=provenance("mujoco", SIMULATOR_VERSION, key, b"simulated"),
            **channels,
        )
        self.recovery = played.recovery
        """Frames in which a correction is under way."""
        self.ood: Bools = played.strange | made.alien
        """Frames outside the nominal law."""
        self.events = _events(self.pieces, played)
        self.success = reached(played)
        self.plain = not (self.ood.any() or self.failure) and float(rng.random()) < settings.nominal_share
        """Whether it may be designated as reference."""

    @property
    def failure(self) -> _Event | None:
        """The first failure event."""
        return next((each for each in self.events if each.kind == "failure"), None)

    @property
    def tries(self) -> int:
        """Attempts to put it right."""
        return sum(piece.label == "recovery_maneuver" for piece in self.pieces)

    @property
    def mode(self) -> str:
        """The failure mode that occurred: the planned one, else the family's first of that reason, else the reason."""
        if self.failure is None:
            return ""
        reason, modes = self.failure.reason, self.made.family.failure_modes
        return self.made.plan["failure_mode"] or next((m for m in modes if FAILURE_MODES[m].reason == reason), reason)


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
    episodes = [_Episode(row, settings) for row in plan.rows()]
    batch = RolloutBatch.from_rollouts([each.rollout for each in episodes])
    batch = replace(batch, episodes=replace(batch.episodes, episode_index=plan.episode_index))
    success = np.array([each.success for each in episodes], np.bool_)
    failed = [each.rollout.time[each.failure.frame] if each.failure else np.nan for each in episodes]
    nominal = success & ~plan.debug_mode & np.array([each.plain for each in episodes], np.bool_)
    outcome = outcome_of(plan, success, np.array(failed, np.float64), nominal)
    return Generated(batch, outcome, _truth(plan, episodes, success, batch, settings), ())


def _played(row: Mapping[str, Any], settings: SimulatorSettings) -> tuple[np.random.Generator, Played, list[Piece]]:
    """The episode as it went; where its event is forced to a frame, the hand rests first, for as long as it takes.

    How long that is, physics tells: the episode is played without the rest first. No pause or detour that nothing
    called for comes before a forced event. Where physics lets none happen, the episode is left as it went.
    """
    forced = row["inject_frame"] if row["failure_mode"] else -1
    if forced >= 0:
        settings = replace(settings, pause=0.0, errand=0.0, outside_push=0.0)
    delay = 0
    for _ in range(1 + _AIMS * (forced >= 0)):
        rng = episode_generator(row)
        made = Scenario(row, rng, settings)
        made.delay = delay
        played = play(made, rng, settings)
        pieces = annotate(played)
        event = next((frame for _, frame in _failures(pieces, played)), -1)
        if forced < 0 or event in (-1, forced):
            break
        if not delay and event > forced:
            raise UsageError(
                f"the event of {row['episode_id']} cannot strike at frame {forced}: at {made.rate_hz:g} Hz the hand "
                f"is not there before frame {event}"
            )
        delay = max(0, delay + forced - event)
    return rng, played, pieces


def _failures(pieces: Sequence[Piece], played: Played) -> Iterator[tuple[Piece, int]]:
    """Pieces that failed by themselves, and when: an anomaly at its start, a grip at its fault, others at the end."""
    for k, piece in enumerate(pieces):
        interrupted = k + 1 < len(pieces) and pieces[k + 1].label in ANOMALIES
        if piece.reason and not interrupted:
            faulty = piece.start <= played.fault < piece.stop
            yield piece, piece.start if piece.label in ANOMALIES else played.fault if faulty else piece.stop - 1


def _outcomes(pieces: Sequence[Piece]) -> Iterator[str]:
    """Failed where there is a reason; a retry where another attempt at the same action and object follows."""
    for k, piece in enumerate(pieces):
        again = any((piece.label, piece.body) == (later.label, later.body) for later in pieces[k + 1 :])
        tried = "retry" if again and piece.label not in ANOMALIES else "failure"
        yield tried if piece.reason else "success"


def _name(made: Scenario, body: str) -> str:
    """Name of an object by its body, empty for none; the frame of a drawer goes by the drawer's."""
    return made.names.get("drawer" if body == "cabinet" else body, "")


def _events(pieces: Sequence[Piece], played: Played) -> list[_Event]:
    """Failures where they happen, impacts with their impulse, beginnings and ends of corrections."""
    made, world, dt = played.made, played.world, played.world.period
    events = [_Event("failure", piece.reason, _name(made, piece.body), at) for piece, at in _failures(pieces, played)]
    for piece in pieces:
        own, about = slice(piece.start, piece.stop), _name(made, piece.body)
        if piece.label == "collision":
            impulse = float(played.contact[own].sum() * dt)
            events.append(_Event("impact", "collision", about, piece.start, impulse))
        if piece.label == "slip" and piece.body in world.movable:
            force = played.loads[own, world.movable.index(piece.body)]
            at = piece.start + int(np.argmax(force))
            events.append(_Event("impact", piece.reason, about, at, float(force.max() * dt)))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], played.recovery, [False]]).astype(np.int8)))
    for place, at in enumerate(np.minimum(edges, len(played.recovery) - 1).tolist()):
        events.append(_Event("recovery_end" if place % 2 else "recovery_start", "", "", at))
    return sorted(events, key=lambda each: (each.frame, EVENT_KINDS.index(each.kind)))


def _truth(
    plan: EpisodePlan, episodes: Sequence[_Episode], success: Bools, batch: RolloutBatch, settings: SimulatorSettings
) -> Truth:
    unknown = np.full(batch.frames, np.nan, np.float32)
    pieces = [piece for each in episodes for piece in each.pieces]
    segments = _segments(episodes, pieces)
    length = np.array([piece.stop - piece.start for piece in pieces], np.int64)
    return Truth(
        frames=TruthFrames(
            risk=unknown,
            fragility=unknown,
            recovery=_joined([each.recovery for each in episodes], np.bool_),
            novelty=_joined([np.hypot(each.made.novelty, OOD_DISTANCE * each.ood) for each in episodes], np.float32),
            ood=_joined([each.ood for each in episodes], np.bool_),
            label=np.repeat(segments.label.codes, length).astype(np.int8),
            outcome=np.repeat(segments.outcome.codes, length).astype(np.int8),
        ),
        episodes=truth_of_episodes(
            plan,
            failure_mode=Text.of(each.mode for each in episodes),
            recovery_strategy=Text.of(each.made.plan["recovery_strategy"] if each.tries else "" for each in episodes),
            recovery_attempts=np.array([each.tries for each in episodes], np.int32),
            success=success,
            initial_risk=np.full(len(episodes), np.nan),
            event_frame=np.array([each.failure.frame if each.failure else -1 for each in episodes], np.int64),
            ood_source=Text.of(each.made.plan["ood_source"] if each.ood.any() else "" for each in episodes),
        ),
        segments=segments,
        events=_event_table(episodes, settings),
        offset=batch.offset,
    )


def _joined(parts: Sequence[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)


def _segments(episodes: Sequence[_Episode], pieces: Sequence[Piece]) -> TruthSegments:
    return TruthSegments(
        episode_id=Text.of(each.rollout.episode_id for each in episodes for _ in each.pieces),
        manipulator=Text.full(len(pieces), SOLE_ARM),
        label=Text.of((piece.label for piece in pieces), LABELS),
        object=Text.of(_name(each.made, piece.body) for each in episodes for piece in each.pieces),
        start_frame=np.array([piece.start for piece in pieces], np.int64),
        end_frame=np.array([piece.stop for piece in pieces], np.int64),
        outcome=Text.of((outcome for each in episodes for outcome in _outcomes(each.pieces)), OUTCOMES),
        failure_reason=Text.of((piece.reason for piece in pieces), REASONS),
    )


def _event_table(episodes: Sequence[_Episode], settings: SimulatorSettings) -> TruthEvents:
    events = [event for each in episodes for event in each.events]
    hurt = [settings.values.value_of(e.object) * e.impulse if e.kind == "impact" else 0.0 for e in events]
    return TruthEvents(
        episode_id=Text.of(each.rollout.episode_id for each in episodes for _ in each.events),
        kind=Text.of((event.kind for event in events), EVENT_KINDS),
        reason=Text.of((event.reason for event in events), REASONS),
        object=Text.of(event.object for event in events),
        frame=np.array([event.frame for event in events], np.int64),
        impulse=np.array([event.impulse for event in events], np.float64),
        damage=np.array(hurt, np.float64),
    )
