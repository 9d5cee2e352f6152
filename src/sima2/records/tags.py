"""What it means: tags on episodes and their spans, always recorded raw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from sima2.records.arrays import Float64s, Int64s
from sima2.records.meanings import END_FRAME, EPISODE_ID, EPISODE_INDEX, START_FRAME
from sima2.records.table import Table, Text, column, text


@dataclass(frozen=True, slots=True)
class TagStatistic:
    """A number that describes the episodes of a tag by a cost; it decides nothing."""

    name: str
    """Stable name, as in ``summary.json``."""
    cost: str
    """Column of the econ table, or ``AFTER_FAILURE``."""
    form: str
    """``ratio`` or ``difference`` of tagged to other episodes, or ``mean`` of the tagged."""
    meaning: str
    """What is computed, as ``summary.json`` says it."""
    target: str
    """Where it should lie; ``none`` where that is not known."""
    bias: str = ""
    """What is wrong with reading it plainly."""
    shown: str = ""
    """Its name for people; ``name`` in plain words where empty."""
    reading: str = ""
    """How people should read it."""
    share: bool = False
    """It is a share, shown in percent."""


@dataclass(frozen=True, slots=True)
class TagReview:
    """Episodes that a person should look at because of a trusted tag."""

    severity: float
    """The tag's severity above which to look."""
    rule: str = "severe_tag"
    """Row of ``sampling.plan_settings.RULES`` that says so in the plan."""


@dataclass(frozen=True, slots=True)
class TagProposal:
    """What a tag proposes to add to the task graph; it waits until the tag that it rests on is trusted."""

    fact: str
    """Name of the evidence: episodes in which the tag is given, of which the conditions below hold."""
    kind: str
    """One of ``records.knowledge.PROPOSAL_KINDS``."""
    priority: float
    words: str
    """What was seen in these episodes."""
    rests_on: str = ""
    """Tag whose trust decides, and whose assessed episodes are the occasions; the tag itself where empty."""
    severity: float | None = None
    """Only where the tag's severity is above this."""
    source: str = ""
    """Only where this channel or rule fired."""
    unless_recovered: bool = False
    """Not where a recovery followed at once."""


@dataclass(frozen=True, slots=True)
class TagSpec:
    """All that a kind of tag declares about itself; nothing outside its own file speaks of it by name."""

    name: str
    kind: str
    """``predictive`` (known before the outcome) or ``diagnostic`` (reads how it went)."""
    inputs: tuple[str, ...]
    """What it is computed from."""
    available: str
    """The moment from which it is known, in words."""
    cost_field: str
    """Column of the econ table that it should predict."""
    direction: int
    """+1 where a higher value of that column is expected with the tag, -1 where a lower one."""
    threshold: float = 0.0
    """The tag is given where its level is above this."""
    pulls: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Objective (``bc``, ``rl``) or strategy of sampling to +1 where episodes that have the tag gain weight, -1 where
    they lose, 0 where neither; what is not named is as the objective says of unknown tags."""
    meaning: str = ""
    """What it says of an episode, in words."""
    group: str = "tagged"
    """What its episodes are called."""
    code: str = ""
    """Short name, used in codes and keys (``assessed_ood``, ``trusted_recovery``); ``name`` where empty."""
    level: str = ""
    """What its level is, for the data dictionary."""
    value: str = ""
    """What its value is; empty where it has none."""
    severity: str = ""
    """What its severity is; empty where it has none."""
    reads: str = ""
    """Of a diagnostic tag, what it reads that is known only afterwards, in words; its ``inputs`` where empty."""
    by_attempt: bool = False
    """It earns its trust by attempts to mend a failure, against what came after (``AFTER_FAILURE``)."""
    statistics: tuple[TagStatistic, ...] = ()
    review: TagReview | None = None
    """Which of its episodes a person should look at once it is trusted."""
    proposals: tuple[TagProposal, ...] = ()
    template: str = ""
    """Template by which a pump can be asked for more of its episodes; empty where there is none."""
    quality_bonus: float = 0.0
    """What it adds to the audited quality (0 to 1) of its episodes at full trust."""
    shown: int = 0
    """Its place among the tags whose episodes the report shows without being asked, from 1; 0 where it is none."""

    def __post_init__(self) -> None:
        if not self.code:
            object.__setattr__(self, "code", self.name)

    @property
    def assessed(self) -> str:
        """Name of the evidence that counts the episodes in which the tag was assessed."""
        return f"assessed_{self.code}"


@dataclass(frozen=True, eq=False)
class TagTable(Table):
    """Tags ordered by episode, tag and start. A tag that was assessed and does not apply has a row with level 0."""

    schema_version: ClassVar[int] = 2

    episode_index: Int64s = column(np.int64, EPISODE_INDEX)
    episode_id: Text = text(EPISODE_ID)
    tag: Text = text("Name of the tag.")
    kind: Text = text(
        "`predictive` where the row was known before the outcome, `diagnostic` where it reads how it went."
    )
    value: Float64s = column(
        np.float64,
        "What else the tag measures of what it found; NaN for tags that measure nothing else, or where nothing was "
        "found.",
        unit="1",
    )
    level: Float64s = column(
        np.float64,
        "How strongly it applies, 0 to 1; 0 where it does not apply, NaN where it could not be assessed. What it is "
        "depends on the tag.",
        unit="1",
    )
    severity: Float64s = column(
        np.float64, "How bad it is, 0 to 1; NaN for tags that do not grade it, or where not assessed.", unit="1"
    )
    source: Text = text(
        "Which channel or rule fired; `not_assessed` or `uncalibrated` where none could; may be empty where nothing "
        "was found."
    )
    start_frame: Int64s = column(np.int64, START_FRAME, unit="frame")
    end_frame: Int64s = column(np.int64, END_FRAME, unit="frame")
    details: Text = text("Evidence in words and units.")
    available_at_frame: Int64s = column(
        np.int64,
        "Frame at which the tag could first be known, counted from the episode's start: it rests on those before it.",
        unit="frame",
    )
