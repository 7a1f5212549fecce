"""The objectives in /metrics, as in /statusz and on the `slo` channel: reports of the last look."""

from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric

from gateway.latency.budget import window_name
from gateway.latency.control import ACTIONS
from gateway.latency.histogram import bucket_edges
from gateway.latency.slo import STATES, Report
from gateway.latency.statistics import Statistics
from gateway.ops.families import counter, counters, enumerated, gauge, gauges, histograms
from gateway.ops.objective import Look


def headline(look: Look) -> Iterator[Metric]:
    """What clients are promised, over classes 0 and 1."""
    report, state = look.report, STATES.index(look.report.state)
    yield gauge("tickgate_slo_state", f"Of the objective: {enumerated(STATES)}.", state)
    text = f"What the latency controllers do to clients: {enumerated(ACTIONS)}."
    yield gauge("tickgate_slo_action", text, ACTIONS.index(look.together.action))
    yield gauge("tickgate_slo_target_seconds", "The objective.", report.objective.target_ns / 1e9)
    for name, text, value in (
        ("state_seconds", "How long the state has lasted.", report.at_s - report.since_s),
        ("window_seconds", "What the state is judged on.", report.window_s),
        ("window_good", "Events of the window within the target.", report.good),
        ("window_bad", "Events of the window beyond the target, or lost.", report.bad),
        ("budget_remaining", "Of an hour's error budget: 1 all of it.", report.budget_remaining),
    ):
        yield gauge(f"tickgate_slo_{name}", text, value)
    reached_us = report.percentile_us(report.objective.percentile)
    text = "The objective's percentile in the window; 0 where nothing was delivered."
    yield gauge("tickgate_slo_reached_seconds", text, (reached_us or 0) / 1e6)
    text = "Budget spent over the window: 1 is allowed."
    burn = [((window_name(span_s),), rate) for span_s, rate in report.burn.items()]
    yield gauges("tickgate_slo_burn_rate", text, ["window"], burn)
    text = "1 while both windows exceed the rate."
    alerts = [((alert.rule.name, f"{alert.rule.rate:g}"), alert.burning) for alert in report.alerts]
    yield gauges("tickgate_slo_burning", text, ["windows", "rate"], alerts)
    text = "Deliveries by the target; lost updates and clients sent away are bad."
    events = [(("good",), report.good_total), (("bad",), report.bad_total)]
    yield counters("tickgate_slo_events", text, ["result"], events)
    text = "Times that a state was entered."
    entered = [((state,), count) for state, count in report.transitions.items()]
    yield counters("tickgate_slo_transitions", text, ["state"], entered)
    yield counter("tickgate_slo_stalls", "Looks that came too late to count.", report.stalls)


def classes(reports: Sequence[Report], merged: Statistics) -> Iterator[Metric]:
    """What each class got, and how that is judged."""
    named = [(str(number), report) for number, report in enumerate(reports)]
    targets = [((n,), r.objective.target_ns / 1e9) for n, r in named if r.objective.target_us]
    text = "The class's objective; absent where only what is lost is bad."
    yield gauges("tickgate_slo_class_target_seconds", text, ["class"], targets)
    states = [((name,), STATES.index(report.state)) for name, report in named]
    text = f"Of the class's objective: {enumerated(STATES)}."
    yield gauges("tickgate_slo_class_state", text, ["class"], states)
    left = [((name,), report.budget_remaining) for name, report in named]
    text = "Of the class's error budget of an hour: 1 all of it."
    yield gauges("tickgate_slo_class_budget_remaining", text, ["class"], left)
    burn = [((n, window_name(span_s)), rate) for n, r in named for span_s, rate in r.burn.items()]
    text = "The class's budget spent over the window: 1 is allowed."
    yield gauges("tickgate_slo_class_burn_rate", text, ["class", "window"], burn)
    good = [((name, "good"), report.good_total) for name, report in named]
    bad = [((name, "bad"), report.bad_total) for name, report in named]
    text = "Deliveries of the class by its target; lost updates are bad."
    yield counters("tickgate_slo_class_events", text, ["class", "result"], [*good, *bad])
    entered = [((n, state), count) for n, r in named for state, count in r.transitions.items()]
    text = "Times that a state of the class was entered."
    yield counters("tickgate_slo_class_transitions", text, ["class", "state"], entered)
    latencies = {
        name: (histogram, bucket_edges(report.objective.target_ns))
        for (name, report), histogram in zip(named, merged.classes, strict=True)
    }
    text = "Stage total of each class, with a bucket edge at its target."
    yield histograms("tickgate_class_latency_seconds", text, "class", latencies)
    delivered = [((name,), histogram.count) for name, (histogram, _) in latencies.items()]
    text = "Deliveries to subscriptions of the class."
    yield counters("tickgate_class_deliveries", text, ["class"], delivered)
