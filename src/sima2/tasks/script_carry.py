"""The script that lifts something and puts it down elsewhere: dishes, objects, bins, resets."""

from __future__ import annotations

from dataclasses import replace

from sima2.tasks import phrases as say
from sima2.tasks.failure_modes import FAILURE_MODES
from sima2.tasks.steps import Skeleton, Step, Steps, corrected


def _bin_full() -> Steps:
    touch, let, settle = say.let_go()
    outside = replace(settle, time="fall", own=("fall", "item", "outside"))
    return say.struck(*say.failed("obstructed", replace(touch, profile="coast"), let, outside))


_TIPS = Step("place", "tip", (), "item", own=("tip", "item", "slide"))
_STRIKES = {
    "slip": say.slide_off(),
    "drop": say.fall(),
    "drop_en_route": say.fall(),
    "target_obstructed": say.collide("obstacle", "obstructed", ("item",)),
    "clutter_collision": say.collide("obstacle", "collision", ("item",), shove="drift"),
    "collision_lock": say.collide("obstacle", "collision", ("item",), shove="drift"),
    "misalignment": say.struck(*say.failed("misplaced", *say.place(offset="off_target"))),
    "wrong_bin": say.struck(*say.carry(dest="third"), *say.failed("misplaced", *say.place(dest="third"))),
    "unstable_place": say.struck(*say.failed("unstable", _TIPS)),
    "bin_full": _bin_full(),
}
"""What the failure event does, by failure mode."""


def again(dest_offset: str = "down", arc: str = "carry_arc") -> Steps:
    """The whole task once more from the approach."""
    return (*corrected(say.pick()), *say.lift(), *_onward(arc, dest_offset))


def _onward(arc: str, dest_offset: str = "down") -> Steps:
    """The rest, with the object in the hand."""
    return (*say.carry(arc=arc), *say.place(offset=dest_offset), *say.leave())


def push_onto(offset: str = "down", reason: str = "") -> Steps:
    """Push the object along the table with closed fingers; it fails where there is a reason."""
    pushing = (
        Step("push", "push", ("onto", "item", "target", offset), "item", force="pushing", direction="against",
             carry=("item",), own=("right", "item", "none")),
        Step("push", "touch", (), "item", force="zero"),
    )  # fmt: skip
    reach = Step("approach", "reach", ("behind", "item", "target", "behind"), "item")
    return corrected((_fist(), reach, *(say.failed(reason, *pushing) if reason else pushing)))


def _fist() -> Step:
    return Step("recovery_maneuver", "close", width="shut", grip="zero")


def clear_way() -> Steps:
    """Push the obstacle aside with closed fingers."""
    return corrected((
        _fist(),
        Step("approach", "reach", ("at", "obstacle", "fist"), "obstacle", pitch="pitch", roll="roll"),
        Step("push", "push", ("rel", "shove"), "obstacle", force="pushing", direction="against", carry=("obstacle",)),
        Step("retreat", "leave", ("rel", "up"), force="zero"),
    ))  # fmt: skip


def put_aside() -> Steps:
    """Back up with the object, set it down beside the target, let go."""
    return corrected((
        *say.back_up(("raise", "raise"), load=("item",)),
        Step("recovery_maneuver", "aside", ("onto", "item", "target", "aside"), carry=("item",)),
        Step("recovery_maneuver", "open", width="wide", grip="zero"),
        Step("recovery_maneuver", "raise", ("rel", "up")),
    ))  # fmt: skip


def shake(role: str) -> Steps:
    """Take the bin by its rim, shake it, let go."""
    return corrected((
        Step("approach", "reach", ("at", role, "rim"), role, "pitch", "roll", "wide", "zero", "zero"),
        Step("grasp", "close", about=role, width="rim_width"),
        Step("grasp", "squeeze", about=role, grip="weak_hold"),
        *say.sway(role),
        Step("release", "open", about=role, width="wide", grip="zero"),
        Step("retreat", "leave", ("rel", "up")),
    ))  # fmt: skip


def recover(mode: str, strategy: str) -> Steps:
    """From the failure to the goal."""
    if FAILURE_MODES[mode].state == "held":
        return _recover_held(mode, strategy)
    if strategy == "nudge":
        return (*say.stand_back(), *push_onto(), *say.leave())
    if strategy == "clear_obstruction":
        return (*say.stand_back(), *clear_way(), *again())
    if strategy == "shake_bin":
        return (*say.stand_back(), *shake("third" if mode == "wrong_bin" else "target"), *again())
    if strategy in ("retry_pick", "back_off", "approach_anew"):
        return (*say.back_up(("raise", "up"), ("back_off", "retract"), width="wide"), *again(arc="high_arc"))
    return (*say.stand_back(), *again())


def _recover_held(mode: str, strategy: str) -> Steps:
    if strategy == "clear_obstruction":
        return (*put_aside(), *clear_way(), *again())
    if strategy == "retry_pick":
        return (*put_aside(), *again("away"))
    if strategy == "pick_from_drop":
        return (*put_aside(), *again(arc="high_arc"))
    moves = [("raise", "raise")]
    if strategy == "shake_bin":
        moves = [("back_off", "retract"), ("wiggle", "sway_a"), ("wiggle", "sway_b")]
    rest = _onward("high_arc", "away" if mode == "target_obstructed" else "down")
    return (*say.back_up(*moves, load=("item",)), *rest)


def vain(mode: str, strategy: str) -> Steps:
    """An attempt that fails, back to the state the failure left."""
    if FAILURE_MODES[mode].state != "held":
        trying = push_onto("short", "misplaced") if strategy == "nudge" else say.missed_pick()
        return corrected((*say.stand_back(), *trying))
    if mode == "target_obstructed":
        way, reason = ("raise", "raise"), "obstructed"
        on = Step("place", "lower", ("onto", "item", "target", "high_stop"), "item", carry=("item",))
    else:
        way, reason = ("back_off", "retract"), "collision"
        on = Step("transport", "aside", ("rel", "toward"), "item", carry=("item",))
    up = say.back_up(way, load=("item",))
    return corrected((*up, *say.failed(reason, on), *say.without_event(_STRIKES[mode])))


CARRY = Skeleton(
    nominal=(*say.pick(), *say.lift(), *_onward("carry_arc")),
    strikes=_STRIKES,
    recover=recover,
    vain=vain,
    abort=lambda mode: say.give_up(FAILURE_MODES[mode].state),
    # a glancing collision that the arm simply carries on from
    carry_on=lambda mode: (*_STRIKES[mode], *_onward("high_arc")),
)
"""Pick, lift, carry, place, leave."""
