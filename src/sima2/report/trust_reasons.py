"""Why a tag has the trust it has: what was seen and what to do about it, built once for page and terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sima2.records.econ import AFTER_FAILURE
from sima2.records.tags import TagSpec
from sima2.records.trust import TrustRow
from sima2.report.sentences import listed
from sima2.report.text import as_number, count, number

LEAST_BOUND: Final = 0.172
"""Lower bound of δ (AUROC 0.586) that gives trust 0.5; an interval that ends below it leaves no room for any tier."""

MOST_TIMES: Final = 100
"""So many times the episodes at hand are still worth a number; beyond it the estimate tells nothing."""


_MORE_EPISODES: Final = frozenset({"not_significant", "too_few"})
"""Reasons whose advice is more episodes, of which a number says more."""


class Why(NamedTuple):
    """A verdict in words."""

    seen: str
    """A sentence: what was seen."""
    act: str = ""
    """A sentence: what to do; empty where there is nothing to do."""


_FIELDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "success": ("success", ""),
        "duration_s": ("duration", "s"),
        "mpl": ("task units per hour", ""),
        "energy_wh": ("energy", "Wh"),
        "damage": ("damage", "currency"),
        "wage_parity": ("robot wage over human wage", ""),
        "resilience": ("value kept after a failure", ""),
        AFTER_FAILURE: ("task units per hour after the failure", ""),
    }
)
"""Cost fields in prose, with their units."""

COMPARISONS: Final = (
    "A comparison takes a tagged and an untagged episode of the same task, robot and session; ties count half. "
    "δ is the surplus: 0 is chance (50 of 100), 1 is always."
)


def field_words(cost_field: str) -> str:
    """A cost field in prose.

    >>> field_words("duration_s"), field_words("scrap_rate")
    ('duration', 'scrap rate')
    """
    return _FIELDS.get(cost_field, (cost_field.replace("_", " "), ""))[0]


def _capital(cost_field: str) -> str:
    words = field_words(cost_field)
    return f"{words[:1].upper()}{words[1:]}"


def signed(value: Any) -> str:
    """δ to two digits after the point, so that rows line up.

    >>> signed(0.4123), signed(-0.001), signed(-0.25)
    ('0.41', '0.00', '−0.25')
    """
    x = as_number(value)
    if x is None:
        return ""
    return f"{round(x, 2) + 0.0:.2f}".replace("-", "−")


def effect_words(effect: Any, interval: tuple[Any, Any]) -> str:
    """δ with its interval; empty where it is not known.

    >>> effect_words(0.4, (0.3, 0.5)), effect_words(0.4, (float("nan"), 0.5)), effect_words(float("nan"), (-1.0, 1.0))
    ('0.40 [0.30, 0.50]', '0.40', '')
    """
    if as_number(effect) is None:
        return ""
    low, high = map(signed, interval)
    return f"{signed(effect)} [{low}, {high}]" if low and high else signed(effect)


def impact(row: TrustRow) -> str:
    """What the tag goes with, in the unit of its cost; empty where that may be chance or is not known."""
    x = as_number(row.economic_impact)
    if x is None or not row.trust_level > 0:
        return ""
    side = "more" if x > 0 else "less"
    if row.cost_field == "success":
        return f"{number(100 * abs(x), 2)} percentage points {side} with the tag"
    unit = _FIELDS.get(row.cost_field, ("", ""))[1]
    return " ".join(part for part in (number(abs(x)), unit, side, "with the tag") if part)


def why(row: TrustRow) -> Why:
    """The verdict on a tag in words."""
    told = _TOLD.get(row.reason, _unheard)(row)
    if not row.needs_recalibration:
        return told
    return Why(told.seen, f"{told.act} Needs recalibration: the data behind it has aged.".lstrip())


def carried_words(row: TrustRow) -> str:
    """What an earlier set says and how far it moved the trust here; empty where none was given."""
    told = row.carried
    if told is None:
        return ""
    head = f"An earlier set (prior {told.digest[:8]}) says δ {signed(told.effect)}"
    agreement = f", agreement {number(told.agreement, 2)}" if as_number(told.agreement) is not None else ""
    if row.trust_level > told.without:
        return f"{head}: trust {number(told.without, 2)} → {number(row.trust_level, 2)}{agreement}."
    if row.trust_level > 0:
        return f"{head}: it adds nothing here{agreement}."
    return f"{head}: worth {number(told.level, 2)} alone{agreement}; it does not act until these episodes show it too."


def needed_words(needed: Mapping[str, Any]) -> str:
    """What would settle a tag, as ``summary.json`` tells it; empty for nothing.

    >>> needed_words({"outcomes": 61, "tagged": 30, "untagged": 31, "assumed": "seen", "what": "success"})
    'If it stays as seen, about 61 more outcomes would settle it: 30 of tagged, 31 of untagged episodes.'
    """
    total = as_number(needed.get("outcomes"))
    if not total:
        return ""
    hand, what = needed.get("at_hand"), str(needed.get("what") or "")
    said = bool(what) and not (isinstance(hand, Mapping) and not any(hand.values()))
    thing = ("values of its damage" if what == "damage" else "outcomes") if said else "episodes"
    about, weakest = _about(total), as_number(needed.get("weakest"))
    assumed, delta = needed.get("assumed"), signed(needed.get("effect"))
    if assumed == "seen":
        told = f"If it stays as seen, about {about} more {thing} would settle it"
    elif assumed == "typical":
        told = f"If it is as strong as a useful tag (δ {delta}), about {about} more {thing} would settle it"
    else:
        told = f"About {about} more {thing} would show even the weakest effect that matters (δ {delta})"
    parts = [f"{number(needed[arm])} of {arm}" for arm in ("tagged", "untagged") if as_number(needed.get(arm))]
    told += f": {', '.join(parts)} episodes"
    if assumed == "typical":
        told += f"; the weakest that matters takes {_about(weakest) if weakest and weakest > 0 else 'over 10,000'}"
    if said and isinstance(hand, Mapping) and any(int(hand.get(k, 0)) < int(needed[k]) for k in ("tagged", "untagged")):
        left = f"{number(hand.get('tagged'))} tagged and {number(hand.get('untagged'))} untagged"
        told += f" ({left} are left to label, the others must be recorded)"
    return f"{told}."


def _about(n: float) -> str:
    """A number of episodes to two digits: the estimate has no more."""
    return number(int(float(f"{n:.2g}")))


def needs_of(summary: Mapping[str, Any]) -> dict[str, str]:
    """By tag, what would settle it, in a sentence."""
    trust = summary.get("trust")
    rows = trust.items() if isinstance(trust, Mapping) else ()
    told = {
        str(tag): needed_words(row["needed"])
        for tag, row in rows
        if isinstance(row, Mapping) and isinstance(row.get("needed"), Mapping)
    }
    return {tag: words for tag, words in told.items() if words}


def what_to_do(row: TrustRow, needed: str = "") -> str:
    """What to do, with what would settle it in the place of what merely says that more episodes might."""
    act = why(row).act
    return needed if needed and row.reason in _MORE_EPISODES else " ".join(part for part in (act, needed) if part)


def in_words(row: TrustRow, alerts: Iterable[str] = (), needed: str = "") -> str:
    """All of it in a row, for a terminal."""
    parts = (why(row).seen, what_to_do(row, needed), carried_words(row), *alerts)
    return " ".join(part for part in parts if part)


def by_trust(rows: Iterable[TrustRow]) -> list[TrustRow]:
    """Most trusted first, then by effect, those without one last, then by name."""

    def key(row: TrustRow) -> tuple[float, float, str]:
        effect = as_number(row.effect)
        return -(as_number(row.trust_level) or 0.0), math.inf if effect is None else -effect, row.tag

    return sorted(rows, key=key)


def _spec(tag: str) -> TagSpec | None:
    """What a tag declares; None where it is not ours."""
    from sima2.tags.specs import TAGS

    return TAGS.get(tag)


def _claim(row: TrustRow) -> str:
    field = field_words(row.cost_field)
    sign = spec.direction if (spec := _spec(row.tag)) else 0
    return f"{field} {'higher' if sign > 0 else 'lower'}" if sign else f"{field} as declared"


def _episodes(row: TrustRow) -> str:
    if row.cost_field == AFTER_FAILURE:
        return f"{number(row.n_tagged)} of {number(row.n)} failures met by an attempt to mend them"
    group = spec.group if (spec := _spec(row.tag)) else "tagged"
    late = f" ({number(row.n_late)} more only once it was too late to predict)" if row.n_late else ""
    return f"{number(row.n_tagged)} {group} of {count(row.n, 'episode')}{late}"


def _compared(row: TrustRow, bound: str = "at least") -> str:
    """Who was compared and how often the tag was right; empty where no effect is known."""
    effect = as_number(row.effect)
    if effect is None:
        return ""
    low, high = row.interval
    edge = {"at least": f", at least {signed(low)}", "at most": f", at most {signed(high)}"}.get(
        bound, f", {signed(low)} to {signed(high)}"
    )
    if as_number(low) is None or as_number(high) is None:
        edge = ""
    wins = round(50 * (1 + effect))
    return f"{_episodes(row)}: {_claim(row)} in {wins} of 100 comparisons (δ {signed(effect)}{edge})"


def _ok(row: TrustRow) -> Why:
    seen = _compared(row) or "It goes with the cost it declares, beyond chance, within every kind of task"
    if row.tier == "trusted":
        return Why(f"{seen}.", "Lean on it.")
    if row.tier == "provisional":
        return Why(f"{seen}.", "Lean on it a little: it shifts weights, but stops nothing.")
    return Why(f"{seen}: real, but too weak to lean on.", "Sharpen its definition, or gather more episodes.")


def _not_significant(row: TrustRow) -> Why:
    seen = _compared(row, "both")
    if not seen:
        return Why("The difference could be chance.", "More episodes may show otherwise.")
    effect, (low, high) = row.effect, row.interval
    if high < LEAST_BOUND:
        return Why(
            f"{seen}: too small a difference to matter.", "More episodes will hardly help; sharpen its definition."
        )
    seen = f"{seen}: could be chance."
    if not low < 0 < effect:
        return Why(seen, "More episodes may show otherwise.")
    # the interval narrows with the root of n, and clears 0 where its half-width is the effect
    needed = math.ceil(row.n_tagged * ((effect - low) / effect) ** 2)
    if needed > MOST_TIMES * row.n_tagged:
        return Why(seen, "More episodes may show otherwise.")
    return Why(seen, f"If it stays so, about {_about(needed)} tagged episodes would show it.")


def _wrong_direction(row: TrustRow) -> Why:
    seen = _compared(row, "at most") or "It goes with the opposite of what it declares"
    return Why(f"{seen}: the opposite of what it declares.", "Turn its declared direction, or mend its definition.")


def _suspect_leak(row: TrustRow) -> Why:
    seen = _compared(row)
    return Why(
        f"{seen}: too good to be a prediction." if seen else "The agreement is too good to be a prediction.",
        "Look for the outcome among its inputs, then declare them.",
    )


def _self_referential(row: TrustRow) -> Why:
    seen = _compared(row)
    return Why(
        f"{seen + '; but the' if seen else 'The'} outcome was inferred from the same segments as the tag.",
        "Trust stays at 0.5 or below until some outcomes are recorded.",
    )


def _no_outcome(row: TrustRow) -> Why:
    return Why(
        f"{_capital(row.cost_field)} is known of no episode, so nothing could be tested.",
        "Record outcomes, or what that cost is computed from; or pass --outcomes FILE.",
    )


def _constant_tag(row: TrustRow) -> Why:
    marked = "none" if not row.n_tagged else "all" if row.n_tagged == row.n else number(row.n_tagged)
    return Why(
        f"It marks {marked} of {count(row.n, 'episode')}, so there is nothing to compare.",
        "Collect episodes with and without it.",
    )


def _constant_within_strata(row: TrustRow) -> Why:
    return Why(
        f"{_episodes(row)}, but each kind of task has only tagged or only untagged ones.",
        "Collect episodes with and without it of the same task, robot and session.",
    )


def _constant_outcome(row: TrustRow) -> Why:
    return Why(
        f"{_capital(row.cost_field)} is the same for all episodes of a kind: nothing to predict.",
        "Collect episodes that fail as well as such that succeed.",
    )


def _too_few(row: TrustRow) -> Why:
    return Why(f"{_episodes(row)}: too few to compare.", "Collect more episodes that have it, or lack it.")


def _leak(row: TrustRow) -> Why:
    told = late_words(_spec(row.tag), row.cost_field)
    return Why(f"{told}; it is reported only.", "To earn trust, define it by what is known before the outcome.")


def late_words(spec: TagSpec | None, cost_field: str) -> str:
    """Why a tag predicts nothing, in its own words where it has some.

    >>> late_words(TagSpec("A", "diagnostic", ("pauses", "retries"), "", "duration_s", 1), "duration_s")
    'It reads pauses and retries, known only afterwards, so that it goes with duration proves nothing'
    >>> late_words(TagSpec("A", "diagnostic", ("pauses",), "", "mpl", 1, reads="how long it waited"), "mpl")
    'It reads how long it waited, so agreeing with it proves nothing'
    """
    if spec is not None and spec.kind == "diagnostic" and not spec.reads:
        inputs, cost = listed(list(spec.inputs)), field_words(cost_field)
        return f"It reads {inputs}, known only afterwards, so that it goes with {cost} proves nothing"
    reads = spec.reads if spec is not None and spec.reads else "the outcome"
    return f"It reads {reads}, so agreeing with it proves nothing"


def _not_assessed(row: TrustRow) -> Why:
    return Why(
        "It could be assessed on no episode whose cost is known.",
        "`sima2 explain` says what it lacks, most often nominal episodes or failures.",
    )


def _unheard(row: TrustRow) -> Why:
    return Why(row.note or row.reason.replace("_", " "))


_TOLD: Final[Mapping[str, Callable[[TrustRow], Why]]] = MappingProxyType(
    {
        "ok": _ok,
        "not_significant": _not_significant,
        "wrong_direction": _wrong_direction,
        "leak": _leak,
        "suspect_leak": _suspect_leak,
        "self_referential": _self_referential,
        "not_assessed": _not_assessed,
        "no_outcome": _no_outcome,
        "constant_tag": _constant_tag,
        "constant_within_strata": _constant_within_strata,
        "constant_outcome": _constant_outcome,
        "too_few": _too_few,
    }
)
REASONS: Final = frozenset(_TOLD)
"""Codes that have a sentence."""


def alerts_of(summary: Mapping[str, Any]) -> dict[str, list[str]]:
    """Alerts by tag that say more than the verdict does; the others repeat its reason."""
    told: dict[str, list[str]] = {}
    for each in summary.get("alerts") or ():
        if isinstance(each, Mapping) and str(each.get("kind")) not in REASONS | {"untrusted"}:
            message = str(each.get("message", "")).rstrip(".")
            told.setdefault(str(each.get("tag", "")), []).append(f"{message[:1].upper()}{message[1:]}.")
    return told


def shadow_sentence(shadow: Mapping[str, Any]) -> str:
    """The negative control of the calibration; empty where none was made.

    >>> shadow_sentence({"calibrations": 20, "with_any_trust": 1, "highest_trust": 0.12})
    'Shuffled copies: of 20 calibrations with all tags shuffled, 1 gave any trust (at most 0.12).'
    """
    made, gave = as_number(shadow.get("calibrations")), as_number(shadow.get("with_any_trust"))
    if not made or gave is None:
        return ""
    some = f"{number(int(gave))} gave any trust (at most {number(shadow.get('highest_trust'), 2)})"
    made_words = count(int(made), "calibration")
    return f"Shuffled copies: of {made_words} with all tags shuffled, {some if gave else 'none gave any trust'}."
