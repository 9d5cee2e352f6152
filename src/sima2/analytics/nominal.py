"""Which episodes are the reference of what is ordinary."""

from __future__ import annotations

import numpy as np

from sima2.errors import RecordError
from sima2.records.arrays import Bools, Float64s
from sima2.records.table import Text

DESIGNATED = "designated reference episodes"
RECORDED = "recorded successes, for none was designated"
INFERRED = "inferred successes with no anomaly and no recovery, for no outcome was recorded"
NOTHING = "none: no success is known"


def nominal_episodes(
    success: Float64s,
    source: Text,
    designated: Bools,
    clean: Bools,
    named: Bools | None = None,
) -> tuple[Bools, str]:
    """Nominal episodes, and the rule they were chosen by; never by OOD itself, which they calibrate.

    What persons called a reference, or a success where no reference is designated, joins those of the rule and never
    replaces them: they speak of few.

    Args:
        success: 1, 0 or NaN, shape (n,).
        source: of the outcomes, shape (n,).
        designated: named as references by the source, shape (n,).
        clean: no anomaly and no recovery was seen, shape (n,).
        named: called references by persons, shape (n,).

    Returns:
        Where an episode is nominal, shape (n,), and the first rule that finds any, in words.

    Raises:
        RecordError: if the columns differ in length.
    """
    clean, designated = np.asarray(clean, np.bool_), np.asarray(designated, np.bool_)
    if not len(success) == len(source) == len(designated) == len(clean):
        lengths = (len(success), len(source), len(designated), len(clean))
        raise RecordError(f"success, source, designated and clean have {lengths} entries")
    won = success == 1
    inferred, said = source.isin("inferred"), won & source.isin("person")
    rules = ((designated, DESIGNATED), (won & ~inferred & ~said, RECORDED), (won & inferred & clean, INFERRED))
    where, rule = next(((each, words) for each, words in rules if each.any()), (np.zeros(len(won), np.bool_), NOTHING))
    if rule == DESIGNATED:
        said = np.zeros(len(won), np.bool_)
    # what a few persons say must not take the place of what is known of many
    return _joined(where, rule, said if named is None else said | named)


def _joined(where: Bools, rule: str, named: Bools | None) -> tuple[Bools, str]:
    more = 0 if named is None else int((named & ~where).sum())
    if named is None or not more:
        return np.array(where), rule
    return where | named, f"{rule}; and {more} that persons named"
