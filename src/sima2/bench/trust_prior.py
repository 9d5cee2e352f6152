"""What carried trust and the estimate of outcomes needed are worth: right and wrong priors, and promises kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import numpy as np

from sima2.analytics.counts import count
from sima2.analytics.econ_correlator import EconCorrelator
from sima2.analytics.econ_settings import COST_FIELDS
from sima2.analytics.power import OPEN, Needed, outcomes_needed
from sima2.analytics.prior import Belief, Prior
from sima2.bench import trust_worlds as worlds
from sima2.bench.figures import Limit
from sima2.bench.trust_figures import Line, crossing, levels_of, rate
from sima2.bench.trust_worlds import Rng, World
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.tags import TagSpec
from sima2.records.trust import TrustMatrix

TARGETS: Final[Mapping[str, Limit]] = {
    "prior_right_share_of_episodes_to_0.5": (1.0, "at most"),
    "prior_right_weak_share_of_episodes_to_0.5": (0.9, "at most"),
    "prior_right_share_of_episodes_to_0.8": (1.0, "at most"),
    "prior_ever_lowered": (0.0, "at most"),
    "prior_null_above_half": (0.0, "at most"),
    "prior_null_any_trust": (0.05, "at most"),
    **{
        f"prior_null_of_5_{what}_{n}": limit
        for n in (60, 100, 200)
        for what, limit in (("lifted_above_half", (0.0005, "at most")), ("any_trust", (0.05, "at most")))
    },
    "prior_inverted_any_trust": (0.0, "at most"),
    "prior_closed_gate_any_trust": (0.0, "at most"),
    "prior_carried_alone_highest": (0.5, "at most"),
    "prior_agreement_in_conflict": (0.1, "at most"),
    "prior_agreement_of_the_right": (0.5, "at least"),
    "needed_typical_settles": (0.5, "at least"),
    "needed_seen_settles": (0.5, "at least"),
    "needed_null_promised": (0.1, "at most"),
    "needed_null_settles": (0.05, "at most"),
}

JUDGE: Final = EconCorrelator(shadows=0)
TAGS: Final = 200
RIVALS: Final = 4
"""Tags that say nothing beside a true one: with it five, as a run has."""
WRONG: Final = Belief("outcome", 0.75, 0.06, "")
"""A tag that had trust 0.9 elsewhere: lower bound 0.57."""
SIZES: Final = (50, 70, 100, 130, 160, 180, 200, 240, 280, 400, 480, 560, 800)


def _with(world: World, prior: Prior | None) -> TrustMatrix:
    return JUDGE.calibrate(world.named, world.cost, world.strata, prior=prior)


def _right(runs: int, seed: list[int]) -> dict[str, Line]:
    """Episodes from which half of the runs reach a level, without and with a prior that is right (error 0.06)."""
    some = max(20, runs // 3)
    out: dict[str, Line] = {}
    lowered: list[bool] = []
    agreement: list[float] = []
    # a shift of 1.045 is δ = 0.540, one of 0.74 is δ = 0.399
    for k, (name, shift, delta, wanted) in enumerate(
        (("prior_right", 1.045, 0.540, (0.5, 0.8)), ("prior_right_weak", 0.74, 0.399, (0.5,)))
    ):
        levels = np.zeros((len(SIZES), some, 2))
        for size, n in enumerate(SIZES):
            make = partial(worlds.shifted_world, n=n, share=0.2, shift=shift, beside=RIVALS)
            for repeat in range(some):
                rng = np.random.default_rng([*seed, k, n, repeat])
                # what the earlier set said is off by its own error
                prior = Prior({"t000": Belief("outcome", delta + 0.06 * rng.normal(), 0.06, "")})
                world = make(rng)
                without, with_it = _with(world, None), _with(world, prior)
                levels[size, repeat] = without["t000"].trust_level, with_it["t000"].trust_level
                carried = with_it["t000"].carried
                if carried is not None:
                    agreement.append(carried.agreement)
        lowered += (levels[..., 1] < levels[..., 0]).ravel().tolist()
        for level in wanted:
            plain, lent = (
                crossing(SIZES, [float((each[:, side] >= level).mean()) for each in levels], 0.5) for side in (0, 1)
            )
            note = f"from {plain:,.0f} to {lent:,.0f} episodes, {some} runs a size, δ {delta:.2f}, 20 % tagged, 5 tags"
            out[f"{name}_share_of_episodes_to_{level}"] = Line(lent / plain, runs=some, note=note)
    out["prior_ever_lowered"] = rate(lowered)
    out["prior_agreement_of_the_right"] = Line(float(np.nanmedian(agreement)), runs=len(agreement), note="median")
    return out


def _wrong(runs: int, seed: list[int], n: int = 500) -> dict[str, Line]:
    """Null tags that were all trusted elsewhere, tags that point the other way here, and what a closed gate lets by."""
    nulls, some, closed, alone = [], [], [], [0.0]
    for repeat in range(runs):
        world = worlds.null_world(np.random.default_rng([*seed, 0, repeat]), n, TAGS)
        rows = _with(world, Prior(dict.fromkeys(world.named, WRONG)))
        levels = levels_of(rows)
        nulls.append(levels)
        some.append(bool(levels.max() > 0))
        shut = [row for row in rows.values() if row.reason != "ok"]
        closed += [row.trust_level > 0 for row in shut]
        alone += [row.carried.level for row in shut if row.carried]
    inverted, agreement = [], []
    for repeat in range(runs):
        world = worlds.shifted_world(np.random.default_rng([*seed, 1, repeat]), 1000, 0.3, -1.2, 0)
        row = _with(world, Prior({"t000": WRONG}))["t000"]
        inverted.append(row.trust_level > 0)
        # a weak effect of δ 0.20 where 0.75 was told
        world = worlds.shifted_world(np.random.default_rng([*seed, 2, repeat]), n, 0.3, 0.36, 0)
        row = _with(world, Prior({"t000": WRONG}))["t000"]
        agreement.append(row.carried.agreement if row.carried else np.nan)
    levels = np.concatenate(nulls)
    note = f"{len(levels):,} null tags, highest {levels.max():.2f}"
    return {
        "prior_null_above_half": rate((levels > 0.5).tolist(), note=note),
        "prior_null_any_trust": rate(some, note=f"matrices of {TAGS} null tags, all trusted 0.9 elsewhere"),
        "prior_inverted_any_trust": rate(inverted),
        "prior_closed_gate_any_trust": rate(closed),
        "prior_carried_alone_highest": Line(max(alone), note="what is told of a prior where the gate is closed"),
        "prior_agreement_in_conflict": Line(float(np.median(agreement)), runs=runs, note="median; δ 0.20, told 0.75"),
    }


def _few(runs: int, seed: list[int], tags: int = 5) -> dict[str, Line]:
    """Matrices of five null tags in small sets, all trusted 0.9 elsewhere: where chance has most room."""
    out = {}
    for n in (60, 100, 200):
        plain: list[bool] = []
        lifted: list[bool] = []
        some: list[bool] = []
        for repeat in range(8 * runs):
            world = worlds.null_world(np.random.default_rng([*seed, n, repeat]), n, tags)
            wrong = Prior(dict.fromkeys(world.named, WRONG))
            without, lent = (levels_of(_with(world, prior)) for prior in (None, wrong))
            plain += (without > 0.5).tolist()
            lifted += ((lent > 0.5) & ~(without > 0.5)).tolist()
            some.append(bool(lent.max() > 0))
        note = f"{len(lifted):,} null tags; by the counts alone {np.mean(plain):.2g} are above 0.5"
        out[f"prior_null_of_5_lifted_above_half_{n}"] = rate(lifted, note=note)
        out[f"prior_null_of_5_any_trust_{n}"] = rate(some, note=f"matrices of {tags} null tags")
    return out


def _outcomes(rng: Rng, n: int, with_tag: float, without: float, tags: int = 5) -> tuple[Bools, Float64s, Int64s]:
    """Tags in a quarter of the episodes of three strata, and success; the first tag goes with failure."""
    x = rng.random((tags, n)) < 0.25
    won: Float64s = (rng.random(n) < np.where(x[0], with_tag, without)).astype(np.float64)
    return x, won, rng.integers(0, 3, n)


def _judged(x: Bools, won: Float64s, strata: Int64s, look: int) -> TrustMatrix:
    names = [f"t{k:03d}" for k in range(len(x))]
    counts = count(dict(zip(names, x, strict=True)), won, strata, COST_FIELDS["success"])
    specs = {name: TagSpec(name, "predictive", ("prefix signals",), "landmark", "success", -1) for name in names}
    return JUDGE.correlate(counts, specs=specs, look=look)


def _continued(rng: Rng, known: int, with_tag: float, without: float) -> tuple[Needed | None, bool, bool]:
    """What is said to be needed after so many outcomes, whether the tag is open then, and whether it settles."""
    x, won, strata = _outcomes(rng, 4000, with_tag, without)
    said = np.arange(len(won)) < known
    first = _judged(x, np.where(said, won, np.nan), strata, 1)
    if first["t000"].reason not in OPEN:
        return None, False, False
    need = outcomes_needed(first).get("t000")
    if need is None:
        return None, True, False
    for arm, more in ((True, need.tagged), (False, need.untagged)):
        said[np.flatnonzero(~said & (x[0] == arm))[:more]] = True
    then = _judged(x, np.where(said, won, np.nan), strata, 2)
    return need, True, then["t000"].reason == "ok"


def _needed(runs: int, seed: list[int]) -> dict[str, Line]:
    """Continuations by as many outcomes as were said to be needed, which the next look judges by its stricter level."""
    # success in 45 against 85 % is δ = 0.40, in 60 against 85 % is 0.25
    typical = [_continued(np.random.default_rng([*seed, 0, k]), 0, 0.45, 0.85) for k in range(runs)]
    seen = [
        _continued(np.random.default_rng([*seed, 1, known, k]), known, with_tag, 0.85)
        for known in (40, 100)
        for with_tag in (0.45, 0.6)
        for k in range(runs)
    ]
    null = [
        _continued(np.random.default_rng([*seed, 2, known, k]), known, 0.7, 0.7)
        for known in (0, 12, 40, 100)
        for k in range(runs)
    ]
    kept = [(need, ok) for need, _, ok in seen if need is not None and need.promised]
    middle = float(np.median([need.outcomes for need, _ in kept])) if kept else float("nan")
    said = float(np.median([need.outcomes for need, _, _ in typical if need is not None]))
    return {
        "needed_typical_settles": rate([ok for _, _, ok in typical], note=f"none known yet, median {said:.0f} said"),
        "needed_seen_settles": rate([ok for _, ok in kept], note=f"40 or 100 known, median {middle:.0f} said"),
        "needed_null_promised": rate([bool(need and need.promised) for need, open_, _ in null if open_]),
        "needed_null_settles": rate([ok for need, _, ok in null if need is not None]),
    }


PARTS: Final[Mapping[str, Callable[[int, list[int]], dict[str, Line]]]] = {
    "right priors": _right,
    "wrong priors": _wrong,
    "wrong priors of few tags": _few,
    "outcomes needed": _needed,
}
