"""Pieces of TOML: values checked as they are read, text as it is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from sima2.errors import DatasetError


def table(source: object, name: str, value: Any) -> dict[str, Any]:
    """A table, or an error that says what stands in its place."""
    if not isinstance(value, dict):
        raise DatasetError(source, f"{name} is {type(value).__name__}, expected a table [{name}]")
    return value


def tables(source: object, name: str, value: Any) -> dict[str, dict[str, Any]]:
    """A table of tables."""
    return {key: table(source, f"{name}.{key}", each) for key, each in table(source, name, value).items()}


def numbers(source: object, at: str, key: str, value: Any) -> tuple[float, ...]:
    """A list of finite numbers."""
    good = isinstance(value, list) and all(type(each) in (int, float) and abs(each) < 1e300 for each in value)
    if not good:
        raise DatasetError(source, f"[{at}]: {key} is not made of numbers")
    return tuple(float(each) for each in value)


LARGEST: Final = 1 << 31
"""No place is so large."""


def places(source: object, at: str, key: str, value: Any, *, least: int = 0) -> tuple[int, ...]:
    """A list of whole numbers, none below ``least``, nor larger than any column or lag."""
    if (
        not isinstance(value, list)
        or not value
        or any(type(each) is not int or not least <= each < LARGEST for each in value)
    ):
        raise DatasetError(source, f"[{at}]: {key} is not a list of column numbers from 0")
    return tuple(value)


def text(source: object, at: str, key: str, value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise DatasetError(source, f"[{at}]: {key} is not a text")
    return value


def names(source: object, at: str, key: str, value: Any) -> tuple[str, ...]:
    """A list of texts, which may be empty."""
    if not isinstance(value, list) or any(not isinstance(each, str) for each in value):
        raise DatasetError(source, f"[{at}]: {key} is not a list of names")
    return tuple(value)


def key(name: str) -> str:
    """A key as it is written."""
    plain = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if plain else string(name)


def string(value: str) -> str:
    """A TOML basic string; JSON's escapes are TOML's but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def array(values: Sequence[float] | Sequence[str]) -> str:
    """A list of numbers or texts."""
    return f"[{', '.join(string(each) if isinstance(each, str) else repr(each) for each in values)}]"
