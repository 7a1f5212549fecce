"""One session on the ops listener: requests in, actions out. Sans-IO.

The envelope, the errors and their limits are the clients' (PROTOCOL.md sections 2 to 5); what can
be asked for is what the gateway says of itself. A channel has the one name `*` and is followed or
not; nothing is ever queued here, as every message tells everything.
"""

from typing import Any, Final

import msgspec
import orjson
from msgspec import UNSET

from gateway.session import codes, messages, replies
from gateway.session.actions import Close, Reply
from gateway.session.codes import Error, ErrorCode
from gateway.session.messages import Malformed, ReqId
from gateway.session.quota import Quota, Rate

CHANNELS: Final = ("ops", "slo")
"""What can be followed."""
SNAPSHOTS: Final = ("ops",)
"""Those that begin with a snapshot; a report of the objective comes when it is made."""
SYMBOL: Final = "*"
SYMBOLS_MAX: Final = 16
REQUESTS_PER_S: Final = 20
REQUESTS_BURST: Final = 40
ERRORS_PER_MINUTE: Final = 10
HISTORY_COST: Final = 10
"""Requests that one for the history counts as: it takes up to some hundred milliseconds."""

_FREE: Final = ("channel", "symbol", "snapshot")
_RATE: Final = Rate(REQUESTS_PER_S, REQUESTS_BURST)


class Follow(msgspec.Struct, frozen=True, gc=False):
    """Send the channel's messages from now on, the present state first, or do so no longer."""

    channel: str
    on: bool
    snapshot: bool = False


class Ask(msgspec.Struct, frozen=True, gc=False):
    """Look up the history and reply."""

    req_id: ReqId
    params: messages.HistoryParams


Action = Reply | Follow | Ask | Close


class OpsSession:
    """The protocol's state of one connection. No method blocks or reads a clock."""

    def __init__(self) -> None:
        self._following: dict[str, None] = {}
        self._quota = Quota()
        self._closed = False

    def receive(self, text: str, *, mono_ns: int, real_ns: int) -> list[Action]:
        """What one message asks for, to be carried out in order. No text makes it raise.

        Args:
            text: a whole text message.
            mono_ns: MONOTONIC time of its receipt.
            real_ns: REALTIME of its receipt.
        """
        if self._closed:
            return []
        wait_ns = self._quota.take(_RATE, mono_ns)
        if wait_ns:
            return self._refuse(text, wait_ns, mono_ns)
        try:
            request = messages.decode_ops(text)
        except Malformed as bad:
            return self._malformed(bad, mono_ns)
        match request:
            case messages.Subscribe():
                return self._subscribe(request, mono_ns, real_ns)
            case messages.Unsubscribe():
                return self._unsubscribe(request, mono_ns, real_ns)
            case messages.History():
                return self._history(request, mono_ns)
            case messages.Ping():
                t0 = UNSET if request.params is UNSET else request.params.t0
                body = {} if t0 is UNSET else {"t0": t0}
                body |= {"t1": real_ns, "t2": real_ns}
                return [reply("ping", request.req_id, body)]

    # --- requests ---------------------------------------------------------------------------------

    def _subscribe(self, request: messages.Subscribe, mono_ns: int, real_ns: int) -> list[Action]:
        params = request.params
        given = zip(params.__struct_encode_fields__, msgspec.structs.astuple(params), strict=True)
        for name, value in given:
            if name not in _FREE and value is not UNSET and (name, value) != ("mode", "conflate"):
                why = f"params.{name}: not for {params.channel}, which is always conflate"
                return self._fail("subscribe", request.req_id, why, mono_ns)
        names = self._names("subscribe", request, mono_ns)
        if not isinstance(names, dict):
            return names
        snapshot = params.snapshot is not False and params.channel in SNAPSHOTS
        results: list[dict[str, Any]] = []
        for name in names:
            if name == SYMBOL:
                results.append(
                    {
                        "symbol": name,
                        "success": True,
                        "channel": params.channel,
                        "mode": "conflate",
                        "class": 0,
                        "snapshot": snapshot,
                    }
                )
            else:
                results.append(_failed(name, codes.UNKNOWN_SYMBOL, f"the only name is {SYMBOL}"))
        answer = _results("subscribe", request.req_id, results, real_ns)
        if SYMBOL not in names:
            return [answer]
        self._following[params.channel] = None
        return [answer, Follow(params.channel, on=True, snapshot=snapshot)]

    def _unsubscribe(
        self, request: messages.Unsubscribe, mono_ns: int, real_ns: int
    ) -> list[Action]:
        names = self._names("unsubscribe", request, mono_ns)
        if not isinstance(names, dict):
            return names
        channel = request.params.channel
        ends = SYMBOL in names and channel in self._following
        results = [
            {"symbol": name, "success": True, "channel": channel}
            if name == SYMBOL and ends
            else _failed(name, codes.NOT_SUBSCRIBED, f"no {channel} subscription by this string")
            for name in names
        ]
        answer = _results("unsubscribe", request.req_id, results, real_ns)
        if not ends:
            return [answer]
        del self._following[channel]
        return [Follow(channel, on=False), answer]

    def _names(
        self, method: str, request: messages.Subscribe | messages.Unsubscribe, mono_ns: int
    ) -> dict[str, None] | list[Action]:
        """The distinct names asked for, or why the whole request fails."""
        params = request.params
        if params.channel not in CHANNELS:
            why = f"params.channel: channels here are {', '.join(CHANNELS)}"
            error = Error(codes.UNKNOWN_CHANNEL, why)
            return self._error(replies.refusal(method, request.req_id, error), error.code, mono_ns)
        count = len(params.symbol)
        if not 1 <= count <= SYMBOLS_MAX:
            why = f"params.symbol: 1 to {SYMBOLS_MAX} strings, not {count}"
            return self._fail(method, request.req_id, why, mono_ns)
        return dict.fromkeys(params.symbol)

    def _history(self, request: messages.History, mono_ns: int) -> list[Action]:
        params = messages.HistoryParams() if request.params is UNSET else request.params
        if params.from_ is not UNSET and params.to is not UNSET and params.from_ >= params.to:
            why = "params.from: not before params.to"
            return self._fail("history", request.req_id, why, mono_ns)
        self._quota.charge(_RATE, mono_ns, HISTORY_COST - 1)
        return [Ask(request.req_id, params)]

    # --- refusals ---------------------------------------------------------------------------------

    def _fail(self, method: str, req_id: ReqId, why: str, mono_ns: int) -> list[Action]:
        error = Error(codes.BAD_REQUEST, why)
        return self._error(replies.refusal(method, req_id, error), error.code, mono_ns)

    def _malformed(self, bad: Malformed, mono_ns: int) -> list[Action]:
        error = Error(codes.BAD_REQUEST, str(bad))
        if bad.method is not UNSET and bad.method not in messages.METHODS_OPS:
            text = f"methods here are {', '.join(messages.METHODS_OPS)}"
            error = Error(codes.UNKNOWN_METHOD, text)
        return self._error(replies.refusal(bad.method, bad.req_id, error), error.code, mono_ns)

    def _error(self, answer: Reply, code: ErrorCode, mono_ns: int) -> list[Action]:
        if code.faulty and self._quota.error(ERRORS_PER_MINUTE, mono_ns):
            self._closed = True
            reason = f"too many errors: {ERRORS_PER_MINUTE} in a minute"
            return [answer, Close(codes.TOO_MANY_ERRORS, reason)]
        return [answer]

    def _refuse(self, text: str, wait_ns: int, mono_ns: int) -> list[Action]:
        limit = f"{REQUESTS_PER_S} requests a second, {REQUESTS_BURST} at once"
        if self._quota.refuse(_RATE, mono_ns):
            self._closed = True
            return [Close(codes.RATE_LIMITED, f"rate limited: {limit}")]
        method, req_id = messages.identify(text)
        retry_after_ms = -(-wait_ns // 1_000_000)  # rounded up, or the client would be early
        error = Error(codes.RATE_LIMITED_ERROR, f"limit: {limit}", retry_after_ms)
        return [replies.refusal(method, req_id, error)]


def reply(method: str, req_id: ReqId, body: dict[str, Any]) -> Reply:
    """The reply to a request that succeeded."""
    head: dict[str, Any] = {"method": method}
    if req_id is not UNSET:
        head["req_id"] = req_id
    return Reply(orjson.dumps(head | {"success": True} | body))


def _results(method: str, req_id: ReqId, results: list[dict[str, Any]], real_ns: int) -> Reply:
    failed = sum(not one["success"] for one in results)
    body = {"failed": failed, "time_in": real_ns, "time_out": real_ns, "results": results}
    return reply(method, req_id, {"success": failed < len(results)} | body)


def _failed(name: str, code: ErrorCode, message: str) -> dict[str, Any]:
    error = {"code": code.name, "message": message, "retryable": code.retryable}
    return {"symbol": name, "success": False, "error": error}
