"""What a client's bytes meant to the server's side, and what they may mean."""

from dataclasses import dataclass

from gateway.model.outcomes import HANDSHAKES
from gateway.wire.events import Answer, Control, End
from gateway.wire.response import Response
from support.sans import Sans, pongs

STATUSES = {400, 403, 404, 405, 414, 426, 431, 505}
FAILURES = {1002, 1003, 1007, 1009, 4029}
CLIENTS_OWN = {1000, 1001, *range(1007, 1015), 1005} | {*range(3000, 5000)} | FAILURES


@dataclass(frozen=True)
class Meaning:
    """All that may not depend on how bytes were cut."""

    said: list[object]
    heard: list[object]
    in_message: bool
    unfinished: bool


def meaning(one: Sans) -> Meaning:
    """Which pongs are one write is left out, and those of a flood, which the end may overtake.

    So is the text about a line that is too long: the library tells how much of it had come.
    """
    said: list[object] = []
    heard: list[object] = []
    for event in one.events:
        if isinstance(event, Answer):
            heard += [("pong", payload) for payload in pongs(event)]
            continue
        if isinstance(event, Response) and event.text.startswith("read "):
            said.append(event.status)
        else:
            said.append(event)
        if not isinstance(event, Control):
            heard.append(said[-1])
    flood = one.over and isinstance(one.events[-1], End) and one.events[-1].code == 4029
    heard = [] if flood else heard
    return Meaning(said, heard, one.side.in_message, one.side.unfinished)


def documented(one: Sans) -> None:
    """What came is accepted, or refused by a code or a status that the contract has."""
    for event in one.events:
        if isinstance(event, Response):
            assert event.status in STATUSES
            assert event.result in HANDSHAKES
            assert event.data().startswith(b"HTTP/1.1 %d " % event.status)
        elif isinstance(event, End):
            assert event.code in CLIENTS_OWN
