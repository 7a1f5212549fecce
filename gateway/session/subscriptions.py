"""What one client is subscribed to, and whether it may subscribe to more.

The count of topics here is the sum over all strings, of what each covered when it was asked for: a
topic that two strings cover counts twice. A request is thus refused before any work; what a pattern
gains later, the data plane counts.
"""

from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from gateway.model.record import CHANNELS_FED, HEALTH, Channel
from gateway.model.topic import check_pattern, is_pattern, split_instrument, unescape
from gateway.session import codes
from gateway.session.access import Rights
from gateway.session.actions import LOCAL, Item, Since
from gateway.session.catalog import Catalog
from gateway.session.codes import Error
from gateway.session.delivery import Delivery, interval_ms
from gateway.session.options import Shared
from gateway.session.waiting import OwnNames, WaitingNames, Wish

LINK_STEPS: Final = 100
"""What the data plane needs to end a topic of a pattern, or to begin it anew, in steps."""

PATTERN_RETRY_MS: Final = 100
"""When to ask for a pattern that was one too many in its request: the next one may have it."""

_ID_MASK: Final = (1 << 32) - 1  # the data plane's ids have 32 bits


class Subscription(Struct, frozen=True, gc=False):
    """One string and the parameters in force.

    Attributes:
        id: the data plane's name for it, unique among those of the connection that live.
        channel: its key (`record.Channel`).
        priority: the class in force.
        topics: what it counts against the limit.
        steps: what it took to hold the pattern against all names; 0 for a name.
        own: what the gateway says of itself: one topic of this worker alone.
        max_hz: as it was asked for; None: no rate.
        max_age_ms: as it was asked for; None: no limit.
        depth: of a book; None: it is of none.
    """

    id: int
    channel: str
    name: str
    pattern: bool
    lossless: bool
    snapshot: bool
    priority: int
    max_hz: float | None
    max_age_ms: int | None
    depth: int | None
    topics: int
    steps: int = 0
    own: bool = False

    def item(self, *, resync: bool, since: Since | None = None) -> Item:
        """What the data plane is told of it."""
        if self.own:
            return (self.id, LOCAL, self.channel, False, True, resync, self.priority, 0, 0)
        delivery = (self.lossless, self.snapshot, resync, self.priority)
        limits = (interval_ms(self.max_hz), self.max_age_ms or 0)
        if self.depth is not None:
            return (self.id, self.channel, self.name, *delivery, *limits, since, self.depth)
        if since is None:
            return (self.id, self.channel, self.name, *delivery, *limits)
        return (self.id, self.channel, self.name, *delivery, *limits, since)

    @property
    def delivery(self) -> Delivery:
        """The parameters alone."""
        of_class = (self.lossless, self.snapshot, self.priority)
        return Delivery(*of_class, self.max_hz, self.max_age_ms, self.depth)


class Subscriptions:
    """The subscriptions of one connection, by string and by id.

    Attributes:
        room: asked how many more its tenant may have; None: as many as it wants.
        steps: of holding all names against all patterns of the connection.
    """

    __slots__ = (
        "_by_id",
        "_by_name",
        "next_id",
        "patterns",
        "room",
        "steps",
        "topics",
        "waiting",
    )

    def __init__(
        self, waiting: WaitingNames, room: Callable[[], int | None] = lambda: None
    ) -> None:
        self.room = room
        self.next_id = 0
        self.patterns = 0
        self.topics = 0
        self.steps = 0
        self.waiting = OwnNames(waiting)
        self._by_name: dict[tuple[str, bool, str], Subscription] = {}
        self._by_id: dict[int, Subscription] = {}

    def __len__(self) -> int:
        return len(self._by_name)

    def find(self, channel: Channel, name: str) -> Subscription | None:
        """The subscription to this string."""
        return self._by_name.get((channel.key, channel.own, name))

    def ids(self) -> list[int]:
        """Those of all, in no order."""
        return list(self._by_id)

    def by_id(self, identity: int) -> Subscription | None:
        """The subscription that has this id now."""
        return self._by_id.get(identity)

    def put(self, subscriptions: Iterable[Subscription]) -> None:
        """Adds each, or replaces the one to the same string."""
        for one in subscriptions:
            known = self._by_name.get((one.channel, one.own, one.name))
            if known is None:
                self.patterns += one.pattern
                self.next_id = (one.id + 1) & _ID_MASK
            else:
                self.topics -= known.topics
                self.steps -= known.steps
            self.topics += one.topics
            self.steps += one.steps
            self._by_name[one.channel, one.own, one.name] = one
            self._by_id[one.id] = one

    def remove(self, subscriptions: Iterable[Subscription]) -> None:
        """Ends each; its id may be used again once all others have been."""
        for one in subscriptions:
            del self._by_name[one.channel, one.own, one.name]
            del self._by_id[one.id]
            self.patterns -= one.pattern
            self.topics -= one.topics
            self.steps -= one.steps
            if not one.pattern:
                self.waiting.remove((one.channel, unescape(one.name)))


class Admission:
    """One request's strings, each decided knowing the ones before; the table is left as it is.

    Attributes:
        steps: of what the patterns so far have the data plane do.
        wish: the names that there is no topic of yet, of those admitted.
    """

    __slots__ = (
        "_catalog",
        "_next_id",
        "_options",
        "_patterns",
        "_right",
        "_room",
        "_table",
        "_tenant_room",
        "_topics",
        "_topics_max",
        "steps",
        "wish",
    )

    def __init__(
        self,
        table: Subscriptions,
        catalog: Catalog,
        shared: Shared,
        rights: Rights | None = None,
    ) -> None:
        self.steps = 0
        self._right = None if rights is None else rights.right
        options = shared.options
        self._topics_max = options.topics_max
        if rights is not None and rights.topics_max is not None:
            self._topics_max = min(rights.topics_max, options.topics_max)
        self.wish = Wish(shared.waiting, table.waiting, catalog)
        self._table = table
        self._catalog = catalog
        self._options = options
        self._room = shared.capacity.room()
        self._next_id = table.next_id
        self._patterns = table.patterns
        self._topics = table.topics
        self._tenant_room = table.room()

    def decide(self, channel: Channel, name: str, delivery: Delivery) -> Subscription | Error:
        """The subscription to a string, or why there can be none."""
        known = self._table.find(channel, name)
        own = channel.own
        if own and name != "*":
            return Error(codes.UNKNOWN_SYMBOL, f'{channel.name} has one symbol: "*"')
        if known is None and self._tenant_room == 0:
            return Error(codes.LIMIT_EXCEEDED, "subscriptions: your tenant has all it may have")
        pattern = is_pattern(name) and not own
        before = self.steps
        topics = 1 if own else self._topics_of(channel.key, name, pattern, known)
        if isinstance(topics, Error):
            return topics
        steps = self.steps - before
        if pattern and known is not None:
            self.steps += topics * LINK_STEPS
        more = topics if known is None else topics - known.topics
        if more > 0 and self._topics + more > self._topics_max:
            return _limit("topics", self._topics, more, self._topics_max)
        # What the client has already is not taken from it, and what we say of ourselves is cheap.
        if known is None and not own and (error := self._room.take(topics)) is not None:
            if not pattern:
                self.wish.give_back((channel.key, unescape(name)))
            return error
        self._topics += more
        if known is None:
            self._patterns += pattern
            if self._tenant_room is not None:
                self._tenant_room -= 1
            identity = self._free_id()
        else:
            identity = known.id
        return Subscription(identity, channel.key, name, pattern, *delivery, topics, steps, own)

    def _topics_of(
        self, channel: str, name: str, pattern: bool, known: Subscription | None
    ) -> int | Error:
        if not pattern:
            return 1 if known is not None else self._exact(channel, unescape(name))
        try:
            check_pattern(name)
        except ValueError as bad:
            return Error(codes.UNKNOWN_SYMBOL, str(bad))
        limit = self._options.patterns_max
        if known is None and self._patterns >= limit:
            return _limit("patterns", self._patterns, 1, limit)
        if self.steps > self._options.pattern_steps_max:
            took = "too many" if self._right is not None else self.steps  # they tell what there is
            text = f"the patterns before it took {took} steps: ask in another request"
            return Error(codes.RATE_LIMITED_ERROR, text, retry_after_ms=PATTERN_RETRY_MS)
        topics, steps = self._catalog.match(channel, name, self._right)
        self.steps += steps
        return topics

    def _exact(self, channel: str, name: str) -> int | Error:
        if self._catalog.find(channel, name):
            return 1  # what the directory holds passed the grammar when it was registered
        if channel == HEALTH and any(self._catalog.find(one, name) for one in CHANNELS_FED):
            return self._wait(channel, name)  # it has no topic before it is suspect
        try:
            venue = split_instrument(name).venue
        except ValueError as bad:
            return Error(codes.UNKNOWN_SYMBOL, str(bad))
        kind = self._catalog.venue(venue)
        if kind == "closed" and self._catalog.listed(channel, name, venue):
            kind = "open"  # its feed has just begun, here or with the new segment
        match kind:
            case "open" if full := self._catalog.full:
                text = f"no room for {channel} of {name}: ring.topics_max is {full}, all taken"
                return Error(codes.LIMIT_EXCEEDED, text)
            case "open":
                return self._wait(channel, name)
            case "closed":
                message = f"no {channel} of {name}: the list of {venue} is closed"
                return Error(codes.UNKNOWN_SYMBOL, message)
            case "unknown":
                return Error(codes.UNKNOWN_SYMBOL, f"no venue {venue} here")

    def _wait(self, channel: str, name: str) -> int | Error:
        why = self.wish.take((channel, name))
        return 1 if why is None else Error(codes.LIMIT_EXCEEDED, why)

    def _free_id(self) -> int:
        identity = self._next_id
        while self._table.by_id(identity) is not None:
            identity = (identity + 1) & _ID_MASK
        self._next_id = (identity + 1) & _ID_MASK
        return identity


def _limit(what: str, used: int, more: int, limit: int) -> Error:
    return Error(codes.LIMIT_EXCEEDED, f"{what}: {used} in use and {more} more, of {limit}")
