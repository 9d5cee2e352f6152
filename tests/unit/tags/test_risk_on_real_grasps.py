"""Tactile readings taken before a lift, and whether the object then slipped (BioTac SP stability set)."""

import csv
from pathlib import Path

import numpy as np
import pytest

from sima2.records.table import Text
from sima2.tags.observations import RiskObservations, SegmentObservations
from sima2.tags.references import fit_references
from sima2.tags.risk import risk_rows
from sima2.tags.risk_model import fit_risk

GRASPS = Path(__file__).parents[3] / "../shared/data/biotac_sp_stability/grasps.csv"
pytestmark = pytest.mark.skipif(not GRASPS.exists(), reason="the recorded grasps are not beside the project")


@pytest.fixture(scope="module")
def grasps():
    with GRASPS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    taxels = [name for name in rows[0] if "biotac" in name]
    n = len(rows)
    risk = RiskObservations(
        episode_id=Text.of(f"grasp-{k}" for k in range(n)),
        family=Text.of(row["pose"] for row in rows),
        object=Text.full(n, ""),
        landmark=np.ones(n, np.int64),
        contact=np.ones(n, bool),
        failed_before=np.zeros(n, bool),
        feature=np.array([[float(row[name]) for name in taxels] for row in rows]),
        embedding=np.zeros((n, 0), np.float32),
    )
    return risk, np.array([row["slipped"] == "1" for row in rows]), np.array([row["object"] for row in rows])


def skill(level, slipped):
    return 1 - np.mean((level - slipped) ** 2) / np.var(slipped)


def calibration_error(level, slipped):
    bins = np.minimum((level * 10).astype(int), 9)
    return sum(
        abs(level[bins == b].mean() - slipped[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins).tolist()
    )


def no_novelty(risk):
    return np.full((len(risk), 2), np.nan)


def test_risk_out_of_fold_is_calibrated_and_skilled(grasps):
    risk, slipped, _ = grasps
    refs = fit_references(SegmentObservations.empty(), risk, np.zeros(len(risk), bool), slipped)
    fold = refs.fold(risk.episode_id)
    level = np.full(len(risk), np.nan)
    for k, each in enumerate(refs.folds):
        mine = np.flatnonzero(fold == k)
        level[mine] = risk_rows(risk.take(mine), no_novelty(risk)[mine], each.risk).frozen().level
    assert skill(level, slipped) > 0.5
    assert calibration_error(level, slipped) < 0.04


def test_risk_of_objects_never_seen_is_still_better_than_the_base_rate(grasps):
    risk, slipped, thing = grasps
    names = sorted(set(thing.tolist()))
    level = np.full(len(risk), np.nan)
    for part in range(5):
        held = np.isin(thing, names[part::5])
        model = fit_risk(risk.take(~held), no_novelty(risk)[~held], slipped[~held])
        level[held] = model.risk(risk.take(held), no_novelty(risk)[held])
    assert skill(level, slipped) > 0.3
