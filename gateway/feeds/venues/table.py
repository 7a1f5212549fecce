"""The venues whose messages can be read, by the name of their format."""

from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple

from gateway.feeds.refusals import Identify
from gateway.feeds.venues import binance, bybit, coinbase, kraken, kraken_v2
from gateway.feeds.venues.message import Decode, Decoded, Instrument
from gateway.feeds.venues.reference import Assets, by_mark


def _no_suffix(address: str) -> str:
    return ""


def _no_books(url: str, payload: bytes) -> Decoded | None:
    return None


def _about_nothing(url: str) -> tuple[str, str]:
    return "", ""


def _derives_none(symbol: str) -> bool:
    return False


class Venue(NamedTuple):
    """How one venue's messages are read.

    Attributes:
        connect: a connection's address, or "" → the decoder of its messages, in their order.
        suffix: a connection's address → what the decoder adds to the symbols in messages.
        respond: URL and body of a REST response → what is in it; None: nothing of the market's.
        requested: URL of a REST request → channel and symbol that it is about, each empty where it
            tells none: what can be told of a response that `respond` refuses.
        instruments: the body of the response with the reference data → what it lists.
        reference: how the path of the URL of that response ends.
        assets: what a symbol shows, where no reference data says it.
        identify: what can be told of a message that its decoder refuses.
        books_beside: snapshots of books come over REST, not in the stream (`book.BookSequence`).
        heartbeat_s: each connection says so often that it lives, where nothing else comes; 0: it
            doesn't.
        quotes_by_book: quotes bear the numbers of the book's changes (`tops.py`).
        derives: whether the venue sends no quotes of a symbol, so that they are made of its book.
        books_by_connection: a book goes on within one connection alone: its numbers are of that
            connection, or it has none. Else another connection may go on with it.
    """

    connect: Callable[[str], Decode]
    instruments: Callable[[bytes], list[Instrument]]
    reference: str
    assets: Assets
    identify: Identify
    suffix: Callable[[str], str] = _no_suffix
    respond: Callable[[str, bytes], Decoded | None] = _no_books
    requested: Callable[[str], tuple[str, str]] = _about_nothing
    heartbeat_s: float = 0
    quotes_by_book: bool = False
    derives: Callable[[str], bool] = _derives_none
    books_beside: bool = False
    books_by_connection: bool = True


def _same(decode: Decode) -> Callable[[str], Decode]:
    """For decoders that keep nothing: one for all connections."""
    return lambda address: decode


VENUES: Final[dict[str, Venue]] = {
    "binance": Venue(
        _same(binance.decode),
        binance.instruments,
        "/exchangeInfo",
        binance.assets,
        binance.identify,
        respond=binance.respond,
        requested=binance.requested,
        quotes_by_book=True,
        books_beside=True,
        books_by_connection=False,
    ),
    "kraken-v1": Venue(
        _same(kraken.decode),
        kraken.instruments,
        "/AssetPairs",
        partial(by_mark, "/"),
        kraken.identify,
        heartbeat_s=1,
    ),
    "kraken": Venue(
        lambda address: kraken_v2.Connection().decode,
        kraken_v2.instruments,
        "/AssetPairs",
        partial(by_mark, "/"),
        kraken_v2.identify,
        heartbeat_s=1,
    ),
    "coinbase": Venue(
        coinbase.connect,
        coinbase.instruments,
        "/products",
        partial(by_mark, "-"),
        coinbase.identify,
        heartbeat_s=1,
    ),
    "bybit": Venue(
        bybit.connect,
        bybit.instruments,
        "/instruments-info",
        bybit.assets,
        bybit.identify,
        suffix=bybit.suffix,
        derives=lambda symbol: symbol.endswith(bybit.SPOT_SUFFIX),
    ),
}
