"""Goals named by task, in the column map or on the command line: checked, written down, given to every episode."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recordings import write_set
from sima2.errors import DatasetError, UsageError
from sima2.io.column_map import ColumnMap, parse_column_map
from sima2.io.formats import open_dataset
from sima2.io.goals import parse_goal_options
from sima2.records.rollout import Goal
from sima2.records.vocabulary import RELATIONS

NAMES = [
    *(f"hand.{axis}" for axis in "xyz"),
    "gripper.pos",
    *(f"{k}.{axis}" for k in ("cup", "plate") for axis in "xyz"),
]
MAP = """
[arms.arm.ee_position]
feature = "observation.state"
index = [0, 1, 2]
unit = "m"

[arms.arm.gripper_width]
feature = "observation.state"
index = [3]
unit = "m"

[objects.cup.object_position]
feature = "observation.state"
index = [4, 5, 6]
unit = "m"

[objects.plate.object_position]
feature = "observation.state"
index = [7, 8, 9]
unit = "m"
"""
ON_PLATE = '\n[goals."Put the cup on the plate"]\nobject = "cup"\ntarget = "plate"\ntolerance = 0.03\n'
HOSTILE = 'a "b"\u202e\n[arms] # \\ \x7f'


def data_set(root: Path, tasks: tuple[str, ...]) -> Path:
    rng = np.random.default_rng(0)
    states = [np.cumsum(rng.normal(0, 0.01, (40, len(NAMES))), axis=0) for _ in tasks]
    return write_set(root, states, NAMES, tasks=tasks)


def goals_of(root: Path, text: str, *options: str) -> list[Goal | None]:
    named = root / "map.toml"
    named.write_text(text, encoding="utf-8")
    data = open_dataset(root, column_map=named, goals=options)
    return list(data.read(0, data.episodes).batch.episodes.goal)


def test_every_task_gets_its_goal_and_all_others_that_of_the_star(tmp_path: Path) -> None:
    root = data_set(tmp_path / "set", ("put  the cup on the plate", "stack", "other"))
    others = '\n[goals."*"]\nobject = "plate"\nrelation = "held"\n'
    cup = Goal("cup", "plate", "placed_on", 0.03)
    assert goals_of(root, MAP + ON_PLATE) == [cup, None, None]
    assert goals_of(root, MAP + ON_PLATE + others) == [
        cup,
        Goal("plate", relation="held"),
        Goal("plate", relation="held"),
    ]
    stack = "object=plate,place=[0.1, 0,0.2],tolerance=0.05,task=stack"
    assert goals_of(root, MAP + ON_PLATE, stack) == [cup, Goal("plate", "", "placed_on", 0.05, (0.1, 0.0, 0.2)), None]
    # what the command line names counts before the map
    assert goals_of(root, MAP + ON_PLATE, "object=cup,relation=held,task=put the cup on the plate")[0] == Goal(
        "cup", relation="held"
    )


def test_what_was_named_is_in_the_map_that_is_left_behind(tmp_path: Path) -> None:
    root = data_set(tmp_path / "set", ("stack", "other"))
    (root / "map.toml").write_text(MAP)
    data = open_dataset(root, column_map=root / "map.toml", goals=["object=cup,target=plate,tolerance=0.03"])
    left = data.describe().column_map
    assert parse_column_map(left, "left").goals == {"*": Goal("cup", "plate", "placed_on", 0.03)}
    assert goals_of(root, left) == [Goal("cup", "plate", "placed_on", 0.03)] * 2


def test_a_task_that_no_episode_has_is_told(tmp_path: Path) -> None:
    root = data_set(tmp_path / "set", ("stack",))
    (root / "map.toml").write_text(MAP + ON_PLATE)
    told = "\n".join(open_dataset(root, column_map=root / "map.toml").describe().warnings)
    assert "'Put the cup on the plate', which no episode has; there are 'stack'" in told


def test_without_poses_of_things_it_is_told_what_success_rests_on(tmp_path: Path) -> None:
    root = data_set(tmp_path / "set", ("stack",))
    (root / "map.toml").write_text(MAP.split("[objects")[0])
    data = open_dataset(root, column_map=root / "map.toml", goals=["object=cup,relation=held"])
    assert any("no poses of things are mapped" in line for line in data.describe().warnings)
    assert data.read(0, 1).batch.episodes.goal[0] == Goal("cup", relation="held")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('object = "cap"', "object 'cap' is not in the data set (there are 'cup', 'plate')"),
        ('object = "cup"\ntarget = "dish"\ntolerance = 0.1', "target 'dish' is not in the data set"),
        ('object = "cup"\nrelation = "put"', "relation 'put' is not known (one of opened, placed_on"),
        ('object = "cup"\ntolerance = -0.1', "tolerance -0.1 is negative"),
        ('object = "cup"\ntolerance = "3 cm"', "tolerance is not made of numbers"),
        ('object = "cup"\ntolerance = nan', "tolerance is not made of numbers"),
        ('object = "cup"\ntarget = "plate"', "tolerance is missing"),
        ('object = "cup"\nplace = [1.0, 2.0]\ntolerance = 0.1', "place has 2 numbers"),
        ('object = "cup"\nplace = [0, 0, 0]\ntarget = "plate"\ntolerance = 0.1', "place besides target"),
        ('object = "cup"\ntarget = "cup"\ntolerance = 0.1', "its own target"),
        ('target = "plate"', "object is missing"),
        ("object = 3", "object is not a text"),
        ('object = "cup"\ncolour = "red"', "unknown key 'colour'"),
    ],
)
def test_a_wrong_goal_says_what_is_wrong(tmp_path: Path, lines: str, told: str) -> None:
    root = data_set(tmp_path / "set", ("stack",))
    with pytest.raises(DatasetError) as error:
        goals_of(root, f"{MAP}\n[goals.stack]\n{lines}\n")
    assert told in str(error.value)
    assert "[goals.stack]" in str(error.value)


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["cup on plate"], "names no goal"),
        (["a cup,object=cup"], "names no goal"),
        (["object=cup,object=plate"], "object is given twice"),
        (["object=cup,place=here,tolerance=1"], "are numbers"),
        (["object=cup,relation=under"], "relation 'under' is not known"),
        (["object=cup,tolerance=-1"], "negative"),
        (["object=cup", "object=plate"], "two goals of the task '*'"),
        (["object=c\x1bup"], "names no goal"),
        (["object=c\udcffup"], "names no goal"),
    ],
)
def test_a_wrong_option_says_what_is_wrong(texts: list[str], told: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_goal_options(texts)
    assert told in str(error.value)
    assert str(error.value).isprintable()


def test_two_spellings_of_one_task_are_refused() -> None:
    with pytest.raises(DatasetError, match="are one task"):
        parse_column_map('[goals.stack]\nobject = "a"\n[goals." STACK"]\nobject = "a"\n', "here")


NAMED = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | st.just(HOSTILE)


@given(NAMED, NAMED, st.sampled_from(RELATIONS), st.floats(1e-9, 1e9), st.none() | st.tuples(*[st.floats(-9, 9)] * 3))
def test_any_goal_comes_back_as_it_was_written(
    task: str, name: str, relation: str, tolerance: float, place: tuple[float, float, float] | None
) -> None:
    goal = Goal(name, "", relation, tolerance, place)
    text = ColumnMap(goals={task: goal}).to_toml()
    assert set(tomllib.loads(text)) == {"goals"}
    assert parse_column_map(text, "here").goals == {task: goal}
