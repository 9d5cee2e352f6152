"""A small scripted world: a hand comes to a block, takes it, carries it and puts it down."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sima2 import Rollout, RolloutBatch, Segment, SegmentationEngine
from sima2.records.segments import SegmentTable

HZ = 50
OPEN, HELD = 0.08, 0.04
GRIP = 12.0


@dataclass
class World:
    """A hand, its fingers and a block, frame by frame."""

    hand: np.ndarray = field(default_factory=lambda: np.array([0.0, 0.0, 0.3]))
    block: np.ndarray = field(default_factory=lambda: np.array([0.3, 0.0, 0.02]))
    width: float = OPEN
    grip: float = 0.0
    """N between the fingers and what they hold."""
    weight: float = 0.0
    """N that a wrist feels of what is held."""
    away: float = 0.0
    """m from the fingers up to where the hand is tracked."""
    holding: bool = False
    frames: list[tuple[np.ndarray, np.ndarray, float, float, float]] = field(default_factory=list)

    def go(self, target: tuple[float, float, float], seconds: float, *, force: float = 0.0) -> World:
        """Smoothly to a place, under an external force."""
        start, aim = self.hand, np.array(target, float)
        for s in np.linspace(0, 1, round(seconds * HZ) + 1)[1:]:
            before = self.hand
            self.hand = start + (aim - start) * s * s * (3 - 2 * s)
            if self.holding:
                self.block = self.block + self.hand - before
            self._note(force)
        return self

    def rest(self, seconds: float, *, force: float = 0.0) -> World:
        return self.go(tuple(self.hand), seconds, force=force)

    def fingers(self, width: float, seconds: float = 0.4, *, hold: bool | None = None, fall: float = 0.0) -> World:
        """To a width; ``hold`` tells what they hold then, ``fall`` how far the block falls as they open."""
        start, grip, high = self.width, self.grip, self.block
        for s in np.linspace(0, 1, round(seconds * HZ) + 1)[1:]:
            self.width = start + (width - start) * s
            if width > start:
                # the grip fades, and then the block falls
                self.grip, self.holding = grip * max(0.0, 1 - 4 * s), self.holding and s < 0.25
                self.block = high - np.array([0.0, 0.0, fall * max(0.0, s - 0.25) / 0.75])
            self._note(0.0)
        if hold is not None:
            self.holding, self.grip = hold, GRIP if hold else 0.0
        return self

    def _note(self, force: float) -> None:
        lifted = self.holding and self.block[2] > 0.025
        felt = force + (self.weight if lifted else 0.0)
        place = self.hand + np.array([0.0, 0.0, self.away])
        self.frames.append((place.copy(), self.block.copy(), self.width, self.grip, felt))

    def rollout(self, name: str = "e", *, bit: bool = False, noise: float = 1e-4) -> Rollout:
        """What is recorded; ``bit``: of the fingers only whether they are nearer to open or to shut."""
        rng = np.random.default_rng(0)
        hand, block, width, grip, contact = (np.array(x) for x in zip(*self.frames, strict=True))
        n = len(hand)
        told = (width > (HELD + OPEN) / 2).astype(float) if bit else width + rng.normal(0, 1e-5, n)
        return Rollout(
            episode_id=name,
            time=np.arange(n) / HZ,
            ee_position=hand + rng.normal(0, noise, (n, 3)),
            gripper_width=told,
            grip_force=np.abs(grip + rng.normal(0, 0.02, n)),
            contact_force=np.abs(contact + rng.normal(0, 0.05, n)),
            object_position={"block": block + rng.normal(0, 1e-4, (n, 3))},
        )

    def table(self) -> SegmentTable:
        batch = RolloutBatch.from_rollouts([self.rollout()])
        return SegmentationEngine().fit([batch]).segment(batch)

    def segments(self) -> list[Segment]:
        return list(self.table())


def taken(**world: float) -> World:
    """The block is in the hand, and lifted."""
    made = World(**world)  # type: ignore[arg-type]
    made.rest(1.0).go((0.3, 0.0, 0.15), 1.5).go((0.3, 0.0, 0.02), 1.0).fingers(HELD, hold=True).rest(0.3)
    return made.go((0.3, 0.0, 0.2), 1.0)
