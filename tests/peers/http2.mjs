// A server behind TLS for tests, of the legacy era, that speaks HTTP/2 and, to whoever cannot, HTTP/1.1. Certificate and key are files.
// It says on standard error where it listens. Its tools: version, which HTTP was spoken; slow, which of its connections that came by, after half a second;
// busy and leaving, whose first request is turned away before it is looked at (REFUSED_STREAM; GOAWAY), how often they were asked.
// /moved redirects to /mcp as the same request, /see as another; /away redirects to another origin.
import { constants, createSecureServer } from "node:http2";
import { readFileSync } from "node:fs";

const [certificate, key] = process.argv.slice(2).map((file) => readFileSync(file));
const inputSchema = { type: "object" };
const asked = { busy: 0, leaving: 0 };
const turnAway = {
  busy: (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM),
  leaving: (stream) => stream.session.goaway(constants.NGHTTP2_NO_ERROR, stream.id - 2),
};
const says = {
  version: (request) => request.httpVersion,
  slow: (request) => `${request.socket.remotePort}`,
  busy: () => `${asked.busy}`,
  leaving: () => `${asked.leaving}`,
};
const answers = {
  initialize: () => ({ protocolVersion: "2025-06-18", capabilities: { tools: {} }, serverInfo: { name: "http2", version: "1" } }),
  "tools/list": () => ({ tools: Object.keys(says).map((name) => ({ name, inputSchema })) }),
  "tools/call": (request, { name }) => ({ content: [{ type: "text", text: says[name](request) }] }),
};
const redirects = { "/moved": [307, "/mcp"], "/see": [303, "/mcp"], "/away": [307, "https://example.invalid/mcp"] };

const server = createSecureServer({ cert: certificate, key, allowHTTP1: true }, async (request, response) => {
  const redirect = redirects[request.url];
  if (redirect) return response.writeHead(redirect[0], { location: redirect[1] }).end();
  if (request.method !== "POST") return response.writeHead(405).end();
  let body = "";
  for await (const chunk of request) body += chunk;
  const { id, method, params } = JSON.parse(body);
  if (id === undefined) return response.writeHead(202).end();
  if (params?.name in turnAway && asked[params.name]++ === 0) return turnAway[params.name](request.stream);
  if (params?.name === "slow") await new Promise((done) => setTimeout(done, 500));
  const result = answers[method]?.(request, params);
  const answer = result ? { result } : { error: { code: -32601, message: `unknown method ${method}` } };
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id, ...answer }));
});
server.listen(0, "localhost", () => console.error(`listening on ${server.address().port}`));
