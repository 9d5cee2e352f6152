"""A joint, or its command, that stays on its extreme value while the other goes beyond: cut off, or at its end stop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from damaged_rollouts import together
from sima2.records.rollout import Rollout

FPS, LAG, N, AT = 30, 3, 300, 120
REACH = 1.0
"""Farthest that joint 0 goes in an ordinary episode, rad, give or take a tenth."""


def ordinary(seed: int) -> Rollout:
    """Three joints out and home again, each state ``LAG`` frames behind its command, with the noise of encoders."""
    rng = np.random.default_rng(seed)
    t = np.arange(N) / FPS
    hump = np.sin(np.pi * np.clip((t - 0.5) / 9.0, 0, 1)) ** 2
    sway = np.stack([0 * t, np.sin(1.9 * t + seed), np.sin(0.8 * t + 2 * seed)], axis=1)
    told = hump[:, None] * (np.array([REACH - 0.1 + 0.2 * (seed % 20) / 19, -0.8, 0.6]) + 0.3 * sway)
    state = np.concatenate([np.repeat(told[:1], LAG, axis=0), told[:-LAG]]) + rng.normal(0, 4e-4, told.shape)
    return Rollout(f"e{seed}", time=t, joint_position=state, joint_command=told)


def at_a_limit(
    seed: int,
    level: float,
    *,
    beyond: float = 0.4,
    frames: int = 30,
    sign: float = 1.0,
    of_command: bool = False,
    share: float = 1.0,
) -> Rollout:
    """The same, whose joint 0 stays on ``level`` for so many frames; for a share of them its command goes beyond."""
    made = ordinary(seed)
    state, told = made.joint_position.copy(), made.joint_command.copy()
    state[:, 0], told[:, 0] = sign * state[:, 0], sign * told[:, 0]
    held, other, shift = (told, state, LAG) if of_command else (state, told, -LAG)
    for x in (held, other):
        x[:, 0] = sign * np.minimum(sign * x[:, 0], level - 0.02)
    held[AT : AT + frames, 0] = sign * level
    other[AT + shift : AT + shift + round(share * frames), 0] = sign * (level + beyond)
    return made.with_(joint_position=state, joint_command=told)


def told(odd: list[Rollout], count: int = 20) -> list[dict[str, Any]]:
    """What is said of limits in a set of so many episodes, the first of which are the given ones."""
    rest = [ordinary(k) for k in range(len(odd), count)]
    return [row for row in together([*odd, *rest]).rows() if "goes on" in row["details"]]


def mirrored(rows: list[Rollout]) -> list[Rollout]:
    return [r.with_(joint_position=-r.joint_position, joint_command=-r.joint_command) for r in rows]


@pytest.mark.parametrize("of_command", [False, True])
def test_what_stays_on_its_extreme_while_its_counterpart_goes_on_is_cut_off_where_others_go_farther(
    of_command: bool,
) -> None:
    (row,) = told([at_a_limit(0, 0.8, of_command=of_command)])
    assert (row["episode_id"], row["start_frame"], row["end_frame"]) == ("e0", AT, AT + 30)
    assert row["severity"] == pytest.approx(0.1)
    whose, partner = ("the command of joint 0", "the joint") if of_command else ("joint 0", "its command")
    assert row["details"].startswith(
        f"{whose} stays on its greatest value for 30 frames while {partner} goes on, up to"
    )
    assert float(row["details"].split("up to ")[1].split("°")[0]) == pytest.approx(np.degrees(0.4), abs=0.5)


def test_the_least_value_is_a_limit_as_the_greatest_is() -> None:
    odd = at_a_limit(0, 0.8)
    rows = [odd, *(ordinary(k) for k in range(1, 20))]
    (row,) = [row for row in together(mirrored(rows)).rows() if row["defect"] == "clipped_channel"]
    assert "joint 0 stays on its least value for 30 frames" in row["details"]


@pytest.mark.parametrize(("frames", "said"), [(8, False), (9, True)])
def test_three_percent_of_an_episode_are_worth_a_word(frames: int, said: bool) -> None:
    assert bool(told([at_a_limit(0, 0.8, frames=frames)])) == said


@pytest.mark.parametrize(("beyond", "said"), [(0.05, False), (0.2, True)])
def test_so_is_a_tenth_of_the_way_that_the_joint_goes(beyond: float, said: bool) -> None:
    assert bool(told([at_a_limit(0, 0.8, beyond=beyond)])) == said


@pytest.mark.parametrize(("share", "said"), [(0.6, False), (0.8, True)])
def test_a_counterpart_that_is_beyond_only_now_and_then_has_been_left_behind(share: float, said: bool) -> None:
    assert bool(told([at_a_limit(0, 0.8, share=share)])) == said


@pytest.mark.parametrize(("level", "said"), [(0.97, True), (1.07, False)])
def test_a_quarter_of_the_others_must_go_farther(level: float, said: bool) -> None:
    assert bool(told([at_a_limit(0, level)])) == said


@pytest.mark.parametrize(("levels", "said"), [((1.3,) * 2, False), ((1.3,) * 3, True), ((1.3, 1.4, 1.5), False)])
def test_several_at_one_limit_beyond_which_none_goes_stand_at_an_end_stop(
    levels: tuple[float, ...], said: bool
) -> None:
    rows = told([at_a_limit(k, level) for k, level in enumerate(levels)])
    assert len(rows) == said
    if said:
        assert rows[0]["episode_index"] == -1
        assert rows[0]["details"].startswith(
            "joint 0 stands on its greatest value, 74.5°, in 3 of 20 episodes while its"
        )
        assert rows[0]["severity"] == 0.0


def test_commands_have_no_end_stop() -> None:
    assert told([at_a_limit(k, 1.3, of_command=True) for k in range(3)]) == []


@pytest.mark.parametrize(("count", "said"), [(4, False), (5, True)])
def test_fewer_than_five_episodes_do_not_tell_how_far_a_joint_goes(count: int, said: bool) -> None:
    assert bool(told([at_a_limit(0, 0.8)], count)) == said
