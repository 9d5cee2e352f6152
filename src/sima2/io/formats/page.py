"""The page of formats, written from the registry."""

from __future__ import annotations

from typing import Final

from sima2.io.formats import FORMATS, UNREAD, Format
from sima2.io.formats.hdf5 import PATIENCE_S
from sima2.io.formats.hdf5_child import FILTERS, MOST_BYTES, MOST_CHUNK

_HEAD: Final = """# Formats of recorded sets

`sima2 run --path P` finds the format by what is at P, a folder or a file. Every format goes through the same door: the
same column map (guessed, printed as `column_map.toml`, edited, given back with `--map`), units, clocks,
kinematics, outcomes and checks. Nothing of a source is ever changed.
"""
_HOW: Final = f"""## The same for all

* **Numbers.** `episode_index` is the source's own number, with its gaps. Where files have none (DROID), episodes are
  numbered as their paths sort; of a folder of several robomimic files each file's numbers follow those of the one
  before.
* **Clock.** The map's `[time]`, else timestamps, else the rate: `rate_hz` in `[robot]` of the map, else that
  of the file,
  else the format's usual one, which is said as a warning.
* **Outcomes.** What the format tells, unless `--outcomes` says otherwise. Sparse rewards tell one only in a file in
  which they differ between episodes: people keep what went well, and whether they looked is not known.
* **Precision.** Channels are kept as 32-bit floats, times as 64-bit ones, however a file has them; a number that a file
  has in more digits is rounded once, when it is read.
* **Missing.** An array that an episode lacks is missing in that episode alone. A file that is damaged, or that leads
  out of the data set by a link, puts its episode aside (`sima2 quarantine`); where it holds all, it ends the run.

## HDF5 from strangers

Files of HDF5 are opened in a process of their own, to be read only: one that brings the library down costs an
episode, not the run. Links (soft, external), virtual arrays, arrays kept in other files, and packing other than
{", ".join(FILTERS.values())} are refused by name before they are followed; plugins are never loaded. An array may hold
{MOST_BYTES >> 20} MiB, its chunks {MOST_CHUNK >> 20} MiB, and not more than what the file stores of it can unpack to.
A file of which nothing comes for {PATIENCE_S:.0f} s is given up.

## Written

`sima2 generate --format lerobot|robomimic` and `sima2 export --lerobot DIR | --robomimic FILE`. Of a
robomimic source the
export is a copy with the filter keys `mask/sima2_keep`, `sima2_trim`, `sima2_review` and `sima2_drop` (of a file of
more than 4 GiB the keys alone, to be copied into it); of any other a new file of what the plan keeps, trimmed, without
pictures. A file that this program wrote holds its own map (`data`, attribute `sima2_columns`) and reads back
bit for bit.
Goals and names of objects' slots are not in it: LeRobot's layout keeps these.

## Known and not read

"""
_ADD: Final = """
## Adding one

1. One file in `src/sima2/io/formats/` with a class that answers `FrameSource` (episodes, features, frames by feature).
   A folder of one file an episode needs two functions: see `tables.Kind`.
2. One row in `FORMATS` (`src/sima2/io/formats/__init__.py`): `--source auto`, messages and this page read it.
3. To try it: one row in `SETS` (`tests/format_sets.py`) that writes a small set. The promises of all formats
   (`tests/contracts/test_format_promises.py`) then run on it; then `python scripts/write_formats.py`.

The recipe "a format" in [CONTRIBUTING.md](../CONTRIBUTING.md) does these steps; a test follows it word for word.
"""


def formats_page() -> str:
    """The page as Markdown."""
    parts = [_HEAD, *map(_section, FORMATS), _HOW]
    parts[-1] += "".join(f"* **{each.name}** ({_code(each.mark)}): {each.way_on}.\n" for each in UNREAD)
    return "\n".join(parts) + _ADD


def _section(row: Format) -> str:
    needs = f"`pip install 'sima2[{row.extra}]'`" if row.extra else "nothing more"
    lines = [
        f"## {row.name}",
        "",
        f"* Known by: {_code(row.mark)}",
        f"* Read: {row.read}",
        f"* Guessed: {row.guessed}",
        f"* Missing: {row.missing}",
        f"* Rate: {row.rate}",
        f"* Needs: {needs}",
    ]
    return "\n".join(lines) + "\n"


def _code(mark: str) -> str:
    """A mark, its pattern as code."""
    pattern, gap, rest = mark.partition(" (")
    return f"`{pattern}`{gap}{rest}"
