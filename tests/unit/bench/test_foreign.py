"""The bench of foreign recordings: it reads what it says, counts what it says, and can fail."""

from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sima2.bench import foreign, foreign_changed
from sima2.bench.foreign import Score, Told, figures, judge, rows
from sima2.bench.foreign_sets import recordings
from sima2.errors import UsageError
from sima2.records.rollout import Rollout

HZ, N = 20, 120
LABELS = np.array(["approach"] * 70 + ["unknown"] * 10 + ["idle"] * 40)


def episode(*, robot: str = "arm_x", labels: np.ndarray = LABELS, fails: bool = False) -> bytes:
    """A hand that goes somewhere and rests."""
    way = 0.4 * np.clip(np.arange(N) / 70, 0, 1)
    attempts = [{"start": 5, "end": 20, "outcome": "failure", "reason": "missed_grasp"}] if fails else []
    meta = {
        "rollout": {"robot": robot, "family": "going", "simulator": "none"},
        "truth": {
            "attempts": attempts,
            "success": not fails,
            "recovered": False,
            "clean": not fails,
            "grasp_task": True,
        },
    }
    out = io.BytesIO()
    np.savez(
        out,
        time=np.arange(N) / HZ,
        ee_position=np.column_stack([way, np.zeros(N), np.full(N, 0.3)]),
        gripper_width=np.full(N, 0.08),
        contact_force=np.zeros(N),
        object_position__cup=np.tile([0.5, 0.0, 0.3], (N, 1)),
        gt_label=labels,
        gt_ignore=np.zeros(N, bool),
        meta=json.dumps(meta),
    )
    return out.getvalue()


def bundle(path: Path, *episodes: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for k, each in enumerate(episodes):
            made.writestr(f"e{k:03d}.npz", each)
    return path


def test_a_set_is_read_from_a_file_or_a_folder(tmp_path: Path) -> None:
    path = bundle(tmp_path / "going.zip", episode(), episode(fails=True))
    found = recordings(path)
    with zipfile.ZipFile(path) as packed:
        packed.extractall(tmp_path / "going")
    again = recordings(tmp_path / "going")
    assert [each.rollout.episode_id for each in found] == ["going-e000", "going-e001"]
    assert [each.rollout.episode_id for each in again] == ["going-e000", "going-e001"]
    assert found[0].source == "going, arm_x"
    assert found[0].world == "none"
    assert found[0].judged.tolist() == [label != "unknown" for label in LABELS]
    assert [each.success for each in found] == [1.0, 0.0]
    assert found[1].attempts[0].failed
    assert found[1].attempts[0].held == 20


def test_what_is_no_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no recordings"):
        recordings(bundle(tmp_path / "empty.zip"))
    out = io.BytesIO()
    np.savez(out, time=np.zeros(3), meta=json.dumps({"rollout": {}, "truth": {}}))
    with pytest.raises(UsageError, match=r"e000 is not as it should be: .*gt_label"):
        recordings(bundle(tmp_path / "bare.zip", out.getvalue()))


def test_right_labels_score_and_wrong_ones_do_not(tmp_path: Path) -> None:
    right = recordings(bundle(tmp_path / "right.zip", *[episode()] * 3))
    wrong = recordings(bundle(tmp_path / "wrong.zip", *[episode(labels=LABELS[::-1])] * 3))
    good, bad = (figures(judge(found, "full")) for found in (right, wrong))
    assert good["f1_50"] == 100.0
    assert good["clean_with_failure"] == 0.0
    assert bad["f1_50"] < 50.0
    assert good["one_label"] < good["f1_50"]


def test_a_miss_that_was_not_told_counts(tmp_path: Path) -> None:
    found = recordings(bundle(tmp_path / "fails.zip", episode(fails=True)))
    row = figures(judge(found, "full"))
    assert row["failure_recall"] == 0.0
    assert math.isnan(row["failure_precision"])


def test_an_answer_is_right_wrong_or_none() -> None:
    total = sum((Told.of(a, b) for a, b in [(1, 1), (1, 0), (0, 1), (0, 0), (math.nan, 1), (1, math.nan)]), Told())
    assert (total.true_yes, total.false_yes, total.false_no, total.true_no, total.unknown) == (1, 1, 1, 1, 1)
    assert total.balanced == 0.5
    assert total.unanswered == 0.2


def test_no_figures_of_nothing() -> None:
    assert math.isnan(figures([Score()])["failure_precision"])


def test_the_worst_source_comes_first(tmp_path: Path) -> None:
    right = bundle(tmp_path / "right.zip", episode())
    wrong = bundle(tmp_path / "wrong.zip", episode(labels=LABELS[::-1]))
    values = foreign.run(data=[right, wrong], channel_sets=("full",))
    names = [name for name, _, _ in rows(values)]
    assert names[:2] == ["wrong, arm_x, full", "right, arm_x, full"]
    assert not values["targets"]["none, full: f1 50"]["met"]


def test_a_changed_recording_keeps_its_truth(tmp_path: Path) -> None:
    (one,) = recordings(bundle(tmp_path / "one.zip", episode(fails=True)))
    rng = np.random.default_rng(0)
    made = {name: change(one, rng) for name, change in foreign_changed.CHANGES.items()}
    slow, few = made["half as fast"], made["10 Hz"]
    assert slow.rollout.time[-1] == pytest.approx(2 * one.rollout.time[-1])
    assert few.label.tolist() == one.label[::2].tolist()
    assert [(each.start, each.held) for each in few.attempts] == [(3, 10)]
    np.testing.assert_array_equal(made["as recorded"].rollout.time, one.rollout.time)
    for name, each in made.items():
        assert len(each.label) == len(each.judged) == len(each.rollout), name
        if name != "as recorded":
            assert different(each.rollout, one.rollout) or name in UNTOUCHED, name


UNTOUCHED = {"forces times 10", "forces by 10", "a bit of the fingers", "things 0.1 s late"}
"""Nothing is felt, gripped or moved in this episode."""


def different(one: Rollout, other: Rollout) -> bool:
    if len(one) != len(other) or (one.time != other.time).any():
        return True
    arms = (each.manipulators["arm"].channels() for each in (one, other))
    first, second = ({**arm, **each.object_position} for arm, each in zip(arms, (one, other), strict=True))
    return any(not np.array_equal(first[name], second[name], equal_nan=True) for name in first)


def test_the_bench_of_changes_tells_each_of_them(tmp_path: Path) -> None:
    right = bundle(tmp_path / "right.zip", episode())
    values = foreign_changed.run(data=[right], only=["as recorded", "10 Hz"])
    assert [name for name, _, _ in foreign_changed.rows(values)][:2] == ["as recorded, none", "10 Hz, none"]
    assert values["changes"]["10 Hz"]["none"]["clean_with_failure"] == 0.0
