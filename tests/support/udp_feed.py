"""A udp feed over the doubles of a test, whose intake leaves it everything."""

from collections.abc import Callable

from gateway.feeds.feed import Counters, Publisher, Stats
from gateway.feeds.options import UdpOptions
from gateway.feeds.udp import DatagramSocket, UdpFeed


def trade(symbol: str = "SYM001", **fields: str) -> bytes:
    members = {"price": '"64250.10"', "qty": '"0.015"', "side": '"buy"', "id": '"7"', "ts": "5"}
    body = ",".join(f'"{key}":{value}' for key, value in (members | fields).items())
    return f'{{"channel":"trade","symbol":"{symbol}",{body}}}'.encode()


class Learned:
    """An intake that takes nothing, and keeps what it learned."""

    def __init__(self, symbols: list[tuple[str, str, int]]) -> None:
        self.symbols = symbols

    def learn(self, channel: str, symbol: str, topic: int) -> None:
        self.symbols.append((channel, symbol, topic))

    def forget(self, channel: str, symbol: str) -> None:
        self.symbols[:] = [one for one in self.symbols if one[:2] != (channel, symbol)]


def make(
    publisher: Publisher,
    stats: Stats,
    socket: DatagramSocket,
    reopen: Callable[[], DatagramSocket] | None = None,
    owners: dict[str, int] | None = None,
    learned: list[tuple[str, str, int]] | None = None,
) -> UdpFeed:
    """The feed, `feeds.3`, not started."""
    counters = Counters("udp:9700", "udp", "SIM", 3, stats)
    return UdpFeed(
        "udp:9700",
        3,
        UdpOptions(),
        publisher,
        counters,
        {} if owners is None else owners,
        Learned([] if learned is None else learned),
        socket,
        reopen or (lambda: socket),
    )
