"""Robots, tasks and habits of the sets the maker can make.

Units, names, rates, lags and resolutions are as in public LeRobot, ALOHA, DROID, Bridge and Unitree sets, from memory
but for the Unitree G1's, which were measured (arms 0.15 s and fingers 0.33 s behind, fingers in steps of 0.001).
Lengths are metres, angles radians, a hand's opening a fraction of its stroke (0 closed, 1 open) unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Hand:
    """A gripper or a hand of several fingers."""

    names: tuple[str, ...]
    """Names of its columns, ``{}`` for the side."""
    opened: float
    """Value of a column when open, as recorded."""
    closed: float
    """Value of a column when shut; the direction follows from the two."""
    rate: float
    """Fastest motion, strokes per second."""
    lag_s: float
    """Time constant behind its command."""
    squeeze: Pair
    """How far the command runs ahead of fingers that hold something, drawn an attempt, in strokes."""
    end_stop: Pair
    """Opening at which empty fingers stop, drawn a session: the finger's pads, calibration, friction."""
    reach: Pair = (0.85, 1.0)
    """How far operators open it."""
    step: float = 0.0
    """Resolution as recorded; 0: floats."""
    noise: float = 0.002
    """Standard deviation of the reading, in strokes."""
    wander: float = 1.0
    """How much the operator's grip drifts; a button or a spring that holds it: little."""
    bits: str = ""
    """``command``: the command is open or shut; ``both``: the state too; nothing: both are analogue."""


@dataclass(frozen=True, slots=True)
class Rig:
    """Arms with hands, and how well they follow."""

    joints: tuple[str, ...]
    """Names of one arm's joints, ``{}`` for the side."""
    mix: tuple[tuple[float, ...], ...]
    """Each joint as a sum of the plain arm's pan, lift, elbow, wrist and roll; shape (joints, 5)."""
    zero: tuple[float, ...]
    """Added to each joint, shape (joints,)."""
    hand: Hand
    units: str = "rad"
    """``rad``, ``deg`` or ``norm`` (-100 to 100 over ``NORM_RANGE``)."""
    sides: tuple[str, ...] = ("",)
    """One arm or two."""
    hands_last: bool = False
    """Columns: all arms, then all hands; else arm and hand side by side."""
    wrap: str = "flat"
    """How info.json gives names: a ``flat`` list, one under ``motors``, or ``nested``."""
    delay_s: float = 0.05
    """Dead time between command and motion."""
    lag_s: float = 0.06
    """Time constant of a joint."""
    play: float = 0.003
    """Half width of the backlash and friction band: a smaller command moves nothing."""
    noise: float = 0.0004
    """Standard deviation of a reading."""
    step: float = 0.0015
    """Resolution of state and command (4096 steps a turn: 0.0015)."""
    sag: float = 0.02
    """How far shoulder and elbow hang below their command when stretched."""
    offset: float = 0.012
    """Spread of the constant difference of command and state, drawn a joint and session."""
    stop: float | None = None
    """Mechanical stop of the second joint, radians: its state goes no lower, though a command may."""
    tremor: float = 1.0
    """Trembling of the hand that steers; a space mouse or filtered pose passes little."""


@dataclass(frozen=True, slots=True)
class Task:
    """What the operator is asked to do."""

    text: str
    kind: str
    """``place``, ``lift`` (done when held up), ``drawer``, ``push`` (no grasp), ``handover`` (to the other arm)."""
    source: Pair
    """Middle of where the thing lies: forward and left of the arm's base."""
    goal: Pair
    width: Pair = (0.3, 0.4)
    """Opening at which its sides stop the fingers, drawn an episode."""
    creep: float = 0.0
    """How far fingers sink into it within some seconds, in strokes."""
    things: tuple[int, int] = (1, 1)
    """How many are moved, one after another."""
    spread: float = 0.05
    """Standard deviation of the thing's place over the table."""
    goal_spread: float = 0.008
    """Of the place where it is put."""
    arm: int = 0
    """The arm that starts."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All settings of a set."""

    name: str
    robot: str
    """``robot_type`` of info.json."""
    rig: Rig
    tasks: tuple[Task, ...]
    fps: int
    commands: bool = True
    """There is an ``action``."""
    outcomes: bool = False
    """The operator kept a list of outcomes."""
    sessions: int = 1
    """Recorded on so many occasions: other offsets, pace and start posture."""
    pace: float = 1.0
    """Speed of the operators; 1: some 0.25 m/s."""
    home_closed: bool = False
    """The hand is shut at the start posture."""
    shut: float = 0.0
    """Chance that the hand is shut on leaving a place where it let go."""
    preshape: float = 0.0
    """Chance that an approach closes the hand part of the way before the thing is reached."""
    fidget: float = 0.0
    """Chance, a journey with an empty hand, that the fingers play."""
    retry: float = 0.18
    """Share of good episodes in which a grasp misses or a thing is lost, and is taken again."""
    pause: float = 0.15
    """Chance, a motion, of a stop to look or think."""
    homing: float = 0.95
    """Chance that a finished episode goes on until the arm is back at its start posture."""
    read_hz: float = 0.0
    """Rate at which the robot sends states; slower than the recording, some states come twice. 0: every frame."""
    clock: float = 0.0
    """Standard deviation of time stamps, in periods; 0: they are frame / fps, as LeRobot writes."""
    parked_still: bool = True
    """An arm without work does not move at all; else its operator's hand hangs in the air."""


NORM_RANGE: Final = 1.75
"""Radians at 100 of a normalised joint."""

_FIVE: Final = ((1.0, 0, 0, 0, 0), (0, -1.0, 0, 0, 0), (0, 0, 1.0, 0, 0), (0, 0, 0, 1.0, 0), (0, 0, 0, 0, 1.0))
_SIX: Final = (*_FIVE[:3], (0.12, 0, 0, 0, 0.2), *_FIVE[3:])
_UR: Final = (*_FIVE[:4], (0.1, 0, 0, 0, 0.05), (-0.9, 0, 0, 0, 1.0))
_SEVEN: Final = (
    (0.85, 0, 0, 0, 0), (0, -1.0, 0, 0, 0), (0.18, 0, 0, 0, 0.05), (0, 0, -1.0, 0, 0),
    (0.1, 0, 0, 0.05, 0.1), (0, 0, 0, -1.0, 0), (-0.4, 0, 0, 0, 1.0),
)  # fmt: skip
_HUMANOID: Final = (
    (0, -0.9, 0.1, 0, 0), (0.35, 0, 0, 0, 0.1), (0.7, 0.1, 0, 0, 0), (0, 0, -0.9, 0, 0),
    (0.1, 0, 0, 0, 0.9), (0, 0.1, 0, 0.5, 0), (0.4, 0, 0, 0.1, 0.1),
)  # fmt: skip


def _named(pattern: str, names: str) -> tuple[str, ...]:
    """Names of columns, ``*`` in the pattern standing for each of some words."""
    return tuple(pattern.replace("*", name) for name in names.split())


_SO_JOINTS: Final = "shoulder_pan shoulder_lift elbow_flex wrist_flex wrist_roll"
_VIPER_JOINTS: Final = "waist shoulder elbow forearm_roll wrist_angle wrist_rotate"

# names of joints, what they are made of, zero; the hand: names, open, shut, rate, lag, squeeze, end stop, reach, step,
# noise, wander; then how well the arm follows
_SO101: Final = Rig(
    _named("*.pos", _SO_JOINTS), _FIVE, (0.0, 1.2, -1.2, 0.3, 0.0),
    Hand(("gripper.pos",), 100.0, 0.0, 2.5, 0.06, (0.08, 0.25), (0.015, 0.035), (0.45, 0.8), 0.05, 0.001),
    "norm", play=0.006, sag=0.035, stop=-0.62, offset=0.018, delay_s=0.07, lag_s=0.05,
)  # fmt: skip
_SO100: Final = Rig(
    _named("main_*", _SO_JOINTS), _FIVE, (0.1, 3.0, 0.4, 0.2, -0.1),
    Hand(("main_gripper",), 58.0, 1.5, 2.2, 0.07, (0.06, 0.2), (0.01, 0.03), (0.4, 0.75), 0.088, 0.001),
    "deg", play=0.006, sag=0.03, stop=0.98, offset=0.02, delay_s=0.08, lag_s=0.06,
)  # fmt: skip
_KOCH: Final = Rig(
    _named("*", _SO_JOINTS), ((-1.0, 0, 0, 0, 0), *_FIVE[1:]), (0.05, 2.8, 0.1, -0.1, 0.05),
    Hand(("gripper",), -52.0, 3.0, 3.0, 0.05, (0.15, 0.4), (0.02, 0.05), (0.75, 1.0), 0.088, 0.001),
    "deg", wrap="motors", play=0.004, sag=0.02, offset=0.015, delay_s=0.04, lag_s=0.05,
)  # fmt: skip
_ALOHA: Final = Rig(
    _named("{}*", _VIPER_JOINTS), _SIX, (0.0, 0.2, 0.0, 0.0, 0.2, 0.0),
    Hand(("{}gripper",), 1.0, 0.0, 2.8, 0.07, (0.12, 0.45), (0.01, 0.05), (0.75, 1.02), 0.0, 0.0015),
    sides=("left_", "right_"), wrap="motors", play=0.003, sag=0.025, offset=0.01, delay_s=0.06, lag_s=0.05,
)  # fmt: skip
_FRANKA: Final = Rig(
    _named("joint_*", "1 2 3 4 5 6 7"), _SEVEN, (0.0, 0.7, 0.0, -0.6, 0.0, 2.3, 0.78),
    Hand(("gripper_position",), 0.0, 1.0, 1.4, 0.08, (0.2, 0.6), (0.0, 0.02), (0.98, 1.0), 0.0, 0.0006, 0.3),
    play=0.0004, noise=0.0001, step=0.0, sag=0.002, offset=0.001, delay_s=0.05, lag_s=0.09, tremor=0.35,
)  # fmt: skip
_PANDA: Final = replace(
    _FRANKA, joints=_named("panda_joint*", "1 2 3 4 5 6 7"),
    hand=Hand(("gripper_width",), 0.08, 0.0, 1.25, 0.05, (0.2, 0.6), (0.0, 0.008), (0.96, 1.0), 0.0, 0.0008, 0.15),
    lag_s=0.08, tremor=0.6,
)  # fmt: skip
_UR5: Final = Rig(
    _named("*_joint", "shoulder_pan shoulder_lift elbow wrist_1 wrist_2 wrist_3"), _UR,
    (0.0, -0.6, 0.2, -1.2, -1.57, 0.0),
    Hand(("gripper",), 0.012, 0.9, 1.3, 0.05, (0.3, 0.8), (0.0, 0.012), (1.0, 1.0), 1 / 255, 0.0, bits="command"),
    play=0.0, noise=0.00006, step=0.0, sag=0.0, offset=0.0005, delay_s=0.08, lag_s=0.07, tremor=0.2,
)  # fmt: skip
_XARM6: Final = Rig(
    _named("joint*", "1 2 3 4 5 6"), _SIX, (0.0, -0.4, -0.3, 0.0, 0.6, 0.0),
    Hand(("gripper",), 850.0, 0.0, 1.6, 0.05, (0.1, 0.3), (0.004, 0.01), (0.95, 1.0), 1.0, 0.0003, 0.0),
    "deg", wrap="motors", play=0.0005, noise=0.0001, step=0.0002, sag=0.002, offset=0.001, delay_s=0.09, lag_s=0.08,
    tremor=0.4,
)  # fmt: skip
_XARM7: Final = Rig(
    _named("joint*.pos", "1 2 3 4 5 6 7"), _SEVEN, (0.0, -0.5, 0.0, 0.6, 0.0, 1.2, 0.0),
    Hand(("gripper.pos",), 1.0, 0.0, 1.8, 0.06, (0.12, 0.35), (0.004, 0.012), (0.8, 1.0), 0.00118, 0.0008),
    "deg", play=0.0008, noise=0.0002, step=0.0002, sag=0.003, offset=0.003, delay_s=0.07, lag_s=0.08, tremor=0.7,
)  # fmt: skip
_WIDOWX: Final = Rig(
    _named("*", _VIPER_JOINTS), _SIX, (0.0, 0.3, 0.0, 0.0, 0.3, 0.0),
    Hand(("gripper",), 1.0, 0.0, 2.5, 0.06, (0.3, 0.6), (0.01, 0.03), (1.0, 1.0), 1.0, 0.0, bits="both"),
    wrap="nested", play=0.004, sag=0.03, offset=0.008, delay_s=0.1, lag_s=0.1, tremor=0.5,
)  # fmt: skip
_G1: Final = Rig(
    _named("k{}*", "ShoulderPitch ShoulderRoll ShoulderYaw Elbow WristRoll WristPitch WristYaw"), _HUMANOID,
    (0.3, 0.1, -0.1, 1.8, 0.0, 0.0, 0.0),
    Hand(_named("k{}Hand*", "Pinky Ring Middle Index ThumbBend ThumbRotation"),
         1.0, 0.0, 2.2, 0.2, (0.08, 0.3), (0.01, 0.03), (0.62, 0.92), 0.001, 0.0015),
    sides=("Left", "Right"), hands_last=True, wrap="nested", play=0.002, noise=0.0003, step=0.0, sag=0.012,
    offset=0.008, delay_s=0.07, lag_s=0.09, tremor=1.2,
)  # fmt: skip
_GR1: Final = Rig(
    _named("{}_*", "shoulder_pitch shoulder_roll shoulder_yaw elbow wrist_yaw wrist_roll wrist_pitch"), _HUMANOID,
    (-0.2, 0.1, 0.0, -0.3, 0.1, 0.0, 0.0),
    Hand(_named("{}_hand_*", "little ring middle index thumb_bend thumb_turn"),
         0.05, 1.45, 2.5, 0.12, (0.1, 0.35), (0.02, 0.05), (0.85, 1.0), 0.0, 0.002),
    sides=("left", "right"), play=0.002, noise=0.0004, step=0.0, sag=0.015, offset=0.01, delay_s=0.08, lag_s=0.08,
    tremor=1.2,
)  # fmt: skip

RECIPES: Final[tuple[Recipe, ...]] = (
    Recipe(
        "so101_cube", "so101_follower", _SO101,
        (Task("Put the green cube into the bowl.", "place", (0.27, 0.08), (0.26, -0.13), (0.24, 0.3)),),
        30, home_closed=True, shut=0.6, fidget=0.08, retry=0.22,
    ),
    Recipe(
        "so100_pens", "so100", _SO100,
        (Task("Pick up the pens and put them in the cup", "place", (0.26, 0.02), (0.24, 0.17), (0.05, 0.09),
              things=(2, 3)),),
        30, sessions=2, fidget=0.2, preshape=0.3, retry=0.3,
    ),
    Recipe(
        "koch_bricks", "koch", _KOCH,
        (Task("Grab the red brick and drop it in the left bin", "place", (0.24, -0.04), (0.22, 0.18), (0.35, 0.45)),
         Task("Grab the blue brick and drop it in the right bin", "place", (0.24, 0.04), (0.22, -0.18), (0.35, 0.45))),
        30, outcomes=True, pace=1.15, homing=0.8, retry=0.15, fidget=0.05,
    ),
    Recipe(
        "aloha_transfer", "aloha", _ALOHA,
        (Task("Pick up the tape with the left arm and hand it to the right arm", "handover", (0.3, 0.05), (0.3, 0.05),
              (0.22, 0.3)),),
        50, home_closed=True, retry=0.15, pace=1.1,
    ),
    Recipe(
        "aloha_sorting", "trossen_ai_stationary", _ALOHA,
        (Task("Sort all screws into the tray", "place", (0.3, 0.0), (0.27, 0.18), (0.05, 0.1), things=(6, 9),
              spread=0.06, arm=1),),
        50, retry=0.3, pace=0.75, pause=0.3, preshape=0.4, fidget=0.08,
    ),
    Recipe(
        "franka_drawer", "franka_robotiq", _FRANKA,
        (Task("open the drawer", "drawer", (0.4, 0.1), (0.25, 0.1), (0.12, 0.16), spread=0.012),
         Task("put the mug on the plate", "place", (0.34, -0.1), (0.36, 0.14), (0.04, 0.09), spread=0.05)),
        15, pace=0.9, retry=0.2, shut=0.25,
    ),
    Recipe(
        "panda_states", "panda", _PANDA,
        (Task("stack the block", "place", (0.33, 0.08), (0.35, -0.1), (0.48, 0.52), goal_spread=0.05),),
        10, commands=False, outcomes=True, homing=0.7, retry=0.2, shut=0.2,
    ),
    Recipe(
        "ur5_plugs", "ur5e", _UR5,
        (Task("insert the plug into the socket", "place", (0.36, 0.1), (0.38, -0.12), (0.08, 0.12), spread=0.03,
              goal_spread=0.0015),),
        10, outcomes=True, sessions=2, pace=0.6, clock=0.02, pause=0.4, retry=0.12,
    ),
    Recipe(
        "xarm_push", "xarm6", _XARM6,
        (Task("Push the T onto its outline", "push", (0.32, 0.08), (0.34, -0.08), goal_spread=0.0, things=(2, 5)),),
        15, home_closed=True, retry=0.0,
    ),
    Recipe(
        "xarm_sponge", "xarm7", _XARM7,
        (Task("Take the sponge and put it next to the sink", "place", (0.33, -0.06), (0.33, 0.16), (0.4, 0.55), 0.12,
              goal_spread=0.04),),
        30, fidget=0.15, preshape=0.3, home_closed=True, shut=0.3, sessions=2,
    ),
    Recipe(
        "widowx_bits", "widowx", _WIDOWX,
        (Task("put the spoon on the towel", "place", (0.26, 0.06), (0.3, -0.08), (0.1, 0.15)),
         Task("put the carrot into the pot", "place", (0.3, -0.09), (0.22, 0.12), (0.3, 0.35))),
        10, pace=1.7, homing=0.4, retry=0.1,
    ),
    Recipe(
        "g1_bottle", "Unitree_G1_Inspire", _G1,
        (Task("Pick up the yellow bottle on the table.", "lift", (0.3, 0.03), (0.24, 0.06), (0.3, 0.45), 0.02, arm=1),),
        30, retry=0.15, fidget=0.25, preshape=0.4, parked_still=False, pace=0.7,
    ),
    Recipe(
        "gr1_cups", "gr1_arms_and_hands", _GR1,
        (Task("Stack the cups", "place", (0.28, 0.08), (0.3, -0.08), (0.45, 0.6), 0.05, (2, 4), goal_spread=0.02),),
        30, retry=0.25, read_hz=25, fidget=0.2, sessions=2, parked_still=False,
    ),
    Recipe(
        "so101_states", "so101_follower", _SO101,
        (Task("Fold the cloth corner over", "place", (0.28, 0.1), (0.22, -0.02), (0.05, 0.09), 0.015, spread=0.03,
              goal_spread=0.03),),
        50, commands=False, home_closed=True, shut=0.5, pace=0.8, retry=0.25,
    ),
)  # fmt: skip
"""The sets."""
