"""`tickgate admin` against a gateway that runs: list, kick, reload, log-level, drain."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.operated import Operated
from support.serving import serving, until
from support.wire import PING, PONG, TEXT, Wire, connected, frame, subscribe

SOON = "limits.close_timeout_s=1"
"""The clients here answer no close."""


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    one = Operated(tmp_path_factory.mktemp("operated"))
    with serving(one.directory / "log", SOON, config=one.file) as one.gateway:
        yield one


def test_who_is_there_is_listed_over_all_workers(operated: Operated) -> None:
    with ExitStack() as stack:
        wires = [stack.enter_context(connected(operated.gateway.url)) for _ in range(8)]
        wires[0].send(subscribe(["SYM000.SIM", "*.SIM"]))
        assert wires[0].reply()["success"]
        rows = operated.rows()
        assert len(rows) == 8
        assert {row["address"] for row in rows} == {"127.0.0.1"}
        assert sorted(row["subscriptions"] for row in rows) == [0] * 7 + [2]
        table = operated.good("list", "--limit", "3").splitlines()
        assert table[0].split() == list(rows[0])
        assert table[-1] == "8 connections, 3 shown"


def test_a_connection_is_closed_by_its_id(operated: Operated) -> None:
    with Wire(operated.gateway.url) as wire, connected(operated.gateway.url) as other:
        name = wire.open()["connection_id"]
        assert operated.good("kick", name) == "1 closed\n"
        assert wire.closed() == (1008, "closed by an operator")
        assert other.ask({"method": "ping"})["success"]
    done = operated.admin("kick", name)
    assert (done.returncode, done.stderr) == (1, f"tickgate: no connection of '{name}' is open\n")
    kicks = [one for one in operated.audited() if one["call"] == "kick"]
    assert [(one["id"], one["ok"]) for one in kicks] == [(name, True), (name, False)]


def test_a_reload_says_what_is_in_force_and_what_is_not(operated: Operated) -> None:
    operated.write(
        '[limits]\nerrors_per_minute = 3\n[slo]\nenforce = false\n[log]\nlevel="debug"\n'
    )
    said = operated.good("reload")
    assert said.splitlines() == [
        "limits.errors_per_minute: in force now",
        "log.level: in force now",
        "slo.enforce: needs a restart",
    ]
    operated.write("[limits]\nerrors_per_minute = 0\n")
    done = operated.admin("reload")
    assert done.returncode == 1
    assert "limits.errors_per_minute" in done.stderr
    status = operated.gateway.status()
    assert status["config"]["limits"]["errors_per_minute"] == 3
    operated.write()
    operated.good("reload")


def test_the_level_of_the_log_is_that_of_all_processes(operated: Operated) -> None:
    operated.good("log-level", "debug")
    with connected(operated.gateway.url):
        pass
    until(lambda: "client.closed" in operated.gateway.lines())
    operated.good("log-level", "info")
    assert operated.admin("log-level", "loud").returncode == 2


def test_one_worker_is_drained_and_another_takes_its_place(operated: Operated) -> None:
    before = operated.gateway.pid("worker-1")
    with ExitStack() as stack:
        wires = [stack.enter_context(connected(operated.gateway.url)) for _ in range(24)]
        operated.good("drain", "worker-1", "--over", "600")
        until(lambda: operated.gateway.pid("worker-1") not in (0, before))
        after = [_return(wire) for wire in wires]
    told = [ms for ms in after if ms]
    assert 0 < len(told) < 24, "the other worker's stay"
    assert max(told) > 60_500 or len(told) < 4, "beyond the usual window"
    assert operated.admin("drain", "worker-9").returncode == 1


def _return(wire: Wire) -> int:
    """When a client is wanted back, in ms; 0 where it may stay."""
    wire.send_anyway(frame(PING))
    while True:
        one = wire.frame()
        if one.opcode == PONG:
            return 0
        message = json.loads(one.payload) if one.opcode == TEXT else {}
        if message.get("type") == "shutdown":
            assert wire.closed() == (1012, "service restart")
            ms: int = message["data"][0]["reconnect_after_ms"]
            return ms


def test_nobody_answers_where_no_gateway_is(tmp_path: Path) -> None:
    done = Operated(tmp_path).admin("list")
    assert done.returncode == 69
    assert "no gateway answers" in done.stderr


def test_a_drain_ends_the_gateway_and_spreads_its_clients(tmp_path: Path) -> None:
    one = Operated(tmp_path)
    with serving(tmp_path / "log", SOON, config=one.file) as one.gateway, ExitStack() as stack:
        wires = [stack.enter_context(connected(one.gateway.url)) for _ in range(40)]
        one.good("drain", "--over", "1000")
        told = [_return(wire) for wire in wires]
        assert one.gateway.process.wait(60) == 0, one.gateway.lines()
    assert all(500 <= ms <= 1_000_500 for ms in told)
    assert len(set(told)) > 35
    assert max(told) > 500_000
    assert min(told) < 500_000
    assert not one.unix.exists()
    assert [line["call"] for line in one.audited()] == ["drain"]


def test_a_second_drain_cuts_nobody_off(tmp_path: Path) -> None:
    one = Operated(tmp_path)
    slow = "limits.close_timeout_s=5"
    with serving(tmp_path / "log", slow, config=one.file) as one.gateway:
        with connected(one.gateway.url):
            one.good("drain")
            done = one.admin("drain")
            assert (done.returncode, done.stderr) == (1, "tickgate: it drains already\n")
        assert one.gateway.process.wait(60) == 0, one.gateway.lines()
