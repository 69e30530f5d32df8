// The frame of the dashboard: who is signed in, which pages there are for them, and which one is shown.

import { Refused, ask, credential, signIn, signOut } from "./api.js";
import { h, notice, replace, say } from "./dom.js";
import * as access from "./access.js";
import * as calls from "./calls.js";
import * as config from "./config.js";
import * as now from "./now.js";
import * as playground from "./playground.js";
import * as servers from "./servers.js";
import * as tools from "./tools.js";

// Each page: its name, the view whose right it takes (none: everybody has it), and what shows it.
const PAGES = [
  ["now", "Now", "now", now],
  ["servers", "Servers", "servers", servers],
  ["tools", "Tools", null, tools],
  ["playground", "Playground", null, playground],
  ["calls", "Calls", "calls", calls],
  ["access", "Access", "access", access],
  ["config", "Config", "config", config],
];

const view = document.getElementById("view");
let me = null;
let leave = null;

/** Where we are: the page, and what follows it as it stands there. */
function place() {
  const [page, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  return [page, rest.join("/")];
}

async function start() {
  try {
    me = await ask("/api/v1/me");
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return askWho(credential() ? error.message : null);
    return replace(view, notice("bad", error.message), h("button", { type: "button", onclick: start }, "Try again"));
  }
  drawWho();
  show();
}

function drawWho() {
  const out = h("button", { type: "button", class: "quiet", onclick: () => { signOut(); start(); } }, "Sign out");
  const into = h("button", { type: "button", class: "quiet", onclick: () => askWho(null) }, "Sign in");
  const name = me.is_anonymous ? null : h("span", { class: "small", title: me.roles.join(", ") || "no roles" }, me.subject);
  replace(document.getElementById("who"), name, me.authenticates && (credential() ? out : into));
}

function drawPages(current) {
  const mine = PAGES.filter(([, , right]) => right === null || me.may[right]);
  replace(document.getElementById("pages"), mine.map(([page, title]) =>
    h("li", null, h("a", { href: `#/${page}`, "aria-current": page === current ? "page" : null }, title))));
}

/** Shows the page that the address names; the first that there is, where it names none. */
async function show() {
  if (!me) return;
  const [name, rest] = place();
  const page = PAGES.find(([known]) => known === name) ?? PAGES.find(([, , right]) => right === null || me.may[right]);
  leave?.();
  leave = null;
  drawPages(page[0]);
  document.title = `${page[1]} – Toolcrib`;
  if (page[2] !== null && !me.may[page[2]]) {
    return replace(view, notice("", `${page[1]} is not for you. A rule of access gives it: see "Dashboard" in the documentation.`));
  }
  const controller = new AbortController();
  leave = () => controller.abort();
  replace(view, h("p", { class: "muted" }, "Loading…"));
  try {
    await page[3].show(view, { me, rest, signal: controller.signal });
  } catch (error) {
    if (controller.signal.aborted) return;
    if (error instanceof Refused && error.status === 401) return askWho(error.message);
    replace(view, notice("bad", error.message), h("button", { type: "button", onclick: show }, "Try again"));
  }
}

function askWho(why) {
  leave?.();
  me = null;
  signOut();
  replace(document.getElementById("who"));
  replace(document.getElementById("pages"));
  document.title = "Sign in – Toolcrib";
  const input = h("input", { id: "credential", type: "password", autocomplete: "current-password", spellcheck: "false" });
  const enter = (event) => {
    event.preventDefault();
    if (input.value.trim() === "") return input.focus();
    signIn(input.value.trim());
    start();
  };
  replace(view, h("form", { class: "panel signin", onsubmit: enter },
    h("h1", null, "Sign in"),
    h("p", { class: "muted" }, "With the token or API key with which you call tools. It stays in this tab."),
    why && notice("bad", why),
    h("div", { class: "field" }, h("label", { for: "credential" }, "Token or API key"), input),
    h("button", { class: "primary" }, "Sign in"),
    h("p", { class: "hint muted small" }, "An API key is made by ", h("code", null, "toolcrib key create --sub NAME --role ROLE"), ".")));
  input.focus();
}

function theme() {
  const root = document.documentElement;
  const kept = localStorage.getItem("toolcrib.theme");
  if (kept) root.dataset.theme = kept;
  document.getElementById("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("toolcrib.theme", root.dataset.theme);
    say(`${root.dataset.theme} colours`);
  });
}

theme();
window.addEventListener("hashchange", async () => {
  await show();
  view.focus({ preventScroll: true });
  scrollTo(0, 0);
});
start();
