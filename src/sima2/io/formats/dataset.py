"""What every recorded data set offers, whatever its format."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Protocol

from sima2.io.intake import Intake
from sima2.io.merging import Reading
from sima2.records.arrays import Int64s
from sima2.records.rollout import RolloutBatch

NEEDS: Final[tuple[tuple[str, frozenset[str], str], ...]] = (
    ("hand pose or joints", frozenset({"ee_position", "joint_position"}), "motion: approach, transport, retreat"),
    ("gripper", frozenset({"gripper_width", "gripper_opening"}), "grasp and release"),
    ("force", frozenset({"contact_force", "grip_force"}), "contact: collision, slip that no finger shows, impulse"),
    ("joint torque", frozenset({"joint_torque"}), "energy"),
    ("object poses", frozenset({"object_position"}), "what was moved, dropped or misplaced"),
    ("outcome", frozenset({"outcome"}), "trust against how episodes ended"),
)
"""What is recorded, the channels that hold it, and what cannot be assessed without any of them."""


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """What a data set is, what it lacks, and what was assumed of it."""

    format: str
    version: str
    episodes: int
    robot: str
    fps: float | None
    """Hz."""
    mapping: str
    """``given``, ``guessed`` or ``own``."""
    column_map: str
    """The map in TOML, to be edited and given back."""
    assumptions: tuple[str, ...]
    """What a guess of columns and units rests on."""
    unmapped: tuple[str, ...]
    """Columns that are read as nothing."""
    absent: tuple[str, ...]
    not_assessed: tuple[str, ...]
    """What cannot be assessed for want of a channel."""
    warnings: tuple[str, ...]
    joint_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By manipulator, what the data set calls its joints, empty text where it does not."""

    def to_plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        told = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return told | {"joint_names": {arm: list(names) for arm, names in self.joint_names.items()}}


class Dataset(Protocol):
    """Episodes by place; any span can be read, in any order, with the same result."""

    @property
    def episodes(self) -> int:
        """How many there are, readable or not."""
        ...

    @property
    def numbers(self) -> Int64s:
        """``episode_index`` of the episode at each place, strictly increasing, shape (n,)."""
        ...

    @property
    def source_id(self) -> str:
        """Tells its content from that of every other data set: six hexadecimal digits."""
        ...

    @property
    def collection(self) -> str:
        """Format, robot type and declared numeric features: what is recorded alike may be judged together."""
        ...

    def name(self, place: int) -> str:
        """Id of the episode at a place: unique over all data sets."""
        ...

    def describe(self) -> DatasetReport:
        """What it is and lacks."""
        ...

    def reading(self, sample: Sequence[RolloutBatch]) -> Reading:
        """How it is read, and what some of its episodes look like once read."""
        ...

    def frame_numbers(self) -> Mapping[int, Int64s]:
        """By the number of each episode, what its frames are numbered by; empty where they have no numbers."""
        ...

    def read(self, start: int, stop: int) -> Intake:
        """Episodes start .. stop, in bounded memory; each is in the batch or in quarantine."""
        ...


def lacking(channels: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is absent where only ``channels`` were recorded, and what cannot be assessed therefore.

    >>> lacking({"joint_position", "gripper_width", "joint_torque", "object_position", "outcome"})[0]
    ('force',)
    """
    missing = [(what, why) for what, needed, why in NEEDS if not needed & set(channels)]
    return tuple(what for what, _ in missing), tuple(f"{why} (no {what})" for what, why in missing)
