"""How right tags and proposals are, each against what was meant, with a control that must fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from sima2.bench.calibration import auroc, calibration
from sima2.bench.semantic_chain import Chained
from sima2.knowledge.support import upper_bound
from sima2.records.arrays import Bools, Float64s
from sima2.records.vocabulary import object_class
from sima2.tags.specs import THRESHOLDS

SOURCES: Final = ("visual", "kinematic", "temporal", "force")
"""In which way a rollout was made unusual; ``force`` counts as kinematic."""
WEAK: Final = 0.15
ROBUST: Final = 0.02
"""A step is weak from this true failure rate on, robust up to that one; what lies between is not judged."""
LEAST_TRIALS: Final = 60


def recoveries(run: Chained) -> dict[str, float]:
    """RecoveryTag against episodes in which a correction was made and what had failed then succeeded."""
    right = _put_right(run)
    truth = np.array([name in right for name in run.truth.episode_id.tolist()], np.bool_)
    given = np.nan_to_num(run.highest("RecoveryTag")) > THRESHOLDS["RecoveryTag"]
    return _precision_recall("recovery", given, truth)


def _put_right(run: Chained) -> set[str]:
    """Episodes whose true segments hold a correction by which an episode that failed was saved, or a step mended.

    The plan says which episodes are saved; that a step was mended in one that failed all the same (or of which the plan
    says that it came right of itself, while the controller did correct) is seen in the true segments alone.
    """
    saved = set(run.truth.episode_id[run.truth.template.isin("recovery", "mixed")])
    found: set[str] = set()
    failed: dict[tuple[str, str], bool] = {}
    """Step that is to be done again, and whether it has been corrected since."""
    now = ""
    told = run.true_segments
    columns = (told.episode_id, told.label, told.object, told.outcome)
    for episode, label, thing, outcome in zip(*columns, strict=True):
        if episode != now:
            now, failed = episode, {}
        if label == "recovery_maneuver":
            if episode in saved:
                found.add(episode)
            failed = dict.fromkeys(failed, True)
        elif outcome == "retry":
            failed[label, thing] = False
        elif failed.pop((label, thing), False) and outcome == "success":
            found.add(episode)
    return found


def risk(run: Chained, level: Float64s | None = None) -> dict[str, Any]:
    """RiskTag's level against a true failure event after its landmark; elapsed time at the landmark as a rival.

    Args:
        level: another level than the tag's own, for a control.
    """
    own = level is None
    said = run.highest("RiskTag") if level is None else level
    landmark = run.landmarks.landmark
    event = run.truth.event_frame
    ahead = ~np.isnan(said) & ((event < 0) | (event >= landmark)) & ~run.truth.noise
    failed = event >= 0
    elapsed = run.landmarks.feature[:, 0]
    judged = calibration(said[ahead], failed[ahead])
    out: dict[str, Any] = {"risk_auroc": judged.auroc}
    if own:
        families = {}
        for name in sorted(set(run.episodes.family)):
            mine = ahead & run.episodes.family.isin(name)
            rival = auroc(elapsed[mine], failed[mine])
            families[name] = {
                "n": int(mine.sum()),
                "failed": _share(failed[mine]),
                "auroc": auroc(said[mine], failed[mine]),
                # the rival may point either way; it is given the better one in hindsight
                "elapsed_auroc": max(rival, 1.0 - rival),
            }
        rival = auroc(elapsed[ahead], failed[ahead])
        out |= {
            "risk_share_high": _share(said[ahead] > THRESHOLDS["RiskTag"]),
            "risk_brier_skill": judged.brier_skill,
            "risk_calibration_error": judged.expected_error,
            "risk_elapsed_auroc": max(rival, 1.0 - rival),
            "risk_families": families,
            "risk_families_behind_rival": sum(each["auroc"] <= each["elapsed_auroc"] for each in families.values()),
        }
    return out


def strangeness(run: Chained) -> dict[str, Any]:
    """OODTag: nominal rollouts flagged, unusual ones told apart, and the right source named."""
    told = run.truth
    surprise, fired = run.highest("OODTag", "value"), np.nan_to_num(run.highest("OODTag")) > 0
    usable = ~told.debug_mode & ~told.noise
    plain = usable & told.ood_source.isin("") & told.template.isin("success")
    named = np.array(run.source_of("OODTag"), object)
    out: dict[str, Any] = {
        "ood_nominal": int(plain.sum()),
        "ood_nominal_flagged": _share(fired[plain]),
        "ood_nominal_flagged_upper": float(upper_bound(int(fired[plain].sum()), int(plain.sum()))),
        "ood_families": {
            name: _share(fired[plain & run.episodes.family.isin(name)]) for name in sorted(set(run.episodes.family))
        },
    }
    right = total = 0
    for source in SOURCES:
        mine = usable & told.ood_source.isin(source)
        both = mine | plain
        out[f"ood_{source}"] = int(mine.sum())
        out[f"ood_{source}_auroc"] = auroc(np.nan_to_num(surprise)[both], mine[both]) if mine.any() else float("nan")
        out[f"ood_{source}_flagged"] = _share(fired[mine])
        # an episode that fails as well is strange for that too, and then there are two right answers
        sole = mine & fired & told.template.isin("success")
        right += int((named[sole] == ("kinematic" if source == "force" else source)).sum())
        total += int(sole.sum())
    return {**out, "ood_source_right": right / total if total else float("nan")}


def luck(run: Chained) -> dict[str, float]:
    """LuckySuccessTag against success without a failure event where risk was high.

    High by the RiskTag: nobody can see the true risk before contact. The share of what is truly lucky by the
    generator's own risk is told too.
    """
    given = np.nan_to_num(run.highest("LuckySuccessTag")) > 0
    clean = run.truth.success & (run.truth.event_frame < 0) & ~run.truth.noise
    high = np.nan_to_num(run.highest("RiskTag")) > THRESHOLDS["RiskTag"]
    truly = clean & (run.truth.initial_risk > THRESHOLDS["RiskTag"])
    return {
        **_precision_recall("lucky", given, high & clean),
        "lucky": int((high & clean).sum()),
        "lucky_by_true_risk": int(truly.sum()),
        "lucky_by_true_risk_recall": _share(given[truly]),
    }


def affordances(run: Chained, families: Mapping[str, Any]) -> dict[str, Any]:
    """Affordances of accepted proposals against the library's observable ones and against what truly succeeded."""
    from sima2.knowledge.ontology import AFFORDANCES

    table = run.results.proposals
    rows = table.take(table.kind.isin("affordance") & table.status.isin("accepted"))
    found = {(thing, AFFORDANCES[action]) for thing, action in zip(rows.object, rows.action, strict=True)}
    observable = _observable(families)
    segments = run.true_segments
    won = segments.take(segments.outcome.isin("success"))
    done = {(object_class(t), AFFORDANCES[a]) for t, a in zip(won.object, won.label, strict=True) if a in AFFORDANCES}
    return {
        "affordances": len(found),
        "affordances_missed": sorted(": ".join(each) for each in observable - found),
        "affordances_false": sorted(": ".join(each) for each in found - observable - done),
    }


def _observable(families: Mapping[str, Any]) -> set[tuple[str, str]]:
    """(object class, affordance) that raw channels can show."""
    out = set()
    for family in families.values():
        for place, thing in enumerate(family.objects):
            names = {object_class(shape.name) for shape in family.geometries} if not place else {thing.name}
            out |= {(name, each) for name in names for each, seen in thing.affordances.items() if seen}
    return out


def fragilities(run: Chained) -> dict[str, Any]:
    """FragilityNodes against the true failure rates of (object class, action)."""
    from sima2.knowledge.evidence import STEPS

    segments = run.true_segments
    segments = segments.take(segments.label.isin(*STEPS) & ~segments.object.isin(""))
    lost = segments.outcome.isin("failure", "retry")
    tally: dict[tuple[str, str], list[int]] = {}
    for thing, action, failed in zip(segments.object, segments.label, lost.tolist(), strict=True):
        count = tally.setdefault((object_class(thing), action), [0, 0])
        count[0] += failed
        count[1] += 1
    rate = {key: k / n for key, (k, n) in tally.items() if n >= LEAST_TRIALS}
    weak = {key for key, each in rate.items() if each >= WEAK}
    robust = {key for key, each in rate.items() if each <= ROBUST}
    table = run.results.proposals
    rows = table.take(table.kind.isin("fragility_node") & table.status.isin("accepted"))
    found = set(zip(rows.object, rows.action, strict=True))
    return {
        "fragile_planted": len(weak),
        "fragile_robust": len(robust),
        "fragile_missed": sorted(" ".join(each) for each in weak - found),
        "fragile_false": sorted(" ".join(each) for each in found & robust),
    }


def proposals(run: Chained) -> dict[str, Any]:
    """Acceptance of what evidence decides, orphans of the ontology, and rows that are written for a rollout."""
    import json

    table = run.results.proposals
    accepted, refused = (int(table.status.isin(each).sum()) for each in ("accepted", "refused"))
    graph = json.loads(run.results.aggregates.ontology(table))
    linked = {end for edge in graph["edges"] for end in (edge["from"], edge["to"])}
    rows = len(table) + len(graph["nodes"]) + len(graph["edges"])
    return {
        "proposals": len(table),
        "acceptance": accepted / (accepted + refused) if accepted + refused else float("nan"),
        "orphans": len(set(graph["nodes"]) - linked),
        "write_amplification": rows / max(len(run.episodes), 1),
    }


def _precision_recall(name: str, given: Bools, truth: Bools) -> dict[str, float]:
    return {f"{name}_precision": _share(truth[given]), f"{name}_recall": _share(given[truth])}


def _share(flags: Bools) -> float:
    return float(flags.mean()) if len(flags) else float("nan")
