"""What a newcomer asks first: which episodes failed, which took two tries, what is broken, which are unusual.

What is said is chosen once, as plain values in ``summary.json``; the terminal and the page say the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from sima2.records.courses import WHOLE, CourseTable, Endings, UnusualTable
from sima2.records.defects import DefectTable
from sima2.records.episodes import EpisodeTable
from sima2.records.labels import SaidTable
from sima2.records.trust import TrustRow
from sima2.records.vocabulary import UNKNOWN
from sima2.report.sentences import intake_sentence, listed, outcome_sentence, section, sources_sentence
from sima2.report.text import as_number, count, number

MOST: Final = 20
"""Rows of each kind that are kept; the tables hold all."""
OPEN: Final = 6
"""Of so many episodes at most the first sentences tell the numbers where it is not known how they ended."""
NUMBERED: Final = "episode "
"""How the name of an episode begins that is called by its number."""
TRIES: Final = "repeated_grasp"
CONFLICT: Final = "label_conflict"
PARTS: Final = {
    "failed": "Failed",
    "conflicts": "Outcome and motion disagree",
    "retried": "Tried again, or closed again",
    "defects": "What is wrong with the data",
    "unusual": "Unusual, not bad",
}
"""What is said, in this order, and under which title."""
MORE: Final = {
    "failed": "sima2 episodes {out} --failed",
    "retried": "the report",
    **dict.fromkeys(("conflicts", "defects", "unusual"), "sima2 audit {out}"),
}
"""What lists all of it."""
ENDED: Final = {
    "holding": "ends with the thing in the hand, where others let go",
    "empty": "the last attempt took nothing",
    "lost": "what was taken was lost",
}
"""By what an episode is inferred to have failed, where no segment failed."""


def more(kind: str, out: str = "OUT") -> str:
    """What lists all findings of a kind of the run in a folder.

    >>> more("defects", "week"), more("failed")
    ('sima2 audit week', 'sima2 episodes OUT --failed')
    """
    return MORE[kind].format(out=out)


def first_findings(
    episodes: EpisodeTable,
    ended: Endings,
    defects: DefectTable,
    unusual: UnusualTable,
    courses: CourseTable,
    said: SaidTable | None = None,
) -> dict[str, Any]:
    """What can be said of the episodes, each row with its episode and frames.

    Args:
        episodes: all.
        ended: by which segments each of them ended, in any order.
        defects: all findings, the worst first.
        unusual: distance of each episode from its task's usual course.
        courses: the usual courses.
        said: what persons say, and by which frame what failed had failed.
    """
    place = dict(zip(ended.episode_id, range(len(ended)), strict=True))
    at = np.array([place[name] for name in episodes.episode_id], np.int64)
    ended = ended.take(at)
    shown = unusual.take(np.lexsort((unusual.rank, unusual.p))).rows()
    told = {
        "failed": _failed(episodes, ended, SaidTable.empty() if said is None else said),
        "conflicts": [_found(row) for row in _of_kinds(defects, CONFLICT)],
        "retried": _retried(ended, defects, episodes),
        "defects": [_found(row, named=True) for row in _other(defects)],
        "unusual": [_odd(row) for row in shown if row["shown"]],
    }
    return {
        **{
            name: {"count": len({row["episode_id"] for row in rows}), "rows": rows[:MOST]}
            for name, rows in told.items()
        },
        "outcomes": _outcomes(episodes),
        "courses": _courses(courses),
        "coverage": _coverage(unusual),
    }


def _failed(episodes: EpisodeTable, ended: Endings, said: SaidTable) -> list[dict[str, Any]]:
    """Failed episodes, those known to have failed before those that are inferred to, these the surest first."""
    inferred = episodes.outcome_source.isin("inferred")
    rows = np.flatnonzero(episodes.success == 0)
    order = rows[np.lexsort((-episodes.inferred_confidence[rows], inferred[rows]))]
    by_frame = dict(zip(said.episode_id, said.failed_at_frame.tolist(), strict=True))
    told = []
    for i in order.tolist():
        bad = bool(ended.failed[i])
        frame = by_frame.get(episodes.episode_id[i], -1)
        words = _why(episodes.failure_reason[i], "" if not inferred[i] else episodes.inferred_end[i], ended, i)
        if frame >= 0:
            words = f"by frame {frame}, says a person; the motion: {words}"
        p = round(float(episodes.inferred_confidence[i]), 3) if inferred[i] else None
        told.append(
            {
                "episode_id": episodes.episode_id[i],
                "episode_index": int(episodes.episode_index[i]),
                "start_frame": frame if frame >= 0 else int(ended.failed_start[i]) if bad else 0,
                "end_frame": int(ended.failed_end[i]) if bad and frame < 0 else int(episodes.frames[i]),
                "inferred": bool(inferred[i]),
                "p": p,
                "words": words,
            }
        )
    return told


def _why(because: str, end: str, ended: Endings, i: int) -> str:
    """By what it failed; in the words of the inference where no segment says it."""
    if not ended.failed[i] or end == "holding":
        return ENDED.get(end) or because.replace("_", " ") or "no step was seen to fail"
    why = ended.failed_because[i] or because
    return ended.failed[i].replace("_", " ") + (f": {why.replace('_', ' ')}" if why else " failed")


def _retried(ended: Endings, defects: DefectTable, episodes: EpisodeTable) -> list[dict[str, Any]]:
    """Attempts that segments say were made again, and hands that closed again; once an episode, most tries first."""
    told: dict[str, dict[str, Any]] = {}
    for row in _of_kinds(defects, TRIES):
        told.setdefault(row["episode_id"], _found(row) | {"tries": float(row["value"])})
    for i in np.flatnonzero(ended.retries).tolist():
        n = int(ended.retries[i])
        why = ended.retried_because[i].replace("_", " ")
        words = f"{ended.retried[i].replace('_', ' ')} tried {n + 1} times{f' ({why})' if why else ''}"
        closed = told.get(ended.episode_id[i], {})  # tells of the attempt that followed, too
        told[ended.episode_id[i]] = {
            "episode_id": ended.episode_id[i],
            "episode_index": int(episodes.episode_index[i]),
            "start_frame": closed.get("start_frame", int(ended.retry_start[i])),
            "end_frame": closed.get("end_frame", int(ended.retry_end[i])),
            "words": words,
            "tries": float(n),
        }
    return sorted(told.values(), key=lambda row: (-row["tries"], row["episode_index"]))


def _of_kinds(defects: DefectTable, *kinds: str) -> Iterable[Mapping[str, Any]]:
    return defects.take(defects.defect.isin(*kinds)).rows()


def _other(defects: DefectTable) -> Iterable[Mapping[str, Any]]:
    """The worst defect of each kind in each episode, kinds in turn: one kind must not hide the others."""
    rows = defects.take(~defects.defect.isin(TRIES, CONFLICT))
    seen: dict[str, set[str]] = {}
    turns: list[tuple[int, int]] = []
    for i, (kind, name) in enumerate(zip(rows.defect, rows.episode_id, strict=True)):
        mine = seen.setdefault(kind, set())
        if name not in mine:
            turns.append((len(mine), i))
            mine.add(name)
    return rows.take(np.array([i for _, i in sorted(turns)], np.int64)).rows()


def _found(row: Mapping[str, Any], *, named: bool = False) -> dict[str, Any]:
    arm = f"{row['manipulator']}: " if row["manipulator"] not in ("", "arm") else ""
    kind = f"{row['defect'].replace('_', ' ')}: " if named else ""
    return {
        **{name: row[name] for name in ("episode_id", "episode_index", "start_frame", "end_frame")},
        "words": f"{kind}{arm}{row['details']}",
    }


def _odd(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("episode_id", "episode_index", "start_frame", "end_frame", "p", "words")},
        "among": row["episodes"],
    }


def _outcomes(episodes: EpisodeTable) -> dict[str, Any]:
    """How many are known and how many inferred, by how they ended, and the first of those of which neither is."""
    inferred = episodes.outcome_source.isin("inferred")
    open_ = np.flatnonzero(np.isnan(episodes.success))
    return {
        "recorded": int((np.isfinite(episodes.success) & ~inferred).sum()),
        "inferred_success": int((inferred & (episodes.success == 1)).sum()),
        "inferred_failure": int((inferred & (episodes.success == 0)).sum()),
        "unknown": len(open_),
        "open": [
            {"episode_id": episodes.episode_id[i], "episode_index": int(episodes.episode_index[i])}
            for i in open_[:MOST].tolist()
        ],
    }


def _courses(courses: CourseTable) -> list[dict[str, Any]]:
    """The usual course of each task in words, the largest task first."""
    tasks: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in courses.rows():
        tasks.setdefault((row["family"], row["robot"]), []).append(row)
    told = [
        {"family": family, "robot": robot, "episodes": rows[0]["episodes"], "words": _course(rows)}
        for (family, robot), rows in tasks.items()
    ]
    return sorted(told, key=lambda task: (-task["episodes"], task["family"], task["robot"]))[:MOST]


def _course(rows: Sequence[Mapping[str, Any]]) -> str:
    whole = next(row for row in rows if row["phase"] == WHOLE)
    spread = f"{number(whole['low_s'], 2)}–{number(whole['high_s'], 2)} s"
    parts = [f"{number(whole['duration_s'], 2)} s ({spread}), {count(round(whole['times']), 'grasp')}"]
    arms: dict[str, list[str]] = {}
    for row in rows:
        if row["phase"] != WHOLE:
            arms.setdefault(row["manipulator"], []).append(
                f"{row['phase'].replace('_', ' ')} {number(row['duration_s'], 2)} s"
            )
    for arm, phases in arms.items():
        # an arm that only waits has no course worth a line
        if len(phases) > 1 or len(arms) == 1:
            parts.append((f"{arm}: " if len(arms) > 1 else "") + " → ".join(phases))
    return "; ".join(parts)


def _coverage(unusual: UnusualTable) -> dict[str, list[dict[str, Any]]]:
    """Episodes that are nearly the same as another, and those far from all others."""
    names = ("episode_id", "episode_index", "nearest")
    order = unusual.take(np.argsort(unusual.episode_index, kind="stable"))
    return {
        kind: [{name: row[name] for name in names} for row in order.take(order.coverage.isin(kind)).rows()][:MOST]
        for kind in ("alike", "rare")
    }


def leads(summary: Mapping[str, Any], trust: Mapping[str, TrustRow]) -> bool:
    """Whether findings come before trust: there are some, and no tag could be tested against an outcome that was told.

    Args:
        summary: what ``summary.json`` holds.
        trust: rows of the trust matrix.
    """
    found = section(summary, "first")
    if not found:
        return False
    return not section(found, "outcomes").get("recorded") or not any(
        as_number(row.effect) is not None for row in trust.values()
    )


def task_name(family: str) -> str:
    """A task as a line begins with it.

    >>> task_name("pick up the cup."), task_name("drawer_open"), task_name("unknown")
    ('pick up the cup', 'drawer open', 'all of no known task')
    """
    return "all of no known task" if family == UNKNOWN else family.replace("_", " ").rstrip(". ")


def coverage_words(summary: Mapping[str, Any], most: int = MOST) -> list[str]:
    """What is far from all others and what is there nearly twice, a line each; nothing for none."""
    cover = section(section(summary, "first"), "coverage")
    told = []
    for kind, words in (("rare", "far from every other"), ("alike", "nearly the motion of another")):
        if rows := list(cover.get(kind) or ()):
            names = ", ".join(named(row, summary).removeprefix(NUMBERED) for row in rows[:most])
            told.append(f"{words}: {names}{', …' if len(rows) > most else ''}")
    return told


def named(row: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """An episode as people call it: by its number in the recorded set, where there is one set only."""
    if row["episode_index"] < 0:
        return "the whole set"
    one = len(summary.get("sources") or ()) == 1 and summary.get("format")
    return f"{NUMBERED}{row['episode_index']}" if one else str(row["episode_id"])


def frames_of(row: Mapping[str, Any]) -> str:
    """Its frames in words; empty for what is said of the whole set."""
    return "" if row["episode_index"] < 0 else f"{row['start_frame']}–{row['end_frame']}"


def row_words(kind: str, row: Mapping[str, Any]) -> str:
    """A row's evidence, with how sure it is and of what it is said."""
    if kind == "failed" and row.get("inferred"):
        return f"{row['words']} (inferred, {number(row.get('p'), 2)})"
    if kind == "unusual":
        among = int(row.get("among") or 0)
        rank = round((row.get("p") or 0.0) * among)
        return f"{row['words']} (rank {number(rank)} of {number(among)})"
    return str(row["words"])


def title(kind: str, part: Mapping[str, Any]) -> str:
    """Title of a kind of finding with the number of its episodes."""
    return f"{PARTS[kind]}: {count(part.get('count'), 'episode')}"


def ended_sentence(summary: Mapping[str, Any]) -> str:
    """How the episodes ended, and how far that is only inferred.

    >>> ends = {"recorded": 0, "inferred_success": 13, "inferred_failure": 1, "unknown": 6}
    >>> ended_sentence({"first": {"outcomes": ends}})
    'No outcome is recorded. Inferred from the motion: 13 succeeded, 1 failed; 6 not known.'
    """
    ends = section(section(summary, "first"), "outcomes")
    won, lost, open_ = (int(ends.get(key) or 0) for key in ("inferred_success", "inferred_failure", "unknown"))
    if ends.get("recorded"):
        return outcome_sentence(section(summary, "episode_outcomes"))
    if not won + lost:
        return "How they ended is not recorded, and could not be inferred."
    told = f"{number(won)} succeeded, {number(lost)} failed; {number(open_)} not known"
    return f"No outcome is recorded. Inferred from the motion: {told}{_open_words(ends, summary)}."


def _open_words(ends: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """Which episodes it is not known of how they ended: few by their numbers, else the command that lists them."""
    names = [named(row, summary) for row in ends.get("open") or ()]
    if not names:
        return ""
    if len(names) > OPEN or not all(name.startswith(NUMBERED) for name in names):
        return " (`sima2 episodes --unknown`)"
    return f" ({', '.join(name.removeprefix(NUMBERED) for name in names)})"


def opening(summary: Mapping[str, Any]) -> str:
    """The first sentences: what came, of which sources where there are several, and how it ended."""
    sources = summary.get("sources") or ()
    of_them = [sources_sentence(sources)] if len(sources) > 1 else []
    return " ".join([intake_sentence(summary), *of_them, ended_sentence(summary)])


def none_found(kind: str, summary: Mapping[str, Any]) -> str:
    """What is said of a kind of which nothing was found."""
    ends = section(section(summary, "first"), "outcomes")
    known = any(ends.get(key) for key in ("recorded", "inferred_success", "inferred_failure"))
    return "nothing found" if kind != "failed" else "none known" if known else "not known of any episode"


def unusual_sentence(summary: Mapping[str, Any]) -> str:
    """How many episodes are unlike the others of their task; empty where none is."""
    n = section(section(summary, "first"), "unusual").get("count")
    return f"Unusual, not bad: {count(n, 'episode')} unlike the others of their task; see `sima2 audit`." if n else ""


def trust_sentence(summary: Mapping[str, Any]) -> str:
    """Trust in one line where nothing can be tested, and the way to it."""
    first = section(summary, "first")
    rows = first.get("to_label") or ()
    if section(first, "outcomes").get("recorded") or not rows:
        return "Which tags predict cost: not testable here; `sima2 trust` says why of each tag."
    leant = [tag for tag, row in section(summary, "trust").items() if row.get("tier") in ("provisional", "trusted")]
    said = f"{listed(leant)} by inferred outcomes only" if leant else "not testable without outcomes"
    key = "episode_index" if len(summary.get("sources") or ()) < 2 else "episode_id"
    numbers = ", ".join(named(row, summary).removeprefix(NUMBERED) for row in rows)
    return (
        f"Which tags predict cost: {said}. "
        f"Label {count(len(rows), 'episode')} (sima2 view --label, or --outcomes FILE with {key}, success): {numbers}."
    )
