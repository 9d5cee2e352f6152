"""Whether the detection card tells the truth: recall of planted faults beside that of faults that came about otherwise.

Two kinds of sets that nobody made for it: recordings by an operator model (``recordings_maker``: misses, things lost,
and defects of the data), and recordings of other robots, simulators and policies (``benchmarks/foreign``). Of each set
a card is made as for a user, without its truth; then the truth tells how many of its own faults are found, and how
often what is told is so.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from sima2 import card
from sima2.bench.channel_sets import with_channels
from sima2.bench.figures import Progress, Rows, number, quiet, ratio, told, verdict, words
from sima2.bench.foreign_sets import Recording, by_source, read
from sima2.bench.recorded_sets import by_episode, made
from sima2.bench.recordings_defects import TOLD_AS, inspected, recalled, with_defects
from sima2.bench.recordings_maker import RECIPES, EpisodeTruth, Recipe
from sima2.bench.sources import Given
from sima2.card import DROP, FAILED_ATTEMPT, FAILED_EPISODE
from sima2.client import Intake, Sima2Client, Source
from sima2.defects.planting import SIGNALS
from sima2.pipeline import Calibration, FirstPass, ShardTask, calibrate, first_pass, judged
from sima2.records.intake import QuarantineTable
from sima2.records.outcome import Outcome
from sima2.records.rollout import RolloutBatch
from sima2.records.segments import Segment
from sima2.segmentation.confidence import Confidence

Frames = tuple[int, int]

EPISODES: Final = 80
"""Of each recipe."""
EACH: Final = 3
"""Episodes of a set of recordings that are given each kind of defect, by their maker."""
AROUND_S: Final = 0.3
"""A verdict so far from what happened is still about it."""
OPENS: Final = 0.15
"""Share of their range by which fingers open that let something fall."""
CLOSE: Final = 0.10
"""Recall by the card and by the truth differ by no more."""
FEWEST: Final = 10
"""Fewer faults of a kind tell no recall: they are shown, and not judged."""
SURE, WRONG = 0.9, 0.8
"""A verdict acts from such a precision on, at the least; it must not where fewer are right."""
WITH: Final = ("full", "joints_and_gripper")
"""Channels of the foreign recordings, of ``CHANNEL_SETS``, of which cards are made."""
MADE_AS: Final = {
    kind: planted
    for kind, planted in TOLD_AS.items()
    if planted in SIGNALS and kind not in ("duplicate", "flipped_gripper")
}
"""Defects of the maker, and the kind that the card plants."""


class Happened(NamedTuple):
    """A fault that came about by itself."""

    kind: str
    """As the card plants it; empty for what it has no kind of."""
    detector: str
    episode: str
    frames: Frames
    """In which it ought to be told."""
    attempt: Frames
    """In which it may be told without being wrong: of the whole attempt."""


@dataclass(slots=True)
class Tally:
    """Recall of a kind, by the truth and by the card, set by set."""

    own: dict[str, list[int]] = field(default_factory=dict)
    """Found and all, of the set's own faults."""
    card: dict[str, list[int]] = field(default_factory=dict)
    """Found and all, of those that the card planted."""

    def add(self, name: str, found: bool) -> None:
        """One more of the set's own."""
        both = self.own.setdefault(name, [0, 0])
        both[0] += found
        both[1] += 1

    def plain(self) -> dict[str, Any]:
        """Recalls over the sets that have both, each set as often as it has faults of its own."""
        both = {name: each for name, each in self.own.items() if self.card.get(name, [0, 0])[1]}
        n = sum(each[1] for each in both.values())
        own = ratio(sum(each[0] for each in both.values()), n)
        card = ratio(sum(each[1] * ratio(*self.card[name]) for name, each in both.items()), n)
        sets = {name: {"own": list(each), "card": list(self.card[name])} for name, each in both.items()}
        return {"own": own, "card": card, "n": n, "off": abs(own - card), "sets": sets}


def in_memory(batch: RolloutBatch, name: str) -> Source:
    """Recordings in memory as a source."""

    def span(start: int, stop: int) -> Intake:
        part = batch.take(np.arange(start, stop))
        return Intake(part, Outcome.unknown(len(part)), QuarantineTable.empty())

    return Given(len(batch), span, name, "foreign")


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """A set as a run sees it, and its card."""

    first: FirstPass
    counts: Mapping[str, card.Count]
    segments: Mapping[str, list[Segment]]
    success: Mapping[str, float]
    period: float


def looked(source: Source, calibration: Calibration, seed: int) -> Looked:
    """A run's first pass over a source, and the card of the set."""
    first = first_pass(ShardTask(source, calibration, 0, 0, source.episodes, 250))
    found = judged(first.defects, first.measures)
    known = card.KnownSet(source, calibration, first.episodes, first.segments, found, first.measures)
    counts = card.measured(known, card.CardSettings(seed=seed))
    success = dict(zip(first.episodes.episode_id, first.episodes.inferred_success.tolist(), strict=True))
    segments = by_episode(first.segments, first.episodes.episode_id)
    return Looked(first, counts, segments, success, float(np.nanmedian(first.measures.period_s)))


def run(
    *, episodes: int = EPISODES, seed: int = 0, progress: Progress = quiet, data: Sequence[Path] = ()
) -> dict[str, Any]:
    """Cards of all sets beside their truth.

    Args:
        episodes: of each recipe; at least 60.
        seed: of the maker and of the cards.
        progress: told the step under way.
        data: foreign recordings; those that are there of ``FOLDERS``, if none are given.

    Returns:
        ``kinds``: recalls by kind; ``precision``: of each set and verdict what the card says at the least and what is
        so; ``dangerous``: those that would act and are wrong too often; ``targets``.
    """
    compared = Compared()
    for recipe in RECIPES:
        progress(recipe.name)
        _of_recipe(recipe, episodes, seed, compared)
    for name, found in by_source(read(data)).items():
        for channels in WITH:
            progress(f"{name}: {channels}")
            _of_others(f"{name}, {channels}", channels, found, seed, compared)
    return {"seed": seed, "episodes": episodes, **summed(compared.kinds, compared.precision)}


def _of_recipe(recipe: Recipe, episodes: int, seed: int, compared: Compared) -> None:
    with made(recipe, episodes, seed) as (folder, truth):
        source = Sima2Client("dataset", path=folder).source()
        seen = looked(source, calibrate(source), seed)
    names = dict(zip(seen.first.episodes.source_index.tolist(), seen.first.episodes.episode_id, strict=True))
    read = [each for each in truth if each.episode_index in names]
    failed = {names[each.episode_index] for each in read if not each.success}
    compared.add(recipe.name, "people", seen, list(_of_people(read, names)), failed, set(names.values()))
    kinds = compared.kinds
    with made(recipe, max(episodes, 3 * EACH * 10), seed, lambda each: with_defects(each, EACH)) as (folder, marks):
        for kind, hit in recalled(marks, inspected(folder)):
            if kind in MADE_AS:
                kinds[f"data: {MADE_AS[kind]}"].add(recipe.name, hit)
    for kind in set(MADE_AS.values()):
        kinds[f"data: {kind}"].card[recipe.name] = [seen.counts[kind].found, seen.counts[kind].planted]


def _of_others(name: str, channels: str, found: Sequence[Recording], seed: int, compared: Compared) -> None:
    source = in_memory(with_channels(RolloutBatch.from_rollouts([each.rollout for each in found]), channels), name)
    calibration = calibrate(source)
    # what confidence was fitted on must not have seen this world
    engine = replace(calibration.engine, confidence=Confidence(left_out=found[0].world))
    seen = looked(source, replace(calibration, engine=engine), seed)
    own = [each for one in found for each in _of_robots(one)]
    failed = {each.rollout.episode_id for each in found if each.success == 0}
    known = {each.rollout.episode_id for each in found if not math.isnan(each.success)}
    compared.add(name, "robots", seen, own, failed, known)


def _of_people(truth: Sequence[EpisodeTruth], names: Mapping[int, str]) -> Iterator[Happened]:
    """Attempts that failed, of the operator model: it notices a miss, and a thing that is lost slips out."""
    for one in truth:
        name = names[one.episode_index]
        for k, each in enumerate(one.attempts):
            last = k + 1 == len(one.attempts)
            if not each.held:
                kind = "missed_grasp" if last else "missed_grasp_retried"
                yield Happened(kind, FAILED_ATTEMPT, name, (each.start, each.end), (each.start, each.end))
            elif each.lost_at is not None:
                lost = each.lost_at + 1
                yield Happened("slip", DROP, name, (each.lost_at, lost), (each.start, lost))


ABROAD: Final[Mapping[str, str]] = {
    **dict.fromkeys(("missed", "missed_grasp"), FAILED_ATTEMPT),
    **dict.fromkeys(("slip", "slip_early", "slip_supported", "gripper_slip"), DROP),
    **dict.fromkeys(("drop", "early_release", "released_early"), DROP),
}
"""Reasons of the foreign truth, and the verdict that ought to tell them."""


def _of_robots(one: Recording) -> Iterator[Happened]:
    """Attempts that failed, of controllers; of what was lost, whether it slipped or was let fall."""
    for k, each in enumerate(one.attempts):
        if not each.failed:
            continue
        detector, last = ABROAD.get(each.reason, ""), k + 1 == len(one.attempts)
        frames = (each.start, each.held + round(0.5 / one.period))
        kind = "opened" if _opened(one, each.held) else "slip"
        if detector == FAILED_ATTEMPT:
            kind = "missed_and_carried_on" if last else "missed_grasp_retried"
        yield Happened(kind if detector else "", detector, one.rollout.episode_id, frames, frames)


def _opened(one: Recording, frame: int) -> bool:
    """Whether fingers open when a thing is lost, and do not close."""
    width = one.rollout.manipulators["arm"].gripper_width
    if width is None:
        return False
    before, after = max(frame - 2, 0), min(frame + round(0.3 / one.period), len(width) - 1)
    return bool(width[after] - width[before] > OPENS * (np.nanmax(width) - np.nanmin(width)))


@dataclass(slots=True)
class Compared:
    """Cards of sets beside what happened in them."""

    kinds: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    precision: list[dict[str, Any]] = field(default_factory=list)

    def add(
        self, name: str, who: str, seen: Looked, own: Sequence[Happened], failed: set[str], known: set[str]
    ) -> None:
        """Recall of a set's own faults, and how often what is told is so.

        Args:
            name: of the set.
            who: by whom it was recorded.
            seen: what a run and the card tell.
            own: faults that came about.
            failed: episodes that failed …
            known: … of those of which it is known.
        """
        around = max(1, round(AROUND_S / seen.period))

        def near(a: Frames, b: Frames) -> bool:
            return a[0] < b[1] + around and b[0] < a[1] + around

        last = {each.episode: each for each in own}
        for each in (one for one in own if one.kind):
            spans = card.EVENTS[each.detector](seen.segments.get(each.episode, ()))
            self.kinds[f"{who}: {each.kind}"].add(name, any(near(span, each.frames) for span in spans))
            if each is last[each.episode] and each.episode in failed and each.kind != "missed_grasp_retried":
                self.kinds[f"{who}: {_episode_of(each.kind)}"].add(name, seen.success.get(each.episode) == 0)
        self._planted(name, who, seen)
        for detector in (FAILED_ATTEMPT, DROP):
            events = [(eid, span) for eid, some in seen.segments.items() for span in card.EVENTS[detector](some)]
            # what is lost may have been told as missed, and the other way round: either was an attempt that failed
            right = sum(any(each.episode == eid and near(span, each.attempt) for each in own) for eid, span in events)
            self._told(name, who, detector, seen, right, len(events))
        told_failed = [eid for eid, success in seen.success.items() if success == 0 and eid in known]
        self._told(name, who, FAILED_EPISODE, seen, sum(eid in failed for eid in told_failed), len(told_failed))

    def _planted(self, name: str, who: str, seen: Looked) -> None:
        """What the card found of what it planted."""
        for detector, count in seen.counts.items():
            self.kinds[f"{who}: {detector}"].card[name] = [count.found, count.planted]
            missed = count.missed or Counter()
            for kind, n in (count.how or Counter()).items():
                if detector in card.BEHAVIOUR_OF:
                    self.kinds[f"{who}: {kind}"].card[name] = [n - missed[kind], n]
        self.kinds[f"{who}: opened"].card[name] = self.kinds[f"{who}: {card.OPENED}"].card[name]

    def _told(self, name: str, who: str, detector: str, seen: Looked, right: int, told: int) -> None:
        at_least, true = card.precision_of(seen.counts[detector]), ratio(right, told)
        row = {"set": name, "who": who, "detector": detector, "at_least": at_least, "true": true, "told": told}
        self.precision.append(row)


def _episode_of(kind: str) -> str:
    """The verdict on an episode that ends with a fault of a kind."""
    return FAILED_EPISODE if kind in ("missed_grasp", "slip") else card.UNNOTICED_EPISODE


def summed(kinds: Mapping[str, Tally], precision: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figures of all sets together, and the targets."""
    by_kind = {kind: tally.plain() for kind, tally in kinds.items()}
    shown = {kind: each for kind, each in by_kind.items() if each["n"]}
    worst = sorted(shown, key=lambda kind: (-shown[kind]["off"], kind))
    judged_rows = [row for row in precision if not math.isnan(row["at_least"]) and not math.isnan(row["true"])]
    acts = [row for row in judged_rows if row["at_least"] >= SURE]
    dangerous = [row for row in acts if row["true"] < WRONG]
    below = sum(row["at_least"] <= row["true"] for row in judged_rows)
    targets = {
        f"{kind}: recall by card less by truth": verdict(each["off"], CLOSE, "at most")
        for kind, each in shown.items()
        if each["n"] >= FEWEST
    }
    targets["verdicts that act and are wrong too often"] = verdict(float(len(dangerous)), 0.0, "at most")
    return {
        "kinds": {kind: shown[kind] for kind in worst},
        "precision": list(precision),
        "bounds": {"judged": len(judged_rows), "below_truth": below, "act": len(acts)},
        "dangerous": dangerous,
        "targets": targets,
    }


def rows(values: Mapping[str, Any]) -> Rows:
    """The figures as a table: each kind, the farthest off first; then the bounds of precision."""
    out = []
    for kind, each in values["kinds"].items():
        limit = told(values["targets"].get(f"{kind}: recall by card less by truth"))
        line = f"card {number(each['card'])}, own {number(each['own'])} of {each['n']}"
        out.append((words(kind), line, limit or "too few to judge"))
    bounds = values["bounds"]
    out.append(("precision at the least is so", f"{bounds['below_truth']} of {bounds['judged']}", ""))
    name, wrong = f"told precision ≥ {SURE:g} where fewer than {WRONG:g} are right", values["dangerous"]
    limit = told(values["targets"]["verdicts that act and are wrong too often"])
    out.append((name, f"{len(wrong)} of {bounds['act']}", limit))
    for row in sorted(wrong, key=lambda row: row["true"]):
        line = f"at least {number(row['at_least'])} by the card, {number(row['true'])} of {row['told']} right"
        out.append((f"{row['set']}: {words(row['detector'])}", line, ""))
    return out
