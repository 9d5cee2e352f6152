"""Scripts that work against contact: drawers and wiping."""

from __future__ import annotations

from dataclasses import replace

from sima2.tasks.phrases import (
    back_up,
    carry,
    collide,
    give_up,
    leave,
    lift,
    missed_pick,
    pick,
    place,
    slide_off,
    without_event,
)
from sima2.tasks.steps import BANDS, Step, Steps, corrected, exposed

_BOTH = ("item", "target")
_DRAWER_STRIKES = {
    "grasp_slip": ("squeeze", "pull"),
    "locked_joint": ("pretension",),
    "collision_with_frame": ("descend",),
}


def _pull() -> Steps:
    """Tension until the joint gives, then along its rail."""
    return (
        Step("pull", "pretension", (), "target", force="breakaway", direction="axis"),
        Step("pull", "pull", ("rail", "item", "pull"), "target", force="pulling", direction="axis", carry=_BOTH),
    )


def _let_go() -> Steps:
    return (
        Step("release", "open", (), "item", width="wide", grip="zero", force="zero", direction="axis"),
        *leave("retract"),
    )


def drawer(mode: str = "") -> Steps:
    """Approach the handle, grasp it, pull, let go."""
    return exposed((*pick(), *_pull(), *_let_go()), *_DRAWER_STRIKES.get(mode, ()))


def drawer_strike(mode: str) -> Steps:
    """What the failure event does."""
    if mode == "grasp_slip":
        return slide_off()
    if mode == "locked_joint":
        return (
            Step("pull", "strain", (), "target", force="straining", direction="axis", event=True, outcome="failure",
                 reason="locked"),
        )  # fmt: skip
    return collide("target", "collision")


def _loosen() -> Steps:
    """Sideways to and fro with the handle in the hand."""
    return tuple(
        Step("recovery_maneuver", "wiggle", ("rel", sway), force="breakaway", direction="axis", recovery=True)
        for sway in ("sway_a", "sway_b") * 2
    )


def _once_more(loosen: bool) -> Steps:
    return (*corrected((*pick(), *(_loosen() if loosen else ()))), *_pull(), *_let_go())


def drawer_recover(mode: str, strategy: str) -> Steps:
    """From the failure to the goal."""
    loosen = strategy == "wiggle_pull"
    if mode == "locked_joint" and loosen:
        return (Step("recovery_maneuver", "react", force="breakaway", direction="axis", recovery=True),
                *_loosen(), *_pull(), *_let_go())  # fmt: skip
    width = "" if mode == "collision_with_frame" else "wide"
    return (*back_up(("back_off", "retract"), width=width), *_once_more(loosen))


def drawer_vain(mode: str, strategy: str) -> Steps:
    """An attempt that fails."""
    if mode == "collision_with_frame":
        reach = Step("approach", "reach", ("at", "item", "pre"), "item")
        close_in = Step("approach", "descend", ("at", "item", "high_stop"), "item", outcome="failure",
                        reason="collision")  # fmt: skip
        return corrected((*back_up(("back_off", "retract")), reach, close_in, *without_event(drawer_strike(mode))))
    if mode == "grasp_slip":
        return corrected((*back_up(("back_off", "retract"), width="wide"), *missed_pick()))
    failed = (
        Step("pull", "pretension", (), "target", force="breakaway", direction="axis", outcome="failure",
             reason="locked", again=True),
        *(replace(step, event=False) for step in drawer_strike(mode)),
    )  # fmt: skip
    if strategy == "wiggle_pull":
        slack = Step("recovery_maneuver", "react", force="breakaway", direction="axis")
        return corrected((slack, *_loosen(), *failed))
    return corrected((*back_up(("back_off", "retract"), width="wide"), *pick(), *failed))


def drawer_abort(mode: str) -> Steps:
    """After the last attempt."""
    if mode == "locked_joint":
        return (*_let_go()[:-1], Step("idle", "still"))
    return give_up("lost")


def drawer_pass(mode: str) -> Steps:
    """The mishap comes right by itself: held again, or past the frame."""
    if mode == "grasp_slip":
        held = Step("slip", "fall", (), "item", grip="weak_hold", force="zero", direction="axis", profile="coast",
                    event=True, outcome="failure", reason="gripper_slip")  # fmt: skip
        tight = Step("slip", "close", (), "item", grip="hold", outcome="failure", reason="gripper_slip")
        return (held, tight, *_pull(), *_let_go())
    close_in = Step("approach", "descend", ("at", "item", "at"), "item")
    return (*drawer_strike(mode), close_in, *pick()[-2:], *_pull(), *_let_go())


_WIPE_STRIKES = {
    "slip": ("squeeze",),
    "insufficient_force": ("stroke",),
    "missed_patch": ("stroke",),
    "tool_loss": ("stroke",),
}


def _strokes(bands: tuple[int, ...], outcome: str = "success", reason: str = "") -> Steps:
    """Along each band in turn."""
    steps: list[Step] = []
    for turn, band in enumerate(bands):
        ways = ("b", "e") if turn % 2 == 0 else ("e", "b")
        first, last = (f"{way}{band}" for way in ways)
        going = {"about": "item", "carry": ("item",), "outcome": outcome, "reason": reason}
        steps += [
            Step("wipe", "turn", ("onto", "item", "target", first), **going),  # type: ignore[arg-type]
            Step("wipe", "stroke", ("onto", "item", "target", last), band=band, **going),  # type: ignore[arg-type]
        ]
    return tuple(steps)


def _wipe(bands: tuple[int, ...] = tuple(range(BANDS))) -> Steps:
    """Press, then stroke all bands."""
    return (Step("wipe", "press", (), "item", force="pressing", carry=("item",)), *_strokes(bands))


def _put_away() -> Steps:
    return (*lift(), *carry(offset="back"), *place(offset="dock"), *leave())


def wipe(mode: str = "") -> Steps:
    """Fetch the tool, wipe, put it back. The hazard acts before the last band: no event leaves a clean surface."""
    steps = exposed((*pick(), *lift(), *_to_surface(), *_wipe()), *_WIPE_STRIKES.get(mode, ()))
    return (*(replace(step, exposed=step.exposed and step.band < BANDS - 1) for step in steps), *_put_away())


def _to_surface() -> Steps:
    return (*carry(), Step("transport", "lower", ("onto", "item", "target", "b0"), "item", carry=("item",)))


def wipe_strike(mode: str) -> Steps:
    """What the failure event does."""
    if mode == "slip":
        return slide_off()
    if mode == "tool_loss":
        return slide_off()
    going = {"about": "item", "carry": ("item",), "outcome": "failure"}
    if mode == "insufficient_force":
        ease = Step("wipe", "press", force="light_press", profile="coast", event=True, reason=mode, **going)  # type: ignore[arg-type]
        return (ease, *_strokes((2, 3), "failure", mode))
    stray = Step("wipe", "turn", ("onto", "item", "target", "edge"), event=True, reason="incomplete", **going)  # type: ignore[arg-type]
    return (stray, *_strokes((0,), "failure", "incomplete"))


def wipe_recover(mode: str, strategy: str) -> Steps:
    """From the failure to a clean surface."""
    back_to_start = Step("recovery_maneuver", "aside", ("onto", "item", "target", "b0"), carry=("item",), recovery=True)
    if mode in ("tool_loss", "slip"):
        fetch = (*back_up(("raise", "up"), width="wide"), *corrected(pick()))
        if strategy == "re_trace" or mode == "slip":
            return (*fetch, *lift(), *_to_surface(), *_wipe(), *_put_away())
        return (*fetch, *_wipe((3, 2, 1, 0)), *_put_away())
    if strategy == "re_trace":
        return (*back_up(("raise", "raise"), load=("item",)), back_to_start, *_wipe(), *_put_away())
    anew = (*back_up(("raise", "up"), width="wide"), *corrected(pick()))
    return (*anew, *_wipe((3, 2, 1, 0)), *_put_away())


def wipe_vain(mode: str, strategy: str) -> Steps:
    """An attempt that fails."""
    if mode in ("tool_loss", "slip"):
        return corrected((*back_up(("raise", "up"), width="wide"), *missed_pick()))
    reason = "insufficient_force" if mode == "insufficient_force" else "incomplete"
    press = Step("wipe", "press", (), "item", force="light_press", carry=("item",), outcome="failure", reason=reason)
    return corrected(
        (*back_up(("raise", "raise"), load=("item",)),
         Step("recovery_maneuver", "aside", ("onto", "item", "target", "b0"), carry=("item",)),
         press, *_strokes((0,), "failure", reason))
    )  # fmt: skip


def wipe_abort(mode: str) -> Steps:
    """After the last attempt."""
    if mode in ("tool_loss", "slip"):
        return give_up("lost")
    return (Step("lift", "lift", ("rel", "lift"), "item", force="zero", carry=("item",)), *give_up("held"))
