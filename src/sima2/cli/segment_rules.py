"""Which rules named a segment and said how it ended, and on what: from its episode, read and segmented again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sima2.cli.named import meant
from sima2.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sima2.records.rollout import RolloutBatch
    from sima2.segmentation_engine import SegmentationEngine

WORDS = {
    "label": "named",
    "outcome": "ended",
    "failed attempt": "in it",
    "touch": "touch in it",
    "closing": "closing in it",
}
"""What a rule speaks of, as the table says it."""


def listed_rules() -> dict[str, Any]:
    """All rules, each list in its order, as plain values."""
    from sima2.segmentation_engine import RULE_LISTS

    return {
        "lists": [
            {
                "about": each.title,
                "order": each.order,
                "rules": [{"rule": rule.name, "says": rule.words, "because": rule.reason} for rule in each.rules],
            }
            for each in RULE_LISTS
        ]
    }


def rendered_rules(values: dict[str, Any]) -> RenderableType:
    """The same for people."""
    from rich.console import Group

    from sima2.report.terminal import grid, plain, titled

    head = ("rule", "says", "because")
    parts: list[RenderableType] = []
    for each in values["lists"]:
        rows = [tuple(plain(rule[name].replace("_", " ")) for name in head) for rule in each["rules"]]
        parts += titled(f"{each['about']}: {each['order']}", grid(head, rows))
    return Group(*parts[1:])


def segment_explained(out: Path, episode: str, number: int) -> dict[str, Any]:
    """What the rules said of one segment, as plain values.

    Args:
        out: folder of a finished run.
        episode: as it is typed.
        number: ``segment_id``.

    Raises:
        UsageError: if there is no such episode or segment, its recording is not there any more, or it gives other
            segments than the run made of it.
    """
    from sima2.io.store import Store
    from sima2.records.segments import SegmentTable
    from sima2.report.inputs import of_episodes

    name, engine, batch = _read_again(out, episode)
    with Store.read_only(out) as store:
        stored = SegmentTable.concat([of_episodes(part, (name,)) for part in store.read(SegmentTable, "segments")])
    kept = {each.segment_id: each for each in stored}
    if number not in kept:
        raise UsageError(f"{name} has no segment {number}: it has {len(kept)}, from 0")
    table, notes = engine.explain(batch)
    meant_one = kept[number]
    for segment, said in zip(table, notes, strict=True):
        same = (segment.manipulator, segment.start_frame, segment.end_frame, segment.label, segment.outcome)
        if same == tuple(getattr(meant_one, each) for each in _SAME):
            return {
                "episode_id": name,
                "segment_id": number,
                **{each: getattr(meant_one, each) for each in (*_SAME, "start_t", "end_t", "failure_reason")},
                "confidence": float(meant_one.confidence),
                "rules": [{**note._asdict(), "measures": [each._asdict() for each in note.measures]} for note in said],
            }
    raise UsageError(f"{name} read again gives other segments than the run made of it: run it again, with --fresh")


_SAME = ("manipulator", "start_frame", "end_frame", "label", "outcome")


def _read_again(out: Path, episode: str) -> tuple[str, SegmentationEngine, RolloutBatch]:
    """The episode's id, the engine that its run used, and the episode alone in a batch."""
    import numpy as np

    from sima2.cli.source_of_run import rollouts_of, source_of
    from sima2.io.store import Store
    from sima2.pipeline import calibrate
    from sima2.records.episodes import EpisodeTable
    from sima2.records.intake import QuarantineTable
    from sima2.report.inputs import read_single

    episodes = read_single(out, EpisodeTable, "episodes")
    with Store.read_only(out) as store:
        runs = store.runs
    name = meant(episode, episodes, read_single(out, QuarantineTable, "quarantine"), runs)
    rows = np.flatnonzero(episodes.episode_id.isin(name))
    if not len(rows):
        raise UsageError(f"{name} was set aside and has no segments")
    run = next(each.number for each in runs if each.holds(episodes.episode_index[rows])[0])
    source = rollouts_of(out, source_of(out, run, None))
    place = int(np.searchsorted(source.numbers, episodes.source_index[rows[0]]))
    return name, calibrate(source).engine, source.read(place, place + 1).batch


def rendered(values: dict[str, Any]) -> RenderableType:
    """The same for people."""
    from rich.console import Group

    from sima2.report.terminal import grid, listing, plain, titled
    from sima2.segmentation.rules import Measure

    ended = f"{values['outcome']}, {values['failure_reason']}" if values["failure_reason"] else values["outcome"]
    head = {
        "episode": values["episode_id"],
        "segment": f"{values['segment_id']}: {values['label']}, {values['start_t']:.2f}–{values['end_t']:.2f} s",
        "ended": ended.replace("_", " "),
        "sure": f"{values['confidence']:.2f}",
    }
    # what several of its runs have in common is told once
    rows = {
        (each["about"], each["says"], each["name"]): (
            plain(WORDS[each["about"]]),
            plain(each["says"].replace("_", " ")),
            plain(each["name"]),
            plain(each["reason"]),
            plain("; ".join(str(Measure(**one)) for one in each["measures"])),
        )
        for each in values["rules"]
    }
    body = grid(("", "says", "rule", "because", "measured"), rows.values())
    silent = any(each["about"] == "outcome" for each in values["rules"])
    end = [] if silent else [plain(""), plain("No rule says that it failed or is to be left open: it succeeded.")]
    return Group(listing(head), *titled("Rules that said so", body), *end)
