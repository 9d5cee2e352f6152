"""What the page's script works on is what the tables say, whatever the order of shards and names."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finished_run import drawn_signals, episodes_of, segments_of, tags_of
from sima2.records.courses import UnusualTable
from sima2.records.defects import DefectTable
from sima2.records.labels import Label, LabelTable, standing
from sima2.records.plan import TrainingPlan
from sima2.records.segments import SegmentTable
from sima2.records.signals import NOTHING
from sima2.records.vocabulary import LABELS, OUTCOMES
from sima2.report.page_data import FIRST_STEP, Overview, as_json, as_script, details, within
from sima2.tags.specs import THRESHOLDS

NAMES = ["a-0", "b-1", "c-2"]


def plan() -> TrainingPlan:
    return TrainingPlan(
        episode_index=[0, 1],
        episode_id=NAMES[:2],
        source=["s"] * 2,
        action=["trim", "drop"],
        weight=[0.5, 0.0],
        keep_start_frame=[10, 0],
        keep_end_frame=[200, 0],
        codes=["idle", "duplicate"],
        words=["it waits", "it is a copy"],
        kind_of_knowledge=["fact", "fact"],
    )


def defects() -> DefectTable:
    return DefectTable(
        episode_index=[1, -1],
        episode_id=[NAMES[1], ""],
        manipulator=["", ""],
        defect=["idle", "constant_channel"],
        severity=[0.25, 1.0],
        start_frame=[3, 0],
        end_frame=[9, 0],
        value=[1.0, 1.0],
        unit=["s", ""],
        details=["stands still", "never changes"],
    )


def overview(order: tuple[int, ...] = (0, 1, 2)) -> dict[str, object]:
    made = Overview(episodes_of(NAMES))
    for k in order:
        made.add_segments(segments_of(NAMES[k], ("left", "right") if k == 1 else ("left",)))
        made.add_tags(tags_of(NAMES[k]))
    return made.plain(plan(), defects(), UnusualTable.empty())


def steps(word: str, arms: list[str]) -> list[tuple[str, str, str]]:
    codes = [ord(each) - FIRST_STEP for each in word]
    kinds, ends = len(LABELS), len(OUTCOMES)
    return [(LABELS[c % kinds], OUTCOMES[c // kinds % ends], arms[c // kinds // ends]) for c in codes]


def test_a_course_tells_every_segment_in_its_order() -> None:
    told = overview()
    for k, name in enumerate(NAMES):
        segments = segments_of(name, ("left", "right") if k == 1 else ("left",))
        rows = sorted(segments.rows(), key=lambda row: (row["start_frame"], row["manipulator"]))
        expected = [(row["label"], row["outcome"], row["manipulator"]) for row in rows]
        assert steps(told["steps"][k], told["arms"]) == expected


def test_shards_may_come_in_any_order_as_far_as_arms_are_named_alike() -> None:
    first, other = overview(), overview((2, 0, 1))
    assert {k: v for k, v in first.items() if k != "arms"} == {k: v for k, v in other.items() if k != "arms"}


def test_rows_name_tags_above_their_threshold_findings_and_plan() -> None:
    told = overview()
    given_tags = {told["tag_names"][k] for k in told["tags"][0]}
    rows = tags_of(NAMES[0]).rows()
    assert given_tags == {row["tag"] for row in rows if row["level"] > THRESHOLDS[row["tag"]]}
    assert told["action"] == ["trim", "drop", ""]
    assert told["weight"] == [0.5, 0, None]
    assert [[told["defect_names"][k] for k in each] for each in told["defects"]] == [[], ["idle"], []]
    assert told["ended"] == [1, 0, 2]


def test_an_episode_is_told_whole_and_only_itself() -> None:
    segments = SegmentTable.concat([segments_of(name) for name in NAMES])
    told = details(
        [NAMES[1]],
        episodes_of(NAMES),
        segments,
        tags_of(NAMES[1]),
        defects(),
        drawn_signals(NAMES[1]),
        plan(),
        UnusualTable.empty(),
        standing(LabelTable.of([Label(NAMES[1], "failure", frame=7, by="ann"), Label(NAMES[0], "note", "hm", 3)])),
    )
    assert told[NAMES[1]]["labels"] == [{"what": "failure", "value": "", "frame": 7, "by": "ann"}]
    assert list(told) == [NAMES[1]]
    one = told[NAMES[1]]
    assert len(one["segments"]) == len(segments_of(NAMES[1]))
    assert one["defects"] == [["idle", 3, 9, 0.25, "stands still"]]
    assert one["plan"]["action"] == "drop"
    assert "FragilityTag" in one["unassessed"]
    assert [each[1] for each in one["signals"]] == ["hand x", "hand y", "hand z", "gripper width"]
    assert one["signals"][3][3] is None


def test_a_signal_comes_back_in_its_unit() -> None:
    least, most = drawn_signals("x").values(0)
    assert least[0] == 0
    assert most[-1] == pytest.approx(0.5 * (127 + 9) / 250)
    assert np.isnan(drawn_signals("x").values(3)[0]).all()
    assert NOTHING > 250


@given(st.dictionaries(st.text(), st.lists(st.text() | st.integers(-9, 9) | st.none())))
def test_no_text_ends_the_block_and_all_text_that_shows_comes_back(values: dict[str, list[object]]) -> None:
    script = as_script("data", values)
    inside = script[script.index(">") + 1 : script.rindex("</script>")]
    assert "<" not in inside
    back = json.loads(inside)
    assert len(back) <= len(values)
    for key in values:
        if key.isascii() and key.isprintable():
            assert key in back


def test_not_a_number_is_refused_rather_than_written() -> None:
    with pytest.raises(ValueError):
        as_json({"x": float("nan")})


def test_what_does_not_fit_is_left_out_from_the_end() -> None:
    told = {name: {"x": "y" * 100} for name in "abcdef"}
    assert list(within(told, 250)) == ["a", "b"]


def test_an_episode_that_the_tables_do_not_know_is_ignored() -> None:
    made = Overview(episodes_of(NAMES))
    made.add_segments(SegmentTable.empty())
    made.add_tags(replace(tags_of(NAMES[0])))
    assert made.plain(TrainingPlan.empty(), DefectTable.empty(), UnusualTable.empty())["steps"] == ["", "", ""]
