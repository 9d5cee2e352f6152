"""Files of one set whose named columns lie in another order, or are others: they are read by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from format_sets import CSV_MAP, csv, signals
from sima2.io.formats import open_dataset
from sima2.records.rollout import RolloutBatch

NUMBERS = range(6)


def written(root: Path) -> Path:
    return csv(root / "set", {k: signals(k) for k in NUMBERS})


def columns(path: Path) -> tuple[list[str], list[list[str]]]:
    head, *rows = (line.split(",") for line in path.read_text().splitlines())
    return head, rows


def rewritten(path: Path, order: list[int], rename: dict[str, str] | None = None) -> None:
    head, rows = columns(path)
    head = [(rename or {}).get(name, name) for name in head]
    path.write_text("\n".join(",".join(row[k] for k in order) for row in [head, *rows]) + "\n")


def opened(root: Path) -> tuple[RolloutBatch, list[str], int]:
    (root / "map.toml").write_text(CSV_MAP)
    data = open_dataset(root / "set", column_map=root / "map.toml")
    got = data.read(0, len(NUMBERS))
    return got.batch, list(data.describe().warnings), len(got.quarantine)


def joints(batch: RolloutBatch) -> list[np.ndarray]:
    return [np.asarray(each.manipulators["arm"].joint_position) for each in batch]


@pytest.mark.parametrize("which", [0, 3, 5])
def test_another_order_of_columns_changes_nothing_and_is_told(tmp_path: Path, which: int) -> None:
    root = written(tmp_path)
    before, quiet, _ = opened(tmp_path)
    width = len(columns(root / f"run_{which}.csv")[0])
    rewritten(root / f"run_{which}.csv", np.random.default_rng(which).permutation(width).tolist())
    after, told, aside = opened(tmp_path)
    assert aside == 0
    for one, two in zip(joints(before), joints(after), strict=True):
        np.testing.assert_array_equal(one, two)
    assert not [line for line in quiet if "order" in line]
    (line,) = [line for line in told if "order" in line]
    assert (
        line == f"1 of 6 files have their columns in another order, or others: they are read by name (run_{which}.csv)"
    )


def test_a_column_too_many_or_too_few_moves_no_other(tmp_path: Path) -> None:
    root = written(tmp_path)
    before, _, _ = opened(tmp_path)
    head, rows = columns(root / "run_0.csv")
    (root / "run_0.csv").write_text(
        "\n".join(",".join(["more", *row]) for row in [head])
        + "\n"
        + "\n".join(",".join(["9", *row]) for row in rows)
        + "\n"
    )
    rewritten(root / "run_2.csv", list(range(len(head)))[:-1])
    after, told, _ = opened(tmp_path)
    numbers = after.episodes.episode_index.tolist()
    for place, number in enumerate(numbers):
        np.testing.assert_array_equal(joints(after)[place], joints(before)[number])
    assert {1, 3, 4, 5} <= set(numbers)
    assert any("2 of 6 files have their columns in another order" in line for line in told)


def test_a_file_without_a_head_is_read_by_place_and_told(tmp_path: Path) -> None:
    root = written(tmp_path)
    before, _, _ = opened(tmp_path)
    _, rows = columns(root / "run_1.csv")
    (root / "run_1.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")
    after, told, _ = opened(tmp_path)
    np.testing.assert_array_equal(joints(after)[1], joints(before)[1][1:])
    assert any("1 of 6 files name their columns otherwise than the others: they are read by place" in x for x in told)
    (root / "run_1.csv").write_text("\n".join(",".join(["9", *row]) for row in rows) + "\n")
    after, _, aside = opened(tmp_path)
    assert (len(after), aside) == (5, 1)
