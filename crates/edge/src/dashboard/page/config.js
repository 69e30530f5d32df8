// What the config comes to, what is wrong with it as it is now, and what was logged lately.

import { ask } from "./api.js";
import { h, head, notice, replace, say } from "./dom.js";

const EVERY = 3000;

export async function show(view, { me, signal }) {
  const config = await ask("/api/v1/config", { signal });
  const log = h("pre", { tabindex: 0, "aria-label": "Log" });
  const trouble = h("div");
  const filter = h("input", { "aria-label": "What is logged", placeholder: "info,toolcrib_upstream=debug" });
  const apply = async (event) => {
    event.preventDefault();
    try {
      await ask("/api/v1/log/filter", { method: "POST", body: filter.value });
      replace(trouble);
      say(`Now logging ${filter.value}`);
    } catch (error) {
      replace(trouble, notice("bad", error.message));
    }
  };
  const settings = config.settings ?? {};
  const faults = config.faults ?? [];
  const main = [
    ["Version", config.version], ["Files", (settings.files ?? []).join(", ") || "none"], ["Timeout", config.timeout && `${config.timeout} s`],
    ["Calls at once in each source", config.max_tools], ["Sections", (settings.sections ?? []).join(", ") || "none"],
  ].filter(([, value]) => value !== undefined && value !== null);
  replace(view,
    head("Config", "As it is in effect, without secrets."),
    faults.length > 0 && h("div", { class: "notice bad", role: "alert" }, h("p", null, "The config as it lies on disk has faults, so what was read before stays in effect:"), h("pre", null, faults.join("\n"))),
    settings.needsRestart?.length > 0 && notice("", `What the config says now under ${settings.needsRestart.join(", ")} takes a restart.`),
    faults.length === 0 && settings.files?.length > 0 && notice("good", "The config on disk has no faults."),
    h("section", { class: "panel" }, h("dl", { class: "pairs" }, main.map(([name, value]) => [h("dt", null, name), h("dd", null, String(value))]))),
    h("section", { class: "panel" }, h("h2", null, "In effect"), h("div", { class: "tree" }, tree(settings))),
    me.may.log && h("section", { class: "panel" }, h("h2", null, "Log"),
      me.may.log_control && h("form", { class: "fields", onsubmit: apply }, h("label", null, "What is logged", filter), h("button", null, "Apply")), trouble, log));
  if (!me.may.log) return;
  const refresh = async () => {
    const { lines, filter: current } = await ask("/api/v1/log", { signal });
    if (document.activeElement !== filter) filter.value = current;
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
    log.textContent = lines.slice(-200).join("\n") || "Nothing yet.";
    if (atEnd) log.scrollTop = log.scrollHeight;
  };
  await refresh();
  const turn = setInterval(() => { if (!document.hidden) refresh().catch(() => {}); }, EVERY);
  signal.addEventListener("abort", () => clearInterval(turn));
}

function tree(value) {
  if (value === null) return h("span", { class: "muted" }, "not set");
  if (Array.isArray(value)) {
    if (value.length === 0) return h("span", { class: "muted" }, "none");
    if (value.every((one) => typeof one !== "object")) return h("span", null, value.join(", "));
    return h("ul", null, value.map((one) => h("li", null, tree(one))));
  }
  if (typeof value === "object") {
    return h("ul", null, Object.entries(value).map(([key, inner]) => h("li", null, h("span", { class: "key" }, key), ": ", tree(inner))));
  }
  return h("span", null, String(value));
}
