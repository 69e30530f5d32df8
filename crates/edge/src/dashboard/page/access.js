// Who may have what: roles across, what there is down, and behind each cell the rule that decides.

import { ask } from "./api.js";
import { count, dialog, h, head, notice, replace } from "./dom.js";

const SHOWN = 300;

export async function show(view, { signal }) {
  const { is_ruled: isRuled, roles, rows } = await ask("/api/v1/access", { signal });
  if (!isRuled) {
    return replace(view, head("Access"), notice("", "There are no rules of access: whoever reaches this server may have everything. Rules stand under ", h("code", null, "access.rules"), " in the config."));
  }
  const word = h("input", { type: "search", placeholder: "Name" });
  const kind = h("select", null, h("option", { value: "" }, "all"), [...new Set(rows.map((row) => row.kind))].map((name) => h("option", { value: name }, `${name}s`)));
  const body = h("tbody");
  const found = h("p", { class: "muted small", role: "status" });
  const draw = () => {
    const wanted = rows.filter((row) => row.name.toLowerCase().includes(word.value.toLowerCase()) && (!kind.value || row.kind === kind.value));
    found.textContent = wanted.length > SHOWN ? `The first ${count(SHOWN)} of ${count(wanted.length)}` : `${count(wanted.length)} of ${count(rows.length)}`;
    replace(body, wanted.slice(0, SHOWN).map((row) => h("tr", null,
      h("th", { scope: "row", class: "name" }, row.name, row.kind !== "tool" && h("span", { class: "muted small" }, ` ${row.kind}`)),
      row.cells.map((cell, index) => drawCell(row, roles[index], cell)))));
  };
  word.addEventListener("input", draw);
  kind.addEventListener("input", draw);
  draw();
  replace(view,
    head("Access", "What each role may have by itself; a caller with several roles has what any of them gives and none denies."),
    h("div", { class: "fields", role: "search" }, h("label", null, "Search", word), h("label", null, "Kind", kind)),
    h("p", { class: "small muted" }, "✓ allowed · ? allowed or denied by a condition · – not allowed. Choose a cell to see the rule."),
    found,
    h("section", { class: "panel" }, h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Access by role" }, h("table", { class: "matrix" },
      h("thead", null, h("tr", null, h("td"), roles.map((role) => h("th", { scope: "col", class: "role" }, role === "*" ? "everybody" : role)))), body))));
}

function drawCell(row, role, cell) {
  const who = role === "*" ? "everybody" : role;
  const [kind, sign, word] = cell.when ? ["maybe", "?", cell.allowed ? "allowed under a condition" : "depends on a condition"] : cell.allowed ? ["yes", "✓", "allowed"] : ["no", "–", "not allowed"];
  const tell = () => {
    const box = dialog(`${row.name} for ${who}`,
      h("p", null, cell.rule ? `${word[0].toUpperCase()}${word.slice(1)}, by ${cell.rule}` : "No rule allows it."),
      cell.when && h("pre", { tabindex: 0, "aria-label": "Condition" }, cell.when),
      h("p", { class: "muted small" }, "For one call with its arguments: ", h("code", null, `toolcrib explain ${row.kind === "tool" ? row.name : "…"}${role === "*" ? "" : ` --as ${role}`}`)),
      h("button", { type: "button", class: "primary", onclick: () => box.close() }, "Close"));
  };
  return h("td", { class: `cell ${kind}` }, h("button", { type: "button", "aria-label": `${row.name} for ${who}: ${word}`, title: cell.rule ?? "no rule", onclick: tell }, sign));
}
