"""Recordings of anybody: explained, or refused in words, and never anything else."""

import io
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.flight import HEADER, recording
from support.world import World

from gateway.recorder.evidence import load
from gateway.recorder.explain import explain
from gateway.recorder.words import COLUMNS, render
from gateway.recording import RecordingError

NUMBERS = st.one_of(
    st.integers(-(1 << 66), 1 << 66),
    st.sampled_from([0, 1, -1, (1 << 62) - 1, (1 << 63) - 1, (1 << 64) - 1, 10**400]),
    st.integers(0, 10**10),
)
NAMES = st.sampled_from(
    [
        *("worker-0", "feed", "supervisor", "main", "tickgate-plane", "feed_records", "levels"),
        *("clients_blocked", "ring_lapped", "total_0", "ring", "connections", "routed", "closes"),
        "\x1b[31m",
    ]
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8), NAMES),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=12,
)
SAMPLES = st.fixed_dictionaries(
    {"mono_ns": NUMBERS, "real_ns": NUMBERS},
    optional={
        "pages": st.dictionaries(
            NAMES, st.dictionaries(NAMES, st.lists(NUMBERS, max_size=3), max_size=4), max_size=3
        ),
        "threads": st.lists(
            st.tuples(NAMES, NAMES, NUMBERS, st.sampled_from("TRS"), NUMBERS, NUMBERS), max_size=4
        ),
        "host": st.dictionaries(NAMES, NUMBERS, max_size=2),
    },
)
SECONDS = st.fixed_dictionaries(
    {"mono_ns": NUMBERS, "span_ns": NUMBERS},
    optional={
        "state": st.text(max_size=5),
        "p99_us": st.floats(allow_nan=False, allow_infinity=False),
        "stages": st.dictionaries(
            NAMES,
            st.tuples(st.lists(NUMBERS, max_size=2), st.lists(NUMBERS, max_size=2)),
            max_size=3,
        ),
        "said": st.dictionaries(
            NAMES,
            st.dictionaries(
                st.sampled_from(["slowest", "ladder", "stalls", "feeds"]),
                st.lists(
                    st.dictionaries(
                        st.sampled_from(["ts", "words", "kind", "age_ms", "why", "level", "name"]),
                        JSON,
                        max_size=4,
                    ),
                    max_size=2,
                ),
                max_size=3,
            ),
            max_size=2,
        ),
    },
)


def read(data: bytes) -> None:
    try:
        found = explain(load(io.BytesIO(data)))
    except RecordingError:
        return
    text = render(found)
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 2 * COLUMNS
    msgspec.json.encode(found)


def lines(objects: list[Any]) -> bytes:
    import json

    return b"\n".join(json.dumps(one).encode() for one in objects)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=50)
@given(st.lists(SAMPLES, max_size=5), st.lists(SECONDS, max_size=3), st.binary(max_size=300))
def test_what_cannot_be(samples: list[Any], seconds: list[Any], ring: bytes) -> None:
    data = recording(
        (b"SAMP", lines(samples)),
        (b"SECS", lines(seconds)),
        (b"RING", ring),
        topics=[("trade", "A.SIM"), ("bbo", "nothing"), ("x", "")],
    )
    read(data)


@settings(deadline=None, max_examples=40)
@given(st.data())
@pytest.mark.threat("T5")
def test_a_sound_one_in_which_something_is_wrong(data: st.DataObject) -> None:
    """What comes close to sense goes further: one value of a good recording is another."""
    world = World().during(range(55, 63), records=0).late([6], total_0={250: 100})
    built = world.build()
    samples = [msgspec.to_builtins(step.before) for step in built.steps]
    seconds = [msgspec.to_builtins(second) for second in built.seconds]
    place = data.draw(st.sampled_from([*samples, *seconds]))
    key = data.draw(st.sampled_from(sorted(place)))
    place[key] = data.draw(st.one_of(NUMBERS, JSON))
    header = msgspec.structs.replace(built.header, config=data.draw(st.dictionaries(NAMES, JSON)))
    read(recording((b"SAMP", lines(samples)), (b"SECS", lines(seconds)), header=header))


@given(
    st.fixed_dictionaries(
        {
            name: st.one_of(NUMBERS, st.floats(), st.text(max_size=3))
            for name in HEADER.__struct_fields__
        }
    )
)
@pytest.mark.threat("T5")
def test_a_header_of_anybody(fields: dict[str, Any]) -> None:
    import json
    import struct
    import zlib

    payload = json.dumps(fields | {"channels": {}, "config": {}, "targets_us": []}).encode()
    head = struct.pack("<4sIIII", b"HEAD", 0, len(payload), len(payload), zlib.crc32(payload))
    read(recording(done=False)[:16] + head + payload)


def test_records_beyond_the_bins_and_the_topics_are_left_out() -> None:
    ring = bytes(range(42)) + b"\3\0" + bytes(range(148)) + bytes(42) + b"\2\0" + bytes(84)
    read(recording((b"RING", ring + b"part"), (b"TOPC", b'["trade"]')))
    read(recording((b"RING", ring + b"part")))
