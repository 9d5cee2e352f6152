"""A stranger adds a task family in one row."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts/toy_family.py"


def test_a_toy_family_that_is_added_as_a_row_keeps_all_promises_and_runs_end_to_end() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "passed" in done.stdout, done.stdout[-500:]
    assert "synthetic: 60 episodes of toy_shelve understood" in done.stdout
