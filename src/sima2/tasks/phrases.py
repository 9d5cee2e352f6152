"""Phrases that the scripts of several families share."""

from __future__ import annotations

from dataclasses import replace

from sima2.tasks.steps import Step, Steps, corrected


def pick(role: str = "item") -> Steps:
    """Approach and grasp, with the hesitations, pauses and second approaches that honest rollouts have."""
    return (
        Step("approach", "reach", ("at", role, "pre"), role, "pitch", "roll", "wide", "zero", "zero", arc="reach_arc"),
        Step("approach", "hesitate", about=role),
        Step("idle", "pause"),
        Step("approach", "detour", ("at", role, "side"), role),
        Step("approach", "detour", ("at", role, "pre"), role),
        Step("approach", "descend", ("at", role, "at"), role),
        # fingers stop at the object's width, then the force rises
        Step("grasp", "close", about=role, width="item_width"),
        Step("grasp", "squeeze", about=role, width="squeezed", grip="hold"),
    )


def missed_pick(role: str = "item") -> Steps:
    """Fingers close beside the object, on nothing."""
    return (
        Step("approach", "reach", ("at", role, "pre"), role, "pitch", "roll", "wide", "zero", "zero"),
        Step("approach", "descend", ("at", role, "miss"), role),
        *failed("missed_grasp", Step("grasp", "close", about=role, width="shut"), Step("grasp", "touch", about=role)),
    )


def lift(role: str = "item") -> Steps:
    """Straight up with the object."""
    return (Step("lift", "lift", ("rel", "lift"), role, force="zero", carry=(role,)),)


def carry(role: str = "item", dest: str = "target", arc: str = "carry_arc", offset: str = "over") -> Steps:
    """Sideways over the destination."""
    return (Step("transport", "carry", ("onto", role, dest, offset), role, carry=(role,), arc=arc),)


def let_go(role: str = "item") -> Steps:
    """Touch down, open, let it settle."""
    return (
        Step("place", "touch", (), role, force="light_touch", pulse="touchdown", carry=(role,)),
        Step("place", "open", (), role, width="wide", grip="zero", force="zero"),
        Step("place", "settle", (), role),
    )


def place(role: str = "item", dest: str = "target", offset: str = "down") -> Steps:
    """Lower and let go."""
    upright = ("right", role, "none")
    return (Step("place", "lower", ("onto", role, dest, offset), role, carry=(role,), own=upright), *let_go(role))


def leave(away: str = "up") -> Steps:
    """Clear of what was done, then home."""
    return (
        Step("retreat", "leave", ("rel", away)),
        Step("retreat", "go_home", ("home", "rest"), pitch="rest_pitch", roll="rest_roll"),
        Step("idle", "dwell"),
    )


def failed(reason: str, *steps: Step) -> Steps:
    """The same steps as parts of segments that fail for that reason."""
    return tuple(replace(step, outcome="failure", reason=reason) for step in steps)


def struck(first: Step, *rest: Step) -> Steps:
    """The same steps, the start of the first one being the failure event."""
    return (replace(first, event=True), *rest)


def collide(about: str, reason: str, load: tuple[str, ...] = (), shove: str = "none") -> Steps:
    """Stopped at once by something in the way; the failure event."""
    own = ("glide", "obstacle", shove) if shove != "none" else ("", "item", "none")
    hit = Step("collision", "bump", (), about, force="bumping", pulse="crash", direction="against", carry=load, own=own,
               profile="halt")  # fmt: skip
    pop = Step("collision", "pop", ("rel", "rebound"), about, force="zero", direction="against", carry=load)
    return struck(*failed(reason, hit, pop))


def without_event(steps: Steps) -> Steps:
    """The same mishap in a later attempt, which is not the first event any more."""
    return tuple(replace(step, event=False, again=step.event) for step in steps)


def back_up(*moves: tuple[str, str], load: tuple[str, ...] = (), width: str = "") -> Steps:
    """Stop, then the given moves (duration and offset) as a recovery maneuver; an open width lets go."""
    steps = [Step("recovery_maneuver", "react", carry=load, force="" if load else "zero")]
    if width:
        steps.append(Step("recovery_maneuver", "open", width=width, grip="zero", force="zero"))
    steps += [Step("recovery_maneuver", time, ("rel", offset), carry=load, force="zero") for time, offset in moves]
    return corrected(steps)


def stand_back() -> Steps:
    """Let go and rise."""
    return back_up(("raise", "up"), width="wide")


def sway(*load: str, force: str = "") -> Steps:
    """Sideways to and fro with what is in the hand."""
    return tuple(
        Step("recovery_maneuver", "wiggle", ("rel", way), force=force, direction="axis" if force else "vertical",
             carry=load)
        for way in ("sway_a", "sway_b") * 2
    )  # fmt: skip


def fall(role: str = "item") -> Steps:
    """The object leaves the moving hand and falls; the failure event."""
    return tuple(replace(step, own=("fall", role, "drift"), reason="drop") for step in slide_off(role))


def slide_off(role: str = "item") -> Steps:
    """The object stays where it is while the fingers close on nothing; the failure event."""
    lost = Step("slip", "fall", (), role, width="shut", grip="zero", force="zero", profile="coast")
    return struck(*failed("gripper_slip", lost))


def give_up(state: str) -> Steps:
    """Abort: let be what is, and leave."""
    if state == "held":
        return (Step("idle", "still", carry=("item",), force="zero"),)
    return (
        Step("retreat", "leave", ("rel", "up"), force="zero"),
        Step("retreat", "go_home", ("home", "rest"), pitch="rest_pitch", roll="rest_roll", width="wide"),
        Step("idle", "still"),
    )
