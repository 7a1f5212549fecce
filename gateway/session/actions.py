"""What a session wants done: values that the server carries out, in order.

Payloads are JSON texts without a frame header. A slot is a place in the payload that the data plane
fills when it queues the bytes: numbers that only it knows.
"""

from typing import Final

from msgspec import Struct

SLOT_TIME: Final = 0
SLOT_SEQ: Final = 1
SLOT_MATCHED: Final = 2
SLOT_EPOCH: Final = 3
SLOT_RECOVERY: Final = 4

NUMBER_WIDTH: Final = 20
"""Characters of a number's slot: any 64-bit integer, left-aligned, the rest spaces."""

EPOCH_WIDTH: Final = 8
"""Characters of an epoch, always."""

RECOVERY_WIDTH: Final = 64
"""Characters of what came of a `from`: members of a result, a comma before each, then spaces."""

FROM_SEQ: Final = 1
FROM_LAST: Final = 2
FROM_TS: Final = 3

Slot = tuple[int, int, int]
"""(byte offset in the payload, SLOT_*, arg). arg is the index into the items of the
same action, which SLOT_SEQ, SLOT_MATCHED and SLOT_RECOVERY need, or 0."""

Since = tuple[int, int, str]
"""(FROM_*, its value, the epoch of FROM_SEQ): from where on what was missed is wanted."""

Item = (
    tuple[int, str, str, bool, bool, bool, int, int, int]
    | tuple[int, str, str, bool, bool, bool, int, int, int, Since | None]
    | tuple[int, str, str, bool, bool, bool, int, int, int, Since | None, int]
)
"""(subscription id, channel, name or pattern, lossless, snapshot, resync, class, interval of its
rate in ms, limit of age in ms; 0: none[, since[, of a book its depth]]). What the gateway says of
itself has the channel LOCAL, and the name of its own one."""

LOCAL: Final = "local"
"""Topics of one data plane alone: whoever is new gets what was said last."""

StatsRow = tuple[int, int, int, int, int, int, int]
"""(subscription id, routed, delivered, conflated, filtered, dropped, pending), in records."""


class Reply(Struct, frozen=True, gc=False):
    """Send this payload."""

    payload: bytes
    slots: tuple[Slot, ...] = ()


class Subscribe(Struct, frozen=True, gc=False):
    """Send this ack, if it is not empty, and attach the items in one step."""

    payload: bytes
    slots: tuple[Slot, ...]
    items: tuple[Item, ...]


class Unsubscribe(Struct, frozen=True, gc=False):
    """Send this reply, if it is not empty, and detach these ids' subscriptions in one step."""

    payload: bytes
    slots: tuple[Slot, ...]
    ids: tuple[int, ...]


class Regrant(Struct, frozen=True, gc=False):
    """Send this reply, if it is not empty; the client has another right from now on, and what that
    does not grant ends."""

    payload: bytes
    slots: tuple[Slot, ...]
    grant: int


class Review(Struct, frozen=True, gc=False):
    """Call `Session.review` in a later iteration of the loop: it was too much for one."""


class Query(Struct, frozen=True, gc=False):
    """Ask for this connection's statistics; `Session.stats` takes the rows, with the token."""

    token: int


class Wake(Struct, frozen=True, gc=False):
    """Wake the session at this time (MONOTONIC), in place of any before; 0: not any more."""

    at_ns: int


class Tell(Struct, frozen=True, gc=False):
    """Send a notice of no topic (`model.notice`) in the client's format."""

    notice: int
    numbers: tuple[int, ...]


class Close(Struct, frozen=True, gc=False):
    """Close the connection; nothing that the client still sends counts."""

    code: int
    reason: str


Action = Reply | Subscribe | Unsubscribe | Regrant | Review | Query | Tell | Wake | Close
