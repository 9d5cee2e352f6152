"""The process in which HDF5 files are opened: a damaged or hostile one may end it, and nothing else.

It imports nothing of this package. It is told what to do by lines of JSON on its standard input, and answers each with
lines of JSON, some followed by the bytes of arrays. Files are opened to be read, links and layouts that lead to other
files are refused before they are followed, and nothing is allocated that a look at the declared shape and at the bytes
that are really there does not bear out.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import stat
import sys
from typing import Any, BinaryIO

import numpy as np

MOST_BYTES = 2**28
"""Bytes of one array of one episode: 35 million float64, a thousand columns over ten minutes at 60 Hz."""
MOST_CHUNK = 2**26
"""Bytes of one chunk, which the library unpacks as a whole whatever is asked of it."""
MOST_SWELL = 2**24
"""Bytes up to which an array may be larger than what the file stores of it, …"""
MOST_RATIO = 1100
"""… times which it may be larger still: deflate packs at most 1032 to 1."""
MOST_NAMES = 100_000
"""Members of one group."""
MOST_TEXT = 2**16
"""Characters of an attribute that are told; a robot's description in XML is not needed."""
MOST_MEMORY = 3 * 2**30
"""Bytes of address space that a file may take of this process beyond what it takes by itself."""
FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
"""Ways of packing that the library itself unpacks; any other would be looked for among plugins on this machine."""


class Refused(Exception):
    """What is in the file is not opened, and why."""


class Opened:
    """The file that was asked for last, for the next question is mostly about it, too."""

    def __init__(self) -> None:
        self.key: tuple[object, ...] = ()
        self.file: Any = None

    def get(self, name: str) -> Any:
        """The root group of a file."""
        import h5py

        state = os.stat(name)  # noqa: PTH116 - no pathlib is needed here
        if not stat.S_ISREG(state.st_mode):
            raise Refused("is no file")  # a pipe would wait for a writer, a device has no end
        key = (name, state.st_mtime_ns, state.st_size)
        if key != self.key:
            self.close()
            access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
            access.set_fclose_degree(h5py.h5f.CLOSE_STRONG)
            self.file = h5py.h5f.open(os.fsencode(name), h5py.h5f.ACC_RDONLY, fapl=access)
            self.key = key
        return h5py.h5g.open(self.file, b"/")

    def close(self) -> None:
        """Let go of the file."""
        file, self.file, self.key = self.file, None, ()
        if file is not None:
            with contextlib.suppress(Exception):
                file.close()


def walk(root: Any, path: str) -> Any:
    """The object at a path, of which every part must lie in the file itself.

    Raises:
        KeyError: if it is not there.
    """
    import h5py

    at = root
    for part in filter(None, path.split("/")):
        if not isinstance(at, h5py.h5g.GroupID):
            raise KeyError(path)
        name = part.encode()
        if not at.links.exists(name):
            raise KeyError(path)
        kind = at.links.get_info(name).type
        if kind != h5py.h5l.TYPE_HARD:
            told = {h5py.h5l.TYPE_SOFT: "a soft link", h5py.h5l.TYPE_EXTERNAL: "a link to another file"}
            raise Refused(f"{path} is {told.get(kind, 'a link of an unknown kind')}: copy the data into the file")
        at = h5py.h5o.open(at, name)
    return at


def names(group: Any, path: str) -> list[str]:
    """Members of a group, in the library's own order."""
    count = group.get_num_objs()
    if count > MOST_NAMES:
        raise Refused(f"{path or '/'} has {count} members, more than {MOST_NAMES}")
    found: list[str] = []
    group.links.iterate(lambda name: found.append(name.decode("utf-8", "replace")))
    return found


def attributes(thing: Any, wanted: list[str]) -> dict[str, Any]:
    """Attributes that are one text or one number, of those asked for; a text that is long is left out."""
    import h5py

    told: dict[str, Any] = {}
    for name in wanted:
        if not h5py.h5a.exists(thing, name.encode()):
            continue
        attribute = h5py.h5a.open(thing, name.encode())
        kind = attribute.get_type()
        if attribute.get_space().get_simple_extent_npoints() != 1:
            continue
        if kind.get_class() in (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM) and kind.get_size() <= 8:
            value = np.empty((), kind.dtype)
            attribute.read(value)
            told[name] = value.item()
        elif (
            kind.get_class() == h5py.h5t.STRING
            and (kind.is_variable_str() or kind.get_size() <= MOST_TEXT)
            and attribute.get_storage_size() <= MOST_TEXT
        ):
            value = np.empty((), object if kind.is_variable_str() else f"S{kind.get_size()}")
            attribute.read(value, mtype=h5py.h5t.py_create(h5py.string_dtype()) if kind.is_variable_str() else None)
            text = value.item()
            text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
            if len(text) <= MOST_TEXT:
                told[name] = text
    return told


def looked_at(dataset: Any, path: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape of an array that may be read.

    Raises:
        Refused: if reading it would take more than it says, lead elsewhere, or give no numbers.
    """
    import h5py

    if not isinstance(dataset, h5py.h5d.DatasetID):
        raise Refused(f"{path} is no array")
    made = dataset.get_create_plist()
    layout = made.get_layout()
    if layout == h5py.h5d.VIRTUAL:
        raise Refused(f"{path} is a virtual array, made of other files: copy the data into this one")
    if made.get_external_count():
        raise Refused(f"{path} keeps its numbers in another file: copy them into this one")
    kind = dataset.get_type()
    if kind.get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM) or kind.get_size() > 8:
        raise Refused(f"{path} holds no plain numbers")
    shape = tuple(dataset.shape)
    size = kind.get_size()
    for each in shape:
        size *= each
    if size > MOST_BYTES:
        raise Refused(f"{path} claims {size} bytes, more than {MOST_BYTES}")
    if layout == h5py.h5d.CHUNKED:
        for k in range(made.get_nfilters()):
            code = made.get_filter(k)[0]
            if code not in FILTERS:
                raise Refused(f"{path} is packed by filter {code}; known are {', '.join(FILTERS.values())}: repack it")
        chunk = kind.get_size()
        for each in made.get_chunk():
            chunk *= each
        if chunk > MOST_CHUNK:
            raise Refused(f"{path} is cut into chunks of {chunk} bytes, more than {MOST_CHUNK}: repack it")
    if size > MOST_SWELL and size > MOST_RATIO * dataset.get_storage_size():
        raise Refused(f"{path} claims {size} bytes, of which the file holds {dataset.get_storage_size()}")
    dtype = kind.dtype.newbyteorder("=")
    if dtype.kind not in "biuf":
        raise Refused(f"{path} holds no plain numbers")
    return dtype, shape


def array(root: Any, path: str) -> np.ndarray[Any, Any]:
    """The numbers of an array, whole."""
    import h5py

    dataset = walk(root, path)
    dtype, shape = looked_at(dataset, path)
    values = np.empty(shape, dtype)
    if values.size:
        dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
    return values


def tree(root: Any, path: str, deep: int, shapes: dict[str, Any], skip: set[str], prefix: str = "") -> list[str]:
    """Paths of the arrays below a group, relative to it; type and shape of each that is new goes to ``shapes``."""
    import h5py

    found = []
    group = walk(root, path)
    for name in names(group, path):
        whole = f"{prefix}{name}"
        if whole in skip:
            continue
        if shapes.get(whole, (None, None))[1] is not None:  # one that was refused may be sound in this episode
            found.append(whole)
            continue
        try:
            thing = walk(group, name)
            if isinstance(thing, h5py.h5g.GroupID):
                if deep > 1:
                    found += tree(group, name, deep - 1, shapes, skip, f"{whole}/")
                continue
            dtype, shape = looked_at(thing, whole)
            shapes[whole] = [dtype.name, list(shape)]
        except (Refused, KeyError) as error:
            shapes[whole] = [str(error.args[0]), None]
        found.append(whole)
    return found


def look(root: Any, groups: list[str], asked: dict[str, Any]) -> dict[str, Any]:
    """What some groups hold, each an episode: members, attributes, the length, what a short array says."""
    shapes: dict[str, Any] = {}
    kinds: dict[tuple[str, ...], int] = {}
    out = []
    for path in groups:
        try:
            group = walk(root, path)
            held = tuple(tree(root, path, asked["deep"], shapes, set(asked["skip"])))
            told: dict[str, Any] = {"at": attributes(group, asked["attributes"])}
            told["names"] = kinds.setdefault(held, len(kinds))
            told["frames"] = next((n for name in asked["length"] if (n := _rows(root, path, name)) is not None), None)
            for name in asked["ends"]:
                if name in held:
                    values = array(root, f"{path}/{name}").ravel()
                    some = np.unique(values[np.isfinite(values)])
                    told["ends"] = [some[:3].astype(float).tolist(), int(some.size)]
        except (Refused, KeyError) as error:
            told = {"error": str(error.args[0])}
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            told = {"error": damage(error)}
        out.append(told)
    return {"episodes": out, "names": [list(each) for each in kinds], "shapes": shapes}


def _rows(root: Any, path: str, name: str) -> int | None:
    try:
        thing = walk(root, f"{path}/{name}")
        shape = looked_at(thing, name)[1]
    except (Refused, KeyError):
        return None
    return int(shape[0]) if shape else None


def damage(error: Exception) -> str:
    """What the library says of damage, in one line without this process's addresses."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def answer(opened: Opened, asked: dict[str, Any], out: BinaryIO) -> None:
    """Do what is asked and say how it went, each part in its turn."""

    def say(told: dict[str, Any]) -> None:
        out.write(json.dumps(told).encode() + b"\n")

    for each in asked["parts"]:
        try:
            root = opened.get(each["file"])
        except (OSError, RuntimeError, ValueError, TypeError, Refused) as error:
            say({"failed": damage(error)})
            continue
        try:
            if asked["do"] == "names":
                group = walk(root, each["group"])
                say({"names": names(group, each["group"]), "at": attributes(group, asked["attributes"])})
            elif asked["do"] == "texts":
                say({"texts": texts(root, each["groups"])})
            elif asked["do"] == "look":
                say(look(root, each["groups"], asked))
            else:
                arrays = read(root, each["group"], asked["names"])
                say({"arrays": [[name, values.dtype.str, list(values.shape)] for name, values in arrays.items()]})
                for values in arrays.values():
                    out.write(values.reshape(-1).view(np.uint8).data)
        except (Refused, KeyError) as error:
            say({"error": str(error.args[0])})
        except (OSError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            say({"error": damage(error)})


def read(root: Any, path: str, wanted: list[str]) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays of a group, those that are there."""
    try:
        group = walk(root, path)
    except KeyError:
        raise Refused(f"{path} is missing") from None
    found = {}
    for name in wanted:
        try:
            found[name] = array(group, name)
        except KeyError:
            continue  # recorded in other episodes only
    return found


def texts(root: Any, groups: list[str]) -> dict[str, list[str]]:
    """Of arrays of fixed texts (names of episodes in ``mask``), their texts; none of what is something else."""
    import h5py

    found: dict[str, list[str]] = {}
    for path in groups:
        try:
            group = walk(root, path)
            for name in names(group, path):
                thing = walk(group, name)
                if not isinstance(thing, h5py.h5d.DatasetID) or len(thing.shape) != 1:
                    continue
                kind, made = thing.get_type(), thing.get_create_plist()
                plain = kind.get_class() == h5py.h5t.STRING and not kind.is_variable_str()
                small = plain and kind.get_size() * thing.shape[0] <= MOST_SWELL and kind.get_size() <= 256
                if not small or made.get_layout() == h5py.h5d.VIRTUAL or made.get_external_count():
                    continue
                values = np.empty(thing.shape, f"S{kind.get_size()}")
                thing.read(h5py.h5s.ALL, h5py.h5s.ALL, values)
                found[name] = [each.decode("utf-8", "replace") for each in values.tolist()]
        except (Refused, KeyError, OSError, RuntimeError, ValueError, TypeError):
            continue
    return found


def main() -> None:
    """Answer until nobody asks any more."""
    os.environ["HDF5_PLUGIN_PRELOAD"] = "::"  # no plugin of this machine is ever loaded by a file's wish
    out = os.fdopen(os.dup(1), "wb", buffering=2**20)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    import h5py

    h5py._errors.silence_errors()
    pages = int(open("/proc/self/statm", "rb").read().split()[0]) if os.path.exists("/proc/self/statm") else 0  # noqa: PTH110, PTH123, SIM115
    held = pages * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = held + MOST_MEMORY
    if soft == resource.RLIM_INFINITY or soft > most:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    opened = Opened()
    out.write(b'{"ready": true}\n')
    out.flush()
    for line in sys.stdin.buffer:
        try:
            answer(opened, json.loads(line), out)
        except MemoryError:
            os._exit(9)  # an answer may have been begun
        out.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
