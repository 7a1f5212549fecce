"""A recorder's envelope: `{"t","conn","ts","data"}` around a message or a note. Pure.

`t` is `recv` for a message of connection `conn`, `connect` for a new connection to `addr`, `http`
for a response of `url`; of other notes only the kind is told. `ts` is read by `stamps.py`.
"""

import re
from typing import Final, NamedTuple

import msgspec

from gateway.feeds import stamps
from gateway.feeds.venues.arrays import SLICE_BYTES

CONNECTION_CHARACTERS_MAX: Final = 256
"""Of a connection's name; what is beyond tells no connections apart."""

_HEAD_BYTES: Final = 4096
"""In which a long line's data begin."""


class Received(NamedTuple):
    """A message, and the connection on which it came."""

    data: bytes
    connection: str


class Opened(NamedTuple):
    """A new connection of this name."""

    connection: str
    address: str


class Response(NamedTuple):
    """What a REST request brought."""

    url: str
    data: bytes


class _Envelope(msgspec.Struct, gc=False):
    t: str
    ts: msgspec.Raw = msgspec.Raw()
    data: str = ""
    conn: msgspec.Raw = msgspec.Raw()
    addr: str = ""
    url: str = ""


NOTES: Final = {name: f"recorder's {name}" for name in ("header", "connect", "send", "http")}
OTHER_NOTE: Final = "recorder's note"
_DATA: Final = re.compile(rb'"data":\s*"')
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_text = msgspec.json.Decoder(str).decode


def unwrap(line: bytes) -> tuple[int, Received | Opened | Response | str]:
    """The time of a line and what it holds. ValueError: it is no envelope, or has no time."""
    try:
        envelope, data = _short(line) if len(line) <= 2 * SLICE_BYTES else _long(line)
    except (ValueError, RecursionError):
        raise ValueError("line does not start with a time, and is no envelope") from None
    ts = bytes(envelope.ts).strip(b'"')
    connection = bytes(envelope.conn).strip(b'"').decode()[:CONNECTION_CHARACTERS_MAX]
    if envelope.t == "recv":
        return stamps.parsed(ts), Received(data, connection)
    ts_ns = stamps.parsed(ts) if ts else 0
    if envelope.t == "connect":
        return ts_ns, Opened(connection, envelope.addr)
    if envelope.t == "http":
        return ts_ns, Response(envelope.url, data)
    return ts_ns, NOTES.get(envelope.t, OTHER_NOTE)


def _short(line: bytes) -> tuple[_Envelope, bytes]:
    envelope = _decode_envelope(line)
    return envelope, envelope.data.encode()


def _long(line: bytes) -> tuple[_Envelope, bytes]:
    """As `_short`, with the data decoded in slices (`venues/arrays.py` says why).

    They end between a closing brace and a comma, neither of which an escape has. Where the data are
    not the last member, a slice has a quote in it that is not escaped, and is ill-formed.
    """
    found = _DATA.search(line, 0, _HEAD_BYTES)
    if found is None:
        return _short(line)
    at, end = found.end(), line.rindex(b'"')
    pieces: list[bytes] = []
    try:
        envelope = _decode_envelope(line[:at] + line[end:])
        while (cut := line.find(b"},", at + SLICE_BYTES, end)) >= 0:
            pieces.append(_decode_text(b'"%b"' % line[at : cut + 1]).encode())
            at = cut + 1
        pieces.append(_decode_text(b'"%b"' % line[at:end]).encode())
    except ValueError:
        return _short(line)
    return envelope, b"".join(pieces)
