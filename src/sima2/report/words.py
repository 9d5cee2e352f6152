"""What the numbers mean, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from sima2.report.text import as_number, count, number, percent

TRUST_REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ok": "The tag goes with the outcome it declares, beyond chance, within every kind of task.",
        "not_significant": "The difference could be chance; the tag earns nothing until more episodes show otherwise.",
        "wrong_direction": "The tag goes with the opposite of what it declares.",
        "leak": "The tag reads the outcome, so agreeing with it proves nothing; it is reported only.",
        "suspect_leak": "The agreement is too good to be a prediction; check what the tag is computed from.",
        "self_referential": "The outcome was inferred from the same segments as the tag; trust stays at 0.5 or below.",
        "not_assessed": "The tag could be assessed on no episode whose cost is known; `explain` says what it lacked.",
        "no_outcome": "No outcome is known, so nothing can be tested; record one or pass --outcomes.",
        "constant_tag": "The tag marks all episodes or none, so there is nothing to compare.",
        "constant_within_strata": "Each kind of task has only tagged episodes or only untagged ones.",
        "constant_outcome": "Every episode came out alike, so there is nothing to predict.",
        "too_few": "There are too few episodes with or without the tag to tell.",
    }
)
"""What a person should make of each reason code of a trust row."""

TAG_MEANINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "RiskTag": "likely to fail or do damage, judged before the first contact",
        "FragilityTag": "acts on something that has often failed that way",
        "OODTag": "looks, moves or lasts unlike the nominal episodes",
        "RecoveryTag": "failed, corrected itself and then succeeded",
        "LuckySuccessTag": "succeeded against high risk and without a correction",
    }
)

OUTCOME_SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "recorded": "as recorded",
        "task_sensor": "measured by the task's own sensor",
        "inferred": "inferred from the segments",
        "none": "not known",
        "mixed": "from several sources",
    }
)

TIERS: Final = "● trusted above 0.8, ◐ provisional above 0.5, ○ untrusted up to 0.5"

TRUST_EXPLAINED: Final = (
    "δ is how much likelier a tagged episode costs more (in the direction the tag declares) than an untagged "
    "one of the same task, robot and session: 0 is chance, 1 is always. The line is the interval; its lower end "
    "decides. Noise does not pass: a tag that may be chance, reads the outcome, or points the wrong way gets 0."
)

UNIFORM: Final = "No tag is trusted enough to prefer one episode to another, so every episode is drawn alike."


def trust_sentence(reason: str, note: str, trust: float | None = None) -> str:
    """The sentence for a reason code; the note of the row where the code is a new one."""
    if reason == "ok" and trust is not None and trust <= 0.5:
        return "The tag goes with the outcome it declares, but too weakly, or in too few episodes, to lean on it."
    return TRUST_REASONS.get(reason) or note or reason.replace("_", " ")


def impact_sentence(cost_field: str, difference: float) -> str:
    """What a tag is worth in the unit of its cost.

    >>> impact_sentence("damage", -1.5)
    'damage: 1.5 less with the tag than without'
    """
    side = "more" if difference > 0 else "less"
    return f"{cost_field.replace('_', ' ')}: {number(abs(difference))} {side} with the tag than without"


def headline(summary: Mapping[str, Any]) -> str:
    """What happened, in one sentence each for intake, meaning and trust."""
    episodes = section(summary, "episodes")
    came = count(episodes.get("in"), "episode")
    set_aside = episodes.get("quarantined") or 0
    sentences = [f"{came} in, {number(episodes.get('ok'))} used, {number(set_aside)} set aside."]
    if as_number(summary.get("segments")) is not None:
        sentences.append(
            f"{count(summary.get('frames'), 'frame')} became {count(summary['segments'], 'segment')} "
            f"and {count(summary.get('primitives'), 'primitive')}."
        )
    sentences.append(outcome_sentence(section(summary, "episode_outcomes")))
    sentences.append(trust_headline(section(summary, "trust")))
    return " ".join(sentences)


def outcome_sentence(outcomes: Mapping[str, Any]) -> str:
    """How episodes ended and how that is known."""
    won, lost = as_number(outcomes.get("success")) or 0, as_number(outcomes.get("failure")) or 0
    if not won + lost:
        return "How the episodes ended is not known."
    source = str(outcomes.get("source", ""))
    known = OUTCOME_SOURCES.get(source, source or "source not stated")
    open_ = as_number(outcomes.get("unknown")) or 0
    rest = f", {number(int(open_))} not known" if open_ else ""
    return f"{percent(won / (won + lost))} succeeded ({known}){rest}."


def trust_headline(trust: Mapping[str, Any]) -> str:
    """Which tags may be leaned on."""
    by_tier: dict[str, list[str]] = {}
    for tag, row in trust.items():
        by_tier.setdefault(str(row.get("tier", "untrusted")), []).append(str(tag))
    if not trust:
        return "No tag was tested."
    parts = [
        f"{listed(by_tier[tier])} {_is(by_tier[tier])} {tier}" for tier in ("trusted", "provisional") if tier in by_tier
    ]
    if not parts:
        return "No tag has earned trust."
    return f"{listed(parts)}; {number(len(by_tier.get('untrusted', [])))} of {len(trust)} tags are untrusted."


def weights_sentence(weights: Mapping[str, Any], n: Any) -> str:
    """What the sampling weights do."""
    if weights.get("uniform"):
        return UNIFORM
    if not weights:
        return "No weights were made."
    total = as_number(n)
    largest = as_number(weights.get("largest"))
    # a probability is below 1 and a multiple of an even share never is, so either may be given
    share = None if largest is None or not total else largest if largest >= 1 else largest * total
    times = f"up to {number(share, 2)} × an even share" if share is not None else "unevenly"
    return (
        f"Episodes are drawn {times}; the effective sample size is "
        f"{number(weights.get('effective_sample_size'))} of {number(n)}."
    )


def defects_sentence(kinds: Mapping[str, Any]) -> str:
    """What was found wrong with the data, most episodes first; empty where nothing was.

    >>> defects_sentence({"idle": {"findings": 3, "episodes": 2}, "teleport": {"findings": 9, "episodes": 4}})
    'Defects: teleport in 4 episodes, idle in 2; see `sima2 audit`.'
    """
    known = {str(kind): as_number(row.get("episodes")) or 0 for kind, row in kinds.items() if isinstance(row, Mapping)}
    order = sorted((kind for kind, n in known.items() if n), key=lambda kind: (-known[kind], kind))
    if not order:
        return ""
    parts = [f"{kind.replace('_', ' ')} in {number(int(known[kind]))}" for kind in order]
    parts[0] += " episode" if known[order[0]] == 1 else " episodes"
    return f"Defects: {', '.join(parts)}; see `sima2 audit`."


def listed(names: list[str]) -> str:
    """Names as a list in prose.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def section(summary: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of the summary, empty where the run had none."""
    value = summary.get(name)
    return value if isinstance(value, Mapping) else {}


def _is(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
