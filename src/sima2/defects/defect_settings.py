"""What counts as a defect. All limits are shares, rates or counts of robust spreads: no unit of a robot is in them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DefectSettings:
    """Limits of every finding."""

    window_s: float = 0.2
    """Motion is what a position changes over so long: slow against encoder noise, fast against a human pause."""
    still_share: float = 0.02
    """Below this share of the robot's ordinary fast motion (95th percentile) a column stands still."""
    noise_times: float = 6.0
    """… or below so many standard deviations of its own noise, which a run's worth of frames does not reach."""
    still_counts: float = 2.5
    """… or below so many counts of its encoder."""
    pause_s: float = 0.8
    """Where nothing moves for so long nothing is done: fingers close, and people look, in less;"""
    linger_s: float = 0.3
    """… but so much of it belongs to what was done before."""
    idle_share: float = 0.1
    """Idle stretches of this share of the episode are reported,"""
    idle_ends_s: float = 3.0
    """… at the start and the end never shorter ones than this (people pause for a second to look),"""
    idle_middle_s: float = 3.8
    """… nor in the middle than this: fingers, which may not have been recorded, take their time there,"""
    idle_most_s: float = 10.0
    """… always longer ones than this."""
    stall_s: float = 0.5
    """A stall lasts at least so long."""
    stall_spreads: float = 10.0
    """Residual behind the command, in usual spreads, that a standing joint does not explain."""
    stall_hand: float = 30.0
    """The same of fingers that are told to open; their usual spread is that of open fingers."""
    stall_torque: float = 1.5
    """Torque at standstill over the greatest of the same joint in motion."""
    stall_floor: float = 0.05
    """Share of the widest range of the robot's joints that a command goes without its joint: a parked arm is always a
    little beside its command, and a servo gives way by a few degrees under a load."""
    longest_lag_s: float = 1.0
    """Longest lag looked for between an action and the state that follows it."""
    stall_command: float = 0.3
    """Share of a command's range that it crosses while nothing moves."""
    command_lag_s: float = 0.5
    """What a command does in the last moments of a stretch may only not have arrived yet."""
    gap_periods: float = 1.75
    """A step of the clock from which on a frame is missing."""
    gap_spreads: float = 8.0
    """… if it also stands out of the clock's own jitter so far."""
    jump_periods: float = 10.0
    """A gap so long in which nothing moved on is a leap of the clock."""
    jitter: float = 0.5
    """Spread of the time between frames (10th to 90th percentile) over its median."""
    late: float = 0.25
    """A frame that comes so many periods early or late is off,"""
    late_share: float = 0.03
    """… and the clock is irregular where more of them are."""
    rate_change: float = 0.1
    """Relative change of the frame rate."""
    frozen_s: float = 0.4
    """Shortest freeze,"""
    frozen_frames: int = 8
    """… in frames: chance repeats a noisy value once or twice."""
    repeated_share: float = 0.2
    """Share of the frames in motion that repeat the one before."""
    clip_frames: int = 3
    """Frames on the extreme value that a turning point does not explain."""
    clip_share: float = 0.01
    """Share of the episode from which clipping is reported."""
    clip_depth: float = 0.1
    """Share of a joint's usual range by which its command goes on while it is on its limit (or it, while its command
    is),"""
    clip_floor: float = 0.02
    """… and share of the widest joint's range,"""
    clip_least: float = 0.03
    """… for so much of the episode, where other episodes go farther."""
    stop_share: float = 0.05
    """Share of the episodes that stand at one limit beyond which none goes: an end stop, worth a word of the set."""
    clip_beyond: float = 0.7
    """Share of the frames on the limit in which it is beyond it."""
    teleport_times: float = 4.0
    """A jump over the fastest step that is part of a motion."""
    tracking_s: float = 0.3
    """A residual that lasts so long is no lag."""
    tracking_least: float = 8.0
    """Usual spreads below which no residual is a fault, whatever the others do."""
    burst_s: float = 0.4
    """Window of a tremble,"""
    burst_times: float = 3.5
    """… which is told from so many times the usual one of its column on,"""
    burst_slow: float = 5.0
    """… so many where frames come more than ``slow_s`` apart: a motion there is over within some of them;"""
    slow_s: float = 0.05
    burst_others: float = 2.0
    """… and so many times what nine of ten other episodes stay below;"""
    burst_alone: float = 8.0
    """… or so many, where too few other episodes tell what is usual,"""
    burst_floor: float = 0.01
    """… if it is this share of the widest joint's range, too."""
    skip_times: float = 1.45
    """Step of state and command in one and the same frame, over the greatest within two frames, that no motion makes:
    the state comes later than its command."""
    skip_often: int = 4
    """… or so many over the middle one of those within two frames."""
    skip_least: float = 1.5
    """… by so many times."""
    skip_alone: float = 2.7
    """Steps at once that tell of two lost frames and more where there are no commands."""
    offset_floor: float = 0.04
    """Share of the widest joint's range from which an offset of a command is told,"""
    offset_spreads: float = 7.0
    """… if it also is so many spreads over episodes from the usual one,"""
    offset_varies: float = 2.5
    """… and so many times what a joint's residual usually varies within an episode,"""
    offset_constant: float = 2.0
    """… and varies within the episode by no more than so many times the usual."""
    offset_in_all: float = 2.0
    """One in all episodes is told from so many times ``offset_floor`` on: arms sag under their weight by less."""
    session_spreads: float = 3.0
    """Change of the usual offset from one session to the next, in spreads over episodes."""
    lag_frames: float = 2.2
    """Shift of the actions beside the states from which it is told,"""
    lag_spreads: float = 7.0
    """… if it also is so many spreads over episodes from the usual one."""
    common: float = 0.25
    """What is so in a larger share of the episodes is how they were recorded, and no defect of one."""
    end_pace: float = 0.4
    """Share of an episode's fast pace at which it may end,"""
    end_pace_elsewhere: float = 0.12
    """… at a place where no other of its task ends,"""
    end_times: float = 4.0
    """… and so many times what most of the others end at,"""
    end_quantile: float = 0.8
    """… which is this quantile of them."""
    end_strange: float = 0.85
    """Quantile of the distances between the places at which episodes end, beyond which no other ends there."""
    false_flags: float = 0.05
    """Expected number of episodes that each comparison with the population flags by chance in a whole run."""
    least_population: int = 12
    """Fewer episodes of a kind are no population."""
    copy_noise: float = 3.0
    """Copies differ by no more than so many standard deviations of the noise,"""
    copy_share: float = 0.1
    """… and this share of the ordinary spread over episodes."""
    neighbours: int = 12
    """Nearest episodes whose distances tell what is ordinary."""
