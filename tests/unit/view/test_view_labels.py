"""What is said in the page is kept at once, by its rules, and nothing that is said can harm."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finished_run import write_folder
from recorded_sets import record
from sima2.errors import Sima2Error
from sima2.io.label_log import read_labels
from sima2.orchestrator import run_pipeline
from sima2.records.episodes import EpisodeTable
from sima2.records.video import IN_ROWS, Clip
from sima2.view.pages import RunPages
from sima2.view.server import Refused


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("labels") / "out")


@pytest.fixture
def out(finished: Path) -> Iterator[Path]:
    yield finished
    (finished / "labels.jsonl").unlink(missing_ok=True)


def said(pages: RunPages, **values: Any) -> dict[str, Any]:
    row = values.get("row")
    shown = json.loads(re.search(r'id="overview">(.*?)</script>', pages.get("", {}).body.decode())[1])["id"]
    known = type(row) is int and 0 <= row < len(shown)
    return json.loads(pages.post("label", {"episode": shown[row] if known else "", **values}).body)


def test_a_page_of_other_results_says_nothing_of_these(out: Path) -> None:
    pages = RunPages(out, label=True)
    with pytest.raises(Refused, match="load it again"):
        pages.post("label", {"row": 3, "episode": "another-000003", "what": "failure", "by": "ann"})
    assert not (out / "labels.jsonl").exists()


def test_what_others_say_meanwhile_is_shown(out: Path) -> None:
    one, other = RunPages(out, label=True), RunPages(out, label=True)
    said(one, row=3, what="failure", by="ann")
    assert json.loads(other.get("episode", {"row": "3"}).body)["labels"][0]["by"] == "ann"
    assert b'"failure"' in other.get("", {}).body


def test_a_label_is_on_the_disk_when_the_page_hears_of_it(out: Path) -> None:
    pages = RunPages(out, label=True)
    told = said(pages, row=3, what="failure", frame=17, by="ann")
    line = json.loads((out / "labels.jsonl").read_text())
    assert (line["what"], line["frame"], line["by"], line["value"]) == ("failure", 17, "ann", "")
    assert line["at"]
    assert told["said"] == "failure"
    assert told["labels"] == [{"what": "failure", "value": "", "frame": 17, "by": "ann"}]
    assert "1 outcome said" in told["words"]
    assert b'"failure"' in pages.get("", {}).body
    assert json.loads(pages.get("episode", {"row": "3"}).body)["labels"] == told["labels"]


def test_what_comes_by_lot_is_marked_so_and_what_one_picks_oneself_is_not(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_pipeline(path=record(tmp_path / "set", range(30)), out=out)
    pages = RunPages(out, label=True)
    queue = json.loads(pages.get("next", {}).body)["queue"]
    assert {each["chosen"] for each in queue} == {"random", "active"}
    by_lot = next(each["row"] for each in queue if each["chosen"] == "random")
    queue = said(pages, row=by_lot, what="success", by="ann")["queue"]
    other = next(row for row in range(30) if row not in {by_lot, *(each["row"] for each in queue)})
    said(pages, row=other, what="success", by="ann")
    assert read_labels(out).chosen.tolist() == ["random", "active"]


def test_taking_back_leaves_nothing_said(out: Path) -> None:
    pages = RunPages(out, label=True)
    said(pages, row=3, what="success", by="ann")
    assert said(pages, row=3, what="success", value="withdrawn", by="ann")["said"] == ""
    assert len(read_labels(out)) == 2


def test_two_persons_who_disagree_are_both_shown(out: Path) -> None:
    pages = RunPages(out, label=True)
    said(pages, row=3, what="success", by="ann")
    assert said(pages, row=3, what="failure", by="bob")["said"] == "disputed"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"row": 400, "what": "success"},
        {"row": "x", "what": "success"},
        {"row": 1, "what": "sucess"},
        {"row": 1, "what": ["success"]},
        {"row": 1, "what": "failure", "frame": 208},
        {"row": 1, "what": "failure", "frame": -1},
        {"row": 1, "what": "failure", "frame": 1.5},
        {"row": 1, "what": "failure", "frame": True},
        {"row": 1, "what": "label", "value": "jump", "frame": 3},
        {"row": 1, "what": "note", "value": "x" * 5000},
        {"row": 1, "what": "note", "value": "\ud800"},
        {"row": 1, "what": "success", "by": {"a": 1}},
        {"row": {"a": 1}, "what": "success"},
    ],
)
def test_what_makes_no_sense_is_refused_and_not_kept(out: Path, values: dict[str, Any]) -> None:
    pages = RunPages(out, label=True)
    with pytest.raises((Sima2Error, Refused)):
        pages.post("label", values)
    assert not (out / "labels.jsonl").exists()


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["row", "what", "value", "frame", "by", "x"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.lists(st.integers(), max_size=2)
        | st.sampled_from(["success", "note", "label"]),
    )
)  # fmt: skip
def test_whatever_is_sent_is_kept_or_refused(finished: Path, values: dict[str, Any]) -> None:
    pages = RunPages(finished, label=True)
    before = len(read_labels(finished))
    try:
        said(pages, **values)
    except (Sima2Error, Refused):
        assert len(read_labels(finished)) == before
    else:
        assert len(read_labels(finished)) == before + 1


def test_without_label_there_is_nothing_to_ask(out: Path) -> None:
    with pytest.raises(Refused):
        RunPages(out).get("next", {})


def test_a_closer_look_reads_the_episode_as_it_was_recorded(tmp_path: Path) -> None:
    from sima2.cli.view import Recorded

    run_pipeline(total=4, out=tmp_path / "out")
    pages = RunPages(tmp_path / "out", recordings=Recorded(tmp_path / "out"))
    coarse = json.loads(pages.get("episode", {"row": "2"}).body)["signals"]
    fine = json.loads(pages.get("signals", {"row": "2"}).body)["signals"]
    assert [each[1] for each in fine] == [each[1] for each in coarse]
    assert len(fine[0][5]) > len(coarse[0][5])
    assert json.loads(RunPages(tmp_path / "out").get("signals", {"row": "2"}).body) == {"signals": []}


def test_a_sequence_is_found_with_its_times_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    run_pipeline(total=30, out=tmp_path / "out")
    pages = RunPages(tmp_path / "out")
    some = json.loads(pages.get("find", {"steps": "grasp > lift{<2s}"}).body)["rows"]
    assert some == sorted(set(some))
    assert some
    assert "did you mean" in json.loads(pages.get("find", {"steps": "graps"}).body)["error"]


class Films:
    """Two cameras of every episode: one in a file, one whose pictures lie in rows."""

    def __init__(self, film: Path) -> None:
        self.film = film

    def rollout(self, episodes: EpisodeTable, row: int) -> None:
        return None

    def clips(self, episodes: EpisodeTable, row: int) -> list[Clip]:
        number = int(episodes.source_index[row])
        return [
            Clip(self.film, 2.5, 9.0, "video/mp4", "top", number, 30.0, False),
            Clip(self.film, 0.0, 9.0, IN_ROWS, "wrist", number, 30.0, True),
        ]

    def picture(self, episodes: EpisodeTable, row: int, clip: Clip, frame: int) -> tuple[str, bytes]:
        return "image/png", f"{clip.camera} {clip.episode} {frame}".encode()


def test_videos_are_files_of_the_episode_that_is_asked_for_and_single_pictures_its_frames(
    out: Path, tmp_path: Path
) -> None:
    (tmp_path / "film.mp4").write_bytes(b"film")
    pages = RunPages(out, recordings=Films(tmp_path / "film.mp4"))
    told = json.loads(pages.get("episode", {"row": "3"}).body)
    assert told["videos"] == [{"camera": "top", "url": "video?row=3&camera=0", "begin": 2.5}]
    assert told["pictures"] == [{"camera": "wrist", "index": 1}]
    film = pages.get("video", {"row": "3", "camera": "0"})
    assert (film.body, film.kind) == (tmp_path / "film.mp4", "video/mp4")
    picture = pages.get("frame", {"row": "3", "camera": "1", "frame": "17"})
    assert (picture.body, picture.kind) == (b"wrist 3 17", "image/png")


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("video", {"row": "3", "camera": "1"}),
        ("video", {"row": "3", "camera": "2"}),
        ("video", {"row": "3", "camera": "../film.mp4"}),
        ("video", {"row": "3"}),
        ("video", {"row": "400", "camera": "0"}),
        ("frame", {"row": "3", "camera": "1", "frame": "208"}),
        ("frame", {"row": "3", "camera": "1", "frame": "-1"}),
    ],
)
def test_no_other_file_and_no_other_frame_can_be_asked_for(
    out: Path, tmp_path: Path, name: str, query: dict[str, str]
) -> None:
    with pytest.raises(Refused, match="there is no such"):
        RunPages(out, recordings=Films(tmp_path / "film.mp4")).get(name, query)


def test_without_recordings_there_is_nothing_to_see(out: Path) -> None:
    with pytest.raises(Refused):
        RunPages(out).get("video", {"row": "3", "camera": "0"})
