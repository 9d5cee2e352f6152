"""From the tables of a shard to what trust is computed from: indicators, strata, counts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from sima2.analytics.counts import INFERRED, WHOLE, TrustCounts, count, merge
from sima2.analytics.econ_settings import cost_field
from sima2.analytics.recovery import find_attempts, recovery_counts
from sima2.errors import RecordError
from sima2.records.arrays import Bools
from sima2.records.econ import AFTER_FAILURE, EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.tags import TagSpec, TagTable
from sima2.records.vocabulary import TAG_KINDS


def tag_indicators(
    tags: TagTable,
    episode_id: Text,
    specs: Mapping[str, TagSpec],
    *,
    whole: bool = False,
) -> dict[str, NDArray[np.int8]]:
    """Which episodes have each tag: 1 given, 0 not, -1 not assessed, shape (n,).

    A tag is given where a row of its declared kind lies above its threshold. A predictive tag's diagnostic rows (found
    too late to predict anything) show that it was assessed, not that it was given, unless ``whole`` episodes are asked
    for.
    """
    place = {name: i for i, name in enumerate(episode_id)}
    known = np.array([place.get(name, -1) for name in tags.episode_id.names], np.int64)
    row = known[tags.episode_id.codes] if len(tags) else np.zeros(0, np.int64)
    out = {}
    for tag, spec in sorted(specs.items()):
        mine = tags.tag.isin(tag) & (row >= 0)
        assessed = mine & ~np.isnan(tags.level)
        kinds = tags.kind.isin(*TAG_KINDS) if whole else tags.kind.isin(spec.kind)
        given = assessed & kinds & (np.nan_to_num(tags.level) > spec.threshold)
        column = np.full(len(episode_id), -1, np.int8)
        column[row[assessed]] = 0
        column[row[given]] = 1
        out[tag] = column
    return out


def strata_of(episodes: EpisodeTable) -> Text:
    """Family, robot, policy and session: within these an episode is compared, shape (n,)."""
    columns = [getattr(episodes, name) for name in ("family", "robot", "policy", "session")]
    codes = np.stack([column.codes for column in columns], axis=1)
    kinds, inverse = np.unique(codes, axis=0, return_inverse=True)
    names = ["|".join(column.names[c] for column, c in zip(columns, kind)) for kind in kinds.tolist()]
    place = {name: k for k, name in enumerate(sorted(set(names)))}
    recode = np.array([place[name] for name in names], np.int32)
    return Text(recode[inverse.reshape(-1)] if len(names) else np.zeros(0, np.int32), sorted(place))


def trust_counts(
    tags: TagTable,
    econ: EconTable,
    episodes: EpisodeTable,
    segments: SegmentTable,
    specs: Mapping[str, TagSpec],
) -> TrustCounts:
    """Counts of a shard: every tag against its declared cost, and attempts against what came after a failure.

    Episodes whose outcome was inferred are counted apart for costs that rest on it. Predictive tags are counted once
    more as given at any time of the episode (``counts.WHOLE``), to tell how much of what they say comes too late.

    Args:
        tags: of the shard.
        econ: one row an episode.
        episodes: the same episodes in the same order.
        segments: of the shard.
        specs: what the tags declare.

    Raises:
        RecordError: if econ and episodes are not of the same episodes.
    """
    if econ.episode_id.tolist() != episodes.episode_id.tolist():
        raise RecordError("econ vectors and episodes are not of the same episodes in the same order")
    indicators = tag_indicators(tags, episodes.episode_id, specs)
    predictive = {tag: spec for tag, spec in specs.items() if spec.kind == "predictive"}
    whole = tag_indicators(tags, episodes.episode_id, predictive, whole=True)
    strata = strata_of(episodes)
    inferred = econ.outcome_source.isin("inferred")
    parts = []
    for field in sorted({spec.cost_field for spec in specs.values()}):
        cost = cost_field(field)
        y = getattr(econ, field)
        for suffix, where in _by_source(inferred) if cost.needs_success else (("", None),):
            rows = np.arange(len(y)) if where is None else np.flatnonzero(where)
            for columns, form in ((indicators, ""), (whole, WHOLE)):
                part = {tag: column[rows] for tag, column in columns.items() if specs[tag].cost_field == field}
                if part:
                    parts.append(count(part, y[rows], strata[rows], cost, name=field + suffix + form))
    attempts = find_attempts(segments, episodes.episode_id)
    for suffix, where in _by_source(inferred):
        success = np.where(where, econ.success, np.nan)
        for tag in (tag for tag, spec in specs.items() if spec.by_attempt):
            name = AFTER_FAILURE + suffix
            parts.append(recovery_counts(tag, attempts, success, econ.duration_s, strata, name=name))
    return reduce(merge, parts, TrustCounts())


def _by_source(inferred: Bools) -> tuple[tuple[str, Bools], ...]:
    """Recorded and inferred outcomes apart; a part without episodes is no panel."""
    return tuple((suffix, where) for suffix, where in (("", ~inferred), (INFERRED, inferred)) if where.any())
