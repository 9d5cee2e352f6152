"""What a trainer will see: the share of draws that each kind of episode gets, against an even draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sima2.report.markup import Markup, join, node
from sima2.report.sentences import section
from sima2.report.tables import table
from sima2.report.text import as_number, number, percent

MOST: Final = 20
"""Families that are listed; the rest is counted."""


class Share(NamedTuple):
    """A kind of episode and how much of all draws it gets."""

    kind: str
    """``outcome``, ``tag`` or ``family``."""
    name: str
    drawn: float
    even: float

    @property
    def times(self) -> str:
        """How much more often than evenly."""
        return f"{number(self.drawn / self.even, 2)} ×" if self.even > 0 else ""


def shares(weights: Mapping[str, Any]) -> tuple[list[Share], int]:
    """What the summary tells of them, and how many families are left out; nothing from an older folder.

    Families and tags in falling order of their even share.
    """
    found = [_share("outcome", "failed episodes", section(weights, "failed"))]
    tags = [_share("tag", str(name), row) for name, row in section(weights, "tags").items()]
    families = [
        _share("family", str(name).replace("_", " "), row) for name, row in section(weights, "families").items()
    ]
    known = _sorted(families)
    parts = [each for each in found if each] + _sorted(tags) + known[:MOST]
    return parts, max(len(known) - MOST, 0)


def _sorted(found: list[Share | None]) -> list[Share]:
    return sorted((each for each in found if each), key=lambda each: (-each.even, each.name))


def _share(kind: str, name: str, row: Any) -> Share | None:
    if not isinstance(row, Mapping):
        return None
    drawn, even = as_number(row.get("share")), as_number(row.get("even"))
    return None if drawn is None or even is None else Share(kind, name, drawn, even)


def page(weights: Mapping[str, Any]) -> Markup | None:
    """A bar for what is drawn with a tick at the even share; None where nothing is told."""
    found, rest = shares(weights)
    if not found:
        return None
    most = max(max(each.drawn, each.even) for each in found) or 1.0
    rows = [
        (
            each.kind if k == 0 or each.kind != found[k - 1].kind else "",
            each.name,
            _bar(each.drawn / most, each.even / most),
            percent(each.drawn),
            percent(each.even),
            each.times,
        )
        for k, each in enumerate(found)
    ]
    note = (
        "Bars: share of all draws; the tick is what an even draw would give. A tag's row counts episodes that have it."
    )
    return join(
        [
            table(("", "", "", "drawn", "even", "times"), rows, numeric=(3, 4, 5), spare=(0,)),
            node("p", note, class_="muted"),
            node("p", f"{number(rest)} more families.", class_="muted") if rest else None,
        ]
    )


def _bar(drawn: float, even: float) -> Markup:
    at = f"{100 * min(even, 1.0):.2f}%"
    return node(
        "svg",
        node("rect", width="100%", y=2, height=10, class_="trough"),
        node("rect", width=f"{100 * min(drawn, 1.0):.2f}%", y=2, height=10, class_="bar"),
        node("line", x1=at, x2=at, y1=0, y2=14, class_="even"),
        height=14,
        class_="strip",
        aria_hidden="true",
    )
