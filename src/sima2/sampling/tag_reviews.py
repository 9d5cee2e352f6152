"""What tags ask a person to look at: by their trust, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from sima2.records.arrays import Bools
from sima2.records.episodes import EpisodeTable
from sima2.records.tags import TagTable
from sima2.records.trust import TrustMatrix, TrustRow
from sima2.sampling.plan import Asked
from sima2.sampling.pool import given_levels, tested_apart
from sima2.sampling.weight_settings import PROVISIONAL, TRUSTED

STRANGE: Final = "OODTag"
SEVERE: Final = 0.9
"""Severity of a trusted OODTag above which a person should look."""


def tag_reviews(
    episodes: EpisodeTable, tags: TagTable, trust: Mapping[str, TrustRow], thresholds: Mapping[str, float]
) -> tuple[Asked, ...]:
    """Episodes that have a provisional tag, or are very strange by a trusted one.

    Args:
        episodes: n of them.
        tags: theirs.
        trust: by tag; one that is missing is untrusted. Of several collections each goes by its own.
        thresholds: level above which a tag is given.
    """
    n = len(episodes)
    apart = tested_apart(episodes, trust) if isinstance(trust, TrustMatrix) else ()
    given = given_levels(tags, episodes.episode_id, thresholds)
    severe = tags.take(tags.tag.isin(STRANGE) & (np.nan_to_num(tags.severity) > SEVERE))
    strange = given_levels(severe, episodes.episode_id, thresholds).get(STRANGE, np.zeros(n)) > 0
    provisional: dict[str, Bools] = {}
    very = np.zeros(n, np.bool_)
    for member, rows in apart or ((np.ones(n, np.bool_), trust),):
        for tag, level in given.items():
            earned = rows[tag].trust_level if tag in rows else 0.0
            if PROVISIONAL < earned <= TRUSTED:
                provisional[tag] = provisional.get(tag, np.zeros(n, np.bool_)) | (member & (level > 0))
            if tag == STRANGE and earned > TRUSTED:
                very |= member & strange
    where = np.any([np.zeros(n, np.bool_), *provisional.values()], axis=0)
    names = {
        i: "has provisional tags: " + ", ".join(tag for tag, has in provisional.items() if has[i])
        for i in np.flatnonzero(where).tolist()
    }
    return Asked("provisional_tags", where, names), Asked("severe_ood", very, {})
