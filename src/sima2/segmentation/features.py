"""Raw channels of one arm → speeds, rates, forces and who moves with whom, for every frame of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.arrays import Bools, Float32s, Float64s, Int64s
from sima2.records.rollout import Manipulator, RolloutBatch
from sima2.segmentation.scales import RobotScale, Scales
from sima2.segmentation.signals import Ragged, fill_gaps, hold_last, last_where, next_where, orderless, squares
from sima2.segmentation.window_context import Memory


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """Spans and floors of the features, each with its reason."""

    slope_s: float = 0.10
    """Half window of rates: above a control period, below the shortest phase of a grasp (about 0.3 s)."""
    together_s: float = 0.15
    """Half window in which two bodies are seen to move together."""
    pose_delay_s: float = 0.12
    """Object poses of camera trackers lag the hand's by up to so much (two to four frames of 30 Hz)."""
    start_s: float = 1.0
    """Noise floors come from so much of each episode's start (and look no further ahead)."""
    still_speed: float = 0.012
    """m/s; physiological and servo tremor stay below it."""
    still_joint_speed: float = 0.02
    """rad/s; the same for a joint (0.012 m/s at 0.6 m)."""
    still_share: float = 0.04
    """Of a robot's own 95th-percentile speed, where fitted."""
    hidden: float = 3.0
    """Noise that stands over the speed of rest by that factor hides slow motions, and is averaged out for longer."""
    leads_s: float = 0.3
    """Half window in which a motion leads somewhere: jitter is back within it."""
    fast: float = 0.5
    """m/s of a hand or rad/s of a joint at least, or the 95th-percentile speed where fitted: noise that would hide even
    that hides everything."""
    force_floor: float = 0.8
    """N; drift and resolution of common wrist and finger sensors."""
    faint_newtons: float = 0.2
    faint_factor: float = 2.5
    """A grip goes on while it is over so many newtons and noise deviations: light things are held lightly."""
    spike: float = 10.0
    spike_s: float = 0.025
    """A sample at more than so many times both its neighbours, which come within so much, is no touch: sensors filter
    at some tens of Hz, and bodies do not part again so soon."""
    force_average_s: float = 0.6
    """Averages of so long are compared to find a force sensor's bias."""
    force_memory_s: float = 10.0
    """The bias is looked for in so much of the past: longer than a load usually lasts, shorter than drift matters."""
    blocked_spreads: float = 7.0
    """A command is not reached where the residual is so many times its usual spread, where the robot's own closings do
    not tell."""
    noise_factor: float = 5.0
    """A signal stands out of its noise by so many standard deviations."""
    moves_m: float = 0.006
    """Displacement over that window below which no object is seen to move, however clear its pose."""
    pose_noises: float = 4.0
    together_m: float = 0.003
    """Slack of poses: so many deviations of their noise, and so much beside."""
    company_share: float = 0.5
    """A hand that goes less than that share of an object's way is no company."""
    together_share: float = 0.35
    """Relative over absolute displacement below which two bodies move together."""


@dataclass(frozen=True, eq=False)
class Motion:
    """How an arm moves; booleans shape (T,)."""

    position: Float64s | None
    """Hand position, gaps filled, m, shape (T, 3)."""
    velocity: Float64s
    """m/s, shape (T, 3); no rows without a hand position."""
    pose: Float64s | None
    """Hand position, or the joints where there is none, shape (T, d)."""
    speed: Float64s
    """m/s of the hand, or rad/s of the fastest joint without a hand position, shape (T,); 0 with neither."""
    rate_noise: Float64s
    """Standard deviation of ``speed`` at rest, shape (T,)."""
    still_below: Float64s
    """Speed below which the arm is at rest, shape (T,)."""
    orientation: Float64s | None
    """Unit quaternion of the hand, gaps filled, shape (T, 4)."""
    missing: Bools
    """No motion channel was recorded at this frame, or nothing but noise."""


@dataclass(frozen=True, eq=False)
class Fingers:
    """What the fingers do, and what the robot's own tell of where they meet and hold; shape (T,) each."""

    width: Float64s | None
    """Gripper width or opening, gaps filled."""
    metric_width: bool
    """``width`` is in m; otherwise it is an opening 0–1."""
    width_rate: Float64s
    """per s; 0 without a width."""
    width_range: Float64s
    """Span between closed and open as known so far."""
    width_closed: Float64s
    """Closed end as known so far."""
    width_noise: Float64s
    closed_known: Bools | None
    """The closed end was reached with nothing between the fingers; otherwise it is the least that was seen, which may
    be a thing's. None where it is known of all frames."""
    behind: Float64s | None
    """How far fingers are kept from where they are told to close to, in usual spreads."""
    kept_back: Float64s
    """Usual spreads from which on something keeps them from there."""
    back_told: Bools
    """… by its own closings, of which some were kept back and some were not."""
    stop_back: Float64s
    """… and at the fingers' own stop, which may itself keep them from there; NaN where not known."""
    most_back: Float64s
    """The most that was seen of the robot's, NaN where nothing was fitted."""
    blocked: Bools | None
    """Fingers stay behind what they are told, towards closing: there is something between them."""


@dataclass(frozen=True, eq=False)
class Forces:
    """What fingers and wrist feel; shape (T,) each."""

    grip: Float64s | None
    """Grip force over its running floor, N."""
    gripping: Bools | None
    grip_noise: Float64s
    """Spread of the grip force without a grip, N."""
    grip_faint: Bools
    """Grip force that may still be one, where a stronger one was before."""
    usual_grip: Float64s
    """What the robot grips with as a rule, N, NaN where it is not known."""
    contact: Float64s | None
    """External force over its running floor, N."""
    touching: Bools | None
    contact_noise: Float64s
    """Spread of the external force without contact, N."""
    contact_floor: Float64s
    """External force that stands out of the noise, N."""
    press_force: Float64s
    """What the robot wipes with as a rule, N, NaN where it is not known."""


@dataclass(frozen=True, eq=False)
class Things:
    """Where objects are, and which move with the hand; those of one that saw none have no columns, K = 0."""

    object_position: Float64s | None
    """Gaps filled, m, shape (T, K, 3); None where there are none."""
    object_seen: Bools
    """shape (T, K)."""
    object_shift: Float64s
    """Displacement of each object over the window of ``together_s``, m, shape (T, K)."""
    objects_moving: Bools
    """Objects whose displacement stands out of their noise, shape (T, K)."""
    object_noise: Float64s
    """m, of each episode and object, shape (n, K)."""
    together: Bools | None
    """Objects that move and move with the hand, shape (T, K); None without a hand position."""
    hand_step: tuple[Float64s, ...] | None
    """Displacement of the hand over that window, m, by coordinate, shape (T,) each; None without a hand position."""
    hand_shift: Float64s
    """Its length, m, shape (T,)."""
    load_away: Float64s
    """Distance between the tracked point of the hand and what it holds, as a rule, m, shape (T,); 0 where unknown."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Features(Motion, Fingers, Forces, Things):
    """Per-frame features of one arm; ``None`` where the channels they need are absent."""

    ragged: Ragged
    settings: FeatureSettings

    def take(self, episodes: Int64s, rows: Int64s) -> Features:
        """Those of some episodes, which hold these frames, without what object poses are held against."""

        def cut(name: str, value: Any) -> Any:
            if name == "ragged":
                return self.ragged.take(episodes)
            if name == "hand_step":
                return None
            if name == "object_noise":
                return value[episodes]
            if not isinstance(value, np.ndarray) or not len(value):
                return value
            if value.ndim == 1:
                return value.take(rows)
            # along the memory, so that sums over coordinates keep their order
            return np.moveaxis(np.moveaxis(value, 0, -1).take(rows, axis=-1), -1, 0)

        return Features(**{each.name: cut(each.name, getattr(self, each.name)) for each in fields(self)})

    @cached_property
    def moving(self) -> Bools:
        """The arm is not at rest."""
        return (self.speed > self.still_below) & self.gets_away

    def way(self, speed: Float64s) -> Float64s:
        """Way of the moving arm in each frame at some speed, m (or rad), shape (T,)."""
        return speed * self.moving * self.ragged.period.take(self.ragged.episode)

    @cached_property
    def gets_away(self) -> Bools:
        """The arm was, or will be, elsewhere than where jitter takes an arm at rest, shape (T,)."""
        if self.pose is None:
            return np.ones(len(self.missing), np.bool_)
        ragged = self.ragged
        lo, hi = ragged.around(self.settings.leads_s)
        # of a hand the way, of joints the fastest
        size = length_of if self.position is not None else _largest
        here = list(self.pose.T)
        come = size([x - x.take(lo) for x in here]) > self.still_below * (ragged.time - ragged.time.take(lo))
        go = size([x.take(hi) - x for x in here]) > self.still_below * (ragged.time.take(hi) - ragged.time)
        return np.asarray(come | go)

    @cached_property
    def sideways(self) -> Float64s:
        """Horizontal speed of the hand, m/s, shape (T,); 0 without a hand position."""
        if self.position is None:
            return np.zeros(len(self.missing))
        return np.hypot(self.velocity[:, 0], self.velocity[:, 1])

    @cached_property
    def mainly_down(self) -> Bools:
        """The hand moves down rather than sideways."""
        if self.position is None:
            return np.zeros(len(self.missing), np.bool_)
        return -self.velocity[:, 2] > self.sideways

    def finely(self, at: Any, share: float) -> Float64s:
        """Width at some frames within which fingers are where they are: a share of their range, or their noise."""
        return np.asarray(np.maximum(share * self.width_range[at], 4.0 * self.width_noise[at]))

    @cached_property
    def company(self) -> Bools | None:
        """Some object moves with the hand, shape (T,)."""
        return None if self.together is None else np.logical_or.reduce(self.together.T)

    @cached_property
    def last_seen(self) -> Int64s:
        """Frame at or before each at which an object was seen last, -1 where it was not yet, shape (T, K)."""
        return np.column_stack([last_where(seen, self.ragged.first) for seen in self.object_seen.T])

    def object_speed(self, at: Int64s, slot: Int64s) -> Float64s:
        """Mean speed of an object over the window of ``together_s`` about some frames, m/s, shape (t,)."""
        lo, hi = (edge[at] for edge in self.ragged.around(self.settings.together_s))
        out: Float64s = self.object_shift[at, slot] / np.maximum(self.ragged.time[hi] - self.ragged.time[lo], 1e-9)
        return out

    @cached_property
    def next_seen(self) -> Int64s:
        """Frame at or after each at which an object is seen next, -1 where it is no more, shape (T, K)."""
        return np.column_stack([next_where(seen, self.ragged.last) for seen in self.object_seen.T])

    def swing(self, a: Int64s, b: Int64s) -> Float64s:
        """How far what is held moves as the hand turns between some frames and others, m, shape (t,)."""
        if self.orientation is None:
            return np.zeros(len(a))
        one, other = self.orientation[a], self.orientation[b]
        size = np.sqrt(squares(one) * squares(other))
        cosine = np.abs((one * other).sum(axis=1)) / np.maximum(size, 1e-9)
        # the chord of twice the angle between the quaternions
        return np.asarray(2.0 * self.load_away[a] * np.sqrt(np.clip(1.0 - cosine * cosine, 0.0, 1.0)))

    def apart_from_hand(self, at: Int64s, slot: Int64s) -> Float64s:
        """Displacement of an object relative to the hand, m, over the window of ``together_s``, shape (t,).

        Against the hand of now or of up to ``pose_delay_s`` ago, whichever fits best: poses come late.

        Args:
            at: frames, shape (t,).
            slot: of the object at each, shape (t,).
        """
        if self.object_position is None or self.hand_step is None:
            return np.zeros(len(at))
        lo, hi = (edge[at] for edge in self.ragged.around(self.settings.together_s))
        step = [x[hi, slot] - x[lo, slot] for x in np.moveaxis(self.object_position, 2, 0)]
        return _least_apart(step, self.hand_step, at, self.ragged, self.settings)


Fitted = Callable[[Callable[[RobotScale], float]], Float64s]
"""What the robot of each frame showed, shape (T,), by an attribute of its scale."""


def compute_features(
    batch: RolloutBatch, arm: str, scales: Scales, settings: FeatureSettings, memory: Memory | None = None
) -> Features:
    """Features of one arm of a batch whose episodes recorded the same channels.

    ``memory`` tells what came before, where the batch holds windows instead of whole episodes.
    """
    ragged = Ragged(batch.offset, batch.time, memory)
    channels = batch.manipulators[arm]
    robots = {robot: k for k, robot in enumerate(dict.fromkeys(batch.episodes.robot))}
    known = [scales.of(robot, arm) for robot in robots]
    robot = np.array([robots[each] for each in batch.episodes.robot], np.int64).take(ragged.episode)

    def fitted(attribute: Callable[[RobotScale], float]) -> Float64s:
        return np.array([attribute(scale) for scale in known], np.float64).take(robot)

    motion = _motion(channels, ragged, settings, fitted)
    return Features(
        ragged=ragged,
        settings=settings,
        **vars(motion),
        **vars(_fingers(channels, ragged, settings, fitted)),
        **vars(_forces(channels, ragged, settings, fitted)),
        **vars(_things(batch, ragged, motion.position, settings, fitted)),
    )


def _motion(channels: Manipulator, ragged: Ragged, settings: FeatureSettings, fitted: Fitted) -> Motion:
    frames = len(ragged.time)
    orientation = None if channels.ee_orientation is None else hold_last(channels.ee_orientation, ragged)[0]
    track, fastest, still = channels.ee_position, fitted(lambda scale: scale.hand_speed), settings.still_speed
    hand = track is not None
    if not hand:
        track, still = channels.joint_position, settings.still_joint_speed
        fastest = fitted(lambda scale: scale.joint_speed)
    if track is None:
        at_rest, none = np.full(frames, settings.still_speed), np.zeros(frames)
        return Motion(None, np.zeros((0, 3)), None, none, none, at_rest, orientation, np.ones(frames, np.bool_))
    pose, seen = hold_last(track, ragged)
    noise = _rate_noise(pose, ragged, settings)
    rest = np.fmax(still, settings.still_share * fastest)
    rates, still_below = _rates(pose, noise, rest, ragged, settings)
    missing = ~seen | _drowned(pose, noise, fastest, ragged, settings)
    if hand:
        return Motion(pose, rates, pose, length_of(list(rates.T)), noise, still_below, orientation, missing)
    speed = np.abs(rates).max(axis=1)
    return Motion(None, np.zeros((0, 3)), pose, speed, noise, still_below, orientation, missing)


def _rate_noise(track: Float64s, ragged: Ragged, settings: FeatureSettings) -> Float64s:
    """Standard deviation of the slope of an episode's white noise, shape (T,)."""
    half = ragged.frames(settings.slope_s)

    def measured() -> Float64s:
        return ragged.noise(track, settings.start_s) * np.sqrt(2.0 / (half + 1)) / (half * ragged.period)

    return ragged.begun("rate_noise", measured).take(ragged.episode)


def _rates(
    track: Float64s, rate_noise: Float64s, rest: Float64s, ragged: Ragged, settings: FeatureSettings
) -> tuple[Float64s, Float64s]:
    """Rate of change, shape as the track, and below what it is at rest, shape (T,).

    Where noise would hide a slow motion it is taken over a longer time.
    """
    rates, noise = ragged.slope(track, settings.slope_s), rate_noise * settings.noise_factor
    loud = noise > settings.hidden * rest
    if loud.any():
        short, long = (ragged.frames(seconds).take(ragged.episode) for seconds in (settings.slope_s, settings.leads_s))
        noise = np.where(loud, noise * np.sqrt((short + 1) / (long + 1)) * short / long, noise)
        rates = np.where(loud[:, None], ragged.slope(track, settings.leads_s), rates)
    return rates, np.maximum(rest, noise)


def _drowned(
    track: Float64s, rate_noise: Float64s, top_speed: Float64s, ragged: Ragged, settings: FeatureSettings
) -> Bools:
    """Frames of episodes of which noise hides all motion: whether the arm moves or rests is not known, shape (T,)."""
    loud = rate_noise * settings.noise_factor > np.fmax(settings.fast, top_speed)
    out = np.zeros(len(loud), np.bool_)
    for i in np.unique(ragged.episode[loud]).tolist():
        mine = slice(int(ragged.offset[i]), int(ragged.offset[i + 1]))
        out[mine] = orderless(track[mine])
    return out


def _fingers(channels: Manipulator, ragged: Ragged, settings: FeatureSettings, fitted: Fitted) -> Fingers:
    behind, kept_back = _behind(channels), fitted(lambda scale: scale.kept_back)
    limit = np.where(np.isnan(kept_back), settings.blocked_spreads, kept_back)
    width_stop = fitted(lambda scale: scale.width_stop)
    metric = channels.gripper_width is not None
    raw = channels.gripper_width if metric else channels.gripper_opening
    width = None
    rate = noise = np.zeros(len(ragged.time))
    span = shut = np.full(len(ragged.time), np.nan)
    if raw is not None:
        width, _ = hold_last(raw, ragged)
        rate = ragged.slope(width, settings.slope_s)
        opened = ragged.running(width, settings.start_s, largest=True, past="widest")
        opened = np.fmax(opened, fitted(lambda scale: scale.width_open))
        shut = ragged.running(width, settings.start_s, largest=False, past="narrowest")
        # fingers close to nothing at zero unless the robot has shown otherwise
        shut = np.fmin(np.nan_to_num(fitted(lambda scale: scale.width_closed)), shut)
        if channels.gripper_closed is not None:
            told = channels.gripper_closed.astype(np.float64)
            shut = np.where(np.isnan(told), shut, told)
        # what the robot's closings showed is where they meet
        shut = np.fmax(shut, width_stop)
        noise = ragged.begun("width_noise", lambda: ragged.noise(width, settings.start_s)).take(ragged.episode)
        span = opened - shut
    return Fingers(
        width=width,
        metric_width=metric,
        width_rate=rate,
        width_range=span,
        width_closed=shut,
        width_noise=noise,
        closed_known=_closed_known(channels, fitted(lambda scale: scale.width_levels), width_stop),
        behind=behind,
        kept_back=limit,
        back_told=np.isfinite(kept_back),
        stop_back=fitted(lambda scale: scale.stop_back),
        most_back=fitted(lambda scale: scale.most_back),
        blocked=None if behind is None else behind > limit,
    )


def _closed_known(channels: Manipulator, width_levels: Float64s, width_stop: Float64s) -> Bools | None:
    """Where it is known how far the fingers close on nothing, shape (T,); None where it is of all frames.

    Fingers of which only a bit is told close to its end whatever is between them.
    """
    if channels.gripper_closed is not None:
        return np.isfinite(channels.gripper_closed) | np.isfinite(width_stop)
    alike = width_levels < ALIKE
    return ~alike if alike.any() else None


def _behind(channels: Manipulator) -> Float64s | None:
    """By how much the finger that lags its command most does so towards closing, usual spreads, shape (T,)."""
    if channels.effort_proxy is None:
        return None
    joints = 0 if channels.joint_position is None else channels.joint_position.shape[1]
    fingers = channels.effort_proxy[:, joints:]
    if not fingers.shape[1]:
        return None
    return np.asarray(-np.nan_to_num(fingers).min(axis=1), np.float64)


def _forces(channels: Manipulator, ragged: Ragged, settings: FeatureSettings, fitted: Fitted) -> Forces:
    grip, gripping, noise, _ = _force(channels.grip_force, ragged, settings, forgets=False)
    faint = np.maximum(settings.faint_newtons, settings.faint_factor * noise)
    contact, touching, contact_noise, floor = _force(channels.contact_force, ragged, settings, forgets=True)
    return Forces(
        grip=grip,
        gripping=gripping,
        grip_noise=noise,
        grip_faint=np.zeros(len(noise), np.bool_) if grip is None else grip > faint,
        usual_grip=fitted(lambda scale: scale.grip_force),
        contact=contact,
        touching=touching,
        contact_noise=contact_noise,
        contact_floor=floor,
        press_force=fitted(lambda scale: scale.press_force),
    )


def _force(
    raw: Float32s | None, ragged: Ragged, settings: FeatureSettings, *, forgets: bool
) -> tuple[Float64s | None, Bools | None, Float64s, Float64s]:
    """Force over its bias, whether it stands out of the noise, that noise, and the least force that does.

    The bias is the least average so far: of recent memory where the sensor drifts and no contact lasts
    (``forgets``), of all the past for a grip, which may last. Force noise is coloured (filters, vibration), so its
    spread is taken of the values themselves, not of their differences.
    """
    if raw is None:
        nothing = np.zeros(len(ragged.time))
        return None, None, nothing, nothing
    force = _without_spikes(hold_last(raw, ragged)[0], ragged, settings)
    average, now = ragged.means(force, ragged.around(settings.force_average_s / 2), ragged.around(settings.slope_s / 2))
    if forgets:
        base = ragged.recent_least(average, settings.force_memory_s, settings.start_s)
    else:
        base = ragged.running(average, settings.start_s, largest=False, past="lightest")
    over = now - base

    def measured() -> Float64s:
        return np.maximum(ragged.noise(force, settings.start_s), ragged.spread(force, settings.start_s))

    noise = ragged.begun("contact_noise" if forgets else "grip_noise", measured).take(ragged.episode)
    floor = np.maximum(settings.force_floor, settings.noise_factor * noise)
    return over, over > floor, noise, floor


def _without_spikes(force: Float64s, ragged: Ragged, settings: FeatureSettings) -> Float64s:
    """Force without single samples that neither neighbour knows of: no touch of a body is so short, shape (T,)."""
    here = np.arange(len(force))
    beside = np.maximum(force[np.maximum(here - 1, ragged.first)], force[np.minimum(here + 1, ragged.last)])
    inside = (here > ragged.first) & (here < ragged.last)
    lone = inside & (force > settings.spike * np.maximum(beside, 0.0) + settings.force_floor)
    lone &= (ragged.period <= settings.spike_s).take(ragged.episode)
    return np.where(lone, beside, force)


def _things(
    batch: RolloutBatch, ragged: Ragged, position: Float64s | None, settings: FeatureSettings, fitted: Fitted
) -> Things:
    lo, hi = ragged.around(settings.together_s)
    hand = None if position is None else tuple(x.take(hi) - x.take(lo) for x in position.T)
    hand_shift = np.zeros(batch.frames) if hand is None else length_of(hand)
    load_away = np.nan_to_num(fitted(lambda scale: scale.load_away))
    if batch.object_position is None or batch.object_position.shape[1] == 0:
        none, blank = np.zeros((batch.frames, 0), np.bool_), np.zeros((batch.frames, 0))
        noise = np.zeros((len(batch), 0))
        return Things(None, none, blank, none, noise, None, hand, hand_shift, load_away)
    # one row of memory a coordinate: everything below runs along the frames
    place = _along_frames(batch.object_position)
    slots = len(place)
    seen, shift = np.empty((slots, batch.frames), np.bool_), np.empty((slots, batch.frames))
    for slot in range(slots):
        saw = fill_gaps(place[slot], ragged)
        # an object seen only for a part of the window has not been seen to move
        seen[slot] = saw if saw.all() else saw.take(lo) & saw.take(hi) & saw
        shift[slot] = length_of([x.take(hi) - x.take(lo) for x in place[slot]])
    noise = ragged.begun("object_noise", lambda: ragged.noises(place, settings.start_s).T)
    moving = shift > np.maximum(settings.moves_m, settings.noise_factor * noise.T).take(ragged.episode, axis=1)
    moving &= seen
    together = None
    if hand is not None:
        together = np.zeros_like(moving)
        for slot in range(slots):
            # trembling poses are no company of a hand at rest
            at = np.flatnonzero(moving[slot])
            at = at[hand_shift[at] > settings.company_share * shift[slot, at]]
            apart = _least_apart([x[hi[at]] - x[lo[at]] for x in place[slot]], hand, at, ragged, settings)
            slack = settings.pose_noises * noise[ragged.episode[at], slot] + settings.together_m
            together[slot, at] = apart < settings.together_share * hand_shift[at] + slack
        together = together.T
    return Things(place.transpose(2, 0, 1), seen.T, shift.T, moving.T, noise, together, hand, hand_shift, load_away)


def _least_apart(
    step: Sequence[Float64s], hand: Sequence[Float64s], at: Int64s, ragged: Ragged, settings: FeatureSettings
) -> Float64s:
    """Distance between displacements at some frames and the nearest of the hand's now, and half and all a delay ago."""
    moments = at, ragged.ago(at, settings.pose_delay_s / 2), ragged.ago(at, settings.pose_delay_s)
    apart = [length_of([a - b.take(each) for a, b in zip(step, hand, strict=True)]) for each in moments]
    return np.asarray(np.minimum.reduce(apart))


ALIKE: Final = 0.01
"""Share of the range within which closed fingers always stop that tell nothing."""
BLOCK: Final = 2048
"""Frames that are turned at once: so many stay in the cache."""


def _along_frames(values: NDArray[Any]) -> Float64s:
    """Frames last, each coordinate in one piece: shape (T, K, d) to (K, d, T)."""
    out = np.empty((*values.shape[1:], len(values)))
    for start in range(0, len(values), BLOCK):
        out[..., start : start + BLOCK] = values[start : start + BLOCK].transpose(1, 2, 0)
    return out


def _largest(components: Sequence[Float64s]) -> Float64s:
    """Largest of the components, shape (T,)."""
    return np.asarray(np.max(np.abs(np.array(components)), axis=0))


def length_of(components: Sequence[Float64s]) -> Float64s:
    """Length of vectors given by their components, shape (T,)."""
    total = components[0] * components[0]
    for each in components[1:]:
        total += each * each
    return np.sqrt(total)
