"""Which tags predict cost: the trust matrix and the counts it is a pure function of."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sima2.errors import UnknownNameError


@dataclass(frozen=True, slots=True)
class StratumEffect:
    """What one kind of episode says of a tag."""

    stratum: str
    """``family|robot|policy|session``."""
    effect: float
    """δ within the stratum, in the declared direction."""
    interval: tuple[float, float]
    """95 % interval; NaN where an arm has fewer than two episodes."""
    n_tagged: int
    n: int


@dataclass(frozen=True, slots=True)
class TrustRow:
    """The verdict on one tag."""

    tag: str
    trust_level: float
    """0–1; 0 where the gate was not passed."""
    tier: str
    """trusted above 0.8, provisional above 0.5, else untrusted."""
    correlation_strength: str
    """strong, medium, weak or none."""
    economic_impact: float
    """Expected difference in the cost field between tagged and untagged, in its unit; NaN unknown."""
    cost_field: str
    note: str
    """Why, in words."""
    effect: float
    """δ = P(Y₁ > Y₀) − P(Y₁ < Y₀) in the declared direction, combined over strata."""
    interval: tuple[float, float]
    """Confidence interval of ``effect``."""
    p_value: float
    q_value: float
    n_tagged: int
    n: int
    strata: int
    reason: str
    """Stable code: ``ok``, ``not_assessed``, ``not_significant``, ``leak``, ``suspect_leak``, ``self_referential``,
    ``no_outcome``, ``constant_tag``, ``constant_outcome``, ``wrong_direction``, …"""
    digest: str
    """Digest of the data it came from."""
    needs_recalibration: bool
    leakage: str = "unchecked"
    """``unchecked`` without declared inputs, else ``none`` or what was found."""
    by_stratum: tuple[StratumEffect, ...] = ()
    """Strata in which both tagged and untagged episodes are known, the largest first."""


@dataclass(frozen=True, slots=True)
class CalibrationAlert:
    """Something about a tag that a person should act on."""

    tag: str
    kind: str
    message: str
    """What was seen and what to do."""


@dataclass(frozen=True, slots=True)
class ShadowTags:
    """The negative control of a calibration: every tag shuffled within its strata, and all calibrated again."""

    calibrations: int
    """Times that all tags were shuffled."""
    with_any_trust: int
    """Of these, how many gave any tag any trust."""
    highest_trust: float
    """The highest trust that a shuffled tag earned."""


@dataclass(frozen=True, slots=True)
class TrustMatrix(Mapping[str, TrustRow]):
    """Verdicts by tag, with the alerts that go with them."""

    rows: Mapping[str, TrustRow]
    alerts: tuple[CalibrationAlert, ...] = ()
    digest: str = ""
    look: int = 1
    shadow: ShadowTags | None = None

    def __getitem__(self, tag: str) -> TrustRow:
        try:
            return self.rows[tag]
        except KeyError:
            raise UnknownNameError("tag", tag, self.rows) from None

    def get(self, tag: str, default: Any = None) -> Any:
        """The verdict on a tag, or the default."""
        return self.rows.get(tag, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, tag: object) -> bool:
        return tag in self.rows

    def to_json(self) -> str:
        """An object keyed by tag, NaN as null."""
        return json.dumps({tag: _plain(asdict(row)) for tag, row in self.rows.items()}, indent=2, sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
