"""What things cost and how costs are counted: every number that decides anything, with its unit and source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from sima2.errors import UnknownNameError, UsageError
from sima2.records.arrays import Float64s
from sima2.records.econ import AFTER_FAILURE
from sima2.records.vocabulary import object_class

GRAVITY: Final = 9.81
"""m/s²."""


@dataclass(frozen=True, slots=True)
class ObjectValue:
    """What an object of a class is worth and how much it stands."""

    price: float
    """Currency, to replace it."""
    fragility: float
    """Share of ``breakage_impulse_ns`` taken as loss: 1 is earthenware or glass, 0 cannot be broken by hand."""
    mass_kg: float
    """kg; of use only where an object falls, for a recording does not tell its mass."""


DEFAULT_VALUE: Final = ObjectValue(price=10.0, fragility=0.3, mass_kg=0.3)
"""An object of unknown class: a sturdy household article in the middle of the table below."""

OBJECT_VALUES: Final[Mapping[str, ObjectValue]] = MappingProxyType(
    {
        # retail prices and kitchen-scale masses of common articles, rounded
        "glass": ObjectValue(5.0, 1.0, 0.25),
        "vase": ObjectValue(25.0, 1.0, 0.8),
        "bottle": ObjectValue(4.0, 0.8, 0.5),
        "jar": ObjectValue(5.0, 1.0, 0.4),
        "mug": ObjectValue(8.0, 1.0, 0.3),
        "cup": ObjectValue(6.0, 1.0, 0.25),
        "plate": ObjectValue(8.0, 1.0, 0.4),
        "dish": ObjectValue(8.0, 1.0, 0.4),
        "bowl": ObjectValue(7.0, 1.0, 0.35),
        "saucer": ObjectValue(5.0, 1.0, 0.2),
        "gauge": ObjectValue(60.0, 0.8, 0.3),
        "can": ObjectValue(2.0, 0.2, 0.35),
        "carton": ObjectValue(3.0, 0.4, 0.5),
        "box": ObjectValue(3.0, 0.2, 0.3),
        "tube": ObjectValue(3.0, 0.2, 0.1),
        "ball": ObjectValue(4.0, 0.05, 0.1),
        "block": ObjectValue(2.0, 0.05, 0.1),
        "sponge": ObjectValue(1.0, 0.0, 0.03),
        "cloth": ObjectValue(2.0, 0.0, 0.05),
        "spatula": ObjectValue(6.0, 0.1, 0.1),
        "brush": ObjectValue(6.0, 0.1, 0.1),
        "scraper": ObjectValue(6.0, 0.1, 0.1),
        "bin": ObjectValue(15.0, 0.1, 1.0),
        "tray": ObjectValue(12.0, 0.1, 0.6),
        # furniture is repaired, not replaced: price of the repair
        "drawer": ObjectValue(60.0, 0.1, 2.0),
        "drawer_handle": ObjectValue(12.0, 0.2, 0.1),
        "drawer_knob": ObjectValue(8.0, 0.2, 0.1),
    }
)


@dataclass(frozen=True, slots=True)
class CostField:
    """A cost as it is counted."""

    name: str
    low: float
    """Costs below it share the first bin with zero, in the field's unit."""
    high: float
    """Costs are cut here before they are added up; the last bin is open."""
    per_decade: int
    """Bins a factor of ten; 0 splits once, at ``low``."""
    price: bool = False
    """A non-negative cost of which a premium is meaningful."""
    needs_success: bool = False
    """Rests on success being known, so an inferred one makes the test self-referential."""
    given_failure: bool = False
    """Judged among episodes with a failure event, by whether a correction was attempted."""
    told_by: str = ""
    """What must be recorded for it to be known."""

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise UsageError(f"bins of {self.name} run from {self.low} to {self.high}: give 0 < low < high")

    @property
    def edges(self) -> Float64s:
        """Bin k holds ``edges[k - 1] <= y < edges[k]``, shape (bins - 1,)."""
        if not self.per_decade:
            return np.array([self.low])
        steps = round(float(np.log10(self.high / self.low)) * self.per_decade)
        # six digits, so that the last bit of a power on another machine moves no edge
        return np.array([float(f"{self.low * 10 ** (k / self.per_decade):.6g}") for k in range(steps + 1)])

    @property
    def grain(self) -> float:
        """Unit in which costs are added up as integers: 2**31 of them reach ``high``, shape ()."""
        return float(2.0 ** (np.ceil(np.log2(self.high)) - 31))


_OUTCOME: Final = "record next.success or next.reward, or pass success in --outcomes"
_HARM: Final = "record contact_force or object poses, or pass damage in --outcomes"
_POWER: Final = "record joint_torque and joint_velocity"

_FIELDS: Final = (
    # 24 bins a decade are steps of 10 %, finer than episodes of one task differ
    CostField("success", 0.5, 1.0, 0, needs_success=True, told_by=_OUTCOME),
    CostField("duration_s", 0.1, 1e5, 24, price=True, told_by="record time"),
    CostField("mpl", 0.1, 1e5, 24, needs_success=True, told_by=_OUTCOME),
    CostField("energy_wh", 1e-4, 1e4, 24, price=True, told_by=_POWER),
    CostField("damage", 1e-4, 1e4, 24, price=True, told_by=_HARM),
    CostField("wage_parity", 1e-3, 1e3, 24, needs_success=True, told_by=f"{_OUTCOME}; {_POWER}; and {_HARM}"),
    CostField("resilience", 1e-2, 1.0, 24, needs_success=True, told_by="pass success and failed_at_s in --outcomes"),
    CostField(AFTER_FAILURE, 0.1, 1e5, 24, needs_success=True, given_failure=True, told_by=_OUTCOME),
)

COST_FIELDS: Final[Mapping[str, CostField]] = MappingProxyType({each.name: each for each in _FIELDS})
"""Every cost that a tag may be tested against."""


def cost_field(name: str) -> CostField:
    """The row of a cost.

    Raises:
        UnknownNameError: if there is none.
    """
    if name not in COST_FIELDS:
        raise UnknownNameError("cost field", name, COST_FIELDS)
    return COST_FIELDS[name]


@dataclass(frozen=True, slots=True)
class EconSettings:
    """Prices and physics by which an episode's raw signals become costs. Currency: US dollars of 2024."""

    unit_price: float = 0.05
    """Currency a task unit: what a human is paid for one (wage over rate)."""
    human_wage: float = 18.0
    """Currency an hour; US Bureau of Labor Statistics, median of hand labourers and material movers, 2023."""
    human_rate: float = 360.0
    """Task units a human does an hour: ten seconds for a task of one object, allowances included."""
    energy_price: float = 0.16
    """Currency a kWh; US Energy Information Administration, average residential price, 2023."""
    wear: float = 1.0
    """Currency an hour: an arm of 35,000 over the 35,000 hours of life that data sheets state."""
    breakage_impulse_ns: float = 1.0
    """N·s that break a thing of fragility 1: a mug of 0.3 kg that falls from a table hits the floor with 1.1 N·s."""
    motor_constant: float = 10.0
    """N·m per square root of W at a joint: torque at which an arm joint of 5 kg payload class turns 1 W into heat."""
    idle_watts: float = 90.0
    """W an arm and its controller draw at rest; data sheets of collaborative arms state 80 to 100."""
    pulse_s: float = 0.15
    """s; an impact of stiff bodies lasts tens of milliseconds. What lasts longer is work: a pull, a wipe, a landing."""
    pulse_share: float = 0.5
    """A pulse must rise above the contact that lasts by this share of it: sensors are noisier under load."""
    harmless_n: float = 3.0
    """N; a pulse up to the weight of a common object (0.3 kg) is a setting down, which breaks nothing: damage has a
    boundary, ASTM D3332."""
    force_sigmas: float = 6.0
    """A pulse must rise above the episode's own sensor noise by so many standard deviations."""
    reach_m: float = 0.25
    """m from the hand within which an object may be what was hit: a hand's length and half an object."""
    drop_height_m: float = 0.02
    """m; falls below it do no harm."""
    least_known: float = 0.5
    """Share of an episode's time in which power must be known for its energy to be stated."""
    objects: Mapping[str, ObjectValue] = field(default_factory=lambda: OBJECT_VALUES)
    """By object class."""
    default_object: ObjectValue = DEFAULT_VALUE

    def __post_init__(self) -> None:
        for name in ("unit_price", "human_wage", "human_rate", "breakage_impulse_ns", "motor_constant", "pulse_s"):
            if not getattr(self, name) > 0:
                raise UsageError(f"EconSettings.{name} is {getattr(self, name)}, it must be positive")

    def value_of(self, name: str) -> ObjectValue:
        """Value of an object by the class of its name.

        >>> EconSettings().value_of("mug_b").price
        8.0
        """
        return self.objects.get(object_class(name), self.default_object)
