"""The Python client of the gateway: `Client` and the events that it yields."""

from gateway.client.backoff import Backoff, reconnects
from gateway.client.client import Client, ConnectFailed, Disconnected, RequestRefused
from gateway.client.events import (
    Conflation,
    Event,
    FeedHealth,
    Gap,
    Health,
    Hello,
    Malformed,
    Reply,
    Report,
    Result,
    Slo,
    Slow,
    System,
    Tick,
)
from gateway.client.session import ClientSession
from gateway.clock import Offset

__all__ = [
    "Backoff",
    "Client",
    "ClientSession",
    "Conflation",
    "ConnectFailed",
    "Disconnected",
    "Event",
    "FeedHealth",
    "Gap",
    "Health",
    "Hello",
    "Malformed",
    "Offset",
    "Reply",
    "Report",
    "RequestRefused",
    "Result",
    "Slo",
    "Slow",
    "System",
    "Tick",
    "reconnects",
]
