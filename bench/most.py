"""As many deliveries a second as one core sends: how many, how late, and where the time goes.

    python bench/most.py                         200 clients, 50,000 ticks/s, both encodings in turn
    python bench/most.py --clients 100 --rate 20000 --encoding sbe --measured 100
    python bench/most.py --clients 1000 --rate 50

Every client takes everything. All of them parse each frame and check its `seq`; the ages are those
of the measured ones. Beside ages a round prints what the gateway's sends were like, the CPU of its
processes and of the clients (user+system, in per cent of a core), and what the kernel alone carries
when a bare loop sends blocks of that size to as many sockets (bench/loopback.c). Exit codes: 0
measured, 3 the clients themselves were the bottleneck in a round. Method: bench/README.md.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import one_core
import yardstick
from in_turn import lines

from gateway.loadtest.result import Result, from_json

TICK_S = 1 / yardstick.TICKS_PER_S
LOOPBACK_S = 2.0
COUNTERS = ("sends", "sent_bytes", "deliveries")
_SAMPLE = re.compile(r"^tickgate_(sends|sent_bytes|deliveries)_total(?:{[^}]*})? (\S+)$", re.M)


class Look(NamedTuple):
    """What the gateway and its processes have done so far."""

    at_s: float
    counters: dict[str, float]
    cpu: dict[str, tuple[float, float]]
    """User and system seconds, by process."""


def look(server: yardstick.Server, clients: Sequence[int]) -> Look:
    """Reads counters and clocks."""
    with urlopen(f"http://127.0.0.1:{server.ops_port}/metrics", timeout=5) as answer:
        samples = _SAMPLE.findall(answer.read().decode())
    counters = dict.fromkeys(COUNTERS, 0.0)
    for name, value in samples:
        counters[name] += float(value)
    names = {pid: _name(pid) for pid in server.pids()}
    cpu = {name: _cpu([pid for pid in names if names[pid] == name]) for name in names.values()}
    return Look(time.monotonic(), counters, cpu | {"clients": _cpu(clients)})


def _name(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return next((w.decode() for w in words if w in (b"feed", b"worker")), "supervisor")


def _cpu(pids: Sequence[int]) -> tuple[float, float]:
    rows = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(r[11]) for r in rows) * TICK_S, sum(int(r[12]) for r in rows) * TICK_S


def scenario(options: argparse.Namespace, encoding: str) -> dict[str, Any]:
    """Everybody takes everything; those that are not measured come in a group of their own."""
    measured = min(options.measured, options.clients)
    groups = [{"name": "measured", "clients": measured, "pick": "all"}]
    if options.clients > measured:
        rest = options.clients - measured
        groups.append({"name": "rest", "clients": rest, "pick": "all", "measured": False})
    return {
        "encoding": encoding,
        "warmup_s": options.warmup,
        "duration_s": options.duration + one_core.SLACK_S,
        "source": {"symbols": options.symbols, "rate": options.rate},
        "groups": groups,
    }


def measure(options: argparse.Namespace, encoding: str, directory: Path) -> tuple[Result, Look]:
    """A round with its own gateway: what the load test found, and what was between two looks."""
    file, document = directory / "result.json", directory / "most.toml"
    document.write_text("\n".join(lines(scenario(options, encoding))) + "\n", encoding="utf-8")
    # What is looked for is how much it sends: nothing is to be held back for an objective.
    settings = ("slo.enforce=false", *options.set)
    with (
        yardstick.gateway(*settings, cpu=options.server_cpus) as server,
        one_core.load(server, options, file, str(document)) as pid,
    ):
        clients = yardstick.family(pid)
        before = look(server, clients)
        time.sleep(options.duration)
        after = look(server, clients)
    return from_json(file.read_bytes(), "most"), between(before, after)


def between(before: Look, after: Look) -> Look:
    """What was done from one look to the other, a second."""
    seconds = after.at_s - before.at_s
    counters = {k: (after.counters[k] - before.counters[k]) / seconds for k in COUNTERS}
    cpu = {
        name: ((user - before.cpu[name][0]) / seconds, (system - before.cpu[name][1]) / seconds)
        for name, (user, system) in after.cpu.items()
    }
    return Look(seconds, counters, cpu)


def loopback(options: argparse.Namespace, block: int) -> dict[str, float]:
    """What the kernel alone carries in blocks of that size."""
    target, source = yardstick.BUILD / "loopback", yardstick.ROOT / "bench" / "loopback.c"
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        yardstick.BUILD.mkdir(exist_ok=True)
        subprocess.run(["cc", "-O2", "-pthread", "-o", target, source], check=True)
    cpus = [options.server_cpus, options.client_cpus]
    words = [str(target), str(block), str(options.clients), str(LOOPBACK_S), *cpus]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def shown(encoding: str, result: Result, window: Look, bare: dict[str, float] | None) -> str:
    """One line of a round."""
    own = result.arrival or result.latency
    sends, sent, deliveries = (window.counters[name] for name in COUNTERS)
    cpu = ", ".join(
        f"{name} {100 * user:.0f}+{100 * system:.0f}" for name, (user, system) in window.cpu.items()
    )
    text = (
        f"{encoding}: {deliveries:,.0f} deliveries/s, p50 {result.latency.p50_us:.0f} us, p99"
        f" {result.latency.p99_us:.0f} us, at the kernel {own.p99_us:.0f} us; reach"
        f" {result.reach or 0:.4f}, gaps {result.gaps}; {sends:,.0f} sends/s of"
        f" {deliveries / sends:.1f} deliveries, {sent / sends / 1000:.1f} kB,"
        f" {sent / 1e6:,.0f} MB/s; CPU {cpu}"
    )
    if bare:
        share = sent / bare["bytes_per_s"]
        text += f"; the kernel alone {bare['bytes_per_s'] / 1e6:,.0f} MB/s, so {100 * share:.0f} %"
    return text + "".join(f"; NOT VALID: {why}" for why in result.invalid_because)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--rate", type=float, default=50_000, help="ticks a second")
    parser.add_argument("--symbols", type=int, default=1)
    parser.add_argument("--encoding", choices=["json", "sbe", "both"], default="both")
    parser.add_argument("--measured", type=int, default=10, help="clients whose ages are recorded")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warmup", type=float, default=1.0, help="seconds")
    parser.add_argument("--duration", type=float, default=4.0, help="seconds")
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE of the gateway")
    parser.add_argument("--no-loopback", action="store_true")
    parser.add_argument("--server-cpus", default="0")
    parser.add_argument("--client-cpus", default="1")
    options = parser.parse_args()
    encodings = ["json", "sbe"] if options.encoding == "both" else [options.encoding]
    p99s: dict[str, list[float]] = {one: [] for one in encodings}
    valid = True
    with tempfile.TemporaryDirectory(prefix="tickgate-most-") as name:
        for number in range(options.rounds):
            for encoding in encodings[:: 1 if number % 2 == 0 else -1]:
                result, window = measure(options, encoding, Path(name))
                block = round(window.counters["sent_bytes"] / max(window.counters["sends"], 1))
                bare = None if options.no_loopback else loopback(options, max(block, 1))
                print(f"round {number}: {shown(encoding, result, window, bare)}", flush=True)
                p99s[encoding].append(result.latency.p99_us)
                valid = valid and not result.invalid_because
    for encoding, figures in p99s.items():
        print(f"{encoding}: median p99 {statistics.median(figures):.0f} us")
    return 0 if valid else 3


if __name__ == "__main__":
    sys.exit(main())
