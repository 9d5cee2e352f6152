"""The check of the tests by seeded mistakes is tried on a package of three rules."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
RULES = '''
"""Rules."""
FAR = 3.0


def far(x):
    return x > FAR


def near(x):
    if x < 1:
        return True
    return False


def nobody_asks(x):
    return x == 2


def counted(n):
    while n > 0:
        n -= 1
    return n
'''
TESTS = """
from sima2.tags.rule import counted, far, near


def test_far():
    assert far(3.5) and not far(3.0) and not far(2.0) and not far(1.0)


def test_near():
    near(0)


def test_counted():
    assert counted(3) == 0
"""


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """What became of each mutant, by the edited function and what was written."""
    root = tmp_path_factory.mktemp("toy")
    for place in ("src/sima2", "src/sima2/tags", "tests/unit/tags"):
        (root / place).mkdir(parents=True)
    (root / "src/sima2/__init__.py").touch()
    (root / "src/sima2/tags/__init__.py").touch()
    (root / "src/sima2/tags/rule.py").write_text(RULES)
    (root / "tests/unit/tags/test_rule.py").write_text(TESTS)
    (root / "pyproject.toml").write_text("")
    code = "import sys, pathlib, mutants; sys.exit(mutants.main(sys.argv[2:], pathlib.Path(sys.argv[1])))"
    asked = ["--room", "tags", "--per-room", "99", "--grace", "1", "--jobs", "2", "--json", str(root / "out.json")]
    done = subprocess.run(
        [sys.executable, "-c", code, str(root), *asked], capture_output=True, text=True, cwd=SCRIPTS, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "under 80 %" in done.stdout
    assert (root / "src/sima2/tags/rule.py").read_text() == RULES
    made = json.loads((root / "out.json").read_text())
    return {(each["edit"]["owner"], each["edit"]["after"]): each["end"] for each in made}


def test_a_rule_that_is_tried_on_both_sides_has_no_survivor(ends: dict[tuple[str, str], str]) -> None:
    found = {after: end for (owner, after), end in ends.items() if owner in ("", "far")}
    assert found
    assert set(found.values()) == {"killed"}


def test_a_rule_whose_answer_no_test_looks_at_survives(ends: dict[tuple[str, str], str]) -> None:
    assert {end for (owner, _), end in ends.items() if owner == "near"} == {"survived"}


def test_a_rule_that_no_test_calls_is_told_as_that(ends: dict[tuple[str, str], str]) -> None:
    assert {end for (owner, _), end in ends.items() if owner == "nobody_asks"} == {"no test"}


def test_a_mistake_after_which_nothing_ends_is_noticed_by_the_clock(ends: dict[tuple[str, str], str]) -> None:
    assert "timed out" in {end for (owner, _), end in ends.items() if owner == "counted"}


def test_every_edit_is_python_and_the_same_seed_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import mutants

    source = (
        "def f(a, b, *, side='left'):\n"
        "    '''Text.'''\n"
        "    if not a and b is None:\n"
        "        return np.where(a < b, -b, ~a & b)\n"
        "    return max(a, b) + sum(1 for each in b if each != 2.5)\n"
    )
    found = mutants.edits(source, "tags/f.py")
    for each in found:
        ast.parse(each.applied(source.encode()))
        assert each.applied(source.encode()) != source.encode()
        assert each.owner == "f"
    kinds = {each.kind for each in found}
    assert {"comparison", "and/or", "negation dropped", "where swapped", "early exit dropped", "constant"} < kinds
    drawn = mutants.chosen(found, 8, seed=4)
    assert drawn == mutants.chosen(found, 8, seed=4)
    assert drawn != mutants.chosen(found, 8, seed=5)
    assert len({each.kind for each in drawn}) == 8
