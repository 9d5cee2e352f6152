"""A real UR3 cell (UCI 963): what a cycle block costs is its duration, and a protective stop makes it long."""

import csv
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from sima2.analytics.econ_correlator import EconCorrelator

UR3 = Path("../shared/data/ur3_cobotops/ur3.csv")

pytestmark = pytest.mark.skipif(not UR3.exists(), reason="the real recordings are not beside the project")


@pytest.fixture(scope="module")
def blocks():
    found = {}
    with UR3.open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["block"], []).append(row)

    def seconds(row):
        return datetime.fromisoformat(row["timestamp"].replace("Z", "+00:00")).timestamp()

    def any_of(name):
        return np.array([any(float(row[name] or 0) > 0 for row in rows) for rows in found.values()])

    duration = np.array([seconds(rows[-1]) - seconds(rows[0]) for rows in found.values()])
    return duration, any_of("protective_stop"), any_of("grip_lost")


def test_a_protective_stop_earns_trust_and_a_lost_grip_and_shuffled_stops_do_not(blocks):
    duration, stop, lost = blocks
    rng = np.random.default_rng(0)
    tags = {"stop": stop, "lost": lost, **{f"shuffled{k}": rng.permutation(stop) for k in range(100)}}
    matrix = EconCorrelator().calibrate(tags, duration, np.zeros(len(duration), int))
    assert matrix["stop"].tier == "trusted"
    assert matrix["stop"].economic_impact > 5.0
    assert matrix["lost"].trust_level == 0.0
    assert max(matrix[tag].trust_level for tag in tags if tag.startswith("shuffled")) == 0.0


def test_shuffled_durations_make_a_stop_worthless(blocks):
    duration, stop, _ = blocks
    rng = np.random.default_rng(1)
    levels = [
        EconCorrelator().calibrate({"stop": stop}, rng.permutation(duration), np.zeros(len(duration), int))["stop"]
        for _ in range(20)
    ]
    assert sum(row.trust_level > 0 for row in levels) <= 3
    assert max(row.trust_level for row in levels) < 0.5
