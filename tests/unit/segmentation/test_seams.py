"""Windows and their seams: which frames each keeps, what goes on, and what a joined segment says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sima2 import Rollout, RolloutBatch, SegmentationEngine
from sima2.records.vocabulary import LABELS
from sima2.segmentation.features import FeatureSettings, compute_features
from sima2.segmentation.measures import measure
from sima2.segmentation.outcomes import Spans
from sima2.segmentation.scales import Scales
from sima2.segmentation.window_joining import HandOver, Judged, kept
from sima2.segmentation.windows import Grid, WindowSettings, gather

A, B, C = (LABELS.index(name) for name in ("approach", "grasp", "lift"))
GRID = Grid(period=np.array([0.05]), past=np.array([20]), block=np.array([10]), ahead=np.array([5]))
FRAMES = 30


def stitched(*views: list[tuple[int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Label, start, stop and slot of segments, from what each window of 30 frames sees: label, start and stop.

    The slot tells which window a segment's end comes from.
    """
    rollout = Rollout(episode_id="e", time=np.arange(FRAMES) * 0.05, ee_position=np.zeros((FRAMES, 3)))
    batch = RolloutBatch.from_rollouts([rollout])
    windows = GRID.windows(batch.length)
    assert len(windows) == len(views) == 3
    view = gather(batch, windows)
    features = compute_features(view, "arm", Scales(), FeatureSettings())
    shift = view.offset[:-1] - windows.begin
    rows = [(w, *span) for w, spans in enumerate(views) for span in spans]
    owner = np.array([row[0] for row in rows])
    start, stop = (np.array([row[k] for row in rows]) + shift[owner] for k in (2, 3))
    label = np.array([row[1] for row in rows])
    nothing = np.zeros(len(rows), np.int64)
    spans = Spans(start, stop, label, owner, owner, nothing, nothing)
    judged = Judged(features, spans, np.ones(len(rows)))
    together = kept(judged, view.manipulators["arm"], windows, HandOver(), 0.1)
    found = together[0].joined(together[1])
    return list(zip(found.label.tolist(), found.start.tolist(), found.stop.tolist(), found.slot.tolist(), strict=True))


def test_a_segment_across_borders_is_one_and_says_what_the_window_of_its_end_says() -> None:
    found = stitched([(A, 0, 15)], [(A, 0, 25)], [(A, 0, 28), (B, 28, 30)])
    assert found == [(A, 0, 28, 2), (B, 28, 30, 2)]


def test_a_window_hands_over_at_the_last_segment_that_began_in_its_block() -> None:
    found = stitched([(A, 0, 7), (B, 7, 15)], [(A, 0, 7), (B, 7, 18), (C, 18, 25)], [(C, 0, 30)])
    assert found == [(A, 0, 7, 0), (B, 7, 18, 1), (C, 18, 30, 2)]


def test_two_segments_of_one_label_that_adjoin_at_a_border_stay_two() -> None:
    found = stitched([(A, 0, 15)], [(B, 0, 10), (A, 10, 25)], [(A, 0, 30)])
    assert found == [(A, 0, 10, 0), (A, 10, 30, 2)]


def test_a_boundary_that_was_given_stays_where_a_later_window_sees_it_a_frame_later() -> None:
    found = stitched([(A, 0, 10), (B, 10, 15)], [(A, 0, 11), (B, 11, 25)], [(A, 0, 11), (B, 11, 30)])
    assert found == [(A, 0, 10, 0), (B, 10, 30, 2)]


def test_what_a_later_window_sees_end_in_an_earlier_block_is_not_taken_up() -> None:
    found = stitched([(A, 0, 6), (B, 6, 15)], [(A, 0, 6), (C, 6, 9), (B, 9, 25)], [(B, 0, 30)])
    assert found == [(A, 0, 6, 0), (B, 6, 30, 2)]


def test_a_long_change_of_mind_is_a_segment_of_its_own() -> None:
    found = stitched([(A, 0, 15)], [(B, 0, 14), (C, 14, 25)], [(B, 0, 14), (C, 14, 30)])
    assert found == [(A, 0, 10, 0), (B, 10, 14, 1), (C, 14, 30, 2)]


@given(st.lists(st.integers(0, 400), min_size=1, max_size=6), st.integers(1, 40), st.integers(1, 40))
def test_blocks_cover_every_frame_once_and_windows_end_within_the_look_ahead(
    lengths: list[int], block: int, ahead: int
) -> None:
    n = len(lengths)
    grid = Grid(period=np.full(n, 0.05), past=np.full(n, 2 * block), block=np.full(n, block), ahead=np.full(n, ahead))
    windows = grid.windows(np.array(lengths))
    for episode, length in enumerate(lengths):
        rows = windows.take(np.flatnonzero(windows.episode == episode))
        assert rows.last.tolist() == [False] * (len(rows) - 1) + [True]
        assert rows.block.tolist() == [k * block for k in range(len(rows))]
        assert rows.border.tolist() == [*rows.block[1:].tolist(), length]
        assert (rows.end <= length).all()
        assert (rows.end - rows.block <= block + ahead).all()
        assert (rows.block - rows.begin <= 2 * block).all()


def test_the_grid_is_bounded_however_slow_or_fast_the_clock() -> None:
    settings = WindowSettings()
    grid = settings.grid(np.array([1e-6, 0.02, 1e4]))
    assert grid.block.tolist() == [20_000, 1000, settings.least_frames]
    assert (grid.past % grid.block == 0).all()


def test_measures_of_pieces_joined_are_those_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    frames = 40
    rollout = Rollout(
        episode_id="e",
        time=np.arange(frames) * 0.05,
        ee_position=rng.normal(0, 0.1, (frames, 3)),
        gripper_width=rng.random(frames),
        grip_force=rng.random(frames),
        contact_force=rng.random(frames),
        joint_velocity=rng.normal(0, 1, (frames, 7)),
        joint_torque=rng.normal(0, 1, (frames, 7)),
        object_position={"cup": rng.normal(0, 0.1, (frames, 3))},
    )
    batch = RolloutBatch.from_rollouts([rollout])
    features = compute_features(batch, "arm", Scales(), FeatureSettings())
    edges = np.array([3, 10, 11, 20, 40])
    whole = measure(batch.arm, features, edges[:1], edges[-1:]).columns()
    joined = measure(batch.arm, features, edges[:-1], edges[1:]).joined(np.zeros(4, np.int64), 1).columns()
    assert set(whole) == set(joined)
    for name, value in whole.items():
        assert np.isfinite(value).all()
        assert joined[name] == pytest.approx(value, rel=1e-6)


def test_pieces_apart_measure_what_lies_in_them_alone() -> None:
    frames = 20
    position = np.zeros((frames, 3))
    position[:, 0] = np.linspace(0, 1, frames)
    rollout = Rollout(episode_id="e", time=np.arange(frames) * 0.05, ee_position=position)
    batch = RolloutBatch.from_rollouts([rollout])
    features = compute_features(batch, "arm", Scales(), FeatureSettings())
    apart = measure(batch.arm, features, np.array([2, 10]), np.array([5, 14])).columns()["distance"]
    alone = [
        measure(batch.arm, features, np.array([a]), np.array([b])).columns()["distance"][0]
        for a, b in ((2, 5), (10, 14))
    ]
    assert apart.tolist() == alone


def test_how_far_a_thing_moved_is_told_of_the_one_that_moved_most_and_was_seen() -> None:
    frames = 20
    cup = np.zeros((frames, 3))
    cup[:, 0] = np.linspace(0, 0.19, frames)
    cup[4:7] = np.nan  # out of sight for a while
    poses = {"still": np.ones((frames, 3)), "cup": cup, "unseen": np.full((frames, 3), np.nan)}
    hand = np.zeros((frames, 3))
    time = np.arange(frames) * 0.05
    for objects, moved in ((poses, [0.09, 0.09]), ({"unseen": poses["unseen"]}, [np.nan, np.nan]), ({}, [np.nan] * 2)):
        rollout = Rollout(episode_id="e", time=time, ee_position=hand, object_position=objects)
        batch = RolloutBatch.from_rollouts([rollout])
        features = compute_features(batch, "arm", Scales(), FeatureSettings())
        found = measure(batch.arm, features, np.array([0, 10]), np.array([10, 20])).columns()["object_moved"]
        assert found.tolist() == pytest.approx(moved, nan_ok=True)


def test_episodes_without_frames_have_no_segments_and_change_no_others() -> None:
    def rollout(name: str, frames: int) -> Rollout:
        way = np.linspace(0.0, 0.5, frames)[:, None] * np.ones(3)
        return Rollout(name, np.arange(frames) * 0.05, ee_position=way, gripper_width=np.full(frames, 0.05))

    full = [rollout("a", 60), rollout("b", 300)]
    among = RolloutBatch.from_rollouts([rollout("x", 0), full[0], rollout("y", 0), full[1], rollout("z", 0)])
    windows = WindowSettings(past_s=4.0, block_s=2.0, ahead_s=2.0)
    for engine in (SegmentationEngine(), SegmentationEngine(windows=windows)):
        tables = [engine.fit([batch]).segment(batch) for batch in (RolloutBatch.from_rollouts(full), among)]
        alone, together = ([(s.episode_id, s.label, s.start_frame, s.end_frame) for s in each] for each in tables)
        assert alone == together
    nothing = RolloutBatch.from_rollouts([rollout("x", 0)])
    assert len(SegmentationEngine().fit([nothing]).segment(nothing)) == 0
