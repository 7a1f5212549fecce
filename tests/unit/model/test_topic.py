"""Names and patterns: a golden table each, and the glob against a regular expression."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway._native import pattern_match
from gateway.model.topic import (
    NAME_MAX,
    BadEscape,
    check_pattern,
    escape,
    is_pattern,
    match_pattern,
    split_instrument,
    unescape,
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
        (
            "!#$%&'()*+-/:;<=>?@[]^_`{|}~.BINANCE_USDM",
            "!#$%&'()*+-/:;<=>?@[]^_`{|}~",
            "BINANCE_USDM",
        ),
        ("S" * 96 + "." + "V" * 16, "S" * 96, "V" * 16),
        # Of the field, and others like them.
        ("币安人生USDT.BINANCE", "币安人生USDT", "BINANCE"),
        ("SPXW  260120P06835000.OPRA", "SPXW  260120P06835000", "OPRA"),
        ("BRK B.XNYS", "BRK B", "XNYS"),
        ("SP a2507&a2509.DCE", "SP a2507&a2509", "DCE"),
        ("BAC-I*.XNAS", "BAC-I*", "XNAS"),
        ("7203.T.XTKS", "7203.T", "XTKS"),
        ("7" * 77 + ".POLYMARKET", "7" * 77, "POLYMARKET"),
        ("삼성전자.XKRX", "삼성전자", "XKRX"),
        ("Ω≈ç√-0.5µ.X", "Ω≈ç√-0.5µ", "X"),
        ("🚀MOON/USDT.DEX", "🚀MOON/USDT", "DEX"),
        ("e\u0301.X", "e\u0301", "X"),  # not normalised
        ("币" * 32 + ".X", "币" * 32, "X"),
        ("~~*~.X", "~~*~", "X"),
    ],
)
def test_instruments(name: str, symbol: str, venue: str) -> None:
    assert split_instrument(name) == (symbol, venue)
    asked = escape(name)
    assert unescape(asked) == name
    assert not is_pattern(asked)
    assert match_pattern(asked, name)
    check_pattern(asked)
    check_pattern(asked + "*" if len(name.encode()) < NAME_MAX else asked)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "no dot"),
        ("BTCUSDT", "no dot"),
        (".SIM", "1 to 96 bytes, not 0"),
        ("S" * 97 + ".SIM", "1 to 96 bytes, not 97"),
        ("币" * 33 + ".SIM", "1 to 96 bytes, not 99"),
        (" BTC.SIM", "may not begin or end with a space"),
        ("BTC .SIM", "may not begin or end with a space"),
        (" .SIM", "may not begin or end with a space"),
        ("BTC\u00a0USDT.SIM", r"may not contain '\xa0'"),
        ("BTC\u3000.SIM", r"may not contain '\u3000'"),
        ("BTC\u200b.SIM", r"may not contain '\u200b'"),
        ("\ufeffBTC.SIM", r"may not contain '\ufeff'"),
        ("BTC\u202e.SIM", r"may not contain '\u202e'"),
        ("BTC\udc80.SIM", r"may not contain '\udc80'"),
        ("BTC\tUSDT.SIM", r"may not contain '\t'"),
        ("BTC\0.SIM", r"may not contain '\x00'"),
        ('BTC".SIM', "may not contain"),
        ("BTC\\.SIM", "may not contain"),
        ("BTC,ETH.SIM", "may not contain ','"),
        ("BTC\n.SIM", r"may not contain '\n'"),
        ("BTC\x7f.SIM", "may not contain"),
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
        ("", "1 to 113 bytes, not 0"),
        ("*" * (NAME_MAX + 1), "1 to 113 bytes, not 114"),
        ("~*" * (NAME_MAX + 1), "1 to 113 bytes, not 114"),
        ("*\u00a0", r"may not contain '\xa0'"),
        ("*\\d", "may not contain"),
        ("*,*", "may not contain ','"),
        ("*~a", "'~a': a star that is itself is '~*'"),
        ("*~", "'~': a star that is itself is '~*'"),
        ("~~~\n*", r"'~\n': a star"),
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
        ("BAC-I~**", "BAC-I*.XNAS", True),
        ("BAC-I~**", "BAC-IX.XNAS", False),
        ("BAC-I~*.XNAS", "BAC-I*.XNAS", True),
        ("*~*.XNAS", "BAC-I*.XNAS", True),
        ("*~*.XNAS", "BAC-I.XNAS", False),
        ("~~*", "~.X", True),
        ("~~~*", "~*", True),
        ("~~~*", "~a", False),
        ("币*", "币安.X", True),
    ],
)
def test_glob(pattern: str, name: str, matches: bool) -> None:
    assert match_pattern(pattern, name) is matches


TOKENS = {"*": ".*", "~*": r"\*", "~~": "~", "a": "a", "b": "b", "币": "币"}


@given(st.lists(st.sampled_from([*TOKENS]), max_size=8), st.text("ab~*币", max_size=10))
def test_glob_equals_a_regular_expression(tokens: list[str], name: str) -> None:
    pattern, expression = "".join(tokens), "".join(TOKENS[token] for token in tokens)
    expected = re.fullmatch(expression, name) is not None
    assert match_pattern(pattern, name) is expected
    assert pattern_match(pattern, name) is expected
    assert is_pattern(pattern) is ("*" in tokens)


@given(st.text())
def test_every_name_can_be_asked_for(name: str) -> None:
    assert unescape(escape(name)) == name
    assert not is_pattern(escape(name))


@pytest.mark.parametrize("text", ["~", "a~", "~a*", "~~~", "BTC~.X", "~\udc80"])
def test_a_tilde_before_anything_else_is_no_escape(text: str) -> None:
    with pytest.raises(BadEscape, match="a tilde is '~~'") as caught:
        unescape(text)
    assert len(str(caught.value)) <= 100


@given(st.text(max_size=80))
def test_any_text_is_an_instrument_or_refused_for_a_reason(name: str) -> None:
    try:
        instrument = split_instrument(name)
    except ValueError as why:
        reason = str(why)
    else:
        reason = "it is one"
        assert ".".join(instrument) == name
        assert name.isprintable()
        assert not set(name) & set('"\\,')
        assert len(name.encode()) <= NAME_MAX
    assert 0 < len(reason) <= 100
