"""Which end of a gripper's range is open, and whether it moves at all: from names, interfaces and evidence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sima2.io.command_lag import Commands
from sima2.io.sample import Sample

Floats = NDArray[np.float64]

STILL_SHARE: Final = 0.01
"""A range below this share of the size of the numbers is one count of an encoder going back and forth."""
RESTLESS: Final = 0.1
"""Share of the range that noise covers from frame to frame on average (white noise 0.24); a finger that crosses its
range in a third of a second at 30 Hz, all the time, covers as much."""
CROSSINGS: Final = 3.0
"""… if it goes that many times through the range an episode."""
BLOCKED: Final = 0.05
"""Share of the range by which a finger that has settled must miss its command to be blocked; servos miss by 1–2 %."""
INNER: Final = (0.1, 0.9)
"""Shares of the range between which a blocked finger rests on something; outside it is at a stop of its own."""
BLOCKED_FRAMES: Final = 10
BLOCKED_RATIO: Final = 4.0
"""How many times more often fingers must be blocked one way than the other."""
AGREED: Final = 2.0 / 3.0
"""Share of the episodes that must start at the same end."""

MORE_OPEN: Final = frozenset({"open", "opening", "aperture", "width"})
MORE_CLOSED: Final = frozenset({"closed", "closing", "closure", "close", "closedness"})
INTERFACES: Final = {
    "inspire": (True, True, "1 is open, as the Inspire hand's interface defines it"),
    "aloha": (False, True, "larger is more open, as ALOHA records it"),
    "so100": (False, True, "larger is more open, as LeRobot calibrates the SO-100"),
    "so101": (False, True, "larger is more open, as LeRobot calibrates the SO-101"),
    "robotiq": (False, False, "larger is more closed, as the Robotiq gripper's register defines it"),
    "droid": (False, False, "larger is more closed, as DROID records its Robotiq gripper"),
}
"""A word in the robot's name: whether it counts only for values from 0 to 1, whether larger is open, and why."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """Frames in which fingers rest somewhere within their range short of a command that has stood still."""

    upwards: int
    """Frames whose command lies above the finger."""
    downwards: int
    episodes: int

    @property
    def closing_upwards(self) -> bool | None:
        """Whether the fingers close upwards: only closing meets something. None where the evidence does not tell."""
        more, less = max(self.upwards, self.downwards), min(self.upwards, self.downwards)
        if more < BLOCKED_FRAMES or more < BLOCKED_RATIO * less:
            return None
        return self.upwards > self.downwards


def moves(values: Floats, starts: NDArray[np.int64], span: float) -> bool:
    """Whether a column does more than tremble.

    Args:
        values: of the column, shape (n,).
        starts: rows at which an episode starts.
        span: of its values without the outermost.
    """
    known = np.abs(values[np.isfinite(values)])
    if span <= 0.0 or not known.size or span < STILL_SHARE * float(np.percentile(known, 99.0)):
        return False
    step = np.abs(np.diff(values))
    step[starts[(starts > 0) & (starts < len(values))] - 1] = np.nan
    step = np.minimum(step[np.isfinite(step)] / span, 1.0)  # one wild sample is no motion
    restless = step.size and float(step.mean()) > RESTLESS and float(step.sum()) > CROSSINGS * max(len(starts), 1)
    return not restless


def blocked(commands: Commands, feature: str, places: Sequence[int], flipped: NDArray[np.bool_]) -> Blocked:
    """Where fingers are blocked, in the direction of the first one.

    Args:
        commands: how the columns follow their commands.
        feature: of the fingers.
        places: its columns.
        flipped: fingers that go down where the first goes up, shape (f,).
    """
    keys = [(feature, place) for place in places]
    up = np.zeros(len(commands.rows), np.bool_)
    down = np.zeros(len(commands.rows), np.bool_)
    refused = commands.refusals(keys, [key for key in commands.fits if key[0] == feature])
    for key, against in zip(keys, flipped.tolist(), strict=True):
        if key in refused:
            continue
        fit = commands.fits[key]
        state = commands.state(key)
        miss = commands.command(key, fit.lag) - state
        low, high = np.nanpercentile(state, (1.0, 99.0))
        settled = commands.held(key)
        inner = (state > low + INNER[0] * (high - low)) & (state < low + INNER[1] * (high - low))
        at_ends = miss[settled & ~inner & np.isfinite(miss)]
        # what it misses by where nothing can be held is its calibration
        miss = miss - (float(np.median(at_ends)) if len(at_ends) else 0.0)
        found = settled & inner & (np.abs(miss) > BLOCKED * fit.span)
        up |= found & ((miss > 0.0) != against)
        down |= found & ((miss < 0.0) != against)
    episodes = len(np.unique(commands.sample.episode(commands.sample.rows)[commands.rows[up | down]]))
    return Blocked(int(np.count_nonzero(up)), int(np.count_nonzero(down)), episodes)


def open_end(
    share: Floats,
    sample: Sample,
    words: Sequence[Sequence[str]],
    robot: str,
    evidence: Blocked,
    *,
    nominal: bool,
    one_way: bool,
) -> tuple[bool, str]:
    """Whether the upper end is open, and why.

    By the first of these that tells: the names of the columns, a known interface, what blocks the fingers, where the
    episodes start. What is measured and disagrees is said.

    Args:
        share: where between the lower (0) and the upper end (1) the gripper is, shape (n,).
        sample: the frames' sample.
        words: of each column's name.
        robot: as the data set names it.
        evidence: blocked fingers.
        nominal: whether the columns hold a share from 0 to 1.
        one_way: whether all columns go the same way; if not, no name tells of all.
    """
    starts_open, start_why = _starts(share, sample)
    closing_up = evidence.closing_upwards
    block_why = (
        f"fingers are blocked {evidence.upwards} frames on the way up and {evidence.downwards} on the way down, in "
        f"{evidence.episodes} episodes"
    )
    told = _told(words, robot, nominal=nominal) if one_way else None
    if told is not None:
        upper, why = told
        against = f"; but {block_why}: check it" if closing_up is not None and closing_up == upper else ""
        return upper, why + against
    if closing_up is not None:
        against = f"; but {start_why}" if starts_open is not None and starts_open == closing_up else ""
        return not closing_up, f"{block_why}: they close towards what they hold{against}"
    if starts_open is None:
        return True, f"{start_why}, so larger is assumed to be open"
    return starts_open, f"the end nearer to the state at the episodes' start is assumed to be open ({start_why})"


def _told(words: Sequence[Sequence[str]], robot: str, *, nominal: bool) -> tuple[bool, str] | None:
    """What names say."""
    said = {word for each in words for word in each}
    if bool(said & MORE_OPEN) != bool(said & MORE_CLOSED):
        upper = bool(said & MORE_OPEN)
        word = sorted(said & (MORE_OPEN | MORE_CLOSED))[0]
        return upper, f"larger is more {'open' if upper else 'closed'}, as the column's name says ({word})"
    for word in re.split(r"[^a-z0-9]+", robot.lower()):
        if word in INTERFACES and (nominal or not INTERFACES[word][0]):
            return INTERFACES[word][1:]
    return None


def _starts(share: Floats, sample: Sample) -> tuple[bool | None, str]:
    """Whether episodes start at the upper end; None where they do not agree."""
    at = share[sample.starts[sample.starts < len(share)]]
    known = at[np.isfinite(at)]
    if not len(known):
        return None, "no episode's start is known"
    upper = int(np.count_nonzero(known > 0.5))
    more = max(upper, len(known) - upper)
    if more < AGREED * len(known):
        return None, f"{upper} of {len(known)} episodes start at the upper end"
    return 2 * upper > len(known), f"{more} of {len(known)} episodes start nearer to the {_name(upper, known)} end"


def _name(upper: int, known: Floats) -> str:
    return "upper" if 2 * upper > len(known) else "lower"
