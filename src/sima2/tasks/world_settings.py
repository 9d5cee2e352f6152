"""Numbers of the synthetic world, each with its unit and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from sima2.errors import UsageError

_VALUES = {
    "plate": (4.0, 0.9),
    "bowl": (5.0, 0.7),
    "saucer": (3.0, 0.9),
    "cup": (6.0, 0.8),
    "box": (3.0, 0.2),
    "can": (2.0, 0.1),
    "mug": (6.0, 0.8),
    "carton": (2.0, 0.2),
    "jar": (4.0, 0.9),
    "vase": (20.0, 1.0),
    "drawer": (60.0, 0.05),
    "drawer_handle": (8.0, 0.1),
    "drawer_knob": (6.0, 0.1),
}


@dataclass(frozen=True, slots=True)
class ArmModel:
    """A five-joint arm (yaw, shoulder, elbow, wrist pitch, roll) with a parallel gripper."""

    name: str
    upper_m: float
    fore_m: float
    hand_m: float
    """m from the wrist to the point between the fingertips."""
    base_m: float
    """m, height of the shoulder above the table."""
    upper_kg: float
    fore_kg: float
    hand_kg: float
    stroke_m: float
    """m between the open fingers."""
    friction_nm: float
    """N·m of Coulomb friction at the shoulder; other joints in proportion to their load."""


ARMS = (
    ArmModel("arm5_long", 0.42, 0.40, 0.16, 0.32, 2.6, 1.7, 0.9, 0.095, 1.1),
    ArmModel("arm5_short", 0.39, 0.37, 0.14, 0.28, 2.1, 1.4, 0.7, 0.085, 0.8),
)
"""Two robots. Source: links and masses of the order of table-top arms with 0.8 m reach."""

POLICIES = ("scripted_a", "scripted_b")
"""The second moves faster and hesitates more."""

SESSIONS = ("s0", "s1", "s2")
SESSION_NOISE = (1.0, 1.6, 1.0)
"""Factor on the noise of their sensors: the second has noisier ones."""
SESSION_LAG = (0, 0, 1)
"""Frames by which their object poses come late: the third has a slow camera."""


SINKING: Final = 0.15
"""m/s² of a soft fall: from 0.3 m it ends at 0.3 m/s, no faster than a hand sets things down."""


@dataclass(frozen=True, slots=True)
class SensorNoise:
    """Standard deviations of the sensors."""

    joint_rad: float = 4e-4
    """Source: 14-bit encoders."""
    joint_speed: float = 6e-3
    """rad/s; differenced encoders after filtering."""
    joint_torque: float = 0.12
    """N·m; current-based torque of geared joints."""
    ee_m: float = 3e-4
    ee_rad: float = 1e-3
    width_m: float = 2e-4
    grip_n: float = 0.15
    contact_n: float = 0.12
    """N; wrist force sensor after gravity compensation."""
    contact_share: float = 0.05
    """Fluctuation of a contact force as a share of it."""
    object_m: float = 1.2e-3
    """m; a marker or RGB-D pose at 1 m, larger where confidence is low."""
    object_rad: float = 8e-3
    confidence: float = 0.02
    embedding: float = 0.05
    clock_s: float = 2e-4
    """s of jitter of a time stamp."""
    scale: float = 1.0
    """Multiplies all of them; 0 makes every channel exact."""


@dataclass(frozen=True, slots=True)
class PhysicsSettings:
    """The synthetic world.

    Raises:
        UsageError: if a number makes no sense.
    """

    rate_hz: float = 20.0
    """Control rate, 5 to 200 Hz."""
    noise: SensorNoise = SensorNoise()
    risk_sigma: float = 2.0
    """Standard deviation of the logit of the initial risk."""
    hazard_hurts: bool = True
    """Whether hazardous conditions alter impacts. On, failures come with impacts, and these are harder the more
    hazardous the conditions. Off, conditions make failures as likely as ever, but what fails comes to rest softly, and
    about as many impacts befall episodes by chance, whatever their risk: risk goes with failure and not with damage."""
    move_jitter: float = 0.10
    """Standard deviation of the log duration of a move."""
    gravity: float = 9.81
    """m/s²."""
    dropouts: float = 0.35
    """Chance that an episode has a burst without poses of one object."""
    nominal_share: float = 0.20
    """Of the successes that stay inside the nominal law, those designated as reference."""
    object_values: Mapping[str, tuple[float, float]] = field(default_factory=lambda: MappingProxyType(_VALUES))
    """Price and fragility (damage per price and N·s) by object name without its instance suffix."""
    default_value: tuple[float, float] = (2.0, 0.1)
    """Price and fragility of other objects."""

    def __post_init__(self) -> None:
        if not 5.0 <= self.rate_hz <= 200.0:
            raise UsageError(f"rate_hz {self.rate_hz}: control rates from 5 to 200 Hz are supported")
        if self.noise.scale < 0 or self.risk_sigma <= 0:
            raise UsageError("noise scale must not be negative and risk_sigma must be positive")

    @property
    def fall_gravity(self) -> float:
        """m/s² at which what is lost goes down."""
        return self.gravity if self.hazard_hurts else SINKING

    def value_of(self, name: str) -> float:
        """Damage in currency per N·s to the object of that name.

        >>> PhysicsSettings().value_of("cup_a")
        4.800000000000001
        """
        stem, _, suffix = name.rpartition("_")
        price, fragility = self.object_values.get(stem if len(suffix) == 1 and stem else name, self.default_value)
        return price * fragility
