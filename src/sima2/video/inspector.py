"""The verb of the second look: the pictures of one camera over one episode → findings, measures, small pictures."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from sima2.errors import DataError
from sima2.records.arrays import Bools, Float32s, Float64s
from sima2.records.video import Clip
from sima2.video.images import small, unpacked
from sima2.video.picture_checks import (
    LAGS,
    Grid,
    Motion,
    Stand,
    agreement,
    black_spans,
    even_looks,
    exact,
    grid_of,
    repeats,
    stands,
    stretches,
)
from sima2.video.picture_features import brightness, coarse_colours
from sima2.video.reader import Packets, VideoError, pictures, read_packets
from sima2.video.thumbnail_choice import Moment, within
from sima2.video.video_settings import VideoSettings

LONGEST_STAND: int = 900
"""Pictures around a stand that are looked at one by one: 30 s at 30 Hz."""


class Told(NamedTuple):
    """A finding of one camera in one episode."""

    defect: str
    severity: float
    start: int
    end: int
    value: float
    unit: str
    details: str


class Thumbnail(NamedTuple):
    """A small picture."""

    moment: Moment
    media_type: str
    data: str
    """base64."""


@dataclass(slots=True, eq=False)
class Looked:
    """What was found in the pictures of one camera over one episode."""

    told: list[Told] = field(default_factory=list)
    thumbnails: list[Thumbnail] = field(default_factory=list)
    last: Float32s | None = None
    """Coarse colours of the last picture, shape (192,)."""
    pictures: int = 0
    clock: float = np.nan
    decoded: int = 0
    moving: int = 0
    standing: int = 0
    stand: tuple[int, int] = (0, 0)
    stand_spans: int = 0
    repeats: float = 0.0
    agreement: Float32s = field(default_factory=lambda: np.full(len(LAGS), np.nan, np.float32))


class Rows(Protocol):
    """Reads packed pictures that are rows of a table."""

    def __call__(self, clip: Clip, frames: Sequence[int], /) -> dict[int, bytes]:
        """By frame, those that are there."""
        ...


class _Pictures(Protocol):
    """The pictures of an episode."""

    count: int

    @property
    def key(self) -> Bools:
        """Whether each needs no other, shape (count,)."""
        ...

    def get(self, frames: Sequence[int], trouble: Callable[[str], None]) -> Iterator[tuple[int, Any]]:
        """Pictures by frame."""
        ...


@dataclass(slots=True, eq=False)
class _Video:
    packets: Packets
    first: int
    count: int
    settings: VideoSettings

    @property
    def key(self) -> Bools:
        return self.packets.key[self.first : self.first + self.count]

    def get(self, frames: Sequence[int], trouble: Callable[[str], None]) -> Iterator[tuple[int, Any]]:
        places = [self.first + frame for frame in frames]
        for place, frame in pictures(self.packets, places, self.settings, trouble):
            yield place - self.first, frame


@dataclass(slots=True, eq=False)
class _Images:
    clip: Clip
    rows: Rows
    count: int
    settings: VideoSettings

    @property
    def key(self) -> Bools:
        return np.ones(self.count, np.bool_)

    def get(self, frames: Sequence[int], trouble: Callable[[str], None]) -> Iterator[tuple[int, Any]]:
        try:
            packed = self.rows(self.clip, frames)
        except DataError as error:
            trouble(str(error))
            return
        for frame in frames:
            try:
                if frame in packed:
                    yield frame, unpacked(packed[frame], self.settings)
            except VideoError as error:
                trouble(str(error))


class VideoInspector:
    """Looks at the pictures of episodes; of a file that several share the packets are listed once."""

    def __init__(self, settings: VideoSettings | None = None) -> None:
        self.settings = settings or VideoSettings()
        self._listed: Packets | VideoError | None = None
        self._of: object = None

    def inspect(self, clip: Clip, rows: Rows, time: Float64s, motion: Motion, moments: Sequence[Moment]) -> Looked:
        """What the pictures of a camera show over an episode.

        Args:
            clip: where they lie.
            rows: reads those that lie in a table.
            time: of the episode's frames, s, shape (t,).
            motion: of its robot.
            moments: of which small pictures are wanted.
        """
        found = Looked()
        frames = len(time)
        if clip.in_rows:
            source: _Pictures = _Images(clip, rows, frames, self.settings)
        else:
            try:
                packets = self._packets(clip)
            except VideoError as error:
                found.told.append(Told("video_unreadable", 1.0, 0, frames, 1.0, "of the video", str(error)))
                return found
            first, stop = packets.within(clip)
            found.told += _unreadable(packets, stop - first, frames)
            found.clock = _clock(packets, first, stop, time)
            source = _Video(packets, first, min(stop - first, frames), self.settings)
            found.pictures = max(stop - first, 0)
        if clip.in_rows:
            found.pictures = frames
        if source.count >= 1:
            _Look(source, clip.fps, motion, found, self.settings).run(moments)
        return found

    def _packets(self, clip: Clip) -> Packets:
        if self._of != clip.path:
            try:
                self._listed, self._of = read_packets(clip.path, self.settings), clip.path
            except VideoError as error:
                self._listed, self._of = error, clip.path
        if isinstance(self._listed, Packets):
            return self._listed
        raise VideoError(str(self._listed))


def _unreadable(packets: Packets, count: int, frames: int) -> Iterator[Told]:
    """What the packets alone tell of a file that cannot be read to its end."""
    if packets.problem or count < 1:
        words = packets.problem or "no picture lies within the episode's time"
        lost = 1.0 - min(max(count, 0), frames) / max(frames, 1)
        yield Told("video_unreadable", lost, min(max(count, 0), frames), frames, lost, "of the video", words)


def _clock(packets: Packets, first: int, stop: int, time: Float64s) -> float:
    """Time that the pictures take over that of as many frames."""
    both = min(len(time), stop - first) - 1
    if both < 1:
        return np.nan
    video, table = (float(x[both] - x[0]) for x in (packets.time[first:stop], time))
    return video / table if table > 0 else np.nan


@dataclass(slots=True, eq=False)
class _Look:
    """One look at one camera of one episode."""

    source: _Pictures
    fps: float
    motion: Motion
    found: Looked
    settings: VideoSettings
    cells: dict[int, Float32s] = field(default_factory=dict)
    trouble: list[str] = field(default_factory=list)
    asked: set[int] = field(default_factory=set)

    def run(self, moments: Sequence[Moment]) -> None:
        settings, found, count = self.settings, self.found, self.source.count
        looks = even_looks(count, self.fps, self.source.key, settings)
        closely = stretches(self.motion, count, self.fps, settings)
        shown = within(moments, count)
        self._unpack(
            {*looks, *(each.frame for each in shown), *(k for start, stop in closely for k in range(start, stop))},
            shown,
        )
        found.decoded = len(self.asked)
        found.told += self._undecodable()
        black = black_spans({k: self.cells[k] for k in looks if k in self.cells}, count, self.fps, settings)
        for span in black:
            words = f"shows nothing from frame {span.start} to {span.stop}"
            found.told.append(
                Told("video_black", span.value, span.start, span.stop, span.value, "of its pictures", words)
            )
        grid = grid_of(self.cells, looks, self.motion, settings)
        found.moving, found.standing = int(grid.moving.sum()), int((grid.moving & grid.standing).sum())
        self._stands([self._exact(near, grid) for near in stands(grid, self.fps, settings)])
        start, stop = found.stand
        found.stand_spans = int((grid.moving & (grid.start >= start) & (grid.stop <= stop)).sum())
        found.repeats, _ = repeats(self.cells, closely, self.motion, settings)
        found.agreement = agreement(self.cells, closely, self.motion, self.fps, settings)

    def _unpack(self, frames: set[int], shown: Sequence[Moment] = ()) -> None:
        wanted = sorted(frames - self.asked)
        self.asked.update(wanted)
        at = {each.frame: each for each in shown}
        for k, picture in self.source.get(wanted, self.trouble.append):
            self.cells[k] = brightness(picture)
            if k == self.source.count - 1 and self.found.last is None:
                self.found.last = coarse_colours(picture)
            if k in at:
                try:
                    kind, data = small(picture, self.settings)
                except VideoError as error:
                    self.trouble.append(str(error))
                    continue
                self.found.thumbnails.append(Thumbnail(at[k], kind, base64.b64encode(data).decode()))

    def _undecodable(self) -> Iterator[Told]:
        lost = sorted(self.asked - self.cells.keys())
        if lost:
            share = len(lost) / len(self.asked)
            why = self.trouble[0] if self.trouble else "absent"
            words = f"{len(lost)} of {len(self.asked)} pictures cannot be unpacked: {why}"
            yield Told("video_unreadable", share, lost[0], lost[-1] + 1, share, "of the pictures looked at", words)

    def _exact(self, near: tuple[int, int], grid: Grid) -> Stand | None:
        around = round(self.fps)
        start, stop = max(0, near[0] - around), min(self.source.count, near[1] + around)
        if stop - start > LONGEST_STAND:
            edges = {*range(start, near[0] + around), *range(near[1] - around, stop), *range(near[0], near[1], around)}
        else:
            edges = set(range(start, stop))
        self._unpack(edges & set(range(self.source.count)))
        self.found.decoded = len(self.asked)
        if near[0] not in self.cells:
            return None
        return exact(self.cells, near, grid, self.source.count, self.fps, self.settings)

    def _stands(self, found: Sequence[Stand | None]) -> None:
        """Stands that a leap ends are told; the longest that lasts to the end is left to the judge.

        Of others nothing tells that the camera stood: what moved was out of its sight.
        """
        for each in dict.fromkeys(filter(None, found)):
            length = each.stop - each.start
            least = self.settings.stand_moving * self.settings.stand_s
            if each.leap >= 2 * self.settings.leap:
                least /= 2  # what went on meanwhile shows by itself
            if length < self.settings.stand_s * self.fps or each.moved_s < least:
                continue
            if each.leap >= self.settings.leap:
                self.found.told.append(frozen(each.start, each.stop, self.source.count, self.fps, each.leap))
            elif each.stop >= self.source.count and length > self.found.stand[1] - self.found.stand[0]:
                self.found.stand = (each.start, each.stop)


def frozen(start: int, stop: int, frames: int, fps: float, leap: float = 0.0) -> Told:
    """The finding that a picture stands while the robot moves."""
    then = f", then leaps by {leap:.1f} times what changes from one picture to the next" if leap else ""
    words = f"stands for {(stop - start) / fps:.1f} s while the robot moves{then}"
    return Told("video_frozen", (stop - start) / max(frames, 1), start, stop, (stop - start) / fps, "s", words)
