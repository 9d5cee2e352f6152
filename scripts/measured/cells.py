"""Figures of the benches as cells of tables: those that miss the aim that the bench states are bold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

Values = Mapping[str, Any]
Target = Mapping[str, Any]

SIGNS: Final = {"at least": "≥", "at most": "≤", "above": ">", "below": "<"}
NOTHING: Final = "–"


def at(values: Any, path: str) -> list[Any]:
    """All values at a path; a piece may be a pattern of the shell, and pieces are parted by ``/``.

    >>> at({"worlds": {"a": {"f1": 70.0}, "b": {"f1": 80.0}}}, "worlds/*/f1")
    [70.0, 80.0]
    """
    found = [values]
    for piece in path.split("/"):
        found = [each for value in found for key, each in _members(value) if fnmatchcase(key, piece)]
    if not found:
        raise KeyError(f"nothing at {path}")
    return found


def _members(value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return value.items()
    return ((str(k), each) for k, each in enumerate(value)) if isinstance(value, list) else ()


def told(value: Any, form: str) -> str:
    """A number as text, a share as per cent; a dash where nothing could be measured.

    >>> told(0.0712, ".0%"), told(4123.0, ",.0f"), told(None, ".2f")
    ('7 %', '4,123', '–')
    """
    if isinstance(value, list):
        value = len(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return NOTHING
    return f"{value:{form}}".replace("%", " %") if form else str(value)


def aim(target: Target | None, form: str = "") -> str:
    """A target in words; a share in per cent where its figure is."""
    if target is None:
        return ""
    limit = target["limit"]
    bound = f"{limit:,.0f}" if limit == int(limit) else f"{limit:g}"
    return f"{SIGNS[target['sense']]} " + (f"{100 * limit:g} %" if form.endswith("%") else bound)


def meets(value: float, target: Target) -> bool:
    """Whether a figure meets the bound of a target."""
    limit = target["limit"]
    tests = {"at least": value >= limit, "at most": value <= limit, "above": value > limit, "below": value < limit}
    return bool(tests[target["sense"]])


def judged(value: Any, form: str, target: Target | None) -> str:
    """A figure as text, bold if it misses its target; by the verdict of the bench, if the target holds one."""
    text = told(value, form)
    if target is None or text == NOTHING:
        return text
    met = target["met"] if "met" in target else meets(value, target)
    return text if met else f"**{text}**"


def shortfall(value: float, target: Target) -> float:
    """How far a figure is from its target, so that figures of different kinds can be put in order: 1 is on it, less
    is beyond it."""
    limit, least = target["limit"], target["sense"] in ("at least", "above")
    part, whole = (limit, value) if least else (value, limit)
    if not whole:
        return 1.0 if meets(value, target) else math.inf
    return float(part / whole)


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown.

    >>> print(grid(["a", "b"], [["1", "2"]]))
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    first, *others = (f"| {' | '.join(row)} |" for row in (head, *rows))
    return "\n".join([first, "|" + "---|" * len(head), *others])


class Row(NamedTuple):
    """A figure: its words, where it is, and how it is written."""

    words: str
    path: str
    form: str = ".2f"


def worst_first(rows: Iterable[tuple[bool, list[str]]]) -> list[list[str]]:
    """Rows in their order, but those of which one misses its aim before the others; one whose words begin with ``…``
    stays with those before it.

    Args:
        rows: whether the figure meets its aim, and the cells.
    """
    groups: list[list[tuple[bool, list[str]]]] = []
    for met, cells in rows:
        if not groups or not cells[0].startswith("…"):
            groups.append([])
        groups[-1].append((met, cells))
    groups.sort(key=lambda group: all(met for met, _ in group))
    return [cells for group in groups for _, cells in group]


def met_of(target: Target | None) -> bool:
    """Whether an aim is met; a figure without one misses none."""
    return target is None or bool(target["met"])


def bare(target: Target) -> Target:
    """The bound of a target without its verdict, for another figure."""
    return {name: target[name] for name in ("limit", "sense")}


def across(
    columns: Mapping[str, Values],
    rows: Sequence[Row],
    target: Callable[[str, str], Target | None],
    names: Mapping[str, str],
) -> str:
    """A table with a column for each source, and the aims in the last; rows that no source has are left out.

    Args:
        columns: figures of each source.
        rows: what is told.
        target: of a source and path; None if there is none.
        names: of sources, as people write them.
    """
    out = []
    for row in rows:
        cells, aims = [], []
        for name, values in columns.items():
            try:
                value = at(values, row.path)[0]
            except KeyError:
                value = None
            cells.append(judged(value, row.form, target(name, row.path)))
            aims.append(aim(target(name, row.path), row.form))
        if set(cells) != {NOTHING}:
            out.append([row.words, *cells, next(filter(None, aims), "")])
    return grid(["", *(names.get(name, name) for name in columns), "aim"], out)


def words_of(name: str) -> str:
    return name.replace("_", " ")


def digits(value: float | None) -> str:
    return ",.0f" if value is not None and abs(value) >= 100 else ".3g"


def span(value: Values, sign: str = "") -> str:
    """A figure with its interval."""
    form = f"{sign}.2f"
    return f"{told(value['value'], form)} [{told(value['low'], form)}, {told(value['high'], form)}]"
