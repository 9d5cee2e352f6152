"""An episode over time: segments by colour and pattern, tags as spans, signals as lines. All widths are relative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from sima2.records.segments import Segment
from sima2.report.label_style import OUTCOME_MARKS, TEXT_FORM, TIER_MARKS, fill
from sima2.report.markup import Markup, join, node
from sima2.report.text import as_number, number, visible

STRIP: Final = 26
"""Height of a strip of segments, px."""
TAG_ROW: Final = 22
SIGNAL_ROW: Final = 46
GLYPH: Final = 6.6
"""Width of a character of the labels, px."""
WIDTHS: Final = (360, 560, 760, 960, 1160)
"""Page widths, px, from which a label may be shown; the style sheet knows them too."""
MOST_TRACKS: Final = 8
MOST_POINTS: Final = 600
"""Points of a line; more cannot be seen."""


def timeline(
    segments: Sequence[Segment],
    tags: Sequence[Mapping[str, Any]],
    signal: Mapping[str, Any],
    tiers: Mapping[str, str],
) -> Markup:
    """Figure of one episode.

    Args:
        segments: of that episode, of all its manipulators.
        tags: rows of its ``TagTable``.
        signal: what is drawn of it, as ``report.signals.chosen_episodes`` gives it: time and tracks.
        tiers: tier of each tag that was tested.
    """
    time = [x for x in map(as_number, signal.get("time", ())) if x is not None]
    begin = min([each.start_t for each in segments] + time[:1], default=0.0)
    end = max([each.end_t for each in segments] + time[-1:], default=0.0)
    if end <= begin:
        return node("p", "This episode has no frames to show.", class_="muted")
    parts = [_strip(arm, [s for s in segments if s.manipulator == arm], begin, end) for arm in _arms(segments)]
    parts += _tag_rows(segments, tags, tiers, begin, end)
    parts += [_signal(track, signal.get("time", ()), begin, end) for track in signal.get("tracks", ())[:MOST_TRACKS]]
    return node("figure", *parts, _axis(begin, end), class_="timeline")


def _arms(segments: Sequence[Segment]) -> list[str]:
    return list(dict.fromkeys(each.manipulator for each in segments))


def _place(t: float, begin: float, end: float) -> float:
    return 100 * min(max((t - begin) / (end - begin), 0.0), 1.0)


def _strip(arm: str, segments: Sequence[Segment], begin: float, end: float) -> Markup:
    pieces = [_piece(each, begin, end) for each in segments]
    caption = node("figcaption", arm) if arm != "arm" else None
    figure = node("svg", *pieces, height=STRIP, class_="strip", role="img", aria_label=f"segments of {arm}")
    return node("div", caption, figure)


def _piece(segment: Segment, begin: float, end: float) -> Markup:
    left, right = _place(segment.start_t, begin, end), _place(segment.end_t, begin, end)
    share = max(right - left, 0.05)
    mark = OUTCOME_MARKS.get(segment.outcome, "?") + TEXT_FORM
    label = segment.label.partition("_")[0]
    # the mark of an unknown outcome would be noise on idling and free motion
    full = f"{label} {mark}" if segment.outcome != "unknown" else label
    texts = []
    wide = _fits(len(full) * GLYPH + 10, share)
    if wide is not None:
        texts.append(node("text", full, x=5, y=STRIP - 8.5, class_=f"from{wide}"))
    if segment.outcome != "unknown":
        narrow = _fits(14, share)
        until = "" if wide is None else f" until{wide}"
        if narrow is not None:
            texts.append(
                node("text", mark, x="50%", y=STRIP - 8.5, text_anchor="middle", class_=f"from{narrow}{until}")
            )
    return node(
        "svg",
        node("title", describe(segment)),
        node("rect", width="100%", height="100%", fill=fill(segment.label)),
        node("rect", width=1, height="100%", class_="edge"),
        *texts,
        x=f"{left:.3f}%",
        width=f"{share:.3f}%",
        height=STRIP,
    )


def _fits(pixels: float, share: float) -> int | None:
    """The least of ``WIDTHS`` at which a share (per cent) of the figure holds so many pixels."""
    return next((width for width in WIDTHS if (width - 60) * share / 100 >= pixels), None)


def describe(segment: Segment) -> str:
    """A segment in one line."""
    what = " ".join(each for each in (segment.label.replace("_", " "), visible(segment.object)) if each)
    why = f" ({segment.failure_reason.replace('_', ' ')})" if segment.failure_reason else ""
    return (
        f"{what}: {segment.outcome}{why}, {segment.start_t:.2f}–{segment.end_t:.2f} s, "
        f"frames {segment.start_frame}–{segment.end_frame}, confidence {number(segment.confidence, 2)}"
    )


def _tag_rows(
    segments: Sequence[Segment], tags: Sequence[Mapping[str, Any]], tiers: Mapping[str, str], begin: float, end: float
) -> list[Markup]:
    """One row a tag that applies to some degree, with its spans."""
    frames = np.array([each.start_frame for each in segments] + [each.end_frame for each in segments], float)
    times = np.array([each.start_t for each in segments] + [each.end_t for each in segments], float)
    order = np.argsort(frames, kind="stable")
    given: dict[str, list[Mapping[str, Any]]] = {}
    for row in tags:
        if (as_number(row["level"]) or 0) > 0:
            given.setdefault(str(row["tag"]), []).append(row)
    rows = []
    for tag, spans in given.items():
        bars = []
        for span in spans:
            edges = (
                np.interp([span["start_frame"], span["end_frame"]], frames[order], times[order])
                if len(frames)
                else (begin, end)
            )
            left, right = (_place(float(t), begin, end) for t in edges)
            bars.append(
                node(
                    "rect",
                    node("title", _tag_title(span)),
                    x=f"{left:.3f}%",
                    width=f"{max(right - left, 0.3):.3f}%",
                    y=TAG_ROW - 6,
                    height=4,
                    rx=2,
                    class_="tag",
                )
            )
        level = max(as_number(span["level"]) or 0 for span in spans)
        tier = TIER_MARKS.get(tiers.get(tag, ""), "")
        caption = node("text", f"{tier} {tag} {number(level, 2)}".strip(), x=0, y=TAG_ROW - 9, class_="caption")
        rows.append(node("svg", caption, *bars, height=TAG_ROW, class_="strip tags", role="img", aria_label=tag))
    return rows


def _tag_title(span: Mapping[str, Any]) -> str:
    severity = as_number(span["severity"])
    parts = [f"level {number(span['level'], 2)}", None if severity is None else f"severity {number(severity, 2)}"]
    parts += [str(span["source"]), visible(span["details"], longest=400)]
    return ", ".join(part for part in parts if part)


def _signal(track: Mapping[str, Any], time: Sequence[Any], begin: float, end: float) -> Markup:
    """One line, on a scale of its own; a gap where nothing was recorded."""
    pairs = [(t, as_number(v)) for t, v in zip(map(as_number, time), track.get("values", ())) if t is not None]
    step = -(-len(pairs) // MOST_POINTS) if pairs else 1
    pairs = pairs[::step]
    values = [v for _, v in pairs if v is not None]
    name, unit = str(track.get("name", "")), str(track.get("unit", ""))
    if not values:
        return node("div", node("figcaption", f"{name}: not assessed"))
    low, high = min(values), max(values)
    caption = f"{name}  {number(low)} to {number(high)} {unit}".rstrip()
    line = node(
        "svg",
        node("path", d=_path(pairs, low, high, begin, end), class_="signal"),
        viewBox="0 0 1000 100",
        preserveAspectRatio="none",
        y=16,
        width="100%",
        height=SIGNAL_ROW - 20,
    )
    return node(
        "svg",
        node("text", caption, x=0, y=11, class_="caption"),
        line,
        height=SIGNAL_ROW,
        class_="strip",
        role="img",
        aria_label=name,
    )


def _path(pairs: Sequence[tuple[float, float | None]], low: float, high: float, begin: float, end: float) -> str:
    steps = []
    pen = "M"
    for t, v in pairs:
        if v is None:
            pen = "M"
            continue
        height = (v - low) / (high - low) if high > low else 0.5
        steps.append(f"{pen}{10 * _place(t, begin, end):.1f} {98 - 96 * height:.1f}")
        pen = "L"
    return "".join(steps)


def _axis(begin: float, end: float) -> Markup:
    """Ticks at round times."""
    span = end - begin
    step = next(s for s in (10.0**k * m for k in range(-3, 9) for m in (1, 2, 5)) if span / s <= 8)
    ticks = np.arange(np.ceil(begin / step) * step, end + step * 1e-6, step).tolist()
    parts = []
    for i, t in enumerate(ticks):
        x = _place(t, begin, end)
        anchor = "start" if x < 2 else "end" if x > 96 else "middle"
        shown = f"{t:g}" + (" s" if i == len(ticks) - 1 else "")
        parts += [
            node("line", x1=f"{x:.3f}%", x2=f"{x:.3f}%", y1=0, y2=4, class_="tick"),
            node("text", shown, x=f"{x:.3f}%", y=15, text_anchor=anchor, class_="caption"),
        ]
    base = node("line", x1=0, x2="100%", y1=0.5, y2=0.5, class_="tick")
    return node("svg", base, join(parts), height=18, class_="strip", aria_hidden="true")
