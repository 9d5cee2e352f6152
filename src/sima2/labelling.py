"""What a person may say of which episodes, so that a tag is settled: joins counts, strata and the choice of them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from sima2.analytics.econ_settings import COST_FIELDS
from sima2.analytics.power import LEAST_ARM, LEAST_KNOWN, OPEN, Needed, outcomes_needed
from sima2.analytics.recovery import find_attempts
from sima2.analytics.said import episodes_as_said
from sima2.analytics.trust_inputs import strata_of, tag_indicators
from sima2.errors import RecordError, StoreError, UnknownNameError
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.courses import UnusualTable
from sima2.records.defects import DefectTable
from sima2.records.econ import AFTER_FAILURE, EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.labels import LabelTable, SaidTable, said_of
from sima2.records.plan import TrainingPlan
from sima2.records.segments import SegmentTable
from sima2.records.table import Table, Text
from sima2.records.tags import TagTable
from sima2.records.trust import TrustMatrix, TrustRow
from sima2.sampling.to_label import WANTED, Chosen, asking_order, most_teaching, to_label_for_tag, unsaid
from sima2.shard_tables import COSTS, SEGMENTS, TAG_ROWS
from sima2.tags.specs import TAGS

if TYPE_CHECKING:
    from sima2.io.store import Store

T = TypeVar("T", bound=Table)
SUCCESS: Final = "success"
DAMAGE: Final = "damage"


@dataclass(frozen=True, slots=True, eq=False)
class Arms:
    """The n episodes of a run as one tag divides them."""

    given: NDArray[np.int8]
    """1 tagged, 0 not, -1 not assessed, shape (n,)."""
    strata: Text
    """Shape (n,)."""
    open_: Bools
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
    given = tag_indicators(tags, episodes.episode_id, spec)[row.tag]
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


def needs(
    matrix: TrustMatrix, episodes: EpisodeTable, econ: EconTable, tags: TagTable, said: SaidTable | None = None
) -> dict[str, dict[str, Any]]:
    """What would settle each tag that is not settled, as plain values.

    Args:
        matrix: verdict on every tag.
        episodes: of the run.
        econ: of the same.
        tags: of the same.
        said: what persons say, of which only what was drawn by lot counts.

    Returns:
        By tag: the fields of ``Needed``, ``outcomes`` in all, ``what`` is to be said, and how many episodes are
        ``at_hand`` to say it of; None where that takes the segments (an attempt is judged), which are not read for it.
    """
    open_ = {tag: row for tag, row in matrix.items() if row.reason in OPEN and tag in TAGS}
    arms = {tag: arms_of(row, episodes, econ, tags) for tag, row in open_.items()}
    told = {tag: each.at_hand for tag, each in arms.items() if open_[tag].cost_field != AFTER_FAILURE}
    stock = {tag: each for tag, each in told.items() if min(each)}
    known = _counts(episodes, SaidTable.empty() if said is None else said)
    told_of = {
        tag: _recorded(episodes, arms[tag], known, attempt=row.cost_field == AFTER_FAILURE)
        for tag, row in open_.items()
    }
    recorded = {tag: each for tag, each in told_of.items() if each is not None}
    return {
        tag: {**_plain(need), "what": arms[tag].what, "at_hand": _hand(told.get(tag))}
        for tag, need in outcomes_needed(matrix, stock, recorded=recorded).items()
        if tag in arms
    }


def _counts(episodes: EpisodeTable, said: SaidTable) -> Bools:
    """Episodes whose outcome was told, and counts in a test of a tag, shape (n,)."""
    chosen = said.episode_id[said.outcome & said.chosen.isin("active")]
    by_choice = episodes.episode_id.isin(*chosen) & episodes.outcome_source.isin("person")
    return np.isfinite(episodes.success) & ~episodes.outcome_source.isin("none", "inferred") & ~by_choice


def _recorded(episodes: EpisodeTable, arms: Arms, known: Bools, *, attempt: bool) -> tuple[int, int] | None:
    """Tagged and untagged episodes of recorded outcome where the tag was judged by inferred ones; None where not."""
    if arms.what != SUCCESS or not episodes.outcome_source.isin("inferred").any():
        return None
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


class ToAsk(NamedTuple):
    """An episode that a person should look at next."""

    episode_id: str
    chosen: str
    """``random`` or ``active``: what a label of it is to say of how it was chosen."""
    why: str
    """In words."""


class TagQuestion(NamedTuple):
    """How far the labels go for one tag."""

    tag: str
    testable: bool
    """Enough is known of both arms to test it: now, or at the next run."""
    tested: bool
    """It was tested at the last run."""
    tagged: int
    """Episodes that have it and whose outcome counts."""
    untagged: int
    """The same of those that do not have it."""
    both: bool
    """Successes and failures are known of episodes that can be compared: where all end alike nothing can be tested."""
    more: int
    """Labels of episodes drawn by lot that are missing for any test, at the least; 0 where it is testable."""
    possible: bool
    """Enough episodes with and without it are there to be labelled, or are known: else no label makes it testable."""
    to_settle: int | None
    """About how many labels more would settle it; None where that is not known, or more would not help."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenQuestions:
    """What a finished run leaves for persons to say: read once, asked after every label.

    Methods take all labels so far, those that the run knew among them.
    """

    episodes: EpisodeTable
    """With the outcomes of the run."""
    conflicts: Mapping[str, str]
    """By name of an episode, how the motion contradicts its recorded outcome."""
    overridden: Mapping[str, str]
    """By name of an episode, how a person contradicted it, as of the run."""
    central: Float64s
    """How near each episode is to the middle of its task; NaN unknown, shape (n,)."""
    usable: Bools
    """Not dropped by the plan for what is wrong with its data, shape (n,)."""
    arms: Mapping[str, Arms]
    """By tag that an outcome tells of, how it divides the episodes."""
    rows: Mapping[str, TrustRow]
    needed: Mapping[str, int]
    """By tag, outcomes more that would settle it as of the last run."""
    said: SaidTable
    """What the run knew."""

    @classmethod
    def of(cls, out: Path) -> Self:
        """Of the folder of a finished run.

        Raises:
            StoreError: if it holds none.
        """
        from sima2.io.store import SUMMARY, Store

        with Store.read_only(out) as store:
            episodes = _held(store, EpisodeTable, "episodes")
            defects, unusual = _held(store, DefectTable, "defects"), _held(store, UnusualTable, "unusual")
            plan, said = _held(store, TrainingPlan, "plan"), _held(store, SaidTable, "said")
            econ, tags = COSTS.whole(store), TAG_ROWS.whole(store)
            segments = SEGMENTS.whole(store)
            try:
                summary = json.loads(store.read_text(SUMMARY))
                matrix = TrustMatrix.from_json(store.read_text("trust_matrix.json"))
            except (RecordError, ValueError, RecursionError) as error:
                raise StoreError(f"{out}: its summary or trust matrix cannot be read ({error})") from None
        found = {
            kind: dict(zip(told.episode_id, told.details, strict=True))
            for kind in ("label_conflict", "outcome_overridden")
            for told in [defects.take(defects.defect.isin(kind))]
        }
        rank = dict(zip(unusual.episode_id, unusual.rank.tolist(), strict=True))
        arms = {}
        if len(econ) == len(episodes):
            arms = {tag: arms_of(row, episodes, econ, tags, segments) for tag, row in matrix.items() if tag in TAGS}
        needed = {tag: _object(summary, "trust", tag, "needed").get("outcomes") for tag in matrix.rows}
        dropped = plan.take(plan.action.isin("drop") & ~plan.codes.isin("failed"))
        return cls(
            episodes=episodes,
            conflicts=found["label_conflict"],
            overridden=found["outcome_overridden"],
            central=np.array([rank.get(name, np.nan) for name in episodes.episode_id], np.float64),
            usable=~episodes.episode_id.isin(*dropped.episode_id),
            arms={tag: each for tag, each in arms.items() if each.what == SUCCESS},
            rows=matrix.rows,
            needed={tag: int(n) for tag, n in needed.items() if isinstance(n, int)},
            said=said,
        )

    def order(self, labels: LabelTable, *, n: int = WANTED, seed: int = 0, skip: Collection[str] = ()) -> list[ToAsk]:
        """Whom to look at next, in order: at least half of all by lot, the others because a label would teach.

        The same labels and seed give the same order, and after a label of the first the rest is as it was.

        Args:
            labels: all so far.
            n: how many at most.
            seed: another one draws another lot.
            skip: names of episodes of which nobody can say anything. Who skips by what is seen makes the lot a choice.
        """
        said = said_of(labels)
        episodes = self._now(said)
        open_ = unsaid(episodes) & self.usable
        mine = said.take(said.outcome & said.episode_id.isin(*episodes.episode_id))
        disputed = set(mine.episode_id[mine.disputed])
        at = {name: i for i, name in enumerate(episodes.episode_id)}
        known = set(mine.episode_id)
        first = [(at[name], "persons disagree on how it ended") for name in sorted(disputed)]
        first += [(at[name], words) for name, words in self.conflicts.items() if name in at and name not in known]
        open_[[at[name] for name in disputed]] = False
        by_lot = int(mine.chosen.isin("random").sum())
        order = asking_order(
            episodes,
            open_,
            most_teaching(episodes, open_, first, self.central),
            n + len(skip),
            said=(by_lot, len(mine) - by_lot),
            seed=seed,
        )
        asked = [ToAsk(episodes.episode_id[each.row], each.by, each.why) for each in order]
        return [each for each in asked if each.episode_id not in skip][:n]

    def testable(self, labels: LabelTable) -> list[TagQuestion]:
        """How far the labels go for each tag that outcomes tell of, by name; only those drawn by lot count.

        Args:
            labels: all so far.
        """
        said = said_of(labels)
        episodes = self._now(said)
        known = _counts(episodes, said)
        since = int((known & ~_counts(self.episodes, self.said)).sum())
        inferred = bool(episodes.outcome_source.isin("inferred").any())
        return [
            self._test(tag, arms, episodes.success, known, unsaid(episodes), inferred, since)
            for tag, arms in sorted(self.arms.items())
        ]

    def _test(
        self,
        tag: str,
        arms: Arms,
        success: Float64s,
        known: Bools,
        open_: Bools,
        inferred: bool,
        since: int,
    ) -> TagQuestion:
        counted = known & (arms.given >= 0)
        n = len(arms.strata.names)

        def per_stratum(which: Bools, of: Bools = counted) -> Int64s:
            return np.bincount(arms.strata.codes[of & which], minlength=n)

        tagged, untagged = per_stratum(arms.given == 1), per_stratum(arms.given == 0)
        ends = [per_stratum(success == told)[(tagged > 0) & (untagged > 0)] for told in (1.0, 0.0)]
        both = bool(((ends[0] > 0) & (ends[1] > 0)).any())
        short = max(LEAST_ARM - int(np.minimum(tagged, untagged).sum()), 0)
        # one of the other arm is enough where one arm has more than the other already
        more = short + max(short - int(np.abs(tagged - untagged).sum()), 0)
        if inferred:  # so many are needed before they are judged by themselves
            more = max(more, LEAST_KNOWN - int(counted.sum()))
        there = known | open_
        most = np.minimum(per_stratum(arms.given == 1, there), per_stratum(arms.given == 0, there)).sum()
        row, settle = self.rows[tag], self.needed.get(tag)
        return TagQuestion(
            tag=tag,
            testable=more == 0 and both,
            tested=row.reason not in _UNTESTED,
            tagged=int(tagged.sum()),
            untagged=int(untagged.sum()),
            both=both,
            more=more if both else max(more, 1),
            possible=bool(most >= LEAST_ARM),
            to_settle=None if settle is None else max(settle - since, 0),
        )

    def _now(self, said: SaidTable) -> EpisodeTable:
        """The episodes as persons say by now; what was taken back since the run is not known."""
        spoken = self.episodes.episode_id.isin(*said.episode_id[said.outcome])
        back = self.episodes.outcome_source.isin("person") & ~spoken
        source = ["none" if gone else name for gone, name in zip(back, self.episodes.outcome_source, strict=True)]
        before = replace(
            self.episodes,
            success=np.where(back, np.nan, self.episodes.success),
            outcome_source=Text.of(source),
        )
        return episodes_as_said(before, said)


_UNTESTED: Final = ("no_outcome", "too_few", "not_assessed", "constant_outcome", "self_referential")
"""Reasons of a tag that no told outcome has tested yet."""


def _held(store: Store, cls: type[T], name: str) -> T:
    path = store.path / f"{name}.parquet"
    return store.read_table(cls, name) if path.is_file() else cls.empty()


def _object(value: Any, *names: str) -> Mapping[str, Any]:
    """What lies behind names in nested objects; empty where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def label_order(out: Path, labels: LabelTable, *, n: int = WANTED, seed: int = 0) -> list[ToAsk]:
    """Whom to look at next, in order; see :meth:`OpenQuestions.order`, which is for who asks again and again.

    Raises:
        StoreError: if the folder holds no finished run.
    """
    return OpenQuestions.of(out).order(labels, n=n, seed=seed)


def tags_testable(out: Path, labels: LabelTable) -> list[TagQuestion]:
    """How far the labels go for each tag; see :meth:`OpenQuestions.testable`.

    Raises:
        StoreError: if the folder holds no finished run.
    """
    return OpenQuestions.of(out).testable(labels)
