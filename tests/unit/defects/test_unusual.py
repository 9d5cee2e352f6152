"""Episodes unlike the others of their task: ranked, told in words, and never more than a few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sima2.defects.courses import endings, strides, usual_courses
from sima2.defects.unusual import _deviation, _middle, unusual_episodes
from sima2.records.courses import WHOLE, Strides, UnusualTable
from sima2.records.defects import POINTS, SLOTS, EpisodeMeasures
from sima2.records.segments import SegmentTable
from sima2.records.table import Text

HZ = 20
USUAL = (("approach", 2.0), ("grasp", 0.6), ("transport", 3.0), ("release", 0.5), ("retreat", 1.5))


class Recording:
    """Episodes as tables, built step by step."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.episodes: list[tuple[list[tuple[str, float, str]], float, float, np.ndarray]] = []

    def add(
        self, steps: object = USUAL, *, before: float = 0.2, after: float = 0.1, ends: float = 0.0, failed: str = ""
    ) -> Recording:
        took = [(step[0], step[1] * self.rng.lognormal(0, 0.1), step[2] if len(step) > 2 else "") for step in steps]  # type: ignore[attr-defined]
        end = self.rng.normal(0, 0.05, 6) + np.r_[ends, np.zeros(5)]
        self.episodes.append((took, before, after, end))
        return self

    def tables(self, *, arms: tuple[str, ...] = ("arm",), family: str = "pick") -> tuple[EpisodeMeasures, SegmentTable]:
        rows, measures = [], []
        for i, (steps, before, after, end) in enumerate(self.episodes):
            whole = [("idle", before, ""), *steps, ("idle", after, "")]
            total = sum(step[1] for step in whole)
            path = np.full((SLOTS, POINTS), np.nan)
            path[:6] = np.linspace(np.zeros(6), end, POINTS).T + self.rng.normal(0, 0.01, (6, POINTS))
            path[SLOTS - 1] = 1.0
            for arm in arms:
                at = 0.0
                for k, (label, took, outcome) in enumerate(whole):
                    rows.append((i, arm, k, label, at, at + took, outcome or "success"))
                    at += took
                measures.append((i, arm, total, before, total - after, path))
        return _measures(measures, family), _segments(rows)

    def strides(self, **more: object) -> Strides:
        return strides(*self.tables(**more))  # type: ignore[arg-type]


def _blank(cls: type, n: int) -> dict[str, object]:
    return {
        each.name: Text.full(n, "")
        if each.dtype is None
        else np.full((n,) if each.ndim == 1 else (n, SLOTS), 0, each.dtype)
        for each in cls.declared()
    }


def _measures(rows: list, family: str) -> EpisodeMeasures:
    i, arm, total, begin, end, path = zip(*rows, strict=True)
    n = len(rows)
    return EpisodeMeasures(
        **_blank(EpisodeMeasures, n)
        | {
            "episode_index": np.array(i),
            "episode_id": Text.of(f"e{k:03d}" for k in i),
            "manipulator": Text.of(arm),
            "family": Text.full(n, family),
            "robot": Text.full(n, "r"),
            "frames": np.round(np.array(total) * HZ).astype(np.int64),
            "duration_s": np.array(total),
            "period_s": np.full(n, 1 / HZ),
            "jerk": np.full(n, 5.0),
            "moving_start": np.round(np.array(begin) * HZ).astype(np.int64),
            "moving_end": np.round(np.array(end) * HZ).astype(np.int64),
            "signature": np.array(path, np.float32).reshape(n, -1),
        }
    )


def _segments(rows: list) -> SegmentTable:
    i, arm, k, label, start, end, outcome = zip(*rows, strict=True)
    n = len(rows)
    return SegmentTable(
        **_blank(SegmentTable, n)
        | {
            "episode_index": np.array(i),
            "episode_id": Text.of(f"e{j:03d}" for j in i),
            "manipulator": Text.of(arm),
            "segment_id": np.array(k),
            "label": Text.of(label),
            "start_t": np.array(start),
            "end_t": np.array(end),
            "start_frame": np.round(np.array(start) * HZ).astype(np.int64),
            "end_frame": np.round(np.array(end) * HZ).astype(np.int64),
            "outcome": Text.of(outcome),
        }
    )


def usual(n: int, seed: int = 0) -> Recording:
    recording = Recording(seed)
    for _ in range(n):
        recording.add()
    return recording


def first(table: UnusualTable) -> dict[str, object]:
    return next(iter(table.rows()))


AGAIN = (("approach", 2.0), ("grasp", 0.6), ("grasp", 0.6), ("grasp", 0.6), *USUAL[2:])


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ({"before": 9.0}, "9 s before the first motion, others 0.2 s"),
        ({"after": 8.0}, "8 s at rest at the end, others 0.1 s"),
        ({"steps": AGAIN}, "3 grasps where others need 1"),
        ({"ends": 1.2}, "ends 1"),
        ({"steps": USUAL[:2] + USUAL[3:]}, "no transport, others"),
        ({"steps": (*USUAL[:2], ("idle", 7.0), *USUAL[2:])}, "rests"),
    ],
)
def test_an_oddity_is_ranked_first_and_told_in_words(odd: dict[str, object], words: str) -> None:
    for seed in range(5):
        found = first(unusual_episodes(usual(29, seed).add(**odd).strides()))  # type: ignore[arg-type]
        assert found["episode_id"] == "e029"
        assert found["shown"]
        assert words in str(found["words"]), found["words"]
        assert 0 <= int(found["start_frame"]) < int(found["end_frame"])  # type: ignore[call-overload]


def test_p_is_a_rank_and_never_less_than_one_of_all() -> None:
    table = unusual_episodes(usual(39).add(before=60.0).strides())
    assert table.p[0] == 1 / 40
    assert (np.diff(table.p) >= 0).all()
    assert table.p[-1] == 1.0
    assert sorted(table.rank.tolist()) == list(range(1, 41))


@pytest.mark.parametrize(("n", "most"), [(20, 3), (60, 3), (200, 10)])
def test_no_more_than_three_or_a_twentieth_are_shown_however_odd(n: int, most: int) -> None:
    recording = usual(n - n // 7)
    for k in range(n // 7):
        recording.add(before=9.0 + k)
    table = unusual_episodes(recording.strides())
    assert len(table) == n
    assert 0 < table.shown.sum() <= most


def test_episodes_that_are_alike_are_not_unusual() -> None:
    shown = [int(unusual_episodes(usual(40, seed).strides()).shown.sum()) for seed in range(10)]
    assert sum(shown) <= 4


@pytest.mark.parametrize(("n", "judged"), [(19, 0), (20, 20)])
def test_below_twenty_episodes_of_a_task_nothing_is_ranked(n: int, judged: int) -> None:
    assert len(unusual_episodes(usual(n).strides())) == judged


def test_the_order_in_which_episodes_come_changes_nothing() -> None:
    table = usual(29).add(before=9.0).strides()
    order = np.random.default_rng(1).permutation(len(table))
    one, other = unusual_episodes(table), unusual_episodes(table.take(order))
    assert list(one.rows()) == list(other.rows())


def test_tasks_are_judged_apart() -> None:
    slow = usual(25, 1).tables(family="wipe")
    measures = replace(slow[0], episode_index=slow[0].episode_index + 100, duration_s=slow[0].duration_s * 9)
    table = Strides.concat([usual(25).strides(), strides(measures, slow[1])])
    assert unusual_episodes(table).score.max() < 3


def test_an_arm_is_named_where_there_are_several() -> None:
    table = unusual_episodes(usual(29).add(AGAIN).strides(arms=("left", "right")))
    assert "left: 3 grasps where others need 1" in table.words[0]


def test_what_is_not_known_is_compared_on_what_is() -> None:
    table = usual(29).add(before=9.0).strides()
    blind = replace(table, signature=np.full_like(table.signature, np.nan), jerk=np.full_like(table.jerk, np.nan))
    found = first(unusual_episodes(blind))
    assert found["episode_id"] == "e029"
    assert found["nearest"] == ""


def test_copies_are_alike_and_loners_rare() -> None:
    recording = usual(30).add(ends=6.0)
    table = recording.strides()
    copy = table.signature.copy()
    copy[4] = copy[3]
    found = unusual_episodes(replace(table, signature=copy))
    alike = found.take(found.coverage.isin("alike"))
    assert sorted(alike.episode_id.tolist()) == ["e003", "e004"]
    assert found.take(found.coverage.isin("rare")).episode_id.tolist() == ["e030"]


def test_the_usual_course_has_its_phases_in_order_with_their_times() -> None:
    course = usual_courses(usual(30).add(AGAIN).strides())
    rows = list(course.rows())
    assert [row["phase"] for row in rows] == [WHOLE, *(step[0] for step in USUAL)]
    assert rows[0]["times"] == 1
    assert rows[3]["duration_s"] == pytest.approx(3.0, rel=0.1)
    assert all(row["low_s"] <= row["duration_s"] <= row["high_s"] for row in rows)
    assert len(usual_courses(usual(4).strides())) == 0


def test_endings_tell_the_last_failure_and_the_retries_of_each_episode() -> None:
    twice = (("approach", 1.0), ("grasp", 0.5, "retry"), ("grasp", 0.5), ("place", 1.0, "failure"))
    _, segments = Recording().add(twice).add().tables()
    table = endings(Text.of(["e001", "e000", "e009"]), segments)
    assert table.failed.tolist() == ["", "place", ""]
    assert table.retries.tolist() == [0, 1, 0]
    assert table.last.tolist() == ["release", "place", ""]
    assert table.retried.tolist() == ["", "grasp", ""]
    assert table.failed_end[1] == segments.end_frame[segments.label.isin("place")][0]
    assert len(endings(Text.of([]), SegmentTable.empty())) == 0
    assert len(strides(EpisodeMeasures.empty(), SegmentTable.empty())) == 0
    assert len(unusual_episodes(Strides.empty())) == len(usual_courses(Strides.empty())) == 0


@given(st.lists(st.floats(-100, 100), min_size=5, max_size=30))
def test_leaving_one_out_is_what_it_says(values: list[float]) -> None:
    x = np.array(values)
    for q in (0.15, 0.5, 0.85):
        slow = [np.quantile(np.delete(x, i), q) for i in range(len(x))]
        np.testing.assert_allclose(_middle(x[:, None], q)[:, 0], slow, atol=1e-9)
    middle = _middle(x[:, None], 0.5)[:, 0]
    slow = [np.median(np.abs(np.delete(x, i) - middle[i])) for i in range(len(x))]
    np.testing.assert_allclose(_deviation(x, middle), slow, atol=1e-9)
