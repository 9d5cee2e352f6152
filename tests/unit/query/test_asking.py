"""SQL sees the tables of a run and nothing else; its views say what their words say."""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from finished_run import write_folder
from sima2.asking import Session
from sima2.cli import app
from sima2.cli.query import _view_columns, named_views, opened
from sima2.errors import QueryError, StoreError
from sima2.io.store import Store
from sima2.orchestrator import run_pipeline
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import TrainingPlan
from sima2.records.segments import SegmentTable
from sima2.records.tags import TagTable
from sima2.records.vocabulary import CONTACT_ACTIONS
from sima2.tags.specs import THRESHOLDS

pytest.importorskip("duckdb")


def call(*words: object, columns: int = 100) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(each) for each in words], env={"COLUMNS": str(columns)})
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run") / "out"
    run_pipeline(families=("pick_and_place", "dish_place"), total=160, out=out)
    return out


@pytest.fixture(scope="module")
def asked(run: Path) -> Session:
    with opened(run) as session:
        yield session


def every(asked: Session, sql: str) -> list[tuple[Any, ...]]:
    return asked.ask(sql, 10**6).rows


def table(run: Path, cls: type, kind: str) -> list[dict[str, Any]]:
    with Store.read_only(run) as store:
        if (run / f"{kind}.parquet").is_file():
            return list(store.read_table(cls, kind).rows())
        return [row for part in store.read(cls, kind) for row in part.rows()]


# ---- views by hand


def test_failed_episodes_name_their_last_failed_step(run: Path, asked: Session) -> None:
    last: dict[str, dict] = {}
    for row in table(run, SegmentTable, "segments"):
        if row["outcome"] in ("failure", "retry"):
            key = (row["end_frame"], row["start_frame"])
            old = last.get(row["episode_id"])
            if old is None or key > (old["end_frame"], old["start_frame"]):
                last[row["episode_id"]] = row
    wanted = []
    for row in table(run, EpisodeTable, "episodes"):
        if row["success"] == 0:
            step = last.get(row["episode_id"], {})
            wanted.append((row["episode_id"], step.get("label"), step.get("start_frame")))
    assert every(asked, "SELECT episode_id, failed_label, start_frame FROM failed_episodes") == sorted(wanted)
    assert len(wanted) > 10


def test_attempts_are_numbered_within_their_episode(run: Path, asked: Session) -> None:
    rows = [row for row in table(run, SegmentTable, "segments") if row["label"] in CONTACT_ACTIONS]
    rows.sort(key=lambda row: (row["episode_id"], row["start_frame"], row["manipulator"], row["segment_id"]))
    seen: dict[tuple, int] = defaultdict(int)
    wanted = []
    for row in rows:
        seen[row["episode_id"], row["label"]] += 1
        wanted.append((row["episode_id"], row["segment_id"], row["label"], seen[row["episode_id"], row["label"]]))
    told = every(asked, "SELECT episode_id, segment_id, label, number FROM attempts")
    assert told == sorted(wanted)
    counted = {
        (episode, label): n for episode, label, n in every(asked, "SELECT episode_id, label, in_all FROM attempts")
    }
    assert counted == dict(seen)


def test_the_second_grasp_is_the_same_in_sql_and_in_a_sequence(run: Path, asked: Session) -> None:
    sql = "SELECT DISTINCT episode_id FROM attempts WHERE label = 'grasp' AND number = 2 AND outcome = 'success'"
    told = json.loads(call("query", run, "--sequence", "grasp:success[2]", "--json")[1])
    assert sorted({row[1] for row in told["rows"]}) == [row[0] for row in every(asked, sql)]
    assert told["rows"]


def test_recoveries_are_tries_again_that_succeeded(run: Path, asked: Session) -> None:
    groups: dict[tuple, list] = defaultdict(list)
    for row in table(run, SegmentTable, "segments"):
        groups[row["episode_id"], row["manipulator"], row["label"], row["object"]].append(row)
    wanted = []
    for rows in groups.values():
        rows.sort(key=lambda row: row["start_frame"])
        for row, after in pairwise(rows):
            if row["outcome"] == "retry" and after["outcome"] == "success":
                wanted.append((row["episode_id"], row["start_frame"], after["start_frame"]))
    assert every(asked, "SELECT episode_id, start_frame, again_start_frame FROM recoveries") == sorted(wanted)
    assert wanted


def test_doubtful_to_review_and_given_tags_are_what_they_say(run: Path, asked: Session) -> None:
    doubtful = [
        (row["episode_id"], row["segment_id"])
        for row in table(run, SegmentTable, "segments")
        if row["confidence"] < 0.5
    ]
    assert every(asked, "SELECT episode_id, segment_id FROM doubtful") == sorted(doubtful)
    review = [row["episode_id"] for row in table(run, TrainingPlan, "plan") if row["action"] == "review"]
    assert every(asked, "SELECT episode_id FROM to_review") == [(each,) for each in sorted(review)]
    given = [
        (row["tag"], row["episode_id"], row["start_frame"])
        for row in table(run, TagTable, "tags")
        if row["level"] > THRESHOLDS[row["tag"]]
    ]
    assert every(asked, "SELECT tag, episode_id, start_frame FROM given_tags") == sorted(given)
    assert given


@pytest.mark.parametrize("view", named_views(), ids=lambda view: view.name)
def test_every_view_is_told_of_as_it_is_and_its_example_runs(view: Any, run: Path, asked: Session) -> None:
    assert list(asked.ask(f"SELECT * FROM {view.name}", 1).columns) == _view_columns(view)
    asked.ask(view.example, 5)
    told = json.loads(call("query", run, "--table", view.name, "--json")[1])
    assert all(each["meaning"] for each in told["columns"].values())


def test_what_is_not_known_is_null(run: Path, asked: Session) -> None:
    wanted = sum(math.isnan(row["peak_force"]) for row in table(run, SegmentTable, "segments"))
    assert every(asked, "SELECT count(*) FROM segments WHERE peak_force IS NULL") == [(wanted,)]
    assert every(asked, "SELECT count(*) FROM segments WHERE isnan(peak_force)") == [(0,)]


# ---- order


def test_rows_come_sorted_unless_the_query_says_how(asked: Session) -> None:
    told = every(asked, "SELECT label, count(*) FROM segments GROUP BY label")
    assert told == sorted(told)
    down = every(asked, "SELECT label FROM segments GROUP BY label ORDER BY label DESC")
    assert down == sorted(down, reverse=True)
    assert every(asked, "SELECT 'a;b' -- a comment") == [("a;b",)]
    assert every(asked, "(SELECT 2 AS x) UNION SELECT 1;") == [(1,), (2,)]
    assert every(asked, "SELECT unnest([2, 1]) AS x;; -- both") == [(1,), (2,)]


# ---- nothing else


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM read_blob('{file}')",
        "SELECT * FROM read_parquet('{out}/episodes.parquet')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM glob('{out}/*')",
        "COPY (SELECT 1) TO '{new}'",
        "COPY episodes TO '{new}'",
        "ATTACH '{new}'",
        "EXPORT DATABASE '{new}'",
        "CREATE TABLE x AS SELECT 1",
        "CREATE OR REPLACE VIEW episodes AS SELECT 1",
        "DROP VIEW episodes",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET threads = 8",
        "PRAGMA enable_external_access = true",
        "SELECT 1; DROP VIEW episodes",
        "SELECT 1) ORDER BY ALL; DROP VIEW episodes; --",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{new}'",
        "SELECT * FROM tables",
        "SELECT getenv('HOME')",
        "SELECT * FROM read_csv('https://example.com/x.csv')",
        "",
        "  ;  ",
        "SELECT '\0'",
        "SELECT " + "(" * 5000,
        "SELECT 'a' + 1",
        "SELECT labl FROM segments",
    ],
)
def test_no_query_reaches_or_changes_anything_else(sql: str, run: Path, asked: Session, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("x,y\n1,2\n")
    tables = secret  # a variable of this program, which the database must not see
    with pytest.raises(QueryError) as caught:
        asked.ask(
            sql.replace("{file}", str(secret)).replace("{new}", str(tmp_path / "new")).replace("{out}", str(run)), 5
        )
    assert caught.value.exit_code == 2
    assert sorted(each.name for each in tmp_path.iterdir()) == [tables.name]
    assert every(asked, "SELECT count(*) FROM episodes")[0][0] > 100


def test_a_query_of_no_end_is_stopped_by_its_memory(asked: Session) -> None:
    with pytest.raises(QueryError, match="1GB of memory"):
        asked.ask("SELECT list(a.range) FROM range(400000000) a", 5)


def test_sql_without_its_extra_names_it_and_sequences_need_none(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    code, out, err = call("query", run, "SELECT 1")
    assert (code, out) == (2, "")
    assert "pip install 'sima2[query]'" in err
    assert call("query", run)[0] == call("query", run, "--sequence", "grasp > lift")[0] == 0


def test_wrong_names_are_met_with_near_ones_and_the_place(run: Path) -> None:
    code, out, err = call("query", run, "SELECT labl FROM segments")
    assert (code, out) == (2, "")
    assert "unknown column 'labl': did you mean 'label'?" in err
    assert err.splitlines()[1].index("labl") == err.splitlines()[2].index("^")
    assert "did you mean 'segments'" in call("query", run, "FROM segmnts")[2]
    assert "did you mean 'segments'" in call("query", run, "--table", "segmnts")[2]
    assert "syntax error" in call("query", run, "SELEC 1")[2]


def test_a_damaged_table_is_bad_data(tmp_path: Path) -> None:
    out = write_folder(tmp_path / "out")
    shard = next((out / "segments").glob("*.parquet"))
    for damage in (shard.read_bytes()[:200], b"", shard.read_bytes().replace(b"PAR1", b"XXXX")):
        shard.write_bytes(damage)
        with pytest.raises(StoreError), opened(out) as session:
            session.ask("FROM segments", 5)


def test_a_linked_table_is_refused(tmp_path: Path) -> None:
    out = write_folder(tmp_path / "out")
    (out / "episodes.parquet").rename(tmp_path / "e.parquet")
    (out / "episodes.parquet").symlink_to(tmp_path / "e.parquet")
    assert call("query", out, "SELECT 1")[0] == 3


# ---- the command


def test_answers_for_people_fit_their_terminal_and_show_no_control_characters(run: Path) -> None:
    for words in (
        ["SELECT * FROM episodes"],
        ["--sequence", "grasp … release"],
        ["SELECT chr(27) || '[31m' AS a, 1 AS b"],
    ):
        _, out, _ = call("query", run, *words, columns=60)
        assert max(map(len, out.splitlines())) <= 60
        assert "\x1b" not in out


def test_large_answers_are_bounded_and_say_so(run: Path) -> None:
    told = json.loads(call("query", run, "SELECT episode_id FROM segments", "--rows", 7, "--json")[1])
    assert (len(told["rows"]), told["more"]) == (7, True)
    assert "more rows" in told["note"]


def test_answers_are_written_as_csv_and_as_a_list_of_episodes(run: Path, tmp_path: Path) -> None:
    file, names = tmp_path / "a.csv", tmp_path / "e.txt"
    sql = "SELECT episode_id, peak_force, label FROM segments"
    code, out, _ = call("query", run, sql, "--csv", file, "--episodes", names, "--json")
    assert code == 0
    lines = file.read_text().splitlines()
    assert lines[0] == "episode_id,peak_force,label"
    assert json.loads(out)["rows_written"] == len(lines) - 1
    ids = names.read_text().splitlines()
    assert ids == sorted({line.partition(",")[0] for line in lines[1:]})
    assert call("query", run, sql, "--csv", file)[0] == 2
    assert call("query", run, sql, "--csv", run / "x.csv")[0] == 2
    assert "episode_id" in call("query", run, "SELECT 1", "--episodes", tmp_path / "n.txt")[2]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.csv", "e.txt"]


def test_the_list_of_what_can_be_asked_names_every_table_with_meanings(run: Path, asked: Session) -> None:
    told = json.loads(call("query", run, "--json")[1])
    for name, each in {**told["tables"], **told["views"]}.items():
        assert list(asked.ask(f'SELECT * FROM "{name}"', 1).columns) == list(each["columns"])
    assert all(column["meaning"] for each in told["tables"].values() for column in each["columns"].values())


def test_a_wrong_sequence_or_two_questions_are_wrong_usage(run: Path) -> None:
    code, out, err = call("query", run, "--sequence", "lift > slpi")
    assert (code, out) == (2, "")
    assert "did you mean 'slip'" in err
    assert call("query", run, "SELECT 1", "--sequence", "lift")[0] == 2
    assert call("query", run, "--sequence", "lift@lefd")[0] == 2
