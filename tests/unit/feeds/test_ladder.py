"""Made-up books: always whole, never crossed, around their quotes."""

from decimal import Decimal
from itertools import islice
from types import SimpleNamespace

import pytest
from support.books import NaiveBook

from gateway.feeds.ladder import LEVELS, Ladder
from gateway.feeds.options import SyntheticOptions, problems
from gateway.feeds.synthetic import Market


@pytest.mark.parametrize("seed", [1, 2])
def test_a_book_is_whole_after_each_quote(seed: int) -> None:
    options = SyntheticOptions(symbols=5, seed=seed, channels=("bbo",))
    ladders = [Ladder(number) for number in range(5)]
    books = [NaiveBook() for _ in ladders]
    seen: set[int] = set()
    for _, symbol, quote in islice(Market(options).records(), 4000):
        snapshot, bids, asks = ladders[symbol].quote(*quote)
        assert snapshot == (symbol not in seen)
        seen.add(symbol)
        kind = "snapshot" if snapshot else "update"
        book = books[symbol]
        book.apply(SimpleNamespace(type=kind, bids=bids, asks=asks, depth=0))
        assert (*book.bids(1), *book.asks(1)) == (quote[:2], quote[2:])
        tick = Decimal(1).scaleb(Decimal(quote[0]).as_tuple().exponent)  # type: ignore[arg-type]
        for side, step in ((book.bids(), -tick), (book.asks(), tick)):
            prices = [Decimal(price) for price, _ in side]
            assert prices == [prices[0] + step * n for n in range(LEVELS)]
    assert not any(book.unknown for book in books)
    assert seen == set(range(5))


def test_the_same_quotes_are_the_same_book() -> None:
    quotes = [("1.00", "1", "1.01", "2"), ("1.01", "1", "1.02", "2"), ("9.00", "1", "9.03", "2")]
    one, other = ([Ladder(3).quote(*quote) for quote in quotes] for _ in range(2))
    assert one == other


def test_books_are_made_around_quotes() -> None:
    found = problems([SyntheticOptions(channels=("trade", "book"))])
    assert found == [
        ("feeds.0.channels", 'found "book" without "bbo"; books are made around quotes')
    ]
