"""A stranger who follows a recipe of CONTRIBUTING.md word for word gets what it promises."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import recipes  # noqa: E402


@pytest.mark.parametrize("name", recipes.recipes())
def test_a_recipe_does_what_it_says(name: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/recipes.py"), name],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "no tests ran" not in done.stdout


def test_there_is_a_recipe_for_each_thing_that_grows() -> None:
    assert set(recipes.recipes()) == {"a rule", "a format", "a tag", "a task family", "a command"}


def test_a_recipe_that_no_longer_fits_the_code_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text("one = 1\n")
    with pytest.raises(SystemExit, match="does not hold this once"):
        recipes.edit(file, recipes.Step("Change", "module.py", " two = 2\n+three = 3\n"))
    recipes.edit(file, recipes.Step("Change", "module.py", " one = 1\n+two = 2\n"))
    assert file.read_text() == "one = 1\ntwo = 2\n"
    with pytest.raises(SystemExit, match="there already"):
        recipes.edit(file, recipes.Step("New file", "module.py", ""))
