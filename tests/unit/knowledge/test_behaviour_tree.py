import ast
import runpy
from pathlib import Path
from tempfile import TemporaryDirectory

import py_trees
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_task_graph import learned, many, segments

from sima2.errors import UnknownNameError, UsageError
from sima2.knowledge.behaviour_tree import to_behaviour_tree, tree_steps
from sima2.knowledge.task_evidence import task_evidence
from sima2.knowledge.task_graph import TaskGraphRefiner
from sima2.records.knowledge import Graph

Status = py_trees.common.Status
GOOD = "approach+ grasp+ pull+ retreat"
MENDED = "approach+ grasp:drop~ recovery_maneuver approach+ grasp+ pull+ retreat"
LOOP = "approach+ grasp+ pull:locked~ recovery_maneuver pull:locked~ recovery_maneuver pull:locked-"


def mined(corpus: dict[str, str], family: str = "drawer_open") -> Graph:
    ev, refiner = learned(corpus, family), TaskGraphRefiner()
    return refiner.graph(ev, refiner.refine(ev))


CORPUS = many(30, GOOD) | many(20, MENDED, "m") | many(10, LOOP, "l")


class Stub(py_trees.behaviour.Behaviour):
    """Succeeds, but for the first times of some names; every call is written down."""

    def __init__(self, name, failures, log):
        super().__init__(name)
        self.failures, self.log = failures, log

    def update(self):
        self.log.append(self.name)
        if self.failures.get(self.name, 0) > 0:
            self.failures[self.name] -= 1
            return Status.FAILURE
        return Status.SUCCESS


def run(source: str, **failures: int) -> tuple[Status, list[str]]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "tree.py"
        file.write_text(source, encoding="ascii")
        space = runpy.run_path(str(file))
    log: list[str] = []
    root = space["create_tree"](lambda name: Stub(name, failures, log))
    for _ in range(50):
        root.tick_once()
        if root.status != Status.RUNNING:
            break
    return root.status, log


def test_the_tree_follows_the_way_on_which_nothing_failed():
    assert run(to_behaviour_tree(mined(CORPUS), "drawer_open")) == (
        Status.SUCCESS, ["approach", "grasp", "pull", "retreat"],
    )  # fmt: skip


def test_a_failed_step_is_mended_by_its_accepted_correction():
    status, log = run(to_behaviour_tree(mined(CORPUS), "drawer_open"), grasp=1)
    assert status == Status.SUCCESS
    assert log == ["approach", "grasp", "recovery_maneuver", "approach", "grasp", "pull", "retreat"]


def test_a_step_that_cannot_be_mended_is_given_up():
    status, log = run(to_behaviour_tree(mined(CORPUS), "drawer_open"), pull=99)
    assert status == Status.FAILURE
    assert log[-1] == "abort pull"
    assert "retreat" not in log


def test_a_step_is_tried_as_often_as_the_abort_allows():
    corpus = CORPUS | many(20, "approach+ grasp+ pull:locked~ recovery_maneuver pull+ retreat", "p")
    source = to_behaviour_tree(mined(corpus), "drawer_open")
    status, log = run(source, pull=99)
    assert (status, log.count("pull")) == (Status.FAILURE, 3)
    assert run(source, pull=2)[0] == Status.SUCCESS


def test_the_text_is_the_same_for_the_same_graph_in_any_order():
    assert to_behaviour_tree(mined(CORPUS), "drawer_open") == to_behaviour_tree(
        mined(dict(reversed(list(CORPUS.items())))), "drawer_open"
    )


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1))
def test_names_from_data_never_become_code(name):
    whole = mined(many(5, GOOD))
    nodes = dict(whole.nodes)
    nodes[f"task:{name}"] = {"type": "task", "name": name, "way": [name, "grasp"], "depth": 0}
    source = to_behaviour_tree(Graph(nodes, whole.edges), name)
    assert source.isascii()
    calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)}
    assert calls <= {"py_trees.composites.Sequence", "root.add_child", "behaviour"}
    assert run(source)[1] == [name, "grasp"]


def test_a_family_that_is_not_there_or_never_went_well_is_an_error():
    with pytest.raises(UnknownNameError, match="valid: drawer_open"):
        to_behaviour_tree(mined(CORPUS), "drawr_open")
    with pytest.raises(UsageError, match="no main path"):
        to_behaviour_tree(mined(many(5, LOOP)), "drawer_open")


def test_steps_tell_their_corrections_by_support():
    (grasp,) = [step for step in tree_steps(mined(CORPUS), "drawer_open") if step.name == "grasp"]
    assert grasp.corrections[0].path == ("recovery_maneuver", "approach", "grasp")
    assert (grasp.corrections[0].support, grasp.corrections[0].trials) == (20, 20)


def test_refusing_repeats_below_one_and_counting_by_the_refiners_own_number():
    with pytest.raises(UsageError, match="repeats"):
        TaskGraphRefiner(repeats=0)
    table, family = segments({"e": "pull:locked~ pull:locked-"}), {"e": "f"}
    two, three = TaskGraphRefiner(repeats=2), TaskGraphRefiner()
    assert "abort_node" in two.refine(two.observe(table, family)).kind.tolist()
    assert "abort_node" not in three.refine(task_evidence(table, family)).kind.tolist()
