"""Add a toy task family to a copy of this package, as a row of its library, and hold it to the promises of all.

One row (``FAMILIES`` in ``tasks/families.py``): nothing else is touched. Both generators make its episodes, and a whole
run understands them. It ends with 0 where all promises hold.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "toy_shelve"
ROW = """    Family(
        "toy_shelve", "carry", "placed_on", 0.04, "put the book on the shelf",
        "the book is at rest within the tolerance of the shelf's centre",
        (_object("book", "graspable", "liftable", "placeable"), _object("shelf", "support_surface", height_m=0.03)),
        (Geometry("paperback_a", 0.02, 0.05), Geometry("atlas_b", 0.035, 0.06), Geometry("notebook_c", 0.015, 0.04)),
        ("drop", "misalignment"), ("pick_from_drop", "nudge"), mass_kg=(0.15, 0.4)),
)  # fmt: skip
\"\"\"The five task families.\"\"\"
"""
"""Name, script, goal, tolerance, instruction, criterion; objects; shapes; ways to fail; ways to recover; masses."""
END = ')  # fmt: skip\n"""The five task families."""\n'
EPISODES = 60
PROMISES = ("test_task_library.py", "test_synthetic_generator.py", "test_synthetic_physics.py", "test_simulator.py")


def copied(copy: Path) -> dict[str, str]:
    """Put package and promises there, with the row; the environment in which that copy is the package."""
    skip = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "src", copy / "src", ignore=skip)
    for name in PROMISES:
        shutil.copy(ROOT / "tests/unit/tasks" / name, copy / name)
    library = copy / "src/sima2/tasks/families.py"
    text = library.read_text()
    assert text.count(END) == 1, "the table of families does not end as it did"
    library.write_text(text.replace(END, ROW))
    paths = [str(copy / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


def promises(copy: Path, environment: dict[str, str]) -> int:
    """The tests of every family and failure mode, for this one."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "-k", NAME]
    files = [str(copy / name) for name in PROMISES]
    done = subprocess.run([*command, "--rootdir", str(copy), *files], env=environment, cwd=copy, check=False)
    return done.returncode


def run(copy: Path, environment: dict[str, str], source: str, episodes: int) -> int:
    """A whole run of episodes of the family: every one is read and understood."""
    command = [sys.executable, "-m", "sima2", "run", "--source", source, "--families", NAME, "--jobs", "1", "--json"]
    done = subprocess.run(
        [*command, "--episodes", str(episodes), "--out", str(copy / source)],
        env=environment,
        cwd=copy,
        stdout=subprocess.PIPE,
        check=False,
    )
    if done.returncode:
        return done.returncode
    read = json.loads((copy / source / "summary.json").read_text())["episodes"]["ok"]
    print(f"{source}: {read} episodes of {NAME} understood", flush=True)
    return int(read != episodes)


def main() -> int:
    """Make the copy, add the family, run the promises and whole runs on it."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        environment = copied(copy)
        failed = promises(copy, environment) or run(copy, environment, "synthetic", EPISODES)
        if not failed and importlib.util.find_spec("mujoco"):
            failed = run(copy, environment, "mujoco", 2)
        return failed


if __name__ == "__main__":
    sys.exit(main())
