// Charts of time, drawn as SVG: what there is, what it was at the moment under the pointer, and a sentence for who does not see it.

import { h, replace, s } from "./dom.js";

const WIDTH = 640;
const HEIGHT = 190;
const LEFT = 46;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 22;

/**
 * A chart of series over time. `series` are `{name, key: "a"…"d", of: point => number or null, area}`, `write` writes a value.
 * With `isLog`, ten times as much is as far everywhere: for what may be a thousand times as much. `draw(points)` draws what there is now.
 */
export function chart(title, series, write, isLog = false) {
  const plot = s("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });
  const legend = h("div", { class: "legend" });
  let shown = [];
  let scale = null;

  const legendOf = (point) => {
    const at = point ? h("span", { class: "when" }, new Date(point.at * 1000).toLocaleTimeString()) : null;
    replace(legend, series.map((one) => h("span", { class: one.key }, one.name, point ? ` ${write(one.of(point))}` : "")), at);
  };

  const cursor = s("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  plot.addEventListener("pointermove", (event) => {
    if (!scale || shown.length === 0) return;
    const box = plot.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * WIDTH;
    const nearest = shown.reduce((best, point) => (Math.abs(scale.x(point.at) - x) < Math.abs(scale.x(best.at) - x) ? point : best));
    cursor.setAttribute("x1", scale.x(nearest.at));
    cursor.setAttribute("x2", scale.x(nearest.at));
    cursor.setAttribute("visibility", "visible");
    legendOf(nearest);
  });
  plot.addEventListener("pointerleave", () => {
    cursor.setAttribute("visibility", "hidden");
    legendOf(null);
  });

  const draw = (points) => {
    shown = points;
    const values = points.flatMap((point) => series.map((one) => one.of(point))).filter((value) => value !== null);
    const { bottom, top, marks } = isLog ? powers(values) : plain(values);
    const height = isLog ? (value) => Math.log10(Math.max(value, bottom) / bottom) / Math.log10(top / bottom) : (value) => value / top;
    const last = points.at(-1)?.at ?? Date.now() / 1000;
    const first = Math.min(points[0]?.at ?? last, last - 60);
    scale = {
      x: (at) => LEFT + ((at - first) / (last - first)) * (WIDTH - LEFT - RIGHT),
      y: (value) => HEIGHT - BOTTOM - height(value) * (HEIGHT - TOP - BOTTOM),
    };
    const rules = marks.map((mark) => [
      s("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: scale.y(mark), y2: scale.y(mark) }),
      s("text", { x: LEFT - 6, y: scale.y(mark) + 4, "text-anchor": "end" }, write(mark)),
    ]);
    const times = [first, (first + last) / 2, last].map((at, index) =>
      s("text", { x: scale.x(at), y: HEIGHT - 6, "text-anchor": ["start", "middle", "end"][index] }, clock(at)));
    const shapes = series.flatMap((one) => {
      const runs = unbroken(points, one.of);
      // What stands alone is a dot.
      const line = runs.map((run) => `M${[run[0], ...run].map((point) => spot(scale, point, one)).join("L")}`).join("");
      const ground = scale.y(bottom);
      const area = one.area && runs.map((run) =>
        `M${scale.x(run[0].at)},${ground}L${run.map((point) => spot(scale, point, one)).join("L")}L${scale.x(run.at(-1).at)},${ground}Z`).join("");
      return [area && s("path", { class: `area-${one.key}`, d: area }), s("path", { class: `line-${one.key}`, d: line })];
    });
    replace(plot, rules, times, shapes, cursor);
    const now = points.at(-1);
    plot.setAttribute("aria-label", now ? `${title}: ${series.map((one) => `${one.name} ${write(one.of(now))}`).join(", ")}` : title);
    if (cursor.getAttribute("visibility") === "hidden") legendOf(null);
  };
  draw([]);
  return { element: h("div", null, plot, legend), draw };
}

const spot = (scale, point, one) => `${scale.x(point.at).toFixed(1)},${scale.y(one.of(point)).toFixed(1)}`;

const clock = (at) => new Date(at * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** Where nothing was measured there is no line. */
function unbroken(points, of) {
  const runs = [];
  let run = [];
  for (const point of points) {
    if (of(point) === null) { if (run.length) runs.push(run); run = []; } else run.push(point);
  }
  if (run.length) runs.push(run);
  return runs;
}

/** From nothing to a round number. */
function plain(values) {
  const top = niceAbove(Math.max(...values, 0));
  return { bottom: 0, top, marks: [0, top / 2, top] };
}

/** From one power of ten to another, with one in between at least. */
function powers(values) {
  const known = values.filter((value) => value > 0);
  const low = Math.floor(Math.log10(Math.min(...known, 1)));
  const high = Math.max(Math.ceil(Math.log10(Math.max(...known, 1))), low + 2);
  const marks = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index));
  return { bottom: 10 ** low, top: 10 ** high, marks };
}

/** The next of 1, 2, 5, 10, 20, 50, … */
function niceAbove(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value;
}
