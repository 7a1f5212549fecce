"""/metrics: one custom collector over all statistics pages. Its names are the protocol's."""

from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from gateway.latency.budget import window_name
from gateway.latency.histogram import Histogram, bucket_edges
from gateway.latency.slo import STATES, Report
from gateway.latency.statistics import Statistics
from gateway.ops.objective import Watch
from gateway.ops.reading import OUTCOMES, Reader, Reading, feed_names
from gateway.ops.subject import Subject
from gateway.session.codes import CLOSE_CODES
from gateway.session.options import REQUESTS

CONTENT_TYPE = CONTENT_TYPE_LATEST

# name in the exposition -> (array in the page, help)
_BY_CHANNEL = {
    "published": ("published", "Records published in the ring."),
    "routed": ("routed", "Records times subscribers, from the attach on."),
    "deliveries": ("delivered", "Frames whose last byte the kernel took."),
    "conflated": ("conflated", "Updates that a newer one of the same topic replaced."),
    "filtered": ("filtered", "Updates withheld by a subscription's own parameters."),
    "snapshots": ("snapshots", "Snapshots sent; not part of routed."),
}
_DROPS = ("lapped", "closed", "unsubscribed", "slow", "epoch")
_TOTALS = {
    "sends": ("sends", "System calls that sent to clients."),
    "sent_bytes": ("sent_bytes", "Bytes that the kernel took."),
    "ring_lapped": ("ring_lapped", "Times that the writer overtook a worker."),
    "ring_torn_reads": ("torn_reads", "Torn last-value slots found and skipped."),
    "heartbeats": ("heartbeats", "Heartbeats sent."),
    "accepted": ("accepted", "Connections accepted."),
    "control_frames": ("control_frames", "Pings and pongs received."),
    "close_timeouts": ("close_timeouts", "Clients that never finished closing."),
    "log_dropped": ("log_dropped", "Log lines lost to a full queue or a failing write."),
}
_GAUGES = {
    "connections": ("connections", "Open client connections."),
    "subscriptions": ("subscriptions", "Names and patterns that clients are subscribed to."),
    "attached_topics": ("links", "Topics attached to connections."),
    "pending": ("pending", "Updates queued for clients."),
    "clients_blocked": ("clients_blocked", "Clients whose socket takes no more for now."),
}
_OUTCOME_TEXTS = {
    "handshakes": "Handshakes by how they ended.",
    "accept_errors": "Accepts that failed.",
    "closes": "Connections by close code.",
    "subscribe_rejected": "Symbols refused.",
}
_BY_FEED = {
    "feed_records": ("feed_records", "Records published by the feed."),
    "feed_gaps": ("feed_gaps", "Holes in the feed's sequence."),
    "feed_lost_messages": ("feed_lost", "Records or datagrams missing in the holes."),
    "feed_duplicates": ("feed_duplicates", "Records that had come before."),
    "feed_decode_errors": ("feed_decode_errors", "Malformed input, skipped."),
    "feed_reconnects": ("feed_reconnects", "Connections made again."),
    "clock_anomalies": ("clock_anomalies", "Records with a venue time in the future."),
}


class Metrics(Collector):
    """Renders the exposition; safe to call on several threads at once."""

    def __init__(self, subject: Subject, watch: Watch) -> None:
        self._subject = subject
        self._watch = watch
        self._reader = Reader(subject)
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
        reading = self._reader.read()
        yield _info(self._subject.version)
        yield self._latency(reading)
        yield from _channels(reading.merged, self._subject.channels)
        yield from _simple(reading.merged)
        yield from _outcomes(reading.merged)
        yield from _loops(reading)
        yield from self._feeds(reading.merged)
        yield from self._processes()
        yield from _objective(self._watch.look.report)

    def _latency(self, reading: Reading) -> Metric:
        family = HistogramMetricFamily(
            "tickgate_stage_latency_seconds", "Latency of each stage.", labels=["stage"]
        )
        edges_ns = bucket_edges(self._subject.config.slo.target_us * 1000)
        for stage, histogram in reading.merged.stages.items():
            family.add_metric([stage], _buckets(histogram, edges_ns), histogram.sum_ns / 1e9)
        return family

    def _feeds(self, merged: Statistics) -> Iterator[Metric]:
        names = feed_names(self._subject)
        up = GaugeMetricFamily("tickgate_feed_up", "1 while the feed is up.", labels=["feed"])
        last = GaugeMetricFamily(
            "tickgate_feed_last_record_timestamp_seconds",
            "When the feed's last record came; 0: none yet.",
            labels=["feed"],
        )
        for index, name in enumerate(names):
            up.add_metric([name], merged.counters["feed_up"][index])
            last.add_metric([name], merged.counters["feed_last_ns"][index] / 1e9)
        yield up
        yield last
        for metric, (array, text) in _BY_FEED.items():
            yield _labelled(f"tickgate_{metric}", text, "feed", names, merged.counters[array])

    def _processes(self) -> Iterator[Metric]:
        supervision = self._subject.supervision()
        yield _gauge("tickgate_ready", "1 while ready.", int(not supervision.problems))
        restarts = CounterMetricFamily(
            "tickgate_child_restarts", "Processes started again.", labels=["role", "reason"]
        )
        totals: dict[tuple[str, str], int] = {}
        for child in supervision.children:
            for reason in ("exit", "signal", "hang", "start"):
                key = (child.role, reason)
                totals[key] = totals.get(key, 0) + child.restarts.get(reason, 0)
        for labels, count in totals.items():
            restarts.add_metric(list(labels), count)
        yield restarts


def _info(version: str) -> Metric:
    family = GaugeMetricFamily("tickgate_build_info", "The version.", labels=["version"])
    family.add_metric([version], 1)
    return family


def _objective(report: Report) -> Iterator[Metric]:
    """The objective, as in /statusz and on the `slo` channel: the report of the last look."""
    state, target_s = STATES.index(report.state), report.objective.target_ns / 1e9
    yield _gauge("tickgate_slo_state", f"Of the objective: {_enumerated(STATES)}.", state)
    yield _gauge("tickgate_slo_action", "Step of the latency controller: 0 none.", 0)
    yield _gauge("tickgate_slo_target_seconds", "The objective.", target_s)
    for name, text, value in (
        ("state_seconds", "How long the state has lasted.", report.at_s - report.since_s),
        ("window_seconds", "What the state is judged on.", report.window_s),
        ("window_good", "Events of the window within the target.", report.good),
        ("window_bad", "Events of the window beyond the target, or lost.", report.bad),
        ("budget_remaining", "Of an hour's error budget: 1 all of it.", report.budget_remaining),
    ):
        yield _gauge(f"tickgate_slo_{name}", text, value)
    reached_us = report.percentile_us(report.objective.percentile)
    text = "The objective's percentile in the window; 0 where nothing was delivered."
    yield _gauge("tickgate_slo_reached_seconds", text, (reached_us or 0) / 1e6)
    burn = GaugeMetricFamily(
        "tickgate_slo_burn_rate", "Budget spent over the window: 1 is allowed.", labels=["window"]
    )
    for span_s, rate in report.burn.items():
        burn.add_metric([window_name(span_s)], rate)
    yield burn
    alerts = GaugeMetricFamily(
        "tickgate_slo_burning", "1 while both windows exceed the rate.", labels=["windows", "rate"]
    )
    for alert in report.alerts:
        alerts.add_metric([alert.rule.name, f"{alert.rule.rate:g}"], int(alert.burning))
    yield alerts
    events = [report.good_total, report.bad_total]
    text = "Deliveries by the target; lost updates and clients sent away are bad."
    yield _labelled("tickgate_slo_events", text, "result", ["good", "bad"], events)
    text = "Times that a state was entered."
    entered = list(report.transitions.values())
    yield _labelled("tickgate_slo_transitions", text, "state", list(report.transitions), entered)
    text = "Looks that came too late to count."
    yield _counter("tickgate_slo_stalls", text, report.stalls)


def _channels(merged: Statistics, channels: Mapping[str, int]) -> Iterator[Metric]:
    for metric, (array, text) in _BY_CHANNEL.items():
        values = merged.counters[array]
        family = CounterMetricFamily(f"tickgate_{metric}", text, labels=["channel"])
        for channel, index in channels.items():
            family.add_metric([channel], values[index])
        yield family
    family = CounterMetricFamily(
        "tickgate_dropped", "Updates that never reached a client.", labels=["channel", "reason"]
    )
    for channel, index in channels.items():
        for reason in _DROPS:
            family.add_metric([channel, reason], merged.counters[f"dropped_{reason}"][index])
    yield family


def _simple(merged: Statistics) -> Iterator[Metric]:
    for metric, (array, text) in _TOTALS.items():
        yield _counter(f"tickgate_{metric}", text, merged.total(array))
    for metric, (array, text) in _GAUGES.items():
        yield _gauge(f"tickgate_{metric}", text, merged.total(array))


def _outcomes(merged: Statistics) -> Iterator[Metric]:
    for array, (label, names) in OUTCOMES.items():
        text = _OUTCOME_TEXTS[array]
        yield _labelled(f"tickgate_{array}", text, label, names, merged.counters[array])
    requests = CounterMetricFamily(
        "tickgate_requests", "Requests by how they ended.", labels=["method", "result"]
    )
    for labels, value in zip(REQUESTS, merged.counters["requests"], strict=False):
        requests.add_metric(list(labels), value)
    yield requests
    # A client is blocked from a short write until its socket takes more; conflated topics then wait
    # as marks. What makes a consumer too slow closes it.
    slow = [merged.total("sends_short"), merged.counters["closes"][CLOSE_CODES.index(4008)]]
    text = "Times that a client's socket took no more, and closes for that."
    yield _labelled("tickgate_slow_consumer", text, "action", ["blocked", "closed"], slow)


def _loops(reading: Reading) -> Iterator[Metric]:
    def most(name: str) -> int:
        return max(one.counters[name][0] for one in reading.each.values())

    yield _gauge(
        "tickgate_ring_lag_records", "Records that a worker is behind.", most("ring_lag_records")
    )
    yield _gauge(
        "tickgate_loop_lag_seconds",
        "Longest pause of any process's event loop in the last seconds.",
        most("loop_lag_ns") / 1e9,
    )
    worst = GaugeMetricFamily(
        "tickgate_process_loop_lag_max_seconds", "Longest pause so far.", labels=["process"]
    )
    for name, one in reading.each.items():
        worst.add_metric([name], one.counters["loop_lag_max_ns"][0] / 1e9)
    yield worst


def _buckets(histogram: Histogram, edges_ns: Sequence[int]) -> list[tuple[str, float]]:
    counts = histogram.cumulative(edges_ns)
    labels = [repr(edge / 1e9) for edge in edges_ns]
    return [*zip(labels, map(float, counts), strict=True), ("+Inf", float(histogram.count))]


def _gauge(name: str, text: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, text)
    family.add_metric([], value)
    return family


def _counter(name: str, text: str, value: float) -> Metric:
    family = CounterMetricFamily(name, text)
    family.add_metric([], value)
    return family


def _labelled(
    name: str, text: str, label: str, names: Sequence[str], values: Sequence[int]
) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for each, value in zip(names, values, strict=False):
        family.add_metric([each], value)
    return family


def _enumerated(names: Sequence[str]) -> str:
    return ", ".join(f"{index} {name}" for index, name in enumerate(names))
