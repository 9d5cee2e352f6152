"""The stress benchmark as a script: every figure against its limit, ``metrics.json``, exit code 5 if one fails.

python scripts/stress_test_sima2_pipeline.py --num-rollouts 10000 --jobs 2 --output-dir stress_results
"""

import argparse
import json
import sys
from pathlib import Path

from sima2.bench import stress


def main() -> int:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--num-rollouts", type=int, default=10_000)
    parse.add_argument("--mix", default="stress_mix_v1")
    parse.add_argument("--jobs", type=int, default=2)
    parse.add_argument("--seed", type=int, default=0)
    parse.add_argument("--output-dir", type=Path, default=Path("stress_results"))
    given = parse.parse_args()
    values = stress.run(
        episodes=given.num_rollouts,
        mix=given.mix,
        jobs=given.jobs,
        seed=given.seed,
        progress=lambda step: print(step, file=sys.stderr),
    )
    given.output_dir.mkdir(parents=True, exist_ok=True)
    (given.output_dir / "metrics.json").write_text(json.dumps(values, indent=1, sort_keys=True))
    for figure, result, limit in stress.rows(values):
        print(f"{figure:<58} {result:>10}  {limit}")
    return 0 if all(each["met"] for each in values["targets"].values()) else 5


if __name__ == "__main__":
    sys.exit(main())
