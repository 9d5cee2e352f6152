// State: all of it is in the address.
const FILTERS = ["text", "ended", "how", "task", "tag", "defect", "why", "plan", "steps", "unusual", "said"];
const state = { filter: {}, sort: "", down: false, row: -1, frame: null, from: null, to: null };
let view = [],
  search_problem = "",
  found = null;

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
  if (!location.hash || ![...parts.keys()].some((k) => k === "episode" || k === "sort" || FILTERS.includes(k)))
    return false;
  for (const name of FILTERS)
    if (parts.has(name)) state.filter[name] = parts.get(name);
    else if (!parts.has("episode")) delete state.filter[name];
  const sort = parts.get("sort");
  if (sort) {
    state.down = sort.startsWith("-");
    state.sort = sort.replace("-", "");
  }
  for (const name of FILTERS) if (controls[name]) controls[name].value = state.filter[name] || "";
  choose();
  if (parts.has("episode")) {
    const row = by_id.get(parts.get("episode"));
    const frame = parts.has("frame") ? Math.max(0, Number.parseInt(parts.get("frame"), 10) || 0) : null;
    if (row === undefined) {
      state.row = -1;
      panel.replaceChildren(h("p", { class: "muted" }, `There is no episode ${parts.get("episode")} here.`));
    } else {
      if (!view.includes(row)) {
        state.filter = {};
        for (const name of FILTERS) if (controls[name]) controls[name].value = "";
        choose();
      }
      open(row, frame);
    }
    panel.scrollIntoView({ block: "start" });
  } else root.scrollIntoView({ block: "start" });
  return true;
};

// Filter and sort.
const KEYS = {
  number: (r) => all.number[r],
  episode: (r) => all.id[r],
  task: (r) => name_of("task", r),
  ended: (r) => all.ended[r],
  seconds: (r) => all.seconds[r] ?? -1,
  steps: (r) => all.steps[r].length,
  tags: (r) => -all.tags[r].length,
  defects: (r) => -all.defects[r].length,
  plan: (r) => all.action[r],
  weight: (r) => all.weight[r] ?? 2,
  unusual: (r) => all.unusual[r] ?? 2,
};
const choose = () => {
  const want = state.filter,
    tests = [];
  const is = (name, test) => {
    if (want[name]) tests.push(test(want[name]));
  };
  is("text", (text) => {
    const each = text.toLowerCase().split(/\s+/).filter(Boolean);
    return (r) => each.every((t) => text_of[r].includes(t) || (/^\d+$/.test(t) && all.number[r] === +t));
  });
  is("ended", (v) => {
    const k = ENDED.indexOf(v);
    return (r) => all.ended[r] === k;
  });
  is("how", (v) => {
    const k = all.how_names.indexOf(v);
    return (r) => all.how[r] === k;
  });
  is("task", (v) => {
    const k = all.task_names.indexOf(v);
    return (r) => all.task[r] === k;
  });
  is("why", (v) => {
    const k = all.why_names.indexOf(v);
    return (r) => all.why[r] === k;
  });
  is("tag", (v) => {
    const k = all.tag_names.indexOf(v);
    return (r) => all.tags[r].includes(k);
  });
  is("defect", (v) => {
    if (v === "any") return (r) => all.defects[r].length > 0;
    const k = all.defect_names.indexOf(v);
    return (r) => all.defects[r].includes(k);
  });
  is("plan", (v) => (r) => all.action[r] === v);
  is("unusual", () => (r) => odd.has(r));
  is("said", (v) => (v === "no" ? (r) => !all.said[r] : (r) => Boolean(all.said[r])));
  search_problem = "";
  is("steps", (text) => {
    if (found && found.text === text) {
      search_problem = found.problem;
      return (r) => found.problem || found.rows.has(r);
    }
    try {
      const ask = pattern(text);
      return (r) => ask(r);
    } catch (problem) {
      search_problem = problem.message;
    }
    if (live) {
      ask_server(text);
      search_problem = "…";
    }
    return () => true;
  });
  view = [];
  for (let r = 0; r < all.n; r++) if (tests.every((test) => test(r))) view.push(r);
  const key = KEYS[state.sort];
  if (key) {
    const value = view.map((r) => key(r)),
      order = view.map((_, k) => k);
    order.sort((a, b) => (value[a] < value[b] ? -1 : value[a] > value[b] ? 1 : a - b));
    view = order.map((k) => view[k]);
    if (state.down) view.reverse();
  }
  told.textContent =
    search_problem ||
    `${many(view.length, "episode")}${view.length === all.n ? "" : ` of ${all.n.toLocaleString("en")}`}`;
  told.classList.toggle("problem", Boolean(search_problem));
  draw_rows();
};
let soon = 0;
const filtered = (name, value) => {
  if (value) state.filter[name] = value;
  else delete state.filter[name];
  clearTimeout(soon);
  soon = setTimeout(
    () => {
      choose();
      remember();
    },
    name === "text" || name === "steps" ? 30 : 0,
  );
};
const ask_server = async (text) => {
  const answer = { text, rows: new Set(), problem: "" };
  try {
    const said = await (await fetch(`find?steps=${encodeURIComponent(text)}`)).json();
    answer.rows = new Set(said.rows);
    answer.problem = said.error || "";
  } catch {
    answer.problem = "the server does not answer";
  }
  if (state.filter.steps === text) {
    found = answer;
    choose();
  }
};

const controls = {};
const pick = (name, label, values) => {
  const counted = values.filter(([value]) => value);
  if (counted.length < (name === "task" ? 2 : 1)) return null;
  controls[name] = h(
    "select",
    { onchange: (e) => filtered(name, e.target.value) },
    h("option", { value: "" }, "any"),
    counted.map(([value, shown, n]) =>
      h("option", { value }, n === undefined ? shown : `${shown} (${n.toLocaleString("en")})`),
    ),
  );
  return h("label", null, h("span", null, label), controls[name]);
};
const tally = (codes, names) => {
  const n = names.map(() => 0);
  for (const each of codes) for (const k of [each].flat()) n[k]++;
  return names
    .map((name, k) => [name, words(name), n[k]])
    .filter((each) => each[2])
    .sort((a, b) => b[2] - a[2]);
};
const typed = (name, label, hint) => {
  controls[name] = h("input", {
    type: "search",
    placeholder: hint,
    spellcheck: "false",
    autocomplete: "off",
    oninput: (e) => filtered(name, e.target.value.trim()),
  });
  return h("label", { class: `wide ${name}` }, h("span", null, label), controls[name]);
};
const ACTIONS = ["keep", "trim", "review", "drop"];
const QUICK = [
  ["failed", { ended: "failure" }],
  ["failed, then succeeded", { steps: "*:failure … success" }],
  ["second grasp succeeded", { steps: "grasp[2]:success" }],
  ["to review", { plan: "review" }],
  ["left out", { plan: "drop" }],
  ["with defects", { defect: "any" }],
  ["unusual", { unusual: "yes" }],
];
const told = h("output", { class: "told", "aria-live": "polite" });
const form = h(
  "form",
  { class: "filters", role: "search", "aria-label": "find episodes", onsubmit: (e) => e.preventDefault() },
  typed("text", "find", "id, number, task, reason, tag …"),
  typed("steps", "what happened", "grasp:failure … grasp:success"),
  pick("ended", "ended", tally(all.ended, ENDED)),
  pick("how", "known from", tally(all.how, all.how_names)),
  pick("task", "task", tally(all.task, all.task_names)),
  pick("why", "reason", tally(all.why, all.why_names)),
  pick("tag", "tag", tally(all.tags, all.tag_names)),
  pick("defect", "defect", tally(all.defects, all.defect_names)),
  pick(
    "plan",
    "plan",
    ACTIONS.map((a) => [a, a, all.action.filter((x) => x === a).length]).filter((each) => each[2]),
  ),
  live === "label"
    ? pick("said", "labelled", [
        ["yes", "yes"],
        ["no", "no"],
      ])
    : null,
);
const fits = (want) =>
  Object.entries(want).every(([name, value]) => name !== "plan" || all.action.includes(value)) &&
  (!want.unusual || odd.size > 0) &&
  (!want.ended || all.ended.includes(ENDED.indexOf(want.ended))) &&
  (!want.defect || all.defect_names.length);
const quick = h(
  "p",
  { class: "quick" },
  QUICK.filter(([, want]) => fits(want)).map(([label, want]) =>
    h("button", { type: "button", onclick: () => reset(want) }, label),
  ),
  h("button", { type: "button", onclick: () => reset({}) }, "all"),
);
const reset = (want) => {
  state.filter = { ...want };
  for (const name of FILTERS) if (controls[name]) controls[name].value = want[name] || "";
  choose();
  remember();
};
