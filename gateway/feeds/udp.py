"""The `udp` feed: JSON records in datagrams, decoded and published a batch at a time.

Usual lines never come here: the socket's intake (native/gw_intake.h) publishes them itself, without
the interpreter, and moderates the batches by QUIET_NS and BATCH_INTERVAL_NS: at 50 records a second
nothing ever pauses, at 20,000 there are five to eight a batch. What it leaves is decoded here, in
its place between the others: lines of another form, bad ones, and the first of each symbol, which
the intake takes from then on.

A record's `ts_recv` is when its datagram reached this host, as the kernel stamped it: what it waits
in the socket's queue for this process to have its turn is part of `ingest` and `total`.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Protocol

from gateway import log
from gateway.backoff import Backoff
from gateway.feeds.feed import Counters, Publisher, ThreadFeed, Topics
from gateway.feeds.lines import CHANNELS_SAID, Lines
from gateway.feeds.options import UdpOptions
from gateway.feeds.refusals import Refusal

RECEIVE_TIMEOUT_MS = 1000
"""Longest receive, whether the line is quiet or all that comes is usual."""

QUIET_NS = 100_000
"""A receive that waited this long found the line quiet: a few times what waking up costs."""

BATCH_INTERVAL_NS = 250_000
"""Least time from batch to batch on a busy line: adds at most that to a record's latency, a quarter
of the default objective, and bounds the workers' wake-ups at 4,000 a second."""

HEALTHY_NS = 10_000_000_000
"""A socket that lasted this long starts the backoff afresh."""
BACKOFF_BASE_S = 0.1
BACKOFF_CAP_S = 10.0

_log = log.get("feeds")


class Intake(Protocol):
    """What takes a symbol's usual lines once it has learned it; `_native.UdpIntake` is one."""

    def learn(self, channel: str, symbol: str, topic: int) -> None: ...
    def forget(self, channel: str, symbol: str) -> None: ...


class DatagramSocket(Protocol):
    """Where datagrams come from, or what an intake left of them; `_native.UdpSocket` is one."""

    @property
    def port(self) -> int: ...
    @property
    def dropped(self) -> int: ...
    @property
    def oversized(self) -> int: ...
    @property
    def batched(self) -> bool: ...
    @property
    def stamped(self) -> bool: ...
    @property
    def stamp_anomalies(self) -> int: ...
    def receive(self, timeout_ms: int) -> tuple[list[bytes], list[int], int, int]: ...
    def wake(self) -> None: ...
    def close(self) -> None: ...


class _TaughtTopics(Topics):
    """Topics that the intake learns when they are made."""

    def __init__(
        self,
        channel: str,
        venue: str,
        index: int,
        publisher: Publisher,
        owners: dict[str, int],
        intake: Intake,
    ) -> None:
        super().__init__(channel, venue, index, publisher, owners)
        self._intake = intake

    def __missing__(self, symbol: str) -> int:
        topic = super().__missing__(symbol)
        if topic >= 0:
            self._intake.learn(self._channel, symbol, topic)
        return topic

    def retire(self, symbol: str) -> bool:
        self._intake.forget(self._channel, symbol)
        return super().retire(symbol)


class UdpFeed(ThreadFeed):
    """Receives on an open socket; after an error of it, opens another with backoff.

    `intake` is what the sockets have in common.
    """

    def __init__(
        self,
        name: str,
        index: int,
        options: UdpOptions,
        publisher: Publisher,
        counters: Counters,
        owners: dict[str, int],
        intake: Intake,
        socket: DatagramSocket,
        reopen: Callable[[], DatagramSocket],
    ) -> None:
        super().__init__(name, index, counters)

        def taught(channel: str) -> Topics:
            return _TaughtTopics(channel, options.venue, index, publisher, owners, intake)

        def untaught(channel: str) -> Topics:
            return Topics(channel, options.venue, index, publisher, owners)

        # Quotes that are made of books are none of the lines': the intake leaves such lines.
        derived = options.bbo == "derived"
        topics = {channel: untaught(channel) for channel in CHANNELS_SAID} | {
            "trade": taught("trade"),
            "bbo": untaught("bbo") if derived else taught("bbo"),
        }
        self._lines = Lines(name, index, counters, publisher, topics, derived=derived)
        self._instruments = options.instruments
        self._socket: DatagramSocket | None = socket
        self._reopen = reopen
        self._dropped = 0
        self._oversized = 0
        self._stamp_anomalies = 0
        self._unstamped_told = self._unbatched_told = False

    def _work(self) -> None:
        self._lines.tell_instruments(self._instruments)
        attempt, backoff = 0, Backoff(BACKOFF_BASE_S, BACKOFF_CAP_S)
        while not self._stopping:
            opened_ns = time.monotonic_ns()
            try:
                self._receive_all(self._connect())
            except OSError as error:
                self._counters.change("down", str(error))
                if time.monotonic_ns() - opened_ns > HEALTHY_NS:
                    attempt = 0
                    backoff.reset()
                self._disconnect()
                attempt += 1
                if self._pause(backoff.next_s()):
                    self._counters.change("reconnecting", f"attempt {attempt} after {error}")
            finally:
                self._disconnect()

    def _interrupt(self) -> None:
        socket = self._socket
        # The thread may close the socket of a moment ago just now; then there is nothing to wake.
        with contextlib.suppress(ValueError):
            if socket is not None:
                socket.wake()

    def _connect(self) -> DatagramSocket:
        if self._socket is None:
            self._socket = self._reopen()
            self._dropped = self._oversized = self._stamp_anomalies = 0
            self._counters.reconnected()
        if not self._socket.stamped and not self._unstamped_told:
            self._unstamped_told = True
            _log.warning(
                "feed.unstamped",
                feed=self.name,
                message="this host refuses SO_TIMESTAMPNS: ts_recv is when a datagram was read,"
                " and ingest and total do not have its wait in the socket",
            )
        if not self._socket.batched and not self._unbatched_told:
            self._unbatched_told = True
            _log.warning(
                "feed.unbatched",
                feed=self.name,
                message="this host denies recvmmsg (seccomp): each datagram costs a system call",
            )
        self._counters.change("up")
        return self._socket

    def _disconnect(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close()

    def _receive_all(self, socket: DatagramSocket) -> None:
        while not self._stopping:
            datagrams, ages, ts_read, mono_read = socket.receive(RECEIVE_TIMEOUT_MS)
            self._count_losses(socket)
            if datagrams:
                self._lines.publish(datagrams, ages, ts_read, mono_read)

    def _count_losses(self, socket: DatagramSocket) -> None:
        """A datagram that the kernel dropped is lost as much as one that the network dropped."""
        dropped = socket.dropped
        if dropped != self._dropped:
            self._counters.gap(dropped - self._dropped)
            self._dropped = dropped
            self._lines.lose("datagrams were lost")
        anomalies = socket.stamp_anomalies
        if anomalies != self._stamp_anomalies:
            self._counters.stamp_anomaly(anomalies - self._stamp_anomalies)
            self._stamp_anomalies = anomalies
        oversized = socket.oversized
        if oversized != self._oversized:
            refusal = Refusal("size", "datagram over 64 KiB")
            self._counters.refused(refusal, oversized - self._oversized)
            self._oversized = oversized
            self._lines.lose("a datagram was cut")
