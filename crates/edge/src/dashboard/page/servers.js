// The servers behind this one: how they are, what they said last, and what can be done about it.

import { ask } from "./api.js";
import { ago, confirmed, count, h, head, notice, replace, say, span } from "./dom.js";

const EVERY = 3000;
const KINDS = { ready: "good", asleep: "", connecting: "warn", "login needed": "warn", down: "bad", quarantined: "bad", held: "bad" };
const WORDS = { held: "out of service" };

export async function show(view, { me, signal }) {
  const list = h("div");
  const trouble = h("div");
  const refresh = async () => {
    const { servers } = await ask("/api/v1/servers", { signal });
    draw(list, servers, me, order);
    replace(trouble);
  };
  const order = async (server, what) => {
    try {
      await ask(`/api/v1/servers/${encodeURIComponent(server)}/${what}`, { method: "POST" });
      say(what === "restart" ? `${server} is being restarted` : `${server} is out of service`);
      await refresh();
    } catch (error) {
      replace(trouble, notice("bad", error.message));
    }
  };
  await refresh();
  replace(view, head("Servers", "The MCP servers behind this one."), trouble, list);
  const turn = setInterval(() => {
    // What somebody is reading stays as it is.
    if (document.hidden || list.querySelector("details[open]") || document.querySelector("dialog[open]")) return;
    refresh().catch((error) => { if (!signal.aborted) replace(trouble, notice("bad", error.message)); });
  }, EVERY);
  signal.addEventListener("abort", () => clearInterval(turn));
}

function draw(list, servers, me, order) {
  if (servers.length === 0) {
    return replace(list, h("section", { class: "panel" }, h("p", null, "There are none. ", h("code", null, "mcpServers"), " in the config names them.")));
  }
  const held = document.activeElement?.dataset?.order;
  replace(list, servers.map((server) => card(server, me, order)));
  if (held) list.querySelector(`[data-order="${CSS.escape(held)}"]`)?.focus();
}

function card(server, me, order) {
  const restarts = Math.max(0, server.attempts - 1);
  const pairs = [
    ["Transport", server.transport],
    ["Speaks", server.state === "ready" ? `${server.detail} (${server.era})` : null],
    ["Since", ago(server.since)],
    ["Tools", count(server.tools)],
    ["Started", restarts ? `${count(restarts + 1)} times` : "once"],
    ["Process", server.process && `${server.process}, ${count(server.processes)} in its group, ${server.memoryMb} MiB`],
    ["Failures in a row", server.failures || null],
    ["Next attempt", server.nextAttempt && `in ${span(Math.max(0, Math.round((new Date(server.nextAttempt) - Date.now()) / 1000)))}`],
  ].filter(([, value]) => value !== null && value !== undefined && value !== 0);
  const why = server.state !== "ready" && (server.detail || server.lastFailure);
  const hold = async () => {
    if (await confirmed(`Take ${server.name} out of service?`, "It is ended, and its tools are refused until it is restarted.", "Take it out of service")) order(server.name, "quarantine");
  };
  const actions = me.may.control && h("div", { class: "actions" },
    h("button", { type: "button", "data-order": `restart ${server.name}`, "aria-label": `Restart ${server.name}`, onclick: () => order(server.name, "restart") }, "Restart"),
    server.state !== "held" && h("button", { type: "button", class: "danger", "data-order": `quarantine ${server.name}`, "aria-label": `Quarantine ${server.name}`, onclick: hold }, "Quarantine"));
  return h("section", { class: "panel server", "aria-label": server.name },
    h("header", null, h("h2", null, server.name, h("span", { class: `badge ${KINDS[server.state] ?? ""}` }, WORDS[server.state] ?? server.state)), actions),
    why && h("p", { class: KINDS[server.state] === "bad" ? "notice bad" : "muted" }, why),
    h("dl", { class: "pairs" }, pairs.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)))),
    server.lastWords?.length > 0 && h("details", null, h("summary", null, `Standard error: ${server.lastWords.length === 1 ? "the last line" : `the last ${server.lastWords.length} lines`}`), h("pre", { tabindex: 0, "aria-label": `Standard error of ${server.name}` }, server.lastWords.join("\n"))));
}
