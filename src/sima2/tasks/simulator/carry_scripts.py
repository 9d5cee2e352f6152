"""Scripts that lift something and put it down elsewhere, with what may go wrong on the way."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.records.arrays import Float64s
from sima2.tasks.simulator.controller import up
from sima2.tasks.simulator.scenario import SURFACE, VASE_HEIGHT, free_spot, length
from sima2.tasks.simulator.skills import Skills, Task

_DROPS: Final = ("drop", "drop_en_route")
_BUMPS: Final = ("clutter_collision", "collision_lock")
_RISE_M: Final = 0.1
"""m by which the hand backs off."""


class Carry(Task):
    """One attempt after another at bringing the item to its target."""

    def __init__(self, skills: Skills) -> None:
        super().__init__(skills)
        self.high = float(skills.rng.uniform(0.15, 0.2))
        if self._clear() and skills.rng.random() < 0.4:
            self.high = float(skills.rng.uniform(0.07, 0.15))

    def _clear(self) -> bool:
        """Whether the straight way passes well clear of the vase."""
        start, end, vase = (self.made.place[body][:2] for body in ("item", self.made.goal, "vase"))
        way = end - start
        share = float(np.clip((vase - start) @ way / (way @ way), 0.0, 1.0))
        return length(start + share * way - vase) > 0.13

    def spot(self, target: str = "") -> Float64s:
        """Where the item's centre shall come to rest."""
        place = self.made.place[target or self.made.goal]
        return np.array([place[0], place[1], SURFACE + self.skills.half_height("item")])

    def _there(self) -> bool:
        """Whether the item lies where it shall."""
        return length((self.world.where("item") - self.spot())[:2]) <= 0.9 * self.made.family.tolerance

    def attempt(self, fault: str) -> str:
        """Pick, carry, place; what it left behind where it failed, else empty.

        ``lost``: out of the hand; ``placed``: let go at a wrong place; ``held``: stopped on its
        way; ``blocked``: no way down.
        """
        if not self.fetch("item", fault) or self.skills.lift("item", 0.05 if fault in _BUMPS else self.high):
            return "lost"
        return self.onward(fault)

    def onward(self, fault: str) -> str:
        """The rest, with the item in the hand."""
        skills, world, faults = self.skills, self.world, self.skills.settings.faults
        spot = self.spot("bin_b" if fault == "wrong_bin" else "")
        if fault == "misalignment":
            spot = spot + self._aside(skills.draw(faults.aside_m))
        if fault in _DROPS:
            why = drop(skills, "item", spot)
        else:
            bump = skills.draw(faults.bump_speed) if fault in _BUMPS else 1.0
            why = skills.carry("item", spot, speed=bump * self.made.speed)
        if why:
            return "held" if why == "hit" else "lost"
        skills.control.recovering = False
        why, stage = skills.lower("item", spot)
        if why == "lost":
            return "lost"
        if why == "high":
            stage.reason = "obstructed"
            return "blocked"
        skills.open("item")
        if fault == "unstable_place":
            # someone pushes what was just put down, out between the fingers
            away = world.turn()[:, 0] * (1.0 if skills.rng.random() < 0.5 else -1.0)
            slide = skills.draw(faults.slide_m)
            world.shove("item", away * float(np.sqrt(2 * 9.81 * max(self.made.friction, 0.6) * slide)))
            skills.control.wait(0.6)
        if self._there():
            return ""
        stage.reason = "unstable" if fault == "unstable_place" else "misplaced"
        return "placed"

    def _aside(self, far: float) -> Float64s:
        angle = float(self.skills.rng.uniform(-np.pi, np.pi))
        return far * np.array([np.cos(angle), np.sin(angle), 0.0])

    def recover(self, state: str) -> str:
        """Put the failure right; what is still left behind."""
        skills = self.skills
        if state in ("held", "blocked"):
            skills.back_off(up(0.5 * _RISE_M), let_go=False)
            if state == "held":
                skills.control.begin("transport", "item")
                skills.control.move(skills.control.target + up(VASE_HEIGHT))
                return self.onward("")
            self._set_aside()
            self._clear_way()
            return self.attempt("")
        skills.back_off(up(_RISE_M), let_go=True)
        if state == "lost":
            skills.wait_for_rest("item")
        if self.strategy == "nudge" and state == "placed":
            why = skills.push("item", self.spot())
            skills.control.recovering = False
            if not why and self._there():
                return ""
            skills.back_off(up(_RISE_M * 0.3), let_go=True)
        return self.attempt("")

    def in_vain(self, state: str) -> str:
        """An attempt to put it right that fails."""
        skills = self.skills
        loaded = state in ("held", "blocked")
        skills.back_off(up(_RISE_M * 0.3 if loaded else _RISE_M), let_go=not loaded)
        if state == "blocked":
            return self.onward("")
        if state == "held":
            # the same way once more
            why = skills.carry("item", self.world.where("vase"), sink=0.03)
            return "lost" if why == "lost" else "held"
        skills.wait_for_rest("item")
        skills.pick("item", miss=True)
        return state

    def _set_aside(self) -> None:
        """Put the load down where there is room."""
        skills = self.skills
        if skills.put("item", free_spot(skills.located("item")) + up(skills.half_height("item"))):
            skills.leave()

    def _clear_way(self) -> None:
        """Take the vase off the target."""
        skills = self.skills
        spot = free_spot(skills.located("vase")) + up(0.5 * VASE_HEIGHT)
        if skills.pick("vase", force=40.0) and not skills.lift("vase", 0.08):
            skills.put("vase", spot, anyway=True)
            skills.leave()

    def abort(self, state: str) -> None:
        """Let be what is."""
        if state not in ("held", "blocked"):
            super().abort(state)
            return
        self.skills.control.halt()
        self.skills.rest()


def errand(skills: Skills) -> None:
    """Move the parcel to where there is room."""
    made = skills.made
    if not skills.pick("parcel", force=25.0) or skills.lift("parcel", 0.18):
        return
    standing = skills.located("")
    if made.family.skeleton == "drawer":
        # where the open drawer is, and the hand that opens it
        standing |= {f"way {k}": standing["cabinet"] - [0.16 + 0.06 * k, 0.0, 0.0] for k in range(4)}
    skills.put("parcel", free_spot(standing, float(skills.rng.uniform(0.0, 0.05))) + up(0.026))
    skills.leave()
    skills.world.held = "drawer" if made.family.skeleton == "drawer" else "item"


def drop(skills: Skills, body: str, spot: Float64s) -> str:
    """Carry on while the grip opens for a moment, or leaks until nothing holds; ``lost`` where it does."""
    control, world = skills.control, skills.world
    control.begin("transport", body)
    goal = skills.over(body, spot)
    goal[2] = world.hand[2]
    way = goal - control.target
    begin = control.target.copy()
    share = float(skills.rng.uniform(0.1, 0.45))
    leak = bool(skills.rng.random() < 0.5)
    share *= 0.5 if leak else 1.0
    inside = float((world.hand - world.where(body))[2])
    frame = [0]
    rate, faults = skills.made.rate_hz, skills.settings.faults
    fades, gapes = skills.draw(faults.leak_per_s), skills.draw(faults.open_s)

    def fault() -> str:
        gone = float((control.target - begin) @ way / (way @ way))
        if gone > share or frame[0]:
            frame[0] += 1
            late = frame[0] / rate
            if leak:
                control.weak = float(np.exp(-fades * late))
            else:
                control.width = control.open_m if late < gapes else -0.02
        fallen = float((world.hand - world.where(body))[2]) - inside > 0.012
        return skills.lost() and ("lost" if fallen else "")

    return control.move(goal, until=fault) or control.wait(1.0, until=fault)
