"""Write docs/measured.md, and the short table in README.md, of what the benches left in benchmarks/measured.

python scripts/write_measured.py
python scripts/write_measured.py --check
sima2 bench foreign --json > foreign.json; python scripts/write_measured.py --take foreign foreign.json

No figure is written by hand: the words are in ``measured/page.md.in``, which names a figure by its place in what the
bench printed (``{{foreign/worlds/sapien/full/f1_50|.0f}}``; of many ``{{min foreign/worlds/*/full/f1_50|.0f}}``), and
tables by name (``{{table foreign}}``).
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

from measured import TABLES, cells

from sima2 import __version__
from sima2.bench import BENCHES

ROOT: Final = Path(__file__).parents[1]
MEASURED: Final = ROOT / "benchmarks/measured"
TEMPLATE: Final = Path(__file__).with_name("measured") / "page.md.in"
PAGE: Final = ROOT / "docs/measured.md"
README: Final = ROOT / "README.md"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
DIGITS: Final = 5
"""Of a figure that is kept: more than any table shows."""
UNUSED: Final[Mapping[str, tuple[str, ...]]] = {
    "foreign": ("sources/*/channel_sets",),
    "segmentation": ("sources/*/worst", "sources/*/worst_of_family", "sources/*/calibration", "sources/*/families",
                     "sources/*/failure_modes", "sources/*/failure_reasons"),
    "card": ("kinds/*/sets",),
}  # fmt: skip
"""What no table shows and takes much room."""
KEPT: Final[Mapping[str, tuple[str, ...]]] = {
    "foreign_changed": ("f1_50", "failure_precision", "failure_recall", "clean", "clean_with_failure")
}
"""The figures that are kept of each row, of a bench with very many."""


class Sure(NamedTuple):
    """A row of the short table: what a user may expect, and the aims of a bench that it is taken from."""

    words: str
    bench: str
    targets: str
    """Pattern of the names of the bench's aims; the worst of them and the middle one are told. Of figures without
    an aim it is their place, and the least of them the worst."""
    form: str
    aimed: bool = True


SURE: Final = (
    Sure("foreign robot, all channels: F1@50 of segments", "foreign", "*, full: f1 50", ".0f"),
    Sure("… precision of failed attempts", "foreign", "*, full: failure precision", ".0%"),
    Sure("… recall of failed attempts", "foreign", "*, full: failure recall", ".0%"),
    Sure("… clean episodes with a false failure", "foreign", "*, full: clean with failure", ".0%"),
    Sure("… episodes whose outcome stays unknown", "foreign", "*, full: success unknown", ".0%"),
    Sure(
        "foreign robot, joints and gripper only: recall of failed attempts",
        "foreign",
        "worlds/*/joints_and_gripper/failure_recall",
        ".0%",
        aimed=False,
    ),
    Sure("… F1@50 of segments", "foreign", "worlds/*/joints_and_gripper/f1_50", ".0f", aimed=False),
    Sure("joints, gripper and commands only: recall of grasp outcomes", "recordings", "grasp_recall", ".0%"),
    Sure("… recall of failed episodes", "recordings", "failed_recall", ".0%"),
    Sure("… precision of failed episodes", "recordings", "failed_precision", ".0%"),
    Sure("plan: episodes with a planted defect that are not kept as they are", "recordings_plan", "*: not kept", ".0%"),
    Sure("… clean episodes that are not kept as they are", "recordings_plan", "clean episodes not kept", ".1%"),
    Sure("… success of a policy trained by it, relative to an oracle's", "receipts", "*: measured / oracle", ".0%"),
    Sure("trust: sets of 200 noise tags in which any tag gets trust", "trust", "null_any_trust_*", ".1%"),
    Sure("… a rare true tag (3 % of 1,000 episodes, δ 0.71) is trusted", "trust", "rare_trusted_1000", ".0%"),
    Sure(
        "speed: rollouts per second, generated, judged and stored, two processes",
        "stress",
        "rollouts_per_wall_s",
        ",.0f",
    ),
    Sure("… peak memory at 10,000 rollouts, MB", "stress", "memory_mb", ",.0f"),
)
"""One whose words begin with ``…`` is about the subject of those before it."""


def page(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """The page as Markdown.

    Args:
        measured: what is kept of each bench, by name.

    Raises:
        KeyError: if the template names a figure that is not there.
    """
    template = TEMPLATE.read_text(encoding="utf-8")
    return re.sub(r"\{\{(.+?)\}\}", lambda found: placed(found[1], measured), template)


def placed(wanted: str, measured: Mapping[str, Mapping[str, Any]]) -> str:
    """What stands in the place of one name of the template."""
    command, _, rest = wanted.partition(" ")
    if command == "sure":
        return sure(measured)
    if command == "about":
        return about(rest, measured[rest])
    if command == "table":
        return TABLES[rest](measured[rest.split(" ")[0]]["values"])
    reduce, where = (REDUCERS[command], rest) if command in REDUCERS else (_only, wanted)
    path, _, form = where.partition("|")
    bench, _, inner = path.partition("/")
    return reduce(cells.at(measured[bench]["values"], inner), form)


def _only(found: Sequence[Any], form: str) -> str:
    if len(found) != 1:
        raise KeyError(f"{len(found)} figures where one is named")
    return cells.told(found[0], form)


def _reducer(of: Callable[[list[float]], float]) -> Callable[[Sequence[Any], str], str]:
    return lambda found, form: cells.told(of([each for each in found if each is not None]), form)


REDUCERS: Final[Mapping[str, Callable[[Sequence[Any], str], str]]] = {
    "min": _reducer(min),
    "max": _reducer(max),
    "sum": _reducer(sum),
    "middle": _reducer(statistics.median),
    "count": lambda found, form: str(len(found)),
    "met": lambda found, form: f"{sum(found)} of {len(found)}",
}
"""One text of many figures."""


def about(name: str, kept: Mapping[str, Any]) -> str:
    """The line at the head of a section: the command, how long it took, when, where, and how many aims are met."""
    values, own = kept["values"], _own_size(name)
    size = values.get("episodes", values.get("rollouts"))
    targets = values["targets"].values()
    took = kept.get("seconds")
    parts = [f"`sima2 bench {name}`" + (f" (about {_duration(took)})" if took else "")]
    parts.append(f"measured {kept['on']} with version {kept['version']} ({kept['commit']}) on {kept['machine']}")
    if "seed" in values:
        parts.append(f"seed {values['seed']}")
    parts.append(f"{sum(each['met'] for each in targets)} of {len(targets)} aims met")
    line = "; ".join(parts) + "."
    if is_small(name, values):
        line += (
            " **A small run" + (f" ({size:,} instead of {own:,})" if own and size else "") + ": to be taken again.**"
        )
    return line


def is_small(name: str, values: Mapping[str, Any]) -> bool:
    """Whether a bench was run at less than its own size, so that its figures are not the product's."""
    own, size = _own_size(name), values.get("episodes", values.get("rollouts"))
    return values.get("judges") is False or (own is not None and size is not None and size < own)


def _own_size(name: str) -> int | None:
    default = inspect.signature(_bench(name).run).parameters.get("episodes")
    return default.default if default is not None and isinstance(default.default, int) else None


def _bench(name: str) -> Any:
    return importlib.import_module(f"sima2.bench.{name}")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 3600 else f"{seconds / 3600:.0f} h"


def sure(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """The short table: what may be expected; figures without an aim, then the one farthest from its aim first."""
    rows, subject = [], ""
    for row in SURE:
        subject = subject if row.words.startswith("…") else row.words.partition(":")[0]
        words = row.words.replace("…", f"{subject}:", 1)
        values = measured[row.bench]["values"]
        if not row.aimed:
            told = [each for each in cells.at(values, row.targets) if each is not None]
            line = [cells.told(of(told), row.form) for of in (min, statistics.median)]
            rows.append((math.inf, [words, *line, str(len(told)), "none", f"`{row.bench}`"]))
            continue
        found = [
            (each.get("value", values.get(name)), each)
            for name, each in values["targets"].items()
            if fnmatchcase(name, row.targets)
        ]
        if not found or is_small(row.bench, values):
            continue
        worst, target = max(found, key=lambda one: cells.shortfall(*one))
        middle = statistics.median(value for value, _ in found)
        line = [
            words,
            cells.judged(worst, row.form, target),
            cells.told(middle, row.form) if len(found) > 1 else "",
            str(len(found)) if len(found) > 1 else "",
            cells.aim(target, row.form),
            f"`{row.bench}`",
        ]
        rows.append((cells.shortfall(worst, target), line))
    rows.sort(key=lambda one: -one[0])
    return cells.grid(["what to expect", "worst", "median", "of", "aim", "bench"], [line for _, line in rows])


def readme(text: str, table: str) -> str:
    """README with the short table between its marks; as it was where it has none.

    >>> readme("a\\n<!-- measured -->\\nold\\n<!-- /measured -->\\n", "new")
    'a\\n<!-- measured -->\\nnew\\n<!-- /measured -->\\n'
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{table}\n{end}{after}" if end else text


def kept() -> dict[str, Any]:
    """What is kept of each bench, by name."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(MEASURED.glob("*.json"))}


def take(name: str, file: Path, *, commit: str, seconds: float | None) -> None:
    """Keep what ``sima2 bench NAME --json`` printed, without what no table shows, and when and where it was."""
    if name not in BENCHES:
        raise SystemExit(f"no bench {name!r}; there are {', '.join(BENCHES)}")
    values = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(values, dict) or "targets" not in values:
        raise SystemExit(f"{file}: not what `sima2 bench {name} --json` prints")
    values = slim(name, values)
    target = MEASURED / f"{name}.json"
    if seconds is None and target.is_file():
        seconds = json.loads(target.read_text(encoding="utf-8"))["seconds"]
    about_it = {
        "on": datetime.fromtimestamp(file.stat().st_mtime, UTC).date().isoformat(),
        "machine": machine(),
        "version": _version(commit) if commit else __version__,
        "commit": commit or _head(),
        "seconds": seconds,
    }
    text = json.dumps({**about_it, "values": values}, indent=1, ensure_ascii=False, allow_nan=False)
    if re.search(r'"(/|[A-Za-z]:\\\\)', text):
        raise SystemExit(f"{file}: names a path of this machine")
    MEASURED.mkdir(parents=True, exist_ok=True)
    target.write_text(text + "\n", encoding="utf-8")


def slim(name: str, values: Any) -> Any:
    """The values with as many digits as are ever shown, and without what no table shows."""
    for path in UNUSED.get(name, ()):
        outer, _, last = path.rpartition("/")
        for each in cells.at(values, outer):
            each.pop(last, None)
    if name in KEPT:
        rows = cells.at(values, "changes/*/*")
        for row in rows:
            for figure in set(row) - set(KEPT[name]):
                del row[figure]
    return _rounded(values)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) and math.isfinite(value) else value


def machine() -> str:
    """Family of the processor and number of cores."""
    return f"{os.cpu_count()} cores of {_processor()}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    model = next((line.partition(":")[2] for line in lines if line.startswith("model name")), platform.machine())
    words = re.sub(r"\(.*?\)|@.*", "", model).split()
    return " ".join(words[:2]) or "an unknown processor"


def _version(commit: str) -> str:
    """Of the package at a commit, where this checkout has it; its own otherwise."""
    done = subprocess.run(["git", "show", f"{commit}:pyproject.toml"], cwd=ROOT, capture_output=True, text=True)
    found = re.search(r'^version = "(.+)"$', done.stdout, re.MULTILINE)
    return found[1] if found else __version__


def _head() -> str:
    done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def written() -> dict[Path, str]:
    """What the files are to hold."""
    measured = kept()
    return {PAGE: page(measured), README: readme(README.read_text(encoding="utf-8"), sure(measured))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or say whether it is the one that is there."""
    parser = argparse.ArgumentParser(description="Write docs/measured.md and the short table of README.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a file would change")
    parser.add_argument("--take", nargs=2, metavar=("NAME", "FILE"), help="keep what `sima2 bench NAME --json` printed")
    parser.add_argument("--commit", default="", help="with --take: of what was measured; this one if not given")
    parser.add_argument("--seconds", type=float, help="with --take: how long the bench takes; as before if not given")
    given = parser.parse_args(arguments)
    if given.take:
        take(given.take[0], Path(given.take[1]), commit=given.commit, seconds=given.seconds)
    files = written()
    stale = [file for file, text in files.items() if not file.is_file() or file.read_text("utf-8") != text]
    for file in stale:
        print(f"{'stale' if given.check else 'wrote'} {file.relative_to(ROOT)}")
        if not given.check:
            file.write_text(files[file], encoding="utf-8")
    return int(given.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
