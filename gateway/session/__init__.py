"""The protocol's server side, sans-IO: `Session` and the actions it answers with."""

from gateway.session.actions import Action, Close, Query, Reply, Subscribe, Unsubscribe
from gateway.session.capacity import Capacity, Load
from gateway.session.catalog import Catalog
from gateway.session.codes import CLOSE_CODES, CLOSES
from gateway.session.options import REJECTIONS, REQUESTS, Options, Shared
from gateway.session.session import Session
from gateway.session.statistics import Statistics

__all__ = [
    "CLOSES",
    "CLOSE_CODES",
    "REJECTIONS",
    "REQUESTS",
    "Action",
    "Capacity",
    "Catalog",
    "Close",
    "Load",
    "Options",
    "Query",
    "Reply",
    "Session",
    "Shared",
    "Statistics",
    "Subscribe",
    "Unsubscribe",
]
