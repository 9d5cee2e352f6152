"""What a worker loads while it waits is what the passes need."""

from __future__ import annotations

import subprocess
import sys

CHILD = """
import sys
from sima2.orchestrator import open_source
from sima2.pipeline import RunSettings, ShardTask, calibrate, first_pass, load_stages

assert load_stages("ready") == "ready"
source = open_source(RunSettings(episodes=8))
calibration = calibrate(source)
before = set(sys.modules)
first_pass(ShardTask(source, calibration, 0, 0, 8, 8))
print(*sorted(name for name in set(sys.modules) - before if name.startswith("sima2.")))
"""


def test_a_worker_that_waited_imports_no_stage_with_its_first_shard() -> None:
    told = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert told.stdout.split() == []
