"""Ten times the damaged inputs, and a whole data set of which a tenth is bad."""

import pytest

from faults.corrupted_sets import check_that_only_the_bad_are_lost
from faults.fuzzing import fuzz
from faults.readers import READERS

pytestmark = pytest.mark.stress


@pytest.mark.parametrize("reader", READERS)
def test_twenty_thousand_damaged_inputs(reader: str) -> None:
    tally = fuzz(reader, range(20_000))
    assert not tally.faults, tally.told()
    assert tally.cases == 20_000


def test_a_tenth_of_a_thousand_episodes_is_bad(tmp_path) -> None:
    check_that_only_the_bad_are_lost(tmp_path, 1000)
