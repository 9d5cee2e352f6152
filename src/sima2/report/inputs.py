"""What a report is made of, and how it is read back from an output folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sima2.errors import DatasetError, RecordError, StoreError
from sima2.records.defects import DefectTable
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.intake import QuarantineTable
from sima2.records.knowledge import ProposalTable
from sima2.records.plan import AuditTable, SamplePlan
from sima2.records.segments import SegmentTable
from sima2.records.table import Table, Text
from sima2.records.tags import TagTable
from sima2.records.trust import TrustMatrix, TrustRow
from sima2.shard_tables import COSTS

if TYPE_CHECKING:
    from sima2.report.folder import ReportFolder

T = TypeVar("T", bound=Table)


@dataclass(frozen=True, slots=True)
class ReportInput:
    """Records of a finished run. Segments and tags are needed of the episodes in ``signals`` only."""

    summary: Mapping[str, Any]
    """What ``summary.json`` holds."""
    trust: Mapping[str, TrustRow] = field(default_factory=dict)
    segments: SegmentTable = field(default_factory=SegmentTable.empty)
    tags: TagTable = field(default_factory=TagTable.empty)
    econ: EconTable = field(default_factory=EconTable.empty)
    proposals: ProposalTable = field(default_factory=ProposalTable.empty)
    quarantine: QuarantineTable = field(default_factory=QuarantineTable.empty)
    plan: SamplePlan = field(default_factory=SamplePlan.empty)
    audit: AuditTable = field(default_factory=AuditTable.empty)
    episodes: EpisodeTable = field(default_factory=EpisodeTable.empty)
    task_graph: Mapping[str, Any] = field(default_factory=dict)
    """What ``task_graph.json`` holds."""
    defects: DefectTable = field(default_factory=DefectTable.empty)
    signals: Sequence[Mapping[str, Any]] = ()
    """Episodes shown without a script: ``episode_id``, ``family``, ``time`` in s, ``tracks`` of ``name``, ``unit`` and
    ``values``, ``success`` and ``outcome_source``."""
    overview: Mapping[str, Any] = field(default_factory=dict)
    """A row of every episode, by columns (``page_data.Overview``)."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """All about some of them, by their place in the overview (``page_data.details``)."""


def read_json(path: Path) -> Any:
    """A JSON file of an output folder.

    Raises:
        StoreError: if it is absent or no JSON.
    """
    from sima2.io.documents import parse_json, read_document

    if path.is_symlink() or not path.exists():
        raise StoreError(f"{path}: there is no such file; is this the folder of a finished run?")
    try:
        return parse_json(read_document(path.parent, path.name), path)
    except DatasetError as error:
        from sima2.io.store import LEDGER

        advice = "; the command that made the folder makes it again" if (path.parent / LEDGER).exists() else ""
        raise StoreError(f"{error}{advice}") from None


def read_summary(out: Path) -> dict[str, Any]:
    """``summary.json`` of an output folder."""
    summary = read_json(out / "summary.json")
    if not isinstance(summary, dict):
        raise StoreError(f"{out / 'summary.json'}: holds no object")
    return summary


def read_trust(out: Path) -> TrustMatrix:
    """The trust matrix of an output folder, or of a ``trust_matrix.json`` itself; null becomes NaN again.

    Where the folder holds several collections, with that of each.

    Raises:
        StoreError: if it is absent or malformed.
    """
    path = out if out.is_file() else out / "trust_matrix.json"
    _check(path.parent, path.name)
    rows = read_json(path)
    for row in rows.values() if isinstance(rows, dict) else ():
        if isinstance(row, dict) and row.get("tier") not in ("untrusted", "provisional", "trusted"):
            raise StoreError(f"{path}: not a trust matrix of this version (tier {row.get('tier')!r})")
    beside = path.with_name("trust_by_collection.json")
    _check(beside.parent, beside.name)
    try:
        matrix = TrustMatrix.from_json(json.dumps(rows))
        apart = path.name == "trust_matrix.json" and beside.is_file()
        return matrix.with_collections(json.dumps(read_json(beside))) if apart else matrix
    except RecordError as error:
        raise StoreError(f"{path}: not a trust matrix of this version ({error})") from None


def load_report(out: Path) -> ReportInput:
    """Read what the report needs from an output folder, in bounded memory.

    Raises:
        StoreError: if the folder is not one of a finished run.
    """
    return load_folder(out)[0]


def load_folder(out: Path, *, whole: bool = True) -> tuple[ReportInput, ReportFolder]:
    """The report of an output folder, and the folder to ask for more.

    Args:
        out: the folder.
        whole: whether episodes are told whole in the page itself; else a server tells them.

    Raises:
        StoreError: if the folder is not one of a finished run.
    """
    from sima2.io.store import Store
    from sima2.report.folder import ReportFolder
    from sima2.report.signals import chosen_episodes, shown_signals

    summary = read_summary(out)
    with Store.read_only(out) as store:  # so that what is shown has the shape it was written in
        store.check("summary.json", "trust_matrix.json", "task_graph.json")
    folder = ReportFolder(out)
    episodes = folder.episodes
    shown = [episodes.episode_id[row] for row in chosen_episodes(episodes, folder.fired)]
    tables = folder.tables(shown)
    with Store.read_only(out) as store:
        report = ReportInput(
            summary=summary,
            trust=read_trust(out) if (out / "trust_matrix.json").exists() else {},
            segments=tables["segments"],
            tags=tables["tags"],
            econ=COSTS.whole(store),
            proposals=read_single(out, ProposalTable, "proposals"),
            quarantine=read_single(out, QuarantineTable, "quarantine"),
            plan=read_single(out, SamplePlan, "weights"),
            audit=read_single(out, AuditTable, "audit"),
            episodes=episodes,
            task_graph=read_json(out / "task_graph.json") if (out / "task_graph.json").exists() else {},
            defects=folder.defects,
            signals=[shown_signals(tables["signals"], episodes, name) for name in shown],
            overview=folder.overview(),
            details=folder.chosen_details(shown, [row["episode_id"] for row in _found(summary)]) if whole else {},
        )
    return report, folder


def _found(summary: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Rows of what the summary tells first."""
    for kind in (summary.get("first") or {}).values():
        yield from (row for row in (kind.get("rows") or () if isinstance(kind, Mapping) else ()) if row["episode_id"])


def read_single(out: Path, cls: type[T], name: str) -> T:
    """A single table of an output folder, empty where the run made none."""
    from sima2.io.arrow import read_table

    path = out / f"{name}.parquet"
    _check(out, path.name)
    return read_table(cls, path) if path.exists() else cls.empty()


def _check(out: Path, name: str) -> None:
    """A file of a run's folder must be as it was committed."""
    from sima2.io.store import LEDGER, Store

    if (out / LEDGER).is_file():
        with Store.read_only(out) as store:
            store.check(name)


def of_episodes(table: T, episodes: Sequence[str]) -> T:
    """The rows of some episodes, of any table that names them."""
    ids: Text = vars(table)["episode_id"]
    return table.take(np.flatnonzero(ids.isin(*episodes)))
