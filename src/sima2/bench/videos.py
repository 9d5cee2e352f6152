"""Whether faults of videos are found and sound ones left alone: sets whose pictures are drawn from their motion."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from sima2.bench import video_sets
from sima2.bench.figures import Progress, Rows, quiet, told, verdict, words
from sima2.bench.recorded_sets import recipe_named
from sima2.bench.recordings_maker import make_set
from sima2.bench.video_sets import CODERS, KINDS, Look, Planted
from sima2.cameras import CameraPass, look_at, moments_for, open_videos
from sima2.client import Sima2Client
from sima2.pipeline import ShardTask, calibrate, first_pass, judged
from sima2.records.defects import DefectTable, EpisodeMeasures

EPISODES: Final = 45
"""Of each set with faults: three of each kind, and two thirds of all videos as they should be."""
CAMERAS: Final = ("scene", "wrist", "away")
LEAST_FOUND: Final = 0.95
THUMB_COST: Final = 1.5
MOST_FILES: Final = 25
"""Of a set of videos on which that is measured."""


class Set(NamedTuple):
    """A set that is judged."""

    name: str
    recipe: str
    look: Look
    faults: bool


def sets() -> list[Set]:
    """A set of each codec with faults, and sound ones that look strange."""
    av1, h264, long, mpeg4 = CODERS
    faulty = [
        Set("av1", "so101_cube", Look(av1), True),
        Set("h264", "aloha_transfer", Look(h264), True),
        Set("h264, one key picture in 250", "koch_bricks", Look(long), True),
        Set("mpeg4", "franka_drawer", Look(mpeg4), True),
    ]
    sound = [
        Set("dark room", "so100_pens", Look(h264, light=0.12), False),
        Set("uneven clock", "xarm_sponge", Look(h264, jitter=0.2), False),
        Set("shared files", "so101_cube", Look(long, shared=True), False),
        Set("10 Hz", "panda_states", Look(av1), False),
        Set("idle", "g1_bottle", Look(mpeg4), False),
    ]
    return faulty + sound


def run(
    progress: Progress = quiet, *, episodes: int = EPISODES, seed: int = 0, data: Sequence[Path] = ()
) -> dict[str, Any]:
    """Make the sets, look at them, and hold what is told against what was planted.

    Args:
        progress: told what is done.
        episodes: of each set with faults; the sound ones have a third.
        seed: of all that is made.
        data: folders of videos on which the cost of thumbnails is measured; drawn ones if not given.

    Raises:
        MissingExtraError: if PyAV is not installed.
    """
    from sima2.video.reader import need_av

    need_av("PyAV, which draws and reads the videos of this bench,")
    planted: Counter[str] = Counter()
    found: Counter[str] = Counter()
    wrong: list[str] = []
    clean = pictures = unpacked = 0
    seconds = 0.0
    for k, each in enumerate(sets()):
        progress(each.name)
        count = episodes if each.faults else max(episodes // 3, 8)
        with tempfile.TemporaryDirectory() as folder:
            faults = made(Path(folder) / "set", each, count, [seed, k])
            findings, looked = looked_at(Path(folder) / "set")
        faulty = {(fault.camera, fault.episode): fault.kind for fault in faults}
        for (camera, episode), kinds in _by_video(findings, count).items():
            fault = faulty.get((camera, episode))
            if fault is None:
                clean += 1
                wrong += [f"{each.name}: episode {episode} camera {camera}: {kind}" for kind in sorted(kinds)]
            else:
                planted[fault] += 1
                found[fault] += bool(kinds & set(video_sets.TOLD_AS[fault]))
        pictures += int(looked.cameras.pictures.sum())
        unpacked += int(looked.cameras.decoded.sum())
        seconds += looked.seconds
    recall = {kind: found[kind] / planted[kind] for kind in KINDS if planted[kind]}
    targets = {f"{kind} found": verdict(share, LEAST_FOUND, "at least") for kind, share in recall.items()}
    targets["false alarms"] = verdict(len(wrong), 0, "at most")
    cost = cost_of_thumbnails(data)
    targets |= {f"thumbnails of {name}": verdict(value, THUMB_COST, "at most") for name, value in cost.items()}
    return {
        "episodes": episodes,
        "seed": seed,
        "planted": dict(planted),
        "found": recall,
        "clean_videos": clean,
        "false_alarms": wrong,
        "thumbnail_cost": cost,
        "unpacked_share": unpacked / max(pictures, 1),
        "cpu_ms_per_picture": 1e3 * seconds / max(pictures, 1),
        "targets": targets,
    }


def _by_video(findings: DefectTable, episodes: int) -> dict[tuple[str, int], set[str]]:
    """What is told of each camera's video of an episode; what is told of a whole camera, of all of its videos."""
    cells = {(name, episode): set[str]() for name in CAMERAS for episode in range(episodes)}
    for kind, index, details in zip(findings.defect, findings.episode_index.tolist(), findings.details, strict=True):
        if kind.startswith("video_"):
            camera = details.split(" ")[1].rstrip(":")
            for episode in [index] if index >= 0 else range(episodes):
                cells[camera, episode].add(kind)
    return cells


def rows(values: Mapping[str, Any]) -> Rows:
    """Figures, results and targets as text."""
    targets = values["targets"]
    out = [
        (f"{words(kind)} ({values['planted'][kind]})", f"{share:.1%}", told(targets[f"{kind} found"]))
        for kind, share in values["found"].items()
    ]
    alarms = f"false alarms in {values['clean_videos']} sound videos"
    out.append((alarms, str(len(values["false_alarms"])), told(targets["false alarms"])))
    for name, cost in values["thumbnail_cost"].items():
        limit = told(targets[f"thumbnails of {name}"])
        out.append((f"cost of thumbnails over unpacking alone, {name}", f"{cost:.2f}", limit))
    out.append(("pictures unpacked", f"{values['unpacked_share']:.0%}", ""))
    return [*out, ("CPU for each picture", f"{values['cpu_ms_per_picture']:.2f} ms", "")]


def made(root: Path, each: Set, episodes: int, seed: Sequence[int]) -> list[Planted]:
    """Make a set with its videos; the faults that were planted, each in one camera of an episode."""
    number = seed[0] * 100 + seed[1]
    make_set(root, recipe_named(each.recipe), episodes, number)
    if each.look.jitter:
        video_sets.jittered(root, each.look.jitter, number)
    faults: list[Planted] = []
    if each.faults:
        order = np.random.default_rng([*seed, 1]).permutation(episodes).tolist()
        for k, episode in enumerate(order):
            faults.append(Planted(episode, CAMERAS[k // len(KINDS) % 2], KINDS[k % len(KINDS)]))
    video_sets.add_cameras(root, each.look, CAMERAS, faults, number)
    if each.look.shared:
        video_sets.share_files(root)
    return faults


def looked_at(root: Path) -> tuple[DefectTable, CameraPass]:
    """All that is told of a set, as a run tells it."""
    source = Sima2Client("dataset", path=root).source()
    first = first_pass(ShardTask(source, calibrate(source), 0, 0, source.episodes, source.episodes))
    videos = open_videos(root)
    moments = moments_for(first.episodes, first.segments, len(videos.cameras))
    batch = source.read(0, source.episodes).batch
    begin = time.process_time()
    looked = look_at(videos, first.episodes, batch, moments)
    looked = replace(looked, seconds=time.process_time() - begin)
    return judged(looked.findings, EpisodeMeasures.empty(), [looked.cameras]), looked


def thumbnail_cost(files: Sequence[Path], frames: int = 6) -> float:
    """CPU time of getting the pictures of thumbnails over that of unpacking those that have to be, and nothing else.

    Those that have to be are the pictures from the key picture before each on. One seeks them in the file, the other
    unpacks packets that are in memory, one after the other; both on one thread.

    Args:
        files: videos.
        frames: thumbnails of each, evenly spread.
    """
    import av

    from sima2.video.reader import groups_of, pictures, read_packets
    from sima2.video.video_settings import VideoSettings

    settings = VideoSettings()
    ours = plain = 0.0
    for file in files:
        packets = read_packets(file, settings)
        count = len(packets.pts)
        wanted = sorted({round(k * (count - 1) / (frames - 1)) for k in range(frames)})
        needed = {p for start, places in groups_of(packets.key, wanted) for p in range(start, places[-1] + 1)}
        keep = {int(packets.pts[p]) for p in needed}
        with av.open(str(file)) as held:
            stream = held.streams.video[0]
            taken = [packet for packet in held.demux(stream) if packet.pts is not None and int(packet.pts) in keep]
            stream.codec_context.thread_count = 1
            begin = time.process_time()
            for packet in taken:
                packet.decode()
            stream.codec_context.decode(None)
            plain += time.process_time() - begin
        begin = time.process_time()
        for _ in pictures(packets, wanted, settings, lambda _: None):
            pass
        ours += time.process_time() - begin
    return ours / plain if plain else 0.0


def cost_of_thumbnails(data: Sequence[Path]) -> dict[str, float]:
    """The same for each codec of drawn videos of the size of recorded ones, or for each set of videos that is given."""
    cost = {path.name: thumbnail_cost(sorted(path.rglob("*.mp4"))[:MOST_FILES]) for path in data}
    if cost:
        return cost
    rng = np.random.default_rng(0)
    wall = np.kron(rng.uniform(30, 220, (60, 80)), np.ones((8, 8))).astype(np.float32)
    noise = [rng.normal(0, video_sets.NOISE, wall.shape).astype(np.float32) for _ in range(8)]
    for coder in CODERS:
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / f"{k}.mp4" for k in range(3)]
            for file in files:
                shown = (np.roll(wall, 3 * k, axis=1) + noise[k % 8] for k in range(240))
                video_sets.write_video(file, shown, 30.0, coder)
            cost[coder.name] = thumbnail_cost(files)
    return cost
