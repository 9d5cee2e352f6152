"""Whatever happens to a data set on its way, reading it ends in an error of ours, quarantine or a warning."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lerobot_sets import MAKERS

from sima2.errors import DatasetError
from sima2.io.formats import open_dataset
from sima2.io.formats.lerobot_write import write_lerobot
from sima2.io.intake import QUARANTINE_REASONS
from sima2.records.rollout import Rollout, RolloutBatch

ROUNDS = 80
STRANGE: list[Any] = [
    None,
    -1,
    0,
    1.5,
    10**30,
    "",
    "x" * 5000,
    "\udcff",
    [],
    [[[]]],
    {},
    {"a": {}},
    True,
    "../..",
    2**63,
]


def make_own(root: Path) -> Path:
    """A set of our own."""
    time = np.arange(6) / 20
    rollouts = [
        Rollout(f"e{k}", time, gripper_width=time, object_position={"cup": np.zeros((6, 3))}, action=np.ones((6, 2)))
        for k in range(4)
    ]
    write_lerobot(root, [(RolloutBatch.from_rollouts(rollouts), None)], fps=20, robot="r")
    return root


MAKE = {**MAKERS, "own": make_own}


def outcome_of(root: Path) -> str:
    """How reading ended; anything but an error of ours fails the test by itself."""
    try:
        dataset = open_dataset(root)
        dataset.describe().to_plain()
        got = dataset.read(0, dataset.episodes)
    except DatasetError:
        return "error"
    assert len(got.batch) + len(got.quarantine) == dataset.episodes
    assert set(got.quarantine.reason.tolist()) <= set(QUARANTINE_REASONS)
    return "quarantine" if len(got.quarantine) else "fine"


def mutate_json(value: Any, rng: random.Random) -> Any:
    """One place of a JSON value made strange."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        copy = value.copy()
        key = rng.choice(list(copy) if isinstance(copy, dict) else range(len(copy)))
        if rng.random() < 0.1:
            del copy[key]
        else:
            copy[key] = mutate_json(copy[key], rng)
        return copy
    return rng.choice(STRANGE)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, cut or doubled."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 3, 20])):
        at = rng.randrange(len(out) or 1)
        kind = rng.randrange(4)
        if kind == 0 and out:
            out[at % len(out)] = rng.randrange(256)
        elif kind == 1:
            del out[at : at + rng.randrange(1, 50)]
        elif kind == 2:
            out[at:at] = rng.randbytes(rng.randrange(1, 9))
        else:
            out[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(out)


@pytest.mark.parametrize("kind", MAKE)
def test_strange_metadata_never_end_in_a_traceback(tmp_path: Path, kind: str) -> None:
    root = MAKE[kind](tmp_path / "set")
    path = root / "meta/info.json"
    good = json.loads(path.read_text())
    rng = random.Random(1)
    seen = set()
    for _ in range(ROUNDS):
        path.write_text(json.dumps(mutate_json(good, rng)))
        seen.add(outcome_of(root))
    assert {"error", "fine"} <= seen


@pytest.mark.parametrize("kind", MAKE)
def test_damaged_files_never_end_in_a_traceback(tmp_path: Path, kind: str) -> None:
    root = MAKE[kind](tmp_path / "set")
    files = sorted(file for file in root.rglob("*") if file.is_file())
    rng = random.Random(2)
    seen = set()
    for _ in range(ROUNDS):
        file = rng.choice(files)
        good = file.read_bytes()
        file.write_bytes(mutate_bytes(good, rng))
        seen.add(outcome_of(root))
        file.write_bytes(good)
    assert len(seen) > 1
    assert outcome_of(root) == "fine"


@pytest.mark.parametrize("name", ["meta/episodes.jsonl"])
def test_a_strange_index_never_ends_in_a_traceback(tmp_path: Path, name: str) -> None:
    root = MAKERS["v2.1"](tmp_path / "set")
    good = [json.loads(line) for line in (root / name).read_text().splitlines()]
    rng = random.Random(3)
    for _ in range(ROUNDS):
        lines = mutate_json(good, rng)
        text = "\n".join(json.dumps(line) for line in lines) if isinstance(lines, list) else json.dumps(lines)
        (root / name).write_text(text)
        outcome_of(root)
