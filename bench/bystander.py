"""What clients that do nothing wrong notice of those beside them, on a running gateway, in turn.

    python bench/bystander.py patterns    one client subscribes and unsubscribes `*` beside patterns
    python bench/bystander.py restart     the feed is killed while thousands of patterns wait
    python bench/bystander.py catchup     one client in ten stops reading and goes on, all at once
    python bench/bystander.py conflated   the same; those who stop get newer data, not all
    python bench/bystander.py cut         a thousand clients of 300 topics are reset at once
    python bench/bystander.py limits      20 clients ask for all their patterns, again and again
    python bench/bystander.py all         one after the other

A gateway is started, by `--server-python` also that of another version. Bystanders are the load
test's own clients: native, open loop, every tick aged from the moment at which it was due. Quiet
and disturbed runs alternate on the same gateway; the figure is the median over the pairs of the
bystanders' p99 while disturbed to that while not. Exit codes: 0 it is within bounds, 1 it is not,
3 the clients' own core was what was measured. Method: bench/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from gateway.loadtest.children import Child, Children, pinned
from gateway.loadtest.environment import environment
from gateway.loadtest.processes import family
from gateway.loadtest.progress import Quiet
from gateway.loadtest.result import Latency, Result
from gateway.loadtest.run import Settings, run
from gateway.loadtest.scenario import from_document
from gateway.loadtest.target import free_tcp_port, free_udp_port, ready_urls
from gateway.loadtest.thresholds import judge
from gateway.loadtest.timeline import Snapshot

HERE = Path(__file__).resolve().parent
RATIO_MAX = 1.5
"""Bystanders' p99 while disturbed, to that while not."""
START_S = 30.0
SETTLE_S = 1.0
"""After all topics are there, and between two runs."""
GRACE_S = 4.0
"""Ticks of the window may come so late: the worst steps took seconds."""
NAME = "bystanders"
BYSTANDERS: dict[str, Any] = {"name": NAME, "clients": 100}
TRIES = 3
"""Pairs that are made for each valid one, at most."""
OTHERS_MAX = 0.25
"""Of the gateway's CPUs, what others than its processes may use, the kernel for the loopback's
packets among them."""
KINDS = ("age", "arrival")
"""At the client, and at its kernel."""
TRADE = '"price":"1.5","qty":"1","side":"buy","id":"1"'
LINES_EACH = 10
"""Ticks in one datagram."""


@dataclass(frozen=True)
class Scenario:
    """What disturbs, and whom.

    Attributes:
        what: in words.
        connections: of the process that disturbs; 0: there is none.
        load: of the load test: its groups, its ticks, the length of its window.
        gateway: settings of the gateway.
        topics_first: the ticks that make the topics come before those who disturb subscribe; else
            patterns would have to be matched, and paid for, at their start.
        once: the disturbance is one moment; else it lasts.
        before_s: how long before the window's start that moment is.
        killed: the feed is killed in that moment.
    """

    what: str
    load: dict[str, Any]
    connections: int
    gateway: tuple[str, ...] = ()
    topics_first: bool = False
    once: bool = False
    before_s: float = 0.0
    killed: bool = False


def scenarios(topics: int) -> dict[str, Scenario]:
    """All of them, with so many topics."""
    each = {"pick": "random", "symbols_each": min(100, topics)}
    readers = {"warmup_s": 1.5, "duration_s": 4.0, "groups": [BYSTANDERS | each]}
    ticks = {"source": {"symbols": topics, "rate": 2000}}
    live = tuple(
        f"feeds.0.{line}"
        for line in (
            "type=synthetic",
            "venue=SIM",
            f"symbols={topics}",
            "rate=2000",
            'channels=["trade"]',
        )
    )
    crowd = {"source": {"symbols": max(100, topics // 3), "rate": 2000}}
    return {
        "patterns": Scenario(
            "one client of 255 patterns that cover nothing, 16 times a second subscribe and"
            f" unsubscribe `*` of {topics:,} topics",
            readers | ticks,
            connections=1,
        ),
        "restart": Scenario(
            f"the feed of {topics:,} symbols is killed, beside 40 clients of 256 patterns",
            readers | {"duration_s": 6.0, "source": {"via": "none", "symbols": topics}},
            connections=40,
            gateway=live,
            topics_first=True,
            once=True,
            killed=True,
        ),
        "catchup": _catchup(topics, "lossless"),
        "conflated": _catchup(topics, "conflate"),
        "cut": Scenario(
            f"1,000 clients are reset, each with 300 of {topics:,} topics",
            readers | crowd | {"duration_s": 2.0},
            connections=1000,
            topics_first=True,
            once=True,
        ),
        "limits": Scenario(
            f"20 clients of 256 patterns subscribe to them again, over {topics:,} topics",
            readers | ticks,
            connections=20,
        ),
    }


def _catchup(topics: int, mode: str) -> Scenario:
    """The window begins when they read on."""
    return Scenario(
        f"25 of 250 clients of all topics stop reading for 1.6 s and go on at once, {mode}",
        {
            "warmup_s": 3.0,
            "duration_s": 1.0,
            "source": {"symbols": topics, "rate": 3000},
            "groups": [BYSTANDERS | {"clients": 225, "pick": "all"}],
        },
        connections=25,
        topics_first=True,
        once=True,
        before_s=1.6,
    )


# --- the gateway and those who disturb it --------------------------------------------------------


@dataclass(frozen=True)
class Gateway:
    """One that runs.

    Attributes:
        child: its process.
        url: where clients connect.
        ops: where its figures are.
        udp_port: of its feed; 0: it makes its ticks itself.
    """

    child: Child
    url: str
    ops: str
    udp_port: int

    def feed_pid(self) -> int:
        """The process of its feeds."""
        for pid in family(self.child.pid):
            if b"\0gateway.process\0feed" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        raise SystemExit("the gateway has no process of feeds")

    def published(self) -> int:
        """Trades that its feeds have published."""
        with urlopen(f"{self.ops}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        found = re.search(r'(?m)^tickgate_published_total\{channel="trade"\} (\S+)', text)
        return int(float(found[1])) if found else 0


def start(children: Children, scenario: Scenario, options: argparse.Namespace) -> Gateway:
    """A gateway for the scenario, once it is ready.

    The controller only watches: else it would act within a run, or turn away the clients of the
    next one, and what a step costs would show as something else.
    """
    ports = [options.ports + k if options.ports else free_tcp_port() for k in range(2)]
    udp_port = 0 if scenario.gateway else options.ports + 2 if options.ports else free_udp_port()
    sets = ["listen.host=127.0.0.1", f"listen.port={ports[0]}", f"ops.port={ports[1]}"]
    sets += ["log.format=json", "recorder.enabled=false", "slo.enforce=false"]
    # Sockets that are only held answer no ping.
    sets += ["limits.ping_interval_s=600"]
    sets += scenario.gateway
    if udp_port:
        sets += ["feeds.0.type=udp", f"feeds.0.port={udp_port}", "feeds.0.venue=SIM"]
    argv = [options.server_python, "-P", "-m", "gateway.cli", "serve"]
    argv += [word for one in [*sets, *options.set] for word in ("--set", one)]
    child = children.start("gateway", argv, cpus=options.server_cpus, talks="not")
    deadline = time.monotonic() + START_S
    while (urls := ready_urls(child.said())) is None:
        if time.monotonic() > deadline:
            raise SystemExit(f"the gateway was not ready within {START_S:g} s: {child.said()}")
        children.wait(0.05)
    return Gateway(child, *urls, udp_port)


def make_topics(gateway: Gateway, count: int) -> None:
    """One tick of each instrument, so that all topics are there."""
    if not gateway.udp_port:
        return
    line = '{"channel":"trade","symbol":"SYM%03d",' + TRADE + ',"ts":%d}'
    before = gateway.published()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for first in range(0, count, LINES_EACH):
            lines = [
                line % (k, time.time_ns()) for k in range(first, min(first + LINES_EACH, count))
            ]
            sock.sendto("\n".join(lines).encode(), ("127.0.0.1", gateway.udp_port))
            time.sleep(0.001)
    deadline = time.monotonic() + START_S
    while gateway.published() - before < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{gateway.published() - before} of {count} topics came to be")
        time.sleep(0.1)
    time.sleep(SETTLE_S)


class Disturber:
    """The process that disturbs (bench/disturb.py)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def order(self, what: str) -> dict[str, int]:
        """Has it done; of `end`, what its connections did."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        done: dict[str, int] = json.loads(self.line())
        return done

    def line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"who disturbs has ended: {self._process.wait()}")
        return line


@contextmanager
def disturber(
    kind: str, gateway: Gateway, count: int, topics: int, cpus: Collection[int]
) -> Iterator[Disturber]:
    """The process, connected and subscribed."""
    command = [sys.executable, "-P", str(HERE / "disturb.py"), kind, gateway.url]
    with pinned(cpus):
        process = subprocess.Popen(
            [*command, str(count), str(topics)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        one = Disturber(process)
        one.line()
        yield one
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# --- runs ----------------------------------------------------------------------------------------


class Moment(Quiet):
    """Does something once, when so much of the run is left; and looks at the CPUs at both ends of
    the window."""

    def __init__(
        self, action: Callable[[], object] | None, left_s: float, cpus: Collection[int]
    ) -> None:
        self._action = action
        self._left_s = left_s
        self._cpus = cpus
        self._begun = self._ended = (0.0, 0.0)

    def show(self, snapshot: Snapshot, clients: int) -> None:
        if snapshot.phase == "warming up":
            self._begun = busy_s(self._cpus)
        elif snapshot.phase == "measuring":
            self._ended = busy_s(self._cpus)
        if self._action is None or snapshot.phase != "warming up":
            return
        threading.Timer(max(0.0, snapshot.left_s - self._left_s), self._action).start()
        self._action = None

    @property
    def used(self) -> float:
        """CPU seconds a second that anybody used in the window, on these CPUs."""
        return (self._ended[1] - self._begun[1]) / (self._ended[0] - self._begun[0])


def busy_s(cpus: Collection[int]) -> tuple[float, float]:
    """Now, and how long these CPUs have been busy so far, by whomever; time stolen from us too."""
    names = {f"cpu{cpu}" for cpu in cpus or os.sched_getaffinity(0)}
    total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in names:  # proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal
            total += sum(map(int, fields[:8])) - int(fields[3]) - int(fields[4])
    return time.monotonic(), total / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Half:
    """One run.

    Attributes:
        result: what the bystanders got.
        others: CPU that others than the gateway used on its CPUs, in seconds a second.
        done: what the connections did that disturb.
    """

    result: Result
    others: float
    done: dict[str, int]

    def latency(self, kind: str) -> Latency:
        """Of the bystanders, at themselves or at their kernel."""
        group = self.result.groups[NAME]
        found = group.latency if kind == "age" else group.arrival
        if found is None or not found.count:
            raise SystemExit("nothing was delivered to the bystanders")
        return found

    def invalid(self) -> list[str]:
        """Why the figures are not the gateway's alone."""
        why = [*self.result.invalid_because, *self.result.failed_because]
        if self.others > OTHERS_MAX:
            why.append(
                f"others used {self.others:.0%} of the gateway's CPU (limit {OTHERS_MAX:.0%})"
            )
        return why


@dataclass(frozen=True)
class Bench:
    """Everything that runs, and how a run is made.

    Attributes:
        helper: who disturbs.
        cpus, server_cpus: of clients, and of the gateway.
    """

    scenario: Scenario
    gateway: Gateway
    helper: Disturber
    cpus: Collection[int]
    server_cpus: Collection[int]

    def measure(self, disturbed: bool) -> Half:
        """One run: what the bystanders got, and what was done to disturb them."""
        time.sleep(SETTLE_S)
        scenario, window_s = self.scenario, self.scenario.load["duration_s"]
        document = {"name": "bystander", "url": self.gateway.url, "grace_s": GRACE_S}
        feed = ("127.0.0.1", self.gateway.udp_port) if self.gateway.udp_port else None
        settings = Settings(feed=feed, pid=self.gateway.child.pid, client_cpus=self.cpus)
        action = None
        if disturbed and scenario.once:
            action = self._strike
        elif disturbed:
            self.helper.order("begin")
        view = Moment(action, scenario.before_s + window_s + GRACE_S, self.server_cpus)
        outcome = run(from_document(scenario.load | document), settings, view, environment())
        done = self.helper.order("end")
        self.helper.order("prepare")
        result = judge(outcome.result, [])
        own = result.server.cpu_s / result.duration_s if result.server else 0.0
        return Half(result, view.used - own, done)

    def _strike(self) -> None:
        if self.scenario.killed:
            os.kill(self.gateway.feed_pid(), signal.SIGKILL)
        else:
            self.helper.order("begin")


@dataclass(frozen=True)
class Pair:
    """Two runs, one after the other."""

    quiet: Half
    disturbed: Half

    def ratio(self, kind: str) -> float:
        """The p99 while disturbed to that while not."""
        return self.disturbed.latency(kind).p99_us / self.quiet.latency(kind).p99_us

    def invalid(self) -> list[str]:
        """Why the figures are not the gateway's alone."""
        return [*self.quiet.invalid(), *self.disturbed.invalid()]

    def shown(self) -> str:
        """The figures, quiet → disturbed."""
        parts = [
            f"p99 {self._ages('age', 'p99_us')} ms, ratio {self.ratio('age'):.2f}",
            f"at the kernel {self._ages('arrival', 'p99_us')} ms,"
            f" ratio {self.ratio('arrival'):.2f}",
            f"oldest {self._ages('arrival', 'max_us')} ms",
            f"p50 {self._ages('age', 'p50_us')} ms",
            f"records {self._two(lambda half: str(half.latency('age').count))}",
            f"clients' own p99 {self._two(lambda half: _p99(half.result.own))} ms,"
            f" CPU {self._two(lambda half: f'{half.result.client.busy:.0%}')},"
            f" waiting for it {self._two(lambda half: f'{half.result.client.run_delay:.0%}')}",
            f"source late p99 {self._two(_late)} ms",
            f"gateway's CPU {self._two(_used)}, others on it {self._two(_others)}",
            f"closed {self._two(lambda half: str(half.result.groups[NAME].closed))}",
        ]
        parts += [f"{what} {count}" for what, count in self.disturbed.done.items() if count]
        return "; ".join(parts)

    def _two(self, show: Callable[[Half], str]) -> str:
        return f"{show(self.quiet)} → {show(self.disturbed)}"

    def _ages(self, kind: str, figure: str) -> str:
        return self._two(lambda half: f"{getattr(half.latency(kind), figure) / 1000:.2f}")


def _p99(latency: Latency | None) -> str:
    return f"{latency.p99_us / 1000:.2f}" if latency else "-"


def _late(half: Half) -> str:
    return _p99(half.result.source.late if half.result.source else None)


def _used(half: Half) -> str:
    used = half.result.server
    return f"{used.cpu_s / half.result.duration_s:.0%}" if used else "-"


def _others(half: Half) -> str:
    return f"{half.others:.0%}"


def experiment(name: str, options: argparse.Namespace) -> int:
    """All pairs of one scenario; the exit code."""
    scenario = scenarios(options.topics)[name]
    print(f"{name}: {scenario.what}", flush=True)
    pairs: list[Pair] = []
    with Children() as children:
        gateway = start(children, scenario, options)
        if scenario.topics_first:
            make_topics(gateway, options.topics)
        with disturber(
            name, gateway, scenario.connections, options.topics, options.client_cpus
        ) as helper:
            if not scenario.topics_first:
                make_topics(gateway, options.topics)
            bench = Bench(scenario, gateway, helper, options.client_cpus, options.server_cpus)
            while _valid(pairs) < options.pairs and len(pairs) < TRIES * options.pairs:
                pairs.append(Pair(bench.measure(disturbed=False), bench.measure(disturbed=True)))
                print(f"pair {len(pairs)}: {pairs[-1].shown()}", flush=True)
                print("".join(f"  not valid: {why}\n" for why in pairs[-1].invalid()), end="")
    return verdict(pairs)


def _valid(pairs: Sequence[Pair]) -> int:
    return sum(not pair.invalid() for pair in pairs)


def verdict(pairs: Sequence[Pair]) -> int:
    """Says what came of it; the exit code.

    Pairs that are not valid say nothing. What holds at the clients' kernel but not at the clients
    is their own delay.
    """
    valid = [pair for pair in pairs if not pair.invalid()]
    age, arrival = (statistics.median(one.ratio(kind) for one in valid or pairs) for kind in KINDS)
    which = f"of {len(valid)} valid pairs" if valid else "of pairs that are not valid"
    print(
        f"p99 disturbed : quiet, median {which}: {age:.2f}, at the kernel {arrival:.2f},"
        f" at most {RATIO_MAX}"
    )
    if not valid or (age > RATIO_MAX >= arrival):
        print("NOT VALID: the clients' or the gateway's CPU was what was measured", flush=True)
        return 3
    holds = max(age, arrival) <= RATIO_MAX
    print("HOLDS" if holds else "BROKEN", flush=True)
    return 0 if holds else 1


def _cpus(text: str) -> list[int]:
    return [int(word) for word in text.split(",")] if text else []


def main() -> int:
    names = list(scenarios(1))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("scenario", choices=[*names, "all"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--topics", type=int, default=3000)
    parser.add_argument("--server-python", default=sys.executable, help="of another version's venv")
    parser.add_argument("--set", action="append", default=[], help="of the gateway, KEY=VALUE")
    parser.add_argument("--ports", type=int, default=0, help="first of three; default: free ones")
    both = len(os.sched_getaffinity(0)) > 1
    parser.add_argument("--server-cpus", type=_cpus, default=[0] if both else [])
    parser.add_argument("--client-cpus", type=_cpus, default=[1] if both else [])
    options = parser.parse_args()
    wanted = names if options.scenario == "all" else [options.scenario]
    return max(experiment(name, options) for name in wanted)


if __name__ == "__main__":
    sys.exit(main())
