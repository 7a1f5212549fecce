"""Admission: who is refused while a worker has its hands full, and who never is."""

import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.session import REJECTIONS, Capacity, Load, Subscribe, Unsubscribe
from gateway.session.capacity import (
    BUSY_PPM,
    GAP_NS,
    LASTING_NS,
    RETRY_MS,
    forecast,
)

if TYPE_CHECKING:
    from unit.session.conftest import Client, Connect

MS = 1_000_000
SECOND = 1_000_000_000
NOW = 100 * SECOND
TARGET_NS = 10 * MS
FULL = Load(
    ladder_highest=1,
    plane_busy_ppm=BUSY_PPM + 1,
    ring_age_ns=3 * MS,
    sweep_ns=10 * MS,
    sweep_clients=500,
    write_fixed_ns=8000,
    write_each_ps=200_000,
    delivered_per_s=1_000_000,
    links=1000,
)
"""A fifth of the time goes into what writes carry, and a sweep is as long as the target allows."""


def changed(**gauges: int) -> Load:
    fields = {name: getattr(FULL, name) for name in Load.__struct_fields__}
    return Load(**fields | gauges)


ROOMY = changed(sweep_ns=98 * MS // 10)
"""Takes ten more clients, or 160 topics more of one."""


def capacity(load: Load, *, enforce: bool = True) -> Capacity:
    return Capacity(lambda: load, target_ns=TARGET_NS, enforce=enforce)


# --- the forecast ---------------------------------------------------------------------------------


def test_nothing_more_is_as_it_is() -> None:
    now = forecast(FULL, clients=0, topics=0)
    assert (now.clients, now.sweep_ns, now.age_ns) == (500, 10 * MS, 10 * MS)


@pytest.mark.parametrize(
    ("load", "clients", "topics", "sweep_ns"),
    [
        # Clients alone: each is one more write.
        (FULL, 1, 0, 10 * MS * 501 / 500),
        (FULL, 500, 0, 20 * MS),
        # Deliveries alone: of 200 ns each, 1,000 a second for a topic, while the writes take 0.8 s.
        (FULL, 0, 1, 10 * MS * 0.8 / 0.7998),
        (FULL, 0, 1000, 10 * MS * 0.8 / 0.6),
        (FULL, 0, 3000, 10 * MS * 0.8 / 0.2),
        (FULL, 0, 4000, math.inf),  # what is to be carried takes all of the time
        (changed(delivered_per_s=5_000_000), 1, 0, math.inf),
        # Writes that cost nothing by what they carry: only clients lengthen a sweep.
        (changed(write_each_ps=0), 0, 100_000, 10 * MS),
        # Nothing is known of a topic but what the others are like: here there are none.
        (changed(links=0), 0, 1, 10 * MS * 0.8 / 0.6),
        (changed(links=0, delivered_per_s=0), 1, 10, 10 * MS * 501 / 500),
    ],
)
def test_a_sweep_grows_by_clients_and_by_what_writes_carry(
    load: Load, clients: int, topics: int, sweep_ns: float
) -> None:
    then = forecast(load, clients=clients, topics=topics)
    assert then.sweep_ns == pytest.approx(sweep_ns)
    assert then.clients == 500 + clients
    assert then.age_ns == pytest.approx(sweep_ns)


def test_more_ticks_make_writes_fuller_and_a_sweep_hardly_longer() -> None:
    """20 times the deliveries on the core of which 100 clients at 1,000 ticks/s take 88 %."""
    core = changed(
        sweep_ns=880_000,
        sweep_clients=100,
        write_fixed_ns=8700,
        write_each_ps=100_000,
        delivered_per_s=100_000,
        links=100,
        ring_age_ns=0,
    )
    then = forecast(core, clients=0, topics=1900)
    assert 1.2 * core.sweep_ns < then.sweep_ns < 1.3 * core.sweep_ns
    assert then.age_ns < 3 * MS


@pytest.mark.parametrize(
    ("ring_age_ns", "age_ns"),
    [(0, 10 * MS), (10 * MS, 10 * MS), (11 * MS, 11 * MS), (3000 * MS, 3000 * MS)],
)
def test_a_record_waits_for_a_sweep_or_for_as_long_as_they_do(
    ring_age_ns: int, age_ns: float
) -> None:
    assert forecast(changed(ring_age_ns=ring_age_ns), clients=0, topics=0).age_ns == age_ns


@pytest.mark.parametrize("name", ["sweep_ns", "sweep_clients", "write_fixed_ns"])
def test_what_is_not_known_foretells_nothing(name: str) -> None:
    assert forecast(changed(**{name: 0}), clients=1, topics=100).age_ns == 0
    assert capacity(changed(**{name: 0})).room().take(100) is None


@given(
    clients=st.integers(0, 2000),
    topics=st.integers(0, 5000),
    more=st.integers(0, 1000),
    each_ps=st.integers(0, 2_000_000),
)
def test_more_is_never_foretold_to_be_quicker(
    clients: int, topics: int, more: int, each_ps: int
) -> None:
    load = changed(write_each_ps=each_ps)
    age_ns = forecast(load, clients=clients, topics=topics).age_ns
    assert forecast(load, clients=clients + more, topics=topics).age_ns >= age_ns
    assert forecast(load, clients=clients, topics=topics + more).age_ns >= age_ns


# --- the rule -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "refused"),
    [
        (Load(), False),
        (FULL, True),
        # Each of the three alone, and each two of them, refuse nobody.
        (changed(ladder_highest=0), False),
        (changed(plane_busy_ppm=BUSY_PPM), False),
        (changed(sweep_ns=8 * MS), False),
        (changed(ladder_highest=0, plane_busy_ppm=BUSY_PPM), False),
        (changed(ladder_highest=0, sweep_ns=8 * MS), False),
        (changed(plane_busy_ppm=0, sweep_ns=8 * MS), False),
        (changed(ladder_highest=0, plane_busy_ppm=880_000, sweep_ns=50 * MS), False),
        # However late it is: nobody is helped.
        (changed(infeasible=1), False),
        (changed(infeasible=1, sweep_ns=500 * MS, ring_age_ns=SECOND), False),
        # Class 0 is broken already: one more makes that no better.
        (changed(sweep_ns=50 * MS), True),
        (changed(sweep_ns=MS, ring_age_ns=SECOND), True),
    ],
)
def test_f35_all_three_must_hold(load: Load, refused: bool) -> None:
    error = capacity(load).room().take(1)
    assert (error is not None) is refused
    assert capacity(load, enforce=False).room().take(1) is None
    for enforce in (True, False):
        door = capacity(load, enforce=enforce)
        for at_ns in range(NOW, NOW + LASTING_NS + SECOND, SECOND // 4):
            door.look(at_ns)
        assert (door.refusal(NOW + LASTING_NS + SECOND) is not None) is (refused and enforce)


def test_a_client_is_refused_only_once_it_has_lasted() -> None:
    door = capacity(FULL)
    assert door.refusal(NOW) is None, "the first look"
    assert door.refusal(NOW + LASTING_NS) is None
    assert door.refusal(NOW + LASTING_NS + 1) is not None


@pytest.mark.parametrize(("gap_ns", "refused"), [(GAP_NS - 1, True), (GAP_NS, False)])
def test_a_short_break_is_no_end_of_it_and_a_long_one_is(gap_ns: int, refused: bool) -> None:
    now = [FULL]
    door = Capacity(lambda: now[0], target_ns=TARGET_NS, enforce=True)
    door.look(NOW)
    now[0] = ROOMY
    door.look(NOW + gap_ns)
    assert door.refusal(NOW + LASTING_NS * 2) is None, "while there is room nobody is refused"
    now[0] = FULL
    door = Capacity(lambda: now[0], target_ns=TARGET_NS, enforce=True)
    door.look(NOW)
    now[0] = ROOMY
    door.look(NOW + gap_ns)
    now[0] = FULL
    assert (door.refusal(NOW + LASTING_NS + SECOND) is not None) is refused


def test_the_words_say_why_with_the_numbers() -> None:
    error = capacity(FULL).room().take(1)
    assert error is not None
    assert error.message == (
        "the data plane is 95 % busy and all that can be degraded is: with one more subscription a"
        " sweep over 501 clients takes 10 ms and class 0 is 10 ms old, target 10 ms"
    )
    door = capacity(changed(delivered_per_s=5_000_000))
    door.look(NOW)
    assert door.refusal(NOW + 6 * SECOND) == (
        "for 6 s the data plane is 95 % busy and all that can be degraded is: with one more client"
        " what it sends to 501 clients takes more than all of its time"
    )


@given(asked=st.lists(st.integers(0, 60), max_size=12))
def test_a_request_is_no_way_around_the_limit(asked: list[int]) -> None:
    room = capacity(ROOMY).room()
    most = next(n for n in range(1000) if capacity(ROOMY).room().take(n + 1) is not None)
    held = 0
    for topics in asked:
        taken = room.take(topics) is None
        assert taken is (held + topics <= most)
        held += topics if taken else 0
    assert held <= most


@pytest.mark.threat("D12")
def test_f35_those_refused_come_back_at_different_times() -> None:
    errors = [capacity(FULL).room().take(1) for _ in range(200)]
    waits = {error.retry_after_ms for error in errors if error is not None}
    assert len(waits) > 50
    assert all(wait is not None and RETRY_MS[0] <= wait <= RETRY_MS[1] for wait in waits)


# --- in a session ---------------------------------------------------------------------------------


class Gauges:
    """What a session sees of its worker; tests change it."""

    def __init__(self) -> None:
        self.load = Load()

    def __call__(self) -> Load:
        return self.load


@pytest.fixture
def gauges() -> Gauges:
    return Gauges()


@pytest.fixture
def client(connect: "Connect", gauges: Gauges) -> "Client":
    return connect(load=gauges)


def test_a_full_worker_refuses_what_is_new(client: "Client", gauges: Gauges) -> None:
    client.subscribe("ETH*")
    gauges.load = FULL
    reply = client.subscribe("ETH*", "BTC*", "NOPE.X", mode="conflate")
    held, new, unknown = reply["results"]
    assert (held["success"], held["mode"]) == (True, "conflate")
    message = new["error"].pop("message")
    assert new["error"] == {"code": "capacity", "retryable": True, "retry_after_ms": 3000}
    assert "a sweep over 501 clients takes 10 ms" in message
    assert unknown["error"]["code"] == "unknown_symbol"
    assert client.session.subscriptions == 1
    assert dict(zip(REJECTIONS, client.shared.rejections, strict=True))["capacity"] == 1
    gauges.load = Load()
    assert client.subscribe("BTC*")["success"] is True


@pytest.mark.parametrize(
    ("method", "extra", "kind"),
    [("update", {"mode": "conflate"}, Subscribe), ("unsubscribe", {}, Unsubscribe)],
)
def test_what_is_held_can_always_be_changed_and_ended(
    client: "Client", gauges: Gauges, method: str, extra: dict[str, Any], kind: type
) -> None:
    client.subscribe("ETH*")
    gauges.load = FULL
    assert client.ask(method, {"channel": "trade", "symbol": ["ETH*"], **extra})["success"]
    assert isinstance(client.last, kind)


@pytest.mark.parametrize("channel", ["slo", "health"])
def test_what_the_gateway_says_of_itself_is_never_refused(
    client: "Client", gauges: Gauges, channel: str
) -> None:
    gauges.load = FULL
    assert client.subscribe("*", channel=channel)["success"] is True
    assert client.last.items[0][1:3] == ("local", channel)


def test_a_pattern_weighs_as_much_as_it_covers(client: "Client", gauges: Gauges) -> None:
    # A topic's deliveries lengthen a sweep by 1.3 %: there is room for one, not for two.
    gauges.load = changed(links=20, sweep_ns=9_800_000)
    reply = client.subscribe("ETH*", "BTC*", "BRK.B.XNAS")
    assert [one["success"] for one in reply["results"]] == [False, True, False]


def test_a_refusal_takes_nothing_from_the_clients_own_limits(
    connect: "Connect", gauges: Gauges
) -> None:
    client = connect(load=gauges, topics_max=2, patterns_max=1)
    gauges.load = FULL
    client.subscribe("ETH*", "A.SIM", "B.SIM")
    gauges.load = Load()
    assert client.subscribe("ETH*")["failed"] == 0
    assert client.session.statistics().topics == 2
