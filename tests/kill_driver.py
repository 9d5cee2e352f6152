"""Kills runs at their durability steps and lets them go on: ``kill_driver.py FOLDER FIRST STRIDE [second | labels]``.

A step is a sync, a rename, a removal or a transaction. Each kill is a SIGKILL of a child of its own just before the
step; then the same command goes on to its end, once more killed on the way in every fifth case. Prints one JSON object.
"""

import importlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import traceback
from pathlib import Path

from sima2 import orchestrator
from sima2.io import store
from sima2.io.label_log import append_label
from sima2.pipeline import RunSettings, pass_one
from sima2.records.episodes import EpisodeTable
from sima2.records.labels import Label

SETTINGS = RunSettings(mix="stress_mix_v1", episodes=24)
SHARD = 8


class Steps:
    """Counts steps; at the one that was chosen the process dies."""

    def __init__(self, last: int | None) -> None:
        self.left, self.seen = last, 0

    def __call__(self) -> None:
        self.seen += 1
        if self.left is not None and self.seen > self.left:
            os.kill(os.getpid(), signal.SIGKILL)


def watch(step: Steps) -> None:
    """Every durability step goes through ``step`` first."""
    for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink")):
        original = getattr(owner, name)
        setattr(owner, name, lambda *args, _of=original, **more: (step(), _of(*args, **more))[1])
    connect = sqlite3.connect

    def watched(*args, **more):
        ledger = connect(*args, **more)
        ledger.set_trace_callback(lambda sql: step() if sql.lstrip().upper().startswith("COMMIT") else None)
        return ledger

    store.sqlite3.connect = watched


def in_child(out: Path, settings: RunSettings, last: int | None) -> tuple[int, int, list[str]]:
    """Run in a child; how it ended (a signal is negative), how many steps it made, and which modules it had loaded."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            step = Steps(last)
            watch(step)
            orchestrator.run_pipeline(settings, out=out)
            loaded = [name for name, module in sys.modules.items() if getattr(module, "__spec__", None)]
            with os.fdopen(write, "w") as told:
                json.dump([step.seen, loaded], told)
            code = 0
        except Exception:  # noqa: BLE001 - the parent judges by the exit code
            traceback.print_exc()
        os._exit(code)
    os.close(write)
    with os.fdopen(read) as told:
        seen, loaded = json.loads(told.read() or "[0, []]")
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), seen, loaded


def content(out: Path) -> dict[str, bytes]:
    """Every file that tells results, timings left out."""
    found = {}
    for file in sorted(out.rglob("*")):
        if file.is_file() and not file.name.startswith((".sima2", "ledger")):
            data = file.read_bytes()
            if file.name == "summary.json":
                values = json.loads(data)
                del values["seconds"]
                data = json.dumps(values).encode()
            found[str(file.relative_to(out))] = data
    return found


def say(out: Path) -> None:
    """Turn some outcomes of a finished run round."""
    with store.Store.read_only(out) as kept:
        episodes = kept.read_table(EpisodeTable, "episodes")
    for name, success in zip(episodes.episode_id.tolist()[::4], episodes.success.tolist()[::4], strict=True):
        append_label(out, Label(name, "success" if success == 0 else "failure", chosen="random"))


def main(folder: Path, first: int, stride: int, more: str) -> None:
    pass_one.SHARD_EPISODES = SHARD
    settings = SETTINGS
    before = folder / "before"
    if more:
        in_child(before, SETTINGS, None)
    if more == "second":
        settings = RunSettings(mix="stress_mix_v1", episodes=16, seed=1)
    if more == "labels":
        say(before)

    def begin(name: str) -> Path:
        out = folder / name
        if more:
            shutil.copytree(before, out)
        return out

    code, steps, loaded = in_child(begin("whole"), settings, None)
    assert code == 0
    for module in loaded:  # once, instead of in every child
        importlib.import_module(module)
    whole = content(folder / "whole")
    told = {"steps": steps, "kills": 0, "differing": []}
    for k, last in enumerate(range(first, steps, stride)):
        out = begin("cut")
        codes = [in_child(out, settings, last)[0]]
        if k % 5 == 4:
            codes.append(in_child(out, settings, 3 + last % 17)[0])
        codes.append(in_child(out, settings, None)[0])
        told["kills"] += len(codes) - 1
        now = content(out)
        wrong = sorted(name for name in {*whole, *now} if whole.get(name) != now.get(name))
        with store.Store.read_only(out) as kept:
            wrong += kept.verify()
        if wrong or codes[0] != -signal.SIGKILL or codes[-1]:
            told["differing"].append({"step": last, "codes": codes, "files": wrong})
        shutil.rmtree(out)
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), "".join(sys.argv[4:]))
