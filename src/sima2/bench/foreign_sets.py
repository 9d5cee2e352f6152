"""Recordings of other robots, simulators and policies, with truth by rule: read, and told apart by world."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.errors import UsageError
from sima2.records.arrays import Bools, Float64s
from sima2.records.rollout import ARM_CHANNELS, Rollout

FOLDERS: Final = (
    Path("../shared/data/foreign_sawyer"),
    Path("../shared/data/foreign_sims"),
    Path("benchmarks/foreign/pybullet.zip"),
    Path("benchmarks/foreign/robosuite.zip"),
    Path("benchmarks/foreign/sapien.zip"),
    Path("benchmarks/foreign/dm_control.zip"),
)
"""Where the sets lie, seen from a checkout."""
SAME: Final[Mapping[str, str]] = {"release": "place", "push": "pull", "regroup": "recovery_maneuver", "drop": "slip"}
"""Labels that the truth of these sets does not tell apart, or names otherwise."""
UNDECIDED: Final = ("retreat", "unknown", "empty_motion")
"""What their conventions leave open."""
REST_S: Final = 0.5
"""A shorter rest is no idleness by the convention."""


class Attempt(NamedTuple):
    """A closing of the fingers at a thing, or a push."""

    start: int
    held: int
    """Frame by which it had ended as it ended."""
    failed: bool
    reason: str = ""
    """Why it failed, as its own truth words it."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One episode and its truth."""

    rollout: Rollout
    source: str
    """Set and robot."""
    world: str
    """Simulator or robot that it shares with others: what is fitted for one must not have seen any of them."""
    label: NDArray[np.str_]
    """True label of every frame, shape (t,)."""
    judged: Bools
    """Frames that a convention decides, shape (t,)."""
    attempts: tuple[Attempt, ...]
    success: float
    """1 or 0, NaN where the truth does not say."""
    clean: bool
    """Nothing was disturbed and nothing failed."""
    recovered: float
    """1 or 0, NaN where the truth does not say."""

    @property
    def period(self) -> float:
        """s between frames."""
        return float(np.median(np.diff(self.rollout.time)))


def read(data: Sequence[Path] = ()) -> list[Recording]:
    """Recordings of folders or zip files; of those of ``FOLDERS`` that are there, if none are given.

    Raises:
        UsageError: if there are no recordings.
    """
    paths = list(data) or [path for path in FOLDERS if path.exists()]
    if not paths:
        raise UsageError(f"no recordings to judge: none of {', '.join(map(str, FOLDERS))} is here; give --data PATH")
    return [each for path in paths for each in recordings(path)]


def by_source(found: Iterable[Recording]) -> dict[str, list[Recording]]:
    """Recordings of each source."""
    out: dict[str, list[Recording]] = {}
    for each in found:
        out.setdefault(each.source, []).append(each)
    return out


def recordings(path: Path) -> list[Recording]:
    """All episodes of a set, in the order of their names.

    Args:
        path: folder or zip file of npz files: keys are channel names, objects as ``object_position__NAME``,
            ``gt_label``, ``gt_ignore`` and ``meta``, a JSON text with ``rollout`` and ``truth``.

    Raises:
        UsageError: if there is none, or a file is not one of these.
    """
    found = [_recording(path, name, data) for name, data in _files(path)]
    if not found:
        raise UsageError(f"{path} holds no recordings (npz)")
    return found


def _files(path: Path) -> Iterator[tuple[str, Any]]:
    if path.is_dir():
        for each in sorted(path.glob("*.npz")):
            with np.load(each, allow_pickle=False) as data:
                yield each.stem, data
        return
    with zipfile.ZipFile(path) as bundle:
        for name in sorted(bundle.namelist()):
            with np.load(io.BytesIO(bundle.read(name)), allow_pickle=False) as data:
                yield name.removesuffix(".npz"), data


def _recording(path: Path, name: str, data: Any) -> Recording:
    try:
        meta = json.loads(str(data["meta"]))
        told, truth = meta["rollout"], meta["truth"]
        channels = {key: data[key] for key in data.files if key in ARM_CHANNELS}
        for key in data.files:
            kind, _, thing = key.partition("__")
            if thing and kind in ("object_position", "object_orientation"):
                channels.setdefault(kind, {})[thing] = data[key]
        time = data["time"] - data["time"][0]
        label, ignored = data["gt_label"], data["gt_ignore"].astype(bool)
    except KeyError as error:
        raise UsageError(f"{path}: {name} is not as it should be: {error.args[0]}") from None
    label = np.array([SAME.get(each, each) for each in label.tolist()])
    robot = str(told["robot"])
    return Recording(
        rollout=Rollout(
            episode_id=f"{path.stem}-{name}", family=told["family"], robot=robot, session="s0", time=time, **channels
        ),
        source=f"{path.stem}, {robot}",
        world=str(told.get("simulator", robot)),
        label=label,
        judged=~(np.isin(label, UNDECIDED) | ignored | _short_rests(label, time)),
        attempts=_attempts(truth),
        success=float(truth.get("success", np.nan)),
        clean=_clean(truth),
        recovered=float(truth["recovered"]) if truth.get("grasp_task", False) else float("nan"),
    )


def _attempts(truth: Mapping[str, Any]) -> tuple[Attempt, ...]:
    """Those whose outcome the truth knows."""
    return tuple(
        Attempt(
            each["start"],
            each["hold"][1] if "hold" in each else each["end"],
            each["outcome"] != "success",
            str(each.get("reason") or ""),
        )
        for each in truth["attempts"]
        if each["outcome"] != "unknown"
    )


def _clean(truth: Mapping[str, Any]) -> bool:
    if "clean" not in truth:
        return bool(truth.get("fault") == "none")
    return bool(truth["clean"]) and not truth.get("slips") and truth.get("static_peak", 0.0) < 1.0


def _short_rests(label: NDArray[np.str_], time: Float64s) -> Bools:
    out = np.zeros(len(label), np.bool_)
    edges = np.flatnonzero(np.append(True, label[1:] != label[:-1]))
    for start, stop in zip(edges, np.append(edges[1:], len(label)), strict=True):
        if label[start] == "idle" and time[stop - 1] - time[start] < REST_S:
            out[start:stop] = True
    return out
