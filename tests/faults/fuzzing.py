"""Runs many damaged inputs through a reader in a process of its own, and tells which broke a promise.

To see one case again: ``python tests/faults/fuzzing.py READER SEED``; all readers: ``… all CASES``.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

WORKER = Path(__file__).with_name("worker.py")
MEGABYTES = 1024
"""Memory that a case may take beyond what the interpreter and its libraries do."""
SECONDS = 10.0
"""Time that a case may take; the slowest good one takes 0.1 s."""
MOST_DEATHS = 20
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
"""Where inputs lie: thousands of small files need no disk."""


@dataclass
class Tally:
    """How the cases of a reader ended."""

    reader: str
    verdicts: Counter[str] = field(default_factory=Counter)
    faults: dict[int, str] = field(default_factory=dict)
    """What went wrong, by seed."""
    cpu_s: float = 0.0
    slowest_s: float = 0.0

    @property
    def cases(self) -> int:
        """How many were run."""
        return sum(self.verdicts.values())

    def told(self) -> str:
        """The faults, each with how to see it again."""
        return "\n".join(
            f"python tests/faults/fuzzing.py {self.reader!r} {seed}\n    {what}" for seed, what in self.faults.items()
        )


def fuzz(reader: str, seeds: range, *, seconds: float = SECONDS, megabytes: int = MEGABYTES) -> Tally:
    """Run a case for each seed."""
    tally = Tally(reader)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    at = seeds.start
    while at < seeds.stop and len(tally.faults) < MOST_DEATHS:
        with tempfile.TemporaryDirectory(dir=MEMORY) as root:
            at = _run(tally, Path(root), range(at, seeds.stop), seconds, megabytes)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    tally.cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return tally


def read_alone(reader: str, folder: Path, *, seconds: float = 60.0, megabytes: int = MEGABYTES) -> tuple[str, int]:
    """Read one input in a process of its own; ``fine`` or the error, and the megabytes that it took."""
    command = [sys.executable, "-W", "error", str(WORKER), "--one", reader, str(folder), str(megabytes)]
    done = subprocess.run(command, capture_output=True, timeout=seconds, check=False, env=_environment(), text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    verdict, held = json.loads(done.stdout)
    return verdict, held


def _environment() -> dict[str, str]:
    source = Path(__file__).parents[2] / "src"
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(source), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _run(tally: Tally, root: Path, seeds: range, seconds: float, megabytes: int) -> int:
    """Cases until all are done or the process dies; the seed to go on with."""
    command = [sys.executable, "-W", "error", str(WORKER), tally.reader, str(root)]
    with (root / "stderr").open("w+b") as errors:
        child = subprocess.Popen(
            [*command, str(seeds.start), str(seeds.stop), str(megabytes)],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            env=_environment(),
            cwd=root,
        )
        assert child.stdout is not None
        running: int | None = None
        done = seeds.start
        began = time.monotonic()
        timed_out = False
        rest = b""
        with selectors.DefaultSelector() as waiting:
            waiting.register(child.stdout, selectors.EVENT_READ)
            while True:
                # before the first case there is the start of the interpreter
                allowed = seconds if running is not None else 60.0 + seconds
                if not waiting.select(max(0.0, began + allowed - time.monotonic())):
                    timed_out = True
                    child.kill()
                    break
                piece = os.read(child.stdout.fileno(), 1 << 16)
                if not piece:
                    break
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    sign, seed, *verdict = line.decode("utf-8", "replace").split(" ", 2)
                    now = time.monotonic()
                    if sign == "-":
                        tally.slowest_s = max(tally.slowest_s, now - began)
                        kind = verdict[0].split(" ", 1)[0]
                        tally.verdicts[kind] += 1
                        if kind == "FAULT":
                            tally.faults[int(seed)] = verdict[0]
                        running, done = None, int(seed) + 1
                    else:
                        running = int(seed)
                    began = now
        child.stdout.close()
        code = child.wait()
        if done >= seeds.stop and code == 0:
            return seeds.stop
        errors.seek(0)
        last = errors.read().decode(errors="replace").strip()[-600:]
    if running is None and code:
        raise RuntimeError(f"{tally.reader}: the worker failed between cases, before {done}: {last}")
    if running is None:
        return done
    how = f"no end after {seconds} s" if timed_out else signal.Signals(-code).name if code < 0 else f"exit {code}"
    tally.verdicts["FAULT"] += 1
    tally.faults[running] = f"FAULT {how}: {last}"
    return running + 1


def main(reader: str, number: int) -> int:
    """Run one case, or so many of every reader."""
    sys.path.insert(0, str(WORKER.parents[1]))
    from faults.readers import READERS

    seeds = range(number) if reader == "all" else range(number, number + 1)
    bad = 0
    total = 0.0
    for name in READERS if reader == "all" else [reader]:
        tally = fuzz(name, seeds)
        total += tally.cpu_s
        bad += len(tally.faults)
        print(
            f"{name:22} {tally.cases:6} cases {tally.cpu_s:6.1f} s, slowest {tally.slowest_s:.2f} s",
            dict(tally.verdicts),
        )
        print(tally.told())
    print(f"{total:.1f} s")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
