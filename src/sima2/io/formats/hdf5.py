"""HDF5 files of anyone, opened in a process of their own: what they hold comes as numbers, or as an error in words."""

from __future__ import annotations

import json
import math
import os
import select
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError, MissingExtraError
from sima2.io.documents import FETCH, is_lfs_pointer, refuse_no_file
from sima2.io.formats import hdf5_child

EXTRA: Final = "hdf5"
PIPE: Final = 2**20
"""Bytes on the way between the processes: with the usual 64 kB they wait for each other more than they work."""
PATIENCE_S: Final = 60.0
"""Seconds without a byte after which a file is given up: the largest array that is read takes one."""
AT_ONCE: Final = 64
"""Episodes asked for at once: at 200 kB each 13 MB, and the time of a question is 1 % of that of reading them."""
_TYPES: Final = "biuf"
_DIED: Final = "brought the HDF5 library down"


class Look(NamedTuple):
    """What groups of a file hold, each an episode."""

    episodes: list[dict[str, Any]]
    """Of each: ``at`` (attributes), ``names`` (a row of ``names``), ``frames``, ``ends``; or ``error``."""
    names: list[list[str]]
    shapes: dict[str, Any]
    """Type and shape of each array where it was first met; instead of a shape None, and why it is refused."""


def need_h5py() -> None:
    """Refuse for want of the extra before anything is read.

    Raises:
        MissingExtraError: if h5py is not installed.
    """
    if find_spec("h5py") is None:
        raise MissingExtraError("h5py", EXTRA)


def names_in(file: Path, group: str = "/", attributes: Sequence[str] = ()) -> tuple[list[str], dict[str, Any]]:
    """Members of a group, and those of its attributes that are one text or number.

    Raises:
        DatasetError: if it is no file of HDF5, or the group is not in it.
    """
    told = _one({"do": "names", "attributes": list(attributes)}, file, {"group": group})
    return told["names"], told["at"]


def texts_in(file: Path, groups: Sequence[str]) -> dict[str, list[str]]:
    """Lists of texts in some groups, by name.

    Raises:
        DatasetError: if it is no file of HDF5.
    """
    return dict(_one({"do": "texts"}, file, {"groups": list(groups)})["texts"])


class Asked(NamedTuple):
    """What is looked for in the groups of a file, each an episode."""

    deep: int
    """Levels below each that are looked at."""
    length: Sequence[str]
    """Arrays of which the first that is there tells how many frames an episode has."""
    attributes: Sequence[str] = ()
    """Wanted of each."""
    ends: Sequence[str] = ()
    """Arrays of which up to three values, and how many there are, are told."""
    skip: Sequence[str] = ()
    """Members that are not looked at."""


def look_into(files: Sequence[tuple[Path, Sequence[str]]], asked: Asked) -> Iterator[Look | DatasetError]:
    """What groups of files hold, file by file; or why a file cannot be opened."""
    what = {name: list(value) if not isinstance(value, int) else value for name, value in asked._asdict().items()}
    parts = [(file, {"groups": list(groups)}) for file, groups in files]
    for told in _answers({"do": "look", **what}, parts):
        yield told if isinstance(told, DatasetError) else Look(told["episodes"], told["names"], told["shapes"])


def read_arrays(
    episodes: Sequence[tuple[Path, str]], names: Sequence[str]
) -> Iterator[dict[str, NDArray[Any]] | DatasetError]:
    """Arrays of some groups of files, in order: those that are there, each (t, w); or why not."""
    for told in _answers({"do": "read", "names": list(names)}, [(file, {"group": each}) for file, each in episodes]):
        yield told if isinstance(told, DatasetError) else told["arrays"]


def _one(asked: Mapping[str, Any], file: Path, part: Mapping[str, Any]) -> dict[str, Any]:
    told = next(_answers(asked, [(file, part)]))
    if isinstance(told, DatasetError):
        raise told
    return told


def _answers(
    asked: Mapping[str, Any], parts: Sequence[tuple[Path, Mapping[str, Any]]]
) -> Iterator[dict[str, Any] | DatasetError]:
    """The answer to each part, in order; some at once, for a question has its price."""
    need_h5py()
    for start in range(0, len(parts), AT_ONCE):
        found: list[dict[str, Any] | DatasetError] = []
        some = parts[start : start + AT_ONCE]
        while len(found) < len(some):
            rest = some[len(found) :]
            child = _child()
            with child.lock:
                try:
                    child.ask({**asked, "parts": [{"file": str(file), **part} for file, part in rest]})
                    for file, _ in rest:
                        found.append(_taken(child, file))
                except _Dead as error:
                    child.end()
                    # the one it was about; those after it have another try
                    found.append(DatasetError(some[len(found)][0], str(error)))
        yield from found


def _taken(child: _Child, file: Path) -> dict[str, Any] | DatasetError:
    told = child.told()
    if "arrays" in told:
        return {"arrays": {name: child.numbers(kind, shape) for name, kind, shape in told["arrays"]}}
    if "failed" in told:
        return _explained(file, told["failed"])
    return DatasetError(file, told["error"]) if "error" in told else told


def _explained(file: Path, problem: str) -> DatasetError:
    """Why a file could not be opened, in better words than the library's where there are any."""
    try:
        refuse_no_file(file)
        if is_lfs_pointer(file):
            return DatasetError(file, "holds no data", FETCH)
    except DatasetError as error:
        return error
    return DatasetError(file, f"cannot be read: {problem}")


class _Dead(Exception):
    """The process is no more, or says nothing any more."""


class _Child:
    """A process that reads HDF5, and the line to it; it ends with this object, or with this process."""

    def __init__(self) -> None:
        paths = os.pathsep.join(filter(None, sys.path))
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-W", "ignore", hdf5_child.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment | {"HDF5_PLUGIN_PRELOAD": "::", "HDF5_USE_FILE_LOCKING": "BEST_EFFORT"},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in, self._from = self.process.stdin, self.process.stdout.fileno()
        self._rest = b""
        self.end = weakref.finalize(self, _ended, self.process)
        self.lock = threading.RLock()
        try:
            import fcntl

            fcntl.fcntl(self._from, fcntl.F_SETPIPE_SZ, PIPE)
        except (ImportError, AttributeError, OSError):
            pass  # a smaller pipe is only slower
        if not self.told().get("ready"):
            raise _Dead(_DIED)

    def ask(self, what: Mapping[str, Any]) -> None:
        """Send a question; all of its answer is to be taken."""
        try:
            self._in.write(json.dumps(what).encode() + b"\n")
            self._in.flush()
        except OSError:
            raise _Dead(_DIED) from None

    def told(self) -> dict[str, Any]:
        """The next line of the answer."""
        pieces = []
        while True:
            line, ended, self._rest = self._rest.partition(b"\n")
            pieces.append(line)
            if ended:
                told = json.loads(b"".join(pieces))
                assert isinstance(told, dict)
                return told
            self._wait()
            self._rest = os.read(self._from, PIPE)
            if not self._rest:
                raise _Dead(_DIED)

    def numbers(self, kind: str, shape: Sequence[int]) -> NDArray[Any]:
        """The next array, each frame a row, shape (t, w)."""
        dtype = np.dtype(kind)
        frames, width = (shape[0] if shape else 1), math.prod(shape[1:])
        if dtype.kind not in _TYPES or frames * width * dtype.itemsize > hdf5_child.MOST_BYTES:
            raise _Dead(_DIED)
        values = np.empty((frames, width), dtype)
        left = memoryview(values.reshape(-1).view(np.uint8).data)
        taken, self._rest = self._rest[: len(left)], self._rest[len(left) :]
        left[: len(taken)] = taken
        left = left[len(taken) :]
        while left:
            self._wait()
            got = os.readv(self._from, [left])
            if not got:
                raise _Dead(_DIED)
            left = left[got:]
        return values

    def _wait(self) -> None:
        """Until something comes."""
        if not select.select([self._from], [], [], PATIENCE_S)[0]:
            raise _Dead(f"was given up: nothing came of it in {PATIENCE_S:g} s")


def _ended(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                continue
    process.kill()
    process.wait()


_CHILDREN: Final[dict[int, _Child]] = {}
"""The process that reads for this one, by this one's number: a forked process has one of its own."""


def _child() -> _Child:
    """The process that reads, started anew where it died."""
    found = _CHILDREN.get(os.getpid())
    if found is None or not found.end.alive:
        found = _CHILDREN[os.getpid()] = _Child()
    return found


class Used(NamedTuple):
    """What the process that reads for this one has used."""

    cpu_s: float
    memory_mb: float
    """Largest resident set."""


def used_by_child() -> Used:
    """What the process that reads for this one has used; nothing where there is none, or the system does not tell."""
    found = _CHILDREN.get(os.getpid())
    if found is None or not found.end.alive:
        return Used(0.0, 0.0)
    told = Path(f"/proc/{found.process.pid}")
    try:
        lines = (told / "status").read_text(encoding="ascii").splitlines()
        cpu = int((told / "schedstat").read_text(encoding="ascii").split()[0]) * 1e-9
    except OSError:
        return Used(0.0, 0.0)
    return Used(cpu, next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:")), 0.0))
