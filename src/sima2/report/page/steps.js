// Steps: what happened, in order.
// The short form of `sima2 query --sequence`. A server answers all of it; the file knows labels, outcomes, numbers and
// arms, and what lies between, since it holds no times of all episodes.
const decoded = new Map();
const decode = (each) => {
  let step = decoded.get(each);
  if (step === undefined) {
    const code = each.codePointAt(0) - FIRST_STEP,
      kinds = all.labels.length,
      ends = all.outcomes.length;
    step = {
      label: all.labels[code % kinds],
      outcome: all.outcomes[Math.floor(code / kinds) % ends],
      arm: all.arms[Math.floor(code / kinds / ends)],
    };
    decoded.set(each, step);
  }
  return step;
};
const courses = [];
const steps_of = (row) => (courses[row] ||= Array.from(all.steps[row], decode));
const wrong = (problem) => {
  throw new Error(problem);
};
const condition = (text) => {
  const made =
    /^\s*(\*|[A-Za-z_]+(?:\s*\|\s*[A-Za-z_]+)*)?\s*((?:\s*(?::\s*(?:\*|[A-Za-z_]+(?:\s*\|\s*[A-Za-z_]+)*)|@[^\s@([{:>…!)]+|\[\s*-?\d+\s*\]))*)\s*$/.exec(
      text,
    );
  if (!made || !text.trim()) {
    if (/[({]/.test(text)) wrong("objects and limits of time are found by sima2 view and by sima2 query --sequence");
    wrong(`not a step: ${text.trim() || "nothing"}; such as grasp:failure`);
  }
  const one = { labels: null, outcomes: null, arm: "", nth: 0 };
  if (made[1] && made[1] !== "*") one.labels = new Set(made[1].split("|").map((name) => name.trim()));
  for (const name of one.labels || [])
    if (!all.labels.includes(name)) wrong(`unknown label ${name}: one of ${all.labels.join(", ")}`);
  for (const part of made[2].match(/:\s*[^:@[]+|@[^:[\s]+|\[[^\]]*\]/g) || []) {
    if (part[0] === "@") one.arm = part.slice(1).trim();
    else if (part[0] === "[") one.nth = Number.parseInt(part.slice(1), 10);
    else if (part.slice(1).trim() !== "*")
      one.outcomes = new Set(
        part
          .slice(1)
          .split("|")
          .map((name) => name.trim()),
      );
  }
  for (const name of one.outcomes || [])
    if (!all.outcomes.includes(name)) wrong(`unknown outcome ${name}: one of ${all.outcomes.join(", ")}`);
  if (one.outcomes && one.outcomes.has("failure")) one.outcomes.add("retry");
  if (one.arm && !all.arms.includes(one.arm)) wrong(`unknown arm ${one.arm}: one of ${all.arms.join(", ")}`);
  return one;
};
const parsed = (text) => {
  const pieces = text
      .split(/(>|…|\.\.\.)/)
      .map((each) => each.trim())
      .filter(Boolean),
    steps = [];
  let absent = [],
    later = false,
    sign = "",
    end = "",
    arm = "";
  for (const [k, piece] of pieces.entries()) {
    if (piece === ">" || piece === "…" || piece === "...") {
      if (piece === ">" && sign === ">" && !later) wrong("two > with nothing between them");
      if (piece === ">" && !steps.length && !absent.length && !later) wrong("nothing comes before >");
      sign = piece;
      later ||= piece !== ">";
      continue;
    }
    if (k === pieces.length - 1 && ENDED.includes(piece)) {
      end = piece;
      break;
    }
    if (end) wrong("how the episode ended comes last");
    if (piece[0] === "!") {
      absent.push(condition(piece.slice(1)));
      sign = "";
      continue;
    }
    const step = condition(piece);
    if (step.arm && arm && step.arm !== arm)
      wrong("steps of two arms are found by sima2 view and by sima2 query --sequence");
    arm ||= step.arm;
    steps.push({ ...step, later: later || absent.length > 0, absent });
    absent = [];
    later = false;
    sign = "";
  }
  if (sign === ">" && !end) wrong("nothing comes after >");
  if (!steps.length && !absent.length && !end) wrong("no step is named: try lift … slip");
  return { steps, absent, end };
};
const holds = (step, one) =>
  (!one.labels || one.labels.has(step.label)) &&
  (!one.outcomes || one.outcomes.has(step.outcome)) &&
  (!one.arm || one.arm === step.arm);
const kind = (step, one) => (!one.labels || one.labels.has(step.label)) && (!one.arm || one.arm === step.arm);
const counts = [];
const numbered = (n) => (counts[n] ||= Array.from({ length: n }, (_, k) => k));
const pattern = (text) => {
  const { steps, absent, end } = parsed(text);
  // a lane is the places, in the episode's course, of the steps of one arm
  const none = (every, lane, from, to, list) =>
    list.every((one) => {
      for (let k = from; k < to; k++) if (holds(every[lane[k]], one)) return false;
      return true;
    });
  const may = (every, place, one) => {
    if (!holds(every[place], one)) return false;
    if (!one.nth) return true;
    let left = Math.abs(one.nth);
    for (let k = place; k >= 0 && k < every.length; k += one.nth > 0 ? -1 : 1) if (kind(every[k], one)) left--;
    return left === 0;
  };
  const follows = (every, lane, at, k) => {
    if (k === steps.length) return none(every, lane, at + 1, lane.length, absent);
    const step = steps[k],
      last = step.later ? lane.length : Math.min(at + 2, lane.length);
    for (let next = at + 1; next < last; next++) {
      if (
        may(every, lane[next], step) &&
        none(every, lane, at + 1, next, step.absent) &&
        follows(every, lane, next, k + 1)
      )
        return true;
    }
    return false;
  };
  return (row) => {
    if (end && ENDED[all.ended[row]] !== end) return false;
    const every = steps_of(row),
      places = numbered(every.length);
    if (!steps.length) return none(every, places, 0, every.length, absent);
    return all.arms.some((arm) => {
      const lane = all.arms.length > 1 ? places.filter((k) => every[k].arm === arm) : places;
      for (let k = 0; k < lane.length; k++)
        if (may(every, lane[k], steps[0]) && none(every, lane, 0, k, steps[0].absent) && follows(every, lane, k, 1))
          return true;
      return false;
    });
  };
};
