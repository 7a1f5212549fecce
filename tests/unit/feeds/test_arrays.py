"""Arrays within messages: slices are the whole, levels are what they were written as."""

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feeds.venues import arrays
from gateway.feeds.venues.arrays import SLICE_BYTES, in_pieces, levels, rows, sliced
from gateway.feeds.venues.message import Malformed
from gateway.feeds.venues.table import VENUES

_decode: Any = msgspec.json.Decoder(list[dict[str, Any]]).decode


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def counted(pieces: list[int]) -> Any:
    def decode(piece: bytes) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = _decode(piece)
        pieces.append(len(piece))
        return found

    return decode


@pytest.mark.parametrize(
    "element",
    [
        {"side": "bid", "qty": "0"},
        {"a": "x},{y" * 10},  # cut within a text, pieces are ill-formed
        {"a": [{"b": 1}] * 20_000},  # and within an element
    ],
)
def test_long_arrays_are_the_same_in_slices(element: dict[str, Any]) -> None:
    array = [element] * max(5 * SLICE_BYTES // len(compact(element)), 2)
    assert sliced(compact(array), _decode, b"},{") == array


def test_a_slice_is_short() -> None:
    array = [{"side": "bid", "price": str(n)} for n in range(10_000)]
    pieces: list[int] = []
    assert sliced(compact(array), counted(pieces), b"},{") == array
    assert len(pieces) >= len(compact(array)) // (SLICE_BYTES + 100)
    assert max(pieces) < SLICE_BYTES + 100


def test_short_arrays_are_not_cut() -> None:
    pieces: list[int] = []
    assert sliced(b"[]", counted(pieces), b"},{") == []
    assert sliced(b'[{"a":1},{"a":2}]', counted(pieces), b"},{") == [{"a": 1}, {"a": 2}]
    assert len(pieces) == 2


@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "},{"]), st.text('{},[]"\\x', max_size=6))),
    st.integers(1, 30),
    st.integers(0, 200),
    st.sampled_from([b"", b"}", b"{", b'"', b",", b"]"]),
)
def test_slices_are_the_whole_or_refused_as_it_is(
    array: list[dict[str, str]], size: int, at: int, damage: bytes
) -> None:
    text = compact(array)
    text = text[:at] + damage + text[at:]
    expected: object
    try:
        expected = _decode(text)
    except ValueError as error:
        expected = str(error)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "SLICE_BYTES", size)
        found: object
        try:
            found = sliced(text, _decode, b"},{")
        except ValueError as error:
            found = str(error)
    assert found == expected


@pytest.mark.parametrize("count", [1, 5000])
def test_levels(count: int) -> None:
    assert levels(compact([["1.50", "0"]] * count), "b") == [("1.50", "0")] * count
    numbers = b"[" + b",".join([b'[1.50,"2e-7"]'] * count) + b"]"
    assert levels(numbers, "b") == [("1.50", "2e-7")] * count
    assert rows(compact([["1", "2", "t", "r"]] * count), "b", 4) == [("1", "2", "t", "r")] * count
    wrong = compact([["1", "2"]] * count + [["1"]])
    with pytest.raises(Malformed, match=rf"1 values; a level has 2 - at `\$\.b\[{count}\]`"):
        levels(wrong, "b")
    with pytest.raises(Malformed, match=r"no array of price and quantity"):
        levels(compact([["1", "2"]] * count + ["x"]), "b")


@given(st.binary())
def test_f44_any_bytes_are_levels_or_refused(array: bytes) -> None:
    try:
        found = levels(array, "b")
    except (ValueError, RecursionError):
        return
    assert all(isinstance(value, str) for level in found for value in level)


# --- lists of instruments -------------------------------------------------------------------------


def listed(message: object, spaced: bool = False) -> tuple[dict[str, Any], list[int]]:
    """A message as it was put together from its pieces, and how long those were."""
    lengths: list[int] = []

    def decode(piece: bytes) -> Any:
        lengths.append(len(piece))
        return msgspec.json.decode(piece)

    payload = json.dumps(message).encode() if spaced else compact(message)
    pieces, last = in_pieces(payload, "list", decode, decode)
    found = last["result"]["list"]
    if isinstance(found, dict):
        whole: Any = {name: one for piece in [*pieces, found] for name, one in piece.items()}
    else:
        whole = [one for piece in [*pieces, found] for one in piece]
    last["result"]["list"] = whole
    return last, lengths


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("by_name", [False, True])
def test_long_lists_of_instruments_come_in_pieces(by_name: bool, spaced: bool) -> None:
    inner = {"fees": [[0, 1], [5, 2]]} if by_name else {"filters": [{"a": 1}, {"b": {"c": "},{"}}]}
    each = [{"symbol": f"A{n}", **inner} for n in range(3000)]
    whole = {one["symbol"]: one for one in each} if by_name else each
    message = {"before": [{"symbol": 1}], "result": {"list": whole, "next": ""}, "time": 7}
    found, lengths = listed(message, spaced)
    assert found == message
    assert 8 < len(lengths) <= len(json.dumps(message)) // SLICE_BYTES + 1
    assert max(lengths) < SLICE_BYTES + 300


@pytest.mark.parametrize(
    "whole",
    [
        [{"symbol": "A", "legs": [{"symbol": "B"}, {"symbol": "C"}] * 900}] * 3,  # cut within one
        [{"symbol": 'x"},{"symbol":"y' * 2000}] * 3,  # and within a text
        [[{"symbol": 1}]] * 5000,  # of no objects
        {"A": {"legs": {"B": {}, "C": {}}}} | {f"{n}": {"x": {"y": {}}} for n in range(3000)},
        ["x" * 40_000],
        [{"a\nb": "x" * 40_000}],
        [],
    ],
)
def test_what_no_piece_of_fits_is_decoded_at_once(whole: Any) -> None:
    message = {"result": {"list": whole}, "padding": "x" * 40_000}
    found, lengths = listed(message)
    assert found == message
    assert lengths[-1] > 30_000


def test_what_is_no_message_is_refused_as_a_whole_is() -> None:
    payload = compact({"list": [{"symbol": "A", "x": [1, 2, 3]}] * 3000})
    decode = msgspec.json.Decoder(dict[str, list[dict[str, str | list[int]]]]).decode
    some = msgspec.json.Decoder(list[dict[str, str | list[int]]]).decode
    for at in (b"3]}]", b'"A"', b"[{"):
        cut = payload.rindex(at) + len(at)
        wrong = payload[:cut] + b"!" + payload[cut:]
        with pytest.raises(msgspec.DecodeError) as expected:
            decode(wrong)
        with pytest.raises(msgspec.DecodeError) as found:
            in_pieces(wrong, "list", decode, some)
        assert str(found.value) == str(expected.value)


INSTRUMENTS: dict[str, Callable[[int], object]] = {
    "binance": lambda n: {
        "serverTime": 1,
        "assets": [{"asset": "BTC"}],
        "symbols": [
            {
                "symbol": f"A{k}",
                "status": "TRADING",
                "baseAsset": "A",
                "quoteAsset": "B",
                "filters": [
                    {"filterType": "PRICE_FILTER", "tickSize": "0.010"},
                    {"filterType": "LOT_SIZE", "stepSize": "1"},
                ],
            }
            for k in range(n)
        ],
    },
    "kraken-v1": lambda n: {
        "error": [],
        "result": {
            f"XA{k}": {"altname": "x", "wsname": f"A{k}/B", "pair_decimals": 2, "fees": [[0, 1]]}
            for k in range(n)
        },
    },
    "coinbase": lambda n: {
        "products": [
            {"product_id": f"A{k}", "base_increment": "1", "fcm": {"product_id": "x", "y": "z"}}
            for k in range(n)
        ],
        "num_products": n,
    },
    "bybit": lambda n: {
        "result": {
            "category": "spot",
            "list": [
                {"symbolId": k, "symbol": f"A{k}", "priceFilter": {"tickSize": "0.1"}}
                for k in range(n)
            ],
            "nextPageCursor": "",
        },
        "retExtInfo": {},
    },
}


@pytest.mark.parametrize("format", [*INSTRUMENTS])
def test_three_thousand_instruments_are_those_of_the_whole(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = compact(INSTRUMENTS[format](3000))
    counts: list[int] = []

    def counted(*args: Any) -> Any:
        pieces, last = in_pieces(*args)
        counts.append(len(pieces))
        return pieces, last

    venue = import_module(VENUES[format].instruments.__module__)
    monkeypatch.setattr(venue, "in_pieces", counted)
    in_parts = VENUES[format].instruments(payload)
    assert len(in_parts) == 3000
    assert counts > [5]
    monkeypatch.setattr(arrays, "SLICE_BYTES", 1 << 30)
    assert VENUES[format].instruments(payload) == in_parts
    assert counts[1:] == [0]
