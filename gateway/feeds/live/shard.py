"""The connection that brings some symbols' streams, and the one that takes over from it.

There is one line, or none while the next try waits, or two: the newer one has the same streams and,
once it is settled, the older one is closed. What both bring is told apart by the venue's numbers
(`feeds/reading.py`), so that a line is replaced without a hole.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from gateway import log
from gateway.backoff import Backoff
from gateway.feeds.live.pace import Pace
from gateway.feeds.live.session import Session
from gateway.feeds.live.socket import Messages, NotOpened, Socket
from gateway.feeds.live.venue import LiveVenue

BACKOFF_BASE_S: Final = 1.0
BACKOFF_CAP_S: Final = 60.0
PATIENCE_MAX: Final = 64.0
"""A market that is silent has its line replaced at most that many times as late."""
GOODBYE_S: Final = 0.02
"""For close frames to leave at the end."""

_log = log.get("feeds")


class Line:
    """One connection; `socket` is None as long as it opens."""

    __slots__ = ("name", "session", "socket")

    def __init__(self, name: str, session: Session) -> None:
        self.name = name
        self.session = session
        self.socket: Socket | None = None


Receive = Callable[[Line, "list[str | bytes]"], None]


class Shard:
    """Some symbols of a venue.

    Args:
        feed: its name, for the log.
        open_socket: opens a connection; NotOpened.
        receive: takes what a line brings.
        lost: told when the streams come no more, and why.
        connects: the pace at which the venue takes connections.

    Attributes:
        symbols: whose streams it has.
        why: what is wrong with it; "" where nothing is.
        opened: connections that were opened.
    """

    def __init__(
        self,
        feed: str,
        number: int,
        venue: LiveVenue,
        open_socket: Callable[[Messages], Awaitable[Socket]],
        receive: Receive,
        lost: Callable[["Shard", str], None],
        connects: Pace,
    ) -> None:
        self._feed = feed
        self._number = number
        self._venue = venue
        self._open_socket = open_socket
        self._receive = receive
        self._lost = lost
        self._connects = connects
        self._backoff = Backoff(BACKOFF_BASE_S, BACKOFF_CAP_S)
        self._retry_s = 0.0
        self._patience = 1.0
        self._replacing = ""
        self._next: tuple[Line, asyncio.Task[Socket]] | None = None
        self._lines: list[Line] = []
        self._streams: dict[str, None] = {}
        self._closed: list[Socket] = []  # here, the other side may not know yet
        self.symbols: dict[str, None] = {}
        self.why = ""
        self.opened = 0

    @property
    def up(self) -> bool:
        """Whether its streams come."""
        return any(line.session.agreed for line in self._lines)

    def room(self) -> int:
        """How many more streams it takes."""
        return self._venue.facts.streams_max - len(self._streams)

    def add(self, symbol: str) -> None:
        """Follows one more symbol."""
        self.symbols[symbol] = None
        streams = self._venue.streams(symbol)
        self._streams.update(dict.fromkeys(streams))
        for line in self._all():
            line.session.want(streams)

    def drop(self, symbol: str) -> None:
        """The symbol has ended."""
        if self.symbols.pop(symbol, ...) is ...:
            return
        streams = self._venue.streams(symbol)
        for stream in streams:
            self._streams.pop(stream, None)
        for line in self._all():
            line.session.end(streams)

    def again(self, stream: str) -> None:
        """Ends a stream and asks for it anew: its book is to begin with another snapshot."""
        for line in self._all():
            line.session.again(stream)

    def step(self, now_s: float) -> None:
        """What is due now."""
        self._take_opened(now_s)
        for line in tuple(self._lines):
            self._step_line(line, now_s)
        if len(self._lines) > 1 and self._lines[-1].session.settled(now_s):
            self._end(self._lines[0], "another one took over")
        if self.why and self._lines and self._lines[-1].session.settled(now_s):
            self.why = ""
            self._backoff.reset()
        wants = not self._lines or (self._replacing and len(self._lines) == 1)
        if wants and self._next is None and now_s >= self._retry_s and self._connects.take(now_s):
            self._open(now_s)

    async def close(self) -> None:
        """Ends all of it."""
        for line in tuple(self._lines):
            self._end(line, "the feed ends")
        following, self._next = self._next, None
        if following is not None:
            following[1].cancel()
            await asyncio.gather(following[1], return_exceptions=True)
            if not following[1].cancelled() and following[1].exception() is None:
                following[1].result().abort()
        await asyncio.sleep(GOODBYE_S)
        for one in self._closed:
            one.abort()

    def _all(self) -> Iterable[Line]:
        return [*self._lines, *([self._next[0]] if self._next else [])]

    def _open(self, now_s: float) -> None:
        self.opened += 1
        session = Session(self._venue, self._streams, now_s, self._patience)
        line = Line(f"{self._number}.{self.opened}", session)
        heard = functools.partial(self._receive, line)
        self._next = line, asyncio.ensure_future(self._open_socket(heard))

    def _take_opened(self, now_s: float) -> None:
        if self._next is None or not self._next[1].done():
            return
        (line, task), self._next = self._next, None
        try:
            line.socket = task.result()
        except NotOpened as error:
            self._failed(str(error), now_s, error.wait_s)
            return
        self._lines.append(line)
        self._replacing = ""

    def _step_line(self, line: Line, now_s: float) -> None:
        assert line.socket is not None
        if line.socket.ended is not None:
            self._gone(line, line.socket.ended.why, now_s)
            return
        for text in line.session.due(now_s):
            line.socket.send(text)
        if line.session.ping_due(now_s):
            if text := self._venue.ping():
                line.socket.send(text)
            else:
                line.socket.ping()
        verdict = line.session.verdict(now_s)
        if verdict is None:
            return
        if verdict.act == "close":
            self._end(line, verdict.why)
            self._gone(line, verdict.why, now_s)
        elif not self._replacing and line is self._lines[-1] and self._next is None:
            self._replacing = verdict.why
            if verdict.silent:
                self._patience = min(line.session.patience * 2, PATIENCE_MAX)
            _log.warning("feed.replaced", feed=self._feed, line=line.name, why=verdict.why)

    def _gone(self, line: Line, why: str, now_s: float) -> None:
        """The line brings nothing more."""
        if line in self._lines:
            self._lines.remove(line)
        self._replacing = ""
        self._failed(why, now_s, 0.0)
        if not self.up:
            self._lost(self, why)

    def _failed(self, why: str, now_s: float, wait_s: float) -> None:
        pause_s = max(self._backoff.next_s(), wait_s)
        self._retry_s = now_s + pause_s
        self.why = f"{why}; the next try in {pause_s:.1f} s"
        _log.warning("feed.line", feed=self._feed, shard=self._number, why=why, retry_s=pause_s)

    def _end(self, line: Line, why: str) -> None:
        self._lines.remove(line)
        if line.socket is not None:
            line.socket.close(why)
            self._closed = [one for one in self._closed if not one.gone] + [line.socket]
