"""Ways to damage files: bytes, text, JSON and Parquet, each drawn from a generator that is given."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

HUGE = 10**400
NUMBERS: list[Any] = [
    0,
    -1,
    1,
    2,
    0.5,
    -0.0,
    255,
    2**31 - 1,
    2**31,
    2**32,
    2**53 + 1,
    2**62,
    2**63 - 1,
    2**63,
    -(2**63),
    HUGE,
    1e-320,
    1e308,
    float("nan"),
    float("inf"),
    -float("inf"),
]
NAMES = [
    "",
    "x" * 5000,
    "a\x00b",
    "\ufeffa",
    "\u202eleft",
    "a\u2028b",
    "<script>alert(1)</script>",
    "{episode_index}",
    "{0.__class__}",
    "%s%n",
    "é\u0301\U0001f600",
    "\udcff",
    "NaN",
    "-1",
    "true",
    "observation.state",
    "sima2/objects",
]
PATHS = [
    "../outside/canary.parquet",
    "../outside/data/chunk-000/file-000.parquet",
    "/etc/passwd",
    "/dev/zero",
    "/proc/self/environ",
    "~/x",
    "data/../../outside/canary.parquet",
    "file:///etc/passwd",
    "s3://bucket/x",
    "data\\..\\..\\x",
    "C:\\x",
    ".",
    "data",
    "meta/info.json",
    "https://user:token@host/x",
]
MARK = "@@deep@@"


def strange(rng: random.Random) -> Any:
    """A value that nobody expects."""
    kind = rng.randrange(8)
    if kind < 2:
        return rng.choice(NUMBERS)
    if kind == 2:
        return rng.choice(NAMES)
    if kind == 3:
        return rng.choice(PATHS)
    if kind == 4:
        return rng.choice([None, True, False, [], {}, [[]], [{}], {"a": {}}, [None]])
    if kind == 5:
        return MARK
    if kind == 6:
        return [rng.choice(NUMBERS) for _ in range(rng.randrange(1, 6))]
    return {rng.choice(NAMES): rng.choice(NUMBERS) for _ in range(3)}


def strange_place(value: Any, rng: random.Random) -> Any:
    """One place of a JSON value changed, dropped, doubled or made another type."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.8:
        copy = value.copy()
        key = rng.choice(list(copy) if isinstance(copy, dict) else range(len(copy)))
        kind = rng.randrange(12)
        if kind == 0:
            del copy[key]
        elif kind == 1 and isinstance(copy, dict):
            copy[rng.choice(NAMES)] = copy.pop(key)
        elif kind == 1:
            copy.append(copy[key])
        elif kind == 2 and len(copy) > 1:
            other = rng.choice(list(copy) if isinstance(copy, dict) else range(len(copy)))
            copy[key], copy[other] = copy[other], copy[key]
        elif kind == 3:
            copy[key] = rng.choice([str(copy[key]), [copy[key]], {"a": copy[key]}, repr(copy[key])])
        else:
            copy[key] = strange_place(copy[key], rng)
        return copy
    return strange(rng)


def json_text(value: Any, rng: random.Random) -> bytes:
    """JSON with strange places, and what no JSON library writes: doubled keys, depth, BOM, NaN."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        value = strange_place(value, rng)
    text = json.dumps(value).replace(str(HUGE), "1" + "0" * rng.choice([30, 400, 5000]))
    while f'"{MARK}"' in text:
        depth = rng.choice([3, 60, 400, 900, 985, 100_000])
        opening, closing = rng.choice([("[", "]"), ('{"a":', "}")])
        text = text.replace(f'"{MARK}"', opening * depth + "1" + closing * depth, 1)
    if rng.random() < 0.1 and "{" in text:
        places = [at for at, letter in enumerate(text) if letter == "{"]
        at = rng.choice(places) + 1
        text = (
            text[:at]
            + f"{json.dumps(rng.choice(list(_keys(value)) or ['a']))}:{json.dumps(rng.choice(NAMES))},"
            + text[at:]
        )
    data = text.encode("utf-8", "surrogatepass")
    return rng.choice([b"\xef\xbb\xbf", b"\r\n", b"\xff\xfe"]) + data if rng.random() < 0.03 else data


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return {*map(str, value), *(key for each in value.values() for key in _keys(each))}
    return {key for each in value for key in _keys(each)} if isinstance(value, list) else set()


def json_lines(data: bytes, rng: random.Random) -> bytes:
    """Lines of JSON, one of them strange, or their order."""
    lines = data.splitlines()
    at = rng.randrange(len(lines))
    kind = rng.randrange(8)
    if kind == 0:
        lines.append(lines[at])
    elif kind == 1:
        del lines[at]
    elif kind == 2:
        rng.shuffle(lines)
    elif kind == 3:
        lines[at] = changed_bytes(lines[at], rng)
    else:
        lines[at] = json_text(json.loads(lines[at]), rng)
    return rng.choice([b"\n", b"\n", b"\r\n", b"\n\n", b"\r"]).join(lines)


def changed_bytes(data: bytes, rng: random.Random, donor: bytes = b"") -> bytes:
    """A few bits, bytes or spans flipped, cut, doubled, spliced in from elsewhere or set to extremes."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        size = len(out)
        if not size:
            return rng.randbytes(9)
        # Parquet keeps what it says of itself at the end
        at = rng.randrange(max(0, size - 1200), size) if rng.random() < 0.5 else rng.randrange(size)
        kind = rng.randrange(10)
        if kind < 2:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            out[at] = rng.randrange(256)
        elif kind == 3:
            del out[at : at + rng.randrange(1, 60)]
        elif kind == 4:
            out[at:at] = rng.randbytes(rng.randrange(1, 9))
        elif kind == 5:
            width = rng.choice([4, 8])
            worst = rng.choice([b"\xff" * 8, b"\xff\xff\xff\x7f" * 2, b"\0" * 8, b"\x80" * 8, b"\0\0\0\x80" * 2])
            out[at : at + width] = worst[:width]
        elif kind == 6:
            del out[at:]
        elif kind == 7:
            other = donor or bytes(out)
            start = rng.randrange(len(other))
            out[at : at + rng.randrange(64)] = other[start : start + rng.randrange(1, 200)]
        elif kind == 8:  # the largest numbers of a variable-length integer, as Parquet's metadata have them
            out[at : at + 1] = rng.choice(
                [b"\xfe\xff\xff\xff\x0f", b"\xfe" + b"\xff" * 8 + b"\x01", b"\x80\x80\x80\x10"]
            )
        else:
            start = rng.randrange(size)
            out[at:at] = out[start : start + rng.randrange(1, 100)]
    return bytes(out)


def changed_text(data: bytes, rng: random.Random, words: Sequence[str]) -> bytes:
    """Text with tokens exchanged, lines doubled, dropped or moved, and characters no one types."""
    text = data.decode()
    for _ in range(rng.choice([1, 1, 2, 4])):
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        kind = rng.randrange(8)
        if kind == 0:
            lines.insert(at, rng.choice(lines))
        elif kind == 1:
            del lines[at]
        elif kind == 2:
            lines[at] = lines[at].replace(
                *rng.choice([('"', ""), (" ", "\u00a0"), ("=", ":"), (",", ";"), ("\n", "\r"), ('"', "'")])
            )
        elif kind == 3:
            lines[at] += rng.choice(["\x00", "\u202e", "\ufeff", "\x85", "#", "]", "}", '"', "\\", ",,", "\r"])
        else:
            line = lines[at]
            pieces = [piece for piece in _tokens(line) if piece.strip()]
            new = rng.choice(
                [*words, *map(str, NUMBERS), *PATHS, *NAMES, "[" * rng.choice([2, 100, 5000]), "0x10", "1e999"]
            )
            lines[at] = line.replace(rng.choice(pieces), new, 1) if pieces else new
        text = "\n".join(lines)
    return text.encode("utf-8", "surrogatepass")


def _tokens(line: str) -> list[str]:
    for separator in "=<>[],\"'":
        line = line.replace(separator, " ")
    return line.split(" ")


def changed_table(table: pa.Table, rng: random.Random) -> pa.Table:
    """A table with columns lost, renamed, doubled, of another type or with values that cannot be."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        if not table.num_columns:
            return table
        place = rng.randrange(table.num_columns)
        name = table.column_names[place]
        kind = rng.randrange(9)
        if kind == 0:
            table = table.drop_columns([name]) if table.column_names.count(name) == 1 else table
        elif kind == 1:
            table = table.append_column(
                rng.choice([name, "x", "episode_index", *table.column_names]), table.column(place)
            )
        elif kind == 2:
            new = (
                rng.choice([*NAMES[:6], "episode_index", f"{name}.x", f"stats/{name}"])
                .encode("utf-8", "replace")
                .decode()
            )
            table = table.rename_columns([*table.column_names[:place], new, *table.column_names[place + 1 :]])
        elif kind == 3:
            rows = [rng.randrange(len(table)) for _ in range(rng.randrange(0, 2 * len(table)))] if len(table) else []
            table = table.take(rows)
        else:
            table = table.set_column(place, name, _changed_column(table.column(place), rng))
    return table


def _changed_column(column: pa.ChunkedArray, rng: random.Random) -> pa.Array:
    n = len(column)
    values = column.to_pylist()
    kind = rng.randrange(14)
    makers: list[Callable[[], pa.Array]] = [
        lambda: pa.array([str(each) for each in values], pa.string()),
        lambda: pa.array([rng.choice([each, None]) for each in values], column.type),
        lambda: pa.nulls(n, rng.choice([pa.null(), column.type, pa.float32(), pa.list_(pa.float32())])),
        lambda: pa.array([[0.0] * rng.choice([0, 1, 2, 3, 4]) for _ in values], pa.list_(pa.float64())),
        lambda: pa.array([[[0.0, 1.0]] * rng.choice([0, 2]) for _ in values], pa.list_(pa.list_(pa.float32()))),
        lambda: pa.array([rng.choice([float("nan"), float("inf"), 1e308, -1e30, 0.0]) for _ in values], pa.float64()),
        lambda: pa.array([rng.choice([2**63 - 1, -(2**63), -1, 0, 2**53]) for _ in values], pa.int64()),
        lambda: pa.array([rng.choice([2**64 - 1, 2**63, 0, 1]) for _ in values], pa.uint64()),
        lambda: pa.array([rng.random() < 0.5 for _ in values], pa.bool_()),
        lambda: pa.array([rng.randbytes(3) for _ in values], pa.binary()),
        lambda: pa.array([{"a": 1} for _ in values], pa.struct([("a", pa.int64())])),
        lambda: pa.array(range(n), pa.timestamp("us")),
        lambda: pa.array([str(k % 2) for k in range(n)]).dictionary_encode(),
        lambda: pa.array([rng.randbytes(4) for _ in values], pa.binary()).view(pa.string()),
    ]
    return makers[kind]()


def parquet_bytes(table: pa.Table, rng: random.Random) -> bytes:
    """A table as a file, with the settings of one of several writers."""
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression=rng.choice(["zstd", "snappy", "gzip", "none"]),
        row_group_size=rng.choice([1, 3, 1000]),
        use_dictionary=rng.random() < 0.5,
        data_page_version=rng.choice(["1.0", "2.0"]),
    )
    return sink.getvalue().to_pybytes()


def changed_hdf5(data: bytes, rng: random.Random) -> bytes:
    """A file of HDF5 in which a whole thing is another: a member, a type, a shape, an attribute, a link."""
    import io

    import h5py
    import numpy as np

    held = io.BytesIO(data)
    with h5py.File(held, "r+") as file:
        groups: list[Any] = []
        arrays: list[Any] = []
        file.visititems(lambda _, each: (arrays if isinstance(each, h5py.Dataset) else groups).append(each))
        each = rng.choice(arrays)
        home, name, shape = each.parent, each.name.rpartition("/")[2], each.shape
        kind = rng.randrange(12)
        if kind == 0:
            del home[name]
        elif kind == 1:
            del home[name]
            home[name] = h5py.ExternalLink(rng.choice(PATHS[:3]), "/data")
        elif kind == 2:
            del home[name]
            home[name] = h5py.SoftLink(rng.choice(["/", "/nowhere", each.name]))
        elif kind == 3:
            del home[name]
            home.create_dataset(name, shape=(10 ** rng.randrange(3, 12), *shape[1:]), dtype="f8", chunks=True)
        elif kind == 4:
            del home[name]
            home.create_dataset(name, data=[rng.choice(NAMES).encode("utf-8", "replace").replace(b"\0", b"")] * 3)
        elif kind == 5:
            values = each[()].astype(rng.choice(["f2", "i1", "u8", ">f4", "i8"]))
            del home[name]
            home[name] = values
        elif kind == 6:
            del home[name]
            home[name] = np.zeros(rng.choice([(), (0,), (0, 3), (3, 0), (1, 1), (2, 9000), (5, 2, 2)]))
        elif kind == 7:
            del home[name]
            home.create_group(name)
        elif kind == 8:
            values = each[()].astype("f8")
            values.ravel()[rng.randrange(max(values.size, 1)) :: 3] = rng.choice([np.nan, np.inf, 1e300])
            del home[name]
            home[name] = values
        elif kind == 9:
            for key in list((target := rng.choice([file, *groups])).attrs):
                target.attrs[key] = rng.choice([0, -1, 2**62, 1.5, "x" * 5000, "{}", "[[[", np.zeros(3), "\u202e"])
        elif kind == 10:
            home.move(name, rng.choice(["x", "demo_00", "demo_-1", "episode", "obs2"]))
        else:
            home[rng.choice(["demo_7", "demo_99999999999999", "again"])] = rng.choice([home, each])
    return held.getvalue()
