"""The first page that a user follows shows what its commands print."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import run_documents  # noqa: E402

PAGE = (ROOT / "docs/getting-started.md").read_text("utf-8")


@dataclass(frozen=True)
class Followed:
    """What came of the page: its text with what was printed, what really happened, and what the first run inferred."""

    text: str
    succeeded: list[bool]
    inferred: list[float]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    folder = tmp_path_factory.mktemp("page")
    # from there on a person says what happened, and the next run infers with it
    labels = PAGE.rindex("\n## ", 0, PAGE.index("$ sima2 label "))
    environment = run_documents.shell(folder)
    first = run_documents.written(PAGE[:labels], folder, environment)
    inferred = pq.read_table(folder / "out/episodes.parquet")["inferred_success"].to_pylist()
    second = run_documents.written(PAGE[labels:], folder, environment)
    truth = json.loads((folder / "my_set_truth.json").read_text("utf-8"))
    return Followed(first + second, [bool(each["success"]) for each in truth], inferred)


def test_getting_started_shows_what_its_commands_print(followed: Followed) -> None:
    assert followed.text == PAGE, "python scripts/run_documents.py writes the page anew"


def test_what_it_claims_of_the_failures_is_so(followed: Followed) -> None:
    ends = list(zip(followed.inferred, followed.succeeded, strict=True))
    named = sum(won == 0 for won, succeeded in ends if not succeeded)
    wrongly = sum(won == 0 for won, succeeded in ends if succeeded)
    left_open = sum(won != won for won, succeeded in ends if not succeeded)
    assert (named, wrongly, left_open, followed.succeeded.count(False)) == (13, 0, 2, 15)
    page = " ".join(PAGE.split())
    assert "13 of the 15 failed episodes were named, none wrongly, and two were left open" in page
