"""TrustSampler: a plan's draws as a torch ``Sampler``; needs the extra ``[torch]``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from sima2.errors import MissingExtraError, UsageError
from sima2.records.arrays import Float64s, Int64s
from sima2.records.plan import FrameWeights, SamplePlan
from sima2.sampling.sampler import draw

try:
    from torch.utils.data import Sampler
except ImportError:  # the class then says what is missing, once somebody wants one
    Sampler = None

_STATE: Final = ("seed", "draws", "world_size", "digest")
"""What must be the same where a state is loaded."""


class TrustSampler(Sampler or object):  # type: ignore[misc]
    """Draws places in a data set by a plan: an epoch holds each n · p times, give or take one, in random order.

    Hand it to a ``DataLoader`` with any number of workers, and call ``set_epoch`` before each epoch: another one draws
    anew. Seed and epoch alone decide what is drawn; each rank takes every ``world_size``-th of it.

        sampler = TrustSampler(plan, seed=0)
        loader = DataLoader(episodes, batch_size=32, sampler=sampler, num_workers=2)
    """

    def __init__(
        self,
        weights: SamplePlan | FrameWeights,
        n: int | None = None,
        *,
        order: Any = None,
        seed: int = 0,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        """A sampler at the start of epoch 0.

        Args:
            weights: a plan, to draw episodes; or weights of frames, to draw frames of the source.
            n: draws of all ranks in an epoch, rounded up so that every rank has as many; as many as places can be
                drawn, if not given.
            order: ``episode_index`` (for frames, ``index``) of each item of the data set that is drawn from, in its
                order, shape (m,). Without it numbers must be places: 0, 1, 2, … without gaps.
            seed: not negative.
            rank, world_size: those of ``torch.distributed`` where it is initialised, else 0 of 1.

        Raises:
            MissingExtraError: without torch.
            UsageError: if an argument is out of range, nothing can be drawn, or numbers have gaps and no ``order``
                tells where each lies.
        """
        if Sampler is None:
            raise MissingExtraError("torch", "torch")
        here, all_of_them = _distributed()
        self.rank = here if rank is None else rank
        self.world_size = all_of_them if world_size is None else world_size
        if not 0 <= self.rank < self.world_size:
            raise UsageError(f"rank {self.rank} is not in 0 to {self.world_size - 1}")
        numbers, weight = _weighed(weights)
        self._places, weight = _places(numbers, weight, order)
        total = float(weight.sum())
        if not (np.isfinite(weight).all() and (weight >= 0).all() and total > 0):
            raise UsageError("weights must be finite, not negative, and not all zero")
        self._p = weight / total
        self._digest = hashlib.sha256(self._places.tobytes() + self._p.tobytes()).hexdigest()[:16]
        n = int(np.count_nonzero(weight)) if n is None else n
        if n < 0 or seed < 0:
            raise UsageError(f"n is {n} and seed {seed}, neither may be negative")
        self.seed = seed
        self.epoch = 0
        self._length = -(-n // self.world_size)
        self._start = 0
        self._drawn = 0

    def __len__(self) -> int:
        """Draws of this rank in a whole epoch."""
        return self._length

    def __iter__(self) -> Iterator[int]:
        """The rest of an epoch whose state was loaded, once; else a whole epoch."""
        start, self._start = self._start, 0
        self._drawn = start
        draws = draw(self._p, self._length * self.world_size, seed=self.seed, epoch=self.epoch)
        return self._following(self._places[draws][self.rank :: self.world_size][start:].tolist())

    def _following(self, places: list[int]) -> Iterator[int]:
        for place in places:
            self._drawn += 1
            yield place

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch; going to that of a loaded state keeps the place in it."""
        if epoch < 0:
            raise UsageError(f"epoch is {epoch}, it must not be negative")
        if epoch != self.epoch:
            self.epoch, self._start, self._drawn = epoch, 0, 0

    def state_dict(self, taken: int | None = None) -> dict[str, Any]:
        """Where it stands, as plain values; the same for every rank.

        Args:
            taken: samples of this epoch that this rank has trained on, as the training loop counts them. A loader with
                workers draws ahead; what it has drawn beyond ``taken`` is drawn again. By default all that was drawn.
        """
        done = self._drawn if taken is None else taken
        if not 0 <= done <= self._length:
            raise UsageError(f"{done} samples of an epoch of {self._length} cannot have been taken")
        return {"epoch": self.epoch, "taken": done, **self._identity()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken: the next iteration yields the rest of that epoch.

        Raises:
            UsageError: if the state is of other weights, seed, number of draws or ranks.
        """
        own = self._identity()
        for name in _STATE:
            if state.get(name) != own[name]:
                raise UsageError(f"the state is of another sampler: {name} {state.get(name)!r}, here {own[name]!r}")
        self.set_epoch(int(state["epoch"]))
        self._start = self._drawn = int(state["taken"])

    def _identity(self) -> dict[str, Any]:
        draws = self._length * self.world_size
        return {"seed": self.seed, "draws": draws, "world_size": self.world_size, "digest": self._digest}


def _weighed(weights: SamplePlan | FrameWeights) -> tuple[Int64s, Float64s]:
    if isinstance(weights, FrameWeights):
        return weights.index, weights.weight
    return weights.episode_index, weights.p


def _places(numbers: Int64s, weight: Float64s, order: Any) -> tuple[Int64s, Float64s]:
    """Where in the data set each number lies, and its weight, shapes (n,), without those of no weight that it lacks."""
    if order is None:
        gap = np.flatnonzero(np.sort(numbers) != np.arange(len(numbers)))
        if len(gap):
            raise UsageError(
                f"numbers have gaps (there is no {gap[0]}), so none of them is a place in a data set: give the numbers "
                "of its items in their order (order=), as in order=[episode_index of item 0, of item 1, …]"
            )
        return numbers, weight
    held = np.asarray(order)
    if held.ndim != 1 or held.dtype.kind not in "iu" or len(np.unique(held)) < len(held):
        raise UsageError("order must hold the number of each item of the data set, each once")
    by_number = np.argsort(held, kind="stable")
    place = np.minimum(np.searchsorted(held[by_number], numbers), max(len(held) - 1, 0))
    here = held[by_number[place]] == numbers if len(held) else np.zeros(len(numbers), np.bool_)
    absent = np.flatnonzero(~here & (weight != 0))
    if len(absent):
        raise UsageError(
            f"{len(absent)} numbers that have a weight are not in the data set ({numbers[absent[0]]} first): if only "
            "some of its episodes are loaded, give the weights of these alone (weights.take(np.isin(weights.index, "
            "order))); else it is another"
        )
    return np.asarray(by_number[place[here]], np.int64), weight[here]


def _distributed() -> tuple[int, int]:
    """Rank and number of ranks of this process."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank()), int(distributed.get_world_size())
    return 0, 1
