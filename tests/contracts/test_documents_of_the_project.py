"""What stands about the project in several files agrees, and the API reference can be made."""

import re
import subprocess
import sys
from pathlib import Path

import sima2

ROOT = Path(__file__).parents[2]


def test_the_citation_and_the_changelog_name_the_version_of_the_code() -> None:
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert re.search(r"^version: (\S+)$", citation, re.MULTILINE)[1] == sima2.__version__
    assert re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)[1] == sima2.__version__


def test_the_reference_has_a_page_for_every_public_name(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts/api_reference.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    page = (tmp_path / "sima2.html").read_text("utf-8")
    assert [name for name in sima2.__all__ if f'id="{name}"' not in page] == []
