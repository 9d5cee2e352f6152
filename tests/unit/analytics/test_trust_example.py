"""The example that a user copies runs as it is and says what the real cell says."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path("examples/trust_on_your_own_tags.py")
UR3 = Path("../shared/data/ur3_cobotops/ur3.csv")


def run(*arguments):
    return subprocess.run([sys.executable, str(EXAMPLE), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.skipif(not UR3.exists(), reason="the real recordings are not beside the project")
def test_the_example_trusts_the_stop_and_neither_the_lost_grip_nor_any_shuffled_stop():
    done = run(str(UR3))
    assert (done.returncode, done.stderr) == (0, "")
    stop, lost, shuffled = (line.split(" trust ") for line in done.stdout.splitlines())
    assert stop[0].strip() == "protective_stop"
    assert float(stop[1].split()[0]) > 0.8
    assert (lost[0].strip(), lost[1].split()[:2]) == ("grip_lost", ["0.00", "untrusted"])
    assert (shuffled[0].strip(), shuffled[1].split()[0]) == ("100 shuffled", "0.00")


def test_the_example_is_short_and_says_how_to_call_it():
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 50
    done = run()
    assert done.returncode == 1
    assert "python examples/trust_on_your_own_tags.py" in done.stderr
