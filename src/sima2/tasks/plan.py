"""Which episodes to make: the mixes, and plans for one family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from sima2.errors import UsageError
from sima2.records.arrays import Int64s
from sima2.tasks import families as library
from sima2.tasks.design import (
    INJECTIONS,
    MALFORMED,
    NO_INJECTION,
    WELL_FORMED,
    Design,
    EpisodePlan,
    Injection,
    MixSettings,
    quotas,
)
from sima2.tasks.draws import generator
from sima2.tasks.failure_modes import FAILURE_MODES
from sima2.tasks.families import ALL_FAMILIES, FAMILIES, TEMPLATES, Family

DEFAULT_MIXES: Final = MixSettings()


def mix_name(name: str) -> str:
    """The mix behind a name or its ``dataset_`` alias; UnknownNameError lists the valid ones."""
    return library.known("mix", name, (*MIXES, *(f"dataset_{each}" for each in MIXES))).removeprefix("dataset_")


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
    maker = MIXES[mix_name(mix)]
    chosen = [library.check_family(name) for name in dict.fromkeys(families)]
    if min(episodes or 0, total or 0, seed) < 0:
        raise UsageError(f"episodes {episodes if total is None else total} and seed {seed} must not be negative")
    plan = _interleave(maker(chosen, episodes, total, seed, settings), seed)
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
    kind = library.check_family(family)
    if failure_mode is not None:
        library.check_failure_mode(kind, failure_mode)
    if recovery_strategy is not None:
        library.check_recovery_strategy(kind, recovery_strategy)
    if template == "success" and (failure_mode or recovery_strategy):
        raise UsageError("template 'success' takes no failure_mode and no recovery_strategy: leave them out")
    _check_numbers(count, seed)
    if inject is not None:
        template, failure_mode = _injected(kind, inject, template, failure_mode)
    part = Design(
        kind,
        count,
        seed,
        _shares(template, settings),
        0.0 if inject else settings.hardening_ood,
        settings,
        failure_mode=failure_mode,
        strategy=recovery_strategy,
        event_share=sum(settings.hardening[1:]),
        inject=inject or NO_INJECTION,
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
        _check_numbers(count, seed)
        shares = quotas(count, _shares(template or None, settings))
        name = library.check_family(family).name
        counts[name] = counts.get(name, np.zeros(len(TEMPLATES), np.int64)) + shares
    parts = [
        Design(ALL_FAMILIES[name], int(each.sum()), seed, tuple(each.tolist()), settings.hardening_ood, settings)
        for name, each in sorted(counts.items())
    ]
    return _interleave(parts, seed)


def _check_numbers(count: int, seed: int) -> None:
    if count < 0 or seed < 0:
        raise UsageError(f"count {count} and seed {seed} must not be negative")


def _shares(template: str | None, settings: MixSettings) -> tuple[float, ...]:
    """Of the templates: all of one, or as in a hardening batch."""
    if template is None:
        return settings.hardening
    return tuple(float(name == library.check_template(template)) for name in TEMPLATES)


def _injected(
    family: Family, inject: Injection, template: str | None, failure_mode: str | None
) -> tuple[str | None, str | None]:
    """Template and failure mode that a fault asks for where the caller left them open."""
    general = tuple(name for name in INJECTIONS if name not in FAILURE_MODES or name == "slip")
    library.known("injection", inject.kind, (*general, *family.failure_modes))
    if inject.frame is not None and inject.frame < 1:
        raise UsageError(f"injection frame {inject.frame}: the event needs a frame before it")
    if inject.kind == "unknown_object":
        return template or "success", failure_mode
    if inject.kind == "slip":
        if family.skeleton == "inspect":
            raise UsageError(f"{family.name} holds nothing that could slip")
        return template or "recovery", failure_mode or ("grasp_slip" if family.skeleton == "drawer" else "slip")
    return template or ("failure" if inject.kind == "locked_joint" else "recovery"), inject.kind


def _hardening(
    chosen: Sequence[Family], episodes: int | None, total: int | None, seed: int, settings: MixSettings
) -> list[Design]:
    """As many episodes of each family."""
    families = chosen or list(ALL_FAMILIES.values())
    count = [settings.hardening_episodes if episodes is None else episodes] * len(families)
    if total is not None:
        count = quotas(total, [1.0] * len(families)).tolist()
    return [
        Design(family, each, seed, settings.hardening, settings.hardening_ood, settings)
        for family, each in zip(families, count, strict=True)
    ]


def _stress(
    chosen: Sequence[Family], episodes: int | None, total: int | None, seed: int, settings: MixSettings
) -> list[Design]:
    """Two demanding families and garbage."""
    wanted = next(each for each in (total, episodes, settings.stress_episodes) if each is not None)
    shares = dict(settings.stress)
    families = chosen or [ALL_FAMILIES[name] for name in shares]
    good, bad = (
        quotas(part, [1.0] * len(families)).tolist()
        for part in quotas(wanted, (1 - settings.stress_noise, settings.stress_noise)).tolist()
    )
    return [
        Design(
            family,
            good[i],
            seed,
            shares.get(family.name, settings.hardening),
            settings.stress_ood,
            settings,
            noise=bad[i],
            friction="high" if family.name == "drawer_open" else None,
            tolerance=settings.stress_tolerance if family.name == "dish_place" else 1.0,
        )
        for i, family in enumerate(families)
    ]


def _edge_cases(
    chosen: Sequence[Family], episodes: int | None, total: int | None, seed: int, settings: MixSettings
) -> list[Design]:
    """Each kind of garbage so many times, at least until there are as many episodes as wanted in all."""
    families = chosen or list(FAMILIES.values())
    kinds = (*WELL_FORMED, *MALFORMED)
    times = 1 if episodes is None else episodes
    parts: list[Design] = []
    for i, family in enumerate(families):
        mine = kinds[i :: len(families)]
        # a million steps once: more of them would show nothing but how much memory there is
        rare = tuple(kind for kind in mine if kind != "million_steps")
        part = Design(family, settings.edge_good, seed, settings.hardening, 0.0, settings)
        noise = times * len(mine) - (times - 1) * (len(mine) - len(rare))
        parts.append(replace(part, noise=noise, garbage_kinds=(*mine, *rare * (times - 1))))
    if total is not None and sum(part.count + part.noise for part in parts) < total:
        return _edge_cases(chosen, 2 * (episodes or 1), total, seed, settings)
    return parts


_Maker = Callable[[Sequence[Family], int | None, int | None, int, MixSettings], list[Design]]
MIXES: Final[Mapping[str, _Maker]] = {"hardening": _hardening, "stress_mix_v1": _stress, "edge_cases_v1": _edge_cases}


def _interleave(parts: Sequence[Design], seed: int) -> EpisodePlan:
    """All families in one deterministic random order; each keeps its own running index."""
    parts = [part for part in parts if part.count + part.noise]
    if not parts:
        return EpisodePlan.empty()
    plan = EpisodePlan.concat([part.table() for part in parts])
    sizes = [part.count + part.noise for part in parts]
    turn = generator(seed, "order").permutation(np.repeat(np.arange(len(parts)), sizes))
    place = np.empty(len(plan), np.int64)
    place[np.argsort(turn, kind="stable")] = np.arange(len(plan))
    return replace(plan.take(place), episode_index=np.arange(len(plan)))
