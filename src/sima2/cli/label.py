"""``sima2 label``: say how an episode ended, see whom to look at next, and what was said so far."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sima2.cli import options
from sima2.cli.answer import answer
from sima2.cli.named import meant
from sima2.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sima2.io.label_log import LabelLog
    from sima2.io.store import Run
    from sima2.labelling import OpenQuestions
    from sima2.records.labels import Label, SaidTable

SHOWN: Final = 12
"""Rows of a kind that a terminal lists; ``--json`` has all."""


Episode = Annotated[
    str, typer.Argument(metavar="[EPISODE]", help="Its id, or a number that only it has.", show_default=False)
]
What = Annotated[
    str,
    typer.Argument(metavar="[WHAT]", help="success, failure, nominal, label, boundary or note.", show_default=False),
]
Frame = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, help="Frame that it is about: by which it had failed, of a segment."),
]
Value = Annotated[
    str,
    typer.Option(
        metavar="V",
        help="The right label, the frame to which a boundary belongs; withdrawn takes back what you said.",
    ),
]
Note = Annotated[str, typer.Option(metavar="TEXT", help="Say a note besides.")]
By = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who says it; the name you are logged in by, if not given.")
]
Coming = Annotated[int | None, typer.Option("--next", metavar="N", min=1, help="List whom to look at next, and why.")]
Outcomes = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write what was said for sima2 run --outcomes (.csv or .jsonl)."),
]


def command(
    out: options.Out,
    episode: Episode = "",
    what: What = "",
    frame: Frame = None,
    value: Value = "",
    note: Note = "",
    by: By = None,
    coming: Coming = None,
    outcomes: Outcomes = None,
    as_json: options.Json = False,
) -> None:
    """Say how an episode ended, or see what was said and whom to look at next.

    What is said is added to labels.jsonl in OUT at once, and stays there, also with --fresh; the next `sima2 run` into
    OUT takes it in: a person's word goes before what was recorded. Where two persons disagree the outcome is not known.
    Tags are tested on episodes that --next draws by lot; what you choose yourself acts on its own episode. A label of a
    segment and a boundary are kept and shown; they move no segment.

    \b
    Example:
      sima2 label results --next 12
      sima2 label results 7 failure --frame 120 --note "slips off the rim"
      sima2 label results 7 failure --value withdrawn
      sima2 label results --outcomes outcomes.csv
    """
    ways = {"EPISODE": bool(episode), "--next": coming is not None, "--outcomes": outcomes is not None}
    if sum(ways.values()) > 1:
        raise UsageError(f"one at a time: {' or '.join(name for name, given in ways.items() if given)}")
    if not episode and (frame is not None or value or note):
        raise UsageError("say of which episode: sima2 label OUT EPISODE WHAT")
    if episode and not (what or note):
        raise UsageError(f"say what of {episode}: success, failure, nominal, label, boundary or note")
    if episode:
        values = said_now(out, episode, what, frame=frame, value=value, note=note, by=_name() if by is None else by)
        answer(values, as_json=as_json, shown=lambda: _said(values))
    elif coming is not None:
        values = asked(out, coming)
        answer(values, as_json=as_json, shown=lambda: _asked(values))
    elif outcomes is not None:
        values = written(out, outcomes)
        answer(values, as_json=as_json, shown=lambda: _written(values))
    else:
        values = overview(out)
        answer(values, as_json=as_json, shown=lambda: _overview(values))


def _name() -> str:
    """The name that one is logged in by; empty where the machine knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def said_now(
    out: Path, episode: str, what: str, *, frame: int | None, value: str, note: str, by: str
) -> dict[str, Any]:
    """Say it, and tell what now stands of the episode and which tags can be tested.

    Raises:
        UsageError: if there is no such episode, or it makes no sense.
    """
    from sima2.io.label_log import append_label, read_log
    from sima2.records.labels import WITHDRAWN, Label, takes_back

    questions, aside, runs = _opened(out)
    name = meant(episode, questions.episodes, aside, runs)
    if not questions.episodes.episode_id.isin(name).any():
        raise UsageError(f"{name} was set aside: see sima2 quarantine {out}")
    length = int(questions.episodes.frames[questions.episodes.episode_id.isin(name)][0])
    if frame is not None and frame >= length:
        raise UsageError(f"{name} has {length} frames, from 0: there is no frame {frame}")
    by_lot = {each.episode_id for each in questions.order(read_log(out).labels) if each.chosen == "random"}
    about: dict[str, Any] = {
        "frame": frame,
        "chosen": "random" if name in by_lot else "active",
        "by": by,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    labels: list[Label] = []
    if what and not (what == "note" and note and not value):
        labels.append(Label(name, what, value, **about))
    if note:
        labels.append(Label(name, "note", note, **about))
    said = read_log(out).labels
    for label in labels:
        if label.value == WITHDRAWN and not takes_back(said, label):
            at = "" if frame is None else f" at frame {frame}"
            raise UsageError(f"{by or 'nobody'} has said no {what}{at} of {name} that could be taken back")
    for label in labels:
        append_label(out, label)
    log = read_log(out)
    return {
        "said": [label.plain() for label in labels],
        "stands": standing_of(out, name),
        "tags": _tags(questions, log),
        "next": _next(questions, log, 1),
        "problems": list(log.problems),
    }


def standing_of(out: Path, name: str) -> list[dict[str, Any]]:
    """What persons say of an episode, as far as it stands, as plain values."""
    import numpy as np

    from sima2.io.label_log import read_labels
    from sima2.records.labels import standing

    kept = standing(read_labels(out))
    return list(kept.take(np.flatnonzero(kept.episode_id.isin(name))).rows())


def asked(out: Path, n: int) -> dict[str, Any]:
    """Whom to look at next."""
    from sima2.io.label_log import read_log

    questions, _, _ = _opened(out)
    log = read_log(out)
    return {"next": _next(questions, log, n), "tags": _tags(questions, log), "problems": list(log.problems)}


def written(out: Path, file: Path) -> dict[str, Any]:
    """Write the outcomes that persons said, a file a source.

    Raises:
        UsageError: if nothing was said yet, or the file must not be written.
    """
    from sima2.export.said import outcome_rows, write_outcomes
    from sima2.export.target import refuse_file
    from sima2.io.label_log import read_log
    from sima2.records.labels import said_of

    questions, _, runs = _opened(out)
    log = read_log(out)
    said = said_of(log.labels)
    rows = outcome_rows(questions.episodes, said)
    if not rows:
        raise UsageError(f"{out}: nobody has said how an episode ended, so there is nothing to write")
    sets = [Path(str(run.settings["path"])) for run in runs if run.settings.get("path")]
    several = len(rows) > 1
    files = {source: file.with_name(f"{file.stem}-{source}{file.suffix}") if several else file for source in rows}
    for each in files.values():
        refuse_file(each, [out, *sets])
    for source, each in files.items():
        write_outcomes(each, rows[source])
    chosen = int((said.outcome & said.chosen.isin("active")).sum())
    return {
        "files": [
            {"file": str(files[source]), "source": source, "outcomes": len(mine)} for source, mine in rows.items()
        ],
        "disputed": int(said.disputed.sum()),
        "by_choice": chosen,
        "problems": list(log.problems),
    }


def overview(out: Path) -> dict[str, Any]:
    """What was said so far, where it contradicts, and how far it goes."""
    from collections import Counter

    from sima2.io.label_log import read_log
    from sima2.records.labels import said_of, standing

    questions, _, _ = _opened(out)
    log = read_log(out)
    said, kept = said_of(log.labels), standing(log.labels)
    here = questions.episodes.episode_id
    return {
        "lines": len(log.labels),
        "stands": dict(sorted(Counter(kept.what).items())),
        "persons": len(set(kept.by)),
        "outcomes": _outcomes(said),
        "disputed": [name for name, open_ in zip(said.episode_id, said.disputed.tolist(), strict=True) if open_],
        "overridden": _overridden(questions, said),
        "of_other_episodes": sorted(set(said.episode_id) - set(here)),
        "taken_in": said.digest() == questions.said.digest(),
        "tags": _tags(questions, log),
        "next": _next(questions, log, 1),
        "problems": list(log.problems),
    }


def _opened(out: Path) -> tuple[OpenQuestions, Any, Sequence[Run]]:
    from sima2.io.store import Store
    from sima2.labelling import OpenQuestions
    from sima2.records.intake import QuarantineTable
    from sima2.report.inputs import read_single

    with Store.read_only(out) as store:
        runs = store.runs
    return OpenQuestions.of(out), read_single(out, QuarantineTable, "quarantine"), runs


def _outcomes(said: SaidTable) -> dict[str, int]:
    told = said.take(said.outcome)
    return {
        "success": int((told.success == 1).sum()),
        "failure": int((told.success == 0).sum()),
        "disputed": int(told.disputed.sum()),
        "by_lot": int(told.chosen.isin("random").sum()),
        "nominal": int(said.nominal.sum()),
    }


def _overridden(questions: OpenQuestions, said: SaidTable) -> list[dict[str, Any]]:
    """Episodes of which a person says otherwise than was recorded, as far as the last run knows."""
    found = dict(questions.overridden)
    at = {name: i for i, name in enumerate(questions.episodes.episode_id)}
    recorded = questions.episodes.outcome_source.isin("recorded", "task_sensor")
    for name, success in zip(said.episode_id, said.success.tolist(), strict=True):
        i = at.get(name, -1)
        if i >= 0 and recorded[i] and success == success and success != questions.episodes.success[i]:
            words = ("failure", "success")
            told = (
                f"recorded as a {words[int(questions.episodes.success[i])]}, called a {words[int(success)]} by a person"
            )
            found[name] = told
    known = set(said.episode_id[said.outcome])
    return [{"episode_id": name, "words": words} for name, words in found.items() if name in known]


def _tags(questions: OpenQuestions, log: LabelLog) -> list[dict[str, Any]]:
    return [each._asdict() for each in questions.testable(log.labels)]


def _next(questions: OpenQuestions, log: LabelLog, n: int) -> list[dict[str, Any]]:
    return [each._asdict() for each in questions.order(log.labels, n=n)]


# ---- for people


def _said(values: Mapping[str, Any]) -> RenderableType:
    from rich.console import Group

    from sima2.report.sentences import tags_sentence
    from sima2.report.terminal import plain, titled

    return Group(
        *titled("Stands", standing_rows(values["stands"])),
        plain(tags_sentence(values["tags"])),
        *map(plain, _next_words(values["next"])),
        *map(plain, values["problems"]),
    )


def _asked(values: Mapping[str, Any]) -> RenderableType:
    from rich.console import Group

    from sima2.report.sentences import tags_sentence
    from sima2.report.terminal import grid, plain

    if not values["next"]:
        return plain("nobody is left to look at: something was said of every episode")
    rows = [(plain(each["episode_id"]), plain(each["chosen"]), plain(each["why"])) for each in values["next"]]
    return Group(
        grid(("episode", "chosen", "why"), rows, whole=(0, 1)),
        plain(tags_sentence(values["tags"])),
        *map(plain, values["problems"]),
    )


def _written(values: Mapping[str, Any]) -> RenderableType:
    from rich.console import Group

    from sima2.report.terminal import plain

    lines = [f"{each['file']}: {each['outcomes']} outcomes" for each in values["files"]]
    if values["disputed"]:
        lines.append(f"{values['disputed']} that persons disagree on are left out")
    if values["by_choice"]:
        lines.append(
            f"{values['by_choice']} were looked at by choice: a run by this file tests tags on them too, one into OUT "
            "does not"
        )
    return Group(*map(plain, [*lines, *values["problems"]]))


def _overview(values: Mapping[str, Any]) -> RenderableType:
    from rich.console import Group

    from sima2.report.sentences import tags_sentence
    from sima2.report.terminal import bullets, plain, titled

    ends = values["outcomes"]
    kinds = ", ".join(f"{n} {name}" for name, n in values["stands"].items())
    persons = f"{values['persons']} person{'' if values['persons'] == 1 else 's'}"
    stands = f"it stands, by {persons}: {kinds}" if kinds else "nothing of it stands, all was taken back"
    lines = [f"Said in {values['lines']} lines; {stands}." if values["lines"] else "Nothing was said yet."]
    if ends["success"] + ends["failure"]:
        lines.append(f"Outcomes: {ends['success']} success, {ends['failure']} failure; {ends['by_lot']} drawn by lot.")
    if not values["taken_in"]:
        lines.append("The results do not know it yet: give the `sima2 run` of this folder again.")
    lines += [tags_sentence(values["tags"]), *_next_words(values["next"])]
    over = [f"{each['episode_id']}: {each['words']}" for each in values["overridden"]]
    return Group(
        *map(plain, lines),
        *titled("Otherwise than recorded", bullets(_some(over))),
        *titled("Persons disagree", bullets(_some(values["disputed"]))),
        *titled("Of episodes that are not here", bullets(_some(values["of_other_episodes"]))),
        *titled("Lines that are no labels", bullets(values["problems"])),
    )


def _some(lines: Sequence[str]) -> list[str]:
    more = [f"{len(lines) - SHOWN} more: see --json"] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more]


def _next_words(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [f"Next: {each['episode_id']} ({each['why']})." for each in rows]


def standing_rows(rows: Sequence[Mapping[str, Any]]) -> RenderableType | None:
    """What persons say of an episode, in a terminal."""
    from sima2.report.terminal import grid, plain

    if not rows:
        return None
    told = [
        (
            plain(each["what"]),
            plain("" if each["frame"] < 0 else str(each["frame"])),
            plain(each["value"]),
            plain(each["by"]),
        )
        for each in rows
    ]
    return grid(("what", "frame", "value", "by"), told, whole=(0, 1))
