"""What a session shows of itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Statistics:
    """A session's state at one moment.

    Attributes:
        topics: what counts against the limit: names, and what each pattern covered when asked for.
        refused: requests that were beyond the rate.
    """

    connection_id: str
    subscriptions: int
    patterns: int
    topics: int
    requests: int
    errors: int
    refused: int
    queries: int
    closed: bool
