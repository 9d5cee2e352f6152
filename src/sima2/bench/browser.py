"""A browser without a window, told what to do over a pipe: to measure and to try the page as people use it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from sima2.errors import Sima2Error, UsageError

NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
OPTIONS: Final = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe", "--hide-scrollbars",
    "--force-prefers-reduced-motion", "--disable-dev-shm-usage",
)  # fmt: skip
PATIENCE_S: Final = 30.0


def found() -> str | None:
    """Where a browser is that can be told so; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class BrowserError(Sima2Error):
    """The browser did not do what it was told."""


@dataclass(slots=True)
class Browser:
    """A page that is open in a browser."""

    to: BinaryIO
    out: BinaryIO
    session: str = ""
    number: int = 0
    rest: bytes = b""
    requested: list[str] = field(default_factory=list)
    """Addresses that the page asked for."""
    problems: list[str] = field(default_factory=list)
    """What it complained of."""

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the browser's protocol, and its result.

        Raises:
            BrowserError: if it failed.
        """
        self.number += 1
        asked: dict[str, Any] = {"id": self.number, "method": method, "params": params}
        if self.session:
            asked["sessionId"] = self.session
        self.to.write(json.dumps(asked).encode() + b"\0")
        self.to.flush()
        while True:
            told = self._next()
            if told.get("id") == self.number:
                if "error" in told:
                    raise BrowserError(f"{method}: {told['error'].get('message')}")
                result: dict[str, Any] = told.get("result", {})
                return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            piece = os.read(self.out.fileno(), 1 << 16)
            if not piece:
                raise BrowserError("the browser went away")
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\0")
        told: dict[str, Any] = json.loads(line)
        params = told.get("params", {})
        if told.get("method") == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])
        elif told.get("method") == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(params["exceptionDetails"])[:2000])
        elif told.get("method") == "Log.entryAdded":
            self.problems.append(f"{params['entry']['level']}: {params['entry']['text']}")
        return told

    def open(self, address: str) -> None:
        """Go to an address and wait until it is there."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """Value of an expression in the page; promises are waited for.

        Raises:
            BrowserError: if it throws.
        """
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise BrowserError(json.dumps(told["exceptionDetails"])[:2000])
        return told["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until an expression holds.

        Raises:
            BrowserError: if it does not within half a minute.
        """
        end = time.monotonic() + PATIENCE_S
        while not self.run(script):
            if time.monotonic() > end:
                raise BrowserError(f"never became true: {script}; {self.problems[-3:]}")
            time.sleep(0.02)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, as a person at the keyboard does."""
        for key in keys:
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
            code = {"Enter": 13, "Tab": 9, "Escape": 27}.get(key, 0)
            given = {"key": key, "text": text, "windowsVirtualKeyCode": code}
            self.call("Input.dispatchKeyEvent", type="keyDown", **given)
            self.call("Input.dispatchKeyEvent", type="keyUp", **given)

    def size(self, width: int, height: int) -> None:
        """Size of the window in px."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def dark(self, on: bool) -> None:
        """Whether its user likes dark pages."""
        value = "dark" if on else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": value}])

    def picture(self, path: Path) -> None:
        """What is in sight, as a PNG file."""
        import base64

        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with one empty page.

    Raises:
        UsageError: if no browser is to be found.
    """
    program = found()
    if program is None:
        raise UsageError(f"no browser was found: install one of {', '.join(NAMES)}")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        to_browser, from_browser = _pipe(), _pipe()

        def as_its_pipes() -> None:
            os.dup2(to_browser[0], 3)
            os.dup2(from_browser[1], 4)

        process = subprocess.Popen(
            [program, *OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=as_its_pipes,
        )
        stack.callback(_ended, process)
        for one in (to_browser[0], from_browser[1]):
            os.close(one)
        made = Browser(
            stack.enter_context(os.fdopen(to_browser[1], "wb")), stack.enter_context(os.fdopen(from_browser[0], "rb"))
        )
        target = made.call("Target.createTarget", url="about:blank")["targetId"]
        made.session = made.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            made.call(f"{domain}.enable")
        yield made


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are none of the two numbers under which the browser looks for its own."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
