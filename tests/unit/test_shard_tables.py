"""The kinds of table that shards hold: declared once, each with a field of its own, and in the data dictionary."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from sima2 import Sima2Client, shard_tables
from sima2.io.store import Store
from sima2.pipeline import FirstPass, ShardTask, calibrate, first_pass
from sima2.report.dictionary import FILES, WITH_VIDEO
from sima2.shard_tables import OBSERVATIONS, SEGMENTS, Kind, ShardTables

EVERY = [each for each in vars(shard_tables).values() if isinstance(each, Kind)]


@pytest.fixture(scope="module")
def first() -> FirstPass:
    source = Sima2Client(seed=3).source(families=("drawer_open",), episodes=4)
    return first_pass(ShardTask(source, calibrate(source), 0, 0, 4, 4))


def test_no_two_kinds_share_a_folder() -> None:
    assert len({each.folder for each in EVERY}) == len(EVERY)


def test_the_dictionary_tells_of_every_kind() -> None:
    told = {**FILES, **WITH_VIDEO}
    assert {name: told.get(name) for name in (f"{each.folder}/" for each in EVERY)} == {
        f"{each.folder}/": each.table for each in EVERY
    }


@pytest.mark.parametrize("tables", [ShardTables, FirstPass])
def test_every_table_of_a_shard_is_stored_under_a_kind(tables: type[ShardTables]) -> None:
    assert {each.name for each in fields(tables)} - {"shard", "seconds"} == set(tables.KINDS)


def test_what_pass_1_leaves_is_of_the_class_that_its_kind_declares(first: FirstPass) -> None:
    for name, kind in FirstPass.KINDS.items():
        assert type(getattr(first, name)) is kind.table, name


def test_shards_are_read_in_order_and_only_below_one_where_that_is_asked_for(first: FirstPass, tmp_path) -> None:
    with Store.open(tmp_path / "out") as store:
        for shard in (1, 0):
            store.commit("pass 1", shard, replace(first, shard=shard).tables(), {})
        assert [len(each) for each in SEGMENTS.shards(store)] == [len(first.segments)] * 2
        assert len(list(SEGMENTS.shards(store, below=1))) == 1
        assert len(SEGMENTS.whole(store)) == 2 * len(first.segments)


def test_observations_of_unequal_width_are_joined(first: FirstPass) -> None:
    wide = first.observations
    narrow = replace(wide, embedding=wide.embedding[:, :2])
    both = OBSERVATIONS.joined([narrow, wide])
    assert both.embedding.shape == (2 * len(wide), wide.embedding.shape[1])
    assert np.isnan(both.embedding[: len(wide), 2:]).all()
