"""A family's mined task as a picture: the way on which nothing failed from left to right, what went wrong below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sima2.report.label_style import TEXT_FORM, fill
from sima2.report.markup import Markup, join, node
from sima2.report.tables import folded
from sima2.report.text import as_number, count, number, percent, visible

RAREST: Final = 0.04
"""Probability of leaving a step below which a transition is not drawn."""
RAREST_SHARE: Final = 0.02
"""Occurrences an episode below which neither a step nor a transition is drawn."""
RAREST_ASIDE: Final = 0.08
"""The same for steps off the way that are neither failed nor accidents: those of another task in the same episode."""
MOST_FAMILIES: Final = 16
WIDTH: Final = 920
BOX: Final = (76, 36)
ROW: Final = 104
"""Distance of two rows, px."""
LABEL_AT: Final = (0.4, 0.5, 0.32, 0.6, 0.25, 0.7, 0.18, 0.8)
"""Shares of an edge at which its label may stand, the best first."""
FAILED: Final = "(fail)"
BELOW: Final = ("recovery_maneuver", "slip", "collision")


@dataclass(slots=True)
class Layout:
    """Places of the steps on a grid of columns and rows; row 0 is the way, failures are in row 1."""

    columns: int
    place: dict[str, tuple[int, int]] = field(default_factory=dict)

    def put(self, name: str, column: float, row: int) -> None:
        """In the free place of the row that is nearest to a column, else in the next row away from the way."""
        while True:
            free = set(range(self.columns)) - {x for x, y in self.place.values() if y == row}
            if free:
                self.place[name] = (min(free, key=lambda x: (abs(x - column), x)), row)
                return
            row += 1 if row > 0 else -1

    def centre(self, name: str) -> tuple[float, float]:
        """px."""
        x, y = self.place[name]
        top = min(row for _, row in self.place.values())
        pitch = (WIDTH - BOX[0] - 4) / max(self.columns - 1, 1)
        return BOX[0] / 2 + 2 + x * pitch, BOX[1] / 2 + 40 + (y - top) * ROW


def task_graphs(graph: Mapping[str, Any]) -> Markup | None:
    """All families of ``task_graph.json``, each folded; None where there is none."""
    tasks = [each for each in graph.get("nodes", {}).values() if each.get("type") == "task"]
    families = sorted(str(each["name"]) for each in tasks if "way" in each)
    if not families:
        return None
    legend = (
        f"Steps from left to right as most episodes went that had no failure. ✗{TEXT_FORM} a step that failed; "
        f"↻{TEXT_FORM} and dashes: on the way to another attempt. Numbers: how often a step is left that way."
    )
    parts = [_family(graph, name, first=i == 0) for i, name in enumerate(families[:MOST_FAMILIES])]
    more = len(families) - MOST_FAMILIES
    rest = node("p", f"{count(more, 'family')} more: see task_graph.json.", class_="muted") if more > 0 else None
    return node("div", node("p", legend, class_="muted"), *parts, rest)


def _family(graph: Mapping[str, Any], family: str, *, first: bool) -> Markup:
    steps, edges, left_out = _drawn(graph, family)
    about = graph["nodes"][f"task:{family}"]
    facts = [
        f"{number(about.get('way_support'))} of {number(about.get('way_trials'))} without failure went this way",
        f"{count(left_out, 'rarer transition')} left out" if left_out else "",
    ]
    note = node("p", "; ".join(fact for fact in facts if fact) + ".", class_="muted")
    picture = _picture(family, [str(each) for each in about["way"]], steps, edges)
    return folded(node("b", family.replace("_", " ")), note, node("div", picture, class_="scroll"), open_=first)


Edge = tuple[str, str, Mapping[str, Any]]
Point = tuple[float, float]
"""px."""


def _drawn(graph: Mapping[str, Any], family: str) -> tuple[dict[str, Mapping[str, Any]], list[Edge], int]:
    """Steps and transitions worth drawing, and how many transitions are not."""
    mine = {
        str(each["to"]): str(graph["nodes"][each["to"]]["name"])
        for each in graph.get("edges", ())
        if each.get("type") == "has_step" and each["from"] == f"task:{family}"
    }
    steps = {name: graph["nodes"][key] for key, name in mine.items()}
    least = RAREST_SHARE * (as_number(steps.get("start", {}).get("support")) or 0)
    way = {"start", "end", *graph["nodes"][f"task:{family}"]["way"]}
    shown = {
        name
        for name, each in steps.items()
        if name in way
        or name.endswith(FAILED)
        or name in BELOW
        or (as_number(each.get("support")) or 0) >= least * RAREST_ASIDE / RAREST_SHARE
    }
    edges: list[Edge] = [
        (mine[each["from"]], mine[each["to"]], each)
        for each in graph.get("edges", ())
        if each.get("type") == "then" and each["from"] in mine and each["to"] in mine
    ]
    kept = [
        each
        for each in edges
        if shown.issuperset(each[:2])
        and (as_number(each[2].get("probability")) or 0) >= RAREST
        and (as_number(each[2].get("support")) or 0) >= least
    ]
    named = {name for edge in kept for name in edge[:2]}
    return {name: each for name, each in steps.items() if name in named}, kept, len(edges) - len(kept)


def _picture(family: str, way: Sequence[str], steps: Mapping[str, Mapping[str, Any]], edges: Sequence[Edge]) -> Markup:
    layout = _layout(way, steps, edges)
    height = max(layout.centre(name)[1] for name in layout.place) + BOX[1] / 2 + 44
    lines, labels = [], []
    taken = [(x + dx, y + dy) for x, y in map(layout.centre, layout.place) for dx in (-25, 0, 25) for dy in (-9, 9)]
    for edge in sorted(edges, key=lambda each: (each[0], each[1])):
        line, label = _edge(layout, edge, taken)
        lines.append(line)
        labels.append(label)
    boxes = [_box(layout, name, steps[name]) for name in sorted(layout.place)]
    return node(
        "svg",
        _arrow_heads(),
        *lines,
        *boxes,
        *labels,
        viewBox=f"0 0 {WIDTH} {height:.0f}",
        width=WIDTH,
        height=height,
        class_="graph",
        role="img",
        aria_label=f"task graph of {family}",
    )


def _layout(way: Sequence[str], steps: Mapping[str, Any], edges: Sequence[Edge]) -> Layout:
    """The way in row 0; failed steps under their step; corrections and accidents below; the rest above."""
    main = [name for name in dict.fromkeys(("start", *way, "end")) if name in steps]
    layout = Layout(max(len(main), 2))
    for column, name in enumerate(main):
        layout.place[name] = (column, 0)
    others = [name for name in sorted(steps) if name not in layout.place]
    for name in sorted(others, key=lambda each: (not each.endswith(FAILED), each.startswith(BELOW), each)):
        base = name.removesuffix(FAILED)
        if base in BELOW:
            layout.put(name, _mean_column(name, layout, edges), 2)
        elif name.endswith(FAILED):
            above = base if base in layout.place else name
            layout.put(name, layout.place[base][0] if above == base else _mean_column(name, layout, edges), 1)
        else:
            layout.put(name, _mean_column(name, layout, edges), -1)
    return layout


def _mean_column(name: str, layout: Layout, edges: Sequence[Edge]) -> float:
    """Where its placed neighbours are, by how often they are."""
    pulls = [
        (layout.place[other][0], as_number(edge.get("support")) or 0.0)
        for a, b, edge in edges
        for mine, other in ((a, b), (b, a))
        if mine == name and other in layout.place
    ]
    total = sum(weight for _, weight in pulls)
    return sum(x * weight for x, weight in pulls) / total if total else layout.columns / 2


def _box(layout: Layout, name: str, step: Mapping[str, Any]) -> Markup:
    x, y = layout.centre(name)
    label = name.removesuffix(FAILED)
    failed = name.endswith(FAILED)
    ends = name in ("start", "end")
    median = as_number(step.get("p50_duration_s"))
    shown = visible(label.replace("_maneuver", "").replace("_", " "), longest=11)
    second = f"✗{TEXT_FORM} failed" if failed else f"{number(median, 2)} s" if median is not None else ""
    told = f"{label.replace('_', ' ')}{' failed' if failed else ''}: {number(step.get('support'))} times"
    if median is not None:
        told += (
            f", half of them in {number(step.get('p10_duration_s'), 2)} to {number(step.get('p90_duration_s'), 2)} s"
        )
        told = told.replace("half of them", "four in five of them")
    return node(
        "g",
        node("title", told),
        node(
            "rect",
            x=x - BOX[0] / 2,
            y=y - BOX[1] / 2,
            width=BOX[0],
            height=BOX[1],
            rx=18 if ends else 4,
            fill="var(--soft)" if ends else fill(label),
            class_="step failed" if failed else "step",
        ),
        node("text", shown, x=x, y=y + (4 if ends or not second else -2), text_anchor="middle"),
        node("text", second, x=x, y=y + 12, text_anchor="middle", class_="small") if second and not ends else None,
    )


def _edge(layout: Layout, edge: Edge, taken: list[Point]) -> tuple[Markup, Markup]:
    """The line and, apart from it so that it lies on top, its label, clear of the places that are taken."""
    a, b, values = edge
    kind = "retry" if values.get("retry") else "recovery" if values.get("recovery") else "on"
    points = _curve(layout, a, b)
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = points
    share = as_number(values.get("probability")) or 0.0
    words = f"↻{TEXT_FORM} {percent(share)}" if kind != "on" else percent(share)
    strength = 0.8 + 2.4 * share
    told = f"{a} then {b}: {number(values.get('support'))} times, {percent(share)}"
    line = node(
        "path",
        node("title", told.replace("_", " ")),
        d=f"M{x0:.1f} {y0:.1f}C{x1:.1f} {y1:.1f} {x2:.1f} {y2:.1f} {x3:.1f} {y3:.1f}",
        class_=f"way {kind}",
        stroke_width=strength,
        marker_end=f"url(#arrow-{kind})",
    )
    x, y = _label_place(points, 6.2 * len(words), taken, -4 if layout.place[a][1] == layout.place[b][1] else 3)
    return line, node("text", words, x=x, y=y, text_anchor="middle", class_=f"share {kind}")


def _label_place(points: list[Point], width: float, taken: list[Point], lift: float) -> Point:
    """Where along a curve a label is clear of what is there, or furthest from it; ``taken`` gets its place."""
    best, most = points[0], -1.0
    for t in LABEL_AT:
        u = 1 - t
        weights = (u**3, 3 * u * u * t, 3 * u * t * t, t**3)
        x = sum(w * p[0] for w, p in zip(weights, points, strict=True))
        y = sum(w * p[1] for w, p in zip(weights, points, strict=True)) + lift
        room = min((max(abs(x - a) / (width + 4), abs(y - 4 - b) / 13) for a, b in taken), default=1.0)
        if min(room, 1.0) > most:
            best, most = (x, y), min(room, 1.0)
    taken.append((best[0], best[1] - 4))
    return best


def _curve(layout: Layout, a: str, b: str) -> list[Point]:
    """Four points of a cubic curve from box to box."""
    (xa, ya), (xb, yb) = layout.centre(a), layout.centre(b)
    (ca, ra), (cb, rb) = layout.place[a], layout.place[b]
    w, h = BOX[0] / 2, BOX[1] / 2
    if a == b:
        return [(xa + w / 2, ya + h), (xa + w, ya + h + 40), (xa - w, ya + h + 40), (xa - w / 2, ya + h)]
    if ra == rb and cb == ca + 1:
        return [(xa + w, ya), (xa + w + 8, ya), (xb - w - 8, yb), (xb - w - 3, yb)]
    if ra == rb:
        side = -1 if ra <= 0 else 1
        bow = side * min(18 + 9 * abs(cb - ca), 36) * (1.0 if cb > ca else 1.2)
        return [(xa, ya + side * h), (xa, ya + side * h + bow), (xb, yb + side * h + bow), (xb, yb + side * (h + 3))]
    down = 1 if rb > ra else -1
    # ways down keep to the right of ways up between the same boxes
    shift = 0.45 * w * (1 if down > 0 else -1)
    reach = 0.5 * abs(yb - ya)
    return [
        (xa + shift, ya + down * h),
        (xa + shift, ya + down * (h + 0.6 * reach)),
        (xb + shift, yb - down * (h + 0.6 * reach)),
        (xb + shift, yb - down * (h + 3)),
    ]


def _arrow_heads() -> Markup:
    heads = [
        node(
            "marker",
            node("path", d="M0 0L6 3L0 6z", class_=f"head {kind}"),
            id=f"arrow-{kind}",
            markerUnits="userSpaceOnUse",
            markerWidth=8,
            markerHeight=8,
            refX=5,
            refY=3,
            orient="auto",
        )
        for kind in ("on", "retry", "recovery")
    ]
    return node("defs", join(heads))


STYLE: Final = """
.graph{display:block;max-width:none}
.step{stroke:var(--rule);stroke-width:1}.step.failed{stroke:var(--warn);stroke-width:2}
.graph .small{font-size:10px}
.graph text{paint-order:stroke;stroke:var(--halo);stroke-width:3px;stroke-linejoin:round}
.way{fill:none;stroke:var(--muted);opacity:.75}.way.retry,.way.recovery{stroke:var(--warn);stroke-dasharray:5 3}
.head{fill:var(--muted)}.head.retry,.head.recovery{fill:var(--warn)}
.graph .share{font-size:10px;fill:var(--muted)}.graph .share.retry,.graph .share.recovery{fill:var(--warn)}
"""
"""Rules of the picture, for the page's style sheet."""
