"""Worst cases, each a function of plain values that runs in a process of its own."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sima2.bench.sources import Given
from sima2.client import Intake, Sima2Client, SyntheticSource
from sima2.orchestrator import run_pipeline, run_source
from sima2.pipeline import Progress, RunSettings
from sima2.records.intake import QuarantineTable
from sima2.records.rollout import OBJECT_CHANNELS, SCENE_CHANNELS, RolloutBatch

if TYPE_CHECKING:
    from sima2.bench.semantic_chain import Chained

MEANING: Final = (
    "write_amplification", "orphans", "acceptance", "risk_share_high", "recovery_precision", "ood_nominal_flagged",
    "garbage_named",
)  # fmt: skip
"""What is told of tags and proposals."""
PAGE_KB: Final = os.sysconf("SC_PAGE_SIZE") / 1024


def whole_run(out: str, mix: str, episodes: int, seed: int, jobs: int = 1, batch_size: int = 250) -> dict[str, Any]:
    """A run into a new folder: its digest and counts, and how memory grew over its second half."""
    seen: list[tuple[int, float]] = []

    def look(told: Progress) -> None:
        if told.phase == "pass 1":
            seen.append((told.done, _resident_kb()))

    settings = RunSettings(
        mix=mix, episodes=episodes, seed=seed, jobs=jobs, batch_size=batch_size, out=Path(out), fresh=True
    )
    begin, begin_cpu = time.perf_counter(), time.process_time()
    values = run_pipeline(settings, progress=look).values
    spent = {"run_wall_s": time.perf_counter() - begin, "run_cpu_s": time.process_time() - begin_cpu}
    late = np.array([each for each in seen if each[0] >= seen[-1][0] / 2], np.float64)
    # the median of all slopes (Theil 1950, Sen 1968): memory is handed out in steps
    i, j = np.triu_indices(len(late), 1)
    step = late[j] - late[i]
    step = step[step[:, 0] > 0]
    slope = float(np.median(step[:, 1] / step[:, 0])) if len(step) else float("nan")
    return {**{name: values[name] for name in ("digest", "episodes", "frames", "seconds")}, "slope_kb": slope, **spent}


def again(out: str, mix: str, episodes: int, seed: int) -> dict[str, Any]:
    """The run that is there already."""
    values = run_pipeline(RunSettings(mix=mix, episodes=episodes, seed=seed, out=Path(out))).values
    assert values.get("nothing_new"), "the run was not there"
    return {"episodes": values["episodes"]}


def _resident_kb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_KB


def first_segment() -> dict[str, Any]:
    """The shortest way to a segment."""
    from sima2 import SegmentationEngine

    batch, _, _ = Sima2Client().rollouts(family="drawer_open", count=1)
    return {"segments": len(SegmentationEngine().segment(batch))}


def yardstick() -> dict[str, float]:
    """CPU seconds of a fixed piece of arithmetic, half of it numpy's: by it runs on different machines compare."""
    begin = time.process_time()
    values = np.random.default_rng(0).standard_normal((2000, 2000), np.float32)
    for _ in range(8):
        values = np.sort(np.sqrt(np.abs(values) + 1.0), axis=1)[:, ::-1].copy()
    sum(k * k for k in range(6_000_000))
    return {"yardstick_s": time.process_time() - begin}


def meaning(mix: str, episodes: int, seed: int) -> dict[str, Any]:
    """Tags and proposals against truth."""
    from sima2.bench.semantic_chain import chained
    from sima2.bench.semantic_scores import proposals, recoveries, risk, strangeness
    from sima2.execution.executor import one_thread

    with one_thread():
        run = chained(Sima2Client(seed=seed).source(mix=mix, episodes=episodes))
    told = {**recoveries(run), **risk(run), **strangeness(run), **proposals(run), "garbage_named": _garbage_named(run)}
    return {name: told[name] for name in MEANING}


def _garbage_named(run: Chained) -> int:
    """Episodes of garbage that were neither put aside nor labelled ``unknown`` throughout."""
    named = run.segments.take(~run.segments.label.isin("unknown")).episode_id
    garbage = run.episodes.episode_id[np.flatnonzero(run.truth.noise)]
    return len(set(named.tolist()) & set(garbage.tolist()))


def online(seed: int, frames: int, passes: int = 3) -> dict[str, Any]:
    """Work a segment in online form: the push that gives it and its primitive, shared among those given at once.

    The same frames are pushed in several passes, and a segment's work is the median over them: what a machine does
    beside it (interrupts, neighbours) falls on other segments each time. ``p99_of_each_ms`` is that of single passes.
    """
    from sima2 import SegmentationEngine, SemanticPrimitiveExtractor
    from sima2.bench.online_latency import single_frames

    batch, _, _ = Sima2Client(seed=seed).rollouts(family="dish_place", count=50)
    extractor = SemanticPrimitiveExtractor()

    def spent() -> list[float]:
        stream = SegmentationEngine().stream("stream", robot=batch[0].robot)
        found: list[float] = []
        for frame in single_frames(batch[0], frames):
            begin = time.process_time_ns()
            given = stream.push(frame)
            if len(given):
                extractor.extract(given)
                found += [(time.process_time_ns() - begin) / 1e6 / len(given)] * len(given)
        return found

    each = np.array([spent() for _ in range(passes)])
    usual = np.median(each, axis=0)
    return {
        "segments": len(usual),
        "p50_ms": float(np.median(usual)),
        "p99_ms": float(np.quantile(usual, 0.99)),
        "p99_of_each_ms": np.quantile(each, 0.99, axis=1).tolist(),
    }


def storm(template: str, count: int, seed: int) -> dict[str, Any]:
    """A run of so many episodes of one family, all of one template: time a frame, and fragility nodes a cause."""
    from sima2.tasks.plan import rollouts_plan
    from sima2.tasks.world_settings import PhysicsSettings

    plan = rollouts_plan("drawer_open", template=template, count=count, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        values = run_source(SyntheticSource(plan, PhysicsSettings()), RunSettings(out=Path(folder) / "out")).values
        spent = time.process_time() - begin
        graph = json.loads((Path(folder) / "out" / "ontology.json").read_text())
    causes = [
        (node.get("object"), node.get("action"), node.get("reason"))
        for node in graph["nodes"].values()
        if node.get("type") == "fragility"
    ]
    return {
        "episodes": values["episodes"]["ok"],
        "rollouts_per_cpu_s": values["episodes"]["ok"] / spent,
        "fragility_nodes": len(causes),
        "causes_twice": len(causes) - len(set(causes)),
        "warnings": len(values["warnings"]),
    }


def _long(frames: int, seed: int, start: int, stop: int) -> Intake:
    """A single episode of so many frames with all channels: one rollout over and over."""
    made, outcome, _ = Sima2Client(seed=seed).rollouts(family="dish_place", template="success", count=1)
    one = made[0]
    turn = np.arange(frames) % len(one)

    def all_of(channels: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value[turn] for name, value in channels.items() if value is not None}

    arm = all_of(one.manipulators["arm"].channels())
    scene = {name: all_of(getattr(one, name)) for name in OBJECT_CHANNELS}
    rest = all_of({name: getattr(one, name) for name in SCENE_CHANNELS})
    long = one.with_(time=np.arange(frames) * float(np.median(np.diff(one.time))), **arm, **scene, **rest)
    return Intake(RolloutBatch.from_rollouts([long]), outcome, QuarantineTable.empty())


def marathon(frames: int, seed: int) -> dict[str, Any]:
    """A rollout of so many frames through the whole chain."""
    with tempfile.TemporaryDirectory() as folder:
        values = run_source(Given(1, partial(_long, frames, seed)), RunSettings(out=Path(folder) / "out")).values
    return {"frames": values["frames"], "segments": values["segments"], "episodes": values["episodes"]}


def tag_explosion(tags: int, episodes: int, seed: int) -> dict[str, Any]:
    """So many distinct tags through the trust matrix, all of them noise."""
    from sima2 import EconCorrelator

    rng = np.random.default_rng(seed)
    y = rng.lognormal(0.0, 1.5, episodes)
    strata = rng.integers(0, 8, episodes)
    matrix = EconCorrelator().calibrate(
        {f"tag{k:06d}": rng.random(episodes) < 0.2 for k in range(tags)}, outcome=y, strata=strata
    )
    return {"tags": len(matrix), "trusted": sum(row.trust_level > 0.5 for row in matrix.values())}


def every_tag_everywhere(primitives: int, per_episode: int = 10) -> dict[str, Any]:
    """Every primitive emits every tag: as rows, to indicators and counts of trust, and to levels for sampling."""
    from sima2.analytics.counts import count
    from sima2.analytics.econ_settings import COST_FIELDS
    from sima2.analytics.trust_inputs import tag_indicators
    from sima2.records.table import Text
    from sima2.records.tags import TagTable
    from sima2.sampling.pool import given_levels
    from sima2.tags.specs import TAGS

    n, kinds = primitives // per_episode, len(TAGS)
    ids = Text(np.arange(n), [f"e{k:07d}" for k in range(n)])
    rows = primitives * kinds
    episode = np.repeat(np.arange(n), per_episode * kinds)
    tags = TagTable(
        episode_index=episode,
        episode_id=Text(episode, ids.names),
        tag=Text(np.tile(np.arange(kinds), primitives), list(TAGS)),
        kind=Text.full(rows, "predictive"),
        value=np.ones(rows),
        level=np.ones(rows),
        severity=np.ones(rows),
        source=Text.full(rows, "everything"),
        start_frame=np.zeros(rows, np.int64),
        end_frame=np.ones(rows, np.int64),
        details=Text.full(rows, "everywhere"),
        available_at_frame=np.zeros(rows, np.int64),
    )
    given = tag_indicators(tags, ids, TAGS)
    count(given, np.arange(n, dtype=np.float64), np.zeros(n, int), COST_FIELDS["damage"])
    levels = given_levels(tags, ids, TAGS)
    return {"rows": rows, "tagged": int(sum((level > 0).sum() for level in levels.values()))}


def deep_graph(levels: int, nodes: int) -> dict[str, Any]:
    """Tasks that nest so deep, and as many tasks as nodes, through the task graph."""
    from sima2.knowledge.task_evidence import TaskEvidence
    from sima2.knowledge.task_graph import TaskGraphRefiner
    from sima2.records.knowledge import ProposalTable

    chain = {f"task{k}": [f"task{k + 1}"] for k in range(levels - 1)}
    chain |= {"wide": [f"part{k}" for k in range(nodes)]}
    graph = TaskGraphRefiner().graph(TaskEvidence.empty(), ProposalTable.empty(), subtasks=chain)
    return {"nodes": len(graph.nodes), "depth": max(node["depth"] for node in graph.nodes.values()) + 1}
