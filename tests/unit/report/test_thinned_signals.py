"""Signals are thinned without losing a peak, and the same for an episode in any batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sima2.client import Sima2Client
from sima2.io.arrow import logical_digest
from sima2.records.rollout import Manipulator, Rollout, RolloutBatch
from sima2.records.signals import NOTHING, STEPS, STRETCHES, SignalTable
from sima2.report.signals import shown_signals, thinned_signals


def rollout(values: np.ndarray, name: str = "e-0", arm: str = "arm") -> Rollout:
    n = len(values)
    place = np.stack([np.linspace(0, 1, n), np.zeros(n), np.zeros(n)], axis=1).astype(np.float32)
    return Rollout(
        episode_id=name,
        family="f",
        robot="r",
        time=np.arange(n) / 20,
        manipulators={arm: Manipulator(ee_position=place, gripper_width=values.astype(np.float32))},
    )


def width_of(table: SignalTable) -> int:
    return table.signal.tolist().index("gripper width")


@pytest.mark.parametrize("n", [1, 2, 50, 127, 128, 129, 500, 7001])
def test_every_peak_is_seen_where_it_is(n: int) -> None:
    values = np.zeros(n)
    at = n // 3
    values[at] = 1
    table = thinned_signals(RolloutBatch.from_rollouts([rollout(values)]))
    row = width_of(table)
    peaks = np.flatnonzero(table.most[row] == STEPS) if n > 1 else np.array([0])
    place = at * STRETCHES / n
    assert len(peaks)
    assert (np.abs(peaks - place) <= max(1, STRETCHES / n)).all()
    assert table.low[row] == values.min()
    assert table.high[row] == values.max()


def test_a_gap_stays_one_where_nothing_was_recorded() -> None:
    values = np.linspace(0, 1, 256)
    values[100:140] = np.nan
    table = thinned_signals(RolloutBatch.from_rollouts([rollout(values)]))
    row = width_of(table)
    gone = table.least[row] == NOTHING
    assert gone[50:70].all()
    assert gone.sum() == 20


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=5), st.integers(0, 9))
def test_an_episode_is_thinned_alike_in_any_batch(lengths: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    rollouts = [rollout(rng.normal(size=n), f"e-{k}", "left" if k % 2 else "arm") for k, n in enumerate(lengths)]
    together = thinned_signals(RolloutBatch.from_rollouts(rollouts))
    alone = [thinned_signals(RolloutBatch.from_rollouts([each], first_index=k)) for k, each in enumerate(rollouts)]
    assert logical_digest(together) == logical_digest(SignalTable.concat(alone))


def test_made_rollouts_show_hand_gripper_and_force() -> None:
    batch = Sima2Client(backend="synthetic", seed=0).source(episodes=3).read(0, 3).batch
    table = thinned_signals(batch)
    assert set(table.signal) >= {"hand speed", "gripper width", "grip force", "hand x", "hand y", "hand z"}
    assert set(table.episode_id) == set(batch.episodes.episode_id)


def test_a_line_without_a_script_passes_the_peaks() -> None:
    from finished_run import episodes_of

    values = np.zeros(1000)
    values[333] = 1
    table = thinned_signals(RolloutBatch.from_rollouts([rollout(values)]))
    shown = shown_signals(table, episodes_of(["e-0"]), "e-0")
    track = next(each for each in shown["tracks"] if each["name"] == "gripper width")
    assert max(track["values"]) == 1
    assert len(track["values"]) == len(shown["time"])
