"""What comes through the door: good episodes, and a record of each that was not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sima2.records.arrays import Int64s
from sima2.records.meanings import EPISODE_ID, EPISODE_INDEX
from sima2.records.table import Table, Text, column, text


@dataclass(frozen=True, eq=False)
class QuarantineTable(Table):
    """Episodes that were put aside, each with why."""

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text("Name of the episode as the source gives it; need not be unique, and may be empty.")
    reason: Text = text(
        "Stable code of what is wrong, such as `empty`, `one_frame`, `not_finite`, `time_not_increasing`, "
        "`mixed_dimensions`, `length_mismatch`, `unreadable` or `worker_crashed`."
    )
    source: Text = text("File or generator it came from, relative to the data set.")
    start_frame: Int64s = column(np.int64, "First frame at fault, counted from the episode's start.", unit="frame")
    end_frame: Int64s = column(
        np.int64, "One past the last frame at fault; 0 where it concerns no frame or the whole episode.", unit="frame"
    )
    message: Text = text("What is wrong, in words, and with which channel.")


@dataclass(frozen=True, eq=False)
class NoteTable(Table):
    """What is odd about episodes that were let in, as they were read."""

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    message: Text = text("What is odd, in words; an episode may have several.")

    @classmethod
    def of(cls, notes: Iterable[tuple[int, str, str]]) -> NoteTable:
        """Of number, id and message of each."""
        index, names, messages = zip(*notes, strict=True) if (notes := list(notes)) else ((), (), ())
        return cls(np.array(index, np.int64), Text.of(names), Text.of(messages))


@dataclass(frozen=True, eq=False)
class SkippedTable(Table):
    """Episodes of a later run that an earlier one had brought already."""

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text("Name of the episode as this run's source gives it.")
