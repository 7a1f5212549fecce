"""From options to feeds: the checks that need files, then files and sockets themselves."""

import contextlib
import functools
import os
import socket
from collections.abc import Sequence

from gateway._native import RingReader, RingWriter, UdpIntake, UdpSocket
from gateway.address import datagrams, unix_listener
from gateway.errors import ConfigurationError, ResourceError
from gateway.feeds import tape
from gateway.feeds.delay import DelayFeed
from gateway.feeds.feed import Counters, Feed, Stats, Topics
from gateway.feeds.lines import CHANNELS_SAID
from gateway.feeds.options import (
    DelayOptions,
    FeedOptions,
    LiveOptions,
    PublisherOptions,
    ReplayOptions,
    SyntheticOptions,
    UdpOptions,
    problems,
)
from gateway.feeds.publisher import PublisherFeed
from gateway.feeds.replay import ReplayFeed
from gateway.feeds.spool_room import spool_directory
from gateway.feeds.udp import BATCH_INTERVAL_NS, QUIET_NS, UdpFeed


def check(feeds: Sequence[FeedOptions]) -> list[tuple[str, str]]:
    """(key, message) of everything wrong: `options.problems`, and captures that can't be read."""
    found = problems(feeds)
    for index, feed in enumerate(feeds):
        if isinstance(feed, ReplayOptions) and (wrong := tape.check(feed)) is not None:
            found.append((f"feeds.{index}.{wrong[0]}", wrong[1]))
    return found


def build(feeds: Sequence[FeedOptions], writer: RingWriter, stats: Stats) -> list[Feed]:
    """The feeds, in order, ready to `run`; sockets are bound by now. `stats` is the writer's page.

    Raises:
        ConfigurationError: options contradict, or a capture cannot be read.
        ResourceError: a port is not to be had.
    """
    if found := check(feeds):
        raise ConfigurationError("\n".join(f"{key}: {message}" for key, message in found))
    owners: dict[str, int] = {}
    names: set[str] = set()
    built: list[Feed] = []
    with contextlib.ExitStack() as undo:
        for index, options in enumerate(feeds):
            if isinstance(options, SyntheticOptions):
                from gateway.feeds.synthetic import SyntheticFeed  # it alone wants numpy

                name = _unique(f"synthetic:{options.venue}", names)
                counters = Counters(name, "synthetic", options.venue, index, stats)
                built.append(SyntheticFeed(name, index, options, writer, counters))
            elif isinstance(options, ReplayOptions):
                name = _unique(f"replay:{options.venue}", names)
                counters = Counters(name, "replay", options.venue, index, stats)
                built.append(ReplayFeed(name, index, options, writer, counters, owners))
            elif isinstance(options, DelayOptions):
                name = _unique(f"delay:{options.venue}", names)
                counters = Counters(name, "delay", options.venue, index, stats)
                ring = RingReader(writer.fd, venue=options.of)
                where = spool_directory(options, os.environ)
                built.append(DelayFeed(name, index, options, writer, counters, owners, ring, where))
            elif isinstance(options, PublisherOptions):
                listener = _listen(index, options)
                undo.callback(listener.close)
                name = _unique(f"publisher:{options.venue}", names)
                counters = Counters(name, "publisher", options.venue, index, stats)
                topics = {
                    channel: Topics(channel, options.venue, index, writer, owners)
                    for channel in CHANNELS_SAID
                }
                built.append(
                    PublisherFeed(name, index, options, writer, counters, topics, listener)
                )
            elif isinstance(options, LiveOptions):
                # They alone want an HTTP library, and a loop of their own.
                from gateway.feeds.live.build import live_feed

                name = _unique(f"{options.__struct_config__.tag}:{options.venue}", names)
                built.append(live_feed(name, index, options, writer, stats, owners))
            else:
                intake = UdpIntake(
                    writer, feed=index, quiet_ns=QUIET_NS, interval_ns=BATCH_INTERVAL_NS
                )
                bound = _bind(index, options, intake)
                undo.callback(bound.close)
                name = _unique(f"udp:{bound.port}", names)
                counters = Counters(name, "udp", options.venue, index, stats)
                reopen = functools.partial(_open, options, bound.port, intake)
                built.append(
                    UdpFeed(name, index, options, writer, counters, owners, intake, bound, reopen)
                )
        undo.pop_all()
    return built


def _bind(index: int, options: UdpOptions, intake: UdpIntake) -> UdpSocket:
    try:
        return _open(options, options.port, intake)
    except OSError as error:
        where = f"feeds.{index}: udp {options.host}:{options.port}"
        raise ResourceError(f"{where}: {error.strerror or error}") from error


def _listen(index: int, options: PublisherOptions) -> socket.socket:
    try:
        return unix_listener(options.unix, int(options.unix_mode, 8))
    except OSError as error:
        where = f"feeds.{index}.unix: cannot listen on {options.unix}"
        raise ResourceError(f"{where}: {error.strerror or error}") from None


def _open(options: UdpOptions, port: int, intake: UdpIntake) -> UdpSocket:
    return UdpSocket(datagrams(options.host, port, options.interface), intake=intake)


def _unique(name: str, names: set[str]) -> str:
    """The name, numbered where another feed bears it already."""
    number = 1
    unique = name
    while unique in names:
        number += 1
        unique = f"{name}-{number}"
    names.add(unique)
    return unique
