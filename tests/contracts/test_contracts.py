"""The shape of the house, held by import-linter, and the lightness of its door."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]


def test_floors_hold_truth_is_sealed_and_outcomes_stay_where_they_may() -> None:
    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("numpy", "pyarrow", "scipy", "rich", "mujoco")
    code = f"import sys, sima2; print([m for m in {heavy!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_every_public_name_can_be_loaded() -> None:
    import sima2

    for name in sima2.__all__:
        assert getattr(sima2, name) is not None
