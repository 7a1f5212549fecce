"""Flight recordings made by tests."""

import io
from collections.abc import Sequence

from gateway.recording import Header, Writer

HEADER = Header(
    gateway="0.1.0",
    epoch="mwp2b06e",
    reason="breached",
    since_ns=1,
    until_ns=2,
    trigger_ns=2,
    realtime_ns=1_700_000_000_000_000_000,
    monotonic_ns=2,
    cpus=2,
    target_us=1000,
    percentile=99,
    stage="total",
)


def recording(
    *chunks: tuple[bytes, bytes],
    header: Header = HEADER,
    topics: Sequence[tuple[str, str]] = (),
    done: bool = True,
) -> bytes:
    """A file's bytes: the header, the topics, these chunks and, unless told otherwise, the end."""
    out = io.BytesIO()
    writer = Writer(out.write, header)
    writer.topics(topics)
    for kind, payload in chunks:
        writer.chunk(kind, payload)
    if done:
        writer.done()
    assert writer.bytes_written == len(out.getvalue())
    return out.getvalue()
