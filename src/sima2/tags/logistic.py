"""Ridge logistic regression by iteratively reweighted least squares, with a prior mean to shrink towards.

Source: le Cessie and van Houwelingen, Ridge estimators in logistic regression, 1992.
"""

from __future__ import annotations

import numpy as np

from sima2.records.arrays import Float64s

Vector = Float64s

_ITERATIONS = 50
_TOLERANCE = 1e-8


def probability(x: Float64s, weight: Vector) -> Vector:
    """P(y = 1) of each row; each row by itself, so that a batch of one gives the same bits, shape (n,)."""
    return _sigmoid(np.einsum("ij,j->i", x, weight))


def fit_ridge_logistic(
    x: Float64s, y: Vector, penalty: Vector, prior: Vector | None = None, start: Vector | None = None
) -> Float64s:
    """Weights that maximise the likelihood less ``½ Σ penalty (weight - prior)²``, shape (k,).

    Args:
        x: one row a sample, shape (n, k).
        y: 0 or 1, shape (n,).
        penalty: precision of the prior of each weight, > 0 for all but an intercept, shape (k,).
        prior: its mean, zeros by default, shape (k,).
        start: where to look first, the prior's mean by default; a solution nearby saves steps, shape (k,).
    """
    mean = np.zeros(x.shape[1]) if prior is None else prior
    weight = (mean if start is None else start).copy()
    logit = x @ weight
    loss = _loss(logit, y, weight, penalty, mean)
    for _ in range(_ITERATIONS):
        p = _sigmoid(logit)
        gradient = x.T @ (p - y) + penalty * (weight - mean)
        hessian = (x * (p * (1.0 - p))[:, None]).T @ x + np.diag(penalty + 1e-9)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while True:
            trial = weight - size * step
            logit = x @ trial
            better = _loss(logit, y, trial, penalty, mean)
            if not better > loss or size <= 1e-6:
                break
            size *= 0.5
        if better > loss:
            break
        weight = trial
        if loss - better <= _TOLERANCE * (1.0 + abs(loss)):
            break
        loss = better
    return weight


def log_loss(x: Float64s, y: Vector, weight: Vector) -> float:
    """Mean negative log-likelihood in nats."""
    return float(np.mean(losses_of(x, y, weight)))


def losses_of(x: Float64s, y: Vector, weight: Vector) -> Vector:
    """Negative log-likelihood of each sample in nats, shape (n,)."""
    logit = x @ weight
    return np.asarray(np.logaddexp(0.0, logit) - y * logit)


def _loss(logit: Vector, y: Vector, weight: Vector, penalty: Vector, prior: Vector) -> float:
    return float(np.sum(np.logaddexp(0.0, logit) - y * logit) + 0.5 * np.sum(penalty * (weight - prior) ** 2))


def _sigmoid(logit: Vector) -> Vector:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logit)))
