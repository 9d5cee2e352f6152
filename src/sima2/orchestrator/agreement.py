"""Whether runs may be judged together, and no episode would be there twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sima2 import __version__
from sima2.errors import StoreError, UsageError

if TYPE_CHECKING:
    from sima2.io.store import Coming, Run


def refuse_disagreement(coming: Sequence[Coming], runs: Sequence[Run], out: Path, *, pool: bool) -> None:
    """What is there and what is coming may be judged together, and no episode would be there twice.

    Twice it would be once with and once without what is known of it. What was recorded otherwise is another source: it
    is judged together with what is there only where that was asked for, by ``pool`` or by giving both in one command.
    """
    for run in runs:
        before = run.settings.get("sima2_version")
        if before != __version__:
            raise StoreError(
                f"{out}: holds results of version {before}; choose another folder, or --fresh to drop them"
            )
        for each in coming:
            _refuse_other_reading(run, each, out)
            _refuse_other_prior(run, each, out)
    there, here = ({each.origin["collection"]: each.origin["words"] for each in some} for some in (runs, coming))
    if pool or here.keys() <= there.keys() or there.keys() <= here.keys():
        return
    old = next(words for name, words in there.items() if name not in here)
    new = next(words for name, words in here.items() if name not in there)
    raise UsageError(
        f"{out}: holds {old}, and this is {new}: give another folder (--out), or --pool to judge them together"
    )


def _refuse_other_reading(run: Run, coming: Coming, out: Path) -> None:
    """The same data must not be there as they are read by other settings."""
    if coming.settings["path"] is None or run.origin["source_id"] != coming.origin["source_id"]:
        return
    from sima2.io.store import told_apart

    before, now = told_apart(run.settings), told_apart(coming.settings)
    changed = [name for name in ("column_map", "outcomes", "goals", "video") if before.get(name) != now.get(name)]
    if changed:
        words = " and ".join(name.replace("_", " ") for name in changed)
        raise StoreError(
            f"{out}: holds a run of the same data with other {words}; choose another folder, or --fresh to drop it"
        )


def _refuse_other_prior(run: Run, coming: Coming, out: Path) -> None:
    """All that is judged together is judged with one prior."""
    if run.settings.get("prior") != coming.settings.get("prior"):
        raise StoreError(
            f"{out}: what it holds was judged with {_prior_words(run.settings)}, this is to be with "
            f"{_prior_words(coming.settings)}; give the same --prior, choose another folder, or --fresh"
        )


def _prior_words(told: Mapping[str, Any]) -> str:
    return f"the prior {str(told['prior'])[:8]}" if told.get("prior") else "no prior"
