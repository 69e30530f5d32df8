// A server on the official TypeScript SDK.
import { McpServer, fromJsonSchema } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";

const numerals = [[1000, "M"], [900, "CM"], [500, "D"], [400, "CD"], [100, "C"], [90, "XC"], [50, "L"], [40, "XL"], [10, "X"], [9, "IX"], [5, "V"], [4, "IV"], [1, "I"]];
const inputSchema = fromJsonSchema({ type: "object", properties: { number: { type: "integer", minimum: 1, maximum: 3999 } }, required: ["number"] });

serveStdio(() => {
  const server = new McpServer({ name: "numbers", version: "1.0.0" });
  server.registerTool("roman", { description: "Writes a number as the Romans did.", inputSchema }, async ({ number }) => {
    let [text, rest] = ["", number];
    for (const [value, letters] of numerals) {
      while (rest >= value) [text, rest] = [text + letters, rest - value];
    }
    return { content: [{ type: "text", text }] };
  });
  return server;
});
