"""A trace tells which rule named a segment and said how it ended, and changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from scripted_hand import HELD, OPEN, World, taken
from sima2 import RolloutBatch, SegmentationEngine, Sima2Client
from sima2.errors import UsageError
from sima2.records.segments import SegmentTable
from sima2.segmentation.rules import Note, Rule, RuleList, above, below, traced, within
from sima2.segmentation.windows import WindowSettings
from sima2.segmentation_engine import RULE_LISTS

MADE = next(Sima2Client(seed=5).batches(families=("pick_and_place", "wipe_surface", "inspect_scene"), episodes=4)).batch
WINDOWS = WindowSettings(past_s=4.0, block_s=2.0, ahead_s=3.0)


def explained(batch: RolloutBatch, engine: SegmentationEngine | None = None) -> dict[int, tuple[str, list[Note]]]:
    engine = engine or SegmentationEngine()
    table, notes = engine.explain(batch)
    return {k: (each.label, said) for k, (each, said) in enumerate(zip(table, notes, strict=True))}


def same(one: SegmentTable, other: SegmentTable) -> bool:
    return [str(row) for row in one.rows()] == [str(row) for row in other.rows()]


@pytest.mark.parametrize("windows", [WindowSettings(), WINDOWS], ids=["whole", "windows"])
def test_every_named_segment_has_a_rule_that_named_it_and_stays_as_it_is(windows: WindowSettings) -> None:
    engine = SegmentationEngine(windows=windows).fit([MADE])
    for k in range(len(MADE)):
        one = MADE.take(np.array([k]))
        table, notes = engine.explain(one)
        assert same(table, engine.segment(one))
        for segment, said in zip(table, notes, strict=True):
            named = [note for note in said if note.about == "label"]
            assert segment.label == "unknown" or segment.label in {note.says for note in named} | {"as before"}
            assert all(note.start < segment.end_frame and note.stop > segment.start_frame for note in said)
            ended = [note.says for note in said if note.about == "outcome"]
            if segment.outcome == "success":
                assert not ended
            else:
                assert ended[-1].split(" (")[0] == segment.outcome


def test_a_collision_tells_its_touch_and_what_was_measured() -> None:
    world = taken().go((0.5, 0.0, 0.2), 1.0).go((0.53, 0.0, 0.2), 0.15).rest(0.2, force=30.0).go((0.4, 0.0, 0.25), 0.6)
    batch = RolloutBatch.from_rollouts([world.go((0.6, 0.0, 0.02), 1.0).fingers(OPEN).rest(0.5).rollout()])
    said = next(said for label, said in explained(batch).values() if label == "collision")
    (touch,) = (note for note in said if note.about == "touch" and note.says == "bump")
    rise = next(each for each in touch.measures if each.what == "N of rise")
    assert rise.measured > rise.limit > 0.0
    assert str(rise).startswith("N of rise: 30 > ")
    assert [note.name for note in said if note.about == "outcome"] == ["collided"]


def test_a_doubtful_label_is_withdrawn_with_its_confidence() -> None:
    engine = SegmentationEngine().fit([MADE])
    engine = SegmentationEngine(scales=engine.scales, confidence=type(engine.confidence)(least=1.0))
    for label, said in explained(MADE.take(np.array([0])), engine).values():
        assert label == "unknown"
        (doubt,) = (note.measures[0] for note in said if note.name == "too doubtful" and note.about == "outcome")
        assert doubt.measured < doubt.limit == 1.0


def test_one_episode_is_explained_at_a_time() -> None:
    with pytest.raises(UsageError, match="explain takes one episode, not"):
        SegmentationEngine().explain(MADE)


def test_nothing_listens_after_a_trace() -> None:
    world = World().rest(1.0).go((0.3, 0.0, 0.02), 1.0).fingers(HELD, hold=True).rest(0.5)
    batch = RolloutBatch.from_rollouts([world.rollout()])
    with traced() as trace:
        SegmentationEngine().segment(batch)
    noted = [len(notes) for _, notes in trace.passes]
    SegmentationEngine().segment(batch)
    assert noted == [len(notes) for _, notes in trace.passes]
    assert sum(noted) > 0


def test_every_rule_has_a_reason_and_names_are_unique_in_a_list() -> None:
    for each in RULE_LISTS:
        names = [rule.name for rule in each.rules]
        assert len(set(names)) == len(names)
        for rule in each.rules:
            assert rule.reason.endswith((".", ":")), rule.name
            assert rule.words


def test_the_first_or_the_last_rule_counts_as_its_list_says() -> None:
    def small(x: list[int]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Less than three."""
        return np.array(x) < 3

    def odd(x: list[int]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Not even."""
        return np.array(x) % 2 == 1

    rules = Rule("small", small), Rule("odd", odd)
    first = RuleList("number", "Numbers", "the first that holds counts", rules)
    last = RuleList("number", "Numbers", "the last that holds counts", rules)
    assert [found.tolist() for _, found in first.asked([1, 2, 3])] == [[True, True, False], [False, False, True]]
    assert [found.tolist() for _, found in last.asked([1, 2, 3])] == [[True, True, False], [True, False, True]]
    assert [rule.name for rule in first.without("small").rules] == ["odd"]
    assert rules[0].reason == "Less than three."


def test_limits_are_held_against_as_their_names_say() -> None:
    x = np.array([1.0, 2.0, 3.0])
    assert above("m", x, 2.0).tolist() == [False, False, True]
    assert below("m", x, 2.0).tolist() == [True, False, False]
    assert within("m", x, 2.0).tolist() == [True, True, False]
