"""Every tag by name: each declares all about itself in its own file, and has its row here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from sima2.records.tags import TagSpec
from sima2.tags import fragility, luck, ood, recovery, risk
from sima2.tags.seen import FromPrefix, FromWhole

ALL_TAGS: Final[tuple[FromPrefix | FromWhole, ...]] = (
    risk.TAG,
    fragility.TAG,
    ood.TAG,
    recovery.TAG,
    luck.TAG,
)
"""In the order in which an episode's rows are written; a tag may rest on those before it."""

TAGS: Final[Mapping[str, TagSpec]] = MappingProxyType({tag.spec.name: tag.spec for tag in ALL_TAGS})

THRESHOLDS: Final[Mapping[str, float]] = MappingProxyType({name: spec.threshold for name, spec in TAGS.items()})
"""A tag is given where its level is above this."""
