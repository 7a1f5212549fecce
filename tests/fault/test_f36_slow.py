"""Rows 36 to 38 and 40: clients that do not read, read too little, or go away in the middle."""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from support.serving import Metrics, Serving, resident_bytes, until
from support.target import STRICT_FRAMES, STRICT_VENUE, balanced
from support.wire import CLOSE, PING, TEXT, Wire, connected, subscribe

BATCH = 50
SMALL = 2048
"""Of a receive buffer: the kernel takes a little more, and then no more."""

_names = (f"SLOW{number}" for number in itertools.count())


def publish(gateway: Serving, symbol: str, count: int) -> None:
    """Publishes trades 1 to `count` of a symbol of STRICT_VENUE, and waits until they are."""
    start = gateway.metrics().of("published_total", "trade")
    for first in range(1, count + 1, BATCH):
        STRICT_VENUE.trades(symbol, *range(first, min(first + BATCH, count + 1)))
        if first % (20 * BATCH) == 1:  # the kernel's buffer of datagrams has an end
            until(lambda n=start + first: gateway.metrics().of("published_total", "trade") >= n)  # type: ignore[misc]
    until(lambda: gateway.metrics().of("published_total", "trade") >= start + count)


def slow(
    stack: ExitStack,
    gateway: Serving,
    symbol: str,
    mode: str,
    reads: Iterator[int] | None = None,
) -> Wire:
    """A subscriber that reads only when a test says so."""
    wire = stack.enter_context(connected(gateway.url, receive_bytes=SMALL, reads=reads))
    wire.send(subscribe([f"{symbol}.UDP"], mode=mode, snapshot=False))
    assert wire.reply()["success"]
    return wire


def trades(wire: Wire, last: int) -> list[dict[str, Any]]:
    """Trades until the one with this number."""
    got: list[dict[str, Any]] = []
    while not got or got[-1]["seq"] < last:
        message = wire.message()
        if message["channel"] == "trade":
            got.append(message)
    return got


def settled(gateway: Serving) -> Metrics:
    """The metrics once nothing is pending; every routed record must be accounted for."""

    def accounted() -> Metrics | None:
        now = gateway.metrics()
        ends = ("deliveries_total", "conflated_total", "filtered_total")
        dropped = sum(v for k, v in now.items() if k[:2] == ("tickgate_dropped_total", "trade"))
        found = sum(now.of(name, "trade") for name in ends) + dropped
        return now if now.of("pending") == 0 and now.of("routed_total", "trade") == found else None

    now: Metrics = until(accounted)
    return now


def test_f36_conflated_reader_that_pauses_gets_what_is_newest(strict: Serving) -> None:
    symbol, count = next(_names), 5000
    before = strict.metrics()
    with ExitStack() as stack:
        wire = slow(stack, strict, symbol, "conflate")
        publish(strict, symbol, count)
        until(lambda: strict.metrics().of("clients_blocked") == 1)
        got = trades(wire, count)
        assert got[-1]["data"][0]["id"] == str(count)
        last = 0
        for one in got:
            assert one["seq"] == last + 1 + one.get("skipped", 0)
            last = one["seq"]
        conflated = sum(one.get("skipped", 0) for one in got)
        assert conflated > count // 2
        now = settled(strict)
        assert now.of("conflated_total", "trade") - before.of("conflated_total", "trade") == (
            conflated
        )
        assert now.of("deliveries_total", "trade") - before.of("deliveries_total", "trade") == (
            len(got)
        )
        assert wire.ask({"method": "ping", "req_id": 4})["req_id"] == 4


@pytest.mark.parametrize("mode", ["conflate", "lossless"])
@pytest.mark.threat("D10")
def test_f36_memory_of_those_who_never_read_is_bounded(strict: Serving, mode: str) -> None:
    symbol, clients = next(_names), 40
    with ExitStack() as stack:
        for _ in range(clients):
            slow(stack, strict, symbol, mode)
        used = resident_bytes(strict.pid())
        for _ in range(2):
            publish(strict, symbol, 4000)
        # The log of frames is shared and has its own bound; this is far less than 40 clients'
        # 8,000 frames of 230 bytes each, 74 MB.
        assert resident_bytes(strict.pid()) - used < 25 << 20
    until(lambda: balanced(strict.metrics(), 0))
    settled(strict)


def close_of(wire: Wire) -> tuple[int, str]:
    while (one := wire.frame()).opcode != CLOSE:
        assert one.opcode in (TEXT, PING)
    return int.from_bytes(one.payload[:2], "big"), one.payload[2:].decode()


def test_f36_lossless_reader_that_never_reads_is_closed(strict: Serving) -> None:
    symbol = next(_names)
    before = strict.metrics()
    with ExitStack() as stack:
        wire = slow(stack, strict, symbol, "lossless")
        publish(strict, symbol, STRICT_FRAMES * 8)
        until(lambda: strict.metrics().of("subscriptions") == 0)
        code, reason = close_of(wire)
        assert code == 4008
        assert "bytes" in reason
        assert "age" in reason
        assert "use mode=conflate" in reason
    strict.rises(before, "closes_total", "4008")
    assert settled(strict).of("dropped_total", "trade", "slow") > before.of(
        "dropped_total", "trade", "slow"
    )


def test_f36_age_alone_closes_a_lossless_reader(strict: Serving) -> None:
    symbol = next(_names)
    before = strict.metrics()
    with ExitStack() as stack:
        wire = slow(stack, strict, symbol, "lossless")
        while (now := strict.metrics()).of("subscriptions"):
            # More than the kernel takes, but never so many that their number is the reason.
            if not now.of("clients_blocked"):
                STRICT_VENUE.trades(symbol, *range(8))
        code, reason = close_of(wire)
        assert code == 4008
        assert "too old" in reason
    strict.rises(before, "closes_total", "4008")


def test_f36_replies_that_nobody_reads_are_bounded(strict: Serving) -> None:
    """Above half of the control queue requests are not read; what is read is answered."""
    request = subscribe([f"x{number:04}.NOWHERE" for number in range(200)])
    worker = strict.pid()
    with connected(strict.url, receive_bytes=SMALL) as wire:
        used = resident_bytes(worker)
        wire.sock.settimeout(1.0)
        wire.send_anyway(request * 150)
        assert resident_bytes(worker) - used < 8 << 20
        assert wire.reply()["failed"] == 200
        assert wire.reply()["failed"] == 200


def test_f37_a_byte_at_a_time_is_too_slow_for_lossless(strict: Serving) -> None:
    symbol = next(_names)
    before = strict.metrics()
    with ExitStack() as stack:
        wire = slow(stack, strict, symbol, "lossless")
        publish(strict, symbol, 200)
        taken = bytearray()
        while strict.metrics().of("subscriptions"):
            taken += wire.exactly(1)
            STRICT_VENUE.trades(symbol, 0)
        wire.unread(taken)
        assert close_of(wire)[0] == 4008
    strict.rises(before, "closes_total", "4008")


def test_f37_a_byte_at_a_time_is_fast_enough_for_conflated(strict: Serving) -> None:
    symbol, count = next(_names), 2000
    with ExitStack() as stack:
        wire = slow(stack, strict, symbol, "conflate")
        publish(strict, symbol, count)
        received = b"".join(wire.exactly(1) for _ in range(2000))
        assert received.startswith(b"\x81\x7e")
        assert strict.metrics().of("connections") == 1
        wire.reset()
    settled(strict)


@pytest.mark.threat("D10")
def test_f38_the_slow_do_not_slow_the_fast(strict: Serving) -> None:
    symbol, count = next(_names), 3000
    with ExitStack() as stack:
        for mode in ("conflate", "lossless"):
            slow(stack, strict, symbol, mode)
        fast = [stack.enter_context(connected(strict.url)) for _ in range(18)]
        for wire in fast:
            wire.send(subscribe([f"{symbol}.UDP"], snapshot=False))
            assert wire.reply()["success"]
        for first in range(1, count + 1, BATCH):
            # Each batch is sent when the fast ones have the one before.
            STRICT_VENUE.trades(symbol, *range(first, first + BATCH))
            for wire in fast:
                got = trades(wire, first + BATCH - 1)
                assert [one["seq"] for one in got] == list(range(first, first + BATCH))
                assert not any("skipped" in one for one in got)
    until(lambda: balanced(strict.metrics(), 0))
    settled(strict)


@pytest.mark.parametrize("mode", ["conflate", "lossless"])
def test_f40_reset_in_the_middle_of_a_flood(strict: Serving, mode: str) -> None:
    symbol = next(_names)
    before = strict.metrics()
    with ExitStack() as stack:
        wires = [slow(stack, strict, symbol, mode) for _ in range(30)]
        for number, wire in enumerate(wires):
            STRICT_VENUE.trades(symbol, *range(BATCH))
            wire.sock.recv(1 + 37 * number)
            wire.reset()
    until(lambda: balanced(strict.metrics(), 0))
    settled(strict)
    now = strict.metrics()
    codes = {k[1]: now[k] - before[k] for k in now if k[0] == "tickgate_closes_total"}
    assert codes["1006"] + codes["4008"] == 30


@pytest.mark.parametrize("mode", ["conflate", "lossless"])
def test_f40_no_frame_is_torn_however_the_socket_takes_it(strict: Serving, mode: str) -> None:
    symbol, burst = next(_names), STRICT_FRAMES - BATCH
    sizes = itertools.cycle((1, 2, 3, 5, 7, 11, 64, 125, 126, 127, 300, 1000))
    with ExitStack() as stack:
        wire = slow(stack, strict, symbol, mode, reads=sizes)
        last = 0
        for number in range(1, 6):
            STRICT_VENUE.trades(symbol, *range(burst))
            # Each frame is read by its header, so a byte too few or too many would show.
            for one in trades(wire, burst * number):
                assert one["seq"] == last + 1 + one.get("skipped", 0)
                assert mode == "conflate" or "skipped" not in one
                last = one["seq"]
