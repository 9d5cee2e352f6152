"""What trust applies, what a person takes back, and which alarms count."""

import numpy as np
import pytest

from sima2.errors import RecordError, UsageError
from sima2.records.knowledge import ProposalTable
from sima2.records.table import Text
from sima2.records.tags import TagTable
from sima2.records.trust import TrustMatrix, TrustRow
from sima2.semantic_orchestrator import Decision, SemanticOrchestrator

NAN = float("nan")


def matrix(**levels):
    def row(tag, level):
        tier = "trusted" if level > 0.8 else "provisional" if level > 0.5 else "untrusted"
        return TrustRow(
            tag, level, tier, "weak", 1.0, "damage", "", 0.3, (0.1, 0.5), 0.01, 0.01, 9, 99, 1, "ok", "", False
        )

    return TrustMatrix({tag: row(tag, level) for tag, level in levels.items()})


def proposed(*rows):
    """(id, source tag, status of its evidence)"""
    n = len(rows)
    words = {
        name: Text.full(n, "")
        for name in ("kind", "object", "action", "reason", "status_reason", "rationale", "episodes")
    }
    return ProposalTable(
        proposal_id=Text.of([row[0] for row in rows]),
        source_tag=Text.of([row[1] for row in rows]),
        status=Text.of([row[2] for row in rows]),
        priority=np.zeros(n),
        confidence=np.zeros(n),
        support=np.zeros(n, int),
        trials=np.zeros(n, int),
        **words,
    )


def tags(*rows):
    """(tag, kind, level, severity)"""
    n = len(rows)
    return TagTable(
        episode_index=np.arange(n),
        episode_id=Text.of([f"e{k}" for k in range(n)]),
        tag=Text.of([row[0] for row in rows]),
        kind=Text.of([row[1] for row in rows]),
        value=np.full(n, NAN),
        level=np.array([row[2] for row in rows], float),
        severity=np.array([row[3] for row in rows], float),
        source=Text.full(n, ""),
        start_frame=np.zeros(n, int),
        end_frame=np.zeros(n, int),
        details=Text.full(n, ""),
        available_at_frame=np.arange(n) * 10,
    )


PROPOSALS = proposed(("a", "", "accepted"), ("b", "RiskTag", "pending_trust"), ("c", "RiskTag", "refused"))


@pytest.mark.parametrize(("level", "status"), [(0.59, "pending_trust"), (0.6, "pending_trust"), (0.61, "accepted")])
def test_what_rests_on_a_tag_needs_trust_above_the_limit(level, status) -> None:
    decided = SemanticOrchestrator().decide(PROPOSALS, matrix(RiskTag=level))
    assert decided.status.tolist() == ["accepted", status, "refused"]
    assert SemanticOrchestrator().decide(PROPOSALS, matrix()).status.tolist()[1] == "pending_trust"


def test_the_history_tells_what_is_applied_and_says_nothing_twice() -> None:
    o = SemanticOrchestrator()
    trusted = o.decide(PROPOSALS, matrix(RiskTag=0.9))
    history = o.changes(trusted, [], look=1)
    assert [(each.proposal_id, each.action, each.look) for each in history] == [
        ("a", "applied", 1),
        ("b", "applied", 1),
    ]
    assert o.changes(trusted, history, look=2) == []
    # trust is lost: what rested on it is withdrawn, and comes back with it
    fallen = o.decide(PROPOSALS, matrix(RiskTag=0.1), history)
    history += o.changes(fallen, history, look=2)
    assert (history[-1].proposal_id, history[-1].action) == ("b", "withdrawn")
    history += o.changes(o.decide(PROPOSALS, matrix(RiskTag=0.9), history), history, look=3)
    assert (history[-1].proposal_id, history[-1].action) == ("b", "applied")
    # no longer proposed at all
    assert [each.action for each in o.changes(proposed(), history, look=4)] == ["withdrawn", "withdrawn"]


def test_what_is_undone_stays_undone_until_it_is_restored() -> None:
    o = SemanticOrchestrator()
    trust = matrix(RiskTag=0.9)
    decided = o.decide(PROPOSALS, trust)
    history = o.changes(decided, [], look=1)
    history.append(o.undo(decided, "a", "new gripper"))
    decided = o.decide(PROPOSALS, trust, history)
    assert decided.status.tolist() == ["undone", "accepted", "refused"]
    assert decided.status_reason[0] == "taken back: new gripper"
    assert o.changes(decided, history, look=2) == []
    history.append(o.restore(decided, "a", "old gripper"))
    decided = o.decide(PROPOSALS, trust, history)
    assert decided.status.tolist() == ["accepted", "accepted", "refused"]
    assert o.changes(decided, history, look=3) == []


@pytest.mark.parametrize("id_", ["c", "nobody"])
def test_only_what_is_applied_can_be_undone(id_) -> None:
    decided = SemanticOrchestrator().decide(PROPOSALS, matrix(RiskTag=0.9))
    with pytest.raises(UsageError, match=id_):
        SemanticOrchestrator().undo(decided, id_, "")
    with pytest.raises(UsageError):
        SemanticOrchestrator().restore(decided, "a", "")


def test_a_decision_is_read_back_and_nothing_else_is() -> None:
    decision = Decision("a", "undone", "ä <b>", 0)
    assert Decision.from_json(decision.to_json()) == decision
    for text in ("[]", "{}", "null", "nonsense"):
        with pytest.raises(RecordError):
            Decision.from_json(text)


def test_trusted_tags_stop_provisional_ones_warn_and_others_are_ignored() -> None:
    given = tags(
        ("RiskTag", "predictive", 0.95, NAN),
        ("OODTag", "predictive", 1.0, 0.95),
        ("Noise", "predictive", 1.0, 1.0),
        ("Unheard", "predictive", 1.0, 1.0),
        ("RiskTag", "predictive", 0.9, NAN),
        ("RiskTag", "diagnostic", 1.0, NAN),
        ("OODTag", "predictive", 1.0, 0.5),
        ("RiskTag", "predictive", NAN, NAN),
    )
    actions = SemanticOrchestrator().react(given, matrix(RiskTag=0.9, OODTag=0.7, Noise=0.5))
    assert list(zip(actions.episode_id, actions.action, actions.frame.tolist(), strict=True)) == [
        ("e0", "safety_stop", 0),
        ("e1", "warning", 10),
    ]
    assert actions.urgency.tolist() == [0.95, 0.95]
    assert len(SemanticOrchestrator().react(given, matrix())) == 0
    assert len(SemanticOrchestrator().react(tags(), matrix(RiskTag=0.9))) == 0
