"""Scripts of the families that serve the others: looking past a screen and changing tools. (A reset is a carry.)"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from sima2.records.arrays import Float64s
from sima2.tasks.simulator.carry_scripts import drop, errand
from sima2.tasks.simulator.controller import up
from sima2.tasks.simulator.scenario import HOME, SCREEN, SURFACE, Scenario
from sima2.tasks.simulator.skills import Skills, Task

BEST: Final = 0.96
"""Pose confidence of an object in plain sight."""
LEAST: Final = 0.15
"""Pose confidence below which there is no pose."""
_BEHIND: Final = 0.35
"""Share of the confidence that is left of an object behind the screen: a corner shows."""
_EDGE_M: Final = 0.008
"""m over which the screen's edge hides it."""
_RANGE_M: Final = (0.42, 0.05)
"""m at which half of the confidence is left, and over which it goes."""
LIFTED_M: Final = 0.04
"""m above its stand from which the new tool is off it."""

VIEWS: Final[Mapping[str, tuple[float, float, float]]] = {
    "glance": (-0.10, 0.0, 0.27),
    "above": (0.0, 0.0, 0.23),
    "other_side": (0.05, 0.02, 0.25),
    "near": (0.0, 0.0, 0.18),
    "behind_screen": (-0.20, 0.0, 0.09),
    "elsewhere": (-0.05, 0.55, 0.22),
}
"""Where the hand looks from: m beyond the object as seen from the robot, to its left, and up."""


def sight(hand: Float64s, item: Float64s, made: Scenario) -> Float64s:
    """Confidence of the object's pose from where the hand is, shape (t,); ``hand`` and ``item`` in m, shape (t, 3)."""
    yaw, foot = made.yaw["screen"], made.place["screen"]
    c, s = math.cos(yaw), math.sin(yaw)
    frame = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
    eye, seen = (hand - foot) @ frame.T, (item - foot) @ frame.T
    crosses = eye[:, 0] * seen[:, 0] < 0
    share = np.where(crosses, eye[:, 0] / np.where(crosses, eye[:, 0] - seen[:, 0], 1.0), 0.0)
    where = eye + share[:, None] * (seen - eye)
    clear = np.maximum(np.abs(where[:, 1]) - SCREEN[1], where[:, 2] - SCREEN[2])
    hidden = crosses / (1.0 + np.exp(np.clip(clear / _EDGE_M, -30.0, 30.0)))
    far = np.sqrt(np.square(hand - item).sum(axis=1))
    close = 1.0 / (1.0 + np.exp(np.clip((far - _RANGE_M[0]) / _RANGE_M[1], -30.0, 30.0)))
    found: Float64s = BEST * (1.0 - (1.0 - _BEHIND) * hidden) * close
    return found


class Inspect(Task):
    """One view after another until the object shows."""

    def __init__(self, skills: Skills) -> None:
        super().__init__(skills)
        self.glanced = False

    def attempt(self, fault: str) -> str:
        """A first look from afar, then from where the object shows; ``unseen`` where it does not."""
        if not self.glanced:
            self.glanced = True
            self._look("glance")
        return self._look({"occlusion": "behind_screen", "lost_object": "elsewhere"}.get(fault, "above"))

    def _look(self, view: str) -> str:
        """Go there and look; whether the object is seen decides."""
        control = self.control
        stage = control.begin("approach", "item")
        control.move(self._spot(view))
        control.recovering = False
        if view != "glance" and self.confidence() < self.made.family.tolerance:
            stage.reason = "timeout"
        self.skills.rest()
        return "unseen" if stage.reason else ""

    def confidence(self) -> float:
        """Of the object's pose, from here."""
        return float(sight(self.world.hand[None], self.world.where("item")[None], self.made)[0])

    def _spot(self, view: str) -> Float64s:
        item, (beyond, left, high) = self.world.where("item"), VIEWS[view]
        bearing = math.atan2(item[1], item[0])
        side = -1.0 if bearing > 0 else 1.0
        c, s = math.cos(bearing), math.sin(bearing)
        jitter = self.skills.rng.uniform(-0.012, 0.012, 3)
        offset = np.array([c * beyond - s * left * side, s * beyond + c * left * side, high])
        return np.array(item + offset + jitter)

    def _stand_back(self) -> None:
        self.skills.back_off(up(0.08), let_go=False)

    def recover(self, state: str) -> str:
        """Another view, or nearer."""
        self._stand_back()
        return self._look("near" if self.strategy == "look_closer" else "other_side")

    def in_vain(self, state: str) -> str:
        """Another view that shows nothing."""
        self._stand_back()
        return self.attempt(self.fault)

    def abort(self, state: str) -> None:
        """Stay, with nothing seen."""
        self.skills.rest()


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
