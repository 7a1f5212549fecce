"""Runs every scenario and writes what the project shows of itself: bench/results/DATE/.

    python bench/publish.py [--server-cpus 0 --client-cpus 1] [--only NAME...] [--tables]

A result for each scenario (docs/bench-result.md has its fields), README.md with a table of them and
the machine, and percentiles.svg, drawn by Chromium. `--tables` writes the last two again from the
results that are there. The comparison with other servers is `tickgate bench peers`.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from playwright.sync_api import sync_playwright
from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from gateway.latency.histogram import Histogram
from gateway.loadtest import units
from gateway.loadtest.class_table import markdown
from gateway.loadtest.interchange import decode
from gateway.loadtest.result import Result, from_json

HERE = Path(__file__).resolve().parent
NAMES = (
    "one_to_1k",
    "burst_open",
    "wide_universe",
    "slow_10pct",
    "reconnect_storm",
    "limit_search",
    "overload",
    "soak",
)
FAILED_MAX = (
    0,
    3,
    99,
)  # exit codes of runs that have a result: passed, invalid, a threshold failed
NINES = ("0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %")
STEPS_PER_NINE = 24


def run(name: str, results: Path, more: Sequence[str]) -> None:
    """One scenario, its result beside the others."""
    program = Path(sys.executable).parent / "tickgate"
    command = [str(program), "bench", name, "--quiet"]
    command += ["--json", str(results / f"{name}.json"), *more]
    print(f"== {name}", flush=True)
    code = subprocess.run(command, check=False).returncode
    if code not in FAILED_MAX:
        raise SystemExit(f"{name}: exit code {code}")


def table(results: Sequence[Result]) -> str:
    """The scenarios' figures as Markdown."""
    head = ("scenario", "clients", "deliveries/s", "p50", "p99", "p99.9", "reach", "gaps")
    rows: list[tuple[str, ...]] = [
        (*head, "conflated", "CPU a delivery", "memory", "verdict"),
        ("---",) * 12,
    ]
    for each in results:
        age, server = each.latency, each.server
        cost = server.cpu_us_per_delivery if server else None
        verdict = each.limit.shown if each.limit and not each.overload else each.verdict
        rows.append(
            (
                f"`{each.name}`",
                f"{each.clients:,}",
                units.rate(age.per_s),
                *(units.duration(value) for value in (age.p50_us, age.p99_us, age.p999_us)),
                "-" if each.reach is None else f"{each.reach:.6g}",
                f"{each.gaps or 0:,}",
                f"{each.conflated or 0:,}",
                "-" if cost is None else units.duration(cost),
                "{0} {2:.0f} MB".format(*server.memory) if server else "-",
                verdict,
            )
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def words(results: Sequence[Result]) -> str:
    """What failed or does not count, and why."""
    lines = [
        f"- `{each.name}`: {text}"
        for each in results
        for text in (
            *each.invalid_because,
            *(f"{one.expression}: {one.shown}" for one in each.thresholds if not one.ok),
        )
    ]
    return "\n".join(lines) + "\n" if lines else ""


def overloads(results: Sequence[Result]) -> str:
    """What each class got beyond the limit, with the controller watching and acting."""
    parts = [f"## `{each.name}`\n\n{markdown(each)}\n" for each in results if each.overload]
    return "".join(parts)


def page(results: Sequence[Result], pinned: str) -> str:
    """The dated page."""
    machine = results[0].environment
    libraries = ", ".join(f"{name} {version}" for name, version in machine.libraries.items())
    known = (each.environment.commit for each in results)
    # With the + of changed files.
    commits = ", ".join(dict.fromkeys(one[:12] + one[40:] for one in known if one))
    return (
        f"# All scenarios, {results[0].started[:10]}\n\n"
        f"{machine.cpu}, {machine.cores} cores; {machine.os}, {machine.kernel}; {machine.python}; "
        f"tickgate {machine.tickgate}"
        f"{f' ({commits})' if commits else ''}; {libraries}.\n{pinned}\n"
        "How to read it: [bench/README.md](../../README.md).\n\n"
        f"{table(results)}\n{words(results)}\n{overloads(results)}"
        "![Age of deliveries by percentile](percentiles.svg)\n"
    )


def curve(name: str, ages: Histogram) -> dict[str, Any]:
    """A distribution over the number of nines, as plots of hgrm files show it."""
    steps = range(int(STEPS_PER_NINE * len(str(ages.count))))
    shares = [1 - 10 ** (-step / STEPS_PER_NINE) for step in steps]
    return {
        "name": name,
        "x": [step / STEPS_PER_NINE for step in steps],
        "y": [ages.value_at_percentile(100 * share) / 1e6 for share in shares],
    }


def plot(results: Sequence[Result], target: Path) -> None:
    """Draws all distributions of the age into one picture."""

    traces = [curve(each.name, decode(each.histogram)) for each in results if each.histogram]
    nines = {"tickvals": list(range(len(NINES))), "ticktext": NINES, "range": [0, 5.5]}
    layout = {
        "width": 860,
        "height": 420,
        "margin": {"l": 60, "r": 20, "t": 50, "b": 50},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "xaxis": {**nines, "gridcolor": "#ddd", "title": {"text": "share of deliveries"}},
        "yaxis": {
            "type": "log",
            "dtick": 1,
            "gridcolor": "#ddd",
            "title": {"text": "age at the client, ms"},
        },
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    }
    script = """([traces, layout]) => Plotly.newPlot("at", traces, layout)
        .then(() => Plotly.toImage("at", {format: "svg", width: 860, height: 420}))"""
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        if chromium is None:
            raise SystemExit("percentiles.svg needs Chromium (Debian's package chromium)")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        paper = browser.new_page()
        paper.set_content('<div id="at"></div>')
        paper.add_script_tag(content=get_plotlyjs())
        image: str = paper.evaluate(script, [traces, layout])
        browser.close()
    target.write_text(unquote(image.partition(",")[2]) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--tables", action="store_true")
    parser.add_argument("--server-cpus", default="")
    parser.add_argument("--client-cpus", default="")
    parser.add_argument("--date", default=datetime.now(UTC).date().isoformat())
    given = parser.parse_args()
    results = HERE / "results" / given.date
    results.mkdir(parents=True, exist_ok=True)
    pins = {"--server-cpus": given.server_cpus, "--client-cpus": given.client_cpus}
    more = [word for option, cpus in pins.items() if cpus for word in (option, cpus)]
    if not given.tables:
        for name in given.only:
            run(name, results, more)
    files = [results / f"{name}.json" for name in NAMES]
    found = [from_json(file.read_bytes(), file.name) for file in files if file.exists()]
    pinned = f"Options: {json.dumps(' '.join(more))}." if more else "Nothing was pinned."
    (results / "README.md").write_text(page(found, pinned))
    plot(found, results / "percentiles.svg")


if __name__ == "__main__":
    main()
