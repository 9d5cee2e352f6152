"""DatapackAuditor: is a datapack sound, and does its quality lean on tags that have not earned it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sima2.records.defects import DefectTable
from sima2.records.episodes import EpisodeTable
from sima2.records.intake import QuarantineTable
from sima2.records.plan import AuditTable
from sima2.records.table import Text
from sima2.records.tags import TagTable
from sima2.records.trust import TrustRow
from sima2.sampling.pool import given_levels
from sima2.sampling.settings import PROVISIONAL, TRUSTED, AuditSettings

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class DatapackAuditor:
    """First the schema, then trust. Advice: it removes nothing."""

    settings: AuditSettings = AuditSettings()

    def audit(
        self,
        episodes: EpisodeTable,
        tags: TagTable,
        trust: Mapping[str, TrustRow],
        thresholds: Mapping[str, float],
        quarantine: QuarantineTable | None = None,
        defects: DefectTable | None = None,
    ) -> AuditTable:
        """One row an episode, in order; those in quarantine follow, rejected.

        * ``rejected``: its schema is not valid.
        * ``requires_review``: it has a provisional tag, a severe OODTag that is trusted, a defect in its data that is
          severe or that no trainer can take, a recorded outcome that its motion contradicts, or little quality.
        * ``passed``: anything else.

        Args:
            episodes: what to audit.
            tags: their tags.
            trust: by tag; one that is missing is untrusted.
            thresholds: level above which a tag is given.
            quarantine: episodes that were put aside.
            defects: what is wrong with the data of these episodes, and of any others.
        """
        limits = self.settings
        notes = _Notes(len(episodes))
        broken = self._schema(episodes, notes)
        failed, unknown = episodes.success == 0, np.isnan(episodes.success)
        notes.add(failed, "failed", "failed")
        notes.add(unknown, "outcome_unknown", "outcome not known")
        quality = np.where(unknown, limits.quality_unknown, limits.quality_failure)
        quality = np.where(episodes.success == 1, limits.quality_success, quality)
        given = {tag: level > 0 for tag, level in given_levels(tags, episodes.episode_id, thresholds).items()}
        earned = {tag: trust[tag].trust_level if tag in trust else 0.0 for tag in given}
        untrusted = {tag: where for tag, where in given.items() if earned[tag] <= PROVISIONAL}
        provisional = {tag: where for tag, where in given.items() if PROVISIONAL < earned[tag] <= TRUSTED}
        for where in untrusted.values():
            quality = quality - limits.untrusted_loss * where
        notes.add_names(untrusted, "untrusted_tags", "leans on tags without trust")
        notes.add_names(provisional, "provisional_tags", "has provisional tags")
        review = _any(provisional, len(episodes))
        if earned.get("RecoveryTag", 0.0) > TRUSTED:
            quality = quality + limits.recovery_bonus * earned["RecoveryTag"] * given["RecoveryTag"]
            notes.add(given["RecoveryTag"], "trusted_recovery", "recovered, by a trusted tag")
        if earned.get("OODTag", 0.0) > TRUSTED:
            strange = self._severe(tags, episodes.episode_id, thresholds["OODTag"])
            review |= strange
            notes.add(strange, "severe_ood", "very strange, by a trusted tag")
        review |= self._defective(episodes, defects or DefectTable.empty(), notes)
        quality = np.clip(np.where(broken, 0.0, quality), 0.0, 1.0)
        poor = ~broken & (quality < limits.least_quality)
        notes.add(poor, "low_quality", f"quality below {limits.least_quality}")
        status = np.where(broken, 2, np.where(review | poor, 1, 0))
        return AuditTable.concat(
            [
                AuditTable(
                    episode_id=episodes.episode_id,
                    status=Text(status, ("passed", "requires_review", "rejected")),
                    quality=quality,
                    reasons=Text.of(notes.words),
                    codes=Text.of(notes.codes),
                ),
                _put_aside(quarantine or QuarantineTable.empty()),
            ]
        )

    def _schema(self, episodes: EpisodeTable, notes: _Notes) -> Mask:
        """Episodes that are no valid datapack."""
        code = episodes.episode_id.codes
        twice = np.bincount(code, minlength=len(episodes.episode_id.names))[code] > 1 if len(code) else code > 1
        blank = episodes.episode_id.isin("")
        short = episodes.frames < 2
        still = ~(np.isfinite(episodes.duration_s) & (episodes.duration_s > 0)) & ~short
        bare = (episodes.segments < 1) & ~short
        for wrong, short_code, words in (
            (blank, "no_id", "it has no id"),
            (twice, "id_not_unique", "its id occurs more than once"),
            (short, "too_short", "it has fewer than two frames"),
            (still, "no_time", "no time passes in it"),
            (bare, "no_segment", "it has no segment"),
        ):
            notes.add(wrong, short_code, words)
        return np.asarray(blank | twice | short | still | bare)

    def _defective(self, episodes: EpisodeTable, defects: DefectTable, notes: _Notes) -> Mask:
        """Episodes whose raw data have a severe defect, or one that spoils them for any trainer."""
        severe = np.asarray(episodes.defect_severity >= self.settings.severe_defect)
        having = {kind: severe & episodes.worst_defect.isin(kind) for kind in set(episodes.worst_defect[severe])}
        for kind in self.settings.spoiling:
            mine = defects.take(defects.defect.isin(kind))
            spoilt = _frames_of(mine, episodes.episode_id) >= self.settings.spoilt_frames
            having[kind] = spoilt | having.get(kind, np.zeros(len(episodes), np.bool_))
        for kind, where in sorted(having.items()):
            if kind not in self.settings.asking:
                notes.add(where, f"severe_defect:{kind}", f"severe defect in its data: {kind.replace('_', ' ')}")
        for kind in self.settings.asking:
            having[kind] = episodes.episode_id.isin(*defects.take(defects.defect.isin(kind)).episode_id)
            notes.add(having[kind], kind, f"to settle: {kind.replace('_', ' ')}")
        return _any(having, len(episodes))

    def _severe(self, tags: TagTable, episode_id: Text, threshold: float) -> Mask:
        hit = tags.tag.isin("OODTag") & (np.nan_to_num(tags.severity) > self.settings.severe)
        return given_levels(tags.take(hit), episode_id, {"OODTag": threshold})["OODTag"] > 0


class _Notes:
    """Reasons of each episode in the order they were found, in words and as codes."""

    def __init__(self, n: int) -> None:
        self.words = [""] * n
        self.codes = [""] * n

    def add(self, where: Mask, code: str, words: str) -> None:
        for i in np.flatnonzero(where).tolist():
            self.words[i] = f"{self.words[i]}; {words}" if self.words[i] else words
            self.codes[i] = f"{self.codes[i]},{code}" if self.codes[i] else code

    def add_names(self, given: Mapping[str, Mask], code: str, words: str) -> None:
        """One reason that names all the tags that an episode was given."""
        if not given:
            return
        which, mine = np.unique(np.stack(list(given.values())), axis=1, return_inverse=True)
        for k, column in enumerate(which.T):
            names = ", ".join(tag for tag, has in zip(given, column.tolist(), strict=True) if has)
            if names:
                self.add(mine == k, code, f"{words}: {names}")


def _frames_of(defects: DefectTable, episode_id: Text) -> NDArray[np.int64]:
    """Frames of each episode that the defects are about, each stretch counted once, shape (n,)."""
    place = defects.episode_id.recode(list(episode_id))
    spans = np.stack([place, defects.start_frame, defects.end_frame], axis=1)[place >= 0]
    owner, start, end = np.unique(spans, axis=0).T
    return np.bincount(owner, weights=end - start, minlength=len(episode_id)).astype(np.int64)


def _any(given: Mapping[str, Mask], n: int) -> Mask:
    return np.asarray(np.any([np.zeros(n, np.bool_), *given.values()], axis=0))


def _put_aside(quarantine: QuarantineTable) -> AuditTable:
    n = len(quarantine)
    reasons = zip(quarantine.reason, quarantine.message, strict=True)
    return AuditTable(
        episode_id=quarantine.episode_id,
        status=Text.full(n, "rejected"),
        quality=np.zeros(n),
        reasons=Text.of(f"quarantined, {reason}: {message}" for reason, message in reasons),
        codes=Text.of(f"quarantined:{reason}" for reason in quarantine.reason),
    )
