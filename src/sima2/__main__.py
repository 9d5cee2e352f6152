"""``python -m sima2``."""

from __future__ import annotations

from sima2.cli import main

if __name__ == "__main__":
    main()
