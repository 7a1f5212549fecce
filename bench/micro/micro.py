"""Prints one table of what the smallest parts cost: `micro.py [ROW...]`.

The parts are C (`micro.c` and its rows), built here without an interpreter; what Python itself adds
is measured on the installed extension. Instructions come from `perf stat` where the machine counts
them, else from callgrind, as the difference between two runs of different length; `-` where there
is neither.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from best import best_ns

from gateway import _native

HERE = Path(__file__).resolve().parent
NATIVE = HERE.parents[1] / "native"
OUT = HERE.parents[1] / "build" / "micro"
SOURCES = ("micro.c", "ring.c", "hop.c", "encode.c", "plane.c", "book.c")
FLAGS = (
    "-std=c11",
    "-D_GNU_SOURCE",
    "-O3",
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Werror",
    "-pthread",
)
COUNTED_OPS = 16_000
ROUNDS = 20

Figure = tuple[str, float, str, str, str]
"""(name, value, unit, instructions, what)"""


def build() -> Path:
    """Compiles the rows with the whole core; the program's path."""
    OUT.mkdir(parents=True, exist_ok=True)
    program = OUT / "micro"
    sources = [*(HERE / name for name in SOURCES), *sorted(NATIVE.glob("gw_*.c"))]
    compiler = os.environ.get("CC", "gcc")
    subprocess.run([compiler, *FLAGS, f"-I{NATIVE}", *sources, "-o", program], check=True)
    return program


def counted(command: list[str], pattern: str) -> int | None:
    """The number that a counting program printed on standard error."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(pattern, done.stderr)
    return int(found[1].replace(",", "")) if found and done.returncode == 0 else None


def total_instructions(command: list[str]) -> int | None:
    """Instructions of a whole run, by the machine's counter or else by simulation."""
    perf = ["perf", "stat", "-x,", "-e", "instructions:u", *command]
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command]
    by_machine = counted(perf, r"(?m)^(\d+),")
    return by_machine or counted(callgrind, r"Collected : (\d+)")


def instructions(program: Path, row: str) -> str:
    """Instructions of one operation, from runs of N and 2 N operations."""
    totals = [
        total_instructions([str(program), row, str(ops)]) for ops in (COUNTED_OPS, 2 * COUNTED_OPS)
    ]
    if totals[0] is None or totals[1] is None:
        return "-"
    return f"{(totals[1] - totals[0]) / COUNTED_OPS:.0f}"


def native_rows(program: Path, wanted: list[str]) -> Iterator[Figure]:
    """All rows of the C program."""
    listing = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    kinds = dict(line.split("\t")[:2] for line in listing.splitlines())
    rows = [row for row in kinds if not wanted or row in wanted]
    timed = {
        row: subprocess.run([program, row], capture_output=True, text=True, check=True).stdout
        for row in rows
    }
    # Counting is slow and does not mind company; timing, done by now, does.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counting = {
            row: pool.submit(instructions, program, row) for row in rows if kinds[row] == "run"
        }
        for row in rows:
            cost = counting[row].result() if row in counting else "-"
            for figure in timed[row].splitlines():
                name, value, unit, what = figure.split("\t")
                yield name, float(value), unit, cost, what


def python_rows(wanted: list[str]) -> Iterator[Figure]:
    """Publishing from Python, by the length of a batch, statistics included."""
    page_fd = _native.create_memory("bench-stats", _native.STATS_SIZE)
    page = _native.StatsPage(page_fd, writable=True)
    writer = _native.RingWriter(64 << 20, 64, stats=page)
    topic = writer.topic("trade", "BTCUSDT.BINANCE")
    quotes = writer.topic("bbo", "BTCUSDT.BINANCE")
    now = _native.realtime_ns()
    trade: _native.Row = (topic, now, "64250.10", "0.01500", "sell", "3810000037")
    bbo: _native.Row = (quotes, now, "64250.10", "0.01500", "64250.20", "1.20000")
    for name, row, batch in (
        ("publish_python_1", trade, 1),
        ("publish_python_16", trade, 16),
        ("publish_python_256", trade, 256),
        ("publish_python_bbo_256", bbo, 256),
    ):
        if wanted and name not in wanted:
            continue
        rows, calls = [row] * batch, 100_000 // batch

        def run(rows: list[_native.Row] = rows, calls: int = calls) -> None:
            for _ in range(calls):
                writer.publish(rows, now, 1)

        what = f"publish from Python, a record in batches of {batch}"
        yield name, best_ns(run, calls * batch, ROUNDS), "ns", "-", what
    writer.close()
    page.close()
    os.close(page_fd)


def main() -> None:
    """Builds, measures and prints."""
    wanted = sys.argv[1:]
    print(f"{'':24} {'value':>12} {'unit':4} {'instr.':>7}  what")
    for figures in (native_rows(build(), wanted), python_rows(wanted)):
        for name, value, unit, cost, what in figures:
            shown = f"{value:,.0f}" if not unit or value >= 1000 else f"{value:.1f}"
            print(f"{name:24} {shown:>12} {unit:4} {cost:>7}  {what}", flush=True)


if __name__ == "__main__":
    main()
