"""The cameras of recorded sets: where their pictures lie, single ones, and what a run found and kept of them."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sima2.errors import DatasetError, UsageError
from sima2.records.defects import DefectTable
from sima2.records.episodes import EpisodeTable
from sima2.records.rollout import RolloutBatch
from sima2.records.segments import SegmentTable
from sima2.records.table import Table, Text
from sima2.records.video import CELLS, CameraTable, Clip, LastFrameTable, ThumbnailTable
from sima2.shard_tables import CAMERAS, LAST_FRAMES, THUMBNAILS, VIDEO_DEFECTS

if TYPE_CHECKING:
    from sima2.io.formats.lerobot_videos import LeRobotVideos
    from sima2.video.inspector import Looked, Told
    from sima2.video.picture_checks import Motion
    from sima2.video.thumbnail_choice import Moment

NOT_LOOKED: Final = "videos were not looked at: sima2 run --video looks, with the extra [video]"


class Thumbnail(NamedTuple):
    """A small picture of an episode."""

    camera: str
    frame: int
    """Counted from the episode's start."""
    moment: str
    """One of ``MOMENTS``."""
    media_type: str
    data: bytes


def open_videos(path: Path) -> LeRobotVideos:
    """The cameras of a recorded data set; costs a look at its metadata.

    Raises:
        DatasetError: if it is malformed as a whole.
    """
    from sima2.io.formats.lerobot_videos import LeRobotVideos

    return LeRobotVideos.open(Path(path))


def declared_cameras(path: Path) -> tuple[str, ...]:
    """Names of the cameras that a data set declares; a look at one file."""
    from sima2.io.documents import read_json
    from sima2.io.formats.lerobot_index import INFO

    try:
        features = read_json(Path(path), INFO).get("features")
    except DatasetError:
        return ()
    told = features.items() if isinstance(features, dict) else ()
    return tuple(name for name, each in told if isinstance(each, dict) and each.get("dtype") in ("video", "image"))


def cameras_of(path: Path) -> tuple[str, ...]:
    """Names of the cameras of a recorded data set, in its own order; none where it has none.

    Raises:
        DatasetError: if it is malformed as a whole.
    """
    return tuple(open_videos(path).cameras)


def video_of(path: Path, episode: int, camera: str) -> Clip:
    """Where a camera has its pictures of an episode: file, begin and end in it (s), media type.

    Args:
        path: folder of the data set.
        episode: its own number (``source_index`` of ``episodes.parquet``).
        camera: one of :func:`cameras_of`.

    Raises:
        UnknownNameError: if there is no such camera or episode.
        DatasetError: if there is no such file, or it leads out of the data set.
    """
    return open_videos(path).clip(episode, camera)


def frame_image(path: Path | LeRobotVideos, episode: int, camera: str, frame: int) -> tuple[str, bytes]:
    """One picture, whole, as media type and bytes: as it is where it is packed alone, else JPEG.

    Args:
        path: folder of the data set, or what :func:`open_videos` made of it.
        episode: the data set's own number.
        camera: one of :func:`cameras_of`.
        frame: counted from the episode's start.

    Raises:
        MissingExtraError: if PyAV is needed and not installed.
        UnknownNameError: if there is no such camera or episode.
        DatasetError: if there is no such file or picture, or it is damaged.
        UsageError: if the frame is below 0.
    """
    from sima2.video.images import jpeg, media_type, size_of
    from sima2.video.reader import VideoError, need_av, pictures, read_packets
    from sima2.video.video_settings import VideoSettings

    settings = VideoSettings()
    videos = path if not isinstance(path, (str, Path)) else open_videos(Path(path))
    if frame < 0:
        raise UsageError(f"frame {frame} is below 0")
    clip = videos.clip(episode, camera)
    try:
        if clip.in_rows:
            data = videos.images(clip, [frame]).get(frame)
            if data is None:
                raise VideoError(f"has no frame {frame}")
            width, height = size_of(data)
            if width * height > settings.most_pixels:
                raise VideoError(f"a picture of {width} × {height} pixels is not shown")
            return media_type(data), data
        need_av("PyAV, which unpacks single pictures of videos,")
        packets = read_packets(clip.path, settings)
        first, stop = packets.within(clip)
        trouble: list[str] = []
        if first + frame < stop:
            for _, picture in pictures(packets, [first + frame], settings, trouble.append):
                return "image/jpeg", jpeg(picture)
        raise VideoError(trouble[0] if trouble else f"has {max(stop - first, 0)} pictures, none for frame {frame}")
    except VideoError as error:
        raise DatasetError(clip.path, str(error)) from None


def thumbnails_of(out: Path, episode_id: str) -> list[Thumbnail]:
    """The small pictures that a run kept of an episode, by camera, then frame; none where it kept none.

    Raises:
        StoreError: if ``out`` holds no results, or a file of them is damaged.
    """
    from sima2.io.store import Store

    found: list[Thumbnail] = []
    with Store.read_only(out) as store:
        for table in THUMBNAILS.shards(store):
            mine = table.take(np.flatnonzero(table.episode_id.isin(episode_id)))
            rows = zip(mine.camera, mine.frame.tolist(), mine.moment, mine.media_type, mine.data, strict=True)
            found += [Thumbnail(*row[:4], base64.b64decode(row[4])) for row in rows]
    return sorted(found, key=lambda each: (each.camera, each.frame))


def last_frames_of(out: Path) -> LastFrameTable:
    """The coarse last pictures of all episodes of a run: a row an episode and camera; empty where it looked at none.

    Raises:
        StoreError: if ``out`` holds no results, or a file of them is damaged.
    """
    from sima2.io.store import Store

    with Store.read_only(out) as store:
        return LAST_FRAMES.whole(store)


# ---- what a run does


@dataclass(frozen=True, slots=True, eq=False)
class CameraPass:
    """What the look at the pictures of a shard leaves."""

    shard: int
    findings: DefectTable
    cameras: CameraTable
    thumbnails: ThumbnailTable
    last_frames: LastFrameTable
    seconds: float = 0.0

    @classmethod
    def concat(cls, shard: int, parts: Sequence[CameraPass]) -> CameraPass:
        """Parts of a shard end to end."""
        return cls(
            shard,
            DefectTable.concat([part.findings for part in parts] or [DefectTable.empty()]),
            CameraTable.concat([part.cameras for part in parts] or [CameraTable.empty()]),
            ThumbnailTable.concat([part.thumbnails for part in parts] or [ThumbnailTable.empty()]),
            LastFrameTable.concat([part.last_frames for part in parts] or [LastFrameTable.empty()]),
            math.fsum(part.seconds for part in parts),
        )

    def tables(self) -> dict[str, Table]:
        """The tables by the kind they are stored as."""
        return {
            VIDEO_DEFECTS.folder: self.findings,
            CAMERAS.folder: self.cameras,
            THUMBNAILS.folder: self.thumbnails,
            LAST_FRAMES.folder: self.last_frames,
        }


def moments_for(episodes: EpisodeTable, segments: SegmentTable, cameras: int) -> dict[str, list[Moment]]:
    """Frames of each episode that a run keeps pictures of, by ``episode_id``."""
    from sima2.video.thumbnail_choice import chosen
    from sima2.video.video_settings import VideoSettings

    return chosen(episodes, segments, cameras, VideoSettings())


def look_at(
    videos: LeRobotVideos,
    episodes: EpisodeTable,
    batch: RolloutBatch,
    moments: dict[str, list[Moment]],
    shard: int = 0,
) -> CameraPass:
    """Look at the pictures of some episodes; the same of each in any company.

    Args:
        videos: of their data set.
        episodes: as a run has numbered and named them.
        batch: their signals, in the same order.
        moments: of which small pictures are kept, by ``episode_id``.
        shard: of the run.
    """
    from sima2.video.inspector import Looked, VideoInspector

    inspector = VideoInspector()
    rows: list[_Row] = []
    for at, (name, motion) in enumerate(zip(episodes.episode_id, motions_of(batch), strict=True)):
        time = batch.time[int(batch.offset[at]) : int(batch.offset[at + 1])]
        for camera in videos.cameras:
            try:
                clip = videos.clip(int(episodes.source_index[at]), camera)
            except DatasetError as error:
                rows.append(_Row(at, camera, len(time), 1.0 / videos.fps, _plain(error, videos.root), Looked()))
                continue
            looked = inspector.inspect(clip, videos.images, time, motion, moments.get(name, ()))
            rows.append(_Row(at, camera, len(time), 1.0 / clip.fps, "", looked))
    return _tables(shard, rows, episodes)


def _plain(error: DatasetError, root: Path) -> str:
    """The message without the place of the data set: the same wherever it lies."""
    words = str(error)
    for name in (f"{root.resolve()}/", f"{root}/", str(root.resolve()), str(root)):
        words = words.replace(name, "")
    return words.removeprefix(": ")


def motions_of(batch: RolloutBatch) -> Iterator[Motion]:
    """What the robot does in each episode: each arm's joints, or its hand where no joints were recorded."""
    from sima2.defects.defect_settings import DefectSettings
    from sima2.defects.tracks import HAND, JOINT, tracks
    from sima2.video.picture_checks import Motion

    found: dict[int, Motion] = {}
    for where, part in batch.by_layout():
        seen = tracks(part, DefectSettings())
        steps = np.where(seen.moves, seen.step, 0.0)
        rows = [seen.rows(arm=arm, kind=JOINT) or seen.rows(arm=arm, kind=HAND) for arm in part.manipulators]
        for k, place in enumerate(where.tolist()):
            frames = slice(int(part.offset[k]), int(part.offset[k + 1]))
            pace = [np.sqrt((steps[mine, frames] ** 2).sum(axis=0)) for mine in rows if mine]
            moves = np.asarray(seen.anything_moves[frames])
            found[place] = Motion(moves, np.array(pace, np.float64).reshape(-1, len(moves)))
    return (found[place] for place in range(len(batch)))


class _Row(NamedTuple):
    episode: int
    camera: str
    frames: int
    period_s: float
    missing: str
    looked: Looked


def _tables(shard: int, rows: Sequence[_Row], episodes: EpisodeTable) -> CameraPass:
    from sima2.defects.findings import Finding, table_of

    place = np.array([row.episode for row in rows], np.int64)
    looked = [row.looked for row in rows]
    index, names, camera = episodes.episode_index[place], episodes.episode_id[place], [row.camera for row in rows]

    def of(values: Sequence[Any], kind: Any) -> NDArray[Any]:
        return np.array(list(values), kind)

    findings = [Finding(row.episode, "", *_said(row.camera, told)) for row in rows for told in row.looked.told]
    shown = [(k, each) for k, row in enumerate(looked) for each in row.thumbnails]
    last = [k for k, row in enumerate(looked) if row.last is not None]
    where = np.array([k for k, _ in shown], np.int64)
    return CameraPass(
        shard,
        table_of(findings, episodes.episode_index, episodes.episode_id),
        CameraTable(
            episode_index=index,
            episode_id=names,
            camera=Text.of(camera),
            here=of([not row.missing for row in rows], np.bool_),
            missing=Text.of(row.missing for row in rows),
            frames=of([row.frames for row in rows], np.int64),
            pictures=of([row.pictures for row in looked], np.int64),
            clock=of([row.clock for row in looked], np.float64),
            decoded=of([row.decoded for row in looked], np.int64),
            moving=of([row.moving for row in looked], np.int64),
            standing=of([row.standing for row in looked], np.int64),
            stand_start=of([row.stand[0] for row in looked], np.int64),
            stand_end=of([row.stand[1] for row in looked], np.int64),
            stand_spans=of([row.stand_spans for row in looked], np.int64),
            repeats=of([row.repeats for row in looked], np.float64),
            agreement=np.array([row.agreement for row in looked], np.float32).reshape(len(rows), -1 if rows else 0),
            period_s=of([row.period_s for row in rows], np.float64),
        ),
        ThumbnailTable(
            episode_index=index[where],
            episode_id=names[where],
            camera=Text.of(camera[k] for k, _ in shown),
            frame=of([each.moment.frame for _, each in shown], np.int64),
            moment=Text.of(each.moment.what for _, each in shown),
            media_type=Text.of(each.media_type for _, each in shown),
            data=Text.of(each.data for _, each in shown),
        ),
        LastFrameTable(
            episode_index=index[np.array(last, np.int64)],
            episode_id=names[np.array(last, np.int64)],
            camera=Text.of(camera[k] for k in last),
            values=np.array([looked[k].last for k in last], np.float32).reshape(-1, 3 * CELLS * CELLS),
        ),
    )


def _said(camera: str, told: Told) -> tuple[str, float, int, int, float, str, str]:
    """Columns of a finding, with the camera in its words."""
    return (*told[:6], f"camera {camera}: {told.details}")


def lost_pictures(videos: LeRobotVideos, episodes: EpisodeTable, shard: int, words: str) -> CameraPass:
    """What is left of an episode whose pictures brought a worker down: that they cannot be read."""
    from sima2.video.inspector import Looked, Told

    rows = []
    for at, frames in enumerate(episodes.frames.tolist()):
        told = Told("video_unreadable", 1.0, 0, frames, 1.0, "of the video", f"brought its reader down ({words})")
        rows += [_Row(at, camera, frames, 1.0 / videos.fps, "", Looked(told=[told])) for camera in videos.cameras]
    return _tables(shard, rows, episodes)


def judged_cameras(cameras: CameraTable) -> DefectTable:
    """Findings that rest on the pictures of all episodes; those of each collection should be judged by themselves."""
    from sima2.defects.findings import Finding, table_of
    from sima2.video.judge import judged_cameras
    from sima2.video.video_settings import VideoSettings

    found = judged_cameras(cameras, VideoSettings())
    findings = [Finding(row, "", *_said(camera, told)) for row, camera, told in found]
    return table_of(findings, cameras.episode_index, cameras.episode_id)
