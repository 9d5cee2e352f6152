"""A web server on this machine with folder listings and ranges, of which every so many requests fail."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Server(ThreadingHTTPServer):
    """Serves a folder; counts what is asked of it."""

    daemon_threads = True

    def __init__(self, folder: Path, every: int = 0, never: str = "") -> None:
        super().__init__(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
        self.every = every
        """Each so many requests one fails, in turn by an answer of 503, a cut body and a closed connection; 0: none."""
        self.never = never
        """Paths that end so always fail once the server is ``down``."""
        self.down = False
        self.requests = self.failed = self.bytes = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Of the folder."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no trouble of the server."""


class _Handler(SimpleHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        if not self._failed():
            super().do_HEAD()

    def do_GET(self) -> None:
        if self._failed():
            return
        file, part = Path(self.translate_path(self.path)), re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if part is None or not file.is_file():
            super().do_GET()
            return
        data = file.read_bytes()
        start, stop = int(part[1]), min(int(part[2] or len(data)) + 1, len(data))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        self.wfile.write(data[start:stop])

    def _failed(self) -> bool:
        server = self.server
        with server.lock:
            server.requests += 1
            bad = bool(server.every and server.requests % server.every == 0)
            bad |= bool(server.down and server.never and self.path.endswith(server.never))
            server.failed += bad
            way = server.failed % 3
        if not bad:
            return False
        self.close_connection = True
        if way == 1:
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif way == 2:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"cut short")
        return True


@contextmanager
def serving(folder: Path, *, every: int = 0, never: str = "") -> Iterator[Server]:
    """A server of a folder, in a thread."""
    server = Server(folder, every, never)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
