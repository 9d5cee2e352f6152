"""The plan of a finished run: read back what is known, and weigh it for an objective by a preset."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from sima2.errors import RecordError, StoreError, UsageError
from sima2.io.arrow import read_table
from sima2.io.store import Store
from sima2.records.arrays import Int64s
from sima2.records.courses import ConsensusTable
from sima2.records.defects import DefectTable
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import CardTable, PlannedFrames, SegmentVerdicts
from sima2.records.table import Table
from sima2.records.trust import TrustMatrix
from sima2.sampling.plan import SAID, Known, Plan, precision_of
from sima2.sampling.plan_settings import DROP, PlanSettings
from sima2.sampling.planned import Planned, planned
from sima2.sampling.pool import Pool
from sima2.sampling.tag_reviews import tag_reviews
from sima2.sampling.verdicts import segment_verdicts
from sima2.shard_tables import FRAME_WEIGHTS, PAUSES, SEGMENTS, TAG_ROWS
from sima2.tags.specs import TAGS

T = TypeVar("T", bound=Table)


def plan_of(
    out: Path, *, objective: str = "bc", preset: str = "measured", without: Sequence[str] = (), also: Sequence[str] = ()
) -> Plan:
    """What to do with each episode of a finished run, and which of its frames weigh less than it.

    Args:
        out: folder of the run.
        objective: ``bc`` (imitation) or ``rl``.
        preset: ``measured``, ``conservative``, ``strict`` or ``none``.
        without: rules that are off, by name (``plan_settings.RULES``).
        also: rules that act though every preset leaves them off, by name (``plan_settings.ALSO``).

    Raises:
        StoreError: if the folder holds no finished run.
        UnknownNameError: for a wrong name, naming the valid ones.
    """
    settings = PlanSettings(objective=objective, preset=preset, without=tuple(without), also=tuple(also))
    return planned_of(out, settings, drawn=False)[0].plan


def planned_of(
    out: Path,
    settings: PlanSettings,
    *,
    strategy: str = "trust_weighted",
    only_successes: bool = False,
    drawn: bool = True,
) -> tuple[Planned, Pool]:
    """The plan, how often each episode is drawn by it, and the pool that is drawn from.

    Args:
        out: folder of the run.
        settings: of the plan.
        strategy: of the draws.
        only_successes: leave out all that are not known to have succeeded.
        drawn: whether something is to be drawn by it, for which something must be left.

    Raises:
        StoreError: if the folder holds no finished run.
        UsageError: if the plan leaves every episode out, or none is known to have succeeded where only such are wanted.
    """
    known, pool = known_of(out)
    if only_successes:
        won = (pool.success == 1) & known.episodes.outcome_source.isin(*SAID)
        if not won.any():
            raise UsageError("no episode is known to have succeeded: leave out --only-successes")
        known = replace(known, episodes=known.episodes.take(won))
        pool = pool.take(won)
    found = planned(known, pool, settings, strategy=strategy)
    if drawn and len(pool) and not (found.plan.episodes.weight > 0).any():
        gone = {code for each in found.plan.episodes.codes.names for code in each.split(",") if code}
        codes = sorted(code for code in gone if settings.act(code) == DROP) or sorted(gone)
        raise UsageError(
            f"the plan leaves every episode out ({', '.join(codes)}): choose another --objective or --preset, or "
            "switch a rule off (--without)"
        )
    return found, pool


def known_of(out: Path) -> tuple[Known, Pool]:
    """All that a finished run knows of its episodes.

    Raises:
        StoreError: if the folder holds no finished run, or a table of it was changed since.
    """
    with Store.read_only(out) as store:
        store.check(
            "episodes.parquet",
            "defects.parquet",
            "consensus.parquet",
            "trust_matrix.json",
            "trust_by_collection.json",
            CARD,
        )
        episodes = _single(store, EpisodeTable, "episodes")
        tags = TAG_ROWS.whole(store)
        verdicts = SegmentVerdicts.concat([segment_verdicts(part) for part in SEGMENTS.shards(store)])
        pauses = PAUSES.whole(store)
        defects = _single(store, DefectTable, "defects")
        agreed = _single(store, ConsensusTable, "consensus")
        card = _single(store, CardTable, CARD) if (out / CARD).is_file() else CardTable.empty()
        trust = _trust(store)
    known = Known(
        episodes=episodes,
        defects=defects,
        verdicts=verdicts,
        pauses=pauses,
        consensus=agreed,
        precision=precision_of(card),
        asked=tag_reviews(episodes, tags, trust, TAGS),
    )
    return known, Pool.of(episodes, tags, trust, TAGS)


def frames_of(out: Path, plan: Plan, episode_index: Int64s | None = None) -> PlannedFrames:
    """Every frame of a finished run with its weight by a plan of it, numbered as its source numbers it.

    Args:
        out: folder of the run.
        plan: of all its episodes.
        episode_index: only of these.
    """
    from sima2.sampling.frames import planned_frames

    with Store.read_only(out) as store:
        episodes = _single(store, EpisodeTable, "episodes")
        held = FRAME_WEIGHTS.whole(store)
    at = {name: i for i, name in enumerate(episodes.episode_id)}
    rows = np.array([at[name] for name in dict.fromkeys(held.episode_id)], np.int64)
    if episode_index is not None:
        rows = rows[np.isin(episodes.episode_index[rows], episode_index)]
    chosen = episodes.take(rows)
    index = held.index[held.episode_id.isin(*chosen.episode_id)]
    return planned_frames(Plan(plan.episodes.take(rows), plan.spans), chosen.frames, index)


CARD: Final = "verdict_card.parquet"
"""How sure a run found its verdicts on segments; what ``sima2 card`` writes is for people and moves nothing."""


def _single(store: Store, cls: type[T], name: str) -> T:
    path = store.path / (name if name.endswith(".parquet") else f"{name}.parquet")
    return read_table(cls, path) if path.is_file() else cls.empty()


def _trust(store: Store) -> TrustMatrix:
    """The trust matrix of the run, of several collections with that of each."""
    path = store.path / "trust_matrix.json"
    if not path.is_file():
        raise StoreError(f"{path}: there is no such file; is this the folder of a finished run?")
    try:
        matrix = TrustMatrix.from_json(store.read_text(path.name))
        beside = store.path / "trust_by_collection.json"
        return matrix.with_collections(store.read_text(beside.name)) if beside.is_file() else matrix
    except (RecordError, json.JSONDecodeError) as error:
        raise StoreError(f"{path}: not a trust matrix of this version ({error})") from None
