"""What a scenario may say, what its errors say, and whether the shipped ones and the page hold."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import assemble
from gateway.loadtest.scenario import (
    DIRECTORY,
    Group,
    Limit,
    Overload,
    Scenario,
    ScenarioError,
    Source,
    from_document,
    listening,
    load,
    shared_out,
)

ROOT = Path(__file__).parents[3]
SHIPPED = sorted(DIRECTORY.glob("*.toml"))


def document(**more: Any) -> dict[str, Any]:
    return {"name": "test", "groups": [{"name": "a", "clients": 10}], **more}


def quotes(**more: Any) -> dict[str, Any]:
    return group(channel="bbo", **more) | {"source": {"channels": ["bbo"]}}


def group(**more: Any) -> dict[str, Any]:
    return document(groups=[{"name": "a", "clients": 10, **more}])


def source(**more: Any) -> dict[str, Any]:
    return document(source=more)


def problems(call: Callable[[], object]) -> dict[str, str]:
    with pytest.raises(ScenarioError) as caught:
        call()
    assert caught.value.exit_code == 2
    return {problem.key: problem.message for problem in caught.value.problems}


# --- values and errors ----------------------------------------------------------------------------


def test_what_is_not_said_has_its_default() -> None:
    found = from_document(document())
    assert found == Scenario(name="test", groups=[Group(name="a", clients=10)])
    assert found.source == Source()
    assert found.clients == 10


def test_a_scenario_crosses_to_another_process_as_json() -> None:
    limit = {"rate_min": 1, "rate_max": 2}
    found = from_document(document(limit=limit, thresholds=["p99<1ms"], gateway={"x": 1}))
    assert msgspec.json.decode(msgspec.json.encode(found), type=Scenario) == found


BURST = {"shape": "burst", "burst_rate": 1, "burst_s": 1, "burst_every_s": 2}
LIMIT = {"rate_min": 100, "rate_max": 200}


@pytest.mark.parametrize(
    ("raw", "key", "message"),
    [
        (
            document(groups=[]),
            "groups",
            "found an empty array; expected a non-empty array of a table",
        ),
        (document(durations=1), "durations", "unknown key; did you mean duration_s?"),
        (document(rate=1), "rate", "unknown key; did you mean source.rate?"),
        (document(duration_s=0), "duration_s", "found 0; expected a number above 0 and at most"),
        (document(url="http://x"), "url", "expected text that matches ^(wss?://"),
        (document(processes=11), "processes", "found 11; there are only 10 clients"),
        (document(sources=0), "sources", "found 0; expected addresses, or 1 to 250 of them"),
        (document(sources=251), "sources", "found 251; expected addresses, or 1 to 250"),
        (document(sources=True), "sources", "found true; expected an array of text"),
        (document(sources=["127.0.0.2", "::1"]), "sources.1", 'found "::1"; expected an IPv4'),
        (document(sources=["127.0.0.2"] * 2), "sources.1", 'found "127.0.0.2" twice'),
        (group(clients=28_001), "sources", "28001 clients from 1 address(es) to 1 gateway"),
        (
            document(processes=3, connect_rate=2),
            "connect_rate",
            "found 2; expected one for each of 3 processes",
        ),
        (document(thresholds=["p99<1ms", "p99<1"]), "thresholds.1", "column 6: a unit is missing"),
        (document(thresholds=["b.p99<1ms"]), "thresholds.0", "no group 'b'; there are a"),
        (group(clents=1), "groups.0.clents", "unknown key; did you mean clients?"),
        (group(clients=0), "groups.0.clients", "found 0; expected an integer from 1 to 1000"),
        (group(name="a,b"), "groups.0.name", 'found "a,b"; expected text that matches'),
        (group(channel="book"), "groups.0.channel", 'found "book"; expected "bbo" or "trade"'),
        (group(channel="bbo"), "groups.0.channel", 'found "bbo"; source.channels has ["trade"]'),
        (group(symbols_each=2), "groups.0.symbols_each", 'only pick = "random" or "zipf" has it'),
        (group(exponent=2), "groups.0.exponent", 'found 2.0; only pick = "zipf" has it'),
        (group(pick="zipf", symbols_each=2), "groups.0.symbols_each", "source.symbols is 1"),
        (group(symbols=["*"], subscribe="x", expect_all=False), "groups.0.symbols", "keep one"),
        (group(symbols=["*"], pick="zipf", exponent=2), "groups.0.exponent", 'pick = "zipf"'),
        (group(symbols=["*"] * 301), "groups.0.symbols", "limits.symbols_per_request = 300"),
        (group(subscribe="x"), "groups.0.expect_all", "found true; with subscribe it is not known"),
        (group(drop_every_s=1), "groups.0.expect_all", "found true; with drop_every_s it is not"),
        (group(lifetime_s=1, measured=False), "groups.0.reconnect_s", "lifetime_s needs it"),
        (group(stall_at_s=1), "groups.0.stall_for_s", "stall_at_s and stall_every_s need it"),
        (group(**{"class": 4}), "groups.0.class", "found 4; expected an integer from 0 to 3"),
        (quotes(**{"class": 0}), "groups.0.class", "bbo is of class 1, which can"),
        (group(**{"class": 2}, mode="lossless"), "groups.0.class", "only of a class below 2"),
        (group(max_hz=0), "groups.0.max_hz", "found 0"),
        (group(max_hz=20, mode="lossless"), "groups.0.max_hz", "lossless has none"),
        (
            group(**{"class": 2}, subscribe="{}", expect_all=False),
            "groups.0.class",
            "both class and subscribe",
        ),
        (group(stall_for_s=1), "groups.0.stall_for_s", "found 1.0; it needs stall_at_s or"),
        (group(stall_for_s=2, stall_every_s=2), "groups.0.stall_for_s", "less than stall_every_s"),
        (source(rate=0), "source.rate", "found 0; expected a number above 0"),
        (source(channels=["trade"] * 2), "source.channels", "expected each once"),
        (source(to_rate=5), "source.to_rate", 'found 5.0; only shape = "ramp" has it'),
        (source(shape="ramp"), "source.to_rate", 'missing; shape = "ramp" needs it'),
        (source(shape="capture"), "source.capture", 'missing; shape = "capture" needs it'),
        (source(shape="capture", capture="no"), "source.capture", 'found "no"; expected a file'),
        (source(**{**BURST, "burst_s": 2}), "source.burst_s", "expected less than burst_every_s"),
        (source(via="embedded", shape="ramp", to_rate=1), "source.shape", 'found "ramp"; the emb'),
        (document(limit=LIMIT), "thresholds", "missing; the search for a limit needs one"),
        (
            document(limit={**LIMIT, "rate_max": 101}, thresholds=["p99<1ms"]),
            "limit.rate_max",
            "found 101.0; expected at least 1.1 times rate_min",
        ),
        (
            document(limit=LIMIT, thresholds=["p99<1ms"], source={"via": "none"}),
            "limit",
            "the source must have a rate to change",
        ),
    ],
)
def test_one_error(raw: dict[str, Any], key: str, message: str) -> None:
    found = problems(lambda: from_document(raw))
    assert list(found) == [key]
    assert message in found[key]


def test_all_errors_come_at_once_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(
        "processes = 99\nsources = -1\nthreshold = []\n[source]\nto_rate = 1\n"
        '[[groups]]\nname = "a"\nclients = 3\nstall_at_s = "x"\n'
        '[[groups]]\nname = "a"\nclients = 3\nchannel = "bbo"\n'
    )
    with pytest.raises(ScenarioError) as caught:
        load(file)
    assert {problem.key for problem in caught.value.problems} == {
        "processes",
        "sources",
        "threshold",
        "source.to_rate",
        "groups.0.stall_at_s",
        "groups.1.name",
        "groups.1.channel",
    }
    text = str(caught.value)
    assert text.startswith("the scenario has 7 errors\n")
    assert text.count(str(file)) == 7


def test_what_follows_from_an_error_is_not_told() -> None:
    raw = document(
        source={"symbols": "ten"},
        groups=[{"name": "a", "clients": 1, "pick": "zipf", "symbols_each": 5}],
    )
    assert list(problems(lambda: from_document(raw))) == ["source.symbols"]


def test_at_most_64_groups() -> None:
    raw = document(groups=[{"name": f"g{n}", "clients": 1} for n in range(65)])
    assert problems(lambda: from_document(raw)) == {
        "groups": "found 65 groups; expected at most 64"
    }


def test_more_clients_than_ports_need_addresses_or_gateways() -> None:
    raw = group(clients=60_000)
    found = problems(lambda: from_document(raw))["sources"]
    assert "60000 a pair; ephemeral ports end at 28000: give sources = 3" in found
    assert from_document({**raw, "gateways": 3}).gateways == 3
    assert problems(lambda: from_document({**raw, "gateways": 3, "url": "ws://h:1/"}))
    assert problems(lambda: from_document({**raw, "sources": 2}))
    assert from_document({**raw, "sources": 3}).sources == ["127.0.0.2", "127.0.0.3", "127.0.0.4"]


def test_the_gateways_limits_are_those_that_the_scenario_sets() -> None:
    def wide(**limits: int) -> dict[str, Any]:
        picked = group(pick="random", symbols_each=500)
        return picked | {"source": {"symbols": 20_000}, "gateway": {"limits": limits}}

    assert list(problems(lambda: from_document(wide()))) == ["groups.0.symbols_each"]
    assert from_document(wide(symbols_per_request=500))
    every = document(
        groups=[{"name": "a", "clients": 1, "pick": "all"}], source={"symbols": 10_001}
    )
    assert "have 10000" in problems(lambda: from_document(every))["source.symbols"]
    assert from_document({**every, "gateway": {"limits": {"topics_per_connection": 10_001}}})


def test_the_gateways_settings_are_what_set_takes() -> None:
    table = {
        "listen": {"host": 'a"b', "origins": ["http://x", "*"], "insecure": True},
        "slo": {"enforce": False, "percentile": 99.5},
        "feeds": [{"type": "synthetic", "channels": ["bbo"]}, {"type": "udp", "venue": "U"}],
    }
    settings = from_document(document(gateway=table)).settings
    assert 'feeds.1.type="udp"' in settings
    assert assemble({}, {}, settings) == assemble(table, {})


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [("a = = 1", "not valid TOML: .*line 1"), (None, "there is no such file or scenario")],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "one.toml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ScenarioError, match=message):
        load(file)


def test_a_name_is_looked_for_among_the_shipped_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # they come with the program
    assert load("smoke") == load(DIRECTORY / "smoke.toml")
    assert problems(lambda: load("smok")) == {
        "smok": "there is no such file or scenario; did you mean smoke?"
    }
    names = ", ".join(path.stem for path in SHIPPED)
    assert problems(lambda: load("zzz"))["zzz"].endswith(f"there are {names}")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_are_good(path: Path) -> None:
    found = load(path)
    assert found.name == path.stem
    assert 20 < len(found.description) <= 110
    assert found.thresholds
    assert found.overridden(clients=200, duration_s=3).clients == 200
    assert assemble({}, {}, found.settings)


def test_there_is_a_scenario_for_each_question() -> None:
    assert {path.stem for path in SHIPPED} >= {
        *("one_to_1k", "burst_open", "wide_universe", "slow_10pct", "reconnect_storm"),
        *("soak", "limit_search", "smoke"),
    }
    assert {"reach==1", "gaps==0"} <= set(load(DIRECTORY / "smoke.toml").thresholds)


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "The scenario": Scenario,
    "`[source]`": Source,
    "`[[groups]]`": Group,
    "`[limit]`": Limit,
    "`[overload]`": Overload,
}


@pytest.mark.parametrize("title", SECTIONS)
def test_the_page_has_every_key_with_its_default(title: str) -> None:
    page = (ROOT / "docs" / "bench-scenarios.md").read_text()
    section = page.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*?)\| \S", section, re.MULTILINE))
    tables = (msgspec.Struct, type(None))
    for field in msgspec.structs.fields(SECTIONS[title]):
        said = rows.pop(field.encode_name).strip(" `")
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        if field.encode_name != "name":
            shown = field.required or isinstance(default, tables)
            assert said == ("" if shown else json.dumps(default)), field.encode_name
    assert not rows, "keys that are no more"


def test_the_pages_example_is_good(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "bench-scenarios.md").read_text()
    file = tmp_path / "example.toml"
    file.write_text(page.partition("```toml\n")[2].partition("```")[0])
    assert load(file).clients == 100


# --- overrides ------------------------------------------------------------------------------------


def mixed() -> Scenario:
    return from_document(
        document(
            source={"channels": ["trade", "bbo"], **BURST, "rate": 100, "burst_rate": 500},
            groups=[
                {"name": "a", "clients": 600},
                {"name": "b", "clients": 300, "channel": "bbo"},
                {"name": "c", "clients": 1},
            ],
        )
    )


def test_nothing_overridden_is_the_same() -> None:
    assert mixed().overridden() == mixed()
    searched = from_document(document(limit=LIMIT, thresholds=["p99<1ms"]))
    assert searched.overridden() == searched


def test_overrides() -> None:
    found = mixed().overridden(
        clients=91,
        duration_s=3,
        warmup_s=0,
        rate=200,
        processes=2,
        channel="bbo",
        url="ws://127.0.0.1:1/v1",
        encoding="sbe",
    )
    assert [group.clients for group in found.groups] == [60, 30, 1]
    assert {group.channel for group in found.groups} == {"bbo"}
    assert found.source.channels == ["bbo"]
    assert (found.source.rate, found.source.burst_rate) == (200, 1000)
    assert (found.duration_s, found.warmup_s, found.processes) == (3, 0, 2)
    assert found.url == "ws://127.0.0.1:1/v1"
    assert (mixed().encoding, found.encoding) == ("json", "sbe")


def test_overrides_meet_the_same_rules() -> None:
    def override(**values: Any) -> list[str]:
        with pytest.raises(ScenarioError) as caught:
            mixed().overridden(**values)
        return [str(problem) for problem in caught.value.problems]

    assert override(clients=2) == [
        "clients (--clients): found 2; expected one for each of 3 groups"
    ]
    (text,) = override(duration_s=0)
    assert text.startswith("duration_s (--duration): found 0; expected a number above 0")
    first, *_ = override(channel="book")
    assert first.startswith('source.channels.0 (--channel): found "book"; expected')
    (text,) = override(clients=3, processes=4)
    assert text == "processes (--processes): found 4; there are only 3 clients"
    quiet = listening("ws://127.0.0.1:1/")
    assert list(problems(lambda: quiet.overridden(rate=5))) == ["source.rate"]


@given(
    weights=st.lists(st.integers(1, 1000), min_size=1, max_size=20),
    more=st.integers(0, 5000),
)
def test_clients_are_shared_out_in_proportion(weights: list[int], more: int) -> None:
    count = len(weights) + more
    shares = shared_out(count, weights)
    assert sum(shares) == count
    assert min(shares) >= 1
    total = sum(weights)
    exact = [count * weight / total for weight in weights]
    if min(exact) >= 1:  # nobody was helped: the quota rule of largest remainders
        assert all(abs(share - one) < 1 for share, one in zip(shares, exact, strict=True))
    ordered = sorted(zip(weights, shares, strict=True))
    for (light, few), (heavy, many) in pairwise(ordered):
        assert few <= many or light == heavy
    assert shared_out(total, weights) == weights


# --- listening ------------------------------------------------------------------------------------


def test_listening_asks_as_it_is_told() -> None:
    found = listening("ws://127.0.0.1:1/x", clients=5, channel="bbo", symbols=["A*", "B.X"])
    assert found.source.via == "none"
    assert found.url == "ws://127.0.0.1:1/x"
    (only,) = found.groups
    assert (only.clients, only.channel, only.symbols) == (5, "bbo", ["A*", "B.X"])
    assert not only.counted


def test_a_text_of_ones_own_replaces_the_request() -> None:
    (only,) = listening("ws://127.0.0.1:1/x", symbols=["A*"], subscribe="{n}").groups
    assert (only.subscribe, only.symbols) == ("{n}", [])


def test_bad_arguments_of_listening() -> None:
    assert set(problems(lambda: listening("nope", clients=0))) == {"url", "groups.0.clients"}
    many = ["x"] * 301
    assert set(problems(lambda: listening("ws://h:1/", symbols=many))) == {"groups.0.symbols"}
