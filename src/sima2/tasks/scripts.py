"""From template, failure mode and strategy to the script of an episode."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.tasks.failure_modes import FAILURE_MODES
from sima2.tasks.families import ALL_FAMILIES
from sima2.tasks.phrases import lift, pick
from sima2.tasks.script_carry import CARRY
from sima2.tasks.script_contact import DRAWER, WIPE
from sima2.tasks.script_meta import EXCHANGE, INSPECT
from sima2.tasks.steps import BANDS, Steps, compile_steps

SKELETONS: Final = {"carry": CARRY, "drawer": DRAWER, "wipe": WIPE, "inspect": INSPECT, "exchange": EXCHANGE}


@dataclass(frozen=True, slots=True)
class Structure:
    """What decides the script of an episode."""

    family: str
    template: str
    mode: str
    """The hazard the episode is exposed to."""
    strategy: str
    attempts: int
    other: str
    """Family of the other subtasks of a mixed episode, else empty."""


@lru_cache(maxsize=4096)
def program(structure: Structure) -> NDArray[np.int16]:
    """The compiled script of a structure, shape (k, fields)."""
    return compile_steps(script(structure))


def script(structure: Structure) -> Steps:
    """The script of a structure.

    >>> steps = script(Structure("drawer_open", "success", "grasp_slip", "", 0, ""))
    >>> list(dict.fromkeys(step.label for step in steps))
    ['approach', 'idle', 'grasp', 'pull', 'release', 'retreat']
    """
    task = _task(structure)
    if structure.template != "mixed":
        return task
    other = SKELETONS[ALL_FAMILIES[structure.other].skeleton].nominal
    if ALL_FAMILIES[structure.family].skeleton == "exchange":
        # the hand holds the new tool in the end, so that bringing it home is the last subtask
        parts: tuple[Steps, ...] = (_short(other), (*pick("third"), *lift("third"), *task))
    else:
        parts = (_short(other), _short(task), other)
    return tuple(replace(step, stage=stage) if stage else step for stage, part in enumerate(parts) for step in part)


def _short(steps: Steps) -> Steps:
    """Without the way home: the next subtask follows."""
    return tuple(step for step in steps if step.time not in ("go_home", "dwell"))


def _exposed(steps: Steps, mode: str) -> Steps:
    """The same steps, the mode's hazard acting where it strikes; before the last band: no event leaves all clean."""
    where = FAILURE_MODES[mode].strikes if mode else ()
    return tuple(
        replace(step, exposed=True) if step.time in where and step.band < BANDS - 1 else step for step in steps
    )


def _task(s: Structure) -> Steps:
    skeleton = SKELETONS[ALL_FAMILIES[s.family].skeleton]
    nominal = _exposed(skeleton.nominal, s.mode)
    if s.template == "success":
        return nominal
    before = nominal[: 1 + max(place for place, step in enumerate(nominal) if step.exposed)]
    failure = s.template == "failure"
    if not failure and not s.attempts and skeleton.carry_on is not None:
        return (*before, *skeleton.carry_on(s.mode))
    vain = skeleton.vain(s.mode, s.strategy) * (s.attempts if failure else s.attempts - 1)
    end = skeleton.abort(s.mode) if failure else skeleton.recover(s.mode, s.strategy)
    return (*before, *skeleton.strikes[s.mode], *vain, *end)
