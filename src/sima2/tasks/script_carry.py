"""Scripts that lift something and put it down elsewhere: dishes, objects, bins, resets, tools."""

from __future__ import annotations

from dataclasses import replace

from sima2.tasks.phrases import (
    back_up,
    carry,
    collide,
    fall,
    give_up,
    leave,
    let_go,
    lift,
    lower,
    missed_pick,
    pick,
    place,
    slide_off,
    without_event,
)
from sima2.tasks.steps import Step, Steps, corrected, exposed

_STRIKES = {
    "slip": ("squeeze",),
    "drop": ("lift",),
    "drop_en_route": ("carry",),
    "target_obstructed": ("lower",),
    "misalignment": ("lower",),
    "unstable_place": ("settle",),
    "wrong_bin": ("carry",),
    "bin_full": ("lower",),
    "clutter_collision": ("carry",),
    "collision_lock": ("carry",),
}
"""Failure mode to the step its hazard acts in."""

STATES = {
    "slip": "lost",
    "drop": "lost",
    "drop_en_route": "lost",
    "misalignment": "placed",
    "unstable_place": "placed",
    "wrong_bin": "placed",
    "bin_full": "placed",
    "target_obstructed": "held",
    "clutter_collision": "held",
    "collision_lock": "held",
}


def nominal(mode: str = "") -> Steps:
    """Pick, lift, carry, place, leave."""
    return exposed((*pick(), *lift(), *carry(), *place(), *leave()), *_STRIKES.get(mode, ()))


def strike(mode: str) -> Steps:
    """What the failure event does."""
    failed = {"outcome": "failure", "reason": "misplaced"}
    if mode == "slip":
        return slide_off()
    if mode in ("drop", "drop_en_route"):
        return fall()
    if mode == "target_obstructed":
        return collide("obstacle", "obstructed", ("item",))
    if mode in ("clutter_collision", "collision_lock"):
        return collide("obstacle", "collision", ("item",), shove="drift")
    if mode == "misalignment":
        (step,) = lower(offset="off_target")
        return (replace(step, event=True, outcome="failure", reason="misplaced"), *let_go(**failed))
    if mode == "wrong_bin":
        (turn,) = carry(dest="third")
        (down,) = lower(dest="third")
        return (replace(turn, event=True), replace(down, **failed), *let_go(**failed))  # type: ignore[arg-type]
    if mode == "unstable_place":
        return (
            Step("place", "tip", (), "item", own=("tip", "item", "slide"), event=True, outcome="failure",
                 reason="unstable"),
        )  # fmt: skip
    touch, let, settle = let_go("item", "failure", "obstructed")  # bin_full
    return (
        replace(touch, event=True, profile="coast"),
        let,
        replace(settle, time="fall", own=("fall", "item", "outside")),
    )


def again(dest_offset: str = "down", arc: str = "carry_arc") -> Steps:
    """The whole task once more from the approach."""
    return (*corrected(pick()), *lift(), *carry(arc=arc), *place(offset=dest_offset), *leave())


def push_onto(offset: str = "down", outcome: str = "success", reason: str = "") -> Steps:
    """Push the object along the table with closed fingers."""
    return corrected(
        (
            Step("recovery_maneuver", "close", width="shut", grip="zero"),
            Step("approach", "reach", ("behind", "item", "target", "behind"), "item"),
            Step("push", "push", ("onto", "item", "target", offset), "item", force="pushing", direction="against",
                 carry=("item",), own=("right", "item", "none"), outcome=outcome, reason=reason),
            Step("push", "touch", (), "item", force="zero", outcome=outcome, reason=reason),
        )
    )  # fmt: skip


def clear_way() -> Steps:
    """Push the obstacle aside with closed fingers."""
    return corrected(
        (
            Step("recovery_maneuver", "close", width="shut", grip="zero"),
            Step("approach", "reach", ("at", "obstacle", "fist"), "obstacle", pitch="pitch", roll="roll"),
            Step("push", "push", ("rel", "shove"), "obstacle", force="pushing", direction="against",
                 carry=("obstacle",)),
            Step("retreat", "leave", ("rel", "up"), force="zero"),
        )
    )  # fmt: skip


def put_aside() -> Steps:
    """Back up with the object, set it down beside the target, let go."""
    return corrected(
        (
            *back_up(("raise", "raise"), load=("item",)),
            Step("recovery_maneuver", "aside", ("onto", "item", "target", "aside"), carry=("item",)),
            Step("recovery_maneuver", "open", width="wide", grip="zero"),
            Step("recovery_maneuver", "raise", ("rel", "up")),
        )
    )


def shake(role: str) -> Steps:
    """Take the bin by its rim, shake it, let go."""
    shaking = tuple(
        Step("recovery_maneuver", "wiggle", ("rel", sway), carry=(role,)) for sway in ("sway_a", "sway_b") * 2
    )
    return corrected(
        (
            Step("approach", "reach", ("at", role, "rim"), role, "pitch", "roll", "wide", "zero", "zero"),
            Step("grasp", "close", about=role, width="rim_width"),
            Step("grasp", "squeeze", about=role, grip="weak_hold"),
            *shaking,
            Step("release", "open", about=role, width="wide", grip="zero"),
            Step("retreat", "leave", ("rel", "up")),
        )
    )


def recover(mode: str, strategy: str) -> Steps:
    """From the failure to the goal."""
    state = STATES[mode]
    if state == "held":
        return _recover_held(mode, strategy)
    stand_back = back_up(("raise", "up"), width="wide")
    if strategy == "nudge":
        return (*stand_back, *push_onto(), *leave())
    if strategy == "clear_obstruction":
        return (*stand_back, *clear_way(), *again())
    if strategy == "shake_bin":
        bin_ = "third" if mode == "wrong_bin" else "target"
        return (*stand_back, *shake(bin_), *again())
    if strategy in ("retry_pick", "back_off", "approach_anew"):
        return (*back_up(("raise", "up"), ("back_off", "retract"), width="wide"), *again(arc="high_arc"))
    return (*stand_back, *again())


def _recover_held(mode: str, strategy: str) -> Steps:
    if strategy == "clear_obstruction":
        return (*put_aside(), *clear_way(), *again())
    if strategy == "retry_pick":
        return (*put_aside(), *again("away"))
    rest = (*carry(arc="high_arc"), *place(offset="away" if mode == "target_obstructed" else "down"), *leave())
    if strategy == "shake_bin":
        sway = (("wiggle", "sway_a"), ("wiggle", "sway_b"))
        return (*back_up(("back_off", "retract"), *sway, load=("item",)), *rest)
    if strategy == "pick_from_drop":
        return (*put_aside(), *again(arc="high_arc"))
    return (*back_up(("raise", "raise"), load=("item",)), *rest)


def vain(mode: str, strategy: str) -> Steps:
    """An attempt that fails, back to the state the failure left."""
    state = STATES[mode]
    if state == "held":
        hit = without_event(strike(mode))
        if mode == "target_obstructed":
            down = Step("place", "lower", ("onto", "item", "target", "high_stop"), "item", carry=("item",),
                        outcome="failure", reason="obstructed")  # fmt: skip
            return corrected((*back_up(("raise", "raise"), load=("item",)), down, *hit))
        on = Step("transport", "aside", ("rel", "toward"), "item", carry=("item",), outcome="failure",
                  reason="collision")  # fmt: skip
        return corrected((*back_up(("back_off", "retract"), load=("item",)), on, *hit))
    stand_back = back_up(("raise", "up"), width="wide")
    if strategy == "nudge":
        return corrected((*stand_back, *push_onto("short", "failure", "misplaced")))
    return corrected((*stand_back, *missed_pick()))


def abort(mode: str) -> Steps:
    """After the last attempt."""
    return give_up(STATES[mode])


def pass_over() -> Steps:
    """A glancing collision that the arm simply carries on from."""
    return (*carry(arc="high_arc"), *place(), *leave())
