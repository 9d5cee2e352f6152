"""A hand of which only joints, the opening of the fingers and their command are known, steered step by step."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sima2 import Rollout

HZ = 30
SPREAD = 0.005
"""Opening that is one usual spread of what the fingers stay behind their command."""


@dataclass
class Fingers:
    """Each verb adds frames; the arm has two joints, in rad."""

    place: tuple[float, float] = (0.0, 0.0)
    opening: float = 1.0
    told: float = 1.0
    frames: list[tuple[float, float, float, float]] = field(default_factory=list)

    def rest(self, seconds: float) -> Fingers:
        return self._through(seconds, self.place, self.opening, self.told)

    def go(self, place: tuple[float, float], seconds: float = 1.0, *, steady: bool = False) -> Fingers:
        """Starts and ends at rest, or goes steadily."""
        return self._through(seconds, place, self.opening, self.told, steady)

    def close(
        self, to: float = 0.0, stop: float | None = None, seconds: float = 0.4, going: tuple[float, float] | None = None
    ) -> Fingers:
        """To where they are told, or to where something stops them; the arm may go on steadily meanwhile."""
        return self._through(seconds, going or self.place, to if stop is None else stop, to, going is not None)

    def open(self, to: float = 1.0, seconds: float = 0.4) -> Fingers:
        return self._through(seconds, self.place, to, to)

    def _through(
        self, seconds: float, place: tuple[float, float], opening: float, told: float, steady: bool = False
    ) -> Fingers:
        n = max(2, round(seconds * HZ))
        for k in range(1, n + 1):
            s = k / n
            smooth = s if steady else s * s * (3 - 2 * s)
            at = [a + (b - a) * smooth for a, b in zip(self.place, place, strict=True)]
            self.frames.append((*at, self.opening + (opening - self.opening) * s, self.told + (told - self.told) * s))
        self.place, self.opening, self.told = place, opening, told
        return self

    def rollout(self, name: str = "e", *, commands: bool = True) -> Rollout:
        """The recording; without commands it is not known where the fingers were told to be."""
        rng = np.random.default_rng(7)
        joint_0, joint_1, opening, told = np.array(self.frames).T
        joints = np.column_stack([joint_0, joint_1]) + rng.normal(0, 2e-4, (len(opening), 2))
        # what is left of the lag while the fingers move is not told apart from a hold
        effort = np.column_stack([np.zeros((len(opening), 2)), (told - opening) / SPREAD])
        return Rollout(
            episode_id=name,
            time=np.arange(len(opening)) / HZ,
            joint_position=joints,
            gripper_opening=np.clip(opening + rng.normal(0, 3e-4, len(opening)), 0.0, 1.0),
            effort_proxy=effort if commands else None,
        )
