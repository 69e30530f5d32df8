// A client of MCP 2026-07-28, as far as calls of tools go: with progress, cancelling, and questions in mid-call.

import { Refused, identity } from "./api.js";

const REVISION = "2026-07-28";
const MAX_ROUNDS = 20;

let requests = 0;

/**
 * Calls a tool and gives the result as the server wrote it.
 * `hears.progress({progress, total, message})` and `hears.log(params)` are told meanwhile; `hears.question(method, params)` is asked, and gives
 * what the server is answered. `signal` breaks the call off.
 */
export async function callTool(tool, args, hears, signal) {
  let round = {};
  for (let rounds = 0; rounds < MAX_ROUNDS; rounds += 1) {
    const result = await request(tool, args, round, hears, signal);
    if (result.resultType !== "input_required") return result;
    const inputResponses = {};
    for (const [name, asked] of Object.entries(result.inputRequests ?? {})) {
      inputResponses[name] = await hears.question(asked.method, asked.params ?? {});
    }
    round = { inputResponses, requestState: result.requestState };
  }
  throw new Error("the tool asks again and again");
}

async function request(tool, args, round, hears, signal) {
  const id = requests += 1;
  const body = {
    jsonrpc: "2.0", id, method: "tools/call",
    params: {
      name: tool.name, arguments: args, ...round,
      _meta: {
        "io.modelcontextprotocol/protocolVersion": REVISION,
        "io.modelcontextprotocol/clientInfo": { name: "toolcrib-dashboard", version: "1" },
        "io.modelcontextprotocol/clientCapabilities": { elicitation: { form: {}, url: {} } },
        "io.modelcontextprotocol/logLevel": "info",
        progressToken: id,
      },
    },
  };
  const headers = {
    ...identity(), "content-type": "application/json", accept: "application/json, text/event-stream",
    "mcp-protocol-version": REVISION, "mcp-method": "tools/call", "mcp-name": encoded(tool.name), ...mirrored(tool.inputSchema, args),
  };
  const response = await fetch("/mcp", { method: "POST", headers, body: JSON.stringify(body), signal, credentials: "omit" });
  if ((response.headers.get("content-type") ?? "").startsWith("text/event-stream")) return streamed(response, id, hears);
  const text = await response.text();
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    throw new Refused(response.status, text.trim() || response.statusText);
  }
  return resultOf(message, response.status);
}

function resultOf(message, status) {
  if (message.result) return message.result;
  const error = typeof message.error === "string" ? message.error : message.error?.message;
  throw new Refused(status, error ?? "the answer is neither a result nor an error");
}

/** Reads events until the one that answers. */
async function streamed(response, id, hears) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Refused(0, "the connection ended before the answer");
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const event = text.slice(0, end);
      text = text.slice(end + 2);
      const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart()).join("\n");
      if (data === "") continue;
      const message = JSON.parse(data);
      if (message.id === id) return resultOf(message, response.status);
      if (message.method === "notifications/progress") hears.progress(message.params);
      if (message.method === "notifications/message") hears.log(message.params);
    }
  }
}

/** The headers that mirror arguments, where the schema wants that (`x-mcp-header`). */
function mirrored(schema, args, found = {}) {
  for (const [name, property] of Object.entries(schema?.properties ?? {})) {
    const value = args?.[name];
    if (value === undefined || value === null) continue;
    if (property?.["x-mcp-header"]) found[`mcp-param-${property["x-mcp-header"]}`] = encoded(String(value));
    else if (property?.properties) mirrored(property, value, found);
  }
  return found;
}

function encoded(text) {
  if (/^[\x20-\x7e]*$/.test(text) && text.trim() === text && !text.startsWith("=?base64?")) return text;
  return `=?base64?${btoa(String.fromCharCode(...new TextEncoder().encode(text)))}?=`;
}
