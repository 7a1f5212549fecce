"""Two tenants beyond what a worker can do: what does each of them get?

    .venv/bin/python bench/tenants.py [--weights 3] [--rate 1500]

Each has 2,000 clients with one of ten symbols' quotes each, which are conflated. First both weigh
the same, then the first one weighs more; each time a gateway of its own is asked for more than it
can send. Shares are of sends, by `tickgate_tenant_sends_total`; updates that came and their ages
are what the clients saw. The gateway has core 0, all else core 1.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from yardstick import stopped

from gateway._native import Swarm
from gateway.latency.histogram import Histogram
from gateway.loadtest import endpoint as endpoints
from gateway.loadtest.ports import free_udp_port
from gateway.loadtest.profiles import symbol_names
from gateway.loadtest.scenario import Source
from gateway.loadtest.source import SourceJob

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.identity import Issuer, rule, tg
from support.serving import Metrics, Serving, serving

SECOND: Final = 1_000_000_000
SYMBOLS: Final = 10
TENANTS: Final = ("desk-a", "desk-b")
SETTLE_S, WINDOW_S = 3.0, 8.0


def clients(gateway: Serving, issuer: Issuer, each: int) -> Swarm:
    """Those of both tenants, a group each."""
    key = endpoints.key()
    target = endpoints.parse(gateway.url)
    targets = []
    for name in TENANTS:
        token = issuer.token(name, tg=tg(rule("bbo", "*.SIM"), tenant=name))
        headers = (("Authorization", f"Bearer {token}"),)
        upgrade = endpoints.upgrade(target, key, headers=headers)
        targets.append((target.address, target.port, upgrade))
    texts = [
        msgspec.json.encode(
            {"method": "subscribe", "req_id": 1, "params": {"channel": "bbo", "symbol": [name]}}
        )
        for name in symbol_names(SYMBOLS)
    ]
    rows = [(n % 2, n % 2, n // 2 % SYMBOLS) for n in range(2 * each)]
    return Swarm(
        targets=targets,
        accept=endpoints.accept(key),
        groups=[{"measured": 1, "late_acks": 1}] * 2,
        texts=texts,
        clients=np.array(rows, dtype=np.int32),
        stamp=("tickgate", b""),
    )


def ticks(stack: ExitStack, port: int, rate: float) -> None:
    """Quotes, open loop, from now on."""
    source = Source(rate=rate, channels=["bbo"], symbols=SYMBOLS)
    job = SourceJob(port=port, source=source, warmup_s=1.0, duration_s=SETTLE_S + WINDOW_S + 5)
    command = [sys.executable, "-P", "-m", "gateway.loadtest.source"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    stack.enter_context(stopped(process))
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(job) + b"\n")
    process.stdin.flush()
    assert process.stdout.readline().strip() == b"ready"
    process.stdin.write(b"%d\n" % time.time_ns())
    process.stdin.flush()


def tell(
    swarm: Swarm, before: Metrics, after: Metrics, weights: tuple[int, int], seconds: float
) -> None:
    """What each tenant got."""
    sends = [after.of("tenant_sends_total", one) - before.of("tenant_sends_total", one)
             for one in TENANTS]  # fmt: skip
    for n, name in enumerate(TENANTS):
        ages = Histogram.merged([Histogram(swarm.counts("age", n), 0)])
        seen = swarm.counters()[n]
        came = seen["delivered"] / max(seen["delivered"] + seen["conflated"], 1)
        p50, p99 = (ages.value_at_percentile(p) / 1e6 for p in (50, 99))
        print(
            f"{name}, weight {weights[n]}: {sends[n] / seconds:,.0f} sends/s, "
            f"{sends[n] / sum(sends):.1%} of all; {came:.0%} of the updates came, "
            f"age p50 {p50:.1f} ms, p99 {p99:.1f} ms; {seen['closed']} closed",
            flush=True,
        )


def measure(weights: tuple[int, int], rate: float, each: int) -> None:
    """One gateway, one window."""
    port = free_udp_port()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        issuer = Issuer(directory)
        sets = [f"feeds.0.port={port}", "feeds.0.type=udp", "feeds.0.venue=SIM"]
        sets += ["slo.enforce=false", "recorder.enabled=false", "memory.populate=start"]
        for n, name in enumerate(TENANTS):
            sets += [f"tenants.{n}.name={name}", f"tenants.{n}.weight={weights[n]}"]
        sets += ["limits.handshakes_per_address=100000", *issuer.sets()]
        log, core = directory / "log", ("taskset", "-c", "0")
        gateway = stack.enter_context(serving(log, *sets, before=core))
        swarm = clients(gateway, issuer, each)
        thread = threading.Thread(target=lambda: swarm.run(1 << 62))
        opened = swarm.connect(60 * SECOND)
        assert opened == 2 * each, swarm.refused()
        thread.start()
        stack.callback(thread.join)
        stack.callback(swarm.stop)
        ticks(stack, port, rate)
        time.sleep(SETTLE_S)
        now_ns = time.time_ns()
        swarm.window(now_ns, now_ns + round(WINDOW_S * SECOND))
        before, began = gateway.metrics(), time.monotonic()
        time.sleep(WINDOW_S)
        after, seconds = gateway.metrics(), time.monotonic() - began
        time.sleep(1.0)  # what is late comes within a second, or is no less late for it
        tell(swarm, before, after, weights, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--weights", type=int, default=3, help="of the first; the second's is 1")
    parser.add_argument("--rate", type=float, default=1500, help="quotes a second")
    parser.add_argument("--clients", type=int, default=2000, help="of each tenant")
    given = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setaffinity(0, {1})
    for weights in ((1, 1), (given.weights, 1)):
        measure(weights, given.rate, given.clients)


if __name__ == "__main__":
    main()
