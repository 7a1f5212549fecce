"""How the gateway that fault tests share is set up: its deadlines are short, its limits known."""

from support.serving import Metrics
from support.udp import Venue

HANDSHAKE_TIMEOUT_S = 2.0
CLOSE_TIMEOUT_S = 1.0
MESSAGE_TIMEOUT_S = 2.0
MESSAGE_BYTES_MAX = 16384
FRAGMENTS_MAX = 64
CONTROL_FRAMES_PER_S = 100
REQUESTS_BURST = 200
SYMBOLS = tuple(f"SYM{number:03}.SIM" for number in range(1, 11))
VENUE = Venue("UDP", index=1)

SETTINGS = (
    'feeds.0.type="synthetic"',
    f"feeds.0.symbols={len(SYMBOLS)}",
    "feeds.0.rate=400",
    *VENUE.sets,
    'log.level="debug"',
    'log.format="json"',
    f"limits.handshake_timeout_s={HANDSHAKE_TIMEOUT_S}",
    f"limits.close_timeout_s={CLOSE_TIMEOUT_S}",
    f"limits.message_timeout_s={MESSAGE_TIMEOUT_S}",
    f"limits.message_bytes={MESSAGE_BYTES_MAX}",
    f"limits.fragments_max={FRAGMENTS_MAX}",
    f"limits.control_frames_per_s={CONTROL_FRAMES_PER_S}",
    f"limits.requests_burst={REQUESTS_BURST}",
    "limits.heartbeat_ms=200",
)

STRICT_TOPICS = 20
STRICT_PATTERNS = 4
STRICT_FRAMES = 256
STRICT_VENUE = Venue("UDP")

STRICT_SETTINGS = (
    *STRICT_VENUE.sets,
    'log.level="debug"',
    "limits.handshake_timeout_s=5",
    "limits.close_timeout_s=10",
    f"limits.topics_per_connection={STRICT_TOPICS}",
    f"limits.patterns_per_connection={STRICT_PATTERNS}",
    f"limits.lossless_frames_max={STRICT_FRAMES}",
    "limits.lossless_max_age_ms=3000",
    "limits.lossless_replay=false",
)
"""Of a second gateway: small limits, time for the slow, and no feed but what a test sends."""

SMALL_HANDSHAKES = 8
SMALL_CONNECTIONS = 40

SMALL_SETTINGS = (
    'feeds.0.type="synthetic"',
    "feeds.0.symbols=3",
    "feeds.0.rate=100",
    'log.level="debug"',
    f"limits.max_connections={SMALL_CONNECTIONS}",
    f"limits.handshakes_per_address={SMALL_HANDSHAKES}",
    "limits.ping_interval_s=1",
    "limits.pong_timeout_s=4",
)
"""Of a third gateway: little room and little patience."""


def balanced(metrics: Metrics, connections: int) -> bool:
    """Whether each accepted connection ended in exactly one way (invariant I6)."""
    return (
        metrics.of("connections") == connections
        and metrics.of("accepted_total") == metrics.total("handshakes_total")
        and metrics.of("handshakes_total", "ok") == metrics.total("closes_total") + connections
    )
