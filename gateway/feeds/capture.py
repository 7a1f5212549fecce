"""Captures on disk: gzip files whose lines are `<local receive ns> <raw message>`."""

import gzip
import zlib
from collections.abc import Callable, Iterator

from gateway.feeds.refusals import Identify
from gateway.feeds.venues import binance
from gateway.feeds.venues.message import Message

LINE_BYTES_MAX = 8 << 20
"""A longer line (the longest known: 5 MB of depth snapshot) falls to pieces, each a bad line."""

SCAN_LINES = 1000
"""Lines looked at to learn the symbols before the start: about a second of one instrument."""

Decoder = Callable[[bytes], Message | None]
DECODERS: dict[str, Decoder] = {"binance": binance.decode}
"""Format → decoder of a raw message; ValueError for what is none, None for what is no record."""
IDENTIFY: dict[str, Identify] = {"binance": binance.identify}
"""Format → what can be told of a message that its decoder refuses."""


class CaptureError(OSError):
    """A capture cannot be read (on); the text starts with its path."""


def lines(path: str) -> Iterator[bytes]:
    """Every line of the file. CaptureError where it is missing, cut short or no gzip file."""
    try:
        with gzip.open(path, "rb") as file:
            while line := file.readline(LINE_BYTES_MAX):
                yield line
    except OSError as error:
        raise CaptureError(f"{path}: {error.strerror or error}") from error
    except (EOFError, zlib.error) as error:
        raise CaptureError(f"{path}: {error}") from error


def split(line: bytes) -> tuple[int, bytes]:
    """(receive time in REALTIME ns, raw message) of a line. ValueError when it has none."""
    stamp, _, payload = line.partition(b" ")
    if not stamp.isdigit() or len(stamp) > 19:
        raise ValueError("line does not start with a time in nanoseconds")
    return int(stamp), payload


def symbols(path: str, decoder: Decoder) -> list[str]:
    """The symbols in the capture's first lines, in order of appearance. CaptureError."""
    found: dict[str, None] = {}
    for _, line in zip(range(SCAN_LINES), lines(path), strict=False):
        try:
            message = decoder(split(line)[1])
        except ValueError:
            continue  # Counted when it is replayed.
        if message is not None:
            found[message.symbol] = None
    return list(found)
