"""One client's session: requests in, actions out (PROTOCOL.md sections 2, 3 and 5). Sans-IO.

Theory of operation. A session is open until it answers with a `Close`; from then on it answers
nothing. Each message costs one token of the connection and one of the worker, is decoded, and is
handled in one step; nothing is ever under way but `stats`, whose rows come later.

    open --request--> open      Reply | Subscribe | Unsubscribe | Query
    open --error----> open      Reply; the `errors_per_minute`th in a minute adds Close(4502)
    open --flood----> open      Reply rate_limited; once the bucket of refusals is empty Close(4029)
    closed --any----> closed    nothing

The session knows each string that the client subscribed to, with its id and its parameters. Which
topics a pattern covers, and whose parameters win, is the data plane's to know: it sees a topic
appear before its first record is routed. The count of topics here is the sum over all strings, of
what each covered when it was asked for, so that a request is refused before any work; what patterns
gain later, the plane counts.

A request with symbols is carried out in two passes: the first decides each symbol and writes the
reply, the second changes the session. A reply that would be too large thus changes nothing.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from heapq import nsmallest
from operator import itemgetter
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct

from gateway.model.record import CHANNELS, CHANNELS_PLANNED, Channel
from gateway.model.topic import check_pattern, is_pattern, match_pattern, split_instrument
from gateway.session import codes, messages, replies
from gateway.session.actions import (
    Action,
    Close,
    Item,
    Query,
    Reply,
    StatsRow,
    Subscribe,
    Unsubscribe,
)
from gateway.session.catalog import Catalog
from gateway.session.codes import ErrorCode
from gateway.session.messages import Malformed, ReqId
from gateway.session.options import Shared
from gateway.session.quota import Quota
from gateway.session.replies import Error, Results

_ID_MASK: Final = (1 << 32) - 1  # the data plane's ids have 32 bits
_NAME: Final = itemgetter(0)


class _Subscription(Struct, frozen=True, gc=False):
    id: int
    channel: str
    name: str
    lossless: bool
    snapshot: bool
    topics: int  # what it counts against the limit
    pattern: bool


@dataclass(frozen=True, slots=True)
class Statistics:
    """A session's state at one moment.

    Attributes:
        topics: what counts against the limit: names, and what each pattern covered when asked for.
        refused: requests that were beyond the rate.
    """

    connection_id: str
    subscriptions: int
    patterns: int
    topics: int
    requests: int
    errors: int
    refused: int
    queries: int
    closed: bool


class Session:
    """The protocol's state of one connection. No method blocks or reads a clock."""

    __slots__ = (
        "_by_id",
        "_by_name",
        "_catalog",
        "_closed",
        "_connection_id",
        "_errors",
        "_next_id",
        "_next_token",
        "_patterns",
        "_queries",
        "_quota",
        "_refused",
        "_requests",
        "_shared",
        "_topics",
    )

    def __init__(self, connection_id: str, catalog: Catalog, shared: Shared) -> None:
        self._connection_id = connection_id
        self._catalog = catalog
        self._shared = shared
        self._quota = Quota()
        self._by_name: dict[tuple[str, str], _Subscription] = {}
        self._by_id: dict[int, _Subscription] = {}
        self._next_id = 0
        self._topics = 0
        self._patterns = 0
        self._queries: dict[int, tuple[ReqId, int, int]] = {}
        self._next_token = 0
        self._requests = 0
        self._errors = 0
        self._refused = 0
        self._closed = False

    @property
    def subscriptions(self) -> int:
        """How many strings are subscribed to."""
        return len(self._by_name)

    def statistics(self) -> Statistics:
        """The state at this moment."""
        return Statistics(
            connection_id=self._connection_id,
            subscriptions=len(self._by_name),
            patterns=self._patterns,
            topics=self._topics,
            requests=self._requests,
            errors=self._errors,
            refused=self._refused,
            queries=len(self._queries),
            closed=self._closed,
        )

    def hello(self, real_ns: int) -> Reply:
        """The first message on the connection; `real_ns` is REALTIME."""
        options = self._shared.options
        return replies.hello(
            version=options.version,
            connection_id=self._connection_id,
            now_ns=real_ns,
            heartbeat_ms=options.heartbeat_ms,
            slo=options.slo,
        )

    def receive(self, text: str, *, mono_ns: int, real_ns: int) -> list[Action]:
        """What one message asks for, to be carried out in order. No text makes it raise.

        Args:
            text: a whole text message.
            mono_ns: MONOTONIC time of its receipt.
            real_ns: REALTIME of its receipt.
        """
        if self._closed:
            return []
        self._requests += 1
        shared = self._shared
        wait_ns = self._quota.take(shared.rate, mono_ns)
        if wait_ns:
            return self._refuse(text, wait_ns, mono_ns)
        wait_ns = shared.bucket.take(mono_ns)
        if wait_ns:
            return [self._rate_limited(text, wait_ns, "all clients of this worker together")]
        try:
            request = messages.decode(text)
        except Malformed as bad:
            return self._malformed(bad, mono_ns)
        return _HANDLERS[type(request)](self, request, mono_ns, real_ns)

    # --- subscriptions ----------------------------------------------------------------------------

    def _subscribe(self, request: messages.Subscribe, mono_ns: int, real_ns: int) -> list[Action]:
        params = request.params
        channel = self._channel(params)
        if isinstance(channel, Error):
            return self._fail("subscribe", request.req_id, channel, mono_ns)
        lossless = channel.lossless if params.mode is UNSET else params.mode == "lossless"
        recover = params.from_ is not UNSET
        snapshot = recover or params.snapshot is not False
        results = Results()
        accepted: list[_Subscription] = []
        topics, patterns, free_id = self._topics, self._patterns, self._next_id
        for name in dict.fromkeys(params.symbol):
            known = self._by_name.get((channel.name, name))
            pattern = is_pattern(name)
            cost = self._admit(channel.name, name, pattern, known, topics, patterns)
            if isinstance(cost, Error):
                self._shared.reject(cost.code)
                results.refused(name, cost)
                continue
            if known is None:
                topics += cost
                patterns += pattern
                while free_id in self._by_id:
                    free_id = (free_id + 1) & _ID_MASK
                identity, free_id = free_id, (free_id + 1) & _ID_MASK
            else:
                topics += cost - known.topics
                identity = known.id
            accepted.append(
                _Subscription(identity, channel.name, name, lossless, snapshot, cost, pattern)
            )
            results.subscribed(
                channel.name,
                name,
                pattern=pattern,
                lossless=lossless,
                snapshot=snapshot,
                recover=recover,
            )
        reply = results.reply("subscribe", request.req_id, real_ns)
        if len(reply.payload) > self._shared.options.reply_bytes_max:
            return self._too_large("subscribe", request.req_id, mono_ns)
        self._topics, self._patterns, self._next_id = topics, patterns, free_id
        return self._commit("subscribe", reply, accepted, resync=True)

    def _update(self, request: messages.Update, mono_ns: int, real_ns: int) -> list[Action]:
        params = request.params
        channel = self._channel(params)
        if isinstance(channel, Error):
            return self._fail("update", request.req_id, channel, mono_ns)
        results = Results()
        accepted: list[_Subscription] = []
        for name in dict.fromkeys(params.symbol):
            known = self._by_name.get((channel.name, name))
            if known is None:
                self._not_subscribed(results, channel.name, name)
                continue
            changed = msgspec.structs.replace(
                known,
                lossless=known.lossless if params.mode is UNSET else params.mode == "lossless",
                snapshot=known.snapshot if params.snapshot is UNSET else params.snapshot,
            )
            accepted.append(changed)
            results.subscribed(
                channel.name,
                name,
                pattern=known.pattern,
                lossless=changed.lossless,
                snapshot=changed.snapshot,
                recover=False,
            )
        reply = results.reply("update", request.req_id, real_ns)
        if len(reply.payload) > self._shared.options.reply_bytes_max:
            return self._too_large("update", request.req_id, mono_ns)
        return self._commit("update", reply, accepted, resync=False)

    def _commit(
        self, method: str, reply: Reply, accepted: list[_Subscription], *, resync: bool
    ) -> list[Action]:
        if not accepted:
            self._shared.count(method, "failed")
            return [reply]
        self._shared.count(method, "ok")
        items: list[Item] = []
        for one in accepted:
            self._by_name[one.channel, one.name] = one
            self._by_id[one.id] = one
            items.append((one.id, one.channel, one.name, one.lossless, one.snapshot, resync))
        return [Subscribe(reply.payload, reply.slots, tuple(items))]

    def _unsubscribe(
        self, request: messages.Unsubscribe, mono_ns: int, real_ns: int
    ) -> list[Action]:
        channel = self._channel(request.params)
        if isinstance(channel, Error):
            return self._fail("unsubscribe", request.req_id, channel, mono_ns)
        results = Results()
        ended: list[_Subscription] = []
        for name in dict.fromkeys(request.params.symbol):
            known = self._by_name.get((channel.name, name))
            if known is None:
                self._not_subscribed(results, channel.name, name)
            else:
                ended.append(known)
                results.unsubscribed(channel.name, name)
        reply = results.reply("unsubscribe", request.req_id, real_ns)
        if len(reply.payload) > self._shared.options.reply_bytes_max:
            return self._too_large("unsubscribe", request.req_id, mono_ns)
        if not ended:
            self._shared.count("unsubscribe", "failed")
            return [reply]
        self._shared.count("unsubscribe", "ok")
        for one in ended:
            del self._by_name[one.channel, one.name]
            del self._by_id[one.id]
            self._topics -= one.topics
            self._patterns -= one.pattern
        return [Unsubscribe(reply.payload, reply.slots, tuple(one.id for one in ended))]

    def _channel(
        self,
        params: messages.SubscribeParams | messages.UpdateParams | messages.UnsubscribeParams,
    ) -> Channel | Error:
        """The channel that a request names, or what is wrong with the request as a whole."""
        if not isinstance(params, messages.UnsubscribeParams):
            for name, attribute in messages.UNBUILT.items():
                if getattr(params, attribute) is not UNSET:
                    return Error(codes.BAD_REQUEST, f"params.{name}: not built yet")
        limit = self._shared.options.symbols_per_request
        if not 1 <= len(params.symbol) <= limit:
            count = len(params.symbol)
            return Error(codes.BAD_REQUEST, f"params.symbol: 1 to {limit} strings, not {count}")
        return CHANNELS.get(params.channel) or _no_channel(params.channel)

    def _admit(
        self,
        channel: str,
        name: str,
        pattern: bool,
        known: _Subscription | None,
        topics: int,
        patterns: int,
    ) -> int | Error:
        """What a string counts in topics, or why it is refused; `topics`, `patterns` are in use."""
        options = self._shared.options
        cost = 1
        if pattern:
            try:
                check_pattern(name)
            except ValueError as bad:
                return Error(codes.UNKNOWN_SYMBOL, str(bad))
            if known is None and patterns >= options.patterns_max:
                return _limit("patterns", patterns, 1, options.patterns_max)
            cost = self._catalog.match(channel, name)
        elif known is None:
            unknown = self._unknown(channel, name)
            if unknown is not None:
                return unknown
        more = cost if known is None else cost - known.topics
        if more > 0 and topics + more > options.topics_max:
            return _limit("topics", topics, more, options.topics_max)
        return cost

    def _unknown(self, channel: str, name: str) -> Error | None:
        """Why an exact name can't be subscribed to; None when it can."""
        try:
            venue = split_instrument(name).venue
        except ValueError as bad:
            return Error(codes.UNKNOWN_SYMBOL, str(bad))
        if self._catalog.find(channel, name):
            return None
        match self._catalog.venue(venue):
            case "open":
                return None
            case "closed":
                message = f"no {channel} of {name}: {venue}'s list is closed"
                return Error(codes.UNKNOWN_SYMBOL, message)
            case "unknown":
                return Error(codes.UNKNOWN_SYMBOL, f"no venue {venue} here")

    def _not_subscribed(self, results: Results, channel: str, name: str) -> None:
        self._shared.reject(codes.NOT_SUBSCRIBED)
        message = f"no {channel} subscription by this string"
        results.refused(name, Error(codes.NOT_SUBSCRIBED, message))

    # --- the other requests ------------------------------------------------------------------

    def _ping(self, request: messages.Ping, _mono_ns: int, real_ns: int) -> list[Action]:
        t0 = UNSET if request.params is UNSET else request.params.t0
        self._shared.count("ping", "ok")
        return [replies.pong(request.req_id, t0, real_ns)]

    def _auth(self, request: messages.Auth, mono_ns: int, _real_ns: int) -> list[Action]:
        error = Error(codes.BAD_REQUEST, "auth: not built yet")
        return self._fail("auth", request.req_id, error, mono_ns)

    def _list(self, request: messages.List, mono_ns: int, real_ns: int) -> list[Action]:
        """A page of instruments in the order of their names, and where the next one begins.

        A page ends at `page_bytes_max`, or after so many names looked at that a filter which
        matches nothing can't hold up the loop: it may have `next` and few rows, or none.
        """
        options = self._shared.options
        params = messages.ListParams() if request.params is UNSET else request.params
        if params.channel is not UNSET and params.channel not in CHANNELS:
            return self._fail("list", request.req_id, _no_channel(params.channel), mono_ns)
        patterns = ["*"] if params.symbol is UNSET else params.symbol
        if not 1 <= len(patterns) <= options.symbols_per_request:
            message = f"params.symbol: 1 to {options.symbols_per_request} strings"
            return self._fail("list", request.req_id, Error(codes.BAD_REQUEST, message), mono_ns)
        instruments = self._catalog.instruments()
        at = 0 if params.after is UNSET else bisect_right(instruments, params.after, key=_NAME)
        end = min(len(instruments), at + max(1, options.list_scan_max // len(patterns)))
        rows: list[bytes] = []
        size = 0
        while at < end and size < options.page_bytes_max:
            name, channels = instruments[at]
            at += 1
            if params.channel is not UNSET and params.channel not in channels:
                continue
            if any(match_pattern(pattern, name) for pattern in patterns):
                rows.append(msgspec.json.encode({"symbol": name, "channels": channels}))
                size += len(rows[-1])
        following = instruments[at - 1][0] if 0 < at < len(instruments) else None
        self._shared.count("list", "ok")
        return [replies.page("list", request.req_id, real_ns, "instruments", rows, following)]

    def _stats(self, request: messages.Stats, _mono_ns: int, real_ns: int) -> list[Action]:
        if len(self._queries) >= self._shared.options.queries_max:
            message = f"{len(self._queries)} stats requests are waiting already"
            error = Error(codes.RATE_LIMITED_ERROR, message, retry_after_ms=100)
            self._shared.count("stats", "rate_limited")
            return [replies.refusal("stats", request.req_id, error)]
        after = UNSET if request.params is UNSET else request.params.after
        token = self._next_token
        self._next_token += 1
        self._queries[token] = (request.req_id, -1 if after is UNSET else after, real_ns)
        self._shared.count("stats", "ok")
        return [Query(token)]

    def stats(self, token: int, rows: list[StatsRow]) -> Reply:
        """The reply to `stats`: a page in the order of subscription ids, `next` being the last one.

        Rows of subscriptions that have ended since are left out.

        Raises:
            KeyError: no query with this token is waiting.
        """
        req_id, after, time_in_ns = self._queries.pop(token)
        # Every row is larger than 64 bytes, so no page has more of them than this.
        most = self._shared.options.page_bytes_max // 64 + 1
        encoded: list[bytes] = []
        size = 0
        last: int | None = None
        left = [row for row in rows if row[0] > after and row[0] in self._by_id]
        for row in nsmallest(most, left):
            if size >= self._shared.options.page_bytes_max:
                break
            encoded.append(_stats_row(self._by_id[row[0]], row))
            size += len(encoded[-1])
            last = row[0]
        following = last if len(encoded) < len(left) else None
        return replies.page("stats", req_id, time_in_ns, "subscriptions", encoded, following)

    # --- refusals ---------------------------------------------------------------------------------

    def _fail(self, method: str, req_id: ReqId, error: Error, mono_ns: int) -> list[Action]:
        """Refuses a request as a whole."""
        self._shared.count(method, error.code.name)
        return self._error(replies.refusal(method, req_id, error), error.code, mono_ns)

    def _too_large(self, method: str, req_id: ReqId, mono_ns: int) -> list[Action]:
        limit = self._shared.options.reply_bytes_max
        message = f"params.symbol: the reply would exceed {limit} bytes; ask for fewer at once"
        return self._fail(method, req_id, Error(codes.BAD_REQUEST, message), mono_ns)

    def _malformed(self, bad: Malformed, mono_ns: int) -> list[Action]:
        method = bad.method
        if method is not UNSET and method not in messages.METHODS:
            error = Error(codes.UNKNOWN_METHOD, f"methods are {', '.join(messages.METHODS)}")
            method_known = "unknown"
        else:
            error = Error(codes.BAD_REQUEST, str(bad))
            method_known = "unknown" if method is UNSET else method
        self._shared.count(method_known, error.code.name)
        return self._error(replies.refusal(method, bad.req_id, error), error.code, mono_ns)

    def _error(self, reply: Reply, code: ErrorCode, mono_ns: int) -> list[Action]:
        """The reply, and the end of a client that makes too many errors."""
        self._errors += 1
        limit = self._shared.options.errors_per_minute
        if code.faulty and self._quota.error(limit, mono_ns):
            self._closed = True
            reason = f"too many errors: {limit} within a minute"
            return [reply, Close(codes.TOO_MANY_ERRORS, reason)]
        return [reply]

    def _refuse(self, text: str, wait_ns: int, mono_ns: int) -> list[Action]:
        """Answers a request beyond the rate, and ends a client that floods."""
        rate = self._shared.rate
        limit = f"{rate.per_s} requests a second, {rate.burst} at once"
        if self._quota.refuse(rate, mono_ns):
            self._closed = True
            return [Close(codes.RATE_LIMITED, f"rate limited: {limit}")]
        return [self._rate_limited(text, wait_ns, limit)]

    def _rate_limited(self, text: str, wait_ns: int, limit: str) -> Reply:
        self._refused += 1
        method, req_id = messages.identify(text)
        counted = method if method in messages.METHODS else "unknown"
        self._shared.count(counted, "rate_limited")
        retry_after_ms = -(-wait_ns // 1_000_000)
        error = Error(codes.RATE_LIMITED_ERROR, f"limit: {limit}", retry_after_ms)
        return replies.refusal(method, req_id, error)


_HANDLERS: Final[dict[type, Callable[[Session, Any, int, int], list[Action]]]] = {
    messages.Subscribe: Session._subscribe,
    messages.Update: Session._update,
    messages.Unsubscribe: Session._unsubscribe,
    messages.List: Session._list,
    messages.Stats: Session._stats,
    messages.Ping: Session._ping,
    messages.Auth: Session._auth,
}


def _no_channel(name: str) -> Error:
    if name in CHANNELS_PLANNED:
        return Error(codes.UNKNOWN_CHANNEL, f"{name}: not built in this version")
    return Error(codes.UNKNOWN_CHANNEL, f"channels are {', '.join(CHANNELS)}")


def _limit(name: str, used: int, more: int, limit: int) -> Error:
    return Error(codes.LIMIT_EXCEEDED, f"{name}: {used} in use and {more} more, of {limit}")


def _stats_row(one: _Subscription, row: StatsRow) -> bytes:
    return msgspec.json.encode(
        {
            "channel": one.channel,
            "symbol": one.name,
            "routed": row[1],
            "delivered": row[2],
            "conflated": row[3],
            "filtered": row[4],
            "dropped": row[5],
            "pending": row[6],
        }
    )
