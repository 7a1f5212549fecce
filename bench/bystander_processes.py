"""What bench/bystander.py starts: a gateway, and the process that disturbs it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from gateway.loadtest.children import Child, Children, pinned
from gateway.loadtest.ports import free_tcp_port, free_udp_port
from gateway.loadtest.processes import family
from gateway.loadtest.target import ready_urls

HERE = Path(__file__).resolve().parent
START_S = 30.0
SETTLE_S = 1.0
"""After all topics are there, and between two runs."""
TRADE = '"price":"1.5","qty":"1","side":"buy","id":"1"'
LINES_EACH = 10
"""Ticks in one datagram."""


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

    def tick(self, symbols: Sequence[int]) -> None:
        """A tick of each of these instruments, in one datagram."""
        line = '{"channel":"trade","symbol":"SYM%03d",' + TRADE + ',"ts":%d}'
        lines = "\n".join(line % (k, time.time_ns()) for k in symbols)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(lines.encode(), ("127.0.0.1", self.udp_port))

    def published(self) -> int:
        """Trades that its feeds have published."""
        with urlopen(f"{self.ops}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        found = re.search(r'(?m)^tickgate_published_total\{channel="trade"\} (\S+)', text)
        return int(float(found[1])) if found else 0


@dataclass(frozen=True)
class Machine:
    """What is started how.

    Attributes:
        python: of the environment that the gateway is of.
        settings: of the gateway, beside ours.
        ports: the first of three; 0: free ones.
        server_cpus, client_cpus: of the gateway, and of all else; empty: any.
    """

    python: str
    settings: Sequence[str]
    ports: int
    server_cpus: Collection[int]
    client_cpus: Collection[int]


def start(children: Children, machine: Machine, feed: Sequence[str]) -> Gateway:
    """A gateway, once it is ready; with a `udp` feed where `feed` names no other.

    The controller only watches: else it would act within a run, or turn away the clients of the
    next one, and what a step costs would show as something else.
    """
    ports = [machine.ports + k if machine.ports else free_tcp_port() for k in range(2)]
    udp_port = 0 if feed else machine.ports + 2 if machine.ports else free_udp_port()
    sets = ["listen.host=127.0.0.1", f"listen.port={ports[0]}", f"ops.port={ports[1]}"]
    sets += ["log.format=json", "recorder.enabled=false", "slo.enforce=false"]
    sets += ["limits.ping_interval_s=600"]  # sockets that are only held answer no ping
    feed = feed or ("type=udp", f"port={udp_port}", "venue=SIM")
    sets += [f"feeds.0.{line}" for line in feed]
    argv = [machine.python, "-P", "-m", "gateway.cli", "serve"]
    argv += [word for one in [*sets, *machine.settings] for word in ("--set", one)]
    child = children.start("gateway", argv, cpus=machine.server_cpus, talks="not")
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
    before = gateway.published()
    for first in range(0, count, LINES_EACH):
        gateway.tick(range(first, min(first + LINES_EACH, count)))
        time.sleep(0.001)
    deadline = time.monotonic() + START_S
    while gateway.published() - before < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{gateway.published() - before} of {count} topics came to be")
        time.sleep(0.1)
    time.sleep(SETTLE_S)


class Disturber:
    """The process that disturbs: bench/disturb.py, bench/attackers.py."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

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
            raise SystemExit(f"the disturbers' process has ended: {self._process.wait()}")
        return line


def disturber(
    kind: str, gateway: Gateway, count: int, topics: int, cpus: Collection[int]
) -> AbstractContextManager[Disturber]:
    """Clients of `bench/disturb.py`, connected and subscribed."""
    return helper("disturb.py", [kind, gateway.url, str(count), str(topics)], cpus)


@contextmanager
def helper(program: str, words: Sequence[str], cpus: Collection[int]) -> Iterator[Disturber]:
    """The process, once it is ready; in a session of its own, so that it can come last."""
    with pinned(cpus):
        process = subprocess.Popen(
            [sys.executable, "-P", str(HERE / program), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    try:
        one = Disturber(process)
        one.line()
        yield one
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
