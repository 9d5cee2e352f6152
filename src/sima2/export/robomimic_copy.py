"""What a plan keeps as robomimic's HDF5: filter keys in a copy of such a file, or a new file of any recorded set."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from sima2.errors import DatasetError, UsageError
from sima2.export.selection import Selection
from sima2.io.durable import replace_file
from sima2.io.formats.hdf5 import need_h5py
from sima2.io.formats.hdf5_frames import Hdf5Frames
from sima2.io.formats.robomimic import open_robomimic
from sima2.io.formats.robomimic_write import Part, write_mask, write_robomimic
from sima2.records.arrays import Int64s
from sima2.records.plan import TrainingPlan
from sima2.records.rollout import OBJECT_CHANNELS, SCENE_CHANNELS, RolloutBatch

PREFIX: Final = "sima2_"
"""Of the filter keys that are written."""
LARGEST_COPY: Final = 4 * 2**30
"""Bytes of a file above which filter keys are written beside it, not into a copy: sets with pictures take 10 to 100 GB,
those without less than one."""
AT_ONCE: Final = 64
"""Episodes read at once."""


class Read(Protocol):
    """The rollouts that a run read."""

    @property
    def numbers(self) -> Int64s:
        """Own number of the episode at each place, shape (n,)."""
        ...

    def read(self, start: int, stop: int) -> Any:
        """Episodes start .. stop: ``batch`` and ``outcome``."""
        ...

    def describe(self) -> Mapping[str, Any]:
        """``robot`` and ``fps``."""
        ...


def copy_with_keys(source: Path, target: Path, plan: TrainingPlan, kept: Selection) -> dict[str, Any]:
    """A copy of a file of robomimic's with filter keys; of a large one the keys alone, in a small file beside it.

    ``mask/sima2_keep`` names what the plan trains on, ``sima2_trim`` those of it of which it would keep a part only,
    ``sima2_review`` and ``sima2_drop`` the others' names. Keys name whole episodes: nothing is trimmed.

    Raises:
        UsageError: if the source is a folder of several files.
        DatasetError: if it cannot be read.
    """
    need_h5py()
    frames = open_robomimic(source)
    if len(frames.files) != 1:
        raise UsageError(
            f"{source} consists of {len(frames.files)} files, and filter keys are of one: run and export each by "
            "itself, or use --lists"
        )
    file = frames.root / frames.files[0]
    keys = _keys(frames, plan, kept)
    large = file.stat().st_size > LARGEST_COPY

    def write(temporary: Path) -> None:
        import h5py

        if not large:
            shutil.copyfile(file, temporary)
        try:
            with h5py.File(temporary, "w" if large else "r+", libver="latest" if large else "earliest") as opened:
                if "mask" in opened and not isinstance(opened.get("mask", getlink=True), h5py.HardLink):
                    raise DatasetError(file, "mask is a link: copy the data into the file")
                for name in [each for each in opened.get("mask", ()) if each.startswith(PREFIX)]:
                    del opened["mask"][name]  # of an earlier export
                for name, demos in keys.items():
                    write_mask(opened, name, demos)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise DatasetError(file, f"cannot be given filter keys: {str(error).splitlines()[0][:200]}") from None

    _write(target, write)
    notes = ["filter keys name whole episodes: those of sima2_trim are not cut"] if keys.get(f"{PREFIX}trim") else []
    if large:
        notes.append(
            f"{file.name} has more than {LARGEST_COPY >> 30} GiB: only the keys were written; copy the group mask of "
            "this file into it (h5copy) to train with them"
        )
    sizes = {name: len(demos) for name, demos in keys.items()}
    return {"episodes": len(kept), "left_out": len(kept.left_out), "keys": sizes, "copied": not large, "notes": notes}


def _keys(frames: Hdf5Frames, plan: TrainingPlan, kept: Selection) -> dict[str, list[str]]:
    demo = {entry.episode: frames.groups[entry.row].rpartition("/")[2] for entry in frames.entries}
    action = dict(zip(plan.episode_index.tolist(), plan.action, strict=True))
    cut = kept.number[kept.cut].tolist()
    found = {
        "keep": kept.number.tolist(),
        "trim": cut,
        "review": [number for number in demo if action.get(number) == "review"],
        "drop": sorted(kept.left_out),
    }
    return {
        f"{PREFIX}{name}": [demo[number] for number in numbers if number in demo] for name, numbers in found.items()
    }


def write_kept(source: Read, target: Path, kept: Selection) -> dict[str, Any]:
    """What a plan keeps of a set of any format as a new file of robomimic's, trimmed, without pictures.

    Raises:
        DatasetError: if an episode that is kept cannot be read any more.
    """
    told = source.describe()
    fps = told.get("fps") or 20.0
    places = np.searchsorted(source.numbers, kept.number)
    count = write_robomimic(
        target,
        _parts(source, kept, places),
        fps=float(fps),
        robot=str(told.get("robot") or "unknown"),
        numbers=kept.number.tolist(),
        masks={
            f"{PREFIX}keep": range(len(kept)),
            f"{PREFIX}review": np.flatnonzero(kept.action.isin("review")).tolist(),
        },
    )
    notes = ["pictures are not written: robomimic's layout holds them as arrays, which the source's videos are not"]
    return {
        "episodes": count,
        "left_out": len(kept.left_out),
        "frames": int(kept.length.sum()),
        "trimmed": int(kept.cut.sum()),
        "copied": True,
        "notes": notes,
    }


def _parts(source: Read, kept: Selection, places: Int64s) -> Iterator[Part]:
    for first in range(0, len(kept), AT_ONCE):
        rows = range(first, min(first + AT_ONCE, len(kept)))
        for row in rows:
            place = int(places[row])
            got = source.read(place, place + 1)
            if len(got.batch) != 1 or len(got.batch[0]) != int(kept.frames[row]):
                raise DatasetError(f"episode {kept.number[row]}", "cannot be read as the run read it: run again")
            part = got.batch.prefix(np.array([kept.stop[row]], np.int64))
            yield _from(part, int(kept.start[row])), got.outcome


def _from(batch: RolloutBatch, start: int) -> RolloutBatch:
    """One episode from a frame on, its time from 0."""
    if not start:
        return batch

    def cut(values: Any) -> Any:
        return None if values is None else values[start:]

    arms = {
        arm: type(each)(**{name: values[start:] for name, values in each.channels().items()})
        for arm, each in batch.manipulators.items()
    }
    scene = {name: cut(getattr(batch, name)) for name in (*OBJECT_CHANNELS, *SCENE_CHANNELS)}
    time = batch.time[start:] - batch.time[start]
    return replace(batch, offset=np.array([0, len(time)], np.int64), time=time, manipulators=arms, **scene)


def _write(target: Path, write: Any) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        replace_file(target, write)
    except OSError as error:
        raise UsageError(f"{target}: cannot be written: {error.strerror or error}; nothing was left there") from error
    finally:
        for left in target.parent.glob(f".writing-{target.name}"):
            left.unlink()
