"""One client's session: requests in, actions out (PROTOCOL.md sections 2, 3 and 5). Sans-IO.

Theory of operation. A session is open until it answers with a `Close`; from then on it answers
nothing. Each message costs one token of the connection and one of the worker, is decoded, and is
handled in one step; nothing is ever under way but `stats`, whose rows come later. Whether a client
has to say who it is first, and until when that counts, `access` knows.

    open --request--> open      Reply | Subscribe | Unsubscribe | Query
    open --error----> open      Reply; the `errors_per_minute`th in a minute adds Close(4502)
    open --flood----> open      Reply rate_limited; once the bucket of refusals is empty Close(4029)
    closed --any----> closed    nothing

The session knows each string that the client subscribed to, with its id and its parameters. Which
topics a pattern covers, and whose parameters win, is the data plane's to know: it sees a topic
appear before its first record is routed.

A request with symbols is carried out in two passes: the first decides each symbol and writes the
reply, the second changes the session. A reply that would be too large thus changes nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from gateway.model.record import Channel
from gateway.model.topic import BadEscape, is_pattern, unescape
from gateway.session import channels, codes, delivery, messages, regrant, replies
from gateway.session.access import MESSAGE_BYTES_MAX, Access, Rejected, Rights, is_long
from gateway.session.actions import (
    FROM_TS,
    Action,
    Close,
    Query,
    Regrant,
    Reply,
    Since,
    StatsRow,
    Subscribe,
    Unsubscribe,
    Wake,
)
from gateway.session.catalog import Catalog
from gateway.session.codes import Error, ErrorCode
from gateway.session.messages import Malformed, ReqId
from gateway.session.options import SCAN_UNIT, Shared, counted
from gateway.session.paging import instruments_page, stats_page
from gateway.session.quota import Quota, retry_after_ms
from gateway.session.regrant import Reviewing
from gateway.session.replies import Results
from gateway.session.statistics import Statistics
from gateway.session.subscriptions import LINK_STEPS, Admission, Subscription, Subscriptions

QUERY_RETRY_MS: Final = 100
"""When a client may ask for `stats` again: the data plane answers within a few milliseconds."""

_SymbolsRequest = messages.Subscribe | messages.Update | messages.Unsubscribe


class Session:
    """The protocol's state of one connection. No method blocks or reads a clock."""

    __slots__ = (
        "_access",
        "_catalog",
        "_closed",
        "_connection_id",
        "_errors",
        "_next_token",
        "_queries",
        "_quota",
        "_refused",
        "_requests",
        "_reviewing",
        "_shared",
        "_subscriptions",
    )

    def __init__(
        self,
        connection_id: str,
        catalog: Catalog,
        shared: Shared,
        access: Access | None = None,
        room: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._connection_id = connection_id
        self._access = access
        self._catalog = catalog
        self._shared = shared
        self._quota = Quota()
        self._subscriptions = Subscriptions(shared.waiting, room)
        self._reviewing = Reviewing(self._subscriptions)
        self._queries: dict[int, tuple[ReqId, int, int]] = {}
        self._next_token = 0
        self._requests = 0
        self._errors = 0
        self._refused = 0
        self._closed = False

    @property
    def subscriptions(self) -> int:
        """How many strings are subscribed to."""
        return len(self._subscriptions)

    def statistics(self) -> Statistics:
        """The state at this moment."""
        return Statistics(
            connection_id=self._connection_id,
            subscriptions=len(self._subscriptions),
            patterns=self._subscriptions.patterns,
            topics=self._subscriptions.topics,
            requests=self._requests,
            errors=self._errors,
            refused=self._refused,
            queries=len(self._queries),
            closed=self._closed,
        )

    def end(self) -> None:
        """The connection is gone: it waits for no names any more."""
        self._reviewing.stop()
        self._subscriptions.waiting.clear()
        if self._access is not None:
            self._access.end()

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

    def begin(self) -> list[Action]:
        """What follows the hello."""
        return [Wake(self._access.due_ns)] if self._access and self._access.due_ns else []

    def receive(self, text: str, *, mono_ns: int, real_ns: int) -> list[Action]:
        """What one message asks for, to be carried out in order. No text makes it raise.

        Args:
            text: a whole text message.
            mono_ns: MONOTONIC time of its receipt.
            real_ns: REALTIME of its receipt.
        """
        if self._closed:
            return []
        if self._access is not None and self._access.waiting and is_long(text):
            self._closed = True
            limit = f"{MESSAGE_BYTES_MAX} bytes before auth"
            return [Close(codes.TOO_BIG, f"message too big: {limit}")]
        self._requests += 1
        shared = self._shared
        wait_ns = self._quota.take(shared.rate, mono_ns)
        if wait_ns:
            return self._refuse(text, wait_ns, mono_ns)
        wait_ns = shared.bucket.take(mono_ns)
        if wait_ns:
            limit = f"{shared.bucket.rate.per_s} requests a second, all clients together"
            return [self._rate_limited(text, wait_ns, limit)]
        try:
            request = messages.decode(text)
        except Malformed as bad:
            return self._malformed(bad, mono_ns)
        if self._access is not None and self._access.waiting and type(request) not in _ANYBODYS:
            error = Error(codes.UNAUTHORIZED, "say who this is first: method auth")
            return self._fail(messages.method_of(request), request.req_id, error, mono_ns)
        return _HANDLERS[type(request)](self, request, mono_ns, real_ns)

    # --- subscriptions ----------------------------------------------------------------------------

    def _subscribe(self, request: messages.Subscribe, mono_ns: int, real_ns: int) -> list[Action]:
        params = request.params
        shared = self._shared
        channel = channels.meant(params, self._shared.options.candles)
        plane = isinstance(channel, Channel) and not channel.own
        patterns = sum(map(is_pattern, params.symbol)) if plane else 0
        if patterns and (error := self._refuse_scan(patterns, mono_ns)) is not None:
            return self._fail("subscribe", request.req_id, error, mono_ns)
        admission = Admission(self._subscriptions, self._catalog, shared, self._rights)
        since = None if params.from_ is UNSET else delivery.since(params.from_)

        def decide(channel: Channel, name: str) -> Subscription | Error:
            wanted = delivery.change(channel, delivery.default(channel), params)
            if isinstance(wanted, Error):
                return wanted
            if since is not None and plane and is_pattern(name) and since[0] != FROM_TS:
                return Error(codes.BAD_REQUEST, "params.from: a pattern takes `ts` alone")
            allowed = regrant.allow(self._rights, channel, name, wanted)
            if isinstance(allowed, Error):
                return allowed
            return admission.decide(channel, name, allowed)

        results = Results(recover=since is not None, delays=self._shared.options.delays)
        decided = self._decide("subscribe", request, decide, results, real_ns)
        self._charge_scan(admission.steps, mono_ns)
        if isinstance(decided, Error):
            return self._fail("subscribe", request.req_id, decided, mono_ns)
        self._subscriptions.waiting.add(admission.wish.names)
        return self._attach(*decided, resync=True, since=since)

    def _refuse_scan(self, patterns: int, mono_ns: int) -> Error | None:
        """Why so many patterns are not held against all names now.

        Connections share the worker's bucket. While a burst is spent, a second one is left for
        those that have asked for little lately and do so now: they need not wait for the greedy.
        Both count, since a connection is new as often as its client likes.
        """
        shared = self._shared
        scan, limit = patterns * len(self._catalog), shared.options.pattern_scan_max
        if scan > limit:
            text = f"patterns times topics is {scan}, limit {limit}"
            if self._rights is not None:  # how many topics there are is not for all to know
                text = f"patterns times topics is beyond {limit}"
            return Error(codes.BAD_REQUEST, f"params.symbol: {text}; ask for fewer at once")
        little = scan <= shared.options.pattern_scan_little
        bursts = 2 if little and self._quota.modest(shared.rate, mono_ns) else 1
        wait_ns = shared.scans.debt_ns(mono_ns, bursts)
        if not wait_ns:
            return None
        per_s = shared.options.worker_pattern_steps_per_s
        text = f"{per_s} steps of patterns a second, all clients together"
        return Error(codes.RATE_LIMITED_ERROR, f"limit: {text}", retry_after_ms(wait_ns))

    def _charge_scan(self, steps: int, mono_ns: int) -> None:
        """Steps of the data plane, and of the loop where it did not know the count."""
        shared = self._shared
        self._quota.charge(shared.rate, mono_ns, steps // shared.options.pattern_steps_cost)
        shared.scans.charge(mono_ns, -(-steps // SCAN_UNIT))

    def _update(self, request: messages.Update, mono_ns: int, real_ns: int) -> list[Action]:
        params = request.params

        def decide(channel: Channel, name: str) -> Subscription | Error:
            known = self._find(channel, name)
            if isinstance(known, Error):
                return known
            wanted = delivery.change(channel, known.delivery, params)
            if isinstance(wanted, Error):
                return wanted
            allowed = regrant.allow(self._rights, channel, name, wanted)
            if isinstance(allowed, Error):
                return allowed
            return msgspec.structs.replace(known, **allowed._asdict())

        results = Results(delays=self._shared.options.delays)
        decided = self._decide("update", request, decide, results, real_ns)
        if isinstance(decided, Error):
            return self._fail("update", request.req_id, decided, mono_ns)
        return self._attach(*decided, resync=False)

    def _unsubscribe(
        self, request: messages.Unsubscribe, mono_ns: int, real_ns: int
    ) -> list[Action]:
        results = Results(ended=True)
        decided = self._decide("unsubscribe", request, self._find, results, real_ns)
        if isinstance(decided, Error):
            return self._fail("unsubscribe", request.req_id, decided, mono_ns)
        reply, ended = decided
        if not ended:
            return [reply]
        self._subscriptions.remove(ended)
        # Each topic may pass to one of the patterns that remain, which the data plane looks for.
        everything = len(self._catalog)
        topics = min(sum(one.topics for one in ended), everything)
        steps = topics * self._subscriptions.steps // max(1, everything)
        steps += sum(one.topics for one in ended if one.pattern) * LINK_STEPS
        self._charge_scan(steps, mono_ns)
        return [Unsubscribe(reply.payload, reply.slots, tuple(one.id for one in ended))]

    def _decide(
        self,
        method: str,
        request: _SymbolsRequest,
        decide: Callable[[Channel, str], Subscription | Error],
        results: Results,
        real_ns: int,
    ) -> tuple[Reply, list[Subscription]] | Error:
        """Decides each string: the reply and what to carry out, or why the whole request fails.

        A string that comes twice in a request has one result.
        """
        params, options = request.params, self._shared.options
        limit, count = options.symbols_per_request, len(params.symbol)
        if not 1 <= count <= limit:
            return Error(codes.BAD_REQUEST, f"params.symbol: 1 to {limit} strings, not {count}")
        channel = channels.meant(params, self._shared.options.candles)
        if isinstance(channel, Error):
            return channel
        if isinstance(params, messages.DeliveryParams):
            bad = delivery.check(channel, params)
            if bad is not None:
                return bad
        accepted: list[Subscription] = []
        for symbol in dict.fromkeys(params.symbol):
            try:
                unescape(symbol)
                one = decide(channel, symbol)
            except BadEscape as bad:
                one = Error(codes.BAD_REQUEST, str(bad))
            if isinstance(one, Error):
                results.refused(symbol, one)
            else:
                results.accepted(one)
                accepted.append(one)
        reply = results.reply(method, request.req_id, real_ns)
        if len(reply.payload) > options.reply_bytes_max:
            message = f"the reply would exceed {options.reply_bytes_max} bytes: ask for fewer"
            return Error(codes.BAD_REQUEST, f"params.symbol: {message}")
        self._shared.count(method, "ok" if accepted else "failed")
        self._shared.reject(results.refusals)
        return reply, accepted

    def _attach(
        self,
        reply: Reply,
        accepted: list[Subscription],
        *,
        resync: bool,
        since: Since | None = None,
    ) -> list[Action]:
        if not accepted:
            return [reply]
        self._subscriptions.put(accepted)
        items = tuple(one.item(resync=resync, since=since) for one in accepted)
        return [Subscribe(reply.payload, reply.slots, items)]

    def _find(self, channel: Channel, name: str) -> Subscription | Error:
        known = self._subscriptions.find(channel, name)
        message = f"no {channel.name} subscription by this string"
        return known or Error(codes.NOT_SUBSCRIBED, message)

    def wake(self, mono_ns: int) -> list[Action]:
        """The time has come that it asked for: somebody has not said who they are, or may not
        stay for long."""
        access = self._access
        if access is None or self._closed:
            return []
        actions = access.wake(mono_ns)
        self._closed = any(isinstance(action, Close) for action in actions)
        return actions if self._closed or not access.due_ns else [*actions, Wake(access.due_ns)]

    # --- the other requests -----------------------------------------------------------------------

    def _ping(self, request: messages.Ping, _mono_ns: int, real_ns: int) -> list[Action]:
        t0 = UNSET if request.params is UNSET else request.params.t0
        self._shared.count("ping", "ok")
        return [replies.pong(request.req_id, t0, real_ns)]

    @property
    def _rights(self) -> Rights | None:
        """None: everything."""
        return None if self._access is None else self._access.rights

    def _auth(self, request: messages.Auth, mono_ns: int, real_ns: int) -> list[Action]:
        access = self._access
        if access is None:
            error = Error(codes.BAD_REQUEST, "auth: nobody has to say who they are here")
            return self._fail("auth", request.req_id, error, mono_ns)
        before = access.rights
        outcome = access.authenticate(request.params.token, mono_ns=mono_ns, real_ns=real_ns)
        if isinstance(outcome, Rejected):
            actions = self._fail("auth", request.req_id, outcome.error, mono_ns)
            if outcome.code and not self._closed:
                self._closed = True
                actions.append(Close(outcome.code, outcome.error.message))
            return actions
        self._shared.count("auth", "ok")
        reply = replies.authenticated(request.req_id, outcome.expires_ns)
        due = [Wake(access.due_ns)]
        if outcome.rights is before:
            return [reply, *due]
        return [*self._regrant(outcome.rights, reply.payload), *due]

    def regranted(self, rights: Rights) -> list[Action]:
        """It has other rights from now on."""
        if self._access is None or self._closed or rights is self._access.rights:
            return []
        self._access.rights = rights
        return self._regrant(rights, b"")

    def _regrant(self, rights: Rights, payload: bytes) -> list[Action]:
        return [Regrant(payload, (), rights.number), *self._reviewing.begin(rights)]

    def review(self) -> list[Action]:
        """Goes on with what other rights make of its subscriptions."""
        rights = self._rights
        return [] if rights is None or self._closed else self._reviewing.step(rights)

    def _list(self, request: messages.List, mono_ns: int, real_ns: int) -> list[Action]:
        options = self._shared.options
        params = messages.ListParams() if request.params is UNSET else request.params
        if (error := channels.check(params, options.candles)) is not None:
            return self._fail("list", request.req_id, error, mono_ns)
        limit = options.symbols_per_request
        if params.symbol is not UNSET and not 1 <= len(params.symbol) <= limit:
            message = f"params.symbol: 1 to {limit} strings, not {len(params.symbol)}"
            return self._fail("list", request.req_id, Error(codes.BAD_REQUEST, message), mono_ns)
        try:
            for symbol in () if params.symbol is UNSET else params.symbol:
                unescape(symbol)
        except BadEscape as bad:
            error = Error(codes.BAD_REQUEST, f"params.symbol: {bad}")
            return self._fail("list", request.req_id, error, mono_ns)
        right = None if self._rights is None else self._rights.right
        rows, after = instruments_page(self._catalog.instruments(right), params, options)
        self._shared.count("list", "ok")
        return [replies.page("list", request.req_id, real_ns, "instruments", rows, after)]

    def _stats(self, request: messages.Stats, mono_ns: int, real_ns: int) -> list[Action]:
        waiting = len(self._queries)
        if waiting >= self._shared.options.queries_max:
            message = f"{waiting} stats requests are waiting already"
            error = Error(codes.RATE_LIMITED_ERROR, message, retry_after_ms=QUERY_RETRY_MS)
            return self._fail("stats", request.req_id, error, mono_ns)
        after = UNSET if request.params is UNSET else request.params.after
        token = self._next_token
        self._next_token += 1
        self._queries[token] = (request.req_id, -1 if after is UNSET else after, real_ns)
        self._shared.count("stats", "ok")
        return [Query(token)]

    def stats(self, token: int, rows: Sequence[StatsRow]) -> Reply:
        """The reply to the `stats` request that asked with this token, from the plane's rows.

        Raises:
            KeyError: no request with this token is waiting.
        """
        req_id, after, time_in_ns = self._queries.pop(token)
        options = self._shared.options
        encoded, following = stats_page(rows, self._subscriptions, after, options)
        return replies.page("stats", req_id, time_in_ns, "subscriptions", encoded, following)

    def forbidden(self, identity: int) -> list[Action]:
        """The data plane refused a name that is not granted: it is no subscription."""
        one = self._subscriptions.by_id(identity)
        return [] if one is None else self._reviewing.ended(one)

    # --- refusals ---------------------------------------------------------------------------------

    def _fail(self, method: str, req_id: ReqId, error: Error, mono_ns: int) -> list[Action]:
        """Refuses a request as a whole."""
        self._shared.count(method, error.code.name)
        return self._error(replies.refusal(method, req_id, error), error.code, mono_ns)

    def _malformed(self, bad: Malformed, mono_ns: int) -> list[Action]:
        """Answers a text that is no request, or one with a method that does not exist."""
        error = Error(codes.BAD_REQUEST, str(bad))
        if bad.method is not UNSET and bad.method not in messages.METHODS:
            error = Error(codes.UNKNOWN_METHOD, f"methods are {', '.join(messages.METHODS)}")
        self._shared.count(counted(bad.method), error.code.name)
        return self._error(replies.refusal(bad.method, bad.req_id, error), error.code, mono_ns)

    def _error(self, reply: Reply, code: ErrorCode, mono_ns: int) -> list[Action]:
        """The reply, and the end of a client that makes too many errors."""
        self._errors += 1
        limit = self._shared.options.errors_per_minute
        if code.faulty and self._quota.error(limit, mono_ns):
            self._closed = True
            return [reply, Close(codes.TOO_MANY_ERRORS, f"too many errors: {limit} in a minute")]
        return [reply]

    def _refuse(self, text: str, wait_ns: int, mono_ns: int) -> list[Action]:
        """Answers a request beyond the connection's rate, and ends a client that floods."""
        rate = self._shared.rate
        limit = f"{rate.per_s} requests a second, {rate.burst} at once"
        if self._quota.refuse(rate, mono_ns):
            self._closed = True
            return [Close(codes.RATE_LIMITED, f"rate limited: {limit}")]
        return [self._rate_limited(text, wait_ns, limit)]

    def _rate_limited(self, text: str, wait_ns: int, limit: str) -> Reply:
        self._refused += 1
        method, req_id = messages.identify(text)
        self._shared.count(counted(method), "rate_limited")
        error = Error(codes.RATE_LIMITED_ERROR, f"limit: {limit}", retry_after_ms(wait_ns))
        return replies.refusal(method, req_id, error)


_ANYBODYS: Final = (messages.Auth, messages.Ping)
"""Requests that are answered before a client has said who it is."""

_HANDLERS: Final[dict[type, Callable[[Session, Any, int, int], list[Action]]]] = {
    messages.Subscribe: Session._subscribe,
    messages.Update: Session._update,
    messages.Unsubscribe: Session._unsubscribe,
    messages.List: Session._list,
    messages.Stats: Session._stats,
    messages.Ping: Session._ping,
    messages.Auth: Session._auth,
}
