"""The bench of plans on made recordings: what is counted as what."""

from sima2.bench.recordings_maker import EpisodeTruth
from sima2.bench.recordings_maker.truth import Planted
from sima2.bench.recordings_plan import kind_of, rows, summed


def truth(index: int, *, success: bool = True, retries: int = 0, planted: tuple[Planted, ...] = ()) -> EpisodeTruth:
    return EpisodeTruth(index, success, "released", (), retries, (), planted, "do it")


def test_an_original_of_a_copy_counts_for_nothing_and_a_failure_is_not_clean() -> None:
    idle = Planted("idle_start", "episode", None, 0, 9)
    told = [kind_of(each, {3}) for each in (
        truth(0, planted=(idle,)), truth(1, success=False), truth(2, retries=1), truth(3), truth(4),
    )]  # fmt: skip
    assert told == ["idle_start", "failed", "retried", "", "clean"]


def test_a_kind_that_is_kept_misses_its_target_and_so_do_clean_ones_that_are_not() -> None:
    values = summed({"idle_start": {"keep": 2, "trim": 8}}, {"clean": {"keep": 9, "drop": 1}})
    assert not values["targets"]["idle_start: not kept"]["met"]
    assert not values["targets"]["clean episodes not kept"]["met"]
    lines = rows({**values, "failed": {}, "retried": {}, "why": {"stalled": 1}})
    assert sum("MISSED" in aim for *_, aim in lines) == 2
