"""``summary.json``: what came in, what it is, what was found, concluded and planned."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sima2 import __version__
from sima2.cameras import NOT_LOOKED, declared_cameras
from sima2.client import place_here
from sima2.execution.containment import Losses
from sima2.execution.shards import in_groups, warnings_of
from sima2.orchestrator.run_context import LOOKED, RunContext
from sima2.pipeline import Results, defect_counts, example_counts
from sima2.records.defects import DefectTable
from sima2.records.episodes import EpisodeTable
from sima2.records.labels import SaidTable
from sima2.shard_tables import CAMERAS, THUMBNAILS

if TYPE_CHECKING:
    from sima2.analytics.prior import Prior
    from sima2.client import Source
    from sima2.io.store import Run
    from sima2.orchestrator.deciding import Concluded


def summary_of(run: RunContext, concluded: Concluded) -> dict[str, Any]:
    """All that ``summary.json`` tells.

    Args:
        run: whose tables are written.
        concluded: what it concluded.
    """
    from sima2.report.sentences import no_gain_sentence

    values = {
        **_told_of_sources(run, concluded),
        **_told_of_results(run, concluded),
        **_told_of_findings(concluded),
        **({"videos": videos} if (videos := _videos_told(run)) else {}),
        "digest": run.store.digest(),
        "seconds": run.watch.spent,
    }
    return {**values, "no_gain": no_gain_sentence(values)}


def _told_of_sources(run: RunContext, concluded: Concluded) -> dict[str, Any]:
    """What came in, of which sources, and what must be said of it."""
    runs, results, arrived = run.store.runs, concluded.results, concluded.arrived
    together = _together([(each.run.origin["words"], each.source.describe()) for each in run.taken])
    mended = Losses(arrived.came, mended=[fault for each in run.taken for fault in each.losses.mended])
    merging = merged_doubts(runs)
    return {
        **together,
        **({"merging": merging} if merging else {}),
        "warnings": [
            *merging,
            *together.get("warnings", ()),
            *concluded.found.doubts,
            *in_groups(concluded.notes),
            *warnings_of(results.quarantine, mended),
        ],
        "sima2_version": __version__,
        "source": run.settings.source,
        "seed": run.settings.seed,
        "episodes": {
            "in": arrived.came,
            "ok": len(results.episodes),
            "quarantined": arrived.quarantined,
            "skipped": arrived.skipped,
        },
        "runs": [_run_told(each) for each in runs],
        "sources": _sources_told(runs, results.episodes),
    }


def _told_of_results(run: RunContext, concluded: Concluded) -> dict[str, Any]:
    """Counts, trust with what each tag would need, proposals and the plan."""
    from sima2.labelling import needs

    results, every, frozen = concluded.results, concluded.every, concluded.results.frozen
    needed = needs(results.trust, results.episodes, every.econ, every.tags, frozen.said)
    return {
        **with_needs(results.summary(concluded.proposals), needed),
        **({"prior": _prior_told(run.prior, results)} if run.prior is not None else {}),
        **({"by_example": example_counts(frozen.examples)} if len(frozen.examples) else {}),
        "alarms": {name: int(concluded.actions.action.isin(name).sum()) for name in ("safety_stop", "warning")},
    }


def _told_of_findings(concluded: Concluded) -> dict[str, Any]:
    """Defects, what persons said, what is said first, and whom to ask of."""
    from sima2.report.first import first_findings

    results, found = concluded.results, concluded.found
    episodes, said, courses = results.episodes, results.frozen.said, found.courses
    return {
        "defects": defect_counts(found.defects),
        **({"said": said_counts(said, episodes, found.defects)} if len(said) else {}),
        "first": {
            **first_findings(episodes, courses.ended, found.defects, courses.unusual, courses.usual, said),
            "to_label": _to_label_first(episodes.take(~results.training.episodes.action.isin("drop"))),
        },
    }


def said_counts(said: SaidTable, episodes: EpisodeTable, defects: DefectTable) -> dict[str, int]:
    """What persons said of the outcomes of these episodes, counted for the summary."""
    here = said.take(said.episode_id.isin(*episodes.episode_id))
    told = here.take(here.outcome)
    overridden = defects.episode_index[defects.defect.isin("outcome_overridden")]
    return {
        "outcomes": len(told),
        "success": int((told.success == 1).sum()),
        "failure": int((told.success == 0).sum()),
        "disputed": int(told.disputed.sum()),
        "by_lot": int(told.chosen.isin("random").sum()),
        "overridden": len(np.unique(overridden)),
        "nominal": int(here.nominal.sum()),
        "of_other_episodes": len(said) - len(here),
    }


def _videos_told(run: RunContext) -> dict[str, Any] | None:
    """What the summary says of videos; nothing where there are none."""
    store = run.store
    paths = [each.settings.path for each in run.taken if each.settings.path is not None]
    if not any(map(declared_cameras, paths)):
        return None
    if not store.committed(LOOKED):
        here = any((place_here(path) / "videos").is_dir() for path in paths)
        return {"looked": False, "words": NOT_LOOKED if here else ""}
    cameras = CAMERAS.whole(store)
    kept = [len(table) for table in THUMBNAILS.shards(store)]
    return {
        "looked": True,
        "cameras": sorted(set(cameras.camera)),
        "videos": int(cameras.here.sum()),
        "missing": int((~cameras.here).sum()),
        "pictures": int(cameras.pictures.sum()),
        "unpacked": int(cameras.decoded.sum()),
        "thumbnails": sum(kept),
        "words": "",
    }


def _to_label_first(episodes: EpisodeTable) -> list[dict[str, Any]]:
    """Episodes whose outcome a person should say first, and by what each was chosen."""
    from sima2.sampling.to_label import to_label

    return [
        {
            "source": episodes.source[each.row],
            "episode_id": episodes.episode_id[each.row],
            "episode_index": int(episodes.source_index[each.row]),
            "chosen": each.by,
        }
        for each in to_label(episodes)
    ]


def _together(described: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """What several sources are and lack, each line under the name of its source."""
    if len(described) == 1:
        return dict(described[0][1])
    told: dict[str, Any] = {}
    for name, each in described:
        for key, value in each.items():
            if isinstance(value, list):
                told[key] = [*told.get(key, ()), *(f"{name}: {line}" for line in value)]
    maps = [f"# {name}\n{each['column_map']}" for name, each in described if each.get("column_map")]
    mappings = {str(each["mapping"]) for _, each in described if each.get("mapping")}
    return {**told, "column_map": "\n".join(maps) or None, "mapping": " and ".join(sorted(mappings)) or None}


def merged_doubts(runs: Sequence[Run]) -> list[str]:
    """What differs between the sources of a folder, each against the first, with what to do about it."""
    from sima2.io.merging import Reading, differences

    read = {run.origin["source_id"]: run.origin for run in runs if run.origin.get("reading")}
    found: list[str] = []
    first, *others = read.values() or [{}]
    for each in others:
        names = (str(first["name"]), str(each["name"]))
        names = names if names[0] != names[1] else (first["source_id"], each["source_id"])
        found += differences(names[0], Reading.of_plain(first["reading"]), names[1], Reading.of_plain(each["reading"]))
    return list(dict.fromkeys(found))


def _sources_told(runs: Sequence[Run], episodes: EpisodeTable) -> list[dict[str, Any]]:
    """The sources in the order in which they came, with how many of the episodes used are of each."""
    told = {}
    for run in runs:
        name = str(run.origin["source_id"])
        told[name] = {
            "source": name,
            "collection": run.origin["collection"],
            "is": run.origin["words"],
            "episodes": int(episodes.source.isin(name).sum()),
        }
    return list(told.values())


def calibration_told(run: int, results: Results) -> dict[str, Any]:
    """What the history keeps of a calibration."""
    return {
        "run": run,
        "episodes": len(results.episodes),
        "effective": results.drawn["effective_sample_size"] / max(len(results.episodes), 1),
        "trust": {tag: row.trust_level for tag, row in results.trust.items()},
    }


def with_needs(summary: dict[str, Any], needed: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The summary with what each tag that is not settled would need."""
    trust = {
        tag: {**row, **({"needed": needed[tag]} if tag in needed else {})} for tag, row in summary["trust"].items()
    }
    return {**summary, "trust": trust}


def _prior_told(prior: Prior, results: Results) -> dict[str, Any]:
    """The prior in the summary: which it was, and which tags it moved."""
    rows = results.trust.rows.values()
    return {
        "digest": prior.digest,
        "tags": sorted(row.tag for row in rows if row.carried is not None),
        "moved": sorted(row.tag for row in rows if row.carried and row.trust_level > row.carried.without),
    }


def _run_told(each: Run) -> dict[str, Any]:
    """A run in the summary: what it took in."""
    given = ("source", "path", "mix", "families", "seed", "request")
    inputs = {name: each.settings.get(name) for name in given if each.settings.get(name) not in (None, [])}
    return {"run": each.number, "episodes": each.episodes, "inputs": inputs}


def map_name(source: Source, *, alone: bool) -> str:
    """File of a source's column map in the folder of results."""
    from sima2.io.store import MAPS

    return f"{MAPS}.toml" if alone else f"{MAPS}-{source.source_id}.toml"


def to_json(value: Any) -> str:
    """As it is written into the folder."""
    return json.dumps(_plain(value), indent=1, sort_keys=True)


def _plain(value: Any) -> Any:
    """JSON has no NaN, and knows no numpy."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(each) for each in value]
    return value
