"""SemanticOrchestrator: what is applied, what is taken back, and what may stop a robot. Nothing else applies any."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Final

import numpy as np

from sima2.errors import RecordError, UsageError
from sima2.records.knowledge import ActionTable, ProposalTable
from sima2.records.table import Text
from sima2.records.tags import TagTable
from sima2.records.trust import TrustMatrix

APPLIED, WITHDRAWN, UNDONE, RESTORED = "applied", "withdrawn", "undone", "restored"
_BY_HAND: Final = (UNDONE, RESTORED)
_TRUSTED, _PROVISIONAL = "trusted", "provisional"


@dataclass(frozen=True, slots=True)
class Decision:
    """An entry of the history."""

    proposal_id: str
    action: str
    """``applied`` or ``withdrawn`` by trust and evidence; ``undone`` or ``restored`` by a person."""
    reason: str
    look: int = 0
    """Of the calibration it was made at; 0 where a person made it."""

    def to_json(self) -> str:
        """As one line."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Decision:
        """What :meth:`to_json` wrote.

        Raises:
            RecordError: if the text is something else.
        """
        try:
            given = json.loads(text)
            return cls(**{each.name: given[each.name] for each in fields(cls)})
        except (ValueError, KeyError, TypeError) as error:
            raise RecordError(f"not a decision: {error!r}") from error


@dataclass(frozen=True, slots=True)
class SemanticOrchestrator:
    """Decides on proposals and on alarms by the trust that their tags have earned. Keeps nothing: history goes in and
    comes out."""

    least_trust: float = 0.6
    """Trust that the source tag of a tag-backed proposal needs."""
    critical: float = 0.9
    """Severity of a tag, or its level where it has no severity, above which it is an alarm."""

    def decide(self, proposals: ProposalTable, trust: TrustMatrix, history: Sequence[Decision] = ()) -> ProposalTable:
        """Accept tag-backed proposals whose tag is trusted; the others go on waiting, and say for what.

        Proposals backed by evidence alone keep the verdict of their support. What a person has undone stays undone.
        """
        undone = {id_: why for id_, (action, why) in _last(history, _BY_HAND).items() if action == UNDONE}
        status, reason = proposals.status.tolist(), proposals.status_reason.tolist()
        for i, (id_, tag) in enumerate(zip(proposals.proposal_id, proposals.source_tag, strict=True)):
            if status[i] == "refused":
                continue
            if tag:
                level = trust[tag].trust_level if tag in trust else 0.0
                if level > self.least_trust:
                    status[i], reason[i] = "accepted", f"{tag} has trust {level:.2f}, above {self.least_trust}"
                else:
                    status[i] = "pending_trust"
                    reason[i] = f"{tag} has trust {level:.2f}; {self.least_trust} is needed"
            if id_ in undone:
                status[i], reason[i] = "undone", f"taken back: {undone[id_]}"
        return replace(proposals, status=Text.of(status), status_reason=Text.of(reason))

    def changes(self, decided: ProposalTable, history: Sequence[Decision], look: int) -> list[Decision]:
        """What the history has to add, so that what is applied is what is accepted; nothing if it is already."""
        applied = {id_ for id_, (action, _) in _last(history).items() if action in (APPLIED, RESTORED)}
        rows = dict(zip(decided.proposal_id, zip(decided.status, decided.status_reason, strict=True), strict=True))
        found = [
            Decision(id_, APPLIED, why, look)
            for id_, (status, why) in rows.items()
            if status == "accepted" and id_ not in applied
        ]
        for id_ in sorted(applied):
            status, why = rows.get(id_, ("absent", "no longer proposed"))
            if status not in ("accepted", "undone"):
                found.append(Decision(id_, WITHDRAWN, why, look))
        return found

    def undo(self, decided: ProposalTable, proposal_id: str, because: str) -> Decision:
        """Take back a proposal that is applied, for good until it is restored.

        Raises:
            UsageError: if there is none of that id, or it is not applied.
        """
        if _status_of(decided, proposal_id) != "accepted":
            raise UsageError(f"proposal {proposal_id} is {_status_of(decided, proposal_id)}, not applied")
        return Decision(proposal_id, UNDONE, because)

    def restore(self, decided: ProposalTable, proposal_id: str, because: str) -> Decision:
        """Let trust and evidence decide again on what was undone.

        Raises:
            UsageError: if there is none of that id, or it was not undone.
        """
        if _status_of(decided, proposal_id) != "undone":
            raise UsageError(f"proposal {proposal_id} is {_status_of(decided, proposal_id)}, not undone")
        return Decision(proposal_id, RESTORED, because)

    def react(self, tags: TagTable, trust: TrustMatrix) -> ActionTable:
        """Alarms: a trusted tag that is critical asks for a safety stop, a provisional one warns, others are ignored.

        Only predictive rows count: a stop after the fact stops nothing.
        """
        urgency = np.where(np.isnan(tags.severity), tags.level, tags.severity)
        given = (
            tags.kind.isin("predictive") & (np.nan_to_num(urgency) > self.critical) & (np.nan_to_num(tags.level) > 0)
        )
        rows = np.flatnonzero(given)
        tiers = [trust[tag].tier if tag in trust else "" for tag in tags.tag[rows]]
        kept = np.array([tier in (_TRUSTED, _PROVISIONAL) for tier in tiers], np.bool_)
        stops = ["safety_stop" if tier == _TRUSTED else "warning" for tier in tiers if tier in (_TRUSTED, _PROVISIONAL)]
        rows = rows[kept]
        return ActionTable(
            episode_id=tags.episode_id[rows],
            tag=tags.tag[rows],
            action=Text.of(stops, names=("safety_stop", "warning")),
            frame=tags.available_at_frame[rows],
            urgency=urgency[rows],
            trust=np.array([trust[tag].trust_level for tag in tags.tag[rows]], np.float64),
        )

    def react_apart(self, tags: TagTable, trust: TrustMatrix, source: Mapping[str, str]) -> ActionTable:
        """:meth:`react` to each episode by what was tested on its own collection.

        Args:
            tags: of all episodes.
            trust: of each collection too, where there are several.
            source: id of the source of each episode, by its id.
        """
        if not trust.by_collection:
            return self.react(tags, trust)
        of = np.array([trust.sources[source[name]] for name in tags.episode_id.names], object)[tags.episode_id.codes]
        parts = [self.react(tags.take(of == name), rows) for name, rows in trust.by_collection.items()]
        place = {name: k for k, name in enumerate(source)}
        whole = ActionTable.concat(parts)
        return whole.take(np.argsort([place[name] for name in whole.episode_id], kind="stable"))


def _last(history: Sequence[Decision], actions: Sequence[str] | None = None) -> Mapping[str, tuple[str, str]]:
    """The last decision on each proposal, of some kinds only: action and reason."""
    kept = (each for each in history if actions is None or each.action in actions)
    return {each.proposal_id: (each.action, each.reason) for each in kept}


def _status_of(decided: ProposalTable, proposal_id: str) -> str:
    found = dict(zip(decided.proposal_id, decided.status, strict=True))
    if proposal_id not in found:
        raise UsageError(f"there is no proposal {proposal_id!r}; `sima2 proposals` lists them")
    return found[proposal_id]
