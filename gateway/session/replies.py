"""The JSON of everything that a session says.

Replies are put together from fragments, and the place of each slot is noted while its fragment is
laid down: nothing that a client sends can be mistaken for one. Names that passed the grammar of
PROTOCOL.md section 1 need no escaping; all other text of a client's goes through the encoder.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from gateway.model.record import CHANNELS
from gateway.session.actions import (
    EPOCH_WIDTH,
    NUMBER_WIDTH,
    SLOT_EPOCH,
    SLOT_MATCHED,
    SLOT_SEQ,
    SLOT_TIME,
    Reply,
    Slot,
)
from gateway.session.codes import ErrorCode
from gateway.session.messages import ReqId

MESSAGE_MAX: Final = 240
"""Characters of an error's message: what it quotes of a client's text is cut there."""

_NUMBER: Final = b" " * NUMBER_WIDTH
_EPOCH: Final = b" " * EPOCH_WIDTH
_encode: Final = msgspec.json.encode


class Error(NamedTuple):
    """Why a request or one of its symbols is refused."""

    code: ErrorCode
    message: str
    retry_after_ms: int | None = None

    def json(self) -> bytes:
        """The `error` object."""
        fields: dict[str, Any] = {
            "code": self.code.name,
            "message": self.message[:MESSAGE_MAX],
            "retryable": self.code.retryable,
        }
        if self.retry_after_ms is not None:
            fields["retry_after_ms"] = self.retry_after_ms
        return _encode(fields)


class _Tail(NamedTuple):
    """What follows the name in a result, and where its slots are."""

    text: bytes
    epoch_at: int
    number_at: int
    number_kind: int


@cache  # one for each combination of a few flags
def _tail(channel: str, pattern: bool, lossless: bool, snapshot: bool, recover: bool) -> _Tail:
    head = f'","success":true,"channel":"{channel}"'.encode()
    parameters = b',"mode":"%s","class":%d,"snapshot":%s%s,"epoch":"' % (
        b"lossless" if lossless else b"conflate",
        CHANNELS[channel].priority,
        b"true" if snapshot else b"false",
        b',"recovery":"insufficient_state"' if recover else b"",
    )
    if pattern:
        before = head + b',"matched":'
        text = before + _NUMBER + parameters
        return _Tail(text + _EPOCH + b'"}', len(text), len(before), SLOT_MATCHED)
    text = head + parameters
    after = text + _EPOCH + b'","seq":'
    return _Tail(after + _NUMBER + b"}", len(text), len(after), SLOT_SEQ)


class Results:
    """A reply with one result for each string asked for, built from left to right."""

    __slots__ = ("_body", "_separator", "_slots", "_succeeded", "failed")

    def __init__(self) -> None:
        self.failed = 0
        self._succeeded = 0
        self._body = bytearray()
        self._separator = b""
        self._slots: list[Slot] = []

    def subscribed(
        self,
        channel: str,
        name: str,
        *,
        pattern: bool,
        lossless: bool,
        snapshot: bool,
        recover: bool,
    ) -> None:
        """The subscription is in force with these parameters; its item is the next one."""
        tail = _tail(channel, pattern, lossless, snapshot, recover)
        body = self._body
        body += self._separator + b'{"symbol":"'
        body += name.encode()
        at = len(body)
        body += tail.text
        self._slots.append((at + tail.epoch_at, SLOT_EPOCH, 0))
        self._slots.append((at + tail.number_at, tail.number_kind, self._succeeded))
        self._separator = b","
        self._succeeded += 1

    def unsubscribed(self, channel: str, name: str) -> None:
        """The subscription has ended."""
        self._body += self._separator
        self._body += f'{{"symbol":"{name}","success":true,"channel":"{channel}"}}'.encode()
        self._separator = b","
        self._succeeded += 1

    def refused(self, name: str, error: Error) -> None:
        """This string failed, alone."""
        self._body += self._separator + b'{"symbol":' + _encode(name)
        self._body += b',"success":false,"error":' + error.json() + b"}"
        self._separator = b","
        self.failed += 1

    def reply(self, method: str, req_id: ReqId, time_in_ns: int) -> Reply:
        """The whole reply."""
        head = _head(method, req_id, success=self._succeeded > 0)
        head += b',"failed":%d,"time_in":%d,"time_out":' % (self.failed, time_in_ns)
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


def refusal(method: str | UnsetType, req_id: ReqId, error: Error) -> Reply:
    """The reply to a request that failed as a whole."""
    name = UNSET if method is UNSET else method[:MESSAGE_MAX]
    return Reply(_head(name, req_id, success=False) + b',"error":' + error.json() + b"}")


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


def shutdown(reconnect_after_ms: int) -> bytes:
    """What a draining gateway says before it closes with 1012."""
    return (
        b'{"channel":"system","type":"shutdown","data":[{"reconnect_after_ms":%d}]}'
        % reconnect_after_ms
    )


def _head(method: str | UnsetType, req_id: ReqId, *, success: bool) -> bytes:
    """The opening of a reply, without the brace that ends it."""
    head = b"{" if method is UNSET else b'{"method":%s,' % _encode(method)
    if req_id is not UNSET:
        head += b'"req_id":%s,' % _encode(req_id)
    return head + (b'"success":true' if success else b'"success":false')
