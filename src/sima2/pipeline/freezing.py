"""Between the passes, once for all: outcomes as persons say them, what examples tell of others, and references."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from sima2.records.arrays import Bools
from sima2.records.courses import PointTable
from sima2.records.episodes import EpisodeTable
from sima2.records.examples import ExampleTable
from sima2.records.labels import SaidTable
from sima2.records.vocabulary import ANOMALIES

if TYPE_CHECKING:
    from sima2.analytics.example_views import Pictures
    from sima2.tags.observations import RiskObservations, SegmentObservations
    from sima2.tags.references import References


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """What is fitted between the passes."""

    references: References
    episodes: EpisodeTable
    """All episodes, with ``nominal`` by the rule."""
    nominal_rule: str
    said: SaidTable = field(default_factory=SaidTable.empty)
    """What persons say of outcomes, which ``episodes`` has and shards have not."""
    examples: ExampleTable = field(default_factory=ExampleTable.empty)
    """What episodes whose outcome was said tell of the others."""
    by_example: EpisodeTable = field(default_factory=EpisodeTable.empty)
    """Episodes whose outcome, as ``episodes`` has it, is another by that than in their shard."""


def freeze(
    episodes: EpisodeTable,
    observations: SegmentObservations,
    landmarks: RiskObservations,
    said: SaidTable | None = None,
    *,
    points: Callable[[], PointTable] | None = None,
    pictures: Pictures | None = None,
) -> Frozen:
    """Infer by example what nobody said, and fit references on nominal episodes, out of fold.

    Here, and nowhere before, outcomes become what persons say: all that follows takes them from what is frozen.

    Args:
        episodes: all, as recorded or inferred from their segments.
        observations: of their segments.
        landmarks: of their beginnings.
        said: what persons say of them.
        points: how arms stand in them, asked for where enough was said to infer by example; without it nothing is.
        pictures: what cameras show at their ends.
    """
    from sima2.analytics.inferred_by_example import changed_by, infer_by_example, speaks_by_example, with_examples
    from sima2.analytics.said import chosen_by_persons, episodes_as_said, references_of_persons
    from sima2.tags.observations import episode_places, failed_later
    from sima2.tags.references import fit_references

    said = SaidTable.empty() if said is None else said
    episodes = episodes_as_said(episodes, said)
    examples, by_example = ExampleTable.empty(), EpisodeTable.empty()
    if points is not None and speaks_by_example(episodes):
        examples = infer_by_example(episodes, points(), pictures, active=chosen_by_persons(said))
        before, episodes = episodes, with_examples(episodes, examples)
        by_example = changed_by(before, episodes)
    nominal, rule = _nominal(episodes, observations, references_of_persons(episodes.episode_id, said))
    place = episode_places(landmarks.episode_id, episodes.episode_id)
    references = fit_references(observations, landmarks, nominal[place], failed_later(observations, landmarks))
    return Frozen(references, replace(episodes, nominal=nominal), rule, said, examples, by_example)


def _nominal(episodes: EpisodeTable, observations: SegmentObservations, named: Bools) -> tuple[np.ndarray, str]:
    """Reference episodes, debug ones left aside, and those that persons named besides, shape (n,)."""
    from sima2.analytics.nominal import nominal_episodes
    from sima2.tags.observations import episode_places

    wrong = observations.failed | observations.label.isin(*ANOMALIES, "recovery_maneuver")
    clean = np.ones(len(episodes), np.bool_)
    clean[episode_places(observations.episode_id, episodes.episode_id)[wrong & ~observations.cut]] = False
    usable = ~episodes.debug_mode
    success = np.where(usable, episodes.success, np.nan)
    return nominal_episodes(
        success, episodes.outcome_source, episodes.nominal & usable, clean, named & usable & (episodes.success != 0)
    )
