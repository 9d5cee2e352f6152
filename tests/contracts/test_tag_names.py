"""A tag's file is the only place that speaks of it by name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sima2.tags.specs import TAGS

PACKAGE = Path(__file__).parents[2] / "src/sima2"
NAMED = re.compile(rf"\b({'|'.join(TAGS)})\b")


def code_texts(file: Path) -> Iterator[tuple[int, str]]:
    """Texts in a module's code with their lines: docstrings, which may give examples, are no code."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value


def spelled(texts: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    """Lines and names of the tags that are spelled there."""
    return [(line, name) for line, text in texts for name in NAMED.findall(text)]


def test_no_other_room_spells_the_name_of_a_tag() -> None:
    """The bench excepted: it judges tags one by one."""
    found = {
        f"{file.relative_to(PACKAGE)}:{line} {name}"
        for file in PACKAGE.rglob("*.py")
        if file.relative_to(PACKAGE).parts[0] not in ("tags", "bench")
        for line, name in spelled(code_texts(file))
    }
    assert not found, "declare it in the tag's own file, in a field of its TagSpec"


def test_no_script_of_the_page_spells_the_name_of_a_tag() -> None:
    scripts = [*PACKAGE.rglob("*.js")]
    assert scripts
    assert not [file.name for file in scripts if NAMED.search(file.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("name", list(TAGS))
def test_among_the_tags_only_its_own_file_spells_a_name(name: str) -> None:
    files = {
        file.name for file in (PACKAGE / "tags").glob("*.py") if name in {tag for _, tag in spelled(code_texts(file))}
    }
    assert len(files) == 1


def test_a_name_in_code_is_seen_and_one_in_a_docstring_is_not(tmp_path: Path) -> None:
    name = next(iter(TAGS))
    module = tmp_path / "module.py"
    module.write_text(f'"""Of {name}."""\nX = 1\n"""{name}."""\nY = f"has {{X}} {name}"\nZ = {{"{name}": X}}\n')
    assert spelled(code_texts(module)) == [(4, name), (5, name)]
