"""Numbers of the simulated cell, each with its unit and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sima2.errors import UnknownNameError, UsageError
from sima2.tasks.settings import PhysicsSettings, SensorNoise

SIMULATED: Final = (
    "drawer_open", "dish_place", "wipe_surface", "pick_and_place", "sort_objects", "reset_after_failure",
)  # fmt: skip
"""Families the simulator can play."""

FRICTION: Final = {"low": 0.3, "medium": 0.55, "high": 0.9}
"""Coefficients of rubber fingers on greasy, plain and rough surfaces."""


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """The simulated cell and how much it varies.

    Raises:
        UsageError: if a number makes no sense.
    """

    rates_hz: tuple[float, ...] = (20.0, 30.0, 50.0, 100.0)
    """Control rates, Hz, 20 to 100; each episode has one of them."""
    step_s: float = 0.004
    """Longest physics step; contacts of time constant 0.012 s need one below 0.006."""
    arm_scale: tuple[float, float] = (0.95, 1.1)
    """Range of the factor on the lengths of the arm's links."""
    gain_scale: tuple[float, float] = (0.8, 1.3)
    """Range of the factor on the stiffness of the joints."""
    speed: tuple[float, float] = (0.16, 0.30)
    """Range of the hand's mean speed, m/s."""
    noise: SensorNoise = SensorNoise()
    values: PhysicsSettings = PhysicsSettings()
    """Whose object values price the damage."""
    pause: float = 0.2
    """Chance of a pause, of a detour, and of a second approach that nothing called for, each."""
    errand: float = 0.15
    """Chance that an episode moves the parcel first, which nobody asked for."""
    nominal_share: float = 0.20
    """Of the plain successes, those designated as reference."""
    longest_s: float = 120.0
    """An episode that lasts longer is given up."""

    def __post_init__(self) -> None:
        if not self.rates_hz or not all(20.0 <= rate <= 100.0 for rate in self.rates_hz):
            raise UsageError(f"rates_hz {self.rates_hz}: the simulator runs at control rates from 20 to 100 Hz")
        if not 0.0005 <= self.step_s <= 0.006:
            raise UsageError(f"step_s {self.step_s}: physics steps from 0.0005 to 0.006 s are stable")
        if not 0.85 <= self.arm_scale[0] <= self.arm_scale[1] <= 1.2:
            raise UsageError(f"arm_scale {self.arm_scale}: arms from 0.85 to 1.2 of the nominal one reach the table")


def check_simulated(family: str) -> str:
    """The family's name.

    Raises:
        UnknownNameError: for a family that the simulator does not play, naming those it does.
    """
    if family not in SIMULATED:
        raise UnknownNameError("simulated family", family, SIMULATED)
    return family
