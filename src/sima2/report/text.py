"""Values as people read them; what comes from data can neither steer a terminal nor hide in a page."""

from __future__ import annotations

import math
import unicodedata
from typing import Any, Final

NOT_ASSESSED: Final = "not assessed"
"""Stands wherever a value is absent: ``None``, NaN or infinite."""

LONGEST: Final = 160
"""Characters of a name that are shown; a longer one could bury the page."""

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: object, longest: int = LONGEST) -> str:
    """Text with every control, bidirectional and other invisible character as a visible escape.

    >>> visible("cup\\x1b[31m"), visible("a\\u202eb"), visible("x" * 9, longest=5)
    ('cup\\\\x1b[31m', 'a\\\\u202eb', 'xxxx…')
    """
    raw = str(text)
    if len(raw) > longest:
        raw = raw[: longest - 1] + "…"
    return raw if raw.isascii() and raw.isprintable() else "".join(_shown(each) for each in raw)


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] != "C" and category not in ("Zl", "Zp"):
        return character
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def as_number(value: Any) -> float | None:
    """A finite float, or ``None`` where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def number(value: Any, digits: int = 3) -> str:
    """A number to ``digits`` significant digits, whole below 1e9 and without trailing zeros.

    >>> number(1234.5), number(-0.01234), number(12), number(float("nan")), number(0.0)
    ('1,234', '−0.0123', '12', 'not assessed', '0')
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace("-", "−")
    x = as_number(value)
    if x is None:
        return NOT_ASSESSED
    if x == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(x)))
    if not -4 < magnitude < 9:
        return f"{x:.{digits - 1}e}".replace("-", "−")
    shown = f"{x:,.{max(digits - 1 - magnitude, 0)}f}"
    return (shown.rstrip("0").rstrip(".") if "." in shown else shown).replace("-", "−")


def percent(share: Any) -> str:
    """A share as per cent.

    >>> percent(0.1234), percent(0.004), percent(1.0), percent(None)
    ('12 %', '0.4 %', '100 %', 'not assessed')
    """
    x = as_number(share)
    if x is None:
        return NOT_ASSESSED
    return f"{100 * x:.{1 if 0 < 100 * abs(x) < 9.95 else 0}f} %".replace("-", "−")


def interval(low: Any, high: Any) -> str:
    """Two bounds in brackets, or nothing where either is absent.

    >>> interval(0.1, 0.3), interval(None, 1.0)
    ('[0.1, 0.3]', '')
    """
    if as_number(low) is None or as_number(high) is None:
        return ""
    return f"[{number(low, 2)}, {number(high, 2)}]"


def count(n: Any, noun: str, plural: str = "") -> str:
    """A counted noun.

    >>> count(1, "episode"), count(2500, "episode"), count(None, "episode")
    ('1 episode', '2,500 episodes', 'episodes: not assessed')
    """
    many = plural or noun + "s"
    x = as_number(n)
    return f"{many}: {NOT_ASSESSED}" if x is None else f"{number(n)} {noun if x == 1 else many}"
