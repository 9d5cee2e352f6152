"""What the rules of gaps, recoveries and outcomes are asked of, written down frame by frame by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from sima2 import Rollout, RolloutBatch
from sima2.records.arrays import Bools, Int64s
from sima2.records.rollout import Goal
from sima2.segmentation.features import Features, FeatureSettings
from sima2.segmentation.labels import CODE
from sima2.segmentation.signals import Ragged
from sima2.segmentation.states import State, States
from sima2.segmentation.window_context import Memory, Past, Start

HZ = 10
STILL_BELOW = 0.012
EPISODES = 3
"""All alike, so that none is asked of its neighbours."""
EXACTLY = Memory(Start.untold(np.full(EPISODES, 1 / HZ), 0), Past.none(EPISODES))
"""The period, which is else measured and may differ by the last bit."""
Place = tuple[float, float, float]


@dataclass
class Frames:
    """A hand, its label and state, and the things about it; each call of ``do`` adds frames."""

    things: tuple[Place, ...] = ()
    """Where they lie at first; the hand holds and moves the first of them."""
    felt: bool = True
    """Whether a grip force was recorded."""
    goal: Goal | None = None
    hand: Place = (0.0, 0.0, 0.0)
    noise: float = 0.0
    """Of the poses of things, m."""
    press_force: float = np.nan
    """What the robot wipes with as a rule, N."""
    known: dict[str, Any] = field(default_factory=dict)
    """Features that are not what they are by default."""
    rows: list[dict[str, Any]] = field(default_factory=list)

    def do(
        self,
        label: str,
        frames: int = 5,
        state: State = State.FREE,
        *,
        to: Place | None = None,
        thing: Place | None = None,
        holds: bool = False,
        failed: bool = False,
        force: float = 0.0,
        **other: Any,
    ) -> Frames:
        """Evenly to a place; what it holds comes along, unless ``thing`` tells where the first thing goes."""
        start, begun = np.array(self.hand, float), np.array(self.things, float).reshape(-1, 3)
        way = np.array(self.hand if to is None else to) - start
        moves = np.zeros_like(begun)
        if thing is not None:
            moves[0] = np.array(thing) - begun[0]
        elif holds and len(begun):
            moves[0] = way
        for share in np.arange(1, frames + 1) / frames:
            row = {"label": CODE[label], "state": state, "hand": start + share * way, "things": begun + share * moves}
            row |= {"loaded": holds, "load": 0 if holds and len(begun) else -1, "failed": failed, "force": force}
            self.rows.append({"unsure": False, "in_vain": False, "blocked": False, "seen": True} | row | other)
        self.hand = tuple((start + way).tolist())
        self.things = tuple(map(tuple, (begun + moves).tolist()))
        return self

    def column(self, name: str) -> Any:
        """One value a frame, of all episodes."""
        return np.array([row[name] for row in self.rows] * EPISODES)

    @property
    def label(self) -> Int64s:
        """Code of each frame's label."""
        return np.asarray(self.column("label"), np.int64)

    @property
    def failed(self) -> Bools:
        """Frames of what has failed."""
        return np.asarray(self.column("failed"), np.bool_)

    def of_one(self, values: Any) -> list[int]:
        """Values of the frames of the episode in the middle."""
        found: list[int] = values.reshape(EPISODES, -1)[EPISODES // 2].tolist()
        return found

    def states(self) -> States:
        """States, as written down."""
        code, loaded, load, unsure = (self.column(name) for name in ("state", "loaded", "load", "unsure"))
        return States(code.astype(np.int64), loaded, load, loaded, unsure, np.full(len(code), -1))

    def batch(self) -> RolloutBatch:
        """The recordings, all alike."""
        n, things = len(self.rows), self.column("things")
        places = {f"thing {k}": things[:n, k] for k in range(things.shape[1])}
        one = Rollout(
            episode_id="e",
            time=np.arange(n) / HZ,
            ee_position=self.column("hand")[:n],
            object_position=places,
            goal=self.goal,
        )
        return RolloutBatch.from_rollouts([one.with_(episode_id=f"e{k}") for k in range(EPISODES)])

    def features(self) -> Features:
        """Features; the arm moves in the frames in which its place is not that of the frame before."""
        n, hand, things = len(self.rows), self.column("hand"), self.column("things")
        frames, k = len(hand), things.shape[1]
        zero, off, nan = np.zeros(frames), np.zeros(frames, np.bool_), np.full(frames, np.nan)
        step = np.diff(hand, axis=0, prepend=hand[:1]) * HZ
        step[::n] = 0.0
        made: dict[str, Any] = {
            "ragged": Ragged(np.arange(EPISODES + 1) * n, np.tile(np.arange(n) / HZ, EPISODES), EXACTLY),
            "settings": FeatureSettings(),
            "position": hand,
            "pose": hand,
            "velocity": step,
            "speed": np.sqrt((step * step).sum(axis=1)),
            "still_below": np.full(frames, STILL_BELOW),
            "rate_noise": zero,
            "missing": off,
            "metric_width": False,
            "width_rate": zero,
            "width_range": zero + 1.0,
            "width_closed": zero,
            "width_noise": zero,
            "kept_back": zero,
            "back_told": off,
            "stop_back": nan,
            "most_back": nan,
            "blocked": self.column("blocked"),
            "gripping": off if self.felt else None,
            "grip_noise": zero,
            "grip_faint": off,
            "usual_grip": nan,
            "contact": self.column("force"),
            "contact_noise": zero,
            "contact_floor": np.full(frames, 0.8),
            "press_force": np.full(frames, self.press_force),
            "object_position": things if k else None,
            "object_seen": np.repeat(self.column("seen")[:, None], k, axis=1),
            "object_shift": np.zeros((frames, k)),
            "objects_moving": np.zeros((frames, k), np.bool_),
            "object_noise": np.full((EPISODES, k), self.noise),
            "hand_shift": zero,
            "load_away": zero,
        } | self.known
        return Features(**dict.fromkeys(Features.__dataclass_fields__) | made)


Script = Callable[[], Frames]


def each_case(cases: Mapping[str, Sequence[tuple[Script, str]]]) -> list[Any]:
    """Parameters of a test, by the names of the rules."""
    return [pytest.param(*case, id=f"{name} {k}") for name, some in cases.items() for k, case in enumerate(some)]
