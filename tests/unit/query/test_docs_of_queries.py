"""What docs/query.md says of patterns is what they are."""

from __future__ import annotations

import re
from pathlib import Path

from sima2.query.pattern import parsed

PAGE = Path(__file__).parents[3] / "docs/query.md"


def test_every_pattern_of_the_page_is_one() -> None:
    rows = re.findall(r"^\| `(.+?)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert len(rows) > 20
    for text in rows:
        parsed(text.replace("\\|", "|"))
