"""The source stage is timed on sets that hold the same, against the same columns."""

import pyarrow.parquet as pq

from sima2.bench import source_stage
from sima2.bench.recorded_sets import join, recipe_named
from sima2.bench.recordings_maker import make_set
from sima2.io.formats.lerobot import open_lerobot


def test_the_set_of_shared_files_holds_what_the_other_does(tmp_path) -> None:
    make_set(tmp_path / "made", recipe_named(source_stage.RECIPE), 6, 3)
    join(tmp_path / "made", tmp_path / "joined", 4)
    files = sorted((tmp_path / "joined/data").glob("*/*.parquet"))
    assert [len(set(pq.read_table(file).column("episode_index").to_pylist())) for file in files] == [4, 2]
    made, joined = (open_lerobot(tmp_path / name) for name in ("made", "joined"))
    assert (made.source.version, joined.source.version) == ("v2.1", "v3.0")
    assert made.column_map == joined.column_map
    one, other = made.read(0, 6).batch, joined.read(0, 6).batch
    assert one.time.tobytes() == other.time.tobytes()
    for name, values in one.arm.channels().items():
        assert values.tobytes() == getattr(other.arm, name).tobytes()


def test_both_are_timed(tmp_path) -> None:
    told = source_stage.figures(40, 0)
    assert told["source_stage_episodes"] == 40
    assert all(value > 0.0 for value in told.values())
