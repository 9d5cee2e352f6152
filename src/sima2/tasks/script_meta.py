"""Scripts of the families that serve the others: looking and changing tools. (A reset is a carry.)"""

from __future__ import annotations

from dataclasses import replace

from sima2.tasks.phrases import back_up, carry, fall, give_up, leave, lift, missed_pick, pick, place, slide_off
from sima2.tasks.steps import Step, Steps, corrected, exposed


def _look(view: str, sight: str, time: str = "reach") -> Steps:
    return (
        Step("approach", time, ("at", "item", view), "item", "pitch", "roll", sight=sight),
        Step("idle", "look"),
    )


def _look_in_vain(view: str, mode: str, time: str, event: bool = False) -> Steps:
    sight = "dim" if mode == "occlusion" else "blind"
    return (
        Step("approach", time, ("at", "item", view), "item", "pitch", "roll", sight=sight, outcome="failure",
             reason="timeout", event=event),
    )  # fmt: skip


def inspect(mode: str = "") -> Steps:
    """A first look from afar, then from where the object shows."""
    first = (*_look("view_a", "dim"), Step("approach", "hesitate", about="item"))
    second = _look("view_b", "seen", "carry")
    return (*first, *exposed(second, "carry" if mode else ""), *leave())


def inspect_strike(mode: str) -> Steps:
    """The view shows nothing."""
    return _look_in_vain("view_b", mode, "descend", event=True)


def inspect_recover(mode: str, strategy: str) -> Steps:
    """Another view, or nearer."""
    if strategy == "change_view":
        return (*back_up(("back_off", "retract")), *corrected(_look("view_c", "seen", "carry")), *leave())
    return (*back_up(("wiggle", "sway_a")), *corrected(_look("pre", "seen", "descend")), *leave())


def inspect_vain(mode: str, strategy: str) -> Steps:
    """Another view that shows nothing."""
    view = "view_c" if strategy == "change_view" else "pre"
    return corrected((*back_up(("back_off", "retract")), *_look_in_vain(view, mode, "carry")))


def inspect_abort(mode: str) -> Steps:
    """Home, with nothing seen."""
    return (Step("idle", "look"), *leave()[:-1], Step("idle", "still"))


_STRIKES = {"tool_drop": ("carry",), "tool_slip": ("squeeze",), "slip": ("squeeze",)}


def exchange(mode: str = "") -> Steps:
    """Dock the tool in hand, take the other."""
    dock = (*carry("third"), *place("third"), Step("retreat", "leave", ("rel", "up")))
    where = _STRIKES.get(mode, ())
    take = (*pick(), *_show())
    return (*exposed(dock, *(where if mode == "tool_drop" else ())), *exposed(take, *where))


def _show() -> Steps:
    """The new tool moves with the hand."""
    return (*lift(), Step("transport", "go_home", ("home", "rest"), "item", carry=("item",)), Step("idle", "dwell"))


def exchange_strike(mode: str) -> Steps:
    """What the failure event does."""
    return fall("third") if mode == "tool_drop" else slide_off()


def exchange_recover(mode: str, strategy: str) -> Steps:
    """From the failure to the new tool in the hand."""
    moves = [("raise", "up")] + ([("back_off", "retract")] if strategy == "approach_anew" else [])
    stand_back = back_up(*moves, width="wide")
    if mode == "tool_drop":
        rest = exchange()
        return (*stand_back, *corrected(pick("third")), *lift("third"), *rest)
    return (*stand_back, *corrected(pick()), *_show())


def exchange_vain(mode: str, strategy: str) -> Steps:
    """An attempt that fails."""
    role = "third" if mode == "tool_drop" else "item"
    return corrected((*back_up(("raise", "up"), width="wide"), *missed_pick(role)))


def exchange_abort(mode: str) -> Steps:
    """After the last attempt."""
    return give_up("lost")


def as_stage(steps: Steps, stage: int) -> Steps:
    """The same steps in another of the episode's tasks."""
    return tuple(replace(step, stage=stage) for step in steps)
