"""Every module can be the first of the package that a program imports: no two of them wait for each other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sima2

ROOT = Path(sima2.__file__).parents[1]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "sima2").rglob("*.py"))
    if path.stem != "__main__"
]
ALONE = """
import importlib, os, sys
import numpy, pyarrow.parquet, scipy.optimize, scipy.sparse.csgraph, scipy.spatial, scipy.special, typer
for name in sys.argv[1:]:
    child = os.fork()
    if not child:
        importlib.import_module(name)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(name)
"""


@pytest.mark.stress
def test_each_module_can_be_imported_first() -> None:
    assert len(MODULES) > 400
    done = subprocess.run([sys.executable, "-c", ALONE, *MODULES], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [], done.stderr
