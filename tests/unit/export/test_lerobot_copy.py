"""A copy holds the kept rows of its source, numbered anew, and metadata that agree with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from made_lerobot import NUMBERED, VERSIONS, digest, plan_of, rows_by_episode, stats_of, write_set
from sima2.errors import DatasetError, UsageError
from sima2.export.lerobot_copy import copy_lerobot, episodes_of
from sima2.export.selection import Selection, select
from sima2.io.formats import open_dataset
from sima2.records.plan import TrainingPlan

LENGTHS = [12, 7, 9, 15, 8, 10]
PLAN: dict[str, Any] = {
    "action": ["trim", "drop", "keep", "trim", "review", "keep"],
    "weight": np.array([1, 0, 1, 0.5, 1, 0]),
    "keep_start_frame": np.array([3, 0, 0, 0, 0, 0]),
    "keep_end_frame": np.array([12, 7, 9, 11, 8, 10]),
}
"""The first loses its head, the fourth its tail; the second is dropped, and the last weighs nothing."""


def copied(
    source: Path, target: Path, plan: TrainingPlan, lengths: Sequence[int] = LENGTHS, **how: Any
) -> tuple[Selection, dict[str, Any]]:
    index, held = episodes_of(source)
    frames = dict(zip(plan.episode_index.tolist(), lengths, strict=True))
    kept = select(plan, frames, held, **how)
    return kept, copy_lerobot(index, kept, target, {"source": "a"})


@pytest.fixture(params=VERSIONS)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write_set(tmp_path / "set", request.param, LENGTHS)


@pytest.fixture
def copy(source: Path, tmp_path: Path) -> Path:
    copied(source, tmp_path / "copy", plan_of(LENGTHS, **PLAN))
    return tmp_path / "copy"


def info_of(root: Path) -> dict[str, Any]:
    return json.loads((root / "meta/info.json").read_text())


def test_kept_rows_are_those_of_the_source_bit_for_bit(source: Path, copy: Path) -> None:
    old, new = rows_by_episode(source), rows_by_episode(copy)
    spans = {0: (0, 3, 12), 1: (2, 0, 9), 2: (3, 0, 11), 3: (4, 0, 8)}
    assert sorted(new) == sorted(spans)
    for number, (was, start, stop) in spans.items():
        others = [name for name in new[number].column_names if name not in NUMBERED]
        assert new[number].select(others).equals(old[was].slice(start, stop - start).select(others))
        assert new[number].schema.types == old[was].schema.types


def test_frames_are_numbered_and_timed_anew(copy: Path) -> None:
    lengths = [9, 9, 11, 8]
    rows = pa.concat_tables(rows_by_episode(copy).values())
    assert rows.column("index").to_pylist() == list(range(sum(lengths)))
    assert rows.column("frame_index").to_pylist() == [k for n in lengths for k in range(n)]
    stamps = np.concatenate([(np.arange(n) / 20).astype(np.float32) for n in lengths])
    assert (rows.column("timestamp").to_numpy() == stamps).all()


def test_times_of_an_uneven_recording_keep_its_steps(tmp_path: Path) -> None:
    source = write_set(tmp_path / "set", "v2.1", [10])
    file = source / "data/chunk-000/episode_000000.parquet"
    table = pq.read_table(file)
    stamps = np.cumsum(np.random.default_rng(0).uniform(0.04, 0.06, 10)).astype(np.float32)
    pq.write_table(table.set_column(3, "timestamp", pa.array(stamps)), file)
    plan = plan_of([10], action=["trim"], keep_start_frame=np.array([4]))
    copied(source, tmp_path / "copy", plan, [10])
    made = rows_by_episode(tmp_path / "copy")[0].column("timestamp").to_numpy()
    assert made[0] == 0
    assert np.allclose(np.diff(made), np.diff(stamps[4:]), atol=1e-6)


def test_metadata_agree_with_the_rows(copy: Path) -> None:
    info = info_of(copy)
    assert (info["total_episodes"], info["total_frames"], info["splits"]) == (4, 37, {"train": "0:4"})
    assert info["our_own"] == {"note": "kept"}
    index, numbers = episodes_of(copy)
    assert not index.warnings
    assert numbers.tolist() == [0, 1, 2, 3]
    assert [entry.length for entry in index.episodes] == [9, 9, 11, 8]
    assert [entry.task for entry in index.episodes] == ["open «it»", "open «it»", "close it", "open «it»"]


def test_unknown_columns_and_files_are_carried_through(source: Path, copy: Path) -> None:
    for name in ("LICENSE", "meta/camera.json"):
        assert (copy / name).read_bytes() == (source / name).read_bytes()
    if (copy / "meta/episodes.jsonl").exists():
        rows = [json.loads(line) for line in (copy / "meta/episodes.jsonl").read_text().splitlines()]
    else:
        rows = pq.read_table(copy / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
        assert [row["dataset_to_index"] for row in rows] == [9, 18, 29, 37]
    assert [row["operator"] for row in rows] == ["p0", "p2", "p3", "p4"]


def episode_stats(root: Path) -> list[dict[str, dict[str, Any]]]:
    if (root / "meta/episodes_stats.jsonl").exists():
        lines = (root / "meta/episodes_stats.jsonl").read_text().splitlines()
        return [json.loads(line)["stats"] for line in lines]
    found: list[dict[str, dict[str, Any]]] = []
    for row in pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist():
        stats: dict[str, dict[str, Any]] = {}
        for name, values in row.items():
            if name.startswith("stats/"):
                stats.setdefault(name.split("/")[1], {})[name.split("/")[2]] = values
        found.append(stats)
    return found


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.allclose(one[key], other[key], atol=1e-6) for key in one)


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_statistics_of_episodes_are_those_of_their_rows(tmp_path: Path, version: str) -> None:
    source = write_set(tmp_path / "set", version, LENGTHS)
    copied(source, tmp_path / "copy", plan_of(LENGTHS, **PLAN))
    rows = rows_by_episode(tmp_path / "copy")
    for number, stats in enumerate(episode_stats(tmp_path / "copy")):
        made = stats_of(rows[number])
        for name in made:
            assert name == "observation.image" or same(stats[name], made[name]), name
        assert stats["observation.image"]["mean"] == [[[0.5]], [[0.25]], [[0.125]]]


@pytest.mark.parametrize("version", ["v2.0", "v3.0"])
def test_statistics_of_the_set_are_those_of_its_rows(tmp_path: Path, version: str) -> None:
    source = write_set(tmp_path / "set", version, LENGTHS)
    copied(source, tmp_path / "copy", plan_of(LENGTHS, **PLAN))
    stats = json.loads((tmp_path / "copy/meta/stats.json").read_text())
    made = stats_of(pa.concat_tables(rows_by_episode(tmp_path / "copy").values()))
    assert stats.keys() == made.keys()
    for name in made:
        if name != "observation.image":
            # quantiles of a set are the mean of those of its episodes, as LeRobot has them
            plain = [{key: each[key] for key in each if key != "q50"} for each in (stats[name], made[name])]
            assert same(*plain), name
    assert stats["observation.image"]["std"] == [[[0.5]], [[0.25]], [[0.125]]]


def test_the_copy_says_where_it_comes_from(copy: Path) -> None:
    told = json.loads((copy / "meta/sima2.json").read_text())
    assert [(row["episode_index"], row["new_episode_index"]) for row in told["episodes"]] == [
        (0, 0), (2, 1), (3, 2), (4, 3),
    ]  # fmt: skip
    assert told["episodes"][0]["keep_start_frame"] == 3
    assert told["left_out"] == [
        {"episode_index": 1, "codes": "drop"},
        {"episode_index": 5, "codes": "no_weight"},
    ]


def test_a_copy_of_a_copy_keeps_the_story(copy: Path, tmp_path: Path) -> None:
    copied(copy, tmp_path / "again", plan_of([9, 9, 11, 8]), [9, 9, 11, 8])
    told = json.loads((tmp_path / "again/meta/sima2.json").read_text())
    assert told["source_provenance"]["episodes"][1]["episode_index"] == 2


def test_the_source_is_the_same_to_the_byte(source: Path, tmp_path: Path) -> None:
    before = digest(source)
    copied(source, tmp_path / "copy", plan_of(LENGTHS, **PLAN))
    assert digest(source) == before


def test_the_same_plan_gives_the_same_bytes(source: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        copied(source, tmp_path / name, plan_of(LENGTHS, **PLAN))
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


@pytest.mark.parametrize("name", ["with space", "ünï «x»", "a'b\"c", "-dash", "x" * 255])
def test_a_target_may_have_any_name(source: Path, tmp_path: Path, name: str) -> None:
    copied(source, tmp_path / name, plan_of(LENGTHS))
    assert len(episodes_of(tmp_path / name)[1]) == 6


def test_numbers_with_gaps_become_numbers_without(tmp_path: Path) -> None:
    for version in VERSIONS:
        source = write_set(tmp_path / version, version, [5, 6, 7], numbers=[2, 5, 1200])
        plan = plan_of([5, 6, 7], [2, 5, 1200], action=["keep", "drop", "keep"])
        copied(source, tmp_path / f"{version} copy", plan, [5, 6, 7])
        assert sorted(rows_by_episode(tmp_path / f"{version} copy")) == [0, 1]
        assert not episodes_of(tmp_path / f"{version} copy")[0].warnings


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_our_reader_reads_kept_episodes_alike(tmp_path: Path, version: str) -> None:
    source = write_set(tmp_path / "set", version, [60, 70, 80])
    copied(source, tmp_path / "copy", plan_of([60, 70, 80], action=["drop", "keep", "keep"]), [60, 70, 80])
    old, new = (open_dataset(each) for each in (source, tmp_path / "copy"))
    features = list(old.column_map.features())
    held = list(old.source.read(old.source.entries, features))[1:]  # type: ignore[attr-defined]
    made = list(new.source.read(new.source.entries, features))  # type: ignore[attr-defined]
    for a, b in zip(held, made, strict=True):
        for name in features:
            assert (a.features[name] == b.features[name]).all()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), version=st.sampled_from(VERSIONS))
def test_any_plan_copies_exactly_the_kept_rows(
    data: st.DataObject, version: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    lengths = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=5))
    start = [data.draw(st.integers(0, n - 1)) for n in lengths]
    stop = [data.draw(st.integers(a + 1, n)) for a, n in zip(start, lengths, strict=True)]
    action = [data.draw(st.sampled_from(["keep", "trim", "review", "drop"])) for _ in lengths]
    action[data.draw(st.integers(0, len(lengths) - 1))] = "keep"
    plan = plan_of(lengths, action=action, keep_start_frame=np.array(start), keep_end_frame=np.array(stop))
    source = write_set(folder / "set", version, lengths)
    kept, told = copied(source, folder / "copy", plan, lengths)
    old, new = rows_by_episode(source), rows_by_episode(folder / "copy")
    assert told["frames"] == info_of(folder / "copy")["total_frames"] == sum(len(each) for each in new.values())
    for number, row in enumerate(kept.rows()):
        span = old[row["episode_index"]].slice(row["keep_start_frame"], len(new[number]))
        others = [name for name in span.column_names if name not in NUMBERED]
        assert new[number].select(others).equals(span.select(others))
    assert not episodes_of(folder / "copy")[0].warnings


# ---- what must not happen


def nothing_left(tmp_path: Path) -> bool:
    return sorted(each.name for each in tmp_path.iterdir()) == ["set"]


def test_what_is_there_is_never_overwritten(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "there"
    target.mkdir()
    copied(source, target, plan_of(LENGTHS))  # an empty folder is taken
    before = digest(target)
    with pytest.raises(UsageError, match="never overwritten: name a new folder"):
        copied(source, target, plan_of(LENGTHS))
    assert digest(target) == before


def test_nothing_is_written_into_the_source(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    for target in (source / "copy", source, tmp_path / "link" / "copy"):
        with pytest.raises(UsageError, match=r"within the data set|never overwritten"):
            copied(source, target, plan_of(LENGTHS))
    assert not (source / "copy").exists()


def test_a_link_that_leads_out_is_left_behind_where_nothing_reads_it(source: Path, tmp_path: Path) -> None:
    (source / "meta" / "notes.txt").symlink_to("/etc/hostname")
    (source / "meta" / "round.txt").symlink_to(source / "meta" / "round.txt")
    _, told = copied(source, tmp_path / "copy", plan_of(LENGTHS))
    assert not (tmp_path / "copy/meta/notes.txt").exists()
    behind = next(note for note in told["notes"] if "left behind" in note)
    assert "meta/notes.txt (a link out of the data set)" in behind
    assert "meta/round.txt" in behind


def test_a_link_that_leads_out_and_is_read_is_refused_and_leaves_nothing(
    source: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = sorted((source / "data").rglob("*.parquet"))[-1]
    outside = tmp_path_factory.mktemp("elsewhere") / "outside.parquet"
    file.rename(outside)
    file.symlink_to(outside)
    with pytest.raises(DatasetError, match="leads out"):
        copied(source, tmp_path / "copy", plan_of(LENGTHS))
    assert nothing_left(tmp_path)


def test_a_damaged_file_is_an_error_and_leaves_nothing(source: Path, tmp_path: Path) -> None:
    file = sorted((source / "data").rglob("*.parquet"))[-1]
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DatasetError, match="cannot be read"):
        copied(source, tmp_path / "copy", plan_of(LENGTHS))
    assert nothing_left(tmp_path)


def test_an_episode_that_is_gone_or_changed_is_an_error(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no episode 6 any more"):
        copied(source, tmp_path / "copy", plan_of([*LENGTHS, 5]), [*LENGTHS, 5])
    longer = [12, 7, 9, 15, 8, 11]
    with pytest.raises(UsageError, match="episode 5 has 10 frames, the run read 11"):
        copied(source, tmp_path / "copy", plan_of(longer), longer)
    assert nothing_left(tmp_path)


def test_a_plan_that_keeps_nothing_is_an_error(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keeps no episode"):
        copied(source, tmp_path / "copy", plan_of(LENGTHS, action=["drop"] * 6))


def test_episodes_under_review_are_kept_or_dropped_on_request(source: Path, tmp_path: Path) -> None:
    kept, _ = copied(source, tmp_path / "copy", plan_of(LENGTHS, **PLAN), review="drop")
    assert kept.number.tolist() == [0, 2, 3]
    assert kept.left_out[4] == "under_review"


def test_episodes_the_run_did_not_use_are_left_out(source: Path, tmp_path: Path) -> None:
    kept, _ = copied(source, tmp_path / "copy", plan_of(LENGTHS[:3]), LENGTHS[:3])
    assert kept.left_out == {3: "not_read", 4: "not_read", 5: "not_read"}


def test_whole_episodes_are_kept_on_request(source: Path, tmp_path: Path) -> None:
    kept, _ = copied(source, tmp_path / "copy", plan_of(LENGTHS, **PLAN), cut=False)
    assert kept.length.tolist() == [12, 9, 15, 8]


@pytest.mark.skipif(os.name != "posix", reason="needs the size of files to be limited")
def test_a_full_disk_is_told_and_leaves_nothing(source: Path, tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[3])\n"
        "from made_lerobot import plan_of; from sima2.export.lerobot_copy import copy_lerobot, episodes_of\n"
        "from sima2.export.selection import select\n"
        "from sima2.errors import UsageError\n"
        f"L = {LENGTHS}\n"
        "index, held = episodes_of(Path(sys.argv[1])); kept = select(plan_of(L), dict(enumerate(L)), held)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))\n"
        "try: copy_lerobot(index, kept, Path(sys.argv[2]), {})\n"
        "except UsageError as error: print(error)\n"
    )
    words = [sys.executable, "-c", script, str(source), str(tmp_path / "copy"), str(Path(__file__).parents[2])]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "cannot be written" in done.stdout, done.stderr
    assert "nothing was left there" in done.stdout
    assert nothing_left(tmp_path)


def test_a_source_that_may_only_be_read_is_copied(source: Path, tmp_path: Path) -> None:
    paths = [source, *source.rglob("*")]
    for each in paths:
        each.chmod(0o555 if each.is_dir() else 0o444)
    try:
        copied(source, tmp_path / "copy", plan_of(LENGTHS, **PLAN))
    finally:
        for each in paths:
            each.chmod(0o755 if each.is_dir() else 0o644)
    (tmp_path / "copy/LICENSE").write_text("mine")  # the copy is its user's to change
