"""A venue that sends its records by datagrams to the `udp` feed of a gateway."""

import json
import socket
import time
from typing import Any

from support.serving import free_udp_port


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
        self._socket.sendto("\n".join(lines).encode(), self._address)

    def trades(self, symbol: str, *numbers: int) -> None:
        """Trades in one datagram; the number of each is its id and its quantity."""
        trade = {"channel": "trade", "symbol": symbol, "price": "100.10", "side": "buy"}
        self.send(*(trade | {"id": str(number), "qty": str(number)} for number in numbers))

    def quotes(self, symbol: str, *numbers: int) -> None:
        """Quotes in one datagram; the number of each is its bid's quantity."""
        quote = {"channel": "bbo", "symbol": symbol, "bid": "100.10", "ask": "100.20"}
        self.send(*(quote | {"bid_qty": str(number), "ask_qty": "1"} for number in numbers))

    def __enter__(self) -> "Venue":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
