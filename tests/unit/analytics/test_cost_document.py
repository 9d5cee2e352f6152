"""docs/costs.md says what the code does: every column and every setting with its default."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from sima2.analytics.econ_settings import EconSettings, ObjectValue
from sima2.analytics.recovery import ATTEMPT_WINDOW_S
from sima2.records.econ import EconTable

TEXT = Path("docs/costs.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", TEXT, flags=re.MULTILINE))


@pytest.mark.parametrize("name", [each.name for each in fields(EconSettings) if each.name != "objects"])
def test_every_setting_stands_with_its_default(name):
    value = getattr(EconSettings(), name)
    if isinstance(value, ObjectValue):
        assert ROWS[name] == f"{value.price} / {value.fragility} / {value.mass_kg}"
    else:
        assert float(ROWS[name]) == value


def test_every_column_has_a_row():
    assert {*EconTable.columns()} - {"episode_id", "outcome_source"} <= {*ROWS}


def test_the_window_of_an_attempt_is_as_told():
    assert f"attempted within {ATTEMPT_WINDOW_S:g} s" in TEXT
