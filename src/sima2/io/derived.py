"""Channels that no column holds: the hand's pose from joints, and what a joint resists from its command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError, RolloutError
from sima2.io import toml_values as toml
from sima2.io.documents import shown
from sima2.io.robots import chain_names
from sima2.records.arrays import Float32s, Float64s, Int64s

POSE_KEYS: Final = ("robot", "urdf", "tip", "base", "joints")
"""Keys of an arm's table that say how its pose follows from its joints."""
NO_ROBOT: Final = "none"
"""Said of an arm whose pose is not to be computed."""
PARTS: Final = ("joints", "gripper")
"""Parts of ``effort_proxy``, in the order of their columns."""
_POSE_WORDS: Final = ("robot", "urdf", "tip", "base")
_RESIDUAL_KEYS: Final = ("feature", "index", "state", "state_index", "lag", "usual", "spread")


@dataclass(frozen=True, slots=True)
class PoseSource:
    """Where an arm's ``ee_position`` and ``ee_orientation`` come from when no column holds them."""

    urdf: str = ""
    """File, relative to the column map's folder or to the data set's; empty where ``robot`` names a built-in chain."""
    tip: str = ""
    """Link whose pose is taken; empty is the only link that carries no other."""
    base: str = ""
    """Link in whose frame it is told; empty is the link that nothing carries."""
    joints: tuple[str, ...] = ()
    """The robot's joint of each column of ``joint_position``, empty text for a column that is none; none given: by
    name, else by order."""
    robot: str = ""
    """Name of a built-in chain, or ``NO_ROBOT``."""


@dataclass(frozen=True, slots=True)
class CommandResidual:
    """Columns of a command and of the state that follows it, and what is usual between them.

    Column i of the proxy at frame t is
    ``(command[t - lag[i], index[i]] - state[t, state_index[i]] - usual[i]) / spread[i]``, without dimension; NaN in
    the first ``lag[i]`` frames of an episode, whose command was not recorded, and where ``index[i]`` is -1.
    """

    feature: str
    """Of the command."""
    index: tuple[int, ...]
    """Columns of the command; -1 where none is an absolute position of that joint in the state's unit."""
    state: str
    state_index: tuple[int, ...]
    lag: tuple[int, ...]
    """Frames by which the state follows the command."""
    usual: tuple[float, ...]
    """Median residual, in the columns' own unit."""
    spread: tuple[float, ...]
    """What counts as one, in the columns' own unit; negative where a larger number is a more closed gripper."""

    def read(
        self,
        features: Mapping[str, NDArray[Any]],
        offset: Int64s | None = None,
        into: Float32s | None = None,
    ) -> Float32s:
        """The residual of one episode out of its features, each of shape (t, w); shape (t, c).

        Args:
            features: by name.
            offset: where several episodes lie end to end, the first frame of each and one past the last.
            into: written to and returned, shape (t, c).

        Raises:
            RolloutError: if a feature has fewer columns than the map says.
        """
        command, state = features[self.feature], features[self.state]
        for name, values, worst in (
            (self.feature, command, max(self.index)),
            (self.state, state, max(self.state_index)),
        ):
            if worst >= values.shape[1]:
                problem = f"{name} has {values.shape[1]} columns, the column map asks for {worst}"
                raise RolloutError("", "effort_proxy", problem, reason="mixed_dimensions")
        frames = len(state)
        bounds = np.array([0, frames]) if offset is None else offset
        out = np.empty((frames, len(self.index)), np.float32) if into is None else into
        # column by column: rows of a few numbers each are slow to go over
        for place, (index, lag) in enumerate(zip(self.index, self.lag, strict=True)):
            if index < 0:
                out[:, place] = np.nan
                continue
            asked = command[: max(frames - lag, 0), index]
            behind = np.subtract(asked, state[lag:, self.state_index[place]], dtype=np.float64)
            behind -= self.usual[place]
            behind /= self.spread[place]
            out[lag:, place] = behind
            first = bounds[:-1, None] + np.arange(lag)
            out[first[first < bounds[1:, None]], place] = np.nan  # it was sent before the episode
        return out


def columns_of(values: NDArray[Any], places: Sequence[int]) -> NDArray[Any]:
    """Columns by their places; a view where they lie side by side.

    >>> columns_of(np.arange(8).reshape(2, 4), [1, 2]).tolist()
    [[1, 2], [5, 6]]
    """
    first = places[0] if places else 0
    if list(places) == list(range(first, first + len(places))):
        return values[:, first : first + len(places)]
    return values[:, list(places)]


def effort(
    parts: Mapping[str, CommandResidual],
    features: Mapping[str, NDArray[Any]],
    joints: int,
    offset: Int64s | None = None,
) -> Float32s | None:
    """``effort_proxy`` of one episode, shape (t, joints + fingers).

    Args:
        parts: by ``PARTS``.
        features: of the episode, each of shape (t, w).
        joints: columns of the arm's ``joint_position``, which come first whether or not they have a command.
        offset: where several episodes lie end to end, the first frame of each and one past the last.

    Returns:
        None where no needed feature is here.
    """
    found = {part: each for part, each in parts.items() if each.feature in features and each.state in features}
    if not found:
        return None
    arm, fingers = found.get("joints"), found.get("gripper")
    width = joints if arm is None else len(arm.index)
    frames = len(features[next(iter(found.values())).state])
    out = np.empty((frames, width + (0 if fingers is None else len(fingers.index))), np.float32)
    if arm is None:
        out[:, :width] = np.nan
    for part, into in ((arm, out[:, :width]), (fingers, out[:, width:])):
        if part is not None:
            part.read(features, offset, into)
    return out


def commanded(
    parts: Mapping[str, CommandResidual], features: Mapping[str, NDArray[Any]], joints: NDArray[Any], factor: Any
) -> Float64s | None:
    """``joint_command`` of one episode, as it was sent at each frame, shape (t, joints).

    Args:
        parts: by ``PARTS``.
        features: of the episode, each of shape (t, w).
        joints: the arm's ``joint_position``, shape (t, joints).
        factor: SI units in one of each column of the state.

    Returns:
        None where no needed feature is here, or the part is not of these joints.
    """
    part = parts.get("joints")
    if part is None or part.feature not in features or part.state not in features or max(part.index) < 0:
        return None
    if joints.shape[1] != len(part.index):  # a map may name other joints than those of the arm
        return None
    sent = features[part.feature][:, [max(place, 0) for place in part.index]].astype(np.float64)
    ahead = sent - features[part.state][:, list(part.state_index)].astype(np.float64)
    return np.where(np.array(part.index) >= 0, joints + factor * ahead, np.nan)


def parse_pose(source: object, arm: str, values: Mapping[str, Any]) -> PoseSource | None:
    """The pose keys of an arm's table."""
    given = {key: values[key] for key in POSE_KEYS if key in values}
    if not given:
        return None
    at = f"arms.{arm}"
    words = {key: toml.text(source, at, key, given[key]) for key in _POSE_WORDS if key in given}
    if "robot" in given:
        stray = [key for key in ("urdf", "tip", "base") if key in given]
        if stray:
            raise DatasetError(source, f"[{at}]: robot besides {stray[0]}", "the built-in chain or a URDF, not both")
        if words["robot"] != NO_ROBOT and words["robot"] not in chain_names():
            hint = f"one of {', '.join(chain_names())}, or {NO_ROBOT}; any other by urdf"
            raise DatasetError(source, f"[{at}]: robot {shown(words['robot'])} is not known", hint)
    elif "urdf" not in given:
        raise DatasetError(source, f"[{at}]: {next(iter(given))} without urdf", 'urdf = "robot.urdf", say')
    joints = toml.names(source, at, "joints", given.get("joints", []))
    return PoseSource(**words, joints=joints)


def parse_residuals(source: object, arm: str, values: Mapping[str, Any]) -> dict[str, CommandResidual]:
    """The parts of ``[arms.NAME.effort_proxy]``."""
    parts = toml.tables(source, f"arms.{arm}.effort_proxy", values)
    return {part: _residual(source, f"arms.{arm}.effort_proxy.{part}", parts[part]) for part in PARTS if part in parts}


def _residual(source: object, at: str, values: Mapping[str, Any]) -> CommandResidual:
    stray = sorted(set(values) ^ set(_RESIDUAL_KEYS))
    if stray:
        what = "unknown key" if stray[0] in values else "there is no"
        raise DatasetError(source, f"[{at}]: {what} {shown(stray[0])}", f"use {', '.join(_RESIDUAL_KEYS)}")
    made = CommandResidual(
        feature=toml.text(source, at, "feature", values["feature"]),
        index=toml.places(source, at, "index", values["index"], least=-1),
        state=toml.text(source, at, "state", values["state"]),
        state_index=toml.places(source, at, "state_index", values["state_index"]),
        lag=toml.places(source, at, "lag", values["lag"]),
        usual=toml.numbers(source, at, "usual", values["usual"]),
        spread=toml.numbers(source, at, "spread", values["spread"]),
    )
    widths = {len(each) for each in (made.index, made.state_index, made.lag, made.usual, made.spread)}
    if len(widths) > 1:
        raise DatasetError(source, f"[{at}]: index, state_index, lag, usual and spread need one number for each column")
    if 0.0 in made.spread:
        raise DatasetError(source, f"[{at}]: a spread of 0", "leave the column out by index -1")
    return made


def pose_lines(pose: PoseSource) -> list[str]:
    """The pose keys as TOML."""
    words = [f"{key} = {toml.string(getattr(pose, key))}" for key in _POSE_WORDS if getattr(pose, key)]
    return [*words, f"joints = {toml.array(pose.joints)}"] if pose.joints else words


def residual_lines(residual: CommandResidual) -> list[str]:
    """One part of the proxy as TOML."""
    values = {key: getattr(residual, key) for key in _RESIDUAL_KEYS}
    return [f"{key} = {toml.string(v) if isinstance(v, str) else toml.array(v)}" for key, v in values.items()]
