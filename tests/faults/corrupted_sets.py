"""A data set of which every tenth episode is made bad, each in one of the known ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sima2.io.formats import open_dataset
from unit.io.lerobot_sets import columns, episode_file, make_v21

FRAMES = 8


def _state(change: Callable[[np.ndarray], object]) -> Callable[[dict], dict]:
    def changed(table: dict) -> dict:
        rows = np.array(table["observation.state"].to_pylist(), np.float32)
        change(rows)
        return {**table, "observation.state": pa.array(rows.tolist(), pa.list_(pa.float32(), 3))}

    return changed


def _time(change: Callable[[np.ndarray], object]) -> Callable[[dict], dict]:
    def changed(table: dict) -> dict:
        time = table["timestamp"].to_numpy().copy().astype(np.float64)
        change(time)
        return {**table, "timestamp": pa.array(time)}

    return changed


def _rows(count: int) -> Callable[[dict], dict]:
    return lambda table: {name: values[:count] for name, values in table.items()}


def _mixed(table: dict) -> dict:
    lists = [[0.0] * (3 if k % 2 else 2) for k in range(FRAMES)]
    return {**table, "observation.state": pa.array(lists, pa.list_(pa.float32()))}


WAYS: dict[str, tuple[Callable[[dict], dict] | None, int, str]] = {
    "infinite": (_state(lambda x: x.__setitem__((3, 0), np.inf)), FRAMES, "not_finite"),
    "time is no number": (_time(lambda t: t.__setitem__(3, np.nan)), FRAMES, "not_finite"),
    "time goes back": (_time(lambda t: t.__setitem__(slice(4, None), t[4:] - 1.0)), FRAMES, "time_not_increasing"),
    "time stands": (_time(lambda t: t.fill(t[3])), FRAMES, "time_not_increasing"),
    "mixed dimensions": (_mixed, FRAMES, "mixed_dimensions"),
    "truncated": (_rows(5), FRAMES, "length_mismatch"),
    "missing": (None, FRAMES, "unreadable"),
    "one frame": (_rows(1), 1, "one_frame"),
    "empty": (_rows(0), 0, "empty"),
    "nothing recorded": (_state(lambda x: x.fill(np.nan)), FRAMES, "no_signal"),
}
"""How an episode is made bad, the frames that the index tells of it, and the code it is put aside under."""
ODD = {
    "in the future": _time(lambda t: t.__iadd__(4.1e6)),
    "negative": _time(lambda t: t.__isub__(3.0)),
    "a tick too late": _time(lambda t: t.__setitem__(4, t[3])),
    "zero width": _state(lambda x: x.__setitem__((slice(None), 2), 0.0)),
}
"""Odd, but no garbage: kept."""


def check_that_only_the_bad_are_lost(folder: Path, episodes: int) -> None:
    """Good episodes are the same bytes as in a clean set; bad ones are put aside, each under its code."""
    root = make_v21(folder / "set", episodes=episodes, frames=FRAMES)
    whole = open_dataset(root)
    report = whole.describe()
    (folder / "map.toml").write_text(report.column_map)
    clean = open_dataset(root, column_map=folder / "map.toml").read(0, episodes).batch
    assert len(clean) == episodes
    expected, odd = {}, {}
    lines = (root / "meta/episodes.jsonl").read_text().splitlines()
    for number, episode in enumerate(range(4, episodes, 10)):
        change, length, reason = list(WAYS.values())[number % len(WAYS)]
        lines[episode] = json.dumps({"episode_index": episode, "tasks": ["put it there"], "length": length})
        expected[episode] = reason
        if change is None:
            episode_file(root, episode).unlink()
        else:
            pq.write_table(pa.table(change(columns(episode, FRAMES))), episode_file(root, episode))
    for episode, (name, change) in enumerate(ODD.items()):
        odd[episode] = name
        pq.write_table(pa.table(change(columns(episode, FRAMES))), episode_file(root, episode))
    (root / "meta/episodes.jsonl").write_text("\n".join(lines))
    got = open_dataset(root, column_map=folder / "map.toml").read(0, episodes)
    found = dict(zip(got.quarantine.episode_index.tolist(), got.quarantine.reason.tolist(), strict=True))
    assert found == expected
    kept = got.batch.episodes.episode_index.tolist()
    assert kept == [k for k in range(episodes) if k not in expected]
    for place, episode in enumerate(kept):
        if episode in odd:
            continue
        mine, theirs = got.batch[place], clean[episode]
        assert mine.episode_id[-6:] == theirs.episode_id[-6:] == f"{episode:06d}"
        for name in ("time", "joint_position", "gripper_opening", "action"):
            assert getattr(mine, name).tobytes() == getattr(theirs, name).tobytes(), (episode, name)
