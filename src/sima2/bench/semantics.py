"""How right meaning is: tags, affordances and fragilities on fresh seeds, judged by the truth that no stage saw."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sima2.bench import semantic_scores as scores
from sima2.bench.figures import Limit, Progress, Rows, judged, quiet, told, words
from sima2.bench.semantic_chain import Altered, Chained, Renamed, chained, retagged
from sima2.errors import MissingExtraError

if TYPE_CHECKING:
    from sima2.client import Source

TARGETS: Final[Mapping[str, Limit]] = {
    "recovery_precision": (0.95, "at least"),
    "recovery_recall": (0.90, "at least"),
    "risk_share_high": (0.30, "below"),
    "ood_nominal_flagged": (0.05, "at most"),
    "ood_visual_auroc": (0.95, "at least"),
    "ood_kinematic_auroc": (0.90, "at least"),
    "ood_force_auroc": (0.90, "at least"),
    "ood_temporal_auroc": (0.90, "at least"),
    "ood_source_right": (0.85, "at least"),
    "lucky_precision": (0.9, "at least"),
    "lucky_recall": (0.9, "at least"),
    "acceptance": (0.80, "above"),
    "orphans": (0, "at most"),
    "affordances_missed": (0, "at most"),
    "affordances_false": (0, "at most"),
    "fragile_missed": (0, "at most"),
    "fragile_false": (0, "at most"),
}
"""Of every source where it could be judged."""
OF_THE_LIBRARY: Final[Mapping[str, Limit]] = {
    "risk_calibration_error": (0.05, "at most"),
    "risk_families_behind_rival": (0, "at most"),
    "write_amplification": (1.1, "below"),
    "shuffled_risk_auroc": (0.55, "at most"),
    "noise_recovery_share": (0.05, "at most"),
    "noise_lucky_share": (0.01, "at most"),
    "renamed_tags_changed": (0, "at most"),
    "only_named_alien_flagged": (0.10, "at most"),
}
"""Of the library alone: only its failures follow from conditions, and its episodes are many enough for controls."""
NAMED: Final = ("RiskTag", "FragilityTag", "OODTag", "RecoveryTag", "LuckySuccessTag")
"""Tags that must not change with names."""
DEAR: Final = 100
"""Simulated episodes of a family at most."""
OOD: Final = 0.10
OOD_OF_FEW: Final = 0.15
"""Share of unusual episodes, more than a hardening batch has, so that there are enough to judge by."""


def run(
    *,
    episodes: int = 1000,
    seed: int = 2000,
    progress: Progress = quiet,
    backends: Sequence[str] = ("synthetic", "mujoco"),
) -> dict[str, Any]:
    """All figures, the same for the same seed but for the seconds.

    Args:
        episodes: of each family of the library; of the simulator as many, at most :data:`DEAR`.
        seed: of everything made.
        progress: told what is being done.
        backends: which of the two.
    """
    from sima2.tasks.families import ALL_FAMILIES

    values: dict[str, Any] = {"episodes": episodes, "seed": seed, "sources": {}}
    for name in backends:
        if name == "mujoco" and find_spec("mujoco") is None:
            values["sources"][name] = {"available": False, "why": str(MissingExtraError("mujoco", "sim"))}
            continue
        progress(f"{name}: tags and knowledge")
        begin = time.process_time()
        source = _library(episodes, seed) if name == "synthetic" else _simulator(min(episodes, DEAR), seed)
        run = chained(source)
        found = {"available": True, **_judged(run)}
        if name == "synthetic":
            found |= scores.affordances(run, ALL_FAMILIES)
            progress("synthetic: controls")
            found |= _controls(run, source, episodes, seed)
        else:
            found |= scores.affordances(run, {key: ALL_FAMILIES[key] for key in set(run.episodes.family)})
        progress(f"{name}: planted fragilities")
        planted = _planted(name, seed, 1.0 if name == "synthetic" else 0.4)
        found |= scores.fragilities(chained(planted))
        values["sources"][name] = {**found, "cpu_s": time.process_time() - begin}
    values["targets"] = {}
    for source, found in values["sources"].items():
        limits = {**TARGETS, **(OF_THE_LIBRARY if source == "synthetic" else {})}
        values["targets"] |= judged(found, limits, source + " {}")
    return values


def rows(values: Mapping[str, Any]) -> Rows:
    """The figures as a table: name, result, target."""
    out = []
    for source, found in values["sources"].items():
        if not found["available"]:
            out.append((source, "not available", found["why"]))
            continue
        for name, value in found.items():
            title, limit = f"{source}: {words(name)}", told(values["targets"].get(f"{source} {name}"))
            if name == "risk_families":
                for family, each in value.items():
                    result = f"{each['auroc']:.3f} ({each['elapsed_auroc']:.3f})"
                    out.append((f"{source}: risk auroc (elapsed time), {family}", result, ""))
            elif name == "ood_families":
                out += [(f"{source}: ood flagged, {family}", f"{share:.3f}", "") for family, share in value.items()]
            elif isinstance(value, list):
                out.append((title, f"{len(value)}", limit))
                out += [("", each, "") for each in value]
            elif name != "available":
                out.append((title, f"{value:,.4g}", limit))
    return out


def _judged(run: Chained) -> dict[str, Any]:
    found = {"judged": len(run.episodes), **scores.recoveries(run), **scores.risk(run), **scores.strangeness(run)}
    return {**found, **scores.luck(run), **scores.proposals(run)}


def _controls(run: Chained, source: Source, episodes: int, seed: int) -> dict[str, Any]:
    """What must fail does: shuffled failures, noise, other names, and names alone."""
    from sima2.client import Sima2Client

    noise = chained(Sima2Client(seed=seed + 1).source(mix="stress_mix_v1", episodes=max(4 * episodes, 400)))
    given = {
        tag: np.nan_to_num(noise.highest(tag))[noise.truth.noise] > 0.5 for tag in ("RecoveryTag", "LuckySuccessTag")
    }
    renamed, alien = chained(Renamed(source)), chained(Renamed(source, alien_every=20))
    same = [np.allclose(run.highest(tag), renamed.highest(tag), rtol=1e-6, atol=1e-9, equal_nan=True) for tag in NAMED]
    meant = alien.truth
    usual = meant.ood_source.isin("") & meant.template.isin("success") & ~meant.debug_mode
    only_named = usual & (alien.episodes.episode_index % 20 == 0)
    return {
        "shuffled_risk_auroc": scores.risk(run, retagged(run, np.random.default_rng(seed)))["risk_auroc"],
        "noise_episodes": int(noise.truth.noise.sum()),
        "noise_recovery_share": float(given["RecoveryTag"].mean()),
        "noise_lucky_share": float(given["LuckySuccessTag"].mean()),
        "renamed_tags_changed": sum(not each for each in same),
        "only_named_alien": int(only_named.sum()),
        "only_named_alien_flagged": float((np.nan_to_num(alien.highest("OODTag")) > 0)[only_named].mean()),
    }


def _library(episodes: int, seed: int) -> Source:
    from sima2.client import SyntheticSource
    from sima2.tasks.design import MixSettings
    from sima2.tasks.plan import mix_plan
    from sima2.tasks.world_settings import PhysicsSettings

    mix = replace(MixSettings(), hardening_ood=OOD)
    return Altered(
        SyntheticSource(mix_plan("hardening", episodes=episodes, seed=seed, settings=mix), PhysicsSettings())
    )


def _simulator(episodes: int, seed: int) -> Source:
    from sima2.client import SimulatedSource
    from sima2.tasks.design import MixSettings
    from sima2.tasks.plan import mix_plan
    from sima2.tasks.simulator import SIMULATED, SimulatorSettings

    mix = replace(MixSettings(), hardening_ood=OOD_OF_FEW)
    plan = mix_plan("hardening", families=SIMULATED, episodes=episodes, seed=seed, settings=mix)
    # every plain success is a reference: a fifth of so few would calibrate nothing
    return Altered(SimulatedSource(plan, SimulatorSettings(nominal_share=1.0)), every=9)


def _planted(backend: str, seed: int, size: float) -> Source:
    """Two families in which one step is weak, and three that hardly ever fail."""
    from sima2.client import SimulatedSource, SyntheticSource
    from sima2.tasks.design import EpisodePlan
    from sima2.tasks.plan import rollouts_plan
    from sima2.tasks.world_settings import PhysicsSettings

    wanted = (
        ("drawer_open", "failure", "locked_joint", 60),
        ("drawer_open", "success", None, 120),
        ("dish_place", "failure", "misalignment", 60),
        ("dish_place", "success", None, 120),
        ("wipe_surface", "success", None, 150),
        ("pick_and_place", "success", None, 150),
        ("sort_objects", "success", None, 150),
    )
    plans = [
        rollouts_plan(family, template=template, failure_mode=mode, count=round(size * count), seed=seed + 10 + k)
        for k, (family, template, mode, count) in enumerate(wanted)
    ]
    plan = EpisodePlan.concat(plans)
    order = np.random.default_rng(seed).permutation(len(plan))
    plan = plan.take(order)
    names = type(plan.episode_id).of([f"planted-{i:06d}" for i in range(len(plan))])
    plan = replace(plan, episode_index=np.arange(len(plan)), episode_id=names)
    if backend == "synthetic":
        return SyntheticSource(plan, PhysicsSettings())
    from sima2.tasks.simulator import SimulatorSettings

    return SimulatedSource(plan, SimulatorSettings())
