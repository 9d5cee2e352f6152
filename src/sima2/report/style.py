"""The page's style sheet: light and dark, narrow and wide, screen and paper."""

from __future__ import annotations

from sima2.report.label_style import colours
from sima2.report.task_graph import STYLE as TASK_GRAPH
from sima2.report.timeline import WIDTHS

_THEMES = """
:root{color-scheme:light dark;--paper:#fffdf9;--ink:#22211f;--muted:#6b6862;--rule:#dedad2;--soft:#f2efe8;
--bar:#5b7f9c;--accent:#0b5f8a;--warn:#a34a00;--halo:#fffdf9;--stroke:#00000038;--dot:#22211f;
--trusted:#d5e9dc;--provisional:#f4ecc8;--untrusted:#ece9e3}
@media (prefers-color-scheme:dark){:root{--paper:#171716;--ink:#e6e3dc;--muted:#a09c93;--rule:#383632;--soft:#22211f;
--bar:#6f98b8;--accent:#7fb9dd;--warn:#f0a868;--halo:#171716;--stroke:#ffffff3a;--dot:#f2efe8;
--trusted:#1e4a33;--provisional:#4d4516;--untrusted:#2b2a27}}
"""

_PAGE = """
*{box-sizing:border-box}
body{margin:0 auto;padding:2rem clamp(.8rem,3vw,2.5rem) 4rem;max-width:82rem;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI","Noto Sans",sans-serif;font-variant-numeric:tabular-nums lining-nums;
overflow-wrap:break-word}
h1,h2,.lead{font-family:"Iowan Old Style","Palatino Linotype",Palatino,"Noto Serif",Georgia,serif}
h1{font-size:1.7rem;font-weight:500;margin:0;letter-spacing:-.01em}
h2{font-size:1.2rem;font-weight:500;margin:2.6rem 0 .5rem;padding-top:.7rem;border-top:1px solid var(--rule)}
.lead{font-size:1.12rem;max-width:46em;margin:.5rem 0 0}
p{max-width:56em;margin:.5rem 0}
.muted,small,figcaption,.caption{color:var(--muted)}
.muted{font-size:.88rem}
small{display:block;font-size:.8rem;line-height:1.4;font-weight:400}
ul{margin:.4rem 0;padding-left:1.1rem}
.warn li::marker{color:var(--warn)}
dl.figures{display:flex;flex-wrap:wrap;gap:.6rem 2.2rem;margin:1.3rem 0 0}
dl.figures div{display:flex;flex-direction:column-reverse}
dl.figures dt{color:var(--muted);font-size:.8rem}
dl.figures dd{margin:0;font-size:1.35rem;line-height:1.25}
.columns{display:grid;grid-template-columns:minmax(0,1fr);gap:0 3rem}
@media (min-width:1000px){.columns{grid-template-columns:minmax(0,1fr) minmax(0,1fr)}}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{padding:.28rem .9rem .28rem 0;text-align:left;vertical-align:top;min-width:2.2rem;
border-bottom:1px solid var(--rule)}
thead th{color:var(--muted);font-weight:400;font-size:.8rem;vertical-align:bottom;white-space:nowrap}
td:last-child,th:last-child{padding-right:0}
.n{text-align:right;white-space:nowrap}
td .swatch{display:block;margin-top:.3rem}
td .strip{margin-top:.4rem;min-width:4rem}
.scroll{overflow-x:auto}.scroll td:first-child:not(.n):has(span){min-width:9rem}
.histogram{display:block;fill:var(--bar)}
.trough{fill:var(--soft)}.bar{fill:var(--bar)}
details{margin:.5rem 0;border-bottom:1px solid var(--rule);padding-bottom:.4rem}
summary{cursor:pointer;padding:.15rem 0}
summary::marker{color:var(--muted)}
code{font:.85em/1.4 ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
pre{overflow-x:auto;margin:.4rem 0}
"""

_PICTURES = """
.defs{position:absolute}
.strip{display:block;width:100%;overflow:hidden}
figure{margin:.8rem 0 .6rem}
figure>*{margin-bottom:5px}
figcaption{font-size:.78rem}
svg text{font-size:11.5px;fill:var(--ink)}
.strip .caption{fill:var(--muted)}
.strip svg text{paint-order:stroke;stroke:var(--halo);stroke-width:2.5px;stroke-opacity:.75;stroke-linejoin:round}
.stroke{stroke:var(--stroke);fill:none;stroke-width:1}
.edge{fill:var(--ink);opacity:.5}
.tag{fill:var(--accent)}
.tags{overflow:visible;margin-top:7px}.tags+.tags{margin-top:0}
.signal{fill:none;stroke:var(--accent);stroke-width:1.1;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.tick{stroke:var(--muted);stroke-width:1;opacity:.6}
.rail{stroke:var(--rule);stroke-width:1}
.chance{stroke:var(--muted);stroke-dasharray:2 2}
.whisker{stroke:var(--dot);stroke-width:1.3}
.dot{fill:var(--dot);stroke:var(--paper);stroke-width:1.5}
.level{fill:var(--dot)}
.band.trusted{fill:var(--trusted)}.band.provisional{fill:var(--provisional)}.band.untrusted{fill:var(--untrusted)}
.bound{stroke:var(--dot);stroke-width:3.5}
.even{stroke:var(--dot);stroke-width:2}
.forest{table-layout:fixed}
.forest>thead th:nth-child(1){width:16%}
.forest>thead th:nth-child(2){width:20%}.forest>thead th:nth-child(3){width:16%}
.forest>thead th:nth-child(4){width:7%}.forest>thead th:nth-child(5){width:13%}
.forest .strip{overflow:visible}
.forest tbody th{font-weight:600}
.forest tr>:nth-child(2),.forest tr>:nth-child(3){padding-right:2rem}
.forest .verdict>*{border-bottom:0;padding-bottom:0}
.forest .strata>td{padding:0 0 .5rem}
.strata details{border:0;padding:0;margin:.1rem 0}
.strata summary{color:var(--muted);font-size:.82rem}
.by-stratum{width:100%;max-width:58rem;font-size:.82rem}
.by-stratum th,.by-stratum td{border:0;padding:.1rem 1rem .1rem 0!important;vertical-align:middle}
.by-stratum td:nth-child(2){width:32%;padding-right:1.4rem!important}
.by-stratum td:last-child{color:var(--warn);white-space:nowrap}
.by-stratum tbody th{font-weight:400}.by-stratum small{display:inline;margin-left:.5em}
@media (max-width:760px){.spare{display:none}th,td{padding-right:.6rem}}
@media (max-width:1099.98px){
.stack>thead{position:absolute;clip-path:inset(50%);height:1px;overflow:hidden}
.stack,.stack>tbody,.stack>tbody>tr,.stack>tbody>tr>*{display:block;width:auto!important}
.stack>tbody>tr{border-bottom:1px solid var(--rule);padding:.5rem 0}
.stack>tbody>tr>*{border:0;padding:.1rem 0!important}
.stack>tbody>tr>td[data-label]{display:grid;grid-template-columns:5rem minmax(0,1fr);column-gap:.6rem;
align-items:start}
.stack td[data-label]::before{content:attr(data-label);color:var(--muted);font-size:.8rem;
grid-row:span 3;padding-top:.15rem}
.stack td[data-label]>small{grid-column:2}
.stack>tbody>tr.verdict{border-bottom:0;padding-bottom:0}.stack>tbody>tr.strata{padding-top:0}
.by-stratum,.by-stratum tbody{display:block}
.by-stratum tr{display:grid;grid-template-columns:minmax(0,1.2fr) minmax(0,1fr);padding:.25rem 0}
.by-stratum td,.by-stratum th{padding:0 .4rem 0 0!important}
.by-stratum td:nth-child(2){width:auto}
.by-stratum td:nth-child(3){grid-column:1;text-align:left}.by-stratum td:nth-child(5):empty{display:none}
}
"""

_WORK = """
#workbench:empty{display:none}
#workbench button,#workbench input,#workbench select{font:inherit;color:inherit;background:var(--paper);
border:1px solid var(--rule);border-radius:3px;padding:.15rem .45rem;max-width:100%}
#workbench button{cursor:pointer}
#workbench button:hover{background:var(--soft)}
#workbench :focus-visible,main a:focus-visible,summary:focus-visible{outline:2px solid var(--accent);outline-offset:1px}
a{color:var(--accent);text-decoration-thickness:1px;text-underline-offset:2px}
td a,th a,.row a,.facts a{color:inherit;text-decoration-color:var(--muted)}
.filters{display:flex;flex-wrap:wrap;gap:.5rem .8rem;align-items:end;margin:.6rem 0}
.filters label{display:flex;flex-direction:column;font-size:.88rem;min-width:0}
.filters label span{color:var(--muted);font-size:.78rem}
.filters .wide{flex:1 1 15rem}
.filters select{max-width:13rem}
.quick{display:flex;flex-wrap:wrap;gap:.35rem}
#workbench .quick button,#workbench .moments button{font-size:.82rem;border-radius:1rem;padding:.1rem .65rem}
.told{display:block;font-size:.88rem;color:var(--muted);margin:.3rem 0}
.problem{color:var(--warn)}
.grid{font-size:.88rem;border:1px solid var(--rule);border-radius:3px}
.scrolled{height:min(21rem,45vh);overflow-y:auto;overflow-x:hidden;position:relative}
.rows{position:relative}
.row{display:flex;align-items:center;gap:.7rem;height:30px;padding:0 .6rem;border-bottom:1px solid var(--rule)}
.rows .row{position:absolute;left:0;right:0;cursor:pointer}
.rows .row:hover{background:var(--soft)}
.rows .row.here{background:var(--soft);box-shadow:inset 3px 0 var(--accent)}
.row>div{overflow:hidden;text-overflow:ellipsis;white-space:nowrap;min-width:0;flex:1 1 0}
.head.row{background:var(--soft);height:27px}
.head button{border:0!important;background:none!important;padding:0!important;color:var(--muted)!important;
font-size:.8rem!important}
.row>.c-ended{flex:0 0 3.2rem}.row>.c-ended small{display:inline}
.row>.c-number{flex:0 0 3.2rem;text-align:right}.row>.c-seconds{flex:0 0 3rem;text-align:right}
.row>.c-episode{flex:1.6 1 0}.row>.c-steps{flex:2.2 1 0}.row>.c-plan{flex:0 0 4.6rem}
.row>.c-unusual{flex:0 0 5rem;text-align:right}
.course{display:block;width:100%}.course text,.flag text{font-size:11px}
.keys{font-size:.85rem;border:0;margin:.3rem 0}
.keys dl{display:flex;flex-wrap:wrap;gap:.2rem 1.4rem;margin:.3rem 0}
.keys dl div{display:flex;gap:.4rem}.keys dd{margin:0;color:var(--muted)}
kbd{font:.85em ui-monospace,"DejaVu Sans Mono",monospace;border:1px solid var(--rule);border-radius:3px;padding:0 .3rem}
.one{margin-top:.8rem;scroll-margin-top:.5rem}
.one h3{font-size:1.05rem;font-weight:600;margin:.4rem 0;overflow-wrap:anywhere}
.one h3 button{margin-right:.25rem;min-width:1.9rem}
.address{text-decoration:none;color:var(--muted)!important;font-weight:400;padding:0 .3rem}
.facts{display:flex;flex-wrap:wrap;gap:.25rem 1.6rem;margin:.4rem 0;font-size:.9rem}
.facts div{display:flex;gap:.45rem;min-width:0}.facts dt{color:var(--muted);white-space:nowrap}
.facts dd{margin:0;overflow-wrap:anywhere}
.moments{display:flex;flex-wrap:wrap;gap:.3rem;max-width:none;max-height:8.2rem;overflow-y:auto}
.moments small{display:inline}
#workbench .moments .bad{border-color:var(--warn)}#workbench .moments .good{border-color:var(--accent)}
#workbench .moments .defect,#workbench .moments .tag{border-style:dashed}
.zoom{display:flex;flex-wrap:wrap;gap:.3rem;align-items:baseline;max-width:none;min-height:1.9rem}
.zoom button{min-width:2rem}
.readout,.news{font-size:.85rem;color:var(--muted);margin-left:.5rem}
.timeline{touch-action:pan-y;user-select:none;cursor:crosshair;overflow:hidden}
.timeline svg{display:block;max-width:100%}
.timeline .on{paint-order:stroke;stroke:var(--halo);stroke-width:2.5px;stroke-opacity:.75;stroke-linejoin:round}
.timeline .caption{fill:var(--muted);font-size:11px}
.timeline .signal{fill:var(--accent);fill-opacity:.25}
.timeline .cursor{stroke:var(--warn);stroke-width:1.5}
.timeline .cut{fill:var(--ink);opacity:.14}
.flag line{stroke:var(--warn);stroke-width:1}.flag.good line{stroke:var(--accent)}
.flag text{fill:var(--warn)!important}.flag.good text{fill:var(--accent)!important}
.defect{fill:var(--warn)}
.paths,.stills,.films{display:flex;flex-wrap:wrap;gap:.6rem}
.paths figure,.stills figure,.films figure{margin:.4rem 0}
.films figure{flex:1 1 16rem;max-width:30rem}.films video,.films img{width:100%;background:#000}
#workbench .still{padding:0;line-height:0}.still img{max-width:160px;height:auto}
.paths svg{border:1px solid var(--rule);border-radius:3px}
.track{fill:none;stroke:var(--accent);stroke-width:1.2}
.begin{fill:var(--muted)}.failed{fill:none;stroke:var(--warn);stroke-width:2}.spot{fill:var(--warn)}
.say,.labelling{display:flex;flex-wrap:wrap;gap:.35rem;align-items:center;max-width:none}
.say small{flex:1 0 100%}
@media (max-width:760px){.row>.c-task,.row>.c-tags,.row>.c-defects,.row>.c-unusual,.row>.c-seconds,.row>.c-plan
{display:none}.filters label{flex:1 1 8rem}.filters select{max-width:none}}
@media print{#workbench{display:none}.without-script{display:block!important}}
"""

_PAPER = """
@media print{:root{color-scheme:light}body{max-width:none;padding:0;font-size:10pt}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
details,figure,tr{break-inside:avoid}h2{break-after:avoid}.scroll{overflow:visible}}
"""


def style_sheet() -> str:
    """All rules of the page."""
    shown = "".join(_shown_from(width) for width in WIDTHS)
    dark = f"@media (prefers-color-scheme:dark){{{colours(dark=True)}}}"
    return (_THEMES + _PAGE + _PICTURES + _WORK + TASK_GRAPH + colours(dark=False) + dark + shown + _PAPER).replace(
        "\n", ""
    )


def _shown_from(width: int) -> str:
    """Labels that fit from this page width on, and what stands in for them below it."""
    narrow, wide = f"(max-width:{width - 0.02}px)", f"(min-width:{width}px)"
    return f"@media {narrow}{{.from{width}{{display:none}}}}@media {wide}{{.until{width}{{display:none}}}}"
