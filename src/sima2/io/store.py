"""An output folder: Parquet shards, and a ledger of what is committed; what it does not name is garbage.

A folder holds one run, or several one after the other: each adds its shards to those of the earlier ones.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from sima2.errors import StoreError
from sima2.io.arrow import LogicalDigest, logical_digest, read_parquet, read_table, release, to_arrow, write_table
from sima2.io.durable import TEMPORARY, link_or_copy, make_folder, replace_file, sha256_of, sync_folder, write_bytes
from sima2.io.ledger import (
    HISTORIC,
    LAYOUT,
    RUN_COLUMNS,
    connect,
    continue_ledger,
    create_ledger,
    ledger_problems,
    sqlite_errors,
    transaction,
)
from sima2.io.lock import FolderLock
from sima2.io.store_files import (
    BEFORE,
    HISTORY,
    LABELS,
    LEDGER,
    MAPS,
    SEAL,
    SUMMARY,
    checked,
    nothing_here,
    orphans,
    refuse_foreign,
    shard_path,
    sound,
)
from sima2.io.store_rebuild import rebuild, remove_results
from sima2.io.store_runs import Coming, Run, canonical, told_apart
from sima2.records.table import Table

__all__ = ["BEFORE", "LABELS", "LEDGER", "MAPS", "SUMMARY", "Coming", "Run", "Store", "rebuild", "told_apart"]

T = TypeVar("T", bound=Table)

_OF_SHARDS: Final = ("shards", "files", "aggregates")
"""Tables of the ledger that tell of shards."""
_MOST_NUMBERS: Final = 2**62
"""Numbers of all sources together: twice as many are still whole numbers of 64 bits."""


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
            coming: the runs of one command; one of no settings, if not given.
            redone: phases that rest on all runs: what earlier ones committed of them is dropped when one is added.
            agrees: asked with the runs that are there; raises where these must not be added to them.
            resume: there must be nothing in the folder, or a run of the same settings.
            fresh: drop the results that are there; nothing else in the folder is touched.

        Raises:
            StoreError: if the folder holds something else, another run writes to it, an interrupted run of other
                settings lies in it, or ``resume`` meets other settings.
        """
        path = Path(path)
        refuse_foreign(path)
        path.mkdir(parents=True, exist_ok=True)
        lock = FolderLock.take(path)
        with sqlite_errors(path), ExitStack() as undo:
            undo.callback(lock.release)
            refuse_foreign(path)
            if fresh and (path / LEDGER).exists():
                remove_results(path)
            ledger = continue_ledger(path) if (path / LEDGER).exists() else create_ledger(path)
            store = cls(path, ledger, lock)
            undo.pop_all()
            undo.callback(store.close)
            agrees(store.runs)
            store._begin(coming or (Coming({}),), redone, resume=resume)
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
            raise StoreError(nothing_here(path))
        lock = FolderLock.take(path)
        with sqlite_errors(path), ExitStack() as undo:
            undo.callback(lock.release)
            ledger = continue_ledger(path)
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
            raise StoreError(nothing_here(path))
        return cls(path, connect(path, read_only=True), None)

    @property
    def runs(self) -> list[Run]:
        """The runs of the folder in the order in which they were begun."""
        rows = self._all(f"SELECT {RUN_COLUMNS}, finished FROM runs ORDER BY run")
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
        with transaction(self._ledger, self.path):
            self._ledger.execute("DELETE FROM singles WHERE name = ?", (SUMMARY,))
            self._drop_phases(redone)
            self._ledger.executemany("UPDATE runs SET finished = 0 WHERE run = ?", [(run.number,) for run in runs])
            self._ledger.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, digest))
        self._sweep()
        return True

    def finish(self) -> None:
        """All runs are finished: their results are whole."""
        with transaction(self._ledger, self.path):
            self._ledger.execute("UPDATE runs SET finished = 1")
        self._forget_before()

    @property
    def calibrations(self) -> list[tuple[int, str, str]]:
        """Look, digest of the counts, and what was concluded (JSON), of each calibration, in order."""
        return self._all("SELECT look, digest, value FROM calibrations ORDER BY look")

    def record_calibration(self, look: int, digest: str, value: str) -> None:
        """Keep what a look at the counts concluded; the same look again replaces it."""
        with transaction(self._ledger, self.path):
            self._ledger.execute("INSERT OR REPLACE INTO calibrations VALUES (?, ?, ?)", (look, digest, value))
        self._keep_history()

    @property
    def decisions(self) -> list[str]:
        """What people decided on proposals (JSON), in order."""
        return [value for (value,) in self._all("SELECT value FROM decisions ORDER BY number")]

    def record_decisions(self, values: Iterable[str]) -> None:
        """Add decisions (JSON) to the history, all or none."""
        with transaction(self._ledger, self.path):
            self._ledger.executemany("INSERT INTO decisions (value) VALUES (?)", [(value,) for value in values])
        self._keep_history()

    def _keep_history(self) -> None:
        # whether a run is finished is for the ledger to say: its last step must leave nothing to be written after it
        runs = f"SELECT {RUN_COLUMNS}, 1 FROM runs ORDER BY run"
        queries = {name: runs if name == "runs" else f"SELECT * FROM {name} ORDER BY 1" for name in HISTORIC}
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
        with transaction(self._ledger, self.path):
            self._ledger.execute("DELETE FROM singles WHERE name = ?", (SUMMARY,))
            self._drop_phases(redone)
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
            about = canonical(each.settings), canonical(each.origin)
            rows.append((number, *about, each.episodes, shard, begin, end))
            shard, begin = shard + each.shards, end
        return rows

    def _results(self) -> list[str]:
        """Files of the results by the ledger, relative."""
        shards = self._all("SELECT kind, shard FROM files")
        files = [shard_path(self.path, kind, shard).relative_to(self.path).as_posix() for kind, shard in shards]
        return [*files, *(checked(name) for (name,) in self._all("SELECT name FROM singles")), HISTORY]

    def _keep_before(self) -> None:
        """Keep the finished results beside what is going to be written: links, which cost nothing."""
        making = self.path / f"{TEMPORARY}before"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir()
        for name in self._results():
            if (self.path / name).is_file():
                (making / name).parent.mkdir(exist_ok=True)
                link_or_copy(self.path / name, making / name)
        with sqlite_errors(self.path), closing(sqlite3.connect(making / LEDGER)) as copy:
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
        self._ledger = continue_ledger(self.path)

    def _sweep(self) -> None:
        rows = self._all("SELECT kind, shard FROM files")
        for orphan in orphans(self.path, {shard_path(self.path, kind, shard) for kind, shard in rows}):
            orphan.unlink()

    def committed(self, phase: str) -> set[int]:
        """Shards of a phase that are there as a whole."""
        return {shard for (shard,) in self._all("SELECT shard FROM shards WHERE phase = ?", phase)}

    def forget(self, phase: str) -> None:
        """Drop all shards of a phase, which are to be made anew."""
        with transaction(self._ledger, self.path):
            self._drop_phases([phase])
        self._sweep()

    def _drop_phases(self, phases: Sequence[str]) -> None:
        """Strike all shards of some phases out, within a transaction."""
        for phase in phases:
            for (kind,) in self._all("SELECT DISTINCT kind FROM files WHERE phase = ?", phase):
                self._digests.pop(kind, None)
            for table in _OF_SHARDS:
                self._ledger.execute(f"DELETE FROM {table} WHERE phase = ?", (phase,))

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
            owner = self._all("SELECT phase FROM files WHERE kind = ? AND shard = ?", checked(kind), shard)
            if owner:
                raise StoreError(f"{self.path}: {kind} shard {shard} belongs to phase {owner[0][0]}, not {phase}")
            target = shard_path(self.path, kind, shard)
            make_folder(target.parent)
            data = to_arrow(table)
            sha256 = replace_file(target, partial(write_table, table=data))
            files.append((kind, shard, phase, len(table), sha256, logical_digest(data)))
            digest, shards = self._digests.setdefault(kind, (LogicalDigest(), []))
            if not shards or shard > shards[-1]:
                digest.update(data)
                shards.append(shard)
        with transaction(self._ledger, self.path):
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
            table = read_table(cls, shard_path(self.path, kind, shard))
            release()
            yield table

    def shards(self, kind: str) -> list[int]:
        """The committed shards of a kind, in order."""
        query = "SELECT shard FROM files WHERE kind = ? ORDER BY shard"
        return [shard for (shard,) in self._all(query, checked(kind))]

    def shard_files(self, kind: str) -> list[Path]:
        """Where the committed shards of a kind lie, in their order."""
        return [shard_path(self.path, kind, shard) for shard in self.shards(kind)]

    def shard_file(self, kind: str, shard: int) -> Path:
        """Where a shard of a kind lies."""
        return shard_path(self.path, kind, shard)

    def write_table(self, name: str, table: Table, *, result: bool = True) -> None:
        """Write a single table, ``<name>.parquet``, replacing an earlier one as a whole.

        Args:
            name: of the file, with or without ``.parquet``.
            table: what it holds.
            result: whether it is one of the results that :meth:`digest` is of, and not made on request beside them.
        """
        name = checked(name.removesuffix(".parquet")) + ".parquet"
        sha256 = replace_file(self.path / name, partial(write_table, table=table))
        self._record_single(name, sha256, logical_digest(table) if result else None)

    def write_text(self, name: str, text: str) -> None:
        """Write a single text file, replacing an earlier one as a whole."""
        encoded = text.encode()
        sha256 = replace_file(self.path / checked(name), partial(write_bytes, data=encoded))
        self._record_single(name, sha256, None)

    def read_table(self, cls: type[T], name: str) -> T:
        """A single table by name, with or without ``.parquet``."""
        return read_table(cls, self.path / (checked(name.removesuffix(".parquet")) + ".parquet"))

    def read_text(self, name: str) -> str:
        """A single text file by name."""
        try:
            if not (self.path / checked(name)).is_file() or (self.path / name).is_symlink():
                raise OSError("is no file of this folder")
            return (self.path / checked(name)).read_text(encoding="utf-8")
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
                digest.update(read_parquet(shard_path(self.path, kind, shard)))
            self._digests[kind] = digest, shards
            whole.update(f"{kind}\0{digest.hexdigest()}\0".encode())
        for name, digest_ in self._all("SELECT name, digest FROM singles WHERE digest IS NOT NULL ORDER BY name"):
            whole.update(f"{name}\0{digest_}\0".encode())
        return whole.hexdigest()

    def verify(self) -> list[str]:
        """What is wrong with the folder, in words: damaged, missing and orphan files. Empty where all is well."""
        problems = ledger_problems(self.path)
        problems += [f"{LEDGER}: {told}" for (told,) in self._all("PRAGMA integrity_check") if told != "ok"]
        query = "SELECT kind, shard, sha256 FROM files ORDER BY kind, shard"
        expected = {shard_path(self.path, kind, shard): sha256 for kind, shard, sha256 in self._all(query)}
        expected |= {
            self.path / checked(name): sha256 for name, sha256 in self._all("SELECT name, sha256 FROM singles")
        }
        for file, sha256 in expected.items():
            name = file.relative_to(self.path)
            if not file.is_file():
                problems.append(f"{name}: missing")
            elif file.is_symlink() or sha256_of(file) != sha256:
                problems.append(f"{name}: differs from what was committed")
        problems += [f"{file.relative_to(self.path)}: orphan, not committed" for file in orphans(self.path, expected)]
        return problems

    def check(self, *names: str) -> None:
        """Single files that are there must be as they were committed.

        Raises:
            StoreError: naming the one that is not.
        """
        for name, sha256 in self._all("SELECT name, sha256 FROM singles"):
            file = self.path / checked(name)
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
            if not sound(shard_path(self.path, kind, shard), sha256)
        ]
        lost = [
            name
            for name, sha256 in self._all("SELECT name, sha256 FROM singles")
            if not sound(self.path / checked(name), sha256)
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
        with transaction(self._ledger, self.path):
            for _, shard, phase in wrong:
                for table in _OF_SHARDS:
                    self._ledger.execute(f"DELETE FROM {table} WHERE phase = ? AND shard = ?", (phase, shard))
            self._ledger.executemany("DELETE FROM singles WHERE name = ?", [(name,) for name in lost])
            self._ledger.executemany("UPDATE runs SET finished = 0 WHERE run = ?", [(number,) for number in own])
        self._sweep()
        return [*sorted({f"{kind} shard {shard}" for kind, shard, _ in wrong}), *lost]

    def close(self) -> None:
        """Fold the journal into the ledger, seal it, and let other writers in."""
        with sqlite_errors(self.path), ExitStack() as undo:
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
        with transaction(self._ledger, self.path):
            self._ledger.execute("INSERT OR REPLACE INTO singles VALUES (?, ?, ?)", (name, sha256, digest))
