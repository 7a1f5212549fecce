"""The JSON of everything that a session says.

Replies are put together from fragments, and the place of each slot is noted while its fragment is
laid down: nothing that a client sends can be mistaken for one. Names that passed the grammar of
PROTOCOL.md section 1 need no escaping; all other text of a client's goes through the encoder.
"""

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from gateway.model.record import CHANNELS
from gateway.session.actions import (
    EPOCH_WIDTH,
    NUMBER_WIDTH,
    RECOVERY_WIDTH,
    SLOT_EPOCH,
    SLOT_MATCHED,
    SLOT_RECOVERY,
    SLOT_SEQ,
    SLOT_TIME,
    Reply,
    Slot,
)
from gateway.session.codes import Error, ErrorCode
from gateway.session.delivery import Delivery, limits_of
from gateway.session.messages import ReqId
from gateway.session.subscriptions import Subscription

MESSAGE_MAX: Final = 240
"""Characters of an error's message: what it quotes of a client's text is cut there."""

TAILS_MAX: Final = 1024
"""Results kept as text: of a few flags and classes each, but of rates that clients choose."""

_NUMBER: Final = b" " * NUMBER_WIDTH
_EPOCH: Final = b" " * EPOCH_WIDTH
_RECOVERY: Final = b" " * RECOVERY_WIDTH
_encode: Final = msgspec.json.encode


@cache
def topic_words(channel: str) -> str:
    """Members that say which channel it is, by its key; the gateway's own have no other name."""
    known = CHANNELS.get(channel)
    if known is None or not known.interval:
        return f'"channel":"{channel}"'
    return f'"channel":"{known.name}","interval":"{known.interval}"'


class _Tail(NamedTuple):
    """What follows the name in a result, and its slots, in order, with offsets into the text."""

    text: bytes
    slots: tuple[tuple[int, int], ...]


@lru_cache(TAILS_MAX)
def _tail(
    channel: str, own: bool, pattern: bool, delivery: Delivery, recover: bool, delay_s: int = 0
) -> _Tail:
    head = f'","success":true,{topic_words(channel)}'.encode()
    limits = "".join(f',"{name}":{value}' for name, value in limits_of(delivery).items())
    parameters = b',"mode":"%s","class":%d,"snapshot":%s%s' % (
        b"lossless" if delivery.lossless else b"conflate",
        delivery.priority,
        b"true" if delivery.snapshot else b"false",
        limits.encode(),
    )
    if own:  # no topic: nothing that the data plane would have to fill in
        text = head + parameters + (b',"recovery":"insufficient_state"' if recover else b"")
        return _Tail(text + b"}", ())
    if delay_s:
        parameters += b',"delay_s":%d' % delay_s
    slots: list[tuple[int, int]] = []
    if pattern:
        head += b',"matched":'
        slots.append((len(head), SLOT_MATCHED))
        head += _NUMBER
    text = head + parameters
    if recover:
        slots.append((len(text), SLOT_RECOVERY))
        text += _RECOVERY
    text += b',"epoch":"'
    slots.append((len(text), SLOT_EPOCH))
    text += _EPOCH + b'"'
    if not pattern:
        text += b',"seq":'
        slots.append((len(text), SLOT_SEQ))
        text += _NUMBER
    return _Tail(text + b"}", tuple(slots))


class Results:
    """A reply with one result for each string asked for, built from left to right.

    Attributes:
        refusals: why each string that failed did.
    """

    __slots__ = (
        "_body",
        "_delays",
        "_ended",
        "_recover",
        "_separator",
        "_slots",
        "_succeeded",
        "refusals",
    )

    def __init__(
        self,
        *,
        ended: bool = False,
        recover: bool = False,
        delays: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Results of subscriptions that end (`ended`) or are in force with their parameters.

        `delays`: by venue, how many seconds late its data is.

        With `recover` the client asked for what it missed: each result says what comes of that.
        """
        self.refusals: list[ErrorCode] = []
        self._ended = ended
        self._delays = delays
        self._recover = recover
        self._succeeded = 0
        self._body = bytearray()
        self._separator = b""
        self._slots: list[Slot] = []

    def accepted(self, one: Subscription) -> None:
        """This string succeeded; where it is in force, the action's next item is its."""
        self._body += self._separator + b'{"symbol":"' + one.name.encode()
        if self._ended:
            self._body += b'","success":true,%s}' % topic_words(one.channel).encode()
        else:
            delay_s = self._delays.get(one.name.rpartition(".")[2], 0)
            tail = _tail(one.channel, one.own, one.pattern, one.delivery, self._recover, delay_s)
            at, item = len(self._body), self._succeeded
            self._slots += [(at + offset, kind, item) for offset, kind in tail.slots]
            self._body += tail.text
        self._separator = b","
        self._succeeded += 1

    def refused(self, name: str, error: Error) -> None:
        """This string failed, alone."""
        self._body += self._separator + b'{"symbol":' + _encode(name)
        self._body += b',"success":false,"error":' + _error(error) + b"}"
        self._separator = b","
        self.refusals.append(error.code)

    def reply(self, method: str, req_id: ReqId, time_in_ns: int) -> Reply:
        """The whole reply."""
        head = _head(method, req_id, success=self._succeeded > 0)
        head += b',"failed":%d,"time_in":%d,"time_out":' % (len(self.refusals), time_in_ns)
        time_out = (len(head), SLOT_TIME, 0)
        head += _NUMBER + b',"results":['
        shift = len(head)
        slots = [(at + shift, kind, arg) for at, kind, arg in self._slots]
        return Reply(head + self._body + b"]}", (time_out, *slots))


def pong(req_id: ReqId, t0: int | UnsetType, received_ns: int) -> Reply:
    """The reply to a ping; `t2` is when it was queued."""
    head = _head("ping", req_id, success=True)
    if t0 is not UNSET:
        head += b',"t0":%d' % t0
    head += b',"t1":%d,"t2":' % received_ns
    return Reply(head + _NUMBER + b"}", ((len(head), SLOT_TIME, 0),))


def authenticated(req_id: ReqId, expires_ns: int) -> Reply:
    """The reply to a credential that counts; `expires_at` is REALTIME."""
    head = _head("auth", req_id, success=True)
    return Reply(head + (b',"expires_at":%d}' % expires_ns if expires_ns else b"}"))


def refusal(method: str | UnsetType, req_id: ReqId, error: Error) -> Reply:
    """The reply to a request that failed as a whole."""
    name = UNSET if method is UNSET else method[:MESSAGE_MAX]
    return Reply(_head(name, req_id, success=False) + b',"error":' + _error(error) + b"}")


def page(
    method: str,
    req_id: ReqId,
    time_in_ns: int,
    rows_name: str,
    rows: Iterable[bytes],
    following: str | int | None,
) -> Reply:
    """A page of encoded rows; `following` becomes `next`: the `after` of the next page."""
    head = _head(method, req_id, success=True) + b',"time_in":%d,"time_out":' % time_in_ns
    time_out = (len(head), SLOT_TIME, 0)
    body = b',"%s":[%s]' % (rows_name.encode(), b",".join(rows))
    if following is not None:
        body += b',"next":' + _encode(following)
    return Reply(head + _NUMBER + body + b"}", (time_out,))


def hello(
    *, version: str, connection_id: str, now_ns: int, heartbeat_ms: int, slo: dict[str, Any]
) -> Reply:
    """The first message on a connection."""
    head = b'{"channel":"system","type":"hello","data":[{"version":%s' % _encode(version)
    head += b',"connection_id":%s,"epoch":"' % _encode(connection_id)
    rest = b'","now":%d,"heartbeat_ms":%d,"slo":%s}]}' % (now_ns, heartbeat_ms, _encode(slo))
    return Reply(head + _EPOCH + rest, ((len(head), SLOT_EPOCH, 0),))


def _error(error: Error) -> bytes:
    fields: dict[str, Any] = {
        "code": error.code.name,
        "message": error.message[:MESSAGE_MAX],
        "retryable": error.code.retryable,
    }
    if error.retry_after_ms is not None:
        fields["retry_after_ms"] = error.retry_after_ms
    return _encode(fields)


def _head(method: str | UnsetType, req_id: ReqId, *, success: bool) -> bytes:
    """The opening of a reply, without the brace that ends it."""
    head = b"{" if method is UNSET else b'{"method":%s,' % _encode(method)
    if req_id is not UNSET:
        head += b'"req_id":%s,' % _encode(req_id)
    return head + (b'"success":true' if success else b'"success":false')
