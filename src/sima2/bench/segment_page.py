"""The worst episodes of a bench as pictures: the true time line over the predicted one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sima2.records.segments import Segment
from sima2.records.vocabulary import LABELS
from sima2.report.html import policy
from sima2.report.label_style import definitions, swatch
from sima2.report.markup import Markup, join, node
from sima2.report.style import style_sheet
from sima2.report.timeline import timeline


def page(values: Mapping[str, Any]) -> str:
    """One HTML page that needs no network and no script, from what ``run`` returned."""
    from sima2.bench.segmentation import rows

    parts: list[Markup] = []
    for source, found in values["sources"].items():
        if found["available"]:
            pictures = [_picture(each) for each in found["worst"]]
            others = [_picture(each) for each in found["worst_of_family"]]
            parts.append(node("section", node("h2", f"{source}: the worst {len(pictures)}"), *pictures))
            parts.append(node("section", node("h2", f"{source}: the worst of each other family"), *others))
    figures = [node("tr", *(node("td", cell) for cell in row)) for row in rows(values)]
    table = node("table", node("thead", node("tr", *(node("th", h) for h in ("figure", "result", "target")))), *figures)
    legend = join([node("span", swatch(label), " ", label.replace("_", " "), "  ") for label in LABELS])
    head = node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", http_equiv="Content-Security-Policy", content=policy()),
        node("meta", name="viewport", content="width=device-width,initial-scale=1"),
        node("title", "sima2: segments against truth"),
        node("style", Markup(style_sheet())),
    )
    title = node("header", node("h1", "Segments against truth"), node("p", legend))
    body = node("body", definitions(), node("main", title, *parts, node("section", node("h2", "All figures"), table)))
    return f"<!doctype html>\n{node('html', head, body, lang='en')}\n"


def _picture(each: Mapping[str, Any]) -> Markup:
    mode = each["failure_mode"].replace("_", " ") or "none"
    line = f"{each['family']}, failure mode {mode}; F1@50 {each['f1_50']:.0f}, accuracy {each['frame_accuracy']:.2f}"
    segments = [_segment(each, row, k, piece) for row in ("true", "predicted") for k, piece in enumerate(each[row])]
    return node("div", node("h3", str(each["episode_id"])), node("p", line), timeline(segments, [], {}, {}))


def _segment(each: Mapping[str, Any], row: str, number: int, piece: Mapping[str, Any]) -> Segment:
    """A piece as the timeline wants it, the rows in the place of manipulators."""
    rate = each["rate_hz"]
    return Segment(
        episode_index=0,
        episode_id=each["episode_id"],
        manipulator=row,
        segment_id=number,
        label=piece["label"],
        object="",
        start_frame=piece["start"],
        end_frame=piece["stop"],
        start_t=piece["start"] / rate,
        end_t=piece["stop"] / rate,
        outcome=piece["outcome"],
        failure_reason=piece["reason"],
        confidence=piece["confidence"],
        channels_used="",
    )
