"""Runs the commands of docs/getting-started.md and writes into it what they print.

python scripts/run_documents.py             writes the page
python scripts/run_documents.py --check     exits with 1 where the page shows anything else

A block ```console holds commands after ``$`` and what they print. A comment before the block says what is shown of the
last one, each piece by the words it begins with and how many lines: <!-- shows: "Failed" 3; "Training" 4 -->.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGES: Final = (ROOT / "docs/getting-started.md",)
BLOCK: Final = re.compile(r"(?:<!-- shows: (?P<shows>.*?) -->\n)?```console\n(?P<body>.*?)```", re.DOTALL)
PIECE: Final = re.compile(r'"(?P<start>.*?)" (?P<lines>\d+)')
WIDTH: Final = 96
"""Columns of the terminal that is shown."""
CUT: Final = "…"


def shell(folder: Path) -> dict[str, str]:
    """An environment in which ``sima2`` and ``python`` are those that run this."""
    programs = folder / ".bin"
    programs.mkdir()
    for name, words in (("sima2", f'"{sys.executable}" -m sima2'), ("python", f'"{sys.executable}"')):
        (programs / name).write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (programs / name).chmod(0o755)
    (folder / "examples").symlink_to(ROOT / "examples")
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "COLUMNS": str(WIDTH), "NO_COLOR": "1", "LOGNAME": "me"}


def printed(command: str, folder: Path, environment: dict[str, str]) -> list[str]:
    """The lines that a command prints.

    Raises:
        RuntimeError: if it fails.
    """
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{command}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return [line.rstrip() for line in done.stdout.splitlines()]


def chosen(lines: list[str], shows: str | None) -> list[str]:
    """Those lines of an output that are shown, with a mark where some are left out.

    Raises:
        RuntimeError: if no line begins with the words of a piece.
    """
    if not shows:
        return lines
    kept: list[str] = []
    end = 0
    for piece in PIECE.finditer(shows):
        words, count = piece["start"], int(piece["lines"])
        start = next((k for k in range(end, len(lines)) if lines[k].strip().startswith(words)), None)
        if start is None:
            raise RuntimeError(f"no line begins with {words!r} in:\n" + "\n".join(lines))
        if start > end:
            kept.append(CUT)
        end = min(start + count, len(lines))
        kept += lines[start:end]
    return kept + [CUT] * (end < len(lines))


def written(page: str, folder: Path, environment: dict[str, str]) -> str:
    """The page with the outputs of its commands, run in order in a folder that ``shell`` made ready."""

    def block(found: re.Match[str]) -> str:
        commands = [line[2:] for line in found["body"].splitlines() if line.startswith("$ ")]
        lines: list[str] = []
        for command in commands:
            shows = found["shows"] if command == commands[-1] else None
            lines += [f"$ {command}", *chosen(printed(command, folder, environment), shows)]
        before = f"<!-- shows: {found['shows']} -->\n" if found["shows"] else ""
        return f"{before}```console\n" + "\n".join(lines) + "\n```"

    return BLOCK.sub(block, page)


def main(check: bool) -> int:
    for page in PAGES:
        shown = page.read_text("utf-8")
        with tempfile.TemporaryDirectory() as folder:
            now = written(shown, Path(folder), shell(Path(folder)))
        if now != shown and check:
            print(f"{page.name} shows what is not printed: run scripts/run_documents.py", file=sys.stderr)
            return 1
        page.write_text(now, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
