"""What tags ask a person to look at: by their trust, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from sima2.records.arrays import Bools
from sima2.records.episodes import EpisodeTable
from sima2.records.tags import TagSpec, TagTable
from sima2.records.trust import TrustMatrix, TrustRow
from sima2.sampling.plan import Asked
from sima2.sampling.pool import given_levels, tested_apart
from sima2.sampling.weight_settings import PROVISIONAL, TRUSTED

SEVERE: Final = "severe_tag"
"""Rule of all tags that ask for looks and have none of their own (``TagReview.rule``)."""


def tag_reviews(
    episodes: EpisodeTable, tags: TagTable, trust: Mapping[str, TrustRow], specs: Mapping[str, TagSpec]
) -> tuple[Asked, ...]:
    """Episodes that have a provisional tag, or a trusted one whose severity asks for a look.

    Args:
        episodes: n of them.
        tags: theirs.
        trust: by tag; one that is missing is untrusted. Of several collections each goes by its own.
        specs: what the tags declare.
    """
    n = len(episodes)
    apart = tested_apart(episodes, trust) if isinstance(trust, TrustMatrix) else ()
    given = given_levels(tags, episodes.episode_id, specs)
    severe = _severe(episodes, tags, specs)
    provisional: dict[str, Bools] = {}
    trusted: dict[str, Bools] = {}
    for member, rows in apart or ((np.ones(n, np.bool_), trust),):
        for tag, level in given.items():
            earned = rows[tag].trust_level if tag in rows else 0.0
            if PROVISIONAL < earned <= TRUSTED:
                provisional[tag] = provisional.get(tag, np.zeros(n, np.bool_)) | (member & (level > 0))
            if tag in severe and earned > TRUSTED:
                trusted[tag] = trusted.get(tag, np.zeros(n, np.bool_)) | (member & severe[tag])
    own = {tag: spec.review.rule for tag, spec in specs.items() if spec.review and spec.review.rule != SEVERE}
    shared = {tag: where for tag, where in trusted.items() if tag not in own}
    return (
        Asked("provisional_tags", *_named(provisional, n, "has provisional tags")),
        *(Asked(rule, trusted.get(tag, np.zeros(n, np.bool_)), {}) for tag, rule in own.items()),
        Asked(SEVERE, *_named(shared, n, "severe by trusted tags")),
    )


def _severe(episodes: EpisodeTable, tags: TagTable, specs: Mapping[str, TagSpec]) -> dict[str, Bools]:
    """Of each tag that asks for looks, the episodes in which a row that is given is as severe as that, shape (n,)."""
    out = {}
    for tag, spec in specs.items():
        if spec.review is not None:
            rows = tags.take(tags.tag.isin(tag) & (np.nan_to_num(tags.severity) > spec.review.severity))
            out[tag] = given_levels(rows, episodes.episode_id, {tag: spec})[tag] > 0
    return out


def _named(tags: Mapping[str, Bools], n: int, words: str) -> tuple[Bools, dict[int, str]]:
    """Episodes that have any of the tags, shape (n,), and words that name those of each."""
    where = np.any([np.zeros(n, np.bool_), *tags.values()], axis=0)
    return where, {
        i: f"{words}: " + ", ".join(tag for tag, has in tags.items() if has[i]) for i in np.flatnonzero(where).tolist()
    }
