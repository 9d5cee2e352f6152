"""What persons say of an outcome, against what was recorded and against each other: facts, for they looked."""

from __future__ import annotations

from typing import Final

import numpy as np

from sima2.defects.findings import Finding, table_of
from sima2.records.defects import DefectTable
from sima2.records.episodes import EpisodeTable
from sima2.records.labels import SaidTable

WORDS: Final = {1.0: "success", 0.0: "failure"}
RECORDED: Final = ("recorded", "task_sensor")
"""Sources of an outcome that stood before a person spoke."""
DISPUTED: Final = 0.5
"""Severity of a dispute: one of two is wrong."""


def said_otherwise(episodes: EpisodeTable, said: SaidTable) -> DefectTable:
    """A finding for each recorded outcome that a person says otherwise, and for each that persons disagree on.

    Args:
        episodes: with outcomes as they were before anybody spoke.
        said: of any episodes; those that are not here are left aside.
    """
    at = {name: i for i, name in enumerate(episodes.episode_id)}
    recorded = episodes.outcome_source.isin(*RECORDED)
    found = []
    columns = zip(said.episode_id, said.success.tolist(), said.disputed.tolist(), said.failed_at_frame.tolist())
    for name, success, disputed, frame in columns:
        i = at.get(name, -1)
        if i < 0:
            continue
        before = float(episodes.success[i])
        was = WORDS.get(before, "") if recorded[i] else ""
        whole = (0, int(episodes.frames[i]))
        span: tuple[int, int] = (frame, whole[1]) if 0 <= frame < whole[1] else whole
        if disputed:
            words = "persons disagree on how it ended: not known until that is settled"
            words += f"; it was recorded as a {was}" if was else ""
            found.append(Finding(i, "", "outcome_disputed", DISPUTED, *whole, 2.0, "outcomes said", words))
        elif was and np.isfinite(success) and success != before:
            sensor = "measured" if episodes.outcome_source[i] == "task_sensor" else "recorded"
            words = f"{sensor} as a {was}, called a {WORDS[success]} by a person"
            found.append(Finding(i, "", "outcome_overridden", 1.0, *span, success, "outcome said", words))
    return table_of(found, episodes.episode_index, episodes.episode_id)
