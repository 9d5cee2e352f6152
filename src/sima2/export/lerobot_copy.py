"""A copy of a LeRobot data set without what a plan leaves out, in the layout of its source (v2.0, v2.1 or v3.0)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from sima2.export.lerobot_data import DataCopier
from sima2.export.lerobot_meta import PROVENANCE, NewMeta, OldMeta, carry
from sima2.export.lerobot_videos import VideoCopier, Videos
from sima2.export.rows import SUCCESS, placed_of
from sima2.export.selection import Selection
from sima2.export.target import refuse_target, target_folder
from sima2.io.arrow import write_table
from sima2.io.documents import is_file, read_json
from sima2.io.formats.lerobot_index import OWN, Index, chunk_size, data_template, fill, load_index
from sima2.records.plan import FrameWeights

Told = dict[str, Any]


def episodes_of(root: Path) -> tuple[Index, np.ndarray[Any, np.dtype[np.int64]]]:
    """The metadata of a LeRobot data set, and its own numbers of its episodes.

    Raises:
        DatasetError: if it is malformed as a whole.
    """
    index = load_index(root)
    return index, np.array([entry.episode for entry in index.episodes], np.int64)


WEIGHTS: Final = "meta/sima2_weights.parquet"
"""Weight of every frame of the copy, for frames that are left out inside an episode."""


def copy_lerobot(
    index: Index,
    kept: Selection,
    target: Path,
    about: Mapping[str, Any],
    weights: FrameWeights | None = None,
    said: Mapping[int, bool] | None = None,
) -> Told:
    """Write the copy; what it holds, as plain values.

    Rows that are kept are those of the source bit for bit, unknown columns and images in them included, but for
    ``episode_index``, ``frame_index``, ``index`` and ``timestamp``. Tasks stay as they are. Statistics of episodes that
    are cut are made anew from their rows, those of the set from those of its episodes; of pictures they are carried
    through. ``meta/sima2.json`` tells where each episode comes from.

    Args:
        index: of the source.
        kept: what the copy holds.
        target: a folder that is missing or empty, not within the source.
        about: told in ``meta/sima2.json``: the run, its settings.
        weights: of every frame of the copy, kept beside it.
        said: by the source's own number, whether an episode succeeded, where a person says it: told in the episodes
            file, and in ``next.success`` where the source has such a column.

    Raises:
        UsageError: if the target is taken, the disk is full, or episodes have other lengths than the run read.
        MissingExtraError: if videos have to be cut and PyAV is not installed.
        DatasetError: if a file of the source cannot be read or leads out of it.
    """
    refuse_target(target, index.root)
    old = OldMeta.read(index)
    placed = placed_of(kept.number, kept.start, kept.stop, kept.frames, kept.offset)
    numbers = kept.number.tolist()
    videos = VideoCopier(index, old, placed)
    videos.check()
    template, chunks = data_template(index.root, old.info), chunk_size(old.info)

    def path_of(file: int, episode: int) -> str:
        if index.shared_files:
            return fill(template, {"chunk_index": file // chunks, "file_index": file % chunks})
        return fill(template, {"episode_chunk": episode // chunks, "episode_index": episode})

    with target_folder(target, index.root) as building:
        told_by = {number: said[number] for number in numbers if said and number in said}
        written = DataCopier(index, placed, *old.wanted(index, numbers), told_by).run(building, path_of)
        told = videos.run(building)
        unknown, behind = carry(index, building)
        notes = _notes(index, kept, told, unknown, behind)
        if told_by:
            notes.append(_outcome_note(index, len(told_by)))
        if weights is not None:
            notes.append(f"{WEIGHTS} holds the weight of every frame of the copy, by its own index")
        provenance = {
            **about,
            "codebase_version": index.version,
            "episodes": kept.rows(),
            "left_out": [{"episode_index": number, "codes": why} for number, why in kept.left_out.items()],
            "notes": notes,
        }
        if is_file(index.root / PROVENANCE):
            provenance["source_provenance"] = read_json(index.root, PROVENANCE)
        more = {"total_videos": told.copied + told.cut + told.encoded} if _counts_videos(index, old) else {}
        NewMeta(index, old, kept, written, told_by).write(building, provenance, more)
        if weights is not None:
            write_table(building / WEIGHTS, weights)
    return {
        "episodes": len(kept),
        "frames": int(kept.offset[-1]),
        "trimmed": int(kept.cut.sum()),
        "left_out": len(kept.left_out),
        "videos": {"copied": told.copied, "cut": told.cut, "encoded": told.encoded, "missing": len(told.missing)},
        "notes": notes,
    }


def _outcome_note(index: Index, n: int) -> str:
    there = SUCCESS in index.features
    words = f"{SUCCESS} of these is as they say" if there else f"the source has no {SUCCESS}, and neither has the copy"
    return f"persons say how {n} episodes ended: {OWN}success of the episodes file has it; {words}"


def _counts_videos(index: Index, old: OldMeta) -> bool:
    return not index.shared_files and "total_videos" in old.info


def _notes(index: Index, kept: Selection, videos: Videos, unknown: list[str], behind: list[str]) -> list[str]:
    """What somebody who uses the copy should know, in sentences."""
    notes = []
    pictures = [name for name, feature in index.features.items() if feature.dtype in ("video", "image")]
    if pictures and kept.cut.any():
        notes.append("statistics of pictures are those of the source's episodes, what was trimmed included")
    if videos.missing:
        notes.append(f"{len(videos.missing)} videos are missing in the source, the first {videos.missing[0]}")
    if videos.encoded:
        notes.append(f"{videos.encoded} videos were encoded anew, since they begin at no key frame")
    tail = kept.cut & (kept.start == 0)
    if not index.shared_files and videos.copied and tail.any():
        notes.append(f"videos of {int(tail.sum())} episodes are longer than their rows: what comes after is not used")
    if unknown:
        notes.append(f"carried through as they are: {', '.join(unknown)}; they may speak of the source's numbers")
    if behind:
        notes.append(f"what is no part of the format was left behind: {', '.join(behind)}")
    return notes
