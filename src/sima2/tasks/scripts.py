"""From template, failure mode and strategy to the script of an episode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from sima2.tasks import script_carry as carrying
from sima2.tasks import script_contact as contact
from sima2.tasks import script_meta as meta
from sima2.tasks.families import ALL_FAMILIES
from sima2.tasks.phrases import lift, pick
from sima2.tasks.steps import Program, Step, Steps, compile_steps


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The scripts of one kind of task."""

    nominal: Callable[[str], Steps]
    """All goes well; the mode's hazard acts in the steps marked ``exposed``."""
    strike: Callable[[str], Steps]
    recover: Callable[[str, str], Steps]
    vain: Callable[[str, str], Steps]
    abort: Callable[[str], Steps]
    carry_on: Callable[[str], Steps] | None = None
    """Event and end of an episode whose failure comes right with no attempt."""


SKELETONS = {
    "carry": Skeleton(
        carrying.nominal,
        carrying.strike,
        carrying.recover,
        carrying.vain,
        carrying.abort,
        lambda mode: (*carrying.strike(mode), *carrying.pass_over()),
    ),
    "drawer": Skeleton(
        contact.drawer,
        contact.drawer_strike,
        contact.drawer_recover,
        contact.drawer_vain,
        contact.drawer_abort,
        contact.drawer_pass,
    ),
    "wipe": Skeleton(
        contact.wipe, contact.wipe_strike, contact.wipe_recover, contact.wipe_vain, contact.wipe_abort
    ),
    "inspect": Skeleton(
        meta.inspect, meta.inspect_strike, meta.inspect_recover, meta.inspect_vain, meta.inspect_abort
    ),
    "exchange": Skeleton(
        meta.exchange, meta.exchange_strike, meta.exchange_recover, meta.exchange_vain, meta.exchange_abort
    ),
}  # fmt: skip


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
def program(structure: Structure) -> Program:
    """The compiled script of a structure."""
    return compile_steps(script(structure))


def script(structure: Structure) -> Steps:
    """The script of a structure.

    >>> steps = script(Structure("drawer_open", "success", "grasp_slip", "", 0, ""))
    >>> list(dict.fromkeys(step.label for step in steps))
    ['approach', 'idle', 'grasp', 'pull', 'release', 'retreat']
    """
    if structure.template != "mixed":
        return _task(structure)
    other = SKELETONS[ALL_FAMILIES[structure.other].skeleton].nominal("")
    if ALL_FAMILIES[structure.family].skeleton == "exchange":
        # The hand holds the new tool in the end, so that bringing it home is the last subtask.
        parts: tuple[Steps, ...] = (_short(other), (*pick("third"), *lift("third"), *_task(structure)))
    else:
        parts = (_short(other), _short(_task(structure)), other)
    return tuple(step for stage, part in enumerate(parts) for step in meta.as_stage(part, stage))


def _short(steps: Steps) -> Steps:
    """Without the way home: the next subtask follows."""
    return tuple(step for step in steps if step.time not in ("go_home", "dwell"))


def _task(s: Structure) -> Steps:
    skeleton = SKELETONS[ALL_FAMILIES[s.family].skeleton]
    nominal = skeleton.nominal(s.mode)
    if s.template == "success":
        return nominal
    last = max(place for place, step in enumerate(nominal) if step.exposed)
    before = nominal[: last + 1]
    if s.template != "failure" and not s.attempts and skeleton.carry_on is not None:
        return (*before, *skeleton.carry_on(s.mode))
    vain_attempts = s.attempts if s.template == "failure" else s.attempts - 1
    vain: list[Step] = []
    for _ in range(vain_attempts):
        vain += skeleton.vain(s.mode, s.strategy)
    end = skeleton.abort(s.mode) if s.template == "failure" else skeleton.recover(s.mode, s.strategy)
    return (*before, *skeleton.strike(s.mode), *vain, *end)
