"""DatapackAuditor: is a datapack sound, and does its quality lean on tags that have not earned it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    ) -> AuditTable:
        """One row an episode, in order; those in quarantine follow, rejected.

        * ``rejected``: its schema is not valid.
        * ``requires_review``: it has a provisional tag, a severe OODTag that is trusted, or little quality.
        * ``passed``: anything else.

        Args:
            episodes: what to audit.
            tags: their tags.
            trust: by tag; one that is missing is untrusted.
            thresholds: level above which a tag is given.
            quarantine: episodes that were put aside.
        """
        notes = _Notes(len(episodes))
        broken = self._schema(episodes, notes)
        quality = np.where(np.isnan(episodes.success), self.settings.quality_unknown, self.settings.quality_failure)
        quality = np.where(episodes.success == 1, self.settings.quality_success, quality)
        review = np.zeros(len(episodes), np.bool_)
        for tag, level in given_levels(tags, episodes.episode_id, thresholds).items():
            given = level > 0
            earned = trust[tag].trust_level if tag in trust else 0.0
            if earned <= PROVISIONAL:
                quality = quality - self.settings.untrusted_loss * given
                notes.add(given, f"{tag} has earned no trust ({earned:.2f}), it counts against what leans on it")
            elif earned <= TRUSTED:
                review |= given
                notes.add(given, f"{tag} is provisional (trust {earned:.2f})")
            if tag == "RecoveryTag" and earned > TRUSTED:
                quality = quality + self.settings.recovery_bonus * earned * given
                notes.add(given, f"a recovery that is trusted ({earned:.2f})")
            if tag == "OODTag" and earned > TRUSTED:
                severe = self._severe(tags, episodes.episode_id, thresholds[tag])
                review |= severe
                notes.add(severe, f"strange with a severity above {self.settings.severe}, and OODTag is trusted")
        quality = np.clip(np.where(broken, 0.0, quality), 0.0, 1.0)
        poor = ~broken & (quality < self.settings.least_quality)
        notes.add(poor, f"quality below {self.settings.least_quality}")
        status = np.where(broken, 2, np.where(review | poor, 1, 0))
        return AuditTable.concat(
            [
                AuditTable(
                    episode_id=episodes.episode_id,
                    status=Text(status, ("passed", "requires_review", "rejected")),
                    quality=quality,
                    reasons=Text.of(notes.words),
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
        for wrong, words in (
            (blank, "it has no id"),
            (twice, "its id occurs more than once"),
            (short, "it has fewer than two frames"),
            (still, "no time passes in it"),
            (bare, "it has no segment"),
        ):
            notes.add(wrong, words)
        return np.asarray(blank | twice | short | still | bare)

    def _severe(self, tags: TagTable, episode_id: Text, threshold: float) -> Mask:
        hit = tags.tag.isin("OODTag") & (np.nan_to_num(tags.severity) > self.settings.severe)
        return given_levels(tags.take(hit), episode_id, {"OODTag": threshold})["OODTag"] > 0


class _Notes:
    """Reasons of each episode, in the order they were found."""

    def __init__(self, n: int) -> None:
        self.words = [""] * n

    def add(self, where: Mask, words: str) -> None:
        for i in np.flatnonzero(where).tolist():
            self.words[i] = f"{self.words[i]}; {words}" if self.words[i] else words


def _put_aside(quarantine: QuarantineTable) -> AuditTable:
    n = len(quarantine)
    reasons = zip(quarantine.reason, quarantine.message, strict=True)
    return AuditTable(
        episode_id=quarantine.episode_id,
        status=Text.full(n, "rejected"),
        quality=np.zeros(n),
        reasons=Text.of(f"quarantined, {reason}: {message}" for reason, message in reasons),
    )
