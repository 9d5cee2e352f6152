import subprocess
import sys

import numpy as np
import pytest

from sima2.errors import MissingExtraError, UsageError
from sima2.records.plan import FrameWeights, SamplePlan
from sima2.records.table import Text
from sima2.sampling.sampler import DataPackRLSampler


def plan_of(p):
    n = len(p)
    return SamplePlan(np.arange(n), Text.of(map(str, range(n))), np.array(p), np.ones(n), Text.full(n, ""))


PLAN = plan_of(np.random.default_rng(0).dirichlet(np.ones(20)))
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
import numpy as np
from sima2.sampling.torch_sampler import TrustSampler
from sima2.records.plan import SamplePlan
TrustSampler(SamplePlan.empty())
"""


def test_without_the_extra_the_error_names_it():
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True)
    assert MissingExtraError.__name__ in done.stderr
    assert "sima2[torch]" in done.stderr


def test_sampling_does_not_load_torch():
    code = "import sys, sima2, sima2.sampling.sampler, sima2.cli.sample; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def sampler(weights=PLAN, n=None, **more):
    from sima2.sampling.torch_sampler import TrustSampler

    return TrustSampler(weights, n, **more)


class Places:
    """A data set whose items are their own places; at the top so that worker processes find it."""

    def __len__(self):
        return 1000

    def __getitem__(self, place):
        return place


def loaded(drawing, workers=0, batches=None):
    """Items that a loader hands out, of at most so many batches."""
    from torch.utils.data import DataLoader

    found = []
    for k, batch in enumerate(DataLoader(Places(), batch_size=4, sampler=drawing, num_workers=workers)):
        if k == batches:
            break
        found += batch.tolist()
    return found


@pytest.mark.extras
def test_it_is_a_sampler_that_draws_what_the_plan_draws():
    from torch.utils.data import Sampler

    drawing = sampler(n=50, seed=4)
    assert isinstance(drawing, Sampler)
    assert list(drawing) == DataPackRLSampler(PLAN, seed=4).sample(50).tolist()
    assert len(drawing) == 50
    assert all(type(place) is int for place in drawing)


@pytest.mark.extras
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_hands_out_the_draws_in_order(workers):
    drawing = sampler(n=50, seed=1)
    for epoch in range(2):
        drawing.set_epoch(epoch)
        assert loaded(drawing, workers) == DataPackRLSampler(PLAN, seed=1).sample(50, epoch).tolist()


@pytest.mark.extras
def test_numbers_with_gaps_need_the_order_of_the_data_set():
    gapped = SamplePlan(np.arange(20) * 3, PLAN.episode_id, PLAN.p, PLAN.is_weight, PLAN.reasons)
    with pytest.raises(UsageError, match=r"gaps \(there is no 1\).*order="):
        sampler(gapped)
    with pytest.raises(UsageError, match="order="):
        sampler(FrameWeights(np.arange(1, 4), np.ones(3)))
    held = np.random.default_rng(3).permutation(60)
    drawn = list(sampler(gapped, n=200, order=held))
    assert held[drawn].tolist() == DataPackRLSampler(gapped).sample(200).tolist()
    with pytest.raises(UsageError, match=r"1 numbers that have a weight are not in the data set \(57 first\)"):
        sampler(gapped, order=[k for k in range(60) if k != 57])
    with pytest.raises(UsageError, match="each once"):
        sampler(gapped, order=[0, 0, 3])


@pytest.mark.extras
def test_a_data_set_may_lack_what_has_no_weight():
    weights = FrameWeights(np.arange(6), np.array([1.0, 0.0, 2.0, 0.0, 0.0, 1.0]))
    loaded_alone = np.array([5, 2, 3, 0])
    drawn = list(sampler(weights, n=400, order=loaded_alone))
    assert np.bincount(loaded_alone[drawn], minlength=6).tolist() == [100, 0, 200, 0, 0, 100]
    few = weights.take(np.isin(weights.index, [5, 2]))
    assert sorted(set(sampler(few, n=30, order=[5, 2]))) == [0, 1]


@pytest.mark.extras
def test_epochs_differ_and_the_same_one_repeats():
    drawing = sampler(n=40)
    first = list(drawing)
    assert list(drawing) == first
    drawing.set_epoch(1)
    assert list(drawing) != first
    drawing.set_epoch(0)
    assert list(drawing) == first


@pytest.mark.extras
@pytest.mark.parametrize("taken", [0, 1, 17, 40])
def test_an_epoch_is_resumed_where_it_was_left(taken):
    drawing = sampler(n=40, seed=2)
    drawing.set_epoch(3)
    steps = iter(drawing)
    seen = [next(steps) for _ in range(taken)]
    state = drawing.state_dict()
    assert state["taken"] == taken

    again = sampler(n=40, seed=2)
    again.load_state_dict(state)
    assert again.state_dict() == state
    again.set_epoch(3)
    drawing.set_epoch(3)
    assert seen + list(again) == list(drawing)
    assert list(again) == list(drawing), "only the first iteration resumes"
    again.set_epoch(4)
    assert list(again) == DataPackRLSampler(PLAN, seed=2).sample(40, 4).tolist()


@pytest.mark.extras
@pytest.mark.parametrize("workers", [0, 2])
def test_what_workers_drew_ahead_is_not_lost(workers):
    whole = loaded(sampler(n=60))
    drawing = sampler(n=60)
    seen = loaded(drawing, workers, batches=3)
    assert len(seen) == 12
    assert drawing.state_dict()["taken"] >= 12
    again = sampler(n=60)
    again.load_state_dict(drawing.state_dict(taken=len(seen)))
    assert seen + loaded(again, workers) == whole


@pytest.mark.extras
def test_ranks_have_as_many_draws_each_and_unite_to_the_whole():
    whole = list(sampler(n=51, seed=3, rank=0, world_size=1))
    parts = [sampler(n=51, seed=3, rank=rank, world_size=4) for rank in range(4)]
    assert [len(part) for part in parts] == [13] * 4
    together = [place for places in zip(*parts, strict=True) for place in places]
    assert together == DataPackRLSampler(PLAN, seed=3).sample(52).tolist()
    assert len(whole) == 51
    assert parts[0].state_dict() == parts[3].state_dict(), "one checkpoint serves all ranks"


@pytest.mark.extras
def test_rank_and_world_come_from_torch_distributed(tmp_path):
    from torch import distributed

    assert (sampler().rank, sampler().world_size) == (0, 1)
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        drawing = sampler(n=10)
        assert (drawing.rank, drawing.world_size, len(drawing)) == (0, 1, 10)
    finally:
        distributed.destroy_process_group()


@pytest.mark.extras
def test_two_processes_of_torch_distributed_share_an_epoch(tmp_path):
    code = f"""
import sys
import numpy as np
from torch import distributed
from sima2.records.plan import FrameWeights
from sima2.sampling.torch_sampler import TrustSampler
rank = int(sys.argv[1])
distributed.init_process_group("gloo", store=distributed.FileStore({str(tmp_path / "s")!r}, 2), rank=rank, world_size=2)
print(*TrustSampler(FrameWeights(np.arange(9), np.ones(9))))
distributed.barrier()
distributed.destroy_process_group()
"""
    both = [subprocess.Popen([sys.executable, "-c", code, str(rank)], stdout=subprocess.PIPE) for rank in range(2)]
    parts = [process.communicate(timeout=60)[0].split() for process in both]
    assert [len(part) for part in parts] == [5, 5]
    assert {int(place) for part in parts for place in part} == set(range(9))


@pytest.mark.extras
def test_frames_are_drawn_by_their_weights():
    weight = np.r_[np.zeros(5), np.full(10, 3.0), np.full(10, 1.0), np.zeros(5)]
    drawing = sampler(FrameWeights(np.arange(30), weight), 4000)
    counts = np.bincount(list(drawing), minlength=30)
    assert (np.abs(counts - 4000 * weight / weight.sum()) <= 1).all()
    assert len(sampler(FrameWeights(np.arange(30), weight))) == 20, "as many as can be drawn"


@pytest.mark.extras
@pytest.mark.parametrize(
    ("other", "word"),
    [
        ({"seed": 1}, "seed"),
        ({"n": 39}, "draws"),
        ({"world_size": 2, "rank": 1}, "world_size"),
        ({"weights": plan_of(np.full(20, 0.05))}, "digest"),
    ],
)
def test_the_state_of_another_sampler_is_refused(other, word):
    state = sampler(n=40).state_dict()
    with pytest.raises(UsageError, match=word):
        sampler(**{"n": 40, **other}).load_state_dict(state)


@pytest.mark.extras
def test_what_is_out_of_range_is_refused():
    for arguments in (
        {"n": -1}, {"seed": -1}, {"rank": 1}, {"rank": 2, "world_size": 2}, {"weights": SamplePlan.empty()},
        {"weights": plan_of([np.nan, 1.0])}, {"weights": plan_of([-1.0, 2.0])},
    ):  # fmt: skip
        with pytest.raises(UsageError):
            sampler(**arguments)
    with pytest.raises(UsageError, match="negative"):
        sampler().set_epoch(-1)
    with pytest.raises(UsageError, match="cannot have been taken"):
        sampler(n=4).state_dict(taken=5)
