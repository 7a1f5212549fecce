"""One program's connection to a `publisher` feed, sans-IO (docs/publisher.md).

A program says who it is, which stream of lines it brings and the number of the one that comes next,
then lines. Each is acknowledged once it is published, or refused, by number: so a program that
comes again says again what it has no word of, and what had been taken before is not taken twice.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, NamedTuple

import msgspec

LINE_BYTES_MAX: Final = 65_536
LINES_MAX: Final = 256
"""Taken at once: a millisecond where they are usual, a few where each is refused."""
NUMBER_MAX: Final = (1 << 62) - 1
NAME: Final = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
Name = Annotated[str, msgspec.Meta(pattern=f"^{NAME}$")]


class Hello(msgspec.Struct, tag_field="channel", tag="hello", forbid_unknown_fields=True):
    """The first line. Numbers go on within a `stream`, which is another for each run of it."""

    publisher: Name
    stream: Name
    next: Annotated[int, msgspec.Meta(ge=1, le=NUMBER_MAX)] = 1


class Some(NamedTuple):
    """Whole lines: the text of them all, the first one's number, how many there are; 0: they had
    been taken."""

    text: bytes
    first: int
    lines: int


class Refused(ValueError):
    """What ends a connection, in words for its program and for the operator."""


_hello: Final = msgspec.json.Decoder(Hello)
_encode: Final = msgspec.json.Encoder().encode


class Program:
    """What it has said, and what it has yet to be told.

    Args:
        came: takes what it says first; up to which number its lines have been taken already.
    """

    def __init__(self, came: Callable[["Program", Hello], int]) -> None:
        self._came = came
        self._rest = bytearray()
        self._out = b""  # what the socket did not take
        self._ack = b""  # what comes behind it: the newest one alone
        self.name = self.stream = ""
        self.number = 0  # of the newest line
        self.refused = 0
        self._taken = 0  # lines that were before this connection
        self._why: Any = None

    def receive(self, data: bytes) -> None:
        """Takes bytes, where there is no whole line left."""
        self._rest += data

    @property
    def more(self) -> bool:
        """Whether there is a whole line left."""
        return b"\n" in self._rest

    def take(self) -> Some | None:
        """The next whole lines, LINES_MAX at most, without those that have been taken already.

        Raises:
            Refused: it says something that it must not.
        """
        if not self.name and self.more:
            self._greeted(self._cut(self._rest.index(b"\n") + 1))
        end = count = passed = begin = 0
        while count < LINES_MAX and (at := self._rest.find(b"\n", end)) >= 0:
            end, count = at + 1, count + 1
            if self.number + count <= self._taken:  # before the connection was lost
                begin, passed = end, count
        if not count:
            if len(self._rest) > LINE_BYTES_MAX:
                raise Refused(f"line over {LINE_BYTES_MAX} bytes")
            return None
        first = self.number + passed + 1
        self.number += count
        text = self._cut(end)[begin:]
        return Some(text, first, count - passed)

    def _cut(self, end: int) -> bytes:
        text = bytes(memoryview(self._rest)[:end])
        del self._rest[:end]
        return text

    def _greeted(self, line: bytes) -> None:
        try:
            said = _hello.decode(line)
        except ValueError as error:
            raise Refused(f"the first line is no hello: {error}") from None
        self.name, self.stream = said.publisher, said.stream
        self.number = said.next - 1
        self._taken = self._came(self, said)
        self.acknowledge()

    # --- what it is told --------------------------------------------------------------------------

    def acknowledge(self, refused: int = 0, why: Any = None) -> None:
        """All lines so far were taken; of them so many more were refused, the last one for this."""
        self.refused += refused
        said: dict[str, Any] = {"taken": max(self.number, self._taken), "refused": self.refused}
        if why is not None:
            self._why = why
        if self.refused:
            said["last_refused"] = self._why
        self._ack = _encode(said) + b"\n"

    def end(self, why: str) -> None:
        """The last thing that it is told."""
        self._ack += _encode({"error": why}) + b"\n"

    @property
    def unsent(self) -> bytes:
        """What it has to be told."""
        if not self._out:
            self._out, self._ack = self._ack, b""
        return self._out

    def sent(self, count: int) -> None:
        """So many bytes of it have left."""
        self._out = self._out[count:]
