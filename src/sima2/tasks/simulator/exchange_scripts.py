"""The script that changes tools: dock the one in the hand, take the other."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.tasks.simulator.carry_scripts import drop, errand
from sima2.tasks.simulator.controller import up
from sima2.tasks.simulator.scenario import HOME, SURFACE
from sima2.tasks.simulator.skills import Skills, Task

LIFTED_M: Final = 0.04
"""m above its stand from which the new tool is off it."""


class Exchange(Task):
    """One attempt after another at changing tools; the hand starts with the old one and ends with the new one."""

    def __init__(self, skills: Skills) -> None:
        super().__init__(skills)
        width = 2.0 * float(skills.world.model.geom("old").size[1])
        skills.control.take(width, skills.grip)
        self.docked = False
        errands = skills.made.plan["template"] == "mixed" or skills.rng.random() < skills.settings.errand
        self.errands = int(errands)

    def attempt(self, fault: str) -> str:
        """Dock the old tool unless that is done, take the new one; ``lost_old`` or ``lost`` where that failed."""
        if not self.docked and self._dock(fault):
            return "lost_old"
        if self.errands:
            self.errands = 0
            errand(self.skills)
        return self._take(fault)

    def _dock(self, fault: str) -> str:
        """Bring the old tool to the dock and let go."""
        skills = self.skills
        skills.control.recovering = False
        spot = self.made.place["target"] + up(SURFACE + skills.half_height("old"))
        if drop(skills, "old", spot) if fault == "tool_drop" else skills.carry("old", spot):
            return "lost"
        why, stage = skills.lower("old", spot)
        if why:
            stage.reason = "" if why == "lost" else "obstructed"
            return why
        skills.open("old")
        skills.leave()
        self.docked = True
        return ""

    def _take(self, fault: str) -> str:
        """Fetch the new tool and show it."""
        skills, control = self.skills, self.control
        if not self.fetch("item", fault):
            return "lost"
        if fault == "tool_slip":
            # the fingers give way as soon as they are to lift
            control.weak = 0.2 / control.force
        if skills.lift("item", float(skills.rng.uniform(0.12, 0.18))):
            return "lost"
        control.begin("transport", "item")
        if control.move(HOME.copy(), yaw=0.0, until=skills.lost):
            return "lost"
        skills.rest()
        return ""

    def _stand_back(self, state: str) -> str:
        """Up, and away where it is to be approached anew; the tool that was lost."""
        back = [-0.06 if self.strategy == "approach_anew" else 0.0, 0.0, 0.1]
        self.skills.back_off(np.array(back), let_go=True)
        body = "old" if state == "lost_old" else "item"
        self.skills.wait_for_rest(body)
        return body

    def recover(self, state: str) -> str:
        """Fetch what was lost and go on from there."""
        skills = self.skills
        if self._stand_back(state) == "item":
            return self._take("")
        if not skills.pick("old") or skills.lift("old", 0.18):
            return "lost_old"
        return self.attempt("")

    def in_vain(self, state: str) -> str:
        """Try to fetch it, and miss."""
        self.skills.pick(self._stand_back(state), miss=True)
        return state
