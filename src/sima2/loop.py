"""The loop closed: what is known now says what to ask the pump for next, and what comes back says what is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sima2.client import backend_of
from sima2.errors import UsageError
from sima2.orchestrator import named, run_pipeline
from sima2.pipeline import Progress, RunSettings
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import PumpRequest, SamplePlan
from sima2.records.table import Text
from sima2.shard_tables import TAG_ROWS


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of the loop."""

    number: int
    """From 1."""
    asked: Mapping[str, float]
    """Share of the rollouts asked for, by family, and of those that should have a tag that can be asked for, by its
    group (``recovered``): asked for as such, or as in the first round. Empty for the first round."""
    got: Mapping[str, float]
    """The same of what came back: episodes that the tag was given to."""
    episodes: int
    """In all rounds so far."""
    trust: Mapping[str, float]
    look: int
    """At the data; each spends a share of the error allowed."""
    effective: float
    """Effective sample size of the plan, as a share of the episodes."""


def run_loop(
    settings: RunSettings, *, rounds: int, per_round: int, progress: Callable[[Progress], None] | None = None
) -> Iterator[Round]:
    """Run, plan, ask for what the plan draws, run again: each round adds to the same folder.

    The first round shares its rollouts out evenly; each has a seed of its own, the next one.

    Args:
        settings: of the first round; ``episodes`` is set by ``per_round``.
        rounds: at least 1.
        per_round: rollouts of each.
        progress: told how far each run has come.

    Raises:
        UsageError: if a number is not positive, or the source cannot be asked.
    """
    settings = named(settings)
    if backend_of(settings.source) == "dataset":
        raise UsageError("a recorded data set makes no rollouts on request: the loop needs a source that does")
    if rounds < 1 or per_round < 1:
        raise UsageError(f"{rounds} rounds of {per_round} rollouts are none")
    asked: PumpRequest | None = None
    usual: Mapping[str, float] = {}
    for number in range(1, rounds + 1):
        if asked is None:
            given = replace(settings, request=_evenly(settings, per_round))
        else:
            given = replace(settings, seed=settings.seed + number - 1, request=asked.cells(), fresh=False)
        run_pipeline(given, progress=progress)
        turn = _round_of(number, asked, settings.out, usual)
        usual = turn.got if asked is None else usual
        yield turn
        if number < rounds:
            asked = _asked_before(settings.out, number) or next_request(settings.out, per_round)


def _asked_before(out: Path, number: int) -> PumpRequest | None:
    """What the round after this one asked for, where the loop has been here before."""
    from sima2.io.store import Store

    with Store.read_only(out) as store:
        later = store.runs[number : number + 1]
    if not later or not later[0].settings.get("request"):
        return None
    family, template, count = zip(*later[0].settings["request"], strict=True)
    return PumpRequest(family=Text.of(family), template=Text.of(template), count=np.array(count, np.int64))


def next_request(out: Path, n: int) -> PumpRequest:
    """What the plan of a finished run asks the pump for: n rollouts.

    Raises:
        StoreError: if the folder holds no finished run.
    """
    from sima2.io.store import Store
    from sima2.report.inputs import read_trust
    from sima2.sampling.pool import Pool
    from sima2.sampling.request import request
    from sima2.tags.specs import TAGS

    with Store.read_only(out) as store:
        episodes = store.read_table(EpisodeTable, "episodes")
        tags = TAG_ROWS.whole(store)
        plan = store.read_table(SamplePlan, "weights")
    return request(plan, Pool.of(episodes, tags, read_trust(out), TAGS), n)


def _evenly(settings: RunSettings, n: int) -> tuple[tuple[str, str, int], ...]:
    from sima2.client import made_families

    families = settings.families or made_families(settings.source)
    parts = [n // len(families) + (k < n % len(families)) for k in range(len(families))]
    return tuple((family, "", count) for family, count in zip(families, parts, strict=True) if count)


def _round_of(number: int, asked: PumpRequest | None, out: Path, usual: Mapping[str, float]) -> Round:
    from sima2.io.store import Store
    from sima2.sampling.pool import given_levels
    from sima2.tags.specs import TAGS

    with Store.read_only(out) as store:
        episodes = store.read_table(EpisodeTable, "episodes")
        tags = TAG_ROWS.whole(store)
        run = store.runs[number - 1]
        # the last look that this run was the newest of; a round that brought nothing new has that of the one before
        looks = [(look, json.loads(value)) for look, _, value in store.calibrations]
    look, then = [each for each in looks if each[1]["run"] <= run.number][-1]
    own = episodes.take(np.flatnonzero(run.holds(episodes.episode_index)))
    wanted = {name: spec for name, spec in TAGS.items() if spec.template}
    given = {wanted[tag].group: level > 0 for tag, level in given_levels(tags, own.episode_id, wanted).items()}
    return Round(
        number=number,
        asked={} if asked is None else _shares(asked, usual),
        got={
            **{family: float(own.family.isin(family).mean()) for family in sorted(set(own.family))},
            **{group: float(has.mean()) if len(own) else float("nan") for group, has in given.items()},
        },
        episodes=then["episodes"],
        trust={tag: float(level) for tag, level in then["trust"].items()},
        look=look,
        effective=float(then["effective"]),
    )


def _shares(asked: PumpRequest, usual: Mapping[str, float]) -> dict[str, float]:
    """What the request should bring; of what is not asked for as such the ``usual`` share has a tag."""
    from sima2.tags.specs import TAGS

    total = int(asked.count.sum())
    shares = {name: int(asked.count[asked.family.isin(name)].sum()) / total for name in sorted(set(asked.family))}
    for spec in TAGS.values():
        if spec.template:
            share = int(asked.count[asked.template.isin(spec.template)].sum()) / total
            shares[spec.group] = share + (1.0 - share) * usual[spec.group]
    return shares
