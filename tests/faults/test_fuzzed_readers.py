"""Thousands of damaged inputs: each is read, put aside by name, or refused in words; none costs more than itself.

``pytest -m stress tests/stress/test_readers.py`` runs ten times as many.
"""

import pytest

from faults.fuzzing import fuzz
from faults.readers import CONTROLS, READERS
from format_sets import NEEDS_H5PY

CASES = 2000
SHARED = {
    **{"lerobot v2.0": 1000, "lerobot v2.1": 1000, "lerobot v3.0": 1000, "lerobot v3.0, ours": 1000},
    **{"mcap": 1000, "mcap, ours": 1000, "mcap bag": 1000},
    **{"droid": 400, "aloha": 400, "robomimic": 500, "npz": 400, "csv": 400},
}
"""Versions that one reader reads, which differ in a file or two; formats that share most of their reader."""
FILE_AN_EPISODE = ("droid", "aloha", "npz", "csv")
"""Formats of which a damaged file is put aside while the others are read."""


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_input_is_read_or_refused_in_words(reader: str, record_property) -> None:
    if reader in NEEDS_H5PY:
        pytest.importorskip("h5py")
    tally = fuzz(reader, range(SHARED.get(reader, CASES)))
    record_property("cpu_s", tally.cpu_s)
    assert not tally.faults, tally.told()
    assert tally.cases == SHARED.get(reader, CASES)
    # cases that all end alike would test one line of the reader
    assert tally.verdicts["error"] > (10 if reader in FILE_AN_EPISODE else 100)
    assert tally.verdicts["fine"] >= (0 if reader == "results" else 50)


@pytest.mark.parametrize(
    ("reader", "seed"),
    [("lerobot v3.0, ours", 5462), ("column map", 15383), ("store", 4815), ("store", 11663)],
)
def test_what_once_broke_a_reader_breaks_it_no_more(reader: str, seed: int) -> None:
    tally = fuzz(reader, range(seed, seed + 1))
    assert not tally.faults, tally.told()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("crash", "SIGABRT"),
        ("hang", "no end after 1.0 s"),
        ("memory", "memory"),
        ("traceback", "KeyError"),
        ("outside", "outside: "),
        ("outside parquet", "outside: "),
        ("writing", "written: "),
    ],
)
def test_a_reader_that_breaks_a_promise_is_found_out(kind: str, told: str) -> None:
    assert kind in CONTROLS
    tally = fuzz(kind, range(3), seconds=1.0)
    assert 0 in tally.faults
    assert told in tally.faults[0]
    assert tally.cases == 3, "the other cases are run all the same"


def test_the_same_seed_is_the_same_case() -> None:
    first, again = fuzz("outcomes csv", range(40)), fuzz("outcomes csv", range(40))
    assert first.verdicts == again.verdicts
    # a case depends on its seed alone, not on those before it
    assert fuzz("outcomes csv", range(20, 40)).verdicts + fuzz("outcomes csv", range(20)).verdicts == first.verdicts
