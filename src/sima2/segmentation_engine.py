"""The segmentation engine: rollouts in, labelled segments out, from raw channels alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from sima2.errors import UsageError
from sima2.records.arrays import Bools, Int64s
from sima2.records.rollout import Episodes, Goal, RolloutBatch
from sima2.records.rollout import spans as frames_between
from sima2.records.segments import Segment, SegmentTable
from sima2.records.vocabulary import LABELS, OUTCOMES, UNKNOWN
from sima2.segmentation.actions import AS_BEFORE, FAILURE_RULES, LABEL_RULES, label_actions
from sima2.segmentation.closing_verdicts import VERDICT_RULES
from sima2.segmentation.closings import closings_of
from sima2.segmentation.confidence import Confidence
from sima2.segmentation.contacts import TOUCH_RULES
from sima2.segmentation.features import Features, FeatureSettings, compute_features
from sima2.segmentation.fingers import moving_fingers
from sima2.segmentation.frames import MOST_OBJECTS, FrameBuffer
from sima2.segmentation.hand_scale import Shown, hand_scale
from sima2.segmentation.labels import GAP_RULES, LabelSettings, label_gaps, merge_short
from sima2.segmentation.motion import MotionSettings, label_motion
from sima2.segmentation.online import Kernel, SegmentStream
from sima2.segmentation.outcomes import OUTCOME_RULES, OutcomeSettings, Spans, judge
from sima2.segmentation.recoveries import RECOVERY_RULES, RecoverySettings, failed_releases, label_recoveries
from sima2.segmentation.rules import Note, RuleList, listening, note_change, reason_of, traced
from sima2.segmentation.scales import HandScale, Scales, fit_scales
from sima2.segmentation.search_moves import LookSettings, label_looks
from sima2.segmentation.signals import Ragged, alike, among
from sima2.segmentation.state_settings import StateSettings
from sima2.segmentation.states import State, States, compute_states
from sima2.segmentation.window_context import Memory, Start
from sima2.segmentation.window_joining import HandOver, Judged, Pieces, channels_used, kept, whole
from sima2.segmentation.windows import Grid, Windows, WindowSettings, gather, pasts, start_frames, start_of

__all__ = ["Segment", "SegmentTable", "SegmentationEngine"]

PART_FRAMES: Final = 1 << 16
"""Windows are worked on in parts of about so many frames, which bounds memory whatever the length of an episode."""
RULE_LISTS: Final[tuple[RuleList[Any], ...]] = (
    VERDICT_RULES,
    TOUCH_RULES,
    LABEL_RULES,
    FAILURE_RULES,
    GAP_RULES,
    RECOVERY_RULES,
    OUTCOME_RULES,
)
"""All that decides what segments are called and how they ended, in the order in which it is asked.

Each rule has a case that is not understood without it: ``tests/unit/segmentation/test_each_rule_decides.py``.
"""


@dataclass(frozen=True, slots=True)
class SegmentationEngine:
    """Frozen settings and one verb; an unfitted engine works from physical defaults.

    >>> import numpy as np
    >>> from sima2 import Rollout, RolloutBatch, SegmentationEngine
    >>> time = np.arange(40) * 0.05
    >>> still = Rollout(episode_id="e", time=time, ee_position=np.zeros((40, 3)))
    >>> batch = RolloutBatch.from_rollouts([still])
    >>> [(s.label, s.start_frame, s.end_frame) for s in SegmentationEngine().segment(batch)]
    [('idle', 0, 40)]
    """

    scales: Scales = field(default_factory=Scales)
    features: FeatureSettings = FeatureSettings()
    states: StateSettings = StateSettings()
    labels: LabelSettings = LabelSettings()
    recoveries: RecoverySettings = RecoverySettings()
    looks: LookSettings = LookSettings()
    outcomes: OutcomeSettings = OutcomeSettings()
    windows: WindowSettings = WindowSettings()
    motion: MotionSettings = MotionSettings()
    confidence: Confidence = Confidence()

    def fit(self, batches: Sequence[RolloutBatch]) -> SegmentationEngine:
        """An engine whose scales come from unlabelled rollouts of the robots at hand."""
        first = replace(self, scales=fit_scales(batches))
        first = replace(first, scales=first.scales.with_hands(first._hands(batches)))
        presses: dict[tuple[str, str], list[float]] = {}
        for batch in batches:
            robot = dict(zip(batch.episodes.episode_id, batch.episodes.robot, strict=True))
            for episode, arm, force in _wiping_forces(first.segment(batch)):
                presses.setdefault((robot[episode], arm), []).append(force)
        return replace(first, scales=first.scales.with_press_force(presses))

    def _hands(self, batches: Sequence[RolloutBatch]) -> dict[tuple[str, str], HandScale]:
        """What the closings of each arm of each robot tell of its fingers."""
        shown: dict[tuple[str, str], list[Shown]] = {}
        for batch in batches:
            for _, part in alike(batch):
                for arm in part.manipulators:
                    features = compute_features(part, arm, self.scales, self.features)
                    if features.width is None:
                        continue
                    found = closings_of(features, *moving_fingers(features, self.states), self.states)
                    robots = np.array(part.episodes.robot, object)[found.episode]
                    for robot in dict.fromkeys(robots.tolist()):
                        shown.setdefault((robot, arm), []).append(Shown.of(found, robots == robot))
        return {key: hand_scale(parts) for key, parts in shown.items()}

    def segment(self, batch: RolloutBatch) -> SegmentTable:
        """Segments of every episode and manipulator, ordered by episode, manipulator and start.

        An episode gives the same segments alone and in any batch, and the same as a stream of its frames. Labels look
        ahead by at most ``windows.look_ahead_s``; an episode shorter than that is labelled whole.
        """
        if not isinstance(batch, RolloutBatch):
            raise UsageError(
                f"segment takes a RolloutBatch, not {type(batch).__name__}: RolloutBatch.from_rollouts([...]) makes one"
            )
        parts = []
        places = []
        finals = []
        for where, sub in alike(batch):
            for table, episode, final in self._segment_alike(sub):
                parts.append(table)
                places.append(where[episode])
                finals.append(final)
        if not parts:
            return SegmentTable.empty()
        table = SegmentTable.concat(parts)
        place, final = np.concatenate(places), np.concatenate(finals)
        order = np.argsort(place, kind="stable")
        table, place, final = table.take(order), place[order], final[order]
        first = np.searchsorted(place, place)
        # numbered as they become final, which is the order in which a stream gives them
        number = np.empty(len(place), np.int64)
        number[np.lexsort((final, place))] = np.arange(len(place))
        return replace(table, segment_id=number - first)

    def explain(self, batch: RolloutBatch) -> tuple[SegmentTable, list[list[Note]]]:
        """Segments of one episode, as :meth:`segment` gives them, and what was said of each by the rules that count.

        Notes tell of the frames of the episode: who named them, who said how the segment ended, and what touches,
        closings and failed attempts lie in it. An outcome of which no rule speaks is a success, or is not claimed.
        """
        if len(batch) != 1:
            raise UsageError(f"explain takes one episode, not {len(batch)}: batch.take([k]) is one")
        told: dict[tuple[str, int], list[Note]] = {}
        with traced() as trace:
            for _, sub in alike(batch):
                begin = self.windows.grid(Ragged(sub.offset, sub.time).period).windows(sub.length).begin.tolist()
                for table, _, final in self._segment_alike(sub, part_frames=1):
                    passes = [notes for arm, notes in trace.passes if len(table) and arm == table.manipulator[0]]
                    for segment, window in zip(table, final.tolist(), strict=True):
                        told[segment.manipulator, segment.start_frame] = _said_of(
                            segment, passes[window], begin[window]
                        )
        table = self.segment(batch)
        return table, [told[each.manipulator, each.start_frame] for each in table]

    def stream(
        self,
        episode_id: str = "stream",
        *,
        episode_index: int = 0,
        robot: str = UNKNOWN,
        goal: Goal | None = None,
        objects: Sequence[str] = (),
    ) -> SegmentStream:
        """Open the online form: push frames, get segments once they are final.

        The frames give the same segments as their whole episode gives in a batch, in whatever chunks they come.

        Args:
            episode_id: as the segments bear it.
            episode_index: likewise, the source's own number of the episode.
            robot: by which the fitted scales are looked up.
            goal: of the episode; tells whether what is placed lies where it should.
            objects: names by slot of objects that may come later; others get their slot at first sight.

        >>> import numpy as np
        >>> stream = SegmentationEngine().stream("e")
        >>> for k in range(40):
        ...     _ = stream.push({"time": k * 0.05, "ee_position": np.zeros(3)})
        >>> [(s.label, s.start_frame, s.end_frame) for s in stream.finish()]
        [('idle', 0, 40)]
        """
        names = tuple(dict.fromkeys(objects))
        if len(names) != len(objects) or len(names) > MOST_OBJECTS:
            raise UsageError(f"objects holds {len(objects)} names: give each of at most {MOST_OBJECTS} once")
        episodes = Episodes(
            episode_id=(episode_id,),
            episode_index=np.array([episode_index], np.int64),
            family=(UNKNOWN,),
            robot=(robot,),
            policy=(UNKNOWN,),
            session=(UNKNOWN,),
            instruction=("",),
            goal=(goal,),
            debug_mode=np.zeros(1, np.bool_),
            provenance=({},),
        )
        kernel = Kernel(self.windows, self.features, self.labels.shortest_s, self.judged, self._start)
        return SegmentStream(kernel, FrameBuffer(episodes, names))

    def _segment_alike(
        self, batch: RolloutBatch, part_frames: int = PART_FRAMES
    ) -> Iterator[tuple[SegmentTable, Int64s, Int64s]]:
        """Segments of each arm of episodes of one layout, the episode of each, and the window that made it final."""
        grid = self.windows.grid(Ragged(batch.offset, batch.time).period)
        windows = grid.windows(batch.length)
        for arm in batch.manipulators:
            if len(windows) == len(batch):
                judged = self.judged(batch, arm, None)
                pieces = whole(judged, batch.manipulators[arm])
            else:
                judged, pieces = self._windowed(batch, arm, grid, windows, part_frames)
            used = channels_used(judged.features)
            table = pieces.table(batch.episodes, arm, batch.objects, used, np.arange(len(pieces)))
            yield table, pieces.episode, pieces.window

    def _windowed(
        self, batch: RolloutBatch, arm: str, grid: Grid, windows: Windows, part_frames: int
    ) -> tuple[Judged, Pieces]:
        """Segments of episodes of which some are cut into windows."""
        long = np.flatnonzero(np.bincount(windows.episode) > 1)
        head = np.zeros(len(batch), np.int64)
        head[long] = start_frames(grid, self.features)[long]
        begun = self._start(batch.prefix(head).take(long), arm)
        start = Start.untold(grid.period, begun.object_noise.shape[1]).put(long, begun)
        past = pasts(batch, arm, grid, windows, self.features)
        before, found, joins = HandOver(), [], []
        for part in windows.parts(part_frames):
            some = windows.take(part)
            view = gather(batch, some)
            memory = Memory(start.take(some.episode), past.take(part))
            judged = self.judged(view, arm, memory)
            pieces, goes_on, before = kept(judged, view.manipulators[arm], some, before, self.labels.shortest_s)
            found.append(pieces)
            joins.append(goes_on)
        return judged, Pieces.concat(found).joined(np.concatenate(joins))

    def _start(self, batch: RolloutBatch, arm: str) -> Start:
        return start_of(compute_features(batch, arm, self.scales, self.features))

    def judged(self, batch: RolloutBatch, arm: str, memory: Memory | None = None) -> Judged:
        """What the parts of the engine make of one arm of a batch whose episodes recorded the same channels.

        Every episode is labelled whole, however long, unless ``memory`` says that it is a window of one.
        """
        if (trace := listening()) is not None:
            trace.began(arm)
        features = compute_features(batch, arm, self.scales, self.features, memory)
        states = compute_states(features, self.states)
        action, failed = label_actions(features, states, self.labels)
        # what failed is fully known only once it has been judged, and what follows a failure is a recovery
        before = failed_releases(features, action, failed)
        spans = self._spans(batch, features, states, action, failed, before)
        judged = among(spans.outcome, (OUTCOMES.index("failure"), OUTCOMES.index("retry")))
        known = failed_releases(features, action, failed | np.repeat(judged, spans.stop - spans.start))
        if features.grip is None and features.contact is None and features.object_position is None:
            # movements of which nothing else is known neither fail nor follow a failure, so they are parted last
            spans = self._spans(batch, features, states, action, failed, known, movements=True)
            return Judged(features, *self.confidence.judged(features, spans))
        ragged = features.ragged
        again = np.unique(ragged.episode[known != before])
        if len(again):
            rows = frames_between(ragged.offset[again], batch.length[again])
            seen = batch.take(again), features.take(again, rows), states.take(rows)
            some = self._spans(*seen, action[rows], failed[rows], known[rows])
            spans = spans.put(again, some, ragged.offset)
        return Judged(features, *self.confidence.judged(features, spans))

    def _spans(
        self,
        batch: RolloutBatch,
        features: Features,
        states: States,
        action: Int64s,
        failed: Bools,
        known_failed: Bools,
        *,
        movements: bool = False,
    ) -> Spans:
        if (trace := listening()) is not None:
            trace.began_segments()
        label = label_gaps(features, states, action, known_failed, self.labels)
        label = label_recoveries(features, states, label, known_failed, self.recoveries)
        told, in_vain = label_looks(batch, features, states, label, self.looks)
        note_change("label", label_looks, label, told, LABELS)
        label, told = told, merge_short(told, features, self.labels)
        note_change("label", merge_short, label, told, LABELS)
        label, edge = told, None
        if movements:
            still = states.code == State.STILL
            label, edge = label_motion(features, told, still, self.motion, self.labels.idle_s)
            note_change("label", label_motion, told, label, LABELS)
        return judge(batch, features, states, label, failed, self.outcomes, edge, in_vain)


def _said_of(segment: Segment, notes: Sequence[Note], begin: int) -> list[Note]:
    """What of the notes of a window that begins at some frame is about a segment and counts, its own frames."""
    moved = [note._replace(start=note.start + begin, stop=note.stop + begin) for note in notes]
    inside = [note for note in moved if note.start < segment.end_frame and note.stop > segment.start_frame]
    named: dict[int, Note] = {}
    for note in inside:
        if note.about == "label" and note.says in (segment.label, AS_BEFORE):
            frames = range(max(note.start, segment.start_frame), min(note.stop, segment.end_frame))
            named |= dict.fromkeys(frames, note)
    ended = [note for note in inside if note.about == "outcome" and note.stop == segment.end_frame]
    said = [note for note in inside if note.about not in ("label", "outcome")]
    if segment.outcome == "unknown" and not any(note.says == "unknown" for note in ended):
        because = reason_of(Pieces.claimed)
        ended.append(Note("outcome", "unknown", "not claimed", because, segment.start_frame, segment.end_frame, ()))
    return [*dict.fromkeys(named.values()), *ended, *said]


def _wiping_forces(table: SegmentTable) -> Iterator[tuple[str, str, float]]:
    """Episode, manipulator and mean external force in N of each wipe."""
    wipes = table.take(
        np.flatnonzero(table.label.isin("wipe") & np.isfinite(table.impulse) & (table.end_t > table.start_t))
    )
    force = wipes.impulse / (wipes.end_t - wipes.start_t)
    yield from zip(wipes.episode_id, wipes.manipulator, force.tolist(), strict=True)
