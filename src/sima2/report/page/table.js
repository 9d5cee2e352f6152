// The table: only the rows in sight exist.
const COLUMNS = [
  ["ended", ""],
  ["number", "no."],
  ["episode", "episode"],
  ["task", "task"],
  ["seconds", "s"],
  ["steps", "what happened"],
  ["tags", "tags"],
  ["defects", "defects"],
  ["plan", "plan"],
  ["unusual", "unusual p"],
].filter(
  ([key]) =>
    (key !== "task" || all.task_names.length > 1) && (key !== "unusual" || all.unusual.some((p) => p !== null)),
);
const sorted = (key) => {
  state.down = state.sort === key ? !state.down : false;
  state.sort = key;
  choose();
  remember();
  draw_head();
};
const head = h("div", { class: "row head", role: "row" });
const draw_head = () =>
  head.replaceChildren(
    ...COLUMNS.map(([key, label]) =>
      h(
        "div",
        {
          class: `c-${key}`,
          role: "columnheader",
          "aria-sort": state.sort !== key ? "none" : state.down ? "descending" : "ascending",
        },
        h(
          "button",
          { type: "button", title: `sort by ${label || "outcome"}`, onclick: () => sorted(key) },
          label || "±",
          state.sort === key ? (state.down ? " ↓" : " ↑") : "",
        ),
      ),
    ),
  );
const rows = h("div", { class: "rows", role: "rowgroup" });
const scroll = h(
  "div",
  {
    class: "scrolled",
    tabindex: "0",
    role: "presentation",
    "aria-label": "episodes; up and down choose one",
    onscroll: () => draw_rows(),
  },
  rows,
);
const table = h(
  "div",
  { class: "grid", role: "table", "aria-label": "episodes" },
  h("div", { role: "rowgroup" }, head),
  scroll,
);
const course = (row) => {
  const steps = steps_of(row),
    bad = steps.filter((each) => BAD.has(each.outcome)).length;
  const wide = 100 / Math.max(steps.length, 1),
    shown = steps.slice(0, 240);
  return s(
    "svg",
    { class: "course", role: "img", "aria-label": `${many(steps.length, "step")}, ${bad} failed`, height: 18 },
    shown.map((each, k) =>
      s("rect", { x: `${k * wide}%`, width: `${wide}%`, height: 18, fill: `url(#look-${each.label})` }),
    ),
    shown.map((each, k) =>
      BAD.has(each.outcome)
        ? s("text", { x: `${(k + 0.5) * wide}%`, y: 13, "text-anchor": "middle" }, MARKS[each.outcome] + "\ufe0e")
        : null,
    ),
  );
};
const CELLS = {
  ended: (r) =>
    h(
      "span",
      { title: `${ENDED[all.ended[r]]} (${words(name_of("how", r))})` },
      MARKS[ENDED[all.ended[r]]] + "\ufe0e",
      name_of("how", r) === "inferred" ? h("small", null, " inf.") : null,
    ),
  number: (r) => String(all.number[r]),
  episode: (r) => h("a", { href: `#episode=${encodeURIComponent(all.id[r])}`, tabindex: "-1" }, all.id[r]),
  task: (r) => words(name_of("task", r)),
  seconds: (r) => short(all.seconds[r]),
  steps: course,
  tags: (r) => all.tags[r].map((k) => all.tag_names[k].replace(/Tag$/, "")).join(", "),
  defects: (r) => all.defects[r].map((k) => words(all.defect_names[k])).join(", "),
  plan: (r) =>
    all.action[r] + (all.weight[r] !== null && all.weight[r] !== 1 && all.weight[r] !== 0 ? ` ${all.weight[r]}` : ""),
  unusual: (r) => (all.unusual[r] === null ? "" : short(all.unusual[r], 2)),
};
const draw_rows = () => {
  rows.style.height = `${view.length * ROW}px`;
  table.setAttribute("aria-rowcount", view.length);
  const first = Math.max(0, Math.floor(scroll.scrollTop / ROW) - 4),
    last = Math.min(view.length, first + Math.ceil(scroll.clientHeight / ROW) + 9);
  const drawn = [];
  for (let k = first; k < last; k++) {
    const row = view[k];
    const at = h(
      "div",
      {
        class: `row${row === state.row ? " here" : ""}`,
        role: "row",
        "aria-rowindex": k + 1,
        "aria-selected": row === state.row ? "true" : null,
        onclick: (e) => {
          e.preventDefault();
          open(row, null);
          remember();
        },
      },
      COLUMNS.map(([key]) => h("div", { class: `c-${key}`, role: "cell" }, CELLS[key](row))),
    );
    at.style.top = `${k * ROW}px`;
    drawn.push(at);
  }
  rows.replaceChildren(...drawn);
};
const reveal = () => {
  const k = view.indexOf(state.row);
  if (k < 0) return;
  if (k * ROW < scroll.scrollTop) scroll.scrollTop = k * ROW;
  else if ((k + 1) * ROW > scroll.scrollTop + scroll.clientHeight)
    scroll.scrollTop = (k + 1) * ROW - scroll.clientHeight;
};
const move = (by) => {
  if (!view.length) return;
  const k = view.indexOf(state.row);
  open(view[Math.min(Math.max(k < 0 ? 0 : k + by, 0), view.length - 1)], null);
  remember();
};
