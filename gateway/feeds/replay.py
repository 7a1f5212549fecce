"""The `replay` feed: a file played again, at a multiple of its pace or as fast as clients read.

At full speed (`speed` 0), and only then, the feed waits for the plane and for lossless queues; its
records say so by FLAG_PACED, so that no client is closed for the age of what it has not read yet.
"""

import time
from typing import TYPE_CHECKING

from gateway._native import FLAG_PACED
from gateway.feeds.capture import CaptureError
from gateway.feeds.feed import Counters, Publisher, ThreadFeed, Topics
from gateway.feeds.options import ReplayOptions
from gateway.feeds.tape import open_tape

if TYPE_CHECKING:
    from gateway._native import Row

BATCH_ROWS_MAX = 64
"""Rows of one publish: few, so that a queue grows little between two looks at it."""

BEHIND_BYTES_MAX = BATCH_ROWS_MAX * 128
"""Full speed goes on once the slowest worker lacks at most one batch (of usual records)."""

WAIT_S = 0.0005
"""Between two looks at the plane's progress, at full speed."""

HOLD_S = 0.01
"""Between two looks at the number of subscribed connections."""

SETTLE_S = 0.25
"""From the last awaited connection to the first record: who wants two channels asks twice."""


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
            for channel in ("trade", "bbo")
        }
        self._tape = open_tape(options, counters, topics)
        self._rows: list[Row] = []
        self._published = 0

    def _work(self) -> None:
        try:
            self._tape.register()
            self._hold()
            self._counters.change("up")
            while not self._stopping:
                self._play()
                if not self._options.loop:
                    break
                if not self._published:
                    self._counters.change("failed", f"{self._options.path}: no record in it")
                    return
        except CaptureError as error:
            self._publish()
            self._counters.change("failed", str(error))
            return
        if not self._stopping:
            self._counters.change("done")

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
            if speed:
                if not started_ns:
                    started_ns, first_ns = time.monotonic_ns(), stamp_ns
                left_ns = started_ns + (stamp_ns - first_ns) / speed - time.monotonic_ns()
                if left_ns > 0:
                    self._publish()
                    if not self._pause(left_ns * 1e-9):
                        return
            self._rows.append(row)
            if len(self._rows) >= BATCH_ROWS_MAX:
                self._publish()
        self._publish()

    def _publish(self) -> None:
        """Publishes what is gathered; at full speed, waits until the clients have nearly all."""
        rows, self._rows = self._rows, []
        if not rows:
            return
        publisher = self._publisher
        paced = self._options.speed == 0
        ts_recv, mono_recv = time.time_ns(), time.monotonic_ns()
        # The file's event times are of another day: their distance from now is no wire latency.
        refused = publisher.publish(
            rows,
            ts_recv,
            mono_recv,
            flags=FLAG_PACED if paced else 0,
            feed=self.index,
            record_wire=False,
        )
        if refused:
            self._counters.refused(len(refused), refused[-1][1])
        self._published += len(rows) - len(refused)
        self._counters.published(len(rows) - len(refused), ts_recv)
        while paced and not self._stopping:
            if publisher.behind() <= BEHIND_BYTES_MAX and not publisher.backlogged():
                break
            time.sleep(WAIT_S)
