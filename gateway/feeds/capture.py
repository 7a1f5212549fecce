"""Captures: lines of one venue's raw messages, each with the time of its receipt.

A line is `<time> <raw message>`, or a recorder's envelope (`envelope.py`), which has notes beside
messages, and tells connections apart. The time is nanoseconds since 1970;
other units and ISO 8601 are recognised (`stamps.py`), and anything else is refused, so that no
capture is played at another pace than its own.

Of several files the messages are merged by that time, each file in its own order. A file is open
from its first message to its last.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from gateway.feeds import stamps
from gateway.feeds.envelope import Opened, Received, Response, unwrap
from gateway.feeds.files import CaptureError, Cut, lines
from gateway.feeds.refusals import Refusal, shown
from gateway.feeds.venues.message import Decode, Message
from gateway.feeds.venues.table import Venue

OPEN_MAX: Final = 256
"""Files open at a time: a descriptor, an inflater's window and a line for each."""

SCAN_LINES: Final = 1000
"""Lines looked at to learn the symbols before the start, of all files together."""
SCAN_LINES_MIN: Final = 10
"""At least so many of each file: of 4,096 files that takes a second."""

STAMP_BYTES_MAX: Final = 48
"""Before the message begins."""

Entry = tuple[int, "bytes | Received | Opened | Response | str | Refusal"]
"""(receive time in REALTIME ns, raw message), or instead of that what an envelope held, why a line
is skipped, or refused (its time may be 0: not known)."""


BLANK: Final = "blank line"


def split(line: bytes, *, paced: bool = True) -> Entry:
    """Time and message of a line. ValueError: it has no time.

    Without `paced` a number in an unknown unit is accepted: it orders lines, and sets no pace.
    """
    if line[:1] == b"{":
        return unwrap(line)
    head, _, payload = line.partition(b" ")
    try:
        if len(head) == 19 and head.isdigit():
            return stamps.scaled(int(head)), payload
        start = line[:STAMP_BYTES_MAX]
        at = min((n for n in (start.find(b"{"), start.find(b"[")) if n >= 0), default=-1)
        if at < 0:
            return _time(head.strip(), paced), payload
        return _time(line[:at].strip(b" \t,;|"), paced), line[at:]
    except ValueError as error:
        raise ValueError(f"line does not start with a time: {error}") from None


def _time(text: bytes, paced: bool) -> int:
    try:
        return stamps.parsed(text)
    except ValueError:
        if paced or not text.isdigit() or len(text) > 18:
            raise
        return int(text)


def entries(path: str, cut: Cut, *, paced: bool = True) -> Iterator[Entry]:
    """Every line of one file. CaptureError as in `lines`."""
    for line in lines(path, cut):
        try:
            yield split(line, paced=paced)
        except ValueError as error:
            yield 0, BLANK if line.isspace() else Refusal("line", str(error), value=shown(line))


def merged(paths: Sequence[str], cut: Cut, *, paced: bool = True) -> Iterator[Entry]:
    """Every line of all files, by time; a line without one follows its predecessor in the file.

    Raises:
        CaptureError: as in `lines`, or more than OPEN_MAX files have messages of one time.
    """
    if len(paths) == 1:
        yield from entries(paths[0], cut, paced=paced)
        return
    waiting = sorted(((_first_ns(path, paced), n) for n, path in enumerate(paths)), reverse=True)
    heap: list[tuple[int, int, Entry, Iterator[Entry]]] = []
    while waiting or heap:
        while waiting and (not heap or waiting[-1][0] <= heap[0][0]):
            at_ns, n = waiting.pop()
            if len(heap) == OPEN_MAX:
                raise CaptureError(f"{paths[n]}: more than {OPEN_MAX} files of one time")
            source = entries(paths[n], cut, paced=paced)
            if (first := next(source, None)) is not None:
                heapq.heappush(heap, (first[0] or at_ns, n, first, source))
        if not heap:
            continue
        at_ns, n, entry, source = heap[0]
        following = next(source, None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following[0] or at_ns, n, following, source))
        yield entry


def _first_ns(path: str, paced: bool) -> int:
    """The time of the file's first line that has one; 0 where the first ones have none."""
    for at_ns, _ in islice(entries(path, _untold, paced=paced), SCAN_LINES_MIN):
        if at_ns:
            return at_ns
    return 0


def _untold(path: str, count: int, why: str) -> None:
    """For looks ahead: where a file is cut is logged when it is played."""


def symbols(
    paths: Sequence[str],
    venue: Venue,
    *,
    paced: bool = True,
    good: Callable[[Message], bool] = lambda _: True,
) -> list[str]:
    """The symbols of good messages in the files' first lines, in order of appearance.

    Raises:
        CaptureError: one cannot be read, or no line of one begins with a time.
    """
    found: dict[str, None] = {}
    share = max(SCAN_LINES // len(paths), SCAN_LINES_MIN)
    for path in paths:
        timed, wrong = 0, None
        decoders: dict[str, Decode] = {}
        for _, entry in islice(entries(path, _untold, paced=paced), share):
            if entry is BLANK:
                continue
            if isinstance(entry, Refusal):
                wrong = wrong or entry
                continue
            timed += 1
            for message in _messages(entry, decoders, venue):
                if good(message):
                    found[message.symbol] = None
        if wrong is not None and not timed:
            raise CaptureError(f"{path}: {wrong.why}: {wrong.value}")
    return list(found)


def _messages(
    entry: bytes | Received | Opened | Response | str, decoders: dict[str, Decode], venue: Venue
) -> list[Message]:
    """The records in an entry; where it is refused, none: that is counted when it is replayed."""
    data, connection = entry if isinstance(entry, Received) else (entry, "")
    if isinstance(data, Opened):
        decoders[data.connection] = venue.connect(data.address)
    if not data or not isinstance(data, bytes):
        return []
    decode = decoders.get(connection) or decoders.setdefault(connection, venue.connect(""))
    try:
        items = decode(data)
    except ValueError:
        return []
    return [
        one for one in (items if isinstance(items, list) else [items]) if isinstance(one, Message)
    ]
