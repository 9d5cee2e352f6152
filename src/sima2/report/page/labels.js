// Saying how it ended.
const SAY = {
  success: { key: "s", help: "it succeeded" },
  failure: { key: "f", help: "it failed" },
  here: { key: "x", help: "it failed at this frame", what: "failure", at: true },
  nominal: { key: "n", help: "a good example" },
  label: { key: "w", help: "wrong label at this frame", at: true },
  boundary: { key: "b", help: "the nearest boundary belongs here", at: true },
  note: { key: "t", help: "note" },
};
const who = h("input", {
  type: "text",
  value: "",
  autocomplete: "off",
  "aria-label": "your name, which stands beside what you say",
  maxlength: 60,
});
const news = h("output", { class: "news", "aria-live": "polite" });
let next_row = null,
  chosen = new Map();
const label_head = () => {
  if (live !== "label") return null;
  try {
    who.value = localStorage.getItem("sima2-by") || "";
  } catch {
    /* a browser that keeps nothing */
  }
  who.addEventListener("change", () => {
    try {
      localStorage.setItem("sima2-by", who.value);
    } catch {
      /* likewise */
    }
  });
  refresh();
  return h(
    "p",
    { class: "labelling" },
    h("label", null, "labels by ", who),
    h("button", { type: "button", onclick: go_next }, "next to label (.)"),
    news,
  );
};
const refresh = async () => {
  try {
    take_news(await (await fetch("next")).json());
  } catch {
    news.textContent = "the server does not answer";
  }
};
const take_news = (told) => {
  next_row = told.next;
  chosen = new Map((told.queue || []).map((each) => [each.row, each]));
  news.textContent = told.words || "";
};
const go_next = () => {
  if (next_row === null || next_row === undefined) {
    news.textContent = "nothing is left to label";
    return;
  }
  if (!view.includes(next_row)) reset({});
  open(next_row, null);
  remember();
};
const label_bar = () => {
  if (live !== "label") return null;
  const why = chosen.get(state.row);
  return h(
    "div",
    { class: "say" },
    why ? h("small", null, why.why) : null,
    Object.entries(SAY).map(([name, { key, help }]) =>
      h(
        "button",
        { type: "button", title: help, onclick: () => say(name) },
        h("kbd", null, key),
        " ",
        name === "here" ? "failed here" : name === "label" ? "wrong label" : name,
      ),
    ),
    h(
      "button",
      { type: "button", title: "take back the last of this episode", onclick: take_back },
      h("kbd", null, "u"),
      " take back",
    ),
    h("span", { class: "ask" }),
  );
};
const label_key = (key) => {
  if (key === ".") return go_next;
  if (key === "u") return take_back;
  const name = Object.keys(SAY).find((each) => SAY[each].key === key);
  return name && shown ? () => say(name) : null;
};
const ask = (...kids) => {
  const at = panel.querySelector(".ask");
  at.replaceChildren(...kids);
  const first = at.querySelector("select,input");
  if (first) first.focus();
};
const say = (name) => {
  const { what, at } = SAY[name];
  if (at && state.frame === null) {
    news.textContent = "choose a frame first: click the timeline, or use the arrow keys";
    return;
  }
  const frame = at ? state.frame : null;
  if (name === "label") {
    const now = shown.segments.find(([, a, b]) => a <= frame && frame < b);
    const list = h(
      "select",
      {
        "aria-label": "the right label",
        onchange: (e) => {
          if (e.target.value) send("label", e.target.value, now ? now[1] : frame);
        },
      },
      h("option", { value: "" }, `not ${now ? words(now[3]) : "this"} but …`),
      all.labels.map((each) => h("option", { value: each }, words(each))),
    );
    return ask(list);
  }
  if (name === "note") {
    const text = h("input", {
      type: "text",
      maxlength: 500,
      "aria-label": "note",
      placeholder: "note, then Enter",
      onkeydown: (e) => {
        if (e.key === "Enter" && text.value.trim()) {
          e.preventDefault();
          send("note", text.value.trim(), state.frame);
        }
      },
    });
    return ask(text);
  }
  if (name === "boundary") {
    const edges = shown.segments.map((each) => each[1]).filter((a) => a > 0),
      near = edges.sort((a, b) => Math.abs(a - frame) - Math.abs(b - frame))[0];
    if (near === undefined) {
      news.textContent = "this episode has no boundary";
      return;
    }
    return send("boundary", String(frame), near);
  }
  send(what || name, "", frame);
};
const send = async (what, value, frame) => {
  if (!who.value.trim()) {
    news.textContent = "say who you are first";
    who.focus();
    return;
  }
  const row = state.row;
  try {
    const answer = await fetch("label", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ row, episode: all.id[row], what, value, frame, by: who.value.trim() }),
    });
    const told = await answer.json();
    if (!answer.ok) {
      news.textContent = told.error || "refused";
      return;
    }
    all.said[row] = told.said;
    if (kept[row]) kept[row].labels = told.labels;
    take_news(told);
    if (state.row === row) draw_one();
    draw_rows();
    scroll.focus({ preventScroll: true });
  } catch {
    news.textContent = "not saved: the server does not answer";
  }
};
const take_back = () => {
  const mine = shown && shown.labels && shown.labels.filter((each) => each.by === who.value.trim());
  if (mine && mine.length) {
    const last = mine[mine.length - 1];
    send(last.what, "withdrawn", last.frame < 0 ? null : last.frame);
  } else news.textContent = "you have said nothing of this episode";
};
