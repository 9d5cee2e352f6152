"""What follows a failure is a recovery: cases on both sides of what decides."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest

from scripted_frames import Frames, Script, each_case
from sima2.records.vocabulary import LABELS
from sima2.segmentation.recoveries import RecoverySettings, failed_releases, label_recoveries
from sima2.segmentation.states import State


def told(script: Script) -> str:
    """Labels, and how many frames each lasts."""
    frames = script()
    label = label_recoveries(frames.features(), frames.states(), frames.label, frames.failed, RecoverySettings())
    return ", ".join(f"{LABELS[code]} {len(list(some))}" for code, some in groupby(frames.of_one(label)))


def opened(before: bool = True, here: bool = True, label: str = "release", then: str = "approach") -> Frames:
    return Frames().do("grasp", failed=before).do(label, 5, State.OPENING, failed=here).do(then)


def wiped(*between: str, failed: bool = True) -> Frames:
    made = Frames().do("wipe", failed=failed)
    for label in between:
        made.do(label)
    return made.do("wipe")


def turned(
    cosine: float,
    far: float = 0.1,
    *,
    by: str = "collision",
    label: str = "transport",
    bend: float = 0,
    failed: bool = True,
) -> Frames:
    """A load comes along x, perhaps by a bend, is stopped, and goes on at an angle to that way."""
    made = Frames(hand=(-0.3, 0.1 * bend, 0)).do("transport", 4, State.SIDE)
    made.do("transport", 3, State.SIDE, to=(-0.3, 0, 0))
    made.do("transport" if by == "collision" else by, 3, State.SIDE, to=(0, 0, 0), failed=failed)
    if by == "collision":
        made.do("collision", 2, State.BUMP, failed=True)
    made.do(label, 1, State.HOLD)
    return made.do(label, 5, State.SIDE, to=(far * cosine, far * np.sqrt(1 - cosine**2), 0))


def turned_twice(first: float) -> Frames:
    """A load is stopped, goes back so far, rests, and goes on."""
    return turned(-1, first).do("transport", 2, State.HOLD).do("transport", 5, State.SIDE, to=(1, 0, 0))


def eased(
    frames: int, force: float, *, first: float = 10, last: float = 10, come: float = 0.0, begins: int = 5, ends: int = 5
) -> Frames:
    """A pull in vain with a force, with less of it for some frames, then perhaps with a force again."""
    made = Frames().do("pull", begins, force=first).do("pull", frames, force=force, to=(come, 0, 0))
    return made.do("pull", ends, force=last).do("release")


def pulsed(frames: int) -> Frames:
    """… with the force back for some frames in the middle."""
    made = Frames().do("pull", force=10).do("pull", 3, force=1).do("pull", frames, force=10).do("pull", 3, force=1)
    return made.do("pull", 5, force=10).do("release")


def rested(
    rest: int, leaves: int = 0, *, label: str = "wipe", failed: bool = True, then: str = "recovery_maneuver"
) -> Frames:
    """Strokes, a rest, and the way up with the last frames of contact."""
    made = Frames().do(label, 6, to=(0.6, 0, 0), failed=failed).do(label, rest, failed=failed)
    if leaves:
        made.do(label, leaves, to=(0.6, 0, 0.1 * leaves), failed=failed)
    return made.do(then, to=(0.6, 0, 1))


def slack(force: float, state: State = State.PRESS, *, label: str = "pull", failed: bool = True) -> Frames:
    made = Frames().do(label, 5, State.PRESS, force=10, failed=failed)
    return made.do(label, 5, state, force=force, failed=failed).do("recovery_maneuver")


CASES: dict[str, list[tuple[Script, str]]] = {
    "lets go": [
        (opened, "grasp 5, recovery_maneuver 5, approach 5"),
        (lambda: opened(before=False), "grasp 5, release 5, approach 5"),
        (lambda: opened(here=False), "grasp 5, release 5, approach 5"),
        (lambda: opened(then="retreat"), "grasp 5, release 5, retreat 5"),
        (lambda: opened(label="push"), "grasp 5, push 5, approach 5"),
    ],
    "between strokes": [
        (lambda: wiped("lift", "transport", "idle"), "wipe 5, recovery_maneuver 15, wipe 5"),
        (lambda: wiped("lift", "place"), "wipe 5, lift 5, place 5, wipe 5"),
        (lambda: wiped("lift", failed=False), "wipe 5, lift 5, wipe 5"),
        (lambda: wiped("lift").do("push"), "wipe 5, recovery_maneuver 5, wipe 5, push 5"),
        (lambda: Frames().do("wipe", failed=True).do("lift").do("push"), "wipe 5, lift 5, push 5"),
        (lambda: wiped("lift", "unknown", "recovery_maneuver"), "wipe 5, recovery_maneuver 15, wipe 5"),
        (lambda: Frames().do("push", failed=True).do("lift").do("wipe"), "push 5, lift 5, wipe 5"),
    ],
    "backs off": [
        (lambda: turned(0.49), "transport 10, collision 2, recovery_maneuver 6"),
        (lambda: turned(0.51), "transport 10, collision 2, transport 6"),
        (lambda: turned(0.51, bend=1), "transport 10, collision 2, transport 6"),
        (lambda: turned(-1, 0.0151), "transport 10, collision 2, recovery_maneuver 6"),
        (lambda: turned(-1, 0.0149), "transport 10, collision 2, transport 6"),
        (lambda: turned(0.49, by="place"), "transport 7, place 3, recovery_maneuver 6"),
        (lambda: turned(0.51, by="place"), "transport 7, place 3, transport 6"),
        (lambda: turned(0.49, label="wipe"), "transport 10, collision 2, wipe 6"),
        (lambda: turned_twice(0.0188), "transport 10, collision 2, recovery_maneuver 8, transport 5"),
        (lambda: turned_twice(0.0187), "transport 10, collision 2, transport 13"),
        (lambda: turned(0.49, by="place", failed=False), "transport 7, place 3, transport 6"),
        (lambda: turned(0.49, by="wipe"), "transport 7, wipe 3, transport 6"),
        (lambda: turned(0.49, label="lift"), "transport 10, collision 2, recovery_maneuver 6"),
        (lambda: turned(0.49, label="place"), "transport 10, collision 2, recovery_maneuver 6"),
    ],
    "eases": [
        (lambda: eased(5, 4.99), "pull 5, recovery_maneuver 5, pull 5, release 5"),
        (lambda: eased(5, 5.01), "pull 15, release 5"),
        (lambda: eased(4, 4.99), "pull 14, release 5"),
        (lambda: eased(5, 1, come=0.0119), "pull 5, recovery_maneuver 5, pull 5, release 5"),
        (lambda: eased(5, 1, come=0.0121), "pull 15, release 5"),
        (lambda: eased(5, 1, last=19.9), "pull 5, recovery_maneuver 5, pull 5, release 5"),
        (lambda: eased(5, 1, last=20.1), "pull 15, release 5"),
        (lambda: eased(5, 1, last=1), "pull 15, release 5"),
        (lambda: pulsed(2), "pull 5, recovery_maneuver 8, pull 5, release 5"),
        (lambda: pulsed(3), "pull 19, release 5"),
        (lambda: eased(5, 1, ends=2), "pull 5, recovery_maneuver 5, pull 2, release 5"),
        (lambda: eased(5, 1, begins=2), "pull 2, recovery_maneuver 5, pull 5, release 5"),
    ],
    "gives up": [
        (lambda: rested(3), "wipe 6, recovery_maneuver 8"),
        (lambda: rested(2), "wipe 8, recovery_maneuver 5"),
        (lambda: rested(2, 2), "wipe 6, recovery_maneuver 9"),
        (lambda: rested(1, 2), "wipe 9, recovery_maneuver 5"),
        (lambda: rested(2, 3), "wipe 11, recovery_maneuver 5"),
        (lambda: rested(4, failed=False), "wipe 10, recovery_maneuver 5"),
        (lambda: rested(4, then="retreat"), "wipe 10, retreat 5"),
        (lambda: slack(3.99), "pull 5, recovery_maneuver 10"),
        (lambda: slack(4.01), "pull 10, recovery_maneuver 5"),
        (lambda: slack(10, State.HOLD), "pull 5, recovery_maneuver 10"),
        (lambda: slack(1, failed=False), "pull 10, recovery_maneuver 5"),
        (lambda: rested(4, label="lift"), "lift 10, recovery_maneuver 5"),
        (lambda: slack(1, label="push"), "push 10, recovery_maneuver 5"),
        (
            lambda: Frames().do("pull", 5, State.HOLD, failed=True).do("recovery_maneuver"),
            "pull 5, recovery_maneuver 5",
        ),
    ],
}
"""Of each rule, what is told with it; at least one of its cases is told otherwise without it."""


@pytest.mark.parametrize(("script", "expected"), each_case(CASES))
def test_what_follows_a_failure_is_a_recovery_as_its_case_says(script: Script, expected: str) -> None:
    assert told(script) == expected


def test_what_is_let_go_right_after_a_failure_is_known_to_follow_it() -> None:
    made = opened(here=False).do("release").do("grasp")
    known = failed_releases(made.features(), made.label, made.failed)
    assert made.of_one(known) == [True] * 10 + [False] * 15
