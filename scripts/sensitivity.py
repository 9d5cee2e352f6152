"""Which constants of the segmentation decide: each is halved and doubled, and every world says what that does to it.

    python scripts/sensitivity.py               a line a constant, the most telling first; about a quarter of an hour
    python scripts/sensitivity.py --only tap_s  constants whose name holds this alone

A constant that moves one world alone is suspect: it may have been chosen for it. One that moves none is in doubt, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from sima2.bench.annotations import pieces_of
from sima2.bench.foreign import figures, judge
from sima2.bench.foreign_sets import FOLDERS, Recording, recordings
from sima2.bench.segment_scores import scores, summary
from sima2.bench.segmentation import SOURCES, read
from sima2.segmentation_engine import SegmentationEngine

EPISODES = 4
"""Of each family of the generators, at most."""
MOVES = 0.5
"""Points of F1@50 below which nothing has moved."""
ROOMS = ("features", "states", "labels", "recoveries", "looks", "outcomes", "motion", "confidence")


def constants(engine: SegmentationEngine) -> Iterator[tuple[str, Callable[[float], SegmentationEngine]]]:
    """Every number of the engine's settings, by room and name, and the engine with a multiple of it."""
    for room in ROOMS:
        settings: Any = getattr(engine, room)
        for each in fields(settings):
            value = getattr(settings, each.name)
            if isinstance(value, float):
                yield f"{room}.{each.name}", partial(_scaled, engine, room, each.name, value)
            assert not is_dataclass(value) or room == "states", f"{room}.{each.name} holds settings of its own"


def _scaled(engine: SegmentationEngine, room: str, name: str, value: float, factor: float) -> SegmentationEngine:
    changed: Any = replace(getattr(engine, room), **{name: value * factor})
    return replace(engine, **{room: changed})


def worlds() -> dict[str, Callable[[SegmentationEngine], float]]:
    """F1@50 of each world under an engine."""
    out: dict[str, Callable[[SegmentationEngine], float]] = {}
    for source in SOURCES:
        if source.name in ("synthetic", "mujoco", "mujoco_unseen"):
            made = replace(source, most=EPISODES)
            (batch, truth), (other, _) = read(made, EPISODES, 9000), read(made, EPISODES, 9001)

            def own(engine: SegmentationEngine, batch: Any = batch, truth: Any = truth, other: Any = other) -> float:
                table = engine.fit([other]).segment(batch)
                return float(summary(scores(truth, pieces_of(table)))["f1_50"])

            out[source.name] = own
    found: dict[str, dict[str, list[Recording]]] = {}
    for path in FOLDERS:
        for each in recordings(path) if path.exists() else ():
            found.setdefault(each.world, {}).setdefault(each.source, []).append(each)
    for world, sources in found.items():

        def foreign(engine: SegmentationEngine, sources: Any = sources) -> float:
            scored = [score for some in sources.values() for score in judge(some, "full", engine)]
            return figures(scored)["f1_50"]

        out[world] = foreign
    return out


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", default="", metavar="PART", help="constants whose name holds this, such as states.tap_s"
    )
    only = parser.parse_args().only
    engine = SegmentationEngine()
    asked = worlds()
    base = np.array([measure(engine) for measure in asked.values()])
    print(f"{'':34s}{''.join(f'{name[:13]:>14s}' for name in asked)}")
    print(f"{'as it is':34s}{''.join(f'{value:14.1f}' for value in base)}")
    lines = []
    for name, scaled in (each for each in constants(engine) if only in each[0]):
        moved = np.array([[measure(scaled(factor)) for measure in asked.values()] for factor in (0.5, 2.0)]) - base
        lines.append((float(np.abs(moved).max()), name, moved))
    for _, name, moved in sorted(lines, key=lambda line: (-line[0], line[1])):
        cells = "".join(f"{a:+7.1f}{b:+7.1f}" for a, b in moved.T)
        count = int((np.abs(moved).max(axis=0) >= MOVES).sum())
        print(f"{name:34s}{cells}  {'none' if not count else 'one alone' if count == 1 else count}")
    told = [int((np.abs(moved).max(axis=0) >= MOVES).sum()) for _, _, moved in lines]
    print(f"{len(told)} constants: {told.count(0)} move no world by {MOVES} points, {told.count(1)} one alone")


if __name__ == "__main__":
    main()
