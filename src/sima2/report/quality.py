"""Which episodes may be used, and how they failed: the audit and the failures, grouped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from sima2.records.episodes import EpisodeTable
from sima2.records.plan import AuditTable
from sima2.report.links import to_episode, to_episodes
from sima2.report.markup import Markup, aside, join, node
from sima2.report.sentences import section
from sima2.report.tables import bar, table
from sima2.report.text import as_number, count, number, percent

MOST: Final = 20
"""Groups that are shown."""

STATUSES: Final = {
    "passed": "passed: they may be used as they are",
    "requires_review": "to review: a person should look at them first",
    "rejected": "rejected: they are no valid episodes",
}


class Group(NamedTuple):
    """Episodes that the auditor said the same of."""

    reason: str
    episodes: int
    asks: int
    """Of these, how many did not pass."""
    example: str
    """The one of least quality."""


def grouped(audit: AuditTable) -> list[Group]:
    """The auditor's reasons with their episodes, the most frequent first.

    An episode with several reasons counts for each. Those set aside count by their reason code alone.
    """
    order = np.argsort(audit.quality, kind="stable")
    n = Counter[str]()
    asks = Counter[str]()
    example: dict[str, tuple[float, str]] = {}
    codes, names = audit.reasons.codes[order], audit.reasons.names
    passed = audit.status.isin("passed")[order]
    unique, first_at, which, times = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    doubtful = np.bincount(which, weights=~passed, minlength=len(unique))
    for code, first, k, open_ in zip(unique, first_at, times, doubtful):
        worst = int(order[first])
        quality, name = float(audit.quality[worst]), audit.episode_id[worst]
        for reason in _parts(names[int(code)]):
            n[reason] += int(k)
            asks[reason] += int(open_)
            example[reason] = min(example.get(reason, (quality, name)), (quality, name))
    return [
        Group(reason, n[reason], asks[reason], example[reason][1]) for reason in sorted(n, key=lambda r: (-n[r], r))
    ]


def _such_as(example: str) -> Markup:
    return node("small", "such as ", to_episode(example))


def _parts(reasons: str) -> list[str]:
    # the message of what was set aside is free text and may hold the separator
    if reasons.startswith("quarantined, "):
        return [reasons.split(":")[0]]
    return list(dict.fromkeys(part for part in reasons.split("; ") if part))


def audited(summary: Mapping[str, Any], audit: AuditTable) -> Markup | None:
    """Verdicts counted, and what led to them; None where nothing was audited."""
    counts = section(summary, "audit")
    found = grouped(audit)
    if not counts and not found:
        return None
    told = [
        node("li", f"{number(counts.get(status, 0))} {meaning}")
        for status, meaning in STATUSES.items()
        if as_number(counts.get(status))
    ]
    rows = [
        (node("span", group.reason, _such_as(group.example)), number(group.episodes), number(group.asks))
        for group in found[:MOST]
    ]
    rest = len(found) - len(rows)
    return join(
        [
            node("ul", *told) if told else None,
            table(("reason", "episodes", "did not pass"), rows, numeric=(1, 2)) if rows else None,
            node("p", f"{count(rest, 'more reason')} in audit.parquet.", class_="muted") if rest else None,
        ]
    )


def failures(summary: Mapping[str, Any], episodes: EpisodeTable) -> Markup | None:
    """By reason, and by family; None where nothing failed."""
    parts = [_by_reason(section(summary, "failure_reasons"), episodes), _by_family(episodes)]
    if not any(parts):
        return None
    return node("div", *parts, class_="columns") if all(parts) else join(parts)


def _by_reason(steps: Mapping[str, Any], episodes: EpisodeTable) -> Markup | None:
    """Steps that failed for each reason, and failed episodes whose last failed step did."""
    known = {str(reason): int(as_number(n) or 0) for reason, n in steps.items()}
    failed = episodes.take(np.flatnonzero(episodes.success == 0))
    last = Counter(failed.failure_reason)
    if not known and not last:
        return None
    unseen = last.pop("", 0)
    most = max(known.values(), default=0)
    order = sorted({*known, *last}, key=lambda reason: (-known.get(reason, 0), -last[reason], reason))
    rows = [
        (
            to_episodes(reason.replace("_", " "), why=reason) if last[reason] else reason.replace("_", " "),
            bar(known.get(reason, 0) / most if most else 0),
            number(known.get(reason, 0)),
            number(last[reason]) if len(failed) else "",
        )
        for reason in order[:MOST]
    ]
    notes = [
        "Steps: every attempt that went wrong, those mended later too. Episodes: by their last failed step.",
        f"In {count(unseen, 'failed episode')} no step was seen to fail." if unseen else "",
        f"{count(len(order) - MOST, 'more reason')}." if len(order) > MOST else "",
    ]
    return node(
        "div",
        table(("reason", "", "failed steps", "failed episodes"), rows, numeric=(2, 3)),
        node("p", " ".join(each for each in notes if each), class_="muted"),
    )


def _by_family(episodes: EpisodeTable) -> Markup | None:
    """Success of each family, the one that fails most first."""
    rows = []
    known = ~np.isnan(episodes.success)
    for name in sorted(set(episodes.family)):
        mine = episodes.family.isin(name) & known
        lost = mine & (episodes.success == 0)
        reasons = Counter(reason for reason in episodes.take(np.flatnonzero(lost)).failure_reason if reason)
        n, failed = int(mine.sum()), int(lost.sum())
        if n:
            common = reasons.most_common(1)[0][0].replace("_", " ") if reasons else ""
            rows.append((failed / n, name, failed, n, common))
    if not any(row[2] for row in rows):
        return None
    rows.sort(key=lambda row: (-row[0], row[1]))
    body = [
        (
            node(
                "span",
                to_episodes(name.replace("_", " "), task=name),
                aside(f"most often {common}" if common else None),
            ),
            bar(share),
            f"{number(failed)} of {number(n)}",
            percent(share),
        )
        for share, name, failed, n, common in rows[:MOST]
    ]
    rest = len(rows) - len(body)
    return node(
        "div",
        table(("family", "", "failed", "share"), body, numeric=(2, 3)),
        node("p", f"{count(rest, 'more family', 'more families')}.", class_="muted") if rest else None,
    )
