"""Follow the recipes of CONTRIBUTING.md word for word in a copy of the checkout, so that they stay true.

    python scripts/recipes.py              the names of the recipes
    python scripts/recipes.py "a format"   follow one: exit code 0 where every command of it succeeds

A recipe is a heading ``## Recipe: NAME`` and what follows it. Three sentences before a block of code are acted on:
"New file `PATH`:", "Add to the end of `PATH`:" (two empty lines go before it) and "Change `PATH`:" (a diff, whose lines
without a plus must be there once). Blocks of ``sh`` are commands, run from the folder of the copy. In the end what is
left must pass ``make lint``.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
HEADING: Final = re.compile(r"^## Recipe: (.+)$", re.MULTILINE)
BLOCK: Final = re.compile(
    r"(?:(?P<what>New file|Add to the end of|Change) `(?P<path>[\w./-]+)`:\n+)?```(?P<kind>\w+)\n(?P<text>.*?)```\n",
    re.DOTALL,
)
LINT: Final = ("ruff check .", "ruff format --check .", "mypy")
COPIED: Final = ("src", "tests", "scripts", "docs", "benchmarks", "examples", "pyproject.toml", "README.md", "LICENSE")

CACHE: Final = ".mypy_cache"
"""Copied too, where there is one: what did not change is not checked again."""


class Step(NamedTuple):
    """Something to do in the copy."""

    what: str
    """``New file``, ``Add to the end of``, ``Change`` or ``run``."""
    path: str
    """Of the file, empty for a command."""
    text: str


def recipes() -> dict[str, list[Step]]:
    """The steps of every recipe."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    _, *parts = HEADING.split(text)
    return {name: list(_steps(body)) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def _steps(body: str) -> Iterator[Step]:
    for block in BLOCK.finditer(body.split("\n## ")[0]):
        if block["what"]:
            yield Step(block["what"], block["path"], block["text"])
        elif block["kind"] == "sh":
            yield from (Step("run", "", line) for line in block["text"].splitlines() if line.strip())


def follow(name: str) -> None:
    """Follow a recipe in a copy.

    Raises:
        SystemExit: if a step cannot be done, naming it.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for each in (*COPIED, *((CACHE,) if (ROOT / CACHE).is_dir() else ())):
            if (ROOT / each).is_dir():
                shutil.copytree(ROOT / each, copy / each)  # with bytecode, so that nothing is compiled again
            else:
                shutil.copy(ROOT / each, copy / each)
        for step in recipes()[name]:
            if step.what == "run":
                run(step.text, copy)
            else:
                edit(copy / step.path, step)
        for each in LINT:
            run(each, copy)


def edit(file: Path, step: Step) -> None:
    """Make, lengthen or change a file."""
    if step.what == "New file":
        if file.exists():
            sys.exit(f"{step.path} is there already")
        file.write_text(step.text, "utf-8")
        return
    text = file.read_text("utf-8")
    if step.what == "Add to the end of":
        file.write_text(f"{text}\n\n{step.text}", "utf-8")
        return
    lines = step.text.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if not line.startswith("+"))
    new = "".join(line[1:] for line in lines if not line.startswith("-"))
    if text.count(old) != 1:
        sys.exit(f"{step.path} does not hold this once:\n{old}")
    file.write_text(text.replace(old, new), "utf-8")


def run(command: str, copy: Path) -> None:
    """Run a command in the copy, with the code of the copy."""
    paths = [str(copy / "src"), str(copy / "tests")]
    words = shlex.split(command)
    setting = dict(word.split("=", 1) for word in takewhile(lambda word: re.match(r"[A-Z0-9_]+=", word), words))
    program, *arguments = words[len(setting) :]
    # this Python, whatever else is installed
    begin = [sys.executable] if program == "python" else [sys.executable, "-m", program]
    print(f"$ {command}", flush=True)
    environment = {**os.environ, **setting, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([*begin, *arguments], cwd=copy, env=environment, check=False)
    if done.returncode:
        sys.exit(f"{command} ended with {done.returncode}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(*recipes(), sep="\n")
    else:
        follow(sys.argv[1])
