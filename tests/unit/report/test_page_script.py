"""The page's script in a real browser: what it finds is what the tables hold, by mouse, by keyboard and by address."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from sima2.bench.browser import Browser, browser, found
from sima2.errors import QueryError
from sima2.io.label_log import append_label, read_labels
from sima2.orchestrator import run_pipeline
from sima2.query.pattern import parsed
from sima2.query.sequences import matches
from sima2.records.labels import Label
from sima2.report.folder import ReportFolder
from sima2.tags.specs import THRESHOLDS
from sima2.view.pages import RunPages
from sima2.view.server import serving

pytestmark = [pytest.mark.extras, pytest.mark.skipif(found() is None, reason="no Chromium is installed")]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "out"
    run_pipeline(total=60, out=folder)
    return folder


@pytest.fixture(scope="module")
def page(out: Path) -> Iterator[Browser]:
    with browser() as made:
        made.size(1280, 1400)
        made.open((out / "report.html").as_uri())
        yield made


@pytest.fixture
def fresh(page: Browser, out: Path) -> Browser:
    page.open((out / "report.html").as_uri())
    return page


def shown(page: Browser) -> str:
    return str(page.run("document.querySelector('.told').textContent"))


def at(page: Browser, address: str) -> str:
    page.run(
        "new Promise((done) => { history.replaceState(null, '', location.pathname); "
        "addEventListener('hashchange', () => setTimeout(done), { once: true }); "
        f"location.hash = {json.dumps(address)}; }})"
    )
    return shown(page)


def n_of(told: str) -> int:
    return int(told.split(" ")[0])


def test_counts_by_address_are_those_of_the_tables(fresh: Browser, out: Path) -> None:
    folder = ReportFolder(out)
    episodes = folder.episodes
    assert n_of(shown(fresh)) == len(episodes)
    assert n_of(at(fresh, "#ended=failure")) == int((episodes.success == 0).sum())
    for family in set(episodes.family):
        assert n_of(at(fresh, f"#task={quote(family)}")) == int(episodes.family.isin(family).sum())
    for kind in set(folder.defects.defect):
        named = set(folder.defects.take(folder.defects.defect.isin(kind)).episode_id) & set(episodes.episode_id)
        assert n_of(at(fresh, f"#defect={kind}")) == len(named)
    for tag in THRESHOLDS:
        if folder.fired[tag]:
            assert n_of(at(fresh, f"#tag={tag}")) == len(folder.fired[tag])


def test_every_link_of_the_page_leads_to_an_episode_or_to_some(fresh: Browser) -> None:
    links = fresh.run("[...document.querySelectorAll('main a[href^=\"#\"]')].map((a) => a.getAttribute('href'))")
    assert len(links) > 20
    for link in sorted(set(links))[:60]:
        fresh.run(f"location.hash = ''; location.hash = {json.dumps(link)}")
        fresh.until("location.hash.length > 1")
        if link.startswith("#episode="):
            fresh.until("document.querySelector('.one h3') !== null")
            assert "There is no episode" not in fresh.run("document.querySelector('.one').textContent")
        else:
            assert n_of(shown(fresh)) > 0, link
    assert fresh.problems == []


def test_keys_alone_find_an_episode_and_a_moment_of_it(fresh: Browser, out: Path) -> None:
    fresh.press("/", *"drawer", "Escape")
    episodes = ReportFolder(out).episodes
    wanted = [name for name in episodes.episode_id if "drawer" in name]
    fresh.until(f"document.querySelector('.told').textContent.startsWith('{len(wanted)} ')")
    fresh.press("j", "j")
    fresh.until("location.hash.includes('episode=')")
    assert quote(wanted[1]) in fresh.run("location.hash")
    fresh.press("]")
    fresh.press("ArrowRight", "ArrowRight", "+")
    frame = int(fresh.run("new URLSearchParams(location.hash.slice(1)).get('frame')"))
    assert frame >= 1
    assert f"frame {frame}," in fresh.run("document.querySelector('.readout').textContent")
    wide = fresh.run("document.querySelectorAll('.timeline rect').length")
    fresh.press("0")
    assert fresh.run("document.querySelectorAll('.timeline rect').length") >= wide
    fresh.press("k")
    assert quote(wanted[0]) in fresh.run("location.hash")


def test_an_address_that_was_passed_on_opens_the_same_frame(page: Browser, out: Path) -> None:
    name = ReportFolder(out).episodes.episode_id[5]
    page.open(f"{(out / 'report.html').as_uri()}#episode={quote(name)}&frame=17")
    page.until("document.querySelector('.readout') !== null")
    assert page.run("document.querySelector('.readout').textContent").startswith("frame 17,")
    page.open(f"{(out / 'report.html').as_uri()}#episode=gone&frame=17")
    assert "There is no episode gone" in page.run("document.querySelector('.one').textContent")
    page.open(f"{(out / 'report.html').as_uri()}#episode={quote(name)}&frame=99999999999999999999")
    page.until("document.querySelector('.one h3') !== null")


def test_columns_sort_both_ways(fresh: Browser, out: Path) -> None:
    seconds = sorted(ReportFolder(out).episodes.duration_s.tolist())
    first = "Number.parseFloat(document.querySelector('.rows .c-seconds').textContent)"
    for down in (False, True):
        fresh.run("[...document.querySelectorAll('.head .c-seconds button')][0].click()")
        assert fresh.run(first) == pytest.approx(seconds[-1 if down else 0], rel=0.01)


def test_what_happened_is_found_and_a_wrong_pattern_is_told(fresh: Browser) -> None:
    assert n_of(at(fresh, "#steps=" + quote("grasp:failure … grasp:success"))) > 0
    assert "unknown label graps" in at(fresh, "#steps=" + quote("graps > lift"))
    assert n_of(at(fresh, "#steps=" + quote("*:failure … success"))) > 0


@pytest.mark.parametrize("width", [1280, 420])
def test_nothing_sticks_out_of_a_page_of_any_width(page: Browser, out: Path, width: int) -> None:
    page.size(width, 900)
    name = ReportFolder(out).episodes.episode_id[5]
    page.open(f"{(out / 'report.html').as_uri()}#episode={quote(name)}&frame=17")
    page.until("document.querySelector('.readout') !== null")
    assert page.run("document.documentElement.scrollWidth") <= width
    page.size(1280, 1400)


def test_the_page_asks_for_nothing_but_itself(page: Browser) -> None:
    assert page.requested
    assert all(each.split("#")[0].endswith("report.html") or each == "about:blank" for each in page.requested)
    assert page.problems == []


PATTERNS = 60
PARTS = ("grasp", "lift", "approach", "release", "*", "grasp|lift", "slip", "transport", "place", "retreat")


def made_pattern(rng: np.random.Generator) -> str:
    steps = []
    for k in range(int(rng.integers(1, 4))):
        step = str(rng.choice(PARTS)) + str(rng.choice(["", "", ":success", ":failure", ":failure|unknown", ":retry"]))
        step += str(rng.choice(["", "", "", "[1]", "[2]", "[-1]"]))
        steps.append((str(rng.choice([" > ", " … ", " … !collision … ", " > !idle > "])) if k else "") + step)
    first = str(rng.choice(["", "", "!slip … "]))
    last = str(rng.choice(["", "", " … success", " … failure", " … !release", " … unknown"]))
    return first + "".join(steps) + last


def test_the_page_finds_the_same_sequences_as_the_command(fresh: Browser, out: Path) -> None:
    folder = ReportFolder(out)
    segments, episodes = folder.segments(), folder.episodes
    rng = np.random.default_rng(19)
    hits = 0
    for _ in range(PATTERNS):
        text = made_pattern(rng)
        expected = len(set(matches(segments, episodes, text).episode_id))
        assert n_of(at(fresh, "#steps=" + quote(text))) == expected, text
        hits += 0 < expected < len(episodes)
    assert hits > PATTERNS / 6


@pytest.mark.parametrize(
    "text", ["grasp >", "> grasp", "lift lift", "grasp:bad", "!", "[1]x", "grasp > > lift", "success > lift"]
)
def test_what_the_command_refuses_the_page_does_not_answer(fresh: Browser, text: str) -> None:
    with pytest.raises(QueryError):
        parsed(text)
    assert not at(fresh, "#steps=" + quote(text))[0].isdigit()


HOSTILE = (
    "<script>document.title='PWNED'</script>",
    "<img src=x onerror=\"document.title='PWNED'\">",
    "\"><svg onload=document.title='PWNED'>",
    "</script><script>document.title='PWNED'</script>",
    "javascript:document.title='PWNED'",
    "{{constructor.constructor('document.title=1')()}}",
    "');document.title='PWNED';//",
    "\u202e\u2066<b>\x00\x1b[31m",
    "#episode=1&frame=2",
    "__proto__",
)


def test_hundreds_of_hostile_notes_are_shown_and_do_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    run_pipeline(total=12, out=folder)
    names = ReportFolder(folder).episodes.episode_id.tolist()
    for k in range(500):
        text = HOSTILE[k % len(HOSTILE)] * (1 + k % 3)
        append_label(folder, Label(names[k % 12], "note", text, frame=k, by=f"{text[:60]}{k}"))
    server = serving(RunPages(folder, label=True))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        with browser() as page:
            page.open(server.address)
            for row in range(12):
                page.run(f"location.hash = 'episode=' + encodeURIComponent({json.dumps(names[row])})")
                page.until(f"document.querySelector('.one h3').textContent.includes({json.dumps(names[row])})")
                page.until(
                    "document.querySelector('.facts') && document.querySelector('.facts').textContent.includes('note')"
                )
            assert page.run("document.title").startswith("sima2")
            assert page.run("document.querySelectorAll('.facts img, .facts script, .facts svg').length") == 0
            home = server.address.rsplit("/", 2)[0]
            assert all(each.startswith((home, "about:", "data:")) for each in page.requested)
            assert page.problems == []
            page.press(".", "t")
            page.until("document.querySelector('.ask input') !== null")
            page.run("document.querySelector('.labelling input').value = 'ann'")
            page.run("document.querySelector('.ask input').value = '<b>mine</b>'")
            page.run("document.querySelector('.ask input').focus()")
            page.press("Enter")
            page.until("document.querySelector('.facts').textContent.includes('<b>mine</b>')")
    finally:
        server.stop()
        thread.join()
    assert read_labels(folder).value.tolist()[-1] == "<b>mine</b>"
