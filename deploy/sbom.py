#!/usr/bin/env python3
"""Prints what Toolcrib is made of, as CycloneDX 1.5: every crate that goes into the binary, with its version, licence and checksum.

Needs nothing but cargo and the lock file."""

import json
import pathlib
import subprocess
import tomllib

root = pathlib.Path(__file__).resolve().parent.parent
target = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout.split("host: ")[1].split()[0]
command = ["cargo", "metadata", "--format-version=1", "--locked", "--offline", f"--filter-platform={target}"]
metadata = json.loads(subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout)
checksums = {(p["name"], p["version"]): p.get("checksum") for p in tomllib.loads((root / "Cargo.lock").read_text())["package"]}
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
own = next(id for id, package in packages.items() if package["name"] == "toolcrib")


def needed(id):
    """What is built into it; what only tests and build scripts use is not."""
    kinds = lambda dep: any(kind["kind"] is None for kind in dep["dep_kinds"])
    return [dep["pkg"] for dep in nodes[id]["deps"] if kinds(dep)]


reached, waiting = {own}, [own]
while waiting:
    for id in needed(waiting.pop()):
        if id not in reached:
            reached.add(id)
            waiting.append(id)


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, kind="library"):
    told = {"type": kind, "bom-ref": purl(package), "name": package["name"], "version": package["version"], "purl": purl(package)}
    if package["license"]:
        told["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if checksum := checksums.get((package["name"], package["version"])):
        told["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return told


order = sorted(reached - {own}, key=lambda id: (packages[id]["name"], packages[id]["version"]))
document = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "version": 1,
    "metadata": {"component": component(packages[own], "application")},
    "components": [component(packages[id]) for id in order],
    "dependencies": [{"ref": purl(packages[id]), "dependsOn": sorted(purl(packages[d]) for d in needed(id))} for id in [own, *order]],
}
print(json.dumps(document, indent=1))
