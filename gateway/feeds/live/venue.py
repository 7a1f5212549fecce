"""The seam for venues: what one is to the feed that runs it. Sans-IO, pure."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gateway.feeds.venues.table import Venue


class Facts(NamedTuple):
    """What a venue says of itself, and how long it may keep us waiting.

    Attributes:
        url: of its WebSocket streams, without a path that depends on what is asked for.
        rest: of its REST service.
        streams_max: of one connection.
        batch_max: streams of one request.
        messages_per_s: that it takes on one connection; more closes it.
        connects_per_s: that it takes from one address.
        snapshots_per_s: REST requests for books.
        ping_s: between two pings of ours; without an answer to two the connection is dead.
        reply_s: for the reply to a request.
        first_data_s: from the last reply to the first data.
        stall_s: of silence, after which another connection is opened beside it.
        age_s: of a connection, at which another one takes over: before the venue cuts it.
        reference_s: between two looks at its instruments.
        replies_each: each stream of a request is answered by itself.
    """

    url: str
    rest: str
    streams_max: int
    batch_max: int
    messages_per_s: float
    connects_per_s: float
    snapshots_per_s: float
    ping_s: float = 15.0
    reply_s: float = 5.0
    first_data_s: float = 15.0
    stall_s: float = 60.0
    age_s: float = 23 * 3600.0
    reference_s: float = 300.0
    replies_each: bool = False

    def at(self, url: str, rest: str) -> "Facts":
        """The same of another place that speaks the same; "": of this one."""
        return self._replace(url=url or self.url, rest=rest or self.rest)


class Reply(NamedTuple):
    """The answer to a request, or to one stream of it: its number, None where it bears none of
    ours; why it was refused."""

    number: int | None
    why: str = ""


class Leaving(NamedTuple):
    """The venue says that it will end the connection."""

    why: str


class LiveVenue(Protocol):
    """One market of one venue, as its feed was told to follow it."""

    facts: Facts
    decoding: Venue

    def url(self) -> str:
        """Where a connection goes."""

    def streams(self, symbol: str) -> tuple[str, ...]:
        """What is subscribed for a symbol."""

    def book_stream(self, symbol: str) -> str:
        """The one that has its book; "" where no book is wanted."""

    def kind(self, stream: str) -> str:
        """One request asks for streams of one kind."""

    def subscribe(self, streams: Sequence[str], number: int) -> str:
        """The request for streams."""

    def unsubscribe(self, streams: Sequence[str], number: int) -> str:
        """The request to end them."""

    def ping(self) -> str:
        """The message by which the venue wants to be pinged; "": WebSocket's own ping."""

    def control(self, payload: bytes) -> Reply | Leaving | None:
        """What a message means of which there is nothing to publish; None: nothing."""

    def reference(self) -> str:
        """URL of its list of instruments."""

    def snapshot(self, symbol: str) -> str:
        """URL of a book's snapshot; "" where the stream brings it."""

    def refused(self, status: int, body: bytes) -> str:
        """Why it refused a REST request, in its own words; "" where it gives none."""
