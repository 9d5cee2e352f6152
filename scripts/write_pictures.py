"""Takes the pictures of docs/getting-started.md from a real run; needs Chromium.

python scripts/write_pictures.py

The set is the one of examples/make_recordings.py, run and served as in the page.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from sima2.bench.browser import Browser, browser

ROOT: Final = Path(__file__).resolve().parents[1]
PICTURES: Final = ROOT / "docs/pictures"
SIMA2: Final = (sys.executable, "-m", "sima2")
WIDTH: Final = 1100
NAMED: Final = """
const name = document.querySelector('section#episodes input');
name.value = 'me';
for (const kind of ['input', 'change']) name.dispatchEvent(new Event(kind, {bubbles: true}));
"""
"""The person who labels says who they are."""


@contextmanager
def served(out: str, folder: Path) -> Iterator[str]:
    """The address of the page of a run, served with labels on."""
    command = [*SIMA2, "view", out, "--label", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["address"]
        finally:
            server.terminate()


def take(page: Browser, name: str, height: int) -> None:
    """A picture of what is in sight."""
    page.size(WIDTH, height)
    page.run("new Promise(done => setTimeout(done, 500))")
    page.picture(PICTURES / name)
    print(name, (PICTURES / name).stat().st_size // 1000, "kB")


def button(word: str) -> str:
    """The button of this word, in the page's script."""
    return f"[...document.querySelectorAll('button')].find(each => each.textContent.trim() === {json.dumps(word)})"


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        subprocess.run([sys.executable, str(ROOT / "examples/make_recordings.py"), "my_set"], cwd=folder, check=True)
        run = [*SIMA2, "run", "--path", "my_set", "--out", "out"]
        subprocess.run(run, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        ids = pq.read_table(folder / "out/episodes.parquet")["episode_id"].to_pylist()
        with served("out", folder) as address, browser() as page:
            page.dark(False)
            page.size(WIDTH, 700)
            page.open(address)
            take(page, "page.png", 700)
            page.run(f"{button('failed')}.click()")
            page.size(WIDTH, 420)
            page.run(f"{button('failed')}.scrollIntoView()")
            take(page, "failed.png", 420)
            page.open(f"{address}#episode={ids[6]}")
            take(page, "episode.png", 715)
            page.open(f"{address}#episode={ids[13]}")
            page.run(NAMED)
            page.press("f")
            take(page, "label.png", 330)


if __name__ == "__main__":
    main()
