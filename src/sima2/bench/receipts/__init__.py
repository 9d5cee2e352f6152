"""What a plan gains, proved by doing: policies that imitate made demonstrations under each selection, in closed loop.

A cube is to be brought to a pad. Sets hold 20, 50 or 80 % demonstrations that are not good, of eight kinds that physics
confirmed, with lengths that tell nothing; they are read and planned as a user's are, and a small policy is trained on
every selection with the same updates. Seeds from 100 on were used to choose world, operator and trainer, by the oracles
and the baseline alone; 0 to 9 judge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import starmap
from pathlib import Path
from typing import Any, Final

from sima2.bench.figures import Progress, Rows, quiet, told
from sima2.bench.receipts.figures import setting, targets
from sima2.bench.receipts.judged import Unit, judge
from sima2.bench.receipts.selections import NAMES
from sima2.errors import DatasetError, UsageError

SIZES: Final = (100, 300)
CONTAMINATIONS: Final = (0.2, 0.5, 0.8)
SEEDS: Final = 10
TRIALS: Final = 200
QUICK: Final = {"seeds": 1, "trials": 24, "steps": 500}
"""A small size that shows that everything runs; it proves nothing."""
CHOSEN_BY: Final = 100
"""Seeds from that on were used to choose things, and judge nothing."""
KEPT: Final = "receipts.jsonl"


def run(
    *,
    episodes: int | None = None,
    seed: int = 0,
    out: Path | None = None,
    jobs: int = 1,
    quick: bool = False,
    progress: Progress = quiet,
    contaminations: Sequence[float] = CONTAMINATIONS,
    seeds: int | None = None,
) -> dict[str, Any]:
    """Success of every selection in every setting.

    Args:
        episodes: demonstrations of a set; 100 and 300, if not given.
        seed: the first of those taken; from 100 on they are told and judge nothing.
        out: folder in which what is done is kept, so that a run that was stopped goes on, and one after a change of the
            code tries only the weights that changed; nowhere, if not given.
        jobs: processes; changes no result.
        quick: a small size, of one setting, that proves nothing.
        progress: told the step under way.
        contaminations: shares of demonstrations that are not good.
        seeds: how many; ten, if not given.

    Raises:
        MissingExtraError: if MuJoCo is not installed.
        UsageError: if there are too few episodes or jobs, or seeds that judge are mixed with others.
        DatasetError: if what was kept cannot be read.
    """
    from sima2.bench.receipts.world import engine

    engine()
    units = _units(episodes, seed, quick, contaminations, seeds)
    if jobs < 1:
        raise UsageError(f"jobs is {jobs}, it must be at least 1")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    lines = _lines(units, out, jobs, progress)
    shapes = dict.fromkeys((unit.n, unit.contamination) for unit in units)
    settings = [setting([lines[unit.key] for unit in units if (unit.n, unit.contamination) == each]) for each in shapes]
    judges = not quick and seed < CHOSEN_BY
    return {
        "seeds": sorted({unit.seed for unit in units}),
        "judges": judges,
        "settings": settings,
        "targets": targets(settings) if judges else {},
    }


def _units(
    episodes: int | None, seed: int, quick: bool, contaminations: Sequence[float], seeds: int | None
) -> list[Unit]:
    sizes = SIZES if episodes is None else (episodes,)
    if min(sizes) < 20:
        raise UsageError(f"{min(sizes)} episodes are too few for a set of every kind: at least 20")
    count = seeds or (QUICK["seeds"] if quick else SEEDS)
    if seed < CHOSEN_BY < seed + count:
        raise UsageError(f"seeds {seed} to {seed + count - 1}: those from {CHOSEN_BY} on judge nothing")
    if quick:
        sizes, contaminations = (episodes or 60,), (0.5,)
    size = (QUICK["trials"], QUICK["steps"]) if quick else (TRIALS, Unit(0, 0, 0, 0).steps)
    return [Unit(n, share, k, *size) for k in range(seed, seed + count) for n in sizes for share in contaminations]


def _lines(units: Sequence[Unit], out: Path | None, jobs: int, progress: Progress) -> dict[str, dict[str, Any]]:
    """Results by key: those that were kept, and the others made now."""
    lines = {} if out is None else _kept(out / KEPT)
    left = [unit for unit in units if unit.key not in lines]
    tried: dict[str, dict[str, float]] = {}
    for line in lines.values():
        same = {line["weights"][name]: rate for name, rate in line["success"].items()}
        tried.setdefault(line["tried"], {}).update(same)
    for line in _done([(unit, tried.get(unit.tried, {})) for unit in left], jobs):
        lines[line["key"]] = line
        if out is not None:
            with (out / KEPT).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        progress(f"{len(units) - len(left) + sum(unit.key in lines for unit in left)} of {len(units)} sets")
    return lines


def _done(units: Sequence[tuple[Unit, dict[str, float]]], jobs: int) -> Iterator[dict[str, Any]]:
    if jobs == 1 or len(units) < 2:
        yield from starmap(judge, units)
        return
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for each in as_completed([pool.submit(judge, *each) for each in units]):
            yield each.result()


def _kept(file: Path) -> dict[str, dict[str, Any]]:
    """What earlier runs left; a last line that was cut short is made again."""
    if not file.is_file():
        return {}
    text = file.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_text(whole, encoding="utf-8")
    try:
        lines = [json.loads(line) for line in whole.splitlines()]
        return {str(line["key"]): line for line in lines if line["weights"].keys() == line["success"].keys()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DatasetError(file, "holds what no run of this bench wrote", "give another folder") from None


def rows(values: Mapping[str, Any]) -> Rows:
    """The figures as a table: each setting with success of every selection, then the targets."""
    out = []
    for each in values["settings"]:
        low, high = each["length_auroc"]
        kind = "informative" if each["informative"] else "uninformative: the oracle's lead is small or unsure"
        about = f"{each['n']} demonstrations, {each['contamination']:.0%} not good"
        out.append((about, f"{kind}; length tells good from bad with {low:.2f} to {high:.2f}", ""))
        for name, success in each["success"].items():
            over = each["over_baseline"].get(name)
            out.append((f"  {NAMES[name]}", _span(success) + ("" if over is None else f"; {_span(over, '+')}"), ""))
        for name, share in each["ratio"].items():
            out.append((f"  {name} / oracle by segments", _span(share), ""))
        if each["measured_over_random"] is not None:
            out.append(("  measured over random of its size", _span(each["measured_over_random"], "+"), ""))
    if not values["judges"]:
        out.append(("judged", "nothing: seeds that chose settings, or a small size", ""))
    return out + [(name, f"{each['value']:.3f}", told(each)) for name, each in values["targets"].items()]


def _span(values: Mapping[str, float], sign: str = "") -> str:
    if values["low"] != values["low"]:
        return f"{values['value']:{sign}.2f}"
    return f"{values['value']:{sign}.2f} [{values['low']:{sign}.2f}, {values['high']:{sign}.2f}]"
