"""The command line: one file a command, each a thin layer over a function that a script could call as well."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from sima2 import __version__
from sima2.cli import (
    audit,
    bench,
    card,
    doctor,
    episodes,
    explain,
    export,
    generate,
    label,
    loop,
    plan,
    proposals,
    quarantine,
    query,
    receipt,
    report,
    run,
    sample,
    segment,
    tasks,
    tree,
    trust,
    view,
)
from sima2.errors import Sima2Error
from sima2.report.text import visible

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


class Commands(TyperGroup):
    """Turns errors into one clear line and an exit code, whatever the command."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List each command with all of its first sentence, however narrow the terminal."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, str(each.help).split("\n\n")[0]) for name, each in commands if each is not None])

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except Sima2Error as error:
            raise _failed(str(error), error.exit_code, *getattr(error, "lines", ())) from error
        except KeyboardInterrupt as error:
            kept = ": what was committed is kept, resume with --resume" if ctx.invoked_subcommand == "run" else ""
            typer.echo(f"interrupted{kept}", err=True)
            raise typer.Exit(INTERRUPTED) from error
        except BrokenPipeError:
            raise
        except UnicodeEncodeError as error:
            raise _failed(f"{error.object!r}: a name or text that is not UTF-8; use another", 2) from error
        except OSError as error:
            raise _failed(f"{error.filename}: {error.strerror}" if error.filename else str(error), 1) from error


def _failed(message: str, code: int, *lines: str) -> typer.Exit:
    typer.echo(f"error: {visible(message, longest=4000)}", err=True)
    for line in lines:
        typer.echo(f"  {visible(line, longest=4000)}", err=True)
    return typer.Exit(code)


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sima2 {__version__}")
        raise typer.Exit


@app.callback()
def sima2(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Turn robot rollouts into data that can be trusted: what happened, what is wrong, what to train on, and why.

    Exit codes: 0 fine, 1 our error, 2 wrong usage, 3 bad data, 4 finished with quarantined episodes, 5 a gate failed,
    130 interrupted.

    \b
    Example:
      sima2 run --path SET --out out
      sima2 run --families drawer_open --episodes 100 --out results
    """


for _command in (
    run, generate, tasks, segment, trust, audit, plan, episodes, query, explain, label, proposals, report, view,
    quarantine, doctor, sample, export, receipt, loop, tree, card, bench,
):  # fmt: skip
    app.command(_command.__name__.rpartition(".")[2])(_command.command)


def main() -> None:
    """Entry point of ``sima2`` and ``python -m sima2``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # a terminal that lacks a character shows its escape instead of an error
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="sima2")
