"""Scripts that work against contact: opening a drawer and wiping a surface, with what may go wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from sima2.records.arrays import Float64s
from sima2.tasks.simulator.controller import up
from sima2.tasks.simulator.scenario import Scenario
from sima2.tasks.simulator.skills import SURFACE, Skills

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
_UP: Final = np.array([0.0, 0.0, 0.1])


class Drawer:
    """One attempt after another at opening the drawer."""

    def __init__(self, skills: Skills) -> None:
        self.skills = skills
        self.world, self.made = skills.world, skills.made

    def opened(self) -> float:
        """m."""
        return float(self.world.data.qpos[self.world.drawer_qpos])

    def attempt(self, fault: str, *, miss: bool = False) -> str:
        """Approach, grasp, pull, let go; ``lost``, ``held`` or ``clear`` where that failed."""
        skills = self.skills
        if fault == "collision_with_frame" and self._strike():
            return "clear"
        weak = fault == "grasp_slip"
        # so little that friction cannot drag the drawer along
        needed = (self.made.rail_n + 4.0 * self.made.speed) / (2 * self.made.friction)
        force = skills.draw(skills.settings.faults.weak_grip) * needed if weak else None
        if not skills.pick("handle", miss=miss, force=force):
            return "lost"
        skills.control.recovering = False
        regains = self.made.plan["template"] == "recovery" and self.made.plan["attempts"] == 0
        return self.pull(tightens=weak and regains)

    def _strike(self) -> bool:
        """Come down too far ahead: onto the frame."""
        skills = self.skills
        skills.world.held = "drawer"
        why, _ = skills.approach("handle", bias=np.array([0.06 + 0.02 * skills.rng.random(), 0.0, 0.0]), until_hit=True)
        if why:
            skills.control.recording.stages[-1].reason = "collision"
            if self.made.plan["template"] == "recovery" and self.made.plan["attempts"] == 0:
                # the arm slides clear of the frame by itself and goes on
                skills.control.move(skills.control.target + np.array([-0.07, 0.0, 0.02]))
                return False
        return bool(why)

    def pull(self, *, tightens: bool = False) -> str:
        """Along the rail; ``held`` where it does not give, ``lost`` where the handle is left behind."""
        skills, control, world = self.skills, self.skills.control, self.world
        stage = control.begin("pull", "drawer")
        begin, handle = self.opened(), world.hand - world.where("handle")
        strained = [0]

        def trouble() -> str:
            slid = float(np.abs((world.hand - world.where("handle") - handle)[0]))
            if tightens and slid > 0.006:
                control.force = skills.grip
            stuck = self.opened() - begin < 0.004 and float(np.abs(world.contact[0])) > 0.6 * _STRAIN_N
            strained[0] = strained[0] + 1 if stuck else 0
            return skills.lost() or ("locked" if strained[0] > 0.4 * self.made.rate_hz else "")

        why = self._draw(max(0.03, PULL_M - begin), trouble)
        if why:
            stage.reason = "locked" if why == "locked" else "gripper_slip"
            return "held" if why == "locked" else "lost"
        control.wait(0.1)
        self.release()
        enough = self.opened() >= goal_opening()
        if not enough:
            stage.reason = "incomplete"
        return "" if enough else "lost"

    def _draw(self, way: float, trouble: Callable[[], str]) -> str:
        """Lead the hand along the rail, no further ahead than the force allowed."""
        control, rate = self.skills.control, self.made.rate_hz
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
        return "locked" if self.opened() < 0.02 else ""

    def release(self) -> None:
        """Open the fingers."""
        self.skills.control.begin("release", "handle")
        self.skills.control.halt()
        self.skills.open("handle")

    def recover(self, state: str, mode: str, strategy: str) -> str:
        """Put it right and open the drawer."""
        skills = self.skills
        if state == "held":
            if strategy == "wiggle_pull":
                self._wiggle()
                self.world.unlock()
                skills.control.recovering = False
                return self.pull()
            skills.back_off(_BACK + _UP, let_go=True)
            self.world.unlock()
            return self.attempt("")
        skills.back_off((_BACK if state == "clear" else _BACK * 0.3) + _UP, let_go=True)
        return self.attempt("")

    def _wiggle(self) -> None:
        """Sideways to and fro with the handle in the hand."""
        control = self.skills.control
        control.recovering = True
        control.begin("recovery_maneuver")
        control.halt()
        control.wait(0.2)
        middle = control.target.copy()
        for side in (1.0, -1.0, 1.0, -1.0):
            control.move(middle + np.array([0.0, side * 0.015, 0.0]))
        control.move(middle)

    def in_vain(self, state: str, mode: str) -> str:
        """Try to put it right, and fail."""
        skills = self.skills
        if state == "held":
            if self.made.plan["recovery_strategy"] == "wiggle_pull":
                self._wiggle()
                return self.pull()
            skills.back_off(_BACK * 0.5 + _UP, let_go=True)
            return self.attempt("")
        skills.back_off((_BACK if state == "clear" else _BACK * 0.3) + _UP, let_go=True)
        if state == "clear":
            return "clear" if self._strike() else state
        if self.made.plan["inject"] == "locked_joint":
            # it fails by the lock, not by the hand
            return self.attempt("")
        skills.pick("handle", miss=True)
        return "lost"

    def abort(self, state: str) -> None:
        """Let go and leave."""
        self.skills.control.recovering = False
        if state == "held":
            self.release()
        self.skills.leave()
        self.skills.go_home()


def goal_opening() -> float:
    """m that count as open."""
    return round(0.8 * PULL_M, 3)


class Wipe:
    """One attempt after another at wiping the patch."""

    def __init__(self, skills: Skills) -> None:
        self.skills = skills
        self.world, self.made = skills.world, skills.made

    def _spot(self, band: float, along: float) -> Float64s:
        """Where the tool's centre is at a place of the patch."""
        place, yaw = self.made.place["target"], self.made.yaw["target"]
        c, s = np.cos(yaw), np.sin(yaw)
        offset = np.array([c * band - s * along, s * band + c * along, SURFACE + self.skills.half_height("item")])
        spot: Float64s = place + offset
        return spot

    def attempt(self, fault: str, *, miss: bool = False) -> str:
        """Fetch the tool, wipe, put it back; ``lost`` or ``held`` where that failed."""
        skills = self.skills
        if not skills.pick("item", miss=miss, slips=fault == "slip"):
            return "lost"
        skills.control.recovering = False
        if skills.lift("item", float(skills.rng.uniform(0.14, 0.18))):
            return "lost"
        first = self._spot(BANDS[0], -_STROKE)
        if skills.carry("item", first, float(self.world.hand[2])):
            return "lost"
        state = self.wipe(fault)
        return state or self._put_away()

    def wipe(self, fault: str) -> str:
        """Press and stroke all bands; what is left to do where that failed."""
        skills, control = self.skills, self.skills.control
        press = skills.draw(skills.settings.faults.weak_press) * PRESS_N if fault == "insufficient_force" else PRESS_N
        goal = skills.over("item", self._spot(BANDS[0], -_STROKE)) + up(0.006)
        control.move(goal, speed=0.6 * self.made.speed, until=skills.lost)
        stage = control.begin("wipe", "item")
        # as stiff as the arm is, this lowers the hand until the force is there
        rate = self.made.rate_hz
        soft = 8.0 / (2500.0 * self.made.arm.stiffness) / rate
        for _ in range(round(2.0 * rate)):
            # down at a steady pace until something is felt, then as the force asks
            felt = self._down() > _FELT_N
            control.target[2] -= min(0.03 / rate, soft * 1.5 * abs(press - self._down())) if felt else 0.015 / rate
            control.tick()
            if self._down() > 0.85 * press:
                break
        bands = BANDS[:2] if fault == "missed_patch" else BANDS
        for turn, band in enumerate(bands):
            ends = (-_STROKE, _STROKE) if turn % 2 == 0 else (_STROKE, -_STROKE)
            if turn and self._drag(self._spot(band, ends[0]), press, soft, ""):
                stage.reason = "gripper_slip"
                return "lost"
            cut = fault if fault == "tool_loss" and turn == 1 else ""
            if self._drag(self._spot(band, ends[1]), press, soft, cut):
                stage.reason = "gripper_slip"
                return "lost"
            if turn == 1 and fault == "insufficient_force":
                break
        if fault in ("insufficient_force", "missed_patch"):
            stage.reason = "insufficient_force" if fault == "insufficient_force" else "incomplete"
            return "held"
        return ""

    def _down(self) -> float:
        """N with which the tool is pressed."""
        return float(self.world.contact[2])

    def _drag(self, spot: Float64s, press: float, soft: float, fault: str) -> str:
        """Along a stroke at constant force; a lost tool ends it."""
        control, world, skills = self.skills.control, self.world, self.skills
        start, goal = control.target.copy(), skills.over("item", spot)
        far = float(np.sqrt(np.square((goal - start)[:2]).sum()))
        count = max(3, int(np.ceil(far / (0.6 * self.made.speed) * self.made.rate_hz)))
        height = float(start[2])
        for k in range(1, count + 1):
            s = k / count
            share = s * s * (3 - 2 * s)
            height += float(np.clip(soft * (self._down() - press), -0.001, 0.001))
            if fault and s > 0.3:
                control.weak = 0.2 / control.force
            control.target = np.array([*(start + share * (goal - start))[:2], height])
            control.tick()
            height = float(np.clip(height, world.hand[2] - 0.03, world.hand[2] + 0.03))
            if skills.lost():
                return "lost"
        return ""

    def _put_away(self) -> str:
        """Bring the tool back where it was."""
        skills = self.skills
        home = self.made.place["item"] + up(skills.half_height("item"))
        if skills.lift("item", 0.14) or skills.carry("item", home, float(self.world.hand[2])):
            return "lost"
        skills.lower("item", home)
        skills.open("item")
        return ""

    def recover(self, state: str, mode: str, strategy: str) -> str:
        """Put it right and wipe the patch."""
        skills = self.skills
        if state == "held" and strategy == "re_trace":
            skills.back_off(_UP * 0.4, let_go=False)
            skills.control.move(skills.over("item", self._spot(BANDS[0], -_STROKE) + up(0.03)))
            skills.control.recovering = False
            return self.wipe("") or self._put_away()
        skills.back_off(_UP, let_go=True)
        skills.wait_for_rest("item")
        return self.attempt("")

    def in_vain(self, state: str, mode: str) -> str:
        """Try to put it right, and fail."""
        skills = self.skills
        if state == "held":
            skills.back_off(_UP * 0.4, let_go=False)
            skills.control.move(skills.over("item", self._spot(BANDS[0], -_STROKE) + up(0.03)))
            return self.wipe(mode)
        skills.back_off(_UP, let_go=True)
        skills.pick("item", miss=True)
        return "lost"

    def abort(self, state: str) -> None:
        """Give up."""
        skills = self.skills
        skills.control.recovering = False
        if state == "held":
            skills.lift("item", 0.1)
            skills.rest()
            return
        skills.leave()
        skills.go_home()


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
