"""RecoveryTag: a failure, a correction, and success of the step that was retried."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.econ import AFTER_FAILURE
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.tags import TagSpec, TagStatistic, TagTable
from sima2.records.vocabulary import ANOMALIES, CONTACT_ACTIONS
from sima2.tags.observations import episode_places
from sima2.tags.rows import NOT_ASSESSED, TagRows, blank_rows
from sima2.tags.seen import FromWhole, Whole

SPEC: Final = TagSpec(
    name="RecoveryTag",
    kind="diagnostic",
    inputs=("segments", "segment outcomes"),
    available="the end of the step that was retried with success",
    cost_field="mpl",
    direction=1,
    threshold=0.5,  # a recovery must be likelier than not
    pulls=MappingProxyType({"bc": 1, "rl": 1, "mid": 1, "advanced": 1}),
    meaning="failed, corrected itself and then succeeded",
    group="recovered",
    code="recovery",
    level="the confidence that a failure was mended",
    value="what the correction was worth, 1 (high), 2/3 or 1/3 (low)",
    reads="whether the step succeeded when it was tried again",
    by_attempt=True,
    statistics=(
        TagStatistic(
            "recovery_value",
            AFTER_FAILURE,
            "difference",
            "task units an hour after the failure event, with an attempt minus without one",
            "above 0",
            shown="task units/h won by mending a failure",
            reading="after the failure, with an attempt minus without one; above 0, recovering pays",
        ),
        TagStatistic(
            "recovery_value_plain",
            "mpl",
            "difference",
            "mpl with RecoveryTag minus mpl without",
            "none",
            bias="compares with clean successes, so it is negative even where recovery works",
            shown="task units/h, recovered minus others",
            reading="the others include clean successes, so this is below 0 even where recovery works",
        ),
    ),
    template="recovery",
    quality_bonus=0.2,
    shown=1,
)
CRITICAL: Final = ("drop", "gripper_slip", "collision", "locked")
"""Reasons after which object, arm or task is at stake, not only time."""
RESTORED: Final = ("unstable", "misplaced", "drop", "gripper_slip")
"""Reasons mended by a later ``push`` or ``place`` of the object too: it is back at a safe pose."""
SETTLES: Final = ("push", "place")
CARRYING: Final = ("grasp", "lift", "transport", "place")
"""Stages of carrying; each presupposes those before it."""
BY_OTHER_MEANS: Final = {"pull": ("lift", "transport"), "slip": ("lift", "transport", "place")}
"""What else shows that a step was made good: what would not come has come, what had been lost is carried again."""
MOVED_ALONG: Final = ("pull", "push", "wipe")
"""Actions that name what they move, by what the hand holds of it."""
PAUSES: Final = ("idle", "unknown")
UNSEEN: Final = "timeout"
"""Reason of a look at which nothing was seen: whose name a segment bears is then no one's."""
VALUE_ADD: Final = {"high": 1.0, "medium": 2 / 3, "low": 1 / 3}
_FAST: Final = 1.0
_SLOW: Final = 2.0
"""A correction is fast when it took no longer than the episode had taken until the failure, which is what starting
over would cost; it is of little value when it took twice that."""


@dataclass(frozen=True, slots=True, eq=False)
class Recoveries:
    """Pairs of a failed step and its success when retried (m of them), as rows of the segment table."""

    failed: Int64s
    """Row of the failed segment, shape (m,)."""
    mended: Int64s
    """Row of the successful retry, shape (m,)."""


def failures_of(segments: SegmentTable) -> Bools:
    """Segments that are a failure event: ended in failure or retry, or are an anomaly, shape (n,)."""
    return segments.outcome.isin("failure", "retry") | segments.label.isin(*ANOMALIES)


def find_recoveries(segments: SegmentTable) -> Recoveries:
    """Failed steps that were made good after a correction.

    Of several failed attempts in a row only the last was corrected. A step is made good by the success of its next
    attempt, or of a later stage of the same carrying, which presupposes it: nothing is put down that was not carried.
    It is the next attempt at the same object, or at what the hand has taken hold of by it (a locked drawer does not
    move, so its handle is what was pulled), or, where nothing was seen, at whatever is seen then. After a load was
    lost or stood badly, a push or place that leaves the object where nothing more happens to it mends as well.

    A loop over failed attempts, each of which looks at the segments up to the next attempt.
    """
    step = segments.label.isin("approach", *CONTACT_ACTIONS)
    failed = (step & segments.outcome.isin("failure", "retry")) | _lost_alone(segments)
    track = _Track.of(segments, step, failed)
    pairs = [(row, mended) for row in np.flatnonzero(failed).tolist() if (mended := _mended(track, row)) is not None]
    array = np.array([pair for pair in pairs if _corrected(segments, *pair)], np.int64).reshape(-1, 2)
    return Recoveries(failed=array[:, 0], mended=array[:, 1])


@dataclass(frozen=True, slots=True)
class _Track:
    """Columns of the segment table as plain lists, for a walk along it."""

    label: list[str]
    object: list[str]
    reason: list[str]
    step: list[bool]
    failed: list[bool]
    won: list[bool]
    wrong: list[bool]
    """It is a failure event of any kind."""
    end: list[int]
    """One past the last row of the same manipulator of the same episode."""

    @classmethod
    def of(cls, segments: SegmentTable, step: Bools, failed: Bools) -> _Track:
        n = len(segments)
        last = np.ones(n, np.bool_)
        if n > 1:
            last[:-1] = (np.diff(segments.episode_id.codes) != 0) | (np.diff(segments.manipulator.codes) != 0)
        ends = np.flatnonzero(last) + 1
        return cls(
            label=segments.label.tolist(),
            object=segments.object.tolist(),
            reason=segments.failure_reason.tolist(),
            step=step.tolist(),
            failed=failed.tolist(),
            won=(step & segments.outcome.isin("success")).tolist(),
            wrong=failures_of(segments).tolist(),
            end=ends[np.searchsorted(ends, np.arange(n), side="right")].tolist() if n else [],
        )


def _mended(track: _Track, failed: int) -> int | None:
    """Row of the success that made a failed step good, None where the next attempt failed or there was none."""
    label, thing, reason = track.label[failed], track.object[failed], track.reason[failed]
    presuppose = CARRYING[CARRYING.index(label) :] if label in CARRYING else (label, *BY_OTHER_MEANS.get(label, ()))
    lost = reason in RESTORED and label not in ("grasp", "pull")
    held = ""
    for row in range(failed + 1, track.end[failed]):
        if not track.step[row]:
            continue
        name = track.label[row]
        if name == "grasp":
            held = track.object[row] if track.won[row] else ""
        along = name in MOVED_ALONG and thing == held
        if track.object[row] != thing and not along and reason != UNSEEN:
            continue
        if name == label and track.failed[row]:
            return None
        if name in presuppose and track.won[row]:
            # a look that shows nothing is not over when the hand settles: what counts is the look after the next view
            if reason == UNSEEN and "recovery_maneuver" not in track.label[failed + 1 : row]:
                continue
            # a motion that pauses on its way is one motion: what counts is how its last part ends
            after = _after(track, row)
            if name == label and after > row + 1 and _same(track, after, row):
                continue
            # that a hand got there is shown by the contact it then makes: one that fails shows nothing
            if name == label == "approach" and after < track.end[row] and track.failed[after]:
                return None
            return row
        if lost and name in SETTLES:
            return row if track.won[row] and not _troubled(track, row) else None
    return None


def _after(track: _Track, row: int) -> int:
    """Row of what is done after a segment and a pause; the end of the episode where nothing is."""
    after = row + 1
    while after < track.end[row] and track.label[after] in PAUSES:
        after += 1
    return after


def _same(track: _Track, after: int, row: int) -> bool:
    """Whether the same is done at the same object again."""
    if after >= track.end[row]:
        return False
    return track.label[after] == track.label[row] and track.object[after] == track.object[row]


def _troubled(track: _Track, row: int) -> bool:
    """Whether anything happens to an object after a segment that should have left it safe."""
    thing = track.object[row]
    return any(track.wrong[k] and track.object[k] == thing for k in range(row + 1, track.end[row]))


def _corrected(segments: SegmentTable, failed: int, mended: int) -> bool:
    """Something was done between: a recovery maneuver, another way to the object, or fingers that close anew.

    Waiting is no correction, and neither is a slip that comes to an end by itself; but what was stopped by something
    in its way and then gets there has gone another way.
    """
    between = segments.label[np.arange(failed + 1, mended)]
    done = any(name not in ("idle", "unknown", *ANOMALIES) for name in between)
    anew = segments.label[mended] == "grasp" or segments.failure_reason[failed] == "collision"
    return done or (anew and segments.outcome[failed] == "retry")


def recovery_rows(
    segments: SegmentTable,
    doubtful: Bools,
    episode_id: Text,
    frames: Int64s,
    assumed_watts: float,
) -> TagTable:
    """One row a recovery, and one for each episode without.

    Args:
        segments: of whole episodes.
        doubtful: segments that are too uncertain for a recovery to rest on, shape (m,).
        episode_id: the episodes in order, shape (n,).
        frames: frames of each, shape (n,).
        assumed_watts: power with which the cost is estimated where none was measured.
    """
    place = episode_places(segments.episode_id, episode_id)
    found = find_recoveries(segments)
    calm = blank_rows(episode_id, SPEC.name, SPEC.kind, end=frames, available=frames)
    calm.fill(np.arange(len(episode_id)), level=0.0, source="no_failure")
    event = np.unique(place[failures_of(segments)])
    calm.fill(event, source="not_corrected", details="a failure that no retry made good")
    blind = np.ones(len(episode_id), np.bool_)
    blind[place[segments.tells_of_things]] = False
    blind[event] = False
    calm.fill(
        blind,
        level=np.nan,
        source=NOT_ASSESSED,
        details="no force and no object poses: a slip, drop or collision would not show, nor what mends it",
    )
    tried = np.unique(place[segments.label.isin("recovery_maneuver") | segments.outcome.isin("retry")])
    calm.fill(
        np.intersect1d(event, tried), source="attempt_failed", details="a correction was tried; the step failed again"
    )
    recovered = np.zeros(len(episode_id), np.bool_)
    recovered[place[found.failed]] = True
    calm_rows = calm.frozen().take(~recovered)
    return TagTable.concat([calm_rows, _found_rows(segments, doubtful, found, assumed_watts).frozen()])


def _found_rows(segments: SegmentTable, doubtful: Bools, found: Recoveries, assumed_watts: float) -> TagRows:
    f, m = found.failed, found.mended
    out = blank_rows(
        segments.episode_id[f], SPEC.name, SPEC.kind, end=segments.end_frame[m], available=segments.end_frame[m]
    )
    out.start[:] = segments.end_frame[f]
    sure = np.nan_to_num(segments.confidence.astype(np.float64))
    told = _event_confidence(segments, sure)
    out.level[:] = np.minimum(np.maximum(told[f], _failed_before(segments, told, f)), sure[m])
    for k, (a, b) in enumerate(zip(f.tolist(), m.tolist(), strict=True)):
        out.source[k], out.value[k], out.details[k] = _account(segments, a, b, assumed_watts)
    unsure = (doubtful[f] & (out.level <= sure[f])) | doubtful[m]
    out.fill(unsure, level=0.0, source="ambiguous")
    return out


def _failed_before(segments: SegmentTable, told: Float64s, failed: Int64s) -> Float64s:
    """Confidence of the surest earlier failure of the same step in a row, 0 where there is none, shape of ``failed``.

    One vain attempt is at times told as two, the second of them doubtful.
    """
    codes = [getattr(segments, name).codes for name in ("episode_id", "manipulator", "label", "object")]
    lost = segments.outcome.isin("failure", "retry")
    out = np.zeros(len(failed))
    for k, row in enumerate(failed.tolist()):
        at = row - 1
        while at >= 0 and codes[0][at] == codes[0][row] and codes[1][at] == codes[1][row]:
            if codes[2][at] == codes[2][row] and codes[3][at] == codes[3][row]:
                if not lost[at]:
                    break
                out[k] = max(out[k], told[at])
            at -= 1
    return out


def _lost_alone(segments: SegmentTable) -> Bools:
    """Losses of a load that no failed step of the same object precedes: it was lost before anything else was told."""
    lost = segments.label.isin("slip") & segments.outcome.isin("failure") & ~segments.object.isin("")
    codes = np.stack([getattr(segments, name).codes for name in ("episode_id", "manipulator", "object")])
    told = np.zeros(len(segments), np.bool_)
    told[1:] = (codes[:, 1:] == codes[:, :-1]).all(axis=0) & segments.outcome.isin("failure", "retry")[:-1]
    return lost & ~told


def _event_confidence(segments: SegmentTable, sure: Float64s) -> Float64s:
    """Confidence that a segment failed: its own, or that of the anomaly it ended in, whichever is surer, shape (n,).

    A step that fails at its very beginning is too short for its name to be sure, while its failure is plain.
    """
    told = sure.copy()
    anomaly = segments.label.isin(*ANOMALIES)[1:]
    same = (np.diff(segments.episode_id.codes) == 0) & (np.diff(segments.manipulator.codes) == 0)
    same &= segments.failure_reason.codes[1:] == segments.failure_reason.codes[:-1]
    at = np.flatnonzero(anomaly & same)
    told[at] = np.maximum(sure[at], sure[at + 1])
    return told


def _account(segments: SegmentTable, failed: int, mended: int, assumed_watts: float) -> tuple[str, float, str]:
    """Kind of correction, what it added and what it cost."""
    between = np.arange(failed + 1, mended)
    correction = "recovery_maneuver" if segments.label[between].isin("recovery_maneuver").any() else "retry"
    seconds = max(float(segments.start_t[mended] - segments.end_t[failed]), 0.0)
    energy = segments.energy_wh[between].astype(np.float64)
    measured = bool(len(energy)) and not bool(np.isnan(energy).any())
    cost = float(energy.sum()) if measured else seconds * assumed_watts / 3600.0
    reason = segments.failure_reason[failed]
    spent = float(segments.end_t[failed])
    ratio = seconds / spent if spent > 0 else float("inf")
    value_add = "high" if reason in CRITICAL and ratio <= _FAST else "low" if ratio > _SLOW else "medium"
    how = "measured" if measured else f"estimated at {assumed_watts:g} W"
    words = (
        f"{segments.label[failed]} failed ({reason or 'reason unknown'}), {correction} for {seconds:.2f} s, "
        f"{segments.label[mended]} succeeded; value_add={value_add}, cost_wh={cost:.5f} ({how})"
    )
    return correction, VALUE_ADD[value_add], words


def _rows(seen: Whole) -> TagTable:
    episodes = seen.episodes
    return recovery_rows(seen.segments, seen.doubtful, episodes.episode_id, episodes.frames, seen.assumed_watts)


TAG: Final = FromWhole(SPEC, _rows)
