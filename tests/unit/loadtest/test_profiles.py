"""Plans: what each client asks for, who should get each tick, and that shares make a whole."""

import json
from collections import Counter
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.loadtest.profiles import Plan, plan, subsets, zipf_weights
from gateway.loadtest.scenario import Scenario, from_document, listening
from gateway.model.topic import match_pattern
from gateway.session.messages import Subscribe, Unsubscribe, decode


def scenario(*groups: dict[str, Any], **source: Any) -> Scenario:
    named = [{"name": f"g{n}", "clients": 1, **group} for n, group in enumerate(groups)]
    return from_document({"name": "test", "source": source, "groups": named})


def params(made: Plan, client: int) -> dict[str, Any]:
    """What a client's request asks for, by the gateway's own decoder."""
    request = decode(made.texts[made.clients[client, 2]].decode())
    assert isinstance(request, Subscribe)
    found: dict[str, Any] = msgspec.to_builtins(request.params)
    return found


def covered(made: Plan, client: int) -> set[int]:
    wanted = params(made, client)["symbol"]
    return {
        k
        for k, name in enumerate(made.symbols)
        if any(match_pattern(pattern, name) for pattern in wanted)
    }


# --- requests -------------------------------------------------------------------------------------


def test_one_symbol_each_in_equal_parts() -> None:
    made = plan(scenario({"clients": 1000}, {"clients": 3}, symbols=10))
    assert made.symbols[:2] == ["SYM000.SIM", "SYM001.SIM"]
    assert set(Counter(made.clients[:1000, 2].tolist()).values()) == {100}
    assert np.sum(made.audiences, axis=0).tolist() == [
        101,
        100,
        100,
        101,
        100,
        100,
        101,
        100,
        100,
        100,
    ]
    assert len(made.texts) == 10
    assert params(made, 0) == {"channel": "trade", "symbol": ["SYM000.SIM"]}


def test_all_symbols_by_one_pattern() -> None:
    made = plan(scenario({"clients": 3, "pick": "all", "mode": "conflate"}, symbols=2000))
    assert len(made.texts) == 1
    assert params(made, 2) == {"channel": "trade", "symbol": ["*.SIM"], "mode": "conflate"}
    assert made.audiences[0].tolist() == [3] * 2000


def test_a_class_is_asked_for_where_it_is_not_the_channel_s_own() -> None:
    lowered = {"channel": "bbo", "class": 2, "resubscribe_every_s": 1, "expect_all": False}
    made = plan(scenario(lowered, {"channel": "bbo"}, channels=["bbo"]))
    asked = [json.loads(text) for text in made.texts]
    assert [one["params"].get("class") for one in asked] == [2, None, None]
    assert [one["method"] for one in asked] == ["subscribe", "unsubscribe", "subscribe"]


def test_a_rate_is_asked_for_where_there_is_one() -> None:
    made = plan(scenario({"channel": "bbo", "max_hz": 20}, {"channel": "bbo"}, channels=["bbo"]))
    assert [json.loads(text)["params"].get("max_hz") for text in made.texts] == [20, None]


def test_the_largest_subset_fits_a_request_of_the_gateway() -> None:
    made = plan(scenario({"pick": "random", "symbols_each": 300}, symbols=30_000))
    assert len(set(params(made, 0)["symbol"])) == 300
    assert len(made.texts[0]) < 16_384


def test_names_as_given_are_counted_by_what_they_cover() -> None:
    made = plan(scenario({"clients": 4, "symbols": ["SYM01*", "SYM000.SIM"]}, symbols=12))
    assert params(made, 3)["symbol"] == ["SYM01*", "SYM000.SIM"]
    assert made.audiences[0].tolist() == [4, *[0] * 9, 4, 4]


def test_a_text_of_ones_own_with_the_clients_number() -> None:
    first = {"clients": 2, "subscribe": '{"n":{n},"{x}":"{n}"}', "expect_all": False}
    second = {"clients": 3, "subscribe": "same", "expect_all": False}
    made = plan(scenario(first, second))
    texts = [made.texts[text].decode() for text in made.clients[:, 2]]
    assert texts == ['{"n":0,"{x}":"0"}', '{"n":1,"{x}":"1"}', "same", "same", "same"]
    assert len(made.texts) == 3
    assert plan(scenario(first, second), share=(1, 2)).texts == [texts[1].encode(), b"same"]


def test_listening_is_one_request() -> None:
    made = plan(listening("ws://127.0.0.1:1/", clients=7, channel="bbo", symbols=["A*", "B.X"]))
    assert {len(made.clients), len(made.texts)} == {7, 1}
    assert params(made, 6) == {"channel": "bbo", "symbol": ["A*", "B.X"]}


@pytest.mark.parametrize(
    ("group", "symbols", "names"),
    [
        ({"pick": "all"}, 400, ["*.SIM"]),
        ({"symbols": ["A*", "B"]}, 400, ["A*", "B"]),
        (
            {"pick": "zipf", "symbols_each": 2, "mode": "conflate"},
            3,
            ["SYM000.SIM", "SYM001.SIM", "SYM002.SIM"],
        ),
        ({"pick": "zipf", "symbols_each": 2}, 301, None),  # a request can't name them all
        ({"subscribe": "mine"}, 3, None),
    ],
)
def test_who_resubscribes_unsubscribes_by_one_text(
    group: dict[str, Any], symbols: int, names: list[str] | None
) -> None:
    again = {**group, "clients": 9, "resubscribe_every_s": 0.5, "expect_all": False}
    made = plan(scenario(again, {"clients": 1}, symbols=symbols))
    assert made.groups[0]["resubscribe_every_ns"] == 500_000_000
    assert made.groups[1]["text_off"] == -1
    off = made.groups[0]["text_off"]
    if names is None:
        assert off == -1
    else:
        request = decode(made.texts[off].decode())
        assert isinstance(request, Unsubscribe)
        assert request.params.symbol == names
        assert off not in made.clients[:, 2]


# --- behaviour ------------------------------------------------------------------------------------


def test_groups_in_the_swarms_words() -> None:
    behaviour = {
        "measured": False,
        "read_bytes_per_s": 5,
        "rcvbuf_bytes": 6,
        "late_acks": True,
        "stall_for_s": 0.001,
        "stall_every_s": 7.5,
        "drop_at_s": 1.5,
        "lifetime_s": 2,
        "reconnect_s": 0.25,
    }
    made = plan(scenario(behaviour, {"drop_every_s": 3, "expect_all": False}))
    assert made.group_names == ["g0", "g1"]
    assert made.groups[0] == {
        "measured": 0,
        "read_bytes_per_s": 5,
        "rcvbuf_bytes": 6,
        "stall_at_ns": 7_500_000_000,  # not said: after one period
        "stall_for_ns": 1_000_000,
        "stall_every_ns": 7_500_000_000,
        "drop_at_ns": 1_500_000_000,
        "drop_every_ns": 0,
        "lifetime_ns": 2_000_000_000,
        "reconnect_ns": 250_000_000,
        "resubscribe_every_ns": 0,
        "late_acks": 1,
        "text_off": -1,
    }
    assert made.groups[1]["late_acks"] == 0
    assert made.groups[1]["measured"] == 1
    assert (made.groups[1]["drop_at_ns"], made.groups[1]["drop_every_ns"]) == (3 * 10**9, 3 * 10**9)


# --- the whole and its shares ---------------------------------------------------------------------

GROUPS = st.lists(
    st.fixed_dictionaries(
        {
            "clients": st.integers(1, 30),
            "pick": st.sampled_from(["one", "all", "random", "zipf"]),
            "each": st.integers(1, 12),
            "channel": st.sampled_from(["trade", "bbo"]),
            "measured": st.booleans(),
            "expect_all": st.booleans(),
        }
    ),
    min_size=1,
    max_size=5,
)


def drawn(groups: list[dict[str, Any]], symbols: int, seed: int) -> Scenario:
    for group in groups:
        each = min(group.pop("each"), symbols)
        if group["pick"] in ("random", "zipf"):
            group["symbols_each"] = each
    return scenario(*groups, symbols=symbols, seed=seed, channels=["trade", "bbo"])


def told(made: Plan) -> Counter[tuple[int, bytes]]:
    return Counter((group, made.texts[text]) for group, _, text in made.clients.tolist())


@settings(deadline=None)
@given(groups=GROUPS, symbols=st.integers(1, 12), seed=st.integers(0, 9), of=st.integers(1, 9))
def test_shares_make_the_whole(
    groups: list[dict[str, Any]], symbols: int, seed: int, of: int
) -> None:
    which = drawn(groups, symbols, seed)
    whole = plan(which)
    shares = [plan(which, share=(k, of)) for k in range(of)]
    assert sum((told(share) for share in shares), Counter()) == told(whole)
    for index, audience in enumerate(whole.audiences):
        parts = np.sum([share.audiences[index] for share in shares], axis=0)
        assert parts.tolist() == audience.tolist()
    sizes = [len(share.clients) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    for share in shares:
        assert share.group_names == whole.group_names
        for index, group in enumerate(which.groups):
            members = int((share.clients[:, 0] == index).sum())
            assert group.clients // of <= members <= -(-group.clients // of)


@settings(deadline=None)
@given(groups=GROUPS, symbols=st.integers(1, 12), seed=st.integers(0, 9))
def test_audiences_are_those_whose_requests_cover_the_symbol(
    groups: list[dict[str, Any]], symbols: int, seed: int
) -> None:
    which = drawn(groups, symbols, seed)
    made = plan(which)
    known = [[0] * symbols for _ in which.groups]
    for client, index in enumerate(made.clients[:, 0].tolist()):
        group, wanted = which.groups[index], covered(made, client)
        sizes = {"one": 1, "all": symbols}
        assert len(wanted) == sizes.get(group.pick, group.symbols_each)
        assert params(made, client)["channel"] == group.channel
        for symbol in () if group.uncountable else wanted:
            known[index][symbol] += 1
    assert [each.tolist() for each in made.audiences] == known
    assert len(set(made.texts)) == len(made.texts)


@given(
    clients=st.integers(1, 200),
    targets=st.integers(1, 5),
    sources=st.integers(0, 5),
    of=st.integers(1, 4),
)
def test_each_pair_of_address_and_target_has_its_equal_part(
    clients: int, targets: int, sources: int, of: int
) -> None:
    raw = {"name": "x", "groups": [{"name": "a", "clients": clients}]}
    which = from_document({**raw, "sources": sources} if sources else raw)
    for k in range(of):
        made = plan(which, targets=targets, share=(k, of))
        addresses = max(1, sources)
        pairs = Counter((n % addresses, target) for n, target in enumerate(made.clients[:, 1]))
        counts = [pairs[source, target] for source in range(addresses) for target in range(targets)]
        assert max(counts) - min(counts) <= 1


def test_the_same_seed_gives_the_same_plan_and_another_another() -> None:
    def made(seed: int) -> list[bytes]:
        return plan(
            scenario({"clients": 9, "pick": "zipf", "symbols_each": 5}, symbols=50, seed=seed)
        ).texts

    assert made(1) == made(1) != made(2)


def test_groups_do_not_draw_alike() -> None:
    picked = {"clients": 20, "pick": "random", "symbols_each": 5}
    made = plan(scenario(picked, picked, symbols=100))
    assert len(made.texts) == 40


@pytest.mark.parametrize("share", [(0, 0), (2, 2), (-1, 2)])
def test_a_share_that_is_none(share: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected 0 <= k < of"):
        plan(scenario({}), share=share)


def test_no_targets() -> None:
    with pytest.raises(ValueError, match="0 targets"):
        plan(scenario({}), targets=0)


# --- drawing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [0.0, 0.7, 1.0, 2.0])
def test_single_draws_follow_the_weights(exponent: float) -> None:
    draws, weights = 200_000, zipf_weights(40, exponent)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] / weights[9] == pytest.approx(10**exponent)
    counts = np.bincount(subsets(np.random.default_rng(7), draws, weights, 1)[:, 0], minlength=40)
    # Five standard deviations of a binomial distribution.
    assert np.all(np.abs(counts - draws * weights) < 5 * np.sqrt(draws * weights))


def test_draws_without_replacement_follow_the_weights_one_after_the_other() -> None:
    """Against the definition: the second is drawn from what the first has left, by its weights."""
    draws, weights = 100_000, zipf_weights(4, 1.0)
    pairs = Counter(map(tuple, subsets(np.random.default_rng(7), draws, weights, 2).tolist()))
    for a in range(4):
        for b in range(a + 1, 4):
            first, second = weights[a], weights[b]
            chance = first * second / (1 - first) + second * first / (1 - second)
            assert pairs[a, b] == pytest.approx(draws * chance, rel=0.05)


@pytest.mark.parametrize(("clients", "symbols", "each"), [(3, 5, 5), (2000, 3000, 2), (0, 5, 2)])
def test_subsets_are_of_distinct_symbols_in_order(clients: int, symbols: int, each: int) -> None:
    drawn = subsets(np.random.default_rng(1), clients, zipf_weights(symbols, 1.0), each)
    assert drawn.shape == (clients, each)
    assert np.all(np.diff(drawn, axis=1) > 0)
    assert np.all((drawn >= 0) & (drawn < symbols))


def test_what_a_request_is_on_the_wire() -> None:
    made = plan(scenario({"channel": "bbo", "mode": "lossless"}, channels=["bbo"]))
    assert json.loads(made.texts[0]) == {
        "method": "subscribe",
        "params": {"channel": "bbo", "symbol": ["SYM000.SIM"], "mode": "lossless"},
    }
