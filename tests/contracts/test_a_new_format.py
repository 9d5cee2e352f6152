"""A stranger adds a format in one file and one row."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts/toy_format.py"


def test_a_toy_format_that_is_added_by_the_documented_steps_keeps_all_promises() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "14 passed" in done.stdout, done.stdout[-500:]
