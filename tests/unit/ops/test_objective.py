"""The watch: one look a second, told to workers that ask, and the same numbers for all who read."""

import json
import time
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
from support.reports import followed

from gateway._native import CHANNELS, HDR_COUNTS, PAUSED
from gateway.latency.histogram import Histogram
from gateway.latency.slo import Objective, Report
from gateway.latency.stalls import KINDS
from gateway.latency.window import Sample
from gateway.model.outcomes import HANDSHAKES
from gateway.ops import objective
from gateway.ops.objective import Look, Watch, message, summary
from gateway.ops.reading import Reader
from gateway.ops.sampling import Sampling
from gateway.ops.status import Status


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(level, state) of each transition's line; a class's state is said with its number."""
    lines: list[tuple[str, str]] = []

    class Log:
        def __getattr__(self, level: str) -> Any:
            return lambda event, **words: lines.append(
                (level, f"{words.get('class', '')}{words['state']}")
            )

    monkeypatch.setattr(objective, "_log", Log())
    return lines


def data_of(text: str) -> Any:
    body = json.loads(text)
    assert (body["channel"], body["type"]) == ("slo", "update")
    (data,) = body["data"]
    return data


def status_of(site: Any, watch: Watch) -> dict[str, Any]:
    """/statusz."""
    document = Status(site.subject, watch, Sampling(site.subject, watch)).document
    return document(Reader(site.subject).read())


def test_workers_are_told_while_they_have_subscribers(site: Any) -> None:
    watch = Watch(site.subject)
    worker = site.supervision.children[0]
    watch.sample(0.0)
    assert site.told == []
    worker.status = followed("slo", 2)
    watch.sample(1.0)
    worker.status = followed("slo", 0)
    watch.sample(2.0)
    ((name, channel, text),) = site.told
    assert (name, channel) == ("worker-0", "slo")
    assert data_of(text)["state"] == "ok"


def test_one_look_a_second_however_often_it_is_called(site: Any) -> None:
    site.supervision.children[0].status = followed("slo")
    watch = Watch(site.subject)
    for quarter in range(17):
        watch.sample(quarter * 0.251)
    assert len(site.told) == 5


def test_each_transition_is_one_line(site: Any, logged: list[tuple[str, str]]) -> None:
    watch = Watch(site.subject)
    watch.sample(0.0)
    site.pages["worker-0"].record("total_1", 9_000_000, 2000)
    for second in range(1, 100):
        watch.sample(float(second))
    assert logged == [
        ("warning", "breached"),
        ("warning", "1breached"),
        ("info", "ok"),
        ("info", "1ok"),
    ]


def test_the_last_transitions_are_kept_with_their_reasons(site: Any) -> None:
    watch = Watch(site.subject)
    watch.sample(0.0)
    site.pages["worker-0"].record("total_0", 400_000, 4000)
    site.pages["worker-1"].record("total_2", 900_000_000, 2000)
    site.pages["worker-1"].record("total_1", 9_000_000, 100)
    watch.sample(1.0)
    now_ns = time.time_ns()
    entries = [*watch.transitions]
    assert [entry.pop("class") for entry in entries] == [None, 1, 2]
    for entry in entries:
        assert 0 <= now_ns - entry.pop("ts") < 60e9
        assert (entry["worker"], entry["kind"]) == ("gateway", "state")
        assert (entry["was"], entry["step"]) == (0, 2)
    assert [entry["reason"] for entry in entries] == [
        "p99 9,003 of 1,500 us, 100 of 4,100 late or lost",
        "class 1: p99 9,003 of 1,500 us, 100 of 100 late or lost",
        "class 2: p99 900,202 of 500,000 us, 2,000 of 2,000 late or lost",
    ]
    site.pages["worker-0"].add("class_dropped", 3, 50)
    watch.sample(2.0)
    assert watch.transitions[-1]["reason"] == "class 3: 50 lost, nothing delivered"
    for second in range(3, 100):
        watch.sample(float(second))
    assert watch.transitions[-1]["reason"] == "class 3: nothing delivered"


def test_a_promise_that_a_stall_broke_says_so(site: Any) -> None:
    watch = Watch(site.subject)
    watch.sample(0.0)
    page = site.pages["worker-0"]
    page.record("total_0", 300_000_000, 2000)
    page.add("stalls", KINDS.index("process"))
    page.add("stall_ns", KINDS.index("process"), 300_000_000)
    for second in range(1, 100):
        watch.sample(float(second))
    headline = [entry for entry in watch.transitions if entry["class"] is None]
    worse, better = (entry["reason"] for entry in headline)
    assert worse.startswith("p99 300,")
    assert worse.endswith("; held up: worker-0: process 300 ms")
    assert "held up" not in better


def test_transitions_are_bounded(site: Any) -> None:
    watch = Watch(site.subject)
    for second in range(0, 3000, 2):
        if second % 90 == 4:
            site.pages["worker-0"].record("total_0", 9_000_000, 2000)
        watch.sample(float(second))
    assert len(watch.transitions) == objective.TRANSITIONS_MAX
    stamps = [entry["ts"] for entry in watch.transitions]
    assert stamps == sorted(stamps)


def test_what_screens_wait_for_is_no_breach_of_the_promise(site: Any) -> None:
    """The controller slows class 2 and pauses class 3 for the sake of the others."""
    watch = Watch(site.subject)
    watch.sample(0.0)
    page = site.pages["worker-0"]
    page.record("total_0", 300_000, 700)
    page.record("total_1", 700_000, 700)
    page.record("total_2", 250_000_000, 9000)
    page.record("total_3", 5_000_000_000, 9000)
    page.add("class_conflated", 2, 70_000)
    page.add("class_conflated", 1, 3)
    page.add("class_dropped", 2, 5000)
    page.add("class_dropped", 0, 2)
    page.add("handshakes", HANDSHAKES.index("shed"), 4)
    watch.sample(1.0)
    told = summary(watch.look)
    assert (told["state"], told["count"], told["conflated"]) == ("ok", 1400, 3)
    assert (told["dropped"], told["bad"]) == (2, 6)
    assert told["p99_us"] == pytest.approx(700, rel=0.001)
    classes = told["classes"]
    assert [each["class"] for each in classes] == [0, 1, 2, 3]
    assert [each["target_us"] for each in classes] == [1500, 1500, 500_000, None]
    assert [each["count"] for each in classes] == [700, 700, 9000, 9000]
    assert [each["bad"] for each in classes] == [2, 0, 5000, 0]
    assert [each["state"] for each in classes] == ["ok", "ok", "breached", "ok"]
    assert [each["conflated"] for each in classes] == [0, 3, 70_000, 0]
    assert [each["p999_us"] is None for each in classes] == [True, True, False, False]
    assert classes[2]["max_us"] == pytest.approx(250_000, rel=0.001)
    assert classes[2]["budget_remaining"] < 0 < classes[0]["budget_remaining"] < 1


def controlled(site: Any, **arrays: Any) -> None:
    """Sets arrays of the first worker's page; (index, value) for those that have several."""
    for name, value in arrays.items():
        index, value = value if isinstance(value, tuple) else (0, value)
        site.pages["worker-0"].set(name, index, value)


def test_the_controller_s_work_is_told_in_a_word(site: Any) -> None:
    site.supervision.children.append(type(site.supervision.children[0])(name="worker-1"))
    watch = Watch(site.subject)
    seen = []
    for second, arrays in enumerate(
        (
            {},
            {"ladder_step": 1, "conflation_interval_ns": (3, PAUSED)},
            {"ladder_step": 3, "conflation_interval_ns": (2, 12_500_000)},
        )
    ):
        controlled(site, **arrays)
        site.pages["worker-1"].set("ladder_step", 0, 2 if second else 0)
        watch.sample(float(second))
        told = summary(watch.look)
        seen.append((told["action"], told["step"], told["intervals_ms"]))
    assert seen == [
        ("none", 0, [0, 0, 0, 0]),
        ("pause", 2, [0, 0, 0, None]),
        ("conflate", 3, [0, 0, 12.5, None]),
    ]


def test_a_fan_out_longer_than_the_target_is_infeasible(site: Any) -> None:
    watch = Watch(site.subject)
    controlled(site, fan_out_ns=1_500_000)
    watch.sample(0.0)
    assert summary(watch.look)["state"] == "ok", "as long as the target is within it"
    controlled(site, fan_out_ns=1_600_000)
    watch.sample(1.0)
    told = summary(watch.look)
    assert told["state"] == "infeasible"
    assert [each["state"] for each in told["classes"]] == ["infeasible", "infeasible", "ok", "ok"]
    assert watch.transitions[0]["reason"] == "the largest fan-out takes 1,600 of 1,500 us"
    controlled(site, fan_out_ns=0)
    for second in range(2, 10):
        watch.sample(float(second))
    assert summary(watch.look)["state"] == "ok"


def test_who_is_no_worker_has_no_controller(site: Any) -> None:
    site.supervision.children[0].role = "feed"
    controlled(site, fan_out_ns=10**12, ladder_step=9)
    watch = Watch(site.subject)
    watch.sample(0.0)
    assert (summary(watch.look)["state"], summary(watch.look)["step"]) == ("ok", 0)


def test_status_and_message_say_the_same(site: Any) -> None:
    watch = Watch(site.subject)
    site.supervision.children[0].status = followed("slo")
    watch.sample(0.0)
    page = site.pages["worker-0"]
    page.record("total", 1_000_000, 3000)
    page.add("class_conflated", 1, 7)
    page.add("class_dropped", 0, 2)
    page.add("class_dropped", 1, 7)
    page.add("dropped_unsubscribed", CHANNELS["trade"], 50)
    page.add("dropped_closed", CHANNELS["trade"], 50)
    page.add("handshakes", HANDSHAKES.index("shed"), 5)
    watch.sample(1.0)
    told = data_of(site.told[-1][2])
    hdr = HdrHistogram.decode(told.pop("hdr"))
    assert hdr.get_total_count() == 3000
    assert hdr.get_value_at_percentile(99) / 1000 == told["p99_us"]
    document = status_of(site, watch)
    shown = document["slo"]
    assert told == {name: shown[name] for name in told}
    assert document["window"]["total"]["p99_us"] == told["p99_us"]
    assert document["window"]["total"]["count"] == 3000
    # What the client itself gave up is no loss; the shed handshakes are events, not updates.
    assert (told["count"], told["conflated"], told["dropped"], told["bad"]) == (3000, 7, 9, 14)
    assert (told["target_us"], told["percentile"], told["action"]) == (1500, 99, "none")


def test_when_a_state_began_is_one_moment(site: Any) -> None:
    watch = Watch(site.subject)
    seen = []
    for second in range(4):
        watch.sample(float(second))
        seen.append(summary(watch.look)["since"])
    assert len(set(seen)) == 1
    site.pages["worker-0"].record("total", 9_000_000, 2000)
    watch.sample(4.0)
    assert summary(watch.look)["since"] > seen[0]


def look(histogram: Histogram) -> Look:
    return Look(Report(Objective(), 1.0, sample=Sample(histogram)), 5)


def test_few_samples_have_no_far_percentile() -> None:
    counts = np.zeros(HDR_COUNTS, dtype=np.uint64)
    nothing = summary(look(Histogram.empty()))
    assert [nothing[name] for name in ("p50_us", "p99_us", "p999_us")] == [None] * 3
    for count, known in ((999, False), (1000, True)):
        counts = np.zeros(HDR_COUNTS, dtype=np.uint64)
        counts[100] = count
        told = summary(look(Histogram(counts)))
        assert told["p50_us"] == told["p99_us"] == 0.1
        assert told["p999_us"] == (0.1 if known else None)


def test_the_broadest_histogram_still_fits_a_message() -> None:
    counts = np.random.default_rng(7).integers(1, 2**32, HDR_COUNTS).astype(np.uint64)
    histogram = Histogram(counts)
    text = message(look(histogram), 5)
    assert len(text) < objective.HDR_CHARACTERS_MAX + 1000
    decoded = HdrHistogram.decode(data_of(text)["hdr"])
    assert decoded.get_total_count() == histogram.count
    for percentile in (50, 99):
        assert decoded.get_value_at_percentile(percentile) == pytest.approx(
            histogram.value_at_percentile(percentile), rel=0.1
        )


def test_a_percentile_that_is_no_whole_number_is_told_as_it_is() -> None:
    for percentile, said in ((99, 99), (99.9, 99.9), (50.0, 50)):
        one = Look(Report(Objective(percentile=percentile), 1.0), 5)
        assert repr(summary(one)["percentile"]) == repr(said)


def test_the_status_has_each_worker_s_controller(site: Any) -> None:
    watch = Watch(site.subject)
    controlled(
        site,
        ladder_step=4,
        conflation_interval_ns=(2, 20_000_000),
        plane_busy_ppm=430_000,
        fan_out_ns=1_200_500,
        ring_age_ns=90_000,
        class_links=(1, 7),
        levels=(3, 2),
        ladder_highest=1,
        delivered_per_s=140,
        sweep_ns=640_500,
        sweep_clients=120,
        write_fixed_ns=5200,
        write_each_ps=130_500,
        delivery_cost_ns=4300,
        audience_max=400,
        stalls=(KINDS.index("gc"), 3),
    )
    assert status_of(site, watch)["controller"] == [], "nobody has looked yet"
    site.supervision.children[0].status = followed("slo", 2)
    watch.sample(0.0)
    document = status_of(site, watch)
    assert document["workers"][0]["slo_subscribers"] == 2
    assert document["controller"] == [
        {
            "worker": "worker-0",
            "step": 4,
            "intervals_ms": [0, 0, 20, 0],
            "infeasible": False,
            "overload_s": None,
            "busy": 0.43,
            "highest": True,
            "delivered_per_s": 140,
            "sweep_us": 640.5,
            "sweep_clients": 120,
            "write_fixed_ns": 5200,
            "write_each_ns": 130.5,
            "delivery_cost_ns": 4300,
            "fan_out_us": 1200.5,
            "audience_max": 400,
            "ring_age_us": 90,
            "class_links": [0, 7, 0, 0],
            "levels": [0, 0, 0, 2],
        }
    ]
    assert document["slo"]["action"] == "conflate"
    assert document["counters"]["stalls"] == dict.fromkeys(KINDS, 0) | {"gc": 3}
    assert document["counters"]["class_dropped"] == dict.fromkeys("0123", 0)
    assert "plane_busy_ppm" not in document["counters"], "a sum of shares is none"
