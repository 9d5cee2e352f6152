"""What is installed is what is imported: no dependency for nothing, and none that an extra brings by accident."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
IMPORTED_AS = {"scikit-learn": "sklearn", "rerun-sdk": "rerun"}
"""Where the package to import has another name than the distribution."""


def packages(requirements: list[str]) -> set[str]:
    """Names under which distributions are imported."""
    names = [re.split(r"[<>=!~;\[ ]", each, maxsplit=1)[0] for each in requirements]
    return {IMPORTED_AS.get(name, name) for name in names}


CORE = packages(PROJECT["dependencies"])
OPTIONAL = packages([each for extra in PROJECT["optional-dependencies"].values() for each in extra])


def third_party(node: ast.AST, always: bool = True) -> Iterator[tuple[str, bool]]:
    """Packages that a module imports, each with whether it cannot be loaded without."""
    for child in ast.iter_child_nodes(node):
        modules = [alias.name for alias in child.names] if isinstance(child, ast.Import) else []
        if isinstance(child, ast.ImportFrom) and not child.level:
            modules = [str(child.module)]
        for package in {module.partition(".")[0] for module in modules} - {"sima2", *sys.stdlib_module_names}:
            yield package, always
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or may_fail(child)
        yield from third_party(child, always and not later)


def may_fail(node: ast.AST) -> bool:
    """Whether imports within may fail."""
    return isinstance(node, ast.Try) and any("ImportError" in ast.dump(each) for each in node.handlers)


@pytest.fixture(scope="module")
def imports() -> dict[Path, set[tuple[str, bool]]]:
    files = sorted((ROOT / "src").rglob("*.py"))
    return {file.relative_to(ROOT): set(third_party(ast.parse(file.read_text("utf-8")))) for file in files}


def test_every_core_dependency_is_imported(imports: dict[Path, set[tuple[str, bool]]]) -> None:
    assert {package for found in imports.values() for package, _ in found} >= CORE


def test_every_module_can_be_loaded_with_the_core_alone(imports: dict[Path, set[tuple[str, bool]]]) -> None:
    needed = {(str(file), package) for file, found in imports.items() for package, always in found if always}
    assert {(file, package) for file, package in needed if package not in CORE} == set()


def test_whatever_is_imported_is_a_dependency_or_behind_an_extra(
    imports: dict[Path, set[tuple[str, bool]]],
) -> None:
    assert {package for found in imports.values() for package, _ in found} <= CORE | OPTIONAL


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import rich.table, json", {("rich", True)}),
        ("from . import errors\nfrom sima2 import cli", set()),
        ("def f():\n    from torch import nn", {("torch", False)}),
        ("try:\n    import torch\nexcept ImportError:\n    torch = None", {("torch", False)}),
        ("try:\n    import torch\nfinally:\n    pass", {("torch", True)}),
        ("class A:\n    if True:\n        import ray", {("ray", True)}),
    ],
)
def test_an_import_is_needed_unless_it_is_late_or_may_fail(code: str, found: set[tuple[str, bool]]) -> None:
    assert set(third_party(ast.parse(code))) == found
