"""Who is let in: the limit, the drain, and what would break the promise for a while."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from gateway._native import StatsPage
from gateway.model.outcomes import ADMISSION, HANDSHAKES
from gateway.server.listener import Listener, reconnect_after_most_ms
from gateway.session import REJECTIONS
from gateway.session.capacity import LASTING_NS, Capacity, Load
from gateway.wire.response import Response

NOW = 100_000_000_000
TARGET_NS = 10_000_000
FULL = Load(
    ladder_highest=1,
    plane_busy_ppm=980_000,
    sweep_ns=12_000_000,
    sweep_clients=700,
    write_fixed_ns=8000,
    write_each_ps=100_000,
    delivered_per_s=700_000,
    links=700,
)
"""Each of its sweeps is longer than the target."""


class Worker:
    """A listener's part of admission on a page that tests write, by a clock that they move."""

    def __init__(self, page: StatsPage, load: Load = FULL) -> None:
        self.page = page
        self.now_ns = NOW
        self.show(load)
        self.listener: Any = SimpleNamespace(
            _draining=False,
            registry={},
            max_connections=2,
            _stats=page,
            now_ns=lambda: self.now_ns,
            full=lambda: Listener.full(self.listener),
            _shed=lambda reason, why: Listener._shed(self.listener, reason, why),
            _count_refused=lambda reason: Listener._count_refused(self.listener, reason),
        )
        self.capacity = Capacity(
            lambda: Listener._load(self.listener), target_ns=TARGET_NS, enforce=True
        )
        self.listener._shared = SimpleNamespace(capacity=self.capacity)

    def show(self, load: Load) -> None:
        """What the plane says of itself from now on."""
        for name in Load.__struct_fields__:
            self.page.set(name, 0, getattr(load, name))

    def admitted(self) -> Response | None:
        """The answer to one more client of at most two."""
        return Listener.admission(self.listener)

    def wait(self, duration_ns: int) -> None:
        """Time passes, with the listener's looks in it."""
        for _ in range(duration_ns // 250_000_000):
            self.now_ns += 250_000_000
            self.capacity.look(self.now_ns)

    def refused(self) -> dict[str, int]:
        """The counters of those who were not taken on."""
        counts = {name: self.page.get("admission_refused", i) for i, name in enumerate(ADMISSION)}
        return {name: count for name, count in counts.items() if count}


def test_there_is_room(page: StatsPage) -> None:
    worker = Worker(page, Load())
    worker.listener.registry = {1: None}
    worker.wait(2 * LASTING_NS)
    assert worker.admitted() is None
    assert worker.refused() == {}


def test_f35_what_lasts_sends_new_clients_away_for_a_while_each(page: StatsPage) -> None:
    worker = Worker(page)
    assert worker.admitted() is None, "a burst"
    worker.wait(LASTING_NS)
    assert worker.admitted() is None, "5 s are no longer than 5 s"
    worker.wait(1_000_000_000)
    after: Counter[str] = Counter()
    for _ in range(100):
        refusal = worker.admitted()
        assert refusal is not None
        assert (refusal.status, refusal.result) == (503, "overload")
        assert refusal.result in HANDSHAKES
        assert "for 6 s the data plane is 98 % busy" in refusal.text
        assert "a sweep over 701 clients takes 12 ms" in refusal.text
        ((name, value),) = refusal.headers
        assert name == "Retry-After"
        after[value] += 1
    assert len(after) > 1
    assert set(after) <= {"1", "2", "3", "4", "5"}
    assert worker.refused() == {"overload": 100}
    worker.show(Load())
    assert worker.admitted() is None, "at once"


def test_subscriptions_are_refused_before_clients_are(page: StatsPage) -> None:
    worker = Worker(page)
    error = worker.capacity.room().take(1)
    assert error is not None
    assert error.code.name == "capacity"
    assert worker.admitted() is None


def test_a_full_and_a_draining_gateway_say_so_first(page: StatsPage) -> None:
    worker = Worker(page)
    worker.wait(LASTING_NS + 1_000_000_000)
    worker.listener.registry = {1: None, 2: None}
    full = worker.admitted()
    worker.listener._draining = True
    draining = worker.admitted()
    assert full is not None
    assert draining is not None
    assert (full.result, draining.result) == ("shed", "shed")
    assert worker.refused() == {"max_connections": 1, "shutdown": 1}


def test_the_load_is_what_the_page_says(page: StatsPage) -> None:
    names = Load.__struct_fields__
    for value, name in enumerate(names, start=1):
        page.set(name, 0, value)
    listener: Any = SimpleNamespace(_stats=page)
    assert Listener._load(listener) == Load(*range(1, len(names) + 1))


def test_refused_subscriptions_are_counted_on_from_an_earlier_process(page: StatsPage) -> None:
    listener: Any = SimpleNamespace(
        _stats=page,
        _shared=SimpleNamespace(requests=[], rejections=[0] * len(REJECTIONS)),
        _requests_before=(),
        _rejections_before=(0, 0, 0, 0, 7, 0),
    )
    listener._shared.rejections[REJECTIONS.index("capacity")] = 3
    Listener._show_counts(listener)
    assert page.get("admission_refused", ADMISSION.index("capacity")) == 10


def test_those_for_whom_there_is_no_room_come_back_at_different_times(page: StatsPage) -> None:
    worker = Worker(page, Load())
    worker.listener.registry = {1: None, 2: None}
    refusals = [worker.admitted() for _ in range(100)]
    assert {one.headers[0][1] for one in refusals if one} == {"3", "4", "5", "6", "7", "8"}


@pytest.mark.parametrize(
    ("clients", "most_ms"),
    [(0, 3000), (1, 3000), (1250, 3000), (5000, 10_500), (1_000_000, 60_500)],
)
def test_more_clients_are_spread_over_a_longer_time(clients: int, most_ms: int) -> None:
    assert reconnect_after_most_ms(clients) == most_ms
