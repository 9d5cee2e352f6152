"""Documents say what is: their commands parse, their links lead somewhere, and the files they name are written."""

from __future__ import annotations

import itertools
import re
import shlex
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from sima2.cli import app
from sima2.report.dictionary import FILES, WITH_VIDEO

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
TO_COME = frozenset()
"""Pages that are linked before they are written."""
LARGEST_PICTURE = 250_000
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CUT = "…"
"""Stands for more."""
COMMAND = re.compile(r"^(?:\$ )?(sima2 .*)$", re.MULTILINE)
INLINE = re.compile(r"(?<!`)`(sima2 [^`]+)`(?!`)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PARQUET = re.compile(r"(?<![\w/.*-])(?!pyarrow\.|F\.)((?:\w+/)?\w+\.parquet)")
WRITTEN_BY_EXPORT = {
    f"lists/{name}.parquet" for name in ("weights", "progress", "subtasks", "outcomes", "episodes")
} | {"meta/sima2_weights.parquet"}
RESULTS = ("out/", "results/", "python_out/")
"""Folders of results in the documents."""
OUTPUT_OPTIONS = {"--frames", "--draws", "--write", "--csv", "--episodes"}


USAGE_ERROR: Any = typer.BadParameter.__mro__[1]
"""Of click, or of typer's own copy of it, by typer's version."""


def blocks(page: Path, *languages: str) -> list[str]:
    """The code blocks of a page in these languages."""
    return [body for language, body in BLOCK.findall(page.read_text("utf-8")) if language in languages]


def commands(page: Path) -> list[str]:
    """Every command that a page shows: whole ones in blocks, and those named in the text, which may lack arguments."""
    text = page.read_text("utf-8")
    whole = [line for body in blocks(page, "sh", "console") for line in COMMAND.findall(body)]
    return [*whole, *(f"{line} {CUT}" for line in INLINE.findall(BLOCK.sub("", text)))]


def words(line: str) -> list[str]:
    """The words of a command behind ``sima2``, without comments, redirections and what stands for more."""
    found = itertools.takewhile(lambda word: word not in (">", "|"), shlex.split(line, comments=True)[1:])
    return [word for word in found if word != CUT]


def refused(arguments: Sequence[str], *, whole: bool = True) -> str:
    """Why a command would be refused, empty where it parses; nothing is done.

    Args:
        arguments: of the program, the command first.
        whole: else arguments may be missing.
    """
    program: Any = typer.main.get_command(app)
    if not arguments or arguments[0].startswith("--"):
        return ""
    name, *rest = arguments
    if name not in program.commands:
        return f"no command {name}"
    try:
        program.commands[name].make_context(name, rest)
    except USAGE_ERROR as error:
        missing = type(error).__name__ == "MissingParameter" or "requires an argument" in str(error)
        return "" if missing and not whole else f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_shown_parse(page: Path) -> None:
    for line in commands(page):
        assert not refused(words(line), whole=CUT not in line), line


def test_the_commands_of_the_long_pages_are_found() -> None:
    for name, least in (("getting-started.md", 15), ("results.md", 15), ("training.md", 20), ("faq.md", 10)):
        assert len(commands(DOCS / name)) >= least


def test_a_command_that_does_not_parse_is_told() -> None:
    assert refused(["plan", "out", "--no-such-option"])
    assert refused(["plan"])
    assert refused(["plann", "out"])
    assert refused(["plan", "--no-such-option"], whole=False)
    assert not refused(["plan"], whole=False)


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_what_is_there(page: Path) -> None:
    for link in LINK.findall(page.read_text("utf-8")):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        to = page.parent / name if name else page
        if name not in TO_COME:
            assert to.exists(), f"{page.name} links {link}"
            assert not anchor or anchor in anchors(to), f"{page.name} links {link}"


def test_pictures_are_small_and_all_are_shown() -> None:
    shown = {link for page in PAGES for link in LINK.findall(page.read_text("utf-8"))}
    pictures = sorted((DOCS / "pictures").glob("*"))
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size < LARGEST_PICTURE, picture.name
        assert f"pictures/{picture.name}" in shown, f"no page shows {picture.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_table_that_is_named_is_one_that_is_written(page: Path) -> None:
    text = page.read_text("utf-8")
    known = {f"{folder}{name}" for folder in ("", *RESULTS) for name in FILES}
    known |= (
        WRITTEN_BY_EXPORT | {Path(name).name for name in WRITTEN_BY_EXPORT} | {"card.parquet", "verdict_card.parquet"}
    )
    for body in blocks(page, "sh", "console"):
        for line in COMMAND.findall(body):
            given = words(line)[1:]
            known |= {value for option, value in itertools.pairwise(given) if option in OUTPUT_OPTIONS}
    unknown = {name for name in PARQUET.findall(text) if name not in known}
    assert not unknown


@pytest.mark.parametrize("name", ["concepts.md", "results.md"])
def test_a_folder_of_results_that_is_named_is_one_that_is_written(name: str) -> None:
    named = set(re.findall(r"`(\w+/)`", (DOCS / name).read_text("utf-8")))
    assert named <= {*FILES, *WITH_VIDEO}
    assert len(named) > 5


def test_reading_the_results_tells_of_every_table_of_a_run() -> None:
    named = set(re.findall(r"`([\w.]+/?)`", (DOCS / "results.md").read_text("utf-8")))
    parts_of_others = {name for name in FILES if name.endswith("_shards/")} | {"skipped/"}
    assert {*FILES} - parts_of_others <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_that_is_shown_compiles(page: Path) -> None:
    for number, body in enumerate(blocks(page, "python")):
        compile(body, f"{page.name}, block {number}", "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_that_are_shown_are_toml(page: Path) -> None:
    for body in blocks(page, "toml"):
        assert tomllib.loads(body), page.name


def test_the_index_lists_every_page_and_example() -> None:
    index = (DOCS / "README.md").read_text("utf-8")
    for page in PAGES:
        assert page.name == "README.md" or f"({page.name})" in index
    for example in sorted((ROOT / "examples").glob("*.py")):
        assert f"(../examples/{example.name})" in index
