"""Which of your own tags may be leaned on? Shown on the log of a real UR3 cell (UCI data set 963, CC BY 4.0).

python examples/trust_on_your_own_tags.py ur3.csv
"""

import csv
import sys
from datetime import datetime
from pathlib import Path

import numpy as np

from sima2 import EconCorrelator


def main(path: str) -> None:
    # an episode is a block of work cycles: all rows with the same number
    blocks: dict[str, list[dict[str, str]]] = {}
    with Path(path).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            blocks.setdefault(row["block"], []).append(row)

    # a cost, one number a block: how long it took, in s
    def seconds(row: dict[str, str]) -> float:
        return datetime.fromisoformat(row["timestamp"].replace("Z", "+00:00")).timestamp()

    duration = np.array([seconds(rows[-1]) - seconds(rows[0]) for rows in blocks.values()])

    # tags, true or false of each block: yours may come from anywhere
    def ever(column: str) -> np.ndarray:
        return np.array([any(float(row[column] or 0) > 0 for row in rows) for rows in blocks.values()])

    stop = ever("protective_stop")
    tags = {"protective_stop": stop, "grip_lost": ever("grip_lost")}
    # tags that must earn nothing: the more of them stand beside, the stricter the test
    rng = np.random.default_rng(0)
    noise = {f"shuffled_{k}": rng.permutation(stop) for k in range(100)}

    # blocks are compared within strata only: here one, else robot, task or session
    matrix = EconCorrelator().calibrate({**tags, **noise}, outcome=duration, strata=np.zeros(len(blocks), int))
    for tag in tags:
        row = matrix[tag]
        print(f"{tag:16} trust {row.trust_level:.2f}  {row.tier:11}  {row.note}")
    print(f"100 shuffled     trust {max(matrix[tag].trust_level for tag in noise):.2f}  at most")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
