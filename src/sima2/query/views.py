"""Views that answer what people ask first, as SQL over the tables of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sima2.records.primitives import AMBIGUOUS_BELOW
from sima2.records.vocabulary import CONTACT_ACTIONS


@dataclass(frozen=True, slots=True)
class View:
    """A named question."""

    name: str
    meaning: str
    sql: str
    """Over tables in which what is not known is NULL."""
    example: str
    of: str
    """Table that its columns are of first of all."""
    columns: Mapping[str, str]
    """What those columns mean that are not of a table."""


_WHERE: Final = "episode_index, episode_id, manipulator"
_CONTACT: Final = ", ".join(f"'{label}'" for label in CONTACT_ACTIONS)

FAILED_EPISODES: Final = View(
    "failed_episodes",
    "Episodes that ended in failure, with the last of their steps that failed.",
    """
    SELECT e.episode_index, e.episode_id, e.family, e.outcome_source, e.failure_reason,
           s.label AS failed_label, s.object AS failed_object, s.start_frame, s.end_frame
    FROM episodes e LEFT JOIN (
        SELECT * FROM segments WHERE outcome IN ('failure', 'retry')
        QUALIFY row_number() OVER (PARTITION BY episode_id
                                   ORDER BY end_frame DESC, start_frame DESC, manipulator, segment_id) = 1
    ) s USING (episode_id)
    WHERE e.success = 0""",
    "SELECT failed_label, count(*) FROM failed_episodes GROUP BY ALL",
    "episodes",
    {
        "failed_label": "Label of the last segment that failed; NULL where none did.",
        "failed_object": "Its object.",
    },
)
ATTEMPTS: Final = View(
    "attempts",
    "Every action with contact (grasp, lift, place, …) with its number among those of its label in the episode.",
    f"""
    SELECT {_WHERE}, label, object,
           row_number() OVER (PARTITION BY episode_id, label ORDER BY start_frame, manipulator, segment_id) AS number,
           count(*) OVER (PARTITION BY episode_id, label) AS in_all,
           outcome, failure_reason, start_frame, end_frame, start_t, end_t, confidence, segment_id
    FROM segments WHERE label IN ({_CONTACT})""",
    "SELECT episode_id FROM attempts WHERE label = 'grasp' AND number = 2 AND outcome = 'success'",
    "segments",
    {
        "number": "Which of its label it is in the episode, from 1, by first frame (arms by name where equal).",
        "in_all": "How many of its label the episode has.",
    },
)
RECOVERIES: Final = View(
    "recoveries",
    "Attempts that failed, and whose next one at the same action and object by the same arm succeeded.",
    f"""
    SELECT {_WHERE}, label, object, failure_reason, start_frame, end_frame, again_start_frame, again_end_frame,
           again_start_t - end_t AS seconds
    FROM (
        SELECT *, lead(outcome) OVER again AS again_outcome, lead(start_frame) OVER again AS again_start_frame,
               lead(end_frame) OVER again AS again_end_frame, lead(start_t) OVER again AS again_start_t
        FROM segments
        WINDOW again AS (PARTITION BY episode_id, manipulator, label, object ORDER BY start_frame, segment_id)
    ) WHERE outcome = 'retry' AND again_outcome = 'success'""",
    "SELECT episode_id, label, seconds FROM recoveries ORDER BY seconds DESC LIMIT 10",
    "segments",
    {
        "again_start_frame": "First frame of the attempt that succeeded.",
        "again_end_frame": "One past its last frame.",
        "seconds": "From the end of the failed attempt to the start of the next, in s.",
    },
)
DOUBTFUL: Final = View(
    "doubtful",
    f"Segments whose label is more likely wrong than right (confidence below {AMBIGUOUS_BELOW:g}).",
    f"""
    SELECT {_WHERE}, label, object, outcome, confidence, start_frame, end_frame, segment_id
    FROM segments WHERE confidence < {AMBIGUOUS_BELOW!r}""",
    "SELECT label, count(*) FROM doubtful GROUP BY ALL",
    "segments",
    {},
)
TO_REVIEW: Final = View(
    "to_review",
    "Episodes that the plan wants a person to look at, and why.",
    """
    SELECT p.episode_index, p.episode_id, e.family, e.success, p.weight, p.codes, p.words
    FROM plan p LEFT JOIN episodes e USING (episode_id) WHERE p.action = 'review'""",
    "SELECT codes, count(*) FROM to_review GROUP BY ALL",
    "plan",
    {},
)


def views(thresholds: Mapping[str, float]) -> tuple[View, ...]:
    """All views.

    Args:
        thresholds: of tags by name; a tag is given where its level is above this.

    >>> [view.name for view in views({"OODTag": 0.95})]
    ['failed_episodes', 'attempts', 'recoveries', 'doubtful', 'to_review', 'given_tags']
    """
    rows = ", ".join(f"({_quoted(name)}, {float(level)!r})" for name, level in thresholds.items())
    given = View(
        "given_tags",
        "Tags that were given: assessed, and with a level above the threshold of the tag.",
        f"""
        SELECT t.episode_index, t.episode_id, t.tag, t.level, t.severity, t.source, t.start_frame, t.end_frame,
               t.details
        FROM tags t JOIN (VALUES {rows or "('', 1.0)"}) AS least(tag, threshold) USING (tag)
        WHERE t.level > least.threshold""",
        "SELECT tag, count(DISTINCT episode_id) FROM given_tags GROUP BY ALL",
        "tags",
        {},
    )
    return (FAILED_EPISODES, ATTEMPTS, RECOVERIES, DOUBTFUL, TO_REVIEW, given)


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"
