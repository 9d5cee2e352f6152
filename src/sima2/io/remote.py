"""Data sets at a URL: listed once, each file brought here when it is first opened, within a budget of the disk.

All of a format's own code works on the folder here; only which bytes are here is decided in this module. Whoever may
enter is known to fsspec, by the environment and its own configuration: a URL that says it is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

from sima2.errors import DatasetError, MissingExtraError, Sima2Error, SourceLostError, masked
from sima2.io.durable import TEMPORARY, replace_file, write_bytes
from sima2.io.on_demand import elsewhere, register

T = TypeVar("T")

_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.+)\Z", re.DOTALL)
TRIES: Final = 6
"""Tries at one request: with those waits an outage of 6 s is borne, and one request in seven may fail for ever."""
FIRST_WAIT_S: Final = 0.2
"""s before the second try; each later wait is twice as long (exponential backoff)."""
AT_ONCE: Final = 16
"""Small requests at once; object stores answer hundreds."""
SMALL: Final = 256 * 1024
"""Bytes below which a file is brought whole where parts are asked for: it costs one request instead of four."""
MOST_FILES: Final = 1_000_000
DEEPEST: Final = 32
"""Folders within each other."""
LONGEST_NAME: Final = 255
"""Bytes of one part of a name that every file system takes."""
IN_USE_S: Final = 120.0
"""A file that was asked for within so many seconds is never given up: it may be about to be opened."""
_BUSY: Final = (408, 425, 429)
"""HTTP answers of a server that should be asked again, besides those from 500 on (RFC 9110, 6585, 8470)."""
_FINAL: Final = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_KNOWN: Final = (OSError, EOFError, TimeoutError)
_LIBRARIES: Final = ("aiohttp", "botocore", "aiobotocore", "fsspec", "requests", "urllib3")
"""Packages behind fsspec that have errors of their own, which are no ``OSError``."""
LISTING, INCOMING = "listing.json", "incoming"
"""Beside the folder of a data set: the files it lists, and files on their way."""


@dataclass(frozen=True, slots=True)
class Cache:
    """Where files from elsewhere are kept here."""

    folder: Path
    """The same path on every machine that reads."""
    most_bytes: int = 20 * 2**30
    """Bytes of files kept; those not used for longest are given up first."""
    wait: Callable[[float], None] = time.sleep
    """Waits so many s before a request is tried again."""


class Listed(NamedTuple):
    """A file as the listing has it."""

    name: str
    """Relative to the data set, with slashes."""
    place: str
    """What the file system calls it."""
    size: int
    state: str
    """Changes with its content: an etag, else a time of change."""


def url_of(path: Path | str) -> str | None:
    """The URL that a path spells, for what makes a path of text takes one slash away; None for a path.

    >>> url_of(Path("s3://bucket/a/set")), url_of("memory://set/"), url_of(Path("C:/set")), url_of("a/set")
    ('s3://bucket/a/set', 'memory://set', None, None)
    """
    found = _URL.match(str(path))
    if found is None:
        return None
    rest = found[2].rstrip("/")
    return f"{found[1].lower()}://{'/' if found[1].lower() == 'file' else ''}{rest}"


def name_of(url: str) -> str:
    """What a folder for a data set at a URL may be called.

    >>> name_of("s3://bucket/a/my set?versionId=3")
    'my_set'
    """
    parts = urlsplit(url)
    last = (parts.path.rstrip("/").rpartition("/")[2] or parts.netloc.rpartition("@")[2])[:100]
    return re.sub(r"[^A-Za-z0-9._-]", "_", last).strip(".") or "set"


@dataclass(frozen=True, eq=False)
class Mirror:
    """A data set at a URL, and its folder here."""

    url: str
    cache: Cache
    files: Mapping[str, Listed]
    """By name."""
    _own: dict[str, Any] = field(default_factory=dict)
    """What belongs to this process: its connection, and bytes brought since the cache was last looked through."""

    @cached_property
    def digest(self) -> str:
        """Of the URL and its listing, hexadecimal."""
        rows = [self.url, *(f"{each.name}\0{each.size}\0{each.state}" for each in self.files.values())]
        return hashlib.sha256("\n".join(rows).encode(errors="replace")).hexdigest()[:16]

    @cached_property
    def root(self) -> Path:
        """Folder of the data set here, links followed."""
        return self.cache.folder.resolve() / self.digest / name_of(self.url)

    @property
    def path(self) -> Path:
        """The data set here: its folder, or its file where the URL is of one."""
        name = unquote(self.url.rpartition("/")[2])
        return self.root / name if list(self.files) == [name] else self.root

    def __reduce__(self) -> tuple[Any, ...]:
        # no connection goes to another process, and no listing, which may be long: it lies in the folder
        return _again, (self.url, self.cache, str(self.root), self.digest)

    def state(self) -> list[tuple[str, int, str]]:
        """As :class:`~sima2.io.on_demand.Elsewhere` says."""
        return [(each.name, each.size, each.state) for each in self.files.values()]

    def bring(self, relative: str) -> None:
        """As :class:`~sima2.io.on_demand.Elsewhere` says.

        Raises:
            SourceLostError: if it cannot be had, or is not what was listed.
        """
        listed = self.files.get(relative)
        if listed is None:
            return
        target = self.root / relative
        if not _whole(target, listed.size):
            self._make_room(listed.size)
            incoming = self.root.parent / INCOMING
            incoming.mkdir(exist_ok=True)
            self.tried(relative, lambda: self._download(listed, target, incoming))
        _used(target, self.root.parent)

    def reading(self, relative: str) -> BinaryIO | None:
        """As :class:`~sima2.io.on_demand.Elsewhere` says."""
        listed = self.files.get(relative)
        if listed is None or _whole(self.root / relative, listed.size):
            return None
        if listed.size <= SMALL:
            self.bring(relative)
            return None
        return io.BufferedReader(_Parts(self, listed), 1)

    def part(self, listed: Listed, start: int, stop: int) -> bytes:
        """Bytes start .. stop of a file.

        Raises:
            SourceLostError: if they cannot be had.
        """

        def ask() -> bytes:
            got = bytes(self._system.cat_file(listed.place, start=start, end=stop))
            if len(got) != stop - start:
                raise EOFError(f"{len(got)} of {stop - start} bytes came")
            return got

        return self.tried(listed.name, ask)

    def tried(self, what: str, ask: Callable[[], T]) -> T:
        """What a request gives, tried again where it failed for a cause that may pass.

        Raises:
            SourceLostError: if the last try failed, or the cause will not pass.
        """
        return _tried(f"{self.url}/{what}", ask, self.cache.wait)

    @contextmanager
    def named(self) -> Iterator[None]:
        """Errors name the URL, not the folder here."""
        try:
            yield
        except Sima2Error as error:
            error.args = tuple(self.words(each) if isinstance(each, str) else each for each in error.args)
            raise

    def words(self, told: Any) -> Any:
        """Plain values with the URL where the folder here was named."""
        if isinstance(told, str):
            return told.replace(str(self.root), self.url)
        if isinstance(told, Mapping):
            return {key: self.words(each) for key, each in told.items()}
        return [self.words(each) for each in told] if isinstance(told, (list, tuple)) else told

    @property
    def _system(self) -> Any:
        if "system" not in self._own:
            self._own["system"] = _system_of(self.url)[0]
        return self._own["system"]

    def _download(self, listed: Listed, target: Path, incoming: Path) -> None:
        handle, name = tempfile.mkstemp(dir=incoming)
        os.close(handle)
        temporary = Path(name)
        try:
            self._system.get_file(listed.place, name)
            size = temporary.stat().st_size
            if size != listed.size:
                raise EOFError(f"{size} of {listed.size} bytes came")
            os.utime(temporary, ns=(0, 0))  # the same file, however often it is brought
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)

    def _make_room(self, size: int) -> None:
        """Give up what was not used for longest; looked for again after a sixteenth of the budget was brought."""
        self._own["since"] = since = self._own.get("since", self.cache.most_bytes) + size
        if since >= self.cache.most_bytes // 16:
            self._own["since"] = 0
            _sweep(self.cache, self.root.parent, size)


class _Parts(io.RawIOBase):
    """A file elsewhere, of which every read is a request."""

    def __init__(self, mirror: Mirror, listed: Listed) -> None:
        self._mirror, self._listed, self._at = mirror, listed, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._listed.size}[whence])
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        stop = min(self._at + len(buffer), self._listed.size)
        got = self._mirror.part(self._listed, self._at, stop) if stop > self._at else b""
        buffer[: len(got)] = got
        self._at += len(got)
        return len(got)


def open_mirror(url: str, cache: Cache) -> Mirror:
    """List a data set at a URL, and make its folder here.

    Raises:
        MissingExtraError: if fsspec, or what it needs for such a URL, is not installed.
        DatasetError: if the URL holds credentials, is of no known kind, or lists nothing, or what no data set may hold.
        SourceLostError: if it cannot be reached.
    """
    if masked(url) != url:
        problem = "holds credentials, which would be kept with the results"
        raise DatasetError(url, problem, "leave them to the environment or to fsspec's configuration")
    mirror = Mirror(url, cache, _listed(url, cache))
    try:
        _lay_out(mirror)
    except OSError as error:
        raise DatasetError(url, f"cannot be laid out in {cache.folder}: {error.strerror or error}") from None
    register(mirror.root, mirror)
    return mirror


def _again(url: str, cache: Cache, root: str, digest: str) -> Mirror:
    """A mirror in another process, perhaps on another machine, which has a folder of its own.

    Raises:
        SourceLostError: if what is listed there now is something else.
    """
    known = elsewhere(Path(root))
    if known is not None and isinstance(known[0], Mirror):
        return known[0]
    kept = Path(root).parent / LISTING
    if kept.is_file():
        rows = json.loads(kept.read_text("utf-8"))
        mirror = Mirror(url, cache, {row[0]: Listed(*row) for row in rows})
    else:
        mirror = Mirror(url, cache, _listed(url, cache))
    if mirror.digest != digest:
        raise SourceLostError(f"{url}: has changed since the run began; run again")
    _lay_out(mirror)
    register(mirror.root, mirror)
    return mirror


def _system_of(url: str) -> tuple[Any, str]:
    """The file system of a URL, and what it calls the place."""
    try:
        import fsspec
    except ImportError:
        raise MissingExtraError("fsspec", "remote") from None
    if "::" in url:
        raise DatasetError(url, "is a chain of file systems", "unpack what is packed")
    try:
        system, place = fsspec.core.url_to_fs(url)
    except ImportError as error:  # s3fs for s3://, say
        raise DatasetError(url, f"needs another package: {error}") from None
    except ValueError as error:
        raise DatasetError(url, f"is of no kind that fsspec knows: {error}") from None
    return system, str(place)


def _listed(url: str, cache: Cache) -> dict[str, Listed]:
    """The files of a data set in order of their names.

    Raises:
        DatasetError: if there are none, or a name is one that nothing may be called.
    """
    system, place = _system_of(url)
    system.invalidate_cache()  # what was listed before may have changed
    found = _walked(url, system, place, cache)
    web = url.startswith("http")
    named: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for full, told in found.items():
        relative = _below(place.rstrip("/"), str(full))
        if web and ("?" in relative or "#" in relative):
            continue  # a page that lists a folder links to its own other orders
        if not relative or relative.endswith("/") or told.get("type") != "file" or told.get("islink"):
            continue
        named[_checked(url, unquote(relative) if web else relative)] = str(full), told

    def asked(each: tuple[str, Mapping[str, Any]]) -> Mapping[str, Any]:
        full, told = each
        return told if told.get("size") is not None else _tried(full, lambda: system.info(full), cache.wait)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        known = dict(zip(named, pool.map(asked, named.values()), strict=True))
    listed = {}
    for name in sorted(named):
        size = known[name].get("size")
        if not isinstance(size, int) or size < 0:
            raise DatasetError(url, f"does not say how large {name} is")
        listed[name] = Listed(name, named[name][0], size, _state(known[name]))
    if not listed:
        raise DatasetError(url, "lists no files: is it the folder of a data set?")
    return listed


def _walked(url: str, system: Any, place: str, cache: Cache) -> dict[str, Mapping[str, Any]]:
    """All files below a place, folder by folder: a request that fails is asked again by itself.

    Raises:
        DatasetError: if there are more, or deeper, than a data set has.
        SourceLostError: if a folder cannot be listed.
    """
    found: dict[str, Mapping[str, Any]] = {}
    seen, folders = {place.rstrip("/")}, [place]
    while folders:
        here = folders.pop()
        rows = _tried(here, partial(system.ls, here, detail=True), cache.wait)
        for told in rows:
            name = str(told["name"])
            if told.get("type") != "directory":
                found[name] = told
            elif name.rstrip("/") not in seen and _below(place.rstrip("/"), name.rstrip("/")):
                seen.add(name.rstrip("/"))
                folders.append(name)
        if len(found) > MOST_FILES or len(seen) > MOST_FILES or here.count("/") > place.count("/") + DEEPEST:
            raise DatasetError(
                url, f"lists more than {MOST_FILES} files, or folders {DEEPEST} deep", "name one data set"
            )
    return found


def _below(place: str, full: str) -> str:
    """The name of a file relative to a place, which may be the file itself; nothing for what is not below it."""
    if full == place:
        return full.rpartition("/")[2]
    return full[len(place) + 1 :] if full.startswith(place + "/") else ""


def _state(told: Mapping[str, Any]) -> str:
    for key in ("ETag", "etag", "md5", "LastModified", "last_modified", "mtime", "Last-Modified", "created"):
        if told.get(key):
            return str(told[key])
    return ""


def _checked(url: str, name: str) -> str:
    """A name that leads to a file below the folder on any machine.

    Raises:
        DatasetError: if it does not.
    """
    parts = name.split("/")
    bad = any(part in ("", ".", "..") or len(part.encode(errors="replace")) > LONGEST_NAME for part in parts)
    if bad or not name.isprintable() or "\\" in name or ":" in parts[0] or len(name) > 1000:
        raise DatasetError(url, f"lists a file named {name[:200]!r}, which no data set may hold")
    return name


def _lay_out(mirror: Mirror) -> None:
    """The folder of a mirror: every listed file under its name, empty where it is not here yet."""
    holder = mirror.root.parent
    done = holder / LISTING
    if done.is_file():
        return
    holder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in sorted({mirror.root / each.name.rpartition("/")[0] for each in mirror.files.values()}):
        folder.mkdir(parents=True, exist_ok=True)
    for each in mirror.files.values():
        file = mirror.root / each.name
        if not file.exists():
            file.touch()
    write = partial(write_bytes, data=json.dumps(list(mirror.files.values())).encode())
    replace_file(done, write)


def _whole(file: Path, size: int) -> bool:
    """Whether a file is here: it appears in one step, and is empty until then."""
    try:
        return file.stat().st_size == size
    except OSError:
        return False


def _used(file: Path, holder: Path) -> None:
    """Note that a file was asked for now, as the disk tells time."""
    mark = holder / "used"
    mark.touch()
    with suppress(OSError):
        os.utime(file, ns=(mark.stat().st_mtime_ns, file.stat().st_mtime_ns))


def _sweep(cache: Cache, holder: Path, coming: int) -> None:
    """Give up files of the cache, the one first that was asked for longest ago, until what is coming finds room."""
    mark = holder / "used"
    mark.touch()
    now = mark.stat().st_mtime
    kept: list[tuple[float, int, str]] = []
    for folder, _, names in os.walk(cache.folder.resolve()):
        for name in names:
            file = Path(folder, name)
            with suppress(OSError):  # another process has given it up meanwhile
                state = file.stat()
                if state.st_size and name != LISTING:
                    kept.append((state.st_atime, state.st_size, str(file)))
    total = sum(size for _, size, _ in kept) + coming
    for asked, size, name in sorted(kept):
        if total <= cache.most_bytes or now - asked < IN_USE_S:
            return
        with suppress(OSError):
            _give_up(Path(name))
        total -= size


def _give_up(file: Path) -> None:
    """Empty a file in one step; who has it open reads on."""
    if file.parent.name == INCOMING:
        file.unlink()  # of a process that was killed
        return
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=TEMPORARY)
    os.close(handle)
    Path(name).replace(file)


def _tried(what: str, ask: Callable[[], T], wait: Callable[[float], None]) -> T:
    """What a request gives, tried again with longer and longer waits where it failed for a cause that may pass.

    Raises:
        SourceLostError: if the last try failed, or the cause will not pass.
    """
    for again in range(TRIES):
        try:
            return ask()
        except Sima2Error:
            raise
        except Exception as error:
            if not _may_pass(error):
                if isinstance(error, (*_FINAL, *_KNOWN)):
                    raise SourceLostError(f"{what}: {_why(error)}") from None
                raise
            if again + 1 == TRIES:
                raise SourceLostError(f"{what}: failed {TRIES} times, the last time so: {_why(error)}") from None
        wait(FIRST_WAIT_S * 2**again)
    raise AssertionError


def _may_pass(error: Exception) -> bool:
    """Whether to ask again: a connection, a busy server; not what is missing or forbidden."""
    if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, Exception):
        return _may_pass(error.__cause__)  # so fsspec calls every trouble of a web server
    if isinstance(error, _FINAL):
        return False
    status = getattr(error, "status", None)
    if isinstance(status, int) and status >= 400:
        return status in _BUSY or status >= 500
    return isinstance(error, _KNOWN) or type(error).__module__.partition(".")[0] in _LIBRARIES


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is not there"  # which most file systems say by its name alone
    return (str(error).strip().splitlines() or [""])[0][:200] or type(error).__name__
