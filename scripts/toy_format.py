"""Add a toy format to a copy of this package by the steps of docs/formats.md, and hold it to the promises of all.

One file (``io/formats/toy.py``), one row (``io/formats/__init__.py``), and a row that makes a set to try it on
(``tests/format_sets.py``): nothing else is touched. It ends with 0 where all promises hold.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

READER = '''"""A toy format: a folder of text files ``run_N.toy``, a frame a line, joints and a gripper."""

from pathlib import Path

import numpy as np

from sima2.errors import DatasetError
from sima2.io.documents import FETCH, is_lfs_pointer, refuse_no_file
from sima2.io.formats.tables import Kind, open_tables

NAMES = tuple(f"joint_{k}.pos" for k in range(7)) + ("gripper.pos",)


def numbers(path):
    refuse_no_file(path)
    if is_lfs_pointer(path):
        raise DatasetError(path, "holds no data", FETCH)
    try:
        rows = [[float(each) for each in line.split()] for line in path.read_text().splitlines()]
        return np.array(rows).reshape(len(rows), len(NAMES))
    except (OSError, ValueError) as error:
        raise DatasetError(path, f"cannot be read: {error}") from None


def shapes(path):
    return {"observation.state": ("float64", numbers(path).shape, NAMES)}


def read(path, names):
    return {"observation.state": numbers(path)} if "observation.state" in names else {}


TOY = Kind("toy", "*.toy", shapes, read)


def open_toy(path: Path):
    return open_tables(TOY, path).at_rate(20.0)
'''
ROW = """    Format(
        "toy",
        "*.toy",
        holds(TOY.pattern),
        open_toy,
        read="joints and a gripper",
        guessed="which end of the gripper is open",
        missing="all else",
        rate="20 Hz",
    ),
)
UNREAD: Final = ("""
MAKER = '''

def toy(root, episodes):
    """A folder of the toy format."""
    root.mkdir(parents=True)
    for number, each in episodes.items():
        rows = np.hstack([each["joints"], each["gripper"][:, None]])
        (root / f"run_{number}.toy").write_text("\\n".join(" ".join(map(repr, row)) for row in rows.tolist()) + "\\n")
    return root


SETS["toy"] = Made(toy, ends=".toy")
'''


def replaced(file: Path, old: str, new: str) -> None:
    """Put one text in place of another, which must be there once."""
    text = file.read_text()
    assert text.count(old) == 1, f"{file.name} does not hold {old!r} once"
    file.write_text(text.replace(old, new))


def main() -> int:
    """Make the copy, add the format, run the promises on it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        skip = shutil.ignore_patterns("__pycache__", "*.pyc")
        shutil.copytree(ROOT / "src", copy / "src", ignore=skip)
        (copy / "tests/contracts").mkdir(parents=True)
        for name in ("format_sets.py", "recorded_sets.py", "contracts/test_format_promises.py"):
            shutil.copy(ROOT / "tests" / name, copy / "tests" / name)
        (copy / "src/sima2/io/formats/toy.py").write_text(READER)
        registry = copy / "src/sima2/io/formats/__init__.py"
        replaced(registry, ")\nUNREAD: Final = (", ROW)
        replaced(
            registry,
            "from sima2.io.formats.tables import ",
            "from sima2.io.formats.toy import TOY, open_toy\nfrom sima2.io.formats.tables import ",
        )
        with (copy / "tests/format_sets.py").open("a") as opened:
            opened.write(MAKER)
        paths = [str(copy / "src"), str(copy / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "-k", "toy"]
        done = subprocess.run(
            [*command, "--rootdir", str(copy), str(copy / "tests/contracts/test_format_promises.py")],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            cwd=copy,
            check=False,
        )
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
