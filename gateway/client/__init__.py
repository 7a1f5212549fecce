"""The Python client of the gateway: `Client` and the events that it yields."""

from gateway.client.backoff import Backoff, reconnects
from gateway.client.client import Client, ConnectFailed, Disconnected, RequestRefused
from gateway.client.session import (
    ClientSession,
    Event,
    Gap,
    Hello,
    Malformed,
    Offset,
    Reply,
    Report,
    Result,
    System,
    Tick,
    clock_offset,
)

__all__ = [
    "Backoff",
    "Client",
    "ClientSession",
    "ConnectFailed",
    "Disconnected",
    "Event",
    "Gap",
    "Hello",
    "Malformed",
    "Offset",
    "Reply",
    "Report",
    "RequestRefused",
    "Result",
    "System",
    "Tick",
    "clock_offset",
    "reconnects",
]
