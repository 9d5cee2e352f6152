"""A copy tells what persons say of outcomes: in the episodes file, and in next.success where there is such a column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from made_lerobot import VERSIONS, digest, plan_of, rows_by_episode, write_set
from sima2.export.lerobot_copy import copy_lerobot, episodes_of
from sima2.export.selection import select
from sima2.io.formats import open_dataset

LENGTHS = [12, 7, 9, 15]
SAID = {0: False, 2: True, 3: True}
KINDS = {"flag": pa.bool_(), "number": pa.float32(), "list": pa.list_(pa.bool_(), 1)}


def with_success(root: Path, kind: str) -> None:
    """Every episode succeeds at its last frame, but for the third."""
    for file in sorted((root / "data").rglob("*.parquet")):
        table = pq.read_table(file)
        number, frame = (table.column(name).to_pylist() for name in ("episode_index", "frame_index"))
        won = [k != 2 and at == LENGTHS[k] - 1 for k, at in zip(number, frame, strict=True)]
        values = (
            [[each] for each in won] if kind == "list" else [float(each) for each in won] if kind == "number" else won
        )
        pq.write_table(table.append_column("next.success", pa.array(values, KINDS[kind])), file)
    info = json.loads((root / "meta/info.json").read_text())
    info["features"]["next.success"] = {"dtype": "bool", "shape": [1], "names": None}
    (root / "meta/info.json").write_text(json.dumps(info))
    stats = root / "meta/episodes_stats.jsonl"
    if stats.exists():
        lines = [json.loads(line) for line in stats.read_text().splitlines()]
        for line in lines:
            line["stats"]["next.success"] = {"mean": [0.5], "max": [1.0], "count": [LENGTHS[line["episode_index"]]]}
        stats.write_text("".join(json.dumps(line) + "\n" for line in lines))


def copied(source: Path, target: Path, said: dict[int, bool]) -> dict[str, Any]:
    index, held = episodes_of(source)
    # the second is left out, and the last loses its tail
    plan = plan_of(LENGTHS, action=["keep", "drop", "keep", "trim"], keep_end_frame=pa.array([12, 7, 9, 10]).to_numpy())
    kept = select(plan, dict(enumerate(LENGTHS)), held)
    return copy_lerobot(index, kept, target, {"source": "a"}, said=said)


def episode_rows(root: Path) -> list[dict[str, Any]]:
    lines = root / "meta/episodes.jsonl"
    if lines.exists():
        return [json.loads(line) for line in lines.read_text().splitlines()]
    return pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_copy_succeeds_where_persons_say_so(tmp_path: Path, version: str, kind: str) -> None:
    source = write_set(tmp_path / "set", version, LENGTHS)
    with_success(source, kind)
    before = digest(source)
    told = copied(source, tmp_path / "copy", {**SAID, 1: True})
    assert digest(source) == before
    rows, old = rows_by_episode(tmp_path / "copy"), rows_by_episode(source)
    assert [any(map(_flat, rows[k].column("next.success").to_pylist())) for k in range(3)] == [False, True, True]
    assert [_flat(rows[k].column("next.success").to_pylist()[-1]) for k in range(3)] == [False, True, True]
    assert sum(map(_flat, rows[2].column("next.success").to_pylist())) == 1, "at the last frame that is kept"
    assert rows[0].schema.field("next.success").type == KINDS[kind]
    others = [name for name in old[0].column_names if name not in ("next.success", "index", "episode_index")]
    assert rows[0].select(others).equals(old[0].select(others)), "all else is as it was"
    ends = [(row["sima2/success"], row["sima2/outcome_source"]) for row in episode_rows(tmp_path / "copy")]
    assert ends == [(0.0, "person"), (1.0, "person"), (1.0, "person")]
    assert any("persons say how 3 episodes ended" in note for note in told["notes"])
    assert len(open_dataset(tmp_path / "copy").source.entries) == 3
    if version == "v2.1":
        lines = [
            json.loads(line)["stats"] for line in (tmp_path / "copy/meta/episodes_stats.jsonl").read_text().splitlines()
        ]
        assert [line["next.success"]["max"][0] for line in lines] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("version", VERSIONS)
def test_where_nobody_spoke_or_there_is_no_column_the_rows_are_those_of_the_source(
    tmp_path: Path, version: str
) -> None:
    source = write_set(tmp_path / "set", version, LENGTHS)
    told = copied(source, tmp_path / "said", SAID)
    copied(source, tmp_path / "plain", {})
    assert any("the source has no next.success" in note for note in told["notes"])
    said, plain = (rows_by_episode(tmp_path / name) for name in ("said", "plain"))
    assert all(said[k].equals(plain[k]) for k in plain)
    assert "sima2/success" not in episode_rows(tmp_path / "plain")[0]
    assert episode_rows(tmp_path / "said")[0]["sima2/success"] == 0.0


def _flat(value: Any) -> bool:
    return bool(value[0] if isinstance(value, list) else value)
