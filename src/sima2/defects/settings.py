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
    idle_share: float = 0.1
    """Idle stretches of this share of the episode are reported,"""
    idle_ends_s: float = 2.0
    """… at the start and the end never shorter ones than this (people pause for a second to look),"""
    idle_middle_s: float = 3.0
    """… nor in the middle than this: fingers, which may not have been recorded, take their time there,"""
    idle_most_s: float = 10.0
    """… always longer ones than this."""
    stall_s: float = 0.5
    """A stall lasts at least so long."""
    stall_spreads: float = 10.0
    """Residual behind the command, in usual spreads, that a standing joint does not explain."""
    stall_torque: float = 1.5
    """Torque at standstill over the greatest of the same joint in motion."""
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
    teleport_times: float = 4.0
    """A jump over the fastest step that is part of a motion."""
    tracking_s: float = 0.3
    """A residual that lasts so long is no lag."""
    tracking_least: float = 8.0
    """Usual spreads below which no residual is a fault, whatever the others do."""
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
