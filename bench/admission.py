"""Who is refused when, and how late the others are: clients are added to one core until it is full.

    python bench/admission.py                                    this checkout's gateway
    python bench/admission.py --python ../old/.venv/bin/python   that of another one
    python bench/admission.py --target-us 10000 --rate 1000 --clients 400 --step 50

The server, all of its processes, has core 0; the ticks and the clients, which are always this
checkout's, have core 1. Each step adds clients to one symbol and then looks at all who are there. A
client that is refused is not asked for again: what a step lost is its own. Method: bench/README.md.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.request import urlopen

import msgspec
import numpy as np
from yardstick import stopped, wait_ready

from gateway._native import Swarm
from gateway.latency.histogram import Counts, Histogram
from gateway.loadtest import endpoint as endpoints
from gateway.loadtest.refusals import merged, said
from gateway.loadtest.scenario import Source
from gateway.loadtest.source import SourceJob

SECOND = 1_000_000_000
CONNECT_NS = 15 * SECOND
SERVE = "import sys; from gateway.cli import main; sys.exit(main())"
SUBSCRIBE = b'{"method":"subscribe","req_id":1,"params":{"channel":"trade","symbol":["*"]}}'
COLUMNS = ("asked", "open", "refused", "no data", "deliveries/s", "p50 ms", "p99 ms", "busy")


def free_ports(count: int, first: int) -> list[int]:
    """Ports of this host that nobody has; from `first` on, or any where that is 0."""
    found: list[int] = []
    candidates = iter(range(first, first + 200)) if first else iter([0] * count)
    while len(found) < count:
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", next(candidates)))
            except OSError:
                continue
            found.append(int(one.getsockname()[1]))
    return found


@dataclass
class Server:
    """A gateway under measurement, by its ports."""

    client_port: int
    ops_port: int
    udp_port: int

    def controller(self) -> dict[str, float]:
        """What its only worker's latency controller says."""
        with urlopen(f"http://127.0.0.1:{self.ops_port}/statusz", timeout=10) as answer:
            (found,) = json.load(answer)["controller"]
        return dict(found)


@contextmanager
def gateway(python: str, target_us: int, first_port: int) -> Iterator[Server]:
    """The gateway that this interpreter has installed, with a `udp` feed, on core 0."""
    server = Server(*free_ports(3, first_port))
    values = [f"listen.port={server.client_port}", f"ops.port={server.ops_port}"]
    values += ["feeds.0.type=udp", f"feeds.0.port={server.udp_port}", "feeds.0.venue=SIM"]
    values += ["log.level=error", "recorder.enabled=false"]
    values += [f"slo.target_us={target_us}"] if target_us else []
    settings = [word for value in values for word in ("--set", value)]
    command = ["taskset", "-c", "0", python, "-P", "-c", SERVE, "serve", *settings]
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(command, cwd=directory)
        with stopped(process):
            wait_ready(server.ops_port)
            yield server


@contextmanager
def ticks(port: int, rate: float, seconds: float) -> Iterator[None]:
    """One symbol's trades, open loop, from now on."""
    job = SourceJob(port=port, source=Source(rate=rate), warmup_s=1.0, duration_s=seconds)
    command = ["taskset", "-c", "1", sys.executable, "-P", "-m", "gateway.loadtest.source"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with stopped(process):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(job) + b"\n")
        process.stdin.flush()
        if process.stdout.readline().strip() != b"ready":
            raise SystemExit("the tick source did not become ready")
        process.stdin.write(b"%d\n" % time.time_ns())
        process.stdin.flush()
        yield


class Clients:
    """Clients of one step, driven by a thread of their own until the end."""

    def __init__(self, server: Server, count: int) -> None:
        key = endpoints.key()
        target = endpoints.parse(f"ws://127.0.0.1:{server.client_port}/v1")
        self.swarm = Swarm(
            targets=[("127.0.0.1", server.client_port, endpoints.upgrade(target, key))],
            accept=endpoints.accept(key),
            groups=[{"measured": 1}],
            texts=[SUBSCRIBE],
            clients=np.tile(np.array([0, 0, 0], dtype=np.int32), (count, 1)),
            stamp=("tickgate", b""),
        )
        self.connected = threading.Event()
        self._thread = threading.Thread(target=self._drive, daemon=True)
        self._thread.start()

    def _drive(self) -> None:
        self.swarm.connect(CONNECT_NS)
        self.connected.set()
        self.swarm.run(1 << 62)

    def stop(self) -> None:
        self.swarm.stop()
        self._thread.join()

    def count(self, name: str) -> int:
        return self.swarm.counters()[0][name]

    def ages(self) -> Counts:
        return self.swarm.counts("age", 0)


class Ladder:
    """All steps so far."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.steps: list[Clients] = []
        self.asked = 0

    def add(self, count: int) -> Clients:
        """So many clients more; waits until they are in, or are not."""
        one = Clients(self._server, count)
        self.steps.append(one)
        self.asked += count
        one.connected.wait()
        return one

    def measure(self, hold_s: float) -> tuple[Histogram, float]:
        """Ages of what is stamped in so many seconds, of all clients, and deliveries a second."""
        start_ns = time.time_ns()
        before = [one.ages() for one in self.steps]
        for one in self.steps:
            one.swarm.window(start_ns, start_ns + round(hold_s * SECOND))
        time.sleep(hold_s + 1)  # what is late comes within a second, or is no less late for it
        since = (one.ages() - old for one, old in zip(self.steps, before, strict=True))
        ages = Histogram.merged(Histogram(counts, 0) for counts in since)
        return ages, ages.count / hold_s

    def total(self, name: str) -> int:
        return sum(one.count(name) for one in self.steps)

    def stop(self) -> None:
        for one in self.steps:
            one.stop()


def run(given: argparse.Namespace) -> None:
    """One server, all steps, each told as it ends."""
    steps = -(-given.clients // given.step)
    lasts_s = steps * (given.settle + given.hold + 8) + 60
    with ExitStack() as stack:
        server = stack.enter_context(gateway(given.python, given.target_us, given.port))
        stack.enter_context(ticks(server.udp_port, given.rate, lasts_s))
        time.sleep(2)
        ladder = Ladder(server)
        stack.callback(ladder.stop)
        print("".join(f"{name:>14}" for name in COLUMNS), flush=True)
        for _ in range(steps):
            ladder.add(min(given.step, given.clients - ladder.asked))
            time.sleep(given.settle)
            ages, per_s = ladder.measure(given.hold)
            tell(ladder, server, ages, per_s)
        ladder.stop()
        for row in merged(one.swarm.refused() for one in ladder.steps):
            print(f"{row.kind}: {row.count} x {said(row.code, row.message)}")


def tell(ladder: Ladder, server: Server, ages: Histogram, per_s: float) -> None:
    """One line; then what the server's controller says, whatever its version has to say."""
    refused = sum((Counter(one.swarm.refusals()) for one in ladder.steps), Counter[str]())
    values = [
        str(ladder.asked),
        str(ladder.total("open")),
        " ".join(f"{count} x {why}" for why, count in refused.items()) or "0",
        str(ladder.total("errors")),
        f"{per_s:,.0f}",
        *(f"{ages.value_at_percentile(p) / 1e6:.2f}" for p in (50, 99)),
    ]
    said_by_it = server.controller()
    values.append(f"{said_by_it['busy']:.0%}")
    print("".join(f"{value:>14}" for value in values), flush=True)
    shown = {
        name: said_by_it[name]
        for name in ("step", "highest", "infeasible", "overload_s", "sweep_us", "fan_out_us")
        if name in said_by_it
    }
    print(f"{'':>14}{json.dumps(shown)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--python", default=sys.executable, help="of the server's environment")
    parser.add_argument("--target-us", type=int, default=0, help="0: the default objective")
    parser.add_argument("--rate", type=float, default=1000, help="ticks a second")
    parser.add_argument("--clients", type=int, default=400)
    parser.add_argument("--step", type=int, default=50)
    parser.add_argument("--settle", type=float, default=7, help="seconds before a step's window")
    parser.add_argument("--hold", type=float, default=4, help="seconds of a step's window")
    parser.add_argument("--port", type=int, default=0, help="the first of three; 0: any")
    given = parser.parse_args()
    given.python = os.path.abspath(given.python)  # not resolved: an environment's is a link
    os.sched_setaffinity(0, {1})
    run(given)


if __name__ == "__main__":
    main()
