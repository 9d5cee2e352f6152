"""Where the pictures of a LeRobot data set lie: a video an episode, videos that several share, or rows of Parquet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pyarrow as pa

from sima2.errors import DatasetError, UnknownNameError
from sima2.io.documents import FETCH, inside, is_file, is_lfs_pointer, read_json, refuse_no_file, shown
from sima2.io.formats.lerobot_files import whole_numbers
from sima2.io.formats.lerobot_index import INFO, Index, chunk_size, fill, load_index
from sima2.io.parquet import BATCH_ROWS, opened, read_whole
from sima2.records.video import IN_ROWS, Clip

PATHS: Final[Mapping[bool, str]] = {
    False: "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    True: "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
}
"""LeRobot's own, by whether files are shared (v3.0)."""
MIMES: Final[Mapping[str, str]] = {".mp4": "video/mp4", ".webm": "video/webm", ".mkv": "video/x-matroska"}
"""Media types of files that are opened, by ending."""
ASIDE: Final = ("videos/", "video/")
"""Some writers declare the first and write the second."""
MAX_IMAGE: Final = 32 * 2**20
"""Bytes of one packed picture; a lossless one of 4K takes about 24 MB."""


@dataclass(frozen=True, slots=True, eq=False)
class LeRobotVideos:
    """The cameras of a data set, and where each has its pictures of an episode."""

    root: Path
    cameras: Mapping[str, str]
    """Name to ``video`` or ``image``."""
    fps: float
    template: Any
    """Path of video files, as declared."""
    chunk: int
    shared: bool
    data: Mapping[int, tuple[str, int | None]]
    """Data file and length of each episode by its number."""
    places: Mapping[str, Mapping[int, tuple[int, int, float, float]]]
    """Of shared files: camera, episode, and chunk, file, begin and end in s."""

    @classmethod
    def open(cls, path: Path) -> LeRobotVideos:
        """Read the metadata.

        Raises:
            DatasetError: if the data set is malformed as a whole.
        """
        index = load_index(path)
        info = read_json(index.root, INFO)
        cameras = {name: each.dtype for name, each in index.features.items() if each.dtype in ("video", "image")}
        return cls(
            index.root,
            cameras,
            index.fps or 30.0,
            info.get("video_path") or PATHS[index.shared_files],
            chunk_size(info),
            index.shared_files,
            {entry.episode: (entry.file, entry.length) for entry in index.episodes},
            _places(index, [name for name, kind in cameras.items() if kind == "video"]),
        )

    def clip(self, episode: int, camera: str) -> Clip:
        """Where a camera has its pictures of an episode.

        Args:
            episode: the data set's own number.
            camera: name of a feature.

        Raises:
            UnknownNameError: if there is no such camera or episode.
            DatasetError: if there is no such file, or it leads out of the data set.
        """
        if camera not in self.cameras:
            raise UnknownNameError("camera", camera, self.cameras)
        if episode not in self.data:
            raise UnknownNameError("episode", episode, map(str, sorted(self.data)[:20]))
        name, length = self.data[episode]
        begin, end = 0.0, math.inf if length is None else length / self.fps
        if self.cameras[camera] == "image":
            return Clip(_there(self.root, name), begin, end, IN_ROWS, camera, episode, self.fps, not self.shared)
        chunk = file = episode // self.chunk
        if self.shared:
            if episode not in self.places.get(camera, {}):
                raise DatasetError(self.root, f"meta/episodes names no video of {camera} for episode {episode}")
            chunk, file, begin, end = self.places[camera][episode]
        name = self._filled(
            camera, {"episode_chunk": chunk, "chunk_index": chunk, "file_index": file, "episode_index": episode}
        )
        mime = MIMES.get(PurePosixPath(name).suffix.lower(), "")
        if not mime:
            raise DatasetError(self.root, f"{name} is of no known kind", f"known: {', '.join(MIMES)}")
        return Clip(self._file(name), begin, end, mime, camera, episode, self.fps, not self.shared)

    def _file(self, name: str) -> Path:
        aside = ASIDE[1] + name.removeprefix(ASIDE[0])
        if name.startswith(ASIDE[0]) and not is_file(inside(self.root, name)) and is_file(inside(self.root, aside)):
            name = aside
        return _there(self.root, name)

    def _filled(self, camera: str, numbers: Mapping[str, int]) -> str:
        template = self.template
        try:
            name = fill(template.replace("\\", "/").replace("{video_key}", camera), numbers)
        except (KeyError, AttributeError, TypeError):
            raise DatasetError(self.root / INFO, f"video_path {shown(template)} is not understood") from None
        parts = name.split("/")
        if "{" in name or not name.isprintable() or ".." in parts or parts[0] in ("", "~") or ":" in parts[0]:
            raise DatasetError(self.root / INFO, f"video_path {shown(template)} is not understood")
        return name

    def images(self, clip: Clip, frames: Sequence[int]) -> dict[int, bytes]:
        """Packed pictures of an episode whose pictures are rows, by frame; those that are there.

        Raises:
            DatasetError: if the file is damaged, or a picture is larger than any.
        """
        wanted = {frame: frame for frame in frames}
        found: dict[int, bytes] = {}
        with opened(clip.path) as file:
            schema = file.schema_arrow
            if clip.camera not in schema.names:
                raise DatasetError(clip.path, f"has no column {clip.camera}")
            rows = _rows_of(file, clip.episode) if self.shared else None
            if rows is not None:
                wanted = {rows[frame]: frame for frame in frames if frame < len(rows)}
            first = 0
            for group in range(file.num_row_groups):
                size = file.metadata.row_group(group).num_rows
                if not any(first <= row < first + size for row in wanted):
                    first += size
                    continue
                for batch in file.iter_batches(BATCH_IMAGES, row_groups=[group], columns=[clip.camera]):
                    for row in range(first, first + len(batch)):
                        if row in wanted:
                            found[wanted[row]] = self._packed(clip, batch.column(0)[row - first].as_py())
                    first += len(batch)
        return found

    def _packed(self, clip: Clip, value: Any) -> bytes:
        """The bytes of a picture, which may lie in a file beside."""
        data, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
        if data is None and isinstance(path, str):
            file = _there(self.root, path)
            data = file.read_bytes() if file.stat().st_size <= MAX_IMAGE else bytes(MAX_IMAGE + 1)
        if not isinstance(data, bytes) or len(data) > MAX_IMAGE:
            raise DatasetError(clip.path, f"{clip.camera} holds no picture of at most {MAX_IMAGE} bytes")
        return data


BATCH_IMAGES: Final = 16
"""Rows of pictures that are unpacked at once: a few MB."""


def _there(root: Path, name: str) -> Path:
    path = inside(root, name)
    refuse_no_file(path, root / name)
    if is_lfs_pointer(path):
        raise DatasetError(root / name, "holds no data", FETCH)
    return path


def _rows_of(file: Any, episode: int) -> list[int]:
    """Rows of an episode in a file that several share."""
    rows: list[int] = []
    first = 0
    for batch in file.iter_batches(BATCH_ROWS, columns=["episode_index"]):
        numbers = batch.column(0).to_pylist()
        rows += [first + k for k, number in enumerate(numbers) if number == episode]
        first += len(numbers)
    return rows


def _places(index: Index, cameras: Sequence[str]) -> dict[str, dict[int, tuple[int, int, float, float]]]:
    """Where each episode lies in shared files, as the index of episodes tells."""
    found: dict[str, dict[int, tuple[int, int, float, float]]] = {name: {} for name in cameras}
    if not index.shared_files or not cameras:
        return found
    for file in sorted((index.root / "meta/episodes").glob("*/*.parquet")):
        try:
            table = read_whole(inside(index.root, file.relative_to(index.root).as_posix()), skip="stats/")
        except DatasetError:
            continue  # said when the set is opened
        numbers = whole_numbers(table, "episode_index") or []
        for name in cameras:
            chunks, files = (whole_numbers(table, f"videos/{name}/{each}_index") for each in ("chunk", "file"))
            begins, ends = (_seconds(table, f"videos/{name}/{each}_timestamp") for each in ("from", "to"))
            if chunks is None or files is None:
                continue
            for number, chunk, each, begin, end in zip(numbers, chunks, files, begins, ends, strict=True):
                if number is None or chunk is None or each is None or min(chunk, each) < 0:
                    continue
                if begin is not None and 0 <= begin < end:
                    found[name].setdefault(number, (chunk, each, begin, end))
    return found


def _seconds(table: pa.Table, name: str) -> list[Any]:
    """A column of times; infinite ends and unknown begins where it tells none."""
    values = table.column(name).to_pylist() if name in table.column_names else [None] * len(table)
    unknown = math.inf if name.endswith("to_timestamp") else None
    return [float(each) if isinstance(each, (int, float)) and math.isfinite(each) else unknown for each in values]
