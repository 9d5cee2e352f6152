"""Fit the weights of the segments' confidence on labelled rollouts of many worlds, and say how they hold elsewhere.

    python scripts/fit_confidence.py            writes src/sima2/segmentation/confidence_weights.json

Once on all worlds, and once without each of them (a simulator, or a robot): a world is judged by the fit that has not
seen it. Every world weighs the same, however many rollouts there are of it; every set of channels is fitted on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sima2.bench.calibration import auroc, calibration
from sima2.bench.channel_sets import CHANNEL_SETS
from sima2.bench.foreign_sets import FOLDERS, SAME, Recording, recordings
from sima2.bench.segmentation import SOURCES, LabelledSource, read
from sima2.records.rollout import RolloutBatch
from sima2.records.vocabulary import LABELS
from sima2.segmentation.confidence import SHARED, Confidence, cues
from sima2.segmentation_engine import SegmentationEngine
from sima2.tags.logistic import fit_ridge_logistic, probability

SEED = 7000
EPISODES = 20
DRAWN = 3000
"""Segments of each world that are fitted on, drawn with replacement."""
KEPT_OUT = ("dm_control",)
"""Worlds that no fit may see."""
RIDGE = 1.0
TARGET = Path(__file__).parents[1] / "src/sima2/segmentation/confidence_weights.json"
Array = np.ndarray[Any, Any]
Right = Callable[[str, str, str, int, int], bool | None]
"""Whether a segment (episode, manipulator, label, start, stop) bears the right label; None where nobody knows."""


class Rows(NamedTuple):
    """Segments under every channel set."""

    label: Array
    cues: Array
    right: Array
    full: Array
    """With all channels."""


def rows_of(batch: RolloutBatch, other: RolloutBatch, right: Right) -> Rows:
    """Segments of a batch, by an engine whose scales come from another."""
    found: list[tuple[int, Array, bool, bool]] = []
    for absent in CHANNEL_SETS.values():
        judged, others = (each.without(*absent) if absent else each for each in (batch, other))
        engine = SegmentationEngine(confidence=Confidence(least=0.0)).fit([others])
        for _, part in judged.by_layout():
            for arm in part.manipulators:
                made = engine.judged(part, arm)
                x, spans, begin = cues(made.features, made.spans), made.spans, part.offset[:-1]
                for k, episode in enumerate(spans.episode.tolist()):
                    label = LABELS[int(spans.label[k])]
                    start, stop = int(spans.start[k] - begin[episode]), int(spans.stop[k] - begin[episode])
                    ok = right(part.episodes.episode_id[episode], arm, label, start, stop)
                    if ok is not None and label != "unknown":
                        found.append((int(spans.label[k]), x[k], ok, not absent))
    return Rows(*(np.array(column) for column in zip(*found, strict=True)))


def made(source: LabelledSource, seed: int) -> Rows:
    """Segments of a generator's rollouts."""
    batch, truth = read(source, EPISODES, seed)
    known = {track.key: track for track in truth}

    def right(episode: str, arm: str, label: str, start: int, stop: int) -> bool | None:
        track = known.get((episode, arm))
        if track is None:
            return None
        pieces = [p for p in track.pieces if p.label == label]
        return 2 * sum(max(0, min(stop, p.stop) - max(start, p.start)) for p in pieces) > stop - start

    return rows_of(batch, read(source, EPISODES, seed + 1)[0], right)


def recorded(found: list[Recording]) -> Rows:
    """Segments of a foreign source."""
    known = {each.rollout.episode_id: each for each in found}

    def right(episode: str, _: str, label: str, start: int, stop: int) -> bool | None:
        one = known[episode]
        judged = one.judged[start:stop]
        if 2 * judged.sum() <= stop - start:
            return None
        return bool(2 * (one.label[start:stop] == SAME.get(label, label))[judged].sum() > judged.sum())

    batch = RolloutBatch.from_rollouts([each.rollout for each in found])
    return rows_of(batch, batch, right)


def worlds() -> dict[str, list[Rows]]:
    """Segments by world."""
    named = {source.name: source for source in SOURCES}
    out = {
        "synthetic": [made(replace(named["synthetic"], rate_hz=rate, most=20), SEED) for rate in (20.0, 30.0, 50.0)],
        "mujoco": [made(replace(named["mujoco"], most=12), SEED)],
    }
    sources: dict[str, list[Recording]] = {}
    for path in FOLDERS:
        for each in recordings(path) if path.exists() else ():
            if each.world not in KEPT_OUT:
                sources.setdefault(each.source, []).append(each)
    for found in sources.values():
        out.setdefault(found[0].world, []).append(recorded(found))
    return out


def design(rows: Rows) -> Array:
    """One block of columns a label, and the shared ones."""
    own = rows.cues.shape[1] - SHARED
    out = np.zeros((len(rows.cues), own * len(LABELS) + SHARED))
    for k in range(own):
        out[np.arange(len(out)), rows.label * own + k] = rows.cues[:, k]
    out[:, -SHARED:] = rows.cues[:, -SHARED:]
    return out


def fitted(some: list[Rows]) -> Array:
    """Weights from several worlds, each drawn from alike."""
    rng = np.random.default_rng(SEED)
    drawn = [rng.integers(0, len(rows.label), DRAWN) for rows in some]
    x = np.concatenate([design(rows)[at] for rows, at in zip(some, drawn, strict=True)])
    y = np.concatenate([rows.right[at] for rows, at in zip(some, drawn, strict=True)]).astype(float)
    return fit_ridge_logistic(x, y, np.full(x.shape[1], RIDGE))


def written(left_out: str, weight: Array) -> str:
    """Weights as JSON, one label a line: ``shared`` ones of absent forces, objects and hand pose, and a neighbour's log
    seconds; and of each label those of one, agreement and log seconds."""
    own = (len(weight) - SHARED) // len(LABELS)
    rows = {"shared": weight[-SHARED:], **{name: weight[k * own : (k + 1) * own] for k, name in enumerate(LABELS)}}
    lines = [f"    {json.dumps(name)}: {json.dumps(row.tolist())}" for name, row in rows.items()]
    return f"  {json.dumps(left_out)}: {{\n" + ",\n".join(lines) + "\n  }"


def main() -> None:
    """Fit, write, judge."""
    seen = {
        name: Rows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
        for name, parts in worlds().items()
    }
    worlds_left_out = []
    for left_out in ("", *seen):
        weight = fitted([rows for name, rows in seen.items() if name != left_out]).round(3)
        worlds_left_out.append(written(left_out, weight))
        for name, rows in seen.items():
            if left_out in ("", name):
                p, right = probability(design(rows), weight), rows.right > 0.5
                said = [calibration(p[mask], right[mask]).expected_error for mask in (rows.full, ~rows.full)]
                print(
                    f"{'left out' if left_out else 'seen'} {name}: {len(p)} segments, {right.mean():.3f} right, "
                    f"calibration error {said[0]:.3f}, with fewer channels {said[1]:.3f}, AUROC {auroc(p, right):.3f}"
                )
    TARGET.write_text("{\n" + ",\n".join(worlds_left_out) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
