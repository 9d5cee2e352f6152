"""How long a step takes, from exact sums and histograms."""

from __future__ import annotations

import numpy as np

from sima2.knowledge.task_evidence import bin_edges_s
from sima2.records.arrays import Int64s


def quantile_s(durations: Int64s, q: float) -> float:
    """A quantile of a histogram of durations, s: within its bin in proportion, on the scale of logarithms.

    >>> import numpy as np
    >>> histogram = np.zeros(28, int)
    >>> histogram[11] = 10
    >>> round(quantile_s(histogram, 0.5), 3)
    1.247
    """
    sought = q * int(durations.sum()) - 1e-9
    reached = np.cumsum(durations)
    k = min(int(np.searchsorted(reached, sought)), len(durations) - 1)
    share = (sought - (reached[k] - durations[k])) / durations[k] if durations[k] else 0.0
    low, high = np.log(bin_edges_s()[k : k + 2])
    return float(np.exp(low + min(max(share, 0.0), 1.0) * (high - low)))
