// Keys.
const HELP = [
  ["/", "find"],
  ["j k", "next and previous episode"],
  ["← →", "a frame (with Shift: ten)"],
  ["[ ]", "previous and next moment"],
  ["+ − 0", "zoom in, out, all"],
  ["space", "play and stop"],
  ["esc", "leave a field"],
  ...(live === "label"
    ? Object.values(SAY)
        .map(({ key, help }) => [key, help])
        .concat([
          [".", "next to label"],
          ["u", "take back"],
        ])
    : []),
];
const help = h(
  "details",
  { class: "keys" },
  h("summary", null, "keys"),
  h(
    "dl",
    null,
    HELP.map(([key, what]) => h("div", null, h("dt", null, h("kbd", null, key)), h("dd", null, what))),
  ),
);
const KEYS_OF = {
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: (e) => {
    if (e.target === scroll) move(1);
    else return false;
  },
  ArrowUp: (e) => {
    if (e.target === scroll) move(-1);
    else return false;
  },
  ArrowRight: (e) => (shown ? go_to((state.frame ?? -1) + (e.shiftKey ? 10 : 1)) : false),
  ArrowLeft: (e) => (shown ? go_to((state.frame ?? 0) - (e.shiftKey ? 10 : 1)) : false),
  "[": () => jump(-1),
  "]": () => jump(1),
  "+": () => shown && zoom(0.5),
  "=": () => shown && zoom(0.5),
  "-": () => shown && zoom(2),
  0: () => shown && zoom(0),
  "/": () => {
    controls.text.focus();
    root.scrollIntoView({ block: "start" });
  },
  "?": () => {
    help.open = !help.open;
    help.scrollIntoView({ block: "nearest" });
  },
  " ": (e) => {
    const films = panel.querySelectorAll("video");
    if (!films.length || e.target.closest("button,summary,a,video")) return false;
    for (const film of films)
      if (film.paused) film.play();
      else film.pause();
  },
};
const jump = (by) => {
  if (!shown) return;
  const list = moments_of(shown),
    at = state.frame ?? -1,
    next = by > 0 ? list.find((m) => m.a > at) : list.filter((m) => m.a < at).pop();
  if (next) visit(next);
};
addEventListener("keydown", (e) => {
  if (e.key === "Escape" && e.target.matches("input,select,textarea")) {
    e.target.blur();
    scroll.focus();
    return;
  }
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.matches("input,select,textarea")) return;
  const act = KEYS_OF[e.key] || (live === "label" && label_key(e.key));
  if (act && act(e) !== false) e.preventDefault();
});
addEventListener("hashchange", arrive);
let wide = 0;
new ResizeObserver(() => {
  if (panel.clientWidth !== wide) {
    wide = panel.clientWidth;
    draw_rows();
    draw_timeline();
  }
}).observe(panel);

// Begin.
for (const still of document.querySelectorAll(".without-script")) still.hidden = true;
root.replaceChildren(...[label_head(), form, quick, told, table, help, panel].filter(Boolean));
draw_head();
choose();
if (!arrive() && view.length && live) open(view[0], null);
