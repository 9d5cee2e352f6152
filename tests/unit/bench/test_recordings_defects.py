"""Planted defects are counted as found, and clean episodes as accused, by what was told of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sima2.bench.recordings_defects import TOLD_AS, accusations, recalled, summed
from sima2.records.defects import DEFECTS, DefectTable


@dataclass(frozen=True)
class Planted:
    kind: str
    of: int | None = None


@dataclass(frozen=True)
class Truth:
    episode_index: int
    planted: tuple[Planted, ...] = ()


def told(*rows: tuple[int, str]) -> DefectTable:
    n = len(rows)
    return DefectTable(
        episode_index=np.array([row[0] for row in rows], np.int64),
        episode_id=[f"e{row[0]}" for row in rows],
        manipulator=[""] * n,
        defect=[row[1] for row in rows],
        severity=np.ones(n),
        start_frame=np.zeros(n, np.int64),
        end_frame=np.ones(n, np.int64),
        value=np.ones(n),
        unit=["s"] * n,
        details=["words"] * n,
    )


TRUTH = (
    Truth(0),
    Truth(1, (Planted("clipped"),)),
    Truth(2, (Planted("duplicate", of=5),)),
    Truth(3, (Planted("label_flipped"),)),
    Truth(4),
    Truth(5),
)


def test_a_copy_counts_by_either_of_the_two_and_a_label_not_at_all() -> None:
    found = told((1, "idle"), (5, "near_duplicate"), (-1, "constant_channel"))
    assert recalled(TRUTH, found) == [("clipped", False), ("duplicate", True)]


def test_clean_episodes_are_those_without_a_defect_and_without_a_copy() -> None:
    found = told((0, "repeated_grasp"), (4, "idle"), (5, "near_duplicate"), (-1, "constant_channel"))
    assert accusations(TRUTH, found) == ([(4, "idle")], 2)


def test_every_kind_is_told_by_a_documented_one() -> None:
    assert set(TOLD_AS.values()) <= set(DEFECTS)


def test_the_worst_kind_comes_first() -> None:
    counts = {"clipped": {"a": [2, 2]}, "stalled": {"a": [0, 1], "b": [1, 1]}}
    assert summed(counts, {"a": [0, 10]}, {})["worst"] == ["stalled", "clipped"]
