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
        *grasp(role),
    )


def grasp(role: str = "item") -> Steps:
    """Fingers stop at the object's width, then the force rises."""
    return (
        Step("grasp", "close", about=role, width="item_width"),
        Step("grasp", "squeeze", about=role, width="squeezed", grip="hold"),
    )


def missed_pick(role: str = "item") -> Steps:
    """Fingers close beside the object, on nothing."""
    failed = {"about": role, "outcome": "failure", "reason": "missed_grasp"}
    return (
        Step("approach", "reach", ("at", role, "pre"), role, "pitch", "roll", "wide", "zero", "zero"),
        Step("approach", "descend", ("at", role, "miss"), role),
        Step("grasp", "close", width="shut", about=role, outcome="failure", reason="missed_grasp"),
        Step("grasp", "touch", **failed),  # type: ignore[arg-type]
    )


def lift(role: str = "item") -> Steps:
    """Straight up with the object."""
    return (Step("lift", "lift", ("rel", "lift"), role, force="zero", carry=(role,)),)


def carry(role: str = "item", dest: str = "target", arc: str = "carry_arc", offset: str = "over") -> Steps:
    """Sideways over the destination."""
    return (Step("transport", "carry", ("onto", role, dest, offset), role, carry=(role,), arc=arc),)


def lower(role: str = "item", dest: str = "target", offset: str = "down") -> Steps:
    """The final descent."""
    upright = ("right", role, "none")
    return (Step("place", "lower", ("onto", role, dest, offset), role, carry=(role,), own=upright),)


def let_go(role: str = "item", outcome: str = "success", reason: str = "") -> Steps:
    """Touch down, open, let it settle."""
    return (
        Step("place", "touch", (), role, force="light_touch", pulse="touchdown", carry=(role,), outcome=outcome,
             reason=reason),
        Step("place", "open", (), role, width="wide", grip="zero", force="zero", outcome=outcome, reason=reason),
        Step("place", "settle", (), role, outcome=outcome, reason=reason),
    )  # fmt: skip


def place(role: str = "item", dest: str = "target", offset: str = "down") -> Steps:
    """Lower and let go."""
    return (*lower(role, dest, offset), *let_go(role))


def leave(away: str = "up") -> Steps:
    """Clear of what was done, then home."""
    return (
        Step("retreat", "leave", ("rel", away)),
        Step("retreat", "go_home", ("home", "rest"), pitch="rest_pitch", roll="rest_roll"),
        Step("idle", "dwell"),
    )


def collide(about: str, reason: str, load: tuple[str, ...] = (), shove: str = "none") -> Steps:
    """Stopped at once by something in the way; the failure event."""
    own = ("glide", "obstacle", shove) if shove != "none" else ("", "item", "none")
    return (
        Step("collision", "bump", (), about, force="bumping", pulse="crash", direction="against", carry=load, own=own,
             profile="halt", event=True, outcome="failure", reason=reason),
        Step("collision", "pop", ("rel", "rebound"), about, force="zero", direction="against", carry=load,
             outcome="failure", reason=reason),
    )  # fmt: skip


def without_event(steps: Steps) -> Steps:
    """The same mishap in a later attempt, which is not the first event any more."""
    return tuple(replace(step, event=False, again=step.event) for step in steps)


def back_up(*moves: tuple[str, str], load: tuple[str, ...] = (), width: str = "", first: str = "react") -> Steps:
    """Stop, then the given moves (duration and offset) as a recovery maneuver; an open width lets go."""
    grip = "zero" if width else ""
    steps = [Step("recovery_maneuver", first, carry=load, force="" if load else "zero")]
    if width:
        steps.append(Step("recovery_maneuver", "open", width=width, grip=grip, force="zero"))
    steps += [Step("recovery_maneuver", time, ("rel", offset), carry=load, force="zero") for time, offset in moves]
    return corrected(steps)


def fall(role: str = "item", reason: str = "drop") -> Steps:
    """The object leaves the moving hand and falls; the failure event."""
    return (
        Step("slip", "fall", (), role, width="shut", grip="zero", force="zero", own=("fall", role, "drift"),
             profile="coast", event=True, outcome="failure", reason=reason),
    )  # fmt: skip


def slide_off(role: str = "item") -> Steps:
    """The object stays where it is while the fingers close on nothing; the failure event."""
    return (
        Step("slip", "fall", (), role, width="shut", grip="zero", force="zero", profile="coast", event=True,
             outcome="failure", reason="gripper_slip"),
    )  # fmt: skip


def give_up(state: str) -> Steps:
    """Abort: let be what is, and leave."""
    if state == "held":
        return (Step("idle", "still", carry=("item",), force="zero"),)
    return (
        Step("retreat", "leave", ("rel", "up"), force="zero"),
        Step("retreat", "go_home", ("home", "rest"), pitch="rest_pitch", roll="rest_roll", width="wide"),
        Step("idle", "still"),
    )
