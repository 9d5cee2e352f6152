"""Write the API reference from the docstrings, as pages of HTML: ``make docs``, or with a folder of your own.

    python scripts/api_reference.py site

The pages are of pdoc (extra ``[dev]``). What is public is what ``sima2`` names, and the modules that hold it.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Final

import pdoc

import sima2

ROOT: Final = Path(__file__).resolve().parents[1]
BESIDE: Final = (
    "sima2.errors",
    "sima2.records",
    "sima2.io.arrow",
    "sima2.io.column_map",
    "sima2.io.formats",
    "sima2.export.tables",
    "sima2.sampling.torch_sampler",
    "sima2.execution.executor",
)
"""Modules that users and contributors meet besides those that hold public names; a package stands for all in it."""
LEFT: Final = "Error parsing type annotation"
"""What pdoc says of annotations that are only imported for type checkers: it shows their text, which is enough."""


def modules() -> list[str]:
    """The modules of the reference, the package itself first."""
    homes = {getattr(sima2, name).__module__ for name in sima2.__all__ if name != "__version__"}
    return ["sima2", *sorted(home for home in homes if not home.startswith("sima2.records.")), *BESIDE]


def main(out: Path) -> None:
    """Write the pages, and refuse a public name that has none."""
    for name in sima2.__all__:
        setattr(sima2, name, getattr(sima2, name))  # pdoc looks at what is there, and names are loaded when asked for
    pdoc.render.configure(docformat="google", show_source=False, footer_text=f"sima2 {sima2.__version__}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", LEFT)
        pdoc.pdoc(*modules(), output_directory=out)
    print(f"wrote {out / 'index.html'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "site")
