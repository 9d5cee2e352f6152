"""References as JSON text and back."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import numpy as np

from sima2.tags.fragility import ActionRate, FailureRates
from sima2.tags.nominal import Nominal
from sima2.tags.references import Fold, References
from sima2.tags.risk_model import RiskModel
from sima2.tags.strangeness import Strangeness

_VERSION = 1


def dump(references: References) -> str:
    """JSON text with every number in its shortest exact form."""
    return json.dumps({"version": _VERSION, "folds": [_plain(fold) for fold in references.folds]}, sort_keys=True)


def load(text: str) -> References:
    """The references that :func:`dump` wrote."""
    return References(tuple(_fold(each) for each in json.loads(text)["folds"]))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        kind = "i8" if value.dtype.kind == "i" else "f8"
        flat = [None if each != each else each for each in value.ravel().tolist()]
        return {"shape": list(value.shape), "dtype": kind, "values": flat}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Fold | Strangeness | Nominal | RiskModel | FailureRates | ActionRate):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return value


def _fold(data: dict[str, Any]) -> Fold:
    test, risk, rates = data["strangeness"], data["risk"], data["rates"]
    return Fold(
        strangeness=None if test is None else _strangeness(test),
        risk=None if risk is None else _risk(risk),
        rates=FailureRates(
            actions=tuple(ActionRate(**each) for each in rates["actions"]),
            trials=rates["trials"],
            failures=rates["failures"],
        ),
    )


def _strangeness(data: dict[str, Any]) -> Strangeness:
    values = _arrays(data)
    nominal = _arrays(data["nominal"])
    nominal["keys"] = tuple((family, label) for family, label in data["nominal"]["keys"])
    return Strangeness(**{**values, "nominal": Nominal(**nominal)})


def _risk(data: dict[str, Any]) -> RiskModel:
    values = _arrays(data)
    return RiskModel(**{**values, "families": tuple(data["families"]), "classes": tuple(data["classes"])})


def _arrays(data: dict[str, Any]) -> dict[str, Any]:
    """The entries with arrays restored."""
    return {
        name: _array(value) if isinstance(value, dict) and "shape" in value else value for name, value in data.items()
    }


def _array(data: dict[str, Any]) -> Any:
    if data["dtype"] == "i8":
        return np.array(data["values"], np.int64).reshape(data["shape"])
    flat = np.array([np.nan if each is None else each for each in data["values"]], np.float64)
    return flat.reshape(data["shape"])
