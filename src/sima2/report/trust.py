"""The trust matrix as a forest plot: effect with its interval, then the trust it earned against the tiers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sima2.records.trust import StratumEffect, TrustRow
from sima2.report import tables
from sima2.report.label_style import TIER_MARKS
from sima2.report.markup import Markup, aside, node
from sima2.report.sentences import TIERS, section, tag_meaning
from sima2.report.strata import Stratum, strata
from sima2.report.text import NOT_ASSESSED, as_number, count, number
from sima2.report.trust_reasons import (
    COMPARISONS,
    alerts_of,
    by_trust,
    carried_words,
    effect_words,
    field_words,
    impact,
    needs_of,
    shadow_sentence,
    what_to_do,
    why,
)

ROW: Final = 26
SMALL_ROW: Final = 16
PROVISIONAL, TRUSTED = 0.5, 0.8
"""Tiers of spec and record: half-open, above these."""

EXPLAINED: Final = (
    f"{COMPARISONS} The line is the interval; its lower bound, the thick end, decides. A tag that may be chance, reads "
    "the outcome or points the wrong way gets 0. Trust says how far to lean on a tag, the cost what is at stake: two "
    "numbers, never mixed."
)


def forest(trust: Mapping[str, TrustRow], summary: Mapping[str, Any]) -> Markup:
    """Section body for all tags, best first.

    Args:
        trust: the verdicts.
        summary: what ``summary.json`` holds, for alerts and the negative control.
    """
    if not trust:
        return node("p", "No tag was tested in this run.", class_="muted")
    head = node(
        "tr",
        node("th", "tag"),
        node("th", "effect δ", _scale(("−1", "chance", "1"), (0, 50, 100))),
        node("th", "trust", _scale(("0", "0.5", "0.8", "1"), (0, 50, 80, 100))),
        node("th", "tagged"),
        node("th", "cost"),
        node("th", "why, and what to do"),
    )
    alerts, needs = alerts_of(summary), needs_of(summary)
    rows = [
        part for row in by_trust(trust.values()) for part in _rows(row, alerts.get(row.tag, ()), needs.get(row.tag, ""))
    ]
    control = shadow_sentence(section(summary, "shadow"))
    return node(
        "div",
        node("p", EXPLAINED, class_="muted"),
        node("table", node("thead", head), node("tbody", *rows), class_="forest stack"),
        node("p", TIERS, class_="muted"),
        node("p", control, class_="muted") if control else None,
    )


def _rows(row: TrustRow, alerts: Sequence[str], needed: str) -> tuple[Markup, Markup]:
    """The verdict, and what it rests on, folded below it."""
    told, worth = why(row), impact(row)
    verdict = node(
        "tr",
        node("th", f"{TIER_MARKS.get(row.tier, '')} {row.tag}".strip(), aside(tag_meaning(row.tag)), scope="row"),
        node("td", effect_plot(row), aside(_effect_words(row)), data_label="effect δ"),
        node("td", level_plot(row), aside(f"{number(row.trust_level, 2)} {row.tier}"), data_label="trust"),
        node("td", number(row.n_tagged), aside(f"of {number(row.n)}"), data_label="tagged"),
        node("td", worth or _no_impact(row), aside(field_words(row.cost_field)), data_label="cost"),
        node(
            "td",
            node("span", told.seen.replace("δ ", "δ\u00a0")),
            aside(what_to_do(row, needed)),
            aside(carried_words(row)),
            *(aside(each) for each in alerts),
            data_label="why",
        ),
        class_=f"verdict {row.tier}",
    )
    return verdict, node("tr", node("td", _strata(row), colspan=6), class_="strata")


def _no_impact(row: TrustRow) -> str:
    """Stands where a difference in cost is not worth a number."""
    return NOT_ASSESSED if as_number(row.economic_impact) is None else "nothing proven"


def _strata(row: TrustRow) -> Markup:
    shown, sentence = strata(row)
    facts = [
        row.note,
        f"q {number(row.q_value, 2)}" if as_number(row.q_value) is not None else "",
        f"data {row.digest[:8]}" if row.digest else "",
    ]
    title = f"By kind of episode ({number(len(row.by_stratum))})" if shown else "How it was reached"
    return tables.folded(
        title,
        node("p", "; ".join(each for each in facts if each), class_="muted"),
        node("p", sentence, class_="muted") if sentence else None,
        node("table", node("tbody", *map(_stratum, shown)), class_="by-stratum") if shown else None,
    )


_APART: Final = {"opposite": "the other way", "apart": "apart from the whole"}


def _stratum(each: Stratum) -> Markup:
    effect = each.effect
    known = as_number(effect.effect) is not None
    return node(
        "tr",
        node("th", each.family, aside(each.rest), scope="row"),
        node("td", effect_plot(effect, SMALL_ROW)),
        node("td", effect_words(effect.effect, effect.interval) if known else NOT_ASSESSED, class_="n"),
        node("td", f"{number(effect.n_tagged)} of {number(effect.n)}", class_="n"),
        node("td", f"◆ {_APART[each.apart]}" if each.apart else ""),
        class_=each.apart or None,
    )


def _effect_words(row: TrustRow) -> str:
    if as_number(row.effect) is None:
        return NOT_ASSESSED
    return f"{effect_words(row.effect, row.interval)}, {count(row.strata, 'stratum', 'strata')}"


def effect_plot(row: TrustRow | StratumEffect, height: int = ROW) -> Markup:
    """δ from −1 to 1: a dot on the interval, its lower bound thick, and chance as a dashed line."""
    middle, half = height / 2, height / 6
    parts = [
        node("line", x1=0, x2="100%", y1=middle, y2=middle, class_="rail"),
        node("line", x1="50%", x2="50%", y1=0, y2=height, class_="chance"),
    ]
    low, high = (as_number(bound) for bound in row.interval)
    effect = as_number(row.effect)
    # the bounds of an unknown effect are those of the axis
    if effect is not None and low is not None and high is not None:
        ends = [_at(low), _at(high)]
        parts.append(node("line", x1=ends[0], x2=ends[1], y1=middle, y2=middle, class_="whisker"))
        for x, kind, reach in zip(ends, ("bound", "whisker"), (1.5 * half, half)):
            parts.append(node("line", x1=x, x2=x, y1=middle - reach, y2=middle + reach, class_=kind))
    if effect is not None:
        parts.append(node("circle", cx=_at(effect), cy=middle, r=4.5 if height == ROW else 3.2, class_="dot"))
    words = effect_words(row.effect, row.interval) or NOT_ASSESSED
    return node("svg", *parts, height=height, class_="strip", role="img", aria_label=f"effect {words}")


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
