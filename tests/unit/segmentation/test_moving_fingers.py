"""Where fingers close and open, on widths written down: the same for an episode wherever it stands in a batch."""

from __future__ import annotations

import numpy as np
import pytest

from scripted_frames import EPISODES, Frames
from sima2.segmentation.fingers import moving_fingers
from sima2.segmentation.state_settings import StateSettings


@pytest.mark.parametrize("held", [True, False])
def test_fingers_that_spread_to_the_end_with_what_they_hold_open_in_no_episode(held: bool) -> None:
    width = np.linspace(0.4, 0.8, 10)
    frames = Frames().do("transport", len(width))
    frames.known = {
        "width": np.tile(width, EPISODES),
        "width_rate": np.full(EPISODES * len(width), 0.4),
        "gripping": np.ones(EPISODES * len(width), np.bool_),
        "grip": np.tile(np.linspace(10.0, 0.1, len(width)), EPISODES),
        "together": np.full((EPISODES * len(width), 1), held),
    }
    closing, opening = moving_fingers(frames.features(), StateSettings())
    assert not closing.any()
    assert [bool(each.any()) for each in opening.reshape(EPISODES, -1)] == [not held] * EPISODES
