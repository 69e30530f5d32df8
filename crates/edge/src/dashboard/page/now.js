// How it does now, and did in the last ten minutes.

import { ask } from "./api.js";
import { chart } from "./charts.js";
import { ago, bytes, count, h, head, millis, notice, replace, span } from "./dom.js";

const EVERY = 2000;

export async function show(view, { me, signal }) {
  const first = await ask("/api/v1/now", { signal });
  const rate = (number) => (number === null ? "–" : number < 10 ? number.toFixed(number === 0 ? 0 : 1) : count(Math.round(number)));
  const calls = chart("Calls a second", [
    { name: "calls", key: "a", area: true, of: (point) => point.calls / first.history.every_seconds },
    { name: "errors", key: "b", area: true, of: (point) => point.errors / first.history.every_seconds },
  ], rate);
  const latency = chart("Latency", [
    { name: "half within", key: "a", of: (point) => point.p50 },
    { name: "95 %", key: "c", of: (point) => point.p95 },
    { name: "99 %", key: "d", of: (point) => point.p99 },
  ], millis, true);
  const tiles = h("dl", { class: "tiles" });
  const tools = h("div");
  const callers = h("div");
  const trouble = h("div");
  replace(view,
    head("Now", `${first.name} ${first.version}`),
    trouble, tiles,
    h("div", { class: "grid" },
      h("section", { class: "panel" }, h("h2", null, "Calls a second"), calls.element),
      h("section", { class: "panel" }, h("h2", null, "Latency"), latency.element)),
    h("div", { class: "grid" },
      h("section", { class: "panel" }, h("h2", null, "Tools"), tools),
      h("section", { class: "panel" }, h("h2", null, "Callers ", h("span", { class: "muted small" }, "in the last 15 minutes")), callers)));

  const draw = (now) => {
    const points = now.history.points;
    const last = points.slice(-5);
    const seconds = Math.max(1, last.length * now.history.every_seconds);
    const perSecond = last.reduce((sum, point) => sum + point.calls, 0) / seconds;
    const failed = last.reduce((sum, point) => sum + point.errors, 0);
    const of = last.reduce((sum, point) => sum + point.calls, 0);
    const tile = (name, value, more, isAlarm) => h("div", { class: isAlarm ? "tile alarm" : "tile" }, h("dt", null, name), h("dd", null, value, more && h("small", null, ` ${more}`)));
    replace(tiles,
      tile("Calls a second", rate(perSecond)),
      tile("Errors", of ? `${Math.round((failed / of) * 100)} %` : "–", `${count(now.errors)} in all`, of > 0 && failed / of > 0.05),
      tile("In flight", count(now.in_flight)),
      tile("Calls", count(now.calls), "since the start"),
      tile("Connections", count(now.connections)),
      tile("Memory", now.memory_mb === null ? "–" : bytes(now.memory_mb * 1048576)),
      tile("Up for", span(now.uptime_seconds, 1)));
    calls.draw(points);
    latency.draw(points);
    replace(tools, toolsTable(now.tools));
    replace(callers, callersTable(now, me));
  };

  draw(first);
  const turn = setInterval(async () => {
    if (document.hidden) return;
    try {
      draw(await ask("/api/v1/now", { signal }));
      replace(trouble);
    } catch (error) {
      if (!signal.aborted) replace(trouble, notice("bad", error.message));
    }
  }, EVERY);
  signal.addEventListener("abort", () => clearInterval(turn));
}

function toolsTable(tools) {
  if (tools.length === 0) return h("p", { class: "muted" }, "No tool has been called yet. ", h("a", { href: "#/playground" }, "Call one"), ".");
  const rows = tools.slice(0, 15).map((tool) => h("tr", null,
    h("th", { scope: "row", class: "name" }, h("a", { href: `#/tools/${encodeURIComponent(tool.name)}` }, tool.name)),
    h("td", { class: "number" }, count(tool.calls)),
    h("td", { class: "number" }, tool.errors ? h("span", { class: "badge bad" }, count(tool.errors)) : "0"),
    h("td", { class: "number" }, count(tool.in_flight)),
    h("td", { class: "number" }, millis(tool.p50)),
    h("td", { class: "number" }, millis(tool.p95))));
  return table(["Tool", "Calls", "Errors", "In flight", "p50", "p95"], rows, "Tools");
}

function callersTable(now, me) {
  if (!now.keeps_records) return h("p", { class: "muted" }, "No audit log is kept, so nothing is known of callers.");
  if (now.callers.length === 0) return h("p", { class: "muted" }, "Nobody has called.");
  const name = (principal) => (me.may.calls ? h("a", { href: `#/calls/user=${encodeURIComponent(principal)}` }, principal) : principal);
  const rows = now.callers.slice(0, 15).map((caller) => h("tr", null,
    h("th", { scope: "row", class: "name" }, name(caller.principal)),
    h("td", { class: "number" }, count(caller.calls)),
    h("td", { class: "number" }, caller.errors ? h("span", { class: "badge bad" }, count(caller.errors)) : "0"),
    h("td", { class: "number" }, millis(caller.mean_ms)),
    h("td", { class: "number" }, ago(caller.last))));
  return table(["Caller", "Calls", "Errors", "Mean", "Last"], rows, "Callers");
}

function table(columns, rows, label) {
  const heads = columns.map((name, index) => h("th", { scope: "col", class: index > 0 ? "number" : null }, name));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, h("table", null, h("thead", null, h("tr", null, heads)), h("tbody", null, rows)));
}
