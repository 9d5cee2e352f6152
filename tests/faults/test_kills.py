"""A run killed at any step of its writing goes on to the same bytes, also when it adds to a finished one."""

import json
import os
import subprocess
import sys

import pytest

EVERY = 7
"""In ordinary tests every seventh step, shared by two tests; all of them under ``make stress``."""


def kills(folder, first, stride, *more):
    done = subprocess.run(
        [sys.executable, "tests/kill_driver.py", str(folder), str(first), str(stride), *more],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("first", [0, EVERY])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path, first) -> None:
    told = kills(tmp_path, first, 2 * EVERY)
    assert told["kills"] >= 13
    assert told["differing"] == []


def test_a_killed_addition_goes_on_to_the_same_bytes(tmp_path) -> None:
    told = kills(tmp_path, 3, 3 * EVERY, "second")
    assert told["kills"] >= 7
    assert told["differing"] == []


def test_a_killed_run_after_new_labels_goes_on_to_the_same_bytes(tmp_path) -> None:
    told = kills(tmp_path, 2, 3 * EVERY, "labels")
    assert told["kills"] >= 4
    assert told["differing"] == []


@pytest.mark.stress
@pytest.mark.parametrize("more", [(), ("second",), ("labels",)])
def test_a_run_killed_at_every_step_goes_on_to_the_same_bytes(tmp_path, more) -> None:
    told = kills(tmp_path, 0, 1, *more)
    assert told["kills"] >= told["steps"] > 150
    assert told["differing"] == []
