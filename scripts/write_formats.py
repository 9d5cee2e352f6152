"""Write docs/formats.md: what is read of each format, what is guessed, and what is missing.

python scripts/write_formats.py
"""

from __future__ import annotations

from pathlib import Path

from sima2.io.formats.page import formats_page

TARGET = Path(__file__).parents[1] / "docs/formats.md"

if __name__ == "__main__":
    TARGET.write_text(formats_page(), encoding="utf-8")
    print(f"wrote {TARGET}")
