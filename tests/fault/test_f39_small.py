"""Rows 2, 39 and 54: a gateway with little room, few descriptors and little patience."""

import os
import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from support.serving import Serving, descriptors, until
from support.target import SMALL_CONNECTIONS, SMALL_HANDSHAKES
from support.wire import CLOSE, PING, TEXT, Wire, connected, frame, request, subscribe


def test_f39_one_that_answers_no_ping_is_closed(small: Serving) -> None:
    before = small.metrics()
    with connected(small.url) as wire:
        ping = False
        while (one := wire.frame()).opcode != CLOSE:
            ping = ping or one.opcode == PING
        assert ping
        assert int.from_bytes(one.payload[:2], "big") == 4012
    small.rises(before, "closes_total", "4012")


def test_f39_one_that_answers_stays(small: Serving) -> None:
    with connected(small.url) as wire:
        pings = 0
        while pings < 3:
            one = wire.frame()
            assert one.opcode in (TEXT, PING)
            if one.opcode == PING:
                pings += 1
                wire.send(frame(10, one.payload))


@pytest.mark.threat("D2")
def test_f02_unfinished_handshakes_of_one_address_are_capped(small: Serving) -> None:
    before = small.metrics()
    with ExitStack() as stack:
        stay = stack.enter_context(connected(small.url))
        for _ in range(SMALL_HANDSHAKES):
            stack.enter_context(Wire(small.url)).send(b"GET")
        small.rises(before, "accepted_total", by=SMALL_HANDSHAKES + 1)
        with Wire(small.url) as wire:
            response = wire.response()
            assert response.status == 429
            assert int(response.headers["retry-after"]) > 0
        assert stay.ask({"method": "ping", "req_id": 6})["req_id"] == 6
    small.rises(before, "handshakes_total", "limited")
    small.rises(before, "handshakes_total", "closed", by=SMALL_HANDSHAKES)
    with connected(small.url) as wire:
        assert wire.ask({"method": "ping"})["success"]


def test_f54_more_clients_than_may_be_are_sent_away(small: Serving) -> None:
    before = small.metrics()
    with ExitStack() as stack:
        for _ in range(SMALL_CONNECTIONS):
            stack.enter_context(connected(small.url))
        with Wire(small.url) as wire:
            wire.send(request())
            response = wire.response()
            assert response.status == 503
            assert "max_connections" in response.body.decode()
    small.rises(before, "handshakes_total", "shed")
    until(lambda: small.metrics().of("connections") == 0)


@contextmanager
def few_descriptors(pid: int, more: int) -> Iterator[None]:
    """Lets a process open only so many more; they are counted from the highest that is open."""
    highest = max(map(int, os.listdir(f"/proc/{pid}/fd")))
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + more, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


@pytest.mark.threat("D11")
def test_f54_out_of_descriptors(small: Serving) -> None:
    before = small.metrics()
    lines = len(small.lines())
    with ExitStack() as stack:
        stay = stack.enter_context(connected(small.url))
        stay.send(subscribe(["SYM001.SIM"]))
        assert stay.reply()["success"]
        with few_descriptors(small.pid(), 2):
            waiting = [stack.enter_context(Wire(small.url)) for _ in range(6)]
            for wire in waiting:
                wire.send(request())
            until(lambda: small.get("/readyz")[0] == 503)
            assert b"descriptors" in small.get("/readyz")[1]
            # Who is there already is served: data and answers.
            assert stay.ask({"method": "ping", "req_id": 7})["req_id"] == 7
            while stay.message()["channel"] != "trade":
                continue
            # The gateway rests between attempts: some a second, not one each turn of the loop.
            until(lambda: failures(small, before) > 0)
            counted, start_s = failures(small, before), time.monotonic()
            time.sleep(0.5)
            assert failures(small, before) - counted < 20 * (time.monotonic() - start_s) + 2
            assert small.get("/readyz")[0] == 503
            until(lambda: "accept.failed" in small.lines()[lines:])
            assert small.lines()[lines:].count("accept.failed") == 1
        # With descriptors again, all who wait come in.
        for wire in waiting:
            assert wire.response().status == 101
            assert wire.message()["type"] == "hello"
        until(lambda: small.get("/readyz")[0] == 200)
        until(lambda: "accept.resumed" in small.lines()[lines:])


def failures(small: Serving, before: dict[tuple[str, ...], float]) -> float:
    name = "tickgate_accept_errors_total", "EMFILE"
    return small.metrics()[name] - before[name]


@pytest.mark.parametrize("how", ["close", "reset", "refused", "half-closed", "garbage"])
def test_f54_no_descriptor_is_left_after_many_connections(small: Serving, how: str) -> None:
    """Invariant I8."""
    worker = small.pid()
    with connected(small.url) as wire:
        wire.ask({"method": "ping"})
    until(lambda: small.metrics().of("connections") == 0)
    held, threads = descriptors(worker), len(os.listdir(f"/proc/{worker}/task"))
    for _ in range(300):
        with Wire(small.url) as wire:
            if how == "garbage":
                wire.send(b"\x00\r\n\r\n")
                wire.response()
            elif how == "refused":
                wire.send(request("/nowhere"))
                wire.response()
            else:
                wire.open()
                wire.send(subscribe(["*"]))
                if how == "reset":
                    wire.reset()
                elif how == "half-closed":
                    wire.end()
                    wire.ended()
    until(lambda: descriptors(worker) <= held)
    assert len(os.listdir(f"/proc/{worker}/task")) == threads
