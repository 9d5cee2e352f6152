"""Which episodes the report shows, and their signals, thinned for the eye."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.records.episodes import EpisodeTable
from sima2.records.rollout import Manipulator, RolloutBatch

MOST: Final = 12
"""Episodes shown."""
POINTS: Final = 320
"""Points of a track: more than its width on paper can show."""


def chosen_episodes(episodes: EpisodeTable, fired: Mapping[str, set[str]]) -> NDArray[np.int64]:
    """Rows of the episodes to show: of each interesting kind the first ones, of different families if possible.

    Args:
        episodes: of the run.
        fired: ids of the episodes in which each tag fired.
    """
    ids = episodes.episode_id.tolist()

    def tagged(name: str) -> list[int]:
        return [i for i, eid in enumerate(ids) if eid in fired.get(name, ())]

    failed = np.flatnonzero(episodes.success == 0).tolist()
    plain = np.flatnonzero(episodes.success == 1).tolist()
    kinds = [tagged("RecoveryTag"), failed, tagged("OODTag"), tagged("LuckySuccessTag"), plain, list(range(len(ids)))]
    chosen: list[int] = []
    families: set[str] = set()
    while len(chosen) < min(MOST, len(ids)):
        before = len(chosen)
        for kind in kinds:
            left = [i for i in kind if i not in chosen]
            fresh = [i for i in left if episodes.family[i] not in families]
            if left and len(chosen) < MOST:
                pick = (fresh or left)[0]
                chosen.append(pick)
                families.add(episodes.family[pick])
        if len(families) == len(set(episodes.family)):
            families.clear()
        if len(chosen) == before:
            break
    return np.array(chosen, np.int64)


def signals_of(batch: RolloutBatch, episodes: EpisodeTable) -> dict[str, Any] | None:
    """Tracks of the one episode of a batch, as plain values; None if it holds none."""
    if not len(batch):
        return None
    rollout = batch[0]
    step = max(1, -(-len(rollout) // POINTS))
    row = episodes.episode_id.tolist().index(rollout.episode_id)
    tracks = []
    for arm, channels in rollout.manipulators.items():
        prefix = "" if len(rollout.manipulators) == 1 else f"{arm} "
        tracks += [
            {"name": prefix + name, "unit": unit, "values": _plain(values[::step])}
            for name, unit, values in _tracks(channels, rollout.time)
        ]
    return {
        "episode_id": rollout.episode_id,
        "family": rollout.family,
        "time": _plain(rollout.time[::step]),
        "tracks": tracks,
        "success": _plain(episodes.success[row : row + 1])[0],
        "outcome_source": episodes.outcome_source[row],
    }


def _tracks(channels: Manipulator, time: NDArray[np.float64]) -> list[tuple[str, str, NDArray[Any]]]:
    tracks: list[tuple[str, str, NDArray[Any]]] = []
    if channels.ee_position is not None:
        tracks.append(("hand height", "m", channels.ee_position[:, 2]))
        tracks.append(("hand speed", "m/s", _speed(channels.ee_position, time)))
    elif channels.joint_position is not None:
        tracks.append(("joint speed", "rad/s", _speed(channels.joint_position, time)))
    for name, unit in (("gripper_width", "m"), ("gripper_opening", ""), ("grip_force", "N"), ("contact_force", "N")):
        values = getattr(channels, name)
        if values is not None:
            tracks.append((name.replace("_", " "), unit, values))
    return tracks


def _speed(position: NDArray[Any], time: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(time) < 2:
        return np.zeros(len(time))
    return np.asarray(np.linalg.norm(np.gradient(position.astype(np.float64), time, axis=0), axis=1))


def _plain(values: NDArray[Any]) -> list[float | None]:
    return [round(float(v), 5) if np.isfinite(v) else None for v in values]
