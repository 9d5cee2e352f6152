"""The bench of outcomes by example: sets that differ are answered, controls are not, and the table says so."""

import numpy as np
import pytest

from sima2.bench import by_example
from sima2.bench.postures import CONTROLS, DIFFER, HARD, make


def test_few_sets_of_each_kind_meet_the_aims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_example, "RUN", ("panda_states",))
    monkeypatch.setattr(by_example, "RECORDED", 24)
    values = by_example.run(episodes=6)
    assert set(values["worlds"]) == {*DIFFER, *HARD, *CONTROLS}
    assert values["targets"]["answered, ends differ"]["met"]
    assert values["targets"]["error, ends differ"]["met"]
    assert "panda_states, shuffled" in values["recorded"]
    lines = by_example.rows(values)
    assert len(lines) == 2 + len(values["worlds"]) + 2
    errors = [float(line.split()[1]) for _, line, _ in lines[2:]]
    assert errors == sorted(errors, reverse=True)


def test_the_same_numbers_make_the_same_set_and_others_another() -> None:
    one, same, other = (make("apart", DIFFER["apart"], k) for k in (1, 1, 2))
    assert one.points.state.tobytes() == same.points.state.tobytes() != other.points.state.tobytes()
    assert one.said.tolist() == same.said.tolist()


def test_sets_are_as_they_say() -> None:
    for name, world in {**DIFFER, **HARD, **CONTROLS}.items():
        made = make(name, world, 0)
        assert (~made.success).sum() == world.failures
        said = np.isfinite(made.episodes.success)
        assert said.sum() == 12
        assert (made.episodes.success[said] == made.success[said]).all()
        assert len(made.active) == world.by_choice
