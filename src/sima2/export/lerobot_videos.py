"""Videos of a copy.

v3.0: files that several episodes share are copied whole, and the metadata tell where each episode lies in them: exact,
nothing is encoded anew. v2.0 and v2.1: a file an episode, copied; cut where its first frames are left out. One that
loses only its last frames is copied whole: LeRobot looks pictures up by their time (v0.3.3, ``LeRobotDataset.
_query_videos``), so what comes after is never asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sima2.errors import DatasetError
from sima2.export.lerobot_meta import OldMeta, copy_file
from sima2.export.rows import Placed
from sima2.export.video_cut import COPIED, cut_video, need_av
from sima2.io.documents import inside, is_file, is_lfs_pointer, shown
from sima2.io.formats.lerobot_index import INFO, Index, chunk_size, fill

VIDEO_PATHS: Mapping[bool, str] = {
    False: "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
    True: "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
}
"""LeRobot's own, by whether files are shared (v3.0)."""


@dataclass(slots=True)
class Videos:
    """What became of videos."""

    copied: int = 0
    cut: int = 0
    """Without encoding anything anew."""
    encoded: int = 0
    missing: list[str] = field(default_factory=list)
    """Files that the source lacks already."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoCopier:
    """Copies and cuts the videos of kept episodes."""

    index: Index
    old: OldMeta
    placed: Mapping[int, Placed]
    """By old number."""

    @property
    def keys(self) -> list[str]:
        """Features that are videos."""
        return [name for name, feature in self.index.features.items() if feature.dtype == "video"]

    def check(self) -> None:
        """Before anything is written: what is to be cut can be cut.

        Raises:
            MissingExtraError: if PyAV is needed and not installed.
            DatasetError: if the path of videos is none.
        """
        if self.index.shared_files or not self.keys:
            return
        heads = [old for old, each in self.placed.items() if each.start > 0]
        if any(is_file(self.index.root / self._path(key, old)) for key in self.keys for old in heads):
            need_av()

    def run(self, building: Path) -> Videos:
        """Write all videos.

        Raises:
            DatasetError: if one cannot be read, or leads out of the data set.
        """
        told = Videos()
        for key in self.keys:
            if self.index.shared_files:
                for name in self._shared(key):
                    self._plain(building, name, name, told)
                continue
            for old, each in self.placed.items():
                name, new = self._path(key, old), self._path(key, each.new)
                if each.start == 0 or not is_file(self.index.root / name):
                    self._plain(building, name, new, told)
                    continue
                source, target = inside(self.index.root, name), inside(building, new)
                target.parent.mkdir(parents=True, exist_ok=True)
                way = cut_video(source, target, each.start, each.stop)
                told.cut += way == COPIED
                told.encoded += way != COPIED
        return told

    def _plain(self, building: Path, name: str, new: str, told: Videos) -> None:
        source = inside(self.index.root, name)
        if not is_file(source) or is_lfs_pointer(source):
            told.missing.append(name)
            return
        copy_file(self.index.root, name, inside(building, new))
        told.copied += 1

    def place(self, key: str, old: int) -> tuple[str, float] | None:
        """File of an episode's video, relative to the data set, and the second in it at which the episode begins.

        None where the metadata do not tell.

        Args:
            key: feature of the video.
            old: the source's own number of the episode.
        """
        if not self.index.shared_files:
            return self._path(key, old), 0.0
        table, row = self.old.table, self.old.row_of.get(old)
        columns = [f"videos/{key}/{each}" for each in ("chunk_index", "file_index", "from_timestamp")]
        if table is None or row is None or any(each not in table.column_names for each in columns):
            return None
        chunk, file, begins = (table.column(each)[row].as_py() for each in columns)
        if type(chunk) is not int or type(file) is not int or not isinstance(begins, int | float):
            return None
        return self._filled(key, {"chunk_index": chunk, "file_index": file}), float(begins)

    def _shared(self, key: str) -> list[str]:
        """Files of a feature that kept episodes lie in."""
        table = self.old.table
        columns = [f"videos/{key}/{each}_index" for each in ("chunk", "file")]
        if table is None or any(each not in table.column_names for each in columns):
            return []
        chunks, files = (table.column(each).to_pylist() for each in columns)
        rows = [self.old.row_of[old] for old in self.placed if old in self.old.row_of]
        places = {(chunks[row], files[row]) for row in rows if type(chunks[row]) is int and type(files[row]) is int}
        return [self._filled(key, {"chunk_index": chunk, "file_index": file}) for chunk, file in sorted(places)]

    def _path(self, key: str, number: int) -> str:
        chunk = number // chunk_size(self.old.info)
        return self._filled(key, {"episode_chunk": chunk, "chunk_index": chunk, "episode_index": number})

    def _filled(self, key: str, numbers: Mapping[str, int]) -> str:
        template: Any = self.old.info.get("video_path") or VIDEO_PATHS[self.index.shared_files]
        try:
            name = fill(template.replace("{video_key}", key), numbers)
        except (KeyError, AttributeError, TypeError):
            raise DatasetError(self.index.root / INFO, f"video_path {shown(template)} is not understood") from None
        if "{" in name or ".." in name.split("/"):
            raise DatasetError(self.index.root / INFO, f"video_path {shown(template)} is not understood")
        return name
