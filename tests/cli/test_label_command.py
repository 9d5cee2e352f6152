"""sima2 label, from the terminal to the next run."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import recorded_sets
from sima2.cli import app
from sima2.cli.run import QUARANTINED
from sima2.io.label_log import append_label, read_labels
from sima2.io.store import LABELS, Store
from sima2.labelling import OpenQuestions, label_order, tags_testable
from sima2.orchestrator import rebuild_ledger
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.labels import Label
from sima2.records.plan import TrainingPlan

N = 24


def call(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "100"})
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def told(*words: object) -> dict[str, Any]:
    code, out, error = call(*words, "--json")
    assert code in (0, QUARANTINED), error
    return json.loads(out)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded_sets.record(tmp_path_factory.mktemp("set") / "set", range(N))


@pytest.fixture(scope="module")
def before(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "out"
    told("run", "--path", recorded, "--out", out)
    return out


@pytest.fixture
def out(before: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(before, tmp_path / "out"))


def table(out: Path) -> EpisodeTable:
    with Store.read_only(out) as store:
        assert store.verify() == []
        return store.read_table(EpisodeTable, "episodes")


def say(out: Path, by: str = "ann", at: str = "2024-05-01", **more: object) -> None:
    names = table(out).episode_id.tolist()
    for k in range(8):
        what = "failure" if k % 2 else "success"
        label = Label(names[k], what, frame=20 if k % 2 else None, chosen="random", by=by, at=at)
        append_label(out, replace(label, **more))


@pytest.mark.parametrize("command", ["episodes", "audit", "plan"])
def test_results_that_are_older_than_a_label_say_so_on_stderr(out: Path, command: str) -> None:
    assert "labels were given" not in call(command, out)[2]
    say(out)
    code, shown, error = call(command, out, "--json")
    assert code == 0
    assert json.loads(shown)
    assert "labels were given since this run" in error


def test_what_a_person_says_is_the_outcome_of_the_next_run_and_the_run_after_it_has_nothing_new(
    recorded: Path, out: Path
) -> None:
    again = ("run", "--path", recorded, "--out", out)
    assert told(*again)["nothing_new"]
    say(out)
    summary = told(*again)
    assert "nothing_new" not in summary
    assert summary["episode_outcomes"] == {"success": 4, "failure": 4, "unknown": N - 8, "source": "person"}
    assert summary["said"]["outcomes"] == summary["said"]["by_lot"] == 8
    assert summary["first"]["outcomes"]["recorded"] == 8
    now = table(out)
    assert now.outcome_source.tolist()[:8] == ["person"] * 8
    assert now.success.tolist()[:4] == [1.0, 0.0, 1.0, 0.0]
    with Store.read_only(out) as store:
        econ = EconTable.concat(list(store.read(EconTable, "econ")))
        plan = store.read_table(TrainingPlan, "plan")
        measured = EconTable.concat(list(store.read(EconTable, "econ_shards")))
    assert econ.success.tolist()[:4] == [1.0, 0.0, 1.0, 0.0]
    assert np.isfinite(econ.mpl[:8]).all()
    assert np.isnan(measured.success).all(), "what was measured stays as it was"
    assert econ.resilience[1] == 0
    assert plan.action.tolist()[1] == "drop"
    assert plan.codes.tolist()[1].startswith("failed")
    assert told(*again)["nothing_new"]
    assert told("episodes", out, "--failed")["episodes"][0]["outcome_source"] == "person"
    assert "said by a person" in call("run", *again[1:])[1]
    explained = told("explain", out, "1")
    assert explained["labels"][0]["what"] == "failure"
    assert explained["outcome_source"] == "person"


def _looks(out: Path) -> list[tuple[int, str, str]]:
    with Store.read_only(out) as store:
        return store.calibrations


def test_more_labels_of_the_same_episodes_are_a_look_where_they_count(tmp_path: Path) -> None:
    out, run = tmp_path / "out", ("run", "--families", "drawer_open", "--episodes", 60, "--out", tmp_path / "out")
    told(*run)
    won = table(out).take(table(out).success == 1).episode_id.tolist()
    trust = (out / "trust_matrix.json").read_bytes()
    append_label(out, Label(won[0], "failure", chosen="active"))
    assert told(*run)["said"]["overridden"] == 1
    assert (len(_looks(out)), (out / "trust_matrix.json").read_bytes()) == (1, trust)
    append_label(out, Label(won[1], "failure", chosen="random"))
    assert told(*run)["said"]["overridden"] == 2
    assert len(_looks(out)) == 2


def test_results_rest_on_what_was_said_and_not_on_who_said_it_or_when(
    recorded: Path, out: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(out, tmp_path / "other"))
    say(out)
    say(other, by="bob", at="2030-01-01T00:00:00Z")
    for k in (3, 5):  # said twice, and taken back
        append_label(other, Label(table(out).episode_id[k + 10], "failure", by="eve"))
        append_label(other, Label(table(out).episode_id[k + 10], "failure", "withdrawn", by="eve"))
    digests = {told("run", "--path", recorded, "--out", each)["digest"] for each in (out, other)}
    assert len(digests) == 1


def test_what_is_taken_back_leaves_the_results_as_if_it_had_never_been_said(recorded: Path, out: Path) -> None:
    first = json.loads((out / "summary.json").read_text())["digest"]
    say(out)
    assert told("run", "--path", recorded, "--out", out)["digest"] != first
    say(out, value="withdrawn")
    assert told("run", "--path", recorded, "--out", out)["digest"] == first


def test_a_note_makes_no_run_new(recorded: Path, out: Path) -> None:
    told("label", out, "3", "--note", "hm", "--by", "ann")
    told("label", out, "3", "boundary", "--frame", "4", "--value", "9", "--by", "ann")
    assert told("run", "--path", recorded, "--out", out)["nothing_new"]
    assert [row["what"] for row in told("explain", out, "3")["labels"]] == ["note", "boundary"]


def test_fresh_drops_results_and_never_what_was_said(recorded: Path, out: Path) -> None:
    say(out)
    lines = (out / LABELS).read_bytes()
    digest = told("run", "--path", recorded, "--out", out)["digest"]
    assert told("run", "--path", recorded, "--out", out, "--fresh")["digest"] == digest
    assert (out / LABELS).read_bytes() == lines
    rebuild_ledger(out)
    assert told("run", "--path", recorded, "--out", out)["digest"] == digest
    assert (out / LABELS).read_bytes() == lines


def test_a_folder_that_holds_labels_alone_may_be_run_into(recorded: Path, out: Path, tmp_path: Path) -> None:
    say(out)
    (tmp_path / "new").mkdir()
    shutil.copy(out / LABELS, tmp_path / "new" / LABELS)
    assert told("run", "--path", recorded, "--out", tmp_path / "new")["episode_outcomes"]["source"] == "person"


def test_a_run_that_fails_after_new_labels_leaves_the_results_as_they_were(
    recorded: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (out / "summary.json").read_bytes()
    say(out)
    with monkeypatch.context() as patched:
        patched.setattr("sima2.orchestrator.deciding.finalize", _fails)
        with pytest.raises(ZeroDivisionError):
            call("run", "--path", recorded, "--out", out)
    assert (out / "summary.json").read_bytes() == whole
    assert set(table(out).outcome_source) == {"none"}
    assert told("run", "--path", recorded, "--out", out)["episode_outcomes"]["source"] == "person"


def _fails(*_: object, **__: object) -> None:
    raise ZeroDivisionError


def test_a_recorded_outcome_is_overridden_and_the_conflict_is_a_finding(recorded: Path, tmp_path: Path) -> None:
    file = tmp_path / "outcomes.csv"
    file.write_text("episode_index,success\n" + "".join(f"{k},1\n" for k in range(N)))
    out, run = tmp_path / "out", ("run", "--path", recorded, "--outcomes", file, "--out", tmp_path / "out")
    told(*run)
    now = told("label", out, "2", "failure", "--frame", "30", "--by", "ann")
    assert now["stands"][0]["frame"] == 30
    told("label", out, "4", "failure", "--by", "ann")
    told("label", out, "4", "success", "--by", "bob")
    seen = told("label", out)
    assert [each["words"] for each in seen["overridden"]] == ["recorded as a success, called a failure by a person"]
    assert seen["disputed"] == [table(out).episode_id[4]]
    assert not seen["taken_in"]
    summary = told(*run)
    assert (summary["said"]["overridden"], summary["said"]["disputed"]) == (1, 1)
    found = {row["defect"]: row for row in pq.read_table(out / "defects.parquet").to_pylist()}
    assert found["outcome_overridden"]["kind_of_knowledge"] == "fact"
    assert found["outcome_overridden"]["start_frame"] == 30
    plan = {row["episode_id"]: row for row in pq.read_table(out / "plan.parquet").to_pylist()}
    names = table(out).episode_id
    assert plan[names[2]]["codes"].split(",")[0] == "failed"
    assert plan[names[4]]["action"] == "review"
    assert "outcome_disputed" in plan[names[4]]["codes"]
    assert np.isnan(table(out).success[4])
    assert told("label", out)["taken_in"]


def test_labels_of_other_episodes_and_broken_lines_are_kept_and_told(recorded: Path, out: Path) -> None:
    append_label(out, Label("elsewhere-1\x1b[31m", "failure"))
    with (out / LABELS).open("a") as file:
        file.write('{"episode_id": "half')
    code, shown, error = call("run", "--path", recorded, "--out", out)
    assert code == 0, error
    warnings = json.loads((out / "summary.json").read_text())["warnings"]
    assert any("labels are kept of 1 episodes that are not here" in each for each in warnings)
    assert any("line 2 is no label, cut off while it was written" in each for each in warnings)
    assert "\x1b[31m" not in shown
    code, shown, _ = call("label", out)
    assert "\x1b[31m" not in shown
    assert "elsewhere-1\\x1b[31m" in shown


def test_nominal_makes_a_reference(recorded: Path, out: Path) -> None:
    before = table(out)
    for k in np.flatnonzero(~before.nominal)[:2].tolist():
        told("label", out, before.episode_id[k], "success", "--by", "ann")
        told("label", out, before.episode_id[k], "nominal", "--by", "ann")
    told("run", "--path", recorded, "--out", out)
    assert table(out).nominal[np.flatnonzero(~before.nominal)[:2]].all()


def test_whom_to_look_at_next_goes_on_stably_and_says_why(out: Path) -> None:
    listed = told("label", out, "--next", 10)["next"]
    assert [each["chosen"] for each in listed] == ["random", "active"] * 5
    assert label_order(out, read_labels(out), n=10) == [*map(tuple, (each.values() for each in listed))]
    first = listed[0]["episode_id"]
    skipped = OpenQuestions.of(out).order(read_labels(out), n=8, skip=[first, listed[3]["episode_id"]])
    assert [each.episode_id for each in skipped[:8]] == [
        each["episode_id"] for k, each in enumerate(listed) if k not in (0, 3)
    ]
    now = told("label", out, first, "success", "--by", "ann")
    assert now["said"][0]["chosen"] == "random"
    assert now["next"][0] == listed[1]
    assert told("label", out, "--next", 9)["next"] == listed[1:]
    mine = next(name for name in table(out).episode_id if name not in {each["episode_id"] for each in listed})
    drawn = {each.episode_id for each in label_order(out, read_labels(out)) if each.chosen == "random"}
    assert (told("label", out, mine, "failure", "--by", "ann")["said"][0]["chosen"] == "random") == (mine in drawn)


def test_tags_become_testable_by_labels_of_those_drawn_by_lot(recorded: Path, out: Path) -> None:
    questions = OpenQuestions.of(out)
    assert not any(each.possible for each in questions.testable(read_labels(out))), "no episode has them here"
    assert {each.tag for each in questions.testable(read_labels(out))} == {"OODTag", "RecoveryTag", "LuckySuccessTag"}
    arms = questions.arms["OODTag"]
    given = np.where(np.arange(N) % 2 == 0, 1, 0).astype(np.int8)
    questions = replace(questions, arms={"OODTag": replace(arms, given=given)}, needed={"OODTag": 40})
    names = table(out).episode_id.tolist()
    for n in range(N + 1):
        (row,) = questions.testable(read_labels(out))
        assert row.testable == (row.more == 0 and row.both)
        assert row.testable == (n >= 10), "five of each arm"
        assert row.possible
        assert (row.tagged + row.untagged, row.to_settle) == (n, 40 - n)
        if n < 10:
            assert n + row.more <= 10 + (n == 0)
        if n < N:
            append_label(out, Label(names[n], "success" if n % 3 else "failure", chosen="random"))
    told("run", "--path", recorded, "--out", out)
    assert len(tags_testable(out, read_labels(out))) == 3


def test_labels_of_ones_own_choice_make_no_tag_testable(out: Path) -> None:
    before = OpenQuestions.of(out).testable(read_labels(out))
    say(out, chosen="active")
    assert OpenQuestions.of(out).testable(read_labels(out)) == before


def test_what_was_said_is_a_file_of_outcomes_for_another_run(recorded: Path, out: Path, tmp_path: Path) -> None:
    assert call("label", out, "--outcomes", tmp_path / "none.csv")[0] == 2
    say(out)
    for name in ("outcomes.csv", "outcomes.jsonl"):
        told("label", out, "--outcomes", tmp_path / name)
        fresh = tmp_path / f"of {name}"
        summary = told("run", "--path", recorded, "--outcomes", tmp_path / name, "--out", fresh)
        assert summary["episode_outcomes"] == {"success": 4, "failure": 4, "unknown": N - 8, "source": "recorded"}
    with (tmp_path / "outcomes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["failed_at_s"] for row in rows[:2]] == ["", "1.0"]
    for wrong in (tmp_path / "outcomes.csv", out / "o.csv", recorded / "o.csv", tmp_path / "o.txt"):
        assert call("label", out, "--outcomes", wrong)[0] == 2
    assert not (out / "o.csv").exists()
    assert not (recorded / "o.csv").exists()


@pytest.mark.parametrize(
    ("words", "told_of"),
    [
        (("99", "success"), "unknown episode '99'"),
        (("3",), "say what of 3"),
        (("3", "sucess"), "did you mean 'success'"),
        (("3", "failure", "--frame", "5000"), "there is no frame 5000"),
        (("3", "label", "--value", "lift"), "say at which frame"),
        (("3", "success", "--next", "3"), "one at a time"),
        (("--note", "hm"), "say of which episode"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_said(
    out: Path, words: tuple[str, ...], told_of: str
) -> None:
    code, _, error = call("label", out, *words)
    assert code == 2
    assert told_of in error
    assert not (out / LABELS).exists()


def test_exports_carry_what_persons_say_as_they_carry_what_was_recorded(
    recorded: Path, out: Path, tmp_path: Path
) -> None:
    say(out)
    told("run", "--path", recorded, "--out", out)
    told("export", out, "--lerobot", tmp_path / "copy", "--keep-whole")
    lines = [json.loads(line) for line in (tmp_path / "copy/meta/episodes.jsonl").read_text().splitlines()]
    assert [line.get("sima2/success") for line in lines[:5]] == [1.0, 1.0, 1.0, 1.0, None], "failures are dropped"
    told("export", out, "--lists", tmp_path / "lists")
    (file,) = [each for each in (tmp_path / "lists").rglob("*.parquet") if "next.success" in pq.read_schema(each).names]
    values = pq.read_table(file)["next.success"].to_pylist()
    assert values.count(True) == 4
    assert None in values
