"""One process of clients: a native swarm driven by one thread, and a main thread that reports.

`python -m gateway.loadtest.swarm_process FD`: FD is the link to the load test. The process ends
when the link does. What it counts it never resets; progress is the difference of two looks.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence

import numpy as np

from gateway import host
from gateway._native import SWARM_HISTOGRAMS, Swarm, request_slice
from gateway.latency.histogram import Counts
from gateway.loadtest.link import (
    Failed,
    Final,
    Go,
    Job,
    Link,
    Opened,
    Progress,
    Sparse,
    Stop,
    moments,
    total,
)
from gateway.loadtest.refusals import said

GAUGES = ("open",)
FOREVER_NS = 1 << 62
JOIN_S = 5.0
LOOK_S = 0.05
STILL_NS = 20_000_000
"""A thread that wakes up later than this had no CPU, or its process was stopped: it stood still."""
SLICE_NS = 100_000
"""Scheduler slice of the driving thread: what waits for a CPU meanwhile is its own delay."""


class _Driver(threading.Thread):
    """Connects and drives the clients until the swarm is stopped."""

    def __init__(self, swarm: Swarm, timeout_ns: int) -> None:
        super().__init__(name="swarm", daemon=True)
        self._swarm = swarm
        self._timeout_ns = timeout_ns
        self.opened = threading.Event()
        self.message = Opened(0, 0)
        self.error: Exception | None = None

    def run(self) -> None:
        request_slice(SLICE_NS)
        try:
            began = time.monotonic_ns()
            clients = self._swarm.connect(self._timeout_ns)
            took_ns = time.monotonic_ns() - began
            refused = {
                said(code, message): count
                for kind, code, message, count in self._swarm.refused()
                if kind == "handshake"
            }
            self.message = Opened(clients, took_ns, refused)
            self.opened.set()
            self._swarm.run(FOREVER_NS)
        except Exception as error:
            self.error = error
            self.opened.set()


class _Reporter:
    """Tells what came since the last look."""

    def __init__(self, swarm: Swarm, measured: Sequence[int]) -> None:
        self._swarm = swarm
        self._measured = measured
        self._counters = self._sums()
        self._ages = self._read_ages()

    def progress(self, tick: int) -> Progress:
        counters, ages = self._sums(), self._read_ages()
        before, self._counters = self._counters, counters
        new = {group: Sparse.of(ages[group] - self._ages[group]) for group in ages}
        self._ages = ages
        since = {
            name: value - (0 if name in GAUGES else before.get(name, 0))
            for name, value in counters.items()
        }
        return Progress(tick, since, new)

    def _sums(self) -> dict[str, int]:
        counters = self._swarm.counters()
        sums = total([counters[group] for group in self._measured])
        return sums | {"open": sum(group["open"] for group in counters)}

    def _read_ages(self) -> dict[int, Counts]:
        return {group: self._swarm.counts("age", group) for group in self._measured}


class _Load:
    """The process's own part: the load of its driving thread, and when nothing ran at all.

    Attributes:
        during: inside the window, as far as it went.
    """

    def __init__(self, swarm: Swarm, go: Go) -> None:
        self._swarm = swarm
        self._go = go
        self._before: dict[str, int] = {}
        self._still_ns = self._still_max_ns = 0
        self._awake_ns = time.monotonic_ns()
        self.during: dict[str, int] = {}

    def sleep(self, link: Link, seconds: float) -> bool:
        """Waits for a message; the time since the last wait beyond that, it stood still."""
        found = link.poll(seconds)
        now_ns = time.monotonic_ns()
        late_ns = now_ns - self._awake_ns - round(seconds * 1e9)
        self._awake_ns = now_ns
        if late_ns > STILL_NS and time.time_ns() > self._go.start_ns:
            self._still_ns += late_ns
            self._still_max_ns = max(self._still_max_ns, late_ns)
        return found

    def look(self, moment: int) -> None:
        """Takes the load at one of the run's moments."""
        load = self._swarm.load()
        if moment <= self._go.start_ns:
            self._before = load
        if moment <= self._go.end_ns:
            self.during = {name: value - self._before.get(name, 0) for name, value in load.items()}
            self.during["turn_max_ns"] = load["turn_max_ns"]
        self.during |= {"still_ns": self._still_ns, "still_max_ns": self._still_max_ns}


def main(argv: Sequence[str]) -> int:
    """Runs the job that comes through the link."""
    link = Link.inherited(int(argv[0]))
    job = link.receive()
    if not isinstance(job, Job):
        return 1
    try:
        _raise_descriptor_limit(len(job.clients) // 12)
        swarm = _swarm(job)
        driver = _Driver(swarm, job.open_timeout_ns)
        driver.start()
        final = _run(link, swarm, driver, job)
        swarm.stop()
        driver.join(JOIN_S)
        if driver.error is not None:
            raise driver.error
        if final is not None:
            link.send(_final(swarm, len(job.groups), final))
            link.receive()  # the load test closes when it has all
    except BrokenPipeError:
        return 1
    except Exception as error:
        link.send(Failed(f"{type(error).__name__}: {error}"))
        link.receive()
        return 1
    return 0


def _swarm(job: Job) -> Swarm:
    return Swarm(
        targets=job.targets,
        accept=job.accept,
        sources=job.sources,
        groups=job.groups,
        texts=job.texts,
        clients=np.frombuffer(job.clients, np.int32).reshape(-1, 3),
        stamp=(job.stamp_kind, job.stamp_arg),
        connect_rate=job.connect_rate,
        clock_offset_ns=job.clock_offset_ns,
        hash_key=job.hash_key,
        tls_hosts=job.tls_hosts,
    )


def _run(link: Link, swarm: Swarm, driver: _Driver, job: Job) -> dict[str, int] | None:
    """From connecting to the end; the load inside the window, None: the load test is gone."""
    while not driver.opened.wait(LOOK_S):
        if link.poll(0):  # nothing is due yet: it is the end, or the order to stop
            return {} if isinstance(link.receive(), Stop) else None
    if driver.error is not None:
        raise driver.error
    link.send(driver.message)
    go = link.receive()
    if not isinstance(go, Go):
        return {} if isinstance(go, Stop) else None
    _begin(swarm, go, job.clock_offset_ns)
    measured = [n for n, group in enumerate(job.groups) if group.get("measured")]
    reporter, load = _Reporter(swarm, measured), _Load(swarm, go)
    for tick, moment in enumerate(moments(go)):
        while (left_ns := moment - time.time_ns()) > 0:
            if driver.error is not None:
                raise driver.error
            if load.sleep(link, min(left_ns / 1e9, LOOK_S)):
                return load.during if isinstance(link.receive(), Stop) else None
        load.look(moment)
        link.send(reporter.progress(tick))
    return load.during


def _begin(swarm: Swarm, go: Go, clock_offset_ns: int) -> None:
    """Sets the moments of the run.

    Raises:
        TimeoutError: it has begun; what came before is counted nowhere.
    """
    # The window is of stamps, and those are of the server's clock.
    swarm.window(go.start_ns + clock_offset_ns, go.end_ns + clock_offset_ns)
    swarm.go(go.at_ns)
    late_ns = time.time_ns() - go.start_ns
    if late_ns > 0:
        raise TimeoutError(
            f"the window began {late_ns / 1e6:.0f} ms before this process was ready for it: the"
            " machine is too busy, or the warm-up too short"
        )


def _final(swarm: Swarm, groups: int, load: dict[str, int]) -> Final:
    ticks, mask = swarm.ticks()
    return Final(
        counters=swarm.counters(),
        histograms={
            name: [_histogram(swarm, name, group) for group in range(groups)]
            for name in SWARM_HISTOGRAMS
        },
        load=load,
        ticks=ticks.tobytes(),
        tick_mask=mask,
        refused=swarm.refused(),
    )


def _histogram(swarm: Swarm, name: str, group: int) -> Sparse:
    _, sum_ns, saturated, negative = swarm.totals(name, group)
    counts = swarm.counts(name, group)
    return Sparse.of(counts, sum_ns=sum_ns, saturated=saturated, negative=negative)


def _raise_descriptor_limit(clients: int) -> None:
    """One descriptor a client: takes what the hard limit allows, within reason.

    Raises:
        OSError: that is not enough.
    """
    limit = host.raise_descriptor_limit().soft
    if clients + 64 > limit:
        raise OSError(
            f"{clients} clients need as many descriptors; the limit is {limit}"
            " (ulimit -Hn): raise it, or use more --processes"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
