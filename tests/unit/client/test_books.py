"""A client's order books: in both encodings, in parts, checked, in doubt and right again."""

import binascii
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.said import ack, hello, receive

from gateway._native import BOOK_LEVELS_MAX
from gateway._native import Book as NativeBook
from gateway.client import Book, Gap, Level, Malformed, OrderBook, RawTick
from gateway.client.books import MISMATCH_RETRY_NS
from gateway.client.conflating import ConflatingInbox
from gateway.client.events import Event
from gateway.client.requests import Request
from gateway.client.session import ClientSession
from gateway.codec import sbe
from gateway.codec.sbe_book import encode_book
from gateway.model.encoding import Encoding

SYMBOL = "A.SIM"
Pairs = list[tuple[str, str]]
BIDS: Pairs = [("10.0", "1"), ("9.5", "2.50"), ("9.0", "3")]
ASKS: Pairs = [("10.5", "1"), ("11.0", "2")]
encodings = pytest.mark.parametrize("encoding", ["json", "sbe"])


def crc(bids: Pairs, asks: Pairs) -> int:
    """As the protocol says it, by another's library."""
    digits = "".join(
        text.replace(".", "").lstrip("0")
        for side in (asks, bids)
        for level in side
        for text in level
    )
    return binascii.crc32(digits.encode())


class Peer:
    """A gateway that says what it is told to."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.session = ClientSession(encoding)
        self.connect()
        (self.request,) = self.session.subscribe("book", SYMBOL, depth=3)
        self.accept(self.request)

    def connect(self, epoch: str = "e1") -> list[Request]:
        requests = self.session.connected(0)
        receive(self.session, hello(epoch))
        if self.encoding == "sbe":
            self.tell(sbe.encode_topic(7, "book", SYMBOL))
        return requests

    def accept(self, request: Request) -> None:
        result = {"symbol": SYMBOL, "success": True, "channel": "book", "seq": 1, "depth": 3}
        receive(self.session, ack(request, result | {"mode": "conflate"}))

    def tell(self, message: bytes | str) -> list[Event]:
        return self.session.receive(message, mono_ns=0, real_ns=5)

    def frame(
        self, kind: Any, seq: int, bids: Pairs, asks: Pairs, *, skipped: int = 0, **said: Any
    ) -> list[Event]:
        times: dict[str, Any] = {"ts_event": 2, "ts_recv": 3, "ts_send": 4}
        said = {"depth": 3} | said
        if self.encoding == "sbe":
            return self.tell(
                encode_book(kind, 7, bids, asks, seq=seq, skipped=skipped, **times, **said)
            )
        part = {"part": said.pop("part")} if "part" in said else {}
        head = {"channel": "book", "type": kind, "symbol": SYMBOL, "seq": seq, **times}
        row = {"bids": bids, "asks": asks, **said}
        return self.tell(json.dumps({**head, "data": [row], **part, "skipped": skipped}))

    def snapshot(self, seq: int = 1) -> OrderBook:
        (event,) = self.frame("snapshot", seq, BIDS, ASKS, checksum=crc(BIDS, ASKS))
        assert isinstance(event, Book)
        assert event.book is not None
        return event.book


@pytest.fixture(params=["json", "sbe"])
def peer(request: pytest.FixtureRequest) -> Peer:
    return Peer(request.param)


def levels(pairs: Pairs) -> list[Level]:
    return [Level(*pair) for pair in pairs]


# --- frames ---------------------------------------------------------------------------------------


def test_a_snapshot_is_a_book(peer: Peer) -> None:
    assert peer.session.book(SYMBOL) is None
    (event,) = peer.frame(
        "snapshot", 1, BIDS, ASKS, checksum=crc(BIDS, ASKS), first_id="12", last_id="19"
    )
    assert isinstance(event, Book)
    assert (event.channel, event.type, event.symbol, event.seq) == ("book", "snapshot", SYMBOL, 1)
    assert (event.ts_event, event.ts_recv, event.ts_send, event.ts_client) == (2, 3, 4, 5)
    assert (event.first_id, event.last_id, event.depth) == ("12", "19", 3)
    assert (event.bids, event.asks) == (levels(BIDS), levels(ASKS))
    book = peer.session.book(SYMBOL)
    assert book is event.book
    assert book is not None
    assert (book.symbol, book.seq, book.ts_event, book.ready, book.depth) == (SYMBOL, 1, 2, True, 3)
    assert book.bids[0] == Level("10.0", "1")
    assert (book.bids[1].price, book.bids[1].qty) == (Decimal("9.5"), Decimal("2.50"))
    assert (book.bids[1].price_float, book.bids[1].qty_float) == (9.5, 2.5)
    assert "A.SIM" in repr(book)
    assert "9.5" in repr(event)


def test_both_encodings_give_the_same_event() -> None:
    said: dict[str, Any] = {"checksum": 1, "maybe_bad": True, "last_id": "3", "skipped": 4}
    events = [
        Peer(encoding).frame("update", 7, BIDS, ASKS, **said)[0] for encoding in ("json", "sbe")
    ]
    assert events[0] == events[1]
    assert isinstance(events[0], Book)
    assert (events[0].maybe_bad, events[0].skipped, events[0].book) == (True, 4, None)


def test_an_update_changes_the_book_then_cuts_it(peer: Peer) -> None:
    book = peer.snapshot()
    bids = [("10.1", "4"), ("10.0", "7"), ("9.5", "2.50")]
    asks = [("11.0", "2"), ("12", "5")]
    sums = crc(bids, asks)
    changes = [("10.1", "4"), ("10.0", "7")]
    (event,) = peer.frame("update", 2, changes, [("10.5", "0"), ("12", "5")], checksum=sums)
    assert isinstance(event, Book)
    assert event.bids == levels(changes)
    assert event.asks[0] == Level("10.5", "0")
    assert [*book.bids] == levels(bids)
    assert [*book.asks] == levels(asks)
    assert book.seq == 2
    assert book.checksum() == sums


def test_sides_are_sequences(peer: Peer) -> None:
    book = peer.snapshot()
    assert (len(book.bids), len(book.asks)) == (3, 2)
    assert book.bids[-1] == Level("9.0", "3")
    assert book.bids[:2] == levels(BIDS[:2])
    assert book.bids[1:] == levels(BIDS[1:])
    assert book.bids[:-1] == levels(BIDS[:-1])
    assert book.bids[-2:] == levels(BIDS[-2:])
    assert book.bids[::-1] == levels(BIDS[::-1])
    assert book.bids[:100] == levels(BIDS)
    assert book.bids[:0] == []
    assert [book.bids[i] for i in range(3)] == levels(BIDS)
    with pytest.raises(IndexError):
        book.bids[3]
    with pytest.raises(IndexError):
        book.bids[-4]
    assert Level("9.0", "3") in book.bids
    assert not OrderBook("B.SIM").asks
    assert OrderBook("B.SIM").bids[:10] == []
    assert OrderBook("B.SIM").checksum() == 0


def test_another_depth_begins_with_a_snapshot(peer: Peer) -> None:
    book = peer.snapshot()
    sums = crc(BIDS[:1], ASKS[:1])
    (event,) = peer.frame("snapshot", 2, BIDS[:1], ASKS[:1], depth=1, checksum=sums)
    assert isinstance(event, Book)
    assert (event.book, len(book.bids), book.depth) == (book, 1, 1)


def test_all_levels_of_a_venue(peer: Peer) -> None:
    many = [(str(100_000 - i), "1") for i in range(20_000)]
    peer.frame("snapshot", 1, many, [], depth=0, checksum=crc(many[:10], []))
    book = peer.session.book(SYMBOL)
    assert book is not None
    assert book.ready
    assert len(book.bids) == 20_000 < BOOK_LEVELS_MAX
    assert book.bids[19_999].price == 80_001


# --- parts ----------------------------------------------------------------------------------------


def test_parts_are_one_frame(peer: Peer) -> None:
    peer.snapshot()
    for part, bids in enumerate((BIDS[:1], BIDS[1:2]), start=1):
        assert peer.frame("snapshot", 5, bids, [], part=(part, 3), skipped=3) == []
    last: dict[str, Any] = {"part": (3, 3), "checksum": crc(BIDS, ASKS)}
    (event,) = peer.frame("snapshot", 5, BIDS[2:], ASKS, skipped=3, **last)
    assert isinstance(event, Book)
    assert type(event) is Book
    assert (event.seq, event.skipped, event.bids, event.asks) == (5, 3, levels(BIDS), levels(ASKS))
    assert event.book is not None
    assert peer.session.statistics().gaps == 0


@pytest.mark.parametrize("second", [(3, 3), (2, 4), (1, 2)])
def test_parts_with_a_hole(peer: Peer, second: tuple[int, int]) -> None:
    peer.frame("snapshot", 5, BIDS, [], part=(1, 3))
    events = peer.frame("snapshot", 5, [], ASKS, part=second)
    if second[0] == 1:  # another state begins
        last: dict[str, Any] = {"part": (2, 2), "checksum": crc([], ASKS)}
        (event,) = peer.frame("snapshot", 5, [], [], **last)
        assert isinstance(event, Book)
        return
    (gap,) = events
    assert gap == Gap("book", SYMBOL, "sequence")
    assert isinstance(gap, Gap)
    assert len(peer.session.resync(gap)) == 1
    assert peer.frame("snapshot", 5, [], [], part=(2, 3)) == [Gap("book", SYMBOL, "sequence")]


def test_a_whole_frame_ends_the_parts_before_it(peer: Peer) -> None:
    peer.frame("snapshot", 1, BIDS, [], part=(1, 2))
    peer.snapshot(1)
    assert peer.frame("snapshot", 1, [], ASKS, part=(2, 2)) == [Gap("book", SYMBOL, "sequence")]


@pytest.mark.parametrize("part", [(0, 2), (3, 2), (1,), "x"])
def test_what_is_no_part(part: Any) -> None:
    events = Peer("json").frame("snapshot", 1, BIDS, ASKS, part=part)
    assert isinstance(events[0], RawTick | Malformed)


def test_parts_are_bounded(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    monkeypatch.setattr("gateway.client.books.PARTS_LEVELS_MAX", 4)
    peer.frame("snapshot", 1, BIDS, [], part=(1, 9))
    assert peer.frame("snapshot", 1, [], ASKS, part=(2, 9)) == [Gap("book", SYMBOL, "sequence")]


# --- in doubt -------------------------------------------------------------------------------------


def test_a_wrong_sum_is_told_and_asked_again(peer: Peer) -> None:
    book = peer.snapshot()
    (gap,) = peer.frame("update", 2, [("10.0", "9")], [], checksum=1)
    assert gap == Gap("book", SYMBOL, "checksum")
    assert isinstance(gap, Gap)
    assert not book.ready
    (request,) = peer.session.resync(gap)
    asked = json.loads(request.text)["params"]
    assert (asked["channel"], asked["symbol"], asked["depth"]) == ("book", [SYMBOL], 3)
    (event,) = peer.frame("update", 3, [("10.0", "8")], [], checksum=1)
    assert isinstance(event, Book)
    assert event.book is None
    peer.accept(request)
    assert peer.snapshot(4) is book
    assert (book.ready, book.seq) == (True, 4)
    assert peer.session.statistics().gaps == 1


def test_after_three_wrong_sums_the_next_attempt_waits(peer: Peer) -> None:
    for attempt in range(3):
        (gap,) = peer.frame("snapshot", 1, BIDS, ASKS, checksum=1)
        assert isinstance(gap, Gap)
        requests = peer.session.resync(gap)
        assert len(requests) == (attempt < 2)
        for request in requests:
            peer.accept(request)
    assert peer.session.due(MISMATCH_RETRY_NS - 1) == []
    (request,) = peer.session.due(MISMATCH_RETRY_NS)
    peer.accept(request)
    peer.snapshot(2)
    (gap,) = peer.frame("update", 3, [], [("10.5", "2")], checksum=1)
    assert isinstance(gap, Gap)
    assert len(peer.session.resync(gap)) == 1


def test_a_hole_in_the_numbers(peer: Peer) -> None:
    book = peer.snapshot()
    gap, event = peer.frame("update", 4, [("10.0", "9")], [], skipped=1)
    assert gap == Gap("book", SYMBOL, "sequence", 2, 2, 1)
    assert isinstance(gap, Gap)
    assert isinstance(event, Book)
    assert event.book is None
    assert not book.ready
    assert len(peer.session.resync(gap)) == 1


def test_updates_before_a_snapshot_are_told_without_a_book(peer: Peer) -> None:
    (event,) = peer.frame("update", 4, [("10.0", "9")], [], checksum=1)
    assert isinstance(event, Book)
    assert event.book is None
    assert event.bids == [Level("10.0", "9")]


@pytest.mark.parametrize(
    "levels", [[("10,0", "9")], [["1"]], [[1, 2]], ["x"], [["1", None]], [["1", "-1"]], 5]
)
def test_what_is_no_level(levels: Any) -> None:
    peer = Peer("json")
    book = peer.snapshot()
    raw, gap = peer.frame("update", 2, levels, [])
    assert isinstance(raw, RawTick)
    assert raw.problem
    assert gap == Gap("book", SYMBOL, "checksum")
    assert not book.ready
    assert peer.session.statistics().malformed == 1


@pytest.mark.parametrize("depth", [-1, 2**16, 2**40, "10", None])
def test_what_is_no_depth(depth: Any) -> None:
    raw, gap = Peer("json").frame("snapshot", 1, BIDS, ASKS, depth=depth)
    assert isinstance(raw, RawTick)
    assert gap == Gap("book", SYMBOL, "checksum")


def test_a_depth_beyond_all_books(peer: Peer) -> None:
    (event,) = peer.frame("snapshot", 1, BIDS, ASKS, depth=2**16 - 1, checksum=crc(BIDS, ASKS))
    assert isinstance(event, Book)
    assert event.book is not None


def test_a_book_that_can_not_be(peer: Peer) -> None:
    """Each level may be, but not both in one book: 18 digits, and 18 more behind the point."""
    book = peer.snapshot()
    malformed, gap = peer.frame("update", 2, [("9" * 18, "1"), ("0." + "1" * 18, "1")], [])
    assert isinstance(malformed, Malformed)
    assert gap == Gap("book", SYMBOL, "checksum")
    assert not book.ready


def test_a_new_connection_begins_with_a_snapshot(peer: Peer) -> None:
    book = peer.snapshot()
    peer.session.disconnected()
    assert not book.ready
    (request,) = peer.connect()
    assert json.loads(request.text)["params"]["depth"] == 3
    assert "from" not in json.loads(request.text)["params"]
    assert not book.ready
    assert book.bids[0] == Level("10.0", "1")  # the last that was known
    peer.accept(request)
    (event,) = peer.frame("snapshot", 9, BIDS, [], checksum=crc(BIDS, []))
    assert isinstance(event, Book)
    assert event.book is book
    assert (book.ready, len(book.asks), event.skipped) == (True, 0, 7)


def test_another_numbering(peer: Peer) -> None:
    book = peer.snapshot(100)
    receive(peer.session, {"channel": "system", "type": "epoch", "data": [{"epoch": "e2"}]})
    assert not book.ready
    assert peer.snapshot(1) is book


# --- the page -------------------------------------------------------------------------------------


def test_the_frames_of_the_page() -> None:
    """docs/protocol.md, "Books": what it says of them is what a client finds."""
    page = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
    part = page.split("\n## Books\n")[1].split("\n## ")[0]
    block = part.split("```")[1].replace("\n   ", "")
    frames = [line for line in block.splitlines() if line.startswith('{"channel"')]
    session = ClientSession()
    session.connected(0)
    receive(session, hello())
    for frame in frames:
        (event,) = session.receive(frame.replace(":ns", ":1"), mono_ns=0, real_ns=0)
        assert isinstance(event, Book)
        assert event.book is not None
        assert event.book.checksum() == event.checksum
    assert len(frames) == 2
    text = "6425020125642510010642501056424992"
    assert f"`{text}`" in part
    assert f'"checksum":{binascii.crc32(text.encode())}}}' in frames[0]


# --- ended ----------------------------------------------------------------------------------------


def test_a_book_ends_with_its_last_subscription(peer: Peer) -> None:
    peer.snapshot()
    (request,) = peer.session.subscribe("book", "A*", depth=3)
    peer.accept(request)
    (request,) = peer.session.unsubscribe("book", SYMBOL)
    result = {"symbol": SYMBOL, "success": True, "channel": "book"}
    receive(peer.session, ack(request, result))
    assert peer.session.book(SYMBOL) is not None
    (request,) = peer.session.unsubscribe("book", "A*")
    receive(peer.session, ack(request, result | {"symbol": "A*"}))
    assert peer.session.book(SYMBOL) is None


def test_a_book_ends_with_its_instrument(peer: Peer) -> None:
    peer.snapshot()
    row = {"channel": "trade", "symbol": SYMBOL}
    receive(peer.session, {"channel": "system", "type": "retired", "data": [row]})
    assert peer.session.book(SYMBOL) is not None
    row = {"channel": "book", "symbol": SYMBOL}
    receive(peer.session, {"channel": "system", "type": "retired", "data": [row]})
    assert peer.session.book(SYMBOL) is None


@encodings
def test_a_random_walk_is_what_a_native_book_makes_of_it(encoding: Encoding) -> None:
    peer = Peer(encoding)
    other = NativeBook(depth=3)
    peer.frame("snapshot", 1, [], [], checksum=0)
    state = 1
    for seq in range(2, 400):
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        price, qty = str(100 + state % 9), str(state // 9 % 3)
        bids, asks = ([(price, qty)], []) if state & 64 else ([], [("2" + price, qty)])
        other.apply(bids, asks)
        (event,) = peer.frame("update", seq, bids, asks, checksum=other.checksum())
        assert isinstance(event, Book)
        assert event.book is not None
        assert [*event.book.bids] == other.levels("bid")
        assert [*event.book.asks] == other.levels("ask")


# --- for a program that is slow -------------------------------------------------------------------


def conflated(*events: Event) -> list[Event | None]:
    """What a program gets that reads only after all of them."""
    box = ConflatingInbox(100, lambda topic: False)
    for event in events:
        box.add(event)
    return [box.take() for _ in range(len(box))]


def test_a_frame_for_several_is_the_whole_book(peer: Peer) -> None:
    peer.snapshot()
    first = peer.frame("update", 2, [("9.5", "0")], [], first_id="5", last_id="6")
    assert isinstance(first[0], Book)
    bids: Pairs = [("10.0", "7"), ("9.0", "3")]
    last = peer.frame("update", 4, [("10.0", "7")], [], skipped=1, checksum=crc(bids, ASKS))
    (event,) = conflated(*first, *last)
    assert isinstance(event, Book)
    assert (event.type, event.seq, event.skipped, event.depth) == ("snapshot", 4, 2, 3)
    assert (event.bids, event.asks) == (levels(bids), levels(ASKS))
    assert (event.checksum, event.first_id) == (crc(bids, ASKS), None)
    assert event.book is peer.session.book(SYMBOL)


def test_a_frame_for_itself_and_a_snapshot_stay_as_they_are(peer: Peer) -> None:
    peer.snapshot()
    one = peer.frame("update", 2, [("9.5", "0")], [])
    assert conflated(*one) == one
    snapshot = peer.frame("snapshot", 3, BIDS, ASKS, first_id="5")
    assert isinstance(snapshot[0], Book)
    assert conflated(*one, *snapshot) == [msgspec.structs.replace(snapshot[0], skipped=1)]


def test_a_frame_for_several_has_no_book_where_that_is_in_doubt(peer: Peer) -> None:
    peer.snapshot()
    frames = [*peer.frame("update", 2, [], []), *peer.frame("update", 3, [("9.0", "5")], [])]
    wrong = peer.frame("update", 4, [], [], checksum=1)
    first, gap = conflated(*frames, *wrong)
    assert isinstance(first, Book)
    assert (first.type, first.seq, first.skipped, first.book) == ("update", 3, 1, None)
    assert first.bids == levels([("9.0", "5")])
    assert isinstance(gap, Gap)
    assert gap.reason == "checksum"
