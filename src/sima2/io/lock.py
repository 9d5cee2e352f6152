"""One writer a folder: a lock that the operating system lets go when its holder dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, ClassVar, Final, Self

from sima2.errors import StoreError


class FolderLock:
    """An exclusive lock on a folder, held by this process until released."""

    NAME: ClassVar[str] = ".sima2.lock"

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    @classmethod
    def take(cls, folder: Path) -> Self:
        """Lock a folder.

        Raises:
            StoreError: if another process, or this one, holds the lock already.
        """
        file = (folder / cls.NAME).open("a+", encoding="utf-8")
        try:
            _lock(file)
        except OSError:
            file.seek(0)
            holder = file.read(20).strip()
            file.close()
            who = f"process {holder}" if holder.isdigit() else "another run"
            raise StoreError(f"{folder}: {who} is writing here; wait for it, or choose another folder") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        return cls(file)

    def release(self) -> None:
        """Let others in. The empty file stays: to remove it would race with whoever waits for it."""
        self._file.truncate(0)
        self._file.close()


TRIES: Final = 500
PAUSE_S: Final = 0.01
"""A line is written in milliseconds: who waits for five seconds waits for something else."""


@contextmanager
def one_writer(handle: int, path: Path) -> Iterator[None]:
    """An exclusive lock on an open file while the block runs; others wait for it.

    Args:
        handle: of the file, opened to be written.
        path: for messages.

    Raises:
        StoreError: if somebody else keeps it for seconds.
    """
    for _ in range(TRIES):
        try:
            _lock_file(handle)
            break
        except OSError:
            time.sleep(PAUSE_S)
    else:
        raise StoreError(f"{path}: another process keeps writing to it; try again")
    try:
        yield
    finally:
        _unlock_file(handle)


if sys.platform == "win32":
    import msvcrt

    _BEYOND: Final = 2**30
    """A place that no line reaches: elsewhere a lock would keep readers out."""

    def _lock_file(handle: int) -> None:
        os.lseek(handle, _BEYOND, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

    def _unlock_file(handle: int) -> None:
        os.lseek(handle, _BEYOND, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

    def _lock(file: IO[str]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock_file(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock_file(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_UN)

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
