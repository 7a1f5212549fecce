"""Inputs out of inputs: bytes moved about, numbers and words put in, JSON changed as a tree."""

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

INPUT_BYTES_MAX: Final = 4096
ROUNDS_MAX: Final = 5
"""Changes that are made to one input at once."""
NUMBERS: Final = (
    *(0, 1, -1, 2, 125, 126, 127, 128, 255, 256, 999, 1000, 65535, 65536, 10**18, 10**19),
    *(2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64 - 1, 2**64, 10**40),
)
TEXTS: Final = (
    *("0", "-0", "1e9", "1e-400", ".5", "5.", "NaN", "Infinity", "null", "trade"),
    *("*", "A*B*C", "~", "A~B", "~*", "~~"),
    *("", "9" * 40, "0." + "0" * 30 + "1", "x" * 300),
    *("\x00", "\x7f", "\ud800", "\ufeff", "\U0001f600"),
)
_NUMBER: Final = re.compile(rb"-?\d+")
_DEEP: Final = 1500
"""Brackets that no decoder should follow by recursion."""
_DEEP_PLACE: Final = "deep, deep"

Change = Callable[[bytes, Random, Sequence[bytes]], bytes]


def _flip(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    if not data:
        return b"\0"
    at = rng.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << rng.randrange(8),)) + data[at + 1 :]


def _set(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + bytes((rng.randrange(256),)) + data[at + 1 :]


def _insert(data: bytes, rng: Random, tokens: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    put = rng.choice(tokens) if tokens and rng.random() < 0.8 else rng.randbytes(rng.randint(1, 8))
    return data[:at] + put + data[at + rng.choice((0, 0, len(put))) :]


def _cut(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + data[at + rng.choice((1, 2, 4, rng.randint(0, 64))) :]


def _repeat(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    piece = data[at : at + rng.randint(1, 40)]
    return data[:at] + piece * rng.choice((2, 3, 20)) + data[at:]


def _move(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    at, to = rng.randint(0, len(data)), rng.randint(0, len(data))
    piece = data[at : at + rng.randint(1, 60)]
    return data[:to] + piece + data[to:]


def _number(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return _integer(data, rng, _)
    one = rng.choice(found)
    value = rng.choice(NUMBERS)
    if rng.random() < 0.5 and len(one[0]) < 30:
        value = int(one[0]) + rng.choice((-1, 1, 10, -1000))
    return data[: one.start()] + b"%d" % value + data[one.end() :]


def _integer(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    size = rng.choice((1, 2, 4, 8))
    value = rng.choice(NUMBERS) % (1 << 8 * size)
    at = rng.randint(0, max(len(data) - size, 0))
    return data[:at] + value.to_bytes(size, rng.choice(("big", "little"))) + data[at + size :]


_CHANGES: Final[Sequence[Change]] = (
    *(_flip, _set, _insert, _insert, _cut, _repeat, _move, _number, _integer),
)


def mutated(data: bytes, rng: Random, pool: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """A few changes to an input, one of which may be to go on as another one does."""
    for _ in range(rng.randint(1, ROUNDS_MAX)):
        if rng.random() < 0.1:
            other = rng.choice(pool)
            data = data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]
        else:
            data = rng.choice(_CHANGES)(data, rng, tokens)
    return data[:INPUT_BYTES_MAX]


def quoted(words: str) -> list[bytes]:
    """Tokens: each of the words as a text of JSON."""
    return [b'"%s"' % word.encode() for word in words.split()]


# --- JSON -----------------------------------------------------------------------------------------


def _any_value(rng: Random) -> Any:
    kind = rng.randrange(7)
    values: tuple[Any, ...] = (
        *(rng.choice(NUMBERS), rng.choice(TEXTS), str(rng.choice(NUMBERS)), rng.random() * 1e9),
        *(rng.choice((None, True, False)), [rng.choice(TEXTS)] * rng.choice((0, 1, 2, 50)), {}),
    )
    return values[kind]


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """All (container, key) of a tree."""
    found: list[tuple[Any, Any]] = []
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        keys = (
            list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        )
        for key in keys:
            found.append((one, key))
            waiting.append(one[key])
    return found


def _change(tree: Any, rng: Random) -> Any:
    places = _places(tree)
    if not places:
        return _any_value(rng)
    container, key = rng.choice(places)
    what = rng.randrange(7)
    if what == 0:
        del container[key]
    elif what == 1:
        other, place = rng.choice(places)
        container[key] = json.loads(json.dumps(other[place]))
    elif what == 2 and isinstance(container, list):
        container[key:key] = [json.loads(json.dumps(container[key]))] * rng.choice((1, 2, 30))
    elif what == 3 and isinstance(container, dict):
        container[rng.choice([*container, *TEXTS])] = container.pop(key)
    elif what == 4:
        container[key] = [container[key]] if rng.random() < 0.5 else {"a": container[key]}
    elif what == 5 and isinstance(container[key], str):
        container[key] += rng.choice(TEXTS)
    else:
        container[key] = _any_value(rng)
    return tree


def json_mutated(data: bytes, rng: Random) -> bytes | None:
    """The same as a tree; None where it is no JSON."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return None
    for _ in range(rng.randint(1, ROUNDS_MAX)):
        tree = _change(tree, rng)
    deep = rng.random() < 0.02
    if deep and (places := _places(tree)):
        container, key = rng.choice(places)
        container[key] = _DEEP_PLACE
    text = json.dumps(
        tree, ensure_ascii=rng.random() < 0.5, separators=rng.choice(((",", ":"), None))
    )
    if deep:
        left, right = rng.choice(("[]", ('{"a":', "}")))
        text = text.replace(f'"{_DEEP_PLACE}"', left * _DEEP + "1" + right * rng.choice((_DEEP, 0)))
    return text.encode("utf-8", "surrogatepass")[: 4 * INPUT_BYTES_MAX]
