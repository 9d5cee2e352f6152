"""How sure a label is: how many independent cues the channels offer, and how far they agree."""

from __future__ import annotations

from typing import Any

import numpy as np

from sima2.segmentation.features import Features
from sima2.segmentation.labels import CODE
from sima2.segmentation.outcomes import Spans
from sima2.segmentation.signals import Bools, Doubles, per_run


def confidence(features: Features, spans: Spans) -> Doubles:
    """Probability that each label is right, shape (s,).

    Every cue that the channels allow (grip force, width, who moves with the hand, external force, speed) votes on
    the loaded or touching state that a label implies. The share of votes is shrunk towards 1/2 by one vote each way,
    and towards it again for segments not much longer than the window that rates are measured over.
    """
    n = len(spans.start)
    if not n:
        return np.zeros(0)
    length = (spans.stop - spans.start).astype(np.float64)

    def share(mask: Any) -> Doubles:
        out: Doubles = per_run(np.add, mask.astype(np.int64), spans.start) / length
        return out

    label = spans.label
    held = np.isin(label, [CODE[k] for k in ("lift", "transport", "wipe", "pull")])
    free = np.isin(label, [CODE[k] for k in ("approach", "retreat", "recovery_maneuver")])
    votes = np.zeros(n)
    cues = np.zeros(n)

    def vote(where: Bools, agreement: Doubles, weight: float = 1.0) -> None:
        votes[where] += weight * agreement[where]
        cues[where] += weight

    if features.gripping is not None:
        vote(held, share(features.gripping))
        vote(free, 1 - share(features.gripping))
    if features.width is not None:
        gap = features.width > features.width_closed + 0.03 * features.width_range
        vote(held, share(gap), 0.5)
        fingers = np.abs(features.width_rate) > 0.05 * features.width_range if features.width_rate is not None else gap
        vote(label == CODE["grasp"], np.minimum(1.0, 2 * share(fingers)), 2.0)
        vote(np.isin(label, (CODE["place"], CODE["release"])), np.minimum(1.0, 3 * share(fingers)), 2.0)
    together = features.together
    if together is not None:
        vote(held, share(together.any(axis=1)), 2.0)
        vote(free, 1 - share(together.any(axis=1)))
    if features.touching is not None:
        force = share(features.touching)
        pressed = np.isin(label, [CODE[k] for k in ("pull", "push", "wipe", "collision")])
        vote(pressed, force, 2.0)
        vote(free, 1 - force)
    moving = share(features.moving)
    vote(free | held, moving)
    vote(label == CODE["idle"], 1 - moving, 3.0)
    vote(label == CODE["slip"], np.ones(n), 1.5)
    agreement = (votes + 0.5) / (cues + 1.0)
    periods = features.ragged.frames(0.1)[spans.episode]
    steady = 1.0 - 0.5 * np.exp(-length / (2.0 * periods))
    out: Doubles = np.clip(0.5 + (agreement - 0.5) * steady, 0.05, 0.99)
    out[label == CODE["unknown"]] = 0.2
    return out
