"""Outcomes of episodes by the example of those whose outcome was said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sima2.records.arrays import Float64s, Int64s
from sima2.records.meanings import EPISODE_ID, EPISODE_INDEX, FAMILY, ROBOT, one_of
from sima2.records.table import Table, Text, column, text

ANSWERS: Final = ("unsure", "failure", "success")
"""What is answered of an episode; ``unsure`` comes first, so that it is code 0."""


@dataclass(frozen=True, eq=False)
class ExampleTable(Table):
    """How episodes seem to have ended by the example of those whose outcome was said: one row an episode of its task.

    Of tasks in which both a success and a failure were said. An answer is an inference, never a record.
    """

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    family: Text = text(FAMILY)
    robot: Text = text(ROBOT)
    said: Text = text("What was said of it, `success` or `failure`; empty where nothing was.")
    answer: Text = text(f"{one_of(ANSWERS).capitalize()}; of one of which something was said, as if it were not known.")
    margin: Float64s = column(
        np.float64,
        "How much nearer it is to episodes that succeeded than to those that failed: 1 to them alone, -1 to those that "
        "failed alone, 0 neither.",
        unit="1",
    )
    p_success: Float64s = column(
        np.float64,
        "Share of the episodes whose outcome was said, itself among them, that are as strange to their own outcome as "
        "it would be as a success (conformal).",
        unit="1",
    )
    p_failure: Float64s = column(np.float64, "The same as a failure.", unit="1")
    confidence: Float64s = column(
        np.float64,
        "Probability that an answer of this task is right, by those that were hidden: (right + 1) / (answered + 2); 0 "
        "where the answer is `unsure`.",
        unit="1",
    )
    stated_error: Float64s = column(
        np.float64,
        "Share of wrong answers that the rule keeps to in the mean over many sets, those in which nothing is answered "
        "counted as 0; one set may have more. NaN where nothing of the task is answered.",
        unit="1",
    )
    view: Text = text("By what they differ most; empty where nothing of the task is answered.")
    like: Text = text(
        "The episode of which something was said that it is nearest to, by that view; empty where nothing is answered."
    )
