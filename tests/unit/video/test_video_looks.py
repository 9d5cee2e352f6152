"""What pictures tell, without any video: of fields and motion alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sima2.records.episodes import EpisodeTable
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.video import CameraTable
from sima2.video.judge import SET, judged_cameras
from sima2.video.picture_checks import LAGS, Motion, agreement, black_spans, even_looks, exact, grid_of, repeats, stands
from sima2.video.reader import cost_of, groups_of
from sima2.video.thumbnail_choice import Moment, chosen, moments_of
from sima2.video.video_settings import VideoSettings

FPS = 30.0
SETTINGS = VideoSettings()


def moving(frames: int = 300, seed: int = 0) -> tuple[dict[int, Any], Motion]:
    """Pictures of a bright spot that goes where the robot goes, now fast, now slow."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames) / FPS
    pace = 0.2 + np.abs(np.sin(2 * np.pi * 0.23 * t) + 0.6 * np.sin(2 * np.pi * 0.61 * t + 1))
    where = np.cumsum(pace) / 6
    cells = {}
    rows, columns = np.mgrid[0:24, 0:32]
    for k in range(frames):
        spot = 180 * np.exp(-((rows - 12) ** 2 + (columns - 16 - 12 * np.sin(where[k])) ** 2) / 8)
        cells[k] = (60 + spot + rng.normal(0, 0.2, (24, 32))).astype(np.float32)
    return cells, Motion(np.ones(frames, np.bool_), pace[None])


def seen(cells: dict[int, Any], motion: Motion) -> list[tuple[int, int, bool]]:
    """Stands with whether a leap ends them."""
    frames = len(motion.moves)
    grid = grid_of(cells, even_looks(frames, FPS, np.ones(frames, np.bool_), SETTINGS), motion, SETTINGS)
    found = {exact(cells, near, grid, frames, FPS, SETTINGS) for near in stands(grid, FPS, SETTINGS)}
    return [(each.start, each.stop, each.leap >= SETTINGS.leap) for each in sorted(found) if each.moved_s > 0.5]


def test_a_picture_that_stands_while_the_robot_moves_is_found_to_the_frame() -> None:
    cells, motion = moving()
    assert seen(cells, motion) == []
    frozen = {k: cells[80 if 80 <= k < 125 else k] for k in cells}
    assert seen(frozen, motion) == [(80, 125, True)]


def test_a_camera_that_sees_nothing_move_comes_back_without_a_leap() -> None:
    cells, motion = moving()
    calm = {
        k: 60 + (cells[k] - 60) * (0.0 if 80 <= k < 140 else min(1.0, abs(k - (80 if k < 80 else 139)) / 40))
        for k in cells
    }
    assert all(not leap for _, _, leap in seen(calm, motion))


def test_idle_stretches_are_no_stands() -> None:
    cells, motion = moving()
    idle = np.ones(300, np.bool_)
    idle[100:160] = False
    pace = np.where(idle, motion.pace[0], 0.0)
    still = {k: cells[100 if 100 <= k < 160 else k] for k in cells}
    assert seen(still, Motion(idle, pace[None])) == []


def test_dark_is_not_black() -> None:
    rng = np.random.default_rng(0)
    dark = {k: rng.normal(2, 0.5, (24, 32)).astype(np.float32) for k in range(0, 90, 10)}
    for k in dark:
        dark[k][4:8, 4:8] += 20  # a lamp on a shelf
    assert black_spans(dark, 90, FPS, SETTINGS) == []
    black = {k: np.zeros((24, 32), np.float32) if 30 <= k < 60 else 60 + dark[k] for k in dark}
    assert [(each.start, each.stop) for each in black_spans(black, 90, FPS, SETTINGS)] == [(30, 60)]


@pytest.mark.parametrize("every", [2, 3])
def test_pictures_that_come_twice_are_counted(every: int) -> None:
    cells, motion = moving()
    assert repeats(cells, [(0, 300)], motion, SETTINGS)[0] < 0.08
    twice = {k: cells[k - (k % every == every - 1)] for k in cells}
    assert repeats(twice, [(0, 300)], motion, SETTINGS)[0] == pytest.approx(1 / every, abs=0.1)


@pytest.mark.parametrize("late", [-15, 0, 12])
def test_how_late_pictures_are_is_told(late: int) -> None:
    cells, motion = moving()
    shifted = {k: cells[min(max(k - late, 0), 299)] for k in cells}
    fits = agreement(shifted, [(20, 280)], motion, FPS, SETTINGS)
    assert LAGS[int(np.argmax(fits))] == pytest.approx(late / FPS, abs=0.06)


def test_a_picture_costs_what_lies_between_it_and_its_key_picture() -> None:
    key = np.arange(100) % 10 == 0
    assert cost_of(key, [0, 5, 7, 99]) == 8 + 10
    assert groups_of(key, range(100)) == [(0, list(range(100)))]
    assert groups_of(np.zeros(5, np.bool_), [3]) == [(0, [3])]


def test_looks_are_even_and_bounded() -> None:
    looks = even_looks(300, FPS, np.arange(300) % 12 == 0, SETTINGS)
    assert looks[0] == 0
    assert looks[-1] == 299
    assert np.diff(looks).max() <= 16
    assert len(even_looks(10**7, FPS, np.zeros(10**7, np.bool_), SETTINGS)) <= SETTINGS.most_pictures


# ---- the judge


def cameras(n: int = 12, **changed: Any) -> CameraTable:
    curve = np.exp(-((np.array(LAGS) - 0.1) ** 2) / 0.02).astype(np.float32)
    columns: dict[str, Any] = {
        "episode_index": np.arange(n),
        "episode_id": Text.of(f"e{k}" for k in range(n)),
        "camera": Text.full(n, "top"),
        "here": np.ones(n, np.bool_),
        "missing": Text.full(n, ""),
        "frames": np.full(n, 300),
        "pictures": np.full(n, 300),
        "clock": np.ones(n),
        "decoded": np.full(n, 100),
        "moving": np.full(n, 20),
        "standing": np.zeros(n, np.int64),
        "stand_start": np.zeros(n, np.int64),
        "stand_end": np.zeros(n, np.int64),
        "stand_spans": np.zeros(n, np.int64),
        "repeats": np.zeros(n),
        "agreement": np.tile(curve, (n, 1)),
        "period_s": np.full(n, 1 / FPS),
    }
    return CameraTable(**columns | changed)


def told(table: CameraTable) -> list[tuple[int, str]]:
    return [(row, each.defect) for row, _, each in judged_cameras(table, SETTINGS)]


def test_a_sound_set_has_no_finding() -> None:
    assert told(cameras()) == []
    assert told(CameraTable.empty()) == []


def test_videos_that_are_never_there_are_one_finding() -> None:
    gone = np.zeros(12, np.bool_)
    assert told(cameras(here=gone, missing=Text.full(12, "is missing"))) == [(SET, "video_missing")]
    assert told(cameras(here=np.arange(12) != 3)) == [(3, "video_missing")]


def test_what_holds_of_most_videos_is_told_of_the_set() -> None:
    assert told(cameras(pictures=np.full(12, 299))) == [(SET, "video_length")]
    assert told(cameras(clock=np.full(12, 0.92))) == [(SET, "video_rate")]
    assert told(cameras(repeats=np.full(12, 0.5))) == [(SET, "video_repeats")]
    one = np.arange(12) == 4
    assert told(cameras(pictures=300 - 9 * one)) == [(4, "video_length")]
    assert told(cameras(clock=1 + 0.2 * one)) == [(4, "video_rate")]
    assert told(cameras(repeats=0.5 * one)) == [(4, "video_repeats")]


def test_a_lag_is_judged_by_the_spread_of_the_set() -> None:
    table = cameras()
    late = table.agreement.copy()
    late[5] = np.roll(late[5], 12)
    assert told(replace(table, agreement=late)) == [(5, "video_lag")]
    rng = np.random.default_rng(0)
    wide = np.array([np.roll(row, int(rng.integers(-6, 7))) for row in table.agreement])
    wide[5] = np.roll(table.agreement[5], 12)
    assert told(replace(table, agreement=wide)) == []
    assert told(replace(table, agreement=np.full_like(late, np.nan))) == []


def test_a_stand_to_the_end_needs_a_camera_that_shows_motion() -> None:
    one = np.arange(12) == 2
    stand = {"stand_start": 200 * one, "stand_end": 300 * one, "stand_spans": 8 * one}
    assert told(cameras(standing=8 * one, **stand)) == [(2, "video_frozen")]
    assert told(cameras(standing=np.full(12, 8), **stand)) == []  # it sees nothing move in any episode


# ---- thumbnails


def segments(*rows: tuple[str, str, str, int, int]) -> SegmentTable:
    names, labels, outcomes, starts, ends = zip(*rows, strict=True)
    empty = SegmentTable.empty()
    n = len(rows)
    columns = {
        name: Text.full(n, "") if dtype is None else np.zeros(n, dtype) for name, dtype in empty.columns().items()
    }
    columns |= {"episode_id": Text.of(names), "label": Text.of(labels), "outcome": Text.of(outcomes)}
    columns |= {"start_frame": np.array(starts), "end_frame": np.array(ends)}
    return SegmentTable(**columns)


def test_moments_are_ranked_and_apart() -> None:
    table = segments(
        ("a", "approach", "success", 0, 50),
        ("a", "grasp", "failure", 50, 80),
        ("a", "recovery_maneuver", "success", 80, 120),
        ("a", "grasp", "success", 120, 150),
        ("a", "release", "success", 150, 156),
        ("a", "retreat", "success", 156, 200),
    )
    found = moments_of(table, 200, 1 / FPS, SETTINGS)
    assert found == [
        Moment(79, "failure"),
        Moment(199, "end"),
        Moment(0, "start"),
        Moment(149, "grasp"),
    ]  # the recovery begins where the failure ends, the release where the grasp does
    assert moments_of(SegmentTable.empty(), 1, 1 / FPS, SETTINGS) == [Moment(0, "end")]


def test_failures_come_first_where_not_all_fits() -> None:
    n = 6
    empty = EpisodeTable.empty()
    columns: dict[str, Any] = {
        name: Text.full(n, "") if dtype is None else np.zeros(n, dtype) for name, dtype in empty.columns().items()
    }
    success = np.array([1, 1, 0, 1, 1, 1.0])
    columns |= {"episode_id": Text.of("abcdef"), "frames": np.full(n, 200), "duration_s": np.full(n, 6.6)}
    episodes = EpisodeTable(**columns | {"success": success})
    few = replace(SETTINGS, thumbs_bytes=2 * 3 * SETTINGS.thumb_bytes)
    found = chosen(episodes, SegmentTable.empty(), 2, few)
    assert sum(map(len, found.values())) == 3
    assert found["c"] == [Moment(0, "start"), Moment(199, "end")]
    everything = chosen(episodes, SegmentTable.empty(), 2, SETTINGS)
    assert set(everything) == set("abcdef")
