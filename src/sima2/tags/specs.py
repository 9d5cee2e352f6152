"""What every tag declares about itself, and from which level on it counts as given."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sima2.records.tags import TagSpec

_SPECS: Final = (
    TagSpec(
        name="RiskTag",
        kind="predictive",
        inputs=("prefix signals", "prefix segments", "references of other folds"),
        available="the landmark: first contact, else a fixed share of the family's nominal duration",
        cost_field="damage",
        direction=1,
    ),
    TagSpec(
        name="FragilityTag",
        kind="predictive",
        inputs=("object at the landmark", "failure rates of other folds"),
        available="the landmark",
        cost_field="damage",
        direction=1,
    ),
    TagSpec(
        name="OODTag",
        kind="predictive",
        inputs=("segment signals", "nominal references of other folds"),
        available="the end of the segment that fired; rows from a failure or the landmark on are diagnostic",
        cost_field="success",
        direction=-1,
    ),
    TagSpec(
        name="RecoveryTag",
        kind="diagnostic",
        inputs=("segments", "segment outcomes"),
        available="the end of the step that was retried with success",
        cost_field="mpl",
        direction=1,
    ),
    TagSpec(
        name="LuckySuccessTag",
        kind="diagnostic",
        inputs=("RiskTag", "RecoveryTag", "inferred outcome"),
        available="the end of the episode",
        cost_field="success",
        direction=1,
    ),
)

TAGS: Final[Mapping[str, TagSpec]] = MappingProxyType({spec.name: spec for spec in _SPECS})
"""Every tag by name, in the order in which an episode's rows are written."""

THRESHOLDS: Final[Mapping[str, float]] = MappingProxyType(
    {"RiskTag": 0.8, "FragilityTag": 0.0, "OODTag": 0.0, "RecoveryTag": 0.5, "LuckySuccessTag": 0.0}
)
"""A tag is given where its level is above this. 0.8 is the specification's high risk; a recovery must be likelier than
not; the others decide by a test of their own and write level 0 where it does not fire."""

CRITICAL_SEVERITY: Final = 0.9
"""Above it an OODTag asks for a safety stop."""
