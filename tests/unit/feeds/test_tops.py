"""Which quote is a book's top behind a message, by the venue's numbers."""

from gateway.feeds.tops import QUOTES_MAX, Tops
from gateway.feeds.venues.message import Top


def top(number: int) -> Top:
    return str(number), "1", str(number + 1), "1"


def test_it_is_the_newest_up_to_the_books_number() -> None:
    tops = Tops()
    assert tops.of("A", 5) is None
    for number in (3, 5, 9):
        tops.quote("A", number, top(number))
    assert tops.of("A", 2) is None, "nothing is known of then"
    assert tops.of("A", 4) == top(3)
    assert tops.of("A", 5) == tops.of("A", 8) == top(5)
    assert tops.of("A", 4) is None, "older ones are forgotten"
    assert tops.of("A", 100) == tops.of("A", 101) == top(9), "the newest stays"
    assert tops.of("B", 100) is None


def test_a_venue_may_number_anew() -> None:
    tops = Tops()
    tops.quote("A", 1000, top(1000))
    tops.quote("A", 1000, top(1))  # the same again
    assert tops.of("A", 1000) == top(1000)
    tops.quote("A", 7, top(7))
    assert tops.of("A", 7) == top(7)


def test_a_symbol_without_a_book_takes_no_more_than_its_share() -> None:
    tops = Tops()
    for number in range(3 * QUOTES_MAX):
        tops.quote("A", number, top(number))
    assert tops.of("A", 2 * QUOTES_MAX - 1) is None
    assert tops.of("A", 2 * QUOTES_MAX) == top(2 * QUOTES_MAX)
