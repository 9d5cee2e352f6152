"""Whether the wheel alone keeps what README and docs/ promise: in fresh environments, outside the checkout.

    python scripts/try_wheel.py             the core: every command of the program
    python scripts/try_wheel.py --extras    each extra beside the core, and the core on the newest Python there is

Plain Python: what is tried runs in processes of the environments. Exits with 1 if anything is not as in the tables.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
RECORDING: Final = ROOT.parent / "shared/data/lerobot_v21_g1"
LOG_OF_A_CELL: Final = ROOT.parent / "shared/data/ur3_cobotops/ur3.csv"
MOST_MB: Final = 400
"""Of the core install, 363 when this was set: room for new releases, none for another large package."""
LONGEST_S: Final = 300.0
"""A line takes seconds; one that takes so long hangs."""
NOISE: Final = re.compile(r"Traceback|\w*Warning\b")
"""What no user should find on stderr."""


@dataclass(frozen=True, slots=True)
class Line:
    """A command, and what must come of it."""

    command: str
    """A program of the environment and its arguments."""
    exits: tuple[int, ...] = (0,)
    says: str = ""
    """Part of what it prints; any white space is one space."""
    makes: str = ""
    """A file that is there afterwards."""
    needs: Path = ROOT
    """Where this is absent, the line is skipped."""


def on_results(out: str, needs: Path = ROOT) -> Iterator[Line]:
    """Every command that looks at a folder of results."""
    looks = "trust audit plan episodes query label proposals report quarantine doctor sample"
    for command in looks.split():
        yield Line(f"sima2 {command} {out}", needs=needs)
    yield Line(f"sima2 explain {out} 0", needs=needs)
    yield Line(f"sima2 sample {out} --objective bc --frames {out}.parquet", makes=f"{out}.parquet", needs=needs)


MADE: Final = "sima2 run --families drawer_open,pick_and_place --episodes 60 --jobs 2"
READ: Final = "sima2 run --source lerobot --jobs 2 --path"
SMALL: Final = (0, 5)
"""A bench of this size may miss its targets."""

ON_MADE: Final = (
    Line("python -c 'import sima2; print(sima2.__file__)'", says="site-packages"),
    Line(f"{MADE} --out results", makes="results/report.html"),
    *on_results("results"),
    Line("sima2 trust results --strata"),
    Line("sima2 trust results --diff results"),
    Line("sima2 trust results --least OODTag=0.99", exits=(5,), says="OODTag has trust"),
    Line("sima2 tree results drawer_open", says="py_trees"),
    Line("sima2 doctor results --rebuild"),
    Line("sima2 tasks drawer_open", says="drawer_open"),
    Line("sima2 loop --rounds 2 --episodes 60 --families drawer_open --jobs 2 --out loop"),
    Line("sima2 bench throughput --episodes 60", exits=SMALL),
    # from Python
    Line("python from_python.py"),
    Line(f"python trust_on_your_own_tags.py {shlex.quote(str(LOG_OF_A_CELL))}", says="trusted", needs=LOG_OF_A_CELL),
)
WRITTEN_AND_READ: Final = (
    Line("sima2 generate --families drawer_open --episodes 5 --out made", makes="made/meta/info.json"),
    Line("sima2 generate --families drawer_open --episodes 4 --format mcap --out bag", makes="bag/truth"),
    Line("sima2 run --path bag --out bag_out", makes="bag_out/report.html"),
    Line("sima2 run --path s3://bucket/set --out none", exits=(2,), says="pip install 'sima2[remote]'"),
    Line("sima2 segment made --write segments.parquet", makes="segments.parquet"),
    Line(f"{READ} made --out read", says="5 episodes"),
    # what needs an extra says which
    Line("sima2 run --source mujoco --out none", exits=(2,), says="pip install 'sima2[sim]'"),
    Line(f"{READ} made --map map.toml --out none", exits=(2,), says="pip install 'sima2[sim]'"),
    Line("sima2 run --engine ray --out none", exits=(2,), says="pip install 'sima2[ray]'"),
    Line("sima2 bench semantics --episodes 30", exits=SMALL, says="pip install 'sima2[sim]'"),
    Line("sima2 bench segmentation --episodes 10", exits=SMALL, says="pip install 'sima2[dev]'"),
)
FROM_A_SET_TO_A_POLICY: Final = (
    Line("sima2 generate --families pick_and_place --episodes 60 --out planted", makes="planted/meta/info.json"),
    Line("sima2 run --path planted --out week", makes="week/plan.parquet"),
    Line("sima2 run --path planted --video --out none", exits=(2,), says="pip install 'sima2[video]'"),
    Line("sima2 plan week --preset conservative", says="keep"),
    Line("sima2 export week --lerobot better", makes="better/meta/info.json"),
    Line("sima2 run --path better --out again", makes="again/report.html"),
    Line("sima2 export week --lists lists", makes="lists/weights.parquet"),
    Line("sima2 export week --csv tables", makes="tables/plan.csv"),
    Line("sima2 query week --sequence 'grasp … release' --episodes chosen.txt", makes="chosen.txt"),
    Line("sima2 export week --lists chosen --episodes chosen.txt", makes="chosen/keep.txt"),
    Line("sima2 label week 0 success --by me"),
    Line("sima2 run --path planted --out week", makes="week/said.parquet"),
    Line("sima2 label week --outcomes said.csv", makes="said.csv"),
    Line("python view.py week", says="1 page, True"),
    Line("sima2 view nowhere", exits=(3,), says="no finished run"),
    Line("sima2 query week 'SELECT 1'", exits=(2,), says="pip install 'sima2[query]'"),
    Line("sima2 export week --rerun look.rrd", exits=(2,), says="pip install 'sima2[rerun]'"),
    Line("sima2 export week --mcap look.mcap", exits=(2,), says="pip install 'sima2[mcap]'"),
    Line("python look_at_results.py week", says="weights leave"),
    Line("python ci_gate.py week week"),
    Line("sima2 card week", makes="week/card.parquet"),
    Line("sima2 receipt week --policy policy.npz", makes="policy.npz"),
)
ON_RECORDED: Final = (
    Line(f"{READ} {shlex.quote(str(RECORDING))} --out recorded", makes="recorded/report.html", needs=RECORDING),
    Line(f"sima2 segment {shlex.quote(str(RECORDING))}", needs=RECORDING),
    *on_results("recorded", needs=RECORDING),
)
"""A recorded data set, where it lies beside the checkout."""

CORE: Final = (FROM_A_SET_TO_A_POLICY, ON_MADE, ON_RECORDED, WRITTEN_AND_READ)
"""Lines of which each list is worked through in order, beside the other lists; the longest first."""

SAMPLER: Final = """
from torch.utils.data import DataLoader
from sima2.io.arrow import read_table
from sima2.records.plan import SamplePlan
from sima2.sampling.torch_sampler import TrustSampler

sampler = TrustSampler(read_table(SamplePlan, "results/weights.parquet"), seed=0)
print(sum(len(each) for each in DataLoader(range(len(sampler)), sampler=sampler, batch_size=8)), "drawn")
"""
EXTRAS: Final[Mapping[str, Sequence[Line]]] = {
    "sim": (
        Line("sima2 run --source mujoco --families drawer_open --episodes 5 --jobs 2 --out results"),
        Line("sima2 generate --families drawer_open --episodes 5 --out made"),
        Line(f"{READ} made --map map.toml --out mapped", makes="mapped/report.html"),
    ),
    "rdf": (Line(f"{MADE} --out results", makes="results/ontology.ttl"),),
    "ray": (Line(f"{MADE} --engine ray --out results", makes="results/report.html"),),
    "query": (Line(f"{MADE} --out results"), Line("sima2 query results 'SELECT count(*) FROM episodes'", says="60")),
    "rerun": (Line(f"{MADE} --out results"), Line("sima2 export results --rerun look.rrd --most 5", makes="look.rrd")),
    "hdf5": (
        Line("sima2 generate --families drawer_open --episodes 5 --format robomimic --out demo"),
        Line("sima2 run --path demo --out demo_out", makes="demo_out/report.html"),
    ),
    "mcap": (Line(f"{MADE} --out results"), Line("sima2 export results --mcap look.mcap --most 5", makes="look.mcap")),
    "torch": (
        Line(f"{MADE} --out results"),
        Line("python sampler.py", says="60 drawn"),
        Line("sima2 generate --families drawer_open --episodes 5 --out made"),
        Line("sima2 run --path made --out out"),
        Line("sima2 export out --lists lists"),
        Line("python train_with_weights.py made lists/weights.parquet", says="epoch 2"),
    ),
}
"""What each extra is for."""

VIEW: Final = """
import json, subprocess, sys, urllib.request
from pathlib import Path

def got(address):
    with urllib.request.urlopen(address) as answer:
        return answer.read().decode()


program = Path(sys.executable).with_name("sima2")
with subprocess.Popen([program, "view", sys.argv[1], "--json"], stdout=subprocess.PIPE, text=True) as server:
    try:
        address = json.loads(server.stdout.readline())["address"]
        told = json.loads(got(address + "episode?row=0"))
        print(got(address).count('"tag_names"'), "page,", len(told["segments"]) > 0 and len(told["signals"]) > 0)
    finally:
        server.terminate()
"""
MAP: Final = """
[arms.right]
urdf = "robot.urdf"
tip = "tool5"

[arms.right.joint_position]
feature = "observation.state"
index = [0, 1, 2, 3, 4]
unit = "rad"
"""
LINK: Final = """
<link name="tool{after}"/>
<joint name="j{after}" type="continuous">
  <parent link="tool{before}"/> <child link="tool{after}"/> <origin xyz="0 0 0.2"/> <axis xyz="0 1 0"/>
</joint>
"""
LINKS: Final = "".join(LINK.format(before=k, after=k + 1) for k in range(6))
ROBOT: Final = f'<robot name="chain"><link name="tool0"/>{LINKS}</robot>'


def files() -> dict[str, str]:
    """What the lines find beside them."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text("utf-8"), re.DOTALL)
    examples = {each.name: each.read_text("utf-8") for each in (ROOT / "examples").glob("*.py")}
    programs = {**examples, "from_python.py": "\n".join(blocks), "sampler.py": SAMPLER, "view.py": VIEW}
    return {**programs, "map.toml": MAP, "robot.urdf": ROBOT}


class Environment:
    """A fresh environment with the wheel, and a folder to work in."""

    def __init__(self, name: str, python: str, folder: Path, requirements: Sequence[str]) -> None:
        print(f"\n{name}: {' '.join(Path(each).name for each in requirements)}", flush=True)
        self._programs = folder / "env/bin"
        self._work = folder / "work"
        self._work.mkdir(parents=True)
        for path, text in files().items():
            (self._work / path).write_text(text, "utf-8")
        subprocess.run([python, "-m", "venv", folder / "env"], check=True)
        subprocess.run([self._programs / "python", "-m", "pip", "install", "--quiet", *requirements], check=True)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, with all warnings and nothing of the checkout.

        Raises:
            subprocess.TimeoutExpired: if it hangs.
        """
        program, *arguments = shlex.split(command)
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        return subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._work,
            env={**outside, "PYTHONWARNINGS": "default", "COLUMNS": "200"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
        )

    def wrong(self, line: Line) -> list[str]:
        """What is not as the line says; nothing where all is."""
        try:
            done = self.run(line.command)
        except subprocess.TimeoutExpired:
            return [f"no end after {LONGEST_S:.0f} s"]
        checks = {
            f"exit code {done.returncode}": done.returncode in line.exits,
            f"does not say {line.says!r}": line.says in " ".join((done.stdout + done.stderr).split()),
            f"makes no {line.makes}": (self._work / line.makes).exists(),
            "noise on stderr": not NOISE.search(done.stderr),
        }
        found = [words for words, right in checks.items() if not right]
        return [*found, done.stderr.strip()[-2000:]] if found else []

    def commands(self) -> set[str]:
        """All commands that the program has."""
        code = "from sima2.cli import app; print(*(each.name for each in app.registered_commands))"
        return set(self.run(f"python -c {shlex.quote(code)}").stdout.split())

    def megabytes(self) -> dict[str, float]:
        """Of each installed package, the largest first, without bytecode and what installs."""
        site = next((self._programs.parent / "lib").glob("python*/site-packages"))
        sizes: dict[str, float] = {}
        for file in site.rglob("*"):
            package = file.relative_to(site).parts[0]
            if file.is_file() and file.suffix != ".pyc" and not package.startswith(("pip", "setuptools", "pkg_")):
                sizes[package] = sizes.get(package, 0.0) + file.stat().st_size / 1e6
        return dict(sorted(sizes.items(), key=lambda each: -each[1]))


class Tally:
    """What was tried, told as it is done."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("passed", "failed", "skipped"), 0)
        self._telling = threading.Lock()

    def tell(self, outcome: str, what: str, more: Iterable[str] = ()) -> None:
        """Count one outcome and print it."""
        with self._telling:
            self.counts[outcome] += 1
            print("\n    ".join((f"  {outcome}: {what}", *more)), flush=True)

    def lines(self, environment: Environment, lines: Iterable[Line]) -> None:
        """Try each line."""
        for line in lines:
            if not line.needs.exists():
                self.tell("skipped", f"{line.command}: there is no {line.needs}")
                continue
            begin = time.monotonic()
            wrong = environment.wrong(line)
            self.tell("failed" if wrong else "passed", f"{line.command} ({time.monotonic() - begin:.1f} s)", wrong)


def core(tally: Tally, environment: Environment) -> None:
    """Everything that the core is to do, as many lists of lines at a time as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as lists:
        for done in [lists.submit(tally.lines, environment, lines) for lines in CORE]:
            done.result()
    tried = {line.command.split()[1] for lines in CORE for line in lines if line.command.startswith("sima2 ")}
    missing = sorted(environment.commands() ^ tried)
    tally.tell("failed" if missing else "passed", "every command has a line", missing)
    sizes = environment.megabytes()
    total = sum(sizes.values())
    largest = ", ".join(f"{name} {size:.0f}" for name, size in list(sizes.items())[:6])
    tally.tell("passed" if total <= MOST_MB else "failed", f"the install takes {total:.0f} MB of {MOST_MB}: {largest}")


def newer_python() -> str | None:
    """The newest Python of this machine that is newer than this one."""
    home = Path.home()
    folders = [*os.get_exec_path(), *home.glob(".pyenv/versions/*/bin"), *home.glob(".local/share/uv/python/*/bin")]
    found = {}
    for python in sorted({str(file) for folder in folders for file in Path(folder).glob("python3.[0-9]*")}):
        if re.fullmatch(r"python3\.\d+", Path(python).name):
            told = subprocess.run([python, "--version"], capture_output=True, text=True)
            if told.returncode == 0:  # a shim may be there without its Python
                found[tuple(map(int, re.findall(r"\d+", told.stdout)))[:2]] = python
    newest = max(found, default=(0, 0))
    return found[newest] if newest > sys.version_info[:2] else None


def main() -> int:
    """Build the wheel, and try it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--extras", action="store_true", help="each extra, and the newest Python, instead of the core")
    options.add_argument("--pin", action="append", default=[], help="version of what an extra installs: torch==2.13.0")
    given = options.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="sima2-wheel-") as name:
        folder = Path(name)
        building = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", name, str(ROOT)]
        subprocess.run(building, check=True)
        wheel = str(next(folder.glob("*.whl")))
        if not given.extras:
            core(tally, Environment("core", sys.executable, folder / "core", [wheel]))
        else:
            for extra, lines in EXTRAS.items():
                pins = [pin for pin in given.pin if pin.startswith(f"{extra}==")]
                tally.lines(Environment(extra, sys.executable, folder / extra, [f"{wheel}[{extra}]", *pins]), lines)
            python = newer_python()
            if python is None:
                tally.tell("skipped", f"no Python on this machine is newer than {sys.version.split()[0]}")
            else:
                core(tally, Environment(Path(python).name, python, folder / "newest", [wheel]))
    print("\n" + ", ".join(f"{count} {outcome}" for outcome, count in tally.counts.items()))
    return 1 if tally.counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
