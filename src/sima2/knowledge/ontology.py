"""OntologyUpdateEngine: from evidence to affordances, fragilities, recoveries and missing skills."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.errors import UsageError
from sima2.knowledge.cells import Cells, Rows
from sima2.knowledge.evidence import RECOVERED, STEPS, Evidence
from sima2.knowledge.ontology_graph import build
from sima2.knowledge.proposals import Draft, table_of
from sima2.knowledge.roles import BE_WIPED, CONTAIN, SORT, SUPPORT
from sima2.knowledge.support import exceeds, lower_bound, selection_level, upper_bound
from sima2.records.arrays import Int64s
from sima2.records.knowledge import Graph, ProposalTable
from sima2.records.vocabulary import UNKNOWN

AFFORDANCES: Final[Mapping[str, str]] = {
    "grasp": "graspable",
    "lift": "liftable",
    "transport": "transportable",
    "place": "placeable",
    "pull": "pullable",
    "push": "pushable",
    "wipe": "wipeable",
    BE_WIPED: "wipeable",
    SUPPORT: "support_surface",
    CONTAIN: "container",
    SORT: "sortable",
}
"""What an object affords to whom an action on it, or an action in which it plays a role, succeeds."""

_MOVING: Final = ("lift", "transport", "pull", "wipe")
"""What shows that a grasp held."""


@dataclass(frozen=True, slots=True)
class OntologyUpdateEngine:
    """Proposes; it changes nothing. What decides are one-sided 95 % bounds of a rate, never a bare ratio.

    A rate is taken over attempts and over episodes, and the less favourable one counts: attempts within an episode are
    not independent, and one episode that fails ten times in a row makes no step fragile.
    """

    least_support: int = 3
    """Occurrences below which nothing is proposed at all: one or two may be a mislabelled segment each."""
    least_success: float = 0.05
    """An affordance holds when its action surely succeeds more often than a label is wrong by chance."""
    least_share: float = 0.03
    """And when it is shown in surely more than this share of the episodes in which the object took part: rarer ones
    are segments that name the wrong one of two things close together."""
    misnamed: float = 0.05
    """What an object underwent in surely fewer of its episodes than this is a misnaming, and no fragility of it."""
    fragile: float = 0.05
    """A step is fragile when it surely fails more often than one time in twenty. The rate is fixed, not taken from the
    data: where every step is weak, every step is fragile. See :meth:`propose` for how many are looked at."""
    least_recovery: float = 0.05
    """A correction recovers when it surely makes good more than one failure in twenty."""
    patience: int = 100
    """Episodes that tried a fragile step, after it was known to be so, before its missing recovery is an alert."""

    def __post_init__(self) -> None:
        for name in ("least_success", "least_share", "misnamed", "fragile", "least_recovery"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, it must be a rate in [0, 1)")
        if self.least_support < 1 or self.patience < 0:
            raise UsageError("least_support must be at least 1 and patience at least 0")

    def propose(self, evidence: Evidence) -> ProposalTable:
        """Proposals on the evidence so far, ordered by priority; the same evidence gives the same proposals.

        Many (object, action) pairs are looked at for fragility; those named are at most one in twenty wrong
        (Benjamini and Hochberg, 1995). Of a named pair, each reason that alone fails often enough is a proposal; where
        none does, one without a reason stands for all of them.
        """
        cells = Cells.of(evidence)
        fragile = self._fragilities(cells)
        recovered = self._recoveries(cells, fragile)
        missing = self._missing(cells, fragile, recovered)
        return table_of([*self._affordances(cells), *fragile, *recovered, *missing])

    def ontology(self, evidence: Evidence, proposals: ProposalTable) -> Graph:
        """Typed nodes with their support; every node has an edge.

        Nodes are ``object:…``, ``action:…``, ``affordance:…``, ``skill:…`` and ``reason:…``; the accepted fragilities
        and recoveries under their proposal's id; and for each fragility without a recovery an ``alert:…``, ``open``
        where it has stood for too long, else ``watching``. Each tells ``support``, ``trials``, ``low`` and ``high`` of
        its rate (two-sided 95 %), ``rate_of``, ``confidence``, the number of ``episodes`` and ``frames`` of a sample
        of them.
        """
        return build(Cells.of(evidence), proposals, AFFORDANCES)

    def _affordances(self, cells: Cells) -> list[Draft]:
        found = []
        for thing, action in cells.pairs():
            done = cells.at(thing, action, "success")
            support = cells.count(done)
            if action not in AFFORDANCES or thing == UNKNOWN or support < self.least_support:
                continue
            if action == "grasp" and not self._moved(cells, thing):
                continue
            trials = cells.count(cells.tried(thing, action))
            low, high = _bounds(cells, done, cells.tried(thing, action))
            shown, there = cells.distinct(done), cells.distinct(cells.present(thing))
            # a share that is too small is told as the rate that it leaves of what is needed
            scale = self.least_success / self.least_share if self.least_share else 1.0
            low = min(low, scale * float(lower_bound(shown, there)))
            high = min(high, scale * float(upper_bound(shown, there)))
            found.append(
                Draft(
                    kind="affordance",
                    object=thing,
                    action=action,
                    priority=0.5 * low,
                    confidence=low,
                    ceiling=high,
                    support=support,
                    trials=trials,
                    needed=self.least_success,
                    rationale=f"{action} of {thing} succeeded {support} of {trials} times, "
                    f"in {shown} of the {there} episodes it took part in: {AFFORDANCES[action]}",
                    episodes=cells.sample(done),
                )
            )
        return found

    def _moved(self, cells: Cells, thing: str) -> bool:
        """It was seen to move with the hand; fingers that close beside a thing grasp something else."""
        return any(cells.count(cells.at(thing, action, "success")) >= self.least_support for action in _MOVING)

    def _fragilities(self, cells: Cells) -> list[Draft]:
        pairs = [pair for pair in cells.pairs() if pair[1] in STEPS and self._credible(cells, *pair)]
        p = [self._p_value(cells, *pair) for pair in pairs]
        level = selection_level(p)
        found = []
        for thing, action in pairs:
            tried = cells.tried(thing, action)
            drafts = [
                self._fragility(cells, thing, action, reason, tried, level)
                for reason in cells.reasons(thing, action)
                if cells.count(cells.at(thing, action, "failure", reason=reason)) >= self.least_support
            ]
            failures = cells.at(thing, action, "failure")
            if not any(draft.holds for draft in drafts) and cells.count(failures) >= self.least_support:
                whole = self._fragility(cells, thing, action, None, tried, level)
                drafts = [*(draft for draft in drafts if draft.reason), whole] if whole.holds else drafts
            found += drafts
        return found

    def _credible(self, cells: Cells, thing: str, action: str) -> bool:
        """The object is not merely misnamed when it undergoes this."""
        tried, there = cells.distinct(cells.tried(thing, action)), cells.distinct(cells.present(thing))
        return tried > 0 and float(upper_bound(tried, max(there, tried))) > self.misnamed

    def _p_value(self, cells: Cells, thing: str, action: str) -> float:
        failures, tried = cells.at(thing, action, "failure"), cells.tried(thing, action)
        by_attempt = exceeds(cells.count(failures), cells.count(tried), self.fragile)
        by_episode = exceeds(cells.distinct(failures), cells.distinct(tried), self.fragile)
        return max(float(by_attempt), float(by_episode))

    def _fragility(self, cells: Cells, thing: str, action: str, reason: str | None, tried: Rows, level: float) -> Draft:
        failures = cells.at(thing, action, "failure", reason=reason)
        low, high = _bounds(cells, failures, tried, level)
        support, trials = cells.count(failures), cells.count(tried)
        why = "for various reasons" if reason is None else reason or "reason unknown"
        return Draft(
            kind="fragility_node",
            object=thing,
            action=action,
            reason=reason or "",
            priority=low,
            confidence=low,
            ceiling=high,
            support=support,
            trials=trials,
            needed=self.fragile,
            rationale=f"{action} of {thing} failed {support} of {trials} times: {why}",
            episodes=cells.sample(failures),
        )

    def _recoveries(self, cells: Cells, fragile: list[Draft]) -> list[Draft]:
        found = []
        for node in fragile:
            if not node.holds:
                continue
            reason = _reason_of(cells, node)
            for correction in ("recovery_maneuver", "retry"):
                mended = cells.at(node.object, node.action, RECOVERED, reason=reason, correction=correction)
                times = cells.count(mended)
                if times < self.least_support:
                    continue
                low, high = float(lower_bound(times, node.support)), float(upper_bound(times, node.support))
                found.append(
                    Draft(
                        kind="recovery_node",
                        object=node.object,
                        action=node.action,
                        reason=node.reason,
                        detail=correction,
                        priority=low,
                        confidence=low,
                        ceiling=high,
                        support=times,
                        trials=node.support,
                        needed=self.least_recovery,
                        rationale=f"{correction} made good {times} of {node.support} failures: {_named(node)}",
                        episodes=cells.sample(mended),
                    )
                )
        return found

    def _missing(self, cells: Cells, fragile: list[Draft], recovered: list[Draft]) -> list[Draft]:
        paired = {(each.object, each.action, each.reason) for each in recovered if each.holds}
        found = []
        for node in fragile:
            if not node.holds or (node.object, node.action, node.reason) in paired:
                continue
            stood = self._stood(cells, node)
            if stood > self.patience:
                found.append(
                    Draft(
                        kind="missing_skill",
                        object=node.object,
                        action=node.action,
                        reason=node.reason,
                        priority=max(0.9, node.priority),
                        confidence=node.confidence,
                        support=node.support,
                        trials=node.trials,
                        needed=self.fragile,
                        rationale=f"{_named(node)} has stood for {stood} episodes and no correction makes it good",
                        episodes=node.episodes,
                    )
                )
        return found

    def _stood(self, cells: Cells, node: Draft) -> int:
        """Episodes that tried the step after it was first surely fragile, in the order of their ids.

        The order of ids stands for that of time: no result may depend on the order of arrival.
        """
        table = cells.evidence
        tried = cells.tried(node.object, node.action)
        failed = cells.at(node.object, node.action, "failure", reason=_reason_of(cells, node))
        ids = np.unique(table.episode_id.codes[tried])

        def so_far(rows: Rows) -> Int64s:
            total = np.zeros(len(ids), np.int64)
            np.add.at(total, np.searchsorted(ids, table.episode_id.codes[rows]), table.count[rows])
            return total.cumsum()

        failures = so_far(failed)
        sure = (lower_bound(failures, so_far(tried)) > self.fragile) & (failures >= self.least_support)
        return len(ids) - 1 - int(np.argmax(sure)) if sure.any() else 0


def _reason_of(cells: Cells, node: Draft) -> str | None:
    """Its reason, or None where it stands for all of them."""
    if node.reason:
        return node.reason
    alone = cells.count(cells.at(node.object, node.action, "failure", reason=""))
    return "" if alone == node.support else None


def _named(node: Draft) -> str:
    """A fragility in words."""
    return f"{node.action} of {node.object} ({node.reason.replace('_', ' ') or 'various reasons'})"


def _bounds(cells: Cells, some: Rows, all_: Rows, level: float = 0.95) -> tuple[float, float]:
    """Lower and upper bound of a rate, by attempts and by episodes whichever is less."""
    counts = (cells.count(some), cells.count(all_)), (cells.distinct(some), cells.distinct(all_))
    low = min(float(lower_bound(k, n, level)) for k, n in counts)
    high = min(float(upper_bound(k, n)) for k, n in counts)
    return low, max(low, high)
