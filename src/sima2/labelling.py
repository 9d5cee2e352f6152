"""What a person may say of which episodes, so that a tag is settled: joins counts, strata and the choice of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.analytics.needed import LEAST_KNOWN, OPEN, Needed, outcomes_needed
from sima2.analytics.recovery import find_attempts
from sima2.analytics.settings import AFTER_FAILURE, COST_FIELDS
from sima2.analytics.trust_inputs import strata_of, tag_indicators
from sima2.errors import UnknownNameError
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.tags import TagTable
from sima2.records.trust import TrustMatrix, TrustRow
from sima2.sampling.to_label import WANTED, Chosen, to_label_for_tag, unsaid
from sima2.tags.specs import TAGS, THRESHOLDS

SUCCESS: Final = "success"
DAMAGE: Final = "damage"


@dataclass(frozen=True, slots=True, eq=False)
class Arms:
    """The n episodes of a run as one tag divides them."""

    given: NDArray[np.int8]
    """1 tagged, 0 not, -1 not assessed, shape (n,)."""
    strata: Text
    """Shape (n,)."""
    open_: NDArray[np.bool_]
    """What settles the tag can still be said of the episode, shape (n,)."""
    what: str
    """Column of an outcome file that says it: ``success`` or ``damage``; empty where only a recording can."""

    @property
    def at_hand(self) -> tuple[int, int]:
        """Episodes tagged and untagged that are open."""
        tagged, untagged = (int((self.open_ & (self.given == arm)).sum()) for arm in (1, 0))
        return tagged, untagged


def arms_of(
    row: TrustRow, episodes: EpisodeTable, econ: EconTable, tags: TagTable, segments: SegmentTable | None = None
) -> Arms:
    """How a tag divides the episodes.

    Args:
        row: verdict on the tag.
        episodes: n of them.
        econ: of the same episodes, in any order.
        tags: of the same.
        segments: ordered by episode; needed where an attempt is judged (``AFTER_FAILURE``), else of no use.

    Raises:
        UnknownNameError: if the tag is none of this version.
    """
    if row.tag not in TAGS:
        raise UnknownNameError("tag", row.tag, TAGS)
    spec = {row.tag: TAGS[row.tag]}
    given = tag_indicators(tags, episodes.episode_id, spec, THRESHOLDS)[row.tag]
    strata = strata_of(episodes)
    if row.cost_field == AFTER_FAILURE and segments is not None:
        attempts = find_attempts(segments, episodes.episode_id)
        failed = ~np.isnan(attempts.failed_at_s)
        given = np.where(failed, attempts.attempted, -1).astype(np.int8)
        strata = Text.of(f"{a}|{b}" for a, b in zip(strata, attempts.reason, strict=True))
    field = COST_FIELDS.get(row.cost_field)
    if field is None or field.needs_success:
        return Arms(given, strata, unsaid(episodes), SUCCESS)
    place = {name: i for i, name in enumerate(econ.episode_id)}
    at = np.array([place[name] for name in episodes.episode_id], np.int64)
    unknown = np.isnan(getattr(econ, field.name)[at]) & ~episodes.debug_mode
    can_be_said = field.name == DAMAGE
    return Arms(given, strata, unknown if can_be_said else np.zeros(len(unknown), np.bool_), DAMAGE * can_be_said)


def needs(matrix: TrustMatrix, episodes: EpisodeTable, econ: EconTable, tags: TagTable) -> dict[str, dict[str, Any]]:
    """What would settle each tag that is not settled, as plain values.

    Returns:
        By tag: the fields of ``Needed``, ``outcomes`` in all, ``what`` is to be said, and how many episodes are
        ``at_hand`` to say it of; None where that takes the segments (an attempt is judged), which are not read for it.
    """
    open_ = {tag: row for tag, row in matrix.items() if row.reason in OPEN and tag in TAGS}
    arms = {tag: arms_of(row, episodes, econ, tags) for tag, row in open_.items()}
    told = {tag: each.at_hand for tag, each in arms.items() if open_[tag].cost_field != AFTER_FAILURE}
    stock = {tag: each for tag, each in told.items() if min(each)}
    said = {tag: _recorded(episodes, arms[tag], attempt=row.cost_field == AFTER_FAILURE) for tag, row in open_.items()}
    recorded = {tag: each for tag, each in said.items() if each is not None}
    return {
        tag: {**_plain(need), "what": arms[tag].what, "at_hand": _hand(told.get(tag))}
        for tag, need in outcomes_needed(matrix, stock, recorded=recorded).items()
        if tag in arms
    }


def _recorded(episodes: EpisodeTable, arms: Arms, *, attempt: bool) -> tuple[int, int] | None:
    """Tagged and untagged episodes of recorded outcome where the tag was judged by inferred ones; None where not."""
    if arms.what != SUCCESS or not episodes.outcome_source.isin("inferred").any():
        return None
    known = np.isfinite(episodes.success) & ~episodes.outcome_source.isin("none", "inferred")
    if attempt:
        return (0, 0) if known.sum() < LEAST_KNOWN else None
    tagged, untagged = (int((known & (arms.given == arm)).sum()) for arm in (1, 0))
    return (tagged, untagged) if tagged + untagged < LEAST_KNOWN else None


def _plain(need: Needed) -> dict[str, Any]:
    return {**asdict(need), "outcomes": need.outcomes}


def _hand(at_hand: tuple[int, int] | None) -> dict[str, int] | None:
    return None if at_hand is None else dict(zip(("tagged", "untagged"), at_hand, strict=True))


def chosen_for(
    episodes: EpisodeTable, arms: Arms, needed: Mapping[str, Any] | None = None, n: int | None = None, *, seed: int = 0
) -> list[Chosen]:
    """Episodes to say the outcome of for one tag, in their order.

    Args:
        episodes: of the run.
        arms: how the tag divides them.
        needed: what :func:`needs` said of it.
        n: how many in all; as many as are needed if not given, twelve where that is not known.
        seed: another one draws another random half.
    """
    tagged, untagged = (int((needed or {}).get(arm) or 0) for arm in ("tagged", "untagged"))
    total = tagged + untagged if n is None else n
    total = total or WANTED
    share = tagged / (tagged + untagged) if tagged + untagged else 0.5
    at_hand = arms.at_hand
    first = min(round(total * share), at_hand[0])
    # what one arm lacks is not made up for by the other, unless a number was asked for
    second = min(total - (first if n is not None else round(total * share)), at_hand[1])
    return to_label_for_tag(episodes, arms.given, arms.strata, arms.open_, (first, second), seed=seed)
