"""`sima2 explain OUT EPISODE --segment N`: which rules named a segment, and on what; and `sima2 explain --rules`."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from recorded_sets import record
from sima2.cli import app
from sima2.segmentation_engine import RULE_LISTS


def sima2(*words: Any) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "out"
    code, _, error = sima2("run", "--families", "pick_and_place", "--episodes", 6, "--out", out)
    assert code == 0, error
    return out


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs next to the two data sets that they read."""
    root = tmp_path_factory.mktemp("recorded")
    for name, numbers in (("a", (0, 2, 6)), ("b", (0, 1, 8))):
        each = record(root / name, range(10 * ord(name), 10 * ord(name) + 3), numbers=numbers)
        code, _, error = sima2("run", "--source", "lerobot", "--path", each, "--out", root / "out")
        assert code == 0, error
    return root


def test_every_segment_of_a_made_rollout_has_its_rules(made: Path) -> None:
    segments = json.loads(sima2("explain", made, 3, "--json")[1])["segments"]
    for each in segments:
        values = json.loads(sima2("explain", made, 3, "--segment", each["segment_id"], "--json")[1])
        assert (values["label"], values["start_frame"]) == (each["label"], each["start_frame"])
        named = [rule for rule in values["rules"] if rule["about"] == "label"]
        assert each["label"] == "unknown" or named
        assert all(rule["reason"] for rule in values["rules"])


def test_a_segment_of_a_recording_tells_its_rules_of_whichever_run_it_is(recorded: Path) -> None:
    for episode in (6, 15):
        segments = json.loads(sima2("explain", recorded / "out", episode, "--json")[1])["segments"]
        grasp = next(each["segment_id"] for each in segments if each["label"] == "grasp")
        code, told, error = sima2("explain", recorded / "out", episode, "--segment", grasp)
        assert code == 0, error
        assert "Fingers that close to take hold." in " ".join(told.split())


def test_a_segment_that_is_not_there_is_told_with_how_many_there_are(made: Path) -> None:
    code, _, error = sima2("explain", made, 3, "--segment", 999)
    assert code == 2
    assert "has no segment 999: it has" in error


def test_a_recording_that_is_gone_is_told(recorded: Path) -> None:
    (recorded / "b").rename(recorded / "moved")
    code, _, error = sima2("explain", recorded / "out", 15, "--segment", 0)
    (recorded / "moved").rename(recorded / "b")
    assert code == 2
    assert "is no data set any more" in error


def test_rules_are_listed_in_their_order_without_any_run() -> None:
    code, told, _ = sima2("explain", "--rules")
    assert code == 0
    places = [told.index(title) for title in ("What a closing", "What a touch", "How a segment ended")]
    assert places == sorted(places)
    assert "let go high" in told
    lists = json.loads(sima2("explain", "--rules", "--json")[1])["lists"]
    assert [each["about"] for each in lists] == [each.title for each in RULE_LISTS]
    assert all(rule["because"] for each in lists for rule in each["rules"])


@pytest.mark.parametrize("words", [(), ("out",)])
def test_without_an_episode_nothing_is_explained(words: tuple[str, ...]) -> None:
    code, _, error = sima2("explain", *words)
    assert code == 2
    assert "sima2 explain OUT EPISODE" in error
