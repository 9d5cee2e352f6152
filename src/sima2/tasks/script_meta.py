"""Scripts of the families that serve the others: looking and changing tools. (A reset is a carry.)"""

from __future__ import annotations

from sima2.tasks import phrases as say
from sima2.tasks.steps import Skeleton, Step, Steps, corrected

_BACK = ("back_off", "retract")
_SIGHT = {"occlusion": "dim", "lost_object": "blind"}


def _view(view: str, sight: str, time: str) -> Step:
    """Go where the object is seen from, or where it is not."""
    return Step("approach", time, ("at", "item", view), "item", "pitch", "roll", sight=sight)


def _look(view: str, sight: str, time: str) -> Steps:
    return (_view(view, sight, time), Step("idle", "look"))


def _look_in_vain(view: str, mode: str, time: str) -> Steps:
    return say.failed("timeout", _view(view, _SIGHT[mode], time))


def _inspect_recover(mode: str, strategy: str) -> Steps:
    """Another view, or nearer."""
    way, view, time = ("wiggle", "sway_a"), "pre", "descend"
    if strategy == "change_view":
        way, view, time = _BACK, "view_c", "carry"
    return (*say.back_up(way), *corrected(_look(view, "seen", time)), *say.leave())


def _inspect_vain(mode: str, strategy: str) -> Steps:
    """Another view that shows nothing."""
    view = "view_c" if strategy == "change_view" else "pre"
    return corrected((*say.back_up(_BACK), *_look_in_vain(view, mode, "carry")))


INSPECT = Skeleton(
    nominal=(
        *_look("view_a", "dim", "reach"),
        Step("approach", "hesitate", about="item"),
        *_look("view_b", "seen", "carry"),
        *say.leave(),
    ),
    strikes={mode: say.struck(*_look_in_vain("view_b", mode, "descend")) for mode in _SIGHT},
    recover=_inspect_recover,
    vain=_inspect_vain,
    abort=lambda mode: (Step("idle", "look"), *say.leave()[:-1], Step("idle", "still")),
)
"""A first look from afar, then from where the object shows."""


_SHOW = (*say.lift(), Step("transport", "go_home", ("home", "rest"), "item", carry=("item",)), Step("idle", "dwell"))
"""The new tool moves with the hand."""
_CHANGE = (
    *say.carry("third"),
    *say.place("third"),
    Step("retreat", "leave", ("rel", "up")),
    *say.pick(),
    *_SHOW,
)


def _lost(mode: str) -> str:
    """Which of the tools was lost."""
    return "third" if mode == "tool_drop" else "item"


def _exchange_recover(mode: str, strategy: str) -> Steps:
    """From the failure to the new tool in the hand."""
    moves = [("raise", "up"), *([_BACK] if strategy == "approach_anew" else [])]
    role = _lost(mode)
    rest = (*say.lift(role), *_CHANGE) if role == "third" else _SHOW
    return (*say.back_up(*moves, width="wide"), *corrected(say.pick(role)), *rest)


EXCHANGE = Skeleton(
    nominal=_CHANGE,
    strikes={"tool_drop": say.fall("third"), "tool_slip": say.slide_off(), "slip": say.slide_off()},
    recover=_exchange_recover,
    vain=lambda mode, strategy: corrected((*say.stand_back(), *say.missed_pick(_lost(mode)))),
    abort=lambda mode: say.give_up("lost"),
)
"""Dock the tool in hand, take the other."""
