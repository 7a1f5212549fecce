"""Arrays within messages: slices are the whole, levels are what they were written as."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feeds.venues import arrays
from gateway.feeds.venues.arrays import SLICE_BYTES, levels, rows, sliced
from gateway.feeds.venues.message import Malformed

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
