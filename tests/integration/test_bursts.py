"""A feed that bursts: the ladder takes steps and takes them back; who pays is who was to pay.

The target is of the size of one fan-out, so that the burst is an overload on any machine; no time
is asserted, and the classes' percentiles are the load test's to show (`tickgate bench overload`).
"""

import selectors
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.fleet import Client, Json, decode
from support.serving import Serving, serving, until
from support.udp import Venue

SYMBOLS = tuple(f"SYM{number}" for number in range(8))
TRADERS, QUOTES, SCREENS = 4, 4, 32
BURST_S = 60.0
"""It may be over sooner: it lasts until the controller has acted."""
RECORDS = 20
"""In one datagram, of each symbol."""


@pytest.fixture
def venue() -> Iterator[Venue]:
    with Venue() as venue:
        yield venue


def test_f47_a_burst_is_conflated_where_allowed_and_over_once_it_is_over(
    tmp_path: Path, venue: Venue
) -> None:
    with (
        serving(tmp_path / "log", *venue.sets, "slo.target_us=300") as gateway,
        ExitStack() as stack,
    ):

        def join(channel: str, **params: int) -> Client:
            client = stack.enter_context(Client(gateway.url))
            client.subscribe(channel, "SYM*", **params)
            client.next(method="subscribe", success=True)
            return client

        traders = [join("trade") for _ in range(TRADERS)]
        quotes = [join("bbo") for _ in range(QUOTES)]
        screens = [join("bbo", **{"class": 2}) for _ in range(SCREENS)]
        everybody = [*traders, *quotes, *screens]
        sent = _burst(gateway, venue, everybody)
        _until(gateway, everybody, "ladder_step")
        venue.quotes("SYM0", sent + 1)  # with this everybody hears that it is over
        _until(gateway, everybody, "pending")
        _read(everybody, 0.5)
        assert _interval_s(gateway, 2) == 0
        metrics = gateway.metrics()
        for what in ("dropped", "conflated"):
            assert metrics.of(f"class_{what}_total", "0") == 0
        assert metrics.of("class_conflated_total", "2") > 0
        for client in traders:
            assert _streams(client) == {f"{name}.SIM": (sent, 0) for name in SYMBOLS}
        for client in screens:
            told = [row for row in _system(client.messages, "conflation") for row in row["data"]]
            assert told
            assert {row["class"] for row in told} == {2}
            assert told[-1]["interval_ms"] == 0, "the end is told, too"
            assert all(last - sent in (0, 1) for last, _ in _streams(client).values())
            assert any(skipped for _, skipped in _streams(client).values())
        assert all(client.closed is None for client in everybody)
        until(lambda: gateway.lines().count("ladder.step") >= 2)  # each step is a line


def _burst(gateway: Serving, venue: Venue, everybody: list[Client]) -> int:
    """Sends until the screens are conflated, and then some; how many records of each topic."""
    sent, deadline, conflated = 0, time.monotonic() + BURST_S, False
    while not conflated:
        assert time.monotonic() < deadline, gateway.status()["controller"]
        conflated = _interval_s(gateway, 2) > 0  # each screen gets something after it, and is told
        for _ in range(10):
            for name in SYMBOLS:
                numbers = range(sent + 1, sent + RECORDS + 1)
                venue.trades(name, *numbers)
                venue.quotes(name, *numbers)
            sent += RECORDS
            _read(everybody, 0.002)
    return sent


def _read(clients: list[Client], seconds: float) -> None:
    """Reads what comes to any of them for so long."""
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ, client)
        while (left := end - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                key.data.read()


def _until(gateway: Serving, clients: list[Client], gauge: str) -> None:
    """Waits until a gauge is 0 everywhere, and reads meanwhile."""

    def zero() -> bool:
        _read(clients, 0.05)
        return not gateway.metrics().total(gauge)

    until(zero, 40)


def _interval_s(gateway: Serving, priority: int) -> float:
    return gateway.metrics().of("conflation_interval_seconds", str(priority), "worker-0")


def _system(messages: list[bytes], kind: str) -> list[Json]:
    return [m for m in map(decode, messages) if m.get("channel") == "system" and m["type"] == kind]


def _streams(client: Client) -> dict[str, tuple[int, int]]:
    """Of each symbol the last seq, and how many updates were skipped; none may be missing."""
    streams: dict[str, tuple[int, int]] = {}
    for message in map(decode, client.messages):
        if "symbol" in message and "seq" in message:
            last, skipped = streams.get(message["symbol"], (0, 0))
            assert message["seq"] == last + 1 + message.get("skipped", 0)
            streams[message["symbol"]] = message["seq"], skipped + message.get("skipped", 0)
    return streams
