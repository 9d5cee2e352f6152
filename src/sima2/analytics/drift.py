"""Drift: an effect that held in earlier batches and no longer does, by a CUSUM on δ per batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log1p
from typing import Final

import numpy as np

from sima2.analytics.counts import Panel, TrustCounts
from sima2.analytics.effects import stratified_effects
from sima2.analytics.evidence import Case
from sima2.errors import UsageError
from sima2.records.arrays import Float64s
from sima2.records.trust import CalibrationAlert, TrustMatrix

REFERENCE: Final = 0.5
"""Half the shift, in standard errors of a batch, that is found fastest: one standard error (Page 1954)."""
LEAST_ARM: Final = 5
"""Episodes in the smaller arms from which on batches are judged; smaller ones are joined with the next."""
_SESSION_AT: Final = 3
"""Place of the session in the name of a stratum; batches are sessions, so they are compared without it."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A change of one tag's effect."""

    tag: str
    since: int
    """Batch from which on it holds, counted from 0."""
    before: float
    after: float
    """δ in the declared direction before and since."""
    batches: int


def drifting(matrix: TrustMatrix, cases: Sequence[Case], batches: Sequence[TrustCounts], alarms: float) -> TrustMatrix:
    """The matrix with an alert on every tag that drifts, and its row marked as in need of recalibration.

    Args:
        matrix: of the same cases.
        cases: those that cannot be tested, or that leak, are not watched.
        batches: in order of arrival.
        alarms: probability of any false alarm over all tags and batches.
    """
    rows = dict(matrix.rows)
    alerts = []
    for each in find_drifts([case for case in cases if not case.reason and not case.leaks], batches, alarms):
        rows[each.tag] = replace(rows[each.tag], needs_recalibration=True)
        message = (
            f"δ was {each.before:.3f} before batch {each.since + 1} of {each.batches} and is {each.after:.3f} since: "
            "find what changed there (policy, robot, sensors, or what the tag is computed from), then calibrate again "
            "on the batches since"
        )
        alerts.append(CalibrationAlert(each.tag, "drift", message))
    return replace(matrix, rows=rows, alerts=(*matrix.alerts, *alerts))


def find_drifts(cases: Sequence[Case], batches: Sequence[TrustCounts], alarms: float) -> list[Drift]:
    """Tags whose δ, within family, robot and policy, has left that of the batches before."""
    if len(batches) < 2 or not cases:
        return []
    threshold = cusum_threshold(len(cases) * (len(batches) - 1), alarms)
    out = []
    for field in sorted({case.field for case in cases}):
        members = [case for case in cases if case.field == field]
        seen = [_seen(batch.panels.get(field), members) for batch in batches]
        groups = sorted({group for batch in seen for group in batch.groups})
        spread = [batch.over(groups) for batch in seen]
        for m, case in enumerate(members):
            found = _cusum([each[m] for each in spread], threshold)
            if found is not None:
                since, before, after = found
                sign = case.test.direction
                out.append(Drift(case.test.tag, since, sign * before, sign * after, len(batches)))
    return sorted(out, key=lambda each: each.tag)


def cusum_threshold(steps: int, alarms: float, reference: float = REFERENCE) -> float:
    """Decision interval of a two-sided CUSUM of standard normal steps.

    Args:
        steps: over all charts.
        alarms: probability of any false alarm in them.
        reference: allowance of each step.

    Source: Siegmund, *Sequential Analysis*, 1985: the average run length of one side is
    ``(exp(2kb) - 2kb - 1) / (2k²)`` with ``b = h + 1.166``; two sides halve it.

    >>> round(cusum_threshold(169, 1 - exp(-1.0)), 1)
    4.0
    """
    if steps < 1 or not 0 < alarms < 1:
        raise UsageError(
            f"{steps} steps and a false alarm probability of {alarms}: give at least one, and within 0 to 1"
        )
    wanted = 2.0 * steps / -log1p(-alarms)
    low, high = 0.0, 100.0
    for _ in range(60):
        b = (low + high) / 2.0
        run = (exp(2 * reference * b) - 2 * reference * b - 1) / (2 * reference**2)
        low, high = (b, high) if run < wanted else (low, b)
    return max(low - 1.166, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What one batch shows of t tags, by group of strata (g of them)."""

    groups: tuple[str, ...]
    sums: Float64s
    """Weight, weight times δ, weight² times variance, and episodes of the smaller arms, shape (t, g, 4)."""

    def over(self, groups: Sequence[str]) -> Float64s:
        """The same over more groups, shape (t, len(groups), 4)."""
        place = {name: k for k, name in enumerate(groups)}
        out = np.zeros((self.sums.shape[0], len(groups), 4))
        out[:, [place[name] for name in self.groups]] = self.sums
        return out


def _seen(panel: Panel | None, cases: Sequence[Case]) -> _Seen:
    """Effects are taken within sessions and added up over them."""
    if panel is None:
        return _Seen((), np.zeros((len(cases), 0, 4)))
    place = {tag: t for t, tag in enumerate(panel.tags)}
    rows = np.array([place.get(case.test.tag, -1) for case in cases], np.intp)
    effects = stratified_effects(panel.cells[rows[rows >= 0]])
    n0, n1 = effects.arms[..., 0].astype(np.float64), effects.arms[..., 1].astype(np.float64)
    weight = n0 * n1 / (n0 + n1 + 1.0)
    delta, variance = np.nan_to_num(effects.by_stratum), np.nan_to_num(effects.largest_by_stratum**2)
    each = np.stack([weight, weight * delta, weight**2 * variance, np.minimum(n0, n1)], axis=2)
    names = [_group(stratum) for stratum in panel.strata]
    groups = tuple(sorted(set(names)))
    sums = np.zeros((len(cases), len(groups), 4))
    number = {name: g for g, name in enumerate(groups)}
    found = np.zeros((each.shape[0], len(groups), 4))
    for s, group in enumerate(names):
        found[:, number[group]] += each[:, s]
    sums[rows >= 0] = found
    return _Seen(groups, sums)


def _group(stratum: str) -> str:
    """A stratum without its session.

    >>> _group("drawer_open|arm|v2|monday"), _group("drawer_open|arm|v2|monday|slip"), _group("anything")
    ('drawer_open|arm|v2', 'drawer_open|arm|v2|slip', 'anything')
    """
    parts = stratum.split("|")
    return stratum if len(parts) <= _SESSION_AT else "|".join(parts[:_SESSION_AT] + parts[_SESSION_AT + 1 :])


def _cusum(batches: Sequence[Float64s], threshold: float) -> tuple[int, float, float] | None:
    """Batch since which δ differs, δ before and since; None while the sums stay below the threshold.

    Each batch of shape (g, 4) is compared with all before it, so steps are independent where δ does not change.
    """
    before, joined = np.zeros_like(batches[0]), np.zeros_like(batches[0])
    up = down = 0.0
    for batch in batches:
        joined = joined + batch
        if joined[:, 3].sum() < LEAST_ARM:
            continue
        step = _step(before, joined)
        before, joined = before + joined, np.zeros_like(before)
        if step is None:
            continue
        up, down = max(0.0, up + step - REFERENCE), max(0.0, down - step - REFERENCE)
        if max(up, down) > threshold:
            return _split(batches)
    return None


def _split(batches: Sequence[Float64s]) -> tuple[int, float, float]:
    """Where δ before and since differ most clearly, and both."""
    upto = np.cumsum(np.stack(batches), axis=0)
    since = upto[-1] - upto
    clear = [abs(_step(upto[k], since[k]) or 0.0) for k in range(len(batches) - 1)]
    k = int(np.argmax(clear))
    return k + 1, _delta(upto[k]), _delta(since[k])


def _step(before: Float64s, now: Float64s) -> float | None:
    """Difference of δ in standard errors, within groups that both know; None where there is none."""
    both = (before[:, 0] > 0) & (now[:, 0] > 0)
    a, b = before[both], now[both]
    if not both.any():
        return None
    weight = a[:, 0] * b[:, 0] / (a[:, 0] + b[:, 0])
    gap = b[:, 1] / b[:, 0] - a[:, 1] / a[:, 0]
    variance = a[:, 2] / a[:, 0] ** 2 + b[:, 2] / b[:, 0] ** 2
    spread = float(np.sqrt((weight**2 * variance).sum()))
    return float((weight * gap).sum()) / spread if spread > 0 else None


def _delta(sums: Float64s) -> float:
    """δ over all groups, NaN where nothing is known."""
    weight = float(sums[:, 0].sum())
    return float(sums[:, 1].sum()) / weight if weight > 0 else float("nan")
