"""What memory a configuration takes, before anything is started.

PSS, in which what several processes share counts once. Buffers take their size once they have been
used all around (`memory.populate = "start"`: at once); the programs' own part was measured idle, on
CPython 3.11 to 3.13.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.tls import configured

if TYPE_CHECKING:
    from gateway.config import Config

SUPERVISOR_BYTES: Final = 50_000_000
"""numpy for the figures, OpenSSL, a minute of the black box."""
FEED_BYTES: Final = 30_000_000
WORKER_BYTES: Final = 45_000_000
TOPIC_BYTES: Final = 128 + 256
"""A name in the segment's directory and a last value in its table."""
CHAIN_BYTES: Final = 192
"""What the feed process keeps of a topic: where the last of its records are."""
HEALTH_BYTES: Final = 320
"""What it keeps of an instrument, of which each topic may be another's: its pace and its health."""
BLOCKS_SHARE: Final = 4096
"""Bytes of the ring for each of its block index."""
CANDLE_ROW_BYTES: Final = 1504
CANDLE_BYTES: Final = 160
CANDLES_KEPT: Final = {"1s": 11, "1m": 2, "5m": 2, "15m": 2, "1h": 2, "1d": 2}
"""What the feed process keeps of an instrument, of a candle, and how many of each interval: the
running one and those that late trades may change (gw_candle.c)."""
LEVEL_BYTES: Final = 48
"""A level of an order book in the segment, where chunks are half full."""
FOLLOWED_BYTES: Final = 120
"""The same in each worker that has subscribers of it, with the log of its changes, and its part of
what a book has besides, at 250 levels each."""
PLACE_BYTES: Final = 24
"""Where those were who are sent a frame of a book, of each descriptor in a worker's frame log."""
RECORDED_BYTES: Final = 32 << 20
"""Copies of books in the supervisor, for recordings (`recorder.books`)."""
HEALTH_TOPICS_MAX: Final = 32768
"""Topics of instruments' health, beside ring.topics_max and at most as many (gw_suspect.h)."""
FRAME_BYTES: Final = 40
"""A descriptor in the frame log, one for each so many bytes of it: FRAME_SPACING_BYTES."""
FRAME_SPACING_BYTES: Final = 256
CLIENT_BYTES: Final = 20_000
"""A connected client that reads, with ten topics; one that lags may hold 96 KiB of replies."""
CLIENT_TLS_BYTES: Final = 15_000
"""The same over TLS takes so much more: OpenSSL's connection, its buffers being released."""


class Part(NamedTuple):
    """One line of the bill."""

    name: str
    bytes: int


def estimate(config: "Config") -> list[Part]:
    """What all processes take together, without clients; of frame logs those of JSON."""
    workers = config.cluster.workers
    topics = config.ring.topics_max + min(config.ring.topics_max, HEALTH_TOPICS_MAX)
    topics += config.candles.instruments_max * len(config.candles.intervals)
    capacity = config.ring.capacity_bytes
    feed = FEED_BYTES + topics * CHAIN_BYTES + config.ring.topics_max * HEALTH_BYTES
    return [
        Part("programs", SUPERVISOR_BYTES + feed + workers * WORKER_BYTES),
        Part("ring", capacity + capacity // BLOCKS_SHARE + topics * TOPIC_BYTES),
        Part("books", _book_bytes(config)),
        Part("frame logs", workers * _log_bytes(config)),
        *([Part("candles", _candle_bytes(config))] if config.candles.intervals else []),
    ]


def words(config: "Config") -> str:
    """The estimate as one line."""
    parts = estimate(config)
    total = sum(part.bytes for part in parts)
    listed = ", ".join(f"{part.name} {_megabytes(part.bytes)}" for part in parts)
    more = _megabytes(config.cluster.workers * _log_bytes(config))
    client = CLIENT_BYTES + (CLIENT_TLS_BYTES if configured(config.tls) else 0)
    return (
        f"memory: {_megabytes(total)} with all buffers in use ({listed}), "
        f"{more} more once a client of each worker takes binary frames, "
        f"and {client // 1000} KB a client"
    )


def _book_bytes(config: "Config") -> int:
    """In the segment and in workers, and what the recorder keeps of them."""
    levels, workers = config.ring.book_levels_max, config.cluster.workers
    each = LEVEL_BYTES + workers * FOLLOWED_BYTES
    places = config.plane.log_bytes // FRAME_SPACING_BYTES * PLACE_BYTES if levels else 0
    return levels * each + workers * places + min(levels * LEVEL_BYTES, RECORDED_BYTES)


def _candle_bytes(config: "Config") -> int:
    candles = config.candles
    kept = sum(CANDLES_KEPT[interval] for interval in candles.intervals)
    return candles.instruments_max * (CANDLE_ROW_BYTES + kept * CANDLE_BYTES)


def _log_bytes(config: "Config") -> int:
    """Of one worker's log of frames in one format; it has one for each that a client speaks."""
    return config.plane.log_bytes * (FRAME_SPACING_BYTES + FRAME_BYTES) // FRAME_SPACING_BYTES


def _megabytes(count: int) -> str:
    return f"{round(count / 1e6)} MB"
