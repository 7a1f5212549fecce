"""The `replay` feed: a file played again, at a multiple of its pace or as fast as clients read.

At full speed (`speed` 0), and only then, the feed waits for the plane and for lossless queues; its
records say so by FLAG_PACED, so that no client is closed for the age of what it has not read yet.
"""

import time
from collections.abc import Mapping, Sequence

from gateway import log
from gateway._native import FLAG_PACED
from gateway.feeds.feed import Counters, Publisher, ThreadFeed, Topics
from gateway.feeds.files import CaptureError
from gateway.feeds.options import ReplayOptions
from gateway.feeds.outlet import Outlet
from gateway.feeds.tape import derives, open_tape
from gateway.feeds.teller import BATCH_ROWS_MAX, Teller
from gateway.feeds.venues.table import VENUES
from gateway.model.record import BOOK, CHANNELS_FED, INSTRUMENT
from gateway.model.status import FeedState

BEHIND_BYTES_MAX = BATCH_ROWS_MAX * 128
"""Full speed goes on once the slowest worker lacks at most one batch (of usual records)."""

WAIT_S = 0.0005
"""Between two looks at the plane's progress, at full speed."""

HOLD_S = 0.01
"""Between two looks at the number of subscribed connections."""

SETTLE_S = 0.25
"""From the last awaited connection to the first record: who wants two channels asks twice."""

CUT_NAMED_MAX = 4
"""Files named in the closing line; the log has them all."""

_log = log.get("feeds")


class ReplayFeed(ThreadFeed):
    """Plays one file."""

    def __init__(
        self,
        name: str,
        index: int,
        options: ReplayOptions,
        publisher: Publisher,
        counters: Counters,
        owners: dict[str, int],
    ) -> None:
        super().__init__(name, index, counters)
        self._options = options
        self._publisher = publisher
        topics = {
            channel: Topics(channel, options.venue, index, publisher, owners)
            for channel in (
                CHANNELS_FED if options.format == "ring" else ("trade", "bbo", BOOK, INSTRUMENT)
            )
        }
        venue = VENUES.get(options.format)
        heartbeat_ns = 0  # at the pace of the file; at full speed there is none to miss
        if venue is not None and options.speed:
            heartbeat_ns = int(venue.heartbeat_s * 1e9 / options.speed)
        self._tape = open_tape(options, counters, topics)
        self._teller = Teller(
            counters,
            publisher,
            Outlet(counters, publisher, index, topics, derives(options)),
            index,
            topics,
            doubt=self._tape.doubt,
            flags=0 if options.speed else FLAG_PACED,
            heartbeat_ns=heartbeat_ns,
            done=self._wait,
        )
        self._played = self._teller.told

    def _work(self) -> None:
        try:
            self._tape.register()
            self._hold()
            self._counters.change("up")
            while not self._stopping:
                self._play()
                if not self._options.loop:
                    break
                if not any(self._played.values()):
                    break
        except CaptureError as error:
            self._teller.publish()
            self._end("failed", f"{error}; {self._summary()}")
            return
        if self._stopping:
            return
        if any(self._played.values()):
            self._end("done", self._summary())
        else:
            self._end(
                "failed", f"{_named(self._options.path)}: nothing in it to play; {self._summary()}"
            )

    def _end(self, state: FeedState, message: str) -> None:
        self._counters.change(state, message)
        _log.info(
            "replay.ended",
            feed=self.name,
            path=_named(self._options.path),
            **self._played,
            skipped=_counted(self._counters.skips),
            refused=_counted(self._counters.refusals),
        )

    def _summary(self) -> str:
        """What was played, what was skipped and refused, and why."""
        parts = [f"played {_counted(self._played)}"]
        if self._counters.skips:
            parts.append(f"skipped {_counted(self._counters.skips)}")
        status = self._counters.status()
        numbers = {"late": status.late, "lost": status.lost, "new beginnings": status.resets}
        if any(numbers.values()):
            parts.append(f"of the venue's numbers {_counted(numbers)}")
        parts += self._tape.notes()[:CUT_NAMED_MAX]
        if refused := self._counters.refusals:
            parts.append(f"refused {_counted(refused)}")
        if status.last_refused is not None:
            parts.append(f"the last: {status.last_refused.words}")
        return "; ".join(parts)

    def _hold(self) -> None:
        clients = self._options.start_after_clients
        if not clients:
            return
        self._counters.change("up", f"waits for {clients} subscribed connections")
        while not self._stopping and self._publisher.subscribed() < clients:
            time.sleep(HOLD_S)
        self._pause(SETTLE_S)

    def _play(self) -> None:
        """One pass through the file."""
        speed = self._options.speed
        started_ns = first_ns = 0
        for read in self._tape.records():
            if self._stopping:
                return
            if read is None:
                continue
            stamp_ns, row = read
            if speed and stamp_ns:
                if not started_ns:
                    started_ns, first_ns = time.monotonic_ns(), stamp_ns
                left_ns = started_ns + (stamp_ns - first_ns) / speed - time.monotonic_ns()
                if left_ns > 0:
                    self._teller.publish()
                    if not self._pause(left_ns * 1e-9):
                        return
            self._teller.tell(row)
        self._teller.publish()

    def _wait(self) -> None:
        """At full speed, until the clients have nearly all."""
        publisher = self._publisher
        while self._options.speed == 0 and not self._stopping:
            if publisher.behind() <= BEHIND_BYTES_MAX and not publisher.backlogged():
                break
            time.sleep(WAIT_S)


def _named(path: str | Sequence[str]) -> str:
    """The path; of a list its first, and how many more."""
    if isinstance(path, str):
        return path
    return path[0] if len(path) == 1 else f"{path[0]} and {len(path) - 1} more"


def _counted(counts: Mapping[str, int]) -> str:
    """ "3 trade, 1 bbo"; "nothing" where there are none."""
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing"
