// A server on the official TypeScript SDK 2.x: echo, and ask, which asks the user for a name.
import { McpServer, acceptedContent, fromJsonSchema, inputRequired } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";

const inputSchema = fromJsonSchema({ type: "object", properties: { text: { type: "string" } }, required: ["text"] });
const requestedSchema = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };
const said = (text) => ({ content: [{ type: "text", text }] });

serveStdio(() => {
  const server = new McpServer({ name: "typescript", version: "1.0.0" });
  server.registerTool("echo", { inputSchema }, async ({ text }) => said(text));
  server.registerTool("ask", { inputSchema }, async ({ text }, cx) => {
    const answer = acceptedContent(cx.mcpReq.inputResponses, "who");
    if (!answer) {
      return inputRequired({ inputRequests: { who: inputRequired.elicit({ message: "your name?", requestedSchema }) } });
    }
    return said(`${answer.name}, asked about ${text}`);
  });
  return server;
});
