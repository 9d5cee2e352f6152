"""The summary in a terminal: reads at 60 columns as at 120, with and without colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sima2.records.trust import TrustRow
from sima2.report.looks import OUTCOME_MARKS, TIER_MARKS
from sima2.report.tables import COSTS
from sima2.report.text import NOT_ASSESSED, as_number, number, percent, visible
from sima2.report.words import defects_sentence, headline, section, trust_sentence, weights_sentence

TIER_STYLES = {"trusted": "green", "provisional": "yellow", "untrusted": "bright_black"}


def plain(text: object) -> Text:
    """Text from data: never read as markup, and nothing in it steers the terminal."""
    return Text(visible(text, longest=4000))


def summary(values: Mapping[str, Any], *, report: str = "") -> RenderableType:
    """What ``sima2 run`` says at the end.

    Args:
        values: what ``summary.json`` holds.
        report: where the page is.
    """
    parts: list[RenderableType] = [plain(headline(values))]
    parts += titled("Trust", trust(section(values, "trust")) if section(values, "trust") else None)
    parts += titled("Tags", _tags(section(values, "tags")))
    parts += titled("Costs", _costs(section(values, "costs")))
    parts += titled("Statistics", _statistics(values.get("statistics") or ()))
    parts += titled("Proposals", _proposals(section(values, "proposals")))
    episodes = section(values, "episodes")
    parts += titled("Sampling", plain(weights_sentence(section(values, "weights"), episodes.get("ok"))))
    parts += titled("Data", plain(told) if (told := defects_sentence(section(values, "defects"))) else None)
    parts += titled("Bear in mind", bullets(_caveats(values)))
    if report:
        parts += [Text(), plain(f"report: {report}")]
    return Group(*parts)


def grid(
    head: Sequence[str],
    rows: Iterable[Sequence[RenderableType]],
    *,
    numeric: Sequence[int] = (),
    whole: Sequence[int] = (),
) -> Table:
    """A table without rules; text takes the slack and wraps, numbers and what is to stay ``whole`` never do."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False, header_style="dim")
    for i, name in enumerate(head):
        right = i in numeric
        table.add_column(name, justify="right" if right else "left", no_wrap=right or i in whole, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


class Fitting:
    """One of two forms of the same: the wide one where the terminal has room for all of it."""

    def __init__(self, wide: RenderableType, narrow: RenderableType) -> None:
        self.wide, self.narrow = wide, narrow

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        needed = console.measure(self.wide, options=options.update_width(10_000)).maximum
        yield self.wide if needed <= options.max_width else self.narrow


def listing(values: Mapping[str, object]) -> Table:
    """Names and values, a line each."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(plain(name.replace("_", " ")), plain(value))
    return table


def titled(title: str, body: RenderableType | None) -> list[RenderableType]:
    """A part under its title; nothing for nothing."""
    return [] if body is None else [Text(), Text(title, style="bold"), Padding(body, (0, 0, 0, 2), expand=False)]


def bullets(lines: Iterable[object]) -> RenderableType | None:
    """Lines with a mark each, hanging; nothing for nothing."""
    table = Table.grid(padding=(0, 1))
    for line in lines:
        table.add_row("·", plain(line))
    return table if table.row_count else None


def trust(rows: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    """Tags by trust, each with what a person should make of it."""
    order = sorted(rows.items(), key=lambda item: (-(as_number(item[1].get("trust_level")) or 0.0), item[0]))
    return grid(
        ("", "tag", "trust", "why"),
        [
            (
                Text(TIER_MARKS.get(tier := str(row.get("tier", "")), " "), style=TIER_STYLES.get(tier, "")),
                plain(tag),
                number(row.get("trust_level"), 2),
                plain(
                    trust_sentence(
                        str(row.get("reason", "")), str(row.get("note", "")), as_number(row.get("trust_level"))
                    )
                ),
            )
            for tag, row in order
        ],
        numeric=(2,),
        whole=(1,),
    )


def evidence(rows: Mapping[str, TrustRow]) -> RenderableType:
    """What each verdict rests on; in a narrow terminal one thing below the other, and no name is folded."""
    wide, narrow = [], []
    for tag, row in rows.items():
        known = as_number(row.effect) is not None
        name, effect = plain(tag), number(row.effect, 2)
        between = f"{number(row.interval[0], 2)} to {number(row.interval[1], 2)}" if known else ""
        chance = number(row.q_value, 2) if as_number(row.q_value) is not None else ""
        tagged = f"{number(row.n_tagged)} of {number(row.n)}"
        wide.append((name, effect, between, chance, tagged, plain(row.cost_field)))
        below = (between, f"q {chance}" if chance else "", f"tagged {tagged}", visible(row.cost_field))
        narrow.append((name, effect, Text("\n").join(Text(each) for each in below if each)))
    return Fitting(
        grid(("tag", "δ", "interval", "q", "tagged", "cost"), wide, numeric=(1, 2, 3, 4), whole=(0, 5)),
        grid(("tag", "δ", "interval, q, tagged, cost"), narrow, numeric=(1,), whole=(0,)),
    )


def tag_rows(rows: Sequence[Mapping[str, Any]]) -> RenderableType | None:
    """An episode's tags, each with its evidence and what the run found it worth."""
    body = []
    for row in rows:
        tier = str(row.get("tier") or "")
        parts = ["given" if row["given"] else "not given"] if row.get("given") is not None else []
        parts += [visible(row["source"]), visible(row["details"], longest=1000)]
        if row.get("trust_level") is not None:
            parts.append(f"trust {number(row['trust_level'], 2)} ({tier}, {visible(row['trust_reason'])})")
        mark = Text(TIER_MARKS.get(tier, " "), style=TIER_STYLES.get(tier, ""))
        body.append(
            (mark, plain(row["tag"]), number(row["level"], 2), plain("; ".join(part for part in parts if part)))
        )
    return grid(("", "tag", "level", "because"), body, numeric=(2,), whole=(1,)) if body else None


def cost_row(costs: Mapping[str, Any]) -> RenderableType | None:
    """An episode's costs."""
    names = {column: (name, unit) for column, name, unit in COSTS}
    told = {
        name: f"{number(costs[column])} {unit}".rstrip() for column, (name, unit) in names.items() if column in costs
    }
    return listing(told) if told else None


def segment_rows(rows: Sequence[Mapping[str, Any]]) -> RenderableType | None:
    """An episode's segments."""
    several = len({row["manipulator"] for row in rows}) > 1
    body = [
        (
            f"{row['start_t']:.2f}–{row['end_t']:.2f}",
            Text(OUTCOME_MARKS.get(row["outcome"], " ") if row["outcome"] != "unknown" else " "),
            plain(
                " ".join(
                    each
                    for each in (row["manipulator"] * several, row["label"].replace("_", " "), row["object"])
                    if each
                )
            ),
            plain(row["failure_reason"].replace("_", " ")),
            number(row["confidence"], 2),
        )
        for row in rows
    ]
    return grid(("s", "", "segment", "why", "sure"), body, numeric=(0, 4)) if body else None


def _tags(tags: Mapping[str, Any]) -> RenderableType | None:
    rows = [
        (
            plain(tag),
            number(row.get("fired")) if row.get("assessed") else "",
            number(row.get("assessed")),
            percent(row.get("share")) if row.get("assessed") else NOT_ASSESSED,
        )
        for tag, row in tags.items()
    ]
    return grid(("tag", "given", "assessed", "share"), rows, numeric=(1, 2, 3)) if rows else None


def _costs(costs: Mapping[str, Any]) -> RenderableType | None:
    units = {column: f"{name}, {unit}" if unit else name for column, name, unit in COSTS}
    rows = [
        (plain(units.get(column, column)), number(row.get("median")), number(row.get("p90")), number(row.get("n")))
        for column, row in costs.items()
    ]
    return grid(("cost", "median", "p90", "n"), rows, numeric=(1, 2, 3)) if rows else None


def _statistics(rows: Sequence[Mapping[str, Any]]) -> RenderableType | None:
    body = [
        (
            plain(str(row.get("name", "")).replace("_", " ")),
            number(row.get("value")),
            f"{number(row.get('low'), 2)} to {number(row.get('high'), 2)}"
            if as_number(row.get("low")) is not None
            else "",
            number(row.get("n")),
        )
        for row in rows
    ]
    return grid(("statistic", "value", "95 %", "n"), body, numeric=(1, 2, 3)) if body else None


def _proposals(kinds: Mapping[str, Any]) -> RenderableType | None:
    rows: list[list[RenderableType]] = [
        [
            plain(kind.replace("_", " ")),
            *(number(by.get(status, 0)) for status in ("accepted", "pending_trust", "refused")),
        ]
        for kind, by in kinds.items()
        if isinstance(by, Mapping)
    ]
    return grid(("kind", "accepted", "waiting", "refused"), rows, numeric=(1, 2, 3)) if rows else None


def _caveats(values: Mapping[str, Any]) -> list[str]:
    alerts = [f"{each.get('tag', '')}: {each.get('message', '')}" for each in values.get("alerts") or ()]
    absent = [f"{NOT_ASSESSED}: {each}" for each in values.get("not_assessed") or ()]
    return [*map(str, values.get("warnings") or ()), *_columns(values), *alerts, *absent]


def _columns(values: Mapping[str, Any]) -> list[str]:
    """What was taken for what, and what was found out about it, unless the data set is our own."""
    mapping = str(values.get("mapping") or "own")
    if mapping == "own":
        return []
    unmapped = list(map(str, values.get("unmapped") or ()))
    told = [f"column map {mapping} (column_map.toml): {each}" for each in values.get("assumptions") or ()]
    return [*told, f"columns not used: {', '.join(unmapped)}"] if unmapped else told
