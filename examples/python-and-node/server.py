"""A server on the official Python SDK."""

import re
import unicodedata

from mcp.server.fastmcp import FastMCP

server = FastMCP("words")


@server.tool()
def slug(text: str) -> str:
    """Turns a title into what stands in a URL."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


server.run()
