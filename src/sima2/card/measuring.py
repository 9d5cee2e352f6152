"""The card of a set: every kind of fault planted, every harmless change made, and all of it counted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from sima2.card.counts import Count, table_of
from sima2.card.trial import CardSettings, HostEpisode, KnownSet, Looked, Trial, period_s
from sima2.card.verdicts import (
    BEHAVIOUR_OF,
    EPISODE_OF,
    EVENTS,
    FAILED_EPISODE,
    TOLD_OF,
    asked_of,
)
from sima2.records.arrays import Bools
from sima2.records.defects import DefectTable
from sima2.records.episodes import EpisodeTable
from sima2.records.plan import CardTable
from sima2.records.segments import Segment

LABEL_CONFLICT: Final = "label_conflict"
WHOLE: Final = (
    "action_lag",
    "near_duplicate",
    "mixed_units",
    "mixed_polarity",
    "truncated",
    "clipped_channel",
    "repeated_frames",
)
"""Defects of an episode as a whole: of them no frames are asked for."""
NONE_GOOD: Final = "there is no episode of which nothing bad is told"


def detection_card(
    known: KnownSet, settings: CardSettings | None = None, *, switched_off: Sequence[str] = ()
) -> CardTable:
    """How sure each detector is on a set; a pure function, the same for any batch size.

    Args:
        known: the set, and what a run found in it.
        settings: how much is planted.
        switched_off: detectors of which nothing is heard, as a control.

    Returns:
        A row a detector, the worst recall first, those that could not be measured last.
    """
    return table_of(measured(known, settings, switched_off))


def least_sure(cards: Sequence[CardTable]) -> CardTable:
    """Of several cards the row of each detector that is least sure; one that was not measured counts only by itself."""
    every = CardTable.concat(list(cards))
    order = np.argsort(np.where(np.isnan(every.precision), 2.0, every.precision), kind="stable")
    _, first = np.unique(every.detector.codes[order], return_index=True)
    return every.take(np.sort(order[first]))


def measured(
    known: KnownSet, settings: CardSettings | None = None, switched_off: Sequence[str] = ()
) -> dict[str, Count]:
    """What the card tells, as counts of each detector; arguments as for :func:`detection_card`."""
    settings = settings or CardSettings()
    trial = Trial(known, settings)
    hosts = trial.hosts()
    counts: dict[str, Count] = defaultdict(Count)
    if not settings.only:
        _plant_signals(trial, hosts, counts)
        _flip_labels(trial, hosts, counts[LABEL_CONFLICT])
    _plant_behaviour(trial, hosts, counts)
    _add_twins(trial, hosts, counts)
    _count_told(trial, counts)
    if settings.only:
        counts = {name: counts[name] for name in settings.only}
    for name in switched_off:
        off = counts[name]
        missed = Counter(off.how) if off.how is not None else None
        counts[name] = replace(off, found=0, false=0, told=0, missed=missed)
    return counts


def _plant_signals(trial: Trial, hosts: Sequence[HostEpisode], counts: dict[str, Count]) -> None:
    """Defects of the data: each judged with the others of the set beside it."""
    from sima2.defects.planting import SIGNALS

    made: list[Looked] = []
    for kind in SIGNALS:
        fit = [own for own in hosts if kind not in trial.told_before(int(trial.episodes.episode_index[own.row]))]
        made += trial.planted(kind, fit, counts[kind])
    for each, told in trial.judged(made, trial.settings.replaced):
        assert each.plant is not None  # planted above
        counts[each.plant.kind].add(each.plant.kind, _is_told(each, told, trial.settings.around_s))


def _is_told(each: Looked, told: DefectTable, around_s: float) -> bool:
    plant = each.plant
    if plant is None:
        return False
    mine = told.defect.isin(plant.kind)
    if plant.kind in WHOLE:
        return bool(mine.any())
    around = max(1, round(around_s / period_s(plant.rollout)))
    return bool((mine & (told.start_frame < plant.end + around) & (told.end_frame > plant.start - around)).any())


def _plant_behaviour(trial: Trial, hosts: Sequence[HostEpisode], counts: dict[str, Count]) -> None:
    """Grasps that miss and things that are lost, in episodes of which nothing bad is told."""
    good = [own for own in hosts if own.host.good and own.success != 0]
    for detector, kinds in BEHAVIOUR_OF.items():
        if trial.settings.only and detector not in trial.settings.only:
            continue
        episode = counts[EPISODE_OF[detector]]
        for kind in kinds:
            refused = Count()
            for each in trial.planted(kind, good, refused):
                assert each.plant is not None  # planted above
                counts[detector].add(kind, _is_seen(detector, each, trial.settings.around_s))
                if each.plant.fails:
                    episode.add(kind, each.success == 0)
            for why, n in (refused.why or {NONE_GOOD: not good}).items():
                for count in (counts[detector], episode):
                    count.refuse(why, int(n))


def _is_seen(detector: str, each: Looked, around_s: float) -> bool:
    plant = each.plant
    if plant is None:
        return False
    around = max(1, round(around_s / period_s(plant.rollout)))
    return any(
        start < plant.end + around and end > plant.start - around for start, end in EVENTS[detector](each.segments)
    )


def _flip_labels(trial: Trial, hosts: Sequence[HostEpisode], count: Count) -> None:
    """Turn recorded outcomes round, few at a time."""
    from sima2.defects.conflicts import label_conflicts
    from sima2.defects.courses import endings

    episodes = trial.episodes
    recorded = _recorded_outcome(episodes)
    if not recorded.any():
        count.refuse("no outcome is recorded that could be turned round")
        return
    ended = endings(episodes.episode_id, trial.known.segments)
    before = set(label_conflicts(episodes, ended).found.episode_index.tolist())
    fit = [own for own in hosts if recorded[own.row] and int(episodes.episode_index[own.row]) not in before]
    rows = [own.row for own in trial.chosen(LABEL_CONFLICT, fit)[: trial.each]]
    most = max(1, int(trial.settings.replaced * len(episodes)))
    for start in range(0, len(rows), most):
        some = np.array(rows[start : start + most])
        turned = episodes.success.copy()
        turned[some] = 1.0 - turned[some]
        found = label_conflicts(replace(episodes, success=turned), ended).found
        for row in some.tolist():
            count.add("turned round", int(episodes.episode_index[row]) in set(found.episode_index.tolist()))


def _add_twins(trial: Trial, hosts: Sequence[HostEpisode], counts: dict[str, Count]) -> None:
    """Changes that mean nothing, at places where nothing was told: what is told then is a false alarm."""
    from sima2.defects.planting import HARMLESS, SIGNALS

    names = list(HARMLESS)
    usual = max(float(np.median(trial.episodes.frames)) if len(trial.episodes) else 1.0, 1.0)
    most = max(int(trial.settings.twin_frames / usual), 3 * trial.settings.fewest)
    hosts = trial.chosen("twin", hosts)[:most]
    for turn in range(trial.settings.twins):
        made = []
        for k, own in enumerate(hosts):
            name = names[(k + turn * 2 + 1) % len(names)]
            rng = trial.rng("twin", name, own.host.rollout.episode_id)
            made.append((own, HARMLESS[name](own.host.rollout, rng)))
        looked = trial.look([(own.row, rollout) for own, rollout in made], data=not trial.settings.only)
        twins = [Looked(own, None, *seen) for (own, _), seen in zip(made, looked, strict=True)]
        for each in twins:
            _clean_verdicts(each, counts)
        if trial.settings.only:
            continue
        _clean_labels(trial, twins, counts[LABEL_CONFLICT])
        for each, told in trial.judged(twins, 2 * trial.settings.replaced):
            kinds = set(told.defect)
            number = int(trial.episodes.episode_index[each.own.row])
            before = trial.told_before(number)
            for kind in SIGNALS:
                if kind not in before:
                    counts[kind].clean += 1
                    counts[kind].false += kind in kinds


def _recorded_outcome(episodes: EpisodeTable) -> Bools:
    """Episodes whose outcome was recorded, shape (n,)."""
    from sima2.defects.conflicts import NO_LABEL

    recorded: Bools = ~episodes.outcome_source.isin(*NO_LABEL) & np.isfinite(episodes.success)
    return recorded


def _clean_labels(trial: Trial, twins: Sequence[Looked], count: Count) -> None:
    """Outcomes as they were recorded, beside what is inferred of harmless twins."""
    from sima2.defects.conflicts import label_conflicts
    from sima2.defects.courses import endings

    episodes = trial.episodes
    rows = np.array([each.own.row for each in twins], np.intp)
    success, sure = episodes.inferred_success.copy(), episodes.inferred_confidence.copy()
    success[rows], sure[rows] = [each.success for each in twins], [each.confidence for each in twins]
    ended = endings(episodes.episode_id, trial.known.segments)
    before = label_conflicts(episodes, ended).found.episode_index
    twin = replace(episodes, inferred_success=success, inferred_confidence=sure)
    after = label_conflicts(twin, ended).found.episode_index
    recorded = _recorded_outcome(episodes)
    numbers = episodes.episode_index[rows[recorded[rows]]]
    clean = numbers[~np.isin(numbers, before)]
    count.clean += len(clean)
    count.false += int(np.isin(clean, after).sum())


def _clean_verdicts(each: Looked, counts: dict[str, Count]) -> None:
    for detector in TOLD_OF:
        events = EVENTS[detector]
        if not events(each.own.host.segments):
            found = len(events(each.segments))
            counts[detector].clean += max(asked_of(each.segments), found)
            counts[detector].false += found
    if each.own.success == 1:
        counts[FAILED_EPISODE].clean += 1
        counts[FAILED_EPISODE].false += each.success == 0


def _count_told(trial: Trial, counts: dict[str, Count]) -> None:
    """How often each detector speaks up in the set as it is."""
    from sima2.defects.planting import SIGNALS

    episodes, defects = trial.episodes, trial.known.defects
    mine = np.isin(defects.episode_index, episodes.episode_index)
    for kind in (*SIGNALS, LABEL_CONFLICT):
        counts[kind].told = len(np.unique(defects.episode_index[mine & defects.defect.isin(kind)]))
        counts[kind].asked = len(episodes)
    by_episode: dict[str, list[Segment]] = defaultdict(list)
    for each in trial.known.segments:
        by_episode[each.episode_id].append(each)
    for detector in TOLD_OF:
        events = EVENTS[detector]
        counts[detector].told = sum(len(events(some)) for some in by_episode.values())
        counts[detector].asked = max(sum(asked_of(some) for some in by_episode.values()), counts[detector].told)
    counts[FAILED_EPISODE].told = int((episodes.inferred_success == 0).sum())
    counts[FAILED_EPISODE].asked = int(np.isfinite(episodes.inferred_success).sum())
