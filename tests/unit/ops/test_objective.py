"""The watch: one look a second, told to workers that ask, and the same numbers for all who read."""

import json
from typing import Any

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from gateway._native import CHANNELS, HDR_COUNTS
from gateway.latency.histogram import Histogram
from gateway.latency.slo import Objective, Report
from gateway.latency.window import Sample
from gateway.model.outcomes import HANDSHAKES
from gateway.ops import objective
from gateway.ops.objective import Look, Watch, message, summary
from gateway.ops.reading import Reader
from gateway.ops.status import Status


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(level, state) of each transition's line."""
    lines: list[tuple[str, str]] = []

    class Log:
        def __getattr__(self, level: str) -> Any:
            return lambda event, **words: lines.append((level, words["state"]))

    monkeypatch.setattr(objective, "_log", Log())
    return lines


def data_of(text: str) -> Any:
    body = json.loads(text)
    assert (body["channel"], body["type"]) == ("slo", "update")
    (data,) = body["data"]
    return data


def test_workers_are_told_while_they_have_subscribers(site: Any) -> None:
    watch = Watch(site.subject)
    worker = site.supervision.children[0]
    watch.sample(0.0)
    assert site.told == []
    worker.status = {"slo_subscribers": 2}
    watch.sample(1.0)
    worker.status = {"slo_subscribers": 0}
    watch.sample(2.0)
    ((name, body),) = site.told
    assert name == "worker-0"
    assert body["type"] == "slo"
    assert data_of(body["text"])["state"] == "ok"


def test_one_look_a_second_however_often_it_is_called(site: Any) -> None:
    site.supervision.children[0].status = {"slo_subscribers": 1}
    watch = Watch(site.subject)
    for quarter in range(17):
        watch.sample(quarter * 0.251)
    assert len(site.told) == 5


def test_each_transition_is_one_line(site: Any, logged: list[tuple[str, str]]) -> None:
    watch = Watch(site.subject)
    watch.sample(0.0)
    site.pages["worker-0"].record("total", 9_000_000, 2000)
    for second in range(1, 100):
        watch.sample(float(second))
    assert logged == [("warning", "breached"), ("info", "ok")]


def test_status_and_message_say_the_same(site: Any) -> None:
    watch = Watch(site.subject)
    site.supervision.children[0].status = {"slo_subscribers": 1}
    watch.sample(0.0)
    page = site.pages["worker-0"]
    page.record("total", 1_000_000, 3000)
    page.add("conflated", CHANNELS["bbo"], 7)
    page.add("dropped_slow", CHANNELS["trade"], 2)
    page.add("dropped_lapped", CHANNELS["bbo"], 3)
    page.add("dropped_epoch", CHANNELS["bbo"], 4)
    page.add("dropped_unsubscribed", CHANNELS["trade"], 50)
    page.add("dropped_closed", CHANNELS["trade"], 50)
    page.add("handshakes", HANDSHAKES.index("shed"), 5)
    watch.sample(1.0)
    told = data_of(site.told[-1][1]["text"])
    hdr = HdrHistogram.decode(told.pop("hdr"))
    assert hdr.get_total_count() == 3000
    assert hdr.get_value_at_percentile(99) / 1000 == told["p99_us"]
    document = Status(site.subject, watch, Reader(site.subject)).document()
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
