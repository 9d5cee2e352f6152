"""``sima2 card``: what is seen of faults that are planted into the set's own episodes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sima2.cli import options
from sima2.cli.answer import answer
from sima2.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sima2.client import Source
    from sima2.io.store import Run, Store
    from sima2.records.plan import CardTable

VERDICTS: Final = ("failed_attempt", "drop", "failed_episode", "label_conflict")
"""Inferences, of which it matters how often they are right; a defect is measured, and says what it measured."""
SEEN: Final = 0.8
"""Recall, at the lower end of its interval, from which on a detector is said to be trusted to see its kind."""
BLIND: Final = 0.5
"""Recall below which it is said not to be."""


def command(
    out: options.Out,
    path: Annotated[
        Path | None, typer.Option("--path", metavar="P", help="The data set that was run, if it was moved.")
    ] = None,
    seed: options.Seed = 0,
    as_json: options.Json = False,
) -> None:
    """Measure the detectors on this very set: plant faults into its own episodes and see which are found.

    No outcome is needed. Each kind of fault that the set leaves room for is planted, in memory, into some of its
    episodes; the worst found stand first. The last column is how much of what each detector tells of the set is so, at
    the least. The source is read again and must be the one that was run (of several, the last). The table is kept as
    card.parquet beside the results, and changes none of them.

    \b
    Example:
      sima2 card results
      sima2 card results --path /data/pick_cube --json
    """
    table = made_card(out, path=path, seed=seed)
    rows = list(table.rows())
    sentence = in_a_sentence(rows)
    answer({"says": sentence, "detectors": rows}, as_json=as_json, shown=lambda: _rendered(rows, sentence))


def made_card(out: Path, *, path: Path | None = None, seed: int = 0) -> CardTable:
    """The card of a finished run, written into its folder.

    Args:
        out: folder of a finished run.
        path: of its data set, where that was moved.
        seed: of what is planted and where.

    Raises:
        UsageError: if the source is not there any more, or is another one.
        StoreError: if the folder is not one of a finished run.
    """
    from sima2.card import CardSettings, KnownSet, detection_card
    from sima2.io.store import Store
    from sima2.pipeline import calibrate
    from sima2.records.defects import DefectTable
    from sima2.records.episodes import EpisodeTable
    from sima2.report.inputs import read_summary
    from sima2.shard_tables import MEASURES, SEGMENTS

    read_summary(out)
    with Store.amend(out) as store:
        run, source = _source_of(store, path)
        episodes = store.read_table(EpisodeTable, "episodes")
        mine = run.holds(episodes.episode_index)
        segments = SEGMENTS.whole(store)
        known = KnownSet(
            source=source,
            calibration=calibrate(source),
            episodes=episodes.take(mine),
            segments=segments.take(run.holds(segments.episode_index)),
            defects=store.read_table(DefectTable, "defects"),
            measures=MEASURES.whole(store),
        )
        table = detection_card(known, CardSettings(seed=seed))
        store.write_table("card", table, result=False)
    return table


def _source_of(store: Store, path: Path | None) -> tuple[Run, Source]:
    """The run that a card is made of, and its source, read again."""
    from sima2.errors import DatasetError
    from sima2.io.remote import url_of

    runs = store.runs
    tried: list[str] = []
    for run in reversed(runs):
        given = path or (None if run.settings.get("path") is None else Path(str(run.settings["path"])))
        if given is not None and url_of(given) is None and not given.exists():
            tried.append(f"{given} is not there")
            continue
        try:
            source = _opened(run, given)
        except DatasetError as error:
            tried.append(str(error))
            continue
        if source.source_id == run.origin["source_id"]:
            return run, source
        tried.append(f"{given or 'what is made now'} holds the source {source.source_id}")
    wanted = ", ".join(str(run.origin["source_id"]) for run in runs)
    why = "; ".join(dict.fromkeys(tried)) or "the folder holds no run"
    raise UsageError(
        f"{store.path}: the card reads the source that was run ({wanted}), and {why}: give its place by --path, or run "
        "again with --fresh if the data have changed"
    )


def _opened(run: Run, path: Path | None) -> Source:
    """The source of a run, by the settings that it was run with."""
    from sima2.orchestrator import open_source
    from sima2.pipeline import RunSettings

    given = run.settings

    def file(name: str) -> Path | None:
        # a file is kept with its fingerprint behind it
        return None if given.get(name) is None else Path(str(given[name]).rpartition(" ")[0])

    return open_source(
        RunSettings(
            source=str(given["source"]),
            path=path if given.get("path") is not None else None,
            column_map=file("column_map"),
            outcomes=file("outcomes"),
            goals=tuple(given.get("goals") or ()),
            mix=str(given.get("mix", "")),
            families=tuple(given.get("families") or ()),
            episodes=given.get("episodes"),
            total=given.get("total"),
            seed=int(given.get("seed", 0)),
            rate_hz=float(given.get("rate_hz", 20.0)),
            request=tuple((str(a), str(b), int(c)) for a, b, c in given.get("request") or ()),
        )
    )


def in_a_sentence(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is trusted to be seen in this set, and what is not, in one plain sentence.

    >>> row = {"detector": "idle", "planted": 24, "recall": 1.0, "recall_low": 0.86, "precision": float("nan")}
    >>> in_a_sentence([row, {**row, "detector": "drop", "recall": 0.1, "recall_low": 0.02}])
    'Of faults planted into its own episodes, this set shows idle; it does not show drop.'
    """
    measured = [row for row in rows if row["planted"]]
    if not measured:
        return "No kind of fault could be planted into the episodes of this set: how much is seen in it is not known."
    seen = [_words(row["detector"]) for row in measured if row["recall_low"] >= SEEN]
    blind = [_words(row["detector"]) for row in measured if row["recall"] < BLIND]
    half = len(measured) - len(seen) - len(blind)
    parts = [f"this set shows {_listed(seen)}" if seen else "this set shows none reliably"]
    if blind:
        parts.append(f"it does not show {_listed(blind)}")
    if half:
        parts.append(f"{half} {'kind is' if half == 1 else 'kinds are'} seen in part or not surely")
    return f"Of faults planted into its own episodes, {'; '.join(parts)}."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _rendered(rows: Sequence[Mapping[str, Any]], sentence: str) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    from sima2.report.terminal import grid, plain, titled
    from sima2.report.text import percent, visible

    def share(value: float) -> str:
        return "–" if math.isnan(value) else percent(value)

    measured = [row for row in rows if row["planted"]]
    lines = [
        (
            plain(_words(row["detector"])),
            f"{row['found']}/{row['planted']}",
            f"{share(row['recall_low'])}–{share(row['recall_high'])}",
            f"{row['told']}/{row['asked']}",
            share(row["precision"] if row["detector"] in VERDICTS else math.nan),
        )
        for row in measured
    ]
    notes: list[RenderableType] = []
    for row in rows:
        notes += [Text(visible(_words(row["detector"])), style="bold"), Padding(plain(row["note"]), (0, 0, 0, 2))]
    table = grid(("planted", "found", "95 %", "told", "right ≥"), lines, numeric=(1, 2, 3, 4)) if lines else None
    return Group(plain(sentence), *titled("The worst first", table), *titled("What was planted", Group(*notes)))
