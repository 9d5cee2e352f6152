"""The picture of a family's task."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from sima2.report.html import render
from sima2.report.inputs import ReportInput
from sima2.report.task_graph import WIDTH, task_graphs

STEPS = {
    "start": 100,
    "approach": 130,
    "grasp": 90,
    "grasp(fail)": 30,
    "recovery_maneuver": 25,
    "pull": 90,
    "end": 100,
    "wipe": 1,
}
THEN = (
    ("start", "approach", 1.0, 100, {}),
    ("approach", "grasp", 0.7, 90, {}),
    ("approach", "grasp(fail)", 0.3, 30, {}),
    ("grasp(fail)", "recovery_maneuver", 0.83, 25, {"recovery": True}),
    ("grasp(fail)", "grasp", 0.17, 5, {"retry": True}),
    ("recovery_maneuver", "approach", 1.0, 25, {"recovery": True}),
    ("grasp", "pull", 1.0, 90, {}),
    ("pull", "end", 0.99, 89, {}),
    ("pull", "wipe", 0.01, 1, {}),
)


def graph(family: str = "drawer_open", rename: str = "pull") -> dict[str, Any]:
    """What task_graph.json holds of one family; one of its steps by another name."""

    def named(step: str) -> str:
        return rename if step == "pull" else step

    nodes = {
        f"step:{family}/{named(name)}": {"type": "step", "name": named(name), "support": n, "p50_duration_s": 1.5}
        for name, n in STEPS.items()
    }
    way = ["approach", "grasp", named("pull")]
    nodes[f"task:{family}"] = {"type": "task", "name": family, "way": way, "way_support": 60, "way_trials": 70}
    edges = [
        {"from": f"step:{family}/{named(a)}", "to": f"step:{family}/{named(b)}", "type": "then", "probability": p,
         "support": n, **marks}
        for a, b, p, n, marks in THEN
    ]  # fmt: skip
    steps = [key for key in nodes if key.startswith("step:")]
    edges += [{"from": f"task:{family}", "to": key, "type": "has_step", "support": 1} for key in steps]
    return {"nodes": nodes, "edges": edges}


def picture(**given: str) -> ET.Element:
    page = str(task_graphs(graph(**given)))
    start = page.index("<svg")
    return ET.fromstring(page[start : page.index("</svg>") + 6])


def test_the_way_goes_from_left_to_right_and_failures_are_below_their_step() -> None:
    at = {box.find("title").text.partition(":")[0]: box.find("rect") for box in picture().iter("g")}  # type: ignore[union-attr]
    x = {name: float(rect.get("x", "")) for name, rect in at.items() if rect is not None}
    y = {name: float(rect.get("y", "")) for name, rect in at.items() if rect is not None}
    assert x["start"] < x["approach"] < x["grasp"] < x["pull"] < x["end"]
    assert y["start"] == y["approach"] == y["grasp"] == y["pull"] == y["end"]
    assert x["grasp failed"] == x["grasp"]
    assert y["grasp"] < y["grasp failed"] < y["recovery maneuver"]


def test_nothing_is_drawn_outside_the_picture() -> None:
    svg = picture()
    height = float(svg.get("height", ""))
    for rect in svg.iter("rect"):
        left, top = float(rect.get("x", "")), float(rect.get("y", ""))
        assert left >= 0
        assert left + float(rect.get("width", "")) <= WIDTH
        assert top >= 0
        assert top + float(rect.get("height", "")) <= height


def test_failed_and_retried_are_told_in_words_and_marks_not_by_colour_alone() -> None:
    texts = ["".join(each.itertext()) for each in picture().iter("text")]
    assert any("✗" in text and "failed" in text for text in texts)
    assert sum("↻" in text for text in texts) == 3
    assert any(text.startswith("70") for text in texts)


def test_rare_transitions_are_left_out_and_counted() -> None:
    page = str(task_graphs(graph()))
    assert "1 rarer transition left out" in page
    assert "wipe" not in page


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '" onload="x', "a/b", "&lt;", "\u202eevil"])
def test_names_from_data_are_escaped(name: str) -> None:
    page = str(task_graphs(graph(family=name, rename=name)))
    assert "<script" not in page
    assert 'onload="' not in page
    assert "\u202e" not in page
    picture(family=name, rename=name)


def test_a_run_without_a_task_graph_has_no_such_part() -> None:
    assert task_graphs({}) is None
    assert "How the tasks went" not in render(ReportInput(summary={}))
    assert "How the tasks went" in render(ReportInput(summary={}, task_graph=graph()))
