"""Pings and their deadline, on a sweep of a listener that is not running."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.options import LimitsOptions
from gateway.server.connection import State
from gateway.server.listener import KEEPALIVE_SLICES, Listener

SECOND = 1_000_000_000


class Silent:
    """A client that said something once, at second 1."""

    state = State.OPEN
    heard_ns = SECOND
    pinged_ns = message_ns = handle = 0
    reading = True

    def __init__(self) -> None:
        self.pings = 0
        self.failed: list[int] = []

    def ping(self) -> None:
        self.pings += 1
        self.pinged_ns = self.now_ns

    def fail(self, code: int, _: str) -> None:
        self.failed.append(code)

    now_ns = 0


@pytest.fixture
def silent() -> Silent:
    return Silent()


def sweep(client: Silent, second: float, *, pending: bool = False) -> None:
    """All slices of a keepalive sweep at this second."""
    client.now_ns = int(second * SECOND)
    listener: Any = Listener.__new__(Listener)
    listener.limits = LimitsOptions(ping_interval_s=15, pong_timeout_s=20)
    listener.plane = SimpleNamespace(pending=lambda _: pending)
    listener._clients = {1: client}
    listener._waiting, listener._messages = {}, {}
    listener._keepalive_slice = 0
    for _ in range(KEEPALIVE_SLICES):
        for due in listener._find_due(client.now_ns):
            listener._judge(due, client.now_ns)


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
    listener: Any = Listener.__new__(Listener)
    listener.limits = LimitsOptions(message_timeout_s=10)
    listener._clients, listener._waiting, listener._messages = {1: silent}, {}, {silent: None}
    listener._keepalive_slice = 0

    def judged(second: int) -> list[int]:
        for due in listener._find_due(second * SECOND):
            listener._judge(due, second * SECOND)
        return silent.failed

    assert judged(30) == []
    silent.reading = False  # the rest of it waits for us
    assert judged(31) == []
    silent.reading = True
    assert judged(31) == [1008]


def test_a_message_that_is_finished_is_not_looked_at_again(silent: Silent) -> None:
    listener: Any = Listener.__new__(Listener)
    listener.limits = LimitsOptions()
    listener._clients, listener._waiting, listener._messages = {}, {}, {silent: None}
    listener._keepalive_slice = 0
    for due in listener._find_due(SECOND):
        listener._judge(due, SECOND)
    assert not listener._messages
    assert silent.failed == []
