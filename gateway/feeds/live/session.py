"""One connection to a venue: what to send and when, what its silence means. Sans-IO.

Theory of operation. What is wanted is asked for in batches at the venue's pace, each request by a
number of this session's; a batch is *confirmed* when its reply has come. Times are arguments.

    wanted ──due──▶ asked ──reply──▶ confirmed        an error, or no reply in time: close
    all confirmed ──data──▶ settled                   no data in time: replace

To *close* is for what cannot be trusted. To *replace* is for what may well go on: another
connection is opened beside this one, which ends when the other one is settled, so that nothing is
lost by a suspicion, nor by the age at which the venue cuts connections.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from gateway.feeds.live.pace import Pace
from gateway.feeds.live.venue import Leaving, LiveVenue, Reply

PINGS_MISSED_MAX: Final = 2


class Verdict(NamedTuple):
    """What is to become of a connection, and why."""

    act: Literal["close", "replace"]
    why: str
    silent: bool = False
    """Nothing came: it may be the market."""


class _Asked(NamedTuple):
    at_s: float
    replies: int
    """That are still to come."""
    ends: bool


class Session:
    """One connection, from the moment on in which it is open.

    Args:
        streams: what is wanted of it.
        now_s: MONOTONIC, as everywhere here.
        patience: with its silence: that many times as long as the facts say.

    Attributes:
        agreed: whether all that was wanted first is confirmed.
        patience: as it is now.
    """

    def __init__(
        self, venue: LiveVenue, streams: Iterable[str], now_s: float, patience: float = 1.0
    ) -> None:
        self._venue = venue
        self._facts = venue.facts
        self.patience = patience
        self._pace = Pace(self._facts.messages_per_s)
        self._wanted: deque[str] = deque(streams)
        self._ended: deque[str] = deque()
        self._asked: dict[int, _Asked] = {}  # requests that lack replies
        self._number = 0
        self._opened_s = self._heard_s = self._pinged_s = now_s
        self._data_s: float | None = None
        self._confirmed_s: float | None = None
        self._closing = self._leaving = ""
        self.agreed = False

    @property
    def confirmed(self) -> bool:
        """Whether the venue has agreed to all that is wanted."""
        return not self._wanted and not self._ended and not self._asked

    def settled(self, now_s: float) -> bool:
        """Whether it does what it shall: all is confirmed, and data comes, or there is none."""
        if not self.confirmed or self._confirmed_s is None:
            return False
        return self._data_s is not None or now_s - self._confirmed_s > self._facts.first_data_s

    def want(self, streams: Iterable[str]) -> None:
        """Wants more."""
        self._wanted += streams
        self._confirmed_s = None

    def end(self, streams: Iterable[str]) -> None:
        """Wants them no more; what is wanted again later is asked for behind that."""
        self._ended += streams

    def again(self, stream: str) -> None:
        """Ends a stream and wants it anew, where it was asked for."""
        if stream not in self._wanted:
            self.end((stream,))
            self.want((stream,))

    def due(self, now_s: float) -> list[str]:
        """Messages to send now."""
        texts = []
        while (self._ended or self._wanted) and self._pace.take(now_s):
            ends = bool(self._ended)
            queue = self._ended if ends else self._wanted
            batch = self._batch(queue)
            self._number += 1
            replies = len(batch) if self._facts.replies_each else 1
            self._asked[self._number] = _Asked(now_s, replies, ends)
            ask = self._venue.unsubscribe if ends else self._venue.subscribe
            texts.append(ask(batch, self._number))
        return texts

    def _batch(self, queue: deque[str]) -> list[str]:
        """The first streams of the queue that are of the first one's kind."""
        kind = self._venue.kind(queue[0])
        batch: list[str] = []
        for _ in range(len(queue)):
            stream = queue.popleft()
            if len(batch) < self._facts.batch_max and self._venue.kind(stream) == kind:
                batch.append(stream)
            else:
                queue.append(stream)
        return batch

    def ping_due(self, now_s: float) -> bool:
        """Whether to ping now; it counts as done."""
        if now_s - self._pinged_s < self._facts.ping_s:
            return False
        self._pinged_s = now_s
        return True

    def heard(self, now_s: float) -> None:
        """Something came, whatever it was."""
        self._heard_s = now_s

    def data(self, now_s: float) -> None:
        """Data came; where it comes again and again, the usual silence is short."""
        self._data_s = now_s
        if self.patience > 1.0:
            self.patience = max(1.0, self.patience / 2)

    def control(self, payload: bytes, now_s: float) -> None:
        """A message came that is not data."""
        match self._venue.control(payload):
            case Reply(number, why):
                asked = None if number is None else self._replied(number)
                if why and not (asked and asked.ends):  # what is not there has ended
                    self._closing = f"the venue refused a request: {why}"
                elif asked and self.confirmed:
                    self._confirmed_s = now_s
                    self.agreed = True
            case Leaving(why):
                self._leaving = why
            case None:
                pass

    def _replied(self, number: int) -> _Asked | None:
        asked = self._asked.pop(number, None)
        if asked is not None and asked.replies > 1:
            self._asked[number] = asked._replace(replies=asked.replies - 1)
        return asked

    def verdict(self, now_s: float) -> Verdict | None:
        """What is to become of it; None: it goes on."""
        facts = self._facts
        if self._closing:
            return Verdict("close", self._closing)
        late = now_s - facts.reply_s
        if any(asked.at_s < late for asked in self._asked.values()):
            return Verdict("close", f"no reply to a request within {facts.reply_s:g} s")
        if now_s - self._heard_s > facts.ping_s * PINGS_MISSED_MAX + facts.reply_s:
            return Verdict("close", f"no answer to {PINGS_MISSED_MAX} pings")
        if self._leaving:
            return Verdict("replace", self._leaving)
        if now_s - self._opened_s > facts.age_s:
            return Verdict("replace", f"older than {facts.age_s:g} s")
        if self._confirmed_s is None:
            return None
        since_s, limit_s = self._confirmed_s, facts.first_data_s
        if self._data_s is not None:
            since_s, limit_s = self._data_s, facts.stall_s
        limit_s *= self.patience
        if now_s - since_s > limit_s:
            return Verdict("replace", f"no data for {limit_s:g} s", silent=True)
        return None
