"""A server for one person on this machine: only this host, only with the token, only for its own page."""

from __future__ import annotations

import contextlib
import hmac
import json
import re
import secrets
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol
from urllib.parse import parse_qsl, urlsplit

from sima2.errors import Sima2Error

HOST: Final = "127.0.0.1"
MOST_BODY: Final = 16 * 1024
"""Bytes of a request: a label takes a few hundred."""
PIECE: Final = 256 * 1024
"""Bytes of a file that are in memory at once."""
IDLE_S: Final = 30
"""Seconds that a connection may be silent."""
_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")
_HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back: bytes, or a file of which a range may be asked for."""

    body: bytes | Path
    kind: str
    """Media type."""
    policy: str = "default-src 'none'"
    """Content security policy."""
    status: HTTPStatus = HTTPStatus.OK


class Refused(Exception):
    """A request that is not answered, and why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class Site(Protocol):
    """What is served."""

    def get(self, name: str, query: Mapping[str, str]) -> Answer:
        """What lies at an address below the token."""

    def post(self, name: str, values: Mapping[str, Any]) -> Answer:
        """What follows from values that the page sent."""


def plain(values: Any, status: HTTPStatus = HTTPStatus.OK) -> Answer:
    """Values as JSON."""
    text = values if isinstance(values, str) else json.dumps(values, ensure_ascii=False, allow_nan=False)
    return Answer(text.encode(), "application/json; charset=utf-8", status=status)


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that runs until it is told to stop."""

    server: ThreadingHTTPServer
    token: str

    @property
    def address(self) -> str:
        """Where the page is, the token in it."""
        return f"http://{HOST}:{self.server.server_port}/{self.token}/"

    def run(self) -> None:
        """Answer until :meth:`stop`."""
        self.server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        """Answer no more."""
        self.server.shutdown()
        self.server.server_close()


class _Quiet(ThreadingHTTPServer):
    """A server to which a browser that goes away is no trouble."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of what is our own fault alone."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def serving(site: Site, port: int = 0, token: str | None = None) -> Serving:
    """A server of a site, not running yet.

    Args:
        site: what is served.
        port: 0 takes a free one.
        token: the secret part of the address; a new one if not given.

    Raises:
        OSError: if the port is taken.
    """
    secret = token or secrets.token_urlsafe(18)

    class Handler(_Handler):
        of_site = site
        of_token = secret

    return Serving(_Quiet((HOST, port), Handler), secret)


class _Handler(BaseHTTPRequestHandler):
    of_site: Site
    of_token: str
    server_version = "sima2"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S

    def do_GET(self) -> None:
        self._answered(lambda name, query: self.of_site.get(name, query))

    def do_HEAD(self) -> None:
        self._answered(lambda name, query: self.of_site.get(name, query))

    def do_POST(self) -> None:
        self._answered(lambda name, _: self.of_site.post(name, self._values()))

    def log_message(self, *_: object) -> None:
        """The terminal is for the address alone."""

    def _answered(self, answer: Callable[[str, Mapping[str, str]], Answer]) -> None:
        try:
            with contextlib.suppress(ConnectionError, TimeoutError, socket.timeout):
                self._send(self._refused_or(answer))
        except OSError:  # the file went away while it was being sent
            self.close_connection = True

    def _refused_or(self, answer: Callable[[str, Mapping[str, str]], Answer]) -> Answer:
        try:
            return answer(*self._place())
        except Refused as refused:
            self.close_connection = True  # what else was sent is not read
            return plain({"error": refused.why}, refused.status)
        except Sima2Error as error:
            return plain({"error": str(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)

    def _place(self) -> tuple[str, dict[str, str]]:
        """Name and query of what is asked for, if it may be asked for."""
        own = {f"{HOST}:{self.server.server_port}", f"localhost:{self.server.server_port}"}  # type: ignore[attr-defined]
        if self.headers.get("Host") not in own:  # a name of somebody else that leads here
            raise Refused(HTTPStatus.MISDIRECTED_REQUEST, "this is another host")
        origin = self.headers.get("Origin")
        if origin is not None and origin not in {f"http://{each}" for each in own}:
            raise Refused(HTTPStatus.FORBIDDEN, "asked by another page")
        if self.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
            raise Refused(HTTPStatus.FORBIDDEN, "asked by another page")
        try:
            split = urlsplit(self.path)
        except ValueError:
            raise Refused(HTTPStatus.BAD_REQUEST, "not an address") from None
        token, slash, name = split.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(), self.of_token.encode()):
            raise Refused(HTTPStatus.FORBIDDEN, "open the address that the command printed")
        if not slash:
            raise Refused(HTTPStatus.NOT_FOUND, "the address ends with /")
        try:
            query = dict(parse_qsl(split.query, keep_blank_values=True, max_num_fields=16, errors="strict"))
        except ValueError:
            raise Refused(HTTPStatus.BAD_REQUEST, "not a query") from None
        return name, query

    def _values(self) -> Mapping[str, Any]:
        """The object that the page sent."""
        if self.headers.get_content_type() != "application/json":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "not JSON")
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length[:9]) > MOST_BODY or len(length) > 9:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too long")
        try:
            values = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise Refused(HTTPStatus.BAD_REQUEST, "not JSON") from None
        if not isinstance(values, dict):
            raise Refused(HTTPStatus.BAD_REQUEST, "not an object")
        return values

    def _send(self, answer: Answer) -> None:
        size = answer.body.stat().st_size if isinstance(answer.body, Path) else len(answer.body)
        status, first, last = answer.status, 0, size
        if isinstance(answer.body, Path) and "Range" in self.headers:
            asked = _asked(self.headers["Range"], size)
            if asked is None:
                return self._head(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, answer, 0, f"bytes */{size}")
            (first, last), status = asked, HTTPStatus.PARTIAL_CONTENT
        told = f"bytes {first}-{last - 1}/{size}" if status is HTTPStatus.PARTIAL_CONTENT else None
        self._head(status, answer, last - first, told)
        if self.command == "HEAD":
            return None
        if isinstance(answer.body, bytes):
            self.wfile.write(answer.body)
            return None
        with answer.body.open("rb") as file:
            for piece in _pieces(file, first, last):
                self.wfile.write(piece)
        return None

    def _head(self, status: HTTPStatus, answer: Answer, length: int, told: str | None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(length))
        self.send_header("Content-Security-Policy", answer.policy)
        if isinstance(answer.body, Path):
            self.send_header("Accept-Ranges", "bytes")
        if told is not None:
            self.send_header("Content-Range", told)
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()


def _asked(text: str, size: int) -> tuple[int, int] | None:
    """First byte and one past the last of a range of a file; None where it has no such bytes.

    >>> _asked("bytes=2-5", 10), _asked("bytes=-3", 10), _asked("bytes=7-", 10), _asked("bytes=10-", 10)
    ((2, 6), (7, 10), (7, 10), None)
    """
    found = _RANGE.match(text.strip())
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:
        first, last = max(size - int(found[2]), 0), size
    else:
        first, last = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
    return (first, last) if first < last else None


def _pieces(file: BinaryIO, first: int, last: int) -> Iterator[bytes]:
    file.seek(first)
    left = last - first
    while left > 0 and (piece := file.read(min(PIECE, left))):
        left -= len(piece)
        yield piece
