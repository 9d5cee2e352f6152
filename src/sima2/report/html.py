"""report.html: one page that needs no network and no other file, and tells all that it tells without its script too."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

import numpy as np

from sima2.records.segments import Segment
from sima2.report import defects, findings, first, quality, sampled, tables
from sima2.report.inputs import ReportInput, of_episodes
from sima2.report.label_style import OUTCOME_MARKS, TEXT_FORM, definitions
from sima2.report.links import to_episode
from sima2.report.markup import Markup, join, node, part
from sima2.report.page_data import ENDED, as_script
from sima2.report.sentences import OUTCOME_SOURCES, headline, no_gain_sentence, plan_sentence, section, weights_sentence
from sima2.report.style import style_sheet
from sima2.report.task_graph import task_graphs
from sima2.report.text import NOT_ASSESSED, as_number, count, number, percent, visible
from sima2.report.timeline import timeline
from sima2.report.trust import forest
from sima2.report.trust_reasons import alerts_of

SCRIPTS: Final = ("elements", "steps", "filters", "table", "episode", "timeline", "cameras", "labels", "keys")
"""Parts of the page's script, in their order; each may name what those before it made."""


def render(report: ReportInput, *, live: str = "") -> str:
    """The page, the same for the same records.

    Args:
        report: what it tells.
        live: ``read`` or ``label`` where a server (``sima2 view``) tells what the file does not hold, or takes labels.

    >>> render(ReportInput(summary={})).count("<script")
    0
    """
    data = [
        as_script("overview", report.overview, shown=True),
        as_script("details", report.details),
        node("script", Markup(script())),
    ]
    shown = join(data) if report.overview else None
    main = node("main", *_parts(report, live))
    body = node("body", definitions(), main, shown, data_live=live or None)
    page = node("html", _page_head(report, live), body, lang="en")
    return f"<!doctype html>\n{page}\n"


def _page_head(report: ReportInput, live: str) -> Markup:
    return node(
        "head",
        node("meta", charset="utf-8"),
        node("meta", http_equiv="Content-Security-Policy", content=policy(live)),
        node("meta", name="viewport", content="width=device-width,initial-scale=1"),
        node("meta", name="referrer", content="no-referrer"),
        node("link", rel="icon", href="data:,") if live else None,
        node("title", f"sima2: {visible(report.summary.get('source', 'report'))}"),
        node("style", Markup(style_sheet())),
    )


def _parts(report: ReportInput, live: str) -> list[Markup | None]:
    """What the page tells, in its order: what is said first, then what can be looked up."""
    summary = report.summary
    tags, statistics = section(summary, "tags"), summary.get("statistics")
    return [
        _head(report),
        _workbench(report, live),
        *_said_first(report, live),
        _side_by_side(
            part("Tags", tables.tag_counts(tags) if tags else None),
            part("Segments", _segments(summary)),
        ),
        _side_by_side(
            part("Costs", tables.costs(section(summary, "costs"), report.econ)),
            part("What tags cost or gain", tables.statistics(statistics) if statistics else None),
        ),
        part("Proposals", _proposals(report)),
        part("How the tasks went", task_graphs(report.task_graph)),
        part("Set aside", _quarantine(report)),
        part("How the data were read", _column_map(summary)),
        part("Provenance", _provenance(summary)),
    ]


def _said_first(report: ReportInput, live: str) -> list[Markup | None]:
    """Trust, the plan, what is wrong and some episodes: what was found first, where no tag could be tested."""
    summary = report.summary
    used = [
        part("What a trainer will see", _weights(report)),
        part("Which episodes may be used", quality.audited(summary, report.audit)),
        part("How episodes failed", quality.failures(summary, report.episodes)),
    ]
    wrong = part("What is wrong with my data", defects.page(summary, report.defects))
    caveats = part("What to bear in mind", _caveats(report))
    episodes = None if live else without_script("Some episodes", _episodes(report))
    planned = part("What to train on", _plan(section(summary, "plan")))
    if first.leads(summary, report.trust):
        return [*findings.leading(summary, wrong), planned, episodes, caveats, *used, _folded_trust(report)]
    trust = part("Which tags predict cost here", forest(report.trust, summary))
    return [caveats, trust, planned, *used, wrong, *findings.following(summary), episodes]


@cache
def script() -> str:
    """The page's own script, the only one that it may run."""
    folder = files("sima2.report").joinpath("page")
    parts = [folder.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return "\n".join(['(() => {\n"use strict";', *parts, "})();\n"])


def policy(live: str = "") -> str:
    """Content security policy: the page runs its own script and style alone, and loads nothing but from its server.

    Args:
        live: as for :func:`render`; a file has no server.
    """
    allowed = {
        "default-src": "'none'",
        "script-src": _digest(script()),
        "style-src": _digest(style_sheet()),
        "img-src": "data: 'self'" if live else "data:",
        **({"connect-src": "'self'", "media-src": "'self'"} if live else {}),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in allowed.items())


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _workbench(report: ReportInput, live: str) -> Markup | None:
    """Where the script finds and shows any episode; without it, a list of all, if it is a file."""
    if not report.overview:
        return None
    listed = None if live else node("div", _all_episodes(report), class_="without-script")
    return node("section", node("h2", "Episodes"), node("div", id="workbench"), listed, id="episodes")


def _all_episodes(report: ReportInput) -> Markup:
    """Every episode, in a table that opens on demand."""
    rows = report.overview
    shown = range(min(rows["n"], MOST_LISTED))
    listed = [
        (
            OUTCOME_MARKS[ENDED[rows["ended"][k]]] + TEXT_FORM,
            rows["id"][k],
            rows["task_names"][rows["task"][k]].replace("_", " "),
            number(rows["seconds"][k]),
            rows["action"][k],
            ", ".join(rows["tag_names"][tag] for tag in rows["tags"][k]),
            ", ".join(rows["defect_names"][kind].replace("_", " ") for kind in rows["defects"][k]),
        )
        for k in shown
    ]
    rest = rows["n"] - len(shown)
    return tables.folded(
        f"All {count(rows['n'], 'episode')}"
        if not rest
        else f"The first {len(shown)} of {count(rows['n'], 'episode')}",
        tables.table(("", "episode", "task", "s", "plan", "tags", "defects"), listed, numeric=(3,)),
    )


def without_script(title: str, body: Markup | None) -> Markup | None:
    """A part that the script shows better; nothing for nothing."""
    return None if body is None else node("section", node("h2", title), body, class_="without-script")


def _plan(plan: Mapping[str, Any]) -> Markup | None:
    """What to do with how many episodes, and why."""
    from sima2.sampling.plan_settings import RULES

    told = plan_sentence(plan)
    if not told:
        return None
    rows = [
        (RULES[code].words if code in RULES else code, RULES[code].knowledge if code in RULES else "", number(n))
        for code, n in sorted(section(plan, "codes").items(), key=lambda item: (-item[1], item[0]))
    ]
    why = tables.table(("why", "kind of knowledge", "episodes"), rows, numeric=(2,)) if rows else None
    return node("div", node("p", told), why)


def _folded_trust(report: ReportInput) -> Markup | None:
    """The tags one by one where none could be tested."""
    table = tables.folded("Why each tag could not be tested", forest(report.trust, report.summary))
    return part("Which tags predict cost here", table)


def _side_by_side(left: Markup | None, right: Markup | None) -> Markup | None:
    """Two parts in columns where the page is wide and both exist."""
    return node("div", left, right, class_="columns") if left and right else left or right


def _head(report: ReportInput) -> Markup:
    summary = report.summary
    episodes, ends = section(summary, "episodes"), section(summary, "episode_outcomes")
    won, lost = (as_number(ends.get(key)) or 0 for key in ("success", "failure"))
    weights = section(summary, "weights")
    leads = first.leads(summary, report.trust)
    figures = {
        "episodes used": number(episodes.get("ok")),
        "set aside": number(episodes.get("quarantined")),
        "succeeded, inferred" if ends.get("source") == "inferred" else "succeeded": _succeeded(
            won, lost, as_number(ends.get("unknown")) or 0
        ),
    }
    if leads:
        figures |= findings.figures(summary)
    else:
        trusted = sum(row.tier == "trusted" for row in report.trust.values())
        figures |= {
            "segments": number(summary.get("segments")),
            "tags trusted": f"{trusted} of {len(report.trust)}",
            "effective sample size": number(weights.get("effective_sample_size")),
        }
    said = first.opening(summary) if leads else headline(summary)
    return node(
        "header",
        node("h1", f"Report on {count(episodes.get('ok'), 'rollout')}"),
        node("p", said, class_="lead"),
        node(
            "dl",
            *(node("div", node("dt", name), node("dd", value)) for name, value in figures.items()),
            class_="figures",
        ),
    )


def _succeeded(won: float, lost: float, unknown: float) -> str:
    """A share of all episodes, or, where some ended nobody knows how, a number of those that are known."""
    if not won + lost:
        return NOT_ASSESSED
    return f"{number(int(won))} of {number(int(won + lost))} known" if unknown else percent(won / (won + lost))


def _caveats(report: ReportInput) -> Markup | None:
    """What no other part of the page tells."""
    warnings = [str(each) for each in report.summary.get("warnings") or ()]
    for tag, told in alerts_of(report.summary).items():
        warnings += [f"{tag}: {each}" for each in told if tag not in report.trust]
    absent = [str(each) for each in report.summary.get("not_assessed") or ()]
    if not warnings and not absent:
        return None
    lines = [node("li", each) for each in warnings] + [node("li", f"Not assessed: {each}") for each in absent]
    return node("ul", *lines, class_="warn")


def _episodes(report: ReportInput) -> Markup | None:
    if not report.signals:
        return None
    tiers = {tag: row.tier for tag, row in report.trust.items()}
    parts = [_episode(report, signal, tiers, first=i == 0) for i, signal in enumerate(report.signals)]
    note = "A few episodes, chosen to show different things. Marks: ✓ success, ✗ failure, ↻ failed and tried again."
    return node("div", node("p", note, class_="muted"), *parts)


def _episode(report: ReportInput, signal: Mapping[str, Any], tiers: Mapping[str, str], *, first: bool) -> Markup:
    name = str(signal.get("episode_id", ""))
    segments: list[Segment] = list(of_episodes(report.segments, (name,)))
    tags: list[dict[str, Any]] = list(of_episodes(report.tags, (name,)).rows())
    ended = _ended(signal.get("success"))
    how = OUTCOME_SOURCES.get(str(signal.get("outcome_source", "")), "")
    above = {tag: as_number(row.get("above")) or 0.0 for tag, row in (section(report.summary, "tags") or {}).items()}
    given = sorted({str(row["tag"]) for row in tags if (as_number(row["level"]) or 0) > above.get(row["tag"], 0.0)})
    line = join(
        [
            node("b", f"{OUTCOME_MARKS[ended]}{TEXT_FORM} {visible(name)}"),
            f"  {', '.join(given)}" if given else None,
        ]
    )
    facts = [
        f"{visible(signal.get('family', 'unknown'))}: {ended}" + (f" ({how})" if how and ended != "unknown" else ""),
        count(len(segments), "segment"),
        _weight_of(report, name),
        _unassessed(tags),
    ]
    return tables.folded(
        line,
        node("p", "; ".join(fact for fact in facts if fact) + ".", class_="muted"),
        timeline(segments, tags, signal, tiers),
        tables.folded("Segments as a list", tables.segment_list(segments)) if segments else None,
        open_=first,
    )


def _ended(success: Any) -> str:
    """Outcome of an episode from true, false, 1, 0 or nothing."""
    known = success if isinstance(success, bool) else as_number(success)
    return "unknown" if known is None else "success" if known else "failure"


def _weight_of(report: ReportInput, name: str) -> str:
    where = np.flatnonzero(report.plan.episode_id.isin(name))
    if not len(where):
        return ""
    times = float(report.plan.p[where[0]]) * len(report.plan)
    why = report.plan.reasons[int(where[0])]
    return f"drawn {number(times, 2)} × as often as evenly" + (f" ({visible(why)})" if why else "")


def _unassessed(tags: Sequence[Mapping[str, Any]]) -> str:
    names = sorted({str(row["tag"]) for row in tags if as_number(row["level"]) is None})
    return f"{NOT_ASSESSED}: {', '.join(names)}" if names else ""


def _segments(summary: Mapping[str, Any]) -> Markup | None:
    labels = section(summary, "labels")
    return tables.label_counts(labels, section(summary, "segment_outcomes")) if labels else None


def _proposals(report: ReportInput) -> Markup | None:
    counts = section(report.summary, "proposals")
    return tables.proposals(counts, report.proposals) if counts or len(report.proposals) else None


def _weights(report: ReportInput) -> Markup | None:
    weights = section(report.summary, "weights")
    if not weights:
        return None
    episodes = section(report.summary, "episodes")
    lacking = no_gain_sentence(report.summary)
    parts = [
        node("p", weights_sentence(weights, weights.get("n", episodes.get("ok")))),
        node("p", lacking) if lacking else None,
        sampled.page(weights),
    ]
    plan = report.plan
    if len(plan) and not weights.get("uniform"):
        order = np.argsort(-plan.p, kind="stable")[:10]
        rows = [
            (to_episode(row["episode_id"]), f"{number(row['p'] * len(plan), 2)} ×", row["reasons"])
            for row in plan.take(order).rows()
        ]
        parts.append(
            tables.folded(
                "The ten drawn most", tables.table(("episode", "of an even share", "why"), rows, numeric=(1,))
            )
        )
    return node("div", *parts)


def _quarantine(report: ReportInput) -> Markup | None:
    if not len(report.quarantine):
        return None
    from sima2.io.intake import QUARANTINE_REASONS

    return tables.quarantined(report.quarantine, QUARANTINE_REASONS)


MOST_LISTED: Final = 500
"""Episodes that are listed without a script."""
READING: Final = ("format", "version", "robot", "fps", "mapping", "merging", "assumptions", "unmapped", "absent")
"""What the summary tells of a recorded data set."""


def _column_map(summary: Mapping[str, Any]) -> Markup | None:
    given = summary.get("column_map")
    if not given:
        return None
    rows = [row for key in READING if summary.get(key) for row in _flat(key, summary[key])]
    if isinstance(given, str):
        lines = join([visible(line) for line in given.splitlines()], "\n")
        columns = node("pre", node("code", lines))
    else:
        columns = tables.table(("what", "from"), list(_flat("", given)))
    return node("div", tables.table(("", ""), rows) if rows else None, tables.folded("The column map", columns))


def _flat(prefix: str, value: Any) -> list[tuple[str, str]]:
    """A nested mapping as rows of a dotted name and a value."""
    if isinstance(value, Mapping):
        return [row for key, each in value.items() for row in _flat(f"{prefix}.{key}" if prefix else str(key), each)]
    if isinstance(value, list | tuple):
        return [(prefix, ", ".join(str(each) for each in value))]
    return [(prefix, NOT_ASSESSED if value is None else str(value))]


def _run_words(run: Mapping[str, Any]) -> str:
    """One run of the folder: what it took in."""
    inputs = ", ".join(f"{name} {value}" for name, value in section(run, "inputs").items() if name != "request")
    return f"{run.get('run')}: {number(run.get('episodes'))} episodes ({inputs})"


def _provenance(summary: Mapping[str, Any]) -> Markup:
    nominal = section(summary, "nominal")
    rows = [
        ("version", f"sima2 {summary.get('sima2_version', NOT_ASSESSED)}"),
        ("source", str(summary.get("source", NOT_ASSESSED))),
        ("seed", str(summary.get("seed", NOT_ASSESSED))),
        ("digest of the results", node("code", str(summary.get("digest", NOT_ASSESSED)))),
        (
            "reference episodes",
            f"{number(nominal.get('episodes'))}: {nominal.get('rule', NOT_ASSESSED)}" if nominal else "",
        ),
        ("runs", "; ".join(_run_words(run) for run in summary.get("runs", ()))),
    ]
    return tables.table(("", ""), rows)
