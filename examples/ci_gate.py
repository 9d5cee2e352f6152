"""A gate for continuous integration: fails when data got worse since the last accepted results.

python examples/ci_gate.py out accepted

It exits with 5 (as sima2's own gates do) where a tag has lost its tier, where more episodes have a defect of some kind
than before, or where more were put aside; with 3 where one of the folders holds no finished run; else with 0.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

GATE_FAILED, BAD_DATA = 5, 3


def summary(folder: Path) -> dict:
    """What summary.json of a finished run holds."""
    file = folder / "summary.json"
    if not file.exists():
        print(f"{folder} holds no finished run", file=sys.stderr)
        sys.exit(BAD_DATA)
    return json.loads(file.read_text(encoding="utf-8"))


def shares(told: dict) -> dict[str, float]:
    """Share of the episodes that have a defect, by kind; and of those that were put aside."""
    came = max(told["episodes"]["in"], 1)
    found = {kind: each["episodes"] / came for kind, each in told.get("defects", {}).items()}
    return {**found, "put aside": told["episodes"]["quarantined"] / came}


def risen(now: dict[str, float], before: dict[str, float], most: float) -> Iterator[str]:
    """What is more often found than before, by more than a share of the episodes."""
    for kind, share in sorted(now.items()):
        if share > before.get(kind, 0.0) + most:
            yield f"{kind}: {share:.0%} of the episodes, before {before.get(kind, 0.0):.0%}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="results of this run")
    parser.add_argument("accepted", type=Path, help="results that were accepted before")
    parser.add_argument("--most", type=float, default=0.05, help="rise of a share of episodes that is let through")
    given = parser.parse_args()
    worse = list(risen(shares(summary(given.out)), shares(summary(given.accepted)), given.most))
    command = [sys.executable, "-m", "sima2", "trust", str(given.out), "--diff", str(given.accepted)]
    trust = subprocess.run(command, capture_output=True, text=True)
    if trust.returncode not in (0, GATE_FAILED):
        print(trust.stderr, end="", file=sys.stderr)
        return trust.returncode
    if trust.returncode == GATE_FAILED:
        worse.append(trust.stderr.strip())
    for line in worse:
        print(line)
    return GATE_FAILED if worse else 0


if __name__ == "__main__":
    sys.exit(main())
