"""Clients' messages to our protocol's session: each is answered in JSON or by a close that is
documented, whatever came before, and what is kept for a client stays within its limits.

Lines are messages, one after the other.
"""

import json
from collections.abc import Hashable, Iterable
from typing import Any, Final

from fuzz.mutate import quoted
from unit.session.conftest import Client, FakeCatalog

from gateway.session import CLOSE_CODES, Capacity, Close, Load, Options, Query, Session, Shared

MESSAGES_MAX: Final = 40
JSON_AT: Final = 0
TOKENS: Final = [
    *quoted(
        r"""
        subscribe unsubscribe update ping stats symbols instruments method params req_id
        channel symbol mode snapshot class max_hz max_age_ms depth from epoch seq last
        ts interval after trade bbo book candle health status instrument slo conflate
        lossless BTCUSDT.BINANCE BRK.B.XNAS * *.SIM SYM*.SIM 1m ~* ~x resync
        """
    ),
    *rb"""{ } [ ] : , null true \ud800 \u0000 1e999""".split(),
    b"\n",
]


def _asked(method: str, **params: Any) -> bytes:
    return json.dumps({"method": method, "req_id": 7, "params": params}).encode()


SEEDS: Final = [
    _asked(
        "subscribe", channel="trade", symbol=["BTCUSDT.BINANCE", "*.SIM"], mode="conflate", max_hz=5
    ),
    _asked("subscribe", channel="book", symbol=["BTCUSDT.BINANCE"], depth=10),
    _asked("subscribe", channel="candle", symbol=["*"], interval="1m", snapshot=False),
    _asked(
        "subscribe", channel="trade", symbol=["ETH*"], **{"from": {"epoch": "k3f9aaaa", "seq": 5}}
    ),
    _asked("subscribe", channel="slo", symbol=["*"]),
    b"\n".join(
        [
            _asked("subscribe", channel="trade", symbol=["A.SIM"]),
            _asked("update", channel="trade", symbol=["A.SIM"], max_hz=1, **{"class": 2}),
            _asked("unsubscribe", channel="trade", symbol=["A.SIM", "B.SIM"]),
        ]
    ),
    b"\n".join([_asked("ping", t0=5), _asked("stats"), _asked("symbols"), _asked("instruments")]),
]
TOPICS_MAX, PATTERNS_MAX = 20, 3


def run(data: bytes) -> Iterable[Hashable]:
    catalog = FakeCatalog()
    capacity = Capacity(
        Load, target_ns=10_000_000, enforce=True, spread=lambda low, high: (low + high) // 2
    )
    shared = Shared(
        Options(
            version="0", topics_max=TOPICS_MAX, patterns_max=PATTERNS_MAX, symbols_per_request=20
        ),
        capacity,
        lambda: 0,
    )
    client = Client(Session("c-17", catalog, shared), catalog, shared)
    client.message(client.session.hello(client.real_ns))
    told: list[Hashable] = []
    for line in data.split(b"\n")[:MESSAGES_MAX]:
        text = line.decode("utf-8", "surrogateescape" if len(line) % 2 else "replace")
        for action in client.send(text, after_s=0.3):
            told.append(_judged(client, action))
            if isinstance(action, Close):
                return told
        assert client.session.subscriptions <= TOPICS_MAX + PATTERNS_MAX
    client.session.end()
    return told


def _judged(client: Client, action: Any) -> Hashable:
    if isinstance(action, Close):
        assert action.code in CLOSE_CODES
        assert len(action.reason.encode()) <= 123
        return action.code
    if isinstance(action, Query):
        client.message(client.session.stats(action.token, ()))
        return "query"
    if not action.payload:
        return type(action).__name__
    message = client.message(action)
    error = message.get("error") or {}
    return (
        type(action).__name__,
        message.get("method"),
        error.get("code"),
        error.get("message", "")[:16],
    )
