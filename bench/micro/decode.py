"""Prints what reading a record costs a client, from JSON and from binary frames: `decode.py`.

One record a frame, a trade and a quote as venues send them; the lowest of several rounds. `client`
is what the Python client does to make its event of a message: numbers are looked at, too.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

import numpy as np
from best import best_ns

from gateway._native import Row, Template, sbe_record
from gateway.client.session import ClientSession
from gateway.codec import decode as text
from gateway.codec import sbe
from gateway.codec.formats import JSON, programs
from gateway.model.encoding import Encoding

ROUNDS = 15
FRAMES = 20_000
CHAIN = 1000
NOW = 1_723_161_255_342_000_000
SYMBOL = "BTCUSDT.BINANCE"
TRADE: Row = (0, NOW, "64250.10", "0.01500", "sell", "3810000037")
QUOTE: Row = (0, NOW, "64250.10", "0.01500", "64250.20", "1.20000")
Channel = Literal["trade", "bbo"]
ROWS: tuple[tuple[Channel, int, Row], ...] = (("trade", 1, TRADE), ("bbo", 2, QUOTE))


def each(read: Callable[[bytes], object], frame: bytes) -> float:
    """Nanoseconds of one call."""

    def run(frames: list[bytes] = [frame] * FRAMES) -> None:
        for one in frames:
            read(one)

    return best_ns(run, FRAMES, ROUNDS)


def client(encoding: Encoding, announcement: bytes, messages: list[bytes]) -> float:
    """Nanoseconds for the event of one of the messages, which follow each other."""
    session = ClientSession(encoding)
    session.connected(0)
    session.receive(announcement, mono_ns=0, real_ns=NOW)

    def run() -> None:
        for message in messages:
            session.receive(message, mono_ns=0, real_ns=NOW)

    return best_ns(run, len(messages), ROUNDS)


def figures() -> Iterator[tuple[str, float, str]]:
    """Name, value and unit of each row."""
    records, _ = programs(JSON)
    topics: dict[int, sbe.Topic] = {number: (channel, SYMBOL) for channel, number, _ in ROWS}
    decoder = sbe.Decoder()
    decoder.topics = topics
    for channel, number, row in ROWS:
        template = Template(records[channel, "update"])
        payloads = [
            template.encode(channel, SYMBOL, row, seq=seq, ts_recv=NOW + 1, ts_send=NOW + 2)
            for seq in range(8813, 8813 + CHAIN)
        ]
        chain = [
            sbe.encode_record(
                channel, "update", number, row, seq=seq, ts_recv=NOW + 1, ts_send=NOW + 2
            )
            for seq in range(8813, 8813 + CHAIN)
        ]
        payload, frame = payloads[0], chain[0]
        announcement = sbe.encode_topic(number, channel, SYMBOL)
        frames = [frame] * FRAMES
        joined, lengths = b"".join(frames), np.full(FRAMES, len(frame))
        yield f"{channel} json bytes", len(payload), "B"
        yield f"{channel} sbe bytes", len(frame), "B"
        yield f"{channel} announcement", len(announcement), "B"
        yield f"{channel} client json", client("json", b"{}", payloads), "ns"
        yield f"{channel} client sbe", client("sbe", announcement, chain), "ns"
        yield f"{channel} json", each(text.decode, payload), "ns"
        yield f"{channel} sbe", each(decoder.decode, frame), "ns"
        yield f"{channel} sbe tuple", each(lambda one: sbe_record(one, topics), frame), "ns"
        yield f"{channel} sbe in Python", each(lambda one: sbe.decode(one, topics), frame), "ns"
        batch = best_ns(partial(sbe.batch, frames, topics), FRAMES, ROUNDS)
        yield f"{channel} sbe batch", batch, "ns"
        buffer = best_ns(partial(sbe.batch, joined, topics, lengths), FRAMES, ROUNDS)
        yield f"{channel} sbe one buffer", buffer, "ns"


def main() -> None:
    """Measures and prints."""
    for name, value, unit in figures():
        print(f"{name:24} {value:>10,.1f} {unit}", flush=True)


if __name__ == "__main__":
    main()
