from dataclasses import replace

import numpy as np
import pytest

from sima2.records.defects import DefectTable
from sima2.records.episodes import EpisodeTable
from sima2.records.intake import QuarantineTable
from sima2.records.table import Text
from sima2.records.tags import TagTable
from sima2.records.trust import TrustRow
from sima2.sampling.auditor import DatapackAuditor
from sima2.tags.specs import TAGS

SPECS = {tag: TAGS[tag] for tag in ("RiskTag", "OODTag", "RecoveryTag")}


def filled(cls, n, **given):
    blank = {name: Text.full(n, "") if dtype is None else np.zeros(n, dtype) for name, dtype in cls.columns().items()}
    return cls(**{**blank, **given})


def episodes(n=1, **given):
    sound = {
        "episode_id": Text.of(f"e{k}" for k in range(n)),
        "frames": np.full(n, 100),
        "duration_s": np.full(n, 5.0),
        "segments": np.full(n, 4),
        "success": np.ones(n),
        "outcome_source": Text.full(n, "recorded"),
        "inferred_success": np.full(n, np.nan),
    }
    return filled(EpisodeTable, n, **{**sound, **given})


def tags(*rows):
    if not rows:
        return TagTable.empty()
    episode, tag, level, severity = zip(*rows, strict=True)
    return filled(
        TagTable,
        len(rows),
        episode_id=Text.of(episode),
        tag=Text.of(tag),
        level=np.array(level),
        severity=np.array(severity),
    )


def trust(**levels):
    blank = dict.fromkeys(TrustRow.__dataclass_fields__, "")
    return {tag: TrustRow(**{**blank, "tag": tag, "trust_level": level}) for tag, level in levels.items()}


def audit(table, *rows, **levels):
    return list(DatapackAuditor().audit(table, tags(*rows), trust(**levels), SPECS).rows())


def test_a_sound_datapack_without_tags_passes():
    (verdict,) = audit(episodes())
    assert (verdict["status"], verdict["reasons"]) == ("passed", "")


@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        ({"frames": np.array([1])}, "fewer than two frames"),
        ({"duration_s": np.array([0.0])}, "no time passes"),
        ({"duration_s": np.array([np.nan])}, "no time passes"),
        ({"segments": np.array([0])}, "no segment"),
        ({"episode_id": Text.of([""])}, "no id"),
    ],
)
def test_a_datapack_of_invalid_schema_is_rejected(flaw, words):
    (verdict,) = audit(episodes(**flaw))
    assert (verdict["status"], verdict["quality"]) == ("rejected", 0.0)
    assert words in verdict["reasons"]
    assert len(verdict["codes"].split(",")) == 1


def test_an_id_that_occurs_twice_is_rejected():
    assert [each["status"] for each in audit(episodes(2, episode_id=Text.of(["a", "a"])))] == ["rejected"] * 2


def test_leaning_on_an_untrusted_tag_lowers_quality():
    plain, leaning = audit(episodes(2), ("e1", "RiskTag", 0.9, 0.0), RiskTag=0.2)
    assert leaning["quality"] < plain["quality"]
    assert (leaning["reasons"], leaning["codes"]) == ("leans on tags without trust: RiskTag", "untrusted_tags")


def test_all_tags_without_trust_are_named_in_one_reason():
    rows = [("e1", tag, 1.0, 0.0) for tag in SPECS] + [("e2", "RiskTag", 1.0, 0.0)]
    found = audit(episodes(4, success=np.array([1.0, 0.0, 1.0, 1.0])), *rows)
    assert [each["reasons"] for each in found] == [
        "",
        "it is known to have failed, and imitation copies what it sees; "
        "leans on tags without trust: OODTag, RecoveryTag, RiskTag",
        "leans on tags without trust: RiskTag",
        "",
    ]
    assert found[1]["codes"] == "failed,untrusted_tags"
    assert found[2]["quality"] == pytest.approx(0.7)


def test_tags_are_named_by_their_own_tier():
    (verdict,) = audit(
        episodes(), ("e0", "RiskTag", 0.9, 0.0), ("e0", "RecoveryTag", 0.9, 0.0), RiskTag=0.5, RecoveryTag=0.8
    )
    assert verdict["reasons"] == "has provisional tags: RecoveryTag; leans on tags without trust: RiskTag"
    assert verdict["codes"] == "provisional_tags,untrusted_tags"


@pytest.mark.parametrize(
    ("success", "code", "status"),
    [(0.0, "failed", "rejected"), (np.nan, "outcome_unknown", "passed"), (1.0, "", "passed")],
)
def test_an_outcome_that_lowers_quality_is_among_the_reasons(success, code, status):
    (verdict,) = audit(episodes(success=np.array([success])))
    assert (verdict["codes"], verdict["status"]) == (code, status)


def test_a_tag_that_was_never_calibrated_is_untrusted():
    plain, leaning = audit(episodes(2), ("e1", "RiskTag", 0.9, 0.0))
    assert leaning["quality"] < plain["quality"]


def test_a_tag_below_its_threshold_does_not_count():
    plain, calm = audit(episodes(2), ("e1", "RiskTag", 0.7, 0.0), RiskTag=0.2)
    assert (plain["quality"], plain["status"]) == (calm["quality"], calm["status"])


def test_a_provisional_tag_asks_for_review():
    (verdict,) = audit(episodes(), ("e0", "RiskTag", 0.9, 0.0), RiskTag=0.7)
    assert verdict["status"] == "requires_review"
    assert "provisional" in verdict["reasons"]


@pytest.mark.parametrize(("severity", "level", "status"), [(0.95, 0.9, "requires_review"), (0.5, 0.9, "passed")])
def test_severe_strangeness_asks_for_review_where_the_tag_is_trusted(severity, level, status):
    (verdict,) = audit(episodes(), ("e0", "OODTag", 0.99, severity), OODTag=level)
    assert verdict["status"] == status


def test_a_trusted_recovery_raises_quality():
    plain, rescued = audit(episodes(2), ("e1", "RecoveryTag", 0.9, 0.0), RecoveryTag=0.9)
    assert rescued["quality"] > plain["quality"]
    assert rescued["status"] == "passed"


def test_quality_stays_between_zero_and_one():
    table = replace(episodes(1), success=np.zeros(1))
    rows = [("e0", tag, 1.0, 1.0) for tag in SPECS]
    (verdict,) = audit(table, *rows)
    assert 0 <= verdict["quality"] < 0.5


def test_quarantined_episodes_are_rejected_with_their_reason():
    aside = filled(
        QuarantineTable, 1, episode_id=Text.of(["bad"]), reason=Text.of(["empty"]), message=Text.of(["no frames"])
    )
    table = DatapackAuditor().audit(episodes(), tags(), {}, SPECS, aside)
    assert table.episode_id.tolist() == ["e0", "bad"]
    assert table.status.tolist() == ["passed", "rejected"]
    assert table.reasons[1] == "quarantined, empty: no frames"
    assert table.codes.tolist() == ["", "quarantined:empty"]


def test_auditing_nothing_finds_nothing():
    assert len(DatapackAuditor().audit(EpisodeTable.empty(), tags(), {}, SPECS)) == 0


def found(*rows):
    """Defects: episode, kind, severity, first frame, one past the last."""
    episode, kind, severity, start, end = zip(*rows, strict=True)
    return filled(
        DefectTable,
        len(rows),
        episode_id=Text.of(episode),
        defect=Text.of(kind),
        severity=np.array(severity),
        start_frame=np.array(start, np.int64),
        end_frame=np.array(end, np.int64),
    )


def test_what_no_trainer_can_take_as_it_is_does_not_pass_however_little_of_an_episode_it_is():
    defects = found(
        ("e0", "missing_samples", 0.2, 10, 14), ("e0", "missing_samples", 0.2, 10, 14), ("e1", "teleport", 0.5, 30, 32),
        ("e2", "idle", 0.6, 0, 60), ("e2", "teleport", 0.5, 70, 72), ("gone", "teleport", 0.9, 0, 2),
        ("e4", "repeated_grasp", 0.1, 5, 9),
    )  # fmt: skip
    verdicts = list(DatapackAuditor().audit(episodes(5), tags(), {}, SPECS, defects=defects).rows())
    assert [row["action"] for row in verdicts] == ["trim", "trim", "trim", "keep", "keep"]
    assert [row["status"] for row in verdicts] == ["requires_review"] * 3 + ["passed"] * 2
    assert [row["codes"] for row in verdicts] == ["missing_samples", "teleport", "teleport,idle", "", ""]
