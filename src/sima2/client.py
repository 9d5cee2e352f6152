"""The one door to every source of rollouts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np

from sima2.errors import MissingExtraError, UnknownNameError, UsageError, masked
from sima2.records.arrays import Int64s
from sima2.records.intake import NoteTable, QuarantineTable
from sima2.records.outcome import Outcome
from sima2.records.rollout import RolloutBatch
from sima2.records.truth import Truth

if TYPE_CHECKING:
    from sima2.io.formats import Dataset
    from sima2.io.remote import Mirror
    from sima2.tasks.design import EpisodePlan, Injection
    from sima2.tasks.simulator import SimulatorSettings
    from sima2.tasks.world_settings import PhysicsSettings

BACKENDS = ("synthetic", "dataset", "mujoco")
AUTO = "auto"
"""The source that what is given tells: a data set by its format, made rollouts where there is none."""
MADE = "made"
"""Collection of all rollouts that are made."""


def sources() -> tuple[str, ...]:
    """Names of ``--source``: made rollouts, and every format that is read.

    >>> "lerobot" in sources()
    True
    """
    from sima2.io.formats import names

    return "synthetic", "mujoco", *names()


def backend_of(source: str) -> str:
    """The backend behind a name of ``--source``.

    Raises:
        UnknownNameError: for an unknown name, naming the valid ones.

    >>> backend_of("mujoco"), backend_of("lerobot")
    ('mujoco', 'dataset')
    """
    if source in BACKENDS and source != "dataset":
        return source
    if source not in sources():
        raise UnknownNameError("source", source, (AUTO, *sources()))
    return "dataset"


def source_named(name: str, path: Path | None) -> str:
    """The name of a source, where ``auto`` leaves it to what is given.

    Raises:
        DatasetError: if there is no data set of a known format at the path.

    >>> source_named("auto", None), source_named("mujoco", None)
    ('synthetic', 'mujoco')
    """
    if name != AUTO:
        return name
    return "synthetic" if path is None else format_at(path, again=True)


def format_at(path: Path, *, again: bool = False) -> str:
    """The name of the format of the data set at a path or URL; ``again`` lists a URL once more.

    Raises:
        DatasetError: if there is none of a known format.
    """
    from sima2.io.formats import format_of

    mirror = mirror_of(path, again=again)
    if mirror is None:
        return format_of(local_path(path))
    with mirror.named():
        return format_of(mirror.path)


CACHE, CACHE_GB = "SIMA2_CACHE", "SIMA2_CACHE_GB"
"""Variables that say where files of data sets at a URL are kept here, and how many GB of them (20)."""
_MIRRORS: Final[dict[str, Mirror]] = {}
"""By URL, of this process: a set is listed once a run."""


def local_path(path: Path) -> Path:
    """The path that a URL of a local file names; any other as it is.

    >>> local_path(Path("file:///data/set")), local_path(Path("data/set"))
    (PosixPath('/data/set'), PosixPath('data/set'))
    """
    from sima2.io.remote import url_of

    url = url_of(path)
    return Path(url.removeprefix("file://")) if url is not None and url.startswith("file://") else path


def mirror_of(path: Path, *, again: bool = False) -> Mirror | None:
    """The data set at a URL and its folder here, listed once, or once more; None where the path is a local one.

    Raises:
        DatasetError: if it cannot be listed.
        MissingExtraError: if what reads URLs is not installed.
    """
    from sima2.io.remote import Cache, open_mirror, url_of

    url = url_of(path)
    if url is None or url.startswith("file://"):
        return None
    if again or url not in _MIRRORS:
        usual = Path.home() / ".cache" / "sima2"
        told = os.environ.get(CACHE_GB, "20")
        try:
            most = float(told)
        except ValueError:
            most = 0.0
        if not 0 < most < 1e9:
            raise UsageError(f"{CACHE_GB} is {told!r}, it must be a number of GB")
        _MIRRORS[url] = open_mirror(url, Cache(Path(os.environ.get(CACHE) or usual), int(most * 1e9)))
    return _MIRRORS[url]


def place_here(path: Path) -> Path:
    """Where a data set lies on this machine: of one at a URL that was opened, its folder of files brought here."""
    from sima2.io.remote import url_of

    mirror = _MIRRORS.get(url_of(path) or "")
    return local_path(path) if mirror is None else mirror.path


def place_words(path: Path, *, short: bool = False) -> str:
    """What a data set's place is called in results: its URL, or its path, whole unless ``short``; no credentials."""
    from sima2.io.remote import url_of

    url = url_of(path)
    if url is None or url.startswith("file://"):
        return masked(str(path if short else local_path(path).resolve()))
    return masked(url)


def made_families(source: str) -> tuple[str, ...]:
    """Task families that a source of made rollouts can be asked for.

    Raises:
        UnknownNameError: if the source makes none.
    """
    if source == "mujoco":
        from sima2.tasks.simulator import SIMULATED

        return SIMULATED
    if source != "synthetic":
        raise UnknownNameError("source of made rollouts", source, ("synthetic", "mujoco"))
    from sima2.tasks.families import ALL_FAMILIES

    return tuple(ALL_FAMILIES)


class Pumped(NamedTuple):
    """A batch, what is known of how it ended, and, for made rollouts, what was meant."""

    batch: RolloutBatch
    outcome: Outcome
    truth: Truth | None


@dataclass(frozen=True, slots=True, eq=False)
class Intake:
    """A span of a source: what could be read of it, and what was put aside."""

    batch: RolloutBatch
    outcome: Outcome
    quarantine: QuarantineTable
    truth: Truth | None = None
    notes: NoteTable = field(default_factory=NoteTable.empty)
    """What is odd about episodes that could be read."""


class Source(Protocol):
    """Episodes by place; any span can be read, in any order, with the same result.

    An episode's number is its source's own name for it, and its place is where it lies among those that are there: the
    two differ as soon as somebody has removed an episode. What derives from this class is numbered by place unless it
    says otherwise.
    """

    @property
    def episodes(self) -> int:
        """How many there are."""
        ...

    @property
    def numbers(self) -> Int64s:
        """The source's own number of the episode at each place, strictly increasing, shape (n,)."""
        return np.arange(self.episodes)

    @property
    def source_id(self) -> str:
        """What tells it from other sources."""
        return MADE

    @property
    def collection(self) -> str:
        """What it may be judged together with unasked: sources of the same name."""
        return MADE

    def name(self, place: int) -> str:
        """Id of the episode at a place, also where it cannot be read."""
        return f"episode_{int(self.numbers[place]):06d}"

    def read(self, start: int, stop: int) -> Intake:
        """Episodes at places start .. stop, in that order, each under its own number as ``episode_index``."""
        ...

    def frame_numbers(self) -> Mapping[int, Int64s]:
        """By the number of each episode, what the source numbers its frames by; empty where it numbers none."""
        return {}

    def reading(self) -> Mapping[str, Any]:
        """How it is read, to be compared with others before they are judged together; empty where nothing is read."""
        return {}

    def describe(self) -> Mapping[str, Any]:
        """What the source is and lacks, for the summary: plain values."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class SyntheticSource(Source):
    """The built-in task library."""

    plan: EpisodePlan
    settings: PhysicsSettings
    session: str = ""
    """Ends the name of every session: what was asked for is a collection of its own."""
    source_id: str = MADE

    @property
    def episodes(self) -> int:
        """How many were planned."""
        return len(self.plan)

    def name(self, place: int) -> str:
        """Its name in the plan."""
        return self.plan.episode_id[place]

    def read(self, start: int, stop: int) -> Intake:
        """Generate a span of the plan."""
        from sima2.io.intake import RawEpisode, admit, sift
        from sima2.tasks.synthetic import generate

        rows = np.arange(start, min(stop, len(self.plan)))
        # what will be put aside comes last, so that the others need not be copied
        rows = rows[np.argsort(self.plan.garbage[rows].isin("frozen", "nan_bursts"), kind="stable")]
        made = generate(self.plan.take(rows), self.settings)
        batch, outcome, truth = made.batch, made.outcome, made.truth
        sound, spoilt = sift(batch, "synthetic")
        sound = sound[np.argsort(batch.episodes.episode_index[sound], kind="stable")]
        batch, outcome, truth = batch.take(sound), outcome.take(sound), truth.take(sound)
        strange = admit([RawEpisode(m.episode_index, m.episode_id, "synthetic", m.values) for m in made.malformed])
        if len(strange.batch):
            # garbage that could be read after all takes its place among the others
            index = np.concatenate([batch.episodes.episode_index, strange.batch.episodes.episode_index])
            order = np.argsort(index, kind="stable")
            both = RolloutBatch.from_rollouts([*batch, *strange.batch])
            batch = replace(both, episodes=replace(both.episodes, episode_index=index)).take(order)
            noise = Truth.of_noise(strange.batch.episodes.episode_id, strange.batch.offset)
            truth = Truth.concat([truth, noise]).take(order)
            outcome = Outcome.concat([outcome, strange.outcome]).take(order)
        aside = QuarantineTable.concat([strange.quarantine, spoilt])
        aside = aside.take(np.argsort(aside.episode_index, kind="stable"))
        return Intake(_in_session(batch, self.session), outcome, aside, truth)

    def describe(self) -> Mapping[str, Any]:
        """Nothing to warn of."""
        return {"warnings": [], "not_assessed": [], "column_map": None}


def _in_session(batch: RolloutBatch, suffix: str) -> RolloutBatch:
    if not suffix:
        return batch
    each = batch.episodes
    return replace(batch, episodes=replace(each, session=tuple(name + suffix for name in each.session)))


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedSource(Source):
    """The physics simulator."""

    plan: EpisodePlan
    settings: SimulatorSettings
    session: str = ""
    """As in :class:`SyntheticSource`."""
    source_id: str = MADE

    @property
    def episodes(self) -> int:
        """How many were planned."""
        return len(self.plan)

    def name(self, place: int) -> str:
        """Its name in the plan."""
        return self.plan.episode_id[place]

    def read(self, start: int, stop: int) -> Intake:
        """Simulate a span of the plan."""
        from sima2.tasks.simulator import simulate

        made = simulate(self.plan.take(np.arange(start, min(stop, len(self.plan)))), self.settings)
        return Intake(_in_session(made.batch, self.session), made.outcome, QuarantineTable.empty(), made.truth)

    def describe(self) -> Mapping[str, Any]:
        """Nothing to warn of."""
        return {"warnings": [], "not_assessed": [], "column_map": None}


@dataclass(frozen=True, slots=True, eq=False)
class RecordedSource(Source):
    """A recorded data set."""

    dataset: Dataset
    most: int | None = None
    """Only so many of the first episodes."""
    mirror: Mirror | None = None
    """What brings its files here where it lies at a URL: goes with it to other processes."""

    @property
    def episodes(self) -> int:
        """How many its metadata names, or as many as were asked for."""
        return self.dataset.episodes if self.most is None else min(self.dataset.episodes, self.most)

    @property
    def numbers(self) -> Int64s:
        """``episode_index`` of the data set."""
        return self.dataset.numbers[: self.episodes]

    @property
    def source_id(self) -> str:
        """Of its content."""
        return self.dataset.source_id

    @property
    def collection(self) -> str:
        """Format, robot and recorded features."""
        return self.dataset.collection

    def name(self, place: int) -> str:
        """Its name in the data set."""
        return self.dataset.name(place)

    def read(self, start: int, stop: int) -> Intake:
        """Read a span."""
        got = self.dataset.read(start, stop)
        return Intake(got.batch, got.outcome, got.quarantine, None, got.notes)

    def frame_numbers(self) -> Mapping[int, Int64s]:
        """As the data set has them."""
        return self.dataset.frame_numbers()

    def reading(self) -> Mapping[str, Any]:
        """As :class:`sima2.io.merging.Reading` has it, of a few episodes spread over the set."""
        from sima2.io.merging import SAMPLED

        places = sorted({round(place) for place in np.linspace(0, self.episodes - 1, min(SAMPLED, self.episodes))})
        sample = [self.dataset.read(place, place + 1).batch for place in places]
        return self.dataset.reading([batch for batch in sample if len(batch)]).to_plain()

    def describe(self) -> Mapping[str, Any]:
        """Column map, what is absent, and warnings."""
        told = self.dataset.describe().to_plain()
        if self.mirror is not None:
            told = self.mirror.words(told)
        return told


@dataclass(frozen=True, slots=True)
class Sima2Client:
    """Rollouts from any backend, in batches; the same seed gives the same bytes.

    Args:
        backend: one of ``BACKENDS``.
        seed: of everything made.
        path: of the data set, or its URL, for ``dataset``.
        column_map: a TOML file that says which columns are what, for ``dataset``; guessed from names otherwise.
        outcomes: a file keyed by ``episode_index``, for ``dataset``.
        goals: what was asked for, for ``dataset``: ``"object=cup,target=plate,relation=placed_on,tolerance=0.03"``, and
            ``task=…`` where tasks differ.
        rate_hz: control rate of made rollouts, in Hz.
        simulator: the simulated cell, for ``mujoco``: ``SimulatorSettings`` of ``sima2.tasks.simulator``, or its
            preset ``LEFT_OUT``; it says the control rates too. By default the usual cell at ``rate_hz``.

    Raises:
        UnknownNameError: for an unknown backend, naming the valid ones.

    >>> batch, outcome, truth = Sima2Client(seed=1).rollouts(family="drawer_open", template="success", count=2)
    >>> len(batch), outcome.success.tolist()
    (2, [1.0, 1.0])
    """

    backend: str = "synthetic"
    seed: int = 0
    path: Path | str | None = None
    column_map: Path | str | None = None
    outcomes: Path | str | None = None
    goals: tuple[str, ...] = ()
    rate_hz: float = 20.0
    simulator: SimulatorSettings | None = None

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise UnknownNameError("backend", self.backend, BACKENDS)
        if self.backend == "mujoco" and find_spec("mujoco") is None:
            raise MissingExtraError("mujoco", "sim")
        if self.backend == "dataset" and self.path is None:
            raise UsageError("a recorded source needs the path of its data set (--path)")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise UsageError(f"seed is {self.seed!r}, it must be a whole number from 0 to 2**63 - 1")
        if self.simulator is not None and self.backend != "mujoco":
            raise UsageError(f"simulator settings say nothing to the {self.backend} backend: use backend='mujoco'")
        if self.rate_hz <= 0:
            raise UsageError(f"a control rate of {self.rate_hz} Hz is not positive")

    def rollouts(
        self,
        family: str = "pick_and_place",
        template: str | None = None,
        count: int = 100,
        failure_mode: str | None = None,
        recovery_strategy: str | None = None,
        inject: Injection | None = None,
    ) -> Pumped:
        """Made rollouts of one family; recorded ones are read by :meth:`batches`.

        Args:
            family: one of the task library (``sima2 tasks``).
            template: ``success``, ``failure``, ``recovery`` or ``mixed``; None draws the standard mix.
            count: how many, at least 0.
            failure_mode: one of the family's; None draws.
            recovery_strategy: one of the family's; None draws.
            inject: a scenario forced upon every episode.

        Raises:
            UnknownNameError: for an unknown name, naming the valid ones.
        """
        from sima2.tasks.plan import rollouts_plan

        if self.backend == "dataset":
            raise UsageError(f"the {self.backend} backend makes no rollouts on request: use batches()")
        plan = rollouts_plan(
            family,
            template=template,
            count=count,
            failure_mode=failure_mode,
            recovery_strategy=recovery_strategy,
            seed=self.seed,
            inject=inject,
        )
        if self.backend == "mujoco":
            from sima2.tasks.simulator import simulate

            made = simulate(plan, self._cell())
        else:
            from sima2.tasks.synthetic import generate

            made = generate(plan, self._physics())
        return Pumped(made.batch, made.outcome, made.truth)

    def source(
        self,
        *,
        mix: str = "hardening",
        families: tuple[str, ...] = (),
        episodes: int | None = None,
        total: int | None = None,
        request: Sequence[tuple[str, str, int]] = (),
    ) -> Source:
        """The source behind this client, whole: ``mix`` and ``families`` choose among made rollouts.

        A ``request`` (family, template, count; ``PumpRequest.cells``) stands in their place. ``episodes`` are those of
        each family or kind as the mix has it, ``total`` those in all.
        """
        if self.backend == "dataset":
            from sima2.io.formats import open_dataset

            column_map, outcomes = (None if p is None else Path(p) for p in (self.column_map, self.outcomes))
            place = Path(str(self.path))
            mirror = mirror_of(place)
            with nullcontext() if mirror is None else mirror.named():
                path = local_path(place) if mirror is None else mirror.path
                dataset = open_dataset(path, column_map=column_map, outcomes=outcomes, goals=self.goals)
            return RecordedSource(dataset, episodes if total is None else total, mirror)
        from sima2.io.source_id import id_of
        from sima2.tasks.plan import mix_plan, requested_plan

        asked = (mix, families, episodes, total, tuple(request), self.seed, self.rate_hz)
        source_id = id_of(self.backend, *map(str, asked))
        if request:
            plan, session = requested_plan(request, seed=self.seed), f" asked {self.seed}"
            if self.backend == "mujoco":
                return SimulatedSource(plan, self._cell(), session, source_id)
            return SyntheticSource(plan, self._physics(), session, source_id)
        if self.backend == "mujoco":
            from sima2.tasks.simulator import SIMULATED

            plan = mix_plan(mix, families=families or SIMULATED, episodes=episodes, total=total, seed=self.seed)
            return SimulatedSource(plan, self._cell(), source_id=source_id)
        plan = mix_plan(mix, families=families, episodes=episodes, total=total, seed=self.seed)
        return SyntheticSource(plan, self._physics(), source_id=source_id)

    def batches(
        self,
        *,
        mix: str = "hardening",
        families: tuple[str, ...] = (),
        episodes: int | None = None,
        batch_size: int = 256,
    ) -> Iterator[Intake]:
        """All episodes of the source in order, ``batch_size`` at a time, in bounded memory."""
        if batch_size < 1:
            raise UsageError(f"batch_size is {batch_size}, it must be at least 1")
        source = self.source(mix=mix, families=families, episodes=episodes)
        for start in range(0, source.episodes, batch_size):
            yield source.read(start, min(start + batch_size, source.episodes))

    def _cell(self) -> SimulatorSettings:
        from sima2.tasks.simulator import SimulatorSettings

        return self.simulator or SimulatorSettings(rates_hz=(self.rate_hz,))

    def _physics(self) -> PhysicsSettings:
        from sima2.tasks.world_settings import PhysicsSettings

        return replace(PhysicsSettings(), rate_hz=self.rate_hz)
