"""A recording of joints and hands alone: what its tags could not assess they say so in words, and guess nothing.

The robot's chain, which would tell where its hands are, is turned off, but for the last test.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sima2.cli import app
from sima2.io.formats import open_dataset
from sima2.io.store import Store
from sima2.records.econ import EconTable
from sima2.records.knowledge import ProposalTable
from sima2.records.segments import SegmentTable
from sima2.records.table import Table
from sima2.records.tags import TagTable
from sima2.records.vocabulary import ANOMALIES
from sima2.tags.specs import TAGS, THRESHOLDS

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "lerobot_v21_g1"
UNSEEN_REASONS = (
    "drop", "locked", "collision", "obstructed", "insufficient_force", "misplaced", "unstable",
)  # fmt: skip
"""Reasons whose evidence is a force or an object's pose, of which neither was recorded."""

pytestmark = pytest.mark.skipif(not REAL.exists(), reason="needs the real recordings in ../shared/data")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("joints")
    guessed = open_dataset(REAL).column_map.to_toml()
    (folder / "map.toml").write_text(guessed.replace('robot = "g1"', 'robot = "none"'))
    return ran(folder / "out", "--map", str(folder / "map.toml"))


def ran(folder: Path, *words: str) -> Path:
    done = CliRunner().invoke(app, ["run", "--source", "lerobot", "--path", str(REAL), "--out", str(folder), *words])
    assert done.exit_code == 0
    return folder


def stored(out: Path, cls: type[Table], kind: str) -> Table:
    with Store.read_only(out) as store:
        return cls.concat(list(store.read(cls, kind)))


@pytest.fixture(scope="module")
def tags(out: Path) -> TagTable:
    table = stored(out, TagTable, "tags")
    assert isinstance(table, TagTable)
    return table


def test_no_reason_is_claimed_that_nothing_recorded_could_show(out: Path) -> None:
    segments = stored(out, SegmentTable, "segments")
    assert isinstance(segments, SegmentTable)
    assert len(segments) > 100
    assert not segments.failure_reason.isin(*UNSEEN_REASONS).any()
    assert not segments.label.isin(*set(ANOMALIES) - {"slip"}, "pull", "wipe").any()
    # what was lost shows only in fingers that then close
    assert (segments.width_change[segments.label.isin("slip")] < 0).all()
    assert set(segments.object) == {""}
    assert np.isnan(segments.peak_force).all()
    assert np.isnan(segments.energy_wh).all()
    used = {kind for text in segments.channels_used for kind in text.split("+")}
    assert not used & {"force", "grip", "pose", "object"}


@pytest.mark.parametrize(
    ("tag", "source", "words"),
    [
        ("RiskTag", "not_assessed", "too few"),
        ("FragilityTag", "not_assessed", "no object known"),
        ("OODTag", "uncalibrated", "at least 59 are needed"),
    ],
)
def test_a_tag_that_could_not_be_assessed_says_so_and_why(tags: TagTable, tag: str, source: str, words: str) -> None:
    mine = tags.take(tags.tag.isin(tag))
    assert len(mine) == 20
    assert np.isnan(mine.level).all()
    assert np.isnan(mine.severity).all()
    assert set(mine.source) == {source}
    assert all(words in text for text in mine.details)


def test_luck_is_not_assessed_where_no_risk_is(tags: TagTable) -> None:
    mine = tags.take(tags.tag.isin("LuckySuccessTag"))
    # where the fingers tell that it failed, it was no lucky success
    failed = mine.source.isin("risk+outcome")
    assert failed.sum() <= 2
    assert set(mine.take(~failed).source) == {"not_assessed"}
    assert np.isnan(mine.level[~failed]).all()


def test_no_tag_is_given_to_anybody_and_each_has_its_row(tags: TagTable) -> None:
    for name in TAGS:
        assert len(set(tags.take(tags.tag.isin(name)).episode_id)) == 20
    for name in ("RiskTag", "FragilityTag", "OODTag", "RecoveryTag", "LuckySuccessTag"):
        assert not (tags.take(tags.tag.isin(name)).level > THRESHOLDS[name]).any()


def test_no_cost_is_made_up_and_nothing_is_proposed(out: Path) -> None:
    econ = stored(out, EconTable, "econ")
    assert isinstance(econ, EconTable)
    told = econ.outcome_source.isin("inferred")
    assert 0.5 <= told.mean() < 1, "fingers that held something on the way, or lost it, tell how most of them ended"
    assert set(econ.take(~told).outcome_source) == {"none"}
    for name in ("success", "mpl", "energy_wh", "damage", "wage_parity", "resilience"):
        assert np.isnan(getattr(econ, name)[~told]).all(), name
    assert (econ.duration_s > 0).all()
    with Store.read_only(out) as store:
        proposals = store.read_table(ProposalTable, "proposals")
    assert not proposals.status.isin("accepted").any()
    assert not proposals.source_tag.isin(*TAGS).any()


def test_where_the_hands_are_by_the_robots_chain_tells_the_arm_that_rests_from_the_one_that_works(
    out: Path, tmp_path: Path
) -> None:
    joints, hands = stored(out, SegmentTable, "segments"), stored(ran(tmp_path / "out"), SegmentTable, "segments")
    assert isinstance(joints, SegmentTable)
    assert isinstance(hands, SegmentTable)

    def rests(table: SegmentTable) -> float:
        left = table.take(table.manipulator.isin("left"))
        frames = left.end_frame - left.start_frame
        return float(frames[left.label.isin("idle")].sum() / frames.sum())

    # in these episodes the left arm does nothing
    assert rests(hands) > 0.95 > rests(joints)
    assert 2 * len(hands) < len(joints)
    assert hands.confidence.mean() > joints.confidence.mean() + 0.2
    # a load that is moved and hardly rises is called pulled; that it was is not claimed
    pulled = hands.label.isin("pull")
    assert pulled.mean() < 0.05
    assert set(hands.take(pulled).outcome) <= {"unknown"}
    assert not hands.failure_reason.isin(*UNSEEN_REASONS).any()
