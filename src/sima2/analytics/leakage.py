"""What a tag declares about itself tells whether it could have read what it claims to predict."""

from __future__ import annotations

import re
from typing import Final

from sima2.records.tags import TagSpec

UNCHECKED: Final = "unchecked"
NONE: Final = "none"

_OUTCOMES: Final = frozenset(
    ("outcome", "success", "damage", "reward", "mpl", "wage", "parity", "resilience", "failed", "failure", "truth")
)
"""Words, in the singular, that name how an episode ended."""
_ELSEWHERE: Final = re.compile(r"\bother (folds|episodes)\b")
"""What was learned from other episodes tells nothing of how this one ends."""


def leakage_of(spec: TagSpec) -> str:
    """``none``, or what in a declaration reads the outcome.

    >>> leakage_of(TagSpec("R", "predictive", ("prefix signals", "failure rates of other folds"), "", "damage", 1))
    'none'
    >>> leakage_of(TagSpec("R", "predictive", ("segment outcomes",), "", "damage", 1))
    'reads segment outcomes'
    """
    if spec.kind == "diagnostic":
        return f"diagnostic, reads {', '.join(spec.inputs) or 'how it went'}"
    for source in spec.inputs:
        words = {word.removesuffix("s") if not word.endswith("ss") else word for word in re.findall(r"[a-z]+", source)}
        if words & _OUTCOMES and not _ELSEWHERE.search(source):
            return f"reads {source}"
    return NONE
