"""A file that holds another episode is put aside; clocks too coarse to tell frames apart are read by frame number."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sima2.io.formats import open_dataset

REAL = Path(__file__).parents[3].parent / "shared" / "data" / "lerobot_v21_g1"

pytestmark = pytest.mark.skipif(not REAL.exists(), reason="needs the real recordings in ../shared/data")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(REAL, tmp_path / "set"))


def file(root: Path, episode: int) -> Path:
    return root / "data" / "chunk-000" / f"episode_{episode:06d}.parquet"


def test_a_copy_of_another_episode_is_put_aside_and_the_others_are_read(copy: Path) -> None:
    shutil.copy(file(copy, 5), file(copy, 2))
    got = open_dataset(copy).read(0, 20)
    assert got.quarantine.episode_index.tolist() == [2]
    assert got.quarantine.reason.tolist() == ["wrong_episode"]
    assert len(got.batch) == 19


def test_a_path_without_a_place_for_the_episode_does_not_multiply_one_recording(copy: Path) -> None:
    info = copy / "meta" / "info.json"
    text = info.read_text().replace("episode_{episode_index:06d}.parquet", "episode_000000.parquet", 1)
    info.write_text(text.replace("chunk-{episode_chunk:03d}/episode_000000", "chunk-000/episode_000000", 1))
    got = open_dataset(copy).read(0, 20)
    assert len(got.batch) <= 1


def test_epoch_times_in_single_precision_are_read_by_frame_number(copy: Path) -> None:
    whole = open_dataset(REAL).read(0, 3).batch
    for episode in range(3):
        table = pq.read_table(file(copy, episode))
        late = np.asarray(table["timestamp"].to_numpy() + 1.7e9, np.float32)
        at = table.column_names.index("timestamp")
        pq.write_table(table.set_column(at, "timestamp", pa.array(late)), file(copy, episode))
    got = open_dataset(copy).read(0, 3)
    assert len(got.quarantine) == 0
    np.testing.assert_allclose(got.batch.time, whole.time, atol=1e-4)
