"""What to ask the pump for next: more of what is drawn more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from sima2.errors import UsageError
from sima2.records.arrays import Float64s, Int64s
from sima2.records.plan import PumpRequest, SamplePlan
from sima2.records.table import Text
from sima2.sampling.pool import Pool
from sima2.sampling.weight_settings import PROVISIONAL, PumpSettings

UNKNOWN: Final = "unknown"
"""The family of episodes that are of none; it cannot be asked for."""
STANDARD: Final = ""
"""Template of the family's standard mix; others are those that tags declare."""


def request(
    plan: SamplePlan, pool: Pool, n: int, *, families: Sequence[str] = (), settings: PumpSettings | None = None
) -> PumpRequest:
    """How many of the next n rollouts to make of each family and template.

    A cell is a family's episodes of a tag that has trust and a template by which they can be asked for, or its others;
    its share is what the plan draws of them, over a floor that every family keeps. A uniform plan asks for all families
    alike: nothing is known to be worth more.

    Args:
        plan: probability of each episode.
        pool: the episodes it was made of, in its order.
        n: rollouts to share out.
        families: further ones that may be asked for.
        settings: floor and rarity.

    Returns:
        Cells with any, by family and template; the counts sum to n.

    Raises:
        UsageError: if n is negative, the pool is another one, or no family is known.
    """
    settings = settings or PumpSettings()
    if n < 0:
        raise UsageError(f"{n} rollouts cannot be asked for")
    if not np.array_equal(pool.episode_index, plan.episode_index):
        raise UsageError("pool and plan are not of the same episodes in the same order")
    names = sorted({*pool.family, *families} - {UNKNOWN})
    if n and not names:
        raise UsageError("no family is known, so there is none to ask for")
    cells = [(family, template) for family in names for template in (STANDARD, *sorted(set(pool.templates.values())))]
    floor = np.array([(template == STANDARD) / len(names) for _, template in cells])
    drawn = _drawn(plan.p, pool, cells, settings)
    share = floor if drawn is None else (1.0 - settings.floor) * drawn + settings.floor * floor
    count = shared_out(share, n) if cells else np.zeros(0, np.int64)
    whole = PumpRequest(
        family=Text.of(family for family, _ in cells), template=Text.of(template for _, template in cells), count=count
    )
    return whole.take(count > 0)


def shared_out(share: Float64s, n: int) -> Int64s:
    """n in whole parts by largest remainder, the first of equal ones first.

    >>> shared_out(np.array([0.5, 0.25, 0.25]), 5).tolist()
    [3, 1, 1]
    """
    exact = share * (n / math.fsum(share.tolist()))
    # what is whole but for rounding is whole
    count = np.floor(exact + 1e-9).astype(np.int64)
    # equal but for rounding is equal
    left = np.round(exact - count, 9)
    count[np.argsort(-left, kind="stable")[: n - int(count.sum())]] += 1
    return count


def _drawn(p: Float64s, pool: Pool, cells: Sequence[tuple[str, str]], settings: PumpSettings) -> Float64s | None:
    """Share of each cell of what is drawn; None where the plan tells nothing of any."""
    if not len(p) or p.min() == p.max():
        return None
    kind = np.full(len(pool), STANDARD, object)
    for tag, template in sorted(pool.templates.items()):
        for member, trust in pool.tested if tag in pool.levels else ():
            if tag in trust and trust[tag].trust_level > PROVISIONAL:
                kind[(kind == STANDARD) & member & (pool.levels[tag] > 0)] = template
    share = np.zeros(len(cells))
    for k, (family, template) in enumerate(cells):
        mine = pool.family.isin(family) & np.asarray(kind == template)
        if mine.any():
            share[k] = math.fsum(p[mine].tolist()) / float(mine.mean()) ** settings.rarity
    total = math.fsum(share.tolist())
    return share / total if total > 0 else None
