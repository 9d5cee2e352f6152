"""SemanticTagPropagator: from segments, observations and frozen references to tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sima2.errors import RecordError, UsageError
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.primitives import PrimitiveTable
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.tags import TagTable
from sima2.tags import recovery as recovery_tag
from sima2.tags import risk as risk_tag
from sima2.tags.fragility import fragility_rows
from sima2.tags.luck import luck_rows
from sima2.tags.observations import RiskObservations, SegmentObservations, episode_places
from sima2.tags.ood import ood_rows
from sima2.tags.recovery import recovery_rows
from sima2.tags.references import Fold, References
from sima2.tags.risk import risk_rows
from sima2.tags.specs import TAGS
from sima2.tags.strangeness import prefix_novelty


@dataclass(frozen=True, slots=True, eq=False)
class TaggedEpisodes:
    """The episodes to be tagged, in the order of the tags to come (n of them)."""

    episode_index: Int64s
    """The source's own number of each, shape (n,)."""
    episode_id: Text
    frames: Int64s
    """shape (n,)."""
    family: Text
    debug_mode: Bools
    """shape (n,)."""
    inferred_success: Float64s
    """1, 0 or NaN, inferred from the segments, shape (n,)."""

    def __post_init__(self) -> None:
        n = len(self.episode_id)
        for name in ("episode_index", "frames", "family", "debug_mode", "inferred_success"):
            if len(getattr(self, name)) != n:
                raise RecordError(f"TaggedEpisodes.{name} has {len(getattr(self, name))} entries for {n} episodes")

    def __len__(self) -> int:
        return len(self.episode_id)


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
        fold = references.fold(episodes.episode_id)
        tables = _by_fold(references, fold, observed, risk, episodes)
        doubtful = _ambiguous(segments, primitives)
        recovery = recovery_rows(segments, doubtful, episodes.episode_id, episodes.frames, self.assumed_watts)
        level = _level(tables, risk_tag.SPEC.name, episodes.episode_id)
        recovered = _level([recovery], recovery_tag.SPEC.name, episodes.episode_id) > recovery_tag.SPEC.threshold
        luck = luck_rows(episodes.episode_id, episodes.frames, level, episodes.inferred_success, recovered)
        return _ordered(TagTable.concat([*tables, recovery, luck.frozen()]), episodes)


def _by_fold(
    references: References,
    fold: Int64s,
    observed: SegmentObservations,
    risk: RiskObservations,
    episodes: TaggedEpisodes,
) -> list[TagTable]:
    """Let each episode be judged by the references that were fitted without it."""
    whose = fold[episode_places(observed.episode_id, episodes.episode_id)]
    tables: list[TagTable] = []
    for k, references_of_fold in enumerate(references.folds):
        mine = np.flatnonzero(fold == k)
        if len(mine):
            segments, few = observed.take(whose == k), risk.take(mine)
            tables += _ahead(references_of_fold, segments, few)
            strangeness, debug = references_of_fold.strangeness, episodes.debug_mode[mine]
            tables.append(ood_rows(segments, few, debug, episodes.frames[mine], strangeness))
    return tables


def _ahead(fold: Fold, observed: SegmentObservations, risk: RiskObservations) -> list[TagTable]:
    """The tags that look no further than the landmark: only cut material is handed on."""
    novelty = prefix_novelty(fold.strangeness, observed.take(observed.cut), risk.episode_id)
    return [risk_rows(risk, novelty, fold.risk).frozen(), fragility_rows(risk, fold.rates).frozen()]


def _level(tables: Sequence[TagTable], name: str, episode_id: Text) -> Float64s:
    """Highest level of a tag in each episode, NaN where it was not assessed, shape (n,)."""
    level = np.full(len(episode_id), np.nan)
    for tags in tables:
        mine = np.flatnonzero(tags.tag.isin(name))
        if len(mine):
            np.fmax.at(level, episode_places(tags.episode_id[mine], episode_id), tags.level[mine])
    return level


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
