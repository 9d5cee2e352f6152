"""EconVector: what each episode cost and brought, from raw signals and its outcome, never from tags."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sima2.analytics.econ_settings import EconSettings
from sima2.analytics.impacts import Impacts, contact_impacts, fall_impacts
from sima2.analytics.reductions import episode_seconds, episode_sum, frame_seconds
from sima2.errors import RecordError
from sima2.records.arrays import Bools, Float64s
from sima2.records.econ import EconTable
from sima2.records.outcome import Outcome
from sima2.records.rollout import Manipulator, RolloutBatch
from sima2.records.table import Text

_JOULES_A_WH = 3600.0


def econ_vectors(
    batch: RolloutBatch,
    outcome: Outcome,
    settings: EconSettings | None = None,
    *,
    nominal_s: Mapping[str, float] | None = None,
) -> EconTable:
    """One row an episode; what a missing channel or an unknown outcome would have told is NaN.

    * ``mpl`` = success over hours: NaN where success is unknown or no time passed.
    * ``damage``: as the source states it, else from impulses (:func:`damage`).
    * ``wage_parity`` = (mpl × what a unit's labour is worth − energy − damage − wear, an hour) over the human wage;
      a unit is worth its price, but no more than a human is paid for it. NaN where one of them is.
    * ``resilience`` of an episode that failed at some time: units an hour it still brought as a share of a clean
      episode's, in [0, 1]: success × clean over actual duration. What broke on the way is told by ``damage``.

    Args:
        batch: whole episodes; may mix layouts.
        outcome: of the same episodes.
        settings: prices and physics.
        nominal_s: duration of a clean episode by family, s; without it time lost does not lower ``resilience``.

    Raises:
        RecordError: if outcome and batch are not of one length.
    """
    settings = settings or EconSettings()
    if len(outcome) != len(batch):
        raise RecordError(f"outcomes of {len(outcome)} episodes for a batch of {len(batch)}")
    duration = episode_seconds(batch.time, batch.offset)
    energy, harm = np.full(len(batch), np.nan), np.full(len(batch), np.nan)
    for where, part in batch.by_layout():
        energy[where] = energy_wh(part, settings)
        harm[where] = damage(part, settings)
    harm = np.where(np.isnan(outcome.damage), harm, outcome.damage)
    mpl, wage_parity = brought(outcome.success, duration, energy, harm, settings)
    return EconTable(
        episode_id=Text.of(batch.episodes.episode_id),
        success=outcome.success,
        duration_s=duration,
        mpl=mpl,
        energy_wh=energy,
        damage=harm,
        wage_parity=wage_parity,
        resilience=_resilience(batch, outcome, duration, nominal_s or {}),
        outcome_source=outcome.source,
    )


def brought(
    success: Float64s, duration_s: Float64s, energy_wh: Float64s, damage: Float64s, settings: EconSettings
) -> tuple[Float64s, Float64s]:
    """``mpl`` and ``wage_parity``, as :func:`econ_vectors` says; all of shape (n,)."""
    hours = np.where(duration_s > 0, duration_s, np.nan) / 3600.0
    mpl = success / hours
    worth = min(settings.unit_price, settings.human_wage / settings.human_rate)
    spent = (energy_wh / 1000.0 * settings.energy_price + damage) / hours + settings.wear
    return mpl, (mpl * worth - spent) / settings.human_wage


def energy_wh(batch: RolloutBatch, settings: EconSettings) -> Float64s:
    """Electrical energy of each episode, all manipulators, Wh, shape (n,).

    Mechanical power without credit for braking, resistive loss proportional to torque squared (a stalled arm draws
    current without moving), and idle power. Frames whose power is not known take the mean of those that are.

    Returns:
        NaN where torque or velocity of an arm is absent, or known in less than half of the time.
    """
    seconds = frame_seconds(batch.time, batch.offset)
    total = episode_sum(seconds, batch.offset)
    joules = settings.idle_watts * len(batch.manipulators) * total
    for arm in batch.manipulators.values():
        power = _joint_watts(arm, settings)
        if power is None:
            return np.full(len(batch), np.nan)
        known = ~np.isnan(power)
        time_known = episode_sum(np.where(known, seconds, 0.0), batch.offset)
        work = episode_sum(np.where(known, power * seconds, 0.0), batch.offset)
        enough = (time_known > 0) & (time_known >= settings.least_known * total)
        share = np.divide(total, time_known, out=np.full(len(batch), np.nan), where=enough)
        # an episode in which no time passed used nothing, if its one frame is known
        still = (total == 0) & (episode_sum(~known, batch.offset) == 0)
        joules = joules + np.where(still, 0.0, work * share)
    return joules / _JOULES_A_WH


def _joint_watts(arm: Manipulator, settings: EconSettings) -> Float64s | None:
    """Power of an arm's joints, W, shape (T,); None where a channel is absent."""
    if arm.joint_torque is None or arm.joint_velocity is None:
        return None
    power = np.zeros(len(arm.joint_torque))
    for j in range(min(arm.joint_torque.shape[1], arm.joint_velocity.shape[1])):
        torque = arm.joint_torque[:, j].astype(np.float64)
        power += np.abs(torque * arm.joint_velocity[:, j]) + (torque / settings.motor_constant) ** 2
    return power


def damage(batch: RolloutBatch, settings: EconSettings) -> Float64s:
    """Harm done in each episode, currency, shape (n,).

    Every object loses fragility × impulse / ``breakage_impulse_ns`` of its price, at most all of it; what was hit
    where no object is near counts as one thing of default value.

    Returns:
        NaN where neither contact force nor object poses are known.
    """
    impacts = (contact_impacts(batch, settings), fall_impacts(batch, settings))
    slots = 0 if batch.object_position is None else batch.object_position.shape[1]
    impulse = sum((_by_object(each, len(batch), slots + 1) for each in impacts), np.zeros((len(batch), slots + 1)))
    fallback = settings.default_object
    price = np.full((len(batch), slots + 1), fallback.price)
    fragility = np.full((len(batch), slots + 1), fallback.fragility)
    for i, names in enumerate(batch.objects):
        values = [settings.value_of(name) for name in names[:slots]]
        price[i, 1 : len(values) + 1] = [value.price for value in values]
        fragility[i, 1 : len(values) + 1] = [value.fragility for value in values]
    loss = price * np.minimum(1.0, fragility * impulse / settings.breakage_impulse_ns)
    harm = np.zeros(len(batch))
    for column in loss.T:
        harm += column
    return np.where(_watched(batch), harm, np.nan)


def _by_object(impacts: Impacts, n: int, width: int) -> Float64s:
    """Impulse on each object of each episode; column 0 is what is no object, shape (n, width)."""
    # bincount adds in the order of frames, cell by cell: the same bits whatever else is in the batch
    cell = impacts.episode * width + impacts.slot + 1
    flat = np.bincount(cell, weights=impacts.impulse, minlength=n * width)
    return np.asarray(flat.reshape(n, width), np.float64)


def _watched(batch: RolloutBatch) -> Bools:
    """Episodes with any sample of contact force or of an object's pose, shape (n,)."""
    seen = np.zeros(batch.frames, np.bool_)
    for arm in batch.manipulators.values():
        if arm.contact_force is not None:
            seen |= ~np.isnan(arm.contact_force)
    if batch.object_position is not None:
        for slot in range(batch.object_position.shape[1]):
            seen |= ~np.isnan(batch.object_position[:, slot, 2])
    return episode_sum(seen, batch.offset) > 0


def _resilience(batch: RolloutBatch, outcome: Outcome, duration: Float64s, nominal_s: Mapping[str, float]) -> Float64s:
    clean = np.array([nominal_s.get(family, np.nan) for family in batch.episodes.family], np.float64)
    pace = np.divide(clean, duration, out=np.ones(len(batch)), where=(duration > 0) & ~np.isnan(clean))
    return np.where(np.isnan(outcome.failed_at_s), np.nan, outcome.success * np.minimum(1.0, pace))
