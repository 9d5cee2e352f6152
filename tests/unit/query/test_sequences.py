"""Sequences are found as trying every combination finds them, and a wrong pattern says where it is wrong."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import pytest

from finished_run import episodes_of, segments_of
from sima2.errors import QueryError, UnknownNameError
from sima2.query.pattern import parsed
from sima2.query.sequences import matches, refuse_unknown
from sima2.records.episodes import EpisodeTable
from sima2.records.matches import SequenceMatches
from sima2.records.segments import SegmentTable
from sima2.records.table import Text
from sima2.records.vocabulary import object_class

LABELS = ("grasp", "lift", "slip", "place")
OUTCOMES = ("success", "failure", "retry", "unknown")
OBJECTS = ("", "cup_1", "cup_2", "plate")
ARMS = ("left", "right")


# ---- recordings and patterns by chance


def recorded(rng: np.random.Generator, episodes: int) -> tuple[SegmentTable, EpisodeTable]:
    """Segments of two arms, some episodes with one, in a shuffled order."""
    parts = []
    names = [f"e-{k}" for k in range(episodes)]
    for name in names:
        for arm in ARMS[: int(rng.integers(0, 3))]:
            n = int(rng.integers(1, 9))
            edges = np.r_[0, np.cumsum(rng.integers(1, 15, n))] + int(rng.integers(0, 4))
            template = segments_of(name)
            row = template.take(np.zeros(n, np.int64))
            reasons = ["missed_grasp" if rng.random() < 0.3 else "" for _ in range(n)]
            part = replace(
                row,
                manipulator=Text.full(n, arm),
                segment_id=np.arange(n) + 100 * ARMS.index(arm),
                label=Text.of(rng.choice(LABELS, n).tolist()),
                object=Text.of(rng.choice(OBJECTS, n).tolist()),
                start_frame=edges[:-1],
                end_frame=edges[1:],
                start_t=edges[:-1] * 0.1,
                end_t=edges[1:] * 0.1,
                outcome=Text.of(rng.choice(OUTCOMES, n).tolist()),
                failure_reason=Text.of(reasons),
            )
            parts.append(part)
    segments = SegmentTable.concat(parts)
    table = replace(
        episodes_of(names),
        success=rng.choice([0.0, 1.0, np.nan], episodes),
        frames=np.full(episodes, 150, np.int64),
    )
    return segments.take(rng.permutation(len(segments))), table.take(rng.permutation(episodes))


@dataclass(frozen=True)
class What:
    labels: tuple[str, ...]
    results: tuple[str, ...] = ()
    arm: str = ""
    object: str = ""

    def text(self) -> str:
        name = "|".join(self.labels) or "*"
        name += f":{'|'.join(self.results)}" if self.results else ""
        return name + (f"@{self.arm}" if self.arm else "") + (f"({self.object})" if self.object else "")

    def kind(self, row: dict) -> bool:
        named = row["object"] and self.object in (row["object"], object_class(row["object"]))
        return bool(
            (not self.labels or row["label"] in self.labels)
            and (not self.arm or row["manipulator"] == self.arm)
            and (not self.object or named)
        )

    def fits(self, row: dict) -> bool:
        ended = {row["outcome"], row["failure_reason"]} | ({"failure"} if row["outcome"] == "retry" else set())
        return self.kind(row) and (not self.results or bool(ended & set(self.results)))


@dataclass(frozen=True)
class Asked:
    what: What
    nth: int
    limit: tuple[str, float, str] | None
    later: bool
    absent: tuple[What, ...]

    def text(self) -> str:
        limit = f"{{{self.limit[0]}{self.limit[1]:g}{self.limit[2]}}}" if self.limit else ""
        number = f"[{self.nth}]" if self.nth else ""
        return f"{self.what.text()}{number}{limit}"


def what_by_chance(rng: np.random.Generator) -> What:
    labels = tuple(rng.choice(LABELS, int(rng.choice([0, 1, 1, 1, 2])), replace=False).tolist())
    results = tuple(rng.choice(["success", "failure", "retry", "missed_grasp"], int(rng.choice([0, 0, 0, 1, 2]))))
    arm = str(rng.choice(["", "", "", *ARMS]))
    return What(labels, results, arm, str(rng.choice(["", "", "", "cup", "cup_1", "plate"])))


def asked_by_chance(rng: np.random.Generator) -> tuple[str, list[Asked], tuple[What, ...], str]:
    steps = []
    text = ""
    for k in range(int(rng.integers(0, 4))):
        absent = tuple(what_by_chance(rng) for _ in range(int(rng.choice([0, 0, 0, 1, 2]))))
        limit = None
        if k and rng.random() < 0.3:
            unit = str(rng.choice(["s", "ms", "f"]))
            value = {"s": 0.1, "ms": 100.0, "f": 1.0}[unit] * int(rng.integers(0, 20))
            limit = (str(rng.choice(["<", "<=", ">", ">="])), round(value, 1), unit)
        later = bool(rng.random() < 0.4)
        nth = int(rng.choice([0, 0, 0, 1, 2, -1]))
        step = Asked(what_by_chance(rng), nth, limit, later or bool(limit) or bool(absent), absent)
        sign = (" … " if later else " > ") if k or (steps or absent) else ""
        for each in absent:
            text += f"{' > ' if text else ''}!{each.text()}"
        text += (sign if text else "") + step.text()
        steps.append(step)
    tail = tuple(what_by_chance(rng) for _ in range(int(rng.choice([0, 0, 0, 1]) if steps else 1)))
    for each in tail:
        text += f"{' … ' if text else ''}!{each.text()}"
    end = str(rng.choice(["", "", "success", "failure", "unknown"]))
    text += f" > … {end}" if end else ""
    return text, steps, tail, end


# ---- every combination tried


def by_trying(
    segments: SegmentTable, episodes: EpisodeTable, steps: list[Asked], tail: tuple[What, ...], end: str
) -> list[tuple]:
    found = []
    for episode in episodes.rows():
        ended = {1.0: "success", 0.0: "failure"}.get(episode["success"], "unknown")
        if end and end != ended:
            continue
        rows = [row for row in segments.rows() if row["episode_id"] == episode["episode_id"]]
        rows.sort(key=lambda row: (row["start_frame"], row["manipulator"]))
        if not steps:
            if not any(each.fits(row) for each in tail for row in rows):
                found.append((episode["episode_id"], ()))
            continue
        best: dict[int, tuple] = {}
        for chosen in itertools.product(*([row for row in rows if fits(rows, row, step)] for step in steps)):
            if good(rows, chosen, steps, tail):
                first = chosen[0]["segment_id"]
                key = tuple(row["start_frame"] for row in chosen)
                if first not in best or key < best[first][0]:
                    best[first] = (key, tuple(row["segment_id"] for row in chosen))
        mine = sorted(best.values(), key=lambda each: each[0][0])
        found += [(episode["episode_id"], ids) for _, ids in mine]
    return found


def fits(rows: list[dict], row: dict, step: Asked) -> bool:
    if not step.what.fits(row):
        return False
    alike = [each["segment_id"] for each in rows if step.what.kind(each)]
    at = alike.index(row["segment_id"])
    return not step.nth or step.nth in (at + 1, at - len(alike))


def good(rows: list[dict], chosen: tuple[dict, ...], steps: list[Asked], tail: tuple[What, ...]) -> bool:
    first = chosen[0]
    for each in steps[0].absent:
        arm = each.arm or first["manipulator"]
        if any(each.fits(x) and x["manipulator"] == arm and x["start_frame"] < first["start_frame"] for x in rows):
            return False
    for before, row, step in zip(chosen, chosen[1:], steps[1:]):
        lane = step.what.arm or before["manipulator"]
        if row["manipulator"] != lane or row["start_frame"] < before["end_frame"]:
            return False
        between = [x for x in rows if x["manipulator"] == lane]
        between = [x for x in between if before["end_frame"] <= x["start_frame"] < row["start_frame"]]
        if not step.later and between:
            return False
        if step.limit and not held(before, row, step.limit):
            return False
        for each in step.absent:
            arm = each.arm or before["manipulator"]
            for x in rows:
                low = max(x["start_frame"], before["end_frame"])
                if each.fits(x) and x["manipulator"] == arm and low < min(x["end_frame"], row["start_frame"]):
                    return False
    last = chosen[-1]
    for each in tail:
        arm = each.arm or last["manipulator"]
        if any(each.fits(x) and x["manipulator"] == arm and x["end_frame"] > last["end_frame"] for x in rows):
            return False
    return True


def held(before: dict, row: dict, limit: tuple[str, float, str]) -> bool:
    sign, value, unit = limit
    gap = row["start_frame"] - before["end_frame"]  # a frame is 0.1 s
    bound = round({"f": value, "s": value * 10, "ms": value / 100}[unit])
    return {"<": gap < bound, "<=": gap <= bound, ">": gap > bound, ">=": gap >= bound}[sign]


@pytest.mark.parametrize("seed", range(8))
def test_two_hundred_sequences_are_found_as_by_trying_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    segments, episodes = recorded(rng, 40)
    hits = 0
    for _ in range(50):
        text, steps, tail, end = asked_by_chance(rng)
        found = matches(segments, episodes, text)
        told = list(zip(found.episode_id, (tuple(ids) for ids in found.segment_id.tolist()), strict=True))
        assert told == by_trying(segments, episodes, steps, tail, end), text
        hits += len(told)
    assert hits > 200


def test_a_match_tells_its_frames_and_seconds() -> None:
    found = one("grasp:retry … grasp:success > lift")
    assert found.step_start_frame.tolist() == [[40, 76, 92]]
    assert (found.start_frame.tolist(), found.end_frame.tolist()) == ([40], [110])
    assert found.start_t.tolist() == pytest.approx([2.0])
    assert found.end_t.tolist() == pytest.approx([5.5])


def one(pattern: str, success: float = 1.0) -> SequenceMatches:
    episodes = replace(episodes_of(["e"]), success=np.array([success]))
    return matches(segments_of(episodes.episode_id[0]), episodes, pattern)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("grasp[2]:success", 1),
        ("grasp[2]:failure", 0),
        ("grasp:failure", 1),
        ("grasp:missed_grasp", 1),
        ("lift > slip", 0),
        ("lift … slip", 1),
        ("lift ... slip", 1),
        ("lift > … slip", 1),
        ("lift > slip{<2s}", 1),
        ("lift > slip{<1.9s}", 0),
        ("lift > slip{<=1900ms}", 1),
        ("lift … !collision … slip", 1),
        ("lift … !transport … slip", 0),
        ("!slip", 0),
        ("!wipe", 1),
        ("!* … idle", 1),
        ("retreat … !*", 1),
        ("retreat … success", 1),
        ("success", 1),
        ("failure", 0),
        (":failure(cup)", 2),
        ("collision(shelf)", 1),
    ],
)
def test_the_grammar_means_what_the_help_says(pattern: str, found: int) -> None:
    assert len(one(pattern)) == found


def test_nothing_is_found_where_there_is_nothing() -> None:
    for text in ("lift > slip", "!slip", "success", "!slip > lift … !place"):
        assert len(matches(SegmentTable.empty(), EpisodeTable.empty(), text)) == 0


@pytest.mark.parametrize(
    ("pattern", "problem", "place"),
    [
        ("", "names no step", 0),
        ("lift > slpi", "did you mean 'slip'", 7),
        ("lift slip", "belongs between two steps", 5),
        ("lift >", "nothing comes after >", 5),
        ("> lift", "nothing comes before >", 0),
        ("success > lift", "of a segment it is :success", 0),
        ("lift > slip{1s}", "a limit belongs", 12),
        ("lift{<1s}", "there is none", 0),
        ("lift[0]", "a whole number", 5),
        ("grasp:sucess", "did you mean 'success'", 6),
        ("lift[1][2]", "a second [", 7),
        ("lift > slip{<1s", "} belongs here", 15),
        ("lift@", "an arm belongs", 5),
        ("lift(", "an object belongs", 5),
    ],
)
def test_a_wrong_pattern_is_marked_at_its_place(pattern: str, problem: str, place: int) -> None:
    with pytest.raises(QueryError) as caught:
        parsed(pattern)
    assert problem in str(caught.value)
    assert caught.value.exit_code == 2
    assert caught.value.lines[1].index("^") == place


def test_the_mark_of_a_long_pattern_stays_within_a_narrow_terminal() -> None:
    with pytest.raises(QueryError) as caught:
        parsed(" > ".join(["lift"] * 20) + " > slpi\x1b[31m > lift")
    piece, mark = caught.value.lines
    assert piece[mark.index("^") :].startswith("slpi")
    assert max(map(len, caught.value.lines)) <= 58
    assert "\x1b" not in piece


def test_any_text_is_a_pattern_or_an_error_of_the_user() -> None:
    rng = np.random.default_rng(1)
    pieces = [
        "lift",
        "slip",
        ">",
        "…",
        "...",
        "!",
        "[2]",
        "[",
        "{<1s}",
        "{",
        "}",
        ":",
        "success",
        "@",
        "(",
        ")",
        "|",
        "*",
    ]
    for _ in range(3000):
        text = " ".join(rng.choice(pieces, int(rng.integers(0, 8))))
        with suppress(QueryError):
            matches(SegmentTable.empty(), EpisodeTable.empty(), text)


def test_an_arm_or_object_that_nobody_has_is_named() -> None:
    segments = segments_of("e", ("left", "right"))
    with pytest.raises(UnknownNameError, match="did you mean 'left'"):
        refuse_unknown(segments, parsed("lift@lefd"))
    with pytest.raises(UnknownNameError, match="object 'mug'"):
        refuse_unknown(segments, parsed("lift … !slip(mug) … place"))
    refuse_unknown(segments, parsed("lift@left(cup) … place"))
