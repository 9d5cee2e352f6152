"""Scripts that work against contact: opening a drawer and wiping a surface, with what may go wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from sima2.records.arrays import Float64s
from sima2.tasks.simulator.controller import up
from sima2.tasks.simulator.scenario import SURFACE, Scenario, length
from sima2.tasks.simulator.skills import Task

PULL_M: Final = 0.19
"""m the drawer is pulled."""
PRESS_N: Final = 7.0
"""N with which the surface is to be wiped."""
BANDS: Final = (-0.057, -0.019, 0.019, 0.057)
"""m, middles of the strokes across the patch."""
_STROKE: Final = 0.055
"""m, half a stroke."""
_FELT_N: Final = 0.2
"""N that tell the hand its tool has arrived."""
_STRAIN_N: Final = 14.0
"""N with which the drawer is pulled at most."""
_BACK: Final = np.array([-0.06, 0.0, 0.03])
_RISE_M: Final = 0.1
"""m by which the hand backs off."""


class Drawer(Task):
    """One attempt after another at opening the drawer."""

    @property
    def regains(self) -> bool:
        """Whether the mishap is to come right by itself."""
        return bool(self.made.plan["template"] == "recovery" and self.made.plan["attempts"] == 0)

    def attempt(self, fault: str) -> str:
        """Approach, grasp, pull, let go; ``lost``, ``held`` or ``clear`` where that failed."""
        skills = self.skills
        if fault == "collision_with_frame" and self._strike():
            return "clear"
        weak = fault == "grasp_slip"
        # so little that friction cannot drag the drawer along
        needed = (self.made.rail_n + 4.0 * self.made.speed) / (2 * self.made.friction)
        force = skills.draw(skills.settings.faults.weak_grip) * needed if weak else None
        if not skills.pick("handle", force=force):
            return "lost"
        self.control.recovering = False
        return self.pull(tightens=weak and self.regains)

    def _strike(self) -> bool:
        """Come down too far ahead, onto the frame; whether that ended the attempt."""
        self.world.held = "drawer"
        bias = np.array([0.06 + 0.02 * self.skills.rng.random(), 0.0, 0.0])
        why = self.skills.approach("handle", bias, until_hit=True)
        if why:
            self.control.recording.stages[-1].reason = "collision"
            if self.regains:
                # the arm slides clear of the frame by itself and goes on
                self.control.move(self.control.target + np.array([-0.07, 0.0, 0.02]))
        return bool(why) and not self.regains

    def pull(self, *, tightens: bool = False) -> str:
        """Along the rail; ``held`` where it does not give, ``lost`` where the handle is left behind."""
        skills, control, world = self.skills, self.control, self.world
        stage = control.begin("pull", "drawer")
        begin, handle = world.opened(), world.hand - world.where("handle")
        strained = [0]

        def trouble() -> str:
            slid = float(np.abs((world.hand - world.where("handle") - handle)[0]))
            if tightens and slid > 0.006:
                control.force = skills.grip
            stuck = world.opened() - begin < 0.004 and float(np.abs(world.contact[0])) > 0.6 * _STRAIN_N
            strained[0] = strained[0] + 1 if stuck else 0
            return skills.lost() or ("locked" if strained[0] > 0.4 * self.made.rate_hz else "")

        why = self._draw(max(0.03, PULL_M - begin), trouble)
        if why:
            stage.reason = "locked" if why == "locked" else "gripper_slip"
            return "held" if why == "locked" else "lost"
        control.wait(0.1)
        self.release()
        if world.opened() >= goal_opening():
            return ""
        stage.reason = "incomplete"
        return "lost"

    def _draw(self, way: float, trouble: Callable[[], str]) -> str:
        """Lead the hand along the rail, no further ahead than the force allowed."""
        control, rate = self.control, self.made.rate_hz
        speed, begin = 0.6 * self.made.speed, control.target.copy()
        gone, pace = 0.0, 0.0
        for _ in range(round((way / speed + 4.0) * rate)):
            pace = min(pace + speed / (0.3 * rate), speed, 0.02 + 3.0 * (way - gone))
            if abs(float(self.world.contact[0])) < _STRAIN_N:
                gone += pace / rate
            control.target = begin - [gone, 0.0, 0.0]
            control.tick()
            why = trouble()
            if why or gone >= way:
                return why
        return "locked" if self.world.opened() < 0.02 else ""

    def release(self) -> None:
        """Open the fingers."""
        self.control.begin("release", "handle")
        self.control.halt()
        self.skills.open("handle")

    def _stand_back(self, state: str, held: float) -> None:
        """Let go and back off: from the frame all the way, with the handle held a share of it, else a little."""
        share = {"clear": 1.0, "held": held}.get(state, 0.3)
        self.skills.back_off(_BACK * share + up(_RISE_M), let_go=True)

    def recover(self, state: str) -> str:
        """Put it right and open the drawer."""
        if state == "held" and self.strategy == "wiggle_pull":
            self._wiggle()
            self.world.unlock()
            self.control.recovering = False
            return self.pull()
        self._stand_back(state, 1.0)
        if state == "held":
            self.world.unlock()
        return self.attempt("")

    def _wiggle(self) -> None:
        """Sideways to and fro with the handle in the hand."""
        control = self.control
        control.recovering = True
        control.begin("recovery_maneuver")
        control.halt()
        control.wait(0.2)
        middle = control.target.copy()
        for side in (1.0, -1.0, 1.0, -1.0):
            control.move(middle + np.array([0.0, side * 0.015, 0.0]))
        control.move(middle)

    def in_vain(self, state: str) -> str:
        """Try to put it right, and fail."""
        if state == "held" and self.strategy == "wiggle_pull":
            self._wiggle()
            return self.pull()
        self._stand_back(state, 0.5)
        if state == "clear":
            self._strike()
            return state
        if state == "held" or self.made.plan["inject"] == "locked_joint":
            # it fails by the lock, not by the hand
            return self.attempt("")
        self.skills.pick("handle", miss=True)
        return "lost"

    def abort(self, state: str) -> None:
        """Let go and leave."""
        if state == "held":
            self.release()
        super().abort(state)


def goal_opening() -> float:
    """m that count as open."""
    return round(0.8 * PULL_M, 3)


class Wipe(Task):
    """One attempt after another at wiping the patch."""

    def _spot(self, band: float, along: float) -> Float64s:
        """Where the tool's centre is at a place of the patch."""
        place, yaw = self.made.place["target"], self.made.yaw["target"]
        c, s = np.cos(yaw), np.sin(yaw)
        offset = np.array([c * band - s * along, s * band + c * along, SURFACE + self.skills.half_height("item")])
        return np.array(place + offset)

    def attempt(self, fault: str) -> str:
        """Fetch the tool, wipe, put it back; ``lost`` or ``held`` where that failed."""
        skills = self.skills
        if not self.fetch("item", fault) or skills.lift("item", float(skills.rng.uniform(0.14, 0.18))):
            return "lost"
        if skills.carry("item", self._spot(BANDS[0], -_STROKE)):
            return "lost"
        return self.wipe(fault) or self._put_away()

    def wipe(self, fault: str) -> str:
        """Press and stroke all bands; what is left to do where that failed."""
        skills, weak = self.skills, fault == "insufficient_force"
        press = skills.draw(skills.settings.faults.weak_press) * PRESS_N if weak else PRESS_N
        goal = skills.over("item", self._spot(BANDS[0], -_STROKE)) + up(0.006)
        self.control.move(goal, speed=0.6 * self.made.speed, until=skills.lost)
        stage = self.control.begin("wipe", "item")
        # as stiff as the arm is, this lowers the hand until the force is there
        soft = 8.0 / (2500.0 * self.made.arm.stiffness) / self.made.rate_hz
        self._press(press, soft)
        bands = BANDS[:2] if weak or fault == "missed_patch" else BANDS
        for turn, band in enumerate(bands):
            start, loses = (_STROKE if turn % 2 else -_STROKE), fault == "tool_loss" and turn == 1
            lost = turn > 0 and self._drag(self._spot(band, start), press, soft)
            if lost or self._drag(self._spot(band, -start), press, soft, loses=loses):
                stage.reason = "gripper_slip"
                return "lost"
        if len(bands) < len(BANDS):
            stage.reason = "insufficient_force" if weak else "incomplete"
            return "held"
        return ""

    def _press(self, press: float, soft: float) -> None:
        """Down at a steady pace until something is felt, then as the force asks, 2 s at most."""
        rate = self.made.rate_hz
        for _ in range(round(2.0 * rate)):
            felt = self._down() > _FELT_N
            pace = min(0.03 / rate, soft * 1.5 * abs(press - self._down())) if felt else 0.015 / rate
            self.control.target[2] -= pace
            self.control.tick()
            if self._down() > 0.85 * press:
                return

    def _down(self) -> float:
        """N with which the tool is pressed."""
        return float(self.world.contact[2])

    def _drag(self, spot: Float64s, press: float, soft: float, *, loses: bool = False) -> bool:
        """Along a stroke at constant force; whether the tool is lost, which ends it."""
        control, world, skills = self.control, self.world, self.skills
        start, goal = control.target.copy(), skills.over("item", spot)
        far = length((goal - start)[:2])
        count = max(3, int(np.ceil(far / (0.6 * self.made.speed) * self.made.rate_hz)))
        height = float(start[2])
        for k in range(1, count + 1):
            s = k / count
            share = s * s * (3 - 2 * s)
            height += float(np.clip(soft * (self._down() - press), -0.001, 0.001))
            if loses and s > 0.3:
                control.weak = 0.2 / control.force
            control.target = np.array([*(start + share * (goal - start))[:2], height])
            control.tick()
            height = float(np.clip(height, world.hand[2] - 0.03, world.hand[2] + 0.03))
            if skills.lost():
                return True
        return False

    def _put_away(self) -> str:
        """Bring the tool back where it was."""
        skills = self.skills
        home = self.made.place["item"] + up(skills.half_height("item"))
        return "" if not skills.lift("item", 0.14) and skills.put("item", home) else "lost"

    def _to_start(self) -> None:
        """Back over the first stroke with the tool in the hand."""
        self.skills.back_off(up(_RISE_M * 0.4), let_go=False)
        self.control.move(self.skills.over("item", self._spot(BANDS[0], -_STROKE) + up(0.03)))

    def recover(self, state: str) -> str:
        """Put it right and wipe the patch."""
        if state == "held" and self.strategy == "re_trace":
            self._to_start()
            self.control.recovering = False
            return self.wipe("") or self._put_away()
        self.skills.back_off(up(_RISE_M), let_go=True)
        self.skills.wait_for_rest("item")
        return self.attempt("")

    def in_vain(self, state: str) -> str:
        """Try to put it right, and fail."""
        if state == "held":
            self._to_start()
            return self.wipe(self.fault)
        self.skills.back_off(up(_RISE_M), let_go=True)
        self.skills.pick("item", miss=True)
        return "lost"

    def abort(self, state: str) -> None:
        """Give up."""
        if state != "held":
            super().abort(state)
            return
        self.skills.lift("item", 0.1)
        self.skills.rest()


def wiped_share(made: Scenario, item: Float64s, pressed: Float64s) -> float:
    """Share of the strokes' middle lines over which the tool went under at least half the force asked.

    Args:
        made: the scenario.
        item: m, where the tool was, shape (t, 3).
        pressed: N upwards on hand and tool, shape (t,).
    """
    place, yaw = made.place["target"], made.yaw["target"]
    gap = item[:, :2] - place[:2]
    c, s = np.cos(yaw), np.sin(yaw)
    across, along = gap[:, 0] * c + gap[:, 1] * s, gap[:, 1] * c - gap[:, 0] * s
    cells = np.linspace(-0.8 * _STROKE, 0.8 * _STROKE, 5)
    near = (np.abs(across[:, None] - BANDS) < 0.02) & (pressed > 0.5 * PRESS_N)[:, None]
    hit = near[:, :, None] & (np.abs(along[:, None] - cells) < 0.022)[:, None, :]
    return float(hit.any(axis=0).mean())
