"""SemanticTagPropagator: from segments, observations and frozen references to tags."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sima2.errors import RecordError, UsageError
from sima2.records.arrays import Bools
from sima2.records.primitives import PrimitiveTable
from sima2.records.segments import SegmentTable
from sima2.records.tags import TagTable
from sima2.tags.observations import RiskObservations, SegmentObservations, episode_places
from sima2.tags.references import References
from sima2.tags.seen import FromPrefix, Prefix, TaggedEpisodes, Whole
from sima2.tags.specs import ALL_TAGS, TAGS


@dataclass(frozen=True, slots=True)
class SemanticTagPropagator:
    """Writes every tag raw; trust in tags is applied where they are read, never here."""

    assumed_watts: float = 200.0
    """W, with which a correction's energy is estimated where none was measured: the typical consumption that data
    sheets state for a collaborative arm of 5 kg payload."""

    def __post_init__(self) -> None:
        if not self.assumed_watts > 0:
            raise UsageError(f"assumed_watts is {self.assumed_watts}, it must be positive")

    def propagate(
        self,
        segments: SegmentTable,
        primitives: PrimitiveTable,
        segment_observations: SegmentObservations,
        risk_observations: RiskObservations,
        references: References,
        episodes: TaggedEpisodes,
    ) -> TagTable:
        """Tags of whole episodes, ordered by episode, tag and start; every episode has a row of every tag.

        Args:
            segments: of these episodes.
            primitives: of these episodes; a recovery whose failed or mended step is ambiguous is not given.
            segment_observations: of these episodes (rows of others are left aside).
            risk_observations: one row an episode, likewise.
            references: frozen, fitted out of fold.
            episodes: what to tag.

        Raises:
            RecordError: if an episode has no risk observation.
        """
        place = episode_places(episodes.episode_id, risk_observations.episode_id)
        if (place < 0).any():
            missing = episodes.episode_id[int(np.argmax(place < 0))]
            raise RecordError(f"episode {missing} has no risk observation: observe it in pass 1")
        risk = risk_observations.take(place)
        whose = episode_places(segment_observations.episode_id, episodes.episode_id)
        observed = segment_observations.take(whose >= 0)
        segments = segments.take(episode_places(segments.episode_id, episodes.episode_id) >= 0)
        doubtful = _ambiguous(segments, primitives)
        fold = references.fold(episodes.episode_id)
        of_observed = fold[episode_places(observed.episode_id, episodes.episode_id)]
        of_segment = fold[episode_places(segments.episode_id, episodes.episode_id)]
        tables: list[TagTable] = []
        for k, references_of_fold in enumerate(references.folds):
            mine, whose = np.flatnonzero(fold == k), of_segment == k
            if len(mine):
                tables += _tagged(
                    Whole(
                        episodes=episodes.take(mine),
                        landmarks=risk.take(mine),
                        observed=observed.take(of_observed == k),
                        segments=segments.take(whose),
                        doubtful=doubtful[whose],
                        fold=references_of_fold,
                        assumed_watts=self.assumed_watts,
                        before={},
                    )
                )
        return _ordered(TagTable.concat(tables), episodes)


def _tagged(seen: Whole) -> list[TagTable]:
    """Rows of every tag on episodes of one fold, judged by the references that were fitted without it.

    Tags that look no further than the landmark are handed only what is cut there.
    """
    prefix = Prefix(seen.landmarks, seen.observed.take(seen.observed.cut), seen.fold)
    tables: dict[str, TagTable] = {}
    for tag in ALL_TAGS:
        mine = tag.rows(prefix) if isinstance(tag, FromPrefix) else tag.rows(replace(seen, before=dict(tables)))
        tables[tag.spec.name] = mine
    return list(tables.values())


def _ambiguous(segments: SegmentTable, primitives: PrimitiveTable) -> Bools:
    """Segments whose primitive is ambiguous, shape (n,)."""
    doubtful = primitives.take(primitives.ambiguous)
    known = set(zip(doubtful.episode_id.tolist(), doubtful.segment_id.tolist(), strict=True))
    rows = zip(segments.episode_id.tolist(), segments.segment_id.tolist(), strict=True)
    return np.array([row in known for row in rows], np.bool_)


def _ordered(tags: TagTable, episodes: TaggedEpisodes) -> TagTable:
    """The rows in their order, each with the number of its episode."""
    place = episode_places(tags.episode_id, episodes.episode_id)
    numbered = replace(tags, episode_index=episodes.episode_index[place])
    return numbered.take(np.lexsort((tags.end_frame, tags.start_frame, tags.tag.recode(tuple(TAGS)), place)))
