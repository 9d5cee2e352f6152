"""What persons say, put in the place of what was recorded or inferred: once, before anything rests on it.

Two readings of the same words. *All* of them act on their own episode: its outcome, costs, plan, and whether it is a
reference. Only those of episodes that were *drawn by lot* count in tests of tags: an episode that somebody chose
stands in the counts as it would without a word, recorded or inferred, whatever was said of it. So no choice of whom to
look at, however biased, moves trust: to leave such episodes out would be a choice as well.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sima2.analytics.econ import brought
from sima2.analytics.econ_settings import EconSettings
from sima2.records.arrays import Bools, Float64s, Int64s
from sima2.records.econ import EconTable
from sima2.records.episodes import EpisodeTable
from sima2.records.labels import CHOSEN, SaidTable
from sima2.records.table import Text
from sima2.records.vocabulary import OUTCOME_SOURCES

Places = Int64s
_NONE, _PERSON = OUTCOME_SOURCES.index("none"), OUTCOME_SOURCES.index("person")


def drawn_by_lot(said: SaidTable) -> SaidTable:
    """What counts in tests of tags."""
    return said.take(said.chosen.isin(CHOSEN[0]))


def episodes_as_said(episodes: EpisodeTable, said: SaidTable) -> EpisodeTable:
    """Episodes with the outcomes that persons say; a failure that was meant as a reference is none.

    Where persons disagree the outcome is not known, and its source ``none``.

    Args:
        episodes: as recorded or inferred.
        said: of any episodes; those that are not here are left aside.
    """
    rows, mine = _places(episodes.episode_id, said)
    if not len(rows):
        return episodes
    success, source = _ended(episodes.success, episodes.outcome_source, rows, mine)
    return replace(episodes, success=success, outcome_source=source, nominal=episodes.nominal & (success != 0))


def references_of_persons(episode_id: Text, said: SaidTable) -> Bools:
    """Where a person named an episode a reference, shape (n,)."""
    return episode_id.isin(*said.episode_id[said.nominal])


def chosen_by_persons(said: SaidTable) -> set[str]:
    """Names of the episodes of which something is said because somebody chose to look at them."""
    return set(said.episode_id[said.chosen.isin(CHOSEN[1])])


def costs_as_said(econ: EconTable, said: SaidTable, settings: EconSettings | None = None) -> EconTable:
    """Costs with the outcomes that persons say: ``mpl`` and ``wage_parity`` are counted anew.

    ``resilience`` is 0 of what failed at a time that is known, and not known where a person turned a failure round.

    Args:
        econ: of the outcomes as recorded or inferred.
        said: of any episodes; those that are not here are left aside.
        settings: prices, as ``econ`` was made with.
    """
    rows, mine = _places(econ.episode_id, said)
    if not len(rows):
        return econ
    success, source = _ended(econ.success, econ.outcome_source, rows, mine)
    mpl, wage_parity = brought(success, econ.duration_s, econ.energy_wh, econ.damage, settings or EconSettings())
    changed = ~((success == econ.success) | (np.isnan(success) & np.isnan(econ.success)))
    failed = np.zeros(len(econ), np.bool_)
    failed[rows] = (success[rows] == 0) & (np.isfinite(econ.resilience[rows]) | (mine.failed_at_frame >= 0))
    resilience = np.where(failed, 0.0, np.where(changed, np.nan, econ.resilience))
    return replace(
        econ,
        success=success,
        outcome_source=source,
        mpl=np.where(changed, mpl, econ.mpl),
        wage_parity=np.where(changed, wage_parity, econ.wage_parity),
        resilience=resilience,
    )


def _places(episode_id: Text, said: SaidTable) -> tuple[Places, SaidTable]:
    """Places of the episodes of which something is said, and what, row by row."""
    at = {name: i for i, name in enumerate(episode_id)}
    place = np.array([at.get(name, -1) for name in said.episode_id], np.int64)
    return place[place >= 0], said.take(place >= 0)


def _ended(success: Float64s, source: Text, rows: Places, mine: SaidTable) -> tuple[Float64s, Text]:
    """Outcomes and where they are known from, shape (n,) each."""
    told = mine.outcome
    success, codes = success.copy(), source.recode(OUTCOME_SOURCES)
    success[rows[told]] = mine.success[told]
    codes[rows[told]] = np.where(mine.disputed[told], _NONE, _PERSON)
    return success, Text(codes, OUTCOME_SOURCES)
