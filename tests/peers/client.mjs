// The official TypeScript SDK as a client, 2.x (either era) or 1.x: lists and calls through Toolcrib, over HTTP or as a child.
// Asked for a name, it says Ada.
const [target, calls] = process.argv.slice(2, 4).map((text) => JSON.parse(text));

async function connect() {
  const info = { name: "toolcrib-test", version: "1.0.0" };
  const capabilities = { elicitation: {} };
  const ada = async () => ({ action: "accept", content: { name: "Ada" } });
  if (target.sdk === 1) {
    const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
    const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
    const { StdioClientTransport } = await import("@modelcontextprotocol/sdk/client/stdio.js");
    const { ElicitRequestSchema } = await import("@modelcontextprotocol/sdk/types.js");
    const client = new Client(info, { capabilities });
    client.setRequestHandler(ElicitRequestSchema, ada);
    await client.connect(target.url ? new StreamableHTTPClientTransport(new URL(target.url)) : new StdioClientTransport(target));
    return client;
  }
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const { StdioClientTransport } = await import("@modelcontextprotocol/client/stdio");
  const client = new Client(info, { capabilities, versionNegotiation: { mode: target.mode ?? "auto" } });
  client.setRequestHandler("elicitation/create", ada);
  await client.connect(target.url ? new StreamableHTTPClientTransport(new URL(target.url)) : new StdioClientTransport(target));
  return client;
}

const client = await connect();
// The tools of the servers behind Toolcrib arrive when those have started.
let tools = [];
while (!tools.some((tool) => tool.name === "s__echo")) {
  await new Promise((resolve) => setTimeout(resolve, 50));
  ({ tools } = await client.listTools());
}
const results = [];
for (const [name, args] of calls) {
  const result = await client.callTool({ name, arguments: args });
  results.push({ text: result.content[0].text, isError: result.isError ?? false, structured: result.structuredContent ?? null });
}
console.log(JSON.stringify({ tools: tools.map((tool) => tool.name), results }));
await client.close();
