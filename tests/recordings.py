"""Small recordings of an arm that takes a thing and puts it elsewhere, made for tests of what is read from recordings.

An episode is joints (t, 6) in rad, an opening 0–1 and their commands; ``sample_of`` lays several into one feature, as a
reader samples them, and ``write_set`` writes them as a LeRobot v2.1 data set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sima2.io.sample import Sample

HZ = 25
HOME = np.array([0.1, -1.0, 1.4, 0.3, 0.5, -0.2])
PICK = np.array([0.9, -0.3, 1.0, 0.7, 0.1, 0.6])
PLACE = np.array([-0.8, -0.2, 1.1, 0.6, 0.3, -0.9])
NAMES = [f"joint_{k}" for k in range(1, 7)]


@dataclass(frozen=True, eq=False)
class Recording:
    """One episode."""

    joints: np.ndarray
    """rad, shape (t, 6)."""
    opening: np.ndarray
    """0 closed to 1 open, shape (t,)."""
    command: np.ndarray
    """Of joints and opening, shape (t, 7)."""

    def __len__(self) -> int:
        return len(self.opening)


def recording(seed: int, *, held: float = 0.35, parked: float = 1.0, noise: float = 3e-4) -> Recording:
    """Home, take, carry, put down, home.

    Args:
        seed: of places, durations and noise.
        held: opening at which the thing stops the fingers; 0 is nothing.
        parked: opening at the start and at the end; the fingers go to it on the way.
        noise: of the joints, rad.
    """
    rng = np.random.default_rng(seed)
    pick, place = PICK + rng.normal(0, 0.06, 6), PLACE + rng.normal(0, 0.06, 6)
    up = np.array([0, -0.5, 0.2, 0, 0, 0])
    legs = [
        (HOME, parked, parked, 0.5), (pick + up, 1.0, 1.0, 1.2), (pick, 1.0, 1.0, 0.8), (pick, held, 0.0, 0.7),
        (pick + up, held, 0.0, 0.8), (place + up, held, 0.0, 1.3), (place, held, 0.0, 0.7), (place, 1.0, 1.0, 0.6),
        (place + up, 1.0, 1.0, 0.7), (HOME, parked, parked, 1.2), (HOME, parked, parked, 0.4),
    ]  # fmt: skip
    at, open_, told = HOME, parked, parked
    joints, opening, command = [], [], []
    for target, width, asked, seconds in legs:
        n = max(4, round(seconds * rng.uniform(0.9, 1.2) * HZ))
        s = np.linspace(0, 1, n)
        joints.append(at + (target - at) * (s * s * (3 - 2 * s))[:, None])
        ramp = np.minimum(s * (1.6 if np.array_equal(at, target) else 1.0), 1.0)
        opening.append(open_ + (width - open_) * ramp)
        command.append(np.full(n, asked) if asked == told or np.array_equal(at, target) else told + (asked - told) * s)
        at, open_, told = target, width, asked
    q, g, c = np.vstack(joints), np.concatenate(opening), np.concatenate(command)
    ahead = np.minimum(np.arange(len(q)) + 2, len(q) - 1)
    measured = q + rng.normal(0, noise, q.shape)
    return Recording(measured, np.clip(g + rng.normal(0, 4e-4, len(g)), 0, 1), np.column_stack([q[ahead], c]))


def recordings(n: int = 10, **more: float) -> list[Recording]:
    """Several with different seeds."""
    return [recording(seed, **more) for seed in range(n)]


def laid(
    made: Sequence[Recording],
    joints: Callable[[np.ndarray], np.ndarray] = lambda q: q,
    gripper: Callable[[np.ndarray], np.ndarray] = lambda g: g,
) -> list[np.ndarray]:
    """The state of each, joints and then the gripper, after what a driver makes of them."""
    return [np.column_stack([joints(each.joints), gripper(each.opening)]) for each in made]


def sample_of(states: Sequence[np.ndarray], feature: str = "observation.state") -> Sample:
    """States end to end."""
    starts = np.cumsum([0, *map(len, states)])[:-1]
    return Sample({feature: np.concatenate(states).astype(np.float64)}, starts, np.arange(len(states)))


def write_set(
    root: Path,
    states: Sequence[np.ndarray],
    names: Sequence[str] | None,
    *,
    actions: Sequence[np.ndarray] | None = None,
    numbers: Sequence[int] | None = None,
    tasks: Sequence[str] | None = None,
    stamps: Callable[[int], np.ndarray] = lambda n: np.arange(n) / HZ,
    robot: str = "an_arm",
    **info: object,
) -> Path:
    """A LeRobot v2.1 data set."""
    numbers = range(len(states)) if numbers is None else numbers
    tasks = ["move the thing"] * len(states) if tasks is None else tasks
    words = list(dict.fromkeys(tasks))
    (root / "meta").mkdir(parents=True)
    (root / "data/chunk-000").mkdir(parents=True)
    features = {"observation.state": {"dtype": "float32", "shape": [states[0].shape[1]], "names": names}}
    if actions is not None:
        features["action"] = {"dtype": "float32", "shape": [actions[0].shape[1]], "names": names}
    for name in ("timestamp", "frame_index", "episode_index", "index", "task_index"):
        features[name] = {"dtype": "float32" if name == "timestamp" else "int64", "shape": [1], "names": None}
    total, lines = 0, []
    for place, (number, state) in enumerate(zip(numbers, states, strict=True)):
        n = len(state)
        columns = {"observation.state": pa.array(list(state.astype(np.float32)), pa.list_(pa.float32()))}
        if actions is not None:
            columns["action"] = pa.array(list(actions[place].astype(np.float32)), pa.list_(pa.float32()))
        columns |= {
            "timestamp": pa.array(stamps(n)),
            "frame_index": pa.array(np.arange(n)),
            "episode_index": pa.array(np.full(n, number)),
            "index": pa.array(np.arange(total, total + n)),
            "task_index": pa.array(np.full(n, words.index(tasks[place]))),
        }
        pq.write_table(pa.table(columns), root / f"data/chunk-000/episode_{number:06d}.parquet")
        lines.append(json.dumps({"episode_index": number, "tasks": [tasks[place]], "length": n}))
        total += n
    told = {"codebase_version": "v2.1", "robot_type": robot, "total_episodes": len(states), "total_frames": total,
            "fps": HZ, "splits": {"train": f"0:{len(states)}"}, "features": features}  # fmt: skip
    (root / "meta/info.json").write_text(json.dumps({**told, **info}))
    (root / "meta/episodes.jsonl").write_text("\n".join(lines))
    said = [json.dumps({"task_index": k, "task": text}) for k, text in enumerate(words)]
    (root / "meta/tasks.jsonl").write_text("\n".join(said))
    return root
