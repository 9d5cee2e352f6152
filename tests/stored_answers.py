"""Answers that are stored beside a test: what a rule decides on made input, so that no constant of it moves unnoticed.

Each stored file lies beside its test, under the same name with ``.json``. Where a rule was changed on purpose::

    SIMA2_STORE_ANSWERS=1 python -m pytest tests/unit/defects/test_stored_defects.py

writes it anew, and the difference shows in the commit what else the change moved.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sima2.records.table import Text

LISTED = 40
"""Values up to which a column is stored as it is; of more, figures that no changed value leaves as they were."""
DIGITS = 7
CLOSE = 2e-5
"""Relative difference that another machine's last bits may make."""


def plain(value: Any) -> Any:
    """What is stored of a value: text, numbers of seven digits, lists and mappings."""
    if isinstance(value, Text):
        return _words(list(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray) and value.size > LISTED and value.dtype.kind in "fiub":
        return _figures(value.astype(np.float64).ravel())
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, str | bool | None):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else str(float(value))
    if isinstance(value, Iterable):
        return [plain(each) for each in value]
    raise TypeError(f"nothing is stored of a {type(value).__name__}")


def _words(told: list[str]) -> Any:
    """Short columns as they are; of long ones how often each word stands there, and a check of their order."""
    if len(told) <= LISTED:
        return told
    often = dict(sorted(Counter(told).most_common(LISTED)))
    return {"count": len(told), "often": often, "order": zlib.crc32("\n".join(told).encode())}


def _figures(x: np.ndarray) -> dict[str, Any]:
    """Count, how many are no number, mean size, and a mean in which every place has a weight of its own."""
    known = np.isfinite(x)
    weight = 1.0 + np.arange(len(x)) * 0.6180339887 % 1.0
    size = np.abs(x[known])
    return {
        "count": len(x),
        "unknown": int((~known).sum()),
        "unknown_at": plain(float(weight[~known].sum())),
        "size": plain(float(size.mean()) if len(size) else 0.0),
        "weighed": plain(float((x * weight)[known].mean()) if len(size) else 0.0),
    }


def differences(stored: Any, told: Any, at: str = "") -> list[str]:
    """Where two stored values differ by more than rounding."""
    if isinstance(stored, dict) and isinstance(told, dict):
        odd = [f"{at}: {sorted(stored.keys() ^ told.keys())}"] if stored.keys() != told.keys() else []
        both = [key for key in stored if key in told]
        return odd + [each for key in both for each in differences(stored[key], told[key], f"{at}/{key}")]
    if isinstance(stored, list) and isinstance(told, list):
        if len(stored) != len(told):
            return [f"{at}: {len(stored)} were stored, {len(told)} are told"]
        return [
            each for k, pair in enumerate(zip(stored, told, strict=True)) for each in differences(*pair, f"{at}/{k}")
        ]
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) for each in (stored, told))
    same = math.isclose(stored, told, rel_tol=CLOSE, abs_tol=1e-9) if numbers else stored == told
    return [] if same else [f"{at}: {stored!r} was stored, {told!r} is told"]


def check_stored(test_file: str, name: str, value: Any) -> None:
    """The value is what is stored under the name beside the test file."""
    path = Path(test_file).with_suffix(".json")
    told = plain(value)
    held = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if os.environ.get("SIMA2_STORE_ANSWERS"):
        held[name] = told
        lines = [f"{json.dumps(key)}: {json.dumps(held[key], sort_keys=True)}" for key in sorted(held)]
        path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        return
    again = f"SIMA2_STORE_ANSWERS=1 python -m pytest {os.path.relpath(test_file)}"
    assert name in held, f"nothing is stored of {name!r} yet; if it is meant: {again}"
    found = differences(held[name], told, name)
    assert not found, "\n".join([*found[:20], f"if a change of yours is to move these: {again}"])
