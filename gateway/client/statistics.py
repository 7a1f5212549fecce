"""Counts of a client's, as values."""

import msgspec


class Statistics(msgspec.Struct, frozen=True):
    """What the session has seen, over all its connections.

    Attributes:
        messages: everything that came.
        ticks: records among them.
        skipped: records that the ticks' own `skipped` stand for.
        gaps: `Gap` events.
        lost: records that are missing besides, by the gaps that this client found itself.
        malformed: messages, or elements of them, that are not the protocol's.
        mismatches: frames after which a book was not what the gateway has.
        wanted: strings subscribed to.
        topics: those with a record since they were last subscribed to.
    """

    messages: int
    ticks: int
    skipped: int
    gaps: int
    lost: int
    malformed: int
    mismatches: int
    wanted: int
    topics: int


class ClientStatistics(Statistics, frozen=True, kw_only=True):
    """What a client has seen, over all its connections.

    Attributes:
        conflated: events that were merged into later ones before the consumer took them.
        dropped: records of lossless topics that the consumer was too slow for.
        waiting: events that wait for the consumer now.
    """

    conflated: int = 0
    dropped: int = 0
    waiting: int = 0
