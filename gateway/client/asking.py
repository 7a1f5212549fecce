"""What a client asks of its gateway, and waits for."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from gateway.client.connection import Closed, Connection
from gateway.client.events import Instrument, Reply, Result
from gateway.client.requests import Request
from gateway.client.session import ClientSession
from gateway.clock import Offset, Ping, estimate

# Pages of one `list` or `stats`: a server that never ends is not followed for ever.
PAGES_MAX = 1000


class RequestRefused(Exception):
    """The gateway refused a whole request; the text has its code and message."""


class Asking:
    """The requests of a client, over the connection that it has."""

    def __init__(self, session: ClientSession, timeout_s: float) -> None:
        self._session = session
        self._timeout_s = timeout_s
        self._connection: Connection | None = None
        self._replies: dict[int | str | None, asyncio.Future[Reply | None]] = {}
        self._room = asyncio.Event()  # for what was read

    async def subscribe(
        self, channel: str, symbols: str | Iterable[str], **params: Any
    ) -> list[Result]:
        """Subscribes to a name or pattern, or several; one result for each string.

        Args:
            channel: "trade", "bbo" or "book"; "slo", whose one symbol is "*"; "health", of which
                "*" is the gateway's own, and a name, a pattern, or "*" with `scope="instruments"`,
                that of instruments.
            symbols: names (`BTCUSDT.BINANCE`) and patterns (`*.SIM`); `escape` writes a name that
                has a star or a tilde.
            params: what else the protocol has: `snapshot=False`, `mode="conflate"`, `class_=2`,
                `max_hz=20`, `max_age_ms=250`, `depth=10`, `from_={"epoch": "k3f9", "seq": 8812}`,
                ...

        Raises:
            RequestRefused: the request as a whole was bad.
            ConnectionError: the connection ended first; the subscription is asked for again with
                the next one.
        """
        return await self._results(self._session.subscribe(channel, symbols, **params))

    async def update(
        self, channel: str, symbols: str | Iterable[str], **params: Any
    ) -> list[Result]:
        """Changes parameters of subscriptions, without a snapshot and without a break.

        Args:
            channel: as they were subscribed to.
            symbols: as they were subscribed to.
            params: `mode`, `class_`, `snapshot`, `max_hz`, `max_age_ms`; those left out stay as
                they are.

        Raises:
            RequestRefused: the request as a whole was bad.
            ConnectionError: the connection ended first; nothing is changed.
        """
        return await self._results(self._session.update(channel, symbols, **params))

    async def unsubscribe(
        self, channel: str, symbols: str | Iterable[str], **params: Any
    ) -> list[Result]:
        """Ends subscriptions; raises as `subscribe` does.

        Args:
            channel: as they were subscribed to.
            symbols: as they were subscribed to.
            params: `scope`, where "health" of all instruments was subscribed to by it.
        """
        return await self._results(self._session.unsubscribe(channel, symbols, **params))

    async def instruments(self, **params: Any) -> list[Instrument]:
        """Every instrument that the gateway knows, or those of a `channel` and `symbol` strings."""
        return [one for page in await self._pages("list", params) for one in page.instruments]

    async def stats(self) -> list[dict[str, Any]]:
        """The accounting of this connection's subscriptions (PROTOCOL section 7)."""
        return [row for page in await self._pages("stats", {}) for row in page.subscriptions]

    async def history(self, **params: Any) -> tuple[dict[str, Any], ...]:
        """What the ops listener remembers: points of the time `from` .. `to` (REALTIME ns), at most
        `points` of them; raises as `subscribe` does."""
        return (await self._ask(self._session.request("history", params))).points

    async def _pages(self, method: str, params: dict[str, Any]) -> list[Reply]:
        pages = [await self._ask(self._session.request(method, params or None))]
        while (after := pages[-1].next) is not None and len(pages) < PAGES_MAX:
            params = {**params, "after": after}
            pages.append(await self._ask(self._session.request(method, params)))
        return pages

    async def offset(self, samples: int = 20) -> Offset | None:
        """The gateway's clock minus this host's, by the fastest of so many pings.

        None where a clock was set in the middle of it. `Tick.age_ns` takes it.
        """
        pings = []
        for _ in range(samples):
            reply = await self._ask(self._session.request("ping", {"t0": time.time_ns()}))
            pings.append(Ping(reply.t0, reply.t1, reply.t2, reply.ts_client))
        return estimate(pings)

    async def _results(self, requests: Iterable[Request]) -> list[Result]:
        return [result for request in requests for result in (await self._ask(request)).results]

    async def _ask(self, request: Request) -> Reply:
        connection = self._connection
        if connection is None:
            raise ConnectionError("not connected")
        future: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._replies[request.req_id] = future
        self._room.set()  # the reply must get through, however many events wait for the consumer
        try:
            await connection.send(request.text)
            async with asyncio.timeout(self._timeout_s):
                reply = await future
        except Closed as error:
            raise ConnectionError(f"the connection ended: {error}") from None
        finally:
            del self._replies[request.req_id]
        if reply is None:
            raise ConnectionError("the connection ended before the reply")
        if reply.error is not None:
            raise RequestRefused(f"{reply.error.code}: {reply.error.message}")
        return reply

    def _fail_replies(self) -> None:
        for future in self._replies.values():
            if not future.done():
                future.set_result(None)
