"""docs/columns.md: current, complete, and the same as what the files of a run tell of themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sima2.io.arrow import read_table
from sima2.knowledge.evidence import Evidence
from sima2.knowledge.task_evidence import TaskEvidence
from sima2.orchestrator import run_pipeline
from sima2.records.knowledge import PROPOSAL_KINDS, ProposalTable
from sima2.records.table import Table
from sima2.records.truth import Truth
from sima2.report.dictionary import ASKED_FOR, FILES, WITH_VIDEO, dictionary
from sima2.tags.specs import TAGS
from sima2.tasks.design import EpisodePlan

ELSEWHERE = (Evidence, TaskEvidence, EpisodePlan, Truth)
"""Whose modules hold the tables that are in no folder of a run."""
TABLES = [each for each in Table.__subclasses__() if each.__module__.startswith("sima2.")]
COLUMNS = [(table, each) for table in TABLES for each in table.declared()]


def test_the_dictionary_is_current() -> None:
    written = Path("docs/columns.md").read_text(encoding="utf-8")
    assert written == dictionary(), "give: python scripts/write_columns.py"


@pytest.mark.parametrize(("table", "each"), COLUMNS, ids=lambda x: getattr(x, "__name__", None) or x.name)
def test_no_column_lacks_a_meaning_and_no_measure_a_unit(table, each) -> None:
    assert re.fullmatch(r"[A-Z0-9`].{7,}\.", each.meaning), each.meaning
    assert "|" not in each.meaning + each.unit, "would end a cell of the dictionary"
    assert bool(each.unit) or each.dtype is None or each.dtype.kind != "f"
    assert not each.unit or (each.dtype is not None and each.dtype != np.bool_)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs in one folder."""
    out = tmp_path_factory.mktemp("run") / "out"
    for episodes in (6, 8):
        run_pipeline(families=("drawer_open",), episodes=episodes, out=out)
    return out


def files_of(out: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted(out.rglob("*.parquet")):
        yield (file.name if file.parent == out else f"{file.parent.name}/"), file


def test_the_dictionary_tells_of_every_table_of_a_run_and_of_no_other(folder) -> None:
    assert {name for name, _ in files_of(folder)} == {*FILES}
    headings = set(re.findall(r"`([^`]+)`", " ".join(re.findall(r"^## .*", dictionary(), flags=re.MULTILINE))))
    assert headings == {*FILES, *WITH_VIDEO, *ASKED_FOR}


def test_every_file_of_a_run_says_of_its_columns_what_the_dictionary_says(folder) -> None:
    text = dictionary()
    for name, file in files_of(folder):
        schema = pq.read_schema(file)
        assert schema.names == [*FILES[name].columns()]
        assert schema.metadata[b"schema_version"] == str(FILES[name].schema_version).encode()
        for each in schema:
            told = {key.decode(): value.decode() for key, value in each.metadata.items()}
            vector = pa.types.is_list(each.type) or pa.types.is_fixed_size_list(each.type)
            kind = f"list of {_scalar(each.type.value_type)}" if vector else _scalar(each.type)
            assert f"| `{each.name}` | {kind} | {told['unit']} | {told['description']} |" in text


def _scalar(kind: pa.DataType) -> str:
    return {"double": "float64", "float": "float32"}.get(str(kind), str(kind))


def test_segments_primitives_and_tags_bear_the_number_that_their_episode_has(folder) -> None:
    numbers = dict(_numbered(folder / "episodes.parquet"))
    assert len({*numbers.values()}) == len(numbers)
    assert {0, 13} <= {*numbers.values()}, "those of the second run go on after the six of the first"
    for kind in ("segments", "primitives", "tags"):
        told = {pair for file in (folder / kind).iterdir() for pair in _numbered(file)}
        assert told == {*numbers.items()}


def _numbered(file: Path) -> list[tuple[str, int]]:
    rows = pq.read_table(file, columns=["episode_id", "episode_index"])
    return list(zip(rows["episode_id"].to_pylist(), rows["episode_index"].to_pylist(), strict=True))


def test_the_names_that_a_column_lists_are_those_that_are_given(folder) -> None:
    told = re.findall(r"^\| `(\w+Tag)` \|", dictionary(), flags=re.MULTILINE)
    assert told == [*TAGS]
    assert {*read_table(ProposalTable, folder / "proposals.parquet").kind} <= {*PROPOSAL_KINDS}
