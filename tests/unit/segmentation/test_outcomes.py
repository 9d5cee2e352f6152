"""How segments ended, by what happened in them and after: cases on both sides of what decides."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scripted_frames import EPISODES, Frames, Script, each_case
from sima2.records.rollout import Goal
from sima2.records.vocabulary import LABELS, OUTCOMES, REASONS
from sima2.segmentation.outcomes import OutcomeSettings, Spans, judge
from sima2.segmentation.states import State

MARKS = {"success": "", "unknown": "?", "failure": "!", "retry": "~"}
ABOVE = (0.0, 0.0, 1.0)


def spans_of(frames: Frames) -> Spans:
    features, states, vain = frames.features(), frames.states(), frames.column("in_vain")
    spans = judge(frames.batch(), features, states, frames.label, frames.failed, OutcomeSettings(), in_vain=vain)
    return spans.take(np.flatnonzero(spans.episode == EPISODES // 2))


def told(script: Script) -> str:
    """Labels, each with how it ended: ``?`` left open, ``!`` failed, ``~`` tried again, and why."""
    one = spans_of(script())
    each = zip(one.label.tolist(), one.outcome.tolist(), one.reason.tolist(), strict=True)
    return " ".join(f"{LABELS[label]}{MARKS[OUTCOMES[how]]}{REASONS[why]}" for label, how, why in each)


def up(label: str = "transport", *, noise: float = 0.0, **other: Any) -> Frames:
    """A thing is held, 1 m up."""
    return Frames(things=(ABOVE,), hand=ABOVE, noise=noise).do(label, state=State.SIDE, holds=True, **other)


def lost(label: str, after: str, fall: float, late: int = 0, *, holds: bool = False, **other: Any) -> Frames:
    """It goes on lying in the air for some frames of what comes after, and then falls so far in one."""
    made = up(label, **other).do(after, 5, State.SLIP, holds=True).do("retreat", 1 + late, holds=holds)
    return made.do("retreat", 1, thing=(0, 0, 1 - fall), holds=holds).do("retreat", 9, holds=holds)


def hit(state: State, before: str = "transport") -> Frames:
    return up(before).do("collision", state=state, holds=True).do("place", 5, State.OPENING, holds=True)


def only_felt(*labels: str, felt: bool = True, **other: Any) -> Frames:
    """Segments of a hand by which nothing is seen."""
    made = Frames(felt=felt)
    for label in labels:
        made.do(label, **other)
    return made


def closed(moving: int, *, after: str = "", held: bool = False, felt: bool = True) -> Frames:
    """Fingers that closed on nothing, in ten frames, over some of which the hand moves."""
    made = Frames(felt=felt).do("grasp", 10 - moving, State.CLOSING, failed=True)
    made.do("grasp", moving, State.CLOSING, to=(1, 0, 0), failed=True, holds=held)
    return made.do(after, 5, State.PRESS) if after else made


def tried_after(label: str) -> Frames:
    return closed(8, after=label).do("grasp", 5, State.HOLD, holds=True)


def let_go(label: str = "release", *, fall: float = 0.5, again: str = "grasp") -> Frames:
    """It is let go, falls in a frame, and then comes what the hand does next with it."""
    made = up().do(label, 3, State.HOLD, holds=True).do(label, 2, State.OPENING)
    made.do("retreat", 1, thing=(0, 0, 1 - fall)).do("retreat", 8)
    if again:
        made.do("approach").do(again, 5, State.CLOSING).do(again, 2, State.HOLD, holds=True)
    return made


def untracked(label: str = "release", *, again: float = 0.1) -> Frames:
    """The same of a thing that is carried by a hand that is not tracked, and that then carries it so far again."""
    made = Frames(things=(ABOVE,), hand=ABOVE, known={"position": None})
    made.do("transport", state=State.SIDE, to=(0.3, 0, 1), holds=True).do(label, 3, State.HOLD, holds=True)
    made.do(label, 2, State.OPENING).do("retreat", 1, thing=(0.3, 0, 0)).do("retreat", 8)
    made.do("grasp", 5, State.CLOSING).do("lift", 1, State.RISE, holds=True)
    return made.do("lift", 5, State.RISE, to=(0.3, 0, 1 + again), holds=True)


def came_down(
    hand: float, fall: float, *, over: int = 2, frames: int = 2, again: bool = True, noise: float = 0.0
) -> Frames:
    """A hand that sinks so far in some frames, and opens; in the last frames that count, its load is so far down."""
    made = up(noise=noise).do("place", 3, State.DOWN, holds=True)
    made.do("place", over, State.DOWN, to=(0, 0, 1 - hand), holds=True)
    made.do("place", 5 - frames + 1, State.OPENING).do("place", 1, State.OPENING, thing=(0, 0, 1 - hand - fall))
    made.do("retreat", frames + 5)
    return made.do("grasp", 5, State.HOLD, holds=True) if again else made


def pulled(way: float) -> Frames:
    made = Frames(things=(ABOVE,)).do("pull", 1, State.PRESS, holds=True)
    return made.do("pull", 10, State.PRESS, to=(way, 0, 0), holds=True).do("release", state=State.OPENING)


def sticks(way: float, first: int = 0, last: int = 0) -> Frames:
    """In some of ten frames it does not give way."""
    made = Frames(things=(ABOVE,)).do("pull", 1, State.STUCK if first else State.PRESS, holds=True)
    made = made.do("pull", first - 1, State.STUCK, holds=True) if first else made
    made.do("pull", 10 - max(first, 1) - last, State.PRESS, to=(way, 0, 0), holds=True)
    return made.do("pull", last, State.STUCK, holds=True)


def stroke(made: Frames, force: float, at: float = 0.0, *, failed: bool = False) -> Frames:
    """Over an area of 1 m by 1 m."""
    for to in ((at, 0, 0), (at + 1, 1, 0), (at + 1, 1, 0)):
        made.do("wipe", 1, State.PRESS, to=to, holds=True, force=force, failed=failed)
    return made


def wiped(*forces: float, apart: float = 0.0, between: str = "lift", rule: float = np.nan) -> Frames:
    made = Frames(things=(ABOVE,), press_force=rule)
    for k, force in enumerate(forces):
        stroke(made, force, k * apart).do(between, 3, State.SIDE, holds=True)
    return made.do("place", 3, State.OPENING)


def pushes(first: float, second: float, *, apart: float = 0.0, between: str = "retreat", noise: float = 0.0) -> Frames:
    """Two pushes under which a thing moves so far, and how far apart they begin."""
    made = Frames(things=((1, 0, 0),), noise=noise).do("push", 1).do("push", thing=(1 + first, 0, 0))
    made.do(between, to=(apart, 0, 0))
    return made.do("push", 1).do("push", thing=(1 + first + second, 0, 0)).do("retreat")


def placed(
    wander: float = 0.0,
    late: int = 0,
    *,
    goal: Goal | None = None,
    then: str = "retreat",
    noise: float = 0.0,
    hidden: int = -1,
    label: str = "place",
) -> Frames:
    """A thing is put down at the origin, and so many frames after wanders off in one; some frames it is not seen."""
    made = Frames(things=((0, 0, 0), (0.2, 0, 0)), goal=goal, noise=noise).do("transport", state=State.SIDE, holds=True)
    made.do(label, state=State.DOWN, holds=True).do(label, 3, State.OPENING)
    end, held = len(made.rows), then in ("lift", "transport", "wipe", "pull")
    made.do(then, 1 + late, holds=held).do(then, 1, thing=(wander, 0, 0), holds=held).do(then, 15, holds=held)
    for row in made.rows[end - 1 : end + hidden]:
        row["seen"] = False
    return made


def aimed(off: float, **other: Any) -> Goal:
    return Goal(object="thing 0", place=(off, 0, 0), tolerance=0.1, **other)


def aside(*before: str) -> Frames:
    """It is put down elsewhere than where it should be, after something."""
    made = Frames(things=((0, 0, 0),), goal=aimed(0.5))
    for label in before if len(before) > 1 else ("grasp", *before):
        made.do(label, state=State.SIDE, holds=True, failed=label == "place")
    made = made.do("lift", state=State.RISE, holds=True) if before == ("place",) else made
    return made.do("place", state=State.OPENING, holds=True).do("retreat", 15)


def nudged(then: str, load: int = 0) -> Frames:
    """A push to elsewhere than where it should be, and then it, or something else, is taken."""
    made = Frames(things=((0, 0, 0), (9, 0, 0)), goal=aimed(0.5)).do("push", 1).do("push", thing=(0.1, 0, 0))
    return made.do("retreat", 15).do(then, state=State.HOLD, holds=True, load=load)


def put_right(way: float, *, slot: int = 0, then: str = "place", by: str = "grasp", label: str = "place") -> Frames:
    """What was put down is taken up again, and put down so far away."""
    made = placed(label=label).do(by, 1, State.HOLD, holds=True, load=slot)
    made.do(by, 4, State.HOLD, to=(0.02, 0, 0), holds=True, load=slot)
    made.do("transport", state=State.SIDE, to=(way, 0, 0), holds=True, load=slot)
    return made.do(then, state=State.DOWN, holds=True, load=slot).do("retreat")


def missed(times: int, *, labels: tuple[str, ...] = ("grasp",)) -> Frames:
    made = Frames(things=(ABOVE,))
    for k in range(times):
        made.do(labels[k % len(labels)], state=State.CLOSING, failed=True).do("retreat")
    return made


CASES: dict[str, list[tuple[Script, str]]] = {
    "slipped and fell": [
        (lambda: lost("idle", "slip", 0.0301), "idle slip!drop retreat"),
        (lambda: lost("idle", "slip", 0.0301, holds=True), "idle slip!gripper_slip retreat"),
    ],
    "slipped": [
        (lambda: lost("idle", "slip", 0.0299), "idle slip!gripper_slip retreat"),
        (lambda: lost("idle", "slip", 0.5, 3), "idle slip!drop retreat"),
        (lambda: lost("idle", "slip", 0.5, 4), "idle slip!gripper_slip retreat"),
    ],
    "stopped on the way down": [(lambda: hit(State.BLOCKED, "idle"), "idle collision!obstructed place")],
    "collided": [(lambda: hit(State.BUMP, "idle"), "idle collision!collision place")],
    "lost by a fall": [
        (lambda: lost("transport", "slip", 0.5), "transport!drop slip!drop retreat"),
        (lambda: lost("grasp", "slip", 0.5), "grasp!gripper_slip slip!drop retreat"),
    ],
    "lost by a slip": [(lambda: lost("lift", "slip", 0.0), "lift!gripper_slip slip!gripper_slip retreat")],
    "ended by an obstacle": [
        (lambda: hit(State.BLOCKED), "transport!obstructed collision!obstructed place"),
        (lambda: up("lift").do("place", 1, State.BLOCKED, holds=True).do("place", state=State.OPENING), "lift place"),
    ],
    "ended by a collision": [(lambda: hit(State.BUMP), "transport!collision collision!collision place")],
    "fingers do not tell": [
        (
            lambda: only_felt("lift", "transport", "place", "release", "wipe", "push", "retreat", felt=False),
            "lift? transport? place? release? wipe? push? retreat",
        ),
        (lambda: only_felt("grasp", "pull", "idle", felt=False, to=ABOVE), "grasp pull!locked idle"),
        (lambda: only_felt("lift", "transport", "place", "push"), "lift transport place push"),
    ],
    "closes in passing": [
        (lambda: closed(8), "grasp?"),
        (lambda: closed(7), "grasp!missed_grasp"),
        (lambda: closed(8, felt=False), "grasp!missed_grasp"),
        (lambda: closed(8, held=True), "grasp"),
        (lambda: closed(8, after="grasp"), "grasp!missed_grasp"),
        (lambda: tried_after("wipe"), "grasp~missed_grasp wipe grasp"),
        (lambda: tried_after("idle"), "grasp? idle grasp"),
        (lambda: tried_after("push"), "grasp? push grasp"),
        (lambda: tried_after("place"), "grasp? place grasp"),
        (lambda: tried_after("pull"), "grasp? pull!locked grasp"),
        (lambda: closed(8).do("lift", 5, State.RISE, holds=True), "grasp lift"),
        (lambda: closed(8).do("push", 5, State.PRESS), "grasp? push"),
        (lambda: only_felt("grasp", to=ABOVE), "grasp"),
        (lambda: Frames(things=(ABOVE,)).do("grasp", failed=True, to=(1, 0, 0)), "grasp!missed_grasp"),
    ],
    "missed": [
        (lambda: missed(1), "grasp!missed_grasp retreat"),
        (lambda: closed(7, after="push"), "grasp!missed_grasp push"),
        (lambda: closed(8, after="approach").do("grasp"), "grasp~missed_grasp approach grasp"),
    ],
    "lost at once": [
        (
            lambda: up("grasp", failed=True).do("release", 5, State.OPENING).do("retreat"),
            "grasp!gripper_slip release retreat",
        ),
        (lambda: up("grasp", failed=True).do("lift", 5, State.RISE, holds=True), "grasp lift"),
        (lambda: up("grasp", failed=True), "grasp"),
        (lambda: up("grasp").do("release", 5, State.OPENING), "grasp release"),
        (
            lambda: Frames(felt=False).do("grasp", failed=True, holds=True).do("push", 5, State.FREE),
            "grasp push?",
        ),
        (lambda: up("grasp", failed=True).do("grasp", 1, State.OPENING, holds=True), "grasp"),
    ],
    "held fast": [
        (lambda: pulled(0.0119), "pull!locked release"),
        (lambda: pulled(0.0121), "pull release"),
        (lambda: sticks(0.0499, first=6), "pull!locked"),
        (lambda: sticks(0.0501, first=6), "pull"),
        (lambda: sticks(0.0499, last=1), "pull!locked"),
        (lambda: sticks(0.0499, first=5), "pull"),
    ],
    "wiped weakly": [
        (lambda: wiped(5.49, rule=10), "wipe!insufficient_force lift place"),
        (lambda: wiped(5.51, rule=10), "wipe lift place"),
        (lambda: wiped(5.49, 10), "wipe~insufficient_force lift wipe lift place"),
    ],
    "lost the tool": [
        (
            lambda: stroke(Frames(things=(ABOVE,)), 5, failed=True).do("retreat"),
            "wipe!gripper_slip retreat",
        ),
        (lambda: stroke(Frames(felt=False), 5, failed=True).do("retreat"), "wipe? retreat"),
    ],
    "wiped again": [
        (lambda: wiped(5.51, 10), "wipe~incomplete lift wipe lift place"),
        (lambda: wiped(5, 5, apart=0.69), "wipe~incomplete lift wipe lift place"),
        (lambda: wiped(5, 5, apart=0.71), "wipe lift wipe lift place"),
        (lambda: wiped(5, 5, between="place"), "wipe place wipe place"),
    ],
    "not put down": [
        (lambda: up("place", failed=True).do("lift", 5, State.RISE, holds=True), "place!obstructed lift"),
        (lambda: up("place", failed=True).do("idle", 5, State.HOLD, holds=True), "place!gripper_slip idle"),
        (lambda: up("place", failed=True).do("place", 1, failed=True).do("lift"), "place!gripper_slip lift"),
        (lambda: up("place").do("lift", state=State.RISE, holds=True), "place lift"),
        (lambda: up("place", failed=True).do("transport", holds=True).do("place"), "place!obstructed transport place"),
        (
            lambda: up("place", failed=True).do("recovery_maneuver").do("push"),
            "place!obstructed recovery_maneuver push?",
        ),
    ],
    "dropped": [
        (lambda: up(failed=True).do("retreat", thing=(0, 0, 0)), "transport!drop retreat"),
        (lambda: up("wipe", failed=True).do("retreat", thing=(0, 0, 0)), "wipe!gripper_slip retreat"),
        (lambda: up("lift", failed=True).do("retreat", thing=(0, 0, 0)), "lift!drop retreat"),
        (lambda: up("place", failed=True).do("retreat", thing=(0, 0, 0)), "place!drop retreat"),
        (lambda: up("pull", to=(0, 0, 2), failed=True).do("retreat", thing=(0, 0, 0)), "pull!drop retreat"),
        (lambda: up().do("retreat", thing=(0, 0, 0)), "transport? retreat"),
    ],
    "lost": [
        (lambda: up(failed=True).do("retreat"), "transport!gripper_slip retreat"),
        (lambda: up("lift", failed=True).do("retreat"), "lift!gripper_slip retreat"),
        (lambda: up("pull", to=(0, 0, 2), failed=True).do("retreat"), "pull!gripper_slip retreat"),
        (lambda: only_felt("pull", felt=False, to=ABOVE, failed=True).do("idle"), "pull!gripper_slip idle"),
        (lambda: only_felt("lift", felt=False, failed=True).do("idle"), "lift? idle"),
    ],
    "let fall and taken again": [
        (let_go, "transport release!drop retreat approach grasp"),
        (lambda: let_go(again="push"), "transport release? retreat approach push?"),
        (lambda: let_go(fall=0.0), "transport release retreat approach grasp"),
    ],
    "let go high": [
        (lambda: let_go("place"), "transport place!drop retreat approach grasp"),
        (lambda: came_down(0.0, 0.0301), "transport place!drop retreat grasp"),
        (lambda: came_down(0.0, 0.0299), "transport place retreat grasp"),
        (lambda: came_down(0.0, 0.0301, frames=1), "transport place retreat grasp"),
        (lambda: came_down(0.0, 0.0301, again=False), "transport place retreat"),
        (lambda: came_down(0.2, 0.1051, over=4), "transport place!drop retreat grasp"),
        (lambda: came_down(0.2, 0.1049, over=4), "transport place retreat grasp"),
        (lambda: came_down(0.0, 0.0351, noise=0.001), "transport place!drop retreat grasp"),
        (lambda: came_down(0.0, 0.0349, noise=0.001), "transport place retreat grasp"),
        (untracked, "transport release!drop retreat grasp lift"),
        (lambda: untracked("place"), "transport place!drop retreat grasp lift"),
        (lambda: untracked("wipe"), "transport wipe retreat grasp lift"),
        (lambda: untracked(again=0.0301), "transport release!drop retreat grasp lift"),
        (lambda: untracked(again=0.0299), "transport release? retreat grasp lift"),
    ],
    "pushed too weakly": [
        (lambda: pushes(0.0049, 0.0051), "push~insufficient_force retreat push retreat"),
        (lambda: pushes(0.0051, 0.0051), "push retreat push retreat"),
        (lambda: pushes(0.0, 0.01, apart=0.099), "push~insufficient_force retreat push retreat"),
        (lambda: pushes(0.0, 0.01, apart=0.101), "push? retreat push retreat"),
        (lambda: pushes(0.0099, 0.0101, noise=0.001), "push~insufficient_force retreat push retreat"),
        (lambda: pushes(0.0, 0.01, between="wipe"), "push? wipe push retreat"),
        (lambda: pushes(0.0, 0.01, between="pull"), "push? pull!locked push retreat"),
        (lambda: pushes(0.0, 0.01, between="grasp"), "push? grasp push retreat"),
        (lambda: pushes(0.0, 0.01, between="place"), "push? place push retreat"),
        (lambda: pushes(0.0, 0.0), "push? retreat push? retreat"),
    ],
    "pushed in vain": [(lambda: pushes(0.01, 0.0049), "push retreat push? retreat")],
    "wanders": [
        (lambda: placed(0.0201), "transport place!unstable retreat"),
        (lambda: placed(0.0199), "transport place retreat"),
        (lambda: placed(0.0251, noise=0.001), "transport place!unstable retreat"),
        (lambda: placed(0.0249, noise=0.001), "transport place retreat"),
        (lambda: placed(0.5, 8), "transport place!unstable retreat"),
        (lambda: placed(0.5, 9), "transport place retreat"),
        (lambda: placed(0.5, then="lift"), "transport place lift"),
        (lambda: placed(0.5, then="wipe"), "transport place wipe"),
        (lambda: placed(0.5, then="transport"), "transport place transport?"),
        (lambda: placed(0.5, then="pull"), "transport place pull!locked"),
        (lambda: placed(0.5, 4, hidden=5), "transport place retreat"),
        (lambda: placed(0.5, 4, hidden=4), "transport place!unstable retreat"),
        (lambda: placed(0.5, 4, hidden=15), "transport place retreat"),
        (lambda: placed(0.5, 4, hidden=50), "transport place retreat"),
        (lambda: placed(0.5, 11, hidden=15), "transport place retreat"),
    ],
    "misplaced": [
        (lambda: placed(goal=aimed(0.1001)), "transport place!misplaced retreat"),
        (lambda: placed(goal=aimed(0.0999)), "transport place retreat"),
        (lambda: placed(goal=aimed(0.5, relation="held")), "transport place retreat"),
        (lambda: placed(goal=Goal("thing 1", place=(9, 0, 0), tolerance=0.1)), "transport place retreat"),
        (lambda: placed(goal=Goal("thing 0", "thing 1", tolerance=0.19)), "transport place!misplaced retreat"),
        (lambda: placed(goal=Goal("thing 0", "thing 1", tolerance=0.21)), "transport place retreat"),
        (lambda: placed(goal=Goal("thing 0", "thing 1")), "transport place retreat"),
        (lambda: placed(goal=Goal("thing 0", "nowhere", tolerance=0.1)), "transport place retreat"),
        (lambda: placed(0.3, goal=aimed(0.0)), "transport place!unstable retreat"),
        (lambda: aside("collision"), "grasp!collision collision!collision place retreat"),
        (lambda: aside("place"), "grasp place~obstructed lift place retreat"),
        (lambda: aside("transport"), "grasp transport place!misplaced retreat"),
        (lambda: aside("collision", "grasp"), "collision!collision grasp place!misplaced retreat"),
        (lambda: nudged("grasp"), "push retreat grasp"),
        (lambda: nudged("pull"), "push!misplaced retreat pull!locked"),
        (lambda: nudged("grasp", load=1), "push!misplaced retreat grasp"),
        (
            lambda: placed(goal=aimed(0.5)).do("grasp", state=State.HOLD, holds=True),
            "transport place!misplaced retreat grasp",
        ),
        (lambda: placed(goal=aimed(0.5), label="release"), "transport release!misplaced retreat"),
    ],
    "put right": [
        (lambda: put_right(0.099), "transport place~misplaced retreat grasp transport place retreat"),
        (lambda: put_right(0.101), "transport place retreat grasp transport place retreat"),
        (lambda: put_right(0.05, slot=1), "transport place retreat grasp transport place retreat"),
        (lambda: put_right(0.05, then="lift"), "transport place retreat grasp transport lift retreat"),
        (lambda: put_right(0.05, by="pull"), "transport place retreat pull transport place retreat"),
        (lambda: put_right(0.05, label="release"), "transport release retreat grasp transport place retreat"),
    ],
    "without a name": [(lambda: only_felt("unknown", "idle"), "unknown? idle")],
    "corrects into nothing": [
        (lambda: only_felt("push", "recovery_maneuver"), "push recovery_maneuver?"),
        (lambda: only_felt("recovery_maneuver", "push"), "recovery_maneuver push"),
    ],
    "approaches nothing": [
        (lambda: only_felt("approach"), "approach?"),
        (lambda: only_felt("approach", "idle"), "approach idle"),
        (lambda: Frames(things=(ABOVE,)).do("approach"), "approach"),
    ],
    "arrives nowhere": [
        (lambda: only_felt("transport", "idle", "retreat"), "transport? idle retreat"),
        (lambda: only_felt("transport", "release"), "transport release"),
    ],
    "falls after release": [
        (lambda: let_go(fall=0.0301, again=""), "transport release? retreat"),
        (lambda: let_go(fall=0.0299, again=""), "transport release retreat"),
    ],
    "taken by assumption": [
        (lambda: only_felt("grasp", "pull", to=ABOVE, unsure=True), "grasp? pull!locked"),
        (lambda: only_felt("grasp").do("lift", unsure=True), "grasp? lift"),
        (lambda: only_felt("push").do("lift", unsure=True), "push lift"),
        (lambda: only_felt("grasp", unsure=True).do("lift"), "grasp? lift"),
        (lambda: only_felt("pull", to=ABOVE, unsure=True).do("release"), "pull? release"),
    ],
    "nothing done after": [
        (lambda: only_felt("grasp", "retreat", felt=False), "grasp? retreat"),
        (lambda: only_felt("grasp", "push", felt=False), "grasp push?"),
        (lambda: only_felt("grasp", "retreat", felt=False, blocked=True), "grasp retreat"),
    ],
    "sees nothing": [
        (lambda: only_felt("approach", in_vain=True).do("idle"), "approach!timeout idle"),
        (lambda: only_felt("approach"), "approach?"),
        (lambda: only_felt("retreat", in_vain=True).do("idle"), "retreat idle"),
    ],
    "tried again": [
        (lambda: missed(2), "grasp~missed_grasp retreat grasp!missed_grasp retreat"),
        (lambda: missed(2, labels=("grasp", "pull")), "grasp!missed_grasp retreat pull!locked retreat"),
        (lambda: only_felt("slip", "idle", "slip"), "slip!gripper_slip idle slip!gripper_slip"),
    ],
}
"""Of each rule, what is told with it; at least one of its cases is told otherwise without it."""


@pytest.mark.parametrize(("script", "expected"), each_case(CASES))
def test_a_segment_ends_as_its_case_says(script: Script, expected: str) -> None:
    assert told(script) == expected


def test_a_segment_is_about_what_is_held_or_near_or_comes_before_or_after() -> None:
    made = Frames(things=((0.1, 0, 0), (1.1, 0, 0), (2, 0, 0))).do("approach").do("grasp", state=State.CLOSING)
    made.do("lift", state=State.RISE, to=(0, 0, 1), holds=True).do("transport", state=State.SIDE, holds=True)
    made.do("collision", state=State.BUMP, to=(1, 0, 0), holds=True).do("recovery_maneuver", to=(0, 0, 1), holds=True)
    made.do("wipe", state=State.PRESS, holds=True).do("slip", 2, State.SLIP, holds=True).do("slip", 3)
    made.do("pull", 2, State.PRESS, holds=True, load=2).do("pull", 3).do("idle")
    made.do("approach").do("place", 2, State.DOWN, holds=True).do("place", 3, State.OPENING).do("retreat")
    made.do("recovery_maneuver").do("release", state=State.OPENING).do("push", to=(1, 0, 0)).do(
        "approach", to=(2, 0, 0)
    )
    one = spans_of(made)
    about = zip(one.label.tolist(), one.slot.tolist(), strict=True)
    assert " ".join(f"{LABELS[label]} {slot}" for label, slot in about) == (
        "approach 0 grasp 0 lift 0 transport 0 collision 1 recovery_maneuver 0 wipe 0 slip 0 pull 2 idle -1 "
        "approach 0 place 0 retreat 0 recovery_maneuver 0 release 0 push 1 approach 2"
    )
