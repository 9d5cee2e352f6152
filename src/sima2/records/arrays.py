"""Arrays by the kind of number they hold, one name for each."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Bools: TypeAlias = NDArray[np.bool_]
Float32s: TypeAlias = NDArray[np.float32]
Float64s: TypeAlias = NDArray[np.float64]
Int64s: TypeAlias = NDArray[np.int64]
Indices: TypeAlias = NDArray[np.intp]
"""Places along an axis, as numpy's searches give them."""
