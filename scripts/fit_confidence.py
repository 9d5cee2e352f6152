"""Fit the weights of the segments' confidence on labelled rollouts, and say how well they hold elsewhere.

    python scripts/fit_confidence.py            writes src/sima2/segmentation/confidence_weights.py

Fitted on the task library at three rates and on the simulator, with every channel set; judged on other seeds and on
the simulator with parameters left out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sima2.bench.annotations import Track
from sima2.bench.calibration import calibration
from sima2.bench.segmentation import CHANNEL_SETS, SOURCES, LabelledSource, read
from sima2.records.rollout import RolloutBatch
from sima2.records.vocabulary import LABELS
from sima2.segmentation.confidence import SHARED, cues
from sima2.segmentation_engine import SegmentationEngine
from sima2.tags.logistic import fit_ridge_logistic, probability

SEED = 7000
EPISODES = 40
RIDGE = 1.0
TARGET = Path(__file__).parents[1] / "src/sima2/segmentation/confidence_weights.py"
Rows = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]


def rows_of(batch: RolloutBatch, truth: list[Track], other: RolloutBatch) -> Rows:
    """Labels, cues and whether the label is right, of all segments under every channel set."""
    known = {track.key: track for track in truth}
    labels, seen, right = [], [], []
    for absent in CHANNEL_SETS.values():
        judged, others = (each.without(*absent) if absent else each for each in (batch, other))
        engine = SegmentationEngine().fit([others])
        for _, part in judged.by_layout():
            for arm in part.manipulators:
                made = engine.judged(part, arm)
                x = cues(made.features, made.spans)
                spans, begin = made.spans, part.offset[:-1]
                for k, episode in enumerate(spans.episode.tolist()):
                    track = known.get((part.episodes.episode_id[episode], arm))
                    name = LABELS[int(spans.label[k])]
                    if track is None or name == "unknown":
                        continue
                    start, stop = int(spans.start[k] - begin[episode]), int(spans.stop[k] - begin[episode])
                    shared = sum(
                        max(0, min(stop, p.stop) - max(start, p.start)) for p in track.pieces if p.label == name
                    )
                    labels.append(int(spans.label[k]))
                    seen.append(x[k])
                    right.append(2 * shared > stop - start)
    return np.array(labels), np.array(seen), np.array(right, float)


def design(label: np.ndarray[Any, Any], x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """One block of columns a label, and the shared ones."""
    own = x.shape[1] - SHARED
    out = np.zeros((len(x), own * len(LABELS) + SHARED))
    for k in range(own):
        out[np.arange(len(x)), label * own + k] = x[:, k]
    out[:, -SHARED:] = x[:, -SHARED:]
    return out


def main() -> None:
    """Fit, write, judge."""
    named = {source.name: source for source in SOURCES}
    sources = [
        LabelledSource("synthetic", "synthetic"),
        LabelledSource("synthetic_50_hz", "synthetic", rate_hz=50.0, most=20),
        LabelledSource("synthetic_30_hz", "synthetic", rate_hz=30.0, most=20),
        replace(named["mujoco"], most=24),
    ]

    def gathered(seed: int, some: list[LabelledSource]) -> list[Rows]:
        return [rows_of(*read(s, EPISODES, seed), read(s, EPISODES, seed + 1)[0]) for s in some]

    train = gathered(SEED, sources)
    label, x, y = (np.concatenate([part[k] for part in train]) for k in range(3))
    columns = design(label, x)
    weight = fit_ridge_logistic(columns, y, np.full(columns.shape[1], RIDGE))
    own = x.shape[1] - SHARED
    lines = [
        '"""Weights of the confidence model; written by ``scripts/fit_confidence.py``, not by hand."""',
        "",
        "from __future__ import annotations",
        "",
        "from collections.abc import Mapping",
        "from typing import Final",
        "",
        "WEIGHTS: Final[Mapping[str, tuple[float, ...]]] = {",
        *(
            f'    "{name}": ({", ".join(f"{w:.3f}" for w in weight[i * own : (i + 1) * own])}),'
            for i, name in enumerate(LABELS)
        ),
        "}",
        '"""Of one, agreement and log seconds, by label."""',
        f"SHARED_WEIGHTS: Final = ({', '.join(f'{w:.3f}' for w in weight[-SHARED:])})",
        '"""Of absent forces, absent objects, an absent hand pose, and a neighbour\'s log seconds."""',
        "",
    ]
    TARGET.write_text("\n".join(lines), encoding="utf-8")
    for name, part in zip([s.name for s in (*sources, *SOURCES)], [*train, *gathered(SEED + 100, list(SOURCES))]):
        found = calibration(probability(design(*part[:2]), weight), part[2] > 0.5)
        print(f"{name}: {found.n} segments, {found.base_rate:.3f} right, calibration error {found.expected_error:.3f}")


if __name__ == "__main__":
    main()
