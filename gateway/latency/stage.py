"""The stages of a record's way through the gateway, and the moments that each lies between.

The same names are in the statistics page, in `/metrics` and in the clients' objective.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its name and the two moments it lies between."""

    name: str
    begin: str
    end: str
    enforced: bool
    """Whether an objective may name it. `wire` crosses clocks, so it is only reported."""


STAGES = (
    Stage("wire", "ts_event", "ts_recv", enforced=False),
    Stage("ingest", "ts_recv", "published in the ring", enforced=True),
    Stage("ring", "published", "taken by the data plane", enforced=True),
    Stage("fanout", "taken", "the client's socket accepted the bytes", enforced=True),
    Stage("total", "ts_recv", "the client's socket accepted the bytes", enforced=True),
)
"""All stages in the order of the statistics page."""
