"""Every part's options but the feeds': what the configuration may say, with defaults and bounds.

Each struct is one table of the file; `config.py` assembles them. Units are the last word of a name.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.networks import NETWORKS_MAX

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Count = Annotated[int, Meta(ge=0, le=1_000_000)]
"""0: no limit."""
Seconds = Annotated[float, Meta(gt=0, le=3600)]

LOOPBACK_ORIGINS = tuple(
    f"{scheme}://{host}:*"
    for scheme in ("http", "https")
    for host in ("127.0.0.1", "localhost", "[::1]")
)


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all option tables: unknown keys are errors."""


class ListenOptions(Options, frozen=True, kw_only=True):
    """Where clients connect."""

    host: str = "127.0.0.1"
    port: Port = 8765
    unix: str = ""
    """Path of a socket for clients of this host, beside the port; "": none."""
    unix_mode: Annotated[str, Meta(pattern="^0[0-7]{3}$")] = "0660"
    origins: tuple[str, ...] = LOOPBACK_ORIGINS
    trusted_proxies: Annotated[tuple[str, ...], Meta(max_length=NETWORKS_MAX)] = ()
    proxy_protocol: bool = False
    insecure: bool = False


class AuthOptions(Options, frozen=True, kw_only=True):
    """Who clients are: how they say it, and the files by which they are judged.

    Attributes:
        jwt_keys: a JWKS: a file, or an https URL.
        pepper: of the API keys; empty: the file beside theirs, with `.pepper` behind its name.
        jwks_private: whether the URL may be at an address of this host or a private network.
        failures_per_minute: attempts of one address after which no more is looked at.
    """

    mode: Literal["none", "optional", "required"] = "none"
    in_band: bool = False
    deadline_s: Seconds = 5.0
    jwt_keys: str = ""
    jwks_max_age_s: Annotated[int, Meta(ge=60, le=604_800)] = 86_400
    jwks_private: bool = False
    audience: str = ""
    issuer: str = ""
    typ: str = ""
    max_ttl_s: Annotated[int, Meta(ge=1, le=31_536_000)] = 86_400
    api_keys: str = ""
    pepper: str = ""
    grants: str = ""
    revoked: str = ""
    failures_per_minute: Positive = 30


class OpsOptions(Options, frozen=True, kw_only=True):
    """Where /metrics, /livez, /readyz, /statusz and the page are served."""

    host: str = "127.0.0.1"
    port: Port = 9464
    insecure: bool = False
    tls: bool = True
    """Where [tls] has a certificate; false: plain all the same."""


class TlsNameOptions(Options, frozen=True, kw_only=True):
    """Another certificate, for clients that ask for this host."""

    name: str
    cert: str
    key: str


class TlsOptions(Options, frozen=True, kw_only=True):
    """Certificates of the listeners: files in PEM. Without `cert` there is no TLS."""

    cert: str = ""
    key: str = ""
    client_ca: str = ""
    """Whose certificates clients must have; "": they are not asked for one."""
    names: tuple[TlsNameOptions, ...] = ()


class RingOptions(Options, frozen=True, kw_only=True):
    """The shared segment of the feed process."""

    capacity_bytes: Annotated[int, Meta(ge=65536, le=1 << 34)] = 64 << 20
    topics_max: Annotated[int, Meta(ge=16, le=1 << 20)] = 65536
    book_levels_max: Annotated[int, Meta(ge=0, le=100_000_000)] = 1_000_000
    """Levels of order books that there is room for; 0: no books."""


class PlaneOptions(Options, frozen=True, kw_only=True):
    """How the data plane waits and where it runs."""

    wait: Literal["hybrid", "spin"] = "hybrid"
    cpu: Annotated[int, Meta(ge=-1, le=4095)] = -1
    log_bytes: Annotated[int, Meta(ge=8 << 20, le=1 << 32)] = 64 << 20


class SloOptions(Options, frozen=True, kw_only=True):
    """The latency objective that clients and /metrics see."""

    stage: Literal["total"] = "total"
    percentile: Annotated[float, Meta(gt=0, lt=100)] = 99
    target_us: Annotated[int, Meta(ge=1, le=60_000_000)] = 1000
    display_target_us: Annotated[int, Meta(ge=1, le=60_000_000)] = 500_000
    window_s: Annotated[int, Meta(ge=1, le=3600)] = 10
    enforce: bool = True


class CandleOptions(Options, frozen=True, kw_only=True):
    """Candles, made of the feeds' trades; without intervals there are none."""

    intervals: tuple[Literal["1s", "1m", "5m", "15m", "1h", "1d"], ...] = ()
    instruments_max: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    update_ms: Annotated[int, Meta(ge=0, le=60_000)] = 250


class ClusterOptions(Options, frozen=True, kw_only=True):
    """How many worker processes share the ring and the port."""

    workers: Annotated[int, Meta(ge=1, le=64)] = 1


class LimitsOptions(Options, frozen=True, kw_only=True):
    """Every bound on what a client may ask or make us hold."""

    max_connections: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    connections_per_address: Count = 0
    connects_per_address_per_s: Count = 0
    worker_connects_per_s: Count = 0
    topics_per_connection: Positive = 10_000
    patterns_per_connection: Positive = 256
    symbols_per_request: Positive = 300
    waiting_names: Annotated[int, Meta(ge=2, le=1 << 20)] = 65_536
    message_bytes: Annotated[int, Meta(ge=256, le=1 << 20)] = 16384
    fragments_max: Positive = 64
    handshake_timeout_s: Seconds = 5.0
    handshakes_per_address: Positive = 1000
    handshake_bytes: Annotated[int, Meta(ge=1024, le=1 << 18)] = 32 << 10
    handshake_memory_bytes: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 64 << 20
    tls_handshakes: Positive = 300
    message_timeout_s: Seconds = 10.0
    close_timeout_s: Seconds = 5.0
    ping_interval_s: Seconds = 15.0
    pong_timeout_s: Seconds = 20.0
    requests_per_s: Positive = 50
    requests_burst: Positive = 200
    worker_requests_per_s: Positive = 20_000
    control_frames_per_s: Positive = 100
    errors_per_minute: Positive = 10
    heartbeat_ms: Annotated[int, Meta(ge=10, le=60_000)] = 1000
    lossless_max_age_ms: Annotated[int, Meta(ge=1, le=3_600_000)] = 2000
    lossless_frames_max: Annotated[int, Meta(ge=64, le=1 << 20)] = 65536
    lossless_replay: bool = True
    stall_max_s: Annotated[int, Meta(ge=1, le=3600)] = 120


class TenantOptions(Options, frozen=True, kw_only=True):
    """Clients that have a share of each worker's data plane while it is behind."""

    name: Annotated[str, Meta(min_length=1, max_length=64, pattern="^[A-Za-z0-9_.-]*$")]
    weight: Annotated[int, Meta(ge=1, le=100)] = 1
    connections_max: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    subscriptions_max: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 0


class RecorderOptions(Options, frozen=True, kw_only=True):
    """The flight recorder: what is written when the objective is missed, and how much is kept."""

    enabled: bool = True
    directory: str = ""
    seconds: Annotated[float, Meta(ge=1, le=50)] = 10
    files_max: Annotated[int, Meta(ge=1, le=10_000)] = 16
    bytes_max: Annotated[int, Meta(ge=1 << 20, le=1 << 40)] = 256 << 20
    min_interval_s: Annotated[float, Meta(ge=1, le=86_400)] = 60


class MemoryOptions(Options, frozen=True, kw_only=True):
    """When the large buffers (ring, frame log) take their memory."""

    populate: Literal["ahead", "start"] = "ahead"


class AdminOptions(Options, frozen=True, kw_only=True):
    """Where operators of this host may ask the gateway for something (`tickgate admin`)."""

    unix: Annotated[str, Meta(max_length=107)] = ""
    """sun_path of unix(7) has 108 bytes."""


class AuditOptions(Options, frozen=True, kw_only=True):
    """Who did what, for auditors: JSON lines in files of each process, rotated by size."""

    path: str = ""
    max_bytes: Annotated[int, Meta(ge=1 << 16, le=1 << 40)] = 64 << 20
    keep: Annotated[int, Meta(ge=1, le=100_000)] = 64


class LogOptions(Options, frozen=True, kw_only=True):
    """Structured logs on standard error, or appended to a file, which SIGUSR1 opens anew."""

    file: str = ""
    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"
