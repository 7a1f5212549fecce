"""A venue that sends its records by datagrams to the `udp` feed of a gateway."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gateway.loadtest.ports import free_udp_port


class Venue:
    """Sends records of one venue; `sets` are the settings of the feed that takes them."""

    def __init__(self, name: str = "SIM", index: int = 0) -> None:
        self.name = name
        self._address = "127.0.0.1", free_udp_port()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        host, port = self._address
        options = {"type": "udp", "host": host, "port": port, "venue": name}
        self.sets = [f"feeds.{index}.{key}={json.dumps(value)}" for key, value in options.items()]

    def send(self, *records: dict[str, Any]) -> None:
        """One datagram."""
        lines = (json.dumps({"ts": time.time_ns()} | record) for record in records)
        self.raw("\n".join(lines).encode())

    def raw(self, datagram: bytes) -> None:
        """One datagram of any bytes."""
        self._socket.sendto(datagram, self._address)

    def send_raw(self, line: str) -> None:
        """One datagram of just this."""
        self._socket.sendto(line.encode(), self._address)

    def trades(self, symbol: str, *numbers: int) -> None:
        """Trades in one datagram; the number of each is its id and its quantity."""
        trade = {"channel": "trade", "symbol": symbol, "price": "100.10", "side": "buy"}
        self.send(*(trade | {"id": str(number), "qty": str(number)} for number in numbers))

    def quotes(self, symbol: str, *numbers: int) -> None:
        """Quotes in one datagram; the number of each is its bid's quantity."""
        quote = {"channel": "bbo", "symbol": symbol, "bid": "100.10", "ask": "100.20"}
        self.send(*(quote | {"bid_qty": str(number), "ask_qty": "1"} for number in numbers))

    @contextmanager
    def ticking(self, *symbols: str, every_s: float = 0.005) -> Iterator[None]:
        """A trade and a quote of each symbol, again and again while the context lasts."""
        stop = threading.Event()

        def tick() -> None:
            number = 0
            while not stop.wait(every_s):
                number += 1
                for symbol in symbols:
                    self.trades(symbol, number)
                    self.quotes(symbol, number)

        thread = threading.Thread(target=tick)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def __enter__(self) -> "Venue":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
