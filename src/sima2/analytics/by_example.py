"""How episodes ended by the example of a few whose outcome was said: success, failure, or unsure at a stated error.

Three things must hold before anything is answered. Episodes that were said to differ do differ by some view of them,
more than the same labels handed out by chance would show (a permutation test over all views). Of those said, each
hidden in turn from the rest, so few are answered wrongly that, whatever the true share of wrong answers is, the mean
share over many such sets stays within the stated one. And an answer of a kind needs a said one of that kind that was
told rightly while it was hidden. What lies as far from both kinds as they from each other is unsure.

An answer stands only if it would without any one of the examples (as in the jackknife-minmax of Barber et al. 2021):
those hidden were told without their own label, so that a group that rests on one example is in no count of errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import comb
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from sima2.analytics.example_geometry import View, path_lengths
from sima2.errors import RecordError
from sima2.records.arrays import Bools, Float64s, Indices, Int64s

UNSURE, FAILURE, SUCCESS = 0, -1, 1
_SHARES: Final = np.linspace(0.0, 1.0, 1001)
FIRST_LOOK: Final = 32
"""Nearest ones among which the first of the other kind is looked for: with a tenth of a kind, 97 % have it there."""


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What is answered of n episodes, and how sure that is."""

    answer: NDArray[np.int8]
    """1 success, -1 failure, 0 unsure, shape (n,); of those said, as if they were not known."""
    margin: Float64s
    """In [-1, 1], above 0 nearer to successes, shape (n,)."""
    p: Float64s
    """Conformal p of failure and of success, shape (n, 2); 1 where none of those said was chosen at random."""
    like: Int64s
    """Row of the nearest of those said by ``view``; -1 where there is none; shape (n,)."""
    view: str
    """By what the said ones differ most; empty where both kinds were not said."""
    chance: float
    """Share of the ways to hand out the same labels that show as much: 1 where both kinds were not said."""
    told: int
    """Of those said and chosen at random, how many are answered while hidden …"""
    wrong: int
    """… and how many of all said wrongly."""
    stated_error: float
    """Mean share of wrong answers that the rule keeps to: the one asked for, not what so few wrong ones suggest; NaN
    where nothing is answered."""

    def among(self, at: Indices, n: int) -> Answers:
        """The same as of the places ``at`` of n episodes, of which the others were not asked."""
        out = replace(_nothing(n), view=self.view, chance=self.chance, told=self.told, wrong=self.wrong)
        out.answer[at], out.margin[at], out.p[at] = self.answer, self.margin, self.p
        out.like[at] = np.where(self.like < 0, -1, at[self.like])
        return replace(out, stated_error=self.stated_error)

    @property
    def confidence(self) -> float:
        """Probability that an answer is right: the mean of what the hidden ones leave possible (Laplace)."""
        return (self.told - self.wrong + 1) / (self.told + 2) if np.isfinite(self.stated_error) else 0.0


def mean_error(told: int, wrong: int) -> float:
    """The largest mean share of wrong answers if one answers only when so few of those hidden are wrong.

    With a true share e of wrong answers one goes on in P(at most ``wrong`` of ``told``) of all cases and is wrong in
    e of the answers, else in none; this is the largest product over all e. It holds for every set, also for one in
    which nothing tells anything: one that answers in spite of it is rare, and says so by this.

    >>> round(mean_error(4, 0), 3), round(mean_error(12, 0), 3), round(mean_error(12, 1), 3), mean_error(0, 0)
    (0.082, 0.029, 0.068, 1.0)
    """
    if wrong > told or told < 1:
        return 1.0
    return float((_SHARES * bdtr(wrong, told, _SHARES)).max())


@dataclass(frozen=True, slots=True)
class ByExample:
    """Answers by example."""

    error: float = 0.10
    """Stated share of wrong answers, the mean over many sets."""
    chance: float = 0.10
    """The said ones must differ more than all but this share of the ways to hand out their labels: with one failure
    among twelve there are only twelve ways. Measured: 5 % of the sets in which nothing differs pass."""
    margins: tuple[float, ...] = (0.15, 0.3, 0.5)
    """Least margins that are tried, the one that answers most of those that hold the error is taken. A finer choice
    answers a little more, and more of that is wrong."""
    most_said: int = 200
    """More examples than that are not compared with: evenly chosen, they are as good."""
    ways: int = 999
    """Ways to hand out labels that are tried where there are more; else all."""

    def asked(self, said: Float64s) -> Indices:
        """Places of the examples and of those nobody spoke of; more examples than ``most_said`` are left out.

        Args:
            said: 1 success, 0 failure, NaN nothing said, shape (n,).
        """
        examples = _evenly(np.flatnonzero(np.isfinite(said)), self.most_said)
        return np.sort(np.concatenate([examples, np.flatnonzero(np.isnan(said))]))

    def answer(self, views: Sequence[View], said: Float64s, random: Bools | None = None, *, seed: int = 0) -> Answers:
        """Answer all n episodes of a task.

        Args:
            views: of the episodes, each with n places.
            said: 1 success, 0 failure, NaN nothing said, shape (n,).
            random: chosen by chance, so that they stand for all, shape (n,); those said that are not only train and
                count where they are answered wrongly. All, if not given.
            seed: of the ways to hand out labels.

        Raises:
            RecordError: if a view has another number of episodes.
        """
        n = len(said)
        if any(len(view.place) != n for view in views):
            raise RecordError(f"views of {[len(view.place) for view in views]} episodes, outcomes of {n}")
        by_chance = np.ones(n, np.bool_) if random is None else np.asarray(random, np.bool_)
        rows = _evenly(np.flatnonzero(np.isfinite(said)), self.most_said)
        won = said[rows] == 1
        if not views or won.all() or not won.any():
            return _nothing(n)
        far = np.stack([path_lengths(view.place, rows) for view in views])
        far[:, rows, np.arange(len(rows))] = np.inf
        margin, hidden, score = _margins_without_each(far, won, rows)
        chance = self._chance(Ordered.of(far[:, rows]), won, float(score.max()), seed)
        best = int(np.argmax(score))
        kept = self._kept(hidden, won, by_chance[rows]) if chance <= self.chance else None
        least, told, wrong, kinds = kept or (2.0, 0, 0, (False, False))
        answer = np.sign(margin) * (np.abs(margin) >= least)
        for side, known in zip((FAILURE, SUCCESS), kinds, strict=True):
            if not known:
                answer[answer == side] = UNSURE
        return Answers(
            answer=answer.astype(np.int8),
            margin=margin,
            p=_strange(margin, hidden[by_chance[rows]], won[by_chance[rows]], rows[by_chance[rows]]),
            like=rows[np.argmin(far[best], axis=1)],
            view=views[best].name,
            chance=chance,
            told=told,
            wrong=wrong,
            stated_error=self.error if (answer != UNSURE).any() else np.nan,
        )

    def _chance(self, far: Ordered, won: Bools, seen: float, seed: int) -> float:
        """Share of the ways to hand out the labels by which some view tells them apart as well."""
        said, lost = len(won), int((~won).sum())
        if comb(said, lost) <= self.ways + 1:
            ways = np.ones((comb(said, lost), said), np.bool_)
            for way, failed in zip(ways, combinations(range(said), lost), strict=True):
                way[list(failed)] = False
        else:
            rng = np.random.default_rng(seed)
            ways = np.array([won, *(rng.permutation(won) for _ in range(self.ways))])
        scores = [float(_score(_margin(*far.nearest(way)), way).max()) for way in ways]
        return float(np.mean(np.array(scores) >= seen - 1e-9))

    def _kept(self, hidden: Float64s, won: Bools, random: Bools) -> tuple[float, int, int, tuple[bool, bool]] | None:
        """The least margin that holds the error, how many hidden ones are told by it and how many wrongly, and of
        which kinds (failure, success) any was told rightly; None where none holds it."""
        right = (hidden > 0) == won
        for least in sorted(self.margins):
            told = np.abs(hidden) >= least
            count, wrong = int((told & random).sum()), int((told & ~right).sum())
            kinds = (bool((told & right & ~won).any()), bool((told & right & won).any()))
            if mean_error(count, wrong) <= self.error and any(kinds):
                return least, count, wrong, kinds
        return None


def _evenly(rows: Indices, most: int) -> Indices:
    return rows if len(rows) <= most else rows[np.arange(most) * len(rows) // most]


def _nothing(n: int) -> Answers:
    none = np.full(n, -1, np.int64)
    return Answers(np.zeros(n, np.int8), np.zeros(n), np.ones((n, 2)), none, "", 1.0, 0, 0, np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """Distances from n episodes to m that were said, by v views, the nearest first."""

    far: Float64s
    """Shape (v, n, m), ascending."""
    said: Indices
    """Which of those said each distance is to, shape (v, n, m)."""

    @classmethod
    def of(cls, far: Float64s) -> Ordered:
        """Of distances (v, n, m)."""
        said = np.argsort(far, axis=-1, kind="stable")
        return cls(np.take_along_axis(far, said, axis=-1), said)

    def nearest(self, won: Bools) -> tuple[Float64s, Float64s]:
        """Distances to the nearest failure and the nearest success, both of shape (v, n).

        The nearest of all is one of them. The other is looked for among the first few, and farther away only from where
        all of these are of one kind.

        Args:
            won: of each of those said, shape (m,), of both kinds.
        """
        first = won[self.said[..., 0]]
        near = self.far[..., 0]
        other, missing = _first_other(self.far[..., :FIRST_LOOK], won[self.said[..., :FIRST_LOOK]])
        if missing.any():
            other[missing], _ = _first_other(self.far[missing], won[self.said[missing]])
        return np.where(first, other, near), np.where(first, near, other)


def _first_other(far: Float64s, won: Bools) -> tuple[Float64s, Bools]:
    """Distance (…) to the first along the last axis that is not of the first one's kind, and where there is none."""
    other = won != won[..., :1]
    at = other.argmax(axis=-1)[..., None]
    return np.take_along_axis(far, at, axis=-1)[..., 0], ~np.take_along_axis(other, at, axis=-1)[..., 0]


def _margin(lost_far: Float64s, won_far: Float64s) -> Float64s:
    """Margin of each episode by each view, of its distances to the nearest failure and the nearest success."""
    # one that is hidden and was the only one of its kind
    alone = np.isinf(lost_far) | np.isinf(won_far)
    total = np.where(alone, 1.0, lost_far + won_far)
    return np.where(alone | (total == 0), 0.0, (np.where(alone, 0, lost_far - won_far)) / np.where(total > 0, total, 1))


def _standing(far: Float64s, won: Bools) -> Float64s:
    """The margins that are left without whichever one of those said, shape (v, n)."""
    lost_far = _two_nearest(far, np.flatnonzero(~won)).far
    won_far = _two_nearest(far, np.flatnonzero(won)).far

    def margin(lost: Float64s, won: Float64s) -> Float64s:
        none = np.isinf(lost) | np.isinf(won) | (lost + won == 0)
        return np.where(none, 0.0, np.where(none, 0.0, lost - won) / np.where(none, 1.0, lost + won))

    success = margin(lost_far[..., 0], won_far[..., 1])
    failure = margin(lost_far[..., 1], won_far[..., 0])
    return np.asarray(np.maximum(success, 0.0) + np.minimum(failure, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class _TwoNearest:
    """The two nearest of one kind from each of n episodes by v views."""

    far: Float64s
    """Distances, infinite where there is only one, shape (v, n, 2)."""
    first: Indices
    """Which of all those said the nearest is, shape (v, n)."""

    def without(self, i: int) -> Float64s:
        """Distance to the nearest that is not ``i``, shape (v, n)."""
        return np.where(self.first == i, self.far[..., 1], self.far[..., 0])


def _two_nearest(far: Float64s, kind: Indices) -> _TwoNearest:
    """Of distances (v, n, m) and the places of a kind among the m."""
    far = np.concatenate([far[..., kind], np.full((*far.shape[:-1], 1), np.inf)], axis=-1)
    first = far[..., :-1].argmin(axis=-1)
    return _TwoNearest(np.partition(far, 1, axis=-1)[..., :2], kind[first])


def _score(margin: Float64s, won: Bools) -> Float64s:
    """How well views tell apart those said, both kinds alike: mean margin to the right side, shape (v,)."""
    return np.asarray(0.5 * (margin[:, won].mean(axis=1) - margin[:, ~won].mean(axis=1)))


def _margins_without_each(far: Float64s, won: Bools, rows: Indices) -> tuple[Float64s, Float64s, Float64s]:
    """Margins (n,) that stand without any one of those said; those of the said ones (m,), each as if hidden; and the
    views' scores (v,).

    The view is chosen anew without the hidden one, else its own label would choose it; a margin stands only by all the
    views so chosen.
    """
    among = far[:, rows]
    lost_near, won_near = _two_nearest(among, np.flatnonzero(~won)), _two_nearest(among, np.flatnonzero(won))
    score = _score(_margin(lost_near.without(-1), won_near.without(-1)), won)
    chosen = {int(np.argmax(score))}
    hidden = np.zeros(len(rows))
    for i in range(len(rows)):
        others = np.arange(len(rows)) != i
        if won[others].all() or not won[others].any():
            continue
        margins = _margin(lost_near.without(i), won_near.without(i))
        view = int(np.argmax(_score(margins[:, others], won[others])))
        hidden[i] = margins[view, i]
        chosen.add(view)
    standing = _standing(far[sorted(chosen)], won)
    alike = (standing > 0).all(axis=0) | (standing < 0).all(axis=0)
    margin = np.where(alike, np.sign(standing[0]) * np.abs(standing).min(axis=0), 0.0)
    margin[rows] = hidden
    return margin, hidden, score


def _strange(margin: Float64s, hidden: Float64s, won: Bools, rows: Indices) -> Float64s:
    """Conformal p of failure and of success of each episode, shape (n, 2)."""
    if not len(rows):
        return np.ones((len(margin), 2))
    own = np.sort(np.where(won, -hidden, hidden))
    out = np.empty((len(margin), 2))
    for column, side in enumerate((FAILURE, SUCCESS)):
        as_strange = len(own) - np.searchsorted(own, -side * margin - 1e-12)
        # one of those said stands among itself already
        itself = np.zeros(len(margin), np.int64)
        itself[rows[won == (side == SUCCESS)]] = 1
        out[:, column] = (1 + as_strange - itself) / (len(own) + 1)
    return out
