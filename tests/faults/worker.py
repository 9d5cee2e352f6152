"""The process in which cases run: bounded in memory, watched for what it touches, replaced when it dies.

``python worker.py READER FOLDER START STOP MEGABYTES`` says ``+ SEED`` before a case and ``- SEED VERDICT`` after it.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import sys
import traceback
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
FREE = ("/usr/", "/lib", "/proc/self/statm", "/proc/self/maps", "/dev/null", "/dev/urandom", "/sys/", "/proc/cpuinfo")
READS_HDF5 = "hdf5_child.py"
LONGEST = 10_000
"""Characters of an error's message; a longer one buries the terminal."""


class Watch:
    """Notes files that are opened outside a folder, or opened to be written, while it is armed."""

    def __init__(self, folder: Path) -> None:
        import pyarrow.parquet as pq

        self.folder = folder
        self.armed = False
        self.strays: list[str] = []
        self.free = (*FREE, sys.prefix, sys.base_prefix, str(TESTS.parent / "src"), *_package_folders())
        sys.addaudithook(self._heard)
        inner = pq.ParquetFile.__init__
        watch = self

        def watched(self: Any, source: Any, *rest: Any, **options: Any) -> None:
            watch.opened(source, 0)  # opened by native code, which no audit hears of
            inner(self, source, *rest, **options)

        pq.ParquetFile.__init__ = watched

    def __enter__(self) -> None:
        self.strays.clear()
        self.armed = True

    def __exit__(self, *_: object) -> None:
        self.armed = False

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.armed and event == "open":
            self.opened(arguments[0], arguments[2] or 0)
        elif self.armed and event in ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "shutil.rmtree"):
            self.strays.append(f"{event} {arguments[0]}")
        elif self.armed and event == "subprocess.Popen" and READS_HDF5 in str(arguments[1]):
            return  # the process that reads HDF5, which died of the last case
        elif self.armed and event in (
            "socket.connect",
            "subprocess.Popen",
            "os.system",
            "pickle.find_class",
            "os.exec",
        ):
            self.strays.append(event)

    def opened(self, path: Any, flags: int) -> None:
        """Something was opened."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        whole = os.path.realpath(os.fsdecode(path))
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and whole != "/dev/null":
            self.strays.append(f"written: {whole}")
        elif not (whole + "/").startswith(f"{self.folder}/") and not whole.startswith(self.free):
            self.strays.append(f"outside: {whole}")


def _package_folders() -> list[str]:
    import numpy

    return [str(Path(numpy.__file__).resolve().parents[1])]


def main(name: str, root: Path, start: int, stop: int, megabytes: int) -> None:
    """Run the cases start .. stop of a reader."""
    from faults.readers import CONTROLS, READERS, damage, names_of, place, restore
    from sima2.errors import RecordError, Sima2Error

    reader = {**READERS, **CONTROLS}[name]
    folder, outside = (root / "in").resolve(), (root / "outside").resolve()
    reader.make(folder)
    _canaries(outside)
    reader.read(folder)  # a good input is read without complaint, and what is imported late is imported now
    good = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    names = names_of(reader, folder)
    watch = Watch(folder)
    _limit(megabytes)
    say = os.fdopen(os.dup(1), "w", buffering=1)
    for seed in range(start, stop):
        rng = random.Random(f"{name} {seed}")
        changes = damage(reader, names, good, rng)
        place(folder, outside, changes)
        before = _listing(folder)
        say.write(f"+ {seed}\n")
        try:
            with watch:
                reader.read(folder)
            verdict = "fine"
        except RecordError as error:
            verdict = f"FAULT RecordError: {error}"
        except Sima2Error as error:
            message = str(error)
            good_message = 0 < len(message) < LONGEST
            verdict = "error" if good_message else f"FAULT message of {len(message)} characters"
        except MemoryError:
            verdict = "FAULT memory"
        except Exception as error:  # noqa: BLE001 - whatever comes is what is looked for
            at = "; ".join(
                f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)[-6:]
            )
            verdict = f"FAULT {type(error).__name__}: {str(error)[:300]} ({at})"
        if watch.strays:
            verdict = f"FAULT {watch.strays[0]}"
        elif _listing(folder) != before:
            verdict = "FAULT the input was changed"
        restore(folder, good, changes)
        what = ", ".join(f"{key}={value if isinstance(value, str) else _name(value)}" for key, value in changes.items())
        say.write(f"- {seed} {verdict.encode('ascii', 'backslashreplace').decode()} [{what}]".replace("\n", " ") + "\n")


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:8]


def _listing(folder: Path) -> list[tuple[str, int]]:
    out = []
    for at, folders, files in os.walk(folder):
        out += [(os.path.join(at, each), 0) for each in folders]  # noqa: PTH118 - fast
        for each in files:
            path = os.path.join(at, each)  # noqa: PTH118
            state = os.lstat(path)
            out.append((path, state.st_mtime_ns))
    return sorted(out)


def _canaries(outside: Path) -> None:
    """Good files outside the input that must never be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    outside.mkdir()
    for name in ("canary.json", "canary.jsonl", "canary.toml", "canary.urdf", "canary.csv", "canary.sqlite"):
        (outside / name).write_text('{"robot_type": "CANARY"}')
    for name in ("canary.hdf5", "canary.h5", "canary.npz"):
        (outside / name).write_bytes(b"CANARY")
    pq.write_table(pa.table({"episode_index": [0], "CANARY": ["CANARY"]}), outside / "canary.parquet")


def _limit(megabytes: int) -> None:
    """No more address space than now and so much."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def one(name: str, folder: Path, megabytes: int) -> None:
    """Read one input as it stands, and say how it ended and the most memory that was held."""
    from faults.readers import READERS
    from sima2.errors import Sima2Error

    reader = READERS[name]
    good = folder.parent / "good"
    reader.make(good)
    reader.read(good)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _limit(megabytes)
    try:
        reader.read(folder)
        verdict = "fine"
    except Sima2Error as error:
        verdict = str(error)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([verdict, held // 1024]))


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(TESTS))
    if sys.argv[1] == "--one":
        one(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
        sys.exit()
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
