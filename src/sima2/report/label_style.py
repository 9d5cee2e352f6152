"""How each label looks: a colour for its kind and a pattern of its own, so that colour is never needed to tell."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from sima2.records.vocabulary import LABELS
from sima2.report.markup import Markup, join, node


class Look(NamedTuple):
    """Fill in light and in dark surroundings, and the name of a pattern."""

    light: str
    dark: str
    pattern: str


# Hues after Okabe and Ito (2008), tints of them so that text stays legible: grey nothing, blue free motion,
# orange fingers, green carrying, purple joints, teal surfaces, red anomalies, yellow recoveries.
LOOKS: Final[Mapping[str, Look]] = MappingProxyType(
    {
        "unknown": Look("#e4e4e4", "#3d3d3d", "cross"),
        "idle": Look("#f1f1ee", "#2a2a2a", "dots"),
        "approach": Look("#c7e0f4", "#1d4c6e", "plain"),
        "grasp": Look("#f7d69a", "#7a5200", "upright"),
        "lift": Look("#bfe6d4", "#0b5f47", "level"),
        "transport": Look("#bfe6d4", "#0b5f47", "plain"),
        "place": Look("#bfe6d4", "#0b5f47", "dots"),
        "pull": Look("#e8cfe0", "#6b3a58", "rising"),
        "push": Look("#e8cfe0", "#6b3a58", "falling"),
        "wipe": Look("#bfe3e6", "#155e66", "waves"),
        "release": Look("#f7d69a", "#7a5200", "sparse"),
        "retreat": Look("#c7e0f4", "#1d4c6e", "falling"),
        "collision": Look("#f4b9a3", "#8a3200", "grid"),
        "slip": Look("#f4b9a3", "#8a3200", "rising"),
        "recovery_maneuver": Look("#f5ee9e", "#6b6400", "chevrons"),
    }
)

PATTERNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "plain": "",
        "rising": "M-2 2L2 -2M0 8L8 0M6 10L10 6",
        "falling": "M-2 6L2 10M0 0L8 8M6 -2L10 2",
        "upright": "M2 0V8M6 0V8",
        "sparse": "M4 0V8",
        "level": "M0 2H8M0 6H8",
        "dots": "M1.5 2h1M5.5 6h1",
        "cross": "M0 0L8 8M8 0L0 8",
        "grid": "M0 2H8M0 6H8M2 0V8M6 0V8",
        "waves": "M0 4Q2 1 4 4T8 4",
        "chevrons": "M1 0L5 4L1 8M5 0L9 4L5 8",
    }
)
"""Strokes of an 8 × 8 tile."""

OUTCOME_MARKS: Final[Mapping[str, str]] = MappingProxyType(
    {"success": "✓", "failure": "✗", "retry": "↻", "unknown": "?"}
)
TIER_MARKS: Final[Mapping[str, str]] = MappingProxyType({"trusted": "●", "provisional": "◐", "untrusted": "○"})
TEXT_FORM: Final = "\ufe0e"
"""Asks for the text form of a symbol, not a coloured picture."""


def fill(label: str) -> str:
    """Reference to the paint of a label; a label that is not in the vocabulary is painted as unknown."""
    return f"url(#look-{label if label in LOOKS else 'unknown'})"


def definitions() -> Markup:
    """The patterns, once a page."""
    tiles = [
        node(
            "pattern",
            node("rect", width=8, height=8, class_=f"look look-{label}"),
            node("path", d=PATTERNS[LOOKS[label].pattern], class_="stroke") if PATTERNS[LOOKS[label].pattern] else None,
            id=f"look-{label}",
            width=8,
            height=8,
            patternUnits="userSpaceOnUse",
        )
        for label in LABELS
    ]
    return node("svg", node("defs", *tiles), width=0, height=0, class_="defs", aria_hidden="true")


def colours(dark: bool) -> str:
    """Style rules of the fills."""
    return "".join(f".look-{label}{{fill:{look.dark if dark else look.light}}}" for label, look in LOOKS.items())


def swatch(label: str) -> Markup:
    """A small sample of a label's look."""
    return node(
        "svg",
        node("rect", width=22, height=12, fill=fill(label)),
        width=22,
        height=12,
        class_="swatch",
        aria_hidden="true",
    )


def marks(outcomes: Mapping[str, int]) -> Markup:
    """Counted outcome marks in a row."""
    return join([f"{OUTCOME_MARKS.get(name, name)}{TEXT_FORM} {n:,}" for name, n in outcomes.items() if n], "  ")
