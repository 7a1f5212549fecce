"""Times of other programs: each unit by its size, ISO 8601, and nothing that is two things."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feeds.stamps import NANOSECONDS_MAX, UNITS, parsed, scaled

NS = 1_723_161_255_342_123_456


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        (b"1723161255342123456", NS),
        (b"1723161255342123", NS - 456),
        (b"1723161255342", NS - 123_456),
        (b"1723161255", NS - 342_123_456),
        (b"1723161255.342123456", NS),
        (b"1723161255.3", NS - 42_123_456),
        (b"1723161255342.123456999", NS),
        (b"1723161255342123.456", NS),
        (b"2024-08-08T23:54:15.342123456Z", NS),
        (b"2024-08-08 23:54:15,342123456", NS),
        (b"2024-08-08T23:54:15Z", NS - 342_123_456),
        (b"2024-08-09T01:54:15.342123456+02:00", NS),
        (b"2024-08-08 20:24:15.342123456 -0330", NS),
        (b"9223372036854775807", NANOSECONDS_MAX),
    ],
)
def test_golden(text: bytes, ns: int) -> None:
    assert parsed(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b" ", b"0", b"12", b"-1723161255", b"1.7e9", b"0x66B55A27", b"17231612553421234567"),
        *(
            b"10000000000",
            b"999999999999",
            b"17231612553",
            b"9223372036854775808",
            b"9300000000000",
        ),
        *(b"9223372036854776", b"9223372036.9", b"1723161255.", b"1723161255.3x", b".5", b"nan"),
        *(b"2024-13-08T23:54:15Z", b"2024-08-08", b"1969-12-31T23:59:59Z", b"2300-01-01T00:00:00Z"),
        *(
            b"2024-08-08T25:00:00Z",
            b"2024-08-08T23:54:15.1234567890Z",
            b"2024-08-08T23:54:15+99:99",
        ),
        *("١٧٢٣١٦١٢٥٥".encode(), b"1723161255342 1723161255342"),
        *(b"2262-04-11T23:47:16Z", b"2262-04-11T23:47:17Z"),  # beyond 63 bits
    ],
)
def test_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed(text)


@given(st.integers(10**18, NANOSECONDS_MAX - 10**9), st.sampled_from(UNITS))
def test_every_time_is_the_same_in_every_unit(ns: int, unit: tuple[int, int, int]) -> None:
    value = ns // unit[2]
    assert scaled(value) == value * unit[2]
    whole, rest = divmod(ns, unit[2])
    digits = len(str(unit[2])) - 1
    assert parsed(b"%d.%0*d" % (whole, digits, rest) if digits else b"%d" % whole) == ns


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2262, 1, 1)),
    st.integers(0, 999),
    st.integers(-1439, 1439),
    st.sampled_from("T "),
)
def test_iso_texts_of_any_zone(moment: datetime, rest: int, minutes: int, mark: str) -> None:
    zone = timezone(timedelta(minutes=minutes))
    there = moment.replace(tzinfo=UTC).astimezone(zone)
    text = f"{there.strftime(f'%Y-%m-%d{mark}%H:%M:%S')}.{there.microsecond:06d}{rest:03d}"
    sign, past = "-" if minutes < 0 else "+", abs(minutes)
    ns = (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1) * 1000 + rest
    for colon in (":", ""):
        offset = f"{sign}{past // 60:02d}{colon}{past % 60:02d}"
        assert parsed(f"{text}{offset}".encode()) == ns


@given(st.binary(max_size=40) | st.integers(0, 2**70).map(lambda n: b"%d" % n))
def test_any_text_is_a_time_of_our_age_or_refused(text: bytes) -> None:
    try:
        ns = parsed(text)
    except ValueError:
        return
    assert 0 <= ns <= NANOSECONDS_MAX
    assert ns >= 10**18 or b"-" in text  # a number is never taken for 1970
