"""The online form gives what the batch form gives, however the frames come, and holds no more the longer they come."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import other_robot
from sima2 import Rollout, RolloutBatch, SegmentationEngine, Sima2Client
from sima2.records.rollout import OBJECT_CHANNELS, Manipulator
from sima2.records.segments import SegmentTable
from sima2.segmentation.windows import WindowSettings

SHORT = WindowSettings(past_s=6.0, block_s=2.0, ahead_s=3.0)
"""Windows so short that every episode is cut into several."""


def library() -> list[Rollout]:
    families = ("drawer_open", "pick_and_place", "wipe_surface")
    return [r for family in families for r in Sima2Client(seed=3).rollouts(family=family, count=3).batch]


def other() -> list[Rollout]:
    return [rollout for rollout, _, _ in other_robot.make(9, seed=5)]


def simulator() -> list[Rollout]:
    pytest.importorskip("mujoco")
    source = Sima2Client(backend="mujoco", seed=3).source(families=("drawer_open", "pick_and_place"), episodes=4)
    return list(source.read(0, 8).batch)


SOURCES: dict[str, Callable[[], list[Rollout]]] = {"library": library, "other_robot": other, "simulator": simulator}


@pytest.fixture(scope="module", params=sorted(SOURCES))
def rollouts(request: pytest.FixtureRequest) -> list[Rollout]:
    return SOURCES[request.param]()


def cut(rollout: Rollout, rows: Any) -> Rollout:
    """Some frames of a rollout."""
    arms = {
        arm: Manipulator(**{name: x[rows] for name, x in m.channels().items()})
        for arm, m in rollout.manipulators.items()
    }
    flat = dict.fromkeys(Manipulator.__dataclass_fields__)
    scene = {kind: {name: x[rows] for name, x in getattr(rollout, kind).items()} for kind in OBJECT_CHANNELS}
    return replace(rollout, time=rollout.time[rows], manipulators=arms, embedding=None, action=None, **flat, **scene)


def chunk(rollout: Rollout, rows: Any) -> dict[str, Any]:
    """The same as a mapping; a row number gives a single frame."""
    part: dict[str, Any] = {
        "time": rollout.time[rows],
        "manipulators": {
            arm: {name: x[rows] for name, x in m.channels().items()} for arm, m in rollout.manipulators.items()
        },
    }
    return part | {kind: {name: x[rows] for name, x in getattr(rollout, kind).items()} for kind in OBJECT_CHANNELS}


def joined(parts: Sequence[Rollout], episode_id: str = "long") -> Rollout:
    """One rollout after another, as one that goes on; all with the channels of the first."""
    names = list(dict.fromkeys(name for part in parts for name in part.object_position))
    steps = [float(np.median(np.diff(part.time))) for part in parts]
    begins = np.concatenate([[0.0], np.cumsum([p.time[-1] - p.time[0] + s for p, s in zip(parts, steps, strict=True)])])
    arms = {
        arm: Manipulator(
            **{name: np.concatenate([getattr(part.manipulators[arm], name) for part in parts]) for name in m.channels()}
        )
        for arm, m in parts[0].manipulators.items()
    }

    def object_of(part: Rollout, name: str) -> Any:
        return part.object_position.get(name, np.full((len(part), 3), np.nan, np.float32))

    return Rollout(
        episode_id=episode_id,
        time=np.concatenate([p.time - p.time[0] + b for p, b in zip(parts, begins, strict=False)]),
        manipulators=arms,
        robot=parts[0].robot,
        object_position={name: np.concatenate([object_of(p, name) for p in parts]) for name in names},
    )


def streamed(engine: SegmentationEngine, rollout: Rollout, cuts: Sequence[int]) -> list[SegmentTable]:
    """What each push of a rollout cut there gives, and last what finishing does."""
    stream = engine.stream(rollout.episode_id, robot=rollout.robot, goal=rollout.goal)
    edges = [0, *cuts, len(rollout)]
    given = [stream.push(chunk(rollout, slice(a, b))) for a, b in itertools.pairwise(edges)]
    return [*given, stream.finish()]


def plain(table: SegmentTable) -> list[dict[str, object]]:
    rows = ({k: (None if v != v else v) for k, v in row.items()} for row in table.rows())
    return sorted(rows, key=lambda row: (str(row["manipulator"]), int(str(row["start_frame"]))))


def whole(engine: SegmentationEngine, rollout: Rollout, index: int = 0) -> list[dict[str, object]]:
    return plain(engine.segment(RolloutBatch.from_rollouts([rollout], first_index=index)))


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_stream_gives_the_segments_of_the_batch_however_it_is_cut(
    rollouts: list[Rollout], data: st.DataObject
) -> None:
    rollout = data.draw(st.sampled_from(rollouts))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rollout)), max_size=12)))
    span = st.floats(0.5, 8.0)
    windows = WindowSettings(
        past_s=data.draw(span),
        block_s=data.draw(span),
        ahead_s=data.draw(span),
        least_frames=data.draw(st.integers(2, 40)),
    )
    engine = SegmentationEngine(windows=windows)
    assert plain(SegmentTable.concat(streamed(engine, rollout, cuts))) == whole(engine, rollout)


def test_single_frames_and_everything_at_once_give_the_same(rollouts: list[Rollout]) -> None:
    engine = SegmentationEngine(windows=SHORT)
    for rollout in rollouts[::3]:
        stream = engine.stream(rollout.episode_id, robot=rollout.robot, goal=rollout.goal)
        singly = [stream.push(chunk(rollout, k)) for k in range(len(rollout))]
        found = plain(SegmentTable.concat([*singly, stream.finish()]))
        assert found == plain(SegmentTable.concat(streamed(engine, rollout, [])))
        assert found == whole(engine, rollout)
        once = engine.stream(rollout.episode_id, robot=rollout.robot, goal=rollout.goal)
        assert plain(SegmentTable.concat([once.push(rollout), once.finish()])) == found


def test_a_stream_of_many_minutes_is_its_batch_and_covers_every_frame_once(rollouts: list[Rollout]) -> None:
    same = [r for r in rollouts if _alike(r, rollouts[0])]
    rollout = joined([same[k % len(same)] for k in range(-(-600 // int(np.ceil(same[0].time[-1]))))])
    assert rollout.time[-1] > 300
    engine = SegmentationEngine()
    given = streamed(engine, rollout, range(997, len(rollout), 997))
    found = plain(SegmentTable.concat(given))
    assert found == whole(engine, rollout)
    assert sum(map(bool, map(len, given[:-1]))) > 5
    for arm in rollout.manipulators:
        rows = [row for row in found if row["manipulator"] == arm]
        assert rows[0]["start_frame"] == 0
        assert rows[-1]["end_frame"] == len(rollout)
        assert all(a["end_frame"] == b["start_frame"] for a, b in itertools.pairwise(rows))


def _alike(a: Rollout, b: Rollout) -> bool:
    def channels(r: Rollout) -> list[tuple[str, list[str], list[int]]]:
        return [
            (arm, list(m.channels()), [x.ndim and x[0].size for x in m.channels().values()])
            for arm, m in r.manipulators.items()
        ]

    close = np.isclose(np.median(np.diff(a.time)), np.median(np.diff(b.time)), rtol=0.05)
    return channels(a) == channels(b) and bool(close)


def test_a_long_episode_has_the_same_segments_alone_and_among_short_ones(rollouts: list[Rollout]) -> None:
    engine = SegmentationEngine(windows=SHORT)
    long = joined([r for r in rollouts if _alike(r, rollouts[0])])
    short = [cut(r, slice(0, 60)) for r in rollouts]
    batch = RolloutBatch.from_rollouts([short[0], long, *short[1:]])
    rows = [row for row in plain(engine.segment(batch)) if row["episode_id"] == "long"]
    assert rows == whole(engine, long, 1)
    for index, rollout in ((0, short[0]), (2, short[1])):
        mine = [row for row in plain(engine.segment(batch)) if row["episode_id"] == rollout.episode_id]
        assert mine == whole(engine, rollout, index)


def test_a_segment_is_given_within_the_look_ahead_of_its_last_frame(rollouts: list[Rollout]) -> None:
    long = joined([r for r in rollouts if _alike(r, rollouts[0])])
    period = float(np.median(np.diff(long.time)))
    engine = SegmentationEngine(windows=SHORT)
    most = max(SHORT.look_ahead_s / period, 2 * SHORT.least_frames) + 1
    stream = engine.stream("long")
    for k in range(len(long)):
        for segment in stream.push(chunk(long, k)):
            assert k - (segment.end_frame - 1) <= most


def test_memory_does_not_grow_with_the_stream(rollouts: list[Rollout]) -> None:
    rollout = joined([r for r in rollouts if _alike(r, rollouts[0])])
    stream = SegmentationEngine(windows=SHORT).stream("long")
    held = []
    for turn in range(10):
        later = replace_time(rollout, turn)
        for rows in parts(len(later), 50):
            stream.push(chunk(later, rows))
            held.append(stream.held_bytes)
    once = len(held) // 10
    assert max(held[once:]) <= max(held[:once])


def replace_time(rollout: Rollout, turn: int) -> Rollout:
    span = rollout.time[-1] - rollout.time[0] + float(np.median(np.diff(rollout.time)))
    return replace(rollout, time=rollout.time + turn * span, **dict.fromkeys(Manipulator.__dataclass_fields__))


def parts(n: int, size: int) -> Iterator[slice]:
    return (slice(k, min(k + size, n)) for k in range(0, n, size))


finite = st.floats(-1e3, 1e3, width=32)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_noise_gaps_and_broken_clocks_give_the_same_segments_too(data: st.DataObject) -> None:
    frames = data.draw(st.integers(0, 260))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    step = rng.choice([0.05, data.draw(st.sampled_from([0.05, 1e-4, 3.0]))], frames)

    def channel(*tail: int) -> np.ndarray | None:
        kind = data.draw(st.sampled_from(["absent", "noise", "constant", "steps", "gaps", "late"]))
        if kind == "absent":
            return None
        x = rng.normal(0, data.draw(st.sampled_from([1e-6, 0.1, 50.0])), (frames, *tail))
        if kind == "constant":
            x[:] = data.draw(finite)
        if kind == "steps":
            x = np.cumsum(rng.integers(-1, 2, (frames, *tail)), axis=0).astype(float)
        if kind == "gaps":
            x[rng.random(frames) < 0.5] = np.nan
        if kind == "late":
            x[: frames // 2] = np.nan
        return x

    rollout = Rollout(
        episode_id="e",
        time=np.cumsum(step),
        joint_position=channel(3),
        joint_velocity=channel(3),
        joint_torque=channel(3),
        ee_position=channel(3),
        gripper_width=channel(),
        grip_force=channel(),
        contact_force=channel(),
        object_position={k: v for k, v in {"a": channel(3), "b": channel(3)}.items() if v is not None},
    )
    engine = SegmentationEngine(windows=replace(SHORT, least_frames=data.draw(st.integers(1, 40))))
    cuts = sorted(data.draw(st.lists(st.integers(0, frames), max_size=6)))
    found = plain(SegmentTable.concat(streamed(engine, rollout, cuts)))
    assert found == whole(engine, rollout)
    assert sum(int(str(row["end_frame"])) - int(str(row["start_frame"])) for row in found) == frames


def test_a_thing_out_of_sight_since_a_views_start_is_hidden_in_every_view() -> None:
    n, seen = 14, [0, 1, 3, 9, 11, 12, 13]
    late = [0, 2, 5, 6, 8, 9, 10, 12]
    place = np.full((n, 3), np.nan)
    place[seen] = np.arange(3.0 * len(seen)).reshape(-1, 3) * 1e-6
    rollout = Rollout(
        episode_id="e",
        time=np.cumsum(np.where(np.isin(np.arange(n), late), 3.0, 0.05)),
        ee_position=np.zeros((n, 3)),
        contact_force=np.zeros(n),
        object_position={"a": place},
    )
    engine = SegmentationEngine(windows=replace(SHORT, least_frames=2))
    assert plain(SegmentTable.concat(streamed(engine, rollout, []))) == whole(engine, rollout)


def test_a_window_that_ends_while_the_fingers_close_looks_at_no_other() -> None:
    rng = np.random.default_rng(0)
    step = rng.choice([0.05, 3.0], 34)
    hand, width = rng.normal(0, 1e-6, (34, 3)), rng.normal(0, 0.1, 34)
    rng.normal(size=34)
    grip = np.cumsum(rng.integers(-1, 2, 34)).astype(float)
    rollout = Rollout(
        episode_id="e",
        time=np.cumsum(step),
        ee_position=hand,
        gripper_width=width,
        grip_force=grip,
    )
    engine = SegmentationEngine(windows=replace(SHORT, least_frames=1))
    assert plain(SegmentTable.concat(streamed(engine, rollout, []))) == whole(engine, rollout)
