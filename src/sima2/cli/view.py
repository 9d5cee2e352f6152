"""``sima2 view``: the page of a run in a browser, for sets of any size, with videos and labels."""

from __future__ import annotations

from typing import Annotated

import typer

from sima2.cli import options


def command(
    out: options.Out,
    label: Annotated[
        bool, typer.Option("--label", help="Take labels too: what is said in the page is kept in OUT/labels.jsonl.")
    ] = False,
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 takes a free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser", help="Open the page in the browser of this machine.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show a run's page in a browser of this machine: every episode, its videos, and its frames.

    Only this machine can ask, and only with the address that is printed. Nothing is changed unless --label is given.
    Ctrl-C ends it.

    \b
    Example:
      sima2 view results
      sima2 view results --label
    """
    import json
    import threading

    from sima2.view.pages import RunPages
    from sima2.view.server import serving

    server = serving(RunPages(out, label=label), port)
    told = {"address": server.address, "label": label}
    typer.echo(json.dumps(told) if as_json else f"{server.address}\nCtrl-C ends it")
    if browser:
        import webbrowser

        threading.Timer(0.2, webbrowser.open, (server.address,)).start()
    try:
        server.run()
    except KeyboardInterrupt:
        typer.echo("", err=True)
    finally:
        server.server.server_close()
