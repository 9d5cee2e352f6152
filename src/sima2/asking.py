"""SQL over the tables of a run: read only, by a database in memory that reaches nothing else."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from sima2.errors import MissingExtraError, QueryError, StoreError
from sima2.query.views import View
from sima2.records.table import Table

MEMORY: Final = "1GB"
"""Of a query: tables of 10,000 episodes take a tenth of it; a query without bounds must not take the machine."""
LONGEST: Final = 100_000
"""Characters of a query: one that lists the ids of some thousand episodes still fits."""
SETTINGS: Final[Mapping[str, str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "memory_limit": MEMORY,
    # one thread: sums of floats and rows of equal rank come out the same every time
    "threads": "1",
}
"""No file, no network, no extension, no variable of this program, nothing on disk; then the settings are locked."""


@dataclass(frozen=True, slots=True)
class Given:
    """A table of a folder."""

    name: str
    """In SQL."""
    table: type[Table]
    files: tuple[Path, ...]
    """Its shards in order; none where the run has no such table: it is empty then."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What a query answers, or as much of it as was asked for."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    """Plain values; None is not known."""
    more: bool
    """Whether there are further rows."""


def tables_of(out: Path, kinds: Mapping[str, type[Table]]) -> list[Given]:
    """The tables of a folder of finished runs.

    Args:
        out: the folder.
        kinds: by the name of their file, or of the folder of their shards (it ends in ``/``); shards of what is there
            as a whole too (``…_shards/``) are left out.

    Raises:
        StoreError: if it is no such folder, or a file of it is a link.
    """
    from sima2.io.store import Store

    found = []
    with Store.read_only(out) as store:
        for name, table in kinds.items():
            if name.endswith("_shards/"):
                continue
            if name.endswith("/"):
                files = store.shard_files(name[:-1])
            else:
                files = [out / name] if (out / name).exists() else []
            if linked := next((each for each in files if each.is_symlink() or not each.is_file()), None):
                raise StoreError(f"{linked}: cannot be read: is no file")
            found.append(Given(name.removesuffix("/").removesuffix(".parquet"), table, tuple(files)))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Session:
    """Asks queries of the tables of one folder; made by :func:`session`."""

    _database: Any
    _names: tuple[str, ...]

    def ask(self, sql: str, most: int) -> Rows:
        """At most so many rows of an answer.

        Rows come in the order that the query gives (``ORDER BY``); where it gives none, sorted by all columns from left
        to right, NULL last.

        Raises:
            QueryError: if the query is wrong, is no single ``SELECT``, or needs too much memory; its lines show where.
            StoreError: if a table cannot be read.
        """
        with self._cursor(sql) as (columns, cursor):
            rows = cursor.fetchmany(most + 1)
            return Rows(columns, [_plain_row(row) for row in rows[:most]], len(rows) > most)

    def each(self, sql: str, at_once: int = 10_000) -> Iterator[Rows]:
        """All of an answer, some rows at a time, before anything else is asked; its columns even where no row is."""
        with self._cursor(sql) as (columns, cursor):
            rows = cursor.fetchmany(at_once)
            while True:
                further = cursor.fetchmany(at_once) if rows else []
                yield Rows(columns, [_plain_row(row) for row in rows], bool(further))
                if not further:
                    return
                rows = further

    @contextmanager
    def _cursor(self, sql: str) -> Iterator[tuple[tuple[str, ...], Any]]:
        import duckdb

        try:
            wrapped, query = self._ordered(sql)
        except duckdb.Error as error:
            raise self._wrong(error, 0) from None
        try:
            # what was registered is known to this connection alone
            self._database.execute(query)
            yield tuple(str(each[0]) for each in self._database.description), self._database
        except duckdb.InterruptException:
            raise KeyboardInterrupt from None
        except duckdb.Error as error:
            raise self._wrong(error, 1 if wrapped else 0) from None

    def _ordered(self, sql: str) -> tuple[bool, str]:
        """The query, put in order where it has none."""
        import duckdb

        if len(sql) > LONGEST or "\0" in sql:
            raise QueryError(f"a query has at most {LONGEST} characters, and no NUL")
        sql.encode()  # what is no UTF-8 is refused for all commands alike
        parts = [each for each in self._database.extract_statements(sql) if each.query.strip()]
        if len(parts) != 1 or parts[0].type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
            raise QueryError(
                "a query is one SELECT: nothing can be written or set, and no file or extension be reached"
            )
        query = parts[0].query
        if parts[0].type == duckdb.StatementType.EXPLAIN:
            return False, query
        told = json.loads(self._database.execute("SELECT json_serialize_sql(?)", [query]).fetchone()[0])
        if told.get("error"):
            return False, query
        node = told["statements"][0]["node"]
        kinds = {each.get("type") for each in node.get("modifiers", ())}
        if "ORDER_MODIFIER" in kinds or (node.get("from_table") or {}).get("type") == "SHOW_REF":
            return False, query
        return True, self._wrapped(query, json.dumps(told))

    def _wrapped(self, query: str, parts: str) -> str:
        """The query put in order; made again of its parts where a semicolon or comment behind it is in the way."""
        import duckdb

        try:
            wrapped = f"SELECT * FROM (\n{query.rstrip().rstrip(';')}\n) ORDER BY ALL NULLS LAST"
            self._database.extract_statements(wrapped)
        except duckdb.Error:
            again = self._database.execute("SELECT json_deserialize_sql(?::JSON)", [parts]).fetchone()[0]
            wrapped = f"SELECT * FROM (\n{again}\n) ORDER BY ALL NULLS LAST"
        return wrapped

    def _wrong(self, error: Exception, before: int) -> Exception:
        """An error of the database as one of ours.

        Args:
            error: of the database.
            before: lines that stand before the query's own.
        """
        import duckdb

        message = str(error)
        if isinstance(error, duckdb.OutOfMemoryException):
            return QueryError(f"the query needs more than {MEMORY} of memory: choose fewer columns or rows")
        if isinstance(error, duckdb.IOException):
            return StoreError(f"a table cannot be read: {message.splitlines()[0]}")
        place = _place(message, before)
        if found := re.search(r"Table with name (.+?) does not exist", message):
            return QueryError(_unknown("table", found[1].strip('"'), self._names), *place)
        if found := re.search(r'Referenced column "(.+?)" (?:was )?not found', message):
            near = re.findall(r'"([^"]+)"', message.partition("Candidate bindings")[2].partition("\n\n")[0])
            near = list(dict.fromkeys(each.rpartition(".")[2] for each in near))
            hint = f": did you mean {near[0]!r}?" if near else ""
            return QueryError(f"unknown column {found[1]!r}{hint}", *place)
        if isinstance(error, duckdb.PermissionException):
            return QueryError("a query reaches only the tables of the run: no file, no extension, no setting", *place)
        told = " ".join(message.partition("\n\n")[0].partition("\n\tCandidate")[0].split())
        return QueryError(re.sub(r"^([A-Z][\w ]*) Error: ", lambda kind: f"{kind[1].lower()} error: ", told), *place)


def _unknown(kind: str, name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown {kind} {name!r}: {hint}valid: {', '.join(sorted(names))}"


def _place(message: str, before: int) -> tuple[str, ...]:
    """The line of the query, and the mark below it."""
    found = re.search(r"^LINE ([0-9]+): (.*)\n( *)(\^)", message, re.MULTILINE)
    if found is None:
        return ()
    head = f"line {max(1, int(found[1]) - before)}: "
    return head + found[2], " " * max(0, len(found[3]) - len(f"LINE {found[1]}: ") + len(head)) + "^"


@contextmanager
def session(tables: Sequence[Given], views: Sequence[View]) -> Iterator[Session]:
    """A database over the tables of a folder, in which what is not known (NaN) is NULL.

    Files are read as queries ask for them, by this program and never by the database.

    Raises:
        MissingExtraError: if DuckDB is not installed.
        StoreError: if a file is damaged or holds something else.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingExtraError("duckdb", "query") from None
    with closing(duckdb.connect(":memory:", config=dict(SETTINGS))) as database:
        for each in tables:
            data = _dataset(each)
            database.register(f"raw {each.name}", data)
            database.execute(f'CREATE VIEW "{each.name}" AS SELECT {_columns(each.table)} FROM "raw {each.name}"')
        for view in views:
            database.execute(f'CREATE VIEW "{view.name}" AS {view.sql}')
        database.execute("SET lock_configuration = true")
        yield Session(database, (*(each.name for each in tables), *(each.name for each in views)))


def _columns(table: type[Table]) -> str:
    """Columns of a table; a number that is none is NULL, so that ``avg`` and ``WHERE`` do as people expect."""
    told = []
    for each in table.declared():
        number = each.dtype is not None and each.dtype.kind == "f" and each.ndim == 1
        name = f'"{each.name}"'
        told.append(f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END AS {name}" if number else name)
    return ", ".join(told)


def _dataset(given: Given) -> Any:
    """A table of a folder for the database to scan."""
    import pyarrow as pa
    import pyarrow.dataset
    import pyarrow.parquet as pq

    from sima2.io.arrow import to_arrow

    if not given.files:
        return to_arrow(given.table.empty())
    try:
        schema = pq.read_schema(given.files[0])
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{given.files[0]}: cannot be read: {str(error).splitlines()[0]}") from error
    missing = [name for name in given.table.columns() if name not in schema.names]
    version = (schema.metadata or {}).get(b"schema_version", str(given.table.schema_version).encode())
    if missing or version != str(given.table.schema_version).encode():
        raise StoreError(f"{given.files[0]}: written by another version of this program; run again with --fresh")
    return pyarrow.dataset.dataset([str(each) for each in given.files], schema=schema, format="parquet")


def _plain_row(row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(plain_value(each) for each in row)


def plain_value(value: Any) -> Any:
    """A value of the database as JSON has it.

    >>> plain_value(Decimal("1.50")), plain_value(b"ab"), plain_value(float("nan")), plain_value([Decimal(2)])
    (1.5, '6162', None, [2.0])
    """
    if isinstance(value, float):
        return value if value - value == 0 else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(key): plain_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(each) for each in value]
    return plain_value(value.tolist()) if hasattr(value, "tolist") else str(value)
