"""Who is let in: limits of all and of an address; what would break the promise."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.datastructures import Headers

from gateway._native import StatsPage
from gateway.config import assemble
from gateway.model.outcomes import ADMISSION, HANDSHAKES
from gateway.server.addresses import ADDRESSES_MAX, Address, Addresses
from gateway.server.admission import (
    HANDSHAKE_BYTES,
    HELD_PER_BYTE,
    LINGERING_MAX,
    Admission,
    Budget,
    Told,
)
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


class Client:
    """Stands for a connection."""

    def __init__(self, peer: str = "192.0.2.1") -> None:
        self.peer = peer
        self.address: Address | None = None
        self.charged = 0


class Worker:
    """Admission on a page that tests write, by a clock that they move; at most two clients."""

    def __init__(self, page: StatsPage, load: Load = FULL, *sets: str, most: int = 2) -> None:
        self.page = page
        self.now_ns = NOW
        self.show(load)
        self.open: list[Client] = []
        listener: Any = SimpleNamespace(_stats=page)
        self.capacity = Capacity(
            lambda: Listener._load(listener), target_ns=TARGET_NS, enforce=True
        )
        self.admission = Admission(
            assemble({}, {}, sets),
            page,
            self.capacity,
            most,
            lambda: len(self.open),
            lambda: self.now_ns,
        )

    def come(self, peer: str = "192.0.2.1", headers: Headers | None = None) -> Client | Response:
        """One more client comes, and stays if it may."""
        client = Client(peer)
        refused = (
            self.admission.accepted(client)
            or self.admission.received(client, 100)
            or self.admission.located(client, headers or Headers())
            or self.admission.request(client)
        )
        self.admission.handshake_ended(client, opened=refused is None)
        if refused is not None:
            return refused
        self.open.append(client)
        return client

    def go(self, client: Client | Response) -> None:
        """A client leaves."""
        assert isinstance(client, Client)
        self.open.remove(client)
        self.admission.left(client)

    def show(self, load: Load) -> None:
        """What the plane says of itself from now on."""
        for name in Load.__struct_fields__:
            self.page.set(name, 0, getattr(load, name))

    def admitted(self) -> Response | None:
        """The answer to one more client of at most two."""
        return self.admission.request(Client())

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
    worker.open = [Client()]
    worker.wait(2 * LASTING_NS)
    assert worker.admitted() is None
    assert worker.refused() == {}


@pytest.mark.threat("D12")
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
    worker.open = [Client(), Client()]
    full = worker.admitted()
    worker.admission.draining = True
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
        _rejections_before=[7 * (name == "capacity") for name in REJECTIONS],
    )
    listener._shared.rejections[REJECTIONS.index("capacity")] = 3
    Listener._show_counts(listener)
    assert page.get("admission_refused", ADMISSION.index("capacity")) == 10


def test_those_for_whom_there_is_no_room_come_back_at_different_times(page: StatsPage) -> None:
    worker = Worker(page, Load())
    worker.open = [Client(), Client()]
    refusals = [worker.admitted() for _ in range(100)]
    assert {one.headers[0][1] for one in refusals if one} == {"3", "4", "5", "6", "7", "8"}


@pytest.mark.parametrize(
    ("clients", "most_ms"),
    [(0, 3000), (1, 3000), (1250, 3000), (5000, 10_500), (1_000_000, 60_500)],
)
def test_more_clients_are_spread_over_a_longer_time(clients: int, most_ms: int) -> None:
    assert reconnect_after_most_ms(clients) == most_ms


# --- limits of an address, of the worker -----------------------------------------


SECOND_NS = 1_000_000_000


def refusal(answer: object) -> Response:
    """What came of a client that was not let in, which is told when to come back."""
    assert isinstance(answer, Response), "it was let in"
    assert int(dict(answer.headers)["Retry-After"]) > 0
    return answer


def roomy(page: StatsPage, *sets: str) -> Worker:
    """A worker with room for all that an address may have."""
    return Worker(page, Load(), *sets, most=1_000_000)


def test_an_address_has_so_many_connections_and_no_more(page: StatsPage) -> None:
    worker = roomy(page, "limits.connections_per_address=2")
    first = worker.come()
    worker.come()
    answer = refusal(worker.come())
    assert (answer.status, answer.result) == (429, "limited")
    assert answer.text == "connections_per_address: 2"
    assert isinstance(worker.come("192.0.2.2"), Client), "another address has its own"
    worker.go(first)
    assert isinstance(worker.come(), Client)
    assert worker.refused() == {"connections": 1}


def test_an_ipv6_address_counts_as_its_network(page: StatsPage) -> None:
    worker = roomy(page, "limits.connections_per_address=1")
    worker.come("2001:db8:0:1::1")
    assert refusal(worker.come("2001:db8:0:1:ffff::2")).status == 429
    assert isinstance(worker.come("2001:db8:0:2::1"), Client)


def test_an_address_may_come_so_often(page: StatsPage) -> None:
    worker = roomy(page, "limits.connects_per_address_per_s=2")
    for _ in range(20):  # ten seconds' worth at once
        worker.go(worker.come())
    answer = refusal(worker.come())
    assert (answer.status, answer.result) == (429, "limited")
    assert isinstance(worker.come("192.0.2.2"), Client)
    worker.now_ns += SECOND_NS
    for _ in range(2):
        worker.go(worker.come())
    refusal(worker.come())
    assert worker.refused() == {"rate": 2}


def test_a_worker_is_come_to_so_often_by_all_together(page: StatsPage) -> None:
    worker = roomy(page, "limits.worker_connects_per_s=3")
    for number in range(3):
        worker.come(f"192.0.2.{number}")
    answer = refusal(worker.come("192.0.2.9"))
    assert (answer.status, answer.result) == (503, "shed")
    worker.now_ns += SECOND_NS
    assert isinstance(worker.come("192.0.2.9"), Client)


@pytest.mark.threat("D17")
def test_f02_unfinished_handshakes_are_bounded_by_address_and_by_memory(page: StatsPage) -> None:
    worker = roomy(page, "limits.handshakes_per_address=3", "limits.handshake_memory_bytes=1048576")
    silent = [Client() for _ in range(3)]
    assert not any(map(worker.admission.accepted, silent))
    assert refusal(worker.come()).status == 429
    others = [Client(f"10.0.{number}.1") for number in range((1 << 20) // HANDSHAKE_BYTES - 3)]
    assert not any(map(worker.admission.accepted, others))
    answer = refusal(worker.come("192.0.2.2"))
    assert (answer.status, answer.result) == (503, "shed")
    assert worker.refused() == {"address": 1, "memory": 1}
    for client in (*silent, *others):
        worker.admission.handshake_ended(client, opened=False)
    assert worker.admission.memory.used == 0
    assert isinstance(worker.come(), Client)


@pytest.mark.threat("D17")
def test_bytes_before_the_answer_are_charged_for_what_they_make_us_hold(page: StatsPage) -> None:
    worker = roomy(page, "limits.handshake_memory_bytes=1048576")
    client = Client()
    worker.admission.accepted(client)
    room = ((1 << 20) - HANDSHAKE_BYTES) // HELD_PER_BYTE
    assert worker.admission.received(client, room) is None
    assert refusal(worker.admission.received(client, 1)).status == 503
    worker.admission.handshake_ended(client, opened=True)
    assert (client.charged, worker.admission.memory.used) == (0, 0)


def test_behind_a_proxy_each_client_counts_as_itself(page: StatsPage) -> None:
    limits = ("limits.connections_per_address=1", "limits.handshakes_per_address=1")
    worker = roomy(page, *limits, 'listen.trusted_proxies=["192.0.2.0/24"]')
    waiting = [Client() for _ in range(5)]
    assert not any(map(worker.admission.accepted, waiting)), "nobody's yet"
    first = worker.come(headers=Headers({"X-Forwarded-For": "203.0.113.7"}))
    assert isinstance(first, Client)
    assert first.peer == "203.0.113.7"
    assert isinstance(worker.come(headers=Headers({"X-Forwarded-For": "203.0.113.8"})), Client)
    refusal(worker.come(headers=Headers({"X-Forwarded-For": "1.2.3.4, 203.0.113.7"})))
    worker.go(first)
    assert isinstance(worker.come(headers=Headers({"X-Forwarded-For": "203.0.113.7"})), Client)


def test_f60_a_stranger_says_nothing_of_where_it_is(page: StatsPage) -> None:
    worker = roomy(page, 'listen.trusted_proxies=["192.0.2.0/24"]')
    client = worker.come("198.51.100.1", Headers({"X-Forwarded-For": "203.0.113.7"}))
    assert isinstance(client, Client)
    assert client.peer == "198.51.100.1"


def test_with_proxy_headers_no_request_is_believed(page: StatsPage) -> None:
    networks = 'listen.trusted_proxies=["192.0.2.0/24"]'
    worker = roomy(page, networks, "listen.proxy_protocol=true")
    client = worker.come("192.0.2.7", Headers({"X-Forwarded-For": "203.0.113.7"}))
    assert isinstance(client, Client)
    assert client.peer == "192.0.2.7"
    assert worker.admission.preface("192.0.2.7")
    assert worker.admission.memory.used == HANDSHAKE_BYTES
    worker.admission.preface_ended()
    assert not worker.admission.preface("203.0.113.7")
    assert worker.refused() == {"proxy": 1}


def test_a_reload_moves_the_limits_and_keeps_the_counts(page: StatsPage) -> None:
    worker = roomy(page)
    clients = [worker.come() for _ in range(3)]
    worker.admission.reconfigure(assemble({}, {}, ["limits.connections_per_address=3"]))
    refusal(worker.come())
    worker.go(clients[0])
    assert isinstance(worker.come(), Client)


def test_refused_clients_linger_up_to_a_number(page: StatsPage) -> None:
    admission = roomy(page).admission
    assert all(admission.linger() for _ in range(LINGERING_MAX))
    assert not admission.linger()
    admission.lingered()
    admission.lingered()
    assert admission.linger()


def test_addresses_are_forgotten_when_they_do_not_matter() -> None:
    options = assemble({}, {}, ["limits.connects_per_address_per_s=1"]).limits
    addresses = Addresses(options)
    for number in range(3):
        one = addresses.of(f"192.0.2.{number}")
        assert addresses.wait_ns(one, NOW) == 0
        addresses.settle(one, NOW)
    assert len(addresses) == 3
    addresses.expire(NOW, 100)
    assert len(addresses) == 3, "how often they came matters still"
    addresses.expire(NOW + SECOND_NS, 2)
    assert len(addresses) == 1, "no more in one look"
    without = Addresses(assemble({}, {}).limits)
    without.settle(without.of("192.0.2.1"), NOW)
    assert len(without) == 0


def test_the_number_of_addresses_is_bounded() -> None:
    addresses = Addresses(assemble({}, {}, ["limits.connects_per_address_per_s=1"]).limits)
    for number in range(ADDRESSES_MAX + 10):
        one = addresses.of(f"n{number}")
        addresses.wait_ns(one, NOW)
        addresses.settle(one, NOW)
    assert len(addresses) == ADDRESSES_MAX
    assert addresses.of("n5").full_ns == 0, "the first is forgotten"
    assert addresses.of(f"n{ADDRESSES_MAX}").full_ns > 0


def test_a_budget_gives_what_it_has_and_no_more() -> None:
    budget = Budget(10)
    assert budget.take(10)
    assert not budget.take(1)
    budget.give(4)
    assert budget.take(4)


def test_refusals_are_one_line_for_each_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[tuple[str, int]] = []
    now_ns = 0

    def warning(_: str, **fields: Any) -> None:
        lines.append((fields["reason"], fields["more_since_last"]))

    monkeypatch.setattr("gateway.server.admission._log", SimpleNamespace(warning=warning))
    told = Told(lambda: now_ns)
    for _ in range(100):
        told.note("rate", "192.0.2.1")
        told.note("memory", "192.0.2.1")
    now_ns = 10 * SECOND_NS
    told.note("rate", "192.0.2.2")
    assert lines == [("rate", 0), ("memory", 0), ("rate", 99)]
