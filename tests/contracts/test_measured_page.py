"""docs/measured.md: what the script makes of what the benches printed, complete, and bold where an aim is missed."""

from __future__ import annotations

import doctest
import json
import re
import sys
from pathlib import Path

import pytest

from sima2.bench import BENCHES

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import write_measured  # noqa: E402
from measured import TABLES, cells  # noqa: E402

ONE_TO_ONE = (
    "foreign", "foreign_changed", "recordings_defects", "recordings_plan", "card", "segmentation", "semantics", "trust",
    "videos", "throughput", "stress", "formats", "view", "export",
)  # fmt: skip
"""Benches of which every aim has a cell of its own."""


@pytest.fixture(scope="module")
def kept():
    return write_measured.kept()


def section(text: str, name: str) -> str:
    """From the line that names the bench's command to the next section."""
    return text[text.index(f"`sima2 bench {name}`") :].partition("\n## ")[0]


def test_the_page_is_what_the_script_makes_of_what_is_kept() -> None:
    for file, text in write_measured.written().items():
        assert file.read_text(encoding="utf-8") == text, "give: python scripts/write_measured.py"


def test_every_bench_is_kept_and_has_a_section_with_its_tables(kept) -> None:
    template = write_measured.TEMPLATE.read_text(encoding="utf-8")
    assert set(kept) == set(BENCHES)
    assert sorted(re.findall(r"\{\{about (\w+)\}\}", template)) == sorted(BENCHES)
    assert {*re.findall(r"\{\{table (.+?)\}\}", template)} == {*TABLES}
    assert {name.split(" ")[0] for name in TABLES} == {*BENCHES}


@pytest.mark.parametrize("name", ONE_TO_ONE)
def test_every_aim_that_is_missed_is_bold_in_its_section(name, kept) -> None:
    bold = [
        cell
        for line in section(write_measured.page(kept), name).splitlines()
        if line.startswith("|")
        for cell in re.findall(r"\*\*[^*]+\*\*", line)
    ]
    missed = [target for target, each in kept[name]["values"]["targets"].items() if not each["met"]]
    assert len(bold) == len(missed), missed


def test_a_figure_is_bold_only_if_it_misses_its_aim() -> None:
    target = {"limit": 0.85, "sense": "at least"}
    assert cells.judged(0.849, ".2f", target) == "**0.85**"
    assert cells.judged(0.85, ".2f", target) == "0.85"
    assert cells.judged(None, ".2f", target) == "–", "where nothing could be measured nothing is missed"


def test_what_misses_its_aim_stands_first_with_what_belongs_to_it() -> None:
    rows = [(True, ["a"]), (True, ["… of it"]), (True, ["b"]), (False, ["… of it too"])]
    assert cells.worst_first(rows) == [["b"], ["… of it too"], ["a"], ["… of it"]]


def test_the_short_table_begins_with_what_has_no_aim_and_goes_on_by_the_distance_from_it(kept) -> None:
    lines = write_measured.sure(kept).splitlines()[2:]
    aimed = ["| none |" not in line for line in lines]
    assert aimed == sorted(aimed)
    missed = ["**" in line for line, has in zip(lines, aimed, strict=True) if has]
    assert len(missed) >= 8
    assert missed == sorted(missed, reverse=True)


def test_a_name_that_stands_for_no_figure_is_refused(kept) -> None:
    with pytest.raises(KeyError, match="nothing at worlds/mars"):
        write_measured.placed("foreign/worlds/mars/full/f1_50|.0f", kept)
    with pytest.raises(KeyError, match="figures where one is named"):
        write_measured.placed("foreign/worlds/*/full/f1_50|.0f", kept)


def test_a_run_smaller_than_the_bench_itself_is_told_as_one(kept) -> None:
    whole = write_measured._own_size("export")
    for size, told in ((whole, False), (whole - 1, True)):
        one = {**kept["export"], "values": {**kept["export"]["values"], "episodes": size}}
        assert ("small run" in write_measured.about("export", one)) == told


def test_the_short_table_quotes_no_small_run(kept) -> None:
    values = {**kept["recordings"]["values"], "episodes": 1}
    small = {**kept, "recordings": {**kept["recordings"], "values": values}}
    assert "`recordings`" in write_measured.sure(kept)
    assert "`recordings`" not in write_measured.sure(small)


def test_what_a_bench_printed_is_kept_with_when_and_where(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(write_measured, "MEASURED", tmp_path / "kept")
    printed = tmp_path / "printed.json"
    values = {"episodes": 60, "copy_over_bytes": 4.532123456, "empty": None, "targets": {}}
    printed.write_text(json.dumps(values), encoding="utf-8")
    write_measured.take("export", printed, commit="abc1234", seconds=12.0)
    kept = json.loads((tmp_path / "kept/export.json").read_text(encoding="utf-8"))
    assert kept["values"] == {**values, "copy_over_bytes": 4.5321}
    assert (kept["commit"], kept["seconds"]) == ("abc1234", 12.0)
    write_measured.take("export", printed, commit="def5678", seconds=None)
    again = json.loads((tmp_path / "kept/export.json").read_text(encoding="utf-8"))
    assert (again["commit"], again["seconds"]) == ("def5678", 12.0), "how long it takes is kept where nobody says"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", kept["on"])
    assert re.match(r"\d+ cores of ", kept["machine"])


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("exports", "{}", "no bench 'exports'"),
        ("export", "{}", "not what `sima2 bench export --json` prints"),
        ("export", '{"targets": {}, "data": "/home/me/set"}', "names a path of this machine"),
    ],
)
def test_what_no_bench_printed_is_not_kept(name, text, why, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(write_measured, "MEASURED", tmp_path / "kept")
    printed = tmp_path / "printed.json"
    printed.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match=re.escape(why)):
        write_measured.take(name, printed, commit="abc1234", seconds=None)
    assert not (tmp_path / "kept").exists()


def test_readme_is_changed_between_its_marks_alone() -> None:
    text = "before\n<!-- measured -->\nold\n<!-- /measured -->\nafter\n"
    assert write_measured.readme(text, "new") == text.replace("old", "new")
    assert write_measured.readme("no marks\n", "new") == "no marks\n"


def test_the_examples_of_the_script_are_so() -> None:
    assert not doctest.testmod(cells).failed
    assert not doctest.testmod(write_measured).failed
