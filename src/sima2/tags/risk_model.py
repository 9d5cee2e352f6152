"""P(failure after the landmark | what was known at it): a ridge logistic regression, partially pooled over families."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sima2.records.arrays import Bools, Float32s, Float64s, Int64s
from sima2.records.rollout import fold_of
from sima2.records.table import Text
from sima2.records.vocabulary import object_class
from sima2.tags.logistic import fit_ridge_logistic, log_loss, losses_of, probability
from sima2.tags.observations import RiskObservations
from sima2.tags.prefix import FEATURES

LEAST_OF_A_CLASS: Final = 20
"""Below so many failures (or so many episodes without) in the other folds no risk is assessed."""
_LEAST_OF_A_FAMILY: Final = 60
"""A family with fewer episodes keeps the pooled slopes."""
_PENALTIES: Final = (3.0, 30.0, 300.0, 3000.0, 30000.0)
"""Precisions of the prior on standardised slopes, of which held-out episodes choose; at the last one little but the
base rate is left, which is right where nothing can be foretold."""
_GROUP_PENALTY: Final = 1.0
"""Precision of the prior on a family's or an object class's intercept: a logit of 1 either way is common. Where slopes
are held a hundred times tighter than that, so are these."""
_CLIP: Final = 3.0
"""Standard deviations at which a feature stops counting more: one wild reading shall not decide alone."""
_VIEWS: Final = 16
"""Principal components kept of the embedding."""
_MOST_GROUPS: Final = 64
_LOG_FROM: Final = 3.0
"""A feature counts by its logarithm from about a third of its typical size on."""
_SURE: Final = 1e-3
"""A share nearer to 0 or 1 counts as this near."""
_SHARES: Final = tuple(FEATURES.index(name) for name in ("object_confidence", "target_confidence"))


@dataclass(frozen=True, slots=True, eq=False)
class RiskModel:
    """A fitted model; p columns of the design."""

    unit: Float64s
    """Typical size of each feature, shape (f,)."""
    mean: Float64s
    """Mean of the bent feature, over all and then of each family, shape (1 + len(families), f)."""
    deviation: Float64s
    """Its standard deviation, 0 where the feature is of no use, shape (1 + len(families), f)."""
    missing: Int64s
    """Features whose absence is itself a column, shape (q,)."""
    view_mean: Float64s
    """Mean embedding, shape (d,)."""
    view: Float64s
    """Principal components over their standard deviations, shape (v, d)."""
    families: tuple[str, ...]
    classes: tuple[str, ...]
    """Object classes."""
    weight: Float64s
    """Pooled weights, shape (p,)."""
    family_weight: Float64s
    """Weights of each family, shape (len(families), p)."""
    n: int
    """Episodes it was fitted on."""
    failures: int

    def design(self, risk: RiskObservations, novelty: Float64s) -> Float64s:
        """Columns: intercept, features, absences, views, families, object classes; shape (n, p)."""
        raw = _raw(risk, novelty)
        bent = _bent(raw, self.unit)
        # what is fast or near for one task is ordinary for another
        own = risk.family.recode(self.families) + 1
        known = ~np.isnan(bent) & (self.deviation[own] > 0)
        z = np.divide(bent - self.mean[own], self.deviation[own], out=np.zeros(bent.shape), where=known)
        blocks = [np.ones((len(raw), 1)), np.clip(z, -_CLIP, _CLIP), np.isnan(raw[:, self.missing]).astype(np.float64)]
        blocks.append(self._views(risk.embedding))
        blocks.append(_one_hot(risk.family, self.families))
        blocks.append(_one_hot(_classes(risk.object), self.classes))
        return np.ascontiguousarray(np.concatenate(blocks, axis=1))

    def risk(self, risk: RiskObservations, novelty: Float64s) -> Float64s:
        """P(failure after the landmark) of each episode, shape (n,)."""
        x = self.design(risk, novelty)
        level = probability(x, self.weight)
        for k, family in enumerate(self.families):
            mine = risk.family.isin(family)
            level[mine] = probability(x[mine], self.family_weight[k])
        return level

    def _views(self, embedding: Float32s) -> Float64s:
        if not len(self.view) or embedding.shape[1] != self.view.shape[1]:
            return np.zeros((len(embedding), len(self.view)))
        centred = embedding.astype(np.float64) - self.view_mean
        z = np.einsum("ij,kj->ik", centred, self.view)
        return np.asarray(np.clip(np.nan_to_num(z), -_CLIP, _CLIP))


def fit_risk(risk: RiskObservations, novelty: Float64s, failed: Bools) -> RiskModel | None:
    """Fit on episodes that had not failed at their landmark.

    Args:
        risk: those episodes, shape (n,).
        novelty: their visual and kinematic score up to the landmark, shape (n, 2).
        failed: whether a segment failed later, shape (n,).

    Returns:
        The model, or None where failures or their absence are too few to learn from.
    """
    failures = int(failed.sum())
    if min(failures, len(failed) - failures) < LEAST_OF_A_CLASS:
        return None
    draft = _scales(risk, novelty, failed)
    x, y = draft.design(risk, novelty), failed.astype(np.float64)
    held_out = np.array([fold_of(f"penalty for {name}", 3) == 0 for name in risk.episode_id.tolist()], np.bool_)
    slopes = _slopes(draft)
    train = x[~held_out], y[~held_out]
    drafts: list[Float64s] = []
    for strength in _PENALTIES:
        drafts.append(fit_ridge_logistic(*train, _penalty(slopes, strength), start=drafts[-1] if drafts else None))
    best = _tightest([losses_of(x[held_out], y[held_out], weight) for weight in drafts])
    pooled = fit_ridge_logistic(x, y, _penalty(slopes, _PENALTIES[best]), start=drafts[best])
    of_family = _family_weights(draft, risk.family, x, y, held_out, drafts[best], pooled)
    return replace(draft, weight=pooled, family_weight=of_family)


def _tightest(losses: Sequence[Float64s]) -> int:
    """Of settings ever tighter, the tightest whose held-out loss is not surely above the least.

    Source: the one-standard-error rule of Breiman and others, Classification and Regression Trees, 1984; here the
    error is that of the difference, episode by episode.
    """
    best = losses[int(np.argmin([np.mean(each) for each in losses]))]
    worse = [each - best for each in losses]
    root = np.sqrt(max(len(best), 1))
    return max(k for k, each in enumerate(worse) if float(np.mean(each)) <= float(np.std(each)) / root)


def _family_weights(
    draft: RiskModel,
    family: Text,
    x: Float64s,
    y: Float64s,
    held_out: Bools,
    pooled_then: Float64s,
    pooled: Float64s,
) -> Float64s:
    """Weights of each family, shrunk towards the pooled ones as far as held-out episodes advise.

    ``pooled_then`` are the pooled weights that were fitted without the held-out episodes.
    """
    weights = np.tile(pooled, (len(draft.families), 1))
    masks = [family.isin(name) for name in draft.families]
    able = [k for k, mine in enumerate(masks) if int(mine.sum()) >= _LEAST_OF_A_FAMILY]
    parts = [(masks[k] & ~held_out, masks[k] & held_out) for k in able]
    parted = [(x[a], y[a], x[b], y[b]) for a, b in parts if a.any() and b.any()]
    latest = [pooled_then] * len(parted)

    def loss(penalty: Float64s) -> float:
        total = 0.0
        for k, (x_train, y_train, x_test, y_test) in enumerate(parted):
            latest[k] = fit_ridge_logistic(x_train, y_train, penalty, pooled_then, start=latest[k])
            total += len(y_test) * log_loss(x_test, y_test, latest[k])
        return total

    stay = sum(
        int((masks[k] & held_out).sum()) * log_loss(x[masks[k] & held_out], y[masks[k] & held_out], pooled_then)
        for k in able
        if (masks[k] & held_out).any()
    )
    losses = [loss(np.full(x.shape[1], each)) for each in _PENALTIES]
    if able and min(losses) < stay:
        penalty = np.full(x.shape[1], _PENALTIES[int(np.argmin(losses))])
        for k in able:
            weights[k] = fit_ridge_logistic(x[masks[k]], y[masks[k]], penalty, pooled)
    return weights


def _scales(risk: RiskObservations, novelty: Float64s, failed: Bools) -> RiskModel:
    """A model with scales but no weights yet."""
    raw = _raw(risk, novelty)
    unit = np.ones(raw.shape[1])
    for j in range(raw.shape[1]):
        size = np.abs(raw[~np.isnan(raw[:, j]) & (raw[:, j] != 0), j])
        if len(size):
            unit[j] = np.median(size)
    bent = _bent(raw, unit)
    families = _most_frequent(risk.family)
    pooled = _moments(bent)
    of_family = [
        _moments(bent[mine]) if int(mine.sum()) >= _LEAST_OF_A_FAMILY else pooled
        for mine in (risk.family.isin(name) for name in families)
    ]
    mean, deviation = (np.stack(each) for each in zip(pooled, *of_family, strict=True))
    absent = np.isnan(raw)
    share = absent.mean(axis=0)
    alike: dict[bytes, int] = {}
    for j in range(absent.shape[1]):
        alike.setdefault(absent[:, j].tobytes(), j)
    some = [j for j in alike.values() if 0.0 < share[j] < 1.0]
    view_mean, view = _principal_views(risk.embedding)
    blank = np.zeros(0)
    return RiskModel(
        unit=unit,
        mean=mean,
        deviation=deviation,
        missing=np.array(some, np.int64),
        view_mean=view_mean,
        view=view,
        families=families,
        classes=_most_frequent(_classes(risk.object)),
        weight=blank,
        family_weight=blank,
        n=len(failed),
        failures=int(failed.sum()),
    )


def _bent(raw: Float64s, unit: Float64s) -> Float64s:
    """Features on scales on which steps are alike: shares by their odds, others by a logarithm but near zero."""
    out: Float64s = np.arcsinh(_LOG_FROM * raw / unit)
    share = np.clip(raw[:, _SHARES], _SURE, 1.0 - _SURE)
    out[:, _SHARES] = np.log(share / (1.0 - share))
    return out


def _moments(bent: Float64s) -> tuple[Float64s, Float64s]:
    """Mean and standard deviation of the known values of each column; 0 and 0 where none varies, shapes (f,)."""
    f = bent.shape[1]
    mean, deviation = np.zeros(f), np.zeros(f)
    for j in range(f):
        known = bent[~np.isnan(bent[:, j]), j]
        if len(known):
            mean[j], deviation[j] = np.mean(known), np.std(known)
    deviation[deviation < 1e-9] = 0.0
    return mean, deviation


def _slopes(model: RiskModel) -> Int64s:
    """Width of each block of the design but the intercept: slopes, then groups."""
    return np.array(
        [len(model.unit) + len(model.missing) + len(model.view), len(model.families) + len(model.classes)], np.int64
    )


def _penalty(slopes: Int64s, strength: float) -> Float64s:
    of_groups = max(_GROUP_PENALTY, strength / 100.0)
    return np.concatenate([[0.0], np.full(slopes[0], strength), np.full(slopes[1], of_groups)])


def _raw(risk: RiskObservations, novelty: Float64s) -> Float64s:
    return np.concatenate([risk.feature, novelty], axis=1)


def _principal_views(embedding: Float32s) -> tuple[Float64s, Float64s]:
    seen = embedding[~np.isnan(embedding).any(axis=1)].astype(np.float64)
    d = embedding.shape[1]
    if len(seen) < 2 or not d:
        return np.zeros(d), np.zeros((0, d))
    mean = seen.mean(axis=0)
    value, vector = np.linalg.eigh(np.cov(seen - mean, rowvar=False).reshape(d, d))
    top = np.argsort(-value, kind="stable")[:_VIEWS]
    top = top[value[top] > 1e-9 * max(float(value.max()), 1e-30)]
    return mean, np.ascontiguousarray((vector[:, top] / np.sqrt(value[top])).T)


def _classes(names: Text) -> Text:
    return Text.concat([Text.of([object_class(name)]) for name in names.names] or [Text.of(())])[names.codes]


def _most_frequent(names: Text) -> tuple[str, ...]:
    count: dict[str, int] = {}
    for name, found in zip(names.names, np.bincount(names.codes, minlength=len(names.names)).tolist(), strict=True):
        count[name] = count.get(name, 0) + found
    return tuple(sorted((n for n in count if count[n]), key=lambda n: (-count[n], n))[:_MOST_GROUPS])


def _one_hot(names: Text, columns: tuple[str, ...]) -> Float64s:
    code = names.recode(columns)
    return np.asarray(code[:, None] == np.arange(len(columns)), np.float64)
