"""Situations from public bug reports, as scripts that end with 0 when the answer is right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parents[2].parent / "shared/cases"


@pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases at {CASES}")
@pytest.mark.parametrize("case", sorted(each.parent.name for each in CASES.glob("*/case.py")) or ["none"])
def test_a_situation_from_a_public_report_comes_out_right(case: str) -> None:
    done = subprocess.run([sys.executable, CASES / case / "case.py"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
