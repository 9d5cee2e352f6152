"""Tables as Arrow and Parquet."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sima2.errors import StoreError
from sima2.io.arrow import from_arrow, logical_digest, read_table, to_arrow, write_table
from sima2.records.outcome import Outcome
from sima2.records.table import Table, Text, column, matrix, text


@dataclass(frozen=True, eq=False)
class Thing(Table):
    """A table with every kind of column."""

    name: Text = text("Its name.")
    count: NDArray[np.int64] = column(np.int64, "How many.", unit="things")
    share: NDArray[np.float32] = column(np.float32, "How much of them.", unit="1")
    good: NDArray[np.bool_] = column(np.bool_, "Whether it is any good.")
    vector: NDArray[np.float64] = matrix(np.float64, "Whither.", unit="m/s²")


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@st.composite
def things(draw: st.DrawFn) -> Thing:
    n = draw(st.integers(0, 12))
    return Thing(
        name=draw(st.lists(words, min_size=n, max_size=n)),
        count=draw(arrays(np.int64, n)),
        share=draw(arrays(np.float32, n)),
        good=draw(arrays(np.bool_, n)),
        vector=draw(arrays(np.float64, (n, 3))),
    )


def same(a: Table, b: Table) -> bool:
    return all(
        getattr(a, name).tolist() == getattr(b, name).tolist()
        if dtype is None
        else getattr(a, name).tobytes() == getattr(b, name).tobytes()
        for name, dtype in a.columns().items()
    )


@given(things())
def test_a_table_survives_arrow_and_back(table: Thing) -> None:
    assert same(from_arrow(Thing, to_arrow(table)), table)


def test_a_table_survives_a_file_and_back(tmp_path) -> None:
    table = Thing(["ä", "", "x"], np.arange(3), np.array([0.5, np.nan, -0.0], "f4"), [True, False, True], np.eye(3))
    write_table(tmp_path / "a.parquet", table)
    assert same(read_table(Thing, tmp_path / "a.parquet"), table)


def test_the_bytes_of_a_file_do_not_depend_on_how_text_was_coded(tmp_path) -> None:
    plain = Outcome.unknown(2)
    coded = Outcome(plain.success, plain.failed_at_s, plain.damage, plain.nominal, Text([1, 1], ("zzz", "none")))
    write_table(tmp_path / "a", plain)
    write_table(tmp_path / "b", coded)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_field_of_a_file_tells_its_unit_and_its_meaning(tmp_path) -> None:
    for table in (Thing.empty(), Thing(["a"], [1], np.ones(1, "f4"), [True], np.ones((1, 2)))):
        write_table(tmp_path / "a.parquet", table)
        schema = pq.read_schema(tmp_path / "a.parquet")
        told = {each.name: (each.metadata[b"unit"], each.metadata[b"description"]) for each in schema}
        assert told == {each.name: (each.unit.encode(), each.meaning.encode()) for each in Thing.declared()}
        assert schema.field("vector").metadata == {b"unit": "m/s²".encode(), b"description": b"Whither."}
        assert schema.metadata == {b"table": b"Thing", b"schema_version": b"1"}


@given(things())
def test_a_file_whose_fields_tell_nothing_reads_the_same_and_has_the_same_digest(table: Thing) -> None:
    told = to_arrow(table)
    silent = pa.schema([each.remove_metadata() for each in told.schema], metadata=told.schema.metadata)
    untold = pa.Table.from_arrays(told.columns, schema=silent)
    assert same(from_arrow(Thing, untold), table)
    assert logical_digest(untold) == logical_digest(told) == logical_digest(table)


@given(things(), st.data())
def test_the_digest_does_not_depend_on_where_a_table_was_cut(table: Thing, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(table)))
    where = np.arange(len(table))
    parts = table.take(where[:cut]), table.take(where[cut:])
    chunked = pa.concat_tables([to_arrow(part) for part in parts])
    sliced = to_arrow(table)
    assert logical_digest(table) == logical_digest(*parts) == logical_digest(chunked)
    assert logical_digest(table) == logical_digest(sliced.slice(0, cut), sliced.slice(cut))


@given(things(), things())
def test_different_values_have_different_digests(a: Thing, b: Thing) -> None:
    nans_alike = Thing(
        a.name,
        a.count,
        np.where(np.isnan(a.share), np.float32(np.nan), a.share),
        a.good,
        np.where(np.isnan(a.vector), np.nan, a.vector),
    )
    assert logical_digest(a) == logical_digest(nans_alike)
    if to_arrow(a).to_pylist().__repr__() != to_arrow(b).to_pylist().__repr__():
        assert logical_digest(a) != logical_digest(b)


def test_the_digest_tells_where_one_word_ends() -> None:
    blank = Thing.empty()
    one, other = (
        Thing(name, [0, 0], np.zeros(2, "f4"), [True, True], np.zeros((2, 3))) for name in (["ab", "c"], ["a", "bc"])
    )
    assert logical_digest(one) != logical_digest(other)
    assert logical_digest(blank) == logical_digest(blank, blank)
    assert logical_digest(blank, one) == logical_digest(one) != logical_digest(blank)
    assert same(from_arrow(Thing, to_arrow(blank)), blank)


def test_a_file_of_another_table_is_refused(tmp_path) -> None:
    write_table(tmp_path / "a.parquet", Outcome.unknown(1))
    with pytest.raises(StoreError, match="no column name"):
        read_table(Thing, tmp_path / "a.parquet")


def test_another_schema_version_is_refused() -> None:
    data = to_arrow(Outcome.unknown(1)).replace_schema_metadata({"schema_version": "99"})
    with pytest.raises(StoreError, match="schema version 99"):
        from_arrow(Outcome, data)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_damaged_file_is_refused_by_name(tmp_path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(StoreError, match=r"a\.parquet"):
        read_table(Thing, tmp_path / "a.parquet")


def test_nulls_and_strange_columns_are_refused(tmp_path) -> None:
    rows = {"success": [None], "failed_at_s": [0.0], "damage": [0.0], "nominal": [True], "source": ["none"]}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    with pytest.raises(StoreError, match=r"success: holds 1 nulls"):
        read_table(Outcome, tmp_path / "a.parquet")
    with pytest.raises(StoreError, match="expected float64"):
        from_arrow(Outcome, pa.table(rows | {"success": ["yes"]}))
