"""What is bad is put aside under its code; what is good is not touched by it."""

from collections import Counter

from faults.corrupted_sets import check_that_only_the_bad_are_lost
from sima2 import Sima2Client
from sima2.io.arrow import read_table
from sima2.io.intake import QUARANTINE_REASONS
from sima2.records.intake import QuarantineTable


def test_a_tenth_of_the_episodes_is_bad(tmp_path) -> None:
    check_that_only_the_bad_are_lost(tmp_path, 200)


def test_edge_cases_are_put_aside_or_labelled(monkeypatch) -> None:
    from sima2.tasks import garbage

    monkeypatch.setattr(garbage, "_MILLION", 500)  # the long one has a test of its own
    source = Sima2Client(seed=3).source(mix="edge_cases_v1")
    got = source.read(0, source.episodes)
    assert len(got.batch) + len(got.quarantine) == source.episodes
    reasons = Counter(got.quarantine.reason.tolist())
    assert set(reasons) <= set(QUARANTINE_REASONS)
    assert {"empty", "one_frame", "time_not_increasing", "not_finite", "mixed_dimensions", "no_signal"} <= set(reasons)
    for text in (*got.batch.episodes.instruction, *got.batch.episodes.session):
        assert "\x00" not in text
        text.encode()


def test_edge_cases_go_through_the_whole_pipeline(monkeypatch, tmp_path) -> None:
    from sima2.orchestrator import run_pipeline
    from sima2.tasks import garbage

    monkeypatch.setattr(garbage, "_MILLION", 500)
    monkeypatch.setenv("HF_TOKEN", "hunter2-of-the-environment")
    episodes = run_pipeline(mix="edge_cases_v1", seed=3, out=tmp_path / "out").values["episodes"]
    assert episodes["in"] == episodes["ok"] + episodes["quarantined"] + episodes["skipped"]
    aside = read_table(QuarantineTable, tmp_path / "out" / "quarantine.parquet")
    assert episodes["quarantined"] == len(aside)
    assert Counter(aside.reason.tolist()) == {
        "empty": 1, "frozen": 1, "mixed_dimensions": 1, "mostly_missing": 1, "no_signal": 1, "not_finite": 2,
        "one_frame": 1, "time_not_increasing": 2,
    }  # fmt: skip
    assert not [f for f in (tmp_path / "out").rglob("*") if f.is_file() and b"hunter2-of" in f.read_bytes()]
