"""Close codes and error codes are data: what PROTOCOL.md says of them holds for each."""

from gateway.session import codes


def test_close_codes_are_distinct_and_cover_the_protocol() -> None:
    named = {row.code: row.name for row in codes.CLOSES}
    assert len(named) == len(codes.CLOSES) == len(set(named.values()))
    assert tuple(named) == codes.CLOSE_CODES
    protocol = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1012, 1013}
    protocol |= {4001, 4008, 4010, 4012, 4013, 4029, 4030, 4500, 4501, 4502, 4505}
    assert protocol <= set(named)
    assert named[codes.RATE_LIMITED] == "rate_limited"
    assert named[codes.TOO_MANY_ERRORS] == "too_many_errors"


def test_clients_reconnect_below_4500_only() -> None:
    for row in codes.CLOSES:
        if row.code >= 4000:
            assert row.reconnect is (row.code < 4500)


def test_counters_have_room_for_every_code() -> None:
    assert len(codes.CLOSE_CODES) < 64  # gw_stats.h: closes
