"""The first page that a user follows shows what its commands print."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join(filter(None, (str(ROOT / "src"), os.environ.get("PYTHONPATH"))))
ENVIRONMENT = {**os.environ, "PYTHONPATH": PATHS}


def test_getting_started_shows_what_its_commands_print() -> None:
    """Where this fails after a change of words, ``python scripts/run_documents.py`` writes the page anew."""
    command = [sys.executable, str(ROOT / "scripts/run_documents.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr


def test_what_it_claims_of_the_failures_is_so(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, str(ROOT / "examples/make_recordings.py"), "my_set"], cwd=tmp_path, check=True, env=ENVIRONMENT
    )
    run = [sys.executable, "-m", "sima2", "run", "--path", "my_set", "--out", "out"]
    subprocess.run(run, cwd=tmp_path, check=True, capture_output=True, env=ENVIRONMENT)
    failed = [not each["success"] for each in json.loads((tmp_path / "my_set_truth.json").read_text("utf-8"))]
    inferred = pq.read_table(tmp_path / "out/episodes.parquet")["inferred_success"].to_pylist()
    named = sum(won == 0 for won, lost in zip(inferred, failed, strict=True) if lost)
    wrongly = sum(won == 0 for won, lost in zip(inferred, failed, strict=True) if not lost)
    left_open = sum(won != won for won, lost in zip(inferred, failed, strict=True) if lost)
    assert (named, wrongly, left_open, sum(failed)) == (13, 0, 2, 15)
    page = " ".join((ROOT / "docs/getting-started.md").read_text("utf-8").split())
    assert "13 of the 15 failed episodes were named, none wrongly, and two were left open" in page
