"""Which records of each topic did not come: by their sequence numbers, across reconnects as well.

Theory of operation. A topic is in one of two states. In *sequence*: its frames follow each other,
`seq == last + 1 + skipped`, and anything else is a gap. *Apart*: the next frame begins anew (after
an ack, or on a new connection) but the last number from before is kept, and says how many records
were published in between. A new connection's topics stay aside until the hello: another epoch there
means that numbers can't be compared, so that the loss is told without a count.

What was missed while apart is a gap of a lossless topic. Of a conflated one only the newest state
counts, and updates that were passed over are always `skipped`: so they are here, too.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from gateway.client.events import Gap
from gateway.model.topic import is_pattern, match_pattern, meant


class Topic(NamedTuple):
    """Whose records are numbered: channel, instrument and, of candles, the interval."""

    channel: str
    symbol: str
    interval: str = ""


class _Apart(NamedTuple):
    last: int | None  # None: of another epoch
    reason: str


class Missing(NamedTuple):
    """What did not come before a frame."""

    gap: Gap | None = None
    skipped: int = 0


NOTHING = Missing()


class Continuity:
    """The numbers of one client's topics, over all its connections.

    `asked` is a topic whose symbol is a string of a request: a name or a pattern.
    """

    def __init__(self) -> None:
        self._epoch = ""
        self._last: dict[Topic, int] = {}
        self._apart: dict[Topic, _Apart] = {}
        self._aside: dict[Topic, int | None] = {}  # between two connections, until the hello
        self._replaying: set[Topic] = set()  # what was had of them may come again

    def __len__(self) -> int:
        """Topics whose frames follow each other now."""
        return len(self._last)

    def connected(self) -> None:
        """The connection is a new one."""
        self._aside |= {topic: apart.last for topic, apart in self._apart.items()}
        self._aside |= self._last
        self._last.clear()
        self._apart.clear()
        self._replaying.clear()

    def hello(self, epoch: str) -> None:
        """The new connection's first message has come."""
        same = epoch == self._epoch
        self._epoch = epoch
        for topic, last in self._aside.items():
            self._apart[topic] = _Apart(last if same else None, "reconnect")
        self._aside.clear()

    def renumbered(self, epoch: str) -> None:
        """The numbering restarted in the middle of the connection, which the gateway has told."""
        self._epoch = epoch
        self._last.clear()
        self._apart = {topic: one._replace(last=None) for topic, one in self._apart.items()}

    def restarted(self, asked: Topic) -> None:
        """A subscription was accepted: the next frame of each topic it covers begins anew."""
        for topic in self._covered(self._last, asked):
            self._apart[topic] = _Apart(self._last.pop(topic), "resubscribe")

    def left(self, asked: Topic, wanted: Callable[[Topic], bool]) -> None:
        """A subscription has ended: topics that another one covers go on by that one's parameters.

        `wanted` says of a topic whether one does.
        """
        self.restarted(asked)
        for topic in self._covered(self._apart, asked):
            if not wanted(topic):
                del self._apart[topic]

    def forget(self, asked: Topic) -> None:
        """There is no more of these topics."""
        for topic in self._covered(self._last, asked):
            del self._last[topic]
        for topic in self._covered(self._apart, asked):
            del self._apart[topic]

    def position(self, topic: Topic) -> tuple[str, int] | None:
        """The epoch and the last number of a topic that was had before this connection."""
        last = self._aside.get(topic)
        if last is None and (apart := self._apart.get(topic)) is not None:
            last = apart.last
        return None if last is None else (self._epoch, last)

    def replayed(self, asked: Topic, seq: int | None) -> None:
        """The gateway sends what these topics missed, and again some of what they had.

        A name that was asked for by hand has all that came after `seq`, whatever it had.
        """
        if seq is not None and not is_pattern(asked.symbol):
            topic = asked._replace(symbol=meant(asked.symbol))
            self._apart.pop(topic, None)
            self._last[topic] = seq
            return
        for topic in self._covered(self._apart, asked):
            last = self._apart[topic].last
            if last is not None:
                del self._apart[topic]
                self._last[topic] = last
                self._replaying.add(topic)

    def follows(self, topic: Topic, seq: int, skipped: int) -> bool:
        """Whether a frame is the next one of its topic, which then has come; else ask `frame`."""
        last = self._last.get(topic)
        if last is None or seq != last + 1 + skipped:
            return False
        self._last[topic] = seq
        if self._replaying:
            self._replaying.discard(topic)
        return True

    def had(self, topic: Topic, seq: int) -> bool:
        """Whether the frame of a replay came before: no other one is known by its number alone."""
        if topic not in self._replaying:
            return False
        last = self._last.get(topic)
        if last is not None and seq <= last:
            return True
        self._replaying.remove(topic)
        return False

    def published(self, topic: Topic, epoch: str | None, seq: int) -> Gap | None:
        """A subscription without snapshot begins after `seq`: what is missing is known at once."""
        last, reason = self._apart.get(topic, _Apart(None, ""))
        if last is None or epoch != self._epoch or seq <= last:
            return None
        self._apart[topic] = _Apart(seq, reason)
        return _gap(topic, reason, last, seq - last)

    def frame(
        self, topic: Topic, seq: int, skipped: int, lossless: Callable[[Topic], bool]
    ) -> Missing:
        """A frame has come: what is missing before it. `lossless` is asked after a break alone."""
        last = self._last.get(topic)
        self._last[topic] = seq
        if last is not None:
            missing = seq - last - 1 - skipped
            return Missing(_gap(topic, "sequence", last, missing)) if missing else NOTHING
        apart = self._apart.pop(topic, None)
        if apart is None or seq == apart.last:  # a snapshot may repeat what was known
            return NOTHING
        comparable = apart.last is not None and seq > apart.last
        last = apart.last or 0
        missing = max(0, seq - last - 1 - skipped) if comparable else -1
        if missing == 0:
            return NOTHING
        if lossless(topic):
            return Missing(_gap(topic, apart.reason, last, missing))
        return Missing(skipped=max(0, missing))

    @staticmethod
    def _covered(numbers: Mapping[Topic, object], asked: Topic) -> list[Topic]:
        channel, symbol, interval = asked
        if not is_pattern(symbol):
            topic = asked._replace(symbol=meant(symbol))
            return [topic] if topic in numbers else []
        return [
            each
            for each in numbers
            if (each.channel, each.interval) == (channel, interval)
            and match_pattern(symbol, each.symbol)
        ]


def _gap(topic: Topic, reason: str, last: int, missing: int) -> Gap:
    """So many records after `last`; below zero: the numbers went back, and say nothing."""
    if missing < 0:
        return Gap(topic.channel, topic.symbol, reason, interval=topic.interval)
    return Gap(
        topic.channel,
        topic.symbol,
        reason,
        last + 1,
        last + missing,
        missing,
        interval=topic.interval,
    )
