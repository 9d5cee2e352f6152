"""Three scenarios, injected through the client after a calibration batch, told end to end by what the run leaves.

A "stumble and recover": the grip slips 10 s after the start (frame 200 at 20 Hz) while an object is picked up.
B "alien object": the sponge is replaced by ``unknown_mesh_v9``. C "doom loop": the drawer is locked for good.

The calibration batch is of plain successes, designated as the reference, and of drops that stay unmended: without a
gripper that ever closes on nothing, nobody could tell where it is shut. It is run alone as well, and shows none of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import pytest

from scenario_chain import Joined, Left, run, triggered
from sima2 import Sima2Client
from sima2.tags.specs import THRESHOLDS
from sima2.tasks.design import Injection

SLIP_FRAME = 200
"""10 s at 20 Hz: the t of the scenario is taken as seconds, for no hand is at any object 10 frames after its start."""
VAIN = 4
"""Attempts after the first that a locked drawer makes vain."""
REPEATED = 3
"""Failures in a row after which to give up is proposed."""
PLAIN = ("picks", "wipes", "drawers")
ORDINARY = (*PLAIN, "drops")
CERTIFIED = 0.05
"""Share of ordinary rollouts that may look strange."""


NEEDS_MUJOCO = pytest.mark.skipif(not find_spec("mujoco"), reason="needs sima2[sim]")


@dataclass(frozen=True)
class World:
    """A backend, how many rollouts of it a test can afford, and how many of them tell their scenario at least."""

    backend: str
    plain: tuple[int, int, int]
    drops: int
    each: int
    recovered: float
    """Least share of forced slips whose recovery is told."""
    strange: float
    """Least share of alien objects that are called visually strange: their looks overlap with ordinary ones."""
    looped: float
    """Least share of locked drawers that are told pull by pull."""


WORLDS = (
    World("synthetic", (150, 150, 150), 20, 24, 0.9, 0.75, 0.9),
    World("mujoco", (60, 60, 20), 12, 8, 0.75, 0.75, 0.75),
)


@dataclass(frozen=True)
class Told:
    """What the run over everything left, and what the run over the ordinary batch alone left."""

    world: World
    everything: Left
    ordinary: Left


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(world, id=world.backend, marks=[NEEDS_MUJOCO] if world.backend == "mujoco" else [])
        for world in WORLDS
    ],
)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Told:
    world: World = request.param
    client, other = (Sima2Client(backend=world.backend, seed=seed) for seed in (3, 4))
    families = dict(zip(PLAIN, ("pick_and_place", "wipe_surface", "drawer_open"), strict=True))
    parts = {
        name: client.rollouts(family=families[name], template="success", count=count)
        for name, count in zip(PLAIN, world.plain, strict=True)
    }
    parts["drops"] = client.rollouts(template="failure", failure_mode="drop_en_route", count=world.drops)
    injected = {
        "stumble": other.rollouts(count=world.each, inject=Injection("slip", frame=SLIP_FRAME)),
        "alien": other.rollouts(family="wipe_surface", count=world.each, inject=Injection("unknown_object")),
        "loop": other.rollouts(family="drawer_open", count=world.each, inject=Injection("locked_joint", attempts=VAIN)),
    }
    out = tmp_path_factory.mktemp(world.backend)
    return Told(
        world=world,
        everything=run(Joined({**parts, **injected}, PLAIN), out / "everything"),
        ordinary=run(Joined(parts, PLAIN), out / "ordinary"),
    )


def follows(story: list[str], *wanted: str) -> bool:
    """Whether the segments occur in that order; ``grasp(`` is one that failed, for whatever reason."""
    rest = iter(story)
    return all(any(each == want or (want.endswith("(") and each.startswith(want)) for each in rest) for want in wanted)


# ---- A: stumble and recover


def stumbled(left: Left, part: str) -> set[str]:
    """Episodes in which a grasp failed, was corrected, and succeeded."""
    return {e for e in left.episodes(part) if follows(left.story(e), "grasp(", "recovery_maneuver", "grasp")}


def test_a_forced_slip_is_told_as_a_failed_grasp_a_correction_and_a_grasp(told: Told) -> None:
    assert len(stumbled(told.everything, "stumble")) >= told.world.recovered * told.world.each


def test_the_grasp_that_slips_ends_where_the_slip_was_forced(told: Told) -> None:
    rows = told.everything.segments
    failed = rows.take(rows.label.isin("grasp", "slip") & rows.outcome.isin("failure", "retry"))
    last = dict(zip(failed.episode_id, failed.end_frame.tolist(), strict=True))
    ends = [last[e] for e in stumbled(told.everything, "stumble")]
    assert np.median(np.abs(np.array(ends) - SLIP_FRAME)) <= 10


def test_a_recovered_slip_is_given_a_recovery_tag(told: Told) -> None:
    recovered = told.everything.given("RecoveryTag", "stumble", THRESHOLDS["RecoveryTag"])
    assert len(recovered) >= told.world.recovered * told.world.each
    assert len(recovered & stumbled(told.everything, "stumble")) >= 0.9 * len(recovered)


def test_a_recovered_slip_has_a_positive_resilience_below_that_of_no_loss(told: Told) -> None:
    econ = told.everything.econ
    mine = econ.take(econ.episode_id.isin(*told.everything.episodes("stumble")))
    assert (mine.success == 1).all()
    assert ((mine.resilience > 0) & (mine.resilience < 1)).all()


def test_the_recovery_of_a_slip_becomes_an_edge_of_the_task_graph(told: Told) -> None:
    edges = told.everything.proposed("recovery_edge", action="grasp", status="accepted")
    assert triggered(edges) & set(told.everything.episodes("stumble"))


def test_what_never_failed_is_given_no_recovery_and_no_resilience(told: Told) -> None:
    left = told.ordinary
    # physics lets something slip now and then, where nothing was asked to
    never = {e for e, r in zip(left.econ.episode_id, left.econ.resilience.tolist(), strict=True) if np.isnan(r)}
    clean = never & {e for part in PLAIN for e in left.episodes(part)}
    assert len(clean) > 0.97 * sum(told.world.plain)
    mended = set().union(*(left.given("RecoveryTag", part, THRESHOLDS["RecoveryTag"]) for part in PLAIN)) & clean
    assert len(mended) <= 0.02 * len(clean)
    assert not stumbled(left, "picks") & clean


def test_drops_that_stay_unmended_are_given_no_recovery_and_no_resilience(told: Told) -> None:
    left = told.ordinary
    assert not left.given("RecoveryTag", "drops", THRESHOLDS["RecoveryTag"]) - stumbled(left, "drops")
    rows = left.econ.take(left.econ.episode_id.isin(*left.episodes("drops")) & (left.econ.success == 0))
    assert len(rows) > 0.8 * told.world.drops
    assert not (rows.resilience > 0).any()


# ---- B: alien object


def test_strangeness_was_calibrated(told: Told) -> None:
    for left in (told.everything, told.ordinary):
        rows = left.tags.take(left.tags.tag.isin("OODTag"))
        assert not rows.source.isin("uncalibrated").any()


def test_an_alien_sponge_is_called_visually_strange(told: Told) -> None:
    seen = told.everything.given("OODTag", "alien", 0.0, "visual")
    assert len(seen) >= told.world.strange * told.world.each


def test_an_alien_sponge_calls_for_an_inspection_that_waits_for_trust_or_has_it(told: Told) -> None:
    looks = told.everything.proposed("inspection_node")
    seen = told.everything.given("OODTag", "alien", 0.0, "visual")
    assert triggered(looks) >= set(sorted(seen)[:5])
    assert {row["source_tag"] for row in looks} == {"OODTag"}
    assert {row["status"] for row in looks} <= {"pending_trust", "accepted"}


def test_ordinary_rollouts_are_called_visually_strange_no_more_often_than_certified(told: Told) -> None:
    left = told.ordinary
    strange = set().union(*(left.given("OODTag", part, 0.0, "visual") for part in PLAIN))
    assert len(strange) <= CERTIFIED * sum(told.world.plain)
    assert triggered(left.proposed("inspection_node")) <= strange | set(left.episodes("drops"))
    assert len(left.given("OODTag", "wipes", 0.0, "visual")) <= CERTIFIED * len(left.episodes("wipes"))


# ---- C: doom loop


def looped(left: Left, part: str) -> set[str]:
    """Episodes whose drawer was pulled in vain again and again."""
    return {e for e in left.episodes(part) if left.story(e).count("pull(locked)") >= REPEATED}


def test_a_drawer_locked_for_good_is_told_as_one_vain_pull_after_another(told: Told) -> None:
    left = told.everything
    found = looped(left, "loop")
    assert len(found) >= told.world.looped * told.world.each
    rows = left.segments
    for episode in found:
        mine = rows.take(rows.episode_id.isin(episode) & rows.label.isin("pull") & rows.failure_reason.isin("locked"))
        assert set(mine.outcome[:-1]) <= {"retry"}
    last = [left.story(e) for e in found]
    assert all("pull" not in story for story in last)


def test_a_drawer_locked_for_good_leaves_a_fragility_and_a_step_to_give_up_at(told: Told) -> None:
    left = told.everything
    fragile = left.proposed("fragility_node", action="pull", reason="locked", status="accepted")
    aborts = left.proposed("abort_node", action="pull", reason="locked", status="accepted")
    assert fragile
    assert aborts
    # of the ordinary drawers one is pulled so slowly that it seems stuck at its end
    assert len(triggered(fragile) - set(left.episodes("loop"))) <= 0.05 * len(triggered(fragile))
    assert triggered(aborts) <= set(left.episodes("loop"))
    assert sum(row["support"] for row in aborts) >= told.world.looped * told.world.each


def test_drawers_that_open_leave_no_fragility_of_a_lock_and_no_step_to_give_up_at(told: Told) -> None:
    assert not looped(told.ordinary, "drawers")
    assert told.ordinary.proposed("fragility_node", reason="locked") == []
    assert told.ordinary.proposed("abort_node", reason="locked") == []
    assert told.ordinary.proposed("abort_node", action="pull") == []


# ---- whatever happens


def test_every_episode_has_a_row_of_every_tag_and_the_weights_sum_to_one(told: Told) -> None:
    for left in (told.everything, told.ordinary):
        for tag in THRESHOLDS:
            mine = left.tags.take(left.tags.tag.isin(tag))
            assert set(mine.episode_id) == set(left.econ.episode_id)
        assert abs(left.plan.p.sum() - 1.0) < 1e-12
