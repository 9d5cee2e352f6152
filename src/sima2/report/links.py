"""Addresses within the page: of an episode, of a frame of it, and of all episodes that have something in common."""

from __future__ import annotations

from urllib.parse import quote

from sima2.report.markup import Markup, node
from sima2.report.page_data import LONGEST
from sima2.report.text import visible


def to_episode(name: str, words: str | Markup | None = None, *, frame: int | None = None) -> Markup:
    """A link to an episode, and to a frame of it.

    >>> to_episode("e-7", frame=12)
    '<a href="#episode=e-7&amp;frame=12">e-7</a>'
    """
    at = "" if frame is None else f"&frame={frame}"
    return node("a", name if words is None else words, href=f"#episode={_quoted(name)}{at}")


def to_episodes(words: str | Markup, **wanted: str) -> Markup:
    """A link to the episodes that a filter of the page leaves.

    >>> to_episodes("3", defect="idle")
    '<a href="#defect=idle">3</a>'
    """
    return node("a", words, href="#" + "&".join(f"{name}={_quoted(value)}" for name, value in wanted.items()))


def _quoted(value: str) -> str:
    return quote(visible(value, longest=LONGEST), safe="")
