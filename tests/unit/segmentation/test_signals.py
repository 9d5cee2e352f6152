"""Windowed arithmetic: equal to the plain definition, and blind to neighbour episodes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sima2.records.robust import medians
from sima2.segmentation.signals import (
    STRIDE,
    Ragged,
    _running_max,
    hold_last,
    quantile,
    running_max_in,
    runs_of,
    without_short,
)
from sima2.segmentation.window_context import Memory, Past, Start

lengths = st.lists(st.integers(1, 12), min_size=1, max_size=5)


def ragged_of(sizes: list[int], period: float = 0.05) -> Ragged:
    offset = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    time = np.concatenate([np.arange(size) * period for size in sizes]) if sizes else np.zeros(0)
    return Ragged(offset, time)


@given(lengths, st.data())
def test_a_window_mean_is_the_mean_of_the_episodes_own_frames(sizes: list[int], data: st.DataObject) -> None:
    ragged = ragged_of(sizes)
    total = sum(sizes)
    x = data.draw(arrays(np.float32, total, elements=st.floats(-100, 100, width=32)))
    lo, hi = ragged.around(0.1)
    mean = ragged.mean(x, lo, hi)
    for i in range(total):
        e = ragged.episode[i]
        a, b = max(i - 2, ragged.offset[e]), min(i + 2, ragged.offset[e + 1] - 1)
        assert abs(mean[i] - x[a : b + 1].astype(float).mean()) < 1e-5


@given(lengths, st.floats(-2, 2), st.floats(-5, 5))
def test_the_slope_of_a_line_is_its_slope_and_of_a_single_frame_zero(sizes: list[int], k: float, c: float) -> None:
    ragged = ragged_of(sizes)
    slope = ragged.slope(k * ragged.time + c, 0.1)
    alone = np.diff(ragged.offset)[ragged.episode] == 1
    np.testing.assert_allclose(slope[~alone], k, atol=1e-4)
    np.testing.assert_array_equal(slope[alone], 0)


@given(lengths, st.data())
def test_an_episode_has_the_same_values_alone_and_among_others(sizes: list[int], data: st.DataObject) -> None:
    ragged = ragged_of(sizes)
    x = data.draw(arrays(np.float64, sum(sizes), elements=st.floats(-1e3, 1e3)))
    whole = (ragged.slope(x, 0.1), ragged.running(x, 0.1, largest=True), ragged.running(x, 0.1, largest=False))
    for e in range(len(sizes)):
        cut = slice(ragged.offset[e], ragged.offset[e + 1])
        alone = ragged_of([sizes[e]])
        parts = (
            alone.slope(x[cut], 0.1),
            alone.running(x[cut], 0.1, largest=True),
            alone.running(x[cut], 0.1, largest=False),
        )
        for a, b in zip(whole, parts, strict=True):
            np.testing.assert_array_equal(a[cut], b)
    assert np.array_equal(
        ragged.noise(x, 0.3),
        [
            ragged_of([s]).noise(x[a:b], 0.3)[0]
            for s, a, b in zip(sizes, ragged.offset, ragged.offset[1:], strict=False)
        ],
    )


@given(lengths, st.data())
def test_a_missing_sample_takes_the_last_seen_one_of_its_episode(sizes: list[int], data: st.DataObject) -> None:
    ragged = ragged_of(sizes)
    x = data.draw(arrays(np.float64, sum(sizes), elements=st.one_of(st.just(np.nan), st.floats(-9, 9))))
    filled, seen = hold_last(x, ragged)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(seen, np.isfinite(x))
    for e in range(len(sizes)):
        own = x[ragged.offset[e] : ragged.offset[e + 1]]
        value = next((v for v in own if np.isfinite(v)), 0.0)
        for i, v in enumerate(own):
            value = v if np.isfinite(v) else value
            assert filled[ragged.offset[e] + i] == value


@given(lengths, st.data())
def test_runs_cover_all_frames_and_never_cross_episodes(sizes: list[int], data: st.DataObject) -> None:
    ragged = ragged_of(sizes)
    code = data.draw(arrays(np.int64, sum(sizes), elements=st.integers(0, 2)))
    runs = runs_of(code, ragged)
    start, stop = runs.start, runs.stop
    assert (stop - start).sum() == sum(sizes)
    for a, b in zip(start, stop, strict=True):
        assert len(set(code[a:b])) == 1
        assert len(set(ragged.episode[a:b])) == 1


@given(lengths, st.data())
def test_no_run_shorter_than_asked_is_left(sizes: list[int], data: st.DataObject) -> None:
    ragged = ragged_of(sizes)
    mask = data.draw(arrays(np.bool_, sum(sizes)))
    out = without_short(mask, ragged, gap=0.0, run=0.15)
    runs = runs_of(out, ragged)
    start, stop = runs.start, runs.stop
    assert all(b - a >= 3 for a, b in zip(start, stop, strict=True) if out[a])


def test_noise_is_measured_under_smooth_motion() -> None:
    rng = np.random.default_rng(0)
    ragged = ragged_of([400] * 20, period=0.02)
    smooth = 0.3 * np.sin(2 * np.pi * 0.5 * ragged.time)
    noise = ragged.noise(smooth + rng.normal(0, 0.002, len(smooth)), 1.0)
    assert abs(np.median(noise) - 0.002) < 0.0003
    assert np.all((noise > 0.001) & (noise < 0.004))  # one second is 50 frames: a factor of two


@given(
    arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=st.floats(-1e6, 1e6) | st.just(np.nan))
)
def test_medians_of_rows_are_those_of_numpy(x: NDArray[np.float64]) -> None:
    np.testing.assert_array_equal(medians(x), np.median(x, axis=1))


@given(arrays(np.int64, st.integers(0, 5 * STRIDE) | st.integers(64 * STRIDE - 1, 66 * STRIDE)))
def test_a_running_maximum_is_the_same_in_strides(x: NDArray[np.int64]) -> None:
    np.testing.assert_array_equal(_running_max(x), np.maximum.accumulate(x))


def test_the_running_maximum_starts_anew_in_each_group() -> None:
    group = np.array([0, 0, 1, 1])
    np.testing.assert_allclose(running_max_in(group, np.array([3.0, 1.0, 2.0, 5.0])), [3, 3, 2, 5], atol=1e-6)


def test_a_running_maximum_is_right_in_more_groups_than_the_upper_bits_of_a_number_can_tell_apart() -> None:
    group = np.repeat(np.arange(600_000), 2)
    x = np.tile([2.0, 1.0], 600_000)
    x[-1] = 3.0
    found = running_max_in(group, x)
    assert found[-2:].tolist() == [2.0, 3.0]
    assert (found[:-2] == 2.0).all()


def test_what_came_before_counts_in_a_running_extreme_and_nothing_does_not() -> None:
    whole, before = ragged_of([3, 3]), np.array([9.0, np.nan])
    ragged = Ragged(whole.offset, whole.time, Memory(Start.untold(whole.period, 0), Past(before, -before, before)))
    x = np.array([1.0, 2.0, 3.0, 1.0, 2.0, 3.0])
    assert ragged.running(x, 0.05, largest=True, past="widest").tolist() == [9.0, 9.0, 9.0, 2.0, 3.0, 3.0]
    assert ragged.running(x, 0.05, largest=False, past="narrowest").tolist() == [-9.0, -9.0, -9.0, 1.0, 1.0, 1.0]


@given(arrays(np.float64, st.integers(1, 40), elements=st.floats(-1e3, 1e3) | st.just(np.nan)), st.floats(0, 1))
def test_a_quantile_is_numpys_to_the_last_bit(x: NDArray[np.float64], share: float) -> None:
    np.testing.assert_array_equal(quantile(x, share), np.quantile(x, share))
