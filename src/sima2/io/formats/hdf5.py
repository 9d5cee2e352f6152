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
    told = _asked(file, {"do": "names", "group": group, "attributes": list(attributes)})
    return told["names"], told["at"]


def texts_in(file: Path, groups: Sequence[str]) -> dict[str, list[str]]:
    """Lists of texts in some groups, by name.

    Raises:
        DatasetError: if it is no file of HDF5.
    """
    return dict(_asked(file, {"do": "texts", "groups": list(groups)})["texts"])


def look_into(
    file: Path,
    groups: Sequence[str],
    *,
    deep: int,
    length: Sequence[str],
    attributes: Sequence[str] = (),
    ends: Sequence[str] = (),
    skip: Sequence[str] = (),
) -> Look:
    """What groups of a file hold.

    Args:
        file: of HDF5.
        groups: paths, each of an episode.
        deep: levels below each that are looked at.
        length: arrays of which the first that is there tells how many frames an episode has.
        attributes: wanted of each.
        ends: arrays of which up to three values, and how many there are, are told.
        skip: members that are not looked at.

    Raises:
        DatasetError: if it cannot be opened.
    """
    asked = {"do": "look", "deep": deep, "groups": list(groups), "attributes": list(attributes)}
    told = _asked(file, {**asked, "length": list(length), "ends": list(ends), "skip": list(skip)})
    return Look(told["episodes"], told["names"], told["shapes"])


def read_arrays(file: Path, episodes: Sequence[tuple[str, Sequence[str]]]) -> Iterator[dict[str, NDArray[Any]] | str]:
    """Arrays of some groups of a file, in order: those that are there, each (t, w); or why not, in words.

    Raises:
        DatasetError: if the file cannot be opened.
    """
    _checked(file)
    for start in range(0, len(episodes), AT_ONCE):
        yield from _read(file, episodes[start : start + AT_ONCE])


def _read(file: Path, episodes: Sequence[tuple[str, Sequence[str]]]) -> list[dict[str, NDArray[Any]] | str]:
    found: list[dict[str, NDArray[Any]] | str] = []
    while len(found) < len(episodes):
        rest = [[path, list(names)] for path, names in episodes[len(found) :]]
        child = _child()
        with child.lock:
            try:
                child.ask({"do": "read", "file": str(file), "episodes": rest})
                for _ in rest:
                    told = child.told()
                    if "failed" in told:
                        raise DatasetError(file, f"cannot be read: {told['failed']}")
                    if "error" in told:
                        found.append(str(told["error"]))
                    else:
                        found.append({name: child.numbers(kind, shape) for name, kind, shape in told["arrays"]})
            except _Dead as error:
                child.end()
                found.append(str(error))  # the one that was being read; those after it have another try
    return found


def _asked(file: Path, asked: Mapping[str, Any]) -> dict[str, Any]:
    _checked(file)
    child = _child()
    with child.lock:
        try:
            child.ask({**asked, "file": str(file)})
            told = child.told()
        except _Dead as error:
            child.end()
            raise DatasetError(file, str(error)) from None
    if "failed" in told:
        raise DatasetError(file, f"cannot be read: {told['failed']}")
    return told


def _checked(file: Path) -> None:
    need_h5py()
    refuse_no_file(file)
    if is_lfs_pointer(file):
        raise DatasetError(file, "holds no data", FETCH)


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
