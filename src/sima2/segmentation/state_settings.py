"""Spans and shares that tell one physical state from another."""

from __future__ import annotations

from dataclasses import dataclass

from sima2.segmentation.motion import MotionSettings


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Spans and shares of the states, each with its reason."""

    clear: float = 5.0
    """A motion of the fingers stands out of its noise by so many standard deviations."""
    finger_share_per_s: float = 0.12
    """Fingers move when they would cross that share of their range in a second; the slowest grippers need 3 s."""
    finger_travel: float = 0.05
    """Share of the range that a closing or opening covers at least."""
    begun_share: float = 0.005
    """Fingers have begun to move where they are farther than that share of their range from where they were."""
    begun_noise: float = 3.0
    """… and than so many standard deviations of its noise."""
    letting_go: float = 0.02
    """The same of an opening with which the grip force ends."""
    able_m: float = 0.004
    """m; fingers whose range so far is smaller have not been used."""
    able_share: float = 0.15
    """The same as a share, where only the opening 0–1 is known."""
    told_late_s: float = 2.0
    """The bit that is told of some fingers turns up to so much after they have let go (slow ones, half way)."""
    flicker_s: float = 0.08
    """States shorter than that are noise (the convention's shortest segment is 0.1 s)."""
    fade_s: float = 0.3
    """Grip force fades so long before slow fingers are seen to open."""
    company_m: float = 0.02
    """Displacement of the hand over the window of ``together_s`` that would leave behind what is not held."""
    company_s: float = 0.3
    """What has travelled with the hand for so long was in it."""
    travels_share: float = 0.7
    """… for that share of the time in which the hand travels, where no finger has moved yet."""
    alone_m: float = 0.05
    alone_s: float = 0.1
    """A hand that goes so far, with company for less than that, is empty."""
    least_company: float = 0.15
    """Of a load's time; company for less than that is a few frames of noise."""
    rival_share: float = 0.6
    """Of the longest company; what goes along for that share may be what is held too."""
    felt_s: float = 0.1
    """A load is felt for so long at least: no segment is shorter."""
    missing_s: float = 0.25
    """What an arm does in a gap that is longer is not known (reaction time)."""
    reach_m: float = 0.2
    """What lies so much farther from the hand than what it holds as a rule has not been grasped by it."""
    unfelt_s: float = 0.3
    """A load that is felt again within so much, with no finger moved, was never lost."""
    load_gap: float = 0.03
    """Share of the range between the fingers that tells a load from nothing."""
    pose_delays: int = 9
    """Delays of a pose that are tried, from none to the longest."""
    pose_noises: float = 4.0
    slack_m: float = 0.008
    """What lags by less than so many deviations of its pose's noise and so much has not slipped."""
    slips_s: float = 0.1
    """Shorter slips, and shorter halts of one, are noise."""
    stays_s: float = 0.2
    stays_m: float = 0.004
    """… nor has what, so long before and after, lies that near to where it lay in the hand."""
    carrying_noises: float = 3.0
    """Times the speed of rest at which a hand carries on."""
    pose_delay_s: float = 0.2
    """Object poses of camera trackers come late by up to so much (a detector at 5 to 10 images a second)."""
    grown: float = 1.5
    """Force at so many times that of the closing is pulled with."""
    strained_factor: float = 3.0
    """Grip force at so many times that of the grasp is not the gripper's."""
    eased_s: float = 0.3
    eased_share: float = 0.65
    """A grip has let up where it is below that share of what it is ``eased_s`` before and after."""
    flown_m: float = 0.02
    """Rise after which a load is free of what it stood on or in."""
    slip_share: float = 0.2
    """Relative over absolute displacement above which a load slips."""
    falls_s: float = 0.6
    """A load let go above a table has fallen for good by then (1.8 m at g)."""
    at_once_s: float = 0.1
    """Fingers that close as soon as they are open did not mean to open."""
    carrying_speed: float = 0.05
    """m/s; a hand that opens its fingers at more than that does not mean to put down."""
    fine_speed: float = 0.005
    fine_noise: float = 3.5
    """m/s, and deviations of the speed's noise: what wiggles under force moves less than a free hand."""
    turning_s: float = 0.3
    """A wiggle rests no longer where it turns."""
    wiggles_s: float = 0.1
    """Shorter motion is no wiggle."""
    wiggle_m: float = 0.004
    wiggle_most_m: float = 0.06
    """Extent of a wiggle at least, and at most: a pull goes farther."""
    wiggle_net_m: float = 0.04
    wiggle_turns: float = 2.0
    """A wiggle ends no farther than that from where it began, after a way of so many times that."""
    eases_s: float = 0.6
    """Force that comes back within so much belongs to the same struggle."""
    recoil_s: float = 0.7
    recoil_m: float = 0.01
    """A hand that has run into something moves back by more than that, within so much at the first and again so much
    (the reaction time of people and of stage controllers is a third to half a second)."""
    elsewhere_s: float = 1.0
    elsewhere_cosine: float = 0.5
    """One that was stopped goes elsewhere within so much after the touch: at more than 60° from where it was going."""
    insists_s: float = 2.0
    """Longer than people and controllers take to give way to what they have run into."""
    guard_m: float = 0.03
    leans_s: float = 0.5
    leans_share: float = 0.5
    """A hand that has rested so close by, and then presses for longer than people and controllers need to react, to the
    end at that share of its peak, came to touch."""
    stops_s: float = 0.1
    """A hand that runs into something that does not give way has stopped within so much of its speed."""
    came_m: float = 0.005
    """Way just before a touch without which nothing is run into."""
    sudden_s: float = 0.15
    sudden_newtons: float = 1.0
    sudden_share: float = 8.0
    """A bump rises by more than so many newtons plus noise deviations within ``sudden_s``."""
    set_down_m: float = 0.03
    """A load whose touch is followed by so short a way until the fingers open was being set down."""
    rested_share: float = 0.3
    """Below that share of its speed of a moment ago it has come to rest."""
    stopped_share: float = 0.4
    """What runs into something is left with less than that share of its speed."""
    same_height_s: float = 0.3
    """Half window over which strokes keep their height."""
    touched_share: float = 0.2
    """Of such a motion, in which some force must be felt where force is recorded."""
    turns_back: float = 2.2
    turns_back_felt: float = 1.8
    """Path over span of a motion that turns back on itself; less is enough where it is felt."""
    weighed_s: float = 0.5
    """A load that has left the ground hangs as heavy as it is within so much."""
    heavier_share: float = 0.5
    """By that share of its weight a load is heavier while it is carried up or round: half g is a fast arm."""
    accelerates: float = 0.5
    speeding_up: float = 0.5
    """m/s² within 60° of the motion, from which on a hand speeds up."""
    accelerated_frames: int = 5
    always_share: float = 0.25
    """What is heavy is felt in all but that share of the frames in which the hand speeds up, so many at least."""
    even_share: float = 0.5
    """Of the least acceleration, below which motion is even."""
    touches_s: float = 0.05
    """Shorter touches are noise of the sensor."""
    lets_off_s: float = 0.12
    """A touch, a stroke or company that is seen again within so much has gone on."""
    levels_s: float = 0.3
    """A stroke is level for so long at least."""
    descends_s: float = 0.2
    """A descent is looked for so long before something stops it."""
    still_fingers: float = 0.05
    moving_fingers: float = 0.3
    """Shares of a touch in which fingers do not move to speak of, and in which they do much of the time."""
    press_s: float = 0.3
    """Force held so long is work on something, not a bump."""
    hard_newtons: float = 25.0
    """What slides under a push resists with less than its weight, and such hands do not push more than 2.5 kg."""
    firm: float = 2.0
    """Mean force of strokes over the least force that stands out."""
    lifted_m: float = 0.012
    """A tool that touches again within so much, and has not risen by so much, was not lifted."""
    stroke_m: float = 0.05
    """Path under force that makes a stroke."""
    wipe_s: float = 0.6
    rub_s: float = 1.0
    """Shortest stroke with a tool, and with an empty hand that also touches for other reasons."""
    straight: float = 1.5
    """Path over its ends' distance, below which nothing turns back."""
    just_s: float = 0.25
    """Fingers that have closed or opened so shortly ago, or will so soon, have to do with a touch (reaction time)."""
    down_cosine: float = 0.7
    """Within 45° of straight down."""
    company_share: float = 0.4
    """Something moves along with the hand if it does so for that share of a touch."""
    stop_share: float = 0.004
    """Share of the range within which fingers stop again at their end: resolution and play of common grippers."""
    settles_s: float = 0.15
    """Fingers have come to rest so long after they have stopped closing."""
    steps_s: float = 1.0
    """Closings so close together, at one place, are steps of one."""
    near_share: float = 0.1
    """Of the arm's extent in the episode: so near is the same place,"""
    home_share: float = 0.1
    """… so near to where the episode began the arm has not left it,"""
    passing_way: float = 0.05
    passing_moves: float = 0.7
    passing_share: float = 0.5
    """… and fingers that close over a longer way than that, over most of which the arm moves, and at whose end it has
    more than that share of its speed, close in passing."""
    nearly_shut: float = 0.1
    """Share of the range within which fingers that are where they are told to be have shut on nothing, or on what is so
    thin."""
    gave_way: float = 0.05
    """Share of the range by which fingers close on without what kept them."""
    collapsed_share: float = 0.5
    """Fingers that close to less than that share of what they held apart hold it no more."""
    carried_share: float = 0.25
    """… an arm that goes farther than that with its fingers half shut may carry something."""
    motion: MotionSettings = MotionSettings()
    """Of movements with a load where the hand is not tracked."""
