"""Every reader under test: a small good input, a damaged form of it for each seed, and what reading it may end in."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from faults.mutations import (
    changed_bytes,
    changed_hdf5,
    changed_table,
    changed_text,
    json_lines,
    json_text,
    parquet_bytes,
)

Special = str
"""What stands in place of a file: ``absent``, ``folder``, ``fifo``, ``loop``, ``outside``."""
SPECIALS: Final = ("absent", "folder", "fifo", "loop", "outside")
BYTES: Final = (".sqlite", ".npz", ".mcap", "-of-00001")
"""Ends of names of files that are damaged byte by byte."""
Changes = dict[str, bytes | Special]


@dataclass(frozen=True)
class Reader:
    """A reader, and what it reads."""

    make: Callable[[Path], Any]
    """Writes a good input into a folder that is not there yet."""
    read: Callable[[Path], Any]
    """Reads it and checks what came."""
    weights: Mapping[str, int]
    """How often each kind of file is damaged, by the end of its name; all others never."""
    words: tuple[str, ...] = ()
    """Tokens that mean something to it."""


def names_of(reader: Reader, folder: Path) -> list[str]:
    """Files that may be damaged, each as often as it should be."""
    files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    out = []
    for end, weight in reader.weights.items():
        matching = [name for name in files if name.endswith(end)]
        assert matching, f"{end} is no file of {folder}"
        out += [matching[k % len(matching)] for k in range(max(weight, len(matching)))]
    return out


def damage(reader: Reader, names: list[str], good: Mapping[str, bytes], rng: random.Random) -> Changes:
    """What to change for a case."""
    changes: Changes = {}
    for _ in range(rng.choice([1, 1, 1, 1, 2, 3])):
        name = rng.choice(names)
        if rng.random() < 0.02:
            changes[name] = rng.choice(SPECIALS)
        else:
            before = changes.get(name, good[name])
            changes[name] = _damaged(name, before if isinstance(before, bytes) else good[name], good, reader, rng)
    return changes


def _damaged(name: str, data: bytes, good: Mapping[str, bytes], reader: Reader, rng: random.Random) -> bytes:
    kind = rng.random()
    if (
        kind < 0.3
        or (kind < 0.6 and name.endswith((".hdf5", ".h5")))
        or (kind < 0.5 and name.endswith(".parquet"))
        or name.endswith(BYTES)
    ):
        return changed_bytes(data, rng, good[rng.choice(sorted(good))])
    try:
        if name.endswith((".hdf5", ".h5")):
            return changed_hdf5(data, rng)
        if name.endswith(".parquet"):
            return parquet_bytes(changed_table(pq.read_table(io.BytesIO(data)), rng), rng)
        if name.endswith(".json"):
            return json_text(json.loads(data), rng)
        if name.endswith(".jsonl"):
            return json_lines(data, rng)
        return changed_text(data, rng, reader.words)
    except (
        ValueError,
        OSError,
        pa.ArrowException,
        RecursionError,
        MemoryError,
        TypeError,
        LookupError,
        RuntimeError,
        OverflowError,
    ):
        return changed_bytes(data, rng)  # damaged by an earlier change


def place(folder: Path, outside: Path, changes: Changes) -> None:
    """Put the changes of a case in place."""
    for name, change in changes.items():
        path = folder / name
        if isinstance(change, bytes):
            path.write_bytes(change)
            continue
        path.unlink()
        if change == "folder":
            path.mkdir()
        elif change == "fifo":
            os.mkfifo(path)
        elif change == "loop":
            path.symlink_to(path)
        elif change == "outside":
            path.symlink_to(outside / f"canary{path.suffix}")


def restore(folder: Path, good: Mapping[str, bytes], changes: Changes) -> None:
    """Take them away again."""
    for name in changes:
        path = folder / name
        if not isinstance(changes[name], bytes):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        path.write_bytes(good[name])


# LeRobot


def lerobot(maker: str, **changes: Any) -> Callable[[Path], Any]:
    """A set of two episodes made by hand, with the statistics that a real one has."""

    def make(folder: Path) -> None:
        from unit.io import lerobot_sets

        lerobot_sets.MAKERS[maker](folder, episodes=2, frames=4, **changes)
        stats = {"observation.state": {"min": [0.0] * 3, "max": [1.0] * 3, "count": [12]}}
        if changes.get("codebase_version") == "v2.0" or maker == "v3.0":
            (folder / "meta/stats.json").write_text(json.dumps(stats))
        else:
            lines = [json.dumps({"episode_index": k, "stats": stats}) for k in range(2)]
            (folder / "meta/episodes_stats.jsonl").write_text("\n".join(lines))

    return make


def own_set(folder: Path) -> None:
    """A set of our own."""
    from sima2.io.formats.lerobot_write import write_lerobot
    from sima2.records.rollout import Rollout, RolloutBatch

    time = np.arange(5) / 20
    rollouts = [
        Rollout(f"e{k}", time, gripper_width=time, object_position={"cup": np.zeros((5, 3))}, action=np.ones((5, 2)))
        for k in range(2)
    ]
    write_lerobot(folder, [(RolloutBatch.from_rollouts(rollouts), None)], fps=20, robot="r")


def read_set(folder: Path) -> None:
    """All episodes come or are put aside, and what is said of them can be shown."""
    from sima2.io.formats import open_dataset

    check_set(open_dataset(folder))


def check_set(dataset: Any) -> None:
    """What every reader of data sets promises."""
    from sima2.io.intake import QUARANTINE_REASONS

    told = json.dumps(dataset.describe().to_plain(), allow_nan=False)
    assert len(told) < 200_000, f"{len(told)} characters to describe a tiny set"
    got = dataset.read(0, dataset.episodes)
    assert len(got.batch) + len(got.quarantine) == dataset.episodes, "episodes were lost"
    assert set(got.quarantine.reason.tolist()) <= set(QUARANTINE_REASONS), "a reason that no one knows"
    ids = [*got.batch.episodes.episode_id, *got.quarantine.episode_id]
    assert len(set(ids)) == len(ids), "two episodes of one name"
    for text in (*ids, *got.batch.episodes.instruction, *got.quarantine.message, *got.warnings, told):
        text.encode()
        assert not {"\x00", "\x1b"} & set(text), "a control character came through"
        assert "CANARY" not in text, "something outside was read"


# MCAP


def recordings(folder: Path) -> None:
    """A bag of two files, without checksums, so that damage gets beyond the chunks."""
    from unit.io import mcap_recordings

    mcap_recordings.bag(folder, frames=12, checksums=False)


def recording(folder: Path) -> None:
    """A file with all that is read."""
    from unit.io import mcap_recordings

    folder.mkdir()
    (folder / "more_7.mcap").write_bytes(mcap_recordings.content(frames=12, checksums=False))


def read_whole(folder: Path) -> None:
    """As :func:`read_set`; that nothing could be read is an error too, and so is what was left out."""
    from sima2.errors import DatasetError
    from sima2.io.formats import open_dataset

    read_set(folder)
    got = open_dataset(folder).read(0, 1)
    if len(got.quarantine) or got.warnings:
        raise DatasetError("recording", [*got.quarantine.message, *got.warnings][0])


def own_recordings(folder: Path) -> None:
    """Recordings of our own."""
    from sima2.io.formats.mcap_write import write_mcap
    from sima2.records.rollout import Rollout, RolloutBatch

    time = np.arange(5) / 20
    rollouts = [
        Rollout(f"e{k}", time, gripper_width=time, object_position={"cup": np.zeros((5, 3))}, action=np.ones((5, 2)))
        for k in range(2)
    ]
    write_mcap(folder, [(RolloutBatch.from_rollouts(rollouts), None)], robot="r")


# RLDS


def rlds(folder: Path) -> None:
    """What TensorFlow Datasets wrote."""
    shutil.copytree(Path(__file__).parents[1] / "unit/io/rlds_of_tfds", folder)


# column map and URDF

MAP = """[arms.arm]
urdf = "robot.urdf"
tip = "hand"

[arms.arm.joint_position]
feature = "observation.state"
index = [0, 1]
unit = "rad"

[arms.arm.gripper_opening]
feature = "observation.state"
index = [2]
closed = [0.0]
open = [1.0]

[arms.arm.effort_proxy.joints]
feature = "action"
index = [0, 1]
state = "observation.state"
state_index = [0, 1]
lag = [1, 1]
usual = [0.0, 0.1]
spread = [0.5, 0.5]

[objects.cup.object_position]
feature = "action"
index = [0, 1, 2]
unit = "mm"

[time]
feature = "timestamp"
unit = "s"

[action]
feature = "action"

[robot]
name = "planar"
"""
URDF = """<?xml version="1.0"?>
<robot name="r">
<link name="base"/>
<link name="upper"><visual><geometry><mesh filename="mesh.stl"/></geometry></visual></link>
<link name="fore"/>
<link name="hand"/>
<joint name="shoulder_pan" type="revolute"><parent link="base"/><child link="upper"/>
<origin xyz="0 0 0.3" rpy="0 0.1 0"/><axis xyz="0 0 1"/><limit lower="-3" upper="3" effort="1" velocity="1"/></joint>
<joint name="elbow_flex" type="continuous"><parent link="upper"/><child link="fore"/>
<origin xyz="0.4 0 0" rpy="0 0 0"/><axis xyz="0 1 0"/></joint>
<joint name="wrist" type="prismatic"><parent link="fore"/><child link="hand"/>
<origin xyz="0.3 0 0"/><axis xyz="1 0 0"/><limit lower="0" upper="0.1"/>
<mimic joint="elbow_flex" multiplier="0.1" offset="0.2"/></joint>
</robot>
"""


def format_set(name: str) -> Callable[[Path], Any]:
    """A small set in a format of the registry, with the map beside it that it needs."""

    def make(folder: Path) -> None:
        import format_sets

        format_sets.make(name, folder, (0, 2))
        (folder / "map.toml").write_text(format_sets.SETS[name].column_map)

    return make


def read_format(name: str) -> Callable[[Path], None]:
    """As the registry opens it."""

    def read(folder: Path) -> None:
        import format_sets
        from sima2.io.formats import open_dataset

        given = folder / "map.toml" if format_sets.SETS[name].column_map else None
        check_set(open_dataset(folder, column_map=given))

    return read


def mapped_set(folder: Path) -> None:
    """A set with a map and a robot's description in it."""
    lerobot("v2.1")(folder)
    (folder / "map.toml").write_text(MAP)
    (folder / "robot.urdf").write_text(URDF)


def read_mapped(folder: Path) -> None:
    """The map is followed, and what is written of it reads the same."""
    from sima2.io.column_map import load_column_map, parse_column_map
    from sima2.io.formats import open_dataset

    columns = load_column_map(folder / "map.toml")
    assert parse_column_map(columns.to_toml(), "back") == columns, "the map is another once written"
    check_set(open_dataset(folder, column_map=folder / "map.toml"))


def description(folder: Path) -> None:
    """A robot's description alone."""
    folder.mkdir()
    (folder / "robot.urdf").write_text(URDF)


def read_description(folder: Path) -> None:
    """Its chain gives finite poses, or an error."""
    from sima2.io.hand_pose import read_urdf
    from sima2.io.urdf import compile_chain, parse_urdf

    text, _ = read_urdf("robot.urdf", folder / "map.toml", folder)
    found = parse_urdf(text, "robot.urdf")
    path = found.path("", "hand")
    chain = compile_chain(found, path, {"shoulder_pan": 0, "elbow_flex": 1})
    position, _ = chain.pose(np.zeros((3, 2), np.float32))
    assert np.isfinite(position).all()


# outcomes

ROWS = [
    {"episode_index": 0, "success": True, "failed_at_s": None, "damage": 0.5, "nominal": True},
    {"episode_index": 1, "success": False, "failed_at_s": 1.25, "damage": None, "nominal": False},
    {"episode_index": 2, "success": False, "failed_at_s": 0.0, "damage": 3.0, "nominal": None},
]


def outcomes(folder: Path) -> None:
    """The same outcomes in every kind of file."""
    folder.mkdir()
    head = "episode_index,success,failed_at_s,damage,nominal"
    (folder / "o.csv").write_text(f"{head}\n0,true,,0.5,yes\n1,0,1.25,,no\n2,no,0,3,\n")
    (folder / "o.json").write_text(json.dumps(ROWS))
    (folder / "keyed.json").write_text('{"0": {"success": 1}, "7": {"damage": 2.5}}')
    (folder / "o.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    pq.write_table(pa.Table.from_pylist(ROWS), folder / "o.parquet")


def read_outcomes(name: str) -> Callable[[Path], None]:
    """Every ending can be a row of outcomes."""

    def read(folder: Path) -> None:
        from sima2.io.outcomes import load_outcomes, to_outcome

        got = load_outcomes(folder / name)
        to_outcome(list(got.endings.values()))
        assert all(index >= 0 for index in got.endings)

    return read


# an output folder


def results(folder: Path) -> None:
    """A small finished run."""
    from finished_run import made_report, write_folder

    report = made_report(("pick_and_place-000007",))
    some = np.arange(6)
    report = type(report)(
        summary=report.summary,
        trust=report.trust,
        segments=report.segments,
        tags=report.tags,
        econ=report.econ.take(some),
        proposals=report.proposals,
        quarantine=report.quarantine,
        plan=report.plan.take(some),
        signals=report.signals,
        defects=report.defects,
    )
    write_folder(folder, report)
    (folder / ".sima2.lock").unlink()


def read_store(folder: Path) -> None:
    """Whatever a store can be asked for."""
    from sima2.errors import Sima2Error
    from sima2.io.store import Store
    from sima2.records.econ import EconTable
    from sima2.records.intake import QuarantineTable
    from sima2.records.segments import SegmentTable
    from sima2.records.tags import TagTable

    with Store.read_only(folder) as store:
        asked: list[Callable[[], Any]] = [
            lambda: store.runs,
            lambda: store.calibrations,
            lambda: store.decisions,
            lambda: store.kinds(),
            lambda: store.committed("pass1"),
            lambda: list(store.aggregates("pass1", "count")),
            lambda: list(store.read(SegmentTable, "segments")),
            lambda: list(store.read(EconTable, "econ")),
            lambda: list(store.read(TagTable, "tags")),
            lambda: store.read_table(QuarantineTable, "quarantine"),
            lambda: store.read_text("trust_matrix.json"),
            store.digest,
            store.verify,
        ]
        errors = []
        for each in asked:
            try:
                each()
            except Sima2Error as error:
                errors.append(error)
    if errors:
        raise errors[0]


def read_results(folder: Path) -> None:
    """What the commands read back."""
    from sima2.cli.doctor import examined
    from sima2.cli.trust import compared
    from sima2.errors import Sima2Error
    from sima2.report.html import render
    from sima2.report.inputs import load_report, read_summary, read_trust

    asked: list[Callable[[], Any]] = [
        lambda: read_summary(folder),
        lambda: compared(read_trust(folder).rows, read_trust(folder).rows),
        lambda: examined(folder),
        lambda: render(load_report(folder)),
    ]
    errors = []
    for each in asked:
        try:
            each()
        except Sima2Error as error:
            errors.append(error)
    if errors:
        raise errors[0]


# negative controls: readers that break every promise at a known seed


def _nothing(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.json").write_text('{"a": 1}')


_MISDEEDS: Final[Mapping[str, Callable[[Path], Any]]] = {
    "crash": lambda _: os.abort(),
    "hang": lambda _: [None for _ in iter(int, 1)],
    "memory": lambda _: np.ones(1 << 29).sum(),
    "traceback": lambda _: {}["missing"],
    "outside": lambda folder: (folder.parent / "outside" / "canary.json").read_bytes(),
    "outside parquet": lambda folder: pq.ParquetFile(folder.parent / "outside" / "canary.parquet"),
    "writing": lambda folder: (folder / "new").write_text("x"),
}


def _misdeed(kind: str) -> Callable[[Path], Any]:
    at = [0]

    def read(folder: Path) -> None:
        at[0] += 1
        if at[0] == 2:
            _MISDEEDS[kind](folder)

    return read


WORDS_OF_MAP = ("rad", "deg", "mm", "rpy_deg", "quat_xyzw", "share", "percent", "joint_velocity", "ee_orientation",
                "embedding", "closed", "scale", "index", "urdf", "joints", "base", "action",
                "robot", "franka", "none")  # fmt: skip
WORDS_OF_URDF = ("fixed", "revolute", "prismatic", "floating", "planar", "base", "hand", "shoulder_pan", "wrist",
                 "joint", "link", "mimic", "origin", "axis", "limit", "<!DOCTYPE r>", "&amp;", "&#0;", "nan", "0 0 0",
                 "1e300 0 0", "1e-300 0 0", "0 0", "1 2 3 4", "xacro:macro", "<![CDATA[", "-->", "<!--")  # fmt: skip
INDEX_V2 = {"info.json": 6, "episodes.jsonl": 5, "tasks.jsonl": 1, ".parquet": 8}
READERS: Final[Mapping[str, Reader]] = {
    "lerobot v2.0": Reader(
        lerobot("v2.1", codebase_version="v2.0"), read_set, {**INDEX_V2, "stats.json": 1}
    ),
    "lerobot v2.1": Reader(lerobot("v2.1"), read_set, {**INDEX_V2, "episodes_stats.jsonl": 1}),
    "lerobot v3.0": Reader(
        lerobot("v3.0"),
        read_set,
        {"info.json": 6, "stats.json": 1, "tasks.parquet": 1, "episodes/chunk-000/file-000.parquet": 6, ".parquet": 8},
    ),
    "lerobot v3.0, ours": Reader(
        own_set,
        read_set,
        {"info.json": 3, "meta/episodes/chunk-000/file-000.parquet": 7, "sima2_columns.toml": 4, ".parquet": 6},
        WORDS_OF_MAP,
    ),
    "column map": Reader(mapped_set, read_mapped, {"map.toml": 9, "robot.urdf": 1}, WORDS_OF_MAP + WORDS_OF_URDF),
    "urdf": Reader(description, read_description, {"robot.urdf": 1}, WORDS_OF_URDF),
    "outcomes csv": Reader(outcomes, read_outcomes("o.csv"), {"o.csv": 1}, ("true", "yes", "success", "episode_index")),
    "outcomes json": Reader(outcomes, read_outcomes("o.json"), {"o.json": 1}),
    "outcomes json, keyed": Reader(outcomes, read_outcomes("keyed.json"), {"keyed.json": 1}),
    "outcomes jsonl": Reader(outcomes, read_outcomes("o.jsonl"), {"o.jsonl": 1}),
    "outcomes parquet": Reader(outcomes, read_outcomes("o.parquet"), {"o.parquet": 1}),
    "droid": Reader(format_set("droid"), read_format("droid"), {".h5": 8, ".json": 1}),
    "aloha": Reader(format_set("aloha"), read_format("aloha"), {".hdf5": 1}),
    "robomimic": Reader(format_set("robomimic"), read_format("robomimic"), {".hdf5": 1}),
    "npz": Reader(format_set("npz"), read_format("npz"), {".npz": 8, "map.toml": 1}, WORDS_OF_MAP),
    "csv": Reader(format_set("csv"), read_format("csv"), {".csv": 8, "map.toml": 1}, WORDS_OF_MAP),
    "store": Reader(results, read_store, {"ledger.sqlite": 8, ".parquet": 8, "trust_matrix.json": 1}),
    "mcap": Reader(recording, read_whole, {".mcap": 1}),
    "mcap bag": Reader(
        recordings, read_whole, {".mcap": 10, "metadata.yaml": 1}, ("relative_file_paths:", "custom_data:", "  - ")
    ),
    "mcap, ours": Reader(own_recordings, read_set, {".mcap": 6, "sima2_columns.toml": 2}, WORDS_OF_MAP),
    "rlds": Reader(
        rlds, read_whole, {"features.json": 3, "dataset_info.json": 2, ".tfrecord-00000-of-00001": 6}
    ),
    "results": Reader(results, read_results, {"summary.json": 4, "trust_matrix.json": 6}),
}  # fmt: skip
CONTROLS: Final[Mapping[str, Reader]] = {kind: Reader(_nothing, _misdeed(kind), {"a.json": 1}) for kind in _MISDEEDS}
