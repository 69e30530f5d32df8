// Every tool that there is for whoever looks: found by word, category, tag, server and role; and each by itself.

import { ask } from "./api.js";
import { ago, count, decoded, h, head, millis, notice, replace } from "./dom.js";
import { readable } from "./schema.js";

const HINTS = {
  readOnlyHint: ["changes nothing", "may change things"],
  destructiveHint: ["may destroy", "destroys nothing"],
  idempotentHint: ["safe to repeat", "not safe to repeat"],
  openWorldHint: ["reaches outside", "reaches nothing outside"],
};

/** All that is known of the tools: their definitions, with how they are used. */
export async function load(signal) {
  const [{ tools }, statistics] = await Promise.all([ask("/api/v1/tools", { signal }), ask("/api/v1/stats", { signal })]);
  const known = new Map(statistics.tools.map((tool) => [tool.name, tool]));
  return tools.map((tool) => ({ ...known.get(tool.name), ...tool }));
}

export async function show(view, { me, rest, signal }) {
  const tools = await load(signal);
  const access = me.may.access ? await ask("/api/v1/access", { signal }) : null;
  const name = decoded(rest);
  if (name) return one(view, tools.find((tool) => tool.name === name), access, name);
  list(view, tools, access);
}

function list(view, tools, access) {
  const distinct = (values) => [...new Set(values.filter(Boolean))].sort();
  const choice = (label, values, all) => {
    const select = h("select", { "aria-label": label }, h("option", { value: "" }, all), values.map((value) => h("option", { value }, value === "*" ? "everybody" : value)));
    return { select, field: h("label", null, label, select) };
  };
  const word = h("input", { type: "search", placeholder: "Name or description" });
  const category = choice("Category", distinct(tools.map((tool) => tool.category)), "all");
  const tag = choice("Tag", distinct(tools.flatMap((tool) => tool.tags ?? [])), "all");
  const source = choice("Server", distinct(tools.map((tool) => tool.source)), "all");
  const role = access?.is_ruled ? choice("Role", access.roles, "any") : null;
  const allowed = new Map((access?.rows ?? []).filter((row) => row.kind === "tool").map((row) => [row.name, row.cells]));
  const rows = h("tbody");
  const found = h("p", { class: "muted small", role: "status" });
  const draw = () => {
    const words = word.value.toLowerCase().split(/\s+/).filter(Boolean);
    const roleAt = role ? access.roles.indexOf(role.select.value) : -1;
    const shown = tools.filter((tool) => words.every((one) => `${tool.name} ${tool.description ?? ""} ${(tool.tags ?? []).join(" ")}`.toLowerCase().includes(one))
      && (!category.select.value || tool.category === category.select.value)
      && (!tag.select.value || tool.tags?.includes(tag.select.value))
      && (!source.select.value || tool.source === source.select.value)
      && (roleAt < 0 || allowed.get(tool.name)?.[roleAt]?.allowed));
    found.textContent = shown.length === tools.length ? `${count(tools.length)} tools` : `${count(shown.length)} of ${count(tools.length)} tools`;
    replace(rows, shown.slice(0, 500).map((tool) => h("tr", null,
      h("th", { scope: "row", class: "name" }, h("a", { href: `#/tools/${encodeURIComponent(tool.name)}` }, tool.name),
        h("div", { class: "muted small" }, firstLine(tool.description))),
      h("td", null, tool.source),
      h("td", null, (tool.tags ?? []).map((one) => h("span", { class: "tag" }, one))),
      h("td", { class: "number" }, count(tool.calls ?? 0)),
      h("td", { class: "number" }, tool.errors ? h("span", { class: "badge bad" }, count(tool.errors)) : "0"),
      h("td", { class: "number" }, millis(tool.latency_ms?.p95)))));
  };
  [word, category.select, tag.select, source.select, role?.select].filter(Boolean).forEach((control) => control.addEventListener("input", draw));
  draw();
  const heads = ["Tool", "Server", "Tags"].map((name) => h("th", { scope: "col" }, name)).concat(["Calls", "Errors", "p95"].map((name) => h("th", { scope: "col", class: "number" }, name)));
  replace(view, head("Tools", "What you may call."),
    h("div", { class: "fields", role: "search" }, h("label", null, "Search", word), category.field, tag.field, source.field, role?.field),
    found,
    h("section", { class: "panel" }, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Tools" }, h("table", null, h("thead", null, h("tr", null, heads)), rows))));
}

function one(view, tool, access, name) {
  if (!tool) return replace(view, head(name), notice("", "There is no tool of that name for you. ", h("a", { href: "#/tools" }, "All tools")));
  const hints = Object.entries(HINTS).filter(([key]) => typeof tool.annotations?.[key] === "boolean").map(([key, [yes, no]]) => h("span", { class: "tag" }, tool.annotations[key] ? yes : no));
  const cells = access?.rows.find((row) => row.kind === "tool" && row.name === tool.name)?.cells;
  const may = access?.is_ruled && cells && h("section", { class: "panel" }, h("h2", null, "Who may call it"),
    h("ul", { class: "plain" }, access.roles.map((role, index) => h("li", null,
      h("span", { class: `badge ${cells[index].allowed ? "good" : ""}` }, cells[index].allowed ? "yes" : "no"), ` ${role === "*" ? "everybody" : role}`,
      cells[index].rule && h("span", { class: "muted small" }, ` by ${cells[index].rule}`, cells[index].when && ` when ${cells[index].when}`)))));
  const pairs = [["Server", tool.source], ["Category", tool.category], ["Version", tool.version], ["Author", tool.author]].filter(([, value]) => value);
  replace(view,
    head(tool.name, tool.title && tool.title !== tool.name ? tool.title : null, h("a", { class: "button", href: `#/playground/${encodeURIComponent(tool.name)}` }, "Try it"), h("a", { href: "#/tools" }, "All tools")),
    h("section", { class: "panel" }, (tool.description ?? "").split(/\n{2,}/).filter(Boolean).map((part) => h("p", null, part)),
      h("dl", { class: "pairs" }, pairs.map(([key, value]) => [h("dt", null, key), h("dd", null, value)])),
      h("div", null, (tool.tags ?? []).map((tag) => h("span", { class: "tag" }, tag)), hints)),
    h("section", { class: "panel" }, h("h2", null, "Arguments"), readable(tool.inputSchema),
      h("details", null, h("summary", null, "As JSON Schema"), h("pre", { tabindex: 0, "aria-label": "JSON Schema" }, JSON.stringify(tool.inputSchema, null, 2)))),
    tool.outputSchema && h("section", { class: "panel" }, h("h2", null, "Result"), readable(tool.outputSchema, "Result")),
    may,
    h("section", { class: "panel" }, h("h2", null, "Use since the start"), h("dl", { class: "pairs" },
      [["Calls", count(tool.calls ?? 0)], ["Errors", count(tool.errors ?? 0)], ["Half within", millis(tool.latency_ms?.p50)], ["95 % within", millis(tool.latency_ms?.p95)], ["99 % within", millis(tool.latency_ms?.p99)], ["Last called", ago(tool.last_used)]]
        .map(([key, value]) => [h("dt", null, key), h("dd", null, value)]))));
}

function firstLine(text) {
  const line = (text ?? "").split("\n")[0];
  return line.length > 160 ? `${line.slice(0, 157)}…` : line;
}
