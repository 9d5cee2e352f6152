"""What a plan does about what is known: one row a rule, one a preset. Numbers and words, no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from sima2.errors import UnknownNameError, UsageError
from sima2.records.defects import DEFECTS
from sima2.sampling.weight_settings import objective

CUT, DROP, ASK, SCALE, TELL = "cut", "drop", "ask", "scale", "tell"
"""What a rule does: its frames weigh nothing; the episode weighs nothing; a person is asked; what it is about weighs
1 less its probability, and a person is asked; it is told, and moves nothing by itself."""


@dataclass(frozen=True, slots=True)
class PlanRule:
    """What is done about one kind of finding."""

    name: str
    knowledge: str
    """``fact``, ``tag`` or ``inference``."""
    act: str
    """``CUT``, ``DROP``, ``ASK``, ``SCALE`` or ``TELL``."""
    words: str
    """What was found, as a person is told; for a defect its own words."""
    imitation: bool = False
    """Holds for imitation alone: to a critic, what went wrong is worth as much."""
    detector: str = ""
    """Row of the detection card that says how sure it is; of rules about stretches of an episode."""
    asked: bool = False
    """Off in every preset: acts only where settings name it (``PlanSettings.also``)."""


def _defects(knowledge: str, act: str, *kinds: str) -> tuple[PlanRule, ...]:
    return tuple(PlanRule(kind, knowledge, act, DEFECTS[kind]) for kind in kinds)


_RULES: Final = (
    # an episode that is none
    PlanRule("no_id", "fact", DROP, "it has no id"),
    PlanRule("id_not_unique", "fact", DROP, "its id occurs more than once"),
    PlanRule("too_short", "fact", DROP, "it has fewer than two frames"),
    PlanRule("no_time", "fact", DROP, "no time passes in it"),
    PlanRule("no_segment", "fact", DROP, "it has no segment"),
    # one of two outcomes is wrong, and to keep either would be to choose
    *_defects("fact", DROP, "outcome_contradicted"),
    PlanRule("failed", "fact", DROP, "it is known to have failed, and imitation copies what it sees", imitation=True),
    *_defects("fact", DROP, "near_duplicate"),
    # every frame of it is wrong for a trainer until it is mended
    *_defects("fact", DROP, "mixed_units", "mixed_polarity", "action_lag", "command_offset"),
    # frames that are wrong, or in which nothing is done
    *_defects("fact", CUT, "missing_samples", "teleport", "frozen_channel", "clipped_channel", "repeated_frames"),
    *_defects("fact", CUT, "dropped_frames", "clock_jump", "noise_burst", "tracking_fault", "stalled", "idle"),
    PlanRule("pause", "fact", CUT, "nothing moves for a moment"),
    PlanRule("little_left", "fact", ASK, "less than half of it is left without what is wrong with its data"),
    # a trainer with cameras has no picture here
    *_defects("fact", DROP, "video_missing", "video_unreadable"),
    *_defects("fact", CUT, "video_black", "video_frozen"),
    # true of all of it, and a trainer may be able to take it
    *_defects("fact", ASK, "rate_change", "irregular_clock", "video_length", "video_rate"),
    *_defects("fact", ASK, "video_repeats", "video_lag"),
    # what persons say of how it ended: that acts as an outcome; where they disagree they are asked
    *_defects("fact", TELL, "outcome_overridden"),
    *_defects("fact", ASK, "outcome_disputed"),
    # what others of its task suggest
    *_defects("inference", ASK, "task_mismatch", "truncated", "duration_outlier", "jerk_outlier"),
    PlanRule("label_conflict", "inference", SCALE, DEFECTS["label_conflict"]),
    PlanRule("inferred_failure", "inference", SCALE, "it seems to have failed", imitation=True),
    PlanRule("failed_attempt", "inference", SCALE, "a grasp fails and is made again", True, "failed_attempt"),
    PlanRule("lost_grip", "inference", SCALE, "what was held is lost and taken again", True, "drop"),
    PlanRule("failed_step", "inference", SCALE, "a step fails and is made again", True),
    PlanRule("drive_home", "inference", SCALE, "what follows the last thing done", True),
    PlanRule("consensus", "inference", CUT, "moves otherwise than others in like states", True, asked=True),
    PlanRule("provisional_tags", "tag", ASK, "has provisional tags"),
    PlanRule("severe_tag", "tag", ASK, "severe by trusted tags"),
    PlanRule("severe_ood", "tag", ASK, "very strange, by a trusted tag"),
)

RULES: Final[Mapping[str, PlanRule]] = MappingProxyType({rule.name: rule for rule in _RULES})
"""By name, the gravest first."""
ALSO: Final = tuple(rule.name for rule in _RULES if rule.asked)
"""Rules that act only where settings name them."""
ON_SPANS: Final = ("failed_attempt", "lost_grip", "failed_step", "drive_home")
"""Rules of inference about stretches of an episode; they act only where the detector was measured on this very set."""


@dataclass(frozen=True, slots=True)
class Preset:
    """How far each kind of knowledge goes."""

    name: str
    facts: bool = True
    """Whether facts act."""
    inference: str = SCALE
    """``SCALE``: acts with its probability; ``ASK``: only asks; ``DROP``: acts as if it were certain; empty: is left
    aside."""
    doubted: float = 1.0
    """Weight of an episode under review, beside what else it has."""
    without: tuple[str, ...] = ("drive_home",)
    """Rules that are off."""


_PRESETS: Final = (
    Preset("measured"),
    Preset("conservative", inference=ASK),
    Preset("strict", inference=DROP, doubted=0.0, without=()),
    Preset("none", facts=False, inference="", without=tuple(RULES)),
)
PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({each.name: each for each in _PRESETS})
"""By name."""


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """What is planned for, and by what."""

    objective: str = "bc"
    """``bc`` leaves known failures out; ``rl`` keeps them."""
    preset: str = "measured"
    without: tuple[str, ...] = field(default=())
    """Rules that are off besides those of the preset."""
    also: tuple[str, ...] = field(default=())
    """Rules that act though they are off in every preset: those of which no receipt has shown a gain."""
    least_precision: float = 0.9
    """Precision, at the least, that a verdict on segments needs on this very set before it moves a weight."""
    margin: int = 1
    """Frames before and behind a cut that go with it: what is commanded there leads into it or comes from it."""
    dissent: float = 0.2
    """Share of a task's moments that disagree most with what others do there, which rule ``consensus`` leaves out."""
    least_left: float = 0.5
    """Share of the frames that must be left besides dead time; with less a person should look."""

    def __post_init__(self) -> None:
        objective(self.objective)
        if self.preset not in PRESETS:
            raise UnknownNameError("preset", self.preset, PRESETS)
        for name in self.without:
            if name not in RULES:
                raise UnknownNameError("rule", name, RULES)
        for name in self.also:
            if name not in ALSO:
                raise UnknownNameError("rule to add", name, ALSO)
        shares = (self.least_precision, self.dissent, self.least_left)
        if not all(0 <= share <= 1 for share in shares) or self.margin < 0:
            raise UsageError("least_precision, dissent and least_left lie in 0 to 1, margin is not negative")

    def act(self, name: str) -> str:
        """What a rule does under preset and objective; empty where it is off."""
        rule, preset = RULES[name], PRESETS[self.preset]
        off = name in self.without or (self.objective != "bc" and rule.imitation)
        if rule.asked:
            return rule.act if name in self.also and not off else ""
        if off or name in preset.without:
            return ""
        if rule.knowledge == "fact" and not preset.facts:
            return ""
        if rule.knowledge != "inference" or not preset.inference:
            return rule.act if rule.knowledge != "inference" else ""
        if rule.act == ASK or self.objective != "bc":
            return ASK
        return preset.inference
