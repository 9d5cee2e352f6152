"""``sima2 report``: write report.html anew."""

from __future__ import annotations

from sima2.cli import options
from sima2.cli.answer import answer


def command(out: options.Out, as_json: options.Json = False) -> None:
    """Write the offline page of a run anew.

    \b
    Example:
      sima2 report results
    """
    from sima2.io.store import Store
    from sima2.report import terminal
    from sima2.report.html import render
    from sima2.report.inputs import load_report

    page = render(load_report(out))
    # through the store, so that the ledger knows the new page
    with Store.amend(out) as store:
        store.write_text("report.html", page)
    target = out / "report.html"
    answer({"report": str(target), "bytes": len(page.encode())}, as_json=as_json, shown=lambda: terminal.plain(target))
