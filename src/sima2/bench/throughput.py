"""How fast and how large: the generator, a recorded set's source, every stage, memory, the start; and the risk law."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from sima2.bench.calibration import calibration
from sima2.bench.children import measured
from sima2.bench.figures import Progress, Rows, judged, quiet, tabled
from sima2.bench.source_stage import figures
from sima2.client import Sima2Client
from sima2.io.store import Store
from sima2.pipeline import MAIN_MIX
from sima2.records.tags import TagTable

TARGETS: Final = {
    "generator_rollouts_per_cpu_s": (2000.0, "at least"),
    "memory_mb": (500.0, "at most"),
    "help_cpu_s": (0.3, "at most"),
    "source_stage_over_columns": (3.0, "at most"),
    "risk_brier_skill": (0.0, "above"),
    "risk_expected_calibration_error": (0.03, "at most"),
    "risk_tag_brier_skill": (0.0, "above"),
    "risk_tag_expected_calibration_error": (0.03, "at most"),
}

SOURCE_EPISODES: Final = 4000
"""Episodes at most of the recorded set that the source stage reads."""


def run(*, episodes: int = 10_000, seed: int = 0, progress: Progress = quiet) -> dict[str, Any]:
    """All figures; ``episodes`` for memory and the chain, half of them (at least 5,000) for the risk law."""
    progress("generator")
    values: dict[str, Any] = {"episodes": episodes, "seed": seed, **_generator(seed)}
    progress("risk law")
    values |= _risk(max(5000, episodes // 2), seed)
    progress("start")
    values["help_cpu_s"] = _help_cpu()
    progress("source stage")
    values |= figures(min(episodes, SOURCE_EPISODES), seed)
    progress(f"chain over {episodes} rollouts")
    values |= _chain(episodes, seed)
    values["targets"] = judged(values, TARGETS)
    return values


def rows(values: Mapping[str, Any]) -> Rows:
    """The figures as a table: name, result, target."""
    out = tabled(values)
    for stage, rate in values["stage_frames_per_cpu_s"].items():
        out.append((f"stage {stage}, frames/CPU-s", f"{rate:,.0f}", ""))
    for name, words in (("risk", "true risk"), ("risk_tag", "RiskTag")):
        for row in values[name]["reliability"]:
            out.append((f"{words} said {row['p']:.2f}", f"{row['rate']:.3f} of {row['n']} failed", ""))
    return out


def _generator(seed: int, rollouts: int = 2000, batch: int = 250) -> dict[str, Any]:
    """Rollouts made in a CPU-second, all channels and truth; the median of three rounds."""
    client = Sima2Client(seed=seed)
    source = client.source(episodes=rollouts // 5)
    total = min(rollouts, source.episodes)
    source.read(0, batch)  # warm up
    rates, frames = [], 0
    for _ in range(3):
        begin, frames = time.process_time(), 0
        for start in range(0, total, batch):
            frames += source.read(start, min(start + batch, total)).batch.frames
        rates.append(total / (time.process_time() - begin))
    return {
        "generator_rollouts_per_cpu_s": float(np.median(rates)),
        "generator_frames_per_rollout": frames / total,
    }


def _risk(episodes: int, seed: int) -> dict[str, Any]:
    """The generator's own risk at the first frame against what happened, and a shuffled control."""
    risk, event = [], []
    for part in Sima2Client(seed=seed + 1).batches(episodes=-(-episodes // 5), batch_size=250):
        if part.truth is not None:
            risk.append(part.truth.episodes.initial_risk)
            event.append(part.truth.episodes.event_frame >= 0)
    p, y = np.concatenate(risk), np.concatenate(event)
    known = np.isfinite(p)
    p, y = p[known], y[known]
    real = calibration(p, y)
    control = calibration(np.random.default_rng(seed).permutation(p), y)
    return {
        "risk": real.plain(),
        "risk_brier_skill": real.brier_skill,
        "risk_expected_calibration_error": real.expected_error,
        "risk_shuffled_brier_skill": control.brier_skill,
    }


def _help_cpu() -> float:
    """CPU seconds of ``sima2 --help``: the median of five."""
    spent = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "sima2", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return float(np.median(spent))


def _chain(episodes: int, seed: int) -> dict[str, Any]:
    """A whole run in a process of its own, so that its peak memory is its own."""
    each = -(-episodes // max(1, Sima2Client(seed=seed).source(episodes=1).episodes))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        ran = measured("sima2.bench.stress_cases:whole_run", out=str(out), mix=MAIN_MIX, episodes=each, seed=seed)
        told = _risk_tag(out, each, seed)
    return {
        **told,
        "rollouts": ran["episodes"]["ok"],
        "frames": ran["frames"],
        "chain_rollouts_per_cpu_s": ran["episodes"]["ok"] / ran["run_cpu_s"],
        "chain_rollouts_per_wall_s": ran["episodes"]["ok"] / ran["run_wall_s"],
        "memory_mb": ran["memory_mb"],
        "stage_frames_per_cpu_s": {
            stage: ran["frames"] / spent for stage, spent in ran["seconds"].items() if spent > 1e-3
        },
    }


def _risk_tag(out: Path, episodes: int, seed: int) -> dict[str, Any]:
    """RiskTag's level, out of fold and from the prefix alone, against true failure events after its landmark."""
    event: dict[str, int] = {}
    for part in Sima2Client(seed=seed).batches(episodes=episodes, batch_size=250):
        if part.truth is not None:
            told = part.truth.episodes
            event.update(zip(told.episode_id, told.event_frame.tolist(), strict=True))
    with Store.read_only(out) as store:
        tags = TagTable.concat(list(store.read(TagTable, "tags")))
    tags = tags.take(tags.tag.isin("RiskTag") & ~np.isnan(tags.level))
    frames = np.array([event[eid] for eid in tags.episode_id])
    # an event before the landmark that the segments did not show has left the risk set too
    ahead = (frames < 0) | (frames >= tags.available_at_frame)
    real = calibration(tags.level[ahead], frames[ahead] >= 0)
    control = calibration(np.random.default_rng(seed).permutation(tags.level[ahead]), frames[ahead] >= 0)
    return {
        "risk_tag": real.plain(),
        "risk_tag_brier_skill": real.brier_skill,
        "risk_tag_expected_calibration_error": real.expected_error,
        "risk_tag_auroc": real.auroc,
        "risk_tag_shuffled_brier_skill": control.brier_skill,
    }
