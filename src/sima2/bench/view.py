"""What it costs to look: the first screen of a large set, a filter over all its episodes, and the size of the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sima2.bench.browser import Browser, browser
from sima2.bench.children import peak_mb
from sima2.bench.figures import Limit, Progress, judged, quiet, tabled
from sima2.errors import Sima2Error
from sima2.orchestrator import run_pipeline

SINGLE: Final = 500
"""Episodes of the single file."""
FILTERS: Final = {
    "text": "drawer",
    "ended": "failure",
    "tag": "RecoveryTag",
    "steps": "grasp:failure … grasp:success",
}
"""What is asked for, by the field that it is put into."""
ROUNDS: Final = 5
"""Each filter is asked so often, and the slowest counts."""
TARGETS: Final[Mapping[str, Limit]] = {
    "server_first_screen_cpu_s": (1.0, "at most"),
    "browser_first_screen_s": (1.0, "at most"),
    "server_memory_mb": (300.0, "at most"),
    "slowest_filter_ms": (100.0, "at most"),
    "single_file_mb": (5.0, "at most"),
}
_CHANGED: Final = """
new Promise((done) => {{
  const told = document.querySelector('.told'), at = document.querySelector('{field}'), begin = performance.now();
  const seen = new MutationObserver(() => {{
    if (told.textContent.startsWith('…')) return;
    seen.disconnect();
    requestAnimationFrame(() => done(performance.now() - begin));
  }});
  seen.observe(told, {{ childList: true, characterData: true, subtree: true }});
  at.value = {value};
  at.dispatchEvent(new Event(at.tagName === 'SELECT' ? 'change' : 'input', {{ bubbles: true }}));
}})
"""


def run(*, episodes: int = 10_000, seed: int = 0, progress: Progress = quiet) -> dict[str, Any]:
    """Look at a made set of so many episodes through ``sima2 view``, and at one of 500 in its file.

    Raises:
        UsageError: if no browser is installed.
    """
    with tempfile.TemporaryDirectory() as folder, browser() as page:
        progress(f"a run of {episodes} episodes")
        large = run_pipeline(total=episodes, seed=seed, out=Path(folder) / "large").out
        progress(f"a run of {SINGLE} episodes")
        small = run_pipeline(total=SINGLE, seed=seed, out=Path(folder) / "small").out
        progress("looking")
        values: dict[str, Any] = {"episodes": episodes, "seed": seed, **_served(large, page, seed)}
        file = small / "report.html"
        values["single_file_mb"] = file.stat().st_size / 1e6
        values["single_file_first_screen_s"] = _opened(page, file.as_uri())
    values["targets"] = judged(values, TARGETS)
    return values


rows = tabled
"""The figures as a table."""


def _served(out: Path, page: Browser, seed: int) -> dict[str, float]:
    command = [sys.executable, "-m", "sima2", "view", str(out), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            line = server.stdout.readline() if server.stdout else ""
            if not line:
                raise Sima2Error(f"sima2 view {out} did not start")
            values = {"browser_first_screen_s": _opened(page, json.loads(line)["address"])}
            values |= {"server_first_screen_cpu_s": _cpu_s(server.pid)}
            for field, wanted in FILTERS.items():
                values[f"filter_{field}_ms"] = _filtered(page, field, wanted)
            values["slowest_filter_ms"] = max(value for name, value in values.items() if name.startswith("filter_"))
            values["episode_ms"] = _timeline_ms(page)
            values["server_memory_mb"] = peak_mb(server.pid)
            return values
        finally:
            server.terminate()


def _opened(page: Browser, address: str) -> float:
    """Seconds of work in the browser until the table stands."""
    page.call("Performance.enable")
    page.open("about:blank#")
    before = _work(page)
    page.open(address)
    page.until("document.querySelectorAll('.rows .row').length > 0")
    after = _work(page)
    return after - before if after >= before else after


def _work(page: Browser) -> float:
    told = {each["name"]: each["value"] for each in page.call("Performance.getMetrics")["metrics"]}
    return float(told["TaskDuration"])


def _filtered(page: Browser, field: str, wanted: str) -> float:
    """ms from the wish to the rows on the screen, the slowest of some; the wish is taken back in between."""
    order = page.run("[...document.querySelectorAll('.filters label')].map((x) => x.textContent.trim())")
    names = {"text": "find", "ended": "ended", "tag": "tag", "steps": "what happened"}
    at = next(k for k, label in enumerate(order) if label.startswith(names[field]))
    place = f".filters label:nth-of-type({at + 1}) input, .filters label:nth-of-type({at + 1}) select"
    taken = []
    for _ in range(ROUNDS):
        for value in (wanted, ""):
            taken.append(float(page.run(_CHANGED.format(field=place, value=json.dumps(value)))))
    return max(taken)


def _timeline_ms(page: Browser) -> float:
    """ms from a click on a row to its timeline, the slowest of some rows of different shards."""
    script = """
    new Promise((done) => {{
      const begin = performance.now(), panel = document.querySelector('.one');
      document.querySelector('.scrolled').scrollTop = {top};
      requestAnimationFrame(() => requestAnimationFrame(() => {{
        const rows = document.querySelectorAll('.rows .row');
        rows[rows.length - 1].click();
        const seen = new MutationObserver(() => {{
          if (panel.querySelector('.timeline svg')) {{ seen.disconnect(); done(performance.now() - begin); }}
        }});
        seen.observe(panel, {{ childList: true, subtree: true }});
      }}));
    }})
    """
    return max(float(page.run(script.format(top=top))) for top in range(0, 280_000, 40_000))


def _cpu_s(process: int) -> float:
    """Seconds of CPU that a process has used (Linux)."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
