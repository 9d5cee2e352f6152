"""Numbers that decide what is looked at in videos, and what is called wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """Lengths in s, brightness in steps of 8 bits (0 to 255)."""

    # what is read
    most_pixels: int = 4096 * 4096
    """Of a picture; nothing larger is unpacked. Four times 4K."""
    most_packets: int = 4_000_000
    """Of a file: 37 hours at 30 Hz."""
    most_pictures: int = 4_000
    """Unpacked of one camera of one episode: looks into longer ones lie further apart."""
    # where is looked
    look_s: float = 1 / 3
    """Between two looks: what stands for three times as long is between two of them wherever it begins."""
    stretches: int = 3
    stretch_s: float = 3.0
    """Of pictures one after the other, where the robot's pace changes most: long enough for a reach and a stop."""
    # lengths and rates
    rate_off: float = 0.03
    """Relative difference of the times that video and table take: clocks differ by far less, wrong rates (25 for 30,
    29.97 for 30 apart) by more."""
    rate_frames: float = 3.0
    """Frames by which they must have run apart besides: less is the jitter of a clock."""
    # black
    black_mean: float = 5.0
    black_most: float = 12.0
    """Above black, of the mean and of the brightest field: a lamp that is on lifts some field of a dark room more."""
    black_s: float = 0.3
    # standing still
    stand_most: float = 3.0
    """Change of the field that changes most, up to which a picture stands: noise of a coded picture."""
    stand_share: float = 0.1
    stand_loud: float = 5.0
    """Where the camera is noisy the same share of its usual change, and never more than this."""
    stand_refresh: float = 7.0
    """Change in all over a stand: a key picture of the same scene is coded a little otherwise than the one before."""
    stand_still: float = 0.85
    """Share of the pictures of a stand that do not change at all."""
    stand_exact: float = 0.5
    """Median change of a stand that no leap ends: the noise of a camera that goes on is more, unless coding swallows it
    (then the other episodes tell)."""
    stand_whole: float = 0.95
    """Share of an episode that is all of it: there the other episodes tell alone."""
    stand_s: float = 0.9
    """Shorter stands are pauses of the scene or a few pictures lost."""
    stand_moving: float = 0.6
    """Share of a stand, of ``stand_s`` at the least, in which the robot must move."""
    stand_pace: float = 0.25
    """… at such a share of its usual pace."""
    leap: float = 2.0
    """Mean change at the end of a stand over that of the pictures that follow: a camera that goes on shows at once what
    has happened meanwhile, a scene into which an arm comes back shows it bit by bit."""
    leap_least: float = 1.0
    usual_stand: float = 0.05
    """Share of moving spans in which pictures of a camera stand anyway, up to which a stand without a leap tells."""
    fewest_spans: int = 3
    """Moving spans outside of it that must show so: 1 s."""
    rare_stand: float = 2.0
    """Times the stands of the other episodes (80th percentile) that it must be as long as."""
    fewest_peers: int = 4
    """Other episodes that must show so of a camera that stands through all of an episode."""
    # repeated pictures
    repeat_share: float = 0.3
    """Of the change of the pictures around: below, it is the picture before."""
    repeat_loud: float = 8.0
    """Change that the pictures around must show for that."""
    repeats: float = 0.25
    """Share of repeated pictures that is told: every fourth; what stops and goes on by itself shows fewer."""
    repeats_least: float = 0.12
    repeat_spreads: float = 6.0
    """Less is told where it is so many spreads above what is usual of the camera in the set."""
    fewest_pictures: int = 12
    # out of step
    smooth_s: float = 0.13
    still_change: float = 0.1
    """Mean change of a picture that shows nothing but noise."""
    lag_fit: float = 0.5
    """Correlation from which on a lag is known."""
    lag_sure: float = 0.6
    """… and is told where it is unusual."""
    lag_clear: float = 0.15
    """By so much it must be above that at the usual lag: what goes to and fro agrees at several."""
    lag_least: float = 0.2
    """A camera's latency and its jitter are below; LeRobot's own tolerance is a frame."""
    lag_spreads: float = 5.0
    """Times the spread of the camera's lags over the episodes of the set."""
    lag_peers: int = 6
    """Episodes with a known lag that are needed to tell what is usual."""
    lag_set: float = 0.3
    """Usual lag of all episodes that is told of the set."""
    # thumbnails
    thumb_width: int = 160
    thumb_bytes: int = 4096
    """Of one at most; a picture of 160 by 120 takes about half."""
    thumbs_bytes: int = 24 * 2**20
    """Of all of a run at most: six moments of two cameras over 500 episodes."""
    thumbs_episode: int = 8
    """Moments of an episode at most."""
    apart_s: float = 0.3
    """Moments that are nearer show the same."""
