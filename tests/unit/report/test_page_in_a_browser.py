"""The page in a real browser: what data call themselves is shown, never run and never fetched."""

import re
import shutil
import subprocess
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from finished_run import made_report, summary
from sima2.report.html import render

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [pytest.mark.extras, pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")]


@pytest.fixture
def asked():
    """What is requested of a server on this machine, and its address."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield paths, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def opened(page: str, folder: Path) -> str:
    """The page's elements after scripts, if any, have run."""
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    done = subprocess.run([*command, file.as_uri()], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def hostile(home: str) -> list[str]:
    return [
        f"<script>document.title='PWNED';fetch('{home}/script')</script>",
        f"<img src='{home}/img' onerror=\"document.title='PWNED'\">",
        f"\"><svg onload=\"document.title='PWNED'\"><image href='{home}/svg'/></svg>",
        f"</style><link rel=stylesheet href='{home}/css'>",
        f"'; background: url({home}/url); x: '",
        f"javascript:fetch('{home}/js')",
        "\u202egnp.exe\u202c \u2066\u200f",
        "&lt;b&gt; &amp; \x00\x1b[31m",
    ]


def test_names_are_shown_and_neither_run_nor_fetched(tmp_path, asked) -> None:
    paths, home = asked
    report = made_report()
    for name in hostile(home):
        row = next(iter(report.trust.values()))
        spoilt = replace(
            report,
            trust={name: replace(row, tag=name, note=name, cost_field=name)},
            signals=[{**each, "episode_id": name, "family": name} for each in report.signals],
            summary={**summary(), "warnings": [name], "source": name, "failure_reasons": {name: 3}},
        )
        told = opened(render(spoilt), tmp_path)
        assert "<title>PWNED</title>" not in told
        assert "<script" not in told
        assert "<img" not in told
        assert "<link" not in told
        assert not re.search(r"<[^<>]*\son(load|error)=", told)
        assert "\u202e" not in told
    assert paths == []


def test_a_page_that_runs_and_fetches_is_found_out(tmp_path, asked) -> None:
    paths, home = asked
    page = f"<title>x</title><script>document.title='PWNED';fetch('{home}/got')</script><img src='{home}/img'>"
    assert "<title>PWNED</title>" in opened(page, tmp_path)
    assert "/img" in paths
