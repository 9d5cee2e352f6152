"""What the engine is worth on the foreign recordings once they are changed as recorders and robots differ.

Slower and faster clocks, noise, grippers of which a bit is told, forces in other units, poses that come late, that are
lost in the hand or for some frames. The truth stays; a world is judged by an engine that knows nothing of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.bench.figures import Limit, Progress, Rows, missed, number, quiet, verdict, words
from sima2.bench.foreign import figures, judge
from sima2.bench.foreign_sets import Attempt, Recording, by_source, read
from sima2.records.arrays import Int64s
from sima2.records.rollout import Rollout

Floats = NDArray[np.floating[Any]]
Channel = Callable[[str, Floats], Floats]

TARGETS: Final[Mapping[str, Limit]] = {
    "failure_precision": (0.8, "at least"),
    "clean_with_failure": (0.05, "at most"),
}
"""Of every world and change: not worse than saying nothing."""
SHOWN: Final = {"f1_50": "F1@50", "failure_precision": "precision", "failure_recall": "recall"}
REACH_M: Final = 0.12
"""What is nearer to the hand than that is hidden by it."""


def run(
    *, seed: int = 0, progress: Progress = quiet, data: Sequence[Path] = (), only: Sequence[str] = ()
) -> dict[str, Any]:
    """Figures of every world under every change.

    Args:
        seed: of the noise.
        progress: told the step under way.
        data: folders or zip files of recordings; the usual ones, if none are given.
        only: some of :data:`CHANGES`.

    Raises:
        UsageError: if there are no recordings.
    """
    found = read(data)
    values: dict[str, Any] = {"seed": seed, "changes": {}, "targets": {}}
    for name in only or CHANGES:
        progress(name)
        rng = np.random.default_rng(seed)
        worlds: dict[str, list[Any]] = {}
        for some in by_source(CHANGES[name](each, rng) for each in found).values():
            worlds.setdefault(some[0].world, []).extend(judge(some, "full"))
        values["changes"][name] = {world: figures(scored, seed) for world, scored in worlds.items()}
        for world, row in values["changes"][name].items():
            for figure, (limit, sense) in TARGETS.items():
                if not math.isnan(row[figure]):
                    values["targets"][f"{name}, {world}: {words(figure)}"] = verdict(row[figure], limit, sense)
    return values


def rows(values: Mapping[str, Any]) -> Rows:
    """The figures as a table: change, figures, and which world fares worst."""
    out = []
    for name, worlds in values["changes"].items():
        for world, row in sorted(worlds.items(), key=lambda item: item[1]["f1_50"]):
            line = ", ".join(f"{told} {number(row[figure])}" for figure, told in SHOWN.items())
            clean = f"{round(row['clean'] * row['clean_with_failure'])} of {row['clean']}" if row["clean"] else "–"
            out.append((f"{name}, {world}", f"{line}, clean with a failure {clean}", ""))
    return out + missed(values["targets"])


def changed(one: Recording, channel: Channel, rows: Int64s | None = None, tempo: float = 1.0) -> Recording:
    """A recording with other channels, fewer frames, or another clock; its truth goes with it.

    Args:
        one: the recording.
        channel: what becomes of a channel, by name and values; those of things are ``object_position`` and so on.
        rows: the frames that stay, in order; all, if not given.
        tempo: times the duration.
    """
    rollout = one.rollout
    keep = np.arange(len(one.label)) if rows is None else rows

    def of_things(kind: str, things: Mapping[str, Floats] | None) -> dict[str, Floats]:
        return {name: channel(kind, np.array(x, np.float64)[keep]) for name, x in (things or {}).items()}

    arm = rollout.manipulators["arm"].channels()
    channels: dict[str, Any] = {name: channel(name, np.array(x, np.float64)[keep]) for name, x in arm.items()}
    if "joint_velocity" in channels:
        channels["joint_velocity"] = channels["joint_velocity"] / tempo
    place = {frame: k for k, frame in enumerate(keep.tolist())}

    def at(frame: int) -> int:
        return place.get(frame, int(np.searchsorted(keep, frame)))

    return replace(
        one,
        rollout=Rollout(
            episode_id=rollout.episode_id,
            family=rollout.family,
            robot=rollout.robot,
            session=rollout.session,
            time=rollout.time[keep] * tempo,
            object_position=of_things("object_position", rollout.object_position),
            object_orientation=of_things("object_orientation", rollout.object_orientation),
            **channels,
        ),
        label=one.label[keep],
        judged=one.judged[keep],
        attempts=tuple(Attempt(at(each.start), at(each.held), each.failed) for each in one.attempts),
    )


def _scaled(factor: float) -> Channel:
    return lambda name, x: x * factor if name.endswith("force") else x


def _noisy(rng: np.random.Generator, metres: float, *names: str) -> Channel:
    return lambda name, x: x + rng.normal(0.0, metres, x.shape) if name in names else x


def _bit(name: str, x: Floats) -> Floats:
    return (x > (x.min() + x.max()) / 2).astype(np.float64) if name == "gripper_width" else x


def _late(seconds: float, one: Recording) -> Channel:
    frames = max(1, round(seconds / one.period))
    return lambda name, x: (
        np.concatenate([np.repeat(x[:1], frames, axis=0), x])[: len(x)] if name.startswith("object") else x
    )


def _hidden(one: Recording) -> Channel:
    hand = np.asarray(one.rollout.manipulators["arm"].ee_position, np.float64)

    def channel(name: str, x: Floats) -> Floats:
        if name == "object_position":
            x[np.linalg.norm(x - hand, axis=1) < REACH_M] = np.nan
        return x

    return channel


def _gaps(rng: np.random.Generator, one: Recording) -> Channel:
    lost = rng.random(len(one.label)) < 0.08

    def channel(name: str, x: Floats) -> Floats:
        x[lost] = np.nan
        return x

    return channel


def _every(one: Recording, hz: float) -> Int64s:
    return np.arange(0, len(one.label), max(1, round(1.0 / one.period / hz)))


def _same(name: str, x: Floats) -> Floats:
    return x


CHANGES: Final[Mapping[str, Callable[[Recording, np.random.Generator], Recording]]] = {
    "as recorded": lambda one, _: changed(one, _same),
    "10 Hz": lambda one, _: changed(one, _same, rows=_every(one, 10.0)),
    "half as fast": lambda one, _: changed(one, _same, tempo=2.0),
    "twice as fast": lambda one, _: changed(one, _same, tempo=0.5),
    "forces times 10": lambda one, _: changed(one, _scaled(10.0)),
    "forces by 10": lambda one, _: changed(one, _scaled(0.1)),
    "2 N of noise": lambda one, rng: changed(one, _noisy(rng, 2.0, "contact_force")),
    "things 3 mm noisy": lambda one, rng: changed(one, _noisy(rng, 0.003, "object_position")),
    "hand and things 2 mm noisy": lambda one, rng: changed(one, _noisy(rng, 0.002, "ee_position", "object_position")),
    "things 0.1 s late": lambda one, _: changed(one, _late(0.1, one)),
    "things hidden by the hand": lambda one, _: changed(one, _hidden(one)),
    "8 % of frames lost": lambda one, rng: changed(one, _gaps(rng, one)),
    "a bit of the fingers": lambda one, _: changed(one, _bit),
}
"""What becomes of a recording, by name."""
