"""Makes the small recorded set of docs/getting-started.md: an SO-101 arm, joints, gripper and commands, no outcomes.

python examples/make_recordings.py my_set

Writes a LeRobot v2.1 data set, and beside it what truly happened in each episode (``my_set_truth.json``), which no
command of sima2 reads.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from sima2.bench.recordings_maker import RECIPES, make_set

EPISODES = 60
FAULTS = {
    "idle_start": 2,
    "idle_end": 1,
    "frozen_channel": 1,
    "action_lag": 1,
    "dropped_frames": 2,
    "teleport": 1,
    "truncated": 1,
    "duplicate": 1,
}


def main(folder: str) -> None:
    recipe = next(each for each in RECIPES if each.name == "so101_cube")
    truth = make_set(Path(folder), recipe, EPISODES, seed=1, planted=FAULTS, failures=0.2)
    told = Path(f"{folder.rstrip('/')}_truth.json")
    told.write_text(json.dumps([asdict(each) for each in truth], indent=1) + "\n", encoding="utf-8")
    failed = sum(not each.success for each in truth)
    print(f"{folder}: {len(truth)} episodes, {failed} of which failed; what happened is in {told}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
