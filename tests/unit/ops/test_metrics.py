from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway._native import CHANNELS
from gateway.model.outcomes import HANDSHAKES
from gateway.ops.metrics import Metrics
from gateway.ops.objective import Watch
from gateway.session.codes import CLOSE_CODES

PROTOCOL = """
tickgate_stage_latency_seconds{stage}
tickgate_connections tickgate_subscriptions tickgate_published_total{channel}
tickgate_routed_total{channel} tickgate_deliveries_total{channel}
tickgate_conflated_total{channel} tickgate_filtered_total{channel}
tickgate_dropped_total{channel,reason} tickgate_pending tickgate_snapshots_total{channel}
tickgate_sends_total tickgate_sent_bytes_total tickgate_handshakes_total{result}
tickgate_closes_total{code} tickgate_ring_lag_records tickgate_ring_lapped_total
tickgate_feed_up{feed} tickgate_feed_gaps_total{feed} tickgate_feed_decode_errors_total{feed}
tickgate_slo_state tickgate_slo_action tickgate_loop_lag_seconds tickgate_build_info
"""


def scrape(site: Any) -> dict[str, dict[tuple[str, ...], float]]:
    """Sample name -> label values -> value, through the reference parser."""
    return samples_of(Metrics(site.subject, Watch(site.subject)))


def samples_of(metrics: Metrics) -> dict[str, dict[tuple[str, ...], float]]:
    text = metrics.render().decode()
    samples: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            samples.setdefault(sample.name, {})[labels] = sample.value
    return samples


def test_every_name_of_the_protocol_is_there_from_the_start(site: Any) -> None:
    text = Metrics(site.subject, Watch(site.subject)).render().decode()
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    for entry in PROTOCOL.split():
        name, _, wanted = entry.rstrip("}").partition("{")
        if name == "tickgate_stage_latency_seconds":
            assert labels[f"{name}_bucket"] == {"stage", "le"}
        elif name == "tickgate_build_info":
            assert labels[name] == {"version"}
        else:
            assert labels[name] == {label for label in wanted.split(",") if label}, name


def test_a_bucket_edge_is_exactly_the_target(site: Any) -> None:
    page = site.pages["worker-0"]
    page.record("total", 1_400_000, 3)
    page.record("total", 1_600_000, 2)
    buckets = scrape(site)["tickgate_stage_latency_seconds_bucket"]
    assert buckets["0.0015", "total"] == 3
    assert buckets["0.001", "total"] == 0
    assert buckets["0.002", "total"] == 5
    assert buckets["+Inf", "total"] == 5


def test_workers_are_merged_by_adding_counts(site: Any) -> None:
    site.pages["worker-0"].record("total", 1_000, 99)
    site.pages["worker-1"].record("total", 2_000_000, 1)
    samples = scrape(site)
    assert samples["tickgate_stage_latency_seconds_count"]["total",] == 100
    total_s = samples["tickgate_stage_latency_seconds_sum"]["total",]
    assert total_s == pytest.approx((99 * 1_000 + 2_000_000) / 1e9)


def test_counters_of_all_processes_add_up_under_their_labels(site: Any) -> None:
    for n, name in enumerate(("worker-0", "worker-1"), start=1):
        page = site.pages[name]
        page.add("routed", CHANNELS["trade"], 10 * n)
        page.add("delivered", CHANNELS["bbo"], n)
        page.add("dropped_slow", CHANNELS["trade"], n)
        page.add("handshakes", HANDSHAKES.index("origin"), n)
        page.add("closes", CLOSE_CODES.index(4008), n)
        page.set("connections", 0, 5)
        page.set("ring_lag_records", 0, 7 * n)
    samples = scrape(site)
    assert samples["tickgate_routed_total"] == {("trade",): 30, ("bbo",): 0}
    assert samples["tickgate_deliveries_total"]["bbo",] == 3
    assert samples["tickgate_dropped_total"]["trade", "slow"] == 3
    assert samples["tickgate_handshakes_total"]["origin",] == 3
    assert samples["tickgate_closes_total"]["4008",] == 3
    assert samples["tickgate_connections"][()] == 10
    assert samples["tickgate_ring_lag_records"][()] == 14  # the worst worker's, not a sum


def test_feeds_go_by_their_own_names_once_they_have_reported(site: Any) -> None:
    site.pages["worker-0"].set("feed_up", 1, 1)
    assert scrape(site)["tickgate_feed_up"] == {("synthetic:0",): 0, ("udp:1",): 1}
    names = [{"name": "synthetic:SIM"}, {"name": "udp:9700"}]
    site.supervision.children[0].status["feeds"] = names
    assert scrape(site)["tickgate_feed_up"] == {("synthetic:SIM",): 0, ("udp:9700",): 1}


def test_f50_restarts_are_counted_by_reason(site: Any) -> None:
    site.supervision.children[0].restarts["hang"] = 2
    restarts = scrape(site)["tickgate_child_restarts_total"]
    assert restarts["hang", "worker"] == 2
    assert restarts["signal", "worker"] == 0


def test_f62_the_longest_pause_of_any_loop_is_shown(site: Any) -> None:
    site.pages["supervisor"].set("loop_lag_ns", 0, 1_000_000)
    site.pages["worker-1"].set("loop_lag_ns", 0, 50_000_000)
    assert scrape(site)["tickgate_loop_lag_seconds"][()] == 0.05


def test_the_objective_is_the_watch_s(site: Any) -> None:
    watch = Watch(site.subject)
    metrics = Metrics(site.subject, watch)
    watch.sample(0.0)
    assert b"tickgate_slo_state 0.0" in metrics.render()
    site.pages["worker-0"].record("total", 9_000_000, 100)
    site.pages["worker-1"].record("total", 1_000_000, 1900)
    assert b"tickgate_slo_state 0.0" in metrics.render(), "nobody has looked yet"
    watch.sample(1.0)
    samples = samples_of(metrics)
    assert samples["tickgate_slo_state"][()] == 2
    assert samples["tickgate_slo_events_total"] == {("good",): 1900, ("bad",): 100}
    assert samples["tickgate_slo_window_bad"][()] == 100
    assert samples["tickgate_slo_budget_remaining"][()] == pytest.approx(-4)
    assert samples["tickgate_slo_burn_rate"]["5m",] == pytest.approx(5)
    assert samples["tickgate_slo_burning"] == {
        ("14.4", "1h/5m"): 0,
        ("6", "6h/30m"): 0,
        ("1", "3d/6h"): 1,
    }
    assert samples["tickgate_slo_transitions_total"]["breached",] == 1
    assert samples["tickgate_slo_reached_seconds"][()] == pytest.approx(0.009, rel=0.001)
