"""The tables of a finished run, cell by cell: open it as a notebook (``# %%`` begins a cell), or run it.

python examples/look_at_results.py out

Everything is done with pyarrow, which comes with sima2; the last cells do the same with pandas and with polars, where
these are installed.
"""

# %% Where the results are
import importlib.util
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

OUT = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
episodes = pq.read_table(OUT / "episodes.parquet")  # a file is a table
segments = pq.read_table(OUT / "segments")  # a folder of shards is one table as well
plan = pq.read_table(OUT / "plan.parquet")
print(f"{len(episodes)} episodes, {len(segments)} segments")

# %% How many succeeded, by how that is known. What is not known is NaN, and counts neither way
known = episodes.filter(pc.is_finite(episodes["success"]))
by_source = known.group_by("outcome_source").aggregate([("success", "mean"), ("success", "count")])
for row in by_source.sort_by("outcome_source").to_pylist():
    print(f"{row['outcome_source']}: {row['success_mean']:.0%} of {row['success_count']} succeeded")
print(f"not known: {len(episodes) - len(known)}")

# %% What failed, and why
failed = segments.filter(pc.field("outcome") == "failure")
by_reason = failed.group_by(["label", "failure_reason"]).aggregate([("segment_id", "count")])
for row in by_reason.sort_by([("segment_id_count", "descending")]).to_pylist():
    print(f"{row['segment_id_count']:5} × {row['label']}: {row['failure_reason']}")

# %% How long each phase takes, in s
took = segments.append_column("seconds", pc.subtract(segments["end_t"], segments["start_t"]))
for row in took.group_by("label").aggregate([("seconds", "mean"), ("seconds", "count")]).sort_by("label").to_pylist():
    print(f"{row['label']:18} {row['seconds_mean']:6.2f} s in the mean of {row['seconds_count']}")

# %% What the plan says, beside how each episode ended: tables are joined on episode_id
both = plan.join(episodes.select(["episode_id", "duration_s", "failure_reason"]), "episode_id").sort_by("episode_index")
doubted = both.filter(pc.field("action") != "keep")
for row in doubted.slice(0, 5).to_pylist():
    print(f"{row['episode_id']}: {row['action']}, weight {row['weight']:.2f}: {row['words']}")

# %% Seconds that are used for training, out of all
seconds = pc.sum(both["duration_s"]).as_py()
weighed = pc.sum(pc.multiply(both["duration_s"], both["weight"])).as_py()
print(f"weights leave {weighed / seconds:.0%} of {seconds:.0f} s")

# %% The same with pandas, where it is installed
if importlib.util.find_spec("pandas"):
    frame = segments.to_pandas()
    share = frame.assign(failed=frame["outcome"] == "failure").groupby("label")["failed"].mean()
    print("pandas, share of segments that failed:", share[share > 0].round(2).to_dict())

# %% The same with polars, where it is installed
if importlib.util.find_spec("polars"):
    import polars as pl

    frame = pl.from_arrow(pa.table({name: segments[name] for name in ("label", "outcome")}))
    share = frame.group_by("label").agg(failed=(pl.col("outcome") == "failure").mean()).sort("label")
    print("polars, share of segments that failed:", {k: round(v, 2) for k, v in share.iter_rows() if v > 0})
