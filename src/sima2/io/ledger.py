"""The ledger of a folder: a SQLite file that says what is committed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from sima2.errors import StoreError
from sima2.io.durable import sha256_of, sync_folder
from sima2.io.store_files import LEDGER, SEAL, orphans, shard_path

LAYOUT: Final = "4"
APPLICATION: Final = 0x53494D32  # "SIM2": how a ledger is told from other SQLite files
_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE shards (phase TEXT, shard INTEGER, PRIMARY KEY (phase, shard)) WITHOUT ROWID;
CREATE TABLE files (kind TEXT, shard INTEGER, phase TEXT NOT NULL, rows INTEGER NOT NULL, sha256 TEXT NOT NULL,
                    digest TEXT NOT NULL, PRIMARY KEY (kind, shard)) WITHOUT ROWID;
CREATE TABLE aggregates (phase TEXT, name TEXT, shard INTEGER, value TEXT NOT NULL,
                         PRIMARY KEY (phase, name, shard)) WITHOUT ROWID;
CREATE TABLE singles (name TEXT PRIMARY KEY, sha256 TEXT NOT NULL, digest TEXT) WITHOUT ROWID;
CREATE TABLE runs (run INTEGER PRIMARY KEY, settings TEXT NOT NULL, origin TEXT NOT NULL, episodes INTEGER NOT NULL,
                   first_shard INTEGER NOT NULL, first_episode INTEGER NOT NULL, end_episode INTEGER NOT NULL,
                   finished INTEGER NOT NULL);
CREATE TABLE calibrations (look INTEGER PRIMARY KEY, digest TEXT NOT NULL, value TEXT NOT NULL);
CREATE TABLE decisions (number INTEGER PRIMARY KEY, value TEXT NOT NULL);
"""
HISTORIC: Final = ("runs", "calibrations", "decisions")
RUN_COLUMNS: Final = "run, settings, origin, episodes, first_shard, first_episode, end_episode"


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the ledger of a folder.

    Raises:
        StoreError: if it cannot be opened, or is something else.
    """
    file = path / LEDGER
    for mode in ("mode=ro", "mode=ro&immutable=1") if read_only else ("mode=rwc",):
        try:
            # autocommit is off inside ``with connection`` blocks only: each is one transaction
            ledger = sqlite3.connect(f"{file.absolute().as_uri()}?{mode}", uri=True, timeout=30.0)
            application = ledger.execute("PRAGMA application_id").fetchone()[0]
            holds = ledger.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            problem: sqlite3.DatabaseError = error
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise StoreError(f"{file}: is not a ledger: {error}") from error
    else:
        raise StoreError(f"{file}: cannot be opened: {problem}")
    if application != APPLICATION and holds:
        ledger.close()
        raise StoreError(f"{file}: is a database of another program; choose another folder")
    if read_only and application != APPLICATION:
        ledger.close()
        raise StoreError(f"{file}: is empty: the run ended before it began; run it again")
    if not read_only:
        (path / SEAL).unlink(missing_ok=True)
        ledger.execute("PRAGMA journal_mode = WAL")
        ledger.execute("PRAGMA synchronous = FULL")
    return ledger


def create_ledger(path: Path) -> sqlite3.Connection:
    """A new ledger, in which nothing is committed."""
    ledger = connect(path)
    with transaction(ledger, path):
        ledger.execute("BEGIN")
        for statement in _SCHEMA.split(";"):
            ledger.execute(statement)
        ledger.execute("INSERT INTO meta VALUES ('layout', ?)", (LAYOUT,))
        ledger.execute(f"PRAGMA application_id = {APPLICATION}")
    sync_folder(path)
    return ledger


def continue_ledger(path: Path) -> sqlite3.Connection:
    """The ledger that is there, its folder swept of what was not committed."""
    ledger = connect(path)
    with ExitStack() as undo:
        undo.callback(ledger.close)
        if ledger.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            undo.close()  # killed before the first transaction: nothing was committed
            return create_ledger(path)
        if _meta(ledger, "layout") != LAYOUT:
            raise StoreError(f"{path}: written by another version of this program; --fresh drops what is there")
        expected = {
            shard_path(path, kind, shard) for kind, shard in ledger.execute("SELECT kind, shard FROM files").fetchall()
        }
        for orphan in orphans(path, expected):
            orphan.unlink()
        undo.pop_all()
    return ledger


@contextmanager
def transaction(ledger: sqlite3.Connection, path: Path) -> Iterator[None]:
    """All or nothing."""
    with sqlite_errors(path), ledger:
        yield


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """What SQLite cannot do is an error of the folder."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path / LEDGER}: {error}") from error


def _meta(ledger: sqlite3.Connection, key: str) -> str:
    try:
        row = ledger.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise StoreError(f"ledger: {error}") from error
    if row is None:
        raise StoreError(f"ledger: no {key} recorded; --fresh drops what is there")
    return str(row[0])


def ledger_problems(path: Path) -> list[str]:
    """What the seal tells of a ledger that nobody writes to."""
    if (path / f"{LEDGER}-wal").exists() or not (path / SEAL).is_file():
        return []
    same = (path / SEAL).read_bytes().strip() == sha256_of(path / LEDGER).encode()
    return [] if same else [f"{LEDGER}: differs from what was closed; `sima2 doctor --rebuild` makes it again"]
