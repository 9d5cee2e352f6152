"""One writer a folder: a lock that the operating system lets go when its holder dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO, ClassVar, Self

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


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
