"""The phases in order: calibrate, pass 1 over raw signals, freeze, pass 2 over tables, finalize.

Everything here is a pure function of a source and of tables; who runs it, and where results are kept, is told by
``orchestrator`` and ``execution``.
"""

from sima2.pipeline.calibration import Calibration, calibrate, calibration_spans
from sima2.pipeline.data_findings import (
    Courses,
    DataFindings,
    judged,
    with_conflicts,
    with_contradicted,
    with_cuts,
    with_defects,
    with_joint_names,
    with_said,
)
from sima2.pipeline.finalizing import AllEpisodes, Results, TrustBasis, finalize
from sima2.pipeline.freezing import Frozen, freeze
from sima2.pipeline.pass_one import (
    SHARD_EPISODES,
    FirstPass,
    Seen,
    ShardTask,
    first_pass,
    load_stages,
    seen_in,
    shard_spans,
)
from sima2.pipeline.pass_two import Aggregates, SecondPass, second_pass
from sima2.pipeline.run_settings import MAIN_MIX, Progress, RunSettings, RunSummary
from sima2.pipeline.summary_counts import defect_counts, example_counts, proposal_counts

__all__ = [
    "MAIN_MIX",
    "SHARD_EPISODES",
    "Aggregates",
    "AllEpisodes",
    "Calibration",
    "Courses",
    "DataFindings",
    "FirstPass",
    "Frozen",
    "Progress",
    "Results",
    "RunSettings",
    "RunSummary",
    "SecondPass",
    "Seen",
    "ShardTask",
    "TrustBasis",
    "calibrate",
    "calibration_spans",
    "defect_counts",
    "example_counts",
    "finalize",
    "first_pass",
    "freeze",
    "judged",
    "load_stages",
    "proposal_counts",
    "second_pass",
    "seen_in",
    "shard_spans",
    "with_conflicts",
    "with_contradicted",
    "with_cuts",
    "with_defects",
    "with_joint_names",
    "with_said",
]
