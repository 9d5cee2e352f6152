"""Whether trust ends where physics says: whole runs in worlds of known physics, beside an oracle that knows the truth.

The oracle is judged by the same correlator on the same episodes, only its indicators are those of the sealed truth.
What the worlds say:

* ``ordinary``. Damage goes with risk: most failure events that hazard brings are impacts (collisions and falls), and
  the more hazardous the conditions, the harder they strike. An attempt at correction mostly succeeds, and without one
  few failures come right, so recovery pays. Which episodes are unusual is drawn apart from which fail, so strangeness
  says nothing about success.
* ``harmless``. The same, but hazard has no part in impacts any more: failures are as likely and land softly, and
  impacts befall episodes by chance. Risk goes with failure as before, and no longer with damage. Of RecoveryTag nothing
  is claimed here: a knock by chance looks like a failure that came right unaided.
* ``strange_fails``. The ordinary world with all unusual episodes among the failed ones, and unusual to look at from
  their first frame: now strangeness does lower success. Without it, that OODTag earns nothing elsewhere could be
  blindness.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from sima2.analytics.counts import TrustCounts, count, merge
from sima2.analytics.econ_correlator import EconCorrelator
from sima2.analytics.econ_settings import cost_field
from sima2.analytics.recovery import Attempts, find_attempts, recovery_counts
from sima2.analytics.statistics import describe
from sima2.analytics.trust_inputs import strata_of, tag_indicators
from sima2.analytics.verdict import PROVISIONAL, TRUSTED
from sima2.bench.figures import Limit, Progress, Rows, quiet, told, verdict
from sima2.bench.sources import Watched
from sima2.client import SyntheticSource
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.tags import TagSpec, TagTable
from sima2.records.truth import TruthEpisodes
from sima2.tags.observations import episode_places
from sima2.tags.specs import TAGS, THRESHOLDS

if TYPE_CHECKING:
    from sima2.tasks.design import EpisodePlan
    from sima2.tasks.world_settings import PhysicsSettings

Indicator = NDArray[np.int8]
"""1 tagged, 0 not, -1 not assessed."""

FAMILIES: Final = 5
"""Of the library, the first ones."""
JUDGED: Final = ("RiskTag", "RecoveryTag", "OODTag")
_SPECS: Final = {tag: TAGS[tag] for tag in JUDGED}
SHUFFLES: Final = 40
"""Times that all tags are shuffled: enough to tell 5 % that earn something by chance from 15 %."""

CLAIMS: Final[Mapping[str, Mapping[str, Limit]]] = {
    "ordinary": {
        "RiskTag": (TRUSTED, "above"),
        "RecoveryTag": (TRUSTED, "above"),
        "OODTag": (PROVISIONAL, "at most"),
    },
    "harmless": {"RiskTag": (PROVISIONAL, "at most"), "OODTag": (PROVISIONAL, "at most")},
    "strange_fails": {"OODTag": (PROVISIONAL, "above")},
}
"""Trust that physics says a tag deserves, in each world: held against the tag and against the oracle."""
LEAST_PREMIUM: Final = 2.0
MOST_SHUFFLED: Final = 0.15
"""Share of shuffles in which any tag may earn any trust: the gate lets 5 % pass, and of 40 that makes 6 at most."""


def run(*, episodes: int = 1000, seed: int = 8101, progress: Progress = quiet) -> dict[str, Any]:
    """All figures, the same for the same seed but for the seconds.

    Args:
        episodes: of each family.
        seed: of everything made; nothing was tuned on the default.
        progress: told what is being done.
    """
    from sima2.tasks.families import FAMILIES as NAMES
    from sima2.tasks.plan import mix_plan
    from sima2.tasks.world_settings import PhysicsSettings

    families = tuple(NAMES)[:FAMILIES]
    plan = mix_plan("hardening", families=list(families), episodes=episodes, seed=seed)
    worlds = {
        "ordinary": (plan, PhysicsSettings()),
        "harmless": (plan, PhysicsSettings(hazard_hurts=False)),
        "strange_fails": (strange_ones_fail(plan), PhysicsSettings()),
    }
    values: dict[str, Any] = {"episodes": episodes, "seed": seed, "families": list(families), "worlds": {}}
    for name, (of, physics) in worlds.items():
        progress(f"{name}: the whole run over {len(of)} episodes")
        begin = time.process_time()
        found = judged(of, physics, seed)
        values["worlds"][name] = {**found, "cpu_s": time.process_time() - begin}
    values["targets"] = _targets(values["worlds"])
    return values


def rows(values: dict[str, Any]) -> Rows:
    """The figures as a table: name, result, target."""
    out = []
    targets = values["targets"]
    for world, found in values["worlds"].items():
        for tag in JUDGED:
            for who in ("tag", "oracle", "oracle_same_share"):
                if tag in found[who]:
                    name = f"{world}: {tag}, {who.replace('_', ' ')}"
                    out.append((name, _verdict_line(found[who][tag]), told(targets.get(f"{world} {tag} {who}"))))
        for who, premium in found["risk_premium"].items():
            low, high = premium["interval"]
            result = f"{premium['value']:.2f} [{low:.2f}, {high:.2f}]"
            limit = told(targets.get(f"{world} risk_premium {who}"))
            out.append((f"{world}: risk premium, {who.replace('_', ' ')}", result, limit))
        alone = found["risk_without_mixed"]
        out.append((f"{world}: RiskTag, without mixed", _verdict_line(alone), ""))
        out.append((f"{world}: RiskTag, mixed share of tagged", f"{alone['mixed_share_of_tagged']:.3f}", ""))
        for who, row in found["risk_against_success"].items():
            out.append((f"{world}: risk against success, {who}", _verdict_line(row), ""))
        for source, each in found["unusual"].items():
            result = f"{each['success']:.3f} of {each['n']:,} succeed, {each['tagged']:.3f} tagged in time"
            out.append((f"{world}: {source}", result, ""))
        for which, share in found["damaged"].items():
            out.append((f"{world}: damaged, {which.replace('_', ' ')}", f"{share:.3f}", ""))
        shuffled = found["shuffled"]
        result = f"{shuffled['with_any_trust']} of {shuffled['shuffles']}, highest {shuffled['highest_trust']:.2f}"
        out.append((f"{world}: shuffles that earn trust", result, told(targets.get(f"{world} shuffled_share"))))
    return out


def _verdict_line(row: Mapping[str, Any]) -> str:
    """A verdict in one line; a missing effect is told as such."""
    effect, low, high = (float("nan") if x is None else x for x in (row["effect"], *row["interval"]))
    return (
        f"trust {row['trust_level']:.2f}, δ {effect:.3f} [{low:.3f}, {high:.3f}], "
        f"{row['n_tagged']:,} of {row['n']:,}, {row['reason']}"
    )


def strange_ones_fail(plan: EpisodePlan) -> EpisodePlan:
    """The plan with as many unusual episodes in each family, but all of them failed and unusual to look at."""
    marked = np.zeros(len(plan), np.bool_)
    failed = plan.template.isin("failure") & plan.garbage.isin("")
    for family in dict.fromkeys(plan.family):
        mine = plan.family.isin(family)
        wanted = int((mine & ~plan.ood_source.isin("")).sum())
        marked[np.flatnonzero(mine & failed)[:wanted]] = True
    return replace(plan, ood_source=Text(marked.astype(np.int32), ("", "visual")))


def judged(plan: EpisodePlan, physics: PhysicsSettings, seed: int) -> dict[str, Any]:
    """One world through the whole run, and what the oracle says of the same episodes."""
    from sima2.orchestrator import run_source
    from sima2.pipeline import RunSettings

    source = Watched(SyntheticSource(plan, physics))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        run_source(source, RunSettings(out=out, seed=seed))
        done = _Done.of(out, source)
    tags, attempts = done.indicators(), find_attempts(done.segments, done.episodes.episode_id)
    oracle, true_attempts = done.oracle(tags), done.true_attempts()
    equal = {**oracle, **done.highest(tags)}
    weighed = {
        "tag": done.weigh(tags, attempts),
        "oracle": done.weigh(oracle, true_attempts),
        "oracle_same_share": done.weigh(equal, true_attempts),
    }
    damaged = done.econ.damage >= cost_field("damage").low
    return {
        # the run's own verdict, not one made here
        "tag": {tag: _brief(done.matrix[tag]) for tag in JUDGED},
        "oracle": weighed["oracle"]["trust"],
        "oracle_same_share": {tag: weighed["oracle_same_share"]["trust"][tag] for tag in ("RiskTag", "OODTag")},
        "risk_premium": {who: each["risk_premium"] for who, each in weighed.items()},
        "risk_without_mixed": done.without_mixed(tags, attempts),
        "risk_against_success": {
            "tag": done.against_success(tags["RiskTag"]),
            "oracle": done.against_success(oracle["RiskTag"]),
        },
        "unusual": done.unusual(tags["OODTag"]),
        "damaged": {
            "with_failure_event": float(damaged[done.truth.event_frame >= 0].mean()),
            "without": float(damaged[done.truth.event_frame < 0].mean()),
        },
        "shuffled": done.shuffled(tags, attempts, np.random.default_rng(seed)),
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Done:
    """What a run left of n episodes, and their truth, in one order."""

    episodes: EpisodeTable
    econ: EconTable
    segments: SegmentTable
    tags: TagTable
    matrix: Mapping[str, Any]
    """``trust_matrix.json``."""
    truth: TruthEpisodes
    novelty: Float64s
    """Highest of each episode, shape (n,)."""

    @classmethod
    def of(cls, out: Path, source: Watched) -> _Done:
        from sima2.io.store import Store

        with Store.read_only(out) as store:
            episodes = store.read_table(EpisodeTable, "episodes")
            econ = EconTable.concat(list(store.read(EconTable, "econ")))
            segments = SegmentTable.concat(list(store.read(SegmentTable, "segments")))
            tags = TagTable.concat(list(store.read(TagTable, "tags")))
            matrix = json.loads(store.read_text("trust_matrix.json"))
        kept = source.kept.values()
        truth = TruthEpisodes.concat([each.episodes for each in kept])
        novelty = [np.maximum.reduceat(each.frames.novelty.astype(np.float64), each.offset[:-1]) for each in kept]
        place = episode_places(episodes.episode_id, truth.episode_id)
        return cls(
            episodes=episodes,
            econ=econ.take(episode_places(episodes.episode_id, econ.episode_id)),
            segments=segments,
            tags=tags,
            matrix=matrix,
            truth=truth.take(place),
            novelty=np.concatenate(novelty)[place],
        )

    @property
    def strata(self) -> Text:
        """What kind of episode each is, shape (n,)."""
        return strata_of(self.episodes)

    def indicators(self) -> dict[str, Indicator]:
        """The tags as the run judged them."""
        return tag_indicators(self.tags, self.episodes.episode_id, _SPECS)

    def oracle(self, tags: Mapping[str, Indicator]) -> dict[str, Indicator]:
        """What the tags would be if they knew, where assessed: true risk above the same level, truly unusual."""
        knows = {
            "RiskTag": self.truth.initial_risk > THRESHOLDS["RiskTag"],
            "OODTag": ~self.truth.ood_source.isin(""),
        }
        return {tag: np.where(tags[tag] >= 0, given, -1).astype(np.int8) for tag, given in knows.items()}

    def highest(self, tags: Mapping[str, Indicator]) -> dict[str, Indicator]:
        """As many as have the tag: those of the highest true risk, and the most novel."""
        out = {}
        for tag, known in (("RiskTag", self.truth.initial_risk), ("OODTag", self.novelty)):
            assessed = tags[tag] >= 0
            order = np.argsort(np.where(assessed, -known, np.inf), kind="stable")
            out[tag] = np.where(assessed, 0, -1).astype(np.int8)
            out[tag][order[: int((tags[tag] == 1).sum())]] = 1
        return out

    def true_attempts(self) -> Attempts:
        """True failure events, and whether a correction was meant."""
        frame = self.truth.event_frame
        seconds = self.episodes.duration_s / np.maximum(self.episodes.frames - 1, 1)
        return Attempts(
            failed_at_s=np.where(frame >= 0, frame * seconds, np.nan),
            attempted=self.truth.recovery_attempts > 0,
            reason=self.truth.failure_mode,
        )

    def counted(self, given: Mapping[str, Indicator], attempts: Attempts) -> TrustCounts:
        """Counts of indicators against the costs that the tags declare."""
        parts = [
            count({tag: given[tag]}, getattr(self.econ, cost), self.strata, cost_field(cost))
            for tag, cost in (("RiskTag", "damage"), ("OODTag", "success"))
        ]
        success, seconds = self.econ.success, self.econ.duration_s
        return reduce(merge, [*parts, recovery_counts("RecoveryTag", attempts, success, seconds, self.strata)])

    def weigh(self, given: Mapping[str, Indicator], attempts: Attempts) -> dict[str, Any]:
        """Trust and risk premium of indicators, by the correlator of the run."""
        counts = self.counted(given, attempts)
        premium = describe(counts, TAGS).get("risk_premium")
        return {
            "trust": _judge(counts, _SPECS),
            "risk_premium": {
                "value": premium.stratified if premium else float("nan"),
                "interval": list(premium.stratified_interval) if premium else [float("nan")] * 2,
            },
        }

    def without_mixed(self, tags: Mapping[str, Indicator], attempts: Attempts) -> dict[str, Any]:
        """RiskTag where its prefix cannot tell the template: a mixed episode begins with another task and always has a
        failure event, so that to know it is to know more than its hazard."""
        mixed = self.truth.template.isin("mixed")
        alone = {**tags, "RiskTag": np.where(mixed, -1, tags["RiskTag"]).astype(np.int8)}
        share = float(mixed[tags["RiskTag"] == 1].mean()) if (tags["RiskTag"] == 1).any() else float("nan")
        return {**self.weigh(alone, attempts)["trust"]["RiskTag"], "mixed_share_of_tagged": share}

    def against_success(self, given: Indicator) -> dict[str, Any]:
        """How well risk tells failure, whatever it breaks."""
        spec = replace(TAGS["RiskTag"], cost_field="success", direction=-1)
        counts = count({"RiskTag": given}, self.econ.success, self.strata, cost_field("success"))
        return _judge(counts, {"RiskTag": spec})["RiskTag"]

    def unusual(self, tag: Indicator) -> dict[str, dict[str, Any]]:
        """Success of usual and of unusual episodes, and how many of them the tag was given to in time."""
        out = {}
        for source in sorted(set(self.truth.ood_source)):
            mine = self.truth.ood_source.isin(source)
            out[source or "usual"] = {
                "n": int(mine.sum()),
                "success": float(np.nanmean(self.econ.success[mine])),
                "tagged": float((tag[mine] == 1).mean()),
            }
        return out

    def shuffled(self, tags: Mapping[str, Indicator], attempts: Attempts, rng: np.random.Generator) -> dict[str, Any]:
        """Everything judged again with the tags shuffled within the strata they are compared in."""
        kind = self.strata.codes.astype(np.int64)
        failed = ~np.isnan(attempts.failed_at_s)
        reason = kind * len(attempts.reason.names) + attempts.reason.codes
        some, highest = 0, 0.0
        for _ in range(SHUFFLES):
            mixed = {tag: _within(given, kind, given >= 0, rng) for tag, given in tags.items()}
            tried = replace(attempts, attempted=_within(attempts.attempted, reason, failed, rng))
            best = max(row["trust_level"] for row in _judge(self.counted(mixed, tried), _SPECS).values())
            some, highest = some + (best > 0), max(highest, best)
        return {"shuffles": SHUFFLES, "with_any_trust": some, "highest_trust": highest}


def _judge(counts: TrustCounts, specs: Mapping[str, TagSpec]) -> dict[str, dict[str, Any]]:
    """Verdicts as plain values."""
    return {tag: _brief(asdict(row)) for tag, row in EconCorrelator().correlate(counts, specs=specs).items()}


def _brief(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the bench tells of a verdict."""
    names = ("trust_level", "tier", "reason", "effect", "interval", "p_value", "q_value", "n_tagged", "n")
    return {name: row[name] for name in names}


def _within(values: NDArray[Any], kind: Int64s, where: Bools, rng: np.random.Generator) -> NDArray[Any]:
    """Values shuffled within each kind, among the places ``where``."""
    at = np.flatnonzero(where)
    order = at[np.lexsort((at, kind[at]))]
    drawn = at[np.lexsort((rng.random(len(at)), kind[at]))]
    out = values.copy()
    out[order] = values[drawn]
    return out


def _targets(worlds: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    out = {}
    for world, claims in CLAIMS.items():
        found = worlds[world]
        for tag, (limit, sense) in claims.items():
            for who in ("tag", "oracle"):
                out[f"{world} {tag} {who}"] = verdict(found[who][tag]["trust_level"], limit, sense)
        shuffled = found["shuffled"]
        share = shuffled["with_any_trust"] / shuffled["shuffles"]
        out[f"{world} shuffled_share"] = verdict(share, MOST_SHUFFLED, "at most")
    for who in ("tag", "oracle"):
        premium = worlds["ordinary"]["risk_premium"][who]["value"]
        out[f"ordinary risk_premium {who}"] = verdict(premium, LEAST_PREMIUM, "above")
    return out
