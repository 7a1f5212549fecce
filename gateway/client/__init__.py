"""The Python client of the gateway: `Client` and the events that it yields."""

from gateway.backoff import Backoff
from gateway.client.asking import RequestRefused
from gateway.client.book import Book, Level, OrderBook
from gateway.client.client import Client
from gateway.client.events import (
    Conflation,
    Disconnected,
    Event,
    FeedHealth,
    Gap,
    Health,
    Hello,
    Malformed,
    ReplayCompleted,
    Reply,
    Report,
    Result,
    Retired,
    Slo,
    Slow,
    System,
)
from gateway.client.opening import ConnectFailed
from gateway.client.reconnects import reconnects
from gateway.client.session import ClientSession
from gateway.client.statistics import ClientStatistics
from gateway.client.ticks import (
    Bbo,
    Candle,
    InstrumentData,
    InstrumentHealth,
    RawTick,
    Status,
    Tick,
    Trade,
)
from gateway.clock import Offset
from gateway.model.topic import escape

__all__ = [
    "Backoff",
    "Bbo",
    "Book",
    "Candle",
    "Client",
    "ClientSession",
    "ClientStatistics",
    "Conflation",
    "ConnectFailed",
    "Disconnected",
    "Event",
    "FeedHealth",
    "Gap",
    "Health",
    "Hello",
    "InstrumentData",
    "InstrumentHealth",
    "Level",
    "Malformed",
    "Offset",
    "OrderBook",
    "RawTick",
    "ReplayCompleted",
    "Reply",
    "Report",
    "RequestRefused",
    "Result",
    "Retired",
    "Slo",
    "Slow",
    "Status",
    "System",
    "Tick",
    "Trade",
    "escape",
    "reconnects",
]
