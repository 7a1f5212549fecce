"""Measures what bystanders notice of clients that disturb a running gateway within its limits.

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
import math
import os
import signal
import statistics
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bystander_processes import (
    SETTLE_S,
    Disturber,
    Gateway,
    Machine,
    disturber,
    make_topics,
    start,
)

from gateway.errors import TickgateError
from gateway.loadtest.children import Children
from gateway.loadtest.environment import environment
from gateway.loadtest.progress import Quiet
from gateway.loadtest.result import Latency, Result
from gateway.loadtest.run import Settings, run
from gateway.loadtest.scenario import from_document
from gateway.loadtest.thresholds import judge
from gateway.loadtest.timeline import Snapshot

RATIO_MAX = 1.5
"""Bystanders' p99 while disturbed, to that while not."""
GRACE_S = 4.0
"""Ticks of the window may come so late: the worst steps took seconds."""
NAME = "bystanders"
BYSTANDERS: dict[str, Any] = {"name": NAME, "clients": 100}
TRIES = 3
"""Pairs that are made for each valid one, at most."""
OTHERS_MAX = 0.25
"""Of the gateway's CPUs, what others than its processes may use."""
LATE_MAX_S = 0.2
"""A disturbance that comes later than this has missed its window."""
TOPICS_MIN = 1000
"""So that those who are cut have 300 each in which nothing ticks."""
CLIENTS = 250
"""Of all topics, where some stop reading."""
STOPPED = 25
RATE = 1990
"""Ticks a second. The kernel's ticks must not divide it: at 2,000 each would find the gateway in
the same place, and /proc/stat, which counts by them, would say that it used all of its core or
none."""
CATCHUP_RATE = 2990
KINDS = ("age", "arrival")
"""At the client, and at its kernel."""


@dataclass(frozen=True)
class Scenario:
    """What disturbs, and whom.

    Attributes:
        what: in words.
        load: of the load test: its groups, its ticks, the length of its window.
        connections: of the process that disturbs.
        feed: settings of the gateway's feed; none: a `udp` feed, which gets the load test's ticks.
        topics_first: the topics exist before the disturbers subscribe. Without topics their
            patterns cost nothing at the start.
        once: the disturbance is one moment; else it lasts.
        before_s: how long before the window's start that moment is.
        killed: the feed is killed in that moment.
        tick_after: the instrument that ticks right after it; -1: none.
    """

    what: str
    load: dict[str, Any]
    connections: int
    feed: tuple[str, ...] = ()
    topics_first: bool = False
    once: bool = False
    before_s: float = 0.0
    killed: bool = False
    tick_after: int = -1


def scenarios(
    topics: int, stopped: int = STOPPED, rate: float = CATCHUP_RATE
) -> dict[str, Scenario]:
    """All of them, with so many topics; of `catchup` and `conflated` also how many clients stop
    reading, and the ticks a second."""
    each = {"pick": "random", "symbols_each": 100}
    readers = {"warmup_s": 1.5, "duration_s": 4.0, "groups": [BYSTANDERS | each]}
    ticks = {"source": {"symbols": topics, "rate": RATE}}
    synthetic = (
        "type=synthetic",
        "venue=SIM",
        f"symbols={topics}",
        f"rate={RATE}",
        'channels=["trade"]',
    )
    crowd = {"source": {"symbols": topics // 3, "rate": RATE}}
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
            feed=synthetic,
            topics_first=True,
            once=True,
            killed=True,
        ),
        "catchup": _catchup(topics, "lossless", stopped, rate),
        "conflated": _catchup(topics, "conflate", stopped, rate),
        "cut": Scenario(
            f"1,000 clients are reset, each with 300 of {topics:,} topics, one of which ticks then",
            readers | crowd | {"duration_s": 2.0},
            connections=1000,
            topics_first=True,
            once=True,
            tick_after=topics - 1,
        ),
        "limits": Scenario(
            f"20 clients of 256 patterns subscribe to them again, over {topics:,} topics",
            readers | ticks,
            connections=20,
        ),
    }


def _catchup(topics: int, mode: str, stopped: int, rate: float) -> Scenario:
    """The window begins when they read on, and is over soon after they have it all."""
    return Scenario(
        f"{stopped} of {CLIENTS} clients of all topics stop reading for 1.6 s and go on at once,"
        f" {mode}, {rate:,g} ticks/s",
        {
            "warmup_s": 3.0,
            "duration_s": 0.5,
            "source": {"symbols": topics, "rate": rate},
            "groups": [BYSTANDERS | {"clients": CLIENTS - stopped, "pick": "all"}],
        },
        connections=stopped,
        topics_first=True,
        once=True,
        before_s=1.6,
    )


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
        self._timer: threading.Timer | None = None
        self.late_s = 0.0
        self._begun = self._ended = (0.0, 0.0)

    def show(self, snapshot: Snapshot, clients: int) -> None:
        if snapshot.phase == "warming up":
            self._begun = busy_s(self._cpus)
        elif snapshot.phase == "measuring":
            self._ended = busy_s(self._cpus)
        if self._action is not None and snapshot.phase == "warming up":
            wait_s = max(0.0, snapshot.left_s - self._left_s)
            due_s = time.monotonic() + wait_s
            self.late_s = math.inf
            self._timer = threading.Timer(wait_s, self._act, [self._action, due_s])
            self._timer.start()
            self._action = None

    def _act(self, action: Callable[[], object], due_s: float) -> None:
        action()
        self.late_s = time.monotonic() - due_s

    def end(self) -> None:
        """Waits for what was begun."""
        if self._timer is not None:
            self._timer.join()

    @property
    def used(self) -> float:
        """CPU seconds a second that anybody used in the window, on these CPUs."""
        return (self._ended[1] - self._begun[1]) / (self._ended[0] - self._begun[0])


def busy_s(cpus: Collection[int]) -> tuple[float, float]:
    """Now, and for how long processes have had these CPUs so far; what was stolen from us too."""
    names = {f"cpu{cpu}" for cpu in cpus or os.sched_getaffinity(0)}
    total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in names:  # proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal
            total += sum(int(fields[k]) for k in (0, 1, 2, 5, 6, 7))
    return time.monotonic(), total / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Half:
    """One run.

    Attributes:
        result: what the bystanders got.
        others: CPU that others than the gateway used on its CPUs, in seconds a second.
        late_s: how late the moment of the disturbance was; infinite: it did not come.
        done: what the connections did that disturb.
    """

    result: Result
    others: float
    late_s: float
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
        if self.late_s > LATE_MAX_S:
            why.append(f"it was disturbed {self.late_s:.1f} s too late (limit {LATE_MAX_S} s)")
        return why


@dataclass(frozen=True)
class Bench:
    """Everything that runs, and how a run is made.

    Attributes:
        helper: the disturbers.
        machine: on which CPUs.
    """

    scenario: Scenario
    gateway: Gateway
    helper: Disturber
    machine: Machine

    def measure(self, disturbed: bool) -> Half:
        """One run: what the bystanders got, and what the disturbers did."""
        time.sleep(SETTLE_S)
        scenario, window_s = self.scenario, self.scenario.load["duration_s"]
        document = {"name": "bystander", "url": self.gateway.url, "grace_s": GRACE_S}
        feed = ("127.0.0.1", self.gateway.udp_port) if self.gateway.udp_port else None
        settings = Settings(
            feed=feed, pid=self.gateway.child.pid, client_cpus=self.machine.client_cpus
        )
        action = None
        if disturbed and scenario.once:
            action = self._strike
        elif disturbed:
            self.helper.order("begin")
        view = Moment(action, scenario.before_s + window_s + GRACE_S, self.machine.server_cpus)
        outcome = run(from_document(scenario.load | document), settings, view, environment())
        view.end()
        done = self.helper.order("end")
        self.helper.order("prepare")
        result = judge(outcome.result, [])
        own = result.server.cpu_s / result.duration_s if result.server else 0.0
        return Half(result, view.used - own, view.late_s, done)

    def _strike(self) -> None:
        if self.scenario.killed:
            os.kill(self.gateway.feed_pid(), signal.SIGKILL)
            return
        self.helper.order("begin")
        if self.scenario.tick_after >= 0:
            self.gateway.tick([self.scenario.tick_after])


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


@dataclass(frozen=True)
class Verdict:
    """What came of a scenario: an exit code, and why in words."""

    code: int
    words: str


def experiment(name: str, options: argparse.Namespace) -> Verdict:
    """All pairs of one scenario."""
    scenario = scenarios(options.topics, options.stopped, options.rate)[name]
    if options.client_cpus:
        os.sched_setaffinity(0, options.client_cpus)  # this program too is none of the gateway's
    machine = Machine(
        python=options.server_python,
        settings=options.set,
        ports=options.ports,
        server_cpus=options.server_cpus,
        client_cpus=options.client_cpus,
    )
    print(f"{name}: {scenario.what}", flush=True)
    pairs: list[Pair] = []
    with Children() as children:
        gateway = start(children, machine, scenario.feed)
        if scenario.topics_first:
            make_topics(gateway, options.topics)
        with disturber(
            name, gateway, scenario.connections, options.topics, machine.client_cpus
        ) as helper:
            if not scenario.topics_first:
                make_topics(gateway, options.topics)
            bench = Bench(scenario, gateway, helper, machine)
            while _valid(pairs) < options.pairs and len(pairs) < TRIES * options.pairs:
                pairs.append(Pair(bench.measure(disturbed=False), bench.measure(disturbed=True)))
                print(f"pair {len(pairs)}: {pairs[-1].shown()}", flush=True)
                print("".join(f"  not valid: {why}\n" for why in pairs[-1].invalid()), end="")
    found = verdict(pairs)
    print(found.words, flush=True)
    return found


def _valid(pairs: Sequence[Pair]) -> int:
    return sum(not pair.invalid() for pair in pairs)


def verdict(pairs: Sequence[Pair]) -> Verdict:
    """What came of it.

    Pairs that are not valid say nothing. What holds at the clients' kernel but not at the clients
    is their own delay.
    """
    valid = [pair for pair in pairs if not pair.invalid()]
    age, arrival = (statistics.median(one.ratio(kind) for one in valid or pairs) for kind in KINDS)
    if not valid or age > RATIO_MAX >= arrival:
        code, word = 3, "NOT VALID, the CPU of the clients or the gateway was what was measured"
    else:
        holds = max(age, arrival) <= RATIO_MAX
        code, word = (0, "HOLDS") if holds else (1, "BROKEN")
    which = f"{len(valid)} valid pairs" if valid else f"{len(pairs)} pairs, none of them valid"
    return Verdict(
        code,
        f"p99 disturbed : quiet, median of {which}: {age:.2f}, at the kernel {arrival:.2f}, at most"
        f" {RATIO_MAX}: {word}",
    )


def _cpus(text: str) -> list[int]:
    return [int(word) for word in text.split(",")] if text else []


def main() -> int:
    names = list(scenarios(TOPICS_MIN))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("scenario", choices=[*names, "all"])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--topics", type=int, default=3000)
    parser.add_argument("--stopped", type=int, default=STOPPED, help=f"of {CLIENTS} that catch up")
    parser.add_argument("--rate", type=float, default=CATCHUP_RATE, help="where they catch up")
    parser.add_argument("--server-python", default=sys.executable, help="of another version's venv")
    parser.add_argument("--set", action="append", default=[], help="of the gateway, KEY=VALUE")
    parser.add_argument("--ports", type=int, default=0, help="first of three; default: free ones")
    both = len(os.sched_getaffinity(0)) > 1
    parser.add_argument("--server-cpus", type=_cpus, default=[0] if both else [])
    parser.add_argument("--client-cpus", type=_cpus, default=[1] if both else [])
    options = parser.parse_args()
    if options.topics < TOPICS_MIN:
        parser.error(f"--topics {options.topics}: expected at least {TOPICS_MIN}")
    if not 0 < options.stopped < CLIENTS:
        parser.error(f"--stopped {options.stopped}: expected 1 to {CLIENTS - 1}")
    wanted = names if options.scenario == "all" else [options.scenario]
    try:
        found = {name: experiment(name, options) for name in wanted}
    except TickgateError as error:
        raise SystemExit(str(error)) from None
    if len(found) > 1:
        print("".join(f"{name}: {one.words}\n" for name, one in found.items()), end="")
    return min((one.code for one in found.values() if one.code), default=0)


if __name__ == "__main__":
    sys.exit(main())
