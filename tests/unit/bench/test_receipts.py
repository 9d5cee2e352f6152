"""The bench of receipts: its demonstrations are what they say, its truth is sealed, and it catches a trap."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from sima2.bench import receipts
from sima2.bench.receipts.figures import ratio, setting, targets
from sima2.bench.receipts.selections import LENGTHS, NAMES, ORACLE, RANDOM, TRAP, Frames, selections
from sima2.errors import DatasetError, MissingExtraError, UsageError
from sima2.receipt import BASELINE, MEASURED, effective

pytest.importorskip("mujoco")

from sima2.bench.receipts.demonstrations import OVERLAP, Made, is_so, make, play, scenes
from sima2.bench.receipts.files import GOAL, write
from sima2.bench.receipts.judged import Unit, judge
from sima2.bench.receipts.operator import COPY, GOOD, KINDS
from sima2.bench.receipts.trials import done, seen, try_out
from sima2.bench.receipts.world import engine, hand, joints_of
from sima2.client import Sima2Client
from sima2.imitation.policy import FitSettings, fit

TINY = Unit(24, 0.5, 100, trials=8, steps=30)


@pytest.fixture(scope="module")
def made() -> Made:
    return make(60, 0.5, np.random.default_rng(100))


@pytest.mark.parametrize("kind", [GOOD, *(kind for kind in KINDS if kind != COPY)])
def test_physics_makes_of_most_demonstrations_what_their_kind_says(kind: str) -> None:
    episodes = play([kind] * 12, np.linspace(6, 11, 12), np.random.default_rng(100))
    assert sum(map(is_so, episodes)) >= 8


def test_a_kind_that_physics_does_not_confirm_is_not_so() -> None:
    from dataclasses import replace

    good = play([GOOD], np.array([8.0]), np.random.default_rng(100))[0]
    assert is_so(good)
    assert not any(is_so(replace(good, kind=kind)) for kind in KINDS if kind != COPY)


def test_a_set_holds_all_kinds_with_lengths_that_tell_nothing(made: Made) -> None:
    kinds = Counter(each.kind for each in made.episodes)
    assert kinds[GOOD] == 30
    assert set(kinds) == {GOOD, *KINDS}
    assert OVERLAP[0] <= made.length_auroc <= OVERLAP[1]
    assert np.isnan(made.labels).sum() == 18
    said = ~np.isnan(made.labels)
    assert (made.labels[said] != np.array([each.success for each in made.episodes])[said]).sum() == 4


def test_good_frames_end_where_a_demonstration_goes_wrong(made: Made) -> None:
    for each in made.episodes:
        assert each.good.all() == (each.kind == GOOD)
        if each.kind in ("missed", "shaky", COPY):
            assert not each.good.any()
        if each.kind == "dropped":
            assert each.good[0]
            assert not each.good[-1]
        if each.kind == "retried":
            assert each.good[-1]
            assert not each.good[0]


def test_the_set_is_read_as_a_users_is_and_holds_no_truth(made: Made, tmp_path: Path) -> None:
    filed = write(tmp_path, made)
    names = set(pq.read_schema(next(filed.path.glob("data/**/*.parquet"))).names)
    assert not {"kind", "good", "success", "next.success"} & names
    client = Sima2Client("dataset", path=filed.path, column_map=filed.column_map, goals=(GOAL,))
    batch = client.source().read(0, 60).batch
    assert batch.length.tolist() == [len(each) for each in made.episodes]
    assert batch.objects[0] == ("cube", "pad", "tray")
    text = filed.outcomes.read_text().splitlines()[1:]
    assert len(text) == (~np.isnan(made.labels)).sum()


def test_the_hand_goes_where_joints_are_asked_to_bring_it() -> None:
    place = np.stack([np.concatenate([each.cube, [0.05]]) for each in scenes(20, np.random.default_rng(0))])
    assert np.abs(hand(joints_of(place)) - place).max() < 1e-9


def test_the_same_seed_makes_the_same_set_and_the_same_figures() -> None:
    one, other = (make(24, 0.5, np.random.default_rng(7)) for _ in range(2))
    for a, b in zip(one.episodes, other.episodes, strict=True):
        assert np.array_equal(a.action, b.action)
        assert np.array_equal(a.state, b.state)
    assert judge(TINY) == judge(TINY)


def test_selections_take_what_they_say(made: Made) -> None:
    frames = Frames.of(made)
    plan = frames.worth * 0.5
    weights, facts = selections(frames, {MEASURED: plan}, np.random.default_rng(0))
    assert list(weights) == [name for name in NAMES if name in weights]
    share = np.bincount(frames.episode, weights[BASELINE])
    assert np.allclose(share, 1)
    assert np.array_equal(weights[ORACLE] > 0, frames.worth)
    for name in (RANDOM, LENGTHS):
        kept = effective(weights[name])
        assert effective(plan) <= kept <= effective(plan) + frames.length.max()
    chosen = np.unique(frames.episode[weights[LENGTHS] > 0])
    assert abs(frames.length[chosen].mean() - frames.length[frames.good].mean()) < 15
    assert facts["trap_auroc"] > 0.8


def test_the_trap_knows_good_from_bad_and_trains_a_worse_policy(made: Made) -> None:
    weights, facts = selections(Frames.of(made), {}, np.random.default_rng(0))
    observations = np.concatenate([seen(each.state, each.things) for each in made.episodes])
    actions = np.concatenate([done(each) for each in made.episodes])
    starts = scenes(60, np.random.default_rng(1))
    rates = {}
    for name in (BASELINE, ORACLE, TRAP):
        policy = fit(observations, actions, weights[name], seed=0, settings=FitSettings(steps=800))
        rates[name] = try_out(policy, starts).mean()
    assert facts["trap_auroc"] >= 0.8
    assert rates[TRAP] < rates[BASELINE] < rates[ORACLE]


def line(seed: int, rates: dict[str, float], **changes: Any) -> dict[str, Any]:
    told = {"n": 100, "contamination": 0.5, "seed": seed, "trials": 200, "length_auroc": 0.5, "trap_auroc": 0.9}
    return {**told, "success": rates, **changes}


def lines(**shifts: float) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    base = {BASELINE: 0.6, LENGTHS: 0.6, RANDOM: 0.55, ORACLE: 0.9, MEASURED: 0.9, TRAP: 0.2} | shifts
    return [line(k, {name: rate + rng.normal(0, 0.02) for name, rate in base.items()}) for k in range(10)]


def test_a_setting_tells_something_only_where_the_oracle_leads_both_baselines() -> None:
    assert setting(lines())["informative"]
    assert not setting(lines(**{LENGTHS: 0.8}))["informative"]
    assert not setting(lines(**{BASELINE: 0.8}))["informative"]
    assert not setting(lines()[:1])["informative"]


def test_aims_are_missed_by_a_poor_plan_and_by_a_trap_that_does_no_harm() -> None:
    assert all(each["met"] for each in targets([setting(lines())]).values())
    poor = targets([setting(lines(measured=0.5))])
    assert sorted(name.partition(": ")[2] for name, each in poor.items() if not each["met"]) == [
        "measured / oracle",
        "measured / oracle, lower end",
        "measured over random, upper end",
    ]
    harmless = targets([setting(lines(trap=0.9))])
    assert [name.partition(": ")[2] for name, each in harmless.items() if not each["met"]] == [
        "trap over baseline, upper end"
    ]
    assert not any("oracle" in name for name in targets([setting(lines(**{BASELINE: 0.85}))]))


def test_a_ratio_of_means_is_sure_where_both_move_together() -> None:
    below = np.linspace(0.5, 0.9, 10)
    assert ratio(0.9 * below, below) == pytest.approx((0.9, 0.9, 0.9))
    assert np.isnan(ratio(below, 0 * below).value)


def test_what_is_done_is_kept_and_a_line_cut_short_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(receipts.QUICK, "trials", 8)
    monkeypatch.setitem(receipts.QUICK, "steps", 20)
    first = receipts.run(episodes=24, seed=100, quick=True, seeds=2, out=tmp_path)
    file = tmp_path / receipts.KEPT
    whole = file.read_text()
    assert len(whole.splitlines()) == 2
    file.write_text(whole[:-40])
    again = receipts.run(episodes=24, seed=100, quick=True, seeds=2, out=tmp_path)
    assert again == first
    assert file.read_text() == whole
    assert not again["judges"]
    assert again["targets"] == {}
    assert receipts.rows(again)[-1][0] == "judged"
    json.dumps(again)
    file.write_text("{}\n")
    with pytest.raises(DatasetError, match="another folder"):
        receipts.run(episodes=24, seed=100, quick=True, out=tmp_path)


def test_weights_that_were_tried_before_are_not_tried_again() -> None:
    first = judge(TINY)
    known = {digest: 0.125 for name, digest in first["weights"].items() if name != ORACLE}
    again = judge(TINY, known)
    assert again["success"] == {**dict.fromkeys(first["success"], 0.125), ORACLE: first["success"][ORACLE]}
    assert again["weights"] == first["weights"]


def test_seeds_that_chose_and_seeds_that_judge_are_not_mixed() -> None:
    with pytest.raises(UsageError, match="judge nothing"):
        receipts.run(seed=95)
    with pytest.raises(UsageError, match="too few"):
        receipts.run(episodes=10)


def test_without_mujoco_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    engine.cache_clear()
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(MissingExtraError, match=r"sima2\[sim\]"):
        receipts.run(quick=True)
    engine.cache_clear()
