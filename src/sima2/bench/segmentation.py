"""How right the segments are: on made rollouts of fresh seeds, next to other methods on the same frames."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sima2.bench import segment_rivals as rivals
from sima2.bench.annotations import Track, pieces_of, tracks
from sima2.bench.channel_sets import CHANNEL_SETS, with_channels
from sima2.bench.figures import Limit, Progress, Rows, cpu_s, quiet, told, verdict, words
from sima2.bench.mocap import FOLDER, boundaries_of_people
from sima2.bench.online_latency import TARGETS as ONLINE_TARGETS
from sima2.bench.online_latency import online_latency
from sima2.bench.segment_page import page as page
from sima2.bench.segment_scores import BOUNDARY_S, Score, outcomes, reasons, reliability, scores, segmental, summary
from sima2.errors import MissingExtraError, UsageError
from sima2.records.rollout import RolloutBatch
from sima2.segmentation_engine import SegmentationEngine

if TYPE_CHECKING:
    from sima2.tasks.simulator import SimulatorSettings


@dataclass(frozen=True, slots=True)
class LabelledSource:
    """A backend of the client whose rollouts come with truth."""

    name: str
    backend: str
    rate_hz: float = 20.0
    most: int | None = None
    """Episodes of each family at most, where they are dear."""
    simulator: str = ""
    """For ``mujoco``: whether the cell is the ``usual`` one at all its rates, with all parameters ``left_out``, or
    another that nothing was mended on (``unseen``)."""
    taught_by: str = ""
    """Name of the source whose labels rivals learn as well, to see what of them carries over."""


SOURCES: Final = (
    LabelledSource("synthetic", "synthetic"),
    LabelledSource("synthetic_50_hz", "synthetic", rate_hz=50.0, most=20),
    LabelledSource("mujoco", "mujoco", most=12, simulator="usual"),
    LabelledSource("mujoco_left_out", "mujoco", most=12, simulator="left_out", taught_by="mujoco"),
    LabelledSource("mujoco_unseen", "mujoco", most=12, simulator="unseen", taught_by="mujoco"),
)

TARGETS: Final[Mapping[str, Limit]] = {
    "frame_accuracy": (0.90, "at least"),
    "edit": (85.0, "at least"),
    "f1_50": (85.0, "at least"),
    "f1_50_without_force": (80.0, "at least"),
    "f1_50_behind_oracle": (3.0, "at most"),
    "failure_precision": (0.95, "at least"),
    "failure_recall": (0.95, "at least"),
    "recovery_precision": (0.95, "at least"),
    "recovery_recall": (0.90, "at least"),
    "false_alarm_share": (0.01, "at most"),
    "unknown_share": (0.05, "at most"),
    "calibration_error": (0.05, "at most"),
    "engine_frames_per_cpu_s": (1e6, "at least"),
    "rollouts_per_cpu_s": (2.0, "at least"),
    **ONLINE_TARGETS,
}
"""Of every source."""
SHOWN: Final[Mapping[str, str]] = {
    "f1_50": "F1@50",
    "f1_25": "F1@25",
    "f1_10": "F1@10",
    "edit": "edit",
    "frame_accuracy": "accuracy",
    "boundary_f1": "boundaries",
    "failure_precision": "failures precision",
    "failure_recall": "recall",
    "failure_time_error_s": "failures off by s",
    "recovery_precision": "recoveries precision",
    "recovery_recall": "recall",
    "anomaly_average_precision": "anomalies average precision",
    "calibration_error": "calibration error",
    "unknown_share": "unknown",
}
"""What a row of a group tells."""
MOCAP_TARGET: Final = (0.75, "at least")
WORST: Final = 10


def run(
    *,
    episodes: int = 40,
    seed: int = 1000,
    progress: Progress = quiet,
    sources: Sequence[LabelledSource] = SOURCES,
    mocap: Path = FOLDER,
    learned: bool = True,
) -> dict[str, Any]:
    """All figures, the same for the same seed but for those of speed.

    Args:
        episodes: of each family and source, at least 1.
        seed: of the judged episodes; scales are fitted, without labels, on those of the next seed, and the rivals that
            learn see the labels of the latter.
        progress: told the step under way.
        sources: where labelled rollouts come from; one that this installation lacks is reported as not available.
        mocap: folder of the recordings that people marked; skipped where absent.
        learned: judge the rivals that learn too, which takes most of the time.

    Rollouts of one source and seed are made once, however many sources learn from them.
    """
    if episodes < 1:
        raise UsageError(f"a bench over {episodes} episodes has nothing to judge")
    values: dict[str, Any] = {"episodes": episodes, "seed": seed, "sources": {}}
    shelf = _Shelf(episodes, progress, {each.name: each for each in (*SOURCES, *sources)})
    for source in sources:
        values["sources"][source.name] = _source(source, shelf, seed, progress, learned)
    progress("recordings marked by people")
    values["mocap"] = boundaries_of_people(mocap)
    values["targets"] = _targets(values)
    return values


Labelled = tuple[RolloutBatch, list[Track]]
"""Rollouts and what they truly show."""


def read(source: LabelledSource, episodes: int, seed: int) -> Labelled:
    """Rollouts of a source and what they truly show.

    Raises:
        MissingExtraError: if this installation lacks what makes them.
    """
    from sima2.client import Sima2Client

    count = episodes if source.most is None else min(episodes, source.most)
    client = Sima2Client(backend=source.backend, seed=seed, rate_hz=source.rate_hz, simulator=_cell(source))
    opened = client.source(episodes=count)
    intake = opened.read(0, opened.episodes)
    if intake.truth is None:
        raise UsageError(f"the {source.backend} backend tells no truth to be judged by")
    return intake.batch, tracks(intake.batch, intake.truth)


def _cell(source: LabelledSource) -> SimulatorSettings | None:
    if not source.simulator:
        return None
    from sima2.tasks.simulator import LEFT_OUT, UNSEEN, SimulatorSettings

    return {"usual": SimulatorSettings(), "left_out": LEFT_OUT, "unseen": UNSEEN}[source.simulator]


@dataclass(slots=True)
class _Shelf:
    """Rollouts of a run, each made once."""

    episodes: int
    progress: Progress
    sources: Mapping[str, LabelledSource]
    kept: dict[tuple[str, int], Labelled] = field(default_factory=dict)
    rate: dict[str, float] = field(default_factory=dict)
    """Rollouts made in a CPU-second, truth included, by source."""

    def get(self, name: str, seed: int) -> Labelled:
        """Those of a source and seed."""
        if (name, seed) not in self.kept:
            self.progress(f"{name}: rollouts of seed {seed}")
            begin = time.process_time()
            made = self.kept[name, seed] = read(self.sources[name], self.episodes, seed)
            self.rate[name] = len(made[0]) / max(time.process_time() - begin, 1e-9)
        return self.kept[name, seed]


def _source(source: LabelledSource, shelf: _Shelf, seed: int, progress: Progress, learned: bool) -> dict[str, Any]:
    try:
        own, other = shelf.get(source.name, seed), shelf.get(source.name, seed + 1)
        teacher = shelf.get(source.taught_by, seed + 1) if source.taught_by and learned else None
    except MissingExtraError as error:
        return {"available": False, "why": str(error)}
    found = judge(own, other, seed, progress, source.name, learned=learned, teacher=teacher)
    return {"available": True, "taught_by": source.taught_by, "rollouts_per_cpu_s": shelf.rate[source.name], **found}


def judge(
    own: Labelled,
    other: Labelled,
    seed: int = 0,
    progress: Progress = quiet,
    name: str = "",
    *,
    learned: bool = True,
    teacher: Labelled | None = None,
) -> dict[str, Any]:
    """Engine and rivals on rollouts of ``own``; ``other`` fits scales, and with its labels the learned rivals.

    ``teacher``: labelled rollouts of another generator; what learned on those is judged as well, as ``transferred``.
    """
    (batch, truth), fitted_on = own, other[0]
    by_channels: dict[str, dict[str, Any]] = {}
    taught: dict[str, dict[str, Any]] = {"learned_oracle": {}, "learned_oracle_transferred": {}}
    teachers = zip(taught, (other, teacher), strict=True) if learned else ()
    pupils = [(found, told_by) for found, told_by in teachers if told_by is not None]
    full: list[Score] = []
    for channels in CHANNEL_SETS:
        progress(f"{name}: {channels}")
        judged = with_channels(batch, channels)
        engine = SegmentationEngine().fit([with_channels(fitted_on, channels)])
        scored = scores(truth, pieces_of(engine.segment(judged)))
        by_channels[channels] = summary(scored)
        full = full or scored
        for found, (shown, labels) in pupils:
            progress(f"{name}: {channels}, {words(found)}")
            oracle = partial(_oracle, with_channels(shown, channels), labels, judged, truth)
            taught[found][channels] = _or_why(oracle)
    progress(f"{name}: rivals")
    worst = sorted(full, key=_badness)
    return {
        "overall": by_channels["full"],
        "families": _grouped(full, lambda s: s.track.family),
        "failure_modes": _grouped(full, lambda s: s.track.failure_mode or "none"),
        "channel_sets": by_channels,
        "rivals": _rivals(own, other, teacher, full, seed, learned),
        **taught,
        "outcomes": outcomes(full),
        "failure_reasons": reasons(full),
        "calibration": reliability(full),
        "engine_frames_per_cpu_s": _speed(batch, fitted_on),
        "online": online_latency(batch),
        "worst": [_picture(s) for s in worst[:WORST]],
        "worst_of_family": [_picture(s) for s in _first_of_family(worst) if s not in worst[:WORST]],
    }


def _grouped(scored: Sequence[Score], key: Callable[[Score], str]) -> dict[str, Any]:
    names = sorted({key(s) for s in scored})
    return {name: summary([s for s in scored if key(s) == name]) for name in names}


def _rivals(
    own: Labelled, other: Labelled, teacher: Labelled | None, full: Sequence[Score], seed: int, learned: bool
) -> dict[str, Any]:
    batch, truth = own
    predicted = {s.track.key: s.predicted for s in full}
    labels = {
        "engine_without_fit": pieces_of(SegmentationEngine().segment(batch)),
        "gripper_toggles": rivals.gripper_toggles(batch),
        "one_label": rivals.one_label(truth),
        "shuffled_in_time": rivals.shuffled_in_time(truth, predicted, seed),
    }
    out: dict[str, Any] = {name: segmental(scores(truth, pieces)) for name, pieces in labels.items()}
    if learned:
        out["kernel_change_points"] = _or_why(partial(rivals.kernel_change_points, *other, *own, BOUNDARY_S))
    if learned and teacher is not None:
        cut_as_taught = partial(rivals.kernel_change_points, *teacher, *own, BOUNDARY_S)
        out["kernel_change_points_transferred"] = _or_why(cut_as_taught)
        fitted = SegmentationEngine().fit([teacher[0]])
        out["engine_fitted_elsewhere"] = segmental(scores(truth, pieces_of(fitted.segment(batch))))
    return out


def _oracle(
    other: RolloutBatch, labelled: Sequence[Track], batch: RolloutBatch, truth: Sequence[Track]
) -> dict[str, Any]:
    return segmental(scores(truth, rivals.learned_oracle(other, labelled)(batch)))


def _or_why(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A measure that needs an optional library, or why it could not be taken."""
    try:
        return measure()
    except MissingExtraError as error:
        return {"not_installed": str(error)}


def _speed(batch: RolloutBatch, other: RolloutBatch) -> float:
    """Frames in a CPU-second, the median of three."""
    engine = SegmentationEngine().fit([other])
    return float(np.median([batch.frames / max(cpu_s(lambda: engine.segment(batch)), 1e-9) for _ in range(3)]))


def _badness(scored: Score) -> tuple[float, float, str]:
    return scored.counts.f1(50), scored.counts.accuracy, scored.track.episode_id


def _first_of_family(scored: Sequence[Score]) -> list[Score]:
    """The first score of each family: one hard family would otherwise hide what ails the others."""
    return list({s.track.family: s for s in reversed(scored)}.values())


def _picture(scored: Score) -> dict[str, Any]:
    track = scored.track
    return {
        "episode_id": track.episode_id,
        "manipulator": track.manipulator,
        "family": track.family,
        "failure_mode": track.failure_mode,
        "rate_hz": track.rate_hz,
        "f1_50": scored.counts.f1(50),
        "frame_accuracy": scored.counts.accuracy,
        "true": [piece._asdict() for piece in track.pieces],
        "predicted": [piece._asdict() for piece in scored.predicted],
    }


def _targets(values: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for source, found in values["sources"].items():
        if found["available"]:
            figures = _figures(found)
            known = {name: figures[name] for name in TARGETS if not math.isnan(figures.get(name, math.nan))}
            out |= {f"{source}: {name}": verdict(value, *TARGETS[name]) for name, value in known.items()}
    if values["mocap"]["available"]:
        out["mocap: boundary_f1"] = verdict(values["mocap"]["engine_boundary_f1"], *MOCAP_TARGET)
    return out


def _figures(found: Mapping[str, Any]) -> dict[str, float]:
    """What has a target, by name."""
    overall = found["overall"]
    oracle = found["learned_oracle"].get("full", {})
    return {
        **overall,
        "f1_50_without_force": found["channel_sets"]["without_force"]["f1_50"],
        "f1_50_behind_oracle": oracle.get("f1_50", math.nan) - overall["f1_50"],
        "engine_frames_per_cpu_s": found["engine_frames_per_cpu_s"],
        "rollouts_per_cpu_s": found["rollouts_per_cpu_s"],
        **found["online"],
    }


def rows(values: Mapping[str, Any]) -> Rows:
    """The figures as a table: name, result, target."""
    out = []
    for source, found in values["sources"].items():
        if not found["available"]:
            out.append((source, "not available", found["why"]))
            continue
        for name, value in _figures(found).items():
            target = values["targets"].get(f"{source}: {name}")
            out.append((f"{source}: {words(name)}", _number(value), told(target)))
        for kind in ("families", "failure_modes", "channel_sets", "rivals"):
            out += [(f"{source}, {words(each)}", _line(row), "") for each, row in found[kind].items()]
        for taught, by in (("learned_oracle", ""), ("learned_oracle_transferred", f" taught by {found['taught_by']}")):
            for channels, row in found[taught].items():
                out.append((f"{source}, oracle{by}, {words(channels)}", _line(row), ""))
        for label, row in found["calibration"].items():
            line = f"{row['base_rate']:.3f} right of {row['n']}, error {row['expected_calibration_error']:.3f}"
            out.append((f"{source}, confidence, {words(label)}", line, ""))
        for kind, confused in (("outcome", found["outcomes"]), ("reason", found["failure_reasons"])):
            for true, others in confused.items():
                line = ", ".join(f"{words(each)} {n}" for each, n in others.items())
                out.append((f"{source}, {kind} {words(true)}", line, ""))
    mocap = values["mocap"]
    if not mocap["available"]:
        return [*out, ("mocap", "not available", mocap["why"])]
    for name in (*(each for each in mocap if each.endswith("boundary_f1")), "unknown_share"):
        target = values["targets"]["mocap: boundary_f1"] if name == "engine_boundary_f1" else None
        out.append((f"mocap: {words(name)}", _number(mocap[name]), told(target)))
    return out


def _line(row: Mapping[str, Any]) -> str:
    """The main measures in one cell."""
    if "not_installed" in row:
        return str(row["not_installed"])
    return ", ".join(f"{words} {_number(row[name])}" for name, words in SHOWN.items() if name in row)


def _number(value: float) -> str:
    return "not assessed" if math.isnan(value) else f"{value:,.3g}" if abs(value) < 100 else f"{value:,.0f}"
