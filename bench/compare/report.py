"""Tables (Markdown) and plots (SVG) of what was measured: medians over the repetitions, and how far they lie apart."""

import statistics

import jobs
import replicas


def written(results, folder):
    lines = [f"Measured {results['when']} on {results['machine']}; load of the machine {results['load_before']:.1f} before and {results.get('load_after', 0):.1f} after. Toolcrib: the build in {results.get('build', 'release')}.", ""]
    for job in jobs.JOBS:
        lines += table(results["records"], job)
    lines += growth(results["records"])
    lines += sessions(results["sessions"])
    lines += replicas.table(results.get("replicas", []))
    plots(results["records"], folder)
    text = "\n".join(lines)
    (folder / ("replicas.md" if "replicas" in results else "results.md")).write_text(text)
    return text


def groups(records, job):
    found = {}
    for record in records:
        if record["job"] == job:
            found.setdefault((record["candidate"], record["era"]), []).append(record)
    return found


def cells(records, connections, key):
    return [cell[key] for record in records for cell in record["cells"] if cell["connections"] == connections]


def middle(values):
    return statistics.median(values) if values else None


def shown(value, digits=2):
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.{digits}f}"


def spread(values, digits=3):
    """The median, and the least and the most."""
    if not values:
        return "–"
    return shown(middle(values), digits) + (f" ({shown(min(values), digits)}–{shown(max(values), digits)})" if len(values) > 1 else "")


def table(records, job):
    found = groups(records, job.name)
    if not found:
        return []
    at = [connections for connections in job.connections if any(cells(of, connections, "calls") for of in found.values())]
    if not at:
        at = sorted({cell["connections"] for of in found.values() for record in of for cell in record["cells"]})
    main = 16 if 16 in at else (at[0] if at else 1)
    head = ["", "era", f"CPU ms/call at {main}"]
    head += [f"calls/s at {connections}" for connections in at]
    head += ["p50 ms at 1", f"p99 ms at {main}", "start s", "MiB idle", "MiB loaded", "failed", "others' CPU"]
    lines = [f"### {job.title}", "", "| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(head) - 2)]
    for (_, era), of in found.items():
        measured = [record for record in of if record["cells"]]
        label = of[0]["label"]
        if not measured:
            lines.append(f"| {label} | {era} | not measured: {of[0].get('failed', '')[:120].replace('|', '/')} |" + " |" * (len(head) - 3))
            continue
        row = [label, era, spread(cells(measured, main, "cpu_ms"), 4)]
        row += [shown(middle(cells(measured, connections, "per_second")), 0) for connections in at]
        row += [shown(middle(cells(measured, 1, "p50_ms"))), shown(middle(cells(measured, main, "p99_ms")))]
        row += [shown(middle([record["start_seconds"] for record in measured])), shown(middle([record["idle_mib"] for record in measured]), 1)]
        row += [shown(max(cell["memory_mib"] for record in measured for cell in record["cells"]), 1)]
        row += [str(sum(cell["failed"] for record in measured for cell in record["cells"]))]
        row += [f"{middle([cell['foreign'] for record in measured for cell in record['cells']]) * 100:.0f} %"]
        lines.append("| " + " | ".join(row) + " |")
    return [*lines, ""]


def growth_of(records, name):
    """For each candidate: sizes and CPU per call."""
    found = {}
    for job in jobs.GROWTH[name]:
        for (candidate, _), of in groups(records, job.name).items():
            values = [cell["cpu_ms"] for record in of for cell in record["cells"]]
            if values:
                found.setdefault((candidate, of[0]["label"]), []).append((int(job.name.rpartition("-")[2]), middle(values)))
    return found


def growth(records):
    lines = []
    for name in jobs.GROWTH:
        found = growth_of(records, name)
        if not found:
            continue
        sizes = sorted({size for points in found.values() for size, _ in points})
        title = {"list": "of a list as tools grow", "payload": "as payloads grow"}.get(name, f"as {name} grow")
        lines += [f"### CPU ms/call {title}", "", "| | " + " | ".join(f"{size:,}" for size in sizes) + " |", "|---|" + "---:|" * len(sizes)]
        for (_, label), points in found.items():
            values = dict(points)
            lines.append(f"| {label} | " + " | ".join(shown(values.get(size), 4) for size in sizes) + " |")
        lines.append("")
    return lines


def sessions(measured):
    if not measured:
        return []
    lines = ["### Idle sessions", "", "| | KiB each | CPU ms to open one | CPU while nothing is asked |", "|---|---:|---:|---:|"]
    for of in measured:
        if "failed" in of:
            lines.append(f"| {of['label']} | not measured: {of['failed'][:120]} | | |")
        else:
            lines.append(f"| {of['label']} | {of['kib_each']:.1f} | {of['opening_cpu_ms']:.3f} | {of['idle_cpu_percent']:.1f} % |")
    return [*lines, ""]


def plots(records, folder):
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "toolcrib"
    from matplotlib import pyplot

    for name in jobs.GROWTH:
        found = growth_of(records, name)
        if not any(len(points) > 1 for points in found.values()):
            continue
        figure, axes = pyplot.subplots(figsize=(6, 3.6))
        for (_, label), points in found.items():
            axes.plot(*zip(*points), marker="o", label=label)
        axes.set(xscale="log", yscale="log", xlabel={"payload": "bytes of a result", "list": "tools in a list"}.get(name, name), ylabel="CPU ms per call")
        axes.grid(visible=True, which="major", alpha=0.3)
        axes.legend(fontsize="small")
        figure.tight_layout()
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        pyplot.close(figure)
