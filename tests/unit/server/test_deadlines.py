"""Deadlines of messages and of pongs, on sweeps at given times; how many are judged in a turn."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.options import LimitsOptions
from gateway.server.connection import State
from gateway.server.deadlines import JUDGED_PER_TURN, KEEPALIVE_SLICES, Deadlines

SECOND = 1_000_000_000


class Silent:
    """A client that said something once, at second 1."""

    state = State.OPEN
    deadline_ns = 0
    heard_ns = SECOND
    pinged_ns = message_ns = handle = 0
    reading = True
    wake_ns = 0

    def __init__(self) -> None:
        self.pings = self.woken = 0
        self.failed: list[int] = []

    def ping(self) -> None:
        self.pings += 1
        self.pinged_ns = self.now_ns

    def fail(self, code: int, _: str) -> None:
        self.failed.append(code)

    def wake(self) -> None:
        self.woken += 1

    now_ns = 0


@pytest.fixture
def silent() -> Silent:
    return Silent()


class Rig:
    """Deadlines at a time that tests set, with one client at most that is open."""

    def __init__(self, client: Silent | None = None, **limits: float) -> None:
        self.now_ns = 0
        self.pending = False
        self.soon: list[Any] = []
        clients: Any = {1: client} if client is not None else {}
        plane = SimpleNamespace(pending=lambda _: self.pending)
        options = LimitsOptions(**limits)  # type: ignore[arg-type]
        self.deadlines: Any = Deadlines(
            options, clients, plane, lambda: self.now_ns, self.soon.append
        )

    def sweep(self, second: float, times: int = 1) -> None:
        self.now_ns = int(second * SECOND)
        for _ in range(times):
            self.deadlines.sweep()


def sweep(client: Silent, second: float, *, pending: bool = False) -> None:
    """All slices of a keepalive sweep at this second."""
    client.now_ns = int(second * SECOND)
    rig = Rig(client, ping_interval_s=15, pong_timeout_s=20)
    rig.pending = pending
    rig.sweep(second, KEEPALIVE_SLICES)


def test_f39_a_silent_client_is_pinged_once_and_closed_at_the_deadline(silent: Silent) -> None:
    for second in (10, 17, 18, 36):
        sweep(silent, second)
    assert (silent.pings, silent.failed) == (1, [])
    sweep(silent, 38)
    assert silent.failed[0] == 4012


def test_f36_the_deadline_runs_from_the_end_of_what_waits(silent: Silent) -> None:
    sweep(silent, 17)
    for second in range(18, 90):
        sweep(silent, second, pending=True)
    sweep(silent, 100)  # drained at 90: the ping has only now reached the client
    assert (silent.pings, silent.failed) == (1, [])
    sweep(silent, 111)
    assert silent.failed[0] == 4012


def test_whatever_a_client_says_is_a_sign_of_life(silent: Silent) -> None:
    sweep(silent, 17)
    silent.heard_ns = 30 * SECOND  # a request, and no pong
    sweep(silent, 46)
    assert (silent.pings, silent.failed) == (2, [])


def test_f23_a_message_that_is_not_finished_meets_its_deadline(silent: Silent) -> None:
    silent.message_ns = silent.heard_ns = 20 * SECOND
    rig = Rig(message_timeout_s=10)
    rig.deadlines.watch_message(silent)

    def judged(second: int) -> list[int]:
        rig.sweep(second)
        return silent.failed

    assert judged(30) == []
    silent.reading = False  # the rest of it waits for us
    assert judged(31) == []
    silent.reading = True
    assert judged(31) == [1008]


def test_a_message_that_is_finished_is_not_looked_at_again(silent: Silent) -> None:
    rig = Rig()
    rig.deadlines.watch_message(silent)
    rig.sweep(1)
    assert not rig.deadlines._messages
    assert silent.failed == []


def test_a_session_is_woken_once_when_it_wants_to_be(silent: Silent) -> None:
    rig = Rig()

    def woken(second: int, at_second: int | None = None) -> int:
        if at_second is not None:
            silent.wake_ns = at_second * SECOND
            rig.deadlines.watch_session(silent)
        rig.sweep(second)
        return silent.woken

    assert woken(4, 5) == 0
    assert woken(5) == 1
    assert woken(6) == 1
    assert woken(7, 7) == 2
    assert woken(7, 8) == 2
    assert woken(9, 0) == 2, "it wants no more"
    assert woken(9, 10) == 2
    silent.deadline_ns = 90 * SECOND
    rig.deadlines.watch(silent)  # it closes
    assert woken(11) == 2


class Late(Silent):
    """A client that is past the deadline of its state."""

    def __init__(self, ended: list[object]) -> None:
        super().__init__()
        self._ended = ended

    def expire(self) -> None:
        self._ended.append(self)


def test_a_thousand_deadlines_that_pass_at_once_are_kept_some_in_each_iteration() -> None:
    ended: list[object] = []
    rig = Rig()
    clients: list[Any] = [Late(ended) for _ in range(2 * JUDGED_PER_TURN + 22)]
    for client in clients:
        rig.deadlines.watch(client)
    rig.sweep(1)
    counts = [len(ended)]
    rig.sweep(1)  # the next one comes before the first is through: nobody is judged twice
    while rig.soon:
        rig.soon.pop(0)()
        counts.append(len(ended))
    assert counts == [JUDGED_PER_TURN, 2 * JUDGED_PER_TURN, len(clients)]
    assert ended == clients
    assert len(rig.deadlines) == 0


def test_a_client_that_closes_owes_no_message(silent: Silent) -> None:
    rig = Rig(message_timeout_s=10)
    silent.message_ns, silent.deadline_ns = SECOND, 90 * SECOND
    rig.deadlines.watch_message(silent)
    rig.deadlines.watch(silent)
    rig.sweep(30)
    assert (silent.failed, len(rig.deadlines)) == ([], 1)
    rig.deadlines.forget(silent)
    rig.sweep(91)
    assert len(rig.deadlines) == 0
