"""Write docs/columns.md: what each column of each table means.

python scripts/write_columns.py
"""

from __future__ import annotations

from pathlib import Path

from sima2.report.dictionary import dictionary

TARGET = Path(__file__).parents[1] / "docs/columns.md"

if __name__ == "__main__":
    TARGET.write_text(dictionary(), encoding="utf-8")
    print(f"wrote {TARGET}")
