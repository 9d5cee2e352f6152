"""What a worker loads while it waits is what its first shard needs."""

from __future__ import annotations

import pickle
import subprocess
import sys

from sima2.orchestrator import open_source
from sima2.pipeline import RunSettings, ShardTask, calibrate

CHILD = """
import pickle, sys
import sima2.execution.local  # a worker is made of it
from sima2.pipeline import first_pass, load_stages

assert load_stages("ready") == "ready"
before = set(sys.modules)
first_pass(pickle.load(sys.stdin.buffer))
print(*sorted(name for name in set(sys.modules) - before if name.startswith("sima2.")))
"""


def test_a_worker_that_waited_imports_only_the_source_with_its_first_shard() -> None:
    source = open_source(RunSettings(episodes=8))
    task = pickle.dumps(ShardTask(source, calibrate(source), 0, 0, 8, 8))
    told = subprocess.run([sys.executable, "-c", CHILD], input=task, capture_output=True, check=True)
    assert [name for name in told.stdout.decode().split() if not name.startswith("sima2.tasks")] == []
