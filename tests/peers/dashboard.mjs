// Uses the dashboard as a person does, in a real browser.
// Arguments: the URL of the server, what to do (the name of a function below), and a folder for pictures and what is saved.
// Keys of callers, and the config, are in the environment: ADMIN, USER, CONFIG.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [base, task, folder] = process.argv.slice(2);
const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const programs = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = programs.find((program) => fs.existsSync(program));
assert(executablePath, `none of ${programs.join(", ")} is there: install chromium`);

// Alone on a machine, nothing goes out.
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args });

/** A page in which nothing may go wrong unseen: errors of scripts, of the policy of contents, and requests to anybody else. */
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, acceptDownloads: true, permissions: ["clipboard-read", "clipboard-write"], ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(30000);
  page.faults = [];
  // A refusal that a task asks for is logged by the browser, too.
  page.on("console", (message) => { if (["error", "warning"].includes(message.type()) && !/status of (401|4\d\d|503)/.test(message.text())) page.faults.push(message.text()); });
  page.on("pageerror", (error) => page.faults.push(error.message));
  page.on("request", (request) => { if (!request.url().startsWith(base) && !/^(data|blob):/.test(request.url())) page.faults.push(`asked ${request.url()}`); });
  return page;
}

async function go(page, hash, title) {
  await page.goto(`${base}/#/${hash}`);
  await page.getByRole("heading", { level: 1, name: title }).waitFor();
}

async function signIn(page, key) {
  await page.goto(`${base}/`);
  const button = page.getByRole("button", { name: "Sign in" });
  await button.waitFor();
  if (!(await page.getByLabel("Token or API key").isVisible())) await button.click();
  await page.getByLabel("Token or API key").fill(key);
  await page.locator("form").getByRole("button", { name: "Sign in" }).click();
}

/** What axe finds that keeps people out. */
async function barriers(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const serious = violations.filter((one) => ["serious", "critical"].includes(one.impact));
  return serious.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" | ")}`);
}

const tasks = {
  /** Every page, in light and dark, wide and narrow: nothing goes wrong, nobody is kept out, nothing sticks out. */
  async everyPage() {
    const pages = [["now", "Now"], ["servers", "Servers"], ["tools", "Tools"], ["tools/calculator", "calculator"], ["playground/calculator", "Playground"], ["calls", "Calls"], ["access", "Access"], ["config", "Config"]];
    for (const colorScheme of ["light", "dark"]) {
      for (const viewport of [{ width: 1280, height: 860 }, { width: 390, height: 844 }]) {
        const page = await open({ colorScheme, viewport });
        await signIn(page, process.env.ADMIN);
        await page.getByRole("navigation").getByRole("link", { name: "Config" }).waitFor();
        for (const [hash, title] of pages) {
          await go(page, hash, title);
          assert.deepEqual(await barriers(page), [], `${hash}, ${colorScheme}`);
          const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          assert.equal(over, 0, `${hash} sticks out by ${over} pixels at ${viewport.width}`);
          await page.screenshot({ path: path.join(folder, `${hash.replaceAll("/", "-")}-${colorScheme}-${viewport.width}.png`) });
        }
        assert.deepEqual(page.faults, []);
        await page.context().close();
      }
    }
  },

  /** What happens is seen while it happens. */
  async now() {
    const page = await open();
    await go(page, "now", "Now");
    const call = () => fetch(`${base}/api/v1/tools/calculator`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ expression: "6*7" }) });
    for (let calls = 0; calls < 5; calls += 1) assert.equal((await call()).status, 200);
    const tools = page.getByRole("region", { name: "Tools" }).getByRole("row", { name: /^calculator/ });
    await tools.getByRole("cell", { name: "5", exact: true }).waitFor();
    await page.getByRole("region", { name: "Callers" }).getByRole("row", { name: /^anonymous/ }).waitFor();
    // The chart says in words what it shows, and shows more of it under the pointer.
    const chart = page.getByRole("img", { name: /^Calls a second: calls/ });
    await page.waitForFunction(() => /L.*L/.test(document.querySelector(".chart .line-a").getAttribute("d")));
    await chart.hover();
    assert.match(await page.locator(".legend .when").first().textContent(), /\d/);
    assert.deepEqual(page.faults, []);
  },

  /** A server is started anew, taken out of service, and put back. */
  async servers() {
    const page = await open();
    await go(page, "servers", "Servers");
    const server = page.getByRole("region", { name: "s", exact: true });
    await server.getByText("ready", { exact: true }).waitFor();
    assert.match(await server.locator("dl").textContent(), /stdio.*2025-06-18 \(legacy\).*once.*MiB/s);
    await server.getByRole("button", { name: "Restart" }).click();
    await server.getByText("2 times").waitFor();
    await server.getByText("ready", { exact: true }).waitFor();
    // What it says on standard error can be read.
    const slow = fetch(`${base}/api/v1/tools/s__slow`, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
    const words = server.locator("summary");
    await words.waitFor();
    await words.click();
    await server.getByText("slow has begun").waitFor();
    await slow;
    await words.click();
    await server.getByRole("button", { name: "Quarantine" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Take it out of service" }).click();
    await server.getByText("out of service", { exact: true }).waitFor();
    const refused = await fetch(`${base}/api/v1/tools/s__echo`, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
    assert.equal(refused.status, 503);
    assert.match((await refused.json()).error, /taken out of service by hand/);
    await server.getByRole("button", { name: "Restart" }).click();
    await server.getByText("ready", { exact: true }).waitFor();
    const broken = page.getByRole("region", { name: "broken" });
    await broken.getByText(/no database here/).first().waitFor();
    assert.deepEqual(page.faults, []);
  },

  /** Tools are found by word and by server, and each is told of. */
  async tools() {
    const page = await open();
    await go(page, "tools", "Tools");
    const table = page.getByRole("region", { name: "Tools" });
    await table.getByRole("link", { name: "s__echo", exact: true }).waitFor();
    await page.getByLabel("Search").fill("arithmetic");
    assert.deepEqual(await table.getByRole("link").allTextContents(), ["calculator"]);
    await page.getByLabel("Search").fill("");
    await page.getByLabel("Server").selectOption("s");
    assert((await table.getByRole("link").allTextContents()).every((name) => name.startsWith("s__")));
    await page.getByLabel("Server").selectOption("");
    await page.getByLabel("Category").selectOption("external_integration");
    assert((await table.getByRole("link").allTextContents()).includes("api_client"));
    await page.getByLabel("Category").selectOption("");
    await table.getByRole("link", { name: "calculator" }).click();
    await page.getByRole("heading", { level: 1, name: "calculator" }).waitFor();
    const schema = page.getByRole("region", { name: "Arguments" });
    assert.match(await schema.getByRole("row", { name: /^expression/ }).textContent(), /string/);
    await page.getByText("changes nothing").waitFor();
    await page.getByRole("link", { name: "Try it" }).click();
    await page.getByRole("heading", { level: 1, name: "Playground" }).waitFor();
    assert.deepEqual(page.faults, []);
  },

  /** A tool is called with a form and with JSON; what comes is shown, and the lines for a terminal do the same. */
  async playground() {
    const page = await open();
    await go(page, "playground/calculator", "Playground");
    const run = page.getByRole("button", { name: "Run" });
    await run.click();
    await page.getByRole("alert").getByText("expression is needed").waitFor();
    // A quote, so that the lines for a terminal have something to get wrong.
    await page.getByLabel(/^expression/).fill("x' = 40; x' + 2");
    await run.click();
    await page.getByText(/^(answered|failed)$/).waitFor();
    await page.getByLabel(/^expression/).fill("40 + 2");
    await run.click();
    await page.getByText("answered", { exact: true }).waitFor();
    await page.getByRole("tab", { name: "JSON" }).click();
    const result = JSON.parse(await page.getByRole("tabpanel", { name: "JSON" }).textContent());
    assert.equal(result.structuredContent.result, 42);
    await page.getByRole("button", { name: "Copy curl" }).click();
    const curl = await page.evaluate(() => navigator.clipboard.readText());
    assert.equal(JSON.parse(execFileSync("sh", ["-c", curl])).result.result, 42);
    await page.getByRole("button", { name: "Copy toolcrib call" }).click();
    const line = await page.evaluate(() => navigator.clipboard.readText());
    const env = { ...process.env, PATH: `${process.env.TOOLCRIB_BIN}:${process.env.PATH}` };
    assert.match(execFileSync("sh", ["-c", line], { env }).toString(), /42/);
    // As JSON, and back.
    await page.getByRole("button", { name: "As JSON" }).click();
    const raw = page.getByLabel("Arguments as JSON");
    assert.deepEqual(JSON.parse(await raw.inputValue()).expression, "40 + 2");
    await raw.fill('{"expression": "1/0"');
    await run.click();
    await page.getByRole("alert").waitFor();
    await raw.fill('{"expression": "2^10"}');
    await run.click();
    await page.getByText("answered", { exact: true }).waitFor();
    await page.getByRole("button", { name: "As a form" }).click();
    assert.equal(await page.getByLabel(/^expression/).inputValue(), "2^10");
    // A table, from rows of a database.
    await go(page, "playground/database_query", "Playground");
    await page.getByLabel(/^query/).fill("SELECT 1 AS one, 'two' AS two");
    await run.click();
    await page.getByRole("columnheader", { name: "two" }).waitFor();
    assert.deepEqual(page.faults, []);
  },

  /** Progress is seen, a call is cancelled at its server, and a question in mid-call is answered. */
  async inMidCall() {
    const page = await open();
    await go(page, "playground/s__steps", "Playground");
    const run = page.getByRole("button", { name: "Run" });
    await run.click();
    await page.getByRole("progressbar").waitFor();
    await page.getByText(/ of 4/).waitFor();
    await page.getByText("answered", { exact: true }).waitFor();
    await go(page, "playground/s__hang", "Playground");
    await run.click();
    await page.getByRole("progressbar").waitFor();
    const begun = async () => (await (await fetch(`${base}/api/v1/servers`)).json()).servers.find((server) => server.name === "s").lastWords.includes("hang has begun");
    while (!(await begun())) await new Promise((resolve) => setTimeout(resolve, 20));
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByText(/^Cancelled/).waitFor();
    const last = async () => (await (await fetch(`${base}/api/v1/calls?tool=s__hang`)).json()).calls[0]?.outcome;
    while ((await last()) === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(await last(), "abandoned");
    await go(page, "playground/asks__ask", "Playground");
    await run.click();
    const asked = page.getByRole("dialog");
    await asked.getByLabel(/^name/).fill("Ann");
    assert.deepEqual(await barriers(page), []);
    await asked.getByRole("button", { name: "Answer" }).click();
    await page.getByText(/^Ann, asked about/).waitFor();
    assert.deepEqual(page.faults, []);
  },

  /** Records are found, read, saved, and their chain is checked. */
  async calls() {
    for (const expression of ["1+1", "2+2", "=cmd"]) {
      await fetch(`${base}/api/v1/tools/calculator`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ expression }) });
    }
    await fetch(`${base}/api/v1/tools/no_such_tool`, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
    const page = await open();
    await go(page, "calls", "Calls");
    const rows = page.getByRole("region", { name: "Calls" }).locator("tbody tr");
    await rows.nth(3).waitFor();
    await page.getByLabel("Name").fill("calc*");
    await page.getByRole("button", { name: "Find" }).click();
    await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 3);
    assert.match(page.url(), /tool=calc/);
    await page.getByRole("button", { name: /^Detail/ }).first().click();
    const detail = page.getByRole("dialog");
    assert.match(await detail.textContent(), /anonymous.*calculator.*answered/s);
    assert.deepEqual(await barriers(page), []);
    await detail.getByRole("button", { name: "Close" }).click();
    const saved = async (name) => {
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
      const file = path.join(folder, download.suggestedFilename());
      await download.saveAs(file);
      return fs.readFileSync(file, "utf8");
    };
    const lines = (await saved("Export JSON lines")).trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(lines.map((call) => call.name), ["calculator", "calculator", "calculator"]);
    assert.match(await saved("Export CSV"), /^seq,id,at,authority.*\r\n.*calculator/s);
    await page.getByLabel("Since").fill("yesterday");
    await page.getByRole("button", { name: "Find" }).click();
    await page.getByRole("alert").getByText(/is no moment/).waitFor();
    await page.getByRole("button", { name: "Check the chain" }).click();
    await page.getByText(/4 records are what was written/).waitFor();
    assert.deepEqual(page.faults, []);
  },

  /** Whoever signs in sees what the rules give, and a word where they give nothing. */
  async roles() {
    const page = await open();
    await signIn(page, "tck_nobody_0000000000000000000000000000000000000000000000000000000000000000");
    await page.getByRole("alert").getByText(/Invalid authentication token/).waitFor();
    assert.deepEqual(await barriers(page), []);
    await page.getByLabel("Token or API key").fill(process.env.USER_KEY);
    await page.locator("form").getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { level: 1, name: "Tools" }).waitFor();
    assert.deepEqual(await page.getByRole("navigation").getByRole("link").allTextContents(), ["Tools", "Playground"]);
    // Under a condition is allowed, too.
    assert.deepEqual(await page.getByRole("region", { name: "Tools" }).getByRole("link").allTextContents(), ["calculator", "database_query"]);
    await page.goto(`${base}/#/calls`);
    await page.getByText(/^Calls is not for you/).waitFor();
    // The credential is in no cookie, and gone with the sign-out.
    assert.deepEqual(await page.context().cookies(), []);
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Token or API key").fill(process.env.ADMIN);
    await page.locator("form").getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("navigation").getByRole("link", { name: "Access" }).click();
    await page.getByRole("button", { name: "calculator for user: allowed", exact: true }).click();
    await page.getByRole("dialog").getByText(/mcp-config\.yaml:\d+/).waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
    await page.getByRole("button", { name: "api_client for user: not allowed", exact: true }).waitFor();
    await page.getByRole("button", { name: /^database_query for user: .*condition/ }).click();
    await page.getByRole("dialog").getByText(/startsWith/).waitFor();
    assert.deepEqual(page.faults, []);
  },

  /** The effective config, and what is wrong with the one on disk. */
  async config() {
    const page = await open();
    await go(page, "config", "Config");
    await page.getByText("The config on disk has no faults.").waitFor();
    assert(!(await page.content()).includes("secret-in-a-header"));
    await page.getByLabel("Log", { exact: true }).getByText(/connected/).waitFor();
    await page.getByRole("textbox", { name: "What is logged" }).fill("info,toolcrib_upstream=nonsense");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByRole("alert").getByText(/is not understood/).waitFor();
    await page.getByRole("textbox", { name: "What is logged" }).fill("info,toolcrib_upstream=trace");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByLabel("Log", { exact: true }).getByText(/what is logged is now something else filter="info,toolcrib_upstream=trace"/).waitFor();
    fs.writeFileSync(process.env.CONFIG, "mcpServers:\n  s: {comand: python3}\n");
    await page.reload();
    await page.getByRole("alert").getByText(/comand/).waitFor();
    assert.deepEqual(page.faults, []);
  },

  /** All of it without a mouse. */
  async keyboard() {
    const page = await open();
    await go(page, "now", "Now");
    await page.locator("body").press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the page");
    await page.getByRole("navigation").getByRole("link", { name: "Servers" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Servers" }).waitFor();
    await page.waitForFunction(() => document.activeElement.id === "view");
    await page.getByRole("button", { name: "Quarantine s" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    const dark = () => page.evaluate(() => document.documentElement.dataset.theme);
    await page.getByRole("button", { name: /light and dark/ }).focus();
    await page.keyboard.press("Enter");
    assert.equal(await dark(), "dark");
    await page.reload();
    await page.getByRole("heading", { level: 1, name: "Servers" }).waitFor();
    assert.equal(await dark(), "dark", "it is remembered");
    assert.deepEqual(page.faults, []);
  },
};

try {
  await tasks[task]();
  console.log("done");
} catch (error) {
  for (const context of browser.contexts()) {
    for (const page of context.pages()) console.error(`--- the page\n${await page.locator("body").innerText().catch(() => "")}\n--- faults: ${page.faults}`);
  }
  throw error;
} finally {
  await browser.close();
}
