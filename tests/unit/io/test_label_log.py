"""labels.jsonl: only ever added to; whatever lies in it, nothing good is lost and nothing fails."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sima2.errors import StoreError
from sima2.io import label_log
from sima2.io.label_log import append_label, read_labels, read_log
from sima2.io.store import LABELS, Store
from sima2.records.labels import LONGEST_VALUE, Label, LabelTable

GOOD = Label("pick-1", "failure", frame=4, chosen="random", by="ann", at="2024-05-01T12:00:00+00:00")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "out"):
        pass
    return tmp_path / "out"


def rows(table: LabelTable) -> list[dict[str, object]]:
    return list(table.rows())


def test_what_is_said_comes_back_in_its_order(out: Path) -> None:
    labels = [GOOD, Label("pick-2", "note", "«q» \n\x1b[31m\u202e", by="bob"), Label("pick-1", "boundary", "9", 3)]
    for label in labels:
        append_label(out, label)
    assert rows(read_labels(out)) == rows(LabelTable.of(labels))
    assert read_log(out).problems == ()
    assert [json.loads(line) for line in (out / LABELS).read_text().splitlines()] == [each.plain() for each in labels]


def test_nothing_was_said_where_there_is_no_file(tmp_path: Path) -> None:
    assert len(read_labels(tmp_path)) == 0
    with pytest.raises(StoreError, match="no results here"):
        append_label(tmp_path, GOOD)
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_was_cut_off_is_told_and_the_next_goes_on_a_line_of_its_own(out: Path) -> None:
    append_label(out, GOOD)
    whole = (out / LABELS).read_bytes()
    for cut in range(1, len(whole)):
        (out / LABELS).write_bytes(whole + whole[:cut])
        log = read_log(out)
        torn = cut < len(whole) - 1
        assert len(log.labels) == (1 if torn else 2)
        assert bool(log.problems) == torn
        append_label(out, GOOD)
        after = read_log(out)
        assert len(after.labels) == len(log.labels) + 1
        assert len(after.problems) == len(log.problems)
    assert (out / LABELS).read_bytes().startswith(whole)
    (out / LABELS).write_bytes(whole + whole[:20])
    assert read_log(out).problems[0].startswith("labels.jsonl line 2 is no label, cut off while it was written")


def test_two_writers_at_once_lose_nothing(out: Path) -> None:
    def say(name: str) -> None:
        for k in range(40):
            append_label(out, Label(f"pick-{k}", "note", name * 200, by=name))

    writers = [threading.Thread(target=say, args=(name,)) for name in "abcd"]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    log = read_log(out)
    assert log.problems == ()
    assert len(log.labels) == 160


def test_what_does_not_fit_on_the_disk_leaves_nothing_half(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_label(out, GOOD)
    before = (out / LABELS).read_bytes()
    write = os.write

    def full(handle: int, data: bytes) -> int:
        write(handle, bytes(data)[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(label_log.os, "write", full)
    with pytest.raises(StoreError, match="No space left on device; nothing was said"):
        append_label(out, GOOD)
    assert (out / LABELS).read_bytes() == before


def test_who_keeps_the_file_for_long_is_told(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    append_label(out, GOOD)
    monkeypatch.setattr("sima2.io.lock.TRIES", 2)
    with (out / LABELS).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another process keeps writing"):
            append_label(out, GOOD)
    append_label(out, GOOD)
    assert len(read_labels(out)) == 2


def test_a_link_a_folder_and_a_pipe_are_refused(out: Path, tmp_path: Path) -> None:
    path = out / LABELS
    for make in (lambda: path.symlink_to(tmp_path / "elsewhere"), path.mkdir, lambda: os.mkfifo(path)):
        make()
        for call in (lambda: read_log(out), lambda: append_label(out, GOOD)):
            with pytest.raises(StoreError):
                call()
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_without_end_is_refused(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_label(out, GOOD)
    monkeypatch.setattr(label_log, "MOST_BYTES", 200)
    with pytest.raises(StoreError, match="would be larger"):
        append_label(out, GOOD)
    (out / LABELS).write_bytes(b"\n" * 201)
    with pytest.raises(StoreError, match="is larger than 200 bytes"):
        read_log(out)


def test_many_bad_lines_are_counted_and_only_some_are_told(out: Path) -> None:
    (out / LABELS).write_text("{}\n" * 500)
    log = read_log(out)
    assert len(log.problems) == label_log.SHOWN + 1
    assert log.problems[-1] == "labels.jsonl: 480 more lines are no labels"


def test_the_longest_label_there_may_be_fits_in_a_line(out: Path) -> None:
    long = Label("\U0001f600" * 4000, "note", "\U0001f600" * LONGEST_VALUE, by="\u0000" * 200)
    append_label(out, long)
    assert len((out / LABELS).read_bytes()) > 2**16, "a bound on lines must not lose it"
    assert rows(read_labels(out)) == rows(LabelTable.of([long]))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
LIKE_A_LABEL = st.fixed_dictionaries(
    {},
    optional={name: PLAIN | st.just(value) for name, value in {**GOOD.plain(), "more": 1}.items()},
)
JUNK = st.one_of(
    st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"")),
    LIKE_A_LABEL.map(lambda told: json.dumps(told).encode()),
    PLAIN.map(lambda told: json.dumps(told).encode()),
    st.integers(1, 120).map(lambda cut: json.dumps(GOOD.plain()).encode()[:cut]),
    st.sampled_from(
        [b"", b"\r", b"[" * 5000, b'{"a":' * 5000, b"9" * 5000, b"\x00" * 80, b"\xef\xbb\xbf{}", b"x" * 300_000]
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(JUNK | st.just(b"good"), max_size=8), st.booleans())
def test_whatever_lies_in_the_file_no_good_label_is_lost(out: Path, lines: list[bytes], ends: bool) -> None:
    good = json.dumps(GOOD.plain()).encode()
    text = b"\n".join(good if line == b"good" else line for line in lines) + (b"\n" if ends else b"")
    (out / LABELS).write_bytes(text)
    log = read_log(out)
    kept = sum(row == rows(LabelTable.of([GOOD]))[0] for row in rows(log.labels))
    assert kept >= lines.count(b"good")
    assert all(len(words) < 400 for words in log.problems)
    new = Label("pick-9", "success", by="eve")
    append_label(out, new)
    after = read_log(out)
    assert rows(after.labels) == [*rows(log.labels), *rows(LabelTable.of([new]))]
    assert (out / LABELS).read_bytes().startswith(text)
