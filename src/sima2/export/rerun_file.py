"""Episodes as a recording of the Rerun viewer (``.rrd``): a lane of states for each arm, signals, poses, tags, videos.

The content depends on its input alone; the bytes do not: the library numbers its chunks by chance and time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from sima2.errors import MissingExtraError
from sima2.export.scene import OUTCOMES, SIGNALS, Scene, ViewerBudget, path_points, safe
from sima2.records.segments import SegmentTable

APPLICATION: Final = "sima2"
FILES: Final = "video_files"
"""Root of embedded videos."""


def write_rerun(
    scenes: Iterable[Scene],
    file: Path,
    *,
    colours: Mapping[str, str],
    budget: ViewerBudget | None = None,
    name: str = APPLICATION,
    embed_videos: bool = False,
) -> dict[str, Any]:
    """Write a recording; what it holds, as plain values.

    Every episode has a root of its own (its id) and begins at 0 on the timeline ``time``; ``frame`` counts its frames.

    Args:
        scenes: the episodes; the first of ``budget.episodes`` are written.
        file: where to; there as a whole or not at all.
        colours: of labels, as ``#rrggbb``.
        budget: how much of them.
        name: of the recording.
        embed_videos: put the videos' files into it, so that they are seen; otherwise it says where they are.

    Raises:
        MissingExtraError: if the Rerun SDK is not installed.
    """
    from sima2.io.durable import replace_file

    need_rerun()
    told: dict[str, Any] = {}

    def write(path: Path) -> None:
        told.update(_write(scenes, path, colours, budget or ViewerBudget(), safe(name), embed_videos))

    replace_file(file, write)
    return told


def need_rerun() -> None:
    """Refuse what cannot be written, before anything is read.

    Raises:
        MissingExtraError: if the Rerun SDK is not installed.
    """
    try:
        import rerun  # noqa: F401
    except ImportError:
        raise MissingExtraError("rerun-sdk", "rerun") from None


def _write(
    scenes: Iterable[Scene], path: Path, colours: Mapping[str, str], budget: ViewerBudget, name: str, embed: bool
) -> dict[str, Any]:
    import rerun as rr

    recording = rr.RecordingStream(APPLICATION, recording_id=name, send_properties=False)
    recording.set_log_time_enabled(False)
    recording.set_log_tick_enabled(False)
    told = {"episodes": 0, "frames": 0, "thinned": 0, "videos": 0}
    roots: list[tuple[list[str], Scene]] = []
    files: set[str] = set()
    path.touch()  # that it cannot be written is told by the system, as everywhere else
    with _strict(), recording:
        recording.save(path)
        for scene in scenes:
            if told["episodes"] == budget.episodes:
                break
            root = [safe(scene.rollout.episode_id) or "episode"]
            _Episode(recording, root, scene, budget).write(colours)
            told["videos"] += _videos(recording, root, scene, files, embed)
            told["episodes"] += 1
            told["frames"] += len(scene.rollout)
            told["thinned"] += len(scene.rollout) > budget.frames
            roots.append((root, scene))
        recording.send_blueprint(_blueprint(roots, embed))
    recording.disconnect()
    return told


@contextmanager
def _strict() -> Iterator[None]:
    """A value that the library cannot take is an error, not a line of text in the recording."""
    import rerun as rr

    before = rr.strict_mode()
    rr.set_strict_mode(True)
    try:
        yield
    finally:
        rr.set_strict_mode(before)


class _Episode:
    """Writes one episode below its root."""

    def __init__(self, recording: Any, root: list[str], scene: Scene, budget: ViewerBudget) -> None:
        self.recording, self.root, self.scene = recording, root, scene
        self.rows = scene.rows(budget)

    def write(self, colours: Mapping[str, str]) -> None:
        import rerun as rr

        self.recording.log(self._path("about"), rr.TextDocument(safe(self.scene.words)), static=True)
        for arm, lane in self.scene.lanes():
            self._states("labels", arm, lane, lane.label.tolist(), colours)
            self._states("outcomes", arm, lane, lane.outcome.tolist(), OUTCOMES)
        self._marks()
        for arm in self.scene.rollout.manipulators:
            self._arm(arm)
        self._objects()

    def _path(self, *parts: str) -> str:
        import rerun as rr

        return str(rr.new_entity_path([*self.root, *(safe(part) or "_" for part in parts)]))

    def _times(self, seconds: Any, frames: Any) -> list[Any]:
        import rerun as rr

        return [rr.TimeColumn("time", duration=np.asarray(seconds)), rr.TimeColumn("frame", sequence=frames)]

    def _states(self, kind: str, arm: str, lane: SegmentTable, names: list[str], colours: Mapping[str, str]) -> None:
        """A lane of the state timeline, which ends where the last segment does."""
        import rerun as rr

        path, used = self._path(kind, arm), sorted(set(names))
        shown = np.array([int(colours.get(each, "#9a9a9a")[1:] + "ff", 16) for each in used], np.uint32)
        labels = [safe(each) for each in used]
        self.recording.log(path, rr.StateConfiguration(values=labels, labels=labels, colors=shown), static=True)
        times = self._times(np.r_[lane.start_t, lane.end_t[-1:]], np.r_[lane.start_frame, lane.end_frame[-1:]])
        self.recording.send_columns(path, times, rr.StateChange.columns(state=[*map(safe, names), ""]))

    def _marks(self) -> None:
        import rerun as rr

        marks = self.scene.marks()
        if not marks:
            return
        seconds = np.array([at for at, _, _ in marks])
        frames = np.searchsorted(self.scene.rollout.time, seconds + 1e-9, "right") - 1
        levels = ["ERROR" if failed else "INFO" for _, _, failed in marks]
        columns = rr.TextLog.columns(text=[words for _, words, _ in marks], level=levels)
        self.recording.send_columns(self._path("log"), self._times(seconds, np.maximum(frames, 0)), columns)

    def _series(self, path: str, values: Any) -> None:
        import rerun as rr

        times = self._times(self.scene.rollout.time[self.rows], self.rows)
        scalars = np.ascontiguousarray(values[self.rows], np.float64)
        self.recording.send_columns(path, times, rr.Scalars.columns(scalars=scalars))

    def _arm(self, arm: str) -> None:
        import rerun as rr

        held = self.scene.rollout.manipulators[arm].channels()
        for name in SIGNALS:
            if name in held:
                self._series(self._path("signals", arm, name), held[name])
        for kind in ("joint_position", "joint_command"):
            for joint in range(held[kind].shape[1] if kind in held else 0):
                self._series(self._path("joints", arm, kind, str(joint)), held[kind][:, joint])
        if "ee_position" in held:
            self._places(self._path("world", "hands", arm), held["ee_position"])
            course = path_points(held["ee_position"][self.rows])
            if len(course) > 1:
                self.recording.log(self._path("world", "courses", arm), rr.LineStrips3D([course]), static=True)

    def _objects(self) -> None:
        for name, position in self.scene.rollout.object_position.items():
            self._places(self._path("world", "objects", name), position)

    def _places(self, path: str, position: Any) -> None:
        """A point a frame; frames at which it is not known are left out."""
        import rerun as rr

        rows = self.rows[np.isfinite(position[self.rows]).all(axis=1)]
        if not len(rows):
            return
        times = self._times(self.scene.rollout.time[rows], rows)
        self.recording.send_columns(path, times, rr.Points3D.columns(positions=position[rows]))


def _videos(recording: Any, root: list[str], scene: Scene, files: set[str], embed: bool) -> int:
    """The videos of an episode: references to where they are, or to the files that the recording holds."""
    import rerun as rr

    for video in scene.videos:
        path = rr.new_entity_path([*root, "video", safe(video.camera)])
        if not embed:
            words = f"{video.file}, from {video.begins_s:.3f} s"
            recording.log(path, rr.TextDocument(safe(words)), static=True)
            continue
        held = rr.new_entity_path([FILES, safe(video.camera), safe(video.file.name)])
        if held not in files:
            recording.log(held, rr.AssetVideo(path=video.file), static=True)
            files.add(str(held))
        time = scene.rollout.time
        stamps = np.rint((time + video.begins_s) * 1e9).astype(np.int64)  # ns in the file
        columns = rr.VideoFrameReference.columns(timestamp=stamps, video_reference=[str(held)] * len(time))
        times = [rr.TimeColumn("time", duration=time), rr.TimeColumn("frame", sequence=np.arange(len(time)))]
        recording.send_columns(path, times, columns)
    return len(scene.videos)


def _blueprint(roots: list[tuple[list[str], Scene]], embed: bool) -> Any:
    """A tab an episode: states above signals, the scene and videos beside the text."""
    import rerun as rr
    import rerun.blueprint as rrb

    tabs = []
    for root, scene in roots:

        def at(*parts: str, root: list[str] = root) -> str:
            return str(rr.new_entity_path([*root, *parts]))

        beside = [rrb.Spatial3DView(origin=at("world"), name="scene")]
        if embed:
            for video in scene.videos:
                name = safe(video.camera)
                beside.append(
                    rrb.Spatial2DView(origin=at("video", name), contents=["$origin/**", f"/{FILES}/**"], name=name)
                )
        texts = rrb.Tabs(
            rrb.TextLogView(origin=at("log"), name="what happened"),
            rrb.TextDocumentView(origin=at("about"), name="about"),
        )
        lanes = [f"{at(kind)}/**" for kind in ("labels", "outcomes")]
        tabs.append(
            rrb.Vertical(
                rrb.StateTimelineView(origin=at(), contents=lanes, name="segments"),
                rrb.Horizontal(
                    rrb.TimeSeriesView(origin=at("signals"), name="signals"),
                    rrb.TimeSeriesView(origin=at("joints"), name="joints"),
                ),
                rrb.Horizontal(*beside, texts),
                name=root[0],
            )
        )
    return rrb.Blueprint(rrb.Tabs(*tabs), collapse_panels=True)
