// Calls a tool by the road of every call, as whoever is signed in, and shows what comes of it.

import { credential } from "./api.js";
import { copyable, decoded, dialog, h, head, millis, notice, replace, say } from "./dom.js";
import { callTool } from "./mcp.js";
import { form } from "./schema.js";
import { load } from "./tools.js";

export async function show(view, { rest, signal }) {
  const tools = await load(signal);
  const select = h("select", { id: "tool", onchange: () => { location.hash = `#/playground/${encodeURIComponent(select.value)}`; } },
    h("option", { value: "" }, "Choose a tool"), tools.map((tool) => h("option", { value: tool.name }, tool.name)));
  const name = decoded(rest);
  const tool = tools.find((one) => one.name === name);
  if (tool) select.value = tool.name;
  replace(view,
    head("Playground", "Calls take the road of every call: they are judged, bounded and recorded as yours."),
    h("div", { class: "fields" }, h("label", { for: "tool" }, "Tool", select)),
    name && !tool && notice("", `There is no tool ${name} for you.`),
    tool && bench(tool, signal));
}

function bench(tool, left) {
  const trouble = h("div");
  const outcome = h("div", { class: "result", "aria-live": "polite" });
  const lines = h("div");
  const run = h("button", { class: "primary" }, "Run");
  const cancel = h("button", { type: "button", class: "danger", disabled: true }, "Cancel");
  const progress = h("div");
  let args = form(tool.inputSchema ?? {});
  let raw = null;
  const holder = h("div", null, args.element);
  const asJson = h("button", { type: "button", class: "quiet" }, "As JSON");
  asJson.addEventListener("click", () => {
    try {
      if (raw) {
        const value = JSON.parse(raw.value || "{}");
        raw = null;
        args = form(tool.inputSchema ?? {}, value);
        replace(holder, args.element);
        asJson.textContent = "As JSON";
      } else {
        raw = h("textarea", { rows: 10, "aria-label": "Arguments as JSON", value: JSON.stringify(leniently(args), null, 2) });
        replace(holder, h("div", { class: "field" }, raw));
        asJson.textContent = "As a form";
      }
      replace(trouble);
    } catch (error) {
      replace(trouble, notice("bad", error.message));
    }
  });
  const given = () => (raw ? JSON.parse(raw.value || "{}") : args.read());

  const start = async (event) => {
    event.preventDefault();
    let value;
    try {
      value = given();
    } catch (error) {
      return replace(trouble, notice("bad", error.message));
    }
    replace(trouble);
    replace(outcome);
    replace(lines, equivalents(tool.name, value));
    const controller = new AbortController();
    left.addEventListener("abort", () => controller.abort(), { signal: controller.signal });
    cancel.onclick = () => controller.abort();
    run.disabled = true;
    cancel.disabled = false;
    const bar = h("progress", { "aria-label": "Progress" });
    const said = h("p", { class: "muted small" });
    replace(progress, bar, said);
    const log = [];
    const began = performance.now();
    try {
      const result = await callTool(tool, value, {
        progress: ({ progress: done, total, message }) => {
          if (total) { bar.max = total; bar.value = done; }
          said.textContent = [total ? `${done} of ${total}` : `${done}`, message].filter(Boolean).join(": ");
        },
        log: ({ level, data }) => log.push(`${level}: ${typeof data === "string" ? data : JSON.stringify(data)}`),
        question,
      }, controller.signal);
      replace(outcome, shown(result, performance.now() - began, log));
      say(result.isError ? "The tool failed" : "The tool has answered");
    } catch (error) {
      const text = controller.signal.aborted ? "Cancelled: the tool was told, and what it did until then is done." : error.message;
      replace(outcome, notice("bad", text), log.length > 0 && h("pre", null, log.join("\n")));
    } finally {
      run.disabled = false;
      cancel.disabled = true;
      replace(progress);
    }
  };
  return h("div", { class: "grid" },
    h("section", { class: "panel" }, h("div", { class: "head" }, h("h2", null, tool.name), asJson),
      h("p", { class: "muted" }, (tool.description ?? "").split("\n\n")[0]),
      h("form", { onsubmit: start, "aria-label": `Arguments of ${tool.name}` }, holder, trouble, h("div", { class: "actions" }, run, cancel))),
    h("section", { class: "panel" }, h("h2", null, "Result"), progress, outcome, lines));
}

/** What is filled in, though something may be missing. */
function leniently(args) {
  try {
    return args.read();
  } catch {
    return {};
  }
}

/** The same call for a terminal. Words of a shell are in single quotes. */
function equivalents(name, args) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const body = JSON.stringify(args);
  const url = `${location.origin}/mcp`;
  const token = credential() ? "TOOLCRIB_TOKEN=… " : "";
  const header = credential() ? ` \\\n  -H "authorization: Bearer $TOOLCRIB_TOKEN"` : "";
  const curl = `curl -s ${location.origin}/api/v1/tools/${encodeURIComponent(name)} \\\n  -H 'content-type: application/json'${header} \\\n  -d ${quoted(body)}`;
  return h("div", null, h("h3", null, "The same in a terminal"),
    copyable(`${token}toolcrib call ${name} --url ${url} --args ${quoted(body)}`, "toolcrib call"), copyable(curl, "curl"));
}

function shown(result, took, log) {
  const texts = (result.content ?? []).filter((part) => part.type === "text").map((part) => part.text);
  const images = (result.content ?? []).filter((part) => part.type === "image" && /^image\/(png|jpeg|gif|webp)$/.test(part.mimeType));
  const structured = result.structuredContent ?? parsed(texts);
  const rows = tableOf(structured);
  const views = [
    ["Text", texts.length > 0 && (() => h("pre", { tabindex: 0, "aria-label": "Text" }, texts.join("\n")))],
    ["Table", rows && (() => rows)],
    ["Image", images.length > 0 && (() => h("div", null, images.map((image) => h("img", { src: `data:${image.mimeType};base64,${image.data}`, alt: "An image of the result" }))))],
    ["JSON", () => h("pre", { tabindex: 0, "aria-label": "JSON" }, JSON.stringify(result, null, 2))],
    ["Log", log.length > 0 && (() => h("pre", { tabindex: 0, "aria-label": "Log" }, log.join("\n")))],
  ].filter(([, draw]) => draw);
  const pane = h("div", { role: "tabpanel" });
  const tabs = views.map(([name, draw]) => h("button", { type: "button", role: "tab", onclick: () => choose(name, draw) }, name));
  const choose = (name, draw) => {
    tabs.forEach((tab) => tab.setAttribute("aria-selected", String(tab.textContent === name)));
    pane.setAttribute("aria-label", name);
    replace(pane, draw());
  };
  choose(...(views.find(([name]) => name === "Image") ?? views.find(([name]) => name === "Table") ?? views[0]));
  return h("div", null,
    h("p", null, h("span", { class: `badge ${result.isError ? "bad" : "good"}` }, result.isError ? "failed" : "answered"), ` in ${millis(took)}, as seen from here`),
    h("div", { class: "tabs", role: "tablist" }, tabs), pane);
}

function parsed(texts) {
  if (texts.length !== 1) return undefined;
  try {
    return JSON.parse(texts[0]);
  } catch {
    return undefined;
  }
}

/** A list of objects, or of lists, as a table; where the result holds one, however deep. */
function tableOf(value, depth = 0) {
  const isRow = (one) => one !== null && typeof one === "object";
  if (Array.isArray(value) && value.length > 0 && value.every(isRow)) return drawTable(value);
  if (depth < 3 && value && typeof value === "object" && !Array.isArray(value)) {
    if (Array.isArray(value.columns) && Array.isArray(value.rows) && value.rows.every(Array.isArray)) {
      const names = value.columns.map((column) => (typeof column === "string" ? column : column.name ?? ""));
      return drawTable(value.rows.map((row) => Object.fromEntries(row.map((cell, index) => [names[index] ?? String(index + 1), cell]))));
    }
    for (const inner of Object.values(value)) {
      const found = tableOf(inner, depth + 1);
      if (found) return found;
    }
  }
  return null;
}

function drawTable(rows) {
  const columns = [...new Set(rows.slice(0, 200).flatMap((row) => Object.keys(row)))].slice(0, 30);
  const cell = (value) => (value === null || value === undefined ? h("span", { class: "muted" }, "–") : typeof value === "object" ? h("code", null, JSON.stringify(value)) : String(value));
  const shown = rows.slice(0, 200);
  return h("div", null,
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" }, h("table", null,
      h("thead", null, h("tr", null, columns.map((name) => h("th", { scope: "col" }, name)))),
      h("tbody", null, shown.map((row) => h("tr", null, columns.map((name) => h("td", null, cell(row[name])))))))),
    rows.length > shown.length && h("p", { class: "muted small" }, `${rows.length - shown.length} more rows are in the JSON.`));
}

/** Asks what the tool wants to know, and gives what it is answered. */
function question(method, params) {
  if (method !== "elicitation/create") return Promise.reject(new Error(`the tool asks for ${method}, which the dashboard cannot give`));
  return new Promise((resolve) => {
    const trouble = h("div");
    const isUrl = params.mode === "url";
    const fields = isUrl ? null : form(params.requestedSchema ?? {});
    const answer = (result) => { resolve(result); box.close(); };
    const accept = (event) => {
      event.preventDefault();
      try {
        answer(isUrl ? { action: "accept" } : { action: "accept", content: fields.read() });
      } catch (error) {
        replace(trouble, notice("bad", error.message));
      }
    };
    const link = isUrl && /^https?:\/\//.test(params.url ?? "") && h("p", null, h("a", { href: params.url, target: "_blank", rel: "noopener noreferrer" }, params.url));
    const box = dialog("The tool asks", h("form", { onsubmit: accept }, h("p", null, params.message ?? ""), link, fields?.element, trouble,
      h("div", { class: "actions" },
        h("button", { class: "primary" }, isUrl ? "Done" : "Answer"),
        h("button", { type: "button", onclick: () => answer({ action: "decline" }) }, "Decline"),
        h("button", { type: "button", onclick: () => answer({ action: "cancel" }) }, "Cancel"))));
    box.addEventListener("close", () => resolve({ action: "cancel" }));
  });
}
