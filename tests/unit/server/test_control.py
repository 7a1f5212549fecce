"""What the controller did, as the worker tells it: lines, recent steps, the slowest clients."""

import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import asdict

from gateway import _native as native
from gateway.model.status import LadderStep
from gateway.server import control as module
from gateway.server.control import SCANNED_MAX, SLOWEST_MAX, STEPS_MAX, Control
from gateway.server.plane import dispatch

SECOND = 1_000_000_000
NOW = 1000 * SECOND


class Plane:
    """Sockets of `full` have taken nothing since that time."""

    def __init__(self) -> None:
        self.full: dict[int, int] = {}
        self.asked = 0

    def pending(self, handle: int) -> bool:
        self.asked += 1
        return handle in self.full

    def sent_ns(self, handle: int) -> int:
        return self.full[handle]


class Rig:
    """A controller's observer with clients 1 to 3."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.lines: list[tuple[str, str, dict[str, Any]]] = []
        self.stalls: list[tuple[int, str]] = []
        self.plane = Plane()
        self.clients: dict[int, Any] = {}
        self.come(1, 2, 3)
        self.control = Control(
            "worker-0",
            self.plane,
            self.clients,
            lambda duration_ns, words: self.stalls.append((duration_ns, words)),
            lambda: None,
            real_ns=lambda: 77,
        )
        self.now_ns = NOW

    def come(self, *handles: int) -> None:
        for handle in handles:
            client = SimpleNamespace(name=f"c-0-{handle}", peer=f"10.0.0.{handle}", fd=self.fd)
            self.clients[handle] = client

    def slowest(self, *, blocked: int | None = None) -> list[dict[str, Any]]:
        """A second later."""
        self.now_ns += SECOND
        count = len(self.plane.full) if blocked is None else blocked
        return [asdict(client) for client in self.control.slowest(self.now_ns, count)]

    def __getattr__(self, level: str) -> Any:  # of the log
        return lambda event, **fields: self.lines.append((level, event, fields))


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    with Path(os.devnull).open() as no_socket:
        rig = Rig(no_socket.fileno())
        monkeypatch.setattr(module, "_log", rig)
        yield rig


def test_each_step_is_a_line_and_a_row(rig: Rig) -> None:
    rig.control.ladder(2, 1, "p99 of class 0 is 950 us")
    rig.control.ladder(1, 2, "calm")
    assert rig.lines == [
        (
            "warning",
            "ladder.step",
            {"worker": "worker-0", "step": 2, "was": 1, "reason": "p99 of class 0 is 950 us"},
        ),
        ("info", "ladder.step", {"worker": "worker-0", "step": 1, "was": 2, "reason": "calm"}),
    ]
    assert rig.control.steps() == (
        LadderStep(ts=77, step=2, was=1, reason="p99 of class 0 is 950 us"),
        LadderStep(ts=77, step=1, was=2, reason="calm"),
    )


def test_only_recent_steps_are_kept(rig: Rig) -> None:
    for step in range(STEPS_MAX + 5):
        rig.control.ladder(step + 1, step, "up")
    assert [step.was for step in rig.control.steps()] == list(range(5, STEPS_MAX + 5))


def test_a_stall_is_told_on(rig: Rig) -> None:
    rig.control.stall(312_400_000, "stood still")
    assert rig.stalls == [(312_400_000, "stood still")]
    assert rig.lines == [], "whoever is told has a line for it"


def test_a_client_that_is_behind_is_named_until_it_is_not(rig: Rig) -> None:
    rig.control.level(2, 1, 0, "its oldest update waited 153 ms for its socket")
    words = {"level": 1, "was": 0, "reason": "its oldest update waited 153 ms for its socket"}
    who = {"connection_id": "c-0-2", "address": "10.0.0.2"}
    assert rig.lines == [("info", "client.level", {**who, **words})]
    (row,) = rig.slowest()
    assert row == {
        **who,
        "level": 1,
        "age_ms": 0.0,
        "pending_bytes": None,
        "why": "level 1: its oldest update waited 153 ms for its socket",
    }
    rig.plane.full = {2: rig.now_ns - SECOND}
    (row,) = rig.slowest()
    assert row["age_ms"] == 2000.0
    assert row["why"].endswith("; its socket is full and took nothing for 2000 ms")
    rig.plane.full = {}
    rig.control.level(2, 0, 1, "calm for 1000 ms")
    assert rig.slowest() == []


def test_whoever_leaves_is_forgotten(rig: Rig) -> None:
    rig.control.level(2, 3, 2, "slow")
    del rig.clients[2]
    rig.control.forget(2)
    rig.control.level(2, 1, 0, "an event that came too late")
    assert rig.slowest() == []


def test_the_slowest_come_first_and_are_few(rig: Rig) -> None:
    rig.come(*range(4, 40))
    rig.plane.full = {handle: NOW - handle * SECOND for handle in range(1, 40)}
    rows = rig.slowest()
    assert [row["connection_id"] for row in rows] == [f"c-0-{h}" for h in range(39, 29, -1)]
    assert len(rows) == SLOWEST_MAX
    assert all(row["level"] == 0 and "socket is full" in row["why"] for row in rows)


def test_a_pass_costs_nothing_while_nobody_is_behind_and_is_bounded(rig: Rig) -> None:
    assert rig.slowest(blocked=0) == []
    assert rig.plane.asked == 0
    rig.come(*range(4, 3 * SCANNED_MAX))
    last = 3 * SCANNED_MAX - 1
    rig.plane.full = {last: NOW}
    found = [bool(rig.slowest()) for _ in range(4)]
    assert found == [False, False, True, False], "each client has its turn"
    assert rig.plane.asked <= 4 * (SCANNED_MAX + SLOWEST_MAX)
    asked = rig.plane.asked
    rig.control.slowest(rig.now_ns + SECOND - 1, 1)
    assert rig.plane.asked == asked, "once a second at most"


def test_the_kernel_says_what_it_holds(rig: Rig) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as ours,
        server.accept()[0],
    ):
        ours.setblocking(False)
        while ours in select.select([], [ours], [], 0)[1]:
            ours.send(bytes(65536))  # to a peer that reads nothing
        rig.clients[1].fd = ours.fileno()
        rig.plane.full = {1: NOW}
        (row,) = rig.slowest()
    assert row["pending_bytes"] > 0


def test_events_reach_whom_they_are_for() -> None:
    told: list[tuple[Any, ...]] = []

    class Told:
        def __getattr__(self, name: str) -> Any:
            return lambda *args: told.append((name, *args))

    events = [
        (native.EVENT_LADDER, 0, 2, 1, "up"),
        (native.EVENT_LEVEL, 7, 1, 0, "slow"),
        (native.EVENT_STALL, 0, 5_000_000, "stopped"),
        (native.EVENT_LOCAL, 0),
        (native.EVENT_FORBIDDEN, 7, 3),
        (native.EVENT_GONE, 7, 32),
        (native.EVENT_REMOVED, 7),
        (native.EVENT_RESUME, 99),
    ]
    clients: Any = {7: Told()}
    control: Any = Told()
    assert dispatch(events, clients, control) == [7]
    assert told == [
        ("ladder", 2, 1, "up"),
        ("level", 7, 1, 0, "slow"),
        ("stall", 5_000_000, "stopped"),
        ("followed",),
        ("forbidden", 3),
        ("gone", "Broken pipe"),
        ("removed",),
    ]
