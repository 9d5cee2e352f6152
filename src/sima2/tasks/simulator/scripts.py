"""The script of an episode: which skills in which order, what is made to fail, and how it is put right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from sima2.tasks.simulator.carry_scripts import Carry, errand
from sima2.tasks.simulator.contact_scripts import Drawer, Wipe
from sima2.tasks.simulator.controller import Controller, OutOfTime
from sima2.tasks.simulator.meta_scripts import Exchange, Inspect
from sima2.tasks.simulator.physics import World
from sima2.tasks.simulator.recording import Played
from sima2.tasks.simulator.scenario import Scenario
from sima2.tasks.simulator.settings import SimulatorSettings
from sima2.tasks.simulator.skills import Skills, Task

_PACES = {"kinematic": (0.28, 0.5), "temporal": (3.2, 6.4)}
"""Source of what is out of distribution to the factor on the time of one move: a hand much faster, or much slower."""
_PATIENCE = 2
"""Attempts beyond those planned that a robot makes which is to succeed."""


_TASKS: Final[Mapping[str, type[Task]]] = {
    "carry": Carry, "drawer": Drawer, "wipe": Wipe, "exchange": Exchange, "inspect": Inspect,
}  # fmt: skip


def play(made: Scenario, rng: np.random.Generator, settings: SimulatorSettings) -> Played:
    """One episode from start to end."""
    world = World(made)
    control = Controller(world, settings.longest_s)
    if made.plan["ood_source"] in _PACES:
        control.unusual = (int(rng.integers(2)), float(rng.uniform(*_PACES[made.plan["ood_source"]])))
    skills = Skills(control, rng, settings)
    task = _TASKS[made.family.skeleton](skills)
    try:
        _follow(task, skills)
    except OutOfTime:
        control.recording.stages[-1].reason = "timeout"
    return Played(control.recording, world)


def _follow(task: Task, skills: Skills) -> None:
    plan = skills.made.plan
    template = plan["template"]
    if skills.rng.random() < 0.3 and plan["inject_frame"] < 0:
        skills.rest()
    free = skills.made.family.skeleton != "exchange"
    if free and (template == "mixed" or skills.rng.random() < skills.settings.errand):
        errand(skills)
    state = task.attempt(task.fault)
    failure = template == "failure"
    for _ in range(plan["attempts"] if failure else plan["attempts"] - 1):
        state = task.in_vain(state) if state else state
    for _ in range(0 if failure else 1 + _PATIENCE):
        state = task.recover(state) if state else state
    if state:
        skills.control.recovering = False
        task.abort(state)
        return
    if skills.made.family.relation in ("held", "visible"):
        # the new tool stays in the hand, the object in sight
        return
    skills.leave()
    if template == "mixed":
        errand(skills)
    skills.go_home()
