"""An output folder: Parquet shards, and a ledger of what is committed; what it does not name is garbage.

A folder holds one run, or several one after the other: each adds its shards to those of the earlier ones.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from sima2.errors import StoreError
from sima2.io.arrow import LogicalDigest, logical_digest, read_parquet, read_table, release, to_arrow, write_table
from sima2.io.durable import TEMPORARY, link_or_copy, make_folder, replace_file, sha256_of, sync_folder, write_bytes
from sima2.io.lock import FolderLock
from sima2.records.arrays import Bools, Int64s
from sima2.records.table import Table

T = TypeVar("T", bound=Table)

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
LAYOUT: Final = "4"
_APPLICATION: Final = 0x53494D32  # "SIM2": how a ledger is told from other SQLite files
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_SHARD: Final = re.compile(r"shard-\d{6,}\.parquet\Z")
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
_HISTORIC: Final = ("runs", "calibrations", "decisions")
_RUN: Final = "run, settings, origin, episodes, first_shard, first_episode, end_episode"
FILES: Final = ("column_map", "outcomes")
"""Settings that name a file, its path with its state behind it."""
_MOST_NUMBERS: Final = 2**62
"""Numbers of all sources together: twice as many are still whole numbers of 64 bits."""


@dataclass(frozen=True, slots=True)
class Coming:
    """A run that a folder is opened for."""

    settings: Mapping[str, Any]
    """What its results depend on, as plain JSON values."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """What its source is, as plain JSON values."""
    episodes: int = 0
    """That it takes in."""
    numbers_end: int = 0
    """One past the largest number that its source gives one of them."""
    shards: int = 0
    """That it will have."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run brought to a folder."""

    number: int
    """From 1."""
    settings: Mapping[str, Any]
    """What its results depend on."""
    origin: Mapping[str, Any]
    """What its source is."""
    episodes: int
    """That came in, used or not."""
    first_shard: int
    first_episode: int
    """One past the largest number of the runs before it: what is added to its source's own numbers."""
    end_episode: int
    """One past the largest number of its own."""
    finished: bool

    def holds(self, episode_index: Int64s) -> Bools:
        """Which numbers are of its episodes, shape (n,)."""
        return (episode_index >= self.first_episode) & (episode_index < self.end_episode)


def told_apart(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What of the settings of a run tells it from others: what files hold, not where they lie.

    >>> told_apart({"seed": 1, "path": "/a/set", "data": "3f", "outcomes": "/a/ends.csv 9c"})
    {'seed': 1, 'data': '3f', 'outcomes': '9c'}
    """
    told: dict[str, Any] = json.loads(_canonical(settings, sort=False))
    told.pop("path", None)
    for name in FILES:
        if isinstance(told.get(name), str):
            told[name] = told[name].rpartition(" ")[2]
    return told


class Store:
    """One run's results. Opened by :meth:`open` to write (one writer at a time) or :meth:`read_only`.

    A shard is committed by writing each table to a temporary file, fsync, atomic rename, fsync of the folder, and
    one transaction that records files, digests and aggregates: it is there as a whole or not at all.
    """

    def __init__(self, path: Path, ledger: sqlite3.Connection, lock: FolderLock | None) -> None:
        self.path = path
        self._ledger = ledger
        self._lock = lock
        self._digests: dict[str, tuple[LogicalDigest, list[int]]] = {}
        """Digest of the shards of each kind that were committed in order by this process, and which these are."""

    @classmethod
    def open(
        cls,
        path: Path | str,
        coming: Sequence[Coming] = (),
        *,
        settings: Mapping[str, Any] | None = None,
        episodes: int = 0,
        redone: Sequence[str] = (),
        agrees: Callable[[Sequence[Run]], None] = lambda _: None,
        resume: bool = False,
        fresh: bool = False,
    ) -> Self:
        """Open a folder to write a run.

        A run of the same settings that was interrupted goes on; other settings add a run to those that are there. If an
        exception then leaves the context, what was added is taken back, and finished results are as they were.

        Args:
            path: created where it is missing.
            coming: the runs of one command.
            settings, episodes: those of a single run whose episodes are numbered as they lie, in their place.
            redone: phases that rest on all runs: what earlier ones committed of them is dropped when one is added.
            agrees: asked with the runs that are there; raises where these must not be added to them.
            resume: there must be nothing in the folder, or a run of the same settings.
            fresh: drop the results that are there; nothing else in the folder is touched.

        Raises:
            StoreError: if the folder holds something else, another run writes to it, an interrupted run of other
                settings lies in it, or ``resume`` meets other settings.
        """
        path = Path(path)
        _refuse_foreign(path)
        path.mkdir(parents=True, exist_ok=True)
        lock = FolderLock.take(path)
        with _sqlite_errors(path), ExitStack() as undo:
            undo.callback(lock.release)
            _refuse_foreign(path)
            if fresh and (path / LEDGER).exists():
                _remove_results(path)
            ledger = _continue(path) if (path / LEDGER).exists() else _create(path)
            store = cls(path, ledger, lock)
            undo.pop_all()
            undo.callback(store.close)
            agrees(store.runs)
            store._begin(coming or (Coming(settings or {}, {}, episodes, episodes),), redone, resume=resume)
            undo.pop_all()
        return store

    @classmethod
    def amend(cls, path: Path | str) -> Self:
        """Open the folder of finished runs to replace single files.

        Raises:
            StoreError: if it holds no results, or another run writes to it.
        """
        path = Path(path)
        if not (path / LEDGER).is_file():
            raise StoreError(_nothing_here(path))
        lock = FolderLock.take(path)
        with _sqlite_errors(path), ExitStack() as undo:
            undo.callback(lock.release)
            ledger = _continue(path)
            undo.pop_all()
        return cls(path, ledger, lock)

    @classmethod
    def read_only(cls, path: Path | str) -> Self:
        """Open a folder to read, also while a run is writing to it.

        Raises:
            StoreError: if it holds no results.
        """
        path = Path(path)
        if not (path / LEDGER).is_file():
            raise StoreError(_nothing_here(path))
        return cls(path, _connect(path, read_only=True), None)

    @property
    def runs(self) -> list[Run]:
        """The runs of the folder in the order in which they were begun."""
        rows = self._all(f"SELECT {_RUN}, finished FROM runs ORDER BY run")
        try:
            return [
                Run(
                    int(run),
                    dict(json.loads(text)),
                    dict(json.loads(what)),
                    int(n),
                    int(shard),
                    int(a),
                    int(b),
                    bool(done),
                )
                for run, text, what, n, shard, a, b, done in rows
            ]
        except (ValueError, TypeError, RecursionError) as error:
            raise StoreError(f"{self.path / LEDGER}: its runs cannot be read ({error})") from error

    def find(self, settings: Mapping[str, Any]) -> Run | None:
        """The run of these settings, wherever what they name lies now."""
        wanted = told_apart(settings)
        return next((run for run in self.runs if told_apart(run.settings) == wanted), None)

    def run_of(self, shard: int) -> Run:
        """The run that a shard is of."""
        return [run for run in self.runs if run.first_shard <= shard or run.number == 1][-1]

    def rest_on(self, name: str, digest: str, runs: Sequence[Run], redone: Sequence[str]) -> bool:
        """Tell what the phases that rest on all runs rest on besides; if that has changed, they are to be made anew.

        Finished results are kept until then, so that an error leaves them as they were.

        Args:
            name: of what they rest on.
            digest: of what it is now; empty where there is nothing.
            runs: those that go on, and make the phases anew.
            redone: the phases.

        Returns:
            Whether it is another than that on which they rested.
        """
        key = f"rests_on:{name}"
        before = self._all("SELECT value FROM meta WHERE key = ?", key)
        if (str(before[0][0]) if before else "") == digest:
            return False
        if all(run.finished for run in self.runs):
            self._keep_before()
        (self.path / SUMMARY).unlink(missing_ok=True)
        with _transaction(self._ledger, self.path):
            self._ledger.execute("DELETE FROM singles WHERE name = ?", (SUMMARY,))
            for phase in redone:
                for table in ("shards", "files", "aggregates"):
                    self._ledger.execute(f"DELETE FROM {table} WHERE phase = ?", (phase,))
            self._ledger.executemany("UPDATE runs SET finished = 0 WHERE run = ?", [(run.number,) for run in runs])
            self._ledger.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, digest))
        self._digests.clear()
        self._sweep()
        return True

    def finish(self) -> None:
        """All runs are finished: their results are whole."""
        with _transaction(self._ledger, self.path):
            self._ledger.execute("UPDATE runs SET finished = 1")
        self._forget_before()

    @property
    def calibrations(self) -> list[tuple[int, str, str]]:
        """Look, digest of the counts, and what was concluded (JSON), of each calibration, in order."""
        return self._all("SELECT look, digest, value FROM calibrations ORDER BY look")

    def record_calibration(self, look: int, digest: str, value: str) -> None:
        """Keep what a look at the counts concluded; the same look again replaces it."""
        with _transaction(self._ledger, self.path):
            self._ledger.execute("INSERT OR REPLACE INTO calibrations VALUES (?, ?, ?)", (look, digest, value))
        self._keep_history()

    @property
    def decisions(self) -> list[str]:
        """What people decided on proposals (JSON), in order."""
        return [value for (value,) in self._all("SELECT value FROM decisions ORDER BY number")]

    def record_decisions(self, values: Iterable[str]) -> None:
        """Add decisions (JSON) to the history, all or none."""
        with _transaction(self._ledger, self.path):
            self._ledger.executemany("INSERT INTO decisions (value) VALUES (?)", [(value,) for value in values])
        self._keep_history()

    def _keep_history(self) -> None:
        # whether a run is finished is for the ledger to say: its last step must leave nothing to be written after it
        runs = f"SELECT {_RUN}, 1 FROM runs ORDER BY run"
        queries = {name: runs if name == "runs" else f"SELECT * FROM {name} ORDER BY 1" for name in _HISTORIC}
        tables = {name: self._all(query) for name, query in queries.items()}
        text = json.dumps({"layout": LAYOUT, **tables}, indent=1)
        replace_file(self.path / HISTORY, partial(write_bytes, data=text.encode()))

    def _begin(self, coming: Sequence[Coming], redone: Sequence[str], *, resume: bool) -> None:
        """Add runs, unless some of these settings are there."""
        runs, known = self.runs, [self.find(each.settings) for each in coming]
        interrupted = [run for run in runs if not run.finished]
        if not interrupted:
            self._forget_before()
        new = [each for each, run in zip(coming, known, strict=True) if run is None]
        stranger = next((run for run in interrupted if run not in known), None)
        if stranger is None and not new:
            return
        if runs and (resume or interrupted):
            before = stranger or runs[-1]
            was, now = told_apart(before.settings), told_apart((new or coming)[0].settings)
            changed = ", ".join(sorted(key for key in {*was, *now} if was.get(key) != now.get(key)))
            kind = "a run" if before.finished else "an interrupted run"
            way = "leave --resume away to add to it" if before.finished else "use those to finish it"
            raise StoreError(
                f"{self.path}: holds {kind} with other settings ({changed}); {way}, or --fresh to drop what is there"
            )
        rows = self._rows_of(new)
        if runs:
            self._keep_before()
        # what is read from now on would be half of the old and half of the new
        (self.path / SUMMARY).unlink(missing_ok=True)
        with _transaction(self._ledger, self.path):
            self._ledger.execute("DELETE FROM singles WHERE name = ?", (SUMMARY,))
            for phase in redone:
                for table in ("shards", "files", "aggregates"):
                    self._ledger.execute(f"DELETE FROM {table} WHERE phase = ?", (phase,))
            self._ledger.executemany("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, 0)", rows)
        self._keep_history()
        self._sweep()

    def _rows_of(self, new: Sequence[Coming]) -> list[tuple[int, str, str, int, int, int, int]]:
        """Rows of the ledger for runs that are added one behind the other."""
        runs = self.runs
        shard = int(self._all("SELECT coalesce(max(shard) + 1, 0) FROM shards")[0][0])
        begin = runs[-1].end_episode if runs else 0
        rows = []
        for number, each in enumerate(new, len(runs) + 1):
            end = begin + each.numbers_end
            if end > _MOST_NUMBERS:
                raise StoreError(
                    f"{self.path}: episodes numbered up to {each.numbers_end - 1} find no room beside those there"
                )
            about = _canonical(each.settings), _canonical(each.origin)
            rows.append((number, *about, each.episodes, shard, begin, end))
            shard, begin = shard + each.shards, end
        return rows

    def _results(self) -> list[str]:
        """Files of the results by the ledger, relative."""
        shards = self._all("SELECT kind, shard FROM files")
        files = [_shard_path(self.path, kind, shard).relative_to(self.path).as_posix() for kind, shard in shards]
        return [*files, *(_checked(name) for (name,) in self._all("SELECT name FROM singles")), HISTORY]

    def _keep_before(self) -> None:
        """Keep the finished results beside what is going to be written: links, which cost nothing."""
        making = self.path / f"{TEMPORARY}before"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        for name in self._results():
            if (self.path / name).is_file():
                (making / name).parent.mkdir(exist_ok=True)
                link_or_copy(self.path / name, making / name)
        with _sqlite_errors(self.path), closing(sqlite3.connect(making / LEDGER)) as copy:
            self._ledger.backup(copy)
        making.rename(self.path / BEFORE)
        sync_folder(self.path)

    def _forget_before(self) -> None:
        for name in (BEFORE, f"{TEMPORARY}before"):
            shutil.rmtree(self.path / name, ignore_errors=True)

    def _back_to_before(self) -> None:
        """Put the finished results back in the place of what was written since."""
        kept = self.path / BEFORE
        if not kept.is_dir() or all(run.finished for run in self.runs):
            return
        now = self._results()
        self._ledger.close()
        for name in now:
            if not (kept / name).exists():
                (self.path / name).unlink(missing_ok=True)
        for file in sorted(kept.rglob("*")):
            if file.is_file() and file.name != LEDGER:
                (self.path / file.relative_to(kept)).parent.mkdir(exist_ok=True)
                file.replace(self.path / file.relative_to(kept))
        for suffix in ("-wal", "-shm"):
            (self.path / f"{LEDGER}{suffix}").unlink(missing_ok=True)
        (kept / LEDGER).replace(self.path / LEDGER)
        sync_folder(self.path)
        self._forget_before()
        self._ledger = _continue(self.path)

    def _sweep(self) -> None:
        rows = self._all("SELECT kind, shard FROM files")
        for orphan in _orphans(self.path, {_shard_path(self.path, kind, shard) for kind, shard in rows}):
            orphan.unlink()

    def committed(self, phase: str) -> set[int]:
        """Shards of a phase that are there as a whole."""
        return {shard for (shard,) in self._all("SELECT shard FROM shards WHERE phase = ?", phase)}

    def forget(self, phase: str) -> None:
        """Drop all shards of a phase, which are to be made anew."""
        with _transaction(self._ledger, self.path):
            for table in ("shards", "files", "aggregates"):
                self._ledger.execute(f"DELETE FROM {table} WHERE phase = ?", (phase,))
        self._digests.clear()
        self._sweep()

    def kinds(self) -> list[str]:
        """Kinds of table that have shards, sorted."""
        return [kind for (kind,) in self._all("SELECT DISTINCT kind FROM files ORDER BY kind")]

    def commit(self, phase: str, shard: int, tables: Mapping[str, Table], aggregates: Mapping[str, str]) -> None:
        """Commit a shard: its tables by kind, and what it adds to each aggregate, as JSON text.

        Raises:
            StoreError: if it is committed already, or a kind belongs to another phase.
        """
        if shard < 0:
            raise StoreError(f"shard {shard} is negative")
        if shard in self.committed(phase):
            raise StoreError(f"{self.path}: shard {shard} of phase {phase} is committed already")
        files = []
        for kind, table in tables.items():
            owner = self._all("SELECT phase FROM files WHERE kind = ? AND shard = ?", _checked(kind), shard)
            if owner:
                raise StoreError(f"{self.path}: {kind} shard {shard} belongs to phase {owner[0][0]}, not {phase}")
            target = _shard_path(self.path, kind, shard)
            make_folder(target.parent)
            data = to_arrow(table)
            sha256 = replace_file(target, partial(write_table, table=data))
            files.append((kind, shard, phase, len(table), sha256, logical_digest(data)))
            digest, shards = self._digests.setdefault(kind, (LogicalDigest(), []))
            if not shards or shard > shards[-1]:
                digest.update(data)
                shards.append(shard)
        with _transaction(self._ledger, self.path):
            self._ledger.execute("INSERT INTO shards VALUES (?, ?)", (phase, shard))
            self._ledger.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)", files)
            self._ledger.executemany(
                "INSERT INTO aggregates VALUES (?, ?, ?, ?)",
                [(phase, name, shard, value) for name, value in aggregates.items()],
            )
        release()

    def aggregates(self, phase: str, name: str) -> Iterator[tuple[int, str]]:
        """What each committed shard added to an aggregate (JSON), in shard order."""
        query = "SELECT shard, value FROM aggregates WHERE phase = ? AND name = ? ORDER BY shard"
        with closing(self._ledger.cursor()) as cursor:
            try:
                yield from cursor.execute(query, (phase, name))
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                raise StoreError(f"{self.path / LEDGER}: {error}") from error

    def read(self, cls: type[T], kind: str, *, below: int | None = None) -> Iterator[T]:
        """The tables of the committed shards of a kind, in shard order; only those ``below`` a shard if given."""
        for shard in self.shards(kind):
            if below is not None and shard >= below:
                break
            table = read_table(cls, _shard_path(self.path, kind, shard))
            release()
            yield table

    def shards(self, kind: str) -> list[int]:
        """The committed shards of a kind, in order."""
        query = "SELECT shard FROM files WHERE kind = ? ORDER BY shard"
        return [shard for (shard,) in self._all(query, _checked(kind))]

    def shard_files(self, kind: str) -> list[Path]:
        """Where the committed shards of a kind lie, in their order."""
        return [_shard_path(self.path, kind, shard) for shard in self.shards(kind)]

    def shard_file(self, kind: str, shard: int) -> Path:
        """Where a shard of a kind lies."""
        return _shard_path(self.path, kind, shard)

    def write_table(self, name: str, table: Table, *, result: bool = True) -> None:
        """Write a single table, ``<name>.parquet``, replacing an earlier one as a whole.

        Args:
            name: of the file, with or without ``.parquet``.
            table: what it holds.
            result: whether it is one of the results that :meth:`digest` is of, and not made on request beside them.
        """
        name = _checked(name.removesuffix(".parquet")) + ".parquet"
        sha256 = replace_file(self.path / name, partial(write_table, table=table))
        self._record_single(name, sha256, logical_digest(table) if result else None)

    def write_text(self, name: str, text: str) -> None:
        """Write a single text file, replacing an earlier one as a whole."""
        encoded = text.encode()
        sha256 = replace_file(self.path / _checked(name), partial(write_bytes, data=encoded))
        self._record_single(name, sha256, None)

    def read_table(self, cls: type[T], name: str) -> T:
        """A single table by name, with or without ``.parquet``."""
        return read_table(cls, self.path / (_checked(name.removesuffix(".parquet")) + ".parquet"))

    def read_text(self, name: str) -> str:
        """A single text file by name."""
        try:
            if not (self.path / _checked(name)).is_file() or (self.path / name).is_symlink():
                raise OSError("is no file of this folder")
            return (self.path / _checked(name)).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"{self.path / name}: cannot be read: {error}") from error

    def digest(self) -> str:
        """sha256 over the values of all tables in episode order, wherever the shards were cut."""
        whole = hashlib.sha256()
        for kind in self.kinds():
            shards = self.shards(kind)
            digest, known = self._digests.get(kind, (LogicalDigest(), []))
            if known != shards[: len(known)]:
                digest, known = LogicalDigest(), []
            for shard in shards[len(known) :]:
                digest.update(read_parquet(_shard_path(self.path, kind, shard)))
            self._digests[kind] = digest, shards
            whole.update(f"{kind}\0{digest.hexdigest()}\0".encode())
        for name, digest_ in self._all("SELECT name, digest FROM singles WHERE digest IS NOT NULL ORDER BY name"):
            whole.update(f"{name}\0{digest_}\0".encode())
        return whole.hexdigest()

    def verify(self) -> list[str]:
        """What is wrong with the folder, in words: damaged, missing and orphan files. Empty where all is well."""
        problems = _ledger_problems(self.path)
        problems += [f"{LEDGER}: {told}" for (told,) in self._all("PRAGMA integrity_check") if told != "ok"]
        query = "SELECT kind, shard, sha256 FROM files ORDER BY kind, shard"
        expected = {_shard_path(self.path, kind, shard): sha256 for kind, shard, sha256 in self._all(query)}
        expected |= {
            self.path / _checked(name): sha256 for name, sha256 in self._all("SELECT name, sha256 FROM singles")
        }
        for file, sha256 in expected.items():
            name = file.relative_to(self.path)
            if not file.is_file():
                problems.append(f"{name}: missing")
            elif file.is_symlink() or sha256_of(file) != sha256:
                problems.append(f"{name}: differs from what was committed")
        problems += [f"{file.relative_to(self.path)}: orphan, not committed" for file in _orphans(self.path, expected)]
        return problems

    def check(self, *names: str) -> None:
        """Single files that are there must be as they were committed.

        Raises:
            StoreError: naming the one that is not.
        """
        for name, sha256 in self._all("SELECT name, sha256 FROM singles"):
            file = self.path / _checked(name)
            if name in names and file.is_file() and (file.is_symlink() or sha256_of(file) != sha256):
                raise StoreError(f"{file}: differs from what was committed; run again with --resume")

    def mend(self, runs: Sequence[Run], redone: Sequence[str]) -> list[str]:
        """Drop what is damaged or missing, so that runs make it again; the names of what was dropped.

        Args:
            runs: those that go on.
            redone: phases that they make anew of all runs.

        Raises:
            StoreError: if a shard of another run is damaged: these have not its source.
        """
        wrong = [
            (kind, shard, phase)
            for kind, shard, phase, sha256 in self._all("SELECT kind, shard, phase, sha256 FROM files")
            if not _sound(_shard_path(self.path, kind, shard), sha256)
        ]
        lost = [
            name
            for name, sha256 in self._all("SELECT name, sha256 FROM singles")
            if not _sound(self.path / _checked(name), sha256)
        ]
        own = {run.number for run in runs}
        for kind, shard, phase in wrong:
            if phase not in redone and self.run_of(shard).number not in own:
                raise StoreError(
                    f"{self.path}: {kind} shard {shard} is damaged and of another run; give that one's command, or "
                    "--fresh to drop what is there"
                )
        if not wrong and not lost:
            return []
        with _transaction(self._ledger, self.path):
            for _, shard, phase in wrong:
                for table in ("shards", "files", "aggregates"):
                    self._ledger.execute(f"DELETE FROM {table} WHERE phase = ? AND shard = ?", (phase, shard))
            self._ledger.executemany("DELETE FROM singles WHERE name = ?", [(name,) for name in lost])
            self._ledger.executemany("UPDATE runs SET finished = 0 WHERE run = ?", [(number,) for number in own])
        self._sweep()
        return [*sorted({f"{kind} shard {shard}" for kind, shard, _ in wrong}), *lost]

    def close(self) -> None:
        """Fold the journal into the ledger, seal it, and let other writers in."""
        with _sqlite_errors(self.path), ExitStack() as undo:
            if self._lock is not None:
                undo.callback(self._lock.release)
            undo.callback(self._ledger.close)
            if self._lock is None:
                return
            self._lock = None
            # a closed folder is plain files: readable from a medium that cannot be written
            self._all("PRAGMA journal_mode = DELETE")
            self._ledger.close()
            seal = sha256_of(self.path / LEDGER).encode()
            replace_file(self.path / SEAL, partial(write_bytes, data=seal))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # an interruption is no error: what was written is gone on with
        if kind is not None and issubclass(kind, Exception) and self._lock is not None:
            self._back_to_before()
        self.close()

    def _all(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return self._ledger.execute(query, values).fetchall()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            raise StoreError(f"{self.path / LEDGER}: {error}") from error

    def _record_single(self, name: str, sha256: str, digest: str | None) -> None:
        with _transaction(self._ledger, self.path):
            self._ledger.execute("INSERT OR REPLACE INTO singles VALUES (?, ?, ?)", (name, sha256, digest))


def _ledger_problems(path: Path) -> list[str]:
    """What the seal tells of a ledger that nobody writes to."""
    if (path / f"{LEDGER}-wal").exists() or not (path / SEAL).is_file():
        return []
    same = (path / SEAL).read_bytes().strip() == sha256_of(path / LEDGER).encode()
    return [] if same else [f"{LEDGER}: differs from what was closed; `sima2 doctor --rebuild` makes it again"]


def rebuild(path: Path | str, phase: str, kinds: Sequence[str], optional: Sequence[str] = ()) -> int:
    """Make a lost or damaged ledger again from the shards and the history; how many shards were found whole.

    Only a phase that shards tell all of can be found again; what rests on it is made anew when the run goes on.

    Args:
        path: of the folder. A ledger that is there is kept as ``ledger.sqlite.damaged``.
        phase: the phase.
        kinds: of its tables; a shard that lacks one of them was never committed.
        optional: kinds that not every shard has.

    Raises:
        StoreError: if there is no history to go by, or it is damaged too.
    """
    path = Path(path)
    try:
        history = json.loads((path / HISTORY).read_bytes())
        rows = {name: [tuple(row) for row in history[name]] for name in _HISTORIC}
        runs = [json.loads(row[1]) for row in rows["runs"]]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise StoreError(f"{path / HISTORY}: cannot be read ({error!r}); run again with --fresh") from error
    if history.get("layout") != LAYOUT or not all(isinstance(run, dict) for run in runs):
        raise StoreError(f"{path / HISTORY}: written by another version of this program; run again with --fresh")
    lock = FolderLock.take(path)
    with _sqlite_errors(path), ExitStack() as undo:
        undo.callback(lock.release)
        found = [file for file in (path / kinds[0]).glob("shard-*.parquet") if _SHARD.fullmatch(file.name)]
        numbers = sorted(int(file.stem.partition("-")[2]) for file in found)
        whole = [shard for shard in numbers if all(_shard_path(path, kind, shard).is_file() for kind in kinds)]
        files = [
            (kind, shard, phase, *_described(_shard_path(path, kind, shard)))
            for shard in whole
            for kind in (*kinds, *optional)
            if _shard_path(path, kind, shard).is_file()
        ]
        for suffix in ("-wal", "-shm"):
            (path / f"{LEDGER}{suffix}").unlink(missing_ok=True)
        for name in (SEAL, SUMMARY):
            (path / name).unlink(missing_ok=True)
        if (path / LEDGER).exists():
            (path / LEDGER).replace(path / f"{LEDGER}.damaged")
        with closing(_create(path)) as ledger, _transaction(ledger, path):
            for name in _HISTORIC:
                for row in rows[name]:
                    ledger.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
            ledger.execute("UPDATE runs SET finished = 0 WHERE run = (SELECT max(run) FROM runs)")
            ledger.executemany("INSERT INTO shards VALUES (?, ?)", [(phase, shard) for shard in whole])
            ledger.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)", files)
        with closing(_connect(path)) as ledger:
            ledger.execute("PRAGMA journal_mode = DELETE")
        for orphan in _orphans(path, {_shard_path(path, kind, shard) for kind, shard, *_ in files}):
            orphan.unlink()
    return len(whole)


def _described(file: Path) -> tuple[int, str, str]:
    """Rows, sha256 and logical digest of a shard."""
    content = read_parquet(file)
    digest = LogicalDigest()
    digest.update(content)
    return content.num_rows, sha256_of(file), digest.hexdigest()


def _sound(file: Path, sha256: str) -> bool:
    return file.is_file() and not file.is_symlink() and sha256_of(file) == sha256


def _refuse_foreign(path: Path) -> None:
    """Nothing that is not recognisably ours is ever written into."""
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path}: is a file; choose a folder")
    if not path.exists() or (path / LEDGER).exists():
        return
    strange = sorted(each.name for each in path.iterdir() if each.name not in (FolderLock.NAME, LABELS))
    if strange:
        some = ", ".join(strange[:3]) + (", …" if len(strange) > 3 else "")
        raise StoreError(f"{path}: holds something else ({some}); choose an empty or a new folder")


def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
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
    if application != _APPLICATION and holds:
        ledger.close()
        raise StoreError(f"{file}: is a database of another program; choose another folder")
    if read_only and application != _APPLICATION:
        ledger.close()
        raise StoreError(f"{file}: is empty: the run ended before it began; run it again")
    if not read_only:
        (path / SEAL).unlink(missing_ok=True)
        ledger.execute("PRAGMA journal_mode = WAL")
        ledger.execute("PRAGMA synchronous = FULL")
    return ledger


def _create(path: Path) -> sqlite3.Connection:
    ledger = _connect(path)
    with _transaction(ledger, path):
        ledger.execute("BEGIN")
        for statement in _SCHEMA.split(";"):
            ledger.execute(statement)
        ledger.execute("INSERT INTO meta VALUES ('layout', ?)", (LAYOUT,))
        ledger.execute(f"PRAGMA application_id = {_APPLICATION}")
    sync_folder(path)
    return ledger


def _continue(path: Path) -> sqlite3.Connection:
    """The ledger that is there, its folder swept of what was not committed."""
    ledger = _connect(path)
    with ExitStack() as undo:
        undo.callback(ledger.close)
        if ledger.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
            undo.close()  # killed before the first transaction: nothing was committed
            return _create(path)
        if _meta(ledger, "layout") != LAYOUT:
            raise StoreError(f"{path}: written by another version of this program; --fresh drops what is there")
        expected = {
            _shard_path(path, kind, shard) for kind, shard in ledger.execute("SELECT kind, shard FROM files").fetchall()
        }
        for orphan in _orphans(path, expected):
            orphan.unlink()
        undo.pop_all()
    return ledger


@contextmanager
def _transaction(ledger: sqlite3.Connection, path: Path) -> Iterator[None]:
    """All or nothing."""
    with _sqlite_errors(path), ledger:
        yield


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    """What SQLite cannot do is an error of the folder."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path / LEDGER}: {error}") from error


def _nothing_here(path: Path) -> str:
    """What to do where no results are: never to run into what holds something else."""
    free = not path.exists() or (path.is_dir() and not any(path.iterdir()))
    way = f"run `sima2 run --out {path}` first" if free else "name a folder that `sima2 run` has written"
    return f"{path}: no results here (no {LEDGER}); {way}"


def _remove_results(path: Path) -> None:
    """Remove an earlier run's files, by its ledger; whatever else lies in the folder stays, and so does a column map
    that a person has edited there."""
    with closing(_connect(path)) as ledger:
        known: set[Path] = set()
        if ledger.execute("PRAGMA application_id").fetchone()[0] == _APPLICATION:
            rows = ledger.execute("SELECT kind, shard FROM files").fetchall()
            known = {_shard_path(path, kind, shard) for kind, shard in rows}
            singles = ledger.execute("SELECT name, sha256 FROM singles").fetchall()
            ours = [name for name, sha in singles if not name.startswith(MAPS) or _sound(path / name, sha)]
            known |= {path / _checked(name) for name in ours}
    for file in [*_orphans(path, ()), *known]:
        file.unlink(missing_ok=True)
    shutil.rmtree(path / BEFORE, ignore_errors=True)
    for folder in {file.parent for file in known} - {path}:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    # last, so that a folder in the midst of this is still recognised
    for suffix in ("-wal", "-shm", ""):
        (path / f"{LEDGER}{suffix}").unlink(missing_ok=True)


def _orphans(path: Path, expected: Iterable[Path]) -> list[Path]:
    """Temporary files, and shards that are not among the expected."""
    kept = set(expected)
    found = [file for pattern in ("*", "*/*") for file in path.glob(f"{pattern}") if TEMPORARY in file.name]
    found += [file for file in path.glob("*/shard-*.parquet") if _SHARD.fullmatch(file.name) and file not in kept]
    return sorted({file for file in found if file.is_file() and not file.parent.is_symlink()})


def _shard_path(path: Path, kind: str, shard: int) -> Path:
    if type(shard) is not int:
        raise StoreError(f"{path / LEDGER}: shard {shard!r} is no number")
    return path / _checked(kind) / f"shard-{shard:06d}.parquet"


def _checked(name: str) -> str:
    if not isinstance(name, str) or not _NAME.match(name):
        raise StoreError(f"{name!r} is not a plain file name")
    return name


def _meta(ledger: sqlite3.Connection, key: str) -> str:
    try:
        row = ledger.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise StoreError(f"ledger: {error}") from error
    if row is None:
        raise StoreError(f"ledger: no {key} recorded; --fresh drops what is there")
    return str(row[0])


def _canonical(settings: Mapping[str, Any], *, sort: bool = True) -> str:
    return json.dumps(dict(settings), sort_keys=sort)
