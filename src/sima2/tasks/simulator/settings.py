"""Numbers of the simulated cell, each with its unit and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Final

from sima2.errors import UsageError
from sima2.tasks.families import ALL_FAMILIES, known
from sima2.tasks.world_settings import PhysicsSettings, SensorNoise

SIMULATED: Final = tuple(sorted(ALL_FAMILIES, key=lambda name: ALL_FAMILIES[name].skeleton == "inspect"))
"""Families the simulator can play, those that only look last."""

FRICTION: Final = {"low": 0.3, "medium": 0.55, "high": 0.9}
"""Coefficients of rubber fingers on greasy, plain and rough surfaces."""

Spans = tuple[tuple[float, float], ...]
"""Ranges a number is drawn from, evenly over all of them: ``((0.5, 0.7), (1.4, 2.0))`` leaves out what lies between."""


def drawn(spans: Spans, share: float) -> float:
    """The value at a share, 0 to 1, of the whole length of the spans.

    >>> drawn(((0.0, 1.0), (5.0, 6.0)), 0.25), drawn(((0.0, 1.0), (5.0, 6.0)), 0.75), drawn(((2.0, 2.0),), 0.9)
    (0.5, 5.5, 2.0)
    """
    left = share * sum(high - low for low, high in spans)
    for low, high in spans:
        if left <= high - low:
            return low + left
        left -= high - low
    return spans[-1][1]


@dataclass(frozen=True, slots=True)
class ArmRanges:
    """What the arm may be like. The defaults are of one product line, with the tolerances of its variants."""

    upper_m: Spans = ((0.38, 0.44),)
    """m from shoulder to elbow."""
    fore_m: Spans = ((0.38, 0.44),)
    """m from elbow to wrist."""
    base_m: Spans = ((0.34, 0.34),)
    """m of the shoulder above the table."""
    stroke_m: Spans = ((0.094, 0.094),)
    """m between the open fingers."""
    finger_m_s: Spans = ((0.11, 0.11),)
    """m/s at which they open and close together. Source: electric parallel grippers do 0.05 to 0.3."""
    stiffness: Spans = ((0.8, 1.3),)
    """Factor on the stiffness of the joints."""


@dataclass(frozen=True, slots=True)
class FaultRanges:
    """How strong the faults are."""

    leak_per_s: Spans = ((9.0, 15.0),)
    """Rate at which a leaking grip loses its force, 1/s."""
    open_s: Spans = ((0.25, 0.35),)
    """s for which a gripper that fails opens."""
    weak_grip: Spans = ((0.5, 0.65),)
    """Force of too weak a grip, as a share of what the load needs; above 1 nothing would slip."""
    weak_press: Spans = ((0.2, 0.3),)
    """Force of too light a wipe, as a share of what is asked; half of it counts as wiped."""
    aside_m: Spans = ((0.04, 0.05),)
    """m by which a misaligned place is off; the finest tolerance is 0.025."""
    slide_m: Spans = ((0.05, 0.06),)
    """m that an object slides which someone pushes after it was put down."""
    bump_speed: Spans = ((0.7, 1.3),)
    """Factor on the hand's speed where it runs into something: light and hard bumps."""


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
    arm: ArmRanges = ArmRanges()
    faults: FaultRanges = FaultRanges()
    speed: Spans = ((0.16, 0.30),)
    """The hand's mean speed, m/s."""
    friction: Spans = ((0.9, 1.1),)
    """Factor on the friction of what is held."""
    mass: Spans = ((0.8, 1.25),)
    """Factor on the mass of what is moved."""
    size: Spans = ((1.0, 1.0),)
    """Factor on the width and height of what is held."""
    rail_n: Spans = ((1.5, 3.0), (6.0, 8.0))
    """N of friction of the drawer's rail: smooth and sticky ones. Source: household drawers take 2 to 10 N."""
    noise: SensorNoise = SensorNoise()
    values: PhysicsSettings = PhysicsSettings()
    """Whose object values price the damage, and whose ``dropouts`` is the chance of poses lost for a while."""
    dropout_s: Spans = ((0.1, 0.6),)
    """s for which the poses of an object are lost."""
    pose_delay_s: Spans = ((0.0, 0.0),)
    """s by which poses of objects come late. Source: camera pipelines take 30 to 100 ms; the default has none."""
    pause: float = 0.2
    """Chance of a pause, of a detour, and of a second approach that nothing called for, each."""
    errand: float = 0.15
    """Chance that an episode moves the parcel first, which nobody asked for."""
    outside_push: float = 0.1
    """Chance that someone moves what is approached, so that the hand has to turn to it anew."""
    nominal_share: float = 0.20
    """Of the plain successes, those designated as reference."""
    longest_s: float = 120.0
    """An episode that lasts longer is given up."""

    def __post_init__(self) -> None:
        if not self.rates_hz or not all(20.0 <= rate <= 100.0 for rate in self.rates_hz):
            raise UsageError(f"rates_hz {self.rates_hz}: the simulator runs at control rates from 20 to 100 Hz")
        if not 0.0005 <= self.step_s <= 0.006:
            raise UsageError(f"step_s {self.step_s}: physics steps from 0.0005 to 0.006 s are stable")
        for owner in (self, self.arm, self.faults):
            for each in fields(owner):
                if each.type == "Spans":
                    _check_spans(each.name, getattr(owner, each.name))
        arm = self.arm
        if arm.upper_m[0][0] + arm.fore_m[0][0] < 0.7:
            raise UsageError(
                f"upper_m {arm.upper_m} and fore_m {arm.fore_m}: the links must be 0.7 m together to reach"
            )
        if arm.stroke_m[0][0] < 0.078 or arm.stroke_m[-1][1] > 0.16:
            raise UsageError(f"stroke_m {arm.stroke_m}: grippers that open 0.078 to 0.16 m hold what is on the table")


def _check_spans(name: str, spans: Spans) -> None:
    ordered = [each for span in spans for each in span]
    if not spans or ordered[0] < 0 or ordered != sorted(ordered):
        raise UsageError(f"{name} {spans}: give ranges (low, high) of numbers from 0 up, in rising order")


LEFT_OUT: Final = SimulatorSettings(
    rates_hz=(25.0, 40.0, 80.0),
    arm=ArmRanges(
        upper_m=((0.30, 0.34),), fore_m=((0.46, 0.50),), base_m=((0.26, 0.30), (0.40, 0.44)),
        stroke_m=((0.080, 0.086), (0.11, 0.13)), finger_m_s=((0.05, 0.08), (0.16, 0.24)),
        stiffness=((0.6, 0.75), (1.4, 1.8))),
    faults=FaultRanges(
        leak_per_s=((4.0, 7.0), (20.0, 32.0)), open_s=((0.16, 0.2), (0.5, 0.7)), weak_grip=((0.3, 0.45), (0.7, 0.8)),
        weak_press=((0.1, 0.15), (0.33, 0.38)), aside_m=((0.033, 0.037), (0.053, 0.06)),
        slide_m=((0.035, 0.042), (0.07, 0.085)), bump_speed=((0.4, 0.6), (1.5, 1.9))),
    speed=((0.11, 0.145), (0.33, 0.40)), friction=((0.75, 0.85), (1.15, 1.3)), mass=((0.5, 0.7), (1.4, 1.7)),
    size=((0.85, 0.92), (1.08, 1.14)), rail_n=((0.4, 1.0), (8.5, 10.0)), dropout_s=((0.7, 1.2),),
    pose_delay_s=((0.03, 0.09),),
    noise=SensorNoise(
        joint_speed=0.015, joint_torque=0.3, width_m=5e-4, grip_n=0.4, contact_n=0.3, object_m=2.5e-3, object_rad=0.02),
    values=PhysicsSettings(dropouts=0.7),
)  # fmt: skip
"""Another robot with other sensors and other faults: every range lies outside those of the default settings, so that
what was trained on those is judged on what it has not seen. The engine's rules were mended on it, with other seeds."""

UNSEEN: Final = replace(
    LEFT_OUT,
    rates_hz=(35.0, 60.0, 90.0),
    arm=ArmRanges(
        upper_m=((0.45, 0.48),), fore_m=((0.35, 0.37),), base_m=((0.31, 0.33),), stroke_m=((0.100, 0.105),),
        finger_m_s=((0.085, 0.1), (0.13, 0.15)), stiffness=((0.76, 0.79), (1.31, 1.39))),
    faults=FaultRanges(
        leak_per_s=((7.2, 8.8), (15.5, 19.5)), open_s=((0.21, 0.24), (0.36, 0.48)),
        weak_grip=((0.46, 0.49), (0.66, 0.69)), weak_press=((0.16, 0.19), (0.31, 0.32)),
        bump_speed=((0.62, 0.7), (1.35, 1.45))),
)  # fmt: skip
"""A third robot, on which nothing may be mended: it is only ever judged."""


def check_simulated(family: str) -> str:
    """The family's name.

    Raises:
        UnknownNameError: for a family that the simulator does not play, naming those it does.
    """
    return known("simulated family", family, SIMULATED)
