"""Names and patterns: a golden table each, and the glob against a regular expression."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.topic import (
    NAME_MAX,
    check_pattern,
    is_pattern,
    match_pattern,
    split_instrument,
)


@pytest.mark.parametrize(
    ("name", "symbol", "venue"),
    [
        ("BTCUSDT.BINANCE", "BTCUSDT", "BINANCE"),
        ("BRK.B.XNAS", "BRK.B", "XNAS"),
        ("XBT/USD.KRAKEN", "XBT/USD", "KRAKEN"),
        ("SYM001.SIM", "SYM001", "SIM"),
        ("a.B", "a", "B"),
        ("..V", ".", "V"),
        ("!#$%&'()+-/:;<=>?@[]^_`{|}~.BINANCE_USDM", "!#$%&'()+-/:;<=>?@[]^_`{|}~", "BINANCE_USDM"),
        ("S" * 48 + "." + "V" * 16, "S" * 48, "V" * 16),
    ],
)
def test_instruments(name: str, symbol: str, venue: str) -> None:
    assert split_instrument(name) == (symbol, venue)
    assert not is_pattern(name)
    check_pattern(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "no dot"),
        ("BTCUSDT", "no dot"),
        (".SIM", "1 to 48 characters, not 0"),
        ("S" * 49 + ".SIM", "1 to 48 characters, not 49"),
        ("BTC USDT.SIM", "may not contain ' '"),
        ("BTC*.SIM", "may not contain '*'"),
        ('BTC".SIM', "may not contain"),
        ("BTC\\.SIM", "may not contain"),
        ("BTC,ETH.SIM", "may not contain ','"),
        ("BTC\n.SIM", r"may not contain '\n'"),
        ("BTC\x7f.SIM", "may not contain"),
        ("BÄR.SIM", r"may not contain '\xc4'"),
        ("BTC.", "a venue has"),
        ("BTC.sim", "a venue has"),
        ("BTC.SIM\n", "a venue has"),
        ("BTC." + "V" * 17, "a venue has"),
        ("x" * 1_000_000 + ".SIM", "not 1000000"),
    ],
)
def test_no_instruments(name: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as caught:
        split_instrument(name)
    assert len(str(caught.value)) <= 100


@pytest.mark.parametrize("pattern", ["*", "*.BINANCE", "BTC*", "*a*b*", "**", "x" * NAME_MAX])
def test_patterns(pattern: str) -> None:
    check_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "1 to 65 characters, not 0"),
        ("*" * (NAME_MAX + 1), "1 to 65 characters, not 66"),
        ("* *", "may not contain ' '"),
        ("*\\d", "may not contain"),
        ("*,*", "may not contain ','"),
        ("*é", r"may not contain '\xe9'"),
    ],
)
def test_no_patterns(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as caught:
        check_pattern(pattern)
    assert len(str(caught.value)) <= 100


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*", "", True),
        ("*", "A.B", True),
        ("*.BINANCE", "BTCUSDT.BINANCE", True),
        ("*.BINANCE", "BTCUSDT.BINANCE_USDM", False),
        ("BTC*", "BTCUSDT.BINANCE", True),
        ("BTC*", "XBTC.BINANCE", False),
        ("A*A", "A", False),
        ("A*A", "AA", True),
        ("AB*BC", "ABC", False),
        ("*AB*B*", "AABB", True),
        ("[A-Z]*", "BTC.SIM", False),
        ("A.C", "ABC", False),
        ("A.C", "A.C", True),
    ],
)
def test_glob(pattern: str, name: str, matches: bool) -> None:
    assert match_pattern(pattern, name) is matches


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_glob_equals_a_regular_expression(pattern: str, name: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert match_pattern(pattern, name) is (re.fullmatch(expression, name) is not None)


@given(st.text(max_size=80))
def test_any_text_is_an_instrument_or_refused_for_a_reason(name: str) -> None:
    try:
        instrument = split_instrument(name)
    except ValueError as why:
        reason = str(why)
    else:
        reason = "it is one"
        assert ".".join(instrument) == name
        assert name.isascii()
        assert name.isprintable()
        assert not set(name) & set('* "\\,')
    assert 0 < len(reason) <= 100
