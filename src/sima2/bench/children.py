"""Measurements in processes of their own, so that time and memory are their own."""

from __future__ import annotations

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sima2.errors import Sima2Error

ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Environment in which linear algebra has one thread."""


def measured(function: str, environment: Mapping[str, str] | None = None, **arguments: Any) -> dict[str, Any]:
    """Call ``module:function`` in a new process; what it returns, and what the process used.

    Args:
        function: takes and returns plain JSON values, a mapping.
        environment: variables to set.
        **arguments: of the function.

    Returns:
        Its values, and ``wall_s``, ``cpu_s`` (children included), ``memory_mb`` and ``child_memory_mb`` (largest
        resident set of the process, and of any child), ``start_to_end_s`` from the outside.

    Raises:
        Sima2Error: if the process fails, with the end of what it said.
    """
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "sima2.bench.children", function, json.dumps(arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    if done.returncode:
        raise Sima2Error(f"{function} ended with {done.returncode}: {done.stderr[-2000:]}")
    values: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**values, "start_to_end_s": time.perf_counter() - begin}


def peak_mb(process: int | str = "self") -> float:
    """Largest resident set of a program; what the system accounts to a process counts its parent's copy too (Linux)."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def main() -> None:
    """What the new process does."""
    module, _, name = sys.argv[1].partition(":")
    if not module.startswith("sima2.bench."):
        raise SystemExit(f"{module} is no bench")
    begin = time.perf_counter()
    values = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))
    wall = time.perf_counter() - begin
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    used = {
        "wall_s": wall,
        "cpu_s": own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime,
        "memory_mb": peak_mb() if Path("/proc/self/status").exists() else own.ru_maxrss / 1024,
        "child_memory_mb": children.ru_maxrss / 1024,
    }
    sys.stdout.write("\n" + json.dumps({**values, **used}) + "\n")


if __name__ == "__main__":
    main()
