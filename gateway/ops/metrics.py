"""/metrics: one custom collector over all statistics pages. Its names are the protocol's."""

import time
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from gateway.latency import statistics
from gateway.latency.histogram import bucket_edges
from gateway.latency.statistics import Statistics
from gateway.model.outcomes import (
    AUTHS,
    CANDLES,
    HEALTH_STATES,
    NOTICES,
    REFUSALS,
    REFUSALS_ROOM,
    STEPS,
)
from gateway.ops import control_metrics, objective_metrics
from gateway.ops.families import counter, counters, gauge, gauges, histograms, outcomes
from gateway.ops.objective import Watch
from gateway.ops.reading import OUTCOMES, feed_names
from gateway.ops.subject import Subject
from gateway.session.codes import CLOSE_CODES
from gateway.session.options import REJECTIONS, REQUESTS

CONTENT_TYPE = CONTENT_TYPE_LATEST

# name in the exposition -> (array in the page, help)
_BY_CHANNEL = {
    "published": ("published", "Records published in the ring."),
    "routed": ("routed", "Records times subscribers, from the attach on."),
    "deliveries": ("delivered", "Frames whose last byte the kernel took."),
    "conflated": ("conflated", "Updates that a newer one of the same topic replaced."),
    "filtered": ("filtered", "Updates withheld by a subscription's own parameters."),
    "snapshots": ("snapshots", "Snapshots sent; not part of routed."),
    "replayed": ("replayed", "Records replayed from the ring to clients that had missed them."),
}
_DROPS = ("lapped", "closed", "unsubscribed", "slow", "epoch")
_TOTALS = {
    "sends": ("sends", "System calls that sent to clients."),
    "sent_bytes": ("sent_bytes", "Bytes that the kernel took."),
    "ring_lapped": ("ring_lapped", "Times that the writer overtook a worker."),
    "ring_torn_reads": ("torn_reads", "Torn last-value slots found and skipped."),
    "ring_wrong_kinds": ("wrong_kinds", "Records skipped: their kind is not their topic's."),
    "books_copied": ("books_copied", "Order books copied out of the ring's segment by workers."),
    "heartbeats": ("heartbeats", "Heartbeats sent."),
    "accepted": ("accepted", "Connections accepted."),
    "control_frames": ("control_frames", "Pings and pongs received."),
    "limits_met": ("limits_met", "Names and patterns refused after the reply."),
    "close_timeouts": ("close_timeouts", "Clients that never finished closing."),
    "audit_lines": ("audit_lines", "Lines of the audit that are written."),
    "audit_lost": ("audit_lost", "Lines of the audit lost to a full queue or a failing write."),
    "log_dropped": ("log_dropped", "Log lines lost to a full queue or a failing write."),
}
_GAUGES = {
    "connections": ("connections", "Open client connections."),
    "subscriptions": ("subscriptions", "Names and patterns that clients are subscribed to."),
    "attached_topics": ("links", "Topics attached to connections."),
    "topics_waiting": ("topics_waiting", "Names that clients wait for and no topic has yet."),
    "books_missing": ("books_missing", "Books that have subscribers and cannot be copied."),
    "pending": ("pending", "Updates queued for clients."),
    "clients_blocked": ("clients_blocked", "Clients whose socket takes no more for now."),
}
_OUTCOME_TEXTS = {
    "handshakes": "Handshakes by how they ended.",
    "tls_handshakes": "TLS handshakes of clients by how they ended.",
    "admission_refused": "Subscriptions and clients that were not taken on.",
    "accept_errors": "Accepts that failed.",
    "closes": "Connections by close code.",
    "subscribe_rejected": "Symbols refused.",
    "replays": "Replays of what a client missed, by how they ended.",
}
_BY_FEED = {
    "feed_records": ("feed_records", "Records published by the feed."),
    "feed_gaps": ("feed_gaps", "Holes in the feed's sequence."),
    "feed_lost_messages": ("feed_lost", "Records or datagrams missing in the holes."),
    "feed_duplicates": ("feed_duplicates", "Records that had come before."),
    "feed_late": ("feed_late", "Records that came behind later ones of their topic."),
    "feed_resets": ("feed_resets", "New beginnings of a venue's numbers."),
    "feed_decode_errors": ("feed_decode_errors", "Input that was refused, of all reasons."),
    "feed_reconnects": ("feed_reconnects", "Connections made again."),
    "clock_anomalies": ("clock_anomalies", "Records with a venue time in the future."),
    "stamp_anomalies": ("stamp_anomalies", "Datagrams whose kernel stamp was not believed."),
}


_BY_TENANT = {
    "tenant_clients": ("tenant_clients", "Open connections of the tenant."),
    "tenant_sends": ("tenant_sends", "System calls that sent ticks to its clients."),
    "tenant_sent_bytes": ("tenant_bytes", "Bytes that the kernel took in those."),
}

RECORDINGS = ("written", "failed", "suppressed", "streamed")
"""What can become of a recording."""


class Metrics(Collector):
    """Renders the exposition; safe to call on several threads at once."""

    def __init__(self, subject: Subject, watch: Watch, answers: Mapping[str, int]) -> None:
        self._subject = subject
        self._answers = answers
        self._watch = watch
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def render(self) -> bytes:
        """The text exposition, now."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing: registering must not read the pages."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        each, look = self._subject.read(), self._watch.look
        merged = statistics.merge(each.values())
        version = [((self._subject.version,), 1)]
        yield gauges("tickgate_build_info", "The version.", ["version"], version)
        yield self._latency(merged)
        yield from _channels(merged, self._subject.channels)
        yield from _simple(merged)
        yield from _by_outcome(merged)
        yield from _loops(each)
        yield from self._feeds(merged)
        yield from self._topics(merged)
        yield from _candles(merged)
        yield from _tenants(merged, [one.name for one in self._subject.config.tenants])
        yield from self._processes()
        yield self._recordings()
        rows = [((code,), count) for code, count in sorted(self._answers.items())]
        text = "Requests to the ops listener by the code of their answer."
        yield counters("tickgate_http_requests", text, ["code"], rows)
        yield from control_metrics.pauses(each)
        yield from self._controllers(each)
        yield from control_metrics.classes(merged)
        yield from objective_metrics.headline(look)
        yield from objective_metrics.classes(look.classes, merged)

    def _latency(self, merged: Statistics) -> Metric:
        edges_ns = bucket_edges(self._subject.config.slo.target_us * 1000)
        rows = {stage: (one, edges_ns) for stage, one in merged.stages.items()}
        text = "Latency of each stage."
        return histograms("tickgate_stage_latency_seconds", text, "stage", rows)

    def _controllers(self, each: Mapping[str, Statistics]) -> Iterator[Metric]:
        children = self._subject.supervision().children
        workers = [child.name for child in children if child.role == "worker"]
        here = [name for name in workers if name in each]
        return control_metrics.controllers(each, here, time.monotonic_ns())

    def _feeds(self, merged: Statistics) -> Iterator[Metric]:
        names = feed_names(self._subject)
        up, last_ns = merged.counters["feed_up"], merged.counters["feed_last_ns"]
        rows = [((name,), value) for name, value in zip(names, up, strict=False)]
        text = "1 while the feed is connected and does not refuse all that comes."
        yield gauges("tickgate_feed_up", text, ["feed"], rows)
        last = [((name,), ns / 1e9) for name, ns in zip(names, last_ns, strict=False)]
        text = "When the feed's last record came; 0: none yet."
        yield gauges("tickgate_feed_last_record_timestamp_seconds", text, ["feed"], last)
        for metric, (array, text) in _BY_FEED.items():
            yield outcomes(f"tickgate_{metric}", text, "feed", names, merged.counters[array])
        refused = [
            ((name, reason), merged.counters["feed_refused"][index * REFUSALS_ROOM + place])
            for index, name in enumerate(names)
            for place, reason in enumerate(REFUSALS)
        ]
        text = "Input that was refused."
        yield counters("tickgate_feed_refused", text, ["feed", "reason"], refused)
        counts = merged.counters["instrument_health"]
        health = [((state,), count) for state, count in zip(HEALTH_STATES, counts, strict=True)]
        text = "Instruments by their health, as the channel of that name tells it."
        yield gauges("tickgate_instrument_health", text, ["state"], health)

    def _topics(self, merged: Statistics) -> Iterator[Metric]:
        states = {"live": "topics_live", "waiting": "topics_waiting", "retired": "topics_retired"}
        rows = [((state,), merged.total(array)) for state, array in states.items()]
        text = "Topics of feeds, names that clients wait for, and topics that have ended."
        yield gauges("tickgate_topics", text, ["state"], rows)
        text = "Topics that feeds may have, live and retired ones (ring.topics_max)."
        yield gauge("tickgate_topics_max", text, self._subject.config.ring.topics_max)

    def _recordings(self) -> Metric:
        recorder = self._subject.recorder()
        rows = [((name,), recorder.get(name, 0)) for name in RECORDINGS]
        text = "Flight recordings: written at a breach, failed, left out as too soon, streamed."
        return counters("tickgate_recordings", text, ["result"], rows)

    def _processes(self) -> Iterator[Metric]:
        supervision = self._subject.supervision()
        yield gauge("tickgate_ready", "1 while ready.", int(not supervision.problems))
        totals: dict[tuple[str, str], int] = {}
        for child in supervision.children:
            for reason in ("exit", "signal", "hang", "start"):
                key = (child.role, reason)
                totals[key] = totals.get(key, 0) + child.restarts.get(reason, 0)
        text = "Processes started again."
        yield counters("tickgate_child_restarts", text, ["role", "reason"], totals.items())


def _candles(merged: Statistics) -> Iterator[Metric]:
    text = "Candles that were told again after their end, for a late trade or a gap."
    yield counter("tickgate_candles_revised", text, merged.total("candles_revised"))
    text = "Trades that no candle counts, and candles that were not told, by reason."
    counts = merged.counters["candle_trades"]
    yield outcomes("tickgate_candle_exceptions", text, "reason", CANDLES, counts)


def _channels(merged: Statistics, channels: Mapping[str, int]) -> Iterator[Metric]:
    for metric, (array, text) in _BY_CHANNEL.items():
        rows = [((channel,), merged.counters[array][index]) for channel, index in channels.items()]
        yield counters(f"tickgate_{metric}", text, ["channel"], rows)
    drops = [
        ((channel, reason), merged.counters[f"dropped_{reason}"][index])
        for channel, index in channels.items()
        for reason in _DROPS
    ]
    text = "Updates that never reached a client."
    yield counters("tickgate_dropped", text, ["channel", "reason"], drops)


def _simple(merged: Statistics) -> Iterator[Metric]:
    for metric, (array, text) in _TOTALS.items():
        yield counter(f"tickgate_{metric}", text, merged.total(array))
    for metric, (array, text) in _GAUGES.items():
        yield gauge(f"tickgate_{metric}", text, merged.total(array))


def _tenants(merged: Statistics, names: Sequence[str]) -> Iterator[Metric]:
    for metric, (array, text) in _BY_TENANT.items():
        rows = [((name,), merged.counters[array][place]) for place, name in enumerate(names)]
        family = gauges if metric == "tenant_clients" else counters
        yield family(f"tickgate_{metric}", text, ["tenant"], rows)


def _by_outcome(merged: Statistics) -> Iterator[Metric]:
    for array, (label, names) in OUTCOMES.items():
        text = _OUTCOME_TEXTS[array]
        yield outcomes(f"tickgate_{array}", text, label, names, merged.counters[array])
    refused = merged.counters["subscribe_rejected"][REJECTIONS.index("forbidden")]
    text = "Names that were refused, since they are not granted."
    yield counter("tickgate_forbidden", text, merged.total("forbidden") + refused)
    auths = zip(AUTHS, merged.counters["auth"], strict=False)
    text = "Attempts to say who one is, by how they ended."
    yield counters("tickgate_auth", text, ["method", "result"], auths)
    requests = zip(REQUESTS, merged.counters["requests"], strict=False)
    text = "Requests by how they ended."
    yield counters("tickgate_requests", text, ["method", "result"], requests)
    resumed = merged.counters["steps_resumed"]
    text = "Times that a step of a data plane left work for its next turn."
    yield outcomes("tickgate_step_budget_exceeded", text, "step", STEPS, resumed)
    left_out = merged.counters["notices_left_out"]
    text = "Notices that found no room in a client's control queue."
    yield outcomes("tickgate_notices_left_out", text, "reason", NOTICES, left_out)
    # A client is blocked from a short write until its socket takes more; conflated topics then wait
    # as marks. What makes a consumer too slow closes it.
    slow = [merged.total("sends_short"), merged.counters["closes"][CLOSE_CODES.index(4008)]]
    text = "Times that a client's socket took no more, and closes for that."
    yield outcomes("tickgate_slow_consumer", text, "action", ["blocked", "closed"], slow)


def _loops(each: Mapping[str, Statistics]) -> Iterator[Metric]:
    def most(name: str) -> int:
        return max(one.counters[name][0] for one in each.values())

    yield gauge(
        "tickgate_ring_lag_records", "Records that a worker is behind.", most("ring_lag_records")
    )
    yield gauge(
        "tickgate_loop_lag_seconds",
        "Longest pause of any process's event loop in the last seconds.",
        most("loop_lag_ns") / 1e9,
    )
    longest = [((name,), one.counters["loop_lag_max_ns"][0] / 1e9) for name, one in each.items()]
    text = "Longest pause so far."
    yield gauges("tickgate_process_loop_lag_max_seconds", text, ["process"], longest)
