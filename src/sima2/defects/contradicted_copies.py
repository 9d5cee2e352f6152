"""Copies of one recording that are said to have ended otherwise: one outcome is wrong, and no data tell which."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from sima2.defects.duplicates import content_keys
from sima2.defects.findings import Finding, table_of
from sima2.defects.outcome_overrides import WORDS
from sima2.records.defects import DefectTable, EpisodeMeasures
from sima2.records.episodes import EpisodeTable


def contradicted(episodes: EpisodeTable, measures: Iterable[EpisodeMeasures]) -> DefectTable:
    """A finding for each episode of which a copy, bit for bit, has the opposite outcome.

    All of them are found, the first too: to keep one would be to choose the outcome by place. Where a person said how
    one of them ended, that holds, and only what contradicts it is found.

    Args:
        episodes: with outcomes as they count, those of persons among them.
        measures: of the same episodes, in any parts.
    """
    at = {name: i for i, name in enumerate(episodes.episode_id)}
    said = episodes.outcome_source.isin("person")
    groups: dict[tuple[str, ...], list[int]] = {}
    for part in measures:
        for name, (_, *key) in content_keys(part).items():  # a copy may tell of another robot
            i = at.get(name, -1)
            if i >= 0 and float(episodes.success[i]) in WORDS:
                groups.setdefault(tuple(key), []).append(i)
    found = []
    for rows in groups.values():
        of_persons = {float(episodes.success[i]) for i in rows if said[i]}
        for i in rows:
            own = float(episodes.success[i])
            other = next((k for k in rows if float(episodes.success[k]) != own and (said[k] or not of_persons)), None)
            if other is None or (said[i] and len(of_persons) < 2):
                continue
            words = (
                f"the recording of {episodes.episode_id[other]} bit for bit, which is said to be a "
                f"{WORDS[float(episodes.success[other])]}, this a {WORDS[own]}: say which is right"
            )
            whole = (0, int(episodes.frames[i]))
            found.append(Finding(i, "", "outcome_contradicted", 1.0, *whole, float(len(rows)), "copies", words))
    return table_of(found, np.asarray(episodes.episode_index), episodes.episode_id)
