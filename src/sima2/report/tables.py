"""The report's tables: counts with bars, costs with their spread, proposals, and what was set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from sima2.records.arrays import Float64s
from sima2.records.econ import EconTable
from sima2.records.intake import QuarantineTable
from sima2.records.knowledge import ProposalTable
from sima2.records.segments import Segment
from sima2.report.label_style import OUTCOME_MARKS, TEXT_FORM, swatch
from sima2.report.links import to_episodes
from sima2.report.markup import Markup, aside, node
from sima2.report.named_statistics import worth
from sima2.report.sentences import tag_meaning
from sima2.report.text import NOT_ASSESSED, as_number, count, number, percent

MOST_ROWS: Final = 100
"""Rows of a list that are shown; the file holds all."""
BINS: Final = 32

COSTS: Final = (
    ("duration_s", "duration", "s"),
    ("mpl", "task units per hour", "1/h"),
    ("energy_wh", "energy", "Wh"),
    ("damage", "damage", "currency"),
    ("wage_parity", "robot wage over human wage", ""),
    ("resilience", "value kept after a failure", ""),
)
"""Columns of the econ table, their names in prose and their units."""


def table(
    head: Sequence[str], rows: Sequence[Sequence[str | None]], *, numeric: Sequence[int] = (), spare: Sequence[int] = ()
) -> Markup:
    """A table: ``numeric`` columns are set flush right, ``spare`` ones give way where the page is narrow.

    It scrolls inside itself where it still is too wide.
    """

    def cells(kind: str, row: Sequence[str | None]) -> list[Markup]:
        classes = [" ".join(c for c, on in (("n", i in numeric), ("spare", i in spare)) if on) for i in range(len(row))]
        return [node(kind, cell or "", class_=c or None) for c, cell in zip(classes, row)]

    body = [node("tr", *cells("td", row)) for row in rows]
    return node(
        "div",
        node("table", node("thead", node("tr", *cells("th", head))), node("tbody", *body)),
        class_="scroll",
        tabindex="0" if len(head) > 4 else None,
    )


def bar(share: Any) -> Markup:
    """A bar for a share in [0, 1]; nothing drawn where it is not assessed."""
    x = as_number(share)
    width = 0.0 if x is None else min(max(x, 0.0), 1.0)
    return node(
        "svg",
        node("rect", width="100%", height=10, class_="trough"),
        node("rect", width=f"{100 * width:.2f}%", height=10, class_="bar"),
        height=10,
        class_="strip",
        aria_hidden="true",
    )


def label_counts(labels: Mapping[str, Any], outcomes: Mapping[str, Any]) -> Markup:
    """Segments by label, with the look of each: the legend of the timelines."""
    known = {name: as_number(n) or 0.0 for name, n in labels.items()}
    most = max(known.values(), default=0.0)
    rows = [
        (swatch(name), name.replace("_", " "), bar(n / most if most else 0), number(int(n)))
        for name, n in sorted(known.items(), key=lambda item: (-item[1], item[0]))
    ]
    ended = "  ".join(
        f"{OUTCOME_MARKS.get(name, '')}{TEXT_FORM} {name} {number(n)}" for name, n in outcomes.items() if as_number(n)
    )
    return node(
        "div",
        table(("", "label", "", "segments"), rows, numeric=(3,)),
        node("p", ended, class_="muted") if ended else None,
    )


def tag_counts(tags: Mapping[str, Any]) -> Markup:
    """How often each tag was given, of how many episodes that could be assessed."""
    rows = [
        (
            node("span", to_episodes(name, tag=name) if row.get("fired") else name, aside(tag_meaning(name))),
            bar(row.get("share")),
            f"{number(row.get('fired'))} of {number(row.get('assessed'))}" if row.get("assessed") else None,
            percent(row.get("share")) if row.get("assessed") else NOT_ASSESSED,
        )
        for name, row in tags.items()
    ]
    return table(("tag", "", "episodes", "share"), rows, numeric=(2, 3), spare=(1,))


def costs(summary: Mapping[str, Any], econ: EconTable) -> Markup:
    """Each cost with its spread over episodes; with none of an absent channel."""
    rows = []
    for column, name, unit in COSTS:
        values = getattr(econ, column)
        stated = summary.get(column)
        if not isinstance(stated, Mapping):
            stated = _describe(values)
        n = stated.get("n")
        known = bool(as_number(n))
        rows.append(
            (
                f"{name}, {unit}" if unit else name,
                histogram(values) if known else None,
                *(
                    number(stated.get(key)) if known else (NOT_ASSESSED if key == "median" else "")
                    for key in ("median", "mean", "p90")
                ),
                number(n),
            )
        )
    return table(("cost", "spread", "median", "mean", "p90", "n"), rows, numeric=(2, 3, 4, 5), spare=(1, 3))


def _describe(values: Float64s) -> dict[str, Any]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return {"n": 0}
    median, p90 = np.quantile(finite, [0.5, 0.9]).tolist()
    return {"n": len(finite), "mean": float(finite.mean()), "median": median, "p90": p90}


def histogram(values: Float64s) -> Markup | None:
    """Spread of a column from its least to its 99th percentile; what lies beyond counts in the last bin."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = float(finite.min()), float(np.quantile(finite, 0.99))
    if not high > low:
        high = low + max(abs(low), 1.0)
    heights = np.histogram(np.minimum(finite, high), bins=BINS, range=(low, high))[0]
    top = int(heights.max())
    bars = [
        node("rect", x=i, width=0.82, y=20 - 20 * h / top, height=20 * h / top)
        for i, h in enumerate(heights.tolist())
        if h
    ]
    return node(
        "svg",
        node("title", f"from {number(low)} to {number(high)} (99th percentile)"),
        *bars,
        viewBox=f"0 0 {BINS} 20",
        preserveAspectRatio="none",
        width=120,
        height=20,
        class_="histogram",
        role="img",
    )


def statistics(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Descriptive statistics with their intervals and what they mean."""
    body = []
    for row in rows:
        name, value, between, n, meaning = worth(row)
        body.append((node("span", name, aside(meaning)), value, between, n))
    return table(("", "value", "95 % interval", "tagged"), body, numeric=(1, 2, 3), spare=(3,))


def proposals(counts: Mapping[str, Any], listed: ProposalTable) -> Markup:
    """Proposals by kind and status, and the first ones in words."""
    statuses = ("accepted", "pending_trust", "refused")
    rows = [
        (kind.replace("_", " "), *(number(by.get(status, 0)) for status in statuses))
        for kind, by in sorted(counts.items())
        if isinstance(by, Mapping)
    ]
    first = [
        (
            number(row["priority"], 2),
            " ".join(part for part in (row["kind"].replace("_", " "), row["action"], row["object"]) if part),
            row["status"].replace("_", " "),
            f"{row['support']:,} of {row['trials']:,}",
            " ".join(part for part in (row["rationale"], row["status_reason"]) if part),
        )
        for row in listed.take(np.arange(min(len(listed), MOST_ROWS))).rows()
    ]
    return node(
        "div",
        table(("kind", "accepted", "waiting for trust", "refused"), rows, numeric=(1, 2, 3)) if rows else None,
        folded(
            f"The first {len(first)} of {count(len(listed), 'proposal')}",
            table(("priority", "proposal", "status", "support", "why"), first, numeric=(0, 3)),
        )
        if first
        else None,
    )


def quarantined(episodes: QuarantineTable, meanings: Mapping[str, str]) -> Markup:
    """What was set aside: by reason, then one by one."""
    reasons, n = np.unique(episodes.reason.decode().astype(str), return_counts=True)
    grouped = [
        (reason, number(int(k)), meanings.get(reason, ""))
        for k, reason in sorted(zip(n.tolist(), reasons.tolist()), key=lambda item: (-item[0], item[1]))
    ]
    rows = [
        (
            number(row["episode_index"]),
            row["episode_id"],
            row["reason"],
            f"{row['start_frame']}–{row['end_frame']}" if row["end_frame"] else "",
            row["source"],
            row["message"],
        )
        for row in episodes.take(np.arange(min(len(episodes), MOST_ROWS))).rows()
    ]
    rest = len(episodes) - len(rows)
    return node(
        "div",
        table(("reason", "episodes", "meaning"), grouped, numeric=(1,)),
        folded(
            "One by one",
            table(("index", "episode", "reason", "frames", "source", "message"), rows, numeric=(0, 3)),
            node("p", f"{number(rest)} more in quarantine.parquet.", class_="muted") if rest else None,
        ),
    )


def segment_list(segments: Sequence[Segment]) -> Markup:
    """The segments of an episode as text, for those who cannot or need not see the picture."""
    several = len({each.manipulator for each in segments}) > 1
    rows = [
        (
            f"{each.start_t:.2f}–{each.end_t:.2f}",
            (f"{each.manipulator}: " if several else "") + each.label.replace("_", " "),
            each.object,
            f"{OUTCOME_MARKS.get(each.outcome, '')}{TEXT_FORM} {each.outcome}",
            each.failure_reason.replace("_", " "),
            number(each.confidence, 2),
            f"{each.start_frame}–{each.end_frame}",
        )
        for each in segments[:MOST_ROWS]
    ]
    return table(
        ("s", "label", "object", "outcome", "why", "confidence", "frames"), rows, numeric=(0, 5, 6), spare=(6,)
    )


def folded(title: str, *body: str | None, open_: bool = False) -> Markup:
    """A part that opens on demand, without a script."""
    return node("details", node("summary", title), *body, **({"open": ""} if open_ else {}))
