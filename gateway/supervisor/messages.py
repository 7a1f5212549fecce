"""What supervisor and children say to each other: one class a message, JSON on the channel.

A message's class is told by its member `type`. Members that a class does not know are passed over:
after an upgrade in place, a child may be of another version than its supervisor.
"""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from gateway.model.admin import Answer, Ask
from gateway.model.status import Status

TYPE_CHARACTERS_MAX: Final = 40
"""Of an unknown type, in the words of a refusal."""


class FeedStart(msgspec.Struct, frozen=True, kw_only=True, tag="start_feed"):
    """Supervisor to feed process, the first message: what it works with.

    Attributes:
        config: the whole configuration as JSON; the supervisor does not know what is in it.
        stats_fd: its statistics page.
        wait_fd: memory of all workers' wait pages.
        event_fds: rings each worker, by its index.
    """

    config: msgspec.Raw
    stats_fd: int
    wait_fd: int
    event_fds: tuple[int, ...]


class WorkerStart(msgspec.Struct, frozen=True, kw_only=True, tag="start_worker"):
    """Supervisor to worker, the first message: what it works with.

    Attributes:
        config: as of a FeedStart.
        index: which of the workers it is; also its wait page.
        stats_fd: its statistics page.
        wait_fd: memory of all workers' wait pages.
        event_fd: rung by the feed process.
        listen_fd: the listening socket.
        unix_fd: the one of this host, which all workers share; -1: none.
        tickets_fd: the page of ticket keys.
        seats_fd: memory where all workers count identities' connections.
    """

    config: msgspec.Raw
    index: int
    stats_fd: int
    wait_fd: int
    event_fd: int
    listen_fd: int
    unix_fd: int = -1
    tickets_fd: int = -1
    seats_fd: int = -1


class Segment(msgspec.Struct, frozen=True, kw_only=True, tag="segment"):
    """From the child that writes the ring to the supervisor, and on to those that read it.

    One descriptor comes with it: the segment's. `epoch` names it.
    """

    epoch: str


class Reload(msgspec.Struct, frozen=True, kw_only=True, tag="reload"):
    """Supervisor to all children: another configuration is in force, as of a FeedStart."""

    config: msgspec.Raw


class Reopen(msgspec.Struct, frozen=True, kw_only=True, tag="reopen"):
    """Supervisor to all children: open the log's file anew."""


class Report(msgspec.Struct, frozen=True, kw_only=True, tag="report"):
    """Supervisor to worker: a text for the clients that follow a status channel.

    Each tells everything, so that one lost is made good by the next.
    """

    channel: str
    text: str


class Drain(msgspec.Struct, frozen=True, kw_only=True, tag="drain"):
    """Supervisor to child: finish, and exit with 0.

    Attributes:
        window_ms: over how long a worker spreads its clients' return; 0: as it thinks.
    """

    window_ms: int = 0


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag="ready"):
    """Child to supervisor: its start is over, it works."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """Child to supervisor, before Ready: it can't work, and a restart would not help.

    Attributes:
        exit: the code that the supervisor should end with.
        message: why, for people.
    """

    exit: Annotated[int, msgspec.Meta(ge=1, le=255)]
    message: str


Start = FeedStart | WorkerStart
ToChild = FeedStart | WorkerStart | Segment | Reload | Reopen | Report | Ask | Drain
ToSupervisor = Ready | Failed | Segment | Status | Answer
Message = ToChild | ToSupervisor

DESCRIPTORS: Final[Mapping[type, int]] = {Segment: 1}
"""How many come with a message, where any do."""

_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[Message]] = msgspec.json.Decoder(Message)


_ERRORS: Final = (msgspec.MsgspecError, RecursionError)
"""What the decoder raises: the latter for nesting without an end."""


class MessageError(ValueError):
    """What came is no message; the text names the member at fault.

    Attributes:
        type: what it says that it is; empty where that can't be told.
    """

    def __init__(self, type: str, problem: str) -> None:
        super().__init__(problem)
        self.type = type


def encode(message: Message) -> bytes:
    """The message as JSON."""
    return _encoder.encode(message)


def decode(data: bytes, descriptors: int = 0) -> Message:
    """The message that came with so many descriptors.

    Raises:
        MessageError: it is of no known type, a member is wrong or missing, or the descriptors are.
    """
    try:
        message = _decoder.decode(data)
    except _ERRORS as error:
        raise MessageError(_type(data), str(error)) from None
    expected = DESCRIPTORS.get(type(message), 0)
    if descriptors != expected:
        problem = f"it came with {descriptors} descriptors, expected {expected}"
        raise MessageError(_type(data), problem)
    return message


def type_of(message: Message) -> str:
    """What the member `type` says."""
    return str(message.__struct_config__.tag)


def _type(data: bytes) -> str:
    try:
        document = msgspec.json.decode(data)
    except _ERRORS:
        return ""
    named = document.get("type", "") if isinstance(document, dict) else ""
    return str(named)[:TYPE_CHARACTERS_MAX]
