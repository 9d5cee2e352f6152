"""The door: nothing good is lost because of something bad."""

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sima2 import Sima2Client
from sima2.errors import RolloutError
from sima2.io import intake
from sima2.io.intake import QUARANTINE_REASONS, RawEpisode, admit, clean
from sima2.records.outcome import Outcome
from sima2.records.rollout import Goal

T = 10
GOOD = {"time": np.arange(T) * 0.1, "ee_position": np.zeros((T, 3)), "gripper_width": np.full(T, 0.05)}


def raw(index: int = 0, /, episode_id: str | bytes = "e", **values) -> RawEpisode:
    return RawEpisode(index, episode_id, "memory", {**GOOD, **values})


def verdict(**values) -> str:
    """The reason for quarantine, or "fine"."""
    taken = admit([raw(0, **values)])
    assert len(taken.batch) + len(taken.quarantine) == 1
    return taken.quarantine.reason[0] if len(taken.quarantine) else "fine"


nan_rows = np.where(np.arange(T)[:, None] < 6, np.nan, np.zeros((T, 3)))

BAD = {
    "empty": {"time": [], "ee_position": np.zeros((0, 3)), "gripper_width": []},
    "one_frame": {"time": [0.0], "ee_position": [[0, 0, 0]], "gripper_width": [0.0]},
    "not_finite": {"ee_position": np.full((T, 3), np.inf)},
    "not_numeric": {"gripper_width": ["wide"] * T},
    "time_not_increasing": {"time": [0.0, 0.1, 0.1, *np.arange(3, T)]},
    "mixed_dimensions": {"ee_position": np.zeros((T, 2))},
    "no_signal": {"ee_position": np.full((T, 3), np.nan), "gripper_width": None},
    "mostly_missing": {"ee_position": nan_rows},
    "frozen": {"contact_force": np.full(T, 0.3)},
    "too_wide": {"action": np.zeros((T, 10_000))},
    "unknown_field": {"reward": np.zeros(T)},
}


@pytest.mark.parametrize("reason", BAD)
def test_every_kind_of_bad_episode_has_its_reason(reason: str) -> None:
    assert verdict(**BAD[reason]) == reason
    assert reason in QUARANTINE_REASONS


def test_what_was_put_aside_keeps_no_batch_alive() -> None:
    source = Sima2Client(seed=1).source(mix="stress_mix_v1", episodes=200)
    source.read(0, 200)
    gc.collect()
    gc.disable()
    try:
        assert len(source.read(0, 200).quarantine) > 10
        assert gc.collect() == 0
    finally:
        gc.enable()


MORE = {
    "time goes back": ({"time": [*range(5), *range(5)]}, "time_not_increasing"),
    "a time that is not a number": ({"time": [np.nan, *range(1, T)]}, "not_finite"),
    "a time of infinity": ({"time": [*range(T - 1), np.inf]}, "not_finite"),
    "time in two dimensions": ({"time": np.zeros((T, 2))}, "mixed_dimensions"),
    "time without frames": ({"time": np.array(0.0)}, "mixed_dimensions"),
    "rows of different length": ({"action": [[1.0], [1.0, 2.0]] * 5}, "mixed_dimensions"),
    "a number too large for float32": ({"gripper_width": np.full(T, 1e300)}, "not_finite"),
    "a number too large for any float": ({"gripper_width": [10**400] * T}, "not_numeric"),
    "complex numbers": ({"gripper_width": np.full(T, 1j)}, "not_numeric"),
    "dates": ({"gripper_width": np.full(T, np.datetime64("2020-01-01"))}, "not_numeric"),
    "objects that are no mapping": ({"object_position": [1, 2]}, "not_numeric"),
    "orientation without position": ({"object_orientation": {"a": np.zeros((T, 4))}}, "mixed_dimensions"),
    "a strange channel of an arm": (
        {"ee_position": None, "gripper_width": None, "manipulators": {"left": {"mood": np.zeros(T)}}},
        "unknown_field",
    ),
    "each channel of motion mostly missing, though some in every frame": (
        {"ee_position": nan_rows, "joint_position": nan_rows[::-1]},
        "mostly_missing",
    ),
    "one channel of motion that is whole": ({"ee_position": nan_rows, "joint_position": np.zeros((T, 7))}, "fine"),
    "an arm at rest": ({"contact_force": np.zeros(T), "joint_position": np.ones((T, 7))}, "fine"),
    "an arm at rest that feels something": ({"contact_force": 0.3 + 0.01 * np.arange(T)}, "fine"),
    "an arm that does not follow what it is told": (
        {"contact_force": np.full(T, 0.3), "action": np.arange(T)[:, None]},
        "fine",
    ),
    "too many objects": ({"object_position": {str(k): np.zeros((T, 3)) for k in range(600)}}, "too_wide"),
}


@pytest.mark.parametrize("case", MORE)
def test_strange_values_are_put_aside(case: str) -> None:
    values, reason = MORE[case]
    assert verdict(**values) == reason


FINE = {
    "a gripper without width": {"gripper_width": np.zeros(T)},
    "a few missing frames": {"ee_position": np.where(np.arange(T)[:, None] < 5, np.nan, np.zeros((T, 3)))},
    "missing numbers as None": {"gripper_width": [None] * 3 + [0.1] * (T - 3)},
    "whole numbers": {"gripper_width": np.ones(T, int)},
    "objects alone": {
        "ee_position": None,
        "gripper_width": None,
        "object_position": {"cup": np.zeros((T, 3))},
    },
    "a gripper alone": {"ee_position": None},
}


@pytest.mark.parametrize("case", FINE)
def test_unusual_but_usable_episodes_are_let_in(case: str) -> None:
    assert verdict(**FINE[case]) == "fine"


@pytest.mark.parametrize("start", [1.7e9, 9e9, -5.0, 0.25])
def test_time_is_counted_from_the_start(start: float) -> None:
    taken = admit([raw(time=start + np.arange(T) * 0.1)])
    np.testing.assert_allclose(taken.batch.time, np.arange(T) * 0.1, atol=1e-6)
    assert taken.batch.time[0] == 0.0


def test_a_million_steps_load() -> None:
    t = 1_000_000
    taken = admit([RawEpisode(0, "long", "memory", {"time": np.arange(t) * 0.05, "gripper_width": np.zeros(t)})])
    assert taken.batch.frames == t


def test_more_than_fits_into_memory_does_not(monkeypatch) -> None:
    monkeypatch.setattr(intake, "MAX_FRAMES", T - 1)
    assert verdict() == "too_long"


def test_a_jump_of_the_clock_is_let_in_with_a_warning() -> None:
    time = np.arange(T) * 0.1
    time[6:] += 60.0
    taken = admit([raw(time=time)])
    assert len(taken.batch) == 1
    assert "jumps by 60.1 s at frame 6" in taken.warnings[0]
    assert admit([raw()]).warnings == ()


def test_one_bad_episode_costs_no_other() -> None:
    raws = [raw(k, episode_id=f"e{k}", **(BAD["not_finite"] if k % 2 else {})) for k in range(7)]
    outcome = Outcome.unknown(7)
    outcome = Outcome(np.arange(7) % 2, outcome.failed_at_s, np.arange(7.0), outcome.nominal, outcome.source)
    taken = admit(raws, outcome)
    assert taken.batch.episodes.episode_id == ("e0", "e2", "e4", "e6")
    assert taken.batch.episodes.episode_index.tolist() == [0, 2, 4, 6]
    assert taken.outcome.damage.tolist() == [0.0, 2.0, 4.0, 6.0]
    assert taken.quarantine.episode_index.tolist() == [1, 3, 5]
    assert "is infinite at frame 0" in taken.quarantine.message[0]


def test_what_could_not_be_read_is_put_aside_with_why() -> None:
    broken = RawEpisode(3, "e3", "f.parquet", {}, RolloutError("e3", "data", "is damaged", reason="unreadable"))
    taken = admit([broken])
    assert next(taken.quarantine.rows()) == {
        "episode_index": 3,
        "episode_id": "e3",
        "reason": "unreadable",
        "source": "f.parquet",
        "start_frame": 0,
        "end_frame": 0,
        "message": "data: is damaged",
    }


def test_names_are_cleaned_and_the_episode_kept() -> None:
    taken = admit(
        [
            raw(
                episode_id=b"ep\xff1",
                instruction="line\none\x07\udcff",
                robot="\u202eobor",
                object_position={"cup\x00": np.zeros((T, 3)), "cup\x01": np.ones((T, 3))},
                goal=Goal("cup\x00"),
                provenance={"file\n": b"\xfe"},
                session=7,
            )
        ]
    )
    (rollout,) = taken.batch
    assert rollout.episode_id == "ep\ufffd1"
    assert rollout.instruction == "line one\ufffd\ufffd"
    assert rollout.robot == "\ufffdobor"
    assert list(rollout.object_position) == ["cup\ufffd", "cup\ufffd~2"]
    assert rollout.goal == Goal("cup\ufffd")
    assert dict(rollout.provenance) == {"file ": "\ufffd"}
    assert rollout.session == "7"


def test_all_keywords_of_a_rollout_may_be_given() -> None:
    values = {**GOOD, "episode_id": "other", "family": "f"}
    assert admit([RawEpisode(0, "e", "memory", values)]).batch.episodes.episode_id == ("e",)


def test_an_id_that_occurs_again_is_told_apart() -> None:
    taken = admit([raw(4, episode_id="a"), raw(5, episode_id="a"), raw(6, episode_id="")])
    assert taken.batch.episodes.episode_id == ("a", "a#5", "episode_6")


@given(st.text() | st.binary())
def test_a_cleaned_name_can_be_stored_and_shown(name) -> None:
    cleaned = clean(name)
    cleaned.encode()
    assert clean(cleaned) == cleaned
    assert not any(ord(each) < 32 for each in cleaned)


anything = st.recursive(
    st.none() | st.floats() | st.integers() | st.text(max_size=3) | st.booleans() | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=8,
)
fields = st.sampled_from(
    ["time", "ee_position", "gripper_width", "object_position", "manipulators", "goal", "provenance", "family", "x"]
)


def test_a_frame_given_as_plain_numbers_costs_no_other_episode() -> None:
    single = RawEpisode(0, "x", "memory", {"time": 0.0, "gripper_width": 0.0})
    taken = admit([single, raw(4, episode_id="good")])
    assert "good" in taken.batch.episodes.episode_id
    assert len(taken.batch) + len(taken.quarantine) == 2


@given(st.lists(st.dictionaries(fields, anything, max_size=4), max_size=4))
def test_whatever_comes_is_let_in_or_put_aside(values) -> None:
    raws = [RawEpisode(k, str(k), "", each) for k, each in enumerate(values)]
    raws.append(raw(99, episode_id="good"))
    taken = admit(raws)
    assert len(taken.batch) + len(taken.quarantine) == len(raws)
    assert "good" in taken.batch.episodes.episode_id
    assert set(taken.quarantine.reason.tolist()) <= set(QUARANTINE_REASONS)
