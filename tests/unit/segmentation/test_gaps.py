"""Free motion between actions is called by what lies around it: cases on both sides of what decides."""

from __future__ import annotations

import numpy as np
import pytest

from scripted_frames import Frames, Script, each_case
from sima2.records.vocabulary import LABELS
from sima2.segmentation.labels import CODE, LabelSettings, label_gaps
from sima2.segmentation.states import State

THING = (1.0, 0.0, 0.0)


def called(frames: Frames) -> np.ndarray:
    return label_gaps(frames.features(), frames.states(), frames.label, frames.failed, LabelSettings())


def told(script: Script) -> str:
    frames = script()
    label = frames.of_one(called(frames))
    return " ".join(LABELS[code] for k, code in enumerate(label) if not k or code != label[k - 1])


def free(frames: int = 5, to: float = 0.0, state: State = State.FREE) -> Frames:
    return Frames().do("unknown", frames, state, to=(to, 0, 0))


def left(frames: Frames | None = None, to: float = 0.5) -> Frames:
    """After an action the hand goes away."""
    return (frames or Frames().do("grasp")).do("unknown", to=(to, 0, 0))


def rested(frames: int, state: State = State.STILL, *, way: float = 0.0) -> Frames:
    made = left().do("unknown", frames, state, to=(0.5 + way, 0, 0))
    return made.do("unknown", 6, to=(0, 0, 0)).do("push")


def between_rests(nearer: float, *, seen: bool = True, action: str = "") -> Frames:
    """From one rest to another, a way of 0.1 m that leads so much nearer to a thing, or to where an action begins."""
    aim, x = THING, (1.01 - (1 - nearer) ** 2) / 0.2
    place = (0.1 * x, 0.1 * np.sqrt(1 - x * x), 0.0)
    made = Frames(things=((9, 0, 0) if action else aim,)).do("unknown", 6, State.STILL, seen=seen)
    made.do("unknown", 1, seen=seen).do("unknown", to=place, seen=seen).do("unknown", 6, State.STILL, seen=seen)
    return made.do("unknown", to=aim).do(action) if action else made


CASES: dict[str, list[tuple[Script, str]]] = {
    "leads on": [
        (lambda: free().do("grasp"), "approach grasp"),
        (lambda: free(state=State.UNKNOWN).do("grasp"), "unknown grasp"),
    ],
    "leads away": [
        (left, "grasp retreat"),
        (lambda: left().do("unknown", to=(0, 0, 0)).do("push"), "grasp retreat approach push"),
    ],
    "rests": [
        (lambda: rested(5), "grasp retreat idle approach push"),
        (lambda: rested(4), "grasp retreat approach push"),
        (lambda: rested(5, State.OPENING), "grasp retreat idle approach push"),
        (lambda: rested(5, State.OPENING, way=0.4), "grasp retreat approach push"),
        (lambda: rested(5, State.CLOSING), "grasp retreat approach push"),
        (lambda: Frames().do("grasp").do("unknown", 6, State.OPENING).do("push"), "grasp retreat approach push"),
        (lambda: Frames().do("grasp").do("unknown", 6, State.STILL).do("push"), "grasp idle push"),
        (lambda: free(6, state=State.STILL), "idle"),
        (lambda: free(4, state=State.STILL), "unknown"),
    ],
    "corrects": [
        (
            lambda: left(Frames().do("grasp", failed=True)).do("unknown", to=(0, 0, 0)).do("grasp"),
            "grasp recovery_maneuver approach grasp",
        ),
        (lambda: left(Frames().do("grasp", failed=True)), "grasp retreat"),
        (lambda: left().do("unknown", to=(0, 0, 0)).do("grasp", failed=True), "grasp retreat approach grasp"),
    ],
    "stands alone": [
        (lambda: free(to=0.5), "unknown"),
        (lambda: free(6, state=State.STILL).do("unknown", to=(0.5, 0, 0)), "idle unknown"),
        (lambda: free(6, state=State.UNKNOWN), "unknown"),
    ],
    "towards things": [
        (lambda: between_rests(0.0301), "idle approach idle"),
        (lambda: between_rests(0.0301, seen=False), "idle unknown idle"),
    ],
    "away from things": [
        (lambda: between_rests(0.0299, action="grasp"), "idle retreat idle approach grasp"),
        (lambda: between_rests(0.0301, action="grasp"), "idle approach idle approach grasp"),
        (lambda: between_rests(0.0299), "idle retreat idle"),
        (lambda: left(Frames(things=(THING,)).do("grasp")).do("unknown", 6, State.STILL), "grasp retreat idle"),
    ],
}
"""Of each rule, what is told with it; at least one of its cases is told otherwise without it."""


@pytest.mark.parametrize(("script", "expected"), each_case(CASES))
def test_free_motion_is_called_by_what_lies_around_it(script: Script, expected: str) -> None:
    assert told(script) == expected


def paused(steps: int, step: float, *shares: float) -> Frames:
    """From an action so many steps away, shares of a step, four steps on, and back to the next action."""
    way = steps * step
    made = Frames().do("grasp").do("unknown", 1).do("unknown", steps, to=(way, 0, 0))
    for share in shares:
        way += share * step
        made.do("unknown", 1, to=(way, 0, 0))
    made.do("unknown", 4, to=(way + 4 * step, 0, 0))
    return made.do("unknown", 8, to=(0, 0, 0)).do("push")


def turned(share: float) -> Frames:
    """From an action as far as 1 m, to a share of that, and back."""
    made = Frames().do("grasp").do("unknown", 1).do("unknown", 5, to=(1, 0, 0)).do("unknown", 1, to=(share, 0, 0))
    return made.do("unknown", 4, to=(0, 0, 0)).do("push")


@pytest.mark.parametrize(
    ("frames", "leaves"),
    [
        (paused(6, 0.1, 0.29), 7),
        (paused(6, 0.1, 0.31), 11),
        (paused(6, 0.1, 0.2, 0.1), 8),
        (paused(10, 0.0049, 0.29), 11),
        (paused(10, 0.0047, 0.29), 15),
        (paused(2, 0.0137, 0.2), 3),
        (paused(2, 0.0136, 0.2), 7),
        (turned(0.971), 6),
        (turned(0.969), 5),
    ],
)
def test_a_hand_leaves_up_to_its_first_pause_or_its_farthest(frames: Frames, leaves: int) -> None:
    assert frames.of_one(called(frames)).count(CODE["retreat"]) == leaves
