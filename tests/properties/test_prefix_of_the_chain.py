"""Predictive tags through the real chain: whatever comes after the landmark, they say the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sima2 import Sima2Client
from sima2.client import Intake, Source
from sima2.pipeline import Calibration, FirstPass, Frozen, ShardTask, calibrate, first_pass, freeze, second_pass
from sima2.records.intake import QuarantineTable
from sima2.records.outcome import Outcome
from sima2.records.rollout import Rollout, RolloutBatch
from sima2.records.tags import TagTable

EPISODES = 100
AHEAD = ("RiskTag", "FragilityTag")
CHANNELS = (
    "joint_position", "joint_velocity", "joint_torque", "ee_position", "ee_orientation", "gripper_width", "grip_force",
    "contact_force", "embedding", "action",
)  # fmt: skip
POSES = ("object_position", "object_orientation", "object_confidence")


class Altered(Source):
    """A source in whose episodes every frame after a given one is another's, or none at all."""

    def __init__(self, inner: Source, keep: dict[str, int], change: str) -> None:
        self.inner, self.keep, self.change = inner, keep, change

    @property
    def episodes(self) -> int:
        return self.inner.episodes

    def read(self, start: int, stop: int) -> Intake:
        got = self.inner.read(start, stop)
        rng = np.random.default_rng(start)
        rollouts = [self.altered(rollout, self.keep[rollout.episode_id], rng) for rollout in got.batch]
        # how it ended is changed as well
        outcome = Outcome.unknown(len(got.batch))
        return Intake(RolloutBatch.from_rollouts(rollouts, first_index=start), outcome, QuarantineTable.empty())

    def altered(self, rollout: Rollout, kept: int, rng: np.random.Generator) -> Rollout:
        if self.change == "cut":
            batch = RolloutBatch.from_rollouts([rollout])
            return batch.prefix(np.array([min(kept + 2, len(rollout))]))[0]

        def other(values: np.ndarray) -> np.ndarray:
            new = np.array(values)
            if self.change == "shuffled":
                new[kept:] = new[kept:][rng.permutation(len(new) - kept)]
            else:
                new[kept:] += np.asarray(3.0 + 2.0 * rng.standard_normal(new[kept:].shape), new.dtype)
            return new

        changes = {name: other(getattr(rollout, name)) for name in CHANNELS if getattr(rollout, name) is not None}
        poses = {name: {k: other(v) for k, v in getattr(rollout, name).items()} for name in POSES}
        return rollout.with_(**changes, **poses)


def passed(source: Source, calibration: Calibration) -> FirstPass:
    return first_pass(ShardTask(source, calibration, 0, 0, source.episodes, 64))


def tags_of(frozen: Frozen, first: FirstPass) -> TagTable:
    episodes = replace(first.episodes, nominal=frozen.episodes.nominal)
    return second_pass(frozen, replace(first, episodes=episodes)).tags


def rows(tags: TagTable, *names: str) -> list[str]:
    # the span of a tag ends with the episode, which another end may shorten
    kept = tags.take(tags.tag.isin(*names)).rows()
    return sorted(repr({k: v for k, v in row.items() if k != "end_frame"}) for row in kept)


@pytest.fixture(scope="module")
def run() -> tuple[Source, Calibration, Frozen, FirstPass]:
    source = Sima2Client(seed=7).source(families=("drawer_open", "pick_and_place"), episodes=EPISODES)
    calibration = calibrate(source)
    first = passed(source, calibration)
    return source, calibration, freeze(first.episodes, first.observations, first.landmarks), first


@pytest.mark.parametrize("change", ["noise", "shuffled", "cut"])
def test_frames_after_the_landmark_change_no_predictive_tag(
    run: tuple[Source, Calibration, Frozen, FirstPass], change: str
) -> None:
    source, calibration, frozen, first = run
    marks = first.landmarks
    keep = dict(zip(marks.episode_id, marks.landmark.tolist(), strict=True))
    assert sum(mark > 0 for mark in keep.values()) > 0.8 * len(keep)
    again = passed(Altered(source, keep, change), calibration)
    before, after = tags_of(frozen, first), tags_of(frozen, again)
    assert rows(after, *AHEAD) == rows(before, *AHEAD)
    early = before.take(before.tag.isin("OODTag") & before.kind.isin("predictive") & (before.level > 0))
    late = after.take(after.tag.isin("OODTag") & after.kind.isin("predictive") & (after.level > 0))
    assert rows(late, "OODTag") == rows(early, "OODTag")


def test_the_tags_that_must_not_change_say_something(run: tuple[Source, Calibration, Frozen, FirstPass]) -> None:
    _, _, frozen, first = run
    tags = tags_of(frozen, first)
    risk = tags.take(tags.tag.isin("RiskTag")).level
    assert np.isfinite(risk).mean() > 0.8
    assert np.nanstd(risk) > 0.05
    fragile = tags.take(tags.tag.isin("FragilityTag")).level
    assert np.isfinite(fragile).any()


def test_frames_before_the_landmark_do_change_the_risk(run: tuple[Source, Calibration, Frozen, FirstPass]) -> None:
    source, calibration, frozen, first = run
    keep = dict.fromkeys(first.landmarks.episode_id, 5)
    again = tags_of(frozen, passed(Altered(source, keep, "noise"), calibration))
    assert rows(again, "RiskTag") != rows(tags_of(frozen, first), "RiskTag")
