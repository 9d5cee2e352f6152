"""The page in a real browser: what data call themselves is shown, never run and never fetched."""

import re
import shutil
import subprocess
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from finished_run import made_report, summary
from sima2.records.courses import UnusualTable
from sima2.records.defects import DefectTable
from sima2.records.plan import TrainingPlan
from sima2.report.html import render
from sima2.report.page_data import Overview
from sima2.report.text import visible

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


WHOLE = {"nominal": False, "inferred": None, "sure": 0, "end": "", "plan": {}}


def opened(page: str, folder: Path, at: str = "") -> str:
    """The page's elements after scripts, if any, have run."""
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    done = subprocess.run([*command, file.as_uri() + at], capture_output=True, text=True, check=True, timeout=60)
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
        episodes = replace(
            spoilt.episodes,
            episode_id=[name, *spoilt.episodes.episode_id.tolist()[1:]],
            family=[name] * len(spoilt.episodes),
        )
        overview = Overview(episodes)
        overview.add_segments(
            replace(spoilt.segments.take(np.arange(12)), episode_id=[name] * 12, manipulator=[name] * 12)
        )
        rows = overview.plain(TrainingPlan.empty(), DefectTable.empty(), UnusualTable.empty())
        whole = {
            "0": {
                **WHOLE,
                "instruction": name,
                "segments": [[name, 0, 9, "grasp", "failure", name, name, 0.5, 0]],
                "tags": [[name, 0, 9, 0.9, name]],
                "defects": [[name, 0, 9, 0.1, name]],
                "unassessed": [name],
                "signals": [[name, name, name, 0.0, 1.0, "AAAA", ""]],
                "unusual": [[0.01, name]],
                "labels": [{"what": "note", "value": name, "frame": 3, "by": name}],
            }
        }
        told = opened(
            render(replace(spoilt, overview=rows, details=whole)),
            tmp_path,
            "#sort=number&text=&episode=" + quote(visible(name), safe=""),
        )
        assert "<title>PWNED</title>" not in told
        assert told.count("<script") == 3
        assert 'class="timeline"' in told
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
