"""How well the tests hold the rules: seeded edits of the source, and whether a test notices each.

    python scripts/mutants.py                         20 edits in each room that decides, 12 in each other
    python scripts/mutants.py --room tags --per-room 60 --seed 3

An edit (a mutant) is one small mistake: ``<`` for ``<=``, ``+`` for ``-``, a constant doubled, an early return dropped.
Each is made in a copy of the package, and the tests that call the edited function are run on that copy until one fails.
Which test calls which function is recorded first and kept by test file: a second check records what has changed only.
A mutant that no test notices survives. So does one that changes nothing which can be seen: 100 % is not to be had.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import hashlib
import importlib
import importlib.util
import json
import math
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "sima2"
DECIDING = ("segmentation", "tags", "defects", "analytics", "sampling", "io")
"""Rooms whose rules decide what is told and done; of their mutants, the tests have to kill ``LEAST``."""
LEAST = 0.8
TESTS = ("tests/unit", "tests/contracts", "tests/faults", "src")
"""Where tests are, doctests among them; the slower ones are of use where the budget of a mutant allows for them."""
IMPORTED = "imported.json"
LAST_LINES = 12
"""Of what the tests of a room say that fail without an edit."""
SLOW_S = 15.0
"""A test that takes longer, s of CPU, is not run for a mutant."""

# ------------------------------------------------------------------------------------------------------------- edits


@dataclass(frozen=True)
class Edit:
    """A mistake to be made in a file."""

    path: str
    """Relative to the package, as ``tags/risk.py``."""
    line: int
    owner: str
    """Qualified name of the function around it, empty outside of functions."""
    kind: str
    before: str
    after: str
    span: tuple[int, int]
    """First byte that is replaced, and the one behind the last."""

    @property
    def room(self) -> str:
        """The folder of the package, or the package itself."""
        return self.path.split("/")[0] if "/" in self.path else PACKAGE

    def applied(self, source: bytes) -> bytes:
        """The file with the mistake in it."""
        return source[: self.span[0]] + self.after.encode() + source[self.span[1] :]

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}: {_short(self.before)}  ->  {_short(self.after)}"


def _short(text: str, most: int = 90) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."


COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
OPPOSITES = ("min max", "minimum maximum", "fmin fmax", "argmin argmax", "nanmin nanmax", "any all", "floor ceil")
NAMES = {a: b for pair in OPPOSITES for a, b in (pair.split(), pair.split()[::-1])}
WORDS = {"left": "right", "right": "left"}
"""Of ``side=`` in searches of sorted values."""
SILENT = {"strict", "copy", "slots", "frozen", "eq", "kw_only", "repr", "indent", "stacklevel", "encoding", "exist_ok"}
"""Arguments that change no result, or only the looks of one."""


def edits(source: str, path: str = "") -> list[Edit]:
    """All mistakes that are made in a file, in the order of its text; at most one of each kind and outcome a place."""
    encoded = source.encode()
    starts = [0]
    for line in encoded.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node, owner in _places(ast.parse(source), ()):
        for kind, target, other in _mistakes(node):
            span = (
                starts[target.lineno - 1] + target.col_offset,
                starts[(target.end_lineno or 0) - 1] + (target.end_col_offset or 0),
            )
            after = ast.unparse(other) if isinstance(other, ast.stmt) else f"({ast.unparse(other)})"
            before = encoded[slice(*span)].decode()
            found.append(Edit(path, target.lineno, owner, kind, before, after, span))
    return sorted(found, key=lambda each: (each.span, each.kind, each.after))


def _places(node: ast.AST, owners: tuple[str, ...]) -> Iterator[tuple[ast.AST, str]]:
    """Every node in which a mistake tells, with the qualified name of the function it is in."""
    function = owners[-1] if owners and not owners[-1].startswith("class ") else ""
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or name in ("annotation", "returns", "decorator_list"):
                continue
            early = isinstance(node, ast.If) and isinstance(child, ast.Return | ast.Continue | ast.Raise)
            if early or not isinstance(child, ast.Return | ast.Continue | ast.Raise):
                yield child, function
            if isinstance(child, ast.JoinedStr | ast.Raise | ast.Assert) or _silent(child):
                continue  # what is told of an error is no rule
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                before = owners[-1].removeprefix("class ") if owners else ""
                joint = "" if not owners else "." if owners[-1].startswith("class ") else ".<locals>."
                named = f"{before}{joint}{child.name}"
                yield from _places(child, (*owners, f"class {named}" if isinstance(child, ast.ClassDef) else named))
                continue
            yield from _places(child, owners)


def _silent(node: ast.AST) -> bool:
    if isinstance(node, ast.keyword):
        return node.arg in SILENT
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.Import | ast.ImportFrom | ast.AnnAssign) and getattr(node, "value", None) is None


def _mistakes(node: ast.AST) -> Iterator[tuple[str, Any, ast.AST]]:
    """Kind, the node to be replaced, and what is put in its place."""
    match node:
        case ast.Compare(ops=[op]) if type(op) in COMPARED:
            for other in COMPARED[type(op)]:
                yield "comparison", node, _with(node, ops=[other()])
        case ast.BinOp(op=op) if type(op) in COMPUTED and not _of_words(node):
            kind = "and/or of arrays" if isinstance(op, ast.BitAnd | ast.BitOr) else "arithmetic"
            yield kind, node, _with(node, op=COMPUTED[type(op)]())
        case ast.AugAssign(op=op) if type(op) in COMPUTED:
            yield "arithmetic", node, _with(node, op=COMPUTED[type(op)]())
        case ast.BoolOp(op=op):
            yield "and/or", node, _with(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            yield "negation dropped", node, operand
        case ast.UnaryOp(op=ast.USub(), operand=operand) if not isinstance(operand, ast.Constant):
            yield "negation dropped", node, operand
        case ast.Call(func=ast.Name(id=name) as func) if name in NAMES:
            yield "min/max, any/all", func, ast.Name(NAMES[name])
        case ast.Call(func=ast.Attribute(attr="where") as func, args=[test, first, second]):
            yield "where swapped", node, _with(node, args=[test, second, first])
        case ast.Call(func=ast.Attribute(attr=name) as func) if name in NAMES:
            yield "min/max, any/all", func, _with(func, attr=NAMES[name])
        case ast.If(test=test) | ast.IfExp(test=test):
            yield "condition negated", test, ast.UnaryOp(ast.Not(), test)
        case ast.comprehension(ifs=[test, *_]):
            yield "condition negated", test, ast.UnaryOp(ast.Not(), test)
        case ast.Return() | ast.Continue() | ast.Raise():
            yield "early exit dropped", node, ast.Pass()
        case ast.Constant(value=value):
            for other in _other_values(value):
                yield "constant", node, ast.Constant(other)


def _with(node: ast.AST, **changed: Any) -> ast.AST:
    other = copy.copy(node)
    for name, value in changed.items():
        setattr(other, name, value)
    return other


def _of_words(node: ast.BinOp) -> bool:
    """Whether text or types are joined, which is no arithmetic."""
    sides = (node.left, node.right)
    return any(
        isinstance(each, ast.JoinedStr) or (isinstance(each, ast.Constant) and isinstance(each.value, str | type(None)))
        for each in sides
    )


def _other_values(value: object) -> tuple[Any, ...]:
    match value:
        case bool():
            return (not value,)
        case int():
            return (value + 1, value - 1) if value > 1 else (value + 1,)
        case float():
            return (value * 2, value / 2) if value else (1.0,)
        case str():
            return (WORDS[value],) if value in WORDS else ()
    return ()


def chosen(found: list[Edit], count: int, seed: int) -> list[Edit]:
    """So many edits, drawn with a seed: kinds in turn, so that no kind is all there is, and one of a kind a line.

    >>> two = edits("def f(a, b):\\n    return a < b and a + 1 < b")
    >>> [each.after for each in chosen(two, 2, seed=1)] == [each.after for each in chosen(two, 2, seed=1)]
    True
    """
    draw = random.Random(seed)
    kinds: dict[str, list[Edit]] = defaultdict(list)
    for each in draw.sample(found, len(found)):
        lines = {(other.path, other.line) for other in kinds[each.kind]}
        if (each.path, each.line) not in lines:
            kinds[each.kind].append(each)
    turns = [each for name in sorted(kinds) for each in enumerate(kinds[name])]
    draw.shuffle(turns)
    return [each for _, each in sorted(turns, key=lambda turn: turn[0])[:count]]


# --------------------------------------------------------------------------------------------------- copies and runs


COPIED = ("src", "tests")


class Copy:
    """A copy of the package and its tests, beside links to all else that tests read."""

    def __init__(self, root: Path, place: Path) -> None:
        self.root, self.place = root, place
        place.mkdir()
        for each in root.iterdir():
            if not each.name.startswith(".") and each.name not in (*COPIED, "results"):
                (place / each.name).symlink_to(each)
        for name in COPIED:
            shutil.copytree(root / name, place / name)

    @contextlib.contextmanager
    def with_edit(self, edit: Edit | None) -> Iterator[None]:
        """The copy holds the mistake within, and is as it was afterwards."""
        if edit is None:
            yield
            return
        path = self.place / "src" / PACKAGE / edit.path
        whole = path.read_bytes()
        path.write_bytes(edit.applied(whole))
        for kept in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            kept.unlink()  # else taken for the edited file, where size and second are the same
        try:
            yield
        finally:
            path.write_bytes(whole)

    def enter(self) -> None:
        """This process imports from the copy, and so do those that it starts."""
        os.chdir(self.place)
        sys.path.insert(0, str(self.place / "src"))
        os.environ["PYTHONPATH"] = os.pathsep.join([str(self.place / "src"), str(self.place / "tests")])
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(self.place / ".hypothesis")


def forked(work: Callable[[], int], said: Path) -> int:
    """Number of a new process that does the work, with all it says in a file; what it returns is its exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setsid()
        with said.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        code = work()
    except Exception:  # noqa: BLE001 - whatever it is has to be told before the process ends
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def pytest_run(tests: list[str], plugin: object) -> int:
    """Exit code of the given test files with the plugin."""
    import pytest

    quiet = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--tb=line", "--assert=plain"]
    return int(pytest.main([*quiet, "--rootdir", ".", "--hypothesis-seed=0", *tests], plugins=[plugin]))


def warm() -> None:
    """Import what all tests need, once for all processes to come; nothing of the package, which comes edited."""
    for name in ("pytest", "hypothesis", "numpy", "scipy.stats", "scipy.optimize", "scipy.linalg", "scipy.special"):
        importlib.import_module(name)
    for name in ("pyarrow.parquet", "pyarrow.compute", "pyarrow.csv", "rich.console", "rich.table", "typer"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


# --------------------------------------------------------------------------------------------------------- recording


class Recorder:
    """A plugin of pytest: which functions of the package each test calls, how long it takes, and whether it passes."""

    def __init__(self, inside: str) -> None:
        self.inside = inside
        self.items: dict[str, dict[str, Any]] = {}
        self._seen: set[CodeType] = set()
        self._began = 0.0

    def _called(self, frame: FrameType, _event: str, _arg: object) -> None:
        self._seen.add(frame.f_code)

    def pytest_runtest_logreport(self, report: Any) -> None:
        item = self.items.setdefault(report.nodeid, {"seconds": 0.0, "passed": True, "calls": []})
        item["passed"] = item["passed"] and report.outcome == "passed"

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._seen = set()
        self._began = _cpu()
        sys.settrace(self._called)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        sys.settrace(None)
        called = {
            f"{code.co_filename[len(self.inside) :]}:{code.co_qualname}"
            for code in self._seen
            if code.co_filename.startswith(self.inside)
        }
        item = self.items.setdefault(nodeid, {})
        item["calls"], item["seconds"] = sorted(called), _cpu() - self._began


def _cpu() -> float:
    """Seconds of a core that this process and those it started have taken: how busy the machine is does not count."""
    return sum(os.times()[:4])


@dataclass
class Tests:
    """What is known of the tests, by file and then by test."""

    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    imported: frozenset[str] = frozenset()
    """Functions that are called by an import."""

    @cached_property
    def callers(self) -> dict[str, list[tuple[str, str]]]:
        """Test file and test by the function that is called, as ``tags/risk.py:fit``."""
        out: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for file, held in self.files.items():
            for name, item in held["items"].items():
                if item["passed"] and item["seconds"] <= SLOW_S:
                    for call in item["calls"]:
                        out[call].append((file, name))
        return out

    def of(self, edit: Edit, importers: dict[str, set[str]], budget: float) -> tuple[list[str], set[str], float]:
        """Test files, fastest first, their tests that call what is edited, and how long these take in all, s of CPU.

        Of what an import runs, whatever calls a function of the file or of one that imports it.
        """
        found = self.callers.get(f"{edit.path}:{edit.owner}", [])
        if not edit.owner or f"{edit.path}:{edit.owner}" in self.imported:
            paths = {edit.path, *importers.get(edit.path, ())}
            found = [each for call, some in self.callers.items() if call.split(":")[0] in paths for each in some]
        by_file: dict[str, set[str]] = defaultdict(set)
        for file, name in found:
            by_file[file].add(name)
        seconds = {file: sum(self.seconds(file, name) for name in names) for file, names in by_file.items()}
        files, tests, total = [], set(), 0.0
        for file in sorted(by_file, key=lambda file: (not _is_of(file, edit.room), seconds[file])):
            for name in sorted(by_file[file], key=lambda name: (self.seconds(file, name), name)):
                if not tests or total + self.seconds(file, name) <= budget:
                    tests.add(name)
                    total += self.seconds(file, name)
            if tests & by_file[file]:
                files.append(file)
        return files, tests, total

    def seconds(self, file: str, name: str) -> float:
        """How long a test took when it was recorded."""
        return float(self.files[file]["items"][name]["seconds"])


def importers(root: Path) -> dict[str, set[str]]:
    """Files of the package that import a file of it, by that file."""
    out: dict[str, set[str]] = defaultdict(set)
    base = root / "src"
    for path in sorted((base / PACKAGE).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE):
                for name in ("", *(f".{each.name}" for each in node.names)):
                    module = base / (node.module + name).replace(".", "/")
                    for target in (module.with_suffix(".py"), module / "__init__.py"):
                        if target.exists():
                            key = str(target.relative_to(base / PACKAGE))
                            out[key].add(str(path.relative_to(base / PACKAGE)))
    return out


def test_files(root: Path, rooms: Iterable[str]) -> list[str]:
    """Files with tests of any of the rooms, relative to the root: those that lie in it, and those that import of it."""
    found = []
    for place in TESTS:
        for path in sorted((root / place).rglob("*.py")):
            name, text = str(path.relative_to(root)), path.read_text(encoding="utf-8")
            tests = ">>>" in text if place == "src" else path.name.startswith("test_")
            if tests and any(_is_of(name, room) or f"{PACKAGE}.{room}" in text for room in rooms):
                found.append(name)
    return found


def _is_of(name: str, room: str) -> bool:
    """Whether a file with tests lies in the folder of a room, or in none where the room is the package itself."""
    parts = name.split("/")
    return parts[2] == room if len(parts) > 3 else room == PACKAGE


def recorded(root: Path, at: Copy, kept: Path, said: Path, jobs: int, rooms: Iterable[str]) -> Tests:
    """What every test calls; files that are as they were when last recorded are not run again."""
    child = forked(lambda: _record(root, at, kept, said, jobs, rooms), said / "recording.txt")
    os.waitpid(child, 0)
    return Tests(json.loads(kept.read_text()), frozenset(json.loads((said / IMPORTED).read_text())))


def _record(root: Path, at: Copy, kept: Path, said: Path, jobs: int, rooms: Iterable[str]) -> int:
    """In a process of its own, since the package is imported once for all files."""
    before = json.loads(kept.read_text()) if kept.exists() else {}
    files = {each: hashlib.sha256((root / each).read_bytes()).hexdigest() for each in test_files(root, rooms)}
    left = [name for name in files if before.get(name, {"hash": ""})["hash"] != files[name]]
    done = {name: held for name, held in before.items() if (root / name).exists() and name not in left}
    kept.write_text(json.dumps(done))
    at.enter()
    importing = Recorder(f"{at.place / 'src' / PACKAGE}/")
    importing.pytest_runtest_logstart("")
    for name in sorted((at.place / "src").rglob("*.py")):
        if name.stem == "__main__":
            continue
        with contextlib.suppress(ImportError):  # of an extra that is not installed
            importlib.import_module(".".join(name.relative_to(at.place / "src").with_suffix("").parts))
    importing.pytest_runtest_logfinish("")
    (said / IMPORTED).write_text(json.dumps(importing.items[""]["calls"]))
    running: dict[int, str] = {}
    while left or running:
        if left and len(running) < jobs:
            name = left.pop()
            running[forked(lambda name=name: _record_file(at, name, said), said / f"record_{len(left)}.txt")] = name
            continue
        name = running.pop(os.waitpid(-1, 0)[0])
        result = said / f"{files[name]}.json"
        done[name] = {"hash": files[name], "items": json.loads(result.read_text()) if result.exists() else {}}
        kept.write_text(json.dumps(done))
    return 0


def _record_file(at: Copy, name: str, said: Path) -> int:
    recorder = Recorder(f"{at.place / 'src' / PACKAGE}/")
    code = pytest_run([name], recorder)
    result = said / f"{hashlib.sha256((at.root / name).read_bytes()).hexdigest()}.json"
    result.write_text(json.dumps(recorder.items))
    return code


# --------------------------------------------------------------------------------------------------------- the check


class Picked:
    """A plugin of pytest: only these tests, in the order of their files, until one fails."""

    def __init__(self, files: list[str], tests: set[str]) -> None:
        self.files, self.tests = files, tests

    def pytest_collection_modifyitems(self, session: Any, items: list[Any]) -> None:
        place = {name: k for k, name in enumerate(self.files)}
        items[:] = [each for each in items if each.nodeid in self.tests]
        items.sort(key=lambda each: place[each.nodeid.split("::")[0]])
        session.config.option.maxfail = 1


@dataclass
class Outcome:
    """What became of a mutant; without an edit it is the control, which has to survive."""

    room: str
    edit: Edit | None
    end: str
    """``killed``, ``survived``, ``timed out``, or ``no test`` where none calls what is edited."""
    tests: int
    said: str = ""
    """Of a control, the last lines of its tests."""

    def __str__(self) -> str:
        return f"{self.end} ({self.tests} tests): {self.edit or self.room + ' without an edit'}"


@dataclass
class Check:
    """All runs of one check."""

    copies: list[Copy]
    tests: Tests
    importers: dict[str, set[str]]
    budget: float
    grace: float
    said: Path

    def outcomes(self, mutants: list[tuple[str, Edit | None]], told: Callable[[Outcome], None]) -> list[Outcome]:
        """What becomes of every mutant, in order."""
        out: dict[int, Outcome] = {}
        running: dict[int, tuple[Copy, int, Outcome, float, contextlib.ExitStack]] = {}
        waiting, free = list(enumerate(mutants))[::-1], list(self.copies)
        while waiting or running:
            if waiting and free:
                place, (room, edit) = waiting.pop()
                files, tests, seconds = self._tests(room, edit)
                out[place] = Outcome(room, edit, "no test", len(tests))
                if tests:
                    at, stack = free.pop(), contextlib.ExitStack()
                    stack.enter_context(at.with_edit(edit))
                    limit = self.grace + 5 * seconds
                    child = forked(lambda a=at, f=files, t=tests, s=limit: _try(a, f, t, s), self._said(at))
                    running[child] = (at, place, out[place], time.monotonic() + 5 * limit, stack)
                else:
                    told(out[place])
                continue
            child, status = os.waitpid(-1, os.WNOHANG)
            if child in running:
                at, place, outcome, _, stack = running.pop(child)
                _end(child)
                stack.close()
                outcome.end = _end_of(status)
                if outcome.edit is None:
                    outcome.said = "\n".join(self._said(at).read_text(errors="replace").splitlines()[-LAST_LINES:])
                told(outcome)
                free.append(at)
            else:
                for late in [child for child, held in running.items() if held[3] < time.monotonic()]:
                    _end(late)
                time.sleep(0.02)
        return [out[place] for place in range(len(mutants))]

    def _tests(self, room: str, edit: Edit | None) -> tuple[list[str], set[str], float]:
        if edit is not None:
            return self.tests.of(edit, self.importers, self.budget)
        names = [name for name in self.tests.files if _is_of(name, room)]
        tests = {
            each
            for name in names
            for each, item in self.tests.files[name]["items"].items()
            if item["passed"] and item["seconds"] <= SLOW_S
        }
        return names, tests, 60.0

    def _said(self, at: Copy) -> Path:
        return self.said / f"{at.place.name}.txt"


def _try(at: Copy, files: list[str], tests: set[str], limit: float) -> int:
    at.enter()
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(limit), math.ceil(limit) + 5))
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    return pytest_run(files, Picked(files, tests))


def _end(child: int) -> None:
    """End a process and those that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


def _end_of(status: int) -> str:
    if os.WIFSIGNALED(status):
        late = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
        return "timed out" if late else "killed"
    return "survived" if os.WEXITSTATUS(status) == 0 else "killed"


def share(outcomes: list[Outcome]) -> float:
    """Part of the mutants that was noticed; one that never ends is noticed, too."""
    return sum(each.end in ("killed", "timed out") for each in outcomes) / max(len(outcomes), 1)


def table(outcomes: list[Outcome]) -> str:
    """A line a room, those that decide first."""
    rooms = sorted({each.room for each in outcomes}, key=lambda room: (room not in DECIDING, room))
    lines = [f"{'':14s}{'mutants':>9s}{'killed':>9s}{'survived':>10s}{'timed out':>11s}{'share':>8s}"]
    for room in rooms:
        some = [each for each in outcomes if each.room == room]
        count = {end: sum(each.end == end for each in some) for end in ("killed", "survived", "timed out", "no test")}
        low = "  under 80 %" if room in DECIDING and share(some) < LEAST else ""
        lines.append(
            f"{room:14s}{len(some):9d}{count['killed']:9d}{count['survived'] + count['no test']:10d}"
            f"{count['timed out']:11d}{share(some):7.0%}{low}"
        )
    return "\n".join(lines)


def rooms(root: Path) -> dict[str, list[Edit]]:
    """All edits of the package by room, but for files that import what is not installed, which no test runs."""
    out: dict[str, list[Edit]] = defaultdict(list)
    base = root / "src" / PACKAGE
    for path in sorted(base.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if all(importlib.util.find_spec(name) for name in _imported(source) - {PACKAGE}):
            for each in edits(source, str(path.relative_to(base))):
                out[each.room].append(each)
    return dict(out)


def _imported(source: str) -> set[str]:
    """First names of the modules that a file imports anywhere, from elsewhere than its own folder."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {each.name.split(".")[0] for each in node.names}
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Print the table and the survivors."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--per-room", type=int, help="mutants in each room: 20 in those that decide, 12 in the others")
    asked.add_argument("--room", action="append", help="this room alone; may be given several times")
    asked.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked.add_argument("--budget", type=float, default=10.0, help="CPU-seconds of tests for a mutant, at most")
    asked.add_argument("--grace", type=float, default=10.0, help="CPU-seconds beside five times what its tests take")
    asked.add_argument("--json", type=Path, help="write every mutant and what became of it")
    asked.add_argument("--recorded", type=Path, default=root / ".mutants.json", help="what tests call, kept")
    given = asked.parse_args(arguments)
    mutants = []
    for room, found in rooms(root).items():
        if not given.room or room in given.room:
            count = given.per_room if given.per_room is not None else 20 if room in DECIDING else 12
            mutants += [(room, None), *((room, each) for each in chosen(found, count, given.seed))]
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    warm()
    with tempfile.TemporaryDirectory(prefix="mutants_") as folder:
        said = Path(folder)
        copies = [Copy(root, said / f"copy_{k}") for k in range(max(given.jobs, 1))]
        tests = recorded(root, copies[0], given.recorded, said, len(copies), {room for room, _ in mutants})
        check = Check(copies, tests, importers(root), given.budget, given.grace, said)
        ends = check.outcomes(mutants, lambda each: print(each, flush=True))
    wrong = [each for each in ends if each.edit is None and each.end in ("killed", "timed out")]
    real = [each for each in ends if each.edit is not None]
    print("", *(each for each in real if each.end in ("survived", "no test")), "", table(real), sep="\n")
    if given.json:
        given.json.write_text(json.dumps([asdict(each) for each in real], indent=1))
    for each in wrong:
        print(f"{each.room}: its tests fail without an edit, so its share means nothing", each.said, sep="\n")
    low = [room for room in DECIDING if (some := [each for each in real if each.room == room]) and share(some) < LEAST]
    return 1 if wrong or low else 0


if __name__ == "__main__":
    sys.exit(main())
