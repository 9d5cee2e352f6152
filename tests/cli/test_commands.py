"""What every command promises, and what each of them does on a finished folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from finished_run import episodes_of, made_report, trust_row, trust_rows, write_folder
from sima2 import __version__
from sima2.cli import Commands, app
from sima2.cli.audit import grouped
from sima2.errors import StoreError
from sima2.io.store import Coming, Store
from sima2.records.intake import QuarantineTable
from sima2.records.plan import FrameWeights
from sima2.sampling.weight_settings import STRATEGIES

COMMANDS = (
    "run",
    "generate",
    "tasks",
    "segment",
    "trust",
    "audit",
    "plan",
    "episodes",
    "query",
    "explain",
    "label",
    "proposals",
    "report",
    "view",
    "quarantine",
    "doctor",
    "sample",
    "export",
    "receipt",
    "loop",
    "tree",
    "card",
    "bench",
)
ON_A_FOLDER = ("trust", "audit", "episodes", "proposals", "report", "quarantine", "doctor", "query", "label")
HEAVY = ("numpy", "pyarrow", "scipy", "rich", "mujoco", "sqlite3", "torch")


def call(*arguments: object, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    result = CliRunner().invoke(app, [str(each) for each in arguments], env=environment)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("finished") / "out")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "out")


# ---- promises of every command


def test_the_list_of_commands_is_the_documented_one() -> None:
    told = tuple(command.name for command in app.registered_commands)
    assert told == COMMANDS, "a command that is new, moved or gone: COMMANDS in this file says which there are"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_and_json(name: str) -> None:
    code, out, _ = call(name, "--help")
    assert code == 0
    assert "Example" in out
    assert f"  sima2 {name}" in out
    assert "--json" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_wrong_usage(name: str) -> None:
    code, out, err = call(name, "--no-such-option")
    assert code == 2
    assert out == ""
    assert "--no-such-option" in err


@pytest.mark.parametrize("name", ON_A_FOLDER)
def test_json_is_one_object_and_all_of_stdout(name: str, folder: Path) -> None:
    code, out, _ = call(name, folder, "--json")
    assert code == 0
    assert isinstance(json.loads(out), dict)
    assert "NaN" not in out


@pytest.mark.parametrize("name", ON_A_FOLDER)
def test_a_folder_without_results_is_bad_data_in_one_line(name: str, tmp_path: Path) -> None:
    code, out, err = call(name, tmp_path)
    assert code == 3
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("width", ["60", "120"])
@pytest.mark.parametrize("name", [*ON_A_FOLDER, "explain"])
def test_no_line_is_wider_than_the_terminal(
    name: str, width: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(Path("out"))
    more = ("pick_and_place-000007",) if name == "explain" else ()
    _, out, _ = call(name, "out", *more, COLUMNS=width)
    assert max(len(line) for line in out.splitlines()) <= int(width)


def test_no_colour_is_written_to_a_pipe_or_where_it_is_not_wanted(finished: Path) -> None:
    for environment in ({}, {"NO_COLOR": "1", "FORCE_COLOR": "1"}):
        assert "\x1b[3" not in call("trust", finished, **environment)[1]


# ---- the door


def test_help_is_light() -> None:
    code = f"import sys, sima2.cli; print([m for m in {HEAVY!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_help_takes_less_than_three_tenths_of_a_cpu_second() -> None:
    before = os.times()
    subprocess.run([sys.executable, "-m", "sima2", "--help"], capture_output=True, check=True)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    assert spent <= 0.3


def test_the_version_is_told() -> None:
    assert call("--version") == (0, f"sima2 {__version__}\n", "")


def test_python_dash_m_ends_with_the_exit_code_of_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "sima2", "bench", "nosuch"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "unknown bench 'nosuch'" in done.stderr
    assert "throughput" in done.stderr
    assert "Traceback" not in done.stderr


# ---- run


def test_wrong_names_list_the_valid_ones() -> None:
    for option, wrong, valid in (
        ("--source", "synthtic", "did you mean 'synthetic'"),
        ("--engine", "spark", "valid: local"),
    ):
        code, _, err = call("run", option, wrong)
        assert code == 2
        assert valid in err


def command_that(raises: type[BaseException] | BaseException) -> typer.Typer:
    """A program with our way of failing, whose ``run`` fails."""
    program = typer.Typer(cls=Commands)

    @program.command()
    def run() -> None:
        raise raises

    @program.command()
    def other() -> None: ...

    return program


def test_ctrl_c_in_a_run_tells_how_to_go_on() -> None:
    done = CliRunner().invoke(command_that(KeyboardInterrupt), ["run"])
    assert (done.exit_code, done.stdout) == (130, "")
    assert "--resume" in done.stderr


def test_an_error_message_cannot_steer_the_terminal() -> None:
    done = CliRunner().invoke(command_that(StoreError("bad \x1b[2J\u202e\nname")), ["run"])
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr == "error: bad \\x1b[2J\\u202e\\nname\n"


def test_an_error_of_the_file_system_is_one_line_with_its_file() -> None:
    done = CliRunner().invoke(command_that(PermissionError(13, "Permission denied", "some/file")), ["run"])
    assert (done.exit_code, done.stderr) == (1, "error: some/file: Permission denied\n")


def test_a_defect_is_not_hidden() -> None:
    assert isinstance(CliRunner().invoke(command_that(ZeroDivisionError), ["run"]).exception, ZeroDivisionError)


# ---- single commands


def test_tasks_lists_every_family_and_describes_one() -> None:
    from sima2.tasks.families import ALL_FAMILIES

    assert set(json.loads(call("tasks", "--json")[1])) == set(ALL_FAMILIES)
    assert "locked_joint" in call("tasks", "drawer_open")[1]
    one = json.loads(call("tasks", "drawer_open", "--json")[1])
    assert one["failure_modes"]["locked_joint"]["reason"] == "locked"
    assert call("tasks", "drwer_open")[0] == 2


def test_trust_shows_tiers_and_evidence(finished: Path) -> None:
    _, out, _ = call("trust", finished)
    assert "● " in out
    assert "0.52 [0.43, 0.61]" in out
    assert json.loads(call("trust", finished, "--json")[1])["FragilityTag"]["effect"] is None


def test_a_lost_tier_fails_the_gate_and_a_won_one_does_not(finished: Path, tmp_path: Path) -> None:
    worse = {**trust_rows(), "RiskTag": trust_row("RiskTag", 0.6, 0.3, 0.1)}
    other = write_folder(tmp_path / "worse", trust=worse)
    code, out, err = call("trust", other, "--diff", finished, "--json")
    assert code == 5
    assert json.loads(out)["lost"] == ["RiskTag"]
    assert "RiskTag" in err
    assert call("trust", finished, "--diff", other)[0] == 0


def test_a_tag_that_is_gone_has_lost_its_tier(finished: Path, tmp_path: Path) -> None:
    less = {tag: row for tag, row in trust_rows().items() if tag != "RiskTag"}
    assert call("trust", write_folder(tmp_path / "less", trust=less), "--diff", finished)[0] == 5


def test_report_writes_the_page_and_the_folder_stays_whole(folder: Path) -> None:
    code, out, _ = call("report", folder, "--json")
    assert code == 0
    assert Path(json.loads(out)["report"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert call("doctor", folder)[0] == 0


def test_quarantine_counts_reasons_and_names_episodes(finished: Path) -> None:
    values = json.loads(call("quarantine", finished, "--json")[1])
    assert values["reasons"] == {"empty": 2, "not_finite": 1}
    assert [row["episode_id"] for row in values["episodes"]] == ["bad-3", "bad-9", "bad-11"]
    assert "infinite at frame 12" in " ".join(call("quarantine", finished)[1].split())


def test_doctor_finds_damage_loss_and_strangers(folder: Path) -> None:
    assert "all is well" in call("doctor", folder)[1]
    (folder / "segments" / "shard-000000.parquet").write_bytes(b"damaged")
    (folder / "tags" / "shard-000009.parquet").write_bytes(b"orphan")
    code, out, err = call("doctor", folder, "--json")
    assert code == 3
    assert len(json.loads(out)["problems"]) == 2
    assert "2 found" in err


def test_doctor_notices_an_episode_that_got_lost(tmp_path: Path) -> None:
    report = made_report()
    counts = {"in": 1250, "ok": 1239, "quarantined": 10, "skipped": 0}
    out = write_folder(tmp_path / "out", replace(report, summary={**report.summary, "episodes": counts}))
    assert "1249 are accounted for" in " ".join(call("doctor", out)[1].split())


def test_explain_tells_tags_evidence_trust_and_weight_by_id_or_index(finished: Path) -> None:
    values = json.loads(call("explain", finished, "pick_and_place-000007", "--json")[1])
    risk = next(row for row in values["tags"] if row["tag"] == "RiskTag")
    assert risk["tier"] == "trusted"
    assert "grip margin" in risk["details"]
    assert values["weight"]["reasons"] == "RiskTag raised it"
    assert len(values["segments"]) == 12
    assert json.loads(call("explain", finished, "0", "--json")[1]) == values
    assert "grip margin" in call("explain", finished, "0")[1]


def test_explain_knows_why_an_episode_was_set_aside(finished: Path) -> None:
    assert "infinite" in call("explain", finished, "bad-9")[1]


def test_explain_of_a_wrong_name_offers_the_nearest(finished: Path) -> None:
    code, _, err = call("explain", finished, "drawer_open-000112")
    assert code == 2
    assert "drawer_open-000113" in err


def test_a_folder_that_may_not_be_written_is_one_clear_error(folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    folder.chmod(0o500)
    code, _, err = call("report", folder)
    folder.chmod(0o700)
    assert code in (1, 3)
    assert err.startswith("error: ")


def test_audit_counts_verdicts_and_lists_the_doubtful_ones(finished: Path) -> None:
    values = json.loads(call("audit", finished, "--json")[1])
    assert values["statuses"] == {"passed": 398, "rejected": 1, "requires_review": 1}
    _, out, _ = call("audit", finished)
    assert "ends in mid-air" in out
    assert "passed" in out
    assert "e0005" not in out


def draws(folder: Path, *more: object) -> list[int]:
    code, out, _ = call("sample", folder, "--n", 400, *more, "--json")
    assert code == 0
    index: list[int] = json.loads(out)["episode_index"]
    return index


def test_sample_draws_the_same_for_a_seed_and_an_epoch_and_anew_for_another(finished: Path) -> None:
    assert len(draws(finished)) == 400
    assert draws(finished) == draws(finished)
    assert draws(finished, "--epoch", 1) != draws(finished)
    assert draws(finished, "--seed", 1) != draws(finished)


def test_sample_takes_risk_for_reinforcement_and_leaves_it_for_imitation(finished: Path) -> None:
    """The first two episodes carry a trusted RiskTag; the second has failed."""
    rl, bc = draws(finished, "--objective", "rl"), draws(finished, "--objective", "bc")
    assert rl.count(1) >= 3
    assert bc.count(1) <= 1


def test_sample_knows_every_strategy_of_the_table_and_lists_them_for_a_wrong_one(finished: Path) -> None:
    told = call("sample", "--help")[1]
    for name in STRATEGIES:
        assert name in told
        assert draws(finished, "--strategy", name)
    for option in ("--strategy", "--objective"):
        code, _, err = call("sample", finished, "--n", 1, option, "nosuch")
        assert code == 2
        assert "valid: " in err


def test_sample_prints_one_line_a_draw_and_keeps_all_else_off_stdout(finished: Path) -> None:
    code, out, err = call("sample", finished, "--n", 5)
    assert code == 0
    assert [line.split("\t")[0] for line in out.splitlines()] == [str(i) for i in draws(finished, "--n", 5)]
    assert "effective sample size" in err


@pytest.mark.parametrize("width", ["60", "120"])
def test_sample_without_draws_tells_whom_the_weights_favour(finished: Path, width: str) -> None:
    _, out, err = call("sample", finished, "--objective", "bc", COLUMNS=width)
    assert err == ""
    assert max(len(line) for line in out.splitlines()) <= int(width)
    for word in ("effective sample size", "failed episodes", "pick_and_place", "with RecoveryTag"):
        assert word in out
    told = json.loads(call("sample", finished, "--objective", "bc", "--json")[1])["effective"]
    assert told["n"] == 400
    assert told["failed"]["share"] <= told["failed"]["even"]


def test_sample_shares_draws_among_processes(finished: Path) -> None:
    for rank in range(3):
        assert draws(finished, "--rank", rank, "--world-size", 3) == draws(finished)[rank::3]
    assert call("sample", finished, "--n", 1, "--rank", 1)[0] == 2


def test_sample_tells_importance_weights_and_prints_csv(finished: Path) -> None:
    values = json.loads(call("sample", finished, "--n", 9, "--weights", "--json")[1])
    lines = call("sample", finished, "--n", 9, "--weights", "--csv")[1].splitlines()
    assert lines[0] == "episode_index,episode_id,is_weight"
    assert [float(line.split(",")[2]) for line in lines[1:]] == values["is_weight"]
    assert "is_weight" not in json.loads(call("sample", finished, "--n", 9, "--json")[1])


def test_sample_writes_draws_as_parquet(finished: Path, tmp_path: Path) -> None:
    from sima2.io.arrow import read_table
    from sima2.records.plan import DrawTable

    code, out, _ = call("sample", finished, "--n", 400, "--draws", tmp_path / "draws.parquet")
    assert code == 0
    assert "400 rows" in out
    table = read_table(DrawTable, tmp_path / "draws.parquet")
    assert table.episode_index.tolist() == draws(finished)
    assert table.episode_id[0] == json.loads(call("sample", finished, "--n", 400, "--json")[1])["episode_id"][0]


def test_sample_can_leave_out_all_but_successes(finished: Path) -> None:
    """Of the made run every third episode from the first on has succeeded."""
    index = draws(finished, "--only-successes")
    assert len(set(index)) > 100
    assert {i % 3 for i in index} == {0}
    assert {i % 3 for i in draws(finished)} == {0, 1, 2}


def frame_table(file: Path) -> FrameWeights:
    from sima2.io.arrow import read_table

    return read_table(FrameWeights, file)


def test_sample_writes_a_weight_for_every_frame(tmp_path: Path) -> None:
    nothing_aside = replace(made_report(), quarantine=QuarantineTable.empty())
    out, file = write_folder(tmp_path / "out", nothing_aside), tmp_path / "frames.parquet"
    told = json.loads(call("sample", out, "--frames", file, "--only-successes", "--json")[1])["frames"]
    table = frame_table(file)
    assert len(table) == told["rows"] == 400 * 208
    assert table.weight.mean() == pytest.approx(1)
    assert (table.weight.reshape(400, 208)[1::3] == 0).all()
    assert told["without_weight"] == (table.weight == 0).sum() > 0
    assert call("sample", out, "--frames", file, "--per", "second")[0] == 2


def lost_and_found(folder: Path, data: Path, lengths: Sequence[int]) -> tuple[Path, Path]:
    """A run in which episode 1 of 3 was put aside, and a data set whose metadata state lengths."""
    out = write_folder(folder)
    episodes = episodes_of(["e0", "e2"])
    with Store.open(out, [Coming({"seed": 0})], resume=True) as store:
        store.write_table("episodes", replace(episodes, episode_index=np.array([0, 2])))
        aside = made_report().quarantine.take(np.array([0]))
        store.write_table("quarantine", replace(aside, episode_index=np.array([1])))
    (data / "meta").mkdir(parents=True)
    (data / "data").mkdir()
    features = {"action": {"dtype": "float32", "shape": [1], "names": None}}
    info = {"codebase_version": "v2.1", "fps": 20, "features": features, "robot_type": "x"}
    (data / "meta" / "info.json").write_text(json.dumps(info))
    rows = [{"episode_index": i, "tasks": [], "length": n} for i, n in enumerate(lengths)]
    (data / "meta" / "episodes.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return out, data


def test_frames_after_a_lost_episode_are_numbered_by_the_data_set_alone(tmp_path: Path) -> None:
    out, data = lost_and_found(tmp_path / "out", tmp_path / "data", (208, 7, 208))
    file = tmp_path / "frames.parquet"
    code, _, err = call("sample", out, "--frames", file)
    assert code == 2
    assert "the first is episode 1" in err
    assert not file.exists()
    assert call("sample", out, "--frames", file, "--path", data)[0] == 0
    assert np.flatnonzero(frame_table(file).weight == 0).tolist() == list(range(208, 215))


def test_lengths_of_another_data_set_are_refused(tmp_path: Path) -> None:
    out, data = lost_and_found(tmp_path / "out", tmp_path / "data", (208, 7, 209))
    code, _, err = call("sample", out, "--frames", tmp_path / "frames.parquet", "--path", data)
    assert code == 2
    assert "is it another data set" in err


def test_audit_groups_reasons_with_an_example_before_the_worst(finished: Path) -> None:
    values = json.loads(call("audit", finished, "--json")[1])
    assert values["reasons"] == [
        {"code": "no_segment", "episodes": 1, "not_passed": 1, "example": "pick_and_place-000007"},
        {"code": "severe_ood", "episodes": 1, "not_passed": 1, "example": "drawer_open-000113"},
    ]
    out = call("audit", finished, COLUMNS="60")[1]
    assert out.index("no segment") < out.index("To look at") < out.index("ends in mid-air")


def test_a_reason_that_many_share_is_counted_once_with_its_worst_as_the_example() -> None:
    rows = [
        {"episode_id": "a", "status": "passed", "quality": 0.6, "codes": "failed"},
        {"episode_id": "b", "status": "requires_review", "quality": 0.4, "codes": "failed,low_quality"},
        {"episode_id": "c", "status": "rejected", "quality": 0.0, "codes": "quarantined:empty"},
        {"episode_id": "d", "status": "passed", "quality": 0.8, "codes": ""},
    ]
    assert [tuple(group.values()) for group in grouped(rows)] == [
        ("failed", 2, 1, "b"),
        ("low_quality", 1, 1, "b"),
        ("quarantined:empty", 1, 1, "c"),
    ]


def test_tree_prints_python_or_json_and_names_the_families_that_are_there(folder: Path) -> None:
    way = ["approach", "grasp"]
    task = {"type": "task", "name": "drawer_open", "way": way, "way_support": 3, "way_trials": 3, "depth": 0}
    (folder / "task_graph.json").write_text(json.dumps({"nodes": {"task:drawer_open": task}, "edges": []}))
    code, out, _ = call("tree", folder, "drawer_open")
    assert code == 0
    compile(out, "tree", "exec")
    values = json.loads(call("tree", folder, "drawer_open", "--json")[1])
    assert values["python"] == out
    assert [step["name"] for step in values["steps"]] == way
    code, _, err = call("tree", folder, "drawr_open")
    assert code == 2
    assert "valid: drawer_open" in err
