"""Records for a gateway from another program of its host: `publisher` feeds (docs/publisher.md).

    with Publisher("/run/tickgate/feed.sock", "desk-7") as publisher:
        publisher.trade("BTCUSDT", "64250.10", "0.015", side="buy", id="7")
        publisher.flush()

What has been given is sent, and sent again over a new connection where the old one is lost, until
the gateway says that it has it. There is no thread: what the socket does not take at once leaves
with the next call, and `flush` waits for the last word.
"""

import contextlib
import json
import secrets
import select
import socket
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, Self

from gateway.backoff import Backoff

Level = tuple[str, str]
BACKOFF_BASE_S: Final = 0.05
BACKOFF_CAP_S: Final = 2.0
_READ_BYTES: Final = 65_536
_WRITE_BYTES: Final = 65_536
_WAIT_S: Final = 0.05


class PublisherError(Exception):
    """The gateway refuses this program, in its words."""


class Publisher:
    """One program's line of records. Not for several threads at once.

    Args:
        path: of the feed's socket (`feeds.N.unix`).
        name: unlike that of every other program of the feed, the same each time: letters, digits,
            `.`, `_` and `-`.
        kept_bytes: lines that the gateway has not acknowledged take so much at most; who gives more
            waits.

    Attributes:
        refused: lines of this connection that the gateway refused.
        last_refused: what it said of the last of these: `symbol`, `field`, `value`, `why`.
        reconnects: how often the connection was lost.
    """

    def __init__(self, path: str, name: str, *, kept_bytes: int = 16 << 20) -> None:
        self._path = path
        self._name = name
        self._kept_max = kept_bytes
        self._kept: deque[bytes] = deque()  # lines without a word of theirs, the oldest first
        self._kept_bytes = 0
        self._first = 1  # the number of the oldest
        self._new: deque[bytes] = deque()  # of them, those that are not sent on this connection
        self._stream = secrets.token_hex(8)
        self._out = b""
        self._in = b""
        self._sock: socket.socket | None = None
        self._backoff = Backoff(BACKOFF_BASE_S, BACKOFF_CAP_S)
        self._again_s = 0.0  # no connection is tried before
        self._ended = ""
        self.refused = 0
        self.last_refused: Mapping[str, Any] | None = None
        self.reconnects = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            if kind is None:
                self.flush()

    # --- records ----------------------------------------------------------------------------------

    def trade(
        self,
        symbol: str,
        price: str,
        qty: str,
        *,
        side: Literal["buy", "sell"] | None = None,
        id: str = "",
        ts: int = 0,
    ) -> None:
        """A trade; `side` is the taker's, `ts` the venue's time in ns since 1970, 0: unknown."""
        self.send(channel="trade", symbol=symbol, price=price, qty=qty, side=side, id=id, ts=ts)

    def bbo(
        self,
        symbol: str,
        bid: str | None,
        bid_qty: str | None,
        ask: str | None,
        ask_qty: str | None,
        *,
        ts: int = 0,
    ) -> None:
        """Best bid and offer; None for both values of a side that is not there."""
        sides = {"bid": bid, "bid_qty": bid_qty, "ask": ask, "ask_qty": ask_qty}
        self.send(channel="bbo", symbol=symbol, **sides, ts=ts)

    def book(
        self,
        symbol: str,
        type: Literal["snapshot", "update"],
        bids: Iterable[Level],
        asks: Iterable[Level],
        *,
        first: int | None = None,
        last: int | None = None,
        ts: int = 0,
    ) -> None:
        """A whole book, or the levels that changed in one: (price, quantity), "0" is gone."""
        numbers = {"first": first, "last": last}
        some = {name: number for name, number in numbers.items() if number is not None}
        sides = {"bids": list(bids), "asks": list(asks)}
        self.send(channel="book", symbol=symbol, type=type, **sides, **some, ts=ts)

    def heartbeat(self, interval_ms: int) -> None:
        """Says that all is well, and will be said again within this time."""
        self.send(channel="heartbeat", interval_ms=interval_ms)

    def send(self, **members: Any) -> None:
        """Any line that the feed knows (docs/protocol.md, Lines of the `udp` feed)."""
        self.line(json.dumps(members, separators=(",", ":")).encode())

    def line(self, text: bytes) -> None:
        """A line as it is, without its end.

        Raises:
            ValueError: it has an end inside.
            PublisherError: the gateway will have nothing of this program.
        """
        if b"\n" in text:
            raise ValueError("a line has no end inside")
        whole = text + b"\n"
        self._kept.append(whole)
        self._new.append(whole)
        self._kept_bytes += len(whole)
        self._step()
        while self._kept_bytes > self._kept_max:
            self._wait(_WAIT_S)

    # --- the line ---------------------------------------------------------------------------------

    @property
    def unacknowledged(self) -> int:
        """Lines of which the gateway has not said that it has them."""
        return len(self._kept)

    def flush(self, timeout_s: float = 10.0) -> None:
        """Waits until the gateway has everything.

        Raises:
            TimeoutError: it has not by then; nothing is forgotten.
            PublisherError: as `line`.
        """
        end_s = time.monotonic() + timeout_s
        self._step()
        while self._kept:
            if time.monotonic() >= end_s:
                raise TimeoutError(f"{len(self._kept)} lines are not acknowledged")
            self._wait(min(_WAIT_S, timeout_s))

    def close(self) -> None:
        """At once; what is not acknowledged may be lost."""
        self._lose()

    def _step(self) -> None:
        """Connects, reads and writes what can be without waiting."""
        if self._ended:
            raise PublisherError(self._ended)
        if self._sock is None and not self._connect():
            return
        try:
            self._read()
            self._write()
        except OSError:
            self._lose()
            self._later()

    def _wait(self, timeout_s: float) -> None:
        sock = self._sock
        if sock is None:
            time.sleep(max(0.0, min(timeout_s, self._again_s - time.monotonic())))
        else:
            select.select([sock], [sock] if self._pending else [], [], timeout_s)
        self._step()

    def _connect(self) -> bool:
        if time.monotonic() < self._again_s:
            return False
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            self._later()
            return False
        sock.setblocking(False)
        self._sock = sock
        said = {"publisher": self._name, "stream": self._stream, "next": self._first}
        self._out = json.dumps({"channel": "hello", **said}).encode() + b"\n"
        self._in, self._new = b"", deque(self._kept)
        self.refused = 0
        return True

    def _later(self) -> None:
        self._again_s = time.monotonic() + self._backoff.next_s()

    def _lose(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None
            self.reconnects += 1

    @property
    def _pending(self) -> bool:
        return bool(self._out or self._new)

    def _write(self) -> None:
        sock = self._sock
        while sock is not None and self._pending:
            if not self._out:
                size, some = 0, []
                while self._new and size < _WRITE_BYTES:
                    some.append(self._new.popleft())
                    size += len(some[-1])
                self._out = b"".join(some)
            try:
                count = sock.send(self._out, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            self._out = self._out[count:]

    def _read(self) -> None:
        sock = self._sock
        while sock is not None:
            try:
                data = sock.recv(_READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                raise ConnectionResetError
            *lines, self._in = (self._in + data).split(b"\n")
            for line in lines:
                self._told(json.loads(line))

    def _told(self, said: Mapping[str, Any]) -> None:
        if (error := said.get("error")) is not None:
            self._ended = str(error)
            self._lose()
            raise PublisherError(self._ended)
        self._backoff.reset()
        self.refused = said["refused"]
        self.last_refused = said.get("last_refused", self.last_refused)
        while self._first <= said["taken"] and self._kept:
            self._kept_bytes -= len(self._kept.popleft())
            self._first += 1
