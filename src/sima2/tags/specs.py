"""Every tag by name: each declares all about itself in its own file."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sima2.records.tags import TagSpec
from sima2.tags import fragility, luck, ood, recovery, risk

TAGS: Final[Mapping[str, TagSpec]] = MappingProxyType(
    {spec.name: spec for spec in (risk.SPEC, fragility.SPEC, ood.SPEC, recovery.SPEC, luck.SPEC)}
)
"""In the order in which an episode's rows are written."""

THRESHOLDS: Final[Mapping[str, float]] = MappingProxyType({name: spec.threshold for name, spec in TAGS.items()})
"""A tag is given where its level is above this."""
