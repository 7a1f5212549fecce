"""What has to be equal after a soak: the gateway's counters among themselves, what its clients saw,
what the audit's files have, and what `tickgate usage` makes of them."""

import json
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

from support.serving import Metrics

from gateway.audit.usage import usage

METHODS: Final = ("jwt", "api_key")
LET_IN: Final = ("ok", "cached")
UNSPOKEN: Final = ("ok", "closed", "schema")
"""Ends of handshakes that are no refusals, for the audit."""
NS_MAX: Final = 1 << 62


class Row(NamedTuple):
    """Something that is counted twice."""

    what: str
    one: float
    other: float

    @property
    def equal(self) -> bool:
        return self.one == self.other

    def __str__(self) -> str:
        sign = "=" if self.equal else "IS NOT"
        return f"{self.what:<72}{self.one:>12,.0f} {sign} {self.other:,.0f}"


def counted(metrics: Metrics, name: str, *labels: str, but: tuple[str, ...] = ()) -> float:
    """All of a counter whose first labels are these; without those that end with one of `but`."""
    wanted = (f"tickgate_{name}", *labels)
    return sum(
        value
        for key, value in metrics.items()
        if key[: len(wanted)] == wanted and key[-1] not in but
    )


def of_counters(metrics: Metrics) -> list[Row]:
    """Counters among themselves, when nobody is there any more."""
    opened = metrics.of("handshakes_total", "ok")
    refused = metrics.total("handshakes_total") - opened
    closed, present = metrics.total("closes_total"), metrics.of("connections")
    ends = ("deliveries", "conflated", "filtered", "dropped")
    ended = sum(metrics.total(f"{name}_total") for name in ends)
    return [
        Row("accepted = refused + opened", metrics.of("accepted_total"), refused + opened),
        Row("opened = closed + present", opened, closed + present),
        Row("updates: routed = delivered + conflated + filtered + dropped + pending",
            metrics.total("routed_total"), ended + metrics.total("pending")),
        Row("clients of tenants = present", metrics.total("tenant_clients"), present),
        Row("subscriptions, topics attached = none",
            metrics.of("subscriptions") + metrics.of("attached_topics"), 0),
    ]  # fmt: skip


def of_clients(metrics: Metrics, seen: Counter[str]) -> list[Row]:
    """Counters against what clients saw."""
    unauthorized = metrics.of("handshakes_total", "unauthorized")
    rows = [
        Row("connections that clients made = accepted", seen["dialed"],
            metrics.of("accepted_total")),
        Row("clients that were let in = opened", seen["opened"],
            metrics.of("handshakes_total", "ok")),
        Row("clients that were refused = unauthorized, limited", seen["refused"],
            unauthorized + metrics.of("handshakes_total", "limited")),
        Row("subscribe requests sent = counted", seen["asked"],
            counted(metrics, "requests_total", "subscribe")),
    ]  # fmt: skip
    for method in METHODS:
        what = f"attempts by {method}: made = let in + refused"
        rows.append(Row(what, seen[f"tried {method}"], counted(metrics, "auth_total", method)))
    return rows


class Audited:
    """What the files of an audit have."""

    def __init__(self, directory: Path) -> None:
        self.lines: Counter[str] = Counter()
        self.left_out = 0
        self.succeeded = 0
        for path in directory.glob("*.jsonl"):
            with path.open("rb") as file:
                for line in map(json.loads, file):
                    self.lines[line["event"]] += 1
                    self.left_out += line.get("more", 0)
                    self.succeeded += line["event"] == "auth" and line["result"] == "ok"

    def strangers(self) -> int:
        """Of refusals and of credentials that were none, lines and those left out of them."""
        failed = self.lines["auth"] - self.succeeded
        return failed + self.lines["refusal"] + self.left_out


def of_audit(metrics: Metrics, audited: Audited) -> list[Row]:
    """The audit's files against counters."""
    refused = counted(metrics, "handshakes_total", but=UNSPOKEN)
    failed = sum(counted(metrics, "auth_total", one, but=LET_IN) for one in METHODS)
    let_in = sum(metrics.of("auth_total", one, how) for one in METHODS for how in LET_IN)
    return [
        Row("audit: lines in the files = counted", audited.lines.total(),
            metrics.of("audit_lines_total")),
        Row("audit: connect = opened", audited.lines["connect"],
            metrics.of("handshakes_total", "ok")),
        Row("audit: close = closed", audited.lines["close"], metrics.total("closes_total")),
        Row("audit: auth that succeeded = let in", audited.succeeded, let_in),
        Row("audit: refusals, failed auth, and those left out = refused + failed",
            audited.strangers(), refused + failed),
        Row("audit: lines lost = none", metrics.of("audit_lost_total"), audited.lines["lost"]),
    ]  # fmt: skip


def of_usage(directory: Path, seen: Counter[str], staying: int) -> list[Row]:
    """`tickgate usage` against what clients saw."""
    found = usage(directory, 0, NS_MAX)
    rows = [Row("usage: lines that are none", found.unreadable, 0)]
    for product in ("SIM", "SIM_D"):
        used = sum(row.sessions_used for row in found.rows if row.terms.product == product)
        rows.append(Row(f"usage: sessions that used {product} = subscribed to it",
                        used, seen[f"used {product}"]))  # fmt: skip
    at_once = [
        row.sessions_max
        for row in found.rows
        if row.terms.product == "SIM" and row.terms.user.startswith(("stay-", "slow-"))
    ]
    rows.append(Row("usage: users that stay, each once at a time", sum(at_once), staying))
    return rows
