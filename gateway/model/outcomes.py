"""Names of what is counted by outcome: the place in a tuple is the index in the array."""

HANDSHAKES = (
    "ok",
    "timeout",
    "bad_request",
    "too_large",
    "origin",
    "unauthorized",
    "shed",
    "not_found",
    "method",
    "version",
    "upgrade_required",
    "closed",
    "overload",
    "schema",
    "limited",
    "proxy",
)
"""How a connection's handshake ended: `tickgate_handshakes_total{result}`. `shed`: the worker has
no room; `limited`: its address or identity asks too much; `proxy`: a PROXY header that is wrong, or
comes from no trusted network, or does not come."""

TLS_HANDSHAKES = ("ok", "resumed", "certificate", "failed", "hello", "shed", "timeout", "closed")
"""How a TLS handshake ended: `tickgate_tls_handshakes_total{result}`.

`resumed`: by a ticket; `certificate`: the client has none, or it is no good; `failed`: the two do
not agree, or the client broke the protocol; `hello`: it did not begin with a ClientHello, of 16 KiB
at most; `shed`: too many were unfinished, or held too much; `timeout`, `closed`: it did not end."""

ADMISSION = (
    "capacity",
    "overload",
    "max_connections",
    "address",
    "shutdown",
    "connections",
    "rate",
    "memory",
    "identity",
    "proxy",
    "tenant",
)
"""Why somebody was not taken on: `tickgate_admission_refused_total{reason}`. A new subscription
(`capacity`) or a new client (`overload`) would have broken the promise to class 0; the others are
limits that a client meets in its handshake: how many there are of all, of its address, its identity
and its tenant, how fast they come, what unfinished handshakes hold, who may be a proxy."""

AUTHS = tuple(
    (method, result)
    for method in ("jwt", "api_key", "certificate", "anonymous")
    for result in (
        "ok",
        "cached",
        "invalid",
        "expired",
        "revoked",
        "limited",
        "unavailable",
        "missing",
    )
)
"""How an attempt to say who one is ended: `tickgate_auth_total{method,result}`.

`cached`: a token that was verified before; `invalid`: no credential of ours, or one that says what
is not taken here; `limited`: not looked at after many failures; `unavailable`: there are no keys
that are fresh enough; `missing`: none was brought where one must be."""

ACCEPT_ERRORS = ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "other")
"""Why accept failed: `tickgate_accept_errors_total{errno}`. The first two mean that descriptors ran
out, and that the gateway is not ready."""

STEPS = (
    "jobs",
    "commands",
    "cover",
    "epoch",
    "lap",
    "records",
    "visits",
    "sockets",
    "rounds",
    "replay",
)
"""Which step of the data plane left work for its next turn, its budget used up:
`tickgate_step_budget_exceeded_total{step}`, in the order of native/gw_stats.h. docs/metrics.md
says what each one does."""

NOTICES = ("refused", "feed", "reset", "slow", "replayed")
"""What a client was not told because its control queue was too full:
`tickgate_notices_left_out_total{reason}`, in the order of native/gw_stats.h. `gap` notices by their
reason, `slow`: another level of its own, `replayed`: it has had what it missed."""

REPLAYS = ("completed", "caught_up", "lapped", "ended", "insufficient_state")
"""What came of replays: `tickgate_replays_total{result}`, in the order of native/gw_stats.h.

`completed`: a topic's link has had all that its client missed; `caught_up`: one whose client had
been too slow for its queue is live again; `lapped`: the ring had no longer all; `ended`: nobody
wants it any more, or the epoch is over; `insufficient_state`: what was asked for is not there."""

REFUSALS = ("line", "shape", "number", "limit", "value", "name", "owner", "topics", "size")
"""Why a feed refused input: `tickgate_feed_refused_total{feed,reason}`.

`line`: it could not be read at all; `shape`: a member is missing or of another type; `number`: no
decimal; `limit`: beyond a named limit; `value`: a field that can't be what it says; `name`: no
SYMBOL.VENUE; `owner`: another feed publishes the instrument; `topics`: ring.topics_max are in use;
`size`: a datagram over 64 KiB. At most 16, as GW_REFUSALS of gw_stats.h has room for.
"""

CANDLES = (
    "late",
    "ahead",
    "duplicate",
    "unprinted",
    "unfit",
    "left_out",
    "restart",
    "full",
)
"""What candles lack: `tickgate_candle_exceptions_total{reason}`, in the order of native/gw_stats.h.

Trades that came too late, were ahead of the venue's clock, had come before, are none of the
market's, or whose volume has too many digits; candles without trades that were not told;
instruments whose candles began anew; and instruments without candles, for lack of room."""

HEALTH_STATES = ("ok", "quiet", "suspect", "resync", "crossed", "gap", "stale")
"""How instruments are: `tickgate_instrument_health{state}`, in the order of native/gw_record.h."""

REFUSALS_ROOM = 16
"""Places of each feed in the array `feed_refused`, GW_REFUSALS of gw_stats.h."""
