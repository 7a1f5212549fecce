"""Rows 62 and 46: a stall, or a clock that is set, is named, and no client is blamed for it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from support.bystander import Bystander
from support.serving import Metrics, Serving, serving, until
from support.udp import Venue
from support.wire import connected, subscribe

PAUSE_S = 0.6
SECOND_NS = 1_000_000_000
TRIES_MAX = 10
COLLECTION_S = 0.5
VENUE = Venue("UDP", index=1)
SETTINGS = (
    'feeds.0.type="synthetic"',
    "feeds.0.symbols=20",
    "feeds.0.rate=1000",  # which clients keep up with on a busy machine
    *VENUE.sets,
    # A third of the pause: it would be reason enough to degrade somebody, were it load; and so far
    # above what a busy machine adds that nothing else is.
    "slo.target_us=200000",
)
COLLECT = f"""
import gc, signal, time

class Slow:
    def __init__(self):
        self.itself = self
    def __del__(self):
        time.sleep({COLLECTION_S})

def collect(*_):
    Slow()
    gc.collect()

signal.signal(signal.SIGUSR2, collect)
"""
"""Run by each process of the gateway as it starts: a signal makes it collect for so long."""


STEPPED_CLOCK = Path(__file__).parents[1] / "support" / "stepped_clock.c"


class Clock:
    """The wall clock of processes that are started with `environ`: ahead by what was set."""

    def __init__(self, where: Path) -> None:
        library, self._offset = where / "stepped_clock.so", where / "offset"
        command = ["cc", "-O1", "-shared", "-fPIC", "-o", str(library), str(STEPPED_CLOCK)]
        subprocess.run(command, check=True)
        self._offset.write_bytes(bytes(8))
        self.environ = {"LD_PRELOAD": str(library), "STEPPED_CLOCK": str(self._offset)}

    def set(self, ahead_ns: int) -> None:
        with self._offset.open("r+b") as file:
            file.write(ahead_ns.to_bytes(8, sys.byteorder, signed=True))


class Scene:
    """A gateway under load, with a client of each mode that must not notice anything."""

    def __init__(self, gateway: Serving, clients: list[Bystander], clock: Clock) -> None:
        self.gateway = gateway
        self.clients = clients
        self.clock = clock

    def stop(self, name: str) -> None:
        """Stops one process for a while."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(PAUSE_S)
        os.kill(pid, signal.SIGCONT)

    def pid(self, name: str) -> int:
        return self.gateway.process.pid if name == "supervisor" else self.gateway.pid(name)

    def named(self, process: str, kind: str, since_ns: int) -> dict[str, Any]:
        """The stall in /statusz, once it is there."""
        return self._stall(
            lambda row: (row["process"], row["kind"]) == (process, kind) and row["ts"] > since_ns
        )

    def clock_was_set(self, way: str, ms: float) -> dict[str, Any]:
        """The supervisor's, where its time is of no use; other tests have set the clock, too."""
        words = f"the wall clock was set {way} by"
        return self._stall(
            lambda row: (
                row["process"] == "supervisor"
                and row["words"].startswith(words)
                and abs(abs(row["ms"]) - ms) <= 50
            )
        )

    def _stall(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        found: dict[str, Any] = until(
            lambda: next((row for row in self.gateway.status()["stalls"] if wanted(row)), None)
        )
        return found

    def nobody_is_blamed(self, before: Metrics) -> None:
        """All clients go on, nobody was closed, degraded or told anything, nothing was lost."""
        for client in self.clients:
            client.goes_on(200)
        now, counters = self.gateway.metrics(), self.gateway.status()["counters"]
        for name in ("closes_total", "dropped_total", "child_restarts_total"):
            assert now.total(name) == before.total(name), name
        assert now.of("connections") == len(self.clients)
        # The plane judges for tenths of a second after the pause; by now it has.
        assert (counters["level_down"], counters["ladder_up"]) == (0, 0)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    where = tmp_path_factory.mktemp("stalls")
    (where / "sitecustomize.py").write_text(COLLECT)
    clock = Clock(where)
    environ = {"PYTHONPATH": str(where), **clock.environ}
    with ExitStack() as stack:
        gateway = stack.enter_context(serving(where / "stderr", *SETTINGS, environ=environ))
        clients = [Bystander(gateway.url, ["SYM*"], mode) for mode in ("lossless", "conflate")]
        for client in clients:
            stack.callback(client.stop)
            client.goes_on()
        yield Scene(gateway, clients, clock)


@pytest.mark.parametrize("process", ["worker-0", "feed", "supervisor"])
def test_f62_a_stopped_process_is_named(scene: Scene, process: str) -> None:
    before, since_ns = scene.gateway.metrics(), time.time_ns()
    scene.stop(process)
    row = scene.named(process, "process", since_ns)
    assert row["ms"] >= 50, row
    assert "continued by a signal" in row["words"]
    assert scene.gateway.says(f"{process} watchdog stall kind=process ms={row['ms']}")
    scene.nobody_is_blamed(before)


def test_f62_a_promise_broken_by_a_stop_says_so(scene: Scene) -> None:
    broken = re.compile(r'slo\.state state=breached .*held_up="[^"]*worker-0: process')

    def told() -> bool:
        return broken.search(scene.gateway.lines()) is not None

    for _ in range(TRIES_MAX):  # a busy machine may have broken it already
        until(lambda: scene.gateway.status()["slo"]["state"] == "ok")
        scene.stop("worker-0")
        with suppress(AssertionError):
            until(told, 15)
            return
    raise AssertionError("it is never said")


def test_f62_a_long_collection_is_named(scene: Scene) -> None:
    before, since_ns = scene.gateway.metrics(), time.time_ns()
    os.kill(scene.pid("worker-0"), signal.SIGUSR2)
    row = scene.named("worker-0", "gc", since_ns)
    assert row["ms"] >= COLLECTION_S * 1000, row
    until(lambda: scene.gateway.status()["processes"][1]["gc_pause_max_ms"] >= row["ms"] - 1)
    scene.nobody_is_blamed(before)


@pytest.mark.parametrize("ahead_s", [-3600, 3600])
def test_f46_stamps_of_another_wall_clock_are_counted_and_not_used(
    scene: Scene, ahead_s: int
) -> None:
    """The kernel's stamps are an hour off the feed's clock: in the future, or far too old."""
    with connected(scene.gateway.url) as wire:
        wire.send(subscribe(["CLOCK.UDP"], snapshot=False))
        assert wire.reply()["success"]
        before = scene.gateway.metrics()
        scene.clock.set(ahead_s * SECOND_NS)
        try:
            VENUE.trades("CLOCK", 1)
            while (message := wire.message())["channel"] != "trade":
                continue
        finally:
            scene.clock.set(0)
    told_s = message["ts_recv"] / SECOND_NS - time.time()
    assert abs(told_s - ahead_s) < 60  # by the feed's own clock
    assert message["ts_send"] >= message["ts_recv"]
    anomalies = "stamp_anomalies_total"
    until(lambda: scene.gateway.metrics().total(anomalies) == before.total(anomalies) + 1)


def test_f46_a_wall_clock_that_is_set_is_named_and_put_back(scene: Scene) -> None:
    before = scene.gateway.metrics()
    for ahead_s, way in ((10, "forward"), (0, "back")):
        scene.clock.set(ahead_s * SECOND_NS)
        row = scene.clock_was_set(way, 10_000)
        assert row["kind"] == "clock"
        scene.nobody_is_blamed(before)
    assert scene.gateway.says("supervisor watchdog stall kind=clock ms=10")


def test_f62_every_process_shows_how_its_loop_turns(scene: Scene) -> None:
    rows = {row["name"]: row for row in scene.gateway.status()["processes"]}
    assert list(rows) == ["feed", "worker-0", "supervisor"]
    assert rows["supervisor"]["pid"] == scene.gateway.process.pid
    until(lambda: all(row["cpu"] > 0 for row in scene.gateway.status()["processes"]))
    for row in rows.values():
        assert row["loop_lag_max_ms"] >= row["loop_lag_ms"] >= 0
        assert row["run_delay_ms"] >= 0
