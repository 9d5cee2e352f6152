// One episode.
const panel = h("div", { class: "one", "aria-label": "the chosen episode" });
let shown = null;
const get = async (row) => kept[row] || (live ? (kept[row] = await (await fetch(`episode?row=${row}`)).json()) : null);
const open = async (row, frame) => {
  state.row = row;
  state.frame = frame;
  state.from = state.to = null;
  shown = null;
  draw_rows();
  reveal();
  panel.replaceChildren(
    title(row),
    h(
      "p",
      { class: "muted" },
      live
        ? "…"
        : `Only its row is in this file, which shows ${many(Object.keys(kept).length, "episode")} whole: sima2 view OUT shows all.`,
    ),
  );
  try {
    const told = await get(row);
    if (told && state.row === row) {
      shown = told;
      if (live) keep_few(row);
      draw_one();
    }
  } catch {
    panel.replaceChildren(
      title(row),
      h("p", { class: "problem" }, "The server does not answer any more: start sima2 view again."),
    );
  }
};
const keep_few = (row) => {
  const held = Object.keys(kept);
  if (held.length > 200) for (const each of held) if (+each !== row) delete kept[each];
};
const title = (row) =>
  h(
    "h3",
    null,
    h("button", { type: "button", title: "previous (k)", onclick: () => move(-1) }, "‹"),
    h("button", { type: "button", title: "next (j)", onclick: () => move(1) }, "›"),
    ` ${MARKS[ENDED[all.ended[row]]]}\ufe0e `,
    all.id[row],
    " ",
    h(
      "a",
      { class: "address", href: `#episode=${encodeURIComponent(all.id[row])}`, title: "address of this episode" },
      "#",
    ),
  );
const seconds_at = (frame) => {
  const n = all.frames[state.row];
  return n > 1 ? (frame * (all.seconds[state.row] ?? 0)) / (n - 1) : 0;
};
const moments_of = (told) => {
  const list = [];
  for (const [arm, a, b, label, outcome, why] of told.segments) {
    if (!BAD.has(outcome) && !ANOMALIES.has(label)) continue;
    const who = all.arms.length > 1 ? `${arm}: ` : "",
      end = outcome === "unknown" ? "" : ` ${MARKS[outcome]}\ufe0e`;
    list.push({
      a,
      b,
      kind: label === "recovery_maneuver" ? "good" : "bad",
      label: `${who}${why ? `${words(label)}: ${words(why)}` : words(label)}${end}`,
    });
  }
  for (const [tag, a, b] of told.tags) list.push({ a, b, kind: "tag", label: tag.replace(/Tag$/, "") });
  for (const [kind, a, b] of told.defects) list.push({ a, b, kind: "defect", label: words(kind) });
  return list.sort((x, y) => x.a - y.a);
};
const ended_words = (row, told) => {
  const how = name_of("how", row),
    end = ENDED[all.ended[row]];
  const sure = how === "inferred" && told.sure ? `, ${told.sure}` : "";
  const other =
    how !== "inferred" && told.inferred !== null && told.inferred !== undefined && told.inferred !== all.ended[row]
      ? `; the motion tells ${ENDED[told.inferred]}`
      : "";
  return `${end}${how === "none" ? "" : ` (${words(how)}${sure})`}${other}`;
};
const fact = (name, value) => (value ? h("div", null, h("dt", null, name), h("dd", null, value)) : null);
const link_filter = (name, value, label) => h("a", { href: `#${name}=${encodeURIComponent(value)}` }, label);
const facts = (row, told) =>
  h(
    "dl",
    { class: "facts" },
    fact("ended", ended_words(row, told)),
    fact("reason", name_of("why", row) && link_filter("why", name_of("why", row), words(name_of("why", row)))),
    fact(
      "task",
      h(
        "span",
        null,
        link_filter("task", name_of("task", row), words(name_of("task", row))),
        told.instruction && told.instruction !== name_of("task", row) ? ` “${told.instruction}”` : "",
      ),
    ),
    fact("robot", name_of("robot", row)),
    all.source_names.length > 1 ? fact("source", name_of("source", row)) : null,
    fact("length", `${many(all.frames[row], "frame")}, ${short(all.seconds[row])} s`),
    fact(
      "plan",
      told.plan.action
        ? `${told.plan.action}, weight ${short(told.plan.weight)}${told.plan.words ? `: ${told.plan.words}` : ""}${told.plan.knowledge ? ` (${told.plan.knowledge.replaceAll(",", ", ")})` : ""}`
        : "",
    ),
    told.unusual.map(([p, said]) => (said ? fact("unusual", `p ${short(p)}: ${said}`) : null)),
    fact("said", (told.labels || []).map((each) => label_words(each)).join("; ")),
  );
const label_words = (each) =>
  `${each.what}${each.value ? ` “${each.value}”` : ""}${each.frame >= 0 ? ` at frame ${each.frame}` : ""} (${each.by})`;

const draw_one = () => {
  const row = state.row,
    told = shown,
    list = moments_of(told);
  const place = h("div", {
    class: "timeline",
    tabindex: "0",
    role: "application",
    "aria-label": "timeline; left and right move a frame, brackets go to moments, plus and minus zoom",
  });
  show(
    title(row),
    facts(row, told),
    label_bar(),
    h(
      "p",
      { class: "moments" },
      list.map((m) =>
        h(
          "button",
          { type: "button", class: m.kind, title: `frames ${m.a}–${m.b}`, onclick: () => visit(m) },
          h("small", null, `${short(seconds_at(m.a))} s`),
          " ",
          m.label,
        ),
      ),
    ),
    pictures(row, told),
    h(
      "p",
      { class: "zoom" },
      h("button", { type: "button", title: "zoom in (+)", onclick: () => zoom(0.5) }, "+"),
      h("button", { type: "button", title: "zoom out (−)", onclick: () => zoom(2) }, "−"),
      h("button", { type: "button", title: "all (0)", onclick: () => zoom(0) }, "all"),
      readout,
    ),
    place,
    paths(told),
    list_of(told),
  );
  place.addEventListener("pointerdown", grabbed);
  place.addEventListener(
    "wheel",
    (e) => {
      if (e.ctrlKey || e.metaKey) {
        e.preventDefault();
        zoom(e.deltaY > 0 ? 1.25 : 0.8, frame_at(e));
      }
    },
    { passive: false },
  );
  place.addEventListener("dblclick", (e) => zoom(0.5, frame_at(e)));
  draw_timeline();
};
const list_of = (told) =>
  h(
    "details",
    null,
    h("summary", null, `${many(told.segments.length, "segment")} as a list`),
    h(
      "div",
      { class: "scroll" },
      h(
        "table",
        null,
        h(
          "thead",
          null,
          h(
            "tr",
            null,
            ["frames", "s", "what", "object", "outcome", "reason", "confidence"].map((x) => h("th", null, x)),
          ),
        ),
        h(
          "tbody",
          null,
          told.segments.map(([arm, a, b, label, outcome, why, object, sure]) =>
            h(
              "tr",
              null,
              h(
                "td",
                { class: "n" },
                h("a", { href: `#episode=${encodeURIComponent(all.id[state.row])}&frame=${a}` }, `${a}–${b}`),
              ),
              h("td", { class: "n" }, short(seconds_at(a))),
              h("td", null, (all.arms.length > 1 ? `${arm}: ` : "") + words(label)),
              h("td", null, object),
              h("td", null, `${MARKS[outcome]}\ufe0e ${outcome}`),
              h("td", null, words(why)),
              h("td", { class: "n" }, short(sure, 2)),
            ),
          ),
        ),
      ),
    ),
    told.tags.length
      ? h(
          "ul",
          null,
          told.tags.map(([tag, a, b, level, said]) =>
            h("li", null, h("b", null, tag), ` ${short(level, 2)}, frames ${a}–${b}: ${said}`),
          ),
        )
      : null,
    told.defects.length
      ? h(
          "ul",
          null,
          told.defects.map(([kind, a, b, severity, said]) =>
            h("li", null, h("b", null, words(kind)), ` ${short(severity, 2)}, frames ${a}–${b}: ${said}`),
          ),
        )
      : null,
    told.unassessed.length ? h("p", { class: "muted" }, `not assessed: ${told.unassessed.join(", ")}`) : null,
  );
