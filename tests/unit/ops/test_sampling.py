from typing import Any

import pytest
from support.reports import stall, step, worker

from gateway.model.status import Status
from gateway.ops.objective import Watch
from gateway.ops.past import Past, point_document
from gateway.ops.sampling import STALLS_MAX, TRANSITIONS_MAX, Events, Sampling
from gateway.session.messages import HistoryParams

SECOND_NS = 10**9


class Seconds:
    """Looks at the site, one second after the other."""

    def __init__(self, site: Any) -> None:
        self.watch = Watch(site.subject)
        self.sampling = Sampling(site.subject, self.watch)
        self.now_s = 0

    def look(self) -> None:
        self.now_s += 1
        assert self.watch.sample(float(self.now_s))
        self.sampling.take(float(self.now_s), self.now_s * SECOND_NS)


@pytest.fixture
def seconds(site: Any) -> Seconds:
    one = Seconds(site)
    one.look()
    return one


def test_the_first_look_is_of_no_interval(seconds: Seconds) -> None:
    assert seconds.sampling.history.last is None
    assert seconds.sampling.rate("delivered") == 0


def test_a_point_is_what_happened_since_the_last_look(seconds: Seconds, site: Any) -> None:
    for name, ns in (("worker-0", 500_000), ("worker-1", 9_000_000)):
        page = site.pages[name]
        page.record("total_0", ns, 1000)
        page.record("total_2", 2_000_000, 10)
        page.add("delivered", 1, 1010)
        page.add("conflated", 2, 5)
        page.add("dropped_slow", 2, 3)
        page.add("dropped_closed", 2, 100)
        page.add("class_conflated", 2, 5)
        page.add("class_dropped", 2, 3)
        page.set("connections", 0, 4)
    site.pages["worker-0"].set("ladder_step", 0, 3)
    site.pages["supervisor"].add("published", 1, 7)
    seconds.look()
    last = seconds.sampling.history.last
    assert last is not None
    document = point_document(last)
    assert (document["ts"], document["span_s"]) == (2 * SECOND_NS, 1.0)
    assert (document["published"], document["delivered"]) == (7, 2020)
    assert (document["conflated"], document["dropped"]) == (10, 6)
    assert (document["connections"], document["step"], document["state"]) == (8, 3, "breached")
    assert document["count"] == sum(n for _, n in document["heat"]) == 2020
    assert document["p50_us"] == pytest.approx(2000, rel=0.001)
    assert document["p99_us"] == document["max_us"] == pytest.approx(9000, rel=0.001)
    zero, _, two, three = document["classes"]
    assert (zero["count"], zero["p99_us"]) == (2000, document["p99_us"])
    assert (two["count"], two["conflated"], two["dropped"]) == (20, 10, 6)
    assert three == {"count": 0, "p99_us": None, "conflated": 0, "dropped": 0}
    seconds.look()
    nothing = seconds.sampling.history.last
    assert nothing is not None
    assert point_document(nothing)["p50_us"] is None
    assert point_document(nothing)["delivered"] == 0


def test_a_far_percentile_needs_a_thousand(seconds: Seconds, site: Any) -> None:
    for count, known in ((999, False), (1000, True)):
        site.pages["worker-0"].record("total_1", 1_000_000, count)
        seconds.look()
        last = seconds.sampling.history.last
        assert last is not None
        assert (point_document(last)["p999_us"] is not None) is known


def test_rates_are_over_the_last_second_and_never_negative(seconds: Seconds, site: Any) -> None:
    page = site.pages["worker-0"]
    page.add("delivered", 1, 30)
    seconds.look()
    assert seconds.sampling.rate("delivered", 1) == 30
    assert seconds.sampling.rate("delivered", 2) == 0
    page.set("delivered", 1, 0)  # as where a page begins anew
    seconds.look()
    assert seconds.sampling.rate("delivered", 1) == 0


def test_history_of_what_was_looked_at(seconds: Seconds, site: Any) -> None:
    for n in range(20):
        site.pages["worker-0"].record("total_0", 1_000_000 * (n + 1), 100)
        site.pages["worker-0"].add("delivered", 1, 100)
        seconds.look()
    history = seconds.sampling.history
    past = Past.of(history, HistoryParams(points=4), seconds.now_s * SECOND_NS).document()
    assert len(past["points"]) <= 4
    assert sum(point["delivered"] for point in past["points"]) == 2000
    whole = past["merged"]
    assert whole["count"] == 2000
    assert whole["p50_us"] == pytest.approx(10_000, rel=0.001)
    assert whole["max_us"] == pytest.approx(20_000, rel=0.001)
    assert [percentile for percentile, _ in whole["percentiles"]][-1] == 100
    assert whole["percentiles"][-1][1] == whole["max_us"]
    assert "Total count    =         2000" in whole["hgrm"]
    half = Past.of(history, HistoryParams(from_=11 * SECOND_NS), 21 * SECOND_NS).document()
    assert (half["merged"]["count"], half["resolution_s"], len(half["points"])) == (1000, 1, 10)
    none = Past.of(history, HistoryParams(from_=1, to=2), 21 * SECOND_NS).document()
    assert (none["points"], none["merged"]["count"]) == ([], 0)
    assert (none["merged"]["p99_us"], none["merged"]["percentiles"]) == (None, [])


def test_what_children_report_is_kept_once_and_beyond_their_death(
    seconds: Seconds, site: Any
) -> None:
    child = site.supervision.children[0]
    steps = [step(n, n, n - 1) for n in (1, 2)]
    child.status = worker(ladder=tuple(steps), stalls=(stall(4, "gc", 9),))
    seconds.look()
    child.status = worker(ladder=(*steps, step(3, 1, 2, "calm")))
    seconds.look()
    child.status = Status()
    seconds.look()
    told = [each for each in seconds.sampling.transitions() if each["kind"] == "ladder"]
    assert [(each["ts"], each["worker"]) for each in told] == [(n, "worker-0") for n in (1, 2, 3)]
    assert seconds.sampling.stalls() == [
        {"ts": 4, "process": "worker-0", "kind": "gc", "ms": 9, "words": "x"}
    ]


def test_transitions_of_states_stand_among_the_ladder_s(seconds: Seconds, site: Any) -> None:
    site.pages["worker-0"].record("total_0", 9_000_000, 2000)
    seconds.look()
    kinds = {each["kind"] for each in seconds.sampling.transitions()}
    assert kinds == {"state"}


@pytest.mark.parametrize("limit", [TRANSITIONS_MAX, STALLS_MAX])
def test_events_are_bounded(limit: int) -> None:
    events = Events("worker", limit)
    events.take("a", [{"ts": n} for n in range(1, 300)])
    events.take("b", [{"ts": 10_000}])
    assert len(events.newest()) == limit
    assert events.newest()[-1] == {"ts": 10_000, "worker": "b"}
