"""What processes report of themselves, with values where a test does not care."""

from typing import Any, Literal

from gateway.model.status import (
    FeedStatus,
    LadderStep,
    SlowClient,
    StallRow,
    Status,
    Vitals,
    WorkerReport,
)


def worker(*, stalls: tuple[StallRow, ...] = (), **more: Any) -> Status:
    """A worker's status; `more` is of its report."""
    report = WorkerReport(**{"connections": 0, "accepting": True, "subscribers": {}, **more})
    return Status(vitals=Vitals(stalls=stalls), worker=report)


def followed(channel: str, count: int = 1) -> Status:
    """That of a worker of whose clients so many follow this status channel."""
    return worker(subscribers={channel: count})


def stall(ts: int, kind: str = "gc", ms: float = 70) -> StallRow:
    return StallRow(ts=ts, kind=kind, ms=ms, words="x")


def step(ts: int, to: int = 1, was: int = 0, reason: str = "load") -> LadderStep:
    return LadderStep(ts=ts, step=to, was=was, reason=reason)


def slow(connection_id: str = "c-1", age_ms: float = 7) -> SlowClient:
    return SlowClient(
        connection_id=connection_id,
        address="10.0.0.1",
        level=1,
        age_ms=age_ms,
        pending_bytes=None,
        why="slow",
    )


def feed(name: str, state: Literal["up", "failed"] = "up", message: str = "") -> FeedStatus:
    counts = ("records", "decode_errors", "gaps", "lost", "duplicates", "late", "resets")
    none: dict[str, Any] = dict.fromkeys((*counts, "skipped", "reconnects", "last_record_ns"), 0)
    return FeedStatus(
        name=name,
        type=name.partition(":")[0],
        venue="SIM",
        state=state,
        message=message,
        **none,
    )
