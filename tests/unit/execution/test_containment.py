"""A task that has no result costs what is at fault in it, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faulty_work import Listing, Span
from sima2.errors import WorkerError
from sima2.execution.containment import MOST_FEW, Losses, contained
from sima2.execution.local import InProcess, Processes

SPANS: list[Span] = [(0, 8), (8, 16), (16, 24)]


def outcome(work: Listing, losses: Losses, jobs: int = 2) -> list[int | str]:
    with Processes(jobs) if jobs > 1 else InProcess() as executor:
        return [each for result in contained(executor, work, SPANS, losses) for each in result]


def expected(bad: dict[int, str]) -> list[int | str]:
    return [f"{k}: {bad[k]}" if k in bad else k for k in range(24)]


@pytest.mark.parametrize("bad", [{11}, {11, 12}, {8, 15}, {2, 20}], ids=str)
def test_a_crash_is_halved_down_to_those_at_fault(bad: set[int]) -> None:
    losses = Losses(24)
    told = outcome(Listing(exits=frozenset(bad)), losses)
    assert told == expected(dict.fromkeys(bad, "worker_crashed: exit code 9"))
    assert (losses.lost, losses.mended) == (len(bad), [])


@given(bad=st.frozensets(st.integers(0, 23), max_size=MOST_FEW))
def test_an_exception_is_halved_down_to_those_at_fault(bad: frozenset[int]) -> None:
    told = outcome(Listing(raises=bad), Losses(24), jobs=1)
    assert [each for each in told if isinstance(each, int)] == [k for k in range(24) if k not in bad]
    lost = [each for each in told if isinstance(each, str)]
    assert [int(each.partition(":")[0]) for each in lost] == sorted(bad)
    assert all(": worker_error: ValueError: 1 numbers (faulty_work.py:" in each for each in lost)


def test_a_crash_and_an_exception_in_one_shard_are_told_apart() -> None:
    told = outcome(Listing(exits=frozenset({9}), raises=frozenset({13})), Losses(24))
    lost = [each for each in told if isinstance(each, str)]
    assert [each.split(": ")[:2] for each in lost] == [["9", "worker_crashed"], ["13", "worker_error"]]


def test_a_crash_from_outside_costs_nothing_and_is_told(tmp_path: Path) -> None:
    losses = Losses(24)
    assert outcome(Listing(once=tmp_path / "crashed"), losses) == list(range(24))
    assert losses.lost == 0
    assert {each.message for each in losses.mended} == {"exit code 9"}


def test_what_goes_through_in_halves_is_told() -> None:
    losses = Losses(24)
    assert outcome(Listing(longest=4), losses, jobs=1) == list(range(24))
    assert (losses.lost, len(losses.mended)) == (0, 3)


@pytest.mark.parametrize(
    ("total", "bad", "borne"), [(24, 3, True), (24, 4, False), (3, 3, False), (100, 5, True), (100, 6, False)]
)
def test_few_are_borne_and_many_or_all_end_the_run(total: int, bad: int, borne: bool) -> None:
    work = Listing(raises=frozenset(range(bad)))

    def lost() -> int:
        with InProcess() as executor:
            parts = contained(executor, work, [(0, total)], Losses(total))
            return sum(isinstance(each, str) for part in parts for each in part)

    if borne:
        assert lost() == bad
        return
    with pytest.raises(WorkerError, match="ValueError: 1 numbers") as ended:
        lost()
    assert "raise ValueError" in ended.value.__notes__[0]


def test_those_lost_before_an_interruption_count() -> None:
    with pytest.raises(WorkerError, match="4 of 24 episodes"):
        outcome(Listing(raises=frozenset({5})), Losses(24, lost=3), jobs=1)


def test_tasks_are_taken_lazily() -> None:
    taken = []

    def tasks() -> Iterator[Span]:
        for span in SPANS:
            taken.append(span)
            yield span

    with InProcess() as executor:
        results = contained(executor, Listing(), tasks(), Losses(24))
        next(results)
        assert taken == SPANS[:1]
