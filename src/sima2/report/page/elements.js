// What all parts of the page's script share. They are one script, in the order in which `report/html.py` names them:
// it finds episodes, shows one, and, where a server allows it, says how it ended. Everything that comes from data is
// set as text or as a number, never as markup.
const read = (id) => {
  const at = document.getElementById(id);
  return at && JSON.parse(at.textContent);
};
const all = read("overview");
const root = document.getElementById("workbench");
if (!all || !root) return;
const kept = read("details") || {};
const live = document.body.dataset.live || "";
const ROW = 30,
  FIRST_STEP = 0x4e00,
  NOTHING = 255,
  STEPS = 250;
const ENDED = ["failure", "success", "unknown"];
const MARKS = { success: "✓", failure: "✗", retry: "↻", unknown: "?" };
const BAD = new Set(["failure", "retry"]),
  ANOMALIES = new Set(["slip", "collision", "recovery_maneuver"]);
const SVG = "http://www.w3.org/2000/svg";

// Elements.
const put = (at, name, value) => {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) at.addEventListener(name.slice(2), value);
  else if (name === "class") at.setAttribute("class", value);
  else at.setAttribute(name, value === true ? "" : value);
};
const fill = (at, kids) => {
  at.append(...kids.flat(9).filter((kid) => kid !== null && kid !== undefined && kid !== false));
  return at;
};
const h = (tag, given, ...kids) => {
  const at = document.createElement(tag);
  for (const k in given || {}) put(at, k, given[k]);
  return fill(at, kids);
};
const s = (tag, given, ...kids) => {
  const at = document.createElementNS(SVG, tag);
  for (const k in given || {}) put(at, k, given[k]);
  return fill(at, kids);
};
const words = (name) => name.replaceAll("_", " ");
const short = (x, digits = 3) => (x === null || x === undefined ? "–" : x === 0 ? "0" : String(+x.toPrecision(digits)));
const many = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

// What the rows say.
const name_of = (column, row) => all[`${column}_names`][all[column][row]];
const odd = new Set(all.odd);
const text_of = [];
for (let row = 0; row < all.n; row++)
  text_of.push(
    [
      all.id[row],
      name_of("task", row),
      words(name_of("task", row)),
      name_of("robot", row),
      words(name_of("why", row)),
      ...all.tags[row].map((k) => all.tag_names[k]),
      ...all.defects[row].map((k) => words(all.defect_names[k])),
    ]
      .join("\n")
      .toLowerCase(),
  );
