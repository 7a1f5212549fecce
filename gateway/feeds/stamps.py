"""Times as programs write them: which unit a number is in, told by its size; ISO 8601. Pure.

Seconds, milliseconds, microseconds and nanoseconds since 1970 of the years 2001 to 2286 have ten,
thirteen, sixteen and nineteen digits: no number is a time in two of these units, and one between
them is a time in none.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

NANOSECONDS_MAX: Final = 2**63 - 1
UNITS: Final = (
    (10**18, 10**19, 1),
    (10**15, 10**16, 10**3),
    (10**12, 10**13, 10**6),
    (10**9, 10**10, 10**9),
)
"""(first value, end, nanoseconds) of ns, us, ms and s."""

_DAY_ONE: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ISO: Final = re.compile(
    rb"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))? ?(Z|[+-]\d\d:?\d\d)?"
)


def scaled(value: int) -> int:
    """Nanoseconds of a time in s, ms, us or ns.

    Raises:
        ValueError: it is a time in none of them, or after 2262.
    """
    return value * _unit(value)


def parsed(text: bytes) -> int:
    """Nanoseconds of a time as text: a number as in `scaled`, with or without a fraction, or ISO
    8601 (without a zone: UTC).

    Raises:
        ValueError: it is neither.
    """
    whole, point, fraction = text.partition(b".")
    if whole.isdigit() and len(whole) <= 19:
        if not point:
            return scaled(int(whole))
        if fraction.isdigit():
            unit = _unit(int(whole))
            return int(whole) * unit + int(fraction[:9].ljust(9, b"0")) * unit // 10**9
    found = _ISO.fullmatch(text)
    if found is None:
        raise ValueError("no time in ns, us, ms or s since 1970, nor ISO 8601")
    *parts, fraction, zone = found.groups(default=b"")
    moment = datetime(*map(int, parts), tzinfo=_zone(zone.decode()))  # type: ignore[misc,arg-type]
    past = moment - _DAY_ONE
    seconds = past.days * 86_400 + past.seconds
    if not 0 <= seconds <= NANOSECONDS_MAX // 10**9 - 1:
        raise ValueError("a time before 1970 or after 2262")
    return seconds * 10**9 + int(fraction.ljust(9, b"0"))


def _unit(value: int) -> int:
    for first, end, unit in UNITS:
        if first <= value < end and value <= (NANOSECONDS_MAX - unit + 1) // unit:
            return unit
    raise ValueError("no time in ns, us, ms or s since 1970")


def _zone(text: str) -> timezone:
    if text in ("", "Z"):
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
