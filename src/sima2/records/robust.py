"""Robust spreads."""

from __future__ import annotations

from typing import Final

MAD_TO_SIGMA: Final = 1.4826
"""Standard deviations in a median absolute deviation, of normal numbers: 1 / Φ⁻¹(3/4) (Rousseeuw and Croux 1993)."""
