// The page's script: finds episodes, shows one, and, where a server allows it, says how it ended.
// Everything that comes from data is set as text or as a number, never as markup.
(() => {
"use strict";
const read = (id) => { const at = document.getElementById(id); return at && JSON.parse(at.textContent); };
const all = read("overview");
const root = document.getElementById("workbench");
if (!all || !root) return;
const kept = read("details") || {};
const live = document.body.dataset.live || "";
const ROW = 30, FIRST_STEP = 0x4e00, NOTHING = 255, STEPS = 250;
const ENDED = ["failure", "success", "unknown"];
const MARKS = { success: "✓", failure: "✗", retry: "↻", unknown: "?" };
const BAD = new Set(["failure", "retry"]), ANOMALIES = new Set(["slip", "collision", "recovery_maneuver"]);
const SVG = "http://www.w3.org/2000/svg";

// ---------------------------------------------------------------- elements
const put = (at, name, value) => {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) at.addEventListener(name.slice(2), value);
  else if (name === "class") at.setAttribute("class", value);
  else at.setAttribute(name, value === true ? "" : value);
};
const fill = (at, kids) => { at.append(...kids.flat(9).filter((kid) => kid !== null && kid !== undefined && kid !== false)); return at; };
const h = (tag, given, ...kids) => { const at = document.createElement(tag); for (const k in given || {}) put(at, k, given[k]); return fill(at, kids); };
const s = (tag, given, ...kids) => { const at = document.createElementNS(SVG, tag); for (const k in given || {}) put(at, k, given[k]); return fill(at, kids); };
const words = (name) => name.replaceAll("_", " ");
const short = (x, digits = 3) => x === null || x === undefined ? "–" : x === 0 ? "0" : String(+x.toPrecision(digits));
const many = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

// ---------------------------------------------------------------- what the rows say
const name_of = (column, row) => all[`${column}_names`][all[column][row]];
const odd = new Set(all.odd);
const text_of = [];
for (let row = 0; row < all.n; row++)
  text_of.push([all.id[row], name_of("task", row), words(name_of("task", row)), name_of("robot", row), words(name_of("why", row)),
    ...all.tags[row].map((k) => all.tag_names[k]), ...all.defects[row].map((k) => words(all.defect_names[k]))].join("\n").toLowerCase());

// ---------------------------------------------------------------- steps: what happened, in order
// The short form of `sima2 query --sequence`. A server answers all of it; the file knows labels, outcomes, numbers and
// arms, and what lies between, since it holds no times of all episodes.
const decoded = new Map();
const decode = (each) => {
  let step = decoded.get(each);
  if (step === undefined) {
    const code = each.codePointAt(0) - FIRST_STEP, kinds = all.labels.length, ends = all.outcomes.length;
    step = { label: all.labels[code % kinds], outcome: all.outcomes[Math.floor(code / kinds) % ends], arm: all.arms[Math.floor(code / kinds / ends)] };
    decoded.set(each, step);
  }
  return step;
};
const courses = [];
const steps_of = (row) => courses[row] ||= Array.from(all.steps[row], decode);
const wrong = (problem) => { throw new Error(problem); };
const condition = (text) => {
  const made = /^\s*(\*|[A-Za-z_]+(?:\s*\|\s*[A-Za-z_]+)*)?\s*((?:\s*(?::\s*(?:\*|[A-Za-z_]+(?:\s*\|\s*[A-Za-z_]+)*)|@[^\s@([{:>…!)]+|\[\s*-?\d+\s*\]))*)\s*$/.exec(text);
  if (!made || !text.trim()) {
    if (/[({]/.test(text)) wrong("objects and limits of time are found by sima2 view and by sima2 query --sequence");
    wrong(`not a step: ${text.trim() || "nothing"}; such as grasp:failure`);
  }
  const one = { labels: null, outcomes: null, arm: "", nth: 0 };
  if (made[1] && made[1] !== "*") one.labels = new Set(made[1].split("|").map((name) => name.trim()));
  for (const name of one.labels || []) if (!all.labels.includes(name)) wrong(`unknown label ${name}: one of ${all.labels.join(", ")}`);
  for (const part of made[2].match(/:\s*[^:@[]+|@[^:[\s]+|\[[^\]]*\]/g) || []) {
    if (part[0] === "@") one.arm = part.slice(1).trim();
    else if (part[0] === "[") one.nth = Number.parseInt(part.slice(1), 10);
    else if (part.slice(1).trim() !== "*") one.outcomes = new Set(part.slice(1).split("|").map((name) => name.trim()));
  }
  for (const name of one.outcomes || []) if (!all.outcomes.includes(name)) wrong(`unknown outcome ${name}: one of ${all.outcomes.join(", ")}`);
  if (one.outcomes && one.outcomes.has("failure")) one.outcomes.add("retry");
  if (one.arm && !all.arms.includes(one.arm)) wrong(`unknown arm ${one.arm}: one of ${all.arms.join(", ")}`);
  return one;
};
const parsed = (text) => {
  const pieces = text.split(/(>|…|\.\.\.)/).map((each) => each.trim()).filter(Boolean), steps = [];
  let absent = [], later = false, sign = "", end = "", arm = "";
  for (const [k, piece] of pieces.entries()) {
    if (piece === ">" || piece === "…" || piece === "...") { if (piece === ">" && sign === ">" && !later) wrong("two > with nothing between them"); if (piece === ">" && !steps.length && !absent.length && !later) wrong("nothing comes before >"); sign = piece; later ||= piece !== ">"; continue; }
    if (k === pieces.length - 1 && ENDED.includes(piece)) { end = piece; break; }
    if (end) wrong("how the episode ended comes last");
    if (piece[0] === "!") { absent.push(condition(piece.slice(1))); sign = ""; continue; }
    const step = condition(piece);
    if (step.arm && arm && step.arm !== arm) wrong("steps of two arms are found by sima2 view and by sima2 query --sequence");
    arm ||= step.arm;
    steps.push({ ...step, later: later || absent.length > 0, absent });
    absent = []; later = false; sign = "";
  }
  if (sign === ">" && !end) wrong("nothing comes after >");
  if (!steps.length && !absent.length && !end) wrong("no step is named: try lift … slip");
  return { steps, absent, end };
};
const holds = (step, one) => (!one.labels || one.labels.has(step.label)) && (!one.outcomes || one.outcomes.has(step.outcome)) && (!one.arm || one.arm === step.arm);
const kind = (step, one) => (!one.labels || one.labels.has(step.label)) && (!one.arm || one.arm === step.arm);
const counts = [];
const numbered = (n) => counts[n] ||= Array.from({ length: n }, (_, k) => k);
const pattern = (text) => {
  const { steps, absent, end } = parsed(text);
  // a lane is the places, in the episode's course, of the steps of one arm
  const none = (every, lane, from, to, list) => list.every((one) => { for (let k = from; k < to; k++) if (holds(every[lane[k]], one)) return false; return true; });
  const may = (every, place, one) => {
    if (!holds(every[place], one)) return false;
    if (!one.nth) return true;
    let left = Math.abs(one.nth);
    for (let k = place; k >= 0 && k < every.length; k += one.nth > 0 ? -1 : 1) if (kind(every[k], one)) left--;
    return left === 0;
  };
  const follows = (every, lane, at, k) => {
    if (k === steps.length) return none(every, lane, at + 1, lane.length, absent);
    const step = steps[k], last = step.later ? lane.length : Math.min(at + 2, lane.length);
    for (let next = at + 1; next < last; next++) {
      if (may(every, lane[next], step) && none(every, lane, at + 1, next, step.absent) && follows(every, lane, next, k + 1)) return true;
    }
    return false;
  };
  return (row) => {
    if (end && ENDED[all.ended[row]] !== end) return false;
    const every = steps_of(row), places = numbered(every.length);
    if (!steps.length) return none(every, places, 0, every.length, absent);
    return all.arms.some((arm) => {
      const lane = all.arms.length > 1 ? places.filter((k) => every[k].arm === arm) : places;
      for (let k = 0; k < lane.length; k++) if (may(every, lane[k], steps[0]) && none(every, lane, 0, k, steps[0].absent) && follows(every, lane, k, 1)) return true;
      return false;
    });
  };
};

// ---------------------------------------------------------------- state: all of it is in the address
const FILTERS = ["text", "ended", "how", "task", "tag", "defect", "why", "plan", "steps", "unusual", "said"];
const state = { filter: {}, sort: "", down: false, row: -1, frame: null, from: null, to: null };
let view = [], search_problem = "", found = null;

const address = () => {
  const parts = new URLSearchParams();
  if (state.row >= 0) parts.set("episode", all.id[state.row]);
  if (state.row >= 0 && state.frame !== null) parts.set("frame", state.frame);
  for (const name of FILTERS) if (state.filter[name]) parts.set(name, state.filter[name]);
  if (state.sort) parts.set("sort", (state.down ? "-" : "") + state.sort);
  return "#" + parts.toString();
};
const remember = () => history.replaceState(null, "", address());
const by_id = new Map(all.id.map((id, row) => [id, row]));
const arrive = () => {
  const parts = new URLSearchParams(location.hash.slice(1));
  if (!location.hash || ![...parts.keys()].some((k) => k === "episode" || k === "sort" || FILTERS.includes(k))) return false;
  for (const name of FILTERS) if (parts.has(name)) state.filter[name] = parts.get(name); else if (!parts.has("episode")) delete state.filter[name];
  const sort = parts.get("sort");
  if (sort) { state.down = sort.startsWith("-"); state.sort = sort.replace("-", ""); }
  for (const name of FILTERS) if (controls[name]) controls[name].value = state.filter[name] || "";
  choose();
  if (parts.has("episode")) {
    const row = by_id.get(parts.get("episode"));
    const frame = parts.has("frame") ? Math.max(0, Number.parseInt(parts.get("frame"), 10) || 0) : null;
    if (row === undefined) { state.row = -1; panel.replaceChildren(h("p", { class: "muted" }, `There is no episode ${parts.get("episode")} here.`)); }
    else { if (!view.includes(row)) { state.filter = {}; for (const name of FILTERS) if (controls[name]) controls[name].value = ""; choose(); } open(row, frame); }
    panel.scrollIntoView({ block: "start" });
  } else root.scrollIntoView({ block: "start" });
  return true;
};

// ---------------------------------------------------------------- filter and sort
const KEYS = {
  number: (r) => all.number[r], episode: (r) => all.id[r], task: (r) => name_of("task", r), ended: (r) => all.ended[r],
  seconds: (r) => all.seconds[r] ?? -1, steps: (r) => all.steps[r].length, tags: (r) => -all.tags[r].length,
  defects: (r) => -all.defects[r].length, plan: (r) => all.action[r], weight: (r) => all.weight[r] ?? 2, unusual: (r) => all.unusual[r] ?? 2,
};
const choose = () => {
  const want = state.filter, tests = [];
  const is = (name, test) => { if (want[name]) tests.push(test(want[name])); };
  is("text", (text) => { const each = text.toLowerCase().split(/\s+/).filter(Boolean); return (r) => each.every((t) => text_of[r].includes(t) || (/^\d+$/.test(t) && all.number[r] === +t)); });
  is("ended", (v) => { const k = ENDED.indexOf(v); return (r) => all.ended[r] === k; });
  is("how", (v) => { const k = all.how_names.indexOf(v); return (r) => all.how[r] === k; });
  is("task", (v) => { const k = all.task_names.indexOf(v); return (r) => all.task[r] === k; });
  is("why", (v) => { const k = all.why_names.indexOf(v); return (r) => all.why[r] === k; });
  is("tag", (v) => { const k = all.tag_names.indexOf(v); return (r) => all.tags[r].includes(k); });
  is("defect", (v) => { if (v === "any") return (r) => all.defects[r].length > 0; const k = all.defect_names.indexOf(v); return (r) => all.defects[r].includes(k); });
  is("plan", (v) => (r) => all.action[r] === v);
  is("unusual", () => (r) => odd.has(r));
  is("said", (v) => v === "no" ? (r) => !all.said[r] : (r) => Boolean(all.said[r]));
  search_problem = "";
  is("steps", (text) => {
    if (found && found.text === text) { search_problem = found.problem; return (r) => found.problem || found.rows.has(r); }
    try { const ask = pattern(text); return (r) => ask(r); } catch (problem) { search_problem = problem.message; }
    if (live) { ask_server(text); search_problem = "…"; }
    return () => true;
  });
  view = [];
  for (let r = 0; r < all.n; r++) if (tests.every((test) => test(r))) view.push(r);
  const key = KEYS[state.sort];
  if (key) {
    const value = view.map((r) => key(r)), order = view.map((_, k) => k);
    order.sort((a, b) => (value[a] < value[b] ? -1 : value[a] > value[b] ? 1 : a - b));
    view = order.map((k) => view[k]);
    if (state.down) view.reverse();
  }
  told.textContent = search_problem || `${many(view.length, "episode")}${view.length === all.n ? "" : ` of ${all.n.toLocaleString("en")}`}`;
  told.classList.toggle("problem", Boolean(search_problem));
  draw_rows();
};
let soon = 0;
const filtered = (name, value) => {
  if (value) state.filter[name] = value; else delete state.filter[name];
  clearTimeout(soon);
  soon = setTimeout(() => { choose(); remember(); }, name === "text" || name === "steps" ? 30 : 0);
};
const ask_server = async (text) => {
  const answer = { text, rows: new Set(), problem: "" };
  try { const said = await (await fetch(`find?steps=${encodeURIComponent(text)}`)).json(); answer.rows = new Set(said.rows); answer.problem = said.error || ""; }
  catch { answer.problem = "the server does not answer"; }
  if (state.filter.steps === text) { found = answer; choose(); }
};

const controls = {};
const pick = (name, label, values) => {
  const counted = values.filter(([value]) => value);
  if (counted.length < (name === "task" ? 2 : 1)) return null;
  controls[name] = h("select", { onchange: (e) => filtered(name, e.target.value) }, h("option", { value: "" }, "any"),
    counted.map(([value, shown, n]) => h("option", { value }, n === undefined ? shown : `${shown} (${n.toLocaleString("en")})`)));
  return h("label", null, h("span", null, label), controls[name]);
};
const tally = (codes, names) => { const n = names.map(() => 0); for (const each of codes) for (const k of [each].flat()) n[k]++; return names.map((name, k) => [name, words(name), n[k]]).filter((each) => each[2]).sort((a, b) => b[2] - a[2]); };
const typed = (name, label, hint) => {
  controls[name] = h("input", { type: "search", placeholder: hint, spellcheck: "false", autocomplete: "off", oninput: (e) => filtered(name, e.target.value.trim()) });
  return h("label", { class: `wide ${name}` }, h("span", null, label), controls[name]);
};
const ACTIONS = ["keep", "trim", "review", "drop"];
const QUICK = [["failed", { ended: "failure" }], ["failed, then succeeded", { steps: "*:failure … success" }], ["second grasp succeeded", { steps: "grasp[2]:success" }],
  ["to review", { plan: "review" }], ["left out", { plan: "drop" }], ["with defects", { defect: "any" }], ["unusual", { unusual: "yes" }]];
const told = h("output", { class: "told", "aria-live": "polite" });
const form = h("form", { class: "filters", role: "search", "aria-label": "find episodes", onsubmit: (e) => e.preventDefault() },
  typed("text", "find", "id, number, task, reason, tag …"), typed("steps", "what happened", "grasp:failure … grasp:success"),
  pick("ended", "ended", tally(all.ended, ENDED)), pick("how", "known from", tally(all.how, all.how_names)), pick("task", "task", tally(all.task, all.task_names)),
  pick("why", "reason", tally(all.why, all.why_names)), pick("tag", "tag", tally(all.tags, all.tag_names)),
  pick("defect", "defect", tally(all.defects, all.defect_names)),
  pick("plan", "plan", ACTIONS.map((a) => [a, a, all.action.filter((x) => x === a).length]).filter((each) => each[2])),
  live === "label" ? pick("said", "labelled", [["yes", "yes"], ["no", "no"]]) : null);
const fits = (want) => Object.entries(want).every(([name, value]) => name !== "plan" || all.action.includes(value)) && (!want.unusual || odd.size > 0) && (!want.ended || all.ended.includes(ENDED.indexOf(want.ended))) && (!want.defect || all.defect_names.length);
const quick = h("p", { class: "quick" }, QUICK.filter(([, want]) => fits(want)).map(([label, want]) => h("button", { type: "button", onclick: () => reset(want) }, label)),
  h("button", { type: "button", onclick: () => reset({}) }, "all"));
const reset = (want) => { state.filter = { ...want }; for (const name of FILTERS) if (controls[name]) controls[name].value = want[name] || ""; choose(); remember(); };

// ---------------------------------------------------------------- the table: only the rows in sight exist
const COLUMNS = [["ended", ""], ["number", "no."], ["episode", "episode"], ["task", "task"], ["seconds", "s"], ["steps", "what happened"], ["tags", "tags"], ["defects", "defects"], ["plan", "plan"], ["unusual", "unusual p"]]
  .filter(([key]) => (key !== "task" || all.task_names.length > 1) && (key !== "unusual" || all.unusual.some((p) => p !== null)));
const sorted = (key) => { state.down = state.sort === key ? !state.down : false; state.sort = key; choose(); remember(); draw_head(); };
const head = h("div", { class: "row head", role: "row" });
const draw_head = () => head.replaceChildren(...COLUMNS.map(([key, label]) => h("div", { class: `c-${key}`, role: "columnheader", "aria-sort": state.sort !== key ? "none" : state.down ? "descending" : "ascending" },
  h("button", { type: "button", title: `sort by ${label || "outcome"}`, onclick: () => sorted(key) }, label || "±", state.sort === key ? (state.down ? " ↓" : " ↑") : ""))));
const rows = h("div", { class: "rows", role: "rowgroup" });
const scroll = h("div", { class: "scrolled", tabindex: "0", role: "presentation", "aria-label": "episodes; up and down choose one", onscroll: () => draw_rows() }, rows);
const table = h("div", { class: "grid", role: "table", "aria-label": "episodes" }, h("div", { role: "rowgroup" }, head), scroll);
const course = (row) => {
  const steps = steps_of(row), bad = steps.filter((each) => BAD.has(each.outcome)).length;
  const wide = 100 / Math.max(steps.length, 1), shown = steps.slice(0, 240);
  return s("svg", { class: "course", role: "img", "aria-label": `${many(steps.length, "step")}, ${bad} failed`, height: 18 },
    shown.map((each, k) => s("rect", { x: `${k * wide}%`, width: `${wide}%`, height: 18, fill: `url(#look-${each.label})` })),
    shown.map((each, k) => BAD.has(each.outcome) ? s("text", { x: `${(k + 0.5) * wide}%`, y: 13, "text-anchor": "middle" }, MARKS[each.outcome] + "\ufe0e") : null));
};
const CELLS = {
  ended: (r) => h("span", { title: `${ENDED[all.ended[r]]} (${words(name_of("how", r))})` }, MARKS[ENDED[all.ended[r]]] + "\ufe0e", name_of("how", r) === "inferred" ? h("small", null, " inf.") : null),
  number: (r) => String(all.number[r]), episode: (r) => h("a", { href: `#episode=${encodeURIComponent(all.id[r])}`, tabindex: "-1" }, all.id[r]), task: (r) => words(name_of("task", r)),
  seconds: (r) => short(all.seconds[r]), steps: course, tags: (r) => all.tags[r].map((k) => all.tag_names[k].replace(/Tag$/, "")).join(", "),
  defects: (r) => all.defects[r].map((k) => words(all.defect_names[k])).join(", "), plan: (r) => all.action[r] + (all.weight[r] !== null && all.weight[r] !== 1 && all.weight[r] !== 0 ? ` ${all.weight[r]}` : ""), unusual: (r) => all.unusual[r] === null ? "" : short(all.unusual[r], 2),
};
const draw_rows = () => {
  rows.style.height = `${view.length * ROW}px`;
  table.setAttribute("aria-rowcount", view.length);
  const first = Math.max(0, Math.floor(scroll.scrollTop / ROW) - 4), last = Math.min(view.length, first + Math.ceil(scroll.clientHeight / ROW) + 9);
  const drawn = [];
  for (let k = first; k < last; k++) {
    const row = view[k];
    const at = h("div", { class: `row${row === state.row ? " here" : ""}`, role: "row", "aria-rowindex": k + 1, "aria-selected": row === state.row ? "true" : null, onclick: (e) => { e.preventDefault(); open(row, null); remember(); } },
      COLUMNS.map(([key]) => h("div", { class: `c-${key}`, role: "cell" }, CELLS[key](row))));
    at.style.top = `${k * ROW}px`;
    drawn.push(at);
  }
  rows.replaceChildren(...drawn);
};
const reveal = () => {
  const k = view.indexOf(state.row);
  if (k < 0) return;
  if (k * ROW < scroll.scrollTop) scroll.scrollTop = k * ROW;
  else if ((k + 1) * ROW > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = (k + 1) * ROW - scroll.clientHeight;
};
const move = (by) => {
  if (!view.length) return;
  const k = view.indexOf(state.row);
  open(view[Math.min(Math.max(k < 0 ? 0 : k + by, 0), view.length - 1)], null); remember();
};

// ---------------------------------------------------------------- one episode
const panel = h("div", { class: "one", "aria-label": "the chosen episode" });
let shown = null;
const get = async (row) => kept[row] || (live ? kept[row] = await (await fetch(`episode?row=${row}`)).json() : null);
const open = async (row, frame) => {
  state.row = row; state.frame = frame; state.from = state.to = null; shown = null;
  draw_rows(); reveal();
  panel.replaceChildren(title(row), h("p", { class: "muted" }, live ? "…" : `Only its row is in this file, which shows ${many(Object.keys(kept).length, "episode")} whole: sima2 view OUT shows all.`));
  try { const told = await get(row); if (told && state.row === row) { shown = told; if (live) keep_few(row); draw_one(); } }
  catch { panel.replaceChildren(title(row), h("p", { class: "problem" }, "The server does not answer any more: start sima2 view again.")); }
};
const keep_few = (row) => { const held = Object.keys(kept); if (held.length > 200) for (const each of held) if (+each !== row) delete kept[each]; };
const title = (row) => h("h3", null, h("button", { type: "button", title: "previous (k)", onclick: () => move(-1) }, "‹"), h("button", { type: "button", title: "next (j)", onclick: () => move(1) }, "›"),
  ` ${MARKS[ENDED[all.ended[row]]]}\ufe0e `, all.id[row], " ", h("a", { class: "address", href: `#episode=${encodeURIComponent(all.id[row])}`, title: "address of this episode" }, "#"));
const seconds_at = (frame) => { const n = all.frames[state.row]; return n > 1 ? (frame * (all.seconds[state.row] ?? 0)) / (n - 1) : 0; };
const moments_of = (told) => {
  const list = [];
  for (const [arm, a, b, label, outcome, why] of told.segments) {
    if (!BAD.has(outcome) && !ANOMALIES.has(label)) continue;
    const who = all.arms.length > 1 ? `${arm}: ` : "", end = outcome === "unknown" ? "" : ` ${MARKS[outcome]}\ufe0e`;
    list.push({ a, b, kind: label === "recovery_maneuver" ? "good" : "bad", label: `${who}${why ? `${words(label)}: ${words(why)}` : words(label)}${end}` });
  }
  for (const [tag, a, b] of told.tags) list.push({ a, b, kind: "tag", label: tag.replace(/Tag$/, "") });
  for (const [kind, a, b] of told.defects) list.push({ a, b, kind: "defect", label: words(kind) });
  return list.sort((x, y) => x.a - y.a);
};
const ended_words = (row, told) => {
  const how = name_of("how", row), end = ENDED[all.ended[row]];
  const sure = how === "inferred" && told.sure ? `, ${told.sure}` : "";
  const other = how !== "inferred" && told.inferred !== null && told.inferred !== undefined && told.inferred !== all.ended[row] ? `; the motion tells ${ENDED[told.inferred]}` : "";
  return `${end}${how === "none" ? "" : ` (${words(how)}${sure})`}${other}`;
};
const fact = (name, value) => value ? h("div", null, h("dt", null, name), h("dd", null, value)) : null;
const link_filter = (name, value, label) => h("a", { href: `#${name}=${encodeURIComponent(value)}` }, label);
const facts = (row, told) => h("dl", { class: "facts" },
  fact("ended", ended_words(row, told)), fact("reason", name_of("why", row) && link_filter("why", name_of("why", row), words(name_of("why", row)))),
  fact("task", h("span", null, link_filter("task", name_of("task", row), words(name_of("task", row))), told.instruction && told.instruction !== name_of("task", row) ? ` “${told.instruction}”` : "")), fact("robot", name_of("robot", row)),
  all.source_names.length > 1 ? fact("source", name_of("source", row)) : null,
  fact("length", `${many(all.frames[row], "frame")}, ${short(all.seconds[row])} s`),
  fact("plan", told.plan.action ? `${told.plan.action}, weight ${short(told.plan.weight)}${told.plan.words ? `: ${told.plan.words}` : ""}${told.plan.knowledge ? ` (${told.plan.knowledge.replaceAll(",", ", ")})` : ""}` : ""),
  told.unusual.map(([p, said]) => said ? fact("unusual", `p ${short(p)}: ${said}`) : null), fact("said", (told.labels || []).map((each) => label_words(each)).join("; ")));
const label_words = (each) => `${each.what}${each.value ? ` “${each.value}”` : ""}${each.frame >= 0 ? ` at frame ${each.frame}` : ""} (${each.by})`;

const draw_one = () => {
  const row = state.row, told = shown, list = moments_of(told);
  const place = h("div", { class: "timeline", tabindex: "0", role: "application", "aria-label": "timeline; left and right move a frame, brackets go to moments, plus and minus zoom" });
  show(title(row), facts(row, told), label_bar(),
    h("p", { class: "moments" }, list.map((m) => h("button", { type: "button", class: m.kind, title: `frames ${m.a}–${m.b}`, onclick: () => visit(m) }, h("small", null, `${short(seconds_at(m.a))} s`), " ", m.label))),
    pictures(row, told),
    h("p", { class: "zoom" }, h("button", { type: "button", title: "zoom in (+)", onclick: () => zoom(0.5) }, "+"), h("button", { type: "button", title: "zoom out (−)", onclick: () => zoom(2) }, "−"),
      h("button", { type: "button", title: "all (0)", onclick: () => zoom(0) }, "all"), readout),
    place, paths(told), list_of(told));
  place.addEventListener("pointerdown", grabbed);
  place.addEventListener("wheel", (e) => { if (e.ctrlKey || e.metaKey) { e.preventDefault(); zoom(e.deltaY > 0 ? 1.25 : 0.8, frame_at(e)); } }, { passive: false });
  place.addEventListener("dblclick", (e) => zoom(0.5, frame_at(e)));
  draw_timeline();
};
const list_of = (told) => h("details", null, h("summary", null, `${many(told.segments.length, "segment")} as a list`), h("div", { class: "scroll" }, h("table", null,
  h("thead", null, h("tr", null, ["frames", "s", "what", "object", "outcome", "reason", "confidence"].map((x) => h("th", null, x)))),
  h("tbody", null, told.segments.map(([arm, a, b, label, outcome, why, object, sure]) => h("tr", null, h("td", { class: "n" }, h("a", { href: `#episode=${encodeURIComponent(all.id[state.row])}&frame=${a}` }, `${a}–${b}`)), h("td", { class: "n" }, short(seconds_at(a))),
    h("td", null, (all.arms.length > 1 ? `${arm}: ` : "") + words(label)), h("td", null, object), h("td", null, `${MARKS[outcome]}\ufe0e ${outcome}`), h("td", null, words(why)), h("td", { class: "n" }, short(sure, 2))))))),
  told.tags.length ? h("ul", null, told.tags.map(([tag, a, b, level, said]) => h("li", null, h("b", null, tag), ` ${short(level, 2)}, frames ${a}–${b}: ${said}`))) : null,
  told.defects.length ? h("ul", null, told.defects.map(([kind, a, b, severity, said]) => h("li", null, h("b", null, words(kind)), ` ${short(severity, 2)}, frames ${a}–${b}: ${said}`))) : null,
  told.unassessed.length ? h("p", { class: "muted" }, `not assessed: ${told.unassessed.join(", ")}`) : null);

// ---------------------------------------------------------------- the timeline
const span = () => [state.from ?? 0, state.to ?? Math.max(all.frames[state.row], 1)];
const readout = h("output", { class: "readout", "aria-live": "polite" });
const bytes = (text) => { const raw = atob(text); return Uint8Array.from(raw, (c) => c.charCodeAt(0)); };
const curves = (told) => {
  if (told.curves) return told.curves;
  // a joint that hardly moves beside the others is drawn so
  const widest = Math.max(0, ...told.signals.filter((each) => each[2] === "rad").map((each) => each[4] - each[3]));
  told.curves = told.signals.map(([arm, name, unit, low, high, least, most]) => {
    const a = bytes(least), part = unit === "rad" && widest > 0 ? Math.min(1, (high - low) / (widest / 8)) : 1;
    return { arm, name, unit, low, high, part, tall: unit === "rad" ? 20 : 30, least: a, most: most ? bytes(most) : a };
  });
  return told.curves;
};
const value_of = (curve, step) => step === NOTHING ? null : curve.low + ((curve.high - curve.low) * step) / STEPS;
const draw_timeline = () => {
  const place = panel.querySelector(".timeline");
  if (!place || !shown) return;
  const W = Math.max(place.clientWidth, 200), [a, b] = span(), told = shown;
  if (live && !told.exact && b - a < all.frames[state.row] / 2) look_closer(told, state.row);
  const x = (f) => ((f - a) / (b - a)) * W;
  const out = []; let y = 0;
  const bar = (f0, f1) => { const left = Math.max(x(f0), 0), right = Math.min(x(f1), W); return right > left ? [left, Math.max(right - left, 1.5)] : null; };
  // named failures and recoveries: flags over the strips, each in the first line that is free there
  const ends = [];
  for (const m of moments_of(told)) {
    const at = bar(m.a, Math.max(m.b, m.a + 1));
    if (!at || m.kind === "tag" || m.kind === "defect") continue;
    const wide = m.label.length * 6.6 + 12, left = Math.min(at[0], W - wide);
    let line = 0;
    while ((ends[line] ?? -1) > left) line++;
    if (line > 4) continue;
    ends[line] = left + wide + 6;
    out.push(s("g", { class: `flag ${m.kind}` }, s("line", { x1: at[0], x2: at[0], y1: line * 16 + 12, y2: 96 }), s("text", { x: Math.max(left, 0) + 3, y: line * 16 + 11 }, m.label)));
  }
  y = ends.length * 16 + 4;
  for (const flag of out) flag.firstChild.setAttribute("y2", y + 26 * all_arms(told).length);
  for (const arm of all_arms(told)) {
    for (const [who, f0, f1, label, outcome] of told.segments) {
      const at = who === arm && bar(f0, f1);
      if (!at) continue;
      const name = words(label.split("_")[0]) + (outcome === "unknown" ? "" : ` ${MARKS[outcome]}\ufe0e`);
      out.push(s("g", null, s("title", null, `${arm}: ${words(label)}, ${outcome}, frames ${f0}–${f1}`), s("rect", { x: at[0], y, width: at[1], height: 24, fill: `url(#look-${label})` }), s("rect", { x: at[0], y, width: 1, height: 24, class: "edge" }),
        at[1] > name.length * 6.6 + 8 ? s("text", { x: at[0] + 5, y: y + 16, class: "on" }, name) : at[1] > 13 && outcome !== "unknown" ? s("text", { x: at[0] + at[1] / 2, y: y + 16, "text-anchor": "middle", class: "on" }, MARKS[outcome] + "\ufe0e") : null));
    }
    y += 27;
  }
  const keep = told.plan.keep;
  if (keep && told.plan.action === "trim") for (const [f0, f1] of [[0, keep[0]], [keep[1], all.frames[state.row]]]) { const at = bar(f0, f1); if (at) out.push(s("rect", { x: at[0], y: 0, width: at[1], height: y, class: "cut" }, s("title", null, "left out by the plan"))); }
  for (const [kind, lane] of [["tag", told.tags], ["defect", told.defects]]) {
    for (const name of new Set(lane.map((each) => each[0]))) {
      out.push(s("text", { x: 0, y: y + 11, class: "caption" }, kind === "tag" ? name.replace(/Tag$/, "") : words(name)));
      for (const [which, f0, f1, level, said] of lane) { const at = which === name && bar(f0, Math.max(f1, f0 + 1)); if (at) out.push(s("rect", { x: at[0], y: y + 14, width: at[1], height: 5, class: kind }, s("title", null, `${name} ${short(level, 2)}: ${said}`))); }
      y += 22;
    }
  }
  for (const curve of curves(told)) {
    const n = curve.least.length, frames = all.frames[state.row], up = [], down = [], pieces = [];
    const close = () => { if (up.length) pieces.push(`M${up.join("L")}${down.length ? "L" + down.reverse().join("L") : ""}Z`); up.length = down.length = 0; };
    for (let k = 0; k < n; k++) {
      const f = ((k + 0.5) * frames) / n, px = x(f);
      if (curve.most[k] === NOTHING) { close(); continue; }
      if (x(((k + 2) * frames) / n) < 0 || x(((k - 1) * frames) / n) > W) continue;
      const height = (step) => (y + 16 + curve.tall - curve.tall * curve.part * (step / STEPS)).toFixed(1);
      up.push(`${px.toFixed(1)} ${height(curve.most[k])}`); down.push(`${px.toFixed(1)} ${height(curve.least[k])}`);
    }
    close();
    const who = all_arms(told).length > 1 ? `${curve.arm} ` : "";
    out.push(s("path", { d: pieces.join(""), class: "signal" }), s("text", { x: 0, y: y + 11, class: "caption" }, curve.low === null ? `${who}${curve.name}: not assessed` : `${who}${curve.name}  ${short(curve.low)} to ${short(curve.high)} ${curve.unit}`));
    y += curve.tall + 20;
  }
  const per = (all.seconds[state.row] ?? 0) / Math.max(all.frames[state.row] - 1, 1), unit = per > 0 ? 1 / per : 1, wanted = ((b - a) / unit) / Math.max(2, Math.min(8, W / 90));
  const power = 10 ** Math.floor(Math.log10(wanted)), step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= wanted) || power * 10;
  for (let t = Math.ceil(a / unit / step) * step; t * unit <= b; t += step) out.push(s("line", { x1: x(t * unit), x2: x(t * unit), y1: y, y2: y + 4, class: "tick" }), s("text", { x: Math.min(Math.max(x(t * unit), 10), W - 16), y: y + 15, "text-anchor": "middle", class: "caption" }, `${+t.toPrecision(6)}${per > 0 ? " s" : ""}`));
  y += 18;
  const cursor = s("line", { class: "cursor", y1: 0, y2: y });
  place.replaceChildren(s("svg", { width: W, height: y, viewBox: `0 0 ${W} ${y}`, role: "img", "aria-label": "segments, tags, defects and signals over time" }, out, cursor));
  place_cursor();
};
const show = (...kids) => { panel.replaceChildren(); fill(panel, kids); };
const look_closer = async (told, row) => {
  told.exact = true;
  try {
    const { signals } = await (await fetch(`signals?row=${row}`)).json();
    if (signals.length) { told.signals = signals; told.curves = null; if (shown === told) draw_timeline(); }
  } catch { /* what is there stays */ }
};
const all_arms = (told) => [...new Set(told.segments.map((each) => each[0]))];
const place_cursor = () => {
  const cursor = panel.querySelector(".cursor"), [a, b] = span(), f = state.frame;
  if (!cursor) return;
  const W = panel.querySelector(".timeline").clientWidth, at = ((f - a) / (b - a)) * W;
  cursor.setAttribute("visibility", f === null || f < a || f > b ? "hidden" : "visible");
  if (f === null) { readout.textContent = ""; return; }
  cursor.setAttribute("x1", at); cursor.setAttribute("x2", at);
  const now = shown.segments.filter(([, f0, f1]) => f0 <= f && f < f1).map(([arm, , , label, outcome]) => (all.arms.length > 1 ? `${arm}: ` : "") + words(label) + (outcome === "unknown" ? "" : ` ${MARKS[outcome]}\ufe0e`));
  const n = all.frames[state.row];
  const values = curves(shown).slice(0, 3).map((c) => [c, value_of(c, c.most[Math.min(c.most.length - 1, Math.floor((f * c.most.length) / n))])]).filter(([, v]) => v !== null).map(([c, v]) => `${c.name} ${short(v)} ${c.unit}`.trim());
  readout.textContent = `frame ${f}, ${short(seconds_at(f), 4)} s: ${[...now, ...values].join("; ")}`;
  for (const spot of panel.querySelectorAll("circle.spot")) move_spot(spot, f / n);
};
const go_to = (f, from_video) => {
  state.frame = Math.min(Math.max(Math.round(f), 0), all.frames[state.row] - 1);
  const [a, b] = span();
  if (state.frame < a || state.frame >= b) { const half = (b - a) / 2; limit(state.frame - half, state.frame + half); draw_timeline(); } else place_cursor();
  if (!from_video) seek();
  remember();
};
const limit = (a, b) => {
  const n = Math.max(all.frames[state.row], 1), wide = Math.min(Math.max(b - a, Math.min(8, n)), n);
  const from = Math.min(Math.max((a + b - wide) / 2, 0), n - wide);
  [state.from, state.to] = wide >= n ? [null, null] : [from, from + wide];
};
const zoom = (by, about) => {
  const [a, b] = span(), at = about ?? (state.frame !== null && state.frame >= a && state.frame <= b ? state.frame : (a + b) / 2);
  if (by) limit(at - (at - a) * by, at + (b - at) * by); else state.from = state.to = null;
  draw_timeline();
};
const visit = (m) => { const wide = Math.max(m.b - m.a, all.frames[state.row] / 16); limit(m.a - wide, m.b + wide); draw_timeline(); go_to(m.a); };
const frame_at = (e) => { const box = panel.querySelector(".timeline").getBoundingClientRect(), [a, b] = span(); return a + ((e.clientX - box.left) / box.width) * (b - a); };
const grabbed = (e) => {
  if (e.button) return;
  const begin = frame_at(e), from = e.clientX, [a, b] = span(), zoomed = state.from !== null, place = e.currentTarget; let pulled = false;
  const pull = (m) => { if (Math.abs(m.clientX - from) < 4 && !pulled) return; pulled = true; if (zoomed) { const by = ((from - m.clientX) / place.clientWidth) * (b - a); limit(a + by, b + by); draw_timeline(); } else go_to(frame_at(m)); };
  const done = () => { removeEventListener("pointermove", pull); removeEventListener("pointerup", done); if (!pulled) go_to(begin); };
  addEventListener("pointermove", pull); addEventListener("pointerup", done);
};

// ---------------------------------------------------------------- where the hand went, from above and from the side
const paths = (told) => {
  const made = [];
  for (const arm of all_arms(told)) {
    const axis = (name) => curves(told).find((c) => c.arm === arm && c.name === `hand ${name}`), x = axis("x"), y = axis("y"), z = axis("z");
    if (!x || !y || !z || x.low === null || y.low === null || z.low === null) continue;
    const of = (c) => Array.from(c.least, (k, i) => k === NOTHING || c.most[i] === NOTHING ? null : (value_of(c, k) + value_of(c, c.most[i])) / 2);
    made.push(drawn_path(told, arm, "from above", "x", "y", of(x), of(y)), drawn_path(told, arm, "from the side", "x", "z", of(x), of(z)));
  }
  return made.length ? h("div", { class: "paths" }, made) : null;
};
const drawn_path = (told, arm, from, name_u, name_v, us, vs) => {
  const both = us.map((u, k) => [u, vs[k]]), known = both.filter(([u, v]) => u !== null && v !== null), size = 200;
  const low = [0, 1].map((k) => Math.min(...known.map((p) => p[k]))), high = [0, 1].map((k) => Math.max(...known.map((p) => p[k])));
  const wide = Math.max(high[0] - low[0], high[1] - low[1], 1e-6), scale = (size - 24) / wide, mid = low.map((l, k) => (l + high[k]) / 2);
  const at = ([u, v]) => [size / 2 + (u - mid[0]) * scale, size / 2 - (v - mid[1]) * scale];
  let pen = "M", d = "";
  for (const p of both) { if (p[0] === null || p[1] === null) { pen = "M"; continue; } d += pen + at(p).map((q) => q.toFixed(1)).join(" "); pen = "L"; }
  const n = all.frames[state.row], place = (f) => both[Math.min(both.length - 1, Math.floor((f / n) * both.length))];
  const spots = told.segments.filter((each) => each[0] === arm && BAD.has(each[4])).map((each) => [place(each[1]), `${words(each[3])} ${MARKS[each[4]]}`]).filter(([p]) => p && p[0] !== null && p[1] !== null);
  const spot = s("circle", { r: 4.5, class: "spot" });
  spot.points = both.map((p) => p[0] === null || p[1] === null ? null : at(p));
  move_spot(spot, (state.frame ?? 0) / n);
  return h("figure", null, s("svg", { viewBox: `0 0 ${size} ${size}`, width: size, height: size, role: "img", "aria-label": `path of the hand ${from}` }, s("path", { d, class: "track" }),
    known.length ? s("circle", { cx: at(known[0])[0], cy: at(known[0])[1], r: 3, class: "begin" }, s("title", null, "start")) : null,
    spots.map(([p, said]) => s("circle", { cx: at(p)[0], cy: at(p)[1], r: 4, class: "failed" }, s("title", null, said))), spot),
    h("figcaption", null, `${all_arms(told).length > 1 ? `${arm}, ` : ""}${from}: ${name_u} and ${name_v}, ${short(wide)} m wide`));
};
const move_spot = (spot, share) => { const p = spot.points[Math.min(spot.points.length - 1, Math.max(0, Math.floor(share * spot.points.length)))]; spot.setAttribute("visibility", p ? "visible" : "hidden"); if (p) { spot.setAttribute("cx", p[0]); spot.setAttribute("cy", p[1]); } };

// ---------------------------------------------------------------- cameras
const pictures = (row, told) => {
  const films = (told.videos || []).map(({ camera, url, begin }) => {
    const film = h("video", { src: url, muted: true, playsinline: true, preload: "metadata", controls: true, "aria-label": camera });
    film.begin = begin;
    film.addEventListener("timeupdate", () => {
      if (film.paused || state.row !== row) return;
      const t = film.currentTime - begin, others = [...panel.querySelectorAll("video")].filter((each) => each !== film);
      if (t > (all.seconds[row] ?? 0)) { for (const each of [film, ...others]) each.pause(); return; }
      if (others.some((each) => !each.paused && each.compareDocumentPosition(film) & Node.DOCUMENT_POSITION_FOLLOWING)) return;
      for (const each of others) if (Math.abs(each.currentTime - each.begin - t) > 0.12) each.currentTime = each.begin + t;
      go_to(Math.floor((t / Math.max(all.seconds[row], 1e-9)) * (all.frames[row] - 1)), true);
    });
    film.addEventListener("loadedmetadata", seek);
    film.addEventListener("error", () => film.replaceWith(h("p", { class: "muted" }, `${camera}: this browser cannot show the video`)));
    return h("figure", null, film, h("figcaption", null, camera));
  });
  const several = new Set((told.thumbnails || []).map((each) => each.camera)).size > 1;
  const stills = (told.thumbnails || []).map(({ camera, frame, moment, source }) => h("figure", null, h("button", { type: "button", class: "still", title: `${camera}, frame ${frame}`, onclick: () => go_to(frame) }, h("img", { src: source, alt: `${camera}: ${moment}, frame ${frame}`, loading: "lazy" })), h("figcaption", null, `${words(moment)} ${short(seconds_at(frame))} s`, several ? ` ${camera.replace(/^observation\.images?\./, "")}` : "")));
  for (const { camera, index } of told.pictures || []) {
    const picture = h("img", { alt: `${camera} at the chosen frame`, class: "at-frame" });
    picture.ask = () => `frame?row=${row}&camera=${index}&frame=${state.frame ?? 0}`;
    picture.src = picture.ask();
    films.push(h("figure", null, picture, h("figcaption", null, camera)));
  }
  return [films.length ? h("div", { class: "films" }, films) : null, stills.length ? h("div", { class: "stills" }, stills) : null];
};
// the middle of a frame: at its edge a browser may show the one before, which may be another episode's
const seek = () => { const at = seconds_at((state.frame ?? 0) + 0.5); for (const film of panel.querySelectorAll("video")) if (film.paused && film.readyState > 0) film.currentTime = film.begin + at;
  clearTimeout(look); look = setTimeout(() => { for (const each of panel.querySelectorAll("img.at-frame")) each.src = each.ask(); }, 60);
};
let look = 0;

// ---------------------------------------------------------------- saying how it ended
const SAY = {
  success: { key: "s", help: "it succeeded" }, failure: { key: "f", help: "it failed" }, here: { key: "x", help: "it failed at this frame", what: "failure", at: true },
  nominal: { key: "n", help: "a good example" }, label: { key: "w", help: "wrong label at this frame", at: true }, boundary: { key: "b", help: "the nearest boundary belongs here", at: true }, note: { key: "t", help: "note" },
};
const who = h("input", { type: "text", value: "", autocomplete: "off", "aria-label": "your name, which stands beside what you say", maxlength: 60 });
const news = h("output", { class: "news", "aria-live": "polite" });
let next_row = null, chosen = new Map();
const label_head = () => {
  if (live !== "label") return null;
  try { who.value = localStorage.getItem("sima2-by") || ""; } catch { /* a browser that keeps nothing */ }
  who.addEventListener("change", () => { try { localStorage.setItem("sima2-by", who.value); } catch { /* likewise */ } });
  refresh();
  return h("p", { class: "labelling" }, h("label", null, "labels by ", who), h("button", { type: "button", onclick: go_next }, "next to label (.)"), news);
};
const refresh = async () => { try { take_news(await (await fetch("next")).json()); } catch { news.textContent = "the server does not answer"; } };
const take_news = (told) => {
  next_row = told.next; chosen = new Map((told.queue || []).map((each) => [each.row, each]));
  news.textContent = told.words || "";
};
const go_next = () => {
  if (next_row === null || next_row === undefined) { news.textContent = "nothing is left to label"; return; }
  if (!view.includes(next_row)) reset({});
  open(next_row, null); remember();
};
const label_bar = () => {
  if (live !== "label") return null;
  const why = chosen.get(state.row);
  return h("div", { class: "say" }, why ? h("small", null, why.why) : null,
    Object.entries(SAY).map(([name, { key, help }]) => h("button", { type: "button", title: help, onclick: () => say(name) }, h("kbd", null, key), " ", name === "here" ? "failed here" : name === "label" ? "wrong label" : name)),
    h("button", { type: "button", title: "take back the last of this episode", onclick: take_back }, h("kbd", null, "u"), " take back"), h("span", { class: "ask" }));
};
const label_key = (key) => {
  if (key === ".") return go_next;
  if (key === "u") return take_back;
  const name = Object.keys(SAY).find((each) => SAY[each].key === key);
  return name && shown ? () => say(name) : null;
};
const ask = (...kids) => { const at = panel.querySelector(".ask"); at.replaceChildren(...kids); const first = at.querySelector("select,input"); if (first) first.focus(); };
const say = (name) => {
  const { what, at } = SAY[name];
  if (at && state.frame === null) { news.textContent = "choose a frame first: click the timeline, or use the arrow keys"; return; }
  const frame = at ? state.frame : null;
  if (name === "label") {
    const now = shown.segments.find(([, a, b]) => a <= frame && frame < b);
    const list = h("select", { "aria-label": "the right label", onchange: (e) => { if (e.target.value) send("label", e.target.value, now ? now[1] : frame); } }, h("option", { value: "" }, `not ${now ? words(now[3]) : "this"} but …`), all.labels.map((each) => h("option", { value: each }, words(each))));
    return ask(list);
  }
  if (name === "note") {
    const text = h("input", { type: "text", maxlength: 500, "aria-label": "note", placeholder: "note, then Enter", onkeydown: (e) => { if (e.key === "Enter" && text.value.trim()) { e.preventDefault(); send("note", text.value.trim(), state.frame); } } });
    return ask(text);
  }
  if (name === "boundary") {
    const edges = shown.segments.map((each) => each[1]).filter((a) => a > 0), near = edges.sort((a, b) => Math.abs(a - frame) - Math.abs(b - frame))[0];
    if (near === undefined) { news.textContent = "this episode has no boundary"; return; }
    return send("boundary", String(frame), near);
  }
  send(what || name, "", frame);
};
const send = async (what, value, frame) => {
  if (!who.value.trim()) { news.textContent = "say who you are first"; who.focus(); return; }
  const row = state.row;
  try {
    const answer = await fetch("label", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ row, episode: all.id[row], what, value, frame, by: who.value.trim() }) });
    const told = await answer.json();
    if (!answer.ok) { news.textContent = told.error || "refused"; return; }
    all.said[row] = told.said;
    if (kept[row]) kept[row].labels = told.labels;
    take_news(told);
    if (state.row === row) draw_one();
    draw_rows(); scroll.focus({ preventScroll: true });
  } catch { news.textContent = "not saved: the server does not answer"; }
};
const take_back = () => { const mine = shown && shown.labels && shown.labels.filter((each) => each.by === who.value.trim()); if (mine && mine.length) { const last = mine[mine.length - 1]; send(last.what, "withdrawn", last.frame < 0 ? null : last.frame); } else news.textContent = "you have said nothing of this episode"; };

// ---------------------------------------------------------------- keys
const HELP = [["/", "find"], ["j k", "next and previous episode"], ["← →", "a frame (with Shift: ten)"], ["[ ]", "previous and next moment"], ["+ − 0", "zoom in, out, all"], ["space", "play and stop"], ["esc", "leave a field"],
  ...(live === "label" ? Object.values(SAY).map(({ key, help }) => [key, help]).concat([[".", "next to label"], ["u", "take back"]]) : [])];
const help = h("details", { class: "keys" }, h("summary", null, "keys"), h("dl", null, HELP.map(([key, what]) => h("div", null, h("dt", null, h("kbd", null, key)), h("dd", null, what)))));
const KEYS_OF = {
  j: () => move(1), k: () => move(-1), ArrowDown: (e) => { if (e.target === scroll) move(1); else return false; }, ArrowUp: (e) => { if (e.target === scroll) move(-1); else return false; },
  ArrowRight: (e) => shown ? go_to((state.frame ?? -1) + (e.shiftKey ? 10 : 1)) : false, ArrowLeft: (e) => shown ? go_to((state.frame ?? 0) - (e.shiftKey ? 10 : 1)) : false,
  "[": () => jump(-1), "]": () => jump(1), "+": () => shown && zoom(0.5), "=": () => shown && zoom(0.5), "-": () => shown && zoom(2), 0: () => shown && zoom(0),
  "/": () => { controls.text.focus(); root.scrollIntoView({ block: "start" }); }, "?": () => { help.open = !help.open; help.scrollIntoView({ block: "nearest" }); },
  " ": (e) => { const films = panel.querySelectorAll("video"); if (!films.length || e.target.closest("button,summary,a,video")) return false; for (const film of films) if (film.paused) film.play(); else film.pause(); },
};
const jump = (by) => {
  if (!shown) return;
  const list = moments_of(shown), at = state.frame ?? -1, next = by > 0 ? list.find((m) => m.a > at) : list.filter((m) => m.a < at).pop();
  if (next) visit(next);
};
addEventListener("keydown", (e) => {
  if (e.key === "Escape" && e.target.matches("input,select,textarea")) { e.target.blur(); scroll.focus(); return; }
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.matches("input,select,textarea")) return;
  const act = KEYS_OF[e.key] || (live === "label" && label_key(e.key));
  if (act && act(e) !== false) e.preventDefault();
});
addEventListener("hashchange", arrive);
let wide = 0;
new ResizeObserver(() => { if (panel.clientWidth !== wide) { wide = panel.clientWidth; draw_rows(); draw_timeline(); } }).observe(panel);

// ---------------------------------------------------------------- begin
for (const still of document.querySelectorAll(".without-script")) still.hidden = true;
root.replaceChildren(...[label_head(), form, quick, told, table, help, panel].filter(Boolean));
draw_head(); choose();
if (!arrive() && view.length && live) open(view[0], null);
})();
