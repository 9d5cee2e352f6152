"""What the numbers mean, in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from sima2.report.text import as_number, count, number, percent, visible

OUTCOME_SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "recorded": "as recorded",
        "task_sensor": "measured by the task's own sensor",
        "inferred": "inferred from the segments",
        "person": "said by a person",
        "none": "not known",
        "mixed": "from several sources",
    }
)

TIERS: Final = "● trusted above 0.8, ◐ provisional above 0.5, ○ untrusted up to 0.5"

UNIFORM: Final = "Every episode is drawn alike."


def tag_meaning(tag: str) -> str:
    """What a tag says of an episode; empty where it is not ours."""
    from sima2.tags.specs import TAGS

    return TAGS[tag].meaning if tag in TAGS else ""


def headline(summary: Mapping[str, Any]) -> str:
    """What happened, in one sentence each for intake, meaning and trust."""
    sentences = [intake_sentence(summary)]
    sentences += filter(None, [sources_sentence(summary.get("sources") or ())])
    if as_number(summary.get("segments")) is not None:
        sentences.append(
            f"{count(summary.get('frames'), 'frame')} became {count(summary['segments'], 'segment')} "
            f"and {count(summary.get('primitives'), 'primitive')}."
        )
    sentences.append(outcome_sentence(section(summary, "episode_outcomes")))
    sentences.append(trust_headline(section(summary, "trust")))
    return " ".join(sentences)


def intake_sentence(summary: Mapping[str, Any]) -> str:
    """How many episodes came and what became of them."""
    episodes = section(summary, "episodes")
    came = count(episodes.get("in"), "episode")
    set_aside = episodes.get("quarantined") or 0
    again = f", {number(episodes['skipped'])} there already" if episodes.get("skipped") else ""
    return f"{came} in, {number(episodes.get('ok'))} used, {number(set_aside)} set aside{again}."


def sources_sentence(sources: Sequence[Mapping[str, Any]]) -> str:
    """How many sources and of what, the collections in the order in which they came.

    >>> arm = {"collection": "lerobot arm3 9f2c01", "is": "monday (lerobot arm3 9f2c01)"}
    >>> sources_sentence([arm, {"collection": "made", "is": "made rollouts (synthetic)"}])
    'Of 2 sources: monday (lerobot arm3 9f2c01), and made rollouts (synthetic).'
    """
    kinds: dict[str, list[str]] = {}
    for each in sources:
        kinds.setdefault(str(each.get("collection")), []).append(str(each.get("is")))
    if not kinds:
        return ""
    told = [
        names[0] if len(names) == 1 else f"{names[0]} and {number(len(names) - 1)} more of the same collection"
        for names in kinds.values()
    ]
    return f"Of {count(len(sources), 'source')}: {', and '.join(visible(each) for each in told)}."


def outcome_sentence(outcomes: Mapping[str, Any]) -> str:
    """How episodes ended and how that is known."""
    won, lost = as_number(outcomes.get("success")) or 0, as_number(outcomes.get("failure")) or 0
    if not won + lost:
        return "How the episodes ended is not known."
    source = str(outcomes.get("source", ""))
    known = OUTCOME_SOURCES.get(source, source or "source not stated")
    open_ = as_number(outcomes.get("unknown")) or 0
    if open_:  # a share of those that are known is none of all
        told, total = number(int(won + lost)), number(int(won + lost + open_))
        return f"How they ended: {told} of {total} known ({known}): {number(int(won))} succeeded."
    return f"{percent(won / (won + lost))} succeeded ({known})."


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


NOMINAL_WANTED: Final = 59
"""Nominal episodes from which strangeness can be calibrated (split-conformal rank at 5 % with 95 % confidence)."""


def no_gain_sentence(summary: Mapping[str, Any]) -> str:
    """That tags bring no curation gain and what is missing for one; empty where a tag may act. Speaks of tags alone.

    >>> ends = {"success": 40, "failure": 0, "unknown": 0, "source": "recorded"}
    >>> no_gain_sentence({"trust": {"RiskTag": {"tier": "untrusted"}}, "episode_outcomes": ends})
    'No curation gain from tags; missing: failures (0 of 40 outcomes).'
    """
    trust = section(summary, "trust")
    apart = section(summary, "trust_by_collection").values()
    rows = [row for part in (trust, *apart) if isinstance(part, Mapping) for row in part.values()]
    if not rows or any(isinstance(row, Mapping) and row.get("tier") in ("provisional", "trusted") for row in rows):
        return ""
    missing = [*_outcomes_missing(summary), *_nominal_missing(summary), *_tagged_missing(summary)]
    words = missing or _more_outcomes(trust) or ["nothing that was counted: the tags go with no cost beyond chance"]
    return f"No curation gain from tags; missing: {', '.join(words)}."


def _outcomes_missing(summary: Mapping[str, Any]) -> list[str]:
    ends = section(summary, "episode_outcomes")
    won, lost = (int(as_number(ends.get(name)) or 0) for name in ("success", "failure"))
    recorded = as_number(section(section(summary, "first"), "outcomes").get("recorded"))
    if recorded is None:
        recorded = 0 if str(ends.get("source", "none")) in ("inferred", "none") else won + lost
    if not recorded:
        return ["outcomes"]
    known = f"0 of {count(won + lost, 'outcome')}"
    return [f"failures ({known})"] if not lost else [f"successes ({known})"] if not won else []


def _nominal_missing(summary: Mapping[str, Any]) -> list[str]:
    n = as_number(section(summary, "nominal").get("episodes"))
    return [] if n is None or n >= NOMINAL_WANTED else [f"nominal episodes ({number(int(n))} of {NOMINAL_WANTED})"]


def _tagged_missing(summary: Mapping[str, Any]) -> list[str]:
    """Tags that were looked for and found in no episode; one that can earn no trust is no loss."""
    trust = section(summary, "trust")
    none = [
        str(tag)
        for tag, row in section(summary, "tags").items()
        if row.get("assessed") and not row.get("fired") and section(trust, tag).get("reason") != "leak"
    ]
    return [f"episodes that have {listed(none)}"] if none else []


def _more_outcomes(trust: Mapping[str, Any]) -> list[str]:
    """The tag that the fewest outcomes more would settle, one that shows an effect before one that does not."""
    needs = {str(tag): section(row, "needed") for tag, row in trust.items() if isinstance(row, Mapping)}
    order = sorted((not row.get("promised"), int(row["outcomes"]), tag) for tag, row in needs.items() if row)
    if not order:
        return []
    unseen, n, tag = order[0]
    return [f"about {number(int(float(f'{n:.2g}')))} more outcomes to {'tell' if unseen else 'prove'} {tag}"]


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


def plan_sentence(plan: Mapping[str, Any]) -> str:
    """What to train on, as the plan of the run has it; empty where there is none.

    >>> actions = {"keep": 80, "trim": 5, "review": 9, "drop": 6}
    >>> plan_sentence({"actions": actions, "frames_left_out": 0.12, "moved_by": {"fact": 11, "inference": 9}})
    'Of 100 episodes keep 80 as they are, trim 5, review 9 and drop 6; 12 % of the frames weigh nothing. Moved by \
facts in 11 episodes and inferences in 9; see `sima2 plan`.'
    """
    actions = section(plan, "actions")
    total = sum(int(n) for n in actions.values())
    if not total:
        return ""
    if plan.get("even"):
        return "Nothing speaks for or against any episode: all of them weigh alike."
    kept = [f"{name} {number(actions[name])}" for name in ("trim", "review", "drop") if actions.get(name)]
    said = listed([f"keep {number(actions.get('keep', 0))} as they are", *kept])
    moved = [f"{kind}s in {number(n)}" for kind, n in section(plan, "moved_by").items()]
    if moved:
        moved[0] += " episode" if next(iter(section(plan, "moved_by").values())) == 1 else " episodes"
    lost = f"; {percent(plan.get('frames_left_out'))} of the frames weigh nothing"
    by = f" Moved by {listed(moved)}; see `sima2 plan`." if moved else ""
    return f"Of {count(total, 'episode')} {said}{lost}.{by}"


def plan_line(plan: Mapping[str, Any]) -> str:
    """The same in a line, with what lists it.

    >>> plan_line({"actions": {"keep": 80, "trim": 5, "review": 9, "drop": 0}})
    'Keep 80, trim 5, review 9: see `sima2 plan`.'
    """
    told = ", ".join(f"{name} {number(n)}" for name, n in section(plan, "actions").items() if n)
    return f"{told[:1].upper()}{told[1:]}: see `sima2 plan`." if told else ""


def tags_sentence(tags: Sequence[Mapping[str, Any]]) -> str:
    """How many tags can be tested by the labels, and what the nearest of the others needs.

    >>> row = {"tag": "OODTag", "testable": False, "more": 8, "possible": True}
    >>> tags_sentence([row, {"tag": "RecoveryTag", "testable": True, "more": 0, "possible": True}])
    '1 of 2 tags that outcomes tell of can be tested; OODTag needs at least 8 labels more of episodes drawn by lot.'
    """
    if not tags:
        return "No tag of this run rests on outcomes."
    ready = sum(bool(each["testable"]) for each in tags)
    told = f"{ready} of {len(tags)} tags that outcomes tell of can be tested"
    rest = [each for each in tags if not each["testable"]]
    open_ = min((each for each in rest if each["possible"]), key=lambda each: each["more"], default=None)
    if open_ is None:
        lack = "; of the others too few episodes have them, or lack them, for labels to tell" if rest else ""
        return f"{told}{lack}."
    return f"{told}; {open_['tag']} needs at least {open_['more']} labels more of episodes drawn by lot."
