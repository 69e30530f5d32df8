"""A person who uses Toolcrib in front of the server at the URL that comes last: lists its tools and calls them, and signs in
wherever Toolcrib says that somebody has to. The browser is a plain HTTP client, which agrees to everything.

signing_in.py TOOLCRIB URL, as the conformance suite starts its clients.
"""

import json
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

OWN = ("analyze_text", "api_client", "calculator", "database_query", "describe_database", "weather_api", "web_scraper")
LOGINS = 4

toolcrib, url = sys.argv[1], sys.argv[2]
context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
folder = tempfile.mkdtemp()
config = os.path.join(folder, "mcp-config.yaml")


def configure():
    oauth = {"clientMetadataUrl": "https://conformance-test.local/client-metadata.json"}
    if "client_id" in context:
        oauth["clientId"] = context["client_id"]
        oauth["clientSecret"] = context.get("client_secret")
        # Whoever registers a client knows with whom.
        place = urllib.parse.urljoin(url, "/.well-known/oauth-protected-resource" + urllib.parse.urlparse(url).path)
        oauth["issuer"] = json.load(urllib.request.urlopen(place, timeout=10))["authorization_servers"][0]
    if "client-credentials" in os.environ.get("MCP_CONFORMANCE_SCENARIO", ""):
        oauth["grant"] = "clientCredentials"
    server = {"url": url, "oauth": {key: value for key, value in oauth.items() if value}}
    with open(config, "w") as file:
        json.dump({"dataFolder": "data", "mcpServers": {"suite": server}, "claude": {"mcp": {"prefix": "never"}}}, file)


def run(*arguments):
    done = subprocess.run([toolcrib, *arguments, "--config", config], capture_output=True, text=True)
    sys.stderr.write(f"{arguments}: {done.returncode} {done.stdout[:400]} {done.stderr}\n")
    return done


def login():
    """Whether that went well."""
    process = subprocess.Popen([toolcrib, "login", "suite", "--config", config], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    for line in process.stdout:
        sys.stderr.write(line)
        if line.startswith("http"):
            try:
                urllib.request.urlopen(line.strip(), timeout=10).read()
            except urllib.error.HTTPError as error:
                sys.stderr.write(f"the browser sees {error.code}\n")
    return process.wait() == 0


def use():
    """Whether everything could be called without anybody having to sign in."""
    if "login" in run("list", "servers").stdout:
        return False
    tools = json.loads(run("list", "tools", "--json").stdout)["tools"]
    calls = [run("call", tool["name"], "--args", "{}") for tool in tools if tool["name"] not in OWN]
    return all("toolcrib login" not in call.stderr for call in calls)


configure()
for _ in range(LOGINS):
    if use():
        sys.exit(0)
    if not login():
        sys.exit(1)
sys.exit(0 if use() else 1)
