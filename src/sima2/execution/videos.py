"""The look at videos as work for an executor: what brings a worker down costs the look at an episode, not it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from sima2.cameras import CameraPass, look_at, lost_pictures
from sima2.client import Source
from sima2.execution.executor import Fault
from sima2.records.episodes import EpisodeTable

if TYPE_CHECKING:
    from sima2.io.formats.lerobot_videos import LeRobotVideos
    from sima2.video.thumbnail_choice import Moment


@dataclass(frozen=True, slots=True, eq=False)
class VideoTask:
    """Episodes of a shard whose pictures are looked at."""

    source: Source
    videos: LeRobotVideos
    shard: int
    episodes: EpisodeTable
    moments: Mapping[str, list[Moment]]
    """By ``episode_id``; of these episodes alone."""
    batch_size: int


@dataclass(frozen=True, slots=True)
class VideoWork:
    """The look at the videos of a shard."""

    clock: Callable[[], float]

    def __call__(self, task: VideoTask) -> CameraPass:
        """What was found and kept."""
        begin = self.clock()
        parts = []
        for start in range(0, len(task.episodes), task.batch_size):
            rows = np.arange(start, min(start + task.batch_size, len(task.episodes)))
            parts.append(_looked(task, task.episodes.take(rows)))
        return replace(CameraPass.concat(task.shard, parts), seconds=self.clock() - begin)

    def parts(self, task: VideoTask) -> Sequence[VideoTask]:
        """Two halves of the episodes."""
        n = len(task.episodes)
        halves = (np.arange(n // 2), np.arange(n // 2, n)) if n > 1 else ()
        return [replace(task, episodes=task.episodes.take(rows)) for rows in halves]

    def joined(self, task: VideoTask, results: Sequence[CameraPass]) -> CameraPass:
        """Halves end to end."""
        return CameraPass.concat(task.shard, results)

    def lost(self, task: VideoTask, fault: Fault) -> CameraPass:
        """The finding that the pictures of the episode cannot be read."""
        return lost_pictures(task.videos, task.episodes, task.shard, fault.message)


def _looked(task: VideoTask, episodes: EpisodeTable) -> CameraPass:
    """Read the signals of some episodes again, and look at their pictures."""
    place = np.searchsorted(task.source.numbers, episodes.source_index)
    batch = task.source.read(int(place.min()), int(place.max()) + 1).batch
    order = np.searchsorted(batch.episodes.episode_index, episodes.source_index)
    return look_at(task.videos, episodes, batch.take(order), dict(task.moments), task.shard)
