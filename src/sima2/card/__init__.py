"""The detection card: what becomes of faults that are planted into a set's own episodes. No outcome is needed.

Each kind of fault is planted into some episodes, which then take the place of their originals in the set: what is told
of them gives the recall of each detector *on this set*. Changes that mean nothing (noise as there is, another tempo, a
frame earlier) give its false alarms. From both, and from how often it speaks up in the set itself, follows how often it
is right there, at the least (Rogan and Gladen 1978).

What this cannot show: a fault that looks like nothing that is planted here, and what a detector takes for a fault in
every copy of an episode alike: such places were never judged good, so that no harmless twin of them is looked at.
"""

from sima2.card.counts import Count, precision_of
from sima2.card.measuring import LABEL_CONFLICT, detection_card, least_sure, measured
from sima2.card.rates import Interval, precision_at_least, wilson
from sima2.card.trial import CardSettings, KnownSet
from sima2.card.verdicts import (
    BEHAVIOUR_OF,
    DROP,
    EVENTS,
    FAILED_ATTEMPT,
    FAILED_EPISODE,
    OPENED,
    UNNOTICED,
    UNNOTICED_EPISODE,
    failed_attempts,
    losses,
)

__all__ = [
    "BEHAVIOUR_OF",
    "DROP",
    "EVENTS",
    "FAILED_ATTEMPT",
    "FAILED_EPISODE",
    "LABEL_CONFLICT",
    "OPENED",
    "UNNOTICED",
    "UNNOTICED_EPISODE",
    "CardSettings",
    "Count",
    "Interval",
    "KnownSet",
    "detection_card",
    "failed_attempts",
    "least_sure",
    "losses",
    "measured",
    "precision_at_least",
    "precision_of",
    "wilson",
]
