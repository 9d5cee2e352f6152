"""Which frames of which episodes get a small picture, within what all of them may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from sima2.records.episodes import EpisodeTable
from sima2.records.segments import SegmentTable
from sima2.records.vocabulary import ANOMALIES
from sima2.video.video_settings import VideoSettings

RANK: Final[Mapping[str, int]] = {"failure": 0, "recovery": 1, "end": 2, "start": 3, "grasp": 4, "release": 5}
"""What is kept first where not all fits: what went wrong, then how it ended and began."""


class Moment(NamedTuple):
    """A frame that matters."""

    frame: int
    what: str
    """One of ``MOMENTS``."""


def moments_of(segments: SegmentTable, frames: int, period_s: float, settings: VideoSettings) -> list[Moment]:
    """Moments of one episode by rank: the end of what failed, of grasps and releases, the begin of recoveries, both
    ends of the episode. What is less than ``apart_s`` from one of higher rank is left out.

    Args:
        segments: of the episode.
        frames: its length.
        period_s: time between frames.
        settings: how many, and how far apart.
    """
    last = max(frames - 1, 0)
    found = [Moment(0, "start"), Moment(last, "end")]
    rows = zip(segments.label, segments.outcome, segments.start_frame.tolist(), segments.end_frame.tolist())
    for label, outcome, start, end in rows:
        if label in ANOMALIES or outcome in ("failure", "retry"):
            found.append(Moment(min(max(end - 1, 0), last), "failure"))
        elif label == "recovery_maneuver":
            found.append(Moment(min(start, last), "recovery"))
        elif label in ("grasp", "release"):
            found.append(Moment(min(max(end - 1, 0), last), label))
    kept: list[Moment] = []
    for each in sorted(found, key=lambda moment: (RANK[moment.what], moment.frame)):
        near = any(abs(each.frame - other.frame) * period_s < settings.apart_s for other in kept)
        # both ends of an episode are always there
        if each.frame in (0, last) and each.what in ("start", "end"):
            near = any(each.frame == other.frame for other in kept)
        if not near:
            kept.append(each)
    return kept[: settings.thumbs_episode]


def chosen(
    episodes: EpisodeTable, segments: SegmentTable, cameras: int, settings: VideoSettings
) -> dict[str, list[Moment]]:
    """Moments of each episode that pictures are kept of, by ``episode_id``, in order of frames.

    Each picture counts as the most that one may take, so that all together stay within ``thumbs_bytes``. Episodes with
    something that failed come first; among like ones the first moment of each before the second of any.

    Args:
        episodes: all of a run.
        segments: theirs.
        cameras: how many pictures a moment has.
        settings: bounds.
    """
    most = settings.thumbs_bytes // (settings.thumb_bytes * max(cameras, 1))
    place = {name: k for k, name in enumerate(segments.episode_id.names)}
    order = np.argsort(segments.episode_id.codes, kind="stable")
    codes = segments.episode_id.codes[order]
    queue: list[tuple[bool, int, int, str, Moment]] = []
    for row, name in enumerate(episodes.episode_id):
        code = place.get(name, -1)
        mine = segments.take(order[np.searchsorted(codes, code) : np.searchsorted(codes, code, side="right")])
        frames = int(episodes.frames[row])
        period = float(episodes.duration_s[row]) / max(frames - 1, 1)
        moments = moments_of(mine, frames, period, settings)
        failed = episodes.success[row] == 0 or any(each.what == "failure" for each in moments)
        queue += [(not failed, k, row, name, each) for k, each in enumerate(moments)]
    found: dict[str, list[Moment]] = {}
    for _, _, _, name, each in sorted(queue, key=lambda row: row[:3])[:most]:
        found.setdefault(name, []).append(each)
    return {name: sorted(moments) for name, moments in found.items()}


def within(moments: Sequence[Moment], pictures: int) -> list[Moment]:
    """Moments of which there are pictures; what lies behind the last is shown by the last."""
    return [each._replace(frame=min(each.frame, pictures - 1)) for each in moments] if pictures else []
