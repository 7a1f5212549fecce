"""Where the head of a request or of an answer ends, and how long it may be."""

HEAD_BYTES_MAX = 32 << 10
"""Of a head, all lines together, unless another limit is given: the library's own limits add up to
1 MiB."""
_END = b"\r\n\r\n"


class Head:
    """Cuts what follows a head off; frames may follow it in the same read.

    Attributes:
        whole: whether its end was seen.
        too_long: whether it has more bytes than are read.
        rest: what came behind it in the read that ended it.
    """

    __slots__ = ("_limit", "_received", "_tail", "rest", "too_long", "whole")

    def __init__(self, limit: int = HEAD_BYTES_MAX) -> None:
        self._limit = limit
        self._received = 0
        self._tail = b""  # the last bytes so far
        self.whole = self.too_long = False
        self.rest = b""

    def take(self, data: bytes) -> bytes:
        """Which of these bytes are the head's and may be read; not called once it is whole.

        What is beyond the limit is not read: whether it came with the rest makes no difference.
        """
        seen = self._tail + data
        end = seen.find(_END) + len(_END)
        if end >= len(_END):
            self.whole = True
            self.rest = seen[end:]
        self._tail = seen[1 - len(_END) :]
        more = len(data) - len(self.rest)
        room = self._limit - self._received
        self._received += more
        self.too_long = self._received > self._limit
        return data[: min(more, room)]
