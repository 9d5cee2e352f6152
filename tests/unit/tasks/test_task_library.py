"""The task library as data."""

from __future__ import annotations

import pytest

from sima2.errors import UnknownNameError
from sima2.records.rollout import ARM_CHANNELS, OBJECT_CHANNELS
from sima2.records.vocabulary import REASONS, RELATIONS
from sima2.tasks.failure_modes import FAILURE_MODES
from sima2.tasks.families import (
    ALL_FAMILIES,
    FAMILIES,
    META_FAMILIES,
    SCENE_OBJECTS,
    check_failure_mode,
    check_family,
    check_recovery_strategy,
    check_template,
)
from sima2.tasks.risk import CONDITIONS

EVERY_FAMILY = tuple(ALL_FAMILIES.values())


def test_the_library_holds_five_families_at_least_and_the_three_that_serve_them() -> None:
    assert set(FAMILIES) >= {"drawer_open", "dish_place", "wipe_surface", "pick_and_place", "sort_objects"}
    assert set(META_FAMILIES) == {"reset_after_failure", "inspect_scene", "tool_change"}
    assert all(each.meta == (each.name in META_FAMILIES) for each in EVERY_FAMILY)


@pytest.mark.parametrize("family", EVERY_FAMILY, ids=lambda each: each.name)
def test_a_family_names_only_what_the_vocabularies_know(family) -> None:
    assert len({shape.name for shape in family.geometries}) >= 3
    assert len(family.objects) < SCENE_OBJECTS
    assert family.relation in RELATIONS
    assert set(family.failure_modes) <= set(FAILURE_MODES)
    assert len(family.recovery_strategies) >= 2
    assert any(observable for spec in family.objects for observable in spec.affordances.values()) or family.meta


@pytest.mark.parametrize("mode", FAILURE_MODES.values(), ids=lambda each: each.name)
def test_a_failure_mode_tells_its_reason_evidence_and_channels(mode) -> None:
    assert mode.reason in REASONS
    assert mode.reason
    assert mode.evidence
    assert set(mode.channels) <= set(ARM_CHANNELS) | set(OBJECT_CHANNELS)
    assert mode.channels
    assert set(mode.exposes) <= set(CONDITIONS)
    assert len(set(mode.exposes)) == 3


@pytest.mark.parametrize(
    ("ask", "valid"),
    [
        (lambda: check_family("drawr_open"), "drawer_open"),
        (lambda: check_template("sucess"), "success"),
        (lambda: check_failure_mode(FAMILIES["dish_place"], "wrong_bin"), "unstable_place"),
        (lambda: check_recovery_strategy(FAMILIES["dish_place"], "shake_bin"), "pick_from_drop"),
    ],
)
def test_an_unknown_name_is_an_error_that_lists_the_valid_ones(ask, valid) -> None:
    with pytest.raises(UnknownNameError, match=valid):
        ask()
