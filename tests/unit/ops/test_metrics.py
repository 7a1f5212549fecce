import math
import time
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.reports import feed

from gateway._native import CHANNELS, PAUSED
from gateway.latency.stalls import KINDS
from gateway.model.outcomes import HANDSHAKES, HEALTH_STATES, REFUSALS, REFUSALS_ROOM, STEPS
from gateway.model.status import Status
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
tickgate_feed_refused_total{feed,reason} tickgate_instrument_health{state}
tickgate_slo_state tickgate_slo_action tickgate_loop_lag_seconds tickgate_build_info
tickgate_conflation_interval_seconds{worker,class} tickgate_ladder_step{worker}
tickgate_ladder_transitions_total{worker,direction} tickgate_client_levels{worker,level}
tickgate_client_level_transitions_total{direction} tickgate_overload_seconds{worker}
tickgate_infeasible{worker} tickgate_ring_age_seconds{worker} tickgate_plane_busy_ratio{worker}
tickgate_delivery_cost_seconds{worker} tickgate_fan_out_seconds{worker}
tickgate_ladder_highest{worker} tickgate_delivered_per_second{worker}
tickgate_sweep_seconds{worker} tickgate_sweep_clients{worker}
tickgate_write_fixed_seconds{worker} tickgate_write_each_seconds{worker}
tickgate_admission_refused_total{reason}
tickgate_plane_stalls_total{worker} tickgate_plane_stall_seconds_total{worker}
tickgate_class_deliveries_total{class} tickgate_class_conflated_total{class}
tickgate_class_dropped_total{class} tickgate_class_links{class}
tickgate_class_latency_seconds_bucket{class,le} tickgate_slo_class_target_seconds{class}
tickgate_slo_class_state{class} tickgate_slo_class_budget_remaining{class}
tickgate_slo_class_burn_rate{class,window} tickgate_slo_class_events_total{class,result}
tickgate_slo_class_transitions_total{class,state}
tickgate_step_budget_exceeded_total{step} tickgate_topics_waiting tickgate_limits_met_total
tickgate_topics{state} tickgate_topics_max tickgate_books_missing tickgate_books_copied_total
tickgate_gc_pauses_total{process,generation} tickgate_gc_pause_seconds_total{process}
tickgate_gc_pause_max_seconds{process} tickgate_stalls_total{process,kind}
tickgate_stall_seconds_total{process,kind} tickgate_run_delay_seconds_total{process}
tickgate_cpu_seconds_total{process}
"""


def scrape(site: Any) -> dict[str, dict[tuple[str, ...], float]]:
    """Sample name -> label values -> value, through the reference parser."""
    return samples_of(Metrics(site.subject, Watch(site.subject), {}))


def samples_of(metrics: Metrics) -> dict[str, dict[tuple[str, ...], float]]:
    text = metrics.render().decode()
    samples: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            samples.setdefault(sample.name, {})[labels] = sample.value
    return samples


def test_every_name_of_the_protocol_is_there_from_the_start(site: Any) -> None:
    text = Metrics(site.subject, Watch(site.subject), {}).render().decode()
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
        page.add("steps_resumed", STEPS.index("lap"), n)
        page.set("topics_waiting", 0, 6 * n)
        page.add("closes", CLOSE_CODES.index(4008), n)
        page.set("connections", 0, 5)
        page.set("ring_lag_records", 0, 7 * n)
    samples = scrape(site)
    assert samples["tickgate_routed_total"] == dict.fromkeys(((c,) for c in CHANNELS), 0) | {
        ("trade",): 30
    }
    assert samples["tickgate_deliveries_total"]["bbo",] == 3
    assert samples["tickgate_dropped_total"]["trade", "slow"] == 3
    assert samples["tickgate_handshakes_total"]["origin",] == 3
    assert samples["tickgate_closes_total"]["4008",] == 3
    assert samples["tickgate_step_budget_exceeded_total"]["lap",] == 3
    assert samples["tickgate_step_budget_exceeded_total"]["jobs",] == 0
    assert samples["tickgate_topics_waiting"][()] == 18
    assert samples["tickgate_connections"][()] == 10
    assert samples["tickgate_ring_lag_records"][()] == 14  # the worst worker's, not a sum


def test_refusals_by_feed_and_reason_and_the_health_of_instruments(site: Any) -> None:
    page = site.pages["worker-0"]
    page.add("feed_refused", REFUSALS.index("limit"), 3)
    page.add("feed_refused", REFUSALS_ROOM + REFUSALS.index("size"), 5)
    page.set("instrument_health", 0, 7)
    page.set("instrument_health", HEALTH_STATES.index("suspect"), 2)
    page.set("topics_live", 0, 4)
    page.set("topics_retired", 0, 3)
    site.pages["worker-1"].set("topics_waiting", 0, 2)
    samples = scrape(site)
    refused = samples["tickgate_feed_refused_total"]
    assert len(refused) == 2 * len(REFUSALS)
    assert {labels: value for labels, value in refused.items() if value} == {
        ("synthetic:0", "limit"): 3,
        ("udp:1", "size"): 5,
    }
    health = {**dict.fromkeys(HEALTH_STATES, 0), "ok": 7, "suspect": 2}
    assert samples["tickgate_instrument_health"] == {(one,): n for one, n in health.items()}
    assert samples["tickgate_topics"] == {("live",): 4, ("retired",): 3, ("waiting",): 2}
    assert samples["tickgate_topics_max"][()] == site.subject.config.ring.topics_max


def test_feeds_go_by_their_own_names_once_they_have_reported(site: Any) -> None:
    site.pages["worker-0"].set("feed_up", 1, 1)
    assert scrape(site)["tickgate_feed_up"] == {("synthetic:0",): 0, ("udp:1",): 1}
    names = feed("synthetic:SIM"), feed("udp:9700")
    site.supervision.children[0].status = Status(feeds=names)
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
    metrics = Metrics(site.subject, watch, {})
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


def test_each_class_has_an_edge_at_its_own_target(site: Any) -> None:
    page = site.pages["worker-0"]
    page.record("total_1", 1_400_000, 3)
    page.record("total_1", 1_600_000, 2)
    page.record("total_2", 400_000_000, 5)
    page.record("total_2", 600_000_000, 1)
    samples = scrape(site)
    buckets = samples["tickgate_class_latency_seconds_bucket"]
    edges = {number: {le for of, le in buckets if of == number} for number in "0123"}
    assert edges["0"] == edges["1"] == edges["2"] | {"0.0015"}
    assert edges["2"] == edges["3"], "half a second is an edge in any case"
    assert (buckets["1", "0.0015"], buckets["1", "+Inf"]) == (3, 5)
    assert (buckets["2", "0.5"], buckets["2", "+Inf"]) == (5, 6)
    assert samples["tickgate_class_latency_seconds_sum"]["2",] == pytest.approx(2.6)
    assert samples["tickgate_class_deliveries_total"] == {
        ("0",): 0,
        ("1",): 5,
        ("2",): 6,
        ("3",): 0,
    }
    # The stage is the sum of its classes.
    assert samples["tickgate_stage_latency_seconds_count"]["total",] == 11


def test_classes_are_counted_over_all_workers(site: Any) -> None:
    for n, name in enumerate(("worker-0", "worker-1"), start=1):
        page = site.pages[name]
        page.add("class_conflated", 2, 10 * n)
        page.add("class_dropped", 1, n)
        page.set("class_links", 3, 100 * n)
        page.add("level_down", 0, 4 * n)
        page.add("level_up", 0, n)
    samples = scrape(site)
    assert samples["tickgate_class_conflated_total"]["2",] == 30
    assert samples["tickgate_class_dropped_total"]["1",] == 3
    assert samples["tickgate_class_links"] == {("0",): 0, ("1",): 0, ("2",): 0, ("3",): 300}
    assert samples["tickgate_client_level_transitions_total"] == {("down",): 12, ("up",): 3}


def test_each_worker_s_controller_is_shown(site: Any) -> None:
    site.supervision.children.append(type(site.supervision.children[0])(name="worker-1"))
    since_ns = time.monotonic_ns() - 4_000_000_000
    page = site.pages["worker-1"]
    for name, value in {
        "ladder_step": 4,
        "overload_since_ns": since_ns,
        "infeasible": 1,
        "ring_age_ns": 90_000,
        "plane_busy_ppm": 430_000,
        "delivery_cost_ns": 4300,
        "fan_out_ns": 1_200_000,
        "ladder_highest": 1,
        "delivered_per_s": 140_000,
        "sweep_ns": 640_000,
        "sweep_clients": 120,
        "write_fixed_ns": 5200,
        "write_each_ps": 130_000,
        "plane_stalls": 2,
        "plane_stall_ns": 300_000_000,
        "ladder_up": 7,
        "ladder_down": 3,
    }.items():
        page.set(name, 0, value)
    page.set("conflation_interval_ns", 2, 20_000_000)
    page.set("conflation_interval_ns", 3, PAUSED)
    page.set("levels", 2, 9)
    samples = scrape(site)
    shown = {
        "ladder_step": 4,
        "infeasible": 1,
        "ring_age_seconds": 0.00009,
        "plane_busy_ratio": 0.43,
        "delivery_cost_seconds": 0.0000043,
        "fan_out_seconds": 0.0012,
        "ladder_highest": 1,
        "delivered_per_second": 140_000,
        "sweep_seconds": 0.00064,
        "sweep_clients": 120,
        "write_fixed_seconds": 0.0000052,
        "write_each_seconds": 0.00000013,
        "plane_stalls_total": 2,
        "plane_stall_seconds_total": 0.3,
    }
    for name, expected in shown.items():
        assert samples[f"tickgate_{name}"] == {("worker-0",): 0, ("worker-1",): expected}, name
    overload_s = samples["tickgate_overload_seconds"]
    assert overload_s["worker-0",] == 0
    assert overload_s["worker-1",] >= 4
    intervals = samples["tickgate_conflation_interval_seconds"]
    assert [intervals[number, "worker-1"] for number in "0123"] == [0, 0, 0.02, math.inf]
    assert [intervals[number, "worker-0"] for number in "0123"] == [0, 0, 0, 0]
    transitions = samples["tickgate_ladder_transitions_total"]
    assert (transitions["up", "worker-1"], transitions["down", "worker-1"]) == (7, 3)
    assert samples["tickgate_client_levels"]["2", "worker-1"] == 9


def test_what_held_a_process_up_is_told_by_its_kind(site: Any) -> None:
    page = site.pages["worker-1"]
    page.add("gc_pauses", 2, 3)
    page.add("gc_pause_ns", 0, 200_000_000)
    page.add("gc_pause_max_ns", 0, 150_000_000)
    page.add("stalls", KINDS.index("theft"), 2)
    page.add("stall_ns", KINDS.index("theft"), 120_000_000)
    page.add("run_delay_ns", 0, 1_500_000_000)
    page.add("cpu_ns", 0, 2_500_000_000)
    samples = scrape(site)
    assert samples["tickgate_gc_pauses_total"]["2", "worker-1"] == 3
    assert samples["tickgate_gc_pause_seconds_total"]["worker-1",] == 0.2
    assert samples["tickgate_gc_pause_max_seconds"]["worker-1",] == 0.15
    stalls = {who for who, count in samples["tickgate_stalls_total"].items() if count}
    assert stalls == {("theft", "worker-1")}
    assert samples["tickgate_stall_seconds_total"]["theft", "worker-1"] == 0.12
    assert samples["tickgate_run_delay_seconds_total"]["worker-1",] == 1.5
    assert samples["tickgate_cpu_seconds_total"]["worker-1",] == 2.5
    assert samples["tickgate_cpu_seconds_total"]["worker-0",] == 0


def test_each_class_s_objective_is_the_watch_s(site: Any) -> None:
    watch = Watch(site.subject)
    watch.sample(0.0)
    site.pages["worker-0"].record("total_0", 100_000, 5000)
    site.pages["worker-0"].record("total_2", 600_000_000, 100)
    site.pages["worker-1"].record("total_2", 100_000, 1900)
    watch.sample(1.0)
    samples = samples_of(Metrics(site.subject, watch, {}))
    assert samples["tickgate_slo_state"][()] == 0
    assert samples["tickgate_slo_class_state"] == {("0",): 0, ("1",): 0, ("2",): 2, ("3",): 0}
    targets = {("0",): 0.0015, ("1",): 0.0015, ("2",): 0.5}
    assert samples["tickgate_slo_class_target_seconds"] == targets, "bulk has none"
    assert samples["tickgate_slo_class_events_total"]["2", "bad"] == 100
    assert samples["tickgate_slo_class_events_total"]["0", "good"] == 5000
    assert samples["tickgate_slo_class_budget_remaining"]["2",] == pytest.approx(-4)
    assert samples["tickgate_slo_class_burn_rate"]["2", "5m"] == pytest.approx(5)
    assert samples["tickgate_slo_class_transitions_total"]["2", "breached"] == 1


def test_the_action_is_the_worst_of_the_workers(site: Any) -> None:
    watch, page = Watch(site.subject), site.pages["worker-0"]
    seen = []
    for second, (number, interval_ns) in enumerate([(0, 0), (3, PAUSED), (2, 5_000_000)]):
        page.set("conflation_interval_ns", number, interval_ns)
        watch.sample(float(second))
        seen.append(samples_of(Metrics(site.subject, watch, {}))["tickgate_slo_action"][()])
    assert seen == [0, 1, 2]
