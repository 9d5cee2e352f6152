"""The summary in a terminal: reads at 60 columns as at 120, with and without colour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from sima2.records.trust import TrustRow
from sima2.report import first
from sima2.report.label_style import OUTCOME_MARKS, TIER_MARKS
from sima2.report.named_statistics import worth
from sima2.report.sampled import shares
from sima2.report.sentences import (
    TIERS,
    defects_sentence,
    headline,
    no_gain_sentence,
    plan_line,
    plan_sentence,
    section,
    weights_sentence,
)
from sima2.report.strata import strata
from sima2.report.tables import COSTS
from sima2.report.text import NOT_ASSESSED, as_number, count, number, percent, visible
from sima2.report.trust_reasons import (
    COMPARISONS,
    alerts_of,
    by_trust,
    effect_words,
    in_words,
    needs_of,
    shadow_sentence,
    signed,
)

TIER_STYLES = {"trusted": "green", "provisional": "yellow", "untrusted": "bright_black"}


def plain(text: object) -> Text:
    """Text from data: never read as markup, and nothing in it steers the terminal."""
    return Text(visible(text, longest=4000))


def summary(
    values: Mapping[str, Any], *, trust: Mapping[str, TrustRow] | None = None, report: str = ""
) -> RenderableType:
    """What ``sima2 run`` says at the end.

    Trust comes last, for that is what people look for. Where nothing can be tested it is one line, and what was found
    in the episodes comes before it.

    Args:
        values: what ``summary.json`` holds.
        trust: what ``trust_matrix.json`` holds.
        report: where the page is.
    """
    if first.leads(values, trust or {}):
        return _findings_first(values, report)
    parts: list[RenderableType] = [plain(headline(values))]
    told = [defects_sentence(section(values, "defects")), first.unusual_sentence(values)]
    parts += titled("Data", Group(*map(plain, filter(None, told))) if any(told) else None)
    parts += titled("Tags", _tags(section(values, "tags")))
    parts += titled("Costs", _costs(section(values, "costs")))
    parts += titled("What tags cost or gain", _statistics(values.get("statistics") or ()))
    parts += titled("Proposals", _proposals(section(values, "proposals")))
    parts += titled("What to train on", _plan(values))
    parts += titled("Sampling", _sampling(values))
    parts += titled("Bear in mind", bullets(_at_most(CAVEATS, _caveats(values, trust or {}))))
    parts += titled("Trust: which tags predict cost here", verdicts(trust, values) if trust else None)
    parts += by_collection(values)
    parts += _videos(values)
    if report:
        parts += [Text(), plain(f"report: {report}")]
    return Group(*parts)


SCREEN: Final = 9
"""Findings that are shown, shared out over their kinds, two or three each; the page and the commands list more."""
FEW: Final = 2
"""Usual courses, and things to bear in mind below findings, that are shown."""
CAVEATS: Final = 8
"""Things to bear in mind that are shown; the page lists all."""


def _findings_first(values: Mapping[str, Any], report: str) -> RenderableType:
    """What can be said where no tag can be tested: failures, second tries, defects, the unusual; then the rest."""
    found = section(values, "first")
    parts: list[RenderableType] = [plain(first.opening(values))]
    kinds = [kind for kind in first.PARTS if section(found, kind).get("rows")]
    most = min(max(SCREEN // max(len(kinds), 1), 2), 3)
    out = str(Path(report).parent) if report else "OUT"
    for kind in first.PARTS:
        parts += _finding_part(kind, values, most, out, always=kind in ("failed", "defects"))
    parts += titled("The usual course", _usual(values))
    gain = "Until then no curation gain from tags." if no_gain_sentence(values) else ""
    trust = " ".join(filter(None, (first.trust_sentence(values), gain)))
    told = [plan_line(section(values, "plan")), trust]
    parts += titled("Training and trust", Group(*map(plain, filter(None, told))))
    warned = list(map(str, values.get("warnings") or ()))
    if more := len(_caveats(values, {})) - len(warned):
        warned.append(f"{count(more, 'note')} on columns and what is missing: see the report")
    parts += titled("Bear in mind", bullets(_at_most(FEW, warned)))
    parts += _videos(values)
    return Group(*parts, *([Text(), plain(f"report: {report}")] if report else []))


def _videos(values: Mapping[str, Any]) -> list[RenderableType]:
    """That there are videos nobody looked at."""
    words = section(values, "videos").get("words")
    return [Text(), plain(words)] if words else []


def _plan(values: Mapping[str, Any]) -> RenderableType | None:
    told = plan_sentence(section(values, "plan"))
    return plain(told) if told else None


def _finding_part(
    kind: str, values: Mapping[str, Any], most: int, out: str, *, always: bool = False
) -> list[RenderableType]:
    """The first findings of a kind under their number; nothing for none, unless that is worth a line."""
    part = section(section(values, "first"), kind)
    rows = list(part.get("rows") or ())
    if not rows:
        return [Text(), Text(f"{first.PARTS[kind]}: {first.none_found(kind, values)}", style="bold")] if always else []
    body = Table.grid(padding=(0, 1))
    for row in rows[:most]:
        line = Text(visible(first.named(row, values)), style="bold")
        frames = first.frames_of(row)
        line.append(f", frames {frames}: " if frames else ": ", style="not bold")
        body.add_row("·", line.append(visible(first.row_words(kind, row), longest=400), style="not bold"))
    more = int(part.get("count") or 0) > most
    return titled(f"{first.title(kind, part)}{f'; all: {first.more(kind, out)}' if more else ''}", body)


def _usual(values: Mapping[str, Any]) -> RenderableType | None:
    """The usual course of the largest tasks, and what is covered twice or by nothing near."""
    courses = section(values, "first").get("courses") or ()
    told = _at_most(FEW, [f"{first.task_name(each['family'])}: {each['words']}" for each in courses])
    return bullets([*told, *first.coverage_words(values, most=5)])


def _at_most(n: int, lines: Sequence[str]) -> list[str]:
    """The first lines, and how many there are besides."""
    rest = len(lines) - n
    return [*lines] if rest <= 1 else [*lines[:n], f"{number(rest)} more: see the report"]


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
    """One of two forms of the same: the wide one where there is room for all of it, or for ``needed`` columns."""

    def __init__(self, wide: RenderableType, narrow: RenderableType, needed: int | None = None) -> None:
        self.wide, self.narrow, self.needed = wide, narrow, needed

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        needed = self.needed
        if needed is None:
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


def verdicts(rows: Mapping[str, TrustRow], values: Mapping[str, Any]) -> RenderableType:
    """Tags by trust, each with why in words; in a narrow terminal the words stand below.

    Args:
        rows: the verdicts.
        values: what ``summary.json`` holds, for alerts and the negative control.
    """
    alerts, needs = alerts_of(values), needs_of(values)
    wide: list[Sequence[RenderableType]] = []
    narrow: list[RenderableType] = []
    for row in by_trust(rows.values()):
        words = plain(in_words(row, alerts.get(row.tag, ()), needs.get(row.tag, "")))
        wide.append((_mark(row), plain(row.tag), number(row.trust_level, 2), words))
        narrow += [_line(row), Padding(words, (0, 0, 0, 3))]
    longest = max((cell_len(visible(tag)) for tag in rows), default=0)
    return Group(
        Fitting(
            grid(("", "tag", "trust", "why"), wide, numeric=(2,), whole=(1,)), Group(*narrow), needed=longest + WORDS
        ),
        *_legend(values),
    )


def forest(rows: Mapping[str, TrustRow], values: Mapping[str, Any]) -> RenderableType:
    """The verdicts with what they rest on: δ on its axis with its interval, then why in words."""
    alerts, needs = alerts_of(values), needs_of(values)
    order = by_trust(rows.values())
    head = ("", "tag", "trust", "tier", "−1      chance      1", "δ [interval]", "tagged")
    cells = [
        (
            TIER_MARKS.get(row.tier, " "),
            visible(row.tag),
            number(row.trust_level, 2),
            visible(row.tier),
            axis(row.effect, row.interval),
            effect_words(row.effect, row.interval) or NOT_ASSESSED,
            f"{number(row.n_tagged)} of {number(row.n)}",
        )
        for row in order
    ]
    lines = _aligned([head, *cells], right=(2, 6))
    wide: list[RenderableType] = [Text(lines[0], style="dim")]
    narrow: list[RenderableType] = []
    for row, each, line in zip(order, cells, lines[1:]):
        words = Padding(plain(in_words(row, alerts.get(row.tag, ()), needs.get(row.tag, ""))), (0, 0, 1, 3))
        told = Text(line)
        told.stylize(TIER_STYLES.get(row.tier, ""), 0, 1)
        wide += [told, words]
        narrow += [_line(row), Text(f"   {each[5]}  tagged {each[6]}"), Text(f"   {each[4]}"), words]
    return Group(Fitting(Group(*wide), Group(*narrow), needed=max(map(cell_len, lines))), *_legend(values, gap=False))


def axis(effect: float, interval: tuple[float, float]) -> str:
    """δ and its interval on an axis of 21 characters from −1 to 1, a tenth each.

    >>> axis(0.5, (0.3, 0.7)), axis(float("nan"), (float("nan"), float("nan")))
    ('··········│··├─●─┤···', '··········│··········')
    """
    values = (effect, *interval) if as_number(effect) is not None else ()
    place = {x: round(10 * (min(max(x, -1.0), 1.0) + 1)) for x in values if as_number(x) is not None}
    marks = ["·"] * 21
    low, high = interval
    if low in place and high in place:
        marks[place[low] : place[high] + 1] = "─" * (place[high] - place[low] + 1)
        marks[place[low]], marks[place[high]] = "├", "┤"
    marks[10] = "┼" if marks[10] == "─" else "│" if marks[10] == "·" else marks[10]
    if effect in place:
        marks[place[effect]] = "●"
    return "".join(marks)


def by_collection(values: Mapping[str, Any]) -> list[RenderableType]:
    """Trust in each collection by itself, where a folder holds several: by this a tag acts on an episode."""
    apart = section(values, "trust_by_collection")
    if not any(apart.values()):
        return []
    parts: list[RenderableType] = []
    for name, rows in apart.items():
        body = [(plain(str(tag)), number(row["trust_level"], 2)) for tag, row in sorted(rows.items())]
        parts += [plain(visible(name)), grid(("tag", "trust"), body, numeric=(1,))]
    note = "A tag acts on the weight of an episode by its trust in that episode's own collection."
    return titled("Trust in each collection by itself", Group(*parts, plain(note)))


def by_kind(rows: Mapping[str, TrustRow]) -> list[RenderableType]:
    """The effect of each tag in each kind of episode, a part a tag."""
    parts: list[RenderableType] = []
    for row in by_trust(rows.values()):
        shown, sentence = strata(row)
        if not shown:
            parts += titled(visible(row.tag), plain("Nothing is known by kind of episode."))
            continue
        wide: list[Sequence[RenderableType]] = []
        middle: list[Sequence[RenderableType]] = []
        narrow: list[Sequence[RenderableType]] = []
        for each in shown:
            effect = each.effect
            told = effect_words(effect.effect, effect.interval) or NOT_ASSESSED
            tagged = f"{number(effect.n_tagged)} of {number(effect.n)}"
            mark = Text("◆" if each.apart else " ", style="yellow")
            line = axis(effect.effect, effect.interval)
            kind = plain(", ".join(part for part in (each.family, each.rest) if part))
            wide.append((mark, kind, Text(line), told, tagged))
            name = Text("\n").join([plain(each.family), *([plain(each.rest)] if each.rest else [])])
            middle.append((mark, name, Text(line), told, tagged))
            narrow.append((mark, name, Text(f"{told}\n{tagged}")))
        head = ("", "kind of episode", "−1      chance      1", "δ [interval]", "tagged")
        full, folded = (grid(head, body, numeric=(4,), whole=(1, 2, 3)) for body in (wide, middle))
        short = grid(("", "kind of episode", "δ [interval], tagged"), narrow, whole=(2,))
        body = Fitting(full, Fitting(folded, short))
        parts += titled(visible(row.tag), Group(body, plain(sentence)))
    return [*parts, Text(), Text("◆ apart from the whole: the interval excludes the tag's δ", style="dim")]


def changes(found: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    """What became of each tag between two calibrations; what was lost comes first."""
    wide: list[Sequence[RenderableType]] = []
    narrow: list[Sequence[RenderableType]] = []
    order = sorted(found.items(), key=lambda item: (not item[1]["lost"], item[1]["status"] == "kept", item[0]))
    for tag, each in order:
        words = plain(_moved(str(each["tier_before"] or "absent"), str(each["tier_now"] or "absent")))
        if each["lost"]:
            words = Text(f"{words.plain}  LOST", style="bold red")
        trust = _moved(_or_dash(number(each["before"], 2)), _or_dash(number(each["now"], 2)))
        effect = _moved(signed(each["effect_before"]) or "–", signed(each["effect_now"]) or "–")
        overlap = {True: "overlap", False: "apart", None: ""}[each["overlap"]]
        digests = (visible(each[f"digest_{when}"] or "")[:8] for when in ("before", "now"))
        data = "the same" if each["same_data"] else _moved(*digests) if each["status"] == "kept" else each["status"]
        wide.append((plain(tag), words, plain(trust), plain(effect), overlap, plain(data)))
        told = (f"trust {trust}", f"δ {effect}", overlap and f"intervals {overlap}", f"data {data}")
        narrow.append((plain(tag), Text("\n").join([words, *(plain(part) for part in told if part)])))
    return Fitting(
        grid(("tag", "tier", "trust", "δ", "intervals", "data"), wide, whole=(0, 1, 2, 3, 4, 5)),
        grid(("tag", "before → now"), narrow, whole=(0,)),
    )


def _or_dash(shown: str) -> str:
    return "–" if shown == NOT_ASSESSED else shown


def _moved(before: str, now: str) -> str:
    return now if before == now else f"{before} → {now}"


NOTABLE: Final = 0.1
"""Departure from an even share from which a family is worth a line in a terminal; the page lists all."""

WORDS: Final = 60
"""Columns beside the name of a tag below which its words would stand in a tall ribbon; they go below it then."""


def _mark(row: TrustRow) -> Text:
    return Text(TIER_MARKS.get(row.tier, " "), style=TIER_STYLES.get(row.tier, ""))


def _line(row: TrustRow) -> Text:
    """Mark, tag, trust and tier."""
    line = _mark(row)
    line.append(f"  {visible(row.tag)}", style="bold")
    return line.append(f"  {number(row.trust_level, 2)} {visible(row.tier)}")


def _legend(values: Mapping[str, Any], *, gap: bool = True) -> list[RenderableType]:
    """How to read it, and the negative control."""
    parts: list[RenderableType] = [Text()] if gap else []
    parts.append(Text(f"{TIERS}. {COMPARISONS}", style="dim"))
    if control := shadow_sentence(section(values, "shadow")):
        parts.append(plain(control))
    return parts


def _aligned(rows: Sequence[Sequence[str]], *, right: Sequence[int]) -> list[str]:
    """Rows of cells as lines whose columns line up."""
    widths = [max(map(cell_len, column)) for column in zip(*rows)]

    def put(text: str, width: int, *, flush: bool) -> str:
        gap = " " * (width - cell_len(text))
        return gap + text if flush else text + gap

    return [
        "  ".join(put(cell, width, flush=i in right) for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
        for row in rows
    ]


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
            number(row["segment_id"]),
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
    return grid(("no.", "s", "", "segment", "why", "sure"), body, numeric=(0, 1, 5)) if body else None


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
    body = []
    for row in rows:
        name, value, between, n, _ = worth(row)
        body.append((plain(name), value, between, n))
    return grid(("", "value", "95 %", "tagged"), body, numeric=(1, 2, 3)) if body else None


def _sampling(values: Mapping[str, Any]) -> RenderableType:
    """What the weights do, and whose share of the draws they change."""
    weights = section(values, "weights")
    told = weights_sentence(weights, weights.get("n", section(values, "episodes").get("ok")))
    sentence = plain(" ".join(filter(None, (told, no_gain_sentence(values)))))
    found = [] if weights.get("uniform") else shares(weights)[0]
    # families are many, and mostly drawn evenly
    found = [each for each in found if each.kind != "family" or abs(each.drawn - each.even) > NOTABLE * each.even]
    rows = [(plain(each.name), percent(each.drawn), percent(each.even), each.times) for each in found]
    return Group(sentence, grid(("", "drawn", "even", "times"), rows, numeric=(1, 2, 3))) if rows else sentence


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


def _caveats(values: Mapping[str, Any], trust: Mapping[str, TrustRow]) -> list[str]:
    """What no other part tells."""
    alerts = [f"{tag}: {each}" for tag, told in alerts_of(values).items() if tag not in trust for each in told]
    absent = [f"{NOT_ASSESSED}: {each}" for each in values.get("not_assessed") or ()]
    return [*map(str, values.get("warnings") or ()), *_columns(values), *alerts, *absent]


def _columns(values: Mapping[str, Any]) -> list[str]:
    """What was taken for what, and what was found out about it, unless the data set is our own."""
    mapping = str(values.get("mapping") or "own")
    if mapping == "own":
        return []
    unmapped = list(map(str, values.get("unmapped") or ()))
    told = [f"column map {mapping}: {each}" for each in values.get("assumptions") or ()]
    return [*told, f"columns not used: {', '.join(unmapped)}"] if unmapped else told
