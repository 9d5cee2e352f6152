"""Scripts that work against contact: drawers and wiping."""

from __future__ import annotations

from sima2.tasks import phrases as say
from sima2.tasks.failure_modes import FAILURE_MODES
from sima2.tasks.steps import BANDS, Skeleton, Step, Steps, corrected

_BACK = ("back_off", "retract")
_PULL = (
    Step("pull", "pretension", (), "target", force="breakaway", direction="axis"),
    Step("pull", "pull", ("rail", "item", "pull"), "target", force="pulling", direction="axis",
         carry=("item", "target")),
)  # fmt: skip
"""Tension until the joint gives, then along its rail."""
_RELEASE = Step("release", "open", (), "item", width="wide", grip="zero", force="zero", direction="axis")
_FINISH = (*_PULL, _RELEASE, *say.leave("retract"))
_STRAIN = Step("pull", "strain", (), "target", force="straining", direction="axis")
_SLACK = Step("recovery_maneuver", "react", force="breakaway", direction="axis")
_LOOSEN = say.sway(force="breakaway")
_DRAWER_STRIKES = {
    "grasp_slip": say.slide_off(),
    "locked_joint": say.struck(*say.failed("locked", _STRAIN)),
    "collision_with_frame": say.collide("target", "collision"),
}


def _drawer_recover(mode: str, strategy: str) -> Steps:
    """From the failure to the goal."""
    loosen = _LOOSEN if strategy == "wiggle_pull" else ()
    if mode == "locked_joint" and loosen:
        return (*corrected((_SLACK, *loosen)), *_FINISH)
    width = "" if mode == "collision_with_frame" else "wide"
    return (*say.back_up(_BACK, width=width), *corrected((*say.pick(), *loosen)), *_FINISH)


def _drawer_vain(mode: str, strategy: str) -> Steps:
    """An attempt that fails."""
    if mode == "collision_with_frame":
        reach = Step("approach", "reach", ("at", "item", "pre"), "item")
        close_in = say.failed("collision", Step("approach", "descend", ("at", "item", "high_stop"), "item"))
        return corrected((*say.back_up(_BACK), reach, *close_in, *say.without_event(_DRAWER_STRIKES[mode])))
    if mode == "grasp_slip":
        return corrected((*say.back_up(_BACK, width="wide"), *say.missed_pick()))
    tension = Step("pull", "pretension", (), "target", force="breakaway", direction="axis", again=True)
    failed = say.failed("locked", tension, _STRAIN)
    if strategy == "wiggle_pull":
        return corrected((_SLACK, *_LOOSEN, *failed))
    return corrected((*say.back_up(_BACK, width="wide"), *say.pick(), *failed))


def _drawer_abort(mode: str) -> Steps:
    """After the last attempt."""
    if mode == "locked_joint":
        return (_RELEASE, *say.leave("retract")[:-1], Step("idle", "still"))
    return say.give_up("lost")


def _drawer_pass(mode: str) -> Steps:
    """The mishap comes right by itself: held again, or past the frame."""
    if mode == "grasp_slip":
        held = Step("slip", "fall", (), "item", grip="weak_hold", force="zero", direction="axis", profile="coast")
        tight = Step("slip", "close", (), "item", grip="hold")
        return (*say.struck(*say.failed("gripper_slip", held, tight)), *_FINISH)
    close_in = Step("approach", "descend", ("at", "item", "at"), "item")
    return (*_DRAWER_STRIKES[mode], close_in, *say.pick()[-2:], *_FINISH)


DRAWER = Skeleton(
    nominal=(*say.pick(), *_FINISH),
    strikes=_DRAWER_STRIKES,
    recover=_drawer_recover,
    vain=_drawer_vain,
    abort=_drawer_abort,
    carry_on=_drawer_pass,
)
"""Approach the handle, grasp it, pull, let go."""


def _strokes(*bands: int) -> Steps:
    """Along each band in turn."""
    steps: list[Step] = []
    for turn, band in enumerate(bands):
        first, last = (f"{way}{band}" for way in ("be" if turn % 2 == 0 else "eb"))
        steps += [
            Step("wipe", "turn", ("onto", "item", "target", first), "item", carry=("item",)),
            Step("wipe", "stroke", ("onto", "item", "target", last), "item", carry=("item",), band=band),
        ]
    return tuple(steps)


def _press(force: str, profile: str = "smooth") -> Step:
    return Step("wipe", "press", (), "item", force=force, profile=profile, carry=("item",))


_WIPE = (_press("pressing"), *_strokes(*range(BANDS)))
_WIPE_BACK = (_press("pressing"), *_strokes(*reversed(range(BANDS))))
"""Press, then stroke all bands."""
_TO_SURFACE = (
    *say.carry(),
    Step("transport", "lower", ("onto", "item", "target", "b0"), "item", carry=("item",)),
)
_PUT_AWAY = (*say.lift(), *say.carry(offset="back"), *say.place(offset="dock"), *say.leave())
_STRAY = Step("wipe", "turn", ("onto", "item", "target", "edge"), "item", carry=("item",))
_START_ANEW = Step("recovery_maneuver", "aside", ("onto", "item", "target", "b0"), carry=("item",))


def _wipe_recover(mode: str, strategy: str) -> Steps:
    """From the failure to a clean surface."""
    lost = FAILURE_MODES[mode].state == "lost"
    if strategy == "re_trace" and not lost:
        back = (*say.back_up(("raise", "raise"), load=("item",)), *corrected((_START_ANEW,)))
        return (*back, *_WIPE, *_PUT_AWAY)
    fetch = (*say.stand_back(), *corrected(say.pick()))
    if mode == "slip" or (lost and strategy == "re_trace"):
        return (*fetch, *say.lift(), *_TO_SURFACE, *_WIPE, *_PUT_AWAY)
    return (*fetch, *_WIPE_BACK, *_PUT_AWAY)


def _wipe_vain(mode: str, strategy: str) -> Steps:
    """An attempt that fails."""
    kind = FAILURE_MODES[mode]
    if kind.state == "lost":
        return corrected((*say.stand_back(), *say.missed_pick()))
    failed = say.failed(kind.reason, _press("light_press"), *_strokes(0))
    return corrected((*say.back_up(("raise", "raise"), load=("item",)), _START_ANEW, *failed))


def _wipe_abort(mode: str) -> Steps:
    """After the last attempt."""
    if FAILURE_MODES[mode].state == "lost":
        return say.give_up("lost")
    return (*say.lift(), *say.give_up("held"))


WIPE = Skeleton(
    nominal=(*say.pick(), *say.lift(), *_TO_SURFACE, *_WIPE, *_PUT_AWAY),
    strikes={
        "slip": say.slide_off(),
        "tool_loss": say.slide_off(),
        "insufficient_force": say.struck(
            *say.failed("insufficient_force", _press("light_press", "coast"), *_strokes(2, 3))
        ),
        "missed_patch": say.struck(*say.failed("incomplete", _STRAY, *_strokes(0))),
    },
    recover=_wipe_recover,
    vain=_wipe_vain,
    abort=_wipe_abort,
)
"""Fetch the tool, wipe, put it back."""
