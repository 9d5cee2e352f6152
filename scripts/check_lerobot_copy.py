"""Whether LeRobot itself opens data sets, frame by frame: a check of the copies that `sima2 export --lerobot` writes.

    python scripts/check_lerobot_copy.py COPY ... [--source SOURCE]

Run it with a Python that has LeRobot: 0.3.3 opens v2.1, 0.4 to 0.6 open v3.0 (0.5 and later want Python 3.12); neither
is needed by sima2, so this is no part of the tests. It uses numpy and LeRobot, not sima2. With --source, kept rows are
held against that set's by what `meta/sima2.json` says. Exit code 0 fine, 1 a set is not as it should be, 3 not run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

NOT_RUN = 3
TOLERANCE = 0.02
"""Seconds by which frames may lie off an even rate: recordings of people do, and LeRobot refuses them by default."""
NUMBERED = ("timestamp", "frame_index", "episode_index", "index")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("copies", nargs="+", type=Path)
    parser.add_argument("--source", type=Path)
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import lerobot
        from lerobot.datasets.lerobot_dataset import LeRobotDataset
    except ImportError as error:
        print(f"NOT RUN: LeRobot cannot be imported here ({error})")
        return NOT_RUN
    decoder = with_a_decoder()
    bad = 0
    for root in options.copies:
        problems, told = check(LeRobotDataset, root, options.source)
        verdict = f"{len(problems)} PROBLEMS" if problems else "fine"
        print(f"{root.name}: {told}; {verdict} (LeRobot {lerobot.__version__}, {decoder})")
        for each in problems[:5]:
            print(f"  {each}")
        bad += bool(problems)
    return int(bool(bad))


def with_a_decoder() -> str:
    """What decodes videos: where torchvision has no reader any more, PyAV by the times of pictures, as LeRobot 0.6."""
    import torchvision

    if hasattr(getattr(torchvision, "io", None), "VideoReader"):
        return "its own decoder"
    from lerobot.datasets import lerobot_dataset

    if hasattr(lerobot_dataset, "decode_video_frames"):
        lerobot_dataset.decode_video_frames = decoded
        return "pictures by PyAV"
    return "its own decoder"


def decoded(path: Path, timestamps: list[float], tolerance_s: float, backend: str | None = None) -> object:
    """Pictures shown at these times, shape (n, channels, height, width)."""
    import av
    import torch

    found = {}
    with av.open(str(path)) as held:
        for frame in held.decode(video=0):
            for at in timestamps:
                if abs(frame.time - at) <= tolerance_s and at not in found:
                    found[at] = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1) / 255
            if frame.time > max(timestamps) + tolerance_s:
                break
    if len(found) < len(set(timestamps)):
        raise ValueError(f"{path} shows nothing at {sorted(set(timestamps) - set(found))} s")
    return torch.stack([found[at] for at in timestamps])


def check(reader: type, root: Path, source: Path | None) -> tuple[list[str], str]:
    """What is wrong with a set, and what was looked at."""
    import numpy as np

    info = json.loads((root / "meta/info.json").read_text())
    there = any((root / "videos").rglob("*.mp4"))
    copy = whole(reader, root, root) if there else without_videos(reader, root)
    problems = []
    if copy.num_episodes != info["total_episodes"] or len(copy) != info["total_frames"]:
        problems.append(f"{copy.num_episodes} episodes of {len(copy)} frames, info.json says otherwise")
    table = copy.hf_dataset.data.table
    numbers = {name: np.array(table.column(name)).reshape(-1) for name in NUMBERED if name in table.column_names}
    if not np.array_equal(numbers["index"], np.arange(len(copy))):
        problems.append("index is not counted through")
    edges = np.flatnonzero(np.diff(numbers["episode_index"])) + 1
    begin, end = np.r_[0, edges], np.r_[edges, len(copy)]
    if not np.array_equal(numbers["episode_index"][begin], np.arange(info["total_episodes"])):
        problems.append("episode_index is not counted through")
    stats = copy.meta.stats
    for name, kept in stats.items():
        if name in table.column_names and info["features"][name]["dtype"].startswith(("float", "int")):
            values = np.array(table.column(name).to_pylist(), np.float64).reshape(len(copy), -1)
            for key in ("min", "max", "mean"):
                made = getattr(np, key)(values, axis=0)
                if not np.allclose(np.asarray(kept[key], np.float64).reshape(-1), made, rtol=1e-3, atol=1e-3):
                    problems.append(f"stats of {name}: {key} is {kept[key]}, the rows say {made}")
    pictures = 0
    for a, b in zip(begin.tolist(), end.tolist(), strict=True):
        for at in {a, (a + b) // 2, b - 1}:
            try:
                item = copy[at]
            except Exception as error:  # noqa: BLE001 - whatever LeRobot raises is a finding
                problems.append(f"frame {at}: {type(error).__name__}: {str(error)[:200]}")
                continue
            pictures += sum(name in copy.meta.video_keys for name in item)
    if source is not None:
        problems += against(root, source, there)
    told = f"{info['codebase_version']}, {copy.num_episodes} episodes, {len(copy)} frames, {pictures} pictures"
    return problems, told


def whole(reader: type, name: Path, root: Path) -> object:
    """A set as LeRobot opens it."""
    return reader(f"local/{name.name}", root=root, download_videos=False, tolerance_s=TOLERANCE)


def without_videos(reader: type, root: Path) -> object:
    """A set whose videos are missing, opened as one without: its pictures are left out of what it declares."""
    import shutil
    import tempfile

    twin = Path(tempfile.mkdtemp()) / root.name
    shutil.copytree(root, twin)
    info = json.loads((twin / "meta/info.json").read_text())
    info["features"] = {name: each for name, each in info["features"].items() if each["dtype"] != "video"}
    (twin / "meta/info.json").write_text(json.dumps(info))
    return whole(reader, root, twin)


def against(root: Path, source: Path, there: bool) -> list[str]:
    """Rows and pictures of the copy against those of its source, by what it says of itself."""
    import numpy as np
    import pyarrow.parquet as pq

    def rows(folder: Path) -> dict[int, dict[str, list]]:
        found: dict[int, dict[str, list]] = {}
        for file in sorted((folder / "data").glob("*/*.parquet")):
            table = pq.read_table(file)
            columns = {name: table.column(name).to_pylist() for name in table.column_names}
            for at, number in enumerate(columns["episode_index"]):
                held = found.setdefault(number, {name: [] for name in columns})
                for name, values in columns.items():
                    held[name].append(values[at])
        return found

    old, new, problems = rows(source), rows(root), []
    for each in json.loads((root / "meta/sima2.json").read_text())["episodes"]:
        span = slice(each["keep_start_frame"], each["keep_end_frame"])
        held, made = old[each["episode_index"]], new[each["new_episode_index"]]
        for name, values in made.items():
            if name not in NUMBERED and values != held[name][span] and values == values:
                problems.append(f"episode {each['new_episode_index']}: {name} differs from the source's")
        if abs(made["timestamp"][0]) > 1e-6 and span.start:
            problems.append(f"episode {each['new_episode_index']} begins at {made['timestamp'][0]} s")
        steps = np.diff(held["timestamp"][span]) - np.diff(made["timestamp"])
        if len(steps) and np.abs(steps).max() > 1e-4:
            problems.append(f"episode {each['new_episode_index']}: its steps in time differ")
    return problems


if __name__ == "__main__":
    sys.exit(main())
