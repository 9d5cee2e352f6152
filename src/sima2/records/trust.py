"""Which tags predict cost: the trust matrix and the counts it is a pure function of."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from functools import partial
from typing import Any

from sima2.errors import RecordError, UnknownNameError


@dataclass(frozen=True, slots=True)
class StratumEffect:
    """What one kind of episode says of a tag."""

    stratum: str
    """``family|robot|policy|session``, and ``|collection`` where a folder holds several."""
    effect: float
    """δ within the stratum, in the declared direction."""
    interval: tuple[float, float]
    """95 % interval; NaN where an arm has fewer than two episodes."""
    n_tagged: int
    n: int


@dataclass(frozen=True, slots=True)
class CarriedTrust:
    """What an earlier calibration says of a tag, and how far it moved the trust here."""

    level: float
    """Trust that it would lend alone, at most 0.5: told, never acted by."""
    effect: float
    """δ there, in the declared direction."""
    agreement: float
    """Weight that its agreement with the counts here leaves it, 0 to 1; NaN where nothing is counted yet."""
    without: float
    """Trust by the counts here alone."""
    digest: str
    """Of the earlier verdicts as they were used."""


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
    n_late: int = 0
    """Episodes that were given the tag too late to predict; they count as untagged."""
    by_stratum: tuple[StratumEffect, ...] = ()
    """Strata in which both tagged and untagged episodes are known, the largest first; at most 50 of a tag and 20,000 of
    a matrix are kept."""
    standard_error: float = math.nan
    """Of ``effect``, by the largest of three estimates; NaN where no effect is known."""
    carried: CarriedTrust | None = None
    """What an earlier calibration lent, where one was given and speaks of this tag."""


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
    by_collection: Mapping[str, TrustMatrix] = field(default_factory=dict)
    """Of each collection by itself, where a folder holds several."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Collection of each source by its id, where there are several."""

    def of_source(self, source: str) -> TrustMatrix:
        """What was tested on episodes like those of a source: by this alone tags act on them."""
        return self.by_collection[self.sources[source]] if source in self.sources else self

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

    def collections_json(self) -> str:
        """The verdicts of each collection with the ids of its sources: an object keyed by collection."""
        told = {
            name: {
                "sources": [each for each, of in self.sources.items() if of == name],
                "tags": json.loads(rows.to_json()),
            }
            for name, rows in self.by_collection.items()
        }
        return json.dumps(told, indent=2, sort_keys=True)

    def with_collections(self, text: str) -> TrustMatrix:
        """The matrix with what :meth:`collections_json` wrote.

        Raises:
            RecordError: if the text is something else.
        """
        try:
            told = json.loads(text)
            apart = {str(name): TrustMatrix.from_json(json.dumps(each["tags"])) for name, each in told.items()}
            sources = {str(source): str(name) for name, each in told.items() for source in each["sources"]}
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise RecordError(f"not the JSON text of trust by collection: {error!r}") from error
        return replace(self, by_collection=apart, sources=sources)

    def to_json(self) -> str:
        """An object keyed by tag, NaN as null. Alerts, look and shadow tags are of the calibration, not of a tag."""
        return json.dumps({tag: _plain(asdict(row)) for tag, row in self.rows.items()}, indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> TrustMatrix:
        """The rows that :meth:`to_json` wrote, and the digest that follows from them.

        Raises:
            RecordError: if the text is something else.
        """
        try:
            rows = {str(tag): _row(each) for tag, each in json.loads(text).items()}
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise RecordError(f"not the JSON text of a trust matrix: {error!r}") from error
        for tag, row in rows.items():
            if tag != row.tag:
                raise RecordError(f"not the JSON text of a trust matrix: {tag!r} holds the row of {row.tag!r}")
        return cls(rows, digest=digest_of(rows))


def row_of(given: Any) -> TrustRow:
    """One row from the plain values that :meth:`TrustMatrix.to_json` wrote of it.

    Raises:
        RecordError: if they are something else.
    """
    try:
        return _row(given)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RecordError(f"not a row of a trust matrix: {error!r:.200}") from error


def digest_of(rows: Mapping[str, TrustRow]) -> str:
    """Digest of all the data that the rows came from."""
    parts = json.dumps([[tag, row.digest] for tag, row in sorted(rows.items())])
    return hashlib.blake2b(parts.encode(), digest_size=16).hexdigest()


def _row(given: Mapping[str, Any]) -> TrustRow:
    """A row from plain values; what is absent and has a default takes it."""
    values = {each.name: given[each.name] for each in fields(TrustRow) if each.name in given or each.default is MISSING}
    by_stratum = tuple(
        StratumEffect(
            _typed(str, each["stratum"]),
            _number(each["effect"]),
            _interval(each["interval"]),
            _typed(int, each["n_tagged"]),
            _typed(int, each["n"]),
        )
        for each in values.pop("by_stratum", ())
    )
    interval, carried = _interval(values.pop("interval")), values.pop("carried", None)
    return TrustRow(
        **{name: _KINDS[name](value) for name, value in values.items()},
        interval=interval,
        by_stratum=by_stratum,
        carried=None if carried is None else _carried(carried),
    )


def _carried(given: Mapping[str, Any]) -> CarriedTrust:
    numbers = {name: _number(given[name]) for name in ("level", "effect", "agreement", "without")}
    return CarriedTrust(digest=_typed(str, given["digest"]), **numbers)


def _typed(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _number(value: Any) -> float:
    """A float, NaN for null."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)


def _interval(value: Any) -> tuple[float, float]:
    low, high = value
    return _number(low), _number(high)


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    each.name: _number if each.type == "float" else partial(_typed, {"int": int, "bool": bool}.get(str(each.type), str))
    for each in fields(TrustRow)
}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
