"""DatapackAuditor: may a datapack be used, and does its quality lean on tags that have not earned it?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sima2.records.arrays import Bools
from sima2.records.defects import DefectTable
from sima2.records.episodes import EpisodeTable
from sima2.records.intake import QuarantineTable
from sima2.records.plan import AuditTable, TrainingPlan
from sima2.records.table import Text
from sima2.records.tags import TagSpec, TagTable
from sima2.records.trust import TrustRow
from sima2.sampling.plan import Known, TrainingPlanner, invalid
from sima2.sampling.pool import given_levels
from sima2.sampling.tag_reviews import tag_reviews
from sima2.sampling.weight_settings import PROVISIONAL, TRUSTED, AuditSettings

STATUS = ("passed", "requires_review", "rejected")


@dataclass(frozen=True, slots=True)
class DatapackAuditor:
    """The verdict is that of the plan; quality says how much more one would like. Advice: it removes nothing."""

    settings: AuditSettings = AuditSettings()

    def audit(
        self,
        episodes: EpisodeTable,
        tags: TagTable,
        trust: Mapping[str, TrustRow],
        specs: Mapping[str, TagSpec],
        quarantine: QuarantineTable | None = None,
        defects: DefectTable | None = None,
        plan: TrainingPlan | None = None,
    ) -> AuditTable:
        """One row an episode, in order; those in quarantine follow, rejected.

        * ``rejected``: the plan leaves it out.
        * ``requires_review``: the plan asks a person, or leaves a part of it out.
        * ``passed``: it may be used as it is.

        Args:
            episodes: what to audit.
            tags: their tags.
            trust: by tag; one that is missing is untrusted.
            specs: what the tags declare.
            quarantine: episodes that were put aside.
            defects: what is wrong with the data of these episodes, and of any others; for a plan that is not given.
            plan: of these episodes; made of what else is given by default.
        """
        if plan is None:
            asked = tag_reviews(episodes, tags, trust, specs)
            plan = TrainingPlanner().plan(Known(episodes, defects or DefectTable.empty(), asked=asked)).episodes
        limits = self.settings
        notes = _Notes(plan)
        unknown = np.isnan(episodes.success)
        notes.add(unknown, "outcome_unknown", "outcome not known")
        quality = np.where(unknown, limits.quality_unknown, limits.quality_failure)
        quality = np.where(episodes.success == 1, limits.quality_success, quality)
        given = {tag: level > 0 for tag, level in given_levels(tags, episodes.episode_id, specs).items()}
        earned = {tag: trust[tag].trust_level if tag in trust else 0.0 for tag in given}
        untrusted = {tag: where for tag, where in given.items() if earned[tag] <= PROVISIONAL}
        for where in untrusted.values():
            quality = quality - limits.untrusted_loss * where
        notes.add_names(untrusted, "untrusted_tags", "leans on tags without trust")
        for tag, spec in specs.items():
            if spec.quality_bonus and earned[tag] > TRUSTED:
                quality = quality + spec.quality_bonus * earned[tag] * given[tag]
                notes.add(given[tag], f"trusted_{spec.code}", f"{spec.group}, by a trusted tag")
        quality = np.clip(np.where(invalid(episodes), 0.0, quality), 0.0, 1.0)
        status = np.where(plan.action.isin("drop"), 2, np.where(plan.action.isin("keep"), 0, 1))
        return AuditTable.concat(
            [
                AuditTable(
                    episode_id=episodes.episode_id,
                    action=plan.action,
                    status=Text(status, STATUS),
                    quality=quality,
                    reasons=Text.of(notes.words),
                    codes=Text.of(notes.codes),
                ),
                _put_aside(quarantine or QuarantineTable.empty()),
            ]
        )


class _Notes:
    """Reasons of each episode, in words and as codes: those of the plan, then those of quality."""

    def __init__(self, plan: TrainingPlan) -> None:
        self.words = plan.words.tolist()
        self.codes = plan.codes.tolist()

    def add(self, where: Bools, code: str, words: str) -> None:
        for i in np.flatnonzero(where).tolist():
            self.words[i] = f"{self.words[i]}; {words}" if self.words[i] else words
            self.codes[i] = f"{self.codes[i]},{code}" if self.codes[i] else code

    def add_names(self, given: Mapping[str, Bools], code: str, words: str) -> None:
        """One reason that names all the tags that an episode was given."""
        if not given:
            return
        which, mine = np.unique(np.stack(list(given.values())), axis=1, return_inverse=True)
        for k, column in enumerate(which.T):
            names = ", ".join(tag for tag, has in zip(given, column.tolist(), strict=True) if has)
            if names:
                self.add(mine == k, code, f"{words}: {names}")


def _put_aside(quarantine: QuarantineTable) -> AuditTable:
    n = len(quarantine)
    reasons = zip(quarantine.reason, quarantine.message, strict=True)
    return AuditTable(
        episode_id=quarantine.episode_id,
        action=Text.full(n, "drop"),
        status=Text.full(n, "rejected"),
        quality=np.zeros(n),
        reasons=Text.of(f"quarantined, {reason}: {message}" for reason, message in reasons),
        codes=Text.of(f"quarantined:{reason}" for reason in quarantine.reason),
    )
