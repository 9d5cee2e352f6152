"""What weights come to: how many episodes they are worth, and whom they favour."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sima2.errors import UsageError
from sima2.records.arrays import Bools, Float64s
from sima2.sampling.pool import Pool


def effective(pool: Pool, p: Float64s) -> dict[str, Any]:
    """The distribution in effect, as plain values.

    Args:
        pool: the episodes.
        p: probability of each, shape (n,).

    Returns:
        ``n`` episodes, ``effective_sample_size`` 1 / Σp², ``largest`` p in even shares, whether it is ``uniform``, and
        ``share`` of the draws beside ``even``, the share of the episodes: of the ``failed`` (known to have), of each of
        the ``families``, and of the episodes that were given each of the ``tags``.

    Raises:
        UsageError: if ``p`` is not of the pool.

    Source of the effective sample size: Kish 1965.
    """
    n = len(pool)
    if p.shape != (n,):
        raise UsageError(f"{p.shape[0] if p.ndim else 0} probabilities for {n} episodes")

    def share(where: Bools) -> dict[str, float]:
        return {"share": math.fsum(p[where].tolist()), "even": float(where.sum()) / n if n else 0.0}

    families = np.unique(pool.family.codes).tolist() if n else []
    names = sorted((pool.family.names[code], code) for code in families)
    return {
        "n": n,
        "effective_sample_size": 1.0 / math.fsum((p * p).tolist()) if n else 0.0,
        "largest": float(p.max() * n) if n else 0.0,
        "uniform": bool(n == 0 or p.max() == p.min()),
        "failed": share(pool.success == 0),
        "families": {name: share(pool.family.codes == code) for name, code in names},
        "tags": {tag: share(level > 0) for tag, level in pool.levels.items()},
    }
