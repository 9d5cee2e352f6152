"""Which episodes to make: the mixes, and plans for one family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from sima2.errors import UnknownNameError, UsageError
from sima2.records.arrays import Int64s
from sima2.records.table import Text
from sima2.tasks.design import (
    INJECTIONS,
    MALFORMED,
    OOD_SOURCES,
    WELL_FORMED,
    Design,
    EpisodePlan,
    Injection,
    MixSettings,
    generator,
    quotas,
)
from sima2.tasks.families import (
    ALL_FAMILIES,
    FAILURE_MODES,
    FAMILIES,
    TEMPLATES,
    Family,
    check_failure_mode,
    check_family,
    check_recovery_strategy,
    check_template,
)

__all__ = [
    "INJECTIONS", "MALFORMED", "MIXES", "OOD_SOURCES", "WELL_FORMED", "EpisodePlan", "Injection", "MixSettings",
    "mix_name", "mix_plan", "quotas", "requested_plan", "rollouts_plan",
]  # fmt: skip

MIXES: Final = ("hardening", "stress_mix_v1", "edge_cases_v1")
DEFAULT_MIXES: Final = MixSettings()
_ALIASES: Final = {f"dataset_{name}": name for name in MIXES}


def mix_name(name: str) -> str:
    """The mix behind a name or alias; UnknownNameError lists the valid ones."""
    name = _ALIASES.get(name, name)
    if name not in MIXES:
        raise UnknownNameError("mix", name, (*MIXES, *_ALIASES))
    return name


def mix_plan(
    mix: str,
    *,
    families: Sequence[str] = (),
    episodes: int | None = None,
    total: int | None = None,
    seed: int = 0,
    settings: MixSettings = DEFAULT_MIXES,
) -> EpisodePlan:
    """The whole plan of a mix.

    Args:
        mix: one of :data:`MIXES` or its ``dataset_`` alias.
        families: which families; empty means those of the mix.
        episodes: per family for ``hardening``, in all for ``stress_mix_v1``, of each kind for ``edge_cases_v1``.
        total: in all, whatever the mix; in the place of ``episodes``.
        seed: >= 0.

    Raises:
        UnknownNameError: if a name is not known.
        UsageError: if a number is negative.

    >>> len(mix_plan("hardening", total=100)), len(mix_plan("edge_cases_v1", total=100))
    (100, 100)
    >>> plan = mix_plan("hardening", families=["drawer_open"], episodes=20, seed=1)
    >>> [plan.template.isin(name).sum().item() for name in TEMPLATES]
    [12, 4, 3, 1]
    """
    mix = mix_name(mix)
    chosen = [check_family(name) for name in dict.fromkeys(families)]
    if min(episodes or 0, total or 0, seed) < 0:
        raise UsageError(f"episodes {episodes if total is None else total} and seed {seed} must not be negative")
    if mix == "hardening":
        families_ = chosen or list(ALL_FAMILIES.values())
        each = [settings.hardening_episodes if episodes is None else episodes] * len(families_)
        each = each if total is None else quotas(total, [1.0] * len(families_)).tolist()
        parts = [
            Design(family, count, seed, settings.hardening, settings.hardening_ood, settings)
            for family, count in zip(families_, each, strict=True)
        ]
    elif mix == "stress_mix_v1":
        wanted = episodes if total is None else total
        parts = _stress(chosen, settings.stress_episodes if wanted is None else wanted, seed, settings)
    else:
        parts = _edge_cases(chosen, 1 if episodes is None else episodes, seed, settings)
        while total is not None and sum(part.count + part.noise for part in parts) < total:
            episodes = 2 * (episodes or 1)
            parts = _edge_cases(chosen, episodes, seed, settings)
    plan = _interleave(parts, seed)
    return plan if total is None else plan.take(np.arange(min(total, len(plan))))


def rollouts_plan(
    family: str,
    *,
    template: str | None = None,
    count: int,
    failure_mode: str | None = None,
    recovery_strategy: str | None = None,
    seed: int = 0,
    inject: Injection | None = None,
    settings: MixSettings = DEFAULT_MIXES,
) -> EpisodePlan:
    """A plan for one family; what is left open is split as in a hardening batch.

    Raises:
        UnknownNameError: if a name is not known.
        UsageError: if a success is asked to fail, or a fault does not fit the family.

    >>> plan = rollouts_plan("dish_place", template="failure", failure_mode="drop", count=2, seed=0)
    >>> plan.failure_mode.tolist(), plan.episode_id[1]
    (['drop', 'drop'], 'dish_place-000001')
    """
    kind = check_family(family)
    if template is not None:
        check_template(template)
    if failure_mode is not None:
        check_failure_mode(kind, failure_mode)
    if recovery_strategy is not None:
        check_recovery_strategy(kind, recovery_strategy)
    if template == "success" and (failure_mode or recovery_strategy):
        raise UsageError("template 'success' takes no failure_mode and no recovery_strategy: leave them out")
    if count < 0 or seed < 0:
        raise UsageError(f"count {count} and seed {seed} must not be negative")
    if inject is not None:
        template, failure_mode = _injected(kind, inject, template, failure_mode)
    shares = settings.hardening if template is None else tuple(float(name == template) for name in TEMPLATES)
    part = Design(
        kind,
        count,
        seed,
        (shares[0], shares[1], shares[2], shares[3]),
        0.0 if inject else settings.hardening_ood,
        settings,
        failure_mode=failure_mode,
        strategy=recovery_strategy,
        event_share=sum(settings.hardening[1:]),
        inject=inject,
    )
    return _interleave([part], seed)


def requested_plan(
    cells: Sequence[tuple[str, str, int]], *, seed: int = 0, settings: MixSettings = DEFAULT_MIXES
) -> EpisodePlan:
    """The plan of a request: so many episodes of each family and template.

    Args:
        cells: family, template and count; without a template they are split as in a hardening batch.
        seed: >= 0.

    Raises:
        UnknownNameError: if a name is not known.
        UsageError: if a number is negative.

    >>> plan = requested_plan([("drawer_open", "recovery", 3), ("drawer_open", "", 5)], seed=1)
    >>> [plan.template.isin(name).sum().item() for name in TEMPLATES]
    [3, 1, 4, 0]
    """
    counts: dict[str, Int64s] = {}
    for family, template, count in cells:
        if count < 0 or seed < 0:
            raise UsageError(f"count {count} and seed {seed} must not be negative")
        if template:
            check_template(template)
        shares = [float(name == template) for name in TEMPLATES] if template else settings.hardening
        name = check_family(family).name
        counts[name] = counts.get(name, np.zeros(len(TEMPLATES), np.int64)) + quotas(count, shares)
    parts = [
        Design(check_family(name), int(each.sum()), seed, tuple(each.tolist()), settings.hardening_ood, settings)
        for name, each in sorted(counts.items())
        if each.sum()
    ]
    return _interleave(parts, seed)


def _injected(
    family: Family, inject: Injection, template: str | None, failure_mode: str | None
) -> tuple[str | None, str | None]:
    """Template and failure mode that a fault asks for where the caller left them open."""
    general = tuple(name for name in INJECTIONS if name not in FAILURE_MODES or name == "slip")
    valid = (*general, *family.failure_modes)
    if inject.kind not in valid:
        raise UnknownNameError("injection", inject.kind, valid)
    if inject.frame is not None and inject.frame < 1:
        raise UsageError(f"injection frame {inject.frame}: the event needs a frame before it")
    if inject.kind == "unknown_object":
        return template or "success", failure_mode
    if inject.kind == "slip":
        if family.skeleton == "inspect":
            raise UsageError(f"{family.name} holds nothing that could slip")
        return template or "recovery", failure_mode or ("grasp_slip" if family.skeleton == "drawer" else "slip")
    mode = check_failure_mode(family, inject.kind)
    return template or ("failure" if inject.kind == "locked_joint" else "recovery"), mode


def _stress(chosen: Sequence[Family], episodes: int, seed: int, settings: MixSettings) -> list[Design]:
    """Two demanding families and garbage."""
    shares = dict(settings.stress)
    families = list(chosen) or [ALL_FAMILIES[name] for name in shares]
    honest, noise = quotas(episodes, (1 - settings.stress_noise, settings.stress_noise)).tolist()
    good, bad = quotas(honest, [1.0] * len(families)), quotas(noise, [1.0] * len(families))
    return [
        Design(
            family,
            int(good[i]),
            seed,
            shares.get(family.name, settings.hardening),
            settings.stress_ood,
            settings,
            noise=int(bad[i]),
            friction="high" if family.name == "drawer_open" else None,
            tolerance=settings.stress_tolerance if family.name == "dish_place" else 1.0,
        )
        for i, family in enumerate(families)
    ]


def _edge_cases(chosen: Sequence[Family], episodes: int, seed: int, settings: MixSettings) -> list[Design]:
    """Each kind of garbage, spread over the families, among a few good episodes."""
    families = list(chosen) or list(FAMILIES.values())
    kinds = (*WELL_FORMED, *MALFORMED)
    spread = [kinds[i :: len(families)] for i in range(len(families))]
    return [
        Design(
            family,
            settings.edge_good,
            seed,
            settings.hardening,
            0.0,
            settings,
            # a million steps once: more of them would show nothing but how much memory there is
            noise=episodes * len(mine) - (episodes - 1) * ("million_steps" in mine),
            garbage_kinds=_repeated(mine, episodes),
        )
        for family, mine in zip(families, spread, strict=True)
    ]


def _repeated(kinds: tuple[str, ...], times: int) -> tuple[str, ...]:
    rare = tuple(kind for kind in kinds if kind != "million_steps")
    return (*kinds, *rare * (times - 1))


def _interleave(parts: Sequence[Design], seed: int) -> EpisodePlan:
    """All families in one deterministic random order; each keeps its own running index."""
    sizes = np.array([part.count + part.noise for part in parts], np.int64)
    n = int(sizes.sum())
    if n == 0:
        return EpisodePlan.empty()
    turn = generator(seed, "order").permutation(np.repeat(np.arange(len(parts)), sizes))
    place = np.empty(n, np.int64)
    place[np.argsort(turn, kind="stable")] = np.arange(n)
    tables = []
    for part in parts:
        size = part.count + part.noise
        if size == 0:
            continue
        name = part.family.name
        tables.append(
            EpisodePlan(
                episode_index=np.zeros(size, np.int64),
                episode_id=Text(np.arange(size), [f"{name}-{i:06d}" for i in range(size)]),
                family_index=np.arange(size),
                seed=np.full(size, part.seed),
                **part.draw(),
            )
        )
    plan = EpisodePlan.concat(tables).take(place)
    return EpisodePlan(**{**{k: getattr(plan, k) for k in EpisodePlan.columns()}, "episode_index": np.arange(n)})
