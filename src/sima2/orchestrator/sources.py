"""The sources of a run: opened by settings, and told apart by all that results depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sima2 import __version__
from sima2.client import Sima2Client, Source, backend_of, format_at, place_here, place_words, source_named
from sima2.errors import UnknownNameError, UsageError, masked
from sima2.execution.engines import ENGINES
from sima2.pipeline import MAIN_MIX, RunSettings

if TYPE_CHECKING:
    from sima2.analytics.prior import Prior

MOST_PRIOR: Final = 64 * 1024 * 1024
"""Bytes of an earlier trust matrix; one of 20,000 strata takes a few."""
OF_RECORDINGS: Final[Mapping[str, str]] = MappingProxyType(
    {"path": "--path", "column_map": "--map", "outcomes": "--outcomes", "goals": "--goal", "video": "--video"}
)
"""Settings that made rollouts have no use for, and the option of each."""


class Given(NamedTuple):
    """A source and how it was asked for."""

    source: Source
    settings: RunSettings

    @property
    def inputs(self) -> dict[str, Any]:
        """What the results of its run depend on, as plain JSON."""
        return {**identity(self.settings), "episodes_in": self.source.episodes}

    @property
    def origin(self) -> dict[str, Any]:
        """What it is, as people call it, and what it may be judged together with unasked, as plain JSON."""
        settings, collection = self.settings, self.source.collection
        path = None if settings.path is None else place_words(settings.path, short=True)
        words = f"made rollouts ({settings.source})" if path is None else f"{path} ({collection})"
        told = {"source_id": self.source.source_id, "collection": collection, "words": words}
        return {**told, "name": path, "reading": self.source.reading()} if path is not None else told


def named(settings: RunSettings) -> RunSettings:
    """The settings with the source that ``auto`` stands for."""
    return replace(settings, source=source_named(settings.source, settings.path))


def open_source(settings: RunSettings) -> Source:
    """The source that the settings name.

    Raises:
        UsageError: for an unknown source, engine or number.
    """
    settings = named(settings)
    backend = backend_of(settings.source)
    _refuse_numbers(settings)
    if backend == "dataset":
        _refuse_for_recordings(settings)
    else:
        _refuse_for_made(settings)
    if settings.video:
        from sima2.video.reader import need_av

        need_av("PyAV, which looks at videos (--video),")
    client = Sima2Client(
        backend=backend,
        seed=settings.seed,
        path=settings.path,
        column_map=settings.column_map,
        outcomes=settings.outcomes,
        goals=settings.goals,
        rate_hz=settings.rate_hz,
    )
    return client.source(
        mix=settings.mix,
        families=settings.families,
        episodes=settings.episodes,
        total=settings.total,
        request=settings.request,
    )


def _refuse_numbers(settings: RunSettings) -> None:
    """An engine that there is, and numbers that something can be done with."""
    if settings.engine not in ENGINES:
        raise UnknownNameError("engine", settings.engine, ENGINES)
    if settings.jobs < 1 or settings.batch_size < 1:
        raise UsageError(f"jobs ({settings.jobs}) and batch size ({settings.batch_size}) must be at least 1")
    wanted = settings.episodes if settings.total is None else settings.total
    if wanted is not None and wanted < 1:
        raise UsageError(f"episodes is {wanted}, it must be at least 1")


def _refuse_for_recordings(settings: RunSettings) -> None:
    """Nothing that only made rollouts have, goals that can be read, and the format that the set has."""
    if settings.mix != MAIN_MIX:
        raise UsageError("a mix is of made rollouts; a recorded data set is taken as it is")
    if settings.goals:
        from sima2.io.goals import parse_goal_options

        parse_goal_options(settings.goals)  # refused before anything is read
    if settings.families:
        raise UsageError("families choose among made rollouts; a recorded data set is taken as it is")
    if settings.path is not None and (found := format_at(settings.path)) != settings.source:
        raise UsageError(
            f"{settings.path} is a data set of the format {found}, not {settings.source}: leave --source away"
        )


def _refuse_for_made(settings: RunSettings) -> None:
    """Nothing that only recordings have."""
    for setting, option in OF_RECORDINGS.items():
        if getattr(settings, setting):
            way = "add --path" if settings.path is None else "leave --source away"
            raise UsageError(f"{option} belongs to a recorded source: {way}")


def identity(settings: RunSettings) -> dict[str, Any]:
    """What the results depend on, as plain JSON; how many processes and how large batches are not among it."""
    from sima2.io.source_id import state_of

    plain = asdict(settings)
    for name in ("jobs", "engine", "batch_size", "out", "resume", "fresh", "pool"):
        del plain[name]
    if settings.path is not None:
        plain["path"] = place_words(settings.path)
        plain["data"] = state_of(place_here(settings.path))
    for name in ("column_map", "outcomes"):
        if plain[name] is not None:
            plain[name] = f"{plain[name]} {state_of(plain[name])}"
    plain = {key: masked(str(value)) if isinstance(value, Path) else value for key, value in plain.items()}
    for name in ("goals", "prior", *(() if settings.video else ("video",))):
        del plain[name]
    prior = prior_of(settings)
    if prior is not None:
        plain["prior"] = prior.digest
    if settings.goals:
        plain["goals"] = [masked(goal) for goal in settings.goals]
    return {
        **plain,
        "families": list(settings.families),
        "request": [list(cell) for cell in settings.request],
        "sima2_version": __version__,
    }


def prior_of(settings: RunSettings) -> Prior | None:
    """What the earlier trust matrix that the settings name says; None without one.

    Raises:
        UsageError: if it is no trust matrix, or the one of the folder that is to be written.
        DatasetError: if it cannot be read.
    """
    if settings.prior is None:
        return None
    from sima2.analytics.prior import Prior
    from sima2.io.documents import parse_json, read_document

    path = settings.prior / "trust_matrix.json" if settings.prior.is_dir() else settings.prior
    if path.resolve().is_relative_to(settings.out.resolve()):
        raise UsageError(f"--prior {path} lies in the folder of this run: its episodes would count twice")
    told = parse_json(read_document(path.parent, path.name, most=MOST_PRIOR), path)
    try:
        return Prior.of_plain(told)
    except UsageError as error:
        raise UsageError(f"--prior {path}: {error}") from None
