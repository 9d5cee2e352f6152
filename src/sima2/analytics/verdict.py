"""From evidence to a trust level, a tier, a reason and a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log2
from typing import Final, NamedTuple

import numpy as np

from sima2.analytics.counts import INFERRED
from sima2.analytics.econ_settings import COST_FIELDS
from sima2.analytics.evidence import Case, Evidence
from sima2.analytics.leakage import NONE, UNCHECKED
from sima2.analytics.prior import MOST_ALONE, Lent, Prior, lifted
from sima2.records.arrays import Float64s
from sima2.records.trust import CalibrationAlert, CarriedTrust, ShadowTags, TrustMatrix, TrustRow, digest_of

TRUSTED: Final = 0.8
PROVISIONAL: Final = 0.5
_HALF_WAY: Final = 0.4
"""δ (AUROC 0.70) at which trust reaches 0.8."""
_STRENGTHS: Final = ((0.474, "strong"), (0.33, "medium"), (0.147, "weak"))
"""|δ| from which an association is called so; Romano, Kromrey, Coraggio and Skowronek 2006."""


@dataclass(frozen=True, slots=True)
class Standard:
    """By what the cases of one calibration are judged."""

    level: float
    """Adjusted p-value up to which a tag passes the gate."""
    z: float
    """Standard errors from an estimate to its one-sided bound."""
    tail: float
    """Probability beyond that bound."""
    look: int
    money: bool
    suspect_above: float
    self_referential_cap: float
    prior: Prior = Prior()
    """What an earlier set says."""


def trust_of(bound: float, premium: float = 1.0) -> float:
    """Trust that a lower bound of δ, or of a premium, has earned.

    >>> [round(trust_of(bound), 2) for bound in (-0.1, 0.172, 0.4)], round(trust_of(0.1, premium=2.0), 2)
    ([0.0, 0.5, 0.8], 0.8)
    """
    return float(1.0 - 0.2 ** max(0.0, bound / _HALF_WAY, log2(max(premium, 1.0))))


def tier_of(trust: float) -> str:
    """Tier of a trust level, half-open.

    >>> tier_of(0.8), tier_of(0.81), tier_of(0.5)
    ('provisional', 'trusted', 'untrusted')
    """
    return "trusted" if trust > TRUSTED else "provisional" if trust > PROVISIONAL else "untrusted"


def verdicts(evidence: Evidence, judged_by: Callable[[Float64s], tuple[Float64s, Standard]]) -> TrustMatrix:
    """A row for every tag, the alerts, and what shadow tags earned.

    Args:
        evidence: on all tags.
        judged_by: from p-values to adjusted ones, and to what the tags that pass are judged by.
    """
    q, standard = judged_by(evidence.p)
    rows: dict[str, TrustRow] = {}
    alerts: list[CalibrationAlert] = []
    for k, case in enumerate(evidence.cases):
        row = _row(case, float(evidence.p[k]), float(q[k]), standard)
        rows[row.tag] = row
        alerts += _alerts(case, row, standard)
    if strangers := standard.prior.strangers(rows):
        alerts.append(CalibrationAlert("prior", "prior_ignored", strangers))
    return TrustMatrix(rows, tuple(alerts), digest_of(rows), standard.look, _shadows(evidence, judged_by))


def _shadows(evidence: Evidence, judged_by: Callable[[Float64s], tuple[Float64s, Standard]]) -> ShadowTags | None:
    """The same gate and the same score on every shuffle; None where there was nothing to shuffle."""
    if not np.isfinite(evidence.shadow_p).any():
        return None
    highest = []
    for k, p in enumerate(evidence.shadow_p.T):
        q, standard = judged_by(p)
        passing = [evidence.cases[m].test.tag for m in np.flatnonzero(q <= standard.level).tolist()]
        earned = [_earned(evidence.shadow_cases[tag, k], True, standard).trust for tag in passing]
        highest.append(max(earned, default=0.0))
    return ShadowTags(len(highest), sum(each > 0 for each in highest), max(highest))


class Earned(NamedTuple):
    """What a tag has earned."""

    reason: str
    trust: float
    premium: float
    """That is proven, 1 where none is."""
    without: float
    """Trust without what a prior lent."""


def _earned(case: Case, passed: bool, standard: Standard) -> Earned:
    low, _ = case.bounds(standard.z)
    reason = _reason(case, low, passed, standard)
    premium = case.premium.bound(standard.z) if passed and standard.money and not case.leaks else 1.0
    if reason == "self_referential":
        capped = min(trust_of(low, premium), standard.self_referential_cap)
        return Earned(reason, capped, premium, capped)
    if reason != "ok":
        return Earned(reason, 0.0, premium, 0.0)
    lent, own = _lent(case, standard), trust_of(low, premium)
    if lent is None:
        return Earned(reason, own, premium, own)
    bound = lifted(lent, case.delta, case.se, standard.z)
    return Earned(reason, trust_of(bound, premium), premium, own)


def _lent(case: Case, standard: Standard) -> Lent | None:
    """What the prior has to say of a tag, None where it says nothing or does not count."""
    tag = case.test.tag
    if standard.prior.why_not(tag, case.field.removesuffix(INFERRED), case.digest):
        return None
    return standard.prior.lent(tag, case.delta, case.se)


def _carried(case: Case, earned: Earned, standard: Standard) -> CarriedTrust | None:
    lent = None if case.leaks else _lent(case, standard)
    if lent is None:
        return None
    return CarriedTrust(
        level=min(MOST_ALONE, trust_of(lent.level_bound)),
        effect=lent.belief.effect,
        agreement=lent.agreement,
        without=earned.without,
        digest=standard.prior.digest,
    )


def _row(case: Case, p: float, q: float, standard: Standard) -> TrustRow:
    low, high = case.bounds(standard.z)
    passed = q <= standard.level
    earned = _earned(case, passed, standard)
    reason, trust, premium, _ = earned
    return TrustRow(
        tag=case.test.tag,
        trust_level=trust,
        tier=tier_of(trust),
        correlation_strength=_strength(case.delta) if passed else "none",
        economic_impact=case.contrast,
        cost_field=case.field.removesuffix(INFERRED),
        note=_note(case, reason, low, premium),
        effect=case.delta,
        interval=(low, high),
        p_value=p,
        q_value=q,
        n_tagged=case.n_tagged,
        n=case.n,
        strata=case.strata,
        reason=reason,
        digest=case.digest,
        needs_recalibration=False,
        leakage=case.test.leakage if case.leaks or case.test.leakage == UNCHECKED else NONE,
        n_late=_late(case),
        by_stratum=case.by_stratum,
        standard_error=case.se,
        carried=_carried(case, earned, standard),
    )


def _reason(case: Case, low: float, passed: bool, standard: Standard) -> str:
    if case.leaks and case.reason not in ("no_outcome", "not_assessed"):
        return "leak"
    if case.reason:
        return case.reason
    if not passed:
        return "wrong_direction" if case.p_against <= standard.tail else "not_significant"
    if case.leak_bound(standard.z) > standard.suspect_above:
        return "suspect_leak"
    if low <= 0:
        return "not_significant"
    return "self_referential" if case.self_referential else "ok"


def _strength(delta: float) -> str:
    return next((name for least, name in _STRENGTHS if abs(delta) >= least), "none")


def _note(case: Case, reason: str, low: float, premium: float) -> str:
    field = case.field.removesuffix(INFERRED)
    claim = f"{'higher' if case.test.direction > 0 else 'lower'} {field}"
    over = "over these" if case.given_failure else f"over {case.n_tagged} tagged of {case.n}"
    seen = f"δ = {case.delta:.3f}, at least {low:.3f}, {over} in {case.strata} strata"
    words = {
        "leak": f"{case.test.leakage}: agreement with {field} proves nothing, it is only reported",
        "no_outcome": f"{field} is known of no episode: {_missing(field)}",
        "not_assessed": "the tag could be assessed on no episode whose cost is known; its rows say why",
        "constant_tag": f"{case.n_tagged} of {case.n} episodes have it, so there is nothing to compare",
        "constant_within_strata": f"within every stratum all episodes or none have it ({case.n_tagged} of {case.n} in "
        "all), so the tag cannot be told from the stratum",
        "constant_outcome": f"{field} is the same for all episodes of every stratum with both arms, {over}",
        "too_few": f"{over} the smaller arms hold {case.smaller_arm} episodes in all, too few to tell",
        "not_significant": f"{claim} is not shown beyond chance: {seen}",
        "wrong_direction": f"{claim} was expected, the data show the opposite: {seen}",
        "suspect_leak": f"too good to be a prediction ({seen}): check what the tag is computed from",
        "self_referential": f"{claim}: {seen}; but the outcome was inferred from the same segments",
        "ok": f"{claim}: {seen}",
    }[reason]
    if case.given_failure and case.n:
        words = f"a correction was attempted in {case.n_tagged} of {case.n} episodes that failed: {words}"
    if premium > 1.0 and reason in ("ok", "self_referential"):
        words += f"; costs at least {premium:.2f} times as much"
    if case.dropped:
        words += f"; {case.dropped} episodes left out (not assessed, or cost unknown)"
    if later := _late(case):
        words += (
            f"; given to {case.n_tagged + later:,} in all, but to {later:,} of them too late to predict: "
            "those count as untagged"
        )
    return words


def _late(case: Case) -> int:
    """Episodes given a predictive tag too late to predict."""
    return max(0, case.whole.n_tagged - case.n_tagged) if case.whole else 0


def _missing(field: str) -> str:
    """What to record so that a cost is known."""
    return COST_FIELDS[field].told_by if field in COST_FIELDS else "what was passed holds no finite number"


_ADVICE: Final = {
    "leak": "declare a predictive form of it that is known before the outcome",
    "suspect_leak": "look for the outcome among its inputs, then declare them",
    "wrong_direction": "turn its declared direction, or repair its definition",
    "no_outcome": "then calibrate again",
    "not_assessed": "see what it lacks with `sima2 explain`, most often nominal episodes or failures to learn from",
    "constant_tag": "collect episodes with and without it",
    "constant_within_strata": "collect episodes with and without it of the same kind and session",
    "constant_outcome": "collect episodes that fail as well as such that succeed",
    "too_few": "collect more episodes that have it, or lack it",
    "self_referential": "record outcomes of some episodes",
}


def _alerts(case: Case, row: TrustRow, standard: Standard) -> list[CalibrationAlert]:
    out = []
    if why_not := standard.prior.why_not(row.tag, row.cost_field, case.digest):
        out.append(CalibrationAlert(row.tag, "prior_ignored", f"what the prior says of it was left aside: {why_not}"))
    if row.tier == "untrusted":
        kind = row.reason if row.reason in _ADVICE else "untrusted"
        advice = _ADVICE.get(row.reason, "do not lean on it; more episodes may show otherwise")
        out.append(CalibrationAlert(row.tag, kind, f"{row.note}; {advice}"))
    if case.contradicting:
        names = ", ".join(case.contradicting[:5])
        more = f" and {len(case.contradicting) - 5} more" if len(case.contradicting) > 5 else ""
        message = f"it points the other way in {names}{more}; use it there with care, or split it"
        out.append(CalibrationAlert(row.tag, "heterogeneous", message))
    if case.whole is not None and case.whole.delta - standard.z * case.whole.se > row.interval[1]:
        message = (
            f"given at any time of the episode δ is {case.whole.delta:.3f}, given in time to predict {case.delta:.3f}: "
            "most of what it tells comes late; trust is that of the latter, so move its landmark or find earlier signs"
        )
        out.append(CalibrationAlert(row.tag, "prefix_drop", message))
    return out
