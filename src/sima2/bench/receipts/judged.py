"""One set of one seed: made, read and planned as a user's is, trained on by every selection, tried in closed loop."""

from __future__ import annotations

import functools
import hashlib
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from sima2.bench.receipts.demonstrations import Made, make, scenes
from sima2.bench.receipts.files import GOAL, Filed, write
from sima2.bench.receipts.selections import Frames, selections
from sima2.bench.receipts.trials import done, seen, try_out
from sima2.execution.executor import one_thread
from sima2.imitation.policy import FitSettings, fit
from sima2.orchestrator import run_pipeline
from sima2.pipeline import RunSettings
from sima2.receipt import CONSERVATIVE, MEASURED, effective, planned_weights
from sima2.records.arrays import Float64s

TRAINING: Final = FitSettings()
TRIED_BY: Final = (
    "bench/receipts/world.py",
    "bench/receipts/operator.py",
    "bench/receipts/demonstrations.py",
    "bench/receipts/trials.py",
    "bench/receipts/judged.py",
    "imitation/policy.py",
)
"""What success under given weights depends on: another rule of the product makes no kept trial void, but these do."""
DIGITS: Final = 16
"""Of a fingerprint, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What is judged at once."""

    n: int
    """Demonstrations."""
    contamination: float
    """Share of them that is not good."""
    seed: int
    trials: int
    """Starts that every policy is tried from."""
    steps: int = TRAINING.steps
    """Updates of every policy."""

    @property
    def tried(self) -> str:
        """What a kept trial must be of, besides its weights, to be this one's."""
        return f"{self.n}:{self.contamination}:{self.seed}:{self.trials}:{self.steps}:{code(TRIED_BY)}"

    @property
    def key(self) -> str:
        """What a kept result must be of to be this one's: the same code throughout."""
        return f"{self.tried}:{code()}"

    def rng(self, what: str) -> np.random.Generator:
        """A generator of its own for each purpose; starts of trials are the same in all settings of a seed."""
        own = () if what == "trials" else (self.n, round(1000 * self.contamination))
        return np.random.default_rng([self.seed, zlib.crc32(what.encode()), *own])


@functools.cache
def code(names: tuple[str, ...] = ()) -> str:
    """Fingerprint of files of the package, of all where none are named: what other code gave is not taken for its."""
    root = Path(__file__).parents[2]
    files = [root / name for name in names] or sorted(root.rglob("*.py"))
    hashed = hashlib.sha256()
    for file in files:
        hashed.update(f"{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes())
    return hashed.hexdigest()[:DIGITS]


def judge(unit: Unit, known: Mapping[str, float] = MappingProxyType({})) -> dict[str, Any]:
    """Success of every selection.

    Args:
        unit: what is judged.
        known: success under weights that were tried before, by their digest.

    Returns:
        ``success``, ``weights`` (their digest) and ``frames`` (what they are worth) by selection, ``length_auroc``,
        ``trap_auroc``, and what was asked for.
    """
    with one_thread():
        made = make(unit.n, unit.contamination, unit.rng("set"))
        weights, facts = selections(Frames.of(made), _plans(made), unit.rng("selections"))
        observations = np.concatenate([seen(each.state, each.things) for each in made.episodes])
        actions = np.concatenate([done(each) for each in made.episodes])
        starts = scenes(unit.trials, unit.rng("trials"))
        digests = {name: _digest(weight) for name, weight in weights.items()}
        rates = dict(known)
        for name, weight in weights.items():
            if digests[name] not in rates:
                settings = FitSettings(steps=unit.steps)
                policy = fit(observations, actions, weight, seed=unit.seed, settings=settings)
                rates[digests[name]] = float(try_out(policy, starts).mean())
    return {
        "key": unit.key,
        "tried": unit.tried,
        "n": unit.n,
        "contamination": unit.contamination,
        "seed": unit.seed,
        "trials": unit.trials,
        "success": {name: rates[digest] for name, digest in digests.items()},
        "weights": digests,
        "frames": {name: round(effective(weight)) for name, weight in weights.items()},
        "length_auroc": made.length_auroc,
        **facts,
    }


def _digest(weights: Float64s) -> str:
    return hashlib.sha256(weights.astype("<f8").tobytes()).hexdigest()[:DIGITS]


def _plans(made: Made) -> dict[str, Float64s]:
    """The product's weights, from runs as a user starts them."""
    with tempfile.TemporaryDirectory() as work:
        filed = write(Path(work), made)
        told, untold = (_run(filed, Path(work) / name, goals) for name, goals in (("a", (GOAL,)), ("b", ())))
        presets = {MEASURED: (told, "measured"), CONSERVATIVE: (told, "conservative")}
        presets |= {"measured_no_goal": (untold, "measured")}
        return {name: _in_order(made, out, preset) for name, (out, preset) in presets.items()}


def _run(filed: Filed, out: Path, goals: tuple[str, ...]) -> Path:
    run_pipeline(
        RunSettings(path=filed.path, outcomes=filed.outcomes, column_map=filed.column_map, goals=goals, out=out)
    )
    return out


def _in_order(made: Made, out: Path, preset: str) -> Float64s:
    """Planned weights in the order of the set; frames of episodes that the run put aside have none."""
    planned = planned_weights(out, preset)
    first = np.concatenate([[0], np.cumsum([len(each) for each in made.episodes])])
    weights = np.zeros(int(first[-1]))
    weights[first[planned.episode_index] + planned.frame_index] = planned.weight
    return weights
