// The timeline.
const span = () => [state.from ?? 0, state.to ?? Math.max(all.frames[state.row], 1)];
const readout = h("output", { class: "readout", "aria-live": "polite" });
const bytes = (text) => {
  const raw = atob(text);
  return Uint8Array.from(raw, (c) => c.charCodeAt(0));
};
const curves = (told) => {
  if (told.curves) return told.curves;
  // a joint that hardly moves beside the others is drawn so
  const widest = Math.max(0, ...told.signals.filter((each) => each[2] === "rad").map((each) => each[4] - each[3]));
  told.curves = told.signals.map(([arm, name, unit, low, high, least, most]) => {
    const a = bytes(least),
      part = unit === "rad" && widest > 0 ? Math.min(1, (high - low) / (widest / 8)) : 1;
    return { arm, name, unit, low, high, part, tall: unit === "rad" ? 20 : 30, least: a, most: most ? bytes(most) : a };
  });
  return told.curves;
};
const value_of = (curve, step) => (step === NOTHING ? null : curve.low + ((curve.high - curve.low) * step) / STEPS);
const draw_timeline = () => {
  const place = panel.querySelector(".timeline");
  if (!place || !shown) return;
  const W = Math.max(place.clientWidth, 200),
    [a, b] = span(),
    told = shown;
  if (live && !told.exact && b - a < all.frames[state.row] / 2) look_closer(told, state.row);
  const x = (f) => ((f - a) / (b - a)) * W;
  const out = [];
  let y = 0;
  const bar = (f0, f1) => {
    const left = Math.max(x(f0), 0),
      right = Math.min(x(f1), W);
    return right > left ? [left, Math.max(right - left, 1.5)] : null;
  };
  // named failures and recoveries: flags over the strips, each in the first line that is free there
  const ends = [];
  for (const m of moments_of(told)) {
    const at = bar(m.a, Math.max(m.b, m.a + 1));
    if (!at || m.kind === "tag" || m.kind === "defect") continue;
    const wide = m.label.length * 6.6 + 12,
      left = Math.min(at[0], W - wide);
    let line = 0;
    while ((ends[line] ?? -1) > left) line++;
    if (line > 4) continue;
    ends[line] = left + wide + 6;
    out.push(
      s(
        "g",
        { class: `flag ${m.kind}` },
        s("line", { x1: at[0], x2: at[0], y1: line * 16 + 12, y2: 96 }),
        s("text", { x: Math.max(left, 0) + 3, y: line * 16 + 11 }, m.label),
      ),
    );
  }
  y = ends.length * 16 + 4;
  for (const flag of out) flag.firstChild.setAttribute("y2", y + 26 * all_arms(told).length);
  for (const arm of all_arms(told)) {
    for (const [who, f0, f1, label, outcome] of told.segments) {
      const at = who === arm && bar(f0, f1);
      if (!at) continue;
      const name = words(label.split("_")[0]) + (outcome === "unknown" ? "" : ` ${MARKS[outcome]}\ufe0e`);
      out.push(
        s(
          "g",
          null,
          s("title", null, `${arm}: ${words(label)}, ${outcome}, frames ${f0}–${f1}`),
          s("rect", { x: at[0], y, width: at[1], height: 24, fill: `url(#look-${label})` }),
          s("rect", { x: at[0], y, width: 1, height: 24, class: "edge" }),
          at[1] > name.length * 6.6 + 8
            ? s("text", { x: at[0] + 5, y: y + 16, class: "on" }, name)
            : at[1] > 13 && outcome !== "unknown"
              ? s(
                  "text",
                  { x: at[0] + at[1] / 2, y: y + 16, "text-anchor": "middle", class: "on" },
                  MARKS[outcome] + "\ufe0e",
                )
              : null,
        ),
      );
    }
    y += 27;
  }
  const keep = told.plan.keep;
  if (keep && told.plan.action === "trim")
    for (const [f0, f1] of [
      [0, keep[0]],
      [keep[1], all.frames[state.row]],
    ]) {
      const at = bar(f0, f1);
      if (at)
        out.push(
          s(
            "rect",
            { x: at[0], y: 0, width: at[1], height: y, class: "cut" },
            s("title", null, "left out by the plan"),
          ),
        );
    }
  for (const [kind, lane] of [
    ["tag", told.tags],
    ["defect", told.defects],
  ]) {
    for (const name of new Set(lane.map((each) => each[0]))) {
      out.push(
        s("text", { x: 0, y: y + 11, class: "caption" }, kind === "tag" ? name.replace(/Tag$/, "") : words(name)),
      );
      for (const [which, f0, f1, level, said] of lane) {
        const at = which === name && bar(f0, Math.max(f1, f0 + 1));
        if (at)
          out.push(
            s(
              "rect",
              { x: at[0], y: y + 14, width: at[1], height: 5, class: kind },
              s("title", null, `${name} ${short(level, 2)}: ${said}`),
            ),
          );
      }
      y += 22;
    }
  }
  for (const curve of curves(told)) {
    const n = curve.least.length,
      frames = all.frames[state.row],
      up = [],
      down = [],
      pieces = [];
    const close = () => {
      if (up.length) pieces.push(`M${up.join("L")}${down.length ? "L" + down.reverse().join("L") : ""}Z`);
      up.length = down.length = 0;
    };
    for (let k = 0; k < n; k++) {
      const f = ((k + 0.5) * frames) / n,
        px = x(f);
      if (curve.most[k] === NOTHING) {
        close();
        continue;
      }
      if (x(((k + 2) * frames) / n) < 0 || x(((k - 1) * frames) / n) > W) continue;
      const height = (step) => (y + 16 + curve.tall - curve.tall * curve.part * (step / STEPS)).toFixed(1);
      up.push(`${px.toFixed(1)} ${height(curve.most[k])}`);
      down.push(`${px.toFixed(1)} ${height(curve.least[k])}`);
    }
    close();
    const who = all_arms(told).length > 1 ? `${curve.arm} ` : "";
    out.push(
      s("path", { d: pieces.join(""), class: "signal" }),
      s(
        "text",
        { x: 0, y: y + 11, class: "caption" },
        curve.low === null
          ? `${who}${curve.name}: not assessed`
          : `${who}${curve.name}  ${short(curve.low)} to ${short(curve.high)} ${curve.unit}`,
      ),
    );
    y += curve.tall + 20;
  }
  const per = (all.seconds[state.row] ?? 0) / Math.max(all.frames[state.row] - 1, 1),
    unit = per > 0 ? 1 / per : 1,
    wanted = (b - a) / unit / Math.max(2, Math.min(8, W / 90));
  const power = 10 ** Math.floor(Math.log10(wanted)),
    step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= wanted) || power * 10;
  for (let t = Math.ceil(a / unit / step) * step; t * unit <= b; t += step)
    out.push(
      s("line", { x1: x(t * unit), x2: x(t * unit), y1: y, y2: y + 4, class: "tick" }),
      s(
        "text",
        { x: Math.min(Math.max(x(t * unit), 10), W - 16), y: y + 15, "text-anchor": "middle", class: "caption" },
        `${+t.toPrecision(6)}${per > 0 ? " s" : ""}`,
      ),
    );
  y += 18;
  const cursor = s("line", { class: "cursor", y1: 0, y2: y });
  place.replaceChildren(
    s(
      "svg",
      {
        width: W,
        height: y,
        viewBox: `0 0 ${W} ${y}`,
        role: "img",
        "aria-label": "segments, tags, defects and signals over time",
      },
      out,
      cursor,
    ),
  );
  place_cursor();
};
const show = (...kids) => {
  panel.replaceChildren();
  fill(panel, kids);
};
const look_closer = async (told, row) => {
  told.exact = true;
  try {
    const { signals } = await (await fetch(`signals?row=${row}`)).json();
    if (signals.length) {
      told.signals = signals;
      told.curves = null;
      if (shown === told) draw_timeline();
    }
  } catch {
    /* what is there stays */
  }
};
const all_arms = (told) => [...new Set(told.segments.map((each) => each[0]))];
const place_cursor = () => {
  const cursor = panel.querySelector(".cursor"),
    [a, b] = span(),
    f = state.frame;
  if (!cursor) return;
  const W = panel.querySelector(".timeline").clientWidth,
    at = ((f - a) / (b - a)) * W;
  cursor.setAttribute("visibility", f === null || f < a || f > b ? "hidden" : "visible");
  if (f === null) {
    readout.textContent = "";
    return;
  }
  cursor.setAttribute("x1", at);
  cursor.setAttribute("x2", at);
  const now = shown.segments
    .filter(([, f0, f1]) => f0 <= f && f < f1)
    .map(
      ([arm, , , label, outcome]) =>
        (all.arms.length > 1 ? `${arm}: ` : "") +
        words(label) +
        (outcome === "unknown" ? "" : ` ${MARKS[outcome]}\ufe0e`),
    );
  const n = all.frames[state.row];
  const values = curves(shown)
    .slice(0, 3)
    .map((c) => [c, value_of(c, c.most[Math.min(c.most.length - 1, Math.floor((f * c.most.length) / n))])])
    .filter(([, v]) => v !== null)
    .map(([c, v]) => `${c.name} ${short(v)} ${c.unit}`.trim());
  readout.textContent = `frame ${f}, ${short(seconds_at(f), 4)} s: ${[...now, ...values].join("; ")}`;
  for (const spot of panel.querySelectorAll("circle.spot")) move_spot(spot, f / n);
};
const go_to = (f, from_video) => {
  state.frame = Math.min(Math.max(Math.round(f), 0), all.frames[state.row] - 1);
  const [a, b] = span();
  if (state.frame < a || state.frame >= b) {
    const half = (b - a) / 2;
    limit(state.frame - half, state.frame + half);
    draw_timeline();
  } else place_cursor();
  if (!from_video) seek();
  remember();
};
const limit = (a, b) => {
  const n = Math.max(all.frames[state.row], 1),
    wide = Math.min(Math.max(b - a, Math.min(8, n)), n);
  const from = Math.min(Math.max((a + b - wide) / 2, 0), n - wide);
  [state.from, state.to] = wide >= n ? [null, null] : [from, from + wide];
};
const zoom = (by, about) => {
  const [a, b] = span(),
    at = about ?? (state.frame !== null && state.frame >= a && state.frame <= b ? state.frame : (a + b) / 2);
  if (by) limit(at - (at - a) * by, at + (b - at) * by);
  else state.from = state.to = null;
  draw_timeline();
};
const visit = (m) => {
  const wide = Math.max(m.b - m.a, all.frames[state.row] / 16);
  limit(m.a - wide, m.b + wide);
  draw_timeline();
  go_to(m.a);
};
const frame_at = (e) => {
  const box = panel.querySelector(".timeline").getBoundingClientRect(),
    [a, b] = span();
  return a + ((e.clientX - box.left) / box.width) * (b - a);
};
const grabbed = (e) => {
  if (e.button) return;
  const begin = frame_at(e),
    from = e.clientX,
    [a, b] = span(),
    zoomed = state.from !== null,
    place = e.currentTarget;
  let pulled = false;
  const pull = (m) => {
    if (Math.abs(m.clientX - from) < 4 && !pulled) return;
    pulled = true;
    if (zoomed) {
      const by = ((from - m.clientX) / place.clientWidth) * (b - a);
      limit(a + by, b + by);
      draw_timeline();
    } else go_to(frame_at(m));
  };
  const done = () => {
    removeEventListener("pointermove", pull);
    removeEventListener("pointerup", done);
    if (!pulled) go_to(begin);
  };
  addEventListener("pointermove", pull);
  addEventListener("pointerup", done);
};

// Where the hand went, from above and from the side.
const paths = (told) => {
  const made = [];
  for (const arm of all_arms(told)) {
    const axis = (name) => curves(told).find((c) => c.arm === arm && c.name === `hand ${name}`),
      x = axis("x"),
      y = axis("y"),
      z = axis("z");
    if (!x || !y || !z || x.low === null || y.low === null || z.low === null) continue;
    const of = (c) =>
      Array.from(c.least, (k, i) =>
        k === NOTHING || c.most[i] === NOTHING ? null : (value_of(c, k) + value_of(c, c.most[i])) / 2,
      );
    made.push(
      drawn_path(told, arm, "from above", "x", "y", of(x), of(y)),
      drawn_path(told, arm, "from the side", "x", "z", of(x), of(z)),
    );
  }
  return made.length ? h("div", { class: "paths" }, made) : null;
};
const drawn_path = (told, arm, from, name_u, name_v, us, vs) => {
  const both = us.map((u, k) => [u, vs[k]]),
    known = both.filter(([u, v]) => u !== null && v !== null),
    size = 200;
  const low = [0, 1].map((k) => Math.min(...known.map((p) => p[k]))),
    high = [0, 1].map((k) => Math.max(...known.map((p) => p[k])));
  const wide = Math.max(high[0] - low[0], high[1] - low[1], 1e-6),
    scale = (size - 24) / wide,
    mid = low.map((l, k) => (l + high[k]) / 2);
  const at = ([u, v]) => [size / 2 + (u - mid[0]) * scale, size / 2 - (v - mid[1]) * scale];
  let pen = "M",
    d = "";
  for (const p of both) {
    if (p[0] === null || p[1] === null) {
      pen = "M";
      continue;
    }
    d +=
      pen +
      at(p)
        .map((q) => q.toFixed(1))
        .join(" ");
    pen = "L";
  }
  const n = all.frames[state.row],
    place = (f) => both[Math.min(both.length - 1, Math.floor((f / n) * both.length))];
  const spots = told.segments
    .filter((each) => each[0] === arm && BAD.has(each[4]))
    .map((each) => [place(each[1]), `${words(each[3])} ${MARKS[each[4]]}`])
    .filter(([p]) => p && p[0] !== null && p[1] !== null);
  const spot = s("circle", { r: 4.5, class: "spot" });
  spot.points = both.map((p) => (p[0] === null || p[1] === null ? null : at(p)));
  move_spot(spot, (state.frame ?? 0) / n);
  return h(
    "figure",
    null,
    s(
      "svg",
      {
        viewBox: `0 0 ${size} ${size}`,
        width: size,
        height: size,
        role: "img",
        "aria-label": `path of the hand ${from}`,
      },
      s("path", { d, class: "track" }),
      known.length
        ? s("circle", { cx: at(known[0])[0], cy: at(known[0])[1], r: 3, class: "begin" }, s("title", null, "start"))
        : null,
      spots.map(([p, said]) =>
        s("circle", { cx: at(p)[0], cy: at(p)[1], r: 4, class: "failed" }, s("title", null, said)),
      ),
      spot,
    ),
    h(
      "figcaption",
      null,
      `${all_arms(told).length > 1 ? `${arm}, ` : ""}${from}: ${name_u} and ${name_v}, ${short(wide)} m wide`,
    ),
  );
};
const move_spot = (spot, share) => {
  const p = spot.points[Math.min(spot.points.length - 1, Math.max(0, Math.floor(share * spot.points.length)))];
  spot.setAttribute("visibility", p ? "visible" : "hidden");
  if (p) {
    spot.setAttribute("cx", p[0]);
    spot.setAttribute("cy", p[1]);
  }
};
