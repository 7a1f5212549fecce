"""The comparison: turns, ratios to the floor of the same round, medians, and its tables."""

import io
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from support.results import sample_environment, sample_latency, sample_result

from gateway.errors import TickgateError
from gateway.loadtest.peer import Ready
from gateway.loadtest.peers import (
    FLOOR,
    GATEWAY,
    SETTINGS,
    PeersResult,
    Setting,
    UnknownPeer,
    run_peers,
)
from gateway.loadtest.peers_table import markdown, print_peers
from gateway.loadtest.result import Connections, Result, ServerResult, SourceResult
from gateway.loadtest.run import Interrupted
from gateway.loadtest.scenario import Scenario

DIRECTORY = Path(__file__).parents[3] / "bench" / "peers"
SETTING = Setting("small", 10, 100.0)
INTENDED = 600


def result(cpu_us: float, *, delivered: int = 6000, closed: int = 0, valid: bool = True) -> Result:
    return msgspec.structs.replace(
        sample_result(),
        clients=SETTING.clients,
        delivered=delivered,
        valid=valid,
        connections=Connections(opened=10, closed=closed),
        server=ServerResult(
            cpu_s=1.0, cpu_us_per_delivery=cpu_us, rss_mb=20.0, rss_mb_max=21.0, pids=[1]
        ),
        source=SourceResult(
            intended=INTENDED, sent=INTENDED, late=sample_latency(20.0), achieved_per_s=100.0
        ),
    )


class Bench:
    """Measures nothing; `costs` has what each server's turns cost, an error for one that fails."""

    def __init__(self, **costs: list[float | TickgateError | Result]) -> None:
        self.turns: list[str] = []
        self.loads: dict[str, Scenario] = {}
        self._costs = costs

    def __call__(self, name: str, how: Ready | None, load: Scenario) -> Result:
        assert (how is None) == (name in (FLOOR, GATEWAY))
        self.turns.append(name)
        self.loads[name] = load
        cost = self._costs[name].pop(0)
        if isinstance(cost, TickgateError):
            raise cost
        return cost if isinstance(cost, Result) else result(cost)

    def run(self, *names: str, rounds: int = 1, say: Callable[[str], None] = print) -> PeersResult:
        return run_peers(
            DIRECTORY,
            names,
            measure=self,
            environment=sample_environment(),
            settings=[SETTING],
            rounds=rounds,
            say=say,
        )


def shown(found: PeersResult) -> str:
    text = io.StringIO()
    print_peers(found, Console(file=text, width=200))
    return text.getvalue()


def test_all_in_turn_the_floor_always_among_them() -> None:
    bench = Bench(floor=[1, 1], gateway=[1, 1], picows=[1, 1])
    bench.run("picows", "gateway", rounds=2)
    assert bench.turns == ["floor", "gateway", "picows"] * 2


def test_ratios_are_to_the_floor_of_the_same_round() -> None:
    # The second round is on a machine twice as slow, the third has a bad floor.
    found = Bench(floor=[1.0, 2.0, 4.0], gateway=[1.5, 3.0, 3.0]).run(GATEWAY, rounds=3)
    floor, gateway = found.settings[0].peers
    assert [one.floor_ratio for one in gateway.rounds if one] == [1.5, 1.5, 0.75]
    assert gateway.median is not None
    assert gateway.median.floor_ratio == 1.5
    assert gateway.median.cpu_us == 3.0
    assert floor.median is not None
    assert floor.median.floor_ratio == 1.0


def test_reach_is_of_what_all_clients_should_have_got() -> None:
    found = Bench(floor=[1.0], picows=[result(3.0, delivered=4500)]).run("picows")
    median = found.settings[0].peers[1].median
    assert median is not None
    assert median.reach == 4500 / (INTENDED * SETTING.clients)


def test_one_that_fails_does_not_stop_the_others() -> None:
    bench = Bench(
        floor=[1.0, TickgateError("the floor fell")],
        gateway=[2.0, 2.0],
        picows=[TickgateError("picows: ended\nlast words"), TickgateError("again")],
    )
    found = bench.run("picows", "gateway", rounds=2)
    floor, gateway, picows = found.settings[0].peers
    assert floor.errors == ["the floor fell"]
    assert [one.floor_ratio for one in gateway.rounds if one] == [2.0, None]
    assert (picows.median, picows.rounds) == (None, [None, None])
    text = shown(found)
    assert "small: picows failed in 2 of 2 rounds: picows: ended\n" in text
    assert "failed" in markdown(found)


def test_an_interruption_ends_it_with_what_there_is() -> None:
    said: list[str] = []
    bench = Bench(floor=[1.0, 1.0], gateway=[2.0, Interrupted("now")])
    found = bench.run(GATEWAY, rounds=3, say=said.append)
    assert bench.turns == ["floor", "gateway"] * 2
    assert [len(peer.rounds) for peer in found.settings[0].peers] == [2, 1]
    assert not found.settings[0].peers[1].errors
    assert said[-1].startswith("interrupted")


def test_an_absent_one_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    said: list[str] = []
    found = Bench(floor=[1.0]).run("gorilla", say=said.append)
    assert found.skipped == {"gorilla": "go is not installed"}
    assert "without gorilla: go is not installed" in said
    assert "without gorilla: go is not installed" in shown(found)
    assert "- without gorilla: go is not installed" in markdown(found)


def test_an_unknown_name_is_a_mistake_of_the_caller() -> None:
    bench = Bench()
    with pytest.raises(UnknownPeer, match=r"no such peer: nginx; there are floor, gateway, ") as e:
        bench.run("nginx", "gateway")
    assert e.value.exit_code == 2
    assert not bench.turns


def test_the_load_is_the_same_but_for_the_words_to_ask_with() -> None:
    bench = Bench(floor=[1.0], picows=[1.0], websockets=[1.0])
    bench.run("picows", "websockets")
    loads = {
        msgspec.json.encode(msgspec.structs.replace(one, name="x")) for one in bench.loads.values()
    }
    assert len(loads) == 1
    load = bench.loads["picows"]
    assert (load.name, load.clients, load.source.rate) == ("small-picows", 10, 100.0)


def test_the_default_loads() -> None:
    assert [(one.name, one.clients, one.rate) for one in SETTINGS] == [
        ("fanout", 1000, 50.0),
        ("throughput", 100, 20_000.0),
    ]


def test_tables() -> None:
    bench = Bench(
        floor=[1.0], gateway=[1.25], picows=[result(3.0, delivered=4500, closed=2, valid=False)]
    )
    found = bench.run("gateway", "picows")
    text, marked = shown(found), markdown(found)
    for table in (text, marked):
        assert "small: 100 /s to each of 10 clients, 1.00 k/s in all" in table
        assert "* the clients themselves were the bottleneck" in table
        assert "small: picows hung up on 2 clients" in table
        assert f"versions: tickgate 0.1.0; picows {metadata.version('picows')}" in table
    row = next(line for line in marked.splitlines() if line.startswith("| picows |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:3] == ["3.00 µs", "3.00"]
    assert cells[3].endswith("*")
    assert cells[5] == "75 %"
    assert "| gateway | 1.25 µs | 1.25 |" in marked


def test_the_table_fits_a_terminal() -> None:
    slow = sample_latency(99_000.0)
    busy = msgspec.structs.replace(result(11.25, valid=False), latency=slow)
    found = run_peers(
        DIRECTORY,
        ["websockets"],
        measure=lambda *_: busy,
        environment=sample_environment(),
        settings=[SETTINGS[1]],
        rounds=1,
    )
    text = io.StringIO()
    print_peers(found, Console(file=text, width=80))
    row = next(line for line in text.getvalue().splitlines() if line.startswith("websockets"))
    assert "…" not in row
    assert "11.25 µs" in row
    assert row.rstrip().endswith("21.0 MB†")
    assert "† resident memory (RSS)" in text.getvalue()


def test_memory_is_pss_where_the_kernel_tells_it() -> None:
    server = ServerResult(
        cpu_s=1.0, cpu_us_per_delivery=9.0, rss_mb=20.0, rss_mb_max=21.0, pss_mb=14.0, pss_mb_max=15
    )
    one = msgspec.structs.replace(result(9.0), server=server)
    found = run_peers(
        DIRECTORY,
        ["websockets"],
        measure=lambda *_: one,
        environment=sample_environment(),
        settings=[SETTINGS[1]],
        rounds=3,
    )
    row = next(line for line in markdown(found).splitlines() if "websockets" in line)
    assert row.rstrip(" |").endswith("15.0 MB")
    assert "RSS" not in markdown(found)


def test_json_round_trip() -> None:
    found = Bench(floor=[1.0], gateway=[2.0]).run(GATEWAY)
    assert msgspec.json.decode(found.to_json(), type=PeersResult) == found
