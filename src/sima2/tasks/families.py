"""The task library as data: a family is a row, and everything that generates or explains it reads that row.

Source: the task table of the project's specification; geometries, sizes and masses are of common household objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sima2.errors import UnknownNameError

TEMPLATES: Final = ("success", "failure", "recovery", "mixed")
"""Shapes of an episode: straight through; failed; failed and put right; several subtasks, one of them retried."""

FRICTIONS: Final = ("low", "medium", "high")
MASSES: Final = ("light", "heavy")


@dataclass(frozen=True, slots=True)
class Geometry:
    """A shape an object of the family may have."""

    name: str
    """The object's name in a rollout."""
    width_m: float
    """m between the fingers when held."""
    height_m: float
    """m, extent along the vertical."""


@dataclass(frozen=True, slots=True)
class ObjectSpec:
    """One object of a family."""

    name: str
    """Its name, or that of its class where geometries name the instances."""
    affordances: Mapping[str, bool]
    """Affordance to whether raw channels can show it; False is prior knowledge."""
    height_m: float | None = 0.05
    """m, of what things are put on or into; None where it has the shape and mass of the object acted on."""


@dataclass(frozen=True, slots=True)
class Family:
    """One task family."""

    name: str
    skeleton: str
    """Which script it follows: ``carry``, ``drawer``, ``wipe``, ``inspect`` or ``exchange``."""
    relation: str
    """What the goal asks, one of ``vocabulary.RELATIONS``."""
    tolerance: float
    """m that still count; for ``opened`` the least displacement in m, for ``wiped`` the least share wiped."""
    instruction: str
    success: str
    """The task sensor's criterion in words."""
    objects: tuple[ObjectSpec, ...]
    """The object acted on first, then its target, then others."""
    geometries: tuple[Geometry, ...]
    """Shapes of the object acted on."""
    failure_modes: tuple[str, ...]
    recovery_strategies: tuple[str, ...]
    mass_kg: tuple[float, float] = (0.12, 0.5)
    """Light and heavy, kg, of the object acted on."""
    upright: bool = False
    """Whether physics has to leave the object upright; the synthetic world asks it of all that is put down."""
    triggers: tuple[str, ...] = ()
    """Of a meta family: what calls for it."""

    @property
    def meta(self) -> bool:
        """Whether it serves other families instead of a task of its own."""
        return bool(self.triggers)

    @property
    def names(self) -> tuple[str, ...]:
        """Objects of a scene of this family after the one acted on."""
        return tuple(each.name for each in self.objects[1:])


def _object(name: str, *observable: str, prior: tuple[str, ...] = (), height_m: float | None = 0.05) -> ObjectSpec:
    known = dict.fromkeys(observable, True) | dict.fromkeys(prior, False)
    return ObjectSpec(name, MappingProxyType(known), height_m)


def _families(*rows: Family) -> Mapping[str, Family]:
    return MappingProxyType({row.name: row for row in rows})


FAMILIES: Final = _families(
    Family(
        "drawer_open", "drawer", "opened", 0.12, "open the drawer",
        "the drawer is displaced along its rail by at least the tolerance",
        (_object("drawer_handle", "graspable", "pullable"), _object("drawer", "pullable", prior=("container",))),
        (Geometry("drawer_handle_a", 0.022, 0.03), Geometry("drawer_handle_b", 0.034, 0.04),
         Geometry("drawer_knob_c", 0.028, 0.03)),
        ("grasp_slip", "locked_joint", "collision_with_frame"), ("re_grasp", "wiggle_pull"), mass_kg=(0.8, 2.4)),
    Family(
        "dish_place", "carry", "placed_on", 0.025, "put the dish on the mat",
        "the dish is at rest, upright and within the tolerance of the mat's centre",
        (_object("dish", "graspable", "liftable", "placeable"),
         _object("serving_mat", "support_surface", height_m=0.006)),
        (Geometry("plate_a", 0.018, 0.024), Geometry("bowl_b", 0.046, 0.06), Geometry("saucer_c", 0.026, 0.03)),
        ("drop", "misalignment", "unstable_place"), ("pick_from_drop", "nudge"), upright=True),
    Family(
        "wipe_surface", "wipe", "wiped", 0.9, "wipe the counter",
        "at least the tolerance's share of the patch was stroked under enough force",
        (_object("sponge", "graspable", "wipeable", prior=("compressible",)),
         _object("counter_patch", "support_surface", "wipeable", height_m=0.004)),
        (Geometry("sponge_a", 0.05, 0.034), Geometry("sponge_b", 0.038, 0.03), Geometry("cloth_c", 0.03, 0.02)),
        ("insufficient_force", "missed_patch", "tool_loss"), ("re_trace", "re_grasp_tool"), mass_kg=(0.03, 0.14)),
    Family(
        "pick_and_place", "carry", "placed_on", 0.06, "put the object on the tray",
        "the object is at rest within the tolerance of the tray's centre",
        (_object("object", "graspable", "liftable", "transportable"),
         _object("tray", "support_surface", prior=("container",), height_m=0.012)),
        (Geometry("cup_a", 0.058, 0.09), Geometry("box_b", 0.042, 0.06), Geometry("can_c", 0.05, 0.11)),
        ("drop_en_route", "target_obstructed"), ("clear_obstruction", "retry_pick")),
    Family(
        "sort_objects", "carry", "placed_in", 0.055, "sort the object into its bin",
        "the object is at rest inside the goal's bin",
        (_object("object", "graspable", "sortable"), _object("bin_left", "container"),
         _object("bin_right", "container")),
        (Geometry("block_a", 0.036, 0.036), Geometry("ball_b", 0.044, 0.044), Geometry("tube_c", 0.028, 0.07)),
        ("wrong_bin", "bin_full", "clutter_collision"), ("remove_from_wrong_bin", "shake_bin"), mass_kg=(0.06, 0.26)),
)  # fmt: skip
"""The five task families."""

META_FAMILIES: Final = _families(
    Family(
        "reset_after_failure", "carry", "home", 0.06, "clear up and return home",
        "the robot is at home and what had fallen rests on its tray",
        (_object("fallen_object", "graspable", "liftable"),
         _object("return_tray", "support_surface", height_m=0.012)),
        (Geometry("mug_a", 0.056, 0.08), Geometry("carton_b", 0.04, 0.07), Geometry("jar_c", 0.048, 0.1)),
        ("drop", "collision_lock"), ("pick_from_drop", "back_off"), triggers=("drop", "collision_lock")),
    Family(
        "inspect_scene", "inspect", "visible", 0.8, "find the object and look at it",
        "the pose confidence of the object ends above the tolerance",
        (_object("inspected_object", prior=("graspable",)), _object("screen", prior=("occluder",))),
        (Geometry("gauge_a", 0.05, 0.08), Geometry("label_b", 0.04, 0.05), Geometry("marker_c", 0.03, 0.04)),
        ("occlusion", "lost_object"), ("change_view", "look_closer"), triggers=("occlusion", "lost_object")),
    Family(
        "tool_change", "exchange", "held", 0.05, "swap the tool",
        "the new tool is off its stand and moves with the hand",
        (_object("tool", "graspable", "liftable"), _object("tool_dock", "support_surface", height_m=0.02),
         _object("old_tool", "graspable", "liftable", "placeable", height_m=None)),
        (Geometry("spatula_a", 0.024, 0.05), Geometry("brush_b", 0.032, 0.05), Geometry("scraper_c", 0.028, 0.06)),
        ("tool_drop", "tool_slip"), ("re_grasp", "approach_anew"), triggers=("wrong_tool_for_task",)),
)  # fmt: skip
"""Families that serve the others: put things right, look, change tools."""

ALL_FAMILIES: Final[Mapping[str, Family]] = MappingProxyType({**FAMILIES, **META_FAMILIES})

SCENE_OBJECTS: Final = 6
"""Objects of a scene at most: those of its family, of one other family, and the obstacle."""

OBSTACLE: Final = "vase"
"""The object of every scene that no task asks for."""


def check_family(name: str) -> Family:
    """The family of that name.

    Raises:
        UnknownNameError: listing the valid names.

    >>> check_family("drawer_open").recovery_strategies
    ('re_grasp', 'wiggle_pull')
    """
    return ALL_FAMILIES[known("family", name, ALL_FAMILIES)]


def check_template(name: str) -> str:
    """The template's name; UnknownNameError lists the valid ones."""
    return known("template", name, TEMPLATES)


def check_failure_mode(family: Family, name: str) -> str:
    """A failure mode of the family; UnknownNameError lists the valid ones."""
    return known(f"failure mode of {family.name}", name, family.failure_modes)


def check_recovery_strategy(family: Family, name: str) -> str:
    """A recovery strategy of the family; UnknownNameError lists the valid ones."""
    return known(f"recovery strategy of {family.name}", name, family.recovery_strategies)


def known(kind: str, name: str, valid: Iterable[str]) -> str:
    """The name of such a kind; UnknownNameError lists the valid ones."""
    if name not in tuple(valid):
        raise UnknownNameError(kind, name, valid)
    return name
