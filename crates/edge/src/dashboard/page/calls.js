// The audit log: what was called, by whom, and what came of it.

import { ask } from "./api.js";
import { bytes, count, dialog, h, head, millis, notice, replace, save, say, time } from "./dom.js";

const PAGE = 100;
const EXPORT = 10000;
const FIELDS = ["user", "tool", "outcome", "since", "until"];

export async function show(view, { rest, signal }) {
  const asked = new URLSearchParams(rest);
  const rows = h("tbody");
  const more = h("button", { type: "button" }, "Older ones");
  const trouble = h("div");
  const verdict = h("div");
  const input = (name, label, props) => {
    const control = h("input", { name, value: asked.get(name) ?? "", ...props });
    return h("label", null, label, control);
  };
  const outcome = h("select", { name: "outcome" }, [["", "any"], ["answered", "answered"], ["tool_error", "tool error"], ["refused", "refused"], ["abandoned", "abandoned"], ["forbidden", "forbidden"], ["invalid_arguments", "invalid arguments"], ["deadline_exceeded", "deadline exceeded"], ["limit_reached", "limit reached"]]
    .map(([value, text]) => h("option", { value }, text)));
  if (asked.get("outcome")) outcome.value = asked.get("outcome");
  const filter = h("form", { class: "fields", role: "search", onsubmit: (event) => {
    event.preventDefault();
    const wanted = new URLSearchParams([...new FormData(filter)].filter(([, value]) => value));
    const hash = `#/calls/${wanted}`;
    // Another address shows the page anew.
    if (location.hash === hash) load(false);
    else location.hash = hash;
  } },
    input("user", "Caller", { placeholder: "ann" }), input("tool", "Name", { placeholder: "calc*" }), h("label", null, "Outcome", outcome),
    input("since", "Since", { placeholder: "1h, 2026-11-29", size: 14 }), input("until", "Until", { placeholder: "now", size: 14 }), h("button", { class: "primary" }, "Find"));

  const query = (extra) => {
    const wanted = new URLSearchParams();
    const data = new FormData(filter);
    for (const name of FIELDS) if (data.get(name)) wanted.set(name, data.get(name));
    for (const [name, value] of Object.entries(extra)) wanted.set(name, value);
    return `/api/v1/calls?${wanted}`;
  };
  let oldest = null;
  const load = async (goesOn) => {
    try {
      const { calls } = await ask(query({ limit: PAGE, ...(goesOn && oldest ? { before: oldest } : {}) }), { signal });
      replace(trouble);
      if (!goesOn) replace(rows);
      rows.append(...calls.map(row));
      if (!goesOn && calls.length === 0) replace(rows, h("tr", null, h("td", { colspan: 6, class: "muted" }, "No calls match.")));
      oldest = calls.at(-1)?.seq ?? oldest;
      more.hidden = calls.length < PAGE;
      say(`${calls.length} calls`);
    } catch (error) {
      if (!signal.aborted) replace(trouble, notice("bad", error.message));
    }
  };
  more.addEventListener("click", () => load(true));
  const exported = async (format) => {
    try {
      const { calls } = await ask(query({ limit: EXPORT }), { signal });
      if (format === "csv") save("calls.csv", "text/csv", csv(calls));
      else save("calls.jsonl", "application/jsonl", calls.map((call) => `${JSON.stringify(call)}\n`).join(""));
      if (calls.length === EXPORT) replace(trouble, notice("", `These are the latest ${count(EXPORT)}; toolcrib audit --json --limit 0 gives all of them.`));
    } catch (error) {
      replace(trouble, notice("bad", error.message));
    }
  };
  const verify = async () => {
    replace(verdict, h("p", { class: "muted" }, "Checking…"));
    try {
      const found = await ask("/api/v1/calls/verdict", { signal });
      replace(verdict, found.ok
        ? notice("good", `${count(found.records)} records are what was written; ${count(found.checkpoints)} signed checkpoints.`, found.head && h("span", { class: "mono" }, ` The last: ${found.head.seq}:${found.head.hash}`))
        : notice("bad", `The audit log is not what was written: ${found.fault}`));
    } catch (error) {
      replace(verdict, notice("bad", error.message));
    }
  };
  replace(view,
    head("Calls", "Every call has one record, whatever became of it.",
      h("button", { type: "button", onclick: verify }, "Check the chain"), h("button", { type: "button", onclick: () => exported("jsonl") }, "Export JSON lines"), h("button", { type: "button", onclick: () => exported("csv") }, "Export CSV")),
    verdict, filter, trouble,
    h("section", { class: "panel" },
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Calls" }, h("table", null,
        h("thead", null, h("tr", null, ["When", "Caller", "Called", "Outcome"].map((name) => h("th", { scope: "col" }, name)), h("th", { scope: "col", class: "number" }, "Took"), h("th", { scope: "col" }, h("span", { class: "visually-hidden" }, "Detail")))), rows)), more));
  more.hidden = true;
  await load(false);
}

const KINDS = { answered: "good", tool_error: "bad", refused: "warn", abandoned: "" };

function row(call) {
  return h("tr", null,
    h("td", null, time(call.at)),
    h("td", { class: "name" }, call.authority === call.subject ? call.subject : `${call.authority}:${call.subject}`),
    h("td", { class: "name" }, call.name, call.kind !== "tool" && h("span", { class: "muted small" }, ` ${call.kind}`)),
    h("td", null, h("span", { class: `badge ${KINDS[call.outcome] ?? ""}` }, call.code ?? call.outcome.replace("_", " "))),
    h("td", { class: "number" }, millis(call.execution_ms)),
    h("td", null, h("button", { type: "button", class: "quiet", "aria-label": `Detail of call ${call.seq}`, onclick: () => detail(call) }, "Detail")));
}

function detail(call) {
  const pairs = [
    ["Call", call.id], ["Number", call.seq], ["When", call.at], ["Caller", `${call.authority}:${call.subject}`], ["Roles", (call.roles ?? []).join(", ") || "none"],
    ["Door", call.door], ["Address", call.address], ["Client", call.client], ["Trace", call.trace], ["Kind", call.kind], ["Name", call.name],
    ["Outcome", call.outcome], ["Code", call.code], ["Rule", call.reason], ["Took", millis(call.execution_ms)], ["Arguments", bytes(call.argument_bytes)],
    ["Result", call.output_bytes === undefined ? null : bytes(call.output_bytes)], ["Replica", call.replica], ["Hash", call.hash],
  ].filter(([, value]) => value !== null && value !== undefined);
  const box = dialog(`Call of ${call.name}`, h("dl", { class: "pairs" }, pairs.map(([name, value]) => [h("dt", null, name), h("dd", { class: ["Call", "Hash", "Trace"].includes(name) ? "mono" : null }, value)])),
    call.arguments !== undefined && h("pre", { tabindex: 0, "aria-label": "Arguments as they were kept" }, JSON.stringify(call.arguments, null, 2)),
    h("p"), h("button", { type: "button", class: "primary", onclick: () => box.close() }, "Close"));
}

/** RFC 4180. What a spreadsheet would take for a formula is marked as text. */
function csv(calls) {
  const columns = ["seq", "id", "at", "authority", "subject", "roles", "door", "address", "client", "kind", "name", "outcome", "code", "reason", "execution_ms", "argument_bytes", "output_bytes", "trace", "arguments", "hash", "replica"];
  const cell = (value) => {
    let text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    if (/^[=+\-@\t\r]/.test(text) && typeof value !== "number") text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns.join(","), ...calls.map((call) => columns.map((name) => cell(call[name])).join(","))].map((line) => `${line}\r\n`).join("");
}
