"""Markup in which forgetting to escape is impossible: plain text is escaped, only built nodes are not."""

from __future__ import annotations

import html
from collections.abc import Iterable

from sima2.report.text import visible


class Markup(str):
    """Text that already is markup; made by :func:`node` and :func:`join` only."""

    __slots__ = ()


_VOID = frozenset({"meta", "br", "hr", "col", "link"})


def escaped(text: str) -> Markup:
    """Text made safe, with invisible characters shown; markup stays as it is.

    >>> escaped("<b>\\u202e")
    '&lt;b&gt;\\\\u202e'
    """
    return text if isinstance(text, Markup) else Markup(html.escape(visible(text, longest=4000)))


def node(name: str, /, *children: str | None, **attributes: str | float | None) -> Markup:
    """An element of HTML or SVG; in attribute names ``_`` is written ``-``, one at the end is dropped, and so is None.

    >>> node("p", "a < b", class_="note", data_n=1.50)
    '<p class="note" data-n="1.5">a &lt; b</p>'
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{join(children)}</{name}>")


def part(title: str, body: Markup | None) -> Markup | None:
    """A part of a page under its title; nothing for nothing."""
    return None if body is None else node("section", node("h2", title), body)


def aside(text: str | None) -> Markup | None:
    """A small line under another; nothing for nothing."""
    return node("small", text) if text else None


def join(parts: Iterable[str | None], between: str = "") -> Markup:
    """Parts in a row; plain ones are escaped, None is left out."""
    return Markup(between.join(escaped(part) for part in parts if part is not None))


def _attribute(value: str | float) -> str:
    if isinstance(value, str):
        return html.escape(visible(value, longest=4000))
    return f"{value:.6g}"
