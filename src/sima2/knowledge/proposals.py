"""Proposals under construction, and how they are told accepted from refused or waiting.

The rule: something that occurred often enough to be no accident becomes a draft. It is *accepted* where the lower
bound of its rate exceeds what is needed, and *refused* where the upper bound does not reach it: then the evidence spoke
against it. Between the two nothing is proposed yet; more episodes will tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.knowledge.support import proposal_id
from sima2.records.knowledge import ProposalTable
from sima2.records.table import Text

TRUST_NEEDED: Final = 0.6
"""A proposal that rests on a tag is applied only above this trust in it."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One proposal with the bounds that decide on it. It has no field for a reward, a price or a weight."""

    kind: str
    object: str
    action: str
    priority: float
    confidence: float
    """One-sided lower bound of support over trials, and of their episodes where that is less."""
    support: int
    trials: int
    needed: float
    """The bound must exceed this rate."""
    rationale: str
    episodes: str
    """JSON list."""
    ceiling: float = 1.0
    """One-sided upper bound: where it does not exceed what is needed, the evidence speaks against it."""
    reason: str = ""
    family: str = ""
    """Task family concerned, empty where it holds for all."""
    detail: str = ""
    """What else tells it from others of its kind: a correction, the way of an edge."""
    source_tag: str = ""

    @property
    def id(self) -> str:
        """Digest of what is proposed."""
        return proposal_id(self.kind, self.object, self.action, self.reason, self.family, self.detail)

    @property
    def holds(self) -> bool:
        """Its support suffices."""
        return self.confidence > self.needed

    @property
    def decided(self) -> bool:
        """The evidence speaks for it or against it, so that it is worth proposing."""
        return self.holds or self.ceiling <= self.needed

    def verdict(self, trust: Mapping[str, float]) -> tuple[str, str]:
        """Status and why. A tag that is not trusted yet may still become so: what rests on it waits."""
        counts = f"{self.support}/{self.trials}"
        if not self.holds:
            return "refused", f"bound {self.ceiling:.3f} of {counts} does not reach {self.needed:g}"
        if not self.source_tag:
            return "accepted", f"bound {self.confidence:.3f} of {counts} is above {self.needed:g}"
        if self.source_tag not in trust:
            return "pending_trust", f"{self.source_tag} has not been calibrated"
        level = trust[self.source_tag]
        if level > TRUST_NEEDED:
            return "accepted", f"trust {level:.3f} in {self.source_tag} is above {TRUST_NEEDED}"
        return "pending_trust", f"trust {level:.3f} in {self.source_tag} is not above {TRUST_NEEDED}"


def table_of(drafts: Sequence[Draft], trust: Mapping[str, float] | None = None) -> ProposalTable:
    """Distinct decided proposals ordered by priority, then id."""
    distinct = {draft.id: draft for draft in drafts if draft.decided}
    kept = sorted(distinct.values(), key=lambda draft: (-draft.priority, draft.id))
    verdicts = [draft.verdict(trust or {}) for draft in kept]
    return ProposalTable(
        proposal_id=Text.of([d.id for d in kept]),
        kind=Text.of([d.kind for d in kept]),
        object=Text.of([d.object for d in kept]),
        action=Text.of([d.action for d in kept]),
        reason=Text.of([d.reason for d in kept]),
        priority=np.array([d.priority for d in kept], np.float64),
        confidence=np.array([d.confidence for d in kept], np.float64),
        support=np.array([d.support for d in kept], np.int64),
        trials=np.array([d.trials for d in kept], np.int64),
        source_tag=Text.of([d.source_tag for d in kept]),
        status=Text.of([status for status, _ in verdicts]),
        status_reason=Text.of([why for _, why in verdicts]),
        rationale=Text.of([d.rationale for d in kept]),
        episodes=Text.of([d.episodes for d in kept]),
    )
