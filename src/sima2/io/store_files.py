"""The files of a folder of results: their names, and which of them are ours."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sima2.errors import StoreError
from sima2.io.durable import TEMPORARY, sha256_of
from sima2.io.lock import FolderLock

LEDGER: Final = "ledger.sqlite"
SEAL: Final = "ledger.sha256"
"""Digest of the ledger's file, there while nobody writes: SQLite alone does not notice a flipped bit in a value."""
HISTORY: Final = "history.json"
"""Runs, calibrations and decisions again, apart from the ledger: what shards cannot tell."""
SUMMARY: Final = "summary.json"
"""There while all results are whole."""
BEFORE: Final = ".before"
"""Folder that holds finished results while runs are added to them, so that an error leaves them as they were."""
MAPS: Final = "column_map"
"""How the names of the column maps begin that were used: to be edited and given back."""
LABELS: Final = "labels.jsonl"
"""What persons say of episodes: input and no result, so that nothing here ever removes or changes it."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
SHARD_FILE: Final = re.compile(r"shard-\d{6,}\.parquet\Z")


def shard_path(path: Path, kind: str, shard: int) -> Path:
    """Where a shard of a kind lies in a folder.

    Raises:
        StoreError: if the ledger names something that is no such place.
    """
    if type(shard) is not int:
        raise StoreError(f"{path / LEDGER}: shard {shard!r} is no number")
    return path / checked(kind) / f"shard-{shard:06d}.parquet"


def checked(name: str) -> str:
    """The name, if it is that of a file and leads nowhere else.

    Raises:
        StoreError: if it is not.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise StoreError(f"{name!r} is not a plain file name")
    return name


def orphans(path: Path, expected: Iterable[Path]) -> list[Path]:
    """Temporary files, and shards that are not among the expected."""
    kept = set(expected)
    found = [file for pattern in ("*", "*/*") for file in path.glob(f"{pattern}") if TEMPORARY in file.name]
    found += [file for file in path.glob("*/shard-*.parquet") if SHARD_FILE.fullmatch(file.name) and file not in kept]
    return sorted({file for file in found if file.is_file() and not file.parent.is_symlink()})


def sound(file: Path, sha256: str) -> bool:
    """Whether a file is as it was committed."""
    return file.is_file() and not file.is_symlink() and sha256_of(file) == sha256


def refuse_foreign(path: Path) -> None:
    """Nothing that is not recognisably ours is ever written into."""
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path}: is a file; choose a folder")
    if not path.exists() or (path / LEDGER).exists():
        return
    strange = sorted(each.name for each in path.iterdir() if each.name not in (FolderLock.NAME, LABELS))
    if strange:
        some = ", ".join(strange[:3]) + (", …" if len(strange) > 3 else "")
        raise StoreError(f"{path}: holds something else ({some}); choose an empty or a new folder")


def nothing_here(path: Path) -> str:
    """What to do where no results are: never to run into what holds something else."""
    free = not path.exists() or (path.is_dir() and not any(path.iterdir()))
    way = f"run `sima2 run --out {path}` first" if free else "name a folder that `sima2 run` has written"
    return f"{path}: no results here (no {LEDGER}); {way}"
