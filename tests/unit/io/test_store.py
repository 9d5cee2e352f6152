"""The output folder: what is committed is there as a whole, and nothing foreign is ever touched."""

import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from sima2.errors import StoreError
from sima2.io.store import LEDGER, Coming, Store
from sima2.records.intake import QuarantineTable
from sima2.records.outcome import Outcome
from sima2.records.table import Text

SETTINGS = {"seed": 1, "mix": "hardening"}


def outcome(*success: float) -> Outcome:
    n = len(success)
    return Outcome(
        np.array(success, float), np.zeros(n), np.zeros(n), np.zeros(n, bool), Text(np.zeros(n, int), ("recorded",))
    )


def fill(store: Store, shards: int = 3) -> None:
    for shard in range(shards):
        store.commit("one", shard, {"econ": outcome(shard, 0.5)}, {"count": f"{shard}", "sum": "0"})


def test_what_was_committed_is_read_back_in_shard_order(tmp_path) -> None:
    with Store.open(tmp_path / "out", [Coming(SETTINGS)]) as store:
        for shard in (2, 0, 1):
            store.commit("one", shard, {"econ": outcome(shard)}, {"count": str(shard)})
        assert store.committed("one") == {0, 1, 2}
        assert store.committed("two") == set()
    with Store.read_only(tmp_path / "out") as store:
        assert [table.success.tolist() for table in store.read(Outcome, "econ")] == [[0.0], [1.0], [2.0]]
        assert list(store.aggregates("one", "count")) == [(0, "0"), (1, "1"), (2, "2")]
        assert store.kinds() == ["econ"]
        (run,) = store.runs
        assert run.settings == SETTINGS
        assert store.verify() == []


def test_single_files_replace_their_earlier_selves(tmp_path) -> None:
    with Store.open(tmp_path, [Coming(SETTINGS)]) as store:
        store.write_table("weights.parquet", outcome(1.0))
        store.write_table("weights", outcome(0.0))
        store.write_text("summary.json", "{}")
        store.write_text("summary.json", '{"ä": 1}')
        assert store.read_table(Outcome, "weights").success.tolist() == [0.0]
        assert store.read_text("summary.json") == '{"ä": 1}'
        assert store.verify() == []
    assert {each.name for each in tmp_path.iterdir()} == {
        ".sima2.lock", LEDGER, "ledger.sha256", "history.json", "summary.json", "weights.parquet",
    }  # fmt: skip


def test_the_digest_depends_on_values_and_not_on_shards(tmp_path) -> None:
    cuts = {"a": [(1.0, 2.0), (3.0,)], "b": [(1.0,), (2.0, 3.0)], "c": [(1.0,), (2.0, 4.0)]}
    digests = {}
    for name, parts in cuts.items():
        with Store.open(tmp_path / name, [Coming({"name": name})]) as store:
            for shard, part in enumerate(parts):
                store.commit("one", shard, {"econ": outcome(*part)}, {})
            store.write_table("weights", outcome(1.0))
            digests[name] = store.digest()
    assert digests["a"] == digests["b"] != digests["c"]


def test_an_interrupted_run_is_resumed_and_ends_as_if_uninterrupted(tmp_path) -> None:
    with Store.open(tmp_path / "whole", [Coming(SETTINGS)]) as store:
        fill(store, 3)
        whole = store.digest()
    with Store.open(tmp_path / "cut", [Coming(SETTINGS)]) as store:
        fill(store, 1)
    # a commit killed before its transaction leaves a temporary file, or a shard that the ledger does not know
    (tmp_path / "cut/econ/.writing-shard-000001.parquet").write_bytes(b"PAR1 half")
    (tmp_path / "cut/econ/shard-000002.parquet").write_bytes(b"never committed")
    with Store.read_only(tmp_path / "cut") as store:
        assert len(store.verify()) == 2
        assert len(list(store.read(Outcome, "econ"))) == 1
    with Store.open(tmp_path / "cut", [Coming(SETTINGS)], resume=True) as store:
        assert store.verify() == []
        assert store.committed("one") == {0}
        for shard in (1, 2):
            store.commit("one", shard, {"econ": outcome(shard, 0.5)}, {"count": f"{shard}", "sum": "0"})
        assert store.digest() == whole
        assert store.verify() == []
    for shard in range(3):
        name = f"econ/shard-{shard:06d}.parquet"
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_process_killed_while_writing_leaves_only_whole_shards(tmp_path) -> None:
    program = """
import os, sys, numpy as np
from sima2.io.store import Coming, Store
from sima2.records.outcome import Outcome
store = Store.open(sys.argv[1], [Coming({"seed": 1, "mix": "hardening"})])
store.commit("one", 0, {"econ": Outcome.unknown(4)}, {"count": "4"})
write = store._ledger.execute
store._ledger.execute("BEGIN")
store._ledger.execute("INSERT INTO shards VALUES ('one', 1)")
os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert done.returncode == 9
    with Store.open(tmp_path, [Coming(SETTINGS)], resume=True) as store:
        assert store.committed("one") == {0}
        assert list(store.aggregates("one", "count")) == [(0, "4")]


def test_resuming_with_other_settings_names_what_changed(tmp_path) -> None:
    Store.open(tmp_path, [Coming(SETTINGS)]).close()
    with pytest.raises(StoreError, match=r"other settings \(seed\)"):
        Store.open(tmp_path, [Coming({**SETTINGS, "seed": 2})], resume=True)
    Store.open(tmp_path, [Coming(SETTINGS)], resume=True).close()


def test_resuming_where_nothing_was_begins(tmp_path) -> None:
    with Store.open(tmp_path / "deep/new", [Coming(SETTINGS)], resume=True) as store:
        assert store.committed("one") == set()


def test_other_settings_add_a_run_once_the_one_before_is_finished(tmp_path) -> None:
    with Store.open(tmp_path, [Coming(SETTINGS, episodes=7, numbers_end=7)]) as store:
        fill(store, 2)
        store.commit("two", 0, {"tags": outcome(1.0)}, {"trust": "{}"})
        store.write_text("summary.json", "{}")
    with pytest.raises(StoreError, match=r"interrupted run with other settings \(seed\); use those"):
        Store.open(tmp_path, [Coming({**SETTINGS, "seed": 2})])
    with Store.open(tmp_path, [Coming(SETTINGS)]) as store:
        store.finish()
    with Store.open(tmp_path, [Coming({**SETTINGS, "seed": 2}, episodes=5, numbers_end=5)], redone=("two",)) as store:
        first, second = store.runs
        assert (first.finished, second.finished) == (True, False)
        assert (second.first_shard, second.first_episode, second.end_episode) == (2, 7, 12)
        assert store.committed("one") == {0, 1}
        assert store.committed("two") == set()
        assert not list(store.aggregates("two", "trust"))
        assert not list((tmp_path / "tags").iterdir())
        # what told that all is whole is gone until all is whole again
        assert not (tmp_path / "summary.json").exists()
        assert store.verify() == []
        assert next(iter(store.read(Outcome, "econ", below=1))).success.tolist() == [0.0, 0.5]
        store.finish()
    with Store.open(tmp_path, [Coming(SETTINGS)], resume=True) as store:
        assert len(store.runs) == 2


def test_numbers_of_a_run_begin_behind_the_largest_of_the_one_before(tmp_path) -> None:
    with Store.open(tmp_path, [Coming(SETTINGS, episodes=7, numbers_end=106)]) as store:
        store.finish()
    with Store.open(tmp_path, [Coming({"seed": 2}, episodes=5, numbers_end=5)]) as store:
        first, second = store.runs
    assert (first.first_episode, first.end_episode, second.first_episode, second.end_episode) == (0, 106, 106, 111)
    assert first.holds(np.array([0, 105, 106])).tolist() == [True, True, False]


def test_calibrations_and_decisions_are_kept_in_order(tmp_path) -> None:
    with Store.open(tmp_path, [Coming(SETTINGS)]) as store:
        store.record_calibration(1, "a", "{}")
        store.record_calibration(2, "b", "{}")
        store.record_calibration(2, "b", '{"again": 1}')
        store.record_decisions(["first"])
        store.record_decisions(["second"])
    with Store.amend(tmp_path) as store:
        assert store.calibrations == [(1, "a", "{}"), (2, "b", '{"again": 1}')]
        assert store.decisions == ["first", "second"]
    with pytest.raises(StoreError, match="no results here"):
        Store.amend(tmp_path / "elsewhere")


def test_results_of_an_earlier_run_are_dropped_on_request_and_other_files_stay(tmp_path) -> None:
    with Store.open(tmp_path, [Coming(SETTINGS)]) as store:
        fill(store)
        store.write_text("summary.json", "{}")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "econ/notes.txt").write_text("mine too")
    with Store.open(tmp_path, [Coming({"seed": 2})], fresh=True) as store:
        assert store.committed("one") == set()
        assert [run.settings for run in store.runs] == [{"seed": 2}]
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert [each.name for each in (tmp_path / "econ").iterdir()] == ["notes.txt"]
    assert not (tmp_path / "summary.json").exists()


def test_a_folder_that_holds_something_else_is_refused_untouched(tmp_path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match=r"holds something else \(thesis\.tex\)"):
        Store.open(tmp_path, [Coming(SETTINGS)])
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(StoreError, match="is a file"):
        Store.open(tmp_path / "thesis.tex", [Coming(SETTINGS)])


def test_a_database_of_another_program_is_refused(tmp_path) -> None:
    with sqlite3.connect(tmp_path / LEDGER) as other:
        other.execute("CREATE TABLE accounts (n)")
    other.close()
    for resume in (False, True):
        with pytest.raises(StoreError, match="another program"):
            Store.open(tmp_path, [Coming(SETTINGS)], resume=resume)
    with pytest.raises(StoreError, match="another program"):
        Store.read_only(tmp_path)
    (tmp_path / LEDGER).write_bytes(b"not a database at all, " * 100)
    with pytest.raises(StoreError, match="is not a ledger"):
        Store.open(tmp_path, [Coming(SETTINGS)])


def test_a_second_writer_is_refused_while_the_first_lives(tmp_path) -> None:
    with Store.open(tmp_path, [Coming(SETTINGS)]), pytest.raises(StoreError, match="is writing here"):
        Store.open(tmp_path, [Coming(SETTINGS)])
    Store.open(tmp_path, [Coming(SETTINGS)]).close()


def test_a_reader_sees_what_a_living_writer_committed(tmp_path) -> None:
    with Store.open(tmp_path, [Coming(SETTINGS)]) as writer:
        fill(writer, 1)
        with Store.read_only(tmp_path) as reader:
            assert reader.committed("one") == {0}
            fill_more = [("one", 1)]
            for phase, shard in fill_more:
                writer.commit(phase, shard, {}, {})
            assert reader.committed("one") == {0, 1}


def test_reading_where_nothing_is_says_what_to_do(tmp_path) -> None:
    with pytest.raises(StoreError, match="no results here"):
        Store.read_only(tmp_path)


def test_damage_is_found(tmp_path) -> None:
    with Store.open(tmp_path, [Coming(SETTINGS)]) as store:
        fill(store)
        store.write_text("summary.json", "{}")
    (tmp_path / "summary.json").write_text("[]")
    (tmp_path / "econ/shard-000001.parquet").unlink()
    (tmp_path / "econ/shard-000007.parquet").write_bytes(b"")
    with Store.read_only(tmp_path) as store:
        problems = "\n".join(store.verify())
    assert "summary.json: differs" in problems
    assert "shard-000001.parquet: missing" in problems
    assert "shard-000007.parquet: orphan" in problems
    with Store.open(tmp_path, [Coming(SETTINGS)], resume=True) as store:
        assert store.mend(store.runs, ()) == ["econ shard 1", "summary.json"]
        assert store.committed("one") == {0, 2}
        assert store.mend(store.runs, ()) == []


def test_a_shard_is_committed_once_and_by_one_phase(tmp_path) -> None:
    with Store.open(tmp_path, [Coming(SETTINGS)]) as store:
        fill(store, 1)
        with pytest.raises(StoreError, match="committed already"):
            fill(store, 1)
        with pytest.raises(StoreError, match="belongs to phase one"):
            store.commit("two", 0, {"econ": outcome(1.0)}, {})
        assert store.committed("two") == set()


@pytest.mark.parametrize("name", ["../up", "/up", "a/b", "", ".hidden", "x\0y"])
def test_no_name_leads_out_of_the_folder(tmp_path, name: str) -> None:
    with Store.open(tmp_path, [Coming(SETTINGS)]) as store:
        with pytest.raises(StoreError, match="plain file name"):
            store.write_text(name, "")
        with pytest.raises(StoreError, match="plain file name"):
            store.commit("one", 0, {name: QuarantineTable.empty()}, {})


def test_an_empty_table_keeps_its_columns(tmp_path) -> None:
    with Store.open(tmp_path, [Coming(SETTINGS)]) as store:
        store.commit("one", 0, {"quarantine": QuarantineTable.empty()}, {})
        (table,) = store.read(QuarantineTable, "quarantine")
        assert len(table) == 0
