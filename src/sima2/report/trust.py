"""The trust matrix as a forest plot: effect with its interval, then the trust it earned against the tiers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sima2.records.trust import TrustRow
from sima2.report.looks import TIER_MARKS
from sima2.report.markup import Markup, aside, node
from sima2.report.text import NOT_ASSESSED, as_number, count, interval, number
from sima2.report.words import TAG_MEANINGS, TIERS, TRUST_EXPLAINED, impact_sentence, trust_sentence

ROW: Final = 26
PROVISIONAL, TRUSTED = 0.5, 0.8
"""Tiers of spec and record: half-open, above these."""


def forest(trust: Mapping[str, TrustRow]) -> Markup:
    """Section body for all tags, best first."""
    if not trust:
        return node("p", "No tag was tested in this run.", class_="muted")
    rows = sorted(trust.values(), key=lambda row: (-(as_number(row.trust_level) or 0.0), row.tag))
    head = node(
        "tr",
        node("th", "tag"),
        node("th", "effect δ", _scale(("−1", "0", "1"), (0, 50, 100))),
        node("th", "trust", _scale(("0", "0.5", "0.8", "1"), (0, 50, 80, 100))),
        node("th", "episodes"),
        node("th", "verdict"),
    )
    return node(
        "div",
        node("p", TRUST_EXPLAINED, class_="muted"),
        node("table", node("thead", head), node("tbody", *map(_row, rows)), class_="forest stack"),
        node("p", TIERS, class_="muted"),
    )


def _row(row: TrustRow) -> Markup:
    meaning = TAG_MEANINGS.get(row.tag)
    verdict = trust_sentence(row.reason, row.note, row.trust_level)
    money = as_number(row.economic_impact)
    # a difference that may be chance is not worth a number
    impact = None if money is None or not row.trust_level > 0 else impact_sentence(row.cost_field, money)
    stale = "Needs recalibration: the data behind it has aged." if row.needs_recalibration else None
    return node(
        "tr",
        node("th", f"{TIER_MARKS.get(row.tier, '')} {row.tag}".strip(), aside(meaning), scope="row"),
        node("td", effect_plot(row), aside(_effect_words(row)), data_label="effect δ"),
        node("td", level_plot(row), aside(f"{number(row.trust_level, 2)} {row.tier}"), data_label="trust"),
        node(
            "td",
            f"{number(row.n_tagged)} of {number(row.n)}",
            aside(count(row.strata, "stratum", "strata")),
            data_label="tagged",
        ),
        node("td", verdict, aside(_once(verdict, row.note)), aside(impact), aside(stale)),
        class_=row.tier,
    )


def _once(verdict: str, note: str) -> str | None:
    return note if note and note != verdict else None


def _effect_words(row: TrustRow) -> str:
    if as_number(row.effect) is None:
        return NOT_ASSESSED
    parts = [number(row.effect, 2), interval(*row.interval)]
    if as_number(row.q_value) is not None:
        parts.append(f"q {number(row.q_value, 2)}")
    return " ".join(part for part in parts if part)


def effect_plot(row: TrustRow) -> Markup:
    """δ from −1 to 1: a dot on the interval, and chance as a dashed line."""
    parts = [
        node("line", x1=0, x2="100%", y1=ROW / 2, y2=ROW / 2, class_="rail"),
        node("line", x1="50%", x2="50%", y1=2, y2=ROW - 2, class_="chance"),
    ]
    low, high = (as_number(bound) for bound in row.interval)
    if low is not None and high is not None:
        ends = [_at(low), _at(high)]
        parts.append(node("line", x1=ends[0], x2=ends[1], y1=ROW / 2, y2=ROW / 2, class_="whisker"))
        parts += [node("line", x1=x, x2=x, y1=ROW / 2 - 4, y2=ROW / 2 + 4, class_="whisker") for x in ends]
    if (effect := as_number(row.effect)) is not None:
        parts.append(node("circle", cx=_at(effect), cy=ROW / 2, r=4.5, class_="dot"))
    return node("svg", *parts, height=ROW, class_="strip", role="img", aria_label=f"effect {_effect_words(row)}")


def level_plot(row: TrustRow) -> Markup:
    """Trust from 0 to 1 over the bands of the tiers."""
    level = min(max(as_number(row.trust_level) or 0.0, 0.0), 1.0)
    bands: Iterable[tuple[float, float, str]] = (
        (0, PROVISIONAL, "untrusted"),
        (PROVISIONAL, TRUSTED, "provisional"),
        (TRUSTED, 1, "trusted"),
    )
    parts = [
        node("rect", x=f"{100 * a:g}%", width=f"{100 * (b - a):g}%", y=5, height=ROW - 10, class_=f"band {tier}")
        for a, b, tier in bands
    ]
    parts.append(node("rect", x=0, width=f"{100 * level:.2f}%", y=ROW / 2 - 2.5, height=5, class_="level"))
    parts.append(node("circle", cx=f"{100 * level:.2f}%", cy=ROW / 2, r=4.5, class_="dot"))
    return node("svg", *parts, height=ROW, class_="strip", role="img", aria_label=f"trust {number(row.trust_level, 2)}")


def _at(effect: float) -> str:
    return f"{50 + 50 * min(max(effect, -1.0), 1.0):.2f}%"


def _scale(names: tuple[str, ...], places: tuple[int, ...]) -> Markup:
    parts = [
        node("text", name, x=f"{x}%", y=10, text_anchor="middle", class_="caption") for name, x in zip(names, places)
    ]
    return node("svg", *parts, height=13, class_="strip", aria_hidden="true")
