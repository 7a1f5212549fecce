"""What all sessions of a worker share: limits, the objective they announce, counters."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec import UNSET, UnsetType

from gateway.session.capacity import Capacity
from gateway.session.codes import ErrorCode
from gateway.session.messages import METHODS
from gateway.session.quota import Bucket, Rate
from gateway.session.waiting import WaitingNames

RESULTS: Final = (
    "ok",
    "failed",
    "bad_request",
    "unknown_method",
    "unknown_channel",
    "rate_limited",
    "unauthorized",
)
"""How a request ended; `failed`: each of its symbols was refused."""

METHOD_UNKNOWN: Final = "unknown"
"""Stands for every method that there is not, and for texts whose method can't be read."""

REQUESTS: Final = tuple(
    (method, result) for method in (*METHODS, METHOD_UNKNOWN) for result in RESULTS
)
"""(method, result) of each request counter: `tickgate_requests_total{method,result}`."""

REJECTIONS: Final = (
    "unknown_symbol",
    "not_subscribed",
    "limit_exceeded",
    "bad_request",
    "capacity",
    "rate_limited",
    "forbidden",
)
"""Reason of each counter of refused symbols: `tickgate_subscribe_rejected_total{reason}`."""

SCAN_UNIT: Final = 1000
"""Steps of pattern scans that the worker's bucket counts as one."""

_REQUEST_INDEX: Final = {pair: index for index, pair in enumerate(REQUESTS)}
_REJECTION_INDEX: Final = {reason: index for index, reason in enumerate(REJECTIONS)}


@dataclass(frozen=True, slots=True)
class Options:
    """Limits of a session and what its hello says.

    Attributes:
        reply_bytes_max: of a reply with results. It must fit the control queue of a client.
        page_bytes_max: of the rows in one reply to `list` or `stats`.
        list_scan_max: names times patterns looked at for one reply to `list`: about 1 ms of work.
        pattern_scan_max: patterns times topics in one `subscribe`, which the loop counts at once:
            1 to 2 ms of its time.
        pattern_scan_little: of these, what is little enough to need no waiting for the greedy.
        pattern_steps_max: steps of one `subscribe` with several patterns, some 2 ms: costly ones
            have to come in several requests. A step is about 1 ns of the loop and of the plane.
        pattern_steps_cost: steps that are charged to the connection like one more request.
        worker_pattern_steps_per_s: of all connections together: 10 % of the loop's time and of the
            plane's.
        waiting_names_max: names that no topic has yet, of all connections together, as the plane
            has it.
        queries_max: `stats` requests that may wait for the data plane.
        candles: the intervals of which candles are made.
        delays: by venue, how many seconds late its data is, where it is.
    """

    version: str
    heartbeat_ms: int = 1000
    slo_stage: str = "total"
    slo_percentile: float = 99
    slo_target_us: int = 1000
    symbols_per_request: int = 1000
    topics_max: int = 10_000
    patterns_max: int = 256
    requests_per_s: int = 50
    requests_burst: int = 200
    worker_requests_per_s: int = 20_000
    errors_per_minute: int = 10
    reply_bytes_max: int = 48 << 10
    page_bytes_max: int = 32 << 10
    list_scan_max: int = 1024
    pattern_scan_max: int = 400_000
    pattern_scan_little: int = 100_000
    pattern_steps_max: int = 2_000_000
    pattern_steps_cost: int = 16_384
    worker_pattern_steps_per_s: int = 100_000_000
    waiting_names_max: int = 65_536
    queries_max: int = 4
    candles: tuple[str, ...] = ()
    delays: Mapping[str, int] = field(default_factory=dict)

    @property
    def slo(self) -> dict[str, Any]:
        """The objective, as in hello."""
        whole = int(self.slo_percentile)
        return {
            "stage": self.slo_stage,
            "percentile": whole if whole == self.slo_percentile else self.slo_percentile,
            "target_us": self.slo_target_us,
        }


class Shared:
    """The mutable part: the worker's own bucket, and counters of what clients asked for.

    Attributes:
        capacity: what the worker takes on.
        scans: steps of holding patterns against names, of all connections together.
        waiting: names that no topic has yet.
        requests: counts by REQUESTS.
        rejections: counts of refused symbols by REJECTIONS.
    """

    __slots__ = (
        "bucket",
        "capacity",
        "options",
        "rate",
        "rejections",
        "requests",
        "scans",
        "waiting",
    )

    def __init__(
        self,
        options: Options,
        capacity: Capacity,
        names_waiting: Callable[[], int] = lambda: 0,
    ) -> None:
        self.waiting = WaitingNames(options.waiting_names_max, names_waiting)
        self.options = options
        self.capacity = capacity
        self.rate = Rate(options.requests_per_s, options.requests_burst)
        self.bucket = Bucket(_worker_rate(options))
        # Steps in thousands, so that the time of one is a whole number of nanoseconds.
        per_s = max(1, options.worker_pattern_steps_per_s // SCAN_UNIT)
        self.scans = Bucket(Rate(per_s, max(1, per_s // 5)))
        self.requests = [0] * len(REQUESTS)
        self.rejections = [0] * len(REJECTIONS)

    def reconfigure(self, options: Options) -> None:
        """Other limits from the next request on; what was asked before stays counted."""
        self.options = options
        self.rate = Rate(options.requests_per_s, options.requests_burst)
        self.bucket.rate = _worker_rate(options)

    def count(self, method: str, result: str) -> None:
        """Counts one request."""
        self.requests[_REQUEST_INDEX[method, result]] += 1

    def reject(self, refusals: Iterable[ErrorCode]) -> None:
        """Counts symbols that were refused."""
        for code in refusals:
            self.rejections[_REJECTION_INDEX[code.name]] += 1


def _worker_rate(options: Options) -> Rate:
    # A tenth of a second's worth at once keeps the loop's own delay below that.
    return Rate(options.worker_requests_per_s, max(1, options.worker_requests_per_s // 10))


def counted(method: str | UnsetType) -> str:
    """The method's name in the counters."""
    return method if method is not UNSET and method in METHODS else METHOD_UNKNOWN
