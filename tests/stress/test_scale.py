"""The stress benchmark at its full size: every figure of its table."""

from __future__ import annotations

import pytest

from sima2.bench import stress


@pytest.mark.stress
def test_ten_thousand_rollouts_meet_every_figure() -> None:
    values = stress.run()
    assert {name for name, each in values["targets"].items() if not each["met"]} == set()
