"""``sima2 doctor``: is this output folder whole?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sima2.cli import options
from sima2.cli.answer import answer
from sima2.errors import StoreError

if TYPE_CHECKING:
    from rich.console import RenderableType


def command(
    out: options.Out,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make a lost or damaged ledger again from the shards.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Check an output folder for damage and loss.

    Every file must be as committed, the tables as the digest says, and every episode that came in accounted for. After
    --rebuild the command that made the results finishes them again, without reading again what the shards hold.

    \b
    Examples:
      sima2 doctor results
      sima2 doctor results --rebuild
    """
    if rebuild and _whole(out):
        answer({"out": str(out), "shards": 0}, as_json=as_json, shown=lambda: "nothing to do: the folder is whole")
        return
    if rebuild:
        from sima2.orchestrator import rebuild_ledger

        found = rebuild_ledger(out)
        told = f"{found} shards found again; run the same command as before to finish"
        answer({"out": str(out), "shards": found}, as_json=as_json, shown=lambda: told)
        return
    values = examined(out)
    answer(values, as_json=as_json, shown=lambda: _rendered(values))
    if values["problems"]:
        raise StoreError(f"{out}: {len(values['problems'])} found; the command that made it makes those parts again")


def _whole(out: Path) -> bool:
    """Whether nothing is wrong with a folder."""
    try:
        return not examined(out)["problems"]
    except StoreError:
        return False


def examined(out: Path) -> dict[str, Any]:
    """What was checked and what is wrong.

    Raises:
        StoreError: if there are no results at all.
    """
    from sima2.io.store import Store
    from sima2.report.inputs import read_summary

    with Store.read_only(out) as store:
        problems = store.verify()
        unfinished = not (out / "summary.json").exists()
        if unfinished:
            problems.append("summary.json: missing, the run has not finished")
        digest = None if problems else store.digest()
        kinds = store.kinds()
    summary = {} if unfinished else read_summary(out)
    if not unfinished:
        problems += _contradictions(summary, digest)
    return {
        "out": str(out),
        "problems": problems,
        "tables": kinds,
        "digest": digest,
        "episodes": summary.get("episodes"),
    }


def _contradictions(summary: dict[str, Any], digest: str | None) -> list[str]:
    """Where the summary and the tables tell different things."""
    found = []
    episodes = summary.get("episodes")
    if not isinstance(episodes, dict) or any(type(each) is not int for each in episodes.values()):
        return ["summary.json: does not say how many episodes there were"]
    parts = sum(episodes.get(key) or 0 for key in ("ok", "quarantined", "skipped"))
    if episodes.get("in") != parts:
        found.append(f"summary.json: {episodes.get('in')} episodes came in, but {parts} are accounted for")
    if digest is not None and summary.get("digest") not in (None, digest):
        found.append("summary.json: its digest is not that of the tables")
    return found


def _rendered(values: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    from sima2.report.terminal import bullets, listing, plain

    told = {
        "folder": values["out"],
        "tables": ", ".join(values["tables"]),
        "digest": values["digest"] or "not assessed",
    }
    problems = bullets(values["problems"])
    return Group(listing(told), plain(""), plain("all is well") if problems is None else problems)
