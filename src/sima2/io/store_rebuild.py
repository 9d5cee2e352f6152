"""A folder of results made over: its ledger from what else it holds, or all of it removed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from sima2.errors import StoreError
from sima2.io.arrow import LogicalDigest, read_parquet
from sima2.io.durable import sha256_of
from sima2.io.ledger import APPLICATION, HISTORIC, LAYOUT, connect, create_ledger, sqlite_errors, transaction
from sima2.io.lock import FolderLock
from sima2.io.store_files import (
    BEFORE,
    HISTORY,
    LEDGER,
    MAPS,
    SEAL,
    SHARD_FILE,
    SUMMARY,
    checked,
    orphans,
    shard_path,
    sound,
)


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
        rows = {name: [tuple(row) for row in history[name]] for name in HISTORIC}
        runs = [json.loads(row[1]) for row in rows["runs"]]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise StoreError(f"{path / HISTORY}: cannot be read ({error!r}); run again with --fresh") from error
    if history.get("layout") != LAYOUT or not all(isinstance(run, dict) for run in runs):
        raise StoreError(f"{path / HISTORY}: written by another version of this program; run again with --fresh")
    lock = FolderLock.take(path)
    with sqlite_errors(path), ExitStack() as undo:
        undo.callback(lock.release)
        found = [file for file in (path / kinds[0]).glob("shard-*.parquet") if SHARD_FILE.fullmatch(file.name)]
        numbers = sorted(int(file.stem.partition("-")[2]) for file in found)
        whole = [shard for shard in numbers if all(shard_path(path, kind, shard).is_file() for kind in kinds)]
        files = [
            (kind, shard, phase, *_described(shard_path(path, kind, shard)))
            for shard in whole
            for kind in (*kinds, *optional)
            if shard_path(path, kind, shard).is_file()
        ]
        for suffix in ("-wal", "-shm"):
            (path / f"{LEDGER}{suffix}").unlink(missing_ok=True)
        for name in (SEAL, SUMMARY):
            (path / name).unlink(missing_ok=True)
        if (path / LEDGER).exists():
            (path / LEDGER).replace(path / f"{LEDGER}.damaged")
        with closing(create_ledger(path)) as ledger, transaction(ledger, path):
            for name in HISTORIC:
                for row in rows[name]:
                    ledger.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)
            ledger.execute("UPDATE runs SET finished = 0 WHERE run = (SELECT max(run) FROM runs)")
            ledger.executemany("INSERT INTO shards VALUES (?, ?)", [(phase, shard) for shard in whole])
            ledger.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)", files)
        with closing(connect(path)) as ledger:
            ledger.execute("PRAGMA journal_mode = DELETE")
        for orphan in orphans(path, {shard_path(path, kind, shard) for kind, shard, *_ in files}):
            orphan.unlink()
    return len(whole)


def _described(file: Path) -> tuple[int, str, str]:
    """Rows, sha256 and logical digest of a shard."""
    content = read_parquet(file)
    digest = LogicalDigest()
    digest.update(content)
    return content.num_rows, sha256_of(file), digest.hexdigest()


def remove_results(path: Path) -> None:
    """Remove an earlier run's files, by its ledger; whatever else lies in the folder stays, and so does a column map
    that a person has edited there."""
    with closing(connect(path)) as ledger:
        known: set[Path] = set()
        if ledger.execute("PRAGMA application_id").fetchone()[0] == APPLICATION:
            rows = ledger.execute("SELECT kind, shard FROM files").fetchall()
            known = {shard_path(path, kind, shard) for kind, shard in rows}
            singles = ledger.execute("SELECT name, sha256 FROM singles").fetchall()
            ours = [name for name, sha in singles if not name.startswith(MAPS) or sound(path / name, sha)]
            known |= {path / checked(name) for name in ours}
    for file in [*orphans(path, ()), *known]:
        file.unlink(missing_ok=True)
    shutil.rmtree(path / BEFORE, ignore_errors=True)
    for folder in {file.parent for file in known} - {path}:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    # last, so that a folder in the midst of this is still recognised
    for suffix in ("-wal", "-shm", ""):
        (path / f"{LEDGER}{suffix}").unlink(missing_ok=True)
