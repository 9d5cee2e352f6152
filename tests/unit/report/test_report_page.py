"""The page as a whole: closed, safe, complete."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from finished_run import made_report, segments_of, signal_of, summary, tags_of, trust_row
from sima2.records.tags import TagTable
from sima2.records.trust import StratumEffect
from sima2.report.html import policy, render
from sima2.report.inputs import ReportInput
from sima2.report.trust_reasons import REASONS, why

HOSTILE = "<script>alert(1)</script>\u202e\x1b[31m[bold]&'\"><img src=x onerror=1>"
VOID = {"meta", "br", "hr", "col"}


class _Page(HTMLParser):
    """Elements, attributes and text; fails on elements that are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(key, value or "") for key, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + " "


@pytest.fixture(scope="module")
def page() -> str:
    return render(made_report())


def test_the_page_runs_its_own_script_alone_and_requests_nothing(page: str) -> None:
    parsed = _Page(page)
    assert "default-src 'none'" in policy()
    assert ("content", policy()) in parsed.attributes
    assert not {"script", "img", "link", "iframe", "object", "embed", "base", "form", "image", "use"} & set(
        parsed.elements
    )
    assert not [key for key, _ in parsed.attributes if key.startswith("on") or key in ("src", "xlink:href", "srcset")]
    assert all(value.startswith("#") for key, value in parsed.attributes if key == "href")
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= {
        f"#look-{name}" for name in re.findall(r'id="look-(\w+)"', page)
    }


def test_the_page_is_well_formed_and_the_same_every_time(page: str) -> None:
    assert page.startswith("<!doctype html>")
    assert _Page(page).elements.count("main") == 1
    assert render(made_report()) == page


@pytest.mark.parametrize(
    "told",
    [
        "RiskTag",
        "pick_and_place-000007",
        "damage, high-risk over others",
        "safety stop",
        "not_finite",
        "802",
        "provisional",
        "the clock of 3",
    ],
)
def test_the_page_tells(page: str, told: str) -> None:
    assert told in _Page(page).text


def test_absent_values_are_not_assessed_and_never_nan(page: str) -> None:
    text = _Page(page).text
    assert "not assessed" in text
    assert not re.search(r"\b(nan|NaN|None|inf|null)\b", text)


def test_hostile_names_are_shown_and_do_nothing() -> None:
    report = made_report((HOSTILE,))
    values = {**summary(), "source": HOSTILE, "warnings": [HOSTILE], "labels": {HOSTILE: 3}, "tags": {HOSTILE: {}}}
    signal = signal_of(HOSTILE)
    signal["tracks"][0]["name"] = HOSTILE
    signal["family"] = HOSTILE
    values["column_map"] = {HOSTILE: [HOSTILE]}
    values["alerts"] = [{"tag": HOSTILE, "kind": HOSTILE, "message": HOSTILE}]
    values["failure_reasons"] = {HOSTILE: 3}
    values["statistics"] = [{"name": HOSTILE, "note": HOSTILE, "target": HOSTILE}]
    share = {HOSTILE: {"share": 0.2, "even": 0.1}}
    values["weights"] = {"uniform": False, "families": share, "tags": share}
    tags = replace(tags_of(HOSTILE), details=[HOSTILE] * 5, tag=[HOSTILE] * 5)
    segments = replace(segments_of(HOSTILE), object=[HOSTILE] * 12)
    page = render(
        replace(
            report,
            summary=values,
            signals=[signal],
            tags=tags,
            segments=segments,
            trust={
                HOSTILE: trust_row(
                    HOSTILE,
                    0.9,
                    0.5,
                    0.1,
                    HOSTILE,
                    note=HOSTILE,
                    digest=HOSTILE,
                    cost_field=HOSTILE,
                    tier=HOSTILE,
                    by_stratum=(StratumEffect("|".join([HOSTILE] * 4), 0.1, (0.0, 0.2), 3, 9),),
                )
            },
            audit=replace(report.audit, reasons=[HOSTILE] * len(report.audit)),
            episodes=replace(
                report.episodes,
                family=[HOSTILE] * len(report.episodes),
                failure_reason=[HOSTILE] * len(report.episodes),
            ),
            quarantine=replace(report.quarantine, message=[HOSTILE] * 3, reason=[HOSTILE] * 3),
            proposals=replace(report.proposals, rationale=[HOSTILE] * 2, object=[HOSTILE] * 2),
        )
    )
    parsed = _Page(page)
    assert not {"script", "img"} & set(parsed.elements)
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "\\u202e" in parsed.text


def test_a_run_that_found_nothing_still_makes_a_page() -> None:
    assert "No tag was tested" in _Page(render(ReportInput(summary={}))).text


def test_uniform_weights_are_called_so() -> None:
    values = {**summary(), "weights": {"effective_sample_size": 1240.0, "largest": 1.0, "uniform": True}}
    assert "Every episode is drawn alike" in render(replace(made_report(), summary=values))


@pytest.mark.parametrize("reason", sorted(REASONS))
@pytest.mark.parametrize("effect", [0.1, math.nan])
def test_every_reason_of_a_verdict_is_a_sentence_and_something_to_do(reason: str, effect: float) -> None:
    row = trust_row("T", 0.9 if reason == "ok" else 0.0, effect, 0.2, reason)
    text = _Page(render(replace(made_report(), trust={"T": row}))).text.replace("\u00a0", " ")
    for sentence in why(row):
        assert sentence.endswith(".")
        assert sentence in text
    assert not re.search(r"\bnan\b", text)


def test_a_tag_that_passed_but_is_weak_is_not_called_sound() -> None:
    page = render(replace(made_report(), trust={"T": trust_row("T", 0.3, 0.1, 0.2, "ok")}))
    assert "too weak to lean on" in page


def test_caveats_do_not_repeat_the_verdicts_but_what_these_do_not_say_stands_beside_them() -> None:
    alerts = [
        {"tag": "OODTag", "kind": "not_significant", "message": "said already"},
        {"tag": "RiskTag", "kind": "heterogeneous", "message": "it points the other way in <wipe>"},
        {"tag": "GoneTag", "kind": "drift", "message": "drifted"},
    ]
    page = render(replace(made_report(), summary={**summary(), "alerts": alerts}))
    text = _Page(page).text
    assert "said already" not in text
    assert text.index("GoneTag: Drifted.") < text.index("Which tags predict cost here")
    assert text.index("It points the other way in <wipe>.") > text.index("Which tags predict cost here")
    assert "<wipe>" not in page


def test_an_unheard_of_reason_falls_back_on_the_note() -> None:
    page = render(
        replace(made_report(), trust={"T": trust_row("T", 0.0, math.nan, math.nan, "new_code", note="because of x")})
    )
    assert "because of x" in page


def test_thousands_of_quarantined_episodes_do_not_bury_the_page() -> None:
    report = made_report()
    many = report.quarantine.concat([report.quarantine] * 2000)
    page = render(replace(report, quarantine=many))
    assert "5,900 more in quarantine.parquet" in page
    assert len(page) < 200_000


def test_an_episode_without_segments_or_tags_is_shown_all_the_same() -> None:
    report = replace(made_report(), tags=TagTable.empty(), segments=segments_of("other"))
    assert "0 segments" in render(report)
