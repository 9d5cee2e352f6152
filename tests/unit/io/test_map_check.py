"""A column map that was given is held against the data before anything rests on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sima2.errors import DatasetError
from sima2.io.column_map import ColumnMap, Columns
from sima2.io.map_check import check_indices, doubts

SAMPLE = {"observation.state": np.column_stack([np.linspace(-1.2, 1.2, 50), np.linspace(0, 178, 50)])}


def mapped(channel: str, index: int, unit: str, **ends: tuple[float, ...]) -> ColumnMap:
    return ColumnMap(arms={"arm": {channel: Columns("observation.state", (index,), unit, **ends)}})


def test_an_index_beyond_the_feature_is_an_error_that_names_file_section_and_width() -> None:
    with pytest.raises(DatasetError, match=r"map\.toml.*arms\.arm\.joint_position.*99.*2"):
        check_indices(Path("map.toml"), mapped("joint_position", 99, "rad"), {"observation.state": 2})


@pytest.mark.parametrize(
    ("index", "unit", "word"), [(0, "deg", "rad"), (1, "rad", "deg"), (0, "rad", ""), (1, "deg", "")]
)
def test_a_unit_that_the_values_speak_against_is_doubted(index: int, unit: str, word: str) -> None:
    told = doubts(mapped("joint_position", index, unit), SAMPLE)
    assert bool(told) == bool(word)
    assert all(f"is it in {word}" in each for each in told)


def test_a_gripper_whose_ends_make_it_stand_still_is_doubted() -> None:
    wrong = mapped("gripper_opening", 0, "share", closed=(2.0,), open=(98.0,))
    right = mapped("gripper_opening", 0, "share", closed=(-1.2,), open=(1.2,))
    assert "never changes" in doubts(wrong, SAMPLE)[0]
    assert doubts(right, SAMPLE) == []
