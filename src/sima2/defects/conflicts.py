"""Recorded outcomes that contradict what the motion tells: findings with the evidence of both sides."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from sima2.defects.findings import Finding, table_of
from sima2.records.courses import Endings
from sima2.records.defects import DefectTable
from sima2.records.episodes import EpisodeTable

LEAST: Final = 0.7
"""Confidence of the inference from which on the two are set against each other."""
FEWEST: Final = 5
"""Fewer outcomes recorded one way do not tell whether the inference sees them,"""
SEES: Final = 1 / 3
"""… more do: it agrees with no less of them, as far as it says anything."""
NO_LABEL: Final = ("none", "inferred", "task_sensor", "person")
"""Sources of an outcome that nobody wrote down: nothing, the inference itself, and a measurement; and a person who
looked, which settles the conflict."""
WORDS: Final = {1.0: "success", 0.0: "failure"}


class Conflicts(NamedTuple):
    """What was found, and how many were not counted because the inference proved blind here."""

    found: DefectTable
    doubted: int


def label_conflicts(episodes: EpisodeTable, ended: Endings, least: float = LEAST) -> Conflicts:
    """A finding for each recorded outcome that the inference contradicts; its confidence is the severity.

    An inference that contradicts most of what was recorded one way sees nothing of it here, and is not set against it.

    Args:
        episodes: with both outcomes.
        ended: by which segments they ended; has all of ``episodes``.
        least: confidence from which on an inference counts.
    """
    sure = np.round(episodes.inferred_confidence.astype(np.float64), 3)
    counts = ~episodes.outcome_source.isin(*NO_LABEL) & (sure >= least)
    agrees = counts & (episodes.success == episodes.inferred_success)
    against = counts & (np.abs(episodes.success - episodes.inferred_success) == 1)
    blind = np.zeros(len(episodes), np.bool_)
    for told in WORDS:
        same = episodes.success == told
        known = int((same & (agrees | against)).sum())
        if known >= FEWEST and (same & agrees).sum() < SEES * known:
            blind |= same & against
    place = dict(zip(ended.episode_id, range(len(ended)), strict=True))
    rows = np.flatnonzero(against & ~blind).tolist()
    found = [_finding(episodes, ended, i, place[episodes.episode_id[i]], float(sure[i])) for i in rows]
    return Conflicts(table_of(found, episodes.episode_index, episodes.episode_id), int(blind.sum()))


def _finding(episodes: EpisodeTable, ended: Endings, i: int, k: int, sure: float) -> Finding:
    told, inferred = (WORDS[float(x[i])] for x in (episodes.success, episodes.inferred_success))
    lost = inferred == "failure"
    label, start, end = (
        (ended.failed[k], int(ended.failed_start[k]), int(ended.failed_end[k]))
        if lost
        else (ended.last[k], int(ended.last_start[k]), int(ended.last_end[k]))
    )
    source = episodes.outcome_source[i]
    said = f"recorded as a {told}" if source == "recorded" else f"called a {told} by a {source.replace('_', ' ')}"
    words = f"{said}, inferred a {inferred} ({sure:.2g}): {reason(ended, k) if lost else _well(label)}"
    whole = (0, int(episodes.frames[i]))
    span = (start, end) if label and end > start else whole
    return Finding(i, "", "label_conflict", sure, *span, sure, "probability of the inferred outcome", words)


def reason(ended: Endings, k: int) -> str:
    """By what an episode is taken for a failure, in words."""
    if not ended.failed[k]:
        return "no step tells that it was done"
    why = ended.failed_because[k].replace("_", " ")
    return f"its last failed step is a {ended.failed[k].replace('_', ' ')}{f' ({why})' if why else ''}"


def _well(label: str) -> str:
    return f"its last {label.replace('_', ' ')} went well, and nothing failed after it" if label else "nothing failed"
